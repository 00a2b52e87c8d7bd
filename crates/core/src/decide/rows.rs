//! What the plugins make of every node for one pod: a verdict and a sum of points each. What only the node can change is kept, for the
//! next pod of the same template. Leaves out who notices that a node changed: `templates` says so with `touch` and `forget`.

use super::columns::Columns;
use super::part::{Explained, Part, signature};
use crate::framework::{Fact, Filter, Refusal, RefusalCode, Scale, Score, Tally, scaled};
use crate::journal::{Change, What};
use crate::preemption::Against;
use aisched_model::node::NodeInfo;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Rows over all nodes, by their position in the snapshot.
#[derive(Default)]
pub(crate) struct Rows {
    /// Nodes whose kept part has to be looked at anew, unless all have to.
    stale: Vec<u32>,
    all_stale: bool,
    /// What the kept part was made with.
    signature: Vec<Fact>,
    /// Verdicts of the plugins that read nothing but the node.
    kept: Verdicts,
    /// Verdicts of all plugins, where there are others.
    now: Option<Verdicts>,
    /// What stands against nodes: verdicts are positions in this list, after the first two.
    reasons: Vec<Reason>,
    /// Weighted points of the plugins whose raw scores are scores; `OUT` where the node will not do, and where they are owed.
    base: Vec<i64>,
    /// Nodes whose points have not been needed: plugins that are asked each time refused them.
    owed: Vec<usize>,
    /// Raw scores of the plugins that scale by the highest, in their order; none for a plugin that has only given 0.
    raw: Vec<Vec<i64>>,
    /// What plugins count over all pods, by plugin.
    pub(super) tallies: Vec<(&'static str, Arc<dyn Tally>)>,
    /// What was said of nodes that decisions reported on; few of them.
    explained: Explained,
    /// How often a node was looked at in the latest decision: by all plugins that keep what they say, or by one.
    #[cfg(test)]
    n_judged: usize,
}

/// One number for every node, and how many nodes have each.
#[derive(Clone, Default)]
struct Verdicts {
    of: Vec<u32>,
    n: Vec<usize>,
}

struct Reason {
    /// The plugin's place in the order of filters.
    part: usize,
    against: Against,
}

/// The verdict of a node that will do.
const FEASIBLE: u32 = 0;
/// The verdict of a node that nobody looked at.
const UNSEEN: u32 = 1;
/// Verdicts from here on are refusals.
const REFUSED: u32 = 2;
/// Stands for points where there are none.
pub(super) const OUT: i64 = i64::MIN;
/// More kinds of refusals than this are not kept for the next decision.
const MAX_REASONS: usize = 256;

impl Rows {
    /// Takes in a change of a node.
    pub(crate) fn follow(&mut self, change: &Change, nodes: &[Arc<NodeInfo>]) {
        if self.stale.last() != Some(&change.node) {
            self.stale.push(change.node);
        }
        self.all_stale |= self.stale.len() > self.kept.of.len() / 2;
        let (pod, came) = match &change.what {
            What::Object { regrouped } => {
                if *regrouped {
                    self.tallies.clear();
                }
                return;
            }
            What::Came(pod) => (pod, true),
            What::Left(pod) => (pod, false),
        };
        let Some(info) = nodes.get(change.node as usize) else { return self.tallies.clear() };
        self.tallies.retain_mut(|(_, tally)| match Arc::get_mut(tally) {
            Some(tally) => {
                tally.pod_moved(pod, &info.node, came);
                true
            }
            None => false, // someone still looks at it
        });
    }

    /// Any node may have changed.
    pub(crate) fn forget(&mut self) {
        self.all_stale = true;
        self.tallies.clear();
    }

    /// Brings the kept part up to date, looking only at nodes that changed.
    pub(super) fn refresh(&mut self, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>], columns: &mut Columns) {
        self.now = None;
        #[cfg(test)]
        {
            self.n_judged = 0;
        }
        let signature = signature(parts);
        if self.all_stale || self.signature != signature || self.kept.of.len() != nodes.len() || self.reasons.len() > MAX_REASONS {
            self.reasons.clear();
            self.open(nodes.len(), UNSEEN, signature, parts);
            self.look_at_all(parts, nodes, columns);
        } else {
            let stale = core::mem::take(&mut self.stale);
            self.look(stale.iter().map(|node| *node as usize), parts, nodes);
        }
        self.stale.clear();
        self.all_stale = false;
    }

    /// Looks at the nodes of `only`; the others are refused by what they are told.
    pub(super) fn narrow(&mut self, only: &[usize], others: Against, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>]) {
        let code = self.code(0, others.plugin, others.refusal);
        self.open(nodes.len(), code, signature(parts), parts);
        self.look(only.iter().copied(), parts, nodes);
    }

    /// Takes this node and looks at no other.
    pub(super) fn take_only(&mut self, node: usize, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>]) {
        self.open(nodes.len(), UNSEEN, Vec::new(), parts);
        self.kept.set(node, FEASIBLE);
        self.owed.push(node);
        self.settle(parts, nodes);
    }

    /// Refuses every node.
    pub(super) fn refuse_all(&mut self, n_nodes: usize, against: &Against, parts: &[Part<'_>]) {
        let code = self.code(0, against.plugin, against.refusal.clone());
        self.open(n_nodes, code, Vec::new(), parts);
    }

    /// Asks the plugins that have to be asked each time; the first refusal in their order is the one that counts.
    pub(super) fn judge_anew(&mut self, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>], columns: &mut Columns) {
        let fresh = parts.iter().enumerate().filter(|(_, p)| !p.keeps_verdicts);
        let fresh: Vec<_> = fresh.filter_map(|(position, part)| Some((position, part, part.filter()?))).collect();
        if fresh.is_empty() {
            return;
        }
        let mut now = self.kept.clone();
        for (position, part, filter) in fresh {
            let by_value = filter
                .goes_by()
                .and_then(|asked| columns.find(asked, nodes))
                .map(|column| (&column.values, column.by_value(filter.passes(), |sample| self.judge(position, part, filter, sample))));
            for (idx, node) in nodes.iter().enumerate() {
                let open = match now.of[idx] {
                    FEASIBLE => true,
                    UNSEEN => false,
                    refused => self.reason(refused).is_some_and(|r| r.part > position),
                };
                if open {
                    let verdict = match &by_value {
                        Some((values, verdicts)) => verdicts[values[idx] as usize],
                        None => self.judge(position, part, filter, node),
                    };
                    if verdict != FEASIBLE {
                        now.set(idx, verdict);
                    }
                }
            }
        }
        self.now = Some(now);
    }

    /// Lets something else stand against a node, for this decision.
    pub(super) fn overrule(&mut self, node: usize, against: Against, parts: &[Part<'_>]) {
        let position = parts.iter().position(|p| p.plugin.name() == against.plugin).unwrap_or(0);
        let code = self.code(position, against.plugin, against.refusal);
        self.now.get_or_insert_with(|| self.kept.clone()).set(node, code);
    }

    fn open(&mut self, n_nodes: usize, verdict: u32, signature: Vec<Fact>, parts: &[Part<'_>]) {
        self.signature = signature;
        self.kept.fill(n_nodes, verdict);
        self.base.clear();
        self.base.resize(n_nodes, OUT);
        self.explained.clear();
        self.owed.clear();
        self.raw.clear();
        self.raw.resize_with(parts.iter().filter(|p| matches!(p.keeps_scores, Some(Scale::Highest { .. }))).count(), Vec::new);
    }

    fn look(&mut self, at: impl Iterator<Item = usize>, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>]) {
        let filters = keeping(parts);
        for idx in at {
            let verdict = self.ask(&filters, &nodes[idx]);
            self.enter(idx, verdict);
        }
    }

    /// Looks at every node. Plugins that go by a trait come first in most profiles: each of its values is judged once, and their verdicts are
    /// looked up column by column. The others are asked about the nodes that are left.
    fn look_at_all(&mut self, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>], columns: &mut Columns) {
        columns.make_room();
        let filters = keeping(parts);
        let n_leading = filters.iter().take_while(|(_, _, filter)| filter.goes_by().is_some()).count();
        let (leading, others) = filters.split_at(n_leading);
        let mut verdicts = vec![FEASIBLE; nodes.len()];
        for (position, part, filter) in leading {
            let Some(column) = filter.goes_by().and_then(|asked| columns.find(asked, nodes)) else { continue };
            let by_value = column.by_value(filter.passes(), |sample| self.judge(*position, part, *filter, sample));
            for (verdict, value) in verdicts.iter_mut().zip(&column.values) {
                if *verdict == FEASIBLE {
                    *verdict = by_value[*value as usize];
                }
            }
        }
        for (idx, verdict) in verdicts.into_iter().enumerate() {
            let verdict = if verdict == FEASIBLE { self.ask(others, &nodes[idx]) } else { verdict };
            self.enter(idx, verdict);
        }
    }

    /// What these filters say of a node.
    fn ask(&mut self, filters: &[(usize, &Part<'_>, &dyn Filter)], node: &NodeInfo) -> u32 {
        #[cfg(test)]
        {
            self.n_judged += 1;
        }
        let refusal = filters.iter().find_map(|(position, part, filter)| Some((*position, *part, filter.check(node)?)));
        refusal.map_or(FEASIBLE, |(position, part, refusal)| self.verdict(position, part, Some(refusal)))
    }

    fn judge(&mut self, position: usize, part: &Part<'_>, filter: &dyn Filter, node: &NodeInfo) -> u32 {
        #[cfg(test)]
        {
            self.n_judged += 1;
        }
        self.verdict(position, part, filter.check(node))
    }

    fn verdict(&mut self, position: usize, part: &Part<'_>, refusal: Option<Refusal>) -> u32 {
        refusal.map_or(FEASIBLE, |refusal| self.code(position, part.plugin.name(), refusal))
    }

    /// Notes the verdict on a node. What its points are is worked out when all plugins have judged.
    fn enter(&mut self, idx: usize, verdict: u32) {
        self.kept.set(idx, verdict);
        self.explained.remove(idx);
        self.base[idx] = OUT;
        if verdict == FEASIBLE {
            self.owed.push(idx);
        }
    }

    /// Works out the points that are owed to nodes that will do.
    pub(super) fn settle(&mut self, parts: &[Part<'_>], nodes: &[Arc<NodeInfo>]) {
        let scorers = scoring(parts);
        let mut owed = core::mem::take(&mut self.owed);
        owed.retain(|idx| {
            if self.verdicts().of[*idx] == FEASIBLE {
                self.sum_up(*idx, &scorers, nodes);
                return false;
            }
            self.kept.of[*idx] == FEASIBLE
        });
        self.owed = owed;
    }

    /// Fills in the points of a node that will do.
    fn sum_up(&mut self, idx: usize, scorers: &[Scorer<'_>], nodes: &[Arc<NodeInfo>]) {
        let mut sum = 0;
        for Scorer { score, weight, column } in scorers {
            let raw = score.raw(&nodes[idx]);
            let Some(column) = column else {
                sum += raw * weight;
                continue;
            };
            let raws = &mut self.raw[*column];
            if raw != 0 && raws.is_empty() {
                raws.resize(nodes.len(), 0);
            }
            if let Some(slot) = raws.get_mut(idx) {
                *slot = raw;
            }
        }
        self.base[idx] = sum;
    }

    /// The number that stands for a refusal.
    fn code(&mut self, part: usize, plugin: &'static str, refusal: Refusal) -> u32 {
        let known = self.reasons.iter().position(|r| r.part == part && r.against.refusal == refusal);
        let at = known.unwrap_or_else(|| {
            self.reasons.push(Reason { part, against: Against { plugin, refusal } });
            self.reasons.len() - 1
        });
        REFUSED.saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
    }

    fn reason(&self, verdict: u32) -> Option<&Reason> {
        self.reasons.get(verdict.checked_sub(REFUSED)? as usize)
    }

    fn verdicts(&self) -> &Verdicts {
        self.now.as_ref().unwrap_or(&self.kept)
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.kept.of.len()
    }

    /// How many nodes will do.
    pub(super) fn n_feasible(&self) -> usize {
        self.verdicts().count(FEASIBLE)
    }

    /// The nodes that will do.
    pub(super) fn feasible(&self) -> impl Iterator<Item = usize> {
        self.verdicts().of.iter().enumerate().filter(|(_, verdict)| **verdict == FEASIBLE).map(|(idx, _)| idx)
    }

    /// What stands against a node.
    pub(crate) fn against(&self, node: usize) -> Option<&Against> {
        self.reason(*self.verdicts().of.get(node)?).map(|r| &r.against)
    }

    /// The nodes that were refused in a way that pods' leaving could change.
    pub(crate) fn hopeful(&self) -> Vec<usize> {
        let verdicts = self.verdicts();
        let hopeful = |verdict: u32| self.reason(verdict).is_some_and(|r| r.against.refusal.code == RefusalCode::Unschedulable);
        let by_verdict: Vec<bool> = (0..verdicts.n.len()).map(|verdict| u32::try_from(verdict).is_ok_and(hopeful)).collect();
        verdicts.of.iter().enumerate().filter(|(_, verdict)| by_verdict[**verdict as usize]).map(|(idx, _)| idx).collect()
    }

    /// What stands against nodes, each with the number of nodes.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&Against, usize)> {
        let counts = self.verdicts().n.iter().skip(REFUSED as usize);
        self.reasons.iter().zip(counts).filter(|(_, n)| **n > 0).map(|(reason, n)| (&reason.against, *n))
    }

    /// Points of every node from the plugins whose raw scores are kept, `OUT` where it will not do, less a number that is the same for
    /// all of them; with it, that number. Notes in the parts by what they were scaled.
    pub(super) fn totals(&self, parts: &mut [Part<'_>]) -> (Cow<'_, [i64]>, i64) {
        let mut totals = Cow::Borrowed(self.base.as_slice());
        if let Some(now) = &self.now {
            for (total, verdict) in totals.to_mut().iter_mut().zip(&now.of) {
                if *verdict != FEASIBLE {
                    *total = OUT;
                }
            }
        }
        let (mut same, mut column) = (0, 0);
        for part in parts {
            let Some(Scale::Highest { reverse }) = part.keeps_scores else { continue };
            let raws = &self.raw[column];
            column += 1;
            let feasible = raws.iter().zip(totals.iter()).filter(|(_, total)| **total != OUT);
            part.highest = feasible.map(|(raw, _)| *raw).max().unwrap_or(0);
            if part.highest == 0 {
                same += scaled(0, 0, reverse) * part.weight;
                continue;
            }
            for (total, raw) in totals.to_mut().iter_mut().zip(raws).filter(|(total, _)| **total != OUT) {
                *total += scaled(*raw, part.highest, reverse) * part.weight;
            }
        }
        (totals, same)
    }

    /// What was said of nodes; to be given back.
    pub(super) fn take_explained(&mut self) -> Explained {
        core::mem::take(&mut self.explained)
    }

    pub(super) fn keep_explained(&mut self, mut explained: Explained) {
        explained.make_room();
        self.explained = explained;
    }

    /// What plugins left to count with, by place in memory.
    #[cfg(test)]
    pub(crate) fn tallies(&self) -> Vec<(&'static str, usize)> {
        self.tallies.iter().map(|(plugin, tally)| (*plugin, Arc::as_ptr(tally).cast::<()>().addr())).collect()
    }

    /// How often plugins were asked about a node in the latest decision.
    #[cfg(test)]
    pub(crate) fn n_judged(&self) -> usize {
        self.n_judged
    }
}

/// The filters whose verdicts are kept, each with its place.
fn keeping<'p>(parts: &'p [Part<'_>]) -> Vec<(usize, &'p Part<'p>, &'p dyn Filter)> {
    let keeping = parts.iter().enumerate().filter(|(_, p)| p.keeps_verdicts);
    keeping.filter_map(|(position, part)| Some((position, part, part.filter()?))).collect()
}

/// A plugin whose raw scores are kept.
struct Scorer<'p> {
    score: &'p dyn Score,
    weight: i64,
    /// Its place among those that scale by the highest, if it does.
    column: Option<usize>,
}

fn scoring<'p>(parts: &'p [Part<'_>]) -> Vec<Scorer<'p>> {
    let mut n_columns = 0;
    let scorer = |part: &'p Part<'_>| {
        let column = match part.keeps_scores? {
            Scale::AsIs => None,
            Scale::Highest { .. } => {
                n_columns += 1;
                Some(n_columns - 1)
            }
        };
        Some(Scorer { score: part.score()?, weight: part.weight, column })
    };
    parts.iter().filter_map(scorer).collect()
}

impl Verdicts {
    fn fill(&mut self, n_nodes: usize, verdict: u32) {
        self.of.clear();
        self.of.resize(n_nodes, verdict);
        self.n.clear();
        self.n.resize(verdict as usize + 1, 0);
        self.n[verdict as usize] = n_nodes;
    }

    fn set(&mut self, node: usize, verdict: u32) {
        let (old, new) = (core::mem::replace(&mut self.of[node], verdict) as usize, verdict as usize);
        self.n[old] -= 1;
        if new >= self.n.len() {
            self.n.resize(new + 1, 0);
        }
        self.n[new] += 1;
    }

    fn count(&self, verdict: u32) -> usize {
        self.n.get(verdict as usize).copied().unwrap_or(0)
    }
}
