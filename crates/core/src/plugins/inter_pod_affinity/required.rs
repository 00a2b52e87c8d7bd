//! Required terms: the incoming pod's affinity and anti-affinity, and the anti-affinity of the pods that are there.
//! Counts once per attempt; leaves out preferred terms.

use super::terms::{OwnTerm, matches_incoming, namespace_labels};
use crate::framework::{Attempt, Filter, Refusal};
use crate::plugins::domains::Topologies;
use aisched_model::labels::Labels;
use aisched_model::node::NodeInfo;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const NOT_APART: &str = "node(s) didn't match pod anti-affinity rules";
const OTHERS_NOT_APART: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// What required terms, in both directions, make of every domain.
pub(super) struct Required<'a> {
    near: Vec<OwnTerm<'a>>,
    counts: Counts,
    /// Whether the pod may be the first of a group that wants to be together: no pod anywhere matches, but the pod itself does.
    first: bool,
}

/// Pods per domain.
#[derive(Default)]
struct Counts {
    /// Pods that match all of the incoming pod's affinity terms, once per term.
    wanted: Topologies,
    /// Pods that match an anti-affinity term of the incoming pod, once per term.
    shunned: Topologies,
    /// Pods with an anti-affinity term that matches the incoming pod, once per term.
    shunning: Topologies,
}

impl<'a> Required<'a> {
    /// Counts the pods that are there; `None` when no term, in neither direction, touches the pod.
    pub(super) fn count(attempt: &Attempt<'a>) -> Option<Self> {
        let spec = &attempt.pod.spec;
        let near = OwnTerm::all(&spec.pod_affinity.required, attempt.snapshot);
        let apart = OwnTerm::all(&spec.pod_anti_affinity.required, attempt.snapshot);
        let counts = count_domains(&near, &apart, attempt);
        if near.is_empty() && apart.is_empty() && counts.shunning.is_empty() {
            return None;
        }
        let first = counts.wanted.is_empty() && near.iter().all(|t| t.matches(attempt.pod));
        Some(Self { near, counts, first })
    }

    fn is_near(&self, labels: &Labels) -> bool {
        // A pod that may be the first still needs a node with every term's label.
        self.near.iter().all(|t| labels.contains_key(t.key) && (self.first || self.counts.wanted.has(t.key, labels)))
    }
}

/// Walks every pod only when the incoming pod has terms; else just the pods that have anti-affinity.
fn count_domains(near: &[OwnTerm<'_>], apart: &[OwnTerm<'_>], attempt: &Attempt<'_>) -> Counts {
    let mut counts = Counts::default();
    let namespace = namespace_labels(attempt.snapshot, attempt.pod);
    for info in &attempt.snapshot.nodes {
        let labels = &info.node.labels;
        for term in info.anti_affinity_pods.iter().flat_map(|p| &p.spec.pod_anti_affinity.required) {
            if matches_incoming(term, attempt.pod, &namespace) {
                counts.shunning.add(&term.topology_key, labels, 1);
            }
        }
        if near.is_empty() && apart.is_empty() {
            continue;
        }
        for placed in &info.pods {
            if !near.is_empty() && near.iter().all(|t| t.matches(&placed.pod)) {
                near.iter().for_each(|t| counts.wanted.add(t.key, labels, 1));
            }
            for term in apart.iter().filter(|t| t.matches(&placed.pod)) {
                counts.shunned.add(term.key, labels, 1);
            }
        }
    }
    counts
}

impl Filter for Required<'_> {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let labels = &node.node.labels;
        if !self.is_near(labels) {
            return Some(Refusal::unresolvable(NOT_NEAR));
        }
        if self.counts.shunned.at(labels).next().is_some() {
            return Some(Refusal::unschedulable(NOT_APART));
        }
        self.counts.shunning.at(labels).next().map(|_| Refusal::unschedulable(OTHERS_NOT_APART))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let labels = &node.node.labels;
        let named = |key: &str| format!("{key}={}", labels.get(key).map_or("", |v| &**v));
        if let Some(term) = self.near.iter().find(|t| !labels.contains_key(t.key)) {
            return Some(format!("no label {}", term.key));
        }
        if !self.is_near(labels) {
            let missing = self.near.iter().find(|t| !self.counts.wanted.has(t.key, labels))?;
            return Some(format!("{}: no pod that matches every affinity term", named(missing.key)));
        }
        if let Some((key, n)) = self.counts.shunned.at(labels).next() {
            return Some(format!("{}: {n} pods match an anti-affinity term", named(key)));
        }
        let (key, n) = self.counts.shunning.at(labels).next()?;
        Some(format!("{}: {n} anti-affinity terms of pods there match", named(key)))
    }
}
