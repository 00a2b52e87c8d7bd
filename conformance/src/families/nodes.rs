//! Scenarios about the nodes themselves: affinity, taints, ports, images.
//! Leaves out resources and everything that looks at other pods.

use super::{node_term, nodes, requirement};
use crate::luck::Luck;
use crate::scenario::{POD, Scenario, container};
use serde_json::{Map, Value, json};

/// Node selectors, required and preferred terms, `addedAffinity`.
pub(super) fn affinity(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    nodes(luck, &mut scenario, |_| json!({}));
    scenario.pod(POD, json!({"spec": affinity_spec(luck, 75)}));
    if !plain && luck.chance(30) {
        let args = json!({"kind": "NodeAffinityArgs", "apiVersion": "kubescheduler.config.k8s.io/v1", "addedAffinity": node_affinity(luck, 60, true)});
        scenario.configure(&[("NodeAffinity", args)]);
    }
    scenario
}

/// A pod's node selector and affinity.
pub(super) fn affinity_spec(luck: &mut Luck, percent: usize) -> Value {
    let mut selector = Map::new();
    for (key, value) in [("pool", "x"), ("topology.kubernetes.io/zone", "a")] {
        if luck.chance(percent / 4) {
            selector.insert(key.into(), value.into());
        }
    }
    json!({"nodeSelector": selector, "affinity": {"nodeAffinity": node_affinity(luck, percent, false)}})
}

fn node_affinity(luck: &mut Luck, percent: usize, at_least_one: bool) -> Value {
    let mut affinity = Map::new();
    let required = luck.chance(percent);
    if required {
        let terms: Vec<Value> = (0..=luck.below(3)).map(|_| node_term(luck)).collect();
        affinity.insert("requiredDuringSchedulingIgnoredDuringExecution".into(), json!({"nodeSelectorTerms": terms}));
    }
    if luck.chance(percent) || (at_least_one && !required) {
        let terms: Vec<Value> =
            (0..=luck.below(3)).map(|_| json!({"weight": luck.below(100) + 1, "preference": node_term(luck)})).collect();
        affinity.insert("preferredDuringSchedulingIgnoredDuringExecution".into(), json!(terms));
    }
    Value::Object(affinity)
}

/// Taints of every effect, cordoned nodes, tolerations of every shape.
pub(super) fn taints(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    nodes(luck, &mut scenario, tainted);
    scenario.pod(POD, json!({"spec": tolerations(luck)}));
    scenario
}

const KEYS: &[&str] = &["gpu", "full", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A node's taints; no two of one key and effect.
pub(super) fn tainted(luck: &mut Luck) -> Value {
    let mut taints = Vec::new();
    for key in KEYS {
        for effect in EFFECTS {
            if luck.chance(12) {
                taints.push(json!({"key": key, "value": luck.pick(&["", "a", "b"]), "effect": effect}));
            }
        }
    }
    json!({"spec": {"taints": taints, "unschedulable": luck.chance(15)}})
}

/// A pod's tolerations.
pub(super) fn tolerations(luck: &mut Luck) -> Value {
    let tolerations = luck.upto(4, |luck| {
        let effect = luck.pick(&["", "", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
        let mut toleration = match luck.below(10) {
            0 => json!({"operator": "Exists"}),
            1..5 => json!({"key": luck.pick(KEYS), "operator": "Exists"}),
            5..7 => json!({"key": luck.pick(KEYS), "value": luck.pick(&["a", "b"])}),
            _ => json!({"key": luck.pick(KEYS), "operator": "Equal", "value": luck.pick(&["", "a", "b"])}),
        };
        if !effect.is_empty() {
            toleration["effect"] = effect.into();
        }
        if effect == "NoExecute" && luck.chance(30) {
            toleration["tolerationSeconds"] = json!(luck.below(300));
        }
        toleration
    });
    json!({"tolerations": tolerations})
}

/// Taints with numbers, and tolerations that compare them: behind their gate. Spreading heeds them, too.
pub(super) fn comparisons(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.gates = "TaintTolerationComparisonOperators=true".into();
    nodes(luck, &mut scenario, |luck| {
        let taints: Vec<Value> = luck
            .some(50, &["sla", "cost"])
            .into_iter()
            .map(|key| json!({"key": key, "value": luck.pick(&["0", "10", "950", "007", "many", ""]), "effect": luck.pick(EFFECTS)}))
            .collect();
        json!({"spec": {"taints": taints}})
    });
    let tolerations = luck.upto(4, |luck| {
        let operator = luck.pick(&["Lt", "Gt", "Lt", "Gt", "Equal", "Exists"]);
        let mut toleration = json!({"key": luck.pick(&["sla", "cost"]), "operator": operator});
        match operator {
            // What is no plain number is refused by the API server.
            "Lt" | "Gt" => toleration["value"] = luck.pick(&["0", "10", "9", "1000"]).into(),
            "Equal" => toleration["value"] = luck.pick(&["0", "10", "many"]).into(),
            _ => {}
        }
        if luck.chance(50) {
            toleration["effect"] = luck.pick(EFFECTS).into();
        }
        toleration
    });
    let mut spec = json!({"tolerations": tolerations});
    if luck.chance(30) {
        spec["topologySpreadConstraints"] = super::spread::constraints(luck);
    }
    scenario.pod(POD, json!({"spec": spec}));
    scenario
}

/// Host ports on addresses and protocols, also of init containers and the host's network.
pub(super) fn ports(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |_| json!({}));
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(4) {
            let spec = port_spec(luck);
            scenario.running(&format!("{i}-{j}"), name, json!({"spec": spec}));
        }
    }
    scenario.pod(POD, json!({"spec": port_spec(luck)}));
    scenario
}

fn port_spec(luck: &mut Luck) -> Value {
    let host_network = luck.chance(15);
    let mut used: Vec<(usize, &str, &str)> = Vec::new();
    let mut ports = |luck: &mut Luck| {
        let all = luck.upto(3, |luck| {
            let port = 8000 + luck.below(4);
            let address = luck.pick(&["", "", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::"]);
            (port, luck.pick(&["TCP", "TCP", "UDP", "SCTP"]), address)
        });
        let mut ports = Vec::new();
        for (port, protocol, address) in all {
            if used.iter().any(|(p, q, _)| (*p, *q) == (port, protocol)) {
                continue; // the API server refuses a port twice in one pod
            }
            used.push((port, protocol, address));
            let mut object = json!({"containerPort": port, "protocol": protocol});
            if host_network || luck.chance(85) {
                object["hostPort"] = port.into();
                if !address.is_empty() {
                    object["hostIP"] = address.into();
                }
            }
            ports.push(object);
        }
        json!({"ports": ports})
    };
    let containers = [container("c", ports(luck)), container("d", ports(luck))];
    let mut init = container("i", ports(luck));
    let mut spec = json!({"hostNetwork": host_network, "containers": containers});
    if luck.chance(40) {
        if luck.chance(60) {
            init["restartPolicy"] = "Always".into();
        }
        spec["initContainers"] = json!([init]);
    }
    spec
}

const IMAGES: &[&str] = &[
    "busybox",
    "busybox:1",
    "docker.io/library/nginx:1.27",
    "gcr.io/train@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "registry:5000/team/big",
    "registry:5000/team/big:v2",
];

/// Images on nodes under several names, of sizes around both thresholds, wanted by containers and image volumes.
/// An image is of one size wherever it is: kube-scheduler goes by the size that it heard of first.
pub(super) fn images(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let sizes: Vec<i64> = IMAGES.iter().map(|_| luck.pick(&[0, 1 << 20, 30 << 20, 250 << 20, 999_999_999, 3 << 30])).collect();
    nodes(luck, &mut scenario, |luck| {
        let images = IMAGES.iter().zip(&sizes).filter(|_| luck.chance(50)).collect::<Vec<_>>();
        let images = images.into_iter().map(|(image, size)| {
            let latest = format!("{image}:latest");
            let names = if image.contains(':') || luck.chance(30) { vec![*image] } else { vec![*image, &latest] };
            json!({"names": names, "sizeBytes": size})
        });
        json!({"status": {"images": images.collect::<Vec<_>>()}})
    });
    let containers: Vec<Value> = (0..=luck.below(3)).map(|i| container(&format!("c{i}"), json!({"image": luck.pick(IMAGES)}))).collect();
    let init: Vec<Value> = luck.maybe(40, |luck| container("i", json!({"image": luck.pick(IMAGES)}))).into_iter().collect();
    let volumes: Vec<Value> = luck.maybe(30, |luck| json!({"name": "v", "image": {"reference": luck.pick(IMAGES)}})).into_iter().collect();
    scenario.pod(POD, json!({"spec": {"containers": containers, "initContainers": init, "volumes": volumes}}));
    scenario
}

/// A namespace selector.
pub(super) fn namespace_selector(luck: &mut Luck) -> Value {
    let expressions = luck.upto(2, |luck| requirement(luck, "team", &["a", "b"]));
    json!({"matchExpressions": expressions})
}

/// Nodes that declare features, and a pod that cannot do without some.
pub(super) fn features(luck: &mut Luck, _plain: bool) -> Scenario {
    const FEATURES: &[&str] =
        &["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport", "VolumeBindMountOptions", "Another"];
    let mut scenario = Scenario::new();
    scenario.gates = "UserNamespacesHostNetworkSupport=true,VolumeBindMountOptions=true".into();
    nodes(luck, &mut scenario, |luck| json!({"status": {"declaredFeatures": luck.some(65, FEATURES)}}));
    let mut spec = json!({"containers": [container("c", json!({}))]});
    let (restarts, users, mounts) = (luck.chance(40), luck.chance(40), luck.chance(40));
    if restarts {
        let rule = json!({"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [luck.pick(&[1, 137])]}});
        spec["containers"][0]["restartPolicyRules"] = json!([rule]);
        spec["containers"][0]["restartPolicy"] = "Never".into();
    }
    if users {
        (spec["hostNetwork"], spec["hostUsers"]) = (true.into(), luck.chance(30).into());
    }
    if mounts {
        spec["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
        let mut mount = json!({"name": "tmp", "mountPath": "/tmp"});
        if luck.chance(70) {
            mount["bindMountOptions"] = json!(["noexec"]);
        }
        spec["containers"][0]["volumeMounts"] = json!([mount]);
    }
    scenario.pod(POD, json!({"spec": spec}));
    scenario
}
