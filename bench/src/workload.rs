//! Workloads: the nodes and the pods of each, after upstream's scheduler_perf templates.
//! Leaves out who schedules them: that is a parameter of the pod; volumes are in `volumes`.

use crate::volumes;
use serde_json::{Value, json};

/// Where the pods are created.
pub(crate) const NAMESPACE: &str = "bench";
/// Where pods are that had their nodes before any scheduler came.
pub(crate) const BOUND: &str = "bound";
/// Where pods are that no node can take.
pub(crate) const HOPELESS: &str = "hopeless";
/// The class of the hopeless: above the others, so that each looks for victims.
pub(crate) const PRIORITY_CLASS: &str = "bench-high";

/// Pods of 100m that a node of 4 CPUs takes.
const PODS_PER_NODE: usize = 40;
/// Pods of one kind among those that were bound before: the replicas of a large Deployment.
const REPLICAS: usize = 500;
const ZONES: usize = 10;
const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

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
    /// At most one on a node (required pod anti-affinity)
    PodAntiAffinity,
    /// Rather not on a node with each other (preferred pod anti-affinity)
    PreferredPodAntiAffinity,
    /// Pods spread over the zones (maxSkew 5, DoNotSchedule)
    Spread,
    /// The same, preferred (ScheduleAnyway)
    PreferredSpread,
    /// Each with a bound claim on a CSI volume; nodes take 39 of them (SchedulingCSIPVs)
    CsiVolumes,
    /// Each with a bound claim on an AWS volume of the in-tree kind (SchedulingInTreePVs)
    InTreeVolumes,
    /// As basic, while every 200 ms comes a pod of higher priority that fits nowhere (Unschedulable)
    Unschedulable,
}

impl Workload {
    /// How many pods `n_nodes` take.
    pub(crate) fn room(self, n_nodes: usize) -> usize {
        match self {
            Self::PodAntiAffinity => n_nodes,
            Self::CsiVolumes => n_nodes * volumes::CSI_LIMIT,
            Self::NodeAffinity => (0..n_nodes).filter(|i| allowed_zones().contains(&zone(*i))).count() * PODS_PER_NODE,
            _ => n_nodes * PODS_PER_NODE,
        }
    }

    /// Whether hopeless pods come while the others are scheduled.
    pub(crate) fn has_hopeless(self) -> bool {
        self == Self::Unschedulable
    }

    /// What has to be there for node `i` beside its object: path and object.
    pub(crate) fn for_node(self, i: usize) -> Option<(&'static str, Value)> {
        (self == Self::CsiVolumes).then(|| volumes::csi_node(&node_name(i)))
    }

    /// What has to be there for pod `i`: paths and objects.
    pub(crate) fn for_pod(self, i: usize) -> Vec<(String, Value)> {
        match self {
            Self::CsiVolumes => volumes::bound_claim(i, volumes::csi(i)),
            Self::InTreeVolumes => volumes::bound_claim(i, volumes::in_tree(i)),
            _ => Vec::new(),
        }
    }

    /// Node number `i`.
    pub(crate) fn node(self, i: usize) -> Value {
        let zone = if self == Self::PodAffinity { zone(0) } else { zone(i) };
        let name = node_name(i);
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {HOSTNAME: name, ZONE: zone}},
            "status": {
                "capacity": {"cpu": "4", "memory": "32Gi", "pods": "110"},
                "allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        if self == Self::Ai {
            describe_storage(&mut node["metadata"], i);
        }
        if self == Self::CsiVolumes {
            volumes::limit(&mut node["status"]);
        }
        node
    }

    /// Pod number `i`.
    pub(crate) fn pod(self, i: usize, scheduler_name: &str) -> Value {
        let mut pod = plain(format!("pod-{i:06}"), NAMESPACE, ["100m", "500Mi"]);
        pod["spec"]["schedulerName"] = scheduler_name.into();
        let blue = json!({"matchLabels": {"color": "blue"}});
        match self {
            Self::Basic | Self::Unschedulable => {}
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
            Self::PodAntiAffinity => {
                pod["metadata"]["labels"] = json!({"color": "blue"});
                let terms = json!([{"topologyKey": HOSTNAME, "labelSelector": blue}]);
                pod["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
            }
            Self::PreferredPodAntiAffinity => {
                pod["metadata"]["labels"] = json!({"color": "blue"});
                let terms = json!([{"weight": 1, "podAffinityTerm": {"topologyKey": HOSTNAME, "labelSelector": blue}}]);
                pod["spec"]["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}});
            }
            Self::Spread | Self::PreferredSpread => {
                pod["metadata"]["labels"] = json!({"color": "blue"});
                let otherwise = if self == Self::Spread { "DoNotSchedule" } else { "ScheduleAnyway" };
                pod["spec"]["topologySpreadConstraints"] =
                    json!([{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": otherwise, "labelSelector": blue}]);
            }
            Self::CsiVolumes | Self::InTreeVolumes => pod["spec"]["volumes"] = volumes::of_pod(i),
        }
        pod
    }
}

/// Pod number `i` of those that have a node from the start: small, and of as many kinds as a cluster of that size has applications.
pub(crate) fn bound_pod(i: usize, n_nodes: usize) -> Value {
    let mut pod = plain(format!("bound-{i:06}"), BOUND, ["10m", "10Mi"]);
    let application = i / REPLICAS;
    pod["metadata"]["labels"] = json!({"app": format!("app-{application}"), "pod-template-hash": format!("{application:010x}")});
    pod["spec"]["nodeName"] = node_name(i % n_nodes).into();
    pod
}

/// Hopeless pod number `i`: no node has nine CPUs.
pub(crate) fn hopeless_pod(i: usize, scheduler_name: &str) -> Value {
    let mut pod = plain(format!("hopeless-{i:06}"), HOPELESS, ["9", "500Mi"]);
    pod["spec"]["schedulerName"] = scheduler_name.into();
    pod["spec"]["priorityClassName"] = PRIORITY_CLASS.into();
    pod
}

fn plain(name: String, namespace: &str, [cpu, memory]: [&str; 2]) -> Value {
    let amounts = json!({"cpu": cpu, "memory": memory});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "pause", "image": "registry.k8s.io/pause:3.10.2", "ports": [{"containerPort": 80}],
                "resources": {"requests": amounts, "limits": amounts},
            }],
        },
    })
}

fn node_name(i: usize) -> String {
    format!("node-{i:05}")
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
        assert_eq!(Workload::PodAntiAffinity.room(20), 20);
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
