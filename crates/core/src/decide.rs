//! Finds a node for a pod: prepare, filter, score, choose, and say why.
//! Leaves out queueing, binding and the cache; has no state, so that the same attempt always gives the same decision.

use crate::consult::{EXTENDER, Heard};
use crate::decision::{Decision, NodeReport, PluginScore, PolicyView, ReasonView};
use crate::framework::{Attempt, Plugin, Prepared, Refusal, RefusalCode, Score};
use crate::preemption::{Against, Judge, Nominate, Preemption, Trial, preempt, rivals};
use crate::profile::{Active, MILLI, Points, Profile};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::policy::PolicySource;
use aisched_model::volume::VolumePlan;
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// How to choose between equals, and how much to explain.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Breaks ties between nodes of equal total; another salt, another order.
    pub salt: u64,
    /// Nodes to report on; `usize::MAX` for all.
    pub report_nodes: usize,
    /// Where the policy came from.
    pub policy_source: PolicySource,
    /// What extenders have said.
    pub heard: Heard<'a>,
}

/// What `decide` found.
pub struct Outcome {
    /// The decision with its explanation.
    pub decision: Decision,
    /// Names of the plugins that refused the pod or a node; only events that help one of them can help the pod.
    pub refused_by: Vec<&'static str>,
    /// What has to be done about the pod's volumes before it is bound to the node.
    pub volumes: Option<VolumePlan>,
    /// What becomes of the pod's nomination, when it fits nowhere.
    pub nominate: Nominate,
}

/// A plugin's prepared part, its weight in thousandths, its scores of the feasible nodes.
struct Part<'a> {
    plugin: &'a dyn Plugin,
    weight: i64,
    points: Points,
    prepared: Prepared<'a>,
    /// It refused the pod whatever the node.
    refused: bool,
    scores: Vec<i64>,
}

/// Decides where the attempt's pod goes.
#[must_use]
pub fn decide(profile: &Profile, attempt: &Attempt<'_>, choice: Choice<'_>) -> Outcome {
    let mut active = profile.active(attempt.config, attempt.policy);
    active.extend(choice.heard.told.map(|told| Active { plugin: told, weight: MILLI, points: Points::ALL }));
    let (mut parts, refusal) = prepare(&active, attempt);
    let nodes = &attempt.snapshot.nodes;
    let (verdicts, pre_filter, feasible) = look_at_nodes(&parts, refusal, attempt, false);
    score(&mut parts, nodes, &feasible);
    let ranking = rank(&parts, nodes, &feasible, attempt, choice.salt, choice.report_nodes.max(1));
    let preemption = ranking.is_empty().then(|| post_filter(profile, &parts, attempt, pre_filter.as_ref(), &verdicts, choice));
    let refusals = histogram(&verdicts);
    let message = preemption.as_ref().map(|p| message(nodes.len(), pre_filter.as_ref(), &refusals, &p.tail));
    let volumes = ranking.first().and_then(|best| volumes(&parts, &nodes[best.node_idx]));
    let mut refused_by: Vec<&'static str> = verdicts.iter().flatten().map(|a| a.plugin).collect();
    refused_by.extend(pre_filter.map(|a| a.plugin));
    refused_by.sort_unstable();
    refused_by.dedup();
    let decision = Decision {
        pod: attempt.pod.full_name().into(),
        uid: attempt.pod.uid.clone(),
        scheduler_name: profile.scheduler_name.clone(),
        node: ranking.first().map(|r| nodes[r.node_idx].node.name.clone()),
        message,
        policy: PolicyView::of(attempt.policy, choice.policy_source),
        profile: attempt.workload.view(),
        config_generation: attempt.config.generation,
        n_nodes: nodes.len(),
        n_feasible: feasible.len(),
        nodes: report(&parts, nodes, &verdicts, &ranking, choice.report_nodes),
        has_ai_plugins: profile.has_ai_plugins(),
        refusals,
    };
    Outcome { decision, refused_by, volumes, nominate: preemption.map_or(Nominate::Keep, |p| p.nominate) }
}

/// Names of the nodes that pass every filter: what extenders are asked about. The pod's nominated node alone if it passes, unless `all`.
#[must_use]
pub fn feasible(profile: &Profile, attempt: &Attempt<'_>, all: bool) -> Vec<Str> {
    let active = profile.active(attempt.config, attempt.policy);
    let (parts, refusal) = prepare(&active, attempt);
    let (_, _, feasible) = look_at_nodes(&parts, refusal, attempt, all);
    feasible.into_iter().map(|i| attempt.snapshot.nodes[i].node.name.clone()).collect()
}

/// What the plugins have to have done about the pod's volumes on this node.
fn volumes(parts: &[Part<'_>], node: &NodeInfo) -> Option<VolumePlan> {
    parts.iter().filter_map(|part| part.prepared.filter.as_deref()).find_map(|filter| filter.volumes(node))
}

/// Judges the nodes. The one that the pod is nominated to is looked at first, and if it will do no other is, unless `all` are wanted.
fn look_at_nodes(
    parts: &[Part<'_>],
    refusal: Option<Against>,
    attempt: &Attempt<'_>,
    all: bool,
) -> (Vec<Option<Against>>, Option<Against>, Vec<usize>) {
    let snapshot = attempt.snapshot;
    if let Some(against) = refusal {
        return (snapshot.nodes.iter().map(|_| Some(against.share())).collect(), Some(against), Vec::new());
    }
    let nominated = snapshot.nominated.node_of(&attempt.pod.uid).and_then(|node| snapshot.node_idx(node));
    if let Some(idx) = nominated.filter(|idx| !all && tried(parts, attempt, *idx).is_none()) {
        return (snapshot.nodes.iter().map(|_| None).collect(), None, vec![idx]);
    }
    let verdicts = filter(parts, attempt);
    let feasible = (0..verdicts.len()).filter(|i| verdicts[*i].is_none()).collect();
    (verdicts, None, feasible)
}

/// What stands against one node, with and without the pods nominated to it.
fn tried(parts: &[Part<'_>], attempt: &Attempt<'_>, idx: usize) -> Option<Against> {
    let judges = judges(parts);
    let mut trial = Trial::new(attempt, &judges);
    trial.enter(idx);
    trial.judge()
}

/// The plugins that have a say in where the pod may go.
fn judges<'t>(parts: &'t [Part<'_>]) -> Vec<Judge<'t>> {
    let judge = |p: &'t Part<'_>| Judge { plugin: p.plugin, points: p.points, filter: p.prepared.filter.as_deref() };
    parts.iter().filter(|p| p.refused || p.prepared.filter.is_some()).map(judge).collect()
}

/// What can be done for a pod that fits nowhere, if the profile has anything for it.
fn post_filter(
    profile: &Profile,
    parts: &[Part<'_>],
    attempt: &Attempt<'_>,
    pre_filter: Option<&Against>,
    verdicts: &[Option<Against>],
    choice: Choice<'_>,
) -> Preemption {
    match profile.preempts().filter(|_| !verdicts.is_empty()) {
        None => Preemption { tail: String::new(), nominate: Nominate::Clear },
        // kube-scheduler's words: after such a refusal its DynamicResources, which comes before preemption, has nothing prepared and
        // says so, and that ends the round.
        Some(_) if pre_filter.is_some_and(|a| a.refusal.code == RefusalCode::Unresolvable) => {
            Preemption { tail: "not found".into(), nominate: Nominate::Keep }
        }
        Some(args) => {
            let mut judges = judges(parts);
            judges.retain(|judge| judge.plugin.name() != EXTENDER); // what they make of pods that leave is asked by a verb of its own
            preempt(args, attempt, &judges, verdicts, choice)
        }
    }
}

/// Lets every active plugin look at the pod. A plugin that refuses it for good ends the round; one that refuses it in a way that
/// preemption could change does not, as in kube-scheduler.
fn prepare<'a>(active: &[Active<'a>], attempt: &Attempt<'a>) -> (Vec<Part<'a>>, Option<Against>) {
    let mut parts = Vec::with_capacity(active.len());
    let mut against: Option<Against> = None;
    for Active { plugin, weight, points } in active {
        let mut prepared = points.of(plugin.prepare(attempt));
        let refusal = prepared.refusal.take();
        let refused = refusal.is_some();
        parts.push(Part { plugin: *plugin, weight: *weight, points: *points, prepared, refused, scores: Vec::new() });
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

/// Judges every node: the first plugin that refuses it has the word. Nodes that a plugin left out from the start are not looked at.
fn filter(parts: &[Part<'_>], attempt: &Attempt<'_>) -> Vec<Option<Against>> {
    let filters: Vec<_> = parts.iter().filter_map(|p| Some((p.plugin.name(), p.prepared.filter.as_deref()?))).collect();
    let check = |node: &NodeInfo| filters.iter().find_map(|(plugin, filter)| Some(Against { plugin, refusal: filter.check(node)? }));
    let narrowed = narrowed(parts);
    let judges = judges(parts);
    let snapshot = attempt.snapshot;
    let contested = snapshot.nominated.nodes().filter(|node| rivals(attempt, node).next().is_some());
    let contested: BTreeSet<usize> = contested.filter_map(|node| snapshot.node_idx(node)).collect();
    let mut trial: Option<Trial<'_, '_>> = None; // made when a node is contested
    let nodes = snapshot.nodes.iter().enumerate();
    nodes
        .map(|(idx, node)| match &narrowed {
            Some((names, against)) if !names.contains(&node.node.name) => Some(against.share()),
            Some(_) | None if contested.contains(&idx) => {
                let trial = trial.get_or_insert_with(|| Trial::new(attempt, &judges));
                trial.enter(idx);
                trial.judge()
            }
            Some(_) | None => check(node),
        })
        .collect()
}

/// The nodes that every narrowing plugin leaves, and what is said of the others.
fn narrowed(parts: &[Part<'_>]) -> Option<(BTreeSet<Str>, Against)> {
    let narrowing: Vec<(&'static str, &Vec<Str>)> =
        parts.iter().filter_map(|p| Some((p.plugin.name(), p.prepared.only_nodes.as_ref()?))).collect();
    let (first, rest) = narrowing.split_first()?;
    let common = first.1.iter().filter(|name| rest.iter().all(|(_, names)| names.contains(name))).cloned().collect();
    let mut plugins: Vec<&str> = narrowing.iter().map(|(plugin, _)| *plugin).collect();
    plugins.sort_unstable();
    let reason = format!("node(s) didn't satisfy plugin(s) [{}]", plugins.join(" "));
    Some((common, Against { plugin: first.0, refusal: Refusal::unresolvable(reason) }))
}

/// Fills every scoring plugin's row over the feasible nodes.
fn score(parts: &mut [Part<'_>], nodes: &[Arc<NodeInfo>], feasible: &[usize]) {
    let feasible: Vec<&NodeInfo> = feasible.iter().map(|i| &*nodes[*i]).collect();
    for part in parts {
        if let Some(score) = part.prepared.score.as_mut() {
            score.observe(&feasible);
            if score.skips() {
                continue;
            }
            part.scores = feasible.iter().map(|node| score.raw(node)).collect();
            score.normalize(&mut part.scores);
        }
    }
}

/// A feasible node's place.
struct Rank {
    node_idx: usize,
    /// Position among the feasible nodes: the index into the score rows.
    row: usize,
    total: i64,
}

/// The best `keep` of the feasible nodes, best first: highest total, then seeded hash, then name.
fn rank(parts: &[Part<'_>], nodes: &[Arc<NodeInfo>], feasible: &[usize], attempt: &Attempt<'_>, salt: u64, keep: usize) -> Vec<Rank> {
    let total = |row: usize| parts.iter().map(|p| p.scores.get(row).map_or(0, |s| s * p.weight)).sum();
    let mut ranking: Vec<Rank> = feasible.iter().enumerate().map(|(row, i)| Rank { node_idx: *i, row, total: total(row) }).collect();
    let name = |r: &Rank| &nodes[r.node_idx].node.name;
    let luck = |r: &Rank| tie_hash(salt, &attempt.pod.uid, name(r));
    // Hashes are needed among equal totals alone, and the order of those that are not kept not at all.
    let order = |a: &Rank, b: &Rank| b.total.cmp(&a.total).then_with(|| luck(a).cmp(&luck(b))).then_with(|| name(a).cmp(name(b)));
    if keep < ranking.len() {
        ranking.select_nth_unstable_by(keep, order);
        ranking.truncate(keep);
    }
    ranking.sort_unstable_by(order);
    ranking
}

/// A well-mixed hash of (salt, pod, node): FNV-1a over the bytes, finished with SplitMix64's mixer.
pub(crate) fn tie_hash(salt: u64, pod: &str, node: &str) -> u64 {
    let bytes = salt.to_le_bytes().into_iter().chain(pod.bytes()).chain([0]).chain(node.bytes());
    let mut h = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// How many nodes each reason stands against.
fn histogram(verdicts: &[Option<Against>]) -> Vec<(Cow<'static, str>, usize)> {
    let mut counts: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
    for reason in verdicts.iter().flatten().flat_map(|a| &a.refusal.reasons) {
        *counts.entry(reason.clone()).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// kube-scheduler's message for a pod that fits nowhere, word for word. `tail` is what preemption has to say.
fn message(n_nodes: usize, pre_filter: Option<&Against>, refusals: &[(Cow<'static, str>, usize)], tail: &str) -> String {
    if n_nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut message = match pre_filter {
        Some(against) => format!("0/{n_nodes} nodes are available: {}.", against.refusal.reasons.join(", ")),
        None => summary(n_nodes, refusals.iter().cloned()),
    };
    if !tail.is_empty() {
        message.push_str(&format!(" {tail}"));
    }
    message
}

/// How many nodes each reason stands against, in a sentence.
pub(crate) fn summary(n_nodes: usize, counts: impl IntoIterator<Item = (Cow<'static, str>, usize)>) -> String {
    let mut message = format!("0/{n_nodes} nodes are available:");
    let mut reasons: Vec<String> = counts.into_iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    reasons.sort_unstable(); // as text: 10 before 2
    if !reasons.is_empty() {
        message.push_str(&format!(" {}.", reasons.join(", ")));
    }
    message
}

/// Explains the best `limit` nodes: feasible ones by rank, then refused ones by name.
fn report(parts: &[Part<'_>], nodes: &[Arc<NodeInfo>], verdicts: &[Option<Against>], ranking: &[Rank], limit: usize) -> Vec<NodeReport> {
    let feasible = ranking.iter().map(|rank| {
        let node = &nodes[rank.node_idx];
        NodeReport {
            node: node.node.name.clone(),
            feasible: true,
            reasons: Vec::new(),
            total: Some(rank.total),
            plugins: parts.iter().filter(|p| p.weight > 0).map(|p| p.report(node, rank.row)).collect(),
        }
    });
    let refused = nodes.iter().zip(verdicts).filter_map(|(node, verdict)| {
        let against = verdict.as_ref()?;
        let filter = parts.iter().find(|p| p.plugin.name() == against.plugin).and_then(|p| p.prepared.filter.as_deref());
        let detail = filter.and_then(|f| f.detail(node));
        let reason = |message: &Cow<'static, str>| ReasonView { plugin: against.plugin, message: message.clone(), detail: detail.clone() };
        Some(NodeReport {
            node: node.node.name.clone(),
            feasible: false,
            reasons: against.refusal.reasons.iter().map(reason).collect(),
            total: None,
            plugins: Vec::new(),
        })
    });
    feasible.chain(refused).take(limit).collect()
}

impl Part<'_> {
    fn report(&self, node: &NodeInfo, row: usize) -> PluginScore {
        let score = self.prepared.score.as_deref();
        PluginScore {
            name: self.plugin.name(),
            weight: self.weight,
            score: self.scores.get(row).copied().unwrap_or(0),
            skipped: score.is_none_or(Score::skips),
            components: score.map(|s| s.components(node)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, labelled, pod};
    use crate::profile::Weight;
    use crate::workload_profile::WorkloadProfile;

    /// Names of the reported nodes of 40 nodes, of which every fourth is preferred.
    fn ranking(salt: u64, report_nodes: usize) -> Vec<Str> {
        let preferred = crate::fixture::with(pod("p"), |s| {
            let in_a = aisched_model::selector::Requirement {
                key: "zone".into(),
                operator: aisched_model::selector::Operator::In,
                values: alloc::vec!["a".into()],
            };
            let term = aisched_model::selector::NodeSelectorTerm { labels: alloc::vec![in_a], fields: Vec::new() };
            s.node_affinity.preferred.push((1, term));
        });
        let zone = |i: usize| if i.is_multiple_of(4) { "a" } else { "b" };
        let cluster = (0..40).fold(Cluster::default(), |c, i| c.node(labelled(&format!("n{i}"), [("zone", zone(i))])));
        let workload = WorkloadProfile::resolve(&preferred, None, &cluster.config);
        let attempt = Attempt { snapshot: &cluster.snapshot, pod: &preferred, workload: &workload, policy: None, config: &cluster.config };
        let profile = Profile::of("s", [("NodeAffinity", Weight::Fixed(1))]);
        let choice = Choice { salt, report_nodes, policy_source: PolicySource::Fallback, heard: Heard::default() };
        decide(&profile, &attempt, choice).decision.nodes.into_iter().map(|n| n.node).collect()
    }

    #[test]
    fn fewer_nodes_reported_are_the_first_of_all() {
        for salt in 0..20 {
            let all = ranking(salt, usize::MAX);
            assert_eq!(all.len(), 40);
            for few in [1, 3, 10, 11, 39] {
                assert_eq!(ranking(salt, few), all[..few], "salt {salt}, {few} nodes");
            }
        }
    }

    #[test]
    fn ties_fall_differently_with_another_salt() {
        let first: alloc::collections::BTreeSet<Str> = (0..50).map(|salt| ranking(salt, 1)[0].clone()).collect();
        assert!(first.len() > 5, "{first:?}");
    }
}
