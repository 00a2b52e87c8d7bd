//! Asks both schedulers as they are, on one real API server: the same cluster, the same pod under one name and then under the other.
//! Leaves out the scenarios that only controllers or time could bring about on a real server; `skips` says which.

use crate::answer::Answer;
use crate::compare::Comparison;
use crate::ours;
use crate::scenario::{NAMESPACE, POD, SCHEDULER, Scenario};
use aisched_e2e::{Api, Cluster, Options, Program, eventually, merged};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Names under which the two schedule.
const NAMES: [&str; 2] = ["conformance-kube", "conformance-ours"];
const CONFIG_NAMESPACE: &str = "conformance";
/// Label of the nodes of one scenario.
const MARK: &str = "conformance-scenario";
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 20;

/// Both schedulers at work.
pub(crate) struct Arena {
    api: &'static Api,
    n_scenarios: usize,
    /// Names of the PriorityClasses that are there.
    classes: BTreeSet<String>,
    _schedulers: [Program; 2],
}

/// What one scheduler made of the pod.
#[derive(Clone, Debug, Default)]
struct Seen {
    node: String,
    message: String,
    nominated: String,
}

/// Why a scenario is not asked on a real API server.
pub(crate) fn skips(scenario: &Scenario) -> bool {
    let in_process = |object: &Value| {
        let meta = &object["metadata"];
        // Who deletes pods, owns them, works out budgets and binds volumes there is not the test.
        meta.get("deletionTimestamp").is_some()
            || meta.get("ownerReferences").is_some()
            || !["Namespace", "Node", "Pod", "Service"].contains(&object["kind"].as_str().unwrap_or_default())
    };
    scenario.order_only || scenario.config.is_some() || scenario.objects.iter().any(in_process)
}

impl Arena {
    /// Starts a control plane and both schedulers, and waits until they schedule.
    pub(crate) fn start() -> Self {
        let cluster = Cluster::get();
        let api = &cluster.api;
        for namespace in [CONFIG_NAMESPACE, "other"] {
            api.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
        }
        for object in Scenario::new().objects {
            api.patch(
                &format!("/api/v1/namespaces/{}", text(&object, "/metadata/name")),
                &json!({"metadata": {"labels": object["metadata"]["labels"]}}),
            );
        }
        for namespace in [NAMESPACE, "other"] {
            let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
            eventually("the namespace has its account", || api.find(&account).map(|_| ()).ok_or_else(|| "not yet".into()));
        }
        let plugins = ["dataLocalityAware", "storageTierAware", "ioPatternBased", "kueueAware", "pipelineStageAware", "csiStorageAware"];
        let off: serde_json::Map<String, Value> = plugins.into_iter().map(|name| (name.into(), json!({"enabled": false}))).collect();
        let config = json!({"apiVersion": "ai-storage.keti/v1", "kind": "AIStorageConfig", "metadata": {"name": "default"}, "spec": {"plugins": off}});
        api.create(&format!("/apis/ai-storage.keti/v1/namespaces/{CONFIG_NAMESPACE}/aistorageconfigs"), &config);
        let kube = Program::kube_scheduler(cluster, NAMES[0], None, &cluster.dir.join("kube-scheduler.log"));
        let options = Options {
            name: NAMES[1].into(),
            kubeconfig: cluster.kubeconfig.clone(),
            config_namespace: CONFIG_NAMESPACE.into(),
            apollo_endpoint: String::new(),
            config: None,
            flags: Vec::new(),
        };
        let mut ours = Program::scheduler(&options, &cluster.dir.join("ours.log"));
        ours.wait_until_ready();
        Self { api, n_scenarios: 0, classes: BTreeSet::new(), _schedulers: [kube, ours] }
    }

    /// Asks both; the differences.
    pub(crate) fn ask(&mut self, scenario: &Scenario) -> Comparison {
        self.set_up(scenario);
        let (kube, stored) = self.seen(scenario, NAMES[0]);
        if !kube.nominated.is_empty() {
            // Its victims are going.
            self.tear_down(scenario);
            self.set_up(scenario);
        }
        let (ours, _) = self.seen(scenario, NAMES[1]);
        self.tear_down(scenario);
        compare(&kube, &ours, &ours::ask(&stored))
    }

    /// Puts the cluster in place, and waits until both schedulers have seen all of it.
    fn set_up(&mut self, scenario: &Scenario) {
        self.n_scenarios += 1;
        let mark = self.n_scenarios.to_string();
        for object in &scenario.objects {
            match (text(object, "/kind"), object.pointer("/spec/nodeName")) {
                ("Node", _) => {
                    let marked = merged(object.clone(), json!({"metadata": {"labels": {MARK: mark}}}));
                    self.api.create("/api/v1/nodes", &marked);
                }
                ("Service", _) => {
                    self.api.create(&format!("/api/v1/namespaces/{}/services", text(object, "/metadata/namespace")), object);
                }
                ("Pod", Some(_)) => {
                    let path = pods(text(object, "/metadata/namespace"));
                    let pod = self.with_priority(object);
                    self.create_pod(&path, &pod);
                    let status = json!({"status": object["status"]});
                    self.api.patch(&format!("{path}/{}/status", text(object, "/metadata/name")), &status);
                }
                (_, _) => {}
            }
        }
        let n_nodes = scenario.objects.iter().filter(|o| o["kind"] == "Node").count();
        for name in NAMES {
            self.wait_until_seen(name, &mark, n_nodes);
        }
    }

    /// Pods come to a scheduler in order: one that it refuses on these nodes and no others comes after all that was there before it.
    fn wait_until_seen(&self, scheduler: &str, mark: &str, n_nodes: usize) {
        let path = format!("{}/canary", pods(NAMESPACE));
        let elsewhere = json!([{"matchExpressions": [{"key": MARK, "operator": "NotIn", "values": [mark]}]}]);
        let canary = json!({"metadata": {"name": "canary"}, "spec": {
            "schedulerName": scheduler, "tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "busybox"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": elsewhere}}},
        }});
        let expected = format!("0/{n_nodes} nodes are available: {n_nodes} node(s) didn't match Pod's node affinity/selector.");
        eventually("the scheduler has seen the cluster", || {
            self.api.create(&pods(NAMESPACE), &canary);
            let seen = self.verdict("canary");
            self.delete(&path);
            if seen.message.starts_with(&expected) { Ok(()) } else { Err(format!("{scheduler}: {seen:?}, expected {expected}")) }
        });
    }

    /// What a scheduler makes of the pod, and the cluster as the API server holds it.
    fn seen(&mut self, scenario: &Scenario, scheduler: &str) -> (Seen, Scenario) {
        let Some(pod) = scenario.objects.iter().find(|o| o["kind"] == "Pod" && o["metadata"]["name"] == POD) else {
            return (Seen::default(), scenario.clone());
        };
        let mut stored = self.stored(scenario);
        let pod = merged(self.with_priority(pod), json!({"spec": {"schedulerName": scheduler}}));
        let created = self.create_pod(&pods(NAMESPACE), &pod);
        let seen = self.verdict(POD);
        self.delete(&format!("{}/{POD}", pods(NAMESPACE)));
        stored.objects.push(merged(created, json!({"kind": "Pod", "apiVersion": "v1", "spec": {"schedulerName": SCHEDULER}})));
        (seen, stored)
    }

    /// The cluster as the API server holds it: what the objects have become.
    fn stored(&self, scenario: &Scenario) -> Scenario {
        let mut objects = Vec::new();
        for (path, kind) in
            [("/api/v1/namespaces", "Namespace"), ("/api/v1/nodes", "Node"), ("/api/v1/services", "Service"), ("/api/v1/pods", "Pod")]
        {
            objects.extend(self.api.list(path).into_iter().map(|object| merged(object, json!({"kind": kind, "apiVersion": "v1"}))));
        }
        Scenario { objects, ..scenario.clone() }
    }

    /// Waits until a pod is bound or refused; when others are to make room for it, until its node is kept, too.
    fn verdict(&self, name: &str) -> Seen {
        let path = format!("{}/{name}", pods(NAMESPACE));
        eventually("the pod is bound or refused", || {
            for look in 0..LOOKS {
                let pod = self.api.get(&path);
                let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let refusal = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
                let (node, nominated) = (text(&pod, "/spec/nodeName").to_owned(), text(&pod, "/status/nominatedNodeName").to_owned());
                let message = refusal.filter(|_| node.is_empty()).map(|c| text(c, "/message").to_owned()).unwrap_or_default();
                // Ours writes the condition and the nomination one after the other.
                let kept = !message.contains(", preempting ") || !nominated.is_empty() || look + 1 == LOOKS;
                if !node.is_empty() || (refusal.is_some() && kept) {
                    return Ok(Seen { node, message, nominated });
                }
                std::thread::sleep(LOOK);
            }
            Err("neither".into())
        })
    }

    /// A pod with the class of its priority and its policy of preemption, which is made when it is first needed.
    fn with_priority(&mut self, pod: &Value) -> Value {
        let (priority, policy) = (pod["spec"]["priority"].as_i64().unwrap_or(0), text(pod, "/spec/preemptionPolicy"));
        if priority == 0 && policy.is_empty() {
            return pod.clone();
        }
        let name = format!("conformance-{priority}-{}", policy.to_lowercase()).trim_end_matches('-').to_owned();
        if self.classes.insert(name.clone()) {
            let mut class = json!({"metadata": {"name": name}, "value": priority});
            if !policy.is_empty() {
                class["preemptionPolicy"] = policy.into();
            }
            self.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
        }
        merged(pod.clone(), json!({"spec": {"priorityClassName": name}}))
    }

    /// Creates a pod; the API server learns of a new PriorityClass a moment after it took it.
    fn create_pod(&self, path: &str, pod: &Value) -> Value {
        eventually("the API server knows the pod's class", || match self.api.try_create(path, pod) {
            Err(refusal) if refusal.message.contains("no PriorityClass with name") => Err(refusal.message),
            Err(_) => Ok(self.api.create(path, pod)),
            Ok(created) => Ok(created),
        })
    }

    fn tear_down(&self, scenario: &Scenario) {
        for namespace in [NAMESPACE, "other"] {
            self.api.delete(&pods(namespace));
        }
        for service in scenario.objects.iter().filter(|o| o["kind"] == "Service") {
            let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
            self.api.delete(&format!("/api/v1/namespaces/{namespace}/services/{name}"));
        }
        self.api.delete("/api/v1/nodes");
        eventually("the cluster is empty", || {
            let left = ["/api/v1/pods", "/api/v1/nodes"].map(|path| self.api.list(path).len());
            if left == [0, 0] { Ok(()) } else { Err(format!("{left:?} pods and nodes")) }
        });
    }

    fn delete(&self, path: &str) {
        self.api.delete(path);
        eventually("the pod is gone", || if self.api.find(path).is_none() { Ok(()) } else { Err("still there".into()) });
    }
}

/// Both must say the same, word for word; where there is a choice between equals, each may take its own.
fn compare(kube: &Seen, ours: &Seen, model: &Answer) -> Comparison {
    let mut differences = Vec::new();
    let best = model.pods.iter().flat_map(|verdict| verdict.best()).collect::<Vec<_>>();
    if !(best.contains(&kube.node.as_str()) && best.contains(&ours.node.as_str())) && kube.node != ours.node {
        differences.push(format!("node: kube-scheduler {:?}, ours {:?}, the best are {best:?}", kube.node, ours.node));
    }
    for (what, kube, ours) in [("message", &kube.message, &ours.message), ("nominated", &kube.nominated, &ours.nominated)] {
        if kube != ours {
            differences.push(format!("{what}: kube-scheduler {kube:?}, ours {ours:?}"));
        }
    }
    Comparison { differences, placed: usize::from(!kube.node.is_empty()), refused: usize::from(kube.node.is_empty()), scores: 0 }
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
