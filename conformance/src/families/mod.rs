//! The families of scenarios: for each group of plugins a maker of small clusters that lets them disagree in every way they know.
//! Leaves out who is asked and how answers are compared.

mod affinity;
mod devices;
mod nodes;
mod preemption;
mod resources;
mod spread;
mod volumes;

use crate::luck::Luck;
use crate::scenario::{Scenario, labels};
use serde_json::{Map, Value, json};

/// A family.
pub(crate) struct Family {
    /// Name on the command line and in tables.
    pub(crate) name: &'static str,
    /// The plugins that it is about.
    pub(crate) about: &'static str,
    make: fn(&mut Luck, bool) -> Scenario,
}

/// Every family.
pub(crate) const FAMILIES: &[Family] = &[
    Family { name: "resources", about: "NodeResourcesFit, NodeResourcesBalancedAllocation", make: resources::make },
    Family { name: "node-affinity", about: "NodeAffinity", make: nodes::affinity },
    Family { name: "taints", about: "TaintToleration, NodeUnschedulable, NodeName", make: nodes::taints },
    Family { name: "taint-operators", about: "TaintToleration, PodTopologySpread with Lt and Gt", make: nodes::comparisons },
    Family { name: "ports", about: "NodePorts", make: nodes::ports },
    Family { name: "declared-features", about: "NodeDeclaredFeatures", make: nodes::features },
    Family { name: "images", about: "ImageLocality", make: nodes::images },
    Family { name: "spread", about: "PodTopologySpread", make: spread::make },
    Family { name: "spread-defaults", about: "PodTopologySpread's default constraints", make: spread::defaults },
    Family { name: "pod-affinity", about: "InterPodAffinity", make: affinity::make },
    Family { name: "volume-binding", about: "VolumeBinding", make: volumes::binding },
    Family { name: "volumes", about: "VolumeZone, VolumeRestrictions, NodeVolumeLimits", make: volumes::others },
    Family { name: "volumes-together", about: "the volume plugins, over every kind of volume in one pod", make: volumes::together },
    Family { name: "devices", about: "DynamicResources", make: devices::make },
    Family { name: "preemption", about: "DefaultPreemption", make: preemption::make },
    Family { name: "nominated", about: "all at once, beside pods that are promised a node", make: preemption::nominated },
    Family { name: "queue", about: "PrioritySort, SchedulingGates", make: preemption::queue },
    Family { name: "mixed", about: "all at once", make: mixed },
    Family { name: "profiles", about: "all at once, under profiles with other plugins and weights", make: profiles },
];

impl Family {
    /// Its scenario of this number; a `plain` one has no configuration of its own.
    pub(crate) fn scenario(&self, seed: u64, number: usize, plain: bool) -> Scenario {
        let mut scenario = (self.make)(&mut Luck::new(seed, self.name, number), plain);
        scenario.name = format!("{}/{seed}/{number}", self.name);
        scenario
    }
}

/// One to seven nodes with labels of several kinds; their names.
fn nodes(luck: &mut Luck, scenario: &mut Scenario, mut over: impl FnMut(&mut Luck) -> Value) -> Vec<String> {
    let names: Vec<String> = (0..=luck.below(7)).map(|i| format!("n{i}")).collect();
    for name in &names {
        let labels = node_labels(luck, name);
        let over = over(luck);
        scenario.node(name, labels, over);
    }
    names
}

fn node_labels(luck: &mut Luck, name: &str) -> Map<String, Value> {
    let all = [
        ("kubernetes.io/hostname", name, 92),
        ("topology.kubernetes.io/zone", luck.pick(&["a", "b", "c"]), 85),
        ("rack", luck.pick(&["1", "2", ""]), 70),
        ("pool", luck.pick(&["x", "y"]), 60),
        ("generation", luck.pick(&["1", "5", "12", "007", "new"]), 60),
    ];
    labels(all.into_iter().filter(|(_, _, percent)| luck.chance(*percent)).map(|(key, value, _)| (key, value.to_owned())))
}

/// Labels of a pod.
fn pod_labels(luck: &mut Luck) -> Map<String, Value> {
    let all = [("app", luck.pick(&["web", "db"]), 85), ("tier", luck.pick(&["1", "2"]), 50)];
    labels(all.into_iter().filter(|(_, _, percent)| luck.chance(*percent)).map(|(key, value, _)| (key, value.to_owned())))
}

/// A selector of pods; rarely an empty one, which is for all, or none at all.
fn selector(luck: &mut Luck) -> Value {
    if luck.chance(5) {
        return Value::Null;
    }
    let match_labels: Map<String, Value> =
        if luck.chance(60) { labels([("app", luck.pick(&["web", "db"]).to_owned())]) } else { Map::new() };
    let expressions = luck.upto(2, |luck| {
        let key = luck.pick(&["app", "tier"]);
        requirement(luck, key, &["web", "1", "2"])
    });
    json!({"matchLabels": match_labels, "matchExpressions": expressions})
}

/// A requirement on a label of a pod or a namespace.
fn requirement(luck: &mut Luck, key: &str, values: &[&str]) -> Value {
    match luck.pick(&["In", "In", "NotIn", "Exists", "DoesNotExist"]) {
        set @ ("In" | "NotIn") => {
            let mut chosen = luck.some(50, values);
            if chosen.is_empty() {
                chosen.push(luck.pick(values));
            }
            json!({"key": key, "operator": set, "values": chosen})
        }
        other => json!({"key": key, "operator": other}),
    }
}

/// A term of node affinity over the labels of [`node_labels`].
fn node_term(luck: &mut Luck) -> Value {
    let mut expressions = luck.upto(2, |luck| match luck.below(5) {
        0 => requirement(luck, "topology.kubernetes.io/zone", &["a", "b", "z"]),
        1 => requirement(luck, "pool", &["x", "y"]),
        2 => requirement(luck, "rack", &["1", "2", ""]),
        _ => {
            let operator = luck.pick(&["Gt", "Lt"]);
            json!({"key": luck.pick(&["generation", "rack"]), "operator": operator, "values": [luck.pick(&["0", "4", "10"])]})
        }
    });
    let fields: Vec<Value> = luck
        .maybe(20, |luck| {
            let operator = luck.pick(&["In", "In", "NotIn"]);
            json!({"key": "metadata.name", "operator": operator, "values": [luck.pick(&["n0", "n1", "n2", "gone"])]})
        })
        .into_iter()
        .collect();
    if fields.is_empty() && expressions.is_empty() && luck.chance(80) {
        expressions.push(requirement(luck, "pool", &["x", "y"]));
    }
    json!({"matchExpressions": expressions, "matchFields": fields})
}

/// A little of everything: what several plugins say of one cluster, and in which order.
fn mixed(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |luck| {
        let mut over = nodes::tainted(luck);
        if luck.chance(40) {
            over = aisched_e2e::merged(over, json!({"status": {"allocatable": resources::room(luck)}}));
        }
        over
    });
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(4) {
            let spec = aisched_e2e::merged(affinity::spec(luck, 25), resources::spec(luck, true));
            let over = json!({"metadata": {"labels": pod_labels(luck)}, "spec": spec});
            scenario.running(&format!("{i}-{j}"), name, over);
        }
    }
    let mut spec = resources::spec(luck, true);
    for part in [affinity::spec(luck, 50), nodes::affinity_spec(luck, 40), nodes::tolerations(luck)] {
        if luck.chance(60) {
            spec = aisched_e2e::merged(spec, part);
        }
    }
    if luck.chance(50) {
        spec["topologySpreadConstraints"] = spread::constraints(luck);
    }
    scenario.pod(crate::scenario::POD, json!({"metadata": {"labels": pod_labels(luck)}, "spec": spec}));
    scenario
}

/// Two profiles that run and weigh other plugins; the pod is of one of them.
fn profiles(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = mixed(luck, plain);
    let names = ["default-scheduler", "second"];
    let profiles =
        names.map(|name| json!({"schedulerName": name, "percentageOfNodesToScore": luck.pick(&[0, 50, 100]), "plugins": plugins(luck)}));
    scenario.config = Some(json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "profiles": profiles,
    }));
    let name = luck.pick(&names);
    for pod in scenario.objects.iter_mut().filter(|o| o["kind"] == "Pod" && o["metadata"]["name"] == crate::scenario::POD) {
        pod["spec"]["schedulerName"] = name.into();
    }
    scenario
}

fn plugins(luck: &mut Luck) -> Value {
    const SCORERS: &[&str] = &[
        "TaintToleration",
        "NodeAffinity",
        "NodeResourcesFit",
        "PodTopologySpread",
        "InterPodAffinity",
        "NodeResourcesBalancedAllocation",
        "ImageLocality",
    ];
    const FILTERS: &[&str] =
        &["TaintToleration", "NodeAffinity", "NodeUnschedulable", "InterPodAffinity", "PodTopologySpread", "NodeResourcesFit"];
    let all = |names: Vec<&str>| names.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
    let filters_gone = luck.some(8, FILTERS);
    // A plugin that is off at large has prepared nothing to score by.
    let weighed: Vec<&str> = luck.some(40, SCORERS).into_iter().filter(|name| !filters_gone.contains(name)).collect();
    let weighed = weighed.into_iter().map(|name| json!({"name": name, "weight": luck.below(5) + 1})).collect::<Vec<_>>();
    let disabled = if luck.chance(40) { vec!["*"] } else { luck.some(20, SCORERS) };
    json!({
        "multiPoint": {"disabled": all(filters_gone), "enabled": luck.maybe(20, |luck| json!({"name": "ImageLocality", "weight": luck.below(9) + 1})).into_iter().collect::<Vec<_>>()},
        "filter": {"disabled": all(luck.some(10, FILTERS))},
        "score": {"disabled": all(disabled), "enabled": weighed},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn scenarios_follow_from_family_seed_and_number() {
        for family in FAMILIES {
            let text = |seed, number| serde_json::to_string(&family.scenario(seed, number, false).objects).unwrap();
            assert_eq!(text(1, 7), text(1, 7), "{}", family.name);
            let all: BTreeSet<String> = (0..20).flat_map(|number| [text(1, number), text(2, number)]).collect();
            assert!(all.len() > 30, "{}: {} of 40 differ", family.name, all.len());
        }
    }

    #[test]
    fn every_scenario_can_be_read_and_is_answered() {
        for scenario in FAMILIES.iter().flat_map(|family| (0..20).map(|number| family.scenario(3, number, false))) {
            let answer = crate::ours::ask(&scenario);
            assert_eq!(answer.error, "", "{}", scenario.name);
            let there = |claim: &Value| {
                scenario.objects.iter().any(|o| o["kind"] == "ResourceClaim" && o["metadata"]["name"] == claim["resourceClaimName"])
            };
            // A pod whose claim of devices is not there stays before the queue, as a gated one does.
            let waiting = |o: &&Value| {
                let spec = &o["spec"];
                let claims = spec["resourceClaims"].as_array();
                o["kind"] == "Pod"
                    && spec.get("nodeName").is_none()
                    && spec.get("schedulingGates").is_none()
                    && claims.is_none_or(|claims| claims.iter().all(there))
            };
            assert_eq!(answer.order.len(), scenario.objects.iter().filter(waiting).count(), "{}", scenario.name);
        }
    }
}
