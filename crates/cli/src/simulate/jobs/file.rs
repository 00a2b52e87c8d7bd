//! Reads the file of `simulate --jobs`: what carries the data, the datasets, the jobs and the pods that they are made of.
//! Leaves out pods themselves: they are in the manifests.

use aisched_model::Str;
use aisched_model::pod::Pod;
use aisched_sim::jobs::{Checkpoint, Dataset, Job, Keeps, Plan, Reads, Storage};
use aisched_sim::{Options, Scenario};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most jobs, and most pods of a job.
const MOST: usize = 100_000;
/// Largest number: in any of the units more than there is, and small enough to reckon with.
const LARGEST: f64 = 1e9;
/// MB in a GB.
const GB: f64 = 1000.0;
const MILLIS: f64 = 1000.0;

/// What is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JobsFile {
    #[serde(default)]
    storage: StorageText,
    #[serde(default)]
    datasets: Vec<DatasetText>,
    jobs: Vec<JobText>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StorageText {
    #[serde(rename = "remoteMBps")]
    remote: f64,
    #[serde(rename = "networkMBps")]
    network: f64,
    #[serde(rename = "localMBps")]
    local: f64,
    #[serde(rename = "cacheGB")]
    cache: f64,
    #[serde(rename = "cachePolicy")]
    policy: String,
    #[serde(rename = "lruHitShare")]
    lru_hit: f64,
    peers: bool,
    #[serde(rename = "publishedAfterSeconds")]
    published_after: f64,
}

impl Default for StorageText {
    fn default() -> Self {
        let Storage { remote_mbps, network_mbps, local_mbps, cache_mb, peers, .. } = Storage::default();
        Self {
            remote: remote_mbps,
            network: network_mbps,
            local: local_mbps,
            cache: cache_mb / GB,
            policy: "minio".into(),
            lru_hit: 0.6,
            peers,
            published_after: 90.0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetText {
    name: String,
    #[serde(rename = "sizeGB")]
    size: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JobText {
    name: String,
    pod: String,
    #[serde(default = "one")]
    pods: usize,
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    arrive_seconds: f64,
    #[serde(default)]
    every_seconds: f64,
    after: Option<String>,
    reads: Option<ReadsText>,
    writes: Option<String>,
    checkpoint: Option<CheckpointText>,
    #[serde(default)]
    compute_seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadsText {
    dataset: String,
    #[serde(default = "once")]
    epochs: f64,
    #[serde(rename = "MBps")]
    mbps: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CheckpointText {
    #[serde(rename = "sizeGB")]
    size: f64,
    every_seconds: f64,
}

fn one() -> usize {
    1
}

fn once() -> f64 {
    1.0
}

/// Makes a plan of the text. The pods that jobs are made of are taken out of the scenario.
///
/// # Errors
/// Every fault, with the file, the field, the value and what would be right.
pub(super) fn read(text: &str, file: &str, scenario: &mut Scenario) -> Result<Plan, Vec<String>> {
    let options = serde_saphyr::options! { with_snippet: false };
    let mut at = String::new();
    let parsed: Result<JobsFile, _> = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            at = Some(error.path().to_string())
                .filter(|path| path != "." && path != "?")
                .map(|path| format!("{path}: "))
                .unwrap_or_default();
            error.into_inner()
        })
    });
    let written = parsed.map_err(|error| vec![format!("{file}: {at}{error}")])?;
    let mut reader = Reader { file, faults: Vec::new(), templates: BTreeMap::new() };
    let plan = reader.plan(&written, scenario);
    if reader.faults.is_empty() { Ok(plan) } else { Err(reader.faults) }
}

struct Reader<'a> {
    file: &'a str,
    faults: Vec<String>,
    /// Pods that jobs are made of, by what the jobs call them.
    templates: BTreeMap<String, Arc<Pod>>,
}

impl Reader<'_> {
    fn plan(&mut self, written: &JobsFile, scenario: &mut Scenario) -> Plan {
        let mut plan = Plan { storage: self.storage(&written.storage), ..Plan::default() };
        let mut names = BTreeSet::new();
        for (i, dataset) in written.datasets.iter().enumerate() {
            self.positive(&format!("datasets[{i}].sizeGB"), dataset.size);
            self.check(names.insert(&dataset.name), &format!("datasets[{i}].name"), &dataset.name, "a name that no other dataset has");
            plan.datasets.push(Dataset { name: dataset.name.as_str().into(), mb: dataset.size * GB });
        }
        let mut last_of_name: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (i, job) in written.jobs.iter().enumerate() {
            let at = format!("jobs[{i}]");
            let after = job.after.as_deref().and_then(|name| self.after(name, &at, &last_of_name));
            if self.counts(job, &at, plan.jobs.len()) {
                self.jobs(job, &at, after, scenario, &mut plan);
            }
            let is_new = last_of_name.insert(&job.name, (plan.jobs.len().saturating_sub(1), job.count)).is_none();
            self.check(is_new && !job.name.is_empty(), &format!("{at}.name"), &job.name, "a name that no other job has");
        }
        plan
    }

    fn storage(&mut self, text: &StorageText) -> Storage {
        for (field, value) in [("remoteMBps", text.remote), ("networkMBps", text.network), ("localMBps", text.local)] {
            self.positive(&format!("storage.{field}"), value);
        }
        self.check((0.0..=LARGEST).contains(&text.cache), "storage.cacheGB", text.cache, "a number from 0 to 1000000000");
        self.seconds("storage.publishedAfterSeconds", text.published_after);
        self.check((0.0..=1.0).contains(&text.lru_hit), "storage.lruHitShare", text.lru_hit, "a number from 0 to 1");
        self.check(matches!(&*text.policy, "minio" | "lru"), "storage.cachePolicy", &text.policy, "one of minio, lru");
        Storage {
            remote_mbps: text.remote,
            network_mbps: text.network,
            local_mbps: text.local,
            cache_mb: text.cache * GB,
            keeps: if text.policy == "lru" { Keeps::Latest(text.lru_hit) } else { Keeps::First },
            peers: text.peers,
            published_after: millis(text.published_after),
        }
    }

    /// Whether so many jobs and pods can be made.
    fn counts(&mut self, job: &JobText, at: &str, n_jobs: usize) -> bool {
        let n_before = self.faults.len();
        self.check((1..=MOST).contains(&job.pods), &format!("{at}.pods"), job.pods, &format!("a number from 1 to {MOST}"));
        let left = MOST - n_jobs;
        self.check(
            (1..=left).contains(&job.count),
            &format!("{at}.count"),
            job.count,
            &format!("a number from 1 to {left}: {MOST} in all"),
        );
        self.faults.len() == n_before
    }

    /// The job to wait for: one that comes before in the file, and is one alone.
    fn after(&mut self, name: &str, at: &str, jobs: &BTreeMap<&str, (usize, usize)>) -> Option<usize> {
        let found = jobs.get(name).filter(|(_, count)| *count == 1).map(|(position, _)| *position);
        self.check(found.is_some(), &format!("{at}.after"), name, "the name of a job further up in the file, whose count is 1");
        found
    }

    fn jobs(&mut self, text: &JobText, at: &str, after: Option<usize>, scenario: &mut Scenario, plan: &mut Plan) {
        for (field, value) in
            [("arriveSeconds", text.arrive_seconds), ("everySeconds", text.every_seconds), ("computeSeconds", text.compute_seconds)]
        {
            self.seconds(&format!("{at}.{field}"), value);
        }
        let reads = text.reads.as_ref().and_then(|reads| {
            self.positive(&format!("{at}.reads.epochs"), reads.epochs);
            self.positive(&format!("{at}.reads.MBps"), reads.mbps);
            let dataset = self.dataset(&reads.dataset, &format!("{at}.reads.dataset"), plan)?;
            Some(Reads { dataset, epochs: reads.epochs, mbps: reads.mbps })
        });
        let writes = text.writes.as_ref().and_then(|name| self.dataset(name, &format!("{at}.writes"), plan));
        self.check(
            writes.is_none() || text.reads.is_some(),
            &format!("{at}.writes"),
            "",
            "reads beside it: output is written while input is read",
        );
        let checkpoint = text.checkpoint.as_ref().map(|checkpoint| {
            self.positive(&format!("{at}.checkpoint.sizeGB"), checkpoint.size);
            self.positive(&format!("{at}.checkpoint.everySeconds"), checkpoint.every_seconds);
            Checkpoint { mb: checkpoint.size * GB, every_s: checkpoint.every_seconds }
        });
        let Some(pod) = self.template(&text.pod, at, scenario) else { return };
        for i in 0..text.count {
            let name: Str = if text.count == 1 { text.name.as_str().into() } else { format!("{}-{i}", text.name).into() };
            #[allow(clippy::cast_precision_loss, reason = "at most MOST")]
            let arrives = millis(text.arrive_seconds + text.every_seconds * i as f64);
            let compute_s = text.compute_seconds;
            plan.jobs.push(Job { name, pod: pod.clone(), n_pods: text.pods, arrives, after, reads, writes, checkpoint, compute_s });
        }
    }

    fn dataset(&mut self, name: &str, at: &str, plan: &Plan) -> Option<usize> {
        let found = plan.datasets.iter().position(|dataset| *dataset.name == *name);
        let known: Vec<&str> = plan.datasets.iter().map(|dataset| &*dataset.name).collect();
        self.check(found.is_some(), at, name, &format!("one of the datasets: {}", known.join(", ")));
        found
    }

    fn template(&mut self, name: &str, at: &str, scenario: &mut Scenario) -> Option<Arc<Pod>> {
        if let Some(pod) = self.templates.get(name) {
            return Some(pod.clone());
        }
        let (namespace, pod) = name.split_once('/').unwrap_or(("default", name));
        let found = scenario.take_pod(namespace, pod);
        self.check(
            found.is_some(),
            &format!("{at}.pod"),
            name,
            "the name of a Pod in the manifests, with its namespace unless that is default",
        );
        let mut pod = found?;
        // Whatever scheduler it names: the question is what ours would do.
        Arc::make_mut(&mut Arc::make_mut(&mut pod).spec).scheduler_name = Options::default().scheduler_name;
        self.templates.insert(name.into(), pod.clone());
        Some(pod)
    }

    fn positive(&mut self, at: &str, value: f64) {
        self.check(value > 0.0 && value <= LARGEST, at, value, "a number above 0, at most 1000000000");
    }

    fn seconds(&mut self, at: &str, value: f64) {
        self.check((0.0..=LARGEST).contains(&value), at, value, "a number of seconds from 0 to 1000000000");
    }

    fn check(&mut self, holds: bool, at: &str, value: impl std::fmt::Display, expected: &str) {
        if !holds {
            let value = Some(value.to_string()).filter(|value| !value.is_empty()).map(|value| format!("{value:?}: ")).unwrap_or_default();
            self.faults.push(format!("{}: {at}: {value}expected {expected}", self.file));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 or more and not large")]
fn millis(seconds: f64) -> u64 {
    (seconds * MILLIS) as u64
}
