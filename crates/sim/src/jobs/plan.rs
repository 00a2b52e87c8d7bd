//! What jobs do with their data, and what carries the data to them.
//! Leaves out how it is written down: whoever reads the files makes a plan of them.

use aisched_core::event::Millis;
use aisched_model::Str;
use aisched_model::pod::Pod;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The jobs of a simulation, in the order in which they ask for a place when they arrive together.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What carries the data.
    pub storage: Storage,
    /// The data.
    pub datasets: Vec<Dataset>,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// A dataset, by its position in [`Plan::datasets`].
pub type DatasetId = usize;

/// Bandwidths and caches; all nodes are alike but for what they say of their own storage.
#[derive(Clone, Debug)]
pub struct Storage {
    /// MB/s of the remote store, shared by the whole cluster.
    pub remote_mbps: f64,
    /// MB/s of each node's network, for peers and the remote store together.
    pub network_mbps: f64,
    /// MB/s of the local storage of a node that does not say.
    pub local_mbps: f64,
    /// MB of cache on each node, or less where the node's capacity is less.
    pub cache_mb: f64,
    /// What a cache keeps when not everything fits.
    pub keeps: Keeps,
    /// Whether nodes read from each other's caches.
    pub peers: bool,
    /// How long after a node's cache begins to hold a dataset its node object says so.
    pub published_after: Millis,
}

/// What a cache keeps when not everything fits. Data that no job on the node reads makes room first, the longest unused first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keeps {
    /// What came first: part of a dataset stays, and is hit in every epoch (MinIO of CoorDL).
    First,
    /// What was used last, like an operating system's page cache: datasets in use share the room, and a random scan hits only this
    /// share of the part that is there, because the rest was displaced before its turn came.
    Latest(f64),
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            remote_mbps: 1250.0,
            network_mbps: 1250.0,
            local_mbps: 3000.0,
            cache_mb: 1e6,
            keeps: Keeps::First,
            peers: false,
            published_after: 90_000,
        }
    }
}

/// Data that jobs read or write.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name that pods and nodes know it by.
    pub name: Str,
    /// Size in MB.
    pub mb: f64,
}

/// A job: pods that work together.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name; its pods are `name-0`, `name-1`, ….
    pub name: Str,
    /// What its pods are like; they name a scheduler of the simulation.
    pub pod: Arc<Pod>,
    /// Pods; they work in step, and only when all have a node.
    pub n_pods: usize,
    /// When it arrives, or how long after [`Job::after`] has ended.
    pub arrives: Millis,
    /// The job that has to end first, by its position before this one in [`Plan::jobs`].
    pub after: Option<usize>,
    /// What it reads.
    pub reads: Option<Reads>,
    /// The dataset that it writes while it reads: to the remote store, and into the caches of its nodes.
    pub writes: Option<DatasetId>,
    /// What it saves now and then to the node's own storage, standing still meanwhile.
    pub checkpoint: Option<Checkpoint>,
    /// Seconds of work without input after the reading.
    pub compute_s: f64,
}

/// Every pod reads its share of the dataset in every epoch, in random order.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// The dataset.
    pub dataset: DatasetId,
    /// How often it is read.
    pub epochs: f64,
    /// MB/s that a pod takes when nothing holds it up.
    pub mbps: f64,
}

/// Saved state of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// MB.
    pub mb: f64,
    /// Seconds of work between two.
    pub every_s: f64,
}

impl Job {
    /// Accelerators of each pod: extended resources whose name has a part `gpu`, like `nvidia.com/gpu`.
    #[must_use]
    pub fn accelerators(&self) -> i64 {
        let is_one = |name: &str| name.split(['/', '.', '-']).any(|part| part == "gpu");
        self.pod.spec.requests.scalars.iter().filter(|(name, _)| is_one(name)).map(|(_, n)| *n).sum()
    }
}
