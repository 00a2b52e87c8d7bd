//! What is said to extenders and what they say, as Go writes and reads it: names of fields in any case, null for nothing.
//! Leaves out what the answers mean.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The longest that a text of an extender may be: it ends up in events and conditions.
const LONGEST_TEXT: usize = 1024;

/// Reads an answer; what follows the first value is not looked at, as in Go.
pub(super) fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Ok(Option::<T>::deserialize(&mut deserializer)?.unwrap_or_default())
}

/// A text of an extender, cut to a bearable length.
pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `ExtenderArgs`, of a pod and nodes that are JSON already.
pub(super) fn node_args(pod: &str, nodes: &Nodes<'_>) -> Vec<u8> {
    let (objects, names) = match nodes {
        Nodes::Names(names) => ("null".into(), json(names)),
        Nodes::Objects(objects) => (format!("{{\"metadata\":{{}},\"items\":[{}]}}", objects.join(",")), "null".into()),
    };
    format!("{{\"Pod\":{pod},\"Nodes\":{objects},\"NodeNames\":{names}}}").into_bytes()
}

/// Nodes as an extender wants them.
pub(super) enum Nodes<'a> {
    /// It keeps nodes itself.
    Names(Vec<&'a str>),
    /// It does not.
    Objects(Vec<std::sync::Arc<str>>),
}

/// `ExtenderPreemptionArgs`, of a pod that is JSON already.
pub(super) fn victim_args(pod: &str, victims: &NodeVictims) -> Vec<u8> {
    let (objects, identifiers) = match victims {
        NodeVictims::Objects(by_node) => {
            let node = |(name, v): (&String, &VictimObjects)| {
                format!("{}:{{\"Pods\":[{}],\"NumPDBViolations\":{}}}", json(name), v.pods.join(","), v.n_violations)
            };
            (format!("{{{}}}", by_node.iter().map(node).collect::<Vec<_>>().join(",")), "null".into())
        }
        NodeVictims::Identifiers(by_node) => ("null".into(), json(by_node)),
    };
    format!("{{\"Pod\":{pod},\"NodeNameToVictims\":{objects},\"NodeNameToMetaVictims\":{identifiers}}}").into_bytes()
}

/// Candidates for preemption as an extender wants them.
pub(super) enum NodeVictims {
    /// It keeps pods itself.
    Identifiers(BTreeMap<String, Value>),
    /// It does not.
    Objects(BTreeMap<String, VictimObjects>),
}

/// Victims on a node, as JSON.
pub(super) struct VictimObjects {
    pub(super) pods: Vec<String>,
    pub(super) n_violations: usize,
}

/// `ExtenderBindingArgs`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BindingArgs<'a> {
    pub(super) pod_name: &'a str,
    pub(super) pod_namespace: &'a str,
    #[serde(rename = "PodUID")]
    pub(super) pod_uid: &'a str,
    pub(super) node: &'a str,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() // texts, numbers, maps by text: always possible
}

/// Answers: structs whose fields are found in any case, absent or null where they are empty.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($key:literal $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct $name { $(pub(super) $field: $type),* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut answer = $name::default();
                        while let Some(key) = map.next_key::<String>()? {
                            match key.to_ascii_lowercase().as_str() {
                                $($key => answer.$field = map.next_value::<Option<$type>>()?.unwrap_or_default(),)*
                                _ => drop(map.next_value::<IgnoredAny>()?),
                            }
                        }
                        Ok(answer)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    )*};
}

answers! {
    /// `ExtenderFilterResult`.
    FilterResult {
        "nodes" nodes: Option<NodeList>,
        "nodenames" node_names: Option<Vec<String>>,
        "failednodes" failed: BTreeMap<String, Option<String>>,
        "failedandunresolvablenodes" unresolvable: BTreeMap<String, Option<String>>,
        "error" error: String,
    }
    /// A list of nodes, of which only the names are read.
    NodeList { "items" items: Vec<NodeItem> }
    NodeItem { "metadata" metadata: NodeMeta }
    NodeMeta { "name" name: String }
    /// `HostPriority`.
    HostPriority { "host" host: String, "score" score: i64 }
    /// `ExtenderPreemptionResult`.
    PreemptionResult { "nodenametometavictims" victims: BTreeMap<String, Option<MetaVictims>> }
    /// `ExtenderBindingResult`.
    BindingResult { "error" error: String }
    /// The victims on a node.
    MetaVictims { "pods" pods: Vec<MetaPod>, "numpdbviolations" num_pdb_violations: i64 }
    MetaPod { "uid" uid: String }
}
