//! Which datasets lie in the nodes' caches, and how much of each.
//! Leaves out who finds what there: see `work`.

use super::bandwidth::count;
use super::plan::{DatasetId, Keeps, Storage};
use aisched_core::event::Millis;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The cache of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    room_mb: f64,
    held: BTreeMap<DatasetId, Held>,
}

#[derive(Clone, Debug, Default)]
struct Held {
    mb: f64,
    /// As much as there would be with room for everything.
    wanted: f64,
    /// Pods on the node that read it.
    n_readers: usize,
    last_used: Millis,
}

impl Cache {
    pub(super) fn new(room_mb: f64) -> Self {
        Self { room_mb, held: BTreeMap::new() }
    }

    pub(super) fn mb(&self, dataset: DatasetId) -> f64 {
        self.held.get(&dataset).map_or(0.0, |held| held.mb)
    }

    /// The datasets that are here or on their way, where there is a cache at all.
    pub(super) fn datasets(&self) -> impl Iterator<Item = DatasetId> {
        self.held.iter().filter(|(_, held)| self.room_mb > 0.0 && (held.mb > 0.0 || held.n_readers > 0)).map(|(id, _)| *id)
    }

    pub(super) fn read_by_one_more(&mut self, dataset: DatasetId) {
        self.held.entry(dataset).or_default().n_readers += 1;
    }

    pub(super) fn read_by_one_less(&mut self, dataset: DatasetId, now: Millis) {
        if let Some(held) = self.held.get_mut(&dataset) {
            held.n_readers -= 1;
            held.last_used = now;
        }
    }

    /// As much of the dataset as fits, up to `mb`, is here from now on; `wanted` is what would be with room for everything. What was
    /// gained.
    pub(super) fn take_in(&mut self, dataset: DatasetId, mb: f64, wanted: f64, keeps: Keeps, now: Millis) -> f64 {
        let before = self.mb(dataset);
        self.make_room(dataset, mb - before);
        let held = self.held.entry(dataset).or_default();
        (held.wanted, held.last_used) = (wanted, now);
        if let Keeps::Latest(_) = keeps {
            self.share_room(dataset);
        }
        let mb = mb.min(before + self.free()).max(before);
        self.held.entry(dataset).or_default().mb = mb;
        mb - before
    }

    /// Whether more of a dataset could come in: there is room, or another that nobody reads can be thrown out.
    pub(super) fn has_room(&self, for_dataset: DatasetId) -> bool {
        let unused = self.held.iter().filter(|(id, held)| **id != for_dataset && held.n_readers == 0);
        self.free() + unused.map(|(_, held)| held.mb).sum::<f64>() >= 1.0
    }

    fn free(&self) -> f64 {
        (self.room_mb - self.held.values().map(|held| held.mb).sum::<f64>()).max(0.0)
    }

    /// Throws out what nobody reads, the longest unused first, until `mb` are free.
    fn make_room(&mut self, for_dataset: DatasetId, mb: f64) {
        while self.free() < mb {
            let unused = self.held.iter().filter(|(id, held)| **id != for_dataset && held.n_readers == 0 && held.mb > 0.0);
            let Some(oldest) = unused.min_by_key(|(id, held)| (held.last_used, **id)).map(|(id, _)| *id) else { return };
            self.held.remove(&oldest);
        }
    }

    /// The other datasets in use give up what they have beyond their share of the room, in proportion to what each wants.
    fn share_room(&mut self, newcomer: DatasetId) {
        let wanted: f64 = self.held.values().map(|held| held.wanted).sum();
        let shrink = (self.room_mb / wanted).min(1.0);
        for (_, held) in self.held.iter_mut().filter(|(id, _)| **id != newcomer) {
            held.mb = held.mb.min(held.wanted * shrink);
        }
    }
}

/// MB of the dataset that one of `n_nodes` comes to hold: all of it, or its part where nodes read from each other.
pub(super) fn wanted(size: f64, n_nodes: usize, storage: &Storage) -> f64 {
    if storage.peers { size / count(n_nodes) } else { size }
}

/// MB of each dataset in all caches together.
pub(super) fn everywhere(caches: &[Cache], n_datasets: usize) -> Vec<f64> {
    let mut sums = alloc::vec![0.0; n_datasets];
    for (id, held) in caches.iter().flat_map(|cache| &cache.held) {
        sums[*id] += held.mb;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Keeps = Keeps::First;

    #[test]
    fn what_nobody_reads_makes_room_the_longest_unused_first() {
        let mut cache = Cache::new(100.0);
        assert!(cache.take_in(0, 40.0, 40.0, FIRST, 1) == 40.0 && cache.take_in(1, 40.0, 40.0, FIRST, 2) == 40.0);
        assert!(cache.take_in(2, 50.0, 50.0, FIRST, 3) == 50.0);
        assert_eq!((cache.mb(0), cache.mb(1), cache.mb(2)), (0.0, 40.0, 50.0));
    }

    #[test]
    fn what_is_read_stays_and_the_newcomer_gets_what_is_left() {
        let mut cache = Cache::new(100.0);
        cache.read_by_one_more(0);
        cache.take_in(0, 80.0, 80.0, FIRST, 1);
        cache.read_by_one_more(1);
        assert!((cache.take_in(1, 80.0, 80.0, FIRST, 2) - 20.0).abs() < 1e-9);
        cache.read_by_one_less(0, 3);
        assert!((cache.take_in(1, 80.0, 80.0, FIRST, 4) - 60.0).abs() < 1e-9, "nobody reads the first any longer");
    }

    #[test]
    fn latest_used_share_the_room() {
        let mut cache = Cache::new(100.0);
        for id in [0, 1] {
            cache.read_by_one_more(id);
            cache.take_in(id, 100.0, 100.0, Keeps::Latest(0.6), 1);
        }
        assert!((cache.mb(0) - 50.0).abs() < 1e-9 && (cache.mb(1) - 50.0).abs() < 1e-9);
        assert!(!cache.has_room(0));
    }
}
