//! What can be wrong with what the scheduler is given: each gets a clear message, and none stops scheduling for the others.
//! Leaves out missing permissions (`permissions`) and configurations (`config`).

use aisched_e2e::{Fate, Proxy, Test};
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn broken_kubeconfig_ends_the_scheduler_with_file_and_problem_named() {
    let test = Test::new("bad-kubeconfig");
    for (name, text, problem) in [
        ("absent", None, "cannot be read: No such file"),
        ("no-yaml", Some("clusters: [\n - :"), "is no kubeconfig"),
        ("empty", Some("{}"), "names no current-context"),
    ] {
        let mut options = test.options();
        options.kubeconfig = test.file(&format!("{name}.kubeconfig"));
        if let Some(text) = text {
            std::fs::write(&options.kubeconfig, text).unwrap();
        }
        let mut scheduler = test.scheduler_with(&options, name);
        assert_eq!(scheduler.wait_for_end().code(), Some(1), "{name}");
        let said = scheduler.logged();
        let expected = format!("kubeconfig {}: ", options.kubeconfig.display());
        assert!(said.contains(&expected) && said.contains(problem), "{name}: {said}");
    }
}

#[test]
fn scheduler_waits_for_a_server_that_is_not_there_yet_and_says_so() {
    let test = Test::new("bad-server");
    test.add_node("a", json!({}));
    test.add_pod("p", json!({}));
    let mut proxy = Proxy::new(&test);
    let mut options = test.options();
    options.kubeconfig = proxy.kubeconfig.clone();
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    let line = scheduler.wait_for_line("the API server cannot be reached");
    assert!(line.contains("Connection refused"), "{line}");
    proxy.listen(Arc::new(|_| Fate::Passed));
    scheduler.wait_for_line("the API server is back");
    assert_eq!(test.placed("p"), "a");
}

#[test]
fn unusable_hints_of_a_pod_are_told_in_an_event_and_ignored() {
    let test = Test::new("bad-hints");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod(
        "p",
        Test::hints([
            ("io-pattern", "zigzag"),
            ("required-iops", "-5"),
            ("required-storage-tier", "tape"),
            ("workload-stage", "lunch"),
            ("strict-storage-tier", "perhaps"),
        ]),
    );
    assert_eq!(test.placed("p"), "a");
    for (hint, value, right) in [
        ("io-pattern", "zigzag", "sequential, random"),
        ("required-iops", "-5", "a whole number"),
        ("required-storage-tier", "tape", "nvme"),
        ("workload-stage", "lunch", "training"),
        ("strict-storage-tier", "perhaps", "true, false"),
    ] {
        let key = format!("ai-storage.keti/{hint}");
        let event = test.event(&test.name, "p", |e| e["reason"] == "InvalidStorageHint" && e["note"].as_str().unwrap().contains(&key));
        let note = event["note"].as_str().unwrap();
        assert_eq!(event["type"], "Warning");
        assert!(note.contains(value) && note.contains(right), "{note}");
    }
}

#[test]
fn unusable_facts_of_a_node_are_told_in_an_event_on_it_and_ignored() {
    let test = Test::new("bad-facts");
    let _scheduler = test.scheduler();
    test.add_node(
        "a",
        json!({"metadata": {
            "labels": {"layer": "moon"},
            "annotations": {"ai-storage.keti/available-iops": "lots", "ai-storage.keti/data-temperature": "mild"},
        }}),
    );
    for (key, value, right) in [
        ("layer", "moon", "compute, storage, orchestration"),
        ("ai-storage.keti/available-iops", "lots", "a whole number"),
        ("ai-storage.keti/data-temperature", "mild", "hot, warm, cold"),
    ] {
        let mine = |e: &Value| e["reportingController"] == test.name && e["note"].as_str().is_some_and(|n| n.contains(key));
        let event = test.event("default", &test.node_name("a"), |e| e["reason"] == "InvalidStorageFact" && mine(e));
        let note = event["note"].as_str().unwrap();
        assert!(note.contains(value) && note.contains(right), "{note}");
    }
    // Where an operator looks for it.
    let described = test.cluster.shell(&format!("kubectl describe node {}", test.node_name("a")));
    assert!(described.contains("InvalidStorageFact"), "{described}");
    test.add_pod("p", json!({}));
    assert_eq!(test.placed("p"), "a");
}

#[test]
fn pod_with_ten_thousand_labels_is_placed() {
    let test = Test::new("many-labels");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    let labels: Value = (0..10_000).map(|i| (format!("example.com/label-{i}"), Value::from(format!("value-{i}")))).collect();
    test.add_pod("many", json!({"metadata": {"labels": labels}}));
    test.add_pod("few", json!({}));
    assert_eq!(test.placed("few"), "a");
    assert_eq!(test.placed("many"), "a");
}

#[test]
fn node_without_allocatable_takes_no_pod_and_disturbs_none() {
    let test = Test::new("no-allocatable");
    let api = test.api();
    let labels = json!({"e2e-test": test.name, "empty": "true"});
    api.create("/api/v1/nodes", &json!({"metadata": {"name": test.node_name("empty"), "labels": labels}}));
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("p", json!({}));
    assert_eq!(test.placed("p"), "a");
    test.add_pod("on-empty", json!({"spec": {"nodeSelector": {"empty": "true"}}}));
    let (_, message) = test.refused("on-empty");
    assert!(message.contains("1 Insufficient cpu") && message.contains("1 Too many pods"), "{message}");
    // As soon as the kubelet reports what there is, the pod goes.
    let size = json!({"cpu": "1", "memory": "1Gi", "pods": "10"});
    api.patch(&format!("{}/status", test.node_path("empty")), &json!({"status": {"capacity": size, "allocatable": size}}));
    assert_eq!(test.placed("on-empty"), "empty");
}
