//! Nodes as the scheduler sees them, and what the pods on them use.
//! Leaves out heartbeats, conditions and addresses: no plugin reads them.

use crate::Str;
use crate::labels::Labels;
use crate::pod::{HostPort, Pod, TaintEffect};
use crate::resources::{NonZeroRequest, Resources};
use crate::storage_facts::{IoDemand, StorageFacts};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A node object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name.
    pub name: Str,
    /// Labels.
    pub labels: Labels,
    /// Annotations that bear on placement.
    pub annotations: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// `status.allocatable.pods`.
    pub allocatable_pods: i64,
    /// Images on the node: every name of each, with its size in bytes.
    pub images: Vec<(Str, i64)>,
    /// Storage facts, derived from labels, annotations and sizes.
    pub storage: StorageFacts,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key.
    pub key: Str,
    /// Value.
    pub value: Str,
    /// Effect.
    pub effect: TaintEffect,
}

/// A node and what its pods use: the unit that filters and scores look at.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node object.
    pub node: Arc<Node>,
    /// Pods on the node, assumed ones included.
    pub pods: Vec<PlacedPod>,
    /// Sum of the pods' requests.
    pub requested: Resources,
    /// Sum of the pods' requests with defaults.
    pub nonzero_requested: NonZeroRequest,
    /// Host ports in use.
    pub used_ports: Vec<HostPort>,
    /// I/O promised to pods that this scheduler placed here.
    pub io_promised: IoDemand,
}

/// A pod on a node, with the I/O it was promised.
#[derive(Clone, Debug)]
pub struct PlacedPod {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its demand on the node's I/O budgets; zero for pods of other schedulers.
    pub io: IoDemand,
}

impl NodeInfo {
    /// An empty node.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, ..Self::default() }
    }

    /// Adds a pod's use.
    pub fn add(&mut self, placed: PlacedPod) {
        let spec = &placed.pod.spec;
        self.requested.add(&spec.requests);
        self.nonzero_requested.cpu.0 = self.nonzero_requested.cpu.0.saturating_add(spec.nonzero_request.cpu.0);
        self.nonzero_requested.memory.0 = self.nonzero_requested.memory.0.saturating_add(spec.nonzero_request.memory.0);
        self.used_ports.extend_from_slice(&spec.host_ports);
        self.io_promised.add(placed.io);
        self.pods.push(placed);
    }

    /// Takes a pod's use back; returns what was there.
    pub fn remove(&mut self, uid: &str) -> Option<PlacedPod> {
        let placed = self.pods.swap_remove(self.pods.iter().position(|p| *p.pod.uid == *uid)?);
        let spec = &placed.pod.spec;
        self.requested.sub(&spec.requests);
        self.nonzero_requested.cpu.0 = self.nonzero_requested.cpu.0.saturating_sub(spec.nonzero_request.cpu.0);
        self.nonzero_requested.memory.0 = self.nonzero_requested.memory.0.saturating_sub(spec.nonzero_request.memory.0);
        for port in &spec.host_ports {
            if let Some(i) = self.used_ports.iter().position(|p| p == port) {
                self.used_ports.swap_remove(i);
            }
        }
        self.io_promised.sub(placed.io);
        Some(placed)
    }
}
