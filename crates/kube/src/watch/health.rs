//! Says once what keeps the watches from working, and once when it is over: no server, no permission.
//! Leaves out the watches themselves.

use crate::problem::Problem;
use kube::Client;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// First pause between attempts to reach a server.
const FIRST_PROBE: Duration = Duration::from_millis(500);
/// Longest pause: an outage of hours must not delay the first pod after it by minutes.
const LAST_PROBE: Duration = Duration::from_secs(10);
/// A probe that hangs longer has failed.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

const UNAUTHORIZED: &str = "the API server does not take the credentials: check the token or certificate";

/// What keeps the adapter from working. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    lost: Notify,
    back: Notify,
}

#[derive(Debug, Default)]
struct State {
    unreachable: Option<String>,
    unauthorized: Option<String>,
    /// By verb and resource.
    forbidden: BTreeMap<(&'static str, String), String>,
}

/// A resource, for messages: plural and group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResourceName {
    pub(crate) plural: &'static str,
    pub(crate) group: &'static str,
}

impl ResourceName {
    /// `plural.group`.
    fn full(self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

impl Health {
    /// Everything that is wrong now, one sentence each; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let state = self.state();
        let unreachable = state.unreachable.iter().map(|cause| format!("the API server cannot be reached: {cause}"));
        let unauthorized = state.unauthorized.iter().map(|answer| format!("{UNAUTHORIZED}: {answer}"));
        unreachable.chain(unauthorized).chain(state.forbidden.values().cloned()).collect()
    }

    /// The server did not answer.
    pub(crate) fn unreachable(&self, cause: &str) {
        let mut state = self.state();
        if state.unreachable.is_none() {
            warn!(cause, "the API server cannot be reached; retrying until it is back");
            self.0.lost.notify_one();
        }
        state.unreachable = Some(cause.to_owned());
    }

    /// The server does not know us.
    pub(crate) fn unauthorized(&self, answer: &str) {
        if self.state().unauthorized.replace(answer.to_owned()).is_none() {
            error!(answer, "{UNAUTHORIZED}; retrying");
        }
    }

    /// The server knows us.
    pub(crate) fn authorized(&self) {
        if self.state().unauthorized.take().is_some() {
            info!("the API server takes the credentials");
        }
    }

    /// The server answered.
    pub(crate) fn reachable(&self) {
        if self.state().unreachable.take().is_some() {
            info!("the API server is back");
        }
        self.0.back.notify_waiters();
    }

    /// The server refused a verb on a resource.
    pub(crate) fn forbidden(&self, verb: &'static str, resource: ResourceName, problem: &str, consequence: &str) {
        let (name, ResourceName { plural, group }) = (resource.full(), resource);
        let text = format!(
            "cannot {verb} {name} (forbidden): grant verb \"{verb}\" on resource \"{plural}\" in API group \"{group}\" to the scheduler's account"
        );
        if self.state().forbidden.insert((verb, name), text.clone()).is_none() {
            error!(answer = problem, "{text}; {consequence}");
        }
    }

    /// The server allowed a verb that it may have refused before.
    pub(crate) fn allowed(&self, verb: &'static str, resource: ResourceName) {
        let mut state = self.state();
        if !state.forbidden.is_empty() && state.forbidden.remove(&(verb, resource.full())).is_some() {
            info!("can {verb} {} now", resource.full());
        }
    }

    pub(crate) fn is_forbidden(&self, verb: &'static str, resource: ResourceName) -> bool {
        let state = self.state();
        !state.forbidden.is_empty() && state.forbidden.contains_key(&(verb, resource.full()))
    }

    /// Waits for `pause`, or less when the server comes back meanwhile.
    pub(crate) async fn pause(&self, pause: Duration) {
        let back = self.0.back.notified();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = back => {}
        }
    }

    /// While the server is away, asks until it answers: a watch that was resumed in silence would not tell.
    pub(crate) async fn probe(self, client: Client) {
        loop {
            self.0.lost.notified().await;
            let mut pause = FIRST_PROBE;
            while self.state().unreachable.is_some() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PROBE);
                match tokio::time::timeout(PROBE_DEADLINE, client.apiserver_version()).await {
                    Ok(Ok(_)) => self.reachable(),
                    Ok(Err(error)) => {
                        // Any answer at all is one: an account may well not be allowed to ask for the version.
                        if !matches!(Problem::of(&error), Problem::Unreachable(_)) {
                            self.reachable();
                        }
                    }
                    Err(_) => {}
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
