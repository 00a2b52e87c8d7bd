//! A scripted APOLLO over in-memory connections: tonic's client and server with nothing between them but a pipe.
//! Leaves out TCP and TLS, whose readiness virtual time cannot see.

use crate::Subject;
use aisched_apollo::endpoint::{Dial, Target};
use aisched_apollo::wire::scheduling_policy_service_server::{SchedulingPolicyService, SchedulingPolicyServiceServer};
use aisched_apollo::wire::{ReportResponse, SchedulingPolicy, SchedulingPolicyRequest, SchedulingResult, StorageRequirements};
use aisched_apollo::{ClientConfig, PolicyClient};
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

/// What the server does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A policy with id `r-<how many were asked>`.
    Policy,
    /// The same, after a while.
    Later(Duration),
    /// The engine's way to say that it failed inside.
    Empty,
    /// Exactly this.
    Exactly(Box<SchedulingPolicy>),
    /// A gRPC error.
    Fail,
    /// Nothing, ever.
    Never,
}

/// A server and what it was asked and told.
#[derive(Clone)]
pub(crate) struct Fake {
    shared: Arc<Shared>,
    connections: UnboundedSender<DuplexStream>,
}

struct Shared {
    prefix: &'static str,
    reply: Mutex<Reply>,
    accepts_reports: Mutex<bool>,
    asked: Mutex<Vec<SchedulingPolicyRequest>>,
    reports: Mutex<Vec<SchedulingResult>>,
    now: Mutex<Load>,
}

/// Calls at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    now: usize,
    most: usize,
}

impl Fake {
    pub(crate) fn start(reply: Reply) -> Self {
        Self::with_ids("r", reply)
    }

    /// A server whose request ids begin with `prefix`.
    pub(crate) fn with_ids(prefix: &'static str, reply: Reply) -> Self {
        let shared = Arc::new(Shared {
            prefix,
            reply: Mutex::new(reply),
            accepts_reports: Mutex::new(true),
            asked: Mutex::default(),
            reports: Mutex::default(),
            now: Mutex::default(),
        });
        let (connections, mut accepted) = unbounded_channel();
        let fake = Self { shared, connections };
        let incoming = futures::stream::poll_fn(move |context| accepted.poll_recv(context)).map(Ok::<_, Infallible>);
        tokio::spawn(Server::builder().add_service(fake.service()).serve_with_incoming(incoming));
        fake
    }

    /// The same server for a transport of the caller's.
    pub(crate) fn service(&self) -> SchedulingPolicyServiceServer<Rpc> {
        SchedulingPolicyServiceServer::new(Rpc(self.shared.clone()))
    }

    pub(crate) fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    pub(crate) fn refuse_reports(&self) {
        *self.shared.accepts_reports.lock().unwrap() = false;
    }

    pub(crate) fn n_asked(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    pub(crate) fn last_asked(&self) -> SchedulingPolicyRequest {
        self.shared.asked.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn most_at_a_time(&self) -> usize {
        self.shared.now.lock().unwrap().most
    }

    /// `<id> ok` or `<id> failed` of each report, in order.
    pub(crate) fn reports(&self) -> Vec<String> {
        let reports = self.shared.reports.lock().unwrap();
        let word = |success| if success { "ok" } else { "failed" };
        reports.iter().map(|r| format!("{} {}", r.request_id, word(r.success))).collect()
    }
}

/// A client that reaches each fake at `<name>:1`.
pub(crate) fn subject<const N: usize>(config: ClientConfig, fakes: [(&'static str, &Fake); N]) -> Subject {
    let pipes: BTreeMap<&str, _> = fakes.map(|(name, fake)| (name, fake.connections.clone())).into();
    let dial: Dial = Arc::new(move |target, _, _| {
        let Target::Plaintext(uri) = target else { panic!("{target:?} is not in memory") };
        let pipe = pipes[uri.host().unwrap()].clone();
        let connector = tower::service_fn(move |_| {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            pipe.send(theirs).unwrap();
            async { Ok::<_, Infallible>(TokioIo::new(ours)) }
        });
        let channel = Endpoint::from(uri).connect_with_connector_lazy(connector);
        Box::pin(async { Ok(channel) })
    });
    let (sender, answers) = unbounded_channel();
    Subject { client: PolicyClient::with_dial(config, sender, dial), answers }
}

/// The default configuration with the fake called `apollo`.
pub(crate) fn config() -> ClientConfig {
    ClientConfig { endpoint: "apollo:1".into(), ..ClientConfig::default() }
}

/// A policy of this id, for whatever pod.
pub(crate) fn policy(id: &str) -> SchedulingPolicy {
    SchedulingPolicy {
        request_id: id.into(),
        storage_requirements: Some(StorageRequirements { min_iops: 5000, ..StorageRequirements::default() }),
        ..SchedulingPolicy::default()
    }
}

/// The service behind a [`Fake`].
pub(crate) struct Rpc(Arc<Shared>);

#[tonic::async_trait]
impl SchedulingPolicyService for Rpc {
    async fn get_scheduling_policy(&self, request: Request<SchedulingPolicyRequest>) -> Result<Response<SchedulingPolicy>, Status> {
        let id = {
            let mut asked = self.0.asked.lock().unwrap();
            asked.push(request.into_inner());
            format!("{}-{}", self.0.prefix, asked.len())
        };
        let _one = One::new(&self.0);
        let reply = self.0.reply.lock().unwrap().clone();
        match reply {
            Reply::Policy => Ok(Response::new(policy(&id))),
            Reply::Later(after) => {
                tokio::time::sleep(after).await;
                Ok(Response::new(policy(&id)))
            }
            Reply::Empty => Ok(Response::new(SchedulingPolicy {
                request_id: id,
                decision: 1,
                reason: "Fallback policy due to error: boom".into(),
                ..SchedulingPolicy::default()
            })),
            Reply::Exactly(answer) => Ok(Response::new(*answer)),
            Reply::Fail => Err(Status::internal("boom")),
            Reply::Never => std::future::pending().await,
        }
    }

    async fn report_scheduling_result(&self, request: Request<SchedulingResult>) -> Result<Response<ReportResponse>, Status> {
        self.0.reports.lock().unwrap().push(request.into_inner());
        let success = *self.0.accepts_reports.lock().unwrap();
        Ok(Response::new(ReportResponse { success, ..ReportResponse::default() }))
    }
}

/// Counts one call while it is under way.
struct One<'a>(&'a Shared);

impl<'a> One<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut load = shared.now.lock().unwrap();
        load.now += 1;
        load.most = load.most.max(load.now);
        Self(shared)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.now.lock().unwrap().now -= 1;
    }
}
