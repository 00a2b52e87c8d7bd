//! What the volume plugins ask of claims alike: which of them a pod uses, whether they are its own, what is said when they are missing.
//! Leaves out every rule of a single plugin.

use aisched_model::pod::{Pod, PodVolume};
use aisched_model::volume::Claim;
use alloc::format;
use alloc::string::String;

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

pub(super) fn claim_not_found(name: &str) -> String {
    format!("persistentvolumeclaim {name:?} not found")
}

pub(super) fn volume_not_found(name: &str) -> String {
    format!("persistentvolume {name:?} not found")
}

pub(super) fn class_not_found(name: &str) -> String {
    format!("storageclass.storage.k8s.io {name:?} not found")
}
