//! Watches of other systems' kinds against a server that a test scripts.

use super::*;
use crate::testing::{Answer, Mock, Seen};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The groups that the server has, each with its versions.
fn groups(groups: &[(&str, &[&str])]) -> Answer {
    let version = |group: &str, v: &str| json!({"groupVersion": format!("{group}/{v}"), "version": v});
    let group = |(name, versions): &(&str, &[&str])| {
        let all: Vec<Value> = versions.iter().map(|v| version(name, v)).collect();
        json!({"name": name, "versions": all, "preferredVersion": all[0]})
    };
    Answer::Json(200, json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.iter().map(group).collect::<Vec<_>>()}))
}

fn resources(plurals: &[&str]) -> Answer {
    let resource = |name: &&str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": ["list", "watch"]});
    let all: Vec<Value> = plurals.iter().map(resource).collect();
    Answer::Json(200, json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "g/v", "resources": all}))
}

fn queue(name: &str, pending: Value) -> Value {
    json!({"kind": "ClusterQueue", "apiVersion": "kueue.x-k8s.io/v1beta1", "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
           "status": {"pendingWorkloads": pending}})
}

struct Watched {
    events: UnboundedReceiver<Event>,
    health: Health,
    _task: JoinSet<()>,
}

fn watched(mock: &Mock) -> Watched {
    let (sender, events) = unbounded_channel();
    let health = Health::default();
    let gate = Arc::new(Gate::new([AWAITED], sender.clone()));
    let mut task = JoinSet::new();
    task.spawn(watch(mock.client(), sender, health.clone(), gate));
    Watched { events, health, _task: task }
}

impl Watched {
    async fn next(&mut self) -> String {
        match self.events.recv().await.unwrap() {
            Event::ForeignSet(object) => format!("set {object:?}"),
            Event::ForeignGone(name) => format!("gone {name:?}"),
            other => format!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn objects_are_read_in_the_best_version_that_is_served() {
    let mock = Mock::start(|seen: &Seen| match (&*seen.path, seen.is_watch()) {
        ("/apis", _) => groups(&[("apps", &["v1"]), ("kueue.x-k8s.io", &["v1alpha1", "v1beta1", "v1beta2"])]),
        ("/apis/kueue.x-k8s.io/v1beta2", _) => resources(&["workloads"]),
        ("/apis/kueue.x-k8s.io/v1beta1", _) => resources(&["workloads", "clusterqueues"]),
        ("/apis/kueue.x-k8s.io/v1beta1/clusterqueues", false) => Answer::list("5", json!([queue("a", json!(1)), queue("b", json!("no"))])),
        ("/apis/kueue.x-k8s.io/v1beta1/clusterqueues", true) => {
            Answer::watch(vec![json!({"type": "DELETED", "object": queue("a", json!(1))})])
        }
        ("/apis/kueue.x-k8s.io/v1beta2/workloads", true) => Answer::watch(Vec::new()),
        ("/apis/kueue.x-k8s.io/v1beta2/workloads", false) => Answer::list("5", json!([])),
        _ => Answer::not_served(),
    })
    .await;
    let mut watched = watched(&mock);
    assert_eq!(watched.next().await, "set Queue(ClusterQueue { name: \"a\", pending: 1, admitted: 0 })");
    assert_eq!(watched.next().await, "gone Queue(\"b\")", "one that cannot be read is not known");
    let after = [watched.next().await, watched.next().await];
    assert!(after.contains(&"Synced".into()) && after.contains(&"gone Queue(\"a\")".into()), "{after:?}");
}

#[tokio::test]
async fn systems_that_are_absent_cost_one_question() {
    let mock = Mock::start(|_: &Seen| groups(&[("apps", &["v1"])])).await;
    let watched = watched(&mock);
    mock.seen_at_least(1).await;
    tokio::task::yield_now().await;
    assert_eq!(mock.seen().iter().map(Seen::line).collect::<Vec<_>>(), ["GET /apis"]);
    assert!(watched.health.problems().is_empty());
}

#[tokio::test]
async fn missing_permission_is_named_and_nothing_waits() {
    let mock = Mock::start(|seen: &Seen| match &*seen.path {
        "/apis" => groups(&[("argoproj.io", &["v1alpha1"])]),
        "/apis/argoproj.io/v1alpha1" => resources(&["workflows"]),
        _ => Answer::status(403, "Forbidden", "no"),
    })
    .await;
    let mut watched = watched(&mock);
    while watched.health.problems().is_empty() {
        tokio::task::yield_now().await;
    }
    let grant = "grant verb \"list\" on resource \"workflows\" in API group \"argoproj.io\" to the scheduler's account";
    assert_eq!(watched.health.problems(), [format!("cannot list workflows.argoproj.io (forbidden): {grant}")]);
    assert_eq!(watched.next().await, "Synced");
    assert!(watched.events.try_recv().is_err());
}

#[tokio::test]
async fn objects_of_a_kind_that_is_removed_are_gone() {
    let mock = Mock::start(|seen: &Seen| match (&*seen.path, seen.is_watch()) {
        ("/apis", _) => groups(&[("kueue.x-k8s.io", &["v1beta1"])]),
        ("/apis/kueue.x-k8s.io/v1beta1", _) => resources(&["clusterqueues"]),
        ("/apis/kueue.x-k8s.io/v1beta1/clusterqueues", false) => Answer::list("5", json!([queue("a", json!(1))])),
        _ => Answer::not_served(),
    })
    .await;
    let mut watched = watched(&mock);
    assert!(watched.next().await.starts_with("set Queue"));
    let after = [watched.next().await, watched.next().await];
    assert!(after.contains(&"Synced".into()) && after.contains(&"gone Queue(\"a\")".into()), "{after:?}");
}

#[tokio::test]
async fn the_first_decision_comes_after_the_first_lists() {
    let mock = Mock::start(|seen: &Seen| match (&*seen.path, seen.is_watch()) {
        ("/apis", _) => groups(&[("kueue.x-k8s.io", &["v1beta1"])]),
        ("/apis/kueue.x-k8s.io/v1beta1", _) => resources(&["clusterqueues"]),
        (_, false) => Answer::list("5", json!([queue("a", json!(1)), queue("b", json!(2))])),
        (_, true) => Answer::watch(Vec::new()),
    })
    .await;
    let mut watched = watched(&mock);
    let told = [watched.next().await, watched.next().await, watched.next().await];
    assert!(told[..2].iter().all(|t| t.starts_with("set Queue")) && told[2] == "Synced", "{told:?}");
}

#[tokio::test]
async fn nothing_waits_where_no_other_system_is() {
    for answer in [|| groups(&[("apps", &["v1"])]), || Answer::status(403, "Forbidden", "no"), Answer::not_served] {
        let mock = Mock::start(move |_: &Seen| answer()).await;
        assert_eq!(watched(&mock).next().await, "Synced");
    }
}

/// Time is not real: it goes on where nothing else does.
#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_come_is_not_waited_for_long() {
    for hangs in ["/apis", "/apis/kueue.x-k8s.io/v1beta1", "/apis/kueue.x-k8s.io/v1beta1/clusterqueues"] {
        let mock = Mock::start(move |seen: &Seen| match &*seen.path {
            path if path == hangs => Answer::Hang,
            "/apis" => groups(&[("kueue.x-k8s.io", &["v1beta1"])]),
            "/apis/kueue.x-k8s.io/v1beta1" => resources(&["clusterqueues"]),
            _ => Answer::not_served(),
        })
        .await;
        let began = tokio::time::Instant::now();
        assert_eq!(watched(&mock).next().await, "Synced", "{hangs}");
        assert!(began.elapsed() <= PATIENCE * 3, "{hangs}");
    }
}
