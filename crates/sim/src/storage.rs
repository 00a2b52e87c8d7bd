//! What the volume controller and the drivers of a virtual cluster do, at once and without failing: bind claims, make volumes, tell what
//! room is left.
//! Leaves out which volume a pod's claim gets, and where one is made for it: the scheduler's plan says so.

use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{BindingMode, Claim, StorageCapacity, StorageClass, Volume, VolumePlan};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

const HOSTNAME: &str = "kubernetes.io/hostname";
/// In-tree plugins, of which [`NO_PROVISIONER`] makes nothing.
const IN_TREE: &str = "kubernetes.io/";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Binds a claim that waits for no pod: to a volume that is there, or to one that is made; nothing when there is none for it yet.
pub(crate) fn bind_at_once(snapshot: &Snapshot, claim: &Arc<Claim>) -> Vec<Event> {
    let class = claim.storage_class.as_ref().and_then(|name| snapshot.classes.get(name));
    let waits = class.is_some_and(|class| class.binding_mode == BindingMode::WaitForFirstConsumer);
    if waits || claim.volume.is_some() || claim.deleting {
        return Vec::new();
    }
    if let Some(volume) = volume_for(snapshot, claim) {
        return bound(claim, volume).into();
    }
    let Some(class) = class.filter(|class| makes_volumes(class)) else { return Vec::new() };
    let room = match snapshot.csi_drivers.get(&class.provisioner) {
        Some(driver) if driver.storage_capacity => match largest_room(snapshot, claim) {
            Some(room) => Some(room),
            None => return Vec::new(),
        },
        Some(_) | None => None,
    };
    let segment = room.and_then(|room| room.nodes.as_ref()).map(|nodes| Vec::from([term(nodes.0.clone())]));
    let allowed = Some(class.allowed_topologies.clone()).filter(|terms| !terms.is_empty());
    let made = bound(claim, &made(claim, class, segment.or(allowed)));
    made.into_iter().chain(room.map(|room| less(room, claim.requested))).collect()
}

/// Does what a plan says for a pod's node.
pub(crate) fn carry_out(snapshot: &Snapshot, node: &Str, plan: &VolumePlan) -> Vec<Event> {
    let mut events: Vec<Event> = plan.bind.iter().flat_map(|(claim, volume)| bound(claim, volume)).collect();
    let mut used: Vec<Arc<StorageCapacity>> = Vec::new();
    for claim in &plan.provision {
        let Some(class) = claim.storage_class.as_ref().and_then(|name| snapshot.classes.get(name)) else { continue };
        events.extend(bound(claim, &made(claim, class, within_reach(snapshot, node, class, &plan.node_labels))));
        let rooms = snapshot.room.get(&class.name).into_iter().flat_map(|rooms| rooms.all(&plan.node_labels));
        let mut rooms: Vec<&Arc<StorageCapacity>> = rooms.filter(|r| reaches(r, &plan.node_labels)).collect();
        rooms.sort_by_key(|room| (room.limit(), &room.namespace, &room.name));
        // Several claims of the pod may use one room up: the latest that was said of it counts.
        let latest =
            |room: &Arc<StorageCapacity>| used.iter().rev().find(|u| (&u.namespace, &u.name) == (&room.namespace, &room.name)).cloned();
        let rooms = rooms.into_iter().map(|room| latest(room).unwrap_or_else(|| room.clone()));
        let Some(room) = rooms.into_iter().find(|room| room.limit() >= Some(claim.requested)) else { continue };
        let left = Arc::new(less_room(&room, claim.requested));
        used.push(left.clone());
        events.push(Event::CapacitySet(left));
    }
    events
}

/// The volume that names the claim, or else the smallest that will do wherever it is.
fn volume_for<'a>(snapshot: &'a Snapshot, claim: &Claim) -> Option<&'a Arc<Volume>> {
    let class = claim.storage_class.as_deref().unwrap_or_default();
    let fits = |volume: &&Arc<Volume>| {
        volume.capacity >= claim.requested
            && volume.block == claim.block
            && *volume.storage_class == *class
            && volume.attributes_class == claim.attributes_class
            && volume.access_modes.contains(claim.access_modes)
            && !volume.deleting
    };
    let own = snapshot.claimed_volumes.get(&(claim.namespace.clone(), claim.name.clone()));
    let own = own.into_iter().flat_map(|volumes| volumes.values()).find(|volume| volume.is_for(claim) && fits(volume));
    let free = snapshot.volumes.values().filter(|volume| {
        volume.is_free() && fits(volume) && claim.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels))
    });
    own.or_else(|| free.min_by_key(|volume| (volume.capacity, &volume.name)))
}

fn makes_volumes(class: &StorageClass) -> bool {
    !class.provisioner.is_empty() && *class.provisioner != *NO_PROVISIONER
}

fn largest_room<'a>(snapshot: &'a Snapshot, claim: &Claim) -> Option<&'a StorageCapacity> {
    let of_class =
        snapshot.capacities.values().filter(|room| Some(&room.storage_class) == claim.storage_class.as_ref() && room.nodes.is_some());
    of_class.max_by_key(|room| room.limit()).filter(|room| room.limit() >= Some(claim.requested)).map(|room| &**room)
}

fn reaches(room: &StorageCapacity, labels: &Labels) -> bool {
    room.nodes.as_ref().is_some_and(|nodes| nodes.matches(labels))
}

fn less(room: &StorageCapacity, used: i64) -> Event {
    Event::CapacitySet(Arc::new(less_room(room, used)))
}

/// What the driver says of its room next. No volume is larger than what is left.
fn less_room(room: &StorageCapacity, used: i64) -> StorageCapacity {
    let capacity = room.capacity.map(|capacity| capacity.saturating_sub(used).max(0));
    let maximum_volume_size = room.maximum_volume_size.map(|largest| capacity.map_or(largest, |capacity| largest.min(capacity)));
    StorageCapacity { capacity, maximum_volume_size, ..room.clone() }
}

/// Where a volume that is made for a node can be reached from: what the driver's topology keys say of the node, or else that node alone.
fn within_reach(snapshot: &Snapshot, node: &Str, class: &StorageClass, labels: &Labels) -> Option<Vec<NodeSelectorTerm>> {
    let driver = snapshot.csi_nodes.get(node).and_then(|n| n.drivers.iter().find(|driver| driver.name == class.provisioner));
    let host = [Str::from(HOSTNAME)];
    let keys = driver.map(|driver| &driver.topology_keys[..]).filter(|keys| !keys.is_empty()).unwrap_or(&host);
    let of_node = keys.iter().filter_map(|key| {
        let value = labels.get(key)?.clone();
        Some(Requirement { key: key.clone(), operator: Operator::In, values: [value].into() })
    });
    let of_node: Vec<Requirement> = of_node.collect();
    (!of_node.is_empty()).then(|| Vec::from([term(of_node)]))
}

fn term(labels: Vec<Requirement>) -> NodeSelectorTerm {
    NodeSelectorTerm { labels, fields: Vec::new() }
}

/// A new volume, exactly as large as asked for.
fn made(claim: &Claim, class: &StorageClass, node_affinity: Option<Vec<NodeSelectorTerm>>) -> Arc<Volume> {
    let name: Str = format!("pvc-{}-{}", claim.namespace, claim.name).into();
    let driver = Some(class.provisioner.clone()).filter(|provisioner| !provisioner.starts_with(IN_TREE));
    Arc::new(Volume {
        handle: driver.is_some().then(|| name.clone()),
        driver,
        name,
        node_affinity,
        storage_class: class.name.clone(),
        access_modes: claim.access_modes,
        capacity: claim.requested,
        block: claim.block,
        attributes_class: claim.attributes_class.clone(),
        ..Volume::default()
    })
}

/// What the watches show once a claim has a volume.
fn bound(claim: &Claim, volume: &Volume) -> [Event; 2] {
    let to = Some((claim.namespace.clone(), claim.name.clone(), claim.uid.clone()));
    let volume = Volume { claim: to, available: false, ..volume.clone() };
    let claim = Claim { volume: Some(volume.name.clone()), bind_completed: true, ..claim.clone() };
    [Event::VolumeSet(Arc::new(volume)), Event::ClaimSet(Arc::new(claim))]
}

#[cfg(test)]
mod tests;
