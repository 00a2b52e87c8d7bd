//! Sets of `key=value` pairs: labels, annotations, node selectors. Immutable, sorted, shared.
//! Leaves out matching: see `selector`.

use crate::Str;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A sorted, immutable set of pairs. Cloning costs a reference count; looking up, a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Str, Str)]>);

impl Labels {
    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Str> {
        self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &self.0[i].1)
    }

    /// Whether `key` is there with exactly `value`.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|v| **v == *value)
    }

    /// Whether `key` is there.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Into<Str>, V: Into<Str>> FromIterator<(K, V)> for Labels {
    /// Later pairs win over earlier ones with the same key.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let map: alloc::collections::BTreeMap<Str, Str> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self(map.into_iter().collect::<Vec<_>>().into())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().collect()
    }
}
