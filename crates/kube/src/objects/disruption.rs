//! PodDisruptionBudgets: the fields that preemption reads.
//! Leaves out what was asked for (`minAvailable`, `maxUnavailable`): the disruption controller has worked out what is allowed.

use super::{nullable, slim_meta};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = PodDisruptionBudget)]
#[serde(default)]
pub struct BudgetObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: BudgetSpec,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: BudgetStatus,
}

/// `spec`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct BudgetSpec {
    pub selector: Option<LabelSelector>,
}

/// `status`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct BudgetStatus {
    #[serde(deserialize_with = "nullable")]
    pub disruptions_allowed: i32,
    /// By name of the pod; the times do not matter.
    #[serde(deserialize_with = "nullable")]
    pub disrupted_pods: BTreeMap<String, IgnoredAny>,
}
