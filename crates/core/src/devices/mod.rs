//! Chooses devices for claims on one node: the first solution in kube-scheduler's order, so that the same devices are chosen.
//! Leaves out which claims a pod has, and what is done with an allocation: see the plugin DynamicResources.

mod capacity;
mod constraints;
mod given;
mod pools;
mod result;
mod search;

pub(crate) use given::Given;

use aisched_model::devices::{Allocation, DeviceClaim, Inventory};
use aisched_model::node::Node;
use alloc::string::String;
use alloc::vec::Vec;

/// Devices that one claim can have at most.
pub const MOST_DEVICES: usize = 32;

/// Why the claims get no devices on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There are not enough.
    NoDevices,
    /// There are not enough, and some were left out because their pool contradicts itself.
    InvalidPools,
    /// The search took too many steps.
    TimedOut,
    /// Something is wrong with a claim or a class; on other nodes it is wrong too.
    Broken(String),
}

/// Chooses devices for these claims, all of which have none yet. `steps` bounds the search: one step is one device tried in vain or taken.
///
/// # Errors
/// A [`Failure`]; then no claim gets anything.
pub fn allocate(inventory: &Inventory, node: &Node, claims: &[&DeviceClaim], steps: Option<u64>) -> Result<Vec<Allocation>, Failure> {
    let pools = pools::gather(inventory, node);
    let mut search = search::Search::new(inventory, node, claims, &pools, steps)?;
    search.run()?;
    Ok(result::allocations(&search, node))
}

#[cfg(test)]
pub(crate) mod tests;
