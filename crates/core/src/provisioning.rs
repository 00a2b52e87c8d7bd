//! Where volumes of a class could not be made lately: another node comes first until a while has passed, longer each time.
//! Leaves out who finds out that it failed.

use crate::event::Millis;
use aisched_model::Str;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How long a node is left out after the first failure. Longer than a pod's first backoff, so that its next attempt goes elsewhere.
const FIRST_MS: Millis = 5_000;
/// The longest that it is left out.
const LAST_MS: Millis = 300_000;

/// Failures by node and class.
#[derive(Default)]
pub(crate) struct Provisioning {
    failures: BTreeMap<(Str, Str), Failures>,
}

struct Failures {
    in_a_row: u32,
    until: Millis,
    /// The node is let in again, but one more failure counts on.
    over: bool,
}

impl Provisioning {
    /// A volume of the class could not be made on the node.
    pub(crate) fn failed(&mut self, snapshot: &mut Snapshot, now: Millis, node: &Str, class: &Str) {
        let key = (node.clone(), class.clone());
        let failures = self.failures.entry(key.clone()).or_insert(Failures { in_a_row: 0, until: 0, over: false });
        let pause = FIRST_MS.checked_shl(failures.in_a_row.min(16)).unwrap_or(LAST_MS).min(LAST_MS);
        failures.in_a_row += 1;
        (failures.until, failures.over) = (now.saturating_add(pause), false);
        snapshot.no_provisioning.insert(key);
    }

    /// A volume of the class was made on the node.
    pub(crate) fn succeeded(&mut self, snapshot: &mut Snapshot, node: &Str, class: &Str) {
        let key = (node.clone(), class.clone());
        self.failures.remove(&key);
        snapshot.no_provisioning.remove(&key);
    }

    /// Lets nodes in again whose time has come; returns the classes concerned. What failed long ago is forgotten.
    pub(crate) fn let_in(&mut self, snapshot: &mut Snapshot, now: Millis) -> Vec<Str> {
        let mut classes = Vec::new();
        for (key, failures) in self.failures.iter_mut().filter(|(_, f)| !f.over && f.until <= now) {
            failures.over = true;
            snapshot.no_provisioning.remove(key);
            classes.push(key.1.clone());
        }
        self.failures.retain(|_, f| !f.over || f.until.saturating_add(2 * LAST_MS) > now);
        classes
    }

    /// When the next node is let in again.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.failures.values().filter(|f| !f.over).map(|f| f.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_leaves_the_node_out_for_longer() {
        let (mut provisioning, mut snapshot, mut now) = (Provisioning::default(), Snapshot::default(), 0);
        let (node, class): (Str, Str) = ("n".into(), "c".into());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            provisioning.failed(&mut snapshot, now, &node, &class);
            let due = provisioning.next_due().unwrap();
            pauses.push((due - now) / 1000);
            assert_eq!(provisioning.let_in(&mut snapshot, due - 1), [], "not before its time");
            assert!(snapshot.no_provisioning.contains(&(node.clone(), class.clone())));
            assert_eq!(provisioning.let_in(&mut snapshot, due), core::slice::from_ref(&class));
            assert!(snapshot.no_provisioning.is_empty());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(provisioning.next_due(), None);
    }

    #[test]
    fn success_or_a_long_time_clears_the_record() {
        let (node, class): (Str, Str) = ("n".into(), "c".into());
        let pause_after = |clear: fn(&mut Provisioning, &mut Snapshot) -> Millis| {
            let (mut provisioning, mut snapshot) = (Provisioning::default(), Snapshot::default());
            provisioning.failed(&mut snapshot, 0, &"n".into(), &"c".into());
            let now = clear(&mut provisioning, &mut snapshot);
            provisioning.failed(&mut snapshot, now, &node, &class);
            provisioning.next_due().unwrap() - now
        };
        assert_eq!(pause_after(|_, _| 0), 10_000);
        assert_eq!(pause_after(|p, s| (p.succeeded(s, &"n".into(), &"c".into()), 0).1), 5_000);
        assert_eq!(pause_after(|p, s| (p.let_in(s, 5_000), 100_000).1), 10_000);
        assert_eq!(pause_after(|p, s| (p.let_in(s, 605_000), 605_000).1), 5_000);
    }
}
