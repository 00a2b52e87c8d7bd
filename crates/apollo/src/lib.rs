//! Talks to APOLLO: asks for a policy per pod, keeps answers, reports results; and a policy server for development and tests.
//! Leaves out what a policy does to a placement (`aisched-core`) and printing: callers log what they are told.

mod breaker;
mod cache;
pub mod client;
pub mod decode;
pub mod endpoint;
mod feedback;
mod link;
pub mod log_lines;
pub mod rules;
pub mod server;
pub mod stats;
pub mod wire;
mod words;

pub use breaker::{BreakerState, FAILURES_TO_OPEN};
pub use cache::MAX_ENTRIES as MAX_CACHED_POLICIES;
pub use client::{ClientConfig, PolicyAnswer, PolicyClient, PolicyRequest};
pub use endpoint::{Target, TlsFiles};
pub use feedback::{Outcome, ResultReport};
pub use log_lines::log_line;
pub use rules::{Dialect, Rules, RulesError};
pub use server::{PolicyServer, ServerError, ServerEvent};
pub use stats::{LATENCY_BUCKETS_MS, Stats};
