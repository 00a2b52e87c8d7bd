//! Nodes' storage facts and what is left of their budgets, as tables.
//! Leaves out how facts are read: `aisched_model::storage_facts`.

use crate::tables::Style;
use std::collections::BTreeMap;

/// A node as the API shows it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    pub(crate) name: String,
    pub(crate) tiers: Vec<String>,
    layer: Option<String>,
    zone: Option<String>,
    rack: Option<String>,
    iops: Option<i64>,
    throughput_mbps: Option<i64>,
    capacity_gb: Option<i64>,
    remaining: Remaining,
    #[serde(default)]
    cached_datasets: Vec<String>,
    temperature: Option<String>,
    #[serde(default)]
    read_cache: bool,
    #[serde(default)]
    write_buffer: bool,
    #[serde(default)]
    large_io_buffer: bool,
    #[serde(default)]
    csd_compute: bool,
    #[serde(default)]
    n_pods: usize,
    /// Where a fact was read from, by the fact's name, as far as the scheduler says.
    #[serde(default)]
    sources: BTreeMap<String, String>,
}

/// What is left of the budgets.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remaining {
    iops: Option<i64>,
    throughput_mbps: Option<i64>,
    capacity_gb: Option<i64>,
}

/// Budgets of all nodes in one table, and below it every other fact with its source.
pub(crate) fn table(nodes: &[NodeView], style: Style) -> String {
    if nodes.is_empty() {
        return "The scheduler knows of no node.\n".into();
    }
    let budgets: Vec<Vec<String>> = nodes.iter().map(budget_row).collect();
    let header = ["NODE", "TIER", "PODS", "IOPS LEFT", "MB/S LEFT", "GB LEFT"];
    let mut text = style.table(&header, &[2, 3, 4, 5], &budgets);
    let facts: Vec<Vec<String>> = nodes.iter().flat_map(fact_rows).collect();
    text.push('\n');
    text.push_str(&style.table(&["NODE", "FACT", "VALUE", "FROM"], &[], &facts));
    text
}

fn budget_row(node: &NodeView) -> Vec<String> {
    let left = |left: Option<i64>, of: Option<i64>| match (left, of) {
        (Some(left), Some(of)) => format!("{left}/{of}"),
        _ => "?".into(),
    };
    vec![
        node.name.clone(),
        or_dash(&node.tiers.join(",")),
        node.n_pods.to_string(),
        left(node.remaining.iops, node.iops),
        left(node.remaining.throughput_mbps, node.throughput_mbps),
        left(node.remaining.capacity_gb, node.capacity_gb),
    ]
}

fn fact_rows(node: &NodeView) -> Vec<Vec<String>> {
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    let flag = |on: bool| on.then(|| "yes".to_owned());
    let facts = [
        ("tiers", Some(node.tiers.join(",")).filter(|t| !t.is_empty()), "label storage-tier/…"),
        ("layer", node.layer.clone(), "label layer"),
        ("zone", node.zone.clone(), "label topology.kubernetes.io/zone"),
        ("rack", node.rack.clone(), "label topology.kubernetes.io/rack or rack"),
        ("iops", number(node.iops), "annotation available-iops, else the tier's estimate"),
        ("throughputMbps", number(node.throughput_mbps), "annotation available-throughput-mbps, else the tier's estimate"),
        ("capacityGb", number(node.capacity_gb), "annotation available-capacity-gb"),
        ("cachedDatasets", Some(node.cached_datasets.join(", ")).filter(|d| !d.is_empty()), "annotation cached-datasets"),
        ("temperature", node.temperature.clone(), "annotation data-temperature"),
        ("readCache", flag(node.read_cache), "label storage-capability/read-cache"),
        ("writeBuffer", flag(node.write_buffer), "label storage-capability/write-buffer"),
        ("largeIoBuffer", flag(node.large_io_buffer), "annotation large-io-buffer"),
        ("csdCompute", flag(node.csd_compute), "annotation csd-compute-ops"),
    ];
    let known = facts.into_iter().filter_map(|(name, value, from)| Some((name, value?, from)));
    let source = |name: &str, from: &'static str| node.sources.get(name).cloned().unwrap_or_else(|| from.into());
    let mut rows: Vec<Vec<String>> =
        known.map(|(name, value, from)| vec![node.name.clone(), name.into(), value, source(name, from)]).collect();
    if rows.is_empty() {
        rows.push(vec![node.name.clone(), "-".into(), "nothing is known of its storage".into(), "-".into()]);
    }
    rows
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}
