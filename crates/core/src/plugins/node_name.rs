//! Holds a pod that names its node to that node.
//! Seldom has anything to do: such pods do not pass through a scheduler, only through dry runs.

use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use alloc::vec;

/// kube-scheduler's plugin of the same name.
pub(crate) struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        match &attempt.pod.node {
            Some(node) => Prepared { only_nodes: Some(vec![node.clone()]), ..Prepared::filter(Named(node)) },
            None => Prepared::default(),
        }
    }

    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        matches!(event, ClusterEvent::NodeAdded(_))
    }
}

struct Named<'a>(&'a Str);

impl Filter for Named<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        (node.node.name != *self.0).then(|| Refusal::unresolvable("node(s) didn't match the requested node name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod};
    use alloc::sync::Arc;

    #[test]
    fn pod_that_names_its_node_goes_nowhere_else() {
        let cluster = Cluster::of([node("a"), node("b")]);
        for (named, feasible, message) in [
            (None, &["a", "b"][..], None),
            (Some("b"), &["b"], None),
            (Some("c"), &[], Some("0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeName].")),
        ] {
            let pod = Pod { node: named.map(Str::from), ..pod("p") };
            let decision = cluster.decide(&["NodeName"], &pod);
            assert_eq!(decision.feasible().iter().map(|n| &**n).collect::<vec::Vec<_>>(), feasible, "{named:?}");
            assert_eq!(decision.message.as_deref(), message, "{named:?}");
        }
    }

    #[test]
    fn filter_alone_says_why() {
        let (name, other) = (Str::from("a"), NodeInfo::new(Arc::new(node("b"))));
        let refusal = Refusal::unresolvable("node(s) didn't match the requested node name");
        assert_eq!(Named(&name).check(&other), Some(refusal));
    }

    #[test]
    fn only_a_new_node_helps() {
        assert!(NodeName.helps(&pod("p"), &ClusterEvent::NodeAdded(&node("any"))));
        assert!(!NodeName.helps(&pod("p"), &ClusterEvent::NodeChanged { old: &node("a"), new: &node("a") }));
    }
}
