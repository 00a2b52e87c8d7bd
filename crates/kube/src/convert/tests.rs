//! What becomes of objects: one door per kind, tables of JSON in and values out.
//! Leaves out YAML and files (`documents`).

use super::*;
use crate::objects::{NodeObject, PodObject};
use aisched_model::node::Node;
use aisched_model::pod::{HostPort, LegacyDisk, Pod, PodVolume, TaintEffect, TolerationOperator};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use serde_json::{Value, json};

fn pod_of(object: Value) -> Converted<Pod> {
    let object: PodObject = serde_json::from_value(object).unwrap();
    pod(&object, &mut Interner::default())
}

fn pod_with(spec: Value) -> Pod {
    let converted = pod_of(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec}));
    assert_eq!(converted.faults, []);
    converted.value
}

fn node_of(object: Value) -> Converted<Node> {
    let object: NodeObject = serde_json::from_value(object).unwrap();
    node(&object, &mut Interner::default())
}

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement { key: key.into(), operator, values: values.iter().map(|v| (*v).into()).collect() }
}

#[test]
fn identity_and_phase_are_kept() {
    let bound = pod_of(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"fieldsV1": {}}]},
        "spec": {"nodeName": "n1", "schedulerName": "s", "priority": 7, "preemptionPolicy": "Never", "containers": null},
        "status": {"phase": "Succeeded", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    }));
    let pod = bound.value;
    assert_eq!((pod.full_name().as_str(), &*pod.uid, pod.node.as_deref()), ("ns/p", "u", Some("n1")));
    assert_eq!((pod.ended, pod.deleting, pod.spec.priority, &*pod.spec.scheduler_name), (true, true, 7, "s"));
    assert_eq!(pod.spec.preemption, aisched_model::pod::PreemptionPolicy::Never);
}

#[test]
fn waiting_pod_remembers_that_it_was_refused_and_a_bound_one_does_not() {
    let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]);
    for (node, refused) in [("", Some("0/1 nodes")), ("n1", None)] {
        let pod =
            pod_of(json!({"metadata": {}, "spec": {"nodeName": node}, "status": {"conditions": conditions, "nominatedNodeName": ""}}))
                .value;
        assert_eq!(pod.refused.as_ref().map(|r| &*r.message), refused, "{node}");
        assert_eq!((pod.ended, pod.nominated_node), (false, None));
    }
}

#[test]
fn pod_remembers_when_it_started_and_whether_it_makes_room_for_another() {
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason});
    for (condition, preempted) in [
        (condition("DisruptionTarget", "True", "PreemptionByScheduler"), true),
        (condition("DisruptionTarget", "False", "PreemptionByScheduler"), false),
        (condition("DisruptionTarget", "True", "EvictionByEvictionAPI"), false),
        (condition("Ready", "True", "PreemptionByScheduler"), false),
    ] {
        let status = json!({"startTime": "1970-01-02T00:00:01Z", "nominatedNodeName": "n2", "conditions": [condition]});
        let pod = pod_of(json!({"metadata": {}, "spec": {}, "status": status})).value;
        assert_eq!((pod.preempted, pod.start_s, pod.nominated_node.as_deref()), (preempted, Some(86_401), Some("n2")), "{status}");
    }
    assert_eq!(pod_of(json!({"metadata": {}, "spec": {}})).value.start_s, None);
}

#[test]
fn only_a_pod_that_the_kubelet_would_not_run_is_rejected() {
    let status = |phase: &str, message: &str| json!({"phase": phase, "reason": "OutOfcpu", "message": message});
    for (status, rejected) in [
        (status("Failed", "Pod was rejected: Node didn't have enough resource: cpu"), Some("OutOfcpu")),
        (status("Failed", "The node was low on resource: memory."), None),
        (status("Pending", "Pod was rejected: no"), None),
        (json!({"phase": "Failed"}), None),
    ] {
        let pod = pod_of(json!({"metadata": {}, "spec": {}, "status": status})).value;
        assert_eq!(pod.rejected.as_deref(), rejected, "{status}");
    }
}

#[test]
fn annotations_are_whole_until_the_pod_has_a_node() {
    let annotations = json!({"ai-storage.keti/dataset": "d", "other/x": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"});
    for (node, expected) in [(Value::Null, vec!["ai-storage.keti/dataset", "other/x"]), (json!("n1"), vec!["ai-storage.keti/dataset"])] {
        let pod = pod_of(json!({"metadata": {"annotations": annotations}, "spec": {"nodeName": node}})).value;
        assert_eq!(pod.spec.annotations.iter().map(|(k, _)| &**k).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn replicas_share_one_spec() {
    let mut interner = Interner::default();
    let mut read = |name: &str, cpu: &str| {
        let object = json!({"metadata": {"name": name, "uid": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        pod(&serde_json::from_value(object).unwrap(), &mut interner).value.spec
    };
    let (a, b, c) = (read("a", "1"), read("b", "1000m"), read("c", "2"));
    assert!(std::sync::Arc::ptr_eq(&a, &b));
    assert!(!std::sync::Arc::ptr_eq(&a, &c));
}

#[test]
fn ten_thousand_labels_are_all_kept() {
    let labels: serde_json::Map<_, _> = (0..10_000).map(|i| (format!("example.com/l-{i}"), json!(i.to_string()))).collect();
    let pod = pod_of(json!({"metadata": {"name": "p", "labels": labels}, "spec": {}})).value;
    assert_eq!(pod.spec.labels.len(), 10_000);
    assert!(pod.spec.labels.has("example.com/l-9999", "9999"));
}

#[test]
fn nonsense_in_a_pod_is_absent_and_named() {
    let converted = pod_of(json!({"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "lots", "memory": "1Gi", "nvidia.com/gpu": "1X"}}}],
        "overhead": {"cpu": "-"},
        "tolerations": [{"operator": "Perhaps"}, {"effect": "NoFun"}, {"key": "k"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}]}}},
    }}));
    let keys: Vec<&str> = converted.faults.iter().map(|f| &*f.key).collect();
    assert_eq!(
        keys,
        [
            "spec.containers[0].resources.requests.cpu",
            "spec.containers[0].resources.requests.nvidia.com/gpu",
            "spec.overhead.cpu",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator",
            "spec.tolerations[0].operator",
            "spec.tolerations[1].effect",
        ]
    );
    let spec = &converted.value.spec;
    assert_eq!((spec.requests.cpu.0, spec.requests.memory.0, spec.requests.scalars.len()), (0, 1 << 30, 0));
    assert_eq!(spec.node_affinity.required, Some(vec![]), "a term that cannot be read matches nothing");
    assert_eq!(spec.tolerations.len(), 1);
}

#[test]
fn ports_images_and_volumes_come_from_everything_that_lasts() {
    let pod = pod_with(json!({
        "initContainers": [
            {"name": "once", "image": "init", "ports": [{"hostPort": 1, "containerPort": 1}]},
            {"name": "side", "image": "side", "restartPolicy": "Always", "ports": [{"hostPort": 2, "containerPort": 1, "protocol": "UDP"}]}],
        "containers": [{"name": "c", "image": "main", "ports": [{"containerPort": 80}, {"hostPort": 3, "hostIP": "10.0.0.1"}]}],
        "volumes": [
            {"name": "a", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}},
            {"name": "b", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "fast"}}}},
            {"name": "c", "csi": {"driver": "d"}}, {"name": "d", "image": {"reference": "models"}}, {"name": "e", "emptyDir": {}},
            {"name": "f", "rbd": {"monitors": ["m"], "image": "i"}}],
    }));
    let port = |ip: &str, protocol: &str, port| HostPort { ip: ip.into(), protocol: protocol.into(), port };
    assert_eq!(pod.spec.host_ports, [port("0.0.0.0", "UDP", 2), port("10.0.0.1", "TCP", 3)]);
    assert_eq!(pod.spec.images.iter().map(|i| &**i).collect::<Vec<_>>(), ["init", "side", "main", "models"]);
    assert_eq!(pod.spec.n_containers, 4);
    let rbd = LegacyDisk::Rbd { monitors: vec!["m".into()], pool: "rbd".into(), image: "i".into(), read_only: false };
    assert_eq!(
        pod.spec.volumes,
        [
            PodVolume::Claim { claim: "data".into(), read_only: true },
            PodVolume::Ephemeral { volume: "b".into(), storage_class: Some("fast".into()) },
            PodVolume::Csi { driver: "d".into() },
            PodVolume::Disk(rbd),
        ]
    );
}

#[test]
fn affinity_terms_default_to_the_pods_namespace_only_when_nothing_is_named() {
    for (term, namespaces, selects_namespaces) in [
        (json!({}), vec!["ns"], false),
        (json!({"namespaces": ["a", "b"]}), vec!["a", "b"], false),
        (json!({"namespaceSelector": {}}), vec![], true),
        (json!({"namespaces": ["a"], "namespaceSelector": {}}), vec!["a"], true),
    ] {
        let mut term = term;
        term["topologyKey"] = json!("zone");
        term["labelSelector"] = json!({"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]});
        let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": term}]}});
        let pod = pod_with(json!({"affinity": affinity}));
        let read = &pod.spec.pod_affinity.required[0];
        assert_eq!(read.namespaces.iter().map(|n| &**n).collect::<Vec<_>>(), namespaces);
        assert_eq!(read.namespace_selector.is_some(), selects_namespaces);
        let expected = LabelSelector(vec![requirement("app", Operator::In, &["db"]), requirement("x", Operator::Exists, &[])]);
        assert_eq!(read.selector, Some(expected));
        assert_eq!(pod.spec.pod_anti_affinity.preferred, [(5, read.clone())]);
    }
}

#[test]
fn spread_constraints_have_the_apis_defaults() {
    let base = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let pod = pod_with(json!({"topologySpreadConstraints": [base]}));
    let c = &pod.spec.spread[0];
    assert_eq!((c.hard, c.honor_affinity, c.honor_taints, c.selector.clone(), c.min_domains), (true, true, false, None, None));
    let pod = pod_with(json!({"topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
        "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor", "labelSelector": {}, "matchLabelKeys": ["h"], "minDomains": 3}]}));
    let c = &pod.spec.spread[0];
    assert_eq!((c.hard, c.honor_affinity, c.honor_taints, c.min_domains), (false, false, true, Some(3)));
    assert_eq!((c.selector.clone(), c.match_label_keys.len()), (Some(LabelSelector::default()), 1));
}

#[test]
fn preferred_node_terms_without_weight_or_requirements_are_dropped() {
    let term = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["nvme"]}]});
    let pod = pod_with(json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 0, "preference": term}, {"weight": 3, "preference": {}}, {"weight": 4, "preference": term}]}}}));
    assert_eq!(pod.spec.node_affinity.preferred.iter().map(|(w, _)| *w).collect::<Vec<_>>(), [4]);
    assert_eq!(pod.spec.node_affinity.required, None);
}

#[test]
fn tolerations_are_read_with_their_defaults() {
    let pod = pod_with(json!({"tolerations": [{"operator": "Exists"}, {"key": "k", "value": "v", "effect": "NoExecute"}]}));
    let read: Vec<_> = pod.spec.tolerations.iter().map(|t| (&*t.key, t.operator, &*t.value, t.effect)).collect();
    assert_eq!(read, [("", TolerationOperator::Exists, "", None), ("k", TolerationOperator::Equal, "v", Some(TaintEffect::NoExecute))]);
}

#[test]
fn node_offers_what_it_says() {
    let converted = node_of(json!({
        "metadata": {"name": "n", "labels": {"storage-tier/nvme": "true"},
            "annotations": {"ai-storage.keti/available-iops": "lots", "node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}, {"key": "k", "effect": "Whatever"}]},
        "status": {"capacity": {"cpu": "4500m", "memory": "16Gi"},
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "1G", "nvidia.com/gpu": "2", "hugepages-2Mi": "0", "storage": "5"},
            "images": [{"names": ["a", "b"], "sizeBytes": 7}, {"names": null}]},
    }));
    let node = converted.value;
    assert_eq!((node.allocatable.cpu.0, node.allocatable.memory.0, node.allocatable_pods), (4000, 8 << 30, 110));
    assert_eq!(node.allocatable.ephemeral_storage.0, 1_000_000_000);
    assert_eq!(node.allocatable.scalars, [("hugepages-2Mi".into(), 0), ("nvidia.com/gpu".into(), 2)]);
    assert_eq!(node.images, [("a".into(), 7), ("b".into(), 7)]);
    assert_eq!((node.unschedulable, node.taints.len(), node.annotations.len()), (true, 1, 1));
    assert_eq!((node.storage.cores, node.storage.memory_gb, node.storage.iops), (4, 8, Some(100_000)));
    assert_eq!(converted.faults.iter().map(|f| &*f.key).collect::<Vec<_>>(), ["spec.taints[1].effect"]);
    assert_eq!(converted.hints.iter().map(|f| &*f.key).collect::<Vec<_>>(), ["ai-storage.keti/available-iops"]);
}

#[test]
fn node_without_allocatable_offers_nothing_and_is_named() {
    for status in [json!({}), json!({"allocatable": {}}), json!({"allocatable": null}), Value::Null] {
        let converted = node_of(json!({"metadata": {"name": "n"}, "status": status}));
        assert_eq!(converted.value.allocatable_pods, 0);
        assert_eq!(converted.faults.iter().map(|f| &*f.key).collect::<Vec<_>>(), ["status.allocatable"]);
    }
}

#[test]
fn storage_objects_are_read() {
    let mut interner = Interner::default();
    let claim = claim(
        &serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "ns", "uid": "u", "annotations": {"pv.kubernetes.io/bind-completed": "yes",
                "volume.beta.kubernetes.io/storage-class": "old", "volume.kubernetes.io/selected-node": "n1"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "not"}, {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "own", "controller": true}]},
            "spec": {"volumeName": "v", "storageClassName": "new", "accessModes": ["ReadWriteMany"], "volumeMode": "Block",
                "resources": {"requests": {"storage": "1Ki"}}},
            "status": {"phase": "Lost"}
        })).unwrap(),
        &mut interner,
    ).value;
    assert_eq!(
        (claim.storage_class.as_deref(), claim.owner_uid.as_deref(), claim.volume.as_deref()),
        (Some("old"), Some("own"), Some("v"))
    );
    assert!(claim.bind_completed && claim.lost && claim.block && claim.access_modes.shared());
    assert_eq!((claim.requested, claim.selected_node.as_deref()), (1024, Some("n1")));
    let volume = volume(
        &serde_json::from_value(json!({
            "metadata": {"name": "v"},
            "spec": {"csi": {"driver": "d", "volumeHandle": "h"}, "capacity": {"storage": "2G"}, "accessModes": ["ReadWriteOnce", "Sometimes"],
                "claimRef": {"namespace": "ns", "name": "c"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]}}},
            "status": {"phase": "Bound"}
        })).unwrap(),
        &mut interner,
    );
    assert_eq!(volume.faults.iter().map(|f| &*f.key).collect::<Vec<_>>(), ["spec.accessModes[1]"]);
    assert_eq!(volume.value.claim, Some(("ns".into(), "c".into(), "".into())));
    assert_eq!(volume.value.node_affinity.as_ref().map(|terms| terms[0].labels.len()), Some(1));
    assert_eq!((volume.value.capacity, volume.value.available, volume.value.driver.as_deref()), (2_000_000_000, false, Some("d")));
}

#[test]
fn classes_and_drivers_are_read() {
    let mut interner = Interner::default();
    let object = json!({"metadata": {"name": "s", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}]});
    let class = class(&serde_json::from_value(object).unwrap(), &mut interner).value;
    assert!(class.is_default && class.binding_mode == aisched_model::volume::BindingMode::WaitForFirstConsumer);
    assert_eq!(class.allowed_topologies[0].labels, [requirement("zone", Operator::In, &["a", "b"])]);
    let object = json!({"metadata": {"name": "n", "annotations": {"storage.alpha.kubernetes.io/migrated-plugins": "x,, y"}},
        "spec": {"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": ["zone"], "allocatable": {"count": 16}}, {"name": "e", "topologyKeys": null}]}});
    let node = csi_node(&serde_json::from_value(object).unwrap(), &mut interner).value;
    assert_eq!(node.migrated_plugins.len(), 2);
    assert_eq!(node.drivers.iter().map(|d| d.allocatable).collect::<Vec<_>>(), [Some(16), None]);
}

#[test]
fn drivers_their_room_and_attachments_are_read() {
    let mut interner = Interner::default();
    for (spec, expected) in [
        (json!({"storageCapacity": true, "preventPodSchedulingIfMissing": true}), (true, true)),
        (json!({"storageCapacity": null}), (false, false)),
    ] {
        let object = json!({"metadata": {"name": "d"}, "spec": spec});
        let driver = csi_driver(&serde_json::from_value(object).unwrap(), &mut interner).value;
        assert_eq!((driver.storage_capacity, driver.needed_on_node), expected);
    }
    let object = json!({"metadata": {"name": "r", "namespace": "ns"}, "storageClassName": "s", "capacity": "1Gi", "maximumVolumeSize": "lots",
        "nodeTopology": {"matchLabels": {"zone": "a"}}});
    let room = storage_capacity(&serde_json::from_value(object).unwrap(), &mut interner);
    assert_eq!(room.faults.iter().map(|f| &*f.key).collect::<Vec<_>>(), ["maximumVolumeSize"]);
    assert_eq!((&*room.value.storage_class, room.value.capacity, room.value.limit()), ("s", Some(1 << 30), Some(1 << 30)));
    assert_eq!(room.value.nodes.map(|n| n.0), Some(vec![requirement("zone", Operator::In, &["a"])]));
    for (source, volume) in [(json!({"persistentVolumeName": "v"}), Some("v")), (json!({"inlineVolumeSpec": {}}), None)] {
        let object = json!({"metadata": {"name": "at"}, "spec": {"attacher": "d", "nodeName": "n", "source": source}});
        let attachment = attachment(&serde_json::from_value(object).unwrap(), &mut interner).value;
        assert_eq!((&*attachment.driver, &*attachment.node, attachment.volume.as_deref()), ("d", "n", volume));
    }
}

#[test]
fn pod_needs_the_features_that_its_fields_stand_for() {
    for (spec, expected) in [
        (json!({}), &[][..]),
        (json!({"hostNetwork": true, "hostUsers": false}), &["UserNamespacesHostNetworkSupport"]),
        (json!({"hostNetwork": true, "hostUsers": true}), &[]),
        (json!({"hostUsers": false}), &[]),
        (json!({"containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}), &[]),
        (
            json!({"containers": [{"name": "c", "volumeMounts": [{"name": "v", "bindMountOptions": ["noexec"]}]}]}),
            &["VolumeBindMountOptions"],
        ),
        (
            json!({"ephemeralContainers": [{"name": "c", "volumeMounts": [{"name": "v", "bindMountOptions": ["noexec"]}]}]}),
            &["VolumeBindMountOptions"],
        ),
        (json!({"containers": [{"name": "c", "restartPolicyRules": [{"action": "Restart"}]}]}), &[]),
        (
            json!({"hostNetwork": true, "hostUsers": false, "initContainers": [{"name": "c", "restartPolicyRules": [{"action": "RestartAllContainers"}]}]}),
            &["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"],
        ),
    ] {
        let pod = pod_with(spec.clone());
        assert!(pod.spec.required_features.iter().map(|f| &**f).eq(expected.iter().copied()), "{spec}: {:?}", pod.spec.required_features);
    }
    let node = node_of(json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": 1}, "declaredFeatures": ["A", "B"]}}));
    assert_eq!(node.value.declared_features, ["A".into(), "B".into()]);
}
