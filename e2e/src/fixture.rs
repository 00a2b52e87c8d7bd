//! What one test has to itself: a namespace, nodes with its label, a scheduler name; removed when it ends.
//! Leaves out the assertions.

use crate::api::Api;
use crate::cluster::{Cluster, Turn};
use crate::merged;
use crate::process::tail;
use crate::program::{Options, Program};
use crate::storage::KINDS;
use crate::wait::eventually;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Label of the nodes of a test; pods ask for it, so that tests do not take each other's nodes.
pub(crate) const LABEL: &str = "e2e-test";
/// Log lines shown of a test that fails.
const SHOWN_LINES: usize = 60;

/// One test's part of the cluster.
pub struct Test {
    /// The control plane that all tests share.
    pub cluster: &'static Cluster,
    /// Namespace, label value, and name of the scheduler.
    pub name: String,
    logs: Mutex<Vec<PathBuf>>,
    turn: Turn,
}

impl Test {
    /// For a test that runs beside others.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let cluster = Cluster::get();
        Self::start(cluster, name, Turn::shared())
    }

    /// For a test that changes what all share, or counts all nodes: no other runs meanwhile.
    #[must_use]
    pub fn alone(name: &str) -> Self {
        let cluster = Cluster::get();
        Self::start(cluster, name, Turn::alone())
    }

    fn start(cluster: &'static Cluster, name: &str, turn: Turn) -> Self {
        cluster.api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}));
        // Without it, the API server takes no pods.
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        eventually("the namespace has its account", || cluster.api.find(&account).ok_or_else(|| "not yet".into()));
        Self { cluster, name: name.into(), logs: Mutex::default(), turn }
    }

    /// The administrator's client.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.cluster.api
    }

    /// How this test's scheduler is started by default.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            name: self.name.clone(),
            kubeconfig: self.cluster.kubeconfig.clone(),
            config_namespace: self.name.clone(),
            apollo_endpoint: String::new(),
            config: None,
            flags: Vec::new(),
        }
    }

    /// Starts this test's scheduler and waits until it schedules.
    #[must_use]
    pub fn scheduler(&self) -> Program {
        let mut scheduler = self.scheduler_with(&self.options(), "scheduler");
        scheduler.wait_until_ready();
        scheduler
    }

    /// Starts a scheduler, with a log of its own, and waits for nothing.
    #[must_use]
    pub fn scheduler_with(&self, options: &Options, log: &str) -> Program {
        Program::scheduler(options, &self.log(log))
    }

    /// Starts the policy server on a port with these rules.
    ///
    /// # Panics
    /// When the rules cannot be written.
    #[must_use]
    pub fn policy_server(&self, rules: &str, port: u16) -> Program {
        let file = self.file("rules.yaml");
        std::fs::write(&file, rules).expect("a file of rules");
        Program::policy_server(&file, port, &self.log("policy-server"))
    }

    /// Starts kube-scheduler for the pods of this name.
    #[must_use]
    pub fn kube_scheduler(&self, name: &str) -> Program {
        Program::kube_scheduler(self.cluster, name, None, &self.log("kube-scheduler"))
    }

    /// Starts kube-scheduler for the pods of this name, once it holds this test's lease.
    #[must_use]
    pub fn electing_kube_scheduler(&self, name: &str) -> Program {
        Program::kube_scheduler(self.cluster, name, Some((&self.name, &self.name)), &self.log("kube-scheduler"))
    }

    /// Starts this test's scheduler as one of several that elect a leader, as the deployment does, and waits for nothing.
    #[must_use]
    pub fn candidate(&self, log: &str) -> Program {
        self.scheduler_with(&Options { flags: vec!["--leader-elect".into()], ..self.options() }, log)
    }

    /// The path of the Lease that this test's schedulers stand in for.
    #[must_use]
    pub fn lease_path(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{0}/leases/{0}", self.name)
    }

    /// A log file that is shown when the test fails.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        let log = self.file(&format!("{name}.log"));
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if !logs.contains(&log) {
            logs.push(log.clone());
        }
        log
    }

    /// A file of this test.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.cluster.dir.join(format!("{}-{name}", self.name))
    }

    /// The whole name of one of this test's nodes.
    #[must_use]
    pub fn node_name(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Adds an empty, ready node of 8 CPUs and 32 GiB.
    pub fn add_node(&self, name: &str, over: Value) -> Value {
        let full = self.node_name(name);
        let size = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
        let node = json!({
            "metadata": {"name": full, "labels": {LABEL: self.name, "kubernetes.io/hostname": full}},
            "status": {"capacity": size, "allocatable": size, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        self.api().create("/api/v1/nodes", &merged(node, over))
    }

    /// The path of a node.
    #[must_use]
    pub fn node_path(&self, name: &str) -> String {
        format!("/api/v1/nodes/{}", self.node_name(name))
    }

    /// The path of this test's pods.
    #[must_use]
    pub fn pods_path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.name)
    }

    /// The path of a pod.
    #[must_use]
    pub fn pod_path(&self, name: &str) -> String {
        format!("{}/{name}", self.pods_path())
    }

    /// A pod of 100m CPU for this test's scheduler and nodes.
    #[must_use]
    pub fn pod(&self, name: &str, over: Value) -> Value {
        let pod = json!({
            "metadata": {"name": name},
            "spec": {
                "schedulerName": self.name, "nodeSelector": {LABEL: self.name},
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "containers": [container("100m")],
            },
        });
        merged(pod, over)
    }

    /// Adds a [`Self::pod`].
    pub fn add_pod(&self, name: &str, over: Value) -> Value {
        self.api().create(&self.pods_path(), &self.pod(name, over))
    }

    /// Waits until a pod has a node; its name without the test's.
    ///
    /// # Panics
    /// When it gets none.
    #[must_use]
    pub fn placed(&self, pod: &str) -> String {
        let path = self.pod_path(pod);
        eventually(&format!("pod {pod} has a node"), || {
            let pod = self.api().get(&path);
            let node = pod["spec"]["nodeName"].as_str().ok_or_else(|| format!("{}", pod["status"]["conditions"]))?;
            Ok(node.strip_prefix(&format!("{}-", self.name)).unwrap_or(node).to_owned())
        })
    }

    /// Waits until a pod is said to be unschedulable; reason and message.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn refused(&self, pod: &str) -> (String, String) {
        let path = self.pod_path(pod);
        eventually(&format!("pod {pod} is refused"), || {
            let pod = self.api().get(&path);
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            found.map(|c| (text(&c["reason"]), text(&c["message"]))).ok_or_else(|| format!("{conditions:?}"))
        })
    }

    /// Waits for an event on an object of `namespace` for which `wanted` holds.
    ///
    /// # Panics
    /// When none comes.
    pub fn event(&self, namespace: &str, object: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the event on {object}"), || {
            let all = self.api().list(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
            let on_it: Vec<Value> = all.into_iter().filter(|e| e["regarding"]["name"] == object).collect();
            on_it.iter().find(|e| wanted(e)).cloned().ok_or_else(|| {
                let told: Vec<String> = on_it.iter().map(|e| format!("{} {}", e["reason"], e["note"])).collect();
                told.join("\n")
            })
        })
    }

    /// Waits for an event with a reason on a pod of this test; its note.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn pod_event(&self, pod: &str, reason: &str) -> String {
        let event = self.event(&self.name, pod, |e| e["reason"] == reason);
        event["note"].as_str().unwrap_or_default().to_owned()
    }

    /// Applies an AIStorageConfig in this test's namespace.
    pub fn configure(&self, spec: &Value) {
        let object = json!({"apiVersion": "ai-storage.keti/v1", "kind": "AIStorageConfig", "metadata": {"name": "default"}, "spec": spec});
        self.cluster.shell_with(&format!("kubectl apply -n {} -f -", self.name), &object.to_string());
    }

    /// The path of this test's configuration.
    #[must_use]
    pub fn config_path(&self) -> String {
        config_path(&self.name)
    }

    /// Waits until the scheduler has said what it thinks of the configuration as it is now; status and message.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn config_accepted(&self) -> (String, String) {
        self.config_accepted_in(&self.name)
    }

    /// [`Self::config_accepted`] of another namespace.
    ///
    /// # Panics
    /// When nothing is said.
    #[must_use]
    pub fn config_accepted_in(&self, namespace: &str) -> (String, String) {
        eventually("the configuration is judged", || {
            let config = self.api().get(&config_path(namespace));
            let accepted = &config["status"]["conditions"][0];
            if accepted["type"] != "Accepted" || accepted["observedGeneration"] != config["metadata"]["generation"] {
                return Err(config["status"].to_string());
            }
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            Ok((text(&accepted["status"]), text(&accepted["message"])))
        })
    }
}

fn config_path(namespace: &str) -> String {
    format!("/apis/ai-storage.keti/v1/namespaces/{namespace}/aistorageconfigs/default")
}

/// A container that asks for so much CPU.
fn container(cpu: &str) -> Value {
    json!({"name": "c", "image": "busybox", "resources": {"requests": {"cpu": cpu}}})
}

impl Test {
    /// What a pod of so much CPU differs in from [`Self::pod`].
    #[must_use]
    pub fn cpu(cpu: &str) -> Value {
        json!({"spec": {"containers": [container(cpu)]}})
    }

    /// What a pod with such annotations differs in from [`Self::pod`].
    #[must_use]
    pub fn hints<const N: usize>(annotations: [(&str, &str); N]) -> Value {
        let annotations: serde_json::Map<String, Value> =
            annotations.into_iter().map(|(key, value)| (format!("ai-storage.keti/{key}"), value.into())).collect();
        json!({"metadata": {"annotations": annotations}})
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in self.logs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                eprintln!("--- last lines of {}\n{}", log.display(), tail(log, SHOWN_LINES));
            }
        }
        // A second failure here would hide the first.
        let mine = |kind: &str| format!("{kind}?labelSelector={LABEL}%3D{}", self.name);
        let own = [self.pods_path(), mine("/api/v1/nodes"), self.config_path(), format!("/api/v1/namespaces/{}", self.name)];
        for path in own.into_iter().chain(KINDS.map(mine)) {
            let _left = self.api().try_delete(&path);
        }
        if matches!(self.turn, Turn::Alone(_)) {
            let _left = self.cluster.try_install_definition();
        }
    }
}
