//! I/O budgets through the engine: taken when a pod is decided, given back when it goes, reckoned again after a restart.
//! Leaves out what is refused and scored: those are the plugin's tests.

use super::tests::World;
use crate::event::{BindOutcome, Event, PodRef};
use crate::fixture::{claiming, hinted, pod, storage_node, with};
use aisched_model::Str;
use aisched_model::node::{Budgets, Node};
use aisched_model::pod::Pod;
use aisched_model::signals::ClassFacts;
use aisched_model::volume::{Claim, StorageClass};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

fn disk() -> Node {
    storage_node("n", [], [("available-iops", "1000")])
}

fn class(backend: &str) -> Event {
    let offers = Budgets { iops: Some(1000), ..Budgets::default() };
    let facts = ClassFacts { backend: Some(backend.into()), ..ClassFacts::default() };
    Event::ClassSet(Arc::new(StorageClass { name: "c".into(), facts, offers, ..StorageClass::default() }))
}

fn claim() -> Event {
    let claim = Claim { namespace: "default".into(), name: "data".into(), storage_class: Some("c".into()), ..Claim::default() };
    Event::ClaimSet(Arc::new(claim))
}

/// Wants 600 IOPS, insists, and reads the claim `data`.
fn reader(name: &str) -> Pod {
    let hints = hinted(name, [("required-iops", "600"), ("strict-io", "true")]).spec.annotations.clone();
    with(claiming(name, ["data"]), |s| s.annotations = hints)
}

/// What the node and each backend have promised.
fn promised(world: &World) -> (i64, Vec<(Str, i64)>) {
    let snapshot = world.engine.snapshot();
    let node = snapshot.node("n").map_or(0, |n| n.io_promised.iops);
    (node, snapshot.backends.iter().map(|(name, io)| (name.clone(), io.iops)).collect())
}

/// How a pod goes.
type End = fn(&mut World) -> Vec<String>;

fn on_node(pod: Pod) -> Pod {
    Pod { node: Some("n".into()), ..pod }
}

#[test]
fn budgets_are_taken_at_the_decision_and_given_back_however_the_pod_goes() {
    let nas = |n| alloc::vec![(Str::from("nas"), n)];
    let ends: [(&str, End); 4] = [
        ("the bind fails", |w| w.bind_ends("p", "n", BindOutcome::Failed("no".into()))),
        ("it is gone", |w| w.see(Event::PodGone(PodRef::from(&pod("p"))))),
        ("it ends", |w| w.pod(Pod { ended: true, ..on_node(reader("p")) })),
        ("it ran and ends", |w| {
            w.bind_ends("p", "n", BindOutcome::Bound);
            w.pod(on_node(reader("p")));
            w.pod(Pod { ended: true, ..on_node(reader("p")) })
        }),
    ];
    for (how, end) in ends {
        let mut world = World::new([disk()]);
        world.see(class("nas"));
        world.see(claim());
        assert_eq!(world.pod(reader("p")), ["bind p n"], "{how}");
        assert_eq!(promised(&world), (600, nas(600)), "{how}");
        world.pod(reader("q"));
        let done = end(&mut world);
        let now = world.now;
        let later = world.at(now + 10_000);
        // The other had waited for just that.
        assert!(done.iter().chain(&later).any(|l| l == "bind q n" || l == "bind p n"), "{how}: {done:?} {later:?}");
        assert_eq!(promised(&world), (600, nas(600)), "{how}");
    }
}

#[test]
fn a_pod_that_insists_waits_and_is_told_why() {
    let mut world = World::new([disk()]);
    world.pod(hinted("p", [("required-iops", "600"), ("strict-io", "true")]));
    let done = world.pod(hinted("q", [("required-iops", "600"), ("strict-io", "true")]));
    let told = "event FailedScheduling: 0/1 nodes are available: 1 node(s) had too few IOPS left.";
    assert!(done.iter().any(|l| l.starts_with(told)), "{done:?}");
    let more = storage_node("n", [], [("available-iops", "1200")]);
    let at_once = world.see(Event::NodeSet(Arc::new(more), Vec::new()));
    assert_eq!([at_once, world.at(10_000)].concat(), ["bind q n"]);
}

#[test]
fn a_restart_counts_pods_that_are_told_before_their_claims() {
    for events in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut world = World::running(&["StorageTierAware"], [disk()]);
        for event in events {
            world.see(match event {
                0 => Event::PodSet(Arc::new(on_node(reader("p")))),
                1 => claim(),
                _ => class("nas"),
            });
        }
        world.see(Event::Synced);
        assert_eq!(promised(&world), (600, alloc::vec![("nas".into(), 600)]), "{events:?}");
        world.see(class("san"));
        assert_eq!(promised(&world), (600, alloc::vec![("san".into(), 600)]), "{events:?}: the class names another backend now");
        world.see(Event::PodGone(PodRef::from(&pod("p"))));
        assert_eq!(promised(&world), (0, Vec::new()), "{events:?}");
    }
}
