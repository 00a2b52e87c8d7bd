//! Kubernetes at the edge: objects in, binds, events and conditions out, and the live configuration.
//! The only crate that knows Kubernetes' types; decides nothing.

pub mod authorize;
pub mod bind;
mod call;
mod cel;
pub mod claim_bind;
pub mod client;
pub mod config_manager;
pub mod convert;
pub mod crd;
pub mod documents;
pub mod events;
pub mod extender;
mod foreign;
mod gangs;
pub mod intern;
pub mod lease;
pub mod objects;
pub mod preempt;
mod problem;
pub mod scheduler_config;
pub mod status;
#[cfg(test)]
mod testing;
pub mod traffic;
pub mod under_way;
pub mod volume_bind;
pub mod watch;
