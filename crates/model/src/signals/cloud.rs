//! Labels that clouds and their provisioners put on nodes: local disks and bandwidth (`signals.md` M9–M11).
//! Leaves out instance types: a table of them would be stale on the day it is made.

use super::{NodeFact, NodeFinding};
use crate::node::Node;
use crate::storage_facts::TierSet;
use crate::workload::Tier;
use alloc::format;
use alloc::vec::Vec;

/// Labels whose presence with a number above 0 means local NVMe; their unit is GB.
const NVME_GB: &[&str] = &["karpenter.k8s.aws/instance-local-nvme", "eks.amazonaws.com/instance-local-nvme"];
/// Labels that are `true` on nodes with local NVMe.
const NVME: &[&str] = &["cloud.google.com/gke-local-nvme-ssd", "cloud.google.com/gke-ephemeral-storage-local-ssd"];
/// Labels that are `true` on nodes with local flash behind another interface.
const SSD: &[&str] = &["cloud.google.com/gke-local-ssd", "cloud.google.com/gke-local-scsi-ssd"];
/// Labels with the bandwidth to network disks, in Mbit/s.
const DISK_MBIT: &[&str] = &["karpenter.k8s.aws/instance-ebs-bandwidth", "eks.amazonaws.com/instance-ebs-bandwidth"];

pub(super) fn find(node: &Node, found: &mut Vec<NodeFinding>) {
    let number = |key: &&&str| node.labels.get(key).and_then(|v| v.trim().parse::<i64>().ok()).filter(|n| *n > 0);
    let is_true = |key: &&&str| node.labels.has(key, "true");
    let mut tier = |key: &str, tier| found.push(NodeFinding::new(NodeFact::Tiers(TierSet::of(tier)), format!("label {key}")));
    if let Some(key) = NVME_GB.iter().find(|key| number(key).is_some()).or_else(|| NVME.iter().find(is_true)) {
        tier(key, Tier::Nvme);
    } else if let Some(key) = SSD.iter().find(is_true) {
        tier(key, Tier::Ssd);
    }
    // Local flash is faster than what a network disk may draw: the tier's estimate stands there.
    if let Some((key, mbit)) =
        DISK_MBIT.iter().find_map(|key| Some((key, number(&key)?))).filter(|_| !NVME_GB.iter().any(|k| number(&k).is_some()))
    {
        found.push(NodeFinding::new(NodeFact::ThroughputMbps(mbit / 8), format!("label {key}")));
    }
}
