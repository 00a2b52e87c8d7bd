//! `check-config`: validates configuration files offline.
//! Leaves out what is valid: the schemas are the adapter's.

use crate::tables::{note, print};
use anyhow::{Context, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `check-config`.
#[derive(clap::Args)]
pub(crate) struct CheckConfigArgs {
    /// Files to validate; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A file's text; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn check_config(args: &CheckConfigArgs) -> Result<ExitCode> {
    let mut n_faults = 0;
    for path in &args.files {
        let faults = aisched_kube::scheduler_config::check(&read(path)?, &path.display().to_string());
        n_faults += faults.len();
        for fault in &faults {
            note(fault);
        }
        if faults.is_empty() {
            print(&format!("{}: valid\n", path.display()))?;
        }
    }
    Ok(if n_faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
