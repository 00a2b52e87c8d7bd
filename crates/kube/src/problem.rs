//! What went wrong with a call to the API server, in words for people and in kinds for code.
//! Leaves out what to do about it.

use kube::Error;
use kube::runtime::watcher;
use std::error::Error as StdError;
use std::time::Duration;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No answer: no connection, or the connection was lost. Whether the call took effect is not known.
    Unreachable(String),
    /// 401: the server does not take our credentials.
    Unauthorized(String),
    /// 403.
    Forbidden(String),
    /// 404.
    NotFound(String),
    /// 409.
    Conflict(String),
    /// 410, or 422 on a watch: what was asked for is not to be had in this way.
    Refused(u16, String),
    /// 429: not processed; when to come again.
    Busy(Duration, String),
    /// 5xx: the server has trouble of its own.
    Server(u16, String),
    /// Anything else: an answer that cannot be read, a request that cannot be made.
    Other(String),
}

/// How long to wait when a server that is too busy does not say.
const BUSY_WAIT: Duration = Duration::from_secs(1);

impl Problem {
    /// Sorts an error of the client.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Api(status) => {
                let wait = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
                Self::of_answer(status.code, (wait > 0).then(|| Duration::from_secs(wait.into())), &status.message)
            }
            Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => Self::Unreachable(root_cause(error)),
            Error::Auth(_) => Self::Unauthorized(root_cause(error)),
            other => Self::Other(root_cause(other)),
        }
    }

    /// The verb that a watch failed at, and how.
    pub(crate) fn of_watch(error: &watcher::Error) -> (&'static str, Self) {
        match error {
            watcher::Error::InitialListFailed(error) => ("list", Self::of(error)),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => ("watch", Self::of(error)),
            watcher::Error::WatchError(status) => ("watch", Self::of_answer(status.code, None, &status.message)),
            watcher::Error::NoResourceVersion => ("list", Self::Other("the answer has no resource version".into())),
        }
    }

    /// Sorts an answer by its code.
    pub(crate) fn of_answer(code: u16, retry_after: Option<Duration>, message: &str) -> Self {
        let message = message.trim().to_owned();
        match code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            // An API server answers the path of a group that it does not serve with a list of the paths that it does: no Status, no code.
            0 => Self::NotFound("it is not served here".into()),
            409 => Self::Conflict(message),
            429 => Self::Busy(retry_after.unwrap_or(BUSY_WAIT), message),
            500.. => Self::Server(code, message),
            _ => Self::Refused(code, message),
        }
    }

    /// The words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Unreachable(m)
            | Self::Unauthorized(m)
            | Self::Forbidden(m)
            | Self::NotFound(m)
            | Self::Conflict(m)
            | Self::Refused(_, m)
            | Self::Busy(_, m)
            | Self::Server(_, m)
            | Self::Other(m) => m,
        }
    }
}

/// The innermost cause: the outer ones only say that something failed.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
