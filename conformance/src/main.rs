//! Compares our scheduler with the real kube-scheduler over generated scenarios: the command line.
//! What is compared and how is in README.md.

mod answer;
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
use report::{Output, Report};
use scenario::Scenario;
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
    for family in chosen(&cli.family)? {
        let scenarios: Vec<Scenario> = (0..cli.scenarios).map(|number| family.scenario(cli.seed, number, false)).collect();
        let row = report.family(family.name, family.about);
        oracle::ask(&cli.controlplane, &scenarios, |number, kube| {
            let ours = ours::ask(&scenarios[number]);
            let differences = compare::differences(&kube, &ours);
            row.count(&scenarios[number], &kube, &ours, differences, &cli.folder)
        })?;
        report.tell(cli.output);
    }
    report.print(cli.output)?;
    Ok(report.agrees())
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
        for difference in compare::differences(&kube, &ours) {
            println!("{difference}");
            agrees = false;
        }
        Ok(())
    })?;
    Ok(agrees)
}
