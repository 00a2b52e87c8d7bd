//! Completes nodes by what other systems say of them, before they enter the cache, and again when that changes.
//! Leaves out what is believed of whom: see `aisched_model::signals`.

use super::Engine;
use crate::cache::NodeChange;
use crate::event::Millis;
use crate::framework::ClusterEvent;
use aisched_model::Str;
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::node::Node;
use aisched_model::signals::{Ladder, fill_in, node_findings};
use aisched_model::storage_facts::agree;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Since when facts of a node are known as they are, each by its name and by what says so.
pub(super) type Since = Vec<(&'static str, Str, Millis)>;

impl Engine {
    /// A node as it is written enters the cache as it is believed to be.
    pub(super) fn node_written(&mut self, now: Millis, node: Arc<Node>) {
        let foreign = &self.cache.snapshot().foreign;
        let before = self.as_written.insert(node.name.clone(), node.clone());
        // The rungs that it no longer stands on are taken away last: nothing turns when nothing has changed.
        let mut turned = self.ladder.count(&node, foreign, true);
        turned |= before.is_some_and(|before| self.ladder.count(&before, foreign, false));
        self.place_node(now, &node);
        self.ladder_turned(now, turned);
    }

    /// A node is gone, and with it what it told of others.
    pub(super) fn node_unwritten(&mut self, now: Millis, name: &Str) {
        self.known_since.remove(name);
        let Some(node) = self.as_written.remove(name) else { return };
        let turned = self.ladder.count(&node, &self.cache.snapshot().foreign, false);
        self.ladder_turned(now, turned);
    }

    /// Before everything is known, racks come and go with every node: they are looked at when all is there.
    fn ladder_turned(&mut self, now: Millis, turned: bool) {
        if turned && self.synced {
            self.reconsider_all(now);
        }
    }

    fn place_node(&mut self, now: Millis, node: &Arc<Node>) {
        let believed = self.believed(node);
        let before = self.cache.snapshot().node(&node.name).map(|info| info.node.clone());
        self.note_since(now, before.as_deref(), &believed);
        match self.cache.set_node(believed.clone()) {
            NodeChange::Added => self.wake(now, &ClusterEvent::NodeAdded(&believed)),
            NodeChange::Changed(old) if old != believed => self.wake(now, &ClusterEvent::NodeChanged { old: &old, new: &believed }),
            NodeChange::Changed(_) => {}
        }
    }

    fn believed(&self, node: &Arc<Node>) -> Arc<Node> {
        let findings = node_findings(node, &self.cache.snapshot().foreign, &self.ladder, &self.config.signals);
        if findings.is_empty() {
            return node.clone();
        }
        let mut believed = Node::clone(node);
        fill_in(&mut believed.storage, findings);
        Arc::new(believed)
    }

    /// What was believed before, of the same source, keeps its age.
    fn note_since(&mut self, now: Millis, before: Option<&Node>, believed: &Node) {
        let known = self.known_since.remove(&believed.name).unwrap_or_default();
        let since = |(fact, source): &(&'static str, Str)| {
            let same = before.is_some_and(|before| agree(fact, &before.storage, &believed.storage));
            let earlier = known.iter().find(|(f, s, _)| f == fact && s == source).map(|(_, _, since)| *since);
            (*fact, source.clone(), earlier.filter(|_| same).unwrap_or(now))
        };
        let since: Since = believed.storage.inferred.iter().map(since).collect();
        if !since.is_empty() {
            self.known_since.insert(believed.name.clone(), since);
        }
    }

    /// For how many seconds the facts of a node that nobody labelled have been known as they are; of several sources, the latest.
    #[must_use]
    pub fn ages(&self, node: &str, now: Millis) -> BTreeMap<&'static str, u64> {
        let mut ages = BTreeMap::new();
        for (fact, _, since) in self.known_since.get(node).into_iter().flatten() {
            let age = now.saturating_sub(*since) / 1000;
            ages.entry(*fact).and_modify(|known: &mut u64| *known = age.min(*known)).or_insert(age);
        }
        ages
    }

    /// An object was told, or told anew.
    pub(super) fn heard(&mut self, now: Millis, source: String) {
        self.cache.objects().heard.insert(source.into(), now);
    }

    pub(super) fn forgotten(&mut self, source: &str) {
        self.cache.objects().heard.remove(source);
    }

    pub(super) fn foreign_set(&mut self, now: Millis, object: Foreign) {
        let name = object.name();
        self.heard(now, name.to_string());
        let mut about = self.about(&name);
        if let Foreign::NodeStorage(storage) = &object {
            about.extend([storage.node.clone()]);
        }
        self.cache.objects().foreign.set(object);
        self.reconsider(now, &name, about);
        if let ForeignName::Gang(object) = &name {
            self.gangs_described(now, object);
        }
    }

    pub(super) fn foreign_gone(&mut self, now: Millis, name: &ForeignName) {
        self.forgotten(&name.to_string());
        let about = self.about(name);
        self.cache.objects().foreign.remove(name);
        self.reconsider(now, name, about);
        if let ForeignName::Gang(object) = name {
            self.gangs_described(now, object);
        }
    }

    /// The node that an object of this name tells of.
    fn about(&self, name: &ForeignName) -> Vec<Str> {
        let ForeignName::NodeStorage(kind, name) = name else { return Vec::new() };
        self.cache.snapshot().foreign.node_storage.node_of(kind, name).cloned().into_iter().collect()
    }

    /// Other systems say something else of these nodes now, or of what a rack is.
    fn reconsider(&mut self, now: Millis, name: &ForeignName, nodes: Vec<Str>) {
        if matches!(name, ForeignName::Topology(_) | ForeignName::HyperNode(_)) && self.synced {
            return self.reconsider_racks(now);
        }
        for node in nodes {
            if let Some(node) = self.as_written.get(&node).cloned() {
                self.place_node(now, &node);
            }
        }
    }

    /// What a rack is has to be found anew, and so every node's.
    pub(super) fn reconsider_racks(&mut self, now: Millis) {
        self.ladder = Ladder::of(self.as_written.values().map(|node| &**node), &self.cache.snapshot().foreign);
        self.reconsider_all(now);
    }

    /// Other sources are believed now.
    pub(super) fn reconsider_all(&mut self, now: Millis) {
        let nodes: Vec<Arc<Node>> = self.as_written.values().cloned().collect();
        for node in nodes {
            self.place_node(now, &node);
        }
    }
}
