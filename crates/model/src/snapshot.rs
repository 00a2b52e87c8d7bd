//! The cluster at one moment, as every plugin sees it: nodes with what their pods use, claims, volumes, classes, drivers.
//! Leaves out how it is kept up to date: that is `aisched-core`'s cache.

use crate::Str;
use crate::disruption::DisruptionBudget;
use crate::labels::Labels;
use crate::node::NodeInfo;
use crate::nominated::Nominated;
use crate::volume::{Claim, CsiNode, StorageClass, Volume};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Namespace and name.
pub type NamespacedName = (Str, Str);

/// The cluster at one moment. Cloning shares the nodes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Nodes that have an object, by name.
    pub nodes: Vec<Arc<NodeInfo>>,
    /// Claims.
    pub claims: BTreeMap<NamespacedName, Arc<Claim>>,
    /// Volumes by name.
    pub volumes: BTreeMap<Str, Arc<Volume>>,
    /// Classes by name.
    pub classes: BTreeMap<Str, Arc<StorageClass>>,
    /// Drivers by node name.
    pub csi_nodes: BTreeMap<Str, Arc<CsiNode>>,
    /// Labels of namespaces.
    pub namespaces: BTreeMap<Str, Labels>,
    /// Names of the nodes whose pods use a claim, once per pod.
    pub claim_users: BTreeMap<NamespacedName, Vec<Str>>,
    /// How many nodes have an image, by every name of the image.
    pub image_nodes: BTreeMap<Str, usize>,
    /// Disruption budgets.
    pub budgets: BTreeMap<NamespacedName, Arc<DisruptionBudget>>,
    /// Pods that are promised a node, and pods that have to leave.
    pub nominated: Nominated,
}

impl Snapshot {
    /// Position of a node in `nodes`.
    #[must_use]
    pub fn node_idx(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|n| (*n.node.name).cmp(name)).ok()
    }

    /// A node by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.node_idx(name).map(|i| &self.nodes[i])
    }

    /// A claim.
    #[must_use]
    pub fn claim(&self, namespace: &Str, name: &Str) -> Option<&Arc<Claim>> {
        self.claims.get(&(namespace.clone(), name.clone()))
    }
}
