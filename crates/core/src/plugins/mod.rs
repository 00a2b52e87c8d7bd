//! The plugins, one file each, and the one list of them.
//! Leaves out which of them a profile runs: see `profile`.

mod node_unschedulable;

use crate::framework::Plugin;
use alloc::boxed::Box;

/// Makes the plugin of this name; `None` when there is none.
#[must_use]
pub fn create(name: &str) -> Option<Box<dyn Plugin>> {
    REGISTRY.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
}

/// Makes a plugin with its default arguments.
type Make = fn() -> Box<dyn Plugin>;

/// Every plugin by name.
const REGISTRY: &[(&str, Make)] = &[("NodeUnschedulable", || Box::new(node_unschedulable::NodeUnschedulable))];
