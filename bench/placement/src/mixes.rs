//! Five mixes of jobs as clusters for AI run them; the same setting gives the same cluster and jobs on every machine.
//! Leaves out what becomes of them. Where the numbers are from: README.md.

use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodSpec};
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::storage_facts::{self, NodeSize};
use aisched_sim::Scenario;
use aisched_sim::jobs::{Checkpoint, Dataset, Job, Keeps, Plan, Reads, Storage};
use fastrand::Rng;
use std::sync::Arc;

const GPU: &str = "nvidia.com/gpu";
const GPUS_PER_NODE: i64 = 8;
/// MB in a GB.
const GB: f64 = 1000.0;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) nodes: usize,
    /// Jobs for each node.
    pub(crate) jobs_per_node: usize,
    /// MB/s of the remote store for each node of the cluster; the nodes share the sum.
    pub(crate) remote_per_node: f64,
    /// GB of cache on each node.
    pub(crate) cache_gb: f64,
    pub(crate) keeps: Keeps,
    pub(crate) peers: bool,
    pub(crate) seed: u64,
}

/// A mix of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mix {
    /// Training as MLPerf Storage has it: 3D-UNet, ResNet-50 and CosmoFlow on datasets of which some are popular
    Training,
    /// Search for hyper-parameters: sweeps of 16 trials that share a dataset
    Search,
    /// Preprocessing on CPUs, then training on what it wrote
    Pipelines,
    /// Training of language models that saves a lot, beside batch jobs without I/O; nodes of three tiers
    Checkpoints,
    /// Serving: short runs of models that have to be loaded first
    Serving,
}

impl Mix {
    pub(crate) const ALL: [Self; 5] = [Self::Training, Self::Search, Self::Pipelines, Self::Checkpoints, Self::Serving];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Search => "search",
            Self::Pipelines => "pipelines",
            Self::Checkpoints => "checkpoints",
            Self::Serving => "serving",
        }
    }

    /// Share of all accelerators that the jobs would keep busy if nothing held them up. Serving keeps room for what comes next.
    fn load(self) -> f64 {
        if self == Self::Serving { 0.3 } else { 0.5 }
    }

    /// The cluster.
    pub(crate) fn cluster(self, setting: &Setting) -> Scenario {
        let mut scenario = Scenario::default();
        for i in 0..setting.nodes {
            let tier = match (self, i % 8) {
                (Self::Checkpoints, 4..=6) => "ssd",
                (Self::Checkpoints, 7) => "hdd",
                _ => "nvme",
            };
            scenario.add(Event::NodeSet(Arc::new(node(i, tier)), Vec::new()));
        }
        scenario
    }

    /// The jobs.
    pub(crate) fn plan(self, setting: &Setting) -> Plan {
        let mut maker = Maker { rng: Rng::with_seed(setting.seed), n_nodes: setting.nodes, plan: Plan::default() };
        let n_jobs = setting.nodes * setting.jobs_per_node;
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let remote_mbps = setting.remote_per_node * setting.nodes as f64;
        maker.plan.storage =
            Storage { remote_mbps, cache_mb: setting.cache_gb * GB, keeps: setting.keeps, peers: setting.peers, ..Storage::default() };
        match self {
            Self::Training => maker.training(n_jobs),
            Self::Search => maker.search(n_jobs),
            Self::Pipelines => maker.pipelines(n_jobs / 2),
            Self::Checkpoints => maker.checkpoints(n_jobs),
            Self::Serving => maker.serving(n_jobs),
        }
        maker.arrive(self.load());
        maker.plan
    }
}

fn node(i: usize, tier: &str) -> Node {
    let name: Str = format!("node-{i:04}").into();
    let labels = Labels::from([
        ("kubernetes.io/hostname", &*name),
        ("topology.kubernetes.io/zone", "zone-a"),
        (&*format!("storage-tier/{tier}"), "true"),
    ]);
    let annotations = Labels::default();
    let (storage, _) = storage_facts::read(&labels, &annotations, NodeSize { cores: 128, memory_gib: 1024 });
    let mut node = Node { name, labels, annotations, storage, allocatable_pods: 110, ..Node::default() };
    node.allocatable.cpu = MilliCpu(128_000);
    node.allocatable.memory = Bytes(1 << 40);
    node.allocatable.scalars = vec![(GPU.into(), GPUS_PER_NODE)];
    node
}

/// What a pod is like.
struct Shape<'a> {
    stage: &'a str,
    pattern: &'a str,
    dataset: Option<&'a str>,
    gpus: i64,
    cpus: i64,
    mbps: f64,
}

/// A pod as the operation guide has people annotate it.
fn pod(shape: &Shape<'_>) -> Arc<Pod> {
    let mbps = format!("{:.0}", shape.mbps);
    let annotations = [
        ("ai-storage.keti/workload-stage", Some(shape.stage)),
        ("ai-storage.keti/io-pattern", Some(shape.pattern)),
        ("ai-storage.keti/dataset", shape.dataset),
        ("ai-storage.keti/required-throughput-mbps", Some(&*mbps)),
    ];
    let annotations = annotations.into_iter().filter_map(|(key, value)| Some((key, value.filter(|v| !v.is_empty() && *v != "0")?)));
    let mut spec = PodSpec { scheduler_name: "ai-storage-scheduler".into(), n_containers: 1, ..PodSpec::default() };
    spec.annotations = annotations.collect::<Vec<_>>().into_iter().collect();
    spec.requests.cpu = MilliCpu(shape.cpus * 1000);
    spec.requests.memory = Bytes(shape.cpus * (8 << 30));
    spec.nonzero_request.cpu = spec.requests.cpu;
    spec.nonzero_request.memory = spec.requests.memory;
    if shape.gpus > 0 {
        spec.requests.scalars = vec![(GPU.into(), shape.gpus)];
    }
    Arc::new(Pod { namespace: "default".into(), spec: Arc::new(spec), ..Pod::default() })
}

struct Maker {
    rng: Rng,
    n_nodes: usize,
    plan: Plan,
}

impl Maker {
    fn dataset(&mut self, name: String, gb: f64) -> usize {
        self.plan.datasets.push(Dataset { name: name.into(), mb: gb * GB });
        self.plan.datasets.len() - 1
    }

    fn name_of(&self, dataset: usize) -> Str {
        self.plan.datasets[dataset].name.clone()
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + self.rng.f64() * (most - least)
    }

    /// One of `n`, the first ones far more often than the last (Zipf, exponent 1).
    fn popular(&mut self, n: usize) -> usize {
        let weight = |i: usize| 1.0 / f64::from(u32::try_from(i + 1).unwrap_or(u32::MAX));
        let sum: f64 = (0..n).map(weight).sum();
        let mut at = self.rng.f64() * sum;
        (0..n)
            .find(|i| {
                at -= weight(*i);
                at <= 0.0
            })
            .unwrap_or(0)
    }

    fn push(&mut self, kind: &str, pod: Arc<Pod>, reads: Option<Reads>) -> &mut Job {
        let name: Str = format!("{kind}-{}", self.plan.jobs.len()).into();
        let job = Job { name, pod, n_pods: 1, arrives: 0, after: None, reads, writes: None, checkpoint: None, compute_s: 0.0 };
        let at = self.plan.jobs.len();
        self.plan.jobs.push(job);
        &mut self.plan.jobs[at]
    }

    /// A job that trains on a dataset, in one pod.
    fn trains(&mut self, kind: &str, dataset: usize, gpus: i64, mbps_per_gpu: f64, epochs: f64) -> &mut Job {
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let mbps = mbps_per_gpu * gpus as f64;
        let name = self.name_of(dataset);
        let pod = pod(&Shape { stage: "training", pattern: "random", dataset: Some(&*name), gpus, cpus: gpus * 12, mbps });
        self.push(kind, pod, Some(Reads { dataset, epochs, mbps }))
    }

    /// MB/s per A100 as MLPerf Storage has it (`signals.md` §7.3).
    fn training(&mut self, n_jobs: usize) {
        const KINDS: [(&str, f64, f64, f64); 3] =
            [("unet3d", 1614.0, 200.0, 8.0), ("resnet50", 105.0, 150.0, 3.0), ("cosmoflow", 513.0, 300.0, 4.0)];
        let n_datasets = (self.n_nodes / 2).max(3);
        for i in 0..n_datasets {
            let (kind, _, gb, _) = KINDS[i % 3];
            let gb = gb * self.between(0.5, 1.5);
            self.dataset(format!("{kind}-{i}"), gb);
        }
        for _ in 0..n_jobs {
            let dataset = self.popular(n_datasets);
            let (kind, mbps, _, epochs) = KINDS[dataset % 3];
            let gpus = [1, 1, 2, 4][self.rng.usize(0..4)];
            self.trains(kind, dataset, gpus, mbps, epochs);
        }
    }

    /// Two epochs each: what early stopping leaves of most trials.
    fn search(&mut self, n_jobs: usize) {
        for sweep in 0..n_jobs.div_ceil(16) {
            let gb = self.between(100.0, 400.0);
            let dataset = self.dataset(format!("sweep-{sweep}"), gb);
            for _ in 0..16 {
                self.trains("trial", dataset, 1, 205.0, 2.0);
            }
        }
    }

    fn pipelines(&mut self, n: usize) {
        for i in 0..n {
            let gb = self.between(50.0, 300.0);
            let raw = self.dataset(format!("raw-{i}"), gb);
            let share = self.between(0.5, 1.0);
            let ready = self.dataset(format!("ready-{i}"), gb * share);
            let name = self.name_of(raw);
            let shape = Shape { stage: "preprocessing", pattern: "sequential", dataset: Some(&*name), gpus: 0, cpus: 16, mbps: 400.0 };
            self.push("prepare", pod(&shape), Some(Reads { dataset: raw, epochs: 1.0, mbps: 400.0 })).writes = Some(ready);
            let first = self.plan.jobs.len() - 1;
            let job = self.trains("train", ready, 2, 205.0, 3.0);
            (job.after, job.arrives) = (Some(first), 120_000);
        }
    }

    /// 100 GB for each pod: a model of 70 billion parameters with its optimiser, on eight of them, every ten minutes of work.
    fn checkpoints(&mut self, n_jobs: usize) {
        let tokens = self.dataset("tokens".into(), 50.0);
        for i in 0..n_jobs / 4 {
            let compute_s = self.between(1800.0, 7200.0);
            if i % 2 == 0 {
                let mbps = 50_000.0 / compute_s;
                let shape = Shape { stage: "checkpointing", pattern: "write-heavy", dataset: Some("tokens"), gpus: 8, cpus: 96, mbps: 0.0 };
                let n_pods = [1, 2, 4][self.rng.usize(0..3)];
                let job = self.push("llm", pod(&shape), Some(Reads { dataset: tokens, epochs: n_pods as f64, mbps }));
                (job.n_pods, job.checkpoint) = (n_pods, Some(Checkpoint { mb: 100.0 * GB, every_s: 600.0 }));
            } else {
                let shape = Shape { stage: "", pattern: "", dataset: None, gpus: 8, cpus: 96, mbps: 0.0 };
                self.push("batch", pod(&shape), None).compute_s = compute_s;
            }
        }
    }

    fn serving(&mut self, n_jobs: usize) {
        const SIZES: [(f64, i64); 4] = [(16.0, 1), (28.0, 1), (65.0, 2), (140.0, 4)];
        let n_models = self.n_nodes.max(4);
        for i in 0..n_models {
            self.dataset(format!("model-{i}"), SIZES[i % 4].0);
        }
        for _ in 0..n_jobs * 4 {
            let model = self.popular(n_models);
            let gpus = SIZES[model % 4].1;
            let name = self.name_of(model);
            let shape = Shape { stage: "inference", pattern: "read-heavy", dataset: Some(&*name), gpus, cpus: gpus * 8, mbps: 5000.0 };
            let compute_s = self.between(60.0, 300.0);
            self.push("serve", pod(&shape), Some(Reads { dataset: model, epochs: 1.0, mbps: 5000.0 })).compute_s = compute_s;
        }
    }

    /// Jobs that follow no other arrive at random, over as long as they would keep this share of the accelerators busy.
    fn arrive(&mut self, load: f64) {
        let work: f64 = self.plan.jobs.iter().map(|job| accelerator_seconds(job, &self.plan)).sum();
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let accelerators = self.n_nodes as f64 * GPUS_PER_NODE as f64;
        let span_s = work / (accelerators * load);
        let firsts = self.plan.jobs.iter().filter(|job| job.after.is_none()).count();
        let mut times: Vec<f64> = (0..firsts).map(|_| self.rng.f64() * span_s).collect();
        times.sort_unstable_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and far below 2^53")]
        for (job, at) in self.plan.jobs.iter_mut().filter(|job| job.after.is_none()).zip(times) {
            job.arrives = (at * 1000.0) as u64;
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "small")]
fn accelerator_seconds(job: &Job, plan: &Plan) -> f64 {
    let reading = job.reads.map_or(0.0, |reads| plan.datasets[reads.dataset].mb * reads.epochs / reads.mbps / job.n_pods as f64);
    (reading + job.compute_s) * job.accelerators() as f64 * job.n_pods as f64
}
