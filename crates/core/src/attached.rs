//! Which volumes a driver has to attach for a pod, by driver and handle, and what is known of them on every node.
//! Leaves out limits: see `node_volume_limits`.

use aisched_model::Str;
use aisched_model::pod::{LegacyDisk, Pod, PodVolume};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{Claim, DriverVolume};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

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

/// The volumes that have to be attached for a pod, each once; those that cannot be told are left out.
pub(crate) fn volumes_of(pod: &Pod, snapshot: &Snapshot) -> Box<[DriverVolume]> {
    if pod.spec.volumes.is_empty() {
        return Box::default();
    }
    let inline = pod.spec.volumes.iter().filter_map(inline);
    let claimed = pod.claims().filter_map(|name| of_claim(snapshot.claim(&pod.namespace, &name)?, snapshot));
    let mut all: Vec<DriverVolume> = inline.chain(claimed).collect();
    all.sort_unstable();
    // One disk may be known in both ways.
    all.dedup_by(|other, one| (&other.driver, &other.handle) == (&one.driver, &one.handle));
    all.into()
}

/// A disk that is written in a pod.
pub(crate) fn inline(volume: &PodVolume) -> Option<DriverVolume> {
    let (driver, handle): (Str, Str) = match volume {
        PodVolume::Disk(LegacyDisk::Gce { name, .. }) => {
            ("pd.csi.storage.gke.io".into(), format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{name}").into())
        }
        PodVolume::Disk(LegacyDisk::Ebs { id }) => ("ebs.csi.aws.com".into(), id.rsplit('/').next().unwrap_or(id).into()),
        PodVolume::Migrated { driver, handle } => (driver.clone(), handle.clone()),
        PodVolume::Disk(LegacyDisk::Iscsi { .. } | LegacyDisk::Rbd { .. })
        | PodVolume::Claim { .. }
        | PodVolume::Ephemeral { .. }
        | PodVolume::Csi { .. } => return None,
    };
    Some(DriverVolume { driver, handle, migrated: true })
}

/// The volume that a claim has, or will have.
pub(crate) fn of_claim(claim: &Claim, snapshot: &Snapshot) -> Option<DriverVolume> {
    let Some(volume) = claim.volume.as_ref().and_then(|v| snapshot.volumes.get(v)) else { return of_class(claim, snapshot) };
    let (driver, handle) = (volume.driver.clone()?, volume.handle.clone()?);
    (!driver.is_empty() && !handle.is_empty()).then(|| DriverVolume { driver, handle, migrated: volume.in_tree.is_some() })
}

/// A claim without a volume: one that its class's provisioner will make.
fn of_class(claim: &Claim, snapshot: &Snapshot) -> Option<DriverVolume> {
    let provisioner = &snapshot.classes.get(claim.storage_class.as_ref()?)?.provisioner;
    if provisioner.is_empty() || NOT_COUNTED.contains(&&**provisioner) {
        return None;
    }
    let took_over = MIGRATED.iter().find(|(in_tree, _)| *in_tree == &**provisioner).map(|(_, driver)| Str::from(*driver));
    let handle = format!("\0{}/{}", claim.namespace, claim.name).into();
    Some(DriverVolume { migrated: took_over.is_some(), driver: took_over.unwrap_or_else(|| provisioner.clone()), handle })
}

/// What the API server shows as attached to a node.
pub(crate) fn attached_to(node: &str, snapshot: &Snapshot) -> Vec<DriverVolume> {
    let attachments = snapshot.attached.get(node).into_iter().flat_map(BTreeMap::values);
    let volumes = attachments.filter_map(|attachment| {
        let volume = snapshot.volumes.get(attachment.volume.as_ref()?).filter(|v| v.in_tree.is_none())?;
        Some(DriverVolume { driver: attachment.driver.clone(), handle: volume.handle.clone()?, migrated: false })
    });
    volumes.collect()
}
