//! Holds pods to the nodes where their claims are bound or can be: to a volume that is there, or one that can be made.
//! Leaves out binding itself: the plan for the chosen node goes out with the bind.

mod claims;

use super::args::VolumeBindingArgs;
use super::claims::{refers_to_claim, unusable};
use super::node_resources_fit::interpolate;
use crate::cures::Change;
use crate::features::Features;
use crate::framework::{Attempt, ClusterEvent, Filter, MAX_SCORE, Plugin, Prepared, Reads, Refusal, RefusalCode, Score, Trait};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::volume::VolumePlan;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use claims::{Claims, Obstacles, Placement, migrated_plugins};

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct VolumeBinding {
    /// Arguments.
    pub args: VolumeBindingArgs,
    /// Whether nodes are scored.
    pub features: Features,
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        match Claims::of(attempt.pod, attempt.snapshot) {
            Err(reason) => Prepared::refuse(Refusal::unresolvable(reason)),
            Ok(claims) if claims.is_empty() => Prepared::default(),
            Ok(claims) => {
                let timeout_ms = self.args.bind_timeout_ms;
                let fit = Fit { reads: claims.reads(attempt.snapshot), claims: claims.clone(), timeout_ms };
                let prepared = if claims.suit_every_node() { Prepared::default() } else { Prepared::filter(fit) };
                let scores = self.features.storage_capacity_scoring;
                if scores { prepared.and_score(Room { claims, args: &self.args }) } else { prepared }
            }
        }
    }

    fn cure(&self, attempt: &Attempt<'_>) -> Vec<Change> {
        unusable(attempt)
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::Volume(..) => true,
            ClusterEvent::NodeChanged { old, new } => old.labels != new.labels,
            // Room that was promised to another claim is either used now or free again.
            ClusterEvent::Claim(Some(old), new) if old.is_pending() && !new.is_pending() => pod.claims().next().is_some(),
            ClusterEvent::Claim(_, claim) => refers_to_claim(pod, claim),
            ClusterEvent::Class(old, new) => old.is_none_or(|old| old.allowed_topologies != new.allowed_topologies),
            ClusterEvent::CsiNode(old, new) => old.is_none_or(|old| old.migrated_plugins != new.migrated_plugins),
            ClusterEvent::CsiDriver(old, new) => old.is_some_and(|old| old.storage_capacity) && !new.storage_capacity,
            ClusterEvent::Capacity(old, new) => old.is_none_or(|old| new.limit() > old.limit()),
            _ => false,
        }
    }
}

/// Leaves the nodes that have what the claims need.
struct Fit<'a> {
    claims: Claims<'a>,
    reads: Reads,
    timeout_ms: u64,
}

impl Filter for Fit<'_> {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let obstacles = self.claims.on(node).err()?;
        Some(Refusal { code: RefusalCode::Unresolvable, reasons: obstacles.reasons().map(Into::into).collect() })
    }

    fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        self.claims.one_trait()
    }

    fn passes(&self) -> Option<Vec<&Str>> {
        self.claims.named_values()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        match self.claims.on(node).err()? {
            Obstacles { no_room: Some(short), .. } => Some(self.claims.shortage(&node.node, &short)),
            Obstacles { no_volume: Some(claim), .. } => Some(format!("claim {}", claim.name)),
            Obstacles { out_of_reach: Some(volume), .. } => Some(format!("volume {}", volume.name)),
            Obstacles { .. } => None,
        }
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let Err(obstacles) = self.claims.on(node) else { return Vec::new() };
        obstacles.claims().map(|name| Change::Claim(name.clone())).collect()
    }

    fn volumes(&self, node: &NodeInfo) -> Option<VolumePlan> {
        let Placement { bind, provision } = self.claims.on(node).ok()?;
        let plan = VolumePlan {
            timeout_ms: self.timeout_ms,
            node_labels: node.node.labels.clone(),
            migrated_plugins: migrated_plugins(node).to_vec(),
            bind: bind.into_iter().map(|(claim, volume)| (claim.clone(), volume.clone())).collect(),
            provision: provision.into_iter().map(|(claim, _)| claim.clone()).collect(),
        };
        (!plan.is_empty()).then_some(plan)
    }
}

/// Scores nodes by the share of the capacity there that the pod asks for.
struct Room<'a> {
    claims: Claims<'a>,
    args: &'a VolumeBindingArgs,
}

impl Score for Room<'_> {
    fn reads(&self) -> Reads {
        if self.claims.all_bound() { Reads::node() } else { Reads::Anything }
    }

    /// The mean over the storage classes, rounded; without any, 0. Volumes that are there count before room for new ones.
    ///
    /// Example: 25 of 100 asked for in one class and 50 of 50 in another: (75 + 0) / 2 = 38.
    fn raw(&self, node: &NodeInfo) -> i64 {
        if self.claims.all_bound() {
            return 0;
        }
        let Ok(placement) = self.claims.on(node) else { return 0 };
        let mut classes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (claim, volume) in &placement.bind {
            let (requested, capacity) = classes.entry(&volume.storage_class).or_default();
            *requested = requested.saturating_add(claim.requested);
            *capacity = capacity.saturating_add(volume.capacity);
        }
        if placement.bind.is_empty() {
            for (claim, room) in &placement.provision {
                let Some(room) = room else { continue };
                let (requested, capacity) = classes.entry(&room.storage_class).or_default();
                *requested = requested.saturating_add(claim.requested);
                *capacity = room.capacity.unwrap_or(0); // one room, however many claims
            }
        }
        let sum: i64 = classes.values().map(|(requested, capacity)| self.of_class(*requested, *capacity)).sum();
        let n = i64::try_from(classes.len()).unwrap_or(i64::MAX);
        (2 * sum + n).checked_div(2 * n).unwrap_or(0)
    }
}

impl Room<'_> {
    fn of_class(&self, requested: i64, capacity: i64) -> i64 {
        let full = capacity == 0 || requested > capacity;
        let share = i128::from(requested) * i128::from(MAX_SCORE) / i128::from(capacity.max(1));
        interpolate(&self.args.shape, if full { MAX_SCORE } else { i64::try_from(share).unwrap_or(MAX_SCORE) })
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_random;
