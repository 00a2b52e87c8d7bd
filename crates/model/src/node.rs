//! Nodes as the scheduler sees them, and what the pods on them use.
//! Leaves out heartbeats and addresses: no plugin reads them.

use crate::Str;
use crate::labels::Labels;
use crate::pod::{HostPort, Pod, TaintEffect};
use crate::resources::{NonZeroRequest, Resources};
use crate::storage_facts::{IoDemand, StorageFacts};
use crate::volume::{CsiNode, DriverVolume};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
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
    /// The condition that says that its disks are the bottleneck now.
    pub contention: Option<Str>,
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
    /// The node's facts, less what was promised to pods placed there when `accounting` is on; never below 0. Disks that are the bottleneck
    /// have nothing left, whatever was promised.
    #[must_use]
    pub fn left(node: &NodeInfo, accounting: bool) -> Self {
        let StorageFacts { iops, throughput_mbps, capacity_gb, .. } = node.node.storage;
        let busy = node.node.storage.io_contention.then_some(0);
        let offered = Self { iops: busy.or(iops), throughput_mbps: busy.or(throughput_mbps), capacity_gb };
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
    /// The drivers on the node.
    pub csi: Option<Arc<CsiNode>>,
    /// Volumes that drivers have attached to the node, or will for its pods: by driver, then handle.
    pub volumes: BTreeMap<Str, BTreeMap<Str, VolumeUse>>,
    /// Those of them that the API server shows as attached.
    attached: Vec<DriverVolume>,
}

/// What keeps a volume on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeUse {
    /// Pods.
    pub pods: usize,
    /// Attachments.
    pub attachments: usize,
}

/// A pod on a node, with the I/O it was promised.
#[derive(Clone, Debug)]
pub struct PlacedPod {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its demand on the node's I/O budgets; zero for pods of other schedulers.
    pub io: IoDemand,
    /// Its volumes that a driver attaches.
    pub volumes: Box<[DriverVolume]>,
}

impl PlacedPod {
    /// A pod whose volumes are not known yet.
    #[must_use]
    pub fn new(pod: Arc<Pod>, io: IoDemand) -> Self {
        Self { pod, io, volumes: Box::default() }
    }
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
        for volume in &placed.volumes {
            self.volume_use(volume).pods += 1;
        }
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
        self.release(&placed.volumes, |use_| use_.pods -= 1);
        self.affinity_pods.retain(|p| *p.uid != *uid);
        self.anti_affinity_pods.retain(|p| *p.uid != *uid);
        Some(placed)
    }

    /// How many volumes a driver has to hold on the node.
    #[must_use]
    pub fn n_volumes(&self, driver: &str) -> usize {
        self.volumes.get(driver).map_or(0, BTreeMap::len)
    }

    /// What the API server shows as attached to the node.
    #[must_use]
    pub fn attached(&self) -> &[DriverVolume] {
        &self.attached
    }

    /// Something else is attached to the node now; returns what was.
    pub fn set_attached(&mut self, attached: Vec<DriverVolume>) -> Vec<DriverVolume> {
        for volume in &attached {
            self.volume_use(volume).attachments += 1;
        }
        let old = core::mem::replace(&mut self.attached, attached);
        self.release(&old, |use_| use_.attachments -= 1);
        old
    }

    /// A pod's volumes, by its place in `pods`, are others now; returns what they were.
    pub fn set_pod_volumes(&mut self, at: usize, volumes: Box<[DriverVolume]>) -> Box<[DriverVolume]> {
        for volume in &volumes {
            self.volume_use(volume).pods += 1;
        }
        let old = core::mem::replace(&mut self.pods[at].volumes, volumes);
        self.release(&old, |use_| use_.pods -= 1);
        old
    }

    fn volume_use(&mut self, volume: &DriverVolume) -> &mut VolumeUse {
        self.volumes.entry(volume.driver.clone()).or_default().entry(volume.handle.clone()).or_default()
    }

    fn release(&mut self, volumes: &[DriverVolume], one_less: impl Fn(&mut VolumeUse)) {
        for volume in volumes {
            let Some(of_driver) = self.volumes.get_mut(&volume.driver) else { continue };
            let Some(use_) = of_driver.get_mut(&volume.handle) else { continue };
            one_less(use_);
            if *use_ == VolumeUse::default() {
                of_driver.remove(&volume.handle);
                if of_driver.is_empty() {
                    self.volumes.remove(&volume.driver);
                }
            }
        }
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
            generation: 0,
        };
        PlacedPod::new(Arc::new(pod), IoDemand::default())
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

    #[test]
    fn volume_is_on_the_node_as_long_as_a_pod_or_an_attachment_keeps_it() {
        let volume = |handle: &str| DriverVolume { driver: "d".into(), handle: handle.into(), migrated: false };
        let mut info = NodeInfo::new(Arc::default());
        let with = |uid: &str, handles: &[&str]| PlacedPod {
            volumes: handles.iter().map(|h| volume(h)).collect(),
            ..placed(uid, PodSpec::default())
        };
        info.add(with("p", &["1", "2"]));
        info.add(with("q", &["2"]));
        info.set_attached([volume("1"), volume("3")].into());
        assert_eq!(info.n_volumes("d"), 3);
        info.remove("p");
        assert_eq!((info.n_volumes("d"), info.volumes["d"]["2"]), (3, VolumeUse { pods: 1, attachments: 0 }));
        info.set_pod_volumes(0, [volume("4")].into());
        assert_eq!(info.volumes["d"].keys().map(|h| &**h).collect::<Vec<_>>(), ["1", "3", "4"]);
        info.set_attached(Vec::new());
        info.remove("q");
        assert!(info.volumes.is_empty());
    }
}
