//! Prefers nodes where the CSI drivers of a pod's claims have room, free volume slots and the whole of their topology.
//! Source: `scoring.md` §6. Leaves out whether the claims can be bound there at all: see `volume_binding`, `node_volume_limits`.

use super::ai_storage::{Text, bounded, components, share, total};
use crate::attached::of_claim;
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Fact, Plugin, Prepared, Reads, Score};
use aisched_model::Str;
use aisched_model::config::CsiStorageScoring;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use aisched_model::topology::Nearby;
use aisched_model::volume::{Claim, CsiDriverOnNode, StorageCapacity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The wider platform's plugin of the same name.
pub(crate) struct CsiStorageAware;

const NAMES: [&str; 3] = ["capacity", "volumeHeadroom", "topology"];

impl Plugin for CsiStorageAware {
    fn name(&self) -> &'static str {
        "CSIStorageAware"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let (pod, snapshot) = (attempt.pod, attempt.snapshot);
        let known = pod.claims().filter_map(|name| snapshot.claim(&pod.namespace, &name));
        let claims: Vec<CsiClaim<'a>> = known.filter_map(|claim| CsiClaim::of(claim, snapshot)).collect();
        let max = &attempt.config.plugins.csi_storage_aware.scoring;
        if claims.is_empty() { Prepared::default() } else { Prepared::score(Scorer { snapshot, claims, max }) }
    }

    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false // it refuses no one
    }
}

/// A claim that a CSI driver serves.
struct CsiClaim<'a> {
    claim: &'a Claim,
    driver: Str,
}

/// Scores nodes for one pod.
struct Scorer<'a> {
    snapshot: &'a Snapshot,
    /// At least one.
    claims: Vec<CsiClaim<'a>>,
    max: &'a CsiStorageScoring,
}

impl<'a> CsiClaim<'a> {
    fn of(claim: &'a Claim, snapshot: &'a Snapshot) -> Option<Self> {
        let driver = of_claim(claim, snapshot)?.driver;
        (!driver.starts_with("kubernetes.io/")).then_some(Self { claim, driver })
    }

    /// Rooms for volumes of the claim's class; `None` when no driver tells, or the claim has its volume already.
    fn rooms<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Nearby<StorageCapacity>> {
        let class: &Str = self.claim.storage_class.as_ref().filter(|_| self.claim.volume.is_none())?;
        snapshot.room.get(class)
    }

    /// Room for a volume on a node, in bytes.
    fn available(&self, node: &NodeInfo, snapshot: &Snapshot) -> Option<i64> {
        let labels = &node.node.labels;
        let rooms = self.rooms(snapshot)?.all(labels).filter(|room| room.nodes.as_ref().is_some_and(|nodes| nodes.matches(labels)));
        rooms.filter_map(|room| room.capacity.or(room.maximum_volume_size)).max()
    }

    fn capacity(&self, node: &NodeInfo, snapshot: &Snapshot, max: i64) -> i64 {
        self.available(node, snapshot).map_or(max / 2, |available| capacity_points(max, available, self.claim.requested))
    }

    fn driver_on<'n>(&self, node: &'n NodeInfo) -> Option<&'n CsiDriverOnNode> {
        node.csi.as_ref()?.drivers.iter().find(|d| d.name == self.driver)
    }

    /// Volumes that the driver can attach to a node, and those that it has.
    fn slots(&self, node: &NodeInfo) -> Option<(i64, i64)> {
        let limit = i64::from(self.driver_on(node)?.allocatable.filter(|limit| *limit > 0)?);
        Some((limit, i64::try_from(node.n_volumes(&self.driver)).unwrap_or(i64::MAX)))
    }

    fn headroom(&self, node: &NodeInfo, max: i64) -> i64 {
        self.slots(node).map_or(max / 2, |(limit, used)| headroom_points(max, limit, used))
    }

    /// Topology keys of the driver on a node, and how many of them the node carries as labels.
    fn keys(&self, node: &NodeInfo) -> Option<(i64, i64)> {
        let keys = &self.driver_on(node)?.topology_keys;
        let carried = keys.iter().filter(|key| node.node.labels.contains_key(key)).count();
        Some((i64::try_from(keys.len()).unwrap_or(i64::MAX), i64::try_from(carried).unwrap_or(i64::MAX)))
    }

    fn topology(&self, node: &NodeInfo, max: i64) -> i64 {
        match self.keys(node) {
            None => max / 2,
            Some((0, _)) => max * 2 / 3,
            Some((keys, carried)) => share(max, carried, keys),
        }
    }
}

/// Points for the room there is, out of `max`: how many times the request fits.
///
/// Example, of 40: 40 from ten times the request on, 36 from five, 28 from two, 20 from one and a half, 12 where it just fits, else 0.
fn capacity_points(max: i64, available: i64, requested: i64) -> i64 {
    let times = |tenths: i64| i128::from(available) * 10 >= i128::from(requested) * i128::from(tenths);
    let tenths_of_max =
        [(100, 10), (50, 9), (20, 7), (15, 5), (10, 3)].into_iter().find(|(tenths, _)| times(*tenths)).map_or(0, |(_, p)| p);
    max * tenths_of_max / 10
}

/// Points for the free share of the attachable volumes, out of `max`.
///
/// Example, of 30: 30 with 80 % free, 24 with 50 %, 15 with 30 %, 9 with 10 %, else 3.
fn headroom_points(max: i64, limit: i64, used: i64) -> i64 {
    let free = share(100, (limit - used).max(0), limit);
    let tenths_of_max = match free {
        80.. => 10,
        50.. => 8,
        30.. => 5,
        10.. => 3,
        _ => 1,
    };
    max * tenths_of_max / 10
}

impl Scorer<'_> {
    /// The mean over the claims, rounded down.
    fn mean(&self, points: impl Fn(&CsiClaim<'_>) -> i64) -> i64 {
        self.claims.iter().map(points).sum::<i64>() / i64::try_from(self.claims.len()).unwrap_or(i64::MAX)
    }

    fn points(&self, node: &NodeInfo) -> [i64; 3] {
        let (max, snapshot) = (self.max, self.snapshot);
        [
            bounded(self.mean(|c| c.capacity(node, snapshot, max.capacity)), max.capacity),
            bounded(self.mean(|c| c.headroom(node, max.volume_headroom)), max.volume_headroom),
            bounded(self.mean(|c| c.topology(node, max.topology)), max.topology),
        ]
    }

    /// One phrase per claim.
    fn text(&self, phrase: impl Fn(&CsiClaim<'_>) -> String) -> Text {
        self.claims.iter().map(|c| format!("claim {} ({}): {}", c.claim.name, c.driver, phrase(c))).collect::<Vec<_>>().join("; ").into()
    }
}

impl Score for Scorer<'_> {
    /// Rooms change with everything that drivers make; without any to look at, only the drivers matter.
    fn reads(&self) -> Reads {
        if self.claims.iter().any(|c| c.rooms(self.snapshot).is_some()) {
            return Reads::Anything;
        }
        Reads::Node(self.claims.iter().map(|c| Fact::Name(c.driver.clone())).collect())
    }

    fn names_claims(&self) -> bool {
        true
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let capacity = |c: &CsiClaim<'_>| match c.available(node, self.snapshot) {
            None if c.claim.volume.is_some() => "has its volume".into(),
            None => "room not known".into(),
            Some(available) => format!("{available} bytes of room, {} asked for", c.claim.requested),
        };
        let headroom = |c: &CsiClaim<'_>| {
            c.slots(node).map_or_else(|| "no limit known".into(), |(limit, used)| format!("{used} of {limit} volumes attached"))
        };
        let topology = |c: &CsiClaim<'_>| match c.keys(node) {
            None => "not registered on the node".into(),
            Some((0, _)) => "has no topology".into(),
            Some((keys, carried)) => format!("the node carries {carried} of {keys} topology keys"),
        };
        components(NAMES, self.points(node), [self.text(capacity), self.text(headroom), self.text(topology)])
    }
}

#[cfg(test)]
mod tests;
