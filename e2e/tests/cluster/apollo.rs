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
