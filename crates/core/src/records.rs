//! Keeps the latest decisions, so that a placement can be explained after it was made.
//! Bounded in number and in what each keeps: all of the newest, of older ones what matters most. Has no clock: times are told.

use crate::decision::Decision;
use crate::event::Millis;
use aisched_model::Str;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

/// The newest decisions keep every node that they report on.
pub(crate) const WHOLE: usize = 500;
/// Nodes that an older decision keeps: the chosen one, the runner-up and the next.
const KEPT_NODES: usize = 3;

/// A decision, and when and how it came about.
#[derive(Clone, Debug)]
pub struct Record {
    /// The decision.
    pub decision: Arc<Decision>,
    /// What decided between equals: with it the decision can be made again.
    pub salt: u64,
    /// When it was taken.
    pub at: Millis,
    /// Attempts on the pod so far, this one included.
    pub attempt: u32,
    /// Since the pod first came, in milliseconds.
    pub waited_ms: u64,
    /// How long its phases took, as far as is known.
    pub took: Took,
}

impl Record {
    /// Of a decision taken now on a pod that was never tried.
    #[must_use]
    pub fn new(decision: Arc<Decision>, at: Millis) -> Self {
        Self { decision, salt: 0, at, attempt: 0, waited_ms: 0, took: Took::default() }
    }
}

/// How long the phases of an attempt took, in microseconds, by the clock of whoever drives the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Finding the node.
    pub decide_us: Option<u64>,
    /// The whole attempt, until the pod was bound or could not be: volumes and extenders included.
    pub attempt_us: Option<u64>,
}

/// The latest decisions, by pod and in order.
#[derive(Debug)]
pub struct Records {
    capacity: usize,
    in_order: VecDeque<Record>,
    /// Number of the first one kept.
    first: u64,
    /// Numbers of the pods' latest decisions.
    by_pod: BTreeMap<Str, u64>,
    /// The latest decisions on pods that were refused, when so many others were made since that they are no longer in order.
    refused: BTreeMap<Str, Record>,
}

impl Records {
    /// Room for `capacity` decisions, and as many on pods that were refused longer ago.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, in_order: VecDeque::new(), first: 0, by_pod: BTreeMap::new(), refused: BTreeMap::new() }
    }

    /// Keeps a decision; it takes the place of the pod's earlier ones.
    pub fn add(&mut self, record: Record) {
        if self.capacity == 0 {
            return;
        }
        if self.in_order.len() == self.capacity {
            self.drop_oldest();
        }
        if let Some(old) = self.in_order.len().checked_sub(WHOLE).and_then(|at| self.in_order.get_mut(at)) {
            thin(&mut old.decision);
        }
        self.refused.remove(&record.decision.pod);
        self.by_pod.insert(record.decision.pod.clone(), self.first + self.in_order.len() as u64);
        self.in_order.push_back(record);
    }

    /// The oldest goes, unless its pod still waits for all that is known here.
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.in_order.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        if self.by_pod.get(&oldest.decision.pod) != Some(&number) {
            return;
        }
        self.by_pod.remove(&oldest.decision.pod);
        if oldest.decision.node.is_none() {
            if self.refused.len() == self.capacity {
                self.refused.pop_first();
            }
            self.refused.insert(oldest.decision.pod.clone(), oldest);
        }
    }

    /// A pod is gone: nobody will ask for its refusals any longer.
    pub(crate) fn forget_refused(&mut self, pod: &str) {
        self.refused.remove(pod);
    }

    /// Notes how long the latest decision on a pod took.
    pub fn timed(&mut self, pod: &str, took: Took) {
        let Some(at) = self.by_pod.get(pod).and_then(|number| usize::try_from(number - self.first).ok()) else { return };
        if let Some(record) = self.in_order.get_mut(at) {
            record.took.decide_us = took.decide_us.or(record.took.decide_us);
            record.took.attempt_us = took.attempt_us.or(record.took.attempt_us);
        }
    }

    /// The latest decision on a pod, by `namespace/name`.
    #[must_use]
    pub fn get(&self, pod: &str) -> Option<&Record> {
        let Some(number) = self.by_pod.get(pod) else { return self.refused.get(pod) };
        usize::try_from(number - self.first).ok().and_then(|at| self.in_order.get(at))
    }

    /// All kept decisions in order, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Record> {
        self.in_order.iter().rev()
    }
}

/// Drops what is the largest part of a decision and asked for least: the nodes that came far behind.
fn thin(decision: &mut Arc<Decision>) {
    if decision.nodes.len() <= KEPT_NODES {
        return;
    }
    // In place unless somebody reads it right now.
    let decision = Arc::make_mut(decision);
    decision.nodes.truncate(KEPT_NODES);
    decision.nodes.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{NodeReport, PolicyView, ProfileView};
    use alloc::format;
    use alloc::vec::Vec;

    fn record(pod: &str, node: Option<&str>) -> Record {
        let report =
            |i| NodeReport { node: format!("n{i}").into(), feasible: true, reasons: Vec::new(), total: None, plugins: Arc::default() };
        let decision = Decision {
            pod: pod.into(),
            uid: pod.into(),
            scheduler_name: "s".into(),
            node: node.map(Str::from),
            message: None,
            policy: PolicyView::default(),
            profile: ProfileView::default(),
            heard: Vec::new(),
            config_generation: 0,
            n_nodes: 20,
            n_feasible: 20,
            runner_up: None,
            refusals: Vec::new(),
            nodes: (0..20).map(report).collect(),
            cures: Vec::new(),
            has_ai_plugins: true,
        };
        Record { decision: decision.into(), salt: 0, at: 0, attempt: 1, waited_ms: 0, took: Took::default() }
    }

    fn kept(records: &Records) -> Vec<&str> {
        records.newest_first().map(|r| &*r.decision.pod).collect()
    }

    #[test]
    fn oldest_makes_room_and_a_refused_pod_keeps_its_latest() {
        let mut records = Records::new(2);
        for (pod, node) in [("a", None), ("b", Some("n")), ("c", Some("n")), ("d", Some("n"))] {
            records.add(record(pod, node));
        }
        assert_eq!(kept(&records), ["d", "c"]);
        assert!(records.get("a").is_some() && records.get("b").is_none(), "a waits, b does not");
        records.add(record("a", Some("n")));
        assert!(records.refused.is_empty());
        records.timed("a", Took { decide_us: Some(5), attempt_us: None });
        records.timed("a", Took { decide_us: None, attempt_us: Some(7) });
        assert_eq!(records.get("a").map(|r| r.took), Some(Took { decide_us: Some(5), attempt_us: Some(7) }));
    }

    #[test]
    fn older_decisions_keep_the_nodes_that_matter() {
        let mut records = Records::new(2 * WHOLE);
        for i in 0..2 * WHOLE {
            records.add(record(&format!("p{i}"), Some("n")));
        }
        let n_nodes: Vec<usize> = records.newest_first().map(|r| r.decision.nodes.len()).collect();
        assert!(n_nodes[..WHOLE].iter().all(|n| *n == 20) && n_nodes[WHOLE..].iter().all(|n| *n == KEPT_NODES), "{n_nodes:?}");
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let mut records = Records::new(0);
        records.add(record("a", None));
        assert!(kept(&records).is_empty() && records.get("a").is_none());
    }
}
