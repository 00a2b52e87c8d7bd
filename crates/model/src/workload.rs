//! The words of a workload profile (stage, preprocessing type, I/O pattern, tier) and how users may spell them.
//! Source: `scoring.md` §1. Resolution of a whole profile is `aisched-core`'s `workload_profile`.

use crate::Str;
use alloc::string::String;

/// Compares ASCII text without regard to case, ignoring surrounding white space.
fn is_any(value: &str, spellings: &[&str]) -> bool {
    spellings.iter().any(|s| value.eq_ignore_ascii_case(s))
}

/// Defines a vocabulary: the enum, its canonical names, the spellings accepted.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $canonical:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order of the reference tables.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The canonical name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $canonical),+ }
            }

            /// Reads any accepted spelling, without regard to case; `None` for anything else.
            #[must_use]
            pub fn from_spelling(value: &str) -> Option<Self> {
                let value = value.trim();
                $(if is_any(value, &[$canonical $(, $alias)*]) { return Some(Self::$variant); })+
                None
            }

            /// The canonical names joined by commas, for messages.
            #[must_use]
            pub fn accepted() -> String {
                Self::ALL.iter().map(|v| v.as_str()).collect::<alloc::vec::Vec<_>>().join(", ")
            }
        }
    };
}

vocabulary! {
    /// The step of an AI pipeline that a pod performs.
    Stage {
        /// Reads raw data in.
        DataLoading = "data-loading",
        /// Turns raw data into training data.
        Preprocessing = "preprocessing" | "preprocess",
        /// Trains a model.
        Training = "training" | "train",
        /// Measures a model.
        Evaluation = "evaluation" | "eval" | "validation",
        /// Serves a model.
        Inference = "inference" | "serving",
        /// Works on a model's output.
        Postprocessing = "postprocessing",
        /// Writes a model's state.
        Checkpointing = "checkpointing",
        /// Does nothing yet.
        Idle = "idle",
    }
}

vocabulary! {
    /// How a workload reads and writes.
    IoPattern {
        /// Large reads and writes in order.
        Sequential = "sequential",
        /// Small accesses anywhere.
        Random = "random",
        /// Idle, then a flood.
        Bursty = "bursty",
        /// Mostly reads.
        ReadHeavy = "read-heavy" | "readheavy",
        /// Mostly writes.
        WriteHeavy = "write-heavy" | "writeheavy",
        /// As many reads as writes.
        Balanced = "balanced",
    }
}

vocabulary! {
    /// A kind of storage on a node.
    Tier {
        /// NVMe flash.
        Nvme = "nvme" | "ultra-fast",
        /// SATA or SAS flash.
        Ssd = "ssd" | "fast",
        /// Spinning disks.
        Hdd = "hdd" | "standard",
        /// Computational storage devices.
        Csd = "csd" | "computational",
        /// Memory.
        Memory = "memory" | "ram",
    }
}

impl Tier {
    /// The tier that a name chosen by an administrator speaks of: `ssd-thin`, `LocalStorage_PoolNVMe`, `hdd`.
    #[must_use]
    pub fn in_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        [Self::Nvme, Self::Ssd, Self::Hdd].into_iter().find(|tier| name.contains(tier.as_str()))
    }

    /// Whether a node that has `self` meets a requirement for `required`.
    ///
    /// CSD and memory are kinds rather than grades (`scoring.md` §2): each is met by itself alone; the disks are met by anything faster, memory included.
    /// Example: `Nvme.meets(Ssd)` is true, `Csd.meets(Hdd)` is false.
    #[must_use]
    pub fn meets(self, required: Self) -> bool {
        match required {
            Self::Nvme => matches!(self, Self::Nvme | Self::Memory),
            Self::Ssd => matches!(self, Self::Ssd | Self::Nvme | Self::Memory),
            Self::Hdd => matches!(self, Self::Hdd | Self::Ssd | Self::Nvme | Self::Memory),
            Self::Csd => self == Self::Csd,
            Self::Memory => self == Self::Memory,
        }
    }
}

/// The preprocessing types that the guide names, with their spellings.
const BUILT_IN_TYPES: &[(&str, &[&str])] = &[
    ("augmentation", &["augment", "aug"]),
    ("transformation", &["transform", "convert"]),
    ("filtering", &["filter", "clean"]),
    ("aggregation", &["aggregate", "agg"]),
    ("sharding", &["shard", "partition"]),
    ("normalization", &["normalize", "norm"]),
    ("featureExtraction", &["feature-extraction", "feature_extraction", "feature", "extract"]),
];

/// A preprocessing type, by the name under `spec.preprocessingTypes`: one of the guide's seven, or one that the configuration adds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PreprocessingType(Str);

impl PreprocessingType {
    /// The canonical name of a spelling of one of the seven built-in types.
    ///
    /// Example: `Aug` is `augmentation`.
    #[must_use]
    pub fn built_in(value: &str) -> Option<Self> {
        let value = value.trim();
        BUILT_IN_TYPES
            .iter()
            .find(|(name, aliases)| value.eq_ignore_ascii_case(name) || is_any(value, aliases))
            .map(|(name, _)| Self(Str::from(*name)))
    }

    /// A type that the configuration defines under exactly this name.
    #[must_use]
    pub fn custom(name: Str) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The built-in names, in the guide's order.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN_TYPES.iter().map(|(name, _)| *name)
    }
}
