//! Refuses nodes where a pod's disk is in use by another, and claims for one pod only that have a user already.
//! Leaves out which kinds of disks cannot be shared: the model names the kinds.

use super::claims::{claim_not_found, unusable, uses_claim};
use crate::cures::{Change, leaves};
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{LegacyDisk, Pod, PodVolume};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
pub(crate) struct VolumeRestrictions;

const DISK_IN_USE: &str = "node(s) had no available disk";
const CLAIM_IN_USE: &str =
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let (pod, snapshot) = (attempt.pod, attempt.snapshot);
        let mut in_use = Vec::new();
        for volume in &pod.spec.volumes {
            let PodVolume::Claim { claim: name, .. } = volume else { continue };
            let Some(claim) = snapshot.claim(&pod.namespace, name) else {
                return Prepared::refuse(Refusal::unresolvable(claim_not_found(name)));
            };
            if claim.access_modes.read_write_once_pod
                && let Some(users) = snapshot.claim_users.get(&(pod.namespace.clone(), name.clone()))
            {
                in_use.push((name, users.as_slice()));
            }
        }
        if in_use.is_empty() && disks(pod).next().is_none() {
            return Prepared::default();
        }
        Prepared::filter(Restricted { pod, in_use })
    }

    fn cure(&self, attempt: &Attempt<'_>) -> Vec<Change> {
        unusable(attempt)
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::PodRemoved(gone) => {
                gone.namespace == pod.namespace && (shared_disk(pod, gone).is_some() || share_claim(pod, gone))
            }
            ClusterEvent::Claim(None, claim) => uses_claim(pod, claim),
            _ => false,
        }
    }
}

fn disks(pod: &Pod) -> impl Iterator<Item = &LegacyDisk> {
    pod.spec.volumes.iter().filter_map(|v| match v {
        PodVolume::Disk(disk) => Some(disk),
        PodVolume::Claim { .. } | PodVolume::Ephemeral { .. } | PodVolume::Csi { .. } | PodVolume::Migrated { .. } => None,
    })
}

fn shared_disk<'a>(pod: &'a Pod, other: &Pod) -> Option<&'a LegacyDisk> {
    disks(pod).find(|disk| disks(other).any(|used| conflict(disk, used)))
}

fn share_claim(pod: &Pod, other: &Pod) -> bool {
    pod.spec.volumes.iter().any(|v| matches!(v, PodVolume::Claim { claim, .. } if names_claim(other, claim)))
}

fn names_claim(pod: &Pod, name: &Str) -> bool {
    pod.spec.volumes.iter().any(|v| matches!(v, PodVolume::Claim { claim, .. } if claim == name))
}

/// Whether two pods that use these disks cannot be on one node: users that only read may share, except of an EBS volume.
fn conflict(a: &LegacyDisk, b: &LegacyDisk) -> bool {
    use LegacyDisk::{Ebs, Gce, Iscsi, Rbd};
    match (a, b) {
        (Gce { name: a, read_only: a_reads }, Gce { name: b, read_only: b_reads })
        | (Iscsi { iqn: a, read_only: a_reads }, Iscsi { iqn: b, read_only: b_reads }) => a == b && !(*a_reads && *b_reads),
        (Ebs { id: a }, Ebs { id: b }) => a == b,
        (
            Rbd { monitors: a_monitors, pool: a_pool, image: a, read_only: a_reads },
            Rbd { monitors: b_monitors, pool: b_pool, image: b, read_only: b_reads },
        ) => a_monitors.iter().any(|m| b_monitors.contains(m)) && a_pool == b_pool && a == b && !(*a_reads && *b_reads),
        (Gce { .. } | Ebs { .. } | Iscsi { .. } | Rbd { .. }, _) => false,
    }
}

struct Restricted<'a> {
    pod: &'a Pod,
    /// Claims for one pod only, each with the nodes of the pods that use it.
    in_use: Vec<(&'a Str, &'a [Str])>,
}

impl Restricted<'_> {
    /// The claim that has a user on another node, or among the pods that are on this one: an empty list of pods has none.
    fn claim_in_use(&self, node: &NodeInfo) -> Option<&Str> {
        let here = |name: &Str| node.pods.iter().any(|p| p.pod.namespace == self.pod.namespace && p.pod.claims().any(|c| c == *name));
        self.in_use.iter().find(|(name, users)| users.iter().any(|on| *on != node.node.name) || here(name)).map(|(name, _)| *name)
    }

    fn disk_in_use(&self, node: &NodeInfo) -> Option<(&LegacyDisk, String)> {
        node.pods.iter().find_map(|p| Some((shared_disk(self.pod, &p.pod)?, p.pod.full_name())))
    }
}

impl Filter for Restricted<'_> {
    /// Disks are written in the pod; users of a claim may be anywhere.
    fn reads(&self) -> Reads {
        if self.in_use.is_empty() { Reads::node() } else { Reads::Anything }
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        if self.disk_in_use(node).is_some() {
            return Some(Refusal::unschedulable(DISK_IN_USE));
        }
        self.claim_in_use(node).map(|_| Refusal::unschedulable(CLAIM_IN_USE))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        if let Some((disk, by)) = self.disk_in_use(node) {
            return Some(format!("{disk:?} is in use by {by}"));
        }
        self.claim_in_use(node).map(|claim| format!("claim {claim} is for one pod only"))
    }

    /// A user of a claim on another node is not seen from this one.
    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let users = node.pods.iter().filter(|p| {
            let same = p.pod.namespace == self.pod.namespace;
            shared_disk(self.pod, &p.pod).is_some() || (same && self.in_use.iter().any(|(name, _)| p.pod.claims().any(|c| c == **name)))
        });
        users.map(|p| leaves(&p.pod)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, claiming, node, pod, with};
    use LegacyDisk::{Ebs, Gce, Iscsi, Rbd};
    use aisched_model::volume::{AccessModes, Claim};

    fn with_disk(name: &str, disk: LegacyDisk) -> Pod {
        with(pod(name), |s| s.volumes = [PodVolume::Disk(disk)].into())
    }

    fn gce(name: &str, read_only: bool) -> LegacyDisk {
        Gce { name: name.into(), read_only }
    }

    fn iscsi(iqn: &str, read_only: bool) -> LegacyDisk {
        Iscsi { iqn: iqn.into(), read_only }
    }

    fn rbd(monitors: [&str; 2], pool: &str, image: &str, read_only: bool) -> LegacyDisk {
        Rbd { monitors: monitors.map(Str::from).into(), pool: pool.into(), image: image.into(), read_only }
    }

    fn claim(modes: AccessModes) -> Claim {
        Claim { name: "data".into(), namespace: "default".into(), access_modes: modes, ..Claim::default() }
    }

    const ONE_POD: AccessModes =
        AccessModes { read_write_once: false, read_write_once_pod: true, read_write_many: false, read_only_many: false };

    #[test]
    fn disks_conflict_by_their_identity_unless_all_only_read() {
        for (wanted, used, fits) in [
            (gce("d", false), gce("d", false), false),
            (gce("d", true), gce("d", false), false),
            (gce("d", true), gce("d", true), true),
            (gce("d", false), gce("e", false), true),
            (Ebs { id: "v".into() }, Ebs { id: "v".into() }, false),
            (Ebs { id: "v".into() }, Ebs { id: "w".into() }, true),
            (iscsi("q", false), iscsi("q", true), false),
            (iscsi("q", true), iscsi("q", true), true),
            (iscsi("q", false), iscsi("r", false), true),
            (rbd(["a", "b"], "p", "i", false), rbd(["b", "c"], "p", "i", false), false),
            (rbd(["a", "b"], "p", "i", true), rbd(["b", "c"], "p", "i", true), true),
            (rbd(["a", "b"], "p", "i", false), rbd(["c", "d"], "p", "i", false), true),
            (rbd(["a", "b"], "p", "i", false), rbd(["b", "c"], "q", "i", false), true),
            (rbd(["a", "b"], "p", "i", false), rbd(["b", "c"], "p", "j", false), true),
            (gce("d", false), Ebs { id: "d".into() }, true),
        ] {
            let cluster = Cluster::of([node("n"), node("other")]).placed("n", with_disk("there", used.clone()));
            let decision = cluster.decide(&["VolumeRestrictions"], &with_disk("p", wanted.clone()));
            let against = ["n", "other"].map(|n| decision.against(n));
            assert_eq!(against, [if fits { "" } else { DISK_IN_USE }, ""], "{wanted:?} beside {used:?}");
        }
    }

    #[test]
    fn claim_for_one_pod_has_one_user_in_the_whole_cluster() {
        let cluster = |modes| Cluster::of([node("a"), node("b")]).claim(claim(modes));
        let wanting = claiming("p", ["data"]);
        let against = |cluster: &Cluster| {
            let decision = cluster.decide(&["VolumeRestrictions"], &wanting);
            ["a", "b"].map(|n| decision.against(n))
        };
        assert_eq!(against(&cluster(ONE_POD)), ["", ""]);
        assert_eq!(against(&cluster(ONE_POD).placed("a", claiming("q", ["data"]))), [CLAIM_IN_USE; 2]);
        assert_eq!(against(&cluster(AccessModes::default()).placed("a", claiming("q", ["data"]))), ["", ""]);
        assert_eq!(against(&cluster(ONE_POD).placed("a", claiming("q", ["other"]))), ["", ""]);
        let elsewhere = Pod { namespace: "else".into(), ..claiming("q", ["data"]) };
        assert_eq!(against(&cluster(ONE_POD).placed("a", elsewhere)), ["", ""]);
        let decision = Cluster::of([node("a"), node("b")]).decide(&["VolumeRestrictions"], &wanting);
        assert_eq!(decision.message.as_deref(), Some("0/2 nodes are available: persistentvolumeclaim \"data\" not found."));
    }

    #[test]
    fn without_its_only_user_the_claim_is_free_on_that_node() {
        let mut cluster = Cluster::of([node("a"), node("b")]).claim(claim(ONE_POD)).placed("a", claiming("q", ["data"]));
        alloc::sync::Arc::make_mut(&mut cluster.snapshot.nodes[0]).remove("uid-q");
        assert_eq!(cluster.decide(&["VolumeRestrictions"], &claiming("p", ["data"])).feasible(), ["a".into()]);
    }

    #[test]
    fn events_that_free_a_disk_or_claim_help() {
        let (data, disk) = (claiming("p", ["data"]), with_disk("p", gce("d", false)));
        let (gone, gone_disk) = (claiming("gone", ["data"]), with_disk("gone", gce("d", false)));
        let elsewhere = Pod { namespace: "else".into(), ..gone.clone() };
        let (added, n) = (claim(ONE_POD), node("n"));
        for (pod, event, expected) in [
            (&data, ClusterEvent::PodRemoved(&gone), true),
            (&data, ClusterEvent::PodRemoved(&elsewhere), false),
            (&data, ClusterEvent::PodRemoved(&gone_disk), false),
            (&disk, ClusterEvent::PodRemoved(&gone_disk), true),
            (&disk, ClusterEvent::PodRemoved(&gone), false),
            (&data, ClusterEvent::Claim(None, &added), true),
            (&data, ClusterEvent::Claim(Some(&added), &added), false),
            (&disk, ClusterEvent::Claim(None, &added), false),
            (&data, ClusterEvent::NodeAdded(&n), true),
            (&data, ClusterEvent::PodPlaced(&gone), false),
        ] {
            assert_eq!(VolumeRestrictions.helps(pod, &event), expected, "{event:?}");
        }
    }
}
