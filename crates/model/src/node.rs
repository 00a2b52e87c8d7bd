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
    /// `status.declaredFeatures`.
    pub declared_features: Vec<Str>,
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

/// I/O budgets of a node or a storage backend, or what is left of them; `None` where one is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// I/O operations per second.
    pub iops: Option<i64>,
    /// MB/s.
    pub throughput_mbps: Option<i64>,
    /// GB.
    pub capacity_gb: Option<i64>,
}

impl Budgets {
    /// The node's facts, less what was promised to pods placed there when `accounting` is on; never below 0.
    #[must_use]
    pub fn left(node: &NodeInfo, accounting: bool) -> Self {
        let StorageFacts { iops, throughput_mbps, capacity_gb, .. } = node.node.storage;
        let offered = Self { iops, throughput_mbps, capacity_gb };
        if accounting { offered.less(node.io_promised) } else { offered }
    }

    /// What is left when this much was promised; never below 0.
    #[must_use]
    pub fn less(self, promised: IoDemand) -> Self {
        let left = |budget: Option<i64>, promised: i64| budget.map(|b| b.saturating_sub(promised).max(0));
        Self {
            iops: left(self.iops, promised.iops),
            throughput_mbps: left(self.throughput_mbps, promised.throughput_mbps),
            capacity_gb: left(self.capacity_gb, promised.capacity_gb),
        }
    }

    /// The smaller of each; what only one knows counts.
    #[must_use]
    pub fn or_less(self, other: Self) -> Self {
        let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        Self {
            iops: least(self.iops, other.iops),
            throughput_mbps: least(self.throughput_mbps, other.throughput_mbps),
            capacity_gb: least(self.capacity_gb, other.capacity_gb),
        }
    }
}

/// A node and what its pods use: the unit that filters and scores look at.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node object.
    pub node: Arc<Node>,
    /// Pods on the node, assumed ones included.
    pub pods: Vec<PlacedPod>,
    /// Those of `pods` that have any term of pod affinity or anti-affinity: usually few, and often all that scoring must look at.
    pub affinity_pods: Vec<Arc<Pod>>,
    /// Those of `pods` that have a required term of anti-affinity: the only ones that can refuse a pod that has no terms itself.
    pub anti_affinity_pods: Vec<Arc<Pod>>,
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
        if spec.has_pod_affinity() {
            self.affinity_pods.push(placed.pod.clone());
        }
        if !spec.pod_anti_affinity.required.is_empty() {
            self.anti_affinity_pods.push(placed.pod.clone());
        }
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
        self.affinity_pods.retain(|p| *p.uid != *uid);
        self.anti_affinity_pods.retain(|p| *p.uid != *uid);
        Some(placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::{PodAffinity, PodAffinityTerm, PodSpec};

    fn placed(uid: &str, spec: PodSpec) -> PlacedPod {
        let pod = Pod {
            uid: uid.into(),
            namespace: "default".into(),
            name: uid.into(),
            spec: Arc::new(spec),
            node: Some("n".into()),
            ended: false,
            deleting: false,
            preempted: false,
            rejected: None,
            start_s: None,
            nominated_node: None,
            refused: None,
            claims_made: Vec::new(),
        };
        PlacedPod { pod: Arc::new(pod), io: IoDemand::default() }
    }

    #[test]
    fn pods_with_affinity_are_listed_while_they_are_there() {
        let required = || PodAffinity { required: alloc::vec![PodAffinityTerm::default()], preferred: Vec::new() };
        let preferred = || PodAffinity { required: Vec::new(), preferred: alloc::vec![(1, PodAffinityTerm::default())] };
        let mut info = NodeInfo::new(Arc::default());
        let listed = |info: &NodeInfo| {
            let names = |pods: &[Arc<Pod>]| pods.iter().map(|p| p.name.clone()).collect::<Vec<Str>>().join(" ");
            (names(&info.affinity_pods), names(&info.anti_affinity_pods))
        };
        info.add(placed("plain", PodSpec::default()));
        info.add(placed("near", PodSpec { pod_affinity: required(), ..PodSpec::default() }));
        info.add(placed("apart", PodSpec { pod_anti_affinity: required(), ..PodSpec::default() }));
        info.add(placed("rather-apart", PodSpec { pod_anti_affinity: preferred(), ..PodSpec::default() }));
        assert_eq!(listed(&info), ("near apart rather-apart".into(), "apart".into()));
        info.remove("near");
        info.remove("plain");
        assert_eq!(listed(&info), ("apart rather-apart".into(), "apart".into()));
        info.remove("apart");
        assert_eq!(listed(&info), ("rather-apart".into(), "".into()));
    }
}
