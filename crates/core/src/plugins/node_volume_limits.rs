//! Refuses nodes whose drivers cannot attach another volume, or that lack a driver which has to be there.
//! Leaves out which volumes a claim will get: a claim without one counts as a volume of its own.

use super::claims::{claim_not_found, not_owned, refers_to_claim};
use crate::features::Features;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{LegacyDisk, Pod, PodVolume};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{Claim, CsiNode};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub(crate) struct NodeVolumeLimits {
    /// Whether a driver that has to be there can refuse nodes.
    pub(super) features: Features,
}

/// In-tree plugins whose volumes are a driver's today, wherever drivers are registered at all.
const MIGRATED: [(&str, &str); 5] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
];

/// In-tree plugins that have a driver which their volumes are not counted for.
const NOT_COUNTED: [&str; 2] = ["kubernetes.io/azure-file", "kubernetes.io/vsphere-volume"];

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        if !attempt.pod.spec.volumes.iter().any(is_attachable) {
            return Prepared::default();
        }
        let (pod, snapshot) = (attempt.pod, attempt.snapshot);
        for (volume, name) in claimed(pod) {
            let refusal = match snapshot.claim(&pod.namespace, &name) {
                None => Some(format!("looking up PVC {}/{name}: {}", pod.namespace, claim_not_found(&name))),
                Some(claim) if matches!(volume, PodVolume::Ephemeral { .. }) => not_owned(pod, claim),
                Some(_) => None,
            };
            if let Some(reason) = refusal {
                // As in kube-scheduler, only when a node is looked at: what another plugin has against the pod as such is told first.
                return Prepared::filter(Unknown(reason));
            }
        }
        let drivers_needed = self.features.volume_limit_scaling;
        Prepared::filter(Limits { snapshot, new: attached(pod, snapshot), drivers_needed })
    }

    /// kube-scheduler leaves pods waiting when a node comes whose drivers were there before it or that has none, when a driver no longer
    /// has a limit, when it need not be there any more, and when a claim gets its volume.
    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::CsiNode(None, _) => true,
            ClusterEvent::CsiNode(Some(old), new) => allows_more(old, new),
            ClusterEvent::PodRemoved(gone) => {
                (gone.node.is_some() || gone.nominated_node.is_some()) && gone.spec.volumes.iter().any(is_attachable)
            }
            ClusterEvent::CsiDriver(old, new) => old.is_some_and(|old| old.needed_on_node) && !new.needed_on_node,
            ClusterEvent::Claim(old, claim) => old.is_none_or(|old| old.volume != claim.volume) && refers_to_claim(pod, claim),
            ClusterEvent::Detached(attachment) => pod.spec.volumes.iter().any(|volume| {
                matches!(volume, PodVolume::Claim { .. }) || inline(volume).is_some_and(|(driver, _)| *driver == *attachment.driver)
            }),
            _ => false,
        }
    }
}

fn is_attachable(volume: &PodVolume) -> bool {
    matches!(volume, PodVolume::Claim { .. } | PodVolume::Ephemeral { .. }) || inline(volume).is_some()
}

/// Whether a driver came that may have had to be there, or one has a higher limit or none any more.
fn allows_more(old: &CsiNode, new: &CsiNode) -> bool {
    let named = |node: &CsiNode, name: &Str| node.drivers.iter().find(|d| d.name == *name).map(|d| d.allocatable);
    let comes = new.drivers.iter().any(|d| named(old, &d.name).is_none());
    let is_freer = |name, limit: i32| named(new, name).flatten().is_none_or(|now| now > limit);
    comes || old.drivers.iter().any(|d| d.allocatable.is_some_and(|limit| is_freer(&d.name, limit)))
}

/// Volumes of a pod that have claims, with the claims' names.
fn claimed(pod: &Pod) -> impl Iterator<Item = (&PodVolume, Str)> {
    let volumes = pod.spec.volumes.iter().filter(|v| matches!(v, PodVolume::Claim { .. } | PodVolume::Ephemeral { .. }));
    volumes.zip(pod.claims())
}

/// A volume as its driver knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attached<'a> {
    driver: &'a str,
    handle: Cow<'a, str>,
    /// Counts only where drivers are registered: an in-tree plugin's, which the driver took over.
    migrated: bool,
}

/// The volumes that have to be attached for a pod; those that cannot be told are left out.
fn attached<'a>(pod: &'a Pod, snapshot: &'a Snapshot) -> Vec<Attached<'a>> {
    let inline = pod.spec.volumes.iter().filter_map(inline).map(|(driver, handle)| Attached { driver, handle, migrated: true });
    let claimed = claimed(pod).filter_map(|(_, name)| of_claim(snapshot.claim(&pod.namespace, &name)?, snapshot));
    let mut all: Vec<Attached<'a>> = inline.chain(claimed).collect();
    all.sort_unstable();
    // One disk may be known in both ways.
    all.dedup_by(|other, one| (other.driver, &other.handle) == (one.driver, &one.handle));
    all
}

/// Driver and handle of a disk that is written in a pod.
fn inline(volume: &PodVolume) -> Option<(&str, Cow<'_, str>)> {
    match volume {
        PodVolume::Disk(LegacyDisk::Gce { name, .. }) => {
            Some(("pd.csi.storage.gke.io", format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{name}").into()))
        }
        PodVolume::Disk(LegacyDisk::Ebs { id }) => Some(("ebs.csi.aws.com", id.rsplit('/').next().unwrap_or(id).into())),
        PodVolume::Migrated { driver, handle } => Some((driver, Cow::Borrowed(handle))),
        PodVolume::Disk(LegacyDisk::Iscsi { .. } | LegacyDisk::Rbd { .. }) => None,
        PodVolume::Claim { .. } | PodVolume::Ephemeral { .. } | PodVolume::Csi { .. } => None,
    }
}

fn of_claim<'a>(claim: &'a Claim, snapshot: &'a Snapshot) -> Option<Attached<'a>> {
    let Some(volume) = claim.volume.as_ref().and_then(|v| snapshot.volumes.get(v)) else { return of_class(claim, snapshot) };
    let (driver, handle) = (volume.driver.as_deref()?, volume.handle.as_deref()?);
    (!driver.is_empty() && !handle.is_empty()).then(|| Attached { driver, handle: handle.into(), migrated: volume.in_tree.is_some() })
}

/// A claim without a volume: one that its class's provisioner will make. The handle is none that a driver would give.
fn of_class<'a>(claim: &'a Claim, snapshot: &'a Snapshot) -> Option<Attached<'a>> {
    let provisioner = &*snapshot.classes.get(claim.storage_class.as_ref()?)?.provisioner;
    if provisioner.is_empty() || NOT_COUNTED.contains(&provisioner) {
        return None;
    }
    let migrated = MIGRATED.iter().find(|(in_tree, _)| *in_tree == provisioner).map(|(_, driver)| *driver);
    let handle = format!("\0{}/{}", claim.namespace, claim.name).into();
    Some(Attached { driver: migrated.unwrap_or(provisioner), handle, migrated: migrated.is_some() })
}

/// What cannot be told of a claim, on any node.
struct Unknown(String);

impl Filter for Unknown {
    fn check(&self, _node: &NodeInfo) -> Option<Refusal> {
        Some(Refusal::unresolvable(self.0.clone()))
    }

    fn reads_node_only(&self) -> bool {
        true
    }
}

struct Limits<'a> {
    snapshot: &'a Snapshot,
    /// The pod's volumes, each once.
    new: Vec<Attached<'a>>,
    /// Whether a driver may say that it has to be on the node.
    drivers_needed: bool,
}

/// Why a node is out.
enum Excess<'a> {
    NoDriver(&'a str),
    TooMany { driver: &'a str, in_use: usize, new: usize, limit: i32 },
}

impl Limits<'_> {
    fn excess(&self, node: &NodeInfo) -> Option<Excess<'_>> {
        let csi_node = self.snapshot.csi_nodes.get(&node.node.name);
        let new = || self.new.iter().filter(|v| !v.migrated || csi_node.is_some());
        let on_node = |driver: &str| csi_node.and_then(|n| n.drivers.iter().find(|d| *d.name == *driver));
        let needed = |driver: &str| self.drivers_needed && self.snapshot.csi_drivers.get(driver).is_some_and(|d| d.needed_on_node);
        if let Some(missing) = new().find(|v| needed(v.driver) && on_node(v.driver).is_none()) {
            return Some(Excess::NoDriver(missing.driver));
        }
        let limited = || new().filter(|v| on_node(v.driver).is_some_and(|d| d.allocatable.is_some()));
        let lowest = limited().filter_map(|v| on_node(v.driver)?.allocatable).min()?;
        if self.at_most(node) + limited().count() <= usize::try_from(lowest).unwrap_or(0) {
            return None; // however they are counted
        }
        let in_use = in_use(node, self.snapshot);
        let drivers: BTreeSet<&str> = limited().map(|v| v.driver).collect();
        drivers.into_iter().find_map(|driver| {
            let limit = on_node(driver)?.allocatable?;
            let here = in_use.get(driver);
            let new = limited().filter(|v| v.driver == driver && here.is_none_or(|h| !h.by_pods.contains(&*v.handle))).count();
            let in_use = here.map_or(0, InUse::len);
            let over = new > 0 && i64::try_from(in_use + new).unwrap_or(i64::MAX) > i64::from(limit);
            over.then_some(Excess::TooMany { driver, in_use, new, limit })
        })
    }

    /// More volumes are not attached to the node: the quick count.
    fn at_most(&self, node: &NodeInfo) -> usize {
        let by_pods: usize = node.pods.iter().map(|p| p.pod.spec.volumes.len()).sum();
        by_pods + self.snapshot.attached.get(&node.node.name).map_or(0, BTreeMap::len)
    }
}

/// The CSI driver that attaches a claim's volume, or will; `None` when no driver does.
pub(super) fn csi_driver<'a>(claim: &'a Claim, snapshot: &'a Snapshot) -> Option<&'a str> {
    of_claim(claim, snapshot).map(|volume| volume.driver).filter(|driver| !driver.starts_with("kubernetes.io/"))
}

/// How many volumes of a driver are attached to a node.
pub(super) fn n_attached(node: &NodeInfo, snapshot: &Snapshot, driver: &str) -> usize {
    in_use(node, snapshot).get(driver).map_or(0, InUse::len)
}

/// The volumes attached to a node, by driver.
fn in_use<'a>(node: &'a NodeInfo, snapshot: &'a Snapshot) -> BTreeMap<&'a str, InUse<'a>> {
    let mut all: BTreeMap<&str, InUse<'_>> = BTreeMap::new();
    for placed in &node.pods {
        for volume in attached(&placed.pod, snapshot) {
            all.entry(volume.driver).or_default().by_pods.insert(volume.handle);
        }
    }
    for attachment in snapshot.attached.get(&node.node.name).into_iter().flat_map(BTreeMap::values) {
        let volume = attachment.volume.as_ref().and_then(|v| snapshot.volumes.get(v)).filter(|v| v.in_tree.is_none());
        let Some(handle) = volume.and_then(|v| v.handle.as_deref()) else { continue };
        let here = all.entry(&attachment.driver).or_default();
        if !here.by_pods.contains(handle) {
            here.lingering.insert(handle);
        }
    }
    all
}

/// Handles of one driver's volumes on a node.
#[derive(Default)]
struct InUse<'a> {
    by_pods: BTreeSet<Cow<'a, str>>,
    /// Attached, but used by no pod that is known.
    lingering: BTreeSet<&'a str>,
}

impl InUse<'_> {
    fn len(&self) -> usize {
        self.by_pods.len() + self.lingering.len()
    }
}

impl Filter for Limits<'_> {
    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        Some(match self.excess(node)? {
            Excess::NoDriver(driver) => Refusal::unschedulable(format!("{driver} CSI driver is not installed on the node")),
            Excess::TooMany { .. } => Refusal::unschedulable("node(s) exceed max volume count"),
        })
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        match self.excess(node)? {
            Excess::NoDriver(_) => None,
            Excess::TooMany { driver, in_use, new, limit } => {
                Some(format!("{driver}: {in_use} attached, {new} more wanted, at most {limit}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
