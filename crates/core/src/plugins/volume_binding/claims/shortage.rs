//! What is missing on a node that has no room for a claim, in numbers for people.
//! Leaves out whether there is room.

use super::{Claims, NoRoom, Room};
use aisched_model::node::Node;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

impl Claims<'_> {
    /// How much is missing on a node, in numbers.
    pub(in crate::plugins::volume_binding) fn shortage(&self, node: &Node, NoRoom { unbound, beside }: &NoRoom<'_>) -> String {
        let (claim, class) = (unbound.claim, &unbound.class.name);
        let wanted = format!("claim {} asks for {} of class {class}", claim.name, size(claim.requested));
        if unbound.is_failing(&node.name) {
            return format!("{wanted}, which the driver could not make here lately");
        }
        let Room::Known(Some(rooms)) = unbound.room else { return format!("{wanted}; the driver tells of no room anywhere") };
        let here = rooms.all(&node.labels).filter(|room| room.nodes.as_ref().is_some_and(|nodes| nodes.matches(&node.labels)));
        let Some(room) = here.max_by_key(|room| (room.limit(), &room.name)) else {
            return format!("{wanted}; the driver tells of no room here");
        };
        let mut text = format!("{wanted}; {} has {} free", room.name, room.capacity.map_or_else(|| "an unknown size".into(), size));
        if let Some(most) = room.maximum_volume_size {
            text.push_str(&format!(", {} at most for one volume", size(most)));
        }
        let promised = i64::try_from(self.promised.of(room)).unwrap_or(i64::MAX);
        let own = beside.iter().filter(|(_, at)| at.is_some_and(|at| Arc::ptr_eq(at, room))).map(|(claim, _)| claim.requested).sum();
        for (amount, to) in [(promised, "claims of other pods"), (own, "the pod's other claims")] {
            if amount > 0 {
                text.push_str(&format!(", {} of it promised to {to}", size(amount)));
            }
        }
        text
    }
}

/// Bytes for people. Example: 1610612736 is `1.5 GiB`.
fn size(bytes: i64) -> String {
    let (unit, name) =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")].into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1, "bytes"));
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [(0, "0 bytes"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (6 << 30, "6 GiB"), (5 << 40, "5 TiB")] {
            assert_eq!(size(bytes), expected.to_string());
        }
    }
}
