//! The server from the outside: real HTTPS on loopback, in front of a real engine.
//! Leaves out the API server: a stand-in says who may call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod api;
mod bounds;
mod health;
mod page;
mod records;
mod tls;
mod world;
