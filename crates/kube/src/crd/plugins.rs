//! The plugins' sections of `AIStorageConfig`: one row per plugin and one line per component.
//! Defaults are the model's; leaves out the rule that a plugin's maxima sum to at most 100 (`validate`, `yaml`).

use aisched_model::config::{self as model, PluginConfig, Plugins};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines a plugin's section and its maxima, and the way to the model and back.
macro_rules! plugin {
    ($(#[$doc:meta])* $section:ident: $at:ident, $scoring:ident: $model:ident { $($(#[$about:meta])* $key:ident: $part:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $section {
            /// Whether the plugin takes part.
            pub enabled: bool,
            /// What the plugin's score is multiplied with. 0 switches the plugin off.
            #[schemars(range(min = 0, max = 10))]
            pub weight: i64,
            /// Maxima of the score's components; together at most 100.
            pub scoring: $scoring,
        }

        /// Maxima of the score's components.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $scoring {
            $($(#[$about])* #[schemars(range(min = 0, max = 100))] pub $key: i64),*
        }

        impl Default for $section {
            fn default() -> Self {
                Self::from(&Plugins::default().$at)
            }
        }

        impl Default for $scoring {
            fn default() -> Self {
                $section::default().scoring
            }
        }

        impl From<&PluginConfig<model::$model>> for $section {
            fn from(plugin: &PluginConfig<model::$model>) -> Self {
                let scoring = $scoring { $($key: plugin.scoring.$part),* };
                Self { enabled: plugin.enabled, weight: plugin.weight, scoring }
            }
        }

        impl From<&$section> for PluginConfig<model::$model> {
            fn from(spec: &$section) -> Self {
                Self { enabled: spec.enabled, weight: spec.weight, scoring: model::$model { $($part: spec.scoring.$key),* } }
            }
        }
    };
}

plugin! {
    /// Puts pods near their data.
    DataLocalityAwareSpec: data_locality_aware, DataLocalityScoringSpec: DataLocalityScoring {
        /// Preference of the policy service.
        apollo_score_max: apollo,
        /// Nearness of the pod's volumes.
        pvc_locality_score_max: pvc_locality,
        /// Datasets cached on the node.
        cache_score_max: cache,
        /// Preferred zone and rack.
        topology_score_max: topology,
    }
}

plugin! {
    /// Matches I/O pattern, stage and demands with storage tiers.
    StorageTierAwareSpec: storage_tier_aware, StorageTierScoringSpec: StorageTierScoring {
        /// I/O pattern against the node's tiers.
        io_pattern_score_max: io_pattern,
        /// Pipeline stage against the node's tiers.
        pipeline_stage_score_max: pipeline_stage,
        /// IOPS and throughput against what the node has left.
        iops_score_max: performance,
        /// Capacity against what the node has left.
        capacity_score_max: capacity,
    }
}

plugin! {
    /// Matches preprocessing types with nodes.
    IoPatternBasedSpec: io_pattern_based, IoPatternScoringSpec: IoPatternScoring {
        /// Preference of the policy service.
        apollo_preference_score_max: apollo_preference,
        /// CPU, memory and read speed for the type.
        resource_match_score_max: resource_match,
        /// Caches and buffers for the access pattern.
        io_optimization_score_max: io_optimization,
        /// Room for data that grows.
        expansion_score_max: expansion,
        /// Computational storage for types that can use it.
        csd_score_max: csd,
    }
}

plugin! {
    /// Places gangs that Kueue admits.
    KueueAwareSpec: kueue_aware, KueueScoringSpec: KueueScoring {
        /// Members of the gang on the node.
        gang_locality_score_max: gang_locality,
        /// Share of the queue that is admitted.
        queue_priority_score_max: queue_pressure,
        /// Room for large gangs.
        workload_size_score_max: workload_size,
        /// Rack and zone of the gang's members.
        network_proximity_score_max: network_proximity,
    }
}

plugin! {
    /// Places steps of a pipeline near the steps that they depend on.
    PipelineStageAwareSpec: pipeline_stage_aware, PipelineStageScoringSpec: PipelineStageScoring {
        /// Nearness of the steps depended on.
        dependency_locality_score_max: dependency_locality,
        /// Share of the pipeline's steps on the node.
        pipeline_cohesion_score_max: pipeline_cohesion,
        /// I/O pattern against the node's tiers.
        io_pattern_score_max: io_pattern,
    }
}

plugin! {
    /// Looks at capacity, free volume slots and topology of CSI drivers.
    CsiStorageAwareSpec: csi_storage_aware, CsiStorageScoringSpec: CsiStorageScoring {
        /// Capacity of the class near the node.
        capacity_score_max: capacity,
        /// Free volume slots of the driver on the node.
        volume_headroom_score_max: volume_headroom,
        /// Topology keys of the driver on the node.
        topology_score_max: topology,
    }
}

/// One section per plugin.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PluginsSpec {
    /// DataLocalityAware.
    pub data_locality_aware: DataLocalityAwareSpec,
    /// StorageTierAware.
    pub storage_tier_aware: StorageTierAwareSpec,
    /// IOPatternBased.
    pub io_pattern_based: IoPatternBasedSpec,
    /// KueueAware.
    pub kueue_aware: KueueAwareSpec,
    /// PipelineStageAware.
    pub pipeline_stage_aware: PipelineStageAwareSpec,
    /// CSIStorageAware.
    pub csi_storage_aware: CsiStorageAwareSpec,
}

impl From<&Plugins> for PluginsSpec {
    fn from(plugins: &Plugins) -> Self {
        Self {
            data_locality_aware: (&plugins.data_locality_aware).into(),
            storage_tier_aware: (&plugins.storage_tier_aware).into(),
            io_pattern_based: (&plugins.io_pattern_based).into(),
            kueue_aware: (&plugins.kueue_aware).into(),
            pipeline_stage_aware: (&plugins.pipeline_stage_aware).into(),
            csi_storage_aware: (&plugins.csi_storage_aware).into(),
        }
    }
}

impl From<&PluginsSpec> for Plugins {
    fn from(spec: &PluginsSpec) -> Self {
        Self {
            data_locality_aware: (&spec.data_locality_aware).into(),
            storage_tier_aware: (&spec.storage_tier_aware).into(),
            io_pattern_based: (&spec.io_pattern_based).into(),
            kueue_aware: (&spec.kueue_aware).into(),
            pipeline_stage_aware: (&spec.pipeline_stage_aware).into(),
            csi_storage_aware: (&spec.csi_storage_aware).into(),
        }
    }
}
