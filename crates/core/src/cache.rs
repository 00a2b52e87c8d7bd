//! Keeps the snapshot up to date: nodes, the pods on them (assumed ones included), claims, volumes, classes.
//! Knows neither queue nor time; whatever changed is returned as values, so that the engine can wake pods.

mod volumes;

use crate::attached::volumes_of;
use crate::devices::Given;
use crate::journal::{Journal, What};
use crate::promises::Promises;
use aisched_model::Str;
use aisched_model::devices::{ClaimPlan, DeviceClaim};
use aisched_model::node::{Node, NodeInfo, PlacedPod};
use aisched_model::pod::Pod;
use aisched_model::signals::backends;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::IoDemand;
use aisched_model::volume::{Claim, Volume, VolumePlan};
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The cluster as known, and the promises made since.
#[derive(Default)]
pub struct Cache {
    snapshot: Snapshot,
    /// Pods seen on nodes that have no object: before it arrived, or after it went.
    homeless: BTreeMap<Str, NodeInfo>,
    /// Where every placed pod is.
    homes: BTreeMap<Str, Home>,
    /// Storage backends that placed pods are promised I/O of; pods without any are left out.
    backends: BTreeMap<Str, Vec<Str>>,
    /// Volumes and claims that binds under way are about.
    promises: Promises,
    /// Devices that binds under way are about to give.
    given: Given,
    /// What happened to the nodes.
    journal: Journal,
}

/// A placed pod's place.
struct Home {
    node: Str,
    /// Decided by this scheduler and not yet confirmed by the watch.
    assumed: bool,
}

/// What a node event changed.
pub enum NodeChange {
    /// It is new.
    Added,
    /// It was this before.
    Changed(Arc<Node>),
}

impl Cache {
    /// A copy of a cluster to try changes on; of its pods only these, which are on one node, can leave.
    pub(crate) fn to_try<'a>(cluster: &Snapshot, node: &Str, leaving: impl Iterator<Item = &'a Arc<Pod>>) -> Self {
        let mut cache = Self { snapshot: cluster.clone(), ..Self::default() };
        for pod in leaving {
            cache.backends.insert(pod.uid.clone(), backends(pod, cluster));
            cache.homes.insert(pod.uid.clone(), Home { node: node.clone(), assumed: false });
        }
        cache
    }

    /// What has become of it.
    pub(crate) fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What happened to the nodes.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// For objects that have no bookkeeping: claims, volumes, classes, drivers, namespaces.
    pub(crate) fn objects(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// Whether a pod has a node, assumed or confirmed.
    #[must_use]
    pub fn is_placed(&self, uid: &str) -> bool {
        self.homes.contains_key(uid)
    }

    /// Placed pods, assumed ones included.
    #[must_use]
    pub fn n_placed(&self) -> usize {
        self.homes.len()
    }

    /// Adds or replaces a node object.
    pub fn set_node(&mut self, node: Arc<Node>) -> NodeChange {
        self.count_images(&node, true);
        if let Some(old) = self.snapshot.node(&node.name).map(|info| info.node.clone()) {
            self.snapshot.count_rooms_of(&old, false);
        }
        self.snapshot.count_rooms_of(&node, true);
        let nodes = &mut self.snapshot.nodes;
        match nodes.binary_search_by(|n| n.node.name.cmp(&node.name)) {
            Ok(i) => {
                let info = Arc::make_mut(&mut nodes[i]);
                let old = core::mem::replace(&mut info.node, node);
                if old != info.node {
                    let regrouped = old.labels != info.node.labels || old.taints != info.node.taints;
                    self.journal.note(i, What::Object { regrouped });
                }
                self.count_images(&old, false);
                NodeChange::Changed(old)
            }
            Err(i) => {
                let mut info = self.homeless.remove(&node.name).unwrap_or_default();
                info.node = node;
                nodes.insert(i, Arc::new(info));
                self.journal.moved();
                self.settle_node(i);
                self.settle_pods(i, |_| true);
                NodeChange::Added
            }
        }
    }

    /// Takes a node object away; its pods stay accounted for until they go. Returns it with them.
    pub fn remove_node(&mut self, name: &str) -> Option<Arc<NodeInfo>> {
        let i = self.snapshot.node_idx(name)?;
        let info = self.snapshot.nodes.remove(i);
        self.journal.moved();
        self.count_images(&info.node, false);
        self.snapshot.count_rooms_of(&info.node, false);
        self.snapshot.count_handles(info.attached(), false);
        if !info.pods.is_empty() {
            let mut homeless = NodeInfo::clone(&info);
            homeless.set_attached(Vec::new());
            self.homeless.insert(info.node.name.clone(), homeless);
        }
        Some(info)
    }

    /// Places a pod before the API server knows of it.
    pub fn assume(&mut self, pod: &Arc<Pod>, node: &Str, io: IoDemand) {
        let mut placed = Pod::clone(pod);
        placed.node = Some(node.clone());
        self.place(Arc::new(placed), node.clone(), io, true);
    }

    /// Takes a pod's volumes as bound before they are.
    pub(crate) fn assume_volumes(&mut self, pod: &Str, node: &Str, plan: &VolumePlan) {
        self.promises.make(&mut self.snapshot, pod, node, plan);
    }

    /// Takes a pod's claims as having their devices before they do.
    pub(crate) fn assume_claims(&mut self, pod: &Str, plan: &ClaimPlan) {
        self.given.make(&mut self.snapshot.devices, pod, plan);
    }

    /// The pod's bind has ended, well or not: what its claims have, the objects say. Returns those that have nothing any more.
    pub(crate) fn release_claims(&mut self, pod: &str) -> Vec<Arc<DeviceClaim>> {
        self.given.end(&mut self.snapshot.devices, pod)
    }

    /// Adds or replaces a claim to devices, unless what is known of it is newer; returns what was there and what is there now.
    pub(crate) fn set_device_claim(&mut self, claim: Arc<DeviceClaim>) -> Option<(Option<Arc<DeviceClaim>>, Arc<DeviceClaim>)> {
        let known = self.snapshot.devices.claim(&claim.namespace, &claim.name);
        if known.is_some_and(|known| known.uid == claim.uid && claim.version != 0 && claim.version <= known.version) {
            return None;
        }
        let claim = self.given.shown(claim);
        Some((self.snapshot.devices.set_claim(claim.clone()), claim))
    }

    /// A pod's volumes are bound: the watch will show it.
    pub(crate) fn keep_volumes(&mut self, pod: &str) {
        self.promises.keep(pod);
    }

    /// A pod's volumes will not be bound; returns those that are free again, and the claims that no volume is made for.
    pub(crate) fn take_back_volumes(&mut self, pod: &str) -> (Vec<Arc<Volume>>, Vec<Arc<Claim>>) {
        self.promises.take_back(&mut self.snapshot, pod)
    }

    /// Takes back what was promised to claims of this name other than the one with this UID; returns the volumes that are free again.
    pub(crate) fn forsake(&mut self, name: (&Str, &Str), uid: Option<&Str>) -> Vec<Arc<Volume>> {
        self.promises.forsake(&mut self.snapshot, name, uid)
    }

    /// Takes an assumption back; a confirmed pod stays.
    pub fn forget(&mut self, uid: &str) -> Option<Arc<Pod>> {
        if !self.homes.get(uid)?.assumed {
            return None;
        }
        self.remove_pod(uid)
    }

    /// Adds, confirms or replaces a bound pod; returns what was there before, if it was confirmed.
    /// `io` counts only when this cache did not assume the pod itself: then its promise stands.
    pub fn set_pod(&mut self, pod: Arc<Pod>, node: &Str, io: IoDemand) -> Option<Arc<Pod>> {
        let before = self.homes.get(&pod.uid).map(|home| home.assumed);
        let old = before.and_then(|_| self.take(&pod.uid));
        let io = old.as_ref().map_or(io, |placed| placed.io);
        self.place(pod, node.clone(), io, false);
        old.filter(|_| before == Some(false)).map(|placed| placed.pod)
    }

    /// A pod that was placed here and that the watch has not shown in its place yet.
    pub(crate) fn assumed(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.placed(uid).filter(|_| self.homes.get(uid).is_some_and(|home| home.assumed))
    }

    /// A pod that has a node.
    pub(crate) fn placed(&self, uid: &str) -> Option<&Arc<Pod>> {
        let home = self.homes.get(uid)?;
        let node = self.snapshot.node(&home.node).map(|node| &**node).or_else(|| self.homeless.get(&home.node))?;
        node.pods.iter().find(|placed| *placed.pod.uid == *uid).map(|placed| &placed.pod)
    }

    /// Takes a pod away.
    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<Pod>> {
        self.take(uid).map(|placed| placed.pod)
    }

    /// Reckons anew what placed pods take, once everything is known that it depends on. `io` says what a confirmed pod takes; what a pod
    /// was promised by this process stands.
    pub(crate) fn recount_io(&mut self, io: impl Fn(&Snapshot, &Pod) -> Option<IoDemand>) {
        let placed = self.snapshot.nodes.iter().flat_map(|node| &node.pods).chain(self.homeless.values().flat_map(|node| &node.pods));
        let pods: Vec<Arc<Pod>> = placed.map(|placed| placed.pod.clone()).collect();
        for pod in pods {
            let Some(home) = self.homes.get(&pod.uid) else { continue };
            let told = if home.assumed { None } else { io(&self.snapshot, &pod) };
            let promised = self.backends.get(&pod.uid).map_or(&[][..], Vec::as_slice);
            if promised == backends(&pod, &self.snapshot) && told.is_none_or(|told| self.io_of(&pod.uid) == Some(told)) {
                continue;
            }
            let (node, assumed) = (home.node.clone(), home.assumed);
            if let Some(placed) = self.take(&pod.uid) {
                self.place(placed.pod, node, told.unwrap_or(placed.io), assumed);
            }
        }
    }

    /// What a placed pod was promised.
    fn io_of(&self, uid: &str) -> Option<IoDemand> {
        let home = self.homes.get(uid)?;
        let node = self.snapshot.node(&home.node).map(|node| &**node).or_else(|| self.homeless.get(&home.node))?;
        node.pods.iter().find(|placed| *placed.pod.uid == *uid).map(|placed| placed.io)
    }

    fn place(&mut self, pod: Arc<Pod>, node: Str, io: IoDemand, assumed: bool) {
        for claim in pod.claims() {
            self.snapshot.claim_users.entry((pod.namespace.clone(), claim)).or_default().push(node.clone());
        }
        self.snapshot.count_priority(pod.spec.priority, true);
        self.snapshot.count_member(&pod, &node, true);
        self.snapshot.count_terms(&pod, &node, true);
        let backends = backends(&pod, &self.snapshot);
        self.snapshot.promise_io(&backends, io, true);
        if !backends.is_empty() {
            self.backends.insert(pod.uid.clone(), backends);
        }
        self.homes.insert(pod.uid.clone(), Home { node: node.clone(), assumed });
        let placed = PlacedPod { volumes: volumes_of(&pod, &self.snapshot), pod, io };
        self.snapshot.count_handles(&placed.volumes, true);
        match self.snapshot.node_idx(&node) {
            Some(i) => {
                self.journal.note(i, What::Came(placed.pod.clone()));
                Arc::make_mut(&mut self.snapshot.nodes[i]).add(placed);
            }
            None => self.homeless.entry(node).or_default().add(placed),
        }
    }

    fn take(&mut self, uid: &str) -> Option<PlacedPod> {
        let home = self.homes.remove(uid)?;
        let placed = match self.snapshot.node_idx(&home.node) {
            Some(i) => {
                let placed = Arc::make_mut(&mut self.snapshot.nodes[i]).remove(uid);
                if let Some(placed) = &placed {
                    self.journal.note(i, What::Left(placed.pod.clone()));
                }
                placed
            }
            None => self.remove_homeless(&home.node, uid),
        }?;
        self.snapshot.count_handles(&placed.volumes, false);
        self.snapshot.count_priority(placed.pod.spec.priority, false);
        self.snapshot.count_member(&placed.pod, &home.node, false);
        self.snapshot.count_terms(&placed.pod, &home.node, false);
        self.snapshot.promise_io(&self.backends.remove(uid).unwrap_or_default(), placed.io, false);
        for claim in placed.pod.claims() {
            if let Entry::Occupied(mut users) = self.snapshot.claim_users.entry((placed.pod.namespace.clone(), claim)) {
                if let Some(i) = users.get().iter().position(|n| *n == home.node) {
                    users.get_mut().swap_remove(i);
                }
                if users.get().is_empty() {
                    users.remove();
                }
            }
        }
        Some(placed)
    }

    fn remove_homeless(&mut self, node: &Str, uid: &str) -> Option<PlacedPod> {
        let Entry::Occupied(mut info) = self.homeless.entry(node.clone()) else { return None };
        let placed = info.get_mut().remove(uid);
        if info.get().pods.is_empty() {
            info.remove();
        }
        placed
    }

    fn count_images(&mut self, node: &Node, there: bool) {
        let names: BTreeSet<&Str> = node.images.iter().map(|(name, _)| name).collect();
        for image in names {
            match self.snapshot.image_nodes.entry(image.clone()) {
                Entry::Occupied(mut n) if there => *n.get_mut() += 1,
                Entry::Occupied(n) if *n.get() == 1 => {
                    n.remove();
                }
                Entry::Occupied(mut n) => *n.get_mut() -= 1,
                Entry::Vacant(n) if there => {
                    n.insert(1);
                }
                Entry::Vacant(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{claiming, node, pod, requesting};
    use aisched_model::resources::MilliCpu;

    fn used(cache: &Cache, node: &str) -> MilliCpu {
        cache.snapshot().node(node).unwrap().requested.cpu
    }

    fn bound(mut pod: Pod, node: &str) -> Arc<Pod> {
        pod.node = Some(node.into());
        Arc::new(pod)
    }

    #[test]
    fn assumed_pod_counts_once_when_the_watch_confirms_it() {
        let mut cache = Cache::default();
        cache.set_node(Arc::new(node("n")));
        let pod = Arc::new(requesting("p", "500m", "1Gi"));
        cache.assume(&pod, &"n".into(), IoDemand { iops: 7, ..IoDemand::default() });
        assert_eq!(used(&cache, "n"), MilliCpu(500));
        cache.set_pod(bound(Pod::clone(&pod), "n"), &"n".into(), IoDemand::default());
        assert_eq!(used(&cache, "n"), MilliCpu(500));
        assert_eq!(cache.snapshot().node("n").unwrap().io_promised.iops, 7);
        assert!(cache.forget("uid-p").is_none(), "a confirmed pod is not forgotten");
        assert!(cache.remove_pod("uid-p").is_some());
        assert_eq!((used(&cache, "n"), cache.n_placed()), (MilliCpu(0), 0));
    }

    #[test]
    fn assumption_is_corrected_when_the_pod_is_bound_elsewhere() {
        let mut cache = Cache::default();
        cache.set_node(Arc::new(node("a")));
        cache.set_node(Arc::new(node("b")));
        let pod = Arc::new(requesting("p", "500m", "1Gi"));
        cache.assume(&pod, &"a".into(), IoDemand::default());
        cache.set_pod(bound(Pod::clone(&pod), "b"), &"b".into(), IoDemand::default());
        assert_eq!((used(&cache, "a"), used(&cache, "b")), (MilliCpu(0), MilliCpu(500)));
    }

    #[test]
    fn pods_of_a_node_without_object_wait_for_it() {
        let mut cache = Cache::default();
        cache.set_pod(bound(requesting("p", "1", "1Gi"), "n"), &"n".into(), IoDemand::default());
        assert!(cache.snapshot().nodes.is_empty());
        cache.set_node(Arc::new(node("n")));
        assert_eq!(used(&cache, "n"), MilliCpu(1000));
        cache.remove_node("n");
        cache.set_node(Arc::new(node("n")));
        assert_eq!(used(&cache, "n"), MilliCpu(1000));
        cache.remove_node("n");
        cache.remove_pod("uid-p");
        assert!(cache.homeless.is_empty() && cache.homes.is_empty());
    }

    #[test]
    fn priorities_are_counted_while_pods_are_placed() {
        let mut cache = Cache::default();
        let low = |uid: &str| bound(crate::fixture::with(pod(uid), |s| s.priority = -5), "n");
        for uid in ["p", "q"] {
            cache.set_pod(low(uid), &"n".into(), IoDemand::default());
            cache.set_pod(low(uid), &"n".into(), IoDemand::default());
        }
        assert!(cache.snapshot().has_below(-4) && !cache.snapshot().has_below(-5));
        cache.remove_pod("uid-p");
        assert!(cache.snapshot().has_below(0));
        cache.remove_pod("uid-q");
        assert!(!cache.snapshot().has_below(i32::MAX) && cache.snapshot().priorities.is_empty());
    }

    #[test]
    fn claims_and_images_are_counted_while_used() {
        let mut cache = Cache::default();
        let image = Node { images: alloc::vec![("img".into(), 1)], ..node("a") };
        cache.set_node(Arc::new(image.clone()));
        cache.set_node(Arc::new(Node { name: "b".into(), ..image }));
        assert_eq!(cache.snapshot().image_nodes.get("img"), Some(&2));
        cache.set_node(Arc::new(node("a")));
        cache.remove_node("b");
        assert!(cache.snapshot().image_nodes.is_empty());
        cache.assume(&Arc::new(claiming("p", ["data"])), &"a".into(), IoDemand::default());
        cache.assume(&Arc::new(claiming("q", ["data"])), &"a".into(), IoDemand::default());
        cache.forget("uid-p");
        assert_eq!(cache.snapshot().claim_users.values().next().unwrap().len(), 1);
        cache.forget("uid-q");
        assert!(cache.snapshot().claim_users.is_empty());
        assert!(!cache.is_placed(&pod("p").uid));
    }
}
