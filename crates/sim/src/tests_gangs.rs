//! Gangs on a virtual cluster: a scenario for each thing that a user is promised of them.
//! Leaves out which pods belong to which gang: that is read where Kubernetes' objects are.

use crate::tests::{node, pod};
use crate::{Options, Scenario, Simulation};
use aisched_core::event::Event;
use aisched_model::foreign::Foreign;
use aisched_model::gang::{GangKey, GangObject, GangSource, Membership, Near, Quorum};
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodSpec};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// A member of a PodGroup that asks for `cpu` thousandths of a core; change what matters.
pub(crate) fn member(name: &str, gang: &str, cpu: i64, change: impl FnOnce(&mut Pod, &mut PodSpec)) -> Event {
    pod(name, cpu, |pod, spec| {
        let (name, object): (aisched_model::Str, _) = (gang.into(), gang.into());
        let (source, part, near) = (GangSource::PodGroup, "".into(), Near::default());
        spec.gang = Some(Arc::new(Membership { source, name, object, part, size: None, near }));
        change(pod, spec);
    })
}

pub(crate) fn group(name: &str, quorum: u32, near: Near) -> Event {
    let key = GangKey { namespace: "default".into(), source: GangSource::PodGroup, name: name.into() };
    Event::ForeignSet(Foreign::Gang(Arc::new(GangObject { key, quorum: Quorum::All(quorum), timeout_ms: None, near })))
}

/// `n` members of a gang.
fn crew(gang: &str, n: usize, cpu: i64) -> Vec<Event> {
    (0..n).map(|i| member(&format!("{gang}-{i}"), gang, cpu, |_, _| ())).collect()
}

struct World {
    simulation: Simulation,
}

impl World {
    fn new(nodes: impl IntoIterator<Item = Node>, objects: impl IntoIterator<Item = Event>) -> Self {
        let mut scenario = Scenario::default();
        nodes.into_iter().for_each(|node| scenario.add(Event::NodeSet(Arc::new(node), Vec::new())));
        objects.into_iter().for_each(|object| scenario.add(object));
        Self { simulation: Simulation::new(scenario, &Options::default()) }
    }

    /// What is decided until nothing more happens: `pod node`, or `pod -`.
    fn decides(&mut self) -> Vec<String> {
        let decision = || self.simulation.next_decision();
        core::iter::from_fn(decision).map(|d| format!("{} {}", &d.pod["default/".len()..], d.node.as_deref().unwrap_or("-"))).collect()
    }

    /// The message of the latest decision until nothing more happens.
    fn last_message(&mut self) -> String {
        core::iter::from_fn(|| self.simulation.next_decision()).last().and_then(|d| d.message.clone()).unwrap_or_default()
    }

    fn comes(&mut self, event: Event) -> Vec<String> {
        let Event::PodSet(pod) = event else { panic!("not a pod") };
        self.simulation.create_pod(pod);
        self.decides()
    }

    fn goes(&mut self, name: &str) -> Vec<String> {
        self.simulation.delete_pod(&format!("default/{name}").as_str().into());
        self.decides()
    }

    /// Why pods are held back.
    fn held(self) -> Vec<String> {
        self.simulation
            .rest()
            .held_back
            .iter()
            .map(|d| format!("{}: {}", &d.pod["default/".len()..], d.message.as_deref().unwrap()))
            .collect()
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn members_wait_until_enough_of_them_are_there() {
    let mut world = World::new([node("n")], [vec![group("g", 3, Near::default())], crew("g", 2, 100)].concat());
    assert_eq!(world.decides(), [""; 0]);
    assert_eq!(world.comes(member("g-2", "g", 100, |_, _| ())), ["g-0 n", "g-1 n", "g-2 n"]);
    let world = World::new([node("n")], [vec![group("g", 3, Near::default())], crew("g", 2, 100)].concat());
    let reason = "waiting for its gang: 2 of the 3 pods that PodGroup default/g needs are there";
    assert_eq!(world.held(), [format!("g-0: {reason}"), format!("g-1: {reason}")]);
}

#[test]
fn gang_that_nobody_describes_waits_for_its_object() {
    let mut world = World::new([node("n")], crew("g", 2, 100));
    assert_eq!(world.decides(), [""; 0]);
    assert_eq!(world.held()[0], "g-0: waiting for its gang: PodGroup default/g is not there, or may not be read");
}

#[test]
fn gang_is_placed_whole_or_not_at_all() {
    let gang = |n| [vec![group("g", 3, Near::default())], crew("g", n, 5000)].concat();
    let mut world = World::new([node("a"), node("b")], gang(3));
    assert_eq!(sorted(world.decides()), ["g-0 -", "g-1 -", "g-2 -"]);
    let mut world = World::new([node("a"), node("b")], gang(3));
    let expected = "PodGroup default/g is placed whole or not at all: of the 3 pods that it needs g-2 finds no node with 2 others placed: \
                    0/2 nodes are available: 2 Insufficient cpu.";
    assert_eq!(world.last_message(), expected);
    let mut world = World::new([node("a"), node("b"), node("c")], gang(3));
    assert_eq!(world.decides().len(), 3, "all of them at once");
}

#[test]
fn gang_larger_than_the_cluster_is_told_so_in_one_sentence() {
    let mut world = World::new([node("a"), node("b")], [vec![group("g", 4, Near::default())], crew("g", 4, 5000)].concat());
    let expected =
        "PodGroup default/g is larger than the cluster: the 4 pods that it needs ask for 20 cores, and all nodes together have 16.";
    assert_eq!(world.last_message(), expected);
}

#[test]
fn members_beyond_the_quorum_that_find_no_room_wait_by_themselves() {
    let mut world = World::new([node("a"), node("b")], [vec![group("g", 2, Near::default())], crew("g", 3, 5000)].concat());
    let decided = world.decides();
    assert_eq!(decided.iter().filter(|line| line.ends_with('-')).count(), 1, "{decided:?}");
    assert_eq!(decided.len(), 3);
}

#[test]
fn of_two_gangs_that_each_need_the_room_one_is_placed_and_the_other_holds_nothing() {
    let groups = vec![group("g", 2, Near::default()), group("h", 2, Near::default())];
    // In the order in which single pods would each take half of the room.
    let pods = vec![
        member("g-0", "g", 5000, |_, _| ()),
        member("h-0", "h", 5000, |_, _| ()),
        member("h-1", "h", 5000, |_, _| ()),
        member("g-1", "g", 5000, |_, _| ()),
    ];
    let mut world = World::new([node("a"), node("b"), node("c")], [groups, pods].concat());
    let first: Vec<String> = world.decides();
    assert_eq!(sorted(first.iter().filter(|l| !l.ends_with('-')).map(|l| l[..3].to_string()).collect()), ["g-0", "g-1"], "{first:?}");
    let (mut after, one_left) = (world.goes("g-0"), 3);
    after.retain(|line| !line.ends_with('-'));
    assert_eq!((sorted(after.iter().map(|l| l[..3].to_string()).collect()), one_left), (vec!["h-0".into(), "h-1".into()], 3));
}

#[test]
fn more_important_gang_comes_first_whoever_came_first() {
    let groups = vec![group("low", 2, Near::default()), group("high", 2, Near::default())];
    let high = |name: &str| member(name, "high", 5000, |_, spec| spec.priority = 7);
    let pods = [crew("low", 2, 5000), vec![high("high-0"), high("high-1")]].concat();
    let mut world = World::new([node("a"), node("b")], [groups, pods].concat());
    let decided = world.decides();
    assert!(decided[0].starts_with("high") && decided[1].starts_with("high"), "{decided:?}");
    assert!(decided[..2].iter().all(|line| !line.ends_with('-')), "{decided:?}");
}

#[test]
fn quorum_that_is_lost_is_waited_for_again() {
    let gang = [vec![group("g", 3, Near::default())], crew("g", 3, 5000)].concat();
    let mut world = World::new([node("a"), node("b")], gang);
    assert_eq!(world.decides().len(), 3, "refused together");
    world.goes("g-1");
    world.simulation.apply_node(Arc::new(node("c")));
    assert_eq!(world.decides(), [""; 0], "two of three");
    assert_eq!(world.comes(member("g-3", "g", 5000, |_, _| ())).len(), 3);
    assert!(world.simulation.pods().all(|pod| pod.node.is_some()));
}

#[test]
fn replacement_of_a_lost_member_joins_those_that_run() {
    let on = |name: &str, node: &'static str| member(name, "g", 100, move |pod, _| pod.node = Some(node.into()));
    let running = vec![group("g", 3, Near::default()), on("g-0", "a"), on("g-1", "a")];
    let mut world = World::new([node("a")], running);
    assert_eq!(world.comes(member("g-9", "g", 100, |_, _| ())), ["g-9 a"]);
    world.goes("g-0");
    assert_eq!(world.goes("g-1"), [""; 0], "they have done their work");
    assert_eq!(world.comes(member("g-10", "g", 100, |_, _| ())), ["g-10 a"], "what they did counts");
}

#[test]
fn parts_that_start_one_after_the_other_are_gangs_of_their_own() {
    let key = GangKey { namespace: "default".into(), source: GangSource::JobSet, name: "job".into() };
    let quorum = Quorum::Parts(vec![("load".into(), 1), ("train".into(), 2)]);
    let object = Foreign::Gang(Arc::new(GangObject { key, quorum, timeout_ms: None, near: Near::default() }));
    let of = |name: &str, part: &'static str| {
        pod(name, 100, move |_, spec| {
            let (source, near) = (GangSource::JobSet, Near::default());
            let gang = Membership { source, name: "job".into(), object: "job".into(), part: part.into(), size: None, near };
            spec.gang = Some(Arc::new(gang));
        })
    };
    let mut world = World::new([node("a")], [Event::ForeignSet(object), of("load-0", "load"), of("train-0", "train")]);
    assert_eq!(world.decides(), ["load-0 a"]);
    assert_eq!(sorted(world.comes(of("train-1", "train"))), ["train-0 a", "train-1 a"]);
}

#[test]
fn member_with_a_gate_of_its_own_is_not_there_yet() {
    let gated = member("g-1", "g", 100, |_, spec| spec.scheduling_gates = vec!["kueue.x-k8s.io/admission".into()]);
    let mut world = World::new([node("a")], [group("g", 2, Near::default()), member("g-0", "g", 100, |_, _| ()), gated]);
    assert_eq!(world.decides(), [""; 0]);
    assert!(world.held()[0].contains("1 of the 2 pods"));
}

/// A node in a rack.
fn racked(name: &str, rack: &str) -> Node {
    let mut node = node(name);
    node.labels = [("rack", rack)].into();
    node.storage.rack = Some(rack.into());
    node
}

fn near(required: Option<&str>) -> Near {
    Near { required: required.map(Into::into), preferred: None }
}

#[test]
fn gang_goes_to_one_rack_where_it_fits_and_to_the_fullest_of_equals() {
    let nodes = [racked("a", "r1"), racked("b", "r2"), racked("c", "r2"), racked("d", "r3"), racked("e", "r3"), racked("f", "r3")];
    let mut world = World::new(nodes, [vec![group("g", 2, near(None))], crew("g", 2, 5000)].concat());
    let decided = world.decides();
    let on_r2 = decided.iter().all(|line| line.ends_with(" b") || line.ends_with(" c"));
    assert!(decided.len() == 2 && on_r2, "{decided:?}");
}

#[test]
fn gang_that_fits_in_no_rack_is_placed_across_them_unless_one_is_required() {
    let nodes = || [racked("a", "r1"), racked("b", "r2")];
    let gang = |required| [vec![group("g", 2, near(required))], crew("g", 2, 5000)].concat();
    assert!(World::new(nodes(), gang(None)).decides().iter().all(|line| !line.ends_with('-')));
    let mut world = World::new(nodes(), gang(Some("rack")));
    let expected = "PodGroup default/g is placed whole or not at all: no domain has room within one rack for the 2 pods that it needs.";
    assert_eq!(world.last_message(), expected);
    world.simulation.apply_node(Arc::new(racked("c", "r2")));
    assert_eq!(sorted(world.decides().iter().map(|line| line[4..].into()).collect()), ["b", "c"]);
}

#[test]
fn data_decides_between_racks_that_have_room() {
    for cached in ["r1", "r2"] {
        let nodes = [("a", "r1"), ("b", "r1"), ("c", "r2"), ("d", "r2")].map(|(name, rack)| {
            let mut node = racked(name, rack);
            node.storage.cached_datasets = if rack == cached { vec!["imagenet".into()] } else { vec![] };
            node
        });
        let trains = |name: &str| member(name, "g", 5000, |_, spec| spec.annotations = [("ai-storage.keti/dataset", "imagenet")].into());
        let mut world = World::new(nodes, [group("g", 2, near(None)), trains("g-0"), trains("g-1")]);
        let expected = if cached == "r1" { ["a", "b"] } else { ["c", "d"] };
        assert_eq!(sorted(world.decides().iter().map(|line| line[4..].into()).collect()), expected, "cached in {cached}");
    }
}

#[test]
fn gang_leaves_whole_for_a_more_important_pod_or_not_at_all() {
    let on = |name: &str, node: &'static str, priority| {
        member(name, "g", 6000, move |pod, spec| {
            pod.node = Some(node.into());
            spec.priority = priority;
        })
    };
    let high = || pod("high", 6000, |_, spec| spec.priority = 5);
    for (priorities, left) in [([0, 0], 0), ([0, 5], 2)] {
        let gang = [group("g", 2, near(None)), on("g-0", "a", priorities[0]), on("g-1", "b", priorities[1]), high()];
        let mut world = World::new([node("a"), node("b")], gang);
        world.decides();
        let members = world.simulation.pods().filter(|pod| pod.spec.gang.is_some()).count();
        assert_eq!(members, left, "{priorities:?}");
    }
}
