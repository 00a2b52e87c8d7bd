//! Services and controllers: the selectors that say which pods are of one kind.
//! Leaves out Deployments, Jobs and the like: no plugin asks for theirs.

use super::{nullable, slim_meta};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ReplicationController, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use std::collections::BTreeMap;

/// `spec`; the selector is a map of labels or, for the kinds of `apps`, a label selector.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the API's")]
pub struct SelectingSpec<S: Default> {
    pub selector: Option<S>,
}

macro_rules! owners {
    ($($object:ident: $resource:ident by $selector:ty;)*) => {$(
        #[doc = concat!("A ", stringify!($resource), ".")]
        #[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
        #[resource(inherit = $resource)]
        #[serde(default)]
        pub struct $object {
            /// Metadata.
            #[serde(deserialize_with = "slim_meta")]
            pub metadata: ObjectMeta,
            /// Specification.
            #[serde(deserialize_with = "nullable")]
            pub spec: SelectingSpec<$selector>,
        }
    )*};
}

owners! {
    ServiceObject: Service by BTreeMap<String, String>;
    ReplicationControllerObject: ReplicationController by BTreeMap<String, String>;
    ReplicaSetObject: ReplicaSet by LabelSelector;
    StatefulSetObject: StatefulSet by LabelSelector;
}
