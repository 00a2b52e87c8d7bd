//! How many volumes a node can have: what its drivers say, what is attached already, and drivers that are not there yet.
//! Leaves out where volumes come from.

use aisched_e2e::Test;
use serde_json::{Value, json};

const FULL: &str = "1 node(s) exceed max volume count";
const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";

/// Node `a` that allows so many volumes of a driver, and claims that are bound to volumes of it.
fn world(name: &str, allowed: Option<u32>, claims: &[&str]) -> Test {
    let test = Test::new(name);
    test.add_node("a", json!({}));
    test.add_class("csi", json!({}));
    if let Some(allowed) = allowed {
        test.add_csi_node("a", &driver(&test), Some(allowed));
    }
    for claim in claims {
        test.add_volume(&format!("pv-{claim}"), "csi", "a", "1Gi", on_driver(&test, claim));
        let volume = test.node_name(&format!("pv-{claim}"));
        test.add_claim(claim, "csi", "1Gi", json!({"spec": {"volumeName": volume}}));
        assert_eq!(test.claim_bound(claim), format!("pv-{claim}"));
    }
    test
}

fn driver(test: &Test) -> String {
    format!("{}.e2e", test.name)
}

fn on_driver(test: &Test, handle: &str) -> Value {
    json!({"spec": {"local": null, "csi": {"driver": driver(test), "volumeHandle": handle}}})
}

#[test]
fn node_takes_as_many_volumes_as_its_driver_allows() {
    let test = world("attach-limit", Some(2), &["x", "y", "z"]);
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["x", "y"]));
    assert_eq!(test.placed("p"), "a");
    test.add_pod("q", Test::mounting(&["z"]));
    test.refused_for("q", &[FULL]);
    // A volume that is there already counts once, whoever uses it.
    test.add_pod("r", Test::mounting(&["y"]));
    assert_eq!(test.placed("r"), "a");
    for pod in ["p", "r"] {
        test.api().delete(&test.pod_path(pod));
    }
    assert_eq!(test.placed("q"), "a");
}

#[test]
fn volume_that_is_still_attached_counts_until_it_is_detached() {
    let test = world("still-attached", Some(1), &["x", "y"]);
    let attachment = test.node_name("va");
    let spec =
        json!({"attacher": driver(&test), "nodeName": test.node_name("a"), "source": {"persistentVolumeName": test.node_name("pv-x")}});
    test.api().create(ATTACHMENTS, &json!({"metadata": {"name": attachment}, "spec": spec}));
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["y"]));
    test.refused_for("p", &[FULL]);
    test.api().delete(&format!("{ATTACHMENTS}/{attachment}"));
    assert_eq!(test.placed("p"), "a");
}

#[test]
fn driver_that_has_to_be_there_is_waited_for() {
    let test = world("driver-missing", None, &["x"]);
    let driver = driver(&test);
    let spec = json!({"attachRequired": false, "preventPodSchedulingIfMissing": true});
    let object = json!({"metadata": {"name": driver, "labels": {"e2e-test": test.name}}, "spec": spec});
    test.api().create("/apis/storage.k8s.io/v1/csidrivers", &object);
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["x"]));
    test.refused_for("p", &[&format!("1 {driver} CSI driver is not installed on the node")]);
    test.add_csi_node("a", &driver, Some(1));
    assert_eq!(test.placed("p"), "a");
}

#[test]
fn node_without_a_word_of_its_drivers_takes_any_number() {
    let test = world("no-csinode", None, &["x", "y"]);
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["x", "y"]));
    assert_eq!(test.placed("p"), "a");
}
