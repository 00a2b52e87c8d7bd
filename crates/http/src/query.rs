//! What is asked of the engine, and its answers: each question carries the way back, so that the event loop answers in one line.
//! Leaves out JSON and status codes.

use crate::problem::Problem;
use crate::views::{Gauges, QueueView, Status, StreamView};
use aisched_core::engine::Engine;
use aisched_core::event::Millis;
use aisched_core::records::Record;
use aisched_core::view::View;
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The way back to whoever asked; it is closed when they no longer wait.
pub type Reply<T> = oneshot::Sender<T>;

/// A question to the engine.
#[derive(Debug)]
pub enum Query {
    /// Whether every first list has arrived; that there is an answer says that the loop lives.
    Synced(Reply<bool>),
    /// The latest decisions, newest first.
    Decisions {
        /// Of this namespace only.
        namespace: Option<String>,
        /// At most so many.
        limit: usize,
        /// The way back.
        reply: Reply<Dated<Vec<Record>>>,
    },
    /// What is known of one pod.
    Decision {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// The way back.
        reply: Reply<Dated<Known>>,
    },
    /// Everything that is known now, for work that is done elsewhere.
    View(Reply<Arc<View>>),
    /// All nodes.
    Nodes(Reply<Nodes>),
    /// The scheduler's state.
    Status(Reply<Status>),
    /// What a scrape shows.
    Gauges(Reply<Gauges>),
}

/// An answer, and the engine's time when it was given.
#[derive(Clone, Debug)]
pub struct Dated<T> {
    /// When.
    pub now: Millis,
    /// The answer.
    pub of: T,
}

/// What is known of a pod.
#[derive(Clone, Debug)]
pub enum Known {
    /// It was decided.
    Decided(Box<Record>),
    /// It waits: a record says what was true at its last attempt, and may be of an earlier pod of that name.
    Waiting,
    /// It is on a node, and no decision on it is kept.
    Placed(Str),
    /// No pod of this name waits or is on a node, and no decision on it is kept.
    Unknown,
}

/// All nodes, shared with the cache.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// By name, each with the ages in seconds of what nobody labelled.
    pub nodes: Vec<(Arc<NodeInfo>, BTreeMap<&'static str, u64>)>,
    /// Whether what was promised to pods is subtracted from the budgets.
    pub io_accounting: bool,
}

/// Answers a question from the engine at once; `apollo` gives the policy client's counts as JSON and is called only when they are asked
/// for. Nothing here takes longer than looking up and sharing: what needs work is done on a [`View`], off the loop.
pub fn answer(query: Query, engine: &Engine, now: Millis, apollo: impl FnOnce() -> serde_json::Value) {
    // Sending fails only when nobody waits any longer, and then there is nobody to tell.
    match query {
        Query::Synced(reply) => drop(reply.send(engine.is_synced())),
        Query::Decisions { reply, .. } if reply.is_closed() => {}
        Query::Decisions { namespace, limit, reply } => {
            drop(reply.send(Dated { now, of: latest(engine, namespace.as_deref(), limit) }));
        }
        Query::Decision { reply, .. } if reply.is_closed() => {}
        Query::Decision { namespace, name, reply } => {
            drop(reply.send(Dated { now, of: known(engine, &namespace, &name) }));
        }
        Query::View(reply) if reply.is_closed() => {}
        Query::View(reply) => drop(reply.send(Arc::new(engine.view(now)))),
        Query::Nodes(reply) => {
            let nodes = engine.snapshot().nodes.iter().map(|node| (node.clone(), engine.ages(&node.node.name, now)));
            drop(reply.send(Nodes { nodes: nodes.collect(), io_accounting: engine.config().io_accounting }));
        }
        Query::Gauges(reply) if reply.is_closed() => {}
        Query::Gauges(reply) => drop(reply.send(gauges(engine))),
        Query::Status(reply) if reply.is_closed() => {}
        Query::Status(reply) => drop(reply.send(status(engine, apollo()))),
    }
}

fn latest(engine: &Engine, namespace: Option<&str>, limit: usize) -> Vec<Record> {
    let wanted = |r: &&Record| namespace.is_none_or(|ns| r.decision.pod.split_once('/').is_some_and(|(of, _)| of == ns));
    engine.records().newest_first().filter(wanted).take(limit).cloned().collect()
}

fn known(engine: &Engine, namespace: &str, name: &str) -> Known {
    if engine.waiting().any(|w| *w.pod.namespace == *namespace && *w.pod.name == *name) {
        return Known::Waiting;
    }
    if let Some(record) = engine.records().get(&format!("{namespace}/{name}")) {
        return Known::Decided(Box::new(record.clone()));
    }
    let is_there = |n: &&Arc<NodeInfo>| n.pods.iter().any(|p| *p.pod.namespace == *namespace && *p.pod.name == *name);
    engine.snapshot().nodes.iter().find(is_there).map_or(Known::Unknown, |n| Known::Placed(n.node.name.clone()))
}

fn status(engine: &Engine, apollo: serde_json::Value) -> Status {
    let nodes = &engine.snapshot().nodes;
    Status {
        version: env!("CARGO_PKG_VERSION"),
        synced: engine.is_synced(),
        config_generation: engine.config().generation,
        queue: QueueView::from(engine.depth()),
        n_waiting: engine.waiting().count(),
        n_nodes: nodes.len(),
        n_pods: nodes.iter().map(|n| n.pods.len()).sum(),
        leading: engine.is_leading(),
        leader: None,
        stream: StreamView::default(),
        apollo,
    }
}

fn gauges(engine: &Engine) -> Gauges {
    let nodes = &engine.snapshot().nodes;
    let mut refused = BTreeMap::new();
    for waiting in engine.waiting() {
        for plugin in &waiting.refused_by {
            *refused.entry((*plugin, waiting.pod.spec.scheduler_name.clone())).or_default() += 1;
        }
    }
    Gauges {
        synced: engine.is_synced(),
        config_generation: engine.config().generation,
        queue: QueueView::from(engine.depth()),
        n_nodes: nodes.len(),
        n_pods: nodes.iter().map(|n| n.pods.len()).sum(),
        n_assumed: engine.n_binding(),
        incoming: engine.incoming().clone(),
        refused,
    }
}

/// Asks the event loop, and waits so long and no longer.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    queries: mpsc::Sender<Query>,
    patience: Duration,
}

impl Asker {
    pub(crate) fn new(queries: mpsc::Sender<Query>, patience: Duration) -> Self {
        Self { queries, patience }
    }

    pub(crate) async fn ask<T>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.queries.send(query(reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(self.patience, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Problem::unavailable("the scheduler is stopping")),
            Err(_) => {
                let waited = self.patience.as_millis();
                Err(Problem::unavailable(format!("the scheduler's loop is busy and did not answer within {waited} ms; try again")))
            }
        }
    }
}
