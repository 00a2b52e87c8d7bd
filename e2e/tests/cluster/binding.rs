//! Binds that fail: the pod is tried again, elsewhere when its node is gone, and nobody's room is lost.
//! Refusals are real: an admission policy of the API server makes them.

use aisched_e2e::{Api, Fate, Proxy, Test, eventually};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Has the API server refuse binds to a node of a test, soon.
pub(crate) fn refuse_binds(api: &Api, test: &str, node: &str, why: &str) {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]});
    api.create(
        &format!("{group}/validatingadmissionpolicies"),
        &json!({"metadata": {"name": test}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": format!("object.target.name != '{node}'"), "message": why}],
        }}),
    );
    api.create(
        &format!("{group}/validatingadmissionpolicybindings"),
        &json!({"metadata": {"name": test}, "spec": {
            "policyName": test, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test}}},
        }}),
    );
}

/// Takes the refusal back.
pub(crate) fn allow_binds(api: &Api, test: &str) {
    api.delete(&format!("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{test}"));
}

/// Waits until the API server would refuse to bind a pod to a node; its words.
pub(crate) fn await_refusal(api: &Api, pod_path: &str, node: &str) -> String {
    let binding = json!({"metadata": {"name": pod_path.rsplit('/').next()}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
    eventually("the bind would be refused", || match api.try_create(&format!("{pod_path}/binding?dryRun=All"), &binding) {
        Ok(_) => Err("it would not".into()),
        Err(refusal) => Ok(refusal.message),
    })
}

/// A node that is better than the test's others for a pod that reads at random.
fn nvme() -> Value {
    json!({"metadata": {"labels": {"storage-tier/nvme": "true"}}})
}

#[test]
fn pod_whose_bind_is_refused_goes_elsewhere_when_the_node_is_gone() {
    let test = Test::new("bind-refused");
    test.add_node("best", nvme());
    test.add_node("other", json!({}));
    test.add_pod("p", Test::hints([("io-pattern", "random")]));
    refuse_binds(test.api(), &test.name, &test.node_name("best"), "the node is being repaired");
    let refusal = await_refusal(test.api(), &test.pod_path("p"), &test.node_name("best"));
    let _scheduler = test.scheduler();
    let (reason, message) = test.refused("p");
    assert_eq!(reason, "SchedulerError");
    assert_eq!(message, format!("running Bind plugin \"DefaultBinder\": {refusal}"));
    assert_eq!(test.pod_event("p", "FailedScheduling"), message);
    test.api().delete(&test.node_path("best"));
    assert_eq!(test.placed("p"), "other");
}

#[test]
fn room_of_a_refused_bind_is_free_for_others() {
    let test = Test::new("bind-refused-room");
    test.add_node("only", json!({}));
    test.add_pod("refused", Test::cpu("8"));
    refuse_binds(test.api(), &test.name, &test.node_name("only"), "the node is being repaired");
    await_refusal(test.api(), &test.pod_path("refused"), &test.node_name("only"));
    let _scheduler = test.scheduler();
    assert_eq!(test.refused("refused").0, "SchedulerError");
    allow_binds(test.api(), &test.name);
    test.api().delete(&test.pod_path("refused"));
    test.add_pod("next", Test::cpu("8"));
    assert_eq!(test.placed("next"), "only");
}

#[test]
fn pod_whose_node_is_deleted_between_decision_and_bind_goes_elsewhere() {
    let test = Test::new("node-deleted");
    test.add_node("best", nvme());
    test.add_node("other", json!({}));
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let mut proxy = Proxy::new(&test);
    let (api, name, node, seen) = (test.api().clone(), test.name.clone(), test.node_name("best"), refusals.clone());
    let (node_path, pod_path) = (test.node_path("best"), test.pod_path("p"));
    proxy.listen(Arc::new(move |asked| {
        if asked.method == "POST" && asked.path.ends_with("/binding") && asked.body.contains(&node) && seen.lock().unwrap().is_empty() {
            // The decision has been made, the bind is on its way: now the node goes, and the API server knows.
            api.delete(&node_path);
            refuse_binds(&api, &name, &node, "the node is gone");
            let refusal = await_refusal(&api, &pod_path, &node);
            seen.lock().unwrap().push(refusal);
        }
        Fate::Passed
    }));
    let mut options = test.options();
    options.kubeconfig = proxy.kubeconfig.clone();
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    test.add_pod("p", Test::hints([("io-pattern", "random")]));
    assert_eq!(test.placed("p"), "other");
    let refusal = refusals.lock().unwrap().concat();
    assert!(refusal.contains("the node is gone"), "the bind to the node that went was not seen: {refusal}");
    assert_eq!(test.pod_event("p", "FailedScheduling"), format!("running Bind plugin \"DefaultBinder\": {refusal}"));
}
