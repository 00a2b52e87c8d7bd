//! Keeps pods with scheduling gates out of the queue.
//! Never sees a node: a gated pod is not attempted at all.

use crate::framework::{Attempt, ClusterEvent, Plugin, Prepared};
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;

/// kube-scheduler's plugin of the same name.
pub(crate) struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn gate(&self, pod: &Pod, _snapshot: &Snapshot) -> Option<String> {
        let gates = &pod.spec.scheduling_gates;
        (!gates.is_empty()).then(|| format!("waiting for scheduling gates: [{}]", gates.join(" ")))
    }

    fn prepare<'a>(&'a self, _attempt: &Attempt<'a>) -> Prepared<'a> {
        Prepared::default()
    }

    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::OwnChange { old, new } => !old.spec.scheduling_gates.is_empty() && new.spec.scheduling_gates.is_empty(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{pod, with};

    fn gated(gates: &[&str]) -> Pod {
        with(pod("p"), |s| s.scheduling_gates = gates.iter().map(|g| (*g).into()).collect())
    }

    #[test]
    fn gated_pod_waits_for_its_gates_by_name() {
        for (gates, expected) in [
            (&[][..], None),
            (&["a"], Some("waiting for scheduling gates: [a]")),
            (&["foo.com/x", "b"], Some("waiting for scheduling gates: [foo.com/x b]")),
        ] {
            assert_eq!(SchedulingGates.gate(&gated(gates), &Snapshot::default()).as_deref(), expected, "{gates:?}");
        }
    }

    #[test]
    fn only_the_last_gate_to_go_wakes_the_pod() {
        for (old, new, expected) in [(&["a"][..], &[][..], true), (&["a", "b"], &["a"], false), (&[], &[], false)] {
            let event = ClusterEvent::OwnChange { old: &gated(old), new: &gated(new) };
            assert_eq!(SchedulingGates.helps(&gated(old), &event), expected, "{old:?} to {new:?}");
        }
        assert!(!SchedulingGates.helps(&gated(&["a"]), &ClusterEvent::PodRemoved(&pod("other"))));
    }
}
