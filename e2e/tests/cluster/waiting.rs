//! Pods that fit nowhere: what is said of them, and that they go as soon as something helps.
//! Leaves out how each plugin words its refusals one by one: that is the core's.

use aisched_e2e::{Test, merged};
use serde_json::{Value, json};

#[test]
fn pod_that_fits_nowhere_says_so_and_is_bound_when_the_label_arrives() {
    let test = Test::new("label-arrives");
    test.add_node("a", json!({}));
    let scheduler = test.scheduler();
    test.add_pod("p", json!({"spec": {"nodeSelector": {"disk": "fast"}}}));
    let (reason, message) = test.refused("p");
    assert_eq!(reason, "Unschedulable");
    assert!(
        message.contains(" nodes are available: ") && message.contains(" node(s) didn't match Pod's node affinity/selector."),
        "{message}"
    );
    assert_eq!(test.pod_event("p", "FailedScheduling"), message);
    assert!(scheduler.logged().contains("[filter] pod=label-arrives/p "), "no [filter] line");

    test.api().patch(&test.node_path("a"), &json!({"metadata": {"labels": {"disk": "fast"}}}));
    assert_eq!(test.placed("p"), "a");
    assert_eq!(test.pod_event("p", "Scheduled"), format!("Successfully assigned label-arrives/p to {}", test.node_name("a")));
}

#[test]
fn room_that_a_finished_pod_leaves_is_used() {
    let test = Test::new("finished");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("first", Test::cpu("8"));
    assert_eq!(test.placed("first"), "a");
    test.add_pod("second", Test::cpu("8"));
    let (_, message) = test.refused("second");
    assert!(message.contains("1 Insufficient cpu"), "{message}");
    test.api().patch(&format!("{}/status", test.pod_path("first")), &json!({"status": {"phase": "Succeeded"}}));
    assert_eq!(test.placed("second"), "a");
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

#[test]
fn pod_of_another_scheduler_counts_until_it_is_deleted() {
    let test = Test::new("others-count");
    test.add_node("a", json!({}));
    // Bound before the scheduler starts, by nobody that it knows.
    test.add_pod("theirs", merged(Test::cpu("5"), json!({"spec": {"schedulerName": "somebody-else", "nodeName": test.node_name("a")}})));
    let _scheduler = test.scheduler();
    test.add_pod("ours", Test::cpu("4"));
    let (_, message) = test.refused("ours");
    assert!(message.contains("1 Insufficient cpu"), "{message}");
    test.api().delete(&test.pod_path("theirs"));
    assert_eq!(test.placed("ours"), "a");
}

/// Pods that fit nowhere, each for another reason.
fn hopeless() -> Vec<(&'static str, Value)> {
    let memory = json!({"spec": {"containers": [
        {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "6", "memory": "64Gi"}}},
    ]}});
    let gpu = json!({"spec": {"containers": [
        {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "1", "example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}},
    ]}});
    let port = json!({"spec": {"containers": [{"name": "c", "image": "busybox", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}});
    vec![
        ("cpu", Test::cpu("9")),
        ("two-resources", memory),
        ("extended-resource", gpu),
        ("port", port),
        ("selector", json!({"spec": {"nodeSelector": {"disk": "fast"}}})),
        ("tolerates-all", merged(Test::cpu("9"), json!({"spec": {"tolerations": [{"operator": "Exists"}]}}))),
        (
            "affinity",
            json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["fast"]}]}],
            }}}}}),
        ),
        (
            "spread",
            merged(
                json!({"metadata": {"labels": {"app": "s"}}}),
                json!({"spec": {"topologySpreadConstraints": [{
                    "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "s"}},
                }]}}),
            ),
        ),
    ]
}

/// All nodes of the cluster are in the messages, so no other test may run.
#[test]
fn refusals_are_those_of_kube_scheduler_word_for_word() {
    let test = Test::alone("word-for-word");
    let size = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let _theirs = test.kube_scheduler("word-for-word-theirs");
    let _ours = test.scheduler();
    let twins = |name: &str, over: &Value| {
        let theirs = merged(over.clone(), json!({"spec": {"schedulerName": "word-for-word-theirs"}}));
        test.add_pod(&format!("{name}-ours"), over.clone());
        test.add_pod(&format!("{name}-theirs"), theirs);
    };
    let assert_same = |name: &str| {
        let (ours, theirs) = (test.refused(&format!("{name}-ours")), test.refused(&format!("{name}-theirs")));
        assert_eq!(ours, theirs, "pod {name}: ours is left, kube-scheduler's is right");
    };
    twins("no-node", &json!({}));
    assert_same("no-node");
    test.api().delete(&test.pods_path());

    test.add_node("small", json!({"status": {"capacity": size, "allocatable": size}}));
    test.add_node("tainted", json!({"spec": {"taints": [{"key": "gpu", "value": "a100", "effect": "NoSchedule"}]}}));
    test.add_node("cordoned", json!({"spec": {"unschedulable": true}}));
    test.add_pod(
        "takes-port",
        json!({"spec": {"schedulerName": "nobody", "nodeName": test.node_name("small"),
        "containers": [{"name": "c", "image": "busybox", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}}),
    );
    for (name, over) in hopeless() {
        twins(name, &over);
    }
    for (name, _) in hopeless() {
        assert_same(name);
    }
}
