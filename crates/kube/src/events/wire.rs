//! What an event is on the wire.
//! Leaves out when it is sent.

use super::series::{Send, SeriesState};
use crate::call::Built;
use crate::crd::GROUP;
use aisched_core::event::{ApiEvent, Regarding};
use aisched_model::Str;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::Resource;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::request::Error;
use serde_json::json;
use std::borrow::Cow;
use std::fmt;

/// Most bytes that the API takes as a note.
const NOTE_LIMIT: usize = 1024;
/// What a note that was cut ends in.
const CUT: &str = " ...";
/// Namespace of events on objects that have none.
const DEFAULT_NAMESPACE: &str = "default";
/// Longest name of an object.
const NAME_LIMIT: usize = 253;

/// An event to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) object: Object,
    /// Another object that had a part in it.
    pub(crate) related: Option<Object>,
    pub(crate) warning: bool,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) action: Cow<'static, str>,
    pub(crate) note: String,
    pub(crate) reporter: Str,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    pub(crate) api_version: Cow<'static, str>,
    pub(crate) kind: &'static str,
    /// Empty for objects without one.
    pub(crate) namespace: Str,
    pub(crate) name: Str,
    pub(crate) uid: Str,
}

/// A new event as the API takes it. Borrowed and written at once: there is one for every pod.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Meta<'a>,
    event_time: String,
    reporting_controller: &'a str,
    reporting_instance: String,
    action: &'a str,
    reason: &'a str,
    regarding: Reference<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<Reference<'a>>,
    note: &'a str,
    r#type: &'static str,
}

#[derive(serde::Serialize)]
struct Meta<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    api_version: &'a str,
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
}

impl<'a> From<&'a Object> for Reference<'a> {
    fn from(object: &'a Object) -> Self {
        let Object { api_version, kind, namespace, name, uid } = object;
        Self { api_version, kind, name, namespace, uid }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", self.kind, self.namespace, self.name)
    }
}

impl From<ApiEvent> for Record {
    fn from(event: ApiEvent) -> Self {
        let object = |api_version, kind, namespace, name, uid| Object { api_version, kind, namespace, name, uid };
        let object = match event.regarding {
            Regarding::Pod(pod) => object("v1".into(), "Pod", pod.namespace, pod.name, pod.uid),
            // kubelets name a node's UID by its name, and `kubectl describe node` looks for that.
            Regarding::Node(name) => object("v1".into(), "Node", Str::from(""), name.clone(), name),
            Regarding::Config(namespace, name) => object(format!("{GROUP}/v1").into(), "AIStorageConfig", namespace, name, Str::from("")),
        };
        Self {
            object,
            related: None,
            warning: event.warning,
            reason: event.reason.into(),
            action: event.action.into(),
            note: if event.note.len() > NOTE_LIMIT { shorten(&event.note).into_owned() } else { event.note },
            reporter: event.reporter,
        }
    }
}

/// Cuts a note to what the API takes: as kube-scheduler does, 1020 bytes and an ellipsis, never within a character.
#[must_use]
pub fn shorten(note: &str) -> Cow<'_, str> {
    if note.len() <= NOTE_LIMIT {
        return note.into();
    }
    let end = note.floor_char_boundary(NOTE_LIMIT - CUT.len());
    format!("{}{CUT}", &note[..end]).into()
}

/// The machine's name, as far as it can be found out.
#[must_use]
pub fn hostname() -> String {
    let from_env = std::env::var("HOSTNAME").ok();
    let found = from_env.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    found.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// As the API's `MicroTime`.
fn micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

impl Record {
    pub(super) fn namespace(&self) -> &str {
        if self.object.namespace.is_empty() { DEFAULT_NAMESPACE } else { &self.object.namespace }
    }

    /// A name that no other event of the object has: the object's and the time, as kube-scheduler names them.
    pub(super) fn name_at(&self, time: Timestamp) -> String {
        let suffix = format!(".{:x}", time.as_nanosecond());
        let end = self.object.name.floor_char_boundary(NAME_LIMIT - suffix.len());
        format!("{}{suffix}", self.object.name[..end].trim_end_matches(['.', '-']))
    }

    fn body<'a>(&'a self, name: &'a str, time: Timestamp, hostname: &str) -> Body<'a> {
        Body {
            api_version: "events.k8s.io/v1",
            kind: "Event",
            metadata: Meta { name, namespace: self.namespace() },
            event_time: micro_time(time),
            reporting_controller: &self.reporter,
            reporting_instance: instance(&self.reporter, hostname),
            action: &self.action,
            reason: &self.reason,
            regarding: (&self.object).into(),
            related: self.related.as_ref().map(Into::into),
            note: &self.note,
            r#type: if self.warning { "Warning" } else { "Normal" },
        }
    }
}

/// `<reporter>-<host>`, at most 128 characters.
fn instance(reporter: &str, hostname: &str) -> String {
    let instance = format!("{reporter}-{hostname}");
    instance[..instance.floor_char_boundary(128)].to_owned()
}

impl Send {
    /// The request: a new event, or how often one was repeated.
    pub(super) fn request(&self, hostname: &str) -> Built {
        let request = kube::core::Request::new(Event::url_path(&(), Some(self.record.namespace())));
        match &self.series {
            SeriesState::First(time) => {
                let event = serde_json::to_vec(&self.record.body(&self.name, *time, hostname)).map_err(Error::SerializeBody)?;
                request.create(&PostParams::default(), event)
            }
            SeriesState::Repeat { count, last } => {
                let patch = json!({"series": {"count": count, "lastObservedTime": micro_time(*last)}});
                request.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            }
        }
    }
}
