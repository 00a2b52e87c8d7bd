//! One call to the API server with a deadline, of which only success or the problem matters.
//! Leaves out repeating it.

use crate::problem::{Problem, root_cause};
use http::Request;
use kube::Client;
use kube::core::request::Error;
use std::time::Duration;
use tokio::time::timeout;

/// A request that is built, or could not be.
pub(crate) type Built = Result<Request<Vec<u8>>, Error>;

/// Sends a request; the content of a good answer is not read.
pub(crate) async fn call(client: &Client, request: Built, deadline: Duration) -> Result<(), Problem> {
    let request = request.map_err(|e| Problem::Other(e.to_string()))?;
    let call = async {
        let answer = client.send(request.map(Into::into)).await.map_err(|e| Problem::of(&e))?;
        let code = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = answer.into_body().collect_bytes().await.map_err(|e| Problem::Unreachable(root_cause(&e)))?;
        if (200..300).contains(&code) { Ok(()) } else { Err(Problem::of_answer(code, retry_after, &message(&body))) }
    };
    let late = || Problem::Unreachable(format!("no answer within {deadline:?}"));
    timeout(deadline, call).await.unwrap_or_else(|_| Err(late()))
}

/// The message of a `Status`, or the whole text of an answer that is none.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Status {
        message: String,
    }
    serde_json::from_slice::<Status>(body).map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |s| s.message)
}
