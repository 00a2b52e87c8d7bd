//! Places pods near to or apart from other pods: required terms refuse nodes (`required`), preferred ones score them (`preferred`).
//! Leaves out `matchLabelKeys` and `mismatchLabelKeys`, which the API server merges into the terms' selectors.

mod preferred;
mod required;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_random;
#[cfg(test)]
mod tests_wakes;

use super::args::InterPodAffinityArgs;
use crate::cures::Change;
use crate::framework::{
    Attempt, ClusterEvent, Filter, Follower, Kept, MAX_SCORE, Plugin, Prepared, Refusal, Score, Tally, Trait, recalled,
};
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, PodAffinityTerm};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use preferred::Preferred;
use required::Required;
use terms::{may_match, must_match};

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct InterPodAffinity {
    /// Its arguments.
    pub args: InterPodAffinityArgs,
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        self.prepare_kept(attempt, &mut None)
    }

    fn prepare_kept<'a>(&'a self, attempt: &Attempt<'a>, kept: &mut Kept) -> Prepared<'a> {
        let mut asked = Counted { required: Required::of(attempt), preferred: Preferred::of(&self.args, attempt) };
        let counted = recalled::<Counted>(kept).filter(|known| known.counts_alike(&asked)).unwrap_or_else(|| {
            asked.required.count(attempt.snapshot);
            asked.preferred.count(attempt.snapshot);
            Arc::new(asked)
        });
        *kept = Some(counted.clone());
        let mut prepared = Prepared::default();
        if counted.required.is_touched() {
            prepared = Prepared::filter(Rules(counted.clone()));
        }
        if counted.preferred.may_apply(&self.args, attempt.snapshot) {
            prepared = prepared.and_score(Wishes { counted, compared: false });
        }
        prepared
    }

    /// The pod may have been refused by terms of pods that are there: which labels those are about is not known here.
    /// kube-scheduler looks at the pod's own terms alone and leaves the others waiting for its periodic retry.
    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let (near, apart) = (&pod.spec.pod_affinity.required, &pod.spec.pod_anti_affinity.required);
        match event {
            ClusterEvent::PodPlaced(other) => is_wanted(near, other, may_match),
            ClusterEvent::PodChanged { old, new } => old.spec.labels != new.spec.labels && relabelling_helps(pod, old, new),
            ClusterEvent::PodRemoved(other) => removal_helps(pod, other),
            ClusterEvent::OwnChange { old, new } => old.spec.labels != new.spec.labels,
            ClusterEvent::NodeAdded(node) => near.is_empty() || near.iter().any(|t| node.labels.contains_key(&t.topology_key)),
            ClusterEvent::NodeChanged { old, new } => near.iter().any(|t| joins(t, old, new)) || leaves(old, new),
            // The pods on it count no more in the domains that it was in.
            ClusterEvent::NodeGone(_, pods) => pods.iter().any(|placed| removal_helps(pod, &placed.pod)),
            ClusterEvent::Namespace(name) => **name == pod.namespace || near.iter().chain(apart).any(selects_namespaces),
            _ => false,
        }
    }
}

/// What terms make of the pods that are there.
struct Counted {
    required: Required,
    preferred: Preferred,
}

impl Counted {
    fn counts_alike(&self, other: &Self) -> bool {
        self.required.counts_alike(&other.required) && self.preferred.counts_alike(&other.preferred)
    }
}

impl Tally for Counted {
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        self.required.pod_moved(pod, node, came);
        self.preferred.pod_moved(pod, node, came);
    }
}

/// Refuses nodes by required terms.
struct Rules(Arc<Counted>);

impl Filter for Rules {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        self.0.required.check(node)
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        self.0.required.one_key().map(Trait::Label)
    }

    fn follower(&self) -> Option<Box<dyn Follower + '_>> {
        self.0.required.follower()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        self.0.required.detail(node)
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        self.0.required.cure(node)
    }
}

/// Scores nodes by preferred terms.
struct Wishes {
    counted: Arc<Counted>,
    /// Whether there is more than one node to choose from: a node alone scores 0 whatever its points.
    compared: bool,
}

impl Score for Wishes {
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        self.compared = feasible.len() > 1;
    }

    fn skips(&self) -> bool {
        self.compared && self.counted.preferred.is_empty()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        if self.compared { self.counted.preferred.points(&node.node.labels) } else { 0 }
    }

    /// Stretches lowest to highest over 0 to 100: −10, 5, 20 become 0, 50, 100; all equal become 0.
    /// Divided before multiplied, in floating point and cut off, as kube-scheduler does: 29 of 100 becomes 28.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "points are far below 2^53")]
    fn normalize(&self, scores: &mut [i64]) {
        let (min, max) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            let share = if max > min { (*score - min) as f64 / (max - min) as f64 } else { 0.0 };
            *score = (MAX_SCORE as f64 * share) as i64;
        }
    }
}

/// How to tell whether a term is about a pod where the namespaces are not known.
type Match = fn(&PodAffinityTerm, &Pod) -> bool;

/// Whether one pod alone is what all of these affinity terms ask for.
fn is_wanted(terms: &[PodAffinityTerm], other: &Pod, matches: Match) -> bool {
    !terms.is_empty() && terms.iter().all(|t| matches(t, other))
}

/// Whether a pod is what any of these anti-affinity terms keeps away from.
fn is_shunned(terms: &[PodAffinityTerm], other: &Pod, matches: Match) -> bool {
    terms.iter().any(|t| matches(t, other))
}

/// Whether a placed pod's new labels may make it wanted, or no longer shunned.
fn relabelling_helps(pod: &Pod, old: &Pod, new: &Pod) -> bool {
    let (near, apart) = (&pod.spec.pod_affinity.required, &pod.spec.pod_anti_affinity.required);
    (is_wanted(near, new, may_match) && !is_wanted(near, old, must_match))
        || (is_shunned(apart, old, may_match) && !is_shunned(apart, new, must_match))
        || (frees_first_place(pod, old) && !is_wanted(near, new, must_match))
}

/// Whether a pod that goes away may have been the last of its group, so that a waiting member may become the first anywhere.
/// kube-scheduler leaves such a pod waiting for its periodic retry.
fn frees_first_place(pod: &Pod, gone: &Pod) -> bool {
    let near = &pod.spec.pod_affinity.required;
    is_wanted(near, gone, may_match) && is_wanted(near, pod, may_match)
}

/// Whether a changed node came into another domain of an affinity term.
fn joins(term: &PodAffinityTerm, old: &Node, new: &Node) -> bool {
    let (was, is) = (old.labels.get(&term.topology_key), new.labels.get(&term.topology_key));
    is.is_some() && was != is
}

/// Whether a pod that counts no more can have kept the other away.
fn removal_helps(pod: &Pod, gone: &Pod) -> bool {
    let (apart, shunning) = (&pod.spec.pod_anti_affinity.required, &gone.spec.pod_anti_affinity.required);
    is_shunned(apart, gone, may_match) || is_shunned(shunning, pod, may_match) || frees_first_place(pod, gone)
}

/// Whether a changed node left any domain.
fn leaves(old: &Node, new: &Node) -> bool {
    old.labels.iter().any(|(key, was)| new.labels.get(key) != Some(was))
}

/// Whether the labels of namespaces say which pods a term is about.
fn selects_namespaces(term: &PodAffinityTerm) -> bool {
    term.namespace_selector.as_ref().is_some_and(|selector| !selector.0.is_empty())
}
