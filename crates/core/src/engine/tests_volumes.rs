//! Volumes from the outside: what a bind is to do about them, what others may count on meanwhile, and what a failure gives back.
//! Leaves out which volume is chosen: the plugin's own tests are about that.

use super::tests::World;
use crate::event::{BindOutcome, Event, PodRef};
use crate::fixture::{claiming, labelled, pod};
use aisched_model::config::Config;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{BindingMode, Claim, CsiDriver, CsiDriverOnNode, CsiNode, StorageClass, Volume};
use alloc::format;
use alloc::sync::Arc;

/// Two nodes, claims `x` and `y` of a class that waits for pods, and a provisioner or none.
fn world(provisioner: &str) -> World {
    let mut world = World::running(&["VolumeBinding"], ["a", "b"].map(|n| labelled(n, [("host", n)])));
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    let class = StorageClass {
        name: "c".into(),
        provisioner: provisioner.into(),
        binding_mode: BindingMode::WaitForFirstConsumer,
        ..StorageClass::default()
    };
    world.see(Event::ClassSet(Arc::new(class)));
    world.see(Event::ClaimSet(Arc::new(claim("x"))));
    world.see(Event::ClaimSet(Arc::new(claim("y"))));
    world.see(Event::Synced);
    world
}

fn by_hand() -> World {
    let mut world = world("kubernetes.io/no-provisioner");
    world.see(Event::VolumeSet(Arc::new(volume())));
    world
}

fn claim(name: &str) -> Claim {
    let uid = format!("uid-{name}").into();
    Claim { uid, namespace: "default".into(), name: name.into(), storage_class: Some("c".into()), requested: 1, ..Claim::default() }
}

/// On node a, free.
fn volume() -> Volume {
    let host = Requirement { key: "host".into(), operator: Operator::In, values: ["a".into()].into() };
    Volume {
        name: "pv".into(),
        storage_class: "c".into(),
        capacity: 1,
        available: true,
        node_affinity: Some([NodeSelectorTerm { labels: [host].into(), fields: [].into() }].into()),
        ..Volume::default()
    }
}

const REFUSED: [&str; 2] = [
    "condition q Unschedulable true",
    "event FailedScheduling: 0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
];

#[test]
fn volume_of_a_bind_under_way_is_given_to_no_other_pod() {
    let mut world = by_hand();
    assert_eq!(world.pod(claiming("p", ["x"])), ["nominate p a", "bind p a x=pv"]);
    assert_eq!(world.pod(claiming("q", ["y"])), REFUSED);
    world.see(Event::VolumeSet(Arc::new(Volume { labels: [("news", "old")].into(), ..volume() })));
    world.at(60_000);
    assert_eq!(world.pod(claiming("r", ["x"])), ["nominate r a", "bind r a x=pv"], "another pod of the same claim may share it");
}

#[test]
fn volumes_of_a_failed_bind_are_free_again_and_the_error_is_told() {
    for (outcome, told) in [
        (
            BindOutcome::NoVolumes("binding volumes: late".into()),
            "event FailedScheduling: running PreBind plugin \"VolumeBinding\": binding volumes: late",
        ),
        (BindOutcome::Failed("no".into()), "event FailedScheduling: running Bind plugin \"DefaultBinder\": no"),
    ] {
        let mut world = by_hand();
        world.pod(claiming("p", ["x"]));
        world.pod(claiming("q", ["y"]));
        world.at(10_000);
        let done = world.bind_ends("p", "a", outcome);
        assert_eq!(done, ["nominate p ", "condition p SchedulerError true", told, "nominate q a", "bind q a y=pv"]);
    }
}

/// Its volumes may keep the call going for minutes; the API server will not bind it.
#[test]
fn room_and_volumes_of_a_pod_deleted_during_its_bind_are_free_at_once() {
    let leaving = aisched_model::pod::Pod { deleting: true, ..claiming("p", ["x"]) };
    for event in [Event::PodGone(PodRef::from(&pod("p"))), Event::PodSet(Arc::new(leaving))] {
        let mut world = by_hand();
        world.pod(claiming("p", ["x"]));
        world.pod(claiming("q", ["y"]));
        world.at(10_000);
        assert_eq!(world.see(event.clone()), ["nominate q a", "bind q a y=pv"], "{event:?}");
        assert_eq!(world.engine.n_binding(), 1);
        assert_eq!(world.bind_ends("p", "a", BindOutcome::NoVolumes("late".into())), [""; 0], "nobody asks any more");
    }
}

#[test]
fn node_is_announced_while_volumes_are_bound_and_taken_back_when_they_are_not() {
    let mut world = by_hand();
    let announced = aisched_model::pod::Pod { nominated_node: Some("a".into()), ..claiming("p", ["x"]) };
    assert_eq!(world.pod(claiming("p", ["x"]))[0], "nominate p a");
    assert_eq!(world.pod(announced.clone()), [""; 0]);
    assert!(world.engine.snapshot().nominated.is_empty(), "it counts where it is assumed, not a second time");
    let done = world.bind_ends("p", "a", BindOutcome::NoVolumes("late".into()));
    assert_eq!(done.iter().filter(|d| **d == "nominate p ").count(), 1, "{done:?}");
    let mut world = by_hand();
    assert_eq!(world.pod(announced), ["bind p a x=pv"], "announced by an earlier process");
}

#[test]
fn volumes_of_a_bound_pod_stay_taken_until_the_watch_shows_it() {
    let mut world = by_hand();
    world.pod(claiming("p", ["x"]));
    world.bind_ends("p", "a", BindOutcome::Bound);
    assert_eq!(world.pod(claiming("q", ["y"])), REFUSED);
}

#[test]
fn volume_promised_to_a_claim_that_is_gone_is_given_to_who_waits_for_one() {
    let another = Claim { uid: "another".into(), ..claim("x") };
    for event in [Event::ClaimGone("default".into(), "x".into()), Event::ClaimSet(Arc::new(another))] {
        let mut world = by_hand();
        world.pod(claiming("p", ["x"]));
        world.pod(claiming("q", ["y"]));
        world.at(10_000);
        assert_eq!(world.see(event.clone()), ["nominate q a", "bind q a y=pv"], "{event:?}");
    }
}

#[test]
fn driver_that_is_gone_keeps_no_pod_waiting() {
    let mut world = world("csi.test");
    let driver = CsiDriver { name: "csi.test".into(), storage_capacity: true, ..CsiDriver::default() };
    world.see(Event::CsiDriverSet(Arc::new(driver)));
    assert_eq!(world.pod(claiming("p", ["x"]))[0], "condition p Unschedulable true", "no room is told of");
    world.at(10_000);
    assert!(world.see(Event::CsiDriverGone("csi.test".into())).iter().any(|done| done.starts_with("bind p ")));
}

#[test]
fn limit_that_is_gone_with_its_drivers_keeps_no_pod_waiting() {
    let mut world = World::running(&["NodeVolumeLimits"], [labelled("a", [])]);
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    let full = CsiDriverOnNode { name: "csi.test".into(), allocatable: Some(0), ..CsiDriverOnNode::default() };
    world.see(Event::CsiNodeSet(Arc::new(CsiNode { name: "a".into(), drivers: [full].into(), ..CsiNode::default() })));
    world.see(Event::ClassSet(Arc::new(StorageClass { name: "c".into(), provisioner: "csi.test".into(), ..StorageClass::default() })));
    world.see(Event::ClaimSet(Arc::new(claim("x"))));
    world.see(Event::Synced);
    assert_eq!(world.pod(claiming("p", ["x"]))[0], "condition p Unschedulable true");
    world.at(10_000);
    assert_eq!(world.see(Event::CsiNodeGone("a".into())), ["bind p a"]);
}

#[test]
fn claim_that_a_volume_is_made_for_keeps_its_node() {
    let mut world = world("csi.test");
    let done = world.pod(claiming("p", ["x"]));
    let node = if done[1] == "bind p a x+" { "a" } else { "b" };
    assert_eq!(done, [format!("nominate p {node}"), format!("bind p {node} x+")]);
    for i in 0..4 {
        assert_eq!(world.pod(claiming(&format!("q{i}"), ["x"]))[1], format!("bind q{i} {node} x+"));
    }
}

#[test]
fn bound_claims_need_nothing_done() {
    let mut world = world("csi.test");
    world.see(Event::ClaimSet(Arc::new(Claim { volume: Some("pv".into()), bind_completed: true, ..claim("x") })));
    world.see(Event::VolumeSet(Arc::new(volume())));
    assert_eq!(world.pod(claiming("p", ["x"])), ["bind p a"]);
}

#[test]
fn next_attempt_goes_elsewhere_when_a_volume_could_not_be_made() {
    let failed = || BindOutcome::NotProvisioned("x".into(), "binding volumes: provisioning failed for PVC \"x\"".into());
    let mut world = world("csi.test");
    let [first, other] = if world.pod(claiming("p", ["x"]))[1] == "bind p a x+" { ["a", "b"] } else { ["b", "a"] };
    world.bind_ends("p", first, failed());
    assert_eq!(world.at(2_000), [format!("nominate p {other}"), format!("bind p {other} x+")]);
    world.bind_ends("p", other, failed());
    let refused = "event FailedScheduling: 0/2 nodes are available: 2 node(s) did not have enough free storage.";
    assert_eq!(world.at(4_500), ["condition p Unschedulable true", refused]);
    let again = world.at(20_000);
    assert!(matches!(&again[..], [_, bind] if bind.starts_with("bind p ")), "both nodes are let in again: {again:?}");
}

#[test]
fn node_is_left_out_only_when_its_driver_gave_it_back() {
    for (outcome, left_out) in [
        (BindOutcome::NotProvisioned("x".into(), "no room".into()), true),
        (BindOutcome::NotProvisioned("replaced since".into(), "no room".into()), false),
        (BindOutcome::NoVolumes("claim deleted".into()), false),
        (BindOutcome::Failed("no".into()), false),
    ] {
        let mut world = world("csi.test");
        let node = if world.pod(claiming("p", ["x"]))[1] == "bind p a x+" { "a" } else { "b" };
        world.bind_ends("p", node, outcome.clone());
        assert_eq!(!world.engine.snapshot().no_provisioning.is_empty(), left_out, "{outcome:?}");
    }
}

/// A volume that is bound may move to another zone or disk: what its affinity says now counts, for pods that wait too.
#[test]
fn reach_of_a_bound_volume_may_change() {
    let reaching = |node: &str| {
        let host = Requirement { key: "host".into(), operator: Operator::In, values: [node.into()].into() };
        let claim = Some(("default".into(), "x".into(), "uid-x".into()));
        let node_affinity = Some([NodeSelectorTerm { labels: [host].into(), fields: [].into() }].into());
        Event::VolumeSet(Arc::new(Volume { claim, node_affinity, ..volume() }))
    };
    let mut world = by_hand();
    world.see(Event::ClaimSet(Arc::new(Claim { volume: Some("pv".into()), bind_completed: true, ..claim("x") })));
    world.see(reaching("a"));
    assert_eq!(world.pod(claiming("p", ["x"])), ["bind p a"]);
    world.see(reaching("b"));
    assert_eq!(world.pod(claiming("q", ["x"])), ["bind q b"]);
    world.see(reaching("gone"));
    assert_eq!(world.pod(claiming("r", ["x"]))[0], "condition r Unschedulable true");
    world.at(10_000);
    assert_eq!(world.see(reaching("a")), ["bind r a"]);
}
