//! Watches against a server that a test scripts.

use super::*;
use crate::testing::{Answer, Mock, Seen, client, status};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A pod that differs from version to version.
fn pod(name: &str, uid: &str, version: &str) -> Value {
    let labels = json!({"version": version});
    let metadata = json!({"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version, "labels": labels});
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {}})
}

fn bookmark(version: &str) -> Value {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version, "annotations": annotations}}})
}

struct Watched {
    events: UnboundedReceiver<Event>,
    health: Health,
    gate: Arc<Gate>,
    _tasks: JoinSet<()>,
}

/// Watches one kind; only that kind is awaited.
fn watched<K: Kind>(client: Client, streaming_lists: bool) -> Watched {
    watched_with::<K>(client, WatchOptions { streaming_lists, ..WatchOptions::default() })
}

fn watched_with<K: Kind>(client: Client, options: WatchOptions) -> Watched {
    let (sender, events) = unbounded_channel();
    let (health, gate) = (Health::default(), Arc::new(Gate::new([K::NAME.plural], sender.clone())));
    let mut tasks = JoinSet::new();
    tasks.spawn(health.clone().probe(client.clone()));
    tasks.spawn(watch_kind::<K>(Context { client, events: sender, health: health.clone(), gate: gate.clone(), options }));
    Watched { events, health, gate, _tasks: tasks }
}

impl Watched {
    /// The next `n` events in short.
    async fn next(&mut self, n: usize) -> Vec<String> {
        let mut shown = Vec::new();
        for _ in 0..n {
            shown.push(match self.events.recv().await.unwrap() {
                Event::PodSet(pod) => format!("set {} {}", pod.name, pod.uid),
                Event::PodGone(pod) => format!("gone {} {}", pod.name, pod.uid),
                Event::VolumeSet(volume) => format!("set {}", volume.name),
                Event::Synced => "synced".into(),
                other => format!("{other:?}"),
            });
        }
        shown
    }
}

#[tokio::test]
async fn pods_that_vanished_while_disconnected_are_told_as_gone() {
    let lists = AtomicUsize::new(0);
    let mock = Mock::start(move |seen: &Seen| match (seen.is_watch(), lists.load(Ordering::SeqCst)) {
        (false, 0) => {
            lists.store(1, Ordering::SeqCst);
            Answer::list("10", json!([pod("a", "a1", "1"), pod("b", "b1", "2"), pod("c", "c1", "3"), pod("d", "d1", "4")]))
        }
        (true, 1) => Answer::ended_watch(vec![json!({"type": "ERROR", "object": status(410, "Expired", "too old")})]),
        (false, _) => {
            lists.store(2, Ordering::SeqCst);
            // b is unchanged, c changed, d is another pod of the same name, e is new; a is gone.
            Answer::list("20", json!([pod("b", "b1", "2"), pod("c", "c1", "13"), pod("d", "d2", "14"), pod("e", "e1", "15")]))
        }
        (true, _) => Answer::watch(vec![json!({"type": "DELETED", "object": pod("e", "e1", "21")})]),
    })
    .await;
    let mut watched = watched::<kinds::Pods>(mock.client(), false);
    assert_eq!(watched.next(5).await, ["set a a1", "set b b1", "set c c1", "set d d1", "synced"]);
    assert_eq!(watched.next(6).await, ["set c c1", "gone d d1", "set d d2", "set e e1", "gone a a1", "gone e e1"]);
    let list = &mock.seen()[0];
    assert!(list.query.contains("status.phase%21%3DSucceeded"), "pods that have ended are not asked for: {}", list.query);
}

#[tokio::test]
async fn streaming_list_is_taken_where_there_is_one() {
    let mock = Mock::start(|seen: &Seen| {
        assert!(seen.is_streaming_list(), "{seen:?}");
        Answer::watch(vec![
            json!({"type": "ADDED", "object": pod("a", "a1", "1")}),
            bookmark("5"),
            json!({"type": "MODIFIED", "object": pod("a", "a1", "6")}),
        ])
    })
    .await;
    assert_eq!(watched::<kinds::Pods>(mock.client(), true).next(3).await, ["set a a1", "synced", "set a a1"]);
}

#[tokio::test]
async fn fields_of_a_feature_that_is_off_are_not_seen() {
    let object = |version: &str| {
        let mut object = pod("a", "a1", version);
        object["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
        object
    };
    for (pod_level_resources, cpu) in [(true, 2000), (false, 0)] {
        let mut changed = object("6");
        changed["metadata"]["labels"]["version"] = "another".into();
        let events = [json!({"type": "ADDED", "object": object("1")}), bookmark("5"), json!({"type": "MODIFIED", "object": changed})];
        let mock = Mock::start(move |_| Answer::watch(events.to_vec())).await;
        let features = Features { pod_level_resources, ..Features::default() };
        let mut watched = watched_with::<kinds::Pods>(mock.client(), WatchOptions { features, ..WatchOptions::default() });
        let mut seen = Vec::new();
        for _ in 0..3 {
            if let Some(Event::PodSet(pod)) = watched.events.recv().await {
                seen.push(pod.spec.requests.cpu.0);
            }
        }
        assert_eq!(seen, [cpu; 2], "listed and changed");
    }
}

#[tokio::test]
async fn change_that_bears_on_nothing_is_no_news() {
    let running = |version: &str| {
        let mut running = pod("a", "a1", "1");
        running["metadata"]["resourceVersion"] = version.into();
        running["status"] = json!({"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]});
        running
    };
    let mut deleting = running("4");
    deleting["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
    let events = [("ADDED", pod("a", "a1", "1")), ("MODIFIED", running("2")), ("MODIFIED", running("3")), ("MODIFIED", deleting)];
    let events = events.map(|(kind, object)| json!({"type": kind, "object": object}));
    let end = json!({"type": "DELETED", "object": running("5")});
    let mock = Mock::start(move |_| Answer::watch(events.iter().cloned().chain([bookmark("4"), end.clone()]).collect())).await;
    assert_eq!(watched::<kinds::Pods>(mock.client(), true).next(4).await, ["set a a1", "set a a1", "synced", "gone a a1"]);
}

#[tokio::test]
async fn server_without_streaming_lists_is_listed_in_pages() {
    let mock = Mock::start(|seen: &Seen| match (seen.is_streaming_list(), seen.is_watch()) {
        (true, _) => {
            Answer::status(422, "Invalid", "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        }
        (false, true) => Answer::watch(vec![]),
        (false, false) => Answer::list("1", json!([pod("a", "a1", "1")])),
    })
    .await;
    let mut watched = watched::<kinds::Pods>(mock.client(), true);
    assert_eq!(watched.next(2).await, ["set a a1", "synced"]);
    assert_eq!(watched.health.problems(), Vec::<String>::new());
    let seen = mock.seen_at_least(3).await;
    assert_eq!(seen.iter().map(Seen::is_streaming_list).collect::<Vec<_>>(), [true, false, false]);
}

fn forbidden(seen: &Seen) -> Answer {
    let verb = if seen.is_watch() { "watch" } else { "list" };
    Answer::status(403, "Forbidden", &format!("User \"x\" cannot {verb} resource"))
}

#[tokio::test]
async fn optional_kind_without_permission_counts_as_empty_and_is_named_once() {
    let mock = Mock::start(forbidden).await;
    let mut watched = watched::<kinds::Volumes>(mock.client(), true);
    assert_eq!(watched.next(1).await, ["synced"]);
    mock.seen_at_least(4).await;
    let named = |verb| {
        let grant = format!("grant verb \"{verb}\" on resource \"persistentvolumes\" in API group \"\" to the scheduler's account");
        format!("cannot {verb} persistentvolumes (forbidden): {grant}")
    };
    assert_eq!(watched.health.problems(), [named("list"), named("watch")]);
}

#[tokio::test]
async fn required_kind_without_permission_holds_scheduling_back() {
    let mock = Mock::start(|seen: &Seen| if seen.is_watch() { forbidden(seen) } else { Answer::status(403, "Forbidden", "no") }).await;
    let watched = watched::<kinds::Nodes>(mock.client(), false);
    mock.seen_at_least(3).await;
    assert_eq!(watched.gate.awaited(), ["nodes"]);
    assert!(watched.health.problems()[0].starts_with("cannot list nodes (forbidden)"), "{:?}", watched.health.problems());
}

#[tokio::test]
async fn permission_to_watch_is_named_apart_from_the_one_to_list() {
    let mock = Mock::start(|seen: &Seen| if seen.is_watch() { forbidden(seen) } else { Answer::list("1", json!([])) }).await;
    let mut watched = watched::<kinds::Volumes>(mock.client(), true);
    assert_eq!(watched.next(1).await, ["synced"]);
    mock.seen_at_least(4).await;
    let problems = watched.health.problems();
    assert!(problems.len() == 1 && problems[0].starts_with("cannot watch persistentvolumes (forbidden)"), "{problems:?}");
}

#[tokio::test]
async fn credentials_that_are_not_taken_hold_everything_back_and_are_told() {
    let mock = Mock::start(|_| Answer::status(401, "Unauthorized", "Unauthorized")).await;
    let watched = watched::<kinds::Volumes>(mock.client(), true);
    mock.seen_at_least(3).await;
    assert_eq!(watched.gate.awaited(), ["persistentvolumes"]);
    assert_eq!(watched.health.problems().len(), 1);
    assert!(watched.health.problems()[0].contains("does not take the credentials"), "{:?}", watched.health.problems());
}

#[tokio::test]
async fn kind_that_the_server_does_not_have_counts_as_empty() {
    for streaming in [false, true] {
        let mock = Mock::start(|_| Answer::status(404, "NotFound", "the server could not find the requested resource")).await;
        assert_eq!(watched::<kinds::CsiNodes>(mock.client(), streaming).next(1).await, ["synced"]);
        let mock = Mock::start(|_| Answer::not_served()).await;
        assert_eq!(watched::<kinds::CsiNodes>(mock.client(), streaming).next(1).await, ["synced"]);
    }
}

#[tokio::test]
async fn unreachable_server_is_told_and_found_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut watched = watched::<kinds::Pods>(client(&free), true);
    while watched.health.problems().is_empty() {
        tokio::task::yield_now().await;
    }
    let problems = watched.health.problems();
    assert!(problems[0].starts_with("the API server cannot be reached: Connection refused"), "{problems:?}");
    let _mock = Mock::start_on(&free, |seen: &Seen| match seen.path.as_str() {
        "/version" => Answer::Json(200, json!({"major": "1", "minor": "37"})),
        _ if seen.is_watch() => Answer::watch(vec![bookmark("1")]),
        _ => Answer::list("1", json!([])),
    })
    .await;
    assert_eq!(watched.next(1).await, ["synced"]);
    assert_eq!(watched.health.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn gate_opens_once_when_the_last_has_arrived() {
    let (sender, mut events) = unbounded_channel();
    let gate = Gate::new(["a", "b"], sender);
    gate.arrived("a");
    gate.arrived("a");
    assert!(events.try_recv().is_err());
    gate.arrived("b");
    gate.arrived("b");
    assert!(matches!(events.try_recv(), Ok(Event::Synced)));
    assert!(events.try_recv().is_err());
}
