//! Soft constraints: a node scores the better the fewer matching pods its domains hold.
//! Leaves out hard constraints.

use super::{Constraint, Counted, HOSTNAME};
use crate::framework::{Attempt, MAX_SCORE, Score};
use crate::plugins::domains::Domains;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The soft constraints of one pod with the pods that they count.
pub(super) struct Soft {
    pod: Pod,
    /// Whether nodes that lack a constraint's label are left out altogether.
    all_keys: bool,
    parts: Vec<Part>,
}

struct Part {
    constraint: Constraint<'static>,
    per_node: bool,
    /// Matching pods by domain; by the node's name when counting per node.
    domains: Domains,
}

impl Soft {
    /// Counts the pods that are there.
    pub(super) fn count(constraints: &[Constraint<'_>], all_keys: bool, attempt: &Attempt<'_>) -> Self {
        let part = |constraint: &Constraint<'_>| {
            let per_node = *constraint.key == *HOSTNAME;
            Part { constraint: constraint.to_owned(), per_node, domains: Domains::default() }
        };
        let mut soft = Self { pod: attempt.pod.clone(), all_keys, parts: constraints.iter().map(part).collect() };
        for info in &attempt.snapshot.nodes {
            info.pods.iter().for_each(|placed| soft.pod_moved(&placed.pod, &info.node, true));
        }
        soft
    }

    /// Whether these are its constraints.
    pub(super) fn is_of(&self, constraints: &[Constraint<'_>], all_keys: bool) -> bool {
        self.all_keys == all_keys && self.parts.iter().map(|part| &part.constraint).eq(constraints)
    }

    /// A pod came to a node (`came`) or left it.
    pub(super) fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        let left_out = self.leaves_out(&node.labels);
        let (own, none) = (&self.pod, Str::from(""));
        for Part { constraint, per_node, domains } in &mut self.parts {
            if constraint.counts(pod, &own.namespace) && (*per_node || (!left_out && constraint.includes(own, node))) {
                let domain = if *per_node { &node.name } else { node.labels.get(&constraint.key).unwrap_or(&none) };
                domains.add(domain, if came { 1 } else { -1 });
            }
        }
    }

    fn leaves_out(&self, labels: &Labels) -> bool {
        self.all_keys && !self.parts.iter().all(|p| labels.contains_key(&p.constraint.key))
    }
}

/// Scores nodes by soft constraints.
pub(super) struct Spread {
    counted: Arc<Counted>,
    /// What each constraint weighs.
    weights: Vec<f64>,
    /// Which feasible nodes are left out, in their order.
    left_out: Vec<bool>,
}

impl Spread {
    /// The weights are known when the feasible nodes are.
    pub(super) fn new(counted: Arc<Counted>) -> Self {
        Self { counted, weights: Vec::new(), left_out: Vec::new() }
    }
}

/// How many domains these nodes belong to; those without the label to one of their own.
fn n_domains<'a>(key: &str, nodes: impl Iterator<Item = &'a &'a NodeInfo>) -> usize {
    let (mut domains, none) = (Domains::default(), Str::from(""));
    nodes.for_each(|info| domains.add(info.node.labels.get(key).unwrap_or(&none), 0));
    domains.len()
}

/// Keeps small topologies from drowning in large ones: three zones weigh ln 5 = 1.6094, 100 nodes ln 102 = 4.6250.
#[allow(clippy::cast_precision_loss, reason = "nodes number far below 2^53")]
fn weight(n_domains: usize) -> f64 {
    libm::log((n_domains + 2) as f64)
}

impl Score for Spread {
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        let Some(soft) = &self.counted.soft else { return };
        self.left_out = feasible.iter().map(|info| soft.leaves_out(&info.node.labels)).collect();
        let scored = || feasible.iter().zip(&self.left_out).filter(|(_, out)| !**out).map(|(info, _)| info);
        let n = |part: &Part| if part.per_node { scored().count() } else { n_domains(&part.constraint.key, scored()) };
        self.weights = soft.parts.iter().map(|part| weight(n(part))).collect();
    }

    /// Sum over the constraints of `pods × weight + maxSkew − 1`, rounded: three zones with 3, 1 and 0 pods and maxSkew 1 make
    /// 4.83, 1.61 and 0, so 5, 2 and 0. `maxSkew` waters differences down.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts are far below 2^53")]
    fn raw(&self, node: &NodeInfo) -> i64 {
        let labels = &node.node.labels;
        let Some(soft) = self.counted.soft.as_ref().filter(|soft| !soft.leaves_out(labels)) else { return 0 };
        let mut score = 0.0;
        for (Part { constraint, per_node, domains }, weight) in soft.parts.iter().zip(&self.weights) {
            if let Some(value) = labels.get(&constraint.key) {
                let count = domains.get(if *per_node { &node.node.name } else { value }).unwrap_or(0);
                score += count as f64 * weight + (constraint.max_skew - 1) as f64;
            }
        }
        libm::round(score) as i64
    }

    /// Fewest pods become 100: 5, 2 and 0 become 0, 60 and 100; 36, 20 and 4 become 11, 55 and 100.
    fn normalize(&self, scores: &mut [i64]) {
        let scored = || scores.iter().zip(&self.left_out).filter(|(_, out)| !**out).map(|(s, _)| *s);
        let (min, max) = (scored().min().unwrap_or(0), scored().max().unwrap_or(0));
        for (score, out) in scores.iter_mut().zip(&self.left_out) {
            *score = match max {
                _ if *out => 0,
                0 => MAX_SCORE,
                _ => MAX_SCORE * (max + min - *score) / max,
            };
        }
    }
}
