//! Every cell of `scoring.md` §4, boundaries of its formulas, its filter, accounting, and changed maxima.
//! Expected numbers are written out, not computed.

use crate::fixture::{Cluster, hinted, labelled, node, pod, spec_pod, storage_node, with};
use crate::framework::ClusterEvent;
use crate::plugins;
use aisched_model::config::TierScores;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodSpec};
use aisched_model::policy::{Findings, Policy, PolicyDecision};
use aisched_model::storage_facts::IoDemand;
use aisched_model::workload::Tier;
use alloc::vec::Vec;

pub(super) const PLUGIN: &str = "StorageTierAware";

/// One node per tier, named after it, one without any, and one with SSD and HDD.
fn tiers() -> Cluster {
    Cluster::of(["nvme", "ssd", "hdd", "csd", "memory"].map(|t| labelled(t, [("storage-tier", t)])))
        .node(node("none"))
        .node(labelled("ssd+hdd", [("storage-tier/ssd", "true"), ("storage-tier/hdd", "true")]))
        .node(labelled("hdd+csd", [("storage-tier/hdd", "true"), ("storage-tier/csd", "true")]))
}

/// A component on the nodes nvme, ssd, hdd, csd, memory, none.
fn row(cluster: &Cluster, pod: &Pod, component: &str) -> [i64; 6] {
    let decision = cluster.decide(&[PLUGIN], pod);
    ["nvme", "ssd", "hdd", "csd", "memory", "none"].map(|n| decision.component(n, PLUGIN, component).unwrap())
}

#[test]
fn io_pattern_follows_the_table() {
    for (pattern, expected) in [
        ("random", [40, 30, 10, 20, 40, 20]),
        ("sequential", [35, 30, 25, 20, 35, 20]),
        ("read-heavy", [40, 30, 20, 20, 40, 20]),
        ("write-heavy", [40, 25, 15, 20, 40, 20]),
        ("bursty", [40, 25, 10, 20, 40, 20]),
        ("balanced", [40, 30, 15, 20, 40, 20]),
    ] {
        assert_eq!(row(&tiers(), &hinted("p", [("io-pattern", pattern)]), "ioPattern"), expected, "{pattern}");
    }
    assert_eq!(row(&tiers(), &hinted("p", [("workload-stage", "training")]), "ioPattern"), [20; 6], "pattern unknown");
}

#[test]
fn pipeline_stage_follows_the_table() {
    for (stage, expected) in [
        ("data-loading", [25, 25, 20, 30, 25, 15]),
        ("preprocessing", [25, 25, 20, 30, 25, 15]),
        ("training", [30, 25, 10, 20, 30, 15]),
        ("checkpointing", [30, 25, 10, 20, 30, 15]),
        ("evaluation", [30, 27, 15, 20, 30, 15]),
        ("inference", [30, 20, 10, 10, 30, 10]),
        ("postprocessing", [15; 6]),
        ("idle", [15; 6]),
    ] {
        assert_eq!(row(&tiers(), &hinted("p", [("workload-stage", stage)]), "pipelineStage"), expected, "{stage}");
    }
    assert_eq!(row(&tiers(), &hinted("p", [("io-pattern", "random")]), "pipelineStage"), [15; 6], "stage unknown");
}

#[test]
fn best_of_a_nodes_tiers_counts() {
    let pod = hinted("p", [("io-pattern", "random"), ("workload-stage", "preprocessing")]);
    let decision = tiers().decide(&[PLUGIN], &pod);
    for (node, component, points, source) in [
        ("ssd+hdd", "ioPattern", 30, "random (pod) on ssd"),
        ("ssd+hdd", "pipelineStage", 25, "preprocessing (pod) on ssd"),
        ("hdd+csd", "ioPattern", 20, "random (pod) on csd"),
        ("hdd+csd", "pipelineStage", 30, "preprocessing (pod) on csd"),
        ("none", "ioPattern", 20, "random (pod), the node has no known tier"),
    ] {
        assert_eq!(decision.component(node, PLUGIN, component), Some(points), "{node} {component}");
        assert_eq!(decision.source(node, PLUGIN, component), Some(source), "{node} {component}");
    }
}

#[test]
fn first_of_equally_good_tiers_is_named() {
    let decision = tiers().decide(&[PLUGIN], &hinted("p", [("workload-stage", "idle")]));
    assert_eq!(decision.source("ssd+hdd", PLUGIN, "pipelineStage"), Some("idle (pod) on ssd"));
}

#[test]
fn example_of_the_reference_page_holds() {
    let pod = hinted("p", [("workload-stage", "training"), ("io-pattern", "random"), ("required-iops", "5000")]);
    let used = tiers().placed_with_io("ssd", spec_pod("first", PodSpec::default()), IoDemand { iops: 5000, ..IoDemand::default() });
    assert_eq!(["nvme", "ssd"].map(|n| tiers().decide(&[PLUGIN], &pod).score(n, PLUGIN).unwrap()), [90, 75]);
    assert_eq!(used.decide(&[PLUGIN], &pod).score("ssd", PLUGIN), Some(70));
}

/// A node with these budgets; `-` leaves one out. It has no tier, so that nothing is estimated.
fn budgets(iops: &str, throughput: &str, capacity: &str) -> Node {
    let pairs = [("available-iops", iops), ("available-throughput-mbps", throughput), ("available-capacity-gb", capacity)];
    storage_node("n", [], pairs.map(|(k, v)| (k, if v == "-" { "" } else { v })))
}

fn asking(iops: &str, throughput: &str, capacity: &str) -> Pod {
    hinted(
        "p",
        [("workload-stage", "idle"), ("required-iops", iops), ("required-throughput-mbps", throughput), ("required-capacity-gb", capacity)],
    )
}

fn on(node: Node, pod: &Pod, component: &str) -> i64 {
    Cluster::of([node]).decide(&[PLUGIN], pod).component("n", PLUGIN, component).unwrap()
}

#[test]
fn performance_follows_the_formula() {
    // The other half, not asked for, always gives 5.
    for (asked, left, half) in [
        ("", "-", 5),
        ("", "1", 5),
        ("1000", "-", 2),
        ("1000", "2000", 10),
        ("1000", "1999", 9),
        ("1000", "1500", 7),
        ("1000", "1400", 7),
        ("1000", "1399", 6),
        ("1000", "1200", 6),
        ("1000", "1199", 5),
        ("1000", "1000", 5),
        ("1000", "999", 4),
        ("1000", "500", 2),
        ("1000", "200", 1),
        ("1000", "199", 0),
        ("1000", "0", 0),
        ("1", "1", 5),
        ("1", "2", 10),
        ("9223372036854775807", "9223372036854775807", 5),
        ("9223372036854775807", "4611686018427387904", 2),
    ] {
        assert_eq!(on(budgets(left, "-", "-"), &asking(asked, "", ""), "performance"), half + 5, "IOPS {asked} of {left}");
        assert_eq!(on(budgets("-", left, "-"), &asking("", asked, ""), "performance"), half + 5, "MB/s {asked} of {left}");
    }
    assert_eq!(on(budgets("2000", "500", "-"), &asking("1000", "1000", ""), "performance"), 12, "both halves");
}

#[test]
fn estimates_stand_in_for_budgets_that_a_node_does_not_tell() {
    // 10 000 of 100 000, 10 000, 150, unknown; the other half gives 5.
    assert_eq!(row(&tiers(), &asking("10000", "", ""), "performance"), [15, 10, 5, 7, 7, 7]);
    // 250 MB/s of 3000, 500, 150, unknown.
    assert_eq!(row(&tiers(), &asking("", "250", ""), "performance"), [15, 15, 8, 7, 7, 7]);
}

#[test]
fn capacity_follows_the_table() {
    for (asked, left, expected) in [
        ("", "-", 5),
        ("100", "-", 5),
        ("100", "200", 10),
        ("100", "199", 7),
        ("100", "100", 7),
        ("100", "99", 0),
        ("100", "0", 0),
        ("", "1000", 10),
        ("", "999", 8),
        ("", "500", 8),
        ("", "499", 6),
        ("", "100", 6),
        ("", "99", 5),
        ("", "0", 5),
    ] {
        assert_eq!(on(budgets("-", "-", left), &asking("", "", asked), "capacity"), expected, "{asked} of {left}");
    }
}

#[test]
fn any_single_demand_makes_it_score_and_none_makes_it_skip() {
    for hint in [
        ("workload-stage", "idle"),
        ("io-pattern", "random"),
        ("required-storage-tier", "ssd"),
        ("required-iops", "1"),
        ("required-throughput-mbps", "1"),
        ("required-capacity-gb", "1"),
    ] {
        assert!(tiers().decide(&[PLUGIN], &hinted("p", [hint])).score("none", PLUGIN).is_some(), "{hint:?}");
    }
    for pod in [pod("p"), hinted("p", [("dataset", "imagenet"), ("strict-storage-tier", "true"), ("preferred-zone", "a")])] {
        assert_eq!(tiers().decide(&[PLUGIN], &pod).score("nvme", PLUGIN), None);
    }
    let typed = hinted("p", [("preprocessing-type", "aug")]);
    assert_eq!(tiers().decide(&[PLUGIN], &typed).score("nvme", PLUGIN), None, "a type alone is none of the six");
}

const ALL: [&str; 8] = ["csd", "hdd", "hdd+csd", "memory", "none", "nvme", "ssd", "ssd+hdd"];

#[test]
fn strict_tier_lets_only_nodes_pass_that_meet_it() {
    for (tier, feasible) in [
        ("nvme", &["memory", "nvme"][..]),
        ("ssd", &["memory", "nvme", "ssd", "ssd+hdd"]),
        ("hdd", &["hdd", "hdd+csd", "memory", "nvme", "ssd", "ssd+hdd"]),
        ("csd", &["csd", "hdd+csd"]),
        ("memory", &["memory"]),
    ] {
        let strict = tiers().decide(&[PLUGIN], &hinted("p", [("required-storage-tier", tier), ("strict-storage-tier", "true")]));
        let names: Vec<&str> = ALL.into_iter().filter(|n| strict.feasible().iter().any(|f| **f == **n)).collect();
        assert_eq!(names, feasible, "{tier}");
        assert_eq!(strict.against("none"), alloc::format!("node(s) had no {tier} storage tier"));
        let wished = tiers().decide(&[PLUGIN], &hinted("p", [("required-storage-tier", tier)]));
        assert_eq!(wished.feasible().len(), ALL.len(), "a wish for {tier} filters nothing");
    }
}

#[test]
fn refusal_tells_what_was_required_and_what_is_there() {
    let strict = tiers().decide(&[PLUGIN], &hinted("p", [("required-storage-tier", "nvme"), ("strict-storage-tier", "true")]));
    let detail = |name: &str| strict.nodes.iter().find(|n| *n.node == *name).unwrap().reasons[0].detail.clone().unwrap();
    assert_eq!(detail("ssd+hdd"), "requires nvme (pod), the node has ssd, hdd");
    assert_eq!(detail("none"), "requires nvme (pod), the node has no known tier");
}

#[test]
fn decision_require_makes_the_policys_tier_and_the_pods_strict() {
    let with_tier =
        |decision, tier| Policy { decision, findings: Findings { required_tier: tier, ..Findings::default() }, ..Policy::default() };
    let csd = hinted("p", [("required-storage-tier", "csd")]);
    for (policy, pod, n_feasible) in [
        (with_tier(PolicyDecision::Require, Some(Tier::Nvme)), &pod("p"), 2),
        (with_tier(PolicyDecision::Require, Some(Tier::Nvme)), &csd, 2),
        (with_tier(PolicyDecision::Require, None), &csd, 2),
        (with_tier(PolicyDecision::Require, None), &pod("p"), 8),
        (with_tier(PolicyDecision::Prefer, Some(Tier::Nvme)), &csd, 8),
        (with_tier(PolicyDecision::Allow, Some(Tier::Nvme)), &pod("p"), 8),
    ] {
        assert_eq!(tiers().policy(policy.clone()).decide(&[PLUGIN], pod).feasible().len(), n_feasible, "{policy:?}");
    }
}

#[test]
fn promised_io_is_subtracted_and_never_below_zero() {
    let half = asking("1000", "100", "50");
    let cluster = |io| Cluster::of([budgets("2000", "200", "100")]).placed_with_io("n", pod("old"), io);
    let decide = |cluster: &Cluster| {
        let decision = cluster.decide(&[PLUGIN], &half);
        ["performance", "capacity"].map(|c| decision.component("n", PLUGIN, c).unwrap())
    };
    let half_taken = IoDemand { iops: 1000, throughput_mbps: 100, capacity_gb: 50 };
    let too_much = IoDemand { iops: 9000, throughput_mbps: 900, capacity_gb: 900 };
    assert_eq!(decide(&cluster(IoDemand::default())), [20, 10]);
    assert_eq!(decide(&cluster(half_taken)), [10, 7]);
    assert_eq!(decide(&cluster(too_much)), [0, 0]);
    assert_eq!(decide(&cluster(too_much).config(|c| c.io_accounting = false)), [20, 10]);
    let overdrawn = cluster(too_much).decide(&[PLUGIN], &asking("1000", "", ""));
    assert_eq!(overdrawn.component("n", PLUGIN, "performance"), Some(5), "0 for IOPS, 5 for a throughput that nobody asked for");
    let unasked = cluster(too_much).decide(&[PLUGIN], &hinted("p", [("workload-stage", "idle")]));
    assert_eq!(unasked.component("n", PLUGIN, "capacity"), Some(5), "0 GB left is known, and less than 100");
}

/// Places `n` pods one after the other and counts how many each of three equal nodes got.
fn batch(n: usize, accounting: bool) -> Vec<usize> {
    let names = ["a", "b", "c"];
    let mut cluster = Cluster::of(names.map(|name| storage_node(name, [("storage-tier", "nvme")], [("available-iops", "10000")])))
        .config(|c| c.io_accounting = accounting);
    let mut counts = [0; 3];
    for i in 0..n {
        let pod = Pod { uid: alloc::format!("uid-{i}").into(), ..hinted("half", [("required-iops", "5000")]) };
        let node = cluster.decide(&[PLUGIN], &pod).node.unwrap();
        counts[names.iter().position(|name| **name == *node).unwrap()] += 1;
        cluster = cluster.placed_with_io(&node, pod, IoDemand { iops: 5000, ..IoDemand::default() });
    }
    counts.to_vec()
}

#[test]
fn pods_that_each_want_half_of_a_nodes_iops_do_not_all_land_on_it() {
    for n in [3, 6] {
        assert_eq!(batch(n, true), [n / 3; 3], "{n} pods");
    }
    let without = batch(30, false);
    assert!(without.iter().all(|n| *n > 0) && without.iter().sum::<usize>() == 30, "ties are spread by luck alone: {without:?}");
}

#[test]
fn accounting_decides_between_a_used_and_a_free_node() {
    let cluster = Cluster::of([
        storage_node("big-but-used", [("storage-tier", "nvme")], [("available-iops", "12000")]),
        storage_node("free", [("storage-tier", "nvme")], [("available-iops", "9000")]),
    ])
    .placed_with_io("big-but-used", pod("old"), IoDemand { iops: 8000, ..IoDemand::default() });
    let pod = hinted("p", [("required-iops", "5000")]);
    assert_eq!(cluster.decide(&[PLUGIN], &pod).node.as_deref(), Some("free"));
    assert_eq!(cluster.config(|c| c.io_accounting = false).decide(&[PLUGIN], &pod).node.as_deref(), Some("big-but-used"));
}

#[test]
fn changed_maxima_and_scores_of_the_configuration_count() {
    let cluster = tiers().config(|c| {
        let max = &mut c.plugins.storage_tier_aware.scoring;
        (max.io_pattern, max.pipeline_stage, max.performance, max.capacity) = (17, 7, 11, 3);
        c.storage_tiers.ssd = TierScores { random: 11, sequential: 100, read_heavy: 0, write_heavy: 5 };
    });
    let hint = |pattern| hinted("p", [("io-pattern", pattern), ("workload-stage", "training")]);
    assert_eq!(row(&cluster, &hint("random"), "ioPattern"), [17, 11, 10, 8, 17, 8], "configured 40 is clamped");
    assert_eq!(row(&cluster, &hint("sequential"), "ioPattern"), [17, 17, 17, 8, 17, 8]);
    assert_eq!(row(&cluster, &hint("read-heavy"), "ioPattern"), [17, 0, 17, 8, 17, 8]);
    assert_eq!(row(&cluster, &hint("bursty"), "ioPattern"), [17, 10, 4, 8, 17, 8]);
    assert_eq!(row(&cluster, &hint("balanced"), "ioPattern"), [17, 12, 6, 8, 17, 8]);
    assert_eq!(row(&cluster, &hint("random"), "pipelineStage"), [7, 5, 2, 4, 7, 3]);
    assert_eq!(row(&cluster, &hint("random"), "performance"), [4; 6]);
    // Estimates are 100 000, 10 000, 150 IOPS and unknown; of 11, half is 5, a quarter 2, an eighth 1; throughput gives 2.
    assert_eq!(row(&cluster, &asking("7500", "", ""), "performance"), [7, 4, 2, 3, 3, 3]);
    assert_eq!(row(&cluster, &asking("5000", "", ""), "performance"), [7, 7, 2, 3, 3, 3]);
    assert_eq!(row(&cluster, &hint("random"), "capacity"), [1; 6]);
    let off = tiers().config(|c| c.plugins.storage_tier_aware.scoring.io_pattern = 0);
    assert_eq!(row(&off, &hint("random"), "ioPattern"), [0; 6]);
}

#[test]
fn components_are_in_order_and_sum_to_the_score() {
    let decision =
        tiers().decide(&[PLUGIN], &hinted("p", [("io-pattern", "random"), ("workload-stage", "training"), ("required-iops", "50000")]));
    for report in &decision.nodes {
        let plugin = &report.plugins[0];
        let names: Vec<&str> = plugin.components.0.iter().map(|c| c.name).collect();
        assert_eq!(names, ["ioPattern", "pipelineStage", "performance", "capacity"]);
        assert_eq!(plugin.components.0.iter().map(|c| c.score).sum::<i64>(), plugin.score, "{}", report.node);
    }
    assert_eq!(
        decision.source("nvme", PLUGIN, "performance"),
        Some("IOPS: 50000 asked for (pod), 100000 left; throughput: none asked for, 3000 MB/s left")
    );
    assert_eq!(decision.source("none", PLUGIN, "capacity"), Some("capacity: none asked for, the node's is not known"));
}

#[test]
fn sum_over_100_is_clamped() {
    let cluster = tiers().config(|c| {
        let max = &mut c.plugins.storage_tier_aware.scoring;
        (max.io_pattern, max.pipeline_stage, max.performance, max.capacity) = (40, 100, 100, 100);
    });
    assert_eq!(
        cluster.decide(&[PLUGIN], &hinted("p", [("io-pattern", "random"), ("workload-stage", "training")])).score("nvme", PLUGIN),
        Some(100)
    );
}

#[test]
fn only_a_tier_that_appears_or_the_pods_own_hints_can_help() {
    let plugin = plugins::create(PLUGIN).unwrap();
    let (bare, ssd, both) =
        (node("n"), labelled("n", [("storage-tier", "ssd")]), labelled("n", [("storage-tier/ssd", ""), ("storage-tier/nvme", "")]));
    let relabelled = Node { labels: Labels::from([("x", "y")]), ..ssd.clone() };
    let waiting = pod("p");
    let edited = hinted("p", [("required-storage-tier", "hdd")]);
    let other = with(spec_pod("p", PodSpec::default()), |s| s.priority = 7);
    for (event, expected) in [
        (ClusterEvent::NodeAdded(&ssd), true),
        (ClusterEvent::NodeAdded(&bare), false),
        (ClusterEvent::NodeChanged { old: &ssd, new: &both }, true),
        (ClusterEvent::NodeChanged { old: &both, new: &ssd }, false),
        (ClusterEvent::NodeChanged { old: &ssd, new: &relabelled }, false),
        (ClusterEvent::OwnChange { old: &waiting, new: &edited }, true),
        (ClusterEvent::OwnChange { old: &waiting, new: &other }, false),
        (ClusterEvent::PodRemoved(&waiting), false),
        (ClusterEvent::Namespace(&"default".into()), false),
    ] {
        assert_eq!(plugin.helps(&waiting, &event), expected, "{event:?}");
    }
}
