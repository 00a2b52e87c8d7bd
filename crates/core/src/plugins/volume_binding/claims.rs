//! A pod's claims, and what a node has for them.
//! Leaves out scores and events.

mod shortage;

use crate::framework::{Basis, Fact, Reads, Trait};
use crate::plugins::claims::{claim_not_found, names_nodes, not_owned};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, PodVolume};
use aisched_model::selector::{Operator, Requirement, any_term_matches};
use aisched_model::snapshot::Snapshot;
use aisched_model::topology::Nearby;
use aisched_model::volume::{BindingMode, Claim, StorageCapacity, StorageClass, Volume};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Provisioner of classes whose volumes are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The claims of a pod, each once.
#[derive(Clone, Default)]
pub(super) struct Claims<'a> {
    /// Volumes of bound claims; `None` for one that does not exist.
    bound: Vec<Option<&'a Volume>>,
    /// Claims that a volume is being made for, or will be, on the node that they name.
    selected: Vec<Unbound<'a>>,
    /// Claims that wait for the pod's node, smallest first.
    waiting: Vec<Unbound<'a>>,
    /// What is promised of rooms.
    promised: Promised<'a>,
}

/// What is promised of rooms to claims of other pods: a driver takes it off what it says only when the volume is made.
#[derive(Clone, Default)]
struct Promised<'a> {
    /// All promises; none are told before there is a claim to be placed.
    all: Option<&'a Snapshot>,
    /// What of them is promised to the pod's own claims: those need no more room.
    own: Vec<(&'a StorageCapacity, i64)>,
}

impl<'a> Promised<'a> {
    fn beside(selected: &[Unbound<'a>], snapshot: &'a Snapshot) -> Self {
        let mut own = Vec::new();
        for Unbound { claim, class, .. } in selected {
            let Some(node) = claim.selected_node.as_ref().and_then(|node| snapshot.node(node)) else { continue };
            own.extend(snapshot.rooms_within_reach(&class.name, &node.node.labels).map(|room| (room, claim.requested)));
        }
        Self { all: Some(snapshot), own }
    }

    /// Bytes of the room that other pods' claims get.
    fn of(&self, room: &StorageCapacity) -> i128 {
        let own = self.own.iter().filter(|(of, _)| is_same(of, room)).map(|(_, bytes)| i128::from(*bytes));
        self.all.map_or(0, |snapshot| snapshot.promised(room)) - own.sum::<i128>()
    }
}

fn is_same(one: &StorageCapacity, other: &StorageCapacity) -> bool {
    one.name == other.name && one.namespace == other.namespace
}

/// A claim that is bound when its pod has a node, and where to look for a volume.
#[derive(Clone, Copy)]
struct Unbound<'a> {
    claim: &'a Arc<Claim>,
    class: &'a StorageClass,
    /// Volumes that name the claim.
    reserved: Option<&'a BTreeMap<Str, Arc<Volume>>>,
    free: Option<&'a Nearby<Volume>>,
    room: Room<'a>,
    /// Nodes, each with a class that nothing is made of there for the time being.
    failing: &'a BTreeSet<(Str, Str)>,
}

/// Whether there is room for a volume of a class.
#[derive(Clone, Copy)]
enum Room<'a> {
    /// The driver does not say.
    Unknown,
    /// Where it says so; `None`: nowhere.
    Known(Option<&'a Nearby<StorageCapacity>>),
}

/// What a node has for the claims that are not bound.
pub(super) struct Placement<'a> {
    /// A volume.
    pub(super) bind: Vec<(&'a Arc<Claim>, &'a Arc<Volume>)>,
    /// A place to make one, with the room there where that is known.
    pub(super) provision: Vec<(&'a Arc<Claim>, Option<&'a Arc<StorageCapacity>>)>,
}

/// What stands against a node.
#[derive(Default)]
pub(super) struct Obstacles<'a> {
    pub(super) out_of_reach: Option<&'a Volume>,
    pub(super) no_volume: Option<&'a Claim>,
    pub(super) no_room: Option<NoRoom<'a>>,
    lost: bool,
}

/// A claim that there is no room for, beside what the pod's other claims get.
pub(super) struct NoRoom<'a> {
    unbound: Unbound<'a>,
    beside: Vec<(&'a Arc<Claim>, Option<&'a Arc<StorageCapacity>>)>,
}

impl Obstacles<'_> {
    /// In kube-scheduler's words and order.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &'static str> {
        let reasons = [
            (self.out_of_reach.is_some(), "node(s) didn't match PersistentVolume's node affinity"),
            (self.no_volume.is_some(), "node(s) didn't find available persistent volumes to bind"),
            (self.no_room.is_some(), "node(s) did not have enough free storage"),
            (self.lost, "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
        ];
        reasons.into_iter().filter_map(|(applies, reason)| applies.then_some(reason))
    }

    fn none(&self) -> bool {
        self.reasons().next().is_none()
    }

    /// The claims concerned, as far as they are known.
    pub(super) fn claims(&self) -> impl Iterator<Item = &Str> {
        let out_of_reach = self.out_of_reach.and_then(|volume| volume.claim.as_ref()).map(|(_, name, _)| name);
        let unbound = self.no_volume.into_iter().chain(self.no_room.as_ref().map(|room| &**room.unbound.claim)).map(|claim| &claim.name);
        out_of_reach.into_iter().chain(unbound)
    }
}

impl<'a> Claims<'a> {
    /// Looks the claims of a pod up; the reason why it can go nowhere when one of them is no use.
    pub(super) fn of(pod: &'a Pod, snapshot: &'a Snapshot) -> Result<Self, String> {
        let used = pod.spec.volumes.iter().filter(|v| matches!(v, PodVolume::Claim { .. } | PodVolume::Ephemeral { .. }));
        let mut found: Vec<&Arc<Claim>> = Vec::new();
        for (volume, name) in used.zip(pod.claims()) {
            let claim = usable(pod, volume, &name, snapshot)?;
            if found.iter().all(|seen| seen.name != claim.name) {
                found.push(claim);
            }
        }
        let mut claims = Self::default();
        for claim in found {
            if let Some(volume) = claim.volume.as_ref().filter(|_| claim.bind_completed) {
                claims.bound.push(snapshot.volumes.get(volume).map(|v| &**v));
                continue;
            }
            match Unbound::of(claim, snapshot) {
                None => return Err("pod has unbound immediate PersistentVolumeClaims".into()),
                Some(unbound) if claim.selected_node.is_some() => claims.selected.push(unbound),
                Some(unbound) => claims.waiting.push(unbound),
            }
        }
        claims.waiting.sort_by_key(|unbound| unbound.claim.requested);
        claims.promised = Promised::beside(&claims.selected, snapshot);
        Ok(claims)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bound.is_empty() && self.selected.is_empty() && self.waiting.is_empty()
    }

    /// Whether all claims have their volumes, so that nothing is to be chosen.
    pub(super) fn all_bound(&self) -> bool {
        self.selected.is_empty() && self.waiting.is_empty()
    }

    /// Whether all claims have volumes that every node reaches.
    pub(super) fn suit_every_node(&self) -> bool {
        let anywhere = |v: &Volume| v.node_affinity.is_none() && v.migrated_affinity.is_none();
        self.all_bound() && self.bound.iter().all(|volume| volume.is_some_and(anywhere))
    }

    /// What verdicts come from: the affinity of volumes, unless it names nodes one by one, and where classes may have volumes made. What
    /// volumes and room there are for claims without one changes all the time.
    pub(super) fn reads(&self, snapshot: &Snapshot) -> Reads {
        let mut basis = Basis::new();
        for volume in &self.bound {
            match volume {
                None => basis.push(Fact::Number(0)),
                Some(volume) if names_nodes(volume, snapshot) => return Reads::Anything,
                Some(volume) => {
                    basis.push(Fact::Name(volume.in_tree.clone().unwrap_or_default()));
                    let affinities = [&volume.node_affinity, &volume.migrated_affinity];
                    basis.extend(affinities.map(|terms| terms.clone().map_or(Fact::Number(1), Fact::Terms)));
                }
            }
        }
        for unbound in self.selected.iter().chain(&self.waiting) {
            if !unbound.is_made_by_class_alone() {
                return Reads::Anything;
            }
            basis.push(Fact::Name(unbound.class.provisioner.clone()));
            basis.push(Fact::Terms(unbound.class.allowed_topologies.clone()));
        }
        Reads::Node(basis)
    }

    /// The values of the one label that tells, of which a node must have one; `None` when that cannot be said.
    pub(super) fn named_values(&self) -> Option<Vec<&'a Str>> {
        let terms = self.bound.iter().flatten().filter_map(|volume| volume.node_affinity.as_ref()).flatten();
        let mut values = Vec::new();
        for term in terms {
            let [Requirement { operator: Operator::In, values: named, .. }] = term.labels.as_slice() else { return None };
            values.extend(named);
        }
        Some(values)
    }

    /// What of a node tells whether it reaches the volumes, when all claims have theirs and one label tells.
    pub(super) fn one_trait(&self) -> Option<Trait<'a>> {
        let affine = || self.bound.iter().flatten().filter(|volume| volume.node_affinity.is_some() || volume.migrated_affinity.is_some());
        let terms = || affine().flat_map(|volume| volume.node_affinity.iter().flatten());
        if !self.all_bound() || affine().any(|volume| volume.migrated_affinity.is_some()) || terms().any(|term| !term.fields.is_empty()) {
            return None;
        }
        let mut keys = terms().flat_map(|term| &term.labels).map(|r| &r.key);
        let Some(first) = keys.next() else { return Some(Trait::Cordon) }; // any will do: all nodes are alike
        keys.all(|key| key == first).then_some(Trait::Label(first))
    }

    /// What a node has for the claims, or what it lacks.
    pub(super) fn on(&self, info: &NodeInfo) -> Result<Placement<'a>, Obstacles<'a>> {
        let node = &*info.node;
        let mut obstacles = Obstacles::default();
        match self.bound.iter().find(|volume| volume.is_none_or(|v| !v.is_reachable_once_bound(&node.labels, migrated_plugins(info)))) {
            Some(Some(volume)) => obstacles.out_of_reach = Some(volume),
            Some(None) => obstacles.lost = true,
            None => {}
        }
        let mut placement = Placement { bind: Vec::new(), provision: Vec::new() };
        if let Some(other) = self.selected.iter().find(|u| u.claim.selected_node.as_ref() != Some(&node.name)) {
            obstacles.no_volume = Some(other.claim);
            return Err(obstacles);
        }
        let mut unmatched = Vec::new();
        for unbound in &self.waiting {
            match unbound.volume_for(&node.labels, &placement.bind) {
                Some(volume) => placement.bind.push((unbound.claim, volume)),
                None => unmatched.push(unbound),
            }
        }
        for unbound in self.selected.iter().chain(unmatched) {
            if !unbound.can_be_made(node) {
                obstacles.no_volume = Some(unbound.claim);
                break;
            }
            let failing = unbound.is_failing(&node.name);
            match unbound.room_for(&node.labels, &placement.provision, &self.promised) {
                Ok(room) if !failing => placement.provision.push((unbound.claim, room)),
                Ok(_) | Err(()) => {
                    obstacles.no_room = Some(NoRoom { unbound: *unbound, beside: core::mem::take(&mut placement.provision) });
                    break;
                }
            }
        }
        if obstacles.none() { Ok(placement) } else { Err(obstacles) }
    }
}

/// Plugins whose volumes are a driver's on the node.
pub(super) fn migrated_plugins(node: &NodeInfo) -> &[Str] {
    node.csi.as_ref().map_or(&[], |csi_node| &csi_node.migrated_plugins)
}

/// The claim of a pod's volume, or why no node will do as long as it is like this.
fn usable<'a>(pod: &Pod, volume: &PodVolume, name: &Str, snapshot: &'a Snapshot) -> Result<&'a Arc<Claim>, String> {
    let ephemeral = matches!(volume, PodVolume::Ephemeral { .. });
    let Some(claim) = snapshot.claim(&pod.namespace, name) else {
        return Err(if ephemeral {
            format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
        } else {
            claim_not_found(name)
        });
    };
    if claim.lost {
        let volume = claim.volume.as_deref().unwrap_or_default();
        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
    }
    if claim.deleting {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    match not_owned(pod, claim).filter(|_| ephemeral) {
        Some(reason) => Err(reason),
        None => Ok(claim),
    }
}

impl<'a> Unbound<'a> {
    /// `None` when the claim is bound without regard to pods: then it has to be bound first.
    fn of(claim: &'a Arc<Claim>, snapshot: &'a Snapshot) -> Option<Self> {
        let class = snapshot.classes.get(claim.storage_class.as_ref()?)?;
        if claim.volume.is_some() || class.binding_mode != BindingMode::WaitForFirstConsumer {
            return None;
        }
        let tells = snapshot.csi_drivers.get(&class.provisioner).is_some_and(|driver| driver.storage_capacity);
        Some(Self {
            claim,
            class,
            reserved: snapshot.claimed_volumes.get(&(claim.namespace.clone(), claim.name.clone())),
            free: snapshot.free_volumes.get(&class.name),
            failing: &snapshot.no_provisioning,
            room: if tells { Room::Known(snapshot.room.get(&class.name)) } else { Room::Unknown },
        })
    }

    /// The volume that the claim gets on a node with these labels: its own if there is one, else the smallest that will do and that no
    /// other claim of the pod has got.
    fn volume_for(&self, labels: &Labels, taken: &[(&Arc<Claim>, &Arc<Volume>)]) -> Option<&'a Arc<Volume>> {
        let fits = |volume: &Volume| {
            volume.capacity >= self.claim.requested
                && volume.block == self.claim.block
                && volume.attributes_class == self.claim.attributes_class
                && !volume.deleting
                && taken.iter().all(|(_, other)| other.name != volume.name)
        };
        let own = |volume: &&Arc<Volume>| volume.is_for(self.claim) && volume.storage_class == self.class.name && fits(volume);
        if let Some(volume) = self.reserved.into_iter().flat_map(BTreeMap::values).find(own) {
            return volume.is_reachable(labels).then_some(volume);
        }
        self.free?.smallest(labels, self.claim.requested, |volume| {
            fits(volume)
                && volume.is_reachable(labels)
                && self.claim.selector.as_ref().is_none_or(|s| s.matches(&volume.labels))
                && volume.access_modes.contains(self.claim.access_modes)
        })
    }

    /// Whether nothing but its class says where its volume can be made: there is none that it could have, and no room is known.
    fn is_made_by_class_alone(&self) -> bool {
        let unknown = matches!(self.room, Room::Unknown) && self.failing.is_empty();
        unknown && self.claim.selected_node.is_none() && self.reserved.is_none() && self.free.is_none()
    }

    /// Whether volumes of the class are made for this node at all.
    fn can_be_made(&self, node: &Node) -> bool {
        let terms = &self.class.allowed_topologies;
        !self.class.provisioner.is_empty()
            && *self.class.provisioner != *NO_PROVISIONER
            && (terms.is_empty() || any_term_matches(terms, &node.name, &node.labels))
    }

    /// Whether a volume of the class could not be made on the node lately; one that is being made there already is waited for.
    fn is_failing(&self, node: &Str) -> bool {
        !self.failing.is_empty() && self.claim.selected_node.is_none() && self.failing.contains(&(node.clone(), self.class.name.clone()))
    }

    /// Room for the claim's volume beside those of the pod's other claims and what is promised to other pods'; `Ok(None)` where the driver
    /// does not say.
    fn room_for(
        &self,
        labels: &Labels,
        beside: &[(&Arc<Claim>, Option<&Arc<StorageCapacity>>)],
        promised: &Promised<'_>,
    ) -> Result<Option<&'a Arc<StorageCapacity>>, ()> {
        let Room::Known(rooms) = self.room else { return Ok(None) };
        let taken = |room: &StorageCapacity| {
            let own = beside.iter().filter(|(_, other)| other.is_some_and(|other| is_same(other, room)));
            own.map(|(claim, _)| i128::from(claim.requested)).sum::<i128>() + promised.of(room)
        };
        let is_enough = |room: &StorageCapacity| match taken(room) {
            0 => true, // the driver's limit of one volume is all that counts
            taken => room.size().is_none_or(|size| i128::from(size) - taken >= i128::from(self.claim.requested)),
        };
        let fits = |room: &StorageCapacity| room.nodes.as_ref().is_some_and(|nodes| nodes.matches(labels)) && is_enough(room);
        rooms.and_then(|rooms| rooms.smallest(labels, self.claim.requested, fits)).map(Some).ok_or(())
    }
}
