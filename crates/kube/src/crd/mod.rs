//! `AIStorageConfig`, the custom resource behind the live configuration: its types, from which the schema is made.
//! Leaves out the schema's finishing (`yaml`), validation (`validate`), the way to the model's configuration (`convert`) and watching it.

mod convert;
mod plugins;
mod signals;
mod validate;
mod yaml;

pub use convert::to_config;
pub use plugins::*;
pub use signals::SignalsSpec;
pub use validate::{ConfigFault, faults_of_spec};
pub use yaml::{crd, crd_yaml, default_config_yaml};

use crate::documents::{Object, ParseFault, parse_documents};
use aisched_model::config::{self as model, Config};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Group of the resource.
pub const GROUP: &str = "ai-storage.keti";

/// What the AI storage scheduler weighs, and how much. Changes apply to the next scheduling attempt.
#[derive(Clone, Debug, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ai-storage.keti",
    version = "v1",
    kind = "AIStorageConfig",
    plural = "aistorageconfigs",
    singular = "aistorageconfig",
    namespaced,
    status = "AIStorageConfigStatus",
    shortname = "aisc",
    shortname = "aisconfig",
    printcolumn = r#"{"name":"DataLocality-Weight","type":"integer","jsonPath":".spec.plugins.dataLocalityAware.weight"}"#,
    printcolumn = r#"{"name":"StorageTier-Weight","type":"integer","jsonPath":".spec.plugins.storageTierAware.weight"}"#,
    printcolumn = r#"{"name":"IOPattern-Weight","type":"integer","jsonPath":".spec.plugins.ioPatternBased.weight"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(default, rename_all = "camelCase")]
pub struct AIStorageConfigSpec {
    /// The AI storage plugins: whether they take part, their weights, the maxima of their score components.
    pub plugins: PluginsSpec,
    /// What preprocessing workloads do, by type. Types that are left out keep their defaults; further types become usable by name.
    pub preprocessing_types: BTreeMap<String, TraitsSpec>,
    /// Scores of the storage tiers per I/O pattern, and bonuses of computational storage.
    pub storage_tiers: StorageTiersSpec,
    /// The APOLLO policy service.
    pub apollo: ApolloSpec,
    /// Whether the I/O demands of pods that this scheduler placed are subtracted from what their nodes offer.
    pub io_accounting: bool,
    /// Which other systems are believed about nodes, pods and data. What a label or annotation of your own says always wins.
    pub signals: SignalsSpec,
}

/// Traits of one preprocessing type. A field that is left out keeps the type's default;
/// in a type of your own, it is false (`dataExpansion`: 1).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TraitsSpec {
    /// Reads much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_intensive: Option<bool>,
    /// Writes much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_intensive: Option<bool>,
    /// Computes much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_intensive: Option<bool>,
    /// Needs much memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_intensive: Option<bool>,
    /// Bytes written per byte read: 5 grows the data fivefold, 0.1 shrinks it to a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub data_expansion: Option<f64>,
    /// Reads and writes in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential_access: Option<bool>,
    /// Can run on a computational storage device.
    #[serde(skip_serializing_if = "Option::is_none", rename = "requiresCSD")]
    pub requires_csd: Option<bool>,
}

/// Scores of the storage tiers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageTiersSpec {
    /// NVMe, and memory.
    pub nvme: NvmeSpec,
    /// SSD.
    pub ssd: SsdSpec,
    /// HDD.
    pub hdd: HddSpec,
    /// Computational storage.
    pub csd: CsdSpec,
}

/// A tier's type: the tiers differ in nothing but their defaults.
macro_rules! tiers {
    ($($(#[$doc:meta])* $name:ident: $tier:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name {
            /// Score for pods that mostly read.
            #[schemars(range(min = 0, max = 100))]
            pub read_heavy_score: i64,
            /// Score for pods that mostly write.
            #[schemars(range(min = 0, max = 100))]
            pub write_heavy_score: i64,
            /// Score for random access.
            #[schemars(range(min = 0, max = 100))]
            pub random_score: i64,
            /// Score for sequential access.
            #[schemars(range(min = 0, max = 100))]
            pub sequential_score: i64,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::from(&model::StorageTiers::default().$tier)
            }
        }

        impl From<&model::TierScores> for $name {
            fn from(tier: &model::TierScores) -> Self {
                Self {
                    read_heavy_score: tier.read_heavy,
                    write_heavy_score: tier.write_heavy,
                    random_score: tier.random,
                    sequential_score: tier.sequential,
                }
            }
        }

        impl From<&$name> for model::TierScores {
            fn from(spec: &$name) -> Self {
                Self {
                    read_heavy: spec.read_heavy_score,
                    write_heavy: spec.write_heavy_score,
                    random: spec.random_score,
                    sequential: spec.sequential_score,
                }
            }
        }
    )*};
}

tiers! {
    /// Scores of NVMe.
    NvmeSpec: nvme,
    /// Scores of SSD.
    SsdSpec: ssd,
    /// Scores of HDD.
    HddSpec: hdd
}

/// Bonuses for preprocessing types that a computational storage device runs well.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CsdSpec {
    /// Filtering.
    #[schemars(range(min = 0, max = 100))]
    pub filtering_bonus: i64,
    /// Aggregation.
    #[schemars(range(min = 0, max = 100))]
    pub aggregation_bonus: i64,
    /// Transformation.
    #[schemars(range(min = 0, max = 100))]
    pub transformation_bonus: i64,
}

/// The APOLLO policy service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ApolloSpec {
    /// Host and port. Empty switches APOLLO off. The scheduler's environment variable `APOLLO_ENDPOINT` wins.
    pub endpoint: String,
    /// How long an answer is used again for the same pod.
    #[schemars(range(min = 1, max = 3600))]
    pub cache_expiry_seconds: i64,
    /// How long connecting may take, and the longest pause between attempts.
    #[schemars(range(min = 1, max = 300))]
    pub connection_timeout_seconds: i64,
    /// Whether a pod without an answer is placed by its own labels and annotations; if not, it waits.
    pub fallback_enabled: bool,
    /// Deadline of one call.
    #[schemars(range(min = 1, max = 60_000))]
    pub request_timeout_millis: i64,
    /// How long a pod waits for its answer before it is placed without.
    #[schemars(range(min = 0, max = 60_000))]
    pub policy_wait_millis: i64,
    /// Calls at a time.
    #[schemars(range(min = 1, max = 1024))]
    pub max_in_flight: i64,
    /// How long the decision DELAY may hold a pod back.
    #[schemars(range(min = 0, max = 3600))]
    pub max_delay_seconds: i64,
    /// Whether the decision REJECT is obeyed.
    pub obey_reject: bool,
}

/// What the running scheduler says of the object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AIStorageConfigStatus {
    /// `Accepted`: whether the running scheduler uses the object.
    pub conditions: Vec<ConditionStatus>,
}

/// A condition, of the usual shape.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionStatus {
    /// Kind of condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation of the object that the condition speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl Default for AIStorageConfigSpec {
    fn default() -> Self {
        Self::from(&Config::default())
    }
}

/// Checks the configurations in a file without a cluster: every fault with its line, none when the file is good.
#[must_use]
pub fn check(text: &str, file: &str) -> Vec<ParseFault> {
    let objects = match parse_documents(text, file) {
        Ok(objects) => objects,
        Err(faults) => return faults,
    };
    if objects.iter().any(|o| matches!(o, Object::Config(_))) {
        return Vec::new();
    }
    vec![ParseFault {
        file: file.into(),
        line: 0,
        document: 1,
        object: String::new(),
        field: String::new(),
        value: String::new(),
        expected: format!("an AIStorageConfig of {GROUP}/v1; the file holds none"),
    }]
}

#[cfg(test)]
mod tests;
