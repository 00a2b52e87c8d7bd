//! A node's zone and rack by the labels of clouds and fabrics, and by what Kueue, KAI, Koordinator and Volcano declare (`signals.md` §4).
//! Leaves out levels between rack and zone: two nodes share a rack, a zone, or neither.

use super::{NodeFact, NodeFinding};
use crate::Str;
use crate::foreign::ForeignObjects;
use crate::node::Node;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Keys of the closest level above the host, the most trustworthy first.
const RACK: &[&str] = &[
    "fabric.topograph.run/tier-0",
    "network.topology.nvidia.com/leaf",
    "topology.k8s.aws/network-node-layer-3",
    "cloud.google.com/gce-topology-subblock",
    "oci.oraclecloud.com/host.rack_id",
    "cloud.provider.com/topology-rack",
    "topology.rook.io/rack",
    "volcano.sh/tor",
    "cloud.google.com/gce-topology-block",
    "topology.k8s.aws/network-node-layer-2",
    "oci.oraclecloud.com/host.network_block_id",
    "cloud.provider.com/topology-block",
];
/// Keys of zones besides today's.
const ZONE: &[&str] = &["failure-domain.beta.kubernetes.io/zone", "topology.gke.io/zone"];
/// Levels of a Topology that are no rack.
const NOT_RACK: &[&str] =
    &["kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"];

/// Which rungs of the ladder tell nodes apart and together: a key counts when at least two nodes share a value of it.
///
/// A provider that gives every node a rack of its own names no rack.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// How many nodes have a value of a key.
    nodes: BTreeMap<(Str, Str), usize>,
    /// How many values of a key are shared.
    shared: BTreeMap<Str, usize>,
}

impl Ladder {
    /// The ladder of these nodes.
    pub fn of<'a>(nodes: impl Iterator<Item = &'a Node>, foreign: &ForeignObjects) -> Self {
        let mut ladder = Self::default();
        for node in nodes {
            ladder.count(node, foreign, true);
        }
        ladder
    }

    /// Counts a node that came or left; whether other keys count now.
    pub fn count(&mut self, node: &Node, foreign: &ForeignObjects, came: bool) -> bool {
        let mut turned = false;
        // A key may be declared and be known besides.
        let stands_on: BTreeSet<(Str, Str)> = rungs(node, foreign).map(|(key, value)| (key.into(), value)).collect();
        for (key, value) in stands_on {
            let nodes = self.nodes.entry((key.clone(), value.clone())).or_default();
            let before = *nodes;
            *nodes = if came { before + 1 } else { before.saturating_sub(1) };
            let after = *nodes;
            if after == 0 {
                self.nodes.remove(&(key.clone(), value));
            }
            if (before > 1) == (after > 1) {
                continue;
            }
            let shared = self.shared.entry(key.clone()).or_default();
            *shared = if came { *shared + 1 } else { shared.saturating_sub(1) };
            turned |= *shared == usize::from(came);
            if *shared == 0 {
                self.shared.remove(&key);
            }
        }
        turned
    }

    fn counts(&self, key: &str) -> bool {
        self.shared.contains_key(key)
    }
}

/// What tells a node's rack, the most trustworthy first: Volcano's tree from the closest tier on, the levels that an administrator declared
/// from the closest on, then the labels of clouds and fabrics.
fn rungs<'a>(node: &'a Node, foreign: &'a ForeignObjects) -> impl Iterator<Item = (String, Str)> + 'a {
    let tree = foreign.hyper_nodes.above(node).into_iter().map(|(tier, name)| (format!("HyperNode tier {tier}"), name));
    let declared =
        foreign.topologies.values().flat_map(|levels| levels.iter().rev()).map(|key| &**key).filter(|key| !NOT_RACK.contains(key));
    let of = |key: &str| node.labels.get(key).filter(|v| !v.is_empty()).cloned();
    let labels = declared.chain(RACK.iter().copied()).filter_map(move |key| Some((format!("label {key}"), of(key)?)));
    tree.chain(labels)
}

pub(super) fn find(node: &Node, foreign: &ForeignObjects, ladder: &Ladder, found: &mut Vec<NodeFinding>) {
    if let Some((key, rack)) = rungs(node, foreign).find(|(key, _)| ladder.counts(key)) {
        found.push(NodeFinding::new(NodeFact::Rack(rack), key));
    }
    let zone = |key: &'static str| Some((key, node.labels.get(key).filter(|v| !v.is_empty())?.clone()));
    if let Some((key, zone)) = ZONE.iter().copied().find_map(zone) {
        found.push(NodeFinding::new(NodeFact::Zone(zone), format!("label {key}")));
    }
}
