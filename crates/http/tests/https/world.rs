//! A server on a free port, the loop behind it, and a client that trusts its certificate.
//! Leaves out what is tested.

use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, BindOutcome, Event};
use aisched_core::profile::{Profile, Weight};
use aisched_core::view::View;
use aisched_http::{
    Access, Allowed, Analyst, AuthError, Authorizer, Backend, CertificateSource, Feed, LeaseFault, Limits, Metrics, Options, Query,
    ScrapeHook, Server, answer, serve,
};
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodSpec};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Lets `admin` in; knows `guest`; without a token only `/metrics` is open; `down` finds no API server.
#[derive(Default)]
pub(crate) struct Doorman {
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Authorizer for Doorman {
    fn allowed<'a>(&'a self, token: Option<&'a str>, verb: &'a str, path: &'a str) -> Allowed<'a> {
        self.asked.lock().unwrap().push(format!("{} {verb} {path}", token.unwrap_or("-")));
        Box::pin(async move {
            match token {
                Some("admin") => Ok(Access::Allowed),
                Some("down") => Err(AuthError("connection refused".into())),
                Some("guest") | None => Ok(Access::Forbidden),
                Some(_) => Ok(Access::Unauthenticated),
            }
        })
    }
}

/// Says what it was given.
pub(crate) struct Parrot;

impl Analyst for Parrot {
    fn config(&self, view: &View) -> Value {
        json!({"generation": view.config.generation})
    }

    fn snapshot(&self, view: &View) -> String {
        format!("nodes: {}\n", view.snapshot.nodes.len())
    }

    fn what_if(&self, _: &View, request: Value, wanted: &dyn Fn() -> bool) -> Result<Value, String> {
        assert!(wanted());
        if request["set"].is_null() { Err("set: expected something".into()) } else { Ok(request) }
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) doorman: Arc<Doorman>,
    pub(crate) metrics: Arc<Metrics>,
    /// What is wrong with the lease.
    pub(crate) lease: Arc<Mutex<Option<String>>>,
    /// Who leads instead.
    pub(crate) leader: Arc<Mutex<Option<String>>>,
    pub(crate) feed: Feed,
    pub(crate) dir: TempDir,
    server: Server,
    stop: oneshot::Sender<()>,
}

impl World {
    /// In front of this engine, whose loop answers at once.
    pub(crate) async fn with(engine: Engine) -> Self {
        let (queries, mut asked) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(query) = asked.recv().await {
                answer(query, &engine, 1000, || serde_json::json!({"calls": 3}));
            }
        });
        Self::serving(queries, Limits::default()).await
    }

    /// In front of a loop that the test plays.
    pub(crate) async fn played(limits: Limits) -> (Self, mpsc::Receiver<Query>) {
        let (queries, asked) = mpsc::channel(16);
        (Self::serving(queries, limits).await, asked)
    }

    async fn serving(queries: mpsc::Sender<Query>, limits: Limits) -> Self {
        let (doorman, metrics, dir) = (Arc::<Doorman>::default(), Arc::<Metrics>::default(), tempfile::tempdir().unwrap());
        let mut options = options(CertificateSource::SelfSigned { dir: Some(dir.path().into()) });
        options.limits = limits;
        let before_scrape: Option<ScrapeHook> = Some(Arc::new(|metrics| metrics.set_events_dropped(7)));
        let lease = Arc::<Mutex<Option<String>>>::default();
        let said = lease.clone();
        let lease_fault: Option<LeaseFault> = Some(Arc::new(move || said.lock().unwrap().clone()));
        let (leader, feed) = (Arc::<Mutex<Option<String>>>::default(), Feed::default());
        let told = leader.clone();
        let backend = Backend {
            queries,
            metrics: metrics.clone(),
            authorizer: doorman.clone(),
            before_scrape,
            lease_fault,
            leader: Some(Arc::new(move || told.lock().unwrap().clone())),
            feed: feed.clone(),
            analyst: Arc::new(Parrot),
        };
        let (stop, stopping) = oneshot::channel::<()>();
        let server = serve(options, backend, async move { drop(stopping.await) }).await.unwrap();
        Self { address: server.address(), doorman, metrics, lease, leader, feed, dir, server, stop }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("ai-storage-scheduler.crt")
    }

    pub(crate) async fn connect(&self) -> SendRequest<Body> {
        speak(connect(self.address, &self.certificate(), rustls::ALL_VERSIONS).await).await
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, token, Body::empty()).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Answer {
        self.get(path, Some("admin")).await
    }

    pub(crate) async fn post(&self, path: &str, json: &'static str) -> Answer {
        let request =
            Request::builder().method(Method::POST).uri(path).header("host", "localhost").header("content-type", "application/json");
        let request = request.header(AUTHORIZATION, "Bearer admin").body(Body::from(json)).unwrap();
        answered(self.connect().await.send_request(request).await.unwrap()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        answered(self.connect().await.send_request(request.body(body).unwrap()).await.unwrap()).await
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.server.stopped().await;
    }
}

async fn answered(response: hyper::Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Status and the text of the error.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn options(certificate: CertificateSource) -> Options {
    Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), certificate)
}

/// A backend that nobody calls.
pub(crate) fn idle_backend() -> Backend {
    Backend {
        queries: mpsc::channel(1).0,
        metrics: Arc::default(),
        authorizer: Arc::<Doorman>::default(),
        before_scrape: None,
        lease_fault: None,
        leader: None,
        feed: Feed::default(),
        analyst: Arc::new(Parrot),
    }
}

/// A TLS connection to `localhost` that trusts the certificate in a file and no other.
pub(crate) async fn connect(address: SocketAddr, cert: &Path, versions: &[&'static SupportedProtocolVersion]) -> TlsStream<TcpStream> {
    try_connect(address, &CertificateDer::from_pem_file(cert).unwrap(), versions).await.unwrap()
}

pub(crate) async fn try_connect(
    address: SocketAddr,
    cert: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<TlsStream<TcpStream>> {
    open(address, cert, versions, &[]).await
}

/// `alpn`: the protocols that the client offers.
pub(crate) async fn open(
    address: SocketAddr,
    cert: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let mut config = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await
}

pub(crate) async fn speak(stream: TlsStream<TcpStream>) -> SendRequest<Body> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An engine of two nodes, one of them with facts, that has placed `default/placed`, refused `default/waiting`, placed
/// `other/elsewhere`, and seen another scheduler's `kube-system/foreign` on a node.
pub(crate) fn engine() -> Engine {
    let profile = Profile::of("ai-storage-scheduler", [("NodeAffinity", Weight::Fixed(1)), ("StorageTierAware", Weight::Fixed(3))]);
    let mut engine = Engine::new(vec![profile], EngineOptions::default());
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    engine.handle(0, Event::Configured(Arc::new(config)));
    for (name, iops) in [("node-a", None), ("node-b", Some(1000))] {
        let labels = [("kubernetes.io/hostname", name)].into();
        let mut node = Node { name: name.into(), labels, ..Node::default() };
        node.storage.iops = iops;
        engine.handle(0, Event::NodeSet(Arc::new(node), Vec::new()));
    }
    engine.handle(0, Event::PodSet(pod("kube-system", "foreign", "default-scheduler", Some("node-a"), None)));
    engine.handle(0, Event::Synced);
    let ours = "ai-storage-scheduler";
    engine.handle(0, Event::PodSet(pod("default", "placed", ours, None, None)));
    engine.handle(0, Event::PodSet(pod("default", "waiting", ours, None, Some("node-z"))));
    engine.handle(0, Event::PodSet(pod("other", "elsewhere", ours, None, Some("node-b"))));
    while engine.next_poll(0).is_some_and(|at| at == 0) {
        for action in engine.poll(0) {
            if let Action::Bind { pod, node, .. } = action {
                engine.handle(0, Event::BindEnded { pod, node, outcome: BindOutcome::Bound });
            }
        }
    }
    engine
}

/// A pod; `wanted` is the node that its node selector names.
pub(crate) fn pod(namespace: &str, name: &str, scheduler: &str, node: Option<&str>, wanted: Option<&str>) -> Arc<Pod> {
    let mut spec = PodSpec { scheduler_name: scheduler.into(), ..PodSpec::default() };
    if let Some(wanted) = wanted {
        spec.node_selector = [("kubernetes.io/hostname", wanted)].into();
    }
    Arc::new(Pod {
        uid: format!("uid-{name}").into(),
        namespace: namespace.into(),
        name: name.into(),
        spec: Arc::new(spec),
        node: node.map(Into::into),
        ..Pod::default()
    })
}
