//! A scheduler profile: which plugins run, in which order, and what each weighs for a pod.
//! Leaves out what the plugins do; the list of all plugins is `plugins::create`.

use crate::framework::Plugin;
use crate::plugins;
use aisched_model::Str;
use aisched_model::config::{AI_PLUGINS, Config};
use aisched_model::pod::Pod;
use aisched_model::policy::Policy;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Thousandths of a weight: shares of a policy need fractions.
pub const MILLI: i64 = 1000;

/// A named set of plugins: the pods that name it are scheduled with them.
pub struct Profile {
    /// `schedulerName`.
    pub scheduler_name: Str,
    plugins: Vec<(Box<dyn Plugin>, Weight)>,
}

/// What a plugin's score counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The profile says.
    Fixed(i64),
    /// `AIStorageConfig` says.
    Configured,
}

/// kube-scheduler's default plugins with their default weights, in its order.
const DEFAULT_PLUGINS: &[(&str, i64)] = &[
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
    ("VolumeBinding", 0),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
];

impl Profile {
    /// kube-scheduler's default plugins and the AI storage plugins, under one scheduler name.
    #[must_use]
    pub fn ai_storage(scheduler_name: impl Into<Str>) -> Self {
        let default = DEFAULT_PLUGINS.iter().map(|(name, weight)| (*name, Weight::Fixed(*weight)));
        let ai = AI_PLUGINS.iter().map(|name| (*name, Weight::Configured));
        Self::of(scheduler_name, default.chain(ai))
    }

    /// A profile of the named plugins; names that this build has no plugin for are left out.
    pub fn of<'a>(scheduler_name: impl Into<Str>, plugins: impl IntoIterator<Item = (&'a str, Weight)>) -> Self {
        let plugins = plugins.into_iter().filter_map(|(name, weight)| Some((plugins::create(name)?, weight))).collect();
        Self { scheduler_name: scheduler_name.into(), plugins }
    }

    /// A profile of these plugins, each with arguments of its own.
    pub fn with(scheduler_name: impl Into<Str>, plugins: impl IntoIterator<Item = (Box<dyn Plugin>, Weight)>) -> Self {
        Self { scheduler_name: scheduler_name.into(), plugins: plugins.into_iter().collect() }
    }

    /// Whether any AI storage plugin takes part, so that policies are asked for and decisions logged.
    #[must_use]
    pub fn has_ai_plugins(&self) -> bool {
        self.plugins.iter().any(|(p, _)| AI_PLUGINS.contains(&p.name()))
    }

    /// Why a pod may not enter the queue yet.
    #[must_use]
    pub fn gate(&self, pod: &Pod) -> Option<String> {
        self.plugins.iter().find_map(|(plugin, _)| plugin.gate(pod))
    }

    /// The plugin of this name.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&dyn Plugin> {
        self.plugins.iter().find(|(p, _)| p.name() == name).map(|(p, _)| &**p)
    }

    /// The plugins that take part in an attempt, each with its weight in thousandths.
    /// An AI storage plugin that is disabled or weighs nothing takes no part.
    #[must_use]
    pub fn active(&self, config: &Config, policy: Option<&Policy>) -> Vec<(&dyn Plugin, i64)> {
        let mut active: Vec<(&dyn Plugin, i64)> = self
            .plugins
            .iter()
            .filter_map(|(plugin, weight)| {
                let weight = match (config.plugins.of(plugin.name()), weight) {
                    (None, Weight::Fixed(own)) => *own,
                    (None, Weight::Configured) => 1,
                    (Some((true, _)), Weight::Fixed(own)) if *own > 0 => *own,
                    (Some((true, configured)), Weight::Configured) if configured > 0 => configured,
                    (Some(_), _) => return None,
                };
                Some((&**plugin, weight * MILLI))
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
fn share_out(active: &mut [(&dyn Plugin, i64)], shares: [f32; 5]) {
    if !shares.iter().all(|w| (0.0..=1.0).contains(w)) {
        return;
    }
    let position = |name: &str| AI_PLUGINS.iter().take(shares.len()).position(|p| *p == name);
    let share = |name: &str| position(name).map(|i| f64::from(shares[i])).filter(|w| *w > 0.0);
    let sum: f64 = active.iter().filter_map(|(p, _)| share(p.name())).sum();
    let named: i64 = active.iter().filter(|(p, _)| share(p.name()).is_some()).map(|(_, w)| *w).sum();
    for (plugin, weight) in active {
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

    const GUIDES: [&str; 3] = ["DataLocalityAware", "StorageTierAware", "IOPatternBased"];

    /// Thousandths that the guide's three plugins weigh under these shares; `None` for one that takes no part.
    fn weights(config: &Config, shares: [f32; 5]) -> [Option<i64>; 3] {
        let profile = Profile::of("s", GUIDES.map(|name| (name, Weight::Configured)));
        let policy = Policy { plugin_weights: Some(shares), ..Policy::default() };
        let active = profile.active(config, Some(&policy));
        GUIDES.map(|name| active.iter().find(|(p, _)| p.name() == name).map(|(_, w)| *w))
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
        let active: Vec<i64> = profile.active(&Config::default(), Some(&policy)).iter().map(|(_, w)| *w).collect();
        assert_eq!(active, [7000, 6000, 2000]);
    }
}
