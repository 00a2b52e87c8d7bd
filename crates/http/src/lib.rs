//! HTTP at the edge: health, metrics, the decision API and the page over TLS, for callers whom an [`Authorizer`] lets in.
//! Knows neither Kubernetes nor the event loop: it asks the engine through a channel of [`Query`]s, and gives up waiting in time.

mod access;
mod api;
mod certificate;
mod feed;
mod health;
mod metrics;
mod page;
mod problem;
mod query;
mod records;
mod routes;
mod server;
mod views;

pub use access::{Access, Allowed, AuthError, Authorizer};
pub use certificate::{CertificateError, CertificateSource};
pub use feed::Feed;
pub use metrics::catalog;
pub use metrics::{AttemptResult, Metrics};
pub use query::{Dated, Known, Nodes, Query, Reply, answer};
pub use routes::{Analyst, Backend, Leader, LeaseFault, ScrapeHook};
pub use server::{Limits, Options, ServeError, Server, serve};
pub use views::{NodeView, QueueView, RemainingView, Status, StreamView};
