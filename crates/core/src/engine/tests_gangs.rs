//! Gangs and what goes wrong with them: binds that fail, policies that hold one member back, waits that grow long.
//! Leaves out gangs for which all goes well: the simulator's scenarios tell of these.

use super::tests::World;
use crate::event::{BindOutcome, Event, PolicyAnswer};
use crate::fixture::{node, requesting, with};
use aisched_model::foreign::{Foreign, ForeignName};
use aisched_model::gang::{GangKey, GangObject, GangSource, Membership, Near, Quorum};
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::policy::{Policy, PolicyDecision, PolicySource};
use aisched_model::resources::MilliCpu;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

fn member(name: &str) -> Pod {
    with(requesting(name, "3", "1Gi"), |spec| {
        let (source, name, object, part) = (GangSource::Coscheduling, "g".into(), "g".into(), "".into());
        spec.gang = Some(Arc::new(Membership { source, name, object, part, size: None, near: Near::default() }));
    })
}

fn key() -> GangKey {
    GangKey { namespace: "default".into(), source: GangSource::Coscheduling, name: "g".into() }
}

fn group(n: u32) -> Event {
    let (quorum, timeout_ms) = (Quorum::All(n), Some(60_000));
    Event::ForeignSet(Foreign::Gang(Arc::new(GangObject { key: key(), quorum, timeout_ms, near: Near::default() })))
}

fn world<const N: usize>(nodes: [Node; N]) -> World {
    let mut world = World::new(nodes);
    world.see(group(2));
    world
}

fn binds(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("bind ")).collect()
}

#[test]
fn member_whose_bind_fails_is_tried_again_by_itself_for_the_others_are_there() {
    let mut world = world([node("n")]);
    world.pod(member("a"));
    assert_eq!(binds(&world.pod(member("b"))), ["a n", "b n"]);
    world.bind_ends("a", "n", BindOutcome::Bound);
    world.bind_ends("b", "n", BindOutcome::Failed("timeout".into()));
    assert_eq!(binds(&world.at(1000)), ["b n"]);
}

#[test]
fn gang_of_which_no_bind_succeeds_is_placed_together_again() {
    let mut world = world([node("n")]);
    world.pod(member("a"));
    world.pod(member("b"));
    world.bind_ends("a", "n", BindOutcome::NoVolumes("no room".into()));
    world.bind_ends("b", "n", BindOutcome::Failed("another member".into()));
    assert_eq!(binds(&world.at(1000)), ["a n", "b n"]);
}

#[test]
fn incomplete_gang_is_told_when_nothing_more_comes_and_when_its_time_is_over() {
    let mut world = world([node("n")]);
    assert_eq!(world.pod(member("a")), [""; 0]);
    let short =
        "event FailedScheduling: waiting for its gang: 1 of the 2 pods that PodGroup (scheduling.x-k8s.io) default/g needs are there";
    assert_eq!(world.at(3000), ["condition a SchedulingGated true", short]);
    assert_eq!(world.at(59_999), [""; 0]);
    let late = "event GangTimedOut: PodGroup (scheduling.x-k8s.io) default/g has waited 60 s, its time, and holds nothing";
    assert_eq!(world.at(60_000), [late]);
    assert_eq!(binds(&world.pod(member("b"))), ["a n", "b n"], "it goes on all the same");
}

#[test]
fn gang_whose_object_comes_late_or_asks_for_less_is_let_in() {
    let mut world = World::new([node("n")]);
    world.pod(member("a"));
    assert_eq!(world.see(group(3)), [""; 0]);
    assert_eq!(binds(&world.pod(member("b"))), [""; 0]);
    assert_eq!(binds(&world.see(group(2))), ["a n", "b n"]);
    let mut world = World::new([node("n")]);
    world.see(group(2));
    world.see(Event::ForeignGone(ForeignName::Gang(key())));
    world.pod(member("a"));
    assert_eq!(
        world.engine.explain("default", "a").unwrap().message.unwrap(),
        "waiting for its gang: PodGroup (scheduling.x-k8s.io) default/g is not there, or may not be read"
    );
}

#[test]
fn gang_waits_for_the_policy_of_each_member() {
    let mut world = World::with_policy_service([node("n")]);
    world.see(group(2));
    world.pod(member("a"));
    assert_eq!(world.pod(member("b")), ["ask a", "ask b"]);
    let answer = |name: &str, decision| {
        let policy = Some(Arc::new(Policy { decision, ..Policy::default() }));
        Event::PolicyAnswered(PolicyAnswer { uid: alloc::format!("uid-{name}").into(), source: PolicySource::Success, policy })
    };
    assert_eq!(binds(&world.see(answer("a", PolicyDecision::Allow))), [""; 0]);
    assert_eq!(binds(&world.see(answer("b", PolicyDecision::Delay))), [""; 0], "it holds b back, and with it a");
    assert_eq!(binds(&world.see(answer("b", PolicyDecision::Allow))), [""; 0]);
    let later: Vec<String> = (1..40).flat_map(|i| world.at(i * 10_000)).collect();
    assert_eq!(binds(&later), ["a n", "b n"], "{later:?}");
}

#[test]
fn members_that_run_when_the_scheduler_starts_count() {
    let mut world = World::running(&["NodeResourcesFit", "StorageTierAware"], [node("n")]);
    let mut config = aisched_model::config::Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    world.pod(member("b"));
    world.see(Event::PodSet(Arc::new(Pod { node: Some("n".into()), ..member("a") })));
    world.see(group(2));
    assert_eq!(binds(&world.see(Event::Synced)), ["b n"]);
}

#[test]
fn nothing_of_an_attempt_that_failed_remains() {
    let mut world = world([node("n")]);
    world.see(group(4));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(binds(&world.pod(member(name))), [""; 0]);
    }
    assert_eq!(world.engine.snapshot().nodes[0].requested.cpu, MilliCpu(0));
    assert_eq!(world.engine.n_binding(), 0);
    let bound = world.see(Event::NodeSet(Arc::new(node("m")), Vec::new()));
    assert_eq!(binds(&bound).len(), 4, "{bound:?}");
}

#[test]
fn refused_gang_that_needs_less_than_before_is_tried_again() {
    let mut world = world([node("n")]);
    world.see(group(3));
    let refused: Vec<String> = ["a", "b", "c"].into_iter().flat_map(|name| world.pod(member(name))).collect();
    assert_eq!(binds(&refused), [""; 0]);
    assert_eq!(binds(&world.see(group(2))), ["a n", "b n"]);
}

#[test]
fn pods_of_a_profile_of_kube_schedulers_plugins_are_placed_one_by_one() {
    let mut world = World::running(&["NodeResourcesFit"], [node("n")]);
    world.see(group(2));
    world.see(Event::Synced);
    assert_eq!(binds(&world.pod(member("a"))), ["a n"]);
}

/// Their watch may be behind: pods of an earlier group of the same name are still here, and will not be there to be bound.
#[test]
fn members_that_name_another_size_do_not_make_a_gang_whole() {
    let plain = |name: &str, size: u32| {
        with(requesting(name, "1", "1Gi"), |spec| {
            let (source, name, object, part) = (GangSource::Kueue, "k".into(), "k".into(), "".into());
            spec.gang = Some(Arc::new(Membership { source, name, object, part, size: Some(size), near: Near::default() }));
        })
    };
    let mut world = World::new([node("n")]);
    world.pod(plain("old-1", 4));
    world.pod(plain("old-2", 4));
    world.pod(plain("a", 3));
    assert_eq!(world.pod(plain("b", 3)), [""; 0]);
    assert_eq!(binds(&world.pod(plain("c", 3))), ["a n", "b n", "c n"]);
}
