//! What is remembered between decisions against deciding anew, through seeded random histories of everything that plugins read.
//! Leaves out whether either is right: the plugins' own tests say that.

use super::{Engine, EngineOptions};
use crate::consult::Heard;
use crate::decision::{NodeReport, PluginScore};
use crate::event::{Action, BindOutcome, Event};
use crate::fixture::{settled, with};
use crate::plugins::fixture_random::Random;
use crate::policy_terms::judged;
use crate::profile::Profile;
use crate::queue::Waiting;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::owners::OwnerKind;
use aisched_model::pod::{HostPort, LegacyDisk, Pod, PodAffinity, PodAffinityTerm, PodSpec, PodVolume, SpreadConstraint};
use aisched_model::policy::{NodePreference, Policy, PolicyDecision, PolicySource};
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::storage_facts::{self, NodeSize};
use aisched_model::volume::{Attachment, BindingMode, Claim, CsiDriver, CsiDriverOnNode, CsiNode, StorageCapacity, StorageClass, Volume};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

struct World {
    random: Random,
    engine: Engine,
    /// What pods are made from: few, so that many pods share one.
    specs: Vec<(Str, PodSpec)>,
    pods: BTreeMap<Str, Arc<Pod>>,
    n_pods: usize,
    /// Decisions compared: that found a node, that found none.
    n_compared: [usize; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let engine = Engine::new(vec![Profile::ai_storage("s")], EngineOptions { seed, ..EngineOptions::default() });
        let specs = (0..8).map(|i| spec(&mut random, i)).collect();
        let mut world = Self { random, engine, specs, pods: BTreeMap::new(), n_pods: 0, n_compared: [0, 0] };
        for _ in 0..6 {
            world.node();
        }
        world.configure();
        world.handle(Event::Synced);
        world
    }

    fn handle(&mut self, event: Event) {
        self.engine.handle(0, event);
    }

    fn name(&mut self, of: &str, n: u64) -> Str {
        format!("{of}{}", self.random.below(n)).into()
    }

    fn configure(&mut self) {
        let mut config = Config { io_accounting: self.random.chance(50), generation: self.random.below(100), ..Config::default() };
        config.apollo.endpoint = "".into();
        config.plugins.data_locality_aware.weight = i64::try_from(self.random.below(4)).unwrap();
        self.handle(Event::Configured(Arc::new(config)));
    }

    fn node(&mut self) {
        let name = self.name("n", 8);
        let mut node: Node = self.random.node(&name);
        let (tier, dataset) = (self.random.pick(&["nvme", "ssd", "hdd", "csd"]), self.random.pick(&["a", "b"]));
        let labels = node.labels.iter().map(|(k, v)| (k.clone(), v.clone())).chain([
            (format!("storage-tier/{tier}").into(), "true".into()),
            ("topology.kubernetes.io/zone".into(), self.random.pick(&["a", "b"]).into()),
            ("kubernetes.io/hostname".into(), name.clone()),
        ]);
        node.labels = labels.collect();
        node.annotations = [("ai-storage.keti/cached-datasets", dataset), ("ai-storage.keti/available-iops", "5000")].into_iter().collect();
        node.storage = storage_facts::read(&node.labels, &node.annotations, NodeSize { cores: 8, memory_gib: 32 }).0;
        node.images = vec![(self.random.pick(&["i:1", "j:1"]).into(), 500 << 20)];
        node.allocatable.cpu = MilliCpu(i64::try_from(1000 + 500 * self.random.below(4)).unwrap());
        node.allocatable_pods = i64::try_from(3 + self.random.below(5)).unwrap();
        self.handle(Event::NodeSet(Arc::new(node), Vec::new()));
    }

    /// A pod of one of the templates: one that waits, or one that another scheduler has placed.
    fn pod(&mut self) {
        let (namespace, mut spec) = self.specs[usize::try_from(self.random.below(self.specs.len() as u64)).unwrap()].clone();
        let name: Str = format!("p{}", self.n_pods).into();
        for volume in &mut spec.volumes {
            if let PodVolume::Claim { claim, .. } = volume
                && **claim == *"own"
            {
                *claim = self.random.pick(&CLAIMS).into();
            }
        }
        self.n_pods += 1;
        let mut pod = Pod { uid: name.clone(), name, namespace, spec: Arc::new(spec), ..Pod::default() };
        if self.random.chance(30) {
            pod.node = Some(self.name("n", 8));
        } else if self.random.chance(20) {
            pod.nominated_node = Some(self.name("n", 8));
        }
        self.set_pod(pod);
    }

    fn set_pod(&mut self, pod: Pod) {
        let pod = Arc::new(pod);
        self.pods.insert(pod.uid.clone(), pod.clone());
        self.handle(Event::PodSet(pod));
    }

    fn some_pod(&mut self) -> Option<Arc<Pod>> {
        let n = self.random.below(self.pods.len().max(1) as u64);
        self.pods.values().nth(usize::try_from(n).unwrap()).cloned()
    }

    fn change_pod(&mut self) {
        let Some(pod) = self.some_pod() else { return };
        let labels = self.random.labels();
        let mut pod = with(Pod::clone(&pod), |s| s.labels = labels);
        pod.deleting = self.random.chance(20);
        self.set_pod(pod);
    }

    fn remove_pod(&mut self) {
        let Some(pod) = self.some_pod() else { return };
        self.pods.remove(&pod.uid);
        self.handle(Event::PodGone((&*pod).into()));
    }

    fn claim(&mut self) {
        let name: Str = self.random.pick(&CLAIMS).into();
        if self.random.chance(10) {
            return self.handle(Event::ClaimGone("default".into(), name));
        }
        let volume = self.random.chance(60).then(|| Str::from(self.random.pick(&VOLUMES)));
        let mut claim = Claim { namespace: "default".into(), name, bind_completed: volume.is_some(), volume, ..Claim::default() };
        claim.storage_class = Some(self.random.pick(&["late", "now"]).into());
        claim.access_modes.read_write_once = true;
        claim.access_modes.read_write_once_pod = self.random.chance(20);
        claim.requested = i64::try_from(self.random.below(10)).unwrap();
        self.handle(Event::ClaimSet(Arc::new(claim)));
    }

    fn volume(&mut self) {
        let name: Str = self.random.pick(&VOLUMES).into();
        if self.random.chance(10) {
            return self.handle(Event::VolumeGone(name));
        }
        let (key, value) = match self.random.below(3) {
            0 => ("zone", self.random.pick(&["a", "b"]).into()),
            1 => ("topology.kubernetes.io/zone", self.random.pick(&["a", "b"]).into()),
            _ => ("kubernetes.io/hostname", self.name("n", 8)),
        };
        let term = |value| {
            let one = Requirement { key: key.into(), operator: Operator::In, values: vec![value] };
            vec![NodeSelectorTerm { labels: vec![one], fields: Vec::new() }]
        };
        let in_tree = self.random.chance(20);
        let volume = Volume {
            storage_class: "late".into(),
            capacity: i64::try_from(self.random.below(12)).unwrap(),
            available: true,
            driver: Some(self.random.pick(&["d", "e"]).into()),
            handle: Some(if self.random.chance(70) { name.clone() } else { "h".into() }),
            labels: if self.random.chance(50) { Labels::from([("topology.kubernetes.io/zone", "a")]) } else { Labels::default() },
            node_affinity: self.random.chance(60).then(|| term(value)),
            in_tree: in_tree.then(|| "in-tree".into()),
            migrated_affinity: in_tree.then(|| term("b".into())),
            name,
            ..Volume::default()
        };
        self.handle(Event::VolumeSet(Arc::new(volume)));
    }

    fn storage(&mut self) {
        let node = self.name("n", 8);
        let event = match self.random.below(9) {
            0 => {
                let binding_mode = if self.random.chance(80) { BindingMode::WaitForFirstConsumer } else { BindingMode::Immediate };
                let class = StorageClass { name: "late".into(), provisioner: "d".into(), binding_mode, ..StorageClass::default() };
                Event::ClassSet(Arc::new(class))
            }
            1 => {
                let allocatable = Some(i32::try_from(self.random.below(3)).unwrap());
                let driver = CsiDriverOnNode { name: "d".into(), allocatable, topology_keys: vec!["zone".into()] };
                let migrated_plugins = if self.random.chance(50) { vec!["in-tree".into()] } else { Vec::new() };
                Event::CsiNodeSet(Arc::new(CsiNode { name: node, drivers: vec![driver], migrated_plugins }))
            }
            2 => {
                let (storage_capacity, needed_on_node) = (self.random.chance(30), self.random.chance(30));
                Event::CsiDriverSet(Arc::new(CsiDriver { name: "d".into(), storage_capacity, needed_on_node }))
            }
            3 => Event::CapacitySet(Arc::new(StorageCapacity {
                namespace: "ns".into(),
                name: "r".into(),
                storage_class: "late".into(),
                nodes: Some(LabelSelector::default()),
                capacity: Some(i64::try_from(self.random.below(10)).unwrap()),
                maximum_volume_size: None,
            })),
            4 => Event::CsiNodeGone(node),
            5 => Event::ClassGone("late".into()),
            6 => Event::AttachmentGone("a".into()),
            7 => Event::CapacityGone("ns".into(), "r".into()),
            _ => {
                let volume = Some(self.random.pick(&VOLUMES).into());
                Event::AttachmentSet(Arc::new(Attachment { name: "a".into(), driver: "d".into(), node, volume }))
            }
        };
        self.handle(event);
    }

    fn surroundings(&mut self) {
        let team = self.random.pick(&["a", "b"]);
        let selector = LabelSelector(vec![Requirement { key: "app".into(), operator: Operator::In, values: vec!["web".into()] }]);
        let event = match self.random.below(3) {
            0 => Event::NamespaceSet("default".into(), Labels::from([("team", team)])),
            1 => Event::NamespaceGone("other".into()),
            _ => {
                let id = (OwnerKind::Service, "default".into(), "web".into());
                Event::OwnerSet(id, self.random.chance(60).then(|| Arc::new(selector)))
            }
        };
        self.handle(event);
    }

    /// Lets the engine decide; some binds fail.
    fn poll(&mut self) {
        for action in self.engine.poll(0) {
            let Action::Bind { pod, node, .. } = action else { continue };
            let outcome = if self.random.chance(80) { BindOutcome::Bound } else { BindOutcome::Failed("no".into()) };
            let bound = outcome == BindOutcome::Bound;
            self.handle(Event::BindEnded { pod: pod.clone(), node: node.clone(), outcome });
            if let Some(placed) = self.pods.get(&pod.uid).filter(|_| bound) {
                let placed = Pod { node: Some(node), ..Pod::clone(placed) };
                self.set_pod(placed);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 | 1 => self.node(),
            2 if self.random.chance(30) => {
                let name = self.name("n", 8);
                self.handle(Event::NodeGone(name));
            }
            3..=6 => self.pod(),
            7 => self.change_pod(),
            8 | 9 => self.remove_pod(),
            10 => self.claim(),
            11 => self.volume(),
            12 | 13 => self.storage(),
            14 => self.surroundings(),
            15 if self.random.chance(20) => self.configure(),
            _ => self.poll(),
        }
    }

    /// A waiting pod, perhaps with a policy.
    fn under_policy(&mut self, waiting: &Waiting) -> Waiting {
        let policy = self.random.chance(30).then(|| {
            let preference = NodePreference { node: self.name("n", 8), score: 50 };
            let decision = if self.random.chance(50) { PolicyDecision::Require } else { PolicyDecision::Prefer };
            let data_locations = if self.random.chance(50) { vec![self.name("n", 8)] } else { Vec::new() };
            let request_id = Some(format!("r{}", self.random.below(1000)).into());
            Arc::new(Policy { request_id, decision, node_preferences: vec![preference], data_locations, ..Policy::default() })
        });
        let policy_source = if policy.is_some() { PolicySource::Success } else { PolicySource::Fallback };
        let mut waiting = waiting.clone();
        waiting.judged = judged(&waiting.pod, policy.as_deref());
        (waiting.policy, waiting.policy_source) = (policy, policy_source);
        waiting
    }

    /// What is kept of volumes beside the nodes is what it would be if it were made from nothing.
    fn compare_volumes(&self, what: &str) {
        let kept = self.engine.snapshot();
        let made = settled(kept);
        for (kept, made) in kept.nodes.iter().zip(&made.nodes) {
            assert_eq!((&kept.volumes, &kept.csi), (&made.volumes, &made.csi), "{what}: {}", kept.node.name);
        }
        let of_nodes = |handle: &Str| made.handles.get(handle).is_none_or(|n| kept.handles.get(handle).is_some_and(|kept| kept >= n));
        assert!(made.handles.keys().all(of_nodes), "{what}: {:?} instead of {:?}", kept.handles, made.handles); // the rest is on nodes that are gone
    }

    /// Every waiting pod is decided alike with and without what is remembered.
    fn compare(&mut self, what: &str) {
        self.compare_volumes(what);
        let waiting: Vec<Waiting> = self.engine.waiting().cloned().collect();
        for waiting in waiting {
            let waiting = self.under_policy(&waiting);
            let mut templates = core::mem::take(&mut self.engine.templates);
            let remembered = self.engine.decide_for(&waiting, usize::MAX, Heard::default(), Some(&mut templates), None).unwrap().outcome;
            self.engine.templates = templates;
            let anew = self.engine.decide_for(&waiting, usize::MAX, Heard::default(), None, None).unwrap().outcome;
            assert_eq!(remembered.decision, anew.decision, "{what}: {:?}", waiting.pod);
            assert_eq!((remembered.refused_by, remembered.nominate), (anew.refused_by, anew.nominate), "{what}: {:?}", waiting.pod);
            assert_eq!(remembered.volumes, anew.volumes, "{what}: {:?}", waiting.pod);
            self.n_compared[usize::from(anew.decision.node.is_none())] += 1;
        }
    }
}

/// Claims, and the volumes that they may be bound to.
const CLAIMS: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
const VOLUMES: [&str; 8] = ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"];

/// What pods of one template are: they differ in what they read of the cluster.
fn spec(random: &mut Random, i: usize) -> (Str, PodSpec) {
    let pod = if i.is_multiple_of(2) { random.pod("p") } else { random.spread_pod() };
    let mut spec = PodSpec::clone(&pod.spec);
    spec.scheduler_name = "s".into();
    spec.priority = i32::try_from(random.below(3)).unwrap();
    spec.requests.cpu = MilliCpu(i64::try_from(100 * random.below(6)).unwrap());
    spec.requests.memory = Bytes(1 << 30);
    spec.nonzero_request.cpu = spec.requests.cpu;
    spec.nonzero_request.memory = spec.requests.memory;
    spec.images = vec![random.pick(&["i:1", "j:1", "k"]).into()];
    spec.n_containers = 1;
    if random.chance(20) {
        spec.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }];
    }
    if random.chance(40) {
        let (stage, dataset) = (random.pick(&["training", "preprocessing"]), random.pick(&["a", "b"]));
        let hints = [("workload-stage", stage), ("dataset", dataset), ("required-iops", "1000")];
        spec.annotations = hints.into_iter().map(|(key, value)| (format!("ai-storage.keti/{key}"), value)).collect();
    }
    match random.below(8) {
        0 => spec.volumes = vec![PodVolume::Claim { claim: "c0".into(), read_only: false }],
        1 => spec.volumes = vec![PodVolume::Claim { claim: "c1".into(), read_only: false }],
        2 => spec.volumes = vec![PodVolume::Disk(LegacyDisk::Ebs { id: "vol".into() })],
        3..=5 => spec.volumes = vec![PodVolume::Claim { claim: "own".into(), read_only: false }],
        _ => {}
    }
    (if spec.volumes.is_empty() { pod.namespace.clone() } else { "default".into() }, spec)
}

#[test]
fn remembering_changes_no_decision() {
    let mut n_compared = [0, 0];
    for seed in 0..60 {
        let mut world = World::new(seed);
        for step in 0..80 {
            world.step();
            world.compare(&format!("seed {seed}, step {step}"));
        }
        n_compared = [n_compared[0] + world.n_compared[0], n_compared[1] + world.n_compared[1]];
    }
    assert!(n_compared.iter().all(|n| *n > 1000), "hardly anything was compared: {n_compared:?}");
}

/// An engine that knows 200 nodes in two zones.
fn engine() -> Engine {
    let mut engine = Engine::new(vec![Profile::ai_storage("s")], EngineOptions::default());
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    engine.handle(0, Event::Configured(Arc::new(config)));
    for i in 0..200 {
        let zone = if i < 100 { "a" } else { "b" };
        let name = format!("n{i}");
        engine.handle(0, Event::NodeSet(Arc::new(crate::fixture::labelled(&name, [("zone", zone), ("host", &name)])), Vec::new()));
    }
    engine.handle(0, Event::Synced);
    engine
}

/// Takes a pod all its way to a node.
fn place(engine: &mut Engine, i: usize, spec: &Arc<PodSpec>) {
    let name: Str = format!("p{i}").into();
    let pod = Pod { uid: name.clone(), namespace: "ns".into(), name, spec: spec.clone(), ..Pod::default() };
    engine.handle(0, Event::PodSet(Arc::new(pod.clone())));
    let bind = engine.poll(0).into_iter().find_map(|a| if let Action::Bind { pod, node, .. } = a { Some((pod, node)) } else { None });
    let (bound, node) = bind.unwrap();
    engine.handle(0, Event::BindEnded { pod: bound, node: node.clone(), outcome: BindOutcome::Bound });
    engine.handle(0, Event::PodSet(Arc::new(Pod { node: Some(node), ..pod })));
}

#[test]
fn next_pod_of_a_template_costs_only_the_nodes_that_changed() {
    let (mut engine, spec) = (engine(), Arc::new(PodSpec { scheduler_name: "s".into(), ..PodSpec::default() }));
    place(&mut engine, 0, &spec);
    assert_eq!(engine.templates.n_judged(), 200 + 2, "of a new template every node is judged, and the one way of cordon and taints");
    for i in 1..50 {
        place(&mut engine, i, &spec);
        assert_eq!(engine.templates.n_judged(), 1, "pod {i}: the node that the pod before it went to, and no other");
    }
}

#[test]
fn same_words_about_many_nodes_are_kept_once() {
    let (mut engine, spec) = (engine(), Arc::new(PodSpec { scheduler_name: "s".into(), ..PodSpec::default() }));
    (0..100).for_each(|i| place(&mut engine, i, &spec));
    let reports: Vec<&NodeReport> = engine.records().newest_first().flat_map(|record| &record.decision.nodes).collect();
    let kept: BTreeSet<*const PluginScore> = reports.iter().map(|report| report.plugins.as_ptr()).collect();
    assert_eq!((reports.len(), reports.iter().all(|r| !r.plugins.is_empty())), (100 * 20, true));
    assert!(kept.len() <= 3, "{} copies: of nodes with no pod, with one and with two there is no more to say", kept.len());
}

/// A pod with a claim of its own, bound to a volume in reach of the nodes with this label.
fn claiming(engine: &mut Engine, i: usize, reach: Option<(&str, Str)>) -> Arc<PodSpec> {
    let (claim, name): (Str, Str) = (format!("c{i}").into(), format!("v{i}").into());
    let term = |(key, value): (&str, Str)| {
        let one = Requirement { key: key.into(), operator: Operator::In, values: vec![value] };
        vec![NodeSelectorTerm { labels: vec![one], fields: Vec::new() }]
    };
    let (driver, handle) = (Some("d".into()), Some(name.clone()));
    let volume = Volume { name: name.clone(), driver, handle, node_affinity: reach.map(term), ..Volume::default() };
    engine.handle(0, Event::VolumeSet(Arc::new(volume)));
    let (namespace, bound) = ("ns".into(), Some(name));
    let claimed = Claim { namespace, name: claim.clone(), volume: bound, bind_completed: true, ..Claim::default() };
    engine.handle(0, Event::ClaimSet(Arc::new(claimed)));
    let volumes = vec![PodVolume::Claim { claim, read_only: false }];
    Arc::new(PodSpec { scheduler_name: "s".into(), volumes, ..PodSpec::default() })
}

#[test]
fn next_pod_with_a_claim_of_its_own_costs_only_the_nodes_that_changed() {
    type Reach = fn(usize) -> Option<(&'static str, Str)>;
    let mut engine = engine();
    for i in 0..200 {
        let driver = CsiDriverOnNode { name: "d".into(), allocatable: Some(9), topology_keys: vec!["zone".into()] };
        let csi_node = CsiNode { name: format!("n{i}").into(), drivers: vec![driver], ..CsiNode::default() };
        engine.handle(0, Event::CsiNodeSet(Arc::new(csi_node)));
    }
    let reaches: [(&str, Reach); 3] = [
        ("anywhere", |_| None),
        ("in a zone", |_| Some(("zone", "b".into()))),
        ("on a node", |i| Some(("host", format!("n{}", i % 200).into()))),
    ];
    for (at, (what, reach)) in reaches.into_iter().enumerate() {
        for i in 0..30 {
            let spec = claiming(&mut engine, 100 * at + i, reach(100 * at + i));
            place(&mut engine, 100 * at + i, &spec);
            // The node that the pod before it went to; the one that the volume is on, and one for all others.
            let n_judged = engine.templates.n_judged();
            assert!(i == 0 || n_judged <= if what == "on a node" { 3 } else { 1 }, "volume {what}, pod {i}: {n_judged}");
        }
    }
}

#[test]
fn pods_are_counted_once_for_a_template() {
    let selector = LabelSelector(vec![Requirement { key: "app".into(), operator: Operator::In, values: vec!["x".into()] }]);
    let constraint = SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".into(),
        hard: true,
        selector: Some(selector.clone()),
        min_domains: None,
        honor_affinity: true,
        honor_taints: true,
        match_label_keys: Vec::new(),
    };
    let near =
        PodAffinityTerm { selector: Some(selector), namespaces: vec!["ns".into()], namespace_selector: None, topology_key: "zone".into() };
    let spec = PodSpec {
        scheduler_name: "s".into(),
        labels: Labels::from([("app", "x")]),
        spread: vec![constraint],
        pod_affinity: PodAffinity { required: Vec::new(), preferred: vec![(1, near)] },
        ..PodSpec::default()
    };
    let (mut engine, spec) = (engine(), Arc::new(spec));
    place(&mut engine, 0, &spec);
    let tallies = engine.templates.tallies();
    assert_eq!(tallies.len(), 2);
    for i in 1..50 {
        place(&mut engine, i, &spec);
        assert_eq!(engine.templates.tallies(), tallies, "pod {i}");
    }
}
