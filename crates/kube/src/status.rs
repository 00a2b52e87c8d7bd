//! Writes the `PodScheduled` condition and the nominated node of pods that could not be placed: per pod only the latest, in the
//! background, and both at once where both are new.
//! Leaves out when one is written: the engine decides, and says whether the condition's status changes.

use crate::call::call;
use crate::problem::Problem;
use crate::watch::{Health, ResourceName};
use aisched_core::event::PodRef;
use aisched_model::Str;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, warn};

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Attempts and the pauses between them: client-go's default backoff is 10 ms, 50 ms, 250 ms.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(250)];
/// Pods that may wait for their condition; a cluster with more pending pods has other worries.
const CAPACITY: usize = 100_000;

/// A condition to write: `PodScheduled` is False.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The pod.
    pub pod: PodRef,
    /// Generation of the pod that was judged; 0 where the API server knows none.
    pub generation: i64,
    /// Whether the condition was not False before, so that its transition time moves.
    pub transition: bool,
    /// `Unschedulable`, `SchedulerError` or `SchedulingGated`.
    pub reason: &'static str,
    /// The whole message.
    pub message: Str,
}

/// Takes conditions to write. Cloning shares the queue; the workers end with the last clone.
#[derive(Clone)]
pub struct StatusWriter {
    queue: Arc<Queue>,
    _workers: Arc<JoinSet<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    ready: Notify,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The latest per UID.
    waiting: BTreeMap<Str, Wanted>,
    order: VecDeque<Str>,
    /// UIDs being written: a later condition of the same pod must not overtake.
    writing: BTreeSet<Str>,
}

/// What is to be written of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    pod: PodRef,
    refused: Option<Refused>,
    /// `nominatedNodeName`; empty to take it away.
    nominated: Option<Str>,
}

impl Wanted {
    /// What is told later counts; what it does not tell of stays.
    fn update(&mut self, later: Self) {
        if let Some(mut refused) = later.refused {
            refused.transition |= self.refused.as_ref().is_some_and(|r| r.transition);
            self.refused = Some(refused);
        }
        self.nominated = later.nominated.or(self.nominated.take());
    }
}

impl StatusWriter {
    /// Starts `workers` tasks.
    #[must_use]
    pub fn start(client: &Client, health: &Health, workers: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let mut tasks = JoinSet::new();
        for _ in 0..workers.max(1) {
            tasks.spawn(work(client.clone(), health.clone(), queue.clone()));
        }
        Self { queue, _workers: Arc::new(tasks) }
    }

    /// Has a condition written; takes the place of one that still waits for the same pod.
    pub fn write(&self, refused: Refused) {
        self.put(Wanted { pod: refused.pod.clone(), refused: Some(refused), nominated: None });
    }

    /// Has the nominated node written, or taken away when it is empty.
    pub fn nominate(&self, pod: PodRef, node: Str) {
        self.put(Wanted { pod, refused: None, nominated: Some(node) });
    }

    fn put(&self, wanted: Wanted) {
        let mut state = self.queue.state();
        if let Some(waiting) = state.waiting.get_mut(&wanted.pod.uid) {
            waiting.update(wanted);
        } else if state.waiting.len() >= CAPACITY {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            state.order.push_back(wanted.pod.uid.clone());
            state.waiting.insert(wanted.pod.uid.clone(), wanted);
            self.queue.ready.notify_one();
        }
    }

    /// The pod has a node, or is gone: what still waits for it is no longer true.
    pub fn forget(&self, pod: &PodRef) {
        self.queue.state().waiting.remove(&pod.uid);
    }

    /// Conditions that were not written so far: too many waited, or the server took none of several attempts.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Wanted> {
        let mut state = self.state();
        for _ in 0..state.order.len() {
            let uid = state.order.pop_front()?;
            if state.writing.contains(&uid) {
                state.order.push_back(uid);
            } else if let Some(wanted) = state.waiting.remove(&uid) {
                state.writing.insert(uid);
                return Some(wanted);
            }
        }
        None
    }

    fn written(&self, uid: &Str) {
        let mut state = self.state();
        state.writing.remove(uid);
        if state.waiting.contains_key(uid) {
            self.ready.notify_one();
        }
    }
}

async fn work(client: Client, health: Health, queue: Arc<Queue>) {
    loop {
        let ready = queue.ready.notified();
        match queue.next() {
            Some(wanted) => {
                if !write(&client, &health, &wanted).await {
                    queue.dropped.fetch_add(1, Ordering::Relaxed);
                }
                queue.written(&wanted.pod.uid);
            }
            None => ready.await,
        }
    }
}

/// Writes what is wanted of one pod; whether it is written, or need not be any more.
async fn write(client: &Client, health: &Health, wanted: &Wanted) -> bool {
    let pod = &wanted.pod;
    let url = Pod::url_path(&(), Some(&pod.namespace));
    let patch = Patch::Strategic(patch(wanted, Timestamp::now()));
    let mut pauses = PAUSES.into_iter();
    loop {
        let request = kube::core::Request::new(url.clone()).patch_subresource("status", &pod.name, &PatchParams::default(), &patch);
        let problem = match call(client, request, DEADLINE).await {
            Ok(()) => return true,
            Err(problem) => problem,
        };
        let pod = format!("{}/{}", pod.namespace, pod.name);
        match problem {
            Problem::NotFound(_) => return true,
            // Another pod has the name now.
            Problem::Conflict(answer) if answer.contains("UID in precondition") => return true,
            Problem::Forbidden(answer) => {
                let resource = ResourceName { plural: "pods/status", group: "" };
                health.forbidden("patch", resource, &answer, "conditions of pods are not written");
                return false;
            }
            Problem::Conflict(_) | Problem::Server(..) | Problem::Unreachable(_) | Problem::Busy(..) => match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => {
                    debug!(pod, answer = problem.message(), "condition not written");
                    return false;
                }
            },
            Problem::Unauthorized(answer) | Problem::Refused(_, answer) | Problem::Other(answer) => {
                warn!(pod, answer, "condition refused");
                return false;
            }
        }
    }
}

/// The patch: merged into the list of conditions by type, and only into the pod that was meant.
fn patch(wanted: &Wanted, now: Timestamp) -> Value {
    let mut status = json!({});
    if let Some(refused) = &wanted.refused {
        let mut condition = json!({
            "type": "PodScheduled", "status": "False", "reason": refused.reason, "message": &*refused.message,
        });
        if refused.generation > 0 {
            condition["observedGeneration"] = json!(refused.generation);
        }
        if refused.transition {
            condition["lastTransitionTime"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        status["conditions"] = json!([condition]);
    }
    if let Some(node) = &wanted.nominated {
        status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { json!(&**node) };
    }
    json!({"metadata": {"uid": &*wanted.pod.uid}, "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Mock};

    fn refused(uid: &str, transition: bool, message: &str) -> Refused {
        let pod = PodRef { uid: uid.into(), namespace: "ns".into(), name: "p".into() };
        Refused { pod, generation: 3, transition, reason: "Unschedulable", message: message.into() }
    }

    fn only(refused: Refused) -> Wanted {
        Wanted { pod: refused.pod.clone(), refused: Some(refused), nominated: None }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let mut expected = json!({"metadata": {"uid": "u"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m", "observedGeneration": 3}]}});
        assert_eq!(patch(&only(refused("u", false, "m")), now), expected);
        expected["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-01-02T03:04:05Z");
        assert_eq!(patch(&only(refused("u", true, "m")), now), expected);
    }

    #[tokio::test]
    async fn nomination_goes_with_the_condition_and_can_be_taken_back_alone() {
        let mock = Mock::start(|_| Answer::Json(200, json!({}))).await;
        let writer = StatusWriter::start(&mock.client(), &Health::default(), 1);
        let pod = |uid: &str| refused(uid, false, "").pod;
        // Nothing runs between these lines: the test's own task holds the only thread.
        writer.write(refused("a", true, "m"));
        writer.nominate(pod("a"), "n".into());
        writer.nominate(pod("b"), "n".into());
        writer.nominate(pod("b"), "".into());
        let seen = mock.seen_at_least(2).await;
        let status = |i: usize| &seen[i].body["status"];
        assert_eq!((&status(0)["nominatedNodeName"], &status(0)["conditions"][0]["message"]), (&json!("n"), &json!("m")));
        assert!(status(0)["conditions"][0]["lastTransitionTime"].is_string());
        assert_eq!((status(1), seen.len()), (&json!({"nominatedNodeName": null}), 2));
    }

    #[tokio::test]
    async fn condition_is_merged_into_the_pods_status() {
        let mock = Mock::start(|_| Answer::Json(200, json!({}))).await;
        let writer = StatusWriter::start(&mock.client(), &Health::default(), 1);
        writer.write(refused("u", false, "m"));
        let seen = mock.seen_at_least(1).await;
        assert_eq!(seen[0].line(), "PATCH /api/v1/namespaces/ns/pods/p/status");
        assert_eq!(seen[0].content_type, "application/strategic-merge-patch+json");
        assert_eq!(seen[0].body["status"]["conditions"][0]["message"], "m");
    }

    #[tokio::test]
    async fn trouble_is_tried_again_and_a_vanished_pod_is_not() {
        let precondition = "Precondition failed: UID in precondition: u, UID in object meta: v";
        for (code, message, attempts, done) in [
            (409, "the object has been modified", 4, false),
            (500, "etcd", 4, false),
            (404, "pods p not found", 1, true),
            (409, precondition, 1, true),
            (422, "no", 1, false),
        ] {
            let mock = Mock::start(move |_| Answer::status(code, "Reason", message)).await;
            assert_eq!(write(&mock.client(), &Health::default(), &only(refused("u", true, "m"))).await, done, "{message}");
            assert_eq!(mock.seen().len(), attempts, "{message}");
        }
    }

    #[tokio::test]
    async fn only_the_latest_condition_of_a_pod_is_written_and_none_of_a_forgotten_one() {
        let mock = Mock::start(|_| Answer::Json(200, json!({}))).await;
        let writer = StatusWriter::start(&mock.client(), &Health::default(), 1);
        // Nothing runs between these lines: the test's own task holds the only thread.
        for (uid, message) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "3")] {
            writer.write(refused(uid, message == "1", message));
        }
        writer.forget(&refused("c", false, "").pod);
        let seen = mock.seen_at_least(2).await;
        let written: Vec<_> = seen.iter().map(|s| (s.body["metadata"]["uid"].clone(), s.body["status"]["conditions"][0].clone())).collect();
        assert_eq!((&written[0].0, &written[0].1["message"]), (&json!("a"), &json!("3")));
        assert!(written[0].1["lastTransitionTime"].is_string(), "the transition that was not written yet is kept");
        assert_eq!((&written[1].0, written.len()), (&json!("b"), 2));
    }
}
