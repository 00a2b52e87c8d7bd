//! Preemption from the outside: who is asked to go, who is nominated, and who gets the room in the end.
//! Leaves out who is chosen: `preemption` tests that.

use super::tests::World;
use crate::event::{BindOutcome, Event, PodRef};
use crate::fixture::{node, pod, requesting, with};
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

const REFUSED: &str = "event FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu. preemption:";

fn world<const N: usize>(nodes: [Node; N]) -> World {
    let mut world = World::running(&["NodeResourcesFit", "DefaultPreemption"], nodes);
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    world.see(Event::Synced);
    world
}

fn wants(name: &str, cpu: &str, priority: i32) -> Pod {
    with(requesting(name, cpu, "1Gi"), |s| s.priority = priority)
}

fn on(mut pod: Pod, node: &str) -> Pod {
    pod.node = Some(node.into());
    pod
}

fn nominated(mut pod: Pod, node: &str) -> Pod {
    pod.nominated_node = Some(node.into());
    pod
}

fn leaving(mut pod: Pod) -> Pod {
    (pod.deleting, pod.preempted) = (true, true);
    pod
}

fn gone(name: &str) -> Event {
    Event::PodGone(PodRef::from(&pod(name)))
}

fn ended(name: &str, failed: &[&str]) -> Event {
    Event::PreemptEnded { pod: PodRef::from(&pod(name)), failed: failed.iter().map(|v| PodRef::from(&pod(v))).collect() }
}

/// One full node, and a pod that has just preempted what is on it.
fn preempting() -> World {
    let mut world = world([node("n")]);
    world.pod(on(wants("v", "8", 1), "n"));
    let done = world.pod(wants("p", "8", 10));
    assert_eq!(done[0], "condition p Unschedulable true");
    assert_eq!(done[2..], ["nominate p n", "preempt v for p on n"]);
    world
}

#[test]
fn pod_gets_the_room_that_its_victims_leave() {
    let mut world = preempting();
    let none = [""; 0];
    assert_eq!(world.pod(nominated(wants("p", "8", 10), "n")), none, "its own nomination is no news");
    assert_eq!(world.see(ended("p", &[])), none);
    world.now = 1000;
    assert_eq!(world.pod(on(leaving(wants("v", "8", 1)), "n")), none);
    assert_eq!(world.see(gone("v")), ["bind p n"]);
    assert_eq!(world.bind_ends("p", "n", BindOutcome::Bound), ["event Scheduled: Successfully assigned default/p to n"]);
    assert!(world.engine.snapshot().nominated.is_empty());
}

#[test]
fn nobody_else_is_preempted_while_victims_leave() {
    let mut world = preempting();
    for victim in [on(wants("v", "8", 1), "n"), on(leaving(wants("v", "8", 1)), "n")] {
        world.pod(victim);
        let again = world.at(world.now + 300_000);
        assert_eq!(again.last().unwrap(), &alloc::format!("{REFUSED} not eligible due to a terminating pod on the nominated node."));
        assert!(again.iter().all(|a| !a.starts_with("preempt ") && !a.starts_with("nominate ")), "{again:?}");
    }
}

#[test]
fn room_is_kept_from_pods_of_no_higher_priority() {
    let mut world = preempting();
    world.pod(wants("late", "8", 10));
    world.now = 1000;
    let done = world.see(gone("v"));
    assert_eq!((&*done[0], &*done[1]), ("bind p n", "condition late Unschedulable true"));
    let mut world = preempting();
    let done = world.pod(wants("higher", "8", 20));
    assert!(done.contains(&"nominate p ".into()) && done.contains(&"nominate higher n".into()), "{done:?}");
    assert!(done.iter().all(|a| !a.starts_with("preempt ")), "the victim has been asked already: {done:?}");
    assert!(done.iter().any(|a| a.starts_with("condition p ")), "whoever lost its room looks elsewhere at once: {done:?}");
    world.now = 1000;
    assert_eq!(world.see(gone("v"))[0], "bind higher n");
}

/// Its volumes were being bound, so nobody had to delete it: it was never there.
#[test]
fn pod_preempted_on_its_way_waits_again_and_its_room_is_the_preemptors() {
    let mut world = world([node("n")]);
    assert_eq!(world.pod(wants("v", "8", 1)), ["bind v n"]);
    assert_eq!(world.pod(wants("p", "8", 10)).last().unwrap(), "preempt v for p on n");
    world.now = 2000;
    world.see(ended("p", &[]));
    let told = "event FailedScheduling: running PreBind plugin \"VolumeBinding\": preempted by DefaultPreemption";
    let done = world.bind_ends("v", "n", BindOutcome::Preempted);
    assert_eq!((&done[..2], done.last().unwrap().as_str()), (&["condition v SchedulerError true".into(), told.into()][..], "bind p n"));
    world.bind_ends("p", "n", BindOutcome::Bound);
    world.pod(on(wants("p", "8", 10), "n"));
    world.now = 60_000;
    assert_eq!(world.see(gone("p")), ["bind v n"], "it was not lost");
    assert_eq!(world.pod(wants("q", "8", 10)).last().unwrap(), "preempt v for q on n", "nor is it taken for a victim any more");
}

#[test]
fn victims_that_could_not_be_deleted_are_asked_again() {
    let mut world = preempting();
    assert_eq!(world.see(ended("p", &["v"])).last().unwrap(), "preempt v for p on n", "its backoff is cut short: nothing else waits");
}

#[test]
fn pod_that_finds_room_elsewhere_leaves_its_nomination_to_others() {
    let mut world = preempting();
    assert!(world.pod(wants("q", "8", 10)).iter().any(|a| a.starts_with("event FailedScheduling")));
    world.now = 2000;
    let done = world.see(Event::NodeSet(Arc::new(node("m")), Vec::new()));
    assert_eq!((&*done[0], done.last().unwrap().as_str()), ("bind p m", "nominate q n"));
    world.now = 4000;
    assert_eq!(world.see(gone("v")), ["bind q n"]);
}

#[test]
fn nomination_by_another_scheduler_is_respected_until_it_is_taken_back() {
    let mut world = world([node("n")]);
    let other = |node: Option<&str>| {
        let mut other = with(wants("other", "8", 10), |s| s.scheduler_name = "default-scheduler".into());
        other.nominated_node = node.map(Into::into);
        other
    };
    world.pod(other(Some("n")));
    let done = world.pod(wants("p", "1", 5));
    assert!(done[1].starts_with("event FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu."), "{done:?}");
    world.now = 2000;
    assert_eq!(world.pod(other(None)), ["bind p n"]);
}

#[test]
fn nomination_that_moves_to_another_node_frees_the_room_on_the_first() {
    let mut world = world([node("n")]);
    let other = |node: &str| nominated(with(wants("other", "8", 10), |s| s.scheduler_name = "default-scheduler".into()), node);
    world.pod(other("n"));
    world.pod(wants("p", "1", 5));
    world.now = 2000;
    assert_eq!(world.pod(other("m")), ["bind p n"]);
}

#[test]
fn deleted_preemptor_frees_the_room_made_for_it() {
    let mut world = world([node("n")]);
    world.pod(nominated(with(wants("other", "8", 10), |s| s.scheduler_name = "default-scheduler".into()), "n"));
    world.pod(wants("p", "1", 5));
    world.now = 2000;
    assert_eq!(world.see(gone("other")), ["bind p n"]);
}

#[test]
fn useless_nomination_is_taken_back() {
    let mut world = world([node("n")]);
    world.pod(on(wants("busy", "8", 50), "n"));
    let done = world.pod(nominated(wants("p", "8", 10), "n"));
    assert_eq!(done.last().unwrap(), "nominate p ");
    assert!(world.engine.snapshot().nominated.is_empty());
}

#[test]
fn failed_bind_takes_the_nomination_back() {
    let mut world = world([node("n")]);
    assert_eq!(world.pod(nominated(wants("p", "8", 10), "n")), ["bind p n"]);
    let done = world.bind_ends("p", "n", BindOutcome::Failed("boom".into()));
    assert_eq!(done.last().unwrap(), "nominate p ", "{done:?}");
}

#[test]
fn victims_of_several_pods_are_asked_once() {
    let mut world = world([node("n")]);
    world.pod(on(wants("v", "8", 1), "n"));
    let first = world.pod(wants("p", "4", 10));
    assert_eq!(first.last().unwrap(), "preempt v for p on n");
    let second = world.pod(wants("q", "4", 10));
    assert_eq!(second.last().unwrap(), "nominate q n");
    world.now = 1000;
    assert_eq!(world.see(gone("v")), ["bind p n", "bind q n"]);
}

#[test]
fn budget_that_allows_nothing_spares_its_pods_while_it_is_there() {
    let budget = aisched_model::disruption::DisruptionBudget {
        namespace: "default".into(),
        name: "b".into(),
        selector: Some(aisched_model::selector::LabelSelector(vec![aisched_model::selector::Requirement {
            key: "app".into(),
            operator: aisched_model::selector::Operator::In,
            values: vec!["db".into()],
        }])),
        ..Default::default()
    };
    let db = |name: &str| with(wants(name, "4", 1), |s| s.labels = [("app", "db")].into());
    for (withdrawn, victim) in [(false, "web"), (true, "db")] {
        let mut world = world([node("n")]);
        world.see(Event::BudgetSet(Arc::new(budget.clone())));
        if withdrawn {
            world.see(Event::BudgetGone("default".into(), "b".into()));
        }
        world.pod(on(db("db"), "n"));
        world.pod(on(wants("web", "4", 2), "n"));
        let done = world.pod(wants("p", "4", 10));
        assert_eq!(done.last().unwrap(), &alloc::format!("preempt {victim} for p on n"));
    }
}

/// Another scheduler gives the room to its victim's successor, because it does not know that it is promised (k/k#130429).
#[test]
fn room_lost_to_another_scheduler_is_made_again_elsewhere_after_a_pause_and_there_only_after_ten_minutes() {
    let theirs = |name: &str, at: &str| on(with(wants(name, "8", 1), |s| s.scheduler_name = "default-scheduler".into()), at);
    let mut world = world([node("m"), node("n")]);
    world.pod(theirs("m0", "m"));
    world.pod(theirs("n0", "n"));
    let raid = |done: &[String]| Some(done.iter().find(|d| d.starts_with("preempt "))?.rsplit(' ').next()?.to_owned());
    let first = raid(&world.pod(wants("p", "8", 10))).unwrap();
    let other = if first == "m" { "n" } else { "m" };
    let (mut places, mut round) = (vec![(0, first.clone())], 0);
    while world.now < 1_000_000 {
        if places.len() > round {
            round = places.len();
            let at = &places[round - 1].1;
            world.pod(theirs(&alloc::format!("{at}{round}"), at));
            let last = places[..round - 1].iter().rposition(|(_, place)| place == at).map_or(0, |i| i + 1);
            world.see(gone(&alloc::format!("{at}{last}")));
        }
        if let Some(at) = raid(&world.at(world.now + 1000)) {
            places.push((world.now, at));
        }
    }
    let expected = [(0, &*first), (30_000, other), (600_000, &*first), (720_000, other)].map(|(at, place)| (at, place.to_owned()));
    assert_eq!(places, expected);
}
