//! The extension points of kube-scheduler, and which plugins have which of them.
//! Leaves out which plugins a profile runs (`merge`).

use aisched_core::plugins;
use aisched_core::profile::DEFAULT_PLUGINS;
use aisched_model::config::AI_PLUGINS;

/// An extension point, in the order in which kube-scheduler lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are kube-scheduler's")]
pub enum Point {
    PreEnqueue,
    QueueSort,
    PreFilter,
    Filter,
    PostFilter,
    PreScore,
    Score,
    Reserve,
    Permit,
    PreBind,
    Bind,
    PostBind,
    PlacementGenerate,
    PlacementScore,
    PodGroupPostFilter,
}

use Point::{
    Bind, Filter, Permit, PlacementGenerate, PlacementScore, PodGroupPostFilter, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter,
    PreScore, QueueSort, Reserve, Score,
};

/// Every point with its field of `plugins`.
pub(super) const POINTS: [(Point, &str); 15] = [
    (PreEnqueue, "preEnqueue"),
    (QueueSort, "queueSort"),
    (PreFilter, "preFilter"),
    (Filter, "filter"),
    (PostFilter, "postFilter"),
    (PreScore, "preScore"),
    (Score, "score"),
    (Reserve, "reserve"),
    (Permit, "permit"),
    (PreBind, "preBind"),
    (Bind, "bind"),
    (PostBind, "postBind"),
    (PlacementGenerate, "placementGenerate"),
    (PlacementScore, "placementScore"),
    (PodGroupPostFilter, "podGroupPostFilter"),
];

impl Point {
    /// The field of `plugins` that lists its plugins.
    #[must_use]
    pub fn key(self) -> &'static str {
        POINTS.iter().find(|(point, _)| *point == self).map_or("", |(_, key)| key)
    }
}

/// The plugins of kube-scheduler 1.37, whether this build has them or not.
const IN_TREE: &[(&str, &[Point])] = &[
    ("DefaultBinder", &[Bind]),
    ("DefaultPreemption", &[PreEnqueue, PostFilter, PodGroupPostFilter]),
    ("DeferredPodScheduling", &[PreFilter, Filter, Permit]),
    ("DynamicResources", &[PreEnqueue, PreFilter, Filter, PostFilter, Score, Reserve, PreBind, PodGroupPostFilter]),
    ("GangScheduling", &[PreEnqueue, Permit]),
    ("ImageLocality", &[Score]),
    ("InterPodAffinity", &[PreFilter, Filter, PreScore, Score]),
    ("NodeAffinity", &[PreFilter, Filter, PreScore, Score]),
    ("NodeDeclaredFeatures", &[PreFilter, Filter]),
    ("NodeName", &[PreFilter, Filter]),
    ("NodePorts", &[PreFilter, Filter]),
    ("NodeResourcesBalancedAllocation", &[PreScore, Score]),
    ("NodeResourcesFit", &[PreFilter, Filter, PreScore, Score, PlacementScore]),
    ("NodeUnschedulable", &[PreFilter, Filter]),
    ("NodeVolumeLimits", &[PreFilter, Filter]),
    ("PodGroupPodsCount", &[PlacementScore]),
    ("PodTopologySpread", &[PreFilter, Filter, PreScore, Score]),
    ("PrioritySort", &[QueueSort]),
    ("SchedulingGates", &[PreEnqueue]),
    ("TaintToleration", &[PreFilter, Filter, PreScore, Score]),
    ("TopologyPlacementGenerator", &[PlacementGenerate]),
    ("VolumeBinding", &[PreFilter, Filter, PreScore, Score, Reserve, PreBind]),
    ("VolumeRestrictions", &[PreFilter, Filter]),
    ("VolumeZone", &[PreFilter, Filter]),
];

/// Where a plugin of this project may take part.
const OWN: &[Point] = &[PreEnqueue, PreFilter, Filter, PreScore, Score];

/// Plugins that kube-scheduler had once: enabling one is a mistake, disabling one says nothing.
const REMOVED: &[&str] = &["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

/// The extension points that a plugin has; `None` when there is no such plugin.
pub(super) fn points_of(name: &str) -> Option<&'static [Point]> {
    let in_tree = IN_TREE.iter().find(|(n, _)| *n == name).map(|(_, points)| *points);
    in_tree.or_else(|| is_own(name).then_some(OWN))
}

/// Whether it is a plugin of this project rather than of kube-scheduler.
pub(super) fn is_own(name: &str) -> bool {
    let in_tree = IN_TREE.iter().any(|(n, _)| *n == name);
    !in_tree && (AI_PLUGINS.contains(&name) || plugins::create(name).is_some())
}

/// Whether the name is that of a plugin which kube-scheduler no longer has.
pub(super) fn is_removed(name: &str) -> bool {
    REMOVED.contains(&name)
}

/// Whether this build does the plugin's part, in the plugin itself or in the engine.
pub(super) fn is_built(name: &str) -> bool {
    plugins::PLAYED_BY_ENGINE.contains(&name) || plugins::create(name).is_some()
}

/// What a name that no plugin has should have been.
pub(super) fn expected_name(name: &str) -> String {
    let known = IN_TREE.iter().map(|(n, _)| *n).chain(AI_PLUGINS.iter().copied());
    let guess = super::words::did_you_mean(name, known.clone());
    if guess.is_empty() {
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        return format!("a plugin that this scheduler has, one of {}", known.join(", "));
    }
    format!("a plugin that this scheduler has{guess}")
}

/// The default profile's plugins, in order, with their weights.
pub(super) fn defaults() -> impl Iterator<Item = (&'static str, i32)> {
    DEFAULT_PLUGINS.iter().map(|(name, weight)| (*name, i32::try_from(*weight).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_plugin_and_every_plugin_of_the_registry_is_known() {
        assert!(defaults().all(|(name, _)| IN_TREE.iter().any(|(n, _)| *n == name)));
        assert!(AI_PLUGINS.iter().all(|name| points_of(name) == Some(OWN)));
        assert_eq!(points_of("Coscheduling"), None);
        assert_eq!(points_of("EBSLimits"), None);
    }

    #[test]
    fn unknown_name_is_answered_with_what_was_meant_or_with_all() {
        assert_eq!(expected_name("NodeResourceFit"), "a plugin that this scheduler has; did you mean NodeResourcesFit?");
        assert!(expected_name("Coscheduling").contains("one of CSIStorageAware, DataLocalityAware, DefaultBinder, "));
    }
}
