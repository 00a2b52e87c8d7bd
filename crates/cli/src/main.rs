//! The one binary: parses the command line and hands over to the command.
//! Leaves out what the commands do; nothing but this crate knows more than one edge of the world.

mod client;
mod explain;
mod files;
mod flags;
mod logging;
mod policy_server;
mod run;
mod simulate;
mod snapshot;
mod tables;
mod what_if;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Version, commit, and the Kubernetes versions that the tests run against.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("AISCHED_COMMIT"), "; tested with Kubernetes 1.37)");

/// Exit code of a command line that cannot be understood.
const WRONG_USAGE: u8 = 2;

/// A Kubernetes scheduler that places AI pods where their data is.
#[derive(Parser)]
#[command(
    name = "ai-storage-scheduler",
    version = VERSION,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        ai-storage-scheduler run --kubeconfig ~/.kube/config      schedule the pods that name ai-storage-scheduler\n  \
        ai-storage-scheduler explain pod train-0 -n team-a        why it is where it is, or why it waits\n  \
        ai-storage-scheduler simulate nodes.yaml pods.yaml        what would happen, without a cluster\n\n\
        Without a command, `run` is run. `COMMAND --help` tells more."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: flags::RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Schedule pods (the default)
    Run(Box<flags::RunArgs>),
    /// Say why pods are where they are, or why they wait, and what nodes offer; asks the running scheduler
    Explain(Box<explain::ExplainArgs>),
    /// Place pods from manifests on a virtual cluster, with the scheduler's own engine; no cluster is needed
    Simulate(simulate::SimulateArgs),
    /// Say which pods would land elsewhere if nodes, pods or the configuration were different; touches nothing
    WhatIf(Box<what_if::WhatIfArgs>),
    /// Save what the running scheduler knows as manifests that `simulate` and `what-if` read
    Snapshot(snapshot::SnapshotArgs),
    /// Serve the APOLLO policy service from a file of rules, for development and tests
    PolicyServer(policy_server::PolicyServerArgs),
    /// Print the CustomResourceDefinition of AIStorageConfig
    Crd,
    /// Validate an AIStorageConfig or a KubeSchedulerConfiguration, naming every fault with its line
    CheckConfig(files::CheckConfigArgs),
    /// Print a shell's completions
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write man pages of all commands into a folder
    Man {
        /// Folder, which must be there
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    // The one TLS provider of the process; fails only if there was one already.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let (args, warnings) = command_line();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS };
            let _closed = error.print();
            return code;
        }
    };
    match execute(cli, warnings) {
        Ok(code) => code,
        Err(error) => {
            tables::note(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The command line; that of `run` without the flags of kube-scheduler that need nothing done.
fn command_line() -> (Vec<String>, Vec<String>) {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    if args.get(1).is_none_or(|first| first.starts_with('-') || first == "run") { flags::strip_unneeded(args) } else { (args, Vec::new()) }
}

fn execute(cli: Cli, warnings: Vec<String>) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => schedule(cli.run, warnings),
        Some(Command::Run(args)) => schedule(*args, warnings),
        Some(Command::Explain(args)) => runtime()?.block_on(explain::run(*args)),
        Some(Command::Simulate(args)) => simulate::run(&args),
        Some(Command::WhatIf(args)) => runtime()?.block_on(what_if::run(*args)),
        Some(Command::Snapshot(args)) => runtime()?.block_on(snapshot::run(args)),
        Some(Command::PolicyServer(args)) => runtime()?.block_on(policy_server::run(args)),
        Some(Command::Crd) => print(&aisched_kube::crd::crd_yaml()),
        Some(Command::CheckConfig(args)) => files::check_config(&args),
        Some(Command::Completions { shell }) => {
            // To memory first: the generator panics where it cannot write.
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ai-storage-scheduler", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Some(Command::Man { dir }) => {
            clap_mangen::generate_to(Cli::command(), &dir).with_context(|| format!("cannot write man pages to {}", dir.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    tables::print(text).map(|_is_read| ExitCode::SUCCESS)
}

fn schedule(args: flags::RunArgs, warnings: Vec<String>) -> anyhow::Result<ExitCode> {
    let logging = logging::start(args.log_format, args.v);
    let runtime = runtime()?;
    let result = runtime.block_on(run::run(args, warnings, &logging));
    // A name lookup under way cannot be stopped, and need not be waited for.
    runtime.shutdown_background();
    if let Err(error) = &result {
        tracing::error!("{error:#}");
        return Ok(ExitCode::FAILURE);
    }
    result
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
