//! Gangs as victims: without one of its members a gang is of no use, so that it leaves whole or not at all.
//! Leaves out gangs that need room: their members preempt nobody.

use crate::framework::Attempt;
use crate::gang::Belonging;
use aisched_model::pod::Pod;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Whether a pod may leave as far as its gang goes: no member of it is as important as the pod that needs the room.
pub(super) fn may_leave(pod: &Pod, attempt: &Attempt<'_>) -> bool {
    let own = attempt.pod.spec.priority;
    let Belonging::Gang(gang) = Belonging::of(pod, attempt.snapshot) else { return true };
    gang.placed(attempt.snapshot).all(|(_, placed)| placed.priority < own)
}

/// Members of the victims' gangs that would be too few without them, wherever they are.
pub(super) fn companions(victims: &[Arc<Pod>], attempt: &Attempt<'_>) -> Vec<Arc<Pod>> {
    let mut others: Vec<Arc<Pod>> = Vec::new();
    for victim in victims {
        let Belonging::Gang(gang) = Belonging::of(victim, attempt.snapshot) else { continue };
        let stays = |uid: &str| victims.iter().chain(&others).all(|pod| *pod.uid != *uid);
        let left: Vec<_> = gang.placed(attempt.snapshot).filter(|(uid, _)| stays(uid)).collect();
        if left.len() >= gang.quorum {
            continue;
        }
        let pod = |uid: &str, node: &str| {
            let on_node = attempt.snapshot.node(node).into_iter().flat_map(|info| &info.pods);
            on_node.map(|placed| &placed.pod).find(|pod| *pod.uid == *uid).cloned()
        };
        let found: Vec<Arc<Pod>> = left.into_iter().filter_map(|(uid, placed)| pod(uid, &placed.node)).collect();
        others.extend(found);
    }
    others
}
