//! An extender as an operator has one: it filters, scores, binds and has a say in preemption, on the real API server.
//! Leaves out its faults and the forms of its answers: `aisched-kube` tests those.

use aisched_e2e::{Answers, Extender, Options, Program, Test, eventually, merged};
use serde_json::{Value, json};
use std::sync::Arc;

/// Starts the test's scheduler with an extender of these settings.
fn scheduler(test: &Test, extender: &Extender, settings: &Value) -> Program {
    let extender = merged(json!({"urlPrefix": extender.url, "httpTimeout": "30s"}), settings.clone());
    let profiles = json!([{"schedulerName": test.name}]);
    let config = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": false}, "profiles": profiles, "extenders": [extender],
    });
    let file = test.file("config.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut scheduler = test.scheduler_with(&Options { config: Some(file), ..test.options() }, "scheduler");
    scheduler.wait_until_ready();
    scheduler
}

fn names(question: &Value) -> Vec<String> {
    let items = question["Nodes"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn extender_filters_scores_and_binds() {
    let test = Test::new("extender");
    for name in ["good", "better", "bad"] {
        test.add_node(name, json!({"metadata": {"labels": {"of": name}}}));
    }
    let api = test.api().clone();
    let answers: Answers = Arc::new(move |verb, with| match verb {
        "filter" => {
            let (left, bad): (Vec<Value>, Vec<Value>) =
                with["Nodes"]["items"].as_array().unwrap().iter().cloned().partition(|node| node["metadata"]["labels"]["of"] != "bad");
            let failed: serde_json::Map<String, Value> =
                bad.iter().map(|node| (node["metadata"]["name"].as_str().unwrap().to_owned(), json!("it is bad"))).collect();
            let left = if with["Pod"]["metadata"]["name"] == "nowhere" { Vec::new() } else { left };
            json!({"Nodes": {"items": left}, "FailedNodes": failed})
        }
        "prioritize" => {
            names(with).iter().map(|name| json!({"Host": name, "Score": if name.ends_with("-better") { 10 } else { 0 }})).collect()
        }
        "bind" => {
            let (namespace, name) = (with["PodNamespace"].as_str().unwrap(), with["PodName"].as_str().unwrap());
            let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": with["Node"]}});
            let bound = api.try_create(&format!("/api/v1/namespaces/{namespace}/pods/{name}/binding"), &binding);
            json!({"Error": bound.err().map(|refusal| refusal.message)})
        }
        other => panic!("{other}"),
    });
    let extender = Extender::start(answers);
    let verbs = json!({"filterVerb": "filter", "prioritizeVerb": "prioritize", "weight": 10, "bindVerb": "bind"});
    let _scheduler = scheduler(&test, &extender, &verbs);
    test.add_pod("p", json!({}));
    assert_eq!(test.placed("p"), "better");
    assert_eq!(test.pod_event("p", "Scheduled"), format!("Successfully assigned extender/p to {}", test.node_name("better")));
    let asked = &extender.asked("filter")[0];
    assert_eq!(asked["Pod"]["spec"]["containers"][0]["name"], json!("c"), "the pod is whole");
    assert_eq!(names(asked).len(), 3);
    assert!(asked["Nodes"]["items"][0]["status"]["conditions"].is_array(), "nodes are whole");
    assert_eq!(extender.asked("bind").len(), 1);

    test.add_pod("nowhere", json!({}));
    let (reason, message) = test.refused("nowhere");
    assert_eq!(reason, "Unschedulable");
    assert!(message.contains(": 1 it is bad") || message.contains(", 1 it is bad"), "{message}");
}

#[test]
fn extender_chooses_the_victim() {
    let test = Test::new("extender-preempts");
    for name in ["a", "b"] {
        test.add_node(name, json!({}));
    }
    let class = |name: &str, value: i32| {
        let whole = test.node_name(name);
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": whole}, "value": value});
        test.api().create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
        merged(Test::cpu("8"), json!({"spec": {"priorityClassName": whole}}))
    };
    let (cheap, dear, high) = (class("cheap", 1), class("dear", 2), class("high", 10));
    // Left to itself, the scheduler would take the cheap one.
    let dear_node = test.node_name("b");
    let answers: Answers = Arc::new(move |_, with| {
        let victims = &with["NodeNameToMetaVictims"][&dear_node];
        json!({"NodeNameToMetaVictims": {&dear_node: victims}})
    });
    let extender = Extender::start(answers);
    let _scheduler = scheduler(&test, &extender, &json!({"preemptVerb": "preempt", "nodeCacheCapable": true}));
    let on = |node: &str, pod: Value| merged(pod, json!({"spec": {"nodeName": test.node_name(node)}}));
    test.add_pod("cheap", on("a", cheap));
    test.add_pod("dear", on("b", dear));
    test.add_pod("p", high);
    assert_eq!(test.placed("p"), "b");
    eventually("the victim is gone", || match test.api().find(&test.pod_path("dear")) {
        None => Ok(()),
        Some(pod) => Err(pod["metadata"].to_string()),
    });
    assert!(test.api().get(&test.pod_path("cheap"))["metadata"].get("deletionTimestamp").is_none());
    let asked = &extender.asked("preempt")[0]["NodeNameToMetaVictims"];
    assert_eq!(asked.as_object().unwrap().len(), 2);
}
