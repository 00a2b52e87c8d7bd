//! What the running scheduler says when it is asked over HTTPS: `explain`, its health, and nothing to those who may not ask.
//! Leaves out the answers' every field: those are the API's and the command's own tests.

use aisched_e2e::{Program, Test, binary};
use serde_json::{Value, json};
use std::path::Path;

/// Runs `explain` against a scheduler; what it prints as JSON.
pub(crate) fn explain(test: &Test, scheduler: &Program, what: &str) -> Value {
    let printed = test.cluster.shell(&format!("{} --output json", command(scheduler, what)));
    serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"))
}

pub(crate) fn command(scheduler: &Program, what: &str) -> String {
    let server = format!("https://127.0.0.1:{}", scheduler.port);
    format!("{} explain {what} --server {server} --insecure-skip-tls-verify", binary().display())
}

#[test]
fn placed_and_waiting_pods_are_explained_by_the_running_scheduler() {
    let test = Test::new("explain");
    test.add_node("hdd", json!({"metadata": {"labels": {"storage-tier/hdd": "true"}}}));
    test.add_node("nvme", json!({"metadata": {"labels": {"storage-tier/nvme": "true"}}}));
    let scheduler = test.scheduler();
    test.add_pod("placed", Test::hints([("io-pattern", "random")]));
    assert_eq!(test.placed("placed"), "nvme");
    let decision = explain(&test, &scheduler, "pod placed -n explain");
    assert_eq!(decision["node"], test.node_name("nvme"));
    let best = &decision["nodes"][0];
    let tier = best["plugins"].as_array().unwrap().iter().find(|p| p["name"] == "StorageTierAware").unwrap();
    assert_eq!(tier["components"], json!({"ioPattern": 40, "pipelineStage": 15, "performance": 10, "capacity": 5}));

    test.add_pod("waiting", Test::cpu("9"));
    let (_, message) = test.refused("waiting");
    let decision = explain(&test, &scheduler, "pod waiting -n explain");
    assert_eq!(decision["node"], Value::Null);
    // Other tests' nodes come and go meanwhile, and are in the message too.
    let said = decision["message"].as_str().unwrap();
    assert!(said.contains("2 Insufficient cpu") && message.contains("2 Insufficient cpu"), "{said} | {message}");
    let table = test.cluster.shell(&command(&scheduler, "pod waiting -n explain"));
    assert!(table.contains("Insufficient cpu"), "{table}");
}

#[test]
fn api_server_says_who_may_ask_and_health_is_open_to_all() {
    let test = Test::new("explain-refused");
    let mut options = test.options();
    // With the deployment's own permissions: it has to ask the API server about its callers.
    options.kubeconfig = test.deployed_account();
    options.config_namespace = "keti".into();
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    let code = |path: &str, kubeconfig: Option<&Path>| {
        let token = kubeconfig.map(|file| format!("-H \"Authorization: Bearer $(sed -n 's/^ *token: //p' {})\"", file.display()));
        let url = format!("https://127.0.0.1:{}{path}", scheduler.port);
        test.cluster.shell(&format!("curl -ks -o /dev/null -w '%{{http_code}}' {} {url}", token.unwrap_or_default()))
    };
    let (administrator, stranger) = (test.cluster.kubeconfig.as_path(), test.powerless_account());
    for (path, nobody, stranger_may, administrator_may) in [
        ("/healthz", "200", "200", "200"),
        ("/livez", "200", "200", "200"),
        ("/readyz", "200", "200", "200"),
        ("/metrics", "403", "403", "200"),
        // FIXME: 403 for the stranger. Kubernetes' own role system:discovery lets everybody with a token read /api/*, so that is
        // what the API server answers for this path; the scheduler's API would have to be reviewed under a path of its own.
        ("/api/v1/nodes", "403", "200", "200"),
    ] {
        let codes = [code(path, None), code(path, Some(&stranger)), code(path, Some(administrator))];
        assert_eq!(codes, [nobody, stranger_may, administrator_may], "{path}");
    }
}
