//! Volumes that are there, with the real volume controller: which node a pod goes to, and what is left when a bind fails.
//! Leaves out volumes that are made on demand, and how many a node can have.

use aisched_e2e::{Fate, Proxy, Test, merged};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NO_VOLUME: &str = "2 node(s) didn't find available persistent volumes to bind";

/// Nodes `a` and `b`, and a class `local` whose volumes are made by hand.
fn two_nodes(name: &str) -> Test {
    let test = Test::new(name);
    test.add_node("a", json!({}));
    test.add_node("b", json!({}));
    test.add_class("local", json!({}));
    test
}

fn add_volume(test: &Test, name: &str, node: &str, size: &str) {
    test.add_volume(name, "local", node, size, json!({}));
    test.volume_available(name);
}

#[test]
fn pod_goes_where_the_smallest_volume_that_will_do_is() {
    let test = two_nodes("local-volumes");
    add_volume(&test, "small", "a", "5Gi");
    add_volume(&test, "right", "b", "10Gi");
    add_volume(&test, "large", "b", "50Gi");
    let _scheduler = test.scheduler();
    for (claim, size) in [("first", "8Gi"), ("second", "8Gi"), ("third", "8Gi")] {
        test.add_claim(claim, "local", size, json!({}));
        test.add_pod(claim, Test::mounting(&[claim]));
        if claim == "third" {
            test.refused_for(claim, &[NO_VOLUME]);
            continue;
        }
        assert_eq!(test.placed(claim), "b");
    }
    assert_eq!((test.claim_bound("first"), test.claim_bound("second")), ("right".into(), "large".into()));
    let right = test.api().get(&test.volume_path("right"));
    assert_eq!(right["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"], "yes");
    // A volume that comes later is what the third has waited for.
    test.add_volume("late", "local", "a", "9Gi", json!({}));
    assert_eq!((test.placed("third"), test.claim_bound("third")), ("a".into(), "late".into()));
}

#[test]
fn claims_of_one_pod_are_bound_on_one_node() {
    let test = two_nodes("two-claims");
    for (volume, node) in [("a1", "a"), ("b1", "b"), ("b2", "b")] {
        add_volume(&test, volume, node, "5Gi");
    }
    let _scheduler = test.scheduler();
    for claim in ["x", "y"] {
        test.add_claim(claim, "local", "5Gi", json!({}));
    }
    test.add_pod("p", Test::mounting(&["x", "y"]));
    assert_eq!(test.placed("p"), "b");
    let mut bound = [test.claim_bound("x"), test.claim_bound("y")];
    bound.sort();
    assert_eq!(bound, ["b1", "b2"]);
}

#[test]
fn claim_that_is_deleted_and_made_again_is_another() {
    let test = two_nodes("claim-again");
    add_volume(&test, "on-a", "a", "5Gi");
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["data"]));
    test.refused_for("p", &["persistentvolumeclaim \"data\" not found"]);
    test.add_claim("data", "local", "20Gi", json!({}));
    test.refused_for("p", &[NO_VOLUME]);
    test.api().delete(&test.claim_path("data"));
    test.refused_for("p", &["persistentvolumeclaim \"data\" not found"]);
    test.add_claim("data", "local", "5Gi", json!({}));
    assert_eq!((test.placed("p"), test.claim_bound("data")), ("a".into(), "on-a".into()));
}

#[test]
fn volume_that_somebody_else_takes_meanwhile_costs_one_attempt_only() {
    let test = two_nodes("volume-taken");
    add_volume(&test, "best", "a", "5Gi");
    add_volume(&test, "next", "b", "9Gi");
    let theirs = test.add_claim("theirs", "local", "1Gi", json!({}));
    test.add_claim("data", "local", "5Gi", json!({}));
    let mut proxy = Proxy::new(&test);
    let (api, taken) = (test.api().clone(), AtomicBool::new(false));
    let volumes = ["best", "next"].map(|v| test.volume_path(v));
    let (namespace, uid) = (test.name.clone(), theirs["metadata"]["uid"].clone());
    proxy.listen(Arc::new(move |asked| {
        // The decision has been made, the volume is about to be given to the claim: another claim gets it first.
        if asked.method == "PATCH" && volumes.contains(&asked.path) && !taken.swap(true, Ordering::SeqCst) {
            let to = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": "theirs", "uid": uid});
            api.patch(&asked.path, &json!({"spec": {"claimRef": to}}));
        }
        Fate::Passed
    }));
    let mut options = test.options();
    options.kubeconfig = proxy.kubeconfig.clone();
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    test.add_pod("p", Test::mounting(&["data"]));
    let node = test.placed("p");
    let (ours, taken) = if node == "a" { ("best", "next") } else { ("next", "best") };
    assert_eq!((test.claim_bound("data"), test.claim_bound("theirs")), (ours.into(), taken.into()));
    let told = test.pod_event("p", "FailedScheduling");
    let why = format!("persistentvolume {:?} has been given to claim volume-taken/theirs", test.node_name(taken));
    assert_eq!(told, format!("running PreBind plugin \"VolumeBinding\": {why}"));
}

#[test]
fn volume_out_of_reach_keeps_its_pod_waiting_until_a_node_in_reach_comes() {
    let test = two_nodes("out-of-reach");
    test.add_volume("gone", "local", "c", "5Gi", json!({}));
    test.add_claim("data", "local", "5Gi", json!({"spec": {"volumeName": test.node_name("gone")}}));
    assert_eq!(test.claim_bound("data"), "gone");
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["data"]));
    test.refused_for("p", &["2 node(s) didn't match PersistentVolume's node affinity"]);
    test.add_node("c", json!({}));
    assert_eq!(test.placed("p"), "c");
}

#[test]
fn volume_in_another_zone_keeps_its_pod_away() {
    let test = Test::new("zones");
    let zone = |zone: &str| json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
    test.add_node("a", zone("z1"));
    test.add_class("zonal", json!({}));
    let anywhere = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]);
    let anywhere = json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": anywhere}}}});
    test.add_volume("pv", "zonal", "a", "5Gi", merged(zone("z2__z3"), anywhere));
    test.add_claim("data", "zonal", "5Gi", json!({"spec": {"volumeName": test.node_name("pv")}}));
    assert_eq!(test.claim_bound("data"), "pv");
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["data"]));
    test.refused_for("p", &["1 node(s) had no available volume zone"]);
    test.add_node("b", zone("z3"));
    assert_eq!(test.placed("p"), "b");
}

#[test]
fn claim_for_one_pod_is_handed_over_when_the_pod_is_gone() {
    let test = two_nodes("one-pod-claim");
    let one_pod = json!({"spec": {"accessModes": ["ReadWriteOncePod"]}});
    for (volume, node) in [("on-a", "a"), ("on-b", "b")] {
        test.add_volume(volume, "local", node, "5Gi", one_pod.clone());
        test.volume_available(volume);
    }
    let _scheduler = test.scheduler();
    test.add_claim("data", "local", "5Gi", one_pod);
    test.add_pod("first", Test::mounting(&["data"]));
    let node = test.placed("first");
    test.add_pod("second", Test::mounting(&["data"]));
    let in_use = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
    test.refused_for("second", &[&format!("2 {in_use}")]);
    test.api().delete(&test.pod_path("first"));
    assert_eq!(test.placed("second"), node);
}

#[test]
fn claim_that_waits_for_nobody_has_to_be_bound_first() {
    let test = Test::new("immediate");
    test.add_node("a", json!({}));
    test.add_class("now", json!({"volumeBindingMode": "Immediate"}));
    test.add_claim("data", "now", "5Gi", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["data"]));
    test.refused_for("p", &["pod has unbound immediate PersistentVolumeClaims"]);
    test.add_volume("pv", "now", "a", "5Gi", json!({}));
    assert_eq!((test.placed("p"), test.claim_bound("data")), ("a".into(), "pv".into()));
}

#[test]
fn claim_of_an_ephemeral_volume_is_waited_for_and_bound() {
    let test = two_nodes("ephemeral");
    add_volume(&test, "on-b", "b", "5Gi");
    let _scheduler = test.scheduler();
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": test.node_name("local"), "resources": {"requests": {"storage": "5Gi"}}}});
    let volumes: Value = json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]);
    test.add_pod("p", json!({"spec": {"volumes": volumes}}));
    assert_eq!((test.placed("p"), test.claim_bound("p-scratch")), ("b".into(), "on-b".into()));
}

#[test]
fn reach_of_a_bound_volume_may_change() {
    let test = two_nodes("reach-changes");
    let reach = |node: &str| {
        let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [test.node_name(node)]}]}]);
        test.api().patch(&test.volume_path("pv"), &json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}));
    };
    add_volume(&test, "pv", "a", "5Gi");
    test.add_claim("data", "local", "5Gi", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::mounting(&["data"]));
    assert_eq!((test.placed("p").as_str(), test.claim_bound("data").as_str()), ("a", "pv"));
    reach("b");
    test.add_pod("q", Test::mounting(&["data"]));
    assert_eq!(test.placed("q"), "b");
    // A pod that waits is tried again when the volume comes back within its reach.
    test.add_pod(
        "r",
        merged(Test::mounting(&["data"]), json!({"spec": {"nodeSelector": {"kubernetes.io/hostname": test.node_name("a")}}})),
    );
    test.refused_for("r", &["1 node(s) didn't match PersistentVolume's node affinity"]);
    reach("a");
    assert_eq!(test.placed("r"), "a");
}
