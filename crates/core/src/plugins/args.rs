//! Arguments of the plugins that take any, with kube-scheduler's defaults (`pluginConfig` of a KubeSchedulerConfiguration).
//! Leaves out reading and refusing them: whoever builds a profile from a file does that.

use crate::features::Features;
use aisched_model::Str;
use aisched_model::pod;
use alloc::vec;
use alloc::vec::Vec;

/// The arguments of every plugin that takes any.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the plugins' names")]
pub struct PluginArgs {
    pub balanced_allocation: BalancedAllocationArgs,
    pub default_preemption: DefaultPreemptionArgs,
    pub dynamic_resources: DynamicResourcesArgs,
    pub inter_pod_affinity: InterPodAffinityArgs,
    pub node_affinity: NodeAffinityArgs,
    pub node_resources_fit: NodeResourcesFitArgs,
    pub pod_topology_spread: PodTopologySpreadArgs,
    pub volume_binding: VolumeBindingArgs,
    /// Feature gates, the same for every plugin.
    pub features: Features,
}

/// `NodeResourcesFitArgs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeResourcesFitArgs {
    /// Extended resources that are no reason to refuse a node.
    pub ignored_resources: Vec<Str>,
    /// Prefixes (before the `/`) of such extended resources.
    pub ignored_resource_groups: Vec<Str>,
    /// How nodes are scored.
    pub scoring: ScoringStrategy,
}

/// `NodeResourcesBalancedAllocationArgs`.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancedAllocationArgs {
    /// Resources to keep in balance; their weights do not count.
    pub resources: Vec<ResourceWeight>,
}

/// `NodeAffinityArgs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeAffinityArgs {
    /// Holds for every pod, besides its own.
    pub added_affinity: Option<pod::NodeAffinity>,
}

/// `PodTopologySpreadArgs`.
#[derive(Clone, Debug, PartialEq)]
pub struct PodTopologySpreadArgs {
    /// Constraints of pods that have none of their own; they have no selector and count the pods of the same services and controller.
    pub default_constraints: Vec<pod::SpreadConstraint>,
    /// `defaultingType: System`: a node that lacks the label of a default constraint is scored by the others.
    pub system_defaulting: bool,
}

/// `InterPodAffinityArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterPodAffinityArgs {
    /// What a placed pod's required affinity to the incoming pod adds to its domain's score, 0 to 100.
    pub hard_pod_affinity_weight: i32,
    /// Whether a pod without preferences is not scored by those of placed pods.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

/// `VolumeBindingArgs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeBindingArgs {
    /// How long a bind may wait for the pod's volumes; 0 does not wait.
    pub bind_timeout_ms: u64,
    /// Scores a node by the share of its volumes' capacity that the pod asks for; points of rising utilization.
    pub shape: Vec<ShapePoint>,
}

/// `DefaultPreemptionArgs`: how many nodes are tried before one is chosen, the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultPreemptionArgs {
    /// Percent of the nodes, 0 to 100.
    pub min_candidate_nodes_percentage: i32,
    /// Nodes.
    pub min_candidate_nodes_absolute: i32,
}

/// `DynamicResourcesArgs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynamicResourcesArgs {
    /// How long the search for devices of one node may take; 0 sets no limit.
    pub filter_timeout_ms: u64,
    /// How long a bind may wait for devices' binding conditions.
    pub binding_timeout_ms: u64,
}

/// `scoringStrategy`: what is measured and over which resources.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoringStrategy {
    /// What is measured.
    pub kind: StrategyKind,
    /// Over which resources.
    pub resources: Vec<ResourceWeight>,
}

/// `scoringStrategy.type`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StrategyKind {
    /// The emptier, the better.
    #[default]
    LeastAllocated,
    /// The fuller, the better.
    MostAllocated,
    /// As a curve through points of rising utilization says; flat beyond its ends.
    RequestedToCapacityRatio(Vec<ShapePoint>),
}

/// A point of a scoring curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapePoint {
    /// Percent in use, 0 to 100.
    pub utilization: i64,
    /// 0 to 10.
    pub score: i64,
}

/// A resource and how much it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceWeight {
    /// API name.
    pub name: Str,
    /// 1 to 100.
    pub weight: i64,
}

impl ResourceWeight {
    /// A resource of this weight.
    #[must_use]
    pub fn new(name: &str, weight: i64) -> Self {
        Self { name: name.into(), weight }
    }

    fn default_set() -> Vec<Self> {
        vec![Self::new("cpu", 1), Self::new("memory", 1)]
    }
}

impl Default for ScoringStrategy {
    fn default() -> Self {
        Self { kind: StrategyKind::default(), resources: ResourceWeight::default_set() }
    }
}

impl Default for BalancedAllocationArgs {
    fn default() -> Self {
        Self { resources: ResourceWeight::default_set() }
    }
}

impl Default for PodTopologySpreadArgs {
    /// kube-scheduler's own constraints: hosts to a skew of 3, zones to 5, neither refusing a node.
    fn default() -> Self {
        let soft = |max_skew, key: &str| pod::SpreadConstraint {
            max_skew,
            topology_key: key.into(),
            hard: false,
            selector: None,
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
            match_label_keys: Vec::new(),
        };
        let default_constraints = vec![soft(3, "kubernetes.io/hostname"), soft(5, "topology.kubernetes.io/zone")];
        Self { default_constraints, system_defaulting: true }
    }
}

impl Default for InterPodAffinityArgs {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

impl Default for VolumeBindingArgs {
    /// Ten minutes; the less of its volumes is asked for, the better the node.
    fn default() -> Self {
        let shape = vec![ShapePoint { utilization: 0, score: 10 }, ShapePoint { utilization: 100, score: 0 }];
        Self { bind_timeout_ms: 600_000, shape }
    }
}

impl Default for DefaultPreemptionArgs {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

impl Default for DynamicResourcesArgs {
    fn default() -> Self {
        Self { filter_timeout_ms: 10_000, binding_timeout_ms: 600_000 }
    }
}
