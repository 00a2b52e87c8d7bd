//! Questions over the API and on a file, and what unusable ones say.
//! Leaves out who would move and why: see `aisched-sim`.

use super::{Request, WhatIfArgs, answer, offline, work_out};
use crate::client::Client;
use crate::client::testing::Server;
use crate::simulate::tests::examples;
use crate::tables::Style;
use aisched_core::event::Event;
use aisched_core::profile::Profile;
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_sim::what_if::Base;
use clap::Parser;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: WhatIfArgs,
}

fn args(words: &[&str]) -> WhatIfArgs {
    Cli::try_parse_from(["what-if"].iter().chain(words)).unwrap_or_else(|e| panic!("{e}")).args
}

#[tokio::test]
async fn running_scheduler_and_snapshot_file_answer_alike_in_shape() {
    let server = Server::start().await;
    let flags = server.flags();
    let mut words: Vec<&str> = flags.iter().map(String::as_str).collect();
    words.extend(["--token", "admin", "--set", "spec.plugins.storageTierAware.weight=0"]);
    let args = args(&words);
    let client = Client::new(&args.server).await.unwrap();
    let live = client.post("/api/v1/what-if", serde_json::to_string(&args.request().unwrap()).unwrap()).await.unwrap();
    let live: Value = serde_json::from_str(&live).unwrap();
    assert!(live["nRunning"].as_u64().unwrap() > 0, "{live}");
    let on_file = offline(&examples().join("gpus-and-affinity.yaml"), &args.request().unwrap()).unwrap();
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&live), keys(&on_file));
    assert!(answer::table(&live, Style::default()).unwrap().contains("running pod(s) were decided again"));
    let snapshot = client.get("/api/v1/snapshot").await.unwrap();
    assert!(snapshot.contains("kind: Node") && snapshot.contains("kind: AIStorageConfig"), "{snapshot}");
}

#[test]
fn unusable_questions_name_what_would_be_right() {
    let node = Event::NodeSet(Arc::new(Node { name: "n".into(), ..Node::default() }), Vec::new());
    let base = Base {
        objects: vec![node],
        config: Config::default(),
        profiles: vec![Profile::ai_storage("s")].into(),
        decisions: vec![],
        seed: 0,
    };
    for (request, expected) in [
        (json!({"removeNodes": ["x"]}), "removeNodes: \"x\": expected the name of a node that is there"),
        (json!({"cordon": ["x"]}), "cordon: \"x\": expected the name of a node that is there"),
        (json!({"set": {"plugins": 1}}), "set: \"plugins\": expected a path that begins with spec."),
        (json!({"set": {"spec.plugins.dataLocalityAware.weight": 11}}), "spec.plugins.dataLocalityAware.weight"),
        (json!({"set": {"spec.nonsense": 1}}), "nonsense"),
        (json!({"pods": "kind: Pod"}), "metadata.name"),
        (json!({"addNodes": "{apiVersion: v1, kind: Pod, metadata: {name: p}}"}), "addNodes: expected nodes"),
        (json!({"capacity": true}), "capacity: expected a pod"),
        (json!({"pods": "{apiVersion: v1, kind: Pod, metadata: {name: p}}", "replicas": 10_001}), "replicas: 10001: expected 1 to 10000"),
    ] {
        let question: Request = serde_json::from_value(request.clone()).unwrap();
        let fault = work_out(&base, &question, &|| true).unwrap_err();
        assert!(fault.contains(expected), "{request}: {fault}");
    }
    assert!(serde_json::from_value::<Request>(json!({"removeNode": []})).is_err());
}
