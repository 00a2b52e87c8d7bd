//! APOLLO, played by the development policy server: placements follow its answers, and the log says where each policy came from.
//! Leaves out hostile and slow servers: those are the client's tests.

use crate::binding::{allow_binds, await_refusal, refuse_binds};
use aisched_e2e::{Program, Test, free_port};
use serde_json::{Value, json};

const SUCCESS: &str = "[APOLLO-DataSource] SUCCESS - Policy retrieved from APOLLO gRPC";
const CACHE: &str = "[APOLLO-DataSource] Policy retrieved from CACHE";
const FALLBACK: &str = "[APOLLO-DataSource] FALLBACK - Connection failed, will use Pod labels/annotations";

/// Rules for pods with a label: data and cache on node `far`, and nowhere but there.
fn rules(test: &Test) -> String {
    format!(
        "rules:\n- name: data\n  match: {{labels: {{policy: data-is-far}}}}\n  answer:\n    decision: PREFER\n    \
        workload_signature: {{data_locations: [{0}], cached_on_nodes: [{0}]}}\n\
        - name: required\n  match: {{labels: {{policy: far-only}}}}\n  answer:\n    decision: REQUIRE\n    \
        node_preferences: [{{node_name: {0}, score: 100}}]\n",
        test.node_name("far")
    )
}

/// A test with the policy server, a node that pods prefer by themselves and one that the policy prefers.
fn start(name: &str) -> (Test, Program, Program) {
    start_with(name, rules)
}

fn start_with(name: &str, rules: impl FnOnce(&Test) -> String) -> (Test, Program, Program) {
    let test = Test::new(name);
    test.add_node("near", json!({"metadata": {"labels": {"rack": "r1"}}}));
    test.add_node("far", json!({"metadata": {"labels": {"rack": "r2"}}}));
    let port = free_port();
    let server = test.policy_server(&rules(&test), port);
    let mut options = test.options();
    options.apollo_endpoint = format!("127.0.0.1:{port}");
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    (test, server, scheduler)
}

/// By itself it goes to `near`, whose rack it prefers: 20 points of topology. Data and cache on `far` are 20 + 15 points more there.
fn pod(policy: &str) -> Value {
    json!({"metadata": {"labels": {"policy": policy}, "annotations": {"ai-storage.keti/preferred-rack": "r1"}}})
}

#[test]
fn placement_follows_the_policy_and_its_result_is_reported() {
    let (test, mut server, mut scheduler) = start("apollo-policy");
    for (name, policy, node) in [("by-itself", "none", "near"), ("data", "data-is-far", "far"), ("required", "far-only", "far")] {
        test.add_pod(name, pod(policy));
        assert_eq!(test.placed(name), node, "{name}");
    }
    for name in ["data", "required"] {
        scheduler.wait_for_line(&format!("{SUCCESS} namespace=apollo-policy pod={name}"));
        let line = server.wait_for_line(&format!("report on apollo-policy/{name}: "));
        assert!(line.contains(&format!("bound to {}", test.node_name("far"))), "{line}");
    }
}

#[test]
fn log_says_whether_a_policy_came_from_the_server_the_cache_or_nowhere() {
    let (test, server, mut scheduler) = start("apollo-sources");
    let far = test.node_name("far");
    test.add_pod("probe", json!({"spec": {"schedulerName": "nobody"}}));
    refuse_binds(test.api(), &test.name, &far, "not yet");
    await_refusal(test.api(), &test.pod_path("probe"), &far);
    // Its bind is refused, so it comes back into the queue, with an answer that is still fresh.
    test.add_pod("twice", pod("data-is-far"));
    scheduler.wait_for_line(&format!("{SUCCESS} namespace=apollo-sources pod=twice"));
    server.kill();
    scheduler.wait_for_line(&format!("{CACHE} namespace=apollo-sources pod=twice"));
    allow_binds(test.api(), &test.name);
    assert_eq!(test.placed("twice"), "far");
    test.add_pod("nowhere", pod("data-is-far"));
    assert_eq!(test.placed("nowhere"), "near");
    scheduler.wait_for_line(&format!("{FALLBACK} namespace=apollo-sources pod=nowhere"));
}

/// Rules that hold pods, by what their label `policy` says; and a constraint to the rack of `far`.
const HOLDING: &str = "rules:
- {name: delayed, match: {labels: {policy: delay}}, answer: {decision: DELAY, reason: the data is being copied}}
- {name: rejected, match: {labels: {policy: reject}}, answer: {decision: REJECT, reason: the quota is used up}}
- name: constrained
  match: {labels: {policy: rack}}
  answer: {constraints: [{constraint_type: node_selector, key: rack, operator: In, values: [r2]}]}
- name: nowhere
  match: {labels: {policy: nowhere}}
  answer: {constraints: [{constraint_type: node_selector, key: nowhere, operator: Exists}]}
";

#[test]
fn held_pods_say_why_and_go_when_the_policy_lets_them() {
    let (test, server, mut scheduler) = start_with("apollo-holds", |_| HOLDING.to_owned());
    test.configure(&json!({"apollo": {"cacheExpirySeconds": 1, "maxDelaySeconds": 4}}));
    assert_eq!(test.config_accepted().0, "True");

    test.add_pod("constrained", pod("rack"));
    assert_eq!(test.placed("constrained"), "far", "by itself it would go to near");
    test.add_pod("delayed", pod("delay"));
    assert_eq!(test.pod_event("delayed", "PolicyDelayed"), "held back by the APOLLO policy for at most 4 s: the data is being copied");
    assert_eq!(test.placed("delayed"), "near", "in the end a DELAY counts as ALLOW");

    let message = "rejected by the APOLLO policy: the quota is used up";
    test.add_pod("rejected", pod("reject"));
    assert_eq!(test.refused("rejected"), ("Unschedulable".into(), message.into()));
    assert_eq!(test.pod_event("rejected", "FailedScheduling"), message);
    test.add_pod("nowhere", pod("nowhere"));
    assert!(test.refused("nowhere").1.contains(" node(s) were not allowed by the APOLLO policy"), "{:?}", test.refused("nowhere"));

    // Nothing happens in the cluster: only being asked about again can help them.
    std::fs::write(test.file("rules.yaml"), HOLDING.replace("policy: reject", "policy: nobody").replace("policy: nowhere", "policy: no"))
        .unwrap();
    for name in ["rejected", "nowhere"] {
        assert_eq!(test.placed(name), "near", "{name}");
        scheduler.wait_for_line(&format!("{FALLBACK} namespace=apollo-holds pod={name}"));
    }
    server.kill();
}
