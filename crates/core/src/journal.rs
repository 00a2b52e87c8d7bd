//! What happened to the nodes, in order: whoever remembers something of a node reads on from where it stopped.
//! Leaves out what is remembered (`templates`), and everything in the cluster that is not a node or on one.

use alloc::collections::VecDeque;

/// Changes that are kept: whoever is further behind looks at every node anew, which costs less than so many changes one by one.
const KEPT: usize = 4096;

/// Positions of nodes that changed, the object or what is on it.
#[derive(Default)]
pub(crate) struct Journal {
    /// Number of the oldest change that is kept.
    first: u64,
    changes: VecDeque<u32>,
}

impl Journal {
    /// The node at this position of the snapshot changed.
    pub(crate) fn touched(&mut self, node: usize) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
            self.first += 1;
        }
        self.changes.push_back(u32::try_from(node).unwrap_or(u32::MAX));
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

    /// Positions of the nodes that changed since `then`, oldest first; `None` when every node may have.
    pub(crate) fn since(&self, then: u64) -> Option<impl Iterator<Item = u32>> {
        let skip = usize::try_from(then.checked_sub(self.first)?).ok()?;
        Some(self.changes.iter().skip(skip).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn since(journal: &Journal, then: u64) -> Option<Vec<u32>> {
        journal.since(then).map(Iterator::collect)
    }

    #[test]
    fn reader_gets_every_change_since_it_stopped_or_is_told_to_look_at_all() {
        let mut journal = Journal::default();
        let start = journal.now();
        journal.touched(3);
        let middle = journal.now();
        journal.touched(5);
        assert_eq!((since(&journal, start), since(&journal, middle)), (Some([3, 5].into()), Some([5].into())));
        assert_eq!(since(&journal, journal.now()), Some(Vec::new()));
        journal.moved();
        assert_eq!((since(&journal, start), since(&journal, middle + 1)), (None, None));
        let after = journal.now();
        for i in 0..=KEPT {
            journal.touched(i);
        }
        assert_eq!(since(&journal, after), None, "the first change is no longer kept");
        assert_eq!(since(&journal, after + 1).map(|c| c.len()), Some(KEPT));
    }
}
