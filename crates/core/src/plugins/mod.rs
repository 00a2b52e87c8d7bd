//! The plugins, one file each, and the one list of them.
//! Leaves out which of them a profile runs: see `profile`.

mod ai_storage;
pub mod args;
mod data_locality_aware;
mod domains;
#[cfg(test)]
mod fixture_domains;
#[cfg(test)]
mod fixture_random;
mod image_locality;
mod inter_pod_affinity;
mod io_pattern_based;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod pod_topology_spread;
mod resource_scoring;
mod scheduling_gates;
mod storage_tier_aware;
mod taint_toleration;

pub use inter_pod_affinity::InterPodAffinity;
pub use node_affinity::NodeAffinity;
pub use node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
pub use node_resources_fit::NodeResourcesFit;
pub use pod_topology_spread::PodTopologySpread;

use crate::framework::Plugin;
use alloc::boxed::Box;

/// Makes the plugin of this name; `None` when there is none.
#[must_use]
pub fn create(name: &str) -> Option<Box<dyn Plugin>> {
    REGISTRY.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
}

/// Makes a plugin with its default arguments.
type Make = fn() -> Box<dyn Plugin>;

/// Every plugin by name.
const REGISTRY: &[(&str, Make)] = &[
    ("DataLocalityAware", || Box::new(data_locality_aware::DataLocalityAware)),
    ("IOPatternBased", || Box::new(io_pattern_based::IoPatternBased)),
    ("ImageLocality", || Box::new(image_locality::ImageLocality)),
    ("InterPodAffinity", || Box::new(InterPodAffinity::default())),
    ("NodeAffinity", || Box::new(NodeAffinity::default())),
    ("NodeName", || Box::new(node_name::NodeName)),
    ("NodePorts", || Box::new(node_ports::NodePorts)),
    ("NodeResourcesBalancedAllocation", || Box::new(NodeResourcesBalancedAllocation::default())),
    ("NodeResourcesFit", || Box::new(NodeResourcesFit::default())),
    ("NodeUnschedulable", || Box::new(node_unschedulable::NodeUnschedulable)),
    ("PodTopologySpread", || Box::new(PodTopologySpread::default())),
    ("SchedulingGates", || Box::new(scheduling_gates::SchedulingGates)),
    ("StorageTierAware", || Box::new(storage_tier_aware::StorageTierAware)),
    ("TaintToleration", || Box::new(taint_toleration::TaintToleration)),
];
