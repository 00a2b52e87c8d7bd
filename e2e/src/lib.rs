//! What the tests against a real API server share: one control plane per run, a namespace and nodes per test, schedulers as processes.
//! Leaves out the tests (`tests/cluster`) and everything of the product: it is driven by its command line, and judged by what is in the API.
#![allow(clippy::expect_used, clippy::panic, reason = "a harness fails by failing the test that uses it")]

mod account;
mod api;
mod binds;
mod cluster;
mod extender;
mod fate;
mod fixture;
mod overcommit;
mod process;
mod program;
mod provisioner;
mod proxy;
mod storage;
mod wait;

pub use account::Permission;
pub use api::{Api, Refusal};
pub use binds::Binds;
pub use cluster::Cluster;
pub use extender::{Answers, Extender};
pub use fate::{Fate, Streams};
pub use fixture::Test;
pub use process::{free_port, signal};
pub use program::{Options, Program, binary};
pub use provisioner::{Provisioner, Room};
pub use proxy::{Asked, Proxy, Rule};
pub use wait::{eventually, within};

/// `base` with everything in `over` put in or replaced, objects member by member.
#[must_use]
pub fn merged(mut base: serde_json::Value, over: serde_json::Value) -> serde_json::Value {
    match (&mut base, over) {
        (serde_json::Value::Object(base), serde_json::Value::Object(over)) => {
            for (key, value) in over {
                let under = base.remove(&key).unwrap_or_default();
                base.insert(key, merged(under, value));
            }
        }
        (base, over) => *base = over,
    }
    base
}
