//! Objects as manifests that [`super::parse_documents`] reads back into the same values: a cluster in one file.
//! Leaves out what scheduling does not read, environment and other possible secrets above all: the model never had them.

mod foreign;
mod pod;
mod storage;

use crate::convert::requirements_json;
use crate::crd::{AIStorageConfigSpec, GROUP};
use aisched_core::event::Event;
use aisched_model::config::Config;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::owners::{OwnerId, OwnerKind};
use aisched_model::resources::Resources;
use aisched_model::selector::LabelSelector;
use serde_json::{Map, Value, json};

/// The manifest of the object that an event tells of; none of events that tell of no object.
#[must_use]
pub fn manifest(event: &Event) -> Option<Value> {
    Some(match event {
        Event::NodeSet(n, _) => node(n),
        Event::PodSet(p) => pod::pod(p),
        Event::ClaimSet(c) => storage::claim(c),
        Event::VolumeSet(v) => storage::volume(v),
        Event::ClassSet(c) => storage::class(c),
        Event::CsiNodeSet(c) => storage::csi_node(c),
        Event::CsiDriverSet(d) => storage::csi_driver(d),
        Event::CapacitySet(c) => storage::capacity(c),
        Event::AttachmentSet(a) => storage::attachment(a),
        Event::BudgetSet(b) => storage::budget(b),
        Event::NamespaceSet(name, own) => object("v1", "Namespace", json!({"name": &**name, "labels": labels(own)}), json!({})),
        Event::OwnerSet(id, Some(selector)) => owner(id, selector),
        Event::ForeignSet(object) => return foreign::foreign(object),
        _ => return None,
    })
}

/// The configuration as an AIStorageConfig.
#[must_use]
pub fn config(config: &Config, namespace: &str, name: &str) -> Value {
    let meta = json!({"name": name, "namespace": namespace});
    object(&format!("{GROUP}/v1"), "AIStorageConfig", meta, json!({"spec": AIStorageConfigSpec::from(config)}))
}

/// Documents of YAML, one after the other.
#[must_use]
pub fn yaml(documents: impl IntoIterator<Item = Value>) -> String {
    let document = |value: Value| match serde_saphyr::to_string(&value) {
        Ok(text) => format!("---\n{}\n", text.trim_end()),
        Err(_) => format!("---\n{value}\n"), // JSON is YAML
    };
    documents.into_iter().map(document).collect()
}

/// An object; what is null or empty in its parts is left out.
fn object(version: &str, kind: &str, meta: Value, rest: Value) -> Value {
    let mut all = Map::new();
    all.insert("apiVersion".into(), version.into());
    all.insert("kind".into(), kind.into());
    all.insert("metadata".into(), meta);
    if let Value::Object(rest) = rest {
        all.extend(rest);
    }
    let mut all = Value::Object(all);
    prune(&mut all);
    all
}

/// Takes away fields that say nothing. An empty selector says something: all.
fn prune(value: &mut Value) {
    const TELLING: &[&str] = &["labelSelector", "namespaceSelector", "selector", "nodeTopology", "nodeSelectorTerms"];
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|key, value| match value {
            Value::Null => false,
            Value::Object(map) => !map.is_empty() || TELLING.contains(&key.as_str()),
            Value::Array(items) => !items.is_empty() || TELLING.contains(&key.as_str()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        });
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(prune);
    }
}

fn labels(labels: &Labels) -> Value {
    labels.iter().map(|(k, v)| (k.to_string(), Value::from(&**v))).collect::<Map<_, _>>().into()
}

fn node(node: &Node) -> Value {
    let mut allocatable = quantities(&node.allocatable);
    allocatable.insert("pods".into(), node.allocatable_pods.to_string().into());
    let taint = |t: &aisched_model::node::Taint| json!({"key": &*t.key, "value": &*t.value, "effect": t.effect.as_str()});
    let image = |(name, size): &(aisched_model::Str, i64)| json!({"names": [&**name], "sizeBytes": size});
    let features: Vec<&str> = node.declared_features.iter().map(|f| &**f).collect();
    let meta = json!({"name": &*node.name, "labels": labels(&node.labels), "annotations": labels(&node.annotations)});
    let spec = json!({
        "taints": node.taints.iter().map(taint).collect::<Vec<_>>(),
        "unschedulable": node.unschedulable.then_some(true),
    });
    let status = json!({
        "allocatable": allocatable,
        "capacity": {"cpu": node.storage.cores.to_string()},
        "images": node.images.iter().map(image).collect::<Vec<_>>(),
        "declaredFeatures": features,
        "conditions": node.contention.as_ref().map(|kind| json!([{"type": &**kind, "status": "True"}])),
    });
    object("v1", "Node", meta, json!({"spec": spec, "status": status}))
}

/// Amounts as quantities.
fn quantities(amounts: &Resources) -> Map<String, Value> {
    let plain = [("memory", amounts.memory.0), ("ephemeral-storage", amounts.ephemeral_storage.0)].into_iter().filter(|(_, n)| *n != 0);
    let scalars = amounts.scalars.iter().map(|(name, amount)| (&**name, *amount));
    let mut all: Map<String, Value> = plain.chain(scalars).map(|(name, n)| (name.to_owned(), n.to_string().into())).collect();
    if amounts.cpu.0 != 0 {
        all.insert("cpu".into(), format!("{}m", amounts.cpu.0).into());
    }
    all
}

fn owner((kind, namespace, name): &OwnerId, selector: &LabelSelector) -> Value {
    let meta = json!({"name": &**name, "namespace": &**namespace});
    // These were written as plain labels, and are nothing else.
    let plain = || selector.0.iter().map(|r| (r.key.to_string(), r.values.first().map_or("", |v| v).into())).collect::<Map<_, _>>();
    let (version, kind, selector) = match kind {
        OwnerKind::Service => ("v1", "Service", plain().into()),
        OwnerKind::ReplicationController => ("v1", "ReplicationController", plain().into()),
        OwnerKind::ReplicaSet => ("apps/v1", "ReplicaSet", label_selector(selector)),
        OwnerKind::StatefulSet => ("apps/v1", "StatefulSet", label_selector(selector)),
    };
    object(version, kind, meta, json!({"spec": {"selector": selector}}))
}

fn strings(values: &[aisched_model::Str]) -> Vec<&str> {
    values.iter().map(|v| &**v).collect()
}

fn label_selector(selector: &LabelSelector) -> Value {
    json!({"matchExpressions": requirements_json(&selector.0)})
}

#[cfg(test)]
mod tests;
