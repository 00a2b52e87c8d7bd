//! Counts and gauges for Prometheus, under kube-scheduler's names where it has them.
//! Cheap to update from the event loop; gauges are read from the engine only when somebody scrapes.

use crate::views::Status;
use aisched_model::policy::PolicySource;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How an attempt to schedule a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// Bound.
    Scheduled,
    /// No node would do.
    Unschedulable,
    /// Something went wrong: a bind that failed.
    Error,
}

/// A queue that pods come into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are kube-scheduler's queue names")]
pub enum QueueName {
    Active,
    Backoff,
    Unschedulable,
    Gated,
}

impl EncodeLabelValue for AttemptResult {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        })
    }
}

impl EncodeLabelValue for QueueName {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        encoder.write_str(match self {
            Self::Active => "active",
            Self::Backoff => "backoff",
            Self::Unschedulable => "unschedulable",
            Self::Gated => "gated",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    result: AttemptResult,
    profile: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InQueue {
    queue: QueueName,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Incoming {
    queue: QueueName,
    event: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfType {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithResult {
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FromSource {
    source: &'static str,
}

type Counters<L> = Family<L, Counter>;
type Gauges<L> = Family<L, Gauge>;

/// All metrics.
pub struct Metrics {
    registry: Registry,
    attempts: Counters<Attempt>,
    attempt_seconds: Family<Attempt, Histogram, fn() -> Histogram>,
    algorithm_seconds: Histogram,
    pending: Gauges<InQueue>,
    incoming: Counters<Incoming>,
    cache_size: Gauges<OfType>,
    synced: Gauge,
    config_generation: Gauge,
    policy_resolutions: Counters<FromSource>,
    apollo_requests: Counters<WithResult>,
    events_dropped: Counter,
    log_lines_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let mut metrics = Self {
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(milliseconds_to_seconds),
            algorithm_seconds: milliseconds_to_seconds(),
            pending: Family::default(),
            incoming: Family::default(),
            cache_size: Family::default(),
            synced: Gauge::default(),
            config_generation: Gauge::default(),
            policy_resolutions: Family::default(),
            apollo_requests: Family::default(),
            events_dropped: Counter::default(),
            log_lines_dropped: Counter::default(),
            registry: Registry::default(),
        };
        metrics.register_kube_scheduler(&mut registry);
        metrics.register_own(&mut registry);
        metrics.registry = registry;
        metrics
    }

    /// Names are given without `_total`: the encoder appends it to counters.
    fn register_kube_scheduler(&self, registry: &mut Registry) {
        registry.register("scheduler_schedule_attempts", "Attempts to schedule pods, by result and profile", self.attempts.clone());
        let help = "Seconds from the start of an attempt to its end, binding included";
        registry.register("scheduler_scheduling_attempt_duration_seconds", help, self.attempt_seconds.clone());
        let help = "Seconds that finding a node took";
        registry.register("scheduler_scheduling_algorithm_duration_seconds", help, self.algorithm_seconds.clone());
        registry.register("scheduler_pending_pods", "Waiting pods, by queue", self.pending.clone());
        registry.register("scheduler_queue_incoming_pods", "Pods that came into a queue, by queue and event", self.incoming.clone());
        registry.register("scheduler_cache_size", "Nodes and placed pods in the cache, by type", self.cache_size.clone());
    }

    fn register_own(&self, registry: &mut Registry) {
        registry.register("ai_storage_synced", "1 when every first list of the API server has arrived", self.synced.clone());
        let help = "Configurations applied since the start; 0 is the built-in default";
        registry.register("ai_storage_config_generation", help, self.config_generation.clone());
        let help = "Policy questions settled, by source: APOLLO, CACHE or FALLBACK";
        registry.register("ai_storage_policy_resolutions", help, self.policy_resolutions.clone());
        registry.register("ai_storage_apollo_requests", "Requests to APOLLO, by result", self.apollo_requests.clone());
        let help = "Kubernetes events that were not written because too many waited";
        registry.register("ai_storage_events_dropped", help, self.events_dropped.clone());
        let help = "Log lines that were dropped because the reader was slow";
        registry.register("ai_storage_log_lines_dropped", help, self.log_lines_dropped.clone());
    }

    /// An attempt of `profile` has ended; `took` counts from taking the pod off the queue, for a bound pod to the end of the bind.
    pub fn attempt(&self, profile: &str, result: AttemptResult, took: Duration) {
        let labels = Attempt { result, profile: profile.into() };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Finding a node, or that there is none, took so long.
    pub fn algorithm(&self, took: Duration) {
        self.algorithm_seconds.observe(took.as_secs_f64());
    }

    /// A pod came into a queue for a reason that kube-scheduler names: `PodAdd`, `ScheduleAttemptFailure`, `NodeAdd` …
    pub fn queue_incoming(&self, queue: QueueName, event: &str) {
        self.incoming.get_or_create(&Incoming { queue, event: event.into() }).inc();
    }

    /// A policy question was settled.
    pub fn policy_resolved(&self, source: PolicySource) {
        self.policy_resolutions.get_or_create(&FromSource { source: source.as_str() }).inc();
    }

    /// Requests to APOLLO with this result since the start.
    pub fn set_apollo_requests(&self, result: &str, n: u64) {
        raise(&self.apollo_requests.get_or_create(&WithResult { result: result.into() }), n);
    }

    /// Kubernetes events dropped since the start.
    pub fn set_events_dropped(&self, n: u64) {
        raise(&self.events_dropped, n);
    }

    /// Log lines dropped since the start.
    pub fn set_log_lines_dropped(&self, n: u64) {
        raise(&self.log_lines_dropped, n);
    }

    pub(crate) fn set_gauges(&self, status: &Status) {
        let queue = status.queue;
        let pending = [
            (QueueName::Active, queue.active),
            (QueueName::Backoff, queue.backoff),
            (QueueName::Unschedulable, queue.unschedulable),
            (QueueName::Gated, queue.gated),
        ];
        for (queue, n) in pending {
            self.pending.get_or_create(&InQueue { queue }).set(gauge(n));
        }
        for (r#type, n) in [("nodes", status.n_nodes), ("pods", status.n_pods)] {
            self.cache_size.get_or_create(&OfType { r#type }).set(gauge(n));
        }
        self.synced.set(i64::from(status.synced));
        self.config_generation.set(i64::try_from(status.config_generation).unwrap_or(i64::MAX));
    }

    /// Prometheus' text format 0.0.4, in which a counter bears its whole name, as kube-scheduler's do.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// kube-scheduler's buckets of 1 ms, doubled up to 16 s.
fn milliseconds_to_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// Counters are kept by whoever counts; a counter never goes back, whatever comes in late.
fn raise(counter: &Counter<u64, AtomicU64>, n: u64) {
    counter.inner().fetch_max(n, Ordering::Relaxed);
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::QueueView;

    fn lines(text: &str) -> Vec<&str> {
        text.lines().filter(|l| !l.starts_with("# HELP") && !l.contains("_bucket{")).collect()
    }

    #[test]
    fn names_and_labels_are_those_of_kube_scheduler() {
        let metrics = Metrics::new();
        metrics.attempt("default", AttemptResult::Scheduled, Duration::from_millis(2));
        metrics.algorithm(Duration::from_millis(1));
        metrics.queue_incoming(QueueName::Active, "PodAdd");
        metrics.policy_resolved(PolicySource::Fallback);
        for n in [7, 5] {
            metrics.set_apollo_requests("deadline", n);
        }
        metrics.set_events_dropped(3);
        let queue = QueueView { active: 1, backoff: 2, unschedulable: 3, gated: 4 };
        let apollo = serde_json::Value::Null;
        let status = Status { version: "", synced: true, config_generation: 6, queue, n_waiting: 10, n_nodes: 5, n_pods: 9, apollo };
        metrics.set_gauges(&status);
        let text = metrics.text();
        for line in [
            "# TYPE scheduler_schedule_attempts_total counter",
            "scheduler_schedule_attempts_total{result=\"scheduled\",profile=\"default\"} 1",
            "# TYPE scheduler_scheduling_attempt_duration_seconds histogram",
            "scheduler_scheduling_attempt_duration_seconds_count{result=\"scheduled\",profile=\"default\"} 1",
            "scheduler_scheduling_algorithm_duration_seconds_count 1",
            "# TYPE scheduler_pending_pods gauge",
            "scheduler_pending_pods{queue=\"active\"} 1",
            "scheduler_pending_pods{queue=\"backoff\"} 2",
            "scheduler_pending_pods{queue=\"unschedulable\"} 3",
            "scheduler_pending_pods{queue=\"gated\"} 4",
            "scheduler_queue_incoming_pods_total{queue=\"active\",event=\"PodAdd\"} 1",
            "scheduler_cache_size{type=\"nodes\"} 5",
            "scheduler_cache_size{type=\"pods\"} 9",
            "ai_storage_synced 1",
            "ai_storage_config_generation 6",
            "ai_storage_policy_resolutions_total{source=\"FALLBACK\"} 1",
            "ai_storage_apollo_requests_total{result=\"deadline\"} 7",
            "ai_storage_events_dropped_total 3",
            "ai_storage_log_lines_dropped_total 0",
        ] {
            assert!(lines(&text).contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn buckets_are_those_of_kube_scheduler() {
        let metrics = Metrics::new();
        metrics.algorithm(Duration::from_millis(3));
        let text = metrics.text();
        let buckets: Vec<&str> =
            text.lines().filter_map(|l| l.strip_prefix("scheduler_scheduling_algorithm_duration_seconds_bucket")).collect();
        assert_eq!(buckets.len(), 16, "{text}");
        assert_eq!(buckets[..4], ["{le=\"0.001\"} 0", "{le=\"0.002\"} 0", "{le=\"0.004\"} 1", "{le=\"0.008\"} 1"]);
        assert_eq!(buckets[14..], ["{le=\"16.384\"} 1", "{le=\"+Inf\"} 1"]);
    }
}
