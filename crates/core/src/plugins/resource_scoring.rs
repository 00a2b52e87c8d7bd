//! What a node offers and uses of the resources that a score is made of, with the pod on top.
//! Leaves out the formulas: see `node_resources_fit` and `node_resources_balanced_allocation`.

use super::args::ResourceWeight;
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::PodSpec;
use smallvec::SmallVec;

/// The resources of one score; two unless configured otherwise.
pub(super) type ScoredResources = SmallVec<[ScoredResource; 2]>;

/// One resource, with what the pod adds to it.
pub(super) struct ScoredResource {
    kind: Kind,
    basis: Basis,
    request: i64,
    pub(super) weight: i64,
}

/// Whether containers that request no CPU or memory count as if they did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    WithDefaults,
    Requested,
}

enum Kind {
    Cpu,
    Memory,
    EphemeralStorage,
    Scalar(Str),
}

/// One resource of one node.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    /// What there is; never 0.
    pub(super) allocatable: i64,
    /// What is in use.
    pub(super) before: i64,
    /// What would be in use with the pod.
    pub(super) after: i64,
}

/// The resources to score for a pod: scalar ones (extended resources, huge pages) only where it requests them.
///
/// With defaults, a pod counts with what its containers ask for, whatever it names as a whole: kube-scheduler's NodeResourcesFit does not
/// see pod-level requests when it scores (it does when it filters, and when it adds up a node's pods).
pub(super) fn scored_resources(resources: &[ResourceWeight], spec: &PodSpec, basis: Basis) -> ScoredResources {
    let nonzero = spec.container_request.unwrap_or(spec.nonzero_request);
    let scored = resources.iter().filter_map(|resource| {
        let kind = match &*resource.name {
            "cpu" => Kind::Cpu,
            "memory" => Kind::Memory,
            "ephemeral-storage" => Kind::EphemeralStorage,
            _ => Kind::Scalar(resource.name.clone()),
        };
        let request = match (&kind, basis) {
            (Kind::Cpu, Basis::WithDefaults) => nonzero.cpu.0,
            (Kind::Memory, Basis::WithDefaults) => nonzero.memory.0,
            _ => spec.requests.get(&resource.name),
        };
        let skip = request == 0 && matches!(kind, Kind::Scalar(_));
        (!skip).then_some(ScoredResource { kind, basis, request, weight: resource.weight })
    });
    scored.collect()
}

impl ScoredResource {
    /// What the pod adds.
    pub(super) fn request(&self) -> i64 {
        self.request
    }

    /// The resource on a node; `None` where the node has none of it.
    pub(super) fn on(&self, node: &NodeInfo) -> Option<Usage> {
        let offered = &node.node.allocatable;
        let (allocatable, before) = match (&self.kind, self.basis) {
            (Kind::Cpu, Basis::WithDefaults) => (offered.cpu.0, node.nonzero_requested.cpu.0),
            (Kind::Cpu, Basis::Requested) => (offered.cpu.0, node.requested.cpu.0),
            (Kind::Memory, Basis::WithDefaults) => (offered.memory.0, node.nonzero_requested.memory.0),
            (Kind::Memory, Basis::Requested) => (offered.memory.0, node.requested.memory.0),
            (Kind::EphemeralStorage, _) => (offered.ephemeral_storage.0, node.requested.ephemeral_storage.0),
            (Kind::Scalar(name), _) => (offered.scalar(name), node.requested.scalar(name)),
        };
        (allocatable != 0).then(|| Usage { allocatable, before, after: before.saturating_add(self.request) })
    }
}
