//! Jobs that read data, in virtual time: what a placement is worth. The engine places their pods; a closed form says how fast they get
//! their data from local caches, peers and the remote store, and so when they end and others get their room.
//! Leaves out files, and everything about a job but its data: no failures, no interference but for bandwidth.

mod bandwidth;
mod caches;
mod plan;
mod report;
#[cfg(test)]
mod tests;
mod work;

pub use plan::{Checkpoint, Dataset, DatasetId, Job, Keeps, Plan, Reads, Storage};
pub use report::{JobReport, Report};

use crate::{Options, Scenario, Simulation};
use aisched_core::decision::Decision;
use aisched_core::event::Millis;
use aisched_model::Str;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use caches::Cache;
use work::Work;

/// Lets the jobs of the plan arrive on the cluster, and works until nothing more happens. `tick` is told how many jobs have ended.
#[must_use]
pub fn run(scenario: Scenario, plan: &Plan, options: &Options, tick: &mut dyn FnMut(usize)) -> Report {
    let nodes = scenario.nodes().cloned().collect();
    let mut world = World::new(Simulation::new(scenario, options), plan, nodes);
    loop {
        let next = world.next_event();
        if let Some(decision) = world.simulation.decision_until(next.unwrap_or(Millis::MAX)) {
            world.time_passes();
            world.decided(&decision);
        } else if let Some(at) = next {
            world.simulation.wait_until(at);
            world.time_passes();
            world.happens();
            tick(world.n_ended);
        } else {
            return world.report();
        }
    }
}

/// Something that happens at a time known beforehand.
#[derive(Clone, Copy, Debug)]
enum Timer {
    /// A job, by position.
    Arrives(usize),
    /// The node object of a node, by position, says what its cache holds.
    Published(usize),
}

/// A node and its cache; the caches are kept apart, side by side.
struct Host {
    node: Arc<Node>,
    local_mbps: f64,
    /// Whether a timer runs that will publish what the cache holds then.
    to_be_published: bool,
}

/// Where a job is.
#[derive(Clone, Debug, Default)]
struct Progress {
    arrived: Option<Millis>,
    started: Option<Millis>,
    ended: Option<Millis>,
    /// Node of each pod, and since when.
    placed: Vec<(usize, Millis)>,
    uids: Vec<Str>,
    /// Set when a pod of it had to make room for another: it never ends.
    preempted: bool,
}

struct World<'p> {
    plan: &'p Plan,
    simulation: Simulation,
    hosts: Vec<Host>,
    caches: Vec<Cache>,
    positions: BTreeMap<Str, usize>,
    /// By time, and the order in which they were set.
    timers: BTreeMap<(Millis, usize), Timer>,
    n_timers: usize,
    jobs: Vec<Progress>,
    /// Job of each pod by UID.
    pods: BTreeMap<Str, usize>,
    /// Jobs of several pods that have arrived, in order; the pods of the first one ask for their places. Two that both had half of
    /// their pods placed could wait for each other for ever.
    gangs: VecDeque<usize>,
    work: Work,
    n_ended: usize,
}

impl<'p> World<'p> {
    fn new(simulation: Simulation, plan: &'p Plan, nodes: Vec<Arc<Node>>) -> Self {
        let caches = nodes.iter().map(|node| cache(node, plan)).collect();
        let positions = nodes.iter().enumerate().map(|(i, node)| (node.name.clone(), i)).collect();
        let local = |node: &Node| node.storage.throughput_mbps.map_or(plan.storage.local_mbps, megabytes);
        let host = |node: Arc<Node>| Host { local_mbps: local(&node), node, to_be_published: false };
        let mut world = Self {
            plan,
            simulation,
            hosts: nodes.into_iter().map(host).collect(),
            caches,
            positions,
            timers: BTreeMap::new(),
            n_timers: 0,
            jobs: alloc::vec![Progress::default(); plan.jobs.len()],
            pods: BTreeMap::new(),
            gangs: VecDeque::new(),
            work: Work::default(),
            n_ended: 0,
        };
        for (i, job) in plan.jobs.iter().enumerate().filter(|(_, job)| job.after.is_none()) {
            world.set_timer(job.arrives, Timer::Arrives(i));
        }
        world
    }

    fn set_timer(&mut self, at: Millis, timer: Timer) {
        self.timers.insert((at, self.n_timers), timer);
        self.n_timers += 1;
    }

    fn next_event(&self) -> Option<Millis> {
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        timer.into_iter().chain(self.work.next_event()).min()
    }

    fn time_passes(&mut self) {
        self.work.pass(self.simulation.now());
    }

    /// What is due now: timers, then what was read goes into caches, and work has ended.
    fn happens(&mut self) {
        let now = self.simulation.now();
        while let Some(due) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            match due.remove() {
                Timer::Arrives(job) => self.arrives(job),
                Timer::Published(host) => self.published(host),
            }
        }
        for job in self.work.fill() {
            self.fill(job);
        }
        self.work.turn();
        for job in self.work.done() {
            self.phase_ended(job);
        }
        self.balance();
    }

    fn arrives(&mut self, job: usize) {
        self.jobs[job].arrived = Some(self.simulation.now());
        if self.plan.jobs[job].n_pods == 1 {
            return self.ask(job);
        }
        self.gangs.push_back(job);
        if self.gangs.len() == 1 {
            self.ask(job);
        }
    }

    /// Creates the pods of a job.
    fn ask(&mut self, at: usize) {
        let job = &self.plan.jobs[at];
        for i in 0..job.n_pods {
            let name: Str = format!("{}-{i}", job.name).into();
            let uid: Str = format!("job/{}/{name}", job.pod.namespace).into();
            self.pods.insert(uid.clone(), at);
            self.jobs[at].uids.push(uid.clone());
            self.simulation.create_pod(Arc::new(Pod { uid, name, node: None, ..Pod::clone(&job.pod) }));
        }
    }

    fn decided(&mut self, decision: &Decision) {
        let Some(node) = &decision.node else { return self.look_for_preempted() };
        let (Some(job), Some(host)) = (self.pods.get(&decision.uid).copied(), self.positions.get(node).copied()) else { return };
        self.jobs[job].placed.push((host, self.simulation.now()));
        if self.jobs[job].placed.len() == self.plan.jobs[job].n_pods {
            self.starts(job);
        }
    }

    fn starts(&mut self, at: usize) {
        let job = &self.plan.jobs[at];
        self.jobs[at].started = Some(self.simulation.now());
        let nodes: Vec<usize> = self.jobs[at].placed.iter().map(|(host, _)| *host).collect();
        if let Some(reads) = job.reads {
            for host in &nodes {
                self.caches[*host].read_by_one_more(reads.dataset);
                self.will_be_published(*host);
            }
        }
        self.work.begin(at, nodes, self.plan);
        if self.gangs.front() == Some(&at) {
            self.gangs.pop_front();
            self.gangs.front().copied().into_iter().for_each(|next| self.ask(next));
        }
        self.balance();
    }

    /// What a job's pods did not find in the caches of their nodes is there now, as far as there is room.
    fn fill(&mut self, at: usize) {
        let Some(reads) = self.plan.jobs[at].reads else { return };
        let (storage, size, now) = (&self.plan.storage, self.plan.datasets[reads.dataset].mb, self.simulation.now());
        let wanted = self.work.wanted(at, size, storage);
        let mut changed = Vec::new();
        for reader in self.work.readers(at) {
            let cache = &mut self.caches[reader.node];
            let held = cache.mb(reads.dataset);
            let missed = core::mem::take(&mut reader.missed);
            let gained = cache.take_in(reads.dataset, wanted.min(held + missed).max(held), wanted, storage.keeps, now);
            reader.put += gained.max(0.0);
            changed.push(reader.node);
        }
        changed.into_iter().for_each(|host| self.will_be_published(host));
    }

    /// What a job wrote is in the caches of its nodes, each of its pods' part.
    fn write(&mut self, at: usize, output: DatasetId) {
        let (size, n_pods, now) = (self.plan.datasets[output].mb, bandwidth::count(self.plan.jobs[at].n_pods), self.simulation.now());
        let nodes: Vec<usize> = self.jobs[at].placed.iter().map(|(host, _)| *host).collect();
        for host in nodes {
            let mb = self.caches[host].mb(output) + size / n_pods;
            self.caches[host].take_in(output, mb, mb, self.plan.storage.keeps, now);
            self.will_be_published(host);
        }
    }

    fn phase_ended(&mut self, at: usize) {
        let (job, now) = (&self.plan.jobs[at], self.simulation.now());
        if let Some(reads) = job.reads.filter(|_| self.work.is_reading(at)) {
            for (host, _) in &self.jobs[at].placed {
                self.caches[*host].read_by_one_less(reads.dataset, now);
            }
            if let Some(output) = job.writes {
                self.write(at, output);
            }
        }
        if !self.work.go_on(at, self.plan) {
            self.ends(at);
        }
    }

    fn ends(&mut self, at: usize) {
        let now = self.simulation.now();
        self.jobs[at].ended = Some(now);
        self.n_ended += 1;
        self.work.end(at);
        for uid in &self.jobs[at].uids {
            self.simulation.delete_pod(uid);
        }
        let followers = self.plan.jobs.iter().enumerate().filter(|(_, job)| job.after == Some(at));
        let followers: Vec<(usize, Millis)> = followers.map(|(i, job)| (i, now + job.arrives)).collect();
        followers.into_iter().for_each(|(i, arrives)| self.set_timer(arrives, Timer::Arrives(i)));
    }

    /// A pod that fits nowhere may have made others go: their jobs have failed.
    fn look_for_preempted(&mut self) {
        let is_there = |uid: &Str| self.simulation.has_pod(uid);
        let lost = |(_, job): &(usize, &Progress)| job.ended.is_none() && !job.preempted && !job.uids.iter().all(is_there);
        let lost: Vec<usize> = self.jobs.iter().enumerate().filter(lost).map(|(i, _)| i).collect();
        for at in lost {
            self.jobs[at].preempted = true;
            self.work.end(at);
            for uid in &self.jobs[at].uids {
                self.simulation.delete_pod(uid);
            }
            self.balance();
        }
    }

    fn will_be_published(&mut self, host: usize) {
        if !core::mem::replace(&mut self.hosts[host].to_be_published, true) {
            self.set_timer(self.simulation.now() + self.plan.storage.published_after, Timer::Published(host));
        }
    }

    /// The node object names the datasets in the cache, and those on their way into it; of data that is not in the plan it goes on
    /// saying what it said.
    fn published(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.to_be_published = false;
        let foreign = |name: &&Str| !self.plan.datasets.iter().any(|dataset| dataset.name == **name);
        let said = &host.node.storage.cached_datasets;
        let mut names: Vec<Str> = said.iter().filter(foreign).cloned().collect();
        names.extend(self.caches[at].datasets().map(|id| self.plan.datasets[id].name.clone()));
        if *said != names {
            Arc::make_mut(&mut host.node).storage.cached_datasets = names;
            self.simulation.apply_node(host.node.clone());
        }
    }

    fn balance(&mut self) {
        let local: Vec<f64> = self.hosts.iter().map(|host| host.local_mbps).collect();
        self.work.balance(self.plan, &self.caches, &local);
    }

    fn report(self) -> Report {
        Report::of(self.plan, &self.jobs, &self.work, self.simulation.now(), |host| self.hosts[host].node.name.clone())
    }
}

/// The cache of a node as it is before anything has run.
fn cache(node: &Node, plan: &Plan) -> Cache {
    let room = node.storage.capacity_gb.map_or(f64::INFINITY, |gb| megabytes(gb) * 1000.0);
    let mut cache = Cache::new(plan.storage.cache_mb.min(room));
    for (id, dataset) in plan.datasets.iter().enumerate().filter(|(_, dataset)| node.storage.cached_datasets.contains(&dataset.name)) {
        cache.take_in(id, dataset.mb, dataset.mb, plan.storage.keeps, 0);
    }
    cache
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(n: i64) -> f64 {
    n as f64
}
