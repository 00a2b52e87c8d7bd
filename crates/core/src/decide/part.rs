//! The plugins that take part in one decision, each with what it prepared for the pod.
//! Leaves out nodes: see `rows`.

use crate::decision::{Components, PluginScore};
use crate::framework::{Attempt, Fact, Filter, Plugin, Prepared, Reads, Refusal, RefusalCode, Scale, Score, Tally, scaled};
use crate::preemption::{Against, Judge};
use crate::profile::{Active, Points};
use aisched_model::Str;
use aisched_model::devices::ClaimPlan;
use aisched_model::node::NodeInfo;
use aisched_model::volume::VolumePlan;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A plugin's prepared part.
pub(super) struct Part<'a> {
    pub(super) plugin: &'a dyn Plugin,
    /// In thousandths.
    pub(super) weight: i64,
    pub(super) points: Points,
    pub(super) prepared: Prepared<'a>,
    /// It refused the pod whatever the node.
    refused: bool,
    /// Whether its verdicts hold until the node changes.
    pub(super) keeps_verdicts: bool,
    /// How its raw scores, which hold until the node changes, become scores; `None` when it scores anew each time.
    pub(super) keeps_scores: Option<Scale>,
    /// The highest raw score, when it scales by that.
    pub(super) highest: i64,
    /// Scores of the feasible nodes, when it scores anew each time.
    pub(super) scores: Vec<i64>,
}

/// Lets every active plugin look at the pod. A plugin that refuses it for good ends the round; one that refuses it in a way that
/// preemption could change does not, as in kube-scheduler.
/// Tallies are kept for the next pod of the template.
pub(super) fn prepare<'a>(
    active: &[Active<'a>],
    attempt: &Attempt<'a>,
    tallies: &mut Vec<(&'static str, Arc<dyn Tally>)>,
) -> (Vec<Part<'a>>, Option<Against>) {
    let mut parts = Vec::with_capacity(active.len());
    let mut against: Option<Against> = None;
    for Active { plugin, weight, points } in active {
        let at = tallies.iter().position(|(name, _)| *name == plugin.name());
        let mut kept = at.map(|at| tallies.swap_remove(at).1);
        let mut prepared = points.of(plugin.prepare_kept(attempt, &mut kept));
        tallies.extend(kept.map(|tally| (plugin.name(), tally)));
        let refusal = prepared.refusal.take();
        parts.push(Part::of(*plugin, *weight, *points, prepared, refusal.is_some()));
        if let Some(refusal) = refusal {
            let last = refusal.code == RefusalCode::Unresolvable;
            against = Some(Against { plugin: plugin.name(), refusal });
            if last {
                return (parts, against);
            }
        }
    }
    let against = against.or_else(|| no_common_node(&parts));
    (parts, against)
}

/// The plugins that have a say in where the pod may go.
pub(super) fn judges<'t>(parts: &'t [Part<'_>]) -> Vec<Judge<'t>> {
    let judge = |p: &'t Part<'_>| Judge { plugin: p.plugin, points: p.points, filter: p.filter() };
    parts.iter().filter(|p| p.refused || p.prepared.filter.is_some()).map(judge).collect()
}

/// What the plugins have to have done about the pod's volumes on this node.
pub(super) fn volumes(parts: &[Part<'_>], node: &NodeInfo) -> Option<VolumePlan> {
    parts.iter().filter_map(Part::filter).find_map(|filter| filter.volumes(node))
}

/// What the plugins have to have done about the pod's claims to devices on this node.
pub(super) fn claims(parts: &[Part<'_>], node: &NodeInfo) -> Option<ClaimPlan> {
    parts.iter().filter_map(Part::filter).find_map(|filter| filter.claims(node))
}

/// Plugins that each name the only nodes worth looking at, and have none in common.
fn no_common_node(parts: &[Part<'_>]) -> Option<Against> {
    let limiting: Vec<(&'static str, &Vec<Str>)> =
        parts.iter().filter_map(|p| Some((p.plugin.name(), p.prepared.only_nodes.as_ref()?))).collect();
    let (first, rest) = limiting.split_first()?;
    if first.1.iter().any(|name| rest.iter().all(|(_, names)| names.contains(name))) {
        return None;
    }
    let mut names: Vec<&str> = limiting.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let reason = match names.as_slice() {
        [one] => format!("node(s) didn't satisfy plugin {one}"),
        several => format!("node(s) didn't satisfy plugin(s) [{}] simultaneously", several.join(" ")),
    };
    Some(Against { plugin: first.0, refusal: Refusal::unresolvable(reason) })
}

/// The nodes that every narrowing plugin leaves, and what is said of the others.
pub(super) fn narrowed(parts: &[Part<'_>]) -> Option<(BTreeSet<Str>, Against)> {
    let narrowing: Vec<(&'static str, &Vec<Str>)> =
        parts.iter().filter_map(|p| Some((p.plugin.name(), p.prepared.only_nodes.as_ref()?))).collect();
    let (first, rest) = narrowing.split_first()?;
    let common = first.1.iter().filter(|name| rest.iter().all(|(_, names)| names.contains(name))).cloned().collect();
    let mut plugins: Vec<&str> = narrowing.iter().map(|(plugin, _)| *plugin).collect();
    plugins.sort_unstable();
    let reason = format!("node(s) didn't satisfy plugin(s) [{}]", plugins.join(" "));
    Some((common, Against { plugin: first.0, refusal: Refusal::unresolvable(reason) }))
}

/// Everything that rows kept for these parts depend on beside the nodes: who keeps what, at which weight, and what else it read.
pub(super) fn signature(parts: &[Part<'_>]) -> Vec<Fact> {
    let mut all = Vec::new();
    for (position, part) in parts.iter().enumerate() {
        let reads = [(0, part.filter().map(Filter::reads)), (1, part.score().map(Score::reads))];
        for (kind, reads) in reads {
            if let Some(Reads::Node(basis)) = reads {
                all.push(Fact::Number((position as u64) << 1 | kind));
                all.push(Fact::Number(part.weight.cast_unsigned()));
                all.extend(basis);
            }
        }
    }
    all
}

/// What was said of the feasible nodes that decisions reported on. Nodes of which the same is said share it, and so do the decisions that
/// are kept: it is the largest part of a decision.
#[derive(Default)]
pub(super) struct Explained {
    /// Of the plugins that keep their raw scores, by position of the node: raw score and components, in their order.
    kept: BTreeMap<usize, Vec<(i64, Components)>>,
    /// What was said, by a hash of the scores.
    said: HashMap<u64, Arc<[PluginScore]>, FixedState>,
    /// Room for what is being said.
    scores: Vec<PluginScore>,
}

/// Nodes whose components are kept, and different things said: they are long.
const MAX_EXPLAINED: usize = 256;

impl Explained {
    /// A node changed.
    pub(super) fn remove(&mut self, node: usize) {
        self.kept.remove(&node);
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.said.clear();
    }

    /// Forgets the most that was said when it is too much.
    pub(super) fn make_room(&mut self) {
        if self.kept.len() > MAX_EXPLAINED {
            self.kept.clear();
        }
        if self.said.len() > MAX_EXPLAINED {
            self.said.clear();
        }
    }

    /// The plugins' words on a feasible node at a position; `row` is its place among them.
    pub(super) fn report(&mut self, parts: &[Part<'_>], node: &NodeInfo, idx: usize, row: usize) -> Arc<[PluginScore]> {
        let mut kept = self.kept.entry(idx).or_insert_with(|| explain(parts, node)).iter();
        self.scores.clear();
        let mut hasher = FixedState::default().build_hasher();
        for part in parts {
            let kept = part.keeps_scores.and_then(|scale| Some((scale, kept.next()?)));
            if part.weight > 0 {
                let score = part.words(node, row, kept);
                (score.weight, score.score).hash(&mut hasher);
                self.scores.push(score);
            }
        }
        let said = self.said.entry(hasher.finish()).or_insert_with(|| self.scores.as_slice().into());
        if **said != *self.scores {
            *said = self.scores.as_slice().into();
        }
        said.clone()
    }
}

/// What the plugins that keep their raw scores say of a feasible node.
fn explain(parts: &[Part<'_>], node: &NodeInfo) -> Vec<(i64, Components)> {
    let keeping = parts.iter().filter(|p| p.keeps_scores.is_some()).filter_map(Part::score);
    let components = |score: &dyn Score| if score.names_claims() { Components::default() } else { score.components(node) };
    keeping.map(|score| (score.raw(node), components(score))).collect()
}

impl<'a> Part<'a> {
    fn of(plugin: &'a dyn Plugin, weight: i64, points: Points, prepared: Prepared<'a>, refused: bool) -> Self {
        let keeps = |reads: Reads| matches!(reads, Reads::Node(_));
        let keeps_verdicts = prepared.filter.as_deref().is_some_and(|filter| keeps(filter.reads()));
        let keeps_scores = prepared.score.as_deref().filter(|score| keeps(score.reads())).map(Score::scale);
        Self { plugin, weight, points, prepared, refused, keeps_verdicts, keeps_scores, highest: 0, scores: Vec::new() }
    }

    /// Its words on a feasible node, with what is kept of them.
    fn words(&self, node: &NodeInfo, row: usize, kept: Option<(Scale, &(i64, Components))>) -> PluginScore {
        let score = match kept {
            Some((Scale::AsIs, (raw, _))) => *raw,
            Some((Scale::Highest { reverse }, (raw, _))) => scaled(*raw, self.highest, reverse),
            None => self.scores.get(row).copied().unwrap_or(0),
        };
        let components = match (kept, self.score()) {
            (Some((_, (_, components))), Some(score)) if !score.names_claims() => components.clone(),
            (_, Some(score)) => score.components(node),
            (_, None) => Components::default(),
        };
        let skipped = self.score().is_none_or(Score::skips);
        PluginScore { name: self.plugin.name(), weight: self.weight, score, skipped, components }
    }

    pub(super) fn filter(&self) -> Option<&dyn Filter> {
        self.prepared.filter.as_deref()
    }

    pub(super) fn score(&self) -> Option<&dyn Score> {
        self.prepared.score.as_deref()
    }
}
