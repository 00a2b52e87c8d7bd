//! Keeps the latest decisions, so that a placement can be explained after it was made.
//! Bounded: the oldest decision makes room for the newest.

use crate::decision::Decision;
use aisched_model::Str;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

/// The latest decisions, by pod and in order.
#[derive(Debug)]
pub struct Records {
    capacity: usize,
    in_order: VecDeque<Arc<Decision>>,
    by_pod: BTreeMap<Str, Arc<Decision>>,
}

impl Records {
    /// Room for `capacity` decisions.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, in_order: VecDeque::new(), by_pod: BTreeMap::new() }
    }

    /// Keeps a decision; it takes the place of the pod's earlier ones.
    pub fn add(&mut self, decision: Arc<Decision>) {
        if self.capacity == 0 {
            return;
        }
        if self.in_order.len() == self.capacity {
            self.drop_oldest();
        }
        self.by_pod.insert(decision.pod.clone(), decision.clone());
        self.in_order.push_back(decision);
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.in_order.pop_front() else { return };
        if self.by_pod.get(&oldest.pod).is_some_and(|latest| Arc::ptr_eq(latest, &oldest)) {
            self.by_pod.remove(&oldest.pod);
        }
    }

    /// The latest decision on a pod, by `namespace/name`.
    #[must_use]
    pub fn get(&self, pod: &str) -> Option<&Arc<Decision>> {
        self.by_pod.get(pod)
    }

    /// All kept decisions, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Decision>> {
        self.in_order.iter().rev()
    }
}
