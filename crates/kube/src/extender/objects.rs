//! Whole objects for extenders, as JSON: pods are read when they are needed; nodes are kept, if any extender wants them at all.
//! Leaves out who wants which.

use crate::problem::{Problem, root_cause};
use aisched_core::event::PodRef;
use futures::StreamExt;
use http::Request;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event as WatcherEvent};
use kube::{Api, Client, Resource};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

/// Longest wait for one object.
const DEADLINE: Duration = Duration::from_secs(10);

/// Objects of the API server.
pub(super) struct Objects {
    client: Client,
    nodes: Option<NodeStore>,
}

/// Every node as JSON, without `managedFields`: some kilobytes each.
struct NodeStore {
    nodes: Arc<Mutex<BTreeMap<String, Arc<str>>>>,
    listed: watch::Receiver<bool>,
    _watching: JoinSet<()>,
}

impl Objects {
    /// `watches` is a client for watches; nodes are kept only `with_nodes`.
    pub(super) fn new(client: Client, watches: Client, with_nodes: bool) -> Self {
        Self { client, nodes: with_nodes.then(|| NodeStore::start(watches)) }
    }

    /// A pod, unless it is gone.
    pub(super) async fn pod(&self, pod: &PodRef) -> Result<Option<String>, String> {
        let object = self.get(&format!("{}/{}", Pod::url_path(&(), Some(&pod.namespace)), pod.name)).await?;
        let same = |object: &Value| object["metadata"]["uid"].as_str() == Some(&pod.uid);
        Ok(object.filter(same).map(|object| object.to_string()))
    }

    /// Nodes, without those that are gone.
    pub(super) async fn nodes(&self, names: impl Iterator<Item = &str>) -> Result<Vec<Arc<str>>, String> {
        let Some(store) = &self.nodes else { return Ok(Vec::new()) };
        let mut listed = store.listed.clone();
        listed.wait_for(|listed| *listed).await.map_err(|_| "nodes are no longer watched".to_owned())?;
        let mut objects = Vec::new();
        for name in names {
            let kept = store.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            match kept {
                Some(object) => objects.push(object),
                // Newer than what this watch has seen.
                None => objects.extend(self.get(&format!("{}/{name}", Node::url_path(&(), None))).await?.map(|o| o.to_string().into())),
            }
        }
        Ok(objects)
    }

    /// Reads an object, unless it is gone.
    async fn get(&self, path: &str) -> Result<Option<Value>, String> {
        let request = Request::get(path).body(Vec::new()).map_err(|e| e.to_string())?;
        let answer =
            timeout(DEADLINE, self.client.request::<Value>(request)).await.map_err(|_| format!("{path}: no answer within {DEADLINE:?}"))?;
        match answer.map_err(|e| Problem::of(&e)) {
            Ok(mut object) => {
                if let Some(Value::Object(meta)) = object.get_mut("metadata") {
                    meta.remove("managedFields");
                }
                Ok(Some(object))
            }
            Err(Problem::NotFound(_)) => Ok(None),
            Err(problem) => Err(format!("{path}: {}", problem.message())),
        }
    }
}

impl NodeStore {
    fn start(client: Client) -> Self {
        let (sender, listed) = watch::channel(false);
        let nodes = Arc::new(Mutex::new(BTreeMap::new()));
        let mut watching = JoinSet::new();
        watching.spawn(keep(client, nodes.clone(), sender));
        Self { nodes, listed, _watching: watching }
    }
}

async fn keep(client: Client, nodes: Arc<Mutex<BTreeMap<String, Arc<str>>>>, listed: watch::Sender<bool>) {
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<Node>(&()));
    let mut events = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut fresh = BTreeMap::new();
    while let Some(event) = events.next().await {
        let mut kept = nodes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(WatcherEvent::Init) => fresh.clear(),
            Ok(WatcherEvent::InitApply(node)) => fresh.extend(entry(node)),
            Ok(WatcherEvent::InitDone) => {
                *kept = std::mem::take(&mut fresh);
                listed.send_replace(true);
            }
            Ok(WatcherEvent::Apply(node)) => kept.extend(entry(node)),
            Ok(WatcherEvent::Delete(node)) => drop(node.metadata.name.and_then(|name| kept.remove(&name))),
            Err(error) => warn!(error = root_cause(&error), "cannot watch nodes for extenders; retrying"),
        }
    }
}

fn entry(mut node: DynamicObject) -> Option<(String, Arc<str>)> {
    node.metadata.managed_fields = None;
    let name = node.metadata.name.clone()?;
    Some((name, serde_json::to_string(&node).ok()?.into()))
}
