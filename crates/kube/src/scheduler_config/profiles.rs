//! Profiles: who schedules which pods with which plugins.
//! Leaves out plugins' arguments (`args`) and how sets are merged (`merge`).

use super::args;
use super::merge::{EnabledPlugins, Listed, PluginSet, PluginSets, expand, over_defaults};
use super::points::{self, POINTS, Point, points_of};
use super::reader::{Place, Reader};
use aisched_core::framework::Plugin;
use aisched_core::plugins::args::PluginArgs;
use aisched_core::plugins::create_with;
use aisched_core::profile::{Points, Profile, Weight};
use std::collections::BTreeMap;

/// The name under which pods that name no scheduler are scheduled.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// One profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileConfig {
    /// Pods whose `spec.schedulerName` is this are scheduled with the profile.
    pub scheduler_name: String,
    /// The profile's own `percentageOfNodesToScore`; every node is always scored.
    pub percentage_of_nodes_to_score: Option<i32>,
    /// The plugins that run at each extension point.
    pub plugins: EnabledPlugins,
    /// Arguments of the plugins that take any, defaults filled in.
    pub args: PluginArgs,
}

impl ProfileConfig {
    /// Whether a plugin runs at an extension point.
    #[must_use]
    pub fn runs(&self, point: Point, plugin: &str) -> bool {
        self.plugins.get(&point).is_some_and(|enabled| enabled.iter().any(|e| e.name == plugin))
    }

    /// The profile as the engine takes it, of the plugins that this build has.
    #[must_use]
    pub fn to_profile(&self) -> Profile {
        let plugins = self.in_order().into_iter().filter_map(|name| self.slot(name));
        Profile::with_points(self.scheduler_name.as_str(), plugins)
    }

    /// Plugins that the profile enables and this build lacks.
    #[must_use]
    pub fn missing_plugins(&self) -> Vec<&str> {
        let mut missing = self.in_order();
        missing.retain(|name| !points::is_built(name));
        missing
    }

    /// Every plugin once, in the order of every point where that is possible: the order of filters wins.
    pub(super) fn in_order(&self) -> Vec<&str> {
        let first = [Point::Filter, Point::PreEnqueue, Point::PreFilter];
        let rest = POINTS.iter().map(|(point, _)| *point).filter(|point| !first.contains(point));
        let mut order: Vec<&str> = Vec::new();
        for point in first.into_iter().chain(rest) {
            let mut behind = 0;
            for plugin in self.plugins.get(&point).into_iter().flatten() {
                let known = order.iter().position(|name| *name == plugin.name);
                if known.is_none() {
                    order.insert(behind, &plugin.name);
                }
                behind = behind.max(known.unwrap_or(behind) + 1);
            }
        }
        order
    }

    fn slot(&self, name: &str) -> Option<(Box<dyn Plugin>, Weight, Points)> {
        let own = points::is_own(name);
        let filter = self.runs(Point::Filter, name);
        // What a plugin refuses before it sees a node belongs to its filter, unless kube-scheduler tells the two apart.
        let has_pre_filter = points_of(name).is_some_and(|points| points.contains(&Point::PreFilter));
        let pre_filter = if has_pre_filter { self.runs(Point::PreFilter, name) || (own && filter) } else { filter };
        let scoring = self.plugins.get(&Point::Score).and_then(|enabled| enabled.iter().find(|e| e.name == name));
        let weight = match scoring.map(|e| i64::from(e.weight)) {
            Some(weight) if !own || weight > 0 => Weight::Fixed(weight),
            None if !own => Weight::Fixed(0),
            Some(_) | None => Weight::Configured,
        };
        let points = Points {
            pre_enqueue: self.runs(Point::PreEnqueue, name),
            pre_filter,
            filter,
            post_filter: self.runs(Point::PostFilter, name),
            score: scoring.is_some(),
        };
        Some((create_with(name, &self.args)?, weight, points))
    }
}

/// Reads `profiles`; without any there is one, of defaults.
pub(super) fn read(reader: &mut Reader<'_>, root: &Place<'_>) -> Vec<ProfileConfig> {
    let places = reader.list(root, "profiles");
    if places.is_empty() {
        let sets = PluginSets { multi_point: over_defaults(points::defaults(), &PluginSet::default()), ..PluginSets::default() };
        let plugins = expanded(reader, root, &sets);
        let args = PluginArgs { features: reader.features, ..PluginArgs::default() };
        return vec![ProfileConfig { scheduler_name: DEFAULT_SCHEDULER.into(), percentage_of_nodes_to_score: None, plugins, args }];
    }
    let mut profiles = Vec::new();
    let mut queue_sort: Option<PluginSet> = None;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for place in &places {
        reader.map(place, &["schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"]);
        let scheduler_name = name(reader, place, places.len(), &mut names);
        let percentage = percentage_of_nodes_to_score(reader, place);
        let sets = plugin_sets(reader, place);
        common_queue_sort(reader, place, &sets, &mut queue_sort);
        let plugins = expanded(reader, place, &sets);
        let args = args::read(reader, place);
        profiles.push(ProfileConfig { scheduler_name, percentage_of_nodes_to_score: percentage, plugins, args });
    }
    profiles
}

/// `percentageOfNodesToScore`, of a profile or of all.
pub(super) fn percentage_of_nodes_to_score(reader: &mut Reader<'_>, map: &Place<'_>) -> Option<i32> {
    reader.int32(map, "percentageOfNodesToScore", 0..=100)
}

fn name(reader: &mut Reader<'_>, profile: &Place<'_>, n_profiles: usize, names: &mut BTreeMap<String, String>) -> String {
    let path = profile.path_of("schedulerName");
    let Some(at) = profile.field("schedulerName") else {
        if n_profiles > 1 {
            reader.missing(profile, "schedulerName", "a name: only a single profile may do without, and is default-scheduler then");
        }
        return DEFAULT_SCHEDULER.into();
    };
    let name = reader.as_text(&at).unwrap_or_default();
    if name.is_empty() {
        reader.fault(&at, "a name that pods can have in spec.schedulerName");
    } else if let Some(first) = names.get(name) {
        reader.fault(&at, format!("a name of its own for every profile; {first} is the same"));
    }
    names.entry(name.into()).or_insert(path);
    name.into()
}

/// Every profile must order the queue in the same way: there is one queue.
fn common_queue_sort(reader: &mut Reader<'_>, profile: &Place<'_>, sets: &PluginSets, first: &mut Option<PluginSet>) {
    let own = sets.at.get(&Point::QueueSort).cloned().unwrap_or_default();
    let names = |set: &PluginSet| -> Vec<(String, i32)> { set.enabled.iter().map(|e| (e.name.clone(), e.weight)).collect() };
    match first {
        None => *first = Some(own),
        Some(first) if names(first) == names(&own) && first.disabled == own.disabled => {}
        Some(_) => {
            let line = profile.tree.at("plugins.queueSort").line;
            reader.fault_at(line, &profile.path_of("plugins.queueSort"), "", "the same queueSort in all profiles: there is one queue");
        }
    }
}

fn plugin_sets(reader: &mut Reader<'_>, profile: &Place<'_>) -> PluginSets {
    let mut sets = PluginSets::default();
    let plugins = profile.field("plugins");
    if let Some(plugins) = &plugins {
        let fields: Vec<&str> = POINTS.iter().map(|(_, key)| *key).chain(["multiPoint"]).collect();
        reader.map(plugins, &fields);
        for (point, key) in POINTS {
            if let Some(at) = plugins.field(key) {
                sets.at.insert(point, plugin_set(reader, &at));
            }
        }
    }
    let custom = plugins.and_then(|p| p.field("multiPoint")).map(|at| plugin_set(reader, &at)).unwrap_or_default();
    sets.multi_point = over_defaults(points::defaults(), &custom);
    sets
}

fn plugin_set(reader: &mut Reader<'_>, at: &Place<'_>) -> PluginSet {
    reader.map(at, &["enabled", "disabled"]);
    let enabled = reader.list(at, "enabled").into_iter().filter_map(|place| enabled(reader, &place)).collect();
    let disabled = reader.list(at, "disabled").into_iter().filter_map(|place| disabled(reader, &place)).collect();
    PluginSet { enabled, disabled }
}

fn enabled(reader: &mut Reader<'_>, place: &Place<'_>) -> Option<Listed> {
    let name = plugin_name(reader, place)?;
    // kube-scheduler takes a weight below 0 for an overflow of the total as soon as another plugin follows.
    let weight = reader.int32(place, "weight", 0..=i32::MAX).unwrap_or(0);
    if points::is_removed(name) {
        let at = place.field("name").unwrap_or_else(|| place.clone());
        reader.fault(&at, "a plugin that kube-scheduler still has; NodeVolumeLimits counts the volumes of all drivers");
        return None;
    }
    known(reader, place, name)?;
    Some(Listed { name: name.into(), weight, path: place.path.clone() })
}

fn disabled(reader: &mut Reader<'_>, place: &Place<'_>) -> Option<String> {
    let name = plugin_name(reader, place)?;
    reader.int32(place, "weight", i32::MIN..=i32::MAX);
    if name != "*" && !points::is_removed(name) {
        known(reader, place, name)?;
    }
    Some(name.into())
}

fn plugin_name<'t>(reader: &mut Reader<'_>, place: &Place<'t>) -> Option<&'t str> {
    reader.map(place, &["name", "weight"]);
    let name = reader.text(place, "name");
    if name.is_none() && place.field("name").is_none() {
        reader.missing(place, "name", "the name of a plugin");
    }
    name
}

fn known(reader: &mut Reader<'_>, place: &Place<'_>, name: &str) -> Option<()> {
    if points_of(name).is_some() {
        return Some(());
    }
    let at = place.field("name")?;
    reader.fault(&at, points::expected_name(name));
    None
}

/// The plugins at every point, with what cannot be reported.
fn expanded(reader: &mut Reader<'_>, profile: &Place<'_>, sets: &PluginSets) -> EnabledPlugins {
    let (mut plugins, misplaced) = expand(sets, points_of);
    for fault in &misplaced {
        let relative = fault.entry.path.strip_prefix(&profile.path).unwrap_or_default();
        let line = profile.tree.at(&format!("{relative}.name")).line;
        reader.fault_at(line, &format!("{}.name", fault.entry.path), &fault.entry.name, &*fault.expected);
    }
    for (point, expected) in [(Point::QueueSort, "exactly one plugin, PrioritySort"), (Point::Bind, "at least one plugin, DefaultBinder")] {
        if plugins.get(&point).is_none_or(Vec::is_empty) && misplaced.is_empty() {
            let path = format!("plugins.{}", point.key());
            reader.fault_at(profile.tree.at(&path).line, &profile.path_of(&path), "no plugin", expected);
        }
    }
    for plugin in plugins.iter_mut().filter(|(point, _)| matches!(point, Point::Score | Point::PlacementScore)).flat_map(|(_, p)| p) {
        // kube-scheduler knows no weight of 0; the configuration says what the AI storage plugins weigh.
        if plugin.weight == 0 && !points::is_own(&plugin.name) {
            plugin.weight = 1;
        }
    }
    plugins
}
