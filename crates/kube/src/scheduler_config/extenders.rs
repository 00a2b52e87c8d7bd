//! `extenders`: whom to ask about which pods, and how they are reached.
//! Leaves out asking them (`crate::extender`).

use super::reader::{Place, Reader};
use super::words::qualified_name_fault;
use http::Uri;
use k8s_openapi::ByteString;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// An extender, as the file has it; verbs are empty where it has none.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are kube-scheduler's")]
pub struct ExtenderConfig {
    pub url_prefix: String,
    pub filter_verb: String,
    pub preempt_verb: String,
    pub prioritize_verb: String,
    pub bind_verb: String,
    pub weight: i64,
    pub http_timeout: Duration,
    pub node_cache_capable: bool,
    pub managed_resources: Vec<String>,
    pub ignorable: bool,
    pub tls: ExtenderTls,
}

/// How an extender is trusted, and who it takes this scheduler for. Data are base64, and win over files.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are kube-scheduler's")]
pub struct ExtenderTls {
    /// Its certificate is not checked.
    pub insecure: bool,
    pub server_name: Option<String>,
    pub cert_file: Option<String>,
    pub key_file: Option<String>,
    pub ca_file: Option<String>,
    pub cert_data: Option<String>,
    pub key_data: Option<SecretString>,
    pub ca_data: Option<String>,
}

/// How long an extender may take when the file does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the extenders, in the order in which they are called (those that can be done without come last), and the names of the
/// resources that the scheduler is not to look at because an extender does.
pub(super) fn read(reader: &mut Reader<'_>, root: &Place<'_>) -> (Vec<ExtenderConfig>, Vec<String>) {
    let (mut managed, mut ignored) = (BTreeSet::new(), Vec::new());
    let places = reader.list(root, "extenders");
    let mut extenders: Vec<ExtenderConfig> = places.iter().map(|at| extender(reader, at, &mut managed, &mut ignored)).collect();
    let n_binders = extenders.iter().filter(|e| !e.bind_verb.is_empty()).count();
    if let Some(at) = root.field("extenders").filter(|_| n_binders > 1) {
        reader.fault_at(at.tree.line, &at.path, &format!("{n_binders} extenders with a bindVerb"), "at most one extender that binds");
    }
    extenders.sort_by_key(|extender| extender.ignorable);
    (extenders, ignored)
}

fn extender(reader: &mut Reader<'_>, at: &Place<'_>, managed: &mut BTreeSet<String>, ignored: &mut Vec<String>) -> ExtenderConfig {
    const TEXTS: [&str; 5] = ["urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "bindVerb"];
    const FLAGS: [&str; 3] = ["enableHTTPS", "nodeCacheCapable", "ignorable"];
    let fields: Vec<&str> = TEXTS.into_iter().chain(FLAGS).chain(["weight", "tlsConfig", "httpTimeout", "managedResources"]).collect();
    reader.map(at, &fields);
    let [url_prefix, filter_verb, preempt_verb, prioritize_verb, bind_verb] =
        TEXTS.map(|field| reader.text(at, field).unwrap_or_default().to_owned());
    let [enable_https, node_cache_capable, ignorable] = FLAGS.map(|field| reader.flag(at, field).unwrap_or(false));
    let verbs =
        [("filterVerb", &filter_verb), ("preemptVerb", &preempt_verb), ("prioritizeVerb", &prioritize_verb), ("bindVerb", &bind_verb)];
    address(reader, at, &url_prefix, &verbs);
    let weight = reader.int(at, "weight", i64::MIN..=i64::MAX).unwrap_or(0);
    if !prioritize_verb.is_empty() && weight <= 0 {
        reader.fault_at(at.tree.at("weight").line, &at.path_of("weight"), &weight.to_string(), "a weight above 0, because it prioritizes");
    }
    let mut tls = at.field("tlsConfig").map(|tls| tls_config(reader, &tls)).unwrap_or_default();
    // As in kube-scheduler: HTTPS without anyone to trust trusts everyone.
    tls.insecure |= enable_https && tls.ca_file.is_none() && tls.ca_data.is_none();
    let managed_resources =
        reader.list(at, "managedResources").iter().filter_map(|place| managed_resource(reader, place, managed, ignored)).collect();
    ExtenderConfig {
        http_timeout: http_timeout(reader, at),
        url_prefix,
        filter_verb,
        preempt_verb,
        prioritize_verb,
        bind_verb,
        weight,
        node_cache_capable,
        managed_resources,
        ignorable,
        tls,
    }
}

/// The address has to be one, and to stay one with every verb.
fn address(reader: &mut Reader<'_>, at: &Place<'_>, prefix: &str, verbs: &[(&str, &String)]) {
    let expected = "an address such as https://127.0.0.1:8443/scheduler, without user, query or fragment";
    let mut used = verbs.iter().filter(|(_, verb)| !verb.is_empty()).peekable();
    match at.field("urlPrefix") {
        None if used.peek().is_some() => return reader.missing(at, "urlPrefix", expected),
        Some(place) if !is_address(prefix) => return reader.fault(&place, expected),
        _ => {}
    }
    for (field, verb) in used {
        if let Some(place) = at.field(field).filter(|_| !is_address(&format!("{prefix}/{verb}"))) {
            reader.fault(&place, "a path that can follow urlPrefix, such as filter");
        }
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && uri.host().is_some_and(|h| !h.is_empty()) && uri.query().is_none() && !text.contains(['@', '#'])
    })
}

fn http_timeout(reader: &mut Reader<'_>, at: &Place<'_>) -> Duration {
    match (reader.duration(at, "httpTimeout"), at.field("httpTimeout")) {
        (Some(nanos), Some(place)) if nanos < 0 => reader.fault(&place, "a duration of at least 0, which stands for 5s"),
        (Some(nanos), _) if nanos > 0 => return super::duration(nanos),
        (_, _) => {}
    }
    DEFAULT_TIMEOUT
}

fn tls_config(reader: &mut Reader<'_>, at: &Place<'_>) -> ExtenderTls {
    const TEXTS: [&str; 4] = ["serverName", "certFile", "keyFile", "caFile"];
    const DATA: [&str; 3] = ["certData", "keyData", "caData"];
    let fields: Vec<&str> = TEXTS.into_iter().chain(DATA).chain(["insecure"]).collect();
    reader.map(at, &fields);
    let [server_name, cert_file, key_file, ca_file] =
        TEXTS.map(|field| reader.text(at, field).filter(|t| !t.is_empty()).map(str::to_owned));
    let [cert_data, key_data, ca_data] = DATA.map(|field| base64(reader, at, field));
    let insecure = reader.flag(at, "insecure").unwrap_or(false);
    if let Some(place) = at.field("insecure").filter(|_| insecure && (ca_file.is_some() || ca_data.is_some())) {
        reader.fault(&place, "false, because a CA is named that the server's certificate is to be checked with");
    }
    let (cert, key) = (cert_file.is_some() || cert_data.is_some(), key_file.is_some() || key_data.is_some());
    if cert != key {
        let field = if cert { "keyFile" } else { "certFile" };
        reader.missing(at, field, "a certificate and its key, or neither");
    }
    let key_data = key_data.map(SecretString::from);
    ExtenderTls { insecure, server_name, cert_file, key_file, ca_file, cert_data, key_data, ca_data }
}

fn base64(reader: &mut Reader<'_>, at: &Place<'_>, field: &str) -> Option<String> {
    let text = reader.text(at, field).filter(|t| !t.is_empty())?;
    if serde_json::from_value::<ByteString>(Value::String(text.into())).is_err()
        && let Some(place) = at.field(field)
    {
        reader.fault(&place, "PEM in base64");
    }
    Some(text.into())
}

fn managed_resource(reader: &mut Reader<'_>, at: &Place<'_>, managed: &mut BTreeSet<String>, ignored: &mut Vec<String>) -> Option<String> {
    reader.map(at, &["name", "ignoredByScheduler"]);
    let by_scheduler = reader.flag(at, "ignoredByScheduler").unwrap_or(false);
    let Some(name) = at.field("name") else {
        reader.missing(at, "name", "the name of an extended resource");
        return None;
    };
    let text = reader.as_text(&name)?;
    let extended = text.contains('/') && !text.contains("kubernetes.io/") && !text.starts_with("requests.");
    match qualified_name_fault(text) {
        Some(expected) => reader.fault(&name, expected),
        None if !extended => reader.fault(&name, "an extended resource, such as example.com/gpu"),
        None => {}
    }
    if !managed.insert(text.into()) {
        reader.fault(&name, "every managed resource once among all extenders");
    }
    if by_scheduler {
        ignored.push(text.into());
    }
    Some(text.into())
}
