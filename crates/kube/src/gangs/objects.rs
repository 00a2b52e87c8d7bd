//! Objects that describe gangs: PodGroups of three systems, JobSets, LeaderWorkerSets, and jobs of Kubeflow's training operators.
//! Leaves out which pods belong to them (the module above) and Kueue's Workloads (`foreign::kueue`).

use crate::foreign::{Labels, Unreadable, parse};
use crate::objects::nullable;
use aisched_model::foreign::Foreign;
use aisched_model::gang::{GangKey, GangObject, GangSource, Near, Quorum};
use aisched_model::snapshot::NamespacedName;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

type Read = Result<Foreign, Unreadable>;

/// How many pods may be asked for: what is more, or negative, is nothing that could be.
fn count(n: Option<i64>, default: u32) -> u32 {
    n.map_or(default, |n| u32::try_from(n.clamp(0, 100_000)).unwrap_or_default())
}

fn gang(source: GangSource, (namespace, name): NamespacedName, quorum: Quorum) -> GangObject {
    GangObject { key: GangKey { namespace, source, name }, quorum, timeout_ms: None, near: Near::default() }
}

fn told(gang: GangObject) -> Read {
    Ok(Foreign::Gang(Arc::new(gang)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec<T: Default> {
    #[serde(deserialize_with = "nullable", bound(deserialize = "T: Default + Deserialize<'de>"))]
    spec: T,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodGroup {
    #[serde(deserialize_with = "nullable")]
    scheduling_policy: Policy,
    scheduling_constraints: Option<Constraints>,
    min_member: Option<i64>,
    schedule_timeout_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Policy {
    gang: Option<MinCount>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MinCount {
    min_count: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Constraints {
    #[serde(deserialize_with = "nullable")]
    topology: Vec<Constraint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Constraint {
    key: String,
}

/// Kubernetes' own PodGroup. One of basic policy is a gang only if its pods have to be near each other.
pub(crate) fn native(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let PodGroup { scheduling_policy, scheduling_constraints, .. } = parse::<Spec<PodGroup>>(object)?.spec;
    let required = scheduling_constraints.and_then(|c| c.topology.into_iter().next()).map(|c| c.key).filter(|key| !key.is_empty());
    let quorum = match scheduling_policy.gang {
        Some(gang) => Quorum::All(count(gang.min_count, 1)),
        None if required.is_some() => Quorum::All(1),
        None => Quorum::None,
    };
    let near = Near { required: required.map(Into::into), preferred: None };
    told(GangObject { near, ..gang(GangSource::PodGroup, name, quorum) })
}

/// The PodGroup of scheduler-plugins.
pub(crate) fn coscheduling(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let PodGroup { min_member, schedule_timeout_seconds, .. } = parse::<Spec<PodGroup>>(object)?.spec;
    let timeout_ms = schedule_timeout_seconds.map(|s| s.saturating_mul(1000));
    told(GangObject { timeout_ms, ..gang(GangSource::Coscheduling, name, Quorum::All(count(min_member, 1))) })
}

/// Volcano's PodGroup. Its queue and its minimal resources are Volcano's own business.
pub(crate) fn volcano(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let PodGroup { min_member, .. } = parse::<Spec<PodGroup>>(object)?.spec;
    told(gang(GangSource::Volcano, name, Quorum::All(count(min_member, 1))))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JobSet {
    #[serde(deserialize_with = "nullable")]
    replicated_jobs: Vec<ReplicatedJob>,
    #[serde(deserialize_with = "nullable")]
    startup_policy: StartupPolicy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StartupPolicy {
    #[serde(deserialize_with = "nullable")]
    startup_policy_order: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplicatedJob {
    name: String,
    replicas: Option<i64>,
    template: Spec<Job>,
    #[serde(deserialize_with = "nullable")]
    depends_on: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Job {
    parallelism: Option<i64>,
    completions: Option<i64>,
}

/// A JobSet. Where jobs start one after another, each is a gang of its own.
pub(crate) fn job_set(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let JobSet { replicated_jobs: jobs, startup_policy } = parse::<Spec<JobSet>>(object)?.spec;
    let in_order = startup_policy.startup_policy_order == "InOrder" || jobs.iter().any(|job| !job.depends_on.is_empty());
    let n_pods = |job: &ReplicatedJob| {
        let parallelism = count(job.template.spec.parallelism, 1);
        count(job.replicas, 1).saturating_mul(parallelism.min(count(job.template.spec.completions, u32::MAX)))
    };
    let parts: Vec<_> = jobs.iter().map(|job| (job.name.as_str().into(), n_pods(job))).collect();
    told(gang(GangSource::JobSet, name, if in_order { Quorum::Parts(parts) } else { all(&parts) }))
}

fn all(parts: &[(aisched_model::Str, u32)]) -> Quorum {
    Quorum::All(parts.iter().map(|(_, n)| *n).fold(0, u32::saturating_add))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LeaderWorkerSet {
    #[serde(deserialize_with = "nullable")]
    leader_worker_template: LeaderWorkerTemplate,
    #[serde(deserialize_with = "nullable")]
    startup_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LeaderWorkerTemplate {
    size: Option<i64>,
}

/// A LeaderWorkerSet, each of whose groups is a gang. Workers that are made when the leader runs cannot be waited for.
pub(crate) fn leader_worker_set(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let LeaderWorkerSet { leader_worker_template, startup_policy } = parse::<Spec<LeaderWorkerSet>>(object)?.spec;
    let quorum = if startup_policy == "LeaderReady" { Quorum::None } else { Quorum::All(count(leader_worker_template.size, 1)) };
    told(gang(GangSource::LeaderWorkerSet, name, quorum))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TrainingJob {
    #[serde(deserialize_with = "nullable")]
    run_policy: RunPolicy,
    #[serde(deserialize_with = "nullable")]
    mpi_replica_specs: Replicas,
    #[serde(deserialize_with = "nullable")]
    pytorch_replica_specs: Replicas,
    #[serde(deserialize_with = "nullable")]
    tf_replica_specs: Replicas,
}

type Replicas = BTreeMap<String, ReplicaSpec>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReplicaSpec {
    replicas: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunPolicy {
    #[serde(deserialize_with = "nullable")]
    scheduling_policy: JobPolicy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JobPolicy {
    min_available: Option<i64>,
    schedule_timeout_seconds: Option<u64>,
}

/// A job of Kubeflow's operators. An MPIJob's launcher may be made when the workers are ready, so that each part is a gang of its own.
pub(crate) fn training_job(name: NamespacedName, _: &Labels, object: Value) -> Read {
    let job = parse::<Spec<TrainingJob>>(object)?.spec;
    let policy = job.run_policy.scheduling_policy;
    let parts = |replicas: &Replicas| -> Vec<_> {
        replicas.iter().map(|(role, of)| (role.to_ascii_lowercase().into(), count(of.replicas, 1))).collect()
    };
    let quorum = if job.mpi_replica_specs.is_empty() {
        let of_all = all(&parts(&job.pytorch_replica_specs.into_iter().chain(job.tf_replica_specs).collect()));
        policy.min_available.map_or(of_all, |n| Quorum::All(count(Some(n), 1)))
    } else {
        Quorum::Parts(parts(&job.mpi_replica_specs))
    };
    let timeout_ms = policy.schedule_timeout_seconds.map(|s| s.saturating_mul(1000));
    told(GangObject { timeout_ms, ..gang(GangSource::TrainingJob, name, quorum) })
}
