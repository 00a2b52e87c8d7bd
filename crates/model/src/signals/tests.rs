//! Nodes as real clusters label them, and pods as real systems make them, against what is believed of them.

use super::*;
use crate::foreign::{BlockDevice, Foreign, NodeStorage, StorageSystem};
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
    let mut facts = node.storage.clone();
    fill_in(&mut facts, node_findings(node, foreign, on));
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
    let stage = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| identity(&pod(labels, annotations), true, true, true).stage;
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
    assert_eq!(identity(&on_gpu, true, true, true).stage, Some(Stage::Training));
    assert_eq!(identity(&on_gpu, false, true, true), Identity::default());
    assert_eq!(identity(&pod(&[("spark-role", "executor")], &[]), true, true, true).io_pattern, Some(IoPattern::Sequential));
}

#[test]
fn models_and_datasets_are_known_by_who_mounts_them() {
    let annotations =
        [("internal.serving.kserve.io/storage-initializer-sourceuri", "hf://org/m"), ("fluid.io/datasets-in-use", "imagenet, coco")];
    let datasets = |kserve, fluid| identity(&pod(&[], &annotations), true, kserve, fluid).datasets.join(" ");
    assert_eq!(datasets(true, true), "hf://org/m imagenet coco");
    assert_eq!(datasets(true, false), "hf://org/m");
    assert_eq!(datasets(false, true), "imagenet coco");
}
