//! A virtual cluster and clock that drive the scheduler's own engine: what would happen, without a cluster.
//! Leaves out files and output; objects come as the engine's events, whoever read them.

#![no_std]

extern crate alloc;

pub mod checker;
mod devices;
pub mod jobs;
mod scenario;
mod simulation;
mod storage;
pub mod storm;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cures;
#[cfg(test)]
mod tests_gangs;
pub mod what_if;

pub use scenario::Scenario;
pub use simulation::{Left, Options, Plugins, Rest, Simulation};
