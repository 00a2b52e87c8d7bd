//! A node's zone and rack by the labels of clouds and fabrics, and by the levels of Kueue's Topology (`signals.md` §4).
//! Leaves out levels between rack and zone: two nodes share a rack, a zone, or neither.

use super::{NodeFact, NodeFinding};
use crate::foreign::ForeignObjects;
use crate::node::Node;
use alloc::format;
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

pub(super) fn find(node: &Node, foreign: &ForeignObjects, found: &mut Vec<NodeFinding>) {
    let declared =
        foreign.topologies.values().flat_map(|levels| levels.iter().rev()).map(|key| &**key).filter(|key| !NOT_RACK.contains(key));
    let of = |key: &'_ str| node.labels.get(key).filter(|v| !v.is_empty()).cloned();
    if let Some((key, rack)) = declared.chain(RACK.iter().copied()).find_map(|key| Some((key, of(key)?))) {
        found.push(NodeFinding::new(NodeFact::Rack(rack), format!("label {key}")));
    }
    if let Some((key, zone)) = ZONE.iter().find_map(|key| Some((key, of(key)?))) {
        found.push(NodeFinding::new(NodeFact::Zone(zone), format!("label {key}")));
    }
}
