//! Refuses cordoned nodes to pods that do not tolerate it.
//! Does not look at taints in general: see `taint_toleration`.

use crate::cures::Change;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal, Trait};
use aisched_model::node::{NodeInfo, Taint};
use aisched_model::pod::{Pod, TaintEffect};
use alloc::vec;
use alloc::vec::Vec;

/// The taint that a cordoned node carries.
const UNSCHEDULABLE_KEY: &str = "node.kubernetes.io/unschedulable";

/// kube-scheduler's plugin of the same name.
pub(crate) struct NodeUnschedulable;

fn tolerates_cordon(pod: &Pod) -> bool {
    let taint = Taint { key: UNSCHEDULABLE_KEY.into(), value: "".into(), effect: TaintEffect::NoSchedule };
    pod.spec.tolerations.iter().any(|t| t.tolerates(&taint, false))
}

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        if tolerates_cordon(attempt.pod) { Prepared::default() } else { Prepared::filter(Cordoned) }
    }

    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(node) => !node.unschedulable,
            ClusterEvent::NodeChanged { old, new } => old.unschedulable && !new.unschedulable,
            ClusterEvent::OwnChange { new, .. } => tolerates_cordon(new),
            _ => false,
        }
    }
}

struct Cordoned;

impl Filter for Cordoned {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        Some(Trait::Cordon)
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        node.node.unschedulable.then(|| Refusal::unresolvable("node(s) were unschedulable"))
    }

    fn cure(&self, _node: &NodeInfo) -> Vec<Change> {
        vec![Change::Uncordon]
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Cluster, node, pod, with};
    use aisched_model::node::Node;
    use aisched_model::pod::{Toleration, TolerationOperator};

    #[test]
    fn cordoned_node_is_refused_unless_tolerated() {
        let cluster = Cluster::of([Node { unschedulable: true, ..node("cordoned") }, node("open")]);
        let decision = cluster.decide(&["NodeUnschedulable"], &pod("p"));
        assert_eq!(decision.against("cordoned"), "node(s) were unschedulable");
        assert_eq!(decision.node.as_deref(), Some("open"));
        let everything = Toleration { key: "".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
        let tolerant = with(pod("p"), |s| s.tolerations.push(everything));
        assert_eq!(cluster.decide(&["NodeUnschedulable"], &tolerant).against("cordoned"), "");
    }

    #[test]
    fn message_counts_refusals() {
        let cluster = Cluster::of([Node { unschedulable: true, ..node("a") }, Node { unschedulable: true, ..node("b") }]);
        let decision = cluster.decide(&["NodeUnschedulable"], &pod("p"));
        assert_eq!(decision.message.as_deref(), Some("0/2 nodes are available: 2 node(s) were unschedulable."));
    }
}
