//! Which kubelets have turned pods away lately: such pods go elsewhere until a while has passed, longer each time.
//! Leaves out judging nodes: the plugin `KubeletRejections` does that.

use crate::event::Millis;
use aisched_model::Str;
use aisched_model::pod::PodSpec;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How long a node is left out after the first rejection.
const FIRST_MS: Millis = 10_000;
/// The longest that it is left out.
const LAST_MS: Millis = 300_000;
/// Rejections that are remembered; beyond, the one that is over first is forgotten.
const MOST: usize = 1000;

/// Rejections by node and shape of pod.
#[derive(Default)]
pub(crate) struct Rejections(Vec<Rejection>);

struct Rejection {
    node: Str,
    spec: Arc<PodSpec>,
    reason: Str,
    in_a_row: u32,
    until: Millis,
    /// The node is let in again, but one more rejection counts on.
    over: bool,
}

impl Rejection {
    fn is(&self, node: &str, spec: &PodSpec) -> bool {
        *self.node == *node && self.spec.is_of_shape(spec)
    }
}

impl Rejections {
    /// A kubelet has turned a pod away.
    pub(crate) fn rejected(&mut self, snapshot: &mut Snapshot, now: Millis, node: &Str, spec: &Arc<PodSpec>, reason: &Str) {
        let found = self.0.iter().position(|r| r.is(node, spec));
        let in_a_row = found.map_or(0, |i| self.0.swap_remove(i).in_a_row);
        if self.0.len() >= MOST
            && let Some(first) = (0..self.0.len()).min_by_key(|i| self.0[*i].until)
        {
            self.0.swap_remove(first);
        }
        let until = now.saturating_add((FIRST_MS << in_a_row.min(16)).min(LAST_MS));
        let (node, spec, reason) = (node.clone(), spec.clone(), reason.clone());
        self.0.push(Rejection { node, spec, reason, in_a_row: in_a_row + 1, until, over: false });
        self.show(snapshot);
    }

    /// A kubelet runs a pod of this shape: what it turned away before counts no more. Returns whether anything did.
    pub(crate) fn accepted(&mut self, snapshot: &mut Snapshot, node: &str, spec: &PodSpec) -> bool {
        let n_before = self.0.len();
        self.0.retain(|r| !r.is(node, spec));
        let changed = self.0.len() < n_before;
        if changed {
            self.show(snapshot);
        }
        changed
    }

    /// The node is gone.
    pub(crate) fn forget_node(&mut self, snapshot: &mut Snapshot, node: &str) {
        self.0.retain(|r| *r.node != *node);
        self.show(snapshot);
    }

    /// Lets nodes in again whose time has come; returns their names. What was long ago is forgotten.
    pub(crate) fn let_in(&mut self, snapshot: &mut Snapshot, now: Millis) -> BTreeSet<Str> {
        let mut nodes = BTreeSet::new();
        for rejection in self.0.iter_mut().filter(|r| !r.over && r.until <= now) {
            rejection.over = true;
            nodes.insert(rejection.node.clone());
        }
        self.0.retain(|r| !r.over || r.until.saturating_add(2 * LAST_MS) > now);
        if !nodes.is_empty() {
            self.show(snapshot);
        }
        nodes
    }

    /// When the next node is let in again.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.0.iter().filter(|r| !r.over).map(|r| r.until).min()
    }

    /// Shows the plugins what is in force.
    fn show(&self, snapshot: &mut Snapshot) {
        snapshot.turned_away.clear();
        for r in self.0.iter().filter(|r| !r.over) {
            snapshot.turned_away.entry(r.node.clone()).or_default().push((r.spec.clone(), r.reason.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::requesting;

    #[test]
    fn each_rejection_in_a_row_leaves_the_node_out_for_longer_until_the_kubelet_runs_such_a_pod() {
        let (mut rejections, mut snapshot, mut now) = (Rejections::default(), Snapshot::default(), 0);
        let (small, large) = (requesting("s", "1", "1Gi").spec, requesting("l", "2", "1Gi").spec);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            rejections.rejected(&mut snapshot, now, &"n".into(), &small, &"OutOfcpu".into());
            let due = rejections.next_due().unwrap();
            pauses.push((due - now) / 1000);
            assert!(rejections.let_in(&mut snapshot, due - 1).is_empty() && snapshot.turned_away.len() == 1, "not before its time");
            assert_eq!(rejections.let_in(&mut snapshot, due), ["n".into()].into());
            assert!(snapshot.turned_away.is_empty());
            now = due;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        assert!(!rejections.accepted(&mut snapshot, "n", &large) && rejections.accepted(&mut snapshot, "n", &small));
        rejections.rejected(&mut snapshot, now, &"n".into(), &small, &"OutOfcpu".into());
        assert_eq!(rejections.next_due(), Some(now + 10_000));
        rejections.forget_node(&mut snapshot, "n");
        assert!(rejections.0.is_empty() && snapshot.turned_away.is_empty());
    }

    #[test]
    fn old_rejections_are_forgotten_and_their_number_is_bounded() {
        let (mut rejections, mut snapshot) = (Rejections::default(), Snapshot::default());
        let spec = requesting("s", "1", "1Gi").spec;
        for i in 0..MOST as u64 + 5 {
            rejections.rejected(&mut snapshot, i, &alloc::format!("n{i}").into(), &spec, &"OutOfpods".into());
        }
        assert_eq!((rejections.0.len(), rejections.next_due()), (MOST, Some(10_005)));
        rejections.let_in(&mut snapshot, 20_000);
        rejections.let_in(&mut snapshot, 620_000);
        assert!(rejections.0.is_empty());
    }
}
