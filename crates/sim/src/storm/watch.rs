//! A client's watch of one kind: changes in their order, late; a break now and then, after which it lists anew or goes on.
//! Leaves out who is told: it only gives the events, as the adapter for Kubernetes does.

use super::server::{Key, Kind, Object, Server, gone};
use aisched_core::event::Event;
use aisched_model::Str;
use alloc::collections::{BTreeMap, VecDeque};

/// A watch and what it has told.
pub(super) struct Watch {
    kind: Kind,
    /// UID and version of what was told.
    known: BTreeMap<Key, (Str, u64)>,
    /// Version up to which the log has been read; `None` before a list.
    read: Option<usize>,
    /// Events that are read and not yet told.
    told_next: VecDeque<Event>,
    /// Broken until it is opened again.
    broken: bool,
    /// Whether the first list has been told.
    pub(super) listed: bool,
}

impl Watch {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, known: BTreeMap::new(), read: None, told_next: VecDeque::new(), broken: false, listed: false }
    }

    /// The connection breaks; `forget` means that the server will not know the place any more, so that a list follows.
    pub(super) fn break_off(&mut self, forget: bool) {
        self.broken = true;
        if forget {
            self.read = None;
        }
    }

    pub(super) fn open(&mut self) {
        self.broken = false;
    }

    /// The next event for the client, if the watch has anything to tell.
    pub(super) fn next(&mut self, server: &Server) -> Option<Event> {
        if self.told_next.is_empty() && !self.broken {
            self.read_on(server);
        }
        let event = self.told_next.pop_front();
        self.listed |= self.read.is_some() && self.told_next.is_empty();
        event
    }

    fn read_on(&mut self, server: &Server) {
        let Some(read) = self.read else { return self.list(server) };
        if let Some((version, change)) = server.next_change(self.kind, read) {
            self.read = Some(version);
            match &change.object {
                Some(object) => self.set(&change.key, object),
                None => self.remove(&change.key),
            }
        }
    }

    /// What is there and was not told in this version, then what is not there any more.
    fn list(&mut self, server: &Server) {
        self.read = Some(server.version());
        for (key, object) in server.list(self.kind) {
            self.set(key, object);
        }
        let there: BTreeMap<&Key, &Object> = server.list(self.kind).collect();
        let missing: alloc::vec::Vec<Key> = self.known.keys().filter(|key| !there.contains_key(key)).cloned().collect();
        missing.iter().for_each(|key| self.remove(key));
    }

    fn set(&mut self, key: &Key, object: &Object) {
        match self.known.insert(key.clone(), (object.uid.clone(), object.version)) {
            Some((uid, version)) if uid == object.uid && version == object.version => return,
            Some((uid, _)) if uid != object.uid => self.told_next.push_back(gone(key, &uid)),
            Some(_) | None => {}
        }
        self.told_next.push_back(object.set.clone());
    }

    fn remove(&mut self, key: &Key) {
        if let Some((uid, _)) = self.known.remove(key) {
            self.told_next.push_back(gone(key, &uid));
        }
    }
}
