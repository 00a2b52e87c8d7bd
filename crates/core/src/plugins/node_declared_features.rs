//! Refuses nodes that do not declare a feature which the pod cannot do without.
//! Leaves out which fields of a pod need which feature: whoever makes pods of the model knows them.

use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::String;

/// kube-scheduler's plugin of the same name.
pub(crate) struct NodeDeclaredFeatures;

impl Plugin for NodeDeclaredFeatures {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatures"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let needed = attempt.pod.spec.required_features.as_slice();
        if needed.is_empty() { Prepared::default() } else { Prepared::filter(Declared { needed }) }
    }

    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeChanged { old, new } => old.declared_features != new.declared_features,
            ClusterEvent::OwnChange { old, new } => old.spec.required_features != new.spec.required_features,
            _ => false,
        }
    }
}

struct Declared<'a> {
    needed: &'a [Str],
}

impl Declared<'_> {
    fn missing(&self, node: &NodeInfo) -> Option<&Str> {
        self.needed.iter().find(|feature| !node.node.declared_features.contains(feature))
    }
}

impl Filter for Declared<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        self.missing(node)?;
        Some(Refusal::unresolvable("node(s) didn't match Pod's required features"))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        Some(format!("the node does not declare {}", self.missing(node)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, with};
    use aisched_model::node::Node;

    fn declaring(name: &str, features: &[&str]) -> Node {
        Node { declared_features: features.iter().map(|f| Str::from(*f)).collect(), ..node(name) }
    }

    fn needing(features: &[&str]) -> Pod {
        with(pod("p"), |s| s.required_features = features.iter().map(|f| Str::from(*f)).collect())
    }

    #[test]
    fn node_has_to_declare_all_that_the_pod_needs() {
        let cluster = Cluster::of([declaring("a", &["A"]), declaring("ab", &["A", "B", "C"]), node("none")]);
        for (needed, feasible) in [(&[][..], &["a", "ab", "none"][..]), (&["A"], &["a", "ab"]), (&["A", "B"], &["ab"]), (&["D"], &[])] {
            let decision = cluster.decide(&["NodeDeclaredFeatures"], &needing(needed));
            assert!(decision.feasible().iter().map(|n| &**n).eq(feasible.iter().copied()), "{needed:?}: {:?}", decision.feasible());
        }
        let refused = cluster.decide(&["NodeDeclaredFeatures"], &needing(&["D"]));
        assert_eq!(refused.message.as_deref(), Some("0/3 nodes are available: 3 node(s) didn't match Pod's required features."));
        assert_eq!(refused.nodes[0].reasons[0].detail.as_deref(), Some("the node does not declare D"));
    }

    #[test]
    fn changed_declarations_and_needs_help() {
        let (a, b) = (declaring("n", &["A"]), declaring("n", &["B"]));
        for (event, expected) in [
            (ClusterEvent::NodeAdded(&a), true),
            (ClusterEvent::NodeChanged { old: &a, new: &b }, true),
            (ClusterEvent::NodeChanged { old: &a, new: &a }, false),
            (ClusterEvent::NodeGone(&a, &[]), false),
            (ClusterEvent::OwnChange { old: &needing(&["A"]), new: &needing(&["B"]) }, true),
            (ClusterEvent::OwnChange { old: &needing(&["A"]), new: &needing(&["A"]) }, false),
        ] {
            assert_eq!(NodeDeclaredFeatures.helps(&pod("p"), &event), expected, "{event:?}");
        }
    }
}
