//! A pod as a manifest. Its containers are not the original ones: as many, with the same images, that ask for the same together.
//! Leaves out the annotations that no plugin reads.

use super::{label_selector, labels, object, quantities, strings};
use crate::convert::{node_term_json, node_terms_json};
use crate::gangs::annotations_of;
use aisched_model::gang::GangSource;
use aisched_model::labels::Labels;
use aisched_model::owners::OwnerKind;
use aisched_model::pod::{
    LegacyDisk, Pod, PodAffinity, PodAffinityTerm, PodSpec, PodVolume, PreemptionPolicy, SpreadConstraint, TaintEffect, Toleration,
    TolerationOperator,
};
use aisched_model::resources::{Bytes, DEFAULT_MEMORY, DEFAULT_MILLI_CPU, MilliCpu, Resources};
use serde_json::{Map, Value, json};

/// Who writes the annotations that plugins read; others may hold anything.
const READ: &[&str] = &[
    "ai-storage.keti/",
    "kueue.x-k8s.io/",
    "workflows.argoproj.io/node-name",
    "pipelines.kubeflow.org/runtime-role",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "fluid.io/datasets-in-use",
];

pub(super) fn pod(pod: &Pod) -> Value {
    let of_gang = pod.spec.gang.iter().flat_map(|gang| annotations_of(gang)).map(|(key, value)| (key.into(), value.into()));
    let read = pod.spec.annotations.iter().filter(|(k, _)| READ.iter().any(|r| k.starts_with(r))).map(own);
    let annotations: Labels = of_gang.chain(read).collect();
    let meta = json!({
        "name": &*pod.name, "namespace": &*pod.namespace, "uid": &*pod.uid,
        "labels": labels(&pod.spec.labels), "annotations": labels(&annotations),
        "ownerReferences": pod.spec.controller.as_ref().map(|(kind, name)| vec![controller(*kind, name)]),
        "deletionTimestamp": pod.deleting.then_some("2000-01-01T00:00:00Z"),
    });
    object("v1", "Pod", meta, json!({"spec": spec(pod), "status": status(pod)}))
}

fn own((key, value): (&aisched_model::Str, &aisched_model::Str)) -> (aisched_model::Str, aisched_model::Str) {
    (key.clone(), value.clone())
}

fn controller(kind: OwnerKind, name: &str) -> Value {
    let (version, kind) = match kind {
        OwnerKind::Service => ("v1", "Service"),
        OwnerKind::ReplicationController => ("v1", "ReplicationController"),
        OwnerKind::ReplicaSet => ("apps/v1", "ReplicaSet"),
        OwnerKind::StatefulSet => ("apps/v1", "StatefulSet"),
    };
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": name, "controller": true})
}

fn status(pod: &Pod) -> Value {
    let mut conditions = Vec::new();
    if pod.preempted {
        conditions.push(json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}));
    }
    if let Some(refused) = &pod.refused {
        let (reason, message) = (&*refused.reason, &*refused.message);
        conditions.push(json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message}));
    }
    let started = pod.start_s.and_then(|s| jiff::Timestamp::from_second(s).ok());
    json!({
        "phase": if pod.ended { "Succeeded" } else if pod.node.is_some() { "Running" } else { "Pending" },
        "nominatedNodeName": pod.nominated_node.as_deref(),
        "startTime": started.map(|t| t.to_string()),
        "conditions": conditions,
    })
}

fn spec(pod: &Pod) -> Value {
    let spec = &*pod.spec;
    let gates: Vec<Value> = spec.scheduling_gates.iter().map(|g| json!({"name": &**g})).collect();
    let mut all = json!({
        "schedulerName": &*spec.scheduler_name,
        "nodeName": pod.node.as_deref(),
        "priority": spec.priority,
        "preemptionPolicy": match spec.preemption {
            PreemptionPolicy::LowerPriority => "PreemptLowerPriority",
            PreemptionPolicy::Never => "Never",
        },
        "schedulingGates": gates,
        "schedulingGroup": spec.gang.as_ref().filter(|g| g.source == GangSource::PodGroup).map(|g| json!({"podGroupName": &*g.name})),
        "tolerations": spec.tolerations.iter().map(toleration).collect::<Vec<_>>(),
        "nodeSelector": labels(&spec.node_selector),
        "affinity": affinity(spec),
        "topologySpreadConstraints": spec.spread.iter().map(spread).collect::<Vec<_>>(),
        "volumes": spec.volumes.iter().enumerate().map(|(i, v)| volume(i, v)).collect::<Vec<_>>(),
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, containers(spec)) {
        all.extend(more);
    }
    all
}

fn toleration(t: &Toleration) -> Value {
    let operator = match t.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
        TolerationOperator::Lt => "Lt",
        TolerationOperator::Gt => "Gt",
    };
    json!({"key": &*t.key, "operator": operator, "value": &*t.value, "effect": t.effect.map(TaintEffect::as_str)})
}

fn affinity(spec: &PodSpec) -> Value {
    let node = &spec.node_affinity;
    let preferred: Vec<Value> = node.preferred.iter().map(|(w, t)| json!({"weight": w, "preference": node_term_json(t)})).collect();
    json!({
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": node.required.as_deref().map(node_terms_json),
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        },
        "podAffinity": pod_affinity(&spec.pod_affinity),
        "podAntiAffinity": pod_affinity(&spec.pod_anti_affinity),
    })
}

fn pod_affinity(affinity: &PodAffinity) -> Value {
    let preferred: Vec<Value> = affinity.preferred.iter().map(|(w, t)| json!({"weight": w, "podAffinityTerm": pod_term(t)})).collect();
    json!({
        "requiredDuringSchedulingIgnoredDuringExecution": affinity.required.iter().map(pod_term).collect::<Vec<_>>(),
        "preferredDuringSchedulingIgnoredDuringExecution": preferred,
    })
}

fn pod_term(term: &PodAffinityTerm) -> Value {
    json!({
        "labelSelector": term.selector.as_ref().map(label_selector),
        "namespaces": strings(&term.namespaces),
        "namespaceSelector": term.namespace_selector.as_ref().map(label_selector),
        "topologyKey": &*term.topology_key,
    })
}

fn spread(c: &SpreadConstraint) -> Value {
    json!({
        "maxSkew": c.max_skew,
        "topologyKey": &*c.topology_key,
        "whenUnsatisfiable": if c.hard { "DoNotSchedule" } else { "ScheduleAnyway" },
        "labelSelector": c.selector.as_ref().map(label_selector),
        "minDomains": c.min_domains,
        "nodeAffinityPolicy": if c.honor_affinity { "Honor" } else { "Ignore" },
        "nodeTaintsPolicy": if c.honor_taints { "Honor" } else { "Ignore" },
        "matchLabelKeys": strings(&c.match_label_keys),
    })
}

fn volume(i: usize, volume: &PodVolume) -> Value {
    let name = format!("v{i}");
    match volume {
        PodVolume::Claim { claim, read_only } => {
            json!({"name": name, "persistentVolumeClaim": {"claimName": &**claim, "readOnly": read_only}})
        }
        PodVolume::Ephemeral { volume, storage_class } => {
            let template = json!({"spec": {"storageClassName": storage_class.as_deref(), "accessModes": ["ReadWriteOnce"]}});
            json!({"name": &**volume, "ephemeral": {"volumeClaimTemplate": template}})
        }
        PodVolume::Csi { driver } => json!({"name": name, "csi": {"driver": &**driver}}),
        PodVolume::Migrated { driver, handle } => match &**driver {
            "disk.csi.azure.com" => json!({"name": name, "azureDisk": {"diskName": "disk", "diskURI": &**handle}}),
            "cinder.csi.openstack.org" => json!({"name": name, "cinder": {"volumeID": &**handle}}),
            _ => json!({"name": name, "portworxVolume": {"volumeID": &**handle}}),
        },
        PodVolume::Disk(disk) => disk_volume(&name, disk),
    }
}

fn disk_volume(name: &str, disk: &LegacyDisk) -> Value {
    match disk {
        LegacyDisk::Gce { name: disk, read_only } => {
            json!({"name": name, "gcePersistentDisk": {"pdName": &**disk, "readOnly": read_only}})
        }
        LegacyDisk::Ebs { id } => json!({"name": name, "awsElasticBlockStore": {"volumeID": &**id}}),
        LegacyDisk::Iscsi { iqn, read_only } => json!({"name": name, "iscsi": {"iqn": &**iqn, "readOnly": read_only}}),
        LegacyDisk::Rbd { monitors, pool, image, read_only } => {
            let rbd = json!({"monitors": strings(monitors), "pool": &**pool, "image": &**image, "readOnly": read_only});
            json!({"name": name, "rbd": rbd})
        }
    }
}

/// One resource that containers may leave unnamed, so that a default stands in: what of it has to be asked for, and where.
///
/// With a request of 450m of which 500m count once defaults stand in: one container that names nothing (100m), an overhead of 400m, an
/// init container of 50m: `max(0, 50) + 400` = 450, with defaults `max(100, 50) + 400` = 500.
#[derive(Clone, Copy)]
struct Split {
    /// Containers that name nothing.
    unnamed: usize,
    /// Named by the first container, where every container names the resource.
    first: i64,
    /// Named by the init container, if there is one.
    init: i64,
    overhead: i64,
    /// Named by the pod as a whole.
    pod_level: Option<i64>,
}

impl Split {
    fn of(plain: i64, with_defaults: i64, default: i64) -> Self {
        let missing = with_defaults.saturating_sub(plain).max(0);
        if missing == 0 {
            return Self { unnamed: 0, first: plain, init: 0, overhead: 0, pod_level: None };
        }
        let unnamed = missing.saturating_add(default - 1) / default;
        let overhead = with_defaults.saturating_sub(unnamed.saturating_mul(default)).max(0);
        let unnamed = usize::try_from(unnamed).unwrap_or(0);
        Self { unnamed, first: 0, init: plain.saturating_sub(overhead).max(0), overhead, pod_level: None }
    }

    /// Of a pod that names requests as a whole; `containers` is what its containers alone come to.
    fn of_whole(plain: i64, with_defaults: i64, containers: i64, default: i64) -> Self {
        if plain == with_defaults {
            let all = Self::of(containers, containers, default);
            return Self { pod_level: Some(plain), ..all };
        }
        Self::of(plain, with_defaults, default)
    }
}

/// Containers, init containers, overhead, and what the pod asks for as a whole.
fn containers(spec: &PodSpec) -> Value {
    let (plain, full) = (&spec.requests, &spec.nonzero_request);
    let (cpu, memory) = match &spec.container_request {
        None => (Split::of(plain.cpu.0, full.cpu.0, DEFAULT_MILLI_CPU), Split::of(plain.memory.0, full.memory.0, DEFAULT_MEMORY)),
        Some(own) => (
            Split::of_whole(plain.cpu.0, full.cpu.0, own.cpu.0, DEFAULT_MILLI_CPU),
            Split::of_whole(plain.memory.0, full.memory.0, own.memory.0, DEFAULT_MEMORY),
        ),
    };
    let n_init = usize::from(cpu.init > 0 || memory.init > 0);
    let n = cpu.unnamed.max(memory.unnamed).max(spec.images.len().saturating_sub(n_init)).max(1);
    let others = Resources { cpu: MilliCpu(0), memory: Bytes(0), ..plain.clone() };
    let container = |i: usize| {
        let mut requests = if i == 0 { quantities(&others) } else { Map::new() };
        for (name, unit, split) in [("cpu", "m", cpu), ("memory", "", memory)] {
            if i >= split.unnamed {
                let amount = if i == 0 { split.first } else { 0 };
                requests.insert(name.into(), format!("{amount}{unit}").into());
            }
        }
        let image = spec.images.get(n_init + i).map_or("", |image| image);
        json!({"name": format!("c{i}"), "image": image, "resources": {"requests": requests}})
    };
    let mut containers: Vec<Value> = (0..n).map(container).collect();
    let ports = spec.host_ports.iter();
    let ports: Vec<Value> =
        ports.map(|p| json!({"hostIP": &*p.ip, "protocol": &*p.protocol, "hostPort": p.port, "containerPort": p.port})).collect();
    containers[0]["ports"] = ports.into();
    let init = json!([{
        "name": "i0", "image": spec.images.first().map_or("", |image| image),
        "resources": {"requests": {"cpu": format!("{}m", cpu.init), "memory": memory.init.to_string()}},
    }]);
    let mut all = json!({"containers": containers, "initContainers": if n_init > 0 { init } else { Value::Null }});
    let overhead = Resources { cpu: MilliCpu(cpu.overhead), memory: Bytes(memory.overhead), ..Resources::default() };
    all["overhead"] = quantities(&overhead).into();
    if spec.container_request.is_some() {
        all["resources"] = json!({"requests": whole(cpu, memory, plain)});
    }
    features(spec, &mut all);
    all
}

/// What the pod asks for as a whole: huge pages too.
fn whole(cpu: Split, memory: Split, plain: &Resources) -> Map<String, Value> {
    let huge = plain.scalars.iter().filter(|(name, _)| name.starts_with("hugepages-"));
    let mut all: Map<String, Value> = huge.map(|(name, n)| (name.to_string(), n.to_string().into())).collect();
    all.extend(cpu.pod_level.map(|n| ("cpu".to_owned(), format!("{n}m").into())));
    all.extend(memory.pod_level.map(|n| ("memory".to_owned(), n.to_string().into())));
    all
}

/// Whatever makes the pod need the features that it needs.
fn features(spec: &PodSpec, all: &mut Value) {
    for feature in &spec.required_features {
        match &**feature {
            "RestartAllContainersOnContainerExits" => {
                all["containers"][0]["restartPolicyRules"] = json!([{"action": "RestartAllContainers"}]);
            }
            "UserNamespacesHostNetworkSupport" => {
                all["hostNetwork"] = true.into();
                all["hostUsers"] = false.into();
            }
            "VolumeBindMountOptions" => {
                all["containers"][0]["volumeMounts"] = json!([{"name": "v0", "mountPath": "/v0", "bindMountOptions": ["noexec"]}]);
            }
            _ => {} // of another version: nothing in a manifest is known to ask for it
        }
    }
}
