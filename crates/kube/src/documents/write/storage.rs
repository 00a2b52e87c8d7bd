//! Claims, volumes, classes, drivers, attachments and budgets as manifests.
//! Leaves out volume sources beside what names the volume to its driver.

use super::{label_selector, labels, object, strings};
use crate::convert::node_terms_json;
use aisched_model::disruption::DisruptionBudget;
use aisched_model::volume::{
    AccessModes, Attachment, BindingMode, Claim, CsiDriver, CsiDriverOnNode, CsiNode, StorageCapacity, StorageClass, Volume,
};
use serde_json::{Map, Value, json};

const STORAGE: &str = "storage.k8s.io/v1";

fn modes(modes: AccessModes) -> Vec<&'static str> {
    let all = [
        ("ReadWriteOnce", modes.read_write_once),
        ("ReadWriteOncePod", modes.read_write_once_pod),
        ("ReadWriteMany", modes.read_write_many),
        ("ReadOnlyMany", modes.read_only_many),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(mode, _)| mode).collect()
}

fn volume_mode(block: bool) -> &'static str {
    if block { "Block" } else { "Filesystem" }
}

pub(super) fn claim(claim: &Claim) -> Value {
    let owner = claim.owner_uid.as_ref();
    let owner = owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Pod", "name": "owner", "uid": &**uid, "controller": true}]));
    let meta = json!({
        "name": &*claim.name, "namespace": &*claim.namespace, "uid": &*claim.uid, "labels": labels(&claim.labels),
        "ownerReferences": owner,
        "annotations": {
            "pv.kubernetes.io/bind-completed": claim.bind_completed.then_some("yes"),
            "volume.kubernetes.io/selected-node": claim.selected_node.as_deref(),
        },
        "deletionTimestamp": claim.deleting.then_some("2000-01-01T00:00:00Z"),
    });
    let phase = match (claim.lost, claim.bind_completed) {
        (true, _) => "Lost",
        (false, true) => "Bound",
        (false, false) => "Pending",
    };
    let spec = json!({
        "volumeName": claim.volume.as_deref(),
        "storageClassName": claim.storage_class.as_deref(),
        "accessModes": modes(claim.access_modes),
        "resources": {"requests": {"storage": claim.requested.to_string()}},
        "volumeMode": volume_mode(claim.block),
        "selector": claim.selector.as_ref().map(label_selector),
        "volumeAttributesClassName": claim.attributes_class.as_deref(),
    });
    object("v1", "PersistentVolumeClaim", meta, json!({"spec": spec, "status": {"phase": phase}}))
}

pub(super) fn volume(volume: &Volume) -> Value {
    let claim = volume.claim.as_ref();
    let mut spec = json!({
        "nodeAffinity": {"required": volume.node_affinity.as_deref().map(node_terms_json)},
        "storageClassName": &*volume.storage_class,
        "accessModes": modes(volume.access_modes),
        "capacity": {"storage": volume.capacity.to_string()},
        "claimRef": claim.map(|(namespace, name, uid)| json!({"namespace": &**namespace, "name": &**name, "uid": &**uid})),
        "volumeMode": volume_mode(volume.block),
        "volumeAttributesClassName": volume.attributes_class.as_deref(),
    });
    if let Some((field, source)) = source(volume) {
        spec[field] = source;
    }
    let meta = json!({
        "name": &*volume.name, "labels": labels(&volume.labels),
        "deletionTimestamp": volume.deleting.then_some("2000-01-01T00:00:00Z"),
    });
    let phase = if volume.available { "Available" } else { "Bound" };
    object("v1", "PersistentVolume", meta, json!({"spec": spec, "status": {"phase": phase}}))
}

/// The source's field and what is in it.
fn source(volume: &Volume) -> Option<(&'static str, Value)> {
    let handle = volume.handle.as_deref().unwrap_or_default();
    let id = json!({"volumeID": handle});
    Some(match volume.in_tree.as_deref() {
        None => ("csi", json!({"driver": &**volume.driver.as_ref()?, "volumeHandle": handle})),
        Some("kubernetes.io/aws-ebs") => ("awsElasticBlockStore", id),
        Some("kubernetes.io/azure-disk") => {
            let kind = if handle.is_empty() { "Dedicated" } else { "Managed" }; // drivers know managed disks only
            ("azureDisk", json!({"diskName": "disk", "diskURI": handle, "kind": kind}))
        }
        Some("kubernetes.io/cinder") => ("cinder", id),
        // What comes before the name was made of the volume's labels, and is again.
        Some("kubernetes.io/gce-pd") => ("gcePersistentDisk", json!({"pdName": handle.rsplit('/').next()})),
        Some(_) => ("portworxVolume", id),
    })
}

pub(super) fn class(class: &StorageClass) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": class.is_default.then_some("true")});
    let expressions = |t: &aisched_model::selector::NodeSelectorTerm| -> Value {
        let all: Vec<Value> = t.labels.iter().map(|r| json!({"key": &*r.key, "values": strings(&r.values)})).collect();
        json!({"matchLabelExpressions": all})
    };
    let mode = match class.binding_mode {
        BindingMode::Immediate => "Immediate",
        BindingMode::WaitForFirstConsumer => "WaitForFirstConsumer",
    };
    let rest = json!({
        "provisioner": &*class.provisioner,
        "volumeBindingMode": mode,
        "allowedTopologies": class.allowed_topologies.iter().map(expressions).collect::<Vec<_>>(),
    });
    object(STORAGE, "StorageClass", json!({"name": &*class.name, "annotations": annotations}), rest)
}

pub(super) fn csi_node(node: &CsiNode) -> Value {
    let driver = |d: &CsiDriverOnNode| {
        let count = d.allocatable.map(|n| json!({"count": n}));
        json!({"name": &*d.name, "nodeID": &*node.name, "topologyKeys": strings(&d.topology_keys), "allocatable": count})
    };
    let migrated = (!node.migrated_plugins.is_empty()).then(|| strings(&node.migrated_plugins).join(","));
    let meta = json!({"name": &*node.name, "annotations": {"storage.alpha.kubernetes.io/migrated-plugins": migrated}});
    object(STORAGE, "CSINode", meta, json!({"spec": {"drivers": node.drivers.iter().map(driver).collect::<Vec<_>>()}}))
}

pub(super) fn csi_driver(driver: &CsiDriver) -> Value {
    let spec = json!({"storageCapacity": driver.storage_capacity, "preventPodSchedulingIfMissing": driver.needed_on_node});
    object(STORAGE, "CSIDriver", json!({"name": &*driver.name}), json!({"spec": spec}))
}

pub(super) fn capacity(capacity: &StorageCapacity) -> Value {
    let rest = json!({
        "storageClassName": &*capacity.storage_class,
        "nodeTopology": capacity.nodes.as_ref().map(label_selector),
        "capacity": capacity.capacity.map(|n| n.to_string()),
        "maximumVolumeSize": capacity.maximum_volume_size.map(|n| n.to_string()),
    });
    object(STORAGE, "CSIStorageCapacity", json!({"name": &*capacity.name, "namespace": &*capacity.namespace}), rest)
}

pub(super) fn attachment(attachment: &Attachment) -> Value {
    let spec = json!({
        "attacher": &*attachment.driver,
        "nodeName": &*attachment.node,
        "source": {"persistentVolumeName": attachment.volume.as_deref()},
    });
    object(STORAGE, "VolumeAttachment", json!({"name": &*attachment.name}), json!({"spec": spec}))
}

pub(super) fn budget(budget: &DisruptionBudget) -> Value {
    let disrupted: Map<String, Value> = budget.disrupted.iter().map(|pod| (pod.to_string(), "2000-01-01T00:00:00Z".into())).collect();
    let rest = json!({
        "spec": {"selector": budget.selector.as_ref().map(label_selector)},
        "status": {"disruptionsAllowed": budget.allowed, "disruptedPods": disrupted},
    });
    object("policy/v1", "PodDisruptionBudget", json!({"name": &*budget.name, "namespace": &*budget.namespace}), rest)
}
