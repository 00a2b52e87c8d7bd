//! Node selector terms and label selectors, with Kubernetes' semantics.
//! Leaves out parsing from objects (`aisched-kube`) and any index over them (the plugins).

use crate::Str;
use crate::labels::Labels;
use alloc::vec::Vec;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The value is one of the listed.
    In,
    /// The key is absent or its value is none of the listed.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is absent.
    DoesNotExist,
    /// The value is an integer above the listed one.
    Gt,
    /// The value is an integer below the listed one.
    Lt,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Label key, or `metadata.name` for a field.
    pub key: Str,
    /// Comparison.
    pub operator: Operator,
    /// Values to compare with; exactly one for [`Operator::Gt`] and [`Operator::Lt`].
    pub values: Vec<Str>,
}

impl Requirement {
    /// Whether `value` (`None`: key absent) meets the requirement.
    #[must_use]
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.iter().any(|w| **w == *v)),
            Operator::NotIn => value.is_none_or(|v| self.values.iter().all(|w| **w != *v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.compare(value).is_some_and(|(have, bound)| have > bound),
            Operator::Lt => self.compare(value).is_some_and(|(have, bound)| have < bound),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        match self.values.as_slice() {
            [bound] => Some((value?.parse().ok()?, bound.parse().ok()?)),
            _ => None,
        }
    }

    /// Whether `labels` meet the requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.key).map(|v| &**v))
    }
}

/// A term of a node selector: all of its requirements together. An empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    pub labels: Vec<Requirement>,
    /// Requirements on fields; only `metadata.name` exists.
    pub fields: Vec<Requirement>,
}

impl NodeSelectorTerm {
    /// Whether the term has no requirement at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether a node of this name and these labels matches.
    #[must_use]
    pub fn matches(&self, node_name: &str, labels: &Labels) -> bool {
        !self.is_empty()
            && self.labels.iter().all(|r| r.matches(labels))
            && self.fields.iter().all(|r| *r.key == *"metadata.name" && r.matches_value(Some(node_name)))
    }
}

/// Whether any of the ORed terms matches; no term at all matches nothing.
#[must_use]
pub fn any_term_matches(terms: &[NodeSelectorTerm], node_name: &str, labels: &Labels) -> bool {
    terms.iter().any(|t| t.matches(node_name, labels))
}

/// A label selector (`matchLabels` turned into [`Operator::In`]): all requirements together; empty matches everything.
/// A selector that is absent in the API matches nothing and is an `Option` where it can occur.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector(pub Vec<Requirement>);

impl LabelSelector {
    /// Whether `labels` match.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|r| r.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement { key: key.into(), operator, values: values.iter().map(|v| Str::from(*v)).collect() }
    }

    #[test]
    fn operators_follow_kubernetes() {
        let labels = Labels::from([("zone", "a"), ("cpus", "16"), ("empty", "")]);
        for (key, operator, values, expected) in [
            ("zone", Operator::In, &["a", "b"][..], true),
            ("zone", Operator::In, &["b"], false),
            ("none", Operator::In, &[""], false),
            ("empty", Operator::In, &[""], true),
            ("zone", Operator::NotIn, &["b"], true),
            ("none", Operator::NotIn, &["b"], true),
            ("zone", Operator::NotIn, &["a"], false),
            ("zone", Operator::Exists, &[], true),
            ("none", Operator::Exists, &[], false),
            ("none", Operator::DoesNotExist, &[], true),
            ("cpus", Operator::Gt, &["8"], true),
            ("cpus", Operator::Gt, &["16"], false),
            ("cpus", Operator::Lt, &["17"], true),
            ("cpus", Operator::Lt, &["17", "18"], false),
            ("none", Operator::Lt, &["17"], false),
            ("zone", Operator::Gt, &["1"], false),
        ] {
            assert_eq!(requirement(key, operator, values).matches(&labels), expected, "{key} {operator:?} {values:?}");
        }
    }

    #[test]
    fn empty_term_matches_nothing_and_empty_selector_everything() {
        let labels = Labels::from([("zone", "a")]);
        assert!(!NodeSelectorTerm::default().matches("n", &labels));
        assert!(LabelSelector::default().matches(&labels));
    }

    #[test]
    fn fields_know_only_the_name() {
        let by = |key| NodeSelectorTerm { labels: Vec::new(), fields: alloc::vec![requirement(key, Operator::In, &["n1"])] };
        assert!(by("metadata.name").matches("n1", &Labels::default()));
        assert!(!by("metadata.name").matches("n2", &Labels::default()));
        assert!(!by("metadata.uid").matches("n1", &Labels::default()));
    }
}
