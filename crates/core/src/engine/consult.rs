//! Extenders in the course of an attempt: a pod that concerns them is parked with the question while others are scheduled, and is
//! decided on the cluster of the moment when the answer is there. Leaves out asking (whoever carries the actions out does that).

use super::{Engine, FORCED};
use crate::consult::{About, Advice, Answer, EXTENDER, Extender, Heard, Judged, Proposal, Question, Said, Told, Victims, VictimsTold};
use crate::decide::{Outcome, feasible};
use crate::event::{Action, Millis, PodRef};
use crate::preemption::{Candidate, Nominate};
use aisched_model::Str;
use aisched_model::pod::{Pod, PodSpec};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A pod that extenders are asked about, and what they have said so far.
#[derive(Default)]
pub(super) struct Consult {
    /// The latest question.
    id: u64,
    /// What the pod was when it was asked about.
    spec: Arc<PodSpec>,
    /// Nodes asked about last.
    nodes: Arc<[Str]>,
    /// Whether these were all that pass the filters, not just the one that the pod is nominated to.
    all: bool,
    told: Option<Told>,
    victims: Option<VictimsTold>,
    /// The nodes could not be asked about.
    failed: Option<String>,
    /// Something has happened in the cluster since the first question: if extenders refuse the pod, they may not any longer.
    stirred: bool,
}

impl Engine {
    /// The engine with these extenders, in the order in which they are called.
    #[must_use]
    pub fn with_extenders(mut self, extenders: Vec<Extender>) -> Self {
        self.extenders = extenders;
        self
    }

    fn interested<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Extender> {
        self.extenders.iter().filter(|extender| extender.is_interested(pod))
    }

    /// Whether any extender has to do with the pod.
    pub(super) fn concerns_extender(&self, pod: &Pod) -> bool {
        self.interested(pod).next().is_some()
    }

    /// Whether an extender binds the pod.
    pub(super) fn binds_by_extender(&self, pod: &Pod) -> bool {
        self.interested(pod).any(|extender| extender.binds)
    }

    /// Goes by what extenders have said of a popped pod. `None` when the attempt ends here: they have to be asked first, or have failed it.
    pub(super) fn hear(&mut self, now: Millis, pod: &Arc<Pod>, mut consult: Consult) -> Option<Consult> {
        if let Some(error) = consult.failed.take() {
            if consult.all {
                self.fail(now, pod, error);
                return None;
            }
            // Trouble with the nominated node alone: the others are looked at.
            consult.told = Some(Told { asked: consult.nodes.clone(), judged: Judged::default() });
        }
        let (filters, prioritizes) = (self.interested(pod).any(|e| e.filters), self.interested(pod).any(|e| e.prioritizes));
        if consult.told.is_some() || !(filters || prioritizes) {
            return Some(consult);
        }
        let nodes = self.feasible(pod, false);
        if nodes.is_empty() || (nodes.len() == 1 && !filters) {
            return Some(consult); // nothing to judge, or nothing to choose from
        }
        self.ask_about_nodes(pod, consult, nodes);
        None
    }

    /// Asks again where the answer is not enough: nodes that nobody was asked about would do, or it is to be said who may be preempted.
    /// Gives what was heard back when nothing is to be asked.
    pub(super) fn ask_more(&mut self, pod: &Arc<Pod>, consult: Consult, outcome: &Outcome) -> Option<Consult> {
        if outcome.decision.node.is_some() {
            return Some(consult);
        }
        if let Some(told) = &consult.told {
            let nodes = self.feasible(pod, true);
            if nodes.iter().any(|node| !consult.all || !told.knows(node)) {
                self.ask_about_nodes(pod, consult, nodes);
                return None;
            }
        }
        let Nominate::Ask(candidates) = &outcome.nominate else { return Some(consult) };
        let proposals: Vec<Proposal> = candidates.iter().map(|c| self.proposal(c)).collect();
        let asked = proposals.iter().map(|p| p.node.clone()).collect();
        let victims = Some(VictimsTold { asked, said: Err(String::new()) });
        self.ask(pod, Consult { victims, ..consult }, About::Victims(proposals));
        None
    }

    fn feasible(&self, pod: &Pod, all: bool) -> Vec<Str> {
        let waiting = self.queue.get(&pod.uid);
        waiting.and_then(|w| self.attempt(w, |profile, attempt| feasible(profile, attempt, all))).map_or_else(Vec::new, |(nodes, _)| nodes)
    }

    fn proposal(&self, candidate: &Candidate) -> Proposal {
        let snapshot = self.cache.snapshot();
        let on_node = snapshot.node_idx(&candidate.node).map(|i| &snapshot.nodes[i].pods);
        let pods = on_node.into_iter().flatten().map(|placed| PodRef::from(&*placed.pod)).collect();
        let uids = candidate.victims.iter().map(|victim| victim.uid.clone()).collect();
        Proposal { node: candidate.node.clone(), pods, victims: Victims { uids, n_violations: candidate.n_violations } }
    }

    fn ask_about_nodes(&mut self, pod: &Arc<Pod>, consult: Consult, nodes: Vec<Str>) {
        let nominated = self.cache.snapshot().nominated.node_of(&pod.uid);
        // A second question is always about all.
        let all = consult.told.is_some() || !matches!(nodes.as_slice(), [only] if Some(only) == nominated);
        let nodes: Arc<[Str]> = nodes.into();
        let consult = Consult { nodes: nodes.clone(), all, told: None, victims: None, ..consult };
        self.ask(pod, consult, About::Nodes(nodes));
    }

    /// Parks the pod with a question.
    fn ask(&mut self, pod: &Arc<Pod>, consult: Consult, about: About) {
        self.n_questions += 1;
        let id = self.n_questions;
        self.consults.insert(pod.uid.clone(), Consult { id, spec: pod.spec.clone(), ..consult });
        if let Some(waiting) = self.queue.get_mut(&pod.uid) {
            waiting.held = Some("waits for the answer of an extender".into());
        }
        self.actions.push(Action::Consult(Question { id, pod: pod.clone(), about }));
    }

    /// The answer makes its pod ready; what it says counts if the pod is still what was asked about.
    pub(super) fn consulted(&mut self, answer: Answer) {
        let Some(consult) = self.consults.get_mut(&answer.uid).filter(|consult| consult.id == answer.id) else { return };
        if self.queue.get(&answer.uid).is_none_or(|waiting| waiting.pod.spec != consult.spec) {
            self.consults.remove(&answer.uid);
        } else {
            match answer.said {
                Said::Nodes(Ok(judged)) => consult.told = Some(Told { asked: consult.nodes.clone(), judged }),
                Said::Nodes(Err(error)) => consult.failed = Some(error),
                Said::Victims(said) => consult.victims.iter_mut().for_each(|victims| victims.said = said.clone()),
            }
        }
        self.queue.resume(&answer.uid);
    }

    /// Something has happened that may change an extender's mind.
    pub(super) fn stir(&mut self) {
        self.consults.values_mut().for_each(|consult| consult.stirred = true);
    }

    /// What extenders were told of while they were asked may have changed their answer: a pod that they refused tries again.
    pub(super) fn refused_by_extenders(&mut self, now: Millis, pod: &Pod, consult: &Consult) {
        let Some(waiting) = self.queue.get_mut(&pod.uid).filter(|w| w.refused_by.contains(&EXTENDER)) else { return };
        waiting.held = Some("refused at its last attempt by an extender; extenders are asked only at attempts".into());
        if consult.stirred {
            self.requeue(now, &pod.uid, FORCED);
        }
    }
}

impl Consult {
    /// As a decision about the pod takes it.
    pub(super) fn heard(&self, engine: &Engine, pod: &Pod) -> Heard<'_> {
        let advice = match &self.victims {
            Some(victims) => Advice::Told(victims),
            None if engine.interested(pod).any(|extender| extender.preempts) => Advice::Ask,
            None => Advice::None,
        };
        Heard { told: self.told.as_ref(), advice }
    }
}
