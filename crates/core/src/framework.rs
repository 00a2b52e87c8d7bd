//! What a plugin is: it prepares for one pod, then judges and scores nodes, and says which events could change a refusal.
//! Leaves out the plugins themselves (`plugins/`) and the order of things (`decide`).

use crate::cures::Change;
use crate::decision::Components;
use crate::plugins::args::DefaultPreemptionArgs;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::devices::{ClaimPlan, DeviceClaim, DeviceClass};
use aisched_model::node::{Node, NodeInfo, PlacedPod};
use aisched_model::pod::Pod;
use aisched_model::policy::Policy;
use aisched_model::selector::NodeSelectorTerm;
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume, VolumePlan};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use smallvec::{SmallVec, smallvec};

/// Highest score of a plugin for a node.
pub const MAX_SCORE: i64 = 100;

/// One attempt to find a node for one pod: everything a plugin may look at.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// The pod.
    pub pod: &'a Pod,
    /// What the pod was taken to be.
    pub workload: &'a WorkloadProfile,
    /// What APOLLO says of it.
    pub policy: Option<&'a Policy>,
    /// The configuration, one throughout the attempt.
    pub config: &'a Config,
}

/// A plugin of the scheduler. One file and one line in the registry.
pub trait Plugin: Send + Sync {
    /// Name, as in a KubeSchedulerConfiguration.
    fn name(&self) -> &'static str;

    /// Why the pod may not even enter the queue (kube-scheduler's PreEnqueue); asked whenever the pod or a claim of it changes.
    fn gate(&self, pod: &Pod, snapshot: &Snapshot) -> Option<String> {
        let _ = (pod, snapshot);
        None
    }

    /// Whether a pod that fits nowhere may have pods of lower priority removed (kube-scheduler's PostFilter), and within which limits.
    fn preempts(&self) -> Option<DefaultPreemptionArgs> {
        None
    }

    /// Whether its filter may have a [`Remedy`] for a pod that fits nowhere. It has none when another plugin's refusal for good ended the
    /// round before it could prepare.
    fn has_remedies(&self) -> bool {
        false
    }

    /// What would have to be different for it not to refuse the pod whatever the node; nothing when it knows of nothing. Asked on request.
    fn cure(&self, attempt: &Attempt<'_>) -> Vec<Change> {
        let _ = attempt;
        Vec::new()
    }

    /// Looks at the pod once, before any node.
    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a>;

    /// As `prepare`, with what was counted for the latest pod of the same template and kept in step with pods that came and left. Leaves
    /// there what is to be kept for the next.
    fn prepare_kept<'a>(&'a self, attempt: &Attempt<'a>, kept: &mut Kept) -> Prepared<'a> {
        let _ = kept;
        self.prepare(attempt)
    }

    /// Whether `event` could let a pod that this plugin refused be placed (kube-scheduler's queueing hint).
    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool;
}

/// What a plugin has counted over all pods for one template. It is dropped when labels or taints of any node change, and when nodes come
/// or go; what else it depends on, the plugin has to compare.
pub trait Tally: Any + Send + Sync {
    /// A pod came to a node (`came`) or left it.
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool);
}

/// A tally, if there is one.
pub type Kept = Option<Arc<dyn Tally>>;

/// The tally, if it is of this kind.
pub(crate) fn recalled<T: Tally>(kept: &Kept) -> Option<Arc<T>> {
    let any: Arc<dyn Any + Send + Sync> = kept.clone()?;
    any.downcast().ok()
}

/// What a plugin has to say about one pod. The default is nothing: it neither filters nor scores.
#[derive(Default)]
pub struct Prepared<'a> {
    /// The pod can go nowhere, whatever the node.
    pub refusal: Option<Refusal>,
    /// The only nodes worth looking at.
    pub only_nodes: Option<Vec<Str>>,
    /// Judges nodes.
    pub filter: Option<Box<dyn Filter + 'a>>,
    /// Scores nodes that passed every filter.
    pub score: Option<Box<dyn Score + 'a>>,
}

impl<'a> Prepared<'a> {
    /// A plugin that only filters.
    #[must_use]
    pub fn filter(filter: impl Filter + 'a) -> Self {
        Self { filter: Some(Box::new(filter)), ..Self::default() }
    }

    /// A plugin that only scores.
    #[must_use]
    pub fn score(score: impl Score + 'a) -> Self {
        Self { score: Some(Box::new(score)), ..Self::default() }
    }

    /// A plugin that refuses the pod whatever the node.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// Adds a scorer.
    #[must_use]
    pub fn and_score(self, score: impl Score + 'a) -> Self {
        Self { score: Some(Box::new(score)), ..self }
    }
}

/// What verdicts and raw scores for one template of pods come from: pods of equal namespace, spec but for the names of their claims,
/// workload profile and policy, under one configuration. What comes from the node alone is kept until the node changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reads {
    /// Anything in the cluster, or the pod's own name: it is asked about every node in every decision.
    Anything,
    /// The node, what is on it, and these facts of the cluster.
    Node(Basis),
}

impl Reads {
    /// The node and what is on it.
    #[must_use]
    pub fn node() -> Self {
        Self::Node(Basis::new())
    }
}

/// Facts of the cluster that a plugin has read: while they are equal, so is what it says of a node.
pub type Basis = SmallVec<[Fact; 1]>;

/// One fact of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// A name.
    Name(Str),
    /// What nodes have to be like.
    Terms(Vec<NodeSelectorTerm>),
}

/// Something that nodes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait<'a> {
    /// `spec.unschedulable`.
    Cordon,
    /// The taints.
    Taints,
    /// The value of this label, or that there is none.
    Label(&'a Str),
}

/// How raw scores become 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// They are 0–100.
    AsIs,
    /// The highest becomes 100, or 0 when `reverse` turns the scale round.
    Highest {
        /// The less, the better.
        reverse: bool,
    },
}

/// Judges one node for the prepared pod.
pub trait Filter {
    /// `None` when the pod may run on the node.
    fn check(&self, node: &NodeInfo) -> Option<Refusal>;

    /// What its verdicts come from.
    fn reads(&self) -> Reads {
        Reads::Anything
    }

    /// The trait that its verdicts come from, when they come from nothing else: nodes of the same value are judged once.
    fn goes_by(&self) -> Option<Trait<'_>> {
        None
    }

    /// When it goes by a label: the only values that it may let pass. It says the same of all nodes that have none of them.
    fn passes(&self) -> Option<Vec<&Str>> {
        None
    }

    /// Whether it would judge a node with other pods on it rightly without preparing again: it reads nothing but the node and what is on
    /// it. One that counts pods elsewhere, or per claim, has to see the changed cluster, or to give a follower.
    fn reads_node_only(&self) -> bool {
        false
    }

    /// A copy that can be told of pods that come and leave, for dry runs (kube-scheduler's AddPod and RemovePod); `None` when it has to
    /// prepare again.
    fn follower(&self) -> Option<Box<dyn Follower + '_>> {
        None
    }

    /// The numbers behind a refusal, for an explanation.
    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let _ = node;
        None
    }

    /// What would have to be different for it to let the pod onto a node that it refuses, all together; nothing when it knows of nothing.
    /// Asked on request.
    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let _ = node;
        Vec::new()
    }

    /// What has to be done about the pod's volumes before it is bound to this node; `None`: nothing.
    fn volumes(&self, node: &NodeInfo) -> Option<VolumePlan> {
        let _ = node;
        None
    }

    /// What has to be done about the pod's claims to devices before it is bound to this node; `None`: nothing.
    fn claims(&self, node: &NodeInfo) -> Option<ClaimPlan> {
        let _ = node;
        None
    }

    /// What can be done for a pod that fits nowhere, short of removing others; it sees the nodes that it refused.
    fn remedy(&self, refused: &mut dyn Iterator<Item = &NodeInfo>) -> Option<Remedy> {
        let _ = refused;
        None
    }
}

/// What can be done for a pod that fits nowhere: a claim of its own gives up the devices that it has.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// The claim is to have no devices.
    Deallocate(Arc<DeviceClaim>),
    /// The claim, which was made for the pod's extended resources, is to go.
    DeleteClaim(Arc<DeviceClaim>),
}

impl Remedy {
    /// kube-scheduler's words for it.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::Deallocate(_) => "deallocation of ResourceClaim completed",
            Self::DeleteClaim(_) => "deletion of ResourceClaim completed",
        }
    }
}

/// A filter that follows what happens to the cluster.
pub trait Follower: Filter {
    /// A pod came to a node (`came`) or left it.
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool);
}

/// Scores nodes for the prepared pod.
pub trait Score {
    /// Sees every feasible node before the first is scored.
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        let _ = feasible;
    }

    /// Whether, having seen the feasible nodes, it has nothing to say (kube-scheduler's Skip from PreScore).
    fn skips(&self) -> bool {
        false
    }

    /// The raw score of one node.
    fn raw(&self, node: &NodeInfo) -> i64;

    /// What its raw scores and their components come from. One that keeps them neither observes nor skips, and scales as it says.
    fn reads(&self) -> Reads {
        Reads::Anything
    }

    /// Whether its components say how the pod's claims are called. Pods of one template may differ in that.
    fn names_claims(&self) -> bool {
        false
    }

    /// How the raw scores become 0–100, unless `normalize` does it in another way.
    fn scale(&self) -> Scale {
        Scale::AsIs
    }

    /// Turns the raw scores of all feasible nodes into 0–100.
    fn normalize(&self, scores: &mut [i64]) {
        match self.scale() {
            Scale::AsIs => {}
            Scale::Highest { reverse } => default_normalize(scores, reverse),
        }
    }

    /// What the raw score is made of, for an explanation.
    fn components(&self, node: &NodeInfo) -> Components {
        let _ = node;
        Components::default()
    }
}

/// A plugin's refusal: a normal answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether removing pods could change it.
    pub code: RefusalCode,
    /// Reasons in kube-scheduler's words.
    pub reasons: SmallVec<[Cow<'static, str>; 1]>,
}

/// Whether preemption could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// Removing pods could help.
    Unschedulable,
    /// Removing pods could not help (`UnschedulableAndUnresolvable`).
    Unresolvable,
    /// The pod cannot be judged at all: something that it uses is broken. The attempt ends, and is made again after a while.
    Error,
}

impl Refusal {
    /// A refusal that removing pods could change.
    #[must_use]
    pub fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code: RefusalCode::Unschedulable, reasons: smallvec![reason.into()] }
    }

    /// Something that the pod uses is broken, in kube-scheduler's words for an error of a filter.
    #[must_use]
    pub fn error(plugin: &str, why: &str) -> Self {
        let reason = format!("running {plugin:?} filter plugin: {why}");
        Self { code: RefusalCode::Error, reasons: smallvec![reason.into()] }
    }

    /// A refusal that removing pods could not change.
    #[must_use]
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code: RefusalCode::Unresolvable, reasons: smallvec![reason.into()] }
    }
}

/// Something in the cluster changed that may let a refused pod be placed.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node appeared.
    NodeAdded(&'a Node),
    /// A node changed in something that placement depends on.
    NodeChanged {
        /// Before.
        old: &'a Node,
        /// After.
        new: &'a Node,
    },
    /// A node is gone, with the pods on it.
    NodeGone(&'a Node, &'a [PlacedPod]),
    /// A pod was placed.
    PodPlaced(&'a Pod),
    /// A placed pod changed.
    PodChanged {
        /// Before.
        old: &'a Pod,
        /// After.
        new: &'a Pod,
    },
    /// A placed pod ended, was deleted, or was given up by this scheduler.
    PodRemoved(&'a Pod),
    /// The waiting pod itself changed.
    OwnChange {
        /// Before.
        old: &'a Pod,
        /// After.
        new: &'a Pod,
    },
    /// A claim appeared (there is no old one) or changed.
    Claim(Option<&'a Claim>, &'a Claim),
    /// A volume appeared or changed.
    Volume(Option<&'a Volume>, &'a Volume),
    /// A class appeared or changed.
    Class(Option<&'a StorageClass>, &'a StorageClass),
    /// A node's drivers appeared or changed.
    CsiNode(Option<&'a CsiNode>, &'a CsiNode),
    /// A driver appeared or wants to be treated in another way.
    CsiDriver(Option<&'a CsiDriver>, &'a CsiDriver),
    /// A driver says how much room there is, for the first time or anew.
    Capacity(Option<&'a StorageCapacity>, &'a StorageCapacity),
    /// A volume was detached from a node.
    Detached(&'a Attachment),
    /// The kubelet of this node may be tried again with pods that it turned away.
    Readmits(&'a Str),
    /// The namespace of this name appeared or changed its labels.
    Namespace(&'a Str),
    /// A claim to devices appeared, changed or went.
    DeviceClaim {
        /// Before.
        old: Option<&'a DeviceClaim>,
        /// After.
        new: Option<&'a DeviceClaim>,
    },
    /// A class of devices appeared or changed.
    DeviceClass(&'a DeviceClass),
    /// Devices appeared or changed, or their taints did.
    Devices,
}

impl ClusterEvent<'_> {
    /// kube-scheduler's name of the event where it has one, for its metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        let either = |added: bool, names: [&'static str; 2]| names[usize::from(!added)];
        match self {
            Self::NodeAdded(_) => "NodeAdd",
            Self::NodeChanged { old, new } if old.allocatable != new.allocatable => "NodeUpdateNodeAllocatable",
            Self::NodeChanged { old, new } if old.labels != new.labels => "NodeUpdateNodeLabel",
            Self::NodeChanged { old, new } if old.taints != new.taints || old.unschedulable != new.unschedulable => "NodeUpdateNodeTaint",
            Self::NodeChanged { .. } => "NodeUpdate",
            Self::NodeGone(..) => "NodeDelete",
            Self::PodPlaced(_) => "AssignedPodAdd",
            Self::PodChanged { old, new } => PLACED_CHANGES[pod_change(old, new)],
            Self::PodRemoved(_) => "AssignedPodDelete",
            Self::OwnChange { old, new } => OWN_CHANGES[pod_change(old, new)],
            Self::Claim(old, _) => either(old.is_none(), ["PersistentVolumeClaimAdd", "PersistentVolumeClaimUpdate"]),
            Self::Volume(old, _) => either(old.is_none(), ["PersistentVolumeAdd", "PersistentVolumeUpdate"]),
            Self::Class(old, _) => either(old.is_none(), ["StorageClassAdd", "StorageClassUpdate"]),
            Self::CsiNode(old, _) => either(old.is_none(), ["CSINodeAdd", "CSINodeUpdate"]),
            Self::CsiDriver(old, _) => either(old.is_none(), ["CSIDriverAdd", "CSIDriverUpdate"]),
            Self::Capacity(old, _) => either(old.is_none(), ["CSIStorageCapacityAdd", "CSIStorageCapacityUpdate"]),
            Self::Detached(_) => "VolumeAttachmentDelete",
            Self::Readmits(_) => "NodeReadmits",
            Self::Namespace(_) => "NamespaceUpdate",
            Self::DeviceClaim { old: None, .. } => "resource.k8s.io/ResourceClaimAdd",
            Self::DeviceClaim { new: None, .. } => "resource.k8s.io/ResourceClaimDelete",
            Self::DeviceClaim { .. } => "resource.k8s.io/ResourceClaimUpdate",
            Self::DeviceClass(_) => "resource.k8s.io/DeviceClassUpdate",
            Self::Devices => "resource.k8s.io/ResourceSliceUpdate",
        }
    }
}

/// kube-scheduler's names for changes of a placed pod.
const PLACED_CHANGES: [&str; 7] = [
    "AssignedPodUpdatePodLabel",
    "AssignedPodUpdatePodScaleDown",
    "AssignedPodUpdatePodScaleUp",
    "AssignedPodUpdatePodSchedulingGatesEliminated",
    "AssignedPodUpdatePodToleration",
    "AssignedPodUpdatePodGeneratedResourceClaim",
    "AssignedPodUpdate",
];

/// The same for changes of the waiting pod itself.
const OWN_CHANGES: [&str; 7] = [
    "TargetPodUpdatePodLabel",
    "TargetPodUpdatePodScaleDown",
    "TargetPodUpdatePodScaleUp",
    "TargetPodUpdatePodSchedulingGatesEliminated",
    "TargetPodUpdatePodToleration",
    "TargetPodUpdatePodGeneratedResourceClaim",
    "TargetPodUpdate",
];

/// Which of these changes it was; kube-scheduler looks in this order.
fn pod_change(old: &Pod, new: &Pod) -> usize {
    let (was, is) = (&old.spec, &new.spec);
    let changes = [
        was.labels != is.labels,
        is.requests.shrank_from(&was.requests, |_| true),
        was.requests.shrank_from(&is.requests, |_| true),
        !was.scheduling_gates.is_empty() && is.scheduling_gates.is_empty(),
        was.tolerations.len() != is.tolerations.len(),
        old.claims_made != new.claims_made,
    ];
    changes.iter().position(|changed| *changed).unwrap_or(changes.len())
}

/// kube-scheduler's default normalisation: the highest raw score becomes 100; `reverse` turns the scale round.
///
/// Example: 1, 3, 7 become 14, 42, 100; reversed 86, 58, 0. All zero stay 0; reversed they become 100.
pub fn default_normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    scores.iter_mut().for_each(|score| *score = scaled(*score, highest, reverse));
}

/// One raw score on the scale whose top is `highest`.
pub(crate) fn scaled(raw: i64, highest: i64, reverse: bool) -> i64 {
    let scaled = if highest == 0 { 0 } else { MAX_SCORE * raw / highest };
    if reverse { MAX_SCORE - scaled } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_matches_kube_scheduler() {
        for (raw, plain, reversed) in
            [([0, 1, 2], [0, 50, 100], [100, 50, 0]), ([1, 3, 7], [14, 42, 100], [86, 58, 0]), ([0, 0, 0], [0, 0, 0], [100, 100, 100])]
        {
            let (mut a, mut b) = (raw, raw);
            default_normalize(&mut a, false);
            default_normalize(&mut b, true);
            assert_eq!((a, b), (plain, reversed), "{raw:?}");
        }
    }
}
