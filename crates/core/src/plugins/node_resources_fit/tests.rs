//! What NodeResourcesFit refuses, how it scores, and what wakes the pods that it refused.
//! Most rows are those that kube-scheduler itself is tested with.

use super::*;
use crate::fixture::{Cluster, node, pod, requesting, with};
use crate::plugins::args::{ResourceWeight, ScoringStrategy};
use aisched_model::resources::{Bytes, MilliCpu, NonZeroRequest};
use alloc::boxed::Box;
use alloc::sync::Arc;

/// Amounts by resource name.
type Amounts<'a> = &'a [(&'a str, i64)];

fn resources(amounts: Amounts<'_>) -> Resources {
    let mut resources = Resources::default();
    for &(name, amount) in amounts {
        match name {
            "cpu" => resources.cpu = MilliCpu(amount),
            "memory" => resources.memory = Bytes(amount),
            "ephemeral-storage" => resources.ephemeral_storage = Bytes(amount),
            _ => resources.set_scalar(&name.into(), amount),
        }
    }
    resources
}

fn asking(name: &str, amounts: Amounts<'_>) -> Pod {
    with(pod(name), |s| {
        s.requests = resources(amounts);
        s.nonzero_request.cpu = s.requests.cpu;
        s.nonzero_request.memory = s.requests.memory;
    })
}

fn offering(name: &str, amounts: Amounts<'_>) -> Node {
    Node { allocatable: resources(amounts), ..node(name) }
}

#[test]
fn every_shortage_is_named() {
    use RefusalCode::{Unresolvable, Unschedulable};
    let offer = [("cpu", 10), ("memory", 20), ("ephemeral-storage", 20), ("example.com/aaa", 5), ("hugepages-2Mi", 5)];
    for (used, wanted, expected) in [
        (&[("cpu", 10), ("memory", 20)][..], &[][..], None),
        (&[("cpu", 10), ("memory", 20)], &[("cpu", 1), ("memory", 1)], Some((Unschedulable, "Insufficient cpu, Insufficient memory"))),
        (&[("cpu", 9), ("memory", 19)], &[("cpu", 1), ("memory", 1)], None),
        (&[("cpu", 9), ("memory", 5)], &[("cpu", 2), ("memory", 1)], Some((Unschedulable, "Insufficient cpu"))),
        (&[("cpu", 5), ("memory", 19)], &[("cpu", 1), ("memory", 2)], Some((Unschedulable, "Insufficient memory"))),
        (&[("cpu", 5), ("memory", 19)], &[("cpu", 5), ("memory", 1)], None),
        (&[], &[("cpu", 11)], Some((Unresolvable, "Insufficient cpu"))),
        (&[("memory", 20)], &[("cpu", 11), ("memory", 1)], Some((Unresolvable, "Insufficient cpu, Insufficient memory"))),
        (&[("ephemeral-storage", 10)], &[("ephemeral-storage", 11)], Some((Unschedulable, "Insufficient ephemeral-storage"))),
        (&[("example.com/aaa", 3)], &[("example.com/aaa", 3)], Some((Unschedulable, "Insufficient example.com/aaa"))),
        (&[], &[("example.com/aaa", 5)], None),
        (&[], &[("example.com/aaa", 6)], Some((Unresolvable, "Insufficient example.com/aaa"))),
        (&[], &[("example.com/bbb", 1)], Some((Unresolvable, "Insufficient example.com/bbb"))),
        (&[], &[("example.com/bbb", 0)], None),
        (&[("hugepages-2Mi", 1)], &[("hugepages-2Mi", 5)], Some((Unschedulable, "Insufficient hugepages-2Mi"))),
        (&[("cpu", 30)], &[("memory", 1)], None), // overfull elsewhere does not matter
    ] {
        let cluster = Cluster::of([offering("n", &offer)]).placed("n", asking("there", used));
        let (requests, node) = (resources(wanted), &cluster.snapshot.nodes[0]);
        let refusal = Request::of(&requests, |_| false).check(node);
        let refusal = refusal.as_ref().map(|r| (r.code, r.reasons.join(", ")));
        assert_eq!(refusal.as_ref().map(|(code, reasons)| (*code, &**reasons)), expected, "{used:?} {wanted:?}");
    }
}

#[test]
fn pods_are_counted_whatever_they_request() {
    for (allowed, request, expected) in [
        (2, pod("p"), ""),
        (1, pod("p"), "Too many pods"),
        (1, requesting("p", "9", "1Gi"), "Too many pods; Insufficient cpu"),
        (0, requesting("p", "1", "1Gi"), "Too many pods"),
    ] {
        let cluster = Cluster::of([Node { allocatable_pods: allowed, ..node("n") }]).placed("n", pod("there"));
        assert_eq!(cluster.decide(&["NodeResourcesFit"], &request).against("n"), expected, "{allowed} allowed");
    }
}

#[test]
fn refusal_gives_its_numbers() {
    let gpu = |pod| with(pod, |s| s.requests.set_scalar(&"nvidia.com/gpu".into(), 2));
    for (name, there, wanted, expected) in [
        ("cpu", requesting("x", "6500m", "1Gi"), requesting("p", "4", "1Gi"), "requested 4000m cpu, free 1500m of 8000m"),
        ("memory", requesting("x", "1", "30Gi"), requesting("p", "1", "4Gi"), "requested 4096Mi memory, free 2048Mi of 32768Mi"),
        ("gpu", pod("x"), gpu(pod("p")), "requested 2 nvidia.com/gpu, free 0 of 0"),
        ("overfull", requesting("x", "9", "0"), requesting("p", "100m", "0"), "requested 100m cpu, free 0m of 8000m"),
        ("odd", requesting("x", "0", "32Gi"), requesting("p", "0", "1500Ki"), "requested 1500Ki memory, free 0 of 32768Mi"),
    ] {
        let decision = Cluster::of([node("n")]).placed("n", there).decide(&["NodeResourcesFit"], &wanted);
        assert_eq!(decision.nodes[0].reasons[0].detail.as_deref(), Some(expected), "{name}");
    }
    let full = Cluster::of([Node { allocatable_pods: 1, ..node("n") }]).placed("n", pod("x"));
    let decision = full.decide(&["NodeResourcesFit"], &requesting("p", "9", "0"));
    let detail = "1 pods placed of 1 allowed; requested 9000m cpu, free 8000m of 8000m";
    assert_eq!(decision.nodes[0].reasons[0].detail.as_deref(), Some(detail));
}

#[test]
fn message_counts_each_reason() {
    let small = offering("a", &[("cpu", 8000), ("memory", 10)]);
    let cluster =
        Cluster::of([small, node("b"), node("c")]).placed("a", asking("x", &[("cpu", 8000)])).placed("b", asking("y", &[("cpu", 8000)]));
    let decision = cluster.decide(&["NodeResourcesFit"], &requesting("p", "1", "1Gi"));
    assert_eq!((decision.message, decision.n_feasible), (None, 1));
    let decision = cluster.placed("c", asking("z", &[("cpu", 8000)])).decide(&["NodeResourcesFit"], &requesting("p", "1", "1Gi"));
    assert_eq!(decision.message.as_deref(), Some("0/3 nodes are available: 1 Insufficient memory, 3 Insufficient cpu."));
}

#[test]
fn ignored_resources_are_no_reason() {
    for (resources, groups, wanted, expected) in [
        (&["example.com/aaa"][..], &[][..], &["example.com/aaa"][..], ""),
        (&["example.com/bbb"], &[], &["example.com/aaa"], "Insufficient example.com/aaa"),
        (&[], &["example.com"], &["example.com/aaa", "example.com/bbb"], ""),
        (&[], &["example.com"], &["example.com/aaa", "other.com/bbb"], "Insufficient other.com/bbb"),
        (&["hugepages-2Mi"], &["hugepages-2Mi"], &["hugepages-2Mi"], "Insufficient hugepages-2Mi"),
        (&["kubernetes.io/x"], &["kubernetes.io"], &["kubernetes.io/x"], "Insufficient kubernetes.io/x"),
    ] {
        let list = |names: &[&str]| names.iter().map(|n| Str::from(*n)).collect();
        let args = NodeResourcesFitArgs { ignored_resources: list(resources), ignored_resource_groups: list(groups), ..Default::default() };
        let wanted: Vec<(&str, i64)> = wanted.iter().map(|name| (*name, 1)).collect();
        let decision = Cluster::of([node("n")]).decide_plugin(Box::new(NodeResourcesFit { args }), &asking("p", &wanted));
        assert_eq!(decision.against("n"), expected, "{resources:?} {groups:?} {wanted:?}");
    }
}

fn strategy(kind: StrategyKind, weights: &[(&str, i64)]) -> Box<NodeResourcesFit> {
    let resources = weights.iter().map(|(name, weight)| ResourceWeight::new(name, *weight)).collect();
    Box::new(NodeResourcesFit { args: NodeResourcesFitArgs { scoring: ScoringStrategy { kind, resources }, ..Default::default() } })
}

fn ratio(points: &[(i64, i64)]) -> StrategyKind {
    StrategyKind::RequestedToCapacityRatio(points.iter().map(|&(utilization, score)| ShapePoint { utilization, score }).collect())
}

const EQUAL: &[(&str, i64)] = &[("cpu", 1), ("memory", 1)];

#[test]
fn strategies_score_the_nodes_of_the_facts() {
    use StrategyKind::{LeastAllocated, MostAllocated};
    let falling = ratio(&[(0, 10), (100, 0)]);
    for (kind, weights, used, wanted, expected) in [
        (LeastAllocated, EQUAL, (0, 0), (3000, 5000), 37),
        (LeastAllocated, EQUAL, (0, 0), (0, 0), 100),
        (LeastAllocated, EQUAL, (3000, 0), (3000, 5000), 25), // more CPU than there is: 0
        (LeastAllocated, &[("cpu", 1), ("memory", 2)], (0, 0), (3000, 5000), 41),
        (LeastAllocated, &[], (0, 0), (3000, 5000), 0),
        (MostAllocated, EQUAL, (0, 0), (3000, 5000), 62),
        (MostAllocated, &[("memory", 2), ("cpu", 1)], (0, 0), (3000, 5000), 58),
        (MostAllocated, EQUAL, (3000, 0), (3000, 5000), 75),
        (falling.clone(), EQUAL, (0, 0), (3000, 5000), 38),
        (falling.clone(), EQUAL, (0, 0), (0, 0), 100),
        (falling, EQUAL, (3000, 0), (3000, 5000), 50), // CPU scores 0 and does not count
        (ratio(&[]), EQUAL, (0, 0), (3000, 5000), 0),
    ] {
        let amounts = |(cpu, memory)| [("cpu", cpu), ("memory", memory)];
        let mut cluster = Cluster::of([offering("n", &amounts((4000, 10_000)))]).placed("n", asking("x", &amounts(used)));
        Arc::make_mut(&mut cluster.snapshot.nodes[0]).requested = Resources::default(); // so that the filter lets it pass
        let decision = cluster.decide_plugin(strategy(kind.clone(), weights), &asking("p", &amounts(wanted)));
        assert_eq!(decision.score("n", "NodeResourcesFit"), Some(expected), "{kind:?} {weights:?} {used:?} {wanted:?}");
    }
}

#[test]
fn containers_without_requests_score_as_if_they_had_some() {
    let tiny = || offering("n", &[("cpu", 250), ("memory", 1000 << 20)]);
    let silent = |name: &str| {
        with(pod(name), |s| {
            s.nonzero_request.cpu = MilliCpu(aisched_model::resources::DEFAULT_MILLI_CPU);
            s.nonzero_request.memory = Bytes(aisched_model::resources::DEFAULT_MEMORY);
        })
    };
    for (cluster, pod, expected) in [
        (Cluster::of([tiny()]), pod("p"), 0),
        (Cluster::of([tiny()]), silent("p"), 30),
        (Cluster::of([tiny()]).placed("n", silent("x")).placed("n", silent("y")), silent("p"), 80),
    ] {
        let decision = cluster.decide_plugin(strategy(StrategyKind::MostAllocated, EQUAL), &pod);
        assert_eq!(decision.score("n", "NodeResourcesFit"), Some(expected));
    }
}

#[test]
fn pod_level_requests_fill_a_node_and_do_not_count_in_the_pods_own_score() {
    let node = || offering("n", &[("cpu", 1000), ("memory", 1000)]);
    let whole = |name: &str| {
        with(asking(name, &[("cpu", 800), ("memory", 800)]), |s| {
            s.container_request = Some(NonZeroRequest { cpu: MilliCpu(100), memory: Bytes(100) });
        })
    };
    for (cluster, pod, expected) in [
        (Cluster::of([node()]), whole("p"), 10),
        (Cluster::of([node()]), asking("p", &[("cpu", 800), ("memory", 800)]), 80),
        (Cluster::of([node()]).placed("n", whole("x")), asking("p", &[("cpu", 100), ("memory", 100)]), 90),
    ] {
        let decision = cluster.decide_plugin(strategy(StrategyKind::MostAllocated, EQUAL), &pod);
        assert_eq!(decision.score("n", "NodeResourcesFit"), Some(expected));
    }
}

#[test]
fn extended_resources_score_where_requested() {
    let rising = || ratio(&[(0, 0), (100, 1)]);
    let both: &[(&str, i64)] = &[("intel.com/foo", 3), ("intel.com/bar", 5)];
    let (foo, bar) = ("intel.com/foo", "intel.com/bar");
    for (weights, offered, used, wanted, expected) in [
        (&both[..1], &[(foo, 8)][..], &[][..], &[][..], 0),
        (&both[..1], &[(foo, 8)], &[], &[(foo, 2)], 2),
        (&both[..1], &[(foo, 4)], &[], &[(foo, 2)], 5),
        (&both[..1], &[(foo, 4)], &[(foo, 2)], &[(foo, 2)], 10),
        (both, &[(foo, 8), (bar, 4)], &[], &[(foo, 2), (bar, 2)], 4),
        (both, &[(foo, 4), (bar, 8)], &[], &[(foo, 2), (bar, 2)], 3),
        (both, &[(foo, 4), (bar, 8)], &[], &[(foo, 2)], 5),
    ] {
        let cluster = Cluster::of([offering("n", offered)]).placed("n", asking("x", used));
        let decision = cluster.decide_plugin(strategy(rising(), weights), &asking("p", wanted));
        assert_eq!(decision.score("n", "NodeResourcesFit"), Some(expected), "{offered:?} {used:?} {wanted:?}");
    }
}

#[test]
fn extended_resource_that_is_not_requested_does_not_count() {
    for (wanted, expected) in [(&[("cpu", 3000)][..], 25), (&[("cpu", 3000), ("intel.com/foo", 2)], 50)] {
        let cluster = Cluster::of([offering("n", &[("cpu", 4000), ("intel.com/foo", 8)])]);
        let plugin = strategy(StrategyKind::LeastAllocated, &[("cpu", 1), ("intel.com/foo", 1)]);
        assert_eq!(cluster.decide_plugin(plugin, &asking("p", wanted)).score("n", "NodeResourcesFit"), Some(expected), "{wanted:?}");
    }
}

#[test]
fn curves_are_linear_between_points_and_flat_beyond() {
    let shape = |points: &[(i64, i64)]| points.iter().map(|&(utilization, score)| ShapePoint { utilization, score }).collect::<Vec<_>>();
    for (points, expected) in [
        (
            &[(10, 1), (90, 9)][..],
            &[(-10, 10), (0, 10), (9, 10), (10, 10), (15, 15), (89, 89), (90, 90), (99, 90), (100, 90), (110, 90)][..],
        ),
        (&[(0, 2), (40, 10), (100, 0)], &[(-10, 20), (0, 20), (20, 60), (30, 80), (40, 100), (70, 50), (100, 0), (110, 0)]),
        (&[(0, 2), (40, 2), (100, 2)], &[(-10, 20), (0, 20), (20, 20), (100, 20), (110, 20)]),
        (&[(50, 4), (50, 8)], &[(50, 40), (51, 80)]), // not a curve, and no crash
    ] {
        for (utilization, score) in expected {
            assert_eq!(interpolate(&shape(points), *utilization), *score, "{points:?} at {utilization}");
        }
    }
}

#[test]
fn hostile_amounts_do_no_harm() {
    let huge: Amounts<'_> = &[("cpu", i64::MAX), ("memory", i64::MAX)];
    let cluster = Cluster::of([offering("n", huge), offering("o", &[])]).placed("n", asking("x", huge));
    let decision = cluster.decide(&["NodeResourcesFit"], &asking("p", huge));
    assert_eq!(decision.against("n"), "Insufficient cpu; Insufficient memory");
    for (kind, expected) in [(StrategyKind::LeastAllocated, 0), (StrategyKind::MostAllocated, 100), (ratio(&[(0, 0), (100, 10)]), 100)] {
        let decision = cluster.decide_plugin(strategy(kind, EQUAL), &pod("p"));
        assert_eq!(decision.score("n", "NodeResourcesFit"), Some(expected));
        assert_eq!(decision.score("o", "NodeResourcesFit"), Some(0));
    }
}

#[test]
fn node_helps_when_it_grows_to_fit() {
    let pod = requesting("p", "4", "1Gi");
    let gpu_pod = with(pod.clone(), |s| s.requests.set_scalar(&"nvidia.com/gpu".into(), 1));
    let small = || offering("n", &[("cpu", 2000), ("memory", 32 << 30)]);
    let more_pods = Node { allocatable_pods: 111, ..node("n") };
    let more_storage = Node { allocatable: Resources { ephemeral_storage: Bytes(200 << 30), ..node("n").allocatable }, ..node("n") };
    let mut with_gpu = node("n");
    with_gpu.allocatable.set_scalar(&"nvidia.com/gpu".into(), 1);
    for (pod, event, expected) in [
        (&pod, ClusterEvent::NodeAdded(&node("n")), true),
        (&pod, ClusterEvent::NodeAdded(&small()), false),
        (&pod, ClusterEvent::NodeAdded(&Node { allocatable_pods: 0, ..node("n") }), false),
        (&pod, ClusterEvent::NodeChanged { old: &small(), new: &node("n") }, true),
        (&pod, ClusterEvent::NodeChanged { old: &node("n"), new: &small() }, false),
        (&pod, ClusterEvent::NodeChanged { old: &node("n"), new: &node("n") }, false),
        (&pod, ClusterEvent::NodeChanged { old: &node("n"), new: &more_pods }, true),
        (&pod, ClusterEvent::NodeChanged { old: &node("n"), new: &more_storage }, false),
        (&pod, ClusterEvent::NodeChanged { old: &node("n"), new: &with_gpu }, false),
        (&gpu_pod, ClusterEvent::NodeChanged { old: &node("n"), new: &with_gpu }, true),
        (&gpu_pod, ClusterEvent::NodeChanged { old: &small(), new: &node("n") }, false),
    ] {
        assert_eq!(NodeResourcesFit::default().helps(pod, &event), expected, "{event:?}");
    }
}

#[test]
fn pod_helps_when_it_gives_something_back() {
    let pod = requesting("p", "4", "0");
    let on = |node: Option<&str>, cpu: &str, memory: &str| Pod { node: node.map(Str::from), ..requesting("o", cpu, memory) };
    let nominated = Pod { nominated_node: Some("n".into()), ..on(None, "1", "0") };
    let bound = on(Some("n"), "2", "2Gi");
    for (event, expected) in [
        (ClusterEvent::PodRemoved(&bound), true),
        (ClusterEvent::PodRemoved(&nominated), true),
        (ClusterEvent::PodRemoved(&on(None, "1", "0")), false),
        (ClusterEvent::PodChanged { old: &bound, new: &on(Some("n"), "1", "2Gi") }, true),
        (ClusterEvent::PodChanged { old: &bound, new: &on(Some("n"), "2", "1Gi") }, false),
        (ClusterEvent::PodChanged { old: &bound, new: &on(Some("n"), "3", "2Gi") }, false),
        (ClusterEvent::PodChanged { old: &on(None, "2", "0"), new: &on(None, "1", "0") }, false),
        (ClusterEvent::OwnChange { old: &pod, new: &requesting("p", "3", "0") }, true),
        (ClusterEvent::OwnChange { old: &pod, new: &requesting("p", "5", "0") }, false),
        (ClusterEvent::PodPlaced(&bound), false),
        (ClusterEvent::NodeGone(&node("n"), &[]), false),
    ] {
        assert_eq!(NodeResourcesFit::default().helps(&pod, &event), expected, "{event:?}");
    }
}
