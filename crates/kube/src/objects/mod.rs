//! Kubernetes objects with only the fields that the scheduler reads: they parse several times faster than the full types.
//! Leaves out what the fields mean (`convert`) and every field that nothing reads, `managedFields` above all.

/// Parts of objects: structs that take the fields named and their defaults for the others, as the API spells them.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        #[allow(missing_docs, reason = "the fields are the API's")]
        pub struct $name { $($(#[$attr])* pub $field: $type),* }
    )*};
}

mod devices;
mod disruption;
mod node;
mod owners;
mod pod;
mod storage;

pub use devices::{
    ClaimTemplateObject, ClaimTemplateSpecObject, DeviceClaimObject, DeviceClassObject, SliceObject, TaintRuleObject, TaintRuleSpec,
    TaintSelector,
};
pub use disruption::{BudgetObject, BudgetSpec, BudgetStatus};
pub use node::{NodeImage, NodeObject, NodeSpecObject, NodeStatusObject};
pub use owners::{ReplicaSetObject, ReplicationControllerObject, SelectingSpec, ServiceObject, StatefulSetObject};
pub use pod::{
    ConditionObject, ContainerObject, ContainerStatusObject, Named, PodObject, PodSpecObject, PodStatusObject, PortObject, ResourcesObject,
    VolumeObject,
};
pub use storage::{
    AttachmentObject, ClaimObject, CsiDriverObject, CsiNodeObject, NamespaceObject, StorageCapacityObject, StorageClassObject,
    VolumeObject as PersistentVolumeObject,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::de::{Deserialize, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Reads a value that may be `null`, which then means its default: the API writes both.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads metadata without `managedFields` and whatever else nothing reads.
pub(crate) fn slim_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Meta {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        deletion_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    let meta = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        ..ObjectMeta::default()
    })
}

/// A quantity as it was written; files may hold bare numbers where the API writes text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuantityText(pub String);

impl<'de> Deserialize<'de> for QuantityText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = QuantityText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m or 2Gi")
            }
            fn visit_str<E>(self, text: &str) -> Result<QuantityText, E> {
                Ok(QuantityText(text.to_owned()))
            }
            fn visit_u64<E>(self, n: u64) -> Result<QuantityText, E> {
                Ok(QuantityText(n.to_string()))
            }
            fn visit_i64<E>(self, n: i64) -> Result<QuantityText, E> {
                Ok(QuantityText(n.to_string()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<QuantityText, E> {
                Ok(QuantityText(n.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// Amounts by resource name, as written.
pub type Quantities = BTreeMap<String, QuantityText>;
