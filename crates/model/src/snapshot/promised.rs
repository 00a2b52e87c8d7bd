//! What of each room for new volumes is promised to claims that volumes are being made for. Kept as claims, rooms and nodes change, so
//! that a decision asks for one number. Leaves out who may have what is left: that is VolumeBinding's.

use super::{NamespacedName, Snapshot};
use crate::Str;
use crate::labels::Labels;
use crate::node::Node;
use crate::volume::{Claim, StorageCapacity};
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

impl Snapshot {
    /// Bytes of a room that are promised. Sums are exact whatever claims ask for, so that what was added can be taken away.
    #[must_use]
    pub fn promised(&self, room: &StorageCapacity) -> i128 {
        if self.promised.is_empty() { 0 } else { self.promised.get(&key(room)).copied().unwrap_or(0) }
    }

    /// The rooms of a class that a node with these labels reaches.
    pub fn rooms_within_reach<'a>(&'a self, class: &str, labels: &'a Labels) -> impl Iterator<Item = &'a StorageCapacity> {
        let rooms = self.room.get(class).into_iter().flat_map(|rooms| rooms.all(labels));
        rooms.map(|room| &**room).filter(|room| room.nodes.as_ref().is_some_and(|nodes| nodes.matches(labels)))
    }

    /// Counts the volumes that are being made for a node in the rooms that it reaches: when it comes (`there`), and before it goes or
    /// its labels change.
    pub fn count_rooms_of(&mut self, node: &Node, there: bool) {
        for (class, bytes) in self.being_made.get(&node.name).cloned().unwrap_or_default() {
            self.promise(&class, &node.labels, if there { bytes } else { -bytes });
        }
    }

    /// Counts a claim that came (`there`) or went, if a volume is being made for it.
    pub(super) fn count_pending(&mut self, claim: &Claim, there: bool) {
        let (Some(name), Some(class)) = (claim.selected_node.as_ref().filter(|_| claim.is_pending()), &claim.storage_class) else { return };
        let bytes = if there { i128::from(claim.requested) } else { -i128::from(claim.requested) };
        let classes = self.being_made.entry(name.clone()).or_default();
        add(classes, class.clone(), bytes);
        if classes.is_empty() {
            self.being_made.remove(name);
        }
        if let Some(node) = self.node(name).map(|info| info.node.clone()) {
            self.promise(class, &node.labels, bytes);
        }
    }

    /// Counts what is promised of a room that is new.
    pub(super) fn count_room(&mut self, room: &StorageCapacity) {
        let Some(reach) = &room.nodes else { return };
        let of_class = self.being_made.iter().filter_map(|(node, classes)| Some((node, classes.get(&room.storage_class)?)));
        let within = of_class.filter(|(node, _)| self.node(node).is_some_and(|info| reach.matches(&info.node.labels)));
        let bytes = within.map(|(_, bytes)| bytes).sum();
        add(&mut self.promised, key(room), bytes);
    }

    fn promise(&mut self, class: &Str, labels: &Labels, bytes: i128) {
        let rooms: Vec<NamespacedName> = self.rooms_within_reach(class, labels).map(key).collect();
        for room in rooms {
            add(&mut self.promised, room, bytes);
        }
    }
}

fn key(room: &StorageCapacity) -> NamespacedName {
    (room.namespace.clone(), room.name.clone())
}

/// Adds to a sum; sums of nothing are not kept.
fn add<K: Ord>(sums: &mut BTreeMap<K, i128>, key: K, bytes: i128) {
    match sums.entry(key) {
        Entry::Occupied(sum) if *sum.get() + bytes == 0 => drop(sum.remove()),
        Entry::Occupied(mut sum) => *sum.get_mut() += bytes,
        Entry::Vacant(_) if bytes == 0 => {}
        Entry::Vacant(sum) => drop(sum.insert(bytes)),
    }
}
