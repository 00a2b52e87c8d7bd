//! A cluster in trouble on virtual time: an API server whose watches break and whose answers are late, wrong or lost, and everything
//! that people and controllers do to pods, nodes and volumes meanwhile. It drives the production engine and judges every step.
//! Leaves out Kubernetes' own words: the adapters are tested elsewhere. Same seed, same history.

mod calls;
mod client;
mod controllers;
mod happenings;
mod invariants;
pub(crate) mod random;
mod server;
mod watch;

use aisched_core::event::{Event, Millis};
use aisched_model::Str;
use aisched_model::config::Config;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use calls::{Call, Status};
use client::Client;
use random::Random;
use server::Server;

/// The scheduler under test.
const OWN: &str = "ai-storage-scheduler";
/// Steps of trouble before the cluster comes to rest.
const STEPS: usize = 300;
/// How long the cluster rests, and in which strides: longer than any backoff, grace, delay or answer.
const REST_MS: Millis = 900_000;
const STRIDE_MS: Millis = 7_000;

/// What a seed brought about, so that a test can tell that it was worth something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pods that the scheduler bound.
    pub n_bound: usize,
    /// Pods that had to leave for others.
    pub n_preempted: usize,
    /// Calls that failed, or whose answer was lost.
    pub n_faults: usize,
    /// Times that the scheduler was killed and started anew.
    pub n_restarts: usize,
    /// Hash of everything that the scheduler asked for, in its order.
    pub trace: u64,
}

/// Whoever wants to read the history of a seed.
pub type Reader<'r> = Option<&'r mut dyn FnMut(&str)>;

/// Lives through the history of a seed; `reader` gets a line for everything that the scheduler is told and asks for.
///
/// # Errors
/// The first thing that is wrong, and when.
pub fn storm(seed: u64, reader: Reader<'_>) -> Result<Tally, String> {
    let mut world = World::new(seed, reader);
    for step in 0..STEPS {
        world.step().map_err(|why| format!("step {step}, {} ms: {why}", world.now))?;
    }
    world.rest().map_err(|why| format!("at rest, {} ms: {why}", world.now))?;
    Ok(world.tally)
}

/// Something that is going to happen.
enum Job {
    /// A call arrives at the server.
    Arrive(Call),
    /// The latest status of a pod is written.
    WriteStatus(Str),
    /// An answer arrives at the scheduler.
    Answer(Event),
    /// A pod's grace is over, its finalizers are done, or nobody wants it any more.
    End(Str),
    /// A watch is opened again.
    Open(usize),
}

struct World<'r> {
    reader: Reader<'r>,
    seed: u64,
    now: Millis,
    random: Random,
    config: Arc<Config>,
    server: Server,
    client: Client,
    /// When what happens; jobs of an earlier process of the scheduler come to nothing.
    agenda: BTreeMap<(Millis, u64), (u64, Job)>,
    n_jobs: u64,
    /// The latest status to be written, per pod.
    status: BTreeMap<Str, Status>,
    /// Nodes on which somebody else has changed what fits.
    disturbed: BTreeSet<Str>,
    troubled: bool,
    /// Whether others bind, resize and shrink things under the scheduler's feet; without, no node may ever hold too much.
    rivals: bool,
    /// Whether nodes move between zones, and zones are what pods keep near to or apart in, rather than hosts.
    moves: bool,
    /// Whether some pods come in gangs.
    gangs: bool,
    n_names: u64,
    tally: Tally,
}

impl<'r> World<'r> {
    fn new(seed: u64, reader: Reader<'r>) -> Self {
        let mut random = Random::new(seed);
        let mut config = Config::default();
        if random.one_in(2) {
            config.apollo.endpoint = Str::default();
        }
        config.apollo.fallback_enabled = !random.one_in(4);
        let config = Arc::new(config);
        let mut world = Self {
            reader,
            seed,
            now: 0,
            rivals: random.one_in(2),
            moves: seed.is_multiple_of(4),
            gangs: seed.is_multiple_of(3),
            client: Client::start(OWN.into(), 0, seed, &config, 0),
            config,
            random,
            server: Server::default(),
            agenda: BTreeMap::new(),
            n_jobs: 0,
            status: BTreeMap::new(),
            disturbed: BTreeSet::new(),
            troubled: true,
            n_names: 0,
            tally: Tally::default(),
        };
        world.furnish();
        world
    }

    /// Plans a job of the scheduler's present process.
    fn plan(&mut self, after: Millis, job: Job) {
        self.n_jobs += 1;
        self.agenda.insert((self.now.saturating_add(after), self.n_jobs), (self.client.incarnation, job));
    }

    fn plan_within(&mut self, longest: Millis, job: Job) {
        let after = self.random.below(longest);
        self.plan(after, job);
    }

    /// Something happens, is told, is done, or time passes; then the scheduler may act, and everything is judged.
    fn step(&mut self) -> Result<(), String> {
        match self.random.below(10) {
            0..=3 => self.happen(),
            4..=6 => self.tell(),
            7 => self.now += self.random.below(3000),
            _ => self.now = self.next_time().unwrap_or(self.now).clamp(self.now, self.now + 10_000),
        }
        self.work();
        self.control();
        if !self.random.one_in(3) {
            self.poll()?;
        }
        self.judge()
    }

    /// When something is due, for the cluster or for the scheduler.
    fn next_time(&self) -> Option<Millis> {
        let agenda = self.agenda.keys().next().map(|(at, _)| *at);
        agenda.into_iter().chain(self.client.engine.next_poll(self.now)).min()
    }

    /// A watch tells what is next.
    fn tell(&mut self) {
        let n = self.client.watches.len();
        let watch = usize::try_from(self.random.below(n as u64)).unwrap_or(0);
        for _ in 0..self.random.within(1..6) {
            self.read(watch);
        }
    }

    /// Tells the next event of a watch, if it has one.
    fn read(&mut self, watch: usize) -> bool {
        let event = self.client.next(watch, &self.server);
        event.map(|event| self.told(event)).is_some()
    }

    fn told(&mut self, event: Event) {
        self.log(|| format!("told {event:?}"));
        self.client.told(event, self.now);
    }

    fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(reader) = &mut self.reader {
            reader(&format!("{} ms: {}", self.now, line()));
        }
    }

    /// Does the jobs that are due.
    fn work(&mut self) {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (incarnation, job) = entry.remove();
            let current = incarnation == self.client.incarnation;
            match job {
                Job::Arrive(call) if current => self.arrive(call),
                Job::WriteStatus(uid) if current => self.write_status(&uid),
                Job::Answer(event) if current => self.told(event),
                Job::Open(watch) if current => self.client.watches.iter_mut().skip(watch).take(1).for_each(watch::Watch::open),
                Job::End(uid) => self.server.remove_pod(&uid),
                Job::Arrive(_) | Job::WriteStatus(_) | Job::Answer(_) | Job::Open(_) => {}
            }
        }
    }

    /// The scheduler does what it can at this moment.
    fn poll(&mut self) -> Result<(), String> {
        while self.client.engine.next_poll(self.now).is_some_and(|at| at <= self.now) {
            let actions = self.client.engine.poll(self.now);
            for action in &actions {
                self.log(|| format!("does {action:?}"));
                invariants::asked(&self.client, action)?;
                self.client.notes.asked(action);
            }
            invariants::gangs_are_whole(&self.client, &actions)?;
            actions.into_iter().for_each(|action| self.carry_out(action));
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), String> {
        invariants::books(&self.client)?;
        if self.client.engine.next_poll(self.now).is_none_or(|at| at > self.now) {
            invariants::wake_ups(&self.client, self.now)?;
        }
        let calm: Vec<Str> = self.server.nodes().map(|node| node.name.clone()).filter(|name| !self.disturbed.contains(name)).collect();
        calm.iter().try_for_each(|node| invariants::overcommitted(&self.server, node))
    }

    /// The scheduler is killed. Calls on their way may or may not have arrived; a new process lists everything.
    fn restart(&mut self) {
        for (_, (incarnation, job)) in core::mem::take(&mut self.agenda) {
            match job {
                Job::End(_) => self.plan_within(10_000, job),
                Job::Arrive(call) if incarnation == self.client.incarnation && self.random.one_in(2) => self.arrive(call),
                _ => {}
            }
        }
        // What those calls would have led to next, nobody waits for.
        self.agenda.retain(|_, (_, job)| matches!(job, Job::End(_)));
        self.status.clear();
        self.log(|| "the scheduler is killed".into());
        self.tally.n_restarts += 1;
        self.client = Client::start(OWN.into(), self.client.incarnation + 1, self.seed, &self.config, self.now);
    }

    /// Lets everything come to rest: watches work, calls succeed, grace ends, backoffs pass.
    fn rest(&mut self) -> Result<(), String> {
        self.troubled = false;
        (0..self.client.watches.len()).for_each(|watch| self.client.watches[watch].open());
        let end = self.now + REST_MS;
        while self.now < end {
            self.now += STRIDE_MS;
            for _ in 0..4 {
                self.work();
                self.control();
                for watch in 0..self.client.watches.len() {
                    while self.read(watch) {}
                }
                self.poll()?;
                self.judge()?;
            }
        }
        invariants::at_rest(&self.client, &self.server)
    }
}
