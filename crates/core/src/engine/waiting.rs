//! What happens to a pod while it waits: gates, its policy, changes of its own, events that can help it.
//! Leaves out deciding (`attempt`) and what the watches say of others (`objects`).

use super::Engine;
use crate::consult::EXTENDER;
use crate::event::{Action, Millis, PodRef, PolicyAnswer};
use crate::framework::ClusterEvent;
use crate::queue::Waiting;
use aisched_model::Str;
use aisched_model::pod::Pod;
use aisched_model::policy::Policy;
use aisched_model::policy::PolicySource;
use alloc::string::String;
use alloc::sync::Arc;

/// Said of a pod that may not be scheduled without a policy and has none.
const NO_POLICY: &str = "no answer from the APOLLO policy service, and apollo.fallbackEnabled is false";

impl Engine {
    pub(super) fn waiting_pod_set(&mut self, now: Millis, pod: Arc<Pod>) {
        if let Some(binding) = self.binding.get_mut(&pod.uid) {
            if pod.deleting {
                return self.abandon(now, &pod.uid);
            }
            binding.waiting.replace(pod); // decided already; counts again only if the bind fails
            return;
        }
        if self.cache.is_placed(&pod.uid) {
            return;
        }
        if self.profile_of(&pod.spec.scheduler_name).is_none() {
            return self.nomination_seen(now, None, &pod);
        }
        let uid = pod.uid.clone();
        let old = self.queue.replace(pod.clone());
        self.nomination_seen(now, old.as_deref(), &pod);
        match old {
            None => {
                self.queue.add(now, pod);
                self.make_ready(now, &uid);
            }
            Some(old) if old.spec != pod.spec || old.deleting != pod.deleting || old.claims_made != pod.claims_made => {
                self.own_change(now, &old, &pod)
            }
            Some(_) => {}
        }
    }

    /// A pod that is being deleted and is not bound will not be: the API server refuses it. Its room is of use to others at once,
    /// though its volumes may keep the call going for long.
    fn abandon(&mut self, now: Millis, uid: &Str) {
        self.binding.remove(uid);
        self.give_up(now, uid);
        self.actions.push(Action::ForgetPolicy(uid.clone()));
    }

    fn own_change(&mut self, now: Millis, old: &Pod, new: &Arc<Pod>) {
        let Some(waiting) = self.queue.get(&new.uid) else { return };
        let event = ClusterEvent::OwnChange { old, new };
        if self.queue.gated(&new.uid).is_some() {
            self.queue.set_cause(&new.uid, event.label());
            self.make_ready(now, &new.uid);
        } else if self.queue.is_unschedulable(&new.uid) && self.helps(waiting, &event) {
            self.requeue(now, &new.uid, event.label());
        }
    }

    /// Whether an event can help a refused pod. A pod that no plugin refused (there was no node) can be helped by a node.
    pub(super) fn helps(&self, waiting: &Waiting, event: &ClusterEvent<'_>) -> bool {
        let Some(profile) = self.profile_of(&waiting.pod.spec.scheduler_name) else { return false };
        if waiting.refused_by.is_empty() {
            return matches!(event, ClusterEvent::NodeAdded(_));
        }
        // What changes an extender's mind nobody knows, so anything may.
        let by_extender = waiting.refused_by.contains(&EXTENDER);
        by_extender || waiting.refused_by.iter().any(|name| profile.plugin(name).is_some_and(|plugin| plugin.helps(&waiting.judged, event)))
    }

    /// Lets a refused pod try again as soon as its backoff allows; the cause in kube-scheduler's words, for its metric.
    pub(super) fn requeue(&mut self, now: Millis, uid: &Str, cause: &'static str) {
        if self.queue.requeue(now, uid, cause) {
            self.make_ready(now, uid);
        }
    }

    /// Puts a pod where it belongs: gated, waiting for its policy, or ready.
    pub(super) fn make_ready(&mut self, now: Millis, uid: &Str) {
        if self.queue.awaits_policy(uid) {
            return;
        }
        let Some(waiting) = self.queue.get(uid) else { return };
        let pod = waiting.pod.clone();
        if let Some(reason) = self.gate_of(&pod) {
            self.say_gated(&pod, &reason);
            return self.queue.gate(uid, reason);
        }
        if !self.holds_for_gang(now, &pod) {
            self.enter_queue(now, uid);
        }
    }

    /// Makes a pod ready that nothing holds back, when its policy is there.
    pub(super) fn enter_queue(&mut self, now: Millis, uid: &Str) {
        let Some(waiting) = self.queue.get(uid) else { return };
        if !self.wants_policy(&waiting.pod) {
            self.queue.set_policy(now, uid, None, PolicySource::Fallback); // one from before APOLLO was switched off binds no more
            return self.queue.activate(uid);
        }
        self.actions.push(Action::FetchPolicy(waiting.pod.clone()));
        self.queue.await_policy(uid, now.saturating_add(self.config.apollo.policy_wait_ms));
    }

    /// Says in the pod's condition what it waits for before it may be tried. Of scheduling gates the API server says so itself; and before
    /// everything is known, what is missing may just not have been told yet.
    fn say_gated(&mut self, pod: &Pod, reason: &str) {
        if self.synced && pod.spec.scheduling_gates.is_empty() {
            self.set_condition(pod, "SchedulingGated", &reason.into());
        }
    }

    pub(super) fn gate_of(&self, pod: &Pod) -> Option<String> {
        self.profile_of(&pod.spec.scheduler_name)?.gate(pod, self.cache.snapshot())
    }

    /// Whether anyone would read a policy, and there is anyone to ask.
    fn wants_policy(&self, pod: &Pod) -> bool {
        !self.config.apollo.endpoint.is_empty() && self.profile_of(&pod.spec.scheduler_name).is_some_and(|p| p.has_ai_plugins())
    }

    /// An answer makes its pod ready; one that comes later is kept for the next attempt.
    pub(super) fn policy_answered(&mut self, now: Millis, answer: PolicyAnswer) {
        if self.queue.awaits_policy(&answer.uid) {
            self.settle_policy(now, &answer.uid, answer.policy, answer.source);
        } else {
            self.queue.set_policy(now, &answer.uid, answer.policy, answer.source);
        }
    }

    /// The question is answered, or has waited long enough: the pod is ready, with or without a policy.
    pub(super) fn settle_policy(&mut self, now: Millis, uid: &str, policy: Option<Arc<Policy>>, source: PolicySource) {
        let Some(waiting) = self.queue.get(uid) else { return };
        let pod = waiting.pod.clone();
        self.queue.set_policy(now, uid, policy, source);
        self.actions.push(Action::PolicyResolved { pod: PodRef::from(&*pod), source });
        if source == PolicySource::Fallback && !self.config.apollo.fallback_enabled {
            self.refuse(&pod, NO_POLICY.into());
            return self.queue.failed(now, uid);
        }
        self.queue.activate(uid);
    }
}
