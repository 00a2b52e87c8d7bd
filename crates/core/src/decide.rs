//! Finds a node for a pod: prepare, filter, score, choose, and say why.
//! Leaves out queueing, binding and the cache; the same attempt always gives the same decision, whatever is remembered of earlier ones.

mod columns;
mod obstacles;
mod part;
mod rank;
mod rows;

pub(crate) use columns::Columns;
pub(crate) use obstacles::{Obstacle, obstacle, obstacles};
pub(crate) use rank::Luck;
pub(crate) use rows::Rows;

use crate::consult::{EXTENDER, Heard};
use crate::decision::{Decision, NodeReport, PolicyView, ReasonView, RunnerUp, Verdict};
use crate::event::Millis;
use crate::framework::{Attempt, RefusalCode, Remedy};
use crate::preemption::{Against, Nominate, Preemption, Trial, preempt, rivals};
use crate::profile::{Active, MILLI, Points, Profile};
use aisched_model::Str;
use aisched_model::devices::ClaimPlan;
use aisched_model::node::NodeInfo;
use aisched_model::policy::PolicySource;
use aisched_model::volume::VolumePlan;
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use part::{Explained, Part, claims, judges, narrowed, prepare, volumes};
use rank::{Rank, rank};

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
    /// Nodes that are left in peace by preemption (until when is not its business).
    pub in_peace: &'a [(Str, Millis)],
    /// Set while the place of a whole gang is looked for.
    pub within: Option<Within<'a>>,
}

/// In the search for the place of a gang nobody is preempted for a member, and where there is a list only its nodes count.
#[derive(Clone, Copy, Debug)]
pub struct Within<'a>(pub Option<&'a [bool]>);

impl Within<'_> {
    fn has(self, node: usize) -> bool {
        self.0.is_none_or(|nodes| nodes.get(node).copied().unwrap_or(false))
    }
}

impl Choice<'_> {
    fn counts(&self, node: usize) -> bool {
        self.within.is_none_or(|within| within.has(node))
    }
}

/// What `decide` found.
pub struct Outcome {
    /// The decision with its explanation.
    pub decision: Decision,
    /// Names of the plugins that refused the pod or a node; only events that help one of them can help the pod.
    pub refused_by: Vec<&'static str>,
    /// What has to be done about the pod's volumes before it is bound to the node.
    pub volumes: Option<VolumePlan>,
    /// What has to be done about its claims to devices.
    pub claims: Option<ClaimPlan>,
    /// What can be done for the pod, when it fits nowhere.
    pub remedy: Option<Remedy>,
    /// Why the pod could not be judged.
    pub error: Option<String>,
    /// What becomes of the pod's nomination, when it fits nowhere.
    pub nominate: Nominate,
}

/// Decides where the attempt's pod goes.
#[must_use]
pub fn decide(profile: &Profile, attempt: &Attempt<'_>, choice: Choice<'_>) -> Outcome {
    decide_with(profile, attempt, choice, &mut Rows::default(), &mut Columns::default())
}

/// Decides with what is remembered of the pod's template: the decision is the same, but made sooner.
pub(crate) fn decide_with(profile: &Profile, attempt: &Attempt<'_>, choice: Choice<'_>, rows: &mut Rows, columns: &mut Columns) -> Outcome {
    let mut active = profile.active(attempt.config, attempt.policy);
    active.extend(choice.heard.told.map(|told| Active { plugin: told, weight: MILLI, points: Points::ALL }));
    let (mut parts, pre_filter) = prepare(&active, attempt, &mut rows.tallies);
    let nodes = &attempt.snapshot.nodes;
    let mut spare = Rows::default();
    let rows = look_at_nodes(&parts, pre_filter.as_ref(), attempt, nominated_elsewhere(attempt, choice), (rows, &mut spare), columns);
    let mut explained = rows.take_explained();
    let scored = score(&mut parts, nodes, rows, choice);
    let luck = Luck::new(choice.salt, &attempt.pod.uid);
    let error = rows.refusals().find(|(against, _)| against.refusal.code == RefusalCode::Error).map(|(a, _)| a.refusal.reasons.join(", "));
    let mut ranking = rank(&scored.totals, |idx| columns.name(idx, nodes), luck, choice.report_nodes.max(2));
    if error.is_some() {
        ranking.clear();
    }
    let remedy = remedy(&parts, pre_filter.as_ref(), attempt, rows).filter(|_| ranking.is_empty() && error.is_none());
    let preemption = ranking.is_empty().then(|| post_filter(profile, &parts, attempt, pre_filter.as_ref(), rows, choice));
    let refusals = verdicts(rows, choice);
    let n_counting = if choice.within.is_some() { (0..nodes.len()).filter(|idx| choice.counts(*idx)).count() } else { nodes.len() };
    let message = preemption.as_ref().map(|p| {
        let tail = [remedy.as_ref().map_or("", Remedy::message), &p.tail].into_iter().filter(|part| !part.is_empty());
        let tail = tail.collect::<Vec<_>>().join(", ");
        error.clone().unwrap_or_else(|| message(n_counting, pre_filter.as_ref(), &refusals, &tail))
    });
    let volumes = ranking.first().and_then(|best| volumes(&parts, &nodes[best.node_idx]));
    let claims = ranking.first().and_then(|best| claims(&parts, &nodes[best.node_idx]));
    let mut refused_by: Vec<&'static str> = rows.refusals().map(|(against, _)| against.plugin).collect();
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
        heard: Vec::new(),
        config_generation: attempt.config.generation,
        n_nodes: nodes.len(),
        n_feasible: if choice.within.is_some() { rows.feasible().filter(|idx| choice.counts(*idx)).count() } else { rows.n_feasible() },
        runner_up: runner_up(&ranking, nodes),
        refusals,
        nodes: report(&parts, nodes, rows, &ranking, &scored, &mut explained, choice),
        cures: Vec::new(),
        has_ai_plugins: profile.has_ai_plugins(),
    };
    drop(scored);
    rows.keep_explained(explained);
    Outcome { decision, refused_by, volumes, claims, remedy, error, nominate: preemption.map_or(Nominate::Keep, |p| p.nominate) }
}

/// Names of the nodes that pass every filter: what extenders are asked about. The pod's nominated node alone if it passes, unless `all`.
#[must_use]
pub fn feasible(profile: &Profile, attempt: &Attempt<'_>, all: bool) -> Vec<Str> {
    let active = profile.active(attempt.config, attempt.policy);
    let (parts, refusal) = prepare(&active, attempt, &mut Vec::new());
    let (mut rows, mut spare) = (Rows::default(), Rows::default());
    let rows = look_at_nodes(&parts, refusal.as_ref(), attempt, all, (&mut rows, &mut spare), &mut Columns::default());
    rows.feasible().map(|i| attempt.snapshot.nodes[i].node.name.clone()).collect()
}

/// Judges the nodes. The one that the pod is nominated to is looked at first, and if it will do no other is, unless `all` are wanted.
/// What is remembered in the first rows serves pods that may go anywhere; what is found for others stands in the spare ones.
fn look_at_nodes<'r>(
    parts: &[Part<'_>],
    refusal: Option<&Against>,
    attempt: &Attempt<'_>,
    all: bool,
    (rows, spare): (&'r mut Rows, &'r mut Rows),
    columns: &mut Columns,
) -> &'r mut Rows {
    let (snapshot, nodes) = (attempt.snapshot, &attempt.snapshot.nodes);
    if let Some(against) = refusal {
        spare.refuse_all(nodes.len(), against, parts);
        return spare;
    }
    let nominated = snapshot.nominated.node_of(&attempt.pod.uid).and_then(|node| snapshot.node_idx(node));
    if let Some(idx) = nominated.filter(|idx| !all && tried(parts, attempt, *idx).is_none()) {
        spare.take_only(idx, parts, nodes);
        return spare;
    }
    let rows = match narrowed(parts) {
        Some((names, others)) => {
            let only: Vec<usize> = names.iter().filter_map(|name| snapshot.node_idx(name)).collect();
            spare.narrow(&only, others, parts, nodes);
            judge_contested(parts, attempt, spare, columns, |idx| only.contains(&idx));
            return spare;
        }
        None => rows,
    };
    rows.refresh(parts, nodes, columns);
    judge_contested(parts, attempt, rows, columns, |_| true);
    rows
}

/// Has the rest of the plugins judge, and where room is kept for other pods, all of them once more.
fn judge_contested(parts: &[Part<'_>], attempt: &Attempt<'_>, rows: &mut Rows, columns: &mut Columns, candidate: impl Fn(usize) -> bool) {
    rows.judge_anew(parts, &attempt.snapshot.nodes, columns);
    let snapshot = attempt.snapshot;
    let contested = snapshot.nominated.nodes().filter(|node| rivals(attempt, node).next().is_some());
    let contested: Vec<usize> = contested.filter_map(|node| snapshot.node_idx(node)).filter(|idx| candidate(*idx)).collect();
    if !contested.is_empty() {
        let judges = judges(parts);
        let mut trial = Trial::new(attempt, &judges);
        for idx in contested {
            trial.enter(idx);
            if let Some(against) = trial.judge() {
                rows.overrule(idx, against, parts);
            }
        }
    }
    rows.settle(parts, &attempt.snapshot.nodes);
}

/// What stands against one node, with and without the pods nominated to it.
fn tried(parts: &[Part<'_>], attempt: &Attempt<'_>, idx: usize) -> Option<Against> {
    let judges = judges(parts);
    let mut trial = Trial::new(attempt, &judges);
    trial.enter(idx);
    trial.judge()
}

/// Whether the pod is nominated to a node that does not count.
fn nominated_elsewhere(attempt: &Attempt<'_>, choice: Choice<'_>) -> bool {
    let nominated = attempt.snapshot.nominated.node_of(&attempt.pod.uid).and_then(|node| attempt.snapshot.node_idx(node));
    nominated.is_some_and(|idx| !choice.counts(idx))
}

/// What can be done for a pod that fits nowhere, if the profile has anything for it.
fn post_filter(
    profile: &Profile,
    parts: &[Part<'_>],
    attempt: &Attempt<'_>,
    pre_filter: Option<&Against>,
    rows: &Rows,
    choice: Choice<'_>,
) -> Preemption {
    match profile.preempts().filter(|_| rows.len() > 0 && choice.within.is_none()) {
        None => Preemption { tail: String::new(), nominate: Nominate::Clear },
        // kube-scheduler's words: after such a refusal a plugin that may have a remedy has nothing prepared and says so, and that ends
        // the round before preemption.
        Some(_) if pre_filter.is_some_and(|a| a.refusal.code == RefusalCode::Unresolvable && profile.has_remedies_after(a.plugin)) => {
            Preemption { tail: "not found".into(), nominate: Nominate::Keep }
        }
        Some(args) => {
            let mut judges = judges(parts);
            judges.retain(|judge| judge.plugin.name() != EXTENDER); // what they make of pods that leave is asked by a verb of its own
            preempt(args, attempt, &judges, rows, (choice, profile.places_gangs()))
        }
    }
}

/// What a plugin can do for the pod without removing others.
fn remedy(parts: &[Part<'_>], pre_filter: Option<&Against>, attempt: &Attempt<'_>, rows: &Rows) -> Option<Remedy> {
    if pre_filter.is_some() || rows.n_feasible() > 0 {
        return None;
    }
    let nodes = &attempt.snapshot.nodes;
    parts.iter().filter(|part| part.points.post_filter).find_map(|part| {
        let by_it = |idx: &usize| rows.against(*idx).is_some_and(|against| against.plugin == part.plugin.name());
        let mut refused = (0..nodes.len()).filter(by_it).map(|idx| &*nodes[idx]);
        part.filter().and_then(|filter| filter.remedy(&mut refused))
    })
}

/// Totals of the feasible nodes, `rows::OUT` for the others.
struct Scored<'r> {
    totals: Cow<'r, [i64]>,
    /// Belongs to every total.
    same: i64,
    /// The feasible nodes in order, when plugins have scored them anew.
    feasible: Vec<usize>,
}

/// Adds up what every scoring plugin makes of the feasible nodes.
fn score<'r>(parts: &mut [Part<'_>], nodes: &[Arc<NodeInfo>], rows: &'r Rows, choice: Choice<'_>) -> Scored<'r> {
    let (mut totals, same) = rows.totals(parts);
    if let Some(Within(Some(_))) = choice.within {
        totals.to_mut().iter_mut().enumerate().filter(|(idx, _)| !choice.counts(*idx)).for_each(|(_, total)| *total = rows::OUT);
    }
    if parts.iter().all(|p| p.keeps_scores.is_some() || p.score().is_none()) {
        return Scored { totals, same, feasible: Vec::new() };
    }
    let feasible: Vec<usize> = rows.feasible().filter(|idx| choice.counts(*idx)).collect();
    let seen: Vec<&NodeInfo> = feasible.iter().map(|i| &*nodes[*i]).collect();
    for part in parts.iter_mut().filter(|p| p.keeps_scores.is_none()) {
        let Some(score) = part.prepared.score.as_mut() else { continue };
        score.observe(&seen);
        if score.skips() {
            continue;
        }
        part.scores = seen.iter().map(|node| score.raw(node)).collect();
        score.normalize(&mut part.scores);
        let totals = totals.to_mut();
        for (idx, points) in feasible.iter().zip(&part.scores) {
            totals[*idx] += points * part.weight;
        }
    }
    Scored { totals, same, feasible }
}

fn runner_up(ranking: &[Rank], nodes: &[Arc<NodeInfo>]) -> Option<RunnerUp> {
    let [best, second, ..] = ranking else { return None };
    Some(RunnerUp { node: nodes[second.node_idx].node.name.clone(), margin: best.total - second.total })
}

/// How many nodes each plugin refused for each of its reasons, by reason.
fn verdicts(rows: &Rows, choice: Choice<'_>) -> Vec<Verdict> {
    let mut counts: BTreeMap<(Cow<'static, str>, &'static str), usize> = BTreeMap::new();
    let mut note = |(against, n): (&Against, usize)| {
        for reason in &against.refusal.reasons {
            *counts.entry((reason.clone(), against.plugin)).or_default() += n;
        }
    };
    match choice.within {
        Some(Within(Some(_))) => {
            let counting = (0..rows.len()).filter(|idx| choice.counts(*idx));
            counting.filter_map(|idx| rows.against(idx)).for_each(|against| note((against, 1)));
        }
        Some(Within(None)) | None => rows.refusals().for_each(note),
    }
    counts.into_iter().map(|((message, plugin), n_nodes)| Verdict { plugin, message, n_nodes }).collect()
}

/// kube-scheduler's message for a pod that fits nowhere, word for word. `tail` is what preemption has to say.
fn message(n_nodes: usize, pre_filter: Option<&Against>, refusals: &[Verdict], tail: &str) -> String {
    if n_nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut message = match pre_filter {
        Some(against) => format!("0/{n_nodes} nodes are available: {}.", against.refusal.reasons.join(", ")),
        None => summary(n_nodes, refusals.iter().map(|v| (v.message.clone(), v.n_nodes))),
    };
    if !tail.is_empty() {
        message.push_str(&format!(" {tail}"));
    }
    message
}

/// How many nodes each reason stands against, in a sentence.
pub(crate) fn summary(n_nodes: usize, counts: impl IntoIterator<Item = (Cow<'static, str>, usize)>) -> String {
    let mut message = format!("0/{n_nodes} nodes are available:");
    let mut by_reason: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
    counts.into_iter().for_each(|(reason, n)| *by_reason.entry(reason).or_default() += n);
    let mut reasons: Vec<String> = by_reason.into_iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    reasons.sort_unstable(); // as text: 10 before 2
    if !reasons.is_empty() {
        message.push_str(&format!(" {}.", reasons.join(", ")));
    }
    message
}

/// Said of a node that would do, were it in the domain in which all of the gang fits.
const OUTSIDE: &str = "node(s) were outside the domain that its gang goes to";

/// Explains the best nodes that are to be reported on: feasible ones by rank, then refused ones by name.
fn report(
    parts: &[Part<'_>],
    nodes: &[Arc<NodeInfo>],
    rows: &Rows,
    ranking: &[Rank],
    scored: &Scored<'_>,
    explained: &mut Explained,
    choice: Choice<'_>,
) -> Vec<NodeReport> {
    let feasible = ranking.iter().map(|rank| {
        let node = &nodes[rank.node_idx];
        let row = scored.feasible.binary_search(&rank.node_idx).unwrap_or(0);
        NodeReport {
            node: node.node.name.clone(),
            feasible: true,
            reasons: Vec::new(),
            total: Some(rank.total + scored.same),
            plugins: explained.report(parts, node, rank.node_idx, row),
        }
    });
    let refused = nodes.iter().enumerate().filter_map(|(idx, node)| {
        let Some(against) = rows.against(idx) else {
            let outside = ReasonView { plugin: "GangScheduling", message: OUTSIDE.into(), detail: None };
            let report =
                NodeReport { node: node.node.name.clone(), feasible: false, reasons: vec![outside], total: None, plugins: Arc::default() };
            return (!choice.counts(idx)).then_some(report);
        };
        let filter = parts.iter().find(|p| p.plugin.name() == against.plugin).and_then(Part::filter);
        let detail = filter.and_then(|f| f.detail(node));
        let reason = |message: &Cow<'static, str>| ReasonView { plugin: against.plugin, message: message.clone(), detail: detail.clone() };
        Some(NodeReport {
            node: node.node.name.clone(),
            feasible: false,
            reasons: against.refusal.reasons.iter().map(reason).collect(),
            total: None,
            plugins: Arc::default(),
        })
    });
    feasible.chain(refused).take(choice.report_nodes).collect()
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
        let workload = WorkloadProfile::resolve(&preferred, None, &cluster.config, &cluster.snapshot);
        let attempt = Attempt { snapshot: &cluster.snapshot, pod: &preferred, workload: &workload, policy: None, config: &cluster.config };
        let profile = Profile::of("s", [("NodeAffinity", Weight::Fixed(1))]);
        let choice =
            Choice { salt, report_nodes, policy_source: PolicySource::Fallback, heard: Heard::default(), in_peace: &[], within: None };
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
