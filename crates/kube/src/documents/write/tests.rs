//! What is written is read back as the same values, and scheduled the same.
//! Leaves out reading itself: see `documents::tests`.

use super::{manifest, yaml};
use crate::documents::{Object, parse_documents};
use aisched_core::event::Event;
use aisched_model::pod::{Pod, PodSpec};
use serde_json::{Value, json};
use std::sync::Arc;

/// The events that documents tell of; nothing in them may be at fault.
fn events(text: &str) -> Vec<Event> {
    let objects = parse_documents(text, "t").unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
    objects.into_iter().filter_map(Object::into_event).map(without_containers).collect()
}

/// Containers are not the original ones: which of them asks for an extended resource is not kept.
fn without_containers(event: Event) -> Event {
    let Event::PodSet(pod) = event else { return event };
    let spec = PodSpec { attach: Vec::new(), ..(*pod.spec).clone() };
    Event::PodSet(Arc::new(Pod { spec: Arc::new(spec), ..(*pod).clone() }))
}

/// Reads, writes, and reads again: the values are the same.
fn assert_survives(documents: &str) {
    let first = events(documents);
    assert!(!first.is_empty());
    for event in &first {
        let written = yaml(manifest(event));
        assert_eq!(format!("{:?}", events(&written)), format!("{:?}", [event]), "{written}");
    }
}

#[test]
fn every_example_survives() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulate");
    let mut n = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).filter(|f| f.extension().is_some_and(|e| e == "yaml")) {
        assert_survives(&std::fs::read_to_string(file).unwrap());
        n += 1;
    }
    assert!(n >= 2, "{n}");
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        let n = self.up_to(of.len() as u64);
        of[usize::try_from(n).unwrap()].clone()
    }

    fn maybe(&mut self, value: Value) -> Value {
        if self.up_to(2) == 0 { value } else { Value::Null }
    }

    fn requests(&mut self) -> Value {
        let (cpu, memory) = (self.any(&["0", "100m", "250m", "1", "1500m"]), self.any(&["0", "1Mi", "200Mi", "3Gi"]));
        let (cpu, memory) = (self.maybe(json!(cpu)), self.maybe(json!(memory)));
        let gpu = self.any(&[Value::Null, Value::Null, json!("2")]);
        let all = json!({"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpu});
        all.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn containers(&mut self, prefix: &str, most: u64) -> Vec<Value> {
        let n = self.up_to(most) + 1;
        let one = |i| json!({"name": format!("{prefix}{i}"), "image": self.any(&["a", "b"]), "resources": {"requests": self.requests()}});
        (0..n).map(one).collect()
    }

    fn selector(&mut self) -> Value {
        let (operator, values) =
            self.any(&[("In", json!(["x", "y"])), ("NotIn", json!(["x"])), ("Exists", json!([])), ("DoesNotExist", json!([]))]);
        self.any(&[
            json!({"matchLabels": {"app": "x"}}),
            json!({}),
            json!({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}),
        ])
    }

    fn term(&mut self) -> Value {
        let (selector, spaces) = (self.selector(), self.selector());
        json!({"topologyKey": self.any(&["zone", "host"]), "labelSelector": self.maybe(selector),
               "namespaces": self.any(&[json!([]), json!(["a", "b"])]), "namespaceSelector": self.maybe(spaces)})
    }

    fn pod(&mut self) -> Value {
        let mut spec = json!({
            "schedulerName": "s", "containers": self.containers("c", 3), "priority": self.up_to(9), "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "k", "operator": self.any(&["Exists", "Equal"]), "effect": self.any(&["NoSchedule", "NoExecute"])}],
            "topologySpreadConstraints": [{
                "maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": self.any(&["DoNotSchedule", "ScheduleAnyway"]),
                "labelSelector": self.selector(), "nodeTaintsPolicy": self.any(&["Honor", "Ignore"]), "matchLabelKeys": ["app"],
            }],
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "n", "operator": self.any(&["Gt", "Lt"]), "values": ["5"]}]}]}},
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [self.term()]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "podAffinityTerm": self.term()}]},
            },
            "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "g", "gcePersistentDisk": {"pdName": "g"}}],
        });
        spec["containers"][0]["ports"] = self.any(&[json!([]), json!([{"hostPort": 80, "containerPort": 80, "hostIP": "10.0.0.1"}])]);
        if self.up_to(2) == 0 {
            spec["initContainers"] = self.containers("i", 2).into();
        }
        if self.up_to(3) == 0 {
            spec["overhead"] = self.requests();
        }
        if self.up_to(4) == 0 {
            spec["resources"] = json!({"requests": {"cpu": "2", "memory": self.any(&["1Gi", "8Gi"])}});
        }
        if self.up_to(3) == 0 {
            spec["nodeName"] = "n1".into();
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}, "annotations": {"ai-storage.keti/io-pattern": "random"}},
            "spec": spec, "status": {"startTime": "2026-01-02T03:04:05Z", "nominatedNodeName": self.any(&["", "n2"])},
        })
    }
}

#[test]
fn random_pods_survive() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..500 {
        assert_survives(&dice.pod().to_string());
    }
}

#[test]
fn objects_of_every_kind_survive() {
    assert_survives(include_str!("every-kind.yaml"));
}

#[test]
fn what_no_plugin_reads_is_not_written() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {"vault/token": "hunter2", "ai-storage.keti/dataset": "d"}},
        "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "PASSWORD", "value": "hunter2"}], "args": ["hunter2"]}]},
    });
    let written = yaml(events(&pod.to_string()).iter().filter_map(manifest));
    assert!(written.contains("ai-storage.keti/dataset") && !written.contains("hunter2"), "{written}");
}
