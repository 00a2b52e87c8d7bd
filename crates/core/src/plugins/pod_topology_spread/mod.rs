//! Spreads pods over topology domains: hard constraints refuse nodes (`hard`), soft ones score them (`soft`).
//! Leaves out where the selectors of default constraints come from: `aisched_model::owners`.

mod hard;
mod soft;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_random;

use super::args::PodTopologySpreadArgs;
use crate::cures::Change;
use crate::features::Features;
use crate::framework::{Attempt, ClusterEvent, Filter, Follower, Kept, Plugin, Prepared, Refusal, Tally, Trait, recalled};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, SpreadConstraint, TaintEffect};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hard::Hard;
use soft::Soft;

/// The label whose domains are single nodes: soft constraints on it count per node.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub struct PodTopologySpread {
    /// Its arguments.
    pub args: PodTopologySpreadArgs,
    /// Whether `matchLabelKeys` count, and whether tolerations may compare numbers.
    pub features: Features,
}

impl PodTopologySpread {
    /// The pod's own constraints, or else the default ones, which have no selector yet.
    fn listed<'a>(&'a self, pod: &'a Pod, hard: bool) -> Vec<Constraint<'a>> {
        let own = &pod.spec.spread;
        let all = if own.is_empty() { &self.args.default_constraints } else { own };
        all.iter().filter(|c| c.hard == hard).map(|c| Constraint::of(c, &pod.spec.labels, self.features)).collect()
    }

    /// The constraints that apply. A default one counts the pods of the same services and controller; without any, it does not apply.
    fn constraints<'a>(&'a self, attempt: &Attempt<'a>, hard: bool) -> Vec<Constraint<'a>> {
        let mut constraints = self.listed(attempt.pod, hard);
        if attempt.pod.spec.spread.is_empty() && !constraints.is_empty() {
            let kin = attempt.snapshot.owners.selector_of(attempt.pod);
            constraints.retain(|_| !kin.0.is_empty());
            constraints.iter_mut().for_each(|c| c.selector = Some(Cow::Owned(kin.clone())));
        }
        constraints
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        self.prepare_kept(attempt, &mut None)
    }

    fn prepare_kept<'a>(&'a self, attempt: &Attempt<'a>, kept: &mut Kept) -> Prepared<'a> {
        let (hard, soft) = (self.constraints(attempt, true), self.constraints(attempt, false));
        if hard.is_empty() && soft.is_empty() {
            *kept = None;
            return Prepared::default();
        }
        let all_keys = !attempt.pod.spec.spread.is_empty() || !self.args.system_defaulting;
        let known = recalled::<Counted>(kept).filter(|known| known.is_of(&hard, &soft, all_keys));
        let counted = known.unwrap_or_else(|| Arc::new(Counted::of(&hard, &soft, all_keys, attempt)));
        *kept = Some(counted.clone());
        let mut prepared = Prepared::default();
        if counted.hard.is_some() {
            prepared = Prepared::filter(Rules(counted.clone()));
        }
        if counted.soft.is_some() { prepared.and_score(soft::Spread::new(counted)) } else { prepared }
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let constraints = self.listed(pod, true);
        // Whom a default constraint counts is not known here: it may be any pod of the namespace.
        let (own, any) = (!pod.spec.spread.is_empty(), !constraints.is_empty());
        let matches = |labels: &Labels| if own { constraints.iter().any(|c| c.matches(labels)) } else { any };
        let counted = |other: &Pod| other.namespace == pod.namespace && matches(&other.spec.labels);
        let flips = |old: &Pod, new: &Pod| match own {
            true => constraints.iter().any(|c| c.matches(&old.spec.labels) != c.matches(&new.spec.labels)),
            false => any && old.spec.labels != new.spec.labels,
        };
        match event {
            ClusterEvent::PodPlaced(other) | ClusterEvent::PodRemoved(other) => counted(other),
            // A pod whose deletion begins is no longer counted; kube-scheduler waits for it to be gone.
            ClusterEvent::PodChanged { old, new } => {
                old.namespace == pod.namespace && (flips(old, new) || (!old.deleting && new.deleting && counted(old)))
            }
            ClusterEvent::OwnChange { old, new } => {
                flips(old, new) || (old.spec.tolerations != new.spec.tolerations && constraints.iter().any(|c| c.honor_taints))
            }
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeGone(node, _) => has_all_keys(&constraints, &node.labels),
            ClusterEvent::NodeChanged { old, new } => node_change_helps(&constraints, old, new),
            _ => false,
        }
    }
}

/// What the constraints make of the pods that are there.
struct Counted {
    hard: Option<Hard>,
    soft: Option<Soft>,
}

impl Counted {
    fn of(hard: &[Constraint<'_>], soft: &[Constraint<'_>], all_keys: bool, attempt: &Attempt<'_>) -> Self {
        Self {
            hard: (!hard.is_empty()).then(|| Hard::count(hard, attempt)),
            soft: (!soft.is_empty()).then(|| Soft::count(soft, all_keys, attempt)),
        }
    }

    /// Whether these are its constraints.
    fn is_of(&self, hard: &[Constraint<'_>], soft: &[Constraint<'_>], all_keys: bool) -> bool {
        self.hard.as_ref().map_or(hard.is_empty(), |own| own.is_of(hard))
            && self.soft.as_ref().map_or(soft.is_empty(), |own| own.is_of(soft, all_keys))
    }
}

impl Tally for Counted {
    fn pod_moved(&mut self, pod: &Pod, node: &Node, came: bool) {
        if let Some(hard) = &mut self.hard {
            hard.pod_moved(pod, node, came);
        }
        if let Some(soft) = &mut self.soft {
            soft.pod_moved(pod, node, came);
        }
    }
}

/// Refuses nodes by hard constraints.
struct Rules(Arc<Counted>);

impl Filter for Rules {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        self.0.hard.as_ref()?.check(node)
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        self.0.hard.as_ref()?.one_key().map(Trait::Label)
    }

    fn follower(&self) -> Option<Box<dyn Follower + '_>> {
        self.0.hard.as_ref()?.follower()
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        self.0.hard.as_ref()?.detail(node)
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        self.0.hard.as_ref().map_or(Vec::new(), |hard| hard.cure(node))
    }
}

/// Whether a node moved into, out of or between the domains that are compared, or may count where it did not.
fn node_change_helps(constraints: &[Constraint<'_>], old: &Node, new: &Node) -> bool {
    let was = has_all_keys(constraints, &old.labels);
    let is = has_all_keys(constraints, &new.labels);
    let moved = || constraints.iter().any(|c| old.labels.get(&c.key) != new.labels.get(&c.key));
    was != is || (is && (moved() || old.taints != new.taints))
}

/// Only nodes with every constraint's label belong to a domain of any.
fn has_all_keys(constraints: &[Constraint<'_>], labels: &Labels) -> bool {
    constraints.iter().all(|c| labels.contains_key(&c.key))
}

/// A constraint as it applies to one pod.
#[derive(Clone, PartialEq)]
struct Constraint<'a> {
    key: Str,
    max_skew: i64,
    min_domains: usize,
    honor_affinity: bool,
    honor_taints: bool,
    /// Whether tolerations may compare numbers.
    compare: bool,
    selector: Option<Cow<'a, LabelSelector>>,
}

impl<'a> Constraint<'a> {
    fn of(c: &'a SpreadConstraint, labels: &Labels, features: Features) -> Self {
        let keys = if features.match_label_keys_in_pod_topology_spread { c.match_label_keys.as_slice() } else { &[] };
        Self {
            key: c.topology_key.clone(),
            max_skew: c.max_skew.into(),
            min_domains: c.min_domains.map_or(1, |n| usize::try_from(n).unwrap_or(0)),
            honor_affinity: c.honor_affinity,
            honor_taints: c.honor_taints,
            compare: features.taint_toleration_comparison_operators,
            selector: c.selector.as_ref().map(|s| with_match_label_keys(s, keys, labels)),
        }
    }

    /// The same for longer.
    fn to_owned(&self) -> Constraint<'static> {
        Constraint {
            key: self.key.clone(),
            max_skew: self.max_skew,
            min_domains: self.min_domains,
            honor_affinity: self.honor_affinity,
            honor_taints: self.honor_taints,
            compare: self.compare,
            selector: self.selector.as_ref().map(|s| Cow::Owned(LabelSelector::clone(s))),
        }
    }

    fn matches(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|s| s.matches(labels))
    }

    /// Pods on the node that count.
    fn count(&self, node: &NodeInfo, namespace: &str) -> i64 {
        node.pods.iter().map(|placed| i64::from(self.counts(&placed.pod, namespace))).sum()
    }

    /// Whether a placed pod counts: of the same namespace, not on its way out, selected.
    /// As in kube-scheduler an empty selector, though it matches every pod, counts none.
    fn counts(&self, pod: &Pod, namespace: &str) -> bool {
        let Some(selector) = self.selector.as_ref().filter(|s| !s.0.is_empty()) else { return false };
        !pod.deleting && *pod.namespace == *namespace && selector.matches(&pod.spec.labels)
    }

    /// Whether the node's pods and its domain count at all (`nodeAffinityPolicy`, `nodeTaintsPolicy`).
    fn includes(&self, pod: &Pod, node: &Node) -> bool {
        (!self.honor_affinity || affinity_allows(pod, node)) && (!self.honor_taints || tolerates_all(pod, node, self.compare))
    }
}

/// The selector, and for every key that the pod has a label of, that label's value. Adding what the API server has merged in
/// already changes nothing.
fn with_match_label_keys<'a>(selector: &'a LabelSelector, keys: &[Str], labels: &Labels) -> Cow<'a, LabelSelector> {
    let mut merged = Cow::Borrowed(selector);
    for key in keys {
        if let Some(value) = labels.get(key) {
            merged.to_mut().0.push(Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] });
        }
    }
    merged
}

/// Whether the pod's node selector and required node affinity allow the node.
fn affinity_allows(pod: &Pod, node: &Node) -> bool {
    let spec = &pod.spec;
    spec.node_selector.iter().all(|(key, value)| node.labels.has(key, value))
        && spec.node_affinity.required.as_ref().is_none_or(|terms| terms.iter().any(|t| t.matches(&node.name, &node.labels)))
}

/// Whether the pod tolerates every taint that would keep it away.
fn tolerates_all(pod: &Pod, node: &Node, compare: bool) -> bool {
    let keeps_away = |effect| matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
    node.taints.iter().filter(|t| keeps_away(t.effect)).all(|t| pod.spec.tolerations.iter().any(|own| own.tolerates(t, compare)))
}
