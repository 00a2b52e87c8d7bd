//! From an `AIStorageConfig` to the model's configuration, and the defaults back.
//! Leaves out validation, which comes first.

use super::validate::{ConfigFault, faults_of_spec};
use super::{AIStorageConfig, AIStorageConfigSpec, ApolloSpec, CsdSpec, StorageTiersSpec, TraitsSpec};
use aisched_model::Str;
use aisched_model::config::{ApolloConfig, Config, CsdBonuses, StorageTiers, Traits, hundredths};

/// The configuration that the object means; its `generation` is the caller's to count.
///
/// # Errors
/// Every fault of the specification.
pub fn to_config(object: &AIStorageConfig) -> Result<Config, Vec<ConfigFault>> {
    let spec = serde_json::to_value(&object.spec).unwrap_or_default();
    let faults = faults_of_spec(&spec, true);
    if faults.is_empty() { Ok(Config::from(&object.spec)) } else { Err(faults) }
}

impl From<&AIStorageConfigSpec> for Config {
    fn from(spec: &AIStorageConfigSpec) -> Self {
        let mut config = Self {
            plugins: (&spec.plugins).into(),
            storage_tiers: StorageTiers {
                nvme: (&spec.storage_tiers.nvme).into(),
                ssd: (&spec.storage_tiers.ssd).into(),
                hdd: (&spec.storage_tiers.hdd).into(),
                csd: CsdBonuses {
                    filtering: spec.storage_tiers.csd.filtering_bonus,
                    aggregation: spec.storage_tiers.csd.aggregation_bonus,
                    transformation: spec.storage_tiers.csd.transformation_bonus,
                },
            },
            apollo: (&spec.apollo).into(),
            io_accounting: spec.io_accounting,
            signals: (&spec.signals).into(),
            ..Self::default()
        };
        for (name, traits) in &spec.preprocessing_types {
            let base = config.preprocessing_types.get(name.as_str()).copied().unwrap_or(OWN_TYPE);
            config.preprocessing_types.insert(Str::from(name.as_str()), traits.over(base));
        }
        config
    }
}

/// Where a type of the user's own starts from: no trait but what it says.
const OWN_TYPE: Traits = Traits {
    read_intensive: false,
    write_intensive: false,
    cpu_intensive: false,
    memory_intensive: false,
    expansion_hundredths: 100,
    sequential: false,
    csd: false,
};

impl TraitsSpec {
    /// These traits, and `base` where they say nothing.
    fn over(&self, base: Traits) -> Traits {
        Traits {
            read_intensive: self.read_intensive.unwrap_or(base.read_intensive),
            write_intensive: self.write_intensive.unwrap_or(base.write_intensive),
            cpu_intensive: self.cpu_intensive.unwrap_or(base.cpu_intensive),
            memory_intensive: self.memory_intensive.unwrap_or(base.memory_intensive),
            expansion_hundredths: self.data_expansion.map_or(base.expansion_hundredths, hundredths),
            sequential: self.sequential_access.unwrap_or(base.sequential),
            csd: self.requires_csd.unwrap_or(base.csd),
        }
    }
}

impl From<&Traits> for TraitsSpec {
    fn from(traits: &Traits) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a few digits")]
        let expansion = traits.expansion_hundredths as f64 / 100.0;
        Self {
            read_intensive: Some(traits.read_intensive),
            write_intensive: Some(traits.write_intensive),
            cpu_intensive: Some(traits.cpu_intensive),
            memory_intensive: Some(traits.memory_intensive),
            data_expansion: Some(expansion),
            sequential_access: Some(traits.sequential),
            requires_csd: Some(traits.csd),
        }
    }
}

impl From<&Config> for AIStorageConfigSpec {
    fn from(config: &Config) -> Self {
        let tiers = &config.storage_tiers;
        Self {
            plugins: (&config.plugins).into(),
            preprocessing_types: config.preprocessing_types.iter().map(|(name, t)| (name.to_string(), TraitsSpec::from(t))).collect(),
            storage_tiers: StorageTiersSpec {
                nvme: (&tiers.nvme).into(),
                ssd: (&tiers.ssd).into(),
                hdd: (&tiers.hdd).into(),
                csd: (&tiers.csd).into(),
            },
            apollo: (&config.apollo).into(),
            io_accounting: config.io_accounting,
            signals: (&config.signals).into(),
        }
    }
}

impl Default for CsdSpec {
    fn default() -> Self {
        Self::from(&StorageTiers::default().csd)
    }
}

impl From<&CsdBonuses> for CsdSpec {
    fn from(csd: &CsdBonuses) -> Self {
        Self { filtering_bonus: csd.filtering, aggregation_bonus: csd.aggregation, transformation_bonus: csd.transformation }
    }
}

impl Default for ApolloSpec {
    fn default() -> Self {
        Self::from(&ApolloConfig::default())
    }
}

impl From<&ApolloConfig> for ApolloSpec {
    fn from(apollo: &ApolloConfig) -> Self {
        let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            endpoint: apollo.endpoint.to_string(),
            cache_expiry_seconds: seconds(apollo.cache_expiry_ms),
            connection_timeout_seconds: seconds(apollo.connection_timeout_ms),
            fallback_enabled: apollo.fallback_enabled,
            request_timeout_millis: millis(apollo.request_timeout_ms),
            policy_wait_millis: millis(apollo.policy_wait_ms),
            max_in_flight: i64::try_from(apollo.max_in_flight).unwrap_or(i64::MAX),
            max_delay_seconds: seconds(apollo.max_delay_ms),
            obey_reject: apollo.obey_reject,
        }
    }
}

impl From<&ApolloSpec> for ApolloConfig {
    fn from(spec: &ApolloSpec) -> Self {
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        Self {
            endpoint: spec.endpoint.trim().into(),
            cache_expiry_ms: number(spec.cache_expiry_seconds) * 1000,
            connection_timeout_ms: number(spec.connection_timeout_seconds) * 1000,
            fallback_enabled: spec.fallback_enabled,
            request_timeout_ms: number(spec.request_timeout_millis),
            policy_wait_ms: number(spec.policy_wait_millis),
            max_in_flight: usize::try_from(spec.max_in_flight).unwrap_or(1).max(1),
            max_delay_ms: number(spec.max_delay_seconds) * 1000,
            obey_reject: spec.obey_reject,
        }
    }
}
