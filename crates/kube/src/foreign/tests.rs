//! Objects as their systems write them, and what is understood of them.

use super::*;
use aisched_model::foreign::{ClusterQueue, KueueWorkload, Workflow, WorkflowTask};
use serde_json::json;
use std::sync::Arc;

fn read(kind: &str, group: &str, object: Value) -> Result<Foreign, Unreadable> {
    ForeignKind::find(kind, group).unwrap().read("ns", "x", object)
}

#[test]
fn a_workload_tells_its_size_and_queue() {
    let workload = |n_pods, queue: Option<&str>| {
        Ok(Foreign::Workload(Arc::new(KueueWorkload { namespace: "ns".into(), name: "x".into(), n_pods, queue: queue.map(Into::into) })))
    };
    for (object, expected) in [
        (
            json!({"spec": {"queueName": "team", "podSets": [{"name": "head", "count": 1, "template": {}}, {"name": "w", "count": 7}]},
                   "status": {"admission": {"clusterQueue": "gpus", "podSetAssignments": []}}}),
            workload(8, Some("gpus")),
        ),
        (json!({"spec": {"podSets": [{"count": 2}]}, "status": {}}), workload(2, None)),
        (json!({"spec": {"podSets": null}, "status": {"admission": null}}), workload(0, None)),
        (json!({"spec": {"podSets": [{"count": -3}]}}), workload(0, None)),
        (
            json!({"spec": {"podSets": [{"count": "two"}]}}),
            Err(Unreadable { field: "spec.podSets[0].count".into(), error: "invalid type: string \"two\", expected i32".into() }),
        ),
    ] {
        assert_eq!(read("Workload", "kueue.x-k8s.io", object.clone()), expected, "{object}");
    }
}

#[test]
fn a_queue_tells_how_busy_it_is() {
    let queue = |pending, admitted| Foreign::Queue(Arc::new(ClusterQueue { name: "x".into(), pending, admitted }));
    for (object, expected) in [
        (json!({"status": {"pendingWorkloads": 3, "reservingWorkloads": 5, "admittedWorkloads": 4}}), queue(3, 4)),
        (json!({"spec": {"cohort": "all"}}), queue(0, 0)),
    ] {
        assert_eq!(read("ClusterQueue", "kueue.x-k8s.io", object.clone()), Ok(expected), "{object}");
    }
}

/// The tasks of the only template of a workflow: suffix, then what it needs.
fn tasks_of(object: Value) -> String {
    let Ok(Foreign::Workflow(workflow)) = read("Workflow", "argoproj.io", object) else { panic!("not a workflow") };
    let shown = |t: &WorkflowTask| format!("{}<{}", t.suffix, t.needs.join(","));
    workflow.templates.values().flatten().map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_workflow_tells_its_tasks() {
    let dag = |tasks: Value| json!({"spec": {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}]}});
    for (object, expected) in [
        (dag(json!([{"name": "a", "template": "t"}, {"name": "b", "template": "t", "dependencies": ["a"]}])), ".a< .b<.a"),
        (dag(json!([{"name": "d", "depends": "a && (b-1.Succeeded || !c_2.Failed)"}])), ".d<.a,.b-1,.c_2"),
        (dag(json!([{"name": "d", "depends": ""}])), ".d<"),
        (
            json!({"spec": {"templates": [{"name": "main", "steps": [[{"name": "a"}, {"name": "b"}], [{"name": "c"}]]}]}}),
            "[0].a< [0].b< [1].c<[0].a,[0].b",
        ),
        (json!({"spec": {"templates": [{"name": "run", "container": {"image": "i"}}]}}), ""),
        (
            json!({"spec": {"workflowTemplateRef": {"name": "shared"}},
                   "status": {"storedWorkflowTemplateSpec": {"templates": [{"name": "main", "dag": {"tasks": [{"name": "z"}]}}]}}}),
            ".z<",
        ),
        (json!({"spec": {}, "status": null}), ""),
    ] {
        assert_eq!(tasks_of(object.clone()), expected, "{object}");
    }
}

#[test]
fn a_workflow_tells_where_its_pods_ran() {
    let nodes = json!({
        "x": {"name": "x", "type": "DAG", "phase": "Running"},
        "x-1": {"name": "x.load", "type": "Pod", "phase": "Succeeded", "hostNodeName": "n1"},
        "x-2": {"name": "x.train", "type": "Pod", "phase": "Pending"},
    });
    let found = read("Workflow", "argoproj.io", json!({"spec": {"entrypoint": "main"}, "status": {"nodes": nodes}}));
    let expected = Workflow {
        namespace: "ns".into(),
        name: "x".into(),
        entrypoint: "main".into(),
        ran: [("x.load".into(), "n1".into())].into(),
        ..Workflow::default()
    };
    assert_eq!(found, Ok(Foreign::Workflow(Arc::new(expected))));
}
