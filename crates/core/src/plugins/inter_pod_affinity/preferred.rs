//! Preferred terms, in both directions, and the required affinity of the pods that are there: points per domain.
//! Leaves out what refuses nodes.

use super::terms::{OwnTerm, matches_incoming, namespace_labels};
use crate::framework::Attempt;
use crate::plugins::args::InterPodAffinityArgs;
use crate::plugins::domains::Topologies;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodAffinityTerm};
use aisched_model::snapshot::Snapshot;
use alloc::vec::Vec;

/// The preferences that touch one pod.
pub(super) struct Preferred {
    pod: Pod,
    /// Labels of the pod's namespace.
    namespace: Labels,
    /// The pod's own preferred terms; those of anti-affinity weigh less than nothing.
    own: Vec<(i64, OwnTerm)>,
    hard_weight: i64,
    /// Points of the domains.
    points: Topologies,
    /// How many terms gave them.
    n_terms: Topologies,
}

impl Preferred {
    /// The pod's terms; nothing is counted yet.
    pub(super) fn of(args: &InterPodAffinityArgs, attempt: &Attempt<'_>) -> Self {
        let (snapshot, spec) = (attempt.snapshot, &attempt.pod.spec);
        let terms = |preferred: &[(i32, PodAffinityTerm)], sign: i64| {
            preferred.iter().map(|(weight, term)| (i64::from(*weight) * sign, OwnTerm::of(term, snapshot))).collect::<Vec<_>>()
        };
        let mut own = terms(&spec.pod_affinity.preferred, 1);
        own.extend(terms(&spec.pod_anti_affinity.preferred, -1));
        Self {
            pod: attempt.pod.clone(),
            namespace: namespace_labels(snapshot, attempt.pod),
            own,
            hard_weight: i64::from(args.hard_pod_affinity_weight),
            points: Topologies::default(),
            n_terms: Topologies::default(),
        }
    }

    /// Whether the same pods count for both.
    pub(super) fn counts_alike(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.own == other.own
    }

    /// Whether a preference can touch the pod.
    pub(super) fn may_apply(&self, args: &InterPodAffinityArgs, snapshot: &Snapshot) -> bool {
        !self.own.is_empty() || !(args.ignore_preferred_terms_of_existing_pods || snapshot.terms.is_empty())
    }

    /// Walks every pod only when the incoming pod has preferences; else just the pods that have terms.
    pub(super) fn count(&mut self, snapshot: &Snapshot) {
        for info in snapshot.nodes_with_terms() {
            info.affinity_pods.iter().for_each(|pod| self.count_existing(pod, &info.node.labels, true));
        }
        for info in snapshot.nodes.iter().filter(|_| !self.own.is_empty()).collect::<Vec<_>>() {
            info.pods.iter().for_each(|placed| self.count_own(&placed.pod, &info.node.labels, true));
        }
    }

    /// A pod came to a node (`came`) or left it.
    pub(super) fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        self.count_existing(pod, &node.labels, came);
        self.count_own(pod, &node.labels, came);
    }

    fn count_own(&mut self, pod: &Pod, node: &Labels, came: bool) {
        for (weight, term) in self.own.iter().filter(|(_, t)| t.matches(pod)) {
            count(&mut self.points, &mut self.n_terms, &term.key, node, *weight, came);
        }
    }

    /// What a placed pod's terms say of the incoming pod.
    fn count_existing(&mut self, existing: &Pod, node: &Labels, came: bool) {
        let (near, apart) = (&existing.spec.pod_affinity, &existing.spec.pod_anti_affinity);
        let required = near.required.iter().filter(|_| self.hard_weight > 0).map(|t| (self.hard_weight, t));
        let preferred = near.preferred.iter().map(|(w, t)| (i64::from(*w), t));
        let avoided = apart.preferred.iter().map(|(w, t)| (-i64::from(*w), t));
        for (weight, term) in required.chain(preferred).chain(avoided) {
            if matches_incoming(term, &self.pod, &self.namespace) {
                count(&mut self.points, &mut self.n_terms, &term.topology_key, node, weight, came);
            }
        }
    }

    /// Whether no term gives any points.
    pub(super) fn is_empty(&self) -> bool {
        self.n_terms.is_empty()
    }

    /// The points of all domains that a node belongs to.
    pub(super) fn points(&self, node: &Labels) -> i64 {
        self.points.at(node).map(|(_, n)| n).sum()
    }
}

/// Adds a term's points to a domain, or takes them back. A domain stays while any term speaks of it, though it be with 0 points.
fn count(points: &mut Topologies, n_terms: &mut Topologies, key: &Str, node: &Labels, weight: i64, came: bool) {
    if came {
        points.add(key, node, weight);
        n_terms.add(key, node, 1);
    } else {
        points.add(key, node, -weight);
        n_terms.take(key, node, 1);
    }
}
