//! Cures are true: on random clusters, applying one makes the pod fit there, and neither fewer changes nor smaller amounts do.
//! Leaves out what is said of which obstacle: see `aisched-core`.

use crate::storm::random::Random;
use crate::tests::{node, pod};
use crate::{Options, Scenario, Simulation};
use aisched_core::cures::{Change, Cure, events};
use aisched_core::decision::Decision;
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{HostPort, Pod, PodAffinityTerm, PodSpec, PodVolume, TaintEffect, Toleration, TolerationOperator};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::storage_facts::{self, NodeSize};
use aisched_model::volume::{AccessModes, Claim, CsiDriverOnNode, CsiNode, Volume};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

const HOST: &str = "kubernetes.io/hostname";
const DRIVER: &str = "csi.example.com";

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement { key: key.into(), operator, values: values.iter().map(|v| (*v).into()).collect() }
}

fn random_node(random: &mut Random, name: &str) -> Node {
    let mut labels = vec![(HOST, name)];
    labels.extend([("disk", "ssd"), ("zone", "a"), ("zone", "b")].into_iter().filter(|_| random.one_in(3)));
    let mut node = Node { labels: labels.into_iter().collect(), unschedulable: random.one_in(5), ..node(name) };
    node.allocatable.cpu.0 = i64::try_from(random.within(1..9)).unwrap() * 1000;
    node.allocatable_pods = i64::try_from(random.within(0..5)).unwrap();
    let taint = |key: &str, effect| Taint { key: key.into(), value: "x".into(), effect };
    let taints =
        [taint("gpu", TaintEffect::NoSchedule), taint("busy", TaintEffect::PreferNoSchedule), taint("away", TaintEffect::NoExecute)];
    node.taints = taints.into_iter().filter(|_| random.one_in(5)).collect();
    if random.one_in(2) {
        node.annotations = Labels::from([("ai-storage.keti/available-iops", "1000")]);
        node.storage = storage_facts::read(&node.labels, &node.annotations, NodeSize::default()).0;
    }
    node
}

/// What a pod may ask for, that a node may not have or that another pod may have taken.
fn random_spec(random: &mut Random, spec: &mut PodSpec) {
    spec.requests.cpu.0 = i64::try_from(random.within(0..10)).unwrap() * 700;
    spec.nonzero_request.cpu = spec.requests.cpu;
    if random.one_in(3) {
        spec.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }];
    }
    spec.labels = Labels::from([("app", if random.one_in(2) { "db" } else { "web" })]);
    if random.one_in(4) {
        let selector = Some(LabelSelector(vec![requirement("app", Operator::In, &["db"])]));
        let term = PodAffinityTerm { selector, namespaces: vec!["default".into()], namespace_selector: None, topology_key: HOST.into() };
        spec.pod_anti_affinity.required = vec![term];
    }
}

fn random_wishes(random: &mut Random, spec: &mut PodSpec) {
    random_spec(random, spec);
    if random.one_in(4) {
        spec.node_selector = Labels::from([("disk", "nvme")]);
    }
    if random.one_in(4) {
        let any = [
            vec![requirement("zone", Operator::In, &["a"]), requirement("disk", Operator::Exists, &[])],
            vec![requirement("zone", Operator::NotIn, &["a", "b"])],
        ];
        spec.node_affinity.required = Some(any.into_iter().map(|labels| NodeSelectorTerm { labels, fields: Vec::new() }).collect());
    }
    if random.one_in(3) {
        spec.tolerations.push(Toleration { key: "gpu".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None });
    }
    for claim in ["missing", "elsewhere", "alone", "attached"] {
        if random.one_in(8) {
            spec.volumes.push(PodVolume::Claim { claim: claim.into(), read_only: false });
        }
    }
    if random.one_in(4) {
        spec.annotations = Labels::from([("ai-storage.keti/required-iops", "1500"), ("ai-storage.keti/strict-io", "true")]);
    }
}

/// Claims that are bound, each in a way of its own.
fn claims() -> Vec<Event> {
    let zone = NodeSelectorTerm { labels: vec![requirement("zone", Operator::In, &["c"])], fields: Vec::new() };
    let mut all = Vec::new();
    for (name, node_affinity, read_write_once_pod, driver) in
        [("elsewhere", Some(vec![zone]), false, None), ("alone", None, true, None), ("attached", None, false, Some(DRIVER))]
    {
        let access_modes = AccessModes { read_write_once_pod, ..AccessModes::default() };
        let (name, namespace): (Str, Str) = (name.into(), "default".into());
        let claim = Some((namespace.clone(), name.clone(), Str::default()));
        let (driver, handle) = (driver.map(Str::from), driver.map(|_| name.clone()));
        all.push(Event::VolumeSet(Arc::new(Volume {
            name: name.clone(),
            node_affinity,
            access_modes,
            claim,
            driver,
            handle,
            ..Volume::default()
        })));
        let volume = Some(name.clone());
        all.push(Event::ClaimSet(Arc::new(Claim { name, namespace, volume, bind_completed: true, access_modes, ..Claim::default() })));
    }
    all
}

/// A few nodes with a few pods, and one pod without a node.
fn cluster(seed: u64) -> Vec<Event> {
    let mut random = Random::new(seed);
    let mut all = claims();
    for i in 0..random.within(1..4) {
        let name = format!("n{i}");
        all.push(Event::NodeSet(Arc::new(random_node(&mut random, &name)), Vec::new()));
        let drivers = vec![CsiDriverOnNode { name: DRIVER.into(), topology_keys: Vec::new(), allocatable: Some(0) }];
        all.push(Event::CsiNodeSet(Arc::new(CsiNode { name: name.as_str().into(), drivers, migrated_plugins: Vec::new() })));
        for j in 0..random.below(3) {
            all.push(pod(&format!("{name}-{j}"), 0, |pod, spec| {
                pod.node = Some(name.as_str().into());
                random_spec(&mut random, spec);
                if random.one_in(4) {
                    spec.volumes.push(PodVolume::Claim { claim: "alone".into(), read_only: false });
                }
            }));
        }
    }
    all.push(pod("p", 0, |_, spec| random_wishes(&mut random, spec)));
    all
}

fn simulation(objects: &[Event]) -> Simulation {
    let mut scenario = Scenario::default();
    objects.iter().for_each(|object| scenario.add(object.clone()));
    Simulation::new(scenario, &Options::default())
}

fn fits_on(decision: &Decision, node: &Str) -> bool {
    decision.nodes.iter().any(|report| report.feasible && report.node == *node)
}

/// Whether the pod, decided for the first time on the cluster with these changes, would fit on the node.
fn would_fit(objects: &[Event], changes: &[Change], node: &Str, pod: &Pod) -> bool {
    let there = simulation(objects);
    let mut changed = objects.to_vec();
    for event in events(changes, there.snapshot().node(node).unwrap(), pod, there.snapshot()) {
        match event {
            Event::PodGone(gone) => changed.retain(|o| !matches!(o, Event::PodSet(pod) if pod.uid == gone.uid)),
            set => changed.insert(0, set),
        }
    }
    // The first of a kind and name stands: what has changed.
    let mut seen = BTreeSet::new();
    changed.retain(|object| match object {
        Event::NodeSet(node, _) => seen.insert(("node", node.name.clone())),
        Event::CsiNodeSet(csi) => seen.insert(("csi", csi.name.clone())),
        Event::ClaimSet(claim) => seen.insert(("claim", claim.name.clone())),
        _ => true,
    });
    simulation(&changed).next_decision().is_some_and(|decision| fits_on(&decision, node))
}

/// Everything that is less than the changes: all but one of them, and each of them by one less.
fn less(changes: &[Change]) -> Vec<Vec<Change>> {
    let mut all: Vec<Vec<Change>> = Vec::new();
    for mask in 1..(1_usize << changes.len()) - 1 {
        all.push(changes.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0).map(|(_, change)| change.clone()).collect());
    }
    for i in 0..changes.len() {
        let mut smaller = changes.to_vec();
        match &mut smaller[i] {
            Change::Resource(_, n) | Change::Io(_, n) => *n -= 1,
            Change::Volumes(_, n) => *n -= 1,
            _ => continue,
        }
        all.push(smaller);
    }
    all
}

#[test]
fn cure_makes_the_pod_fit_and_nothing_less_does() {
    let (mut n_cures, mut kinds) = (0, BTreeSet::new());
    for seed in 0..250 {
        let objects = cluster(seed);
        let mut as_it_is = simulation(&objects);
        let refused = as_it_is.next_decision().unwrap();
        for Cure { node, changes } in if refused.node.is_none() { as_it_is.cures(&refused.pod) } else { Vec::new() } {
            let mut cluster = simulation(&objects);
            let Some(Event::PodSet(pod)) = objects.last() else { panic!("no pod") };
            assert!(cluster.next_decision().is_some_and(|d| d.node.is_none()));
            for event in events(&changes, cluster.snapshot().node(&node).unwrap(), pod, cluster.snapshot()) {
                cluster.happens(event);
            }
            let after = cluster.next_decision();
            assert!(after.is_some_and(|d| fits_on(&d, &node)), "seed {seed}: {node}: {changes:?} do not wake and cure");
            for fewer in less(&changes) {
                assert!(!would_fit(&objects, &fewer, &node, pod), "seed {seed}: {node}: {fewer:?} of {changes:?} are enough");
            }
            n_cures += 1;
            kinds.extend(changes.iter().map(kind));
        }
    }
    assert!(n_cures > 150, "{n_cures}");
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

/// Which variant it is.
fn kind(change: &Change) -> &'static str {
    match change {
        Change::Uncordon => "uncordon",
        Change::Taint(..) => "taint",
        Change::Label(..) => "label",
        Change::Resource(..) => "resource",
        Change::Io(..) => "io",
        Change::Volumes(..) => "volumes",
        Change::Claim(_) => "claim",
        Change::Leaves(..) => "leaves",
    }
}
