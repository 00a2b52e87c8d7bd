//! What storage systems and model caches publish of a node in objects of their own (`signals.md` C1, M15, M16).
//! Leaves out reading the objects (`aisched-kube`).

use super::{NodeFact, NodeFinding, Signals};
use crate::foreign::{ForeignObjects, StorageSystem};
use crate::node::Node;
use alloc::format;
use alloc::vec::Vec;

pub(super) fn find(node: &Node, foreign: &ForeignObjects, on: &Signals, found: &mut Vec<NodeFinding>) {
    for (system, on) in [(StorageSystem::Hwameistor, on.hwameistor), (StorageSystem::OpenEbs, on.openebs)] {
        for storage in foreign.node_storage.of(&node.name, system).filter(|_| on) {
            let source = || format!("{} {}", storage.kind, storage.name);
            if !storage.tiers.is_empty() {
                found.push(NodeFinding::new(NodeFact::Tiers(storage.tiers), source()));
            }
            found.extend(storage.free_bytes.map(|bytes| NodeFinding::new(NodeFact::CapacityGb(bytes / 1_000_000_000), source())));
        }
    }
    for models in foreign.node_storage.of(&node.name, StorageSystem::KServe).filter(|m| on.kserve && !m.datasets.is_empty()) {
        found.push(NodeFinding::new(NodeFact::CachedDatasets(models.datasets.clone()), format!("{} {}", models.kind, models.name)));
    }
}
