//! Computational storage among a node's extended resources (`signals.md` §3): no standard name exists, so several are known.
//! Leaves out devices that a driver publishes in ResourceSlices.

use super::{NodeFact, NodeFinding};
use crate::node::Node;
use crate::storage_facts::TierSet;
use crate::workload::Tier;
use alloc::format;
use alloc::vec::Vec;

/// Vendors of whose devices all are computational storage.
const VENDORS: &[&str] = &["scaleflux.com", "ngdsystems.com"];
/// Parts of a resource's name that mean computational storage.
const WORDS: &[&str] = &["csd", "smartssd", "ngd"];

pub(super) fn find(node: &Node, found: &mut Vec<NodeFinding>) {
    let is_csd = |name: &str| {
        let name = name.to_ascii_lowercase();
        let vendor = name.split('/').next().unwrap_or_default();
        VENDORS.contains(&vendor)
            || name.contains("computational-storage")
            || name.split(['.', '/', '-', '_']).any(|part| WORDS.contains(&part))
    };
    if let Some((name, _)) = node.allocatable.scalars.iter().find(|(name, n)| *n > 0 && is_csd(name)) {
        found.push(NodeFinding::new(NodeFact::Tiers(TierSet::of(Tier::Csd)), format!("resource {name}")));
    }
}
