//! Stands between a scheduler and the API server, so that a test can act at the very moment of a request, or let there be no server yet.
//! Changes nothing that passes; the administrator's credentials are used for all of it.

use crate::api::{Api, runtime};
use crate::fixture::Test;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Called before a request is passed on, with method, path and body. May take its time.
pub type Before = Arc<dyn Fn(&str, &str, &str) + Send + Sync>;

/// A proxy on a port of its own; its kubeconfig is there before it listens.
pub struct Proxy {
    /// For the scheduler that shall go through it.
    pub kubeconfig: PathBuf,
    port: u16,
    api: Api,
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
        Self { kubeconfig, port, api: test.api().clone(), task: None }
    }

    /// Begins to listen.
    ///
    /// # Panics
    /// When its port has been taken.
    pub fn listen(&mut self, before: Before) {
        let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", self.port))).expect("the proxy's port is still free");
        let api = self.api.clone();
        self.task = Some(runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (api, before) = (api.clone(), before.clone());
                let service = service_fn(move |request| pass(api.clone(), before.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }));
    }
}

async fn pass(api: Api, before: Before, request: Request<Incoming>) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (method, path, text) = (parts.method.to_string(), parts.uri.path().to_owned(), String::from_utf8_lossy(&body).into_owned());
    let _done = tokio::task::spawn_blocking(move || before(&method, &path, &text)).await;
    let mut passed = Request::builder().method(parts.method).uri(parts.uri).body(Body::from(body))?;
    *passed.headers_mut() = end_to_end(parts.headers);
    let mut response = api.client.send(passed).await?;
    let headers = std::mem::take(response.headers_mut());
    *response.headers_mut() = end_to_end(headers);
    Ok(response)
}

/// Without what concerns one connection alone.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    headers
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
