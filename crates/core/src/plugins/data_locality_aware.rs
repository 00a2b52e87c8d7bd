//! Prefers nodes that are near the pod's data: by APOLLO, by its claims, by caches, by zone and rack; obeys the nodes that APOLLO requires.
//! Source: `scoring.md` §3. Whether a claim can be used from a node at all is the volume plugins' business; see `claims` for its score.

mod claims;
mod fluid;
mod past;

pub(crate) use claims::is_local;

use super::ai_storage::{NOT_ALLOWED, Preferences, Text, bounded, components, hints_changed, total};
use crate::decision::Components;
use crate::framework::{Attempt, ClusterEvent, Fact, Filter, Plugin, Prepared, Reads, Refusal, Score};
use crate::workload_profile::{Source, WorkloadProfile};
use aisched_model::Str;
use aisched_model::config::DataLocalityScoring;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::policy::PolicyDecision;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::{StorageFacts, Temperature};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use claims::Claims;

/// The guide's plugin of the same name.
pub(crate) struct DataLocalityAware;

impl Plugin for DataLocalityAware {
    fn name(&self) -> &'static str {
        "DataLocalityAware"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let required = attempt.policy.filter(|p| p.decision == PolicyDecision::Require).map(|_| Preferences::of(attempt));
        let required = required.filter(|known| !known.is_empty());
        Prepared {
            filter: required.map(|preferences| Box::new(Required { preferences }) as Box<dyn Filter>),
            score: has_data_signal(attempt).then(|| Box::new(Scorer::of(attempt)) as Box<dyn Score>),
            ..Prepared::default()
        }
    }

    /// The filter reads which of the required nodes exist: one may come, and when the last one goes the requirement goes with it.
    fn helps(&self, _pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::NodeGone(..) => true,
            ClusterEvent::OwnChange { old, new } => hints_changed(old, new),
            _ => false,
        }
    }
}

/// Whether anything says where the pod's data might be.
fn has_data_signal(attempt: &Attempt<'_>) -> bool {
    let w = attempt.workload;
    attempt.policy.is_some()
        || attempt.pod.claims().next().is_some()
        || w.datasets.is_some()
        || w.preferred_zone.is_some()
        || w.preferred_rack.is_some()
        || w.is_preprocessing()
}

/// Lets only the nodes pass that APOLLO requires.
struct Required<'a> {
    preferences: Preferences<'a>,
}

impl Filter for Required<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let allowed = self.preferences.listed(&node.node.name).is_some();
        (!allowed).then(|| Refusal::unresolvable(NOT_ALLOWED))
    }

    fn detail(&self, _node: &NodeInfo) -> Option<String> {
        Some(format!("APOLLO requires one of {}", self.preferences.names()))
    }
}

const NAMES: [&str; 4] = ["apollo", "pvcLocality", "cache", "topology"];

/// Scores nodes for one pod.
struct Scorer<'a> {
    preferences: Preferences<'a>,
    /// Nodes that hold the data, by name.
    data_locations: Vec<&'a str>,
    /// Nodes that cache the data, by name.
    cached_on: Vec<&'a str>,
    claims: Claims<'a>,
    snapshot: &'a Snapshot,
    fluid: fluid::Datasets<'a>,
    past: past::Past<'a>,
    workload: &'a WorkloadProfile,
    topology: Topology<'a>,
    max: &'a DataLocalityScoring,
}

impl<'a> Scorer<'a> {
    fn of(attempt: &Attempt<'a>) -> Self {
        let data_locations = attempt.policy.map(|p| sorted(&p.data_locations)).unwrap_or_default();
        let cached_on = attempt.policy.map(|p| sorted(&p.cached_on_nodes)).unwrap_or_default();
        Self {
            preferences: Preferences::of(attempt),
            topology: Topology::of(attempt.workload, attempt.snapshot, data_locations.iter().chain(&cached_on)),
            data_locations,
            cached_on,
            snapshot: attempt.snapshot,
            claims: Claims::of(attempt.pod, attempt.snapshot, &attempt.config.signals),
            fluid: fluid::Datasets::of(attempt.pod, attempt.snapshot, &attempt.config.signals),
            past: past::Past::of(attempt.pod, attempt.snapshot, &attempt.config.signals),
            workload: attempt.workload,
            max: &attempt.config.plugins.data_locality_aware.scoring,
        }
    }

    fn apollo(&self, node: &str) -> i64 {
        if self.holds_data(node) { self.max.apollo } else { self.preferences.points(node, self.max.apollo) }
    }

    fn holds_data(&self, node: &str) -> bool {
        self.data_locations.binary_search(&node).is_ok()
    }

    fn is_cached_on(&self, node: &str) -> bool {
        self.cached_on.binary_search(&node).is_ok()
    }

    fn n_cached(&self, datasets: &[Str], node: &StorageFacts) -> usize {
        datasets.iter().filter(|d| node.cached_datasets.iter().any(|c| holds(c, d))).count()
    }

    /// Example, of 20: one of two datasets on a hot node is 15 × 1 / 2 + 5 = 12.
    fn cache(&self, Node { name, labels, storage: node, .. }: &Node) -> i64 {
        let max = self.max.cache;
        if self.is_cached_on(name) {
            return max;
        }
        let bonus = bonus(node, max);
        match &self.workload.datasets {
            Some((datasets, _)) => match self.n_cached(datasets, node) {
                0 => 0,
                n => max * 3 / 4 * as_points(n) / as_points(datasets.len()) + bonus,
            },
            None if !self.fluid.is_empty() => self.fluid.points(labels, max),
            None => self.past.points(name, max).into_iter().chain([guess(node, max, bonus)]).max().unwrap_or(0),
        }
    }

    fn points(&self, node: &NodeInfo) -> [i64; 4] {
        let (max, name, facts) = (self.max, &*node.node.name, &node.node.storage);
        [
            bounded(self.apollo(name), max.apollo),
            bounded(self.claims.points(node, max.pvc_locality), max.pvc_locality),
            bounded(self.cache(&node.node), max.cache),
            bounded(self.topology.points(facts, max.topology), max.topology),
        ]
    }

    fn cache_text(&self, Node { name, labels, storage: node, .. }: &Node) -> Text {
        if self.is_cached_on(name) {
            return "cached here, says APOLLO".into();
        }
        let max = self.max.cache;
        let bonus = bonus(node, max);
        let temperature = match node.temperature {
            Some(Temperature::Hot) => ", hot",
            Some(Temperature::Warm) => ", warm",
            Some(Temperature::Cold) => ", cold",
            None => "",
        };
        match &self.workload.datasets {
            Some((datasets, source)) => {
                let (n, of, source) = (self.n_cached(datasets, node), datasets.len(), source.as_str());
                let datasets = if of == 1 { "dataset" } else { "datasets" };
                format!("{n} of {of} {datasets} ({source}) cached here{temperature}").into()
            }
            None if !self.fluid.is_empty() => self.fluid.source(labels).into(),
            None if self.past.points(name, max).is_some_and(|points| points > guess(node, max, bonus)) => {
                self.past.source(name).unwrap_or_default().into()
            }
            None if node.cached_datasets.is_empty() => "datasets not known, none cached here".into(),
            None => format!("datasets not known, {} cached here{temperature}", node.cached_datasets.len()).into(),
        }
    }
}

impl Score for Scorer<'_> {
    /// Which nodes exist is known: when one comes or goes, everything is looked at anew.
    fn reads(&self) -> Reads {
        let Some(of_claims) = self.claims.reads(self.snapshot).filter(|_| self.fluid.is_empty()) else { return Reads::Anything };
        let name = |name: &&str| Fact::Name(Str::from(*name));
        let number = |n: usize| Fact::Number(n as u64);
        let (zones, racks) = (&self.topology.zones, &self.topology.racks);
        let topology = zones.iter().chain(racks).map(name);
        let counts = [number(zones.len()), number(racks.len())];
        Reads::Node(self.past.facts().chain(counts).chain(topology).chain(of_claims).collect())
    }

    fn names_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        total(&self.points(node))
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let (name, facts) = (&*node.node.name, &node.node.storage);
        let apollo = if self.holds_data(name) { "holds the data, says APOLLO".into() } else { self.preferences.source(name) };
        let sources = [apollo, self.claims.source(node).into(), self.cache_text(&node.node), self.topology.source(facts)];
        components(NAMES, self.points(node), sources)
    }
}

/// Whether what a node caches is a pod's dataset, or a model that the pod reads a part of: `hf://org/model` holds `hf://org/model/v2`.
fn holds(cached: &str, wanted: &str) -> bool {
    let part_of = |rest: &str| rest.starts_with('/') && cached.contains("://");
    cached.eq_ignore_ascii_case(wanted) || wanted.strip_prefix(cached).is_some_and(part_of)
}

/// What a node's temperature adds to data that is cached there.
fn bonus(node: &StorageFacts, max: i64) -> i64 {
    match node.temperature {
        Some(Temperature::Hot) => max / 4,
        Some(Temperature::Warm) => max / 8,
        Some(Temperature::Cold) | None => 0,
    }
}

/// For a pod whose datasets are not known: a node that caches anything may cache them.
fn guess(node: &StorageFacts, max: i64, bonus: i64) -> i64 {
    if node.cached_datasets.is_empty() { max / 4 } else { max / 2 + bonus }
}

/// Trimmed names that are not blank, in order.
fn sorted(names: &[Str]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(|n| n.trim()).filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    names
}

/// A count as a number to reckon with.
fn as_points(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Zones and racks preferred; both empty when nothing is.
struct Topology<'a> {
    zones: Vec<&'a str>,
    racks: Vec<&'a str>,
    /// Where the preference comes from; `None` when it is where the data is.
    source: Option<Source>,
}

/// How a node stands to the preferred zones and racks.
enum Nearness {
    Unasked,
    Rack,
    /// The zone; whether that is all that was asked for.
    Zone {
        enough: bool,
    },
    Elsewhere,
}

impl<'a> Topology<'a> {
    /// The profile's zone and rack; when it names neither, those of the nodes where the data is.
    fn of<'n>(workload: &'a WorkloadProfile, snapshot: &'a Snapshot, data_nodes: impl Iterator<Item = &'n &'a str>) -> Self
    where
        'a: 'n,
    {
        let (zone, rack) = (&workload.preferred_zone, &workload.preferred_rack);
        if let Some((_, source)) = zone.as_ref().or(rack.as_ref()) {
            let one = |field: &'a Option<(Str, Source)>| field.iter().map(|(name, _)| &**name).collect();
            return Self { zones: one(zone), racks: one(rack), source: Some(*source) };
        }
        let (mut zones, mut racks) = (Vec::new(), Vec::new());
        for node in data_nodes.filter_map(|name| snapshot.node(name)) {
            zones.extend(node.node.storage.zone.as_deref());
            racks.extend(node.node.storage.rack.as_deref());
        }
        for names in [&mut zones, &mut racks] {
            names.sort_unstable();
            names.dedup();
        }
        Self { zones, racks, source: None }
    }

    fn nearness(&self, node: &StorageFacts) -> Nearness {
        let is_one_of = |names: &[&str], name: &Option<Str>| name.as_ref().is_some_and(|n| names.iter().any(|p| p.eq_ignore_ascii_case(n)));
        match () {
            () if self.zones.is_empty() && self.racks.is_empty() => Nearness::Unasked,
            () if is_one_of(&self.racks, &node.rack) => Nearness::Rack,
            () if is_one_of(&self.zones, &node.zone) => Nearness::Zone { enough: self.racks.is_empty() },
            () => Nearness::Elsewhere,
        }
    }

    fn points(&self, node: &StorageFacts, max: i64) -> i64 {
        match self.nearness(node) {
            Nearness::Unasked => max / 2,
            Nearness::Rack | Nearness::Zone { enough: true } => max,
            Nearness::Zone { enough: false } => max * 3 / 4,
            Nearness::Elsewhere => 0,
        }
    }

    fn source(&self, node: &StorageFacts) -> Text {
        let by = self.source.map_or("where the data is", Source::as_str);
        let found = match self.nearness(node) {
            Nearness::Unasked => return "no zone or rack preferred".into(),
            Nearness::Rack => "the preferred rack",
            Nearness::Zone { enough: true } => "the preferred zone",
            Nearness::Zone { enough: false } => "the preferred zone, another rack",
            Nearness::Elsewhere => "not the preferred zone or rack",
        };
        let (zone, rack) = (node.zone.as_deref().unwrap_or("none"), node.rack.as_deref().unwrap_or("none"));
        format!("{found} ({by}); the node's zone is {zone}, its rack {rack}").into()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_signals;
