//! One attempt to place one pod, and what follows: assume and bind, or refuse and say why.
//! Leaves out finding the node itself: that is `decide`.

use super::consult::Consult;
use super::{Binding, Engine};
use crate::ages::date;
use crate::consult::Heard;
use crate::decide::{Choice, Outcome, Within, decide, decide_with};
use crate::decision::Decision;
use crate::event::{Action, ApiEvent, Millis, PodRef, Regarding, ResultReport, Together};
use crate::framework::Attempt;
use crate::preemption::Nominate;
use crate::profile::Profile;
use crate::queue::Waiting;
use crate::records::{Record, Took};
use crate::templates::Templates;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

/// What has to be done before a bind: about volumes, and about devices.
type Plans = (Option<aisched_model::volume::VolumePlan>, Option<aisched_model::devices::ClaimPlan>);

/// What deciding for a waiting pod gave.
pub(super) struct Decided {
    pub(super) outcome: Outcome,
    pub(super) workload: WorkloadProfile,
}

impl Engine {
    pub(super) fn schedule_one(&mut self, now: Millis) {
        let Some(pod) = self.queue.pop() else { return };
        if pod.deleting {
            self.queue.remove(&pod.uid);
            let note = format!("skip schedule deleting pod: {}", pod.full_name());
            let event = self.warning(&pod, "FailedScheduling", note);
            return self.actions.push(event);
        }
        if self.schedule_gang(now, &pod) {
            return;
        }
        self.end_peace(now, &pod.uid);
        let consult = self.consults.remove(&pod.uid).unwrap_or_default();
        if self.obey_policy(now, &pod) {
            return; // what was heard would be stale
        }
        let Some(consult) = self.hear(now, &pod, consult) else { return };
        let heard = consult.heard(self, &pod);
        let mut templates = core::mem::take(&mut self.templates);
        let decided =
            self.queue.get(&pod.uid).and_then(|w| self.decide_for(w, self.options.report_nodes, heard, Some(&mut templates), None));
        self.templates = templates;
        let Some(decided) = decided else { return };
        let Some(consult) = self.ask_more(&pod, consult, &decided.outcome) else { return };
        self.settle(now, &pod, decided, &consult, None);
    }

    /// Does what was decided on a popped pod: has it bound, or says why it goes nowhere.
    pub(super) fn settle(&mut self, now: Millis, pod: &Arc<Pod>, decided: Decided, consult: &Consult, with: Option<Together>) {
        self.report_hints(pod, &decided.workload);
        let decision = Arc::new(decided.outcome.decision);
        self.note(now, pod, decision.clone());
        match &decision.node {
            Some(node) => self.assume(now, (pod, node), &decided.workload, (decided.outcome.volumes, decided.outcome.claims), with),
            None if decided.outcome.error.is_some() => self.fail(now, pod, decided.outcome.error.unwrap_or_default()),
            None => {
                let put_off = self.puts_off(now, pod, &decided.outcome.nominate);
                self.refuse(pod, decision.message.clone().unwrap_or_default() + put_off.as_deref().unwrap_or_default());
                let nominate = if put_off.is_some() { Nominate::Keep } else { decided.outcome.nominate };
                self.nominate(now, pod, nominate);
                self.actions.extend(decided.outcome.remedy.map(Action::Remedy));
                self.queue.refused(now, &pod.uid, decided.outcome.refused_by);
                self.refused_by_extenders(now, pod, consult);
                self.ask_again(&pod.uid);
                self.raid_again(now, &pod.uid);
                self.report_failure(now, &pod.uid, decision.message.as_deref().unwrap_or_default());
            }
        }
    }

    /// Keeps a decision for those who ask, and tells of it.
    pub(super) fn note(&mut self, now: Millis, pod: &Pod, decision: Arc<Decision>) {
        let salt = self.salt();
        self.n_decisions += 1;
        if let Some(w) = self.queue.get(&pod.uid) {
            let (attempt, waited_ms) = (w.attempts, now.saturating_sub(w.since));
            self.records.add(Record { decision: decision.clone(), salt, at: now, attempt, waited_ms, took: Took::default() });
        }
        self.actions.push(Action::Decided(decision));
    }

    /// Decides for a waiting pod on the cluster as it is; changes nothing but what is remembered.
    pub(super) fn decide_for(
        &self,
        waiting: &Waiting,
        report_nodes: usize,
        heard: Heard<'_>,
        memory: Option<&mut Templates>,
        within: Option<Within<'_>>,
    ) -> Option<Decided> {
        let choice =
            Choice { salt: self.salt(), report_nodes, policy_source: waiting.policy_source, heard, in_peace: &waiting.raided, within };
        let (mut outcome, workload) = self.attempt(waiting, |profile, attempt| match memory {
            // A pod that names its node is like no other.
            Some(templates) if attempt.pod.node.is_none() => {
                let (rows, columns) = templates.recall(attempt, self.cache.journal());
                decide_with(profile, attempt, choice, rows, columns)
            }
            Some(_) | None => decide(profile, attempt, choice),
        })?;
        date(&mut outcome.decision, waiting, self.cache.snapshot(), self.clock);
        Some(Decided { outcome, workload })
    }

    /// Looks at the cluster as it is on behalf of a waiting pod; gives with it what the pod was taken to be.
    pub(super) fn attempt<T>(&self, waiting: &Waiting, look: impl FnOnce(&Profile, &Attempt<'_>) -> T) -> Option<(T, WorkloadProfile)> {
        let pod = &*waiting.pod;
        let profile = self.profile_of(&pod.spec.scheduler_name)?;
        let policy = waiting.policy.as_deref();
        let workload = WorkloadProfile::resolve(pod, policy.map(|p| (p, waiting.policy_source)), &self.config, self.cache.snapshot());
        let attempt = Attempt { snapshot: self.cache.snapshot(), pod: &waiting.judged, workload: &workload, policy, config: &self.config };
        let seen = look(profile, &attempt);
        Some((seen, workload))
    }

    fn assume(
        &mut self,
        now: Millis,
        (pod, node): (&Arc<Pod>, &Str),
        workload: &WorkloadProfile,
        (volumes, claims): Plans,
        with: Option<Together>,
    ) {
        let Some(waiting) = self.queue.remove(&pod.uid) else { return };
        self.nomination_served(now, &pod.uid, node);
        self.cache.assume(pod, node, workload.io_demand());
        if let Some(plan) = &volumes {
            self.cache.assume_volumes(&pod.uid, node, plan);
            self.announce(pod, node);
        }
        let (volumes, claims) = (volumes.map(Arc::new), claims.map(Arc::new));
        if let Some(plan) = &claims {
            self.cache.assume_claims(&pod.uid, plan);
        }
        let by_extender = self.binds_by_extender(pod);
        self.binding.insert(pod.uid.clone(), Binding { waiting, node: node.clone(), volumes: volumes.clone(), by_extender });
        self.actions.push(Action::Bind { pod: PodRef::from(&**pod), node: node.clone(), volumes, claims, by_extender, with });
    }

    /// Volumes take their time: an autoscaler must see meanwhile that the pod has a node (KEP-5278).
    fn announce(&mut self, pod: &Pod, node: &Str) {
        if pod.nominated_node.as_ref() != Some(node) {
            self.actions.push(Action::Nominate { pod: PodRef::from(pod), node: node.clone() });
        }
    }

    /// Says in an event and in the pod's condition that it was refused.
    pub(super) fn refuse(&mut self, pod: &Pod, message: String) {
        self.complain(pod, "Unschedulable", message);
    }

    pub(super) fn complain(&mut self, pod: &Pod, reason: &'static str, message: String) {
        self.set_condition(pod, reason, &message.as_str().into());
        let event = self.warning(pod, "FailedScheduling", message);
        self.actions.push(event);
    }

    /// Has the pod's condition say so, unless it does.
    pub(super) fn set_condition(&mut self, pod: &Pod, reason: &'static str, message: &Str) {
        if pod.refused.as_ref().is_none_or(|r| *r.reason != *reason || r.message != *message) {
            let transition = pod.refused.is_none();
            let (generation, message) = (pod.generation, message.clone());
            self.actions.push(Action::SetCondition { pod: PodRef::from(pod), generation, transition, reason, message });
        }
    }

    /// Says once per pod which of its labels and annotations could not be used.
    pub(super) fn report_hints(&mut self, pod: &Pod, workload: &WorkloadProfile) {
        let Some(waiting) = self.queue.get_mut(&pod.uid) else { return };
        if core::mem::replace(&mut waiting.hints_reported, true) {
            return;
        }
        if !self.profile_of(&pod.spec.scheduler_name).is_some_and(|p| p.has_ai_plugins()) {
            return;
        }
        for fault in &workload.faults {
            let event = self.warning(pod, "InvalidStorageHint", fault.to_string());
            self.actions.push(event);
        }
    }

    pub(super) fn bound(&mut self, now: Millis, binding: &Binding) {
        let pod = &binding.waiting.pod;
        self.actions.push(Action::RecordEvent(ApiEvent {
            regarding: Regarding::Pod(PodRef::from(&**pod)),
            warning: false,
            reason: "Scheduled",
            action: "Binding",
            note: format!("Successfully assigned {} to {}", pod.full_name(), binding.node),
            reporter: pod.spec.scheduler_name.clone(),
        }));
        self.actions.extend(report(&binding.waiting, now, Some(&binding.node), ""));
        self.actions.push(Action::ForgetPolicy(pod.uid.clone()));
    }

    /// The pod is not bound: its node is free again, and it tries again when its backoff ends.
    pub(super) fn bind_failed(&mut self, now: Millis, binding: Binding, doing: &str, error: &str) {
        let pod = binding.waiting.pod.clone();
        self.give_up(now, &pod.uid);
        if self.cache.is_placed(&pod.uid) {
            return self.actions.push(Action::ForgetPolicy(pod.uid.clone())); // the watch says that it is bound after all
        }
        if binding.volumes.is_some() && pod.nominated_node.is_none() {
            self.actions.push(Action::Nominate { pod: PodRef::from(&*pod), node: Str::default() }); // what was announced may not be seen yet
        }
        self.queue.restore(binding.waiting);
        self.fail(now, &pod, format!("{doing}{error}"));
    }

    /// An error ends the attempt of a pod in flight: it is tried again when its backoff ends.
    pub(super) fn fail(&mut self, now: Millis, pod: &Pod, error: String) {
        self.complain(pod, "SchedulerError", error.clone());
        self.clear_nomination(now, pod);
        self.queue.failed(now, &pod.uid);
        self.report_failure(now, &pod.uid, &error);
    }

    /// Reports to the policy service, once per answer, that the attempt it served has failed.
    pub(super) fn report_failure(&mut self, now: Millis, uid: &str, reason: &str) {
        let Some(waiting) = self.queue.get_mut(uid) else { return };
        if let Some(report) = report(waiting, now, None, reason) {
            if let Action::ReportResult(r) = &report {
                waiting.reported = Some(r.request_id.clone());
            }
            self.actions.push(report);
        }
    }
}

/// The report on the answer that served an attempt; `None` when there was none, or it has been reported.
fn report(waiting: &Waiting, now: Millis, node: Option<&Str>, failure_reason: &str) -> Option<Action> {
    let request_id = waiting.policy.as_ref()?.request_id.clone()?;
    if waiting.reported.as_ref() == Some(&request_id) {
        return None;
    }
    Some(Action::ReportResult(ResultReport {
        request_id,
        pod: PodRef::from(&*waiting.pod),
        node: node.cloned().unwrap_or_default(),
        success: node.is_some(),
        failure_reason: failure_reason.into(),
        duration_ms: i64::try_from(now.saturating_sub(waiting.since)).unwrap_or(i64::MAX),
    }))
}
