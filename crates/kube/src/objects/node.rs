//! The node fields that the scheduler reads.
//! Leaves out addresses and system information.

use super::{Quantities, nullable, slim_meta};
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A node.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = Node)]
#[serde(default)]
pub struct NodeObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: NodeSpecObject,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: NodeStatusObject,
}

/// `spec`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct NodeSpecObject {
    #[serde(deserialize_with = "nullable")]
    pub taints: Vec<Taint>,
    #[serde(deserialize_with = "nullable")]
    pub unschedulable: bool,
}

/// `status`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct NodeStatusObject {
    #[serde(deserialize_with = "nullable")]
    pub capacity: Quantities,
    pub allocatable: Option<Quantities>,
    #[serde(deserialize_with = "nullable")]
    pub images: Vec<NodeImage>,
    #[serde(deserialize_with = "nullable")]
    pub declared_features: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<NodeConditionObject>,
}

/// A condition of a node.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct NodeConditionObject {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
}

/// An image on a node.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct NodeImage {
    #[serde(deserialize_with = "nullable")]
    pub names: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub size_bytes: i64,
}
