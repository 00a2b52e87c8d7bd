//! What the bench asks of the API server: create, list, delete, and watch pods being bound.
//! Reads the few fields that it needs and nothing else, so that measuring costs little of the machine that is measured.

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Names only, in an encoding that no scheduler asks for: so no scheduler finds its events encoded already for the bench.
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const NAMES_ONLY_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Longer than any run: the API server must not end a watch by itself.
const WATCH_SECONDS: u32 = 7200;
const POLL: Duration = Duration::from_millis(100);

/// The API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
}

#[derive(Deserialize)]
struct List<T> {
    metadata: ListMeta,
    /// Absent or null when there is none, as the encoding has it.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// An object of which only the name matters.
#[derive(Clone, Deserialize)]
pub(crate) struct Named {
    metadata: Metadata,
}

#[derive(Clone, Deserialize)]
struct Metadata {
    name: String,
}

impl Api {
    /// The server of a kubeconfig.
    pub(crate) async fn connect(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot use kubeconfig {}", kubeconfig.display()))?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// Creates an object.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<()> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json").header(ACCEPT, NAMES_ONLY);
        let _created =
            self.client.request_text(request.body(serde_json::to_vec(object)?)?).await.with_context(|| format!("POST {path}"))?;
        Ok(())
    }

    /// Whether an object is there.
    pub(crate) async fn exists(&self, path: &str) -> Result<bool> {
        match self.client.request_text(Request::get(path).header(ACCEPT, NAMES_ONLY).body(Vec::new())?).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error).with_context(|| format!("GET {path}")),
        }
    }

    /// All objects of a collection.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let list: List<T> = self.client.request(Request::get(path).body(Vec::new())?).await.with_context(|| format!("GET {path}"))?;
        Ok(list.items.unwrap_or_default())
    }

    /// Names of all objects of a collection.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>> {
        Ok(self.names_at(path).await?.0)
    }

    /// Names of all objects of a collection, and the version of the list.
    async fn names_at(&self, path: &str) -> Result<(Vec<String>, String)> {
        let request = Request::get(path).header(ACCEPT, NAMES_ONLY_LIST).body(Vec::new())?;
        let list: List<Named> = self.client.request(request).await.with_context(|| format!("GET {path}"))?;
        Ok((list.items.into_iter().flatten().map(|o| o.metadata.name).collect(), list.metadata.resource_version))
    }

    /// Deletes all objects of a collection at once, and waits until they are gone.
    pub(crate) async fn delete_all(&self, path: &str, deadline: Instant) -> Result<()> {
        let options = serde_json::to_vec(&json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}))?;
        loop {
            let request = Request::delete(path).header(CONTENT_TYPE, "application/json").header(ACCEPT, NAMES_ONLY_LIST);
            // A large collection may outlast the server's own limit; the next round goes on where it stopped.
            let answer = self.client.request_text(request.body(options.clone())?).await;
            let left = self.names(path).await?.len();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                answer.with_context(|| format!("DELETE {path}"))?;
                bail!("DELETE {path}: {left} objects are still there");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Names of objects, each once: those that are there, then those that appear; a pod appears when it comes to match the selector.
    pub(crate) async fn appearing(&self, path: &str, field_selector: &str) -> Result<UnboundedReceiver<Result<String>>> {
        let (sender, receiver) = unbounded_channel();
        let follower = Follower { api: self.clone(), path: path.into(), selector: field_selector.into(), sender, sent: BTreeSet::new() };
        let first = self.names_at(&format!("{path}?fieldSelector={field_selector}")).await?;
        tokio::spawn(follower.follow(first));
        Ok(receiver)
    }

    /// Waits until an object is there.
    pub(crate) async fn wait_for(&self, path: &str, deadline: Instant) -> Result<()> {
        while !self.exists(path).await? {
            if Instant::now() >= deadline {
                bail!("{path} did not appear in time");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Lists and watches one collection for one receiver, in a task of its own: a slow reader loses its watch.
struct Follower {
    api: Api,
    path: String,
    selector: String,
    sender: UnboundedSender<Result<String>>,
    sent: BTreeSet<String>,
}

impl Follower {
    /// Follows until nobody receives any more, or the API server fails. A busy API server ends watches: then it lists again.
    async fn follow(mut self, mut list: (Vec<String>, String)) {
        let sender = self.sender.clone();
        let follow = async {
            loop {
                list.0.into_iter().for_each(|name| self.send(name));
                let next = match self.watch(&list.1).await {
                    Ok(()) => self.api.names_at(&format!("{}?fieldSelector={}", self.path, self.selector)).await,
                    Err(error) => Err(error),
                };
                match next {
                    Ok(next) => list = next,
                    Err(error) => {
                        let _nobody_receives = self.sender.send(Err(error));
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = sender.closed() => {}
            () = follow => {}
        }
    }

    async fn watch(&mut self, version: &str) -> Result<()> {
        let Self { path, selector, .. } = &*self;
        let watch = format!("{path}?watch=true&fieldSelector={selector}&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}");
        let request = Request::get(watch).header(ACCEPT, NAMES_ONLY).body(Vec::new())?;
        let events = self.api.client.request_events::<Named>(request).await.with_context(|| format!("cannot watch {path}"))?;
        let mut events = std::pin::pin!(events);
        while let Some(Ok(event)) = events.next().await {
            match event {
                WatchEvent::Added(object) => self.send(object.metadata.name),
                WatchEvent::Modified(_) | WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(_) => break,
            }
        }
        Ok(())
    }

    fn send(&mut self, name: String) {
        if self.sent.insert(name.clone()) {
            let _nobody_receives = self.sender.send(Ok(name));
        }
    }
}
