//! Objects as their systems write them, and what is understood of them.

use super::*;
use aisched_model::foreign::{ClusterQueue, KueueWorkload, Workflow, WorkflowTask};
use aisched_model::hyper_nodes::Pattern;
use aisched_model::signals::ClassFacts;
use serde_json::json;
use std::sync::Arc;

fn read(kind: &str, group: &str, object: Value) -> Result<Foreign, Unreadable> {
    ForeignKind::find(kind, group).unwrap().read("ns", "x", &Labels::new(), object)
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

#[test]
fn objects_tell_of_the_storage_of_nodes() {
    let nfd = json!({"spec": {"features": {"instances": {"storage.block": {"elements": [
        {"attributes": {"name": "nvme0n1", "rotational": "0", "nr_zones": "0"}}, {"attributes": {"name": "sda", "rotational": "1"}}]}}}}});
    let kserve = json!({
        "spec": {"localModels": [{"sourceModelUri": "hf://org/m", "modelName": "m"}, {"sourceModelUri": "s3://b/n", "modelName": "n", "namespace": "team"}]},
        "status": {"modelStatus": {"m": "ModelDownloading", "team/n": "ModelDownloaded"}}});
    let hwameistor = json!({"status": {"pools": {"LocalStorage_PoolNVMe": {"class": "NVMe", "freeCapacityBytes": 7},
                                               "LocalStorage_PoolHDD": {"class": "HDD", "freeCapacityBytes": 9}}}});
    let lvm = json!({"volumeGroups": [{"name": "ssd-vg", "size": "10Gi", "free": "2Ki"}, {"name": "vg", "free": "nonsense"}]});
    for (kind, group, object, expected) in [
        ("NodeFeature", "nfd.k8s-sigs.io", nfd, "x nvme+hdd None "),
        ("LocalModelNode", "serving.kserve.io", kserve, "x  None s3://b/n,n"),
        ("LocalStorageNode", "hwameistor.io", hwameistor, "x nvme+hdd Some(9) "),
        ("LVMNode", "local.openebs.io", lvm, "x ssd Some(2048) "),
        ("ZFSNode", "zfs.openebs.io", json!({"pools": [{"name": "tank", "free": "5"}]}), "x  Some(5) "),
        ("ZFSNode", "zfs.openebs.io", json!({"pools": null}), "x  None "),
    ] {
        let Ok(Foreign::NodeStorage(s)) = read(kind, group, object) else { panic!("{kind}") };
        let tiers: Vec<&str> = s.tiers.iter().map(|t| t.as_str()).collect();
        assert_eq!(format!("{} {} {:?} {}", s.node, tiers.join("+"), s.free_bytes, s.datasets.join(",")), expected, "{kind}");
    }
    let label = Labels::from([("nfd.node.kubernetes.io/node-name".into(), "n".into())]);
    let found = ForeignKind::find("NodeFeature", "nfd.k8s-sigs.io").unwrap().read("nfd", "x-2", &label, json!({"spec": {}}));
    assert!(matches!(found, Ok(Foreign::NodeStorage(s)) if &*s.node == "n" && &*s.name == "x-2"));
}

#[test]
fn a_dataset_tells_how_much_is_cached() {
    for (states, expected) in [
        (json!({"cachedPercentage": "37.5%", "cached": "1GiB"}), 37),
        (json!({"cachedPercentage": "100.0%"}), 100),
        (json!({"cachedPercentage": "N/A"}), 100),
        (json!({"cachedPercentage": ""}), 100),
        (json!({"cachedPercentage": "NaN"}), 100),
        (json!({"cachedPercentage": "1e99%"}), 100),
        (json!({"cachedPercentage": "-5%"}), 0),
        (json!(null), 100),
    ] {
        let found = read("Dataset", "data.fluid.io", json!({"status": {"cacheStates": states}}));
        assert_eq!(found, Ok(Foreign::Dataset(("ns".into(), "x".into()), expected)), "{states}");
    }
}

#[test]
fn a_replica_that_failed_is_on_no_node() {
    for (failed, node) in [("", "n"), ("2026-01-01T00:00:00Z", "")] {
        let found = read("Replica", "longhorn.io", json!({"spec": {"volumeName": "v", "nodeID": "n", "failedAt": failed}}));
        assert!(matches!(found, Ok(Foreign::Replica(r)) if &*r.node == node && &*r.volume == "v"), "{failed}");
    }
}

#[test]
fn a_topology_tells_its_levels() {
    let levels = json!({"spec": {"levels": [{"nodeLabel": "block"}, {"nodeLabel": "rack"}, {"nodeLabel": "kubernetes.io/hostname"}]}});
    let layers = json!({"spec": {"networkTopologySpec": [
        {"topologyLayer": "NodeTopologyLayer", "parentTopologyLayer": "RackLayer"},
        {"topologyLayer": "RackLayer", "parentTopologyLayer": "SpineLayer", "labelKey": ["rack", "kubernetes.io/hostname"]},
        {"topologyLayer": "SpineLayer", "labelKey": ["block"]},
        {"topologyLayer": "Loop", "parentTopologyLayer": "Loop", "labelKey": ["loop"]}]}});
    for (kind, group, object, name) in [
        ("Topology", "kueue.x-k8s.io", levels.clone(), "Topology x"),
        ("Topology", "kai.scheduler", levels, "KAI Topology x"),
        ("ClusterNetworkTopology", "scheduling.koordinator.sh", layers, "ClusterNetworkTopology x"),
    ] {
        let keys = vec!["block".into(), "rack".into(), "kubernetes.io/hostname".into()];
        assert_eq!(read(kind, group, object), Ok(Foreign::Topology(name.into(), keys)), "{group}");
        let gone = (ForeignKind::find(kind, group).unwrap().name)(("".into(), "x".into()));
        assert_eq!(gone, ForeignName::Topology(name.into()), "{group}");
    }
}

#[test]
fn a_hyper_node_tells_its_members() {
    let object = json!({"spec": {"tier": 2, "members": [
        {"type": "Node", "selector": {"exactMatch": {"name": "n1"}}},
        {"type": "Node", "selector": {"labelMatch": {"matchLabels": {"rack": "r1"}}}},
        {"type": "Node", "selector": {"regexMatch": {"pattern": "n-.*"}}},
        {"type": "HyperNode", "selector": {"exactMatch": {"name": "leaf"}}}]}});
    let Ok(Foreign::HyperNode(h)) = read("HyperNode", "topology.volcano.sh", object) else { panic!("not a HyperNode") };
    assert_eq!((h.tier, &*h.nodes, &*h.children), (2, &["n1".into()][..], &["leaf".into()][..]));
    assert_eq!(h.selectors.iter().map(|s| s.matches(&[("rack", "r1")].into())).collect::<Vec<_>>(), [true]);
    assert_eq!(h.patterns.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["n-.*"]);
    for pattern in ["n-(", "(a{1000}){1000}"] {
        let object = json!({"spec": {"members": [{"type": "Node", "selector": {"regexMatch": {"pattern": pattern}}}]}});
        let fault = read("HyperNode", "topology.volcano.sh", object).unwrap_err();
        assert_eq!(fault.field, "spec.members[0].selector.regexMatch.pattern", "{fault:?}");
    }
}

#[test]
fn an_attributes_class_tells_what_volumes_are_made_for() {
    let object = json!({"driverName": "ebs.csi.aws.com", "parameters": {"iops": "4000", "throughput": "250"}});
    let facts = ClassFacts { iops: Some(4000), throughput_mbps: Some(250), ..ClassFacts::default() };
    let found = read("VolumeAttributesClass", "storage.k8s.io", object);
    assert_eq!(found, Ok(Foreign::AttributesClass("x".into(), Arc::new(facts))));
    let wrong = read("VolumeAttributesClass", "storage.k8s.io", json!({"parameters": {"iops": 4000}}));
    assert!(wrong.is_err_and(|fault| fault.field == "parameters.iops"));
}
