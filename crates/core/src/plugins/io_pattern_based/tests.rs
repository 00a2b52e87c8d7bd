//! Every clause of `scoring.md` §5, boundaries of its formulas, its filter, changed maxima, and whole scores reckoned by hand.
//! Expected numbers are written out, not computed.

use crate::fixture::{Cluster, hinted, labelled, node, pod, storage_node};
use crate::framework::ClusterEvent;
use crate::plugins;
use aisched_model::config::Traits;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::policy::{Findings, NodePreference, Policy, PolicyDecision};
use aisched_model::storage_facts::IoDemand;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const PLUGIN: &str = "IOPatternBased";

fn component(node: Node, pod: &Pod, component: &str) -> i64 {
    Cluster::of([node]).decide(&[PLUGIN], pod).component("n", PLUGIN, component).unwrap()
}

/// A workload whose type has these traits and no others.
fn with_traits(traits: Traits) -> (Cluster, Pod) {
    let cluster = Cluster::default().config(|c| {
        c.preprocessing_types.insert("own".into(), traits);
    });
    (cluster, hinted("p", [("preprocessing-type", "own")]))
}

const NOTHING: Traits = Traits {
    read_intensive: false,
    write_intensive: false,
    cpu_intensive: false,
    memory_intensive: false,
    expansion_hundredths: 100,
    sequential: false,
    csd: false,
};

#[test]
fn only_preprocessing_workloads_are_scored() {
    for (hint, scored) in [
        (("workload-stage", "preprocessing"), true),
        (("workload-stage", "data-loading"), true),
        (("preprocessing-type", "aug"), true),
        (("workload-stage", "training"), false),
        (("io-pattern", "sequential"), false),
        (("required-storage-tier", "csd"), false),
    ] {
        assert_eq!(Cluster::of([node("n")]).decide(&[PLUGIN], &hinted("p", [hint])).score("n", PLUGIN).is_some(), scored, "{hint:?}");
    }
}

fn preferring(preferences: &[(&str, i32)]) -> Policy {
    let node_preferences = preferences.iter().map(|(node, score)| NodePreference { node: (*node).into(), score: *score }).collect();
    Policy { node_preferences, data_locations: vec!["a".into()], ..Policy::default() }
}

#[test]
fn apollo_preference_leaves_data_locations_out() {
    let pod = hinted("p", [("workload-stage", "preprocessing")]);
    let cluster = || Cluster::of([node("a"), node("b"), node("c")]);
    for (policy, expected) in [
        (None, [7, 7, 7]),
        (Some(preferring(&[])), [5, 5, 5]),
        (Some(preferring(&[("b", 20)])), [5, 15, 5]),
        (Some(preferring(&[("b", 120), ("c", 50)])), [5, 15, 6]),
        (Some(preferring(&[("b", 0), ("c", -7)])), [5, 0, 0]),
        (Some(preferring(&[("gone", 1000), (" b ", 20), ("b", 10)])), [5, 15, 5]),
    ] {
        let cluster = Cluster { policy: policy.clone(), ..cluster() };
        let decision = cluster.decide(&[PLUGIN], &pod);
        assert_eq!(["a", "b", "c"].map(|n| decision.component(n, PLUGIN, "apolloPreference").unwrap()), expected, "{policy:?}");
    }
}

#[test]
fn resource_match_counts_cpu_memory_and_flash() {
    let (cpu, memory) = (Traits { cpu_intensive: true, ..NOTHING }, Traits { memory_intensive: true, ..NOTHING });
    let reads = Traits { read_intensive: true, ..NOTHING };
    let all = Traits { cpu_intensive: true, memory_intensive: true, read_intensive: true, ..NOTHING };
    let (high_cpu, high_memory) = (("node-capability/high-cpu", "true"), ("node-capability/high-memory", "true"));
    let labels = |pairs: &[(&str, &str)], gb: &str| {
        let mut node = storage_node("n", [], [("available-memory-gb", gb)]);
        node.labels = pairs.iter().copied().collect();
        node.storage = aisched_model::storage_facts::read(&node.labels, &node.annotations, Default::default()).0;
        node
    };
    for (traits, node, expected) in [
        (NOTHING, labels(&[high_cpu, high_memory, ("cpu-cores", "64"), ("storage-tier", "nvme")], "512"), 8),
        (cpu, labels(&[], "0"), 4),
        (cpu, labels(&[("cpu-cores", "15")], "0"), 4),
        (cpu, labels(&[("cpu-cores", "16")], "0"), 8),
        (cpu, labels(&[high_cpu, ("cpu-cores", "15")], "0"), 12),
        (cpu, labels(&[high_cpu, ("cpu-cores", "16")], "0"), 16),
        (cpu, labels(&[("node-capability/high-cpu", "false")], "0"), 4),
        (memory, labels(&[], "63"), 4),
        (memory, labels(&[], "64"), 8),
        (memory, labels(&[high_memory], "63"), 12),
        (memory, labels(&[high_memory], "64"), 16),
        (reads, labels(&[("storage-tier", "nvme")], "0"), 13),
        (reads, labels(&[("storage-tier", "ssd")], "0"), 11),
        (reads, labels(&[("storage-tier/nvme", ""), ("storage-tier/ssd", "")], "0"), 13),
        (reads, labels(&[("storage-tier", "hdd")], "0"), 8),
        (reads, labels(&[("storage-tier", "csd")], "0"), 8),
        (reads, labels(&[("storage-tier", "memory")], "0"), 8),
        (all, labels(&[high_cpu, high_memory, ("cpu-cores", "16"), ("storage-tier", "nvme")], "64"), 25),
        (all, labels(&[], "0"), 0),
    ] {
        let (cluster, pod) = with_traits(traits);
        let decision = cluster.node(node.clone()).decide(&[PLUGIN], &pod);
        assert_eq!(decision.component("n", PLUGIN, "resourceMatch"), Some(expected), "{traits:?} {:?}", node.labels);
    }
}

#[test]
fn io_optimization_counts_buffers_and_caches() {
    let (sequential, reads) = (Traits { sequential: true, ..NOTHING }, Traits { read_intensive: true, ..NOTHING });
    let (writes, mixed) = (Traits { write_intensive: true, ..NOTHING }, Traits { read_intensive: true, write_intensive: true, ..NOTHING });
    let all = Traits { sequential: true, ..mixed };
    let rich = |buffer: &str| {
        let labels = [("storage-capability/read-cache", "true"), ("storage-capability/write-buffer", "true"), ("storage-tier", "nvme")];
        storage_node("n", labels, [("large-io-buffer", buffer)])
    };
    for (name, traits, node, expected) in [
        ("nothing", NOTHING, rich("true"), 0),
        ("sequential", sequential, node("n"), 8),
        ("sequential, buffer", sequential, storage_node("n", [], [("large-io-buffer", "true")]), 12),
        ("sequential, no buffer", sequential, storage_node("n", [], [("large-io-buffer", "false")]), 8),
        ("random, buffer", NOTHING, storage_node("n", [], [("large-io-buffer", "true")]), 0),
        ("reads, cache", reads, labelled("n", [("storage-capability/read-cache", "true")]), 4),
        ("reads and writes, cache", mixed, labelled("n", [("storage-capability/read-cache", "true")]), 0),
        ("writes, buffer", writes, labelled("n", [("storage-capability/write-buffer", "true")]), 4),
        ("reads, write buffer", reads, labelled("n", [("storage-capability/write-buffer", "true")]), 0),
        ("writes, nvme", writes, labelled("n", [("storage-tier", "nvme")]), 4),
        ("writes, memory", writes, labelled("n", [("storage-tier", "memory")]), 0),
        ("reads, nvme", reads, labelled("n", [("storage-tier", "nvme")]), 0),
        ("writes, both", writes, rich("false"), 8),
        ("all", all, rich("true"), 20),
    ] {
        let (cluster, pod) = with_traits(traits);
        assert_eq!(cluster.node(node).decide(&[PLUGIN], &pod).component("n", PLUGIN, "ioOptimization"), Some(expected), "{name}");
    }
}

#[test]
fn expansion_follows_the_formula() {
    for (hundredths, capacity, expected) in [
        (0, "", 15),
        (99, "1", 15),
        (99, "100000", 15),
        (100, "", 10),
        (100, "100000", 10),
        (101, "", 10), // m = 2
        (101, "1000", 20),
        (101, "999", 15),
        (101, "400", 15),
        (101, "399", 10),
        (101, "200", 10),
        (101, "199", 5),
        (101, "0", 5),
        (500, "3000", 20), // m = 6
        (500, "2999", 15),
        (500, "1200", 15),
        (500, "1199", 10),
        (500, "600", 10),
        (500, "599", 5),
        (i64::MAX, "9223372036854775807", 20),
    ] {
        let (cluster, pod) = with_traits(Traits { expansion_hundredths: hundredths, ..NOTHING });
        let decision = cluster.node(storage_node("n", [], [("available-capacity-gb", capacity)])).decide(&[PLUGIN], &pod);
        assert_eq!(decision.component("n", PLUGIN, "expansion"), Some(expected), "{hundredths} on {capacity}");
    }
}

#[test]
fn expansion_sees_what_is_left_of_the_capacity() {
    let (cluster, pod) = with_traits(Traits { expansion_hundredths: 200, ..NOTHING }); // m = 3
    let used = IoDemand { capacity_gb: 1000, ..IoDemand::default() };
    let cluster =
        cluster.node(storage_node("n", [], [("available-capacity-gb", "1500")])).placed_with_io("n", crate::fixture::pod("old"), used);
    assert_eq!(cluster.decide(&[PLUGIN], &pod).component("n", PLUGIN, "expansion"), Some(10), "500 GB left");
    let cluster = cluster.config(|c| c.io_accounting = false);
    assert_eq!(cluster.decide(&[PLUGIN], &pod).component("n", PLUGIN, "expansion"), Some(20), "1500 GB");
}

#[test]
fn csd_follows_the_table() {
    let with_ops = storage_node("n", [("storage-tier", "csd")], [("csd-compute-ops", "10")]);
    let storage_csd = labelled("n", [("storage-tier", "csd"), ("layer", "storage")]);
    let ops_without_device = storage_node("n", [("storage-tier", "nvme")], [("csd-compute-ops", "10")]);
    let (csd, storage, compute) =
        (labelled("n", [("storage-tier", "csd")]), labelled("n", [("layer", "storage")]), labelled("n", [("layer", "compute")]));
    for (kind, expected) in [
        // with compute ops, csd, csd in the storage layer, storage layer, compute layer, nothing, compute ops alone
        ("normalization", [20, 18, 18, 12, 5, 5, 5]),
        ("featureExtraction", [20, 18, 18, 12, 5, 5, 5]),
        ("filtering", [20, 20, 20, 12, 5, 5, 5]),
        ("aggregation", [20, 20, 20, 12, 5, 5, 5]),
        ("transformation", [20, 20, 20, 12, 5, 5, 5]),
        ("augmentation", [10; 7]),
        ("sharding", [10; 7]),
    ] {
        let nodes = [&with_ops, &csd, &storage_csd, &storage, &compute, &node("n"), &ops_without_device];
        let points = nodes.map(|n| component(n.clone(), &hinted("p", [("preprocessing-type", kind)]), "csd"));
        assert_eq!(points, expected, "{kind}");
    }
}

#[test]
fn csd_bonuses_of_the_configuration_count() {
    for (kind, bonuses, expected) in [
        ("filtering", [1, 0, 0], 19),
        ("aggregation", [0, 1, 0], 19),
        ("transformation", [0, 0, 2], 20),
        ("transformation", [9, 9, 0], 18),
        ("filtering", [0, 9, 9], 18),
        ("normalization", [9, 9, 9], 18),
    ] {
        let cluster = Cluster::of([labelled("n", [("storage-tier", "csd")])]).config(|c| {
            let csd = &mut c.storage_tiers.csd;
            [csd.filtering, csd.aggregation, csd.transformation] = bonuses;
        });
        let decision = cluster.decide(&[PLUGIN], &hinted("p", [("preprocessing-type", kind)]));
        assert_eq!(decision.component("n", PLUGIN, "csd"), Some(expected), "{kind} {bonuses:?}");
    }
}

#[test]
fn apollo_can_say_that_a_workload_can_use_csd() {
    let policy = Policy { findings: Findings { requires_csd: true, ..Findings::default() }, ..Policy::default() };
    let cluster = Cluster::of([labelled("n", [("storage-tier", "csd")]), node("other")]).policy(policy);
    let decision = cluster.decide(&[PLUGIN], &hinted("p", [("preprocessing-type", "sharding")]));
    assert_eq!(["n", "other"].map(|n| decision.component(n, PLUGIN, "csd").unwrap()), [18, 5]);
}

#[test]
fn required_csd_refuses_other_nodes() {
    let requires = |decision, requires_csd| {
        let policy = Policy { decision, findings: Findings { requires_csd, ..Findings::default() }, ..Policy::default() };
        Some(policy)
    };
    for (policy, hint, refused) in [
        (None, "true", true),
        (None, "false", false),
        (requires(PolicyDecision::Require, true), "", true),
        (requires(PolicyDecision::Require, true), "false", true),
        (requires(PolicyDecision::Require, false), "", false),
        (requires(PolicyDecision::Allow, true), "", false),
        (requires(PolicyDecision::Prefer, true), "", false),
    ] {
        let nodes = [labelled("csd", [("storage-tier/csd", "true")]), labelled("nvme", [("storage-tier", "nvme")]), node("none")];
        let cluster = Cluster { policy: policy.clone(), ..Cluster::of(nodes) };
        for stage in ["training", "preprocessing"] {
            let decision = cluster.decide(&[PLUGIN], &hinted("p", [("workload-stage", stage), ("require-csd", hint)]));
            assert_eq!(decision.feasible().len(), if refused { 1 } else { 3 }, "{policy:?} {hint}");
            let reason = if refused { "node(s) had no computational storage device" } else { "" };
            assert_eq!(decision.against("nvme"), reason, "{policy:?} {hint} {stage}");
        }
    }
}

#[test]
fn refusal_tells_what_is_there() {
    let cluster = Cluster::of([labelled("n", [("storage-tier", "nvme")])]);
    let decision = cluster.decide(&[PLUGIN], &hinted("p", [("require-csd", "true")]));
    assert_eq!(decision.nodes[0].reasons[0].detail.as_deref(), Some("requires csd (pod), the node has nvme"));
}

#[test]
fn changed_maxima_count_and_clamp() {
    let cluster = Cluster::of([storage_node(
        "n",
        [("node-capability/high-cpu", ""), ("storage-tier", "nvme"), ("storage-capability/write-buffer", "")],
        [("available-capacity-gb", "1300"), ("large-io-buffer", "true")],
    )])
    .config(|c| {
        let max = &mut c.plugins.io_pattern_based.scoring;
        (max.apollo_preference, max.resource_match, max.io_optimization, max.expansion, max.csd) = (9, 13, 11, 7, 5);
    });
    let decision = cluster.decide(&[PLUGIN], &hinted("p", [("preprocessing-type", "augmentation")]));
    let points =
        ["apolloPreference", "resourceMatch", "ioOptimization", "expansion", "csd"].map(|c| decision.component("n", PLUGIN, c).unwrap());
    // 9/2; 13*8/25 + 0 + 13*5/25; 11*8/20 + 3 * (11*4/20); 7*3/4; 5/2
    assert_eq!(points, [4, 6, 10, 5, 2]);
    let bonus = Cluster::of([labelled("n", [("storage-tier", "csd")])]).config(|c| c.plugins.io_pattern_based.scoring.csd = 5);
    assert_eq!(bonus.decide(&[PLUGIN], &hinted("p", [("preprocessing-type", "filter")])).component("n", PLUGIN, "csd"), Some(5));
}

#[test]
fn components_are_in_order_and_sum_to_the_score() {
    let cluster = Cluster::of([storage_node("n", [("storage-tier", "csd"), ("layer", "storage")], [("available-capacity-gb", "10")])]);
    let decision = cluster.decide(&[PLUGIN], &hinted("p", [("preprocessing-type", "augmentation")]));
    let plugin = &decision.nodes[0].plugins[0];
    let parts: Vec<(&str, i64, String)> = plugin.components.0.iter().map(|c| (c.name, c.score, c.source.clone().into())).collect();
    let part = |name, score, source: &str| (name, score, source.into());
    assert_eq!(
        parts,
        [
            part("apolloPreference", 7, "no APOLLO answer"),
            part("resourceMatch", 0, "needs CPU, memory, fast reads; the node is not marked as rich, with 8 cores, 32 GiB, no flash"),
            part("ioOptimization", 8, "sequential, read-intensive, write-intensive; the node has none of buffers, caches, nvme"),
            part("expansion", 5, "writes 5.00 times what it reads, 10 GB left"),
            part("csd", 10, "the workload cannot use computational storage"),
        ]
    );
    assert_eq!(plugin.score, 30);
}

#[test]
fn only_a_device_that_appears_or_the_pods_own_hints_can_help() {
    let plugin = plugins::create(PLUGIN).unwrap();
    let (bare, csd) = (node("n"), labelled("n", [("storage-tier", "csd")]));
    let (waiting, edited) = (pod("p"), hinted("p", [("require-csd", "false")]));
    for (event, expected) in [
        (ClusterEvent::NodeAdded(&csd), true),
        (ClusterEvent::NodeAdded(&bare), false),
        (ClusterEvent::NodeChanged { old: &bare, new: &csd }, true),
        (ClusterEvent::NodeChanged { old: &csd, new: &csd }, false),
        (ClusterEvent::NodeChanged { old: &csd, new: &bare }, false),
        (ClusterEvent::OwnChange { old: &waiting, new: &edited }, true),
        (ClusterEvent::OwnChange { old: &waiting, new: &waiting }, false),
        (ClusterEvent::PodRemoved(&waiting), false),
    ] {
        assert_eq!(plugin.helps(&waiting, &event), expected, "{event:?}");
    }
}
