//! The allocator by example. What it chooses for random pools is compared with the real one in `conformance`.
//! Leaves out the plugin.

use super::*;
use crate::fixture::node;
use aisched_model::Str;
use aisched_model::devices::{
    Amount, Ask, Attribute, Capacity, ClaimRequest, Constraint, Counters, Device, DeviceClass, DeviceTaint, DeviceToleration, Expression,
    Mode, Reach, RequestKind, Scope, Selector, Slice,
};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;

/// Devices of these words: `name attribute=value … +capacity=amount -counter=amount !taint shared`.
pub(crate) fn device(words: &str) -> Device {
    let mut words = words.split(' ');
    let mut device = Device { name: words.next().unwrap().into(), ..Device::default() };
    for word in words {
        let (kind, rest) = word.split_at(1);
        let pair = |text: &str| text.split_once('=').map(|(k, v)| (Str::from(k), Amount::parse(v).unwrap())).unwrap();
        match (kind, word.split_once('=')) {
            ("+", _) => {
                let (name, value) = pair(rest);
                device.capacity.insert(name, Capacity { value, policy: None });
            }
            ("-", _) => device.consumes.push(("set".into(), Counters::from([pair(rest)]))),
            ("!", _) => device.taints.push(DeviceTaint { key: rest.into(), value: "".into(), effect: "NoSchedule".into() }),
            (_, Some((name, value))) => {
                device.attributes.insert(name.into(), Attribute::Text(value.into()));
            }
            (_, None) => device.shared = true,
        }
    }
    device
}

pub(crate) fn slice(name: &str, reach: Reach, devices: &[&str]) -> Slice {
    let devices = devices.iter().map(|words| device(words)).collect();
    let pool = ("d".into(), name.into());
    Slice { name: name.into(), pool, generation: 1, slice_count: 1, reach, counter_sets: Vec::new(), devices }
}

pub(crate) fn class(name: &str) -> DeviceClass {
    DeviceClass { name: name.into(), ..DeviceClass::default() }
}

pub(crate) fn inventory(slices: impl IntoIterator<Item = Slice>) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.set_class(Arc::new(class("c")));
    slices.into_iter().for_each(|slice| drop(inventory.set_slice(Arc::new(slice))));
    inventory
}

pub(crate) fn ask(n: i64) -> Ask {
    Ask { class: "c".into(), mode: Mode::Exact(n), ..Ask::default() }
}

/// A claim of requests `r0`, `r1`, ….
pub(crate) fn claim(name: &str, asks: impl IntoIterator<Item = Ask>) -> DeviceClaim {
    let request = |(i, ask)| ClaimRequest { name: format!("r{i}").into(), kind: RequestKind::Exactly(ask) };
    let (uid, requests) = (format!("uid-{name}").into(), asks.into_iter().enumerate().map(request).collect());
    DeviceClaim { uid, namespace: "default".into(), name: name.into(), requests, ..DeviceClaim::default() }
}

fn all() -> Ask {
    Ask { mode: Mode::All, ..ask(0) }
}

/// Devices given on node `n`, by claim, or the failure.
fn given(inventory: &Inventory, claims: &[&DeviceClaim]) -> Result<String, Failure> {
    let found = allocate(inventory, &node("n"), claims, Some(10_000))?;
    let names = |allocation: &Allocation| allocation.devices.iter().map(|d| &*d.device).collect::<Vec<_>>().join(" ");
    Ok(found.iter().map(names).collect::<Vec<_>>().join(" | "))
}

fn local(devices: &[&str]) -> Inventory {
    inventory([slice("p", Reach::Node("n".into()), devices)])
}

/// Wants an attribute of this value.
#[derive(Debug)]
struct Has(&'static str, &'static str);

impl Expression for Has {
    fn matches(&self, _driver: &str, device: &Device) -> Result<bool, String> {
        match device.attributes.get(self.0) {
            Some(Attribute::Text(text)) => Ok(&**text == self.1),
            _ => Err(format!("no such key: {}", self.0)),
        }
    }
}

fn has(name: &'static str, value: &'static str) -> Ask {
    let selector = Selector { text: Some(name.into()), expression: Ok(Arc::new(Has(name, value))) };
    Ask { selectors: vec![selector], ..ask(1) }
}

#[test]
fn first_devices_that_do_are_given_once() {
    let inventory = local(&["a", "b", "c"]);
    let [one, two, four] = [1, 2, 4].map(|n| claim("x", [ask(n)]));
    assert_eq!(given(&inventory, &[&one, &two]), Ok("a | b c".into()));
    assert_eq!(given(&inventory, &[&claim("x", [ask(2), ask(1)])]), Ok("a b c".into()));
    assert_eq!(given(&inventory, &[&four]), Err(Failure::NoDevices));
    assert_eq!(given(&inventory, &[&claim("x", [all()])]), Ok("a b c".into()));
    assert_eq!(given(&local(&[]), &[&claim("x", [all()])]), Err(Failure::NoDevices));
    let taken =
        DeviceClaim { allocation: Some(Arc::new(allocate(&inventory, &node("n"), &[&two], None).unwrap().remove(0))), ..two.clone() };
    let mut inventory = inventory;
    inventory.set_claim(Arc::new(taken));
    assert_eq!(given(&inventory, &[&one]), Ok("c".into()));
}

#[test]
fn selectors_and_constraints_decide_together() {
    let inventory = local(&["a kind=x numa=0", "b kind=y numa=1", "c kind=x numa=1"]);
    let with = |scope| DeviceClaim {
        constraints: vec![Constraint { requests: Vec::new(), attribute: "d/numa".into(), scope }],
        ..claim("x", [has("kind", "x"), has("kind", "y")])
    };
    assert_eq!(given(&inventory, &[&with(Scope::Same)]), Ok("c b".into()));
    assert_eq!(given(&inventory, &[&with(Scope::Distinct)]), Ok("a b".into()));
    let broken = given(&inventory, &[&claim("x", [has("none", "x")])]);
    let why = "claim default/x: selector #0 on device d/p/a: CEL runtime error: no such key: none";
    assert_eq!(broken, Err(Failure::Broken(why.into())));
}

#[test]
fn first_alternative_that_can_be_had_is_given() {
    let inventory = local(&["a kind=x", "b kind=y"]);
    let alternatives = vec![("two".into(), Ask { mode: Mode::Exact(2), ..has("kind", "x") }), ("one".into(), has("kind", "y"))];
    let request = ClaimRequest { name: "r".into(), kind: RequestKind::FirstAvailable(alternatives) };
    let claim = DeviceClaim { requests: vec![request], ..claim("x", []) };
    let found = allocate(&inventory, &node("n"), &[&claim], None).unwrap();
    assert_eq!((&*found[0].devices[0].request, &*found[0].devices[0].device), ("r/one", "b"));
}

#[test]
fn pools_count_when_complete_and_consistent() {
    let with = |change: fn(&mut Slice)| {
        let mut slice = slice("p", Reach::Node("n".into()), &["a"]);
        change(&mut slice);
        inventory([slice])
    };
    let (one, every) = (claim("x", [ask(1)]), claim("x", [all()]));
    let incomplete = with(|slice| slice.slice_count = 2);
    assert_eq!(given(&incomplete, &[&one]), Err(Failure::NoDevices));
    let why = "claim default/x, request r0: asks for all devices, but resource pool d/p is currently being updated";
    assert_eq!(given(&incomplete, &[&every]), Err(Failure::Broken(why.into())));
    assert_eq!(given(&with(|slice| slice.devices.push(device("a"))), &[&one]), Err(Failure::InvalidPools));
    let mut outdated = with(|slice| slice.slice_count = 2);
    let newer = Slice { name: "q".into(), generation: 2, reach: Reach::Node("m".into()), ..slice("p", Reach::All, &["b"]) };
    outdated.set_slice(Arc::new(newer));
    assert_eq!(given(&outdated, &[&every]), Err(Failure::NoDevices), "the newer generation has nothing for this node");
}

#[test]
fn taints_keep_away_who_does_not_tolerate_them() {
    let inventory = local(&["a !bad", "b"]);
    let toleration = DeviceToleration { key: "bad".into(), operator: "Exists".into(), ..DeviceToleration::default() };
    let tolerating = claim("x", [Ask { tolerations: vec![toleration], ..ask(1) }]);
    assert_eq!(given(&inventory, &[&claim("x", [ask(1)])]), Ok("b".into()));
    assert_eq!(given(&inventory, &[&tolerating]), Ok("a".into()));
}

#[test]
fn partitions_share_what_their_pool_has() {
    let mut slices =
        [slice("p", Reach::Node("n".into()), &["half -mem=20", "full -mem=40", "other -mem=20"]), slice("sets", Reach::All, &[])];
    slices[1].counter_sets = vec![("set".into(), Counters::from([("mem".into(), Amount::parse("40").unwrap())]))];
    for (i, slice) in slices.iter_mut().enumerate() {
        (slice.pool.1, slice.slice_count, slice.name) = ("p".into(), 2, format!("s{i}").into());
    }
    let inventory = inventory(slices);
    assert_eq!(given(&inventory, &[&claim("x", [ask(2)])]), Ok("half other".into()));
    assert_eq!(given(&inventory, &[&claim("x", [ask(3)])]), Err(Failure::NoDevices));
}

#[test]
fn shares_of_a_device_fit_into_it() {
    let mut inventory = local(&["a +mem=10Gi shared"]);
    let sharing = |amount: &str| {
        let capacity = BTreeMap::from([("mem".into(), Amount::parse(amount).unwrap())]);
        claim("x", [Ask { capacity, ..ask(1) }])
    };
    let found = allocate(&inventory, &node("n"), &[&sharing("6Gi")], None).unwrap().remove(0);
    assert_eq!((found.devices[0].consumed["mem"].text(), found.devices[0].share.is_some()), ("6Gi".into(), true));
    inventory.set_claim(Arc::new(DeviceClaim { allocation: Some(Arc::new(found)), ..sharing("6Gi") }));
    assert_eq!(given(&inventory, &[&DeviceClaim { uid: "y".into(), ..sharing("4Gi") }]), Ok("a".into()));
    assert_eq!(given(&inventory, &[&DeviceClaim { uid: "y".into(), ..sharing("5Gi") }]), Err(Failure::NoDevices));
}

#[test]
fn search_ends_when_its_steps_are_used_up() {
    let names: Vec<String> = (0..20).map(|i| format!("d{i}")).collect();
    let inventory = local(&names.iter().map(|name| &**name).collect::<Vec<_>>());
    assert_eq!(given(&inventory, &[&claim("x", [ask(21)])]), Err(Failure::TimedOut));
    assert!(given(&inventory, &[&claim("x", [ask(20)])]).is_ok());
}

#[test]
fn claim_holds_its_pods_to_the_nodes_of_its_devices() {
    let nodes =
        |reach| allocate(&inventory([slice("p", reach, &["a"])]), &node("n"), &[&claim("x", [ask(1)])], None).unwrap().remove(0).nodes;
    let only = nodes(Reach::Node("n".into())).unwrap();
    assert!(only[0].matches("n", &Default::default()) && !only[0].matches("m", &Default::default()));
    assert_eq!(nodes(Reach::All), None);
}
