//! Which volumes count against which limit, and what can change it.

use super::*;
use crate::fixture::{Cluster, claiming, node, pod, with};
use aisched_model::pod::LegacyDisk;
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiDriverOnNode, StorageClass, Volume};
use alloc::boxed::Box;

const FULL: &str = "node(s) exceed max volume count";
const DRIVER: &str = "csi.test";

fn csi_node(driver: &str, limit: Option<i32>) -> CsiNode {
    let driver = CsiDriverOnNode { name: driver.into(), topology_keys: Vec::new(), allocatable: limit };
    CsiNode { name: "n".into(), drivers: [driver].into(), migrated_plugins: Vec::new() }
}

fn volume(name: &str, driver: &str, handle: &str) -> Volume {
    Volume { name: name.into(), driver: Some(driver.into()), handle: Some(handle.into()), ..Volume::default() }
}

fn claim(name: &str, volume: Option<&str>, class: &str) -> Claim {
    let owner_uid = Some("uid-p".into());
    Claim {
        name: name.into(),
        namespace: "default".into(),
        volume: volume.map(Into::into),
        storage_class: Some(class.into()),
        owner_uid,
        ..Claim::default()
    }
}

/// One node with a limit; claims a, b, c bound to volumes of the driver (c to the very volume of b), x and y not bound, z of no driver.
fn cluster(limit: Option<i32>) -> Cluster {
    let class =
        |name: &str, provisioner: &str| StorageClass { name: name.into(), provisioner: provisioner.into(), ..StorageClass::default() };
    let volumes = [("pv-a", "1"), ("pv-b", "2"), ("pv-c", "2")].map(|(name, handle)| volume(name, DRIVER, handle));
    let bound = ["a", "b", "c"].map(|n| claim(n, Some(&format!("pv-{n}")), "csi"));
    let unbound = [claim("x", None, "csi"), claim("y", None, "csi"), claim("z", None, ""), claim("gone", Some("pv-gone"), "csi")];
    let in_tree = |name: &str, handle: &str| Volume { in_tree: Some("kubernetes.io/aws-ebs".into()), ..volume(name, DRIVER, handle) };
    let cluster = Cluster::of([node("n")]).csi_node(csi_node(DRIVER, limit)).class(class("csi", DRIVER));
    let cluster = cluster.volume(in_tree("pv-old", "3")).claim(claim("old", Some("pv-old"), "csi"));
    let cluster = cluster.volume(in_tree("pv-old-a", "1")).claim(claim("old-a", Some("pv-old-a"), "csi"));
    let cluster = volumes.into_iter().fold(cluster, Cluster::volume);
    bound.into_iter().chain(unbound).fold(cluster, Cluster::claim)
}

#[test]
fn volumes_count_once_per_node_and_driver() {
    for (limit, there, wanted, fits) in [
        (Some(2), &[][..], &["a", "b"][..], true),
        (Some(1), &[], &["a", "b"], false),
        (Some(1), &[], &["b", "c"], true),
        (Some(1), &["a"], &["a"], true),
        (Some(1), &["a"], &["b"], false),
        (Some(2), &["a"], &["b"], true),
        (Some(1), &["b"], &["c"], true),
        (Some(1), &[], &["x", "x"], true),
        (Some(1), &[], &["x", "y"], false),
        (Some(1), &["x"], &["x"], true),
        (Some(1), &["x"], &["y"], false),
        (Some(1), &["a"], &["z"], true),
        (Some(1), &["a"], &["gone"], false),
        (Some(1), &["missing", "z"], &["a"], true),
        (Some(0), &[], &["a"], false),
        (Some(1), &["a"], &["old"], false),
        (Some(1), &[], &["a", "old-a"], true),
        (None, &["a", "b"], &["x", "y"], true),
    ] {
        let claims = |pod: Pod, names: &[&str]| {
            with(pod, |s| s.volumes = names.iter().map(|n| PodVolume::Claim { claim: (*n).into(), read_only: false }).collect())
        };
        let cluster = cluster(limit).placed("n", claims(pod("there"), there));
        let against = cluster.decide(&["NodeVolumeLimits"], &claims(pod("p"), wanted)).against("n");
        assert_eq!(against, if fits { "" } else { FULL }, "{wanted:?} beside {there:?}, limit {limit:?}");
    }
}

#[test]
fn limits_are_those_of_the_volumes_driver() {
    let other = |limit| Cluster { snapshot: cluster(None).snapshot, ..Cluster::default() }.csi_node(csi_node("other", limit));
    assert_eq!(other(Some(0)).decide(&["NodeVolumeLimits"], &claiming("p", ["a"])).against("n"), "");
    let mut unknown = cluster(Some(0));
    unknown.snapshot.csi_nodes.clear();
    assert_eq!(unknown.decide(&["NodeVolumeLimits"], &claiming("p", ["a"])).against("n"), "");
}

#[test]
fn attachment_counts_until_it_is_gone() {
    let attachment =
        |volume: Option<&str>| Attachment { name: "at".into(), driver: DRIVER.into(), node: "n".into(), volume: volume.map(Into::into) };
    for (volume, on, fits) in [
        (Some("pv-b"), "n", false),
        (Some("pv-a"), "n", true),
        (Some("pv-b"), "elsewhere", true),
        (Some("pv-none"), "n", true),
        (Some("pv-old"), "n", true),
        (None, "n", true),
    ] {
        let cluster = cluster(Some(2)).placed("n", claiming("there", ["a"]));
        let cluster = cluster.attachment(Attachment { node: on.into(), ..attachment(volume) });
        let against = cluster.decide(&["NodeVolumeLimits"], &claiming("p", ["x"])).against("n");
        assert_eq!(against, if fits { "" } else { FULL }, "{volume:?} on {on}");
    }
    let lingering = cluster(Some(1)).attachment(attachment(Some("pv-a")));
    let decision = lingering.decide(&["NodeVolumeLimits"], &claiming("p", ["b"]));
    assert_eq!(decision.nodes[0].reasons[0].detail.as_deref(), Some("csi.test: 1 attached, 1 more wanted, at most 1"));
}

#[test]
fn driver_that_has_to_be_there_is_missed() {
    let missing = "csi.test CSI driver is not installed on the node";
    let driver = |needed| CsiDriver { name: DRIVER.into(), storage_capacity: false, needed_on_node: needed };
    for (needed, registered, against) in [(true, "other", missing), (true, DRIVER, ""), (false, "other", "")] {
        let cluster = cluster(None).csi_node(csi_node(registered, None)).csi_driver(driver(needed));
        assert_eq!(cluster.decide(&["NodeVolumeLimits"], &claiming("p", ["a"])).against("n"), against, "{needed} {registered}");
        assert_eq!(cluster.decide(&["NodeVolumeLimits"], &claiming("p", ["x"])).against("n"), against, "{needed} {registered}");
        assert_eq!(cluster.decide(&["NodeVolumeLimits"], &claiming("p", ["z"])).against("n"), "", "{needed} {registered}");
        let features = Features { volume_limit_scaling: false, ..Features::default() };
        let gated = cluster.decide_plugin(Box::new(NodeVolumeLimits { features }), &claiming("p", ["a"]));
        assert_eq!(gated.against("n"), "", "{needed} {registered}, gate off");
    }
}

#[test]
fn in_tree_volumes_count_for_the_driver_that_took_over() {
    let disk = |name: &str, disk| with(pod(name), |s| s.volumes = [PodVolume::Disk(disk)].into());
    let ebs = |name: &str, id: &str| disk(name, LegacyDisk::Ebs { id: id.into() });
    let iscsi = disk("p", LegacyDisk::Iscsi { iqn: "q".into(), read_only: false });
    let class = StorageClass { name: "gp2".into(), provisioner: "kubernetes.io/aws-ebs".into(), ..StorageClass::default() };
    let cluster = || Cluster::of([node("n")]).csi_node(csi_node("ebs.csi.aws.com", Some(1))).class(class.clone());
    let cluster = || cluster().claim(claim("data", None, "gp2")).placed("n", ebs("there", "vol-1"));
    for (pod, fits) in [
        (ebs("p", "vol-1"), true),
        (ebs("p", "aws://zone/vol-1"), true),
        (ebs("p", "vol-2"), false),
        (iscsi, true),
        (claiming("p", ["data"]), false),
    ] {
        let against = cluster().decide(&["NodeVolumeLimits"], &pod).against("n");
        assert_eq!(against, if fits { "" } else { FULL }, "{:?}", pod.spec.volumes);
    }
    let mut unregistered = cluster();
    unregistered.snapshot.csi_nodes.clear();
    assert_eq!(unregistered.decide(&["NodeVolumeLimits"], &ebs("p", "vol-2")).against("n"), "");
}

#[test]
fn inline_volumes_of_drivers_that_took_over_count() {
    let disk = |name: &str, handle: &str| {
        with(pod(name), |s| s.volumes = [PodVolume::Migrated { driver: DRIVER.into(), handle: handle.into() }].into())
    };
    let cluster = |driver| Cluster::of([node("n")]).csi_node(csi_node(driver, Some(1))).placed("n", disk("there", "x"));
    for (driver, handle, fits) in [(DRIVER, "x", true), (DRIVER, "y", false), ("other", "y", true)] {
        let against = cluster(driver).decide(&["NodeVolumeLimits"], &disk("p", handle)).against("n");
        assert_eq!(against, if fits { "" } else { FULL }, "{driver} {handle}");
    }
    let attachment = Attachment { name: "at".into(), driver: DRIVER.into(), node: "n".into(), volume: None };
    assert!(NodeVolumeLimits::default().helps(&disk("p", "x"), &ClusterEvent::Detached(&attachment)));
}

#[test]
fn claim_that_is_missing_or_anothers_is_refused_for_good() {
    let ephemeral = with(pod("p"), |s| s.volumes = [PodVolume::Ephemeral { volume: "tmp".into(), storage_class: None }].into());
    let stranger = Claim { owner_uid: Some("other".into()), ..claim("p-tmp", None, "csi") };
    let not_owner = "PVC default/p-tmp was not created for pod default/p (pod is not owner)";
    for (pod, extra, expected) in [
        (claiming("p", ["none"]), None, "looking up PVC default/none: persistentvolumeclaim \"none\" not found"),
        (ephemeral.clone(), None, "looking up PVC default/p-tmp: persistentvolumeclaim \"p-tmp\" not found"),
        (ephemeral.clone(), Some(stranger), not_owner),
        (ephemeral, Some(claim("p-tmp", None, "csi")), ""),
    ] {
        let cluster = extra.into_iter().fold(cluster(Some(9)), Cluster::claim);
        assert_eq!(cluster.decide(&["NodeVolumeLimits"], &pod).against("n"), expected, "{:?}", pod.spec.volumes);
    }
}

#[test]
fn events_that_free_an_attachment_help() {
    let data = claiming("p", ["a"]);
    let bound = Pod { node: Some("n".into()), ..claiming("gone", ["b"]) };
    let plain = Pod { node: Some("n".into()), ..pod("gone") };
    let attachment = Attachment { name: "at".into(), driver: DRIVER.into(), node: "n".into(), volume: None };
    let (small, big, own, other) = (csi_node(DRIVER, Some(1)), csi_node(DRIVER, Some(2)), claim("a", None, "csi"), claim("b", None, "csi"));
    let (endless, none, bound_own) =
        (csi_node(DRIVER, None), CsiNode { drivers: Vec::new(), ..small.clone() }, claim("a", Some("v"), "csi"));
    let (n, needed) = (node("n"), CsiDriver { needed_on_node: true, ..CsiDriver::default() });
    for (pod, event, expected) in [
        (&data, ClusterEvent::CsiNode(None, &small), true),
        (&data, ClusterEvent::CsiNode(Some(&small), &big), true),
        (&data, ClusterEvent::CsiNode(Some(&big), &small), false),
        (&data, ClusterEvent::CsiNode(Some(&small), &endless), true),
        (&data, ClusterEvent::CsiNode(Some(&endless), &small), false),
        (&data, ClusterEvent::CsiNode(Some(&none), &endless), true),
        (&data, ClusterEvent::CsiNode(Some(&small), &none), true),
        (&data, ClusterEvent::CsiNode(Some(&endless), &none), false),
        (&data, ClusterEvent::NodeAdded(&n), true),
        (&data, ClusterEvent::CsiDriver(Some(&needed), &CsiDriver::default()), true),
        (&data, ClusterEvent::CsiDriver(None, &needed), false),
        (&data, ClusterEvent::PodRemoved(&bound), true),
        (&data, ClusterEvent::PodRemoved(&plain), false),
        (&data, ClusterEvent::PodRemoved(&data), false),
        (&data, ClusterEvent::Claim(None, &own), true),
        (&data, ClusterEvent::Claim(Some(&own), &own), false),
        (&data, ClusterEvent::Claim(Some(&own), &bound_own), true),
        (&data, ClusterEvent::Claim(None, &other), false),
        (&data, ClusterEvent::Detached(&attachment), true),
        (&plain, ClusterEvent::Detached(&attachment), false),
    ] {
        assert_eq!(NodeVolumeLimits::default().helps(pod, &event), expected, "{event:?}");
    }
}
