//! Soft constraints: a node scores the better the fewer matching pods its domains hold.
//! Counts only once nodes are known to be feasible; leaves out hard constraints.

use super::{Constraint, HOSTNAME};
use crate::framework::{Attempt, MAX_SCORE, Score};
use crate::plugins::domains::Domains;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::vec::Vec;

/// The soft constraints of one pod.
pub(super) struct Soft<'a> {
    snapshot: &'a Snapshot,
    pod: &'a Pod,
    /// Whether nodes that lack a constraint's label are left out altogether.
    all_keys: bool,
    parts: Vec<Part<'a>>,
    /// Which feasible nodes are left out, in their order.
    left_out: Vec<bool>,
}

struct Part<'a> {
    constraint: Constraint<'a>,
    per_node: bool,
    /// Matching pods in the domains of feasible nodes; unused when counting per node.
    domains: Domains,
    weight: f64,
}

impl<'a> Soft<'a> {
    pub(super) fn new(constraints: Vec<Constraint<'a>>, all_keys: bool, attempt: &Attempt<'a>) -> Self {
        let part = |constraint: Constraint<'a>| {
            let per_node = **constraint.key == *HOSTNAME;
            Part { constraint, per_node, domains: Domains::default(), weight: 0.0 }
        };
        let parts = constraints.into_iter().map(part).collect();
        Self { snapshot: attempt.snapshot, pod: attempt.pod, all_keys, parts, left_out: Vec::new() }
    }

    fn leaves_out(&self, labels: &Labels) -> bool {
        self.all_keys && !self.parts.iter().all(|p| labels.contains_key(p.constraint.key))
    }

    /// Finds the domains that matter and what each constraint weighs.
    fn open_domains(&mut self, feasible: &[&NodeInfo]) {
        self.left_out = feasible.iter().map(|info| self.leaves_out(&info.node.labels)).collect();
        let none = Str::from("");
        let scored = || feasible.iter().zip(&self.left_out).filter(|(_, out)| !**out).map(|(info, _)| info);
        for part in &mut self.parts {
            if part.per_node {
                part.weight = weight(scored().count());
                continue;
            }
            for info in scored() {
                part.domains.add(info.node.labels.get(part.constraint.key).unwrap_or(&none), 0);
            }
            part.weight = weight(part.domains.len());
        }
    }

    /// Counts matching pods over the whole cluster, in the domains that matter.
    fn count_domains(&mut self) {
        let (snapshot, pod) = (self.snapshot, self.pod);
        for info in &snapshot.nodes {
            if self.leaves_out(&info.node.labels) {
                continue;
            }
            for part in self.parts.iter_mut().filter(|p| !p.per_node) {
                let value = info.node.labels.get(part.constraint.key).map_or("", |v| &**v);
                if let Some(count) = part.domains.get_mut(value).filter(|_| part.constraint.includes(pod, &info.node)) {
                    *count += part.constraint.count(info, &pod.namespace);
                }
            }
        }
    }
}

/// Keeps small topologies from drowning in large ones: three zones weigh ln 5 = 1.6094, 100 nodes ln 102 = 4.6250.
#[allow(clippy::cast_precision_loss, reason = "nodes number far below 2^53")]
fn weight(n_domains: usize) -> f64 {
    libm::log((n_domains + 2) as f64)
}

impl Score for Soft<'_> {
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        self.open_domains(feasible);
        // A node alone scores 100 (or 0 when left out) whatever the counts.
        if feasible.len() > 1 {
            self.count_domains();
        }
    }

    /// Sum over the constraints of `pods × weight + maxSkew − 1`, rounded: three zones with 3, 1 and 0 pods and maxSkew 1 make
    /// 4.83, 1.61 and 0, so 5, 2 and 0. `maxSkew` waters differences down.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts are far below 2^53")]
    fn raw(&self, node: &NodeInfo) -> i64 {
        let labels = &node.node.labels;
        if self.leaves_out(labels) {
            return 0;
        }
        let mut score = 0.0;
        for part in &self.parts {
            if let Some(value) = labels.get(part.constraint.key) {
                let count =
                    if part.per_node { part.constraint.count(node, &self.pod.namespace) } else { part.domains.get(value).unwrap_or(0) };
                score += count as f64 * part.weight + (part.constraint.max_skew - 1) as f64;
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
