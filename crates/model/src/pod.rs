//! Pods as the scheduler sees them. Pods that no plugin can tell apart share one [`PodSpec`].
//! Leaves out everything that no plugin reads; conversion from the API is `aisched-kube`'s.

use crate::Str;
use crate::devices::{Attach, PodClaim};
use crate::gang::Membership;
use crate::labels::Labels;
use crate::owners::OwnerKind;
use crate::resources::{NonZeroRequest, Resources};
use crate::selector::{LabelSelector, NodeSelectorTerm};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Unique over time; a pod re-created under the same name has another.
    pub uid: Str,
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// What plugins read, shared with every pod of the same content.
    pub spec: Arc<PodSpec>,
    /// The node it is bound to.
    pub node: Option<Str>,
    /// Whether it has ended (phase Succeeded or Failed): an ended pod uses nothing.
    pub ended: bool,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// Whether a scheduler is deleting it to make room (condition `DisruptionTarget`, reason `PreemptionByScheduler`).
    pub preempted: bool,
    /// Why the kubelet would not run it, if it has ended so: `OutOfcpu`, `NodeAffinity`, ….
    pub rejected: Option<Str>,
    /// `status.startTime` in seconds since 1970; `None` while it has not started.
    pub start_s: Option<i64>,
    /// `status.nominatedNodeName`.
    pub nominated_node: Option<Str>,
    /// The `PodScheduled` condition that says no, if the pod has one; kept for pods that wait.
    pub refused: Option<Arc<RefusedCondition>>,
    /// Claims that a controller made for the pod (`status.resourceClaimStatuses`): name within the pod, and of the claim, unless none was needed.
    pub claims_made: Vec<(Str, Option<Str>)>,
    /// `metadata.generation`: what is said of the pod names it.
    pub generation: i64,
}

/// A `PodScheduled` condition of status False.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCondition {
    /// `Unschedulable`, `SchedulerError` or `SchedulingGated`.
    pub reason: Str,
    /// The whole message.
    pub message: Str,
}

/// What plugins read of a pod. Equal content is shared (`Arc`) by whoever makes pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodSpec {
    /// `spec.schedulerName`.
    pub scheduler_name: Str,
    /// The controller that made it (`metadata.ownerReferences`), if its selector can be known: kind, name.
    pub controller: Option<(OwnerKind, Str)>,
    /// Labels.
    pub labels: Labels,
    /// Annotations; of a bound pod only those under `ai-storage.keti/` and the name of its Kueue workload.
    pub annotations: Labels,
    /// `spec.priority`, 0 when absent.
    pub priority: i32,
    /// Whether the pod may preempt others.
    pub preemption: PreemptionPolicy,
    /// Names of the scheduling gates.
    pub scheduling_gates: Vec<Str>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Node affinity.
    pub node_affinity: NodeAffinity,
    /// Pod affinity.
    pub pod_affinity: PodAffinity,
    /// Pod anti-affinity.
    pub pod_anti_affinity: PodAffinity,
    /// Topology spread constraints.
    pub spread: Vec<SpreadConstraint>,
    /// Effective request (init containers, sidecars, overhead included).
    pub requests: Resources,
    /// CPU and memory with defaults for containers that name none.
    pub nonzero_request: NonZeroRequest,
    /// The same of the containers alone, for a pod that names requests as a whole: NodeResourcesFit scores it by these.
    pub container_request: Option<NonZeroRequest>,
    /// Host ports of the containers.
    pub host_ports: Vec<HostPort>,
    /// Images of all containers, as written; image volumes too.
    pub images: Vec<Str>,
    /// How many containers `images` was taken from (init containers included).
    pub n_containers: usize,
    /// Features that a node has to declare, because the pod uses what only they make work.
    pub required_features: Vec<Str>,
    /// Volumes that bear on placement.
    pub volumes: Vec<PodVolume>,
    /// Claims to devices (`spec.resourceClaims`).
    pub device_claims: Vec<PodClaim>,
    /// Containers that ask for extended resources, init containers first.
    pub attach: Vec<Attach>,
    /// The gang that the pod belongs to.
    pub gang: Option<Arc<Membership>>,
}

/// `spec.preemptionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PreemptionPolicy {
    /// May preempt pods of lower priority.
    #[default]
    LowerPriority,
    /// Waits instead.
    Never,
}

/// Required and preferred node affinity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeAffinity {
    /// ORed terms; `Some` of an empty list matches nothing.
    pub required: Option<Vec<NodeSelectorTerm>>,
    /// Weighted terms; those without weight or requirements are dropped.
    pub preferred: Vec<(i32, NodeSelectorTerm)>,
}

/// Required and preferred terms of pod affinity or anti-affinity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodAffinity {
    /// All must hold.
    pub required: Vec<PodAffinityTerm>,
    /// Weighted terms.
    pub preferred: Vec<(i32, PodAffinityTerm)>,
}

/// Pods selected by labels in a set of namespaces, compared over a topology domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodAffinityTerm {
    /// Which pods; `None` selects none. `matchLabelKeys` and `mismatchLabelKeys` are merged in already by the API server.
    pub selector: Option<LabelSelector>,
    /// Namespaces by name; the pod's own when neither names nor selector were given.
    pub namespaces: Vec<Str>,
    /// Namespaces by label; `Some` of an empty selector means all.
    pub namespace_selector: Option<LabelSelector>,
    /// Label key whose values are the domains.
    pub topology_key: Str,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpreadConstraint {
    /// Largest difference allowed between domains.
    pub max_skew: i32,
    /// Label key whose values are the domains.
    pub topology_key: Str,
    /// Whether it refuses nodes (`DoNotSchedule`) or only scores them.
    pub hard: bool,
    /// Which pods are counted; `None` selects none.
    pub selector: Option<LabelSelector>,
    /// Domains that must exist before the minimum counts.
    pub min_domains: Option<i32>,
    /// Whether nodes outside the pod's node affinity are left out (`nodeAffinityPolicy: Honor`).
    pub honor_affinity: bool,
    /// Whether nodes with untolerated taints are left out (`nodeTaintsPolicy: Honor`).
    pub honor_taints: bool,
    /// `matchLabelKeys`, as sent.
    pub match_label_keys: Vec<Str>,
}

/// A toleration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Taint key; empty matches every key.
    pub key: Str,
    /// Comparison with the taint's value.
    pub operator: TolerationOperator,
    /// Value to compare with.
    pub value: Str,
    /// Taint effect; `None` matches every effect.
    pub effect: Option<TaintEffect>,
}

/// How a toleration compares values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TolerationOperator {
    /// Values are equal.
    Equal,
    /// Any value.
    Exists,
    /// The taint's value is an integer below the toleration's.
    Lt,
    /// The taint's value is an integer above the toleration's.
    Gt,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaintEffect {
    /// Refuses new pods.
    NoSchedule,
    /// Is avoided.
    PreferNoSchedule,
    /// Refuses new pods and evicts running ones.
    NoExecute,
}

impl TaintEffect {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A host port that a container wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Host address; `0.0.0.0` when absent.
    pub ip: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// Port, above 0.
    pub port: i32,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodVolume {
    /// A claim by name.
    Claim {
        /// Name of the PersistentVolumeClaim.
        claim: Str,
        /// Mounted read-only.
        read_only: bool,
    },
    /// A generic ephemeral volume: a claim named after the pod and the volume.
    Ephemeral {
        /// Name of the volume.
        volume: Str,
        /// Class of the claim's template.
        storage_class: Option<Str>,
    },
    /// An inline CSI volume.
    Csi {
        /// Driver.
        driver: Str,
    },
    /// A disk of a legacy in-tree kind that a driver took over, as the driver knows it; several pods may use it.
    Migrated {
        /// Driver.
        driver: Str,
        /// Handle.
        handle: Str,
    },
    /// A disk of a legacy in-tree kind, with what makes two of them conflict.
    Disk(LegacyDisk),
}

/// In-tree disks that at most one pod may use at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LegacyDisk {
    /// GCE persistent disk.
    Gce {
        /// Disk name.
        name: Str,
        /// Two read-only users are no conflict.
        read_only: bool,
    },
    /// AWS EBS volume.
    Ebs {
        /// Volume id.
        id: Str,
    },
    /// iSCSI target.
    Iscsi {
        /// Qualified name.
        iqn: Str,
        /// Two read-only users are no conflict.
        read_only: bool,
    },
    /// Ceph RBD image.
    Rbd {
        /// Monitors.
        monitors: Vec<Str>,
        /// Pool.
        pool: Str,
        /// Image.
        image: Str,
        /// Two read-only users are no conflict.
        read_only: bool,
    },
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Names of the claims that the pod uses, generic ephemeral volumes included.
    pub fn claims(&self) -> impl Iterator<Item = Str> {
        self.spec.volumes.iter().filter_map(|v| match v {
            PodVolume::Claim { claim, .. } => Some(claim.clone()),
            PodVolume::Ephemeral { volume, .. } => Some(self.ephemeral_claim(volume)),
            PodVolume::Csi { .. } | PodVolume::Migrated { .. } | PodVolume::Disk(_) => None,
        })
    }

    /// Name of the claim of a generic ephemeral volume.
    #[must_use]
    pub fn ephemeral_claim(&self, volume: &str) -> Str {
        format!("{}-{volume}", self.name).into()
    }
}

/// Annotation of Kueue that names the Workload of a pod.
pub const KUEUE_WORKLOAD: &str = "kueue.x-k8s.io/workload";
/// Label of Kueue that names a group of plain pods.
pub const KUEUE_POD_GROUP: &str = "kueue.x-k8s.io/pod-group-name";
/// Label of Argo, and so of Kubeflow Pipelines, that names the Workflow of a pod.
pub const ARGO_WORKFLOW: &str = "workflows.argoproj.io/workflow";

impl Pod {
    /// The Kueue workload that the pod is admitted with, by name within its namespace; a pod group's workload has the group's name.
    #[must_use]
    pub fn gang(&self) -> Option<&Str> {
        self.spec.annotations.get(KUEUE_WORKLOAD).or_else(|| self.spec.labels.get(KUEUE_POD_GROUP)).filter(|name| !name.is_empty())
    }

    /// Whether the pod asks for a GPU of any vendor: `nvidia.com/gpu`, `amd.com/gpu`, `gpu.intel.com/xe`.
    #[must_use]
    pub fn wants_gpu(&self) -> bool {
        self.gpus().any(|(_, amount)| *amount > 0)
    }

    /// How many GPUs the pod asks for; shares of one, such as `aliyun.com/gpu-mem`, are not counted.
    #[must_use]
    pub fn n_gpus(&self) -> i64 {
        let whole = |name: &str| name.ends_with("/gpu") || name.starts_with("gpu.intel.com/");
        let counts = self.gpus().filter(|(name, _)| whole(name) && !name.contains("memory")).map(|(_, amount)| *amount);
        counts.fold(0, i64::saturating_add)
    }

    fn gpus(&self) -> impl Iterator<Item = &(Str, i64)> {
        self.spec.requests.scalars.iter().filter(|(name, _)| name.split(['/', '.', '-']).any(|part| part == "gpu"))
    }

    /// The volume handle of a JuiceFS mount pod: the node has a client of the volume open, and its cache.
    #[must_use]
    pub fn mounts(&self) -> Option<&Str> {
        self.spec.labels.get("volume-id").filter(|_| self.spec.labels.has("app.kubernetes.io/name", "juicefs-mount"))
    }

    /// The pipeline that the pod is a step of, by name within its namespace.
    #[must_use]
    pub fn pipeline(&self) -> Option<&Str> {
        self.spec.labels.get(ARGO_WORKFLOW).filter(|name| !name.is_empty())
    }
}

impl PodSpec {
    /// Whether a kubelet that turns the one away would turn the other away too: they ask for the same.
    #[must_use]
    pub fn is_of_shape(&self, other: &Self) -> bool {
        self.requests == other.requests
            && self.host_ports == other.host_ports
            && self.node_selector == other.node_selector
            && self.tolerations == other.tolerations
    }

    /// Whether the pod has any term of pod affinity or anti-affinity.
    #[must_use]
    pub fn has_pod_affinity(&self) -> bool {
        [&self.pod_affinity, &self.pod_anti_affinity].iter().any(|a| !a.required.is_empty() || !a.preferred.is_empty())
    }
}

impl Toleration {
    /// Whether `taint` is tolerated. Lt and Gt count only when `comparison_operators` (the gate TaintTolerationComparisonOperators) is on.
    #[must_use]
    pub fn tolerates(&self, taint: &crate::node::Taint, comparison_operators: bool) -> bool {
        self.effect.is_none_or(|e| e == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match self.operator {
                TolerationOperator::Equal => self.value == taint.value,
                TolerationOperator::Exists => true,
                TolerationOperator::Lt => comparison_operators && compare(&taint.value, &self.value).is_some_and(|(t, own)| t < own),
                TolerationOperator::Gt => comparison_operators && compare(&taint.value, &self.value).is_some_and(|(t, own)| t > own),
            }
    }
}

fn compare(taint: &str, own: &str) -> Option<(i64, i64)> {
    Some((canonical(taint)?, canonical(own)?))
}

/// An integer as people write it: `+5`, `007` and `-0` are none.
fn canonical(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c));
    plain.then(|| text.parse().ok()).flatten()
}
