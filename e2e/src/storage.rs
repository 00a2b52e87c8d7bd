//! A test's storage: classes, volumes, claims, drivers on nodes; all of it goes with the test.
//! Leaves out drivers at work: that is the provisioner.

use crate::fixture::{LABEL, Test};
use crate::merged;
use crate::wait::eventually;
use serde_json::{Value, json};

/// Everything of a test that is in no namespace.
pub(crate) const KINDS: [&str; 5] = [
    "/apis/storage.k8s.io/v1/volumeattachments",
    "/api/v1/persistentvolumes",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/apis/storage.k8s.io/v1/csidrivers",
    "/apis/storage.k8s.io/v1/csinodes",
];

const CLASSES: &str = KINDS[2];
const VOLUMES: &str = KINDS[1];

impl Test {
    /// Adds an object of [`KINDS`], under its whole name.
    pub(crate) fn add_storage(&self, kind: &str, full_name: &str, object: Value) -> Value {
        let base = json!({"metadata": {"name": full_name, "labels": {LABEL: self.name}}});
        self.api().create(kind, &merged(base, object))
    }

    /// Adds a class whose claims wait for their pods and whose volumes are made by hand, unless told otherwise.
    pub fn add_class(&self, name: &str, over: Value) -> Value {
        let class = json!({"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"});
        self.add_storage(CLASSES, &self.node_name(name), merged(class, over))
    }

    /// The path of a class.
    #[must_use]
    pub fn class_path(&self, name: &str) -> String {
        format!("{CLASSES}/{}", self.node_name(name))
    }

    /// Adds a local volume of a class on a node.
    pub fn add_volume(&self, name: &str, class: &str, node: &str, size: &str, over: Value) -> Value {
        let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node_name(node)]}]}]);
        let volume = json!({"spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": self.node_name(class),
            "local": {"path": format!("/mnt/{name}")}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        }});
        self.add_storage(VOLUMES, &self.node_name(name), merged(volume, over))
    }

    /// Adds a volume of a class that every node reaches, for a claim.
    pub fn add_shared_volume(&self, name: &str, class: &str, claim: &str) -> Value {
        let volume = json!({"spec": {
            "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": self.node_name(class),
            "nfs": {"server": "nas", "path": format!("/{name}")}, "claimRef": {"namespace": self.name, "name": claim},
        }});
        self.add_storage(VOLUMES, &self.node_name(name), volume)
    }

    /// The path of a volume.
    #[must_use]
    pub fn volume_path(&self, name: &str) -> String {
        format!("{VOLUMES}/{}", self.node_name(name))
    }

    /// Says what the volume controller says of a new volume: claims may have it. Waits for it.
    ///
    /// # Panics
    /// When it does not.
    pub fn volume_available(&self, name: &str) {
        let path = self.volume_path(name);
        eventually(&format!("volume {name} is available"), || match self.api().get(&path)["status"]["phase"].as_str() {
            Some("Available") => Ok(()),
            phase => Err(format!("{phase:?}")),
        });
    }

    /// Adds a claim.
    pub fn add_claim(&self, name: &str, class: &str, size: &str, over: Value) -> Value {
        let claim = json!({"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": self.node_name(class), "resources": {"requests": {"storage": size}},
        }});
        self.api().create(&self.claims_path(), &merged(claim, over))
    }

    /// The path of this test's claims.
    #[must_use]
    pub fn claims_path(&self) -> String {
        format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.name)
    }

    /// The path of a claim.
    #[must_use]
    pub fn claim_path(&self, name: &str) -> String {
        format!("{}/{name}", self.claims_path())
    }

    /// The node that a claim's volume is to be made on, without the test's name.
    #[must_use]
    pub fn selected_node(&self, claim: &str) -> Option<String> {
        let claim = self.api().get(&self.claim_path(claim));
        let node = claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].as_str()?;
        Some(node.strip_prefix(&format!("{}-", self.name)).unwrap_or(node).to_owned())
    }

    /// Waits until a claim names the node that its volume is to be made on.
    ///
    /// # Panics
    /// When it names none.
    #[must_use]
    pub fn selected(&self, claim: &str) -> String {
        eventually(&format!("claim {claim} has a selected node"), || self.selected_node(claim).ok_or_else(|| "none".into()))
    }

    /// Waits until the volume controller has bound a claim; its volume's name without the test's.
    ///
    /// # Panics
    /// When it has not.
    #[must_use]
    pub fn claim_bound(&self, claim: &str) -> String {
        let path = self.claim_path(claim);
        eventually(&format!("claim {claim} is bound"), || {
            let claim = self.api().get(&path);
            let volume = claim["spec"]["volumeName"].as_str().unwrap_or_default();
            if claim["status"]["phase"] != "Bound" {
                return Err(claim.to_string());
            }
            Ok(volume.strip_prefix(&format!("{}-", self.name)).unwrap_or(volume).to_owned())
        })
    }

    /// What a pod that mounts these claims differs in from [`Self::pod`].
    #[must_use]
    pub fn mounting(claims: &[&str]) -> Value {
        let volumes = claims.iter().map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}));
        json!({"spec": {"volumes": volumes.collect::<Vec<_>>()}})
    }

    /// Waits until a pod is refused with these reasons, whatever is said of other tests' nodes.
    ///
    /// # Panics
    /// When others are given.
    pub fn refused_for(&self, pod: &str, expected: &[&str]) {
        let path = self.pod_path(pod);
        eventually(&format!("pod {pod} is refused for {expected:?}"), || {
            let pod = self.api().get(&path);
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let refused = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
            let message = refused.and_then(|c| c["message"].as_str()).unwrap_or_default();
            if own_reasons(message) == expected { Ok(()) } else { Err(format!("{message} {:?}", own_reasons(message))) }
        });
    }

    /// Says that a driver is on a node, and how many of its volumes can be attached there.
    pub fn add_csi_node(&self, node: &str, driver: &str, allocatable: Option<u32>) -> Value {
        let node = self.node_name(node);
        let drivers = json!([{"name": driver, "nodeID": node, "topologyKeys": [], "allocatable": {"count": allocatable}}]);
        self.add_storage(KINDS[4], &node, json!({"spec": {"drivers": drivers}}))
    }
}

/// The reasons of a message that concern nodes of the test itself.
fn own_reasons(message: &str) -> Vec<&str> {
    let reasons = message.split_once("are available: ").map_or(message, |(_, reasons)| reasons);
    let reasons = reasons.split_once(". ").map_or(reasons, |(reasons, _)| reasons).trim_end_matches('.');
    reasons.split(", ").filter(|r| !r.ends_with("node(s) didn't match Pod's node affinity/selector")).collect()
}
