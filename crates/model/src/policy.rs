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
    /// GB, rounded up from bytes.
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
