//! Prefers nodes whose resources suit what a preprocessing workload does; refuses nodes without computational storage where it is required.
//! Source: `scoring.md` §5. Leaves out what the workload does (its traits): that is `workload_profile`'s.

use super::ai_storage::{Preferences, Text, bounded, components, has_tier, hints_changed, total};
use crate::cures::Change;
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal, Score};
use crate::workload_profile::Source;
use aisched_model::config::{IoPatternScoring, Traits};
use aisched_model::node::{Budgets, Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::storage_facts::{Layer, StorageFacts};
use aisched_model::workload::Tier;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// From this many cores on a node has plenty for a workload that computes much.
const MANY_CORES: i64 = 16;
/// From this many GiB on a node has plenty for a workload that needs much memory.
const MUCH_MEMORY_GB: i64 = 64;
/// Expansion of a workload that writes as much as it reads, in hundredths.
const UNCHANGED: i64 = 100;

/// The guide's plugin of the same name.
pub(crate) struct IoPatternBased;

impl Plugin for IoPatternBased {
    fn name(&self) -> &'static str {
        "IOPatternBased"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let workload = attempt.workload;
        Prepared {
            filter: workload.require_csd.map(|source| Box::new(CsdOnly { source }) as Box<dyn Filter>),
            score: workload.traits.map(|traits| Box::new(Scorer::of(attempt, traits)) as Box<dyn Score>),
            ..Prepared::default()
        }
    }

    /// The filter reads whether a node has the tier and the pod's hints; other pods do not matter to it.
    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let has_csd = |node: &Node| node.storage.tiers.contains(Tier::Csd);
        match event {
            ClusterEvent::NodeAdded(node) => has_csd(node),
            ClusterEvent::NodeChanged { old, new } => has_csd(new) && !has_csd(old),
            ClusterEvent::OwnChange { old, new } => hints_changed(old, new),
            _ => false,
        }
    }
}

/// Refuses nodes without computational storage.
struct CsdOnly {
    source: Source,
}

impl Filter for CsdOnly {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let has = node.node.storage.tiers.contains(Tier::Csd);
        (!has).then(|| Refusal::unschedulable("node(s) had no computational storage device"))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let tiers: Vec<&str> = node.node.storage.tiers.iter().map(Tier::as_str).collect();
        let has = if tiers.is_empty() { "no known tier".into() } else { tiers.join(", ") };
        Some(format!("requires csd ({}), the node has {has}", self.source.as_str()))
    }

    fn cure(&self, _node: &NodeInfo) -> Vec<Change> {
        vec![has_tier(Tier::Csd)]
    }
}

/// Points for one resource: half of the score for a rich node and a quarter for plenty, or a quarter when the workload does not care.
fn resource_points(max: i64, intensive: bool, rich: bool, plenty: bool) -> i64 {
    let quarter = max * 4 / 25;
    match (intensive, rich, plenty) {
        (false, ..) | (true, false, true) => quarter,
        (true, true, true) => max * 8 / 25 + quarter,
        (true, true, false) => max * 8 / 25,
        (true, false, false) => 0,
    }
}

/// Example, of 25: augmentation (all intensive) on a CPU-rich node of 32 cores and 32 GiB with NVMe: 8 + 4, 0, 5 = 17.
fn resource_match(max: i64, traits: &Traits, node: &StorageFacts) -> i64 {
    let reads = match traits.read_intensive {
        true if node.tiers.contains(Tier::Nvme) => max * 5 / 25,
        true if node.tiers.contains(Tier::Ssd) => max * 3 / 25,
        _ => 0,
    };
    resource_points(max, traits.cpu_intensive, node.cpu_rich, node.cores >= MANY_CORES)
        + resource_points(max, traits.memory_intensive, node.memory_rich, node.memory_gb >= MUCH_MEMORY_GB)
        + reads
}

fn io_optimization(max: i64, traits: &Traits, node: &StorageFacts) -> i64 {
    let fifth = max * 4 / 20;
    let when = |so: bool, points: i64| if so { points } else { 0 };
    when(traits.sequential, max * 8 / 20)
        + when(traits.sequential && node.large_io_buffer, fifth)
        + when(traits.read_intensive && !traits.write_intensive && node.read_cache, fifth)
        + when(traits.write_intensive && node.write_buffer, fifth)
        + when(traits.write_intensive && node.tiers.contains(Tier::Nvme), fifth)
}

/// Example, of 20: expansion 5.0 makes m = 6: 20 from 3000 GB on, 15 from 1200, 10 from 600, else 5; capacity unknown 10.
fn expansion(max: i64, traits: &Traits, left_gb: Option<i64>) -> i64 {
    let m = traits.expansion_hundredths / 100 + 1;
    match (traits.expansion_hundredths, left_gb) {
        (..UNCHANGED, _) => max * 3 / 4,
        (UNCHANGED, _) | (_, None) => max / 2,
        (_, Some(v)) if v >= m.saturating_mul(500) => max,
        (_, Some(v)) if v >= m.saturating_mul(200) => max * 3 / 4,
        (_, Some(v)) if v >= m.saturating_mul(100) => max / 2,
        (_, Some(_)) => max / 4,
    }
}

const NAMES: [&str; 5] = ["apolloPreference", "resourceMatch", "ioOptimization", "expansion", "csd"];

/// Scores nodes for one preprocessing workload.
struct Scorer<'a> {
    preferences: Preferences<'a>,
    traits: Traits,
    /// Whether the workload can use computational storage, and the bonus of its type where it can.
    csd_bonus: Option<i64>,
    max: &'a IoPatternScoring,
    accounting: bool,
}

impl<'a> Scorer<'a> {
    fn of(attempt: &Attempt<'a>, traits: Traits) -> Self {
        let workload = attempt.workload;
        let bonuses = &attempt.config.storage_tiers.csd;
        let bonus = match workload.preprocessing_type.as_ref().map(|(t, _)| t.as_str()) {
            Some("filtering") => bonuses.filtering,
            Some("aggregation") => bonuses.aggregation,
            Some("transformation") => bonuses.transformation,
            _ => 0,
        };
        Self {
            preferences: Preferences::of(attempt),
            traits,
            csd_bonus: (traits.csd || workload.csd_by_policy.is_some()).then_some(bonus),
            max: &attempt.config.plugins.io_pattern_based.scoring,
            accounting: attempt.config.io_accounting,
        }
    }

    fn csd(&self, node: &StorageFacts) -> i64 {
        let max = self.max.csd;
        let has_csd = node.tiers.contains(Tier::Csd);
        match self.csd_bonus {
            None => max / 2,
            Some(bonus) if has_csd && node.csd_compute => max.saturating_add(bonus),
            Some(bonus) if has_csd => (max * 9 / 10).saturating_add(bonus),
            Some(_) if node.layer == Some(Layer::Storage) => max * 6 / 10,
            Some(_) => max / 4,
        }
    }

    fn points(&self, node: &NodeInfo) -> [i64; 5] {
        let (max, facts) = (self.max, &node.node.storage);
        let left_gb = Budgets::left(node, self.accounting).capacity_gb;
        [
            bounded(self.preferences.points(&node.node.name, max.apollo_preference), max.apollo_preference),
            bounded(resource_match(max.resource_match, &self.traits, facts), max.resource_match),
            bounded(io_optimization(max.io_optimization, &self.traits, facts), max.io_optimization),
            bounded(expansion(max.expansion, &self.traits, left_gb), max.expansion),
            bounded(self.csd(facts), max.csd),
        ]
    }

    fn csd_text(&self, node: &StorageFacts) -> &'static str {
        match self.csd_bonus {
            None => "the workload cannot use computational storage",
            Some(_) if node.tiers.contains(Tier::Csd) && node.csd_compute => "computational storage with compute operations",
            Some(_) if node.tiers.contains(Tier::Csd) => "computational storage",
            Some(_) if node.layer == Some(Layer::Storage) => "no computational storage, but a node of the storage layer",
            Some(_) => "no computational storage",
        }
    }
}

impl Score for Scorer<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let facts = &node.node.storage;
        let left_gb = Budgets::left(node, self.accounting).capacity_gb;
        let sources = [
            self.preferences.source(&node.node.name),
            resource_text(&self.traits, facts),
            optimization_text(&self.traits, facts),
            expansion_text(&self.traits, left_gb),
            self.csd_text(facts).into(),
        ];
        components(NAMES, self.points(node), sources)
    }
}

/// Joins the words that hold; `none` when none does.
fn words<const N: usize>(words: [(bool, &'static str); N], none: &'static str) -> String {
    let held: Vec<&str> = words.into_iter().filter(|(so, _)| *so).map(|(_, word)| word).collect();
    if held.is_empty() { none.into() } else { held.join(", ") }
}

fn resource_text(traits: &Traits, node: &StorageFacts) -> Text {
    let needs =
        words([(traits.cpu_intensive, "CPU"), (traits.memory_intensive, "memory"), (traits.read_intensive, "fast reads")], "nothing much");
    let rich = words([(node.cpu_rich, "CPU-rich"), (node.memory_rich, "memory-rich")], "not marked as rich");
    let disk = words([(node.tiers.contains(Tier::Nvme), "nvme"), (node.tiers.contains(Tier::Ssd), "ssd")], "no flash");
    format!("needs {needs}; the node is {rich}, with {} cores, {} GiB, {disk}", node.cores, node.memory_gb).into()
}

fn optimization_text(traits: &Traits, node: &StorageFacts) -> Text {
    let does = words(
        [
            (traits.sequential, "sequential"),
            (!traits.sequential, "not sequential"),
            (traits.read_intensive, "read-intensive"),
            (traits.write_intensive, "write-intensive"),
        ],
        "",
    );
    let has = words(
        [
            (node.large_io_buffer, "a large I/O buffer"),
            (node.read_cache, "a read cache"),
            (node.write_buffer, "a write buffer"),
            (node.tiers.contains(Tier::Nvme), "nvme"),
        ],
        "none of buffers, caches, nvme",
    );
    format!("{does}; the node has {has}").into()
}

fn expansion_text(traits: &Traits, left_gb: Option<i64>) -> Text {
    let (whole, part) = (traits.expansion_hundredths / 100, traits.expansion_hundredths % 100);
    match left_gb {
        _ if traits.expansion_hundredths <= UNCHANGED => format!("writes {whole}.{part:02} times what it reads").into(),
        Some(left) => format!("writes {whole}.{part:02} times what it reads, {left} GB left").into(),
        None => format!("writes {whole}.{part:02} times what it reads, the node's capacity is not known").into(),
    }
}

#[cfg(test)]
mod tests;
