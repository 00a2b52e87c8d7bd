//! Watches kinds of other systems as soon as the API server serves them, in the best version that can be read.
//! Leaves out what their objects mean. The first decisions wait a moment for them; their absence is no fault.

use super::{ForeignKind, KINDS};
use crate::problem::Problem;
use crate::watch::{Gate, Health, ResourceName};
use aisched_core::event::Event;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event as WatcherEvent};
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

/// How often the API server is asked what it serves: a system that is installed later is noticed within this time.
const DISCOVERY: Duration = Duration::from_secs(30);
/// Pause after an error of a watch.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after a refusal: permission is rarely given while we wait.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

/// What the gate calls the first lists of all these kinds.
pub(crate) const AWAITED: &str = "objects of other systems";
/// How long the first decisions wait for them: the signals are worth a moment, and nothing is worth more.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause before a server that did not answer the first question is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Starts and restarts the watches for as long as anybody listens.
pub(crate) async fn watch(client: Client, events: UnboundedSender<Event>, health: Health, gate: Arc<Gate>) {
    let mut running = JoinSet::new();
    let mut watched: BTreeSet<usize> = BTreeSet::new();
    let (listing, mut listed) = unbounded_channel::<()>();
    let mut listing = Some(listing);
    while !events.is_closed() {
        while let Some(ended) = running.try_join_next() {
            watched.retain(|i| ended.as_ref().ok() != Some(i));
        }
        // A server that hangs is not waited for: whatever else it is asked tells of that.
        let answer = timeout(PATIENCE, served(&client, &watched)).await.unwrap_or(Ok(Vec::new()));
        if let (Err(Problem::Unreachable(_)), Some(_)) = (&answer, &listing) {
            health.pause(ASK_AGAIN).await;
            continue;
        }
        for (i, version) in answer.unwrap_or_default() {
            let kind = &KINDS[i];
            info!(kind = kind.plural, group = kind.group, version, "watching objects of another system");
            watched.insert(i);
            let (events, health, listing) = (events.clone(), health.clone(), listing.clone());
            let follower = Follower { kind, events, health, known: BTreeSet::new(), listing };
            let client = client.clone();
            running.spawn(async move {
                follower.follow(client, version).await;
                i
            });
        }
        // Every follower drops its end when its list has come, or cannot be had.
        if listing.take().is_some() {
            if timeout(PATIENCE, async { while listed.recv().await.is_some() {} }).await.is_err() {
                info!("objects of other systems have not all arrived; scheduling begins without");
            }
            gate.arrived(AWAITED);
        }
        tokio::time::sleep(DISCOVERY).await;
    }
}

/// Kinds that are served and not watched yet, by their place in the table, with the version to watch.
async fn served(client: &Client, watched: &BTreeSet<usize>) -> Result<Vec<(usize, &'static str)>, Problem> {
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups.groups,
        // Told by the other watches, which need the same server.
        Err(error) => {
            let problem = Problem::of(&error);
            debug!(error = problem.message(), "cannot ask which API groups are served");
            return Err(problem);
        }
    };
    let mut found = Vec::new();
    for (i, kind) in KINDS.iter().enumerate().filter(|(i, _)| !watched.contains(i)) {
        let Some(group) = groups.iter().find(|g| g.name == kind.group) else { continue };
        let offered = |version: &str| group.versions.iter().any(|v| v.version == version);
        for version in kind.versions.iter().copied().filter(|v| offered(v)) {
            let resources = client.list_api_group_resources(&format!("{}/{version}", kind.group)).await;
            if resources.is_ok_and(|list| list.resources.iter().any(|r| r.name == kind.plural)) {
                found.push((i, version));
                break;
            }
        }
    }
    Ok(found)
}

/// Follows the objects of one kind.
struct Follower {
    kind: &'static ForeignKind,
    events: UnboundedSender<Event>,
    health: Health,
    /// Namespaces and names of the objects that were told.
    known: BTreeSet<(String, String)>,
    /// Kept until the first list has come, or cannot be had.
    listing: Option<UnboundedSender<()>>,
}

impl Follower {
    /// Until the kind is no longer served, or nobody listens.
    async fn follow(mut self, client: Client, version: &str) {
        let ForeignKind { kind, group, plural, .. } = self.kind;
        let (group, plural) = ((*group).to_owned(), (*plural).to_owned());
        let api_version = format!("{group}/{version}");
        let resource = ApiResource { group, version: version.to_owned(), api_version, kind: (*kind).to_owned(), plural };
        let mut stream = pin!(watcher::watcher(Api::<DynamicObject>::all_with(client, &resource), watcher::Config::default()));
        let mut listed = BTreeSet::new();
        while let Some(item) = stream.next().await {
            match item {
                Ok(WatcherEvent::Init) => listed.clear(),
                Ok(WatcherEvent::InitApply(object)) => {
                    listed.insert(key(&object));
                    self.set(object);
                }
                Ok(WatcherEvent::InitDone) => {
                    self.listing = None;
                    self.health.allowed("list", self.resource());
                    let gone: Vec<_> = self.known.difference(&listed).cloned().collect();
                    gone.into_iter().for_each(|key| self.gone(key));
                }
                Ok(WatcherEvent::Apply(object)) => self.set(object),
                Ok(WatcherEvent::Delete(object)) => self.gone(key(&object)),
                Err(error) => {
                    self.listing = None;
                    if self.is_over(&error).await {
                        break;
                    }
                }
            }
            if self.events.is_closed() {
                return;
            }
        }
        for key in std::mem::take(&mut self.known) {
            self.gone(key);
        }
    }

    /// Says what is wrong, once, and waits; whether the kind is no longer served.
    async fn is_over(&self, error: &watcher::Error) -> bool {
        let (verb, problem) = Problem::of_watch(error);
        let pause = match &problem {
            Problem::NotFound(_) => {
                info!(kind = self.kind.plural, group = self.kind.group, "no longer served");
                return true;
            }
            Problem::Forbidden(answer) => {
                self.health.forbidden(verb, self.resource(), answer, "scheduling goes on without");
                FORBIDDEN_PAUSE
            }
            other => {
                debug!(kind = self.kind.plural, answer = other.message(), "cannot {verb}; retrying");
                PAUSE
            }
        };
        self.health.pause(pause).await;
        false
    }

    fn resource(&self) -> ResourceName {
        ResourceName { plural: self.kind.plural, group: self.kind.group }
    }

    fn set(&mut self, object: DynamicObject) {
        let key = key(&object);
        let labels = object.metadata.labels.unwrap_or_default();
        match self.kind.read(&key.0, &key.1, &labels, object.data) {
            Ok(foreign) => {
                self.known.insert(key);
                self.send(Event::ForeignSet(foreign));
            }
            Err(fault) => {
                let (kind, namespace, name) = (self.kind.kind, &key.0, &key.1);
                warn!(kind, namespace, name, field = fault.field, error = fault.error, "cannot be read; scheduling goes on without it");
                self.gone(key);
            }
        }
    }

    fn gone(&mut self, key: (String, String)) {
        self.known.remove(&key);
        self.send(Event::ForeignGone((self.kind.name)((key.0.into(), key.1.into()))));
    }

    fn send(&self, event: Event) {
        // The receiver is gone only when the scheduler stops.
        let _stopping = self.events.send(event);
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
