//! Kubernetes at the edge: objects in, binds, events and conditions out, and the live configuration.
//! The only crate that knows Kubernetes' types; decides nothing.

pub mod convert;
pub mod crd;
pub mod documents;
pub mod intern;
pub mod objects;
