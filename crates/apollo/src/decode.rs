//! Turns an answer off the wire into a [`Policy`]: both servers' dialects, findings told from defaults, hostile values dropped.
//! Leaves out what a policy does, and judges no weights: sharing them out refuses invalid ones.

use crate::wire;
use aisched_model::Str;
use aisched_model::policy::{Findings, NodePreference, Policy, PolicyDecision, Shown};
use aisched_model::workload::{IoPattern, PreprocessingType, Stage, Tier};
use prost::Message;
use thiserror::Error;

mod terms;
mod text;

use text::{bounded, clean, word};

/// The engine's I/O operations per second for every pod that it knows nothing of.
const DEFAULT_IOPS: i64 = 1000;
/// The engine's MB/s for every pod that it knows nothing of.
const DEFAULT_THROUGHPUT_MBPS: i64 = 100;
/// More entries of any list than this are dropped: twice the largest cluster supported.
const MAX_ENTRIES: usize = 10_000;
/// More dataset names than this are dropped: no pod mounts a hundred.
const MAX_DATASETS: usize = 100;
/// Longer request ids are not kept; the servers send UUIDs of 36 bytes.
const MAX_REQUEST_ID_BYTES: usize = 256;
/// Bytes of a GB as the engine counts them: it writes 50 GB as 53687091200.
const BYTES_PER_GB: i64 = 1 << 30;

/// A policy, and what of its answer was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The policy.
    pub policy: Policy,
    /// What was set aside.
    pub oddities: Oddities,
}

/// Counts of what was set aside in one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Decisions of an unknown number, taken for ALLOW.
    pub unknown_decisions: u64,
    /// Names dropped: blank, too long, unprintable, or too many of them.
    pub names_dropped: u64,
    /// Constraints of a type, operator or form that cannot be acted on.
    pub constraints_ignored: u64,
    /// Affinity rules of a type or form that cannot be acted on.
    pub affinity_rules_ignored: u64,
    /// Weights or signatures that do not decode.
    pub parts_undecodable: u64,
}

impl Oddities {
    /// Adds `other`'s counts.
    pub fn add(&mut self, other: Self) {
        self.unknown_decisions += other.unknown_decisions;
        self.names_dropped += other.names_dropped;
        self.constraints_ignored += other.constraints_ignored;
        self.affinity_rules_ignored += other.affinity_rules_ignored;
        self.parts_undecodable += other.parts_undecodable;
    }
}

/// Why an answer is no policy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoPolicy {
    /// Nothing in it says anything about the pod: the engine's way to say that it failed inside.
    #[error("the answer holds no policy (reason: {reason:?})")]
    Empty {
        /// Names the answer when its result is reported.
        request_id: Option<Str>,
        /// The server's own words.
        reason: Str,
    },
    /// It is about another pod.
    #[error("the answer is for pod {answered}, asked for {asked}")]
    OtherPod {
        /// `namespace/name` asked for.
        asked: String,
        /// `namespace/name` answered for.
        answered: String,
    },
}

/// Decodes `answer` to a question about pod `namespace/name`.
///
/// A server that leaves the pod's name or namespace out is taken to answer the question it was asked.
///
/// # Errors
/// [`NoPolicy`] for an answer about another pod, and for one that says nothing: neither signature, weights, storage requirements
/// nor preferences, nor anything else to act on (a decision that holds the pod back or binds, constraints, affinity rules).
pub fn decode(answer: wire::SchedulingPolicy, namespace: &str, name: &str) -> Result<Decoded, NoPolicy> {
    refuse_other_pod(&answer, namespace, name)?;
    let mut oddities = Oddities::default();
    let signature = signature(&answer.workload_signature, &mut oddities);
    let plugin_weights = weights(&answer, &mut oddities);
    let (constraints, affinity) = terms::of(&answer, &mut oddities);
    let decision = decision(answer.decision, &mut oddities);
    let node_preferences = preferences(answer.node_preferences, &mut oddities);
    let request_id = request_id(&answer.request_id, &mut oddities);
    let reason = clean(&answer.reason);
    let hints_only = matches!(decision, PolicyDecision::Allow | PolicyDecision::Prefer);
    if hints_only
        && signature.is_none()
        && plugin_weights.is_none()
        && answer.storage_requirements.is_none()
        && node_preferences.is_empty()
        && constraints.is_empty()
        && affinity.is_empty()
    {
        return Err(NoPolicy::Empty { request_id, reason });
    }
    let signature = signature.unwrap_or_default();
    let storage = answer.storage_requirements.unwrap_or_default();
    let (findings, defaults) = findings(&signature, &storage, &mut oddities);
    let resources = answer.resource_requirements.unwrap_or_default();
    let shown = Shown {
        priority: (answer.priority != 0).then_some(answer.priority),
        allow_preemption: answer.allow_preemption,
        ..shown(&signature, &resources)
    };
    let policy = Policy {
        request_id,
        decision,
        reason,
        node_preferences,
        findings,
        defaults,
        data_locations: names(&signature.data_locations, MAX_ENTRIES, &mut oddities),
        cached_on_nodes: names(&signature.cached_on_nodes, MAX_ENTRIES, &mut oddities),
        plugin_weights,
        constraints,
        affinity,
        shown,
    };
    Ok(Decoded { policy, oddities })
}

fn refuse_other_pod(answer: &wire::SchedulingPolicy, namespace: &str, name: &str) -> Result<(), NoPolicy> {
    let differs = |answered: &str, asked: &str| !answered.is_empty() && answered != asked;
    if differs(&answer.pod_namespace, namespace) || differs(&answer.pod_name, name) {
        return Err(NoPolicy::OtherPod {
            asked: format!("{namespace}/{name}"),
            answered: format!("{}/{}", clean(&answer.pod_namespace), clean(&answer.pod_name)),
        });
    }
    Ok(())
}

fn request_id(sent: &str, oddities: &mut Oddities) -> Option<Str> {
    if sent.len() > MAX_REQUEST_ID_BYTES {
        oddities.names_dropped += 1;
        return None;
    }
    (!sent.is_empty()).then(|| Str::from(sent))
}

fn decision(number: i32, oddities: &mut Oddities) -> PolicyDecision {
    use wire::SchedulingDecision as Wire;
    match Wire::try_from(number) {
        Ok(Wire::Unspecified | Wire::Allow) => PolicyDecision::Allow,
        Ok(Wire::Prefer) => PolicyDecision::Prefer,
        Ok(Wire::Require) => PolicyDecision::Require,
        Ok(Wire::Delay) => PolicyDecision::Delay,
        Ok(Wire::Reject) => PolicyDecision::Reject,
        Err(_) => {
            oddities.unknown_decisions += 1;
            PolicyDecision::Allow
        }
    }
}

/// Field 13 if it decodes as weights, else field 15. An older server's field 13 is a timestamp, whose varints are no floats.
fn weights(answer: &wire::SchedulingPolicy, oddities: &mut Oddities) -> Option<[f32; 5]> {
    let parts = [&answer.plugin_weights_or_created_at, &answer.plugin_weights_of_older_servers];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        match wire::PluginWeights::decode(part.as_slice()) {
            Ok(w) => {
                return Some([w.data_locality_aware, w.storage_tier_aware, w.io_pattern_based, w.kueue_aware, w.pipeline_stage_aware]);
            }
            Err(_) => {
                let is_odd = wire::Timestamp::decode(part.as_slice()).is_err();
                oddities.parts_undecodable += u64::from(is_odd);
            }
        }
    }
    None
}

fn signature(part: &[u8], oddities: &mut Oddities) -> Option<wire::WorkloadSignatureInfo> {
    if part.is_empty() {
        return None;
    }
    let decoded = wire::WorkloadSignatureInfo::decode(part).ok();
    oddities.parts_undecodable += u64::from(decoded.is_none());
    decoded
}

fn preferences(sent: Vec<wire::NodePreference>, oddities: &mut Oddities) -> Vec<NodePreference> {
    oddities.names_dropped += sent.len().saturating_sub(MAX_ENTRIES) as u64;
    let mut kept = Vec::new();
    for preference in sent.into_iter().take(MAX_ENTRIES) {
        match bounded(&preference.node_name) {
            Some(node) => kept.push(NodePreference { node, score: preference.score }),
            None => oddities.names_dropped += 1,
        }
    }
    kept
}

/// Trimmed names in the order sent, each once.
fn names(sent: &[String], most: usize, oddities: &mut Oddities) -> Vec<Str> {
    oddities.names_dropped += sent.len().saturating_sub(most) as u64;
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = Vec::new();
    for name in sent.iter().take(most) {
        match bounded(name) {
            Some(name) if seen.insert(name.clone()) => kept.push(name),
            Some(_) => {}
            None => oddities.names_dropped += 1,
        }
    }
    kept
}

/// What the server found out, and what it fills in for every pod (`scoring.md` §1).
///
/// Example: class FAST, 1000 IOPS, pattern BALANCED: the tier SSD is a finding, the other two are defaults.
fn findings(signature: &wire::WorkloadSignatureInfo, storage: &wire::StorageRequirements, oddities: &mut Oddities) -> (Findings, Findings) {
    let patterns = [signature.io_pattern, storage.expected_io_pattern].map(io_pattern);
    let (default_pattern, found_pattern): (Vec<_>, Vec<_>) =
        patterns.into_iter().flatten().partition(|pattern| *pattern == IoPattern::Balanced);
    let tier = tier(storage.storage_class);
    let iops = positive(storage.min_iops);
    let throughput = positive(storage.min_throughput_mbps);
    let datasets: Vec<String> =
        word(&signature.dataset_name).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let found = Findings {
        stage: stage(signature),
        preprocessing_type: preprocessing_type(signature.preprocessing_type),
        io_pattern: found_pattern.first().copied(),
        datasets: names(&datasets, MAX_DATASETS, oddities),
        required_tier: tier.filter(|tier| *tier != Tier::Hdd),
        requires_csd: storage.requires_csd,
        required_iops: iops.filter(|iops| *iops != DEFAULT_IOPS),
        required_throughput_mbps: throughput.filter(|mbps| *mbps != DEFAULT_THROUGHPUT_MBPS),
        required_capacity_gb: positive(storage.size_bytes).map(|bytes| bytes / BYTES_PER_GB + i64::from(bytes % BYTES_PER_GB != 0)),
    };
    let defaults = Findings {
        io_pattern: default_pattern.first().copied(),
        required_tier: tier.filter(|tier| *tier == Tier::Hdd),
        required_iops: iops.filter(|iops| *iops == DEFAULT_IOPS),
        required_throughput_mbps: throughput.filter(|mbps| *mbps == DEFAULT_THROUGHPUT_MBPS),
        ..Findings::default()
    };
    (found, defaults)
}

fn positive(number: i64) -> Option<i64> {
    (number > 0).then_some(number)
}

/// The stage's number, else its word: the engine has a word (`evaluation`) for which it sends no number.
fn stage(signature: &wire::WorkloadSignatureInfo) -> Option<Stage> {
    use wire::PipelineStage as Wire;
    match Wire::try_from(signature.current_stage) {
        Ok(Wire::DataLoading) => Some(Stage::DataLoading),
        Ok(Wire::Preprocessing) => Some(Stage::Preprocessing),
        Ok(Wire::Training) => Some(Stage::Training),
        Ok(Wire::Validation) => Some(Stage::Evaluation),
        Ok(Wire::Inference) => Some(Stage::Inference),
        Ok(Wire::Postprocessing) => Some(Stage::Postprocessing),
        Ok(Wire::Checkpointing) => Some(Stage::Checkpointing),
        Ok(Wire::Idle) => Some(Stage::Idle),
        Ok(Wire::Unknown) | Err(_) => Stage::from_spelling(&signature.pipeline_step),
    }
}

fn io_pattern(number: i32) -> Option<IoPattern> {
    use wire::IoPattern as Wire;
    match Wire::try_from(number) {
        Ok(Wire::ReadHeavy) => Some(IoPattern::ReadHeavy),
        Ok(Wire::WriteHeavy) => Some(IoPattern::WriteHeavy),
        Ok(Wire::Balanced) => Some(IoPattern::Balanced),
        Ok(Wire::Sequential) => Some(IoPattern::Sequential),
        Ok(Wire::Random) => Some(IoPattern::Random),
        Ok(Wire::Bursty) => Some(IoPattern::Bursty),
        Ok(Wire::Unknown) | Err(_) => None,
    }
}

fn tier(number: i32) -> Option<Tier> {
    use wire::StorageClass as Wire;
    match Wire::try_from(number) {
        Ok(Wire::Standard) => Some(Tier::Hdd),
        Ok(Wire::Fast) => Some(Tier::Ssd),
        Ok(Wire::UltraFast) => Some(Tier::Nvme),
        Ok(Wire::Csd) => Some(Tier::Csd),
        Ok(Wire::Memory) => Some(Tier::Memory),
        Ok(Wire::Unspecified) | Err(_) => None,
    }
}

fn preprocessing_type(number: i32) -> Option<PreprocessingType> {
    use wire::PreprocessingType as Wire;
    let name = match Wire::try_from(number) {
        Ok(Wire::Augmentation) => "augmentation",
        Ok(Wire::Transformation) => "transformation",
        Ok(Wire::Filtering) => "filtering",
        Ok(Wire::Aggregation) => "aggregation",
        Ok(Wire::Sharding) => "sharding",
        Ok(Wire::Normalization) => "normalization",
        Ok(Wire::FeatureExtract) => "featureExtraction",
        Ok(Wire::Unknown) | Err(_) => return None,
    };
    PreprocessingType::built_in(name)
}

fn shown(signature: &wire::WorkloadSignatureInfo, resources: &wire::ComputedResourceRequirements) -> Shown {
    let positive_real = |real: f64| (real.is_finite() && real > 0.0).then_some(real);
    let workload_type = wire::WorkloadType::try_from(signature.workload_type)
        .ok()
        .filter(|kind| *kind != wire::WorkloadType::Unknown)
        .map(|kind| kind.as_str_name())
        .and_then(|name| name.strip_prefix("WORKLOAD_TYPE_"))
        .map(|name| Str::from(name.to_ascii_lowercase()));
    let framework = match (word(&signature.framework), word(&signature.framework_version)) {
        (Some(name), Some(version)) => bounded(&format!("{name} {version}")),
        (Some(name), None) => bounded(name),
        (None, _) => None,
    };
    Shown {
        confidence: positive_real(signature.confidence),
        workload_type,
        framework,
        pipeline_step: word(&signature.pipeline_step).and_then(bounded),
        is_gpu_workload: signature.is_gpu_workload,
        is_distributed: signature.is_distributed,
        is_pipeline: signature.is_pipeline,
        batch_size: Some(signature.estimated_batch_size).filter(|size| *size > 0),
        priority: None,
        allow_preemption: false,
        cpu_cores: positive_real(resources.cpu_cores),
        memory_bytes: positive(resources.memory_bytes),
        storage_bytes: positive(resources.storage_bytes),
        gpu_count: Some(resources.gpu_count).filter(|count| *count > 0),
        expected_iops: positive(resources.expected_iops),
        expected_throughput_mbps: positive(resources.expected_throughput_mbps),
    }
}
