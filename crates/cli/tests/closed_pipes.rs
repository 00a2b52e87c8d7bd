//! Nobody reads what the program prints (`… | head`): it ends as it would have, without a panic.
//! Leaves out what it prints.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::pipe;
use std::process::{Command, ExitStatus};

/// Runs the program with pipes that nobody reads from.
fn unread(words: &[&str]) -> ExitStatus {
    let writer = || {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        writer
    };
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Command::new(env!("CARGO_BIN_EXE_ai-storage-scheduler"))
        .args(words)
        .current_dir(root)
        .stdout(writer())
        .stderr(writer())
        .status()
        .unwrap()
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    for (words, code) in [
        (&["simulate", "examples/simulate/gpus-and-affinity.yaml", "--explain"][..], 0),
        (&["simulate", "Cargo.toml"], 1),
        (&["simulate", "no-such-file.yaml"], 1),
        (&["check-config", "config/crd/default-config.yaml"], 0),
        (&["check-config", "Cargo.toml"], 1),
        (&["explain", "pods", "--server", "https://127.0.0.1:1"], 1),
    ] {
        assert_eq!(unread(words).code(), Some(code), "{words:?}");
    }
}
