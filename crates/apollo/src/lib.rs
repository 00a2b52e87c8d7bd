//! Talks to APOLLO: asks for a policy per pod, keeps answers, reports results; and a policy server for development and tests.
//! Leaves out what a policy does to a placement (`aisched-core`) and printing: callers log what they are told.

pub mod decode;
pub mod wire;
