//! What happens to pods while the scheduler works on them: gates that open, resizes, a namespace that goes, a kubelet's no.
//! Leaves out the scheduler's own death (`restart`) and the order of such things (`crates/sim`'s storm).

use aisched_e2e::{Provisioner, Room, Test, eventually, merged};
use serde_json::{Value, json};

#[test]
fn gated_pod_waits_until_its_last_gate_is_gone() {
    let test = Test::new("gates");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("gated", json!({"spec": {"schedulingGates": [{"name": "e2e/one"}, {"name": "e2e/two"}]}}));
    assert_eq!(test.refused("gated").0, "SchedulingGated");
    test.api().patch(&test.pod_path("gated"), &json!({"spec": {"schedulingGates": [{"name": "e2e/two"}]}}));
    // One that came later and is placed shows that the first has been passed over.
    test.add_pod("open", json!({}));
    assert_eq!(test.placed("open"), "a");
    assert_eq!(test.api().get(&test.pod_path("gated"))["spec"]["nodeName"], Value::Null);
    test.api().patch(&test.pod_path("gated"), &json!({"spec": {"schedulingGates": null}}));
    assert_eq!(test.placed("gated"), "a");
}

#[test]
fn pod_that_is_changed_while_it_waits_is_judged_by_what_it_is_now() {
    let test = Test::new("changed");
    test.add_node("a", json!({"spec": {"taints": [{"key": "reserved", "effect": "NoSchedule"}]}}));
    let _scheduler = test.scheduler();
    test.add_pod("p", json!({}));
    assert!(test.refused("p").1.contains("1 node(s) had untolerated taint(s)"));
    let pod = test.api().get(&test.pod_path("p"));
    let refused = pod["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "PodScheduled").unwrap();
    assert_eq!(refused["observedGeneration"], pod["metadata"]["generation"]);
    test.api().patch(&test.pod_path("p"), &json!({"spec": {"tolerations": [{"key": "reserved", "operator": "Exists"}]}}));
    assert_eq!(test.placed("p"), "a");
}

/// Its volumes would keep the bind going for ten minutes.
#[test]
fn room_of_a_pod_deleted_while_its_volumes_are_made_is_free_at_once() {
    let test = Test::new("deleted-binding");
    test.add_node("a", Provisioner::segment("a"));
    let driver = Provisioner::start(&test, "csi", "WaitForFirstConsumer", [("a", Room::of(10))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    test.add_claim("x", "csi", "1Gi", json!({}));
    test.add_pod("p", merged(Test::mounting(&["x"]), Test::cpu("8")));
    assert_eq!(test.selected("x"), "a");
    test.add_pod("q", Test::cpu("8"));
    test.refused_for("q", &["1 Insufficient cpu"]);
    test.api().delete(&test.pod_path("p"));
    assert_eq!(test.placed("q"), "a");
}

/// Gives a running pod another request of CPU, in place.
fn resize(test: &Test, pod: &str, cpu: &str) {
    let container = json!({"name": "c", "image": "busybox", "resources": {"requests": {"cpu": cpu}}});
    test.api().patch(&format!("{}/resize", test.pod_path(pod)), &json!({"spec": {"containers": [container]}}));
}

#[test]
fn room_that_a_resized_pod_gives_back_is_used() {
    let test = Test::new("resized");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("shrinks", Test::cpu("6"));
    assert_eq!(test.placed("shrinks"), "a");
    test.add_pod("waits", Test::cpu("4"));
    assert!(test.refused("waits").1.contains("1 Insufficient cpu"));
    resize(&test, "shrinks", "2");
    // Until the kubelet has done it, the larger of both counts.
    let done = json!({"status": {"containerStatuses": [{
        "name": "c", "image": "busybox", "imageID": "busybox", "ready": true, "restartCount": 0, "allocatedResources": {"cpu": "2"},
        "resources": {"requests": {"cpu": "2"}},
    }]}});
    test.api().patch(&format!("{}/status", test.pod_path("shrinks")), &done);
    assert_eq!(test.placed("waits"), "a");
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

#[test]
fn namespace_that_goes_leaves_its_room_to_others() {
    let test = Test::new("stays");
    test.add_node("a", json!({}));
    let other = "goes";
    test.api().create("/api/v1/namespaces", &json!({"metadata": {"name": other}}));
    let account = format!("/api/v1/namespaces/{other}/serviceaccounts/default");
    eventually("the namespace has its account", || test.api().find(&account).ok_or_else(|| "not yet".into()));
    let _scheduler = test.scheduler();
    let pods = format!("/api/v1/namespaces/{other}/pods");
    for i in 0..4 {
        test.api().create(&pods, &test.pod(&format!("p{i}"), Test::cpu("4")));
    }
    eventually("two of them have the node", || {
        let bound = test.api().list(&pods).iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
        if bound == 2 { Ok(()) } else { Err(format!("{bound} have")) }
    });
    test.add_pod("waits", Test::cpu("8"));
    assert_eq!(test.refused("waits").0, "Unschedulable");
    test.api().delete(&format!("/api/v1/namespaces/{other}"));
    test.api().delete(&pods); // there is no namespace controller here
    assert_eq!(test.placed("waits"), "a");
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

#[test]
fn node_whose_kubelet_turned_a_pod_away_is_left_out_for_a_while() {
    let test = Test::new("turned-away");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("first", Test::cpu("1"));
    assert_eq!(test.placed("first"), "a");
    let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 7500, capacity: 8000";
    let rejected = json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "message": message}});
    test.api().patch(&format!("{}/status", test.pod_path("first")), &rejected);
    // Another shape shows that the scheduler has seen it.
    test.add_pod("whole", Test::cpu("8"));
    assert_eq!(test.placed("whole"), "a");
    test.api().delete(&test.pod_path("whole"));
    test.add_pod("second", Test::cpu("1"));
    let (_, message) = test.refused("second");
    assert!(message.contains("1 node(s) had a kubelet that turned such a pod away lately"), "{message}");
    assert_eq!(test.placed("second"), "a");
}
