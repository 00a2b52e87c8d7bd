//! Defaults that an API server fills in when it stores an object, for objects that never met one.
//! Only those that bear on placement; harmless for objects that have them already.

use crate::objects::{ClaimObject, ContainerObject, NodeObject, PodObject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespace, UID, requests from limits, host ports of the host network.
pub(super) fn pod(pod: &mut PodObject) {
    namespaced(&mut pod.metadata);
    let host_network = pod.spec.host_network;
    for container in pod.spec.containers.iter_mut().chain(&mut pod.spec.init_containers) {
        requests_from_limits(container);
        for port in container.ports.iter_mut().filter(|p| host_network && p.host_port == 0) {
            port.host_port = port.container_port;
        }
    }
}

/// A limit is a request where no request is named.
fn requests_from_limits(container: &mut ContainerObject) {
    let Some(limits) = &container.resources.limits else { return };
    let requests = container.resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// What is not said to be reserved is there for pods.
pub(super) fn node(node: &mut NodeObject) {
    if node.status.allocatable.is_none() && !node.status.capacity.is_empty() {
        node.status.allocatable = Some(node.status.capacity.clone());
    }
}

/// Namespace and UID; a claim that names its volume has it, as it would soon after it was created.
pub(super) fn claim(claim: &mut ClaimObject) {
    namespaced(&mut claim.metadata);
    if claim.spec.volume_name.as_ref().is_some_and(|name| !name.is_empty()) {
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.entry("pv.kubernetes.io/bind-completed".into()).or_insert_with(|| "yes".into());
    }
}

/// Namespace and UID.
pub(super) fn namespaced(meta: &mut ObjectMeta) {
    let namespace = meta.namespace.get_or_insert_with(|| "default".into()).clone();
    let name = meta.name.clone().unwrap_or_default();
    meta.uid.get_or_insert_with(|| format!("{namespace}/{name}"));
}
