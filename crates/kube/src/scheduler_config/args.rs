//! `pluginConfig`: the arguments of plugins, with kube-scheduler's defaults and rules.
//! Leaves out affinity and spread constraints (`constraints`).

use super::constraints;
use super::points::{self, points_of};
use super::reader::{Place, Reader};
use super::words::qualified_name_fault;
use super::{API_VERSION, millis};
use crate::documents::tree::Node;
use aisched_core::plugins::args::{
    DefaultPreemptionArgs, DynamicResourcesArgs, InterPodAffinityArgs, NodeAffinityArgs, NodeResourcesFitArgs, PluginArgs,
    PodTopologySpreadArgs, ResourceWeight, ScoringStrategy, ShapePoint, StrategyKind, VolumeBindingArgs,
};
use std::collections::BTreeMap;

/// Fields that every plugin's arguments may have.
const TYPE: [&str; 2] = ["apiVersion", "kind"];

/// A kind of scoring, before its own arguments are read.
#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    Least,
    Most,
    Ratio,
}

/// Reads the `pluginConfig` of a profile.
pub(super) fn read(reader: &mut Reader<'_>, profile: &Place<'_>) -> PluginArgs {
    let mut args = PluginArgs { features: reader.features, ..PluginArgs::default() };
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for place in reader.list(profile, "pluginConfig") {
        reader.map(&place, &["name", "args"]);
        let Some(at) = place.field("name") else {
            reader.missing(&place, "name", "the name of a plugin");
            continue;
        };
        let Some(name) = reader.as_text(&at) else { continue };
        if points::is_removed(name) || points_of(name).is_none() {
            reader.fault(&at, points::expected_name(name));
        } else if let Some(first) = seen.insert(name, place.path.clone()) {
            reader.fault(&at, format!("arguments once for every plugin; {first} has them already"));
        } else if let Some(at) = place.field("args") {
            one(reader, name, &at, &mut args);
        }
    }
    args
}

fn one(reader: &mut Reader<'_>, name: &str, at: &Place<'_>, args: &mut PluginArgs) {
    kind(reader, name, at);
    match name {
        "DefaultPreemption" => args.default_preemption = default_preemption(reader, at),
        "DynamicResources" => args.dynamic_resources = dynamic_resources(reader, at),
        "InterPodAffinity" => args.inter_pod_affinity = inter_pod_affinity(reader, at),
        "NodeAffinity" => args.node_affinity = node_affinity(reader, at),
        "NodeResourcesBalancedAllocation" => args.balanced_allocation.resources = balanced_resources(reader, at),
        "NodeResourcesFit" => args.node_resources_fit = node_resources_fit(reader, at),
        "PodTopologySpread" => args.pod_topology_spread = pod_topology_spread(reader, at),
        "VolumeBinding" => args.volume_binding = volume_binding(reader, at),
        _ => no_arguments(reader, name, at),
    }
}

/// kube-scheduler passes over the arguments of a plugin that takes none; here they are a mistake that somebody should know of.
fn no_arguments(reader: &mut Reader<'_>, name: &str, at: &Place<'_>) {
    let Node::Map(entries) = &at.tree.node else { return reader.fault(at, "a map") };
    let why = if points::is_own(name) { "the AIStorageConfig configures it" } else { "this plugin takes none" };
    for (field, value) in entries.iter().filter(|(field, _)| !TYPE.contains(&field.as_str())) {
        reader.fault_at(value.line, &at.path_of(field), "unknown field", format!("no arguments: {why}"));
    }
}

/// The arguments' own kind and version, where they are given, are the plugin's.
fn kind(reader: &mut Reader<'_>, name: &str, at: &Place<'_>) {
    for (field, expected) in [("apiVersion", API_VERSION.to_owned()), ("kind", format!("{name}Args"))] {
        if reader.text(at, field).is_some_and(|text| !text.is_empty() && text != expected)
            && let Some(place) = at.field(field)
        {
            reader.fault(&place, format!("{expected}, the arguments of {name}"));
        }
    }
}

fn fields<const N: usize>(reader: &mut Reader<'_>, at: &Place<'_>, own: [&str; N]) {
    let all: Vec<&str> = TYPE.into_iter().chain(own).collect();
    reader.map(at, &all);
}

fn default_preemption(reader: &mut Reader<'_>, at: &Place<'_>) -> DefaultPreemptionArgs {
    const FIELDS: [&str; 2] = ["minCandidateNodesPercentage", "minCandidateNodesAbsolute"];
    fields(reader, at, FIELDS);
    let default = DefaultPreemptionArgs::default();
    let args = DefaultPreemptionArgs {
        min_candidate_nodes_percentage: reader.int32(at, FIELDS[0], 0..=100).unwrap_or(default.min_candidate_nodes_percentage),
        min_candidate_nodes_absolute: reader.int32(at, FIELDS[1], 0..=i32::MAX).unwrap_or(default.min_candidate_nodes_absolute),
    };
    if (args.min_candidate_nodes_percentage, args.min_candidate_nodes_absolute) == (0, 0) {
        for (field, other) in FIELDS.into_iter().zip(FIELDS.into_iter().rev()) {
            if let Some(place) = at.field(field) {
                reader.fault(&place, format!("more than 0, or a {other} of more than 0"));
            }
        }
    }
    args
}

fn dynamic_resources(reader: &mut Reader<'_>, at: &Place<'_>) -> DynamicResourcesArgs {
    fields(reader, at, ["filterTimeout", "bindingTimeout"]);
    let mut args = DynamicResourcesArgs::default();
    for (field, least, expected, into) in [
        ("filterTimeout", 0, "a duration that is not negative; 0 sets no limit", &mut args.filter_timeout_ms),
        ("bindingTimeout", 1_000_000_000, "a duration of at least 1s", &mut args.binding_timeout_ms),
    ] {
        match (reader.duration(at, field), at.field(field)) {
            (Some(nanos), Some(place)) if nanos < least => reader.fault(&place, expected),
            (Some(nanos), _) => *into = millis(nanos),
            (None, _) => {}
        }
    }
    args
}

fn inter_pod_affinity(reader: &mut Reader<'_>, at: &Place<'_>) -> InterPodAffinityArgs {
    fields(reader, at, ["hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"]);
    let default = InterPodAffinityArgs::default();
    InterPodAffinityArgs {
        hard_pod_affinity_weight: reader.int32(at, "hardPodAffinityWeight", 0..=100).unwrap_or(default.hard_pod_affinity_weight),
        ignore_preferred_terms_of_existing_pods: reader.flag(at, "ignorePreferredTermsOfExistingPods").unwrap_or(false),
    }
}

fn node_affinity(reader: &mut Reader<'_>, at: &Place<'_>) -> NodeAffinityArgs {
    fields(reader, at, ["addedAffinity"]);
    NodeAffinityArgs { added_affinity: at.field("addedAffinity").map(|place| constraints::node_affinity(reader, &place)) }
}

fn node_resources_fit(reader: &mut Reader<'_>, at: &Place<'_>) -> NodeResourcesFitArgs {
    fields(reader, at, ["ignoredResources", "ignoredResourceGroups", "scoringStrategy"]);
    let mut args = NodeResourcesFitArgs::default();
    for (place, name) in reader.texts(at, "ignoredResources") {
        match qualified_name_fault(name) {
            Some(expected) => reader.fault(&place, expected),
            None => args.ignored_resources.push(name.into()),
        }
    }
    for (place, group) in reader.texts(at, "ignoredResourceGroups") {
        match qualified_name_fault(group) {
            _ if group.contains('/') => reader.fault(&place, "what stands before the / of resources' names, without a / itself"),
            Some(expected) => reader.fault(&place, expected),
            None => args.ignored_resource_groups.push(group.into()),
        }
    }
    if let Some(place) = at.field("scoringStrategy") {
        args.scoring = scoring_strategy(reader, &place);
    }
    args
}

fn scoring_strategy(reader: &mut Reader<'_>, at: &Place<'_>) -> ScoringStrategy {
    const RATIO: &str = "requestedToCapacityRatio";
    const TYPES: [(&str, Strategy); 3] =
        [("LeastAllocated", Strategy::Least), ("MostAllocated", Strategy::Most), ("RequestedToCapacityRatio", Strategy::Ratio)];
    reader.map(at, &["type", "resources", RATIO]);
    let strategy = reader.word(at, "type", &TYPES);
    if at.field("type").is_none() {
        reader.missing(at, "type", "one of LeastAllocated, MostAllocated, RequestedToCapacityRatio");
    }
    let kind = match (strategy, at.field(RATIO)) {
        (Some(Strategy::Ratio), Some(place)) => {
            reader.map(&place, &["shape"]);
            StrategyKind::RequestedToCapacityRatio(shape(reader, &place))
        }
        (Some(Strategy::Ratio), None) => {
            reader.missing(at, RATIO, "a shape, because the type is RequestedToCapacityRatio");
            StrategyKind::default()
        }
        (Some(Strategy::Least | Strategy::Most) | None, Some(place)) => {
            reader.fault(&place, "nothing, because the type is not RequestedToCapacityRatio");
            StrategyKind::default()
        }
        (Some(Strategy::Most), None) => StrategyKind::MostAllocated,
        (Some(Strategy::Least) | None, None) => StrategyKind::LeastAllocated,
    };
    let resources = resources(reader, at, 100).into_iter().map(|(_, resource)| resource).collect();
    ScoringStrategy { kind, resources }
}

/// Resources with weights of 1 to `max`; without any, CPU and memory.
fn resources<'t>(reader: &mut Reader<'_>, at: &Place<'t>, max: i64) -> Vec<(Option<Place<'t>>, ResourceWeight)> {
    let mut resources = Vec::new();
    for place in reader.list(at, "resources") {
        reader.map(&place, &["name", "weight"]);
        let name = reader.text(&place, "name").unwrap_or_default();
        if place.field("name").is_none() {
            reader.missing(&place, "name", "the name of a resource, such as cpu or nvidia.com/gpu");
        }
        // 0 is a weight that was left out.
        let weight = reader.int(&place, "weight", 0..=max).filter(|weight| *weight > 0).unwrap_or(1);
        resources.push((place.field("name"), ResourceWeight::new(name, weight)));
    }
    if resources.is_empty() {
        return ScoringStrategy::default().resources.into_iter().map(|resource| (None, resource)).collect();
    }
    resources
}

/// Resources of the balance: each once, and each of the same weight.
fn balanced_resources(reader: &mut Reader<'_>, at: &Place<'_>) -> Vec<ResourceWeight> {
    fields(reader, at, ["resources"]);
    let mut balanced: Vec<ResourceWeight> = Vec::new();
    for (name, resource) in resources(reader, at, 1) {
        if let Some(name) = name.filter(|_| balanced.iter().any(|r| r.name == resource.name)) {
            reader.fault(&name, "every resource once");
        }
        balanced.push(resource);
    }
    balanced
}

fn shape(reader: &mut Reader<'_>, at: &Place<'_>) -> Vec<ShapePoint> {
    let mut points: Vec<ShapePoint> = Vec::new();
    let places = reader.list(at, "shape");
    if places.is_empty() {
        reader.missing(at, "shape", "at least one point of utilization and score");
    }
    for place in places {
        reader.map(&place, &["utilization", "score"]);
        let utilization = reader.int(&place, "utilization", 0..=100).unwrap_or(0);
        if points.last().is_some_and(|last| last.utilization >= utilization)
            && let Some(place) = place.field("utilization")
        {
            reader.fault(&place, "points of rising utilization");
        }
        points.push(ShapePoint { utilization, score: reader.int(&place, "score", 0..=10).unwrap_or(0) });
    }
    points
}

fn pod_topology_spread(reader: &mut Reader<'_>, at: &Place<'_>) -> PodTopologySpreadArgs {
    fields(reader, at, ["defaultConstraints", "defaultingType"]);
    let kind = at.field("defaultingType").filter(|place| place.tree.shown() != "");
    let system = match &kind {
        Some(_) => reader.word(at, "defaultingType", &[("System", true), ("List", false)]).unwrap_or(true),
        None => true,
    };
    let default_constraints = constraints::default_spread(reader, at);
    if !system {
        return PodTopologySpreadArgs { default_constraints, system_defaulting: false };
    }
    if let Some(place) = at.field("defaultConstraints").filter(|_| !default_constraints.is_empty()) {
        reader.fault(&place, "none, or the defaultingType List: System has constraints of its own");
    }
    PodTopologySpreadArgs::default()
}

fn volume_binding(reader: &mut Reader<'_>, at: &Place<'_>) -> VolumeBindingArgs {
    fields(reader, at, ["bindTimeoutSeconds", "shape"]);
    let default = VolumeBindingArgs::default();
    let seconds = reader.int(at, "bindTimeoutSeconds", 0..=i64::MAX);
    let given = !reader.list(at, "shape").is_empty();
    if let Some(place) = at.field("shape").filter(|_| !reader.features.storage_capacity_scoring) {
        reader.fault(&place, "no such field: unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring");
    }
    VolumeBindingArgs {
        bind_timeout_ms: seconds.map_or(default.bind_timeout_ms, |s| u64::try_from(s).unwrap_or(0).saturating_mul(1000)),
        shape: if given { shape(reader, at) } else { default.shape },
    }
}
