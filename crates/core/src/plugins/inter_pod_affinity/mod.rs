//! Places pods near to or apart from other pods: required terms refuse nodes (`required`), preferred ones score them (`preferred`).
//! Leaves out `matchLabelKeys` and `mismatchLabelKeys`, which the API server merges into the terms' selectors.

mod preferred;
mod required;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_random;

use super::args::InterPodAffinityArgs;
use crate::framework::{Attempt, ClusterEvent, Plugin, Prepared};
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodAffinityTerm};
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
        let filter = required::Required::count(attempt);
        let prepared = filter.map(Prepared::filter).unwrap_or_default();
        match preferred::Preferred::new(&self.args, attempt) {
            Some(score) => prepared.and_score(score),
            None => prepared,
        }
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let (near, apart) = (&pod.spec.pod_affinity.required, &pod.spec.pod_anti_affinity.required);
        match event {
            ClusterEvent::PodPlaced(other) => is_wanted(near, other, may_match),
            ClusterEvent::PodChanged { old, new } => old.spec.labels != new.spec.labels && relabelling_helps(pod, old, new),
            ClusterEvent::PodRemoved(other) => {
                let shunning = &other.spec.pod_anti_affinity.required;
                is_shunned(apart, other, may_match) || is_shunned(shunning, pod, may_match) || frees_first_place(pod, other)
            }
            ClusterEvent::OwnChange { old, new } => old.spec.labels != new.spec.labels,
            ClusterEvent::NodeAdded(node) => !apart.is_empty() || near.iter().any(|t| node.labels.contains_key(&t.topology_key)),
            ClusterEvent::NodeChanged { old, new } => near.iter().any(|t| joins(t, old, new)) || apart.iter().any(|t| leaves(t, old, new)),
            ClusterEvent::Namespace => near.iter().chain(apart).any(|t| t.namespace_selector.as_ref().is_some_and(|s| !s.0.is_empty())),
            _ => false,
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

/// Whether a changed node left its domain of an anti-affinity term.
fn leaves(term: &PodAffinityTerm, old: &Node, new: &Node) -> bool {
    let (was, is) = (old.labels.get(&term.topology_key), new.labels.get(&term.topology_key));
    was.is_some() && was != is
}
