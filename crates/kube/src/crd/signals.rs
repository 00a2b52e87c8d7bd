//! `spec.signals` of `AIStorageConfig`: one switch per source of facts that nobody labelled by hand.
//! Leaves out what each source tells: see `aisched_model::signals`.

use aisched_model::signals::Signals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines the switches, and the way to the model and back.
macro_rules! switches {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Sources of facts that nobody labelled by hand. All are believed by default.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        #[allow(clippy::struct_excessive_bools, reason = "one switch per source")]
        pub struct SignalsSpec { $($(#[$doc])* pub $name: bool),+ }

        impl Default for SignalsSpec {
            fn default() -> Self {
                Self::from(&Signals::default())
            }
        }

        impl From<&Signals> for SignalsSpec {
            fn from(signals: &Signals) -> Self {
                Self { $($name: signals.$name),+ }
            }
        }

        impl From<&SignalsSpec> for Signals {
            fn from(spec: &SignalsSpec) -> Self {
                Self { $($name: spec.$name),+ }
            }
        }
    };
}

switches! {
    /// Labels of Karpenter, EKS and GKE about local disks and bandwidth: tiers, throughput.
    cloud_labels,
    /// Extended resources that are computational storage: tier csd.
    device_plugins,
    /// Conditions of nodes whose disks are the bottleneck now (pressure stall information): nothing is left of their I/O.
    disk_contention,
    /// Fluid's datasets, by labels of claims and nodes and by how much of them is cached.
    fluid,
    /// HwameiStor's LocalStorageNodes: tiers, free space.
    hwameistor,
    /// JuiceFS's mount pods: nodes with a client of a volume.
    juicefs,
    /// KServe's LocalModelNodes, and the model that a pod serves.
    kserve,
    /// Longhorn's replicas: nodes with a copy of a volume.
    longhorn,
    /// Racks by labels of clouds and fabrics, by the Topologies of Kueue, KAI and Koordinator, and by Volcano's HyperNodes.
    network_topology,
    /// Block devices that Node Feature Discovery found, and its label for flash: tiers.
    node_feature_discovery,
    /// OpenEBS's LVMNodes and ZFSNodes: free space, tiers by pool name.
    openebs,
    /// Where pods of the same claim, owner or image ran in the last hours: what they read may still be cached there.
    placement_history,
    /// Parameters of StorageClasses and VolumeAttributesClasses: demands and tiers of the pods that use them.
    storage_classes,
    /// TopoLVM's annotations: free space, tiers by device class.
    topolvm,
    /// What a pod that trains reads per accelerator, where nobody says.
    training_demand,
    /// Volumes that are attached to a node already.
    volume_attachments,
    /// Stages of pods by the system that made them: JobSet, Trainer, Ray, Spark, Argo, Kubeflow Pipelines, Tekton, KServe.
    workload_identity,
}
