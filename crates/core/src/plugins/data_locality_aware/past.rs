//! Nodes where pods with the same claim, owner or image ran in the last hours: what they read may still be in memory or in a cache there.
//! Leaves out pods of which something better is known: their datasets, or a cache that publishes what it has.

use crate::framework::Fact;
use aisched_model::Str;
use aisched_model::history::{HOURS, History, Thing, things};
use aisched_model::pod::Pod;
use aisched_model::signals::Signals;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What pods of the same kind read before, on which nodes.
pub(super) struct Past<'a> {
    history: &'a History,
    things: Vec<Thing>,
}

/// What the same of each is worth in per cent of data that is cached for certain.
fn worth(thing: &Thing) -> i64 {
    match thing {
        Thing::Claim(..) => 100,
        Thing::Owner(..) => 75,
        Thing::Image(_) => 50,
    }
}

impl<'a> Past<'a> {
    pub(super) fn of(pod: &Pod, snapshot: &'a Snapshot, on: &Signals) -> Self {
        let known = things(pod).filter(|thing| on.placement_history && !snapshot.history.is_new(thing));
        Self { history: &snapshot.history, things: known.collect() }
    }

    /// What its points come from besides the node: pods of one template may differ in how their claims are called.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact> {
        let basis = self.things.iter().flat_map(|thing| self.history.basis(thing));
        let claims = self.things.iter().filter_map(|thing| match thing {
            Thing::Claim(_, name) => Some(Fact::Name(name.clone())),
            Thing::Owner(..) | Thing::Image(_) => None,
        });
        basis.map(Fact::Number).chain(claims)
    }

    /// What is worth most on a node, with its per cent now.
    fn best(&self, node: &Str) -> Option<(&Thing, u64, i64)> {
        let found = self.things.iter().filter_map(|thing| {
            let hours = self.history.hours_since(thing, node)?;
            let left = i64::try_from(HOURS - hours).unwrap_or(0);
            Some((thing, hours, worth(thing) * left / HOURS as i64))
        });
        found.reduce(|best, next| if next.2 > best.2 { next } else { best })
    }

    /// Example, of 20: the claim was read here in this hour 15, three hours ago 7; its image alone 7.
    pub(super) fn points(&self, node: &Str, max: i64) -> Option<i64> {
        self.best(node).map(|(_, _, percent)| max * 3 / 4 * percent / 100)
    }

    pub(super) fn source(&self, node: &Str) -> Option<String> {
        let (thing, hours, _) = self.best(node)?;
        let what = match thing {
            Thing::Claim(_, name) => format!("a pod with claim {name}"),
            Thing::Owner(_, owner) => format!("a pod of {owner}"),
            Thing::Image(image) => format!("a pod with image {image}"),
        };
        let when = if hours == 0 { "within the last hour".into() } else { format!("{hours} h ago") };
        Some(format!("{what} ran here {when}"))
    }
}
