//! What explanations show of a policy beyond its effects: the server's decision, its reason, and what it says that nothing acts on.
//! Leaves out the workload profile and the nodes: those are other parts of a decision.

use crate::decision::{Advice, PolicyView};
use aisched_model::policy::{Policy, PolicyDecision, PolicySource, Shown};
use alloc::string::ToString;
use alloc::vec::Vec;

impl PolicyView {
    /// The view of a policy, or of the lack of one.
    #[must_use]
    pub fn of(policy: Option<&Policy>, source: PolicySource) -> Self {
        let Some(policy) = policy else { return Self { source: source.as_str(), ..Self::default() } };
        Self {
            source: source.as_str(),
            request_id: policy.request_id.clone(),
            decision: Some(word(policy.decision)),
            reason: Some(policy.reason.clone()).filter(|reason| !reason.is_empty()),
            advice: advice(&policy.shown),
            shares_weights: policy.plugin_weights.is_some(),
        }
    }
}

/// The decision's word on the wire.
fn word(decision: PolicyDecision) -> &'static str {
    match decision {
        PolicyDecision::Allow => "ALLOW",
        PolicyDecision::Prefer => "PREFER",
        PolicyDecision::Require => "REQUIRE",
        PolicyDecision::Delay => "DELAY",
        PolicyDecision::Reject => "REJECT",
    }
}

fn advice(shown: &Shown) -> Advice {
    let text = |n: Option<i64>| n.map(|n| n.to_string());
    let flag = |set: bool| set.then(|| "true".into());
    let fields = [
        ("confidence", shown.confidence.map(|c| c.to_string())),
        ("workloadType", shown.workload_type.as_deref().map(Into::into)),
        ("framework", shown.framework.as_deref().map(Into::into)),
        ("pipelineStep", shown.pipeline_step.as_deref().map(Into::into)),
        ("gpuWorkload", flag(shown.is_gpu_workload)),
        ("distributed", flag(shown.is_distributed)),
        ("pipeline", flag(shown.is_pipeline)),
        ("batchSize", text(shown.batch_size.map(i64::from))),
        ("priority", text(shown.priority.map(i64::from))),
        ("allowPreemption", flag(shown.allow_preemption)),
        ("cpuCores", shown.cpu_cores.map(|c| c.to_string())),
        ("memoryBytes", text(shown.memory_bytes)),
        ("storageBytes", text(shown.storage_bytes)),
        ("gpuCount", text(shown.gpu_count.map(i64::from))),
        ("expectedIops", text(shown.expected_iops)),
        ("expectedThroughputMbps", text(shown.expected_throughput_mbps)),
    ];
    Advice(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod};
    use alloc::vec;

    #[test]
    fn policy_is_shown_with_its_reason_and_what_nothing_acts_on() {
        let shown = Shown { confidence: Some(0.9), priority: Some(-5), is_distributed: true, gpu_count: Some(8), ..Shown::default() };
        let policy = Policy { decision: PolicyDecision::Prefer, reason: "data is near".into(), shown, ..Policy::default() };
        let view = Cluster::of([node("n")]).policy(policy).decide(&["NodeName"], &pod("p")).policy;
        assert_eq!((view.source, view.decision, view.reason.as_deref()), ("APOLLO", Some("PREFER"), Some("data is near")));
        let advice = [("confidence", "0.9"), ("distributed", "true"), ("priority", "-5"), ("gpuCount", "8")];
        assert_eq!(view.advice.0, advice.map(|(name, value)| (name, value.to_string())).to_vec());
    }

    #[test]
    fn nothing_is_shown_of_no_policy() {
        let view = Cluster::of([node("n")]).decide(&["NodeName"], &pod("p")).policy;
        assert_eq!(view, PolicyView { source: "FALLBACK", ..PolicyView::default() });
        assert_eq!(view.advice.0, vec![]);
    }
}
