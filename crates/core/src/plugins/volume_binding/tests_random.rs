//! Volumes found through the indices compared with a reading of the rules that walks all volumes, over random clusters.
//! Leaves out volumes that have to be made.

use super::claims::Claims;
use crate::fixture::{Cluster, claiming, labelled};
use crate::plugins::fixture_random::Random;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use aisched_model::volume::{AccessModes, BindingMode, Claim, StorageClass, Volume};
use alloc::format;
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
