//! `run`: wires the edges to the engine and drives it. The only event loop of the program.
//! Decides nothing: the engine says what to do, the adapters do it.

pub(crate) mod analyst;
mod carry_out;
mod edges;
mod https;
mod measure;
mod setup;

use crate::flags::RunArgs;
use crate::logging::Logging;
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, Event, Millis};
use aisched_core::records::Took;
use aisched_kube::lease::{Election, Standing};
use aisched_model::Str;
use anyhow::{Context, Result};
use edges::Edges;
use setup::Setup;
use std::future::pending;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Events taken in before the next decision: a flood of events must not starve decisions, nor the other way round.
const EVENTS_PER_DECISION: usize = 256;
/// How long a stop waits for binds and reports under way.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// How long a stop waits for the lease to be given back, and for answers over HTTPS, after that.
const HAND_OVER: Duration = Duration::from_millis(1000);

/// Schedules until SIGTERM or Ctrl-C (exit code 0), or until another may lead (1).
pub(crate) async fn run(args: RunArgs, warnings: Vec<String>, logging: &Logging) -> Result<ExitCode> {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let setup = Setup::of(&args)?;
    let mut edges = Edges::start(&args, &setup, logging).await?;
    let names: Vec<&str> = setup.profiles.iter().map(|p| &*p.scheduler_name).collect();
    tracing::info!(version = crate::VERSION, server = edges.server(), profiles = names.join(","), "started");
    let mut election = edges.election.take();
    let standing = election.as_ref().map(Election::standing);
    let options = EngineOptions { seed: seed(), queue: setup.queue, standby: election.is_some(), ..EngineOptions::default() };
    let engine = Engine::new(setup.profiles, options).with_extenders(edges.extenders.known());
    let mut scheduler = Loop { engine, edges, standing, start: Instant::now() };
    let lost = tokio::select! {
        why = scheduler.turn_while_allowed() => Some(why),
        why = lost(&mut election) => Some(why),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(why) = lost {
        // As kube-scheduler: at once, with what is under way. A process that led has no business with the cluster any more.
        tracing::error!("leader election lost: {why}");
        return Ok(ExitCode::FAILURE);
    }
    scheduler.finish(election).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn lost(election: &mut Option<Election>) -> Str {
    match election {
        Some(election) => election.lost().await,
        None => pending().await,
    }
}

/// A seed that differs from process to process: the standard library's own random state.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The engine, its edges, its clock.
struct Loop {
    engine: Engine,
    edges: Edges,
    /// Where leaders are elected: how this process stands.
    standing: Option<watch::Receiver<Standing>>,
    start: Instant,
}

impl Loop {
    fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Ends only when this process led and may no longer: then nothing may be decided any more. Says why.
    async fn turn_while_allowed(&mut self) -> Str {
        loop {
            self.take_in_what_waits();
            if let Some(why) = self.no_longer_leads() {
                return why;
            }
            self.poll();
            match self.engine.next_poll(self.now()) {
                Some(at) if at <= self.now() => tokio::task::yield_now().await,
                next => self.wait(next).await,
            }
        }
    }

    fn no_longer_leads(&self) -> Option<Str> {
        let standing = self.standing.as_ref().filter(|_| self.engine.is_leading())?.borrow();
        match &*standing {
            standing if standing.leads() => None,
            Standing::Lost(why) => Some(why.clone()),
            Standing::Leading(_) | Standing::Following(_) => Some("it ran out while this process did not run".into()),
        }
    }

    /// Takes in events, answers and questions that are there already.
    fn take_in_what_waits(&mut self) {
        for _ in 0..EVENTS_PER_DECISION {
            match self.edges.try_next() {
                Some(incoming) => self.take_in(incoming),
                None => return,
            }
        }
    }

    fn take_in(&mut self, incoming: edges::Incoming) {
        let now = self.now();
        match incoming {
            edges::Incoming::Event(Event::Configured(config)) => {
                let config = self.edges.configured(config);
                self.engine.handle(now, Event::Configured(config));
            }
            edges::Incoming::Event(event) => {
                let begins = matches!(event, Event::Synced | Event::Leading);
                if let Event::BindEnded { pod, outcome, .. } = &event
                    && let Some(took) = self.edges.measures.bind_ended(&self.engine, now, pod, outcome)
                {
                    let took = Took { attempt_us: Some(micros(took)), ..Took::default() };
                    self.engine.timed(&format!("{}/{}", pod.namespace, pod.name), took);
                }
                let label = measure::label(&event, &self.engine);
                self.edges.volumes.saw(&event);
                let began = Instant::now();
                self.engine.handle(now, event);
                self.edges.measures.handled(label, began.elapsed());
                if begins {
                    self.say_where_it_stands();
                }
            }
            edges::Incoming::Query(query) => self.edges.answer(query, &self.engine, now),
        }
    }

    fn say_where_it_stands(&self) {
        let nodes = self.engine.snapshot().nodes.len();
        match (self.engine.is_synced(), self.engine.is_leading()) {
            (true, true) => tracing::info!(nodes, waiting = self.engine.waiting().count(), "all lists have arrived; scheduling begins"),
            (true, false) => tracing::info!(nodes, "all lists have arrived; ready to lead, and waiting for the lease"),
            (false, _) => tracing::info!("leading; scheduling begins when all lists have arrived"),
        }
    }

    fn poll(&mut self) {
        let began = Instant::now();
        let actions = self.engine.poll(self.now());
        let took = began.elapsed();
        for action in actions {
            if let Action::Decided(decision) = &action {
                self.engine.timed(&decision.pod, Took { decide_us: Some(micros(took)), ..Took::default() });
            }
            self.edges.carry_out(action, took);
        }
    }

    /// Sleeps until something comes in, or the engine wants to be polled.
    async fn wait(&mut self, next: Option<Millis>) {
        let incoming = self.edges.next();
        let incoming = match next {
            Some(at) => tokio::time::timeout_at((self.start + Duration::from_millis(at)).into(), incoming).await.ok(),
            None => Some(incoming.await),
        };
        if let Some(incoming) = incoming {
            self.take_in(incoming);
        }
    }

    /// Nothing new is decided; binds, reports and requests under way get a moment to end, and then another may lead.
    async fn finish(&mut self, election: Option<Election>) {
        self.edges.binder.close();
        let drained = self.edges.https.take().map(|https| tokio::spawn(https.drain()));
        let deadline = tokio::time::Instant::now() + LAST_WORDS;
        while self.engine.n_binding() > 0 {
            match tokio::time::timeout_at(deadline, self.edges.next()).await {
                Ok(edges::Incoming::Event(event @ Event::BindEnded { .. })) => self.engine.handle(self.now(), event),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        for action in self.engine.take_actions() {
            self.edges.carry_out(action, Duration::ZERO);
        }
        let _late = tokio::time::timeout_at(deadline, self.edges.flushed()).await;
        let deadline = deadline + HAND_OVER;
        match election {
            // A bind whose end is not known may still come: another may lead only once the lease has run out.
            Some(_) if self.engine.n_binding() > 0 => {
                tracing::warn!(binds = self.engine.n_binding(), "binds have not ended; the lease is kept")
            }
            Some(election) => drop(tokio::time::timeout_at(deadline, election.release()).await),
            None => {}
        }
        if let Some(drained) = drained {
            let _late = tokio::time::timeout_at(deadline, drained).await;
        }
    }
}
