//! Volumes that a driver makes where the scheduler says, with the real volume controller and a driver that may fail, dawdle or be dead.
//! Leaves out volumes that are there already.

use aisched_e2e::{Provisioner, Room, Test, eventually};
use serde_json::json;

const WAIT: &str = "WaitForFirstConsumer";
const NO_ROOM: &str = "node(s) did not have enough free storage";

/// Nodes `a` and `b`, each a segment of its own.
fn two_segments(name: &str) -> Test {
    let test = Test::new(name);
    for node in ["a", "b"] {
        test.add_node(node, Provisioner::segment(node));
    }
    test
}

fn claims(test: &Test, names: &[&str], size: &str) {
    for name in names {
        test.add_claim(name, "csi", size, json!({}));
    }
}

fn other(node: &str) -> &'static str {
    if node == "a" { "b" } else { "a" }
}

#[test]
fn volume_is_made_on_the_node_that_was_selected_where_there_is_room() {
    let test = two_segments("made-where-room");
    let largest = Room { largest: Some(4), ..Room::of(100) };
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", largest), ("b", Room::of(10))]);
    let _scheduler = test.scheduler();
    claims(&test, &["x", "y", "z"], "6Gi");
    // Room for 100 GiB is no use where no volume may be larger than 4.
    test.add_pod("p", Test::mounting(&["x"]));
    assert_eq!((test.placed("p"), test.selected("x")), ("b".into(), "b".into()));
    assert!(test.claim_bound("x").starts_with("pvc-"));
    test.add_pod("q", Test::mounting(&["y"]));
    test.refused_for("q", &[&format!("2 {NO_ROOM}")]);
    driver.set_room("a", Room::of(6));
    assert_eq!(test.placed("q"), "a");
    // What has been made has used the room up.
    test.add_pod("r", Test::mounting(&["z"]));
    test.refused_for("r", &[&format!("2 {NO_ROOM}")]);
}

#[test]
fn where_a_volume_cannot_be_made_is_left_out_of_the_next_attempt() {
    let test = two_segments("exhausted");
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(100)), ("b", Room::of(100))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    claims(&test, &["x", "y"], "1Gi");
    test.add_pod("p", Test::mounting(&["x"]));
    let first = test.selected("x");
    driver.set_room(&first, Room { exhausted: true, ..Room::of(100) });
    driver.hold(false);
    assert_eq!(test.placed("p"), other(&first));
    assert_eq!(
        test.pod_event("p", "FailedScheduling"),
        "running PreBind plugin \"VolumeBinding\": binding volumes: provisioning failed for PVC \"x\""
    );
    // The driver still says that there is room; the next pod need not find out.
    test.add_pod("q", Test::mounting(&["y"]));
    assert_eq!(test.placed("q"), other(&first));
    assert_eq!(test.selected("y"), other(&first));
}

#[test]
fn claims_of_one_pod_need_room_together() {
    let test = two_segments("together");
    let _driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(12))]);
    let _scheduler = test.scheduler();
    claims(&test, &["x", "y", "v", "w"], "6Gi");
    test.add_pod("p", Test::mounting(&["x", "y"]));
    assert_eq!(test.placed("p"), "b");
    test.add_pod("q", Test::mounting(&["v", "w"]));
    test.refused_for("q", &[&format!("2 {NO_ROOM}")]);
}

#[test]
fn room_is_not_promised_twice_while_volumes_are_being_made() {
    let test = two_segments("promised");
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    claims(&test, &["x", "y", "z"], "6Gi");
    for (pod, claim) in [("p", "x"), ("q", "y")] {
        test.add_pod(pod, Test::mounting(&[claim]));
    }
    assert_eq!(other(&test.selected("x")), test.selected("y"));
    test.add_pod("r", Test::mounting(&["z"]));
    test.refused_for("r", &[&format!("2 {NO_ROOM}")]);
    // A pod that gives up gives its room back: its claim goes with it.
    test.api().delete(&test.pod_path("p"));
    let freed = test.selected("x");
    test.api().delete(&test.claim_path("x"));
    assert_eq!(test.selected("z"), freed);
    driver.hold(false);
    assert_eq!((test.placed("r"), test.placed("q").as_str()), (freed.clone(), other(&freed)));
}

#[test]
fn node_that_goes_while_a_claim_waits_frees_its_pod_for_another() {
    let test = two_segments("node-goes");
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    claims(&test, &["x"], "6Gi");
    test.add_pod("p", Test::mounting(&["x"]));
    let first = test.selected("x");
    test.api().delete(&test.node_path(&first));
    let told = test.pod_event("p", "FailedScheduling");
    let (gone, doing) = (test.node_name(&first), "running PreBind plugin \"VolumeBinding\": binding volumes");
    assert_eq!(told, format!("{doing}: failed to get node {gone:?}: node {gone:?} not found"));
    // The claim still asks for the node that is gone; the driver gives it back.
    driver.hold(false);
    assert_eq!((test.placed("p").as_str(), test.selected("x").as_str()), (other(&first), other(&first)));
}

#[test]
fn claim_that_is_replaced_while_its_volume_is_awaited_is_served_anew() {
    let test = two_segments("replaced");
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    claims(&test, &["x"], "6Gi");
    test.add_pod("p", Test::mounting(&["x"]));
    let _first = test.selected("x");
    test.api().delete(&test.claim_path("x"));
    eventually("the claim is gone", || test.api().find(&test.claim_path("x")).map_or(Ok(()), |_| Err("it is there".into())));
    claims(&test, &["x"], "6Gi");
    let doing = "running PreBind plugin \"VolumeBinding\": binding volumes: failed to check provisioning pvc";
    assert_eq!(test.pod_event("p", "FailedScheduling"), format!("{doing}: persistentvolumeclaim \"x\" not found"));
    driver.hold(false);
    assert_eq!(test.placed("p"), test.selected("x"));
}

#[test]
fn driver_that_is_dead_costs_its_pods_their_node_after_the_bind_timeout() {
    let test = two_segments("timeout");
    drop(Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]));
    let config = test.file("timeout.yaml");
    let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: {leaderElect: false}\n\
        profiles:\n- schedulerName: timeout\n  pluginConfig:\n  - {name: VolumeBinding, args: {bindTimeoutSeconds: 1}}\n";
    std::fs::write(&config, text).unwrap();
    let mut options = test.options();
    options.config = Some(config);
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    claims(&test, &["x"], "6Gi");
    test.add_pod("p", Test::mounting(&["x"]));
    let first = test.selected("x");
    let doing = "running PreBind plugin \"VolumeBinding\": binding volumes";
    let late = "context deadline exceeded: claim x is not bound after 1s";
    assert_eq!(test.pod_event("p", "FailedScheduling"), format!("{doing}: {late}"));
    // The claim keeps the node that it names, and the pod waits for it until the driver is there.
    assert_eq!(test.selected("x"), first);
    let _driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]);
    assert_eq!(test.claim_bound("x").split('-').next(), Some("pvc"));
    assert_eq!(test.placed("p"), first);
}

#[test]
fn scheduler_that_starts_anew_goes_on_with_the_node_that_a_claim_names() {
    let test = two_segments("goes-on");
    let driver = Provisioner::start(&test, "csi", WAIT, [("a", Room::of(10)), ("b", Room::of(10))]);
    driver.hold(true);
    let scheduler = test.scheduler();
    claims(&test, &["x"], "6Gi");
    test.add_pod("p", Test::mounting(&["x"]));
    let first = test.selected("x");
    scheduler.kill();
    let _again = test.scheduler_with(&test.options(), "again");
    driver.hold(false);
    assert_eq!(test.placed("p"), first);
}
