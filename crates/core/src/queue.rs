//! Keeps pods that wait for a node: gated, waiting for a policy, ready by priority, backing off, or refused until something changes.
//! Knows nothing of Kubernetes or clocks: every method that needs the time takes it.

use crate::event::Millis;
use crate::policy_terms::judged;
use aisched_model::Str;
use aisched_model::gang::GangKey;
use aisched_model::pod::Pod;
use aisched_model::policy::{Policy, PolicySource};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// No pod asks for its policy again earlier than this after a refusal, even where backing off is off.
const LEAST_WAIT_MS: u64 = 1000;

/// Backoffs that end within the same second count as ending together, so that priority decides among them (KEP-5142).
const WINDOW_MS: u64 = 1000;

/// Bounds of waiting, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// First backoff (`podInitialBackoffSeconds`).
    pub initial_backoff_ms: u64,
    /// Longest backoff (`podMaxBackoffSeconds`); 0 turns backing off off.
    pub max_backoff_ms: u64,
    /// How long a refused pod may stay without a retry.
    pub max_unschedulable_ms: u64,
    /// Whether a pod is taken before its backoff is over when no other is ready (gate `SchedulerPopFromBackoffQ`).
    pub pop_from_backoff: bool,
}

impl Default for QueueOptions {
    /// kube-scheduler's defaults: 1 s, 10 s, 5 min.
    fn default() -> Self {
        Self { initial_backoff_ms: 1000, max_backoff_ms: 10_000, max_unschedulable_ms: 300_000, pop_from_backoff: true }
    }
}

/// A pod that waits, and what is remembered of its attempts.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The pod as last seen.
    pub pod: Arc<Pod>,
    /// The pod with its policy's terms among its own: what plugins judge. Its place keeps the pod as seen.
    pub judged: Arc<Pod>,
    /// When it first came.
    pub since: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// Plugins that refused it last.
    pub refused_by: Vec<&'static str>,
    /// Its policy, if there is one.
    pub policy: Option<Arc<Policy>>,
    /// Where the policy, or the lack of one, came from.
    pub policy_source: PolicySource,
    /// When the policy service gave the policy, as far as is known.
    pub policy_at: Millis,
    /// When a policy first held the pod back.
    pub delayed_since: Option<Millis>,
    /// How its policy keeps it from being placed, since its last attempt.
    pub held: Option<Str>,
    /// Id of the policy answer whose result has been reported.
    pub reported: Option<Str>,
    /// How often pods of other schedulers have been asked to leave for it.
    pub n_raids: u32,
    /// Until then it has no more of them asked.
    pub raids_from: Millis,
    /// Nodes that they were asked to leave, and until when these are left in peace.
    pub raided: Vec<(Str, Millis)>,
    /// Whether its unusable hints have been reported.
    pub hints_reported: bool,
    /// Whether it is held back for its gang alone, if it is.
    for_gang: bool,
    state: State,
    /// When it was last queued: orders pods of equal priority, and starts its backoff.
    timestamp: Millis,
    /// Orders pods queued in the same millisecond.
    sequence: u64,
    refusals: u32,
    errors: u32,
    /// What brings it into the next queue, in kube-scheduler's words; empty when that has been counted.
    cause: &'static str,
}

/// What brings a pod into a queue, other than events.
mod cause {
    pub(super) const ADDED: &str = "UnscheduledPodAdd";
    pub(super) const FAILED: &str = "ScheduleAttemptFailure";
    pub(super) const BACKOFF: &str = "BackoffComplete";
    pub(super) const TIMEOUT: &str = "UnschedulableTimeout";
}

impl Waiting {
    /// Its place among pods that are ready: priority, then when it was queued, then order of arrival.
    pub(crate) fn place(&self) -> (Reverse<i32>, Millis, u64) {
        (Reverse(self.pod.spec.priority), self.timestamp, self.sequence)
    }

    /// Whether anything but its gang holds it back.
    #[must_use]
    pub fn is_held_alone(&self) -> bool {
        matches!(self.state, State::Gated(_)) && !self.for_gang
    }

    /// Whether it is held back for its gang.
    #[must_use]
    pub fn is_held_for_gang(&self) -> bool {
        matches!(self.state, State::Gated(_)) && self.for_gang
    }

    /// The queue that it is in, under kube-scheduler's name; one that is being decided on was taken from the active ones.
    #[must_use]
    pub fn queue(&self) -> &'static str {
        self.state.queue().unwrap_or("active")
    }
}

/// Where a waiting pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not to be scheduled yet, for this reason.
    Gated(String),
    /// Its policy was asked for; it becomes ready with the answer or at the deadline.
    AwaitingPolicy { deadline: Millis },
    /// Ready.
    Active,
    /// Ready at `until`. A pod that failed by an error is not taken earlier; a refused one is when nothing else waits.
    Backoff { until: Millis, error: bool },
    /// Refused; waits for an event that helps, at most until `flush`.
    Unschedulable { flush: Millis },
    /// Popped: being decided or bound.
    InFlight,
}

impl State {
    /// kube-scheduler's name of the queue; none while the pod is being decided on.
    fn queue(&self) -> Option<&'static str> {
        match self {
            Self::Gated(_) => Some("gated"),
            Self::AwaitingPolicy { .. } | Self::Active => Some("active"),
            Self::Backoff { .. } => Some("backoff"),
            Self::Unschedulable { .. } => Some("unschedulable"),
            Self::InFlight => None,
        }
    }
}

/// Why a pod's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It waited for its policy as long as it should.
    Policy,
    /// Its backoff is over, or it was refused too long ago to wait for an event any longer.
    Retry,
}

/// Position among ready pods: priority, then time, then order of arrival.
type ActiveKey = (Reverse<i32>, Millis, u64, Str);

/// How many pods are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are kube-scheduler's queue names")]
pub struct Depth {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

/// All waiting pods.
pub struct Queue {
    options: QueueOptions,
    pods: BTreeMap<Str, Waiting>,
    active: BTreeSet<ActiveKey>,
    /// (when, uid) of pods in `AwaitingPolicy`, `Backoff` and `Unschedulable`.
    timers: BTreeSet<(Millis, Str)>,
    /// Pods in `Backoff` that may be taken early, by the second in which it ends and then as if they were ready.
    early: BTreeSet<(Millis, ActiveKey)>,
    /// Pods in `Unschedulable`: events look at these alone.
    refused: BTreeSet<Str>,
    /// Waiting members of gangs.
    gangs: BTreeMap<GangKey, BTreeSet<Str>>,
    next_sequence: u64,
    incoming: BTreeMap<(&'static str, &'static str), u64>,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(options: QueueOptions) -> Self {
        Self {
            options,
            pods: BTreeMap::new(),
            active: BTreeSet::new(),
            timers: BTreeSet::new(),
            early: BTreeSet::new(),
            refused: BTreeSet::new(),
            gangs: BTreeMap::new(),
            next_sequence: 0,
            incoming: BTreeMap::new(),
        }
    }

    /// A waiting pod.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Waiting> {
        self.pods.get(uid)
    }

    /// A waiting pod, to note something about it.
    pub fn get_mut(&mut self, uid: &str) -> Option<&mut Waiting> {
        self.pods.get_mut(uid)
    }

    /// All waiting pods, by UID.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.pods.values()
    }

    /// Pods that were refused and wait for an event, by UID.
    pub fn unschedulable(&self) -> impl Iterator<Item = &Waiting> {
        self.refused.iter().filter_map(|uid| self.pods.get(uid))
    }

    /// How many pods have come into a queue so far, by queue and by what brought them there.
    #[must_use]
    pub fn incoming(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.incoming
    }

    /// Counts per state; pods in flight count nowhere.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let mut depth = Depth::default();
        for waiting in self.pods.values() {
            match waiting.state {
                State::Gated(_) => depth.gated += 1,
                State::AwaitingPolicy { .. } | State::Active => depth.active += 1,
                State::Backoff { .. } => depth.backoff += 1,
                State::Unschedulable { .. } => depth.unschedulable += 1,
                State::InFlight => {}
            }
        }
        depth
    }

    /// Takes in a new pod. It is in flight until `gate`, `activate` or `await_policy` says where it goes.
    pub fn add(&mut self, now: Millis, pod: Arc<Pod>) {
        let sequence = self.next_sequence();
        let waiting = Waiting {
            pod: pod.clone(),
            judged: pod.clone(),
            since: now,
            attempts: 0,
            refused_by: Vec::new(),
            policy: None,
            policy_source: PolicySource::Fallback,
            policy_at: now,
            delayed_since: None,
            held: None,
            reported: None,
            n_raids: 0,
            raids_from: 0,
            raided: Vec::new(),
            hints_reported: false,
            for_gang: false,
            state: State::InFlight,
            timestamp: now,
            sequence,
            refusals: 0,
            errors: 0,
            cause: cause::ADDED,
        };
        self.remove(&pod.uid);
        self.enlist(&pod, true);
        self.pods.insert(pod.uid.clone(), waiting);
    }

    /// Takes a pod back that had left the queue for a node; it is in flight until `refused` or `failed` says where it goes.
    pub fn restore(&mut self, waiting: Waiting) {
        self.enlist(&waiting.pod, true);
        self.pods.insert(waiting.pod.uid.clone(), Waiting { state: State::InFlight, ..waiting });
    }

    /// Replaces the object of a waiting pod; returns the one before.
    pub fn replace(&mut self, pod: Arc<Pod>) -> Option<Arc<Pod>> {
        let uid = pod.uid.clone();
        let state = self.pods.get(&uid)?.state.clone();
        self.set_state(&uid, State::InFlight); // its priority, and so its place, may have changed
        let old = self.pods.get_mut(&uid)?.replace(pod.clone());
        self.enlist(&old, false);
        self.enlist(&pod, true);
        self.set_state(&uid, state);
        Some(old)
    }

    /// Gives a pod the answer to its policy question. One from the cache is as old as the fresh one that this queue saw, if it did.
    pub fn set_policy(&mut self, now: Millis, uid: &str, policy: Option<Arc<Policy>>, source: PolicySource) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        if source != PolicySource::Cache || waiting.policy.is_none() {
            waiting.policy_at = now;
        }
        waiting.judged = judged(&waiting.pod, policy.as_deref());
        waiting.policy = policy;
        waiting.policy_source = source;
    }

    /// Forgets a pod.
    pub fn remove(&mut self, uid: &str) -> Option<Waiting> {
        self.set_state(uid, State::InFlight);
        let waiting = self.pods.remove(uid)?;
        self.enlist(&waiting.pod, false);
        Some(waiting)
    }

    /// Notes which gang a waiting pod belongs to, or that it waits no more.
    fn enlist(&mut self, pod: &Pod, waits: bool) {
        let Some(gang) = &pod.spec.gang else { return };
        let members = self.gangs.entry(gang.key(&pod.namespace)).or_default();
        if waits {
            members.insert(pod.uid.clone())
        } else {
            members.remove(&pod.uid)
        };
        if members.is_empty() {
            self.gangs.remove(&gang.key(&pod.namespace));
        }
    }

    /// The members of a gang that wait, by UID.
    pub fn members(&self, gang: &GangKey) -> impl Iterator<Item = &Waiting> {
        self.gangs.get(gang).into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// How many members of a gang wait.
    #[must_use]
    pub fn n_members(&self, gang: &GangKey) -> usize {
        self.gangs.get(gang).map_or(0, BTreeSet::len)
    }

    /// Whether a pod could be taken now, were it its turn: it is not held back, waits for no policy, and has not failed by an error.
    #[must_use]
    pub fn is_willing(&self, uid: &str) -> bool {
        let willing = |state: &State| !matches!(state, State::AwaitingPolicy { .. } | State::Backoff { error: true, .. });
        self.pods.get(uid).is_some_and(|waiting| willing(&waiting.state))
    }

    /// Takes this pod, whoever else is ready.
    pub fn take(&mut self, uid: &str) -> Option<Arc<Pod>> {
        self.set_state(uid, State::InFlight);
        let waiting = self.pods.get_mut(uid)?;
        waiting.attempts = waiting.attempts.saturating_add(1);
        waiting.held = None;
        Some(waiting.pod.clone())
    }

    /// Holds a taken pod back whose attempt has not begun.
    pub fn put_back(&mut self, uid: &str, reason: String) {
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.attempts = waiting.attempts.saturating_sub(1);
        }
        self.gate_for_gang(uid, reason);
    }

    /// Holds a pod back until its gang is complete.
    pub fn gate_for_gang(&mut self, uid: &str, reason: String) {
        self.gate(uid, reason);
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.for_gang = true;
        }
    }

    /// Holds a pod back for a reason.
    pub fn gate(&mut self, uid: &str, reason: String) {
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.for_gang = false;
        }
        self.enter(uid, State::Gated(reason));
    }

    /// Why a pod is held back.
    #[must_use]
    pub fn gated(&self, uid: &str) -> Option<&str> {
        match &self.pods.get(uid)?.state {
            State::Gated(reason) => Some(reason),
            _ => None,
        }
    }

    /// Pods that are held back, by UID.
    pub fn all_gated(&self) -> impl Iterator<Item = &Waiting> {
        self.pods.values().filter(|w| matches!(w.state, State::Gated(_)))
    }

    /// Whether the pod was refused and waits for an event.
    #[must_use]
    pub fn is_unschedulable(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|w| matches!(w.state, State::Unschedulable { .. }))
    }

    /// Whether the pod waits for its policy.
    #[must_use]
    pub fn awaits_policy(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|w| matches!(w.state, State::AwaitingPolicy { .. }))
    }

    /// Makes a pod ready.
    pub fn activate(&mut self, uid: &str) {
        self.enter(uid, State::Active);
    }

    /// Lets a pod wait for its policy.
    pub fn await_policy(&mut self, uid: &str, deadline: Millis) {
        self.enter(uid, State::AwaitingPolicy { deadline });
    }

    /// Takes the pod that is next: the ready one of highest priority, else, when none is ready, the refused one whose backoff ends first.
    pub fn pop(&mut self) -> Option<Arc<Pod>> {
        let uid = self.active.first().map(|(_, _, _, uid)| uid.clone()).or_else(|| self.early.first().map(|(_, key)| key.3.clone()))?;
        self.take(&uid)
    }

    /// Makes a popped pod ready again that was parked in the middle of its attempt.
    pub fn resume(&mut self, uid: &str) {
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.attempts = waiting.attempts.saturating_sub(1);
        }
        self.set_state(uid, State::Active);
    }

    /// Puts a popped pod back that no node would take.
    pub fn refused(&mut self, now: Millis, uid: &str, refused_by: Vec<&'static str>) {
        let flush = now.saturating_add(self.options.max_unschedulable_ms);
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.refused_by = refused_by;
            waiting.timestamp = now;
            waiting.refusals = waiting.refusals.saturating_add(1);
            waiting.errors = 0;
            waiting.cause = cause::FAILED;
        }
        self.enter(uid, State::Unschedulable { flush });
    }

    /// Puts a popped pod back after an error: it is tried again when its backoff ends, whatever happens.
    pub fn failed(&mut self, now: Millis, uid: &str) {
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.refused_by.clear();
            waiting.timestamp = now;
            waiting.errors = waiting.errors.saturating_add(1);
            waiting.cause = cause::FAILED;
            let until = now.saturating_add(backoff(self.options, waiting.errors));
            self.enter(uid, State::Backoff { until, error: true });
        }
    }

    /// Holds a popped pod back until then, yet at least for the backoff of an error, whatever happens; not beyond `limit`.
    pub fn hold(&mut self, now: Millis, uid: &str, until: Millis, limit: Millis) {
        self.failed(now, uid);
        if let Some(State::Backoff { until: backoff, .. }) = self.pods.get(uid).map(|w| &w.state) {
            let until = until.max(*backoff).max(now.saturating_add(LEAST_WAIT_MS)).min(limit);
            self.set_state(uid, State::Backoff { until, error: true });
        }
    }

    /// Has a refused pod try again by then at the latest, once its backoff is over, even when nothing happens that helps it.
    pub fn retry_by(&mut self, uid: &str, at: Millis) {
        let Some(waiting) = self.pods.get(uid) else { return };
        if let State::Unschedulable { flush } = waiting.state {
            let wait = backoff(self.options, waiting.refusals).max(LEAST_WAIT_MS);
            let at = at.max(waiting.timestamp.saturating_add(wait));
            self.set_state(uid, State::Unschedulable { flush: flush.min(at) });
        }
    }

    /// Lets a refused pod try again for this cause: after the rest of its backoff, or now (`true`) when that has passed.
    #[must_use]
    pub fn requeue(&mut self, now: Millis, uid: &str, cause: &'static str) -> bool {
        let Some(waiting) = self.pods.get_mut(uid).filter(|w| matches!(w.state, State::Unschedulable { .. })) else { return false };
        waiting.cause = cause;
        let until = waiting.timestamp.saturating_add(backoff(self.options, waiting.refusals));
        if until > now {
            self.enter(uid, State::Backoff { until, error: false });
            return false;
        }
        true
    }

    /// Pods whose time has come: backoff over, policy deadline passed, refused for too long. They are in flight afterwards.
    pub fn due(&mut self, now: Millis) -> Vec<(Str, Due)> {
        let mut due = Vec::new();
        while let Some((_, uid)) = self.timers.first().filter(|(at, _)| *at <= now).cloned() {
            if self.is_unschedulable(&uid) && !self.requeue(now, &uid, cause::TIMEOUT) {
                continue; // its backoff is longer than that
            }
            let (why, cause) = match self.pods.get(&uid).map(|waiting| &waiting.state) {
                Some(State::AwaitingPolicy { .. }) => (Due::Policy, ""), // it has been in the active queue
                Some(State::Unschedulable { .. }) => (Due::Retry, cause::TIMEOUT),
                Some(_) | None => (Due::Retry, cause::BACKOFF),
            };
            self.set_state(&uid, State::InFlight);
            self.set_cause(&uid, cause);
            due.push((uid, why));
        }
        due
    }

    /// Whether `pop` would give a pod.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.active.is_empty() || !self.early.is_empty()
    }

    /// When `due` will next give a pod.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Says what brings a pod into the queue that it comes to next.
    pub fn set_cause(&mut self, uid: &str, cause: &'static str) {
        if let Some(waiting) = self.pods.get_mut(uid) {
            waiting.cause = cause;
        }
    }

    /// Puts a pod into a queue and counts it there by its cause, unless it is there.
    fn enter(&mut self, uid: &str, state: State) {
        let comes = |waiting: &&Waiting| !waiting.cause.is_empty() && waiting.state.queue() != state.queue();
        if let Some((waiting, queue)) = self.pods.get(uid).filter(comes).zip(state.queue()) {
            *self.incoming.entry((queue, waiting.cause)).or_default() += 1;
        }
        self.set_state(uid, state);
    }

    fn next_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    /// The one place where a pod changes state, so that the indexes always agree with it.
    fn set_state(&mut self, uid: &str, state: State) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        let uid = waiting.pod.uid.clone();
        let key: ActiveKey = (Reverse(waiting.pod.spec.priority), waiting.timestamp, waiting.sequence, uid.clone());
        match core::mem::replace(&mut waiting.state, state.clone()) {
            State::Active => {
                // The key may be older than a changed timestamp only if both changed outside this function; they never do.
                self.active.remove(&key);
            }
            State::AwaitingPolicy { deadline: at } | State::Backoff { until: at, .. } | State::Unschedulable { flush: at } => {
                self.timers.remove(&(at, uid.clone()));
                self.early.remove(&(at / WINDOW_MS, key.clone()));
                self.refused.remove(&uid);
            }
            State::Gated(_) | State::InFlight => {}
        }
        match state {
            State::Active => {
                self.active.insert(key);
            }
            State::Backoff { until, error } => {
                self.timers.insert((until, uid.clone()));
                if !error && self.options.pop_from_backoff {
                    self.early.insert((until / WINDOW_MS, key));
                }
            }
            State::AwaitingPolicy { deadline } => {
                self.timers.insert((deadline, uid));
            }
            State::Unschedulable { flush } => {
                self.timers.insert((flush, uid.clone()));
                self.refused.insert(uid);
            }
            State::Gated(_) | State::InFlight => {}
        }
    }
}

impl Waiting {
    /// Whether it was refused and only an event, or the flush, brings it back.
    #[must_use]
    pub fn waits_for_event(&self) -> bool {
        matches!(self.state, State::Unschedulable { .. })
    }

    /// Takes in a newer object of the pod; returns the one before.
    pub(crate) fn replace(&mut self, pod: Arc<Pod>) -> Arc<Pod> {
        self.judged = judged(&pod, self.policy.as_deref());
        core::mem::replace(&mut self.pod, pod)
    }
}

/// Backoff after the n-th refusal or error in a row: 1, 2, 4, 8, 10, 10 … seconds by default.
fn backoff(options: QueueOptions, count: u32) -> u64 {
    match count.checked_sub(1) {
        None => 0,
        Some(shift) if shift < 32 => options.initial_backoff_ms.saturating_mul(1 << shift).min(options.max_backoff_ms),
        Some(_) => options.max_backoff_ms,
    }
}

#[cfg(test)]
mod tests;
