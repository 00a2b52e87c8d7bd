//! What tells of the storage of a node: Node Feature Discovery, KServe's local models, HwameiStor, OpenEBS.
//! Leaves out which of them is believed first: see `aisched_model::signals`.

use super::{Labels, Unreadable, parse};
use crate::objects::{QuantityText, nullable};
use aisched_model::Str;
use aisched_model::foreign::{BlockDevice, Foreign, NodeStorage, StorageSystem};
use aisched_model::quantity::Quantity;
use aisched_model::signals::tiers_of_devices;
use aisched_model::snapshot::NamespacedName;
use aisched_model::storage_facts::TierSet;
use aisched_model::workload::Tier;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an object of this kind says of the node that has its name, before it says anything.
fn of_node(system: StorageSystem, kind: &'static str, name: Str) -> NodeStorage {
    NodeStorage { system, kind, node: name.clone(), name, tiers: TierSet::default(), free_bytes: None, datasets: Vec::new() }
}

fn told(storage: NodeStorage) -> Result<Foreign, Unreadable> {
    Ok(Foreign::NodeStorage(Arc::new(storage)))
}

/// Label of Node Feature Discovery on its objects.
const NFD_NODE: &str = "nfd.node.kubernetes.io/node-name";

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeFeatureObject {
    spec: NodeFeatureSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeFeatureSpec {
    features: Features,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Features {
    #[serde(deserialize_with = "nullable")]
    instances: BTreeMap<String, Instances>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instances {
    #[serde(deserialize_with = "nullable")]
    elements: Vec<Element>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Element {
    #[serde(deserialize_with = "nullable")]
    attributes: BTreeMap<String, String>,
}

pub(super) fn node_feature((_, name): NamespacedName, labels: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let mut instances = parse::<NodeFeatureObject>(object)?.spec.features.instances;
    let elements = instances.remove("storage.block").unwrap_or_default().elements;
    let device = |e: Element| {
        let rotational = e.attributes.get("rotational").map(|v| v == "1");
        e.attributes.get("name").map(|name| BlockDevice { name: name.clone(), rotational })
    };
    let devices: Vec<BlockDevice> = elements.into_iter().filter_map(device).collect();
    let mut storage = of_node(StorageSystem::NodeFeatureDiscovery, "NodeFeature", name);
    if let Some(node) = labels.get(NFD_NODE) {
        storage.node = Str::from(&**node);
    }
    told(NodeStorage { tiers: tiers_of_devices(&devices), ..storage })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LocalModelNodeObject {
    spec: LocalModelNodeSpec,
    #[serde(deserialize_with = "nullable")]
    status: LocalModelNodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LocalModelNodeSpec {
    #[serde(deserialize_with = "nullable")]
    local_models: Vec<LocalModel>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LocalModel {
    source_model_uri: String,
    model_name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LocalModelNodeStatus {
    #[serde(deserialize_with = "nullable")]
    model_status: BTreeMap<String, String>,
}

/// Models that are on the node's disk, by their URI and by their name.
pub(super) fn local_model_node((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let LocalModelNodeObject { spec, status } = parse(object)?;
    let downloaded = |model: &LocalModel| {
        let key = if model.namespace.is_empty() { model.model_name.clone() } else { format!("{}/{}", model.namespace, model.model_name) };
        status.model_status.get(&key).is_some_and(|s| s == "ModelDownloaded")
    };
    let models = spec.local_models.into_iter().filter(downloaded);
    let names = models.flat_map(|m| [m.source_model_uri, m.model_name]).filter(|n| !n.is_empty());
    let datasets = names.map(Str::from).collect();
    told(NodeStorage { datasets, ..of_node(StorageSystem::KServe, "LocalModelNode", name) })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LocalStorageNodeObject {
    #[serde(deserialize_with = "nullable")]
    status: LocalStorageNodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LocalStorageNodeStatus {
    #[serde(deserialize_with = "nullable")]
    pools: BTreeMap<String, HwameistorPool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HwameistorPool {
    class: String,
    free_capacity_bytes: i64,
}

pub(super) fn local_storage_node((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let pools = parse::<LocalStorageNodeObject>(object)?.status.pools;
    let pools = pools.into_values().map(|p| (p.class, p.free_capacity_bytes));
    told(pooled(of_node(StorageSystem::Hwameistor, "LocalStorageNode", name), pools))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LvmNodeObject {
    #[serde(deserialize_with = "nullable")]
    volume_groups: Vec<OpenEbsPool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ZfsNodeObject {
    #[serde(deserialize_with = "nullable")]
    pools: Vec<OpenEbsPool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OpenEbsPool {
    name: String,
    free: QuantityText,
}

pub(super) fn lvm_node((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    open_ebs("LVMNode", name, parse::<LvmNodeObject>(object)?.volume_groups)
}

pub(super) fn zfs_node((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    open_ebs("ZFSNode", name, parse::<ZfsNodeObject>(object)?.pools)
}

fn open_ebs(kind: &'static str, name: Str, pools: Vec<OpenEbsPool>) -> Result<Foreign, Unreadable> {
    let free = |text: &QuantityText| Quantity::parse(&text.0).ok().map_or(0, |q| q.value());
    let pools = pools.into_iter().map(|p| (p.name, free(&p.free)));
    told(pooled(of_node(StorageSystem::OpenEbs, kind, name), pools))
}

/// Pools by a name that may tell the tier, with what is free in each.
fn pooled(mut storage: NodeStorage, pools: impl Iterator<Item = (String, i64)>) -> NodeStorage {
    for (name, free) in pools {
        if let Some(tier) = Tier::in_name(&name) {
            storage.tiers.insert(tier);
        }
        storage.free_bytes = storage.free_bytes.max(Some(free.max(0)));
    }
    storage
}
