//! What the cluster's own controllers do: bind claims to volumes, make volumes, clear away pods of nodes that are gone.
//! Leaves out the scheduler's part of it.

use super::{Job, World};
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{Claim, Volume};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

impl World<'_> {
    /// Each controller does what it has come to; in trouble they are slow.
    pub(super) fn control(&mut self) {
        let unbound: Vec<Arc<Claim>> = self.server.claims().filter(|claim| claim.volume.is_none()).cloned().collect();
        for claim in unbound {
            if self.troubled && !self.random.one_in(4) {
                continue;
            }
            let given = self.server.volumes().find(|volume| volume.is_for(&claim)).cloned();
            match (given, &claim.selected_node) {
                (Some(volume), _) => self.bind_claim(&claim, &volume),
                (None, Some(node)) => self.provision(&claim, &node.clone()),
                (None, None) => {}
            }
        }
        self.collect();
        let orphans: Vec<Arc<Volume>> = self.server.volumes().filter(|volume| self.is_orphan(volume)).cloned().collect();
        for mut volume in orphans {
            let own = Arc::make_mut(&mut volume);
            (own.claim, own.available) = (None, true);
            self.server.set(Event::VolumeSet(volume));
        }
    }

    /// Whether the claim that a volume was given to is gone.
    fn is_orphan(&self, volume: &Volume) -> bool {
        let claim = |(namespace, name, _): &(Str, Str, Str)| self.server.claim(namespace, name).cloned();
        volume.claim.as_ref().is_some_and(|of| claim(of).is_none_or(|claim| !volume.is_for(&claim)))
    }

    fn bind_claim(&mut self, claim: &Claim, volume: &Volume) {
        let to = (claim.namespace.clone(), claim.name.clone(), claim.uid.clone());
        let claim = Claim { volume: Some(volume.name.clone()), bind_completed: true, ..claim.clone() };
        self.server.set(Event::VolumeSet(Arc::new(Volume { claim: Some(to), available: false, ..volume.clone() })));
        self.server.set(Event::ClaimSet(Arc::new(claim)));
    }

    /// Makes a volume on the node that was asked for, or gives up and says so by taking the node away again.
    fn provision(&mut self, claim: &Claim, node: &Str) {
        if self.server.node(node).is_none() || (self.troubled && self.random.one_in(4)) {
            return self.server.set(Event::ClaimSet(Arc::new(Claim { selected_node: None, ..claim.clone() })));
        }
        let host = Requirement { key: HOSTNAME.into(), operator: Operator::In, values: vec![node.clone()] };
        let volume = Volume {
            name: format!("made-{}", claim.uid).into(),
            node_affinity: Some(vec![NodeSelectorTerm { labels: vec![host], fields: Vec::new() }]),
            storage_class: claim.storage_class.clone().unwrap_or_default(),
            access_modes: claim.access_modes,
            capacity: claim.requested,
            ..Volume::default()
        };
        self.bind_claim(claim, &volume);
    }

    /// Pods on nodes that are gone go, after a while.
    fn collect(&mut self) {
        let lost = self.server.pods().filter(|pod| pod.node.as_ref().is_some_and(|node| self.server.node(node).is_none()));
        let lost: Vec<Str> = lost.map(|pod| pod.uid.clone()).collect();
        for uid in lost {
            if !self.troubled || self.random.one_in(20) {
                self.plan(0, Job::End(uid));
            }
        }
    }
}
