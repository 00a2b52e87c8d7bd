//! Volcano's HyperNodes: a tree of nodes that are close to each other, tier 1 being the closest.
//! Leaves out HyperNodes that name others by anything but their names: Volcano knows none.

use crate::Str;
use crate::node::Node;
use crate::selector::LabelSelector;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use regex::{Regex, RegexBuilder};

/// Most bytes that a pattern may take once it is read: whoever writes HyperNodes must not fill the scheduler's memory.
const PATTERN_BYTES: usize = 1 << 20;

/// A regular expression that names nodes; it need not match the whole name.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// When it is no regular expression, or one that is too big.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map(Self)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

/// A HyperNode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HyperNode {
    /// Name.
    pub name: Str,
    /// The lower, the closer its members are to each other.
    pub tier: i64,
    /// Nodes by name.
    pub nodes: Vec<Str>,
    /// Nodes by label.
    pub selectors: Vec<LabelSelector>,
    /// Nodes by a pattern of their names.
    pub patterns: Vec<Pattern>,
    /// HyperNodes within it, by name.
    pub children: Vec<Str>,
}

impl HyperNode {
    fn selects(&self, node: &Node) -> bool {
        self.selectors.iter().any(|selector| selector.matches(&node.labels)) || self.patterns.iter().any(|p| p.0.is_match(&node.name))
    }
}

/// HyperNodes, found by their members.
#[derive(Clone, Debug, Default)]
pub struct HyperNodes {
    by_name: BTreeMap<Str, Arc<HyperNode>>,
    /// Those that name a node.
    by_node: BTreeMap<Str, BTreeSet<Str>>,
    /// Those that name another.
    by_child: BTreeMap<Str, BTreeSet<Str>>,
    /// Those that select nodes by label or pattern.
    selecting: BTreeSet<Str>,
}

impl HyperNodes {
    /// The HyperNodes that a node is in, directly or not, with their tiers; the closest first. A tree that is no tree comes to an end.
    #[must_use]
    pub fn above(&self, node: &Node) -> BTreeSet<(i64, Str)> {
        let selects = |name: &&Str| self.by_name.get(*name).is_some_and(|hyper_node| hyper_node.selects(node));
        let direct = self.by_node.get(&node.name).into_iter().flatten().chain(self.selecting.iter().filter(selects));
        let mut found = BTreeSet::new();
        let mut next: Vec<Str> = direct.cloned().collect();
        while let Some(name) = next.pop() {
            let Some(hyper_node) = self.by_name.get(&name) else { continue };
            if found.insert((hyper_node.tier, name.clone())) {
                next.extend(self.by_child.get(&name).into_iter().flatten().cloned());
            }
        }
        found
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HyperNode>> {
        self.by_name.values()
    }

    pub(crate) fn set(&mut self, hyper_node: Arc<HyperNode>) {
        self.remove(&hyper_node.name);
        for (index, members) in [(&mut self.by_node, &hyper_node.nodes), (&mut self.by_child, &hyper_node.children)] {
            for member in members {
                index.entry(member.clone()).or_default().insert(hyper_node.name.clone());
            }
        }
        if !(hyper_node.selectors.is_empty() && hyper_node.patterns.is_empty()) {
            self.selecting.insert(hyper_node.name.clone());
        }
        self.by_name.insert(hyper_node.name.clone(), hyper_node);
    }

    pub(crate) fn remove(&mut self, name: &Str) {
        let Some(old) = self.by_name.remove(name) else { return };
        for (index, members) in [(&mut self.by_node, &old.nodes), (&mut self.by_child, &old.children)] {
            for member in members {
                if let Some(names) = index.get_mut(member) {
                    names.remove(name);
                    if names.is_empty() {
                        index.remove(member);
                    }
                }
            }
        }
        self.selecting.remove(name);
    }
}
