//! What tells where the data of a volume is, and how fast it is to be: Fluid's Datasets, Longhorn's Replicas, VolumeAttributesClasses.
//! Leaves out the nodes with a Fluid cache: labels on the nodes tell those.

use super::{Labels, Unreadable, parse};
use crate::objects::nullable;
use aisched_model::foreign::{Foreign, Replica};
use aisched_model::signals::ClassFacts;
use aisched_model::snapshot::NamespacedName;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default, Deserialize)]
#[serde(default)]
struct DatasetObject {
    #[serde(deserialize_with = "nullable")]
    status: DatasetStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DatasetStatus {
    #[serde(deserialize_with = "nullable")]
    cache_states: BTreeMap<String, String>,
}

/// How much of it is cached; all of it where the runtime does not count.
pub(super) fn dataset(key: NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let states = parse::<DatasetObject>(object)?.status.cache_states;
    Ok(Foreign::Dataset(key, states.get("cachedPercentage").and_then(|text| percent(text)).unwrap_or(100)))
}

/// Example: `37.5%` is 37; `N/A`, `[Calculating]` and an empty text are nothing.
fn percent(text: &str) -> Option<i64> {
    let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().ok()?;
    #[allow(clippy::cast_possible_truncation, reason = "clamped to a range that fits")]
    let whole = number.clamp(0.0, 100.0) as i64;
    number.is_finite().then_some(whole)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReplicaObject {
    spec: ReplicaSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplicaSpec {
    volume_name: String,
    #[serde(rename = "nodeID")]
    node_id: String,
    /// When it last failed; empty while it is good.
    failed_at: String,
}

/// A replica that failed is on no node.
pub(super) fn replica((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let ReplicaSpec { volume_name, node_id, failed_at } = parse::<ReplicaObject>(object)?.spec;
    let node = if failed_at.is_empty() { node_id } else { String::new() };
    Ok(Foreign::Replica(Replica { name, volume: volume_name.into(), node: node.into() }))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AttributesClassObject {
    driver_name: String,
    #[serde(deserialize_with = "nullable")]
    parameters: BTreeMap<String, String>,
}

pub(super) fn attributes_class((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let AttributesClassObject { driver_name, parameters } = parse(object)?;
    let facts = ClassFacts::read(&name, &driver_name, &parameters);
    Ok(Foreign::AttributesClass(name, Arc::new(facts)))
}
