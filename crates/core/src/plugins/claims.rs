//! What the volume plugins ask of claims alike: which of them a pod uses, whether they are its own, what is said when they are missing,
//! and which of them no plugin tells apart. Leaves out every rule of a single plugin.

use super::volume_zone::named_zones;
use crate::cures::Change;
use crate::framework::Attempt;
use aisched_model::Str;
use aisched_model::pod::{Pod, PodSpec, PodVolume};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{BindingMode, Claim, Volume};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};
use foldhash::fast::FixedState;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Whether a pod names the claim itself: claims of its ephemeral volumes do not count.
pub(super) fn uses_claim(pod: &Pod, claim: &Claim) -> bool {
    pod.namespace == claim.namespace
        && pod.spec.volumes.iter().any(|v| matches!(v, PodVolume::Claim { claim: name, .. } if *name == claim.name))
}

/// Whether a pod uses the claim, be it for an ephemeral volume.
pub(super) fn refers_to_claim(pod: &Pod, claim: &Claim) -> bool {
    pod.namespace == claim.namespace && pod.claims().any(|name| name == claim.name)
}

/// What is said of a claim that stands in the place of the one for the pod's ephemeral volume; `None` when it is the pod's own.
pub(super) fn not_owned(pod: &Pod, claim: &Claim) -> Option<String> {
    (claim.owner_uid.as_ref() != Some(&pod.uid))
        .then(|| format!("PVC {}/{} was not created for pod {} (pod is not owner)", claim.namespace, claim.name, pod.full_name()))
}

/// The pod's claims that are no use wherever it goes: missing, lost, on their way out, another's, or not bound although they should be.
pub(super) fn unusable(attempt: &Attempt<'_>) -> Vec<Change> {
    let (pod, snapshot) = (attempt.pod, attempt.snapshot);
    let waits = |claim: &Claim| {
        let class = claim.storage_class.as_ref().and_then(|class| snapshot.classes.get(class));
        class.is_some_and(|class| class.binding_mode == BindingMode::WaitForFirstConsumer) && claim.volume.is_none()
    };
    let bound = |claim: &Claim| claim.bind_completed && claim.volume.as_ref().is_some_and(|volume| snapshot.volumes.contains_key(volume));
    let is_sound = |claim: &Claim| !claim.lost && !claim.deleting && (bound(claim) || waits(claim));
    let unusable = pod.claims().filter(|name| !snapshot.claim(&pod.namespace, name).is_some_and(|claim| is_sound(claim)));
    unusable.map(Change::Claim).collect()
}

pub(super) fn claim_not_found(name: &str) -> String {
    format!("persistentvolumeclaim {name:?} not found")
}

pub(super) fn volume_not_found(name: &str) -> String {
    format!("persistentvolume {name:?} not found")
}

pub(super) fn class_not_found(name: &str) -> String {
    format!("storageclass.storage.k8s.io {name:?} not found")
}

/// A pod's spec in which claims that only this pod uses are called by what plugins keep of them: pods that each have a claim of their own
/// share a template. A name that says too little costs time, and nothing else: what plugins have read, they say (`Reads`).
pub(crate) fn outline(pod: &Pod, snapshot: &Snapshot) -> Arc<PodSpec> {
    let kind = |volume: &PodVolume| match volume {
        PodVolume::Claim { claim, .. } => {
            let key = (pod.namespace.clone(), claim.clone());
            snapshot.claims.get(&key).filter(|_| !snapshot.claim_users.contains_key(&key)).and_then(|claim| kind(claim, snapshot))
        }
        PodVolume::Ephemeral { .. } | PodVolume::Csi { .. } | PodVolume::Migrated { .. } | PodVolume::Disk(_) => None,
    };
    if pod.spec.volumes.is_empty() {
        return pod.spec.clone();
    }
    let mut spec = PodSpec::clone(&pod.spec);
    for volume in &mut spec.volumes {
        if let Some(kind) = kind(volume)
            && let PodVolume::Claim { claim, .. } = volume
        {
            *claim = kind;
        }
    }
    Arc::new(spec)
}

/// No name that a claim could have; `None` for one whose volume is in use.
fn kind(claim: &Claim, snapshot: &Snapshot) -> Option<Str> {
    let mut hasher = FixedState::default().build_hasher();
    match claim.volume.as_ref().map(|name| snapshot.volumes.get(name)) {
        None => claim.storage_class.hash(&mut hasher),
        Some(None) => {}
        Some(Some(volume)) if volume.handle.as_ref().is_some_and(|handle| snapshot.handles.contains_key(handle)) => return None,
        Some(Some(volume)) => {
            (&volume.driver, &volume.in_tree).hash(&mut hasher);
            if !names_nodes(volume, snapshot) {
                (&volume.node_affinity, &volume.migrated_affinity).hash(&mut hasher);
            }
            named_zones(volume).for_each(|zones| zones.hash(&mut hasher));
        }
    }
    Some(format!("\0{:x}", hasher.finish()).into())
}

/// Whether a volume's affinity names nodes one by one: what is made of all nodes for it is of use to no other volume.
pub(super) fn names_nodes(volume: &Volume, snapshot: &Snapshot) -> bool {
    let own = |term: &NodeSelectorTerm| {
        let named = |value: &Str| snapshot.node_idx(value).is_some();
        let by_name = |r: &Requirement| r.operator == Operator::In && (*r.key == *HOSTNAME || r.values.first().is_some_and(named));
        !term.fields.is_empty() || term.labels.iter().any(by_name)
    };
    volume.node_affinity.iter().chain(&volume.migrated_affinity).flatten().any(own)
}
