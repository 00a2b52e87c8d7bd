//! Who says which nodes are close to each other: KAI's and Koordinator's topologies, Volcano's HyperNodes.
//! Leaves out Kueue's Topology, which stands with Kueue's other kinds.

use super::{Labels, Unreadable, parse};
use crate::objects::nullable;
use aisched_model::Str;
use aisched_model::foreign::Foreign;
use aisched_model::hyper_nodes::{HyperNode, Pattern};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use aisched_model::snapshot::NamespacedName;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ClusterNetworkTopologyObject {
    spec: ClusterNetworkTopologySpec,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClusterNetworkTopologySpec {
    #[serde(deserialize_with = "nullable")]
    network_topology_spec: Vec<Layer>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Layer {
    topology_layer: String,
    parent_topology_layer: String,
    #[serde(deserialize_with = "nullable")]
    label_key: Vec<String>,
}

/// Koordinator's ClusterNetworkTopology: a layer is closer than its parent.
pub(super) fn koordinator((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let layers = parse::<ClusterNetworkTopologyObject>(object)?.spec.network_topology_spec;
    let parent = |layer: &str| {
        let above = layers.iter().find(|l| l.topology_layer == layer).map(|l| l.parent_topology_layer.as_str());
        above.filter(|name| !name.is_empty())
    };
    let ancestors = |layer: &&Layer| std::iter::successors(parent(&layer.topology_layer), |at| parent(at)).take(layers.len()).count();
    // One that is above itself has as many as there are layers.
    let mut ordered: Vec<&Layer> = layers.iter().filter(|layer| ancestors(layer) < layers.len()).collect();
    ordered.sort_by_key(ancestors);
    let keys = ordered.into_iter().flat_map(|layer| &layer.label_key).map(|key| Str::from(&**key)).collect();
    Ok(Foreign::Topology(format!("ClusterNetworkTopology {name}").into(), keys))
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct HyperNodeObject {
    spec: HyperNodeSpec,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct HyperNodeSpec {
    tier: i64,
    #[serde(deserialize_with = "nullable")]
    members: Vec<Member>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Member {
    #[serde(rename = "type")]
    kind: String,
    selector: MemberSelector,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MemberSelector {
    exact_match: Option<ExactMatch>,
    label_match: Option<LabelMatch>,
    regex_match: Option<RegexMatch>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ExactMatch {
    name: String,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LabelMatch {
    #[serde(deserialize_with = "nullable")]
    match_labels: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct RegexMatch {
    #[serde(deserialize_with = "pattern")]
    pattern: Pattern,
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
    let text = String::deserialize(deserializer)?;
    Pattern::parse(&text).map_err(D::Error::custom)
}

pub(super) fn hyper_node((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let HyperNodeSpec { tier, members } = parse::<HyperNodeObject>(object)?.spec;
    let mut hyper_node = HyperNode { name, tier, ..HyperNode::default() };
    for Member { kind, selector } in members {
        let exact = selector.exact_match.map(|exact| Str::from(exact.name));
        match &*kind {
            "Node" => {
                hyper_node.nodes.extend(exact);
                hyper_node.selectors.extend(selector.label_match.map(selector_of));
                hyper_node.patterns.extend(selector.regex_match.map(|by_name| by_name.pattern));
            }
            "HyperNode" => hyper_node.children.extend(exact),
            _ => {}
        }
    }
    Ok(Foreign::HyperNode(Arc::new(hyper_node)))
}

fn selector_of(by_label: LabelMatch) -> LabelSelector {
    let is = |(key, value): (String, String)| Requirement { key: key.into(), operator: Operator::In, values: vec![value.into()] };
    LabelSelector(by_label.match_labels.into_iter().map(is).collect())
}
