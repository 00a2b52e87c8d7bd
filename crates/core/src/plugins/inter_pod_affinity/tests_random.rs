//! Pod affinity against a naive reading of its definition, on seeded random clusters.
//! Shares nothing with the plugin but the model: even selectors are read again here.

use super::InterPodAffinity;
use crate::plugins::args::InterPodAffinityArgs;
use crate::plugins::fixture_domains::{feasible, mark, prepared};
use crate::plugins::fixture_random::Random;
use aisched_model::labels::Labels;
use aisched_model::node::NodeInfo;
use aisched_model::pod::{Pod, PodAffinityTerm};
use aisched_model::selector::{LabelSelector, Operator};
use aisched_model::snapshot::Snapshot;
use alloc::string::String;
use alloc::vec::Vec;

fn meets(labels: &Labels, selector: &LabelSelector) -> bool {
    selector.0.iter().all(|r| {
        let value = labels.get(&r.key);
        match r.operator {
            Operator::In => value.is_some() && r.values.contains(value.unwrap()),
            Operator::NotIn => value.is_none() || !r.values.contains(value.unwrap()),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt | Operator::Lt => unreachable!("not a label selector's operator"),
        }
    })
}

/// Whether a term is about `pod`. A namespace that does not exist is selected by an incoming pod's selector only when that
/// selects everything; for a placed pod's term it has no labels.
fn about(snapshot: &Snapshot, term: &PodAffinityTerm, pod: &Pod, incoming_term: bool) -> bool {
    let by_label = term.namespace_selector.as_ref().is_some_and(|s| match snapshot.namespaces.get(&pod.namespace) {
        Some(labels) => meets(labels, s),
        None if incoming_term => s.0.is_empty(),
        None => meets(&Labels::default(), s),
    });
    (by_label || term.namespaces.contains(&pod.namespace)) && term.selector.as_ref().is_some_and(|s| meets(&pod.spec.labels, s))
}

/// Every pod with its node.
fn placed(snapshot: &Snapshot) -> impl Iterator<Item = (&NodeInfo, &Pod)> {
    snapshot.nodes.iter().flat_map(|n| n.pods.iter().map(|p| (&**n, &*p.pod)))
}

fn together(key: &str, a: &NodeInfo, b: &NodeInfo) -> bool {
    a.node.labels.contains_key(key) && a.node.labels.get(key) == b.node.labels.get(key)
}

pub(super) fn naive_verdict(snapshot: &Snapshot, pod: &Pod, node: &NodeInfo) -> char {
    let (near, apart) = (&pod.spec.pod_affinity.required, &pod.spec.pod_anti_affinity.required);
    let wanted = |p: &Pod| near.iter().all(|t| about(snapshot, t, p, true));
    let some_near = |t: &PodAffinityTerm| placed(snapshot).any(|(n, p)| wanted(p) && together(&t.topology_key, n, node));
    let anywhere = placed(snapshot).any(|(n, p)| wanted(p) && near.iter().any(|t| n.node.labels.contains_key(&t.topology_key)));
    let has_keys = near.iter().all(|t| node.node.labels.contains_key(&t.topology_key));
    if !(has_keys && (near.iter().all(some_near) || (!anywhere && wanted(pod)))) {
        return 'x';
    }
    let shuns = |t: &PodAffinityTerm| placed(snapshot).any(|(n, p)| about(snapshot, t, p, true) && together(&t.topology_key, n, node));
    if apart.iter().any(shuns) {
        return '-';
    }
    let shunned_by = |n: &NodeInfo, p: &Pod| {
        let mut terms = p.spec.pod_anti_affinity.required.iter();
        terms.any(|t| about(snapshot, t, pod, false) && together(&t.topology_key, n, node))
    };
    if placed(snapshot).any(|(n, p)| shunned_by(n, p)) { '~' } else { '+' }
}

/// Every weighted term that some placed pod makes count, with that pod's node.
fn counting_terms<'a>(snapshot: &'a Snapshot, pod: &'a Pod, args: &InterPodAffinityArgs) -> Vec<(i64, &'a str, &'a NodeInfo)> {
    let mut found = Vec::new();
    let prefers = !pod.spec.pod_affinity.preferred.is_empty() || !pod.spec.pod_anti_affinity.preferred.is_empty();
    if args.ignore_preferred_terms_of_existing_pods && !prefers {
        return found;
    }
    for (node, other) in placed(snapshot) {
        let mut count = |weight: i64, term: &'a PodAffinityTerm, is: bool| {
            if is && node.node.labels.contains_key(&term.topology_key) {
                found.push((weight, &*term.topology_key, node));
            }
        };
        pod.spec.pod_affinity.preferred.iter().for_each(|(w, t)| count((*w).into(), t, about(snapshot, t, other, true)));
        pod.spec.pod_anti_affinity.preferred.iter().for_each(|(w, t)| count(-i64::from(*w), t, about(snapshot, t, other, true)));
        other.spec.pod_affinity.preferred.iter().for_each(|(w, t)| count((*w).into(), t, about(snapshot, t, pod, false)));
        other.spec.pod_anti_affinity.preferred.iter().for_each(|(w, t)| count(-i64::from(*w), t, about(snapshot, t, pod, false)));
        if args.hard_pod_affinity_weight > 0 {
            let weight = i64::from(args.hard_pod_affinity_weight);
            other.spec.pod_affinity.required.iter().for_each(|t| count(weight, t, about(snapshot, t, pod, false)));
        }
    }
    found
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers")]
fn naive_scores(snapshot: &Snapshot, pod: &Pod, args: &InterPodAffinityArgs, feasible: &[&NodeInfo]) -> Vec<i64> {
    let terms = counting_terms(snapshot, pod, args);
    let raw = |node: &NodeInfo| -> i64 { terms.iter().filter(|(_, key, on)| together(key, on, node)).map(|(w, ..)| w).sum() };
    let raws: Vec<i64> = feasible.iter().map(|n| raw(n)).collect();
    let (min, max) = (raws.iter().min().copied().unwrap_or(0), raws.iter().max().copied().unwrap_or(0));
    let normal = |s: &i64| if max == min { 0 } else { (100.0 * ((s - min) as f64 / (max - min) as f64)) as i64 };
    raws.iter().map(normal).collect()
}

#[test]
fn verdicts_and_scores_are_what_the_definition_says() {
    let (mut marks, mut distinct) = (String::new(), 0);
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let (cluster, pod) = (random.cluster(), random.pod("incoming"));
        let args = || InterPodAffinityArgs {
            hard_pod_affinity_weight: [1, 0, 40][seed as usize % 3],
            ignore_preferred_terms_of_existing_pods: seed % 4 == 0,
        };
        prepared(&InterPodAffinity { args: args() }, &cluster, &pod, |mut prepared| {
            for info in &cluster.snapshot.nodes {
                let found = mark(prepared.filter.as_ref().and_then(|f| f.check(info)).as_ref());
                assert_eq!(found, naive_verdict(&cluster.snapshot, &pod, info), "seed {seed}, {}, {:#?}", info.node.name, pod.spec);
                marks.push(found);
            }
            let feasible = feasible(&cluster, &prepared);
            let expected = naive_scores(&cluster.snapshot, &pod, &args(), &feasible);
            let silent = counting_terms(&cluster.snapshot, &pod, &args()).is_empty() && feasible.len() > 1;
            let Some(score) = prepared.score.as_mut() else { return assert!(silent || feasible.len() < 2, "seed {seed}") };
            score.observe(&feasible);
            assert_eq!(score.skips(), silent, "seed {seed}");
            let mut scores: Vec<i64> = feasible.iter().map(|n| score.raw(n)).collect();
            score.normalize(&mut scores);
            assert_eq!(scores, expected, "seed {seed}, {:#?}", pod.spec);
            distinct += usize::from(scores.iter().any(|s| ![0, 100].contains(s)));
        });
    }
    let share = |mark| marks.matches(mark).count() * 1000 / marks.len();
    let shares = ['+', '-', '~', 'x'].map(share);
    assert!(shares.iter().all(|s| *s > 20) && distinct > 200, "the clusters are too dull: {shares:?}, {distinct}");
}
