//! Compiles `proto/apollo.proto` into Rust.
//! Needs no `protoc`: protox parses the file.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let file = folder.join("apollo.proto");
    println!("cargo:rerun-if-changed={}", file.display());
    let descriptors = protox::compile([&file], [&folder])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
