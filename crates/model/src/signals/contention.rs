//! Disks of a node that are the bottleneck now, by the conditions that a kubelet sets from pressure stall information (`signals.md` R2).
//! Leaves out the numbers themselves: to read them takes a permission that is all but that of an administrator of the node.

use super::{NodeFact, NodeFinding};
use crate::node::Node;
use alloc::format;
use alloc::vec::Vec;

/// What the types of such conditions end in: those of the system's disk, and those of the pods'. The feature is alpha.
pub const CONDITION_SUFFIX: &str = "DiskContentionPressure";

pub(super) fn find(node: &Node, found: &mut Vec<NodeFinding>) {
    if let Some(condition) = &node.contention {
        found.push(NodeFinding::new(NodeFact::IoContention, format!("condition {condition}")));
    }
}
