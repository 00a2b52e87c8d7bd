//! Every plugin that refuses pods has one event that wakes them and one that does not, in one table that no plugin can be missing from.
//! Leaves out the other events: the plugins' own tests have those.

use super::fixture_domains::{hard, labelled_pod, node_of, prepared, term};
use super::{KubeletRejections, REGISTRY, create};
use crate::fixture::{Cluster, claiming, hinted, labelled, pod, requesting, with};
use crate::framework::{ClusterEvent, Plugin};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{HostPort, Pod};
use aisched_model::snapshot::Snapshot;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Plugins that only score, or that only act when others have refused.
const REFUSE_NO_ONE: [&str; 6] =
    ["CSIStorageAware", "DefaultPreemption", "ImageLocality", "KueueAware", "NodeResourcesBalancedAllocation", "PipelineStageAware"];

/// A plugin; a pod that it may have refused; an event that may help the pod; one that cannot.
type Row<'a> = (&'a str, &'a Pod, ClusterEvent<'a>, ClusterEvent<'a>);

fn plugins() -> Vec<Box<dyn Plugin>> {
    let listed = REGISTRY.iter().filter_map(|(name, _)| create(name));
    listed.chain([Box::new(KubeletRejections) as Box<dyn Plugin>]).collect()
}

fn check(rows: &[Row<'_>]) {
    for plugin in plugins() {
        let name = plugin.name();
        let mut own = rows.iter().filter(|row| row.0 == name).peekable();
        if REFUSE_NO_ONE.contains(&name) {
            let refuses = |pod| prepared(&*plugin, &Cluster::default(), pod, |p| p.filter.is_some() || p.refusal.is_some());
            assert!(
                own.peek().is_none() && !rows.iter().any(|row| refuses(row.1) || plugin.gate(row.1, &Snapshot::default()).is_some()),
                "{name} refuses pods"
            );
            assert!(!rows.iter().any(|row| plugin.helps(row.1, &row.2)), "{name} wakes pods that it has not refused");
        } else {
            assert!(own.peek().is_some(), "{name} has no row: which event wakes a pod that it refused, and which does not?");
        }
        for (_, pod, wakes, not) in own {
            assert!(plugin.helps(pod, wakes), "{name} sleeps through {wakes:?}");
            assert!(!plugin.helps(pod, not), "{name} wakes in vain for {not:?}");
        }
    }
}

fn on_node(pod: Pod) -> Pod {
    Pod { node: Some("n".into()), ..pod }
}

#[test]
fn every_plugin_that_refuses_wakes_for_one_event_and_sleeps_through_another() {
    let [bare, cordoned, tainted, zoned] = ["n", "n cordoned", "n tainted", "n zone=a"].map(node_of);
    let able = Node { declared_features: vec!["Resizes".into()], ..node_of("n") };
    let csd = labelled("n", [("storage-tier", "csd")]);
    let port = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }];
    let (any, sized, data, serving) =
        (pod("p"), requesting("p", "1", "1Gi"), claiming("p", ["data"]), with(pod("p"), |s| s.host_ports = port));
    let (gone, gone_data, gone_web) = (on_node(pod("gone")), on_node(claiming("gone", ["data"])), on_node(labelled_pod("gone", "app=web")));
    let gone_serving = on_node(serving.clone());
    let picky = with(pod("p"), |s| s.node_selector = Labels::from([("zone", "a")]));
    let even = with(pod("p"), |s| s.spread = vec![hard("zone", 1, "app=web")]);
    let apart = with(pod("p"), |s| s.pod_anti_affinity.required = vec![term("zone", "app=web")]);
    let gated = with(pod("p"), |s| s.scheduling_gates = vec!["later".into()]);
    let insisting = hinted("p", [("required-iops", "5"), ("strict-io", "true")]);
    let name = Str::from("n");
    let change = |old, new| ClusterEvent::NodeChanged { old, new };
    let removed = ClusterEvent::PodRemoved;
    check(&[
        ("NodeName", &any, ClusterEvent::NodeAdded(&bare), removed(&gone)),
        ("NodeUnschedulable", &any, change(&cordoned, &bare), change(&bare, &cordoned)),
        ("TaintToleration", &any, change(&tainted, &bare), change(&bare, &tainted)),
        ("NodeAffinity", &picky, change(&bare, &zoned), change(&zoned, &bare)),
        ("NodePorts", &serving, removed(&gone_serving), removed(&gone)),
        ("NodeResourcesFit", &sized, removed(&gone), ClusterEvent::PodPlaced(&gone)),
        ("VolumeRestrictions", &data, removed(&gone_data), removed(&gone)),
        ("NodeVolumeLimits", &data, removed(&gone_data), removed(&gone)),
        ("VolumeBinding", &data, change(&bare, &zoned), change(&bare, &cordoned)),
        ("VolumeZone", &data, change(&bare, &zoned), change(&bare, &cordoned)),
        ("PodTopologySpread", &even, removed(&gone_web), removed(&gone)),
        ("InterPodAffinity", &apart, removed(&gone_web), removed(&gone)),
        ("DynamicResources", &any, ClusterEvent::Devices, removed(&gone)),
        ("NodeDeclaredFeatures", &any, change(&bare, &able), change(&bare, &cordoned)),
        ("SchedulingGates", &any, ClusterEvent::OwnChange { old: &gated, new: &any }, removed(&gone)),
        ("DataLocalityAware", &any, ClusterEvent::NodeAdded(&bare), removed(&gone)),
        ("IOPatternBased", &any, ClusterEvent::NodeAdded(&csd), ClusterEvent::NodeAdded(&bare)),
        ("StorageTierAware", &any, ClusterEvent::NodeAdded(&csd), ClusterEvent::NodeAdded(&bare)),
        ("StorageTierAware", &insisting, removed(&gone), ClusterEvent::PodPlaced(&gone)),
        ("KubeletRejections", &any, ClusterEvent::Readmits(&name), removed(&gone)),
    ]);
}
