//! Which nodes a pod's claims leave, which volumes the claims get there, and what can change it.

use super::*;
use crate::decide::Outcome;
use crate::fixture::{Cluster, claiming, labelled, pod, with};
use crate::profile::{Profile, Weight};
use aisched_model::Str;
use aisched_model::node::Node;
use aisched_model::pod::PodVolume;
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{AccessModes, BindingMode, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

const UNBOUND: &str = "node(s) didn't find available persistent volumes to bind";
const CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_ROOM: &str = "node(s) did not have enough free storage";
const LOST: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const ONCE: AccessModes = AccessModes { read_write_once: true, read_write_once_pod: false, read_write_many: false, read_only_many: false };

fn host(names: &[&str]) -> Requirement {
    Requirement { key: "host".into(), operator: Operator::In, values: names.iter().map(|n| Str::from(*n)).collect() }
}

fn term(names: &[&str]) -> NodeSelectorTerm {
    NodeSelectorTerm { labels: [host(names)].into(), fields: Vec::new() }
}

fn nodes() -> [Node; 2] {
    [labelled("a", [("host", "a")]), labelled("b", [("host", "b")])]
}

/// Two nodes, a class of volumes made by hand, one of volumes made for a pod, and one whose claims are bound at once.
fn cluster() -> Cluster {
    let class = |name: &str, provisioner: &str, binding_mode| StorageClass {
        name: name.into(),
        provisioner: provisioner.into(),
        binding_mode,
        ..StorageClass::default()
    };
    let wait = BindingMode::WaitForFirstConsumer;
    Cluster::of(nodes()).class(class("local", "kubernetes.io/no-provisioner", wait)).class(class("csi", "csi.test", wait)).class(class(
        "now",
        "csi.test",
        BindingMode::Immediate,
    ))
}

fn claim(name: &str, class: &str, requested: i64) -> Claim {
    Claim {
        uid: format!("uid-{name}").into(),
        namespace: "default".into(),
        name: name.into(),
        storage_class: Some(class.into()),
        requested,
        access_modes: ONCE,
        ..Claim::default()
    }
}

fn bound(name: &str, volume: &str) -> Claim {
    Claim { volume: Some(volume.into()), bind_completed: true, ..claim(name, "local", 1) }
}

/// A free local volume on one host.
fn volume(name: &str, on: &str, capacity: i64) -> Volume {
    Volume {
        name: name.into(),
        storage_class: "local".into(),
        capacity,
        node_affinity: Some([term(&[on])].into()),
        available: true,
        access_modes: ONCE,
        ..Volume::default()
    }
}

fn outcome(cluster: &Cluster, pod: &Pod) -> Outcome {
    cluster.outcome(&Profile::of("ai-storage-scheduler", [("VolumeBinding", Weight::Fixed(1))]), pod)
}

/// What stands against each node.
fn against(cluster: &Cluster, pod: &Pod) -> [String; 2] {
    let decision = outcome(cluster, pod).decision;
    ["a", "b"].map(|n| decision.against(n))
}

/// The chosen node and what is to be done there: `a: data=pv` binds, `a: data+` makes a volume.
fn plan(cluster: &Cluster, pod: &Pod) -> String {
    let Outcome { decision, volumes, .. } = outcome(cluster, pod);
    let Some(node) = decision.node else { return decision.message.unwrap_or_default() };
    let plan = volumes.unwrap_or_default();
    let bind = plan.bind.iter().map(|(claim, volume)| format!(" {}={}", claim.name, volume.name));
    let provision = plan.provision.iter().map(|claim| format!(" {}+", claim.name));
    format!("{node}:{}", bind.chain(provision).collect::<Vec<_>>().concat())
}

#[test]
fn claim_that_no_node_can_help_is_refused_for_good() {
    let data = |change: fn(&mut Claim)| {
        let mut claim = claim("data", "local", 1);
        change(&mut claim);
        Some(claim)
    };
    for (claim, expected) in [
        (None, "persistentvolumeclaim \"data\" not found"),
        (data(|c| c.deleting = true), "persistentvolumeclaim \"data\" is being deleted"),
        (
            data(|c| (c.lost, c.volume) = (true, Some("pv".into()))),
            "persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"pv\"",
        ),
        (data(|c| c.storage_class = Some("now".into())), "pod has unbound immediate PersistentVolumeClaims"),
        (data(|c| c.storage_class = Some("none".into())), "pod has unbound immediate PersistentVolumeClaims"),
        (data(|c| c.storage_class = None), "pod has unbound immediate PersistentVolumeClaims"),
        (data(|c| c.volume = Some("pv".into())), "pod has unbound immediate PersistentVolumeClaims"),
    ] {
        let cluster = claim.clone().into_iter().fold(cluster(), Cluster::claim);
        let expected = format!("0/2 nodes are available: {expected}.");
        assert_eq!(plan(&cluster, &claiming("p", ["data"])), expected, "{claim:?}");
    }
    assert_eq!(outcome(&cluster(), &pod("p")).volumes, None);
}

#[test]
fn claim_of_an_ephemeral_volume_must_be_the_pods_own() {
    let pod = with(pod("p"), |s| s.volumes = [PodVolume::Ephemeral { volume: "tmp".into(), storage_class: None }].into());
    let owned = |by: &str| Some(Claim { owner_uid: Some(by.into()), ..claim("p-tmp", "csi", 1) });
    for (claim, expected) in [
        (None, "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-tmp\""),
        (owned("uid-q"), "PVC default/p-tmp was not created for pod default/p (pod is not owner)"),
        (owned("uid-p"), ""),
    ] {
        let cluster = claim.into_iter().fold(cluster(), Cluster::claim);
        assert_eq!(against(&cluster, &pod), [expected; 2]);
    }
}

#[test]
fn bound_volume_holds_the_pod_to_its_reach() {
    for (volume_of, expected) in [
        (Some(volume("pv", "a", 1)), ["", CONFLICT]),
        (Some(Volume { node_affinity: None, ..volume("pv", "a", 1) }), ["", ""]),
        (Some(Volume { node_affinity: Some(Vec::new()), ..volume("pv", "a", 1) }), [CONFLICT, CONFLICT]),
        (None, [LOST, LOST]),
    ] {
        let cluster = volume_of.clone().into_iter().fold(cluster().claim(bound("data", "pv")), Cluster::volume);
        assert_eq!(against(&cluster, &claiming("p", ["data"])), expected, "{volume_of:?}");
        assert_eq!(outcome(&cluster, &claiming("p", ["data"])).volumes, None);
    }
}

#[test]
fn reasons_add_up_in_kube_schedulers_order() {
    let taken = Volume { available: false, ..volume("pv", "a", 1) };
    let cluster = cluster().claim(bound("data", "pv")).volume(taken).claim(claim("more", "local", 1));
    let expected = format!("0/2 nodes are available: 1 {CONFLICT}, 2 {UNBOUND}.");
    assert_eq!(plan(&cluster, &claiming("p", ["data", "more"])), expected);
    assert_eq!(against(&cluster, &claiming("p", ["data", "more"])), [UNBOUND.to_string(), format!("{CONFLICT}; {UNBOUND}")]);
}

#[test]
fn volume_must_suit_the_claim_in_every_respect() {
    let ssd = LabelSelector([Requirement { key: "disk".into(), operator: Operator::In, values: ["ssd".into()].into() }].into());
    type Change = fn(&mut Volume);
    let cases: [(&str, Change, bool); 13] = [
        ("as it is", |_| {}, true),
        ("too small", |v| v.capacity = 4, false),
        ("larger", |v| v.capacity = 500, true),
        ("another class", |v| v.storage_class = "csi".into(), false),
        ("not available yet", |v| v.available = false, false),
        ("another's", |v| v.claim = Some(("default".into(), "other".into(), "".into())), false),
        ("of an earlier claim", |v| v.claim = Some(("default".into(), "data".into(), "uid-old".into())), false),
        ("its own already", |v| v.claim = Some(("default".into(), "data".into(), "".into())), true),
        ("on its way out", |v| v.deleting = true, false),
        ("a block device", |v| v.block = true, false),
        ("of other attributes", |v| v.attributes_class = Some("gold".into()), false),
        ("for one pod only", |v| v.access_modes = AccessModes { read_write_once_pod: true, ..AccessModes::default() }, false),
        ("on the other node", |v| v.node_affinity = Some([term(&["b"])].into()), false),
    ];
    for (name, change, fits) in cases {
        let mut pv = volume("pv", "a", 5);
        change(&mut pv);
        let cluster = cluster().claim(claim("data", "local", 5)).volume(pv);
        let found = against(&cluster, &claiming("p", ["data"]))[0].is_empty();
        assert_eq!(found, fits, "{name}");
    }
    for (label, fits) in [("ssd", true), ("hdd", false)] {
        let labels = aisched_model::labels::Labels::from([("disk", label)]);
        let choosy = Claim { selector: Some(ssd.clone()), ..claim("data", "local", 5) };
        let cluster = cluster().claim(choosy).volume(Volume { labels, ..volume("pv", "a", 5) });
        assert_eq!(against(&cluster, &claiming("p", ["data"]))[0].is_empty(), fits, "{label}");
    }
}

#[test]
fn smallest_sufficient_volume_is_taken_unless_one_is_the_claims_own() {
    let own = Volume { claim: Some(("default".into(), "data".into(), "".into())), ..volume("own", "a", 50) };
    for (volumes, expected) in [
        (Vec::from([volume("big", "a", 9), volume("small", "a", 6), volume("tiny", "a", 4)]), "a: data=small"),
        (Vec::from([volume("y", "b", 6), volume("x", "b", 6)]), "b: data=x"),
        (Vec::from([volume("small", "a", 6), own.clone()]), "a: data=own"),
        (Vec::from([volume("other", "b", 6), own.clone()]), "a: data=own"),
    ] {
        let cluster = volumes.into_iter().fold(cluster().claim(claim("data", "local", 5)), Cluster::volume);
        assert_eq!(plan(&cluster, &claiming("p", ["data"])), expected);
    }
    let of_class = Volume { storage_class: "csi".into(), ..own };
    let cluster = cluster().claim(claim("data", "csi", 5)).volume(of_class);
    assert_eq!(plan(&cluster, &claiming("p", ["data"])), "a: data=own", "no volume is made for node b while there is one for the claim");
}

#[test]
fn claims_of_one_pod_get_different_volumes() {
    let two = || cluster().claim(claim("large", "local", 8)).claim(claim("small", "local", 5));
    let pod = claiming("p", ["large", "small"]);
    let one = two().volume(volume("pv-1", "a", 10)).volume(volume("pv-2", "b", 10));
    assert_eq!(against(&one, &pod), [UNBOUND; 2]);
    assert_eq!(plan(&one.volume(volume("pv-3", "b", 6)), &pod), "b: small=pv-3 large=pv-2");
    let twice = cluster().claim(claim("data", "local", 1)).volume(volume("pv", "a", 1));
    assert_eq!(plan(&twice, &claiming("p", ["data", "data"])), "a: data=pv", "a claim that is mounted twice is one claim");
}

#[test]
fn volume_is_made_where_its_class_allows() {
    let data = || claiming("p", ["data"]);
    let allowed = |terms: &[NodeSelectorTerm]| {
        let class = StorageClass {
            name: "csi".into(),
            provisioner: "csi.test".into(),
            binding_mode: BindingMode::WaitForFirstConsumer,
            allowed_topologies: terms.to_vec(),
            ..StorageClass::default()
        };
        cluster().class(class).claim(claim("data", "csi", 5))
    };
    assert_eq!(against(&allowed(&[]), &data()), ["", ""]);
    assert_eq!(plan(&allowed(&[term(&["b"])]), &data()), "b: data+");
    assert_eq!(against(&allowed(&[term(&["x"]), term(&["y"])]), &data()), [UNBOUND; 2]);
    assert_eq!(against(&cluster().claim(claim("data", "local", 5)), &data()), [UNBOUND; 2]);
    let there = allowed(&[term(&["b"])]).volume(Volume { storage_class: "csi".into(), ..volume("pv", "a", 5) });
    assert_eq!(against(&there, &data()), ["", ""], "on a one is there, on b one can be made");
}

#[test]
fn claim_on_its_way_holds_the_pod_to_the_node_it_names() {
    let on = |node: &str, class: &str| Claim { selected_node: Some(node.into()), ..claim("data", class, 5) };
    let data = claiming("p", ["data"]);
    assert_eq!(against(&cluster().claim(on("b", "csi")), &data), [UNBOUND, ""]);
    assert_eq!(plan(&cluster().claim(on("b", "csi")), &data), "b: data+");
    assert_eq!(against(&cluster().claim(on("gone", "csi")), &data), [UNBOUND; 2]);
    let by_hand = cluster().claim(on("a", "local")).volume(volume("pv", "a", 5));
    assert_eq!(against(&by_hand, &data), [UNBOUND; 2], "what is being made is not looked for among what is there");
}

/// Node a has room as said; node b is not spoken of.
fn roomy(capacity: Option<i64>, maximum_volume_size: Option<i64>) -> Cluster {
    let room = StorageCapacity {
        namespace: "csi".into(),
        name: "on-a".into(),
        storage_class: "csi".into(),
        nodes: Some(LabelSelector([host(&["a"])].into())),
        capacity,
        maximum_volume_size,
    };
    cluster().csi_driver(CsiDriver { name: "csi.test".into(), storage_capacity: true, needed_on_node: false }).capacity(room)
}

#[test]
fn volume_is_made_only_where_the_driver_says_that_there_is_room() {
    for (capacity, maximum, requested, expected) in [
        (Some(10), None, 10, ["", NO_ROOM]),
        (Some(10), None, 11, [NO_ROOM, NO_ROOM]),
        (Some(10), Some(4), 5, [NO_ROOM, NO_ROOM]),
        (None, Some(4), 4, ["", NO_ROOM]),
        (None, None, 1, [NO_ROOM, NO_ROOM]),
    ] {
        let cluster = roomy(capacity, maximum).claim(claim("data", "csi", requested));
        assert_eq!(against(&cluster, &claiming("p", ["data"])), expected, "{requested} of {capacity:?}, at most {maximum:?}");
    }
    let silent = CsiDriver { name: "csi.test".into(), storage_capacity: false, needed_on_node: false };
    let cluster = roomy(Some(1), None).csi_driver(silent).claim(claim("data", "csi", 5));
    assert_eq!(against(&cluster, &claiming("p", ["data"])), ["", ""]);
    let nowhere = StorageCapacity { storage_class: "csi".into(), capacity: Some(99), ..StorageCapacity::default() };
    let cluster = roomy(Some(1), None).capacity(nowhere).claim(claim("data", "csi", 5));
    assert_eq!(against(&cluster, &claiming("p", ["data"])), [NO_ROOM; 2]);
}

#[test]
fn node_where_volumes_could_not_be_made_lately_is_left_out() {
    let mut cluster = cluster().claim(claim("data", "csi", 1)).claim(claim("more", "local", 1)).volume(volume("pv", "a", 1));
    cluster.snapshot.no_provisioning = [("a".into(), "csi".into()), ("a".into(), "local".into())].into();
    assert_eq!(against(&cluster, &claiming("p", ["data"])), [NO_ROOM, ""]);
    assert_eq!(against(&cluster, &claiming("p", ["more"])), ["", UNBOUND], "volumes that are there are not affected");
    let cluster = cluster.claim(Claim { selected_node: Some("a".into()), ..claim("data", "csi", 1) });
    assert_eq!(against(&cluster, &claiming("p", ["data"])), ["", UNBOUND], "nor claims that another pod's bind waits for");
}

#[test]
fn claims_of_one_pod_share_the_room() {
    let pod = claiming("p", ["x", "y"]);
    for (capacity, maximum, expected) in [
        (Some(10), None, ""),
        (Some(9), None, NO_ROOM),
        (Some(9), Some(5), NO_ROOM),
        (Some(0), Some(10), ""), // a thin pool: it is told apart from what it makes
        (Some(0), Some(9), NO_ROOM),
        (None, Some(5), ""),
    ] {
        let two = roomy(capacity, maximum).claim(claim("x", "csi", 5)).claim(claim("y", "csi", 5));
        assert_eq!(against(&two, &pod)[0], expected, "{capacity:?}, at most {maximum:?}");
    }
}

#[test]
fn lack_of_room_is_told_in_numbers() {
    let gi = |n: i64| n << 30;
    let detail = |cluster: &Cluster, pod: &Pod| {
        outcome(cluster, pod).decision.nodes.into_iter().map(|n| n.reasons[0].detail.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    let (one, two) = (claiming("p", ["x"]), claiming("p", ["x", "y"]));
    let world = |capacity, maximum| roomy(capacity, maximum).claim(claim("x", "csi", gi(5))).claim(claim("y", "csi", gi(5)));
    let theirs = Claim { selected_node: Some("a".into()), ..claim("theirs", "csi", gi(6)) };
    let mut failing = world(Some(gi(50)), None);
    failing.snapshot.no_provisioning = [("a".into(), "csi".into())].into();
    let x = "claim x asks for 5 GiB of class csi";
    for (cluster, pod, expected) in [
        (world(Some(gi(4)), None), &one, format!("{x}; on-a has 4 GiB free")),
        (world(Some(gi(9)), Some(gi(3))), &one, format!("{x}; on-a has 9 GiB free, 3 GiB at most for one volume")),
        (
            world(Some(gi(9)), None),
            &two,
            "claim y asks for 5 GiB of class csi; on-a has 9 GiB free, 5 GiB of it promised to the pod's other claims".into(),
        ),
        (world(Some(gi(9)), None).claim(theirs), &one, format!("{x}; on-a has 9 GiB free, 6 GiB of it promised to claims of other pods")),
        (failing, &one, format!("{x}, which the driver could not make here lately")),
    ] {
        assert_eq!(detail(&cluster, pod)[0], expected);
    }
    assert_eq!(detail(&world(Some(gi(4)), None), &one)[1], format!("{x}; the driver tells of no room here"));
}

#[test]
fn room_promised_to_other_pods_is_not_given_twice() {
    let data = claiming("p", ["data"]);
    for (pending, fits) in [
        (Claim { selected_node: Some("a".into()), ..claim("theirs", "csi", 6) }, false),
        (Claim { selected_node: Some("a".into()), ..claim("theirs", "csi", 5) }, true),
        (Claim { selected_node: Some("b".into()), ..claim("theirs", "csi", 6) }, true),
        (Claim { selected_node: Some("gone".into()), ..claim("theirs", "csi", 6) }, true),
        (Claim { selected_node: Some("a".into()), volume: Some("pv".into()), ..claim("theirs", "csi", 6) }, true),
        (Claim { selected_node: Some("a".into()), ..claim("theirs", "local", 6) }, true),
        (claim("theirs", "csi", 6), true),
    ] {
        let cluster = roomy(Some(10), None).claim(claim("data", "csi", 5)).claim(pending.clone());
        assert_eq!(against(&cluster, &data)[0], if fits { "" } else { NO_ROOM }, "{pending:?}");
    }
    let own = roomy(Some(10), None).claim(Claim { selected_node: Some("a".into()), ..claim("data", "csi", 10) });
    assert_eq!(against(&own, &data)[0], "", "what is being made for the pod itself needs no more room");
}

#[test]
fn claims_of_other_pods_are_not_looked_at_one_by_one() {
    let data = claiming("p", ["data"]);
    for (n_pending, expected) in [(1_000, ""), (1_001, NO_ROOM)] {
        let pending = (0..n_pending).map(|i| Claim { selected_node: Some("a".into()), ..claim(&format!("c{i}"), "csi", 1) });
        let mut cluster = pending.fold(roomy(Some(1_005), None).claim(claim("data", "csi", 5)), Cluster::claim);
        // What is not there cannot be walked.
        cluster.snapshot.claims.retain(|(_, name), _| **name == *"data");
        assert_eq!(against(&cluster, &data)[0], expected, "beside {n_pending} claims");
    }
}

#[test]
fn bound_in_tree_volume_is_reached_by_the_drivers_keys_where_the_driver_took_over() {
    let within = |key: &str| Requirement { key: key.into(), operator: Operator::In, values: ["a".into()].into() };
    let zoned = |key: &str| Some([NodeSelectorTerm { labels: [within(key)].into(), fields: Vec::new() }].into());
    let disk = Volume { in_tree: Some("kubernetes.io/gce-pd".into()), node_affinity: zoned("zone"), ..volume("pv", "a", 1) };
    let disk = Volume { migrated_affinity: zoned("driver/zone"), ..disk };
    for (label, plugins, against) in [
        ("zone", &[][..], ""),
        ("driver/zone", &[], CONFLICT),
        ("driver/zone", &["kubernetes.io/gce-pd"], ""),
        ("zone", &["kubernetes.io/gce-pd"], CONFLICT),
        ("zone", &["kubernetes.io/aws-ebs"], ""),
    ] {
        let migrated_plugins = plugins.iter().map(|p| Str::from(*p)).collect();
        let cluster = Cluster::of([labelled("n", [(label, "a")])])
            .csi_node(CsiNode { name: "n".into(), drivers: Vec::new(), migrated_plugins })
            .volume(disk.clone())
            .claim(Claim { volume: Some("pv".into()), bind_completed: true, ..claim("data", "csi", 1) });
        assert_eq!(outcome(&cluster, &claiming("p", ["data"])).decision.against("n"), against, "{label} {plugins:?}");
    }
}

#[test]
fn node_with_more_left_scores_higher() {
    let score = |cluster: &Cluster, pod: &Pod, node: &str| outcome(cluster, pod).decision.score(node, "VolumeBinding");
    let data = claiming("p", ["data"]);
    let there = cluster().claim(claim("data", "local", 5)).volume(volume("pv-a", "a", 10)).volume(volume("pv-b", "b", 20));
    assert_eq!(["a", "b"].map(|n| score(&there, &data, n)), [Some(50), Some(75)]);
    let features = Features { storage_capacity_scoring: false, ..Features::default() };
    let gated = there.decide_plugin(Box::new(VolumeBinding { features, ..VolumeBinding::default() }), &data);
    assert_eq!(gated.score("a", "VolumeBinding"), None, "gate off");
    for (capacity, expected) in [(Some(20), 75), (Some(15), 67), (Some(5), 0), (None, 0)] {
        let cluster = roomy(capacity, Some(5)).claim(claim("data", "csi", 5));
        assert_eq!(score(&cluster, &data, "a"), Some(expected), "5 of {capacity:?}");
    }
    let both = roomy(Some(100), None).claim(claim("x", "csi", 25)).claim(claim("y", "csi", 25));
    assert_eq!(score(&both, &claiming("p", ["x", "y"]), "a"), Some(50));
    let unknown = cluster().claim(claim("data", "csi", 5));
    assert_eq!(score(&unknown, &data, "a"), Some(0));
    assert_eq!(score(&unknown, &pod("p"), "a"), None, "a pod without claims is not scored");
}

#[test]
fn classes_are_averaged_and_rounded() {
    let cluster =
        cluster().class(StorageClass { name: "two".into(), binding_mode: BindingMode::WaitForFirstConsumer, ..StorageClass::default() });
    let cluster = cluster.claim(claim("x", "local", 25)).claim(claim("y", "two", 50));
    let cluster = cluster.volume(volume("pv-x", "a", 100)).volume(Volume { storage_class: "two".into(), ..volume("pv-y", "a", 50) });
    let decision = outcome(&cluster, &claiming("p", ["x", "y"])).decision;
    assert_eq!(decision.score("a", "VolumeBinding"), Some(38));
}

#[test]
fn events_that_bring_a_volume_nearer_help() {
    let data = claiming("p", ["data"]);
    let (own, other, pv) = (claim("data", "csi", 1), claim("other", "csi", 1), volume("pv", "a", 1));
    let pending = Claim { selected_node: Some("a".into()), ..other.clone() };
    let [a, b] = nodes();
    let mut cordoned = a.clone();
    cordoned.unschedulable = true;
    let class = StorageClass::default();
    let confined = StorageClass { allowed_topologies: [term(&["a"])].into(), ..class.clone() };
    let (drivers, migrated) = (CsiNode::default(), CsiNode { migrated_plugins: ["x".into()].into(), ..CsiNode::default() });
    let tells = |storage_capacity| CsiDriver { name: "csi.test".into(), storage_capacity, needed_on_node: false };
    let (telling, silent) = (tells(true), tells(false));
    let room = |capacity| StorageCapacity { capacity, ..StorageCapacity::default() };
    let (none, little, much) = (room(None), room(Some(1)), room(Some(2)));
    for (event, expected) in [
        (ClusterEvent::Claim(None, &own), true),
        (ClusterEvent::Claim(Some(&own), &own), true),
        (ClusterEvent::Claim(None, &other), false),
        (ClusterEvent::Claim(Some(&pending), &other), true),
        (ClusterEvent::Claim(Some(&other), &pending), false),
        (ClusterEvent::Volume(None, &pv), true),
        (ClusterEvent::NodeAdded(&a), true),
        (ClusterEvent::NodeChanged { old: &a, new: &b }, true),
        (ClusterEvent::NodeChanged { old: &cordoned, new: &a }, false),
        (ClusterEvent::Class(None, &class), true),
        (ClusterEvent::Class(Some(&class), &confined), true),
        (ClusterEvent::Class(Some(&class), &class), false),
        (ClusterEvent::CsiNode(None, &drivers), true),
        (ClusterEvent::CsiNode(Some(&drivers), &migrated), true),
        (ClusterEvent::CsiNode(Some(&drivers), &drivers), false),
        (ClusterEvent::CsiDriver(Some(&telling), &silent), true),
        (ClusterEvent::CsiDriver(Some(&silent), &telling), false),
        (ClusterEvent::CsiDriver(None, &silent), false),
        (ClusterEvent::Capacity(None, &none), true),
        (ClusterEvent::Capacity(Some(&none), &little), true),
        (ClusterEvent::Capacity(Some(&little), &much), true),
        (ClusterEvent::Capacity(Some(&much), &little), false),
        (ClusterEvent::Capacity(Some(&little), &none), false),
        (ClusterEvent::PodRemoved(&data), false),
    ] {
        assert_eq!(VolumeBinding::default().helps(&data, &event), expected, "{event:?}");
    }
}
