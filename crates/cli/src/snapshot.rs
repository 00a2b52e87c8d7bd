//! `snapshot`: saves what the running scheduler knows as manifests that `simulate` and `what-if` read.
//! Leaves out the writing of manifests: the scheduler itself does it.

use crate::client::{Client, ServerArgs};
use crate::tables::{note, print};
use aisched_core::view::View;
use aisched_kube::documents::write::{config, manifest, yaml};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `snapshot`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ai-storage-scheduler snapshot > cluster.yaml                 a bug report in one file\n  \
    ai-storage-scheduler snapshot --file cluster.yaml && ai-storage-scheduler simulate cluster.yaml\n\n\
  The file holds what placement depends on and nothing else: no environment, no arguments, no annotation that no plugin reads.")]
pub(crate) struct SnapshotArgs {
    /// File to write; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Asks and writes.
pub(crate) async fn run(args: SnapshotArgs) -> Result<ExitCode> {
    let text = Client::new(&args.server).await?.get("/api/v1/snapshot").await?;
    match &args.file {
        None => drop(print(&text)?),
        Some(file) => {
            std::fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            note(format_args!("{} written", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything in a view as manifests; `object` is the configuration's `namespace/name`.
pub(crate) fn write(view: &View, object: &str) -> String {
    let (namespace, name) = object.split_once('/').unwrap_or(("default", object));
    let names: Vec<&str> = view.profiles.iter().map(|p| &*p.scheduler_name).collect();
    let head = format!(
        "# Snapshot of ai-storage-scheduler {}, profiles {}.\n# The next decision again: ai-storage-scheduler simulate FILE --seed {}\n",
        crate::VERSION,
        names.join(", "),
        view.salt
    );
    let objects = view.events();
    head + &yaml([config(&view.config, namespace, name)].into_iter().chain(objects.iter().filter_map(manifest)))
}

#[cfg(test)]
mod tests;
