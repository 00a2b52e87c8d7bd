//! One server's channel and the two calls over it, each with a deadline.
//! Leaves out when to call: breaker, cache and queues are the client's.

use crate::endpoint::{Dial, EndpointError, Target, TlsFiles};
use crate::wire::scheduling_policy_service_client::SchedulingPolicyServiceClient;
use crate::wire::{ReportResponse, SchedulingPolicy, SchedulingPolicyRequest, SchedulingResult};
use std::error::Error;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Larger messages are refused (`apollo.md`).
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// A server's status message is cut to this many characters.
const MAX_STATUS_CHARS: usize = 256;

/// A server as configured, connected when it is first called.
pub(crate) struct Link {
    pub(crate) target: Target,
    pub(crate) files: TlsFiles,
    pub(crate) connect_timeout: Duration,
    dial: Dial,
    channel: OnceCell<Channel>,
}

/// Why a call brought no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("no answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    #[error("the server answered {code:?}: {message}")]
    Refused { code: Code, message: String },
    #[error("the call failed: {0}")]
    Broken(String),
    #[error("the call was given up")]
    GivenUp,
}

impl Link {
    pub(crate) fn new(target: Target, files: TlsFiles, connect_timeout: Duration, dial: Dial) -> Self {
        Self { target, files, connect_timeout, dial, channel: OnceCell::new() }
    }

    /// The same server, to be dialled anew.
    pub(crate) fn renewed(&self) -> Self {
        let dial = self.dial.clone();
        Self::new(self.target.clone(), self.files.clone(), self.connect_timeout, dial)
    }

    /// Asks for a pod's policy.
    pub(crate) async fn policy(&self, message: SchedulingPolicyRequest, deadline: Duration) -> Result<SchedulingPolicy, CallError> {
        let call = async {
            let request = with_deadline(message, deadline);
            let answer = self.client().await?.get_scheduling_policy(request).await;
            answer.map(tonic::Response::into_inner).map_err(|status| broken(&status))
        };
        within(deadline, call).await
    }

    /// Reports a result.
    pub(crate) async fn report(&self, message: SchedulingResult, deadline: Duration) -> Result<ReportResponse, CallError> {
        let call = async {
            let request = with_deadline(message, deadline);
            let answer = self.client().await?.report_scheduling_result(request).await;
            answer.map(tonic::Response::into_inner).map_err(|status| broken(&status))
        };
        within(deadline, call).await
    }

    async fn client(&self) -> Result<SchedulingPolicyServiceClient<Channel>, CallError> {
        let dial = || (self.dial)(self.target.clone(), self.files.clone(), self.connect_timeout);
        let channel = self.channel.get_or_try_init(dial).await?;
        Ok(SchedulingPolicyServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }
}

/// The deadline is looked at first: tonic and the server keep it as well, and which of the three ends the call should not depend on luck.
async fn within<T>(deadline: Duration, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    tokio::select! {
        biased;
        () = sleep(deadline) => Err(CallError::Deadline(deadline)),
        result = call => result,
    }
}

/// The server is told the deadline too, so that it stops working on what nobody waits for.
fn with_deadline<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Tells a server's refusal from a broken connection, whose causes are only in the chain behind the status.
fn broken(status: &Status) -> CallError {
    if status.source().is_none() {
        return CallError::Refused { code: status.code(), message: short(status.message()) };
    }
    let mut causes: Vec<String> = Vec::new();
    let mut cause: Option<&dyn Error> = status.source();
    while let Some(error) = cause {
        let text = short(&error.to_string());
        // Some layers repeat what they wrap.
        if !causes.iter().any(|said| said.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    CallError::Broken(causes.join(": "))
}

fn short(message: &str) -> String {
    let printable = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_STATUS_CHARS).collect()
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
