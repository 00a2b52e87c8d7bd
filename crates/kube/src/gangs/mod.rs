//! Which gang a pod belongs to: the one table of sources, with the labels, annotations and fields that each goes by.
//! Leaves out the objects that describe gangs (`objects`) and what a gang means for placing its pods (the core).

pub(crate) mod objects;

use crate::intern::Interner;
use crate::objects::PodObject;
use aisched_model::gang::{GangSource, Membership, Near};
use std::collections::BTreeMap;

/// What a source says of its pods.
struct Source {
    source: GangSource,
    /// Label or annotation with the gang's name; for Kubernetes' own PodGroup it is a field.
    name: &'static str,
    /// Label or annotation with the name of the object that describes it, where that is another.
    object: Option<&'static str>,
    /// Labels with the pod's part in it, the best first.
    part: &'static [&'static str],
    /// Annotation with the number of pods.
    size: Option<&'static str>,
    /// Annotations of pods that come one after another, for which nobody must wait.
    unless: &'static [&'static str],
}

/// A source that goes by one label or annotation.
const fn by(source: GangSource, name: &'static str) -> Source {
    Source { source, name, object: None, part: &[], size: None, unless: &[] }
}

/// Where a pod fits several, the first counts: what is said in so many words, then what a controller of jobs makes.
const SOURCES: &[Source] = &[
    by(GangSource::PodGroup, ""),
    by(GangSource::Coscheduling, "scheduling.x-k8s.io/pod-group"),
    by(GangSource::Volcano, "scheduling.k8s.io/group-name"),
    by(GangSource::Volcano, "scheduling.volcano.sh/group-name"),
    Source {
        size: Some("kueue.x-k8s.io/pod-group-total-count"),
        unless: &["kueue.x-k8s.io/pod-group-fast-admission"],
        ..by(GangSource::Kueue, "kueue.x-k8s.io/pod-group-name")
    },
    Source {
        part: &["training.kubeflow.org/job-role", "training.kubeflow.org/replica-type"],
        ..by(GangSource::TrainingJob, "training.kubeflow.org/job-name")
    },
    Source {
        object: Some("leaderworkerset.sigs.k8s.io/name"),
        size: Some("leaderworkerset.sigs.k8s.io/size"),
        // The workers are made when the leader has a node.
        unless: &["leaderworkerset.sigs.k8s.io/exclusive-topology"],
        ..by(GangSource::LeaderWorkerSet, "leaderworkerset.sigs.k8s.io/group-key")
    },
    Source {
        part: &["jobset.sigs.k8s.io/replicatedjob-name"],
        // The others are let in when the first has a node.
        unless: &["alpha.jobset.sigs.k8s.io/exclusive-topology"],
        ..by(GangSource::JobSet, "jobset.sigs.k8s.io/jobset-name")
    },
];

/// Where the pods of a gang are to be, as Kueue has users write it.
const REQUIRED: &str = "kueue.x-k8s.io/podset-required-topology";
const PREFERRED: &str = "kueue.x-k8s.io/podset-preferred-topology";
/// The most pods of a gang that are believed.
const MAX_SIZE: u32 = 100_000;

/// The gang that a pod belongs to.
pub(crate) fn membership(object: &PodObject, interner: &mut Interner) -> Option<Membership> {
    let words = Words { labels: object.metadata.labels.as_ref(), annotations: object.metadata.annotations.as_ref() };
    let native = object.spec.scheduling_group.as_ref().and_then(|group| group.pod_group_name.as_deref());
    let name = |source: &Source| match source.source {
        GangSource::PodGroup => native.filter(|name| !name.is_empty()),
        _ => words.get(source.name),
    };
    let (source, name) = SOURCES.iter().find_map(|source| Some((source, name(source)?)))?;
    if source.unless.iter().any(|key| words.get(key).is_some_and(|value| value != "false")) {
        return None;
    }
    let part = source.part.iter().find_map(|key| words.get(key)).unwrap_or_default();
    let size = source.size.and_then(|key| words.get(key)?.trim().parse().ok()).map(|size: u32| size.min(MAX_SIZE));
    let near =
        Near { required: words.get(REQUIRED).map(|key| interner.str(key)), preferred: words.get(PREFERRED).map(|key| interner.str(key)) };
    let object = source.object.and_then(|key| words.get(key)).unwrap_or(name);
    Some(Membership { source: source.source, name: interner.str(name), object: interner.str(object), part: interner.str(part), size, near })
}

/// A pod's labels and annotations.
struct Words<'a> {
    labels: Option<&'a BTreeMap<String, String>>,
    annotations: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Words<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let of = |words: Option<&'a BTreeMap<String, String>>| words.and_then(|words| words.get(key));
        of(self.labels).or_else(|| of(self.annotations)).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The labels and annotations that say of a pod what is kept of its gang, for a manifest of the pod; a field is left to the caller.
pub(crate) fn annotations_of(membership: &Membership) -> Vec<(&'static str, String)> {
    let Some(source) = SOURCES.iter().find(|s| s.source == membership.source && !s.name.is_empty()) else { return Vec::new() };
    let named = (source.source == GangSource::Volcano).then(|| (source.name, membership.name.to_string()));
    let size = source.size.zip(membership.size).map(|(key, size)| (key, size.to_string()));
    let near = [(REQUIRED, &membership.near.required), (PREFERRED, &membership.near.preferred)];
    let near = near.into_iter().filter_map(|(key, level)| Some((key, level.as_ref()?.to_string())));
    named.into_iter().chain(size).chain(near).collect()
}

#[cfg(test)]
mod tests;
