//! Hard constraints: a node is refused when one more pod there would make its domain stand out by more than `maxSkew`.
//! Leaves out soft constraints.

use super::{Constraint, has_all_keys};
use crate::cures::Change;
use crate::framework::{Attempt, Filter, Follower, Refusal};
use crate::plugins::domains::Domains;
use aisched_model::Str;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";
const SKEWED: &str = "node(s) didn't match pod topology spread constraints";

/// The hard constraints of one pod with the counts that they compare.
#[derive(Clone)]
pub(super) struct Hard {
    pod: Pod,
    parts: Vec<Part>,
}

#[derive(Clone)]
struct Part {
    constraint: Constraint<'static>,
    domains: Domains,
    /// The lowest count of any domain, 0 while there are fewer domains than `minDomains`.
    min: i64,
    /// 1 where the pod itself will count.
    own: i64,
    /// How many domains have which count.
    levels: BTreeMap<i64, usize>,
}

impl Hard {
    /// Counts the pods that are there.
    pub(super) fn count(constraints: &[Constraint<'_>], attempt: &Attempt<'_>) -> Self {
        let counts = count_domains(constraints, attempt);
        let part = |(constraint, domains): (&Constraint<'_>, Domains)| {
            let own = i64::from(constraint.matches(&attempt.pod.spec.labels));
            let mut levels = BTreeMap::new();
            domains.numbers().for_each(|n| *levels.entry(n).or_default() += 1);
            let enough = domains.len() >= constraint.min_domains;
            let lowest = levels.first_key_value().map_or(i64::from(i32::MAX), |(lowest, _)| *lowest);
            Part { min: if enough { lowest } else { 0 }, constraint: constraint.to_owned(), domains, own, levels }
        };
        Self { pod: attempt.pod.clone(), parts: constraints.iter().zip(counts).map(part).collect() }
    }

    /// The label whose values are the domains of every constraint, if it is one.
    pub(super) fn one_key(&self) -> Option<&Str> {
        let first = &self.parts.first()?.constraint.key;
        self.parts.iter().all(|part| part.constraint.key == *first).then_some(first)
    }

    /// Whether these are its constraints.
    pub(super) fn is_of(&self, constraints: &[Constraint<'_>]) -> bool {
        self.parts.iter().map(|part| &part.constraint).eq(constraints)
    }
}

/// Matching pods per domain, for each constraint. Only nodes with the labels of all constraints belong to a domain of any, and
/// a domain exists only through nodes that count.
fn count_domains(constraints: &[Constraint<'_>], attempt: &Attempt<'_>) -> Vec<Domains> {
    let mut counts: Vec<Domains> = constraints.iter().map(|_| Domains::default()).collect();
    for info in attempt.snapshot.nodes.iter().filter(|info| has_all_keys(constraints, &info.node.labels)) {
        for (constraint, domains) in constraints.iter().zip(&mut counts) {
            if let Some(value) = info.node.labels.get(&constraint.key).filter(|_| constraint.includes(attempt.pod, &info.node)) {
                domains.add(value, constraint.count(info, &attempt.pod.namespace));
            }
        }
    }
    counts
}

impl Part {
    /// Matching pods in a domain; none where no node of it counts.
    fn matching(&self, domain: &str) -> i64 {
        self.domains.get(domain).unwrap_or(0)
    }

    /// Whether one more pod in the domain would be too much. Zones of 3, 1 and 0 pods, maxSkew 1, a pod that counts itself:
    /// 3 + 1 − 0 and 1 + 1 − 0 exceed 1, 0 + 1 − 0 does not.
    fn too_many(&self, domain: &str) -> bool {
        self.matching(domain) + self.own - self.min > self.constraint.max_skew
    }
}

impl Follower for Hard {
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        if !self.parts.iter().all(|p| node.labels.contains_key(&p.constraint.key)) {
            return;
        }
        for Part { constraint, domains, min, levels, .. } in &mut self.parts {
            if !constraint.counts(pod, &self.pod.namespace) || !constraint.includes(&self.pod, node) {
                continue;
            }
            let Some(count) = node.labels.get(&constraint.key).and_then(|value| domains.get_mut(value)) else { continue };
            if let Entry::Occupied(mut n) = levels.entry(*count) {
                *n.get_mut() -= 1;
                if *n.get() == 0 {
                    n.remove();
                }
            }
            *count += if came { 1 } else { -1 };
            *levels.entry(*count).or_default() += 1;
            if domains.len() >= constraint.min_domains {
                *min = levels.first_key_value().map_or(*min, |(lowest, _)| *lowest);
            }
        }
    }
}

impl Filter for Hard {
    fn follower(&self) -> Option<Box<dyn Follower + '_>> {
        Some(Box::new(self.clone()))
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        for part in &self.parts {
            match node.node.labels.get(&part.constraint.key) {
                None => return Some(Refusal::unresolvable(NO_LABEL)),
                Some(domain) if part.too_many(domain) => return Some(Refusal::unschedulable(SKEWED)),
                Some(_) => {}
            }
        }
        None
    }

    /// A label that is missing puts the node into the domain that is emptiest; a domain that has too many is cured by the others.
    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let missing = self.parts.iter().filter(|part| !node.node.labels.contains_key(&part.constraint.key));
        let change = |part: &Part| Some(Change::Label(part.constraint.key.clone(), Some(part.domains.emptiest()?.clone())));
        missing.filter_map(change).collect()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        self.parts.iter().find_map(|part| {
            let Part { constraint, min, own, .. } = part;
            let (key, max_skew) = (&constraint.key, constraint.max_skew);
            match node.node.labels.get(key) {
                None => Some(format!("no label {key}")),
                Some(domain) if part.too_many(domain) => {
                    Some(format!("{key}={domain}: {} pods + {own} - minimum {min} > maxSkew {max_skew}", part.matching(domain)))
                }
                Some(_) => None,
            }
        })
    }
}
