//! What changes do to a cluster, as the events that would tell of them: the same for a trial here and for a virtual cluster.
//! Leaves out whether they help.

use super::{CORDON, Change};
use crate::cache::Cache;
use crate::event::{Event, PodRef};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::{ANNOTATION_PREFIX, NodeSize, read};
use aisched_model::volume::{Claim, CsiNode, Volume};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The events that make the changes to this node, and to the claims of `pod`.
#[must_use]
pub fn events(changes: &[Change], node: &NodeInfo, pod: &Pod, snapshot: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    let mut object = Node::clone(&node.node);
    let mut csi = node.csi.as_deref().cloned();
    for change in changes {
        match change {
            Change::Claim(name) => events.extend(bound(name, pod, snapshot)),
            Change::Leaves(namespace, name) => {
                let leaving = node.pods.iter().find(|p| p.pod.namespace == *namespace && p.pod.name == *name);
                events.extend(leaving.map(|placed| Event::PodGone(PodRef::from(&*placed.pod))));
            }
            Change::Volumes(driver, more) => csi.iter_mut().for_each(|csi| allow(csi, driver, *more)),
            of_object => alter(&mut object, of_object),
        }
    }
    if object != *node.node {
        events.push(Event::NodeSet(Arc::new(object), Vec::new()));
    }
    events.extend(csi.filter(|csi| Some(csi) != node.csi.as_deref()).map(|csi| Event::CsiNodeSet(Arc::new(csi))));
    events
}

/// The cluster after them.
pub(super) fn changed(changes: &[Change], node: &NodeInfo, pod: &Pod, snapshot: &Snapshot) -> Snapshot {
    let leaving = node.pods.iter().filter(|p| changes.iter().any(|c| *c == leaves(&p.pod)));
    let mut cache = Cache::to_try(snapshot, &node.node.name, leaving.map(|p| &p.pod));
    for event in events(changes, node, pod, snapshot) {
        match event {
            Event::NodeSet(node, _) => drop(cache.set_node(node)),
            Event::CsiNodeSet(csi) => drop(cache.set_csi_node(csi)),
            Event::ClaimSet(claim) => drop(cache.set_claim(claim)),
            Event::VolumeSet(volume) => drop(cache.set_volume(volume)),
            Event::PodGone(pod) => drop(cache.remove_pod(&pod.uid)),
            _ => {}
        }
    }
    cache.into_snapshot()
}

/// That this pod leaves its node.
pub(crate) fn leaves(pod: &Pod) -> Change {
    Change::Leaves(pod.namespace.clone(), pod.name.clone())
}

fn alter(node: &mut Node, change: &Change) {
    match change {
        Change::Uncordon => {
            node.unschedulable = false;
            node.taints.retain(|taint| *taint.key != *CORDON);
        }
        Change::Taint(key, value, effect) => {
            node.taints.retain(|taint| taint.key != *key || taint.value != *value || taint.effect.as_str() != *effect);
        }
        Change::Label(key, value) => {
            let as_read = facts(node) == node.storage;
            node.labels = with(&node.labels, key, value.as_ref());
            if as_read {
                node.storage = facts(node);
            }
        }
        Change::Resource(name, more) => offer(node, name, *more),
        Change::Io(name, more) => {
            let facts = &mut node.storage;
            let budget = match *name {
                "iops" => &mut facts.iops,
                "throughput-mbps" => &mut facts.throughput_mbps,
                _ => &mut facts.capacity_gb,
            };
            let offered = budget.unwrap_or(0).saturating_add(*more);
            *budget = Some(offered);
            let (key, value) = (format!("{ANNOTATION_PREFIX}available-{name}"), format!("{offered}"));
            node.annotations = with(&node.annotations, &key, Some(&value.as_str().into()));
        }
        Change::Volumes(..) | Change::Claim(_) | Change::Leaves(..) => {}
    }
}

/// The node's storage facts, as its labels and annotations have them.
fn facts(node: &Node) -> aisched_model::storage_facts::StorageFacts {
    let size = NodeSize { cores: node.storage.cores, memory_gib: node.storage.memory_gb };
    read(&node.labels, &node.annotations, size).0
}

fn with(labels: &Labels, key: &str, value: Option<&Str>) -> Labels {
    let others = labels.iter().filter(|(k, _)| ***k != *key).map(|(k, v)| (k.clone(), v.clone()));
    others.chain(value.map(|value| (key.into(), value.clone()))).collect()
}

fn offer(node: &mut Node, name: &Str, more: i64) {
    let offered = &mut node.allocatable;
    let amount = match &**name {
        "pods" => &mut node.allocatable_pods,
        "cpu" => &mut offered.cpu.0,
        "memory" => &mut offered.memory.0,
        "ephemeral-storage" => &mut offered.ephemeral_storage.0,
        scalar => return offered.set_scalar(name, offered.scalar(scalar).saturating_add(more)),
    };
    *amount = amount.saturating_add(more);
}

fn allow(csi: &mut CsiNode, driver: &Str, more: i32) {
    for limit in csi.drivers.iter_mut().filter(|d| d.name == *driver).filter_map(|d| d.allocatable.as_mut()) {
        *limit = limit.saturating_add(more);
    }
}

/// The claim as it would be with a volume of its own that every node reaches, as large as asked for.
fn bound(name: &Str, pod: &Pod, snapshot: &Snapshot) -> [Event; 2] {
    let volume: Str = format!("{}-{name}-within-reach", pod.namespace).into();
    let missing = || Claim { uid: volume.clone(), owner_uid: Some(pod.uid.clone()), ..Claim::default() };
    let claim = snapshot.claim(&pod.namespace, name).map_or_else(missing, |claim| Claim::clone(claim));
    let claim = Claim {
        namespace: pod.namespace.clone(),
        name: name.clone(),
        volume: Some(volume.clone()),
        bind_completed: true,
        deleting: false,
        lost: false,
        ..claim
    };
    let volume = Volume {
        name: volume,
        storage_class: claim.storage_class.clone().unwrap_or_default(),
        access_modes: claim.access_modes,
        capacity: claim.requested,
        block: claim.block,
        attributes_class: claim.attributes_class.clone(),
        claim: Some((claim.namespace.clone(), claim.name.clone(), claim.uid.clone())),
        ..Volume::default()
    };
    [Event::VolumeSet(Arc::new(volume)), Event::ClaimSet(Arc::new(claim))]
}
