//! Scenarios about what pods ask for and nodes have: every part of the request formula, every strategy of scoring.
//! Leaves out volumes.

use super::nodes;
use crate::luck::Luck;
use crate::scenario::{POD, Scenario, container};
use serde_json::{Map, Value, json};

const CPU: &[&str] = &["0", "1m", "100m", "250m", "0.5", "1", "1500m", "2", "3"];
const MEMORY: &[&str] = &["0", "64Mi", "500M", "1Gi", "1500Mi", "3G", "4Gi", "1e9", "123456789"];
const DISK: &[&str] = &["1Gi", "10Gi", "700M"];
const HUGE: &str = "hugepages-2Mi";
const GPU: &str = "example.com/gpu";
const FPGA: &str = "other.io/fpga";

/// Nodes of odd sizes, pods of every shape, profiles with other strategies.
pub(super) fn make(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |luck| json!({"status": {"allocatable": room(luck)}}));
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(4) {
            let spec = spec(luck, false);
            let status = if luck.chance(25) { resized(luck, &spec) } else { json!({}) };
            scenario.running(&format!("{i}-{j}"), name, json!({"spec": spec, "status": status}));
        }
    }
    let mut spec = spec(luck, false);
    if !plain && luck.chance(15) {
        // An API server takes overhead only from a RuntimeClass.
        spec["overhead"] = json!({"cpu": luck.pick(&["10m", "250m"]), "memory": luck.pick(&["100Mi", "1Gi"])});
    }
    scenario.pod(POD, json!({"spec": spec}));
    if !plain && luck.chance(50) {
        configure(luck, &mut scenario);
    }
    scenario
}

/// What a node has for pods.
pub(super) fn room(luck: &mut Luck) -> Value {
    let mut room = json!({
        "cpu": luck.pick(&["0", "1", "2", "3900m", "4", "7", "16"]), "memory": luck.pick(&["0", "2Gi", "3G", "8Gi", "15Gi", "64Gi"]),
        "pods": luck.pick(&["110", "110", "110", "1", "2", "0"]),
    });
    for (name, amounts, percent) in [
        ("ephemeral-storage", ["5Gi", "20Gi", "100G"], 70),
        (HUGE, ["0", "8Mi", "1Gi"], 40),
        (GPU, ["0", "1", "4"], 50),
        (FPGA, ["1", "2", "8"], 30),
    ] {
        if luck.chance(percent) {
            room[name] = luck.pick(&amounts).into();
        }
    }
    room
}

/// A pod's containers and what they ask for. Small ones run almost anywhere.
pub(super) fn spec(luck: &mut Luck, small: bool) -> Value {
    let containers: Vec<Value> = (0..=luck.below(if small { 1 } else { 3 })).map(|i| asking(luck, &format!("c{i}"), small)).collect();
    let mut spec = json!({"containers": containers});
    if small {
        return spec;
    }
    let init = luck.upto(2, |luck| (luck.chance(45), asking(luck, "", false)));
    let init: Vec<Value> = init
        .into_iter()
        .enumerate()
        .map(|(i, (sidecar, mut container))| {
            container["name"] = format!("i{i}").into();
            if sidecar {
                container["restartPolicy"] = "Always".into();
            }
            container
        })
        .collect();
    spec["initContainers"] = json!(init);
    if luck.chance(15) {
        // More than the containers can ask for together: less would be refused.
        let mut requests = Map::new();
        for (name, amounts) in [("cpu", ["10", "12"]), ("memory", ["30Gi", "40Gi"])] {
            if luck.chance(60) {
                requests.insert(name.into(), luck.pick(&amounts).into());
            }
        }
        // What is not asked for is filled in from the containers and from these.
        let limits = luck.some(30, &["cpu", "memory", HUGE]).into_iter().map(|name| match name {
            "cpu" => (name, "14"),
            "memory" => (name, "50Gi"),
            _ => (name, "64Mi"),
        });
        let limits: Map<String, Value> = limits.map(|(name, amount)| (name.to_owned(), amount.into())).collect();
        if !requests.is_empty() || !limits.is_empty() {
            spec["resources"] = json!({"requests": requests, "limits": limits});
        }
    }
    spec
}

/// A container that asks for some of everything; sometimes only by its limits.
fn asking(luck: &mut Luck, name: &str, small: bool) -> Value {
    let mut asked = Map::new();
    let wanted: [(&str, &[&str], usize); 3] = [
        ("cpu", if small { &CPU[..5] } else { CPU }, 75),
        ("memory", if small { &MEMORY[..3] } else { MEMORY }, 75),
        ("ephemeral-storage", DISK, 20),
    ];
    for (name, amounts, percent) in wanted {
        if luck.chance(percent) {
            asked.insert(name.into(), luck.pick(amounts).into());
        }
    }
    let mut limits = Map::new();
    for name in [GPU, FPGA] {
        if !small && luck.chance(12) {
            // Extended resources are not overcommitted: a request without an equal limit would be refused.
            limits.insert(name.into(), luck.pick(&["1", "2"]).into());
        }
    }
    if !small && asked.len() > usize::from(asked.contains_key("ephemeral-storage")) && luck.chance(15) {
        limits.insert(HUGE.into(), luck.pick(&["2Mi", "6Mi"]).into());
    }
    if luck.chance(15) {
        limits.append(&mut asked);
    }
    let mut requests = asked;
    requests
        .extend(limits.iter().filter(|(name, _)| name.contains('/') || *name == HUGE).map(|(name, amount)| (name.clone(), amount.clone())));
    container(name, json!({"resources": {"requests": requests, "limits": limits}}))
}

/// What a kubelet says of a pod while it is resized.
fn resized(luck: &mut Luck, spec: &Value) -> Value {
    let mut status = Map::new();
    for (containers, statuses) in [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")] {
        let all: Vec<Value> = spec[containers]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| {
                let amounts = |luck: &mut Luck| json!({"cpu": luck.pick(CPU), "memory": luck.pick(MEMORY)});
                let mut status = json!({"name": c["name"], "image": "busybox", "imageID": "", "ready": true, "restartCount": 0});
                if luck.chance(80) {
                    status["resources"] = json!({"requests": amounts(luck)});
                }
                if luck.chance(80) {
                    status["allocatedResources"] = amounts(luck);
                }
                status
            })
            .collect();
        status.insert(statuses.into(), json!(all));
    }
    if spec.get("resources").is_some() && luck.chance(60) {
        let mut amounts = || json!({"cpu": luck.pick(&["9", "11"]), "memory": luck.pick(&["25Gi", "45Gi"])});
        status.insert("resources".into(), json!({"requests": amounts()}));
        status.insert("allocatedResources".into(), amounts());
    }
    let infeasible = json!([{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]);
    if luck.chance(30) {
        status.insert("conditions".into(), infeasible);
    }
    Value::Object(status)
}

fn configure(luck: &mut Luck, scenario: &mut Scenario) {
    let resources = |luck: &mut Luck| {
        let mut chosen = luck.some(60, &["cpu", "memory", "ephemeral-storage", GPU, FPGA]);
        if chosen.is_empty() {
            chosen.push("cpu");
        }
        chosen
            .into_iter()
            .map(|name| (name, luck.pick(&[1, 1, 3, 100])))
            .map(|(name, weight)| json!({"name": name, "weight": weight}))
            .collect::<Vec<_>>()
    };
    let kind = luck.pick(&["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]);
    let mut strategy = json!({"type": kind, "resources": resources(luck)});
    if kind == "RequestedToCapacityRatio" {
        let mut shape = vec![json!({"utilization": luck.below(30), "score": luck.below(11)})];
        for from in [30, 70] {
            if luck.chance(60) {
                shape.push(json!({"utilization": from + luck.below(30), "score": luck.below(11)}));
            }
        }
        strategy["requestedToCapacityRatio"] = json!({"shape": shape});
    }
    let version = "kubescheduler.config.k8s.io/v1";
    let mut fit = json!({"kind": "NodeResourcesFitArgs", "apiVersion": version, "scoringStrategy": strategy});
    if luck.chance(30) {
        fit["ignoredResources"] = json!([GPU]);
    }
    if luck.chance(30) {
        fit["ignoredResourceGroups"] = json!(["other.io"]);
    }
    let resources: Vec<Value> = resources(luck)
        .into_iter()
        .map(|mut r| {
            r["weight"] = json!(1);
            r
        })
        .collect();
    let balanced = json!({"kind": "NodeResourcesBalancedAllocationArgs", "apiVersion": version, "resources": resources});
    scenario.configure(&[("NodeResourcesFit", fit), ("NodeResourcesBalancedAllocation", balanced)]);
}
