//! Compares our scheduler with the real kube-scheduler over generated scenarios: the command line.
//! What is compared and how is in README.md.

mod answer;
mod cluster;
mod compare;
mod families;
mod luck;
mod oracle;
mod ours;
mod report;
mod scenario;

use anyhow::{Context, Result, bail};
use clap::Parser;
use families::{FAMILIES, Family};
use report::{Output, Report, Row};
use scenario::Scenario;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares our scheduler with the real kube-scheduler over generated scenarios
#[derive(Parser)]
#[command(name = "aisched-conformance", version)]
struct Cli {
    /// Only this family; may be given several times
    #[arg(long, value_name = "NAME")]
    family: Vec<String>,
    /// Scenarios of each family
    #[arg(long, default_value_t = 400, value_name = "N")]
    scenarios: usize,
    /// Ask both as they are, on a real API server, instead of in one process: the scenarios that can be brought about there
    #[arg(long, conflicts_with = "replay")]
    cluster: bool,
    /// Another seed, other scenarios
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// A table, one JSON object, or lines of TAP for a test run
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Where disagreements are written, a file each
    #[arg(long, default_value = "target/conformance", value_name = "FOLDER")]
    folder: PathBuf,
    /// Ask again about a scenario that was written by an earlier run, and print both answers
    #[arg(long, value_name = "FILE", conflicts_with_all = ["family", "scenarios", "seed"])]
    replay: Option<PathBuf>,
    /// Program of the control plane [run.sh sets this]
    #[arg(long, value_name = "FILE")]
    controlplane: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything agrees.
fn run(cli: &Cli) -> Result<bool> {
    if let Some(file) = &cli.replay {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let scenario: Scenario = serde_json::from_str(&text).with_context(|| format!("{} is no scenario", file.display()))?;
        return replay(cli, &scenario);
    }
    let mut report = Report::default();
    let mut arena = cli.cluster.then(cluster::Arena::start);
    for family in chosen(&cli.family)? {
        // Of some families no scenario can be brought about on a server.
        let scenarios = scenarios(cli, family);
        if !scenarios.is_empty() {
            let row = report.family(family.name, family.about);
            match &mut arena {
                Some(arena) => on_a_server(cli, &scenarios, arena, row)?,
                None => in_one_process(cli, &scenarios, row)?,
            }
            report.tell(cli.output);
        }
    }
    report.print(cli.output)?;
    Ok(report.agrees())
}

fn scenarios(cli: &Cli, family: &Family) -> Vec<Scenario> {
    // Enough of them, when some cannot be brought about.
    let numbers = 0..if cli.cluster { cli.scenarios.saturating_mul(20) } else { cli.scenarios };
    let all = numbers.map(|number| family.scenario(cli.seed, number, cli.cluster));
    all.filter(|scenario| !cli.cluster || !cluster::skips(scenario)).take(cli.scenarios).collect()
}

fn in_one_process(cli: &Cli, scenarios: &[Scenario], row: &mut Row) -> Result<()> {
    oracle::ask(&cli.controlplane, scenarios, |number, kube| {
        let ours = ours::ask(&scenarios[number]);
        let comparison = compare::answers(&kube, &ours);
        row.count(&scenarios[number], comparison, json!({"kubeScheduler": kube, "ours": ours}), &cli.folder)
    })
}

fn on_a_server(cli: &Cli, scenarios: &[Scenario], arena: &mut cluster::Arena, row: &mut Row) -> Result<()> {
    for scenario in scenarios {
        let comparison = arena.ask(scenario);
        row.count(scenario, comparison, json!({}), &cli.folder)?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Family>> {
    if names.is_empty() {
        return Ok(FAMILIES.iter().collect());
    }
    let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    names
        .iter()
        .map(|name| match FAMILIES.iter().find(|family| family.name == name) {
            Some(family) => Ok(family),
            None => bail!("--family {name}: expected one of {}", known.join(", ")),
        })
        .collect()
}

/// Asks both about one scenario and prints what they say.
fn replay(cli: &Cli, scenario: &Scenario) -> Result<bool> {
    let ours = ours::ask(scenario);
    let mut agrees = true;
    oracle::ask(&cli.controlplane, std::slice::from_ref(scenario), |_, kube| {
        println!("kube-scheduler: {}", serde_json::to_string_pretty(&kube)?);
        println!("ours: {}", serde_json::to_string_pretty(&ours)?);
        for difference in compare::answers(&kube, &ours).differences {
            println!("{difference}");
            agrees = false;
        }
        Ok(())
    })?;
    Ok(agrees)
}
