//! Stands between a scheduler and the API server, so that a test can act at the very moment of a request, spoil it, or let there be no
//! server yet. Leaves out whose requests they are: the administrator's credentials are used for all of them.

use crate::api::{Api, runtime};
use crate::fate::{Answer, Failure, Fate, Streams, end_to_end, refused, spoilt};
use crate::fixture::Test;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A request on its way to the server.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What it sends.
    pub body: String,
    /// Whether its answer goes on until somebody ends it.
    pub is_watch: bool,
}

/// Called before a request is passed on; says what becomes of it. May take its time.
pub type Rule = Arc<dyn Fn(&Asked) -> Fate + Send + Sync>;

/// A proxy on a port of its own; its kubeconfig is there before it listens.
pub struct Proxy {
    /// For the scheduler that shall go through it.
    pub kubeconfig: PathBuf,
    port: u16,
    api: Api,
    streams: Sender<Streams>,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that does not listen yet.
    ///
    /// # Panics
    /// When its kubeconfig cannot be written.
    #[must_use]
    pub fn new(test: &Test) -> Self {
        let port = crate::free_port();
        let kubeconfig = test.file("proxy.kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
            clusters: [{{name: k, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).expect("a kubeconfig");
        Self { kubeconfig, port, api: test.api().clone(), streams: Sender::new(Streams::Flow), task: None }
    }

    /// Begins to listen.
    ///
    /// # Panics
    /// When its port has been taken.
    pub fn listen(&mut self, rule: Rule) {
        let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", self.port))).expect("the proxy's port is still free");
        let (api, streams) = (self.api.clone(), self.streams.subscribe());
        self.task = Some(runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (api, rule, streams) = (api.clone(), rule.clone(), streams.clone());
                let service = service_fn(move |request| pass(api.clone(), rule.clone(), streams.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }));
    }

    /// What happens from now on to watches that are open.
    pub fn streams(&self, now: Streams) {
        self.streams.send_replace(now);
    }
}

/// An error ends the connection that the request came by.
async fn pass(api: Api, rule: Rule, streams: Receiver<Streams>, request: Request<Incoming>) -> Result<Answer, Failure> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let asked = Asked { method, path, body: String::from_utf8_lossy(&body).into_owned(), is_watch };
    let fate = tokio::task::spawn_blocking(move || rule(&asked)).await?;
    match fate {
        Fate::Passed | Fate::AnswerLost => {}
        Fate::Late(by) => sleep(by).await,
        Fate::Refused(status) => return Ok(refused(status)),
        Fate::Dropped => return Err("dropped".into()),
    }
    let mut passed = Request::builder().method(parts.method).uri(parts.uri).body(Body::from(body))?;
    *passed.headers_mut() = end_to_end(parts.headers);
    let (mut head, body) = api.client.send(passed).await?.into_parts();
    if matches!(fate, Fate::AnswerLost) {
        body.collect().await?;
        return Err("the answer is lost".into());
    }
    head.headers = end_to_end(head.headers);
    let body = if is_watch { spoilt(body, streams) } else { body.map_err(Into::into).boxed_unsync() };
    Ok(Answer::from_parts(head, body))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
