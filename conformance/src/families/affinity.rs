//! Scenarios about affinity between pods.
//! Leaves out spreading.

use super::nodes::namespace_selector;
use super::{nodes, pod_labels, selector};
use crate::luck::Luck;
use crate::scenario::{POD, Scenario};
use serde_json::{Map, Value, json};

/// Terms of every shape on both sides: pods that wait and pods that run.
pub(super) fn make(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |_| json!({}));
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(5) {
            let namespace = luck.pick(&["default", "default", "default", "other"]);
            let mut over = json!({"metadata": {"labels": pod_labels(luck), "namespace": namespace}, "spec": spec(luck, 35)});
            if luck.chance(8) {
                over["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
                over["metadata"]["finalizers"] = json!(["example.com/wait"]);
            }
            scenario.running(&format!("{i}-{j}"), name, over);
        }
    }
    scenario.pod(POD, json!({"metadata": {"labels": pod_labels(luck)}, "spec": spec(luck, 90)}));
    if !plain && luck.chance(30) {
        let args = json!({
            "kind": "InterPodAffinityArgs", "apiVersion": "kubescheduler.config.k8s.io/v1",
            "hardPodAffinityWeight": luck.pick(&[0, 1, 50, 100]), "ignorePreferredTermsOfExistingPods": luck.chance(50),
        });
        scenario.configure(&[("InterPodAffinity", args)]);
    }
    scenario
}

/// A pod's affinity and anti-affinity to pods.
pub(super) fn spec(luck: &mut Luck, percent: usize) -> Value {
    let mut affinity = Map::new();
    for (kind, required) in [("podAffinity", 45), ("podAntiAffinity", 45)] {
        if luck.chance(percent) {
            affinity.insert(kind.into(), terms(luck, required));
        }
    }
    json!({"affinity": affinity})
}

fn terms(luck: &mut Luck, percent: usize) -> Value {
    let required: Vec<Value> = if luck.chance(percent) { luck.upto(2, term) } else { Vec::new() };
    let preferred: Vec<Value> = if luck.chance(60) {
        luck.upto(3, |luck| json!({"weight": luck.below(100) + 1, "podAffinityTerm": term(luck)}))
    } else {
        Vec::new()
    };
    json!({"requiredDuringSchedulingIgnoredDuringExecution": required, "preferredDuringSchedulingIgnoredDuringExecution": preferred})
}

fn term(luck: &mut Luck) -> Value {
    let key = luck.pick(&["kubernetes.io/hostname", "kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"]);
    let selector = selector(luck);
    let mut term = json!({"topologyKey": key});
    if luck.chance(30) {
        term["namespaces"] = json!(luck.some(60, &["default", "other", "gone"]));
    }
    if luck.chance(25) {
        term["namespaceSelector"] = namespace_selector(luck);
    }
    if !selector.is_null() {
        // A key in the selector's labels too is refused.
        let free: Vec<&str> = ["app", "tier", "release"].into_iter().filter(|key| !selector.to_string().contains(*key)).collect();
        if !free.is_empty() && luck.chance(25) {
            let field = luck.pick(&["matchLabelKeys", "mismatchLabelKeys"]);
            term[field] = json!([luck.pick(&free)]);
        }
        term["labelSelector"] = selector;
    }
    term
}
