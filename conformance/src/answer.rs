//! What a scheduler makes of a scenario, whoever it is: the shape that the Go oracle writes and that ours is brought into.
//! Leaves out how answers are got and compared.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is made of one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The scenario's name.
    pub(crate) name: String,
    /// Pods in the order in which they left the queue.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) order: Vec<String>,
    /// Their verdicts.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) pods: Vec<Verdict>,
    /// Why the scenario cannot be used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
}

/// What is made of one pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Verdict {
    /// `namespace/name`.
    pub(crate) pod: String,
    /// The chosen node; the oracle does not choose between equals and says none.
    pub(crate) node: Option<String>,
    /// The whole message of a pod that fits nowhere.
    pub(crate) message: String,
    /// What stopped the attempt.
    pub(crate) error: String,
    /// Ours: what would have stopped it on any node. Which one is told depends on the order in which nodes are looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
    /// The node that is kept for it.
    pub(crate) nominated: String,
    /// Pods that have to go, sorted.
    pub(crate) victims: Vec<String>,
    /// The nodes by name.
    pub(crate) nodes: BTreeMap<String, Node>,
}

/// What is made of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    /// Who is against it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) plugin: String,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    /// What each plugin gives it, weight included.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) scores: BTreeMap<String, i64>,
    /// Their sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<i64>,
    /// What the pod's claims would get here: claim, request, pool and device of each. Ours tells it of the node that it chose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<String>,
}

impl Verdict {
    /// The nodes with the highest total.
    pub(crate) fn best(&self) -> Vec<&str> {
        let highest = self.nodes.values().filter_map(|node| node.total).max();
        self.nodes.iter().filter(|(_, node)| node.total.is_some() && node.total == highest).map(|(name, _)| name.as_str()).collect()
    }
}

/// Go writes an empty list as null.
fn nullable<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
