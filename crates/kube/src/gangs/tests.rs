//! Pods and objects as their systems write them, and the gang that is understood.

use crate::convert;
use crate::foreign::{ForeignKind, Labels};
use crate::intern::Interner;
use crate::objects::PodObject;
use aisched_model::foreign::Foreign;
use aisched_model::gang::Quorum;
use serde_json::{Value, json};

/// `source name object part size required preferred` of a pod's gang, as far as they are told.
fn gang_of(metadata: Value, spec: Value) -> String {
    let object: PodObject = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    let pod = convert::pod(&object, &mut Interner::default()).value;
    let Some(gang) = pod.spec.gang.clone() else { return "alone".into() };
    let size = gang.size.map(|n| n.to_string()).unwrap_or_default();
    let levels = [&gang.near.required, &gang.near.preferred].map(|level| level.as_deref().unwrap_or_default());
    let words = [gang.source.as_str(), &gang.name, &gang.object, &gang.part, &size, levels[0], levels[1]];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_source_names_the_gang_of_its_pods() {
    let labels = |labels: Value| json!({"labels": labels});
    for (metadata, spec, expected) in [
        (json!({}), json!({}), "alone"),
        (json!({}), json!({"schedulingGroup": {"podGroupName": "g"}}), "PodGroup g g"),
        (json!({}), json!({"schedulingGroup": {}}), "alone"),
        (labels(json!({"scheduling.x-k8s.io/pod-group": "g"})), json!({}), "PodGroup (scheduling.x-k8s.io) g g"),
        (json!({"annotations": {"scheduling.k8s.io/group-name": "g"}}), json!({}), "PodGroup (scheduling.volcano.sh) g g"),
        (
            json!({"labels": {"kueue.x-k8s.io/pod-group-name": "g"}, "annotations": {
                "kueue.x-k8s.io/pod-group-total-count": "4", "kueue.x-k8s.io/podset-required-topology": "rack"}}),
            json!({}),
            "Kueue pod group g g 4 rack",
        ),
        (
            json!({"labels": {"kueue.x-k8s.io/pod-group-name": "g"}, "annotations": {"kueue.x-k8s.io/pod-group-fast-admission": "true"}}),
            json!({}),
            "alone",
        ),
        (
            labels(json!({"jobset.sigs.k8s.io/jobset-name": "train", "jobset.sigs.k8s.io/replicatedjob-name": "node"})),
            json!({}),
            "JobSet train train node",
        ),
        (
            json!({"labels": {"jobset.sigs.k8s.io/jobset-name": "j"}, "annotations": {"alpha.jobset.sigs.k8s.io/exclusive-topology": "rack"}}),
            json!({}),
            "alone",
        ),
        (
            json!({"labels": {"leaderworkerset.sigs.k8s.io/name": "lws", "leaderworkerset.sigs.k8s.io/group-key": "abc"},
                   "annotations": {"leaderworkerset.sigs.k8s.io/size": "2"}}),
            json!({}),
            "LeaderWorkerSet group abc lws 2",
        ),
        (
            labels(json!({"training.kubeflow.org/job-name": "m", "training.kubeflow.org/job-role": "worker"})),
            json!({}),
            "training job m m worker",
        ),
        (
            labels(json!({"jobset.sigs.k8s.io/jobset-name": "j", "scheduling.x-k8s.io/pod-group": "g"})),
            json!({}),
            "PodGroup (scheduling.x-k8s.io) g g",
        ),
    ] {
        assert_eq!(gang_of(metadata.clone(), spec.clone()), expected, "{metadata} {spec}");
    }
}

#[test]
fn every_kind_of_object_tells_how_many_pods_its_gang_needs() {
    let parts = |parts: &[(&str, u32)]| Quorum::Parts(parts.iter().map(|(part, n)| ((*part).into(), *n)).collect());
    let jobs = json!([{"name": "load"}, {"name": "node", "replicas": 2, "template": {"spec": {"parallelism": 3, "completions": 2}}}]);
    for (kind, group, spec, expected) in [
        ("PodGroup", "scheduling.k8s.io", json!({"schedulingPolicy": {"gang": {"minCount": 4}}}), Quorum::All(4)),
        ("PodGroup", "scheduling.k8s.io", json!({"schedulingPolicy": {"basic": {}}}), Quorum::None),
        (
            "PodGroup",
            "scheduling.k8s.io",
            json!({"schedulingPolicy": {"basic": {}}, "schedulingConstraints": {"topology": [{"key": "rack"}]}}),
            Quorum::All(1),
        ),
        ("PodGroup", "scheduling.x-k8s.io", json!({"minMember": 3, "scheduleTimeoutSeconds": 10}), Quorum::All(3)),
        ("PodGroup", "scheduling.volcano.sh", json!({"minMember": 5, "queue": "q"}), Quorum::All(5)),
        ("PodGroup", "scheduling.volcano.sh", json!({"minMember": -5}), Quorum::All(0)),
        ("JobSet", "jobset.x-k8s.io", json!({"replicatedJobs": jobs}), Quorum::All(5)),
        (
            "JobSet",
            "jobset.x-k8s.io",
            json!({"replicatedJobs": jobs, "startupPolicy": {"startupPolicyOrder": "InOrder"}}),
            parts(&[("load", 1), ("node", 4)]),
        ),
        (
            "JobSet",
            "jobset.x-k8s.io",
            json!({"replicatedJobs": [{"name": "a"}, {"name": "b", "dependsOn": [{"name": "a", "status": "Complete"}]}]}),
            parts(&[("a", 1), ("b", 1)]),
        ),
        ("LeaderWorkerSet", "leaderworkerset.x-k8s.io", json!({"leaderWorkerTemplate": {"size": 4}, "replicas": 9}), Quorum::All(4)),
        (
            "LeaderWorkerSet",
            "leaderworkerset.x-k8s.io",
            json!({"leaderWorkerTemplate": {"size": 4}, "startupPolicy": "LeaderReady"}),
            Quorum::None,
        ),
        (
            "MPIJob",
            "kubeflow.org",
            json!({"mpiReplicaSpecs": {"Launcher": {"replicas": 1}, "Worker": {"replicas": 4}}}),
            parts(&[("launcher", 1), ("worker", 4)]),
        ),
        ("PyTorchJob", "kubeflow.org", json!({"pytorchReplicaSpecs": {"Master": {}, "Worker": {"replicas": 3}}}), Quorum::All(4)),
        (
            "TFJob",
            "kubeflow.org",
            json!({"tfReplicaSpecs": {"PS": {"replicas": 2}, "Worker": {"replicas": 3}},
                   "runPolicy": {"schedulingPolicy": {"minAvailable": 3}}}),
            Quorum::All(3),
        ),
    ] {
        let read = ForeignKind::find(kind, group).unwrap().read("ns", "x", &Labels::new(), json!({"spec": spec}));
        let Ok(Foreign::Gang(gang)) = read else { panic!("{kind} {spec}: {read:?}") };
        assert_eq!((&gang.quorum, &*gang.key.namespace, &*gang.key.name), (&expected, "ns", "x"), "{kind} {spec}");
    }
    let unreadable = json!({"spec": {"minMember": "three"}});
    let fault = ForeignKind::find("PodGroup", "scheduling.x-k8s.io").unwrap().read("ns", "x", &Labels::new(), unreadable).unwrap_err();
    assert_eq!(fault.field, "spec.minMember");
}
