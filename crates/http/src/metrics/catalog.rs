//! Every metric that is exported: name, kind, labels, meaning. Registration, documentation and the checks of dashboard and alerts read it.
//! Leaves out counting.

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; `_total` is part of the name.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name, as scraped.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Entry {
    Entry { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Entry {
    Entry { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Entry {
    Entry { name, kind: Kind::Histogram, labels, help }
}

/// kube-scheduler's, with its names, labels, buckets and meanings.
pub const KUBE_SCHEDULER: &[Entry] = &[
    counter(
        "scheduler_schedule_attempts_total",
        &["result", "profile"],
        "Attempts to schedule pods, by result (scheduled, unschedulable, error) and profile",
    ),
    histogram(
        "scheduler_scheduling_attempt_duration_seconds",
        &["result", "profile"],
        "Seconds from the start of an attempt to its end, binding included",
    ),
    histogram("scheduler_scheduling_algorithm_duration_seconds", &[], "Seconds that finding a node took"),
    histogram(
        "scheduler_pod_scheduling_sli_duration_seconds",
        &["attempts"],
        "Seconds from entering the queue to being bound, by the number of attempts (15+ for as many and more)",
    ),
    histogram("scheduler_pod_scheduling_attempts", &[], "Attempts that a pod needed until it was bound"),
    histogram("scheduler_preemption_victims", &[], "Pods that one preemption had deleted"),
    counter("scheduler_preemption_attempts_total", &[], "Refused pods for which victims were looked for"),
    counter(
        "scheduler_queue_incoming_pods_total",
        &["queue", "event"],
        "Pods that came into a queue, by queue (active, backoff, unschedulable, gated) and by the event that brought them there",
    ),
    gauge("scheduler_pending_pods", &["queue"], "Waiting pods, by queue (active, backoff, unschedulable, gated)"),
    gauge(
        "scheduler_unschedulable_pods",
        &["plugin", "profile"],
        "Waiting pods that were refused, by plugin; a pod counts with every plugin that refused it",
    ),
    gauge("scheduler_cache_size", &["type"], "Nodes, pods on nodes, and assumed pods (on their way to one) in the cache, by type"),
    histogram("scheduler_event_handling_duration_seconds", &["event"], "Seconds that taking in an event took, by event"),
    gauge("leader_election_master_status", &["name"], "1 while this process holds the lease of this name"),
    counter(
        "rest_client_requests_total",
        &["code", "host", "method"],
        "Requests to the API server, by status code (<error> without one), server and method",
    ),
    histogram("rest_client_request_duration_seconds", &["host", "verb"], "Seconds until the API server answered, by server and method"),
    histogram(
        "rest_client_rate_limiter_duration_seconds",
        &["host", "verb"],
        "Seconds that requests waited for --kube-api-qps, by server and method; nothing is measured without it",
    ),
];

/// The scheduler's own.
pub const OWN: &[Entry] = &[
    gauge("ai_storage_synced", &[], "1 when every first list of the API server has arrived"),
    gauge("ai_storage_config_generation", &[], "Configurations applied since the start; 0 is the built-in default"),
    gauge(
        "ai_storage_api_problems",
        &[],
        "Things that keep the scheduler from working with the API server: not reachable, credentials refused, verbs forbidden",
    ),
    counter("ai_storage_policy_resolutions_total", &["source"], "Policy questions settled, by source (APOLLO, CACHE, FALLBACK)"),
    counter(
        "ai_storage_apollo_requests_total",
        &["result"],
        "Requests to APOLLO, by result (policy, empty, other_pod, deadline, failed; not made: breaker_open, overflow)",
    ),
    histogram("ai_storage_apollo_request_duration_seconds", &[], "Seconds until APOLLO answered or failed"),
    gauge("ai_storage_apollo_breaker_state", &["state"], "1 for the state that the circuit breaker before APOLLO is in"),
    gauge("ai_storage_apollo_cached_policies", &[], "Policies in the cache"),
    counter(
        "ai_storage_apollo_reports_total",
        &["result"],
        "Reports to APOLLO of what became of its answers, by result (accepted, rejected, failed, dropped, repeated)",
    ),
    counter("ai_storage_apollo_oddities_total", &["kind"], "Parts of APOLLO's answers that were set aside, by kind"),
    counter("ai_storage_events_dropped_total", &[], "Kubernetes events that were not written because too many waited"),
    counter(
        "ai_storage_conditions_dropped_total",
        &[],
        "Conditions of pods that were not written: too many waited, or the server took none of several attempts",
    ),
    counter("ai_storage_log_lines_dropped_total", &[], "Log lines that were dropped because the reader was slow"),
];

/// Metrics of kube-scheduler that are not exported, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "scheduler_goroutines, scheduler_preemption_goroutines_*, scheduler_async_api_call_*, scheduler_pending_async_api_calls",
        "there are no goroutines, and no dispatcher: every call is a task of its own",
    ),
    (
        "scheduler_pod_scheduled_after_flush_total",
        "pods that are flushed are counted by scheduler_queue_incoming_pods_total as UnschedulableTimeout",
    ),
    (
        "scheduler_plugin_execution_duration_seconds, scheduler_framework_extension_point_duration_seconds, scheduler_plugin_evaluation_total, scheduler_queueing_hint_execution_duration_seconds",
        "plugins judge all nodes at once in a core that has no clock, and keep what did not change: a time per call would measure something else under the same name",
    ),
    ("scheduler_permit_wait_duration_seconds", "no plugin of this version makes a pod wait at permit"),
    (
        "scheduler_inflight_events, scheduler_pre_queueing_hint_evaluations_total",
        "the scheduling cycle takes events in between two attempts, so that none has to be kept; hints look at refused pods alone",
    ),
    (
        "scheduler_queued_entities, scheduler_queue_incoming_entities_total",
        "there are no groups in the queue: each entity is a pod, counted by scheduler_pending_pods and scheduler_queue_incoming_pods_total",
    ),
    (
        "scheduler_batch_*, scheduler_get_node_hint_duration_seconds, scheduler_store_schedule_results_duration_seconds",
        "what is kept between pods is another thing here",
    ),
    (
        "scheduler_podgroup_*, scheduler_placement_*, scheduler_workload_preemption_*, scheduler_dra_*",
        "gangs and devices are not part of this version",
    ),
    ("rest_client_request_size_bytes and others of client-go, workqueue_*, go_*, process_*", "of client-go and the Go runtime"),
];
