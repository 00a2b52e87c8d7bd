//! What was found, as allocations: devices with their requests, what their drivers are told, and the nodes they hold the pod to.
//! Leaves out the search.

use super::search::{Picked, Search, Wanted};
use aisched_model::Str;
use aisched_model::devices::{Allocation, Config, PickedDevice, Reach, share_id};
use aisched_model::node::Node;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn allocations(search: &Search<'_>, node: &Node) -> Vec<Allocation> {
    let of = |claim: usize| Allocation {
        devices: search.picked[claim].iter().enumerate().map(|(n, picked)| device(search, claim, picked, n)).collect(),
        config: config(search, claim),
        nodes: nodes(search, claim, node),
        at_s: None,
    };
    (0..search.claims.len()).map(of).collect()
}

/// `request`, or `request/alternative`.
fn full_name(wanted: &Wanted<'_>) -> Str {
    wanted.sub.map_or_else(|| wanted.name.clone(), |sub| format!("{}/{sub}", wanted.name).into())
}

fn device(search: &Search<'_>, claim: usize, picked: &Picked, n: usize) -> PickedDevice {
    let (one, wanted) = (&search.candidates[picked.candidate], &search.wanted[claim][picked.request][picked.sub]);
    let pool = &one.slice.pool;
    let share = one.device.shared.then(|| share_id(&search.claims[claim].uid, pool, &one.device.name, n));
    PickedDevice {
        request: full_name(wanted),
        pool: pool.clone(),
        device: one.device.name.clone(),
        admin: wanted.ask.admin.filter(|admin| *admin && wanted.sub.is_none()),
        tolerations: wanted.ask.tolerations.clone(),
        share,
        consumed: picked.consumed.clone(),
        binding_conditions: one.device.binding_conditions.clone().unwrap_or_default(),
        binding_failure_conditions: one.device.binding_failure_conditions.clone(),
    }
}

/// What drivers are told: first by the classes of the requests, each once, then by the claim. What is about all requests names none.
fn config(search: &Search<'_>, claim: usize) -> Vec<Config> {
    let chosen: Vec<&Wanted<'_>> = search.wanted[claim].iter().zip(&search.chosen[claim]).filter_map(|(subs, i)| subs.get(*i)).collect();
    let mut all: Vec<Config> = Vec::new();
    let mut classes: Vec<(&str, usize, usize)> = Vec::new();
    for wanted in &chosen {
        let class = wanted.class;
        if let Some((_, start, end)) = classes.iter().find(|(name, ..)| *name == &*class.name) {
            all[*start..*end].iter_mut().for_each(|config| config.requests.push(full_name(wanted)));
            continue;
        }
        let start = all.len();
        all.extend(class.config.iter().map(|text| Config { from_class: true, requests: vec![full_name(wanted)], text: text.clone() }));
        classes.push((&class.name, start, all.len()));
    }
    let is_about =
        |config: &Config, wanted: &Wanted<'_>| config.requests.iter().any(|name| name == wanted.name || *name == full_name(wanted));
    let own = search.claims[claim].config.iter();
    all.extend(own.filter(|config| config.requests.is_empty() || chosen.iter().any(|wanted| is_about(config, wanted))).cloned());
    for config in &mut all {
        if chosen.iter().all(|wanted| is_about(config, wanted)) {
            config.requests.clear();
        }
    }
    all
}

/// The nodes from which all devices can be used: this one if any of them is local to it, else those that every slice names.
fn nodes(search: &Search<'_>, claim: usize, node: &Node) -> Option<Vec<NodeSelectorTerm>> {
    let mut common = NodeSelectorTerm::default();
    for picked in &search.picked[claim] {
        let one = &search.candidates[picked.candidate];
        let reach = match &one.slice.reach {
            Reach::PerDevice => one.device.reach.as_ref(),
            reach => Some(reach),
        };
        match reach {
            _ if one.device.binds_to_node => return Some(vec![only(node)]),
            Some(Reach::Node(_)) => return Some(vec![only(node)]),
            Some(Reach::Nodes(terms)) => {
                for term in terms {
                    add_new(&mut common.fields, &term.fields);
                    add_new(&mut common.labels, &term.labels);
                }
            }
            Some(Reach::All | Reach::PerDevice | Reach::Unknown) | None => {}
        }
    }
    (!common.is_empty()).then(|| vec![common])
}

fn only(node: &Node) -> NodeSelectorTerm {
    let name = Requirement { key: "metadata.name".into(), operator: Operator::In, values: vec![node.name.clone()] };
    NodeSelectorTerm { labels: Vec::new(), fields: vec![name] }
}

/// Adds the requirements that are not there yet, whatever the order of their values.
fn add_new(all: &mut Vec<Requirement>, new: &[Requirement]) {
    for requirement in new {
        let same = |known: &Requirement| {
            known.key == requirement.key
                && known.operator == requirement.operator
                && known.values.iter().all(|v| requirement.values.contains(v))
                && requirement.values.iter().all(|v| known.values.contains(v))
        };
        if !all.iter().any(same) {
            all.push(requirement.clone());
        }
    }
}
