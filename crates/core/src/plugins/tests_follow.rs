//! Filters that follow pods in a dry run against the same filters prepared anew, on seeded random clusters and random moves.
//! Leaves out whether either is right: the plugins' own tests say that.

use super::fixture_random::Random;
use super::{InterPodAffinity, PodTopologySpread};
use crate::fixture::Cluster;
use crate::framework::{Attempt, Plugin};
use crate::preemption::{Judge, Trial};
use crate::profile::Points;
use crate::workload_profile::WorkloadProfile;
use aisched_model::node::PlacedPod;
use aisched_model::pod::Pod;
use aisched_model::storage_facts::IoDemand;
use alloc::format;
use alloc::sync::Arc;

/// Walks through the cluster's nodes and moves pods; how many refusals were compared.
fn compare(random: &mut Random, cluster: &Cluster, plugin: &dyn Plugin, pod: &Pod, what: &str) -> usize {
    let workload = WorkloadProfile::resolve(pod, None, &cluster.config, &cluster.snapshot);
    let attempt = Attempt { snapshot: &cluster.snapshot, pod, workload: &workload, policy: None, config: &cluster.config };
    let prepared = plugin.prepare(&attempt);
    let Some(filter) = prepared.filter.as_deref() else { return 0 };
    let judge = |filter| Judge { plugin, points: Points::ALL, filter };
    let (follows, again) = ([judge(Some(filter))], [judge(None)]);
    let (mut follows, mut again) = (Trial::new(&attempt, &follows), Trial::new(&attempt, &again));
    let mut n_refusals = 0;
    for step in 0..20 {
        if step % 4 == 0 {
            let idx = usize::try_from(random.below(cluster.snapshot.nodes.len() as u64)).unwrap();
            follows.enter(idx);
            again.enter(idx);
        }
        let there = follows.node().pods.first().map(|p| p.pod.clone()).filter(|_| random.chance(60));
        match there {
            Some(leaving) => {
                follows.remove(&leaving);
                again.remove(&leaving);
            }
            None => {
                let mut coming = random.pod(&format!("coming-{step}"));
                coming.node = Some(follows.node().node.name.clone());
                let placed = PlacedPod::new(Arc::new(coming), IoDemand::default());
                follows.add(placed.clone());
                again.add(placed);
            }
        }
        let (a, b) = (follows.judge().map(|a| a.refusal), again.judge().map(|a| a.refusal));
        assert_eq!(a, b, "{what}, step {step}: {pod:?}");
        n_refusals += usize::from(a.is_some());
    }
    n_refusals
}

#[test]
fn following_is_preparing_again() {
    let mut n_refusals = [0, 0];
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let cluster = random.cluster();
        if cluster.snapshot.nodes.is_empty() {
            continue;
        }
        let near = random.pod("p");
        n_refusals[0] += compare(&mut random, &cluster, &InterPodAffinity::default(), &near, &format!("affinity, seed {seed}"));
        let spread = random.spread_pod();
        n_refusals[1] += compare(&mut random, &cluster, &PodTopologySpread::default(), &spread, &format!("spread, seed {seed}"));
    }
    assert!(n_refusals.iter().all(|n| *n > 500), "hardly anything was compared: {n_refusals:?}");
}
