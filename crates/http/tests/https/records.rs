//! What the API says of how decisions came about, of who waits and why, and of decisions as they are taken.
//! Leaves out lists and single decisions: see `api`.

use crate::world::{World, engine};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Method, Request};
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn decision_says_when_and_how_it_came_about() {
    let world = World::with(engine()).await;
    let placed = world.admin("/api/v1/decisions/default/placed").await.json();
    assert_eq!((&placed["attempt"], &placed["took"]), (&json!(1), &json!({"decideUs": null, "attemptUs": null})));
    assert!(placed["at"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{placed}");
    let (first, second) = (&placed["nodes"][0], &placed["nodes"][1]);
    let margin = first["total"].as_f64().unwrap() - second["total"].as_f64().unwrap();
    assert_eq!(placed["runnerUp"]["node"], second["node"]);
    assert!((placed["runnerUp"]["margin"].as_f64().unwrap() - margin).abs() < 1e-9, "{placed}");
    let waiting = world.admin("/api/v1/decisions/default/waiting").await.json();
    let message = "node(s) didn't match Pod's node affinity/selector";
    assert_eq!(waiting["verdicts"], json!([{"plugin": "NodeAffinity", "message": message, "nodes": 2}]));
    assert_eq!((&waiting["runnerUp"], &waiting["attempt"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn waiting_pods_are_grouped_by_reason() {
    let world = World::with(engine()).await;
    let waiting = world.admin("/api/v1/waiting").await.json();
    assert_eq!(waiting["nWaiting"], 1);
    let group = &waiting["groups"][0];
    assert_eq!(group["reason"], "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
    assert_eq!((&group["plugins"], &group["nPods"]), (&json!(["NodeAffinity"]), &json!(1)));
    let pod = &group["pods"][0];
    assert_eq!((&pod["pod"], &pod["queue"], &pod["attempts"]), (&json!("default/waiting"), &json!("unschedulable"), &json!(1)));
    assert_eq!(world.admin("/api/v1/waiting?namespace=other").await.json(), json!({"nWaiting": 0, "groups": []}));
}

#[tokio::test]
async fn configuration_comes_from_whoever_can_read_it() {
    assert_eq!(World::with(engine()).await.admin("/api/v1/config").await.json(), json!({"generation": 0}));
}

#[tokio::test]
async fn follower_says_who_leads_and_nothing_wrong() {
    let world = World::with(engine()).await;
    *world.leader.lock().unwrap() = Some("scheduler-1_4711".into());
    for path in ["decisions", "decisions/default/placed", "decisions/stream", "waiting", "snapshot"] {
        let answer = world.admin(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["leader"]), (421, &json!("scheduler-1_4711")), "{path}");
    }
    assert_eq!(world.admin("/api/v1/status").await.json()["leader"], "scheduler-1_4711");
    assert_eq!(world.admin("/api/v1/nodes").await.status.as_u16(), 200);
}

#[tokio::test]
async fn snapshot_is_yaml_and_what_if_takes_json() {
    let world = World::with(engine()).await;
    let snapshot = world.admin("/api/v1/snapshot").await;
    assert_eq!((&*snapshot.body, snapshot.headers["content-type"].to_str().unwrap()), ("nodes: 2\n", "application/yaml"));
    for (body, expected) in
        [(r#"{"set": {"a": 1}}"#, (200, r#"{"set":{"a":1}}"#)), ("{}", (400, r#"{"error":"set: expected something"}"#)), ("{", (400, ""))]
    {
        let answer = world.post("/api/v1/what-if", body).await;
        assert_eq!(answer.status.as_u16(), expected.0, "{body}");
        assert!(answer.body.starts_with(expected.1), "{body}: {}", answer.body);
    }
    assert_eq!(world.doorman.asked.lock().unwrap().last().unwrap(), "admin post /api/v1/what-if");
}

/// The text of the next event.
async fn next_event(body: &mut hyper::body::Incoming) -> String {
    String::from_utf8(body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn stream_tells_each_decision_and_how_many_a_slow_reader_missed() {
    let (world, engine) = (World::with(engine()).await, engine());
    let decision = engine.records().newest_first().last().unwrap().decision.clone();
    world.feed.publish(&decision);
    let request = Request::builder().method(Method::GET).uri("/api/v1/decisions/stream").header("host", "localhost");
    let request = request.header("authorization", "Bearer admin").body(Body::empty()).unwrap();
    let mut client = world.connect().await;
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    world.feed.publish(&decision);
    let event = next_event(&mut body).await;
    let (name, data) = event.trim_end().split_once('\n').unwrap();
    assert_eq!(name, "event: decision");
    let line: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&line["pod"], line["node"].as_str()), (&json!("default/placed"), decision.node.as_deref()));
    // More than a reader may be behind, before it can read any: the runtime of a test has one thread.
    (0..1500).for_each(|_| world.feed.publish(&Arc::clone(&decision)));
    assert_eq!(next_event(&mut body).await.trim_end(), "event: missed\ndata: 476");
    assert_eq!(world.admin("/api/v1/status").await.json()["stream"], json!({"readers": 1, "missed": 476}));
    world.stop().await;
}
