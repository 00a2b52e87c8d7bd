//! What other systems say of nodes, through the engine: when it comes, changes, goes, or is no longer believed.

use super::*;
use crate::fixture::{labelled, node};
use aisched_model::foreign::{Foreign, ForeignName, NodeStorage, StorageSystem};
use aisched_model::node::Node;
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
    engine
}

/// The best tier that is believed of nodes a and b.
fn tiers(engine: &Engine) -> [Option<Tier>; 2] {
    ["a", "b"].map(|n| engine.snapshot().node(n).unwrap().node.storage.tiers.best())
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
    let mut engine = engine(&[labelled("a", [("pod-level", "p1")]), labelled("b", [("pod-level", "p2")])]);
    let racks = |engine: &Engine| ["a", "b"].map(|n| engine.snapshot().node(n).unwrap().node.storage.rack.clone());
    engine.handle(0, Event::ForeignSet(Foreign::Topology("t".into(), alloc::vec!["pod-level".into()])));
    assert_eq!(racks(&engine), [Some("p1".into()), Some("p2".into())]);
    engine.handle(0, Event::ForeignGone(ForeignName::Topology("t".into())));
    assert_eq!(racks(&engine), [None, None]);
}
