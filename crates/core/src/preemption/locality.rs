//! What leaving a node costs a pod in data locality: volumes that exist only there, datasets that are cached there for it alone.
//! Leaves out priorities and budgets: this only tells apart what kube-scheduler would call equal.

use crate::framework::Attempt;
use crate::plugins::is_local;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use alloc::vec::Vec;

/// Number of the pod's volumes that are local to the node, and of datasets cached there that no other pod on the node reads.
pub(super) fn loss(pod: &Pod, node: &NodeInfo, attempt: &Attempt<'_>) -> usize {
    let snapshot = attempt.snapshot;
    let volume = |claim: Str| snapshot.volumes.get(snapshot.claim(&pod.namespace, &claim)?.volume.as_ref()?);
    let n_volumes = pod.claims().filter_map(volume).filter(|volume| is_local(volume, &node.node, snapshot)).count();
    n_volumes + n_sole_datasets(pod, node, attempt)
}

fn n_sole_datasets(pod: &Pod, node: &NodeInfo, attempt: &Attempt<'_>) -> usize {
    let cached = &node.node.storage.cached_datasets;
    if cached.is_empty() || pod.spec.annotations.is_empty() {
        return 0;
    }
    let others = || node.pods.iter().filter(|p| p.pod.uid != pod.uid && !p.pod.spec.annotations.is_empty());
    let is_cached = |dataset: &Str| cached.iter().any(|c| c.eq_ignore_ascii_case(dataset));
    let is_read = |dataset: &Str| others().any(|p| datasets(&p.pod, attempt).iter().any(|d| d.eq_ignore_ascii_case(dataset)));
    datasets(pod, attempt).iter().filter(|d| is_cached(d) && !is_read(d)).count()
}

fn datasets(pod: &Pod, attempt: &Attempt<'_>) -> Vec<Str> {
    WorkloadProfile::resolve(pod, None, attempt.config, attempt.snapshot).datasets.map(|(datasets, _)| datasets).unwrap_or_default()
}
