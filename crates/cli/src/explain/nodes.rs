//! Nodes' storage facts and what is left of their budgets, as tables.
//! Leaves out how facts are read: `aisched_model::storage_facts`.

use crate::tables::{Style, duration};
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
    #[serde(default)]
    io_contention: bool,
    n_pods: usize,
    /// Where a fact was read from, by the fact's name.
    sources: BTreeMap<String, String>,
    /// For how many seconds a fact that nobody labelled has been known as it is.
    #[serde(default)]
    ages_seconds: BTreeMap<String, u64>,
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
    text.push_str(&style.table(&["NODE", "FACT", "VALUE", "FROM", "KNOWN FOR"], &[], &facts));
    let commands = label_commands(nodes);
    if !commands.is_empty() {
        text.push_str("\nNobody labelled these tiers. To make them explicit, so that they stay whatever other systems say:\n");
        text.extend(commands.iter().map(|command| format!("  {command}\n")));
    }
    text
}

/// The commands that turn inferred tiers into labels, one for all nodes of the same tiers.
fn label_commands(nodes: &[NodeView]) -> Vec<String> {
    let mut by_tiers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.ages_seconds.contains_key("tiers") && !node.tiers.is_empty()) {
        let labels = node.tiers.iter().map(|tier| format!("storage-tier/{tier}=true"));
        by_tiers.entry(labels.collect::<Vec<_>>().join(" ")).or_default().push(&node.name);
    }
    by_tiers.into_iter().map(|(labels, names)| format!("kubectl label node {} {labels}", names.join(" "))).collect()
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
        ("ioContention", flag(node.io_contention)),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let source = |name: &str| node.sources.get(name).map_or_else(|| "-".into(), Clone::clone);
    let age = |name: &str| node.ages_seconds.get(name).map_or_else(|| "-".into(), |age| duration(*age));
    known.map(|(name, value)| vec![node.name.clone(), name.into(), value, source(name), age(name)]).collect()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}
