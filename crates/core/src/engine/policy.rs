//! What a policy does to a pod that waits: holds it back for a while (DELAY), turns it away (REJECT), and has it asked about again.
//! Leaves out what it does to a decision: preferences and requirements are the plugins', its terms `policy_terms`'.

use super::Engine;
use crate::event::{Action, ApiEvent, Millis, PodRef, Regarding};
use crate::queue::Waiting;
use aisched_model::Str;
use aisched_model::pod::Pod;
use aisched_model::policy::{AffinityStrength, Policy, PolicyDecision, PolicySource};
use alloc::format;
use alloc::string::String;
use alloc::vec;

/// Stands for the policy among those that refused a pod. No plugin bears this name, so no change in the cluster helps.
const REFUSED_BY: &str = "APOLLO";
/// A slow server's last answer is used until this many times its expiry, as that of a failing one is.
const STALE_FACTOR: u64 = 10;

impl Engine {
    /// Obeys a policy that keeps a popped pod from being placed now. Says whether it did: then the attempt is over.
    ///
    /// Asked at every attempt, so that an answer which came too late for its own attempt binds the next, whatever woke the pod.
    pub(super) fn obey_policy(&mut self, now: Millis, pod: &Pod) -> bool {
        let Some(policy) = self.queue.get(&pod.uid).and_then(|w| w.policy.clone()) else { return false };
        match policy.decision {
            PolicyDecision::Delay => self.delay(now, pod, &policy),
            PolicyDecision::Reject if self.config.apollo.obey_reject => {
                self.reject(now, pod, &policy);
                true
            }
            PolicyDecision::Allow | PolicyDecision::Prefer | PolicyDecision::Require | PolicyDecision::Reject => false,
        }
    }

    /// Holds a pod back until its policy may have changed, in all no longer than `maxDelaySeconds` from the first time.
    ///
    /// Writes no condition: nothing is wrong with the pod or the cluster, and an autoscaler must not add nodes for it.
    fn delay(&mut self, now: Millis, pod: &Pod, policy: &Policy) -> bool {
        let (expiry, longest) = (self.config.apollo.cache_expiry_ms, self.config.apollo.max_delay_ms);
        let Some(waiting) = self.queue.get_mut(&pod.uid) else { return false };
        let limit = waiting.delayed_since.get_or_insert(now).saturating_add(longest);
        if now >= limit {
            return false;
        }
        let note = format!("held back by the APOLLO policy for at most {} s: {}", longest / 1000, words(policy));
        waiting.held = Some(note.as_str().into());
        let again = expires(waiting, expiry);
        self.clear_nomination(now, pod); // the room is of use to others meanwhile
        self.queue.hold(now, &pod.uid, again, limit);
        self.actions.push(Action::RecordEvent(ApiEvent {
            regarding: Regarding::Pod(PodRef::from(pod)),
            warning: false,
            reason: "PolicyDelayed",
            action: "Scheduling",
            note,
            reporter: pod.spec.scheduler_name.clone(),
        }));
        true
    }

    /// Refuses a pod in the policy's name; only another policy, or another configuration, can help it.
    fn reject(&mut self, now: Millis, pod: &Pod, policy: &Policy) {
        let message = format!("rejected by the APOLLO policy: {}", words(policy));
        self.refuse(pod, message.clone());
        self.clear_nomination(now, pod);
        self.queue.refused(now, &pod.uid, vec![REFUSED_BY]);
        self.retry_when_expired(&pod.uid);
        self.report_failure(now, &pod.uid, &message);
        if let Some(waiting) = self.queue.get_mut(&pod.uid) {
            waiting.held = Some(message.into());
        }
    }

    /// Has a pod that no node would take asked about again when its policy has expired, if another policy could let it in.
    pub(super) fn ask_again(&mut self, uid: &str) {
        if self.queue.get(uid).and_then(|w| w.policy.as_ref()).is_some_and(|p| binds(p)) {
            self.retry_when_expired(uid);
        }
    }

    fn retry_when_expired(&mut self, uid: &str) {
        let expiry = self.config.apollo.cache_expiry_ms;
        if let Some(at) = self.queue.get(uid).map(|w| expires(w, expiry)) {
            self.queue.retry_by(uid, at);
        }
    }

    /// The answer did not come in time. The last one counts on if it is not too old; a server that is slow today must not let a pod
    /// through that it turned away before.
    pub(super) fn policy_overdue(&mut self, now: Millis, uid: &Str) {
        let limit = self.config.apollo.cache_expiry_ms.saturating_mul(STALE_FACTOR);
        let last = self.queue.get(uid).filter(|w| now.saturating_sub(w.policy_at) < limit).and_then(|w| w.policy.clone());
        let source = if last.is_some() { PolicySource::Cache } else { PolicySource::Fallback };
        self.settle_policy(now, uid, last, source);
    }
}

/// When the policy client asks the server anew. Its clock may be ahead of this one's by a fraction of a millisecond.
fn expires(waiting: &Waiting, expiry_ms: u64) -> Millis {
    waiting.policy_at.saturating_add(expiry_ms).saturating_add(1)
}

/// The server's reason, for people.
fn words(policy: &Policy) -> String {
    let reason = policy.reason.trim();
    if reason.is_empty() { "it gives no reason".into() } else { reason.into() }
}

/// Whether a policy can be why a pod fits nowhere.
fn binds(policy: &Policy) -> bool {
    policy.decision == PolicyDecision::Require
        || !policy.constraints.is_empty()
        || policy.affinity.iter().any(|term| term.strength == AffinityStrength::Required)
}
