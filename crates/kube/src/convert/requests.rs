//! What a pod asks of a node: the API's formula over containers, sidecars, init containers, pod-level resources and overhead.
//! Source: KEP-753, KEP-1287, KEP-2837. Leaves out claims of dynamic resource allocation.

use super::Amounts;
use crate::intern::Interner;
use crate::objects::{ContainerObject, ContainerStatusObject, PodObject, Quantities, QuantityText};
use aisched_model::resources::{Bytes, DEFAULT_MEMORY, DEFAULT_MILLI_CPU, MilliCpu, NonZeroRequest, Resources};
use aisched_model::storage_facts::Fault;

/// A pod's request, in the forms that are needed of it.
pub(super) struct Requests {
    /// As it is written.
    pub(super) plain: Resources,
    /// With defaults for containers that name no CPU or memory.
    pub(super) nonzero: NonZeroRequest,
    /// The same without what the pod names as a whole, if it names anything.
    pub(super) containers: Option<NonZeroRequest>,
}

/// The pod's request.
///
/// A pod that has a node counts with what its kubelet granted where that is more than the specification says (a resize in progress).
/// Example: containers of 100m and 200m, an init container of 500m, overhead 10m: `max(300, 500) + 10` = 510m.
pub(super) fn requests(pod: &PodObject, interner: &mut Interner, faults: &mut Vec<Fault>) -> Requests {
    let mut formula = Formula::read(pod, faults);
    let plain = formula.total(&Amounts::default());
    let defaults = |wanted: &dyn Fn(&str) -> bool| {
        let mut defaults = Amounts::default();
        for (name, amount) in [("cpu", DEFAULT_MILLI_CPU), ("memory", DEFAULT_MEMORY)] {
            if wanted(name) {
                defaults.set(name, amount);
            }
        }
        defaults
    };
    let nonzero = |filled: &Amounts<'_>| NonZeroRequest {
        cpu: MilliCpu(filled.get("cpu").unwrap_or(0)),
        memory: Bytes(filled.get("memory").unwrap_or(0)),
    };
    // With pod-level requests, a default only steps in for what neither the pod nor any container names.
    let filled = nonzero(&formula.total(&defaults(&|name| !formula.pod_level_set || plain.get(name).is_none())));
    let plain = plain.to_resources(interner);
    let containers = formula.pod_level_set.then(|| {
        formula.pod_level = Amounts::default();
        nonzero(&formula.total(&defaults(&|_| true)))
    });
    Requests { plain, nonzero: filled, containers }
}

/// What the containers ask for together, of the resources that a pod may name as a whole.
pub(crate) fn of_containers(pod: &PodObject) -> Quantities {
    let sum = Formula::read(pod, &mut Vec::new()).aggregate(View::Spec, &Amounts::default());
    let named = sum.0.into_iter().filter(|(name, _)| is_pod_level(name));
    named.map(|(name, amount)| (name.to_owned(), QuantityText(format!("{amount}{}", if name == "cpu" { "m" } else { "" })))).collect()
}

/// Whether a pod may name the resource as a whole.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// The formula's inputs, read once.
struct Formula<'a> {
    containers: Vec<Grant<'a>>,
    init_containers: Vec<(Grant<'a>, bool)>,
    /// What the kubelet granted to the pod as a whole: (allocated, in force).
    pod_granted: Option<(Amounts<'a>, Amounts<'a>)>,
    pod_level: Amounts<'a>,
    pod_level_set: bool,
    overhead: Amounts<'a>,
    resize_infeasible: bool,
}

/// One container's amounts: as specified, as allocated by the kubelet, as in force.
struct Grant<'a> {
    spec: Amounts<'a>,
    allocated: Option<Amounts<'a>>,
    in_force: Option<Amounts<'a>>,
}

/// Which of a container's amounts a sum is over.
#[derive(Clone, Copy)]
enum View {
    Spec,
    Allocated,
    InForce,
}

impl<'a> Grant<'a> {
    fn read(container: &'a ContainerObject, path: &str, status: Option<&'a ContainerStatusObject>, faults: &mut Vec<Fault>) -> Self {
        let spec = optional(container.resources.requests.as_ref(), &format!("{path}.resources.requests"), faults).unwrap_or_default();
        // The kubelet's own numbers are not the user's to mend: one that cannot be read is left out without a word.
        let mut unsaid = Vec::new();
        let allocated = status.and_then(|s| optional(s.allocated_resources.as_ref(), "", &mut unsaid));
        let in_force = status.and_then(|s| s.resources.as_ref()).and_then(|r| optional(r.requests.as_ref(), "", &mut unsaid));
        Self { spec, allocated, in_force }
    }

    fn view(&self, view: View, resize_infeasible: bool) -> Amounts<'a> {
        let granted = match view {
            View::Spec => return self.spec.clone(),
            View::Allocated => self.allocated.as_ref(),
            View::InForce => self.in_force.as_ref().or(self.allocated.as_ref()),
        };
        match granted {
            Some(amounts) => amounts.clone(),
            None if resize_infeasible => Amounts::default(),
            None => self.spec.clone(),
        }
    }
}

impl<'a> Formula<'a> {
    fn read(pod: &'a PodObject, faults: &mut Vec<Fault>) -> Self {
        let (spec, status) = (&pod.spec, &pod.status);
        let bound = spec.node_name.as_deref().is_some_and(|n| !n.is_empty());
        let granted_to = |name: &str| {
            let mut statuses = status.container_statuses.iter().chain(&status.init_container_statuses);
            bound.then(|| statuses.find(|s| s.name == name)).flatten()
        };
        let mut grant =
            |c: &'a ContainerObject, list: &str, i: usize| Grant::read(c, &format!("spec.{list}[{i}]"), granted_to(&c.name), faults);
        let containers = spec.containers.iter().enumerate().map(|(i, c)| grant(c, "containers", i)).collect();
        let is_sidecar = |c: &ContainerObject| c.restart_policy.as_deref() == Some("Always");
        let init_containers =
            spec.init_containers.iter().enumerate().map(|(i, c)| (grant(c, "initContainers", i), is_sidecar(c))).collect();
        let pod_requests = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
        let mut pod_level = optional(pod_requests, "spec.resources.requests", faults).unwrap_or_default();
        pod_level.0.retain(|(name, _)| is_pod_level(name));
        let resize_infeasible =
            bound && status.conditions.iter().find(|c| c.kind == "PodResizePending").is_some_and(|c| c.reason == "Infeasible");
        let mut unsaid = Vec::new();
        let allocated = optional(status.allocated_resources.as_ref(), "", &mut unsaid).filter(|_| bound);
        let in_force = status.resources.as_ref().and_then(|r| optional(r.requests.as_ref(), "", &mut unsaid)).filter(|_| bound);
        let pod_level_set = !pod_level.0.is_empty();
        if pod_level_set && bound && status.resources.is_some() {
            let mut effective = if resize_infeasible { Amounts::default() } else { pod_level };
            in_force.iter().chain(&allocated).for_each(|a| effective.max(a));
            effective.0.retain(|(name, _)| is_pod_level(name));
            pod_level = effective;
        }
        Self {
            containers,
            init_containers,
            pod_granted: allocated.zip(in_force),
            pod_level,
            pod_level_set,
            overhead: Amounts::read(&spec.overhead, "spec.overhead", faults),
            resize_infeasible,
        }
    }

    /// The whole request; `defaults` stand in for what a container does not name.
    fn total(&self, defaults: &Amounts<'a>) -> Amounts<'a> {
        let mut total = if self.resize_infeasible { Amounts::default() } else { self.aggregate(View::Spec, defaults) };
        match &self.pod_granted {
            Some((allocated, in_force)) => [allocated, in_force].into_iter().for_each(|a| total.max(a)),
            None => [View::Allocated, View::InForce].into_iter().for_each(|view| total.max(&self.aggregate(view, defaults))),
        }
        for (name, amount) in &self.pod_level.0 {
            total.set(name, *amount);
        }
        total.add(&self.overhead);
        total
    }

    /// `max(Σ containers and sidecars, the largest moment of initialisation)`.
    fn aggregate(&self, view: View, defaults: &Amounts<'a>) -> Amounts<'a> {
        let amounts = |grant: &Grant<'a>| {
            let mut amounts = grant.view(view, self.resize_infeasible);
            for (name, default) in &defaults.0 {
                if amounts.get(name).is_none() {
                    amounts.set(name, *default);
                }
            }
            amounts
        };
        let (mut sum, mut sidecars, mut initialising) = (Amounts::default(), Amounts::default(), Amounts::default());
        for grant in &self.containers {
            sum.add(&amounts(grant));
        }
        for (grant, sidecar) in &self.init_containers {
            let mut moment = amounts(grant);
            if *sidecar {
                sum.add(&moment);
                sidecars.add(&moment);
                moment = sidecars.clone();
            } else {
                moment.add(&sidecars);
            }
            initialising.max(&moment);
        }
        sum.max(&initialising);
        sum
    }
}

fn optional<'a>(quantities: Option<&'a Quantities>, path: &str, faults: &mut Vec<Fault>) -> Option<Amounts<'a>> {
    quantities.map(|q| Amounts::read(q, path, faults))
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
