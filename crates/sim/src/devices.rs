//! What becomes of claims to devices on a virtual API server: they are written at once and without failing.
//! Leaves out which devices: the scheduler's plan says so.

use aisched_core::event::{DeviceNews, Event, PodRef};
use aisched_core::framework::Remedy;
use aisched_model::devices::{ClaimPlan, DeviceClaim};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Does what a plan says for a pod.
pub(crate) fn carry_out(pod: &PodRef, plan: &ClaimPlan) -> Vec<Event> {
    let mut events = Vec::new();
    for bound in &plan.claims {
        let mut claim = DeviceClaim::clone(&bound.claim);
        if claim.name.is_empty() {
            claim.name = format!("{}-extended-resources", pod.name).into();
            claim.uid = format!("{}/{}", claim.namespace, claim.name).into();
        }
        claim.allocation = claim.allocation.or_else(|| bound.give.clone());
        if !claim.reserved_for.contains(&pod.uid) {
            claim.reserved_for.push(pod.uid.clone());
        }
        events.push(Event::Devices(DeviceNews::Claim(Arc::new(claim))));
    }
    events
}

/// Does what can be done for a pod that fits nowhere.
pub(crate) fn remedied(remedy: &Remedy) -> Event {
    Event::Devices(match remedy {
        Remedy::Deallocate(claim) => {
            let (reserved_for, conditions) = (Vec::new(), Vec::new());
            DeviceNews::Claim(Arc::new(DeviceClaim { allocation: None, reserved_for, conditions, ..DeviceClaim::clone(claim) }))
        }
        Remedy::DeleteClaim(claim) => DeviceNews::ClaimGone(claim.namespace.clone(), claim.name.clone()),
    })
}
