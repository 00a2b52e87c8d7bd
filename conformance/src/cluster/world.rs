//! Puts a scenario's objects onto an API server as if controllers, drivers and kubelets had been at work, and takes them away again.
//! Leaves out the pod that is asked about, and who is asked.

use super::{MARK, text};
use crate::scenario::{NAMESPACE, POD, Scenario};
use aisched_e2e::{Api, eventually, merged};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where objects of a kind are: the group's path, the plural, whether they are in namespaces. What others refer to comes first.
const KINDS: [(&str, &str, &str, bool); 15] = [
    ("Namespace", "/api/v1", "namespaces", false),
    ("StorageClass", "/apis/storage.k8s.io/v1", "storageclasses", false),
    ("CSIDriver", "/apis/storage.k8s.io/v1", "csidrivers", false),
    ("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims", true),
    ("PersistentVolume", "/api/v1", "persistentvolumes", false),
    ("CSIStorageCapacity", "/apis/storage.k8s.io/v1", "csistoragecapacities", true),
    ("CSINode", "/apis/storage.k8s.io/v1", "csinodes", false),
    ("VolumeAttachment", "/apis/storage.k8s.io/v1", "volumeattachments", false),
    ("Service", "/api/v1", "services", true),
    ("ReplicationController", "/api/v1", "replicationcontrollers", true),
    ("ReplicaSet", "/apis/apps/v1", "replicasets", true),
    ("StatefulSet", "/apis/apps/v1", "statefulsets", true),
    ("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets", true),
    ("Node", "/api/v1", "nodes", false),
    ("Pod", "/api/v1", "pods", true),
];

/// Whether objects of a kind are put on the API server: what is not there would be waited for in vain.
pub(super) fn can_hold(kind: &str) -> bool {
    KINDS.iter().any(|(known, ..)| *known == kind)
}

/// The objects of one scenario on an API server.
pub(super) struct World {
    api: &'static Api,
    /// Names of the PriorityClasses that are there.
    classes: BTreeSet<String>,
    /// UIDs of claims, which the API server gives, by those of the scenario.
    uids: BTreeMap<String, Value>,
}

impl World {
    pub(super) fn new(api: &'static Api) -> Self {
        Self { api, classes: BTreeSet::new(), uids: BTreeMap::new() }
    }

    /// Creates everything but the pod that is asked about; nodes get the mark.
    pub(super) fn put(&mut self, scenario: &Scenario, mark: &str) {
        self.uids.clear();
        for (kind, _, plural, _) in KINDS.iter().filter(|(kind, ..)| *kind != "Namespace") {
            for object in scenario.objects.iter().filter(|o| o["kind"] == *kind && !is_asked_about(o)) {
                let mut object = object.clone();
                if *kind == "Node" {
                    object = merged(object, json!({"metadata": {"labels": {MARK: mark}}}));
                }
                self.put_one(kind, &object, &list_of(&object, plural));
            }
        }
    }

    fn put_one(&mut self, kind: &str, object: &Value, list: &str) {
        let mut written = if kind == "Pod" { self.with_priority(object) } else { object.clone() };
        let deleting = written["metadata"].as_object_mut().and_then(|meta| meta.remove("deletionTimestamp")).is_some();
        if let Some(uid) = written.pointer("/spec/claimRef/uid").and_then(Value::as_str).and_then(|uid| self.uids.get(uid)) {
            written["spec"]["claimRef"]["uid"] = uid.clone();
        }
        let created = self.create(list, &written);
        if kind == "PersistentVolumeClaim" {
            self.uids.insert(text(object, "/metadata/uid").into(), created["metadata"]["uid"].clone());
        }
        let path = format!("{list}/{}", text(object, "/metadata/name"));
        // Only these two have a status that is no subresource's when they are created, or none that counts.
        if !["Node", "VolumeAttachment"].contains(&kind) && object.get("status").is_some() {
            self.api.patch(&format!("{path}/status"), &json!({"status": object["status"]}));
        }
        if deleting {
            self.api.delete(&path);
        }
    }

    /// Creates an object; the API server learns of a new PriorityClass a moment after it took it.
    pub(super) fn create(&self, list: &str, object: &Value) -> Value {
        eventually("the API server knows the pod's class", || match self.api.try_create(list, object) {
            Err(refusal) if refusal.message.contains("no PriorityClass with name") => Err(refusal.message),
            Err(_) => Ok(self.api.create(list, object)),
            Ok(created) => Ok(created),
        })
    }

    /// A pod with the class of its priority and its policy of preemption, which is made when it is first needed.
    pub(super) fn with_priority(&mut self, pod: &Value) -> Value {
        let (priority, policy) = (pod["spec"]["priority"].as_i64().unwrap_or(0), text(pod, "/spec/preemptionPolicy"));
        if priority == 0 && policy.is_empty() {
            return pod.clone();
        }
        let name = format!("conformance-{priority}-{}", policy.to_lowercase()).trim_end_matches('-').to_owned();
        if self.classes.insert(name.clone()) {
            let mut class = json!({"metadata": {"name": name}, "value": priority});
            if !policy.is_empty() {
                class["preemptionPolicy"] = policy.into();
            }
            self.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
        }
        merged(pod.clone(), json!({"spec": {"priorityClassName": name}}))
    }

    /// The objects as the API server holds them: what they have become.
    pub(super) fn stored(&self, scenario: &Scenario) -> Scenario {
        let mut objects = Vec::new();
        for (kind, group, plural, _) in KINDS {
            let api_version = group.trim_start_matches("/apis/").trim_start_matches("/api/");
            let found = self.api.list(&format!("{group}/{plural}"));
            objects.extend(found.into_iter().map(|object| merged(object, json!({"kind": kind, "apiVersion": api_version}))));
        }
        Scenario { objects, ..scenario.clone() }
    }

    /// Takes everything away.
    pub(super) fn clear(&self, scenario: &Scenario) {
        for (kind, _, plural, _) in KINDS.iter().rev().filter(|(kind, ..)| *kind != "Namespace") {
            for object in scenario.objects.iter().filter(|o| o["kind"] == *kind) {
                self.remove(&format!("{}/{}", list_of(object, plural), text(object, "/metadata/name")));
            }
        }
        eventually("the cluster is empty", || {
            let left = ["/api/v1/pods", "/api/v1/nodes", "/api/v1/persistentvolumes"].map(|path| self.api.list(path).len());
            if left == [0, 0, 0] { Ok(()) } else { Err(format!("{left:?} pods, nodes and volumes")) }
        });
    }

    /// Deletes an object, whatever it is kept for.
    pub(super) fn remove(&self, path: &str) {
        self.api.delete(path);
        if self.api.find(path).is_some_and(|left| left["metadata"].get("finalizers").is_some()) {
            self.api.patch(path, &json!({"metadata": {"finalizers": null}}));
        }
        eventually("the object is gone", || if self.api.find(path).is_none() { Ok(()) } else { Err(format!("{path} is still there")) });
    }
}

fn is_asked_about(object: &Value) -> bool {
    object["kind"] == "Pod" && object["metadata"]["name"] == POD
}

/// The path of the list that an object is in.
fn list_of(object: &Value, plural: &str) -> String {
    let (group, namespaced) = KINDS.iter().find(|(_, _, p, _)| *p == plural).map_or(("", false), |(_, group, _, inside)| (group, *inside));
    let namespace = match text(object, "/metadata/namespace") {
        "" => NAMESPACE,
        namespace => namespace,
    };
    if namespaced { format!("{group}/namespaces/{namespace}/{plural}") } else { format!("{group}/{plural}") }
}
