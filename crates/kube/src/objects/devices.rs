//! Devices, their classes, and claims to them (`resource.k8s.io/v1`), as the API has them.
//! Leaves out nothing that is read: the specifications are short-lived, and all of them counts.

use super::{nullable, slim_meta};
use k8s_openapi::api::resource::v1::{
    DeviceClass, DeviceClassSpec, DeviceTaint, ResourceClaim, ResourceClaimSpec, ResourceClaimStatus, ResourceSlice, ResourceSliceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::borrow::Cow;

/// A ResourceClaim.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = ResourceClaim)]
#[serde(default)]
pub struct DeviceClaimObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: ResourceClaimSpec,
    /// Status.
    #[serde(deserialize_with = "nullable")]
    pub status: ResourceClaimStatus,
}

/// A ResourceClaimTemplate, of which only files are read: a controller makes the claims.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ClaimTemplateObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: ClaimTemplateSpecObject,
}

/// A ResourceSlice.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = ResourceSlice)]
#[serde(default)]
pub struct SliceObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: ResourceSliceSpec,
}

/// A DeviceClass.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = DeviceClass)]
#[serde(default)]
pub struct DeviceClassObject {
    /// Metadata: of two classes the younger may count.
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: DeviceClassSpec,
}

/// A DeviceTaintRule.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct TaintRuleObject {
    /// Metadata.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Specification.
    #[serde(deserialize_with = "nullable")]
    pub spec: TaintRuleSpec,
}

parts! {
    /// A claim template's `spec`.
    ClaimTemplateSpecObject { #[serde(deserialize_with = "nullable")] spec: ResourceClaimSpec }
    /// A rule's `spec`.
    TaintRuleSpec {
        device_selector: Option<TaintSelector>,
        #[serde(deserialize_with = "nullable")] taint: DeviceTaint,
    }
    /// Devices that a rule is about.
    TaintSelector { driver: Option<String>, pool: Option<String>, device: Option<String> }
}

// The generated types do not have this kind in its stable version yet.
impl kube::Resource for TaintRuleObject {
    type DynamicType = ();
    type Scope = k8s_openapi::ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "DeviceTaintRule".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "resource.k8s.io".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "devicetaintrules".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
