//! Scenarios about volumes: claims, volumes, classes, drivers, room of drivers, zones, limits, old kinds of disks.
//! Leaves out what happens to volumes once a node is chosen.

use super::nodes;
use crate::luck::Luck;
use crate::scenario::{NAMESPACE, POD, Scenario, container};
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";
const EBS_ZONE: &str = "topology.ebs.csi.aws.com/zone";
const MODES: &[&str] = &["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"];
const SIZES: &[&str] = &["1Gi", "5Gi", "10Gi", "50Gi"];
const DRIVER: &str = "csi.example.com";

/// Claims that are bound, to be bound on the spot, or waiting for a pod; volumes that fit and others; room of drivers.
pub(super) fn binding(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |_| json!({}));
    classes(luck, &mut scenario);
    let capacity = luck.chance(60);
    scenario.objects.push(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": {"storageCapacity": capacity, "attachRequired": true},
    }));
    rooms(luck, &mut scenario);
    let mut named = vec!["c0", "c1", "elsewhere"];
    for i in 0..luck.below(9) {
        let pv = free_volume(luck, i, &mut named, &names);
        scenario.objects.push(pv);
    }
    let claims = luck.pick(&[1, 1, 2, 3]);
    for i in 0..claims {
        if luck.chance(97) {
            claim(luck, &mut scenario, i, claims > 1, &names);
        }
    }
    let mut volumes: Vec<Value> =
        (0..claims).map(|i| json!({"name": format!("v{i}"), "persistentVolumeClaim": {"claimName": format!("c{i}")}})).collect();
    if !plain && luck.chance(15) {
        volumes.push(ephemeral(luck, &mut scenario, &names));
    }
    if !plain && luck.chance(25) {
        shape(luck, &mut scenario);
    }
    scenario
        .pod(POD, json!({"spec": {"volumes": volumes, "containers": [container("c", json!({"resources": {"requests": {"cpu": "1"}}}))]}}));
    scenario
}

/// Room of classes: by node or by zone. Of a class no two rooms are within reach of one node: kube-scheduler takes any of them.
fn rooms(luck: &mut Luck, scenario: &mut Scenario) {
    for class in ["late", "zonal"] {
        let (key, values): (_, &[&str]) = luck.pick(&[(HOST, &["n0", "n1", "n2", "n3"]), (ZONE, &["a", "b"])]);
        let mut topologies: Vec<Value> = luck.some(55, values).into_iter().map(|value| json!({"matchLabels": {key: value}})).collect();
        if luck.chance(15) {
            topologies.push(Value::Null);
        }
        for topology in topologies {
            let mut object = json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": {"name": format!("room{}", scenario.objects.len()), "namespace": NAMESPACE},
                "storageClassName": class, "capacity": luck.pick(&["0", "3Gi", "20Gi", "100Gi"]),
            });
            if !topology.is_null() {
                object["nodeTopology"] = topology;
            }
            if luck.chance(30) {
                object["maximumVolumeSize"] = luck.pick(&["1Gi", "8Gi", "60Gi"]).into();
            }
            scenario.objects.push(object);
        }
    }
}

/// A volume whose claim is made for the pod; sometimes it is not there yet, or another's.
fn ephemeral(luck: &mut Luck, scenario: &mut Scenario, names: &[String]) -> Value {
    claim(luck, scenario, 9, true, names);
    let claim = scenario.objects.iter_mut().find(|o| o["kind"] == "PersistentVolumeClaim" && o["metadata"]["name"] == "c9");
    if let Some(claim) = claim {
        // The oracle's UIDs are namespaces and names.
        let uid = if luck.chance(85) { format!("{NAMESPACE}/{POD}") } else { "another".into() };
        claim["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": POD, "uid": uid, "controller": true}]);
        claim["metadata"]["name"] = if luck.chance(90) { format!("{POD}-e").into() } else { "c9".into() };
    }
    for volume in scenario.objects.iter_mut().filter(|o| o["spec"]["claimRef"]["name"] == "c9") {
        volume["spec"]["claimRef"]["name"] = format!("{POD}-e").into();
    }
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "late", "resources": {"requests": {"storage": "1Gi"}}});
    json!({"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}})
}

/// Another curve from shares of capacity to scores.
fn shape(luck: &mut Luck, scenario: &mut Scenario) {
    let mut shape = vec![json!({"utilization": luck.below(30), "score": luck.below(11)})];
    for from in [30, 70] {
        if luck.chance(60) {
            shape.push(json!({"utilization": from + luck.below(30), "score": luck.below(11)}));
        }
    }
    let args = json!({"kind": "VolumeBindingArgs", "apiVersion": "kubescheduler.config.k8s.io/v1", "shape": shape});
    scenario.configure(&[("VolumeBinding", args)]);
}

fn classes(luck: &mut Luck, scenario: &mut Scenario) {
    let zones = json!([{"matchLabelExpressions": [{"key": ZONE, "values": luck.pick(&[&["a"][..], &["b", "c"]])}]}]);
    for (name, mode, provisioner, topologies) in [
        ("now", "Immediate", DRIVER, None),
        ("late", "WaitForFirstConsumer", DRIVER, None),
        ("zonal", "WaitForFirstConsumer", DRIVER, Some(zones)),
        ("static", "WaitForFirstConsumer", "kubernetes.io/no-provisioner", None),
    ] {
        let mut class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner,
            "volumeBindingMode": mode, "reclaimPolicy": "Delete",
        });
        if let Some(topologies) = topologies {
            class["allowedTopologies"] = topologies;
        }
        scenario.objects.push(class);
    }
}

/// Where a volume can be reached from.
fn reach(luck: &mut Luck, names: &[String]) -> Option<Value> {
    let (key, values) = match luck.below(6) {
        0 => return None,
        1 | 2 => (HOST, json!([names[luck.below(names.len())]])),
        3 => ("pool", json!(["x"])),
        _ => (ZONE, json!(luck.pick(&[&["a"][..], &["b"], &["a", "c"]]))),
    };
    let terms = json!([{"matchExpressions": [{"key": key, "operator": "In", "values": values}]}]);
    Some(json!({"required": {"nodeSelectorTerms": terms}}))
}

fn volume(luck: &mut Luck, name: &str, class: &str, names: &[String]) -> Value {
    let mut spec = json!({
        "capacity": {"storage": luck.pick(SIZES)}, "accessModes": some_modes(luck), "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "volumeMode": if luck.chance(10) { "Block" } else { "Filesystem" },
        "csi": {"driver": DRIVER, "volumeHandle": name},
    });
    if let Some(reach) = reach(luck, names) {
        spec["nodeAffinity"] = reach;
    }
    if luck.chance(10) {
        spec["volumeAttributesClassName"] = "gold".into();
    }
    let labels = if luck.chance(50) { json!({"disk": luck.pick(&["fast", "slow"])}) } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels}, "spec": spec})
}

fn some_modes(luck: &mut Luck) -> Vec<&'static str> {
    let mut modes = luck.some(50, MODES);
    if modes.is_empty() {
        modes.push("ReadWriteOnce");
    }
    modes
}

/// A volume that is there for any claim, or for one of those `named`: of several that name one claim kube-scheduler takes any.
fn free_volume(luck: &mut Luck, i: usize, named: &mut Vec<&str>, names: &[String]) -> Value {
    let class = luck.pick(&["static", "static", "late", "now"]);
    let mut volume = volume(luck, &format!("free{i}"), class, names);
    volume["status"] = json!({"phase": "Available"});
    if luck.chance(15) && !named.is_empty() {
        let claim = named.swap_remove(luck.below(named.len()));
        volume["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim});
    }
    volume
}

/// A claim that is bound, with its volume, or waits. Beside others it is small where volumes are made: ours adds them up, kube-scheduler does not.
fn claim(luck: &mut Luck, scenario: &mut Scenario, i: usize, beside: bool, names: &[String]) {
    let name = format!("c{i}");
    let class = luck.pick(&["now", "late", "late", "late", "late", "zonal", "zonal", "static", "static", "static", "static", "gone"]);
    let size = if beside && ["late", "zonal"].contains(&class) { "1Gi" } else { luck.pick(SIZES) };
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}")},
        "spec": {"accessModes": [luck.pick(MODES)], "storageClassName": class, "resources": {"requests": {"storage": size}},
            "volumeMode": if luck.chance(8) { "Block" } else { "Filesystem" }},
        "status": {"phase": "Pending"},
    });
    if luck.chance(10) {
        claim["spec"]["volumeAttributesClassName"] = "gold".into();
    }
    match luck.below(10) {
        0..4 => {
            let bound = format!("pv-{name}");
            claim["spec"]["volumeName"] = bound.clone().into();
            if luck.chance(90) {
                claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
                claim["status"]["phase"] = "Bound".into();
            }
            if luck.chance(90) {
                let mut volume = volume(luck, &bound, class, names);
                volume["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": name, "uid": format!("uid-{name}")});
                volume["status"] = json!({"phase": "Bound"});
                scenario.objects.push(volume);
            }
        }
        4 if luck.chance(50) => {
            claim["metadata"]["annotations"] = json!({"volume.kubernetes.io/selected-node": luck.pick(&["n0", "n1", "gone"])});
        }
        5 if luck.chance(50) => {
            claim["spec"]["selector"] = json!({"matchLabels": {"disk": "fast"}});
        }
        6 if luck.chance(30) => claim["status"]["phase"] = "Lost".into(),
        7 if luck.chance(30) => {
            claim["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
            claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        }
        _ => {}
    }
    scenario.objects.push(claim);
}

/// Bound volumes: in zones, of drivers with limits, for one pod alone; disks named in pods.
pub(super) fn others(luck: &mut Luck, _plain: bool) -> Scenario {
    let mut scenario = Scenario::new();
    let names = nodes(luck, &mut scenario, |luck| {
        // By which a driver knows the zones of volumes that it took over from an in-tree plugin.
        if luck.chance(60) { json!({"metadata": {"labels": {EBS_ZONE: luck.pick(&["a", "b"])}}}) } else { json!({}) }
    });
    classes(luck, &mut scenario);
    let needed = luck.chance(30);
    scenario.objects.push(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": {"attachRequired": true, "preventPodSchedulingIfMissing": needed},
    }));
    for name in &names {
        if luck.chance(85) {
            let mut drivers = Vec::new();
            for driver in [DRIVER, "other.example.com", "ebs.csi.aws.com"] {
                if luck.chance(75) {
                    let mut object = json!({"name": driver, "nodeID": name, "topologyKeys": []});
                    if luck.chance(80) {
                        object["allocatable"] = json!({"count": luck.below(4)});
                    }
                    drivers.push(object);
                }
            }
            let migrated = if luck.chance(80) { "kubernetes.io/aws-ebs" } else { "" };
            scenario.objects.push(json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
                "metadata": {"name": name, "annotations": {"storage.alpha.kubernetes.io/migrated-plugins": migrated}}, "spec": {"drivers": drivers},
            }));
        }
    }
    for i in 0..5 {
        bound(luck, &mut scenario, i);
    }
    // A claim for one pod only has at most one on a cluster, whoever schedules.
    let is_for_one = |o: &&Value| o["kind"] == "PersistentVolumeClaim" && o["spec"]["accessModes"][0] == "ReadWriteOncePod";
    let mut for_one: Vec<Value> = scenario.objects.iter().filter(is_for_one).map(|o| o["metadata"]["name"].clone()).collect();
    let mut taken: Vec<Value> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        for j in 0..luck.below(4) {
            let mut volumes = volumes_of(luck);
            volumes.retain(|volume| !taken.contains(&volume["name"]));
            taken.extend(for_one.extract_if(.., |claim| volumes.iter().any(|volume| volume["name"] == *claim)));
            let priority = luck.pick(&[0, 0, 5]);
            scenario.running(&format!("{i}-{j}"), name, json!({"spec": {"volumes": volumes, "priority": priority}}));
        }
        if luck.chance(30) {
            scenario.objects.push(json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": format!("at-{name}")},
                "spec": {"attacher": DRIVER, "nodeName": name, "source": {"persistentVolumeName": format!("pv{}", luck.below(6))}}, "status": {"attached": true},
            }));
        }
    }
    let mut volumes = volumes_of(luck);
    if volumes.is_empty() {
        volumes.push(json!({"name": "c0", "persistentVolumeClaim": {"claimName": "c0"}}));
    }
    let priority = luck.pick(&[0, 0, 10]);
    scenario.pod(POD, json!({"spec": {"volumes": volumes, "priority": priority}}));
    scenario
}

/// Bound claims, disks and inline volumes as in [`others`], and beside them in the same pod claims that wait, local volumes for them, room
/// for new ones, and an ephemeral volume.
pub(super) fn together(luck: &mut Luck, plain: bool) -> Scenario {
    let mut scenario = others(luck, plain);
    let Some(mut pod) = scenario.objects.pop() else { return scenario };
    let is_node = |o: &&Value| o["kind"] == "Node";
    let names: Vec<String> =
        scenario.objects.iter().filter(is_node).filter_map(|o| o["metadata"]["name"].as_str().map(ToOwned::to_owned)).collect();
    if luck.chance(50) {
        for driver in scenario.objects.iter_mut().filter(|o| o["kind"] == "CSIDriver") {
            driver["spec"]["storageCapacity"] = true.into();
        }
        rooms(luck, &mut scenario);
    }
    let mut named = vec!["c5", "c6"];
    for i in 0..luck.below(9) {
        let mut pv = free_volume(luck, i, &mut named, &names);
        if !pv["spec"]["nodeAffinity"].is_null() && luck.chance(50) {
            // Attributes are a CSI driver's.
            pv["spec"]["csi"].take();
            pv["spec"]["volumeAttributesClassName"].take();
            pv["spec"]["local"] = json!({"path": "/data"});
        }
        scenario.objects.push(pv);
    }
    let mut volumes = vec![];
    for i in 5..6 + luck.below(2) {
        claim(luck, &mut scenario, i, true, &names);
        volumes.push(json!({"name": format!("v{i}"), "persistentVolumeClaim": {"claimName": format!("c{i}")}}));
    }
    if !plain && luck.chance(60) {
        volumes.push(ephemeral(luck, &mut scenario, &names));
    }
    if let Some(all) = pod["spec"]["volumes"].as_array_mut() {
        all.append(&mut volumes);
    }
    scenario.objects.push(pod);
    scenario
}

fn bound(luck: &mut Luck, scenario: &mut Scenario, i: usize) {
    let (claim, name) = (format!("c{i}"), format!("pv{i}"));
    let source = match luck.below(6) {
        0 | 1 => ("csi", json!({"driver": DRIVER, "volumeHandle": format!("h{}", luck.below(4))})),
        2 => ("csi", json!({"driver": "other.example.com", "volumeHandle": format!("h{i}")})),
        3 => ("awsElasticBlockStore", json!({"volumeID": format!("aws://a/vol-{i}")})),
        4 => ("csi", json!({"driver": "ebs.csi.aws.com", "volumeHandle": format!("vol-{}", luck.below(4))})),
        _ => ("nfs", json!({"server": "s", "path": "/"})),
    };
    let mode = luck.pick(&["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]);
    let mut labels = json!({});
    if luck.chance(50) {
        labels[luck.pick(&[ZONE, "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/region"])] =
            luck.pick(&["a", "b", "a__b"]).into();
    }
    let size = json!({"storage": "1Gi"});
    let reach = if source.0 == "awsElasticBlockStore" && luck.chance(40) {
        let key = luck.pick(&[ZONE, "failure-domain.beta.kubernetes.io/zone"]);
        json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]}]}})
    } else {
        Value::Null
    };
    scenario.objects.push(json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels},
        "spec": {"capacity": size, "accessModes": [mode], "storageClassName": "now", source.0: source.1, "persistentVolumeReclaimPolicy": "Retain", "nodeAffinity": reach,
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim, "uid": format!("uid-{claim}")}},
        "status": {"phase": "Bound"},
    }));
    scenario.objects.push(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": NAMESPACE, "uid": format!("uid-{claim}"), "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": [mode], "storageClassName": "now", "resources": {"requests": size}, "volumeName": name}, "status": {"phase": "Bound"},
    }));
}

/// Volumes of a pod, each once: claims, disks named in the pod, inline ones.
fn volumes_of(luck: &mut Luck) -> Vec<Value> {
    let mut volumes = Vec::new();
    for claim in luck.some(30, &["c0", "c1", "c2", "c3", "c4"]) {
        let read_only = luck.chance(20);
        volumes.push(json!({"name": claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}));
    }
    let read_only = luck.chance(50);
    let disk = match luck.below(14) {
        0 => json!({"gcePersistentDisk": {"pdName": luck.pick(&["d1", "d2"]), "readOnly": read_only}}),
        1 => json!({"awsElasticBlockStore": {"volumeID": luck.pick(&["d1", "d2"]), "readOnly": read_only}}),
        2 => {
            json!({"iscsi": {"targetPortal": "10.0.0.1", "iqn": luck.pick(&["iqn.2001-04.com.example:storage.disk1", "iqn.2001-04.com.example:storage.disk2"]), "lun": 0, "readOnly": read_only}})
        }
        3 => {
            json!({"rbd": {"monitors": [luck.pick(&["m1", "m2"]), "m3"], "image": "i", "pool": luck.pick(&["rbd", "p"]), "readOnly": read_only}})
        }
        4 => json!({"csi": {"driver": DRIVER}}),
        5 => json!({"emptyDir": {}}),
        _ => return volumes,
    };
    volumes.push(aisched_e2e::merged(json!({"name": "disk"}), disk));
    volumes
}
