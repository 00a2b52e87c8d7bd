//! Documents in, objects or faults with their lines out.
//! Leaves out what single fields mean (`convert`).

use super::*;

fn faults(text: &str) -> Vec<String> {
    parse_documents(text, "f.yaml").unwrap_err().iter().map(ToString::to_string).collect()
}

fn pod(text: &str) -> Arc<Pod> {
    match parse_documents(text, "f.yaml").unwrap().remove(0) {
        Object::Pod(pod, _) => pod,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_is_read_and_others_are_ignored() {
    let text = "
{kind: Node, apiVersion: v1, metadata: {name: n}, status: {capacity: {cpu: 4, pods: 10}}}
---
{kind: Pod, apiVersion: v1, metadata: {name: p}}
---
{kind: PersistentVolumeClaim, apiVersion: v1, metadata: {name: c}}
---
{kind: PersistentVolume, apiVersion: v1, metadata: {name: v}}
---
{kind: StorageClass, apiVersion: storage.k8s.io/v1, metadata: {name: s}, provisioner: p}
---
{kind: CSINode, apiVersion: storage.k8s.io/v1, metadata: {name: n}}
---
{kind: CSIDriver, apiVersion: storage.k8s.io/v1, metadata: {name: d}, spec: {storageCapacity: true}}
---
{kind: CSIStorageCapacity, apiVersion: storage.k8s.io/v1, metadata: {name: r}, storageClassName: s, capacity: 1Gi}
---
{kind: VolumeAttachment, apiVersion: storage.k8s.io/v1, metadata: {name: at}, spec: {attacher: d, nodeName: n, source: {}}}
---
{kind: PodDisruptionBudget, apiVersion: policy/v1, metadata: {name: b}, spec: {maxUnavailable: 1}}
---
{kind: Namespace, apiVersion: v1, metadata: {name: ns}}
---
{kind: PriorityClass, apiVersion: scheduling.k8s.io/v1, metadata: {name: high}, value: 7}
---
{kind: AIStorageConfig, apiVersion: ai-storage.keti/v1, metadata: {name: default}}
---
{kind: ClusterQueue, apiVersion: kueue.x-k8s.io/v1beta1, metadata: {name: q}, status: {pendingWorkloads: 1}}
---
{kind: Pod, apiVersion: other.io/v1, metadata: {name: x}}
---
{kind: Deployment, apiVersion: apps/v1, metadata: {name: d}}
---
{kind: Service, apiVersion: v1, metadata: {name: o}, spec: {selector: {app: web}}}
---
{kind: ReplicationController, apiVersion: v1, metadata: {name: o}, spec: {selector: {app: web}}}
---
{kind: ReplicaSet, apiVersion: apps/v1, metadata: {name: o}, spec: {selector: {matchLabels: {app: web}}}}
---
{kind: StatefulSet, apiVersion: apps/v1, metadata: {name: o}, spec: {selector: {matchLabels: {app: web}}}}
";
    let objects = parse_documents(text, "f.yaml").unwrap();
    let kinds: Vec<&str> = objects
        .iter()
        .map(|o| match o {
            Object::Node(..) => "node",
            Object::Pod(..) => "pod",
            Object::Claim(_) => "claim",
            Object::Volume(_) => "volume",
            Object::Class(_) => "class",
            Object::CsiNode(_) => "csinode",
            Object::CsiDriver(_) => "driver",
            Object::Capacity(_) => "room",
            Object::Attachment(_) => "attachment",
            Object::Namespace(..) => "namespace",
            Object::Owner(((_, namespace, _), selector)) if &**namespace == "default" && selector.is_some() => "owner",
            Object::Owner(_) => "owner of none",
            Object::Foreign(_) => "foreign",
            Object::Devices(_) => "devices",
            Object::ClaimTemplate(_) => "claim template",
            Object::Budget(_) => "budget",
            Object::PriorityClass(_) => "priority",
            Object::Config(_) => "config",
            Object::Ignored(..) => "ignored",
        })
        .collect();
    let storage = ["claim", "volume", "class", "csinode", "driver", "room", "attachment"];
    let others = ["budget", "namespace", "priority", "config", "foreign", "ignored", "ignored"];
    assert_eq!(kinds, [&["node", "pod"][..], &storage[..], &others[..], &["owner"; 4]].concat());
    assert_eq!(objects.into_iter().filter_map(Object::into_event).count(), 16);
}

#[test]
fn claim_that_names_its_volume_is_bound() {
    for (rest, bound) in [
        ("spec: {volumeName: v}", true),
        ("spec: {volumeName: ''}", false),
        ("spec: {}", false),
        ("spec: {volumeName: v}, status: {phase: Bound}", true),
        ("spec: {volumeName: v}, status: {phase: Pending}", false),
    ] {
        let text = format!("{{kind: PersistentVolumeClaim, apiVersion: v1, metadata: {{name: c}}, {rest}}}");
        let objects = parse_documents(&text, "f.yaml").unwrap();
        let [Object::Claim(claim)] = &objects[..] else { panic!("{objects:?}") };
        assert_eq!(claim.bind_completed, bound, "{rest}");
    }
}

#[test]
fn lists_are_taken_apart_with_and_without_the_items_kind() {
    let text = r#"{"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}},
        {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "b"}}]},
        {"kind": "StorageClassList", "apiVersion": "storage.k8s.io/v1", "items": [{"metadata": {"name": "s"}, "provisioner": "p"}]}]}
---
{kind: NodeList, apiVersion: v1, items: null}"#;
    let objects = parse_documents(text, "f.json").unwrap();
    assert!(matches!(&objects[..], [Object::Pod(..), Object::Pod(..), Object::Class(_)]), "{objects:?}");
}

#[test]
fn objects_get_an_api_servers_defaults() {
    let read = pod("{kind: Pod, metadata: {name: p}, spec: {hostNetwork: true, containers: [
        {name: c, ports: [{containerPort: 80}], resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 500m}}}]}}");
    assert_eq!((read.full_name().as_str(), &*read.uid), ("default/p", "default/p"));
    assert_eq!((read.spec.requests.cpu.0, read.spec.requests.memory.0), (500, 1 << 30));
    assert_eq!(read.spec.host_ports.iter().map(|p| p.port).collect::<Vec<_>>(), [80]);
    assert_eq!(&*read.spec.scheduler_name, "default-scheduler");
}

#[test]
fn pods_that_name_something_as_a_whole_ask_for_the_rest_by_containers_and_limits() {
    for (whole, container, expected) in [
        ("{}", "{limits: {cpu: 2}}", (2000, 0, 0)),
        ("{requests: {memory: 4}}", "{requests: {cpu: 500m, memory: 1}}", (500, 4, 0)),
        ("{limits: {cpu: 3}}", "{limits: {memory: 7}}", (3000, 7, 0)),
        ("{limits: {cpu: 3}}", "{requests: {cpu: 1}}", (1000, 0, 0)),
        ("{limits: {cpu: 3}}", "{limits: {cpu: 1, hugepages-2Mi: 2Mi}}", (1000, 0, 2 << 20)),
        ("{limits: {cpu: 3, hugepages-2Mi: 6Mi}}", "{limits: {cpu: 1, hugepages-2Mi: 2Mi}}", (1000, 0, 6 << 20)),
    ] {
        let text = format!(
            "{{kind: Pod, metadata: {{name: p}}, spec: {{resources: {whole}, containers: [{{name: c, resources: {container}}}]}}}}"
        );
        let requests = &pod(&text).spec.requests;
        assert_eq!((requests.cpu.0, requests.memory.0, requests.scalar("hugepages-2Mi")), expected, "{text}");
    }
}

#[test]
fn label_keys_of_affinity_terms_become_part_of_the_selector_once() {
    let values = |terms: &str| {
        let read = pod(&format!(
            "{{kind: Pod, metadata: {{name: p, labels: {{app: web, release: '2'}}}}, spec: {{affinity: {{podAffinity: {{\
            requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: zone, {terms}}}]}}}}}}}}"
        ));
        let selector = read.spec.pod_affinity.required[0].selector.clone();
        selector.map(|s| s.0.iter().map(|r| format!("{} {:?} {}", r.key, r.operator, r.values.join(","))).collect::<Vec<_>>().join("; "))
    };
    for (terms, expected) in [
        ("labelSelector: {matchLabels: {app: web}}, matchLabelKeys: [release]", Some("app In web; release In 2")),
        ("labelSelector: {}, mismatchLabelKeys: [release, app]", Some("release NotIn 2; app NotIn web")),
        ("labelSelector: {}, matchLabelKeys: [gone]", Some("")),
        ("matchLabelKeys: [release]", None),
        (
            "labelSelector: {matchExpressions: [{key: release, operator: In, values: ['2']}]}, matchLabelKeys: [release]",
            Some("release In 2"),
        ),
    ] {
        assert_eq!(values(terms).as_deref(), expected, "{terms}");
    }
}

#[test]
fn faults_name_file_line_object_field_value_and_what_is_expected() {
    let text = "kind: Pod\nmetadata:\n  name: p\n  namespace: ns\nspec:\n  containers:\n  - name: c\n    resources:\n      requests:\n        cpu: lots\n        example.com/x: 1X\n---\nkind: Pod\nmetadata:\n  name: q\nspec:\n  priority: high\n";
    let faults = faults(text);
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, parts) in faults.iter().zip([
        ["f.yaml:10: Pod ns/p: spec.containers[0].resources.requests.cpu: \"lots\": expected", "500m"],
        ["f.yaml:11: Pod ns/p: spec.containers[0].resources.requests.example.com/x: \"1X\": expected", "suffix"],
        ["f.yaml:17: Pod q: spec.priority: \"high\": expected", "i32"],
    ]) {
        assert!(parts.iter().all(|p| fault.contains(p)), "{fault} lacks {parts:?}");
    }
}

#[test]
fn what_is_no_object_is_named() {
    for (text, expected) in [
        ("metadata: {name: x}", "f.yaml:1: kind: expected the kind"),
        ("a\n---\nkind: Pod\nmetadata: {}\n", "f.yaml:1: kind: expected"),
        ("kind: Pod\nmetadata: {}\n", "Pod: metadata.name: expected a name"),
        ("kind: List\nitems: 5\n", "f.yaml:2: List: items: expected a list"),
        ("kind: Pod\nkind: Pod\nmetadata: {name: x}\n", "f.yaml:2: expected YAML or JSON (duplicate"),
        ("a: [1\nb: 2\n", "expected YAML or JSON"),
    ] {
        assert!(faults(text)[0].contains(expected), "{text:?}: {:?}", faults(text));
    }
}

#[test]
fn node_hints_are_no_faults() {
    let text = "{kind: Node, metadata: {name: n, annotations: {ai-storage.keti/available-iops: lots}}, status: {allocatable: {cpu: 1}}}";
    let objects = parse_documents(text, "f.yaml").unwrap();
    assert!(matches!(&objects[..], [Object::Node(_, hints)] if hints.len() == 1), "{objects:?}");
}

#[test]
fn object_of_another_system_that_cannot_be_read_is_named_with_its_line() {
    let text =
        "kind: Workload\napiVersion: kueue.x-k8s.io/v1beta1\nmetadata: {name: w, namespace: ns}\nspec:\n  podSets:\n  - count: two\n";
    let faults = parse_documents(text, "f.yaml").unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["f.yaml:6: Workload ns/w: spec.podSets[0].count: \"two\": expected i32"]);
}

/// What the pods and claims of a text are when all is settled.
fn settled(text: &str) -> Vec<String> {
    let settled = match settle(parse_documents(text, "f.yaml").unwrap()) {
        Ok(settled) => settled,
        Err(faults) => return faults.iter().map(ToString::to_string).collect(),
    };
    let shown = settled.into_iter().filter_map(|object| match object {
        Object::Pod(pod, _) => Some(format!("{} {} {:?}", pod.name, pod.spec.priority, pod.spec.preemption)),
        Object::Claim(c) => Some(format!("{} {:?} {} {:?}", c.name, c.storage_class.as_deref(), c.requested, c.owner_uid.as_deref())),
        _ => None,
    });
    shown.collect()
}

#[test]
fn pods_get_the_priority_of_their_class() {
    let class = |name: &str, rest: &str| {
        format!("{{kind: PriorityClass, apiVersion: scheduling.k8s.io/v1, metadata: {{name: {name}}}, {rest}}}\n---\n")
    };
    let classes = class("high", "value: 100") + &class("patient", "value: 50, preemptionPolicy: Never");
    let defaults = class("usual", "value: 5, globalDefault: true") + &class("unusual", "value: 9, globalDefault: true");
    for (classes, spec, expected) in [
        (classes.clone(), "{priorityClassName: high}", "p 100 LowerPriority"),
        (classes.clone(), "{priorityClassName: patient}", "p 50 Never"),
        (classes.clone(), "{priorityClassName: patient, preemptionPolicy: PreemptLowerPriority}", "p 50 LowerPriority"),
        (classes.clone(), "{priorityClassName: system-node-critical}", "p 2000001000 LowerPriority"),
        (classes.clone(), "{priorityClassName: high, priority: 3}", "p 3 LowerPriority"),
        (classes.clone(), "{}", "p 0 LowerPriority"),
        (classes.clone() + &defaults, "{}", "p 5 LowerPriority"),
        (classes.clone() + &defaults, "{priorityClassName: high}", "p 100 LowerPriority"),
        (
            String::new(),
            "{priorityClassName: high}",
            "f.yaml:1: Pod p: spec.priorityClassName: \"high\": expected the name of a PriorityClass that is there",
        ),
    ] {
        let text = format!("{classes}{{kind: Pod, metadata: {{name: p}}, spec: {spec}}}");
        assert_eq!(settled(&text), [expected], "{spec}");
    }
}

#[test]
fn claims_of_ephemeral_volumes_are_there_with_the_default_class() {
    let pod = "{kind: Pod, metadata: {name: p}, spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 5}}}}}}]}}";
    let class =
        "{kind: StorageClass, metadata: {name: c, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: x}";
    let of_pod = "p-v Some(\"c\") 5 Some(\"default/p\")";
    assert_eq!(settled(&format!("{pod}\n---\n{class}")), [of_pod, "p 0 LowerPriority"]);
    let there = "{kind: PersistentVolumeClaim, metadata: {name: p-v}, spec: {storageClassName: ''}}";
    assert_eq!(settled(&format!("{pod}\n---\n{class}\n---\n{there}")), ["p 0 LowerPriority", "p-v Some(\"\") 0 None"]);
    let wrong = pod.replace("storage: 5", "storage: big");
    let field = "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests.storage";
    assert!(faults(&wrong)[0].starts_with(&format!("f.yaml:1: Pod p: {field}: \"big\": expected a quantity")), "{:?}", faults(&wrong));
}
