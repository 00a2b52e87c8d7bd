//! Has the victims of a preemption go: a condition that says why, then the deletion, with their grace; all beside the scheduling path.
//! Leaves out who they are, and what to do about those that could not be deleted: that is the engine's.

use crate::call::{Built, call};
use crate::events::{Object, Record, Recorder};
use crate::problem::Problem;
use crate::volume_bind::VolumeBinder;
use crate::watch::{Health, ResourceName};
use aisched_core::event::{Event, PodRef};
use aisched_model::Str;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::{info, warn};

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Pauses between attempts: the preemptor waits, but a server in trouble must not be pressed.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];
/// The longest that a busy server may make one attempt wait.
const LONGEST_BUSY_WAIT: Duration = Duration::from_secs(5);
/// Victims at a time; more wait in line.
const CONCURRENCY: usize = 16;

/// A preemption to carry out.
#[derive(Clone, Debug)]
pub struct Preemption {
    /// The pod that needs the room.
    pub pod: PodRef,
    /// The node that it is nominated to.
    pub node: Str,
    /// The pods that are to go.
    pub victims: Vec<PodRef>,
    /// Profile that speaks.
    pub reporter: Str,
}

/// Deletes victims. Cloning shares the limit.
#[derive(Clone)]
pub struct Preemptor {
    client: Client,
    health: Health,
    recorder: Recorder,
    volumes: VolumeBinder,
    limit: Arc<Semaphore>,
}

impl Preemptor {
    /// A preemptor that tells of each victim through `recorder`, and deletes none whose volumes `volumes` is still binding.
    #[must_use]
    pub fn new(client: Client, health: Health, recorder: Recorder, volumes: VolumeBinder) -> Self {
        Self { client, health, recorder, volumes, limit: Arc::new(Semaphore::new(CONCURRENCY)) }
    }

    /// Deletes the victims in a task of its own; those that could not be deleted go to `events`.
    pub fn spawn(&self, preemption: Preemption, events: UnboundedSender<Event>) {
        let preemptor = self.clone();
        tokio::spawn(async move {
            let failed = preemptor.preempt(&preemption).await;
            // The receiver is gone only when the scheduler stops.
            let _stopping = events.send(Event::PreemptEnded { pod: preemption.pod, failed });
        });
    }

    /// Deletes the victims; gives those that could not be deleted.
    pub async fn preempt(&self, preemption: &Preemption) -> Vec<PodRef> {
        let evicted = join_all(preemption.victims.iter().map(|victim| self.evict(preemption, victim))).await;
        preemption.victims.iter().zip(evicted).filter(|(_, evicted)| !evicted).map(|(victim, _)| victim.clone()).collect()
    }

    /// Whether a victim is going, or gone.
    async fn evict(&self, preemption: &Preemption, victim: &PodRef) -> bool {
        let _permit = self.limit.acquire().await;
        let name = format!("{}/{}", victim.namespace, victim.name);
        if self.volumes.call_off(&victim.uid) {
            info!(victim = name, node = &*preemption.node, preemptor = &*preemption.pod.uid, "preempted before it was bound");
            self.recorder.put(record(preemption, victim, " (in scheduler memory)."));
            return true;
        }
        // Without the condition a controller would not know that this was no fault of the pod's, so it comes first, as kube-scheduler's.
        let marked = self.insist("patch", "pods/status", || mark(victim, &preemption.reporter)).await;
        let deleted = match marked {
            Step::Done => self.insist("delete", "pods", || delete(victim)).await,
            other => other,
        };
        match deleted {
            Step::Done => {
                info!(victim = name, node = &*preemption.node, preemptor = &*preemption.pod.uid, "preempted");
                self.recorder.put(record(preemption, victim, ""));
                true
            }
            Step::Gone => true,
            Step::Failed(answer) => {
                warn!(victim = name, node = &*preemption.node, answer, "victim not deleted");
                false
            }
        }
    }

    /// Sends a request until it is answered for good, but not for ever.
    async fn insist(&self, verb: &'static str, plural: &'static str, request: impl Fn() -> Built) -> Step {
        let mut pauses = PAUSES.into_iter();
        loop {
            let problem = match call(&self.client, request(), DEADLINE).await {
                Ok(()) => return Step::Done,
                Err(problem) => problem,
            };
            let wait = match problem {
                Problem::NotFound(_) => return Step::Gone,
                // Another pod has the name now.
                Problem::Conflict(ref answer) if is_other_pod(answer) => return Step::Gone,
                Problem::Forbidden(answer) => {
                    self.health.forbidden(verb, ResourceName { plural, group: "" }, &answer, "pods cannot be preempted");
                    return Step::Failed(answer);
                }
                Problem::Conflict(_) | Problem::Server(..) | Problem::Unreachable(_) => None,
                Problem::Busy(wait, _) => Some(wait.min(LONGEST_BUSY_WAIT)),
                Problem::Unauthorized(answer) | Problem::Refused(_, answer) | Problem::Other(answer) => return Step::Failed(answer),
            };
            match pauses.next() {
                Some(pause) => sleep(wait.unwrap_or(pause)).await,
                None => return Step::Failed(problem.message().to_owned()),
            }
        }
    }
}

/// What came of a request.
enum Step {
    Done,
    /// The pod is not there any more.
    Gone,
    /// What the server said last.
    Failed(String),
}

/// Whether a conflict says that the object of this name is not the one that was meant.
fn is_other_pod(answer: &str) -> bool {
    answer.contains("UID in precondition") || answer.contains("the UID in the precondition")
}

/// The condition that tells a disruption from a fault.
fn mark(victim: &PodRef, reporter: &str) -> Built {
    let patch = Patch::Strategic(condition(victim, reporter, Timestamp::now()));
    let url = Pod::url_path(&(), Some(&victim.namespace));
    kube::core::Request::new(url).patch_subresource("status", &victim.name, &PatchParams::default(), &patch)
}

fn condition(victim: &PodRef, reporter: &str, now: Timestamp) -> Value {
    json!({"metadata": {"uid": &*victim.uid}, "status": {"conditions": [{
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": format!("{reporter}: preempting to accommodate a higher priority pod"),
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }]}})
}

/// The deletion of this very pod, with the grace that it asks for.
fn delete(victim: &PodRef) -> Built {
    let preconditions = Some(Preconditions { uid: Some(victim.uid.as_ref().into()), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::default() };
    kube::core::Request::new(Pod::url_path(&(), Some(&victim.namespace))).delete(&victim.name, &params)
}

fn record(preemption: &Preemption, victim: &PodRef, how: &str) -> Record {
    Record {
        object: object(victim),
        related: Some(object(&preemption.pod)),
        warning: false,
        reason: "Preempted".into(),
        action: "Preempting".into(),
        note: format!("Preempted by pod {} on node {}{how}", preemption.pod.uid, preemption.node),
        reporter: preemption.reporter.clone(),
    }
}

fn object(pod: &PodRef) -> Object {
    Object { api_version: "v1".into(), kind: "Pod", namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::{BindOptions, Binder};
    use crate::events::RecorderOptions;
    use crate::testing::{Answer, Mock};
    use crate::under_way::UnderWay;
    use crate::volume_bind::VolumeBindOptions;
    use aisched_core::event::BindOutcome;
    use aisched_model::volume::{Claim, VolumePlan};
    use tokio::sync::mpsc::unbounded_channel;

    fn pod(name: &str) -> PodRef {
        PodRef { uid: format!("uid-{name}").into(), namespace: "ns".into(), name: name.into() }
    }

    fn preemption(victims: &[&str]) -> Preemption {
        Preemption { pod: pod("p"), node: "n".into(), victims: victims.iter().map(|v| pod(v)).collect(), reporter: "us".into() }
    }

    fn preemptor(mock: &Mock) -> Preemptor {
        preemptor_beside(mock, VolumeBinder::new(mock.client(), VolumeBindOptions::default()))
    }

    fn preemptor_beside(mock: &Mock, volumes: VolumeBinder) -> Preemptor {
        let (client, health) = (mock.client(), Health::default());
        let recorder = Recorder::start(&client, &health, &UnderWay::default(), &RecorderOptions::default());
        Preemptor::new(client, health, recorder, volumes)
    }

    #[tokio::test]
    async fn victim_is_told_why_then_deleted_and_the_event_says_for_whom() {
        let mock = Mock::start(|_| Answer::Json(200, json!({}))).await;
        let (sender, mut events) = unbounded_channel();
        preemptor(&mock).spawn(preemption(&["v"]), sender);
        assert!(matches!(events.recv().await, Some(Event::PreemptEnded { pod: p, failed }) if p == pod("p") && failed.is_empty()));
        let seen = mock.seen_at_least(3).await;
        assert_eq!(seen[0].line(), "PATCH /api/v1/namespaces/ns/pods/v/status");
        assert_eq!(seen[0].content_type, "application/strategic-merge-patch+json");
        let mut patch = seen[0].body.clone();
        patch["status"]["conditions"][0].as_object_mut().unwrap().remove("lastTransitionTime").unwrap();
        let message = "us: preempting to accommodate a higher priority pod";
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": message});
        assert_eq!(patch, json!({"metadata": {"uid": "uid-v"}, "status": {"conditions": [condition]}}));
        assert_eq!(seen[1].line(), "DELETE /api/v1/namespaces/ns/pods/v");
        assert_eq!(seen[1].body["preconditions"], json!({"uid": "uid-v"}));
        assert_eq!(seen[1].body.get("gracePeriodSeconds"), None, "its own grace");
        let event = &seen[2].body;
        assert_eq!((&event["reason"], &event["action"], &event["type"]), (&json!("Preempted"), &json!("Preempting"), &json!("Normal")));
        assert_eq!(event["note"], "Preempted by pod uid-p on node n");
        assert_eq!((&event["regarding"]["name"], &event["related"]["name"]), (&json!("v"), &json!("p")));
    }

    #[tokio::test]
    async fn victim_whose_volumes_are_being_bound_is_not_deleted_and_not_bound() {
        let unbound = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": "ns", "name": "data", "uid": "u", "annotations": {"volume.kubernetes.io/selected-node": "n"}}, "spec": {},
        });
        let mock = Mock::start(move |seen| Answer::Json(200, if seen.method == "GET" { unbound.clone() } else { json!({}) })).await;
        let volumes = VolumeBinder::new(mock.client(), VolumeBindOptions::default());
        let claim = Arc::new(Claim { namespace: "ns".into(), name: "data".into(), uid: "u".into(), ..Claim::default() });
        let plan = Arc::new(VolumePlan { provision: vec![claim], timeout_ms: 600_000, ..VolumePlan::default() });
        let (sender, mut events) = unbounded_channel();
        volumes.spawn(pod("v"), "n".into(), plan, Binder::new(mock.client(), BindOptions::default()), sender);
        mock.seen_at_least(2).await;
        assert_eq!(preemptor_beside(&mock, volumes).preempt(&preemption(&["v"])).await, []);
        assert!(matches!(events.recv().await, Some(Event::BindEnded { outcome: BindOutcome::Preempted, .. })));
        let seen = mock.seen_at_least(3).await;
        let written: Vec<_> = seen.iter().filter(|s| s.method != "GET").collect();
        assert_eq!(written.len(), 1, "the event alone");
        assert_eq!(written[0].body["note"], "Preempted by pod uid-p on node n (in scheduler memory).");
    }

    #[tokio::test]
    async fn victim_that_is_gone_is_no_failure_and_trouble_is() {
        let other = "Precondition failed: UID in precondition: uid-v, UID in object meta: w";
        for (method, code, message, fails, requests) in [
            ("PATCH", 404, "pods v not found", false, 1),
            ("DELETE", 404, "pods v not found", false, 2),
            ("DELETE", 409, other, false, 2),
            ("PATCH", 403, "no", true, 1),
            ("DELETE", 403, "no", true, 2),
            ("DELETE", 422, "no", true, 2),
        ] {
            let answer = move |method_seen: &str| {
                if method_seen == method { Answer::status(code, "Reason", message) } else { Answer::Json(200, json!({})) }
            };
            let mock = Mock::start(move |seen| answer(&seen.method)).await;
            let failed = preemptor(&mock).preempt(&preemption(&["v"])).await;
            assert_eq!(failed, if fails { vec![pod("v")] } else { Vec::new() }, "{method} {code}");
            assert_eq!(mock.seen().len(), requests, "{method} {code}");
        }
    }

    #[tokio::test]
    async fn server_in_trouble_is_asked_again() {
        let mock = Mock::start(|seen| match (&*seen.method, &*seen.path) {
            ("DELETE", "/api/v1/namespaces/ns/pods/v") => Answer::status(500, "InternalError", "etcd"),
            _ => Answer::Json(200, json!({})),
        });
        let mock = mock.await;
        assert_eq!(preemptor(&mock).preempt(&preemption(&["v", "w"])).await, [pod("v")]);
        assert_eq!(mock.seen().iter().filter(|s| s.line() == "DELETE /api/v1/namespaces/ns/pods/v").count(), 4);
    }
}
