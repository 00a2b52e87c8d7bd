//! Volumes of the workloads, after upstream's scheduler_perf templates: claims that are bound already, one for each pod.
//! Leaves out which workload has them.

use crate::workload::NAMESPACE;
use serde_json::{Value, json};

/// CSI volumes that a node takes.
pub(crate) const CSI_LIMIT: usize = 39;
const DRIVER: &str = "ebs.csi.aws.com";

/// The CSINode of a node.
pub(crate) fn csi_node(node: &str) -> (&'static str, Value) {
    let driver = json!({"name": DRIVER, "nodeID": node, "allocatable": {"count": CSI_LIMIT}});
    let object = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": node}, "spec": {"drivers": [driver]}});
    ("/apis/storage.k8s.io/v1/csinodes", object)
}

/// What a node's status says of how many CSI volumes it takes.
pub(crate) fn limit(status: &mut Value) {
    for amounts in ["capacity", "allocatable"] {
        status[amounts][format!("attachable-volumes-csi-{DRIVER}")] = CSI_LIMIT.to_string().into();
    }
}

/// The source of CSI volume `i`.
pub(crate) fn csi(i: usize) -> (&'static str, Value) {
    ("csi", json!({"driver": DRIVER, "volumeHandle": format!("vol-{i}")}))
}

/// The source of in-tree volume `i`.
pub(crate) fn in_tree(i: usize) -> (&'static str, Value) {
    ("awsElasticBlockStore", json!({"volumeID": format!("vol-{i}")}))
}

/// Claim and volume of pod `i`, bound to each other: paths and objects.
pub(crate) fn bound_claim(i: usize, (kind, source): (&str, Value)) -> Vec<(String, Value)> {
    let (claim, volume) = (claim_name(i), format!("volume-{i:06}"));
    let bound = json!({"pv.kubernetes.io/bind-completed": "yes"});
    let claim_object = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": NAMESPACE, "annotations": bound},
        "spec": {
            "accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "", "volumeName": volume,
        },
    });
    let volume_object = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume},
        "spec": {
            "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain", kind: source,
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim},
        },
    });
    vec![
        ("/api/v1/persistentvolumes".into(), volume_object),
        (format!("/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"), claim_object),
    ]
}

/// `spec.volumes` of pod `i`.
pub(crate) fn of_pod(i: usize) -> Value {
    json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim_name(i)}}])
}

fn claim_name(i: usize) -> String {
    format!("claim-{i:06}")
}
