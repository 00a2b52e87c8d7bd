//! Claims, volumes, classes, drivers on nodes, and namespaces: the fields that the scheduler reads.
//! Leaves out volume sources that no driver has to do with.

use super::{Quantities, QuantityText, nullable, slim_meta};
use k8s_openapi::api::core::v1::{Namespace, NodeSelector, PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use std::collections::BTreeMap;

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = PersistentVolumeClaim)]
#[serde(default)]
pub struct ClaimObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: ClaimSpec,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: Phase,
}

/// A PersistentVolume.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = PersistentVolume)]
#[serde(default)]
pub struct VolumeObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: VolumeSpec,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: Phase,
}

/// A StorageClass.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = StorageClass)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct StorageClassObject {
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    pub provisioner: String,
    pub volume_binding_mode: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub allowed_topologies: Vec<TopologySelectorTerm>,
    #[serde(deserialize_with = "nullable")]
    pub parameters: BTreeMap<String, String>,
}

/// A CSINode.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = CSINode)]
#[serde(default)]
pub struct CsiNodeObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: CsiNodeSpec,
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = CSIDriver)]
#[serde(default)]
pub struct CsiDriverObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: CsiDriverSpec,
}

/// A CSIStorageCapacity.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = CSIStorageCapacity)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct StorageCapacityObject {
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    pub storage_class_name: String,
    pub node_topology: Option<LabelSelector>,
    pub capacity: Option<QuantityText>,
    pub maximum_volume_size: Option<QuantityText>,
}

/// A VolumeAttachment.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = VolumeAttachment)]
#[serde(default)]
pub struct AttachmentObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: AttachmentSpec,
}

/// A namespace.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = Namespace)]
#[serde(default)]
pub struct NamespaceObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
}

parts! {
    /// A claim's `spec`.
    ClaimSpec {
        volume_name: Option<String>,
        storage_class_name: Option<String>,
        #[serde(deserialize_with = "nullable")] access_modes: Vec<String>,
        #[serde(deserialize_with = "nullable")] resources: ClaimResources,
        volume_mode: Option<String>,
        selector: Option<LabelSelector>,
        volume_attributes_class_name: Option<String>,
    }
    /// A claim's `spec.resources`.
    ClaimResources { #[serde(deserialize_with = "nullable")] requests: Quantities }
    /// The part of a `status` that is read.
    Phase { phase: Option<String> }
    /// A volume's `spec`.
    VolumeSpec {
        csi: Option<CsiVolume>,
        aws_elastic_block_store: Option<InTreeVolume>,
        azure_disk: Option<InTreeVolume>,
        cinder: Option<InTreeVolume>,
        gce_persistent_disk: Option<InTreeVolume>,
        portworx_volume: Option<InTreeVolume>,
        node_affinity: Option<VolumeNodeAffinity>,
        storage_class_name: Option<String>,
        #[serde(deserialize_with = "nullable")] access_modes: Vec<String>,
        #[serde(deserialize_with = "nullable")] capacity: Quantities,
        claim_ref: Option<ClaimRef>,
        volume_mode: Option<String>,
        volume_attributes_class_name: Option<String>,
    }
    /// `spec.csi`.
    CsiVolume { driver: String, volume_handle: String }
    /// A volume of an in-tree plugin; each names it in a field of its own.
    InTreeVolume {
        #[serde(rename = "volumeID", alias = "pdName", alias = "diskURI")] id: String,
        kind: Option<String>,
    }
    /// `spec.nodeAffinity`.
    VolumeNodeAffinity { required: Option<NodeSelector> }
    /// `spec.claimRef`.
    ClaimRef {
        #[serde(deserialize_with = "nullable")] namespace: String,
        #[serde(deserialize_with = "nullable")] name: String,
        #[serde(deserialize_with = "nullable")] uid: String,
    }
    /// A CSINode's `spec`.
    CsiNodeSpec { #[serde(deserialize_with = "nullable")] drivers: Vec<CsiNodeDriver> }
    /// A driver on a node.
    CsiNodeDriver {
        name: String,
        #[serde(deserialize_with = "nullable")] topology_keys: Vec<String>,
        allocatable: Option<VolumeNodeResources>,
    }
    /// A CSIDriver's `spec`.
    CsiDriverSpec {
        #[serde(deserialize_with = "nullable")] storage_capacity: bool,
        #[serde(deserialize_with = "nullable")] prevent_pod_scheduling_if_missing: bool,
    }
    /// A VolumeAttachment's `spec`.
    AttachmentSpec {
        attacher: String,
        node_name: String,
        #[serde(deserialize_with = "nullable")] source: AttachmentSource,
    }
    /// What is attached.
    AttachmentSource { persistent_volume_name: Option<String> }
    /// How many volumes fit.
    VolumeNodeResources { count: Option<i32> }
}
