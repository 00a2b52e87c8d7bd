//! Places pods that Kueue admits together: large gangs spread, small ones pack, all near each other and from queues with room.
//! Source: `scoring.md` §6. Leaves out holding a gang back until all of it fits: Kueue admits gangs as a whole.

use super::ai_storage::{Text, bounded, components, share, total};
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Plugin, Prepared, Score};
use aisched_model::Str;
use aisched_model::config::KueueScoring;
use aisched_model::foreign::ClusterQueue;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::StorageFacts;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

/// The wider platform's plugin of the same name.
pub(crate) struct KueueAware;

/// Annotation of Kueue: pods of a group of plain pods.
const TOTAL_COUNT: &str = "kueue.x-k8s.io/pod-group-total-count";
/// Label of Kueue: the ClusterQueue that admitted a pod.
const CLUSTER_QUEUE: &str = "kueue.x-k8s.io/cluster-queue-name";
/// Gangs of this size and more are spread, whatever they ask for.
const LARGE: i64 = 5;
/// Gangs of this size and more prefer empty nodes.
const NEEDS_ROOM: i64 = 3;

const NAMES: [&str; 4] = ["gangLocality", "queuePressure", "workloadSize", "networkProximity"];

impl Plugin for KueueAware {
    fn name(&self) -> &'static str {
        "KueueAware"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        match attempt.pod.gang() {
            Some(gang) => Prepared::score(Scorer::of(attempt, gang)),
            None => Prepared::default(),
        }
    }

    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false // it refuses no one
    }
}

/// Scores nodes for one member of a gang.
struct Scorer<'a> {
    gang: &'a str,
    size: i64,
    spreads: bool,
    /// Members on nodes.
    placed: Option<&'a BTreeMap<Str, usize>>,
    /// Racks and zones with the most members.
    racks: Vec<&'a Str>,
    zones: Vec<&'a Str>,
    queue: Option<&'a ClusterQueue>,
    /// Members per node if they were spread evenly; known when the feasible nodes are.
    ideal: i64,
    max: &'a KueueScoring,
}

impl<'a> Scorer<'a> {
    fn of(attempt: &Attempt<'a>, gang: &'a Str) -> Self {
        let (pod, snapshot) = (attempt.pod, attempt.snapshot);
        let key = (pod.namespace.clone(), gang.clone());
        let placed = snapshot.gangs.get(&key);
        let workload = snapshot.foreign.workloads.get(&key);
        let n_placed = count(placed.into_iter().flat_map(BTreeMap::values).sum());
        let told = workload.map(|w| w.n_pods).or_else(|| pod.spec.annotations.get(TOTAL_COUNT)?.trim().parse().ok());
        let size = told.filter(|n| *n > 0).unwrap_or(n_placed.saturating_add(1));
        let queue = workload.and_then(|w| w.queue.as_ref()).or_else(|| pod.spec.labels.get(CLUSTER_QUEUE));
        Self {
            gang,
            size,
            spreads: size >= LARGE || (size > 1 && pod.wants_gpu()),
            placed,
            racks: most(placed, snapshot, |facts| facts.rack.as_ref()),
            zones: most(placed, snapshot, |facts| facts.zone.as_ref()),
            queue: queue.and_then(|name| snapshot.foreign.queues.get(name)).map(|q| &**q),
            ideal: 1,
            max: &attempt.config.plugins.kueue_aware.scoring,
        }
    }

    fn here(&self, node: &NodeInfo) -> i64 {
        count(self.placed.and_then(|placed| placed.get(&node.node.name)).copied().unwrap_or(0))
    }

    /// Example, of 30: a spread gang of 8 on 4 nodes (2 a node) gives 30 with no member here, 12 with one, 6 with two;
    /// a packed gang of 4 gives 0 with none, 30 × 1/4 + 6 = 13 with one, 28 with three.
    fn locality(&self, node: &NodeInfo, max: i64) -> i64 {
        let here = self.here(node);
        match (self.size, self.spreads, here) {
            (..=1, _, _) => max / 2,
            (_, true, 0) => max,
            (_, true, _) if here < self.ideal => share(max * 8 / 10, self.ideal - here, self.ideal),
            (_, true, _) => max / 5,
            (_, false, 0) => 0,
            (_, false, _) => share(max, here.min(self.size), self.size) + max / 5,
        }
    }

    fn pressure(&self, max: i64) -> i64 {
        let known = self.queue.map(|q| (q.admitted.max(0), q.pending.max(0))).filter(|(admitted, pending)| admitted + pending > 0);
        known.map_or(max / 2, |(admitted, pending)| share(max, admitted, admitted.saturating_add(pending)))
    }

    fn room(&self, node: &NodeInfo, max: i64) -> i64 {
        if self.size < NEEDS_ROOM { max / 2 } else { share(max, free_thousandths(node), 1000) }
    }

    fn proximity(&self, node: &NodeInfo, max: i64) -> i64 {
        let facts = &node.node.storage;
        let near = |places: &[&Str], own: &Option<Str>| own.as_ref().is_some_and(|own| places.contains(&own));
        match () {
            () if self.placed.is_none() => max / 2,
            () if near(&self.racks, &facts.rack) => max,
            () if near(&self.zones, &facts.zone) => max / 2,
            () => 0,
        }
    }

    fn points(&self, node: &NodeInfo) -> [i64; 4] {
        let max = self.max;
        [
            bounded(self.locality(node, max.gang_locality), max.gang_locality),
            bounded(self.pressure(max.queue_pressure), max.queue_pressure),
            bounded(self.room(node, max.workload_size), max.workload_size),
            bounded(self.proximity(node, max.network_proximity), max.network_proximity),
        ]
    }
}

/// The places with the most members of a gang.
fn most<'a>(
    placed: Option<&BTreeMap<Str, usize>>,
    snapshot: &'a Snapshot,
    place: impl Fn(&'a StorageFacts) -> Option<&'a Str>,
) -> Vec<&'a Str> {
    let mut counts: BTreeMap<&Str, usize> = BTreeMap::new();
    for (node, n) in placed.into_iter().flatten() {
        if let Some(place) = snapshot.node(node).and_then(|info| place(&info.node.storage)) {
            *counts.entry(place).or_default() += n;
        }
    }
    let highest = counts.values().copied().max();
    counts.into_iter().filter(|(_, n)| Some(*n) == highest).map(|(place, _)| place).collect()
}

/// The mean free share of CPU and memory, in thousandths.
fn free_thousandths(node: &NodeInfo) -> i64 {
    let free = |all: i64, used: i64| share(1000, (all - used).clamp(0, all.max(0)), all);
    let (all, used) = (&node.node.allocatable, &node.requested);
    (free(all.cpu.0, used.cpu.0) + free(all.memory.0, used.memory.0)) / 2
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Score for Scorer<'_> {
    fn observe(&mut self, feasible: &[&NodeInfo]) {
        let n = count(feasible.len()).max(1);
        self.ideal = self.size / n + i64::from(self.size % n > 0);
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let (gang, size, here) = (self.gang, self.size, self.here(node));
        let way = if self.spreads { format!("spread, {} a node is even", self.ideal) } else { "packed".into() };
        let queue: Text = match self.queue {
            Some(q) => format!("queue {}: {} admitted, {} pending", q.name, q.admitted, q.pending).into(),
            None => "queue not known".into(),
        };
        let facts = &node.node.storage;
        let (zone, rack) = (facts.zone.as_deref().unwrap_or("none"), facts.rack.as_deref().unwrap_or("none"));
        let names = |places: &[&Str]| places.iter().map(|p| &***p).collect::<Vec<_>>().join(", ");
        let proximity = match self.placed {
            Some(_) => {
                let (racks, zones) = (names(&self.racks), names(&self.zones));
                format!("most members are in rack {racks} and zone {zones}; the node's rack is {rack}, its zone {zone}")
            }
            None => "no member is placed yet".into(),
        };
        let sources = [
            format!("gang {gang} of {size}, {way}; {here} here").into(),
            queue,
            format!("{} thousandths of CPU and memory are free", free_thousandths(node)).into(),
            proximity.into(),
        ];
        components(NAMES, self.points(node), sources)
    }
}

#[cfg(test)]
mod tests;
