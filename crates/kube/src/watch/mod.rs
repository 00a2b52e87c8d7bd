//! Watches the cluster and tells the engine: one task per kind, restarted for ever, with what vanished in between.
//! Leaves out the configuration object (`config_manager`).

mod gate;
mod health;
mod kinds;
mod tracker;

pub use gate::Gate;
pub use health::Health;
pub(crate) use health::ResourceName;

use crate::foreign;
use crate::problem::Problem;
use aisched_core::event::Event;
use aisched_core::features::Features;
use futures::{Stream, StreamExt};
use kinds::Kind;
use kube::runtime::watcher::{self, Event as WatcherEvent};
use kube::{Api, Client};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};
use tracker::Tracker;

/// First pause after an error.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause after errors in a row.
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A watch that was forbidden and is silent for longer is open: refusals come at least every [`LAST_PAUSE`].
const SILENCE: Duration = Duration::from_secs(30);

/// What [`Gate::new`] has to await for [`watch`].
pub const AWAITED: [&str; 20] = kinds::NAMES;

/// How to watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Whether to ask for streaming lists first; a server that does not have them is listed in pages.
    pub streaming_lists: bool,
    /// Objects per page.
    pub page_size: u32,
    /// What is on: fields of a feature that is off are not seen.
    pub features: Features,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { streaming_lists: true, page_size: 500, features: Features::default() }
    }
}

/// What every watch is given.
#[derive(Clone)]
struct Context {
    client: Client,
    events: UnboundedSender<Event>,
    health: Health,
    gate: Arc<Gate>,
    options: WatchOptions,
}

/// Starts the watches of all kinds; they end when the set is dropped or the receiver of `events` is gone.
#[must_use]
pub fn watch(client: Client, events: UnboundedSender<Event>, health: Health, gate: Arc<Gate>, options: WatchOptions) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(health.clone().probe(client.clone()));
    tasks.spawn(foreign::watch::watch(client.clone(), events.clone(), health.clone(), gate.clone()));
    let context = Context { client, events, health, gate, options };
    tasks.spawn(watch_kind::<kinds::Nodes>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Pods>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Claims>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Volumes>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Classes>(context.clone()));
    tasks.spawn(watch_kind::<kinds::CsiNodes>(context.clone()));
    tasks.spawn(watch_kind::<kinds::CsiDrivers>(context.clone()));
    tasks.spawn(watch_kind::<kinds::StorageCapacities>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Attachments>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Budgets>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Namespaces>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Services>(context.clone()));
    tasks.spawn(watch_kind::<kinds::ReplicationControllers>(context.clone()));
    tasks.spawn(watch_kind::<kinds::ReplicaSets>(context.clone()));
    tasks.spawn(watch_kind::<kinds::DeviceClaims>(context.clone()));
    tasks.spawn(watch_kind::<kinds::Slices>(context.clone()));
    tasks.spawn(watch_kind::<kinds::DeviceClasses>(context.clone()));
    tasks.spawn(watch_kind::<kinds::TaintRules>(context.clone()));
    tasks.spawn(watch_kind::<kinds::StatefulSets>(context));
    tasks
}

async fn watch_kind<K: Kind>(context: Context) {
    let mut tracker = Tracker::<K>::new();
    let mut streaming = context.options.streaming_lists;
    while let Ended::Restart = watch_once::<K>(&context, &mut tracker, streaming).await {
        debug!(kind = K::NAME.plural, "no streaming lists here; listing in pages");
        streaming = false;
    }
}

/// Why a watch ended for good.
enum Ended {
    /// Nobody listens any more.
    Stop,
    /// The server has no streaming lists, or does not let us have them.
    Restart,
}

async fn watch_once<K: Kind>(context: &Context, tracker: &mut Tracker<K>, streaming: bool) -> Ended {
    let mut config = watcher::Config::default().page_size(context.options.page_size);
    if streaming {
        config = config.streaming_lists();
    }
    if !K::FIELDS.is_empty() {
        config = config.fields(K::FIELDS);
    }
    let mut stream = pin!(watcher::watcher(Api::<K::Object>::all(context.client.clone()), config));
    let (mut pause, mut told) = (FIRST_PAUSE, String::new());
    while let Some(item) = next::<K, _>(context, &mut stream).await {
        let event = match item {
            // Says only that a list is about to be asked for.
            Ok(WatcherEvent::Init) => {
                tracker.list_begins();
                continue;
            }
            Ok(event) => event,
            Err(error) if streaming && refuses_streaming(&error) => {
                if matches!(Problem::of_watch(&error).1, Problem::Forbidden(_)) {
                    report::<K>(context, &error, &mut told);
                }
                return Ended::Restart;
            }
            Err(error) => {
                report::<K>(context, &error, &mut told);
                context.health.pause(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
                continue;
            }
        };
        pause = FIRST_PAUSE;
        let listed = matches!(event, WatcherEvent::InitDone);
        for event in take(context, tracker, event) {
            if context.events.send(event).is_err() {
                return Ended::Stop;
            }
        }
        if listed {
            context.gate.arrived(K::NAME.plural);
        }
    }
    Ended::Stop
}

/// The next item. A watch that was forbidden and now stays silent has been allowed: opening it is no event by itself.
async fn next<K: Kind, T>(context: &Context, stream: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
    if context.health.is_forbidden("watch", K::NAME) {
        match timeout(SILENCE, stream.next()).await {
            Ok(item) => return item,
            Err(_) => context.health.allowed("watch", K::NAME),
        }
    }
    stream.next().await
}

fn take<K: Kind>(context: &Context, tracker: &mut Tracker<K>, mut event: WatcherEvent<K::Object>) -> Vec<Event> {
    if let WatcherEvent::InitApply(object) | WatcherEvent::Apply(object) = &mut event {
        K::hide(object, context.options.features);
    }
    match event {
        WatcherEvent::Init => Vec::new(),
        WatcherEvent::InitApply(object) => tracker.set(&object),
        WatcherEvent::InitDone => {
            context.health.reachable();
            context.health.authorized();
            context.health.allowed("list", K::NAME);
            tracker.list_ends()
        }
        WatcherEvent::Apply(object) => {
            context.health.allowed("watch", K::NAME);
            tracker.set(&object)
        }
        WatcherEvent::Delete(object) => {
            context.health.allowed("watch", K::NAME);
            tracker.delete(&object).into_iter().collect()
        }
    }
}

/// Says what is wrong, once (`told` is what was said last); what is optional counts as empty when it is not to be had.
fn report<K: Kind>(context: &Context, error: &watcher::Error, told: &mut String) {
    let (verb, problem) = Problem::of_watch(error);
    let consequence = match (verb, K::REQUIRED) {
        // The list may have come by another way.
        ("watch", _) => "changes are not seen until then",
        (_, true) => "nothing is scheduled until then",
        (_, false) => "scheduling goes on without",
    };
    match &problem {
        // A connection that breaks is opened again; if that fails, it is told then.
        Problem::Unreachable(cause) if matches!(error, watcher::Error::WatchFailed(_)) => {
            debug!(kind = K::NAME.plural, cause, "watch ended early");
        }
        Problem::Unreachable(cause) => context.health.unreachable(cause),
        Problem::Unauthorized(answer) => context.health.unauthorized(answer),
        Problem::Forbidden(answer) => context.health.forbidden(verb, K::NAME, answer, consequence),
        // An optional kind that this server does not have.
        Problem::NotFound(answer) if !K::REQUIRED => debug!(kind = K::NAME.plural, answer, "not served"),
        Problem::Refused(410, _) => debug!(kind = K::NAME.plural, "too far behind; listing again"),
        Problem::NotFound(answer)
        | Problem::Conflict(answer)
        | Problem::Refused(_, answer)
        | Problem::Busy(_, answer)
        | Problem::Server(_, answer)
        | Problem::Other(answer) => {
            if told != answer {
                warn!(kind = K::NAME.plural, answer, "cannot {verb}; retrying");
                told.clone_from(answer);
            }
        }
    }
    // A watch that is forbidden says nothing of the list.
    let empty = matches!((verb, &problem), ("list", Problem::Forbidden(_)) | (_, Problem::NotFound(_)));
    if empty && !K::REQUIRED {
        context.gate.arrived(K::NAME.plural);
    }
}

/// Whether the answer means that a list has to be asked for in the old way: 422 where the feature is off,
/// 403 where an admission or the permission to watch is missing (the old way finds out which verb).
fn refuses_streaming(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(error) => matches!(Problem::of(error), Problem::Refused(..) | Problem::Forbidden(_)),
        watcher::Error::WatchError(_) | watcher::Error::WatchFailed(_) => false,
        watcher::Error::InitialListFailed(_) | watcher::Error::NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests;
