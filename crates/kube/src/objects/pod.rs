//! The pod fields that the scheduler reads.
//! Leaves out everything that only the kubelet reads: environment, probes, security contexts.

use super::storage::InTreeVolume;
use super::{Quantities, nullable, slim_meta};
use k8s_openapi::api::core::v1::{Affinity, Pod, PodResourceClaim, PodResourceClaimStatus, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// A pod.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = Pod)]
#[serde(default, rename_all = "camelCase")]
pub struct PodObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: PodSpecObject,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: PodStatusObject,
}

/// `spec`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct PodSpecObject {
    pub scheduler_name: Option<String>,
    pub node_name: Option<String>,
    pub priority: Option<i32>,
    pub preemption_policy: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub scheduling_gates: Vec<Named>,
    #[serde(deserialize_with = "nullable")]
    pub tolerations: Vec<Toleration>,
    #[serde(deserialize_with = "nullable")]
    pub node_selector: BTreeMap<String, String>,
    pub affinity: Option<Affinity>,
    #[serde(deserialize_with = "nullable")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<ContainerObject>,
    #[serde(deserialize_with = "nullable")]
    pub init_containers: Vec<ContainerObject>,
    #[serde(deserialize_with = "nullable")]
    pub ephemeral_containers: Vec<ContainerObject>,
    #[serde(deserialize_with = "nullable")]
    pub overhead: Quantities,
    pub resources: Option<ResourcesObject>,
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<VolumeObject>,
    #[serde(deserialize_with = "nullable")]
    pub resource_claims: Vec<PodResourceClaim>,
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    pub host_users: Option<bool>,
    pub scheduling_group: Option<SchedulingGroup>,
}

/// An object of which only the name is read.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Named {
    /// Name.
    pub name: String,
}

/// A container, of either kind.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct ContainerObject {
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    pub restart_policy: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub restart_policy_rules: Vec<RestartRule>,
    #[serde(deserialize_with = "nullable")]
    pub volume_mounts: Vec<MountObject>,
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<PortObject>,
    #[serde(deserialize_with = "nullable")]
    pub resources: ResourcesObject,
}

/// Requests and limits of a container or of a whole pod; in a status, what is in force.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct ResourcesObject {
    pub requests: Option<Quantities>,
    pub limits: Option<Quantities>,
}

/// A container's port.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct PortObject {
    #[serde(rename = "hostIP")]
    pub host_ip: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub host_port: i32,
    #[serde(deserialize_with = "nullable")]
    pub container_port: i32,
    pub protocol: Option<String>,
}

/// A volume: the sources that bear on placement.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct VolumeObject {
    pub name: String,
    pub persistent_volume_claim: Option<ClaimSource>,
    pub ephemeral: Option<EphemeralSource>,
    pub csi: Option<CsiSource>,
    pub image: Option<ImageSource>,
    pub gce_persistent_disk: Option<GceSource>,
    pub aws_elastic_block_store: Option<EbsSource>,
    pub iscsi: Option<IscsiSource>,
    pub rbd: Option<RbdSource>,
    pub azure_disk: Option<InTreeVolume>,
    pub cinder: Option<InTreeVolume>,
    pub portworx_volume: Option<InTreeVolume>,
}

parts! {
    /// `schedulingGroup`.
    SchedulingGroup { pod_group_name: Option<String> }
    /// `persistentVolumeClaim`.
    ClaimSource { claim_name: String, #[serde(deserialize_with = "nullable")] read_only: bool }
    /// `ephemeral`.
    EphemeralSource { #[serde(deserialize_with = "nullable")] volume_claim_template: ClaimTemplate }
    /// `ephemeral.volumeClaimTemplate`.
    ClaimTemplate { #[serde(deserialize_with = "nullable")] spec: ClaimTemplateSpec }
    /// `ephemeral.volumeClaimTemplate.spec`.
    ClaimTemplateSpec { storage_class_name: Option<String> }
    /// `csi`.
    CsiSource { driver: String }
    /// `image`.
    ImageSource { #[serde(deserialize_with = "nullable")] reference: String }
    /// `gcePersistentDisk`.
    GceSource { pd_name: String, #[serde(deserialize_with = "nullable")] read_only: bool }
    /// `awsElasticBlockStore`.
    EbsSource { #[serde(rename = "volumeID")] volume_id: String }
    /// `iscsi`.
    IscsiSource { iqn: String, #[serde(deserialize_with = "nullable")] read_only: bool }
    /// `rbd`.
    RbdSource {
        #[serde(deserialize_with = "nullable")] monitors: Vec<String>,
        pool: Option<String>,
        image: String,
        #[serde(deserialize_with = "nullable")] read_only: bool,
    }
}

parts! {
    /// A container's `restartPolicyRules[]`.
    RestartRule { #[serde(deserialize_with = "nullable")] action: String }
    /// A container's `volumeMounts[]`; what is mounted where does not matter.
    MountObject { #[serde(deserialize_with = "nullable")] bind_mount_options: Vec<IgnoredAny> }
}

/// `status`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct PodStatusObject {
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub nominated_node_name: Option<String>,
    pub start_time: Option<Time>,
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<ConditionObject>,
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatusObject>,
    #[serde(deserialize_with = "nullable")]
    pub init_container_statuses: Vec<ContainerStatusObject>,
    pub resources: Option<ResourcesObject>,
    pub allocated_resources: Option<Quantities>,
    #[serde(deserialize_with = "nullable")]
    pub resource_claim_statuses: Vec<PodResourceClaimStatus>,
}

/// A condition.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct ConditionObject {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    #[serde(deserialize_with = "nullable")]
    pub message: String,
}

/// What the kubelet says of a container's resources.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct ContainerStatusObject {
    pub name: String,
    pub resources: Option<ResourcesObject>,
    pub allocated_resources: Option<Quantities>,
}
