//! How people may write the contract's enums in a rules file: `random`, `READ_HEAVY`, `IO_PATTERN_BURSTY`, `nvme`, or the number.
//! Leaves out what the words mean.

use crate::wire;
use aisched_model::workload::{PreprocessingType, Stage, Tier};
use serde::Deserializer;
use serde::de::{Error, Visitor};
use std::fmt::{self, Formatter};

/// One enum's vocabulary.
struct Words {
    /// What the enum is called in messages.
    what: &'static str,
    /// What the names of its values begin with.
    prefix: &'static str,
    /// The names of its values by number, from 0 without gaps.
    names: Vec<&'static str>,
    /// The name, without prefix, of a spelling that users know from labels and annotations.
    by_spelling: fn(&str) -> Option<&'static str>,
}

/// Defines the function that `#[serde(deserialize_with)]` names for one enum.
macro_rules! words {
    ($function:ident, $enum:ty, $what:literal, $prefix:literal, $by_spelling:expr) => {
        pub(crate) fn $function<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
            let values = (0..).map_while(|number| <$enum>::try_from(number).ok());
            deserializer.deserialize_any(Words {
                what: $what,
                prefix: $prefix,
                names: values.map(|value| value.as_str_name()).collect(),
                by_spelling: $by_spelling,
            })
        }
    };
}

words!(decision, wire::SchedulingDecision, "decision", "SCHEDULING_DECISION_", |_| None);
words!(workload_type, wire::WorkloadType, "workload type", "WORKLOAD_TYPE_", |_| None);
words!(stage, wire::PipelineStage, "stage", "PIPELINE_STAGE_", stage_name);
words!(io_pattern, wire::IoPattern, "I/O pattern", "IO_PATTERN_", io_pattern_name);
words!(storage_class, wire::StorageClass, "storage class", "STORAGE_CLASS_", storage_class_name);
words!(preprocessing_type, wire::PreprocessingType, "preprocessing type", "PREPROCESSING_TYPE_", preprocessing_name);

fn stage_name(text: &str) -> Option<&'static str> {
    Some(match Stage::from_spelling(text)? {
        Stage::DataLoading => "DATA_LOADING",
        Stage::Preprocessing => "PREPROCESSING",
        Stage::Training => "TRAINING",
        Stage::Evaluation => "VALIDATION",
        Stage::Inference => "INFERENCE",
        Stage::Postprocessing => "POSTPROCESSING",
        Stage::Checkpointing => "CHECKPOINTING",
        Stage::Idle => "IDLE",
    })
}

fn io_pattern_name(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "readheavy" => Some("READ_HEAVY"),
        "writeheavy" => Some("WRITE_HEAVY"),
        _ => None,
    }
}

fn storage_class_name(text: &str) -> Option<&'static str> {
    Some(match Tier::from_spelling(text)? {
        Tier::Nvme => "ULTRA_FAST",
        Tier::Ssd => "FAST",
        Tier::Hdd => "STANDARD",
        Tier::Csd => "CSD",
        Tier::Memory => "MEMORY",
    })
}

fn preprocessing_name(text: &str) -> Option<&'static str> {
    Some(match PreprocessingType::built_in(text)?.as_str() {
        "augmentation" => "AUGMENTATION",
        "transformation" => "TRANSFORMATION",
        "filtering" => "FILTERING",
        "aggregation" => "AGGREGATION",
        "sharding" => "SHARDING",
        "normalization" => "NORMALIZATION",
        _ => "FEATURE_EXTRACT",
    })
}

impl Words {
    fn number(&self, text: &str) -> Option<i32> {
        let text = text.trim();
        let name = text.to_ascii_uppercase().replace(['-', ' '], "_");
        let name = name.strip_prefix(self.prefix).unwrap_or(&name);
        let number = self.named(name).or_else(|| self.named((self.by_spelling)(text)?));
        number.or_else(|| text.parse().ok())
    }

    fn named(&self, name: &str) -> Option<i32> {
        let position = self.names.iter().position(|full| full.strip_prefix(self.prefix) == Some(name))?;
        i32::try_from(position).ok()
    }

    /// Every word but the first, which is the same as leaving the field out.
    fn accepted(&self) -> String {
        let words = self.names.iter().skip(1).filter_map(|full| full.strip_prefix(self.prefix));
        words.map(|name| name.to_ascii_lowercase().replace('_', "-")).collect::<Vec<_>>().join(", ")
    }
}

impl Visitor<'_> for Words {
    type Value = i32;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a {}: {}", self.what, self.accepted())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i32, E> {
        let problem = || E::custom(format!("unknown {} {text:?}; accepted: {}", self.what, self.accepted()));
        self.number(text).ok_or_else(problem)
    }

    /// Numbers that no version of the contract knows are accepted: tests need servers that send them.
    fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
        i32::try_from(number).map_err(|_| E::custom(format!("{} {number} is no 32-bit number", self.what)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::Error as Refusal;

    type Read<'a> = fn(serde::de::value::StrDeserializer<'a, Refusal>) -> Result<i32, Refusal>;

    #[test]
    fn every_spelling_has_its_number() {
        let cases: &[(Read, &str, i32)] = &[
            (decision, "REQUIRE", 3),
            (decision, "reject", 5),
            (decision, "SCHEDULING_DECISION_DELAY", 4),
            (decision, "9", 9),
            (workload_type, "multimodal", 6),
            (stage, "data-loading", 1),
            (stage, "Train", 3),
            (stage, "validation", 4),
            (stage, "evaluation", 4),
            (stage, "checkpointing", 7),
            (io_pattern, "read-heavy", 1),
            (io_pattern, "read_heavy", 1),
            (io_pattern, "writeheavy", 2),
            (io_pattern, "IO_PATTERN_BURSTY", 6),
            (storage_class, "standard", 1),
            (storage_class, "ssd", 2),
            (storage_class, "nvme", 3),
            (storage_class, "Ultra Fast", 3),
            (storage_class, "ram", 5),
            (preprocessing_type, "feature-extract", 7),
            (preprocessing_type, "featureExtraction", 7),
            (preprocessing_type, "shard", 5),
        ];
        for (read, text, number) in cases {
            assert_eq!(read((*text).into_deserializer()), Ok(*number), "{text}");
        }
    }

    #[test]
    fn unknown_word_is_refused_with_the_words_accepted() {
        let error = io_pattern(IntoDeserializer::<Refusal>::into_deserializer("rnadom")).unwrap_err().to_string();
        let expected = "unknown I/O pattern \"rnadom\"; accepted: read-heavy, write-heavy, balanced, sequential, random, bursty";
        assert_eq!(error, expected);
    }
}
