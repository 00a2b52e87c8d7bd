//! The edges that the event loop talks to: API server, APOLLO, HTTP. Started here, listened to here.
//! Leaves out what the engine's actions mean to them: `carry_out`.

use super::analyst::Analyst;
use super::https::{self, Https};
use super::measure::Measures;
use super::setup::Setup;
use crate::flags::RunArgs;
use crate::logging::Logging;
use aisched_apollo::{ClientConfig, PolicyAnswer, PolicyClient, TlsFiles};
use aisched_core::engine::Engine;
use aisched_core::event::Millis;
use aisched_core::event::{self, Event};
use aisched_http::{Feed, Metrics, Query};
use aisched_kube::bind::{BindOptions, Binder};
use aisched_kube::claim_bind::{ClaimBindOptions, ClaimBinder};
use aisched_kube::client::{Clients, connect};
use aisched_kube::config_manager::{self, ConfigManager, ConfigOptions};
use aisched_kube::events::{Recorder, RecorderOptions};
use aisched_kube::extender::Extenders;
use aisched_kube::lease::Election;
use aisched_kube::preempt::Preemptor;
use aisched_kube::status::StatusWriter;
use aisched_kube::traffic::Sent;
use aisched_kube::volume_bind::{VolumeBindOptions, VolumeBinder};
use aisched_kube::watch::{self, Gate, Health, WatchOptions};
use aisched_model::Str;
use aisched_model::config::{ApolloConfig, Config};
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinSet;

/// Tasks that write conditions.
const STATUS_WORKERS: usize = 4;
/// Questions that may wait for the event loop.
const QUERIES: usize = 256;

/// Something that came in.
pub(super) enum Incoming {
    Event(Event),
    Query(Query),
}

/// Everything around the engine.
pub(super) struct Edges {
    clients: Clients,
    events: UnboundedReceiver<Event>,
    answers: UnboundedReceiver<PolicyAnswer>,
    queries: Receiver<Query>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) measures: Measures,
    /// Who listens to the decisions.
    pub(super) feed: Feed,
    /// Profiles whose pods may preempt others.
    pub(super) preempting: BTreeSet<Str>,
    pub(super) event_sender: UnboundedSender<Event>,
    pub(super) binder: Binder,
    pub(super) extenders: Extenders,
    pub(super) preemptor: Preemptor,
    pub(super) volumes: VolumeBinder,
    pub(super) claims: ClaimBinder,
    pub(super) recorder: Recorder,
    pub(super) status: StatusWriter,
    pub(super) policies: PolicyClient,
    /// `--apollo-endpoint` or `APOLLO_ENDPOINT`: wins over the configuration's.
    apollo_endpoint: Option<String>,
    /// The election that this process stands in; without one it leads.
    pub(super) election: Option<Election>,
    pub(super) https: Option<Https>,
    _watches: JoinSet<()>,
}

impl Edges {
    pub(super) async fn start(args: &RunArgs, setup: &Setup, logging: &Logging) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let counted = metrics.clone();
        let told = move |sent: &Sent| counted.rest_request(&sent.host, sent.method.as_str(), sent.code, sent.waited, sent.took);
        let clients = connect(&setup.client, Arc::new(told)).await?;
        let extenders = Extenders::new(setup.extenders.clone(), &clients).await?;
        let (event_sender, events) = unbounded_channel();
        let (answer_sender, answers) = unbounded_channel();
        let health = Health::default();
        let binder = Binder::new(clients.binds.clone(), BindOptions::default());
        let recorder = Recorder::start(&clients.calls, &health, &binder.under_way(), &RecorderOptions::default());
        let gate = Arc::new(Gate::new(watch::AWAITED.into_iter().chain([config_manager::AWAITED]), event_sender.clone()));
        let watching = WatchOptions { features: setup.features, ..WatchOptions::default() };
        let mut watches = watch::watch(clients.watch.clone(), event_sender.clone(), health.clone(), gate.clone(), watching);
        let options =
            ConfigOptions { namespace: args.config_namespace.clone(), name: args.config_name.clone(), reporter: setup.reporter().into() };
        let elect = |options| Election::start(&clients.calls, options, event_sender.clone(), recorder.clone(), health.clone());
        let election = setup.election.clone().map(elect);
        let standing = election.as_ref().map(Election::standing);
        let config = ConfigManager::new(clients.watch.clone(), options, event_sender.clone(), recorder.clone(), health.clone(), gate);
        let analyst = Arc::new(Analyst { config: args.config_object(), verdict: config.verdict() });
        watches.spawn(config.electing(standing.clone()).run());
        let policies = PolicyClient::new(ClientConfig::default(), answer_sender);
        let (query_sender, queries) = channel(QUERIES);
        let status = StatusWriter::start(&clients.calls, &health, STATUS_WORKERS);
        let counted = https::Counted {
            policies: policies.clone(),
            recorder: recorder.clone(),
            dropped_lines: logging.dropped_counter(),
            status: status.clone(),
            health: health.clone(),
            lease: setup.election.as_ref().map(ToString::to_string).zip(standing),
        };
        let feed = Feed::default();
        let asked = https::Asked { queries: query_sender, feed: feed.clone(), analyst };
        let https = Https::serve(args, asked, metrics.clone(), &clients, counted).await?;
        let volumes = VolumeBinder::new(clients.calls.clone(), VolumeBindOptions::default());
        let edges = Self {
            events,
            queries,
            measures: Measures::new(metrics.clone()),
            feed,
            metrics,
            answers,
            extenders,
            binder,
            preemptor: Preemptor::new(clients.calls.clone(), health.clone(), recorder.clone(), volumes.clone()),
            volumes,
            claims: ClaimBinder::new(clients.calls.clone(), ClaimBindOptions::default(), recorder.clone(), event_sender.clone()),
            status,
            recorder,
            policies,
            event_sender,
            clients,
            apollo_endpoint: args.apollo_endpoint.clone(),
            election,
            https,
            preempting: setup.profiles.iter().filter(|p| p.preempts().is_some()).map(|p| p.scheduler_name.clone()).collect(),
            _watches: watches,
        };
        // The defaults, with this process's endpoint, are in force until the object says otherwise.
        edges.event_sender.send(Event::Configured(Arc::default())).ok();
        Ok(edges)
    }

    pub(super) fn server(&self) -> &str {
        &self.clients.server
    }

    /// What is there already.
    pub(super) fn try_next(&mut self) -> Option<Incoming> {
        if let Ok(event) = self.events.try_recv() {
            return Some(Incoming::Event(event));
        }
        if let Ok(answer) = self.answers.try_recv() {
            return Some(answered(answer));
        }
        self.queries.try_recv().ok().map(Incoming::Query)
    }

    /// Waits for what comes in next. The senders live as long as this, so there is always a next.
    pub(super) async fn next(&mut self) -> Incoming {
        tokio::select! {
            Some(event) = self.events.recv() => Incoming::Event(event),
            Some(answer) = self.answers.recv() => answered(answer),
            Some(query) = self.queries.recv() => Incoming::Query(query),
            else => std::future::pending().await,
        }
    }

    /// Makes a new configuration this process's: the endpoint of its environment wins, and the client follows.
    pub(super) fn configured(&self, config: Arc<Config>) -> Arc<Config> {
        let mut config = Arc::unwrap_or_clone(config);
        if let Some(endpoint) = &self.apollo_endpoint {
            config.apollo.endpoint = endpoint.trim().into();
        }
        self.policies.reconfigure(client_config(&config.apollo));
        tracing::info!(generation = config.generation, apollo = &*config.apollo.endpoint, "configuration in force");
        Arc::new(config)
    }

    pub(super) fn answer(&self, query: Query, engine: &Engine, now: Millis) {
        aisched_http::answer(query, engine, now, || https::apollo_view(&self.policies.stats()));
    }

    /// Waits until the policy service knows what became of its answers.
    pub(super) async fn flushed(&self) {
        self.policies.flushed().await;
    }
}

fn answered(answer: PolicyAnswer) -> Incoming {
    if let Some(error) = &answer.error {
        tracing::debug!(uid = &*answer.uid, error, "no fresh policy");
    }
    Incoming::Event(Event::PolicyAnswered(event::PolicyAnswer { uid: answer.uid, source: answer.source, policy: answer.policy }))
}

fn client_config(config: &ApolloConfig) -> ClientConfig {
    ClientConfig {
        endpoint: config.endpoint.as_ref().into(),
        tls: TlsFiles::from_env(|name| std::env::var_os(name)),
        cache_expiry: Duration::from_millis(config.cache_expiry_ms),
        connection_timeout: Duration::from_millis(config.connection_timeout_ms),
        request_timeout: Duration::from_millis(config.request_timeout_ms),
        max_in_flight: config.max_in_flight,
    }
}
