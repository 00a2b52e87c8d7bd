//! Keeps with every node which drivers are there and which volumes they hold, whatever of it changes: pods, claims, volumes, classes,
//! attachments. Leaves out what follows from it.

use super::Cache;
use crate::attached::{attached_to, volumes_of};
use crate::journal::What;
use aisched_model::Str;
use aisched_model::pod::Pod;
use aisched_model::snapshot::NamespacedName;
use aisched_model::volume::{Attachment, Claim, CsiNode, StorageClass, Volume};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Cache {
    /// Adds or replaces a volume; returns what was there.
    pub(crate) fn set_volume(&mut self, volume: Arc<Volume>) -> Option<Arc<Volume>> {
        let volume = self.promises.volume(volume);
        let old = self.snapshot.set_volume(volume.clone());
        let known_as = |v: &Volume| (v.driver.clone(), v.handle.clone(), v.in_tree.clone());
        if old.as_deref().map(known_as) != Some(known_as(&volume)) {
            self.volume_moved(&volume.name);
        }
        old
    }

    /// Takes a volume away.
    pub(crate) fn remove_volume(&mut self, name: &str) {
        self.promises.volume_gone(name);
        if let Some(volume) = self.snapshot.remove_volume(name) {
            self.volume_moved(&volume.name);
        }
    }

    /// Adds or replaces a claim; returns what was there.
    pub(crate) fn set_claim(&mut self, claim: Arc<Claim>) -> Option<Arc<Claim>> {
        let claim = self.promises.claim(claim);
        let old = self.snapshot.set_claim(claim.clone());
        if old.as_ref().is_none_or(|old| old.volume != claim.volume || old.storage_class != claim.storage_class) {
            self.claim_moved(&(claim.namespace.clone(), claim.name.clone()));
        }
        old
    }

    /// Takes a claim away.
    pub(crate) fn remove_claim(&mut self, namespace: Str, name: Str) -> Option<Arc<Claim>> {
        let key = (namespace, name);
        self.promises.claim_gone(&key);
        let old = self.snapshot.remove_claim(&key);
        self.claim_moved(&key);
        old
    }

    /// Adds or replaces a class; returns what was there.
    pub(crate) fn set_class(&mut self, class: Arc<StorageClass>) -> Option<Arc<StorageClass>> {
        let old = self.snapshot.classes.insert(class.name.clone(), class.clone());
        if old.as_ref().is_none_or(|old| old.provisioner != class.provisioner) {
            self.settle_all();
        }
        old
    }

    /// Takes a class away.
    pub(crate) fn remove_class(&mut self, name: &Str) {
        self.snapshot.classes.remove(name);
        self.settle_all();
    }

    /// Adds or replaces a node's drivers; returns what was there.
    pub(crate) fn set_csi_node(&mut self, csi_node: Arc<CsiNode>) -> Option<Arc<CsiNode>> {
        let old = self.snapshot.csi_nodes.insert(csi_node.name.clone(), csi_node.clone());
        self.settle_named(&csi_node.name);
        old
    }

    /// Takes a node's drivers away.
    pub(crate) fn remove_csi_node(&mut self, name: &Str) -> Option<Arc<CsiNode>> {
        let old = self.snapshot.csi_nodes.remove(name);
        self.settle_named(name);
        old
    }

    /// Adds or replaces an attachment.
    pub(crate) fn set_attachment(&mut self, attachment: Arc<Attachment>) {
        let moved_from = self.snapshot.attachments.get(&attachment.name).map(|old| old.node.clone());
        let node = attachment.node.clone();
        self.snapshot.set_attachment(attachment);
        for name in moved_from.filter(|from| *from != node).iter().chain([&node]) {
            self.settle_named(name);
        }
    }

    /// Takes an attachment away.
    pub(crate) fn remove_attachment(&mut self, name: &str) -> Option<Arc<Attachment>> {
        let old = self.snapshot.remove_attachment(name)?;
        self.settle_named(&old.node);
        Some(old)
    }

    /// A volume came, went, or is known to its driver by another name.
    fn volume_moved(&mut self, name: &Str) {
        for claim in self.snapshot.bound_claims.get(name).cloned().unwrap_or_default() {
            self.claim_moved(&claim);
        }
        let nodes: Vec<Str> = self.snapshot.attached_to.get(name).map(|to| to.values().cloned().collect()).unwrap_or_default();
        nodes.iter().for_each(|node| self.settle_named(node));
    }

    /// A claim came, went, or has another volume.
    fn claim_moved(&mut self, (namespace, name): &NamespacedName) {
        let users = self.snapshot.claim_users.get(&(namespace.clone(), name.clone()));
        let nodes: BTreeSet<usize> = users.into_iter().flatten().filter_map(|node| self.snapshot.node_idx(node)).collect();
        for node in nodes {
            self.settle_pods(node, |pod| pod.namespace == *namespace && pod.claims().any(|claim| claim == *name));
        }
    }

    fn settle_all(&mut self) {
        for node in 0..self.snapshot.nodes.len() {
            self.settle_pods(node, |_| true);
        }
    }

    fn settle_named(&mut self, node: &str) {
        if let Some(node) = self.snapshot.node_idx(node) {
            self.settle_node(node);
        }
    }

    /// Looks again at the drivers of a node and at what is attached to it.
    pub(super) fn settle_node(&mut self, node: usize) {
        let info = &self.snapshot.nodes[node];
        let name = &info.node.name;
        let (attached, csi) = (attached_to(name, &self.snapshot), self.snapshot.csi_nodes.get(name).cloned());
        if info.attached() == attached && info.csi == csi {
            return;
        }
        self.snapshot.count_handles(&attached, true);
        let info = Arc::make_mut(&mut self.snapshot.nodes[node]);
        info.csi = csi;
        let old = info.set_attached(attached);
        self.snapshot.count_handles(&old, false);
        self.journal.note(node, What::Object { regrouped: false });
    }

    /// Looks again at the volumes of pods on a node.
    pub(super) fn settle_pods(&mut self, node: usize, concerned: impl Fn(&Pod) -> bool) {
        let mut changed = false;
        for at in 0..self.snapshot.nodes[node].pods.len() {
            let placed = &self.snapshot.nodes[node].pods[at];
            if placed.pod.spec.volumes.is_empty() || !concerned(&placed.pod) {
                continue;
            }
            let volumes = volumes_of(&placed.pod, &self.snapshot);
            if volumes != placed.volumes {
                self.snapshot.count_handles(&volumes, true);
                let old = Arc::make_mut(&mut self.snapshot.nodes[node]).set_pod_volumes(at, volumes);
                self.snapshot.count_handles(&old, false);
                changed = true;
            }
        }
        if changed {
            self.journal.note(node, What::Object { regrouped: false });
        }
    }
}
