//! The one door for tests of decisions: small clusters from a few words, decided by named plugins.
//! Test code only; whatever a test does not mention has a default that no plugin minds.

use crate::attached::{attached_to, volumes_of};
use crate::consult::Heard;
use crate::decide::{Choice, Outcome, decide};
use crate::decision::{Decision, NodeReport};
use crate::framework::{Attempt, Plugin};
use crate::profile::{Profile, Weight};
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::disruption::DisruptionBudget;
use aisched_model::foreign::Foreign;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo, PlacedPod};
use aisched_model::owners::OwnerKind;
use aisched_model::pod::{Pod, PodSpec, PodVolume};
use aisched_model::policy::{Policy, PolicySource};
use aisched_model::quantity::Quantity;
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::selector::LabelSelector;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::{self, IoDemand, NodeSize};
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A cluster under construction, with the configuration and policy that decisions are taken under.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) snapshot: Snapshot,
    pub(crate) config: Config,
    pub(crate) policy: Option<Policy>,
}

/// A node of 8 CPUs, 32 GiB and 110 pods named `name`; change what matters.
pub(crate) fn node(name: &str) -> Node {
    let mut node = Node { name: name.into(), allocatable_pods: 110, ..Node::default() };
    node.allocatable.cpu = MilliCpu(8000);
    node.allocatable.memory = Bytes(32 << 30);
    node.allocatable.ephemeral_storage = Bytes(100 << 30);
    node
}

/// A pod that asks for nothing, named `name` in `default`.
pub(crate) fn pod(name: &str) -> Pod {
    spec_pod(name, PodSpec { scheduler_name: "ai-storage-scheduler".into(), ..PodSpec::default() })
}

/// A pod with this spec.
pub(crate) fn spec_pod(name: &str, spec: PodSpec) -> Pod {
    Pod {
        generation: 1,
        uid: format!("uid-{name}").into(),
        namespace: "default".into(),
        name: name.into(),
        spec: Arc::new(spec),
        node: None,
        ended: false,
        deleting: false,
        preempted: false,
        rejected: None,
        start_s: None,
        nominated_node: None,
        refused: None,
        claims_made: Vec::new(),
    }
}

/// Changes a pod's spec.
pub(crate) fn with(mut pod: Pod, change: impl FnOnce(&mut PodSpec)) -> Pod {
    change(Arc::make_mut(&mut pod.spec));
    pod
}

/// A pod with `ai-storage.keti/…` annotations, named without the prefix.
pub(crate) fn hinted<const N: usize>(name: &str, hints: [(&str, &str); N]) -> Pod {
    with(pod(name), |s| s.annotations = hints.into_iter().map(|(k, v)| (format!("ai-storage.keti/{k}"), v)).collect())
}

/// A pod that requests CPU and memory, given as Kubernetes quantities.
pub(crate) fn requesting(name: &str, cpu: &str, memory: &str) -> Pod {
    with(pod(name), |s| {
        s.requests.cpu = MilliCpu(Quantity::parse(cpu).unwrap().milli_value());
        s.requests.memory = Bytes(Quantity::parse(memory).unwrap().value());
        s.nonzero_request.cpu = s.requests.cpu;
        s.nonzero_request.memory = s.requests.memory;
        s.n_containers = 1;
    })
}

/// A node with labels, its storage facts read from them.
pub(crate) fn labelled<const N: usize>(name: &str, labels: [(&str, &str); N]) -> Node {
    storage_node(name, labels, [])
}

/// A node with labels and `ai-storage.keti/…` annotations (named without the prefix), its storage facts read from both.
pub(crate) fn storage_node<const N: usize, const M: usize>(name: &str, labels: [(&str, &str); N], annotations: [(&str, &str); M]) -> Node {
    let mut node = node(name);
    node.labels = Labels::from(labels);
    node.annotations = annotations.into_iter().map(|(k, v)| (format!("ai-storage.keti/{k}"), v)).collect();
    node.storage = storage_facts::read(&node.labels, &node.annotations, NodeSize { cores: 8, memory_gib: 32 }).0;
    node
}

/// A pod that uses these claims.
pub(crate) fn claiming<const N: usize>(name: &str, claims: [&str; N]) -> Pod {
    with(pod(name), |s| s.volumes = claims.into_iter().map(|c| PodVolume::Claim { claim: c.into(), read_only: false }).collect())
}

impl Cluster {
    pub(crate) fn of<const N: usize>(nodes: [Node; N]) -> Self {
        nodes.into_iter().fold(Self::default(), Self::node)
    }

    pub(crate) fn node(mut self, node: Node) -> Self {
        for (image, _) in &node.images {
            *self.snapshot.image_nodes.entry(image.clone()).or_default() += 1;
        }
        self.snapshot.count_rooms_of(&node, true);
        let info = Arc::new(NodeInfo::new(Arc::new(node)));
        let at = self.snapshot.nodes.partition_point(|n| n.node.name < info.node.name);
        self.snapshot.nodes.insert(at, info);
        self
    }

    /// Puts a pod on a node, without I/O demand.
    pub(crate) fn placed(self, on: &str, pod: Pod) -> Self {
        self.placed_with_io(on, pod, IoDemand::default())
    }

    pub(crate) fn placed_with_io(mut self, on: &str, mut pod: Pod, io: IoDemand) -> Self {
        pod.node = Some(on.into());
        for claim in pod.claims() {
            self.snapshot.claim_users.entry((pod.namespace.clone(), claim)).or_default().push(on.into());
        }
        self.snapshot.count_priority(pod.spec.priority, true);
        self.snapshot.count_member(&pod, &on.into(), true);
        self.snapshot.count_terms(&pod, &on.into(), true);
        let i = self.snapshot.node_idx(on).unwrap();
        Arc::make_mut(&mut self.snapshot.nodes[i]).add(PlacedPod::new(Arc::new(pod), io));
        self
    }

    /// Nominates a waiting pod to a node.
    pub(crate) fn nominated(mut self, to: &str, pod: Pod) -> Self {
        self.snapshot.nominated.set(PlacedPod::new(Arc::new(pod), IoDemand::default()), to.into());
        self
    }

    pub(crate) fn budget(mut self, budget: DisruptionBudget) -> Self {
        self.snapshot.budgets.insert((budget.namespace.clone(), budget.name.clone()), Arc::new(budget));
        self
    }

    /// A service or controller in `default`.
    pub(crate) fn owner(mut self, kind: OwnerKind, name: &str, selector: LabelSelector) -> Self {
        self.snapshot.owners.set((kind, "default".into(), name.into()), Some(Arc::new(selector)));
        self
    }

    pub(crate) fn claim(mut self, mut claim: Claim) -> Self {
        if claim.namespace.is_empty() {
            claim.namespace = "default".into();
        }
        self.snapshot.set_claim(Arc::new(claim));
        self
    }

    pub(crate) fn volume(mut self, volume: Volume) -> Self {
        self.snapshot.set_volume(Arc::new(volume));
        self
    }

    pub(crate) fn class(mut self, class: StorageClass) -> Self {
        self.snapshot.classes.insert(class.name.clone(), Arc::new(class));
        self
    }

    pub(crate) fn csi_node(mut self, csi_node: CsiNode) -> Self {
        self.snapshot.csi_nodes.insert(csi_node.name.clone(), Arc::new(csi_node));
        self
    }

    pub(crate) fn csi_driver(mut self, driver: CsiDriver) -> Self {
        self.snapshot.csi_drivers.insert(driver.name.clone(), Arc::new(driver));
        self
    }

    pub(crate) fn capacity(mut self, capacity: StorageCapacity) -> Self {
        self.snapshot.set_capacity(Arc::new(capacity));
        self
    }

    pub(crate) fn attachment(mut self, attachment: Attachment) -> Self {
        self.snapshot.set_attachment(Arc::new(attachment));
        self
    }

    pub(crate) fn foreign(mut self, object: Foreign) -> Self {
        self.snapshot.foreign.set(object);
        self
    }

    pub(crate) fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Decides with only the named plugins, each of weight 1 (AI storage plugins: as configured).
    pub(crate) fn decide(&self, plugins: &[&str], pod: &Pod) -> Decision {
        let weight = |name: &str| if self.config.plugins.of(name).is_some() { Weight::Configured } else { Weight::Fixed(1) };
        self.decide_profile(&Profile::of("ai-storage-scheduler", plugins.iter().map(|name| (*name, weight(name)))), pod)
    }

    /// Decides with one plugin that has arguments of its own.
    pub(crate) fn decide_plugin(&self, plugin: Box<dyn Plugin>, pod: &Pod) -> Decision {
        self.decide_profile(&Profile::with("ai-storage-scheduler", [(plugin, Weight::Fixed(1))]), pod)
    }

    pub(crate) fn decide_profile(&self, profile: &Profile, pod: &Pod) -> Decision {
        self.outcome(profile, pod).decision
    }

    pub(crate) fn outcome(&self, profile: &Profile, pod: &Pod) -> Outcome {
        let (policy, snapshot) = (self.policy.as_ref(), settled(&self.snapshot));
        let workload = WorkloadProfile::resolve(pod, policy.map(|p| (p, PolicySource::Success)), &self.config, &snapshot);
        let attempt = Attempt { snapshot: &snapshot, pod, workload: &workload, policy, config: &self.config };
        let policy_source = if policy.is_some() { PolicySource::Success } else { PolicySource::Fallback };
        decide(
            profile,
            &attempt,
            Choice { salt: 0, report_nodes: usize::MAX, policy_source, heard: Heard::default(), in_peace: &[], within: None },
        )
    }
}

/// Questions that tests ask of a decision.
impl Decision {
    fn report(&self, node: &str) -> &NodeReport {
        self.nodes.iter().find(|n| *n.node == *node).unwrap_or_else(|| panic!("no node {node} in the decision"))
    }

    /// Reasons against a node, joined by "; "; empty where it is feasible.
    pub(crate) fn against(&self, node: &str) -> String {
        self.report(node).reasons.iter().map(|r| r.message.clone()).collect::<Vec<_>>().join("; ")
    }

    /// A plugin's score of a node, `None` when it skipped the pod or was not in the profile.
    pub(crate) fn score(&self, node: &str, plugin: &str) -> Option<i64> {
        self.report(node).plugins.iter().find(|p| p.name == plugin && !p.skipped).map(|p| p.score)
    }

    /// One component of a plugin's score of a node.
    pub(crate) fn component(&self, node: &str, plugin: &str, component: &str) -> Option<i64> {
        let plugin = self.report(node).plugins.iter().find(|p| p.name == plugin)?;
        plugin.components.0.iter().find(|c| c.name == component).map(|c| c.score)
    }

    /// What one component of a plugin's score of a node was read from.
    pub(crate) fn source(&self, node: &str, plugin: &str, component: &str) -> Option<&str> {
        let plugin = self.report(node).plugins.iter().find(|p| p.name == plugin)?;
        plugin.components.0.iter().find(|c| c.name == component).map(|c| &*c.source)
    }

    /// Names of the feasible nodes, sorted.
    pub(crate) fn feasible(&self) -> Vec<Str> {
        let mut names: Vec<Str> = self.nodes.iter().filter(|n| n.feasible).map(|n| n.node.clone()).collect();
        names.sort_unstable();
        names
    }
}

/// The cluster with what the cache keeps of volumes beside the nodes, made from nothing.
pub(crate) fn settled(cluster: &Snapshot) -> Snapshot {
    let mut snapshot = cluster.clone();
    snapshot.handles.clear();
    for (i, info) in cluster.nodes.iter().enumerate() {
        let mut info = NodeInfo::clone(info);
        info.csi = snapshot.csi_nodes.get(&info.node.name).cloned();
        info.set_attached(Vec::new());
        info.volumes.clear();
        for placed in &mut info.pods {
            placed.volumes = Box::default();
        }
        for at in 0..info.pods.len() {
            let volumes = volumes_of(&info.pods[at].pod, &snapshot);
            snapshot.count_handles(&volumes, true);
            info.set_pod_volumes(at, volumes);
        }
        let attached = attached_to(&info.node.name, &snapshot);
        snapshot.count_handles(&attached, true);
        info.set_attached(attached);
        snapshot.nodes[i] = Arc::new(info);
    }
    snapshot
}
