//! Nobody labelled anything: objects of other systems alone decide, read through discovery once their definitions are there.
//! Leaves out what each system's objects say in full: those are the conversion's own tests.

use crate::explain::command;
use aisched_e2e::{Program, Test, eventually};
use serde_json::{Value, json};

/// Installs a definition that takes any field, and waits until it is served.
pub(crate) fn define(test: &Test, group: &str, version: &str, kind: &str, plural: &str, scope: &str) {
    let name = format!("{plural}.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    test.api().create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    eventually("the definition is served", || {
        test.api().find(&format!("/apis/{group}/{version}/{plural}")).map(|_| ()).ok_or_else(|| "not found".into())
    });
}

/// What the scheduler would do about a waiting pod: a component of a plugin's score of a node.
fn component(test: &Test, scheduler: &Program, pod: &str, node: &str, plugin: &str, name: &str) -> Result<i64, String> {
    let output = test.cluster.try_shell(&format!("{} --output json", command(scheduler, &format!("pod {pod} -n {}", test.name))), "");
    let decision: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let find =
        |list: &Value, key: &str, value: &str| list.as_array().into_iter().flatten().find(|x| x[key] == value).cloned().unwrap_or_default();
    let report = find(&find(&decision["nodes"], "node", &test.node_name(node))["plugins"], "name", plugin);
    report["components"][name].as_i64().ok_or_else(|| format!("no {plugin}.{name} in {report}"))
}

#[test]
fn objects_of_other_systems_draw_pods_that_nobody_labelled() {
    let test = Test::new("signals");
    define(&test, "nfd.k8s-sigs.io", "v1alpha1", "NodeFeature", "nodefeatures", "Namespaced");
    define(&test, "argoproj.io", "v1alpha1", "Workflow", "workflows", "Namespaced");
    for node in ["disk", "flash", "loader"] {
        test.add_node(node, json!({}));
    }
    let devices = |node: &str, device: &str, rotational: &str| {
        let name = test.node_name(node);
        let element = json!({"attributes": {"name": device, "rotational": rotational}});
        json!({"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
               "metadata": {"name": name, "labels": {"nfd.node.kubernetes.io/node-name": name}},
               "spec": {"features": {"instances": {"storage.block": {"elements": [element]}}}}})
    };
    let features = format!("/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{}/nodefeatures", test.name);
    test.api().create(&features, &devices("disk", "sda", "1"));
    test.api().create(&features, &devices("flash", "nvme0n1", "0"));
    let tasks = json!([{"name": "load", "template": "run"}, {"name": "report", "template": "run", "depends": "load.Succeeded"}]);
    let ran = json!({"flow-1": {"name": "flow.load", "type": "Pod", "phase": "Succeeded", "hostNodeName": test.node_name("loader")}});
    let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "flow"},
                          "spec": {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}]}, "status": {"nodes": ran}});
    test.api().create(&format!("/apis/argoproj.io/v1alpha1/namespaces/{}/workflows", test.name), &workflow);

    let scheduler = test.scheduler();
    let held = json!({"spec": {"schedulingGates": [{"name": "example.com/held"}]}});
    let with = |metadata: Value| aisched_e2e::merged(held.clone(), json!({"metadata": metadata}));
    test.add_pod("reader", with(json!({"annotations": {"ai-storage.keti/io-pattern": "random"}})));
    let step =
        json!({"labels": {"workflows.argoproj.io/workflow": "flow"}, "annotations": {"workflows.argoproj.io/node-name": "flow.report"}});
    test.add_pod("step", with(step));
    eventually("the devices and the workflow are known", || {
        let flash = component(&test, &scheduler, "reader", "flash", "StorageTierAware", "ioPattern")?;
        let disk = component(&test, &scheduler, "reader", "disk", "StorageTierAware", "ioPattern")?;
        let loader = component(&test, &scheduler, "step", "loader", "PipelineStageAware", "dependencyLocality")?;
        let found = (flash, disk, loader);
        if found == (40, 10, 40) { Ok(()) } else { Err(format!("{found:?}")) }
    });
    for pod in ["reader", "step"] {
        test.api().patch(&test.pod_path(pod), &json!({"spec": {"schedulingGates": null}}));
    }
    assert_eq!((test.placed("reader"), test.placed("step")), ("flash".into(), "loader".into()));
}
