//! Logs to stderr, one line each: time, level, message, key=value; or JSON for collectors.
//! A slow reader never slows scheduling: lines wait in a bounded queue, and those that find it full are dropped and counted.

use aisched_core::decision::Decision;
use std::fmt::Write as _;
use std::io::BufWriter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors.
    Json,
}

/// Lines that may wait for the reader.
const BUFFERED_LINES: usize = 16_384;
/// Bytes written at once, at most.
const BUFFER: usize = 64 * 1024;
/// Nodes that a `[ScoreMap]` line names.
const SCORE_MAP_NODES: usize = 20;

/// Keeps the log flowing; what waits is written when it is dropped.
pub(crate) struct Logging {
    _guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Logging {
    /// Counts the lines dropped because the reader was too slow.
    pub(crate) fn dropped_counter(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Starts logging. `verbosity` is kube-scheduler's `--v`: 4 and more log what is for developers. `RUST_LOG` wins.
pub(crate) fn start(format: LogFormat, verbosity: u8) -> Logging {
    // The writing thread flushes when no line waits: a busy scheduler then writes many lines at once.
    let stderr = BufWriter::with_capacity(BUFFER, std::io::stderr());
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).finish(stderr);
    let dropped = writer.error_counter();
    let default = match verbosity {
        0..=3 => "info,kube_runtime=error,kube_client=off,hyper=warn,tower=warn,h2=warn,rustls=warn",
        4..=5 => "debug,kube_runtime=warn,kube_client=warn,hyper=info,tower=info,h2=info,rustls=info",
        _ => "trace,hyper=debug,h2=info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).with_target(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Logging { _guard: guard, dropped }
}

/// Logs a decision in the guide's tagged lines: at info for profiles with AI storage plugins, at debug for others.
pub(crate) fn log_decision(decision: &Decision) {
    if decision.has_ai_plugins {
        for line in lines(decision) {
            tracing::info!("{line}");
        }
    } else if tracing::enabled!(tracing::Level::DEBUG) {
        for line in lines(decision) {
            tracing::debug!("{line}");
        }
    }
}

/// `[ScoreMap]` and `[score]` of a placed pod, `[filter]` of a refused one.
fn lines(decision: &Decision) -> Vec<String> {
    match &decision.node {
        Some(node) => vec![score_map(decision), score(decision, node)],
        None => vec![filter(decision)],
    }
}

fn score_map(decision: &Decision) -> String {
    let scored: Vec<String> =
        decision.nodes.iter().filter_map(|n| Some(format!("{}: {}", n.node, thousandths(n.total?)))).take(SCORE_MAP_NODES).collect();
    let more = decision.n_feasible.saturating_sub(scored.len());
    let more = if more > 0 { format!(" … +{more} more") } else { String::new() };
    format!("[ScoreMap] pod={} feasible={} score_map=\"[{}]{more}\"", decision.pod, decision.n_feasible, scored.join(", "))
}

fn score(decision: &Decision, node: &str) -> String {
    let mut line = format!("[score] pod={} node={node}", decision.pod);
    let Some(report) = decision.nodes.iter().find(|n| *n.node == *node) else { return line };
    let _ = write!(line, " total={} policy={}", thousandths(report.total.unwrap_or_default()), decision.policy.source);
    for plugin in report.plugins.iter().filter(|p| !p.skipped) {
        let _ = write!(line, " {}={}*{}", plugin.name, plugin.score, thousandths(plugin.weight));
        if !plugin.components.0.is_empty() {
            let parts: Vec<String> = plugin.components.0.iter().map(|c| format!("{}:{}", c.name, c.score)).collect();
            let _ = write!(line, "({})", parts.join(","));
        }
    }
    line
}

fn filter(decision: &Decision) -> String {
    let reasons: Vec<String> = decision.refusals.iter().map(|v| format!("{}: {}", v.message, v.n_nodes)).collect();
    format!("[filter] pod={} nodes={} feasible=0 reasons=\"[{}]\"", decision.pod, decision.n_nodes, reasons.join(", "))
}

/// Thousandths as people write them: 812000 is 812, 812500 is 812.5.
fn thousandths(n: i64) -> String {
    let text = format!("{}.{:03}", n / 1000, n % 1000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aisched_core::decision::{Component, Components, NodeReport, PluginScore, PolicyView, ProfileView, Verdict};

    fn decision(nodes: Vec<(&str, Option<i64>)>) -> Decision {
        let n_feasible = nodes.iter().filter(|(_, total)| total.is_some()).count();
        let plugin = PluginScore {
            name: "StorageTierAware",
            weight: 2500,
            score: 65,
            skipped: false,
            components: Components([Component { name: "ioPattern", score: 40, source: "test".into() }].into()),
        };
        Decision {
            pod: "default/train-0".into(),
            uid: "u".into(),
            scheduler_name: "ai-storage-scheduler".into(),
            node: nodes.iter().find(|(_, total)| total.is_some()).map(|(n, _)| (*n).into()),
            message: None,
            policy: PolicyView { source: "FALLBACK", ..PolicyView::default() },
            profile: ProfileView::default(),
            heard: Vec::new(),
            config_generation: 0,
            n_nodes: nodes.len(),
            n_feasible,
            nodes: nodes
                .into_iter()
                .map(|(node, total)| NodeReport {
                    node: node.into(),
                    feasible: total.is_some(),
                    reasons: Vec::new(),
                    total,
                    plugins: [plugin.clone()].into(),
                })
                .collect(),
            cures: Vec::new(),
            has_ai_plugins: true,
            runner_up: None,
            refusals: vec![Verdict { plugin: "NodeResourcesFit", message: "Insufficient cpu".into(), n_nodes: 2 }],
        }
    }

    #[test]
    fn placed_pod_has_score_map_and_score() {
        assert_eq!(
            lines(&decision(vec![("node-a", Some(812_000)), ("node-b", Some(640_500)), ("node-c", None)])),
            [
                "[ScoreMap] pod=default/train-0 feasible=2 score_map=\"[node-a: 812, node-b: 640.5]\"",
                "[score] pod=default/train-0 node=node-a total=812 policy=FALLBACK StorageTierAware=65*2.5(ioPattern:40)",
            ]
        );
    }

    #[test]
    fn score_map_names_twenty_nodes_and_counts_the_rest() {
        let mut many = decision(vec![("n", Some(1000)); 20]);
        many.n_feasible = 25;
        assert!(lines(&many)[0].ends_with("n: 1] … +5 more\""), "{}", lines(&many)[0]);
    }

    #[test]
    fn refused_pod_has_counts_per_reason() {
        assert_eq!(
            lines(&decision(vec![("node-a", None), ("node-b", None)])),
            ["[filter] pod=default/train-0 nodes=2 feasible=0 reasons=\"[Insufficient cpu: 2]\""]
        );
    }
}
