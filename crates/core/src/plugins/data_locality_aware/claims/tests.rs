//! Every case of PVC locality (`scoring.md` §3), with the default maximum of 30: local 30, near 20, reachable 15, not reachable 0.
//! Expected numbers are written out, not computed.

use crate::fixture::{Cluster, claiming, labelled, node, pod, with};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodVolume};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{AccessModes, BindingMode, Claim, CsiDriverOnNode, CsiNode, StorageClass, Volume};
use alloc::vec;
use alloc::vec::Vec;

const PLUGIN: &str = "DataLocalityAware";
const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Nodes a and b in zone 1, c in zone 2; all with a hostname label.
fn abc() -> Cluster {
    let place = |name, zone| labelled(name, [(HOSTNAME, name), (ZONE, zone)]);
    Cluster::of([place("a", "z1"), place("b", "z1"), place("c", "z2")])
}

fn key_in(key: &str, values: &[&str]) -> Requirement {
    Requirement { key: key.into(), operator: Operator::In, values: values.iter().map(|v| Str::from(*v)).collect() }
}

fn term(key: &str, values: &[&str]) -> NodeSelectorTerm {
    NodeSelectorTerm { labels: vec![key_in(key, values)], fields: vec![] }
}

const ONCE: AccessModes = AccessModes { read_write_once: true, read_write_once_pod: false, read_write_many: false, read_only_many: false };
const ONCE_POD: AccessModes = AccessModes { read_write_once: false, read_write_once_pod: true, ..ONCE };
const MANY: AccessModes = AccessModes { read_write_once: false, read_write_many: true, ..ONCE };
const READERS: AccessModes = AccessModes { read_write_once: false, read_only_many: true, ..ONCE };

/// A claim `data` bound to the volume `pv`.
fn bound(cluster: Cluster, modes: AccessModes, node_affinity: Option<Vec<NodeSelectorTerm>>) -> Cluster {
    let claim = Claim { name: "data".into(), volume: Some("pv".into()), access_modes: modes, ..Claim::default() };
    cluster.claim(claim).volume(Volume { name: "pv".into(), node_affinity, driver: Some("driver".into()), ..Volume::default() })
}

/// PVC locality on the nodes a, b, c.
fn row(cluster: &Cluster, pod: &Pod) -> [i64; 3] {
    let decision = cluster.decide(&[PLUGIN], pod);
    ["a", "b", "c"].map(|n| decision.component(n, PLUGIN, "pvcLocality").unwrap())
}

#[test]
fn volumes_affinity_tells_local_from_near_from_out_of_reach() {
    let both = NodeSelectorTerm { labels: vec![key_in(ZONE, &["z1"]), key_in(HOSTNAME, &["a"])], fields: vec![] };
    let by_name = NodeSelectorTerm { labels: vec![], fields: vec![key_in("metadata.name", &["b"])] };
    let not_a = Requirement { operator: Operator::NotIn, ..key_in(HOSTNAME, &["a"]) };
    let not_a = NodeSelectorTerm { labels: vec![not_a], fields: vec![] };
    for (what, affinity, expected) in [
        ("no affinity", None, [15, 15, 15]),
        ("hostname", Some(vec![term(HOSTNAME, &["a"])]), [30, 0, 0]),
        ("two hostnames", Some(vec![term(HOSTNAME, &["a", "c"])]), [30, 0, 30]),
        ("zone", Some(vec![term(ZONE, &["z1"])]), [20, 20, 0]),
        ("zone and hostname", Some(vec![both]), [30, 0, 0]),
        ("zone or hostname", Some(vec![term(ZONE, &["z1"]), term(HOSTNAME, &["c"])]), [20, 20, 30]),
        ("node name", Some(vec![by_name]), [0, 30, 0]),
        ("any host but one", Some(vec![not_a]), [0, 20, 20]),
        ("no term", Some(vec![]), [0, 0, 0]),
        ("region that no node has", Some(vec![term("topology.kubernetes.io/region", &["r"])]), [0, 0, 0]),
    ] {
        assert_eq!(row(&bound(abc(), ONCE, affinity), &claiming("p", ["data"])), expected, "{what}");
    }
}

/// a, b and c with a label of the driver's; the driver's topology key on every node.
fn driver_nodes(key: &str, values: [&str; 3], driver: &str, topology_key: &str) -> Cluster {
    let names = ["a", "b", "c"];
    let nodes = names.into_iter().zip(values).map(|(name, value)| labelled(name, [(HOSTNAME, name), (key, value)]));
    let csi = |name: &str| CsiNode {
        name: name.into(),
        drivers: vec![CsiDriverOnNode { name: driver.into(), topology_keys: vec![topology_key.into()], allocatable: None }],
        ..CsiNode::default()
    };
    names.into_iter().fold(nodes.fold(Cluster::default(), Cluster::node), |cluster, name| cluster.csi_node(csi(name)))
}

#[test]
fn drivers_own_node_key_is_as_good_as_the_hostname() {
    let (own, nodeid, zone) = ("topology.topolvm.io/node", "openebs.io/nodeid", "topology.ebs.csi.aws.com/zone");
    for (what, cluster, affinity, expected) in [
        ("values that are node names", driver_nodes(own, ["a", "b", "c"], "driver", own), term(own, &["a"]), [30, 0, 0]),
        ("the same, its driver not registered", driver_nodes(own, ["a", "b", "c"], "other", own), term(own, &["a"]), [30, 0, 0]),
        (
            "values of its own, one per node",
            driver_nodes(nodeid, ["x", "y", "z"], "driver", nodeid),
            term(nodeid, &["x", "y"]),
            [30, 30, 0],
        ),
        ("values that nodes share", driver_nodes(nodeid, ["x", "x", "z"], "driver", nodeid), term(nodeid, &["x"]), [20, 20, 0]),
        ("no topology key of the driver", driver_nodes(nodeid, ["x", "y", "z"], "driver", "k"), term(nodeid, &["x"]), [20, 0, 0]),
        ("topology key of another driver", driver_nodes(nodeid, ["x", "y", "z"], "other", nodeid), term(nodeid, &["x"]), [20, 0, 0]),
        ("zones of one node each", driver_nodes(zone, ["x", "y", "z"], "driver", zone), term(zone, &["x"]), [20, 0, 0]),
    ] {
        assert_eq!(row(&bound(cluster, ONCE, Some(vec![affinity])), &claiming("p", ["data"])), expected, "{what}");
    }
}

#[test]
fn claim_for_one_node_at_a_time_is_local_where_it_is_in_use() {
    for (what, modes, expected) in
        [("RWO", ONCE, [15, 30, 15]), ("RWOP", ONCE_POD, [15, 30, 15]), ("RWX", MANY, [15, 15, 15]), ("ROX", READERS, [15, 15, 15])]
    {
        let cluster = bound(abc(), modes, None).placed("b", claiming("user", ["data"])).placed("c", claiming("other", ["else"]));
        assert_eq!(row(&cluster, &claiming("p", ["data"])), expected, "{what}");
    }
    let elsewhere = claiming("user", ["data"]);
    let cluster = bound(abc(), ONCE, None).placed("b", Pod { namespace: "other".into(), ..elsewhere });
    assert_eq!(row(&cluster, &claiming("p", ["data"])), [15, 15, 15], "a claim of the same name in another namespace");
}

#[test]
fn shared_volume_is_as_near_as_its_affinity_says() {
    assert_eq!(row(&bound(abc(), MANY, None), &claiming("p", ["data"])), [15, 15, 15]);
    assert_eq!(row(&bound(abc(), MANY, Some(vec![term(ZONE, &["z1"])])), &claiming("p", ["data"])), [20, 20, 0]);
}

/// A claim `data` of class `class` that is not bound.
fn unbound(cluster: Cluster, change: impl FnOnce(&mut Claim)) -> Cluster {
    let mut claim =
        Claim { name: "data".into(), storage_class: Some("class".into()), access_modes: ONCE, requested: 100, ..Claim::default() };
    change(&mut claim);
    cluster.claim(claim)
}

fn class(provisioner: &str, allowed_topologies: Vec<NodeSelectorTerm>) -> StorageClass {
    let binding_mode = BindingMode::WaitForFirstConsumer;
    StorageClass { name: "class".into(), provisioner: provisioner.into(), binding_mode, allowed_topologies, ..StorageClass::default() }
}

#[test]
fn unbound_claim_is_reachable_where_a_volume_can_be_made() {
    let pod = claiming("p", ["data"]);
    let zone = || vec![term(ZONE, &["z1"])];
    for (what, class, selected, expected) in [
        ("anywhere", class("driver", vec![]), None, [15, 15, 15]),
        ("in a zone", class("driver", zone()), None, [15, 15, 0]),
        ("immediately, in a zone", StorageClass { binding_mode: BindingMode::Immediate, ..class("driver", zone()) }, None, [15, 15, 0]),
        ("for a node already", class("driver", vec![]), Some("b"), [0, 15, 0]),
        ("by nobody", class("kubernetes.io/no-provisioner", vec![]), None, [0, 0, 0]),
    ] {
        let cluster = unbound(abc().class(class), |c| c.selected_node = selected.map(Str::from));
        assert_eq!(row(&cluster, &pod), expected, "{what}");
    }
    assert_eq!(row(&unbound(abc(), |_| ()), &pod), [0, 0, 0], "a class that does not exist");
}

#[test]
fn claim_without_class_takes_the_default_one_and_an_empty_class_none() {
    let default = || StorageClass { is_default: true, ..class("driver", vec![term(ZONE, &["z2"])]) };
    let pod = claiming("p", ["data"]);
    assert_eq!(row(&unbound(abc().class(default()), |c| c.storage_class = None), &pod), [0, 0, 15]);
    assert_eq!(row(&unbound(abc().class(class("driver", vec![])), |c| c.storage_class = None), &pod), [0, 0, 0]);
    assert_eq!(row(&unbound(abc().class(default()), |c| c.storage_class = Some("".into())), &pod), [0, 0, 0]);
}

fn local_volume(change: impl FnOnce(&mut Volume)) -> Volume {
    let mut volume = Volume {
        name: "local-b".into(),
        storage_class: "class".into(),
        capacity: 100,
        access_modes: AccessModes { read_write_many: true, ..ONCE },
        available: true,
        node_affinity: Some(vec![term(HOSTNAME, &["b"])]),
        ..Volume::default()
    };
    change(&mut volume);
    volume
}

#[test]
fn unbound_claim_is_reachable_where_a_volume_that_would_do_is() {
    type Change = fn(&mut Volume);
    let changes: [(&str, Change, bool); 12] = [
        ("as it is", |_| (), true),
        ("anywhere", |v| v.node_affinity = Some(vec![term(HOSTNAME, &["b"]), term(HOSTNAME, &["x"])]), true),
        ("promised to the claim", |v| v.claim = Some(("default".into(), "data".into(), "".into())), true),
        ("promised to another", |v| v.claim = Some(("default".into(), "other".into(), "".into())), false),
        ("promised to a claim that is gone", |v| v.claim = Some(("default".into(), "data".into(), "old uid".into())), false),
        ("of another class", |v| v.storage_class = "other".into(), false),
        ("too small", |v| v.capacity = 99, false),
        ("for another use", |v| v.access_modes = READERS, false),
        ("raw", |v| v.block = true, false),
        ("not available", |v| v.available = false, false),
        ("being deleted", |v| v.deleting = true, false),
        ("of other labels", |v| v.labels = Labels::from([("disk", "slow")]), false),
    ];
    for (what, change, fits) in changes {
        let selector = LabelSelector(vec![Requirement { operator: Operator::NotIn, ..key_in("disk", &["slow"]) }]);
        let cluster = unbound(abc().class(class("kubernetes.io/no-provisioner", vec![])), |c| c.selector = Some(selector));
        let expected = if fits { [0, 15, 0] } else { [0; 3] };
        assert_eq!(row(&cluster.volume(local_volume(change)), &claiming("p", ["data"])), expected, "a volume {what}");
    }
    let made_elsewhere = unbound(abc().class(class("driver", vec![term(ZONE, &["z2"])])), |_| ()).volume(local_volume(|_| ()));
    assert_eq!(row(&made_elsewhere, &claiming("p", ["data"])), [0, 15, 15], "one is there on b, or made in zone 2");
    let no_object = unbound(abc(), |_| ()).volume(local_volume(|v| v.node_affinity = None));
    assert_eq!(row(&no_object, &claiming("p", ["data"])), [15, 15, 15], "volumes may name a class that has no object");
}

#[test]
fn claim_that_cannot_be_had_is_out_of_reach_everywhere() {
    let pod = claiming("p", ["data"]);
    let lost = Claim { name: "data".into(), volume: Some("pv".into()), lost: true, ..Claim::default() };
    let dangling = Claim { name: "data".into(), volume: Some("gone".into()), access_modes: ONCE, ..Claim::default() };
    for (cluster, source) in [
        (abc(), "claim data does not exist"),
        (abc().claim(lost), "claim data has lost its volume"),
        (abc().claim(dangling), "claim data is bound to a volume that does not exist"),
    ] {
        assert_eq!(row(&cluster, &pod), [0, 0, 0], "{source}");
        assert_eq!(cluster.decide(&[PLUGIN], &pod).source("a", PLUGIN, "pvcLocality"), Some(source));
    }
}

fn ephemeral(storage_class: Option<&str>) -> Pod {
    with(pod("p"), |s| s.volumes = vec![PodVolume::Ephemeral { volume: "scratch".into(), storage_class: storage_class.map(Str::from) }])
}

#[test]
fn ephemeral_volume_counts_by_its_claim_and_before_that_by_its_class() {
    let cluster = || abc().class(class("driver", vec![term(ZONE, &["z1"])]));
    assert_eq!(row(&cluster(), &ephemeral(Some("class"))), [15, 15, 0]);
    assert_eq!(row(&cluster(), &ephemeral(None)), [0, 0, 0]);
    let claim = Claim { name: "p-scratch".into(), volume: Some("pv".into()), access_modes: ONCE, ..Claim::default() };
    let volume = Volume { name: "pv".into(), node_affinity: Some(vec![term(HOSTNAME, &["c"])]), ..Volume::default() };
    assert_eq!(row(&cluster().claim(claim).volume(volume), &ephemeral(Some("class"))), [0, 0, 30]);
}

#[test]
fn score_is_the_mean_over_claims_each_counted_once() {
    let volume = |name: &str, node_affinity| Volume { name: name.into(), node_affinity, ..Volume::default() };
    let claim = |name: &str| Claim { name: name.into(), volume: Some(name.into()), access_modes: ONCE, ..Claim::default() };
    let cluster = || {
        let cluster = ["local", "zonal", "free"].into_iter().fold(abc(), |cluster, name| cluster.claim(claim(name)));
        cluster
            .volume(volume("local", Some(vec![term(HOSTNAME, &["a"])])))
            .volume(volume("zonal", Some(vec![term(ZONE, &["z1"])])))
            .volume(volume("free", None))
    };
    assert_eq!(row(&cluster(), &claiming("p", ["local", "zonal"])), [25, 10, 0]);
    assert_eq!(row(&cluster(), &claiming("p", ["local", "zonal", "free"])), [21, 11, 5]);
    assert_eq!(row(&cluster(), &claiming("p", ["local", "zonal", "local"])), [25, 10, 0]);
    assert_eq!(row(&cluster(), &claiming("p", ["zonal", "missing"])), [10, 10, 0]);
    let decision = cluster().decide(&[PLUGIN], &claiming("p", ["local", "zonal", "free", "x1", "x2", "x3"]));
    let source = "claim local bound to a volume on this node; claim zonal bound to a volume in this node's topology; \
                  claim free bound to a volume that any node reaches; claim x1 does not exist; … +2 more";
    assert_eq!(decision.source("a", PLUGIN, "pvcLocality"), Some(source));
}

#[test]
fn pod_without_claims_is_neutral_and_other_volumes_do_not_count() {
    let inline = with(pod("p"), |s| {
        s.volumes = vec![PodVolume::Csi { driver: "driver".into() }];
        s.annotations = Labels::from([("ai-storage.keti/dataset", "d")]);
    });
    assert_eq!(row(&abc(), &inline), [15, 15, 15]);
}

#[test]
fn nothing_is_refused_for_a_claim() {
    let cluster = bound(abc(), ONCE, Some(vec![term(HOSTNAME, &["a"])])).node(Node { unschedulable: true, ..node("d") });
    assert_eq!(cluster.decide(&[PLUGIN], &claiming("p", ["data"])).feasible().len(), 4);
}
