//! Objects of other systems as manifests, with what is read of them.
//! Leaves out an Argo Workflow's expressions: tasks are written with what they depend on.

use super::object;
use aisched_model::Str;
use aisched_model::foreign::{Foreign, NodeStorage, Workflow, WorkflowTask};
use aisched_model::gang::{GangObject, GangSource, Quorum};
use aisched_model::hyper_nodes::{HyperNode, Pattern};
use aisched_model::selector::LabelSelector;
use serde_json::{Map, Value, json};

/// The manifest; none where what is known cannot be said as its system says it.
pub(super) fn foreign(foreign: &Foreign) -> Option<Value> {
    let meta = |namespace: &str, name: &str| json!({"name": name, "namespace": namespace});
    Some(match foreign {
        Foreign::Workload(w) => {
            let rest = json!({
                "spec": {"podSets": [{"name": "main", "count": w.n_pods}]},
                "status": {"admission": w.queue.as_ref().map(|q| json!({"clusterQueue": &**q})), "conditions": [{}]},
            });
            object("kueue.x-k8s.io/v1beta1", "Workload", meta(&w.namespace, &w.name), rest)
        }
        Foreign::Queue(q) => {
            let status = json!({"pendingWorkloads": q.pending, "admittedWorkloads": q.admitted});
            object("kueue.x-k8s.io/v1beta1", "ClusterQueue", json!({"name": &*q.name}), json!({"status": status}))
        }
        Foreign::Workflow(w) => workflow(w),
        Foreign::Topology(name, levels) => return topology(name, levels),
        Foreign::HyperNode(h) => hyper_node(h),
        Foreign::Dataset((namespace, name), percent) => {
            let states = json!({"cachedPercentage": format!("{percent}%")});
            object("data.fluid.io/v1alpha1", "Dataset", meta(namespace, name), json!({"status": {"cacheStates": states}}))
        }
        Foreign::Replica(r) => {
            let spec = json!({"volumeName": &*r.volume, "nodeID": &*r.node, "failedAt": ""});
            object("longhorn.io/v1beta2", "Replica", json!({"name": &*r.name}), json!({"spec": spec}))
        }
        Foreign::NodeStorage(storage) => return node_storage(storage),
        Foreign::Gang(described) => gang(described),
        Foreign::AttributesClass(..) => return None, // what is kept of its parameters is not enough to write them
    })
}

/// What describes a gang, in the shortest form that says the same.
fn gang(gang: &GangObject) -> Value {
    let n = match gang.quorum {
        Quorum::All(n) => Some(n),
        Quorum::None | Quorum::Parts(_) => None,
    };
    let parts = match &gang.quorum {
        Quorum::Parts(parts) => parts.as_slice(),
        Quorum::None | Quorum::All(_) => &[],
    };
    let timeout = gang.timeout_ms.map(|ms| ms / 1000);
    let replicas: Map<String, Value> = parts.iter().map(|(part, n)| (part.to_string(), json!({"replicas": n}))).collect();
    let (api_version, kind, spec) = match gang.key.source {
        GangSource::PodGroup => {
            let constraints = gang.near.required.as_ref().map(|key| json!({"topology": [{"key": &**key}]}));
            let policy = n.map_or_else(|| json!({"basic": {}}), |n| json!({"gang": {"minCount": n}}));
            ("scheduling.k8s.io/v1beta1", "PodGroup", json!({"schedulingPolicy": policy, "schedulingConstraints": constraints}))
        }
        GangSource::Coscheduling => {
            ("scheduling.x-k8s.io/v1alpha1", "PodGroup", json!({"minMember": n, "scheduleTimeoutSeconds": timeout}))
        }
        GangSource::Volcano => ("scheduling.volcano.sh/v1beta1", "PodGroup", json!({"minMember": n})),
        GangSource::JobSet => {
            let job =
                |(name, n): (&str, u32)| json!({"name": name, "replicas": 1, "template": {"spec": {"parallelism": n, "completions": n}}});
            let jobs: Vec<Value> = match n {
                Some(n) => vec![job(("all", n))],
                None => parts.iter().map(|(name, n)| job((&**name, *n))).collect(),
            };
            let order = n.is_none().then(|| json!({"startupPolicyOrder": "InOrder"}));
            ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({"replicatedJobs": jobs, "startupPolicy": order}))
        }
        GangSource::LeaderWorkerSet => {
            let policy = n.is_none().then_some("LeaderReady");
            let spec = json!({"leaderWorkerTemplate": {"size": n}, "startupPolicy": policy});
            ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", spec)
        }
        GangSource::TrainingJob | GangSource::Kueue => {
            let policy = json!({"schedulingPolicy": {"minAvailable": n, "scheduleTimeoutSeconds": timeout}});
            let kind = if n.is_some() { "PyTorchJob" } else { "MPIJob" };
            ("kubeflow.org/v1", kind, json!({"runPolicy": policy, "mpiReplicaSpecs": replicas}))
        }
    };
    let meta = json!({"name": &*gang.key.name, "namespace": &*gang.key.namespace});
    object(api_version, kind, meta, json!({"spec": spec}))
}

/// Topologies of several systems; their names begin with their kinds.
fn topology(name: &str, levels: &[Str]) -> Option<Value> {
    let (kind, name) = name.rsplit_once(' ')?;
    let spec = || json!({"levels": levels.iter().map(|l| json!({"nodeLabel": &**l})).collect::<Vec<_>>()});
    let (api_version, kind, spec) = match kind {
        "Topology" => ("kueue.x-k8s.io/v1beta1", "Topology", spec()),
        "KAI Topology" => ("kai.scheduler/v1alpha1", "Topology", spec()),
        "ClusterNetworkTopology" => {
            let layer = |i: usize| if i == 0 { String::new() } else { format!("layer-{i}") };
            let one =
                |(i, key): (usize, &Str)| json!({"topologyLayer": layer(i + 1), "parentTopologyLayer": layer(i), "labelKey": [&**key]});
            let layers: Vec<Value> = levels.iter().enumerate().map(one).collect();
            ("scheduling.koordinator.sh/v1alpha1", "ClusterNetworkTopology", json!({"networkTopologySpec": layers}))
        }
        _ => return None,
    };
    Some(object(api_version, kind, json!({"name": name}), json!({"spec": spec})))
}

fn hyper_node(h: &HyperNode) -> Value {
    let named = |kind: &'static str| move |name: &Str| json!({"type": kind, "selector": {"exactMatch": {"name": &**name}}});
    let selected = |selector: &LabelSelector| {
        let labels: Map<String, Value> =
            selector.0.iter().filter_map(|r| Some((r.key.to_string(), Value::from(&**r.values.first()?)))).collect();
        json!({"type": "Node", "selector": {"labelMatch": {"matchLabels": labels}}})
    };
    let nodes = h.nodes.iter().map(named("Node")).chain(h.children.iter().map(named("HyperNode")));
    let matched = |pattern: &Pattern| json!({"type": "Node", "selector": {"regexMatch": {"pattern": pattern.as_str()}}});
    let members: Vec<Value> = nodes.chain(h.selectors.iter().map(selected)).chain(h.patterns.iter().map(matched)).collect();
    let rest = json!({"spec": {"tier": h.tier, "members": members}});
    object("topology.volcano.sh/v1alpha1", "HyperNode", json!({"name": &*h.name}), rest)
}

fn workflow(flow: &Workflow) -> Value {
    let task = |suffix: &str| suffix.rsplit_once('.').map_or(suffix, |(_, name)| name).to_owned();
    let template = |(name, tasks): (&Str, &Vec<WorkflowTask>)| {
        // A list of steps names them `[0].a`: steps of one number are one list.
        let steps = tasks.first().is_some_and(|t| t.suffix.starts_with('['));
        let written = |t: &WorkflowTask| {
            let needs: Vec<String> = t.needs.iter().map(|n| task(n)).collect();
            let needs = if steps { Value::Null } else { needs.into() };
            json!({"name": task(&t.suffix), "template": &*t.template, "dependencies": needs})
        };
        if !steps {
            return json!({"name": &**name, "dag": {"tasks": tasks.iter().map(written).collect::<Vec<_>>()}});
        }
        let mut lists: Vec<Vec<Value>> = Vec::new();
        for t in tasks {
            let at = t.suffix.split(['[', ']']).nth(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0).min(tasks.len());
            lists.resize(lists.len().max(at + 1), Vec::new());
            lists[at].push(written(t));
        }
        json!({"name": &**name, "steps": lists})
    };
    let ran: Map<String, Value> =
        flow.ran.iter().map(|(name, node)| (name.to_string(), json!({"name": &**name, "hostNodeName": &**node}))).collect();
    let spec = json!({"entrypoint": &*flow.entrypoint, "templates": flow.templates.iter().map(template).collect::<Vec<_>>()});
    let meta = json!({"name": &*flow.name, "namespace": &*flow.namespace});
    object("argoproj.io/v1alpha1", "Workflow", meta, json!({"spec": spec, "status": {"nodes": ran}}))
}

fn node_storage(storage: &NodeStorage) -> Option<Value> {
    let name = &*storage.name;
    let tiers: Vec<&'static str> = storage.tiers.iter().map(aisched_model::workload::Tier::as_str).collect();
    // One pool or device for each tier; the room is that of the pool with the most.
    let free = storage.free_bytes.unwrap_or_default();
    let pools: Vec<Value> = tiers.iter().map(|tier| json!({"name": tier, "free": free.to_string()})).collect();
    let plain = || if storage.free_bytes.is_some() { vec![json!({"name": "pool", "free": free.to_string()})] } else { Vec::new() };
    let pools = if pools.is_empty() { plain() } else { pools };
    Some(match storage.kind {
        "LocalStorageNode" => {
            let tiers = if tiers.is_empty() && storage.free_bytes.is_some() { vec!["pool"] } else { tiers };
            let pools: Map<String, Value> =
                tiers.iter().map(|tier| ((*tier).to_owned(), json!({"class": tier, "freeCapacityBytes": free}))).collect();
            object("hwameistor.io/v1alpha1", "LocalStorageNode", json!({"name": name}), json!({"status": {"pools": pools}}))
        }
        "LVMNode" => object("local.openebs.io/v1alpha1", "LVMNode", json!({"name": name}), json!({"volumeGroups": pools})),
        "ZFSNode" => object("zfs.openebs.io/v1", "ZFSNode", json!({"name": name}), json!({"pools": pools})),
        "LocalModelNode" => {
            let models: Vec<Value> = storage.datasets.iter().map(|d| json!({"modelName": &**d, "sourceModelUri": ""})).collect();
            let status: Map<String, Value> = storage.datasets.iter().map(|d| (d.to_string(), "ModelDownloaded".into())).collect();
            let rest = json!({"spec": {"localModels": models}, "status": {"modelStatus": status}});
            object("serving.kserve.io/v1alpha1", "LocalModelNode", json!({"name": name}), rest)
        }
        "NodeFeature" => {
            let device = |tier: &&str| {
                let (name, spins) = match *tier {
                    "nvme" => ("nvme0n1", "0"),
                    "ssd" => ("sda", "0"),
                    "hdd" => ("sdb", "1"),
                    _ => return None,
                };
                Some(json!({"attributes": {"name": name, "rotational": spins}}))
            };
            let elements: Vec<Value> = tiers.iter().filter_map(device).collect();
            let meta = json!({"name": name, "labels": {"nfd.node.kubernetes.io/node-name": &*storage.node}});
            let features = json!({"instances": {"storage.block": {"elements": elements}}});
            object("nfd.k8s-sigs.io/v1alpha1", "NodeFeature", meta, json!({"spec": {"features": features}}))
        }
        _ => return None,
    })
}
