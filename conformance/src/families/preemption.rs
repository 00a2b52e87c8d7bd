//! Scenarios about priorities: who is preempted for whom, and who leaves the queue first.
//! Leaves out what happens once the victims are gone.

use super::{affinity, nodes, pod_labels, selector, spread};
use crate::luck::Luck;
use crate::scenario::{NAMESPACE, POD, Scenario, container};
use serde_json::{Value, json};

/// Full nodes, budgets, pods that do not preempt, reasons that no victim cures.
pub(super) fn make(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |luck| {
        let taints: Vec<Value> = luck.maybe(15, |_| json!({"key": "full", "effect": "NoSchedule"})).into_iter().collect();
        json!({"spec": {"taints": taints, "unschedulable": luck.chance(8)}, "status": {"allocatable": {"cpu": luck.pick(&["2", "3", "4"])}}})
    });
    let (anti, near) = (luck.chance(25), luck.chance(20));
    for (i, name) in names.iter().enumerate() {
        let mut port_is_free = true;
        for j in 0..=luck.below(4) {
            let mut over = json!({
                "metadata": {"labels": pod_labels(luck)},
                "spec": {"priority": luck.pick(&[0, 0, 1, 5, 10, 20]), "containers": [asking(luck)]},
            });
            if anti && luck.chance(30) {
                over["spec"]["affinity"] = apart(luck);
            } else if near {
                over["spec"]["affinity"] = affinity::spec(luck, 20)["affinity"].take();
            }
            // No scheduler puts two pods of one host port on a node; kube-scheduler takes the port for free when one of them goes.
            if luck.chance(15) && core::mem::take(&mut port_is_free) {
                over["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 8080}]);
            }
            scenario.running(&format!("{i}-{j}"), name, over);
        }
    }
    for i in 0..luck.below(3) {
        scenario.objects.push(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": format!("b{i}"), "namespace": NAMESPACE},
            "spec": {"maxUnavailable": 1, "selector": selector(luck)}, "status": {"disruptionsAllowed": luck.below(3)},
        }));
    }
    let mut spec = json!({"priority": luck.pick(&[0, 1, 6, 15, 100]), "containers": [asking(luck)]});
    if luck.chance(10) {
        spec["preemptionPolicy"] = "Never".into();
    }
    if luck.chance(20) {
        spec["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 8080}]);
    }
    if luck.chance(20) {
        spec["nodeSelector"] = json!({"pool": "x"});
    }
    if anti {
        spec["affinity"] = apart(luck);
    } else if near {
        spec["affinity"] = affinity::spec(luck, 60)["affinity"].take();
    }
    if luck.chance(20) {
        spec["topologySpreadConstraints"] = spread::constraints(luck);
    }
    scenario.pod(POD, json!({"metadata": {"labels": pod_labels(luck)}, "spec": spec}));
    if !plain && luck.chance(15) {
        let args = json!({
            "kind": "DefaultPreemptionArgs", "apiVersion": "kubescheduler.config.k8s.io/v1",
            "minCandidateNodesPercentage": 100, "minCandidateNodesAbsolute": 100,
        });
        scenario.configure(&[("DefaultPreemption", args)]);
    }
    scenario
}

/// The same beside pods that are promised a node: gated ones, which no cycle takes while the pod is asked about.
pub(super) fn nominated(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = make(luck, plain);
    let is_node = |o: &&Value| o["kind"] == "Node";
    let names: Vec<Value> = scenario.objects.iter().filter(is_node).map(|o| o["metadata"]["name"].clone()).collect();
    for i in 0..=luck.below(3) {
        let node = names[luck.below(names.len())].clone();
        let mut over = json!({
            "metadata": {"labels": pod_labels(luck)}, "status": {"nominatedNodeName": node},
            "spec": {"priority": luck.pick(&[0, 6, 15, 100]), "containers": [asking(luck)], "schedulingGates": [{"name": "example.com/later"}]},
        });
        if luck.chance(25) {
            over["spec"]["affinity"] = apart(luck);
        }
        if luck.chance(10) {
            over["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 8080}]);
        }
        scenario.pod(&format!("promised{i}"), over);
    }
    scenario
}

fn asking(luck: &mut Luck) -> Value {
    container("c", json!({"resources": {"requests": {"cpu": luck.pick(&["500m", "1", "1500m", "2", "3500m"])}}}))
}

fn apart(luck: &mut Luck) -> Value {
    let key = luck.pick(&["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    let terms = json!([{"topologyKey": key, "labelSelector": {"matchLabels": {"app": luck.pick(&["web", "db"])}}}]);
    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})
}

/// Pods of different priorities that wait together, some of them held back.
pub(super) fn queue(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.order_only = true;
    nodes(luck, &mut scenario, |_| json!({}));
    let mut left: Vec<i64> = vec![-100, -1, 0, 1, 2, 7, 1000, 2_000_000_000, -2_000_000_000, 999_999];
    for i in 0..=luck.below(9) {
        let mut spec = json!({"priority": left.swap_remove(luck.below(left.len()))});
        if luck.chance(15) {
            spec["schedulingGates"] = json!([{"name": "example.com/later"}]);
        }
        scenario.pod(&format!("p{i}"), json!({"spec": spec}));
    }
    scenario
}
