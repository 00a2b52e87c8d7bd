//! The manager against a server that a test scripts.

use super::*;
use crate::events::RecorderOptions;
use crate::testing::{Answer, Mock, Seen};
use crate::under_way::UnderWay;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

fn object(version: &str, generation: i64, spec: &Value) -> Value {
    json!({"kind": "AIStorageConfig", "apiVersion": "ai-storage.keti/v1",
        "metadata": {"name": "default", "namespace": "keti", "uid": "u", "resourceVersion": version, "generation": generation}, "spec": spec})
}

fn weight(weight: i64) -> Value {
    json!({"plugins": {"dataLocalityAware": {"weight": weight}}})
}

struct Managed {
    mock: Mock,
    events: UnboundedReceiver<Event>,
    health: Health,
    _tasks: JoinSet<()>,
}

async fn managed(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Managed {
    let mock = Mock::start(move |seen| if seen.method == "GET" { script(seen) } else { Answer::Json(200, json!({})) }).await;
    let (sender, events) = unbounded_channel();
    let (health, gate) = (Health::default(), Arc::new(Gate::new([AWAITED], sender.clone())));
    let recorder = Recorder::start(
        &mock.client(),
        &health,
        &UnderWay::default(),
        &RecorderOptions { hostname: "h".into(), ..RecorderOptions::default() },
    );
    let manager = ConfigManager::new(mock.client(), ConfigOptions::default(), sender, recorder, health.clone(), gate);
    let mut tasks = JoinSet::new();
    tasks.spawn(manager.run());
    Managed { mock, events, health, _tasks: tasks }
}

impl Managed {
    /// The next event: generation and weight of a configuration, or `synced`.
    async fn next(&mut self) -> String {
        match self.events.recv().await.unwrap() {
            Event::Configured(config) => format!("{} weight {}", config.generation, config.plugins.data_locality_aware.weight),
            Event::Synced => "synced".into(),
            other => format!("{other:?}"),
        }
    }

    /// Waits for a write of this method on a path that ends so.
    async fn written(&self, method: &str, end: &str) -> Seen {
        for n in 1.. {
            let seen = self.mock.seen_at_least(n).await.swap_remove(n - 1);
            if seen.method == method && seen.path.ends_with(end) {
                return seen;
            }
        }
        unreachable!()
    }
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

#[tokio::test]
async fn changes_apply_and_deletion_brings_the_defaults_back() {
    let mut managed = managed(|seen| {
        if !seen.is_watch() {
            return Answer::list("1", json!([object("1", 1, &weight(7))]));
        }
        let mut accepted = object("2", 1, &weight(7));
        accepted["status"] = json!({"conditions": [{"type": "Accepted", "status": "True"}]});
        Answer::watch(vec![
            event("MODIFIED", &accepted), // our own patch of the status is no news
            event("MODIFIED", &object("3", 2, &weight(0))),
            event("DELETED", &object("4", 2, &weight(0))),
        ])
    })
    .await;
    for expected in ["1 weight 7", "synced", "2 weight 0", "3 weight 3"] {
        assert_eq!(managed.next().await, expected);
    }
    let patch = managed.written("PATCH", "/namespaces/keti/aistorageconfigs/default/status").await;
    let condition = &patch.body["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"], &condition["reason"]), (&json!("Accepted"), &json!("True"), &json!("Applied")));
    assert_eq!(condition["observedGeneration"], 1);
}

#[tokio::test]
async fn invalid_object_leaves_the_last_good_one_in_force_and_names_every_fault() {
    let mut managed = managed(|seen| {
        if !seen.is_watch() {
            return Answer::list("1", json!([object("1", 1, &weight(7))]));
        }
        let bad = json!({"plugins": {"dataLocalityAware": {"weight": 99}, "kueueAware": {"enabled": 1}}});
        Answer::watch(vec![event("MODIFIED", &object("2", 2, &bad)), event("MODIFIED", &object("3", 3, &weight(8)))])
    })
    .await;
    for expected in ["1 weight 7", "synced", "2 weight 8"] {
        assert_eq!(managed.next().await, expected);
    }
    let event = managed.written("POST", "/namespaces/keti/events").await.body;
    assert_eq!((&event["reason"], &event["regarding"]["uid"], &event["type"]), (&json!("InvalidConfig"), &json!("u"), &json!("Warning")));
    for path in ["spec.plugins.dataLocalityAware.weight", "spec.plugins.kueueAware.enabled"] {
        assert!(event["note"].as_str().unwrap().contains(path), "{event}");
    }
}

#[test]
fn condition_keeps_its_time_while_the_status_stays_and_others_stay_untouched() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut stored: Stored = serde_json::from_value(object("1", 4, &json!({}))).unwrap();
    stored.status.conditions = vec![
        json!({"type": "Other", "status": "True"}),
        json!({"type": "Accepted", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z", "observedGeneration": 3}),
    ];
    let told = conditions(&stored, &[], now).unwrap();
    assert_eq!(told[0], json!({"type": "Other", "status": "True"}));
    assert_eq!((&told[1]["lastTransitionTime"], &told[1]["observedGeneration"]), (&json!("2025-01-01T00:00:00Z"), &json!(4)));
    stored.status.conditions = told;
    assert_eq!(conditions(&stored, &[], now), None, "what is said already is not said again");
    let fault = ConfigFault { path: "spec.x".into(), value: "1".into(), expected: "2".into() };
    let told = conditions(&stored, &[fault], now).unwrap();
    assert_eq!((&told[1]["status"], &told[1]["lastTransitionTime"]), (&json!("False"), &json!("2026-01-02T03:04:05Z")));
    assert_eq!(told[1]["message"], "spec.x: 1: expected 2");
}

#[tokio::test]
async fn absent_definition_means_defaults_and_its_arrival_is_noticed() {
    let asked = AtomicUsize::new(0);
    let mut managed = managed(move |seen| match (seen.is_watch(), asked.fetch_add(1, Ordering::SeqCst)) {
        (false, 0) => Answer::status(404, "NotFound", "the server could not find the requested resource"),
        (false, _) => Answer::list("1", json!([object("1", 1, &weight(5))])),
        (true, _) => Answer::watch(vec![]),
    })
    .await;
    assert_eq!(managed.next().await, "synced");
    while managed.events.is_empty() {
        managed.health.reachable(); // cuts the pause short
        tokio::task::yield_now().await;
    }
    assert_eq!(managed.next().await, "1 weight 5");
}

#[tokio::test]
async fn server_that_does_not_serve_the_group_at_all_means_defaults() {
    assert_eq!(managed(|_| Answer::not_served()).await.next().await, "synced");
}

#[tokio::test]
async fn missing_permission_is_named_and_scheduling_goes_on() {
    let mut managed = managed(|_| Answer::status(403, "Forbidden", "no")).await;
    assert_eq!(managed.next().await, "synced");
    let problems = managed.health.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("cannot list aistorageconfigs.ai-storage.keti (forbidden)"), "{problems:?}");
}
