//! Required terms: the incoming pod's affinity and anti-affinity, and the anti-affinity of the pods that are there.
//! Counts once per attempt; leaves out preferred terms.

use super::terms::{OwnTerm, matches_incoming, namespace_labels};
use crate::cures::{Change, leaves};
use crate::framework::{Attempt, Filter, Follower, Refusal};
use crate::plugins::domains::Topologies;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const NOT_APART: &str = "node(s) didn't match pod anti-affinity rules";
const OTHERS_NOT_APART: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// What required terms, in both directions, make of every domain.
#[derive(Clone)]
pub(super) struct Required {
    pod: Pod,
    /// Labels of the pod's namespace.
    namespace: Labels,
    near: Vec<OwnTerm>,
    apart: Vec<OwnTerm>,
    counts: Counts,
    /// Whether the pod itself is what it wants to be near to.
    wants_itself: bool,
}

/// Pods per domain.
#[derive(Clone, Default)]
struct Counts {
    /// Pods that match all of the incoming pod's affinity terms, once per term.
    wanted: Topologies,
    /// Pods that match an anti-affinity term of the incoming pod, once per term.
    shunned: Topologies,
    /// Pods with an anti-affinity term that matches the incoming pod, once per term.
    shunning: Topologies,
}

impl Required {
    /// The pod's terms; nothing is counted yet.
    pub(super) fn of(attempt: &Attempt<'_>) -> Self {
        let (pod, spec) = (attempt.pod, &attempt.pod.spec);
        let near = OwnTerm::all(&spec.pod_affinity.required, attempt.snapshot);
        let apart = OwnTerm::all(&spec.pod_anti_affinity.required, attempt.snapshot);
        let wants_itself = near.iter().all(|t| t.matches(pod));
        let namespace = namespace_labels(attempt.snapshot, pod);
        Self { pod: pod.clone(), namespace, near, apart, counts: Counts::default(), wants_itself }
    }

    /// Whether the same pods count for both.
    pub(super) fn counts_alike(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.near == other.near && self.apart == other.apart
    }

    /// Whether any term, in either direction, touches the pod.
    pub(super) fn is_touched(&self) -> bool {
        !self.near.is_empty() || !self.apart.is_empty() || !self.counts.shunning.is_empty()
    }

    /// Counts the pods that are there: walks every pod only when the incoming pod has terms, else just those that have anti-affinity.
    pub(super) fn count(&mut self, snapshot: &Snapshot) {
        for info in snapshot.nodes_with_terms() {
            info.anti_affinity_pods.iter().for_each(|pod| self.count_shunning(pod, &info.node.labels, Topologies::add));
        }
        if self.near.is_empty() && self.apart.is_empty() {
            return;
        }
        for info in &snapshot.nodes {
            let labels = &info.node.labels;
            info.pods.iter().for_each(|placed| self.count_own(&placed.pod, labels, Topologies::add));
        }
    }

    /// Counts a placed pod's terms that are about the incoming pod.
    fn count_shunning(&mut self, pod: &Pod, node: &Labels, change: Move) {
        for term in &pod.spec.pod_anti_affinity.required {
            if matches_incoming(term, &self.pod, &self.namespace) {
                change(&mut self.counts.shunning, &term.topology_key, node, 1);
            }
        }
    }

    /// Counts the incoming pod's terms that are about a placed pod.
    fn count_own(&mut self, pod: &Pod, node: &Labels, change: Move) {
        if !self.near.is_empty() && self.near.iter().all(|t| t.matches(pod)) {
            self.near.iter().for_each(|t| change(&mut self.counts.wanted, &t.key, node, 1));
        }
        for term in self.apart.iter().filter(|t| t.matches(pod)) {
            change(&mut self.counts.shunned, &term.key, node, 1);
        }
    }

    /// Whether the pod may be the first of a group that wants to be together: no pod anywhere matches, but the pod itself does.
    fn first(&self) -> bool {
        self.wants_itself && self.counts.wanted.is_empty()
    }

    /// The label that every term is about, if they are all about one.
    pub(super) fn one_key(&self) -> Option<&Str> {
        let own = self.near.iter().chain(&self.apart).map(|term| &term.key);
        let mut keys = own.chain(self.counts.shunning.keys());
        let first = keys.next()?;
        keys.all(|key| key == first).then_some(first)
    }

    fn is_near(&self, labels: &Labels) -> bool {
        // A pod that may be the first still needs a node with every term's label.
        self.near.iter().all(|t| labels.contains_key(&t.key) && (self.first() || self.counts.wanted.has(&t.key, labels)))
    }
}

/// `Topologies::add` or `Topologies::take`.
type Move = fn(&mut Topologies, &Str, &Labels, i64);

impl Follower for Required {
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        let change = if came { Topologies::add } else { Topologies::take };
        self.count_shunning(pod, &node.labels, change);
        self.count_own(pod, &node.labels, change);
    }
}

impl Filter for Required {
    fn follower(&self) -> Option<Box<dyn Follower + '_>> {
        Some(Box::new(self.clone()))
    }

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

    /// Pods on the node that have to be apart from the pod; those in the rest of a larger domain are not seen from here.
    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        if !self.is_near(&node.node.labels) {
            return Vec::new();
        }
        let shuns = |pod: &Pod| pod.spec.pod_anti_affinity.required.iter().any(|term| matches_incoming(term, &self.pod, &self.namespace));
        let apart = |pod: &Pod| self.apart.iter().any(|term| term.matches(pod)) || shuns(pod);
        node.pods.iter().filter(|p| apart(&p.pod)).map(|p| leaves(&p.pod)).collect()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let labels = &node.node.labels;
        let named = |key: &str| format!("{key}={}", labels.get(key).map_or("", |v| &**v));
        if let Some(term) = self.near.iter().find(|t| !labels.contains_key(&t.key)) {
            return Some(format!("no label {}", term.key));
        }
        if !self.is_near(labels) {
            let missing = self.near.iter().find(|t| !self.counts.wanted.has(&t.key, labels))?;
            return Some(format!("{}: no pod that matches every affinity term", named(&missing.key)));
        }
        if let Some((key, n)) = self.counts.shunned.at(labels).next() {
            return Some(format!("{}: {n} pods match an anti-affinity term", named(key)));
        }
        let (key, n) = self.counts.shunning.at(labels).next()?;
        Some(format!("{}: {n} anti-affinity terms of pods there match", named(key)))
    }
}
