//! Carries the engine's actions out: each becomes a call on an adapter, or a log line. Nothing here waits.
//! Leaves out how the adapters do it.

use super::edges::Edges;
use crate::logging::log_decision;
use aisched_apollo::{Outcome, PolicyRequest, ResultReport, log_line};
use aisched_core::event::{self, Action};
use aisched_kube::preempt::Preemption;
use aisched_kube::status::Refused;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use std::time::Duration;

impl Edges {
    /// `took` is how long the engine needed to come to its actions.
    pub(super) fn carry_out(&mut self, action: Action, took: Duration) {
        match action {
            Action::FetchPolicy(pod) => self.policies.request(request(&pod)),
            Action::ForgetPolicy(uid) => self.policies.forget(&uid),
            Action::ReportResult(report) => self.policies.report(result(report)),
            Action::Bind { pod, node, volumes, claims, by_extender, with } => {
                let events = self.event_sender.clone();
                let binder = if by_extender { self.binder.through(self.extenders.clone()) } else { self.binder.clone() };
                let binder = with.map_or_else(|| binder.clone(), |with| binder.together(with));
                match (claims, volumes) {
                    (Some(plan), volumes) => self.claims.spawn(pod, node, plan, volumes.map(|plan| (self.volumes.clone(), plan)), binder),
                    (None, None) => {
                        self.status.forget(&pod);
                        binder.spawn(pod, node, events);
                    }
                    // What is still to be written is true until the volumes are there: the nomination above all.
                    (None, Some(plan)) => self.volumes.spawn(pod, node, plan, binder, events),
                }
            }
            Action::Consult(question) => self.extenders.spawn(question, self.event_sender.clone()),
            Action::RecordEvent(event) => self.recorder.record(event),
            Action::SetCondition { pod, generation, transition, reason, message } => {
                self.status.write(Refused { pod, generation, transition, reason, message });
            }
            Action::Nominate { pod, node } => self.status.nominate(pod, node),
            Action::Preempt { pod, node, victims, reporter } => {
                self.metrics.preempted(victims.len());
                self.preemptor.spawn(Preemption { pod, node, victims, reporter }, self.event_sender.clone());
            }
            Action::Remedy(remedy) => self.claims.remedy(remedy),
            Action::PolicyResolved { pod, source } => {
                self.metrics.policy_resolved(source);
                tracing::info!("{} namespace={} pod={}", log_line(source), pod.namespace, pod.name);
            }
            Action::Decided(decision) => {
                let preempts = self.preempting.contains(&decision.scheduler_name);
                self.measures.decided(&decision, took, preempts);
                self.feed.publish(&decision);
                log_decision(&decision);
            }
        }
    }
}

fn request(pod: &Pod) -> PolicyRequest {
    let pairs = |labels: &Labels| -> Vec<(Str, Str)> { labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect() };
    PolicyRequest {
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        labels: pairs(&pod.spec.labels),
        annotations: pairs(&pod.spec.annotations),
        images: pod.spec.images.clone(),
    }
}

fn result(report: event::ResultReport) -> ResultReport {
    ResultReport {
        request_id: report.request_id,
        namespace: report.pod.namespace,
        name: report.pod.name,
        outcome: if report.success { Outcome::Bound(report.node) } else { Outcome::Failed(report.failure_reason) },
        duration: Duration::from_millis(u64::try_from(report.duration_ms).unwrap_or_default()),
    }
}
