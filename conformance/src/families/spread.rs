//! Scenarios about spreading pods over domains: constraints of pods, and those that a profile or kube-scheduler gives by default.
//! Leaves out affinity between pods.

use super::{node_term, nodes, pod_labels, selector};
use crate::luck::Luck;
use crate::scenario::{POD, Scenario};
use aisched_e2e::merged;
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// Hard and soft constraints with every field.
pub(super) fn make(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = cluster(luck);
    let mut spec = json!({"topologySpreadConstraints": constraints(luck)});
    if luck.chance(20) {
        spec["nodeSelector"] = json!({"pool": "x"});
    }
    if luck.chance(20) {
        let required = json!({"nodeSelectorTerms": [node_term(luck)]});
        spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    }
    if luck.chance(30) {
        spec["tolerations"] = json!([{"key": "full", "operator": "Exists"}]);
    }
    scenario.pod(POD, json!({"metadata": {"labels": pod_labels(luck)}, "spec": spec}));
    if !plain && luck.chance(15) {
        configure(luck, &mut scenario);
    }
    scenario
}

/// Pods of services and controllers without constraints of their own.
pub(super) fn defaults(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = cluster(luck);
    let owner = owned(luck, &mut scenario);
    scenario.pod(POD, merged(json!({"metadata": {"labels": pod_labels(luck)}}), owner));
    if !plain && luck.chance(50) {
        configure(luck, &mut scenario);
    }
    scenario
}

/// Nodes, some full, with labelled pods.
fn cluster(luck: &mut Luck) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |luck| {
        let effect = luck.pick(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        let taints: Vec<Value> = luck.maybe(25, |_| json!({"key": "full", "effect": effect})).into_iter().collect();
        json!({"spec": {"taints": taints, "unschedulable": luck.chance(10)}})
    });
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(6) {
            let namespace = luck.pick(&["default", "default", "default", "other"]);
            let mut over = json!({"metadata": {"labels": pod_labels(luck), "namespace": namespace}});
            if luck.chance(8) {
                over["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
                over["metadata"]["finalizers"] = json!(["example.com/wait"]);
            }
            scenario.running(&format!("{i}-{j}"), name, over);
        }
    }
    scenario
}

/// One to three constraints, no two of one key and kind.
pub(super) fn constraints(luck: &mut Luck) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for _ in 0..=luck.below(3) {
        let constraint = constraint(luck);
        let same = |c: &Value| ["topologyKey", "whenUnsatisfiable"].iter().all(|field| c[field] == constraint[field]);
        if !all.iter().any(same) {
            all.push(constraint);
        }
    }
    json!(all)
}

fn constraint(luck: &mut Luck) -> Value {
    let hard = luck.chance(50);
    let mut constraint = json!({
        "maxSkew": luck.pick(&[1, 1, 2, 3]), "topologyKey": luck.pick(&[HOST, ZONE, "rack"]),
        "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
    });
    if hard && luck.chance(35) {
        constraint["minDomains"] = json!(luck.below(4) + 1);
    }
    for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if luck.chance(50) {
            constraint[field] = luck.pick(&["Honor", "Ignore"]).into();
        }
    }
    let selector = selector(luck);
    if !selector.is_null() {
        let free: Vec<&str> = ["app", "tier", "release"].into_iter().filter(|key| !selector.to_string().contains(*key)).collect();
        if !free.is_empty() && luck.chance(30) {
            constraint["matchLabelKeys"] = json!([luck.pick(&free)]);
        }
        constraint["labelSelector"] = selector;
    }
    constraint
}

fn configure(luck: &mut Luck, scenario: &mut Scenario) {
    let mut constraints: Vec<Value> = Vec::new();
    for key in [ZONE, HOST, "rack"] {
        let when = luck.pick(&["DoNotSchedule", "ScheduleAnyway"]);
        if luck.chance(50) {
            constraints.push(json!({"maxSkew": luck.below(3) + 1, "topologyKey": key, "whenUnsatisfiable": when}));
        }
    }
    let args = json!({
        "kind": "PodTopologySpreadArgs", "apiVersion": "kubescheduler.config.k8s.io/v1",
        "defaultConstraints": constraints, "defaultingType": "List",
    });
    scenario.configure(&[("PodTopologySpread", args)]);
}

/// Services and a controller that select pods; what makes the pod the controller's.
fn owned(luck: &mut Luck, scenario: &mut Scenario) -> Value {
    for i in 0..luck.below(3) {
        let mut selector = json!({"app": luck.pick(&["web", "db"])});
        if luck.chance(30) {
            selector["tier"] = luck.pick(&["1", "2"]).into();
        }
        scenario.objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{i}"), "namespace": luck.pick(&["default", "default", "other"])},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        }));
    }
    let (api_version, kind) = luck.pick(&[("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"), ("v1", "ReplicationController")]);
    if luck.chance(40) {
        return json!({});
    }
    if luck.chance(85) {
        let labels = json!({"app": luck.pick(&["web", "db"])});
        let selector = if kind == "ReplicationController" { labels.clone() } else { json!({"matchLabels": labels}) };
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}});
        scenario.objects.push(json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "owner", "namespace": "default", "uid": "owner"},
            "spec": {"selector": selector, "template": template},
        }));
    }
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": "owner", "uid": "owner", "controller": true});
    json!({"metadata": {"ownerReferences": [owner]}})
}
