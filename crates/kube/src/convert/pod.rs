//! A pod object as the model's pod.
//! Leaves out the request formula (`requests`) and affinity (`affinity`).

use super::affinity::Context;
use super::owners::controller;
use super::{Converted, annotations, labels, migrated, requests};
use crate::gangs;
use crate::intern::Interner;
use crate::objects::{ConditionObject, ContainerObject, PodObject, PodStatusObject, VolumeObject};
use aisched_core::features::Features;
use aisched_model::Str;
use aisched_model::devices::{Attach, PodClaim, PodClaimSource};
use aisched_model::pod::{HostPort, KUEUE_WORKLOAD, LegacyDisk, Pod, PodSpec, PodVolume, PreemptionPolicy, RefusedCondition};
use aisched_model::quantity::Quantity;
use aisched_model::storage_facts::{ANNOTATION_PREFIX, Fault};
use k8s_openapi::api::core::v1::PodResourceClaim;
use std::sync::Arc;

/// The model's pod. Equal content of pods shares one spec through `interner`.
#[must_use]
pub fn pod(object: &PodObject, interner: &mut Interner) -> Converted<Pod> {
    let mut faults = Vec::new();
    let (meta, status) = (&object.metadata, &object.status);
    let node = object.spec.node_name.as_deref().filter(|n| !n.is_empty()).map(|n| interner.str(n));
    let spec = spec(object, node.is_some(), interner, &mut faults);
    let refused = status.conditions.iter().find(|c| c.kind == "PodScheduled" && c.status == "False" && node.is_none());
    let generation = meta.generation.unwrap_or_default();
    let value = Pod {
        generation,
        uid: interner.str(meta.uid.as_deref().unwrap_or_default()),
        namespace: interner.str(meta.namespace.as_deref().unwrap_or_default()),
        name: interner.str(meta.name.as_deref().unwrap_or_default()),
        spec: interner.spec(spec),
        node,
        ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        deleting: meta.deletion_timestamp.is_some(),
        preempted: status.conditions.iter().any(is_preemption),
        rejected: rejection(status).map(|reason| interner.str(reason)),
        start_s: status.start_time.as_ref().map(|t| t.0.as_second()),
        nominated_node: status.nominated_node_name.as_deref().filter(|n| !n.is_empty()).map(|n| interner.str(n)),
        claims_made: claims_made(status, interner),
        refused: refused.map(|c| Arc::new(RefusedCondition { reason: interner.str(&c.reason), message: interner.str(&c.message) })),
    };
    Converted::new(value, faults)
}

/// Takes away the fields of features that are off, as an API server without them would.
pub fn hide(object: &mut PodObject, features: Features) {
    if !features.pod_level_resources {
        object.spec.resources = None;
    }
    if !features.in_place_pod_level_resources_vertical_scaling {
        (object.status.resources, object.status.allocated_resources) = (None, None);
    }
}

/// Keys that no plugin reads and that differ between pods of one template.
const IGNORED_ANNOTATIONS: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration"];

/// Whether a plugin could read an annotation; of a bound pod only the scheduler's own count, and what names its gang.
fn is_read(key: &str, bound: bool) -> bool {
    if bound { key.starts_with(ANNOTATION_PREFIX) || key == KUEUE_WORKLOAD } else { !IGNORED_ANNOTATIONS.contains(&key) }
}

/// Why the kubelet would not run the pod, if that is how it ended.
fn rejection(status: &PodStatusObject) -> Option<&str> {
    let rejected = status.message.as_ref().is_some_and(|message| message.starts_with("Pod was rejected"));
    status.reason.as_deref().filter(|_| rejected && status.phase.as_deref() == Some("Failed"))
}

/// Whether the condition says that a scheduler is deleting the pod to make room for another.
fn is_preemption(condition: &ConditionObject) -> bool {
    condition.kind == "DisruptionTarget" && condition.status == "True" && condition.reason == "PreemptionByScheduler"
}

fn spec(object: &PodObject, bound: bool, interner: &mut Interner, faults: &mut Vec<Fault>) -> PodSpec {
    let (meta, spec) = (&object.metadata, &object.spec);
    let requests = requests::requests(object, interner, faults);
    let affinity = spec.affinity.as_ref();
    let mut context = Context { interner, faults, namespace: meta.namespace.as_deref().unwrap_or_default() };
    let node_affinity = affinity.and_then(|a| a.node_affinity.as_ref()).map(|a| context.node_affinity(a)).unwrap_or_default();
    let pod_affinity = affinity.and_then(|a| a.pod_affinity.as_ref()).map(|a| {
        let (required, preferred) =
            (&a.required_during_scheduling_ignored_during_execution, &a.preferred_during_scheduling_ignored_during_execution);
        context.pod_affinity("podAffinity", required.as_ref(), preferred.as_ref())
    });
    let pod_anti_affinity = affinity.and_then(|a| a.pod_anti_affinity.as_ref()).map(|a| {
        let (required, preferred) =
            (&a.required_during_scheduling_ignored_during_execution, &a.preferred_during_scheduling_ignored_during_execution);
        context.pod_affinity("podAntiAffinity", required.as_ref(), preferred.as_ref())
    });
    let spread = spec.topology_spread_constraints.iter().enumerate().map(|(i, c)| context.spread(i, c)).collect();
    let tolerations = spec.tolerations.iter().enumerate().filter_map(|(i, t)| context.toleration(i, t)).collect();
    let images = images(object, interner);
    PodSpec {
        scheduler_name: interner.str(spec.scheduler_name.as_deref().unwrap_or("default-scheduler")),
        controller: controller(meta.owner_references.as_ref(), interner),
        labels: labels(meta.labels.as_ref(), interner),
        annotations: annotations(meta.annotations.as_ref(), |key| is_read(key, bound), interner),
        priority: spec.priority.unwrap_or(0),
        preemption: if spec.preemption_policy.as_deref() == Some("Never") {
            PreemptionPolicy::Never
        } else {
            PreemptionPolicy::LowerPriority
        },
        scheduling_gates: spec.scheduling_gates.iter().map(|g| interner.str(&g.name)).collect(),
        tolerations,
        node_selector: labels(Some(&spec.node_selector), interner),
        node_affinity,
        pod_affinity: pod_affinity.unwrap_or_default(),
        pod_anti_affinity: pod_anti_affinity.unwrap_or_default(),
        spread,
        requests: requests.plain,
        nonzero_request: requests.nonzero,
        container_request: requests.containers,
        host_ports: host_ports(object, interner),
        n_containers: images.len(),
        images,
        required_features: required_features(object, interner),
        volumes: spec.volumes.iter().filter_map(|v| volume(v, interner)).collect(),
        device_claims: device_claims(object, interner),
        attach: attach(object, interner),
        gang: gangs::membership(object, interner).map(Arc::new),
    }
}

/// Ports of the containers that run for the pod's whole life: sidecars first, as the API lists them.
fn host_ports(object: &PodObject, interner: &mut Interner) -> Vec<HostPort> {
    let is_sidecar = |c: &&ContainerObject| c.restart_policy.as_deref() == Some("Always");
    let lasting = object.spec.init_containers.iter().filter(is_sidecar).chain(&object.spec.containers);
    let ports = lasting.flat_map(|c| &c.ports).filter(|p| p.host_port > 0);
    ports
        .map(|p| HostPort {
            ip: interner.str(p.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0")),
            protocol: interner.str(p.protocol.as_deref().filter(|p| !p.is_empty()).unwrap_or("TCP")),
            port: p.host_port,
        })
        .collect()
}

/// Images of init containers, containers and image volumes: each is one that the node has to have.
fn images(object: &PodObject, interner: &mut Interner) -> Vec<Str> {
    let spec = &object.spec;
    let containers = spec.init_containers.iter().chain(&spec.containers).map(|c| c.image.as_str());
    let volumes = spec.volumes.iter().filter_map(|v| v.image.as_ref()).map(|i| i.reference.as_str());
    containers.chain(volumes).map(|image| interner.str(image)).collect()
}

/// What only nodes that declare it can do (KEP-5328). Features that matter to updates alone are not here.
fn required_features(object: &PodObject, interner: &mut Interner) -> Vec<Str> {
    let spec = &object.spec;
    let lasting = || spec.containers.iter().chain(&spec.init_containers);
    let restarts_all = lasting().flat_map(|c| &c.restart_policy_rules).any(|rule| rule.action == "RestartAllContainers");
    let own_users = spec.host_network && spec.host_users == Some(false);
    let mounts = lasting().chain(&spec.ephemeral_containers).flat_map(|c| &c.volume_mounts);
    let bind_options = mounts.into_iter().any(|mount| !mount.bind_mount_options.is_empty());
    let features = [
        ("RestartAllContainersOnContainerExits", restarts_all),
        ("UserNamespacesHostNetworkSupport", own_users),
        ("VolumeBindMountOptions", bind_options),
    ];
    features.into_iter().filter(|(_, needed)| *needed).map(|(feature, _)| interner.str(feature)).collect()
}

/// The claims that a controller made.
fn claims_made(status: &PodStatusObject, interner: &mut Interner) -> Vec<(Str, Option<Str>)> {
    let made = status.resource_claim_statuses.iter();
    made.map(|s| (interner.str(&s.name), s.resource_claim_name.as_deref().map(|name| interner.str(name)))).collect()
}

fn device_claims(object: &PodObject, interner: &mut Interner) -> Vec<PodClaim> {
    let source = |claim: &PodResourceClaim, interner: &mut Interner| match (&claim.resource_claim_name, &claim.resource_claim_template_name)
    {
        (Some(name), _) => PodClaimSource::Named(interner.str(name)),
        (None, Some(template)) => PodClaimSource::Template(interner.str(template)),
        (None, None) => PodClaimSource::Unknown,
    };
    object.spec.resource_claims.iter().map(|c| PodClaim { name: interner.str(&c.name), source: source(c, interner) }).collect()
}

/// Extended resources container by container: of those that a class of devices stands for, each container gets its own.
fn attach(object: &PodObject, interner: &mut Interner) -> Vec<Attach> {
    let spec = &object.spec;
    let init = spec.init_containers.iter().map(|c| (c, c.restart_policy.as_deref() != Some("Always")));
    let all = init.chain(spec.containers.iter().map(|c| (c, false))).enumerate();
    all.filter_map(|(index, (container, short_lived))| {
        let requests = container.resources.requests.as_ref()?;
        let asks = requests.iter().enumerate().filter(|(_, (name, _))| name.contains('/') && !name.starts_with("requests."));
        let asks: Vec<_> =
            asks.filter_map(|(place, (name, q))| Some((interner.str(name), Quantity::parse(&q.0).ok()?.value(), place))).collect();
        (!asks.is_empty()).then(|| Attach { index, container: interner.str(&container.name), short_lived, asks })
    })
    .collect()
}

fn volume(v: &VolumeObject, interner: &mut Interner) -> Option<PodVolume> {
    if let Some(source) = &v.persistent_volume_claim {
        return Some(PodVolume::Claim { claim: interner.str(&source.claim_name), read_only: source.read_only });
    }
    if let Some(source) = &v.ephemeral {
        let class = source.volume_claim_template.spec.storage_class_name.as_deref();
        return Some(PodVolume::Ephemeral { volume: interner.str(&v.name), storage_class: class.map(|c| interner.str(c)) });
    }
    if let Some(source) = &v.csi {
        return Some(PodVolume::Csi { driver: interner.str(&source.driver) });
    }
    if let Some((driver, handle)) = migrated::inline(v) {
        return Some(PodVolume::Migrated { driver: interner.str(driver), handle: interner.str(handle) });
    }
    disk(v, interner).map(PodVolume::Disk)
}

fn disk(v: &VolumeObject, interner: &mut Interner) -> Option<LegacyDisk> {
    if let Some(gce) = &v.gce_persistent_disk {
        return Some(LegacyDisk::Gce { name: interner.str(&gce.pd_name), read_only: gce.read_only });
    }
    if let Some(ebs) = &v.aws_elastic_block_store {
        return Some(LegacyDisk::Ebs { id: interner.str(&ebs.volume_id) });
    }
    if let Some(iscsi) = &v.iscsi {
        return Some(LegacyDisk::Iscsi { iqn: interner.str(&iscsi.iqn), read_only: iscsi.read_only });
    }
    let rbd = v.rbd.as_ref()?;
    Some(LegacyDisk::Rbd {
        monitors: rbd.monitors.iter().map(|m| interner.str(m)).collect(),
        pool: interner.str(rbd.pool.as_deref().unwrap_or("rbd")),
        image: interner.str(&rbd.image),
        read_only: rbd.read_only,
    })
}
