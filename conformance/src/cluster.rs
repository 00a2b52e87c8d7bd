//! Asks both schedulers as they are, on one real API server: the same cluster, the same pod under one name and then under the other.
//! Leaves out how a scenario's cluster comes about there (`world`). No controller that acts on it runs: what they would say, the scenario says.

mod world;

use crate::answer::Answer;
use crate::compare::Comparison;
use crate::ours;
use crate::scenario::{NAMESPACE, POD, SCHEDULER, Scenario};
use aisched_e2e::{Api, Cluster, Options, Program, eventually, merged};
use serde_json::{Value, json};
use std::time::Duration;
use world::World;

/// Names under which the two schedule.
const NAMES: [&str; 2] = ["conformance-kube", "conformance-ours"];
const CONFIG_NAMESPACE: &str = "conformance";
/// Label of the nodes of one scenario.
const MARK: &str = "conformance-scenario";
/// Namespaces and their accounts; nobody binds volumes, counts disruptions, makes pods or collects what has no owner.
const CONTROLLERS: &str = "namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller";
/// kube-scheduler looks once a second whether volumes are bound that it waits for, and holds the pod's room until it sees that they are gone.
const LETS_GO: Duration = Duration::from_millis(1_300);
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 20;

/// Both schedulers at work.
pub(crate) struct Arena {
    api: &'static Api,
    world: World,
    n_scenarios: usize,
    _schedulers: [Program; 2],
}

/// What one scheduler made of the pod.
#[derive(Clone, Debug, Default)]
struct Seen {
    node: String,
    message: String,
    nominated: String,
    /// The cluster is another since.
    changed: bool,
}

/// Why a scenario is not asked on a real API server.
pub(crate) fn skips(scenario: &Scenario) -> bool {
    let left_out = |object: &Value| !world::can_hold(text(object, "/kind"));
    scenario.order_only || !scenario.gates.is_empty() || scenario.config.is_some() || scenario.objects.iter().any(left_out)
}

impl Arena {
    /// Starts a control plane and both schedulers, and waits until they schedule.
    pub(crate) fn start() -> Self {
        let cluster = Cluster::with_controllers(CONTROLLERS);
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
        Self { api, world: World::new(api), n_scenarios: 0, _schedulers: [kube, ours] }
    }

    /// Asks both; the differences.
    pub(crate) fn ask(&mut self, scenario: &Scenario) -> Comparison {
        self.set_up(scenario);
        let (kube, stored) = self.seen(scenario, NAMES[0]);
        if kube.changed {
            // Its victims are going, its volumes are being bound.
            self.world.clear(scenario);
            if kube.nominated.is_empty() {
                std::thread::sleep(LETS_GO);
            }
            self.set_up(scenario);
        }
        let (ours, _) = self.seen(scenario, NAMES[1]);
        self.world.clear(scenario);
        compare(&kube, &ours, &ours::ask(&stored))
    }

    /// Puts the cluster in place, and waits until both schedulers have seen all of it.
    fn set_up(&mut self, scenario: &Scenario) {
        self.n_scenarios += 1;
        let mark = self.n_scenarios.to_string();
        self.world.put(scenario, &mark);
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
            self.world.remove(&path);
            if seen.message.starts_with(&expected) { Ok(()) } else { Err(format!("{scheduler}: {seen:?}, expected {expected}")) }
        });
    }

    /// What a scheduler makes of the pod, and the cluster as the API server holds it.
    fn seen(&mut self, scenario: &Scenario, scheduler: &str) -> (Seen, Scenario) {
        let Some(pod) = scenario.objects.iter().find(|o| o["kind"] == "Pod" && o["metadata"]["name"] == POD) else {
            return (Seen::default(), scenario.clone());
        };
        let mut stored = self.world.stored(scenario);
        let pod = merged(self.world.with_priority(pod), json!({"spec": {"schedulerName": scheduler}}));
        let created = self.world.create(&pods(NAMESPACE), &pod);
        let seen = self.verdict(POD);
        self.world.remove(&format!("{}/{POD}", pods(NAMESPACE)));
        stored.objects.push(merged(created, json!({"kind": "Pod", "apiVersion": "v1", "spec": {"schedulerName": SCHEDULER}})));
        (seen, stored)
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
                if refusal.is_some() && kept {
                    return Ok(Seen { node, message, changed: !nominated.is_empty(), nominated });
                }
                // A node that is announced without a refusal is the pod's once its volumes are bound.
                let announced = refusal.is_none() && !nominated.is_empty() && look + 1 == LOOKS;
                if !node.is_empty() || announced {
                    return Ok(Seen { changed: node.is_empty(), node: if node.is_empty() { nominated } else { node }, ..Seen::default() });
                }
                std::thread::sleep(LOOK);
            }
            Err("neither".into())
        })
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
