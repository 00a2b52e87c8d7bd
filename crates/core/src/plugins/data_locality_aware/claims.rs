//! How near a pod's claims are to a node (`scoring.md` §3, PVC locality), from watched state alone.
//! Refuses nothing and binds nothing: that is the volume plugins' business.

use crate::framework::Fact;
use crate::plugins::claims::names_nodes;
use aisched_model::Str;
use aisched_model::foreign::Replicas;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, PodVolume};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement, any_term_matches};
use aisched_model::signals::Signals;
use aisched_model::snapshot::Snapshot;
use aisched_model::topology::Nearby;
use aisched_model::volume::{Claim, StorageClass, Volume};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const HOSTNAME: &str = "kubernetes.io/hostname";
/// Provisioner of classes whose volumes are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// More claims than this are counted, not named, in an explanation.
const NAMED_CLAIMS: usize = 4;

/// A pod's claims, each once.
pub(super) struct Claims<'a>(Vec<(Str, Place<'a>)>);

/// Where a claim's data is, as far as it does not depend on the node.
enum Place<'a> {
    /// On this volume.
    Bound { volume: &'a Volume, users: &'a [Str], node_keys: Vec<&'a str>, hosts: Hosts<'a> },
    /// Nowhere yet.
    Unbound(Unbound<'a>),
    /// Out of every node's reach, for this reason.
    Nowhere(&'static str),
}

/// A claim that waits for its volume.
struct Unbound<'a> {
    /// The node that the volume is being made for.
    selected: Option<&'a str>,
    /// A volume can be made on nodes that match these terms (none: on any).
    provision: Option<&'a [NodeSelectorTerm]>,
    /// Volumes that are there; `None` when it does not matter what is there.
    there: Option<There<'a>>,
}

/// Volumes that could serve a claim.
struct There<'a> {
    claim: &'a Claim,
    class: &'a str,
    /// Promised to the claim.
    own: Vec<&'a Volume>,
    /// Of the class, and nobody's.
    free: Option<&'a Nearby<Volume>>,
}

/// Nodes that have something of a volume which others would have to fetch.
#[derive(Default)]
struct Hosts<'a> {
    /// Attached to by a driver, though no pod there uses it.
    attached: Option<&'a BTreeMap<Str, Str>>,
    /// With a Longhorn replica, found by the volume's handle.
    replicas: Option<(&'a str, &'a Replicas)>,
    /// With a JuiceFS client.
    clients: Option<&'a BTreeMap<Str, usize>>,
}

impl<'a> Hosts<'a> {
    fn of(volume: &'a Volume, snapshot: &'a Snapshot, on: &Signals) -> Self {
        let handle = volume.handle.as_ref();
        Self {
            attached: snapshot.attached_to.get(&volume.name).filter(|_| on.volume_attachments),
            replicas: handle.filter(|_| on.longhorn).map(|h| (&**h, &snapshot.foreign.replicas)),
            clients: handle.filter(|_| on.juicefs).and_then(|h| snapshot.mounts.get(&(Str::default(), h.clone()))),
        }
    }

    fn none(&self) -> bool {
        let replicas = self.replicas.is_some_and(|(volume, replicas)| replicas.are_there(volume));
        self.attached.is_none() && !replicas && self.clients.is_none()
    }

    fn what_is_on(&self, node: &Str) -> Option<&'static str> {
        match () {
            () if self.attached.is_some_and(|nodes| nodes.values().any(|n| n == node)) => Some("attached to this node"),
            () if self.replicas.is_some_and(|(volume, replicas)| replicas.is_on(volume, node)) => {
                Some("with a Longhorn replica on this node")
            }
            () if self.clients.is_some_and(|nodes| nodes.contains_key(node)) => Some("with a JuiceFS client on this node"),
            () => None,
        }
    }
}

/// How near a claim is to a node, nearest first, each with what an explanation says after the claim's name.
enum Nearness {
    Local(&'static str),
    Near(&'static str),
    Reachable(&'static str),
    Unreachable(&'static str),
}

impl Nearness {
    fn points(&self, max: i64) -> i64 {
        match self {
            Self::Local(_) => max,
            Self::Near(_) => max * 2 / 3,
            Self::Reachable(_) => max / 2,
            Self::Unreachable(_) => 0,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Local(text) | Self::Near(text) | Self::Reachable(text) | Self::Unreachable(text) => text,
        }
    }
}

impl<'a> Claims<'a> {
    pub(super) fn of(pod: &'a Pod, snapshot: &'a Snapshot, on: &Signals) -> Self {
        let mut claims: Vec<(Str, Place<'a>)> = Vec::new();
        let volumes = pod.spec.volumes.iter().filter(|v| matches!(v, PodVolume::Claim { .. } | PodVolume::Ephemeral { .. }));
        for (name, volume) in pod.claims().zip(volumes) {
            if claims.iter().all(|(seen, _)| *seen != name) {
                let place = Place::of(pod, &name, volume, snapshot, on);
                claims.push((name, place));
            }
        }
        Self(claims)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What points come from beside the node; `None` when it is what may be anywhere in the cluster: users of volumes, volumes to choose
    /// from, or nodes by name.
    pub(super) fn reads(&self, snapshot: &Snapshot) -> Option<Vec<Fact>> {
        let mut facts = Vec::new();
        for (_, place) in &self.0 {
            match place {
                Place::Nowhere(_) => facts.push(Fact::Number(0)),
                Place::Unbound(Unbound { selected: None, provision, there: None }) => {
                    facts.push(provision.map_or(Fact::Number(1), |terms| Fact::Terms(terms.to_vec())));
                }
                Place::Bound { volume, users: [], hosts, node_keys } => match &volume.node_affinity {
                    None if hosts.none() => facts.push(Fact::Number(2)),
                    Some(terms) if !names_nodes(volume, snapshot) => {
                        facts.extend([Fact::Terms(terms.clone()), Fact::Number(3 + node_keys.len() as u64)]);
                        facts.extend(node_keys.iter().map(|key| Fact::Name(Str::from(*key))));
                    }
                    None | Some(_) => return None,
                },
                Place::Unbound(_) | Place::Bound { .. } => return None,
            }
        }
        Some(facts)
    }

    /// The mean over the claims; half of `max` without any.
    ///
    /// Example, of 30: one claim local, one near: (30 + 20) / 2 = 25.
    pub(super) fn points(&self, node: &NodeInfo, max: i64) -> i64 {
        let sum: i64 = self.0.iter().map(|(_, place)| place.nearness(&node.node).points(max)).sum();
        i64::try_from(self.0.len()).ok().and_then(|n| sum.checked_div(n)).unwrap_or(max / 2)
    }

    pub(super) fn source(&self, node: &NodeInfo) -> String {
        if self.0.is_empty() {
            return "no claims".into();
        }
        let one = |(name, place): &(Str, Place<'_>)| format!("claim {name} {}", place.nearness(&node.node).text());
        let mut text = self.0.iter().take(NAMED_CLAIMS).map(one).collect::<Vec<_>>().join("; ");
        if self.0.len() > NAMED_CLAIMS {
            text.push_str(&format!("; … +{} more", self.0.len() - NAMED_CLAIMS));
        }
        text
    }
}

impl<'a> Place<'a> {
    fn of(pod: &'a Pod, name: &Str, pod_volume: &'a PodVolume, snapshot: &'a Snapshot, on: &Signals) -> Self {
        let key = (pod.namespace.clone(), name.clone());
        let Some(claim) = snapshot.claims.get(&key) else {
            // The claim of an ephemeral volume is made after the pod; its class is known before.
            return match pod_volume {
                PodVolume::Ephemeral { storage_class, .. } => Self::Unbound(Unbound::new_claim(storage_class.as_ref(), snapshot)),
                _ => Self::Nowhere("does not exist"),
            };
        };
        if claim.lost {
            return Self::Nowhere("has lost its volume");
        }
        let Some(name) = &claim.volume else { return Self::Unbound(Unbound::of(claim, snapshot)) };
        let Some(volume) = snapshot.volumes.get(name) else { return Self::Nowhere("is bound to a volume that does not exist") };
        let once = claim.access_modes.read_write_once || claim.access_modes.read_write_once_pod;
        let users = snapshot.claim_users.get(&key).filter(|_| once).map_or(&[][..], Vec::as_slice);
        Self::Bound { volume, users, node_keys: node_keys(volume, snapshot), hosts: Hosts::of(volume, snapshot, on) }
    }

    fn nearness(&self, node: &Node) -> Nearness {
        match self {
            Self::Nowhere(reason) => Nearness::Unreachable(reason),
            Self::Unbound(unbound) if unbound.fits(node) => Nearness::Reachable("not bound yet, this node could hold it"),
            Self::Unbound(_) => Nearness::Unreachable("not bound yet, this node cannot hold it"),
            Self::Bound { users, .. } if users.contains(&node.name) => Nearness::Local("in use by a pod on this node"),
            Self::Bound { volume, node_keys, hosts, .. } => match &volume.node_affinity {
                None => hosts.what_is_on(&node.name).map_or(Nearness::Reachable("bound to a volume that any node reaches"), Nearness::Near),
                Some(terms) => affinity(terms, node, node_keys),
            },
        }
    }
}

/// Whether a volume is on this node and on no other.
pub(crate) fn is_local(volume: &Volume, node: &Node, snapshot: &Snapshot) -> bool {
    let near = volume.node_affinity.as_ref().map(|terms| affinity(terms, node, &node_keys(volume, snapshot)));
    matches!(near, Some(Nearness::Local(_)))
}

fn affinity(terms: &[NodeSelectorTerm], node: &Node, node_keys: &[&str]) -> Nearness {
    let mut matching = terms.iter().filter(|t| t.matches(&node.name, &node.labels)).peekable();
    if matching.peek().is_none() {
        return Nearness::Unreachable("bound to a volume out of this node's reach");
    }
    let names_node = |term: &NodeSelectorTerm| {
        term.fields.iter().any(|r| r.operator == Operator::In) || term.labels.iter().any(|r| is_node_key(r, node, node_keys))
    };
    if matching.any(names_node) {
        Nearness::Local("bound to a volume on this node")
    } else {
        Nearness::Near("bound to a volume in this node's topology")
    }
}

/// Whether a requirement that the node meets names nodes rather than a wider topology: by hostname, by a value that is the node's own
/// name, or by a key that its driver uses for nodes.
fn is_node_key(r: &Requirement, node: &Node, node_keys: &[&str]) -> bool {
    r.operator == Operator::In
        && (*r.key == *HOSTNAME
            || node_keys.contains(&&*r.key)
            || node.labels.get(&r.key).is_some_and(|value| *value == node.name || node.labels.has(HOSTNAME, value)))
}

/// The keys in a volume's affinity that are its driver's own for nodes: among the driver's topology keys, named for a node or host,
/// and with a value on every node that no other node has. A key whose values are node names needs no such search.
///
/// The name is looked at because in a cluster of one node per zone the zones are unique too.
fn node_keys<'a>(volume: &'a Volume, snapshot: &Snapshot) -> Vec<&'a str> {
    let (Some(terms), Some(driver)) = (&volume.node_affinity, &volume.driver) else { return Vec::new() };
    let requirements = terms.iter().flat_map(|t| &t.labels);
    let odd = |r: &&Requirement| *r.key != *HOSTNAME && r.values.iter().any(|v| snapshot.node_idx(v).is_none());
    let keys = requirements.filter(|r| r.operator == Operator::In).filter(odd).map(|r| &*r.key);
    keys.filter(|key| is_named_for_nodes(key) && is_topology_key(driver, key, snapshot) && is_unique_per_node(key, snapshot)).collect()
}

/// Example: `openebs.io/nodeid` is, `topology.ebs.csi.aws.com/zone` is not.
fn is_named_for_nodes(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    name.contains("node") || name.contains("host")
}

fn is_topology_key(driver: &str, key: &str, snapshot: &Snapshot) -> bool {
    let drivers = snapshot.csi_nodes.values().flat_map(|n| &n.drivers);
    drivers.filter(|d| *d.name == *driver).any(|d| d.topology_keys.iter().any(|k| **k == *key))
}

fn is_unique_per_node(key: &str, snapshot: &Snapshot) -> bool {
    let mut values: Vec<&Str> = snapshot.nodes.iter().filter_map(|n| n.node.labels.get(key)).collect();
    values.sort_unstable();
    values.windows(2).all(|pair| pair[0] != pair[1])
}

impl<'a> Unbound<'a> {
    fn of(claim: &'a Claim, snapshot: &'a Snapshot) -> Self {
        let new = Self::new_claim(claim.storage_class.as_ref(), snapshot);
        let default = || class_of(None, snapshot).map_or("", |c| &*c.name);
        let class = claim.storage_class.as_deref().unwrap_or_else(default);
        let any_node_will_do = matches!(new.provision, Some([]));
        let there = (!any_node_will_do).then(|| There::of(claim, class, snapshot)).filter(|there| !there.is_empty());
        Self { selected: claim.selected_node.as_deref(), there, ..new }
    }

    /// A claim that is not there yet, of a class by name.
    fn new_claim(class: Option<&'a Str>, snapshot: &'a Snapshot) -> Self {
        let class = class_of(class, snapshot).filter(|c| *c.provisioner != *NO_PROVISIONER);
        Self { selected: None, provision: class.map(|c| c.allowed_topologies.as_slice()), there: None }
    }

    fn fits(&self, node: &Node) -> bool {
        let matches = |terms: &[NodeSelectorTerm]| any_term_matches(terms, &node.name, &node.labels);
        if let Some(selected) = self.selected {
            return *selected == *node.name;
        }
        self.provision.is_some_and(|terms| terms.is_empty() || matches(terms))
            || self.there.as_ref().is_some_and(|there| there.within_reach(node))
    }
}

impl<'a> There<'a> {
    fn of(claim: &'a Claim, class: &'a str, snapshot: &'a Snapshot) -> Self {
        let own = snapshot.claimed_volumes.get(&(claim.namespace.clone(), claim.name.clone())).into_iter().flat_map(|v| v.values());
        let own = own.map(|v| &**v).filter(|v| would_do(v, claim, class)).collect();
        Self { claim, class, own, free: snapshot.free_volumes.get(class) }
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.free.is_none()
    }

    fn within_reach(&self, node: &Node) -> bool {
        let reaches = |v: &Volume| v.node_affinity.as_ref().is_none_or(|terms| any_term_matches(terms, &node.name, &node.labels));
        let free = |v: &Volume| would_do(v, self.claim, self.class) && reaches(v);
        self.own.iter().any(|v| reaches(v)) || self.free.is_some_and(|all| all.smallest(&node.labels, self.claim.requested, free).is_some())
    }
}

/// The class that a claim will be served by: the default one when it names none. An empty name asks for no class.
fn class_of<'a>(name: Option<&Str>, snapshot: &'a Snapshot) -> Option<&'a StorageClass> {
    match name {
        Some(name) => snapshot.classes.get(name).map(|c| &**c),
        None => snapshot.classes.values().find(|c| c.is_default).map(|c| &**c),
    }
}

/// Whether a volume that is there could serve a claim.
fn would_do(volume: &Volume, claim: &Claim, class: &str) -> bool {
    let free = match &volume.claim {
        Some((namespace, name, uid)) => *namespace == claim.namespace && *name == claim.name && (uid.is_empty() || *uid == claim.uid),
        None => volume.available,
    };
    free && !volume.deleting
        && *volume.storage_class == *class
        && volume.block == claim.block
        && volume.capacity >= claim.requested
        && volume.access_modes.contains(claim.access_modes)
        && claim.selector.as_ref().is_none_or(|s| s.matches(&volume.labels))
}

#[cfg(test)]
mod tests;
