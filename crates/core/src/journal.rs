//! What happened to the nodes, in order: whoever remembers something of a node reads on from where it stopped.
//! Leaves out what is remembered (`templates`), and everything in the cluster that is not a node or on one.

use aisched_model::pod::Pod;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

/// Changes that are kept: whoever is further behind looks at every node anew, which costs less than so many changes one by one.
const KEPT: usize = 4096;

/// Changes of nodes by their positions.
#[derive(Default)]
pub(crate) struct Journal {
    /// Number of the oldest change that is kept.
    first: u64,
    changes: VecDeque<Change>,
}

/// A change of one node.
pub(crate) struct Change {
    /// Its position in the snapshot.
    pub(crate) node: u32,
    pub(crate) what: What,
}

/// What changed.
pub(crate) enum What {
    /// The object; whether in its labels or taints, by which pods are counted.
    Object { regrouped: bool },
    /// A pod came to the node.
    Came(Arc<Pod>),
    /// A pod left it.
    Left(Arc<Pod>),
}

impl Journal {
    /// The node at this position of the snapshot changed.
    pub(crate) fn note(&mut self, node: usize, what: What) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
            self.first += 1;
        }
        self.changes.push_back(Change { node: u32::try_from(node).unwrap_or(u32::MAX), what });
    }

    /// A node came or went: positions are no longer what they were.
    pub(crate) fn moved(&mut self) {
        self.first = self.now() + 1;
        self.changes.clear();
    }

    /// Number of the next change.
    pub(crate) fn now(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    /// The changes since `then`, oldest first; `None` when every node may have changed.
    pub(crate) fn since(&self, then: u64) -> Option<impl Iterator<Item = &Change>> {
        let skip = usize::try_from(then.checked_sub(self.first)?).ok()?;
        Some(self.changes.iter().skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn since(journal: &Journal, then: u64) -> Option<Vec<u32>> {
        journal.since(then).map(|changes| changes.map(|change| change.node).collect())
    }

    #[test]
    fn reader_gets_every_change_since_it_stopped_or_is_told_to_look_at_all() {
        let mut journal = Journal::default();
        let start = journal.now();
        journal.note(3, What::Object { regrouped: false });
        let middle = journal.now();
        journal.note(5, What::Object { regrouped: false });
        assert_eq!((since(&journal, start), since(&journal, middle)), (Some([3, 5].into()), Some([5].into())));
        assert_eq!(since(&journal, journal.now()), Some(Vec::new()));
        journal.moved();
        assert_eq!((since(&journal, start), since(&journal, middle + 1)), (None, None));
        let after = journal.now();
        for i in 0..=KEPT {
            journal.note(i, What::Object { regrouped: false });
        }
        assert_eq!(since(&journal, after), None, "the first change is no longer kept");
        assert_eq!(since(&journal, after + 1).map(|c| c.len()), Some(KEPT));
    }
}
