//! I/O as a resource: what is left of the budgets of a node and of the storage backends behind a pod's claims, against what the pod asks for.
//! Leaves out who promised what (`cache`) and how much a budget is worth in points.

use crate::cures::Change;
use crate::framework::{Attempt, Basis, ClusterEvent, Fact, Reads};
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::node::{Budgets, Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::signals::backends;
use aisched_model::storage_facts::{ANNOTATION_PREFIX, IoDemand};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a kind of budget is called, and what is said of nodes where it does not do.
struct Words {
    name: &'static str,
    /// In the node's annotation `available-…`.
    key: &'static str,
    unit: &'static str,
    unknown: &'static str,
    too_little: &'static str,
    too_little_shared: &'static str,
}

const WORDS: [Words; 3] = [
    Words {
        name: "IOPS",
        key: "iops",
        unit: "",
        unknown: "node(s) had unknown IOPS",
        too_little: "node(s) had too few IOPS left",
        too_little_shared: "node(s) shared a storage backend with too few IOPS left",
    },
    Words {
        name: "throughput",
        key: "throughput-mbps",
        unit: " MB/s",
        unknown: "node(s) had unknown storage throughput",
        too_little: "node(s) had too little storage throughput left",
        too_little_shared: "node(s) shared a storage backend with too little throughput left",
    },
    Words {
        name: "capacity",
        key: "capacity-gb",
        unit: " GB",
        unknown: "node(s) had unknown storage capacity",
        too_little: "node(s) had too little storage capacity left",
        too_little_shared: "node(s) shared a storage backend with too little capacity left",
    },
];

fn kinds(budgets: Budgets) -> [Option<i64>; 3] {
    [budgets.iops, budgets.throughput_mbps, budgets.capacity_gb]
}

/// What is left for a pod.
pub(super) struct Left {
    /// Storage backends of its claims that tell their budgets.
    shared: Vec<(Str, Budgets)>,
    accounting: bool,
}

impl Left {
    pub(super) fn of(attempt: &Attempt<'_>) -> Self {
        let accounting = attempt.config.io_accounting;
        let names = backends(attempt.pod, attempt.snapshot);
        let left = names.into_iter().map(|name| (attempt.snapshot.backend_left(&name, accounting), name));
        Self { shared: left.filter(|(left, _)| *left != Budgets::default()).map(|(left, name)| (name, left)).collect(), accounting }
    }

    /// For the pod on this node: of the node and of every backend, the least.
    pub(super) fn on(&self, node: &NodeInfo) -> Budgets {
        self.shared.iter().fold(Budgets::left(node, self.accounting), |least, (_, left)| least.or_less(*left))
    }

    /// Names the backends, for an explanation; empty where there are none.
    pub(super) fn shared(&self) -> String {
        let names: Vec<&str> = self.shared.iter().map(|(name, _)| &**name).collect();
        if names.is_empty() { String::new() } else { format!(", shared with {}", names.join(", ")) }
    }

    pub(super) fn reads(&self) -> Reads {
        let number = |left: Option<i64>| Fact::Number(left.map_or(0, |n| n.unsigned_abs().saturating_add(1)));
        let of = |(name, left): &(Str, Budgets)| [Fact::Name(name.clone())].into_iter().chain(kinds(*left).map(number)).collect::<Vec<_>>();
        Reads::Node(self.shared.iter().flat_map(of).collect::<Basis>())
    }
}

/// What has to be left.
pub(super) struct Needs {
    asked: [i64; 3],
    left: Left,
}

/// How a budget falls short.
struct Shortage<'a> {
    words: &'static Words,
    asked: i64,
    left: Option<i64>,
    backend: Option<&'a Str>,
}

impl Needs {
    /// `None` when the pod does not insist, or asks for nothing.
    pub(super) fn of(attempt: &Attempt<'_>) -> Option<Self> {
        let IoDemand { iops, throughput_mbps, capacity_gb } = insisted(attempt.workload)?;
        Some(Self { asked: [iops, throughput_mbps, capacity_gb], left: Left::of(attempt) })
    }

    pub(super) fn reads(&self) -> Reads {
        self.left.reads()
    }

    pub(super) fn reads_node_only(&self) -> bool {
        self.left.shared.is_empty()
    }

    fn shortages(&self, node: &NodeInfo) -> impl Iterator<Item = Shortage<'_>> {
        let own = kinds(Budgets::left(node, self.left.accounting));
        let asked = WORDS.iter().zip(self.asked).enumerate().filter(|(_, (_, asked))| *asked > 0);
        asked.flat_map(move |(i, (words, asked))| {
            let on_node = own[i].is_none_or(|left| left < asked).then_some(Shortage { words, asked, left: own[i], backend: None });
            let shared = self.left.shared.iter().filter_map(move |(name, left)| {
                let left = kinds(*left)[i].filter(|left| *left < asked)?;
                Some(Shortage { words, asked, left: Some(left), backend: Some(name) })
            });
            on_node.into_iter().chain(shared)
        })
    }

    /// Reasons against a node.
    pub(super) fn reasons(&self, node: &NodeInfo) -> impl Iterator<Item = &'static str> {
        self.shortages(node).map(|Shortage { words, left, backend, .. }| match (left, backend) {
            (_, Some(_)) => words.too_little_shared,
            (Some(_), None) => words.too_little,
            (None, None) => words.unknown,
        })
    }

    /// What is missing on the node itself; a backend's budget is its class's.
    pub(super) fn missing(&self, node: &NodeInfo) -> impl Iterator<Item = Change> {
        let own = self.shortages(node).filter(|shortage| shortage.backend.is_none());
        own.map(|Shortage { words, asked, left, .. }| Change::Io(words.key, asked - left.unwrap_or(0)))
    }

    /// The numbers behind them.
    pub(super) fn details(&self, node: &NodeInfo) -> impl Iterator<Item = String> {
        self.shortages(node).map(|Shortage { words: Words { name, unit, .. }, asked, left, backend }| {
            let left = left.map_or("unknown".to_string(), |left| format!("{left}{unit}"));
            let at = backend.map_or(String::new(), |name| format!(" at {name}"));
            format!("{name}: {asked}{unit} asked for, {left} left{at}")
        })
    }
}

/// What a pod that insists on its I/O asks for.
fn insisted(workload: &WorkloadProfile) -> Option<IoDemand> {
    workload.strict_io?;
    Some(workload.io_demand()).filter(|demand| *demand != IoDemand::default())
}

/// Whether an event could bring what a pod that insists on its I/O waits for. Who took how much is not known of a pod that left.
pub(super) fn helps(pod: &Pod, event: &ClusterEvent<'_>) -> bool {
    let insists = || {
        let strict = pod.spec.annotations.get(&format!("{ANNOTATION_PREFIX}strict-io"));
        strict.is_some_and(|v| v.trim().eq_ignore_ascii_case("true"))
    };
    let budgets = |node: &Node| [node.storage.iops, node.storage.throughput_mbps, node.storage.capacity_gb];
    let happened = match event {
        ClusterEvent::NodeAdded(node) => budgets(node).iter().any(Option::is_some),
        ClusterEvent::NodeChanged { old, new } => budgets(old).iter().zip(budgets(new)).any(|(old, new)| new > *old),
        ClusterEvent::PodRemoved(_) => true,
        ClusterEvent::Class(old, new) => old.is_none_or(|old| old.offers != new.offers || old.facts != new.facts),
        ClusterEvent::Claim(_, claim) => claim.namespace == pod.namespace && pod.claims().any(|name| name == claim.name),
        _ => false,
    };
    happened && insists()
}
