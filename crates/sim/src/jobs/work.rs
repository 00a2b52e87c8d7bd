//! Jobs at work: how much is left of each, how fast it goes, and what crosses the wires meanwhile.
//! Leaves out placing and caches; whoever changes either asks for a new balance.

use super::bandwidth::{Hits, Limits, Need, count, fair_share};
use super::caches::{Cache, everywhere, wanted};
use super::plan::{DatasetId, Job, Keeps, Plan, Storage};
use aisched_core::event::Millis;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Work this small is done: time comes in milliseconds.
const NOTHING: f64 = 1e-6;
/// Parts of a pass: what was read in one is in the cache from then on, and others find it there.
const PARTS: f64 = 10.0;

/// Everything that runs.
#[derive(Debug, Default)]
pub(super) struct Work {
    running: BTreeMap<usize, Running>,
    now: Millis,
    traffic: Traffic,
    /// Seconds of accelerators at work.
    pub(super) accelerators_s: f64,
}

/// MB that pods read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) local: f64,
    pub(super) peer: f64,
    pub(super) remote: f64,
}

#[derive(Debug)]
struct Running {
    readers: Vec<Reader>,
    n_nodes: usize,
    /// What is read now.
    dataset: Option<DatasetId>,
    /// Seconds of work at full speed that are left of this phase.
    left_s: f64,
    /// The same of a pass over the data: how long it takes, and how much of it is done.
    pass_s: f64,
    passed_s: f64,
    /// Share of full speed.
    speed: f64,
    /// MB that a pod reads in a second of work at full speed.
    mbps: f64,
    /// MB in a second of work at full speed, of all its pods.
    per_s: Traffic,
    /// When, in the pass, what was missed goes into the caches next.
    part_ends_s: f64,
    /// Whether a node could hold more of the data than it does.
    fills: bool,
    accelerators: f64,
}

/// A pod on its node; MB of this pass over its share of the data.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) node: usize,
    /// Share of what it reads now that it finds on its node.
    local: f64,
    /// What it has found there.
    found: f64,
    /// What it has not found there, and put there since.
    pub(super) put: f64,
    /// What it has not found there and is to be put there.
    pub(super) missed: f64,
}

impl Running {
    /// Whether it matters when a part of a pass ends: the cache changes, or what is found changes with the next pass.
    fn has_parts(&self) -> bool {
        self.dataset.is_some() && (self.fills || self.readers.iter().any(|reader| reader.put > 0.0))
    }

    /// Where a pod finds what it has yet to read in this pass. What the pods of its own job have put there since the pass began it
    /// does not look for: alone, a job finds nothing in its first pass.
    fn hits(&self, reader: &Reader, dataset: DatasetId, size: f64, caches: (&[Cache], &[f64]), storage: &Storage) -> Hits {
        let (caches, all) = caches;
        let put = |here: bool| self.readers.iter().filter(|r| (r.node == reader.node) == here).map(|r| r.put).sum::<f64>();
        let held = caches[reader.node].mb(dataset);
        let (share, of_others) = (self.pass_s * self.mbps, (held - put(true)).max(0.0) / size);
        let unread = share - self.passed_s * self.mbps;
        let is_displaced = held < size && !caches[reader.node].has_room(dataset);
        let local = match storage.keeps {
            Keeps::Latest(hit) if is_displaced => of_others * hit,
            _ if unread > NOTHING => ((of_others * share - reader.found) / unread).clamp(0.0, 1.0),
            Keeps::First | Keeps::Latest(_) => 0.0,
        };
        let elsewhere = if storage.peers { ((all[dataset] - held - put(false)) / size).clamp(0.0, 1.0) } else { 0.0 };
        let peer = elsewhere.min(1.0 - local);
        Hits { local, peer, remote: (1.0 - local - peer).max(0.0) }
    }

    /// Time has passed in which so much was done.
    fn read(&mut self, done_s: f64) {
        let fills = if self.fills { 1.0 } else { 0.0 };
        for reader in &mut self.readers {
            reader.found += done_s * self.mbps * reader.local;
            reader.missed += done_s * self.mbps * (1.0 - reader.local) * fills;
        }
        self.passed_s += done_s;
    }

    /// The next pass begins where this one ends: what was found in it is looked for again.
    fn turn(&mut self) {
        let part_s = self.pass_s / PARTS;
        while part_s > NOTHING && self.passed_s >= self.part_ends_s - NOTHING {
            self.part_ends_s += part_s;
        }
        while self.passed_s >= self.pass_s - NOTHING && self.pass_s > NOTHING {
            self.passed_s = (self.passed_s - self.pass_s).max(0.0);
            self.part_ends_s -= self.pass_s;
            for reader in &mut self.readers {
                (reader.found, reader.put) = (0.0, 0.0);
            }
        }
    }
}

impl Work {
    pub(super) fn begin(&mut self, at: usize, nodes: Vec<usize>, plan: &Plan) {
        let job = &plan.jobs[at];
        let mut distinct = nodes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let pass_s = job.reads.map_or(0.0, |reads| plan.datasets[reads.dataset].mb / count(job.n_pods) / reads.mbps);
        let epochs = job.reads.map_or(0.0, |reads| reads.epochs);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let accelerators = (job.accelerators().max(0) as f64) * count(job.n_pods);
        let reader = |node| Reader { node, local: 0.0, found: 0.0, put: 0.0, missed: 0.0 };
        let running = Running {
            readers: nodes.into_iter().map(reader).collect(),
            n_nodes: distinct.len(),
            dataset: job.reads.map(|reads| reads.dataset),
            left_s: if job.reads.is_some() { pass_s * epochs } else { job.compute_s },
            pass_s,
            passed_s: 0.0,
            speed: 0.0,
            mbps: job.reads.map_or(0.0, |reads| reads.mbps),
            per_s: Traffic::default(),
            part_ends_s: pass_s / PARTS,
            fills: false,
            accelerators,
        };
        self.running.insert(at, running);
    }

    pub(super) fn end(&mut self, at: usize) {
        self.running.remove(&at);
    }

    pub(super) fn is_reading(&self, at: usize) -> bool {
        self.running.get(&at).is_some_and(|running| running.dataset.is_some())
    }

    /// Enters the phase after the one that has ended; false when there is none.
    pub(super) fn go_on(&mut self, at: usize, plan: &Plan) -> bool {
        let Some(running) = self.running.get_mut(&at).filter(|running| running.dataset.is_some()) else { return false };
        (running.dataset, running.left_s) = (None, plan.jobs[at].compute_s);
        running.left_s > 0.0
    }

    /// The nodes of a job's pods.
    pub(super) fn readers(&mut self, at: usize) -> &mut [Reader] {
        self.running.get_mut(&at).map_or(&mut [], |running| &mut running.readers)
    }

    /// MB that a node of the job comes to hold of data of `size` MB.
    pub(super) fn wanted(&self, at: usize, size: f64, storage: &Storage) -> f64 {
        self.running.get(&at).map_or(0.0, |running| wanted(size, running.n_nodes, storage))
    }

    /// When the next pass or phase ends, at the speeds of now.
    pub(super) fn next_event(&self) -> Option<Millis> {
        let left = |running: &Running| {
            let part = if running.has_parts() { running.part_ends_s - running.passed_s } else { f64::INFINITY };
            running.left_s.min(part).max(0.0) / running.speed
        };
        let soonest = self.running.values().map(left).min_by(f64::total_cmp)?;
        Some(self.now.saturating_add(millis(soonest)))
    }

    /// Time has passed at the speeds of now.
    pub(super) fn pass(&mut self, now: Millis) {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let seconds = (now - self.now) as f64 / 1000.0;
        self.now = now;
        for running in self.running.values_mut() {
            let done = (running.speed * seconds).min(running.left_s);
            running.left_s -= done;
            if running.dataset.is_some() {
                running.read(done);
            }
            self.accelerators_s += running.accelerators * done;
            self.traffic.local += running.per_s.local * done;
            self.traffic.peer += running.per_s.peer * done;
            self.traffic.remote += running.per_s.remote * done;
        }
    }

    /// Jobs that have something to put into the caches of their nodes.
    pub(super) fn fill(&self) -> Vec<usize> {
        let is_due = |r: &Running| r.has_parts() && (r.passed_s >= r.part_ends_s - NOTHING || r.left_s <= NOTHING);
        self.running.iter().filter(|(_, r)| is_due(r)).map(|(at, _)| *at).collect()
    }

    /// Passes that have ended begin anew.
    pub(super) fn turn(&mut self) {
        self.running.values_mut().filter(|running| running.dataset.is_some()).for_each(Running::turn);
    }

    /// Jobs that have just ended a phase.
    pub(super) fn done(&self) -> Vec<usize> {
        self.running.iter().filter(|(_, running)| running.left_s <= NOTHING).map(|(at, _)| *at).collect()
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Shares the bandwidths out anew.
    pub(super) fn balance(&mut self, plan: &Plan, caches: &[Cache], local_mbps: &[f64]) {
        let storage = &plan.storage;
        let all = if storage.peers { everywhere(caches, plan.datasets.len()) } else { alloc::vec![0.0; plan.datasets.len()] };
        let mut needs: Vec<(usize, usize, Need)> = Vec::new();
        for (at, running) in &mut self.running {
            for i in 0..running.readers.len() {
                let need = need(&plan.jobs[*at], plan, running, i, caches, &all);
                running.readers[i].local = need.hits.local;
                needs.push((*at, running.readers[i].node, need));
            }
        }

        let mut of_node = alloc::vec![(Vec::new(), Vec::new()); caches.len()];
        for (_, node, need) in &needs {
            of_node[*node].0.push(need.local());
            of_node[*node].1.push(need.network());
        }
        let limits = |((local, network), mbps): ((Vec<f64>, Vec<f64>), &f64)| Limits {
            local: fair_share(*mbps, local),
            network: fair_share(storage.network_mbps, network),
            remote: f64::INFINITY,
        };
        let of_node: Vec<Limits> = of_node.into_iter().zip(local_mbps).map(limits).collect();
        let remote = fair_share(storage.remote_mbps, needs.iter().map(|(_, node, need)| need.remote(of_node[*node])).collect());

        for running in self.running.values_mut() {
            (running.speed, running.per_s) = (1.0, Traffic::default());
            let could_hold_more = |dataset: DatasetId, node: usize| {
                let wanted = wanted(plan.datasets[dataset].mb, running.n_nodes, storage);
                caches[node].mb(dataset) + 1.0 < wanted && caches[node].has_room(dataset)
            };
            running.fills =
                running.dataset.is_some_and(|dataset| running.readers.iter().any(|reader| could_hold_more(dataset, reader.node)));
        }
        for (at, node, need) in needs {
            let Some(running) = self.running.get_mut(&at) else { continue };
            running.speed = running.speed.min(need.speed(Limits { remote, ..of_node[node] }));
            running.per_s.local += need.local();
            running.per_s.peer += need.read * need.hits.peer;
            running.per_s.remote += need.read * need.hits.remote + need.write;
        }
    }
}

/// What a pod of a job asks for.
fn need(job: &Job, plan: &Plan, running: &Running, reader: usize, caches: &[Cache], all: &[f64]) -> Need {
    let save = job.checkpoint.map_or(0.0, |checkpoint| checkpoint.mb / checkpoint.every_s);
    let Some(reads) = job.reads.filter(|_| running.dataset.is_some()) else { return Need { save, ..Need::default() } };
    let size = plan.datasets[reads.dataset].mb;
    let output = job.writes.map_or(0.0, |output| plan.datasets[output].mb);
    Need {
        read: reads.mbps,
        hits: running.hits(&running.readers[reader], reads.dataset, size, (caches, all), &plan.storage),
        write: reads.mbps * output / (size * reads.epochs),
        save,
    }
}

/// Whole milliseconds, rounded up, so that what is waited for has happened.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "casts from floats saturate")]
fn millis(seconds: f64) -> Millis {
    let exact = seconds * 1000.0;
    let whole = exact as Millis;
    if exact > whole as f64 { whole.saturating_add(1) } else { whole }
}
