//! Reads a KubeSchedulerConfiguration as kube-scheduler 1.37 reads it: strictly, with its defaults and rules, every fault with its line.
//! Leaves out acting on it: the binary connects, elects and schedules as it says.

mod args;
mod constraints;
mod extenders;
mod merge;
mod points;
mod profiles;
mod reader;
mod words;

#[cfg(test)]
mod tests;

pub use crate::documents::ParseFault as Fault;
pub use extenders::{ExtenderConfig, ExtenderTls};
pub use merge::{EnabledPlugin, EnabledPlugins};
pub use points::Point;
pub use profiles::ProfileConfig;

use crate::documents::tree::{self, Tree};
use aisched_core::features::Features;
use aisched_core::queue::QueueOptions;
use aisched_model::Str;
use reader::{Place, Reader};
use std::path::PathBuf;
use std::time::Duration;

/// Kind of the document.
pub const KIND: &str = "KubeSchedulerConfiguration";

/// The only version of it that kube-scheduler still reads.
pub const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";

/// Seconds of the longest backoff when none is said.
const DEFAULT_MAX_BACKOFF: i64 = 10;

/// What a KubeSchedulerConfiguration says, defaults filled in.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// The profiles, at least one.
    pub profiles: Vec<ProfileConfig>,
    /// How long pods wait between attempts.
    pub queue: QueueOptions,
    /// The extenders, in the order in which they are called.
    pub extenders: Vec<ExtenderConfig>,
    /// Threads that may work at one decision.
    pub parallelism: i32,
    /// `percentageOfNodesToScore` of profiles without one of their own; every node is always scored.
    pub percentage_of_nodes_to_score: Option<i32>,
    /// How the API server is reached.
    pub client_connection: ClientConnection,
    /// Whether and how one of several schedulers leads.
    pub leader_election: LeaderElection,
    /// Whether lists and watches begin only once this scheduler leads.
    pub delay_cache_until_active: bool,
    /// Plugins that profiles enable and this build lacks: they take no part.
    pub missing_plugins: Vec<String>,
    /// Settings that are accepted and change nothing here, in words.
    pub notes: Vec<String>,
}

/// `clientConnection`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConnection {
    /// File with server and credentials; `None` for the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Requests per second, if it says so; below 0 there is no limit.
    pub qps: Option<f64>,
    /// Requests that may come at once.
    pub burst: u32,
}

/// client-go's burst, where a rate is given without one.
pub const DEFAULT_BURST: u32 = 100;

/// `leaderElection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    /// Whether there is an election; without one this scheduler schedules at once.
    pub leader_elect: bool,
    /// How long a leader that is not heard of is still taken for one.
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Pause between attempts.
    pub retry_period: Duration,
    /// Name of the Lease.
    pub resource_name: String,
    /// Namespace of the Lease.
    pub resource_namespace: String,
}

impl Default for LeaderElection {
    /// kube-scheduler's.
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            resource_name: "kube-scheduler".into(),
            resource_namespace: "kube-system".into(),
        }
    }
}

/// A duration as flags and files write it, such as `15s`, `1m30s` or `250ms`.
///
/// # Errors
/// What would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let nanos = words::go_duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| "expected a duration such as 15s, 1m30s or 250ms".into())
}

/// Reads a configuration of a scheduler with these features; `file` is for messages.
///
/// # Errors
/// Every fault, each with path, line, value and what would be right.
pub fn load(text: &str, file: &str, features: Features) -> Result<SchedulerConfig, Vec<Fault>> {
    let documents = match tree::read(text) {
        Ok(documents) => documents,
        Err(error) => {
            let mut reader = Reader::new(file, "");
            reader.fault_at(error.line, "", "", format!("YAML or JSON ({})", error.message));
            return Err(reader.faults);
        }
    };
    let mut reader = Reader::new(file, KIND);
    reader.features = features;
    let config = match documents.as_slice() {
        [document] => Some(document_config(&mut reader, document)),
        [] => {
            reader.fault_at(0, "", "", format!("a {KIND} of {API_VERSION}; the file is empty"));
            None
        }
        [_, second, ..] => {
            reader.fault_at(second.line, "", "", "one document");
            None
        }
    };
    config.filter(|_| reader.faults.is_empty()).ok_or(reader.faults)
}

/// Checks a file of either configuration, AIStorageConfig or KubeSchedulerConfiguration: every fault with its line, none when it is good.
#[must_use]
pub fn check(text: &str, file: &str) -> Vec<Fault> {
    let kinds =
        tree::read(text).map(|documents| documents.iter().map(|d| d.text("kind").unwrap_or_default().to_owned()).collect::<Vec<_>>());
    match kinds {
        Ok(kinds) if kinds.iter().any(|kind| kind == KIND) => load(text, file, Features::default()).err().unwrap_or_default(),
        Ok(kinds) if kinds.iter().all(|kind| kind != "AIStorageConfig") => {
            let mut reader = Reader::new(file, "");
            reader.fault_at(
                0,
                "",
                "",
                format!("an AIStorageConfig of {}/v1 or a {KIND} of {API_VERSION}; the file holds neither", crate::crd::GROUP),
            );
            reader.faults
        }
        Ok(_) | Err(_) => crate::crd::check(text, file),
    }
}

fn document_config(reader: &mut Reader<'_>, document: &Tree) -> SchedulerConfig {
    const FIELDS: [&str; 13] = [
        "apiVersion",
        "kind",
        "parallelism",
        "leaderElection",
        "clientConnection",
        "enableProfiling",
        "enableContentionProfiling",
        "percentageOfNodesToScore",
        "podInitialBackoffSeconds",
        "podMaxBackoffSeconds",
        "profiles",
        "extenders",
        "delayCacheUntilActive",
    ];
    let root = Place::root(document);
    reader.map(&root, &FIELDS);
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match (reader.text(&root, field), root.field(field)) {
            (Some(text), Some(at)) if text != expected => reader.fault(&at, expected),
            (None, None) => reader.missing(&root, field, expected),
            (_, _) => {}
        }
    }
    // Nothing is profiled here, whatever the switches say.
    reader.flag(&root, "enableProfiling");
    reader.flag(&root, "enableContentionProfiling");
    let mut config = SchedulerConfig {
        client_connection: client_connection(reader, &root),
        leader_election: leader_election(reader, &root),
        parallelism: reader.int32(&root, "parallelism", 1..=i32::MAX).unwrap_or(16),
        percentage_of_nodes_to_score: profiles::percentage_of_nodes_to_score(reader, &root),
        queue: queue(reader, &root),
        delay_cache_until_active: reader.flag(&root, "delayCacheUntilActive").unwrap_or(false),
        profiles: profiles::read(reader, &root),
        extenders: Vec::new(),
        missing_plugins: Vec::new(),
        notes: Vec::new(),
    };
    let (extenders, ignored) = extenders::read(reader, &root);
    config.extenders = extenders;
    if !ignored.is_empty() {
        // As in kube-scheduler, they replace what the profiles say.
        let ignored: Vec<Str> = ignored.iter().map(|name| name.as_str().into()).collect();
        config.profiles.iter_mut().for_each(|profile| profile.args.node_resources_fit.ignored_resources.clone_from(&ignored));
    }
    config.missing_plugins = missing_plugins(&config.profiles);
    config.notes = notes(&config);
    config
}

fn queue(reader: &mut Reader<'_>, root: &Place<'_>) -> QueueOptions {
    const INITIAL: &str = "podInitialBackoffSeconds";
    const MAX: &str = "podMaxBackoffSeconds";
    let initial = reader.int(root, INITIAL, 1..=i64::MAX).unwrap_or(1);
    let max = reader.int(root, MAX, i64::MIN..=i64::MAX);
    match (max, root.field(INITIAL), root.field(MAX)) {
        (Some(max), _, Some(at)) if max < initial => reader.fault(&at, format!("at least {INITIAL}, which is {initial}")),
        (None, Some(at), None) if initial > DEFAULT_MAX_BACKOFF => {
            reader.fault(&at, format!("at most {MAX}, which is {DEFAULT_MAX_BACKOFF} by default"));
        }
        (_, _, _) => {}
    }
    let millis = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let max = max.unwrap_or(DEFAULT_MAX_BACKOFF);
    QueueOptions { initial_backoff_ms: millis(initial), max_backoff_ms: millis(max), ..QueueOptions::default() }
}

fn client_connection(reader: &mut Reader<'_>, root: &Place<'_>) -> ClientConnection {
    let default = ClientConnection { kubeconfig: None, qps: None, burst: DEFAULT_BURST };
    let Some(at) = root.field("clientConnection") else { return default };
    reader.map(&at, &["kubeconfig", "acceptContentTypes", "contentType", "qps", "burst"]);
    reader.text(&at, "acceptContentTypes");
    reader.text(&at, "contentType");
    ClientConnection {
        kubeconfig: reader.text(&at, "kubeconfig").filter(|path| !path.is_empty()).map(PathBuf::from),
        qps: reader.number(&at, "qps").filter(|qps| *qps != 0.0),
        burst: reader.int32(&at, "burst", 0..=i32::MAX).and_then(|n| u32::try_from(n).ok()).filter(|n| *n != 0).unwrap_or(DEFAULT_BURST),
    }
}

/// A renewal is tried again after a period with this much luck in it.
const JITTER: f64 = 1.2;

fn leader_election(reader: &mut Reader<'_>, root: &Place<'_>) -> LeaderElection {
    let none = Tree { line: root.tree.line, node: tree::Node::Map(Vec::new()) };
    let at = root.field("leaderElection").unwrap_or(Place { tree: &none, path: "leaderElection".into() });
    let LeaderElection { lease_duration, renew_deadline, retry_period, resource_name, resource_namespace, .. } = LeaderElection::default();
    let durations = [("leaseDuration", lease_duration), ("renewDeadline", renew_deadline), ("retryPeriod", retry_period)];
    let texts = [("resourceLock", "leases"), ("resourceName", &resource_name), ("resourceNamespace", &resource_namespace)];
    let fields: Vec<&str> = durations.iter().map(|(f, _)| *f).chain(texts.iter().map(|(f, _)| *f)).chain(["leaderElect"]).collect();
    reader.map(&at, &fields);
    let leader_elect = reader.flag(&at, "leaderElect").unwrap_or(true);
    let [lease, renew, retry] = durations.map(|(field, default)| {
        let default = i64::try_from(default.as_nanos()).unwrap_or(i64::MAX);
        reader.duration(&at, field).filter(|d| *d != 0).unwrap_or(default)
    });
    let [lock, name, namespace] = texts.map(|(field, default)| reader.text(&at, field).filter(|t| !t.is_empty()).unwrap_or(default));
    if leader_elect {
        let timing = Timing { lease, renew, retry };
        election_rules(reader, &at, timing, lock);
    }
    LeaderElection {
        leader_elect,
        lease_duration: duration(lease),
        renew_deadline: duration(renew),
        retry_period: duration(retry),
        resource_name: name.into(),
        resource_namespace: namespace.into(),
    }
}

/// Nanoseconds of an election.
#[derive(Clone, Copy)]
struct Timing {
    lease: i64,
    renew: i64,
    retry: i64,
}

/// What must hold of an election that takes place.
fn election_rules(reader: &mut Reader<'_>, at: &Place<'_>, timing: Timing, lock: &str) {
    let Timing { lease, renew, retry } = timing;
    #[allow(clippy::cast_precision_loss, reason = "compared with a factor of two digits")]
    let too_short = renew as f64 <= JITTER * retry as f64;
    let shown = |nanos: i64| format!("{:?}", duration(nanos));
    for (broken, field, value, expected) in [
        (lease < 0, "leaseDuration", at.tree.at("leaseDuration").shown(), "a duration above 0"),
        (renew < 0, "renewDeadline", at.tree.at("renewDeadline").shown(), "a duration above 0"),
        (retry < 0, "retryPeriod", at.tree.at("retryPeriod").shown(), "a duration above 0"),
        (lease >= 0 && lease <= renew, "leaseDuration", shown(lease), "a duration above renewDeadline"),
        (renew >= 0 && too_short, "renewDeadline", shown(renew), "a duration above 1.2 times retryPeriod"),
        (lock != "leases", "resourceLock", lock.to_owned(), "leases"),
    ] {
        if broken {
            reader.fault_at(at.tree.at(field).line, &at.path_of(field), &value, expected);
        }
    }
}

fn duration(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

fn millis(nanos: i64) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(0)
}

fn missing_plugins(profiles: &[ProfileConfig]) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for name in profiles.iter().flat_map(ProfileConfig::missing_plugins) {
        if missing.iter().all(|known| known != name) {
            missing.push(name.into());
        }
    }
    missing
}

fn notes(config: &SchedulerConfig) -> Vec<String> {
    let mut notes = Vec::new();
    let all = ("", config.percentage_of_nodes_to_score);
    let own = config.profiles.iter().map(|p| (p.scheduler_name.as_str(), p.percentage_of_nodes_to_score));
    for (profile, percentage) in [all].into_iter().chain(own) {
        if let Some(percentage) = percentage.filter(|p| (1..100).contains(p)) {
            let of = if profile.is_empty() { String::new() } else { format!(" of profile {profile}") };
            notes.push(format!("percentageOfNodesToScore {percentage}{of} changes nothing: every node is always scored"));
        }
    }
    notes
}
