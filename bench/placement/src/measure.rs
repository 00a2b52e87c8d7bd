//! Runs a mix with both sets of plugins on the same cluster, jobs and seed, and makes rows of what came of it.
//! Leaves out the mixes and the plots.

use crate::mixes::{Mix, Setting};
use aisched_sim::jobs::{Report, run};
use aisched_sim::{Options, Plugins};

/// MB/s of the remote store for each node, along a curve.
pub(crate) const BANDWIDTHS: [f64; 6] = [62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0];
/// GB of cache on each node, a curve each.
pub(crate) const CACHES: [f64; 4] = [0.0, 100.0, 300.0, 1000.0];

/// What came of a mix.
pub(crate) struct Pair {
    pub(crate) default: Report,
    pub(crate) ours: Report,
}

impl Pair {
    pub(crate) const HEADER: &str = "| mix | jobs | mean job s, default | ours | gain | p99 s, default | ours | gain | accelerators busy %, default | ours | network TB, default | ours |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

    pub(crate) fn of(mix: Mix, setting: &Setting) -> Self {
        let plan = mix.plan(setting);
        let with = |plugins| {
            let options = Options { plugins, report_nodes: 1, seed: setting.seed, ..Options::default() };
            run(mix.cluster(setting), &plan, &options, &mut |_| ())
        };
        Self { default: with(Plugins::Default), ours: with(Plugins::AiStorage) }
    }

    /// How many times as fast the mean job is with ours; not a number where not all jobs ended.
    pub(crate) fn gain(&self) -> f64 {
        self.ratio(Report::mean_s)
    }

    fn ratio(&self, of: impl Fn(&Report) -> Option<f64>) -> f64 {
        let all_ended = self.default.n_unfinished() + self.ours.n_unfinished() == 0;
        let ratio = of(&self.default).zip(of(&self.ours)).filter(|_| all_ended).map(|(default, ours)| default / ours);
        ratio.unwrap_or(f64::NAN)
    }

    pub(crate) fn row(&self, mix: Mix) -> String {
        let (default, ours) = (&self.default, &self.ours);
        let seconds = |s: Option<f64>| s.map_or_else(|| "-".into(), |s| format!("{s:.0}"));
        let busy = |r: &Report| r.utilisation().map_or_else(|| "-".into(), |u| format!("{:.1}", u * 100.0));
        let p99 = |r: &Report| r.percentile_s(99);
        format!(
            "| {} | {} | {} | {} | {:.2} | {} | {} | {:.2} | {} | {} | {:.1} | {:.1} |",
            mix.name(),
            default.jobs.len(),
            seconds(default.mean_s()),
            seconds(ours.mean_s()),
            self.gain(),
            seconds(p99(default)),
            seconds(p99(ours)),
            self.ratio(p99),
            busy(default),
            busy(ours),
            default.network_mb() / 1e6,
            ours.network_mb() / 1e6
        )
    }
}

/// Gains over remote bandwidth, for each size of cache.
pub(crate) struct Curve {
    /// By `CACHES`, then by `BANDWIDTHS`.
    pub(crate) gains: Vec<Vec<f64>>,
}

impl Curve {
    pub(crate) fn of(mix: Mix, setting: &Setting) -> Self {
        let gain = |cache_gb: f64, remote_per_node: f64| Pair::of(mix, &Setting { cache_gb, remote_per_node, ..*setting }).gain();
        Self { gains: CACHES.iter().map(|cache| BANDWIDTHS.iter().map(|remote| gain(*cache, *remote)).collect()).collect() }
    }

    pub(crate) fn table(&self, mix: Mix) -> String {
        let cells = |values: &[f64]| values.iter().map(|v| format!(" {v:.2} |")).collect::<String>();
        let mut text = format!("| {}: GB of cache \\ MB/s for each node |", mix.name());
        text.push_str(&BANDWIDTHS.iter().map(|v| format!(" {v} |")).collect::<String>());
        text.push_str(&format!("\n|---|{}\n", "---:|".repeat(BANDWIDTHS.len())));
        for (cache, gains) in CACHES.iter().zip(&self.gains) {
            text.push_str(&format!("| {cache} |{}\n", cells(gains)));
        }
        text
    }
}
