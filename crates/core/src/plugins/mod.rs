//! The plugins, one file each, and the one list of them.
//! Leaves out which of them a profile runs: see `profile`.

mod ai_storage;
pub mod args;
mod claims;
mod csi_storage_aware;
mod data_locality_aware;
mod domains;
mod dynamic_resources;
#[cfg(test)]
mod fixture_domains;
#[cfg(test)]
pub(crate) mod fixture_random;
mod image_locality;
mod inter_pod_affinity;
mod io_pattern_based;
mod kubelet_rejections;
mod kueue_aware;
mod node_affinity;
mod node_declared_features;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod node_volume_limits;
mod pipeline_stage_aware;
mod pod_topology_spread;
mod resource_scoring;
mod scheduling_gates;
mod storage_tier_aware;
mod taint_toleration;
#[cfg(test)]
mod tests_follow;
#[cfg(test)]
mod tests_wakes;
mod volume_binding;
mod volume_restrictions;
mod volume_zone;

pub(crate) use claims::outline;
pub(crate) use data_locality_aware::is_local;
pub use inter_pod_affinity::InterPodAffinity;
pub(crate) use kubelet_rejections::KubeletRejections;
pub use node_affinity::NodeAffinity;
pub use node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
pub use node_resources_fit::NodeResourcesFit;
pub use pod_topology_spread::PodTopologySpread;
pub use volume_binding::VolumeBinding;

pub(crate) use node_resources_fit::amount;

use crate::framework::Plugin;
use crate::preemption::DefaultPreemption;
use alloc::boxed::Box;
use args::PluginArgs;

/// Makes the plugin of this name with its default arguments; `None` when there is none.
#[must_use]
pub fn create(name: &str) -> Option<Box<dyn Plugin>> {
    create_with(name, &PluginArgs::default())
}

/// Makes the plugin of this name with its part of `args`; `None` when there is none.
#[must_use]
pub fn create_with(name: &str, args: &PluginArgs) -> Option<Box<dyn Plugin>> {
    REGISTRY.iter().find(|(n, _)| *n == name).map(|(_, make)| make(args))
}

/// Plugins of kube-scheduler whose part the engine itself plays, in every profile: the order of the queue, and binding.
pub const PLAYED_BY_ENGINE: &[&str] = &["DefaultBinder", "PrioritySort"];

/// Makes a plugin; most take no arguments.
type Make = fn(&PluginArgs) -> Box<dyn Plugin>;

/// Every plugin by name.
const REGISTRY: &[(&str, Make)] = &[
    ("CSIStorageAware", |_| Box::new(csi_storage_aware::CsiStorageAware)),
    ("DataLocalityAware", |_| Box::new(data_locality_aware::DataLocalityAware)),
    ("DefaultPreemption", |args| Box::new(DefaultPreemption { args: args.default_preemption })),
    ("DynamicResources", |args| Box::new(dynamic_resources::DynamicResources { args: args.dynamic_resources })),
    ("IOPatternBased", |_| Box::new(io_pattern_based::IoPatternBased)),
    ("ImageLocality", |_| Box::new(image_locality::ImageLocality)),
    ("InterPodAffinity", |args| Box::new(InterPodAffinity { args: args.inter_pod_affinity.clone() })),
    ("KueueAware", |_| Box::new(kueue_aware::KueueAware)),
    ("NodeAffinity", |args| Box::new(NodeAffinity { args: args.node_affinity.clone() })),
    ("NodeDeclaredFeatures", |_| Box::new(node_declared_features::NodeDeclaredFeatures)),
    ("NodeName", |_| Box::new(node_name::NodeName)),
    ("NodePorts", |_| Box::new(node_ports::NodePorts)),
    ("NodeResourcesBalancedAllocation", |args| Box::new(NodeResourcesBalancedAllocation { args: args.balanced_allocation.clone() })),
    ("NodeResourcesFit", |args| Box::new(NodeResourcesFit { args: args.node_resources_fit.clone() })),
    ("NodeUnschedulable", |_| Box::new(node_unschedulable::NodeUnschedulable)),
    ("NodeVolumeLimits", |args| Box::new(node_volume_limits::NodeVolumeLimits { features: args.features })),
    ("PodTopologySpread", |args| Box::new(PodTopologySpread { args: args.pod_topology_spread.clone(), features: args.features })),
    ("PipelineStageAware", |_| Box::new(pipeline_stage_aware::PipelineStageAware)),
    ("SchedulingGates", |_| Box::new(scheduling_gates::SchedulingGates)),
    ("StorageTierAware", |_| Box::new(storage_tier_aware::StorageTierAware)),
    ("TaintToleration", |args| Box::new(taint_toleration::TaintToleration { features: args.features })),
    ("VolumeBinding", |args| Box::new(VolumeBinding { args: args.volume_binding.clone(), features: args.features })),
    ("VolumeRestrictions", |_| Box::new(volume_restrictions::VolumeRestrictions)),
    ("VolumeZone", |_| Box::new(volume_zone::VolumeZone)),
];
