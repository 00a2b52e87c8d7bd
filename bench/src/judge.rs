//! Judges the outcome of a run by itself: every pod is bound, and no node carries more than it has.
//! Leaves out preferences: how good a placement is shows in the scheduler's own tests.

use aisched_model::quantity::Quantity;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A node, as far as it matters.
#[derive(Deserialize)]
pub(crate) struct Node {
    metadata: Metadata,
    status: NodeStatus,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct NodeStatus {
    allocatable: BTreeMap<String, String>,
}

/// A pod, as far as it matters.
#[derive(Deserialize)]
pub(crate) struct Pod {
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    resources: Requirements,
}

#[derive(Default, Deserialize)]
struct Requirements {
    #[serde(default)]
    requests: BTreeMap<String, String>,
}

/// Fails unless all `n_pods` are bound to nodes that are there and have room for them.
pub(crate) fn judge(nodes: &[Node], pods: &[Pod], n_pods: usize) -> Result<()> {
    if pods.len() != n_pods {
        bail!("{} pods are there, {n_pods} were created", pods.len());
    }
    let mut used: BTreeMap<&str, BTreeMap<&str, i64>> = nodes.iter().map(|n| (n.metadata.name.as_str(), BTreeMap::new())).collect();
    for pod in pods {
        let name = &pod.metadata.name;
        let node = pod.spec.node_name.as_deref().with_context(|| format!("pod {name} is not bound"))?;
        let used = used.get_mut(node).with_context(|| format!("pod {name} is bound to node {node}, which is not there"))?;
        *used.entry("pods").or_default() += 1000;
        for (resource, amount) in pod.spec.containers.iter().flat_map(|c| &c.resources.requests) {
            *used.entry(resource.as_str()).or_default() += milli(amount)?;
        }
    }
    for node in nodes {
        for (resource, used) in &used[node.metadata.name.as_str()] {
            let has = node.status.allocatable.get(*resource).map_or(Ok(0), |amount| milli(amount))?;
            if *used > has {
                bail!("node {} is overcommitted: {used} thousandths of {resource} requested, {has} allocatable", node.metadata.name);
            }
        }
    }
    Ok(())
}

fn milli(amount: &str) -> Result<i64> {
    let quantity = Quantity::parse(amount).map_err(|error| anyhow::anyhow!("{amount:?}: {error}"))?;
    Ok(quantity.milli_value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, cpu: &str, pods: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "pods": pods}}})).unwrap()
    }

    fn pod(name: &str, node: Option<&str>, cpu: &str) -> Pod {
        let containers = json!([{"resources": {"requests": {"cpu": cpu}}}, {}]);
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers}})).unwrap()
    }

    #[test]
    fn outcome_is_judged_by_pods_nodes_and_room() {
        let nodes = || vec![node("a", "1", "2"), node("b", "1", "2")];
        let on = |node, cpu| pod("p", Some(node), cpu);
        for (pods, fault) in [
            (vec![on("a", "1"), on("b", "1000m")], ""),
            (vec![on("a", "1")], "1 pods are there"),
            (vec![on("a", "1"), pod("q", None, "1")], "pod q is not bound"),
            (vec![on("a", "1"), on("c", "1")], "which is not there"),
            (vec![on("a", "600m"), on("a", "500m")], "1100 thousandths of cpu requested, 1000 allocatable"),
        ] {
            let found = judge(&nodes(), &pods, 2).map_or_else(|error| error.to_string(), |()| String::new());
            assert!(found.contains(fault) && found.is_empty() == fault.is_empty(), "{fault:?}: {found:?}");
        }
        let crowd = [on("a", "1m"), on("a", "1m"), on("a", "1m")];
        assert!(judge(&nodes(), &crowd, 3).unwrap_err().to_string().contains("3000 thousandths of pods"));
    }
}
