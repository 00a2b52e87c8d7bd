//! Turns what a watch of one kind reports into the engine's events, and finds out what vanished while nobody was looking.
//! Knows no network; keeps what the engine was told, which shares it, and no object.

use super::kinds::{Id, Kind};
use crate::intern::Interner;
use aisched_core::event::Event;
use aisched_model::Str;
use kube::Resource;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use tracing::warn;

/// What is known of the objects of one kind.
pub(super) struct Tracker<K: Kind> {
    known: BTreeMap<(Str, Str), Known<K::News>>,
    /// Counts the lists: what the last one did not name is gone.
    round: u32,
    interner: Interner,
    kind: PhantomData<K>,
}

struct Known<N> {
    uid: Str,
    /// What the engine was told last.
    told: N,
    /// Hash of the resource version: an object that a new list names in the same version is no news.
    version: u64,
    round: u32,
    /// Hash of the faults that were reported.
    faults: u64,
}

impl<K: Kind> Tracker<K> {
    pub(super) fn new() -> Self {
        Self { known: BTreeMap::new(), round: 0, interner: Interner::default(), kind: PhantomData }
    }

    /// A list begins.
    pub(super) fn list_begins(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// A list has ended: events for what it did not name.
    pub(super) fn list_ends(&mut self) -> Vec<Event> {
        let round = self.round;
        let gone = self.known.extract_if(.., |_, known| known.round != round);
        gone.map(|((namespace, name), known)| K::gone(Id { namespace, name, uid: known.uid })).collect()
    }

    /// An object is there or has changed. Another object under the same name is told as gone first.
    pub(super) fn set(&mut self, object: &K::Object) -> Vec<Event> {
        let (id, key) = self.id(object);
        let version = hash(object.meta().resource_version.as_deref().unwrap_or_default());
        let mut events = Vec::new();
        let mut reported = 0;
        let mut told = None;
        match self.known.get_mut(&key) {
            Some(known) if known.uid == id.uid => {
                known.round = self.round;
                if known.version == version {
                    return events;
                }
                reported = known.faults;
                told = Some(&known.told);
            }
            Some(known) => events.push(K::gone(Id { uid: known.uid.clone(), ..id.clone() })),
            None => {}
        }
        let (mut news, faults) = K::read(object, &mut self.interner);
        match told {
            // A heartbeat, a container's start: nothing that bears on placement. The new value is dropped for the old one.
            Some(told) if *told == news => news = told.clone(),
            Some(_) | None => events.push(K::set(news.clone())),
        }
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let faults = if shown.is_empty() { 0 } else { hash(&shown) };
        if faults != reported && faults != 0 {
            warn!(kind = K::NAME.plural, namespace = &*id.namespace, name = &*id.name, "{}", shown.join("; "));
        }
        self.known.insert(key, Known { uid: id.uid, told: news, version, round: self.round, faults });
        events
    }

    /// An object is gone.
    pub(super) fn delete(&mut self, object: &K::Object) -> Option<Event> {
        let (id, key) = self.id(object);
        if self.known.get(&key).is_some_and(|known| known.uid != id.uid) {
            return None; // the one that took its place was told first
        }
        self.known.remove(&key).map(|_| K::gone(id))
    }

    fn id(&mut self, object: &K::Object) -> (Id, (Str, Str)) {
        let meta = object.meta();
        let namespace = self.interner.str(meta.namespace.as_deref().unwrap_or_default());
        let name = self.interner.str(meta.name.as_deref().unwrap_or_default());
        let key = self.known.get_key_value(&(namespace.clone(), name.clone())).map_or((namespace, name), |(key, _)| key.clone());
        (Id { namespace: key.0.clone(), name: key.1.clone(), uid: self.interner.str(meta.uid.as_deref().unwrap_or_default()) }, key)
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
