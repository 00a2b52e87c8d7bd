//! Chooses among the nodes on which preemption would help.
//! Leaves out finding them (`victims`).

use super::victims::{Candidate, started};
use crate::decide::Luck;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// kube-scheduler's order: fewest protected victims, lowest top priority, lowest sum of priorities, fewest victims, latest start of
/// the longest running of the top victims. It takes any of those left; here the one that loses the least data locality goes first.
pub(super) fn best(candidates: Vec<Candidate>, salt: u64, pod: &str) -> Option<Candidate> {
    let luck = Luck::new(salt, pod);
    candidates.into_iter().min_by_key(|c| (rank(c), c.loss, luck.of(&c.node), c.node.clone()))
}

fn rank(candidate: &Candidate) -> (usize, i32, i64, usize, Reverse<i64>) {
    let victims = &candidate.victims;
    let top = victims.iter().map(|v| v.spec.priority).max().unwrap_or(i32::MIN);
    // Priorities are lifted above 0, so that many victims of negative priority do not look better than few.
    let sum = victims.iter().map(|v| i64::from(v.spec.priority) + (1 << 31)).sum();
    let earliest = victims.iter().filter(|v| v.spec.priority == top).map(|v| started(v)).min().unwrap_or(i64::MAX);
    (candidate.n_violations, top, sum, victims.len(), Reverse(earliest))
}
