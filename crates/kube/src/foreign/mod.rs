//! Objects of other systems: the one table of kinds, and how each becomes the model's value.
//! Leaves out watching them (`watch`). All of them are optional: what is not served, or may not be read, is not known.

mod argo;
mod kueue;
mod node_storage;
mod topology;
mod volumes;
pub(crate) mod watch;

use crate::gangs::objects as gangs;
use aisched_model::Str;
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::gang::{GangKey, GangSource};
use aisched_model::snapshot::NamespacedName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// A kind of another system.
pub(crate) struct ForeignKind {
    pub(crate) kind: &'static str,
    pub(crate) group: &'static str,
    pub(crate) plural: &'static str,
    /// Versions that can be read, best first.
    pub(crate) versions: &'static [&'static str],
    read: fn(NamespacedName, &Labels, Value) -> Result<Foreign, Unreadable>,
    name: fn(NamespacedName) -> ForeignName,
}

/// Every kind that is read.
pub(crate) const KINDS: &[ForeignKind] = &[
    ForeignKind {
        kind: "Workload",
        group: "kueue.x-k8s.io",
        plural: "workloads",
        versions: &["v1", "v1beta2", "v1beta1"],
        read: kueue::workload,
        name: ForeignName::Workload,
    },
    ForeignKind {
        kind: "ClusterQueue",
        group: "kueue.x-k8s.io",
        plural: "clusterqueues",
        versions: &["v1", "v1beta2", "v1beta1"],
        read: kueue::queue,
        name: |(_, name)| ForeignName::Queue(name),
    },
    ForeignKind {
        kind: "Workflow",
        group: "argoproj.io",
        plural: "workflows",
        versions: &["v1alpha1"],
        read: argo::workflow,
        name: ForeignName::Workflow,
    },
    ForeignKind {
        kind: "Topology",
        group: "kueue.x-k8s.io",
        plural: "topologies",
        versions: &["v1", "v1beta2", "v1beta1", "v1alpha1"],
        read: kueue::topology,
        name: |(_, name)| kueue::topology_name("Topology", &name),
    },
    ForeignKind {
        kind: "Topology",
        group: "kai.scheduler",
        plural: "topologies",
        versions: &["v1", "v1alpha1"],
        read: kueue::kai_topology,
        name: |(_, name)| kueue::topology_name("KAI Topology", &name),
    },
    ForeignKind {
        kind: "ClusterNetworkTopology",
        group: "scheduling.koordinator.sh",
        plural: "clusternetworktopologies",
        versions: &["v1alpha1"],
        read: topology::koordinator,
        name: |(_, name)| kueue::topology_name("ClusterNetworkTopology", &name),
    },
    ForeignKind {
        kind: "HyperNode",
        group: "topology.volcano.sh",
        plural: "hypernodes",
        versions: &["v1alpha1"],
        read: topology::hyper_node,
        name: |(_, name)| ForeignName::HyperNode(name),
    },
    ForeignKind {
        kind: "Dataset",
        group: "data.fluid.io",
        plural: "datasets",
        versions: &["v1alpha1"],
        read: volumes::dataset,
        name: ForeignName::Dataset,
    },
    ForeignKind {
        kind: "Replica",
        group: "longhorn.io",
        plural: "replicas",
        versions: &["v1beta2"],
        read: volumes::replica,
        name: |(_, name)| ForeignName::Replica(name),
    },
    ForeignKind {
        kind: "VolumeAttributesClass",
        group: "storage.k8s.io",
        plural: "volumeattributesclasses",
        versions: &["v1", "v1beta1"],
        read: volumes::attributes_class,
        name: |(_, name)| ForeignName::AttributesClass(name),
    },
    ForeignKind {
        kind: "NodeFeature",
        group: "nfd.k8s-sigs.io",
        plural: "nodefeatures",
        versions: &["v1alpha1"],
        read: node_storage::node_feature,
        name: |(_, name)| ForeignName::NodeStorage("NodeFeature", name),
    },
    ForeignKind {
        kind: "LocalModelNode",
        group: "serving.kserve.io",
        plural: "localmodelnodes",
        versions: &["v1", "v1beta1", "v1alpha1"],
        read: node_storage::local_model_node,
        name: |(_, name)| ForeignName::NodeStorage("LocalModelNode", name),
    },
    ForeignKind {
        kind: "LocalStorageNode",
        group: "hwameistor.io",
        plural: "localstoragenodes",
        versions: &["v1alpha1"],
        read: node_storage::local_storage_node,
        name: |(_, name)| ForeignName::NodeStorage("LocalStorageNode", name),
    },
    ForeignKind {
        kind: "LVMNode",
        group: "local.openebs.io",
        plural: "lvmnodes",
        versions: &["v1alpha1"],
        read: node_storage::lvm_node,
        name: |(_, name)| ForeignName::NodeStorage("LVMNode", name),
    },
    ForeignKind {
        kind: "ZFSNode",
        group: "zfs.openebs.io",
        plural: "zfsnodes",
        versions: &["v1"],
        read: node_storage::zfs_node,
        name: |(_, name)| ForeignName::NodeStorage("ZFSNode", name),
    },
    ForeignKind {
        kind: "PodGroup",
        group: "scheduling.k8s.io",
        plural: "podgroups",
        versions: &["v1beta1", "v1alpha3", "v1alpha2"],
        read: gangs::native,
        name: |name| gang(GangSource::PodGroup, name),
    },
    ForeignKind {
        kind: "PodGroup",
        group: "scheduling.x-k8s.io",
        plural: "podgroups",
        versions: &["v1alpha1"],
        read: gangs::coscheduling,
        name: |name| gang(GangSource::Coscheduling, name),
    },
    ForeignKind {
        kind: "PodGroup",
        group: "scheduling.volcano.sh",
        plural: "podgroups",
        versions: &["v1beta1"],
        read: gangs::volcano,
        name: |name| gang(GangSource::Volcano, name),
    },
    ForeignKind {
        kind: "JobSet",
        group: "jobset.x-k8s.io",
        plural: "jobsets",
        versions: &["v1", "v1alpha2"],
        read: gangs::job_set,
        name: |name| gang(GangSource::JobSet, name),
    },
    ForeignKind {
        kind: "LeaderWorkerSet",
        group: "leaderworkerset.x-k8s.io",
        plural: "leaderworkersets",
        versions: &["v1"],
        read: gangs::leader_worker_set,
        name: |name| gang(GangSource::LeaderWorkerSet, name),
    },
    ForeignKind {
        kind: "MPIJob",
        group: "kubeflow.org",
        plural: "mpijobs",
        versions: &["v2beta1", "v1"],
        read: gangs::training_job,
        name: |name| gang(GangSource::TrainingJob, name),
    },
    ForeignKind {
        kind: "PyTorchJob",
        group: "kubeflow.org",
        plural: "pytorchjobs",
        versions: &["v1"],
        read: gangs::training_job,
        name: |name| gang(GangSource::TrainingJob, name),
    },
    ForeignKind {
        kind: "TFJob",
        group: "kubeflow.org",
        plural: "tfjobs",
        versions: &["v1"],
        read: gangs::training_job,
        name: |name| gang(GangSource::TrainingJob, name),
    },
];

fn gang(source: GangSource, (namespace, name): NamespacedName) -> ForeignName {
    ForeignName::Gang(GangKey { namespace, source, name })
}

/// A field that is not what its system says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Path of the field.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) error: String,
}

impl ForeignKind {
    /// The kind of a document.
    pub(crate) fn find(kind: &str, group: &str) -> Option<&'static Self> {
        KINDS.iter().find(|k| k.kind == kind && k.group == group)
    }

    /// The model's value of an object; `object` may be all of it but its metadata.
    pub(crate) fn read(&self, namespace: &str, name: &str, labels: &Labels, object: Value) -> Result<Foreign, Unreadable> {
        (self.read)((Str::from(namespace), Str::from(name)), labels, object)
    }
}

/// Reads what of an object is of use.
pub(crate) fn parse<T: DeserializeOwned>(object: Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(object).map_err(|e| Unreadable { field: e.path().to_string(), error: e.into_inner().to_string() })
}

#[cfg(test)]
mod tests;
