//! The three log lines that the guide tells operators to look for, one per resolution.
//! Prints nothing: the caller logs them at info with `namespace=… pod=…` after them.

use aisched_model::policy::PolicySource;

/// A fresh answer.
pub const SUCCESS: &str = "[APOLLO-DataSource] SUCCESS - Policy retrieved from APOLLO gRPC";
/// An answer from the cache.
pub const CACHE: &str = "[APOLLO-DataSource] Policy retrieved from CACHE";
/// No answer.
pub const FALLBACK: &str = "[APOLLO-DataSource] FALLBACK - Connection failed, will use Pod labels/annotations";

/// The line for a resolution's source.
#[must_use]
pub fn log_line(source: PolicySource) -> &'static str {
    match source {
        PolicySource::Success => SUCCESS,
        PolicySource::Cache => CACHE,
        PolicySource::Fallback => FALLBACK,
    }
}
