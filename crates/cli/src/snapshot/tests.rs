//! A snapshot is as good as the cluster: the simulator decides on both alike.
//! Leaves out the manifests' own round trip: see `aisched-kube`.

use super::write;
use crate::simulate::tests::{examples, run};
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::Event;
use aisched_core::profile::Profile;
use aisched_kube::crd::to_config;
use aisched_kube::documents::{Object, parse_documents, settle};
use serde_json::Value;
use std::sync::Arc;

/// What an engine that was told of these manifests saves.
fn saved(text: &str) -> String {
    let options = EngineOptions { seed: 5, ..EngineOptions::default() };
    let mut engine = Engine::new(vec![Profile::ai_storage("ai-storage-scheduler")], options);
    let (configs, objects): (Vec<_>, Vec<_>) =
        parse_documents(text, "t").unwrap().into_iter().partition(|object| matches!(object, Object::Config(_)));
    for config in configs {
        let Object::Config(config) = config else { continue };
        engine.handle(0, Event::Configured(Arc::new(to_config(&config).unwrap())));
    }
    settle(objects).unwrap().into_iter().filter_map(Object::into_event).for_each(|event| engine.handle(0, event));
    write(&engine.view(0), "keti/default")
}

/// Decisions by pod, without what counts configurations.
fn decisions(file: &str) -> Vec<Value> {
    let (text, notes, done) = run(&[file, "--output", "json", "--seed", "5"]);
    assert!(done, "{notes}");
    let decision = |line: &str| -> Value {
        let mut decision: Value = serde_json::from_str(line).unwrap();
        decision["configGeneration"] = Value::Null;
        decision
    };
    text.lines().map(decision).collect()
}

#[test]
fn simulation_of_a_snapshot_decides_as_the_cluster_would() {
    for name in ["gpus-and-affinity.yaml", "preprocessing-on-four-tiers.yaml"] {
        let original = examples().join(name);
        let (dir, text) = (tempfile::tempdir().unwrap(), saved(&std::fs::read_to_string(&original).unwrap()));
        let file = dir.path().join("snapshot.yaml");
        std::fs::write(&file, &text).unwrap();
        assert!(text.contains("simulate FILE --seed 5"), "{text}");
        let (expected, found) = (decisions(&original.display().to_string()), decisions(&file.display().to_string()));
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "{name}\n{text}");
    }
}
