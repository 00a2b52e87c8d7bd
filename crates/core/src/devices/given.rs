//! Devices as binds under way will have given them, until the objects show it: no device may be given twice.
//! Leaves out who writes; knows no time.

use aisched_model::Str;
use aisched_model::devices::{Allocation, ClaimPlan, DeviceClaim, Inventory};
use aisched_model::snapshot::NamespacedName;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is about to be given.
#[derive(Default)]
pub(crate) struct Given {
    /// By claim: its UID, and what it gets.
    claims: BTreeMap<NamespacedName, (Str, Arc<Allocation>)>,
    /// Claims by the UID of the pod whose bind is about them.
    pods: BTreeMap<Str, Vec<NamespacedName>>,
}

impl Given {
    /// Takes what a plan gives as given, in the inventory too. A claim that is not made yet is stood for by one that no object can have.
    pub(crate) fn make(&mut self, inventory: &mut Inventory, pod: &Str, plan: &ClaimPlan) {
        for bound in &plan.claims {
            let Some(allocation) = &bound.give else { continue };
            let made = !bound.claim.name.is_empty();
            let name = if made { bound.claim.name.clone() } else { format!("<extended-resources>{pod}").into() };
            let key = (bound.claim.namespace.clone(), name.clone());
            let pending = Some(allocation.clone());
            inventory.set_claim(Arc::new(DeviceClaim { name, pending, ..DeviceClaim::clone(&bound.claim) }));
            self.claims.insert(key.clone(), (bound.claim.uid.clone(), allocation.clone()));
            self.pods.entry(pod.clone()).or_default().push(key);
        }
    }

    /// A claim as it is to be taken, now that the API server shows it like this.
    pub(crate) fn shown(&self, claim: Arc<DeviceClaim>) -> Arc<DeviceClaim> {
        match self.claims.get(&(claim.namespace.clone(), claim.name.clone())) {
            Some((uid, allocation)) if *uid == claim.uid && claim.allocation.is_none() => {
                Arc::new(DeviceClaim { pending: Some(allocation.clone()), ..DeviceClaim::clone(&claim) })
            }
            Some(_) | None => claim,
        }
    }

    /// The bind of a pod has ended: its claims are as the objects show them. Returns those that have no devices any more, as they were.
    pub(crate) fn end(&mut self, inventory: &mut Inventory, pod: &str) -> Vec<Arc<DeviceClaim>> {
        let mut freed = Vec::new();
        for key in self.pods.remove(pod).into_iter().flatten() {
            self.claims.remove(&key);
            let Some(claim) = inventory.claims.get(&key).filter(|claim| claim.pending.is_some()).cloned() else { continue };
            if claim.uid.starts_with('<') {
                inventory.remove_claim(&key);
            } else {
                inventory.set_claim(Arc::new(DeviceClaim { pending: None, ..DeviceClaim::clone(&claim) }));
            }
            freed.push(claim);
        }
        freed
    }
}
