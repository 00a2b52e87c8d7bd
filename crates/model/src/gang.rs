//! Gangs: pods that are of use only together. What a pod says of its gang, and what an object says of the gang as a whole.
//! Leaves out reading them from the API (`aisched-kube`) and placing them (`aisched-core`).

use crate::Str;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Who makes a gang of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GangSource {
    /// Kubernetes' own PodGroup (`scheduling.k8s.io`).
    PodGroup,
    /// The PodGroup of scheduler-plugins (`scheduling.x-k8s.io`).
    Coscheduling,
    /// Volcano's PodGroup.
    Volcano,
    /// Kueue's group of plain pods.
    Kueue,
    /// An MPIJob, PyTorchJob or TFJob.
    TrainingJob,
    /// One group of a LeaderWorkerSet.
    LeaderWorkerSet,
    /// A JobSet, and with it a TrainJob.
    JobSet,
}

impl GangSource {
    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodGroup => "PodGroup",
            Self::Coscheduling => "PodGroup (scheduling.x-k8s.io)",
            Self::Volcano => "PodGroup (scheduling.volcano.sh)",
            Self::Kueue => "Kueue pod group",
            Self::TrainingJob => "training job",
            Self::LeaderWorkerSet => "LeaderWorkerSet group",
            Self::JobSet => "JobSet",
        }
    }

    /// Whether the user asked for a gang in so many words, so that its pods wait for the object that describes it.
    #[must_use]
    pub fn is_declared(self) -> bool {
        matches!(self, Self::PodGroup | Self::Coscheduling | Self::Volcano)
    }
}

/// Names a gang for as long as it is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GangKey {
    /// Namespace.
    pub namespace: Str,
    /// Who makes it.
    pub source: GangSource,
    /// Name within these.
    pub name: Str,
}

impl fmt::Display for GangKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.source.as_str(), self.namespace, self.name)
    }
}

/// Within which domain the pods of a gang are to be, by the label of the nodes that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Near {
    /// All of them, or none is placed.
    pub required: Option<Str>,
    /// If that is possible.
    pub preferred: Option<Str>,
}

impl Near {
    /// These wishes, and where there are none the others.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            required: self.required.clone().or_else(|| other.required.clone()),
            preferred: self.preferred.clone().or_else(|| other.preferred.clone()),
        }
    }
}

/// What a pod says of its gang.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Who makes the gang.
    pub source: GangSource,
    /// Its name.
    pub name: Str,
    /// The object that describes it, where that has another name.
    pub object: Str,
    /// The pod's part in it, such as `worker`.
    pub part: Str,
    /// How many pods the gang has, where the pod says so.
    pub size: Option<u32>,
    /// Where they are to be, as the pod says.
    pub near: Near,
}

/// What an object says of a gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangObject {
    /// The gang, or for a LeaderWorkerSet the set of gangs.
    pub key: GangKey,
    /// How many pods it needs.
    pub quorum: Quorum,
    /// How long it may wait before somebody should be told.
    pub timeout_ms: Option<u64>,
    /// Where the pods are to be.
    pub near: Near,
}

/// How many pods a gang needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// The object makes no gang: its pods come one after another, or do well alone.
    None,
    /// So many of all.
    All(u32),
    /// Each part is a gang of its own, for one starts after the other.
    Parts(Vec<(Str, u32)>),
}

impl Membership {
    /// The gang that a pod in this namespace belongs to.
    #[must_use]
    pub fn key(&self, namespace: &Str) -> GangKey {
        GangKey { namespace: namespace.clone(), source: self.source, name: self.name.clone() }
    }

    /// Names the object that describes it.
    #[must_use]
    pub fn object_key(&self, namespace: &Str) -> GangKey {
        GangKey { namespace: namespace.clone(), source: self.source, name: self.object.clone() }
    }
}

/// `key`, and of its parts this one.
#[must_use]
pub fn shown(key: &GangKey, part: Option<&Str>) -> String {
    part.map_or_else(|| format!("{key}"), |part| format!("{key} ({part})"))
}

/// A member of a gang that has a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The node.
    pub node: Str,
    /// Its part in the gang.
    pub part: Str,
    /// Its priority.
    pub priority: i32,
    /// Whether it is about to go.
    pub deleting: bool,
}
