//! Numbers of many runs to one table or one JSON object: medians, and ratios to kube-scheduler in the same round.
//! Leaves out where the numbers come from.

use crate::measure::Sample;
use crate::schedulers::Contender;
use crate::workload::Workload;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Everything that a comparison gave.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) workload: Workload,
    pub(crate) nodes: usize,
    pub(crate) bound: usize,
    pub(crate) pods: usize,
    pub(crate) rounds: usize,
    pub(crate) cores: usize,
    pub(crate) schedulers: Vec<Entry>,
}

/// One scheduler's part.
#[derive(Serialize)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) median: Numbers,
    /// Median over the rounds of this scheduler's number divided by kube-scheduler's of the same round.
    pub(crate) ratio: Option<Numbers>,
    pub(crate) runs: Vec<Sample>,
}

/// The numbers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Numbers {
    pub(crate) pods_per_second: f64,
    pub(crate) cpu_ms_per_pod: f64,
    pub(crate) peak_rss_mib: f64,
    pub(crate) first_bind_seconds: f64,
    pub(crate) start_cpu_ms: f64,
}

/// A column of the table: heading, number, decimals.
type Column = (&'static str, fn(&Numbers) -> f64, usize);

const COLUMNS: [Column; 5] = [
    ("pods/s", |n| n.pods_per_second, 0),
    ("CPU ms/pod", |n| n.cpu_ms_per_pod, 2),
    ("peak RSS MiB", |n| n.peak_rss_mib, 0),
    ("first bind s", |n| n.first_bind_seconds, 1),
    ("start CPU ms", |n| n.start_cpu_ms, 0),
];

impl Entry {
    /// One scheduler's runs, in rounds, beside kube-scheduler's.
    pub(crate) fn new(scheduler: Contender, runs: &[Sample], reference: Option<&[Sample]>) -> Self {
        let of = |sample: &Sample| Numbers {
            pods_per_second: sample.pods_per_second,
            cpu_ms_per_pod: sample.cpu_ms_per_pod,
            peak_rss_mib: sample.peak_rss_mib,
            first_bind_seconds: sample.first_bind_seconds,
            start_cpu_ms: sample.start_cpu_ms,
        };
        let numbers: Vec<Numbers> = runs.iter().map(of).collect();
        let ratios = |reference: &[Sample]| -> Vec<Numbers> {
            numbers.iter().zip(reference.iter().map(of)).map(|(own, reference)| own.divided_by(reference)).collect()
        };
        Self { name: scheduler.title(), median: medians(&numbers), ratio: reference.map(|r| medians(&ratios(r))), runs: runs.to_vec() }
    }
}

impl Numbers {
    fn of(number: impl Fn(fn(&Self) -> f64) -> f64) -> Self {
        let [pods_per_second, cpu_ms_per_pod, peak_rss_mib, first_bind_seconds, start_cpu_ms] = COLUMNS.map(|(_, field, _)| number(field));
        Self { pods_per_second, cpu_ms_per_pod, peak_rss_mib, first_bind_seconds, start_cpu_ms }
    }

    fn divided_by(self, other: Self) -> Self {
        Self::of(|field| field(&self) / field(&other))
    }
}

fn medians(numbers: &[Numbers]) -> Numbers {
    Numbers::of(|field| median(numbers.iter().map(field).collect()))
}

/// The middle value; of an even number of values, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 0) => f64::midpoint(values[middle - 1], values[middle]),
        (middle, _) => values[middle],
    }
}

/// The table for people.
pub(crate) fn render(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["scheduler"].into_iter().chain(COLUMNS.iter().flat_map(|(heading, _, _)| [*heading, "×"])));
    for entry in &report.schedulers {
        let cells = COLUMNS.iter().flat_map(|(_, field, decimals)| {
            let ratio = entry.ratio.as_ref().map_or_else(String::new, |r| format!("{:.2}", field(r)));
            [format!("{:.decimals$}", field(&entry.median)), ratio]
        });
        table.add_row([entry.name.to_owned()].into_iter().chain(cells));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let workload = clap::ValueEnum::to_possible_value(&report.workload).map(|v| v.get_name().to_owned()).unwrap_or_default();
    let Report { nodes, bound, pods, rounds, cores, .. } = report;
    format!(
        "Workload {workload}: {nodes} nodes, {bound} pods on them before, {pods} pods, {cores} cores shared with the API server.\n\
         Medians of {rounds} rounds; × is the median of the ratios to kube-scheduler in the same round.\n\n{table}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pods_per_second: f64, cpu_ms_per_pod: f64) -> Sample {
        Sample {
            pods_per_second,
            cpu_ms_per_pod,
            peak_rss_mib: 10.0,
            created_after_seconds: 0.0,
            bound_after_seconds: 0.0,
            first_bind_seconds: 2.0,
            start_cpu_ms: 100.0,
        }
    }

    fn numbers(pods_per_second: f64, cpu_ms_per_pod: f64, peak_rss_mib: f64, first_bind_seconds: f64, start_cpu_ms: f64) -> Numbers {
        Numbers { pods_per_second, cpu_ms_per_pod, peak_rss_mib, first_bind_seconds, start_cpu_ms }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let reference = [sample(100.0, 4.0), sample(50.0, 4.0), sample(200.0, 2.0)];
        let entry = Entry::new(Contender::Ours, &[sample(200.0, 1.0), sample(150.0, 1.0), sample(200.0, 1.0)], Some(&reference));
        assert_eq!(entry.median, numbers(200.0, 1.0, 10.0, 2.0, 100.0));
        assert_eq!(entry.ratio, Some(numbers(2.0, 0.25, 1.0, 1.0, 1.0)));
    }

    #[test]
    fn median_of_an_even_number_of_rounds_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(median(vec![7.0]), 7.0);
    }

    #[test]
    fn table_names_every_scheduler_and_leaves_out_missing_ratios() {
        let schedulers = vec![Entry::new(Contender::NullBinder, &[sample(421.4, 0.5)], None)];
        let report = Report { workload: Workload::Basic, nodes: 5, bound: 3, pods: 7, rounds: 1, cores: 2, schedulers };
        let text = render(&report);
        assert!(text.contains("Workload basic: 5 nodes, 3 pods on them before, 7 pods"), "{text}");
        assert!(
            text.contains("| null binder |    421 |   |       0.50 |   |           10 |   |          2.0 |   |          100 |   |"),
            "{text}"
        );
    }
}
