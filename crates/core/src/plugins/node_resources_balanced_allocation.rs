//! Prefers nodes whose resources the pod brings into balance, so that none is left over that nothing can use.
//! Leaves out whether the pod fits: see `node_resources_fit`.

use super::args::BalancedAllocationArgs;
use super::resource_scoring::{Basis, ScoredResources, Usage, scored_resources};
use crate::framework::{Attempt, ClusterEvent, MAX_SCORE, Plugin, Prepared, Reads, Score};
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use smallvec::SmallVec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct NodeResourcesBalancedAllocation {
    /// Arguments.
    pub args: BalancedAllocationArgs,
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let resources = scored_resources(&self.args.resources, &attempt.pod.spec, Basis::Requested);
        // A pod that requests nothing changes no balance: scored, all of its kind would go to one node.
        if resources.iter().all(|r| r.request() == 0) { Prepared::default() } else { Prepared::score(Balance { resources }) }
    }

    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false // it refuses no one
    }
}

struct Balance {
    resources: ScoredResources,
}

impl Score for Balance {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        let usages: SmallVec<[Usage; 4]> = self.resources.iter().filter_map(|r| r.on(node)).collect();
        improvement(&usages)
    }
}

/// How much better balanced the node is with the pod than without: 75 when as before, towards 100 when better, 50 when worse.
///
/// Example: an empty node becomes 75 % CPU and 50 % memory: balance falls from 100 to 87, so 50 + (50 + 87 − 100) / 2 = 68.
fn improvement(usages: &[Usage]) -> i64 {
    let (before, after) = (balance(usages, |u| u.before), balance(usages, |u| u.after));
    MAX_SCORE / 2 + (MAX_SCORE / 2 + after - before) / 2
}

/// 100 × (1 − standard deviation of the shares in use); 50 to 100.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as kube-scheduler computes it")]
fn balance(usages: &[Usage], used: impl Fn(&Usage) -> i64) -> i64 {
    let share = |u: &Usage| (used(u) as f64 / u.allocatable as f64).min(1.0);
    let deviation = match usages {
        [] | [_] => 0.0,
        [a, b] => libm::fabs((share(a) - share(b)) / 2.0),
        all => {
            let mean = all.iter().map(share).sum::<f64>() / all.len() as f64;
            let sum: f64 = all.iter().map(|u| (share(u) - mean) * (share(u) - mean)).sum();
            libm::sqrt(sum / all.len() as f64)
        }
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, requesting, with};
    use crate::plugins::args::ResourceWeight;
    use aisched_model::node::Node;
    use aisched_model::resources::{Bytes, MilliCpu};
    use alloc::boxed::Box;

    fn sized(name: &str, cpu: i64, memory: i64, gpus: i64) -> Node {
        let mut node = node(name);
        node.allocatable.cpu = MilliCpu(cpu);
        node.allocatable.memory = Bytes(memory);
        node.allocatable.set_scalar(&"nvidia.com/gpu".into(), gpus);
        node
    }

    fn with_gpus(pod: Pod, gpus: i64) -> Pod {
        with(pod, |s| s.requests.set_scalar(&"nvidia.com/gpu".into(), gpus))
    }

    #[test]
    fn balance_falls_with_the_deviation_of_shares() {
        for (shares, expected) in [
            (&[][..], 100),
            (&[0.3], 100),
            (&[0.5, 0.5], 100),
            (&[0.75, 0.5], 87),
            (&[0.6, 0.25], 82),
            (&[0.6, 0.2], 80),
            (&[1.0, 0.0], 50),
            (&[2.0, 0.0], 50),
            (&[0.857_142, 0.125, 0.5], 70),
            (&[0.857_142, 0.125, 0.125], 65),
            (&[0.857_142, 0.125], 63),
            (&[0.857_142, 0.0, 0.125], 62),
        ] {
            let usage = |share: &f64| Usage { allocatable: 1_000_000, before: 0, after: (share * 1e6) as i64 };
            let usages: SmallVec<[Usage; 4]> = shares.iter().map(usage).collect();
            assert_eq!(balance(&usages, |u| u.after), expected, "{shares:?}");
        }
    }

    #[test]
    fn pod_goes_where_it_improves_the_balance() {
        for (name, there, ours, nodes, expected) in [
            ("empty nodes", [(0, 0), (0, 0)], (3000, 5000), [(4000, 10_000), (6000, 10_000)], [68, 75]),
            ("used nodes", [(3000, 0), (3000, 5000)], (3000, 5000), [(10_000, 20_000), (10_000, 20_000)], [73, 74]),
            ("used nodes of two sizes", [(3000, 0), (3000, 5000)], (3000, 5000), [(10_000, 20_000), (10_000, 50_000)], [73, 70]),
            ("best and worst", [(3000, 0), (0, 0)], (0, 5000), [(3000, 5000), (3000, 5000)], [100, 50]),
            ("filled up", [(3000, 0), (3000, 5000)], (3000, 0), [(6000, 10_000), (6000, 10_000)], [62, 62]),
            ("overfull", [(9000, 0), (0, 0)], (3000, 0), [(3000, 10_000), (0, 0)], [75, 75]),
        ] {
            let request = |name: &str, (cpu, memory): (i64, i64)| requesting(name, &alloc::format!("{cpu}m"), &alloc::format!("{memory}"));
            let cluster = Cluster::of([sized("a", nodes[0].0, nodes[0].1, 0), sized("b", nodes[1].0, nodes[1].1, 0)])
                .placed("a", request("x", there[0]))
                .placed("b", request("y", there[1]));
            let decision = cluster.decide(&["NodeResourcesBalancedAllocation"], &request("p", ours));
            assert_eq!(["a", "b"].map(|n| decision.score(n, "NodeResourcesBalancedAllocation").unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn scalar_resources_count_where_the_pod_requests_them() {
        let three = ["cpu", "memory", "nvidia.com/gpu"].map(|name| ResourceWeight::new(name, 1));
        let plugin = || Box::new(NodeResourcesBalancedAllocation { args: BalancedAllocationArgs { resources: three.to_vec() } });
        let cluster = Cluster::of([sized("a", 3500, 40_000, 8), sized("b", 3500, 40_000, 8)])
            .placed("a", with_gpus(requesting("x", "3", "5000"), 3))
            .placed("b", requesting("y", "3", "5000"));
        let empty = Cluster::of([sized("a", 3500, 40_000, 8), sized("b", 3500, 40_000, 0)]);
        for (cluster, pod, expected) in [
            (&cluster, with_gpus(pod("p"), 1), [Some(75), Some(76)]),
            (&empty, requesting("p", "3", "5000"), [Some(56), Some(56)]),
            (&empty, pod("p"), [None, None]),
        ] {
            let decision = cluster.decide_plugin(plugin(), &pod);
            assert_eq!(["a", "b"].map(|n| decision.score(n, "NodeResourcesBalancedAllocation")), expected);
        }
    }
}
