//! Tests of the real binary against a real API server; the control plane is started with the first of them and shared by all.
//! Each module is one part of what an operator relies on; the harness is in `e2e/src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod apollo;
mod bad_input;
mod binding;
mod chaos;
mod config;
mod explain;
mod extender;
mod gangs;
mod guide;
mod io;
mod labels;
mod leader;
mod lifecycle;
mod neighbours;
mod permissions;
mod preemption;
mod restart;
mod signals;
mod volumes;
mod volumes_dynamic;
mod volumes_limits;
mod volumes_words;
mod waiting;
mod wars;
