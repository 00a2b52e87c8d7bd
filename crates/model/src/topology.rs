//! Finds what a node can reach by the node's labels, smallest first, instead of by walking everything there is.
//! Leaves out the last word: what is found has still to be matched by whoever asks.

use crate::Str;
use crate::labels::Labels;
use crate::selector::{NodeSelectorTerm, Operator, Requirement};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Things of one kind by size and name, each listed under a label that every node in its reach has.
#[derive(Clone, Debug)]
pub struct Nearby<T> {
    /// By key, then value.
    by_label: BTreeMap<Str, BTreeMap<Str, BySize<T>>>,
    /// Things that no label confines.
    anywhere: BySize<T>,
}

type BySize<T> = BTreeMap<i64, BTreeMap<Str, Arc<T>>>;

/// Labels, at least one of which every node in reach has; `None` when no label tells.
pub type Reach<'a> = Option<Vec<(&'a Str, &'a Str)>>;

impl<T> Default for Nearby<T> {
    fn default() -> Self {
        Self { by_label: BTreeMap::new(), anywhere: BTreeMap::new() }
    }
}

impl<T> Nearby<T> {
    /// Adds a thing.
    pub fn insert(&mut self, reach: Reach<'_>, size: i64, name: &Str, thing: &Arc<T>) {
        let Some(reach) = reach else {
            self.anywhere.entry(size).or_default().insert(name.clone(), thing.clone());
            return;
        };
        for (key, value) in reach {
            let bucket = self.by_label.entry(key.clone()).or_default().entry(value.clone()).or_default();
            bucket.entry(size).or_default().insert(name.clone(), thing.clone());
        }
    }

    /// Takes a thing away that was added with the same reach and size.
    pub fn remove(&mut self, reach: Reach<'_>, size: i64, name: &str) {
        let Some(reach) = reach else { return remove(&mut self.anywhere, size, name) };
        for (key, value) in reach {
            let Some(values) = self.by_label.get_mut(key) else { continue };
            if let Some(bucket) = values.get_mut(value) {
                remove(bucket, size, name);
                if bucket.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.by_label.remove(key);
            }
        }
    }

    /// The smallest thing of at least this size that a node with these labels may reach and that `fits`; equals by name.
    pub fn smallest(&self, labels: &Labels, at_least: i64, fits: impl Fn(&T) -> bool) -> Option<&Arc<T>> {
        let near = self.by_label.iter().filter_map(|(key, values)| values.get(labels.get(key)?));
        let buckets = near.chain(core::iter::once(&self.anywhere));
        let found = buckets.filter_map(|bucket| first(bucket, at_least, &fits));
        found.min_by_key(|(size, name, _)| (*size, *name)).map(|(_, _, thing)| thing)
    }

    /// Everything that a node with these labels may reach; once for each label that tells.
    pub fn all(&self, labels: &Labels) -> impl Iterator<Item = &Arc<T>> {
        let near = self.by_label.iter().filter_map(|(key, values)| values.get(labels.get(key)?));
        near.chain(core::iter::once(&self.anywhere)).flat_map(|bucket| bucket.values().flat_map(BTreeMap::values))
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_label.is_empty() && self.anywhere.is_empty()
    }
}

/// The first thing of at least this size that `fits`, with its size and name.
fn first<'s, T>(bucket: &'s BySize<T>, at_least: i64, fits: &impl Fn(&T) -> bool) -> Option<(i64, &'s Str, &'s Arc<T>)> {
    let sizes = bucket.range(at_least..);
    let mut all = sizes.flat_map(|(size, named)| named.iter().map(move |(name, thing)| (*size, name, thing)));
    all.find(|(_, _, thing)| fits(thing))
}

fn remove<T>(bucket: &mut BySize<T>, size: i64, name: &str) {
    if let Some(named) = bucket.get_mut(&size) {
        named.remove(name);
        if named.is_empty() {
            bucket.remove(&size);
        }
    }
}

/// The reach of ORed terms: one label requirement of each term, the one with the fewest values.
#[must_use]
pub fn reach_of_terms(terms: &[NodeSelectorTerm]) -> Reach<'_> {
    terms.iter().map(|term| narrowest(&term.labels)).try_fold(Vec::new(), |mut all, one| {
        all.extend(pairs(one?));
        Some(all)
    })
}

/// The reach of joint requirements.
#[must_use]
pub fn reach_of_requirements(requirements: &[Requirement]) -> Reach<'_> {
    narrowest(requirements).map(|r| pairs(r).collect())
}

fn narrowest(requirements: &[Requirement]) -> Option<&Requirement> {
    requirements.iter().filter(|r| r.operator == Operator::In).min_by_key(|r| r.values.len())
}

fn pairs(requirement: &Requirement) -> impl Iterator<Item = (&Str, &Str)> {
    requirement.values.iter().map(|value| (&requirement.key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(requirements: &[(&str, Operator, &[&str])]) -> NodeSelectorTerm {
        let requirement = |(key, operator, values): &(&str, Operator, &[&str])| Requirement {
            key: (*key).into(),
            operator: *operator,
            values: values.iter().map(|v| Str::from(*v)).collect(),
        };
        NodeSelectorTerm { labels: requirements.iter().map(requirement).collect(), fields: Vec::new() }
    }

    #[test]
    fn smallest_within_reach_is_found_by_labels() {
        let host = term(&[("zone", Operator::In, &["a", "b"]), ("host", Operator::In, &["h1"])]);
        let zone = term(&[("zone", Operator::In, &["a", "b"])]);
        let mut all = Nearby::default();
        let things: [(&str, i64, &[NodeSelectorTerm]); 4] = [
            ("on-h1", 10, core::slice::from_ref(&host)),
            ("in-zone", 5, core::slice::from_ref(&zone)),
            ("big", 50, &[zone.clone(), host.clone()]),
            ("vague", 7, &[term(&[])]),
        ];
        for (name, size, terms) in things {
            all.insert(reach_of_terms(terms), size, &name.into(), &Arc::new(name));
        }
        for (labels, at_least, fits, expected) in [
            ([("host", "h1"), ("zone", "a")], 0, "", Some("in-zone")),
            ([("host", "h1"), ("zone", "a")], 6, "", Some("vague")),
            ([("host", "h1"), ("zone", "a")], 8, "", Some("on-h1")),
            ([("host", "h2"), ("zone", "b")], 8, "", Some("big")),
            ([("host", "h2"), ("zone", "b")], 51, "", None),
            ([("host", "h2"), ("zone", "c")], 0, "", Some("vague")),
            ([("host", "h2"), ("zone", "c")], 0, "vague", None),
            ([("host", "h1"), ("zone", "a")], 0, "in-zone", Some("vague")),
        ] {
            let found = all.smallest(&Labels::from(labels), at_least, |thing| *thing != fits);
            assert_eq!(found.map(|t| **t), expected, "{labels:?} {at_least} without {fits}");
        }
        for (name, size, terms) in things {
            all.remove(reach_of_terms(terms), size, name);
        }
        assert!(all.is_empty());
    }
}
