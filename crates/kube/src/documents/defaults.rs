//! Defaults that an API server fills in when it stores an object, for objects that never met one.
//! Only those that bear on placement; harmless for objects that have them already.

use crate::convert::of_containers;
use crate::objects::{ClaimObject, ContainerObject, NodeObject, PodObject};
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelectorRequirement, ObjectMeta};
use std::collections::BTreeMap;

/// Namespace, UID, requests from limits, host ports of the host network, label keys of affinity terms, requests of the pod as a whole.
pub(super) fn pod(pod: &mut PodObject) {
    namespaced(&mut pod.metadata);
    if let (Some(affinity), Some(labels)) = (&mut pod.spec.affinity, &pod.metadata.labels) {
        terms(affinity).for_each(|term| keys_to_selector(term, labels));
    }
    let host_network = pod.spec.host_network;
    for container in pod.spec.containers.iter_mut().chain(&mut pod.spec.init_containers) {
        requests_from_limits(container);
        for port in container.ports.iter_mut().filter(|p| host_network && p.host_port == 0) {
            port.host_port = port.container_port;
        }
    }
    pod_level_requests(pod);
}

/// A pod that names anything as a whole asks for CPU and memory what its containers ask for, and else for what it is limited to.
/// Huge pages are never overcommitted, so that their limit comes first.
fn pod_level_requests(pod: &mut PodObject) {
    let of_containers = of_containers(pod);
    let Some(resources) = &mut pod.spec.resources else { return };
    let limits = resources.limits.take().unwrap_or_default();
    let requests = resources.requests.get_or_insert_default();
    if requests.is_empty() && limits.is_empty() {
        return;
    }
    let (huge, rest): (Vec<_>, Vec<_>) = of_containers.into_iter().partition(|(name, _)| name.starts_with("hugepages-"));
    for (name, amount) in rest.into_iter().chain(limits).chain(huge) {
        requests.entry(name).or_insert(amount);
    }
}

/// Every term of affinity and anti-affinity between pods.
fn terms(affinity: &mut Affinity) -> impl Iterator<Item = &mut PodAffinityTerm> {
    let (mut required, mut preferred) = (Vec::new(), Vec::new());
    if let Some(affinity) = &mut affinity.pod_affinity {
        required.push(&mut affinity.required_during_scheduling_ignored_during_execution);
        preferred.push(&mut affinity.preferred_during_scheduling_ignored_during_execution);
    }
    if let Some(affinity) = &mut affinity.pod_anti_affinity {
        required.push(&mut affinity.required_during_scheduling_ignored_during_execution);
        preferred.push(&mut affinity.preferred_during_scheduling_ignored_during_execution);
    }
    let preferred = preferred.into_iter().flatten().flatten().map(|weighted| &mut weighted.pod_affinity_term);
    required.into_iter().flatten().flatten().chain(preferred)
}

/// The pod's own values of `matchLabelKeys` and `mismatchLabelKeys` become part of the selector, once.
fn keys_to_selector(term: &mut PodAffinityTerm, labels: &BTreeMap<String, String>) {
    let Some(selector) = &mut term.label_selector else { return };
    for (keys, operator) in [(&term.match_label_keys, "In"), (&term.mismatch_label_keys, "NotIn")] {
        for (key, value) in keys.iter().flatten().filter_map(|key| Some((key, labels.get(key)?))) {
            let values = Some(vec![value.clone()]);
            let requirement = LabelSelectorRequirement { key: key.clone(), operator: operator.into(), values };
            let expressions = selector.match_expressions.get_or_insert_default();
            if !expressions.contains(&requirement) {
                expressions.push(requirement);
            }
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

/// Namespace and UID; a claim that names its volume has it, as it would soon after it was created, unless its status says otherwise.
pub(super) fn claim(claim: &mut ClaimObject) {
    namespaced(&mut claim.metadata);
    let waits = claim.status.phase.as_deref() == Some("Pending");
    if !waits && claim.spec.volume_name.as_ref().is_some_and(|name| !name.is_empty()) {
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
