//! A stand-in for the API server: a test says how each request is answered, and reads what was asked.
//! Leaves out everything that an API server does by itself.

use aisched_core::event::PodRef;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use futures::channel::mpsc;
use kube::{Client, Config};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A request that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=")
    }
    pub(crate) fn is_streaming_list(&self) -> bool {
        self.query.contains("sendInitialEvents=true")
    }
    /// Method and path, for comparing.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// How a request is answered.
pub(crate) enum Answer {
    Json(u16, Value),
    /// 429 with `Retry-After`.
    Busy(u64),
    /// Never.
    Hang,
    /// A watch: lines until the sender is gone.
    Lines(mpsc::UnboundedReceiver<String>),
}

impl Answer {
    /// A watch that reports these events and then stays open for ever.
    pub(crate) fn watch(events: Vec<Value>) -> Self {
        let (sender, receiver) = mpsc::unbounded();
        for event in events {
            sender.unbounded_send(format!("{event}\n")).unwrap();
        }
        std::mem::forget(sender);
        Self::Lines(receiver)
    }
    pub(crate) fn ended_watch(events: Vec<Value>) -> Self {
        let (sender, receiver) = mpsc::unbounded();
        for event in events {
            sender.unbounded_send(format!("{event}\n")).unwrap();
        }
        Self::Lines(receiver)
    }
    /// A `Status` of failure.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Json(code, status(code, reason, message))
    }
    /// A list of objects.
    /// What an API server says of a path whose group it does not serve: no Status, but the paths that there are.
    pub(crate) fn not_served() -> Self {
        Self::Json(404, json!({"paths": ["/apis", "/apis/apps/v1"]}))
    }

    pub(crate) fn list(resource_version: &str, items: Value) -> Self {
        Self::Json(200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": resource_version}, "items": items}))
    }
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    news: Notify,
}

/// The stand-in; it stops when it is dropped.
pub(crate) struct Mock {
    pub(crate) address: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl Mock {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", script).await
    }

    pub(crate) async fn start_on(address: &str, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { script: Box::new(script), seen: Mutex::default(), news: Notify::new() });
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _server: server }
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until as many requests were seen.
    pub(crate) async fn seen_at_least(&self, n: usize) -> Vec<Seen> {
        loop {
            let news = self.shared.news.notified();
            let seen = self.seen();
            if seen.len() >= n {
                return seen;
            }
            news.await;
        }
    }
}

pub(crate) fn client(address: &str) -> Client {
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let header = |name| head.headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_type: header("content-type"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let answer = (shared.script)(&seen);
    shared.seen.lock().unwrap().push(seen);
    shared.news.notify_waiters();
    let respond = |code, body| Response::builder().status(code).header("content-type", "application/json").body(body).unwrap();
    match answer {
        Answer::Json(code, value) => respond(code, Body::from(value.to_string())),
        Answer::Busy(seconds) => {
            let mut response = respond(429, Body::from("Too many requests, please try again later.\n"));
            response.headers_mut().insert("retry-after", seconds.into());
            response
        }
        Answer::Hang => pending().await,
        Answer::Lines(lines) => respond(200, Body::from_stream(futures::StreamExt::map(lines, Ok::<_, Infallible>))),
    }
}

pub(crate) fn pod_ref(uid: &str) -> PodRef {
    PodRef { uid: uid.into(), namespace: "ns".into(), name: "p".into() }
}
