//! A PodDisruptionBudget as the model's budget.
//! Leaves out which pods it covers: that is the budget's own to say.

use super::Converted;
use super::affinity::Context;
use crate::intern::Interner;
use crate::objects::BudgetObject;
use aisched_model::disruption::DisruptionBudget;

/// A disruption budget.
#[must_use]
pub fn budget(object: &BudgetObject, interner: &mut Interner) -> Converted<DisruptionBudget> {
    let mut faults = Vec::new();
    let (meta, status) = (&object.metadata, &object.status);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let mut context = Context { interner, faults: &mut faults, namespace };
    let selector = context.selector("spec.selector", object.spec.selector.as_ref());
    let value = DisruptionBudget {
        namespace: interner.str(namespace),
        name: interner.str(meta.name.as_deref().unwrap_or_default()),
        selector,
        allowed: status.disruptions_allowed,
        disrupted: status.disrupted_pods.keys().map(|name| interner.str(name)).collect(),
    };
    Converted::new(value, faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aisched_model::labels::Labels;
    use serde_json::json;

    #[test]
    fn budget_says_whom_it_covers_and_what_is_left_of_it() {
        let object = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "ns"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "db"}}},
            "status": {"disruptionsAllowed": 1, "disruptedPods": {"db-0": "2026-01-02T03:04:05Z"}, "currentHealthy": 3},
        });
        let budget = budget(&serde_json::from_value(object).unwrap(), &mut Interner::default());
        assert!(budget.faults.is_empty(), "{:?}", budget.faults);
        assert!(budget.value.covers("ns", &Labels::from([("app", "db")])) && !budget.value.covers("ns", &Labels::default()));
        assert_eq!((budget.value.allowed, budget.value.disrupted), (1, vec!["db-0".into()]));
    }

    #[test]
    fn budget_without_status_allows_nothing() {
        let budget = budget(&serde_json::from_value(json!({"metadata": {"name": "b"}, "status": null})).unwrap(), &mut Interner::default());
        assert_eq!((budget.value.allowed, budget.value.selector), (0, None));
    }
}
