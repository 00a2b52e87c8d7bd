//! Compiles `proto/apollo.proto` into Rust.
//! Needs no `protoc`: protox parses the file.

use std::error::Error;
use std::path::Path;

/// Parts of an answer that a rules file spells with their names in the contract.
const SPELLED_IN_RULES: [&str; 7] = [
    "NodePreference",
    "ComputedResourceRequirements",
    "StorageRequirements",
    "SchedulingConstraint",
    "AffinityRule",
    "PluginWeights",
    "WorkloadSignatureInfo",
];

/// Enum fields, and the function of `crate::words` that reads each.
const WORDS: [(&str, &str); 6] = [
    ("StorageRequirements.storage_class", "storage_class"),
    ("StorageRequirements.expected_io_pattern", "io_pattern"),
    ("WorkloadSignatureInfo.workload_type", "workload_type"),
    ("WorkloadSignatureInfo.current_stage", "stage"),
    ("WorkloadSignatureInfo.io_pattern", "io_pattern"),
    ("WorkloadSignatureInfo.preprocessing_type", "preprocessing_type"),
];

fn main() -> Result<(), Box<dyn Error>> {
    // Asked when it runs, not when it was compiled: a build folder may have come from another checkout.
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let file = folder.join("apollo.proto");
    println!("cargo:rerun-if-changed={}", file.display());
    let mut builder = tonic_prost_build::configure();
    for message in SPELLED_IN_RULES {
        let attributes = "#[derive(serde::Deserialize)] #[serde(default, deny_unknown_fields)]";
        builder = builder.type_attribute(format!("apollo.{message}"), attributes);
    }
    for (field, function) in WORDS {
        let attribute = format!("#[serde(deserialize_with = \"crate::words::{function}\")]");
        builder = builder.field_attribute(format!("apollo.{field}"), attribute);
    }
    builder.compile_fds(protox::compile([&file], [&folder])?)?;
    Ok(())
}
