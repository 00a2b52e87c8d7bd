//! Constraints and rules judged by the plugins that judge a pod's own terms.

use super::*;
use crate::decision::Decision;
use crate::fixture::{Cluster, labelled, pod, with};
use aisched_model::labels::Labels;
use aisched_model::pod::SpreadConstraint;
use alloc::vec;

const BY_POLICY: &str = "node(s) were not allowed by the APOLLO policy";

fn constraint(key: &str, operator: ConstraintOperator, values: &[&str]) -> NodeConstraint {
    NodeConstraint { key: key.into(), operator, values: values.iter().map(|v| Str::from(*v)).collect() }
}

fn constrained(constraints: Vec<NodeConstraint>) -> Policy {
    Policy { constraints, ..Policy::default() }
}

fn ruled(kind: AffinityKind, topology_key: &str, label: (&str, &str), strength: AffinityStrength) -> Policy {
    let labels = vec![(label.0.into(), label.1.into())];
    Policy { affinity: vec![AffinityTerm { kind, topology_key: topology_key.into(), labels, strength }], ..Policy::default() }
}

/// What the plugins make of the pod under the policy, as an attempt would have it.
fn decide(cluster: Cluster, plugins: &[&str], pod: Pod, policy: &Policy) -> Decision {
    let judged = judged(&Arc::new(pod), Some(policy));
    cluster.policy(policy.clone()).decide(plugins, &judged)
}

fn disks() -> Cluster {
    Cluster::of([
        labelled("hdd-a", [("disk", "hdd"), ("zone", "a"), ("cores", "8")]),
        labelled("ssd-a", [("disk", "ssd"), ("zone", "a"), ("cores", "16")]),
        labelled("ssd-b", [("disk", "ssd"), ("zone", "b"), ("cores", "32")]),
    ])
}

fn in_zone_a() -> Pod {
    with(pod("p"), |s| s.node_selector = Labels::from([("zone", "a")]))
}

#[test]
fn constraints_are_a_node_filter_of_every_operator() {
    use ConstraintOperator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
    for (constraints, expected) in [
        (vec![constraint("disk", In, &["nvme", "ssd"])], &["ssd-a", "ssd-b"][..]),
        (vec![constraint("disk", In, &[])], &[]),
        (vec![constraint("disk", NotIn, &["ssd"])], &["hdd-a"]),
        (vec![constraint("disk", Exists, &[])], &["hdd-a", "ssd-a", "ssd-b"]),
        (vec![constraint("disk", DoesNotExist, &[])], &[]),
        (vec![constraint("cores", Gt, &["8"])], &["ssd-a", "ssd-b"]),
        (vec![constraint("cores", Lt, &["16"])], &["hdd-a"]),
        (vec![constraint("disk", In, &["ssd"]), constraint("zone", NotIn, &["b"])], &["ssd-a"]),
    ] {
        let decision = decide(disks(), &["NodeAffinity"], pod("p"), &constrained(constraints.clone()));
        assert!(decision.feasible().iter().map(|n| &**n).eq(expected.iter().copied()), "{constraints:?}: {:?}", decision.feasible());
    }
}

#[test]
fn refusal_says_whose_word_it_is() {
    let policy = constrained(vec![constraint("disk", ConstraintOperator::In, &["ssd", "nvme"])]);
    let decision = decide(disks(), &["NodeAffinity"], in_zone_a(), &policy);
    assert_eq!(decision.against("hdd-a"), BY_POLICY);
    assert_eq!(decision.against("ssd-b"), "node(s) didn't match Pod's node affinity/selector");
    let detail = decision.nodes.iter().find(|n| *n.node == *"hdd-a").and_then(|n| n.reasons[0].detail.clone());
    assert_eq!(detail.as_deref(), Some("APOLLO requires disk In ssd, +1 more; the label is \"hdd\""));
}

#[test]
fn policy_narrows_what_the_pod_requires_and_never_widens_it() {
    let zone = |value: &str| NodeSelectorTerm { labels: carrying(&[("zone".into(), value.into())]), fields: Vec::new() };
    let requiring = |terms: Vec<NodeSelectorTerm>| with(pod("p"), |s| s.node_affinity.required = Some(terms));
    let ssd_by_rule = ruled(AffinityKind::Node, "", ("disk", "ssd"), AffinityStrength::Required);
    let ssd_by_constraint = constrained(vec![constraint("disk", ConstraintOperator::In, &["ssd"])]);
    for (terms, expected) in [
        (vec![zone("a")], &["ssd-a"][..]),
        (vec![zone("a"), zone("b")], &["ssd-a", "ssd-b"]),
        (vec![NodeSelectorTerm::default()], &[]),
        (vec![NodeSelectorTerm::default(), zone("b")], &["ssd-b"]),
        (vec![], &[]),
    ] {
        for policy in [&ssd_by_rule, &ssd_by_constraint] {
            let decision = decide(disks(), &["NodeAffinity"], requiring(terms.clone()), policy);
            assert!(decision.feasible().iter().map(|n| &**n).eq(expected.iter().copied()), "{terms:?}: {:?}", decision.feasible());
        }
    }
}

#[test]
fn preferred_node_rule_scores_as_a_term_of_the_pod() {
    let policy = ruled(AffinityKind::Node, "", ("zone", "b"), AffinityStrength::Preferred(30));
    let own = (10, NodeSelectorTerm { labels: carrying(&[("disk".into(), "ssd".into())]), fields: Vec::new() });
    let decision = decide(disks(), &["NodeAffinity"], with(pod("p"), |s| s.node_affinity.preferred = vec![own]), &policy);
    let score = |node| decision.score(node, "NodeAffinity");
    assert_eq!([score("hdd-a"), score("ssd-a"), score("ssd-b")], [Some(0), Some(25), Some(100)]);
}

#[test]
fn pod_rules_are_about_pods_of_the_pods_namespace() {
    let cache = |name: &str, namespace: &str| Pod {
        namespace: namespace.into(),
        ..with(pod(name), |s| s.labels = Labels::from([("app", "cache")]))
    };
    let cluster = || disks().placed("hdd-a", cache("ours", "default")).placed("ssd-b", cache("theirs", "other"));
    for (kind, expected) in [(AffinityKind::Pod, &["hdd-a", "ssd-a"][..]), (AffinityKind::PodAnti, &["ssd-b"])] {
        let policy = ruled(kind, "zone", ("app", "cache"), AffinityStrength::Required);
        let decision = decide(cluster(), &["InterPodAffinity"], pod("p"), &policy);
        assert!(decision.feasible().iter().map(|n| &**n).eq(expected.iter().copied()), "{kind:?}: {:?}", decision.feasible());
    }
    for (kind, expected) in [(AffinityKind::Pod, [100, 100, 0]), (AffinityKind::PodAnti, [0, 0, 100])] {
        let policy = ruled(kind, "zone", ("app", "cache"), AffinityStrength::Preferred(50));
        let decision = decide(cluster(), &["InterPodAffinity"], pod("p"), &policy);
        assert_eq!(["hdd-a", "ssd-a", "ssd-b"].map(|n| decision.score(n, "InterPodAffinity")), expected.map(Some), "{kind:?}");
    }
}

#[test]
fn spreading_counts_no_domain_that_a_constraint_rules_out() {
    let app = |name: &str| with(pod(name), |s| s.labels = Labels::from([("app", "p")]));
    let spread = |honor_affinity| SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".into(),
        hard: true,
        selector: Some(LabelSelector(carrying(&[("app".into(), "p".into())]))),
        min_domains: None,
        honor_affinity,
        honor_taints: false,
        match_label_keys: Vec::new(),
    };
    let policy = constrained(vec![constraint("zone", ConstraintOperator::In, &["a"])]);
    for (honor_affinity, n_feasible) in [(true, 2), (false, 0)] {
        let spreading = with(app("p"), |s| s.spread = vec![spread(honor_affinity)]);
        let decision = decide(disks().placed("hdd-a", app("q")), &["NodeAffinity", "PodTopologySpread"], spreading, &policy);
        assert_eq!(decision.n_feasible, n_feasible, "honoured: {honor_affinity}");
    }
}

#[test]
fn pod_without_terms_of_a_policy_is_judged_as_it_is() {
    let own = Arc::new(in_zone_a());
    let hints = ruled(AffinityKind::Node, "", ("disk", "ssd"), AffinityStrength::Required);
    assert!(Arc::ptr_eq(&judged(&own, None), &own));
    assert!(Arc::ptr_eq(&judged(&own, Some(&Policy { affinity: Vec::new(), ..hints.clone() })), &own));
    let judged = judged(&own, Some(&hints));
    assert_eq!((&judged.uid, &judged.spec.node_selector), (&own.uid, &own.spec.node_selector));
    assert!(own.spec.node_affinity.required.is_none(), "the pod itself stays as it is");
}
