//! What is said of each kind of obstacle, and that it is true: the cluster with the changes takes the pod, with fewer of them it does not.
//! Leaves out clusters out of a seed: the simulator has those.

use super::apply::changed;
use super::{Change, Cure, find};
use crate::consult::Heard;
use crate::decide::{Choice, decide};
use crate::decision::Decision;
use crate::fixture::{Cluster, claiming, labelled, node, pod, requesting, settled, storage_node, with};
use crate::framework::Attempt;
use crate::profile::Profile;
use crate::workload_profile::WorkloadProfile;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{HostPort, Pod, PodAffinityTerm, SpreadConstraint, TaintEffect};
use aisched_model::policy::PolicySource;
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{AccessModes, Claim, CsiDriverOnNode, CsiNode, StorageClass, Volume};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Runs `then` with the attempt on a pod of the default profile.
fn attempt<T>(cluster: &Cluster, snapshot: &Snapshot, pod: &Pod, then: impl FnOnce(&Profile, &Attempt<'_>) -> T) -> T {
    let profile = Profile::ai_storage("ai-storage-scheduler");
    let workload = WorkloadProfile::resolve(pod, None, &cluster.config, snapshot);
    then(&profile, &Attempt { snapshot, pod, workload: &workload, policy: None, config: &cluster.config })
}

fn decided(cluster: &Cluster, snapshot: &Snapshot, pod: &Pod) -> Decision {
    let choice = Choice {
        salt: 0,
        report_nodes: usize::MAX,
        policy_source: PolicySource::Fallback,
        heard: Heard::default(),
        in_peace: &[],
        within: None,
    };
    attempt(cluster, snapshot, pod, |profile, attempt| decide(profile, attempt, choice).decision)
}

/// The cures, after each has been tried by the whole of `decide`: with all changes the node is feasible, with one fewer it is not.
fn cures(cluster: &Cluster, pod: &Pod) -> Vec<Cure> {
    let snapshot = settled(&cluster.snapshot);
    assert_eq!(decided(cluster, &snapshot, pod).node, None, "it fits as it is");
    let cures = attempt(cluster, &snapshot, pod, |profile, attempt| find(profile, attempt, PolicySource::Fallback));
    for Cure { node, changes } in &cures {
        let info = snapshot.node(node).unwrap();
        let fits = |changes: &[Change]| decided(cluster, &changed(changes, info, pod, &snapshot), pod).feasible().contains(node);
        assert!(fits(changes), "{node}: {changes:?}");
        for i in 0..changes.len() {
            let fewer: Vec<Change> = changes.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, c)| c.clone()).collect();
            assert!(!fits(&fewer), "{node}: {fewer:?} are enough");
        }
    }
    cures
}

/// `node: change, change`, in words.
fn words(cluster: &Cluster, pod: &Pod) -> Vec<String> {
    let said = |cure: Cure| format!("{}: {}", cure.node, cure.changes.iter().map(Change::text).collect::<Vec<_>>().join(", "));
    cures(cluster, pod).into_iter().map(said).collect()
}

fn tainted(name: &str, key: &str, value: &str) -> Node {
    Node { taints: vec![Taint { key: key.into(), value: value.into(), effect: TaintEffect::NoSchedule }], ..node(name) }
}

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement { key: key.into(), operator, values: values.iter().map(|v| (*v).into()).collect() }
}

fn of(node: Node) -> Cluster {
    Cluster::of([node])
}

#[test]
fn what_the_node_itself_lacks_is_named_exactly() {
    let term = |labels: Vec<Requirement>| NodeSelectorTerm { labels, fields: Vec::new() };
    let terms = vec![
        term(vec![requirement("a", Operator::Exists, &[]), requirement("b", Operator::Gt, &["3"])]),
        term(vec![requirement("gone", Operator::DoesNotExist, &[])]),
    ];
    let cordoned = Node { unschedulable: true, ..tainted("n", "node.kubernetes.io/unschedulable", "") };
    for (cluster, pod, expected) in [
        (of(cordoned), pod("p"), "n: uncordon it"),
        (of(tainted("n", "gpu", "")), pod("p"), "n: tolerate or remove the taint gpu:NoSchedule"),
        (of(tainted("n", "pool", "x")), pod("p"), "n: tolerate or remove the taint pool=x:NoSchedule"),
        (of(node("n")), with(pod("p"), |s| s.node_selector = Labels::from([("disk", "nvme")])), "n: label it disk=nvme"),
        (of(labelled("n", [("gone", "1")])), with(pod("p"), |s| s.node_affinity.required = Some(terms)), "n: remove its label gone"),
        (of(node("n")), requesting("p", "9500m", "1Gi"), "n: 1500m more cpu"),
        (of(node("n")), requesting("p", "9", "33Gi"), "n: 1000m more cpu, 1024Mi more memory"),
        (of(Node { allocatable_pods: 0, ..node("n") }), pod("p"), "n: room for 1 more pod(s)"),
        (
            of(storage_node("n", [], [("available-iops", "1000")])),
            crate::fixture::hinted("p", [("required-iops", "1500"), ("strict-io", "true")]),
            "n: 500 more IOPS",
        ),
        (
            of(node("n")),
            crate::fixture::hinted("p", [("required-storage-tier", "nvme"), ("strict-storage-tier", "true")]),
            "n: label it storage-tier/nvme=true",
        ),
    ] {
        assert_eq!(words(&cluster, &pod), [expected]);
    }
}

#[test]
fn pods_that_are_in_the_way_are_named() {
    let port = |name: &str| with(pod(name), |s| s.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }]);
    assert_eq!(words(&of(node("n")).placed("n", port("web")), &port("p")), ["n: pod default/web leaves"]);
    let selector = LabelSelector(vec![requirement("app", Operator::In, &["db"])]);
    let term = PodAffinityTerm {
        selector: Some(selector),
        namespaces: vec!["default".into()],
        namespace_selector: None,
        topology_key: "kubernetes.io/hostname".into(),
    };
    let db = with(pod("db"), |s| s.labels = Labels::from([("app", "db")]));
    let apart = with(pod("p"), |s| s.pod_anti_affinity.required = vec![term]);
    let cluster = of(labelled("n", [("kubernetes.io/hostname", "n")])).placed("n", db);
    assert_eq!(words(&cluster, &apart), ["n: pod default/db leaves"]);
    let modes = AccessModes { read_write_once_pod: true, ..AccessModes::default() };
    let claim = Claim { name: "c".into(), volume: Some("v".into()), bind_completed: true, access_modes: modes, ..Claim::default() };
    let cluster = of(node("n")).claim(claim).volume(Volume { name: "v".into(), ..Volume::default() }).placed("n", claiming("user", ["c"]));
    assert_eq!(words(&cluster, &claiming("p", ["c"])), ["n: pod default/user leaves"]);
}

#[test]
fn claims_are_named_whatever_is_wrong_with_them() {
    let zone = |value: &str| Some(vec![NodeSelectorTerm { labels: vec![requirement("zone", Operator::In, &[value])], fields: Vec::new() }]);
    let bound = || Claim { name: "c".into(), volume: Some("v".into()), bind_completed: true, ..Claim::default() };
    let volume = |value| Volume {
        name: "v".into(),
        node_affinity: zone(value),
        claim: Some(("default".into(), "c".into(), "".into())),
        ..Volume::default()
    };
    let class = StorageClass { name: "immediate".into(), provisioner: "p".into(), ..StorageClass::default() };
    let missing = of(labelled("n", [("zone", "a")]));
    let unbound = || Claim { name: "c".into(), storage_class: Some("immediate".into()), ..Claim::default() };
    let elsewhere = |claim: Claim| of(labelled("n", [("zone", "a")])).volume(volume("b")).claim(claim).class(class.clone());
    for cluster in [missing, elsewhere(bound()), elsewhere(unbound()), elsewhere(Claim { deleting: true, ..bound() })] {
        assert_eq!(words(&cluster, &claiming("p", ["c"])), ["n: claim c bound to a volume within its reach"]);
    }
}

#[test]
fn driver_that_can_attach_no_more_is_named_with_how_many_it_lacks() {
    let driver = CsiDriverOnNode { name: "csi.x".into(), topology_keys: Vec::new(), allocatable: Some(1) };
    let csi = CsiNode { name: "n".into(), drivers: vec![driver], migrated_plugins: Vec::new() };
    let claim = |name: &str| Claim { name: name.into(), volume: Some(name.into()), bind_completed: true, ..Claim::default() };
    let volume = |name: &str| Volume {
        name: name.into(),
        driver: Some("csi.x".into()),
        handle: Some(name.into()),
        claim: Some(("default".into(), name.into(), "".into())),
        ..Volume::default()
    };
    let cluster =
        ["a", "b", "c"].into_iter().fold(of(node("n")).csi_node(csi), |cluster, name| cluster.claim(claim(name)).volume(volume(name)));
    let cluster = cluster.placed("n", claiming("user", ["a"]));
    assert_eq!(words(&cluster, &claiming("p", ["b", "c"])), ["n: room for 2 more volume(s) of csi.x"]);
}

#[test]
fn node_without_the_label_of_a_hard_constraint_is_put_where_there_is_room() {
    let labels = Labels::from([("app", "db")]);
    let selector = LabelSelector(vec![requirement("app", Operator::In, &["db"])]);
    let constraint = SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".into(),
        hard: true,
        selector: Some(selector),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
        match_label_keys: Vec::new(),
    };
    let db = |name: &str| with(pod(name), |s| s.labels = labels.clone());
    let full = |name, zone| Node { allocatable_pods: 1, ..labelled(name, [("zone", zone)]) };
    let cluster = Cluster::of([full("a", "a"), full("b", "b"), node("c")]).placed("a", db("1")).placed("b", pod("2"));
    let p = with(db("p"), |s| s.spread = vec![constraint]);
    assert_eq!(words(&cluster, &p), ["c: label it zone=b", "b: room for 1 more pod(s)"]);
}

#[test]
fn few_changes_come_first_and_different_ones_before_more_of_the_same() {
    let needy = requesting("p", "9", "1Gi");
    let mut nodes = [node("a"), node("b"), node("c"), tainted("d", "gpu", ""), tainted("e", "gpu", "")];
    nodes[3].allocatable.cpu.0 = 16_000;
    nodes[1].allocatable.cpu.0 = 8_500;
    assert_eq!(
        words(&Cluster::of(nodes), &needy),
        ["d: tolerate or remove the taint gpu:NoSchedule", "b: 500m more cpu", "a: 1000m more cpu"]
    );
}

#[test]
fn change_that_brings_what_another_would_lessens_it() {
    // The port's holder takes 6 of the 8 cores with it.
    let port = |pod| with(pod, |s| s.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }]);
    let cluster = of(node("n")).placed("n", port(requesting("web", "6", "1Gi")));
    assert_eq!(words(&cluster, &port(requesting("p", "4", "1Gi"))), ["n: pod default/web leaves"]);
    assert_eq!(words(&cluster, &port(requesting("p", "9", "1Gi"))), ["n: 1000m more cpu, pod default/web leaves"]);
}

#[test]
fn nothing_is_promised_where_nothing_would_help() {
    let named = |name: &str| requirement("metadata.name", Operator::In, &[name]);
    let only = NodeSelectorTerm { labels: Vec::new(), fields: vec![named("x")] };
    for pod in [with(pod("p"), |s| s.node_affinity.required = Some(vec![only])), Pod { node: Some("x".into()), ..pod("p") }] {
        assert_eq!(words(&of(node("n")), &pod), [""; 0]);
    }
    assert_eq!(words(&Cluster::default(), &pod("p")), [""; 0]);
}
