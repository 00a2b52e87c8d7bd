//! What topology spread refuses, scores and waits for, row by row.
//! The same rules against a naive reading of their definition: `tests_random`.

use super::{HOSTNAME, PodTopologySpread};
use crate::features::Features;
use crate::fixture::{Cluster, pod, with};
use crate::framework::{ClusterEvent, Plugin};
use crate::plugins::args::PodTopologySpreadArgs;
use crate::plugins::fixture_domains::{cluster, hard, labelled_pod, node_of, scores, selector, soft, verdicts};
use aisched_model::labels::Labels;
use aisched_model::node::Taint;
use aisched_model::owners::OwnerKind;
use aisched_model::pod::{Pod, SpreadConstraint, TaintEffect, Toleration, TolerationOperator};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

fn plugin() -> PodTopologySpread {
    PodTopologySpread::default()
}

/// A pod labelled `app=web` with these constraints.
fn spread<const N: usize>(constraints: [SpreadConstraint; N]) -> Pod {
    with(labelled_pod("p", "app=web"), |s| s.spread = constraints.into())
}

fn unselected(pod: Pod) -> Pod {
    with(pod, |s| s.labels = Labels::default())
}

fn tolerant(pod: Pod) -> Pod {
    let everything = Toleration { key: "full".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
    with(pod, |s| s.tolerations.push(everything))
}

fn check_verdicts(rows: impl IntoIterator<Item = (&'static str, &'static str, Pod, &'static str)>) {
    for (what, nodes, pod, expected) in rows {
        assert_eq!(verdicts(&plugin(), &cluster(nodes), &pod), expected, "{what}");
    }
}

fn check_scores(rows: impl IntoIterator<Item = (&'static str, &'static str, Pod, &'static str)>) {
    for (what, nodes, pod, expected) in rows {
        assert_eq!(scores(&plugin(), &cluster(nodes), &pod), expected, "{what}");
    }
}

#[test]
fn domain_that_would_stand_out_is_refused() {
    let three = "a zone=a | 3*app=web; b zone=b | app=web; c zone=c";
    let even = "a zone=a | 2*app=web; b zone=b | 2*app=web; c zone=c | 2*app=web";
    let nodes = "a host zone=1 | 2*app=web; b host zone=1 | app=web; x host zone=2; y host zone=2 | 3*app=web";
    let zone = || spread([hard("zone", 1, "app=web")]);
    check_verdicts([
        ("nothing there", "a zone=a; b zone=b", zone(), "a+ b+"),
        ("3, 1, 0", three, zone(), "a- b- c+"),
        ("3, 1, 0, pod does not count itself", three, unselected(zone()), "a- b+ c+"),
        ("3, 1, 0, maxSkew 2", three, spread([hard("zone", 2, "app=web")]), "a- b+ c+"),
        ("2, 2, 2", even, zone(), "a+ b+ c+"),
        ("several nodes make a domain", "a1 zone=a | app=web; a2 zone=a | app=web; b zone=b | app=web", zone(), "a1- a2- b+"),
        ("nodes 2, 1, 0, 3", nodes, spread([hard(HOSTNAME, 1, "app=web")]), "a- b- x+ y-"),
        ("nodes 2, 1, 0, 3, maxSkew 2", nodes, spread([hard(HOSTNAME, 2, "app=web")]), "a- b+ x+ y-"),
        ("zones 3, 3", nodes, spread([hard("zone", 1, "app=web")]), "a+ b+ x+ y+"),
        ("both", nodes, spread([hard("zone", 1, "app=web"), hard(HOSTNAME, 1, "app=web")]), "a- b- x+ y-"),
        ("two on one key", nodes, spread([hard("zone", 1, "app=web"), hard("zone", 1, "app=db")]), "a+ b+ x+ y+"),
        ("soft only", three, spread([soft("zone", 1, "app=web")]), "skipped"),
        ("no constraints", three, pod("p"), "skipped"),
    ]);
}

#[test]
fn counted_are_selected_pods_of_the_namespace_that_stay() {
    let zone = |selected| spread([hard("zone", 1, selected)]);
    let mixed = "a zone=a | 3*app=web; b zone=b | app=db";
    check_verdicts([
        ("other namespace", "a zone=a | 2*other/app=web; b zone=b", zone("app=web"), "a+ b+"),
        ("deletion begun", "a zone=a | 2*-app=web; b zone=b", zone("app=web"), "a+ b+"),
        ("unselected", "a zone=a | 2*app=db; b zone=b", zone("app=web"), "a+ b+"),
        ("no selector selects none", mixed, zone("none"), "a+ b+"),
        ("empty selector counts none but the pod itself", mixed, zone(""), "a+ b+"),
        ("NotIn", mixed, zone("app!=db"), "a- b+"),
        ("key exists", "a zone=a | app=web; b zone=b | app=db", zone("app"), "a+ b+"),
        ("other label", mixed, zone("!app"), "a+ b+"),
        (
            "each constraint its own selector",
            "a host zone=1 | app=web; b host zone=1; x host zone=2; y host zone=2 | app=db",
            spread([hard("zone", 1, "app=web"), hard(HOSTNAME, 1, "app=db")]),
            "a- b- x+ y+",
        ),
    ]);
    let nodes = cluster("a zone=a | 2*app=web; b zone=b | 3*other/app=web");
    for (namespace, expected) in [("default", "a- b+"), ("other", "a+ b-"), ("third", "a+ b+")] {
        let pod = Pod { namespace: namespace.into(), ..zone("app=web") };
        assert_eq!(verdicts(&plugin(), &nodes, &pod), expected, "{namespace}");
    }
}

#[test]
fn node_without_a_label_is_refused_for_good_and_makes_no_domain() {
    let zone = || spread([hard("zone", 1, "app=web")]);
    let both = || spread([hard("zone", 1, "app=web"), hard(HOSTNAME, 1, "app=web")]);
    check_verdicts([
        ("one without", "a zone=a | app=web; b | 5*app=web; c zone=c", zone(), "a- bx c+"),
        ("all without", "a; b", zone(), "ax bx"),
        ("counts 1 and 2 because b has no zone", "a zone=1 | app=web; b | 5*app=web; x zone=2 | 2*app=web", zone(), "a+ bx x-"),
        ("no hostname, so not counted for the zone either", "a host zone=1 | app=web; b host zone=1; x zone=2", both(), "a- b+ xx"),
        ("order of constraints", "a host zone=1; b zone=2 | 2*app=web; c zone=1 | 9*app=web", both(), "a+ bx cx"),
    ]);
}

#[test]
fn too_few_domains_make_the_minimum_zero() {
    let at_least = |n, max_skew| spread([SpreadConstraint { min_domains: Some(n), ..hard("zone", max_skew, "app=web") }]);
    let even = "a zone=a | 2*app=web; b zone=b | 2*app=web; c zone=c | 2*app=web";
    let uneven = "a zone=a | 2*app=web; b zone=b | 2*app=web; c zone=c | app=web";
    check_verdicts([
        ("2, 2, 2 of 4", even, at_least(4, 1), "a- b- c-"),
        ("2, 2, 2 of 3", even, at_least(3, 1), "a+ b+ c+"),
        ("2, 2, 2 of 4, maxSkew 3", even, at_least(4, 3), "a+ b+ c+"),
        ("2, 2, 1 of 4, maxSkew 2", uneven, at_least(4, 2), "a- b- c+"),
        ("2, 2, 1 of 2, maxSkew 2", uneven, at_least(2, 2), "a+ b+ c+"),
    ]);
}

#[test]
fn nodes_outside_the_pods_affinity_make_no_domain_unless_ignored() {
    let nodes = "a zone=a pool=x | 2*app=web; b zone=b pool=y; c zone=c pool=x | app=web";
    let only_x = |c: SpreadConstraint| with(spread([c]), |s| s.node_selector = Labels::from([("pool", "x")]));
    let not_y = |c: SpreadConstraint| {
        let not = Requirement { key: "pool".into(), operator: Operator::NotIn, values: vec!["y".into()] };
        with(spread([c]), |s| s.node_affinity.required = Some(vec![NodeSelectorTerm { labels: vec![not], fields: Vec::new() }]))
    };
    let named_c = |c: SpreadConstraint| {
        let name = Requirement { key: "metadata.name".into(), operator: Operator::In, values: vec!["c".into()] };
        with(spread([c]), |s| s.node_affinity.required = Some(vec![NodeSelectorTerm { labels: Vec::new(), fields: vec![name] }]))
    };
    let honored = || hard("zone", 1, "app=web");
    let ignored = || SpreadConstraint { honor_affinity: false, ..honored() };
    check_verdicts([
        ("node selector honored", nodes, only_x(honored()), "a- b+ c+"),
        ("node selector ignored", nodes, only_x(ignored()), "a- b+ c-"),
        ("node affinity honored", nodes, not_y(honored()), "a- b+ c+"),
        ("node affinity ignored", nodes, not_y(ignored()), "a- b+ c-"),
        ("node name honored: outside counts 0", nodes, named_c(honored()), "a+ b+ c+"),
    ]);
}

#[test]
fn tainted_nodes_make_no_domain_when_honored() {
    let nodes = "a zone=a | 2*app=web; b zone=b tainted; c zone=c | app=web";
    let honored = || spread([SpreadConstraint { honor_taints: true, ..hard("zone", 1, "app=web") }]);
    check_verdicts([
        ("ignored", nodes, spread([hard("zone", 1, "app=web")]), "a- b+ c-"),
        ("honored", nodes, honored(), "a- b+ c+"),
        ("honored and tolerated", nodes, tolerant(honored()), "a- b+ c-"),
    ]);
    let host = SpreadConstraint { honor_taints: true, ..hard(HOSTNAME, 1, "app=web") };
    let nodes = "a host zone=1 | app=web; b host zone=2 tainted; c host zone=2 | app=web";
    check_verdicts([("each constraint its own policy", nodes, spread([hard("zone", 1, "app=web"), host]), "a+ b+ c+")]);
}

#[test]
fn match_label_keys_narrow_the_selector_to_the_pods_own_values() {
    let keys = |selected: &str, keys: &[&str]| {
        let c = SpreadConstraint { match_label_keys: keys.iter().map(|k| (*k).into()).collect(), ..hard("zone", 1, selected) };
        with(labelled_pod("p", "app=web,rev=2"), |s| s.spread = vec![c])
    };
    let nodes = "a zone=a | 2*app=web,rev=1; b zone=b | app=web,rev=2; c zone=c";
    check_verdicts([
        ("without", nodes, keys("app=web", &[]), "a- b- c+"),
        ("with", nodes, keys("app=web", &["rev"]), "a+ b- c+"),
        ("merged by the API server already", nodes, keys("app=web,rev=2", &["rev"]), "a+ b- c+"),
        ("empty selector becomes one that counts", nodes, keys("", &["rev"]), "a+ b- c+"),
        ("no selector stays none", nodes, keys("none", &["rev"]), "a+ b+ c+"),
        ("key that the pod lacks", nodes, keys("app=web", &["missing"]), "a- b- c+"),
    ]);
}

#[test]
fn gates_switch_match_label_keys_and_comparing_tolerations() {
    let features = |keys, compare| Features {
        match_label_keys_in_pod_topology_spread: keys,
        taint_toleration_comparison_operators: compare,
        ..Features::default()
    };
    let judged = |features, pod: &Pod| verdicts(&PodTopologySpread { features, ..plugin() }, &cluster(KEYED), pod);
    let keyed = with(labelled_pod("p", "app=web,v=1"), |s| {
        s.spread = vec![SpreadConstraint { match_label_keys: vec!["v".into()], ..hard("zone", 1, "app=web") }];
    });
    assert_eq!(judged(features(true, false), &keyed), "a- b+ c+");
    assert_eq!(judged(features(false, false), &keyed), "a- b- c+", "all versions count");
    let above = Toleration { key: "level".into(), operator: TolerationOperator::Gt, value: "4".into(), effect: None };
    let honored = with(spread([SpreadConstraint { honor_taints: true, ..hard("zone", 1, "app=web") }]), |s| s.tolerations = vec![above]);
    let mut leveled = cluster(KEYED);
    let c = leveled.snapshot.node_idx("c").unwrap();
    let taint = Taint { key: "level".into(), value: "5".into(), effect: TaintEffect::NoSchedule };
    Arc::make_mut(&mut Arc::make_mut(&mut leveled.snapshot.nodes[c]).node).taints = vec![taint];
    let judged = |compare| verdicts(&PodTopologySpread { features: features(true, compare), ..plugin() }, &leveled, &honored);
    assert_eq!((judged(false).as_str(), judged(true).as_str()), ("a+ b- c+", "a- b- c+"), "c makes a domain only where it is tolerated");
}

/// One pod of the version at hand in a, none in b and c; two of another version in b.
const KEYED: &str = "a zone=a | app=web,v=1; b zone=b | 2*app=web,v=2; c zone=c";

#[test]
fn refusals_have_kube_schedulers_words_and_the_numbers() {
    let decision = cluster("a zone=a | 3*app=web; b zone=b; c; d").decide(&["PodTopologySpread"], &spread([hard("zone", 1, "app=web")]));
    let against = |node: &str| decision.nodes.iter().find(|n| *n.node == *node).unwrap().reasons[0].clone();
    assert_eq!(against("a").message, "node(s) didn't match pod topology spread constraints");
    assert_eq!(against("a").detail.as_deref(), Some("zone=a: 3 pods + 1 - minimum 0 > maxSkew 1"));
    assert_eq!(against("d").message, "node(s) didn't match pod topology spread constraints (missing required label)");
    assert_eq!(against("d").detail.as_deref(), Some("no label zone"));
    let uneven = cluster("a zone=a | 3*app=web; b zone=b | app=web; c; d");
    let few = spread([SpreadConstraint { min_domains: Some(3), ..hard("zone", 1, "app=web") }]);
    assert_eq!(
        uneven.decide(&["PodTopologySpread"], &few).message.as_deref(),
        Some(
            "0/4 nodes are available: 2 node(s) didn't match pod topology spread constraints, \
             2 node(s) didn't match pod topology spread constraints (missing required label)."
        )
    );
}

#[test]
fn fewer_matching_pods_score_higher() {
    let zones = "a zone=a | 3*app=web; b zone=b | app=web; c zone=c";
    let four = "a zone=a | 2*app=web; b zone=b | app=web; c zone=c; d zone=d | 3*app=web";
    let zone = |max_skew| spread([soft("zone", max_skew, "app=web")]);
    let host = |max_skew| spread([soft(HOSTNAME, max_skew, "app=web")]);
    let hosts = "a host | 2*app=web; b host | app=web; c host; d host | 3*app=web";
    check_scores([
        ("3, 1, 0", zones, zone(1), "a:0 b:60 c:100"),
        ("four zones 2, 1, 0, 3", four, zone(1), "a:20 b:60 c:100 d:0"),
        ("hosts 2, 1, 0, 3", hosts, host(1), "a:20 b:60 c:100 d:0"),
        // raw 4 + 1, 2 + 1, 0 + 1, 5 + 1
        ("hosts, maxSkew 2", hosts, host(2), "a:33 b:66 c:100 d:16"),
        ("nothing there", "a host; b host", host(1), "a:100 b:100"),
        ("all alike", "a host | app=web; b host | app=web", host(1), "a:100 b:100"),
        ("one node", "a host | 5*app=web", host(1), "a:100"),
        ("no selector", hosts, spread([soft(HOSTNAME, 1, "none")]), "a:100 b:100 c:100 d:100"),
        ("empty selector", hosts, spread([soft(HOSTNAME, 1, "")]), "a:100 b:100 c:100 d:100"),
        ("other namespace", "a host | 3*other/app=web; b host | app=web", host(1), "a:100 b:0"),
        ("deletion begun", "a host | 3*-app=web; b host | app=web", host(1), "a:100 b:0"),
        ("hard only", zones, spread([hard("zone", 9, "app=web")]), "skipped"),
        ("no constraints", zones, pod("p"), "skipped"),
        (
            "minDomains changes nothing",
            zones,
            spread([SpreadConstraint { min_domains: Some(9), ..soft("zone", 1, "app=web") }]),
            "a:0 b:60 c:100",
        ),
    ]);
}

#[test]
fn only_domains_of_feasible_nodes_weigh_but_all_their_pods_count() {
    let zone = || spread([soft("zone", 1, "app=web")]);
    check_scores([
        // Zones a and b remain: ln 4; a's second node counts although it is cordoned. 6 × 1.386 = 8, 2 × 1.386 = 3.
        ("cordoned", "a zone=a | 2*app=web; a2 zone=a cordoned | 4*app=web; b zone=b | 2*app=web; c zone=c cordoned", zone(), "a:37 b:100"),
        // Feasible hosts number three: ln 5; 2 × 1.609 = 3, 1 × 1.609 = 2, 0.
        (
            "hosts",
            "a host | 2*app=web; b host | app=web; c host; d host cordoned | 9*app=web",
            spread([soft(HOSTNAME, 1, "app=web")]),
            "a:0 b:33 c:100",
        ),
        ("without the label", "a zone=a | 3*app=web; b zone=b | app=web; c", zone(), "a:25 b:100 c:0"),
        ("without any label", "a; b", zone(), "a:0 b:0"),
    ]);
}

#[test]
fn soft_constraints_add_up() {
    let both = || spread([soft("zone", 1, "app=web"), soft(HOSTNAME, 1, "app=web")]);
    let apart = || spread([soft("zone", 1, "app=web"), soft(HOSTNAME, 1, "app=db")]);
    let nodes = "a host zone=1 | 2*app=web; b host zone=1 | app=web; x host zone=2; y host zone=2 | app=db";
    check_scores([
        // Zones 3 and 0 weigh ln 4, hosts ln 6: 4.16 + 3.58 = 8, 4.16 + 1.79 = 6, 0, 0.
        ("zone and host", nodes, both(), "a:0 b:25 x:100 y:100"),
        // 4.16 = 4, 4, 0, 1.79 = 2.
        ("each its own selector", nodes, apart(), "a:0 b:0 x:100 y:50"),
        // A hard constraint of the same pod neither weighs nor adds.
        ("with a hard one", nodes, with(both(), |s| s.spread.push(hard(HOSTNAME, 9, "app=web"))), "a:0 b:25 x:100 y:100"),
    ]);
}

#[test]
fn inclusion_policies_hold_for_scores() {
    let in_x = |c| with(spread([c]), |s| s.node_selector = Labels::from([("pool", "x")]));
    let zone = || soft("zone", 1, "app=web");
    let pools = "a zone=a pool=x | app=web; a2 zone=a pool=y | 3*app=web; b zone=b pool=x | 2*app=web";
    let taints = "a zone=a | app=web; a2 zone=a tainted | 3*app=web; b zone=b | 2*app=web";
    let honored = || SpreadConstraint { honor_taints: true, ..zone() };
    check_scores([
        ("affinity honored: 1, 2", pools, in_x(zone()), "a:100 a2:100 b:33"),
        ("affinity ignored: 4, 2", pools, in_x(SpreadConstraint { honor_affinity: false, ..zone() }), "a:50 a2:50 b:100"),
        ("taints ignored: 4, 2", taints, spread([zone()]), "a:50 a2:50 b:100"),
        ("taints honored: 1, 2", taints, spread([honored()]), "a:100 a2:100 b:33"),
        ("taints tolerated: 4, 2", taints, tolerant(spread([honored()])), "a:50 a2:50 b:100"),
    ]);
}

/// The plugin with these default constraints.
fn defaults<const N: usize>(constraints: [SpreadConstraint; N], system_defaulting: bool) -> PodTopologySpread {
    PodTopologySpread { args: PodTopologySpreadArgs { default_constraints: constraints.into(), system_defaulting }, ..plugin() }
}

/// The nodes, and a service of the pods labelled `app=web`.
fn served(nodes: &str) -> Cluster {
    cluster(nodes).owner(OwnerKind::Service, "web", selector("app=web").unwrap())
}

#[test]
fn default_constraints_serve_pods_without_their_own() {
    let bare = labelled_pod("p", "app=web");
    let zones = "a zone=a | 3*app=web; b zone=b | app=web; c";
    let hard_default = defaults([hard("zone", 1, "none")], false);
    assert_eq!(verdicts(&hard_default, &served(zones), &bare), "a- b+ cx");
    assert_eq!(verdicts(&hard_default, &served(zones), &spread([soft("zone", 1, "app=web")])), "skipped", "own constraints, all soft");
    let soft_default = |system| defaults([soft("zone", 5, "none")], system);
    assert_eq!(scores(&soft_default(false), &served(zones), &bare), "a:62 b:100 c:0", "raw 3 ln 4 + 4 = 8, 5; c is left out");
    // Under system defaulting a missing label is a domain of its own: ln 5, raw 9, 6 and 0.
    assert_eq!(scores(&soft_default(true), &served(zones), &bare), "a:0 b:33 c:100");
}

#[test]
fn default_constraints_count_pods_of_the_same_services_and_controller() {
    let made_by = |kind| with(labelled_pod("p", "app=x"), |s| s.controller = Some((kind, "web".into())));
    let zones = |owner| cluster("a zone=a | 3*app=web; b zone=b | app=web; c zone=c").owner(owner, "web", selector("app=web").unwrap());
    for (what, pod, owner, expected) in [
        ("service", labelled_pod("p", "app=web"), OwnerKind::Service, "a- b- c+"),
        ("service of other pods", labelled_pod("p", "app=x"), OwnerKind::Service, "skipped"),
        ("service of another namespace", labelled_pod("p", "other/app=web"), OwnerKind::Service, "skipped"),
        ("controller", made_by(OwnerKind::ReplicaSet), OwnerKind::ReplicaSet, "a- b+ c+"),
        ("controller of another kind", made_by(OwnerKind::StatefulSet), OwnerKind::ReplicaSet, "skipped"),
        ("no controller", labelled_pod("p", "app=web"), OwnerKind::ReplicaSet, "skipped"),
    ] {
        assert_eq!(verdicts(&defaults([hard("zone", 1, "none")], false), &zones(owner), &pod), expected, "{what}");
    }
    let named = |key| SpreadConstraint { match_label_keys: vec![key], ..hard("zone", 1, "none") };
    let hashed = labelled_pod("p", "app=web,hash=1");
    assert_eq!(verdicts(&defaults([named("hash".into())], false), &zones(OwnerKind::Service), &hashed), "a- b- c+", "keys do not narrow");
}

#[test]
fn system_defaults_score_zones_and_hosts() {
    let plugin = plugin();
    let keys: Vec<(&str, i32)> = plugin.args.default_constraints.iter().map(|c| (&*c.topology_key, c.max_skew)).collect();
    assert_eq!(keys, [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)]);
    let zones =
        "a topology.kubernetes.io/zone=a | 10*app=web; b topology.kubernetes.io/zone=b | 20*app=web; c topology.kubernetes.io/zone=c";
    assert_eq!(scores(&plugin, &served(zones), &labelled_pod("p", "app=web")), "a:55 b:11 c:100");
    assert_eq!(scores(&plugin, &cluster(zones), &labelled_pod("p", "app=web")), "skipped", "no service, no controller");
}

#[test]
fn default_constraints_wait_for_any_pod_of_the_namespace() {
    let plugin = defaults([hard("zone", 1, "none")], false);
    let (waiting, other) = (labelled_pod("p", "app=web"), labelled_pod("o", "app=x"));
    let relabelled = labelled_pod("o", "app=y");
    for (event, expected) in [
        (ClusterEvent::PodPlaced(&other), true),
        (ClusterEvent::PodRemoved(&labelled_pod("o", "other/app=web")), false),
        (ClusterEvent::PodChanged { old: &other, new: &relabelled }, true),
        (ClusterEvent::PodChanged { old: &other, new: &other }, false),
        (ClusterEvent::NodeAdded(&node_of("n zone=a")), true),
        (ClusterEvent::NodeAdded(&node_of("n")), false),
    ] {
        assert_eq!(plugin.helps(&waiting, &event), expected, "{event:?}");
    }
    assert!(!defaults([soft("zone", 1, "none")], false).helps(&waiting, &ClusterEvent::PodPlaced(&other)), "refuses nothing");
}

#[test]
fn pod_events_help_when_a_count_may_change() {
    let waiting = spread([hard("zone", 1, "app=web"), hard("zone", 1, "app=db")]);
    let helps = |event: ClusterEvent<'_>| plugin().helps(&waiting, &event);
    for (text, expected) in [("app=web", true), ("app=db", true), ("app=x", false), ("other/app=web", false)] {
        let other = labelled_pod("o", text);
        assert_eq!(helps(ClusterEvent::PodPlaced(&other)), expected, "{text} placed");
        assert_eq!(helps(ClusterEvent::PodRemoved(&other)), expected, "{text} removed");
    }
    for (old, new, expected) in [
        ("app=web", "app=web", false),
        ("app=web", "app=web,x=1", false),
        ("app=x", "app=web", true),
        ("app=web", "app=x", true),
        ("app=web", "app=db", true),
        ("app=x", "app=y", false),
        ("other/app=x", "other/app=web", false),
        ("app=web", "-app=web", true),
        ("app=x", "-app=x", false),
        ("-app=web", "-app=web", false),
    ] {
        let (old, new) = (labelled_pod("o", old), labelled_pod("o", new));
        assert_eq!(helps(ClusterEvent::PodChanged { old: &old, new: &new }), expected, "{old:?} to {new:?}");
    }
}

#[test]
fn own_changes_help_when_the_pod_counts_otherwise_or_tolerates_more() {
    let honored = spread([SpreadConstraint { honor_taints: true, ..hard("zone", 1, "app=web") }]);
    let ignored = spread([hard("zone", 1, "app=web")]);
    for (what, old, new, expected) in [
        ("nothing", ignored.clone(), ignored.clone(), false),
        ("toleration, taints honored", honored.clone(), tolerant(honored.clone()), true),
        ("toleration, taints ignored", ignored.clone(), tolerant(ignored.clone()), false),
        ("no longer selected", ignored.clone(), unselected(ignored.clone()), true),
        ("unrelated label", ignored.clone(), with(ignored.clone(), |s| s.labels = [("app", "web"), ("x", "1")].into()), false),
    ] {
        assert_eq!(plugin().helps(&new, &ClusterEvent::OwnChange { old: &old, new: &new }), expected, "{what}");
    }
}

#[test]
fn node_events_help_when_a_domain_may_change() {
    let waiting = spread([hard("zone", 1, "app=web"), hard("rack", 1, "app=web")]);
    let helps = |event: ClusterEvent<'_>| plugin().helps(&waiting, &event);
    for (text, expected) in [("n zone=a rack=1", true), ("n zone=a", false), ("n", false)] {
        let node = node_of(text);
        assert_eq!(helps(ClusterEvent::NodeAdded(&node)), expected, "{text} added");
        assert_eq!(helps(ClusterEvent::NodeGone(&node, &[])), expected, "{text} gone");
    }
    for (old, new, expected) in [
        ("n zone=a rack=1", "n zone=a rack=1", false),
        ("n zone=a rack=1", "n zone=a rack=1 x=1", false),
        ("n zone=a rack=1", "n zone=a rack=2", true),
        ("n zone=a", "n zone=a rack=1", true),
        ("n zone=a rack=1", "n rack=1", true),
        ("n zone=a", "n zone=b", false),
        ("n zone=a rack=1", "n zone=a rack=1 tainted", true),
        ("n zone=a tainted", "n zone=a", false),
    ] {
        let (before, after) = (node_of(old), node_of(new));
        assert_eq!(helps(ClusterEvent::NodeChanged { old: &before, new: &after }), expected, "{old} to {new}");
    }
    assert!(!helps(ClusterEvent::Namespace(&"default".into())));
}

#[test]
fn plugin_is_in_the_registry() {
    let decision = Cluster::of([node_of("a zone=a"), node_of("b zone=b")])
        .placed("a", labelled_pod("x", "app=web"))
        .decide(&["PodTopologySpread"], &spread([hard("zone", 1, "app=web"), soft("zone", 1, "app=web")]));
    assert_eq!(decision.node.as_deref(), Some("b"));
    assert_eq!(decision.score("b", "PodTopologySpread"), Some(100));
}
