//! Volumes written for in-tree plugins, as the drivers that took over know them (CSI migration).
//! Leaves out where a driver took over: each node's CSINode says so.

use crate::intern::Interner;
use crate::objects::{PersistentVolumeObject, VolumeObject};
use aisched_model::labels::Labels;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use std::collections::BTreeSet;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";

/// A volume of an in-tree plugin.
pub(super) struct Migrated {
    pub(super) plugin: &'static str,
    pub(super) driver: &'static str,
    /// Empty where the driver has no name for it: it then counts for nothing.
    pub(super) handle: String,
    /// The driver's own label for zones, if it has one.
    zone_key: Option<&'static str>,
}

/// A PersistentVolume that is written for an in-tree plugin.
pub(super) fn volume(object: &PersistentVolumeObject, labels: &Labels) -> Option<Migrated> {
    let spec = &object.spec;
    let of = |plugin, driver, zone_key, handle: &str| Migrated { plugin, driver, handle: handle.to_owned(), zone_key };
    if let Some(ebs) = &spec.aws_elastic_block_store {
        // `aws://zone/vol-…` is `vol-…` to the driver.
        let id = ebs.id.rsplit('/').next().unwrap_or_default();
        return Some(of("kubernetes.io/aws-ebs", "ebs.csi.aws.com", Some("topology.ebs.csi.aws.com/zone"), id));
    }
    if let Some(azure) = &spec.azure_disk {
        let handle = if is_managed(azure.kind.as_deref()) { azure.id.as_str() } else { "" };
        return Some(of("kubernetes.io/azure-disk", "disk.csi.azure.com", None, handle));
    }
    if let Some(cinder) = &spec.cinder {
        let zone_key = Some("topology.cinder.csi.openstack.org/zone");
        return Some(of("kubernetes.io/cinder", "cinder.csi.openstack.org", zone_key, &cinder.id));
    }
    if let Some(gce) = &spec.gce_persistent_disk {
        let handle = gce_handle(&gce.id, labels);
        return Some(of("kubernetes.io/gce-pd", "pd.csi.storage.gke.io", Some("topology.gke.io/zone"), &handle));
    }
    let portworx = spec.portworx_volume.as_ref()?;
    Some(of("kubernetes.io/portworx-volume", "pxd.portworx.com", None, &portworx.id))
}

/// Driver and handle of a disk written into a pod, of the kinds that several pods may use at a time.
pub(super) fn inline(v: &VolumeObject) -> Option<(&'static str, &str)> {
    let azure = v.azure_disk.as_ref().filter(|disk| is_managed(disk.kind.as_deref())).map(|disk| ("disk.csi.azure.com", disk));
    let cinder = || v.cinder.as_ref().map(|disk| ("cinder.csi.openstack.org", disk));
    let portworx = || v.portworx_volume.as_ref().map(|disk| ("pxd.portworx.com", disk));
    azure.or_else(cinder).or_else(portworx).map(|(driver, disk)| (driver, disk.id.as_str()))
}

/// Drivers know managed disks only.
fn is_managed(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind.eq_ignore_ascii_case("Managed"))
}

/// A disk in one zone, in the one region of several, or who knows where.
fn gce_handle(name: &str, labels: &Labels) -> String {
    let zones = [BETA_ZONE, ZONE].into_iter().filter_map(|key| labels.get(key)).find(|zones| !zones.is_empty());
    let zones: Vec<&str> = zones.map_or_else(Vec::new, |zones| zones.split("__").collect());
    let region = |zone: &&str| zone.rsplit_once('-').map(|(region, _)| region.to_owned()).filter(|region| region.matches('-').count() == 1);
    match zones.as_slice() {
        [] => format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{name}"),
        [zone] => format!("projects/UNSPECIFIED/zones/{zone}/disks/{name}"),
        [zone, others @ ..] => match region(zone).filter(|own| others.iter().all(|other| region(other).as_ref() == Some(own))) {
            Some(region) => format!("projects/UNSPECIFIED/regions/{region}/disks/{name}"),
            None => String::new(),
        },
    }
}

impl Migrated {
    /// The volume's node affinity in the driver's keys; zones that only its labels name come in. `None`: no different.
    pub(super) fn affinity(
        &self,
        terms: Option<&[NodeSelectorTerm]>,
        labels: &Labels,
        interner: &mut Interner,
    ) -> Option<Vec<NodeSelectorTerm>> {
        let zone_key = self.zone_key?;
        let terms = terms.unwrap_or_default();
        let names = |key: &str| terms.iter().flat_map(|term| &term.labels).any(|r| *r.key == *key);
        let is_beta = !names(ZONE) && (names(BETA_ZONE) || (!labels.contains_key(ZONE) && labels.contains_key(BETA_ZONE)));
        let zone = if is_beta { BETA_ZONE } else { ZONE };
        let mut translated = terms.to_vec();
        let mut rename = |from: &str, to: &str| {
            let requirements = translated.iter_mut().flat_map(|term| &mut term.labels);
            requirements.filter(|r| *r.key == *from).for_each(|r| r.key = interner.str(to));
        };
        rename(zone, zone_key);
        if is_beta {
            rename(BETA_REGION, REGION);
        }
        let named: BTreeSet<&str> =
            labels.get(zone).into_iter().flat_map(|zones| zones.split("__")).map(str::trim).filter(|z| !z.is_empty()).collect();
        if !names(zone) && !named.is_empty() {
            let values = named.iter().map(|zone| interner.str(zone)).collect();
            let within = Requirement { key: interner.str(zone_key), operator: Operator::In, values };
            if translated.is_empty() {
                translated.push(NodeSelectorTerm::default());
            }
            translated.iter_mut().for_each(|term| term.labels.push(within.clone()));
        }
        (translated != terms).then_some(translated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert;
    use aisched_model::volume::Volume;
    use serde_json::{Value, json};

    fn read(labels: Value, spec: Value) -> Volume {
        let object = json!({"metadata": {"name": "v", "labels": labels}, "spec": spec});
        convert::volume(&serde_json::from_value(object).unwrap(), &mut Interner::default()).value
    }

    #[test]
    fn in_tree_volumes_are_those_of_the_driver_that_took_over() {
        let gce = |labels: Value| (labels, json!({"gcePersistentDisk": {"pdName": "x"}}));
        let plain = |spec: Value| (json!({}), spec);
        let (gce_plugin, gce_driver) = ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io");
        for ((labels, spec), expected) in [
            (
                plain(json!({"awsElasticBlockStore": {"volumeID": "aws://zone/vol-1"}})),
                ("kubernetes.io/aws-ebs", "ebs.csi.aws.com", "vol-1"),
            ),
            (plain(json!({"azureDisk": {"diskName": "d", "diskURI": "/a/d"}})), ("kubernetes.io/azure-disk", "disk.csi.azure.com", "/a/d")),
            (plain(json!({"azureDisk": {"diskURI": "/a/d", "kind": "Dedicated"}})), ("kubernetes.io/azure-disk", "disk.csi.azure.com", "")),
            (plain(json!({"cinder": {"volumeID": "x"}})), ("kubernetes.io/cinder", "cinder.csi.openstack.org", "x")),
            (plain(json!({"portworxVolume": {"volumeID": "x"}})), ("kubernetes.io/portworx-volume", "pxd.portworx.com", "x")),
            (gce(json!({})), (gce_plugin, gce_driver, "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/x")),
            (gce(json!({ZONE: "us-c1-a"})), (gce_plugin, gce_driver, "projects/UNSPECIFIED/zones/us-c1-a/disks/x")),
            (gce(json!({BETA_ZONE: "us-c1-a__us-c1-b"})), (gce_plugin, gce_driver, "projects/UNSPECIFIED/regions/us-c1/disks/x")),
            (gce(json!({ZONE: "us-c1-a__us-c2-b"})), (gce_plugin, gce_driver, "")),
        ] {
            let volume = read(labels, spec);
            let read = (volume.in_tree.as_deref(), volume.driver.as_deref(), volume.handle.as_deref());
            assert_eq!(read, (Some(expected.0), Some(expected.1), Some(expected.2)));
        }
    }

    #[test]
    fn inline_disks_of_a_pod_are_those_of_the_driver_that_took_over() {
        for (source, expected) in [
            (json!({"azureDisk": {"diskName": "d", "diskURI": "/a/d", "kind": "managed"}}), Some(("disk.csi.azure.com", "/a/d"))),
            (json!({"azureDisk": {"diskName": "d", "diskURI": "/a/d", "kind": "Shared"}}), None),
            (json!({"cinder": {"volumeID": "x"}}), Some(("cinder.csi.openstack.org", "x"))),
            (json!({"portworxVolume": {"volumeID": "x"}}), Some(("pxd.portworx.com", "x"))),
            (json!({"emptyDir": {}}), None),
        ] {
            let object: VolumeObject = serde_json::from_value(source.clone()).unwrap();
            assert_eq!(inline(&object), expected, "{source}");
        }
    }

    /// Terms as `key in a,b; …`, terms apart by `|`.
    fn shown(terms: &[NodeSelectorTerm]) -> String {
        let requirement = |r: &Requirement| format!("{} in {}", r.key, r.values.join(","));
        let term = |t: &NodeSelectorTerm| t.labels.iter().map(requirement).collect::<Vec<_>>().join("; ");
        terms.iter().map(term).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn node_affinity_of_in_tree_volumes_is_put_into_the_drivers_keys() {
        let affinity = |expressions: Value| json!({"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}});
        let within = |key: &str| json!({"key": key, "operator": "In", "values": ["a"]});
        for (labels, expressions, expected) in [
            (json!({}), Value::Null, None),
            (json!({ZONE: "a__b"}), Value::Null, Some("topology.gke.io/zone in a,b")),
            (json!({BETA_ZONE: "a"}), Value::Null, Some("topology.gke.io/zone in a")),
            (json!({ZONE: "b"}), json!([within(ZONE)]), Some("topology.gke.io/zone in a")),
            (json!({ZONE: "b"}), json!([within("host")]), Some("host in a; topology.gke.io/zone in b")),
            (
                json!({ZONE: "b"}),
                json!([within(BETA_ZONE), within(BETA_REGION)]),
                Some("topology.gke.io/zone in a; topology.kubernetes.io/region in a"),
            ),
            (json!({}), json!([within(ZONE), within(REGION)]), Some("topology.gke.io/zone in a; topology.kubernetes.io/region in a")),
            (json!({}), json!([within("host")]), None),
        ] {
            let mut spec = json!({"gcePersistentDisk": {"pdName": "x"}});
            if !expressions.is_null() {
                spec["nodeAffinity"] = affinity(expressions.clone());
            }
            let volume = read(labels.clone(), spec);
            assert_eq!(volume.migrated_affinity.as_deref().map(shown).as_deref(), expected, "{labels} {expressions}");
        }
        let azure = read(json!({ZONE: "a"}), json!({"azureDisk": {"diskURI": "/a/d"}}));
        assert_eq!(azure.migrated_affinity, None);
    }
}
