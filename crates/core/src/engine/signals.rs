//! Completes nodes by what other systems say of them, before they enter the cache, and again when that changes.
//! Leaves out what is believed of whom: see `aisched_model::signals`.

use super::Engine;
use crate::cache::NodeChange;
use crate::event::Millis;
use crate::framework::ClusterEvent;
use aisched_model::Str;
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::node::Node;
use aisched_model::signals::{fill_in, node_findings};
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    /// A node as it is written enters the cache as it is believed to be.
    pub(super) fn place_node(&mut self, now: Millis, node: Arc<Node>) {
        let believed = self.believed(&node);
        self.as_written.insert(node.name.clone(), node);
        match self.cache.set_node(believed.clone()) {
            NodeChange::Added => self.wake(now, &ClusterEvent::NodeAdded(&believed)),
            NodeChange::Changed(old) if old != believed => self.wake(now, &ClusterEvent::NodeChanged { old: &old, new: &believed }),
            NodeChange::Changed(_) => {}
        }
    }

    fn believed(&self, node: &Arc<Node>) -> Arc<Node> {
        let findings = node_findings(node, &self.cache.snapshot().foreign, &self.config.signals);
        if findings.is_empty() {
            return node.clone();
        }
        let mut believed = Node::clone(node);
        fill_in(&mut believed.storage, findings);
        Arc::new(believed)
    }

    pub(super) fn foreign_set(&mut self, now: Millis, object: Foreign) {
        let (every_node, nodes) = match &object {
            Foreign::Topology(..) => (true, Vec::new()),
            Foreign::NodeStorage(storage) => {
                let before = self.cache.snapshot().foreign.node_storage.node_of(storage.kind, &storage.name).cloned();
                (false, before.into_iter().chain([storage.node.clone()]).collect())
            }
            Foreign::Workload(_)
            | Foreign::Queue(_)
            | Foreign::Workflow(_)
            | Foreign::Dataset(..)
            | Foreign::Replica(_)
            | Foreign::AttributesClass(..)
            | Foreign::Gang(_) => (false, Vec::new()),
        };
        let described = if let Foreign::Gang(gang) = &object { Some(gang.key.clone()) } else { None };
        self.cache.objects().foreign.set(object);
        self.reconsider(now, every_node, nodes);
        if let Some(object) = described {
            self.gangs_described(now, &object);
        }
    }

    pub(super) fn foreign_gone(&mut self, now: Millis, name: &ForeignName) {
        let (every_node, nodes) = match name {
            ForeignName::Topology(_) => (true, Vec::new()),
            ForeignName::NodeStorage(kind, name) => {
                (false, self.cache.snapshot().foreign.node_storage.node_of(kind, name).cloned().into_iter().collect())
            }
            ForeignName::Workload(_)
            | ForeignName::Queue(_)
            | ForeignName::Workflow(_)
            | ForeignName::Dataset(_)
            | ForeignName::Replica(_)
            | ForeignName::AttributesClass(_)
            | ForeignName::Gang(_) => (false, Vec::new()),
        };
        self.cache.objects().foreign.remove(name);
        self.reconsider(now, every_node, nodes);
        if let ForeignName::Gang(object) = name {
            self.gangs_described(now, object);
        }
    }

    /// Other systems say something else of these nodes now.
    fn reconsider(&mut self, now: Millis, every_node: bool, nodes: Vec<Str>) {
        if every_node {
            return self.reconsider_all(now);
        }
        for node in nodes {
            if let Some(node) = self.as_written.get(&node).cloned() {
                self.place_node(now, node);
            }
        }
    }

    /// Other sources are believed now.
    pub(super) fn reconsider_all(&mut self, now: Millis) {
        let nodes: Vec<Arc<Node>> = self.as_written.values().cloned().collect();
        for node in nodes {
            self.place_node(now, node);
        }
    }
}
