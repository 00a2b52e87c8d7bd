//! Plays a storage driver: makes volumes for claims on the nodes that the scheduler selected, and says how much room there is where.
//! Leaves out storage itself: volumes are objects, and room is what a test says.

use crate::api::{Api, runtime};
use crate::fixture::Test;
use crate::storage::KINDS;
use futures::StreamExt;
use kube::api::{Api as Objects, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Label of nodes by which the driver tells what they reach.
const SEGMENT: &str = "e2e/segment";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const GI: i64 = 1 << 30;

/// What the driver has in one segment.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Room in GiB.
    pub free: i64,
    /// Largest single volume in GiB, where the driver says.
    pub largest: Option<i64>,
    /// No volume is made all the same.
    pub exhausted: bool,
}

impl Room {
    /// So much room, and nothing wrong with it.
    #[must_use]
    pub fn of(free: i64) -> Self {
        Self { free, largest: None, exhausted: false }
    }
}

/// A driver with a class of the same name, at work until it is dropped.
pub struct Provisioner {
    inner: Arc<Inner>,
    messages: Sender<Message>,
    watch: tokio::task::JoinHandle<()>,
    work: Option<JoinHandle<()>>,
}

enum Message {
    Claim(Value),
    Gone(String),
    /// Something else has changed.
    Again,
    Stop,
}

struct Inner {
    api: Api,
    namespace: String,
    driver: String,
    class: String,
    immediate: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rooms: BTreeMap<String, Room>,
    held: bool,
    /// UIDs of the claims that have got their volumes: news of them are about something else.
    made: BTreeSet<String>,
}

impl Provisioner {
    /// What puts a node into a segment.
    #[must_use]
    pub fn segment(name: &str) -> Value {
        json!({"metadata": {"labels": {SEGMENT: name}}})
    }

    /// The name of the driver behind a class.
    #[must_use]
    pub fn driver(test: &Test, class: &str) -> String {
        format!("{class}.{}.e2e", test.name)
    }

    /// A driver that says how much room it has, and a class whose claims wait for their pods, or are bound at once.
    ///
    /// # Panics
    /// When they cannot be created.
    #[must_use]
    pub fn start<const N: usize>(test: &Test, class: &str, mode: &str, rooms: [(&str, Room); N]) -> Self {
        let driver = Self::driver(test, class);
        if test.api().find(&test.class_path(class)).is_none() {
            test.add_storage(KINDS[3], &driver, json!({"spec": {"storageCapacity": true, "attachRequired": false}}));
            test.add_class(class, json!({"provisioner": driver, "volumeBindingMode": mode}));
        }
        let inner = Arc::new(Inner {
            api: test.api().clone(),
            namespace: test.name.clone(),
            driver,
            class: test.node_name(class),
            immediate: mode == "Immediate",
            state: Mutex::default(),
        });
        // It knows its room before it sees the first claim.
        for (segment, room) in rooms {
            inner.state().rooms.insert(segment.into(), room);
            inner.publish(segment, room);
        }
        let (messages, received) = channel();
        let watch = runtime().spawn(watch(test.api().client.clone(), test.name.clone(), messages.clone()));
        let at_work = inner.clone();
        let work = Some(std::thread::spawn(move || at_work.work(&received)));
        Self { inner, messages, watch, work }
    }

    /// Changes what there is in a segment, and says so.
    pub fn set_room(&self, segment: &str, room: Room) {
        self.inner.state().rooms.insert(segment.into(), room);
        self.inner.publish(segment, room);
        self.again();
    }

    /// Makes nothing until told otherwise.
    pub fn hold(&self, held: bool) {
        self.inner.state().held = held;
        self.again();
    }

    fn again(&self) {
        // It has stopped only when this is dropped.
        let _stopped = self.messages.send(Message::Again);
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        self.watch.abort();
        let _stopped = self.messages.send(Message::Stop);
        let _panicked = self.work.take().map(JoinHandle::join);
    }
}

/// Tells of every claim of a namespace.
async fn watch(client: kube::Client, namespace: String, messages: Sender<Message>) {
    let claims =
        ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk("", "v1", "PersistentVolumeClaim"), "persistentvolumeclaims");
    let api = Objects::<DynamicObject>::namespaced_with(client, &namespace, &claims);
    let mut stream = pin!(watcher::watcher(api, watcher::Config::default()));
    while let Some(event) = stream.next().await {
        let message = match event {
            Ok(Event::Apply(claim) | Event::InitApply(claim)) => Message::Claim(serde_json::to_value(claim).unwrap_or_default()),
            Ok(Event::Delete(claim)) => Message::Gone(claim.metadata.name.unwrap_or_default()),
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        if messages.send(message).is_err() {
            return;
        }
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, messages: &Receiver<Message>) {
        let mut claims = BTreeMap::new();
        for message in messages {
            match message {
                Message::Stop => return,
                Message::Claim(claim) => drop(claims.insert(text(&claim["metadata"]["name"]), claim)),
                Message::Gone(name) => drop(claims.remove(&name)),
                Message::Again => {}
            }
            claims.retain(|_, claim| !self.served(claim));
        }
    }

    /// Whether nothing is left to do for a claim as it is.
    fn served(&self, claim: &Value) -> bool {
        let (meta, spec) = (&claim["metadata"], &claim["spec"]);
        let annotations = &meta["annotations"];
        let node = annotations[SELECTED_NODE].as_str();
        // The volume controller asks for a volume by naming the driver.
        let asked = annotations["volume.kubernetes.io/storage-provisioner"] == self.driver.as_str();
        let gone = !spec["volumeName"].is_null() || !meta["deletionTimestamp"].is_null();
        if spec["storageClassName"] != self.class.as_str() || gone || !asked || (node.is_none() && !self.immediate) {
            return true;
        }
        let state = self.state();
        if state.held || state.made.contains(&text(&meta["uid"])) {
            return !state.held;
        }
        drop(state);
        let size = gibibytes(&text(&spec["resources"]["requests"]["storage"]));
        match self.segment_for(node, size) {
            Ok(segment) => self.make(claim, &segment, size),
            Err(why) => self.give_up(claim, &why),
        }
        true
    }

    /// Where a volume of so many GiB is made, or why not.
    fn segment_for(&self, node: Option<&str>, size: i64) -> Result<String, String> {
        let segment = match node {
            Some(node) => {
                let found = self.api.find(&format!("/api/v1/nodes/{node}")).ok_or_else(|| format!("node {node:?} not found"))?;
                Some(text(&found["metadata"]["labels"][SEGMENT]))
            }
            None => None,
        };
        let state = self.state();
        let room = |s: &String, r: &Room| segment.as_ref().is_none_or(|wanted| wanted == s) && !r.exhausted && r.free >= size;
        let found = state.rooms.iter().find(|(segment, r)| room(segment, r)).map(|(segment, _)| segment.clone());
        found.ok_or_else(|| format!("rpc error: code = ResourceExhausted desc = no {size} GiB left in {segment:?}"))
    }

    fn make(&self, claim: &Value, segment: &str, size: i64) {
        let meta = &claim["metadata"];
        let name = format!("pvc-{}", text(&meta["uid"]));
        let terms = json!([{"matchExpressions": [{"key": SEGMENT, "operator": "In", "values": [segment]}]}]);
        let volume = json!({
            "metadata": {
                "name": name, "labels": {crate::fixture::LABEL: self.namespace},
                "annotations": {"pv.kubernetes.io/provisioned-by": self.driver},
            },
            "spec": {
                "capacity": {"storage": format!("{size}Gi")}, "accessModes": claim["spec"]["accessModes"],
                "storageClassName": self.class, "persistentVolumeReclaimPolicy": "Retain",
                "csi": {"driver": self.driver, "volumeHandle": name}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.namespace,
                    "name": meta["name"], "uid": meta["uid"],
                },
            },
        });
        if self.api.try_create(KINDS[1], &volume).is_err() {
            return; // the test is over, or an earlier driver has made it
        }
        let mut state = self.state();
        state.made.insert(text(&meta["uid"]));
        let Some(room) = state.rooms.get_mut(segment) else { return };
        room.free -= size;
        let room = *room;
        drop(state);
        self.publish(segment, room);
    }

    /// Says that it did not work and gives the claim back to the scheduler.
    fn give_up(&self, claim: &Value, why: &str) {
        let (meta, now) = (&claim["metadata"], "2026-01-01T00:00:00Z");
        let event = json!({
            "metadata": {"generateName": "provisioning-"}, "type": "Warning", "reason": "ProvisioningFailed",
            "message": format!("failed to provision volume with StorageClass {:?}: {why}", self.class),
            "firstTimestamp": now, "lastTimestamp": now, "source": {"component": self.driver},
            "involvedObject": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.namespace, "name": meta["name"], "uid": meta["uid"]},
        });
        let _told = self.api.try_create(&format!("/api/v1/namespaces/{}/events", self.namespace), &event);
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims/{}", self.namespace, text(&meta["name"]));
        // On the version that was judged: a claim that has changed is judged anew.
        let patch = json!({"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {SELECTED_NODE: null}}});
        let _conflict = self.api.try_patch(&path, &patch);
    }

    fn publish(&self, segment: &str, room: Room) {
        let capacities = format!("/apis/storage.k8s.io/v1/namespaces/{}/csistoragecapacities", self.namespace);
        let name = format!("{}-{segment}", self.driver);
        let said = json!({"capacity": format!("{}", room.free * GI), "maximumVolumeSize": room.largest.map(|l| format!("{}", l * GI))});
        if self.api.try_patch(&format!("{capacities}/{name}"), &said).is_err() {
            let new = json!({
                "metadata": {"name": name}, "storageClassName": self.class, "nodeTopology": {"matchLabels": {SEGMENT: segment}},
            });
            // The namespace may be on its way out.
            let _gone = self.api.try_create(&capacities, &crate::merged(new, said));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `3Gi` is 3.
fn gibibytes(quantity: &str) -> i64 {
    quantity.strip_suffix("Gi").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("tests ask for whole Gi, not {quantity:?}"))
}
