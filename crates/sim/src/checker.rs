//! Judges decisions by rules of its own, so that a fault of the engine does not judge itself: fits, tolerated, selected, ports free.
//! Leaves out scores and every rule that it has no own reading of (volumes, affinity between pods, storage); for tests.

use crate::Scenario;
use aisched_core::decision::Decision;
use aisched_model::Str;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{HostPort, Pod, TaintEffect};
use aisched_model::selector::any_term_matches;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Plugins whose refusals must be confirmed by a rule of the checker.
const JUDGED: &[&str] = &["NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit"];

/// The cluster as the checker sees it: it follows the decisions that it has approved.
pub struct Checker {
    nodes: BTreeMap<Str, (Arc<Node>, Vec<Arc<Pod>>)>,
    pods: BTreeMap<Str, Arc<Pod>>,
    /// Pods without a node to whom one is promised.
    nominated: Vec<Arc<Pod>>,
}

impl Checker {
    /// A checker of the decisions on this scenario.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let mut nodes: BTreeMap<Str, (Arc<Node>, Vec<Arc<Pod>>)> =
            scenario.nodes().map(|node| (node.name.clone(), (node.clone(), Vec::new()))).collect();
        for pod in scenario.pods().filter(|pod| !pod.ended) {
            if let Some((_, pods)) = pod.node.as_ref().and_then(|node| nodes.get_mut(node)) {
                pods.push(pod.clone());
            }
        }
        Self { nodes, pods: scenario.pods().map(|pod| (pod.uid.clone(), pod.clone())).collect(), nominated: Vec::new() }
    }

    /// Follows what came of a decision besides a bind: pods that had to leave, and nodes that are promised. To be called after each
    /// `check` with the pods as the virtual API server holds them.
    pub fn see<'a>(&mut self, pods: impl Iterator<Item = &'a Arc<Pod>>) {
        let there: BTreeMap<&Str, &Arc<Pod>> = pods.map(|pod| (&pod.uid, pod)).collect();
        for (_, pods) in self.nodes.values_mut() {
            pods.retain(|pod| there.contains_key(&pod.uid));
        }
        self.nominated = there.into_values().filter(|pod| pod.node.is_none() && pod.nominated_node.is_some()).cloned().collect();
    }

    /// Judges the next decision: the chosen node and every node called feasible must do, and no refusal may be made up.
    /// The decision must report on all nodes.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&mut self, decision: &Decision) -> Result<(), String> {
        let pod = self.pods.get(&decision.uid).ok_or_else(|| format!("{}: no such pod", decision.pod))?.clone();
        if decision.nodes.len() != self.nodes.len() {
            return Err(format!("{}: reports on {} of {} nodes", decision.pod, decision.nodes.len(), self.nodes.len()));
        }
        for report in &decision.nodes {
            let (node, pods) = self.nodes.get(&report.node).ok_or_else(|| format!("{}: no such node", report.node))?;
            let against = against(&pod, node, pods);
            match (report.feasible, against) {
                (true, Some(reason)) => return Err(format!("{} on {}: {reason}", decision.pod, report.node)),
                (false, None) if report.reasons.iter().all(|r| JUDGED.contains(&r.plugin)) && !self.is_promised(&pod, node, pods) => {
                    return Err(format!("{} on {}: refused without reason: {:?}", decision.pod, report.node, report.reasons));
                }
                (true, None) | (false, Some(_) | None) => {}
            }
        }
        self.follow(decision, pod)
    }

    /// Whether the pod would do if it were not for pods of at least its priority that are promised the node.
    fn is_promised(&self, pod: &Pod, node: &Node, pods: &[Arc<Pod>]) -> bool {
        let before = |other: &&Arc<Pod>| other.uid != pod.uid && other.spec.priority >= pod.spec.priority;
        let promised = self.nominated.iter().filter(|other| other.nominated_node.as_ref() == Some(&node.name));
        let all: Vec<Arc<Pod>> = pods.iter().chain(promised.filter(before)).cloned().collect();
        against(pod, node, &all).is_some()
    }

    fn follow(&mut self, decision: &Decision, pod: Arc<Pod>) -> Result<(), String> {
        let any_feasible = decision.nodes.iter().any(|n| n.feasible);
        let Some(chosen) = &decision.node else {
            return if any_feasible { Err(format!("{}: waits although a node would do", decision.pod)) } else { Ok(()) };
        };
        let best = decision.nodes.iter().filter(|n| n.feasible).max_by_key(|n| n.total).and_then(|n| n.total);
        if !decision.nodes.iter().any(|n| n.feasible && n.node == *chosen && n.total == best) {
            return Err(format!("{}: {chosen} is not the best feasible node", decision.pod));
        }
        if let Some((_, pods)) = self.nodes.get_mut(chosen) {
            pods.push(pod);
        }
        Ok(())
    }
}

/// Why the pod cannot run on the node beside these pods.
pub(crate) fn against(pod: &Pod, node: &Node, pods: &[Arc<Pod>]) -> Option<String> {
    let spec = &pod.spec;
    let unschedulable = Taint { key: "node.kubernetes.io/unschedulable".into(), value: Str::default(), effect: TaintEffect::NoSchedule };
    let cordon = node.unschedulable.then_some(&unschedulable);
    let hard = node.taints.iter().filter(|t| t.effect != TaintEffect::PreferNoSchedule).chain(cordon);
    if let Some(taint) = hard.into_iter().find(|t| !spec.tolerations.iter().any(|own| own.tolerates(t, false))) {
        return Some(format!("taint {} is not tolerated", taint.key));
    }
    if let Some((key, value)) = spec.node_selector.iter().find(|(key, value)| !node.labels.has(key, value)) {
        return Some(format!("label {key}={value} is missing"));
    }
    if spec.node_affinity.required.as_ref().is_some_and(|terms| !any_term_matches(terms, &node.name, &node.labels)) {
        return Some("no term of the required affinity matches".into());
    }
    let mut used = pods.iter().flat_map(|p| &p.spec.host_ports);
    if used.any(|a| spec.host_ports.iter().any(|b| clash(a, b))) {
        return Some("a host port is taken".into());
    }
    if i64::try_from(pods.len()).unwrap_or(i64::MAX) >= node.allocatable_pods {
        return Some(format!("all {} places for pods are taken", node.allocatable_pods));
    }
    let names = ["cpu", "memory", "ephemeral-storage"].into_iter().chain(spec.requests.scalars.iter().map(|(name, _)| &**name));
    names.into_iter().find_map(|name| {
        let wanted = spec.requests.get(name);
        let free = node.allocatable.get(name) - pods.iter().map(|p| p.spec.requests.get(name)).sum::<i64>();
        (wanted > 0 && wanted > free).then(|| format!("wants {wanted} of {name}, free are {free}"))
    })
}

fn clash(a: &HostPort, b: &HostPort) -> bool {
    let any = |port: &HostPort| *port.ip == *"0.0.0.0" || port.ip.is_empty();
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || any(a) || any(b))
}
