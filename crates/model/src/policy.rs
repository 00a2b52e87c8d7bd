//! What APOLLO says of one pod, already decoded and cleaned (see `docs/reference/apollo.md` and the policy's wire contract).
//! Leaves out transport and caching: that is `aisched-apollo`'s.

use crate::Str;
use crate::workload::{IoPattern, PreprocessingType, Stage, Tier};
use alloc::vec::Vec;

/// A policy for one pod. Absent fields are `None` or empty: zero values on the wire never arrive here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Names the answer when its result is reported; `None` when the server sent none.
    pub request_id: Option<Str>,
    /// What the server wants done with the pod.
    pub decision: PolicyDecision,
    /// The server's own words, shown to people.
    pub reason: Str,
    /// Preferred nodes as listed; names trimmed, blank ones dropped, scores as sent.
    pub node_preferences: Vec<NodePreference>,
    /// Findings about the workload.
    pub findings: Findings,
    /// Values that the server fills in for every pod it knows nothing of.
    pub defaults: Findings,
    /// Nodes that hold the pod's data.
    pub data_locations: Vec<Str>,
    /// Nodes that cache the pod's data.
    pub cached_on_nodes: Vec<Str>,
    /// Shares of the plugins' weight; `None` when none were sent. Order: data locality, storage tier, I/O pattern, Kueue, pipeline stage.
    pub plugin_weights: Option<[f32; 5]>,
    /// Node filters; all of them must hold.
    pub constraints: Vec<NodeConstraint>,
    /// Terms that count as the pod's own affinity terms.
    pub affinity: Vec<AffinityTerm>,
    /// Facts for explanations alone.
    pub shown: Shown,
}

/// One node filter of a policy: what a required node-affinity expression of the pod would mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConstraint {
    /// Label key of the node.
    pub key: Str,
    /// How the label is compared.
    pub operator: ConstraintOperator,
    /// Values compared with: any number for `In` (none: no node passes) and `NotIn`, exactly one integer for `Gt` and `Lt`, none otherwise.
    pub values: Vec<Str>,
}

/// The operators of Kubernetes' node selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintOperator {
    /// The label is one of the values.
    In,
    /// The label is absent or none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the value.
    Gt,
    /// The label is an integer below the value.
    Lt,
}

impl ConstraintOperator {
    /// Every operator, in Kubernetes' order.
    pub const ALL: [Self; 6] = [Self::In, Self::NotIn, Self::Exists, Self::DoesNotExist, Self::Gt, Self::Lt];

    /// Kubernetes' word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
        }
    }

    /// Reads Kubernetes' word, without regard to case.
    #[must_use]
    pub fn from_spelling(value: &str) -> Option<Self> {
        let value = value.trim();
        Self::ALL.into_iter().find(|operator| value.eq_ignore_ascii_case(operator.as_str()))
    }
}

/// One affinity rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffinityTerm {
    /// What is matched.
    pub kind: AffinityKind,
    /// Topology domain within which pods are looked for; empty only for [`AffinityKind::Node`].
    pub topology_key: Str,
    /// Labels that a node, or a pod in the domain, must all carry; never empty.
    pub labels: Vec<(Str, Str)>,
    /// Whether the term binds.
    pub strength: AffinityStrength,
}

/// Whether an affinity term is a filter or a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityStrength {
    /// A filter.
    Required,
    /// A score of this weight, 1 to 100.
    Preferred(i32),
}

/// What an affinity term matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityKind {
    /// The node's labels.
    Node,
    /// Pods of the same domain attract.
    Pod,
    /// Pods of the same domain repel.
    PodAnti,
}

/// What a policy says that is shown in explanations and acted on by nothing: the pod's own requests and PriorityClass rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// How sure the server is, 0 to 1 from the servers known; finite.
    pub confidence: Option<f64>,
    /// Kind of data: `image`, `text`, `generic`, ….
    pub workload_type: Option<Str>,
    /// Framework found, with its version behind a blank when it was sent.
    pub framework: Option<Str>,
    /// The server's word for the pipeline step.
    pub pipeline_step: Option<Str>,
    /// Whether the server takes the pod for a GPU workload.
    pub is_gpu_workload: bool,
    /// Whether the server takes the pod for a part of a distributed workload.
    pub is_distributed: bool,
    /// Whether the server takes the pod for a part of a pipeline.
    pub is_pipeline: bool,
    /// Batch size estimated.
    pub batch_size: Option<i32>,
    /// Priority wished for.
    pub priority: Option<i32>,
    /// Whether the server would let the pod preempt others.
    pub allow_preemption: bool,
    /// Cores computed.
    pub cpu_cores: Option<f64>,
    /// Memory computed, in bytes.
    pub memory_bytes: Option<i64>,
    /// Storage computed, in bytes.
    pub storage_bytes: Option<i64>,
    /// GPUs computed.
    pub gpu_count: Option<i32>,
    /// I/O operations per second expected.
    pub expected_iops: Option<i64>,
    /// MB/s expected.
    pub expected_throughput_mbps: Option<i64>,
}

/// What APOLLO found out, or assumes, about a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Pipeline stage.
    pub stage: Option<Stage>,
    /// Preprocessing type.
    pub preprocessing_type: Option<PreprocessingType>,
    /// I/O pattern.
    pub io_pattern: Option<IoPattern>,
    /// Dataset names.
    pub datasets: Vec<Str>,
    /// Storage class asked for, as a tier.
    pub required_tier: Option<Tier>,
    /// Whether the workload can use computational storage.
    pub requires_csd: bool,
    /// I/O operations per second.
    pub required_iops: Option<i64>,
    /// MB/s.
    pub required_throughput_mbps: Option<i64>,
    /// GB of 2^30 bytes, rounded up from bytes: the field's engine writes `50` GB as 53687091200.
    pub required_capacity_gb: Option<i64>,
}

/// One preferred node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePreference {
    /// Node name, trimmed.
    pub node: Str,
    /// Score as sent; only the order among a policy's preferences means anything.
    pub score: i32,
}

/// The decision field of a policy. Unknown numbers count as [`PolicyDecision::Allow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyDecision {
    /// Hints only.
    #[default]
    Allow,
    /// Hints only.
    Prefer,
    /// Storage class and node preferences bind.
    Require,
    /// Hold the pod back.
    Delay,
    /// Do not schedule the pod.
    Reject,
}

/// Where a policy, or the lack of one, came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// A fresh answer.
    Success,
    /// An answer from the local cache.
    Cache,
    /// No answer: pod labels and annotations are used.
    Fallback,
}

impl PolicySource {
    /// The word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "APOLLO",
            Self::Cache => "CACHE",
            Self::Fallback => "FALLBACK",
        }
    }
}
