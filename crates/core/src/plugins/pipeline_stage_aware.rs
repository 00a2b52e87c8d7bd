//! Prefers nodes near the pipeline steps that a pod depends on, and those that suit its I/O pattern.
//! Source: `scoring.md` §6. Leaves out what the steps of a pipeline are (`aisched_model::foreign`) and the tiers' points (`storage_tier_aware`).

use super::ai_storage::{Text, bounded, components, share, total};
use super::storage_tier_aware::{best_for_pattern, tier_text};
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Plugin, Prepared, Score};
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::config::{Config, PipelineStageScoring};
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::workload::Tier;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

/// The wider platform's plugin of the same name.
pub(crate) struct PipelineStageAware;

/// Annotation of Argo: the step that a pod runs, as a path such as `flow.train`.
const NODE_NAME: &str = "workflows.argoproj.io/node-name";

const NAMES: [&str; 3] = ["dependencyLocality", "pipelineCohesion", "ioPattern"];

impl Plugin for PipelineStageAware {
    fn name(&self) -> &'static str {
        "PipelineStageAware"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        match attempt.pod.pipeline() {
            Some(pipeline) => Prepared::score(Scorer::of(attempt, pipeline)),
            None => Prepared::default(),
        }
    }

    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false // it refuses no one
    }
}

/// Scores nodes for one step of a pipeline.
struct Scorer<'a> {
    pipeline: &'a str,
    /// Nodes where a step ran that this one depends on, once per pod.
    dependencies: Vec<&'a NodeInfo>,
    /// Steps that finished or run, by node.
    ran: BTreeMap<&'a Str, usize>,
    workload: &'a WorkloadProfile,
    config: &'a Config,
    max: &'a PipelineStageScoring,
}

impl<'a> Scorer<'a> {
    fn of(attempt: &Attempt<'a>, pipeline: &'a Str) -> Self {
        let (pod, snapshot, config) = (attempt.pod, attempt.snapshot, attempt.config);
        let key = (pod.namespace.clone(), pipeline.clone());
        let workflow = snapshot.foreign.workflows.get(&key);
        let step = pod.spec.annotations.get(NODE_NAME);
        let needs = workflow.zip(step).map(|(workflow, step)| workflow.needs(step)).unwrap_or_default();
        let nodes = needs.iter().flat_map(|name| workflow.into_iter().flat_map(|w| w.nodes_of(name).cloned()).collect::<Vec<_>>());
        Self {
            pipeline,
            dependencies: nodes.filter_map(|name| snapshot.node(&name)).map(|info| &**info).collect(),
            ran: ran(workflow.into_iter().flat_map(|w| w.ran.values()), snapshot.pipelines.get(&key)),
            workload: attempt.workload,
            config,
            max: &config.plugins.pipeline_stage_aware.scoring,
        }
    }

    /// The mean over the dependencies. Example, of 40: one on the node and one in its zone give (40 + 14) / 2 = 27.
    fn locality(&self, node: &NodeInfo, max: i64) -> i64 {
        let near = |dependency: &&NodeInfo| match nearness(node, dependency) {
            Nearness::Node => max,
            Nearness::Rack => max * 7 / 10,
            Nearness::Zone => max * 35 / 100,
            Nearness::Elsewhere => 0,
        };
        let n = i64::try_from(self.dependencies.len()).unwrap_or(i64::MAX);
        self.dependencies.iter().map(near).sum::<i64>().checked_div(n).unwrap_or(max / 2)
    }

    fn n_ran(&self) -> usize {
        self.ran.values().sum()
    }

    /// Example, of 30: 1 of 4 steps here gives 30 × 1/4 + 6 = 13.
    fn cohesion(&self, node: &NodeInfo, max: i64) -> i64 {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        match (self.ran.get(&node.node.name), self.n_ran()) {
            (_, 0) => max / 2,
            (None, _) => 0,
            (Some(here), all) => share(max, number(*here), number(all)) + max / 5,
        }
    }

    fn best_tier(&self, node: &NodeInfo) -> Option<(Tier, i64)> {
        best_for_pattern(&self.config.storage_tiers, self.tier_max(), self.workload, node)
    }

    fn tier_max(&self) -> i64 {
        self.config.plugins.storage_tier_aware.scoring.io_pattern
    }

    fn points(&self, node: &NodeInfo) -> [i64; 3] {
        let max = self.max;
        let io_pattern = match self.best_tier(node) {
            Some((_, points)) if self.tier_max() > 0 => share(max.io_pattern, points.min(self.tier_max()), self.tier_max()),
            Some(_) | None => max.io_pattern / 2,
        };
        [
            bounded(self.locality(node, max.dependency_locality), max.dependency_locality),
            bounded(self.cohesion(node, max.pipeline_cohesion), max.pipeline_cohesion),
            bounded(io_pattern, max.io_pattern),
        ]
    }
}

/// Steps by node: those that a workflow's status tells of, or the pods that are there if they are more, as a status lags behind.
fn ran<'a>(told: impl Iterator<Item = &'a Str>, placed: Option<&'a BTreeMap<Str, usize>>) -> BTreeMap<&'a Str, usize> {
    let mut all: BTreeMap<&Str, usize> = BTreeMap::new();
    for node in told {
        *all.entry(node).or_default() += 1;
    }
    for (node, n) in placed.into_iter().flatten() {
        let steps = all.entry(node).or_default();
        *steps = (*steps).max(*n);
    }
    all
}

enum Nearness {
    Node,
    Rack,
    Zone,
    Elsewhere,
}

fn nearness(node: &NodeInfo, other: &NodeInfo) -> Nearness {
    let same = |a: &Option<Str>, b: &Option<Str>| a.is_some() && a == b;
    let (a, b) = (&node.node.storage, &other.node.storage);
    match () {
        () if node.node.name == other.node.name => Nearness::Node,
        () if same(&a.rack, &b.rack) => Nearness::Rack,
        () if same(&a.zone, &b.zone) => Nearness::Zone,
        () => Nearness::Elsewhere,
    }
}

impl Score for Scorer<'_> {
    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let pattern = self.workload.io_pattern.map(|(p, source)| (p.as_str(), source));
        let locality: Text = match self.dependencies.as_slice() {
            [] => "no step that it depends on has run".into(),
            nodes => format!("depends on steps on {}", nodes.iter().map(|n| &*n.node.name).collect::<Vec<_>>().join(", ")).into(),
        };
        let here = self.ran.get(&node.node.name).copied().unwrap_or(0);
        let cohesion = format!("{here} of {} steps of {} here", self.n_ran(), self.pipeline);
        let sources = [locality, cohesion.into(), tier_text("I/O pattern", pattern, self.best_tier(node))];
        components(NAMES, self.points(node), sources)
    }
}

#[cfg(test)]
mod tests;
