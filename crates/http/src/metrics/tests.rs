//! What a scrape shows, held against the catalogue: names, kinds, labels and buckets.
//! Leaves out who counts.

use super::catalog::{KUBE_SCHEDULER, Kind, OWN};
use super::*;
use crate::views::QueueView;
use std::collections::{BTreeMap, BTreeSet};

/// Every metric once.
fn exercised() -> Metrics {
    let metrics = Metrics::new();
    metrics.attempt("default", AttemptResult::Scheduled, Duration::from_millis(2));
    metrics.algorithm(Duration::from_millis(3));
    metrics.pod_scheduled(2, Duration::from_millis(25));
    metrics.pod_scheduled(15, Duration::from_secs(1));
    metrics.preemption_attempt();
    metrics.preempted(3);
    metrics.event_handled("NodeAdd", Duration::from_micros(150));
    metrics.set_leads("keti/s", true);
    metrics.policy_resolved(PolicySource::Fallback);
    for n in [7, 5] {
        metrics.set_apollo_requests("deadline", n);
    }
    metrics.set_apollo_latency(&[1, 2000], &[4, 2, 1], Duration::from_millis(3500));
    metrics.set_apollo_breaker(["closed", "open", "half-open"], "open");
    metrics.set_apollo_cached(8);
    metrics.set_apollo_reports("accepted", 9);
    metrics.set_apollo_oddities("names_dropped", 2);
    metrics.set_api_problems(1);
    metrics.set_events_dropped(3);
    metrics.set_conditions_dropped(4);
    let queue = QueueView { active: 1, backoff: 2, unschedulable: 3, gated: 4 };
    metrics.rest_request("10.0.0.1:6443", "GET", Some(200), None, Duration::from_millis(20));
    metrics.rest_request("10.0.0.1:6443", "POST", None, Some(Duration::from_millis(200)), Duration::from_secs(2));
    let incoming = BTreeMap::from([(("backoff", "AssignedPodDelete"), 7)]);
    let refused = BTreeMap::from([(("NodeResourcesFit", "default".into()), 3)]);
    metrics.set_gauges(&Gauges { synced: true, config_generation: 6, queue, n_nodes: 5, n_pods: 9, n_assumed: 2, incoming, refused });
    metrics
}

#[test]
fn scrape_shows_what_was_counted() {
    let text = exercised().text();
    let lines: BTreeSet<&str> = text.lines().collect();
    for line in [
        "scheduler_schedule_attempts_total{result=\"scheduled\",profile=\"default\"} 1",
        "scheduler_scheduling_attempt_duration_seconds_count{result=\"scheduled\",profile=\"default\"} 1",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts=\"2\",le=\"0.02\"} 0",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts=\"2\",le=\"0.04\"} 1",
        "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"15+\"} 1",
        "scheduler_pod_scheduling_attempts_sum 17.0",
        "scheduler_preemption_attempts_total 1",
        "scheduler_preemption_victims_sum 3.0",
        "scheduler_pending_pods{queue=\"active\"} 1",
        "scheduler_pending_pods{queue=\"backoff\"} 2",
        "scheduler_pending_pods{queue=\"unschedulable\"} 3",
        "scheduler_pending_pods{queue=\"gated\"} 4",
        "scheduler_unschedulable_pods{plugin=\"NodeResourcesFit\",profile=\"default\"} 3",
        "scheduler_cache_size{type=\"nodes\"} 5",
        "scheduler_cache_size{type=\"pods\"} 9",
        "scheduler_cache_size{type=\"assumed_pods\"} 2",
        "scheduler_queue_incoming_pods_total{queue=\"backoff\",event=\"AssignedPodDelete\"} 7",
        "rest_client_requests_total{code=\"200\",host=\"10.0.0.1:6443\",method=\"GET\"} 1",
        "rest_client_requests_total{code=\"<error>\",host=\"10.0.0.1:6443\",method=\"POST\"} 1",
        "rest_client_request_duration_seconds_bucket{host=\"10.0.0.1:6443\",verb=\"GET\",le=\"0.025\"} 1",
        "rest_client_rate_limiter_duration_seconds_sum{host=\"10.0.0.1:6443\",verb=\"POST\"} 0.2",
        "leader_election_master_status{name=\"keti/s\"} 1",
        "ai_storage_synced 1",
        "ai_storage_config_generation 6",
        "ai_storage_policy_resolutions_total{source=\"FALLBACK\"} 1",
        "ai_storage_apollo_requests_total{result=\"deadline\"} 7",
        "ai_storage_apollo_request_duration_seconds_bucket{le=\"0.001\"} 4",
        "ai_storage_apollo_request_duration_seconds_bucket{le=\"2\"} 6",
        "ai_storage_apollo_request_duration_seconds_bucket{le=\"+Inf\"} 7",
        "ai_storage_apollo_request_duration_seconds_sum 3.5",
        "ai_storage_apollo_request_duration_seconds_count 7",
        "ai_storage_apollo_breaker_state{state=\"open\"} 1",
        "ai_storage_apollo_breaker_state{state=\"closed\"} 0",
        "ai_storage_events_dropped_total 3",
        "ai_storage_conditions_dropped_total 4",
        "ai_storage_log_lines_dropped_total 0",
    ] {
        assert!(lines.contains(line), "{line} is not in\n{text}");
    }
}

/// Labels of a sample line, `le` aside.
fn labels(line: &str) -> Vec<&str> {
    let inner = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inner, _)| inner);
    inner.split(',').filter_map(|pair| pair.split_once('=')).map(|(label, _)| label).filter(|label| *label != "le").collect()
}

#[test]
fn catalogue_is_what_is_exported() {
    let text = exercised().text();
    let types = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).filter_map(|l| l.split_once(' '));
    let exported: BTreeMap<&str, &str> = types.collect();
    let catalogue = KUBE_SCHEDULER.iter().chain(OWN);
    assert_eq!(exported.keys().copied().collect::<BTreeSet<_>>(), catalogue.clone().map(|e| e.name).collect());
    for entry in catalogue {
        let (kind, sample) = match entry.kind {
            Kind::Counter => ("counter", entry.name.to_owned()),
            Kind::Gauge => ("gauge", entry.name.to_owned()),
            Kind::Histogram => ("histogram", format!("{}_count", entry.name)),
        };
        assert_eq!(exported[entry.name], kind, "{}", entry.name);
        let line = text.lines().find(|l| l.starts_with(&sample)).unwrap_or_else(|| panic!("no sample of {}", entry.name));
        assert_eq!(labels(line), entry.labels, "{line}");
        assert!(text.contains(&format!("# HELP {} {}", entry.name, entry.help)), "{}", entry.name);
    }
}

#[test]
fn buckets_are_those_of_kube_scheduler() {
    let text = exercised().text();
    for (name, first, last, n) in [
        ("scheduler_scheduling_algorithm_duration_seconds", "0.001", "16.384", 15),
        ("scheduler_scheduling_attempt_duration_seconds", "0.001", "16.384", 15),
        ("scheduler_pod_scheduling_sli_duration_seconds", "0.01", "5242.88", 40),
        ("scheduler_pod_scheduling_attempts", "1", "16", 5),
        ("scheduler_preemption_victims", "1", "64", 7),
        ("scheduler_event_handling_duration_seconds", "0.0001", "0.2048", 12),
    ] {
        let prefix = format!("{name}_bucket{{");
        let bound = |line: &'_ str| Some(line.strip_prefix(&prefix)?.rsplit_once("le=\"")?.1.split_once('"')?.0.to_owned());
        let bounds: Vec<String> = text.lines().filter_map(bound).filter(|le| le != "+Inf").collect();
        let (first, last) = (first.to_owned(), last.to_owned());
        assert_eq!((bounds.first(), bounds.last(), bounds.len()), (Some(&first), Some(&last), n), "{name}: {bounds:?}");
    }
}

#[test]
fn plugin_that_refuses_nobody_any_more_is_gone() {
    let metrics = exercised();
    metrics.set_gauges(&Gauges::default());
    assert!(!metrics.text().contains("scheduler_unschedulable_pods{"));
}
