//! Decisions with when and how they came about, waiting pods by reason, and the lines of the stream: in the shapes that the API shows.
//! Leaves out a decision's own shape: that is the core's (`product.md` §4).

use aisched_core::cures::Cure;
use aisched_core::decision::{Decision, RunnerUp};
use aisched_core::event::Millis;
use aisched_core::records::Record;
use aisched_core::view::{Held, View};
use aisched_model::Str;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A decision, and when and how it came about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView<D: AsRef<Decision>> {
    #[serde(serialize_with = "plain", flatten)]
    decision: D,
    /// Milliseconds since 1970.
    at: u64,
    attempt: u32,
    waited_ms: u64,
    took: TookView,
}

fn plain<D: AsRef<Decision>, S: serde::Serializer>(decision: &D, serializer: S) -> Result<S::Ok, S::Error> {
    decision.as_ref().serialize(serializer)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TookView {
    decide_us: Option<u64>,
    attempt_us: Option<u64>,
}

impl<D: AsRef<Decision>> RecordView<D> {
    /// `record` as it stands at the engine's time `now`; `decision` is the record's own, or a later one on the same pod.
    pub(crate) fn new(record: &Record, decision: D, now: Millis) -> Self {
        let took = TookView { decide_us: record.took.decide_us, attempt_us: record.took.attempt_us };
        Self { decision, at: unix_ms(now, record.at), attempt: record.attempt, waited_ms: record.waited_ms, took }
    }
}

/// What the wall clock said when the engine's clock, which says `now`, said `then`.
fn unix_ms(now: Millis, then: Millis) -> u64 {
    let then = SystemTime::now().checked_sub(Duration::from_millis(now.saturating_sub(then)));
    then.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
}

/// A decision in one line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    /// Milliseconds since 1970.
    at: u64,
    pod: &'a Str,
    node: Option<&'a Str>,
    message: Option<&'a str>,
    #[serde(serialize_with = "total")]
    total: Option<i64>,
    runner_up: Option<&'a RunnerUp>,
    policy: &'static str,
    config_generation: u64,
    n_nodes: usize,
    n_feasible: usize,
}

#[allow(clippy::cast_precision_loss, clippy::ref_option, reason = "totals stay far below 2^53; serde gives a reference")]
fn total<S: serde::Serializer>(total: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    total.map(|t| t as f64 / 1000.0).serialize(serializer)
}

impl<'a> Line<'a> {
    /// The line of a decision that was taken just now.
    pub(crate) fn new(decision: &'a Decision) -> Self {
        Self {
            at: unix_ms(0, 0),
            pod: &decision.pod,
            node: decision.node.as_ref(),
            message: decision.message.as_deref(),
            total: decision.nodes.first().and_then(|n| n.total),
            runner_up: decision.runner_up.as_ref(),
            policy: decision.policy.source,
            config_generation: decision.config_generation,
            n_nodes: decision.n_nodes,
            n_feasible: decision.n_feasible,
        }
    }
}

/// Groups whose cures are worked out: the largest.
const CURED: usize = 10;

/// Waiting pods, those of the same reason together.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitingView {
    n_waiting: usize,
    groups: Vec<Group>,
}

/// Pods that wait for the same reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    reason: String,
    plugins: Vec<&'static str>,
    n_pods: usize,
    /// The first of them in the order in which they are tried.
    pods: Vec<WaitingPod>,
    /// What would cure the refusal of the first one.
    cures: Vec<Cure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitingPod {
    pod: String,
    scheduler_name: Str,
    priority: i32,
    queue: &'static str,
    attempts: u32,
    /// Milliseconds since 1970.
    since: u64,
}

impl WaitingView {
    /// The pods of `namespace` (of all without one), at most `limit` of each reason; the reason of most pods first.
    pub(crate) fn new(view: &View, namespace: Option<&str>, limit: usize) -> Self {
        let mut groups: BTreeMap<String, (Group, &Held)> = BTreeMap::new();
        let mut n_waiting = 0;
        for held in view.in_queue_order() {
            if namespace.is_some_and(|ns| *held.waiting.pod.namespace != *ns) {
                continue;
            }
            n_waiting += 1;
            let reason = reason(held);
            let new = || (Group { reason: reason.clone(), plugins: Vec::new(), n_pods: 0, pods: Vec::new(), cures: Vec::new() }, held);
            let (group, _) = groups.entry(reason.clone()).or_insert_with(new);
            group.n_pods += 1;
            for plugin in &held.waiting.refused_by {
                if !group.plugins.contains(plugin) {
                    group.plugins.push(plugin);
                }
            }
            if group.pods.len() < limit {
                group.pods.push(waiting_pod(held, view.now));
            }
        }
        let mut groups: Vec<(Group, &Held)> = groups.into_values().collect();
        groups.sort_by_key(|(group, _)| std::cmp::Reverse(group.n_pods));
        groups.iter_mut().take(CURED).for_each(|(group, first)| group.cures = view.cures(first));
        Self { n_waiting, groups: groups.into_iter().map(|(group, _)| group).collect() }
    }
}

/// Why a pod waits, in the words of its latest decision.
fn reason(held: &Held) -> String {
    let last = held.last.as_ref().and_then(|r| r.decision.message.clone());
    let held_back = held.held.as_ref().map(ToString::to_string);
    held_back.or(last).unwrap_or_else(|| "not tried yet".into())
}

fn waiting_pod(held: &Held, now: Millis) -> WaitingPod {
    let waiting = &held.waiting;
    WaitingPod {
        pod: waiting.pod.full_name(),
        scheduler_name: waiting.pod.spec.scheduler_name.clone(),
        priority: waiting.pod.spec.priority,
        queue: waiting.queue(),
        attempts: waiting.attempts,
        since: unix_ms(now, waiting.since),
    }
}
