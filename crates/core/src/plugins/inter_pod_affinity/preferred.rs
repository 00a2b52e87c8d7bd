//! Preferred terms, in both directions, and the required affinity of the pods that are there: points per domain.
//! Counts only once nodes are known to be feasible; leaves out what refuses nodes.

use super::terms::{OwnTerm, matches_incoming, namespace_labels};
use crate::framework::{Attempt, MAX_SCORE, Score};
use crate::plugins::args::InterPodAffinityArgs;
use crate::plugins::domains::Topologies;
use aisched_model::labels::Labels;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{Pod, PodAffinityTerm};
use aisched_model::snapshot::Snapshot;
use alloc::vec::Vec;

/// The preferences that touch one pod.
pub(super) struct Preferred<'a> {
    snapshot: &'a Snapshot,
    pod: &'a Pod,
    /// Labels of the pod's namespace.
    namespace: Labels,
    /// The pod's own preferred terms; those of anti-affinity weigh less than nothing.
    own: Vec<(i64, OwnTerm<'a>)>,
    hard_weight: i64,
    /// Points of the domains, once counted.
    points: Option<Topologies>,
}

impl<'a> Preferred<'a> {
    /// `None` when no preference can touch the pod.
    pub(super) fn new(args: &InterPodAffinityArgs, attempt: &Attempt<'a>) -> Option<Self> {
        let (snapshot, spec) = (attempt.snapshot, &attempt.pod.spec);
        let terms = |preferred: &'a [(i32, PodAffinityTerm)], sign: i64| {
            preferred.iter().map(move |(weight, term)| (i64::from(*weight) * sign, OwnTerm::of(term, snapshot)))
        };
        let own: Vec<_> = terms(&spec.pod_affinity.preferred, 1).chain(terms(&spec.pod_anti_affinity.preferred, -1)).collect();
        if own.is_empty() && (args.ignore_preferred_terms_of_existing_pods || snapshot.terms.is_empty()) {
            return None;
        }
        let namespace = namespace_labels(snapshot, attempt.pod);
        let hard_weight = i64::from(args.hard_pod_affinity_weight);
        Some(Self { snapshot, pod: attempt.pod, namespace, own, hard_weight, points: None })
    }

    /// Walks every pod only when the incoming pod has preferences; else just the pods that have terms.
    fn count_domains(&self) -> Topologies {
        let mut points = Topologies::default();
        for info in self.snapshot.nodes_with_terms() {
            for pod in &info.affinity_pods {
                self.count_existing(pod, &info.node.labels, &mut points);
            }
        }
        for info in self.snapshot.nodes.iter().filter(|_| !self.own.is_empty()) {
            let labels = &info.node.labels;
            for placed in &info.pods {
                for (weight, term) in self.own.iter().filter(|(_, t)| t.matches(&placed.pod)) {
                    points.add(term.key, labels, *weight);
                }
            }
        }
        points
    }

    /// What a placed pod's terms say of the incoming pod.
    fn count_existing(&self, existing: &Pod, labels: &Labels, points: &mut Topologies) {
        let (near, apart) = (&existing.spec.pod_affinity, &existing.spec.pod_anti_affinity);
        let required = near.required.iter().filter(|_| self.hard_weight > 0).map(|t| (self.hard_weight, t));
        let preferred = near.preferred.iter().map(|(w, t)| (i64::from(*w), t));
        let avoided = apart.preferred.iter().map(|(w, t)| (-i64::from(*w), t));
        for (weight, term) in required.chain(preferred).chain(avoided) {
            if matches_incoming(term, self.pod, &self.namespace) {
                points.add(&term.topology_key, labels, weight);
            }
        }
    }
}

impl Score for Preferred<'_> {
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        // A node alone scores 0 whatever its points.
        if feasible.len() > 1 {
            self.points = Some(self.count_domains());
        }
    }

    fn skips(&self) -> bool {
        self.points.as_ref().is_some_and(Topologies::is_empty)
    }

    /// The points of all domains that the node belongs to.
    fn raw(&self, node: &NodeInfo) -> i64 {
        self.points.iter().flat_map(|points| points.at(&node.node.labels)).map(|(_, n)| n).sum()
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
