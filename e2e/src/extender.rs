//! An HTTP extender that answers as a test says, and remembers what it was asked.
//! Leaves out what a real one would know.

use crate::api::runtime;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The answer to a verb and what came with it. May take its time, and use the API.
pub type Answers = Arc<dyn Fn(&str, &Value) -> Value + Send + Sync>;

/// A running extender; it stops when dropped.
pub struct Extender {
    /// Where it is.
    pub url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
}

impl Extender {
    /// Serves on a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(answers: Answers) -> Self {
        let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::default();
        let shared = Arc::clone(&asked);
        let task = runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, asked) = (answers.clone(), Arc::clone(&shared));
                let service = service_fn(move |request| answer(answers.clone(), Arc::clone(&asked), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, asked, task }
    }

    /// What it was asked by a verb so far.
    #[must_use]
    pub fn asked(&self, verb: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|(known, _)| known == verb).map(|(_, with)| with.clone()).collect()
    }
}

async fn answer(
    answers: Answers,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let verb = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let with: Value = serde_json::from_slice(&body).unwrap_or_default();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push((verb.clone(), with.clone()));
    let said = tokio::task::spawn_blocking(move || answers(&verb, &with)).await.unwrap_or_default();
    Ok(Response::new(Full::from(said.to_string())))
}

impl Drop for Extender {
    fn drop(&mut self) {
        self.task.abort();
    }
}
