//! Files that are made from the code. `generate` writes them, `check` finds stale ones.
//! Leaves out what is in them: their makers are in the crates that own the types.

use crate::catalog::{Entry, KUBE_SCHEDULER, Kind, LEFT_OUT, OWN};
use anyhow::{Context, Result};
use std::path::Path;

/// Path and content of every generated file.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("config/crd/aistorageconfig.yaml", aisched_kube::crd::crd_yaml()),
        ("config/crd/default-config.yaml", aisched_kube::crd::default_config_yaml()),
        ("docs/reference/metrics.md", metrics_md()),
    ]
}

fn metrics_md() -> String {
    let left_out: String = LEFT_OUT.iter().map(|(names, why)| format!("| {} | {why} |\n", code(names))).collect();
    format!(
        "# Metrics\n\n\
        Generated from `crates/http/src/metrics/catalog.rs` by `cargo run -p xtask -- generate`. Scraped over HTTPS from `/metrics` by whoever\n\
        may `get` that path (ClusterRole `ai-storage-scheduler-viewer`). A dashboard and alerts: [deployments/monitoring](../../deployments/monitoring).\n\
        A follower exports all of them; it counts no attempts.\n\n\
        ## kube-scheduler's\n\nNames, labels, buckets and meanings are those of kube-scheduler 1.37.\n\n{}\n\
        ## Its own\n\n{}\n\
        ## kube-scheduler's that are not exported\n\n| metric | why |\n|---|---|\n{left_out}",
        table(KUBE_SCHEDULER),
        table(OWN),
    )
}

fn table(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let kind = match entry.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        format!("| `{}` | {kind} | {} | {} |\n", entry.name, code(&entry.labels.join(", ")), entry.help)
    };
    format!("| metric | kind | labels | what it says |\n|---|---|---|---|\n{}", entries.iter().map(row).collect::<String>())
}

/// Each of the names as code.
fn code(names: &str) -> String {
    names.split(", ").filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

pub(crate) fn write(root: &Path) -> Result<()> {
    for (path, content) in files() {
        std::fs::write(root.join(path), content).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for (path, content) in files() {
        let there = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        if there != content {
            stale.push(format!("{path} is stale; run: cargo run -p xtask -- generate"));
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        assert_eq!(super::stale(&crate::root()).unwrap(), Vec::<String>::new());
    }
}
