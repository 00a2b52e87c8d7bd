//! Whole scores of the guide's pod (§4.2), reckoned by hand, and what all three plugins of the guide have in common.
//! The same numbers stand in `docs/reference/scoring.md`.

use crate::fixture::{Cluster, hinted, labelled, node, pod, storage_node, with};
use crate::profile::{Profile, Weight};
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use aisched_model::policy::Policy;
use alloc::vec::Vec;

const GUIDES: [&str; 3] = ["DataLocalityAware", "StorageTierAware", "IOPatternBased"];

/// The guide's preprocessing pod, as its §4.2 writes it.
fn guides_pod() -> Pod {
    let hints = [("workload-stage", "preprocessing"), ("preprocessing-type", "augmentation"), ("io-pattern", "sequential")];
    with(hinted("test-preprocess-pod", hints), |s| s.labels = Labels::from([("pipeline-step", "preprocessing")]))
}

fn configured() -> Profile {
    Profile::of("ai-storage-scheduler", GUIDES.map(|name| (name, Weight::Configured)))
}

#[test]
fn guides_pod_scores_as_reckoned_by_hand_on_each_tier() {
    let annotations = [
        ("available-iops", "100000"),
        ("available-throughput-mbps", "2000"),
        ("available-capacity-gb", "500"),
        ("cached-datasets", "imagenet,coco"),
        ("data-temperature", "hot"),
    ];
    let cluster = Cluster::of(["nvme", "ssd", "hdd", "csd", "memory"].map(|t| labelled(t, [("storage-tier", t)])))
        .node(node("none"))
        .node(storage_node("guide", [("storage-tier/nvme", "true")], annotations));
    let decision = cluster.decide_profile(&configured(), &guides_pod());
    for (node, scores, total) in [
        ("guide", [55, 78, 39], 516),
        ("nvme", [45, 75, 44], 492),
        ("memory", [45, 75, 35], 465),
        ("ssd", [45, 70, 38], 459),
        ("csd", [45, 65, 35], 435),
        ("hdd", [45, 60, 35], 420),
        ("none", [45, 50, 35], 390),
    ] {
        assert_eq!(GUIDES.map(|plugin| decision.score(node, plugin).unwrap()), scores, "{node}");
        let report = decision.nodes.iter().find(|n| *n.node == *node).unwrap();
        assert_eq!(report.total, Some(total * 1000), "{node}");
    }
    assert_eq!(decision.node.as_deref(), Some("guide"));
}

#[test]
fn shared_weights_count_in_thousandths() {
    let policy = Policy { plugin_weights: Some([0.2, 0.5, 0.3, 0.0, 0.0]), ..Policy::default() };
    let decision = Cluster::of([labelled("nvme", [("storage-tier", "nvme")])]).policy(policy).decide_profile(&configured(), &guides_pod());
    // With an answer the APOLLO parts are a third: 10 of 30 for 15, 5 of 15 for 7.
    assert_eq!(GUIDES.map(|plugin| decision.score("nvme", plugin).unwrap()), [40, 75, 42]);
    assert_eq!(decision.nodes[0].total, Some(1800 * 40 + 4500 * 75 + 2700 * 42));
}

#[test]
fn pod_that_says_nothing_is_skipped_by_all() {
    let decision = Cluster::of([node("n")]).decide_profile(&configured(), &pod("p"));
    assert_eq!(GUIDES.map(|plugin| decision.score("n", plugin)), [None; 3]);
    assert_eq!(decision.nodes[0].total, Some(0));
}

#[test]
fn components_always_sum_to_the_score() {
    let stages = ["data-loading", "training", "inference", "idle", ""];
    let types = ["augmentation", "filtering", "aggregation", ""];
    let patterns = ["random", "sequential", "bursty", ""];
    let nodes = || {
        Cluster::of(["nvme", "ssd", "hdd", "csd", "memory"].map(|t| {
            storage_node(
                t,
                [("storage-tier", t), ("node-capability/high-cpu", "")],
                [("available-capacity-gb", "700"), ("csd-compute-ops", "9")],
            )
        }))
    };
    let mut n_seen = 0;
    for (stage, kind) in stages.into_iter().flat_map(|s| types.map(|t| (s, t))) {
        for pattern in patterns {
            let pod =
                hinted("p", [("workload-stage", stage), ("preprocessing-type", kind), ("io-pattern", pattern), ("required-iops", "700")]);
            let decision = nodes().decide_profile(&configured(), &pod);
            for plugin in decision.nodes.iter().flat_map(|n| n.plugins.iter()).filter(|p| !p.skipped) {
                let sum: i64 = plugin.components.0.iter().map(|c| c.score).sum();
                assert_eq!((sum, (0..=100).contains(&sum)), (plugin.score, true), "{} {stage} {kind} {pattern}", plugin.name);
                n_seen += 1;
            }
        }
    }
    assert!(n_seen > 500, "{n_seen}");
}

#[test]
fn names_of_components_are_the_published_ones() {
    let decision = Cluster::of([node("n")]).decide_profile(&configured(), &guides_pod());
    let names: Vec<Vec<&str>> = decision.nodes[0].plugins.iter().map(|p| p.components.0.iter().map(|c| c.name).collect()).collect();
    assert_eq!(
        names,
        [
            &["apollo", "pvcLocality", "cache", "topology"][..],
            &["ioPattern", "pipelineStage", "performance", "capacity"],
            &["apolloPreference", "resourceMatch", "ioOptimization", "expansion", "csd"],
        ]
    );
}
