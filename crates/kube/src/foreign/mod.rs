//! Objects of other systems: the one table of kinds, and how each becomes the model's value.
//! Leaves out watching them (`watch`). All of them are optional: what is not served, or may not be read, is not known.

mod argo;
mod kueue;
pub(crate) mod watch;

use aisched_model::Str;
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::snapshot::NamespacedName;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A kind of another system.
pub(crate) struct ForeignKind {
    pub(crate) kind: &'static str,
    pub(crate) group: &'static str,
    pub(crate) plural: &'static str,
    /// Versions that can be read, best first.
    pub(crate) versions: &'static [&'static str],
    read: fn(NamespacedName, Value) -> Result<Foreign, Unreadable>,
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
];

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

    /// The model's value of an object; `object` is all of it but its metadata.
    pub(crate) fn read(&self, namespace: &str, name: &str, object: Value) -> Result<Foreign, Unreadable> {
        (self.read)((Str::from(namespace), Str::from(name)), object)
    }
}

/// Reads what of an object is of use.
fn parse<T: DeserializeOwned>(object: Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(object).map_err(|e| Unreadable { field: e.path().to_string(), error: e.into_inner().to_string() })
}

#[cfg(test)]
mod tests;
