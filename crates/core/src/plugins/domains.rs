//! Counts per topology domain: a number for every value of a node label.
//! Leaves out what is counted: the plugins say.

use aisched_model::Str;
use aisched_model::labels::Labels;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Numbers by the value of one label. A value that was added is a domain even while its number is 0.
/// Hashed with a fixed seed, so that the same cluster always costs the same; nothing depends on its order.
#[derive(Clone, Default)]
pub(super) struct Domains(HashMap<Str, i64, FixedState>);

impl Domains {
    /// Adds `n` to the domain `value`, which begins to exist if it did not.
    pub(super) fn add(&mut self, value: &Str, n: i64) {
        match self.0.get_mut(&**value) {
            Some(count) => *count += n,
            None => {
                self.0.insert(value.clone(), n);
            }
        }
    }

    /// The number of a domain, to change it; `None` where there is no such domain.
    pub(super) fn get_mut(&mut self, value: &str) -> Option<&mut i64> {
        self.0.get_mut(value)
    }

    /// The number of a domain; `None` where there is no such domain.
    pub(super) fn get(&self, value: &str) -> Option<i64> {
        self.0.get(value).copied()
    }

    /// How many domains there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The domain of the lowest number; of several, the first by name.
    pub(super) fn emptiest(&self) -> Option<&Str> {
        self.0.iter().min_by_key(|(value, n)| (**n, *value)).map(|(value, _)| value)
    }

    /// The numbers of all domains, in no order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = i64> {
        self.0.values().copied()
    }
}

/// Numbers by label key and value. Keys are few, the topology keys of a handful of terms, and sorted, whatever came first.
#[derive(Clone, Default)]
pub(super) struct Topologies(Vec<(Str, Domains)>);

impl Topologies {
    /// Adds `n` to the domain that a node with these labels belongs to under `key`; nothing where the node lacks the key.
    pub(super) fn add(&mut self, key: &Str, node: &Labels, n: i64) {
        let Some(value) = node.get(key) else { return };
        let at = self.0.binary_search_by(|(k, _)| k.cmp(key)).unwrap_or_else(|at| {
            self.0.insert(at, (key.clone(), Domains::default()));
            at
        });
        self.0[at].1.add(value, n);
    }

    /// Takes back an addition of `n`; a domain of which nothing is left does not exist.
    pub(super) fn take(&mut self, key: &Str, node: &Labels, n: i64) {
        let Some(value) = node.get(key) else { return };
        let Some(at) = self.0.iter().position(|(k, _)| k == key) else { return };
        let domains = &mut self.0[at].1;
        let left = domains.get_mut(value).map(|count| {
            *count -= n;
            *count
        });
        if left == Some(0) {
            domains.0.remove(&**value);
        }
        if domains.0.is_empty() {
            self.0.remove(at);
        }
    }

    /// The labels under which anything was added.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Str> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Whether nothing was ever added, or all was taken back.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything was added to the domain that a node belongs to under `key`.
    pub(super) fn has(&self, key: &str, node: &Labels) -> bool {
        self.at(node).any(|(k, _)| **k == *key)
    }

    /// The domains that a node with these labels belongs to, as key and number.
    pub(super) fn at<'a>(&'a self, node: &'a Labels) -> impl Iterator<Item = (&'a Str, i64)> {
        self.0.iter().filter_map(|(key, domains)| Some((key, domains.get(node.get(key)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_without_pods_counts_as_one() {
        let mut zones = Domains::default();
        assert_eq!((zones.len(), zones.numbers().min()), (0, None));
        zones.add(&"a".into(), 3);
        zones.add(&"b".into(), 0);
        zones.add(&"a".into(), 2);
        assert_eq!((zones.get("a"), zones.get("b"), zones.get("c")), (Some(5), Some(0), None));
        assert_eq!((zones.len(), zones.numbers().min()), (2, Some(0)));
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let (zone, node) = ("zone".into(), Labels::from([("zone", "a")]));
        let mut counts = Topologies::default();
        counts.add(&zone, &node, 2);
        counts.take(&zone, &node, 1);
        assert_eq!(counts.at(&node).map(|(_, n)| n).collect::<Vec<i64>>(), [1]);
        counts.take(&zone, &Labels::from([("zone", "b")]), 1);
        counts.take(&zone, &node, 1);
        assert!(counts.is_empty() && !counts.has("zone", &node));
    }

    #[test]
    fn node_belongs_to_the_domains_of_its_labels() {
        let mut counts = Topologies::default();
        counts.add(&"zone".into(), &[("zone", "a"), ("rack", "1")].into(), 2);
        counts.add(&"rack".into(), &[("zone", "b")].into(), 5);
        let at = |labels: Labels| counts.at(&labels).map(|(_, n)| n).collect::<Vec<i64>>();
        assert_eq!(at([("zone", "a")].into()), [2]);
        assert_eq!(at([("zone", "b"), ("rack", "1")].into()), [0; 0]);
        assert!(counts.has("zone", &[("zone", "a")].into()) && !counts.has("rack", &[("zone", "a"), ("rack", "1")].into()));
    }
}
