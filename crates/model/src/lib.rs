//! Values of the scheduler: pods, nodes, volumes, quantities, selectors, storage facts, policies, configuration, snapshot.
//! Knows nothing of Kubernetes' wire types, of clocks, of I/O; parses text only where a value *is* text (quantities, annotations).

#![no_std]

extern crate alloc;

pub mod config;
pub mod devices;
pub mod disruption;
pub mod endpoint;
pub mod foreign;
pub mod gang;
pub mod history;
pub mod hyper_nodes;
pub mod labels;
pub mod node;
pub mod nominated;
pub mod owners;
pub mod pod;
pub mod policy;
pub mod quantity;
pub mod resources;
pub mod selector;
pub mod signals;
pub mod snapshot;
pub mod storage_facts;
pub mod topology;
pub mod volume;
pub mod workload;

/// Shared immutable text: names, labels, keys. Cloning costs a reference count.
pub type Str = alloc::sync::Arc<str>;
