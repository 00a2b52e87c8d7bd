//! `extenders`: read and checked, and then refused, because this version calls none.
//! Leaves out calling them.

use super::reader::{Place, Reader};
use super::words::qualified_name_fault;
use std::collections::BTreeSet;

/// Said of a list of extenders that is not empty: a scheduler that passes over them would place pods where they must not be.
pub(super) const NOT_SUPPORTED: &str = "no extenders: extenders are not supported by this version";

/// Checks the extenders.
pub(super) fn check(reader: &mut Reader<'_>, root: &Place<'_>) {
    let extenders = reader.list(root, "extenders");
    let mut managed: BTreeSet<String> = BTreeSet::new();
    let mut n_binders = 0;
    for place in &extenders {
        n_binders += usize::from(extender(reader, place, &mut managed));
    }
    let Some(at) = root.field("extenders") else { return };
    if n_binders > 1 {
        reader.fault_at(at.tree.line, &at.path, &format!("{n_binders} extenders with a bindVerb"), "at most one extender that binds");
    }
    if !extenders.is_empty() {
        reader.fault(&at, NOT_SUPPORTED);
    }
}

/// Checks one; whether it binds.
fn extender(reader: &mut Reader<'_>, at: &Place<'_>, managed: &mut BTreeSet<String>) -> bool {
    const TEXTS: [&str; 5] = ["urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "bindVerb"];
    const FLAGS: [&str; 3] = ["enableHTTPS", "nodeCacheCapable", "ignorable"];
    let fields: Vec<&str> = TEXTS.into_iter().chain(FLAGS).chain(["weight", "tlsConfig", "httpTimeout", "managedResources"]).collect();
    reader.map(at, &fields);
    for field in TEXTS {
        reader.text(at, field);
    }
    for field in FLAGS {
        reader.flag(at, field);
    }
    reader.duration(at, "httpTimeout");
    let weight = reader.int(at, "weight", i64::MIN..=i64::MAX).unwrap_or(0);
    let verb = |field: &str| at.field(field).is_some_and(|place| !place.tree.shown().is_empty());
    if verb("prioritizeVerb") && weight <= 0 {
        reader.fault_at(at.tree.at("weight").line, &at.path_of("weight"), &weight.to_string(), "a weight above 0, because it prioritizes");
    }
    if let Some(tls) = at.field("tlsConfig") {
        tls_config(reader, &tls);
    }
    for place in reader.list(at, "managedResources") {
        managed_resource(reader, &place, managed);
    }
    verb("bindVerb")
}

fn tls_config(reader: &mut Reader<'_>, at: &Place<'_>) {
    const TEXTS: [&str; 7] = ["serverName", "certFile", "keyFile", "caFile", "certData", "keyData", "caData"];
    let fields: Vec<&str> = TEXTS.into_iter().chain(["insecure"]).collect();
    reader.map(at, &fields);
    for field in TEXTS {
        reader.text(at, field);
    }
    reader.flag(at, "insecure");
}

fn managed_resource(reader: &mut Reader<'_>, at: &Place<'_>, managed: &mut BTreeSet<String>) {
    reader.map(at, &["name", "ignoredByScheduler"]);
    reader.flag(at, "ignoredByScheduler");
    let Some(name) = at.field("name") else { return reader.missing(at, "name", "the name of an extended resource") };
    let Some(text) = reader.as_text(&name) else { return };
    let extended = text.contains('/') && !text.contains("kubernetes.io/") && !text.starts_with("requests.");
    match qualified_name_fault(text) {
        Some(expected) => reader.fault(&name, expected),
        None if !extended => reader.fault(&name, "an extended resource, such as example.com/gpu"),
        None => {}
    }
    if !managed.insert(text.into()) {
        reader.fault(&name, "every managed resource once among all extenders");
    }
}
