//! A what-if question as it is asked over the API, and its way to the simulator and back.
//! Leaves out tables.

use super::answer;
use aisched_core::event::Event;
use aisched_kube::crd::{AIStorageConfigSpec, faults_of_spec};
use aisched_kube::documents::{Object, parse_documents, settle};
use aisched_model::config::Config;
use aisched_model::pod::Pod;
use aisched_sim::what_if::{Base, Change, MOST_PODS, what_if};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pods that run and are decided again, at most.
const MOST_RUNNING: usize = 1000;

/// What would be different. All of it is optional.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Request {
    /// Manifests in YAML: nodes, and what belongs to them.
    pub(crate) add_nodes: String,
    pub(crate) remove_nodes: Vec<String>,
    pub(crate) cordon: Vec<String>,
    /// Fields of the AIStorageConfig by path, such as `spec.plugins.dataLocalityAware.weight`.
    pub(crate) set: BTreeMap<String, Value>,
    /// Manifests in YAML: pods, and what belongs to them.
    pub(crate) pods: String,
    pub(crate) replicas: usize,
    pub(crate) capacity: bool,
    pub(crate) running: usize,
    pub(crate) decisions: usize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            add_nodes: String::new(),
            remove_nodes: Vec::new(),
            cordon: Vec::new(),
            set: BTreeMap::new(),
            pods: String::new(),
            replicas: 1,
            capacity: false,
            running: 200,
            decisions: 0,
        }
    }
}

/// Works the answer out.
///
/// # Errors
/// What is wrong with the question.
pub(crate) fn work_out(base: &Base, request: &Request, wanted: &dyn Fn() -> bool) -> Result<Value, String> {
    let change = request.change(base)?;
    let answer = what_if(base, &change, wanted).map_err(|_| "nobody waited for the answer".to_owned())?;
    Ok(answer::json(&answer))
}

impl Request {
    fn change(&self, base: &Base) -> Result<Change, String> {
        let mut change =
            Change { running: self.running.min(MOST_RUNNING), decisions: self.decisions, capacity: self.capacity, ..Change::default() };
        for (field, names, of) in
            [("removeNodes", &self.remove_nodes, &mut change.remove_nodes), ("cordon", &self.cordon, &mut change.cordon)]
        {
            for name in names {
                let known = base.objects.iter().any(|o| matches!(o, Event::NodeSet(node, _) if *node.name == **name));
                if !known {
                    return Err(format!("{field}: {name:?}: expected the name of a node that is there"));
                }
                of.push(name.as_str().into());
            }
        }
        change.objects = objects("addNodes", &self.add_nodes)?;
        if change.objects.iter().any(|o| matches!(o, Event::PodSet(_))) {
            return Err("addNodes: expected nodes and what belongs to them; pods go into pods".into());
        }
        for object in objects("pods", &self.pods)? {
            match object {
                Event::PodSet(pod) => replicas(&pod, self.replicas, &mut change.pods)?,
                other => change.objects.push(other),
            }
        }
        if self.capacity && change.pods.is_empty() {
            return Err("capacity: expected a pod in pods to count with".into());
        }
        if !self.set.is_empty() {
            change.config = Some(set(&base.config, &self.set)?);
        }
        Ok(change)
    }
}

fn objects(field: &str, text: &str) -> Result<Vec<Event>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let shown = |faults: Vec<aisched_kube::documents::ParseFault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let settled = parse_documents(text, field).and_then(settle).map_err(shown)?;
    Ok(settled.into_iter().filter_map(Object::into_event).collect())
}

/// As many of a pod as are wanted: `train`, `train-1`, `train-2`.
fn replicas(pod: &Arc<Pod>, n: usize, pods: &mut Vec<Arc<Pod>>) -> Result<(), String> {
    if n == 0 || pods.len() + n > MOST_PODS {
        return Err(format!("replicas: {n}: expected 1 to {MOST_PODS} pods in all"));
    }
    for i in 0..n {
        let (mut name, mut uid) = (pod.name.to_string(), format!("what-if/{}", pod.uid));
        if i > 0 {
            name.push_str(&format!("-{i}"));
            uid.push_str(&format!("-{i}"));
        }
        pods.push(Arc::new(Pod { name: name.into(), uid: uid.into(), node: None, ..Pod::clone(pod) }));
    }
    Ok(())
}

/// The configuration with other values in these fields.
fn set(config: &Config, fields: &BTreeMap<String, Value>) -> Result<Config, String> {
    let mut spec = serde_json::to_value(AIStorageConfigSpec::from(config)).map_err(|e| e.to_string())?;
    for (path, value) in fields {
        let inside = path.strip_prefix("spec.").ok_or_else(|| format!("set: {path:?}: expected a path that begins with spec."))?;
        let mut at = &mut spec;
        for key in inside.split('.') {
            let map = at.as_object_mut().ok_or_else(|| format!("set: {path:?}: expected the path of a field"))?;
            at = map.entry(key).or_insert(Value::Object(serde_json::Map::new()));
        }
        *at = value.clone();
    }
    let faults = faults_of_spec(&spec, true);
    if !faults.is_empty() {
        return Err(format!("set: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")));
    }
    let spec: AIStorageConfigSpec = serde_json::from_value(spec).map_err(|e| format!("set: {e}"))?;
    Ok(Config { generation: config.generation, ..Config::from(&spec) })
}
