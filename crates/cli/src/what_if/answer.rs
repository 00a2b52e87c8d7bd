//! The answer to a what-if question as JSON, and as a table.
//! Leaves out how it was found.

use crate::tables::Style;
use aisched_sim::what_if::{Capacity, Kind, Totals, WhatIf};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Moves that a table shows.
const SHOWN: usize = 50;

/// As the API gives it.
pub(super) fn json(answer: &WhatIf) -> Value {
    let moves: Vec<Value> = answer
        .moves
        .iter()
        .map(|m| json!({"pod": &*m.pod, "kind": kind(m.kind), "before": m.before.as_deref(), "after": m.after.as_deref(), "why": m.why}))
        .collect();
    json!({
        "moves": moves,
        "before": totals(answer.before),
        "after": totals(answer.after),
        "nRunning": answer.n_running,
        "nDecided": answer.n_decided,
        "capacity": answer.capacity.as_ref().map(capacity),
    })
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Waiting => "waiting",
        Kind::New => "new",
        Kind::Evicted => "evicted",
        Kind::Running => "running",
        Kind::Decided => "decided",
    }
}

fn totals(totals: Totals) -> Value {
    json!({"placed": totals.placed, "waiting": totals.waiting})
}

fn capacity(capacity: &Capacity) -> Value {
    let out: Vec<Value> =
        capacity.runs_out.iter().map(|(plugin, message, nodes)| json!({"plugin": plugin, "message": message, "nodes": nodes})).collect();
    let by_node: serde_json::Map<String, Value> = capacity.by_node.iter().map(|(node, n)| (node.to_string(), (*n).into())).collect();
    json!({"fits": capacity.fits, "stopped": capacity.stopped, "byNode": by_node, "runsOut": out})
}

/// For people.
pub(super) fn table(answer: &Value, style: Style) -> Result<String> {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let moves = answer["moves"].as_array().context("the answer has no moves; are both of the same version?")?;
    let row = |m: &Value| vec![text(&m["pod"]), text(&m["kind"]), text(&m["before"]), text(&m["after"]), text(&m["why"])];
    let rows: Vec<Vec<String>> = moves.iter().take(SHOWN).map(row).collect();
    let mut out = String::new();
    if rows.is_empty() {
        out.push_str("No pod would land elsewhere.\n");
    } else {
        out.push_str(&style.table(&["POD", "KIND", "BEFORE", "AFTER", "WHY"], &[], &rows));
    }
    if moves.len() > SHOWN {
        out.push_str(&format!("… and {} more; --output json shows all\n", moves.len() - SHOWN));
    }
    let (before, after) = (&answer["before"], &answer["after"]);
    out.push_str(&format!(
        "\nWaiting pods and new ones: {} placed and {} waiting; as things are {} and {}. {} running pod(s) were decided again.\n",
        after["placed"], after["waiting"], before["placed"], before["waiting"], answer["nRunning"]
    ));
    if let Some(capacity) = answer["capacity"].as_object() {
        let more = if capacity["stopped"] == true { " or more" } else { "" };
        out.push_str(&format!("\n{}{more} more of the pod would fit.\n", capacity["fits"]));
        let verdict = |v: &Value| vec![v["nodes"].to_string(), text(&v["plugin"]), text(&v["message"])];
        let rows: Vec<Vec<String>> = capacity["runsOut"].as_array().into_iter().flatten().map(verdict).collect();
        if !rows.is_empty() {
            out.push_str(&style.table(&["NODES", "THE NEXT IS REFUSED BY", "REASON"], &[0], &rows));
        }
    }
    Ok(out)
}
