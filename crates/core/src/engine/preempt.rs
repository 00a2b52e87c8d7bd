//! What follows from preemption: nominations kept in step with the API, and victims that are to leave.
//! Leaves out choosing them (`preemption`) and having them deleted: whoever carries the actions out does that.

use super::{Engine, FORCED};
use crate::event::{Action, Millis, PodRef};
use crate::framework::ClusterEvent;
use crate::preemption::{Candidate, Nominate};
use aisched_model::Str;
use aisched_model::node::PlacedPod;
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How long a pod waits after its first preemption of pods of another scheduler before it may do that again.
const FIRST_PAUSE_MS: Millis = 30_000;
/// The longest such pause.
const LAST_PAUSE_MS: Millis = 1_800_000;
/// How long a node is then left in peace by that pod: there the same pods would come back.
const PEACE_MS: Millis = 600_000;

impl Engine {
    /// Does what a decision on a refused pod says of its nomination. The pod has to be in flight: it must not wake itself.
    pub(super) fn nominate(&mut self, now: Millis, pod: &Arc<Pod>, nominate: Nominate) {
        match nominate {
            Nominate::Keep | Nominate::Ask(_) => {} // what is asked comes to nothing before the answer
            Nominate::Clear => self.clear_nomination(now, pod),
            Nominate::On(candidate) => self.preempt(now, pod, &candidate),
        }
    }

    /// Nominates the pod to the candidate's node before anyone else can take the room, and asks for its victims to go.
    fn preempt(&mut self, now: Millis, pod: &Arc<Pod>, candidate: &Candidate) {
        let node = &candidate.node;
        for rival in self.own_nominated_below(pod.spec.priority, node) {
            // It would wait for room that is another's now; elsewhere it may find some at once.
            self.clear_nomination(now, &rival);
            self.requeue(now, &rival.uid, FORCED);
        }
        if self.cache.snapshot().nominated.node_of(&pod.uid).is_some_and(|old| old != node) {
            self.forget_nomination(now, &pod.uid); // the room there is of use to others
        }
        let placed = PlacedPod::new(pod.clone(), self.io_of(pod));
        self.cache.objects().nominated.set(placed, node.clone());
        if pod.nominated_node.as_ref() != Some(node) {
            self.actions.push(Action::Nominate { pod: PodRef::from(&**pod), node: node.clone() });
        }
        let nominated = &mut self.cache.objects().nominated;
        let victims = candidate.victims.iter().filter(|v| !v.deleting && nominated.condemn(v.uid.clone()));
        let victims: Vec<PodRef> = victims.map(|v| PodRef::from(&**v)).collect();
        if !victims.is_empty() {
            self.raided(now, pod, candidate);
            let reporter = pod.spec.scheduler_name.clone();
            self.actions.push(Action::Preempt { pod: PodRef::from(&**pod), node: node.clone(), victims, reporter });
        }
    }

    /// Whether others' pods would have to leave who have not been asked yet.
    fn is_raid(&self, candidate: &Candidate) -> bool {
        let nominated = &self.cache.snapshot().nominated;
        let mut asked = candidate.victims.iter().filter(|v| !v.deleting && !nominated.is_condemned(&v.uid));
        asked.any(|victim| self.profile_of(&victim.spec.scheduler_name).is_none())
    }

    /// Why a pod must not make pods of other schedulers leave again yet; `None` when it may, or does not mean to.
    ///
    /// Another scheduler may not know that the room is promised, and give it to its victims' successors: without a pause that grows,
    /// and without leaving the node in peace, both would go on for ever (k/k#130429).
    pub(super) fn puts_off(&self, now: Millis, pod: &Pod, nominate: &Nominate) -> Option<String> {
        let Nominate::On(candidate) = nominate else { return None };
        let wait = self.queue.get(&pod.uid)?.raids_from.checked_sub(now).filter(|ms| *ms > 0 && self.is_raid(candidate))?;
        Some(format!(" It waits {} s before it preempts pods of another scheduler again.", wait.div_ceil(1000)))
    }

    /// Pods of other schedulers have been asked to leave for a pod: the next time will be later.
    fn raided(&mut self, now: Millis, pod: &Pod, candidate: &Candidate) {
        let foreign = candidate.victims.iter().any(|victim| self.profile_of(&victim.spec.scheduler_name).is_none());
        if let Some(waiting) = self.queue.get_mut(&pod.uid).filter(|_| foreign) {
            waiting.raids_from = now.saturating_add((FIRST_PAUSE_MS << waiting.n_raids.min(16)).min(LAST_PAUSE_MS));
            waiting.n_raids += 1;
            waiting.raided.push((candidate.node.clone(), now.saturating_add(PEACE_MS)));
        }
    }

    /// Forgets which nodes a pod left in peace long enough.
    pub(super) fn end_peace(&mut self, now: Millis, uid: &str) {
        if let Some(waiting) = self.queue.get_mut(uid) {
            waiting.raided.retain(|(_, until)| *until > now);
        }
    }

    /// Has a refused pod try again when it may preempt pods of other schedulers again, and then where it may do so again.
    pub(super) fn raid_again(&mut self, now: Millis, uid: &str) {
        let Some(waiting) = self.queue.get(uid) else { return };
        let times = waiting.raided.iter().map(|(_, until)| *until).chain([waiting.raids_from]);
        if let Some(at) = times.filter(|at| *at > now).min() {
            self.queue.retry_by(uid, at);
        }
    }

    /// Pods of this scheduler below a priority that are nominated to a node.
    fn own_nominated_below(&self, priority: i32, node: &str) -> Vec<Arc<Pod>> {
        let nominated = self.cache.snapshot().nominated.on(node).iter().map(|placed| &placed.pod);
        let own = |pod: &&Arc<Pod>| self.queue.get(&pod.uid).is_some();
        nominated.filter(|pod| pod.spec.priority < priority).filter(own).cloned().collect()
    }

    /// Takes a pod's nomination back, here and in the API.
    pub(super) fn clear_nomination(&mut self, now: Millis, pod: &Pod) {
        let nominated = self.cache.snapshot().nominated.node_of(&pod.uid).is_some();
        if nominated || pod.nominated_node.is_some() {
            self.actions.push(Action::Nominate { pod: PodRef::from(pod), node: "".into() });
        }
        self.forget_nomination(now, &pod.uid);
    }

    /// Forgets a pod's nomination; those who gave way to it may have room now.
    pub(super) fn forget_nomination(&mut self, now: Millis, uid: &str) {
        if let Some((placed, node)) = self.cache.objects().nominated.remove(uid) {
            let freed = Pod { nominated_node: Some(node), ..Pod::clone(&placed.pod) };
            self.wake(now, &ClusterEvent::PodRemoved(&freed));
        }
    }

    /// The pod is taken onto a node: its nomination has served, and if that was for another node, the room there is free.
    pub(super) fn nomination_served(&mut self, now: Millis, uid: &str, node: &Str) {
        if self.cache.snapshot().nominated.node_of(uid) == Some(node) {
            self.cache.objects().nominated.remove(uid);
        } else {
            self.forget_nomination(now, uid);
        }
    }

    /// Takes in what the API says of a waiting pod's nomination, of any scheduler. `before` is what it said last, if the pod is this
    /// scheduler's: only a change says something new, because a nomination of its own may not have arrived there yet.
    pub(super) fn nomination_seen(&mut self, now: Millis, before: Option<&Pod>, pod: &Arc<Pod>) {
        let said = before.is_none_or(|before| before.nominated_node != pod.nominated_node);
        let node = if said { pod.nominated_node.clone() } else { self.cache.snapshot().nominated.node_of(&pod.uid).cloned() };
        match node {
            Some(node) => {
                if self.cache.snapshot().nominated.node_of(&pod.uid).is_some_and(|old| *old != node) {
                    self.forget_nomination(now, &pod.uid); // the room there is of use to others
                }
                let placed = PlacedPod::new(pod.clone(), self.io_of(pod));
                self.cache.objects().nominated.set(placed, node);
            }
            None => self.forget_nomination(now, &pod.uid),
        }
    }

    /// Victims that could not be deleted stay; the pod tries again as soon as its backoff allows.
    pub(super) fn preempt_ended(&mut self, now: Millis, pod: &PodRef, failed: &[PodRef]) {
        for victim in failed {
            self.cache.objects().nominated.pardon(&victim.uid);
        }
        if !failed.is_empty() {
            self.requeue(now, &pod.uid, FORCED);
        }
    }
}
