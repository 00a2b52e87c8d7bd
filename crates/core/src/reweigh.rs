//! Weighs a decision anew: where the pod would have gone, had the AI storage plugins counted otherwise.
//! Decides nothing: the nodes that would do, and their scores, stay what they were.

use crate::decision::{Decision, NodeReport, RunnerUp};
use crate::profile::Profile;
use aisched_model::config::Config;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

impl Decision {
    /// The decision with the weights of a configuration, among the nodes that it reports on; equals stay in their order. `None` where it does
    /// not say: a plugin that would count had not scored, or a policy shared the weights out.
    ///
    /// Example: of nodes that score 40 and 30 in `StorageTierAware`, 0 and 20 in `DataLocalityAware`, the first leads with weights 3 and
    /// 1 (120 to 110), the second with 1 and 1 (40 to 50).
    #[must_use]
    pub fn reweighed(&self, profile: &Profile, config: &Config) -> Option<Self> {
        if self.policy.shares_weights {
            return None;
        }
        let active = profile.active(config, None);
        let configured = active.iter().filter(|a| a.points.score && config.plugins.of(a.plugin.name()).is_some());
        let weights: Vec<(&str, i64)> = configured.map(|a| (a.plugin.name(), a.weight)).collect();
        let mut weighed = self.clone();
        for node in weighed.nodes.iter_mut().filter(|n| n.feasible) {
            node.weigh(&weights, config)?;
        }
        weighed.nodes.sort_by_key(|n| Reverse(n.total));
        let best = weighed.nodes.first().filter(|n| n.feasible);
        let second = weighed.nodes.get(1).filter(|n| n.feasible);
        weighed.node = best.map(|n| n.node.clone());
        weighed.runner_up = best.zip(second).and_then(|(a, b)| Some(RunnerUp { node: b.node.clone(), margin: a.total? - b.total? }));
        Some(weighed)
    }
}

impl NodeReport {
    /// Sets what each configured plugin counts with, nothing where it is not among `weights`; `None` where one of these has no score.
    fn weigh(&mut self, weights: &[(&str, i64)], config: &Config) -> Option<()> {
        if !weights.iter().all(|(name, _)| self.plugins.iter().any(|p| p.name == *name)) {
            return None;
        }
        for plugin in Arc::make_mut(&mut self.plugins).iter_mut().filter(|p| config.plugins.of(p.name).is_some()) {
            plugin.weight = weights.iter().find(|(name, _)| plugin.name == *name).map_or(0, |(_, weight)| *weight);
        }
        self.total = Some(self.plugins.iter().map(|p| p.weight * p.score).sum());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::PluginScore;
    use crate::profile::MILLI;
    use alloc::vec;

    fn config(data: i64, tier: i64) -> Config {
        let mut config = Config::default();
        for (plugin, weight) in [
            (&mut config.plugins.kueue_aware.weight, 0),
            (&mut config.plugins.pipeline_stage_aware.weight, 0),
            (&mut config.plugins.csi_storage_aware.weight, 0),
            (&mut config.plugins.io_pattern_based.weight, 0),
            (&mut config.plugins.data_locality_aware.weight, data),
            (&mut config.plugins.storage_tier_aware.weight, tier),
        ] {
            *plugin = weight;
        }
        config
    }

    fn score(name: &'static str, weight: i64, score: i64) -> PluginScore {
        PluginScore { name, weight: weight * MILLI, score, skipped: false, components: crate::decision::Components::default() }
    }

    /// On `a` by 10 with weights 1 (data) and 3 (tier), before `b`; `c` refuses.
    fn decision() -> Decision {
        let node = |name: &str, plugins: Vec<PluginScore>| NodeReport {
            node: name.into(),
            feasible: true,
            reasons: vec![],
            total: Some(plugins.iter().map(|p| p.weight * p.score).sum()),
            plugins: plugins.into(),
        };
        let plugins =
            |data, tier| vec![score("ImageLocality", 1, 5), score("DataLocalityAware", 1, data), score("StorageTierAware", 3, tier)];
        let refuses = NodeReport { node: "c".into(), feasible: false, reasons: vec![], total: None, plugins: Arc::default() };
        let nodes = vec![node("a", plugins(0, 40)), node("b", plugins(20, 30)), refuses];
        let runner_up = Some(RunnerUp { node: "b".into(), margin: 10 * MILLI });
        Decision { node: Some("a".into()), runner_up, n_feasible: 2, n_nodes: 3, nodes, ..Decision::default() }
    }

    fn weighed(decision: &Decision, config: &Config) -> Option<Decision> {
        decision.reweighed(&Profile::ai_storage("s"), config)
    }

    #[test]
    fn weights_of_then_give_the_decision_of_then() {
        assert_eq!(weighed(&decision(), &config(1, 3)), Some(decision()));
    }

    #[test]
    fn other_weights_give_another_leader_and_margin() {
        let other = weighed(&decision(), &config(1, 1)).unwrap();
        assert_eq!((other.node.as_deref(), other.runner_up), (Some("b"), Some(RunnerUp { node: "a".into(), margin: 10 * MILLI })));
        assert_eq!(other.nodes.iter().map(|n| n.total).collect::<Vec<_>>(), [Some(55 * MILLI), Some(45 * MILLI), None]);
    }

    #[test]
    fn equals_stay_in_their_order() {
        assert_eq!(weighed(&decision(), &config(1, 2)).unwrap().node.as_deref(), Some("a"));
    }

    #[test]
    fn plugin_without_a_score_of_then_or_weights_of_a_policy_say_nothing() {
        let mut more = config(1, 3);
        more.plugins.kueue_aware.weight = 2;
        assert_eq!(weighed(&decision(), &more), None);
        let mut shared = decision();
        shared.policy.shares_weights = true;
        assert_eq!(weighed(&shared, &config(1, 3)), None);
    }

    #[test]
    fn plugin_that_would_be_off_counts_nothing() {
        let off = weighed(&decision(), &config(1, 0)).unwrap();
        assert_eq!((off.node.as_deref(), off.nodes[0].total), (Some("b"), Some(25 * MILLI)));
    }
}
