//! Pools of devices that a node can reach: complete or not, contradicting themselves or not, in the order in which they are tried.
//! Leaves out what is in use.

use aisched_model::devices::{Counters, Inventory, PoolId, Reach, Slice};
use aisched_model::node::Node;
use aisched_model::selector::any_term_matches;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// A pool, as one node sees it.
pub(super) struct Pool<'a> {
    pub(super) id: &'a PoolId,
    pub(super) state: State,
    /// Slices with devices for the node, by name.
    pub(super) slices: Vec<&'a Slice>,
    /// The pool's other slices with devices: those may use up what the node's devices share with them.
    pub(super) others: Vec<&'a Slice>,
    pub(super) counter_sets: BTreeMap<&'a str, &'a Counters>,
}

/// Whether devices of a pool may be given away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Usable,
    /// A slice has not arrived: the driver is about to change the pool.
    Incomplete,
    /// Two devices of one name, or counters that nobody defines.
    Invalid,
}

/// Pools of the node's devices, by name; those with devices that take time to get ready come last.
pub(super) fn gather<'a>(inventory: &'a Inventory, node: &Node) -> Vec<Pool<'a>> {
    let local = inventory.local.get(&node.name).into_iter().flat_map(BTreeMap::values);
    let mut newest: BTreeMap<&PoolId, Vec<&Slice>> = BTreeMap::new();
    for slice in local.chain(inventory.shared.values()).filter(|slice| is_relevant(slice, node)) {
        let slices = newest.entry(&slice.pool).or_default();
        match slices.first().map(|known| known.generation) {
            Some(known) if slice.generation < known => {}
            Some(known) if slice.generation > known => *slices = alloc::vec![&**slice],
            Some(_) | None => slices.push(slice),
        }
    }
    let mut pools: Vec<Pool<'a>> = newest.into_iter().filter_map(|(id, slices)| pool(inventory, id, slices)).collect();
    pools.sort_by_key(|pool| pool.slices.iter().flat_map(|s| &s.devices).any(|device| device.binding_conditions.is_some()));
    pools
}

/// Whether a reach includes the node.
pub(super) fn reaches(reach: &Reach, node: &Node) -> bool {
    match reach {
        Reach::Node(name) => *name == node.name,
        Reach::All => true,
        Reach::Nodes(terms) => any_term_matches(terms, &node.name, &node.labels),
        Reach::PerDevice | Reach::Unknown => false,
    }
}

fn is_relevant(slice: &Slice, node: &Node) -> bool {
    match &slice.reach {
        Reach::PerDevice => slice.devices.iter().filter_map(|device| device.reach.as_ref()).any(|reach| reaches(reach, node)),
        reach => reaches(reach, node),
    }
}

/// A pool made of the node's newest slices; `None` when there are newer ones that are not for the node.
fn pool<'a>(inventory: &'a Inventory, id: &'a PoolId, mut slices: Vec<&'a Slice>) -> Option<Pool<'a>> {
    let (generation, wanted) = slices.first().map(|slice| (slice.generation, slice.slice_count))?;
    let is_complete = |n: usize| i64::try_from(n) == Ok(wanted);
    let mut all: Vec<&Slice> = Vec::new();
    if !is_complete(slices.len()) {
        let of_pool = || inventory.pools.get(id).into_iter().flat_map(BTreeMap::values);
        if of_pool().any(|slice| slice.generation > generation) {
            return None;
        }
        all.extend(of_pool().map(|slice| &**slice).filter(|slice| slice.generation == generation));
        if !is_complete(all.len()) {
            let (slices, others, counter_sets) = (Vec::new(), Vec::new(), BTreeMap::new());
            return Some(Pool { id, state: State::Incomplete, slices, others, counter_sets });
        }
    }
    slices.sort_by(|a, b| a.name.cmp(&b.name));
    all.retain(|slice| !slices.iter().any(|own| own.name == slice.name));
    let (counting, slices): (Vec<&Slice>, Vec<&Slice>) = slices.into_iter().partition(|slice| !slice.counter_sets.is_empty());
    let (more_counting, others): (Vec<&Slice>, Vec<&Slice>) = all.into_iter().partition(|slice| !slice.counter_sets.is_empty());
    let mut counter_sets: BTreeMap<&str, &Counters> = BTreeMap::new();
    let mut is_valid = has_unique_names(&slices);
    for (name, counters) in counting.iter().chain(&more_counting).flat_map(|slice| &slice.counter_sets) {
        is_valid &= counter_sets.insert(name, counters).is_none();
    }
    is_valid &= slices.iter().chain(&others).all(|slice| consumes_only(slice, &counter_sets));
    let state = if is_valid { State::Usable } else { State::Invalid };
    Some(if is_valid {
        Pool { id, state, slices, others, counter_sets }
    } else {
        Pool { id, state, slices: Vec::new(), others: Vec::new(), counter_sets: BTreeMap::new() }
    })
}

fn has_unique_names(slices: &[&Slice]) -> bool {
    let mut names = BTreeSet::new();
    slices.iter().flat_map(|slice| &slice.devices).all(|device| names.insert(&device.name))
}

/// Whether every counter that devices of the slice use up is there.
fn consumes_only(slice: &Slice, counter_sets: &BTreeMap<&str, &Counters>) -> bool {
    slice
        .devices
        .iter()
        .flat_map(|device| &device.consumes)
        .all(|(set, counters)| counter_sets.get(&**set).is_some_and(|known| counters.keys().all(|counter| known.contains_key(counter))))
}
