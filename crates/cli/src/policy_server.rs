//! `policy-server`: the APOLLO policy service from a file of rules, for development and tests.
//! Leaves out rules and protocol: those are the adapter's.

use crate::tables::print;
use aisched_apollo::{Dialect, Outcome, PolicyServer, ServerEvent};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `policy-server`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ai-storage-scheduler policy-server --rules examples/policy-rules.yaml --listen 127.0.0.1:50051\n\n\
        The rules are read again when the file changes; examples/policy-rules.yaml explains them.")]
pub(crate) struct PolicyServerArgs {
    /// YAML file of rules
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Address to listen on; port 0 takes a free one and prints it
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Which of the field's servers is played: engine (Python) or server (Go)
    #[arg(long, default_value = "engine", value_name = "DIALECT")]
    dialect: Dialect,
}

pub(crate) async fn run(args: PolicyServerArgs) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let server =
        PolicyServer::bind(args.listen, args.rules, args.dialect).await?.on_event(|event| drop(print(&format!("{}\n", line(&event)))));
    print(&format!("serving {} rules on {}\n", server.n_rules(), server.local_addr()))?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    server.serve(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn line(event: &ServerEvent) -> String {
    match event {
        ServerEvent::Asked { namespace, name, rule } => {
            format!("asked about {namespace}/{name}: {}", rule.as_deref().unwrap_or("no rule matches"))
        }
        ServerEvent::Reported { report, is_known } => {
            let outcome = match &report.outcome {
                Outcome::Bound(node) => format!("bound to {node}"),
                Outcome::Failed(reason) => format!("failed: {reason}"),
            };
            let known = if *is_known { "" } else { " (an id that was not given out, or reported before)" };
            let (namespace, name, ms) = (&report.namespace, &report.name, report.duration.as_millis());
            format!("report on {namespace}/{name}: {outcome} after {ms} ms, request {}{known}", report.request_id)
        }
        ServerEvent::Reloaded { n_rules } => format!("rules changed; {n_rules} in use"),
        ServerEvent::NotReloaded(error) => format!("rules changed and are unusable, the last good ones stay in use: {error}"),
    }
}
