//! I/O that a pod insists on: what refuses it, on the node and at the storage backend of its claims, what frees it, and what is only a score.
//! Expected numbers are written out, not computed.

use super::tests::PLUGIN;
use crate::fixture::{Cluster, claiming, hinted, node, storage_node, with};
use crate::framework::ClusterEvent;
use crate::plugins;
use aisched_model::node::{Budgets, Node};
use aisched_model::pod::Pod;
use aisched_model::signals::ClassFacts;
use aisched_model::storage_facts::IoDemand;
use aisched_model::volume::{Claim, StorageClass};

/// 1000 IOPS, 500 MB/s, 100 GB.
fn disk(name: &str) -> Node {
    storage_node(name, [], [("available-iops", "1000"), ("available-throughput-mbps", "500"), ("available-capacity-gb", "100")])
}

fn io(iops: i64, throughput_mbps: i64, capacity_gb: i64) -> IoDemand {
    IoDemand { iops, throughput_mbps, capacity_gb }
}

/// A node that has promised 600 IOPS, 100 MB/s and 10 GB, and one that tells nothing.
fn half_taken() -> Cluster {
    Cluster::of([disk("disk"), node("bare")]).placed_with_io("disk", hinted("other", []), io(600, 100, 10))
}

#[test]
fn only_a_pod_that_insists_is_refused() {
    const IOPS: &str = "node(s) had too few IOPS left";
    const UNKNOWN: &str = "node(s) had unknown IOPS";
    for (hints, disk, bare) in [
        ([("required-iops", "400"), ("strict-io", "true")], "", UNKNOWN),
        ([("required-iops", "401"), ("strict-io", "True")], IOPS, UNKNOWN),
        ([("required-iops", "401"), ("strict-io", "false")], "", ""),
        ([("required-iops", "401"), ("strict-io", "yes")], "", ""),
        ([("required-iops", "0"), ("strict-io", "true")], "", ""),
        (
            [("required-throughput-mbps", "401"), ("strict-io", "true")],
            "node(s) had too little storage throughput left",
            "node(s) had unknown storage throughput",
        ),
        (
            [("required-capacity-gb", "91"), ("strict-io", "true")],
            "node(s) had too little storage capacity left",
            "node(s) had unknown storage capacity",
        ),
    ] {
        let decision = half_taken().decide(&[PLUGIN], &hinted("p", hints));
        assert_eq!((&*decision.against("disk"), &*decision.against("bare")), (disk, bare), "{hints:?}");
    }
}

#[test]
fn every_shortage_is_named_with_its_numbers() {
    let pod = hinted("p", [("required-iops", "500"), ("required-throughput-mbps", "500"), ("strict-io", "true")]);
    let decision = half_taken().decide(&[PLUGIN], &pod);
    assert_eq!(decision.against("disk"), "node(s) had too few IOPS left; node(s) had too little storage throughput left");
    let reasons = decision.nodes.iter().find(|n| *n.node == *"disk").map(|n| n.reasons.clone()).unwrap_or_default();
    let detail = "IOPS: 500 asked for, 400 left; throughput: 500 MB/s asked for, 400 MB/s left";
    assert_eq!(reasons[0].detail.as_deref(), Some(detail));
    let open = half_taken().config(|c| c.io_accounting = false).decide(&[PLUGIN], &pod);
    assert_eq!(open.against("disk"), "", "without accounting nothing is taken");
}

#[test]
fn overload_is_a_score_for_the_others() {
    for (asked, points) in [("200", 15), ("300", 11), ("400", 10), ("800", 7)] {
        let decision = half_taken().decide(&[PLUGIN], &hinted("p", [("required-iops", asked)]));
        assert_eq!(decision.component("disk", PLUGIN, "performance"), Some(points), "{asked}");
    }
}

/// Two nodes with much to give, and a class whose backend gives 1000 IOPS to all, of which 700 are promised.
fn shared() -> Cluster {
    let facts = ClassFacts { backend: Some("nas".into()), ..ClassFacts::default() };
    let class = |name: &str, iops| StorageClass {
        name: name.into(),
        facts: facts.clone(),
        offers: Budgets { iops, ..Budgets::default() },
        ..StorageClass::default()
    };
    let claim = |name: &str, class: &str| Claim { name: name.into(), storage_class: Some(class.into()), ..Claim::default() };
    let mut cluster = Cluster::of(["a", "b"].map(|n| storage_node(n, [("storage-tier", "nvme")], [])))
        .class(class("gold", Some(1000)))
        .class(class("silver", Some(5000)))
        .class(StorageClass { name: "own".into(), ..StorageClass::default() })
        .claim(claim("data", "silver"))
        .claim(claim("scratch", "own"));
    cluster.snapshot.promise_io(&["nas".into()], io(700, 0, 0), true);
    cluster
}

fn reading(claim: &str, iops: &str) -> Pod {
    let hints = hinted("p", [("required-iops", iops), ("strict-io", "true")]).spec.annotations.clone();
    with(claiming("p", [claim]), |s| s.annotations = hints)
}

#[test]
fn a_backend_is_shared_by_all_nodes_and_classes_that_name_it() {
    const SHORT: &str = "node(s) shared a storage backend with too few IOPS left";
    for (claim, iops, expected) in [("data", "300", ""), ("data", "301", SHORT), ("scratch", "301", ""), ("missing", "301", "")] {
        let decision = shared().decide(&[PLUGIN], &reading(claim, iops));
        assert_eq!((&*decision.against("a"), &*decision.against("b")), (expected, expected), "{claim} {iops}");
    }
    let wish = with(reading("data", "600"), |s| s.annotations = hinted("p", [("required-iops", "600")]).spec.annotations.clone());
    let decision = shared().decide(&[PLUGIN], &wish);
    assert_eq!(decision.component("a", PLUGIN, "performance"), Some(5 + 2), "300 of 600 are left");
    let source = "IOPS: 600 asked for (pod), 300 left; throughput: none asked for, 3000 MB/s left, shared with nas";
    assert_eq!(decision.source("a", PLUGIN, "performance"), Some(source));
}

#[test]
fn what_could_free_it_wakes_a_pod_that_insists() {
    let plugin = plugins::create(PLUGIN).unwrap();
    let (strict, wish) = (reading("data", "300"), with(reading("data", "300"), |s| s.annotations = <_>::default()));
    let (small, large) = (
        disk("n"),
        storage_node("n", [], [("available-iops", "2000"), ("available-throughput-mbps", "500"), ("available-capacity-gb", "100")]),
    );
    let class = StorageClass::default();
    let wider = StorageClass { offers: Budgets { iops: Some(1), ..Budgets::default() }, ..StorageClass::default() };
    let claim = |name: &str| Claim { name: name.into(), namespace: "default".into(), ..Claim::default() };
    let (own, other, gone) = (claim("data"), claim("other"), hinted("gone", []));
    for (event, helps) in [
        (ClusterEvent::PodRemoved(&gone), true),
        (ClusterEvent::PodPlaced(&gone), false),
        (ClusterEvent::NodeAdded(&small), true),
        (ClusterEvent::NodeAdded(&node("bare")), false),
        (ClusterEvent::NodeChanged { old: &small, new: &large }, true),
        (ClusterEvent::NodeChanged { old: &large, new: &small }, false),
        (ClusterEvent::Class(Some(&class), &wider), true),
        (ClusterEvent::Class(Some(&class), &class), false),
        (ClusterEvent::Claim(None, &own), true),
        (ClusterEvent::Claim(None, &other), false),
    ] {
        assert_eq!((plugin.helps(&strict, &event), plugin.helps(&wish, &event)), (helps, false), "{event:?}");
    }
}
