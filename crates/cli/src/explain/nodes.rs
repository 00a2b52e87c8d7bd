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
    cached_datasets: Vec<String>,
    temperature: Option<String>,
    cores: i64,
    memory_gb: i64,
    cpu_rich: bool,
    memory_rich: bool,
    read_cache: bool,
    write_buffer: bool,
    large_io_buffer: bool,
    csd_compute: bool,
    n_pods: usize,
    /// Where a fact was read from, by the fact's name.
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
    let list = |names: &[String]| Some(names.join(", ")).filter(|text| !text.is_empty());
    let flag = |on: bool| on.then(|| "yes".to_owned());
    let facts = [
        ("tiers", list(&node.tiers)),
        ("layer", node.layer.clone()),
        ("zone", node.zone.clone()),
        ("rack", node.rack.clone()),
        ("iops", number(node.iops)),
        ("throughputMbps", number(node.throughput_mbps)),
        ("capacityGb", number(node.capacity_gb)),
        ("cachedDatasets", list(&node.cached_datasets)),
        ("temperature", node.temperature.clone()),
        ("cores", Some(node.cores.to_string())),
        ("memoryGb", Some(node.memory_gb.to_string())),
        ("cpuRich", flag(node.cpu_rich)),
        ("memoryRich", flag(node.memory_rich)),
        ("readCache", flag(node.read_cache)),
        ("writeBuffer", flag(node.write_buffer)),
        ("largeIoBuffer", flag(node.large_io_buffer)),
        ("csdCompute", flag(node.csd_compute)),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let source = |name: &str| node.sources.get(name).map_or_else(|| "-".into(), Clone::clone);
    known.map(|(name, value)| vec![node.name.clone(), name.into(), value, source(name)]).collect()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}
