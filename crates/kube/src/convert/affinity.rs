//! Selectors, affinity terms, spread constraints, taints and tolerations of the API as values of the model, and selectors back.
//! Leaves out matching. A requirement whose operator is unknown can match nothing, and takes its term with it.

use crate::intern::Interner;
use aisched_model::node::Taint;
use aisched_model::pod::{NodeAffinity, PodAffinity, PodAffinityTerm, SpreadConstraint, TaintEffect, Toleration, TolerationOperator};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::storage_facts::Fault;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::{Value, json};

/// What conversion of one object carries along.
pub(super) struct Context<'a> {
    pub(super) interner: &'a mut Interner,
    pub(super) faults: &'a mut Vec<Fault>,
    /// Namespace of the object, where terms default to it.
    pub(super) namespace: &'a str,
}

impl Context<'_> {
    fn fault(&mut self, path: &str, value: &str, expected: &str) {
        self.faults.push(Fault::new(path, value, expected));
    }

    fn operator(&mut self, path: &str, text: &str) -> Option<Operator> {
        let operator = match text {
            "In" => Some(Operator::In),
            "NotIn" => Some(Operator::NotIn),
            "Exists" => Some(Operator::Exists),
            "DoesNotExist" => Some(Operator::DoesNotExist),
            "Gt" => Some(Operator::Gt),
            "Lt" => Some(Operator::Lt),
            _ => None,
        };
        if operator.is_none() {
            self.fault(&format!("{path}.operator"), text, "one of In, NotIn, Exists, DoesNotExist, Gt, Lt");
        }
        operator
    }

    fn requirement(&mut self, path: &str, key: &str, operator: &str, values: Option<&Vec<String>>) -> Option<Requirement> {
        let operator = self.operator(path, operator)?;
        let values = values.into_iter().flatten().map(|v| self.interner.str(v)).collect();
        Some(Requirement { key: self.interner.str(key), operator, values })
    }

    /// A node selector term; `None` when it can match nothing because a requirement cannot be read.
    fn node_term(&mut self, path: &str, term: &api::NodeSelectorTerm) -> Option<NodeSelectorTerm> {
        let mut list = |name: &str, requirements: &Option<Vec<api::NodeSelectorRequirement>>| -> Option<Vec<Requirement>> {
            let requirements = requirements.as_deref().unwrap_or_default();
            let read = |(i, r): (usize, &api::NodeSelectorRequirement)| {
                self.requirement(&format!("{path}.{name}[{i}]"), &r.key, &r.operator, r.values.as_ref())
            };
            requirements.iter().enumerate().map(read).collect()
        };
        Some(NodeSelectorTerm {
            labels: list("matchExpressions", &term.match_expressions)?,
            fields: list("matchFields", &term.match_fields)?,
        })
    }

    /// ORed terms; those that can match nothing are dropped.
    pub(super) fn node_terms(&mut self, path: &str, selector: &api::NodeSelector) -> Vec<NodeSelectorTerm> {
        let terms = selector.node_selector_terms.iter().enumerate();
        terms.filter_map(|(i, t)| self.node_term(&format!("{path}.nodeSelectorTerms[{i}]"), t)).collect()
    }

    pub(super) fn node_affinity(&mut self, affinity: &api::NodeAffinity) -> NodeAffinity {
        const PATH: &str = "spec.affinity.nodeAffinity";
        let required = affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
            .map(|s| self.node_terms(&format!("{PATH}.requiredDuringSchedulingIgnoredDuringExecution"), s));
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate();
        let preferred = preferred
            .filter_map(|(i, p)| {
                let path = format!("{PATH}.preferredDuringSchedulingIgnoredDuringExecution[{i}].preference");
                let term = self.node_term(&path, &p.preference)?;
                (p.weight != 0 && !term.is_empty()).then_some((p.weight, term))
            })
            .collect();
        NodeAffinity { required, preferred }
    }

    /// A label selector; `None` (which matches nothing) when it is absent or cannot be read.
    pub(super) fn selector(&mut self, path: &str, selector: Option<&meta::LabelSelector>) -> Option<LabelSelector> {
        let selector = selector?;
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let values = vec![self.interner.str(value)];
            requirements.push(Requirement { key: self.interner.str(key), operator: Operator::In, values });
        }
        for (i, r) in selector.match_expressions.iter().flatten().enumerate() {
            requirements.push(self.requirement(&format!("{path}.matchExpressions[{i}]"), &r.key, &r.operator, r.values.as_ref())?);
        }
        Some(LabelSelector(requirements))
    }

    fn pod_term(&mut self, path: &str, term: &api::PodAffinityTerm) -> PodAffinityTerm {
        let names = term.namespaces.as_deref().unwrap_or_default();
        let own = names.is_empty() && term.namespace_selector.is_none();
        let namespaces = if own { vec![self.interner.str(self.namespace)] } else { names.iter().map(|n| self.interner.str(n)).collect() };
        PodAffinityTerm {
            selector: self.selector(&format!("{path}.labelSelector"), term.label_selector.as_ref()),
            namespaces,
            namespace_selector: self.selector(&format!("{path}.namespaceSelector"), term.namespace_selector.as_ref()),
            topology_key: self.interner.str(&term.topology_key),
        }
    }

    /// Pod affinity or anti-affinity: `kind` is the API's field, for messages.
    pub(super) fn pod_affinity(
        &mut self,
        kind: &str,
        required: Option<&Vec<api::PodAffinityTerm>>,
        preferred: Option<&Vec<api::WeightedPodAffinityTerm>>,
    ) -> PodAffinity {
        let required = required.into_iter().flatten().enumerate();
        let required = required
            .map(|(i, t)| self.pod_term(&format!("spec.affinity.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{i}]"), t))
            .collect();
        let preferred = preferred.into_iter().flatten().enumerate();
        let preferred = preferred
            .map(|(i, w)| {
                let path = format!("spec.affinity.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{i}].podAffinityTerm");
                (w.weight, self.pod_term(&path, &w.pod_affinity_term))
            })
            .collect();
        PodAffinity { required, preferred }
    }

    pub(super) fn spread(&mut self, i: usize, c: &api::TopologySpreadConstraint) -> SpreadConstraint {
        SpreadConstraint {
            max_skew: c.max_skew,
            topology_key: self.interner.str(&c.topology_key),
            hard: c.when_unsatisfiable != "ScheduleAnyway",
            selector: self.selector(&format!("spec.topologySpreadConstraints[{i}].labelSelector"), c.label_selector.as_ref()),
            min_domains: c.min_domains,
            honor_affinity: c.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: c.node_taints_policy.as_deref() == Some("Honor"),
            match_label_keys: c.match_label_keys.iter().flatten().map(|k| self.interner.str(k)).collect(),
        }
    }

    pub(super) fn toleration(&mut self, i: usize, t: &api::Toleration) -> Option<Toleration> {
        let path = format!("spec.tolerations[{i}]");
        let operator = match t.operator.as_deref() {
            None | Some("" | "Equal") => TolerationOperator::Equal,
            Some("Exists") => TolerationOperator::Exists,
            Some("Lt") => TolerationOperator::Lt,
            Some("Gt") => TolerationOperator::Gt,
            Some(other) => {
                self.fault(&format!("{path}.operator"), other, "one of Equal, Exists, Lt, Gt");
                return None;
            }
        };
        let effect = match t.effect.as_deref() {
            None | Some("") => None,
            Some(text) => Some(self.effect(&path, text)?),
        };
        let text = |s: &Option<String>| s.clone().unwrap_or_default();
        Some(Toleration { key: self.interner.str(&text(&t.key)), operator, value: self.interner.str(&text(&t.value)), effect })
    }

    pub(super) fn taint(&mut self, i: usize, t: &api::Taint) -> Option<Taint> {
        let effect = self.effect(&format!("spec.taints[{i}]"), &t.effect)?;
        Some(Taint { key: self.interner.str(&t.key), value: self.interner.str(t.value.as_deref().unwrap_or_default()), effect })
    }

    fn effect(&mut self, path: &str, text: &str) -> Option<TaintEffect> {
        match text {
            "NoSchedule" => Some(TaintEffect::NoSchedule),
            "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
            "NoExecute" => Some(TaintEffect::NoExecute),
            other => {
                self.fault(&format!("{path}.effect"), other, "one of NoSchedule, PreferNoSchedule, NoExecute");
                None
            }
        }
    }
}

/// Terms as a node selector of the API.
pub(crate) fn node_terms_json(terms: &[NodeSelectorTerm]) -> Value {
    json!({"nodeSelectorTerms": terms.iter().map(node_term_json).collect::<Vec<_>>()})
}

/// One term of a node selector; a part without requirements is left out.
pub(crate) fn node_term_json(term: &NodeSelectorTerm) -> Value {
    let mut value = json!({});
    for (field, requirements) in [("matchExpressions", &term.labels), ("matchFields", &term.fields)] {
        if !requirements.is_empty() {
            value[field] = requirements_json(requirements);
        }
    }
    value
}

/// Requirements of a node or label selector.
pub(crate) fn requirements_json(requirements: &[Requirement]) -> Value {
    requirements.iter().map(requirement_json).collect()
}

fn requirement_json(requirement: &Requirement) -> Value {
    let operator = match requirement.operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::Gt => "Gt",
        Operator::Lt => "Lt",
    };
    let mut value = json!({"key": &*requirement.key, "operator": operator});
    if !requirement.values.is_empty() {
        value["values"] = requirement.values.iter().map(|v| Value::from(&**v)).collect();
    }
    value
}
