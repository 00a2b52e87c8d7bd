//! PodDisruptionBudgets: how many pods of a group may still be disrupted.
//! Leaves out how the numbers come about: the disruption controller keeps them.

use crate::Str;
use crate::labels::Labels;
use crate::selector::LabelSelector;
use alloc::vec::Vec;

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DisruptionBudget {
    /// Namespace, of the budget and its pods.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Which pods; `None` selects none.
    pub selector: Option<LabelSelector>,
    /// `status.disruptionsAllowed`.
    pub allowed: i32,
    /// `status.disruptedPods`: names of pods whose disruption is counted already.
    pub disrupted: Vec<Str>,
}

impl DisruptionBudget {
    /// Whether the budget covers a pod, as kube-scheduler reads it: unlike for the eviction API, an empty selector covers none.
    #[must_use]
    pub fn covers(&self, namespace: &str, labels: &Labels) -> bool {
        *self.namespace == *namespace && self.selector.as_ref().is_some_and(|s| !s.0.is_empty() && s.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::{Operator, Requirement};

    #[test]
    fn budget_covers_pods_of_its_namespace_that_its_selector_names() {
        let app = LabelSelector(alloc::vec![Requirement { key: "app".into(), operator: Operator::In, values: alloc::vec!["db".into()] }]);
        let labels = Labels::from([("app", "db")]);
        for (selector, namespace, covers) in [
            (Some(app.clone()), "default", true),
            (Some(app), "other", false),
            (Some(LabelSelector::default()), "default", false),
            (None, "default", false),
        ] {
            let budget = DisruptionBudget { namespace: "default".into(), selector, ..DisruptionBudget::default() };
            assert_eq!(budget.covers(namespace, &labels), covers, "{budget:?}");
        }
    }
}
