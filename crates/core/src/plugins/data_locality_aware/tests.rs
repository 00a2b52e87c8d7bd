//! Every clause of `scoring.md` §3 but the claims' (see `claims`): APOLLO, cache, topology, skipping, required nodes, changed maxima.
//! Expected numbers are written out, not computed.

use crate::fixture::{Cluster, claiming, hinted, labelled, node, pod, storage_node, with};
use crate::framework::ClusterEvent;
use crate::plugins;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::policy::{NodePreference, Policy, PolicyDecision};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{Claim, Volume};
use alloc::vec::Vec;

const PLUGIN: &str = "DataLocalityAware";

fn preferring(preferences: &[(&str, i32)]) -> Policy {
    let node_preferences = preferences.iter().map(|(node, score)| NodePreference { node: (*node).into(), score: *score }).collect();
    Policy { node_preferences, ..Policy::default() }
}

fn names(list: &[&str]) -> Vec<Str> {
    list.iter().map(|n| Str::from(*n)).collect()
}

/// A component on the nodes a, b, c.
fn row(cluster: &Cluster, pod: &Pod, component: &str) -> [i64; 3] {
    let decision = cluster.decide(&[PLUGIN], pod);
    ["a", "b", "c"].map(|n| decision.component(n, PLUGIN, component).unwrap())
}

fn abc() -> Cluster {
    Cluster::of(["a", "b", "c"].map(node))
}

#[test]
fn pod_without_data_signal_is_skipped() {
    let nodes = || Cluster::of([node("n")]);
    let scored = |cluster: Cluster, pod: &Pod| cluster.decide(&[PLUGIN], pod).score("n", PLUGIN).is_some();
    for (pod, expected) in [
        (pod("p"), false),
        (hinted("p", [("workload-stage", "training"), ("io-pattern", "random"), ("required-iops", "5")]), false),
        (claiming("p", ["data"]), true),
        (hinted("p", [("dataset", "imagenet")]), true),
        (hinted("p", [("preferred-zone", "z")]), true),
        (hinted("p", [("preferred-rack", "r")]), true),
        (hinted("p", [("workload-stage", "preprocessing")]), true),
        (hinted("p", [("workload-stage", "data-loading")]), true),
        (hinted("p", [("preprocessing-type", "aug")]), true),
    ] {
        assert_eq!(scored(nodes(), &pod), expected, "{:?}", pod.spec.annotations);
    }
    assert!(scored(nodes().policy(Policy::default()), &pod("p")), "an APOLLO answer is a signal");
}

#[test]
fn apollo_score_follows_preferences_and_data_locations() {
    let with_data = |locations: &[&str], policy: Policy| Policy { data_locations: names(locations), ..policy };
    for (policy, expected) in [
        (None, [15, 15, 15]),
        (Some(Policy::default()), [10, 10, 10]),
        (Some(with_data(&["b"], Policy::default())), [10, 30, 10]),
        (Some(with_data(&[" b ", "", "gone"], Policy::default())), [10, 30, 10]),
        (Some(preferring(&[("a", 20)])), [30, 10, 10]),
        (Some(preferring(&[("a", 120), ("b", 50)])), [30, 12, 10]),
        (Some(preferring(&[("a", 1), ("b", 3)])), [10, 30, 10]),
        (Some(preferring(&[("a", 0), ("b", 0)])), [0, 0, 10]),
        (Some(preferring(&[("a", -5), ("b", 10)])), [0, 30, 10]),
        (Some(preferring(&[("a", -5), ("b", i32::MIN)])), [0, 0, 10]),
        (Some(preferring(&[("a", 10), ("b", 20), ("a", 20)])), [30, 30, 10]),
        (Some(preferring(&[("a", 20), ("a", 10), ("b", 20)])), [30, 30, 10]),
        (Some(preferring(&[("", 900), (" ", 900), ("gone", 900), ("a", 20)])), [30, 10, 10]),
        (Some(preferring(&[(" a ", 10), ("b", 20)])), [15, 30, 10]),
        (Some(preferring(&[("a", i32::MAX), ("b", i32::MAX / 2)])), [30, 14, 10]),
        (Some(with_data(&["c"], preferring(&[("a", 20), ("c", 10)]))), [30, 10, 30]),
        (Some(with_data(&["c"], preferring(&[("c", 0)]))), [10, 10, 30]),
    ] {
        let cluster = Cluster { policy: policy.clone(), ..abc() };
        assert_eq!(row(&cluster, &hinted("p", [("dataset", "d")]), "apollo"), expected, "{policy:?}");
    }
}

#[test]
fn cache_score_follows_policy_datasets_and_temperature() {
    let caching = |list: &str, temperature: &str| storage_node("n", [], [("cached-datasets", list), ("data-temperature", temperature)]);
    for (datasets, list, temperature, expected, source) in [
        ("imagenet", "imagenet", "", 15, "1 of 1 dataset (pod) cached here"),
        ("imagenet", "imagenet", "hot", 20, "1 of 1 dataset (pod) cached here, hot"),
        ("imagenet", " coco, imagenet ", "warm", 17, "1 of 1 dataset (pod) cached here, warm"),
        ("imagenet", "imagenet", "cold", 15, "1 of 1 dataset (pod) cached here, cold"),
        ("ImageNet", "imagenet", "", 15, "1 of 1 dataset (pod) cached here"),
        ("imagenet,coco", "imagenet", "", 7, "1 of 2 datasets (pod) cached here"),
        ("imagenet,coco", "imagenet", "hot", 12, "1 of 2 datasets (pod) cached here, hot"),
        ("a,b,c", "a,c,x", "warm", 12, "2 of 3 datasets (pod) cached here, warm"),
        ("a,b", "b,a", "hot", 20, "2 of 2 datasets (pod) cached here, hot"),
        ("imagenet", "coco", "hot", 0, "0 of 1 dataset (pod) cached here, hot"),
        ("imagenet", "", "hot", 0, "0 of 1 dataset (pod) cached here, hot"),
        ("image", "imagenet", "", 0, "0 of 1 dataset (pod) cached here"),
        ("", "imagenet", "", 10, "datasets not known, 1 cached here"),
        ("", "imagenet", "hot", 15, "datasets not known, 1 cached here, hot"),
        ("", "imagenet,coco", "warm", 12, "datasets not known, 2 cached here, warm"),
        ("", "imagenet", "cold", 10, "datasets not known, 1 cached here, cold"),
        ("", "", "hot", 5, "datasets not known, none cached here"),
    ] {
        let pod = hinted("p", [("dataset", datasets), ("preferred-zone", "z")]);
        let decision = Cluster::of([caching(list, temperature)]).decide(&[PLUGIN], &pod);
        assert_eq!(decision.component("n", PLUGIN, "cache"), Some(expected), "{datasets} on {list} {temperature}");
        assert_eq!(decision.source("n", PLUGIN, "cache"), Some(source));
    }
}

#[test]
fn node_that_apollo_says_caches_the_data_has_the_whole_cache_score() {
    let policy = Policy { cached_on_nodes: names(&[" b ", ""]), ..Policy::default() };
    let cluster = abc().policy(policy);
    assert_eq!(row(&cluster, &hinted("p", [("dataset", "d")]), "cache"), [0, 20, 0]);
    assert_eq!(row(&cluster, &pod("p"), "cache"), [5, 20, 5]);
}

/// a: zone 1, rack 1; b: zone 1, rack 2; c: zone 2, rack 3.
fn racks() -> Cluster {
    let place = |name, zone, rack| labelled(name, [("topology.kubernetes.io/zone", zone), ("topology.kubernetes.io/rack", rack)]);
    Cluster::of([place("a", "z1", "r1"), place("b", "z1", "r2"), place("c", "z2", "r3")]).node(node("nowhere"))
}

#[test]
fn topology_score_follows_the_preferred_zone_and_rack() {
    for (zone, rack, expected, nowhere) in [
        ("", "", [10, 10, 10], 10),
        ("z1", "", [20, 20, 0], 0),
        ("", "r2", [0, 20, 0], 0),
        ("z1", "r1", [20, 15, 0], 0),
        ("z2", "r1", [20, 0, 15], 0),
        ("z1", "r9", [15, 15, 0], 0),
        ("z9", "r9", [0, 0, 0], 0),
        ("Z1", "R1", [20, 15, 0], 0),
    ] {
        let pod = hinted("p", [("preferred-zone", zone), ("preferred-rack", rack), ("dataset", "d")]);
        assert_eq!(row(&racks(), &pod, "topology"), expected, "{zone} {rack}");
        assert_eq!(racks().decide(&[PLUGIN], &pod).component("nowhere", PLUGIN, "topology"), Some(nowhere), "{zone} {rack}");
    }
}

#[test]
fn zones_and_racks_of_the_data_are_preferred_when_the_pod_names_none() {
    let policy = |locations: &[&str], cached: &[&str]| {
        racks().policy(Policy { data_locations: names(locations), cached_on_nodes: names(cached), ..Policy::default() })
    };
    for (locations, cached, expected) in [
        (&["a"][..], &[][..], [20, 15, 0]),
        (&[], &["c"], [0, 0, 20]),
        (&["a"], &["c"], [20, 15, 20]),
        (&["b", "c"], &[], [15, 20, 20]),
        (&["gone"], &[], [10, 10, 10]),
        (&["nowhere"], &[], [10, 10, 10]),
        (&[], &[], [10, 10, 10]),
    ] {
        assert_eq!(row(&policy(locations, cached), &pod("p"), "topology"), expected, "{locations:?} {cached:?}");
    }
    let named = hinted("p", [("preferred-rack", "r3")]);
    assert_eq!(row(&policy(&["a"], &[]), &named, "topology"), [0, 0, 20], "what the pod names comes first");
}

#[test]
fn sources_tell_what_was_read() {
    let policy = Policy { data_locations: names(&["a"]), ..preferring(&[("b", 20)]) };
    let decision = racks().policy(policy).decide(&[PLUGIN], &pod("p"));
    for (node, component, source) in [
        ("a", "apollo", "holds the data, says APOLLO"),
        ("b", "apollo", "preferred by APOLLO with 20, the best being 20"),
        ("c", "apollo", "APOLLO prefers other nodes"),
        ("a", "pvcLocality", "no claims"),
        ("a", "topology", "the preferred rack (where the data is); the node's zone is z1, its rack r1"),
        ("b", "topology", "the preferred zone, another rack (where the data is); the node's zone is z1, its rack r2"),
        ("nowhere", "topology", "not the preferred zone or rack (where the data is); the node's zone is none, its rack none"),
    ] {
        assert_eq!(decision.source(node, PLUGIN, component), Some(source), "{node} {component}");
    }
    let without = racks().decide(&[PLUGIN], &hinted("p", [("dataset", "d")]));
    assert_eq!(without.source("a", PLUGIN, "apollo"), Some("no APOLLO answer"));
    assert_eq!(without.source("a", PLUGIN, "topology"), Some("no zone or rack preferred"));
    let unlisted = racks().policy(Policy::default()).decide(&[PLUGIN], &pod("p"));
    assert_eq!(unlisted.source("a", PLUGIN, "apollo"), Some("APOLLO prefers no node"));
}

#[test]
fn decision_require_lets_only_named_nodes_pass() {
    let deciding = |decision, preferences: &[(&str, i32)]| Policy { decision, ..preferring(preferences) };
    for (policy, feasible) in [
        (deciding(PolicyDecision::Require, &[("a", 20), ("gone", 20)]), &["a"][..]),
        (deciding(PolicyDecision::Require, &[(" b ", 0), ("c", -3)]), &["b", "c"]),
        (deciding(PolicyDecision::Require, &[("gone", 20), ("", 5)]), &["a", "b", "c"]),
        (deciding(PolicyDecision::Require, &[]), &["a", "b", "c"]),
        (deciding(PolicyDecision::Prefer, &[("a", 20)]), &["a", "b", "c"]),
        (deciding(PolicyDecision::Allow, &[("a", 20)]), &["a", "b", "c"]),
    ] {
        let decision = abc().policy(policy.clone()).decide(&[PLUGIN], &pod("p"));
        assert_eq!(decision.feasible(), names(feasible), "{policy:?}");
    }
    let decision = abc().policy(deciding(PolicyDecision::Require, &[("a", 20), ("b", 20)])).decide(&[PLUGIN], &pod("p"));
    assert_eq!(decision.against("c"), "node(s) were not allowed by the APOLLO policy");
    let refused = decision.nodes.iter().find(|n| *n.node == *"c").unwrap();
    assert_eq!(refused.reasons[0].detail.as_deref(), Some("APOLLO requires one of a, b"));
}

#[test]
fn long_list_of_required_nodes_is_shortened() {
    let many: Vec<Node> = (10..30).map(|i| node(&alloc::format!("n{i}"))).collect();
    let listed: Vec<Str> = many.iter().skip(1).map(|n| n.name.clone()).collect();
    let cluster = many.into_iter().fold(Cluster::default(), Cluster::node);
    let preferences: Vec<(&str, i32)> = listed.iter().map(|n| (&**n, 1)).collect();
    let decision = cluster.policy(Policy { decision: PolicyDecision::Require, ..preferring(&preferences) }).decide(&[PLUGIN], &pod("p"));
    let detail = decision.nodes.last().unwrap().reasons[0].detail.clone().unwrap();
    assert_eq!(detail, "APOLLO requires one of n11, n12, n13, n14, n15, n16, n17, n18, n19, n20, … +9 more");
}

#[test]
fn changed_maxima_count() {
    let cluster = racks().policy(Policy { cached_on_nodes: names(&["b"]), ..preferring(&[("a", 3), ("b", 2)]) }).config(|c| {
        let max = &mut c.plugins.data_locality_aware.scoring;
        (max.apollo, max.pvc_locality, max.cache, max.topology) = (50, 7, 9, 11);
    });
    let pod = hinted("p", [("preferred-zone", "z1"), ("preferred-rack", "r1")]);
    assert_eq!(row(&cluster, &pod, "apollo"), [50, 33, 16]);
    assert_eq!(row(&cluster, &pod, "pvcLocality"), [3, 3, 3]);
    assert_eq!(row(&cluster, &pod, "cache"), [2, 9, 2]);
    assert_eq!(row(&cluster, &pod, "topology"), [11, 8, 0]);
    let hot = storage_node("n", [], [("cached-datasets", "x,y"), ("data-temperature", "hot")]);
    let small = Cluster::of([hot]).config(|c| c.plugins.data_locality_aware.scoring.cache = 10);
    let cache = |datasets| small.decide(&[PLUGIN], &hinted("p", [("dataset", datasets)])).component("n", PLUGIN, "cache");
    assert_eq!(cache("x"), Some(9), "10 * 3 / 4 = 7, and 10 / 4 = 2 for hot");
    assert_eq!(cache("x,y,z"), Some(6), "7 * 2 / 3 = 4, and 2 for hot");
}

#[test]
fn components_sum_to_the_score() {
    let cluster = racks().policy(Policy { data_locations: names(&["a"]), cached_on_nodes: names(&["a"]), ..Policy::default() });
    let decision = cluster.decide(&[PLUGIN], &pod("p"));
    for (node, score) in [("a", 30 + 15 + 20 + 20), ("b", 10 + 15 + 5 + 15), ("c", 10 + 15 + 5), ("nowhere", 10 + 15 + 5)] {
        assert_eq!(decision.score(node, PLUGIN), Some(score), "{node}");
    }
    assert_eq!(decision.node.as_deref(), Some("a"));
}

#[test]
fn only_nodes_that_come_and_go_or_the_pods_own_hints_can_help() {
    let plugin = plugins::create(PLUGIN).unwrap();
    let (one, other) = (node("n"), labelled("n", [("storage-tier", "ssd")]));
    let (waiting, edited) = (pod("p"), hinted("p", [("dataset", "d")]));
    for (event, expected) in [
        (ClusterEvent::NodeAdded(&one), true),
        (ClusterEvent::NodeGone(&one, &[]), true),
        (ClusterEvent::NodeChanged { old: &one, new: &other }, false),
        (ClusterEvent::OwnChange { old: &waiting, new: &edited }, true),
        (ClusterEvent::OwnChange { old: &waiting, new: &waiting }, false),
        (ClusterEvent::PodRemoved(&waiting), false),
    ] {
        assert_eq!(plugin.helps(&waiting, &event), expected, "{event:?}");
    }
}

#[test]
fn example_of_the_reference_page_holds() {
    let near = |name, caches| {
        let labels = [("kubernetes.io/hostname", name), ("topology.kubernetes.io/zone", "z1")];
        storage_node(name, labels, [("cached-datasets", caches), ("data-temperature", "hot")])
    };
    let on_disk = Requirement { key: "kubernetes.io/hostname".into(), operator: Operator::In, values: names(&["a"]) };
    let affinity = NodeSelectorTerm { labels: Vec::from([on_disk]), fields: Vec::new() };
    let cluster = Cluster::of([near("a", "imagenet"), near("b", "")])
        .claim(Claim { name: "data".into(), volume: Some("pv".into()), ..Claim::default() })
        .volume(Volume { name: "pv".into(), node_affinity: Some(Vec::from([affinity])), ..Volume::default() });
    let pod = with(claiming("p", ["data"]), |s| s.annotations = Labels::from([("ai-storage.keti/dataset", "imagenet,coco")]));
    assert_eq!(["a", "b"].map(|n| cluster.decide(&[PLUGIN], &pod).score(n, PLUGIN).unwrap()), [67, 25]);
}
