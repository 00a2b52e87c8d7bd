//! Counts and gauges for Prometheus, under kube-scheduler's names where it has them.
//! Cheap to update from the event loop; gauges are read from the engine only when somebody scrapes.

pub mod catalog;
mod labels;

pub use labels::AttemptResult;

use crate::views::Gauges;
use aisched_model::policy::PolicySource;
use catalog::{KUBE_SCHEDULER, OWN};
use labels::{
    Attempt, Attempts, FromSource, InQueue, InState, Incoming, OfEvent, OfKind, OfName, OfType, RefusedBy, RestCall, RestRequest,
    WithResult,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Attempts that are told apart; more are `15+`.
const MOST_ATTEMPTS: u32 = 15;
const LATENCY: &str = "ai_storage_apollo_request_duration_seconds";

type Counters<L> = Family<L, Counter>;
type Gauges1<L> = Family<L, Gauge>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics.
pub struct Metrics {
    registry: Registry,
    attempts: Counters<Attempt>,
    attempt_seconds: Histograms<Attempt>,
    algorithm_seconds: Histogram,
    sli_seconds: Histograms<Attempts>,
    pod_attempts: Histogram,
    victims: Histogram,
    preemptions: Counter,
    incoming: Counters<Incoming>,
    pending: Gauges1<InQueue>,
    unschedulable: Gauges1<RefusedBy>,
    cache_size: Gauges1<OfType>,
    event_seconds: Histograms<OfEvent>,
    leads: Gauges1<OfName>,
    rest_requests: Counters<RestRequest>,
    rest_seconds: Histograms<RestCall>,
    rest_waits: Histograms<RestCall>,
    synced: Gauge,
    config_generation: Gauge,
    api_problems: Gauge,
    policy_resolutions: Counters<FromSource>,
    apollo_requests: Counters<WithResult>,
    apollo_latency: Latency,
    breaker: Gauges1<InState>,
    cached_policies: Gauge,
    apollo_reports: Counters<WithResult>,
    apollo_oddities: Counters<OfKind>,
    events_dropped: Counter,
    conditions_dropped: Counter,
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
        let mut metrics = Self {
            registry: Registry::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(milliseconds_to_seconds),
            algorithm_seconds: milliseconds_to_seconds(),
            sli_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 20))),
            pod_attempts: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            victims: Histogram::new(exponential_buckets(1.0, 2.0, 7)),
            preemptions: Counter::default(),
            incoming: Family::default(),
            pending: Family::default(),
            unschedulable: Family::default(),
            cache_size: Family::default(),
            event_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0001, 2.0, 12))),
            leads: Family::default(),
            rest_requests: Family::default(),
            rest_seconds: Family::new_with_constructor(rest_seconds),
            rest_waits: Family::new_with_constructor(rest_seconds),
            synced: Gauge::default(),
            config_generation: Gauge::default(),
            api_problems: Gauge::default(),
            policy_resolutions: Family::default(),
            apollo_requests: Family::default(),
            apollo_latency: Latency::default(),
            breaker: Family::default(),
            cached_policies: Gauge::default(),
            apollo_reports: Family::default(),
            apollo_oddities: Family::default(),
            events_dropped: Counter::default(),
            conditions_dropped: Counter::default(),
            log_lines_dropped: Counter::default(),
        };
        metrics.registry = metrics.registered();
        metrics
    }

    fn registered(&self) -> Registry {
        let mut registry = Registry::default();
        let r = &mut registry;
        register(r, "scheduler_schedule_attempts_total", &self.attempts);
        register(r, "scheduler_scheduling_attempt_duration_seconds", &self.attempt_seconds);
        register(r, "scheduler_scheduling_algorithm_duration_seconds", &self.algorithm_seconds);
        register(r, "scheduler_pod_scheduling_sli_duration_seconds", &self.sli_seconds);
        register(r, "scheduler_pod_scheduling_attempts", &self.pod_attempts);
        register(r, "scheduler_preemption_victims", &self.victims);
        register(r, "scheduler_preemption_attempts_total", &self.preemptions);
        register(r, "scheduler_queue_incoming_pods_total", &self.incoming);
        register(r, "scheduler_pending_pods", &self.pending);
        register(r, "scheduler_unschedulable_pods", &self.unschedulable);
        register(r, "scheduler_cache_size", &self.cache_size);
        register(r, "scheduler_event_handling_duration_seconds", &self.event_seconds);
        register(r, "leader_election_master_status", &self.leads);
        register(r, "rest_client_requests_total", &self.rest_requests);
        register(r, "rest_client_request_duration_seconds", &self.rest_seconds);
        register(r, "rest_client_rate_limiter_duration_seconds", &self.rest_waits);
        register(r, "ai_storage_synced", &self.synced);
        register(r, "ai_storage_config_generation", &self.config_generation);
        register(r, "ai_storage_api_problems", &self.api_problems);
        register(r, "ai_storage_policy_resolutions_total", &self.policy_resolutions);
        register(r, "ai_storage_apollo_requests_total", &self.apollo_requests);
        registry.register_collector(Box::new(self.apollo_latency.clone()));
        let r = &mut registry;
        register(r, "ai_storage_apollo_breaker_state", &self.breaker);
        register(r, "ai_storage_apollo_cached_policies", &self.cached_policies);
        register(r, "ai_storage_apollo_reports_total", &self.apollo_reports);
        register(r, "ai_storage_apollo_oddities_total", &self.apollo_oddities);
        register(r, "ai_storage_events_dropped_total", &self.events_dropped);
        register(r, "ai_storage_conditions_dropped_total", &self.conditions_dropped);
        register(r, "ai_storage_log_lines_dropped_total", &self.log_lines_dropped);
        registry
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

    /// A pod is bound, so long after it came into the queue.
    pub fn pod_scheduled(&self, attempts: u32, waited: Duration) {
        let label = if attempts >= MOST_ATTEMPTS { format!("{MOST_ATTEMPTS}+") } else { attempts.to_string() };
        self.sli_seconds.get_or_create(&Attempts { attempts: label }).observe(waited.as_secs_f64());
        self.pod_attempts.observe(f64::from(attempts));
    }

    /// Victims were looked for.
    pub fn preemption_attempt(&self) {
        self.preemptions.inc();
    }

    /// As many pods are deleted for another.
    pub fn preempted(&self, n_victims: usize) {
        self.victims.observe(f64::from(u32::try_from(n_victims).unwrap_or(u32::MAX)));
    }

    /// Taking in an event took so long.
    pub fn event_handled(&self, event: &'static str, took: Duration) {
        self.event_seconds.get_or_create(&OfEvent { event }).observe(took.as_secs_f64());
    }

    /// The API server answered a request with this code, or not at all, after so long, not counting the wait for `--kube-api-qps`, if there
    /// is such a wait.
    pub fn rest_request(&self, host: &str, method: &str, code: Option<u16>, waited: Option<Duration>, took: Duration) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        let call = RestCall { host: host.into(), verb: method.into() };
        self.rest_requests.get_or_create(&RestRequest { code, host: host.into(), method: method.into() }).inc();
        self.rest_seconds.get_or_create(&call).observe(took.as_secs_f64());
        if let Some(waited) = waited {
            self.rest_waits.get_or_create(&call).observe(waited.as_secs_f64());
        }
    }

    /// Whether this process holds the lease of this name.
    pub fn set_leads(&self, lease: &str, leads: bool) {
        self.leads.get_or_create(&OfName { name: lease.into() }).set(i64::from(leads));
    }

    /// A policy question was settled.
    pub fn policy_resolved(&self, source: PolicySource) {
        self.policy_resolutions.get_or_create(&FromSource { source: source.as_str() }).inc();
    }

    /// Requests to APOLLO with this result since the start.
    pub fn set_apollo_requests(&self, result: &'static str, n: u64) {
        raise(&self.apollo_requests.get_or_create(&WithResult { result }), n);
    }

    /// How long APOLLO took since the start: requests per bucket, not cumulative, under the bounds in milliseconds; and their sum.
    pub fn set_apollo_latency(&self, bounds_ms: &[u64], buckets: &[u64], sum: Duration) {
        let bounds = bounds_ms.iter().map(|ms| Duration::from_millis(*ms).as_secs_f64()).chain([f64::INFINITY]);
        *self.apollo_latency.0.lock().unwrap_or_else(PoisonError::into_inner) =
            LatencyNow { sum: sum.as_secs_f64(), buckets: bounds.zip(buckets.iter().copied()).collect() };
    }

    /// The circuit breaker is in one of these states.
    pub fn set_apollo_breaker(&self, states: [&'static str; 3], state: &str) {
        for known in states {
            self.breaker.get_or_create(&InState { state: known }).set(i64::from(known == state));
        }
    }

    /// Policies in the cache.
    pub fn set_apollo_cached(&self, n: usize) {
        self.cached_policies.set(gauge(n));
    }

    /// Reports with this result since the start.
    pub fn set_apollo_reports(&self, result: &'static str, n: u64) {
        raise(&self.apollo_reports.get_or_create(&WithResult { result }), n);
    }

    /// Parts of answers set aside since the start.
    pub fn set_apollo_oddities(&self, kind: &'static str, n: u64) {
        raise(&self.apollo_oddities.get_or_create(&OfKind { kind }), n);
    }

    /// What is wrong with the API server now.
    pub fn set_api_problems(&self, n: usize) {
        self.api_problems.set(gauge(n));
    }

    /// Kubernetes events dropped since the start.
    pub fn set_events_dropped(&self, n: u64) {
        raise(&self.events_dropped, n);
    }

    /// Conditions dropped since the start.
    pub fn set_conditions_dropped(&self, n: u64) {
        raise(&self.conditions_dropped, n);
    }

    /// Log lines dropped since the start.
    pub fn set_log_lines_dropped(&self, n: u64) {
        raise(&self.log_lines_dropped, n);
    }

    pub(crate) fn set_gauges(&self, now: &Gauges) {
        let queue = now.queue;
        let pending =
            [("active", queue.active), ("backoff", queue.backoff), ("unschedulable", queue.unschedulable), ("gated", queue.gated)];
        for (queue, n) in pending {
            self.pending.get_or_create(&InQueue { queue }).set(gauge(n));
        }
        for ((queue, event), n) in &now.incoming {
            raise(&self.incoming.get_or_create(&Incoming { queue, event }), *n);
        }
        for (r#type, n) in [("nodes", now.n_nodes), ("pods", now.n_pods), ("assumed_pods", now.n_assumed)] {
            self.cache_size.get_or_create(&OfType { r#type }).set(gauge(n));
        }
        // A plugin that refuses nobody any more disappears, as pods that were refused do.
        self.unschedulable.clear();
        for ((plugin, profile), n) in &now.refused {
            self.unschedulable.get_or_create(&RefusedBy { plugin, profile: profile.to_string() }).set(gauge(*n));
        }
        self.synced.set(i64::from(now.synced));
        self.config_generation.set(i64::try_from(now.config_generation).unwrap_or(i64::MAX));
    }

    /// Prometheus' text format 0.0.4, in which a counter bears its whole name, as kube-scheduler's do.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Registers a metric with what the catalogue says of it. Names are given to the registry without `_total`: the encoder appends it.
fn register(registry: &mut Registry, name: &'static str, metric: &(impl Metric + Clone)) {
    registry.register(name.strip_suffix("_total").unwrap_or(name), help(name), metric.clone());
}

fn help(name: &str) -> &'static str {
    KUBE_SCHEDULER.iter().chain(OWN).find(|entry| entry.name == name).map_or("", |entry| entry.help)
}

/// A histogram that somebody else fills.
#[derive(Clone, Debug, Default)]
struct Latency(Arc<Mutex<LatencyNow>>);

#[derive(Clone, Debug, Default)]
struct LatencyNow {
    sum: f64,
    buckets: Vec<(f64, u64)>,
}

impl Collector for Latency {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let now = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let n = now.buckets.iter().map(|(_, n)| n).sum();
        let mut encoder = encoder.encode_descriptor(LATENCY, help(LATENCY), None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(now.sum, n, &now.buckets, None)
    }
}

/// kube-scheduler's buckets of 1 ms, doubled up to 16 s.
fn milliseconds_to_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// client-go's buckets.
fn rest_seconds() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0])
}

/// A counter that others keep never goes back, whatever comes in late.
fn raise(counter: &Counter<u64, AtomicU64>, n: u64) {
    counter.inner().fetch_max(n, Ordering::Relaxed);
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
