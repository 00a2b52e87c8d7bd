//! What other systems say of nodes, through the engine: when it comes, changes, goes, or is no longer believed.

use super::*;
use crate::fixture::{labelled, node};
use aisched_model::foreign::{Foreign, ForeignName, NodeStorage, StorageSystem};
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::storage_facts::TierSet;
use aisched_model::workload::Tier;

fn storage(on: &str, tier: Tier) -> Event {
    Event::ForeignSet(Foreign::NodeStorage(Arc::new(NodeStorage {
        system: StorageSystem::NodeFeatureDiscovery,
        kind: "NodeFeature",
        name: "o".into(),
        node: on.into(),
        tiers: TierSet::of(tier),
        free_bytes: None,
        datasets: Vec::new(),
    })))
}

fn engine(nodes: &[Node]) -> Engine {
    let mut engine = Engine::new(Vec::new(), EngineOptions::default());
    for node in nodes {
        engine.handle(0, Event::NodeSet(Arc::new(node.clone()), Vec::new()));
    }
    engine.handle(0, Event::Synced);
    engine
}

/// The best tier that is believed of nodes a and b.
fn tiers(engine: &Engine) -> [Option<Tier>; 2] {
    ["a", "b"].map(|n| engine.snapshot().node(n).unwrap().node.storage.tiers.best())
}

fn racks(engine: &Engine) -> [Option<Str>; 2] {
    ["a", "b"].map(|n| engine.snapshot().node(n).and_then(|n| n.node.storage.rack.clone()))
}

#[test]
fn an_object_tells_of_its_node_whenever_it_comes() {
    let mut before = engine(&[node("a"), node("b")]);
    before.handle(0, storage("a", Tier::Ssd));
    let mut after = engine(&[]);
    after.handle(0, storage("a", Tier::Ssd));
    for name in ["a", "b"] {
        after.handle(0, Event::NodeSet(Arc::new(node(name)), Vec::new()));
    }
    assert_eq!((tiers(&before), tiers(&after)), ([Some(Tier::Ssd), None], [Some(Tier::Ssd), None]));
}

#[test]
fn what_it_no_longer_says_is_no_longer_believed() {
    let mut engine = engine(&[node("a"), node("b")]);
    engine.handle(0, storage("a", Tier::Ssd));
    engine.handle(0, storage("a", Tier::Hdd));
    assert_eq!(tiers(&engine), [Some(Tier::Hdd), None]);
    engine.handle(0, storage("b", Tier::Hdd));
    assert_eq!(tiers(&engine), [None, Some(Tier::Hdd)], "the object tells of another node now");
    engine.handle(0, Event::ForeignGone(ForeignName::NodeStorage("NodeFeature", "o".into())));
    assert_eq!(tiers(&engine), [None, None]);
}

#[test]
fn a_switch_takes_effect_at_once() {
    let mut engine = engine(&[node("a"), labelled("b", [("storage-tier/hdd", "true")])]);
    engine.handle(0, storage("a", Tier::Ssd));
    let mut config = Config::default();
    config.signals.node_feature_discovery = false;
    engine.handle(0, Event::Configured(Arc::new(config)));
    assert_eq!(tiers(&engine), [None, Some(Tier::Hdd)]);
    engine.handle(0, Event::Configured(Arc::default()));
    assert_eq!(tiers(&engine), [Some(Tier::Ssd), Some(Tier::Hdd)]);
}

#[test]
fn a_topology_names_the_racks_of_every_node() {
    let mut engine = engine(&["a", "b"].map(|name| labelled(name, [("pod-level", "p1")])));
    engine.handle(0, Event::ForeignSet(Foreign::Topology("t".into(), alloc::vec!["pod-level".into()])));
    assert_eq!(racks(&engine), [Some("p1".into()), Some("p1".into())]);
    engine.handle(0, Event::ForeignGone(ForeignName::Topology("t".into())));
    assert_eq!(racks(&engine), [None, None]);
}

#[test]
fn a_rack_is_one_while_nodes_share_it() {
    const LEAF: &str = "fabric.topograph.run/tier-0";
    let mut engine = engine(&[labelled("a", [(LEAF, "l1")])]);
    let set =
        |engine: &mut Engine, name: &str, leaf| engine.handle(0, Event::NodeSet(Arc::new(labelled(name, [(LEAF, leaf)])), Vec::new()));
    assert_eq!(racks(&engine), [None, None]);
    set(&mut engine, "b", "l1");
    assert_eq!(racks(&engine), [Some("l1".into()), Some("l1".into())]);
    set(&mut engine, "b", "l2");
    assert_eq!(racks(&engine), [None, None]);
    set(&mut engine, "b", "l1");
    engine.handle(0, Event::NodeGone("b".into()));
    assert_eq!(racks(&engine), [None, None]);
}

#[test]
fn a_fact_is_as_old_as_its_last_change() {
    let mut engine = engine(&[node("a")]);
    let ages = |engine: &Engine, now| engine.ages("a", now).into_iter().collect::<Vec<_>>();
    assert_eq!(ages(&engine, 0), []);
    engine.handle(1000, storage("a", Tier::Ssd));
    engine.handle(61_000, storage("a", Tier::Ssd));
    assert_eq!(ages(&engine, 61_000), [("tiers", 60)], "told again, and still so");
    engine.handle(62_000, storage("a", Tier::Hdd));
    engine.handle(65_000, Event::NodeSet(Arc::new(node("a")), Vec::new()));
    assert_eq!(ages(&engine, 65_000), [("tiers", 3)]);
    engine.handle(70_000, Event::ForeignGone(ForeignName::NodeStorage("NodeFeature", "o".into())));
    assert_eq!(ages(&engine, 70_000), []);
}

#[test]
fn a_decision_says_how_old_what_it_rests_on_was() {
    use crate::fixture::{claiming, with};
    let mut world = super::tests::World::new([node("a")]);
    let facts = aisched_model::signals::ClassFacts { iops: Some(3000), ..Default::default() };
    let class = aisched_model::volume::StorageClass { name: "gp3".into(), facts, ..Default::default() };
    world.see(Event::ClassSet(Arc::new(class)));
    let claim = aisched_model::volume::Claim {
        namespace: "default".into(),
        name: "data".into(),
        storage_class: Some("gp3".into()),
        ..Default::default()
    };
    world.see(Event::ClaimSet(Arc::new(claim)));
    world.at(40_000);
    world.see(Event::ForeignSet(Foreign::Dataset(("default".into(), "data".into()), 37)));
    world.at(50_000);
    let labels = [("spark-role", "executor")].into_iter().collect();
    world.pod(with(claiming("p", ["data"]), |s| (s.labels, s.node_selector) = (labels, [("no", "where")].into())));
    let view = world.engine.view(53_000);
    let decision = view.explain(view.waiting("default", "p").unwrap()).unwrap();
    let age = |field: &str| decision.profile.0.iter().find(|(name, _)| *name == field).and_then(|(_, f)| f.age_seconds);
    assert_eq!((age("requiredIops"), age("stage")), (Some(53), Some(3)));
    assert_eq!(decision.heard, [(13, "Dataset default/data".into())]);
}

#[test]
fn runs_are_remembered_until_the_node_or_the_claim_is_gone() {
    use crate::fixture::{claiming, with};
    use aisched_model::history::Thing;
    let mut world = super::tests::World::new([node("a")]);
    let ran = |scheduler: &str, ended| {
        let pod = with(claiming("p", ["data"]), |s| s.scheduler_name = scheduler.into());
        Pod { node: Some("a".into()), start_s: Some(1), ended, ..pod }
    };
    let claim = Thing::Claim("default".into(), "data".into());
    let known = |world: &super::tests::World| world.engine.snapshot().history.hours_since(&claim, &"a".into());
    world.pod(ran("another", false));
    world.pod(ran("another", true));
    assert_eq!(known(&world), None, "another scheduler's pod");
    world.pod(ran("ai-storage-scheduler", false));
    assert_eq!(known(&world), Some(0));
    world.engine.poll(4 * 3_600_000);
    assert_eq!(known(&world), Some(4));
    world.now = 4 * 3_600_000;
    world.pod(ran("ai-storage-scheduler", true));
    assert_eq!(known(&world), Some(0), "it ran until now");
    world.see(Event::NodeGone("a".into()));
    world.see(Event::NodeSet(Arc::new(node("a")), Vec::new()));
    assert_eq!(known(&world), None, "another machine of this name");
    world.pod(ran("ai-storage-scheduler", false));
    world.see(Event::ClaimGone("default".into(), "data".into()));
    assert_eq!(known(&world), None, "other data of this name");
}
