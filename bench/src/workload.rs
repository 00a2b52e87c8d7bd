//! Workloads: the nodes and the pods of each, after upstream's scheduler_perf templates.
//! Leaves out who schedules them: that is a parameter of the pod.

use serde_json::{Value, json};

/// Where the pods are created.
pub(crate) const NAMESPACE: &str = "bench";

/// Pods of 100m that a node of 4 CPUs takes.
const PODS_PER_NODE: usize = 40;
const ZONES: usize = 10;
const ZONE: &str = "topology.kubernetes.io/zone";

/// What is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Pods that ask for CPU and memory, on equal nodes (scheduler_perf's SchedulingBasic)
    Basic,
    /// AI pods of five kinds with storage hints, on nodes of four storage tiers
    Ai,
    /// Pods that may run on half of the zones (required node affinity)
    NodeAffinity,
    /// Pods that must be in one zone with each other (required pod affinity)
    PodAffinity,
    /// Pods spread over the zones (maxSkew 5, DoNotSchedule)
    Spread,
}

impl Workload {
    /// How many pods `n_nodes` take.
    pub(crate) fn room(self, n_nodes: usize) -> usize {
        let usable = match self {
            Self::Basic | Self::Ai | Self::Spread | Self::PodAffinity => n_nodes,
            Self::NodeAffinity => (0..n_nodes).filter(|i| allowed_zones().contains(&zone(*i))).count(),
        };
        usable * PODS_PER_NODE
    }

    /// Node number `i`.
    pub(crate) fn node(self, i: usize) -> Value {
        let zone = if self == Self::PodAffinity { zone(0) } else { zone(i) };
        let name = format!("node-{i:05}");
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, ZONE: zone}},
            "status": {
                "capacity": {"cpu": "4", "memory": "32Gi", "pods": "110"},
                "allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        if self == Self::Ai {
            describe_storage(&mut node["metadata"], i);
        }
        node
    }

    /// Pod number `i`.
    pub(crate) fn pod(self, i: usize, scheduler_name: &str) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{i:06}"), "namespace": NAMESPACE},
            "spec": {
                "schedulerName": scheduler_name,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "pause", "image": "registry.k8s.io/pause:3.10.2", "ports": [{"containerPort": 80}],
                    "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}, "limits": {"cpu": "100m", "memory": "500Mi"}},
                }],
            },
        });
        let blue = json!({"matchLabels": {"color": "blue"}});
        match self {
            Self::Basic => {}
            Self::Ai => hint(&mut pod["metadata"], i),
            Self::NodeAffinity => {
                let terms = json!([{"matchExpressions": [{"key": ZONE, "operator": "In", "values": allowed_zones()}]}]);
                pod["spec"]["affinity"] =
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
            }
            Self::PodAffinity => {
                pod["metadata"]["labels"] = json!({"color": "blue"});
                let terms = json!([{"topologyKey": ZONE, "labelSelector": blue}]);
                pod["spec"]["affinity"] = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
            }
            Self::Spread => {
                pod["metadata"]["labels"] = json!({"color": "blue"});
                pod["spec"]["topologySpreadConstraints"] =
                    json!([{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": blue}]);
            }
        }
        pod
    }
}

fn zone(i: usize) -> String {
    format!("zone{}", i % ZONES)
}

fn allowed_zones() -> Vec<String> {
    (0..ZONES / 2).map(zone).collect()
}

/// Tier, IOPS, MB/s and GB of node `i`, and a dataset that one node in ten has cached.
fn describe_storage(metadata: &mut Value, i: usize) {
    let (tier, iops, mbps, gb) =
        [("nvme", 100_000, 3000, 2000), ("ssd", 20_000, 800, 4000), ("hdd", 500, 400, 20_000), ("csd", 50_000, 2000, 8000)][i % 4];
    metadata["labels"][format!("storage-tier/{tier}")] = "true".into();
    metadata["labels"]["topology.kubernetes.io/rack"] = format!("rack{}", i / 20).into();
    metadata["labels"]["layer"] = if i % 4 < 2 { "compute" } else { "storage" }.into();
    metadata["annotations"] = json!({
        "ai-storage.keti/available-iops": iops.to_string(),
        "ai-storage.keti/available-throughput-mbps": mbps.to_string(),
        "ai-storage.keti/available-capacity-gb": gb.to_string(),
        "ai-storage.keti/cached-datasets": format!("dataset-{}", i % 10),
    });
}

/// The kind of AI pod number `i`: the guide's stages, with demands on I/O for two of them.
fn hint(metadata: &mut Value, i: usize) {
    let (key, value, pattern, iops) = [
        ("preprocessing-type", "augmentation", "read-heavy", None),
        ("workload-stage", "training", "random", Some("500")),
        ("workload-stage", "training", "sequential", None),
        ("workload-stage", "inference", "read-heavy", None),
        ("preprocessing-type", "filtering", "write-heavy", Some("200")),
    ][i % 5];
    let mut hints = json!({
        format!("ai-storage.keti/{key}"): value,
        "ai-storage.keti/io-pattern": pattern,
        "ai-storage.keti/dataset": format!("dataset-{}", i % 10),
    });
    if let Some(iops) = iops {
        hints["ai-storage.keti/required-iops"] = iops.into();
    }
    metadata["annotations"] = hints;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_counts_only_nodes_that_the_pods_may_use() {
        assert_eq!(Workload::Basic.room(20), 800);
        assert_eq!(Workload::NodeAffinity.room(20), 400);
        assert_eq!(Workload::NodeAffinity.room(3), 120);
    }

    #[test]
    fn every_pod_names_its_scheduler_and_fits_the_room() {
        for workload in <Workload as clap::ValueEnum>::value_variants() {
            let pod = workload.pod(7, "s");
            assert_eq!(pod["spec"]["schedulerName"], "s", "{workload:?}");
            assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "100m", "{workload:?}");
            assert_eq!(workload.node(3)["status"]["allocatable"]["cpu"], "4", "{workload:?}");
        }
    }
}
