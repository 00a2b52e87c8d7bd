//! Preemption on seeded random clusters against its definition: who was found has to leave, all of them, and nobody was overlooked.
//! Leaves out spreading and affinity, for which fewer pods are not always easier.

use super::tests::{of_app, profile, wants};
use super::{Candidate, Nominate};
use crate::fixture::{Cluster, labelled, with};
use aisched_model::node::NodeInfo;
use aisched_model::pod::{HostPort, Pod, PodAffinity, PodAffinityTerm};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pod(&mut self, name: &str) -> Pod {
        let priority = i32::try_from(self.below(5)).unwrap();
        let pod = wants(name, ["0", "1", "2", "3"][usize::try_from(self.below(4)).unwrap()], priority);
        let pod = of_app(["x", "y", "z"][usize::try_from(self.below(3)).unwrap()], pod);
        let (port, apart) = (self.below(6) == 0, self.below(5) == 0);
        with(pod, |s| {
            if port {
                s.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }];
            }
            if apart {
                let x = Requirement { key: "app".into(), operator: Operator::In, values: vec!["x".into()] };
                let selector = Some(LabelSelector(vec![x]));
                let term =
                    PodAffinityTerm { selector, topology_key: "host".into(), namespaces: vec!["default".into()], namespace_selector: None };
                s.pod_anti_affinity = PodAffinity { required: vec![term], ..PodAffinity::default() };
            }
        })
    }

    fn cluster(&mut self) -> Cluster {
        let mut cluster = Cluster::default();
        for n in 0..=self.below(4) {
            let name = format!("n{n}");
            cluster = cluster.node(labelled(&name, [("host", &*name)]));
            for p in 0..self.below(8) {
                let pod = self.pod(&format!("{n}-{p}"));
                cluster = cluster.placed(&name, pod);
            }
        }
        cluster
    }
}

/// Whether the pod fits a node when only these of its pods stay.
fn fits(cluster: &Cluster, node: &str, pod: &Pod, stays: impl Fn(&Pod) -> bool) -> bool {
    let mut changed = Cluster { snapshot: cluster.snapshot.clone(), ..Cluster::default() };
    let idx = changed.snapshot.node_idx(node).unwrap();
    let mut left = NodeInfo::new(cluster.snapshot.nodes[idx].node.clone());
    cluster.snapshot.nodes[idx].pods.iter().filter(|p| stays(&p.pod)).for_each(|p| left.add(p.clone()));
    changed.snapshot.nodes[idx] = Arc::new(left);
    changed.decide_profile(&profile(), pod).feasible().iter().any(|n| **n == *node)
}

#[test]
fn victims_are_enough_and_not_one_too_many() {
    let (mut n_found, mut n_hopeless) = (0, 0);
    for seed in 0..500 {
        let mut random = Random(seed);
        let cluster = random.cluster();
        let pod = with(random.pod("p"), |s| s.priority = 3);
        let outcome = cluster.outcome(&profile(), &pod);
        match outcome.nominate {
            Nominate::On(Candidate { node, victims, .. }) => {
                n_found += 1;
                let is_victim = |p: &Pod| victims.iter().any(|v| v.uid == p.uid);
                assert!(victims.iter().all(|v| v.spec.priority < 3), "seed {seed}");
                assert!(fits(&cluster, &node, &pod, |p| !is_victim(p)), "seed {seed}: not enough");
                for spared in &victims {
                    let stays = |p: &Pod| !is_victim(p) || p.uid == spared.uid;
                    assert!(!fits(&cluster, &node, &pod, stays), "seed {seed}: {} need not leave", spared.name);
                }
            }
            Nominate::Clear => {
                n_hopeless += 1;
                for node in &cluster.snapshot.nodes {
                    let name = &node.node.name;
                    assert!(!fits(&cluster, name, &pod, |p| p.spec.priority >= 3), "seed {seed}: {name} was overlooked");
                }
            }
            Nominate::Ask(_) => panic!("nobody to ask"),
            Nominate::Keep => assert!(outcome.decision.node.is_some(), "seed {seed}"),
        }
    }
    assert!(n_found > 50 && n_hopeless > 20, "hardly anything was tried: {n_found} {n_hopeless}");
}
