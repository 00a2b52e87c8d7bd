//! What other systems' labels, annotations and objects say of a node or a pod, so that nobody has to label by hand (`signals.md`).
//! Explicit labels and annotations of the guide always win; one file per source, each with its table of facts.

mod accelerators;
mod classes;
mod cloud;
mod contention;
mod demand;
mod identity;
mod nfd;
mod node_storage;
mod topology;
mod topolvm;

pub use classes::{ClaimedDemand, ClassFacts, Parameters, backends, claimed_demand};
pub use contention::CONDITION_SUFFIX;
pub use demand::training_demand;
pub use identity::{Identity, identity};
pub use nfd::tiers_of_devices;
pub use topology::Ladder;
pub use topolvm::PREFIXES as TOPOLVM_ANNOTATIONS;

use crate::Str;
use crate::foreign::ForeignObjects;
use crate::node::Node;
use crate::storage_facts::{self, StorageFacts, TierSet};
use alloc::string::String;
use alloc::vec::Vec;

/// Defines the switches of `spec.signals`.
macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// `spec.signals`: which sources are believed. All are by default.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(clippy::struct_excessive_bools, reason = "one switch per source")]
        pub struct Signals { $($(#[$doc])* pub $name: bool),+ }

        impl Default for Signals {
            fn default() -> Self {
                Self { $($name: true),+ }
            }
        }
    };
}

signals! {
    /// Karpenter, EKS and GKE: labels about local disks and bandwidth.
    cloud_labels,
    /// Extended resources that are computational storage.
    device_plugins,
    /// Conditions of nodes whose disks are the bottleneck now.
    disk_contention,
    /// Fluid: datasets by claim and node labels.
    fluid,
    /// HwameiStor: LocalStorageNode.
    hwameistor,
    /// JuiceFS: mount pods.
    juicefs,
    /// KServe: LocalModelNode, and the model that a pod serves.
    kserve,
    /// Longhorn: replicas of volumes.
    longhorn,
    /// Racks by labels of clouds and fabrics, by the Topologies of Kueue, KAI and Koordinator, and by Volcano's HyperNodes.
    network_topology,
    /// Node Feature Discovery: block devices, and its label for flash.
    node_feature_discovery,
    /// OpenEBS: LVMNode, ZFSNode.
    openebs,
    /// Where pods of the same claim, owner or image ran in the last hours.
    placement_history,
    /// Performance and tiers by the parameters of StorageClasses and VolumeAttributesClasses.
    storage_classes,
    /// TopoLVM: free space by annotation.
    topolvm,
    /// What training reads per accelerator, where nobody says.
    training_demand,
    /// Volumes that are attached to a node.
    volume_attachments,
    /// Stages of a pod by the system that made it: JobSet, Trainer, Ray, Spark, Argo, Kubeflow Pipelines, Tekton, KServe.
    workload_identity,
}

/// One thing that a source says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFact {
    /// Tiers present.
    Tiers(TierSet),
    /// Zone.
    Zone(Str),
    /// Rack.
    Rack(Str),
    /// MB/s offered.
    ThroughputMbps(i64),
    /// GB free.
    CapacityGb(i64),
    /// Datasets and models on the node.
    CachedDatasets(Vec<Str>),
    /// Its disks are the bottleneck now.
    IoContention,
}

/// A fact of a node, with what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFinding {
    /// The fact.
    pub fact: NodeFact,
    /// What says so, such as `label cloud.google.com/gke-local-nvme-ssd`.
    pub source: String,
}

impl NodeFinding {
    fn new(fact: NodeFact, source: impl Into<String>) -> Self {
        Self { fact, source: source.into() }
    }
}

/// Everything that is believed of a node, the most trustworthy first: what a storage system measured, then what a cloud says of a machine,
/// then what was found on the node.
#[must_use]
pub fn node_findings(node: &Node, foreign: &ForeignObjects, ladder: &Ladder, on: &Signals) -> Vec<NodeFinding> {
    let mut found = Vec::new();
    node_storage::find(node, foreign, on, &mut found);
    if on.topolvm {
        topolvm::find(node, &mut found);
    }
    if on.cloud_labels {
        cloud::find(node, &mut found);
    }
    if on.node_feature_discovery {
        nfd::find(node, foreign, &mut found);
    }
    if on.device_plugins {
        accelerators::find(node, &mut found);
    }
    if on.network_topology {
        topology::find(node, foreign, ladder, &mut found);
    }
    if on.disk_contention {
        contention::find(node, &mut found);
    }
    found
}

/// Fills in what the node's own labels and annotations leave open; the first finding of a fact wins, datasets add up.
/// IOPS and throughput are then estimated from the tiers, as for a node that was labelled.
pub fn fill_in(facts: &mut StorageFacts, findings: Vec<NodeFinding>) {
    let (no_tiers, no_throughput, no_capacity) = (facts.tiers.is_empty(), facts.throughput_mbps.is_none(), facts.capacity_gb.is_none());
    for NodeFinding { fact, source } in findings {
        let name = match fact {
            NodeFact::Tiers(tiers) if no_tiers && facts.tiers.is_empty() => {
                facts.tiers = tiers;
                "tiers"
            }
            NodeFact::Zone(zone) if facts.zone.is_none() => {
                facts.zone = Some(zone);
                "zone"
            }
            NodeFact::Rack(rack) if facts.rack.is_none() => {
                facts.rack = Some(rack);
                "rack"
            }
            NodeFact::ThroughputMbps(n) if no_throughput && facts.throughput_mbps.is_none() => {
                facts.throughput_mbps = Some(n);
                "throughputMbps"
            }
            NodeFact::CapacityGb(n) if no_capacity && facts.capacity_gb.is_none() => {
                facts.capacity_gb = Some(n);
                "capacityGb"
            }
            NodeFact::CachedDatasets(datasets) => {
                let new: Vec<Str> = datasets.into_iter().filter(|d| !facts.cached_datasets.contains(d)).collect();
                facts.cached_datasets.extend(new);
                "cachedDatasets"
            }
            NodeFact::IoContention => {
                facts.io_contention = true;
                "ioContention"
            }
            NodeFact::Tiers(_) | NodeFact::Zone(_) | NodeFact::Rack(_) | NodeFact::ThroughputMbps(_) | NodeFact::CapacityGb(_) => continue,
        };
        facts.inferred.push((name, source.into()));
    }
    storage_facts::estimate_from_tiers(facts);
}

#[cfg(test)]
mod tests;
