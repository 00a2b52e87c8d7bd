//! What becomes of a bind, whatever the server answers.

use super::*;
use crate::testing::{Answer, Mock, pod_ref};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

type Make = fn() -> Answer;

/// Binds `p` to `n1` on a server that answers the n-th POST with `posts[n]` (then the last) and reads of the pod with `read`.
async fn bind(posts: Vec<Make>, read: Make) -> (BindOutcome, Vec<String>) {
    let n_posts = AtomicUsize::new(0);
    let mock = Mock::start(move |seen| match seen.method.as_str() {
        "POST" => posts[n_posts.fetch_add(1, Ordering::SeqCst).min(posts.len() - 1)](),
        _ => read(),
    })
    .await;
    let options = BindOptions {
        deadline: Duration::from_millis(300),
        busy_retries: 2,
        first_pause: Duration::from_millis(1),
        ..BindOptions::default()
    };
    let outcome = Binder::new(mock.client(), options).bind(&pod_ref("u"), "n1").await;
    (outcome, mock.seen().iter().map(crate::testing::Seen::line).collect())
}

fn pod(uid: &str, node: Value) -> Answer {
    Answer::Json(
        200,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": uid}, "spec": {"nodeName": node, "containers": []}}),
    )
}

fn conflict() -> Answer {
    Answer::status(409, "Conflict", "pod p is already assigned to node \"n2\"")
}

fn created() -> Answer {
    Answer::Json(201, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
}

fn missing() -> Answer {
    Answer::status(404, "NotFound", "pods \"p\" not found")
}

#[tokio::test]
async fn outcome_is_what_became_of_the_pod() {
    use BindOutcome::{Bound, Failed, Gone};
    let cases: Vec<(&str, Make, Make, BindOutcome)> = vec![
        ("bound", created, missing, Bound),
        ("conflict, ours", conflict, || pod("u", json!("n1")), Bound),
        ("conflict, another's", conflict, || pod("u", json!("n2")), Gone("the pod is bound to n2 already".into())),
        ("conflict, not bound", conflict, || pod("u", Value::Null), Failed("pod p is already assigned to node \"n2\"".into())),
        ("conflict, another pod", conflict, || pod("v", json!("n1")), Gone("the pod no longer exists".into())),
        ("deleted", missing, missing, Gone("the pod no longer exists".into())),
        ("timeout, then bound", || Answer::Hang, || pod("u", json!("n1")), Bound),
        ("timeout, not bound", || Answer::Hang, || pod("u", Value::Null), Failed("no answer within 300ms".into())),
        ("server trouble, bound", || Answer::status(500, "InternalError", "etcd"), || pod("u", json!("n1")), Bound),
        ("invalid", || Answer::status(422, "Invalid", "no"), missing, Failed("no".into())),
    ];
    for (name, post, read, expected) in cases {
        assert_eq!(bind(vec![post], read).await.0, expected, "{name}");
    }
}

/// The pod may be on its node: its room is nobody else's until the server says what became of it.
#[tokio::test]
async fn pod_is_read_until_the_server_answers() {
    let n_reads = AtomicUsize::new(0);
    let mock = Mock::start(move |seen| match (seen.method.as_str(), n_reads.load(Ordering::SeqCst)) {
        ("POST", _) => Answer::status(500, "InternalError", "etcd"),
        (_, 8) => pod("u", json!("n1")),
        (_, n) => {
            n_reads.store(n + 1, Ordering::SeqCst);
            [Answer::status(500, "InternalError", "etcd"), Answer::Busy(0)].into_iter().nth(n % 2).unwrap()
        }
    });
    let mock = mock.await;
    let options = BindOptions { first_pause: Duration::from_micros(1), ..BindOptions::default() };
    assert_eq!(Binder::new(mock.client(), options).bind(&pod_ref("u"), "n1").await, BindOutcome::Bound);
    assert_eq!(mock.seen().len(), 10);
}

#[tokio::test]
async fn pod_that_may_not_be_read_counts_as_not_bound() {
    let (outcome, seen) = bind(vec![|| Answer::status(500, "InternalError", "etcd")], || Answer::status(403, "Forbidden", "no")).await;
    assert_eq!((outcome, seen.len()), (BindOutcome::Failed("etcd; and the pod cannot be read: no".into()), 2));
}

#[tokio::test]
async fn missing_permission_is_named() {
    let (outcome, _) = bind(vec![|| Answer::status(403, "Forbidden", "pods is forbidden")], missing).await;
    let BindOutcome::Failed(message) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("grant verb \"create\" on resource \"pods/binding\""), "{message}");
}

#[tokio::test]
async fn busy_server_is_asked_again_and_then_given_up() {
    let (outcome, seen) = bind(vec![|| Answer::Busy(0), created], missing).await;
    assert_eq!((outcome, seen.len()), (BindOutcome::Bound, 2));
    let (outcome, seen) = bind(vec![|| Answer::Busy(0)], missing).await;
    assert_eq!(outcome, BindOutcome::Failed("Too many requests, please try again later.".into()));
    assert_eq!(seen, ["POST /api/v1/namespaces/ns/pods/p/binding"; 3], "and the pod is not read: nothing was processed");
}

#[tokio::test]
async fn binding_names_pod_uid_and_node() {
    let mock = Mock::start(|_| created()).await;
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    Binder::new(mock.client(), BindOptions::default()).spawn(pod_ref("u"), "n1".into(), sender);
    let Some(Event::BindEnded { pod, node, outcome }) = events.recv().await else { panic!("no outcome") };
    assert_eq!((pod, &*node, outcome), (pod_ref("u"), "n1", BindOutcome::Bound));
    let body = &mock.seen()[0].body;
    assert_eq!(body["metadata"], json!({"name": "p", "namespace": "ns", "uid": "u"}));
    assert_eq!(body["target"], json!({"apiVersion": "v1", "kind": "Node", "name": "n1"}));
}

#[tokio::test]
async fn bind_that_waits_in_line_when_the_scheduler_stops_is_not_sent_and_one_that_was_ends() {
    let mock = Mock::start(|seen| if seen.method == "POST" { Answer::Hang } else { pod("u", json!("n1")) }).await;
    let options = BindOptions { deadline: Duration::from_millis(300), concurrency: 1, ..BindOptions::default() };
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let binder = Binder::new(mock.client(), options);
    binder.spawn(pod_ref("u"), "n1".into(), sender.clone());
    mock.seen_at_least(1).await;
    binder.spawn(pod_ref("v"), "n1".into(), sender);
    binder.close();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let Some(Event::BindEnded { pod, outcome, .. }) = events.recv().await else { panic!("no outcome") };
        outcomes.push((pod, outcome));
    }
    let left = BindOutcome::Gone("the scheduler stops, and whoever leads next places the pod".into());
    assert_eq!(outcomes, [(pod_ref("v"), left), (pod_ref("u"), BindOutcome::Bound)]);
    assert_eq!(mock.seen().iter().filter(|s| s.method == "POST").count(), 1);
}
