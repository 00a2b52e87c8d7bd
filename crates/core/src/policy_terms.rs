//! Turns a policy's constraints and affinity rules into terms of the pod, for the attempts to place it alone.
//! Leaves out evaluating them: NodeAffinity, InterPodAffinity and PodTopologySpread do that as with any pod's own terms.

use aisched_model::Str;
use aisched_model::pod::{NodeAffinity, Pod, PodAffinity, PodAffinityTerm, PodSpec};
use aisched_model::policy::{AffinityKind, AffinityStrength, AffinityTerm, ConstraintOperator, NodeConstraint, Policy};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The pod as its policy wants it judged; the very same pod when the policy adds nothing.
pub(crate) fn judged(pod: &Arc<Pod>, policy: Option<&Policy>) -> Arc<Pod> {
    let Some(policy) = policy.filter(|p| !p.constraints.is_empty() || !p.affinity.is_empty()) else { return pod.clone() };
    let mut spec = PodSpec::clone(&pod.spec);
    let constraints = policy.constraints.iter().map(requirement).collect();
    narrow(&mut spec.node_affinity, constraints);
    for term in &policy.affinity {
        add(&mut spec, &pod.namespace, term);
    }
    Arc::new(Pod { spec: Arc::new(spec), ..Pod::clone(pod) })
}

/// What a constraint means to a node's labels.
pub(crate) fn requirement(constraint: &NodeConstraint) -> Requirement {
    let operator = match constraint.operator {
        ConstraintOperator::In => Operator::In,
        ConstraintOperator::NotIn => Operator::NotIn,
        ConstraintOperator::Exists => Operator::Exists,
        ConstraintOperator::DoesNotExist => Operator::DoesNotExist,
        ConstraintOperator::Gt => Operator::Gt,
        ConstraintOperator::Lt => Operator::Lt,
    };
    Requirement { key: constraint.key.clone(), operator, values: constraint.values.clone() }
}

/// A requirement for every label of a rule.
fn carrying(labels: &[(Str, Str)]) -> Vec<Requirement> {
    let one = |(key, value): &(Str, Str)| Requirement { key: key.clone(), operator: Operator::In, values: alloc::vec![value.clone()] };
    labels.iter().map(one).collect()
}

/// Makes requirements hold besides what the pod itself requires.
///
/// The pod's terms are alternatives, so each takes all of the requirements: a policy narrows what a pod allows, never widens it. A
/// term without requirements matches nothing and must go on doing so.
fn narrow(affinity: &mut NodeAffinity, requirements: Vec<Requirement>) {
    if requirements.is_empty() {
        return;
    }
    match &mut affinity.required {
        None => affinity.required = Some(alloc::vec![NodeSelectorTerm { labels: requirements, fields: Vec::new() }]),
        Some(terms) => terms.iter_mut().filter(|t| !t.is_empty()).for_each(|t| t.labels.extend(requirements.iter().cloned())),
    }
}

fn add(spec: &mut PodSpec, namespace: &Str, term: &AffinityTerm) {
    let affinity = match term.kind {
        AffinityKind::Node => return add_node_term(&mut spec.node_affinity, term),
        AffinityKind::Pod => &mut spec.pod_affinity,
        AffinityKind::PodAnti => &mut spec.pod_anti_affinity,
    };
    add_pod_term(affinity, namespace, term);
}

fn add_node_term(affinity: &mut NodeAffinity, term: &AffinityTerm) {
    let labels = carrying(&term.labels);
    match term.strength {
        AffinityStrength::Required => narrow(affinity, labels),
        AffinityStrength::Preferred(weight) => affinity.preferred.push((weight, NodeSelectorTerm { labels, fields: Vec::new() })),
    }
}

/// A rule names no namespaces: like a pod's own term without any, it is about pods of the pod's namespace.
fn add_pod_term(affinity: &mut PodAffinity, namespace: &Str, term: &AffinityTerm) {
    let selected = PodAffinityTerm {
        selector: Some(LabelSelector(carrying(&term.labels))),
        namespaces: alloc::vec![namespace.clone()],
        namespace_selector: None,
        topology_key: term.topology_key.clone(),
    };
    match term.strength {
        AffinityStrength::Required => affinity.required.push(selected),
        AffinityStrength::Preferred(weight) => affinity.preferred.push((weight, selected)),
    }
}

#[cfg(test)]
mod tests;
