//! Which pods a term of pod affinity or anti-affinity is about.
//! Leaves out where they are: domains are the filter's and the score's.

use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::pod::{Pod, PodAffinityTerm};
use aisched_model::selector::LabelSelector;
use aisched_model::snapshot::Snapshot;
use alloc::vec::Vec;

/// A term of the incoming pod, its namespaces looked up once for all pods that it is compared with.
#[derive(Clone, PartialEq)]
pub(super) struct OwnTerm {
    /// Label key whose values are the domains.
    pub(super) key: Str,
    selector: Option<LabelSelector>,
    namespaces: Namespaces,
}

#[derive(Clone, PartialEq)]
enum Namespaces {
    All,
    /// Sorted.
    Of(Vec<Str>),
}

impl OwnTerm {
    /// Looks up the term's namespaces; only those that exist can be selected by label.
    pub(super) fn of(term: &PodAffinityTerm, snapshot: &Snapshot) -> Self {
        let mut names = term.namespaces.clone();
        let namespaces = match &term.namespace_selector {
            Some(all) if all.0.is_empty() => Namespaces::All,
            selector => {
                if let Some(selector) = selector {
                    names.extend(snapshot.namespaces.iter().filter(|(_, labels)| selector.matches(labels)).map(|(n, _)| n.clone()));
                }
                names.sort_unstable();
                names.dedup();
                Namespaces::Of(names)
            }
        };
        Self { key: term.topology_key.clone(), selector: term.selector.clone(), namespaces }
    }

    /// All terms of a list.
    pub(super) fn all(terms: &[PodAffinityTerm], snapshot: &Snapshot) -> Vec<Self> {
        terms.iter().map(|t| Self::of(t, snapshot)).collect()
    }

    /// Whether the term is about this pod.
    pub(super) fn matches(&self, pod: &Pod) -> bool {
        let in_namespace = match &self.namespaces {
            Namespaces::All => true,
            Namespaces::Of(names) => names.binary_search(&pod.namespace).is_ok(),
        };
        in_namespace && self.selector.as_ref().is_some_and(|s| s.matches(&pod.spec.labels))
    }
}

/// The labels of a pod's namespace; a namespace that is not known has none.
pub(super) fn namespace_labels(snapshot: &Snapshot, pod: &Pod) -> Labels {
    snapshot.namespaces.get(&pod.namespace).cloned().unwrap_or_default()
}

/// Whether a placed pod's term is about the incoming pod, whose namespace has these labels.
pub(super) fn matches_incoming(term: &PodAffinityTerm, incoming: &Pod, namespace: &Labels) -> bool {
    matches(term, incoming, |selector| selector.matches(namespace))
}

/// Whether a term may be about a pod, taking namespaces that are selected by label as selected. kube-scheduler takes them as
/// having no labels instead, and so lets pods wait whose time has come.
pub(super) fn may_match(term: &PodAffinityTerm, pod: &Pod) -> bool {
    matches(term, pod, |_| true)
}

/// Whether a term is about a pod whatever the labels of its namespace.
pub(super) fn must_match(term: &PodAffinityTerm, pod: &Pod) -> bool {
    matches(term, pod, |selector| selector.0.is_empty())
}

fn matches(term: &PodAffinityTerm, pod: &Pod, selects_namespace: impl Fn(&LabelSelector) -> bool) -> bool {
    let in_namespace = term.namespaces.contains(&pod.namespace) || term.namespace_selector.as_ref().is_some_and(selects_namespace);
    in_namespace && term.selector.as_ref().is_some_and(|s| s.matches(&pod.spec.labels))
}
