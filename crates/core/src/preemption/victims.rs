//! Which pods would have to leave a node: as few as possible, the least important ones, budgets respected where that is possible.
//! Leaves out which node is taken (`choice`).

use super::gangs::{companions, may_leave};
use super::locality::loss;
use super::trial::Trial;
use crate::consult::Victims;
use crate::framework::{Attempt, Refusal};
use aisched_model::Str;
use aisched_model::node::PlacedPod;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::IoDemand;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

/// A node that the pod could run on if these pods left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The node.
    pub node: Str,
    /// Who has to leave, most important first; never empty.
    pub victims: Vec<Arc<Pod>>,
    /// How many of them a disruption budget protects.
    pub n_violations: usize,
    /// How much data locality is lost with them.
    pub(super) loss: usize,
}

impl Candidate {
    /// The same node with the victims that extenders name, those that have left it meanwhile excepted; `None` when none is left.
    pub(super) fn with(&self, said: &Victims, snapshot: &Snapshot) -> Option<Self> {
        let pods = &snapshot.nodes[snapshot.node_idx(&self.node)?].pods;
        let named = |placed: &&PlacedPod| said.uids.contains(&placed.pod.uid);
        let victims: Vec<Arc<Pod>> = pods.iter().filter(named).map(|placed| placed.pod.clone()).collect();
        (!victims.is_empty()).then(|| Self { node: self.node.clone(), victims, n_violations: said.n_violations, loss: self.loss })
    }
}

/// Finds the victims on the node that the trial is at; a refusal when none would help.
///
/// First every pod of lower priority leaves; then, protected ones first and the more important before the less, each comes back
/// unless the pod no longer fits with it.
pub(super) fn select(trial: &mut Trial<'_, '_>, attempt: &Attempt<'_>, gangs: bool) -> Result<Candidate, Refusal> {
    let own = attempt.pod.spec.priority;
    let node = attempt.snapshot.node_idx(&trial.node().node.name).map(|i| &attempt.snapshot.nodes[i]);
    let may_leave = |p: &&PlacedPod| p.pod.spec.priority < own && (!gangs || may_leave(&p.pod, attempt));
    let mut lower: Vec<PlacedPod> = trial.node().pods.iter().filter(may_leave).cloned().collect();
    let Some(node) = node.filter(|_| !lower.is_empty()) else {
        return Err(none());
    };
    lower.iter().for_each(|placed| trial.remove(&placed.pod));
    if let Some(against) = trial.judge() {
        return Err(against.refusal);
    }
    let losses = |pod: &Pod| loss(pod, node, attempt);
    lower.sort_by(|a, b| by_importance(&a.pod, &b.pod, losses));
    let of_budgets = protected(&lower, attempt.snapshot);
    let (first, second): (Vec<_>, Vec<_>) = lower.into_iter().zip(of_budgets).partition(|(_, protected)| *protected);
    let (mut victims, mut n_violations) = (Vec::new(), 0);
    for (placed, protected) in first.into_iter().chain(second) {
        trial.add(placed.clone());
        if trial.judge().is_some() {
            trial.remove(&placed.pod);
            n_violations += usize::from(protected);
            victims.push(placed.pod);
        }
    }
    if victims.is_empty() {
        return Err(none());
    }
    if gangs {
        let others = companions(&victims, attempt);
        let placed: Vec<PlacedPod> = others.iter().map(|pod| PlacedPod::new(pod.clone(), IoDemand::default())).collect();
        n_violations += protected(&placed, attempt.snapshot).into_iter().filter(|protected| *protected).count();
        victims.extend(others);
    }
    victims.sort_by(|a, b| by_importance(a, b, losses));
    let loss = victims.iter().map(|v| losses(v)).sum();
    Ok(Candidate { node: node.node.name.clone(), victims, n_violations, loss })
}

/// There is nobody who could leave.
pub(super) fn none() -> Refusal {
    Refusal::unresolvable("No preemption victims found for incoming pod")
}

/// Higher priority first, then the one that runs longer; among equals the one whose data would be lost, then by name.
fn by_importance(a: &Pod, b: &Pod, loss: impl Fn(&Pod) -> usize) -> Ordering {
    let key = |pod: &Pod| (Reverse(pod.spec.priority), started(pod));
    key(a).cmp(&key(b)).then_with(|| loss(b).cmp(&loss(a))).then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
}

/// When a pod started; one that has not counts as starting now.
pub(super) fn started(pod: &Pod) -> i64 {
    pod.start_s.unwrap_or(i64::MAX)
}

/// For each pod, whether a budget would be exceeded if it and all before it left. A budget is used up in this order.
fn protected(pods: &[PlacedPod], snapshot: &Snapshot) -> Vec<bool> {
    let mut left: BTreeMap<_, i32> = BTreeMap::new();
    let mut exceeds = |pod: &Pod| {
        let covering = snapshot.budgets.iter().filter(|(_, b)| b.covers(&pod.namespace, &pod.spec.labels));
        // What is counted as disrupted already costs nothing more.
        let mut counting = covering.filter(|(_, b)| !b.disrupted.contains(&pod.name));
        counting.any(|(key, budget)| {
            let left = left.entry(key).or_insert(budget.allowed);
            *left = left.saturating_sub(1);
            *left < 0
        })
    };
    pods.iter().map(|p| !p.pod.spec.labels.is_empty() && exceeds(&p.pod)).collect()
}
