//! kube-scheduler's DefaultPreemption: whether a pod that fits nowhere would fit if pods of lower priority left a node, and which.
//! Leaves out having them deleted: that is the engine's, and what is decided here changes nothing.

mod choice;
mod gangs;
mod locality;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_random;
mod trial;
mod victims;

pub use victims::Candidate;

use crate::consult::{Advice, VictimsTold};
use crate::decide::{Choice, Rows};
use crate::framework::{Attempt, ClusterEvent, Plugin, Prepared, Refusal, RefusalCode};
use crate::plugins::args::DefaultPreemptionArgs;
use aisched_model::pod::{Pod, PreemptionPolicy};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
pub(crate) use trial::{Against, Judge, Trial, rivals};

/// kube-scheduler's plugin of the same name. It neither filters nor scores: it speaks when no node is left.
#[derive(Default)]
pub struct DefaultPreemption {
    /// Its arguments.
    pub args: DefaultPreemptionArgs,
}

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn prepare<'a>(&'a self, _attempt: &Attempt<'a>) -> Prepared<'a> {
        Prepared::default()
    }

    fn preempts(&self) -> Option<DefaultPreemptionArgs> {
        Some(self.args)
    }

    /// Never: the plugins that refused the pod know what frees them.
    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false
    }
}

/// What preemption makes of a pod that fits nowhere.
pub(crate) struct Preemption {
    /// For the end of the pod's message.
    pub(crate) tail: String,
    /// What becomes of its nomination.
    pub(crate) nominate: Nominate,
}

/// What becomes of a pod's nomination.
#[derive(Clone, Debug, PartialEq)]
pub enum Nominate {
    /// It stays as it is.
    Keep,
    /// It is taken back, if there is one.
    Clear,
    /// The pod is nominated to this node, and its victims are to leave.
    On(Candidate),
    /// Extenders have to be asked which of these may be taken.
    Ask(Vec<Candidate>),
}

/// Reason given for nodes on which no pod's leaving would change anything.
const NOT_HELPFUL: Cow<'static, str> = Cow::Borrowed("Preemption is not helpful for scheduling");

/// Reason given for nodes from which the pod has made others' pods leave lately, without getting the room.
const LOST: &str = "node(s) where pods of another scheduler took the room that was made";

/// Looks for the node where making room costs least. `rows` say why each node was refused; `gangs` whether they leave whole.
pub(crate) fn preempt(
    args: DefaultPreemptionArgs,
    attempt: &Attempt<'_>,
    judges: &[Judge<'_>],
    rows: &Rows,
    (choice, gangs): (Choice<'_>, bool),
) -> Preemption {
    if let Some(reason) = ineligible(attempt, rows) {
        return Preemption { tail: format!("preemption: {reason}"), nominate: Nominate::Keep };
    }
    match search(args, attempt, judges, rows, (choice, gangs)) {
        Ok(candidates) => choose(candidates, attempt, choice),
        Err(refusals) => {
            let mut counts: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
            let n_tried: usize = refusals.iter().map(|(_, n)| n).sum();
            for (refusal, n) in refusals.iter().filter(|(_, n)| *n > 0) {
                for reason in &refusal.reasons {
                    *counts.entry(reason.clone()).or_default() += n;
                }
            }
            if n_tried < rows.len() {
                *counts.entry(NOT_HELPFUL).or_default() += rows.len() - n_tried;
            }
            let tail = format!("preemption: {}", crate::decide::summary(rows.len(), counts));
            Preemption { tail, nominate: Nominate::Clear }
        }
    }
}

/// Takes the best of the candidates that the extenders leave.
fn choose(candidates: Vec<Candidate>, attempt: &Attempt<'_>, choice: Choice<'_>) -> Preemption {
    let candidates = match choice.heard.advice {
        Advice::None => candidates,
        Advice::Ask => return Preemption { tail: String::new(), nominate: Nominate::Ask(candidates) },
        Advice::Told(VictimsTold { said: Err(error), .. }) => {
            return Preemption { tail: format!("preemption: {error}"), nominate: Nominate::Keep };
        }
        Advice::Told(VictimsTold { said: Ok(said), .. }) => {
            candidates.into_iter().filter_map(|c| c.with(said.get(&c.node)?, attempt.snapshot)).collect()
        }
    };
    let Some(candidate) = choice::best(candidates, choice.salt, &attempt.pod.uid) else {
        return Preemption { tail: "preemption: no candidate node for preemption".into(), nominate: Nominate::Keep };
    };
    let (node, n) = (&candidate.node, candidate.victims.len());
    let tail = format!("preemption: found a potential placement for pod on node {node}, preempting {n} victims");
    Preemption { tail, nominate: Nominate::On(candidate) }
}

/// Why the pod may not preempt anyone now.
fn ineligible(attempt: &Attempt<'_>, rows: &Rows) -> Option<&'static str> {
    let (pod, snapshot) = (attempt.pod, attempt.snapshot);
    if pod.spec.preemption == PreemptionPolicy::Never {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let idx = snapshot.node_idx(snapshot.nominated.node_of(&pod.uid)?)?;
    if rows.against(idx).is_some_and(|a| a.refusal.code != RefusalCode::Unschedulable) {
        return None; // the node that it made room on is lost to it
    }
    let leaves = |other: &Pod| (other.deleting && other.preempted) || snapshot.nominated.is_condemned(&other.uid);
    let mut lower = snapshot.nodes[idx].pods.iter().filter(|p| p.pod.spec.priority < pod.spec.priority);
    lower.any(|p| leaves(&p.pod)).then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Tries the nodes that were refused for something that pods' leaving could change, from a place that differs between attempts, until
/// there are enough candidates; the refusals of those that were tried when there is none. Where extenders were asked about candidates,
/// these alone are tried again.
fn search(
    args: DefaultPreemptionArgs,
    attempt: &Attempt<'_>,
    judges: &[Judge<'_>],
    rows: &Rows,
    (choice, gangs): (Choice<'_>, bool),
) -> Result<Vec<Candidate>, Vec<(Refusal, usize)>> {
    let mut hopeful: Vec<usize> = rows.hopeful();
    let mut wanted = n_candidates(args, hopeful.len());
    if let Advice::Told(told) = choice.heard.advice {
        hopeful.retain(|i| told.asked.contains(&attempt.snapshot.nodes[*i].node.name));
        wanted = hopeful.len();
    }
    let mut refusals = Vec::new();
    if !choice.in_peace.is_empty() {
        let all = hopeful.len();
        hopeful.retain(|i| choice.in_peace.iter().all(|(node, _)| *node != attempt.snapshot.nodes[*i].node.name));
        refusals.push((Refusal::unresolvable(LOST), all - hopeful.len()));
    }
    if !attempt.snapshot.has_below(attempt.pod.spec.priority) {
        refusals.push((victims::none(), hopeful.len())); // so for each of them, without looking
        return Err(refusals);
    }
    let mut trial = Trial::new(attempt, judges);
    let mut candidates = Vec::new();
    let start = usize::try_from(choice.salt % (hopeful.len().max(1) as u64)).unwrap_or(0);
    for idx in hopeful[start..].iter().chain(&hopeful[..start]) {
        trial.enter(*idx);
        match victims::select(&mut trial, attempt, gangs) {
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => refusals.push((refusal, 1)),
        }
        if candidates.len() >= wanted && candidates.iter().any(|c| c.n_violations == 0) {
            break;
        }
    }
    if candidates.is_empty() { Err(refusals) } else { Ok(candidates) }
}

/// How many candidates are enough: 10 % of the nodes, but at least 100. Example: of 5000 nodes 500, of 500 nodes 100, of 50 all.
fn n_candidates(args: DefaultPreemptionArgs, n_nodes: usize) -> usize {
    let number = |n: i32| usize::try_from(n).unwrap_or(0);
    let share = n_nodes * number(args.min_candidate_nodes_percentage) / 100;
    share.max(number(args.min_candidate_nodes_absolute)).min(n_nodes)
}
