//! The policy server for development and tests: both RPCs from a rules file, with delays, errors and silence on demand.
//! Leaves out printing: what happens is told to a callback.

use crate::feedback::{Outcome, ResultReport};
use crate::rules::{Dialect, Rules, RulesError};
use crate::wire::scheduling_policy_service_server::{SchedulingPolicyService, SchedulingPolicyServiceServer};
use crate::wire::{ReportResponse, SchedulingPolicy, SchedulingPolicyRequest, SchedulingResult};
use aisched_model::Str;
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How often the rules file is read again.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// How long open connections may take to close at the end.
const GRACE: Duration = Duration::from_secs(1);
/// More unreported ids than this: the oldest are forgotten. The field's servers keep them for ever.
const MAX_UNREPORTED: usize = 100_000;

/// Why the server cannot serve.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The rules file is unusable at the start.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Serving broke off.
    #[error("the policy server broke off")]
    Broken(#[source] tonic::transport::Error),
}

/// Something that happened, to be shown.
#[derive(Debug)]
pub enum ServerEvent {
    /// A pod was asked about.
    Asked {
        /// The pod's namespace.
        namespace: Str,
        /// The pod's name.
        name: Str,
        /// The rule that matched: its name, or `rules[i]`; `None` when none did.
        rule: Option<String>,
    },
    /// The result of an answer was reported.
    Reported {
        /// What was reported.
        report: ResultReport,
        /// Whether the id is one of ours and was not reported before.
        is_known: bool,
    },
    /// The rules file changed and is in use.
    Reloaded {
        /// How many rules it has.
        n_rules: usize,
    },
    /// The rules file changed and is unusable; the last good rules stay in use.
    NotReloaded(RulesError),
}

type Listener = Arc<dyn Fn(ServerEvent) + Send + Sync>;

/// A policy server that listens and is ready to serve.
pub struct PolicyServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    rules_path: PathBuf,
    rules_text: String,
    rules: Rules,
    dialect: Dialect,
    on_event: Listener,
}

impl PolicyServer {
    /// Reads the rules and begins to listen; port 0 takes any free port.
    ///
    /// # Errors
    /// [`ServerError`] when the rules are unusable or the address is.
    pub async fn bind(listen: SocketAddr, rules_path: PathBuf, dialect: Dialect) -> Result<Self, ServerError> {
        let rules_text = read(&rules_path).await?;
        let rules = Rules::parse(&rules_text, &rules_path)?;
        let problem = |source| ServerError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(problem)?;
        let local_addr = listener.local_addr().map_err(problem)?;
        let on_event: Listener = Arc::new(|_| ());
        Ok(Self { listener, local_addr, rules_path, rules_text, rules, dialect, on_event })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many rules it begins with.
    #[must_use]
    pub fn n_rules(&self) -> usize {
        self.rules.len()
    }

    /// Tells `listener` what happens, from the server's tasks; it must return at once.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(ServerEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(listener);
        self
    }

    /// Serves until `shutdown` ends, reading the rules file again each second.
    ///
    /// # Errors
    /// [`ServerError::Broken`] when serving breaks off.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let (rules, rules_in_use) = watch::channel(Arc::new(self.rules));
        let (stop, stopped) = watch::channel(false);
        let service = Service {
            rules: rules_in_use,
            dialect: self.dialect,
            on_event: self.on_event.clone(),
            stopped: stopped.clone(),
            ids: Ids::new(),
        };
        let serving = Server::builder()
            .add_service(SchedulingPolicyServiceServer::new(service))
            .serve_with_incoming_shutdown(TcpIncoming::from(self.listener), until(stopped));
        tokio::pin!(serving);
        let watched = RulesFile { path: self.rules_path, text: self.rules_text, rules, on_event: self.on_event };
        tokio::select! {
            result = &mut serving => return result.map_err(ServerError::Broken),
            () = watched.reload_for_ever() => {}
            () = shutdown => {}
        }
        let _ = stop.send(true);
        // Connections that do not close in time are cut when this returns.
        timeout(GRACE, serving).await.unwrap_or(Ok(())).map_err(ServerError::Broken)
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

async fn read(path: &PathBuf) -> Result<String, RulesError> {
    let unreadable = |source| RulesError::Unreadable { path: path.clone(), source };
    tokio::fs::read_to_string(path).await.map_err(unreadable)
}

/// The rules file and what was read from it last.
struct RulesFile {
    path: PathBuf,
    text: String,
    rules: watch::Sender<Arc<Rules>>,
    on_event: Listener,
}

impl RulesFile {
    async fn reload_for_ever(mut self) {
        let mut ticks = interval(RELOAD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_problem = None;
        loop {
            ticks.tick().await;
            match self.reload().await {
                Ok(()) => last_problem = None,
                // A file that stays unreadable is told once.
                Err(problem) if last_problem.as_ref() == Some(&problem.to_string()) => {}
                Err(problem) => {
                    last_problem = Some(problem.to_string());
                    (self.on_event)(ServerEvent::NotReloaded(problem));
                }
            }
        }
    }

    /// Compares texts rather than times: a file may change twice within its time's resolution, and a mounted ConfigMap is a link.
    async fn reload(&mut self) -> Result<(), RulesError> {
        let text = read(&self.path).await?;
        if text == self.text {
            return Ok(());
        }
        let parsed = Rules::parse(&text, &self.path);
        self.text = text;
        let rules = parsed?;
        let n_rules = rules.len();
        self.rules.send_replace(Arc::new(rules));
        (self.on_event)(ServerEvent::Reloaded { n_rules });
        Ok(())
    }
}

/// Both RPCs.
struct Service {
    rules: watch::Receiver<Arc<Rules>>,
    dialect: Dialect,
    on_event: Listener,
    stopped: watch::Receiver<bool>,
    ids: Ids,
}

#[tonic::async_trait]
impl SchedulingPolicyService for Service {
    async fn get_scheduling_policy(&self, request: Request<SchedulingPolicyRequest>) -> Result<Response<SchedulingPolicy>, Status> {
        let pod = request.into_inner();
        let rules = self.rules.borrow().clone();
        let found = rules.find(&pod);
        (self.on_event)(ServerEvent::Asked {
            namespace: pod.pod_namespace.as_str().into(),
            name: pod.pod_name.as_str().into(),
            rule: found.map(|(i, rule)| rule.name.clone().unwrap_or_else(|| format!("rules[{i}]"))),
        });
        let Some((_, rule)) = found else {
            return Ok(Response::new(SchedulingPolicy {
                pod_name: pod.pod_name,
                pod_namespace: pod.pod_namespace,
                decision: crate::wire::SchedulingDecision::Allow.into(),
                reason: "no rule matches".to_owned(),
                ..SchedulingPolicy::default()
            }));
        };
        tokio::select! {
            () = sleep(rule.delay()) => {}
            () = until(self.stopped.clone()) => return Err(Status::unavailable("the policy server stops")),
        }
        if rule.silence {
            until(self.stopped.clone()).await;
            return Err(Status::unavailable("the policy server stops"));
        }
        if let Some(error) = &rule.error {
            return Err(Status::new(error.code, error.message.clone()));
        }
        let answer = rule.answer(&pod, self.dialect, self.ids.next(), now_seconds());
        self.ids.expect(answer.request_id.clone());
        Ok(Response::new(answer))
    }

    async fn report_scheduling_result(&self, request: Request<SchedulingResult>) -> Result<Response<ReportResponse>, Status> {
        let result = request.into_inner();
        let is_known = self.ids.report(&result.request_id);
        let message = match is_known {
            true => "Result recorded",
            false => "Request ID not found in cache",
        };
        let response = ReportResponse { success: is_known, message: message.to_owned(), request_id: result.request_id.clone() };
        (self.on_event)(ServerEvent::Reported { report: report(&result), is_known });
        Ok(Response::new(response))
    }
}

fn report(result: &SchedulingResult) -> ResultReport {
    let outcome = match result.success {
        true => Outcome::Bound(result.scheduled_node.as_str().into()),
        false => Outcome::Failed(result.failure_reason.as_str().into()),
    };
    ResultReport {
        request_id: result.request_id.as_str().into(),
        namespace: result.pod_namespace.as_str().into(),
        name: result.pod_name.as_str().into(),
        outcome,
        duration: Duration::from_millis(u64::try_from(result.scheduling_duration_ms).unwrap_or(0)),
    }
}

fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Request ids: given out, and not reported yet.
struct Ids {
    /// Tells two runs of the server apart.
    run: u128,
    last: AtomicU64,
    unreported: Mutex<Unreported>,
}

#[derive(Default)]
struct Unreported {
    ids: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Ids {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { run: since.as_micros(), last: AtomicU64::new(0), unreported: Mutex::default() }
    }

    fn next(&self) -> String {
        format!("{:x}-{}", self.run, self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn expect(&self, id: String) {
        let mut unreported = self.lock();
        if id.is_empty() || !unreported.ids.insert(id.clone()) {
            return;
        }
        unreported.in_order.push_back(id);
        if unreported.in_order.len() > MAX_UNREPORTED
            && let Some(oldest) = unreported.in_order.pop_front()
        {
            unreported.ids.remove(&oldest);
        }
    }

    fn report(&self, id: &str) -> bool {
        self.lock().ids.remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, Unreported> {
        self.unreported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
