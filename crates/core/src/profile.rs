//! A scheduler profile: which plugins run, in which order, and what each weighs for a pod.
//! Leaves out what the plugins do; the list of all plugins is `plugins::create`.

use crate::framework::Plugin;
use crate::plugins;
use aisched_model::Str;
use aisched_model::config::{AI_PLUGINS, Config};
use aisched_model::policy::Policy;
use alloc::boxed::Box;
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
    ("NodeUnschedulable", 0),
    ("NodeName", 0),
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
/// With W the sum of their weights and w their shares, each weighs `W × w / Σw`; any share that is not finite or not within 0 to 1,
/// or a zero sum, leaves everything as it was. Example: weights 3, 3, 3 and shares 0.5, 0.25, 0.25 become 4.5, 2.25, 2.25.
fn share_out(active: &mut [(&dyn Plugin, i64)], shares: [f32; 5]) {
    let share = |name: &str| AI_PLUGINS.iter().take(shares.len()).position(|p| *p == name).map(|i| f64::from(shares[i]));
    let valid = shares.iter().all(|w| w.is_finite() && (0.0..=1.0).contains(w));
    let sum: f64 = active.iter().filter_map(|(p, _)| share(p.name())).sum();
    if !valid || sum <= 0.0 {
        return;
    }
    let named: i64 = active.iter().filter(|(p, _)| share(p.name()).is_some()).map(|(_, w)| *w).sum();
    for (plugin, weight) in active {
        if let Some(w) = share(plugin.name()) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "weights are small")]
            let shared = (named as f64 * w / sum + 0.5) as i64;
            *weight = shared;
        }
    }
}
