//! Every row of `scoring.md` §6 for KueueAware; numbers are written out, not computed.

use crate::fixture::{Cluster, labelled, node, pod, requesting, with};
use aisched_model::foreign::{ClusterQueue, Foreign, KueueWorkload};
use aisched_model::labels::Labels;
use aisched_model::pod::{KUEUE_POD_GROUP, KUEUE_WORKLOAD, Pod};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;

const PLUGIN: &str = "KueueAware";

/// A member of the pod group `g`, which says how many it has.
fn member(name: &str, of: i64) -> Pod {
    with(pod(name), |s| {
        s.labels = Labels::from([(KUEUE_POD_GROUP, "g")]);
        s.annotations = Labels::from([("kueue.x-k8s.io/pod-group-total-count", of.to_string().as_str())]);
    })
}

fn on_gpus(pod: Pod) -> Pod {
    with(pod, |s| s.requests.set_scalar(&"nvidia.com/gpu".into(), 1))
}

/// Node `n` with so many members of a gang, and other nodes without.
fn cluster(members: usize, n_nodes: usize) -> Cluster {
    let nodes = (1..n_nodes).fold(Cluster::of([node("n")]), |c, i| c.node(node(&format!("other{i}"))));
    (0..members).fold(nodes, |c, i| c.placed("n", member(&format!("m{i}"), 1)))
}

fn points(cluster: &Cluster, pod: &Pod, component: &str) -> i64 {
    cluster.decide(&[PLUGIN], pod).component("n", PLUGIN, component).unwrap()
}

#[test]
fn large_gangs_and_gangs_on_gpus_spread() {
    for (size, n_nodes, here, expected) in
        [(8, 4, 0, 30), (8, 4, 1, 12), (8, 4, 2, 6), (8, 4, 3, 6), (9, 4, 1, 16), (5, 10, 0, 30), (5, 10, 1, 6), (i64::MAX, 1, 1, 23)]
    {
        assert_eq!(points(&cluster(here, n_nodes), &member("p", size), "gangLocality"), expected, "{here} of {size} on {n_nodes} nodes");
    }
    assert_eq!(points(&cluster(0, 4), &on_gpus(member("p", 2)), "gangLocality"), 30);
    assert_eq!(points(&cluster(1, 4), &on_gpus(member("p", 2)), "gangLocality"), 6);
}

#[test]
fn small_gangs_pack() {
    for (size, here, expected) in [(4, 0, 0), (4, 1, 13), (4, 2, 21), (4, 3, 28), (4, 4, 30), (2, 1, 21), (2, 5, 30)] {
        assert_eq!(points(&cluster(here, 3), &member("p", size), "gangLocality"), expected, "{here} of {size}");
    }
    assert_eq!(points(&cluster(0, 3), &member("p", 1), "gangLocality"), 15, "a gang of one");
    assert_eq!(points(&cluster(0, 3), &on_gpus(member("p", 1)), "gangLocality"), 15, "a gang of one on a GPU");
}

#[test]
fn the_workload_tells_the_size_before_the_pod_does() {
    let workload = |n_pods| KueueWorkload { namespace: "default".into(), name: "g".into(), n_pods, queue: None };
    for (told, by_pod, expected) in [(Some(1), "4", 15), (Some(8), "1", 30), (None, "1", 15), (None, "many", 15), (None, "0", 15)] {
        let member = with(member("p", 1), |s| s.annotations = Labels::from([("kueue.x-k8s.io/pod-group-total-count", by_pod)]));
        let cluster = told.into_iter().fold(cluster(0, 4), |c, n| c.foreign(Foreign::Workload(Arc::new(workload(n)))));
        assert_eq!(points(&cluster, &member, "gangLocality"), expected, "{told:?} {by_pod}");
    }
    let unknown = with(pod("p"), |s| s.annotations = Labels::from([(KUEUE_WORKLOAD, "w")]));
    let placed = with(pod("q"), |s| s.annotations = Labels::from([(KUEUE_WORKLOAD, "w")]));
    assert_eq!(points(&cluster(0, 2).placed("n", placed), &unknown, "gangLocality"), 21, "one of the two that are known");
}

#[test]
fn queue_pressure_is_the_admitted_share() {
    let workload = KueueWorkload { namespace: "default".into(), name: "g".into(), n_pods: 1, queue: Some("q".into()) };
    for (queue, expected) in [(Some((3, 1)), 15), (Some((1, 3)), 5), (Some((0, 4)), 0), (Some((4, 0)), 20), (Some((0, 0)), 10), (None, 10)]
    {
        let cluster =
            queue.into_iter().fold(cluster(0, 1).foreign(Foreign::Workload(Arc::new(workload.clone()))), |c, (admitted, pending)| {
                c.foreign(Foreign::Queue(Arc::new(ClusterQueue { name: "q".into(), pending, admitted })))
            });
        assert_eq!(points(&cluster, &member("p", 1), "queuePressure"), expected, "{queue:?}");
    }
    let queue = Foreign::Queue(Arc::new(ClusterQueue { name: "q".into(), pending: 0, admitted: 1 }));
    let labelled = with(member("p", 1), |s| {
        s.labels = Labels::from([(KUEUE_POD_GROUP, "g"), ("kueue.x-k8s.io/cluster-queue-name", "q")]);
    });
    assert_eq!(points(&cluster(0, 1).foreign(queue), &labelled, "queuePressure"), 20, "named by a label");
}

#[test]
fn gangs_of_three_and_more_want_room() {
    // The node has 8 CPUs and 32 GiB.
    let used = |cpu: &str, memory: &str| cluster(0, 1).placed("n", requesting("other", cpu, memory));
    for (cluster, size, expected) in [
        (cluster(0, 1), 3, 25),
        (used("4", "16Gi"), 3, 12),
        (used("8", "16Gi"), 3, 6),
        (used("8", "32Gi"), 3, 0),
        (used("9", "40Gi"), 3, 0),
        (used("8", "32Gi"), 2, 12),
    ] {
        assert_eq!(points(&cluster, &member("p", size), "workloadSize"), expected, "size {size}");
    }
}

#[test]
fn members_want_to_be_near_most_of_them() {
    let place =
        |name: &str, zone: &str, rack: &str| labelled(name, [("topology.kubernetes.io/zone", zone), ("topology.kubernetes.io/rack", rack)]);
    let nodes = || Cluster::of([place("a", "z1", "r1"), place("b", "z1", "r2"), place("c", "z2", "r3"), node("d")]);
    let row = |cluster: &Cluster| {
        let decision = cluster.decide(&[PLUGIN], &member("p", 4));
        ["a", "b", "c", "d"].map(|n| decision.component(n, PLUGIN, "networkProximity").unwrap())
    };
    assert_eq!(row(&nodes()), [12; 4], "nothing placed yet");
    assert_eq!(row(&nodes().placed("a", member("m", 4))), [25, 12, 0, 0]);
    assert_eq!(row(&nodes().placed("a", member("m", 4)).placed("c", member("n", 4))), [25, 12, 25, 0], "as many in both");
    let most = nodes().placed("c", member("m", 4)).placed("c", member("n", 4)).placed("a", member("o", 4));
    assert_eq!(row(&most), [0, 0, 25, 0]);
    assert_eq!(row(&nodes().placed("d", member("m", 4))), [0; 4], "a member on a node without place");
}

#[test]
fn gangs_of_another_namespace_do_not_count() {
    let mut elsewhere = member("m", 4);
    elsewhere.namespace = "other".into();
    assert_eq!(points(&cluster(0, 1).placed("n", elsewhere), &member("p", 4), "gangLocality"), 0);
}

#[test]
fn pods_without_a_gang_are_skipped() {
    for p in [pod("p"), with(pod("p"), |s| s.labels = Labels::from([(KUEUE_POD_GROUP, "")]))] {
        assert_eq!(cluster(0, 1).decide(&[PLUGIN], &p).score("n", PLUGIN), None);
    }
}
