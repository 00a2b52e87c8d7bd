//! Resolves what a pod is to the storage plugins, once per attempt, each field with its source (`scoring.md` §1).
//! Leaves out nodes and scores; reads nothing but the pod, its policy and the configuration.

use crate::decision::{FieldView, ProfileView};
use aisched_model::Str;
use aisched_model::config::{Config, Traits};
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use aisched_model::policy::{Findings, Policy, PolicyDecision, PolicySource};
use aisched_model::selector::Operator;
use aisched_model::signals::{ClaimedDemand, claimed_demand, identity, training_demand};
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::{ANNOTATION_PREFIX, Fault, IoDemand, names, whole};
use aisched_model::workload::{IoPattern, PreprocessingType, Stage, Tier};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a field's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A fresh APOLLO answer.
    Apollo,
    /// An APOLLO answer from the cache.
    Cache,
    /// The pod's own labels, annotations or affinity.
    Pod,
    /// Other systems' labels and objects.
    Inferred,
    /// A value that APOLLO sends for every pod.
    Default,
}

impl Source {
    /// The source of what an answer found out.
    fn of_policy(source: PolicySource) -> Self {
        if source == PolicySource::Cache { Self::Cache } else { Self::Apollo }
    }

    /// The word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apollo => "apollo",
            Self::Cache => "cache",
            Self::Pod => "pod",
            Self::Inferred => "inferred",
            Self::Default => "default",
        }
    }
}

/// A value and where it came from; `None` when nothing says.
pub type Sourced<T> = Option<(T, Source)>;

/// What a pod is to the storage plugins.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadProfile {
    /// Pipeline stage.
    pub stage: Sourced<Stage>,
    /// Preprocessing type.
    pub preprocessing_type: Sourced<PreprocessingType>,
    /// I/O pattern.
    pub io_pattern: Sourced<IoPattern>,
    /// Datasets; never an empty list.
    pub datasets: Sourced<Vec<Str>>,
    /// Storage tier asked for.
    pub required_tier: Sourced<Tier>,
    /// Who says that the tier binds; `None` when it is a wish.
    pub strict_tier: Option<Source>,
    /// Who says that only nodes with computational storage will do.
    pub require_csd: Option<Source>,
    /// Set when APOLLO says that the workload can use computational storage.
    pub csd_by_policy: Option<Source>,
    /// IOPS asked for; above 0, like the two below.
    pub required_iops: Sourced<i64>,
    /// MB/s asked for.
    pub required_throughput_mbps: Sourced<i64>,
    /// GB asked for.
    pub required_capacity_gb: Sourced<i64>,
    /// Zone preferred.
    pub preferred_zone: Sourced<Str>,
    /// Rack preferred.
    pub preferred_rack: Sourced<Str>,
    /// Who says that nodes without enough of the I/O that is asked for will not do.
    pub strict_io: Option<Source>,
    /// What the workload does; set for preprocessing workloads only.
    pub traits: Option<Traits>,
    /// What says so, of every field that is inferred.
    pub origins: Vec<(&'static str, Str)>,
    /// Values on the pod that could not be used.
    pub faults: Vec<Fault>,
}

impl WorkloadProfile {
    /// Resolves a pod's profile. `policy` comes with its source: fresh or cached. Of the snapshot, the pod's claims and their classes are read.
    #[must_use]
    pub fn resolve(pod: &Pod, policy: Option<(&Policy, PolicySource)>, config: &Config, snapshot: &Snapshot) -> Self {
        let reader = Reader { pod, policy, config, snapshot, faults: Vec::new(), origins: Vec::new() };
        reader.resolve()
    }

    /// Whether the pod prepares data: its stage says so, or its preprocessing type is known.
    #[must_use]
    pub fn is_preprocessing(&self) -> bool {
        self.traits.is_some()
    }

    /// What the pod takes from a node's I/O budgets. Values that APOLLO sends for every pod are no demands.
    #[must_use]
    pub fn io_demand(&self) -> IoDemand {
        let demand = |field: &Sourced<i64>| match field {
            Some((n, source)) if *source != Source::Default => *n,
            _ => 0,
        };
        IoDemand {
            iops: demand(&self.required_iops),
            throughput_mbps: demand(&self.required_throughput_mbps),
            capacity_gb: demand(&self.required_capacity_gb),
        }
    }

    /// The known fields, for explanations.
    #[must_use]
    pub fn view(&self) -> ProfileView {
        let mut view = Vec::new();
        let mut push = |name, field: Option<(String, Source)>| {
            if let Some((value, source)) = field {
                let from = self.origins.iter().find(|(field, _)| *field == name).map(|(_, from)| from.clone());
                view.push((name, FieldView { value, source: source.as_str(), from, age_seconds: None }));
            }
        };
        push("stage", self.stage.map(|(s, source)| (s.as_str().into(), source)));
        push("preprocessingType", self.preprocessing_type.as_ref().map(|(t, s)| (t.as_str().into(), *s)));
        push("ioPattern", self.io_pattern.map(|(p, source)| (p.as_str().into(), source)));
        push("datasets", self.datasets.as_ref().map(|(d, s)| (d.join(","), *s)));
        push("requiredTier", self.required_tier.map(|(t, source)| (t.as_str().into(), source)));
        push("strictTier", self.strict_tier.map(|source| ("true".into(), source)));
        push("requireCsd", self.require_csd.map(|source| ("true".into(), source)));
        push("requiredIops", self.required_iops.map(|(n, s)| (n.to_string(), s)));
        push("requiredThroughputMbps", self.required_throughput_mbps.map(|(n, s)| (n.to_string(), s)));
        push("requiredCapacityGb", self.required_capacity_gb.map(|(n, s)| (n.to_string(), s)));
        push("strictIo", self.strict_io.map(|source| ("true".into(), source)));
        push("preferredZone", self.preferred_zone.as_ref().map(|(z, s)| (z.to_string(), *s)));
        push("preferredRack", self.preferred_rack.as_ref().map(|(r, s)| (r.to_string(), *s)));
        ProfileView(view)
    }
}

/// Reads the sources in their order and collects what could not be used.
struct Reader<'a> {
    pod: &'a Pod,
    policy: Option<(&'a Policy, PolicySource)>,
    config: &'a Config,
    snapshot: &'a Snapshot,
    faults: Vec<Fault>,
    origins: Vec<(&'static str, Str)>,
}

impl Reader<'_> {
    fn resolve(mut self) -> WorkloadProfile {
        let stage = self.pod_value(&["workload-stage", "pipeline-stage"], &["pipeline-step", "stage"], stage, Stage::accepted);
        let on = &self.config.signals;
        let identity = identity(self.pod, on.workload_identity, on.kserve, on.fluid);
        let stage = self.with_policy("stage", stage, identity.stage, |f| f.stage);
        let types: Vec<Str> = self.config.preprocessing_types.keys().cloned().collect();
        let preprocessing_type =
            self.pod_value(&["preprocessing-type"], &["preprocessing-type"], |v| preprocessing_type(v, &types), || types.join(", "));
        let preprocessing_type =
            self.with_policy("preprocessingType", preprocessing_type, None::<(_, Str)>, |f| f.preprocessing_type.clone());
        let io_pattern = self.pod_value(&["io-pattern"], &[], IoPattern::from_spelling, IoPattern::accepted);
        let io_pattern = self.with_policy("ioPattern", io_pattern, identity.io_pattern, |f| f.io_pattern);
        let datasets = self.annotation("dataset").map(|v| names(v)).filter(|d| !d.is_empty());
        let datasets = self.with_policy("datasets", datasets, identity.datasets, |f| Some(f.datasets.clone()).filter(|d| !d.is_empty()));
        let tier = self.pod_value(&["required-storage-tier"], &["storage-tier"], Tier::from_spelling, Tier::accepted);
        let claimed = if on.storage_classes { claimed_demand(self.pod, self.snapshot) } else { ClaimedDemand::default() };
        let required_tier = self.with_policy("requiredTier", tier, claimed.local_tier, |f| f.required_tier);
        let required_iops = self.number(["requiredIops", "required-iops"], claimed.iops, |f| f.required_iops);
        let is_guess = |source| identity.is_guess && source == Source::Inferred;
        let trains = on.training_demand && matches!(stage, Some((Stage::Training, source)) if !is_guess(source));
        let trained = || training_demand(self.pod).filter(|_| trains).map(|(n, from)| (n, from.into()));
        let throughput = claimed.throughput_mbps.or_else(trained);
        let required_throughput_mbps =
            self.number(["requiredThroughputMbps", "required-throughput-mbps"], throughput, |f| f.required_throughput_mbps);
        let required_capacity_gb = self.number(["requiredCapacityGb", "required-capacity-gb"], None, |f| f.required_capacity_gb);
        let require = self.policy_says(|p| p.decision == PolicyDecision::Require);
        let csd_by_policy = self.policy_says(|p| p.findings.requires_csd);
        let preprocessing = preprocessing_type.is_some() || matches!(stage, Some((Stage::DataLoading | Stage::Preprocessing, _)));
        let traits = preprocessing.then(|| {
            let known = preprocessing_type.as_ref().and_then(|(t, _)| self.config.preprocessing_types.get(t.as_str()).copied());
            known.unwrap_or_else(|| Traits::inferred(io_pattern.map(|(p, _)| p)))
        });
        WorkloadProfile {
            stage,
            preprocessing_type,
            io_pattern,
            datasets,
            required_tier,
            strict_tier: require.or(self.flag("strict-storage-tier")),
            require_csd: require.and(csd_by_policy).or(self.flag("require-csd")),
            csd_by_policy,
            strict_io: self.flag("strict-io"),
            required_iops,
            required_throughput_mbps,
            required_capacity_gb,
            preferred_zone: self.preferred("preferred-zone").or_else(|| self.affinity_zone()).map(|z| (z, Source::Pod)),
            preferred_rack: self.preferred("preferred-rack").map(|r| (r, Source::Pod)),
            traits,
            origins: self.origins,
            faults: self.faults,
        }
    }

    /// A finding of APOLLO wins over the pod, the pod over what other systems tell, that over APOLLO's defaults.
    fn with_policy<T>(
        &mut self,
        field: &'static str,
        pod: Option<T>,
        inferred: Option<(T, impl Into<Str>)>,
        of: impl Fn(&Findings) -> Option<T>,
    ) -> Sourced<T> {
        let finding = self.policy.and_then(|(p, source)| Some((of(&p.findings)?, Source::of_policy(source))));
        if let Some(known) = finding.or_else(|| Some((pod?, Source::Pod))) {
            return Some(known);
        }
        if let Some((value, from)) = inferred {
            self.origins.push((field, from.into()));
            return Some((value, Source::Inferred));
        }
        self.policy.and_then(|(p, _)| Some((of(&p.defaults)?, Source::Default)))
    }

    /// The policy's source, where the policy says so.
    fn policy_says(&self, so: impl Fn(&Policy) -> bool) -> Option<Source> {
        self.policy.filter(|(p, _)| so(p)).map(|(_, source)| Source::of_policy(source))
    }

    fn annotation(&self, name: &str) -> Option<&Str> {
        self.pod.spec.annotations.get(&format!("{ANNOTATION_PREFIX}{name}"))
    }

    /// The first usable value under the annotations, then the labels. All keys are read, so that a bad value is reported even where
    /// a good one hides it.
    fn pod_value<T>(
        &mut self,
        annotations: &[&str],
        labels: &[&str],
        parse: impl Fn(&str) -> Option<T>,
        accepted: impl Fn() -> String,
    ) -> Option<T> {
        let spec = self.pod.spec.clone();
        let annotations = annotations.iter().map(|name| (format!("{ANNOTATION_PREFIX}{name}"), &spec.annotations));
        let labels = labels.iter().map(|name| (String::from(*name), &spec.labels));
        let mut first = None;
        for (key, pairs) in annotations.chain(labels) {
            let value = self.usable(&key, pairs, &parse, || format!("one of {}", accepted()));
            first = first.or(value);
        }
        first
    }

    /// The value under `key`, noted as a fault when it does not parse. A blank value is an absent one.
    fn usable<T>(&mut self, key: &str, pairs: &Labels, parse: impl Fn(&str) -> Option<T>, expected: impl Fn() -> String) -> Option<T> {
        let value = pairs.get(key).filter(|v| !v.trim().is_empty())?;
        let parsed = parse(value);
        if parsed.is_none() {
            self.faults.push(Fault::new(key, value, expected()));
        }
        parsed
    }

    /// A demand; 0 is none.
    fn number(
        &mut self,
        [field, name]: [&'static str; 2],
        inferred: Option<(i64, Str)>,
        of: impl Fn(&Findings) -> Option<i64>,
    ) -> Sourced<i64> {
        let spec = self.pod.spec.clone();
        let key = format!("{ANNOTATION_PREFIX}{name}");
        let number = self.usable(&key, &spec.annotations, whole, || "a whole number, 0 or more".into());
        let demand = |n: &i64| *n > 0;
        self.with_policy(field, number.filter(demand), inferred, |f| of(f).filter(demand))
    }

    /// Set when the annotation says `true`.
    fn flag(&mut self, name: &str) -> Option<Source> {
        let spec = self.pod.spec.clone();
        let parse = |v: &str| match v.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let key = format!("{ANNOTATION_PREFIX}{name}");
        self.usable(&key, &spec.annotations, parse, || "one of true, false".into()).filter(|set| *set).map(|_| Source::Pod)
    }

    fn preferred(&self, name: &str) -> Option<Str> {
        self.annotation(name).map(|v| Str::from(v.trim())).filter(|v| !v.is_empty())
    }

    /// The first value of a preferred node-affinity term on the zone label.
    fn affinity_zone(&self) -> Option<Str> {
        let preferred = &self.pod.spec.node_affinity.preferred;
        preferred
            .iter()
            .flat_map(|(_, term)| &term.labels)
            .find(|r| *r.key == *"topology.kubernetes.io/zone" && r.operator == Operator::In)
            .and_then(|r| r.values.first().cloned())
    }
}

/// A stage by any spelling; a longer text that contains `preprocess` counts as preprocessing.
fn stage(value: &str) -> Option<Stage> {
    Stage::from_spelling(value).or_else(|| value.to_ascii_lowercase().contains("preprocess").then_some(Stage::Preprocessing))
}

/// A preprocessing type by the name of one that the configuration defines, else by any spelling of a built-in one: an operator who
/// defines a type `clean` means that one, not filtering.
fn preprocessing_type(value: &str, configured: &[Str]) -> Option<PreprocessingType> {
    let value = value.trim();
    let exact = configured.iter().find(|name| ***name == *value);
    let named = exact.or_else(|| configured.iter().find(|name| name.eq_ignore_ascii_case(value)));
    named.map(|name| PreprocessingType::custom(name.clone())).or_else(|| PreprocessingType::built_in(value))
}

#[cfg(test)]
#[path = "workload_profile_tests.rs"]
mod tests;
