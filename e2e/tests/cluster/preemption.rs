//! Preemption against a real API server: victims are told why and deleted, the room they leave is kept, and the words are kube-scheduler's.
//! Leaves out which victims are chosen in every case: that is the core's.

use aisched_e2e::{Test, eventually, merged};
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
    let (reason, message) = test.refused("preemptor");
    let tail = format!(" preemption: found a potential placement for pod on node {node}, preempting 1 victims");
    assert!(reason == "Unschedulable" && message.ends_with(&tail), "{message}");

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
