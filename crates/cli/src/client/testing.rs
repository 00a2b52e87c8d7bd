//! A real server of the decision API, in front of a real engine that has placed an example's pods; for tests.
//! Lets whoever has the token `admin` in.

use crate::run::analyst::Analyst;
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, BindOutcome, Event};
use aisched_core::profile::Profile;
use aisched_http::{Access, Allowed, Authorizer, Backend, CertificateSource, Feed, Metrics, Options, answer, serve};
use aisched_model::config::Config;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Holds the certificate.
    pub(crate) dir: TempDir,
}

struct Doorman;

impl Authorizer for Doorman {
    fn allowed<'a>(&'a self, token: Option<&'a str>, _verb: &'a str, _path: &'a str) -> Allowed<'a> {
        Box::pin(async move {
            Ok(match token {
                Some("admin") => Access::Allowed,
                Some("guest") | None => Access::Forbidden,
                Some(_) => Access::Unauthenticated,
            })
        })
    }
}

impl Server {
    /// On a free port, with a certificate of its own.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new((Ipv4Addr::LOCALHOST, 0).into(), CertificateSource::SelfSigned { dir: Some(dir.path().into()) });
        let (queries, mut asked) = mpsc::channel(16);
        let backend = Backend {
            queries,
            metrics: Arc::new(Metrics::default()),
            authorizer: Arc::new(Doorman),
            before_scrape: None,
            lease_fault: None,
            leader: None,
            feed: Feed::default(),
            analyst: Arc::new(Analyst { config: "keti/default".into(), verdict: watch::channel(None).1 }),
        };
        let server = serve(options, backend, std::future::pending()).await.unwrap();
        let engine = engine();
        tokio::spawn(async move {
            while let Some(query) = asked.recv().await {
                answer(query, &engine, 0, || serde_json::Value::Null);
            }
        });
        Self { address: server.address(), dir }
    }

    /// The flags that lead to it safely.
    pub(crate) fn flags(&self) -> [String; 4] {
        let certificate = self.dir.path().join("ai-storage-scheduler.crt").display().to_string();
        ["--server".into(), format!("https://{}", self.address), "--certificate-authority".into(), certificate]
    }
}

fn engine() -> Engine {
    let mut engine = Engine::new(vec![Profile::ai_storage("ai-storage-scheduler")], EngineOptions::default());
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    engine.handle(0, Event::Configured(Arc::new(config)));
    let text = include_str!("../../../../examples/simulate/gpus-and-affinity.yaml");
    for object in aisched_kube::documents::parse_documents(text, "example").unwrap() {
        object.into_event().into_iter().for_each(|event| engine.handle(0, event));
    }
    engine.handle(0, Event::Synced);
    while engine.next_poll(0) == Some(0) {
        for action in engine.poll(0) {
            if let Action::Bind { pod, node, .. } = action {
                engine.handle(0, Event::BindEnded { pod, node, outcome: BindOutcome::Bound });
            }
        }
    }
    engine
}
