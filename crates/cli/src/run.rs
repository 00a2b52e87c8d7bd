//! `run`: wires the edges to the engine and drives it. The only event loop of the program.
//! Decides nothing: the engine says what to do, the adapters do it.

mod carry_out;
mod edges;
mod https;
mod setup;

use crate::flags::RunArgs;
use crate::logging::Logging;
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Event, Millis};
use anyhow::{Context, Result};
use edges::Edges;
use setup::Setup;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Events taken in before the next decision: a flood of events must not starve decisions, nor the other way round.
const EVENTS_PER_DECISION: usize = 256;
/// How long a stop waits for binds and reports under way.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// Schedules until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: RunArgs, warnings: Vec<String>, logging: &Logging) -> Result<ExitCode> {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let setup = Setup::of(&args)?;
    let edges = Edges::start(&args, &setup, logging).await?;
    let names: Vec<&str> = setup.profiles.iter().map(|p| &*p.scheduler_name).collect();
    tracing::info!(version = crate::VERSION, server = edges.server(), profiles = names.join(","), "started");
    let engine = Engine::new(setup.profiles, EngineOptions { seed: seed(), queue: setup.queue, ..EngineOptions::default() });
    let engine = engine.with_extenders(edges.extenders.known());
    let mut scheduler = Loop { engine, edges, start: Instant::now() };
    tokio::select! {
        () = scheduler.turn_for_ever() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    scheduler.finish().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A seed that differs from process to process: the standard library's own random state.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// The engine, its edges, its clock.
struct Loop {
    engine: Engine,
    edges: Edges,
    start: Instant,
}

impl Loop {
    fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    async fn turn_for_ever(&mut self) {
        loop {
            self.take_in_what_waits();
            self.poll();
            match self.engine.next_poll(self.now()) {
                Some(at) if at <= self.now() => tokio::task::yield_now().await,
                next => self.wait(next).await,
            }
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
                if matches!(event, Event::Synced) {
                    tracing::info!(nodes = self.engine.snapshot().nodes.len(), "all lists have arrived; scheduling begins");
                }
                self.edges.volumes.saw(&event);
                self.engine.handle(now, event);
            }
            edges::Incoming::Query(query) => self.edges.answer(query, &self.engine),
        }
    }

    fn poll(&mut self) {
        let began = Instant::now();
        let actions = self.engine.poll(self.now());
        let took = began.elapsed();
        for action in actions {
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

    /// Nothing new is decided; binds and reports under way get a moment to end.
    async fn finish(&mut self) {
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
    }
}
