//! Shares equal strings and equal pod specs, so that a thousand replicas cost the memory of one.
//! Knows nothing of objects; forgets what nobody else holds, so that it never grows beyond what is in use.

use aisched_model::Str;
use aisched_model::pod::PodSpec;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Below this many entries, looking for unused ones is not worth it.
const MIN_SWEEP: usize = 4096;

/// Hash-consing tables of one task. Not shared: what two tasks both know is small (node names).
#[derive(Debug, Default)]
pub struct Interner {
    strings: Table<str>,
    specs: Table<PodSpec>,
}

impl Interner {
    /// The shared form of a text.
    pub fn str(&mut self, text: &str) -> Str {
        if let Some(shared) = self.strings.set.get(text) {
            return shared.clone();
        }
        self.strings.insert(Str::from(text))
    }

    /// The shared form of a pod's spec.
    pub fn spec(&mut self, spec: PodSpec) -> Arc<PodSpec> {
        if let Some(shared) = self.specs.set.get(&spec) {
            return shared.clone();
        }
        self.specs.insert(Arc::new(spec))
    }

    /// How many strings and specs are kept.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.strings.set.len(), self.specs.set.len())
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

/// One kind of shared value, with the size at which unused ones are looked for next.
#[derive(Debug)]
struct Table<T: ?Sized> {
    set: HashSet<Arc<T>, RandomState>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Table<T> {
    fn default() -> Self {
        Self { set: HashSet::default(), sweep_at: MIN_SWEEP }
    }
}

impl<T: ?Sized + Eq + Hash> Table<T> {
    /// Adds a value; at twice the size that was in use last time, drops what only the table still holds.
    fn insert(&mut self, value: Arc<T>) -> Arc<T> {
        if self.set.len() >= self.sweep_at {
            self.set.retain(|v| Arc::strong_count(v) > 1);
            self.sweep_at = MIN_SWEEP.max(self.set.len() * 2);
        }
        self.set.insert(value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let mut interner = Interner::default();
        assert!(Arc::ptr_eq(&interner.str("zone"), &interner.str("zone")));
        let spec = |priority| PodSpec { priority, ..PodSpec::default() };
        assert!(Arc::ptr_eq(&interner.spec(spec(1)), &interner.spec(spec(1))));
        assert!(!Arc::ptr_eq(&interner.spec(spec(1)), &interner.spec(spec(2))));
    }

    #[test]
    fn unused_values_are_forgotten_and_used_ones_kept() {
        let mut interner = Interner::default();
        let kept: Vec<Str> = (0..10).map(|i| interner.str(&format!("kept-{i}"))).collect();
        for i in 0..10 * MIN_SWEEP {
            interner.str(&format!("passing-{i}"));
        }
        assert!(interner.len().0 <= MIN_SWEEP + 1, "{:?}", interner.len());
        for (i, kept) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(kept, &interner.str(&format!("kept-{i}"))));
        }
    }
}
