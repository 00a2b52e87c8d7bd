//! Decisions as a table, a line each: where the pod went and which two score components decided it.
//! Leaves out why in full: that is `pod`.

use super::view::DecisionView;
use crate::tables::Style;
use std::collections::{BTreeMap, HashSet};

/// The latest decision on each pod, by name. `decisions` are newest first.
pub(crate) fn latest(decisions: Vec<DecisionView>) -> Vec<DecisionView> {
    let mut seen = HashSet::new();
    let mut latest: Vec<DecisionView> = decisions.into_iter().filter(|d| seen.insert(d.pod.clone())).collect();
    latest.sort_by(|a, b| a.pod.cmp(&b.pod));
    latest
}

/// The table. `tiers` are the nodes' tiers by name; pods of `namespace` are shown without it.
pub(crate) fn table(decisions: &[DecisionView], tiers: &BTreeMap<String, String>, namespace: Option<&str>, style: Style) -> String {
    let rows: Vec<Vec<String>> = decisions.iter().map(|decision| row(decision, tiers, namespace)).collect();
    style.table(&["POD", "NODE", "TIER", "TOTAL", "DECIDED BY"], &[3], &rows)
}

fn row(decision: &DecisionView, tiers: &BTreeMap<String, String>, namespace: Option<&str>) -> Vec<String> {
    let in_namespace = namespace.and_then(|ns| decision.pod.strip_prefix(ns)?.strip_prefix('/'));
    let pod = in_namespace.unwrap_or(&decision.pod).to_owned();
    let dash = || "-".to_owned();
    let Some(node) = &decision.node else {
        let message = decision.message.as_deref().unwrap_or("no reason is known");
        return vec![pod, dash(), dash(), dash(), format!("waits: {message}")];
    };
    let tier = tiers.get(node).filter(|t| !t.is_empty()).cloned().unwrap_or_else(dash);
    let total = decision.best().and_then(|n| n.total).map_or_else(dash, |t| t.to_string());
    vec![pod, node.clone(), tier, total, decided_by(decision)]
}

/// `performance +60, cache +45 (over node-b)`.
pub(crate) fn decided_by(decision: &DecisionView) -> String {
    let parts = decision.deciding();
    match decision.runner_up() {
        None => {
            let parts: Vec<String> = parts.iter().map(|p| format!("{} {}", decision.short_name(p), p.points)).collect();
            if parts.is_empty() { "the only node that would do".into() } else { format!("{} (no other node would do)", parts.join(", ")) }
        }
        Some(other) if parts.is_empty() => format!("drawn by lot: level with {}", other.node),
        Some(other) => {
            let parts: Vec<String> = parts.iter().map(|p| format!("{} {:+}", decision.short_name(p), p.lead())).collect();
            format!("{} (over {})", parts.join(", "), other.node)
        }
    }
}
