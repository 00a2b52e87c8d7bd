//! The simulator's own promises: order, determinism, time, and that it drives the engine without bending it.
//! Scores and filters have their tests in the core; here every decision goes past the independent checker.

use crate::checker::Checker;
use crate::{Left, Options, Rest, Scenario, Simulation};
use aisched_core::decision::{Decision, ReasonView};
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{Pod, PodAffinityTerm, PodSpec, TaintEffect, Toleration, TolerationOperator};
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use aisched_model::storage_facts::{self, Fault, NodeSize};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

pub(crate) fn node(name: &str) -> Node {
    let mut node = Node { name: name.into(), labels: Labels::from([("kubernetes.io/hostname", name)]), ..Node::default() };
    node.allocatable_pods = 10;
    node.allocatable.cpu = MilliCpu(8000);
    node.allocatable.memory = Bytes(32 << 30);
    node
}

pub(crate) fn nvme(name: &str, iops: &str) -> Node {
    let mut node = node(name);
    node.labels = Labels::from([("storage-tier/nvme", "true")]);
    node.annotations = Labels::from([("ai-storage.keti/available-iops", iops)]);
    node.storage = storage_facts::read(&node.labels, &node.annotations, NodeSize::default()).0;
    node
}

/// A pod that requests `cpu` thousandths of a core; change what matters.
pub(crate) fn pod(name: &str, cpu: i64, change: impl FnOnce(&mut Pod, &mut PodSpec)) -> Event {
    let mut spec = PodSpec { scheduler_name: "ai-storage-scheduler".into(), n_containers: 1, ..PodSpec::default() };
    spec.requests.cpu = MilliCpu(cpu);
    spec.nonzero_request.cpu = MilliCpu(cpu);
    let mut pod = Pod {
        uid: format!("default/{name}").into(),
        namespace: "default".into(),
        name: name.into(),
        spec: Arc::default(),
        node: None,
        ended: false,
        deleting: false,
        preempted: false,
        rejected: None,
        start_s: None,
        nominated_node: None,
        refused: None,
        claims_made: Vec::new(),
        generation: 1,
    };
    change(&mut pod, &mut spec);
    pod.spec = Arc::new(spec);
    Event::PodSet(Arc::new(pod))
}

fn plain(name: &str, cpu: i64) -> Event {
    pod(name, cpu, |_, _| ())
}

fn scenario(nodes: impl IntoIterator<Item = Node>, pods: impl IntoIterator<Item = Event>) -> Scenario {
    let mut scenario = Scenario::default();
    nodes.into_iter().for_each(|node| scenario.add(Event::NodeSet(Arc::new(node), Vec::new())));
    pods.into_iter().for_each(|pod| scenario.add(pod));
    scenario
}

/// Runs to the end; every decision passes the checker.
fn run_with(scenario: Scenario, options: &Options) -> (Vec<Arc<Decision>>, Rest) {
    let mut checker = Checker::new(&scenario);
    let mut simulation = Simulation::new(scenario, options);
    let mut decisions = Vec::new();
    while let Some(decision) = simulation.next_decision() {
        assert_eq!(checker.check(&decision), Ok(()));
        checker.see(simulation.pods());
        decisions.push(decision);
    }
    (decisions, simulation.rest())
}

/// `pod node` or `pod -`, in order of the decisions.
fn run(scenario: Scenario) -> (Vec<String>, Rest) {
    let (decisions, rest) = run_with(scenario, &Options::default());
    (decisions.iter().map(|d| format!("{} {}", &d.pod["default/".len()..], d.node.as_deref().unwrap_or("-"))).collect(), rest)
}

#[test]
fn pods_are_decided_by_priority_then_in_the_order_of_the_files() {
    let high = pod("high", 100, |_, spec| spec.priority = 5);
    let (decisions, rest) = run(scenario([node("n")], [plain("b", 100), plain("a", 100), high]));
    assert_eq!(decisions, ["high n", "b n", "a n"]);
    assert_eq!((rest.now, rest.left, rest.notes), (0, vec![], vec![]));
}

#[test]
fn pods_that_have_a_node_count_before_the_first_decision() {
    let placed = pod("placed", 6000, |pod, _| pod.node = Some("n".into()));
    let ended = pod("ended", 2000, |pod, _| (pod.node, pod.ended) = (Some("n".into()), true));
    let (decisions, _) = run(scenario([node("n")], [plain("big", 4000), plain("small", 2000), placed, ended]));
    assert_eq!(decisions, ["big -", "small n"]);
}

#[test]
fn refused_pod_costs_no_time_when_nothing_can_help_it() {
    let (decisions, rest) = run(scenario([node("n")], [plain("giant", 99_000)]));
    assert_eq!((decisions, rest.now), (vec!["giant -".to_string()], 0));
}

#[test]
fn refused_pod_is_decided_again_when_the_pod_that_it_follows_is_placed() {
    let follower = pod("follower", 100, |_, spec| {
        spec.priority = 5;
        let is_db = Requirement { key: "app".into(), operator: Operator::In, values: vec!["db".into()] };
        spec.pod_affinity.required = vec![PodAffinityTerm {
            selector: Some(LabelSelector(vec![is_db])),
            namespaces: vec!["default".into()],
            namespace_selector: None,
            topology_key: "kubernetes.io/hostname".into(),
        }];
    });
    let db = pod("db", 100, |_, spec| spec.labels = Labels::from([("app", "db")]));
    let (decisions, rest) = run(scenario([node("a")], [follower, db]));
    assert_eq!(decisions, ["follower -", "db a", "follower a"]);
    assert!(rest.now < 300_000, "not by the flush of refused pods: {}", rest.now);
}

/// Twelve equal nodes, some tainted, and more pods than they can take, so that ties, taints and refusals all occur.
fn crowd(order: impl Fn(&mut Vec<Node>)) -> Scenario {
    let taint = || Taint { key: "gpu".into(), value: "yes".into(), effect: TaintEffect::NoSchedule };
    let gpu = || Toleration { key: "gpu".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
    let mut nodes: Vec<Node> =
        (0..12).map(|i| Node { taints: if i % 3 == 0 { vec![taint()] } else { vec![] }, ..node(&format!("node-{i:02}")) }).collect();
    order(&mut nodes);
    let pods = (0..50).map(|i| {
        pod(&format!("pod-{i}"), 1000 + 500 * (i % 4), |_, spec| {
            spec.priority = i32::try_from(i % 3).unwrap();
            spec.tolerations = if i % 5 == 0 { vec![gpu()] } else { vec![] };
        })
    });
    scenario(nodes, pods)
}

#[test]
fn shuffled_nodes_give_the_same_decisions() {
    let (plain, _) = run_with(crowd(|_| ()), &Options::default());
    assert!(plain.iter().any(|d| d.node.is_none()) && plain.iter().filter(|d| d.node.is_some()).count() > 20);
    for shift in [1, 5, 7] {
        let (shuffled, _) = run_with(
            crowd(|nodes| nodes.sort_by_key(|n| n.name.bytes().map(usize::from).sum::<usize>() * shift % 11)),
            &Options::default(),
        );
        assert_eq!(plain, shuffled);
    }
}

#[test]
fn seed_moves_ties_only() {
    let seeded = |seed| run_with(crowd(|_| ()), &Options { seed, ..Options::default() }).0;
    let nodes = |decisions: &[Arc<Decision>]| decisions.iter().map(|d| d.node.clone()).collect::<Vec<_>>();
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(nodes(&seeded(1)), nodes(&seeded(2)));
}

#[test]
fn pods_share_out_the_io_of_the_nodes() {
    let hungry = |name: &str| {
        pod(name, 100, |_, spec| {
            spec.annotations = Labels::from([("ai-storage.keti/required-iops", "6000"), ("ai-storage.keti/io-pattern", "random")]);
        })
    };
    let (decisions, rest) = run(scenario([nvme("a", "10000"), nvme("b", "10000")], [hungry("p"), hungry("q")]));
    assert_ne!(decisions[0].split_once(' ').unwrap().1, decisions[1].split_once(' ').unwrap().1);
    assert_eq!(rest.snapshot.nodes.iter().map(|n| n.io_promised.iops).collect::<Vec<_>>(), [6000, 6000]);
}

#[test]
fn pod_of_higher_priority_takes_the_place_of_a_lower_one() {
    let old = pod("old", 6000, |pod, _| pod.node = Some("n".into()));
    let high = pod("high", 6000, |_, spec| spec.priority = 5);
    let (decisions, rest) = run(scenario([node("n")], [old, high, plain("low", 6000)]));
    assert_eq!(decisions, ["high -", "low -", "high n"]);
    assert_eq!(rest.notes, ["pod default/old was preempted on node n by default/high"]);
}

#[test]
fn pods_of_other_schedulers_are_left_out_unless_all_are_wanted() {
    let foreign = || scenario([node("n")], [pod("p", 100, |_, spec| spec.scheduler_name = "default-scheduler".into()), plain("q", 100)]);
    let (decisions, rest) = run(foreign());
    assert_eq!(decisions, ["q n"]);
    assert_eq!(rest.left, [Left { pod: "default/p".into(), why: "left to scheduler \"default-scheduler\"".into() }]);
    let (decisions, rest) = run_with(foreign(), &Options { all_pods: true, ..Options::default() });
    assert_eq!((decisions.len(), rest.left.len()), (2, 0));
}

#[test]
fn gated_pod_is_held_back_with_its_reason() {
    let (decisions, rest) = run(scenario([node("n")], [pod("p", 100, |_, spec| spec.scheduling_gates = vec!["later".into()])]));
    assert_eq!(decisions, [""; 0]);
    assert_eq!(&*rest.held_back[0].pod, "default/p");
    assert!(rest.held_back[0].message.as_ref().unwrap().contains("later"), "{:?}", rest.held_back[0].message);
}

#[test]
fn pod_being_deleted_is_not_decided() {
    let (decisions, rest) = run(scenario([node("n")], [pod("p", 100, |pod, _| pod.deleting = true)]));
    assert_eq!((decisions.len(), rest.left), (0, vec![Left { pod: "default/p".into(), why: "being deleted".into() }]));
}

#[test]
fn policy_service_of_the_configuration_is_not_asked() {
    let mut scenario = scenario([node("n")], [plain("p", 100)]);
    scenario.config = Config::default();
    scenario.config.apollo.fallback_enabled = false;
    assert!(!scenario.config.apollo.endpoint.is_empty());
    let (decisions, rest) = run(scenario);
    assert_eq!((decisions, rest.now), (vec!["p n".to_string()], 0));
}

#[test]
fn object_given_twice_counts_once_and_is_noted() {
    let (decisions, rest) = run(scenario([node("n"), Node { unschedulable: true, ..node("n") }], [plain("p", 100)]));
    assert_eq!(decisions, ["p -"]);
    assert_eq!(rest.notes, ["Node n is there more than once; the last one counts"]);
}

#[test]
fn copied_uid_does_not_make_two_pods_one() {
    let copy = pod("copy", 100, |pod, _| pod.uid = "default/p".into());
    let (decisions, _) = run(scenario([node("n")], [plain("p", 100), copy]));
    assert_eq!(decisions, ["p n", "copy n"]);
}

#[test]
fn pods_on_unknown_nodes_and_unusable_facts_are_noted() {
    let mut scenario = scenario([], [pod("p", 100, |pod, _| pod.node = Some("ghost".into()))]);
    scenario.add(Event::NodeSet(Arc::new(node("n")), vec![Fault::new("layer", "moon", "one of compute, storage, orchestration")]));
    let (_, rest) = run(scenario);
    assert_eq!(
        rest.notes,
        [
            "node n: layer: \"moon\" is not usable and is ignored; expected one of compute, storage, orchestration",
            "node ghost is not there, and 1 pod(s) on it take up no room"
        ]
    );
}

#[test]
fn checker_sees_through_wrong_decisions() {
    let fresh = || scenario([node("a"), Node { unschedulable: true, ..node("b") }], [plain("p", 5000), plain("q", 5000)]);
    let (decisions, _) = run_with(fresh(), &Options::default());
    let wrong = |i: usize, change: fn(&mut Decision)| {
        let mut checker = Checker::new(&fresh());
        decisions[..i].iter().for_each(|d| checker.check(d).unwrap());
        let mut decision = Decision::clone(&decisions[i]);
        change(&mut decision);
        checker.check(&decision).unwrap_err()
    };
    let refuse = |d: &mut Decision| {
        let made_up = ReasonView { plugin: "NodeResourcesFit", message: "made up".into(), detail: None };
        (d.node, d.nodes[0].feasible, d.nodes[0].reasons) = (None, false, vec![made_up]);
    };
    type Case = (usize, fn(&mut Decision), &'static str);
    let cases: [Case; 6] = [
        (
            0,
            refuse,
            "default/p on a: refused without reason: [ReasonView { plugin: \"NodeResourcesFit\", message: \"made up\", detail: None }]",
        ),
        (0, |d| d.node = None, "default/p: waits although a node would do"),
        (0, |d| d.node = Some(Str::from("b")), "default/p: b is not the best feasible node"),
        (0, |d| d.nodes[1].feasible = true, "default/p on b: taint node.kubernetes.io/unschedulable is not tolerated"),
        (1, |d| d.nodes[0].feasible = true, "default/q on a: wants 5000 of cpu, free are 3000"),
        (0, |d| d.nodes.truncate(1), "default/p: reports on 1 of 2 nodes"),
    ];
    for (i, change, expected) in cases {
        assert_eq!(wrong(i, change), expected);
    }
}
