//! Watches the one `AIStorageConfig` that the scheduler reads, and keeps the last good one in force.
//! Leaves out what the fields mean (`crd`) and the environment's say in them (the binary's).

use crate::call::call;
use crate::crd::{AIStorageConfig, AIStorageConfigSpec, ConditionStatus, ConfigFault, GROUP, faults_of_spec};
use crate::events::{Object, Record, Recorder, shorten};
use crate::lease::Standing;
use crate::objects::{nullable, slim_meta};
use crate::problem::Problem;
use crate::watch::{Gate, Health, ResourceName};
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::config::Config;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event as WatcherEvent};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// How often it is asked whether the definition has been installed: one small answer each time.
const ABSENT_PAUSE: Duration = Duration::from_secs(2);
/// Pause after other errors.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the answer to a status patch.
const DEADLINE: Duration = Duration::from_secs(10);
/// The name under which the manager has to be awaited ([`Gate::new`]).
pub const AWAITED: &str = "configuration";

const RESOURCE: ResourceName = ResourceName { plural: "aistorageconfigs", group: GROUP };

/// The object as it is stored: nothing is taken for granted of its specification.
#[derive(Clone, Debug, Default, kube::Resource, serde::Deserialize)]
#[resource(inherit = AIStorageConfig)]
#[serde(default)]
struct Stored {
    #[serde(deserialize_with = "slim_meta")]
    metadata: ObjectMeta,
    spec: Value,
    #[serde(deserialize_with = "nullable")]
    status: StoredStatus,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct StoredStatus {
    #[serde(deserialize_with = "nullable")]
    conditions: Vec<Value>,
}

/// Which object is read, and who speaks of it.
#[derive(Clone, Debug)]
pub struct ConfigOptions {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Reporting controller of its events.
    pub reporter: Str,
}

impl Default for ConfigOptions {
    fn default() -> Self {
        Self { namespace: "keti".into(), name: "default".into(), reporter: "ai-storage-scheduler".into() }
    }
}

/// Keeps the engine's configuration the same as the object's.
pub struct ConfigManager {
    client: Client,
    options: ConfigOptions,
    events: UnboundedSender<Event>,
    recorder: Recorder,
    health: Health,
    gate: Arc<Gate>,
    /// What is in force; the engine starts with the defaults.
    in_force: Config,
    /// The specification that was judged last, and the faults that it had: status patches are no news.
    judged: Option<(Value, Vec<ConfigFault>)>,
    /// The object as it was seen last.
    seen: Option<Stored>,
    /// Only who leads says what is accepted; without an election this process does.
    standing: Option<watch::Receiver<Standing>>,
    /// Whether this process led when that was last looked at.
    led: bool,
    /// The faults of the object, where there is one.
    verdict: watch::Sender<Option<Vec<String>>>,
}

impl ConfigManager {
    /// A manager; `gate` is told when the first answer is there.
    #[must_use]
    pub fn new(
        client: Client,
        options: ConfigOptions,
        events: UnboundedSender<Event>,
        recorder: Recorder,
        health: Health,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            client,
            options,
            events,
            recorder,
            health,
            gate,
            in_force: Config::default(),
            judged: None,
            seen: None,
            standing: None,
            led: false,
            verdict: watch::channel(None).0,
        }
    }

    /// What is wrong with the object as it is now (nothing: it is in force); `None` while there is no object.
    #[must_use]
    pub fn verdict(&self) -> watch::Receiver<Option<Vec<String>>> {
        self.verdict.subscribe()
    }

    /// Follows the configuration always, and speaks of it only while this process leads.
    #[must_use]
    pub fn electing(self, standing: Option<watch::Receiver<Standing>>) -> Self {
        Self { standing, ..self }
    }

    /// Watches until the task is dropped.
    pub async fn run(mut self) {
        let api = Api::<Stored>::namespaced(self.client.clone(), &self.options.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.options.name));
        let mut stream = pin!(watcher::watcher(api, config));
        let mut listed = None;
        loop {
            let item = tokio::select! {
                Some(item) = stream.next() => item,
                () = changed(&mut self.standing, self.led) => {
                    self.led = self.speaks();
                    if let Some(object) = self.seen.clone() {
                        self.apply(&object);
                    }
                    continue;
                }
                else => return,
            };
            match item {
                Ok(WatcherEvent::Init) => listed = None,
                Ok(WatcherEvent::InitApply(object)) => listed = Some(object),
                Ok(WatcherEvent::InitDone) => {
                    self.health.allowed("list", RESOURCE);
                    match listed.take() {
                        Some(object) => self.apply(&object),
                        None => self.back_to_defaults("there is no such object"),
                    }
                    self.gate.arrived(AWAITED);
                }
                Ok(WatcherEvent::Apply(object)) => {
                    self.health.allowed("watch", RESOURCE);
                    self.apply(&object);
                }
                Ok(WatcherEvent::Delete(_)) => self.back_to_defaults("the object was deleted"),
                Err(error) => {
                    let pause = self.report(&error);
                    self.health.pause(pause).await;
                }
            }
        }
    }

    /// Takes over an object, or says what is wrong with it.
    fn apply(&mut self, object: &Stored) {
        self.seen = Some(object.clone());
        if let Some((spec, faults)) = &self.judged
            && *spec == object.spec
        {
            let faults = faults.clone();
            return self.tell_status(object, &faults);
        }
        let faults = match read(&object.spec) {
            Ok(config) => {
                self.put_in_force(config, "applied");
                Vec::new()
            }
            Err(faults) => {
                self.tell_invalid(object, &faults);
                faults
            }
        };
        self.tell_status(object, &faults);
        self.verdict.send_replace(Some(faults.iter().map(ToString::to_string).collect()));
        self.judged = Some((object.spec.clone(), faults));
    }

    fn back_to_defaults(&mut self, why: &str) {
        (self.judged, self.seen) = (None, None);
        self.verdict.send_replace(None);
        self.put_in_force(Config::default(), why);
    }

    /// Tells the engine, unless nothing changes.
    fn put_in_force(&mut self, mut config: Config, why: &str) {
        config.generation = self.in_force.generation;
        if config == self.in_force {
            return;
        }
        config.generation += 1;
        info!(generation = config.generation, why, object = %self.object_name(), "configuration in force");
        self.in_force = config.clone();
        // The receiver is gone only when the scheduler stops.
        let _stopping = self.events.send(Event::Configured(Arc::new(config)));
    }

    fn tell_invalid(&self, object: &Stored, faults: &[ConfigFault]) {
        let faults = list(faults);
        warn!(object = %self.object_name(), faults, "configuration is invalid; the last good one stays in force");
        if !self.speaks() {
            return;
        }
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.recorder.put(Record {
            object: Object {
                api_version: format!("{GROUP}/v1").into(),
                kind: "AIStorageConfig",
                namespace: self.options.namespace.as_str().into(),
                name: self.options.name.as_str().into(),
                uid: uid.into(),
            },
            related: None,
            warning: true,
            reason: "InvalidConfig".into(),
            action: "Configuring".into(),
            note: shorten(&format!("the last good configuration stays in force: {faults}")).into_owned(),
            reporter: self.options.reporter.clone(),
        });
    }

    /// Writes the `Accepted` condition when it does not say so already.
    fn tell_status(&self, object: &Stored, faults: &[ConfigFault]) {
        if !self.speaks() {
            return;
        }
        let Some(conditions) = conditions(object, faults, Timestamp::now()) else { return };
        let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
        let url = AIStorageConfig::url_path(&(), Some(&self.options.namespace));
        let request = kube::core::Request::new(url).patch_subresource("status", &self.options.name, &PatchParams::default(), &patch);
        let (client, health, name) = (self.client.clone(), self.health.clone(), self.object_name());
        tokio::spawn(async move {
            match call(&client, request, DEADLINE).await {
                Ok(()) => {}
                Err(Problem::Forbidden(answer)) => {
                    let resource = ResourceName { plural: "aistorageconfigs/status", group: GROUP };
                    health.forbidden("patch", resource, &answer, "the object does not show whether it is accepted");
                }
                Err(problem) => debug!(object = name, answer = problem.message(), "status not written"),
            }
        });
    }

    /// Says what is wrong, once, and how long to wait.
    fn report(&mut self, error: &watcher::Error) -> Duration {
        let (verb, problem) = Problem::of_watch(error);
        match problem {
            Problem::NotFound(_) => {
                self.back_to_defaults("the definition of AIStorageConfig is not installed");
                self.gate.arrived(AWAITED);
                ABSENT_PAUSE
            }
            Problem::Forbidden(answer) => {
                self.health.forbidden(verb, RESOURCE, &answer, "the configuration in force stays as it is");
                self.gate.arrived(AWAITED);
                ABSENT_PAUSE
            }
            Problem::Unreachable(cause) => {
                if verb == "list" {
                    self.health.unreachable(&cause);
                }
                ERROR_PAUSE
            }
            Problem::Unauthorized(answer) => {
                self.health.unauthorized(&answer);
                ERROR_PAUSE
            }
            Problem::Conflict(_) | Problem::Refused(..) | Problem::Busy(..) | Problem::Server(..) | Problem::Other(_) => {
                debug!(answer = problem.message(), "cannot {verb} the configuration; retrying");
                ERROR_PAUSE
            }
        }
    }

    fn speaks(&self) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.borrow().leads())
    }

    fn object_name(&self) -> String {
        format!("{}/{}", self.options.namespace, self.options.name)
    }
}

/// Waits until this process begins or ceases to lead; renewals are no news.
async fn changed(standing: &mut Option<watch::Receiver<Standing>>, led: bool) {
    let Some(receiver) = standing else { return pending().await };
    if receiver.wait_for(|now| now.leads() != led).await.is_err() {
        pending().await
    }
}

/// What a stored specification means. Fields that are not known are another version's and count for nothing.
fn read(spec: &Value) -> Result<Config, Vec<ConfigFault>> {
    let faults = faults_of_spec(spec, false);
    if !faults.is_empty() {
        return Err(faults);
    }
    let spec = if spec.is_null() { json!({}) } else { without_nulls(spec.clone()) };
    let unreadable = |e: serde_json::Error| {
        vec![ConfigFault { path: "spec".into(), value: e.to_string(), expected: "what the definition describes".into() }]
    };
    serde_json::from_value::<AIStorageConfigSpec>(spec).map(|spec| Config::from(&spec)).map_err(unreadable)
}

/// The API takes null for "not there"; serde does not.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn list(faults: &[ConfigFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The object's conditions with `Accepted` as it has to be; `None` when it is so already.
fn conditions(object: &Stored, faults: &[ConfigFault], now: Timestamp) -> Option<Vec<Value>> {
    let (status, reason, message) = match faults {
        [] => ("True", "Applied", "the running scheduler uses this configuration".to_owned()),
        faults => ("False", "Invalid", list(faults)),
    };
    let is_accepted = |c: &&Value| c["type"] == "Accepted";
    let before = object.status.conditions.iter().find(is_accepted);
    let same_status = before.filter(|c| c["status"] == status);
    let since = same_status.and_then(|c| c["lastTransitionTime"].as_str()).map(ToOwned::to_owned);
    let accepted = json!(ConditionStatus {
        kind: "Accepted".into(),
        status: status.into(),
        observed_generation: object.metadata.generation,
        last_transition_time: since.unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        reason: reason.into(),
        message,
    });
    if before == Some(&accepted) {
        return None;
    }
    Some(object.status.conditions.iter().filter(|c| !is_accepted(c)).cloned().chain([accepted]).collect())
}

#[cfg(test)]
mod tests;
