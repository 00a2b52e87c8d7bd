//! A synthetic cluster: nodes of four storage tiers in ten zones; pods of one template, all different, near or apart, spread, with claims.
//! The same numbers give the same cluster on every machine.

use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodAffinity, PodAffinityTerm, PodSpec, PodVolume, SpreadConstraint};
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::storage_facts::{self, NodeSize};
use aisched_model::volume::{AccessModes, Claim, CsiDriverOnNode, CsiNode, Volume};
use std::sync::{Arc, LazyLock};

/// Name that the pods ask for.
pub(crate) const SCHEDULER: &str = "ai-storage-scheduler";

const ZONE: &str = "topology.kubernetes.io/zone";
const CPUS: i64 = 32;
const MEMORY_GIB: i64 = 128;
const PODS: usize = 110;

/// Which pods are decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pods {
    /// All of one template, as a Job or a ReplicaSet makes them.
    Repeated,
    /// No two alike in labels, hints, requests and node affinity.
    Different,
    /// Of one template, all in one zone (required pod affinity).
    Near,
    /// Of one template, no two on one node (required pod anti-affinity).
    Apart,
    /// Of one template, evenly over the zones (`DoNotSchedule`).
    Spread,
    /// Each with a claim of its own, bound to a volume in one zone.
    Claims,
}

impl Pods {
    pub(crate) const ALL: [Self; 6] = [Self::Repeated, Self::Different, Self::Near, Self::Apart, Self::Spread, Self::Claims];

    /// Pod number `i`.
    pub(crate) fn pod(self, i: usize) -> Pod {
        type Template = LazyLock<Arc<PodSpec>>;
        static REPEATED: Template = LazyLock::new(|| Arc::new(template(0)));
        static NEAR: Template = LazyLock::new(|| Arc::new(near()));
        static APART: Template = LazyLock::new(|| Arc::new(apart()));
        static SPREAD: Template = LazyLock::new(|| Arc::new(spread()));
        let spec = match self {
            Self::Repeated => REPEATED.clone(),
            Self::Different => Arc::new(different(i)),
            Self::Near => NEAR.clone(),
            Self::Apart => APART.clone(),
            Self::Spread => SPREAD.clone(),
            Self::Claims => {
                Arc::new(PodSpec { volumes: vec![PodVolume::Claim { claim: claim_name("own", i), read_only: false }], ..template(0) })
            }
        };
        named(format!("pod-{i}"), spec)
    }
}

/// How many pods certainly fit.
pub(crate) fn room(pods: Pods, n_nodes: usize, bound: usize) -> usize {
    match pods {
        Pods::Repeated | Pods::Different | Pods::Spread | Pods::Claims => n_nodes * PODS.saturating_sub(bound) / 4,
        Pods::Near => n_nodes * PODS.saturating_sub(bound) / 40,
        Pods::Apart => n_nodes,
    }
}

const DRIVER: &str = "csi.example.org";

/// The driver of node `i`: it takes as many volumes as an EC2 instance.
pub(crate) fn csi_node(i: usize) -> CsiNode {
    let driver = CsiDriverOnNode { name: DRIVER.into(), topology_keys: vec![ZONE.into()], allocatable: Some(39) };
    CsiNode { name: format!("node-{i:05}").into(), drivers: vec![driver], ..CsiNode::default() }
}

/// A claim with its volume, which lies in one of the ten zones.
pub(crate) fn claim(of: &str, i: usize) -> (Claim, Volume) {
    let name = claim_name(of, i);
    let volume_name: Str = format!("pv-{name}").into();
    let zone = Requirement { key: ZONE.into(), operator: Operator::In, values: vec![format!("zone{}", i % 10).into()] };
    let modes = AccessModes { read_write_once: true, ..AccessModes::default() };
    let claim = Claim {
        uid: format!("uid-{name}").into(),
        namespace: "default".into(),
        name: name.clone(),
        volume: Some(volume_name.clone()),
        bind_completed: true,
        storage_class: Some("fast".into()),
        access_modes: modes,
        requested: 1 << 30,
        ..Claim::default()
    };
    let volume = Volume {
        name: volume_name,
        driver: Some(DRIVER.into()),
        handle: Some(name.clone()),
        node_affinity: Some(vec![NodeSelectorTerm { labels: vec![zone], ..NodeSelectorTerm::default() }]),
        storage_class: "fast".into(),
        access_modes: modes,
        capacity: 1 << 30,
        claim: Some(("default".into(), name, claim.uid.clone())),
        ..Volume::default()
    };
    (claim, volume)
}

fn claim_name(of: &str, i: usize) -> Str {
    format!("{of}-{i}").into()
}

/// Node number `i`.
pub(crate) fn node(i: usize) -> Node {
    let (tier, iops, mbps, gb) =
        [("nvme", 100_000, 3000, 2000), ("ssd", 20_000, 800, 4000), ("hdd", 500, 400, 20_000), ("csd", 50_000, 2000, 8000)][i % 4];
    let name = format!("node-{i:05}");
    let labels: Labels = [
        ("kubernetes.io/hostname".to_owned(), name.clone()),
        (ZONE.to_owned(), format!("zone{}", i % 10)),
        ("topology.kubernetes.io/rack".to_owned(), format!("rack{}", i / 20)),
        (format!("storage-tier/{tier}"), "true".to_owned()),
        ("layer".to_owned(), if i % 4 < 2 { "compute" } else { "storage" }.to_owned()),
    ]
    .into_iter()
    .collect();
    let annotations: Labels = [
        ("ai-storage.keti/available-iops".to_owned(), iops.to_string()),
        ("ai-storage.keti/available-throughput-mbps".to_owned(), mbps.to_string()),
        ("ai-storage.keti/available-capacity-gb".to_owned(), gb.to_string()),
        ("ai-storage.keti/cached-datasets".to_owned(), format!("dataset-{}", i % 10)),
    ]
    .into_iter()
    .collect();
    let (storage, _) = storage_facts::read(&labels, &annotations, NodeSize { cores: CPUS, memory_gib: MEMORY_GIB });
    let mut node = Node { name: name.into(), labels, annotations, storage, ..Node::default() };
    node.allocatable.cpu = MilliCpu(CPUS * 1000);
    node.allocatable.memory = Bytes(MEMORY_GIB << 30);
    node.allocatable_pods = 110;
    node.images = vec![("registry.k8s.io/pause:3.10.2".into(), 700_000)];
    node
}

/// Pod number `j` of node `i`, there before the first decision, of another scheduler.
pub(crate) fn bound_pod(i: usize, j: usize) -> Pod {
    static SPEC: LazyLock<Arc<PodSpec>> =
        LazyLock::new(|| Arc::new(PodSpec { scheduler_name: "default-scheduler".into(), ..requesting(100, 500) }));
    Pod { node: Some(format!("node-{i:05}").into()), ..named(format!("bound-{i}-{j}"), SPEC.clone()) }
}

/// An AI pod of the group `app`, with a selector of the group.
fn grouped(app: &str) -> (PodSpec, LabelSelector) {
    let labels = [("app", app)].into_iter().collect();
    let own = Requirement { key: "app".into(), operator: Operator::In, values: vec![app.into()] };
    (PodSpec { labels, ..template(0) }, LabelSelector(vec![own]))
}

fn term(selector: LabelSelector, key: &str) -> PodAffinity {
    let term = PodAffinityTerm {
        selector: Some(selector),
        namespaces: vec!["default".into()],
        namespace_selector: None,
        topology_key: key.into(),
    };
    PodAffinity { required: vec![term], preferred: Vec::new() }
}

fn near() -> PodSpec {
    let (spec, group) = grouped("near");
    PodSpec { pod_affinity: term(group, ZONE), ..spec }
}

fn apart() -> PodSpec {
    let (spec, group) = grouped("apart");
    PodSpec { pod_anti_affinity: term(group, "kubernetes.io/hostname"), ..spec }
}

fn spread() -> PodSpec {
    let (spec, group) = grouped("spread");
    let constraint = SpreadConstraint {
        max_skew: 5,
        topology_key: ZONE.into(),
        hard: true,
        selector: Some(group),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
        match_label_keys: Vec::new(),
    };
    PodSpec { spread: vec![constraint], ..spec }
}

fn named(name: String, spec: Arc<PodSpec>) -> Pod {
    Pod { uid: format!("uid-{name}").into(), namespace: "default".into(), name: name.into(), spec, ..Pod::default() }
}

fn requesting(milli_cpu: i64, mib: i64) -> PodSpec {
    let mut spec = PodSpec { scheduler_name: SCHEDULER.into(), n_containers: 1, ..PodSpec::default() };
    spec.requests.cpu = MilliCpu(milli_cpu);
    spec.requests.memory = Bytes(mib << 20);
    spec.nonzero_request.cpu = spec.requests.cpu;
    spec.nonzero_request.memory = spec.requests.memory;
    spec.images = vec!["registry.k8s.io/pause:3.10.2".into()];
    spec
}

/// An AI pod of kind `i`.
fn template(i: usize) -> PodSpec {
    let (key, value, pattern) = [
        ("preprocessing-type", "augmentation", "read-heavy"),
        ("workload-stage", "training", "random"),
        ("workload-stage", "training", "sequential"),
        ("workload-stage", "inference", "read-heavy"),
        ("preprocessing-type", "filtering", "write-heavy"),
    ][i % 5];
    let hints = [(key, value.to_owned()), ("io-pattern", pattern.to_owned()), ("dataset", format!("dataset-{}", i % 10))];
    let mut spec = requesting(100, 500);
    spec.annotations = hints.into_iter().map(|(key, value)| (format!("ai-storage.keti/{key}"), value)).collect();
    spec
}

/// A pod like no other: labels, a hint, requests, and three zones that it may run in.
fn different(i: usize) -> PodSpec {
    let number = |n: usize| i64::try_from(n).unwrap_or(0);
    let mut spec = template(i);
    let sized = requesting(50 + number(i % 97), 200 + number(i % 89));
    (spec.requests, spec.nonzero_request) = (sized.requests, sized.nonzero_request);
    spec.labels = [("app", format!("app-{i}")), ("team", format!("team-{}", i % 7))].into_iter().collect();
    let more = ("ai-storage.keti/required-iops".to_owned(), (1 + i % 50).to_string());
    spec.annotations = spec.annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).chain([more]).collect();
    let zones = (0..3).map(|k| format!("zone{}", (i + k) % 10).into()).collect();
    let requirement = Requirement { key: ZONE.into(), operator: Operator::In, values: zones };
    spec.node_affinity.required = Some(vec![NodeSelectorTerm { labels: vec![requirement], ..NodeSelectorTerm::default() }]);
    spec
}
