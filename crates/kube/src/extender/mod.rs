//! Asks extenders over HTTP, beside the scheduling path: which nodes, how good, who is preempted, and to bind.
//! Leaves out what follows from their answers: that is the engine's.

mod endpoint;
mod objects;
#[cfg(test)]
mod tests;
mod victims;
mod wire;

use crate::client::Clients;
use crate::scheduler_config::ExtenderConfig;
use aisched_core::consult::{About, Answer, Extender, Failed, Judged, Question, Said, Scores};
use aisched_core::event::{Event, PodRef};
use aisched_core::framework::RefusalCode;
use aisched_model::Str;
use aisched_model::pod::Pod;
use endpoint::Endpoint;
use futures::future::join_all;
use objects::Objects;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};
use wire::{FilterResult, HostPriority, Nodes, bounded, node_args};

/// Questions at a time where they name nodes; more wait in line.
const QUESTIONS: usize = 16;
/// Questions at a time where they hold whole nodes: one may take as much memory as all nodes together.
const LARGE_QUESTIONS: usize = 2;

/// All extenders, in the order in which they are called. Cloning shares them.
#[derive(Clone)]
pub struct Extenders(Arc<Inner>);

struct Inner {
    endpoints: Vec<Endpoint>,
    objects: Objects,
    limit: Semaphore,
}

/// An extender that cannot be called.
#[derive(Debug, thiserror::Error)]
#[error("the extender {url} cannot be called: {problem}")]
pub struct ExtenderError {
    url: String,
    problem: String,
}

impl Extenders {
    /// Reads certificates and keys, and begins to keep nodes if an extender wants whole ones.
    ///
    /// # Errors
    /// [`ExtenderError`], when a certificate or key cannot be used. Whether anyone answers is not asked.
    pub async fn new(configs: Vec<ExtenderConfig>, clients: &Clients) -> Result<Self, ExtenderError> {
        let mut endpoints = Vec::new();
        for config in configs {
            let url = config.url_prefix.clone();
            endpoints.push(Endpoint::new(config).await.map_err(|problem| ExtenderError { url, problem })?);
        }
        let with_nodes = endpoints.iter().any(|e| !e.config.node_cache_capable && (e.extender.filters || e.extender.prioritizes));
        let objects = Objects::new(clients.calls.clone(), clients.watch.clone(), with_nodes);
        let limit = Semaphore::new(if with_nodes { LARGE_QUESTIONS } else { QUESTIONS });
        Ok(Self(Arc::new(Inner { endpoints, objects, limit })))
    }

    /// The extenders as the engine knows them.
    #[must_use]
    pub fn known(&self) -> Vec<Extender> {
        self.0.endpoints.iter().map(|endpoint| endpoint.extender.clone()).collect()
    }

    /// Asks in a task of its own; the answer goes to `events`.
    pub fn spawn(&self, question: Question, events: UnboundedSender<Event>) {
        let inner = self.0.clone();
        tokio::spawn(async move {
            let said = inner.ask(&question).await;
            if let Said::Nodes(Err(error)) | Said::Victims(Err(error)) = &said {
                warn!(pod = question.pod.full_name(), error, "an extender fails");
            }
            // The receiver is gone only when the scheduler stops.
            let _stopping = events.send(Event::Consulted(Answer { id: question.id, uid: question.pod.uid.clone(), said }));
        });
    }

    /// Has the extender that binds a pod bind it. `None` when it may be done without, and has to be.
    pub(crate) async fn bind(&self, pod: &PodRef, node: &str) -> Option<Result<(), String>> {
        let binder = self.0.endpoints.iter().find(|e| e.extender.binds)?;
        match binder.bind(pod, node).await {
            Err(error) if binder.config.ignorable => {
                skipped(binder, pod, "bind", &error);
                None
            }
            result => Some(result),
        }
    }
}

impl Inner {
    async fn ask(&self, question: &Question) -> Said {
        let _permit = self.limit.acquire().await;
        match &question.about {
            About::Nodes(nodes) => Said::Nodes(self.judge(&question.pod, nodes).await),
            About::Victims(proposals) => Said::Victims(self.victims(&question.pod, proposals).await),
        }
    }

    fn concerned<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.concerns(pod))
    }

    async fn object(&self, pod: &Pod) -> Result<String, String> {
        let object = self.objects.pod(&PodRef::from(pod)).await?;
        object.ok_or_else(|| format!("pod {} no longer exists", pod.full_name()))
    }

    /// Lets the filters pass nodes on, one extender after the other, and has what is left scored.
    async fn judge(&self, pod: &Pod, nodes: &[Str]) -> Result<Judged, String> {
        let object = self.object(pod).await?;
        let mut judged = Judged { passed: nodes.iter().cloned().collect(), ..Judged::default() };
        for endpoint in self.concerned(pod).filter(|e| e.extender.filters) {
            if judged.passed.is_empty() {
                break;
            }
            match self.filter(endpoint, &object, &judged.passed).await {
                Ok((passed, failed)) => {
                    judged.failed.extend(failed);
                    judged.passed = passed;
                }
                Err(error) if endpoint.config.ignorable => skipped(endpoint, &PodRef::from(pod), "filter", &error),
                Err(error) => return Err(error),
            }
        }
        // A single node is taken whatever its score.
        if judged.passed.len() > 1 {
            let scoring = self.concerned(pod).filter(|e| e.extender.prioritizes);
            let scores = join_all(scoring.map(async |e| (e, self.prioritize(e, &object, &judged.passed).await))).await;
            for (endpoint, scores) in scores {
                match scores {
                    Ok(scores) => judged.scores.push(scores),
                    Err(error) => info!(pod = pod.full_name(), extender = endpoint.config.url_prefix, error, "no scores by this extender"),
                }
            }
        }
        Ok(judged)
    }

    /// The nodes that an extender leaves, and what it says of others.
    async fn filter(&self, endpoint: &Endpoint, pod: &str, nodes: &BTreeSet<Str>) -> Result<(BTreeSet<Str>, Vec<(Str, Failed)>), String> {
        let args = self.node_args(endpoint, pod, nodes).await?;
        let result: FilterResult = endpoint.post(&endpoint.config.filter_verb, args).await?;
        if !result.error.is_empty() {
            return Err(bounded(&result.error));
        }
        let names = match (result.node_names, result.nodes) {
            (Some(names), _) if endpoint.config.node_cache_capable => names,
            (_, list) => list.unwrap_or_default().items.into_iter().map(|item| item.metadata.name).collect(),
        };
        let known = |name: String| {
            let unknown = || {
                let url = &endpoint.config.url_prefix;
                format!("extender {url:?} claims a filtered node {:?} which is not found in the input node list", bounded(&name))
            };
            nodes.get(name.as_str()).cloned().ok_or_else(unknown)
        };
        let passed = names.into_iter().map(known).collect::<Result<_, _>>()?;
        let failed = [(RefusalCode::Unschedulable, result.failed), (RefusalCode::Unresolvable, result.unresolvable)];
        let failed = failed.into_iter().flat_map(|(code, by_node)| by_node.into_iter().map(move |(name, text)| (code, name, text)));
        let failed = failed.filter_map(|(code, name, text)| {
            let message = bounded(&text.unwrap_or_default()).into();
            Some((nodes.get(name.as_str())?.clone(), Failed { code, message }))
        });
        Ok((passed, failed.collect()))
    }

    async fn prioritize(&self, endpoint: &Endpoint, pod: &str, nodes: &BTreeSet<Str>) -> Result<Scores, String> {
        let args = self.node_args(endpoint, pod, nodes).await?;
        let result: Vec<HostPriority> = endpoint.post(&endpoint.config.prioritize_verb, args).await?;
        let mut by_node: BTreeMap<Str, i64> = BTreeMap::new();
        for HostPriority { host, score } in result {
            if let Some(node) = nodes.get(host.as_str()) {
                let sum = by_node.entry(node.clone()).or_default();
                *sum = sum.saturating_add(score);
            }
        }
        Ok(Scores { extender: endpoint.extender.name.clone(), weight: endpoint.config.weight, by_node })
    }

    async fn node_args(&self, endpoint: &Endpoint, pod: &str, nodes: &BTreeSet<Str>) -> Result<Vec<u8>, String> {
        let nodes = if endpoint.config.node_cache_capable {
            Nodes::Names(nodes.iter().map(|name| &**name).collect())
        } else {
            Nodes::Objects(self.objects.nodes(nodes.iter().map(|name| &**name)).await?)
        };
        Ok(node_args(pod, &nodes))
    }
}

fn skipped(endpoint: &Endpoint, pod: &PodRef, verb: &str, error: &str) {
    let pod = format!("{}/{}", pod.namespace, pod.name);
    info!(pod, extender = endpoint.config.url_prefix, verb, error, "extender passed over: it failed, and is ignorable");
}
