//! What would cure a refusal: the smallest changes with which a pod would fit on a node, found out by having the real filters judge them.
//! Worked out on request only, on a view: scheduling knows nothing of it. Leaves out who makes a change.

mod apply;
mod search;
#[cfg(test)]
mod tests;

pub use apply::events;
pub(crate) use apply::leaves;
pub(crate) use search::find;

use crate::plugins::amount;
use aisched_model::Str;
use aisched_model::node::Taint;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Changes that together make a pod fit on a node; with any of them left out it does not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cure {
    /// The node.
    pub node: Str,
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change to a node, to what is on it, or to a claim of the pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The node is uncordoned.
    Uncordon,
    /// The taint goes, or the pod tolerates it, which is as good.
    Taint(Str, Str, &'static str),
    /// The label has this value, or (without one) is not there.
    Label(Str, Option<Str>),
    /// The node offers so much more of a resource, or its pods take so much less, or this one asks for so much less. CPU in thousandths.
    Resource(Str, i64),
    /// So much more is left of the node's budget of I/O: `iops`, `throughput-mbps` or `capacity-gb`.
    Io(&'static str, i64),
    /// A driver can attach so many volumes more.
    Volumes(Str, i32),
    /// A claim of the pod is there, and bound to a volume that the node reaches.
    Claim(Str),
    /// A pod leaves the node: namespace, name.
    Leaves(Str, Str),
}

impl Change {
    /// A taint of a node that the pod does not tolerate. That of a cordon comes and goes with it.
    pub(crate) fn taint(taint: &Taint) -> Self {
        if *taint.key == *CORDON { Self::Uncordon } else { Self::Taint(taint.key.clone(), taint.value.clone(), taint.effect.as_str()) }
    }

    /// What it is about, whatever the amount or the value: two changes of one node cannot be about the same.
    fn about(&self) -> (usize, Str, Str) {
        let none = Str::default;
        match self {
            Self::Uncordon => (0, none(), none()),
            Self::Taint(key, value, effect) => (1, key.clone(), format!("{value}:{effect}").into()),
            Self::Label(key, _) => (2, key.clone(), none()),
            Self::Resource(name, _) => (3, name.clone(), none()),
            Self::Io(name, _) => (4, (*name).into(), none()),
            Self::Volumes(driver, _) => (5, driver.clone(), none()),
            Self::Claim(name) => (6, name.clone(), none()),
            Self::Leaves(namespace, name) => (7, namespace.clone(), name.clone()),
        }
    }

    /// In words that follow the node's name.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Uncordon => "uncordon it".into(),
            Self::Taint(key, value, effect) if value.is_empty() => format!("tolerate or remove the taint {key}:{effect}"),
            Self::Taint(key, value, effect) => format!("tolerate or remove the taint {key}={value}:{effect}"),
            Self::Label(key, Some(value)) => format!("label it {key}={value}"),
            Self::Label(key, None) => format!("remove its label {key}"),
            Self::Resource(name, n) if **name == *"pods" => format!("room for {n} more pod(s)"),
            Self::Resource(name, n) => format!("{} more {name}", amount(name, *n)),
            Self::Io("iops", n) => format!("{n} more IOPS"),
            Self::Io("throughput-mbps", n) => format!("{n} MB/s more storage throughput"),
            Self::Io(_, n) => format!("{n} GB more storage capacity"),
            Self::Volumes(driver, n) => format!("room for {n} more volume(s) of {driver}"),
            Self::Claim(name) => format!("claim {name} bound to a volume within its reach"),
            Self::Leaves(namespace, name) => format!("pod {namespace}/{name} leaves"),
        }
    }
}

/// The taint that a cordoned node carries.
const CORDON: &str = "node.kubernetes.io/unschedulable";

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let kinds = ["uncordon", "taint", "label", "resource", "io", "volumes", "claim", "podLeaves"];
        map.serialize_entry("kind", kinds[self.about().0])?;
        match self {
            Self::Uncordon => {}
            Self::Taint(key, value, effect) => {
                map.serialize_entry("key", key)?;
                map.serialize_entry("value", value)?;
                map.serialize_entry("effect", effect)?;
            }
            Self::Label(key, value) => {
                map.serialize_entry("key", key)?;
                map.serialize_entry("value", value)?;
            }
            Self::Resource(name, n) => {
                map.serialize_entry("name", name)?;
                map.serialize_entry("amount", &amount(name, *n))?;
            }
            Self::Io(name, n) => {
                map.serialize_entry("name", name)?;
                map.serialize_entry("amount", n)?;
            }
            Self::Volumes(driver, n) => {
                map.serialize_entry("name", driver)?;
                map.serialize_entry("amount", n)?;
            }
            Self::Claim(name) => map.serialize_entry("name", name)?,
            Self::Leaves(namespace, name) => {
                map.serialize_entry("namespace", namespace)?;
                map.serialize_entry("name", name)?;
            }
        }
        map.serialize_entry("text", &self.text())?;
        map.end()
    }
}
