//! Kubernetes' feature gates: reads what they are set to, and keeps those that bear on decisions.
//! Leaves out gates of what this scheduler does in one way only; setting one of them has no effect, and is told.

mod gates;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use gates::{DEPENDENCIES, GATES};

/// What the gates that bear on decisions are set to. The fields bear the gates' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "one switch per gate")]
pub struct Features {
    /// Tolerations may compare numbers (`Lt`, `Gt`).
    pub taint_toleration_comparison_operators: bool,
    /// Spread constraints may take labels of the pod itself (`matchLabelKeys`).
    pub match_label_keys_in_pod_topology_spread: bool,
    /// Nodes are scored by the capacity that is left there for the pod's volumes.
    pub storage_capacity_scoring: bool,
    /// A CSIDriver may keep pods from nodes that lack it (`preventPodSchedulingIfMissing`).
    pub volume_limit_scaling: bool,
    /// A pod may ask for CPU, memory and huge pages as a whole (`spec.resources`).
    pub pod_level_resources: bool,
    /// What a kubelet granted to a pod as a whole counts (`status.resources`, `status.allocatedResources`).
    pub in_place_pod_level_resources_vertical_scaling: bool,
    /// A pod is taken before its backoff is over when no other is ready.
    pub scheduler_pop_from_backoff_q: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            taint_toleration_comparison_operators: false,
            match_label_keys_in_pod_topology_spread: true,
            storage_capacity_scoring: true,
            volume_limit_scaling: true,
            pod_level_resources: true,
            in_place_pod_level_resources_vertical_scaling: true,
            scheduler_pop_from_backoff_q: true,
        }
    }
}

/// How far a feature has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alpha,
    Beta,
    Stable,
    Deprecated,
}

/// Gates that stand for all others of a stage.
const ALL: [(&str, Stage); 2] = [("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)];

impl Features {
    /// Reads `Name=true` words, which may begin with `kube:`. The second value names gates that were turned and have no effect.
    ///
    /// # Errors
    /// What cannot be read, an unknown gate, one that is locked to the other value, or one without what it depends on.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<(Self, Vec<&'static str>), String> {
        let mut named: BTreeMap<&str, bool> = BTreeMap::new();
        for word in words.into_iter().map(str::trim).filter(|word| !word.is_empty()) {
            let (name, value) = read_word(word)?;
            named.insert(name, value);
        }
        for name in named.keys() {
            if find(name).is_none() {
                return Err(format!("unrecognized feature gate: {name}: expected a gate of kube-scheduler 1.37"));
            }
        }
        let (mut features, mut idle) = (Self::default(), Vec::new());
        let mut values: BTreeMap<&str, bool> = BTreeMap::new();
        for (gate, stage, default, locked) in all() {
            let of_stage = ALL.iter().find(|(_, of)| *of == stage).and_then(|(all, _)| named.get(all));
            let own = named.get(gate);
            match own {
                Some(value) if locked && *value != default => {
                    return Err(format!("cannot set feature gate {gate} to {value}, feature is locked to {default}"));
                }
                _ => {}
            }
            let value = *own.or(of_stage.filter(|_| !locked)).unwrap_or(&default);
            values.insert(gate, value);
            match features.field(gate) {
                Some(field) => *field = value,
                None if own.is_some() && value != default && !ALL.iter().any(|(all, _)| *all == gate) => idle.push(gate),
                None => {}
            }
        }
        let faults: Vec<String> = DEPENDENCIES.iter().filter_map(|dependency| lacking(dependency, &values)).collect();
        if faults.is_empty() { Ok((features, idle)) } else { Err(faults.join("; ")) }
    }

    fn field(&mut self, gate: &str) -> Option<&mut bool> {
        match gate {
            "TaintTolerationComparisonOperators" => Some(&mut self.taint_toleration_comparison_operators),
            "MatchLabelKeysInPodTopologySpread" => Some(&mut self.match_label_keys_in_pod_topology_spread),
            "StorageCapacityScoring" => Some(&mut self.storage_capacity_scoring),
            "VolumeLimitScaling" => Some(&mut self.volume_limit_scaling),
            "PodLevelResources" => Some(&mut self.pod_level_resources),
            "InPlacePodLevelResourcesVerticalScaling" => Some(&mut self.in_place_pod_level_resources_vertical_scaling),
            "SchedulerPopFromBackoffQ" => Some(&mut self.scheduler_pop_from_backoff_q),
            _ => None,
        }
    }
}

/// What a gate that is on depends on and that is off.
fn lacking(dependency: &str, values: &BTreeMap<&str, bool>) -> Option<String> {
    let (gate, needed) = dependency.split_once(": ")?;
    let is_on = |gate: &str| values.get(gate).copied().unwrap_or(false);
    let off: Vec<&str> = needed.split(' ').filter(|needed| is_on(gate) && !is_on(needed)).collect();
    (!off.is_empty()).then(|| format!("{gate} is enabled, but depends on features that are disabled: [{}]", off.join(" ")))
}

/// One `Name=true`. Go takes more words for a truth value than most people know.
fn read_word(word: &str) -> Result<(&str, bool), String> {
    let pair = word.strip_prefix("kube:").unwrap_or(word).split_once('=');
    let value = |text: &str| match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    };
    pair.and_then(|(name, text)| Some((name.trim(), value(text.trim())?)))
        .ok_or_else(|| format!("invalid feature gate {word:?}: expected Name=true or Name=false"))
}

/// Every gate: name, stage, default, locked.
fn all() -> impl Iterator<Item = (&'static str, Stage, bool, bool)> {
    GATES.iter().flat_map(|(stage, default, locked, names)| names.split_whitespace().map(|name| (name, *stage, *default, *locked)))
}

fn find(name: &str) -> Option<&'static str> {
    all().map(|(gate, ..)| gate).find(|gate| *gate == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_gates_defaults() {
        let mut n_fields = 0;
        for (gate, _, default, _) in all() {
            if let Some(field) = Features::default().field(gate) {
                assert_eq!(*field, default, "{gate}");
                n_fields += 1;
            }
        }
        assert_eq!((n_fields, all().count()), (7, 253));
    }

    #[test]
    fn gates_depend_on_gates_that_there_are() {
        for gate in DEPENDENCIES.iter().flat_map(|dependency| dependency.split([':', ' ']).filter(|name| !name.is_empty())) {
            assert_eq!(find(gate), Some(gate));
        }
    }

    #[test]
    fn gates_are_set_one_by_one_or_by_stage() {
        let acting = |on: bool| Features { taint_toleration_comparison_operators: on, ..Features::default() };
        let no_beta = Features {
            match_label_keys_in_pod_topology_spread: false,
            storage_capacity_scoring: false,
            volume_limit_scaling: false,
            pod_level_resources: false,
            in_place_pod_level_resources_vertical_scaling: false,
            scheduler_pop_from_backoff_q: false,
            ..Features::default()
        };
        let all_alpha = "AllAlpha=true,GenericWorkload=true";
        for (words, expected, idle) in [
            ("", Features::default(), &[][..]),
            ("TaintTolerationComparisonOperators=true", acting(true), &[]),
            ("kube:TaintTolerationComparisonOperators=T", acting(true), &[]),
            ("TaintTolerationComparisonOperators=true,TaintTolerationComparisonOperators=false", acting(false), &[]),
            (all_alpha, acting(true), &["GenericWorkload"]),
            (&format!("{all_alpha},TaintTolerationComparisonOperators=false"), acting(false), &["GenericWorkload"]),
            ("AllBeta=false", no_beta, &[]),
            ("AllBeta=false,StorageCapacityScoring=true", Features { storage_capacity_scoring: true, ..no_beta }, &[]),
            ("GenericWorkload=true, SchedulerAsyncPreemption=false", Features::default(), &["GenericWorkload", "SchedulerAsyncPreemption"]),
            ("SchedulerAsyncPreemption=true,NodeDeclaredFeatures=true", Features::default(), &[]),
        ] {
            assert_eq!(Features::read(words.split(',')), Ok((expected, idle.to_vec())), "{words}");
        }
    }

    #[test]
    fn gates_that_cannot_be_set_are_named() {
        for (word, expected) in [
            ("SchedulerQueueingHints=true", "unrecognized feature gate: SchedulerQueueingHints"),
            ("NodeDeclaredFeatures=false", "cannot set feature gate NodeDeclaredFeatures to false, feature is locked to true"),
            ("TaintTolerationComparisonOperators", "invalid feature gate \"TaintTolerationComparisonOperators\": expected Name=true"),
            ("TaintTolerationComparisonOperators=yes", "invalid feature gate"),
            ("wardle:Feature=true", "unrecognized feature gate: wardle:Feature"),
            (
                "CompositePodGroup=true",
                "CompositePodGroup is enabled, but depends on features that are disabled: [GenericWorkload TopologyAwareWorkloadScheduling]",
            ),
            (
                "AllAlpha=true",
                "CompositePodGroup is enabled, but depends on features that are disabled: [GenericWorkload]; PodGroupPreemptionPolicy",
            ),
            (
                "PodLevelResources=false",
                "InPlacePodLevelResourcesVerticalScaling is enabled, but depends on features that are disabled: [PodLevelResources]; PodLevelR",
            ),
        ] {
            let error = Features::read([word]).unwrap_err();
            assert!(error.starts_with(expected), "{word}: {error}");
        }
    }
}
