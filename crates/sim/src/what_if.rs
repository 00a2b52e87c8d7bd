//! What would happen if something were different: two virtual clusters side by side, as it is and as it would be.
//! Leaves out where the cluster comes from (a running scheduler, a file) and how the answer looks.

use crate::{Options, Scenario, Simulation};
use aisched_core::decision::{Decision, NodeReport};
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Event, PodRef};
use aisched_core::profile::Profile;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::pod::{Pod, PreemptionPolicy};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Nodes that a decision reports on here: enough to compare the node that was with the one that would be.
const REPORTED: usize = 20;
/// Waiting and new pods together; more are not tried.
pub const MOST_PODS: usize = 10_000;

/// A cluster as it is.
pub struct Base {
    /// Its objects, as the events that tell of them.
    pub objects: Vec<Event>,
    /// The configuration in force.
    pub config: Config,
    /// What schedules.
    pub profiles: Arc<[Profile]>,
    /// Decisions that were taken, the newest first.
    pub decisions: Vec<Arc<Decision>>,
    /// Decides between equals.
    pub seed: u64,
}

/// What would be different.
#[derive(Default)]
pub struct Change {
    /// Objects that would be there, or would be like this: nodes and what belongs to them.
    pub objects: Vec<Event>,
    /// Nodes that would not be there.
    pub remove_nodes: Vec<Str>,
    /// Nodes that would take no new pods.
    pub cordon: Vec<Str>,
    /// Another configuration.
    pub config: Option<Config>,
    /// Pods that would come.
    pub pods: Vec<Arc<Pod>>,
    /// How many of the pods that run are decided again; the newest.
    pub running: usize,
    /// How many decisions on pods that are gone are weighed anew; the newest.
    pub decisions: usize,
    /// Counts how many more pods like the first of `pods` would fit.
    pub capacity: bool,
}

/// What would happen.
#[derive(Debug, Default)]
pub struct WhatIf {
    /// Pods that would be elsewhere.
    pub moves: Vec<Move>,
    /// As it is, and as it would be.
    pub before: Totals,
    /// See `before`.
    pub after: Totals,
    /// Pods that run and were decided again.
    pub n_running: usize,
    /// Decisions on pods that are gone, and were weighed anew.
    pub n_decided: usize,
    /// How many more pods would fit.
    pub capacity: Option<Capacity>,
}

/// A pod that would be elsewhere.
#[derive(Debug)]
pub struct Move {
    /// `namespace/name`.
    pub pod: Str,
    /// Whose move it is.
    pub kind: Kind,
    /// Where it is, or would go as things are.
    pub before: Option<Str>,
    /// Where it would go.
    pub after: Option<Str>,
    /// Why.
    pub why: String,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It waits now.
    Waiting,
    /// It would come.
    New,
    /// It runs on a node that would not be there.
    Evicted,
    /// It runs, and would be placed elsewhere if it were placed again; nothing moves it.
    Running,
    /// It is gone; with the scores of then it would have gone elsewhere.
    Decided,
}

/// Sums over waiting pods, new ones, and those whose nodes would be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pods that find a node.
    pub placed: usize,
    /// Pods that do not.
    pub waiting: usize,
}

/// How many more pods like one would fit.
#[derive(Debug, Default)]
pub struct Capacity {
    /// So many.
    pub fits: usize,
    /// Whether counting stopped before anything ran out.
    pub stopped: bool,
    /// By node.
    pub by_node: BTreeMap<Str, usize>,
    /// What stood against the one that did not fit: (plugin, reason, nodes), the most frequent first.
    pub runs_out: Vec<(&'static str, String, usize)>,
}

/// Nobody waits for the answer any longer.
#[derive(Debug)]
pub struct Unwanted;

/// Works out what would happen; `wanted` is asked often whether anybody still waits for it.
///
/// # Errors
/// [`Unwanted`] when nobody does.
pub fn what_if(base: &Base, change: &Change, wanted: &dyn Fn() -> bool) -> Result<WhatIf, Unwanted> {
    let evicted: BTreeSet<Str> =
        base.placed().filter(|p| p.node.as_ref().is_some_and(|n| change.remove_nodes.contains(n))).map(|p| p.uid.clone()).collect();
    let config = change.config.as_ref().unwrap_or(&base.config);
    let (before, after) = (base.scenario(&Change::default(), &base.config), base.scenario(change, config));
    let was = placements(before, base, wanted)?;
    let would = placements(after, base, wanted)?;
    let mut answer = WhatIf { before: totals(&was), ..WhatIf::default() };
    answer.after = totals(&would);
    let places: BTreeMap<Str, Option<Str>> = base.placed().map(|p| (p.uid.clone(), p.node.clone())).collect();
    for (uid, decision) in &would {
        let kind = match (evicted.contains(uid), was.contains_key(uid)) {
            (true, _) => Kind::Evicted,
            (false, true) => Kind::Waiting,
            (false, false) => Kind::New,
        };
        let before = match kind {
            Kind::Evicted => places.get(uid).cloned().flatten(),
            Kind::Waiting | Kind::New | Kind::Running | Kind::Decided => was.get(uid).and_then(|d| d.node.clone()),
        };
        if before != decision.node || kind == Kind::New {
            answer.moves.push(moved(kind, before, decision));
        }
    }
    decide_again(base, change, config, &evicted, wanted, &mut answer)?;
    weigh_again(base, change, config, &mut answer);
    answer.moves.sort_by(|a, b| (a.kind, &a.pod).cmp(&(b.kind, &b.pod)));
    if let Some(pod) = change.pods.first().filter(|_| change.capacity) {
        let empty = Change { pods: Vec::new(), ..change.shallow() };
        answer.capacity = Some(capacity(base, &empty, config, pod, wanted)?);
    }
    Ok(answer)
}

impl Change {
    /// The same without what is only asked.
    fn shallow(&self) -> Self {
        Self { objects: self.objects.clone(), remove_nodes: self.remove_nodes.clone(), cordon: self.cordon.clone(), ..Self::default() }
    }
}

impl Base {
    fn placed(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.objects
            .iter()
            .filter_map(|o| if let Event::PodSet(pod) = o { Some(pod) } else { None })
            .filter(|p| p.node.is_some() && !p.ended)
    }

    /// Whether this scheduler places the pod.
    fn is_ours(&self, pod: &Pod) -> bool {
        self.profiles.iter().any(|p| p.scheduler_name == pod.spec.scheduler_name)
    }

    /// The cluster with a change; pods whose nodes are gone wait again, as their controllers would make them anew.
    fn scenario(&self, change: &Change, config: &Config) -> Scenario {
        let mut scenario = Scenario::default();
        scenario.config = config.clone();
        for object in self.objects.iter().chain(&change.objects) {
            let object = match object {
                Event::NodeSet(node, _) if change.remove_nodes.contains(&node.name) => continue,
                Event::CsiNodeSet(node) if change.remove_nodes.contains(&node.name) => continue,
                Event::NodeSet(node, faults) if change.cordon.contains(&node.name) => {
                    let mut node = (**node).clone();
                    node.unschedulable = true;
                    Event::NodeSet(Arc::new(node), faults.clone())
                }
                Event::PodSet(pod) if pod.node.as_ref().is_some_and(|n| change.remove_nodes.contains(n)) => {
                    if !self.is_ours(pod) {
                        continue;
                    }
                    Event::PodSet(unbound(pod))
                }
                other => other.clone(),
            };
            scenario.add(object);
        }
        change.pods.iter().for_each(|pod| scenario.add(Event::PodSet(pod.clone())));
        scenario
    }
}

/// The pod as it was before it had a node.
fn unbound(pod: &Pod) -> Arc<Pod> {
    Arc::new(Pod { node: None, nominated_node: None, start_s: None, ..pod.clone() })
}

/// The latest decision on every pod that gets one, by UID.
fn placements(scenario: Scenario, base: &Base, wanted: &dyn Fn() -> bool) -> Result<BTreeMap<Str, Arc<Decision>>, Unwanted> {
    let options = Options { seed: base.seed, report_nodes: REPORTED, ..Options::default() };
    let mut simulation = Simulation::with(scenario, base.profiles.clone(), &options);
    let mut latest = BTreeMap::new();
    while let Some(decision) = simulation.next_decision() {
        latest.insert(decision.uid.clone(), decision);
        if !wanted() {
            return Err(Unwanted);
        }
        if latest.len() >= MOST_PODS {
            break;
        }
    }
    Ok(latest)
}

fn totals(decisions: &BTreeMap<Str, Arc<Decision>>) -> Totals {
    let placed = decisions.values().filter(|d| d.node.is_some()).count();
    Totals { placed, waiting: decisions.len() - placed }
}

fn moved(kind: Kind, before: Option<Str>, decision: &Decision) -> Move {
    let why = why(before.as_ref(), decision);
    Move { pod: decision.pod.clone(), kind, before, after: decision.node.clone(), why }
}

/// Why a pod would go where it would, rather than to where it was.
fn why(before: Option<&Str>, decision: &Decision) -> String {
    let Some(after) = &decision.node else { return decision.message.clone().unwrap_or_default() };
    let of = |node: &Str| decision.nodes.iter().find(|r| r.node == *node);
    let Some(before) = before else { return format!("{after} would do: {} of {} nodes", decision.n_feasible, decision.n_nodes) };
    match (of(before), of(after)) {
        (Some(was), _) if !was.feasible => {
            let reasons: Vec<String> = was.reasons.iter().map(|r| format!("{}: {}", r.plugin, r.message)).collect();
            format!("{before} refuses: {}", reasons.join(", "))
        }
        (Some(was), Some(is)) => {
            let lead = is.total.unwrap_or(0) - was.total.unwrap_or(0);
            format!("{after} leads {before} by {}{}", thousandths(lead), most(was, is))
        }
        _ => format!("{before} is not there or far behind"),
    }
}

/// The plugin in which a node leads another by most.
fn most(was: &NodeReport, is: &NodeReport) -> String {
    let points = |report: &NodeReport, name: &str| report.plugins.iter().find(|p| p.name == name).map_or(0, |p| p.weight * p.score);
    let leads = is.plugins.iter().map(|p| (p.weight * p.score - points(was, p.name), p.name));
    leads.max().filter(|(lead, _)| *lead > 0).map_or_else(String::new, |(lead, name)| format!(", most by {name} {}", thousandths(lead)))
}

/// Example: 812500 is `812.5`.
fn thousandths(n: i64) -> String {
    let (sign, n) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
    let text = format!("{sign}{}.{:03}", n / 1000, n % 1000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// Decides once more for pods that run, one at a time, with everything else where it is: on the cluster as it is and as it would be.
fn decide_again(
    base: &Base,
    change: &Change,
    config: &Config,
    evicted: &BTreeSet<Str>,
    wanted: &dyn Fn() -> bool,
    answer: &mut WhatIf,
) -> Result<(), Unwanted> {
    let mut running: Vec<&Arc<Pod>> = base.placed().filter(|p| base.is_ours(p) && !evicted.contains(&p.uid) && !p.deleting).collect();
    running.sort_by_key(|p| (core::cmp::Reverse(p.start_s), p.uid.clone()));
    running.truncate(change.running);
    if running.is_empty() {
        return Ok(());
    }
    let nothing_new = Change { pods: Vec::new(), ..change.shallow() };
    let mut as_is = Desk::new(base, &Change::default(), &base.config);
    let mut would_be = Desk::new(base, &nothing_new, config);
    for pod in running {
        if !wanted() {
            return Err(Unwanted);
        }
        let (Some(was), Some(would)) = (as_is.again(pod), would_be.again(pod)) else { continue };
        answer.n_running += 1;
        if was.node != would.node {
            answer.moves.push(moved(Kind::Running, was.node, &would));
        }
    }
    Ok(())
}

/// Weighs decisions anew on pods that neither run nor wait: with their scores as they were, under the weights as they are and as they would be.
fn weigh_again(base: &Base, change: &Change, config: &Config, answer: &mut WhatIf) {
    let there = |o: &Event| if let Event::PodSet(pod) = o { Some(pod.uid.clone()) } else { None };
    let there: BTreeSet<Str> = base.objects.iter().filter_map(there).collect();
    let gone = base.decisions.iter().filter(|d| d.node.is_some() && !there.contains(&d.uid));
    for decision in gone.take(change.decisions) {
        let Some(profile) = base.profiles.iter().find(|p| p.scheduler_name == decision.scheduler_name) else { continue };
        let (was, would) = (decision.reweighed(profile, &base.config), decision.reweighed(profile, config));
        let (Some(was), Some(would)) = (was, would) else { continue };
        answer.n_decided += 1;
        if was.node != would.node {
            answer.moves.push(moved(Kind::Decided, was.node, &would));
        }
    }
}

/// An engine that is asked about pods that run.
struct Desk(Engine);

impl Desk {
    fn new(base: &Base, change: &Change, config: &Config) -> Self {
        let options = EngineOptions { seed: base.seed, records: 0, standby: true, ..EngineOptions::default() };
        let mut engine = Engine::new(base.profiles.clone(), options);
        let mut config = config.clone();
        config.apollo.endpoint = Str::default();
        engine.handle(0, Event::Configured(Arc::new(config)));
        let (_, objects) = base.scenario(change, &base.config).into_parts();
        objects.into_iter().for_each(|object| engine.handle(0, object));
        Self(engine)
    }

    /// Where the pod would go if it were placed again.
    fn again(&mut self, pod: &Arc<Pod>) -> Option<Decision> {
        self.0.handle(0, Event::PodGone(PodRef::from(&**pod)));
        self.0.handle(0, Event::PodSet(unbound(pod)));
        let decision = self.0.explain_best(&pod.namespace, &pod.name, REPORTED);
        self.0.handle(0, Event::PodSet(pod.clone()));
        decision
    }
}

/// Places pods like this one until one does not fit, without those that wait.
fn capacity(base: &Base, change: &Change, config: &Config, like: &Pod, wanted: &dyn Fn() -> bool) -> Result<Capacity, Unwanted> {
    let mut alone = base.scenario(change, config);
    alone.retain(|object| !matches!(object, Event::PodSet(pod) if pod.node.is_none()));
    let options = Options { seed: base.seed, report_nodes: 1, ..Options::default() };
    let mut simulation = Simulation::with(alone, base.profiles.clone(), &options);
    let mut capacity = Capacity::default();
    let mut spec = (*like.spec).clone();
    spec.preemption = PreemptionPolicy::Never;
    let spec = Arc::new(spec);
    while capacity.fits < MOST_PODS {
        if !wanted() {
            return Err(Unwanted);
        }
        let n = capacity.fits;
        let (uid, name) = (format!("{}~{n}", like.uid).into(), format!("{}~{n}", like.name).into());
        let pod = Pod { uid, name, spec: spec.clone(), ..(*unbound(like)).clone() };
        simulation.create_pod(Arc::new(pod));
        let Some(decision) = simulation.next_decision() else { break };
        let Some(node) = &decision.node else {
            capacity.runs_out = decision.refusals.iter().map(|v| (v.plugin, v.message.clone().into_owned(), v.n_nodes)).collect();
            capacity.runs_out.sort_by_key(|(_, _, n)| core::cmp::Reverse(*n));
            return Ok(capacity);
        };
        capacity.fits += 1;
        *capacity.by_node.entry(node.clone()).or_default() += 1;
    }
    capacity.stopped = true;
    Ok(capacity)
}

#[cfg(test)]
mod tests;
