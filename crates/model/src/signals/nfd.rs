//! Node Feature Discovery: the block devices of a node, and its label for flash (`signals.md` M1, M2).
//! Leaves out network disks that look like NVMe: a cloud's own labels come before.

use super::{NodeFact, NodeFinding};
use crate::foreign::{BlockDevice, ForeignObjects, StorageSystem};
use crate::node::Node;
use crate::storage_facts::TierSet;
use crate::workload::Tier;
use alloc::format;
use alloc::vec::Vec;

/// True when at least one device does not rotate, be it a loop device: a hint, no more.
const FLASH_LABEL: &str = "feature.node.kubernetes.io/storage-nonrotationaldisk";
/// Devices that hold no data of their own.
const VIRTUAL: &[&str] = &["loop", "ram", "zram", "dm-", "md", "sr", "nbd"];

pub(super) fn find(node: &Node, foreign: &ForeignObjects, found: &mut Vec<NodeFinding>) {
    if let Some(storage) = foreign.node_storage.of(&node.name, StorageSystem::NodeFeatureDiscovery).next().filter(|s| !s.tiers.is_empty()) {
        found.push(NodeFinding::new(NodeFact::Tiers(storage.tiers), format!("NodeFeature {}", storage.name)));
    }
    if node.labels.has(FLASH_LABEL, "true") {
        found.push(NodeFinding::new(NodeFact::Tiers(TierSet::of(Tier::Ssd)), format!("label {FLASH_LABEL}")));
    }
}

/// The tiers of a node's block devices.
///
/// Example: `nvme0n1`, `sda` that rotates and `loop0` are NVMe and HDD.
#[must_use]
pub fn tiers_of_devices(devices: &[BlockDevice]) -> TierSet {
    let mut tiers = TierSet::default();
    for device in devices.iter().filter(|d| !VIRTUAL.iter().any(|prefix| d.name.starts_with(prefix))) {
        match (device.name.starts_with("nvme"), device.rotational) {
            (true, _) => tiers.insert(Tier::Nvme),
            (false, Some(false)) => tiers.insert(Tier::Ssd),
            (false, Some(true)) => tiers.insert(Tier::Hdd),
            (false, None) => {}
        }
    }
    tiers
}
