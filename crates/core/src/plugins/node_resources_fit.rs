//! Refuses nodes that have not enough left of what the pod requests, and scores them by what would be left.
//! Leaves out adding up a pod's containers (`aisched-kube`) and a node's pods (`NodeInfo`).

use super::args::{NodeResourcesFitArgs, ShapePoint, StrategyKind};
use super::resource_scoring::{Basis, ScoredResources, scored_resources};
use crate::cures::Change;
use crate::framework::{Attempt, ClusterEvent, Filter, MAX_SCORE, Plugin, Prepared, Reads, Refusal, RefusalCode, Score};
use aisched_model::Str;
use aisched_model::devices::Inventory;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::Pod;
use aisched_model::resources::Resources;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct NodeResourcesFit {
    /// Arguments.
    pub args: NodeResourcesFitArgs,
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let spec = &attempt.pod.spec;
        let scoring = &self.args.scoring;
        let request = Request { devices: Some(&attempt.snapshot.devices), ..Request::of(&spec.requests, |name| self.ignores(name)) };
        let resources = scored_resources(&scoring.resources, spec, Basis::WithDefaults);
        Prepared::filter(request).and_score(Allocation { kind: &scoring.kind, resources })
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let wanted = &pod.spec.requests;
        match event {
            // Hints ask for ignored resources too, as kube-scheduler's do.
            ClusterEvent::NodeAdded(node) => Request::of(wanted, |_| false).fits_empty(node),
            ClusterEvent::NodeChanged { old, new } => Request::of(wanted, |_| false).fits_empty(new) && grew(wanted, old, new),
            ClusterEvent::PodRemoved(gone) => gone.node.is_some() || gone.nominated_node.is_some(),
            ClusterEvent::PodChanged { old, new } => {
                new.node.is_some() && new.spec.requests.shrank_from(&old.spec.requests, |n| wanted.get(n) != 0)
            }
            ClusterEvent::DeviceClass(_) => !wanted.scalars.is_empty(),
            ClusterEvent::OwnChange { old, new } => new.spec.requests.shrank_from(&old.spec.requests, |_| true),
            _ => false,
        }
    }
}

impl NodeResourcesFit {
    /// Whether an extended resource is no reason to refuse a node.
    fn ignores(&self, name: &str) -> bool {
        let prefix = name.split('/').next().unwrap_or(name);
        let is_extended = name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.");
        is_extended
            && (self.args.ignored_resources.iter().any(|ignored| **ignored == *name)
                || self.args.ignored_resource_groups.iter().any(|group| **group == *prefix))
    }
}

/// Whether a node offers more than before of anything that is wanted: room for pods counts for every pod.
fn grew(wanted: &Resources, old: &Node, new: &Node) -> bool {
    new.allocatable_pods > old.allocatable_pods
        || wanted.names().any(|name| wanted.get(name) > 0 && new.allocatable.get(name) > old.allocatable.get(name))
}

/// What a pod requests, without what is ignored or zero.
struct Request<'a> {
    cpu: i64,
    memory: i64,
    ephemeral_storage: i64,
    scalars: SmallVec<[(&'a Str, i64); 2]>,
    /// Where a node has none of a resource that stands for devices, DynamicResources judges it.
    devices: Option<&'a Inventory>,
}

/// What a node offers and its pods use.
struct Room<'a> {
    offered: &'a Resources,
    used: &'a Resources,
    allowed_pods: i64,
    n_pods: i64,
}

/// One resource that a node has not enough of.
struct Shortage<'a> {
    name: &'a str,
    requested: i64,
    used: i64,
    offered: i64,
}

/// Stands for the number of pods among resources.
const PODS: &str = "pods";

impl<'a> Request<'a> {
    fn of(requests: &'a Resources, ignored: impl Fn(&str) -> bool) -> Self {
        let scalars = requests.scalars.iter().filter(|(name, amount)| *amount > 0 && !ignored(name));
        Self {
            cpu: requests.cpu.0,
            memory: requests.memory.0,
            ephemeral_storage: requests.ephemeral_storage.0,
            scalars: scalars.map(|(name, amount)| (name, *amount)).collect(),
            devices: None,
        }
    }

    /// Tells `tell` of everything that there is not enough of, in kube-scheduler's order.
    fn shortages<'s>(&'s self, room: &Room<'_>, mut tell: impl FnMut(Shortage<'s>)) {
        if room.n_pods >= room.allowed_pods {
            tell(Shortage { name: PODS, requested: 1, used: room.n_pods, offered: room.allowed_pods });
        }
        let (offered, used) = (room.offered, room.used);
        let mut compare = |name: &'s str, requested: i64, offered: i64, used: i64| {
            if requested > 0 && requested > offered.saturating_sub(used) {
                tell(Shortage { name, requested, used, offered });
            }
        };
        compare("cpu", self.cpu, offered.cpu.0, used.cpu.0);
        compare("memory", self.memory, offered.memory.0, used.memory.0);
        compare("ephemeral-storage", self.ephemeral_storage, offered.ephemeral_storage.0, used.ephemeral_storage.0);
        for (name, requested) in &self.scalars {
            if offered.scalar(name) == 0 && self.devices.is_some_and(|devices| devices.extended.contains_key(*name)) {
                continue;
            }
            compare(name, *requested, offered.scalar(name), used.scalar(name));
        }
    }

    fn fits_empty(&self, node: &Node) -> bool {
        let room = Room { offered: &node.allocatable, used: &Resources::default(), allowed_pods: node.allocatable_pods, n_pods: 0 };
        let mut fits = true;
        self.shortages(&room, |_| fits = false);
        fits
    }
}

fn room(node: &NodeInfo) -> Room<'_> {
    let n_pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
    Room { offered: &node.node.allocatable, used: &node.requested, allowed_pods: node.node.allocatable_pods, n_pods }
}

impl Filter for Request<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let mut reasons = SmallVec::new();
        let mut code = RefusalCode::Unschedulable;
        self.shortages(&room(node), |shortage| {
            if shortage.name != PODS && shortage.requested > shortage.offered {
                code = RefusalCode::Unresolvable; // not even an empty node would do
            }
            reasons.push(shortage.reason());
        });
        (!reasons.is_empty()).then_some(Refusal { code, reasons })
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let mut details = Vec::new();
        self.shortages(&room(node), |shortage| details.push(shortage.detail()));
        (!details.is_empty()).then(|| details.join("; "))
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let mut changes = Vec::new();
        self.shortages(&room(node), |Shortage { name, requested, used, offered }| {
            changes.push(Change::Resource(name.into(), requested.saturating_add(used).saturating_sub(offered)));
        });
        changes
    }
}

impl Shortage<'_> {
    fn reason(&self) -> Cow<'static, str> {
        match self.name {
            PODS => "Too many pods".into(),
            "cpu" => "Insufficient cpu".into(),
            "memory" => "Insufficient memory".into(),
            "ephemeral-storage" => "Insufficient ephemeral-storage".into(),
            name => format!("Insufficient {name}").into(),
        }
    }

    /// Example: `requested 4000m cpu, free 1500m of 8000m`.
    fn detail(&self) -> String {
        if self.name == PODS {
            return format!("{} pods placed of {} allowed", self.used, self.offered);
        }
        let amount = |n| amount(self.name, n);
        let free = self.offered.saturating_sub(self.used).max(0);
        format!("requested {} {}, free {} of {}", amount(self.requested), self.name, amount(free), amount(self.offered))
    }
}

/// An amount as a Kubernetes quantity, exactly: a rounded one may look as if it fitted.
pub(crate) fn amount(resource: &str, n: i64) -> String {
    match resource {
        "cpu" => format!("{n}m"),
        "memory" | "ephemeral-storage" if n > 0 && n % (1 << 20) == 0 => format!("{}Mi", n >> 20),
        "memory" | "ephemeral-storage" if n > 0 && n % (1 << 10) == 0 => format!("{}Ki", n >> 10),
        _ => format!("{n}"),
    }
}

/// Scores by how much of the node would be in use.
struct Allocation<'a> {
    kind: &'a StrategyKind,
    resources: ScoredResources,
}

impl Score for Allocation<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        match self.kind {
            StrategyKind::LeastAllocated => self.mean(node, |used, all| if used > all { 0 } else { percent(all - used, all) }),
            StrategyKind::MostAllocated => self.mean(node, |used, all| percent(used.min(all), all)),
            StrategyKind::RequestedToCapacityRatio(shape) => self.rounded_mean_above_zero(node, shape),
        }
    }
}

impl Allocation<'_> {
    /// Weighted mean over the resources that the node has, rounded down.
    ///
    /// Example: 3 of 4 CPUs and half of the memory in use leave 25 and 50 per cent: (25 + 50) / 2 = 37.
    fn mean(&self, node: &NodeInfo, score: impl Fn(i64, i64) -> i64) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for resource in &self.resources {
            if let Some(usage) = resource.on(node) {
                sum += score(usage.after, usage.allocatable) * resource.weight;
                weights += resource.weight;
            }
        }
        if weights == 0 { 0 } else { sum / weights }
    }

    /// Weighted mean over the resources that score at all, rounded to the nearest.
    fn rounded_mean_above_zero(&self, node: &NodeInfo, shape: &[ShapePoint]) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for resource in &self.resources {
            let Some(usage) = resource.on(node) else { continue };
            let full = usage.after > usage.allocatable;
            let score = interpolate(shape, if full { 100 } else { percent(usage.after, usage.allocatable) });
            if score > 0 {
                sum += score * resource.weight;
                weights += resource.weight;
            }
        }
        if weights == 0 { 0 } else { (2 * sum + weights) / (2 * weights) }
    }
}

/// 100 × `part` ÷ `whole`, rounded down; amounts too large for that lose digits that do not show.
fn percent(part: i64, whole: i64) -> i64 {
    part.checked_mul(MAX_SCORE).map_or_else(|| part / (whole / MAX_SCORE).max(1), |n| n / whole)
}

/// The curve's value at `utilization`, on a scale of 0 to 100.
pub(super) fn interpolate(shape: &[ShapePoint], utilization: i64) -> i64 {
    const SCALE: i64 = MAX_SCORE / 10; // points score 0 to 10
    match shape.iter().position(|point| utilization <= point.utilization) {
        Some(0) => shape[0].score * SCALE,
        Some(i) => {
            let (left, right) = (shape[i - 1], shape[i]);
            let rise = (right.score - left.score) * SCALE;
            left.score * SCALE + rise * (utilization - left.utilization) / (right.utilization - left.utilization)
        }
        None => shape.last().map_or(0, |last| last.score * SCALE),
    }
}

#[cfg(test)]
mod tests;
