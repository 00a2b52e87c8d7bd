//! Preemption against a real API server: victims are told why and deleted, the room they leave is kept, and the words are kube-scheduler's.
//! Leaves out which victims are chosen in every case: that is the core's.

use aisched_e2e::{Provisioner, Room, Test, eventually, merged};
use serde_json::{Value, json};

/// Makes a priority class of this test's; its name.
fn class(test: &Test, name: &str, value: i32, policy: &str) -> String {
    let whole = test.node_name(name);
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": whole}, "value": value,
        "preemptionPolicy": policy,
    });
    test.api().create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
    whole
}

/// The classes that the tests need: one to be preempted, one to preempt, one that waits.
fn classes(test: &Test) -> [String; 3] {
    [("low", 10, PREEMPTS), ("high", 1000, PREEMPTS), ("patient", 1000, "Never")]
        .map(|(name, value, policy)| class(test, name, value, policy))
}

const PREEMPTS: &str = "PreemptLowerPriority";

/// A pod that fills a node.
fn filling(class: &str) -> Value {
    merged(Test::cpu("8"), json!({"spec": {"priorityClassName": class}}))
}

fn condition(pod: &Value, kind: &str) -> Option<Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind).cloned()
}

#[test]
fn pod_gets_the_room_of_one_that_no_budget_protects() {
    let test = Test::new("preemption");
    test.add_node("a", json!({}));
    test.add_node("b", json!({}));
    let [low, high, patient] = classes(&test);
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "spare"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "spared"}}},
    });
    test.api().create("/apis/policy/v1/namespaces/preemption/poddisruptionbudgets", &budget);
    let _scheduler = test.scheduler();
    test.add_pod("spared", merged(filling(&low), json!({"metadata": {"labels": {"app": "spared"}}})));
    // The finalizer holds the victim as a kubelet would that lets it end in its own time.
    test.add_pod("victim", merged(filling(&low), json!({"metadata": {"finalizers": ["e2e.aisched/hold"]}})));
    let (kept, taken) = (test.placed("spared"), test.placed("victim"));
    assert_ne!(kept, taken);

    let preemptor = test.add_pod("preemptor", filling(&high));
    let node = test.node_name(&taken);
    let victim = eventually("the victim is leaving", || {
        let victim = test.api().get(&test.pod_path("victim"));
        if victim["metadata"]["deletionTimestamp"].is_string() { Ok(victim) } else { Err(victim["status"].to_string()) }
    });
    let why = condition(&victim, "DisruptionTarget").unwrap();
    assert_eq!((&why["status"], &why["reason"]), (&json!("True"), &json!("PreemptionByScheduler")));
    assert_eq!(why["message"], "preemption: preempting to accommodate a higher priority pod");
    let note = format!("Preempted by pod {} on node {node}", preemptor["metadata"]["uid"].as_str().unwrap());
    assert_eq!(test.pod_event("victim", "Preempted"), note);
    eventually("the preemptor is nominated", || {
        let pod = test.api().get(&test.pod_path("preemptor"));
        if pod["status"]["nominatedNodeName"] == *node { Ok(()) } else { Err(pod["status"].to_string()) }
    });
    // A node of another test may have it looked at once more, and then its condition says something else.
    let tail = format!(" preemption: found a potential placement for pod on node {node}, preempting 1 victims");
    test.event(&test.name, "preemptor", |event| event["note"].as_str().is_some_and(|note| note.ends_with(&tail)));
    assert_eq!(test.refused("preemptor").0, "Unschedulable");

    // A pod of the same priority that came later does not get the room.
    test.add_pod("late", filling(&patient));
    let (_, message) = test.refused("late");
    assert!(message.ends_with(" preemption: not eligible due to preemptionPolicy=Never."), "{message}");
    test.api().patch(&test.pod_path("victim"), &json!({"metadata": {"finalizers": null}}));
    assert_eq!(test.placed("preemptor"), taken);
    assert_eq!(test.api().get(&test.pod_path("spared"))["metadata"].get("deletionTimestamp"), None);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

/// Ours and kube-scheduler's pods meet the same nodes, each with a victim of its own; what is said may differ in the node alone.
#[test]
fn preemption_is_told_in_kube_schedulers_words() {
    let test = Test::alone("preempt-words");
    let [low, high, patient] = classes(&test);
    for node in ["ours", "theirs"] {
        test.add_node(node, json!({"metadata": {"labels": {"of": node}}}));
    }
    test.add_node("cordoned", json!({"spec": {"unschedulable": true}}));
    let _theirs = test.kube_scheduler("preempt-words-theirs");
    let _ours = test.scheduler();
    let of = |name: &str, whose: &str, class: &str, over: Value| {
        let scheduler = if whose == "ours" { "preempt-words" } else { "preempt-words-theirs" };
        let own = json!({"spec": {"schedulerName": scheduler, "nodeSelector": {"of": whose}}});
        test.add_pod(&format!("{name}-{whose}"), merged(merged(filling(class), own), over));
    };
    for whose in ["ours", "theirs"] {
        let hold = json!({"metadata": {"finalizers": ["e2e.aisched/hold"]}, "spec": {"nodeName": test.node_name(whose)}});
        of("victim", whose, &low, hold);
    }
    for whose in ["ours", "theirs"] {
        of("never", whose, &patient, json!({}));
        of("equal", whose, &low, json!({}));
        of("too-large", whose, &high, Test::cpu("9"));
        of("found", whose, &high, json!({}));
    }
    for name in ["never", "equal", "too-large", "found"] {
        let said = |whose: &str| {
            let (reason, message) = test.refused(&format!("{name}-{whose}"));
            (reason, message.replace(&test.node_name(whose), "NODE"))
        };
        assert_eq!(said("ours"), said("theirs"), "pod {name}: ours is left, kube-scheduler's is right");
    }
    for whose in ["ours", "theirs"] {
        test.api().patch(&test.pod_path(&format!("victim-{whose}")), &json!({"metadata": {"finalizers": null}}));
        assert_eq!(test.placed(&format!("found-{whose}")), whose);
    }
}

fn is_leaving(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

/// The pods of an app that are there and stay.
fn n_left(test: &Test, app: &str) -> usize {
    let pods = test.api().list(&test.pods_path());
    pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == app && !is_leaving(pod)).count()
}

/// How many pods of an app may go.
fn await_allowed(test: &Test, app: &str, n: i64) {
    let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets/{app}", test.name);
    eventually(&format!("the budget of {app} allows {n}"), || {
        let budget = test.api().get(&path);
        let (status, seen) = (&budget["status"], budget["status"]["observedGeneration"] == budget["metadata"]["generation"]);
        if seen && status["disruptionsAllowed"] == n && status["currentHealthy"] == n + status["desiredHealthy"].as_i64().unwrap_or(0) {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

/// Budgets come before priorities: the pod that may go is the more important one. When none may go, the least important goes.
#[test]
fn budget_with_a_pod_to_spare_gives_it_and_none_is_violated_before_it_must_be() {
    let test = Test::new("budgets");
    let [low, high, _] = classes(&test);
    let middle = class(&test, "middle", 100, PREEMPTS);
    for (node, app, spare, class) in [("a", "tight", 2, &low), ("b", "loose", 1, &middle)] {
        test.add_node(node, json!({}));
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app},
            "spec": {"minAvailable": spare, "selector": {"matchLabels": {"app": app}}},
        });
        test.api().create("/apis/policy/v1/namespaces/budgets/poddisruptionbudgets", &budget);
        for i in 0..2 {
            let name = format!("{app}-{i}");
            let of = json!({"metadata": {"labels": {"app": app}}, "spec": {"nodeName": test.node_name(node), "priorityClassName": class}});
            test.add_pod(&name, merged(Test::cpu("4"), of));
            let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
            test.api().patch(&format!("{}/status", test.pod_path(&name)), &ready);
        }
    }
    await_allowed(&test, "tight", 0);
    await_allowed(&test, "loose", 1);
    let _scheduler = test.scheduler();
    let preemptor = merged(Test::cpu("4"), json!({"spec": {"priorityClassName": high}}));
    test.add_pod("first", preemptor.clone());
    assert_eq!(test.placed("first"), "b");
    assert_eq!((n_left(&test, "tight"), n_left(&test, "loose")), (2, 1));
    await_allowed(&test, "loose", 0);
    test.add_pod("second", preemptor);
    assert_eq!(test.placed("second"), "a");
    assert_eq!((n_left(&test, "tight"), n_left(&test, "loose")), (1, 1));
}

#[test]
fn nomination_is_taken_back_when_a_more_important_pod_takes_the_room() {
    let test = Test::new("outbid");
    test.add_node("a", json!({}));
    let [low, high, _] = classes(&test);
    let highest = class(&test, "highest", 2000, PREEMPTS);
    let _scheduler = test.scheduler();
    test.add_pod("victim", merged(filling(&low), json!({"metadata": {"finalizers": ["e2e.aisched/hold"]}})));
    assert_eq!(test.placed("victim"), "a");
    let nominated = |pod: &str, node: Value| {
        eventually(&format!("{pod} is nominated to {node}"), || {
            let status = test.api().get(&test.pod_path(pod))["status"].clone();
            if status.get("nominatedNodeName").cloned().unwrap_or_default() == node { Ok(()) } else { Err(status.to_string()) }
        });
    };
    test.add_pod("outbid", filling(&high));
    nominated("outbid", test.node_name("a").into());
    test.add_pod("highest", filling(&highest));
    nominated("highest", test.node_name("a").into());
    nominated("outbid", Value::Null);
    test.api().patch(&test.pod_path("victim"), &json!({"metadata": {"finalizers": null}}));
    assert_eq!(test.placed("highest"), "a");
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

/// As kube-scheduler does with a pod in its PreBind: it was never on the node, so nobody has to delete it.
#[test]
fn pod_preempted_while_its_volumes_are_made_is_not_deleted_and_waits_again() {
    let test = Test::new("called-off");
    test.add_node("a", Provisioner::segment("a"));
    let [low, high, _] = classes(&test);
    let driver = Provisioner::start(&test, "csi", "WaitForFirstConsumer", [("a", Room::of(10))]);
    driver.hold(true);
    let _scheduler = test.scheduler();
    test.add_claim("x", "csi", "1Gi", json!({}));
    test.add_pod("waiting", merged(Test::mounting(&["x"]), filling(&low)));
    assert_eq!(test.selected("x"), "a");
    test.add_pod("preemptor", filling(&high));
    assert_eq!(test.placed("preemptor"), "a");
    assert!(test.pod_event("waiting", "Preempted").ends_with(" (in scheduler memory)."));
    let told = "running PreBind plugin \"VolumeBinding\": preempted by DefaultPreemption";
    test.event(&test.name, "waiting", |event| event["note"] == told);
    test.refused_for("waiting", &["1 Insufficient cpu"]);
    let waiting = test.api().get(&test.pod_path("waiting"));
    assert!(!is_leaving(&waiting) && condition(&waiting, "DisruptionTarget").is_none(), "{waiting}");
    driver.hold(false);
    test.api().delete(&test.pod_path("preemptor"));
    assert_eq!(test.placed("waiting"), "a", "it was not lost");
}
