//! One pod's decision as a person reads it: verdict, what the pod was taken to be, filters, scores, runner-up.
//! Leaves out JSON: that is the decision itself.

use super::view::{CureView, DecisionView, FieldView, Milli, NodeReport, Part, PolicyView};
use crate::tables::{Style, duration, plain};
use aisched_model::config::AI_PLUGINS;
use std::fmt::Write;

/// Nodes whose scores are shown side by side.
const COLUMNS: usize = 5;
/// Refused nodes that are listed.
const LISTED: usize = 20;

/// The whole explanation.
pub(crate) fn explain(decision: &DecisionView, style: Style) -> String {
    let mut text = verdict(decision, style);
    text.push_str(&origins(decision));
    let sections =
        [filters(decision, style), cures(decision, style), scores(decision, style), components(decision, style), refusals(decision, style)];
    for section in sections.iter().filter(|s| !s.is_empty()) {
        text.push('\n');
        text.push_str(section);
    }
    text
}

/// Where the pod is and by how much, or that it waits and why.
fn verdict(decision: &DecisionView, style: Style) -> String {
    let pod = style.bold(&plain(&decision.pod));
    let (Some(node), Some(best)) = (&decision.node, decision.best()) else {
        let message = decision.message.as_deref().unwrap_or("no reason is known");
        return format!("{pod} {}: {}\n", style.bad("waits"), plain(message));
    };
    let total = best.total.unwrap_or_default();
    let of = format!("{} of {} nodes would do", decision.n_feasible, decision.n_nodes);
    let mut text = format!("{pod} is on {}: total {total}, {of}\n", style.good(&plain(node)));
    if let Some(other) = decision.runner_up() {
        let margin = Milli(total.0 - other.total.unwrap_or_default().0);
        let parts: Vec<String> = decision.deciding().iter().map(|p| format!("{} {:+}", p.full_name(), p.lead())).collect();
        let _infallible = match (margin.0, parts.is_empty()) {
            (0, _) => writeln!(text, "Level with {}; the lot fell on {}", plain(&other.node), plain(node)),
            (_, true) => writeln!(text, "Ahead of {} by {margin}", plain(&other.node)),
            (_, false) => writeln!(text, "Ahead of {} by {margin}, most by {}", plain(&other.node), parts.join(" and ")),
        };
    }
    text
}

/// The policy and the workload profile, each with its source.
fn origins(decision: &DecisionView) -> String {
    let policy = match decision.policy.source.as_str() {
        "FALLBACK" => "none; decided by what the pod says of itself".into(),
        source => said(source, &decision.policy),
    };
    let age = |f: &FieldView| f.age_seconds.map_or(String::new(), |age| format!(", known for {}", duration(age)));
    let from = |f: &FieldView| f.from.as_ref().map_or(String::new(), |from| format!(" from {from}{}", age(f)));
    let fields: Vec<String> = decision.profile.0.iter().map(|(name, f)| format!("{name} {} ({}{})", f.value, f.source, from(f))).collect();
    let profile = if fields.is_empty() { "nothing is known of the workload".into() } else { fields.join(", ") };
    let mut text = format!("Policy:   {}\nProfile:  {}\n", plain(&policy), plain(&profile));
    let heard: Vec<String> = decision.heard.0.iter().map(|(source, age)| format!("{source} {} before", duration(*age))).collect();
    if !heard.is_empty() {
        let _infallible = writeln!(text, "Heard of: {}", plain(&heard.join(", ")));
    }
    let advice: Vec<String> = decision.policy.advice.0.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if !advice.is_empty() {
        let _infallible = writeln!(text, "Advice:   {} (APOLLO's, not acted on)", plain(&advice.join(", ")));
    }
    text
}

/// Where a policy came from, and what it says in a word and in the server's words.
fn said(source: &str, policy: &PolicyView) -> String {
    let mut text = format!("{source}, answer {}", policy.request_id.as_deref().unwrap_or("without id"));
    for part in policy.decision.iter().chain(&policy.reason) {
        let _infallible = write!(text, ", {part}");
    }
    text
}

/// Nodes refused, per reason.
fn filters(decision: &DecisionView, style: Style) -> String {
    let funnel = decision.funnel();
    if funnel.is_empty() || decision.node.is_none() {
        return String::new();
    }
    let row = |(plugin, message, n): &(&str, &str, usize)| vec![n.to_string(), (*plugin).to_owned(), (*message).to_owned()];
    let mut text = style.table(&["NODES", "REFUSED BY", "REASON"], &[0], &funnel.iter().map(row).collect::<Vec<_>>());
    text.push_str(&incomplete(decision));
    text
}

/// The smallest changes with which the pod would fit, by node.
fn cures(decision: &DecisionView, style: Style) -> String {
    if decision.cures.is_empty() {
        return String::new();
    }
    let changes = |cure: &CureView| cure.changes.iter().map(|change| change.text.as_str()).collect::<Vec<_>>().join(" and ");
    let rows: Vec<Vec<String>> = decision.cures.iter().map(|cure| vec![cure.node.clone(), changes(cure)]).collect();
    style.table(&["WOULD FIT ON", "WITH"], &[], &rows)
}

/// Says when the decision does not report on all nodes.
fn incomplete(decision: &DecisionView) -> String {
    match decision.n_nodes.checked_sub(decision.nodes.len()) {
        None | Some(0) => String::new(),
        Some(n) => format!("The record keeps {} nodes; {n} more are not shown.\n", decision.nodes.len()),
    }
}

/// Plugin × node of the best few, the chosen node first.
fn scores(decision: &DecisionView, style: Style) -> String {
    let Some(best) = decision.best() else { return String::new() };
    let others = decision.nodes.iter().filter(|n| n.feasible && n.node != best.node);
    let nodes: Vec<&NodeReport> = std::iter::once(best).chain(others).take(COLUMNS).collect();
    let header: Vec<&str> = ["SCORES", "WEIGHT"].into_iter().chain(nodes.iter().map(|n| n.node.as_str())).collect();
    let score =
        |node: &NodeReport, plugin: &str| node.plugins.iter().find(|p| p.name == plugin).map_or("-".into(), |p| p.score.to_string());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for plugin in best.plugins.iter().filter(|p| !p.skipped) {
        let row = [plugin.name.clone(), plugin.weight.to_string()].into_iter();
        rows.push(row.chain(nodes.iter().map(|node| score(node, &plugin.name))).collect());
    }
    let totals = nodes.iter().map(|n| n.total.unwrap_or_default().to_string());
    rows.push(["total".to_owned(), String::new()].into_iter().chain(totals).collect());
    let mut text = style.table(&header, &(1..header.len()).collect::<Vec<_>>(), &rows);
    // Why the storage did not count is worth a line; that a pod has no host ports is not.
    let silent = best.plugins.iter().filter(|p| p.skipped && AI_PLUGINS.contains(&p.name.as_str()));
    let skipped: Vec<&str> = silent.map(|p| p.name.as_str()).collect();
    if !skipped.is_empty() {
        let _infallible = writeln!(text, "Nothing to say of this pod: {}", skipped.join(", "));
    }
    text
}

/// Components of the chosen node beside the runner-up's, what their difference counts with the plugin's weight, and what they
/// were read from: on both nodes where they differ.
fn components(decision: &DecisionView, style: Style) -> String {
    let Some(best) = decision.best() else { return String::new() };
    let other = decision.runner_up();
    let mut rows = Vec::new();
    for part in decision.parts().iter().filter(|p| p.component.is_some()) {
        rows.push(component_row(part, best, other));
    }
    if rows.is_empty() {
        return String::new();
    }
    match other {
        None => style.table(&["COMPONENTS", &best.node, "READ FROM"], &[1], &rows),
        Some(other) => style.table(&["COMPONENTS", &best.node, &other.node, "COUNTS", "READ FROM"], &[1, 2, 3], &rows),
    }
}

fn component_row(part: &Part, best: &NodeReport, other: Option<&NodeReport>) -> Vec<String> {
    let component = part.component.as_deref().unwrap_or_default();
    let of = |node: &NodeReport| {
        let plugin = node.plugins.iter().find(|p| p.name == part.plugin);
        let points = plugin.and_then(|p| p.components.get(component)).map_or("-".into(), ToString::to_string);
        (points, plugin.and_then(|p| p.sources.get(component)).cloned().unwrap_or_default())
    };
    let (points, source) = of(best);
    let mut row = vec![part.full_name(), points];
    let mut read_from = source.clone();
    if let Some(other) = other {
        let (points, others_source) = of(other);
        let lead = part.lead();
        row.extend([points, if lead.0 == 0 { "0".into() } else { format!("{lead:+}") }]);
        if lead.0 != 0 && others_source != source {
            read_from = format!("{source}; there: {others_source}");
        }
    }
    row.push(read_from);
    row
}

/// Of a pod that waits, each node's refusal with its numbers.
fn refusals(decision: &DecisionView, style: Style) -> String {
    if decision.node.is_some() {
        return String::new();
    }
    let refused = || decision.nodes.iter().filter(|n| !n.feasible);
    let mut rows = Vec::new();
    for node in refused().take(LISTED) {
        rows.extend(
            node.reasons
                .iter()
                .map(|r| vec![node.node.clone(), r.plugin.clone(), r.message.clone(), r.detail.clone().unwrap_or_else(|| "-".into())]),
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut text = style.table(&["NODE", "REFUSED BY", "REASON", "NUMBERS"], &[], &rows);
    if let Some(more) = refused().count().checked_sub(LISTED).filter(|n| *n > 0) {
        let _infallible = writeln!(text, "… and {more} more nodes; --output json shows all, --node NODE one");
    }
    text
}

/// One node's part in a decision, in full; `None` when the decision does not report on it.
pub(crate) fn explain_node(decision: &DecisionView, node: &str, style: Style) -> Option<String> {
    let report = decision.nodes.iter().find(|n| n.node == node)?;
    let (pod, node) = (style.bold(&plain(&decision.pod)), plain(node));
    if !report.feasible {
        let row = |r: &super::view::ReasonView| vec![r.plugin.clone(), r.message.clone(), r.detail.clone().unwrap_or_else(|| "-".into())];
        let rows: Vec<Vec<String>> = report.reasons.iter().map(row).collect();
        let table = style.table(&["REFUSED BY", "REASON", "NUMBERS"], &[], &rows);
        return Some(format!("{node} {} {pod}\n\n{table}", style.bad("refuses")));
    }
    let total = report.total.unwrap_or_default();
    let standing = match decision.best() {
        Some(best) if best.node == report.node => "the pod is here".into(),
        Some(best) => format!("behind {} by {}", best.node, Milli(best.total.unwrap_or_default().0 - total.0)),
        None => "the pod waits".into(),
    };
    let mut text = format!("{node} {} {pod}: total {total}, {}\n\n", style.good("would do for"), plain(&standing));
    text.push_str(&node_scores(report, style));
    Some(text)
}

/// Every plugin, and below it its components with what they were read from.
fn node_scores(report: &NodeReport, style: Style) -> String {
    let mut rows = Vec::new();
    for plugin in report.plugins.iter().filter(|p| !p.skipped) {
        let counts = Milli(plugin.score * plugin.weight.0).to_string();
        rows.push(vec![plugin.name.clone(), plugin.score.to_string(), plugin.weight.to_string(), counts, String::new()]);
        for (name, points) in &plugin.components.0 {
            let source = plugin.sources.get(name).cloned().unwrap_or_default();
            rows.push(vec![format!("  {name}"), points.to_string(), String::new(), String::new(), source]);
        }
    }
    style.table(&["PLUGIN", "SCORE", "WEIGHT", "COUNTS", "READ FROM"], &[1, 2, 3], &rows)
}
