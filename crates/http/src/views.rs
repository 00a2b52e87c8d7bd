//! Nodes and the scheduler's state in the shapes that the API shows; a decision has its shape already (`product.md` §4).
//! Leaves out how they are fetched.

use aisched_core::queue::Depth;
use aisched_model::Str;
use aisched_model::node::{Budgets, NodeInfo};
use aisched_model::storage_facts::{Temperature, sources};
use serde::Serialize;
use std::collections::BTreeMap;

/// A node's storage facts and what is left of its I/O budgets; `null` is what the node does not say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of `StorageFacts`")]
pub struct NodeView {
    pub name: Str,
    pub tiers: Vec<&'static str>,
    pub layer: Option<&'static str>,
    pub zone: Option<Str>,
    pub rack: Option<Str>,
    pub iops: Option<i64>,
    pub throughput_mbps: Option<i64>,
    pub capacity_gb: Option<i64>,
    /// The three above less what was promised to pods, never below 0.
    pub remaining: RemainingView,
    pub cached_datasets: Vec<Str>,
    pub temperature: Option<&'static str>,
    pub cores: i64,
    pub memory_gb: i64,
    pub cpu_rich: bool,
    pub memory_rich: bool,
    pub read_cache: bool,
    pub write_buffer: bool,
    pub large_io_buffer: bool,
    pub csd_compute: bool,
    pub io_contention: bool,
    /// Pods on the node, those on their way included.
    pub n_pods: usize,
    /// Where each known fact was read from, by its name above.
    pub sources: BTreeMap<&'static str, String>,
    /// For how many seconds each fact that nobody labelled has been known as it is.
    pub ages_seconds: BTreeMap<&'static str, u64>,
}

/// What is left of a node's I/O budgets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of `StorageFacts`")]
pub struct RemainingView {
    pub iops: Option<i64>,
    pub throughput_mbps: Option<i64>,
    pub capacity_gb: Option<i64>,
}

impl NodeView {
    /// How a node is shown; `io_accounting` says whether what was promised to pods is subtracted.
    #[must_use]
    pub fn new(node: &NodeInfo, ages_seconds: BTreeMap<&'static str, u64>, io_accounting: bool) -> Self {
        let facts = &node.node.storage;
        Self {
            name: node.node.name.clone(),
            tiers: facts.tiers.iter().map(aisched_model::workload::Tier::as_str).collect(),
            layer: facts.layer.map(aisched_model::storage_facts::Layer::as_str),
            zone: facts.zone.clone(),
            rack: facts.rack.clone(),
            iops: facts.iops,
            throughput_mbps: facts.throughput_mbps,
            capacity_gb: facts.capacity_gb,
            remaining: Budgets::left(node, io_accounting).into(),
            cached_datasets: facts.cached_datasets.clone(),
            temperature: facts.temperature.map(temperature),
            cores: facts.cores,
            memory_gb: facts.memory_gb,
            cpu_rich: facts.cpu_rich,
            memory_rich: facts.memory_rich,
            read_cache: facts.read_cache,
            write_buffer: facts.write_buffer,
            large_io_buffer: facts.large_io_buffer,
            csd_compute: facts.csd_compute,
            io_contention: facts.io_contention,
            n_pods: node.pods.len(),
            sources: sources(&node.node.labels, &node.node.annotations, facts).into_iter().collect(),
            ages_seconds,
        }
    }
}

impl From<Budgets> for RemainingView {
    fn from(left: Budgets) -> Self {
        Self { iops: left.iops, throughput_mbps: left.throughput_mbps, capacity_gb: left.capacity_gb }
    }
}

fn temperature(temperature: Temperature) -> &'static str {
    match temperature {
        Temperature::Hot => "hot",
        Temperature::Warm => "warm",
        Temperature::Cold => "cold",
    }
}

/// The scheduler's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the scheduler.
    pub version: &'static str,
    /// Whether every first list has arrived; nothing is scheduled before.
    pub synced: bool,
    /// Counts the configurations applied since the start; 0 is the built-in default.
    pub config_generation: u64,
    /// Waiting pods by queue.
    pub queue: QueueView,
    /// Waiting pods, the one being decided included.
    pub n_waiting: usize,
    /// Nodes.
    pub n_nodes: usize,
    /// Pods on nodes, those on their way included.
    pub n_pods: usize,
    /// Whether this process decides; another may.
    pub leading: bool,
    /// Who leads instead, as its Lease names it.
    pub leader: Option<String>,
    /// Readers of the stream of decisions.
    pub stream: StreamView,
    /// The policy client's counts.
    pub apollo: serde_json::Value,
}

/// Readers of the stream of decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamView {
    /// Readers now.
    pub readers: usize,
    /// Decisions that were not sent to a reader, because it had not read the ones before, since the start.
    pub missed: u64,
}

/// What a scrape asks the engine for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `Status`")]
pub struct Gauges {
    pub synced: bool,
    pub config_generation: u64,
    pub queue: QueueView,
    pub n_nodes: usize,
    pub n_pods: usize,
    /// Pods on their way to a node.
    pub n_assumed: usize,
    /// Pods that came into a queue, by queue and event.
    pub incoming: BTreeMap<(&'static str, &'static str), u64>,
    /// Waiting pods that were refused, by plugin and profile.
    pub refused: BTreeMap<(&'static str, Str), usize>,
}

/// Waiting pods by queue, under kube-scheduler's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the fields are kube-scheduler's queue names")]
pub struct QueueView {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl From<Depth> for QueueView {
    fn from(depth: Depth) -> Self {
        Self { active: depth.active, backoff: depth.backoff, unschedulable: depth.unschedulable, gated: depth.gated }
    }
}
