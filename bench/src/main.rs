//! Measures schedulers against each other on one real control plane: the command line.
//! What is measured and how is in `compare` and `measure`; README.md says how each number is made.

mod api;
mod compare;
mod judge;
mod measure;
mod null_binder;
mod process;
mod results;
mod schedulers;
mod table;
mod volumes;
mod workload;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures schedulers against each other on one real control plane.
#[derive(Parser)]
#[command(name = "aisched-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run each scheduler in turn on the same workloads, and print a table of throughput, CPU, memory and cold start for each
    Compare(compare::CompareArgs),
    /// Bind every pod of scheduler null-binder round robin, looking at nothing: the most that the API server allows
    NullBinder(null_binder::NullBinderArgs),
}

fn main() -> ExitCode {
    // The one TLS provider of the process; fails only if there was one already.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Compare(args) => runtime.block_on(compare::run(args)),
        Command::NullBinder(args) => runtime.block_on(null_binder::run(args)),
    }
}
