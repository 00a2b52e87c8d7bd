//! TopoLVM's annotations on nodes: bytes that are free in each device class (`signals.md` M4).
//! Leaves out which class a claim asks for: the node's room is its largest class's.

use super::{NodeFact, NodeFinding};
use crate::node::Node;
use crate::storage_facts::TierSet;
use crate::workload::Tier;
use alloc::format;
use alloc::vec::Vec;

/// Prefixes of the annotations, today's and the one before.
pub const PREFIXES: &[&str] = &["capacity.topolvm.io/", "capacity.topolvm.cybozu.com/"];
/// Stands for whichever class is the default one.
const DEFAULT_CLASS: &str = "00default";

pub(super) fn find(node: &Node, found: &mut Vec<NodeFinding>) {
    let class = |key: &'_ str| PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)).map(alloc::string::String::from);
    let classes: Vec<(&crate::Str, alloc::string::String, i64)> = node
        .annotations
        .iter()
        .filter_map(|(key, bytes)| Some((key, class(key)?, bytes.trim().parse::<i64>().ok().filter(|n| *n >= 0)?)))
        .collect();
    for (key, name, _) in classes.iter().filter(|(_, name, _)| name != DEFAULT_CLASS) {
        if let Some(tier) = Tier::in_name(name) {
            found.push(NodeFinding::new(NodeFact::Tiers(TierSet::of(tier)), format!("annotation {key}")));
        }
    }
    if let Some((key, _, bytes)) = classes.iter().max_by_key(|(_, _, bytes)| *bytes) {
        found.push(NodeFinding::new(NodeFact::CapacityGb(bytes / 1_000_000_000), format!("annotation {key}")));
    }
}
