//! Nodes as real clusters label them, and pods as real systems make them, against what is believed of them.

use super::*;
use crate::foreign::{BlockDevice, Foreign, NodeStorage, StorageSystem};
use crate::hyper_nodes::HyperNode;
use crate::labels::Labels;
use crate::pod::{Pod, PodSpec};
use crate::storage_facts::{NodeSize, read};
use crate::workload::{IoPattern, Stage, Tier};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;

fn node(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Node {
    let (labels, annotations): (Labels, Labels) = (labels.iter().copied().collect(), annotations.iter().copied().collect());
    let storage = read(&labels, &annotations, NodeSize::default()).0;
    Node { name: "n".into(), labels, annotations, storage, ..Node::default() }
}

fn believed(node: &Node, foreign: &ForeignObjects, on: &Signals) -> StorageFacts {
    // It has a neighbour that is the same.
    let ladder = Ladder::of([node, node].into_iter(), foreign);
    let mut facts = node.storage.clone();
    fill_in(&mut facts, node_findings(node, foreign, &ladder, on));
    facts
}

/// Tiers, rack, zone, throughput, capacity and datasets in one line.
fn shown(facts: &StorageFacts) -> String {
    let tiers: Vec<&str> = facts.tiers.iter().map(Tier::as_str).collect();
    let text = |value: &Option<Str>| value.as_deref().unwrap_or("-").to_string();
    let number = |n: Option<i64>| n.map_or("-".into(), |n| n.to_string());
    format!(
        "{} rack={} zone={} MB/s={} GB={} {}",
        if tiers.is_empty() { "-".into() } else { tiers.join("+") },
        text(&facts.rack),
        text(&facts.zone),
        number(facts.throughput_mbps),
        number(facts.capacity_gb),
        facts.cached_datasets.join(",")
    )
}

#[test]
fn labels_of_clouds_and_fabrics_fill_in_what_nobody_labelled() {
    for (labels, annotations, expected) in [
        (&[][..], &[][..], "- rack=- zone=- MB/s=- GB=- "),
        (&[("karpenter.k8s.aws/instance-local-nvme", "937")], &[], "nvme rack=- zone=- MB/s=3000 GB=- "),
        (&[("karpenter.k8s.aws/instance-local-nvme", "0")], &[], "- rack=- zone=- MB/s=- GB=- "),
        (&[("eks.amazonaws.com/instance-ebs-bandwidth", "10000")], &[], "- rack=- zone=- MB/s=1250 GB=- "),
        (&[("cloud.google.com/gke-ephemeral-storage-local-ssd", "true")], &[], "nvme rack=- zone=- MB/s=3000 GB=- "),
        (&[("cloud.google.com/gke-local-ssd", "true")], &[], "ssd rack=- zone=- MB/s=500 GB=- "),
        (&[("feature.node.kubernetes.io/storage-nonrotationaldisk", "true")], &[], "ssd rack=- zone=- MB/s=500 GB=- "),
        (
            &[("cloud.google.com/gce-topology-subblock", "sb"), ("cloud.google.com/gce-topology-block", "b")],
            &[],
            "- rack=sb zone=- MB/s=- GB=- ",
        ),
        (
            &[("topology.k8s.aws/network-node-layer-1", "far"), ("topology.k8s.aws/network-node-layer-3", "near")],
            &[],
            "- rack=near zone=- MB/s=- GB=- ",
        ),
        (&[("failure-domain.beta.kubernetes.io/zone", "z")], &[], "- rack=- zone=z MB/s=- GB=- "),
        (
            &[],
            &[("capacity.topolvm.io/nvme-thin", "2000000000000"), ("capacity.topolvm.io/00default", "5")],
            "nvme rack=- zone=- MB/s=3000 GB=2000 ",
        ),
        (&[], &[("capacity.topolvm.io/fast", "lots")], "- rack=- zone=- MB/s=- GB=- "),
        // What the node says itself always wins.
        (&[("storage-tier/hdd", "true"), ("karpenter.k8s.aws/instance-local-nvme", "937")], &[], "hdd rack=- zone=- MB/s=150 GB=- "),
        (
            &[("rack", "own"), ("volcano.sh/tor", "t")],
            &[("ai-storage.keti/available-capacity-gb", "7"), ("capacity.topolvm.io/x", "9000000000")],
            "- rack=own zone=- MB/s=- GB=7 ",
        ),
        (
            &[("eks.amazonaws.com/instance-ebs-bandwidth", "8000")],
            &[("ai-storage.keti/available-throughput-mbps", "5")],
            "- rack=- zone=- MB/s=5 GB=- ",
        ),
    ] {
        let node = node(labels, annotations);
        assert_eq!(shown(&believed(&node, &ForeignObjects::default(), &Signals::default())), expected, "{labels:?} {annotations:?}");
    }
}

#[test]
fn computational_storage_is_found_among_extended_resources() {
    for (resource, amount, csd) in [
        ("example.com/csd", 1, true),
        ("scaleflux.com/drive", 2, true),
        ("amd.com/smartssd-u2", 1, true),
        ("vendor.io/computational-storage", 1, true),
        ("example.com/csd", 0, false),
        ("nvidia.com/gpu", 8, false),
        ("example.com/csdx", 1, false),
    ] {
        let mut node = node(&[], &[]);
        node.allocatable.set_scalar(&resource.into(), amount);
        let facts = believed(&node, &ForeignObjects::default(), &Signals::default());
        assert_eq!(facts.tiers.contains(Tier::Csd), csd, "{resource}");
    }
}

#[test]
fn devices_tell_their_tiers() {
    let device = |name: &str, rotational| BlockDevice { name: name.into(), rotational };
    for (devices, expected) in [
        (vec![device("nvme0n1", Some(false))], "nvme"),
        (vec![device("sda", Some(true)), device("sdb", Some(false))], "ssd+hdd"),
        (vec![device("loop0", Some(false)), device("zram0", Some(false)), device("dm-0", Some(false))], ""),
        (vec![device("vda", None)], ""),
    ] {
        let tiers: Vec<&str> = tiers_of_devices(&devices).iter().map(Tier::as_str).collect();
        assert_eq!(tiers.join("+"), expected, "{devices:?}");
    }
}

fn storage(system: StorageSystem, kind: &'static str, tiers: TierSet, free_bytes: Option<i64>, datasets: &[&str]) -> Foreign {
    let datasets = datasets.iter().map(|d| Str::from(*d)).collect();
    Foreign::NodeStorage(Arc::new(NodeStorage { system, kind, name: "o".into(), node: "n".into(), tiers, free_bytes, datasets }))
}

#[test]
fn what_a_storage_system_measured_comes_before_what_a_label_hints() {
    let (hdd, nvme) = (TierSet::of(Tier::Hdd), TierSet::of(Tier::Nvme));
    let mut foreign = ForeignObjects::default();
    foreign.set(storage(StorageSystem::Hwameistor, "LocalStorageNode", hdd, Some(3_000_000_000), &[]));
    foreign.set(storage(StorageSystem::NodeFeatureDiscovery, "NodeFeature", nvme, None, &[]));
    foreign.set(storage(StorageSystem::KServe, "LocalModelNode", TierSet::default(), None, &["hf://m"]));
    foreign.set(Foreign::Topology("t".into(), vec!["zone-key".into(), "block".into(), "kubernetes.io/hostname".into()]));
    let node = node(
        &[("block", "b7"), ("fabric.topograph.run/tier-0", "t0"), ("cloud.google.com/gke-local-ssd", "true")],
        &[("ai-storage.keti/cached-datasets", "own")],
    );
    let all = Signals::default();
    for (on, expected) in [
        (all, "hdd rack=b7 zone=- MB/s=150 GB=3 own,hf://m"),
        (Signals { hwameistor: false, ..all }, "ssd rack=b7 zone=- MB/s=500 GB=- own,hf://m"),
        (Signals { hwameistor: false, cloud_labels: false, ..all }, "nvme rack=b7 zone=- MB/s=3000 GB=- own,hf://m"),
        (Signals { network_topology: false, kserve: false, ..all }, "hdd rack=- zone=- MB/s=150 GB=3 own"),
    ] {
        assert_eq!(shown(&believed(&node, &foreign, &on)), expected, "{on:?}");
    }
    let facts = believed(&node, &foreign, &all);
    let sources = storage_facts::sources(&node.labels, &node.annotations, &facts);
    let source = |name: &str| sources.iter().find(|(n, _)| *n == name).map(|(_, s)| &**s);
    assert_eq!(source("tiers"), Some("LocalStorageNode o"));
    assert_eq!(source("rack"), Some("label block"));
    assert_eq!(source("throughputMbps"), Some("estimate for hdd"));
    assert_eq!(source("cachedDatasets"), Some("annotation ai-storage.keti/cached-datasets, LocalModelNode o"));
    foreign.remove(&crate::foreign::ForeignName::NodeStorage("LocalStorageNode", "o".into()));
    assert_eq!(shown(&believed(&node, &foreign, &all)), "ssd rack=b7 zone=- MB/s=500 GB=- own,hf://m");
}

fn pod(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Pod {
    let spec =
        PodSpec { labels: labels.iter().copied().collect(), annotations: annotations.iter().copied().collect(), ..PodSpec::default() };
    Pod { spec: Arc::new(spec), ..Pod::default() }
}

#[test]
fn the_system_that_made_a_pod_tells_its_stage() {
    const ARGO: &str = "workflows.argoproj.io/node-name";
    let stage = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
        identity(&pod(labels, annotations), true, true, true).stage.map(|(stage, _)| stage)
    };
    for (labels, annotations, expected) in [
        (&[][..], &[][..], None),
        (&[("jobset.sigs.k8s.io/replicatedjob-name", "dataset-initializer")], &[], Some(Stage::DataLoading)),
        (&[("jobset.sigs.k8s.io/replicatedjob-name", "node")], &[], Some(Stage::Training)),
        (&[("jobset.sigs.k8s.io/replicatedjob-name", "launcher")], &[], None),
        (&[("spark-role", "executor")], &[], Some(Stage::Preprocessing)),
        (&[("spark-role", "driver")], &[], None),
        (&[("serving.kserve.io/inferenceservice", "llm")], &[], Some(Stage::Inference)),
        (&[("ray.io/originated-from-crd", "RayService"), ("ray.io/node-type", "worker")], &[], Some(Stage::Inference)),
        (&[("ray.io/originated-from-crd", "RayService"), ("ray.io/node-type", "head")], &[], None),
        (&[("training.kubeflow.org/job-name", "j"), ("training.kubeflow.org/replica-type", "worker")], &[], Some(Stage::Training)),
        (&[("training.kubeflow.org/job-name", "j"), ("training.kubeflow.org/replica-type", "Launcher")], &[], None),
        (&[("tekton.dev/pipelineTask", "Model-Training")], &[], Some(Stage::Training)),
        (&[], &[(ARGO, "flow.download(0)")], Some(Stage::DataLoading)),
        (&[], &[(ARGO, "flow[1].tokenize-corpus(3:a.b)")], Some(Stage::Preprocessing)),
        (&[], &[(ARGO, "flow.predict")], Some(Stage::Inference)),
        (&[], &[(ARGO, "flow.validate")], Some(Stage::Evaluation)),
        (&[], &[(ARGO, "flow.report")], None),
        (&[], &[(ARGO, "flow.train-driver"), ("pipelines.kubeflow.org/runtime-role", "driver")], None),
    ] {
        assert_eq!(stage(labels, annotations), expected, "{labels:?} {annotations:?}");
    }
    let mut on_gpu = pod(&[], &[]);
    Arc::make_mut(&mut on_gpu.spec).requests.set_scalar(&"nvidia.com/gpu".into(), 1);
    let guess = Identity { stage: Some((Stage::Training, "the request for a GPU".into())), is_guess: true, ..Identity::default() };
    assert_eq!(identity(&on_gpu, true, true, true), guess);
    assert_eq!(identity(&on_gpu, false, true, true), Identity::default());
    let executor = identity(&pod(&[("spark-role", "executor")], &[]), true, true, true);
    assert_eq!(executor.io_pattern, Some((IoPattern::Sequential, "label spark-role".into())));
    assert_eq!(executor.stage, Some((Stage::Preprocessing, "label spark-role".into())));
}

#[test]
fn models_and_datasets_are_known_by_who_mounts_them() {
    let annotations =
        [("internal.serving.kserve.io/storage-initializer-sourceuri", "hf://org/m"), ("fluid.io/datasets-in-use", "imagenet, coco")];
    let datasets =
        |kserve, fluid| identity(&pod(&[], &annotations), true, kserve, fluid).datasets.map_or(String::new(), |(d, _)| d.join(" "));
    assert_eq!(datasets(true, true), "hf://org/m imagenet coco");
    assert_eq!(datasets(false, false), "");
    assert_eq!(datasets(true, false), "hf://org/m");
    assert_eq!(datasets(false, true), "imagenet coco");
}

#[test]
fn parameters_of_classes_tell_performance_tiers_and_backends() {
    let tells = |iops, iops_per_gib, throughput_mbps, local_tier, backend: Option<&str>| ClassFacts {
        iops,
        iops_per_gib,
        throughput_mbps,
        local_tier,
        backend: backend.map(Into::into),
    };
    for (class, driver, parameters, expected) in [
        (
            "c",
            "ebs.csi.aws.com",
            &[("type", "io2"), ("iops", "16000"), ("throughput", "500")][..],
            tells(Some(16000), None, Some(500), None, None),
        ),
        ("c", "ebs.csi.eks.amazonaws.com", &[("type", "gp3"), ("iopsPerGB", "50")], tells(None, Some(50), None, None, None)),
        ("c", "ebs.csi.aws.com", &[("iops", "many"), ("throughput", "0")], ClassFacts::default()),
        (
            "c",
            "pd.csi.storage.gke.io",
            &[("type", "hyperdisk-balanced"), ("provisioned-iops-on-create", "5000"), ("provisioned-throughput-on-create", "140Mi")],
            tells(Some(5000), None, Some(140), None, None),
        ),
        ("c", "topolvm.io", &[("topolvm.io/device-class", "nvme-thin")], tells(None, None, None, Some(Tier::Nvme), None)),
        ("c", "lvm.hwameistor.io", &[("poolClass", "HDD")], tells(None, None, None, Some(Tier::Hdd), None)),
        ("c", "local.csi.openebs.io", &[("vgpattern", "ssd-vg.*")], tells(None, None, None, Some(Tier::Ssd), None)),
        ("local-ssd", "rancher.io/local-path", &[], tells(None, None, None, Some(Tier::Ssd), None)),
        // A network disk's medium says nothing of the node.
        ("fast-ssd", "ebs.csi.aws.com", &[("type", "gp3")], ClassFacts::default()),
        (
            "c",
            "rook-ceph.rbd.csi.ceph.com",
            &[("clusterID", "rook"), ("pool", "fast")],
            tells(None, None, None, None, Some("rbd.csi.ceph.com:rook/fast")),
        ),
        (
            "c",
            "nfs.csi.k8s.io",
            &[("server", "nas1"), ("share", "/data")],
            tells(None, None, None, None, Some("nfs.csi.k8s.io:nas1//data")),
        ),
        ("c", "efs.csi.aws.com", &[("fileSystemId", "fs-1")], tells(None, None, None, None, Some("efs.csi.aws.com:fs-1"))),
        ("c", "efs.csi.aws.com", &[], ClassFacts::default()),
        ("c", "notrbd.csi.ceph.com", &[("clusterID", "rook")], ClassFacts::default()),
    ] {
        let parameters: Parameters = parameters.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(ClassFacts::read(class, driver, &parameters), expected, "{driver} {parameters:?}");
    }
}

#[test]
fn a_pod_asks_for_what_its_claims_were_made_for() {
    let mut snapshot = crate::snapshot::Snapshot::default();
    let mut class = |name: &str, facts| {
        let class = crate::volume::StorageClass { name: name.into(), facts, ..Default::default() };
        snapshot.classes.insert(name.into(), Arc::new(class));
    };
    class("gp3", ClassFacts { iops: Some(3000), throughput_mbps: Some(125), ..ClassFacts::default() });
    class("io1", ClassFacts { iops_per_gib: Some(50), ..ClassFacts::default() });
    class("lvm", ClassFacts { local_tier: Some(Tier::Nvme), ..ClassFacts::default() });
    snapshot.foreign.set(Foreign::AttributesClass("gold".into(), Arc::new(ClassFacts { iops: Some(9000), ..ClassFacts::default() })));
    for (name, class, attributes_class) in [("a", "gp3", None), ("b", "io1", None), ("c", "gp3", Some("gold")), ("d", "lvm", None)] {
        snapshot.set_claim(Arc::new(crate::volume::Claim {
            name: name.into(),
            storage_class: Some(class.into()),
            attributes_class: attributes_class.map(Into::into),
            requested: 10 << 30,
            ..Default::default()
        }));
    }
    for (claims, iops, throughput, tier) in [
        (&["a"][..], "3000 StorageClass gp3", "125 StorageClass gp3", ""),
        (&["a", "a"], "3000 StorageClass gp3", "125 StorageClass gp3", ""),
        (&["b"], "500 StorageClass io1", "", ""),
        (&["c"], "9000 VolumeAttributesClass gold", "125 StorageClass gp3", ""),
        (&["a", "b"], "3500 StorageClass gp3, StorageClass io1", "125 StorageClass gp3", ""),
        (&["d", "missing"], "", "", "nvme StorageClass lvm"),
    ] {
        let volumes = claims.iter().map(|c| crate::pod::PodVolume::Claim { claim: (*c).into(), read_only: false }).collect();
        let pod = Pod { spec: Arc::new(PodSpec { volumes, ..PodSpec::default() }), ..Pod::default() };
        let found = claimed_demand(&pod, &snapshot);
        let number = |told: &Option<(i64, Str)>| told.as_ref().map_or(String::new(), |(n, from)| format!("{n} {from}"));
        let local = found.local_tier.as_ref().map_or(String::new(), |(t, from)| format!("{} {from}", t.as_str()));
        assert_eq!((&*number(&found.iops), &*number(&found.throughput_mbps), &*local), (iops, throughput, tier), "{claims:?}");
    }
}

#[test]
fn training_reads_by_accelerator_and_workload() {
    for (gpu, n, image, selects, expected) in [
        ("nvidia.com/gpu", 0, "pytorch/pytorch:2", "", None),
        ("nvidia.com/gpu", 8, "pytorch/pytorch:2", "", Some(8 * 105)),
        ("nvidia.com/gpu", 1, "tensorflow/tensorflow:2", "NVIDIA-H100-80GB-HBM3", Some(205)),
        ("nvidia.com/gpu", 4, "example.com/3d-unet:1", "NVIDIA-A100-SXM4-40GB", Some(4 * 1614)),
        ("nvidia.com/gpu", 4, "projectmonai/monai:1", "nvidia-h100-80gb", Some(4 * 3177)),
        ("amd.com/gpu", 2, "example.com/cosmoflow", "", Some(2 * 513)),
        ("gpu.intel.com/xe", 2, "x", "", Some(2 * 105)),
        ("aliyun.com/gpu-mem", 16, "x", "", None),
    ] {
        let mut spec = PodSpec { images: vec![image.into()], ..PodSpec::default() };
        spec.requests.set_scalar(&gpu.into(), n);
        if !selects.is_empty() {
            spec.node_selector = Labels::from([("nvidia.com/gpu.product", selects)]);
        }
        let pod = Pod { spec: Arc::new(spec), ..Pod::default() };
        assert_eq!(training_demand(&pod).map(|(n, _)| n), expected, "{n} {gpu}, {image}, {selects}");
    }
}

/// Racks of nodes a, b and c, `-` where there is none.
fn racks(labels: [&[(&str, &str)]; 3], foreign: &ForeignObjects) -> String {
    let nodes: Vec<Node> = labels.iter().zip(["a", "b", "c"]).map(|(l, name)| Node { name: name.into(), ..node(l, &[]) }).collect();
    let ladder = Ladder::of(nodes.iter(), foreign);
    let rack = |node: &Node| {
        let mut facts = node.storage.clone();
        fill_in(&mut facts, node_findings(node, foreign, &ladder, &Signals::default()));
        facts.rack.map_or("-".into(), |rack| rack.to_string())
    };
    nodes.iter().map(rack).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rung_counts_only_when_nodes_share_a_value_of_it() {
    const LEAF: &str = "fabric.topograph.run/tier-0";
    const BLOCK: &str = "cloud.google.com/gce-topology-block";
    for (labels, expected) in [
        ([&[(LEAF, "l1")][..], &[(LEAF, "l1")], &[(LEAF, "l2")]], "l1 l1 l2"),
        ([&[(LEAF, "l1")], &[(LEAF, "l2")], &[(LEAF, "l3")]], "- - -"),
        // Every node has a leaf of its own: the block tells.
        ([&[(LEAF, "l1"), (BLOCK, "b1")], &[(LEAF, "l2"), (BLOCK, "b1")], &[(LEAF, "l3"), (BLOCK, "b2")]], "b1 b1 b2"),
        ([&[(LEAF, "l1")], &[], &[]], "- - -"),
        ([&[(LEAF, "")], &[(LEAF, "")], &[]], "- - -"),
        // What the administrator wrote needs no neighbour.
        ([&[("rack", "r1")], &[(LEAF, "l")], &[(LEAF, "l")]], "r1 l l"),
    ] {
        assert_eq!(racks(labels, &ForeignObjects::default()), expected, "{labels:?}");
    }
}

#[test]
fn what_an_administrator_declared_comes_before_what_clouds_label() {
    const LEAF: &str = "fabric.topograph.run/tier-0";
    let labels: [&[(&str, &str)]; 3] = [&[("pod", "p1"), (LEAF, "l")], &[("pod", "p1"), (LEAF, "l")], &[("pod", "p2"), (LEAF, "l")]];
    let mut foreign = ForeignObjects::default();
    foreign.set(Foreign::Topology("Topology t".into(), vec!["zone".into(), "pod".into(), "kubernetes.io/hostname".into()]));
    assert_eq!(racks(labels, &foreign), "p1 p1 p2");
    let hyper_node = |name: &str, tier, nodes: &[&str], children: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|n| Str::from(*n)).collect();
        let hyper_node = HyperNode { name: name.into(), tier, nodes: texts(nodes), children: texts(children), ..HyperNode::default() };
        Foreign::HyperNode(Arc::new(hyper_node))
    };
    // A leaf for every node; the spine above has two of them.
    for object in [
        hyper_node("leaf-a", 1, &["a"], &[]),
        hyper_node("leaf-b", 1, &["b"], &[]),
        hyper_node("spine", 2, &[], &["leaf-a", "leaf-b", "spine"]),
    ] {
        foreign.set(object);
    }
    assert_eq!(racks(labels, &foreign), "spine spine p2");
    foreign.set(hyper_node("leaf-a", 1, &["a", "c"], &[]));
    assert_eq!(racks(labels, &foreign), "leaf-a leaf-b leaf-a");
    foreign.remove(&crate::foreign::ForeignName::HyperNode("leaf-a".into()));
    foreign.remove(&crate::foreign::ForeignName::HyperNode("spine".into()));
    assert_eq!(racks(labels, &foreign), "p1 p1 p2");
    let zone = crate::selector::Requirement { key: "pod".into(), operator: crate::selector::Operator::In, values: vec!["p1".into()] };
    let by_label =
        HyperNode { name: "h".into(), tier: 1, selectors: vec![crate::selector::LabelSelector(vec![zone])], ..HyperNode::default() };
    foreign.set(Foreign::HyperNode(Arc::new(by_label)));
    assert_eq!(racks(labels, &foreign), "h h p2");
    let patterns = vec![crate::hyper_nodes::Pattern::parse("^[bc]$").unwrap()];
    foreign.set(Foreign::HyperNode(Arc::new(HyperNode { name: "h".into(), tier: 1, patterns, ..HyperNode::default() })));
    assert_eq!(racks(labels, &foreign), "p1 h h");
}

#[test]
fn a_ladder_says_when_another_key_counts() {
    const LEAF: &str = "fabric.topograph.run/tier-0";
    let (foreign, mut ladder) = (ForeignObjects::default(), Ladder::default());
    let on = |leaf: &str| node(&[(LEAF, leaf)], &[]);
    for (leaf, came, turned) in [
        ("l1", true, false),
        ("l1", true, true),
        ("l2", true, false),
        ("l2", true, false),
        ("l1", false, false),
        ("l2", false, true),
        ("l2", true, true),
    ] {
        assert_eq!(ladder.count(&on(leaf), &foreign, came), turned, "{leaf} {came}");
    }
}

#[test]
fn disks_that_are_the_bottleneck_have_nothing_left() {
    let busy = Node { contention: Some("SystemDiskContentionPressure".into()), ..node(&[("storage-tier/nvme", "true")], &[]) };
    for (on, left) in [(Signals::default(), Some(0)), (Signals { disk_contention: false, ..Signals::default() }, Some(100_000))] {
        let storage = believed(&busy, &ForeignObjects::default(), &on);
        let info = crate::node::NodeInfo::new(Arc::new(Node { storage, ..busy.clone() }));
        assert_eq!(crate::node::Budgets::left(&info, true).iops, left);
    }
}
