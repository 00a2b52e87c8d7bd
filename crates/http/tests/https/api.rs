//! What the API says of decisions, nodes and the scheduler's state.
//! Leaves out the decision's own shape: that is the core's.

use crate::world::{World, engine, pod};
use aisched_core::event::Event;
use aisched_http::AttemptResult;
use aisched_model::storage_facts::Layer;
use aisched_model::workload::Tier;
use serde_json::{Value, json};
use std::time::Duration;

fn pods(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|d| d["pod"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn decisions_are_listed_newest_first_by_namespace_and_limit() {
    let world = World::with(engine()).await;
    for (query, expected) in [
        ("", &["other/elsewhere", "default/waiting", "default/placed"][..]),
        ("?namespace=default", &["default/waiting", "default/placed"]),
        ("?namespace=default&limit=1", &["default/waiting"]),
        ("?namespace=", &["other/elsewhere", "default/waiting", "default/placed"]),
        ("?limit=2", &["other/elsewhere", "default/waiting"]),
        ("?namespace=nowhere", &[]),
    ] {
        let list = world.admin(&format!("/api/v1/decisions{query}")).await.json();
        assert_eq!(pods(&list), expected, "{query}");
    }
}

#[tokio::test]
async fn unusable_parameters_are_named() {
    let world = World::with(engine()).await;
    for (query, expected) in [
        ("limit=0", "limit: \"0\": expected a whole number from 1 to 1000"),
        ("limit=1001", "limit: \"1001\": expected a whole number from 1 to 1000"),
        ("limit=ten", "limit: \"ten\": expected a whole number from 1 to 1000"),
        ("limits=1", "limits: not a query parameter; namespace and limit are"),
    ] {
        assert_eq!(world.admin(&format!("/api/v1/decisions?{query}")).await.error(), (400, expected.into()));
    }
}

#[tokio::test]
async fn decision_has_the_shape_of_the_product() {
    let world = World::with(engine()).await;
    let placed = world.admin("/api/v1/decisions/default/placed").await.json();
    let node = placed["node"].as_str().unwrap();
    assert_eq!(placed["message"], Value::Null);
    assert_eq!(placed["policy"], json!({"source": "FALLBACK", "requestId": null}));
    let chosen = &placed["nodes"].as_array().unwrap()[0];
    assert_eq!((chosen["node"].as_str().unwrap(), &chosen["feasible"]), (node, &json!(true)));
    assert!(chosen["plugins"][0]["components"].is_object(), "{chosen}");
}

#[tokio::test]
async fn waiting_pod_is_explained_on_the_cluster_as_it_is() {
    let mut engine = engine();
    let waiting = World::with(engine).await.admin("/api/v1/decisions/default/waiting").await.json();
    assert_eq!(waiting["node"], Value::Null);
    assert_eq!(waiting["message"], "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
    let change =
        json!({"kind": "label", "key": "kubernetes.io/hostname", "value": "node-z", "text": "label it kubernetes.io/hostname=node-z"});
    let cures = json!([{"node": "node-a", "changes": [change]}, {"node": "node-b", "changes": [change]}]);
    assert_eq!(waiting["cures"], cures);
    engine = crate::world::engine();
    let labels = [("kubernetes.io/hostname", "node-z")].into();
    let node = aisched_model::node::Node { name: "node-z".into(), labels, ..Default::default() };
    engine.handle(1, Event::NodeSet(node.into(), Vec::new()));
    let waiting = World::with(engine).await.admin("/api/v1/decisions/default/waiting").await.json();
    assert_eq!(waiting["node"], Value::Null);
    assert_eq!(waiting["message"], "waits for its next attempt; as the cluster is now, it would go to node-z");
}

#[tokio::test]
async fn new_pod_of_an_old_name_is_not_taken_for_the_old_one() {
    let mut engine = engine();
    let old = pod("default", "placed", "ai-storage-scheduler", None, None);
    engine.handle(1, Event::PodGone((&*old).into()));
    let mut new = aisched_model::pod::Pod::clone(&pod("default", "placed", "ai-storage-scheduler", None, Some("node-z")));
    new.uid = "new".into();
    engine.handle(1, Event::PodSet(new.into()));
    let decision = World::with(engine).await.admin("/api/v1/decisions/default/placed").await.json();
    assert_eq!((&decision["uid"], &decision["node"]), (&json!("new"), &Value::Null));
}

#[tokio::test]
async fn pod_without_a_decision_is_told_apart() {
    let world = World::with(engine()).await;
    for (pod, expected) in [
        ("default/x", "no decision on default/x is known: check namespace and name with `kubectl get pod x -n default`"),
        ("kube-system/foreign", "no decision on kube-system/foreign is known: it is on node node-a, placed by another scheduler"),
    ] {
        let (status, error) = world.admin(&format!("/api/v1/decisions/{pod}")).await.error();
        assert_eq!(status, 404);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn node_shows_its_facts_and_what_is_left() {
    let mut engine = engine();
    let mut node = aisched_model::node::Node { name: "node-c".into(), ..Default::default() };
    node.labels = [("storage-tier/nvme", "true")].into();
    node.annotations = [("ai-storage.keti/available-iops", "5000")].into();
    node.storage.tiers.insert(Tier::Nvme);
    node.storage.layer = Some(Layer::Storage);
    (node.storage.iops, node.storage.memory_gb, node.storage.read_cache) = (Some(5000), 64, true);
    node.storage.cached_datasets = vec!["imagenet".into()];
    engine.handle(1, Event::NodeSet(node.into(), Vec::new()));
    let mut hungry = aisched_model::pod::Pod::clone(&pod("default", "hungry", "ai-storage-scheduler", Some("node-c"), None));
    let mut spec = (*hungry.spec).clone();
    spec.annotations = [("ai-storage.keti/required-iops", "1500")].into();
    hungry.spec = spec.into();
    engine.handle(1, Event::PodSet(hungry.into()));
    let nodes = World::with(engine).await.admin("/api/v1/nodes").await.json();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    let expected = json!({
        "name": "node-c", "tiers": ["nvme"], "layer": "storage", "zone": null, "rack": null,
        "iops": 5000, "throughputMbps": null, "capacityGb": null,
        "remaining": {"iops": 3500, "throughputMbps": null, "capacityGb": null},
        "cachedDatasets": ["imagenet"], "temperature": null, "cores": 0, "memoryGb": 64,
        "cpuRich": false, "memoryRich": false, "readCache": true, "writeBuffer": false, "largeIoBuffer": false, "csdCompute": false,
        "ioContention": false, "nPods": 1, "agesSeconds": {},
        "sources": {
            "tiers": "label storage-tier/nvme", "layer": "label layer", "iops": "annotation ai-storage.keti/available-iops",
            "cachedDatasets": "annotation ai-storage.keti/cached-datasets", "cores": "status.capacity", "memoryGb": "status.allocatable",
            "readCache": "label storage-capability/read-cache",
        },
    });
    assert_eq!(nodes["items"][2], expected);
}

#[tokio::test]
async fn status_counts_what_there_is() {
    let status = World::with(engine()).await.admin("/api/v1/status").await.json();
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "synced": true, "configGeneration": 0,
        "queue": {"active": 0, "backoff": 0, "unschedulable": 1, "gated": 0},
        "nWaiting": 1, "nNodes": 2, "nPods": 3, "leading": true, "leader": null, "stream": {"readers": 0, "missed": 0},
        "apollo": {"calls": 3},
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn metrics_show_counts_and_the_engine_as_it_is() {
    let world = World::with(engine()).await;
    world.metrics.attempt("ai-storage-scheduler", AttemptResult::Unschedulable, Duration::from_millis(1));
    let answer = world.admin("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "scheduler_schedule_attempts_total{result=\"unschedulable\",profile=\"ai-storage-scheduler\"} 1",
        "scheduler_pending_pods{queue=\"unschedulable\"} 1",
        "scheduler_cache_size{type=\"nodes\"} 2",
        "ai_storage_events_dropped_total 7",
    ] {
        assert!(answer.body.lines().any(|l| l == line), "{line} is not in\n{}", answer.body);
    }
}
