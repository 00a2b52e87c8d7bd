//! Where a gang may be looked for: domains of nodes, level by level from the closest, and how many of its pods each has room for.
//! Leaves out trying a domain, which is what decides (`engine::crew`).

use super::Gang;
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// The most domains of a level that are tried.
const MOST: usize = 16;

/// Nodes that are near each other.
pub(crate) struct Domain {
    pub(crate) name: Str,
    /// By their position in the snapshot.
    pub(crate) nodes: Vec<bool>,
    /// How many pods of the gang have room there, as far as requests tell.
    pub(crate) room: usize,
}

/// The levels on which a gang is looked for before the whole cluster is, each with its domains that could take so many of its pods.
/// The members that have a node already are in each of them where the level is required.
pub(crate) fn levels(gang: &Gang, snapshot: &Snapshot, crew: &[Arc<Pod>], needed: usize) -> Vec<Vec<Domain>> {
    let by_label = |key: &Str| -> Vec<Domain> { domains(snapshot, crew, needed, |info| info.node.labels.get(key)) };
    let homes: Vec<usize> = gang.placed(snapshot).filter_map(|(_, placed)| snapshot.node_idx(&placed.node)).collect();
    let mut levels: Vec<Vec<Domain>> = gang.near.preferred.iter().map(by_label).collect();
    match &gang.near.required {
        Some(key) => {
            levels.push(by_label(key));
            let allowed = |domain: &Domain| {
                let mut values =
                    domain.nodes.iter().enumerate().filter(|(_, within)| **within).map(|(i, _)| i).chain(homes.iter().copied());
                let first = values.next().and_then(|i| snapshot.nodes[i].node.labels.get(key));
                first.is_some() && values.all(|i| snapshot.nodes[i].node.labels.get(key) == first)
            };
            levels.iter_mut().for_each(|domains| domains.retain(allowed));
        }
        None if gang.near.preferred.is_none() => {
            levels.push(domains(snapshot, crew, needed, |info| info.node.storage.rack.as_ref()));
            levels.push(domains(snapshot, crew, needed, |info| info.node.storage.zone.as_ref()));
        }
        None => {}
    }
    levels
}

/// The domains of one level with room enough, the fullest first: where there are too many to try, those that leave the least over.
fn domains<'a>(snapshot: &'a Snapshot, crew: &[Arc<Pod>], needed: usize, of: impl Fn(&'a NodeInfo) -> Option<&'a Str>) -> Vec<Domain> {
    let mut found: BTreeMap<&Str, Domain> = BTreeMap::new();
    for (i, info) in snapshot.nodes.iter().enumerate() {
        let Some(name) = of(info) else { continue };
        let n = snapshot.nodes.len();
        let domain = found.entry(name).or_insert_with(|| Domain { name: name.clone(), nodes: vec![false; n], room: 0 });
        domain.nodes[i] = true;
        domain.room = domain.room.saturating_add(room(info, crew));
    }
    let mut domains: Vec<Domain> = found.into_values().filter(|domain| domain.room >= needed).collect();
    domains.sort_by(|a, b| (a.room, &a.name).cmp(&(b.room, &b.name)));
    domains.truncate(MOST);
    domains
}

/// How many pods a node has room for, were they all like the smallest of the crew in each resource: never too few.
fn room(info: &NodeInfo, crew: &[Arc<Pod>]) -> usize {
    let (all, used) = (&info.node.allocatable, &info.requested);
    let least = |amount: &dyn Fn(&Pod) -> i64| crew.iter().map(|pod| amount(pod)).min().unwrap_or(0);
    let times = |free: i64, each: i64| if each > 0 { usize::try_from(free.max(0) / each).unwrap_or(0) } else { usize::MAX };
    let cpu = times(all.cpu.0 - used.cpu.0, least(&|pod| pod.spec.requests.cpu.0));
    let memory = times(all.memory.0 - used.memory.0, least(&|pod| pod.spec.requests.memory.0));
    let pods = usize::try_from(info.node.allocatable_pods).unwrap_or(0).saturating_sub(info.pods.len());
    cpu.min(memory).min(pods).min(crew.len())
}
