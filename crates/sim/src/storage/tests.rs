//! Claims of every kind on a virtual cluster: what they are bound to, and what is left for the next.
//! Leaves out scheduling: the simulation's own tests drive it with claims too.

use super::*;
use aisched_model::selector::LabelSelector;
use aisched_model::volume::{CsiDriver, CsiDriverOnNode, CsiNode};
use alloc::string::{String, ToString};

fn class(name: &str, provisioner: &str, binding_mode: BindingMode) -> Arc<StorageClass> {
    Arc::new(StorageClass { name: name.into(), provisioner: provisioner.into(), binding_mode, ..StorageClass::default() })
}

fn claim(class: Option<&str>, requested: i64) -> Claim {
    Claim {
        namespace: "ns".into(),
        name: "data".into(),
        uid: "u".into(),
        storage_class: class.map(Into::into),
        requested,
        ..Claim::default()
    }
}

fn volume(name: &str, class: &str, capacity: i64) -> Volume {
    Volume { name: name.into(), storage_class: class.into(), capacity, available: true, ..Volume::default() }
}

fn room(segment: &str, capacity: i64, maximum_volume_size: Option<i64>) -> Arc<StorageCapacity> {
    let nodes = Some(LabelSelector([zone(segment)].into()));
    let (name, storage_class) = (segment.into(), "room".into());
    Arc::new(StorageCapacity { namespace: "ns".into(), name, storage_class, nodes, capacity: Some(capacity), maximum_volume_size })
}

fn zone(value: &str) -> Requirement {
    Requirement { key: "zone".into(), operator: Operator::In, values: [value.into()].into() }
}

fn world() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let classes = [
        class("now", "csi.test", BindingMode::Immediate),
        class("by-hand", NO_PROVISIONER, BindingMode::Immediate),
        class("wait", "csi.test", BindingMode::WaitForFirstConsumer),
        class("room", "csi.room", BindingMode::Immediate),
    ];
    snapshot.classes = classes.into_iter().map(|class| (class.name.clone(), class)).collect();
    let driver = CsiDriver { name: "csi.room".into(), storage_capacity: true, ..CsiDriver::default() };
    snapshot.csi_drivers.insert(driver.name.clone(), Arc::new(driver));
    for v in [volume("large", "now", 90), volume("small", "now", 20), volume("classless", "", 50), volume("late", "wait", 50)] {
        snapshot.set_volume(Arc::new(v));
    }
    let own = Some(("ns".into(), "data".into(), Str::default()));
    snapshot.set_volume(Arc::new(Volume { claim: own, ..volume("own", "by-hand", 70) }));
    snapshot.set_capacity(room("a", 40, None));
    snapshot.set_capacity(room("b", 60, Some(30)));
    snapshot
}

/// Events in few words.
fn told(events: &[Event]) -> String {
    let mut words = String::new();
    for event in events {
        words += &match event {
            Event::VolumeSet(v) => format!("{} {} ", v.name, v.claim.as_ref().is_some_and(|(_, _, uid)| **uid == *"u")),
            Event::ClaimSet(c) => format!("<- {} {} ", c.volume.as_deref().unwrap_or_default(), c.bind_completed),
            Event::CapacitySet(r) => format!("{}: {:?} {:?} ", r.name, r.capacity, r.maximum_volume_size),
            other => format!("{other:?}"),
        };
    }
    words.trim_end().to_string()
}

#[test]
fn claim_that_waits_for_nobody_gets_the_smallest_volume_or_a_new_one() {
    let pvc = "pvc-ns-data true <- pvc-ns-data true";
    for (claim, expected) in [
        (claim(Some("now"), 10), "small true <- small true"),
        (claim(Some("now"), 30), "large true <- large true"),
        (claim(Some("now"), 95), pvc),
        (Claim { block: true, ..claim(Some("now"), 10) }, pvc),
        (Claim { selector: Some(LabelSelector([zone("a")].into())), ..claim(Some("now"), 10) }, pvc),
        (claim(Some("by-hand"), 10), "own true <- own true"),
        (claim(Some("by-hand"), 71), ""),
        (Claim { uid: "other".into(), name: "other".into(), ..claim(Some("by-hand"), 10) }, ""),
        (claim(None, 10), "classless true <- classless true"),
        (claim(Some(""), 51), ""),
        (claim(Some("unknown"), 1), ""),
        (claim(Some("wait"), 1), ""),
        (Claim { volume: Some("pv".into()), ..claim(Some("now"), 1) }, ""),
        (claim(Some("room"), 35), &format!("{pvc} a: Some(5) None")),
        (claim(Some("room"), 41), ""),
    ] {
        assert_eq!(told(&bind_at_once(&world(), &Arc::new(claim.clone()))), expected, "{claim:?}");
    }
}

#[test]
fn volume_that_is_made_is_within_reach_of_its_node_and_uses_its_room() {
    let mut snapshot = world();
    let on_node = CsiDriverOnNode { name: "csi.room".into(), topology_keys: ["zone".into(), "rack".into()].into(), allocatable: None };
    snapshot.csi_nodes.insert("n".into(), Arc::new(CsiNode { name: "n".into(), drivers: [on_node].into(), ..CsiNode::default() }));
    let small = Arc::new(claim(Some("room"), 20));
    let same_room = Arc::new(Claim { name: "more".into(), ..Claim::clone(&small) });
    let plan = VolumePlan {
        node_labels: [("zone", "b"), (HOSTNAME, "host")].into(),
        provision: [small, same_room, Arc::new(claim(Some("wait"), 5))].into(),
        ..VolumePlan::default()
    };
    let events = carry_out(&snapshot, &"n".into(), &plan);
    let rooms: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::CapacitySet(_))).collect();
    assert_eq!(rooms.iter().map(|r| told(core::slice::from_ref(*r))).collect::<Vec<_>>(), ["b: Some(40) Some(30)", "b: Some(20) Some(20)"]);
    let reach = events.iter().filter_map(|event| if let Event::VolumeSet(v) = event { Some((&v.driver, &v.node_affinity)) } else { None });
    let keys = reach.map(|(driver, terms)| {
        let keys: Vec<&str> = terms.iter().flatten().flat_map(|t| &t.labels).map(|r| &*r.key).collect();
        format!("{} {}", driver.as_deref().unwrap_or_default(), keys.join(","))
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["csi.room zone", "csi.room zone", "csi.test kubernetes.io/hostname"]);
}
