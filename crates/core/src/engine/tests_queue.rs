//! What becomes of pods that are held back, or change, or go, wherever they are at that moment.
//! Leaves out order and backoffs: the queue's own tests have those.

use super::tests::{World, cordoned};
use crate::event::{BindOutcome, DeviceNews, Event, PodRef};
use crate::fixture::{node, pod, requesting, with};
use aisched_model::devices::{DeviceClaim, PodClaim, PodClaimSource};
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, RefusedCondition};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

fn gated(gates: &[&str]) -> Pod {
    with(pod("p"), |s| s.scheduling_gates = gates.iter().map(|g| (*g).into()).collect())
}

fn waiting_for_claim() -> Pod {
    with(pod("p"), |s| s.device_claims = alloc::vec![PodClaim { name: "gpu".into(), source: PodClaimSource::Named("mine".into()) }])
}

fn claim() -> Event {
    Event::Devices(DeviceNews::Claim(Arc::new(DeviceClaim {
        namespace: "default".into(),
        name: "mine".into(),
        uid: "uid-mine".into(),
        ..DeviceClaim::default()
    })))
}

fn tolerant(name: &str) -> Pod {
    use aisched_model::pod::{Toleration, TolerationOperator};
    let everything = Toleration { key: "".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
    with(pod(name), |s| s.tolerations.push(everything))
}

fn entered(world: &World) -> Vec<(&'static str, &'static str)> {
    world.engine.incoming().keys().copied().collect()
}

#[test]
fn gated_pod_is_tried_when_its_last_gate_goes() {
    let mut world = World::running(&["SchedulingGates"], [node("n")]);
    world.see(Event::Configured(Arc::default()));
    world.see(Event::Synced);
    assert_eq!(world.pod(gated(&["a", "b"])), [""; 0], "the API server says itself that there are gates");
    assert_eq!(world.pod(gated(&["b"])), [""; 0]);
    assert_eq!((world.engine.depth().gated, world.at(10_000_000)), (1, Vec::new()), "it is not flushed");
    assert_eq!(world.pod(gated(&[])), ["bind p n"]);
    let event = "TargetPodUpdatePodSchedulingGatesEliminated";
    assert_eq!(entered(&world), [("active", event), ("gated", "UnscheduledPodAdd")]);
}

#[test]
fn condition_of_a_pod_that_is_held_back_says_what_it_waits_for() {
    let mut world = World::running(&["DynamicResources"], [node("n")]);
    world.see(Event::Configured(Arc::default()));
    assert_eq!(world.pod(waiting_for_claim()), [""; 0], "the claim may be there, and not be listed yet");
    assert_eq!(world.see(Event::Synced), ["condition p SchedulingGated true"]);
    let message = world.engine.queue.gated("uid-p").map(Into::into).unwrap();
    let refused = Some(Arc::new(RefusedCondition { reason: "SchedulingGated".into(), message }));
    let labelled = with(waiting_for_claim(), |s| s.labels = Labels::from([("any", "thing")]));
    assert_eq!(world.pod(Pod { refused, ..labelled }), [""; 0], "it says so already");
    assert_eq!(world.see(claim()), ["bind p n"]);
}

#[test]
fn refused_pod_that_changes_is_tried_again_only_if_that_can_help() {
    for (helps, changed, cause) in [
        (true, tolerant("p"), "TargetPodUpdatePodToleration"),
        (false, with(pod("p"), |s| s.labels = Labels::from([("any", "thing")])), ""),
        (false, Pod { deleting: true, ..pod("p") }, ""),
    ] {
        let mut world = World::new([cordoned("n")]);
        world.pod(pod("p"));
        world.now = 5000;
        let expected: &[&str] = if helps { &["bind p n"] } else { &[] };
        assert_eq!(world.pod(changed), expected);
        assert_eq!(world.engine.incoming().contains_key(&("active", cause)), helps);
        assert_eq!(world.engine.depth().unschedulable, usize::from(!helps));
    }
}

#[test]
fn pod_that_changes_while_it_is_bound_is_judged_by_what_it_is_now_when_the_bind_fails() {
    let mut world = World::new([node("n"), Node { labels: Labels::from([("disk", "ssd")]), ..node("m") }]);
    let bound_to = world.pod(pod("p"));
    assert!(bound_to[0].starts_with("bind p "), "{bound_to:?}");
    assert_eq!(world.pod(with(pod("p"), |s| s.node_selector = Labels::from([("disk", "ssd")]))), [""; 0]);
    let done = world.bind_ends("p", "n", BindOutcome::Failed("boom".into()));
    assert!(done[0].starts_with("condition p SchedulerError"), "{done:?}");
    assert_eq!(world.at(1000), ["bind p m"]);
}

#[test]
fn pod_that_goes_leaves_nothing_behind_wherever_it_was() {
    for (state, pod_there, bind_fails) in
        [("refused", pod("p"), false), ("failed", tolerant("p"), true), ("being bound", tolerant("p"), false)]
    {
        let mut world = World::new([cordoned("n")]);
        world.pod(pod_there);
        if bind_fails {
            world.bind_ends("p", "n", BindOutcome::Failed("boom".into()));
        }
        assert!(world.engine.waits("uid-p"), "{state}");
        world.see(Event::PodGone(PodRef::from(&pod("p"))));
        assert!(!world.engine.waits("uid-p") && !world.engine.is_placed("uid-p"), "{state}");
        assert_eq!((world.engine.next_poll(0), world.at(400_000)), (None, Vec::<String>::new()), "{state}");
    }
}

/// The UID tells pods apart: a new pod under an old name inherits nothing.
#[test]
fn pod_made_again_under_the_same_name_has_no_backoff() {
    let mut world = World::new([cordoned("n")]);
    world.pod(pod("p"));
    let again = Pod { uid: "uid-again".into(), ..tolerant("p") };
    world.see(Event::PodGone(PodRef::from(&pod("p"))));
    assert_eq!(world.pod(again), ["bind p n"]);
}

#[test]
fn assumed_pod_keeps_its_room_until_the_watch_shows_it_bound_or_gone() {
    let mut world = World::new([node("n")]);
    world.pod(requesting("p", "8", "1Gi"));
    world.bind_ends("p", "n", BindOutcome::Bound);
    world.pod(requesting("q", "8", "1Gi"));
    assert_eq!(world.at(2_000), [""; 0]);
    world.pod(requesting("p", "8", "1Gi")); // an update from before the bind
    assert_eq!(world.engine.depth().unschedulable, 1);
    world.pod(Pod { node: Some("n".into()), ..requesting("p", "8", "1Gi") });
    assert_eq!(world.engine.depth().unschedulable, 1);
    assert_eq!(world.see(Event::PodGone(PodRef::from(&pod("p")))), ["bind q n"]);
}
