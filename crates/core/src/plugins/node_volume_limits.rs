//! Refuses nodes whose drivers cannot attach another volume, or that lack a driver which has to be there.
//! Leaves out which volumes a claim will get: a claim without one counts as a volume of its own.

use super::claims::{claim_not_found, not_owned, refers_to_claim};
use crate::attached::{inline, volumes_of};
use crate::cures::Change;
use crate::features::Features;
use crate::framework::{Attempt, ClusterEvent, Fact, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{Pod, PodVolume};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{CsiNode, DriverVolume};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub(crate) struct NodeVolumeLimits {
    /// Whether a driver that has to be there can refuse nodes.
    pub(super) features: Features,
}

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
        let new: Vec<New> = volumes_of(pod, snapshot).into_iter().map(|volume| New::of(volume, snapshot, self.features)).collect();
        if new.is_empty() { Prepared::default() } else { Prepared::filter(Limits { new }) }
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
                matches!(volume, PodVolume::Claim { .. }) || inline(volume).is_some_and(|volume| volume.driver == attachment.driver)
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

/// A volume that the pod brings.
struct New {
    volume: DriverVolume,
    /// The driver has to be on the node.
    driver_needed: bool,
    /// The volume, or another of its handle, is on some node already.
    in_use: bool,
}

impl New {
    fn of(volume: DriverVolume, snapshot: &Snapshot, features: Features) -> Self {
        let needed = |driver: &str| snapshot.csi_drivers.get(driver).is_some_and(|d| d.needed_on_node);
        let driver_needed = features.volume_limit_scaling && needed(&volume.driver);
        Self { driver_needed, in_use: snapshot.handles.contains_key(&volume.handle), volume }
    }

    fn is_on(&self, node: &NodeInfo) -> bool {
        let handles = node.volumes.get(&self.volume.driver);
        handles.and_then(|handles| handles.get(&self.volume.handle)).is_some_and(|by| by.pods > 0)
    }
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

struct Limits {
    /// The pod's volumes, each once; those of one driver stand together.
    new: Vec<New>,
}

/// Why a node is out.
enum Excess<'a> {
    NoDriver(&'a str),
    TooMany { driver: &'a str, in_use: usize, new: usize, limit: i32 },
}

impl Limits {
    fn excess(&self, node: &NodeInfo) -> Option<Excess<'_>> {
        // An in-tree plugin's volume counts only where drivers are registered.
        let counts = |new: &&New| !new.volume.migrated || node.csi.is_some();
        let on_node = |driver: &Str| node.csi.as_ref().and_then(|n| n.drivers.iter().find(|d| d.name == *driver));
        if let Some(missing) = self.new.iter().filter(counts).find(|v| v.driver_needed && on_node(&v.volume.driver).is_none()) {
            return Some(Excess::NoDriver(&missing.volume.driver));
        }
        self.new.chunk_by(|a, b| a.volume.driver == b.volume.driver).find_map(|of_driver| {
            let driver = &of_driver.first()?.volume.driver;
            let limit = on_node(driver)?.allocatable?;
            let new = of_driver.iter().filter(counts).filter(|v| !v.is_on(node)).count();
            let in_use = node.n_volumes(driver);
            let over = new > 0 && i64::try_from(in_use + new).unwrap_or(i64::MAX) > i64::from(limit);
            over.then_some(Excess::TooMany { driver, in_use, new, limit })
        })
    }
}

impl Filter for Limits {
    /// Volumes that are on no node yet are new wherever the pod goes: which ones they are does not matter.
    fn reads(&self) -> Reads {
        let facts = self.new.iter().flat_map(|New { volume, driver_needed, in_use }| {
            let flags = u64::from(*driver_needed) | u64::from(volume.migrated) << 1;
            let handle = in_use.then(|| Fact::Name(volume.handle.clone()));
            [Fact::Name(volume.driver.clone()), Fact::Number(flags)].into_iter().chain(handle)
        });
        Reads::Node(facts.collect())
    }

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

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        match self.excess(node) {
            Some(Excess::TooMany { driver, in_use, new, limit }) => {
                let wanted = i32::try_from(in_use + new).unwrap_or(i32::MAX);
                vec![Change::Volumes(driver.into(), wanted.saturating_sub(limit))]
            }
            Some(Excess::NoDriver(_)) | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
