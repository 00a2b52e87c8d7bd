//! Scenarios about devices: pools of nodes and of the network, classes, claims that have devices and claims that want some.
//! Leaves out which devices are given: a cycle does not tell.

use super::nodes;
use crate::luck::Luck;
use crate::scenario::{NAMESPACE, POD, Scenario, container};
use serde_json::{Value, json};

const DRIVER: &str = "gpu.example.com";
const MODELS: &[&str] = &["a", "b"];
/// Selectors: of a class or of a request.
const SELECTORS: &[&str] = &[
    "device.attributes['gpu.example.com'].model == 'a'",
    "device.attributes['gpu.example.com'].numa < 1",
    "device.capacity['gpu.example.com'].memory.compareTo(quantity('20Gi')) >= 0",
    "has(device.attributes['gpu.example.com'].extra)",
    "cel.bind(gpu, device.attributes['gpu.example.com'], gpu.model == 'b' && gpu.numa == 1)",
    "'other.example.com' in device.attributes",
];

/// Pools, complete and not, tainted, partitioned and shared; a pod of one to three claims.
pub(super) fn make(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |_| json!({}));
    for (name, selector) in [("any", None), ("picky", Some(luck.pick(SELECTORS)))] {
        let selectors: Vec<Value> = selector.into_iter().map(|text| json!({"cel": {"expression": text}})).collect();
        scenario.objects.push(json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": {"selectors": selectors},
        }));
    }
    let mut devices = Vec::new();
    for name in &names {
        if luck.chance(80) {
            devices.extend(slice(luck, &mut scenario, name, json!({"nodeName": name})));
        }
    }
    if luck.chance(30) {
        let zone = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]});
        let reach = luck.pick(&[0, 1]);
        let nodes = [json!({"allNodes": true}), json!({"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}})];
        devices.extend(slice(luck, &mut scenario, "net", nodes[reach].clone()));
    }
    taken(luck, &mut scenario, &devices);
    let claims = luck.pick(&[1, 1, 2, 3]);
    for i in 0..claims {
        if luck.chance(96) {
            claim(luck, &mut scenario, i);
        }
    }
    let claims: Vec<Value> = (0..claims).map(|i| json!({"name": format!("c{i}"), "resourceClaimName": format!("c{i}")})).collect();
    scenario.pod(POD, json!({"spec": {"resourceClaims": claims, "containers": [container("c", json!({}))]}}));
    scenario
}

/// One pool in one slice, or in two of which the second may be missing; the names of its devices, with their pool.
fn slice(luck: &mut Luck, scenario: &mut Scenario, pool: &str, reach: Value) -> Vec<(String, String)> {
    let names: Vec<String> = (0..=luck.below(4)).map(|i| format!("d{i}")).collect();
    let devices: Vec<Value> = names.iter().map(|name| device(luck, name)).collect();
    let mut spec = json!({
        "driver": DRIVER, "devices": devices,
        "pool": {"name": pool, "generation": 1, "resourceSliceCount": if luck.chance(90) { 1 } else { 2 }},
    });
    for (key, value) in reach.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    scenario.objects.push(json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": pool}, "spec": spec}));
    names.into_iter().map(|name| (pool.to_owned(), name)).collect()
}

fn device(luck: &mut Luck, name: &str) -> Value {
    let mut device = json!({
        "name": name,
        "attributes": {"model": {"string": luck.pick(MODELS)}, "numa": {"int": luck.below(2)}},
        "capacity": {"memory": {"value": luck.pick(&["10Gi", "40Gi"])}},
    });
    if luck.chance(15) {
        device["taints"] = json!([{"key": "bad", "effect": luck.pick(&["NoSchedule", "NoExecute", "None"])}]);
    }
    if luck.chance(20) {
        device["allowMultipleAllocations"] = json!(true);
    }
    if luck.chance(10) {
        device["attributes"]["other.example.com/extra"] = json!({"bool": true});
    }
    device
}

/// Claims of others that have devices.
fn taken(luck: &mut Luck, scenario: &mut Scenario, devices: &[(String, String)]) {
    for (i, (pool, device)) in devices.iter().enumerate() {
        if !luck.chance(25) {
            continue;
        }
        let result = json!({"request": "r", "driver": DRIVER, "pool": pool, "device": device});
        let mut claim = object(&format!("taken{i}"), json!([request(luck, "r")]));
        claim["status"] = json!({"allocation": {"devices": {"results": [result]}}});
        scenario.objects.push(claim);
    }
}

fn claim(luck: &mut Luck, scenario: &mut Scenario, i: usize) {
    let requests: Vec<Value> = (0..=luck.below(2)).map(|n| request(luck, &format!("r{n}"))).collect();
    let mut claim = object(&format!("c{i}"), json!(requests));
    if luck.chance(30) {
        let (which, attribute) = (luck.pick(&["matchAttribute", "distinctAttribute"]), luck.pick(&["model", "numa"]));
        claim["spec"]["devices"]["constraints"] = json!([{which: format!("{DRIVER}/{attribute}")}]);
    }
    scenario.objects.push(claim);
}

fn object(name: &str, requests: Value) -> Value {
    json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"devices": {"requests": requests}},
    })
}

fn request(luck: &mut Luck, name: &str) -> Value {
    if luck.chance(20) {
        let alternatives: Vec<Value> = (0..=luck.below(3))
            .map(|i| {
                let mut one = ask(luck);
                one["name"] = json!(format!("s{i}"));
                one
            })
            .collect();
        return json!({"name": name, "firstAvailable": alternatives});
    }
    json!({"name": name, "exactly": ask(luck)})
}

fn ask(luck: &mut Luck) -> Value {
    let class = luck.pick(&["any", "any", "any", "picky", "picky", "none"]);
    let mut ask = json!({"deviceClassName": if luck.chance(95) { luck.pick(&["any", "picky"]) } else { class }});
    match luck.below(8) {
        0 => ask["allocationMode"] = json!("All"),
        n => {
            ask["allocationMode"] = json!("ExactCount");
            ask["count"] = json!(if n < 5 { 1 } else { 2 });
        }
    }
    if luck.chance(30) {
        ask["selectors"] = json!([{"cel": {"expression": luck.pick(SELECTORS)}}]);
    }
    if luck.chance(20) {
        ask["tolerations"] = json!([{"key": "bad", "operator": "Exists"}]);
    }
    if luck.chance(20) {
        ask["capacity"] = json!({"requests": {"memory": luck.pick(&["5Gi", "15Gi"])}});
    }
    ask
}
