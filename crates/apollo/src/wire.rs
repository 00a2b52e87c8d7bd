//! The messages and the service of `proto/apollo.proto`, as generated at build time.
//! Nothing outside this crate's decoding, client and server should need them.
#![allow(missing_docs, unreachable_pub, clippy::all)]

tonic::include_proto!("apollo");
