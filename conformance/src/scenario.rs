//! A scenario: a cluster, a configuration, and pods that wait; and the ways to write its objects.
//! Leaves out which scenarios there are (`families`).

use aisched_e2e::merged;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Namespace of the pods that wait.
pub(crate) const NAMESPACE: &str = "default";
/// Name of the pod that is asked about.
pub(crate) const POD: &str = "p";
/// Whose pods they are.
pub(crate) const SCHEDULER: &str = "default-scheduler";

/// What both schedulers are asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scenario {
    /// `family/seed/number`.
    pub(crate) name: String,
    /// Only the order in which pods leave the queue is asked for.
    #[serde(default)]
    pub(crate) order_only: bool,
    /// Feature gates that are turned.
    #[serde(default)]
    pub(crate) gates: String,
    /// A KubeSchedulerConfiguration; none for kube-scheduler's default.
    #[serde(default)]
    pub(crate) config: Option<Value>,
    /// The cluster and the pods that wait.
    pub(crate) objects: Vec<Value>,
}

impl Scenario {
    /// An empty cluster.
    pub(crate) fn new() -> Self {
        let namespace = |name: &str, team: &str| {
            let labels = json!({"team": team, "kubernetes.io/metadata.name": name});
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        };
        let objects = vec![namespace(NAMESPACE, "a"), namespace("other", "b")];
        Self { name: String::new(), order_only: false, gates: String::new(), config: None, objects }
    }

    /// A configuration of one profile with these arguments of plugins.
    pub(crate) fn configure(&mut self, args: &[(&str, Value)]) {
        let args: Vec<Value> = args.iter().map(|(name, args)| json!({"name": name, "args": args})).collect();
        self.config = Some(json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "profiles": [{"schedulerName": SCHEDULER, "pluginConfig": args}],
        }));
    }

    /// Adds a node of 8 CPUs and 32 GiB.
    pub(crate) fn node(&mut self, name: &str, labels: Map<String, Value>, over: Value) {
        let size = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
        let status = json!({"capacity": size, "allocatable": size, "conditions": [{"type": "Ready", "status": "True"}]});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}, "status": status});
        self.objects.push(merged(node, over));
    }

    /// Adds a pod that runs on a node; every one started at another time.
    pub(crate) fn running(&mut self, name: &str, node: &str, over: Value) {
        let n = self.objects.len();
        let start = format!("2026-01-01T{:02}:{:02}:00Z", n / 60 % 24, n % 60);
        let there = json!({"spec": {"nodeName": node}, "status": {"phase": "Running", "startTime": start}});
        self.pod(name, merged(there, over));
    }

    /// Adds a pod.
    pub(crate) fn pod(&mut self, name: &str, over: Value) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"schedulerName": SCHEDULER, "priority": 0, "containers": [container("c", json!({}))]},
        });
        self.objects.push(merged(pod, over));
    }
}

/// A container.
pub(crate) fn container(name: &str, over: Value) -> Value {
    merged(json!({"name": name, "image": "busybox"}), over)
}

/// Labels of text.
pub(crate) fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect()
}
