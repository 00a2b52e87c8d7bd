//! `--report`: all workloads of a run as one section of a Markdown file, with plots beside it.
//! Leaves out where the numbers come from; the file is written anew after every workload, so that a run that ends early leaves what it has.

use crate::schedulers::Contender;
use crate::table::{Entry, Report};
use crate::workload::Workload;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- written by run.sh --report -->\n";
const END: &str = "<!-- end of what run.sh --report wrote -->\n";

/// A workload, with what it gave or why it gave nothing.
pub(crate) type Outcome = (Workload, std::result::Result<Report, String>);

/// A plot: its file, its title, what is drawn.
type Plot = (&'static str, &'static str, fn(&Entry) -> f64);

const PLOTS: [Plot; 3] = [
    ("pods-per-second.svg", "Pods per second (longer is better)", |entry| entry.median.pods_per_second),
    ("cpu-per-pod.svg", "CPU of the scheduler, ms per pod (shorter is better)", |entry| entry.median.cpu_ms_per_pod),
    ("peak-rss.svg", "Peak memory of the scheduler, MiB (shorter is better)", |entry| entry.median.peak_rss_mib),
];

/// Writes the section into the file, in the place of the one that was there, and the plots into `plots/` beside it.
pub(crate) fn write(file: &Path, title: &str, outcomes: &[Outcome]) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    std::fs::write(file, placed(&text, &section(title, outcomes))).with_context(|| format!("cannot write {}", file.display()))?;
    let plots = file.with_file_name("plots");
    std::fs::create_dir_all(&plots).with_context(|| format!("cannot make {}", plots.display()))?;
    let measured: Vec<&Report> = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).collect();
    for (name, title, number) in PLOTS {
        let path = plots.join(name);
        std::fs::write(&path, svg(title, &measured, number)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The text with the section between the marks; without marks, before the first heading of the second level.
fn placed(text: &str, section: &str) -> String {
    let section = format!("{BEGIN}{section}{END}");
    if let Some((before, rest)) = text.split_once(BEGIN)
        && let Some((_, after)) = rest.split_once(END)
    {
        return format!("{before}{section}{after}");
    }
    let at = text.find("\n## ").map_or(text.len(), |at| at + 1);
    format!("{}{section}\n{}", &text[..at], &text[at..])
}

fn name(workload: Workload) -> String {
    workload.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

fn section(title: &str, outcomes: &[Outcome]) -> String {
    let mut text = format!("## {title}\n\n");
    if let Some(report) = outcomes.iter().find_map(|(_, outcome)| outcome.as_ref().ok()) {
        let Report { nodes, pods, rounds, cores, .. } = report;
        let _ = writeln!(
            text,
            "{nodes} nodes, {pods} pods, {cores} cores shared with the API server; medians of {rounds} rounds. × is the median of the ratios to\n\
             kube-scheduler in the same round, *of null* the median divided by the null binder's.\n"
        );
    }
    text.push_str("| workload | scheduler | pods/s | × | of null | CPU ms/pod | × | peak RSS MiB | × |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (workload, outcome) in outcomes {
        match outcome {
            Err(error) => {
                let _ = writeln!(text, "| {} | not measured: {} | | | | | | | |", name(*workload), error.replace(['\n', '|'], " "));
            }
            Ok(report) => rows(&mut text, &name(*workload), report),
        }
    }
    text.push('\n');
    for (file, title, _) in PLOTS {
        let _ = writeln!(text, "![{title}](plots/{file})");
    }
    text.push('\n');
    text
}

fn rows(text: &mut String, workload: &str, report: &Report) {
    let null = report.schedulers.iter().find(|e| e.name == Contender::NullBinder.title()).map(|e| e.median.pods_per_second);
    for (i, Entry { name, median, ratio, .. }) in report.schedulers.iter().enumerate() {
        let times = |number: Option<f64>| number.map_or_else(String::new, |n| format!("{n:.2}"));
        let _ = writeln!(
            text,
            "| {} | {name} | {:.0} | {} | {} | {:.2} | {} | {:.0} | {} |",
            if i == 0 { workload } else { "" },
            median.pods_per_second,
            times(ratio.map(|r| r.pods_per_second)),
            times(null.map(|null| median.pods_per_second / null)),
            median.cpu_ms_per_pod,
            times(ratio.map(|r| r.cpu_ms_per_pod)),
            median.peak_rss_mib,
            times(ratio.map(|r| r.peak_rss_mib)),
        );
    }
}

const BAR: f64 = 14.0;
const LEFT: f64 = 210.0;
const WIDTH: f64 = 460.0;

/// Horizontal bars, a group for each workload, on a scale from 0 to the longest.
fn svg(title: &str, reports: &[&Report], number: impl Fn(&Entry) -> f64) -> String {
    let longest = reports.iter().flat_map(|r| &r.schedulers).map(&number).fold(f64::MIN_POSITIVE, f64::max);
    let (mut body, mut y) = (format!("<text x=\"10\" y=\"20\" font-weight=\"bold\">{title}</text>\n"), 34.0);
    for report in reports {
        let _ = writeln!(body, "<text x=\"10\" y=\"{:.0}\">{}</text>", y + BAR - 3.0, name(report.workload));
        for entry in &report.schedulers {
            let value = number(entry);
            let (length, text_y) = (WIDTH * value / longest, y + BAR - 3.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{text_y:.0}\">{} {}</text>",
                BAR - 2.0,
                color(entry.name),
                LEFT + length + 5.0,
                if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") },
                entry.name,
            );
            y += BAR;
        }
        y += BAR / 2.0;
    }
    let (width, height) = (LEFT + WIDTH + 210.0, y + 6.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn color(scheduler: &str) -> &'static str {
    match scheduler {
        s if s == Contender::KubeScheduler.title() => "#8aa4c8",
        s if s == Contender::NullBinder.title() => "#bbbbbb",
        _ => "#d9822b",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Sample;

    fn report(pods_per_second: f64) -> Report {
        let sample = |factor: f64| Sample {
            pods_per_second: pods_per_second * factor,
            cpu_ms_per_pod: 2.0,
            peak_rss_mib: 10.0,
            created_after_seconds: 0.0,
            bound_after_seconds: 0.0,
            first_bind_seconds: 2.0,
            start_cpu_ms: 100.0,
        };
        let reference = [sample(1.0)];
        let of = |scheduler, factor| Entry::new(scheduler, &[sample(factor)], Some(&reference));
        let schedulers = vec![of(Contender::KubeScheduler, 1.0), of(Contender::Ours, 1.8), of(Contender::NullBinder, 2.0)];
        Report { workload: Workload::Basic, nodes: 5, bound: 0, pods: 7, rounds: 1, cores: 2, schedulers }
    }

    #[test]
    fn section_takes_the_place_of_the_one_before() {
        let text = "# Results\n\nIntroduction.\n\n## Older\n\nolder\n";
        let once = placed(text, "## First\n\n");
        assert!(once.starts_with("# Results\n\nIntroduction.\n\n<!-- written") && once.ends_with("## Older\n\nolder\n"), "{once}");
        let twice = placed(&once, "## Second\n\n");
        assert!(twice.contains("## Second") && !twice.contains("## First"), "{twice}");
        assert_eq!(placed(&twice, "## First\n\n"), once);
    }

    #[test]
    fn failed_workload_is_named_among_the_measured_ones() {
        let text = section("t", &[(Workload::Basic, Ok(report(100.0))), (Workload::Spread, Err("no\nluck".into()))]);
        assert!(text.contains("|  | ai-storage-scheduler | 180 | 1.80 | 0.90 | 2.00 | 1.00 | 10 | 1.00 |"), "{text}");
        assert!(text.contains("| spread | not measured: no luck |"), "{text}");
    }

    #[test]
    fn longest_bar_is_the_highest_number() {
        let plot = svg("t", &[&report(100.0), &report(50.0)], |entry| entry.median.pods_per_second);
        let widths: Vec<&str> = plot.split("width=\"").skip(3).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(widths, ["230.0", "414.0", "460.0", "115.0", "207.0", "230.0"], "{plot}");
    }
}
