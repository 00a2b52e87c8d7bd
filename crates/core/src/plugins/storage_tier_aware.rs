//! Prefers nodes whose storage suits the pod's I/O pattern, pipeline stage and demands; refuses nodes without a tier or the I/O that binds.
//! Source: `scoring.md` §4. Leaves out what a node's tiers and budgets are read from (`aisched_model::storage_facts`).

mod io;

use super::ai_storage::{Text, bounded, components, has_tier, hints_changed, share, total};
use crate::cures::Change;
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal, RefusalCode, Score};
use crate::workload_profile::{Source, Sourced, WorkloadProfile};
use aisched_model::config::{StorageTierScoring, StorageTiers};
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::storage_facts::TierSet;
use aisched_model::workload::{IoPattern, Stage, Tier};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The guide's plugin of the same name.
pub(crate) struct StorageTierAware;

impl Plugin for StorageTierAware {
    fn name(&self) -> &'static str {
        "StorageTierAware"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let workload = attempt.workload;
        let tier = workload.required_tier.filter(|_| workload.strict_tier.is_some());
        let strict = Strict { tier, io: io::Needs::of(attempt) };
        Prepared {
            filter: (strict.tier.is_some() || strict.io.is_some()).then(|| Box::new(strict) as Box<dyn Filter>),
            score: has_demand(workload).then(|| Box::new(Scorer::of(attempt)) as Box<dyn Score>),
            ..Prepared::default()
        }
    }

    /// The filter reads a node's tiers and the pod's hints; budgets only for a pod that insists on them.
    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let tier = match event {
            ClusterEvent::NodeAdded(node) => !node.storage.tiers.is_empty(),
            ClusterEvent::NodeChanged { old, new } => new.storage.tiers.iter().any(|t| !old.storage.tiers.contains(t)),
            ClusterEvent::OwnChange { old, new } => hints_changed(old, new),
            _ => false,
        };
        tier || io::helps(pod, event)
    }
}

/// Whether the pod says anything that this plugin scores.
fn has_demand(w: &WorkloadProfile) -> bool {
    w.stage.is_some()
        || w.io_pattern.is_some()
        || w.required_tier.is_some()
        || w.required_iops.is_some()
        || w.required_throughput_mbps.is_some()
        || w.required_capacity_gb.is_some()
}

/// Refuses nodes whose tiers do not meet one that binds, or that have not the I/O left that a pod insists on.
struct Strict {
    tier: Option<(Tier, Source)>,
    io: Option<io::Needs>,
}

impl Strict {
    fn missed_tier(&self, node: &NodeInfo) -> Option<(Tier, Source)> {
        self.tier.filter(|(tier, _)| !node.node.storage.tiers.iter().any(|t| t.meets(*tier)))
    }
}

impl Filter for Strict {
    fn reads(&self) -> Reads {
        self.io.as_ref().map_or_else(Reads::node, io::Needs::reads)
    }

    fn reads_node_only(&self) -> bool {
        self.io.as_ref().is_none_or(io::Needs::reads_node_only)
    }

    /// A tier does not come by other pods' leaving, I/O does: the tier is looked at first.
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        if let Some((tier, _)) = self.missed_tier(node) {
            return Some(Refusal::unschedulable(no_tier(tier)));
        }
        let reasons: SmallVec<_> = self.io.iter().flat_map(|io| io.reasons(node)).map(Cow::Borrowed).collect();
        (!reasons.is_empty()).then_some(Refusal { code: RefusalCode::Unschedulable, reasons })
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let tier = self.missed_tier(node).map(|(tier, _)| has_tier(tier));
        tier.into_iter().chain(self.io.iter().flat_map(|io| io.missing(node))).collect()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let Some((tier, source)) = self.missed_tier(node) else {
            return Some(self.io.iter().flat_map(|io| io.details(node)).collect::<Vec<_>>().join("; "));
        };
        let tiers: Vec<&str> = node.node.storage.tiers.iter().map(Tier::as_str).collect();
        let has = if tiers.is_empty() { "no known tier".into() } else { tiers.join(", ") };
        Some(format!("requires {} ({}), the node has {has}", tier.as_str(), source.as_str()))
    }
}

fn no_tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Nvme => "node(s) had no nvme storage tier",
        Tier::Ssd => "node(s) had no ssd storage tier",
        Tier::Hdd => "node(s) had no hdd storage tier",
        Tier::Csd => "node(s) had no csd storage tier",
        Tier::Memory => "node(s) had no memory storage tier",
    }
}

/// Points of a tier for a pattern, out of `max`. The best over a node's tiers is the node's; a node without tiers has `max / 2`.
///
/// Example: random on SSD is 30 of 40 by default; bursty on SSD is 40 × 5 / 8 = 25.
fn pattern_points(tiers: &StorageTiers, max: i64, pattern: IoPattern, tier: Tier) -> i64 {
    let (configured, bursty, balanced) = match tier {
        Tier::Nvme | Tier::Memory => (&tiers.nvme, max, max),
        Tier::Ssd => (&tiers.ssd, max * 5 / 8, max * 3 / 4),
        Tier::Hdd => (&tiers.hdd, max / 4, max * 3 / 8),
        Tier::Csd => return max / 2,
    };
    configured.get(pattern).unwrap_or(if pattern == IoPattern::Bursty { bursty } else { balanced })
}

/// The tier of a node that suits the pod's pattern best, with its points out of `max`; `None` when either is not known.
pub(super) fn best_for_pattern(tiers: &StorageTiers, max: i64, workload: &WorkloadProfile, node: &NodeInfo) -> Option<(Tier, i64)> {
    let (pattern, _) = workload.io_pattern?;
    best(node.node.storage.tiers, |tier| pattern_points(tiers, max, pattern, tier))
}

/// Points of a tier for a stage, out of `max`; `None` is a node without a known tier.
fn stage_points(max: i64, stage: Stage, tier: Option<Tier>) -> i64 {
    let (fast, ssd, hdd, csd, none) = match stage {
        Stage::DataLoading | Stage::Preprocessing => (max * 5 / 6, max * 5 / 6, max * 2 / 3, max, max / 2),
        Stage::Training | Stage::Checkpointing => (max, max * 5 / 6, max / 3, max * 2 / 3, max / 2),
        Stage::Evaluation => (max, max * 9 / 10, max / 2, max * 2 / 3, max / 2),
        Stage::Inference => (max, max * 2 / 3, max / 3, max / 3, max / 3),
        Stage::Postprocessing | Stage::Idle => (max / 2, max / 2, max / 2, max / 2, max / 2),
    };
    match tier {
        Some(Tier::Nvme | Tier::Memory) => fast,
        Some(Tier::Ssd) => ssd,
        Some(Tier::Hdd) => hdd,
        Some(Tier::Csd) => csd,
        None => none,
    }
}

/// The half of the performance score that one budget gives, out of `max` for both.
///
/// Example, of 20: 5 when nothing is asked for; asked 1000: 10 with 2000 left, 7 with 1500, 5 with 1000, 2 with 500, 2 when unknown.
fn budget_points(max: i64, asked: Option<i64>, left: Option<i64>) -> i64 {
    let quarter = max / 4;
    match (asked, left) {
        (None, _) => quarter,
        (Some(_), None) => max / 8,
        (Some(q), Some(v)) if v / 2 >= q => max / 2,
        (Some(q), Some(v)) if v >= q => quarter + share(quarter, v - q, q),
        (Some(q), Some(v)) => share(quarter, v, q),
    }
}

fn capacity_points(max: i64, asked: Option<i64>, left: Option<i64>) -> i64 {
    match (asked, left) {
        (_, None) => max / 2,
        (Some(q), Some(v)) if v / 2 >= q => max,
        (Some(q), Some(v)) if v >= q => max * 7 / 10,
        (Some(_), Some(_)) => 0,
        (None, Some(1000..)) => max,
        (None, Some(500..)) => max * 8 / 10,
        (None, Some(100..)) => max * 6 / 10,
        (None, Some(_)) => max / 2,
    }
}

/// The tier of a node that gives the most points; the best in the guide's order among equals.
fn best(tiers: TierSet, points: impl Fn(Tier) -> i64) -> Option<(Tier, i64)> {
    tiers.iter().map(|t| (t, points(t))).reduce(|best, next| if next.1 > best.1 { next } else { best })
}

const NAMES: [&str; 4] = ["ioPattern", "pipelineStage", "performance", "capacity"];

/// Scores nodes for one pod.
struct Scorer<'a> {
    workload: &'a WorkloadProfile,
    tiers: &'a StorageTiers,
    max: &'a StorageTierScoring,
    left: io::Left,
}

impl<'a> Scorer<'a> {
    fn of(attempt: &Attempt<'a>) -> Self {
        let config = attempt.config;
        Self {
            workload: attempt.workload,
            tiers: &config.storage_tiers,
            max: &config.plugins.storage_tier_aware.scoring,
            left: io::Left::of(attempt),
        }
    }

    fn best_for_pattern(&self, node: &NodeInfo) -> Option<(Tier, i64)> {
        best_for_pattern(self.tiers, self.max.io_pattern, self.workload, node)
    }

    fn best_for_stage(&self, node: &NodeInfo) -> Option<(Tier, i64)> {
        let (stage, _) = self.workload.stage?;
        best(node.node.storage.tiers, |tier| stage_points(self.max.pipeline_stage, stage, Some(tier)))
    }

    fn stage(&self, node: &NodeInfo) -> i64 {
        let max = self.max.pipeline_stage;
        let without_tier = self.workload.stage.map_or(max / 2, |(stage, _)| stage_points(max, stage, None));
        self.best_for_stage(node).map_or(without_tier, |(_, points)| points)
    }

    fn points(&self, node: &NodeInfo) -> [i64; 4] {
        let (w, max) = (self.workload, self.max);
        let left = self.left.on(node);
        let asked = |field: &Sourced<i64>| field.map(|(n, _)| n);
        let io_pattern = self.best_for_pattern(node).map_or(max.io_pattern / 2, |(_, points)| points);
        let performance = budget_points(max.performance, asked(&w.required_iops), left.iops)
            + budget_points(max.performance, asked(&w.required_throughput_mbps), left.throughput_mbps);
        [
            bounded(io_pattern, max.io_pattern),
            bounded(self.stage(node), max.pipeline_stage),
            bounded(performance, max.performance),
            bounded(capacity_points(max.capacity, asked(&w.required_capacity_gb), left.capacity_gb), max.capacity),
        ]
    }
}

impl Score for Scorer<'_> {
    fn reads(&self) -> Reads {
        self.left.reads()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let w = self.workload;
        let left = self.left.on(node);
        let pattern = w.io_pattern.map(|(p, source)| (p.as_str(), source));
        let stage = w.stage.map(|(s, source)| (s.as_str(), source));
        let iops = budget_text("IOPS", "", &w.required_iops, left.iops);
        let throughput = budget_text("throughput", " MB/s", &w.required_throughput_mbps, left.throughput_mbps);
        let sources = [
            tier_text("I/O pattern", pattern, self.best_for_pattern(node)),
            tier_text("stage", stage, self.best_for_stage(node)),
            format!("{iops}; {throughput}{}", self.left.shared()).into(),
            budget_text("capacity", " GB", &w.required_capacity_gb, left.capacity_gb),
        ];
        components(NAMES, self.points(node), sources)
    }
}

/// What a table row was chosen by, like `random (pod) on nvme`.
pub(super) fn tier_text(what: &str, known: Option<(&'static str, Source)>, best: Option<(Tier, i64)>) -> Text {
    match (known, best) {
        (None, _) => format!("{what} not known").into(),
        (Some((name, source)), None) => format!("{name} ({}), the node has no known tier", source.as_str()).into(),
        (Some((name, source)), Some((tier, _))) => format!("{name} ({}) on {}", source.as_str(), tier.as_str()).into(),
    }
}

/// What a budget was compared with, like `IOPS: 5000 asked for (pod), 100000 left`.
fn budget_text(what: &str, unit: &str, asked: &Sourced<i64>, left: Option<i64>) -> Text {
    let asked = match asked {
        Some((n, source)) => format!("{n}{unit} asked for ({})", source.as_str()),
        None => "none asked for".to_string(),
    };
    match left {
        Some(left) => format!("{what}: {asked}, {left}{unit} left").into(),
        None => format!("{what}: {asked}, the node's is not known").into(),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_io;
