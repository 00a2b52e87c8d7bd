//! Binds pods to nodes: one POST per pod, with its UID, and an answer that is certain where one can be had.
//! Leaves out what to do about a bind that failed: that is the engine's.

mod together;

use crate::call::call;
use crate::extender::Extenders;
use crate::problem::Problem;
use crate::under_way::UnderWay;
use aisched_core::event::{BindOutcome, Event, PodRef, Together};
use aisched_model::Str;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use together::{Gates, Ticket};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;
use tracing::warn;

/// How binds are made.
#[derive(Clone, Debug)]
pub struct BindOptions {
    /// Longest wait for one answer.
    pub deadline: Duration,
    /// Binds at a time; more wait in line.
    pub concurrency: usize,
    /// How often a bind is sent again that the server was too busy to look at.
    pub busy_retries: usize,
    /// Pause before a pod is read again of whose bind the answer was lost; it doubles each time.
    pub first_pause: Duration,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), concurrency: 64, busy_retries: 5, first_pause: Duration::from_millis(250) }
    }
}

/// The longest that a busy server may make one bind wait between attempts.
const LONGEST_BUSY_WAIT: Duration = Duration::from_secs(5);
/// The longest pause before a pod is read again.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Binds pods. Cloning shares the limit.
#[derive(Clone)]
pub struct Binder {
    client: Client,
    options: BindOptions,
    limit: Arc<Semaphore>,
    under_way: UnderWay,
    extenders: Option<Extenders>,
    gates: Gates,
    /// The way through the barrier of a pod that is bound with others.
    ticket: Option<Arc<Ticket>>,
}

impl Binder {
    /// A binder; the client must not repeat requests by itself ([`crate::client::Clients::binds`]).
    #[must_use]
    pub fn new(client: Client, options: BindOptions) -> Self {
        let limit = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Self { client, options, limit, under_way: UnderWay::default(), extenders: None, gates: Gates::default(), ticket: None }
    }

    /// How many binds are under way, for those who give way to them.
    #[must_use]
    pub fn under_way(&self) -> UnderWay {
        self.under_way.clone()
    }

    /// A binder that has an extender bind.
    #[must_use]
    pub fn through(&self, extenders: Extenders) -> Self {
        Self { extenders: Some(extenders), ..self.clone() }
    }

    /// A binder for one of several pods that are bound together: it waits until each of them could be, and binds none if one cannot.
    #[must_use]
    pub fn together(&self, with: Together) -> Self {
        Self { ticket: Some(self.gates.ticket(with)), ..self.clone() }
    }

    /// Sends no bind any more that waits in line; those already sent end as they would have.
    pub fn close(&self) {
        self.limit.close();
    }

    /// Binds in a task of its own; the outcome goes to `events`.
    pub fn spawn(&self, pod: PodRef, node: Str, events: UnboundedSender<Event>) {
        let binder = self.clone();
        tokio::spawn(async move {
            let outcome = binder.bind(&pod, &node).await;
            if let BindOutcome::Failed(answer) = &outcome {
                warn!(pod = %format_args!("{}/{}", pod.namespace, pod.name), node = &*node, "bind failed: {answer}");
            }
            // The receiver is gone only when the scheduler stops.
            let _stopping = events.send(Event::BindEnded { pod, node, outcome });
        });
    }

    /// Binds a pod to a node.
    pub async fn bind(&self, pod: &PodRef, node: &str) -> BindOutcome {
        if let Some(ticket) = &self.ticket
            && !ticket.pass().await
        {
            return BindOutcome::Failed("the volumes or devices of another pod of its gang could not be bound".into());
        }
        let _token = self.under_way.begin();
        let Ok(_permit) = self.limit.acquire().await else {
            return BindOutcome::Gone("the scheduler stops, and whoever leads next places the pod".into());
        };
        if let Some(extenders) = &self.extenders {
            match extenders.bind(pod, node).await {
                Some(Ok(())) => return BindOutcome::Bound,
                // It may have bound the pod all the same.
                Some(Err(error)) => return self.resolve(pod, node, &error).await,
                None => {}
            }
        }
        let mut retries = self.options.busy_retries;
        loop {
            let problem = match self.post(pod, node).await {
                Ok(()) => return BindOutcome::Bound,
                Err(problem) => problem,
            };
            match problem {
                // Refused before it was looked at: sending it again cannot bind twice.
                Problem::Busy(wait, _) if retries > 0 => {
                    retries -= 1;
                    tokio::time::sleep(wait.min(LONGEST_BUSY_WAIT)).await;
                }
                Problem::Unreachable(_) | Problem::Conflict(_) | Problem::NotFound(_) | Problem::Server(..) => {
                    return self.resolve(pod, node, problem.message()).await;
                }
                Problem::Forbidden(answer) => {
                    return BindOutcome::Failed(format!(
                        "{answer}: grant verb \"create\" on resource \"pods/binding\" in API group \"\" to the scheduler's account"
                    ));
                }
                Problem::Busy(..) | Problem::Unauthorized(_) | Problem::Refused(..) | Problem::Other(_) => {
                    return BindOutcome::Failed(problem.message().into());
                }
            }
        }
    }

    async fn post(&self, pod: &PodRef, node: &str) -> Result<(), Problem> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": &*pod.name, "namespace": &*pod.namespace, "uid": &*pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let body = binding.to_string().into_bytes();
        let url = Pod::url_path(&(), Some(&pod.namespace));
        let request = kube::core::Request::new(url).create_subresource("binding", &pod.name, &PostParams::default(), body);
        call(&self.client, request, self.options.deadline).await
    }

    /// Finds out what became of a pod whose bind was refused or whose answer was lost, for as long as the server does not say.
    ///
    /// Not sooner: the pod may be on the node, and its room must not be given to another.
    async fn resolve(&self, pod: &PodRef, node: &str, problem: &str) -> BindOutcome {
        let api = Api::<Pod>::namespaced(self.client.clone(), &pod.namespace);
        let mut pause = self.options.first_pause;
        let found = loop {
            let answer = timeout(self.options.deadline, api.get_opt(&pod.name)).await;
            match answer.map(|read| read.map_err(|error| Problem::of(&error))) {
                Ok(Ok(found)) => break found,
                Err(_) | Ok(Err(Problem::Unreachable(_) | Problem::Busy(..) | Problem::Server(..) | Problem::Unauthorized(_))) => {}
                Ok(Err(refused)) => return BindOutcome::Failed(format!("{problem}; and the pod cannot be read: {}", refused.message())),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        };
        let Some(found) = found.filter(|f| f.metadata.uid.as_deref() == Some(&pod.uid)) else {
            return BindOutcome::Gone("the pod no longer exists".into());
        };
        match found.spec.and_then(|s| s.node_name).filter(|n| !n.is_empty()) {
            Some(bound) if bound == node => BindOutcome::Bound,
            Some(other) => BindOutcome::Gone(format!("the pod is bound to {other} already")),
            None => BindOutcome::Failed(problem.into()),
        }
    }
}

#[cfg(test)]
mod tests;
