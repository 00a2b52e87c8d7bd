//! Refuses nodes outside the zones and regions that the labels of a pod's bound volumes name.
//! Leaves out node affinity of volumes and claims that are not bound yet: that is `volume_binding`'s.

use super::claims::{claim_not_found, class_not_found, unusable, uses_claim, volume_not_found};
use crate::cures::Change;
use crate::framework::{Attempt, ClusterEvent, Fact, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{Pod, PodVolume};
use aisched_model::volume::{BindingMode, Claim, Volume};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
pub(crate) struct VolumeZone;

/// Labels that name zones and regions, each with the one that took its place.
const TOPOLOGY: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
];

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let mut zones = Vec::new();
        for volume in &attempt.pod.spec.volumes {
            let PodVolume::Claim { claim, .. } = volume else { continue };
            match bound_volume(attempt, claim) {
                Ok(Some(volume)) => zones.extend(named_zones(volume).map(|zones| Named { volume: &volume.name, claim, zones })),
                Ok(None) => {}
                Err(refusal) => return Prepared::refuse(refusal),
            }
        }
        if zones.is_empty() { Prepared::default() } else { Prepared::filter(InZone { zones }) }
    }

    fn cure(&self, attempt: &Attempt<'_>) -> Vec<Change> {
        unusable(attempt)
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeChanged { old, new } => old.labels != new.labels,
            ClusterEvent::Class(old, class) => old.is_none() && class.binding_mode == BindingMode::WaitForFirstConsumer,
            ClusterEvent::Claim(_, claim) => uses_claim(pod, claim),
            ClusterEvent::Volume(old, new) => old.is_none_or(|old| !named_zones(old).eq(named_zones(new))),
            _ => false,
        }
    }
}

/// The volume of a claim; `None` when it will be bound once the pod has a node.
fn bound_volume<'a>(attempt: &Attempt<'a>, name: &Str) -> Result<Option<&'a Volume>, Refusal> {
    let snapshot = attempt.snapshot;
    if name.is_empty() {
        return Err(Refusal::unresolvable("PersistentVolumeClaim had no name"));
    }
    let claim: &Claim = snapshot.claim(&attempt.pod.namespace, name).ok_or_else(|| Refusal::unresolvable(claim_not_found(name)))?;
    if let Some(volume) = &claim.volume {
        return snapshot.volumes.get(volume).map(|v| Some(&**v)).ok_or_else(|| Refusal::unresolvable(volume_not_found(volume)));
    }
    let Some(class) = claim.storage_class.as_ref().filter(|c| !c.is_empty()) else {
        return Err(Refusal::unresolvable("PersistentVolumeClaim had no pv name and storageClass name"));
    };
    match snapshot.classes.get(class).map(|c| c.binding_mode) {
        Some(BindingMode::WaitForFirstConsumer) => Ok(None),
        Some(BindingMode::Immediate) => Err(Refusal::unresolvable("PersistentVolume had no name")),
        None => Err(Refusal::unresolvable(class_not_found(class))),
    }
}

/// A label of a volume that names zones or regions.
#[derive(PartialEq, Hash)]
pub(super) struct Zones<'a> {
    key: &'static str,
    key_today: &'static str,
    values: Vec<&'a str>,
}

/// Values are joined by `__`; a label with an empty one among them counts for nothing.
pub(super) fn named_zones(volume: &Volume) -> impl Iterator<Item = Zones<'_>> {
    TOPOLOGY.into_iter().filter_map(|(key, key_today)| {
        let values: Vec<&str> = volume.labels.get(key)?.split("__").map(str::trim).collect();
        values.iter().all(|v| !v.is_empty()).then_some(Zones { key, key_today, values })
    })
}

/// The zones of a claim's volume.
struct Named<'a> {
    volume: &'a Str,
    claim: &'a Str,
    zones: Zones<'a>,
}

struct InZone<'a> {
    zones: Vec<Named<'a>>,
}

impl InZone<'_> {
    fn conflicts(&self, labels: &Labels) -> impl Iterator<Item = &Named<'_>> {
        // A cluster of one zone need not label its nodes.
        let labelled = TOPOLOGY.iter().any(|(key, _)| labels.contains_key(key));
        self.zones.iter().filter(move |Named { zones, .. }| {
            let here = labels.get(zones.key).or_else(|| labels.get(zones.key_today));
            labelled && here.is_none_or(|here| !zones.values.contains(&&**here))
        })
    }
}

impl Filter for InZone<'_> {
    fn reads(&self) -> Reads {
        let facts = self.zones.iter().flat_map(|Named { zones, .. }| {
            let values = zones.values.iter().map(|value| Fact::Name(Str::from(*value)));
            [Fact::Name(zones.key.into()), Fact::Number(zones.values.len() as u64)].into_iter().chain(values)
        });
        Reads::Node(facts.collect())
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        self.conflicts(&node.node.labels).next()?;
        Some(Refusal::unresolvable("node(s) had no available volume zone"))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let Named { volume, zones, .. } = self.conflicts(&node.node.labels).next()?;
        Some(format!("volume {volume} is in {}={}", zones.key, zones.values.join("__")))
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        self.conflicts(&node.node.labels).map(|named| Change::Claim(named.claim.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, claiming, labelled};
    use aisched_model::volume::StorageClass;

    const REASON: &str = "node(s) had no available volume zone";
    const ZONE: &str = "topology.kubernetes.io/zone";
    const REGION: &str = "topology.kubernetes.io/region";
    const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";

    fn volume(labels: &[(&str, &str)]) -> Volume {
        Volume { name: "pv".into(), labels: labels.iter().copied().collect(), ..Volume::default() }
    }

    fn bound() -> Claim {
        Claim { name: "data".into(), volume: Some("pv".into()), ..Claim::default() }
    }

    #[test]
    fn node_must_be_in_a_zone_of_the_volume() {
        for (on_volume, on_node, fits) in [
            (&[(ZONE, "a")][..], &[(ZONE, "a")][..], true),
            (&[(ZONE, "a")], &[(ZONE, "b")], false),
            (&[(ZONE, "a__b")], &[(ZONE, "b")], true),
            (&[(ZONE, "a__")], &[(ZONE, "b")], true),
            (&[(ZONE, "a")], &[], true),
            (&[(ZONE, "a")], &[(REGION, "r")], false),
            (&[(ZONE, "a"), (REGION, "r")], &[(ZONE, "a"), (REGION, "s")], false),
            (&[(OLD_ZONE, "a")], &[(ZONE, "a")], true),
            (&[(OLD_ZONE, "a")], &[(OLD_ZONE, "b"), (ZONE, "a")], false),
            (&[(ZONE, "a")], &[(OLD_ZONE, "a")], false),
            (&[("disk", "ssd")], &[(ZONE, "a")], true),
        ] {
            let mut node = labelled("n", []);
            node.labels = on_node.iter().copied().collect();
            let cluster = Cluster::of([node]).claim(bound()).volume(volume(on_volume));
            let against = cluster.decide(&["VolumeZone"], &claiming("p", ["data"])).against("n");
            assert_eq!(against, if fits { "" } else { REASON }, "{on_volume:?} on {on_node:?}");
        }
    }

    #[test]
    fn claim_without_its_volume_is_refused_for_good() {
        let class = |binding_mode| StorageClass { name: "c".into(), binding_mode, ..StorageClass::default() };
        let of_class = |name: &str| Claim { name: "data".into(), storage_class: Some(name.into()), ..Claim::default() };
        for (claim, expected) in [
            (None, "persistentvolumeclaim \"data\" not found"),
            (Some(bound()), "persistentvolume \"pv\" not found"),
            (Some(of_class("")), "PersistentVolumeClaim had no pv name and storageClass name"),
            (Some(Claim { storage_class: None, ..of_class("") }), "PersistentVolumeClaim had no pv name and storageClass name"),
            (Some(of_class("none")), "storageclass.storage.k8s.io \"none\" not found"),
            (Some(of_class("now")), "PersistentVolume had no name"),
            (Some(of_class("c")), ""),
        ] {
            let now = StorageClass { name: "now".into(), ..class(BindingMode::Immediate) };
            let cluster = Cluster::of([labelled("n", [(ZONE, "a")])]).class(class(BindingMode::WaitForFirstConsumer)).class(now);
            let cluster = claim.clone().into_iter().fold(cluster, Cluster::claim);
            assert_eq!(cluster.decide(&["VolumeZone"], &claiming("p", ["data"])).against("n"), expected, "{claim:?}");
        }
    }

    #[test]
    fn events_that_move_zones_or_bind_help() {
        let (pod, mut data) = (claiming("p", ["data"]), bound());
        data.namespace = "default".into();
        let other = Claim { name: "other".into(), ..data.clone() };
        let elsewhere = Claim { namespace: "else".into(), ..data.clone() };
        let (here, there) = (volume(&[(ZONE, "a")]), volume(&[(ZONE, "b")]));
        let relabelled = Volume { labels: Labels::from([(ZONE, "a"), ("x", "y")]), ..here.clone() };
        let wait = StorageClass { binding_mode: BindingMode::WaitForFirstConsumer, ..StorageClass::default() };
        let (old, new) = (labelled("n", []), labelled("n", [(ZONE, "a")]));
        let mut cordoned = old.clone();
        cordoned.unschedulable = true;
        for (event, expected) in [
            (ClusterEvent::Claim(None, &data), true),
            (ClusterEvent::Claim(Some(&data), &data), true),
            (ClusterEvent::Claim(None, &other), false),
            (ClusterEvent::Claim(None, &elsewhere), false),
            (ClusterEvent::Volume(None, &here), true),
            (ClusterEvent::Volume(Some(&here), &there), true),
            (ClusterEvent::Volume(Some(&here), &relabelled), false),
            (ClusterEvent::Class(None, &wait), true),
            (ClusterEvent::Class(Some(&wait), &wait), false),
            (ClusterEvent::Class(None, &StorageClass::default()), false),
            (ClusterEvent::NodeAdded(&old), true),
            (ClusterEvent::NodeChanged { old: &old, new: &new }, true),
            (ClusterEvent::NodeChanged { old: &old, new: &cordoned }, false),
        ] {
            assert_eq!(VolumeZone.helps(&pod, &event), expected, "{event:?}");
        }
    }
}
