//! Claims, volumes, classes, drivers on nodes, and namespaces: the fields that the scheduler reads.
//! Leaves out volume sources other than CSI.

use super::{Quantities, nullable, slim_meta};
use k8s_openapi::api::core::v1::{Namespace, NodeSelector, PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        #[allow(missing_docs, reason = "the fields are the API's")]
        pub struct $name { $($(#[$attr])* pub $field: $type),* }
    )*};
}

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
    /// How many volumes fit.
    VolumeNodeResources { count: Option<i32> }
}
