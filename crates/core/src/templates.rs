//! What is remembered of pods that no plugin can tell apart, so that the next one costs only what has changed since.
//! Leaves out what is remembered (`decide::Rows`); the configuration is not part of a template: a new one forgets them all.

use crate::decide::{Columns, Rows};
use crate::framework::Attempt;
use crate::journal::Journal;
use crate::plugins::outline;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::pod::PodSpec;
use aisched_model::policy::Policy;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};
use foldhash::fast::FixedState;

/// Templates that are remembered; beyond that the one that was used longest ago is forgotten. At 5,000 nodes each takes some 60 KB.
const KEPT: usize = 64;

/// The templates of the latest pods.
#[derive(Default)]
pub(crate) struct Templates {
    known: Vec<Template>,
    columns: Columns,
    /// Numbers the uses.
    n_uses: u64,
}

/// Everything that plugins read of a pod, with what they made of the nodes.
struct Template {
    hash: u64,
    namespace: Str,
    /// But for the names of claims that are the pod's alone.
    spec: Arc<PodSpec>,
    workload: WorkloadProfile,
    /// Without its id, which differs between answers that say the same.
    policy: Option<Policy>,
    rows: Rows,
    /// Up to where in the journal the rows know of changes.
    seen: u64,
    used: u64,
}

impl Templates {
    /// The rows of the attempt's template, told of every node that changed since they were used last, and what all templates share.
    pub(crate) fn recall(&mut self, attempt: &Attempt<'_>, journal: &Journal) -> (&mut Rows, &mut Columns) {
        self.n_uses += 1;
        let spec = outline(attempt.pod, attempt.snapshot);
        let hash = hash(&attempt.pod.namespace, &spec);
        let known = self.known.iter().position(|t| t.hash == hash && t.is_of(attempt, &spec));
        let at = known.unwrap_or_else(|| self.learn(hash, attempt, spec));
        let template = &mut self.known[at];
        match journal.since(template.seen) {
            Some(changes) => changes.for_each(|change| template.rows.follow(change, &attempt.snapshot.nodes)),
            None => template.rows.forget(),
        }
        template.seen = journal.now();
        template.used = self.n_uses;
        self.columns.follow(journal, &attempt.snapshot.nodes);
        (&mut template.rows, &mut self.columns)
    }

    /// Forgets everything: what plugins say is no longer so.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// Nodes that were judged in the latest decision.
    #[cfg(test)]
    pub(crate) fn n_judged(&self) -> usize {
        self.known.iter().max_by_key(|t| t.used).map_or(0, |t| t.rows.n_judged())
    }

    /// Which tallies the latest decision left, by plugin and place in memory.
    #[cfg(test)]
    pub(crate) fn tallies(&self) -> Vec<(&'static str, usize)> {
        let mut tallies = self.known.iter().max_by_key(|t| t.used).map_or_else(Vec::new, |t| t.rows.tallies());
        tallies.sort_unstable();
        tallies
    }

    /// Makes room for a new template; gives its position. Rows are taken over from the one that goes, for their memory alone.
    fn learn(&mut self, hash: u64, attempt: &Attempt<'_>, spec: Arc<PodSpec>) -> usize {
        let mut rows = Rows::default();
        if self.known.len() >= KEPT {
            let oldest = self.known.iter().enumerate().min_by_key(|(_, t)| t.used).map_or(0, |(at, _)| at);
            rows = self.known.swap_remove(oldest).rows;
        }
        rows.forget();
        let policy = attempt.policy.map(without_id);
        let (namespace, workload) = (attempt.pod.namespace.clone(), attempt.workload.clone());
        self.known.push(Template { hash, namespace, spec, workload, policy, rows, seen: 0, used: 0 });
        self.known.len() - 1
    }
}

impl Template {
    fn is_of(&self, attempt: &Attempt<'_>, spec: &Arc<PodSpec>) -> bool {
        self.namespace == attempt.pod.namespace
            && (Arc::ptr_eq(&self.spec, spec) || self.spec == *spec)
            && self.workload == *attempt.workload
            && self.policy == attempt.policy.map(without_id)
    }
}

fn without_id(policy: &Policy) -> Policy {
    Policy { request_id: None, ..policy.clone() }
}

fn hash(namespace: &Str, spec: &PodSpec) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    namespace.hash(&mut hasher);
    spec.hash(&mut hasher);
    hasher.finish()
}
