//! What came of the jobs: when each ended, and the numbers that sum it up.
//! Leaves out how they are printed.

use super::Progress;
use super::bandwidth::count;
use super::plan::Plan;
use super::work::Work;
use aisched_core::event::Millis;
use aisched_model::Str;
use alloc::vec::Vec;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Every job, in the order of the plan.
    pub jobs: Vec<JobReport>,
    /// When the last job ended.
    pub ended: Millis,
    /// Seconds that accelerators were held by pods, from bind to end.
    pub held_s: f64,
    /// Seconds of accelerators at work.
    pub busy_s: f64,
    /// MB that pods read from, or saved to, the storage of their own node.
    pub local_mb: f64,
    /// MB that pods read from other nodes' caches.
    pub peer_mb: f64,
    /// MB that pods read from or wrote to the remote store.
    pub remote_mb: f64,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// The job.
    pub name: Str,
    /// When it arrived; `None` when the job before it never ended.
    pub arrived: Option<Millis>,
    /// When all its pods had a node.
    pub started: Option<Millis>,
    /// When it ended; `None` when it never did.
    pub ended: Option<Millis>,
    /// Node of each pod that got one, in the order of binding.
    pub nodes: Vec<Str>,
    /// Whether it made room for another job.
    pub preempted: bool,
}

impl JobReport {
    /// From arriving to the end.
    #[must_use]
    pub fn time(&self) -> Option<Millis> {
        Some(self.ended? - self.arrived?)
    }
}

impl Report {
    pub(super) fn of(plan: &Plan, jobs: &[Progress], work: &Work, now: Millis, name: impl Fn(usize) -> Str) -> Self {
        let traffic = work.traffic();
        let mut held_s = 0.0;
        for (job, progress) in plan.jobs.iter().zip(jobs) {
            let end = progress.ended.unwrap_or(now);
            #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
            let held = |(_, since): &(usize, Millis)| ((end - since) as f64 / 1000.0) * job.accelerators() as f64;
            held_s += progress.placed.iter().map(held).sum::<f64>();
        }
        let job = |(job, progress): (&super::Job, &Progress)| JobReport {
            name: job.name.clone(),
            arrived: progress.arrived,
            started: progress.started,
            ended: progress.ended,
            nodes: progress.placed.iter().map(|(host, _)| name(*host)).collect(),
            preempted: progress.preempted,
        };
        Self {
            jobs: plan.jobs.iter().zip(jobs).map(job).collect(),
            ended: jobs.iter().filter_map(|job| job.ended).max().unwrap_or_default(),
            held_s,
            busy_s: work.accelerators_s,
            local_mb: traffic.local,
            peer_mb: traffic.peer,
            remote_mb: traffic.remote,
        }
    }

    /// Times of the jobs that ended, in ascending order.
    #[must_use]
    pub fn times(&self) -> Vec<Millis> {
        let mut times: Vec<Millis> = self.jobs.iter().filter_map(JobReport::time).collect();
        times.sort_unstable();
        times
    }

    /// Mean time of a job in seconds; `None` when none ended.
    #[must_use]
    pub fn mean_s(&self) -> Option<f64> {
        let times = self.times();
        (!times.is_empty()).then(|| seconds(times.iter().sum()) / count(times.len()))
    }

    /// The time that this percentage of the jobs did not exceed, in seconds; `None` when none ended.
    #[must_use]
    pub fn percentile_s(&self, percent: usize) -> Option<f64> {
        let times = self.times();
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).map(|time| seconds(*time))
    }

    /// The share of the time for which accelerators were held that they worked; `None` when there were none.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        (self.held_s > 0.0).then(|| self.busy_s / self.held_s)
    }

    /// MB that crossed the network.
    #[must_use]
    pub fn network_mb(&self) -> f64 {
        self.peer_mb + self.remote_mb
    }

    /// Jobs that never ended.
    #[must_use]
    pub fn n_unfinished(&self) -> usize {
        self.jobs.iter().filter(|job| job.ended.is_none()).count()
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1000.0
}
