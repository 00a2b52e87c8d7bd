//! An API server: objects with resource versions, and a log of their changes that watches read at their own pace.
//! Leaves out the controllers that change objects, and faults: those happen on the way to a client.

use aisched_core::event::{Event, PodRef};
use aisched_model::Str;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::volume::{Claim, Volume};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Kinds that have watches of their own, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Node,
    Pod,
    Claim,
    Volume,
    Class,
    Budget,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [Self::Node, Self::Pod, Self::Claim, Self::Volume, Self::Class, Self::Budget];
}

/// Kind, namespace, name.
pub(super) type Key = (Kind, Str, Str);

/// An object as the server holds it: what a client would be told of it.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) uid: Str,
    pub(super) version: u64,
    pub(super) set: Event,
}

/// A change: the object from then on, or that it is gone.
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) object: Option<Object>,
}

/// The objects and everything that happened to them.
#[derive(Default)]
pub(super) struct Server {
    objects: BTreeMap<Key, Object>,
    /// The change of version n is at n - 1.
    log: Vec<Change>,
    /// Names of pods by UID.
    pod_keys: BTreeMap<Str, Key>,
}

impl Server {
    /// The version that the next list would have.
    pub(super) fn version(&self) -> usize {
        self.log.len()
    }

    /// The first change of a kind after a version, and its version.
    pub(super) fn next_change(&self, kind: Kind, after: usize) -> Option<(usize, &Change)> {
        let changes = self.log.iter().enumerate().skip(after);
        changes.map(|(i, change)| (i + 1, change)).find(|(_, change)| change.key.0 == kind)
    }

    pub(super) fn list(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter().filter(move |(key, _)| key.0 == kind)
    }

    /// Creates or changes an object. A pod that has ended is no longer listed: to watches it is gone.
    pub(super) fn set(&mut self, event: Event) {
        let Some((key, uid)) = identity(&event) else { return };
        if let Event::PodSet(pod) = &event {
            if pod.ended {
                return self.remove(&key);
            }
            self.pod_keys.insert(uid.clone(), key.clone());
        }
        let object = Object { uid, version: self.log.len() as u64 + 1, set: event };
        self.objects.insert(key.clone(), object.clone());
        self.log.push(Change { key, object: Some(object) });
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(object) = self.objects.remove(key) {
            self.pod_keys.remove(&object.uid);
            self.log.push(Change { key: key.clone(), object: None });
        }
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.list(Kind::Pod).filter_map(|(_, object)| if let Event::PodSet(pod) = &object.set { Some(pod) } else { None })
    }

    pub(super) fn pod(&self, uid: &str) -> Option<&Arc<Pod>> {
        match &self.objects.get(self.pod_keys.get(uid)?)?.set {
            Event::PodSet(pod) => Some(pod),
            _ => None,
        }
    }

    pub(super) fn change_pod(&mut self, uid: &str, change: impl FnOnce(&mut Pod)) {
        if let Some(mut pod) = self.pod(uid).cloned() {
            change(Arc::make_mut(&mut pod));
            self.set(Event::PodSet(pod));
        }
    }

    pub(super) fn remove_pod(&mut self, uid: &str) {
        if let Some(key) = self.pod_keys.get(uid).cloned() {
            self.remove(&key);
        }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.list(Kind::Node).filter_map(|(_, object)| if let Event::NodeSet(node, _) = &object.set { Some(node) } else { None })
    }

    pub(super) fn node(&self, name: &Str) -> Option<&Arc<Node>> {
        match &self.objects.get(&(Kind::Node, Str::default(), name.clone()))?.set {
            Event::NodeSet(node, _) => Some(node),
            _ => None,
        }
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = &Arc<Claim>> {
        self.list(Kind::Claim).filter_map(|(_, object)| if let Event::ClaimSet(claim) = &object.set { Some(claim) } else { None })
    }

    pub(super) fn claim(&self, namespace: &Str, name: &Str) -> Option<&Arc<Claim>> {
        match &self.objects.get(&(Kind::Claim, namespace.clone(), name.clone()))?.set {
            Event::ClaimSet(claim) => Some(claim),
            _ => None,
        }
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.list(Kind::Volume).filter_map(|(_, object)| if let Event::VolumeSet(volume) = &object.set { Some(volume) } else { None })
    }

    pub(super) fn volume(&self, name: &Str) -> Option<&Arc<Volume>> {
        match &self.objects.get(&(Kind::Volume, Str::default(), name.clone()))?.set {
            Event::VolumeSet(volume) => Some(volume),
            _ => None,
        }
    }
}

/// What an event is about, and its UID.
fn identity(event: &Event) -> Option<(Key, Str)> {
    let cluster = Str::default;
    Some(match event {
        Event::NodeSet(node, _) => ((Kind::Node, cluster(), node.name.clone()), node.name.clone()),
        Event::PodSet(pod) => ((Kind::Pod, pod.namespace.clone(), pod.name.clone()), pod.uid.clone()),
        Event::ClaimSet(claim) => ((Kind::Claim, claim.namespace.clone(), claim.name.clone()), claim.uid.clone()),
        Event::VolumeSet(volume) => ((Kind::Volume, cluster(), volume.name.clone()), volume.name.clone()),
        Event::ClassSet(class) => ((Kind::Class, cluster(), class.name.clone()), class.name.clone()),
        Event::BudgetSet(budget) => ((Kind::Budget, budget.namespace.clone(), budget.name.clone()), budget.name.clone()),
        _ => return None,
    })
}

/// What a client is told of an object that is gone.
pub(super) fn gone((kind, namespace, name): &Key, uid: &Str) -> Event {
    let (namespace, name) = (namespace.clone(), name.clone());
    match kind {
        Kind::Node => Event::NodeGone(name),
        Kind::Pod => Event::PodGone(PodRef { uid: uid.clone(), namespace, name }),
        Kind::Claim => Event::ClaimGone(namespace, name),
        Kind::Volume => Event::VolumeGone(name),
        Kind::Class => Event::ClassGone(name),
        Kind::Budget => Event::BudgetGone(namespace, name),
    }
}
