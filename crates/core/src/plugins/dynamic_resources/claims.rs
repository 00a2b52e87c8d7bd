//! Which claims a pod has, what stands against all of them at once, and which changes of a claim can help.
//! Leaves out extended resources and nodes.

use aisched_model::Str;
use aisched_model::devices::{Ask, DeviceClaim, Inventory, PodClaimSource, RequestKind};
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The pod's claims, in its order; or why they are not all there.
pub(super) fn of_pod<'a>(pod: &Pod, inventory: &'a Inventory) -> Result<Vec<&'a Arc<DeviceClaim>>, String> {
    let mut claims = Vec::with_capacity(pod.spec.device_claims.len());
    for own in &pod.spec.device_claims {
        let (name, made) = match &own.source {
            PodClaimSource::Named(name) => (name, false),
            PodClaimSource::Template(_) => match pod.claims_made.iter().find(|(key, _)| *key == own.name) {
                Some((_, Some(name))) => (name, true),
                Some((_, None)) => continue, // none was needed
                None => return Err(format!("pod \"{}\": ResourceClaim not created yet", pod.full_name())),
            },
            PodClaimSource::Unknown => {
                let (pod, claim) = (pod.full_name(), &own.name);
                return Err(format!("pod \"{pod}\", spec.resourceClaim {claim:?}: none of the supported fields are set"));
            }
        };
        let claim =
            inventory.claim(&pod.namespace, name).ok_or_else(|| format!("could not find ResourceClaim \"{}/{name}\"", pod.namespace))?;
        if claim.deleting {
            return Err(format!("resourceclaim {:?} is being deleted", claim.name));
        }
        if made && claim.owner_uid.as_ref() != Some(&pod.uid) {
            return Err(format!("ResourceClaim {} was not created for Pod {} (Pod is not owner)", claim.full_name(), pod.full_name()));
        }
        claims.push(claim);
    }
    Ok(claims)
}

/// What stands against a claim whatever the node.
pub(super) fn obstacle(claim: &DeviceClaim, inventory: &Inventory) -> Option<String> {
    if claim.allocation.is_some() {
        return None;
    }
    if claim.pending.is_some() {
        return Some(format!("resource claim {} is in the process of being allocated", claim.full_name()));
    }
    let missing = |name: &str, ask: &Ask| {
        let missing = !inventory.classes.contains_key(&ask.class);
        missing.then(|| format!("request {name}: device class {} does not exist", ask.class))
    };
    claim.requests.iter().find_map(|request| match &request.kind {
        RequestKind::Exactly(ask) => missing(&request.name, ask),
        RequestKind::FirstAvailable(asks) => asks.iter().find_map(|(sub, ask)| missing(&format!("{}/{sub}", request.name), ask)),
        RequestKind::Unknown => Some(format!("resource claim {}, request {}: unknown request type", claim.full_name(), request.name)),
    })
}

/// Whether all devices of an allocated claim are ready for pods; an error when one has failed for good.
pub(super) fn is_ready(claim: &DeviceClaim) -> Result<bool, ()> {
    let devices = claim.allocation.iter().flat_map(|allocation| &allocation.devices);
    let mut ready = true;
    for device in devices.filter(|device| !device.binding_conditions.is_empty()) {
        let holds = |kind: &Str| {
            let mut own = claim.conditions.iter().filter(|c| c.pool == device.pool && c.device == device.device);
            own.any(|condition| condition.kind == *kind && condition.holds)
        };
        if device.binding_failure_conditions.iter().any(holds) {
            return Err(());
        }
        ready &= device.binding_conditions.iter().all(holds);
    }
    Ok(ready)
}

/// Whether a change of a claim can help the pod: devices that become free may help any, else only the pod's own claims count.
pub(super) fn helps(pod: &Pod, old: Option<&DeviceClaim>, new: Option<&DeviceClaim>) -> bool {
    let had_devices = old.is_some_and(|old| old.given().is_some());
    match (old, new) {
        (_, None) => had_devices,
        (_, Some(new)) if had_devices && new.given().is_none() => true,
        (None, Some(new)) => uses(pod, new),
        (Some(old), Some(new)) => uses(pod, new) && !old.same_status(new),
    }
}

fn uses(pod: &Pod, claim: &DeviceClaim) -> bool {
    let is_it = |own: &aisched_model::devices::PodClaim| match &own.source {
        PodClaimSource::Named(name) => *name == claim.name,
        PodClaimSource::Template(_) => pod.claims_made.iter().any(|(key, name)| *key == own.name && name.as_ref() == Some(&claim.name)),
        PodClaimSource::Unknown => false,
    };
    pod.namespace == claim.namespace && pod.spec.device_claims.iter().any(is_it)
}
