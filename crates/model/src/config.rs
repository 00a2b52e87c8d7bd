//! The scheduler's live configuration as plain values: what an `AIStorageConfig` means once it is accepted.
//! The custom resource itself, its schema and its validation are `aisched-kube`'s.

use crate::Str;
use crate::signals::Signals;
use crate::workload::IoPattern;
use alloc::collections::BTreeMap;

/// Everything that `AIStorageConfig` can set. `Config::default()` is the guide's default.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Counts the configurations applied since the start; 0 is the built-in default.
    pub generation: u64,
    /// The plugins' sections.
    pub plugins: Plugins,
    /// Traits by type name, in order of name.
    pub preprocessing_types: BTreeMap<Str, Traits>,
    /// Scores and bonuses of the tiers.
    pub storage_tiers: StorageTiers,
    /// The policy service.
    pub apollo: ApolloConfig,
    /// Whether placed pods' I/O demands are subtracted from nodes' budgets.
    pub io_accounting: bool,
    /// Which other systems are believed about nodes, pods and data.
    pub signals: Signals,
}

/// One section per AI storage plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugins {
    /// `spec.plugins.dataLocalityAware`.
    pub data_locality_aware: PluginConfig<DataLocalityScoring>,
    /// `spec.plugins.storageTierAware`.
    pub storage_tier_aware: PluginConfig<StorageTierScoring>,
    /// `spec.plugins.ioPatternBased`.
    pub io_pattern_based: PluginConfig<IoPatternScoring>,
    /// `spec.plugins.kueueAware`.
    pub kueue_aware: PluginConfig<KueueScoring>,
    /// `spec.plugins.pipelineStageAware`.
    pub pipeline_stage_aware: PluginConfig<PipelineStageScoring>,
    /// `spec.plugins.csiStorageAware`.
    pub csi_storage_aware: PluginConfig<CsiStorageScoring>,
}

/// Switch, weight and maxima of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig<S> {
    /// Whether it takes part at all.
    pub enabled: bool,
    /// 0 to 10; 0 switches the plugin off.
    pub weight: i64,
    /// Maxima of its components.
    pub scoring: S,
}

/// Maxima of DataLocalityAware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct DataLocalityScoring {
    pub apollo: i64,
    pub pvc_locality: i64,
    pub cache: i64,
    pub topology: i64,
}

/// Maxima of StorageTierAware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct StorageTierScoring {
    pub io_pattern: i64,
    pub pipeline_stage: i64,
    pub performance: i64,
    pub capacity: i64,
}

/// Maxima of IOPatternBased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct IoPatternScoring {
    pub apollo_preference: i64,
    pub resource_match: i64,
    pub io_optimization: i64,
    pub expansion: i64,
    pub csd: i64,
}

/// Maxima of KueueAware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct KueueScoring {
    pub gang_locality: i64,
    pub queue_pressure: i64,
    pub workload_size: i64,
    pub network_proximity: i64,
}

/// Maxima of PipelineStageAware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct PipelineStageScoring {
    pub dependency_locality: i64,
    pub pipeline_cohesion: i64,
    pub io_pattern: i64,
}

/// Maxima of CSIStorageAware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the component names")]
pub struct CsiStorageScoring {
    pub capacity: i64,
    pub volume_headroom: i64,
    pub topology: i64,
}

/// What a preprocessing workload does (`scoring.md` §1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits {
    /// Reads much.
    pub read_intensive: bool,
    /// Writes much.
    pub write_intensive: bool,
    /// Computes much.
    pub cpu_intensive: bool,
    /// Needs much memory.
    pub memory_intensive: bool,
    /// Bytes out per byte in, in hundredths: 5.0 is 500.
    pub expansion_hundredths: i64,
    /// Reads and writes in order.
    pub sequential: bool,
    /// Can run on computational storage.
    pub csd: bool,
}

/// `spec.storageTiers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageTiers {
    /// Scores of NVMe (and memory).
    pub nvme: TierScores,
    /// Scores of SSD.
    pub ssd: TierScores,
    /// Scores of HDD.
    pub hdd: TierScores,
    /// Bonuses of computational storage.
    pub csd: CsdBonuses,
}

/// Scores of one tier per I/O pattern, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the pattern names")]
pub struct TierScores {
    pub read_heavy: i64,
    pub write_heavy: i64,
    pub random: i64,
    pub sequential: i64,
}

impl TierScores {
    /// The configured score of a pattern; `None` for bursty and balanced, which are not configurable.
    #[must_use]
    pub fn get(&self, pattern: IoPattern) -> Option<i64> {
        match pattern {
            IoPattern::ReadHeavy => Some(self.read_heavy),
            IoPattern::WriteHeavy => Some(self.write_heavy),
            IoPattern::Random => Some(self.random),
            IoPattern::Sequential => Some(self.sequential),
            IoPattern::Bursty | IoPattern::Balanced => None,
        }
    }
}

/// Bonuses for types that a computational storage device runs well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the type names")]
pub struct CsdBonuses {
    pub filtering: i64,
    pub aggregation: i64,
    pub transformation: i64,
}

/// `spec.apollo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApolloConfig {
    /// `host:port` or `https://host:port`; empty switches APOLLO off.
    pub endpoint: Str,
    /// How long an answer is fresh.
    pub cache_expiry_ms: u64,
    /// Longest wait of the circuit breaker between probes.
    pub connection_timeout_ms: u64,
    /// Whether pods without an answer are scheduled from their own labels.
    pub fallback_enabled: bool,
    /// Deadline of one call.
    pub request_timeout_ms: u64,
    /// How long a pod waits for its answer before it is scheduled without.
    pub policy_wait_ms: u64,
    /// Calls at a time.
    pub max_in_flight: usize,
    /// How long DELAY may hold a pod back.
    pub max_delay_ms: u64,
    /// Whether REJECT is obeyed.
    pub obey_reject: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            generation: 0,
            plugins: Plugins::default(),
            preprocessing_types: default_preprocessing_types(),
            storage_tiers: StorageTiers::default(),
            apollo: ApolloConfig::default(),
            io_accounting: true,
            signals: Signals::default(),
        }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            data_locality_aware: PluginConfig {
                enabled: true,
                weight: 3,
                scoring: DataLocalityScoring { apollo: 30, pvc_locality: 30, cache: 20, topology: 20 },
            },
            storage_tier_aware: PluginConfig {
                enabled: true,
                weight: 3,
                scoring: StorageTierScoring { io_pattern: 40, pipeline_stage: 30, performance: 20, capacity: 10 },
            },
            io_pattern_based: PluginConfig {
                enabled: true,
                weight: 3,
                scoring: IoPatternScoring { apollo_preference: 15, resource_match: 25, io_optimization: 20, expansion: 20, csd: 20 },
            },
            kueue_aware: PluginConfig {
                enabled: true,
                weight: 2,
                scoring: KueueScoring { gang_locality: 30, queue_pressure: 20, workload_size: 25, network_proximity: 25 },
            },
            pipeline_stage_aware: PluginConfig {
                enabled: true,
                weight: 3,
                scoring: PipelineStageScoring { dependency_locality: 40, pipeline_cohesion: 30, io_pattern: 30 },
            },
            csi_storage_aware: PluginConfig {
                enabled: true,
                weight: 2,
                scoring: CsiStorageScoring { capacity: 40, volume_headroom: 30, topology: 30 },
            },
        }
    }
}

impl Default for StorageTiers {
    fn default() -> Self {
        Self {
            nvme: TierScores { read_heavy: 40, write_heavy: 40, random: 40, sequential: 35 },
            ssd: TierScores { read_heavy: 30, write_heavy: 25, random: 30, sequential: 30 },
            hdd: TierScores { read_heavy: 20, write_heavy: 15, random: 10, sequential: 25 },
            csd: CsdBonuses { filtering: 20, aggregation: 20, transformation: 15 },
        }
    }
}

impl Default for ApolloConfig {
    fn default() -> Self {
        Self {
            endpoint: "apollo-policy-server.keti.svc.cluster.local:50051".into(),
            cache_expiry_ms: 30_000,
            connection_timeout_ms: 10_000,
            fallback_enabled: true,
            request_timeout_ms: 2000,
            policy_wait_ms: 200,
            max_in_flight: 64,
            max_delay_ms: 60_000,
            obey_reject: true,
        }
    }
}

/// The traits table of `scoring.md` §1: read, write, cpu, memory, expansion in hundredths, sequential, CSD.
const DEFAULT_TRAITS: &[(&str, Traits)] = &[
    ("augmentation", traits(true, true, true, true, 500, true, false)),
    ("transformation", traits(true, true, true, false, 100, true, true)),
    ("filtering", traits(true, false, false, false, 30, true, true)),
    ("aggregation", traits(true, false, true, true, 1, true, true)),
    ("sharding", traits(true, true, false, false, 100, true, false)),
    ("normalization", traits(true, true, true, false, 100, true, true)),
    ("featureExtraction", traits(true, false, true, true, 10, true, true)),
];

const fn traits(read: bool, write: bool, cpu: bool, memory: bool, expansion_hundredths: i64, sequential: bool, csd: bool) -> Traits {
    Traits {
        read_intensive: read,
        write_intensive: write,
        cpu_intensive: cpu,
        memory_intensive: memory,
        expansion_hundredths,
        sequential,
        csd,
    }
}

fn default_preprocessing_types() -> BTreeMap<Str, Traits> {
    DEFAULT_TRAITS.iter().map(|(name, t)| (Str::from(*name), *t)).collect()
}

impl Traits {
    /// Traits of a preprocessing workload whose type is not known: from its I/O pattern, failing that of a plain reader.
    #[must_use]
    pub fn inferred(pattern: Option<IoPattern>) -> Self {
        match pattern {
            Some(IoPattern::ReadHeavy) => traits(true, false, false, false, 50, true, false),
            Some(IoPattern::WriteHeavy) => traits(false, true, false, false, 200, true, false),
            Some(IoPattern::Sequential) => traits(true, true, false, false, 100, true, false),
            Some(IoPattern::Random | IoPattern::Bursty) => traits(true, true, false, true, 100, false, false),
            Some(IoPattern::Balanced) => traits(true, true, true, true, 100, true, false),
            None => traits(true, false, false, false, 100, true, false),
        }
    }
}

/// Names of the AI storage plugins, in the order in which a default profile runs them.
pub const AI_PLUGINS: &[&str] =
    &["DataLocalityAware", "StorageTierAware", "IOPatternBased", "KueueAware", "PipelineStageAware", "CSIStorageAware"];

impl Plugins {
    /// Switch and weight of an AI storage plugin by name, `None` for any other name.
    #[must_use]
    pub fn of(&self, plugin: &str) -> Option<(bool, i64)> {
        fn of<S>(p: &PluginConfig<S>) -> (bool, i64) {
            (p.enabled, p.weight)
        }
        match plugin {
            "DataLocalityAware" => Some(of(&self.data_locality_aware)),
            "StorageTierAware" => Some(of(&self.storage_tier_aware)),
            "IOPatternBased" => Some(of(&self.io_pattern_based)),
            "KueueAware" => Some(of(&self.kueue_aware)),
            "PipelineStageAware" => Some(of(&self.pipeline_stage_aware)),
            "CSIStorageAware" => Some(of(&self.csi_storage_aware)),
            _ => None,
        }
    }
}

/// Hundredths of a non-negative number, rounded to nearest and bounded: how `dataExpansion` is kept.
#[must_use]
pub fn hundredths(expansion: f64) -> i64 {
    const LIMIT: f64 = 1e12;
    #[allow(clippy::cast_possible_truncation, reason = "clamped to a range that fits")]
    let n = (expansion.clamp(0.0, LIMIT) * 100.0 + 0.5) as i64;
    n
}
