//! Finds the cures: nodes with the fewest obstacles first, each obstacle's cure in the plugin's own words, judged by the real filters.
//! Leaves out what a change does (`apply`) and what a plugin would have changed (its filter's `cure`).

use super::apply::changed;
use super::{Change, Cure};
use crate::decide::{Obstacle, obstacle, obstacles};
use crate::framework::Attempt;
use crate::profile::Profile;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::policy::PolicySource;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Cures that are given.
const CURES: usize = 3;
/// Nodes that are tried for them.
const NODES: usize = 12;
/// A node that would need more changes than this is not worth them.
const CHANGES: usize = 4;
/// Rounds in which a node may say what else it would have changed.
const ROUNDS: usize = 8;

/// The smallest cures of a pod that fits nowhere, the best first.
pub(crate) fn find(profile: &Profile, attempt: &Attempt<'_>, policy_source: PolicySource) -> Vec<Cure> {
    let patient = Patient { profile, attempt, policy_source };
    let mut cures = Vec::new();
    for idx in patient.worth_trying().into_iter().take(NODES) {
        let node = &attempt.snapshot.nodes[idx];
        cures.extend(patient.cure(node, idx).map(|changes| Cure { node: node.node.name.clone(), changes }));
        if cures.len() == CURES {
            break;
        }
    }
    cures.sort_by_key(|cure: &Cure| cure.changes.len());
    cures
}

/// The pod, and how it is judged.
struct Patient<'a> {
    profile: &'a Profile,
    attempt: &'a Attempt<'a>,
    policy_source: PolicySource,
}

impl Patient<'_> {
    /// Positions of nodes, by how few changes their filters ask for at first sight; of those that ask for the same things in other amounts
    /// the cheapest come first, and others before the second of them.
    fn worth_trying(&self) -> Vec<usize> {
        let mut found: Vec<(Vec<Change>, usize)> = Vec::new();
        for (idx, obstacle) in obstacles(self.profile, self.attempt).into_iter().enumerate() {
            if let Obstacle::Curable(changes) = obstacle
                && let Some(changes) = merged(Vec::new(), changes).filter(|changes| changes.len() <= CHANGES)
            {
                found.push((changes, idx));
            }
        }
        found.sort_by(|(a, i), (b, j)| (a.len(), a, i).cmp(&(b.len(), b, j)));
        let mut alike: BTreeMap<Vec<(usize, Str, Str)>, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, usize, usize)> = Vec::with_capacity(found.len());
        for (changes, idx) in &found {
            let nth = alike.entry(changes.iter().map(Change::about).collect()).or_default();
            ranked.push((changes.len(), *nth, *idx));
            *nth += 1;
        }
        ranked.sort_by_key(|(len, nth, _)| (*len, *nth)); // stable: the cheapest first
        ranked.into_iter().map(|(.., idx)| idx).collect()
    }

    /// The smallest set of changes with which the pod fits on the node, if one is found.
    fn cure(&self, node: &NodeInfo, idx: usize) -> Option<Vec<Change>> {
        let all = self.all_that_is_asked_for(node, idx)?;
        let subset = |mask: usize| -> Vec<Change> { (0..all.len()).filter(|i| mask & (1 << i) != 0).map(|i| all[i].clone()).collect() };
        let mut masks: Vec<usize> = (1..1 << all.len()).collect();
        masks.sort_by_key(|mask| mask.count_ones());
        let mut changes = masks.into_iter().map(subset).find(|changes| self.obstacle(changes, node, idx).is_none())?;
        for at in 0..changes.len() {
            self.lessen(&mut changes, at, node, idx);
        }
        Some(changes)
    }

    /// Has the plugins say what they would have changed, one obstacle after the other, until the pod fits.
    fn all_that_is_asked_for(&self, node: &NodeInfo, idx: usize) -> Option<Vec<Change>> {
        let mut changes = Vec::new();
        for _ in 0..ROUNDS {
            match self.obstacle(&changes, node, idx) {
                None => return Some(changes).filter(|changes| !changes.is_empty() && changes.len() <= CHANGES),
                Some(Obstacle::Curable(more)) => changes = merged(changes, more)?,
                Some(Obstacle::Incurable) => return None,
            }
        }
        None
    }

    /// Makes the amount of one change what is still missing beside the others: they may have brought some of it.
    fn lessen(&self, changes: &mut Vec<Change>, at: usize, node: &NodeInfo, idx: usize) {
        let mut others = changes.clone();
        let change = others.remove(at);
        let Some(Obstacle::Curable(missing)) = self.obstacle(&others, node, idx) else { return };
        let Some(less) = missing.into_iter().find(|other| other.about() == change.about() && *other < change) else { return };
        others.insert(at, less);
        if self.obstacle(&others, node, idx).is_none() {
            *changes = others;
        }
    }

    /// What stands against the node with these changes.
    fn obstacle(&self, changes: &[Change], node: &NodeInfo, idx: usize) -> Option<Obstacle> {
        let attempt = self.attempt;
        let snapshot: Arc<Snapshot> = Arc::new(changed(changes, node, attempt.pod, attempt.snapshot));
        let policy = attempt.policy.map(|policy| (policy, self.policy_source));
        let workload = WorkloadProfile::resolve(attempt.pod, policy, attempt.config, &snapshot);
        obstacle(self.profile, &Attempt { snapshot: &snapshot, workload: &workload, ..*attempt }, idx)
    }
}

/// Both together, in order; amounts of the same thing add up. `None` when they contradict each other.
fn merged(mut changes: Vec<Change>, more: Vec<Change>) -> Option<Vec<Change>> {
    for change in more {
        match (changes.iter_mut().find(|known| known.about() == change.about()), &change) {
            (None, _) => changes.push(change),
            (Some(Change::Resource(_, n)), Change::Resource(_, m)) | (Some(Change::Io(_, n)), Change::Io(_, m)) => {
                *n = n.saturating_add(*m)
            }
            (Some(Change::Volumes(_, n)), Change::Volumes(_, m)) => *n = n.saturating_add(*m),
            (Some(known), change) if *known == *change => {}
            (Some(_), _) => return None,
        }
    }
    changes.sort_unstable();
    Some(changes)
}
