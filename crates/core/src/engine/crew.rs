//! One attempt to place a whole gang: its members are taken together, tried one after another as if those before were placed already,
//! and then all bound, or none. Leaves out when a gang is complete (`gangs`).

use super::Engine;
use super::attempt::Decided;
use super::consult::Consult;
use super::gangs::WAITING;
use crate::consult::Heard;
use crate::decide::Within;
use crate::event::{Millis, Together};
use crate::gang::domains::levels;
use crate::gang::{Belonging, Gang};
use aisched_model::Str;
use aisched_model::node::PlacedPod;
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What came of trying to place the members of a gang.
struct Tried {
    /// Members with what was decided, in their order; those after the one that ended it are not there.
    decided: Vec<(Arc<Pod>, Decided)>,
    n_placed: usize,
    /// No domain had room, so that nothing could be tried.
    nowhere: bool,
}

impl Tried {
    /// The mean of what the members score on their nodes.
    fn mean(&self) -> i64 {
        let totals = self.decided.iter().filter_map(|(_, d)| d.outcome.decision.node.as_ref().and(d.outcome.decision.nodes.first()?.total));
        totals.sum::<i64>() / i64::try_from(self.n_placed.max(1)).unwrap_or(i64::MAX)
    }
}

impl Engine {
    /// A member of a gang is next: the gang is placed, or all of it waits. Says whether the pod belongs to a gang at all.
    pub(super) fn schedule_gang(&mut self, now: Millis, first: &Arc<Pod>) -> bool {
        let gang = match self.belonging(first) {
            Belonging::Alone => return false,
            Belonging::Undescribed(_) => {
                self.holds_for_gang(now, first);
                return true;
            }
            Belonging::Gang(gang) => gang,
        };
        let Some(crew) = self.muster(now, first, &gang) else { return true };
        let needed = gang.quorum.saturating_sub(self.n_served(&gang)).max(1);
        let tried = self.search(&gang, &crew, needed);
        if tried.n_placed >= needed {
            self.place_crew(now, tried)
        } else {
            self.refuse_crew(now, &gang, &crew, tried)
        }
        true
    }

    /// Looks for the closest domain that takes the gang; among equals, where its members score best. Where nothing is required, the whole
    /// cluster comes last.
    fn search(&mut self, gang: &Gang, crew: &[Arc<Pod>], needed: usize) -> Tried {
        let levels =
            if crew.len() > 1 || gang.near.required.is_some() { levels(gang, self.cache.snapshot(), crew, needed) } else { Vec::new() };
        let mut closest: Option<Tried> = None;
        for domains in levels {
            let mut best: Option<(i64, Tried)> = None;
            for domain in domains {
                let tried = self.try_crew(crew, needed, Some(&domain.nodes));
                if tried.n_placed < needed {
                    closest = Some(tried);
                } else if best.as_ref().is_none_or(|(mean, _)| tried.mean() > *mean) {
                    best = Some((tried.mean(), tried));
                }
            }
            if let Some((_, tried)) = best {
                return tried;
            }
        }
        if gang.near.required.is_none() {
            return self.try_crew(crew, needed, None);
        }
        closest.unwrap_or_else(|| Tried { nowhere: true, ..self.try_crew(crew, needed, Some(&[])) })
    }

    /// Takes every member that is willing; `None` when they are too few, and then all of them wait.
    fn muster(&mut self, now: Millis, first: &Arc<Pod>, gang: &Gang) -> Option<Vec<Arc<Pod>>> {
        let all: Vec<Str> = self.mustered(gang).iter().map(|w| w.pod.uid.clone()).collect();
        let willing: Vec<&Str> = all.iter().filter(|uid| **uid == first.uid || self.queue.is_willing(uid)).collect();
        let n_served = self.n_served(gang);
        if willing.len() + n_served < gang.quorum {
            self.queue.put_back(&first.uid, WAITING.into());
            if all.len() + n_served < gang.quorum {
                self.holds_for_gang(now, first);
            }
            return None;
        }
        let mut crew = Vec::with_capacity(willing.len());
        for uid in willing {
            let pod = if *uid == first.uid { Some(first.clone()) } else { self.queue.take(uid) };
            let Some(pod) = pod else { continue };
            self.end_peace(now, uid);
            if !self.obey_policy(now, &pod) {
                crew.push(pod);
            }
        }
        if crew.len() + n_served < gang.quorum {
            let reason = format!("waiting for its gang: the policy holds a pod of {} back", gang.name());
            crew.iter().for_each(|pod| self.queue.put_back(&pod.uid, reason.clone()));
            return None;
        }
        Some(crew)
    }

    /// Decides for one member after another on the cluster as it would be with those before in their places. Nothing of it remains.
    fn try_crew(&mut self, crew: &[Arc<Pod>], needed: usize, within: Option<&[bool]>) -> Tried {
        let mut tried = Tried { decided: Vec::with_capacity(crew.len()), n_placed: 0, nowhere: false };
        let mut nominations: Vec<(PlacedPod, Str)> = Vec::new();
        for (i, pod) in crew.iter().enumerate() {
            let mut templates = core::mem::take(&mut self.templates);
            let waiting = self.queue.get(&pod.uid);
            let decided = waiting
                .and_then(|w| self.decide_for(w, self.options.report_nodes, Heard::default(), Some(&mut templates), Some(Within(within))));
            self.templates = templates;
            let Some(decided) = decided else { continue };
            if let Some(node) = &decided.outcome.decision.node {
                self.cache.assume(pod, node, decided.workload.io_demand());
                if let Some(plan) = &decided.outcome.volumes {
                    self.cache.assume_volumes(&pod.uid, node, plan);
                }
                if let Some(plan) = &decided.outcome.claims {
                    self.cache.assume_claims(&pod.uid, plan);
                }
                nominations.extend(self.cache.objects().nominated.remove(&pod.uid)); // it must not count twice
                tried.n_placed += 1;
            }
            tried.decided.push((pod.clone(), decided));
            if tried.n_placed + (crew.len() - 1 - i) < needed {
                break;
            }
        }
        for (pod, decided) in tried.decided.iter().rev().filter(|(_, decided)| decided.outcome.decision.node.is_some()) {
            if decided.outcome.volumes.is_some() {
                self.cache.take_back_volumes(&pod.uid);
            }
            if decided.outcome.claims.is_some() {
                self.cache.release_claims(&pod.uid);
            }
            self.cache.forget(&pod.uid);
        }
        for (placed, node) in nominations {
            self.cache.objects().nominated.set(placed, node);
        }
        tried
    }

    /// Binds the members that have a node. Those beyond the quorum for which there is no room wait by themselves.
    fn place_crew(&mut self, now: Millis, tried: Tried) {
        let with = Some(Together { id: self.n_decisions, n: tried.n_placed }).filter(|with| with.n > 1);
        for (pod, decided) in tried.decided {
            self.settle(now, &pod, decided, &Consult::default(), with);
        }
    }

    /// No member is placed: each is told which of them found no node, and why.
    fn refuse_crew(&mut self, now: Millis, gang: &Gang, crew: &[Arc<Pod>], tried: Tried) {
        let refused = |(_, decided): &&(Arc<Pod>, Decided)| decided.outcome.decision.node.is_none();
        let mut refused_by: Vec<&'static str> =
            tried.decided.iter().filter(refused).flat_map(|(_, d)| d.outcome.refused_by.clone()).collect();
        if tried.nowhere {
            refused_by.extend(["NodeResourcesFit", "NodeAffinity"]); // room, and labels of nodes
        }
        let error = tried.decided.iter().any(|(_, decided)| decided.outcome.error.is_some());
        let message = self.gang_message(gang, crew, &tried);
        let mut decided = tried.decided.into_iter();
        for pod in crew {
            if let Some((_, own)) = decided.next() {
                self.note_refusal(now, pod, own, &message);
            }
            if error {
                self.fail(now, pod, message.clone());
                continue;
            }
            self.refuse(pod, message.clone());
            self.clear_nomination(now, pod);
            self.queue.refused(now, &pod.uid, refused_by.clone());
            self.ask_again(&pod.uid);
            self.report_failure(now, &pod.uid, &message);
            if let Some(waiting) = self.queue.get_mut(&pod.uid) {
                waiting.held = Some(message.as_str().into());
            }
        }
    }

    fn note_refusal(&mut self, now: Millis, pod: &Arc<Pod>, decided: Decided, message: &str) {
        self.report_hints(pod, &decided.workload);
        let mut decision = decided.outcome.decision;
        (decision.node, decision.message) = (None, Some(message.into()));
        self.note(now, pod, Arc::new(decision));
    }

    /// One sentence on why a gang is not placed.
    fn gang_message(&self, gang: &Gang, crew: &[Arc<Pod>], tried: &Tried) -> String {
        let (name, quorum) = (gang.name(), gang.quorum);
        if let Some(excess) = excess(self.cache.snapshot(), crew, gang.quorum.saturating_sub(self.n_served(gang))) {
            return format!("{name} is larger than the cluster: the {quorum} pods that it needs {excess}.");
        }
        let within = gang.near.required.as_ref().map(|key| format!(" within one {key}")).unwrap_or_default();
        if tried.nowhere {
            return format!("{name} is placed whole or not at all: no domain has room{within} for the {quorum} pods that it needs.");
        }
        let failed = tried.decided.iter().find(|(_, decided)| decided.outcome.decision.node.is_none());
        let (pod, why) = failed.map_or(("none", ""), |(pod, d)| (&*pod.name, d.outcome.decision.message.as_deref().unwrap_or_default()));
        format!(
            "{name} is placed whole or not at all: of the {quorum} pods that it needs {pod} finds no node{within} with {} others placed: {why}",
            tried.n_placed
        )
    }
}

/// What the first `n` members ask for that all nodes together do not have, if there is anything.
fn excess(snapshot: &aisched_model::snapshot::Snapshot, crew: &[Arc<Pod>], n: usize) -> Option<String> {
    let all = |amount: &dyn Fn(&aisched_model::resources::Resources) -> i64| {
        let asked = crew.iter().take(n).map(|pod| amount(&pod.spec.requests)).fold(0, i64::saturating_add);
        let there = snapshot.nodes.iter().map(|info| amount(&info.node.allocatable)).fold(0, i64::saturating_add);
        (asked > there).then_some((asked, there))
    };
    if let Some((asked, there)) = all(&|r| r.cpu.0) {
        return Some(format!("ask for {} cores, and all nodes together have {}", cores(asked), cores(there)));
    }
    if let Some((asked, there)) = all(&|r| r.memory.0) {
        return Some(format!("ask for {} GiB of memory, and all nodes together have {}", asked >> 30, there >> 30));
    }
    let scalars = crew.iter().flat_map(|pod| pod.spec.requests.scalars.iter().map(|(name, _)| name));
    let scalars: alloc::collections::BTreeSet<&Str> = scalars.collect();
    scalars.into_iter().find_map(|name| {
        let (asked, there) = all(&|r| r.scalars.iter().find(|(n, _)| n == name).map_or(0, |(_, amount)| *amount))?;
        Some(format!("ask for {asked} {name}, and all nodes together have {there}"))
    })
}

fn cores(milli: i64) -> String {
    if milli % 1000 == 0 { format!("{}", milli / 1000) } else { format!("{milli}m") }
}
