//! What can become of a request to the API server, and of a watch that is open, on a bad network.
//! Leaves out when: rules of tests say so (`proxy`).

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::json;
use std::error::Error;
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Passed,
    /// It reaches the server so much later.
    Late(Duration),
    /// It is refused with this status before it reaches the server; 429 with `Retry-After: 1`.
    Refused(u16),
    /// Its connection ends before it reaches the server.
    Dropped,
    /// It is done, and its connection ends before the answer.
    AnswerLost,
}

/// What happens to open watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// What the server sends arrives.
    Flow,
    /// What it sends next ends in the middle, and with it the watch.
    Cut,
    /// Nothing arrives on them any more, and they do not end; whoever watches anew hears.
    Silent,
}

/// Why a connection ends.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Spoilt = UnsyncBoxBody<Bytes, Failure>;
pub(crate) type Answer = Response<Spoilt>;

/// An API server's refusal.
pub(crate) fn refused(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status code");
    let reason = match status {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    };
    let text = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "bad weather", "reason": reason, "code": status.as_u16()});
    let mut answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer = answer.header(header::RETRY_AFTER, "1");
    }
    let body = Full::new(Bytes::from(text.to_string())).map_err(|never| match never {});
    answer.body(body.boxed_unsync()).expect("an answer")
}

/// A watch's body, with what happens to open watches; what was told before it began does not concern it.
pub(crate) fn spoilt(body: Body, mut streams: Receiver<Streams>) -> Spoilt {
    streams.mark_unchanged();
    let frames = stream::unfold(Some((body, streams)), |open| async {
        let Some((mut body, mut streams)) = open else { return Some((Err("cut".into()), None)) };
        loop {
            let now = tokio::select! {
                biased;
                Ok(()) = streams.changed() => *streams.borrow_and_update(),
                frame = body.frame() => return Some((frame?.map_err(Into::into), Some((body, streams)))),
            };
            match now {
                Streams::Flow => {}
                Streams::Silent => std::future::pending().await,
                Streams::Cut => return Some((body.frame().await?.map(half).map_err(Into::into), None)),
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn half(frame: Frame<Bytes>) -> Frame<Bytes> {
    frame.map_data(|data| data.slice(..data.len() / 2))
}

/// Without what concerns one connection alone.
pub(crate) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    headers
}
