//! Claims, volumes, classes and drivers.
//! Leaves out binding decisions: those are the volume plugins'.

use crate::Str;
use crate::labels::Labels;
use crate::node::Budgets;
use crate::selector::{LabelSelector, NodeSelectorTerm};
use crate::signals::ClassFacts;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How many users a volume may have at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessModes {
    /// ReadWriteOnce.
    pub read_write_once: bool,
    /// ReadWriteOncePod.
    pub read_write_once_pod: bool,
    /// ReadWriteMany.
    pub read_write_many: bool,
    /// ReadOnlyMany.
    pub read_only_many: bool,
}

impl AccessModes {
    /// Whether several nodes may use the volume.
    #[must_use]
    pub fn shared(self) -> bool {
        self.read_write_many || self.read_only_many
    }

    /// Whether `self` (a volume) offers every mode of `wanted` (a claim).
    #[must_use]
    pub fn contains(self, wanted: Self) -> bool {
        (self.read_write_once || !wanted.read_write_once)
            && (self.read_write_once_pod || !wanted.read_write_once_pod)
            && (self.read_write_many || !wanted.read_write_many)
            && (self.read_only_many || !wanted.read_only_many)
    }
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// UID.
    pub uid: Str,
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Labels.
    pub labels: Labels,
    /// UID of the controlling owner, for generic ephemeral volumes.
    pub owner_uid: Option<Str>,
    /// Bound volume.
    pub volume: Option<Str>,
    /// Whether the binding is complete (`pv.kubernetes.io/bind-completed`).
    pub bind_completed: bool,
    /// Class by name; `None` when the claim names none, empty when it asks for no class.
    pub storage_class: Option<Str>,
    /// Modes.
    pub access_modes: AccessModes,
    /// Requested size in bytes.
    pub requested: i64,
    /// `volume.kubernetes.io/selected-node`.
    pub selected_node: Option<Str>,
    /// Deletion has begun.
    pub deleting: bool,
    /// Phase is Lost.
    pub lost: bool,
    /// Volume mode is Block.
    pub block: bool,
    /// Selector over volumes' labels.
    pub selector: Option<LabelSelector>,
    /// `spec.volumeAttributesClassName`.
    pub attributes_class: Option<Str>,
}

impl Claim {
    /// Whether a volume is being made for it.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.selected_node.is_some() && self.volume.is_none()
    }
}

/// A PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    /// Name.
    pub name: Str,
    /// Labels (zones of legacy volumes among them).
    pub labels: Labels,
    /// CSI driver.
    pub driver: Option<Str>,
    /// CSI volume handle.
    pub handle: Option<Str>,
    /// The in-tree plugin that the volume is written for; driver and handle are then those of the driver that took over.
    pub in_tree: Option<Str>,
    /// ORed terms; `None` when any node will do.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// The same in the keys of the driver that took over, for nodes where it did; `None` where they do not differ.
    pub migrated_affinity: Option<Vec<NodeSelectorTerm>>,
    /// Class.
    pub storage_class: Str,
    /// Modes.
    pub access_modes: AccessModes,
    /// Size in bytes.
    pub capacity: i64,
    /// Claim it is bound or promised to: namespace, name, UID (empty when not known yet).
    pub claim: Option<(Str, Str, Str)>,
    /// Phase is Available or absent.
    pub available: bool,
    /// Deletion has begun.
    pub deleting: bool,
    /// Volume mode is Block.
    pub block: bool,
    /// `spec.volumeAttributesClassName`.
    pub attributes_class: Option<Str>,
}

impl Volume {
    /// Whether any claim may have it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.claim.is_none() && self.available && !self.deleting
    }

    /// Whether it is bound or promised to this claim, and not to an earlier one of its name.
    #[must_use]
    pub fn is_for(&self, claim: &Claim) -> bool {
        self.claim.as_ref().is_some_and(|(namespace, name, uid)| {
            *namespace == claim.namespace && *name == claim.name && (uid.is_empty() || *uid == claim.uid)
        })
    }

    /// Whether a node with these labels can reach it.
    #[must_use]
    pub fn is_reachable_once_bound(&self, labels: &Labels, migrated_plugins: &[Str]) -> bool {
        match (&self.migrated_affinity, &self.in_tree) {
            (Some(terms), Some(plugin)) if migrated_plugins.contains(plugin) => crate::selector::any_term_matches(terms, "", labels),
            _ => self.is_reachable(labels),
        }
    }

    /// Whether a node with these labels may use the volume, by the volume's own words.
    #[must_use]
    pub fn is_reachable(&self, labels: &Labels) -> bool {
        // kube-scheduler compares labels only: a term that names the node matches nothing.
        self.node_affinity.as_ref().is_none_or(|terms| crate::selector::any_term_matches(terms, "", labels))
    }
}

/// When claims of a class are bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BindingMode {
    /// As soon as they exist.
    #[default]
    Immediate,
    /// When a pod that uses them has a node.
    WaitForFirstConsumer,
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageClass {
    /// Name.
    pub name: Str,
    /// Provisioner; `kubernetes.io/no-provisioner` provisions nothing.
    pub provisioner: Str,
    /// When claims are bound.
    pub binding_mode: BindingMode,
    /// ORed terms of nodes that volumes may be made for; empty: any.
    pub allowed_topologies: Vec<NodeSelectorTerm>,
    /// `storageclass.kubernetes.io/is-default-class`.
    pub is_default: bool,
    /// What its parameters tell of its volumes.
    pub facts: ClassFacts,
    /// What its backend offers to all pods together, by the class's annotations.
    pub offers: Budgets,
}

/// A CSINode: what drivers can do on a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CsiNode {
    /// Name, the node's.
    pub name: Str,
    /// Drivers registered.
    pub drivers: Vec<CsiDriverOnNode>,
    /// `storage.alpha.kubernetes.io/migrated-plugins`, split.
    pub migrated_plugins: Vec<Str>,
}

/// A driver on a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CsiDriverOnNode {
    /// Driver name.
    pub name: Str,
    /// Label keys that tell the driver's topology.
    pub topology_keys: Vec<Str>,
    /// Volumes that can be attached; `None`: no limit known.
    pub allocatable: Option<i32>,
}

/// A CSIDriver: how a driver wants to be treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiDriver {
    /// Name.
    pub name: Str,
    /// Volumes are made only where a [`StorageCapacity`] says that there is room.
    pub storage_capacity: bool,
    /// Pods with its volumes run only where it is registered (`preventPodSchedulingIfMissing`).
    pub needed_on_node: bool,
}

/// A CSIStorageCapacity: room for new volumes of a class on some nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageCapacity {
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Class by name.
    pub storage_class: Str,
    /// Nodes that reach it; `None`: none does.
    pub nodes: Option<LabelSelector>,
    /// Room in bytes, where the driver says.
    pub capacity: Option<i64>,
    /// Largest single volume in bytes, where the driver says.
    pub maximum_volume_size: Option<i64>,
}

impl StorageCapacity {
    /// The largest volume that can be made: the more precise number wins.
    #[must_use]
    pub fn limit(&self) -> Option<i64> {
        self.maximum_volume_size.or(self.capacity)
    }

    /// Room for all volumes together, where the driver says: never less than what it would make in one piece, as drivers of thin pools
    /// tell of less that is free than what they make.
    #[must_use]
    pub fn size(&self) -> Option<i64> {
        self.capacity.map(|capacity| capacity.max(self.maximum_volume_size.unwrap_or(0)))
    }
}

/// A VolumeAttachment: a volume that is attached to a node, or is being attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Name.
    pub name: Str,
    /// Driver.
    pub driver: Str,
    /// Node.
    pub node: Str,
    /// Volume by name; `None` for a volume that is written in a pod.
    pub volume: Option<Str>,
}

/// A volume as the driver that attaches it knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverVolume {
    /// Driver.
    pub driver: Str,
    /// Handle; of a volume that is still to be made one that no driver would give.
    pub handle: Str,
    /// It is an in-tree plugin's, which the driver took over.
    pub migrated: bool,
}

/// What has to be done about a pod's volumes before it can be bound to its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumePlan {
    /// How long to wait for the volumes.
    pub timeout_ms: u64,
    /// The node's labels, which every volume has to be within reach of.
    pub node_labels: Labels,
    /// In-tree plugins whose volumes are a driver's on the node.
    pub migrated_plugins: Vec<Str>,
    /// Claims, and the volumes that they get.
    pub bind: Vec<(Arc<Claim>, Arc<Volume>)>,
    /// Claims that volumes are to be made for on the node.
    pub provision: Vec<Arc<Claim>>,
}

impl VolumePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bind.is_empty() && self.provision.is_empty()
    }
}
