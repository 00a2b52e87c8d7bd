//! Keeps pods from nodes whose kubelet has turned such a pod away lately (`OutOfcpu`, `NodeAffinity`, …), until a while has passed.
//! In every profile, though kube-scheduler has nothing like it: two schedulers, or a node that knows better, would else loop.

use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{Pod, PodSpec};
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;

/// See the file.
pub(crate) struct KubeletRejections;

impl Plugin for KubeletRejections {
    fn name(&self) -> &'static str {
        "KubeletRejections"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let (snapshot, spec) = (attempt.snapshot, &attempt.pod.spec);
        let concerned = snapshot.turned_away.values().flatten().any(|(turned_away, _)| turned_away.is_of_shape(spec));
        if concerned { Prepared::filter(Rejected { snapshot, spec }) } else { Prepared::default() }
    }

    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        matches!(event, ClusterEvent::NodeAdded(_) | ClusterEvent::Readmits(_))
    }
}

struct Rejected<'a> {
    snapshot: &'a Snapshot,
    spec: &'a PodSpec,
}

impl Rejected<'_> {
    /// The kubelet's reason for turning such a pod away.
    fn reason(&self, node: &str) -> Option<&Str> {
        self.snapshot.turned_away.get(node)?.iter().find(|(spec, _)| spec.is_of_shape(self.spec)).map(|(_, reason)| reason)
    }
}

impl Filter for Rejected<'_> {
    /// Nobody's leaving makes the kubelet change its mind.
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        self.reason(&node.node.name).map(|_| Refusal::unresolvable("node(s) had a kubelet that turned such a pod away lately"))
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        self.reason(&node.node.name).map(|reason| format!("the kubelet's reason was {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, requesting};

    #[test]
    fn node_that_turned_a_pod_away_is_out_for_pods_of_its_shape_alone() {
        let mut cluster = Cluster::of([node("a"), node("b")]);
        cluster.snapshot.turned_away.insert("a".into(), [(requesting("gone", "1", "1Gi").spec, "OutOfcpu".into())].into());
        for (pod, feasible) in [(requesting("p", "1", "1Gi"), &["b"][..]), (requesting("q", "2", "1Gi"), &["a", "b"])] {
            let decision = cluster.decide(&["NodeResourcesFit"], &pod);
            assert_eq!(decision.feasible().iter().map(|n| &**n).collect::<alloc::vec::Vec<_>>(), feasible, "{}", pod.name);
        }
        let decision = cluster.decide(&["NodeResourcesFit"], &requesting("p", "1", "1Gi"));
        assert_eq!(decision.against("a"), "node(s) had a kubelet that turned such a pod away lately");
    }

    #[test]
    fn only_a_node_that_is_new_or_let_in_again_wakes_the_pod() {
        let helps = |event: &ClusterEvent<'_>| KubeletRejections.helps(&pod("p"), event);
        assert!(helps(&ClusterEvent::Readmits(&"a".into())) && helps(&ClusterEvent::NodeAdded(&node("b"))));
        assert!(!helps(&ClusterEvent::PodRemoved(&pod("q"))));
    }
}
