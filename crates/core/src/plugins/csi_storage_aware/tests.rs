//! Every row of `scoring.md` §6 for CSIStorageAware; numbers are written out, not computed.

use crate::fixture::{Cluster, claiming, labelled, node, pod};
use aisched_model::pod::Pod;
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use aisched_model::volume::{Attachment, BindingMode, Claim, CsiDriverOnNode, CsiNode, StorageCapacity, StorageClass, Volume};
use alloc::format;
use alloc::vec;

const PLUGIN: &str = "CSIStorageAware";
const DRIVER: &str = "csi.example.com";

fn class(name: &str, provisioner: &str) -> StorageClass {
    StorageClass {
        name: name.into(),
        provisioner: provisioner.into(),
        binding_mode: BindingMode::WaitForFirstConsumer,
        ..StorageClass::default()
    }
}

fn unbound(name: &str, class: &str, requested: i64) -> Claim {
    Claim { name: name.into(), storage_class: Some(class.into()), requested, ..Claim::default() }
}

fn room(name: &str, host: &str, capacity: i64) -> StorageCapacity {
    let here = Requirement { key: "host".into(), operator: Operator::In, values: vec![host.into()] };
    StorageCapacity {
        namespace: "ns".into(),
        name: name.into(),
        storage_class: "fast".into(),
        nodes: Some(LabelSelector(vec![here])),
        capacity: Some(capacity),
        maximum_volume_size: None,
    }
}

fn registered(node: &str, keys: &[&str], allocatable: Option<i32>) -> CsiNode {
    let driver = CsiDriverOnNode { name: DRIVER.into(), topology_keys: keys.iter().map(|k| (*k).into()).collect(), allocatable };
    CsiNode { name: node.into(), drivers: vec![driver], ..CsiNode::default() }
}

/// Node `n` with labels `host: n` and `zone: z`, the class `fast` of the driver, and a claim `data` of 100 bytes.
fn cluster() -> Cluster {
    Cluster::of([labelled("n", [("host", "n"), ("zone", "z")])]).class(class("fast", DRIVER)).claim(unbound("data", "fast", 100))
}

fn points(cluster: &Cluster, pod: &Pod, component: &str) -> Option<i64> {
    cluster.decide(&[PLUGIN], pod).component("n", PLUGIN, component)
}

#[test]
fn capacity_follows_the_table() {
    for (available, expected) in
        [(1000, 40), (999, 36), (500, 36), (499, 28), (200, 28), (199, 20), (150, 20), (149, 12), (100, 12), (99, 0), (0, 0)]
    {
        let cluster = cluster().capacity(room("r", "n", available));
        assert_eq!(points(&cluster, &claiming("p", ["data"]), "capacity"), Some(expected), "{available}");
    }
    let elsewhere = cluster().capacity(room("r", "m", 1000));
    assert_eq!(points(&elsewhere, &claiming("p", ["data"]), "capacity"), Some(20), "no driver tells of this node");
    let two = cluster().capacity(room("r", "n", 100)).capacity(room("s", "n", 1000));
    assert_eq!(points(&two, &claiming("p", ["data"]), "capacity"), Some(40), "the larger of two rooms");
}

#[test]
fn headroom_follows_the_table() {
    for (attached, expected) in [(0, 30), (2, 30), (3, 24), (5, 24), (6, 15), (7, 15), (8, 9), (9, 9), (10, 3)] {
        let volume = |i: usize| Volume {
            name: format!("pv{i}").into(),
            driver: Some(DRIVER.into()),
            handle: Some(format!("h{i}").into()),
            ..Volume::default()
        };
        let attachment = |i: usize| Attachment {
            name: format!("a{i}").into(),
            driver: DRIVER.into(),
            node: "n".into(),
            volume: Some(format!("pv{i}").into()),
        };
        let cluster =
            (0..attached).fold(cluster().csi_node(registered("n", &[], Some(10))), |c, i| c.volume(volume(i)).attachment(attachment(i)));
        assert_eq!(points(&cluster, &claiming("p", ["data"]), "volumeHeadroom"), Some(expected), "{attached} attached");
    }
    for csi_node in [registered("n", &[], None), registered("n", &[], Some(0)), registered("other", &[], Some(10))] {
        let cluster = cluster().csi_node(csi_node);
        assert_eq!(points(&cluster, &claiming("p", ["data"]), "volumeHeadroom"), Some(15), "no limit known");
    }
}

#[test]
fn topology_is_the_share_of_keys_that_the_node_carries() {
    for (keys, expected) in
        [(vec![], 20), (vec!["zone"], 30), (vec!["zone", "rack"], 15), (vec!["rack"], 0), (vec!["zone", "host", "rack"], 20)]
    {
        let cluster = cluster().csi_node(registered("n", &keys, None));
        assert_eq!(points(&cluster, &claiming("p", ["data"]), "topology"), Some(expected), "{keys:?}");
    }
    assert_eq!(points(&cluster(), &claiming("p", ["data"]), "topology"), Some(15), "no CSINode");
}

#[test]
fn several_claims_count_with_their_mean() {
    let cluster = cluster().claim(unbound("more", "fast", 1000)).capacity(room("r", "n", 1000));
    assert_eq!(points(&cluster, &claiming("p", ["data", "more"]), "capacity"), Some((40 + 12) / 2));
}

#[test]
fn a_claim_with_a_volume_needs_no_room() {
    let volume = Volume { name: "pv".into(), driver: Some(DRIVER.into()), handle: Some("h".into()), ..Volume::default() };
    let bound = Claim { name: "data".into(), volume: Some("pv".into()), storage_class: Some("fast".into()), ..Claim::default() };
    let cluster = cluster().volume(volume).claim(bound).capacity(room("r", "n", 1000));
    let decision = cluster.decide(&[PLUGIN], &claiming("p", ["data"]));
    assert_eq!(decision.component("n", PLUGIN, "capacity"), Some(20));
    assert_eq!(decision.source("n", PLUGIN, "capacity"), Some("claim data (csi.example.com): has its volume"));
}

#[test]
fn pods_without_csi_claims_are_skipped() {
    let local = cluster().class(class("local", "kubernetes.io/no-provisioner")).claim(unbound("disk", "local", 1));
    for p in [pod("p"), claiming("p", ["disk"]), claiming("p", ["missing"])] {
        assert_eq!(local.decide(&[PLUGIN], &p).score("n", PLUGIN), None, "{:?}", p.spec.volumes);
    }
    let plain = Cluster::of([node("n")]).claim(Claim { name: "data".into(), ..Claim::default() });
    assert_eq!(plain.decide(&[PLUGIN], &claiming("p", ["data"])).score("n", PLUGIN), None, "a claim without class");
}

#[test]
fn maxima_scale_the_tables() {
    let cluster = cluster().capacity(room("r", "n", 500)).csi_node(registered("n", &["zone"], Some(10))).config(|c| {
        let scoring = &mut c.plugins.csi_storage_aware.scoring;
        (scoring.capacity, scoring.volume_headroom, scoring.topology) = (80, 10, 0);
    });
    let decision = cluster.decide(&[PLUGIN], &claiming("p", ["data"]));
    assert_eq!(decision.score("n", PLUGIN), Some(72 + 10));
}
