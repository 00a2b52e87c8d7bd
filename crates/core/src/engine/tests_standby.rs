//! An engine that follows while another process leads: it takes everything in, does nothing, and is ready when its turn comes.
//! Leaves out whose turn it is: that is the adapter's.

use super::tests::World;
use super::{Engine, EngineOptions};
use crate::event::{Event, PodRef};
use crate::fixture::{node, pod, requesting, with};
use crate::profile::{Profile, Weight};
use aisched_model::config::Config;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

fn following() -> World {
    let plugins = ["SchedulingGates", "NodeUnschedulable", "NodeResourcesFit", "StorageTierAware"];
    let profile = Profile::of("ai-storage-scheduler", plugins.map(|p| (p, Weight::Fixed(1))));
    let options = EngineOptions { standby: true, ..EngineOptions::default() };
    let mut world = World { engine: Engine::new(alloc::vec![profile], options), now: 0 };
    world.see(Event::NodeSet(Arc::new(node("n")), Vec::new()));
    world.see(Event::Synced);
    world
}

fn without_policies(world: &mut World) {
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    assert_eq!(world.see(Event::Configured(Arc::new(config))), [""; 0]);
}

#[test]
fn follower_does_nothing_and_takes_over_with_what_it_saw() {
    let mut world = following();
    without_policies(&mut world);
    let mut placed = requesting("placed", "7", "1Gi");
    placed.node = Some("n".into());
    for pod in [pod("bound-by-the-leader"), pod("deleted"), requesting("large", "6", "1Gi"), pod("small"), placed] {
        assert_eq!(world.pod(pod), [""; 0]);
    }
    let mut bound = pod("bound-by-the-leader");
    bound.node = Some("n".into());
    assert_eq!(world.pod(bound), [""; 0]);
    assert_eq!(world.see(Event::PodGone(PodRef::from(&pod("deleted")))), [""; 0]);
    assert_eq!(world.at(3_600_000), [""; 0]);
    let done = world.see(Event::Leading);
    let told = |what: &str| done.iter().filter(|d| d.starts_with(what)).cloned().collect::<Vec<String>>();
    assert_eq!(told("bind"), ["bind small n"], "{done:?}");
    assert_eq!(told("condition"), ["condition large Unschedulable true"], "{done:?}");
}

#[test]
fn follower_asks_for_policies_once_it_leads_however_long_that_took() {
    let mut world = following();
    assert_eq!(world.pod(pod("p")), [""; 0]);
    assert_eq!(world.at(3_600_000), [""; 0]);
    assert_eq!(world.see(Event::Leading), ["ask p"]);
}

#[test]
fn follower_that_leads_keeps_gates_shut() {
    let mut world = following();
    without_policies(&mut world);
    assert_eq!(world.pod(with(pod("gated"), |s| s.scheduling_gates = alloc::vec!["g".into()])), [""; 0]);
    world.see(Event::Leading);
    assert_eq!((world.engine.depth().gated, world.engine.depth().active), (1, 0));
}
