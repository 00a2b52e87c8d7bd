//! Health for kubelets: is the loop alive, is the scheduler ready. Open to everyone, so the loop is asked seldom.
//! Leaves out who leads: a follower is as alive and ready as a leader.

use crate::problem::Problem;
use crate::query::{Asker, Query};
use crate::routes::LeaseFault;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Feels the loop's pulse.
pub(crate) struct Pulse {
    asker: Asker,
    fresh: Duration,
    dead_after: Duration,
    lease_fault: Option<LeaseFault>,
    last: Mutex<Beat>,
}

/// What the loop said last, and when.
#[derive(Clone, Copy, Default)]
struct Beat {
    asked: Option<Instant>,
    answered: Option<Instant>,
    synced: bool,
}

impl Pulse {
    /// An answer counts for `fresh`; a loop that has answered before and is silent for `dead_after` counts as dead.
    pub(crate) fn new(asker: Asker, fresh: Duration, dead_after: Duration, lease_fault: Option<LeaseFault>) -> Self {
        Self { asker, fresh, dead_after, lease_fault, last: Mutex::default() }
    }

    /// kube-scheduler's `leaderElection` check: a process whose lease ran out should have ended.
    fn lease(&self) -> (&'static str, Result<(), String>) {
        let fault = self.lease_fault.as_ref().and_then(|fault| fault());
        ("leaderElection", fault.map_or(Ok(()), Err))
    }

    /// Asks the loop, unless it was asked a moment ago; callers that come meanwhile wait for the same answer.
    async fn feel(&self) -> Beat {
        let mut last = self.last.lock().await;
        if last.asked.is_none_or(|at| at.elapsed() >= self.fresh) {
            let answer: Result<bool, Problem> = self.asker.ask(Query::Synced).await;
            let now = Instant::now();
            *last = match answer {
                Ok(synced) => Beat { asked: Some(now), answered: Some(now), synced },
                Err(_) => Beat { asked: Some(now), ..*last },
            };
        }
        *last
    }

    /// Alive: a loop that has not begun (the API server may be away) or that answered not too long ago.
    pub(crate) async fn live(&self) -> Response {
        let silence = self.feel().await.answered.map_or(Duration::ZERO, |at| at.elapsed());
        let fault = format!("the scheduler's loop has not answered for {} s", silence.as_secs());
        report(&[("loop", (silence < self.dead_after).then_some(()).ok_or(fault)), self.lease()])
    }

    /// Ready: the loop answers, and knows the cluster.
    pub(crate) async fn ready(&self) -> Response {
        let beat = self.feel().await;
        let answers = beat.asked.is_some() && beat.asked == beat.answered;
        let answering = answers.then_some(()).ok_or("the scheduler's loop does not answer".into());
        let synced = beat.synced.then_some(()).ok_or("the first lists of the API server have not all arrived".into());
        report(&[("loop", answering), ("informer-sync", synced), self.lease()])
    }
}

/// `ok`, or a line per check in the form of Kubernetes' own components.
fn report(checks: &[(&str, Result<(), String>)]) -> Response {
    let failed = checks.iter().any(|(_, result)| result.is_err());
    let status = if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let line = |(name, result): &(&str, Result<(), String>)| match result {
        Ok(()) => format!("[+]{name} ok\n"),
        Err(fault) => format!("[-]{name} failed: {fault}\n"),
    };
    let body = if failed { checks.iter().map(line).collect() } else { String::from("ok") };
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response()
}
