//! Reads constraints and affinity rules into terms that mean what a pod's own affinity would mean.
//! Leaves out their evaluation; what has no such meaning is counted and ignored.

use super::text::bounded;
use super::{MAX_ENTRIES, Oddities};
use crate::wire;
use aisched_model::Str;
use aisched_model::policy::{AffinityKind, AffinityStrength, AffinityTerm, ConstraintOperator, NodeConstraint};
use std::ops::RangeInclusive;

/// More terms than this are ignored: each is evaluated against every node.
const MAX_TERMS: usize = 100;
/// More rules about pods than this are ignored: each is compared with every pod of the cluster, and 100 would take seconds an attempt.
const MAX_POD_RULES: usize = 10;
/// The weights that Kubernetes allows for a preferred term.
const WEIGHTS: RangeInclusive<i32> = 1..=100;

/// The answer's terms, in the order sent.
pub(super) fn of(answer: &wire::SchedulingPolicy, oddities: &mut Oddities) -> (Vec<NodeConstraint>, Vec<AffinityTerm>) {
    let (constraints, ignored) = collect(&answer.constraints, constraint, MAX_ENTRIES, |c| c.values.len());
    oddities.constraints_ignored += ignored;
    let is_about_pods = |term: &AffinityTerm| usize::from(term.kind != AffinityKind::Node);
    let (affinity, ignored) = collect(&answer.affinity_rules, affinity, MAX_POD_RULES, is_about_pods);
    oddities.affinity_rules_ignored += ignored;
    (constraints, affinity)
}

/// The terms that can be read, as many as there is room for: each takes up what it costs. With them how many were ignored.
fn collect<W, T>(sent: &[W], read: impl Fn(&W) -> Option<T>, mut room: usize, cost: impl Fn(&T) -> usize) -> (Vec<T>, u64) {
    let mut fits = |term: &T| {
        let left = room.checked_sub(cost(term));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let kept: Vec<T> = sent.iter().take(MAX_TERMS).filter_map(read).filter(|term| fits(term)).collect();
    let ignored = (sent.len() - kept.len()) as u64;
    (kept, ignored)
}

fn constraint(sent: &wire::SchedulingConstraint) -> Option<NodeConstraint> {
    use ConstraintOperator as Op;
    if !matches!(sent.constraint_type.trim(), "node_selector" | "node_affinity") {
        return None;
    }
    let operator = Op::from_spelling(&sent.operator)?;
    // A value that is no label value (too long, say) equals no label, so leaving it out changes neither In nor NotIn.
    let values: Vec<Str> = sent.values.iter().take(MAX_ENTRIES).filter_map(|value| label_value(value)).collect();
    let makes_sense = match operator {
        Op::In | Op::NotIn => !sent.values.is_empty(),
        Op::Exists | Op::DoesNotExist => sent.values.is_empty(),
        Op::Gt | Op::Lt => sent.values.len() == 1 && values.iter().any(|v| v.parse::<i64>().is_ok()),
    };
    let key = bounded(&sent.key)?;
    makes_sense.then_some(NodeConstraint { key, operator, values })
}

fn affinity(sent: &wire::AffinityRule) -> Option<AffinityTerm> {
    let kind = match sent.rule_type.trim() {
        "node_affinity" => AffinityKind::Node,
        "pod_affinity" => AffinityKind::Pod,
        "pod_anti_affinity" => AffinityKind::PodAnti,
        _ => return None,
    };
    let topology_key = bounded(&sent.topology_key).unwrap_or_default();
    if kind != AffinityKind::Node && topology_key.is_empty() {
        return None;
    }
    let strength = if sent.is_required {
        AffinityStrength::Required
    } else if WEIGHTS.contains(&sent.weight) {
        AffinityStrength::Preferred(sent.weight)
    } else {
        return None;
    };
    let too_many = sent.target_labels.len() > MAX_TERMS;
    let labels: Vec<(Str, Str)> = sent.target_labels.iter().map(|label| target_label(label)).collect::<Option<_>>()?;
    // A term without labels would match everything, which no rule means.
    (!labels.is_empty() && !too_many).then_some(AffinityTerm { kind, topology_key, labels, strength })
}

/// Reads `k=v`.
fn target_label(label: &str) -> Option<(Str, Str)> {
    let (key, value) = label.split_once('=')?;
    Some((bounded(key)?, label_value(value)?))
}

/// A label's value, which unlike a name may be empty.
fn label_value(value: &str) -> Option<Str> {
    if value.trim().is_empty() {
        return Some(Str::default());
    }
    bounded(value)
}
