//! Watches every pod of a test from the start, and keeps which nodes it was ever bound to.
//! Leaves out who bound it.

use crate::api::runtime;
use crate::fixture::Test;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

type Seen = BTreeMap<String, Vec<String>>;

/// All binds of a test's pods since it was started.
pub struct Binds {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Binds {
    /// Starts watching.
    #[must_use]
    pub fn watch(test: &Test) -> Self {
        let pods = ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk("", "v1", "Pod"), "pods");
        let api = Api::<DynamicObject>::namespaced_with(test.api().client.clone(), &test.name, &pods);
        let seen = Arc::new(Mutex::new(Seen::new()));
        let noted = seen.clone();
        let task = runtime().spawn(async move {
            let mut stream = pin!(watcher::watcher(api, watcher::Config::default()).default_backoff());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => note(&noted, &pod),
                    Ok(Event::Delete(_) | Event::Init | Event::InitDone) | Err(_) => {}
                }
            }
        });
        Self { seen, task }
    }

    /// How many pods have been bound.
    #[must_use]
    pub fn n_bound(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The node that a pod was bound to, if it ever was.
    #[must_use]
    pub fn node_of(&self, pod: &str) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(pod).and_then(|nodes| nodes.last().cloned())
    }

    /// Pods that were seen on more than one node, with the nodes.
    #[must_use]
    pub fn bound_twice(&self) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(_, nodes)| nodes.len() > 1).map(|(pod, nodes)| (pod.clone(), nodes.clone())).collect()
    }
}

fn note(seen: &Mutex<Seen>, pod: &DynamicObject) {
    let (Some(name), Some(node)) = (&pod.metadata.name, pod.data["spec"]["nodeName"].as_str()) else { return };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let nodes = seen.entry(name.clone()).or_default();
    if nodes.last().is_none_or(|last| last != node) {
        nodes.push(node.into());
    }
}

impl Drop for Binds {
    fn drop(&mut self) {
        self.task.abort();
    }
}
