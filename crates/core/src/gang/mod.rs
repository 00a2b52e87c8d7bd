//! What a gang is to the scheduler: which pods have to be there and be placed together, and what is said while they are not.
//! Leaves out when that happens to whom: the engine's `gangs`.

pub(crate) mod domains;

use aisched_model::Str;
use aisched_model::gang::{GangKey, Membership, Near, Placed, Quorum, shown};
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;

/// A gang as it is described at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gang {
    /// Its name.
    pub key: GangKey,
    /// The part that is a gang of its own; `None` when all parts are one.
    pub part: Option<Str>,
    /// How many pods have to be there and get a node, those counted that have one.
    pub quorum: usize,
    /// The quorum, when the pods themselves name it: one that names another is of another gang, an earlier one of the same name.
    named: Option<u32>,
    /// How long it may wait before somebody is told.
    pub timeout_ms: Option<u64>,
    /// Where the pods are to be.
    pub near: Near,
}

/// How a pod is to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// By itself.
    Alone,
    /// With its gang, which is not described: the object is not there, or may not be read.
    Undescribed(GangKey),
    /// With its gang.
    Gang(Gang),
}

impl Belonging {
    /// How a pod is to be placed, as far as is known.
    #[must_use]
    pub fn of(pod: &Pod, snapshot: &Snapshot) -> Self {
        let Some(membership) = pod.spec.gang.as_deref() else { return Self::Alone };
        let object = snapshot.foreign.gangs.get(&membership.object_key(&pod.namespace));
        let key = membership.key(&pod.namespace);
        let (quorum, part) = match object.map(|object| &object.quorum) {
            None if membership.source.is_declared() => return Self::Undescribed(key),
            None => (told_by_pod(membership, pod, snapshot), None),
            Some(Quorum::None) => (None, None),
            Some(Quorum::All(n)) => (Some(*n), None),
            Some(Quorum::Parts(parts)) => {
                let own = parts.iter().find(|(part, _)| *part == membership.part);
                (own.map(|(_, n)| *n), Some(membership.part.clone()))
            }
        };
        let near = object.map_or_else(|| membership.near.clone(), |object| membership.near.or(&object.near));
        match quorum {
            Some(n) if n > 1 || near != Near::default() => Self::Gang(Gang {
                key,
                part,
                quorum: usize::try_from(n).unwrap_or(usize::MAX),
                named: membership.size.filter(|_| object.is_none()),
                timeout_ms: object.and_then(|object| object.timeout_ms),
                near,
            }),
            Some(_) | None => Self::Alone,
        }
    }
}

/// The size of a gang of plain pods: there is no object but Kueue's Workload. Jobs that nothing is known of are no gang.
fn told_by_pod(membership: &Membership, pod: &Pod, snapshot: &Snapshot) -> Option<u32> {
    let aisched_model::gang::GangSource::Kueue = membership.source else { return None };
    let workload = || snapshot.foreign.workloads.get(&(pod.namespace.clone(), membership.name.clone()));
    membership.size.or_else(|| u32::try_from(workload()?.n_pods).ok())
}

impl Gang {
    /// Whether a pod that bears the gang's name is one of those that have to be together.
    #[must_use]
    pub fn has(&self, part: &Str) -> bool {
        self.part.as_ref().is_none_or(|own| own == part)
    }

    /// Whether a pod that waits and bears the gang's name is to be placed with the others.
    #[must_use]
    pub fn takes(&self, member: &Membership) -> bool {
        self.has(&member.part) && self.named.is_none_or(|n| member.size == Some(n))
    }

    /// The members that have a node and are to stay there.
    pub fn placed<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a Str, &'a Placed)> {
        let members = snapshot.members.get(&self.key).into_iter().flatten();
        members.filter(|(_, placed)| !placed.deleting && self.has(&placed.part))
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> String {
        shown(&self.key, self.part.as_ref())
    }

    /// Why its members wait while so many of them are there.
    #[must_use]
    pub fn short(&self, n_there: usize) -> String {
        format!("waiting for its gang: {n_there} of the {} pods that {} needs are there", self.quorum, self.name())
    }
}

/// Why a pod waits whose gang nobody describes.
#[must_use]
pub fn undescribed(key: &GangKey) -> String {
    format!("waiting for its gang: {key} is not there, or may not be read")
}
