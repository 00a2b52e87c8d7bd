//! Argo's Workflows, those of Kubeflow Pipelines among them: which step depends on which, and where steps ran.
//! Leaves out a status that Argo compressed or moved to a database: its steps are those whose pods are there.

use super::{Labels, Unreadable, parse};
use crate::objects::nullable;
use aisched_model::Str;
use aisched_model::foreign::{Foreign, Workflow, WorkflowTask};
use aisched_model::snapshot::NamespacedName;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkflowObject {
    spec: WorkflowSpec,
    #[serde(deserialize_with = "nullable")]
    status: WorkflowStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkflowSpec {
    entrypoint: String,
    #[serde(deserialize_with = "nullable")]
    templates: Vec<Template>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    name: String,
    dag: Option<Dag>,
    #[serde(deserialize_with = "nullable")]
    steps: Vec<Vec<Task>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Dag {
    #[serde(deserialize_with = "nullable")]
    tasks: Vec<Task>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Task {
    name: String,
    template: String,
    #[serde(deserialize_with = "nullable")]
    dependencies: Vec<String>,
    depends: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkflowStatus {
    #[serde(deserialize_with = "nullable")]
    nodes: BTreeMap<String, NodeStatus>,
    /// The whole specification, where `spec` only refers to a WorkflowTemplate.
    stored_workflow_template_spec: Option<WorkflowSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeStatus {
    name: String,
    host_node_name: String,
}

pub(super) fn workflow((namespace, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let WorkflowObject { spec, status } = parse(object)?;
    let WorkflowStatus { nodes, stored_workflow_template_spec } = status;
    let WorkflowSpec { entrypoint, templates } =
        if spec.templates.is_empty() { stored_workflow_template_spec.unwrap_or(spec) } else { spec };
    let ran = nodes.into_values().filter(|n| !n.host_node_name.is_empty());
    Ok(Foreign::Workflow(Arc::new(Workflow {
        namespace,
        name,
        entrypoint: entrypoint.into(),
        templates: templates.into_iter().map(|t| (Str::from(&*t.name), tasks(t))).filter(|(_, tasks)| !tasks.is_empty()).collect(),
        ran: ran.map(|n| (n.name.into(), n.host_node_name.into())).collect(),
    })))
}

/// The tasks of a DAG, or the steps of a list, each of which waits for all of the step before.
fn tasks(template: Template) -> Vec<WorkflowTask> {
    let in_dag = |name: &str| Str::from(format!(".{name}"));
    let of_dag = template.dag.into_iter().flat_map(|dag| dag.tasks).map(|task| {
        let needs = task.dependencies.iter().map(String::as_str).chain(names(&task.depends));
        WorkflowTask { suffix: in_dag(&task.name), needs: needs.map(in_dag).collect(), template: task.template.into() }
    });
    let in_step = |i: usize, name: &str| Str::from(format!("[{i}].{name}"));
    let of_steps = template.steps.iter().enumerate().flat_map(|(i, step)| {
        let before = i.checked_sub(1).and_then(|before| template.steps.get(before)).into_iter().flatten();
        let needs: Vec<Str> = before.map(|task| in_step(i - 1, &task.name)).collect();
        step.iter().map(move |task| WorkflowTask {
            suffix: in_step(i, &task.name),
            template: Str::from(&*task.template),
            needs: needs.clone(),
        })
    });
    of_dag.chain(of_steps).collect()
}

/// The tasks that a `depends` expression names. Example: `a && (b.Succeeded || !c.Failed)` names a, b, c.
fn names(depends: &str) -> impl Iterator<Item = &str> {
    let words = depends.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    words.filter_map(|word| word.split('.').next()).filter(|name| !name.is_empty())
}
