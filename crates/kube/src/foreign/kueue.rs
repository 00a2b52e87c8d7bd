//! Kueue's Workloads, ClusterQueues and Topologies: how large a gang is, which queue admitted it, how busy that is, what a rack is.
//! Leaves out quotas and flavours: Kueue itself minds them.

use super::{Labels, Unreadable, parse};
use crate::objects::nullable;
use aisched_model::Str;
use aisched_model::foreign::{ClusterQueue, Foreign, ForeignName, KueueWorkload};
use aisched_model::snapshot::NamespacedName;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadObject {
    spec: WorkloadSpec,
    status: WorkloadStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadSpec {
    #[serde(deserialize_with = "nullable")]
    pod_sets: Vec<PodSet>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodSet {
    count: i32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadStatus {
    admission: Option<Admission>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Admission {
    cluster_queue: String,
}

pub(super) fn workload((namespace, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let WorkloadObject { spec, status } = parse(object)?;
    let n_pods = spec.pod_sets.iter().map(|set| i64::from(set.count.max(0))).sum();
    let queue = status.admission.map(|a| Str::from(a.cluster_queue)).filter(|q| !q.is_empty());
    Ok(Foreign::Workload(Arc::new(KueueWorkload { namespace, name, n_pods, queue })))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QueueObject {
    status: QueueStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct QueueStatus {
    pending_workloads: i32,
    admitted_workloads: i32,
}

pub(super) fn queue((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    let QueueStatus { pending_workloads, admitted_workloads } = parse::<QueueObject>(object)?.status;
    let (pending, admitted) = (i64::from(pending_workloads.max(0)), i64::from(admitted_workloads.max(0)));
    Ok(Foreign::Queue(Arc::new(ClusterQueue { name, pending, admitted })))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TopologyObject {
    spec: TopologySpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TopologySpec {
    #[serde(deserialize_with = "nullable")]
    levels: Vec<Level>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Level {
    node_label: String,
}

pub(super) fn topology((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    Ok(Foreign::Topology(format!("Topology {name}").into(), levels(object)?))
}

/// KAI's Topology has the same shape.
pub(super) fn kai_topology((_, name): NamespacedName, _: &Labels, object: Value) -> Result<Foreign, Unreadable> {
    Ok(Foreign::Topology(format!("KAI Topology {name}").into(), levels(object)?))
}

/// Topologies of several systems are known side by side.
pub(super) fn topology_name(kind: &str, name: &str) -> ForeignName {
    ForeignName::Topology(format!("{kind} {name}").into())
}

fn levels(object: Value) -> Result<Vec<Str>, Unreadable> {
    let levels = parse::<TopologyObject>(object)?.spec.levels;
    Ok(levels.into_iter().map(|level| level.node_label.into()).collect())
}
