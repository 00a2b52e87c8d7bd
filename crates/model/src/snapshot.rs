//! The cluster at one moment, as every plugin sees it: nodes with what their pods use, claims, volumes, classes, drivers.
//! Leaves out how it is kept up to date: that is `aisched-core`'s cache.

mod promised;

use crate::Str;
use crate::devices::Inventory;
use crate::disruption::DisruptionBudget;
use crate::foreign::ForeignObjects;
use crate::gang::{GangKey, Placed};
use crate::history::History;
use crate::labels::Labels;
use crate::node::{Budgets, NodeInfo};
use crate::nominated::Nominated;
use crate::owners::Owners;
use crate::pod::{Pod, PodSpec};
use crate::storage_facts::IoDemand;
use crate::topology::{Nearby, reach_of_requirements, reach_of_terms};
use crate::volume::{Attachment, Claim, CsiDriver, CsiNode, DriverVolume, StorageCapacity, StorageClass, Volume};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Namespace and name.
pub type NamespacedName = (Str, Str);

/// The cluster at one moment. Cloning shares the nodes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Nodes that have an object, by name.
    pub nodes: Vec<Arc<NodeInfo>>,
    /// Claims; kept with their index by [`Snapshot::set_claim`] and [`Snapshot::remove_claim`].
    pub claims: BTreeMap<NamespacedName, Arc<Claim>>,
    /// Bytes of the volumes that are being made, by node and class; kept by [`Snapshot::set_claim`] and [`Snapshot::remove_claim`].
    being_made: BTreeMap<Str, BTreeMap<Str, i128>>,
    /// What of each room that is, asked for by [`Snapshot::promised`].
    promised: BTreeMap<NamespacedName, i128>,
    /// Volumes by name; [`Snapshot::set_volume`] and [`Snapshot::remove_volume`] keep the two indices over them.
    pub volumes: BTreeMap<Str, Arc<Volume>>,
    /// Claims that name a volume, by the volume; kept by [`Snapshot::set_claim`] and [`Snapshot::remove_claim`].
    pub bound_claims: BTreeMap<Str, Vec<NamespacedName>>,
    /// Volumes that any claim may have, by class.
    pub free_volumes: BTreeMap<Str, Nearby<Volume>>,
    /// Volumes that name a claim, by the claim.
    pub claimed_volumes: BTreeMap<NamespacedName, BTreeMap<Str, Arc<Volume>>>,
    /// Classes by name.
    pub classes: BTreeMap<Str, Arc<StorageClass>>,
    /// I/O promised to placed pods by the storage backends of their claims, kept by [`Snapshot::promise_io`].
    pub backends: BTreeMap<Str, IoDemand>,
    /// Drivers by node name.
    pub csi_nodes: BTreeMap<Str, Arc<CsiNode>>,
    /// How drivers want to be treated, by name.
    pub csi_drivers: BTreeMap<Str, Arc<CsiDriver>>,
    /// Room for new volumes, by name; kept with its index by [`Snapshot::set_capacity`] and [`Snapshot::remove_capacity`].
    pub capacities: BTreeMap<NamespacedName, Arc<StorageCapacity>>,
    /// Room for new volumes, by class; its size is the largest volume that can be made.
    pub room: BTreeMap<Str, Nearby<StorageCapacity>>,
    /// Nodes, each with a class of which a volume could not be made there lately.
    pub no_provisioning: BTreeSet<(Str, Str)>,
    /// Pods that a node's kubelet has turned away lately, by node, each with the kubelet's reason.
    pub turned_away: BTreeMap<Str, Vec<(Arc<PodSpec>, Str)>>,
    /// Volumes attached to nodes, by name; kept with its index by [`Snapshot::set_attachment`] and [`Snapshot::remove_attachment`].
    pub attachments: BTreeMap<Str, Arc<Attachment>>,
    /// Volumes attached to nodes, by node.
    pub attached: BTreeMap<Str, BTreeMap<Str, Arc<Attachment>>>,
    /// Nodes that a volume is attached to, by volume and attachment.
    pub attached_to: BTreeMap<Str, BTreeMap<Str, Str>>,
    /// Services and controllers.
    pub owners: Owners,
    /// How often a handle is on a node, for a pod or as an attachment.
    pub handles: BTreeMap<Str, usize>,
    /// Labels of namespaces.
    pub namespaces: BTreeMap<Str, Labels>,
    /// Names of the nodes whose pods use a claim, once per pod.
    pub claim_users: BTreeMap<NamespacedName, Vec<Str>>,
    /// How many nodes have an image, by every name of the image.
    pub image_nodes: BTreeMap<Str, usize>,
    /// How many placed pods there are of each priority, kept by [`Snapshot::count_priority`]: where none is lower, none can be preempted.
    pub priorities: BTreeMap<i32, usize>,
    /// Disruption budgets.
    pub budgets: BTreeMap<NamespacedName, Arc<DisruptionBudget>>,
    /// Pods that are promised a node, and pods that have to leave.
    pub nominated: Nominated,
    /// When objects that scores rest on were last told, by kind and name, in milliseconds of the engine's clock.
    pub heard: BTreeMap<Str, u64>,
    /// Where pods of this scheduler ran lately.
    pub history: Arc<History>,
    /// Objects of other systems.
    pub foreign: ForeignObjects,
    /// How many placed pods with terms of pod affinity or anti-affinity each node has, kept by [`Snapshot::count_terms`].
    pub terms: BTreeMap<Str, usize>,
    /// How many placed pods of a gang each node has, kept by [`Snapshot::count_member`].
    pub gangs: Crews,
    /// How many placed pods of a pipeline each node has, kept by [`Snapshot::count_member`].
    pub pipelines: Crews,
    /// Devices and claims to them.
    pub devices: Inventory,
    /// Nodes with a client of a volume, by the volume's handle (the namespace is empty), kept by [`Snapshot::count_member`].
    pub mounts: Crews,
    /// Members of gangs that have a node, by UID, kept by [`Snapshot::count_member`].
    pub members: BTreeMap<GangKey, BTreeMap<Str, Placed>>,
}

/// Pods that belong together, by namespace and name: how many of them each node has.
pub type Crews = BTreeMap<NamespacedName, BTreeMap<Str, usize>>;

impl Snapshot {
    /// Position of a node in `nodes`.
    #[must_use]
    pub fn node_idx(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|n| (*n.node.name).cmp(name)).ok()
    }

    /// A node by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.node_idx(name).map(|i| &self.nodes[i])
    }

    /// A claim.
    #[must_use]
    pub fn claim(&self, namespace: &Str, name: &Str) -> Option<&Arc<Claim>> {
        self.claims.get(&(namespace.clone(), name.clone()))
    }

    /// Adds or replaces a claim; returns what was there.
    pub fn set_claim(&mut self, claim: Arc<Claim>) -> Option<Arc<Claim>> {
        let key = (claim.namespace.clone(), claim.name.clone());
        let old = self.remove_claim(&key);
        self.count_pending(&claim, true);
        if let Some(volume) = &claim.volume {
            self.bound_claims.entry(volume.clone()).or_default().push(key.clone());
        }
        self.claims.insert(key, claim);
        old
    }

    /// Takes a claim away.
    pub fn remove_claim(&mut self, key: &NamespacedName) -> Option<Arc<Claim>> {
        let old = self.claims.remove(key)?;
        self.count_pending(&old, false);
        if let Some(volume) = &old.volume
            && let Some(claims) = self.bound_claims.get_mut(volume)
        {
            claims.retain(|claim| claim != key);
            if claims.is_empty() {
                self.bound_claims.remove(volume);
            }
        }
        Some(old)
    }

    /// Counts handles that came to a node (`there`) or left it.
    pub fn count_handles(&mut self, volumes: &[DriverVolume], there: bool) {
        for volume in volumes {
            let count = self.handles.entry(volume.handle.clone()).or_default();
            *count = if there { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.handles.remove(&volume.handle);
            }
        }
    }

    /// Counts what pods that came (`there`) or left take from storage backends.
    pub fn promise_io(&mut self, backends: &[Str], io: IoDemand, there: bool) {
        for name in backends.iter().filter(|_| io != IoDemand::default()) {
            let promised = self.backends.entry(name.clone()).or_default();
            if there {
                promised.add(io)
            } else {
                promised.sub(io)
            }
            if *promised == IoDemand::default() {
                self.backends.remove(name);
            }
        }
    }

    /// What is left of a storage backend's budgets: the least that a class of it tells, less what was promised when `accounting` is on.
    #[must_use]
    pub fn backend_left(&self, name: &Str, accounting: bool) -> Budgets {
        let of_backend = self.classes.values().filter(|class| class.facts.backend.as_ref() == Some(name));
        let offered = of_backend.map(|class| class.offers).fold(Budgets::default(), Budgets::or_less);
        if accounting { offered.less(self.backends.get(name).copied().unwrap_or_default()) } else { offered }
    }

    /// Counts a pod that came (`there`) or left.
    pub fn count_priority(&mut self, priority: i32, there: bool) {
        let count = self.priorities.entry(priority).or_default();
        *count = if there { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.priorities.remove(&priority);
        }
    }

    /// Whether any placed pod has a lower priority than this.
    #[must_use]
    pub fn has_below(&self, priority: i32) -> bool {
        self.priorities.first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }

    /// Counts a pod that came to a node (`there`) or left it, if it has terms of pod affinity or anti-affinity.
    pub fn count_terms(&mut self, pod: &Pod, node: &Str, there: bool) {
        if !pod.spec.has_pod_affinity() {
            return;
        }
        let count = self.terms.entry(node.clone()).or_default();
        *count = if there { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.terms.remove(node);
        }
    }

    /// The nodes whose pods have terms of pod affinity or anti-affinity, and perhaps others.
    pub fn nodes_with_terms(&self) -> impl Iterator<Item = &Arc<NodeInfo>> {
        // Looking a node up costs as much as passing over some twenty.
        let many = self.terms.len() * 20 > self.nodes.len();
        let all = self.nodes.iter().take(if many { usize::MAX } else { 0 });
        all.chain(self.terms.keys().filter(move |_| !many).filter_map(|name| self.node(name)))
    }

    /// Counts a pod that came to a node (`there`) or left it, where it belongs with others.
    pub fn count_member(&mut self, pod: &Pod, node: &Str, there: bool) {
        self.set_member(pod, node, there);
        let own = &pod.namespace;
        let crews = [
            (&mut self.gangs, own, pod.gang()),
            (&mut self.pipelines, own, pod.pipeline()),
            (&mut self.mounts, &Str::default(), pod.mounts()),
        ];
        for (crews, namespace, name) in crews {
            let Some(name) = name else { continue };
            let key = (namespace.clone(), name.clone());
            let crew = crews.entry(key.clone()).or_default();
            let count = crew.entry(node.clone()).or_default();
            *count = if there { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                crew.remove(node);
                if crew.is_empty() {
                    crews.remove(&key);
                }
            }
        }
    }

    fn set_member(&mut self, pod: &Pod, node: &Str, there: bool) {
        let Some(gang) = &pod.spec.gang else { return };
        let key = gang.key(&pod.namespace);
        if there {
            let (part, priority, deleting) = (gang.part.clone(), pod.spec.priority, pod.deleting);
            let placed = Placed { node: node.clone(), part, priority, deleting };
            self.members.entry(key).or_default().insert(pod.uid.clone(), placed);
        } else if let Some(members) = self.members.get_mut(&key) {
            members.remove(&pod.uid);
            if members.is_empty() {
                self.members.remove(&key);
            }
        }
    }

    /// Adds or replaces a volume; returns what was there.
    pub fn set_volume(&mut self, volume: Arc<Volume>) -> Option<Arc<Volume>> {
        let old = self.remove_volume(&volume.name);
        if let Some((namespace, name, _)) = &volume.claim {
            let of_claim = self.claimed_volumes.entry((namespace.clone(), name.clone())).or_default();
            of_claim.insert(volume.name.clone(), volume.clone());
        }
        if volume.is_free() {
            let of_class = self.free_volumes.entry(volume.storage_class.clone()).or_default();
            of_class.insert(volume.node_affinity.as_deref().and_then(reach_of_terms), volume.capacity, &volume.name, &volume);
        }
        self.volumes.insert(volume.name.clone(), volume);
        old
    }

    /// Takes a volume away.
    pub fn remove_volume(&mut self, name: &str) -> Option<Arc<Volume>> {
        let old = self.volumes.remove(name)?;
        if let Some((namespace, claim, _)) = &old.claim {
            let key = (namespace.clone(), claim.clone());
            if let Some(of_claim) = self.claimed_volumes.get_mut(&key) {
                of_claim.remove(name);
                if of_claim.is_empty() {
                    self.claimed_volumes.remove(&key);
                }
            }
        }
        if let Some(of_class) = self.free_volumes.get_mut(&old.storage_class).filter(|_| old.is_free()) {
            of_class.remove(old.node_affinity.as_deref().and_then(reach_of_terms), old.capacity, name);
            if of_class.is_empty() {
                self.free_volumes.remove(&old.storage_class);
            }
        }
        Some(old)
    }

    /// Adds or replaces what a driver says of its room; returns what was there.
    pub fn set_capacity(&mut self, capacity: Arc<StorageCapacity>) -> Option<Arc<StorageCapacity>> {
        let key = (capacity.namespace.clone(), capacity.name.clone());
        let promised = self.promised.get(&key).copied();
        let old = self.remove_capacity(&key);
        if let (Some(nodes), Some(limit)) = (&capacity.nodes, capacity.limit()) {
            let of_class = self.room.entry(capacity.storage_class.clone()).or_default();
            of_class.insert(reach_of_requirements(&nodes.0), limit, &full_name(&key), &capacity);
            // What changes all the time is how much room there is, and that changes no promise.
            let same =
                |old: &StorageCapacity| old.nodes == capacity.nodes && old.storage_class == capacity.storage_class && old.limit().is_some();
            if old.as_deref().is_some_and(same) {
                self.promised.extend(promised.map(|bytes| (key.clone(), bytes)));
            } else {
                self.count_room(&capacity);
            }
        }
        self.capacities.insert(key, capacity);
        old
    }

    /// Takes what a driver said of its room away.
    pub fn remove_capacity(&mut self, key: &NamespacedName) -> Option<Arc<StorageCapacity>> {
        let old = self.capacities.remove(key)?;
        self.promised.remove(key);
        if let (Some(nodes), Some(limit)) = (&old.nodes, old.limit())
            && let Some(of_class) = self.room.get_mut(&old.storage_class)
        {
            of_class.remove(reach_of_requirements(&nodes.0), limit, &full_name(key));
            if of_class.is_empty() {
                self.room.remove(&old.storage_class);
            }
        }
        Some(old)
    }

    /// Adds or replaces an attachment.
    pub fn set_attachment(&mut self, attachment: Arc<Attachment>) {
        self.remove_attachment(&attachment.name);
        self.attached.entry(attachment.node.clone()).or_default().insert(attachment.name.clone(), attachment.clone());
        if let Some(volume) = &attachment.volume {
            self.attached_to.entry(volume.clone()).or_default().insert(attachment.name.clone(), attachment.node.clone());
        }
        self.attachments.insert(attachment.name.clone(), attachment);
    }

    /// Takes an attachment away.
    pub fn remove_attachment(&mut self, name: &str) -> Option<Arc<Attachment>> {
        let old = self.attachments.remove(name)?;
        if let Some(on_node) = self.attached.get_mut(&old.node) {
            on_node.remove(name);
            if on_node.is_empty() {
                self.attached.remove(&old.node);
            }
        }
        if let Some(volume) = &old.volume
            && let Some(nodes) = self.attached_to.get_mut(volume)
        {
            nodes.remove(name);
            if nodes.is_empty() {
                self.attached_to.remove(volume);
            }
        }
        Some(old)
    }
}

fn full_name(key: &NamespacedName) -> Str {
    format!("{}/{}", key.0, key.1).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::selector::{LabelSelector, Operator, Requirement};

    #[test]
    fn indices_follow_the_volumes() {
        let mut snapshot = Snapshot::default();
        let free = Volume { name: "pv".into(), storage_class: "c".into(), capacity: 5, available: true, ..Volume::default() };
        let claim = Some(("ns".into(), "data".into(), "".into()));
        let n_claimed = |s: &Snapshot| s.claimed_volumes.get(&("ns".into(), "data".into())).map_or(0, BTreeMap::len);
        for (volume, n_free, claimed) in [
            (free.clone(), 1, 0),
            (Volume { capacity: 6, ..free.clone() }, 1, 0),
            (Volume { claim: claim.clone(), ..free.clone() }, 0, 1),
            (Volume { claim, available: false, ..free.clone() }, 0, 1),
            (Volume { deleting: true, ..free.clone() }, 0, 0),
            (free, 1, 0),
        ] {
            snapshot.set_volume(Arc::new(volume.clone()));
            let found = snapshot.free_volumes.get("c").and_then(|f| f.smallest(&Labels::default(), 0, |_| true));
            assert_eq!((found.is_some(), n_claimed(&snapshot)), (n_free == 1, claimed), "{volume:?}");
            assert!(found.is_none_or(|v| **v == volume), "{volume:?}");
        }
        snapshot.remove_volume("pv");
        assert!(snapshot.free_volumes.is_empty() && snapshot.claimed_volumes.is_empty() && snapshot.volumes.is_empty());
    }

    #[test]
    fn room_follows_what_drivers_say() {
        let mut snapshot = Snapshot::default();
        let host = Requirement { key: "host".into(), operator: Operator::In, values: alloc::vec!["h".into()] };
        let room = StorageCapacity {
            namespace: "ns".into(),
            name: "r".into(),
            storage_class: "c".into(),
            nodes: Some(LabelSelector(alloc::vec![host])),
            capacity: Some(10),
            maximum_volume_size: None,
        };
        let largest =
            |s: &Snapshot, size| s.room.get("c").and_then(|r| r.smallest(&Labels::from([("host", "h")]), size, |_| true)).is_some();
        for (room, fits) in [
            (room.clone(), [true, true]),
            (StorageCapacity { maximum_volume_size: Some(4), ..room.clone() }, [true, false]),
            (StorageCapacity { capacity: None, ..room.clone() }, [false, false]),
            (StorageCapacity { nodes: None, ..room.clone() }, [false, false]),
        ] {
            snapshot.set_capacity(Arc::new(room.clone()));
            assert_eq!([4, 10].map(|size| largest(&snapshot, size)), fits, "{room:?}");
        }
        snapshot.remove_capacity(&("ns".into(), "r".into()));
        assert!(snapshot.room.is_empty() && snapshot.capacities.is_empty());
    }
}
