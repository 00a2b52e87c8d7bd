//! The plugin by example: which nodes, what is said of a pod that gets no devices, what is planned.
//! Leaves out which devices are chosen (`crate::devices`).

use super::*;
use crate::devices::tests::{ask, claim, class, slice};
use crate::engine::{Engine, EngineOptions};
use crate::event::{Action, BindOutcome, DeviceNews, Event, PodRef};
use crate::fixture::{Cluster, node, pod, with};
use crate::profile::{Profile, Weight};
use aisched_model::Str;
use aisched_model::devices::{Attach, DeviceClass, PodClaim, PodClaimSource, Reach};
use aisched_model::resources::Resources;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec;

/// A pod that uses claims of these names.
fn using(name: &str, claims: &[&str]) -> Pod {
    let own = |claim: &&str| PodClaim { name: (*claim).into(), source: PodClaimSource::Named((*claim).into()) };
    with(pod(name), |s| s.device_claims = claims.iter().map(own).collect())
}

fn profile(plugins: &[&str]) -> Profile {
    Profile::of("ai-storage-scheduler", plugins.iter().map(|name| (*name, Weight::Fixed(1))))
}

/// Nodes `a` with one device and `b` with two.
fn cluster(claims: impl IntoIterator<Item = DeviceClaim>) -> Cluster {
    let mut cluster = Cluster::of([node("a"), node("b")]);
    let inventory = &mut cluster.snapshot.devices;
    inventory.set_class(Arc::new(class("c")));
    inventory.set_slice(Arc::new(slice("a", Reach::Node("a".into()), &["a0"])));
    inventory.set_slice(Arc::new(slice("b", Reach::Node("b".into()), &["b0", "b1"])));
    claims.into_iter().for_each(|claim| drop(inventory.set_claim(Arc::new(claim))));
    cluster
}

fn allocated_on(name: &str, node_name: &str, reserved_for: &[&str]) -> DeviceClaim {
    let cluster = cluster([]);
    let claim = claim(name, [ask(1)]);
    let allocation = allocate(&cluster.snapshot.devices, &node(node_name), &[&claim], None).unwrap().remove(0);
    DeviceClaim { allocation: Some(Arc::new(allocation)), reserved_for: reserved_for.iter().map(|uid| (*uid).into()).collect(), ..claim }
}

#[test]
fn pod_goes_where_its_claims_can_be_had() {
    for (asked, feasible) in [(1, &["a", "b"][..]), (2, &["b"]), (3, &[])] {
        let decision = cluster([claim("x", [ask(asked)])]).decide(&[NAME], &using("p", &["x"]));
        assert!(decision.feasible().iter().map(|n| &**n).eq(feasible.iter().copied()), "{asked}: {:?}", decision.feasible());
    }
    let decision = cluster([allocated_on("x", "a", &[])]).decide(&[NAME], &using("p", &["x"]));
    assert_eq!(decision.feasible(), [Str::from("a")]);
    assert_eq!(&*decision.nodes[1].reasons[0].message, "resourceclaim not available on the node");
}

#[test]
fn pod_without_devices_is_told_why_in_kube_schedulers_words() {
    let preempting = [NAME, "DefaultPreemption"];
    let in_process = DeviceClaim { pending: Some(Arc::default()), ..claim("x", [ask(1)]) };
    let classless = claim("x", [aisched_model::devices::Ask { class: "none".into(), ..ask(1) }]);
    let help = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    for (claim, reason) in [
        (claim("x", [ask(9)]), "2 cannot allocate all claims"),
        (in_process, "resource claim default/x is in the process of being allocated"),
        (classless, "request r0: device class none does not exist"),
        (DeviceClaim { deleting: true, ..claim("x", [ask(1)]) }, "resourceclaim \"x\" is being deleted"),
        (DeviceClaim { name: "other".into(), ..claim("x", [ask(1)]) }, "could not find ResourceClaim \"default/x\""),
    ] {
        let decision = cluster([claim]).decide(&preempting, &using("p", &["x"]));
        assert_eq!(decision.message.as_deref(), Some(&*format!("0/2 nodes are available: {reason}. {help}")));
    }
}

#[test]
fn broken_claim_is_an_error_of_the_attempt() {
    let broken = DeviceClaim {
        constraints: vec![aisched_model::devices::Constraint {
            requests: Vec::new(),
            attribute: "".into(),
            scope: aisched_model::devices::Scope::Unknown,
        }],
        ..claim("x", [ask(1)])
    };
    let outcome = cluster([broken]).outcome(&profile(&[NAME]), &using("p", &["x"]));
    let why = "running \"DynamicResources\" filter plugin: claim default/x, constraint #0: empty constraint (unsupported constraint type?)";
    assert_eq!((outcome.error.as_deref(), outcome.decision.node), (Some(why), None));
}

#[test]
fn pod_waits_until_its_claims_are_made() {
    let plugin = DynamicResources::default();
    let templated = |name: &str| {
        let own = PodClaim { name: "gpu".into(), source: PodClaimSource::Template("t".into()) };
        with(pod(name), |s| s.device_claims = vec![own.clone()])
    };
    let made = Pod { claims_made: vec![("gpu".into(), Some("x".into()))], ..templated("p") };
    let unneeded = Pod { claims_made: vec![("gpu".into(), None)], ..templated("p") };
    let owned = DeviceClaim { owner_uid: Some("uid-p".into()), ..claim("x", [ask(1)]) };
    let there = cluster([owned.clone()]).snapshot;
    let not_created = "pod \"default/p\": ResourceClaim not created yet";
    let strange = "ResourceClaim default/x was not created for Pod default/q (Pod is not owner)";
    for (pod, expected) in [
        (templated("p"), Some(not_created)),
        (made.clone(), None),
        (unneeded, None),
        (Pod { claims_made: made.claims_made.clone(), ..templated("q") }, Some(strange)),
        (pod("p"), None),
    ] {
        assert_eq!(plugin.gate(&pod, &there).as_deref(), expected);
    }
    let (old, new) = (templated("p"), made.clone());
    assert!(plugin.helps(&new, &ClusterEvent::OwnChange { old: &old, new: &new }));
    assert!(plugin.helps(&new, &ClusterEvent::DeviceClaim { old: None, new: Some(&owned) }));
}

#[test]
fn claims_that_become_free_help_any_pod_and_others_only_their_own() {
    let plugin = DynamicResources::default();
    let (has, free) = (allocated_on("x", "a", &[]), claim("x", [ask(1)]));
    let reserved = allocated_on("x", "a", &["uid-q"]);
    let (user, other) = (using("p", &["x"]), using("p", &["y"]));
    for (old, new, helps_user, helps_other) in [
        (Some(&has), Some(&free), true, true),
        (Some(&has), None, true, true),
        (Some(&free), None, false, false),
        (None, Some(&free), true, false),
        (Some(&reserved), Some(&has), true, false),
        (Some(&has), Some(&has), false, false),
    ] {
        let event = ClusterEvent::DeviceClaim { old, new };
        assert_eq!((plugin.helps(&user, &event), plugin.helps(&other, &event)), (helps_user, helps_other), "{event:?}");
    }
}

#[test]
fn claim_that_nobody_else_uses_gives_up_devices_that_are_out_of_reach() {
    for (reserved_for, remedied) in [(&[][..], true), (&["uid-p"], true), (&["uid-q"], false), (&["uid-p", "uid-q"], false)] {
        let mut cluster = cluster([allocated_on("x", "a", reserved_for)]);
        cluster.snapshot.nodes.retain(|node| &*node.node.name == "b");
        let outcome = cluster.outcome(&profile(&[NAME, "DefaultPreemption"]), &using("p", &["x"]));
        let message = outcome.decision.message.unwrap();
        assert_eq!(message.contains(" deallocation of ResourceClaim completed, preemption: "), remedied, "{message}");
        assert_eq!(outcome.remedy.is_some(), remedied);
    }
}

#[test]
fn extended_resource_becomes_a_claim_where_no_plugin_offers_it() {
    let mut cluster = cluster([]);
    let gpu: Str = "x.io/gpu".into();
    cluster.snapshot.devices.set_class(Arc::new(DeviceClass { extended_resource: Some(gpu.clone()), ..class("c") }));
    let mut requests = Resources::default();
    requests.set_scalar(&gpu, 2);
    let container =
        |index, n, short_lived| Attach { index, container: format!("c{index}").into(), short_lived, asks: vec![(gpu.clone(), n, 1)] };
    let pod = with(pod("p"), |s| (s.requests, s.attach) = (requests, vec![container(0, 1, true), container(1, 2, false)]));
    let outcome = cluster.outcome(&profile(&["NodeResourcesFit", NAME]), &pod);
    assert_eq!(outcome.decision.node.as_deref(), Some("b"));
    let plan = outcome.claims.unwrap();
    let given: Vec<_> = plan.claims[0].give.as_ref().unwrap().devices.iter().map(|d| (&*d.request, &*d.device)).collect();
    assert_eq!(given, [("container-1-request-1", "b0"), ("container-1-request-1", "b1")]);
    let mappings: Vec<_> = plan.mappings.iter().map(|m| (&*m.container, &*m.request)).collect();
    assert_eq!(mappings, [("c1", "container-1-request-1"), ("c0", "container-1-request-1")]);
}

/// A random history of pods, claims and binds that end well or badly, late and out of order.
#[test]
fn no_device_is_ever_given_twice() {
    for seed in 0..30_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |n: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % n
        };
        let mut engine = Engine::new(vec![Profile::of("ai-storage-scheduler", [(NAME, Weight::Fixed(2))])], EngineOptions::default());
        for name in ["a", "b"] {
            engine.handle(0, Event::NodeSet(Arc::new(node(name)), Vec::new()));
            engine.handle(0, Event::Devices(DeviceNews::Slice(Arc::new(slice(name, Reach::Node(name.into()), &["0", "1", "2"])))));
        }
        engine.handle(0, Event::Devices(DeviceNews::Class(Arc::new(class("c")))));
        engine.handle(0, Event::Synced);
        // The API server: claims as they are written there.
        let mut written: alloc::collections::BTreeMap<Str, DeviceClaim> = Default::default();
        let (mut under_way, mut n_pods): (Vec<(PodRef, Str, Arc<ClaimPlan>)>, usize) = (Vec::new(), 0);
        for now in 0..300_u64 {
            match next(6) {
                0 | 1 => {
                    let name = format!("p{n_pods}");
                    n_pods += 1;
                    let claim = DeviceClaim { version: now + 1, ..claim(&name, [ask(1 + i64::try_from(next(2)).unwrap())]) };
                    written.insert(claim.name.clone(), claim.clone());
                    engine.handle(now, Event::Devices(DeviceNews::Claim(Arc::new(claim))));
                    engine.handle(now, Event::PodSet(Arc::new(using(&name, &[&name]))));
                }
                2 | 3 if !under_way.is_empty() => {
                    let (pod, node, plan) = under_way.swap_remove(next(under_way.len()));
                    let bound = next(3) > 0;
                    for part in plan.claims.iter().filter(|_| bound) {
                        let claim = written.get_mut(&part.claim.name).unwrap();
                        (claim.allocation, claim.version) = (part.give.clone(), now + 1);
                        engine.handle(now, Event::Devices(DeviceNews::Claim(Arc::new(claim.clone()))));
                    }
                    let outcome = if bound { BindOutcome::Bound } else { BindOutcome::NoDevices("unlucky".into()) };
                    engine.handle(now, Event::BindEnded { pod, node, outcome });
                }
                4 => {
                    let having =
                        written.values().filter(|claim| claim.allocation.is_some()).map(|claim| claim.name.clone()).collect::<Vec<_>>();
                    if let Some(name) = (!having.is_empty()).then(|| having[next(having.len())].clone()) {
                        let claim = written.remove(&name).unwrap();
                        engine.handle(
                            now,
                            Event::PodGone(PodRef { uid: format!("uid-{name}").into(), namespace: "default".into(), name: name.clone() }),
                        );
                        engine.handle(now, Event::Devices(DeviceNews::ClaimGone(claim.namespace, claim.name)));
                    }
                }
                _ => {
                    // What the watch shows late is no news.
                    if let Some(claim) = written.values().next() {
                        let old = DeviceClaim { allocation: None, version: claim.version.saturating_sub(1).max(1), ..claim.clone() };
                        engine.handle(now, Event::Devices(DeviceNews::Claim(Arc::new(old))));
                    }
                }
            }
            for _ in 0..4 {
                for action in engine.poll(now * 20_000) {
                    if let Action::Bind { pod, node, claims: Some(plan), .. } = action {
                        under_way.push((pod, node, plan));
                    }
                }
            }
            let planned = under_way.iter().flat_map(|(_, _, plan)| plan.claims.iter().filter_map(|part| part.give.as_ref()));
            let mut seen = BTreeSet::new();
            for device in written.values().filter_map(|claim| claim.allocation.as_ref()).chain(planned).flat_map(|a| &a.devices) {
                assert!(
                    seen.insert((device.pool.clone(), device.device.to_string())),
                    "seed {seed}, {now}: {} is given twice",
                    device.device
                );
            }
        }
        assert!(n_pods > 50, "seed {seed}: something happened");
    }
}
