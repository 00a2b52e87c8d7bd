//! What a node says of its storage, read from labels and annotations when the node object changes.
//! Source: `scoring.md` §2. Leaves out what is inferred from other systems' objects.

use crate::Str;
use crate::labels::Labels;
use crate::workload::Tier;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Prefix of the guide's annotations.
pub const ANNOTATION_PREFIX: &str = "ai-storage.keti/";

/// Storage facts of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageFacts {
    /// Tiers present.
    pub tiers: TierSet,
    /// Label `layer`.
    pub layer: Option<Layer>,
    /// Zone.
    pub zone: Option<Str>,
    /// Rack.
    pub rack: Option<Str>,
    /// IOPS offered; an estimate from the best tier when the node does not say.
    pub iops: Option<i64>,
    /// MB/s offered; estimated likewise.
    pub throughput_mbps: Option<i64>,
    /// GB offered; never estimated.
    pub capacity_gb: Option<i64>,
    /// Datasets cached on the node, trimmed, in order of appearance.
    pub cached_datasets: Vec<Str>,
    /// How hot the node's data is.
    pub temperature: Option<Temperature>,
    /// Label `node-capability/high-cpu`.
    pub cpu_rich: bool,
    /// Label `cpu-cores`, else whole CPUs of `status.capacity`.
    pub cores: i64,
    /// Label `node-capability/high-memory`.
    pub memory_rich: bool,
    /// Annotation `available-memory-gb`, else GiB of `status.allocatable`.
    pub memory_gb: i64,
    /// Label `storage-capability/read-cache`.
    pub read_cache: bool,
    /// Label `storage-capability/write-buffer`.
    pub write_buffer: bool,
    /// Annotation `large-io-buffer`.
    pub large_io_buffer: bool,
    /// Annotation `csd-compute-ops`, above 0.
    pub csd_compute: bool,
    /// Whether its disks are the bottleneck now.
    pub io_contention: bool,
    /// Facts that other systems tell, by the name that the API shows them by, each with what says so.
    pub inferred: Vec<(&'static str, Str)>,
}

/// A set of tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TierSet(u8);

impl TierSet {
    /// A set of one.
    #[must_use]
    pub fn of(tier: Tier) -> Self {
        let mut set = Self::default();
        set.insert(tier);
        set
    }

    /// Adds a tier.
    pub fn insert(&mut self, tier: Tier) {
        self.0 |= 1 << tier as u8;
    }

    /// Whether a tier is there.
    #[must_use]
    pub fn contains(self, tier: Tier) -> bool {
        self.0 & (1 << tier as u8) != 0
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The tiers, best first, then memory.
    pub fn iter(self) -> impl Iterator<Item = Tier> {
        Tier::ALL.iter().copied().filter(move |t| self.contains(*t))
    }

    /// The best tier in the guide's order NVMe > SSD > HDD > CSD, memory last.
    #[must_use]
    pub fn best(self) -> Option<Tier> {
        self.iter().next()
    }
}

/// Label `layer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Computes.
    Compute,
    /// Stores.
    Storage,
    /// Steers.
    Orchestration,
}

impl Layer {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Storage => "storage",
            Self::Orchestration => "orchestration",
        }
    }
}

/// Annotation `data-temperature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temperature {
    /// Read all the time.
    Hot,
    /// Read now and then.
    Warm,
    /// Rarely read.
    Cold,
}

/// A demand on a node's I/O budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoDemand {
    /// I/O operations per second.
    pub iops: i64,
    /// MB/s.
    pub throughput_mbps: i64,
    /// GB.
    pub capacity_gb: i64,
}

impl IoDemand {
    /// Adds, saturating.
    pub fn add(&mut self, other: Self) {
        self.iops = self.iops.saturating_add(other.iops);
        self.throughput_mbps = self.throughput_mbps.saturating_add(other.throughput_mbps);
        self.capacity_gb = self.capacity_gb.saturating_add(other.capacity_gb);
    }

    /// Subtracts, never below zero.
    pub fn sub(&mut self, other: Self) {
        self.iops = self.iops.saturating_sub(other.iops).max(0);
        self.throughput_mbps = self.throughput_mbps.saturating_sub(other.throughput_mbps).max(0);
        self.capacity_gb = self.capacity_gb.saturating_sub(other.capacity_gb).max(0);
    }
}

/// A value that was there but could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Label or annotation key.
    pub key: Str,
    /// The value, shortened when long.
    pub value: Str,
    /// What would be right.
    pub expected: Str,
}

impl Fault {
    /// A fault; a long value is cut at 64 characters.
    #[must_use]
    pub fn new(key: &str, value: &str, expected: impl Into<Str>) -> Self {
        let shown: String = if value.chars().count() > 64 { value.chars().take(64).chain("…".chars()).collect() } else { value.into() };
        Self { key: key.into(), value: shown.into(), expected: expected.into() }
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {:?} is not usable and is ignored; expected {}", self.key, &*self.value, self.expected)
    }
}

/// What a node offers besides labels and annotations, for facts that fall back on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeSize {
    /// Whole CPUs of `status.capacity`.
    pub cores: i64,
    /// GiB of `status.allocatable`.
    pub memory_gib: i64,
}

/// Estimates of IOPS and MB/s for a tier whose node does not say.
fn estimate(tier: Tier) -> Option<(i64, i64)> {
    match tier {
        Tier::Nvme => Some((100_000, 3000)),
        Tier::Ssd => Some((10_000, 500)),
        Tier::Hdd => Some((150, 150)),
        Tier::Csd | Tier::Memory => None,
    }
}

/// Reads a node's storage facts; values that cannot be used are absent and named in the faults.
#[must_use]
pub fn read(labels: &Labels, annotations: &Labels, size: NodeSize) -> (StorageFacts, Vec<Fault>) {
    let mut faults = Vec::new();
    let tiers = tiers(labels, &mut faults);
    let mut number = |name: &str| number(annotations, name, &mut faults);
    let iops = number("available-iops");
    let throughput_mbps = number("available-throughput-mbps");
    let capacity_gb = number("available-capacity-gb");
    let memory_gb = number("available-memory-gb");
    let csd_compute_ops = number("csd-compute-ops");
    let mut facts = StorageFacts {
        tiers,
        layer: layer(labels, &mut faults),
        zone: labels.get("topology.kubernetes.io/zone").cloned(),
        rack: labels.get("topology.kubernetes.io/rack").or_else(|| labels.get("rack")).cloned(),
        iops,
        throughput_mbps,
        capacity_gb,
        cached_datasets: names(annotations.get("ai-storage.keti/cached-datasets").map_or("", |v| v)),
        temperature: temperature(annotations, &mut faults),
        cpu_rich: flag(labels, "node-capability/high-cpu"),
        cores: cores(labels, &mut faults).unwrap_or(size.cores),
        memory_rich: flag(labels, "node-capability/high-memory"),
        memory_gb: memory_gb.unwrap_or(size.memory_gib),
        read_cache: flag(labels, "storage-capability/read-cache"),
        write_buffer: flag(labels, "storage-capability/write-buffer"),
        large_io_buffer: flag(annotations, "ai-storage.keti/large-io-buffer"),
        csd_compute: csd_compute_ops.is_some_and(|ops| ops > 0),
        io_contention: false,
        inferred: Vec::new(),
    };
    estimate_from_tiers(&mut facts);
    (facts, faults)
}

/// Estimates IOPS and throughput that nobody tells from the best tier.
pub(crate) fn estimate_from_tiers(facts: &mut StorageFacts) {
    if let Some((iops, throughput_mbps)) = facts.tiers.best().and_then(estimate) {
        facts.iops.get_or_insert(iops);
        facts.throughput_mbps.get_or_insert(throughput_mbps);
    }
}

/// Where each known fact of a node was read from, under the name that the API shows the fact by; for explanations.
///
/// Example: a node that has only the label `storage-tier/ssd` has its `iops` from `estimate for ssd`.
#[must_use]
pub fn sources(labels: &Labels, annotations: &Labels, facts: &StorageFacts) -> Vec<(&'static str, String)> {
    let label = |key: &str| format!("label {key}");
    let annotation = |name: &str| format!("annotation {ANNOTATION_PREFIX}{name}");
    let usable = |name: &str| annotations.get(&format!("{ANNOTATION_PREFIX}{name}")).is_some_and(|v| whole(v).is_some());
    let or = |name: &str, other: String| if usable(name) { annotation(name) } else { other };
    let estimate = || facts.tiers.best().map_or_else(String::new, |tier| format!("estimate for {}", tier.as_str()));
    let rack = "topology.kubernetes.io/rack";
    let rack = if labels.contains_key(rack) { rack } else { "rack" };
    let cores = if labels.get("cpu-cores").is_some_and(|v| whole(v).is_some()) { label("cpu-cores") } else { "status.capacity".into() };
    let all = [
        ("tiers", !facts.tiers.is_empty(), tier_labels(labels)),
        ("layer", facts.layer.is_some(), label("layer")),
        ("zone", facts.zone.is_some(), label("topology.kubernetes.io/zone")),
        ("rack", facts.rack.is_some(), label(rack)),
        ("iops", facts.iops.is_some(), or("available-iops", estimate())),
        ("throughputMbps", facts.throughput_mbps.is_some(), or("available-throughput-mbps", estimate())),
        ("capacityGb", facts.capacity_gb.is_some(), annotation("available-capacity-gb")),
        ("cachedDatasets", !facts.cached_datasets.is_empty(), annotation("cached-datasets")),
        ("temperature", facts.temperature.is_some(), annotation("data-temperature")),
        ("cores", true, cores),
        ("memoryGb", true, or("available-memory-gb", "status.allocatable".into())),
        ("cpuRich", facts.cpu_rich, label("node-capability/high-cpu")),
        ("memoryRich", facts.memory_rich, label("node-capability/high-memory")),
        ("readCache", facts.read_cache, label("storage-capability/read-cache")),
        ("writeBuffer", facts.write_buffer, label("storage-capability/write-buffer")),
        ("largeIoBuffer", facts.large_io_buffer, annotation("large-io-buffer")),
        ("csdCompute", facts.csd_compute, annotation("csd-compute-ops")),
        ("ioContention", facts.io_contention, String::new()),
    ];
    let inferred = |name: &str| facts.inferred.iter().filter(|(fact, _)| *fact == name).map(|(_, source)| &**source).collect::<Vec<_>>();
    let known = all.into_iter().filter(|(_, known, _)| *known);
    // Datasets add up; any other fact is told by one alone.
    known
        .map(|(name, _, explicit)| match (inferred(name), name) {
            (others, _) if others.is_empty() => (name, explicit),
            (others, "cachedDatasets") if annotations.contains_key("ai-storage.keti/cached-datasets") => {
                (name, format!("{explicit}, {}", others.join(", ")))
            }
            (others, _) => (name, others.join(", ")),
        })
        .collect()
}

/// Whether two readings of a node say the same of a fact, by the name that the API shows it by.
#[must_use]
pub fn agree(name: &str, a: &StorageFacts, b: &StorageFacts) -> bool {
    match name {
        "tiers" => a.tiers == b.tiers,
        "zone" => a.zone == b.zone,
        "rack" => a.rack == b.rack,
        "throughputMbps" => a.throughput_mbps == b.throughput_mbps,
        "capacityGb" => a.capacity_gb == b.capacity_gb,
        "cachedDatasets" => a.cached_datasets == b.cached_datasets,
        "ioContention" => a.io_contention == b.io_contention,
        _ => false,
    }
}

/// The labels that name tiers.
fn tier_labels(labels: &Labels) -> String {
    let own = Tier::ALL.iter().map(|tier| format!("storage-tier/{}", tier.as_str())).filter(|key| flag(labels, key));
    let named = labels.get("storage-tier").filter(|v| Tier::from_spelling(v).is_some()).map(|_| "storage-tier".into());
    let keys: Vec<String> = own.chain(named).collect();
    format!("label {}", keys.join(", "))
}

/// Splits a comma-separated list of names; blanks are dropped, repeats kept once.
#[must_use]
pub fn names(list: &str) -> Vec<Str> {
    let mut names: Vec<Str> = Vec::new();
    for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        if !names.iter().any(|n| **n == *name) {
            names.push(name.into());
        }
    }
    names
}

/// Present and not `false`.
fn flag(pairs: &Labels, key: &str) -> bool {
    pairs.get(key).is_some_and(|v| !v.trim().eq_ignore_ascii_case("false"))
}

fn tiers(labels: &Labels, faults: &mut Vec<Fault>) -> TierSet {
    let mut set = TierSet::default();
    for tier in Tier::ALL {
        if flag(labels, &format!("storage-tier/{}", tier.as_str())) {
            set.insert(*tier);
        }
    }
    if let Some(value) = labels.get("storage-tier") {
        match Tier::from_spelling(value) {
            Some(tier) => set.insert(tier),
            None => faults.push(Fault::new("storage-tier", value, format!("one of {}", Tier::accepted()))),
        }
    }
    set
}

fn layer(labels: &Labels, faults: &mut Vec<Fault>) -> Option<Layer> {
    let value = labels.get("layer")?;
    let layer = [Layer::Compute, Layer::Storage, Layer::Orchestration].into_iter().find(|l| value.trim().eq_ignore_ascii_case(l.as_str()));
    if layer.is_none() {
        faults.push(Fault::new("layer", value, "one of compute, storage, orchestration"));
    }
    layer
}

fn temperature(annotations: &Labels, faults: &mut Vec<Fault>) -> Option<Temperature> {
    let value = annotations.get("ai-storage.keti/data-temperature")?;
    match value.trim().to_ascii_lowercase().as_str() {
        "hot" => Some(Temperature::Hot),
        "warm" => Some(Temperature::Warm),
        "cold" => Some(Temperature::Cold),
        _ => {
            faults.push(Fault::new("ai-storage.keti/data-temperature", value, "one of hot, warm, cold"));
            None
        }
    }
}

fn cores(labels: &Labels, faults: &mut Vec<Fault>) -> Option<i64> {
    let value = labels.get("cpu-cores")?;
    let cores = whole(value);
    if cores.is_none() {
        faults.push(Fault::new("cpu-cores", value, "a whole number, 0 or more"));
    }
    cores
}

fn number(annotations: &Labels, name: &str, faults: &mut Vec<Fault>) -> Option<i64> {
    let key = format!("{ANNOTATION_PREFIX}{name}");
    let value = annotations.get(&key)?;
    let number = whole(value);
    if number.is_none() {
        faults.push(Fault::new(&key, value, "a whole number, 0 or more"));
    }
    number
}

/// A whole number of at least 0.
#[must_use]
pub fn whole(value: &str) -> Option<i64> {
    value.trim().parse::<i64>().ok().filter(|n| *n >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_labels<const N: usize>(labels: [(&str, &str); N]) -> (StorageFacts, Vec<Fault>) {
        read(&Labels::from(labels), &Labels::default(), NodeSize::default())
    }

    #[test]
    fn tier_labels_count_unless_false() {
        let (facts, faults) =
            read_labels([("storage-tier/nvme", "true"), ("storage-tier/ssd", "false"), ("storage-tier/hdd", ""), ("storage-tier", "csd")]);
        assert_eq!(facts.tiers.iter().collect::<Vec<_>>(), [Tier::Nvme, Tier::Hdd, Tier::Csd]);
        assert_eq!(faults, []);
    }

    #[test]
    fn best_tier_estimates_iops_and_throughput() {
        for (tier, iops, mbps) in [
            ("nvme", Some(100_000), Some(3000)),
            ("ssd", Some(10_000), Some(500)),
            ("hdd", Some(150), Some(150)),
            ("csd", None, None),
            ("memory", None, None),
        ] {
            let (facts, _) = read_labels([("storage-tier", tier)]);
            assert_eq!((facts.iops, facts.throughput_mbps, facts.capacity_gb), (iops, mbps, None), "{tier}");
        }
    }

    #[test]
    fn annotations_win_over_estimates_and_sizes() {
        let annotations = Labels::from([
            ("ai-storage.keti/available-iops", "42"),
            ("ai-storage.keti/available-throughput-mbps", " 7 "),
            ("ai-storage.keti/available-capacity-gb", "500"),
            ("ai-storage.keti/available-memory-gb", "96"),
            ("ai-storage.keti/cached-datasets", "imagenet, coco,,imagenet"),
            ("ai-storage.keti/data-temperature", "Hot"),
            ("ai-storage.keti/large-io-buffer", "true"),
            ("ai-storage.keti/csd-compute-ops", "10"),
        ]);
        let (facts, faults) = read(&Labels::from([("storage-tier/nvme", "true")]), &annotations, NodeSize { cores: 8, memory_gib: 32 });
        assert_eq!((facts.iops, facts.throughput_mbps, facts.capacity_gb), (Some(42), Some(7), Some(500)));
        assert_eq!((facts.cores, facts.memory_gb), (8, 96));
        assert_eq!(facts.cached_datasets, names("imagenet,coco"));
        assert_eq!(facts.temperature, Some(Temperature::Hot));
        assert!(facts.large_io_buffer && facts.csd_compute);
        assert_eq!(faults, []);
    }

    #[test]
    fn every_known_fact_names_its_source() {
        let labels = Labels::from([("storage-tier/ssd", "true"), ("storage-tier", "hdd"), ("storage-tier/nvme", "false"), ("rack", "r1")]);
        let annotations = Labels::from([
            ("ai-storage.keti/available-iops", "42"),
            ("ai-storage.keti/available-throughput-mbps", "lots"),
            ("ai-storage.keti/cached-datasets", "coco"),
        ]);
        let (facts, _) = read(&labels, &annotations, NodeSize { cores: 8, memory_gib: 32 });
        let expected = [
            ("tiers", "label storage-tier/ssd, storage-tier"),
            ("rack", "label rack"),
            ("iops", "annotation ai-storage.keti/available-iops"),
            ("throughputMbps", "estimate for ssd"),
            ("cachedDatasets", "annotation ai-storage.keti/cached-datasets"),
            ("cores", "status.capacity"),
            ("memoryGb", "status.allocatable"),
        ];
        let found = sources(&labels, &annotations, &facts);
        assert_eq!(found.iter().map(|(name, source)| (*name, source.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nonsense_is_absent_and_named() {
        let labels = Labels::from([("layer", "moon"), ("storage-tier", "tape"), ("cpu-cores", "many")]);
        let annotations = Labels::from([
            ("ai-storage.keti/available-iops", "lots"),
            ("ai-storage.keti/available-capacity-gb", "-1"),
            ("ai-storage.keti/data-temperature", "mild"),
        ]);
        let (facts, faults) = read(&labels, &annotations, NodeSize { cores: 4, memory_gib: 1 });
        assert_eq!(facts, StorageFacts { cores: 4, memory_gb: 1, ..StorageFacts::default() });
        let keys: Vec<&str> = faults.iter().map(|f| &*f.key).collect();
        assert_eq!(
            keys,
            [
                "storage-tier",
                "ai-storage.keti/available-iops",
                "ai-storage.keti/available-capacity-gb",
                "layer",
                "ai-storage.keti/data-temperature",
                "cpu-cores"
            ]
        );
    }
}
