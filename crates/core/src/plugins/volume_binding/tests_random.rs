//! Volumes found through the indices, and room as it is counted, compared with a reading of the rules that walks everything, over random
//! clusters. Leaves out which room a volume is made in.

use super::claims::Claims;
use crate::cache::Cache;
use crate::fixture::{Cluster, claiming, labelled};
use crate::plugins::fixture_random::Random;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{AccessModes, BindingMode, Claim, StorageCapacity, StorageClass, Volume};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

const CLASSES: [&str; 2] = ["local", "other"];

fn requirement(random: &mut Random) -> Requirement {
    let key = ["host", "zone"][usize::from(random.chance(50))];
    let operator = [Operator::In, Operator::In, Operator::NotIn, Operator::Exists][usize::try_from(random.below(4)).unwrap()];
    let n_values = if matches!(operator, Operator::In | Operator::NotIn) { 1 + random.below(2) } else { 0 };
    let values = (0..n_values).map(|_| format!("{}{}", &key[..1], random.below(3)).into()).collect();
    Requirement { key: key.into(), operator, values }
}

fn modes(random: &mut Random) -> AccessModes {
    AccessModes { read_write_once: random.chance(80), read_write_many: random.chance(30), ..AccessModes::default() }
}

fn volume(random: &mut Random, i: u64) -> Volume {
    let terms = random.chance(80).then(|| {
        let term = |random: &mut Random| {
            let labels = (0..random.below(3)).map(|_| requirement(random)).collect();
            NodeSelectorTerm { labels, fields: Vec::new() }
        };
        (0..random.below(3)).map(|_| term(random)).collect()
    });
    let uid = if random.chance(50) { "" } else { "uid-c0" };
    Volume {
        name: format!("pv{i}").into(),
        storage_class: CLASSES[usize::from(random.chance(20))].into(),
        capacity: i64::try_from(random.below(6)).unwrap(),
        node_affinity: terms,
        available: random.chance(85),
        deleting: random.chance(5),
        block: random.chance(10),
        access_modes: modes(random),
        labels: Labels::from([("disk", ["ssd", "hdd"][usize::from(random.chance(50))])]),
        claim: random.chance(10).then(|| ("default".into(), ["c0", "c9"][usize::from(random.chance(30))].into(), uid.into())),
        ..Volume::default()
    }
}

fn claim(random: &mut Random, i: u64) -> Claim {
    let ssd = Requirement { key: "disk".into(), operator: Operator::In, values: ["ssd".into()].into() };
    Claim {
        uid: format!("uid-c{i}").into(),
        namespace: "default".into(),
        name: format!("c{i}").into(),
        storage_class: Some(CLASSES[usize::from(random.chance(20))].into()),
        requested: i64::try_from(1 + random.below(4)).unwrap(),
        block: random.chance(10),
        access_modes: AccessModes { read_write_once: true, ..AccessModes::default() },
        selector: random.chance(30).then(|| LabelSelector([ssd].into())),
        ..Claim::default()
    }
}

fn cluster(random: &mut Random) -> Cluster {
    let wait = |name: &str| StorageClass {
        name: name.into(),
        provisioner: "kubernetes.io/no-provisioner".into(),
        binding_mode: BindingMode::WaitForFirstConsumer,
        ..StorageClass::default()
    };
    let mut cluster = CLASSES.into_iter().fold(Cluster::default(), |c, class| c.class(wait(class)));
    for i in 0..3_u64 {
        let zone = format!("z{}", random.below(3));
        let (host, name) = (format!("h{i}"), format!("n{i}"));
        let all = [("host", host.as_str()), ("zone", zone.as_str())];
        let mut node = labelled(&name, []);
        node.labels = all.into_iter().filter(|_| random.chance(90)).collect();
        cluster = cluster.node(node);
    }
    for i in 0..random.below(14) {
        cluster = cluster.volume(volume(random, i));
    }
    // Some change afterwards: the indices have to follow.
    for i in 0..random.below(6) {
        cluster = cluster.volume(volume(random, i));
    }
    (0..3).fold(cluster, |cluster, i| cluster.claim(claim(random, i)))
}

/// `claim=volume` for each claim, smallest claim first, or nothing when one of them finds none.
fn naive(snapshot: &Snapshot, node: &Node) -> Option<Vec<(Str, Str)>> {
    let mut claims: Vec<&Claim> = snapshot.claims.values().map(|c| &**c).collect();
    claims.sort_by_key(|c| c.requested);
    let mut taken: Vec<(Str, Str)> = Vec::new();
    for claim in claims {
        let suits = |v: &&Volume| {
            Some(&v.storage_class) == claim.storage_class.as_ref()
                && v.capacity >= claim.requested
                && v.block == claim.block
                && !v.deleting
                && taken.iter().all(|(_, name)| *name != v.name)
        };
        let all: Vec<&Volume> = snapshot.volumes.values().map(|v| &**v).filter(suits).collect();
        let reachable = |v: &Volume| match &v.node_affinity {
            None => true,
            Some(terms) => terms.iter().any(|t| !t.labels.is_empty() && t.labels.iter().all(|r| r.matches(&node.labels))),
        };
        let found = match all.iter().find(|v| v.is_for(claim)) {
            Some(own) => reachable(own).then_some(*own),
            None => {
                let fits = |v: &&&Volume| {
                    v.claim.is_none()
                        && v.available
                        && reachable(v)
                        && claim.selector.as_ref().is_none_or(|s| s.matches(&v.labels))
                        && (v.access_modes.read_write_once || !claim.access_modes.read_write_once)
                };
                all.iter().filter(fits).min_by_key(|v| (v.capacity, v.name.clone())).copied()
            }
        };
        taken.push((claim.name.clone(), found?.name.clone()));
    }
    Some(taken)
}

#[test]
fn indices_find_what_a_walk_over_all_volumes_finds() {
    let mut n_found = 0;
    for seed in 0..3000 {
        let cluster = cluster(&mut Random::new(seed));
        let pod = claiming("p", ["c0", "c1", "c2"]);
        let claims = Claims::of(&pod, &cluster.snapshot).unwrap_or_default();
        for info in &cluster.snapshot.nodes {
            let found = claims.on(info).ok();
            let found = found.map(|p| p.bind.iter().map(|(c, v)| (c.name.clone(), v.name.clone())).collect::<Vec<_>>());
            n_found += usize::from(found.is_some());
            assert_eq!(found, naive(&cluster.snapshot, &info.node), "seed {seed}, node {}", info.node.name);
        }
    }
    assert!(n_found > 100, "only {n_found} placements were found: the clusters are too poor to tell anything");
}

/// Something happens to a node, a claim or a room.
fn happening(random: &mut Random, cache: &mut Cache) {
    let (i, gone) = (random.below(3), random.chance(25));
    let name = |kind: &str| Str::from(format!("{kind}{i}"));
    match random.below(3) {
        0 if gone => drop(cache.remove_node(&name("n"))),
        0 => {
            let (host, zone) = (format!("h{}", random.below(3)), format!("z{}", random.below(3)));
            drop(cache.set_node(Arc::new(labelled(&name("n"), [("host", &host), ("zone", &zone)]))));
        }
        1 if gone => drop(cache.remove_claim("default".into(), name("c"))),
        1 => {
            let selected_node = random.chance(80).then(|| format!("n{}", random.below(3)).into());
            let volume = random.chance(20).then(|| "pv".into());
            cache.set_claim(Arc::new(Claim { selected_node, volume, ..claim(random, i) }));
        }
        _ if gone => drop(cache.objects().remove_capacity(&("csi".into(), name("r")))),
        _ => {
            let nodes = random.chance(90).then(|| LabelSelector((0..random.below(3)).map(|_| requirement(random)).collect()));
            let size = |random: &mut Random| random.chance(70).then(|| i64::try_from(random.below(9)).unwrap());
            cache.objects().set_capacity(Arc::new(StorageCapacity {
                namespace: "csi".into(),
                name: name("r"),
                storage_class: CLASSES[usize::from(random.chance(20))].into(),
                nodes,
                capacity: size(random),
                maximum_volume_size: size(random),
            }));
        }
    }
}

#[test]
fn promised_room_is_what_a_walk_over_all_claims_finds() {
    let mut n_promised = 0;
    for seed in 0..1000 {
        let (mut random, mut cache) = (Random::new(seed), Cache::default());
        for _ in 0..40 {
            happening(&mut random, &mut cache);
            let snapshot = cache.snapshot();
            for room in snapshot.capacities.values().filter(|room| room.limit().is_some()) {
                let reaches = |node: &Str| {
                    snapshot.node(node).is_some_and(|info| room.nodes.as_ref().is_some_and(|nodes| nodes.matches(&info.node.labels)))
                };
                let of_class = |claim: &&Arc<Claim>| claim.is_pending() && claim.storage_class.as_ref() == Some(&room.storage_class);
                let pending = snapshot.claims.values().filter(of_class).filter(|claim| claim.selected_node.as_ref().is_some_and(reaches));
                let expected = pending.map(|claim| i128::from(claim.requested)).sum::<i128>();
                n_promised += usize::from(expected > 0);
                assert_eq!(snapshot.promised(room), expected, "seed {seed}: {room:?}");
            }
        }
    }
    assert!(n_promised > 1000, "only {n_promised} promises were made");
}
