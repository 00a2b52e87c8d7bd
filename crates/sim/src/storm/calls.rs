//! What becomes of the scheduler's calls: late, refused, failed, or done with the answer lost.
//! Leaves out repeating them: that is the adapters'; their outcomes are what the engine is told here.

use super::{Job, World};
use aisched_core::event::{Action, BindOutcome, Event, Millis, PodRef, PolicyAnswer};
use aisched_model::Str;
use aisched_model::pod::RefusedCondition;
use aisched_model::policy::{Policy, PolicyDecision, PolicySource};
use aisched_model::volume::{Claim, Volume, VolumePlan};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How long the volumes of a pod are waited for.
const VOLUMES_MS: Millis = 20_000;
/// How often the claims of a pod are looked at.
const LOOK_MS: Millis = 500;

/// A call on its way to whoever serves it.
pub(super) enum Call {
    /// The volumes' part of a bind.
    Volumes(PodRef, Str, Arc<VolumePlan>),
    /// Whether all claims of a bind are bound, until then.
    Await(PodRef, Str, Arc<VolumePlan>, Millis),
    Bind(PodRef, Str),
    Preempt(PodRef, Vec<PodRef>),
    Policy(Str),
}

/// What is to be written of a pod.
#[derive(Default)]
pub(super) struct Status {
    refused: Option<Arc<RefusedCondition>>,
    nominated: Option<Str>,
}

impl World<'_> {
    pub(super) fn carry_out(&mut self, action: Action) {
        self.trace(&action);
        match action {
            Action::Bind { pod, node, volumes: None, .. } => self.send(Call::Bind(pod, node)),
            Action::Bind { pod, node, volumes: Some(plan), .. } => self.send(Call::Volumes(pod, node, plan)),
            Action::Preempt { pod, victims, .. } => self.send(Call::Preempt(pod, victims)),
            Action::FetchPolicy(pod) => self.send(Call::Policy(pod.uid.clone())),
            Action::SetCondition { pod, reason, message, .. } => {
                self.status_of(&pod).refused = Some(Arc::new(RefusedCondition { reason: reason.into(), message }));
            }
            Action::Nominate { pod, node } => self.status_of(&pod).nominated = Some(node),
            Action::RecordEvent(_)
            | Action::Remedy(_) // no pod has claims to devices
            | Action::Consult(_) // no extender is configured
            | Action::Decided(_)
            | Action::ForgetPolicy(_)
            | Action::ReportResult(_)
            | Action::PolicyResolved { .. } => {}
        }
    }

    /// Adds what the scheduler asks for to the hash of the history.
    fn trace(&mut self, action: &Action) {
        let words: [&str; 3] = match action {
            Action::Bind { pod, node, .. } => ["bind", &pod.uid, node],
            Action::Nominate { pod, node } => ["nominate", &pod.uid, node],
            Action::Preempt { pod, node, .. } => ["preempt", &pod.uid, node],
            Action::SetCondition { pod, message, .. } => ["condition", &pod.uid, message],
            _ => return,
        };
        let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
        self.tally.trace = bytes.fold(self.tally.trace, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3).rotate_left(5));
    }

    fn send(&mut self, call: Call) {
        let longest = if self.random.one_in(10) { 8_000 } else { 200 };
        self.plan_within(longest, Job::Arrive(call));
    }

    /// Of one pod only the latest is written, as in production.
    fn status_of(&mut self, pod: &PodRef) -> &mut Status {
        if !self.status.contains_key(&pod.uid) {
            self.plan_within(1000, Job::WriteStatus(pod.uid.clone()));
        }
        self.status.entry(pod.uid.clone()).or_default()
    }

    pub(super) fn write_status(&mut self, uid: &str) {
        let Some(status) = self.status.remove(uid) else { return };
        if self.fails() {
            return;
        }
        self.server.change_pod(uid, |pod| {
            if let Some(node) = status.nominated.filter(|_| pod.node.is_none()) {
                pod.nominated_node = Some(node).filter(|node| !node.is_empty());
            }
            if pod.node.is_none() {
                pod.refused = status.refused.or(pod.refused.take());
            }
        });
    }

    /// Whether the next thing goes wrong.
    fn fails(&mut self) -> bool {
        let fails = self.troubled && self.random.one_in(6);
        self.tally.n_faults += usize::from(fails);
        fails
    }

    pub(super) fn arrive(&mut self, call: Call) {
        match call {
            Call::Volumes(pod, node, plan) => self.bind_volumes(pod, node, plan),
            Call::Await(pod, node, plan, until) => self.await_volumes(pod, node, plan, until),
            Call::Bind(pod, node) => self.bind(pod, node),
            Call::Preempt(pod, victims) => self.preempt(pod, victims),
            Call::Policy(uid) => self.give_policy(uid),
        }
    }

    /// A bind arrives. An answer that is lost is found out by reading the pod, however long that takes.
    fn bind(&mut self, pod: PodRef, node: Str) {
        let refused = self.refusal(&pod, &node);
        let (fails, lost) = (self.fails(), self.fails());
        let outcome = match refused {
            Some(outcome) => outcome,
            None if fails => BindOutcome::Failed("503 the server is busy".into()),
            None => {
                self.server.change_pod(&pod.uid, |pod| {
                    (pod.node, pod.nominated_node, pod.refused) = (Some(node.clone()), None, None);
                });
                self.tally.n_bound += 1;
                BindOutcome::Bound
            }
        };
        let longest = if lost { 60_000 } else { 500 };
        self.plan_within(longest, Job::Answer(Event::BindEnded { pod, node, outcome }));
    }

    /// What the server has against a bind.
    fn refusal(&self, pod: &PodRef, node: &Str) -> Option<BindOutcome> {
        let failed = |why: &str| Some(BindOutcome::Failed(why.into()));
        match self.server.pod(&pod.uid) {
            None => Some(BindOutcome::Gone("the pod no longer exists".into())),
            Some(found) if found.node.as_ref() == Some(node) => Some(BindOutcome::Bound),
            Some(found) if found.node.is_some() => Some(BindOutcome::Gone("the pod is bound already".into())),
            Some(found) if found.deleting => failed("409 the pod is being deleted"),
            Some(found) if !found.spec.scheduling_gates.is_empty() => failed("409 the pod is gated"),
            Some(_) => None,
        }
    }

    /// Writes what the plan wants, as far as it goes; what was written stays.
    fn bind_volumes(&mut self, pod: PodRef, node: Str, plan: Arc<VolumePlan>) {
        for (claim, volume) in &plan.bind {
            if let Err(why) = self.give(claim, volume) {
                return self.no_volumes(pod, node, why);
            }
        }
        for claim in &plan.provision {
            if let Err(why) = self.ask_for_volume(claim, &node) {
                return self.no_volumes(pod, node, why);
            }
        }
        let until = self.now + VOLUMES_MS;
        self.plan(LOOK_MS, Job::Arrive(Call::Await(pod, node, plan, until)));
    }

    fn no_volumes(&mut self, pod: PodRef, node: Str, why: String) {
        self.plan_within(500, Job::Answer(Event::BindEnded { pod, node, outcome: BindOutcome::NoVolumes(why) }));
    }

    fn give(&mut self, claim: &Claim, volume: &Volume) -> Result<(), String> {
        if self.fails() {
            return Err("500 the volume cannot be written".into());
        }
        let mut volume = self.server.volume(&volume.name).cloned().ok_or("no such volume")?;
        if volume.claim.is_some() && !volume.is_for(claim) {
            return Err("the volume has been given to another claim".into());
        }
        Arc::make_mut(&mut volume).claim = Some((claim.namespace.clone(), claim.name.clone(), claim.uid.clone()));
        self.server.set(Event::VolumeSet(volume));
        Ok(())
    }

    fn ask_for_volume(&mut self, claim: &Claim, node: &Str) -> Result<(), String> {
        if self.fails() {
            return Err("500 the claim cannot be written".into());
        }
        let found = self.server.claim(&claim.namespace, &claim.name).filter(|found| found.uid == claim.uid);
        let mut found = found.cloned().ok_or("no such claim")?;
        match &found.selected_node {
            Some(selected) if selected == node => {}
            Some(_) => return Err("a volume is being made on another node".into()),
            None if found.volume.is_some() => {}
            None => {
                Arc::make_mut(&mut found).selected_node = Some(node.clone());
                self.server.set(Event::ClaimSet(found));
            }
        }
        Ok(())
    }

    /// Binds the pod once its claims are bound.
    fn await_volumes(&mut self, pod: PodRef, node: Str, plan: Arc<VolumePlan>, until: Millis) {
        let claims = plan.bind.iter().map(|(claim, _)| claim).chain(&plan.provision);
        let found: Option<Vec<&Arc<Claim>>> =
            claims.map(|claim| self.server.claim(&claim.namespace, &claim.name).filter(|found| found.uid == claim.uid)).collect();
        let Some(found) = found else { return self.no_volumes(pod, node, "a claim is gone".into()) };
        if found.iter().all(|claim| claim.bind_completed) {
            return self.bind(pod, node);
        }
        let given_up = |claim: &&&Arc<Claim>| claim.volume.is_none() && claim.selected_node.as_ref().is_none_or(|n| *n != node);
        if let Some(claim) = found.iter().skip(plan.bind.len()).find(given_up).map(|claim| claim.name.clone()) {
            let outcome = BindOutcome::NotProvisioned(claim, "the volume was not made".into());
            return self.plan_within(500, Job::Answer(Event::BindEnded { pod, node, outcome }));
        }
        if self.now >= until {
            return self.no_volumes(pod, node, "the volumes are not bound".into());
        }
        self.plan(LOOK_MS, Job::Arrive(Call::Await(pod, node, plan, until)));
    }

    fn preempt(&mut self, pod: PodRef, victims: Vec<PodRef>) {
        let mut failed = Vec::new();
        for victim in victims {
            if self.fails() {
                failed.push(victim);
                continue;
            }
            self.tally.n_preempted += usize::from(self.server.pod(&victim.uid).is_some());
            if let Some(node) = self.call_off(&victim.uid) {
                self.plan_within(500, Job::Answer(Event::BindEnded { pod: victim, node, outcome: BindOutcome::Preempted }));
                continue;
            }
            self.server.change_pod(&victim.uid, |pod| (pod.deleting, pod.preempted) = (true, true));
            self.plan_within(30_000, Job::End(victim.uid));
        }
        self.plan_within(500, Job::Answer(Event::PreemptEnded { pod, failed }));
    }

    /// Ends the wait for a pod's volumes; the node it was to be bound to, if there was such a wait.
    fn call_off(&mut self, uid: &str) -> Option<Str> {
        let awaited = |job: &Job| matches!(job, Job::Arrive(Call::Await(pod, ..)) if *pod.uid == *uid);
        let at = self
            .agenda
            .iter()
            .find(|(_, (incarnation, job))| *incarnation == self.client.incarnation && awaited(job))
            .map(|(at, _)| *at)?;
        match self.agenda.remove(&at) {
            Some((_, Job::Arrive(Call::Await(_, node, ..)))) => Some(node),
            _ => None,
        }
    }

    /// The policy service answers, sooner or later, if it answers at all.
    fn give_policy(&mut self, uid: Str) {
        let decision = match self.random.below(12) {
            0 if self.troubled => PolicyDecision::Delay,
            1 if self.troubled => PolicyDecision::Reject,
            2 | 3 => PolicyDecision::Prefer,
            _ => PolicyDecision::Allow,
        };
        let policy = (!self.fails()).then(|| Arc::new(Policy { decision, reason: "so it is".into(), ..Policy::default() }));
        let source = if policy.is_some() { PolicySource::Success } else { PolicySource::Fallback };
        let longest = if self.fails() { 5_000 } else { 100 };
        if !self.fails() {
            self.plan_within(longest, Job::Answer(Event::PolicyAnswered(PolicyAnswer { uid, source, policy })));
        }
    }
}
