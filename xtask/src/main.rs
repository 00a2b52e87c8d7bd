//! The project's own chores: `cargo run -p xtask -- generate` writes generated files, `-- check` tests the rules of the house.
//! Leaves out what cargo does itself: formatting, lints, tests.

#[path = "../../crates/http/src/metrics/catalog.rs"]
#[allow(unreachable_pub, reason = "the file is another crate's")]
mod catalog;
mod generated;
mod rules;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The checkout's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("generate") => generated::write(&root()),
        Some("check") => {
            let faults: Vec<String> = rules::all(&root())?.into_iter().chain(generated::stale(&root())?).collect();
            for fault in &faults {
                eprintln!("error: {fault}");
            }
            if !faults.is_empty() {
                bail!("{} rule(s) of the house broken", faults.len());
            }
            println!("the rules of the house hold");
            Ok(())
        }
        _ => bail!("usage: cargo run -p xtask -- generate|check"),
    }
}
