//! How old what a decision rests on is: when other systems' objects were last told, and how long a pod has been in the queue.
//! Leaves out facts of nodes: the engine keeps since when those are as they are.

use crate::decision::Decision;
use crate::event::Millis;
use crate::queue::Waiting;
use aisched_model::Str;
use aisched_model::foreign::ForeignName;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Says of a decision's inferred fields how old they are, and of the objects that scores may rest on. What the pod's own labels say is as
/// old as the pod in the queue; what several objects say is as old as the oldest.
pub(crate) fn date(decision: &mut Decision, waiting: &Waiting, snapshot: &Snapshot, now: Millis) {
    let age = |since: Millis| now.saturating_sub(since) / 1000;
    let since = |source: &str| snapshot.heard.get(source).copied().unwrap_or(waiting.since);
    for (_, field) in &mut decision.profile.0 {
        field.age_seconds = field.from.as_ref().and_then(|from| from.split(", ").map(since).min()).map(age);
    }
    let told = objects_of(&waiting.pod, snapshot).into_iter();
    decision.heard = told.filter_map(|source| Some((age(*snapshot.heard.get(&*source)?), source.into()))).collect();
}

/// Objects of other systems that scores of the pod may rest on.
fn objects_of(pod: &Pod, snapshot: &Snapshot) -> Vec<String> {
    let mut sources = Vec::new();
    let own = |name: &Str| (pod.namespace.clone(), name.clone());
    sources.extend(pod.gang().map(|name| ForeignName::Workload(own(name)).to_string()));
    let queue = pod.gang().and_then(|name| snapshot.foreign.workloads.get(&own(name))?.queue.clone());
    sources.extend(queue.map(|queue| ForeignName::Queue(queue).to_string()));
    sources.extend(pod.pipeline().map(|name| ForeignName::Workflow(own(name)).to_string()));
    for name in pod.claims() {
        sources.push(ForeignName::Dataset(own(&name)).to_string());
        let Some(volume) = snapshot.claim(&pod.namespace, &name).and_then(|claim| claim.volume.clone()) else { continue };
        let attached = snapshot.attached_to.get(&volume).into_iter().flat_map(BTreeMap::keys);
        sources.extend(attached.map(|name| format!("VolumeAttachment {name}")));
        let handle = snapshot.volumes.get(&volume).and_then(|volume| volume.handle.as_ref());
        let replicas = handle.into_iter().flat_map(|handle| snapshot.foreign.replicas.names(handle));
        sources.extend(replicas.map(|name| ForeignName::Replica(name.clone()).to_string()));
    }
    sources
}
