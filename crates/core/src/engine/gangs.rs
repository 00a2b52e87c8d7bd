//! Gangs in the queue: members wait until enough of them are there, then the whole gang is placed in one step or nothing of it.
//! Leaves out the placing itself (`crew`). A gang that waits holds nothing, so no two gangs can stand in each other's way for ever.

use super::Engine;
use crate::event::Millis;
use crate::gang::{Belonging, Gang, undescribed};
use crate::queue::Waiting;
use aisched_model::Str;
use aisched_model::gang::{GangKey, shown};
use aisched_model::pod::Pod;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A gang of which nothing has come for this long is said to be incomplete in the conditions of its members.
const SETTLED_MS: Millis = 3_000;

/// Why members are held back; how many are there is said when somebody asks.
pub(super) const WAITING: &str = "waiting for its gang";

/// What is remembered of gangs.
#[derive(Default)]
pub(super) struct Gangs {
    /// Members that have done their work, by gang and UID, each with its part: they count as there while others are.
    done: BTreeMap<GangKey, BTreeMap<Str, Str>>,
    /// Incomplete gangs.
    vigils: BTreeMap<(GangKey, Option<Str>), Vigil>,
}

/// The wait for an incomplete gang.
struct Vigil {
    /// When its first member was held back.
    since: Millis,
    /// When the members are told, unless another comes before.
    tell: Option<Millis>,
    /// When it has waited too long.
    overdue: Option<Millis>,
}

impl Gangs {
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.vigils.values().flat_map(|vigil| vigil.tell.into_iter().chain(vigil.overdue)).min()
    }
}

impl Engine {
    /// How a pod is to be placed. Extenders are asked about one pod at a time, so that pods that concern them are placed by themselves.
    pub(super) fn belonging(&self, pod: &Pod) -> Belonging {
        let together = pod.spec.gang.is_some() && self.profile_of(&pod.spec.scheduler_name).is_some_and(|p| p.places_gangs());
        if together && !self.concerns_extender(pod) { Belonging::of(pod, self.cache.snapshot()) } else { Belonging::Alone }
    }

    /// The members that wait and that nothing of their own holds back, in the order of the queue.
    pub(super) fn mustered(&self, gang: &Gang) -> Vec<&Waiting> {
        let of = |w: &&Waiting| w.pod.spec.gang.as_ref().is_some_and(|g| gang.takes(g)) && !w.pod.deleting && !w.is_held_alone();
        let mut members: Vec<&Waiting> = self.queue.members(&gang.key).filter(of).collect();
        members.sort_by_key(|w| w.place());
        members
    }

    /// How many members have a node or have done their work.
    pub(super) fn n_served(&self, gang: &Gang) -> usize {
        let done = self.gangs.done.get(&gang.key).into_iter().flatten().filter(|(_, part)| gang.has(part)).count();
        gang.placed(self.cache.snapshot()).count() + done
    }

    /// Holds a pod back until its gang is complete; when it is, lets in the members that waited for it. Says whether it did the former.
    pub(super) fn holds_for_gang(&mut self, now: Millis, pod: &Pod) -> bool {
        let gang = match self.belonging(pod) {
            Belonging::Alone => return false,
            Belonging::Undescribed(key) => {
                self.queue.gate_for_gang(&pod.uid, undescribed(&key));
                self.keep_vigil(now, (key, None), None);
                return true;
            }
            Belonging::Gang(gang) => gang,
        };
        self.queue.gate_for_gang(&pod.uid, WAITING.into()); // it counts among those that are there
        let n_served = self.n_served(&gang);
        let few = self.queue.n_members(&gang.key) + n_served < gang.quorum;
        if few || self.mustered(&gang).len() + n_served < gang.quorum {
            self.keep_vigil(now, (gang.key.clone(), gang.part.clone()), gang.timeout_ms);
            return true;
        }
        self.gangs.vigils.remove(&(gang.key.clone(), gang.part.clone()));
        let held: Vec<Str> = self.mustered(&gang).iter().filter(|w| w.is_held_for_gang()).map(|w| w.pod.uid.clone()).collect();
        for uid in held.iter().filter(|uid| **uid != pod.uid) {
            self.queue.set_cause(uid, "GangComplete");
            self.enter_queue(now, uid);
        }
        false
    }

    /// Something of a gang has changed that may let its members in.
    pub(super) fn gang_changed(&mut self, now: Millis, key: &GangKey) {
        let held: Vec<Str> = self.queue.members(key).filter(|w| w.is_held_for_gang()).map(|w| w.pod.uid.clone()).collect();
        for uid in held {
            if self.queue.get(&uid).is_some_and(Waiting::is_held_for_gang) {
                self.make_ready(now, &uid); // which lets the others in if it is let in itself
            }
        }
    }

    /// An object that describes gangs has changed: for a LeaderWorkerSet all of its groups.
    pub(super) fn gangs_described(&mut self, now: Millis, object: &GangKey) {
        let of = |w: &&Waiting| w.pod.spec.gang.as_ref().is_some_and(|gang| gang.object_key(&w.pod.namespace) == *object);
        let keys = self.queue.iter().filter(of).filter_map(|w| Some(w.pod.spec.gang.as_ref()?.key(&w.pod.namespace)));
        let keys: alloc::collections::BTreeSet<GangKey> = keys.collect();
        for key in keys {
            self.gang_changed(now, &key);
            let refused: Vec<Str> = self.queue.members(&key).map(|w| w.pod.uid.clone()).collect();
            refused.iter().for_each(|uid| self.requeue(now, uid, "GangChanged"));
        }
    }

    /// A pod is gone. One that had a node and was not being deleted has done its work: what it did counts for its gang.
    pub(super) fn member_gone(&mut self, uid: &str) {
        let Some(pod) = self.cache.placed(uid).filter(|pod| !pod.deleting && self.cache.assumed(uid).is_none()) else { return };
        if let Some(gang) = &pod.spec.gang {
            self.gangs.done.entry(gang.key(&pod.namespace)).or_default().insert(uid.into(), gang.part.clone());
        }
    }

    /// Forgets gangs of which no pod is left.
    pub(super) fn forget_gangs(&mut self, pod: Option<&Pod>) {
        let Some(key) = pod.and_then(|pod| Some(pod.spec.gang.as_ref()?.key(&pod.namespace))) else { return };
        if self.queue.members(&key).next().is_none() {
            self.gangs.vigils.retain(|(of, _), _| *of != key);
            if !self.cache.snapshot().members.contains_key(&key) {
                self.gangs.done.remove(&key);
            }
        }
    }

    fn keep_vigil(&mut self, now: Millis, of: (GangKey, Option<Str>), timeout_ms: Option<u64>) {
        let overdue = timeout_ms.map(|ms| now.saturating_add(ms));
        let vigil = self.gangs.vigils.entry(of).or_insert(Vigil { since: now, tell: None, overdue });
        vigil.tell = Some(now.saturating_add(SETTLED_MS));
    }

    /// Tells the members of gangs that stay incomplete, once when nothing more seems to come, and once when the gang's time is over.
    pub(super) fn tell_gangs(&mut self, now: Millis) {
        let mut due = Vec::new();
        for (of, vigil) in &mut self.gangs.vigils {
            if vigil.tell.take_if(|at| *at <= now).is_some() {
                due.push((of.clone(), None));
            }
            if vigil.overdue.take_if(|at| *at <= now).is_some() {
                due.push((of.clone(), Some(now.saturating_sub(vigil.since))));
            }
        }
        for ((key, part), waited) in due {
            let of = |w: &&Waiting| part.as_ref().is_none_or(|part| w.pod.spec.gang.as_ref().is_some_and(|gang| gang.part == *part));
            let held = self.queue.members(&key).filter(|w| w.is_held_for_gang()).filter(of);
            let members: Vec<Arc<Pod>> = held.map(|w| w.pod.clone()).collect();
            let Some(reason) = members.first().and_then(|pod| self.waits_for_gang(pod)) else { continue };
            for pod in &members {
                match waited {
                    None => self.complain(pod, "SchedulingGated", reason.clone()),
                    Some(ms) => {
                        let note = format!("{} has waited {} s, its time, and holds nothing", shown(&key, part.as_ref()), ms / 1000);
                        let event = self.warning(pod, "GangTimedOut", note);
                        self.actions.push(event);
                    }
                }
            }
        }
    }

    /// Why a member waits for its gang, with how many are there now.
    pub(super) fn waits_for_gang(&self, pod: &Pod) -> Option<String> {
        match self.belonging(pod) {
            Belonging::Alone => None,
            Belonging::Undescribed(key) => Some(undescribed(&key)),
            Belonging::Gang(gang) => {
                let (n_there, willing) = (self.mustered(&gang), |w: &&&Waiting| self.queue.is_willing(&w.pod.uid));
                let (n_willing, n_there) = (n_there.iter().filter(willing).count(), n_there.len());
                let n_served = self.n_served(&gang);
                if n_there + n_served < gang.quorum {
                    return Some(gang.short(n_there + n_served));
                }
                let n = n_there - n_willing;
                (n > 0)
                    .then(|| format!("waiting for its gang: {n} of the pods of {} wait for a policy or for another attempt", gang.name()))
            }
        }
    }
}
