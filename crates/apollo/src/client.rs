//! Asks APOLLO for policies off the scheduling path: cache, breaker, queues and calls behind a handle that never blocks.
//! Leaves out what waits for an answer and for how long, and logging: the event loop's.

use crate::breaker::{Breaker, FAILURES_TO_OPEN, Pass};
use crate::cache::Cache;
use crate::decode::{Decoded, NoPolicy, decode};
use crate::endpoint::{Dial, Target, TlsFiles, tcp};
use crate::feedback::{Feedback, Outgoing, ResultReport};
use crate::link::{CallError, Link, chain};
use crate::stats::Stats;
use crate::wire::SchedulingPolicyRequest;
use aisched_model::Str;
use aisched_model::policy::{Policy, PolicySource};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

/// More pods than this do not wait for a call: the next ones fall back at once.
const MAX_WAITING: usize = 100_000;
/// A copy of the whole manifest that `kubectl apply` leaves on objects. It says nothing that the pod does not, is large, and the
/// engine takes words inside it (`constraints`, `latest`) for stages; so it is not sent.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How to reach APOLLO and how long to rely on it (`spec.apollo` and the environment).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// `host:port`, `https://host:port`, or nothing for no APOLLO.
    pub endpoint: String,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// How long an answer is fresh.
    pub cache_expiry: Duration,
    /// How long a connection may take to open; also the breaker's longest pause.
    pub connection_timeout: Duration,
    /// How long a call may take.
    pub request_timeout: Duration,
    /// Most calls at a time, and most reports at a time.
    pub max_in_flight: usize,
}

impl Default for ClientConfig {
    /// The defaults of `spec.apollo`, with APOLLO switched off.
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            tls: TlsFiles::default(),
            cache_expiry: Duration::from_secs(30),
            connection_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_millis(2000),
            max_in_flight: 64,
        }
    }
}

/// A question about one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRequest {
    /// The pod's UID.
    pub uid: Str,
    /// The pod's namespace.
    pub namespace: Str,
    /// The pod's name.
    pub name: Str,
    /// The pod's labels.
    pub labels: Vec<(Str, Str)>,
    /// The pod's annotations.
    pub annotations: Vec<(Str, Str)>,
    /// The images of its containers.
    pub images: Vec<Str>,
}

/// One resolution of a pod's policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyAnswer {
    /// The pod's UID.
    pub uid: Str,
    /// Where the policy, or the lack of one, came from.
    pub source: PolicySource,
    /// The policy; `None` exactly when the source is [`PolicySource::Fallback`].
    pub policy: Option<Arc<Policy>>,
    /// Names the server's answer, to be reported; there may be one without a policy.
    pub request_id: Option<Str>,
    /// Why there is no fresh answer, for logs and explanations; `None` for fresh answers and for fresh entries of the cache.
    pub error: Option<String>,
}

/// A handle on the client; clones share it. Its methods return at once.
#[derive(Clone)]
pub struct PolicyClient {
    inner: Arc<Inner>,
}

struct Inner {
    answers: UnboundedSender<PolicyAnswer>,
    dial: Dial,
    state: Mutex<State>,
    reports_in_flight: watch::Sender<usize>,
}

struct State {
    config: ClientConfig,
    /// Why the configured endpoint cannot be used; then the link's target is off.
    endpoint_error: Option<String>,
    link: Arc<Link>,
    breaker: Breaker,
    cache: Cache,
    calls: HashMap<Str, Call>,
    /// Pods that wait for a call to end, first come first served.
    waiting: BTreeMap<u64, Arc<PolicyRequest>>,
    waiting_by_pod: HashMap<Str, u64>,
    next_id: u64,
    feedback: Feedback,
    stats: Stats,
}

/// A call under way.
struct Call {
    id: u64,
    request: Arc<PolicyRequest>,
    pass: Pass,
    began: Instant,
    /// The pod is gone; the answer is for nobody.
    is_forgotten: bool,
}

/// How a call ended.
enum Ending {
    Policy(Box<Decoded>),
    NoPolicy(NoPolicy),
    Failed(CallError),
}

impl PolicyClient {
    /// A client that sends each resolution to `answers`. An endpoint that cannot be read makes every pod fall back and say why.
    ///
    /// Its methods must be called within a tokio runtime.
    #[must_use]
    pub fn new(config: ClientConfig, answers: UnboundedSender<PolicyAnswer>) -> Self {
        Self::with_dial(config, answers, tcp())
    }

    /// A client that reaches its server by connections of the caller's making.
    #[must_use]
    pub fn with_dial(config: ClientConfig, answers: UnboundedSender<PolicyAnswer>, dial: Dial) -> Self {
        let (link, endpoint_error) = link(&config, &dial);
        let state = State {
            config,
            endpoint_error,
            link,
            breaker: Breaker::new(),
            cache: Cache::default(),
            calls: HashMap::new(),
            waiting: BTreeMap::new(),
            waiting_by_pod: HashMap::new(),
            next_id: 0,
            feedback: Feedback::default(),
            stats: Stats::default(),
        };
        let inner = Inner { answers, dial, state: Mutex::new(state), reports_in_flight: watch::Sender::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Asks for a pod's policy. One [`PolicyAnswer`] follows, at once when the cache or the breaker decides it; while a pod's call is
    /// under way, further requests for it share that call's answer.
    pub fn request(&self, request: PolicyRequest) {
        let mut state = self.inner.lock();
        self.inner.resolve(&mut state, Arc::new(request));
    }

    /// Drops what is kept of a pod that was bound or deleted. Answers for it that were not reported are reported as failed, so report
    /// a bound pod before forgetting it.
    pub fn forget(&self, uid: &str) {
        let mut state = self.inner.lock();
        state.cache.remove(uid);
        if let Some(id) = state.waiting_by_pod.remove(uid) {
            state.waiting.remove(&id);
        }
        if let Some(call) = state.calls.get_mut(uid) {
            call.is_forgotten = true;
        }
        state.feedback.forget(uid);
        self.inner.send_reports(&mut state);
    }

    /// Reports what became of an answer, once per request id, however often it is called.
    pub fn report(&self, report: ResultReport) {
        let mut state = self.inner.lock();
        let link = state.link.clone();
        state.feedback.report(report, &link);
        self.inner.send_reports(&mut state);
    }

    /// Takes a new configuration into use. Another server starts with an empty cache and a closed breaker, and is asked again for
    /// the pods whose calls are under way.
    pub fn reconfigure(&self, config: ClientConfig) {
        let mut state = self.inner.lock();
        if config == state.config {
            return;
        }
        let is_same_server = config.endpoint == state.config.endpoint && config.tls == state.config.tls;
        if !is_same_server || config.connection_timeout != state.config.connection_timeout {
            (state.link, state.endpoint_error) = link(&config, &self.inner.dial);
        }
        state.config = config;
        if !is_same_server {
            state.breaker = Breaker::new();
            state.cache.clear();
            let mut calls: Vec<Call> = state.calls.drain().map(|(_, call)| call).collect();
            calls.sort_by_key(|call| call.id);
            for call in calls.into_iter().filter(|call| !call.is_forgotten) {
                self.inner.resolve(&mut state, call.request);
            }
        }
        self.inner.begin_waiting(&mut state);
        self.inner.send_reports(&mut state);
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.inner.lock();
        Stats {
            reports: state.feedback.counts,
            breaker: state.breaker.state(),
            n_cached: state.cache.len(),
            n_in_flight: state.calls.len(),
            n_waiting: state.waiting.len(),
            n_reports_waiting: state.feedback.n_waiting(),
            ..state.stats.clone()
        }
    }

    /// Waits until every report was sent and answered or given up; for a tidy exit, under a time limit of the caller's.
    pub async fn flushed(&self) {
        let mut in_flight = self.inner.reports_in_flight.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = in_flight.wait_for(|n| *n == 0).await;
    }
}

/// The link that a configuration means, and why it is none if its endpoint cannot be read.
fn link(config: &ClientConfig, dial: &Dial) -> (Arc<Link>, Option<String>) {
    let (target, error) = match Target::parse(&config.endpoint) {
        Ok(target) => (target, None),
        Err(error) => (Target::Off, Some(chain(&error))),
    };
    let link = Link::new(target, config.tls.clone(), config.connection_timeout, dial.clone());
    (Arc::new(link), error)
}

impl Inner {
    /// No method panics while it holds the lock, and each leaves the state whole; a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request from the cache, lets it share a call, begins one, or falls back.
    fn resolve(self: &Arc<Self>, state: &mut State, request: Arc<PolicyRequest>) {
        let now = Instant::now();
        if let Some(call) = state.calls.get_mut(&request.uid) {
            call.is_forgotten = false;
            return;
        }
        if state.waiting_by_pod.contains_key(&request.uid) {
            return;
        }
        if let Some(policy) = state.cache.fresh(&request.uid, now, state.config.cache_expiry) {
            self.answer(state, &request.uid, PolicySource::Cache, Some(policy), None);
        } else if state.link.target == Target::Off {
            let error = state.endpoint_error.clone();
            let error = error.unwrap_or_else(|| "APOLLO is switched off: its endpoint is empty".to_owned());
            self.answer(state, &request.uid, PolicySource::Fallback, None, Some(error));
        } else if !state.breaker.would_admit(now) {
            self.refuse(state, &request.uid, now);
        } else if state.calls.len() < state.config.max_in_flight.max(1) {
            self.begin(state, request, now);
        } else if state.waiting.len() < MAX_WAITING {
            let id = state.next_id();
            state.waiting_by_pod.insert(request.uid.clone(), id);
            state.waiting.insert(id, request);
        } else {
            state.stats.calls.not_made_overflow += 1;
            let error = format!("{MAX_WAITING} pods wait for APOLLO already");
            self.unanswered(state, &request.uid, now, error);
        }
    }

    /// Begins calls for pods that waited, or lets them go when the breaker opened meanwhile.
    fn begin_waiting(self: &Arc<Self>, state: &mut State) {
        while state.calls.len() < state.config.max_in_flight.max(1) {
            let Some((_, request)) = state.waiting.pop_first() else {
                return;
            };
            state.waiting_by_pod.remove(&request.uid);
            self.resolve(state, request);
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, request: Arc<PolicyRequest>, now: Instant) {
        let Some(pass) = state.breaker.admit(now) else {
            return self.refuse(state, &request.uid, now);
        };
        let call = Call { id: state.next_id(), request: request.clone(), pass, began: now, is_forgotten: false };
        let under_way = UnderWay { inner: self.clone(), request: request.clone(), id: call.id, link: state.link.clone(), is_ended: false };
        let deadline = state.config.request_timeout;
        state.calls.insert(request.uid.clone(), call);
        tokio::spawn(async move {
            let sent = under_way.link.policy(message(&request), deadline).await;
            under_way.end(match sent {
                Err(error) => Ending::Failed(error),
                Ok(sent) => match decode(sent, &request.namespace, &request.name) {
                    Ok(decoded) => Ending::Policy(Box::new(decoded)),
                    Err(no_policy) => Ending::NoPolicy(no_policy),
                },
            });
        });
    }

    fn end(self: &Arc<Self>, under_way: &UnderWay, ending: Ending) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let uid = &under_way.request.uid;
        let link = &under_way.link;
        let is_awaited = (state.calls.get(uid)).is_some_and(|call| call.id == under_way.id);
        let call = if is_awaited { state.calls.remove(uid) } else { None };
        let Some(call) = call else {
            // Another server is asked instead; this answer is for nobody.
            if let Some(id) = ending.request_id() {
                state.feedback.unused(&under_way.request, id, link);
                self.send_reports(state);
            }
            return;
        };
        let now = Instant::now();
        state.stats.latency.record(now.duration_since(call.began));
        match ending {
            Ending::Policy(decoded) => self.end_well(state, call, link, *decoded, now),
            Ending::NoPolicy(error @ NoPolicy::Empty { .. }) => self.end_empty(state, call, link, error),
            Ending::NoPolicy(error @ NoPolicy::OtherPod { .. }) => {
                state.stats.calls.other_pod += 1;
                self.end_badly(state, &call, now, chain(&error));
            }
            Ending::Failed(error) => {
                match error {
                    CallError::Deadline(_) => state.stats.calls.deadline += 1,
                    CallError::Endpoint(_) | CallError::Refused { .. } | CallError::Broken(_) | CallError::GivenUp => {
                        state.stats.calls.failed += 1
                    }
                }
                self.end_badly(state, &call, now, chain(&error));
            }
        }
        self.begin_waiting(state);
        self.send_reports(state);
    }

    fn end_well(&self, state: &mut State, call: Call, link: &Arc<Link>, decoded: Decoded, now: Instant) {
        state.breaker.succeeded();
        state.stats.calls.policies += 1;
        state.stats.oddities.add(decoded.oddities);
        let policy = Arc::new(decoded.policy);
        state.answered(&call, policy.request_id.as_ref(), link);
        if !call.is_forgotten {
            state.cache.insert(call.request.uid.clone(), policy.clone(), now);
            self.answer(state, &call.request.uid, PolicySource::Success, Some(policy), None);
        }
    }

    /// The server is well enough to say that it is not: no reason to stop asking.
    fn end_empty(&self, state: &mut State, call: Call, link: &Arc<Link>, error: NoPolicy) {
        state.breaker.succeeded();
        state.stats.calls.empty += 1;
        let text = chain(&error);
        let request_id = match error {
            NoPolicy::Empty { request_id, .. } => request_id,
            NoPolicy::OtherPod { .. } => None,
        };
        state.answered(&call, request_id.as_ref(), link);
        if !call.is_forgotten {
            state.stats.sources.fallback += 1;
            self.send(PolicyAnswer {
                uid: call.request.uid.clone(),
                source: PolicySource::Fallback,
                policy: None,
                request_id,
                error: Some(text),
            });
        }
    }

    fn end_badly(&self, state: &mut State, call: &Call, now: Instant, error: String) {
        let longest = state.config.connection_timeout;
        if state.breaker.failed(call.pass, now, longest) {
            // The next probe dials anew: a black-holed connection would fail it, and certificates may have been renewed.
            state.link = Arc::new(state.link.renewed());
        }
        if !call.is_forgotten {
            self.unanswered(state, &call.request.uid, now, error);
        }
    }

    fn refuse(&self, state: &mut State, uid: &Str, now: Instant) {
        state.stats.calls.not_made_breaker += 1;
        let error = format!("APOLLO is not asked for a while: {FAILURES_TO_OPEN} calls in a row failed, or a probe after them did");
        self.unanswered(state, uid, now, error);
    }

    /// A call failed or was not made: an expired answer is better than none.
    fn unanswered(&self, state: &mut State, uid: &Str, now: Instant, error: String) {
        let stale = state.cache.stale(uid, now, state.config.cache_expiry);
        let source = match stale {
            Some(_) => PolicySource::Cache,
            None => PolicySource::Fallback,
        };
        self.answer(state, uid, source, stale, Some(error));
    }

    fn answer(&self, state: &mut State, uid: &Str, source: PolicySource, policy: Option<Arc<Policy>>, error: Option<String>) {
        match source {
            PolicySource::Success => state.stats.sources.success += 1,
            PolicySource::Cache => state.stats.sources.cache += 1,
            PolicySource::Fallback => state.stats.sources.fallback += 1,
        }
        self.send(PolicyAnswer {
            uid: uid.clone(),
            source,
            request_id: policy.as_ref().and_then(|policy| policy.request_id.clone()),
            policy,
            error,
        });
    }

    fn send(&self, answer: PolicyAnswer) {
        // Nobody listens any more: the scheduler is going down.
        let _ = self.answers.send(answer);
    }

    /// Begins reports while there are some and not too many are under way.
    fn send_reports(self: &Arc<Self>, state: &mut State) {
        while *self.reports_in_flight.borrow() < state.config.max_in_flight.max(1) {
            let Some(first) = state.feedback.next() else {
                return;
            };
            self.reports_in_flight.send_modify(|n| *n += 1);
            tokio::spawn(self.clone().send_one_after_another(first));
        }
    }

    async fn send_one_after_another(self: Arc<Self>, first: Outgoing) {
        let mut next = Some(first);
        while let Some((message, link)) = next {
            let deadline = self.lock().config.request_timeout;
            let result = link.report(message, deadline).await;
            let mut state = self.lock();
            let counts = &mut state.feedback.counts;
            match result {
                Ok(response) if response.success => counts.accepted += 1,
                Ok(_) => counts.rejected += 1,
                Err(_) => counts.failed += 1,
            }
            let most = state.config.max_in_flight.max(1);
            let is_one_too_many = *self.reports_in_flight.borrow() > most;
            next = if is_one_too_many { None } else { state.feedback.next() };
            if next.is_none() {
                self.reports_in_flight.send_modify(|n| *n -= 1);
            }
        }
    }
}

impl Ending {
    fn request_id(&self) -> Option<&Str> {
        match self {
            Self::Policy(decoded) => decoded.policy.request_id.as_ref(),
            Self::NoPolicy(NoPolicy::Empty { request_id, .. }) => request_id.as_ref(),
            Self::NoPolicy(NoPolicy::OtherPod { .. }) | Self::Failed(_) => None,
        }
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The server keeps an entry for this answer; if the pod is gone, it is told at once.
    fn answered(&mut self, call: &Call, request_id: Option<&Str>, link: &Arc<Link>) {
        match request_id {
            None => {}
            Some(id) if call.is_forgotten => self.feedback.unused(&call.request, id, link),
            Some(id) => self.feedback.answered(&call.request, id, link),
        }
    }
}

/// A call's task. Should it panic, its call ends all the same, so that no pod's call is under way for ever.
struct UnderWay {
    inner: Arc<Inner>,
    request: Arc<PolicyRequest>,
    id: u64,
    link: Arc<Link>,
    is_ended: bool,
}

impl UnderWay {
    fn end(mut self, ending: Ending) {
        self.is_ended = true;
        self.inner.end(&self, ending);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Dropped otherwise, the runtime goes down: nothing may be begun then.
        if !self.is_ended && std::thread::panicking() {
            self.inner.end(self, Ending::Failed(CallError::GivenUp));
        }
    }
}

fn message(request: &PolicyRequest) -> SchedulingPolicyRequest {
    let map = |pairs: &[(Str, Str)]| {
        let sent = pairs.iter().filter(|(key, _)| &**key != LAST_APPLIED);
        sent.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    SchedulingPolicyRequest {
        pod_name: request.name.to_string(),
        pod_namespace: request.namespace.to_string(),
        pod_uid: request.uid.to_string(),
        pod_labels: map(&request.labels),
        pod_annotations: map(&request.annotations),
        pod_images: request.images.iter().map(ToString::to_string).collect(),
    }
}
