//! Judges that no node holds more than it has: the sum of its pods' requests against what it can give, resource by resource.
//! Knows nothing of schedulers: it reads pods and nodes as they are.

use crate::fixture::Test;
use serde_json::Value;
use std::collections::BTreeMap;

impl Test {
    /// Every node of this test that holds too much, in words; empty when all is well.
    #[must_use]
    pub fn overcommitted(&self) -> Vec<String> {
        let nodes = self.api().list(&format!("/api/v1/nodes?labelSelector=e2e-test%3D{}", self.name));
        overcommitted(&nodes, &self.api().list("/api/v1/pods"))
    }
}

/// What the pods of a node ask for together, in thousandths.
fn overcommitted(nodes: &[Value], pods: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for node in nodes {
        let name = &node["metadata"]["name"];
        let mut used: BTreeMap<String, i128> = BTreeMap::new();
        for pod in pods.iter().filter(|p| p["spec"]["nodeName"] == *name && !has_ended(p)) {
            *used.entry("pods".into()).or_default() += 1000;
            for (resource, quantity) in requests(pod) {
                *used.entry(resource).or_default() += quantity;
            }
        }
        for (resource, used) in used {
            let has = node["status"]["allocatable"][&resource].as_str().map_or(0, quantity);
            if used > has {
                faults.push(format!("node {name}: {resource} {used} of {has} (thousandths)"));
            }
        }
    }
    faults
}

fn has_ended(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
}

fn requests(pod: &Value) -> Vec<(String, i128)> {
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let of = |c: &Value| c["resources"]["requests"].as_object().cloned().unwrap_or_default();
    let pairs = containers.iter().flat_map(of);
    pairs.map(|(resource, value)| (resource, value.as_str().map_or(0, quantity))).collect()
}

/// A quantity in thousandths: `100m` is 100, `2` is 2000, `1Ki` is 1024000.
fn quantity(text: &str) -> i128 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_i128.pow(2),
        "G" => 1000 * 1000_i128.pow(3),
        "Ki" => 1000 * 1024,
        "Mi" => 1000 * 1024_i128.pow(2),
        "Gi" => 1000 * 1024_i128.pow(3),
        unit => panic!("{text}: the unit {unit} is not known here"),
    };
    let number: i128 = digits.parse().unwrap_or_else(|_| panic!("{text} is no whole quantity"));
    number * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(node: &str, cpu: &str, phase: &str) -> Value {
        json!({"spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]}, "status": {"phase": phase}})
    }

    #[test]
    fn too_much_cpu_and_too_many_pods_are_found() {
        let node = |name: &str| json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "1", "pods": "2"}}});
        let pods = [
            pod("full", "500m", "Running"),
            pod("full", "500m", "Pending"),
            pod("full", "500m", "Succeeded"),
            pod("cpu", "501m", "Running"),
            pod("cpu", "500m", "Running"),
            pod("pods", "1m", "Running"),
            pod("pods", "1m", "Running"),
            pod("pods", "1m", "Running"),
        ];
        let faults = overcommitted(&[node("full"), node("cpu"), node("pods"), node("empty")], &pods);
        assert_eq!(faults, ["node \"cpu\": cpu 1001 of 1000 (thousandths)", "node \"pods\": pods 3000 of 2000 (thousandths)"]);
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [("100m", 100), ("2", 2000), ("1Ki", 1_024_000), ("3k", 3_000_000), ("1Gi", 1_073_741_824_000)] {
            assert_eq!(quantity(text), expected, "{text}");
        }
    }
}
