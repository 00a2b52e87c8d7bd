//! Nodes by what they have in common: for each trait that filters go by, one number per node. Nodes of one number are judged once.
//! Leaves out what is judged: see `rows`.

use crate::framework::Trait;
use crate::journal::{Journal, What};
use aisched_model::Str;
use aisched_model::node::{Node, NodeInfo};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Traits that are kept; beyond that all are made anew.
const KEPT: usize = 32;

/// The columns that were asked for lately.
#[derive(Default)]
pub(crate) struct Columns {
    known: Vec<Column>,
    /// Up to where in the journal they know of changes.
    seen: u64,
    /// The names of all nodes, one after the other, and where each ends: hashing thousands of them must not wait for memory.
    names: String,
    ends: Vec<usize>,
}

/// One trait of every node.
pub(super) struct Column {
    of: Key,
    /// By position of the node: which of the values it has.
    pub(super) values: Vec<u32>,
    /// A node for every value that occurred.
    samples: Vec<Arc<Node>>,
    /// Values of a label; looked up only, so that their order does not matter.
    labels: HashMap<Option<Str>, u32, FixedState>,
}

/// A trait to be kept.
#[derive(PartialEq)]
enum Key {
    Cordon,
    Taints,
    Label(Str),
}

impl Key {
    fn is(&self, asked: Trait<'_>) -> bool {
        match (self, asked) {
            (Self::Cordon, Trait::Cordon) | (Self::Taints, Trait::Taints) => true,
            (Self::Label(own), Trait::Label(key)) => own == key,
            (Self::Cordon | Self::Taints | Self::Label(_), _) => false,
        }
    }
}

impl Columns {
    /// Takes in what happened to the nodes.
    pub(crate) fn follow(&mut self, journal: &Journal, nodes: &[Arc<NodeInfo>]) {
        match journal.since(self.seen) {
            None => {
                self.known.clear();
                self.list_names(nodes);
            }
            Some(changed) => {
                for idx in changed.filter(|c| matches!(c.what, What::Object { .. })).map(|c| c.node) {
                    let Some(info) = nodes.get(idx as usize) else { continue };
                    for column in &mut self.known {
                        let value = column.value(&info.node);
                        if let Some(slot) = column.values.get_mut(idx as usize) {
                            *slot = value;
                        }
                    }
                }
            }
        }
        self.seen = journal.now();
    }

    fn list_names(&mut self, nodes: &[Arc<NodeInfo>]) {
        self.names.clear();
        self.ends.clear();
        for info in nodes {
            self.names.push_str(&info.node.name);
            self.ends.push(self.names.len());
        }
    }

    /// The name of a node.
    pub(super) fn name<'c>(&'c self, idx: usize, nodes: &'c [Arc<NodeInfo>]) -> &'c str {
        let start = idx.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let listed = start.zip(self.ends.get(idx)).and_then(|(start, end)| self.names.get(start..*end));
        listed.unwrap_or_else(|| &nodes[idx].node.name)
    }

    /// The column of a trait, made if it is not there.
    pub(super) fn find(&mut self, asked: Trait<'_>, nodes: &[Arc<NodeInfo>]) -> Option<&Column> {
        if let Some(at) = self.known.iter().position(|column| column.of.is(asked) && column.values.len() == nodes.len()) {
            return self.known.get(at);
        }
        let of = match asked {
            Trait::Cordon => Key::Cordon,
            Trait::Taints => Key::Taints,
            Trait::Label(key) => Key::Label(key.clone()),
        };
        let mut column = Column { of, values: Vec::with_capacity(nodes.len()), samples: Vec::new(), labels: HashMap::default() };
        for info in nodes {
            let value = column.value(&info.node);
            column.values.push(value);
        }
        self.known.push(column);
        self.known.last()
    }

    /// Forgets the columns when there are too many, before any is asked for.
    pub(super) fn make_room(&mut self) {
        if self.known.len() > KEPT {
            self.known.clear();
        }
    }
}

impl Column {
    /// What is said of a node of every value that occurred, with nothing on it. When only the values of `passes` can matter, the others are
    /// judged as one.
    pub(super) fn by_value(&self, passes: Option<Vec<&Str>>, mut judge: impl FnMut(&NodeInfo) -> u32) -> Vec<u32> {
        let mut bare = NodeInfo::default();
        let mut one = |node: &Arc<Node>| {
            bare.node = node.clone();
            judge(&bare)
        };
        let Some(passes) = passes else { return self.samples.iter().map(one).collect() };
        let mut named: Vec<usize> = passes.into_iter().filter_map(|v| self.labels.get(&Some(v.clone()))).map(|at| *at as usize).collect();
        named.sort_unstable();
        named.dedup();
        let other = (0..self.samples.len()).find(|at| named.get(*at) != Some(at)); // the first that is missing in the sorted list
        let mut all = alloc::vec![other.map_or(0, |at| one(&self.samples[at])); self.samples.len()];
        for at in named {
            all[at] = one(&self.samples[at]);
        }
        all
    }

    /// The number of a node's value.
    fn value(&mut self, node: &Arc<Node>) -> u32 {
        let next = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        let found = match &self.of {
            Key::Cordon => self.position(|sample| sample.unschedulable == node.unschedulable),
            Key::Taints => self.position(|sample| sample.taints == node.taints),
            Key::Label(key) => {
                let value = node.labels.get(key);
                match self.labels.get(&value.cloned()) {
                    Some(known) => Some(*known),
                    None => {
                        self.labels.insert(value.cloned(), next);
                        None
                    }
                }
            }
        };
        found.unwrap_or_else(|| {
            self.samples.push(node.clone());
            next
        })
    }

    fn position(&self, same: impl Fn(&Node) -> bool) -> Option<u32> {
        self.samples.iter().position(|sample| same(sample)).and_then(|at| u32::try_from(at).ok())
    }
}
