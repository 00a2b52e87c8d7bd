//! Holds pods to the nodes that their node selector and node affinity ask for, and prefers the preferred ones.
//! Leaves out matching a single term: see `aisched_model::selector`.

use super::ai_storage::NOT_ALLOWED;
use super::args::NodeAffinityArgs;
use crate::cures::Change;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal, Scale, Score, Trait};
use crate::policy_terms::requirement;
use aisched_model::Str;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, PodSpec};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement, any_term_matches};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct NodeAffinity {
    /// Arguments.
    pub args: NodeAffinityArgs,
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let spec = &*attempt.pod.spec;
        let mut prepared = Prepared::default();
        if let Some(terms) = &spec.node_affinity.required {
            prepared.only_nodes = nodes_by_name(terms);
            if prepared.only_nodes.as_ref().is_some_and(Vec::is_empty) {
                return Prepared::refuse(Refusal::unresolvable("pod affinity terms conflict"));
            }
        }
        let added = self.added_terms();
        let constraints = attempt.policy.map(|p| p.constraints.iter().map(requirement).collect()).unwrap_or_default();
        if added.is_some() || spec.node_affinity.required.is_some() || !spec.node_selector.is_empty() {
            prepared = Prepared { only_nodes: prepared.only_nodes, ..Prepared::filter(Required { added, spec, constraints }) };
        }
        let added = self.args.added_affinity.iter().flat_map(|a| &a.preferred);
        let terms: Vec<_> = added.chain(&spec.node_affinity.preferred).collect();
        if terms.is_empty() { prepared } else { prepared.and_score(Preferred { terms }) }
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let enforced = |node: &Node| self.added_terms().is_none_or(|terms| any_term_matches(terms, &node.name, &node.labels));
        match event {
            ClusterEvent::NodeAdded(node) => enforced(node) && matches(&pod.spec, node),
            ClusterEvent::NodeChanged { old, new } => enforced(new) && matches(&pod.spec, new) && !matches(&pod.spec, old),
            _ => false,
        }
    }
}

impl NodeAffinity {
    /// Required terms that hold for every pod.
    fn added_terms(&self) -> Option<&[NodeSelectorTerm]> {
        self.args.added_affinity.as_ref()?.required.as_deref()
    }
}

/// Whether a node has what the pod's selector and required affinity ask for.
fn matches(spec: &PodSpec, node: &Node) -> bool {
    spec.node_selector.iter().all(|(key, value)| node.labels.has(key, value))
        && spec.node_affinity.required.as_ref().is_none_or(|terms| any_term_matches(terms, &node.name, &node.labels))
}

/// The only nodes that could match, when every term names some: what each term allows, together. `None`: any could.
fn nodes_by_name(terms: &[NodeSelectorTerm]) -> Option<Vec<Str>> {
    let names = |r: &Requirement| *r.key == *"metadata.name" && r.operator == Operator::In;
    let mut allowed = BTreeSet::new();
    for term in terms {
        let mut named = term.fields.iter().filter(|r| names(r));
        let first = named.next()?;
        let rest: Vec<_> = named.collect();
        allowed.extend(first.values.iter().filter(|name| rest.iter().all(|r| r.values.contains(name))).cloned());
    }
    (!terms.is_empty()).then(|| allowed.into_iter().collect())
}

struct Required<'a> {
    added: Option<&'a [NodeSelectorTerm]>,
    spec: &'a PodSpec,
    /// Which of the terms are a policy's constraints, to tell whose word it is that refuses a node.
    constraints: Vec<Requirement>,
}

impl Required<'_> {
    fn broken_constraint(&self, node: &Node) -> Option<&Requirement> {
        self.constraints.iter().find(|c| !c.matches(&node.labels))
    }
}

impl Filter for Required<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        let terms = || self.added.into_iter().flatten().chain(self.spec.node_affinity.required.iter().flatten());
        if terms().any(|term| !term.fields.is_empty()) {
            return None;
        }
        let own = terms().flat_map(|term| &term.labels).chain(&self.constraints).map(|r| &r.key);
        let mut keys = own.chain(self.spec.node_selector.iter().map(|(key, _)| key));
        let first = keys.next()?;
        keys.all(|key| key == first).then_some(Trait::Label(first))
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let node = &*node.node;
        if self.added.is_some_and(|terms| !any_term_matches(terms, &node.name, &node.labels)) {
            return Some(Refusal::unresolvable("node(s) didn't match scheduler-enforced node affinity"));
        }
        if matches(self.spec, node) {
            return None;
        }
        let of_policy = self.broken_constraint(node).is_some();
        Some(Refusal::unresolvable(if of_policy { NOT_ALLOWED } else { "node(s) didn't match Pod's node affinity/selector" }))
    }

    /// The labels of the selector, and those of the term that lacks the fewest.
    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let node = &*node.node;
        let selector = self.spec.node_selector.iter().filter(|(key, value)| !node.labels.has(key, value));
        let selector = selector.map(|(key, value)| Change::Label(key.clone(), Some(value.clone())));
        let terms = [self.added, self.spec.node_affinity.required.as_deref()].into_iter().flatten();
        let lacking: Option<Vec<Vec<Change>>> =
            terms.map(|terms| terms.iter().filter_map(|t| lacks(t, node)).min_by_key(Vec::len)).collect();
        let Some(lacking) = lacking else { return Vec::new() };
        let mut all: Vec<Change> = selector.chain(lacking.into_iter().flatten()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let Requirement { key, operator, values } = self.broken_constraint(&node.node)?;
        let mut wanted = format!("{key} {operator:?}");
        if let [first, rest @ ..] = values.as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(", +{} more", rest.len()) };
            wanted.push_str(&format!(" {first}{more}"));
        }
        let has = node.node.labels.get(key).map_or_else(|| "is not there".into(), |v| format!("is {v:?}"));
        Some(format!("APOLLO requires {wanted}; the label {has}"))
    }
}

/// The labels that a node would have to have for a term to match; `None` when labels are not enough.
fn lacks(term: &NodeSelectorTerm, node: &Node) -> Option<Vec<Change>> {
    let by_name = NodeSelectorTerm { labels: Vec::new(), fields: term.fields.clone() };
    if term.labels.is_empty() && term.fields.is_empty() || (!term.fields.is_empty() && !by_name.matches(&node.name, &node.labels)) {
        return None;
    }
    let change = |r: &Requirement| {
        let value = match r.operator {
            Operator::In => Some(r.values.first()?.clone()),
            Operator::Exists => Some("true".into()),
            Operator::NotIn | Operator::DoesNotExist => None,
            Operator::Gt => Some(format!("{}", r.values.first()?.parse::<i64>().ok()?.checked_add(1)?).into()),
            Operator::Lt => Some(format!("{}", r.values.first()?.parse::<i64>().ok()?.checked_sub(1)?).into()),
        };
        Some(Change::Label(r.key.clone(), value))
    };
    term.labels.iter().filter(|r| !r.matches(&node.labels)).map(change).collect()
}

struct Preferred<'a> {
    terms: Vec<&'a (i32, NodeSelectorTerm)>,
}

impl Score for Preferred<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    /// Sums the weights of the terms that match.
    fn raw(&self, node: &NodeInfo) -> i64 {
        let node = &*node.node;
        let matching = self.terms.iter().filter(|(_, term)| term.matches(&node.name, &node.labels));
        matching.map(|(weight, _)| i64::from(*weight)).sum()
    }

    fn scale(&self) -> Scale {
        Scale::Highest { reverse: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, labelled, pod, with};
    use Operator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    use aisched_model::labels::Labels;
    use aisched_model::pod;
    use alloc::boxed::Box;

    const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement { key: key.into(), operator, values: values.iter().map(|v| Str::from(*v)).collect() }
    }

    fn labels(key: &str, operator: Operator, values: &[&str]) -> NodeSelectorTerm {
        NodeSelectorTerm { labels: alloc::vec![requirement(key, operator, values)], fields: Vec::new() }
    }

    fn named(names: &[&str]) -> NodeSelectorTerm {
        NodeSelectorTerm { labels: Vec::new(), fields: names.iter().map(|n| requirement("metadata.name", In, &[n])).collect() }
    }

    fn requiring(terms: &[NodeSelectorTerm]) -> Pod {
        with(pod("p"), |s| s.node_affinity.required = Some(terms.to_vec()))
    }

    fn preferring(terms: &[(i32, NodeSelectorTerm)]) -> Pod {
        with(pod("p"), |s| s.node_affinity.preferred = terms.to_vec())
    }

    #[test]
    fn node_selector_wants_every_pair() {
        let cluster = Cluster::of([labelled("n", [("disk", "ssd"), ("zone", "a")])]);
        for (selector, fits) in [
            (Labels::from([("disk", "ssd")]), true),
            (Labels::from([("disk", "ssd"), ("zone", "a")]), true),
            (Labels::from([("disk", "ssd"), ("zone", "b")]), false),
            (Labels::from([("gpu", "")]), false),
            (Labels::default(), true),
        ] {
            let pod = with(pod("p"), |s| s.node_selector = selector.clone());
            assert_eq!(cluster.decide(&["NodeAffinity"], &pod).against("n"), if fits { "" } else { REASON }, "{selector:?}");
        }
    }

    #[test]
    fn required_terms_are_alternatives_of_joint_requirements() {
        let both = |a: &NodeSelectorTerm, b: &NodeSelectorTerm| NodeSelectorTerm {
            labels: [a.labels.clone(), b.labels.clone()].concat(),
            ..a.clone()
        };
        let (foo, bar) = (labels("foo", In, &["bar", "baz"]), labels("cpus", Gt, &["15"]));
        let cluster = Cluster::of([labelled("n", [("foo", "bar"), ("cpus", "16")])]);
        for (terms, fits) in [
            (Vec::new(), false),
            (alloc::vec![NodeSelectorTerm::default()], false),
            (alloc::vec![foo.clone()], true),
            (alloc::vec![bar.clone()], true),
            (alloc::vec![both(&foo, &bar)], true),
            (alloc::vec![both(&foo, &labels("cpus", Lt, &["16"]))], false),
            (alloc::vec![labels("foo", In, &["other"]), bar.clone()], true),
            (alloc::vec![labels("foo", NotIn, &["bar"])], false),
            (alloc::vec![labels("absent", NotIn, &["x"])], true),
            (alloc::vec![labels("foo", Exists, &[])], true),
            (alloc::vec![labels("foo", DoesNotExist, &[])], false),
            (alloc::vec![labels("absent", DoesNotExist, &[])], true),
            (alloc::vec![labels("foo", Gt, &["1"])], false),
        ] {
            let against = cluster.decide(&["NodeAffinity"], &requiring(&terms)).against("n");
            assert_eq!(against, if fits { "" } else { REASON }, "{terms:?}");
        }
    }

    #[test]
    fn terms_that_all_name_nodes_narrow_the_search() {
        let cluster = Cluster::of([labelled("a", [("x", "1")]), labelled("b", []), labelled("c", [])]);
        let outside = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
        let labelled_a = NodeSelectorTerm { labels: labels("x", In, &["2"]).labels, ..named(&["a"]) };
        for (terms, against_each, message) in [
            (alloc::vec![named(&["a"])], ["", outside, outside], None),
            (alloc::vec![named(&["a"]), named(&["b"])], ["", "", outside], None),
            (alloc::vec![named(&["a"]), labels("x", In, &["1"])], ["", REASON, REASON], None),
            (
                alloc::vec![labelled_a],
                [REASON, outside, outside],
                Some(
                    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
                ),
            ),
            (
                alloc::vec![named(&["gone"])],
                [outside; 3],
                Some("0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]."),
            ),
            (
                alloc::vec![named(&["a", "b"])],
                ["pod affinity terms conflict"; 3],
                Some("0/3 nodes are available: pod affinity terms conflict."),
            ),
            (alloc::vec![named(&["a", "b"]), named(&["c", "c"])], [outside, outside, ""], None),
        ] {
            let decision = cluster.decide(&["NodeAffinity"], &requiring(&terms));
            assert_eq!(["a", "b", "c"].map(|n| decision.against(n)), against_each, "{terms:?}");
            assert_eq!(decision.message.as_deref(), message, "{terms:?}");
        }
    }

    #[test]
    fn preferred_terms_score_by_weight() {
        let cluster = Cluster::of([labelled("a", [("zone", "1"), ("ssd", "")]), labelled("b", [("zone", "1")]), labelled("c", [])]);
        for (terms, expected) in [
            (Vec::new(), None),
            (alloc::vec![(3, labels("zone", In, &["1"])), (5, labels("ssd", Exists, &[]))], Some([100, 37, 0])),
            (alloc::vec![(1, labels("gpu", Exists, &[]))], Some([0, 0, 0])),
            (alloc::vec![(7, named(&["c"]))], Some([0, 0, 100])),
        ] {
            let decision = cluster.decide(&["NodeAffinity"], &preferring(&terms));
            let scores = ["a", "b", "c"].map(|n| decision.score(n, "NodeAffinity"));
            assert_eq!(scores, expected.map_or([None; 3], |e| e.map(Some)), "{terms:?}");
        }
    }

    fn enforcing(required: NodeSelectorTerm, preferred: (i32, NodeSelectorTerm)) -> NodeAffinity {
        let added = pod::NodeAffinity { required: Some(alloc::vec![required]), preferred: alloc::vec![preferred] };
        NodeAffinity { args: NodeAffinityArgs { added_affinity: Some(added) } }
    }

    #[test]
    fn added_affinity_holds_for_every_pod() {
        let enforced = "node(s) didn't match scheduler-enforced node affinity";
        let cluster = Cluster::of([labelled("a", [("pool", "ai"), ("ssd", "")]), labelled("b", [("pool", "ai")]), labelled("c", [])]);
        let plugin = || Box::new(enforcing(labels("pool", In, &["ai"]), (2, labels("ssd", Exists, &[]))));
        for (pod, against, scores) in [
            (pod("p"), ["", "", enforced], [Some(100), Some(0)]),
            (preferring(&[(2, named(&["b"]))]), ["", "", enforced], [Some(100), Some(100)]),
            (requiring(&[labels("ssd", DoesNotExist, &[])]), [REASON, "", enforced], [None, Some(0)]),
        ] {
            let decision = cluster.decide_plugin(plugin(), &pod);
            assert_eq!(["a", "b", "c"].map(|n| decision.against(n)), against);
            let score = |n: &str| decision.feasible().contains(&n.into()).then(|| decision.score(n, "NodeAffinity").unwrap());
            assert_eq!(["a", "b"].map(score), scores);
        }
    }

    #[test]
    fn node_helps_when_it_begins_to_match() {
        let (with_zone, without) = (labelled("n", [("zone", "1")]), labelled("n", []));
        let pod = requiring(&[labels("zone", In, &["1"])]);
        for (event, expected, enforced) in [
            (ClusterEvent::NodeAdded(&with_zone), true, false),
            (ClusterEvent::NodeAdded(&without), false, false),
            (ClusterEvent::NodeChanged { old: &without, new: &with_zone }, true, false),
            (ClusterEvent::NodeChanged { old: &with_zone, new: &with_zone }, false, false),
            (ClusterEvent::NodeChanged { old: &with_zone, new: &without }, false, false),
            (ClusterEvent::PodRemoved(&pod), false, false),
        ] {
            assert_eq!(NodeAffinity::default().helps(&pod, &event), expected, "{event:?}");
            let enforcing = enforcing(labels("pool", Exists, &[]), (1, named(&["n"])));
            assert_eq!(enforcing.helps(&pod, &event), enforced, "enforced {event:?}");
        }
    }
}
