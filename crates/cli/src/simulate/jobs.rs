//! `simulate --jobs`: the jobs of a file on the virtual cluster, once with kube-scheduler's default plugins and once with the AI storage
//! plugins; what each is worth, side by side. Leaves out the model of a job (`aisched-sim`).

mod file;

use super::{Console, SimulateArgs};
use crate::tables::{Output, Style, yaml};
use aisched_sim::jobs::{Plan, Report, run};
use aisched_sim::{Options, Plugins, Scenario};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// What is compared, with the name of each in tables and in JSON.
const CONTENDERS: [(Plugins, &str, &str); 2] =
    [(Plugins::Default, "kube-scheduler's default plugins", "default"), (Plugins::AiStorage, "with the AI storage plugins", "aiStorage")];

pub(super) fn compare(args: &SimulateArgs, path: &Path, mut scenario: Scenario, style: Style, console: Console<'_>) -> Result<ExitCode> {
    let read = crate::files::read(path).map_err(|error| vec![format!("{error:#}")]);
    let plan = match read.and_then(|text| file::read(&text, &path.display().to_string(), &mut scenario)) {
        Ok(plan) => plan,
        Err(faults) => {
            faults.iter().for_each(|fault| (console.note)(fault));
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut reports = Vec::new();
    for (plugins, title, name) in CONTENDERS {
        let options = Options { plugins, all_pods: true, report_nodes: 1, ..args.options() };
        let report = run(scenario.clone(), &plan, &options, console.tick);
        if args.output != Output::Table && !(console.out)(&line(&report, name, args.output)?)? {
            return Ok(ExitCode::SUCCESS);
        }
        reports.push((title, report));
    }
    if args.output == Output::Table {
        (console.out)(&table(&plan, &reports, style))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(plan: &Plan, reports: &[(&str, Report)], style: Style) -> String {
    let header = ["", "MEAN JOB", "MEDIAN", "P99", "LAST END", "ACCELERATORS BUSY", "OVER THE NETWORK", "NOT ENDED"];
    let rows: Vec<Vec<String>> = reports.iter().map(|(title, report)| row(title, report)).collect();
    let mut text = style.table(&header, &[1, 2, 3, 4, 5, 6, 7], &rows);
    let n_jobs = plan.jobs.len();
    text.push_str(&format!("\n{n_jobs} {}; ", if n_jobs == 1 { "job" } else { "jobs" }));
    let means: Vec<f64> = reports.iter().filter_map(|(_, report)| report.mean_s()).collect();
    let ended: Vec<usize> = reports.iter().map(|(_, report)| report.n_unfinished()).collect();
    text.push_str(&match means[..] {
        _ if ended.iter().any(|n| *n != ended[0]) => "the means cannot be compared, because not the same number of jobs ended.\n".into(),
        [default, ours] => format!("the mean job is {:.2} times as fast with the AI storage plugins.\n", default / ours),
        _ => "none ended.\n".into(),
    });
    text
}

fn row(title: &str, report: &Report) -> Vec<String> {
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".into(), |s| format!("{s:.1} s"));
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let last_end = report.ended as f64 / 1000.0;
    vec![
        title.into(),
        seconds(report.mean_s()),
        seconds(report.percentile_s(50)),
        seconds(report.percentile_s(99)),
        seconds(Some(last_end)),
        report.utilisation().map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0)),
        format!("{:.1} GB", report.network_mb() / 1000.0),
        report.n_unfinished().to_string(),
    ]
}

/// One object: the sums, then every job.
fn line(report: &Report, plugins: &str, output: Output) -> Result<String> {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
    let jobs = report.jobs.iter().map(|job| {
        json!({"name": &*job.name, "arrivedSeconds": seconds(job.arrived), "startedSeconds": seconds(job.started),
            "endedSeconds": seconds(job.ended), "nodes": job.nodes.iter().map(|node| &**node).collect::<Vec<_>>(), "preempted": job.preempted})
    });
    let value = json!({
        "plugins": plugins, "meanSeconds": report.mean_s(), "medianSeconds": report.percentile_s(50), "p99Seconds": report.percentile_s(99),
        "lastEndSeconds": seconds(Some(report.ended)), "acceleratorUtilisation": report.utilisation(),
        "localMB": report.local_mb, "peerMB": report.peer_mb, "remoteMB": report.remote_mb, "unfinished": report.n_unfinished(),
        "jobs": jobs.collect::<Vec<Value>>(),
    });
    let json = serde_json::to_string(&value).context("the report cannot be written as JSON")?;
    Ok(if output == Output::Yaml { format!("---\n{}", yaml(&json)?) } else { format!("{json}\n") })
}

#[cfg(test)]
mod tests;
