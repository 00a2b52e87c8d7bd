//! A scheduler profile: which plugins run, in which order, and what each weighs for a pod.
//! Leaves out what the plugins do; the list of all plugins is `plugins::create`.

use crate::framework::{Plugin, Prepared};
use crate::plugins;
use crate::plugins::args::{DefaultPreemptionArgs, PluginArgs};
use aisched_model::Str;
use aisched_model::config::{AI_PLUGINS, Config};
use aisched_model::pod::Pod;
use aisched_model::policy::Policy;
use aisched_model::snapshot::Snapshot;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Thousandths of a weight: shares of a policy need fractions.
pub const MILLI: i64 = 1000;

/// A named set of plugins: the pods that name it are scheduled with them.
pub struct Profile {
    /// `schedulerName`.
    pub scheduler_name: Str,
    /// In the order in which nodes are filtered.
    plugins: Vec<Slot>,
}

/// A plugin's place in a profile.
struct Slot {
    plugin: Box<dyn Plugin>,
    weight: Weight,
    points: Points,
}

/// A plugin that takes part in an attempt.
pub struct Active<'a> {
    /// The plugin.
    pub plugin: &'a dyn Plugin,
    /// What its score counts with, in thousandths.
    pub weight: i64,
    /// Where it takes part.
    pub points: Points,
}

/// The extension points at which a plugin takes part; each can be switched off in a KubeSchedulerConfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "one switch per extension point")]
pub struct Points {
    /// Holds pods back before they are queued.
    pub pre_enqueue: bool,
    /// Refuses a pod whatever the node, and names the only nodes worth looking at.
    pub pre_filter: bool,
    /// Judges nodes.
    pub filter: bool,
    /// Lets a pod that fits nowhere preempt others.
    pub post_filter: bool,
    /// Scores nodes.
    pub score: bool,
}

impl Points {
    /// Wherever the plugin has something to say.
    pub const ALL: Self = Self { pre_enqueue: true, pre_filter: true, filter: true, post_filter: true, score: true };
    /// Nowhere.
    pub const NONE: Self = Self { pre_enqueue: false, pre_filter: false, filter: false, post_filter: false, score: false };

    /// What of a prepared plugin counts.
    pub(crate) fn of<'a>(self, prepared: Prepared<'a>) -> Prepared<'a> {
        let Prepared { refusal, only_nodes, filter, score } = prepared;
        Prepared {
            refusal: refusal.filter(|_| self.pre_filter),
            only_nodes: only_nodes.filter(|_| self.pre_filter),
            filter: filter.filter(|_| self.filter),
            score: score.filter(|_| self.score),
        }
    }
}

/// What a plugin's score counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The profile says.
    Fixed(i64),
    /// `AIStorageConfig` says.
    Configured,
}

/// The default plugins of kube-scheduler 1.37 with their default weights, in its order; those that this build lacks too.
pub const DEFAULT_PLUGINS: &[(&str, i64)] = &[
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeName", 0),
    ("NodeUnschedulable", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0),
    ("VolumeBinding", 1),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DynamicResources", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
    ("NodeDeclaredFeatures", 0),
];

impl Profile {
    /// kube-scheduler's default plugins and the AI storage plugins, under one scheduler name.
    #[must_use]
    pub fn ai_storage(scheduler_name: impl Into<Str>) -> Self {
        Self::ai_storage_with(scheduler_name, &PluginArgs::default())
    }

    /// The same with arguments.
    #[must_use]
    pub fn ai_storage_with(scheduler_name: impl Into<Str>, args: &PluginArgs) -> Self {
        let default = DEFAULT_PLUGINS.iter().map(|(name, weight)| (*name, Weight::Fixed(*weight)));
        let ai = AI_PLUGINS.iter().map(|name| (*name, Weight::Configured));
        Self::with(scheduler_name, default.chain(ai).filter_map(|(name, weight)| Some((plugins::create_with(name, args)?, weight))))
    }

    /// A profile of the named plugins; names that this build has no plugin for are left out.
    pub fn of<'a>(scheduler_name: impl Into<Str>, plugins: impl IntoIterator<Item = (&'a str, Weight)>) -> Self {
        Self::with(scheduler_name, plugins.into_iter().filter_map(|(name, weight)| Some((plugins::create(name)?, weight))))
    }

    /// A profile of these plugins, each with arguments of its own.
    pub fn with(scheduler_name: impl Into<Str>, plugins: impl IntoIterator<Item = (Box<dyn Plugin>, Weight)>) -> Self {
        Self::with_points(scheduler_name, plugins.into_iter().map(|(plugin, weight)| (plugin, weight, Points::ALL)))
    }

    /// A profile of these plugins, each at these extension points alone; nodes are filtered in this order. What kubelets turned away
    /// comes last, in every profile.
    pub fn with_points(scheduler_name: impl Into<Str>, plugins: impl IntoIterator<Item = (Box<dyn Plugin>, Weight, Points)>) -> Self {
        let slot = |(plugin, weight, points)| Slot { plugin, weight, points };
        let rejections = slot((Box::new(plugins::KubeletRejections) as Box<dyn Plugin>, Weight::Fixed(0), Points::ALL));
        let plugins = plugins.into_iter().map(slot).chain([rejections]).collect();
        Self { scheduler_name: scheduler_name.into(), plugins }
    }

    /// Whether any AI storage plugin takes part, so that policies are asked for and decisions logged.
    #[must_use]
    pub fn has_ai_plugins(&self) -> bool {
        self.plugins.iter().any(|slot| AI_PLUGINS.contains(&slot.plugin.name()))
    }

    /// Whether pods that belong together are placed together: where data-aware plugins take part, and where kube-scheduler would.
    #[must_use]
    pub fn places_gangs(&self) -> bool {
        self.has_ai_plugins() || self.plugin("GangScheduling").is_some()
    }

    /// Why a pod may not enter the queue yet.
    #[must_use]
    pub fn gate(&self, pod: &Pod, snapshot: &Snapshot) -> Option<String> {
        self.plugins.iter().filter(|slot| slot.points.pre_enqueue).find_map(|slot| slot.plugin.gate(pod, snapshot))
    }

    /// Whether its pods may preempt others, and within which limits.
    #[must_use]
    pub fn preempts(&self) -> Option<DefaultPreemptionArgs> {
        self.plugins.iter().filter(|slot| slot.points.post_filter).find_map(|slot| slot.plugin.preempts())
    }

    /// Whether a plugin that comes after this one may have a remedy for a pod that fits nowhere.
    pub(crate) fn has_remedies_after(&self, name: &str) -> bool {
        let after = self.plugins.iter().skip_while(|slot| slot.plugin.name() != name).skip(1);
        after.filter(|slot| slot.points.post_filter).any(|slot| slot.plugin.has_remedies())
    }

    /// The plugin of this name.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&dyn Plugin> {
        self.plugins.iter().map(|slot| &*slot.plugin).find(|plugin| plugin.name() == name)
    }

    /// The plugins that take part in an attempt.
    /// An AI storage plugin that is disabled or weighs nothing takes no part.
    #[must_use]
    pub fn active(&self, config: &Config, policy: Option<&Policy>) -> Vec<Active<'_>> {
        let mut active: Vec<Active<'_>> = self
            .plugins
            .iter()
            .filter_map(|slot| {
                let weight = match (config.plugins.of(slot.plugin.name()), slot.weight) {
                    (None, Weight::Fixed(own)) => own,
                    (None, Weight::Configured) => 1,
                    (Some((true, _)), Weight::Fixed(own)) if own > 0 => own,
                    (Some((true, configured)), Weight::Configured) if configured > 0 => configured,
                    (Some(_), _) => return None,
                };
                Some(Active { plugin: &*slot.plugin, weight: weight * MILLI, points: slot.points })
            })
            .collect();
        if let Some(shares) = policy.and_then(|p| p.plugin_weights) {
            share_out(&mut active, shares);
        }
        active
    }
}

/// Shares the weight of the plugins that a policy names out among them (`scoring.md` §7).
///
/// With W the sum of their weights and w their shares, each weighs `W × w / Σw`. A share of 0 is a field left out on the wire: that
/// plugin is not named and keeps its weight. Any share that is not finite or not within 0 to 1, or a zero sum, leaves all as it was.
/// Example: weights 3, 3, 3 and shares 0.5, 0.25, 0.25 become 4.5, 2.25, 2.25; shares 0.5, 0.25, 0 become 4, 2, 3.
fn share_out(active: &mut [Active<'_>], shares: [f32; 5]) {
    if !shares.iter().all(|w| (0.0..=1.0).contains(w)) {
        return;
    }
    let position = |name: &str| AI_PLUGINS.iter().take(shares.len()).position(|p| *p == name);
    let share = |name: &str| position(name).map(|i| f64::from(shares[i])).filter(|w| *w > 0.0);
    let sum: f64 = active.iter().filter_map(|a| share(a.plugin.name())).sum();
    let named: i64 = active.iter().filter(|a| share(a.plugin.name()).is_some()).map(|a| a.weight).sum();
    for Active { plugin, weight, .. } in active {
        if let Some(w) = share(plugin.name()) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "weights are small")]
            let shared = (named as f64 * w / sum + 0.5) as i64;
            *weight = shared;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, with};
    use aisched_model::node::{Node, Taint};
    use aisched_model::pod::TaintEffect;
    use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
    use alloc::vec;

    const GUIDES: [&str; 3] = ["DataLocalityAware", "StorageTierAware", "IOPatternBased"];

    /// Thousandths that the guide's three plugins weigh under these shares; `None` for one that takes no part.
    fn weights(config: &Config, shares: [f32; 5]) -> [Option<i64>; 3] {
        let profile = Profile::of("s", GUIDES.map(|name| (name, Weight::Configured)));
        let policy = Policy { plugin_weights: Some(shares), ..Policy::default() };
        let active = profile.active(config, Some(&policy));
        GUIDES.map(|name| active.iter().find(|a| a.plugin.name() == name).map(|a| a.weight))
    }

    #[test]
    fn shares_divide_the_weight_of_the_plugins_they_name() {
        for (shares, expected) in [
            ([0.2; 5], [3000, 3000, 3000]),
            ([0.9; 5], [3000, 3000, 3000]),
            ([0.5, 0.25, 0.25, 0.0, 0.0], [4500, 2250, 2250]),
            ([1.0, 0.5, 0.5, 0.0, 0.0], [4500, 2250, 2250]),
            ([0.9, 0.7, 0.5, 0.6, 0.8], [3857, 3000, 2143]),
            ([0.5, 0.25, 0.0, 0.0, 0.0], [4000, 2000, 3000]),
            ([0.7, 0.0, 0.0, 0.0, 0.0], [3000, 3000, 3000]),
            ([-0.0, 0.5, 0.25, 0.0, 0.0], [3000, 4000, 2000]),
            ([f32::MIN_POSITIVE, 0.0, f32::MIN_POSITIVE, 0.0, 0.0], [3000, 3000, 3000]),
        ] {
            assert_eq!(weights(&Config::default(), shares), expected.map(Some), "{shares:?}");
        }
    }

    #[test]
    fn invalid_share_or_zero_sum_leaves_all_weights() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1, 1.001, 50.0] {
            for at in 0..5 {
                let mut shares = [0.5, 0.25, 0.25, 0.2, 0.2];
                shares[at] = odd;
                assert_eq!(weights(&Config::default(), shares), [Some(3000); 3], "{shares:?}");
            }
        }
        assert_eq!(weights(&Config::default(), [0.0; 5]), [Some(3000); 3]);
    }

    #[test]
    fn plugin_switched_off_neither_takes_part_nor_shares() {
        let mut config = Config::default();
        config.plugins.data_locality_aware.weight = 0;
        assert_eq!(weights(&config, [0.5, 0.25, 0.25, 0.0, 0.0]), [None, Some(3000), Some(3000)]);
        config.plugins.data_locality_aware.weight = 10;
        assert_eq!(weights(&config, [0.5, 0.25, 0.25, 0.0, 0.0]), [Some(8000), Some(4000), Some(4000)]);
        config.plugins.io_pattern_based.enabled = false;
        assert_eq!(weights(&config, [0.75, 0.25, 0.5, 0.0, 0.0]), [Some(9750), Some(3250), None]);
    }

    #[test]
    fn only_the_plugins_that_shares_name_are_touched() {
        let plugins =
            [("NodeUnschedulable", Weight::Fixed(7)), ("StorageTierAware", Weight::Fixed(5)), ("IOPatternBased", Weight::Configured)];
        let profile = Profile::of("s", plugins);
        let policy = Policy { plugin_weights: Some([0.9, 0.3, 0.1, 0.0, 0.0]), ..Policy::default() };
        let active: Vec<i64> = profile.active(&Config::default(), Some(&policy)).iter().map(|a| a.weight).collect();
        assert_eq!(active, [7000, 6000, 2000, 0], "the last is KubeletRejections, which scores nothing");
    }

    /// A profile of one plugin at these points alone.
    fn only(name: &str, points: Points) -> Profile {
        Profile::with_points("s", [(plugins::create(name).unwrap(), Weight::Fixed(1), points)])
    }

    #[test]
    fn plugin_counts_only_where_it_is_switched_on() {
        let tainted = |name, effect| Node { taints: vec![Taint { key: "k".into(), value: "".into(), effect }], ..node(name) };
        let avoided = tainted("avoided", TaintEffect::PreferNoSchedule);
        let cluster = Cluster::of([avoided, tainted("closed", TaintEffect::NoSchedule), node("open")]);
        for (points, feasible, score) in [
            (Points::ALL, &["avoided", "open"][..], Some(0)),
            (Points { score: false, ..Points::ALL }, &["avoided", "open"], None),
            (Points { filter: true, ..Points::NONE }, &["avoided", "open"], None),
            (Points { filter: false, ..Points::ALL }, &["avoided", "closed", "open"], Some(0)),
            (Points::NONE, &["avoided", "closed", "open"], None),
        ] {
            let decision = cluster.decide_profile(&only("TaintToleration", points), &pod("p"));
            assert!(decision.feasible().iter().map(|n| &**n).eq(feasible.iter().copied()), "{points:?}: {:?}", decision.feasible());
            assert_eq!(decision.score("avoided", "TaintToleration"), score, "{points:?}");
        }
    }

    #[test]
    fn refusal_and_narrowing_before_any_node_are_switched_apart_from_the_filter() {
        let conflicting = with(pod("p"), |s| {
            let by_name = |name: &str| Requirement { key: "metadata.name".into(), operator: Operator::In, values: vec![name.into()] };
            let term = NodeSelectorTerm { labels: Vec::new(), fields: vec![by_name("a"), by_name("b")] };
            s.node_affinity.required = Some(vec![term]);
        });
        let cluster = Cluster::of([node("a"), node("b")]);
        for (points, expected) in [
            (Points::ALL, Some("0/2 nodes are available: pod affinity terms conflict.")),
            (Points { filter: false, ..Points::ALL }, Some("0/2 nodes are available: pod affinity terms conflict.")),
            (Points { pre_filter: false, filter: false, ..Points::ALL }, None),
        ] {
            let decision = cluster.decide_profile(&only("NodeAffinity", points), &conflicting);
            assert_eq!(decision.message.as_deref(), expected, "{points:?}");
        }
    }

    #[test]
    fn gate_holds_only_where_it_is_switched_on() {
        let gated = with(pod("p"), |s| s.scheduling_gates = vec!["g".into()]);
        assert!(only("SchedulingGates", Points { pre_enqueue: true, ..Points::NONE }).gate(&gated, &Snapshot::default()).is_some());
        assert_eq!(only("SchedulingGates", Points { pre_enqueue: false, ..Points::ALL }).gate(&gated, &Snapshot::default()), None);
    }
}
