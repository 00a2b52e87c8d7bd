//! What goes into the engine (events) and what comes out of it (actions).
//! Adapters translate both to the world; the engine knows neither network nor clock.

use crate::consult::{Answer, Question};
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::devices::{ClaimPlan, DeviceClaim, DeviceClass, Slice, TaintRule};
use aisched_model::disruption::DisruptionBudget;
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::owners::OwnerId;
use aisched_model::pod::Pod;
use aisched_model::policy::{Policy, PolicySource};
use aisched_model::selector::LabelSelector;
use aisched_model::storage_facts::Fault;
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume, VolumePlan};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Milliseconds since an arbitrary start, never going back.
pub type Millis = u64;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A node is there, or changed; with the values on it that could not be used.
    NodeSet(Arc<Node>, Vec<Fault>),
    /// A node is gone.
    NodeGone(Str),
    /// A pod is there, or changed: any pod, of any scheduler, in any phase.
    PodSet(Arc<Pod>),
    /// A pod is gone.
    PodGone(PodRef),
    /// A claim is there, or changed.
    ClaimSet(Arc<Claim>),
    /// A claim is gone: namespace, name.
    ClaimGone(Str, Str),
    /// A volume is there, or changed.
    VolumeSet(Arc<Volume>),
    /// A volume is gone.
    VolumeGone(Str),
    /// A class is there, or changed.
    ClassSet(Arc<StorageClass>),
    /// A class is gone.
    ClassGone(Str),
    /// A node's drivers are there, or changed.
    CsiNodeSet(Arc<CsiNode>),
    /// A node's drivers are gone.
    CsiNodeGone(Str),
    /// A driver is there, or changed.
    CsiDriverSet(Arc<CsiDriver>),
    /// A driver is gone.
    CsiDriverGone(Str),
    /// What a driver says of its room is there, or changed.
    CapacitySet(Arc<StorageCapacity>),
    /// What a driver said of its room is gone: namespace, name.
    CapacityGone(Str, Str),
    /// A volume's attachment to a node is there, or changed.
    AttachmentSet(Arc<Attachment>),
    /// A volume's attachment to a node is gone.
    AttachmentGone(Str),
    /// A service or a controller is there with this selector, or (without one) is gone or selects nothing.
    OwnerSet(OwnerId, Option<Arc<LabelSelector>>),
    /// A namespace is there, or changed its labels.
    NamespaceSet(Str, Labels),
    /// A namespace is gone.
    NamespaceGone(Str),
    /// Something of devices is there, changed, or is gone.
    Devices(DeviceNews),
    /// An object of another system is there, or changed.
    ForeignSet(Foreign),
    /// An object of another system is gone.
    ForeignGone(ForeignName),
    /// Every first list has arrived: what is not here does not exist. Nothing is scheduled before.
    Synced,
    /// This process leads from now on: a [standby](crate::engine::EngineOptions::standby) engine begins to decide.
    Leading,
    /// A configuration was accepted, or the defaults are back.
    Configured(Arc<Config>),
    /// The policy service answered, or did not, for a waiting pod.
    PolicyAnswered(PolicyAnswer),
    /// A bind that the engine asked for has ended.
    BindEnded {
        /// The pod.
        pod: PodRef,
        /// The node it was to be bound to.
        node: Str,
        /// How it ended.
        outcome: BindOutcome,
    },
    /// Extenders answered the question of an [`Action::Consult`].
    Consulted(Answer),
    /// A disruption budget is there, or changed.
    BudgetSet(Arc<DisruptionBudget>),
    /// A disruption budget is gone: namespace, name.
    BudgetGone(Str, Str),
    /// The victims of a preemption that the engine asked for have been asked to go, or could not be.
    PreemptEnded {
        /// The pod that they were to make room for.
        pod: PodRef,
        /// Those that could not be deleted.
        failed: Vec<PodRef>,
    },
}

/// What happened to devices, their classes, and claims to them.
#[derive(Clone, Debug)]
pub enum DeviceNews {
    /// A claim is there, or changed.
    Claim(Arc<DeviceClaim>),
    /// A claim is gone: namespace, name.
    ClaimGone(Str, Str),
    /// A slice is there, or changed.
    Slice(Arc<Slice>),
    /// A slice is gone.
    SliceGone(Str),
    /// A class is there, or changed.
    Class(Arc<DeviceClass>),
    /// A class is gone.
    ClassGone(Str),
    /// A taint rule is there, or changed.
    Rule(Arc<TaintRule>),
    /// A taint rule is gone.
    RuleGone(Str),
}

/// An answer of the policy service.
#[derive(Clone, Debug)]
pub struct PolicyAnswer {
    /// UID of the pod asked about.
    pub uid: Str,
    /// Where the policy came from; [`PolicySource::Fallback`] when there is none.
    pub source: PolicySource,
    /// The policy.
    pub policy: Option<Arc<Policy>>,
}

/// How a bind ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// The pod is bound to the node.
    Bound,
    /// The pod is not bound; what the API server said.
    Failed(String),
    /// The pod is not bound because its volumes could not be; what went wrong with them.
    NoVolumes(String),
    /// The same, because the driver would not make the volume of this claim of the pod on the node and gave the node back.
    NotProvisioned(Str, String),
    /// The pod is not bound because another pod took its room while its volumes were being bound.
    Preempted,
    /// The pod is not bound because its devices could not be given to it, or are not ready; what went wrong with them.
    NoDevices(String),
    /// The pod no longer exists, or is bound to another node already, or is another process's to place.
    Gone(String),
}

/// Names one pod for good.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef {
    /// UID.
    pub uid: Str,
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
}

impl From<&Pod> for PodRef {
    fn from(pod: &Pod) -> Self {
        Self { uid: pod.uid.clone(), namespace: pod.namespace.clone(), name: pod.name.clone() }
    }
}

/// Something to do in the world.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ask the policy service about a pod; the answer comes as [`Event::PolicyAnswered`].
    FetchPolicy(Arc<Pod>),
    /// The pod is bound or gone: its cached policy is of no more use.
    ForgetPolicy(Str),
    /// Tell the policy service what became of an answer.
    ReportResult(ResultReport),
    /// Bind a pod; the outcome comes as [`Event::BindEnded`].
    Bind {
        /// The pod.
        pod: PodRef,
        /// The node.
        node: Str,
        /// What has to be done about its volumes first.
        volumes: Option<Arc<VolumePlan>>,
        /// What has to be done about its claims to devices before that.
        claims: Option<Arc<ClaimPlan>>,
        /// Whether an extender binds it.
        by_extender: bool,
        /// The pods that are bound with it: none of them before each could be.
        with: Option<Together>,
    },
    /// Ask extenders about a pod; the answer comes as [`Event::Consulted`], whatever happens.
    Consult(Question),
    /// Record an event on a pod or a node.
    RecordEvent(ApiEvent),
    /// Write the `PodScheduled` condition of a pod: status False.
    SetCondition {
        /// The pod.
        pod: PodRef,
        /// Generation of the pod that was judged.
        generation: i64,
        /// Whether the condition was not False before, so that its transition time moves.
        transition: bool,
        /// `Unschedulable`, `SchedulerError`, or `SchedulingGated` for a pod that something holds back.
        reason: &'static str,
        /// The whole message.
        message: Str,
    },
    /// Write a pod's `status.nominatedNodeName`; an empty node takes it away.
    Nominate {
        /// The pod.
        pod: PodRef,
        /// The node.
        node: Str,
    },
    /// Delete pods to make room for another; the outcome comes as [`Event::PreemptEnded`].
    Preempt {
        /// The pod that needs the room.
        pod: PodRef,
        /// The node that it is nominated to.
        node: Str,
        /// The pods that are to go.
        victims: Vec<PodRef>,
        /// Profile that speaks: the reporting controller.
        reporter: Str,
    },
    /// Do what a plugin can do for a pod that fits nowhere; what becomes of it, the watch shows.
    Remedy(crate::framework::Remedy),
    /// A policy question was settled, for the log.
    PolicyResolved {
        /// The pod.
        pod: PodRef,
        /// How.
        source: PolicySource,
    },
    /// A decision was taken, for the log and the records.
    Decided(Arc<crate::decision::Decision>),
}

/// Pods that are bound together, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// The same for all of them, and for nobody else.
    pub id: u64,
    /// How many they are.
    pub n: usize,
}

/// What became of a policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultReport {
    /// The answer.
    pub request_id: Str,
    /// The pod.
    pub pod: PodRef,
    /// The node, empty on failure.
    pub node: Str,
    /// Whether it was bound.
    pub success: bool,
    /// Why not, empty on success.
    pub failure_reason: Str,
    /// From entering the queue to the end, in milliseconds.
    pub duration_ms: i64,
}

/// An event to record on an object (events.k8s.io/v1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiEvent {
    /// What it is about.
    pub regarding: Regarding,
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason, a CamelCase word.
    pub reason: &'static str,
    /// What was being done, a CamelCase word.
    pub action: &'static str,
    /// The text, of any length; the recorder shortens it to what the API takes.
    pub note: String,
    /// Profile that speaks: the reporting controller.
    pub reporter: Str,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Regarding {
    /// A pod.
    Pod(PodRef),
    /// A node, by name.
    Node(Str),
    /// The configuration object: namespace, name.
    Config(Str, Str),
}
