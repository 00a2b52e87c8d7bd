//! Nobody reads what the program prints (`… | head`), or it cannot be written: it ends as it would have, or says so, without a panic.
//! Leaves out what it prints.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::pipe;
use std::process::{Command, ExitStatus, Stdio};

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ai-storage-scheduler"));
    command.args(words).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    command
}

/// Runs the program with pipes that nobody reads from.
fn unread(words: &[&str]) -> ExitStatus {
    let writer = || {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        writer
    };
    program(words).stdout(writer()).stderr(writer()).status().unwrap()
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
        (&["crd"], 0),
        (&["completions", "bash"], 0),
    ] {
        assert_eq!(unread(words).code(), Some(code), "{words:?}");
    }
}

#[test]
fn full_disk_is_told() {
    for words in [&["crd"][..], &["completions", "zsh"], &["simulate", "examples/simulate/gpus-and-affinity.yaml"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = program(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("cannot write to standard output: No space left on device"), "{words:?}: {told}");
    }
}
