//! The scheduler without the world: decide(), plugins, queue, cache, engine.
//! No I/O, no clock, no luck: the same events at the same times give the same actions.

#![no_std]

extern crate alloc;

mod ages;
mod attached;
pub mod cache;
pub mod consult;
pub mod cures;
pub mod decide;
pub mod decision;
pub mod devices;
pub mod engine;
pub mod event;
pub mod features;
#[cfg(test)]
mod fixture;
pub mod framework;
pub mod gang;
mod journal;
pub mod plugins;
mod policy_terms;
mod policy_view;
pub mod preemption;
pub mod profile;
mod promises;
mod provisioning;
pub mod queue;
pub mod records;
mod rejections;
mod reweigh;
mod templates;
pub mod view;
pub mod workload_profile;
