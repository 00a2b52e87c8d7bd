//! Dashboard and alerts ask only for what is exported: every metric and label in them is in the catalogue, and nothing is left unwatched.
//! Leaves out Prometheus' grammar: names, label matchers and groupings are looked at, no more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use aisched_http::catalog::{Entry, KUBE_SCHEDULER, Kind, OWN};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What Prometheus adds to every sample, and histograms to their buckets.
const ADDED: &[&str] = &["instance", "job", "namespace", "pod", "le"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deployments/monitoring").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Title and expressions of every panel.
fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let panel = |p: &Value| (text(&p["title"]), p["targets"].as_array().unwrap().iter().map(|t| text(&t["expr"])).collect());
    dashboard["panels"].as_array().unwrap().iter().map(panel).collect()
}

/// Name and expression of every alert; each is written on a line of its own.
fn alerts() -> Vec<(String, String)> {
    let text = read("alerts.yaml");
    let field =
        |key: &str| text.lines().filter_map(|l| l.trim().trim_start_matches("- ").strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>();
    let (names, expressions) = (field("alert: "), field("expr: "));
    assert_eq!(names.len(), expressions.len(), "an alert without an expression on its line");
    names.into_iter().zip(expressions).collect()
}

/// The words of an expression that are no numbers, strings or durations.
fn words(expression: &str) -> Vec<&str> {
    let outside: Vec<&str> = expression
        .split('"')
        .step_by(2)
        .flat_map(|part| part.split('[').map(|p| p.rsplit_once(']').map_or(p, |(_, after)| after)))
        .collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = outside.into_iter().flat_map(|part| part.split(move |c| !is_word(c)));
    words.filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic())).collect()
}

/// The metric that a name in an expression is a part of.
fn metric(word: &str) -> Option<&'static Entry> {
    KUBE_SCHEDULER.iter().chain(OWN).find(|entry| match entry.kind {
        Kind::Counter | Kind::Gauge => entry.name == word,
        Kind::Histogram => word.strip_prefix(entry.name).is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end)),
    })
}

const FUNCTIONS: &[&str] = &["sum", "max", "min", "by", "rate", "histogram_quantile", "absent", "or"];

/// What an expression asks for that is not exported.
fn unknown(expression: &str) -> Vec<String> {
    let words = words(expression);
    let metrics: Vec<&Entry> = words.iter().filter_map(|w| metric(w)).collect();
    if metrics.is_empty() {
        return vec![format!("no metric in {expression}")];
    }
    let is_known =
        |w: &&str| metric(w).is_some() || FUNCTIONS.contains(w) || ADDED.contains(w) || metrics.iter().any(|m| m.labels.contains(w));
    words.into_iter().filter(|w| !is_known(w)).map(str::to_owned).collect()
}

#[test]
fn panels_and_alerts_ask_for_what_is_exported() {
    let of_panels = panels().into_iter().flat_map(|(title, targets)| targets.into_iter().map(move |t| (title.clone(), t)));
    let mut n_checked = 0;
    for (title, expression) in of_panels.chain(alerts()) {
        assert_eq!(unknown(&expression), Vec::<String>::new(), "{title}: {expression}");
        n_checked += 1;
    }
    assert!(n_checked > 30, "{n_checked}");
}

#[test]
fn check_sees_what_is_wrong() {
    for (expression, expected) in [
        ("sum(rate(scheduler_schedule_attempts[5m]))", "no metric in"),
        ("sum by (reason) (rate(scheduler_schedule_attempts_total[5m]))", "reason"),
        ("scheduler_pending_pods{queues=\"active\"}", "queues"),
        ("rate(scheduler_pod_scheduling_attempts[5m])", "no metric in"),
        ("average(scheduler_pending_pods)", "average"),
    ] {
        let faults = unknown(expression);
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{expression}: {faults:?}");
    }
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let shown: BTreeSet<&str> = panels()
        .iter()
        .flat_map(|(_, targets)| targets.iter().flat_map(|t| words(t)).filter_map(metric).map(|m| m.name).collect::<Vec<_>>())
        .collect();
    assert_eq!(shown, KUBE_SCHEDULER.iter().chain(OWN).map(|m| m.name).collect());
}
