//! Leader election on a Lease (coordination.k8s.io), with client-go's record and rules: of several schedulers one leads, the others wait.
//! Leaves out what leading means: whoever starts an election is told by an event when it is won, and by [`Standing`] when it is lost.

mod elector;
#[cfg(test)]
mod tests;

use crate::events::{Object, Record as EventRecord, Recorder, hostname};
use crate::problem::Problem;
use crate::scheduler_config::LeaderElection;
use crate::watch::{Health, ResourceName};
use aisched_core::event::Event;
use aisched_model::Str;
use elector::{Attempt, Elector, Fault, Lock, Record, luck};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A Lease that was not renewed for so long after it ran out, by a process that still runs, says that the process hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);
/// The shortest deadline of one call, as client-go's.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(1);
const RESOURCE: ResourceName = ResourceName { plural: "leases", group: "coordination.k8s.io" };

/// Which Lease, in whose name, and the times of the election.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who stands for election; no other process may have the same.
    pub identity: String,
    /// How long a leader that is not heard of is still taken for one; whole seconds, as the record has it.
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Pause between attempts.
    pub retry_period: Duration,
    /// Reporting controller of the event on the Lease.
    pub reporter: Str,
}

impl LeaseOptions {
    /// An election in the name of this process: the machine's name, and something that no other process there has.
    #[must_use]
    pub fn new(election: &LeaderElection, reporter: &str) -> Self {
        let [high, low] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
        Self {
            namespace: election.resource_namespace.clone(),
            name: election.resource_name.clone(),
            identity: format!("{}_{high:016x}{low:016x}", hostname()),
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
            reporter: reporter.into(),
        }
    }

    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX).max(1)
    }
}

/// `namespace/name`.
impl fmt::Display for LeaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How this process stands in the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Another leads, if any is known.
    Following(Option<Str>),
    /// It leads; nobody else can before then.
    Leading(Instant),
    /// It led, and may do nothing any more; why.
    Lost(Str),
}

impl Standing {
    /// Whether it may act at this moment. A process that was stopped for long finds out here, before anything else tells it.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self, Self::Leading(until) if Instant::now() < *until)
    }

    /// What is wrong when a process that should have ended has not; kube-scheduler's `leaderElection` check.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Following(_) => None,
            Self::Leading(until) if Instant::now() <= *until + HANGS_AFTER => None,
            Self::Leading(_) => Some("the lease ran out long ago and was not renewed".into()),
            Self::Lost(why) => Some(format!("the lease is lost: {why}")),
        }
    }
}

/// An election that this process stands in. Dropping it leaves it to itself.
#[derive(Debug)]
pub struct Election {
    standing: watch::Receiver<Standing>,
    release: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Election {
    /// Begins; [`Event::Leading`] goes to `events` when it is won.
    #[must_use]
    pub fn start(client: &Client, options: LeaseOptions, events: UnboundedSender<Event>, recorder: Recorder, health: Health) -> Self {
        let (tell, standing) = watch::channel(Standing::Following(None));
        let (release, released) = oneshot::channel();
        let candidate = Candidate { options: options.clone(), tell, events, recorder, health };
        let lock = LeaseLock::new(client.clone(), &options);
        let task = tokio::spawn(async move {
            let mut elector = Elector::new(lock, options, luck);
            tokio::select! {
                () = candidate.run(&mut elector) => {}
                Ok(()) = released => elector.release().await,
            }
        });
        Self { standing, release, task }
    }

    /// How this process stands, now and later.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until the lease is lost; the reason.
    pub async fn lost(&mut self) -> Str {
        loop {
            if let Standing::Lost(why) = &*self.standing.borrow_and_update() {
                return why.clone();
            }
            if self.standing.changed().await.is_err() {
                return "the election has ended".into();
            }
        }
    }

    /// Gives the lease back, if this process has it.
    pub async fn release(self) {
        // Receiving and joining fail only when the election has ended.
        if self.release.send(()).is_ok() {
            let _ended = self.task.await;
        }
    }
}

/// Tells the world how the election goes.
struct Candidate {
    options: LeaseOptions,
    tell: watch::Sender<Standing>,
    events: UnboundedSender<Event>,
    recorder: Recorder,
    health: Health,
}

impl Candidate {
    /// Ends when a lease that was won is lost.
    async fn run(&self, elector: &mut Elector<LeaseLock>) {
        self.acquire(elector).await;
        let mut won = false;
        let why = elector.keep(|until| {
            self.tell.send_replace(Standing::Leading(until));
            if !std::mem::replace(&mut won, true) {
                self.won();
            }
        });
        self.tell.send_replace(Standing::Lost(why.await.into()));
    }

    async fn acquire(&self, elector: &mut Elector<LeaseLock>) {
        tracing::info!(lease = %self.options, identity = self.options.identity, "waiting to lead");
        let mut said = String::new();
        loop {
            let (news, is_held) = match elector.attempt().await {
                Ok(Attempt::Ours) => return,
                Ok(Attempt::HeldBy(holder)) => {
                    self.tell.send_replace(Standing::Following(Some(holder.as_str().into())));
                    (format!("{holder} leads; waiting for lease {}", self.options), true)
                }
                Err(fault) => (self.advice(&fault), false),
            };
            if news != said {
                if is_held {
                    tracing::info!("{news}")
                } else {
                    tracing::warn!("{news}")
                }
                said = news;
            }
            elector.pause(is_held).await;
        }
    }

    fn advice(&self, fault: &Fault) -> String {
        let Fault { verb, problem } = fault;
        match problem {
            Problem::Forbidden(answer) => self.health.forbidden(verb, RESOURCE, answer, "nothing is scheduled"),
            Problem::Unauthorized(answer) => self.health.unauthorized(answer),
            Problem::Unreachable(cause) => self.health.unreachable(cause),
            _ => {}
        }
        let mut text = format!("cannot {verb} lease {}: {}; nothing is scheduled", self.options, problem.message());
        if matches!((verb, problem), (&"create", Problem::NotFound(_))) {
            text +=
                "; create the namespace, name another with --leader-elect-resource-namespace, or schedule alone with --leader-elect=false";
        }
        text
    }

    fn won(&self) {
        let LeaseOptions { identity, namespace, name, .. } = &self.options;
        tracing::info!(lease = %self.options, identity, "lease acquired; leading");
        self.recorder.put(EventRecord {
            object: Object {
                api_version: "coordination.k8s.io/v1".into(),
                kind: "Lease",
                namespace: namespace.as_str().into(),
                name: name.as_str().into(),
                uid: Str::from(""),
            },
            related: None,
            warning: false,
            reason: "LeaderElection".into(),
            action: "Leading".into(),
            note: format!("{identity} became leader"),
            reporter: self.options.reporter.clone(),
        });
        // The receiver is gone only when the scheduler stops.
        let _stopping = self.events.send(Event::Leading);
    }
}

/// The Lease on the API server. Every write names the version that was read: a Lease that changed meanwhile is not overwritten.
struct LeaseLock {
    api: Api<Lease>,
    namespace: String,
    name: String,
    deadline: Duration,
    /// As it was read or written last.
    seen: Lease,
}

impl LeaseLock {
    fn new(client: Client, options: &LeaseOptions) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            namespace: options.namespace.clone(),
            name: options.name.clone(),
            deadline: (options.renew_deadline / 2).max(SHORTEST_DEADLINE),
            seen: Lease::default(),
        }
    }

    async fn call<T>(&self, verb: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
        let late = || Problem::Unreachable(format!("no answer within {:?}", self.deadline));
        let answer = timeout(self.deadline, call).await.unwrap_or_else(|_| Err(kube::Error::Service(Box::from(late().message()))));
        answer.map_err(|error| Fault { verb, problem: Problem::of(&error) })
    }
}

impl Lock for LeaseLock {
    async fn get(&mut self) -> Result<Option<Record>, Fault> {
        let Some(lease) = self.call("get", self.api.get_opt(&self.name)).await? else { return Ok(None) };
        self.seen = lease;
        Ok(Some(read(self.seen.spec.as_ref())))
    }

    async fn create(&mut self, record: &Record) -> Result<(), Fault> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), namespace: Some(self.namespace.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec(record)) };
        self.seen = self.call("create", self.api.create(&PostParams::default(), &lease)).await?;
        Ok(())
    }

    async fn update(&mut self, record: &Record) -> Result<(), Fault> {
        let lease = Lease { metadata: self.seen.metadata.clone(), spec: Some(spec(record)) };
        self.seen = self.call("update", self.api.replace(&self.name, &PostParams::default(), &lease)).await?;
        Ok(())
    }
}

fn read(spec: Option<&LeaseSpec>) -> Record {
    let Some(spec) = spec else { return Record::default() };
    Record {
        holder: spec.holder_identity.clone().unwrap_or_default(),
        duration_seconds: spec.lease_duration_seconds.unwrap_or(0),
        acquired: spec.acquire_time.as_ref().map(|t| t.0),
        renewed: spec.renew_time.as_ref().map(|t| t.0),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

/// An empty holder is written as such, not left out, as client-go does.
fn spec(record: &Record) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(record.holder.clone()),
        lease_duration_seconds: Some(record.duration_seconds),
        acquire_time: record.acquired.map(MicroTime),
        renew_time: record.renewed.map(MicroTime),
        lease_transitions: Some(record.transitions),
        preferred_holder: None,
        strategy: None,
    }
}
