//! Topology spread against a naive reading of its definition, on seeded random clusters.
//! Shares nothing with the plugin but the model: even selectors are read again here.

extern crate std;

use super::PodTopologySpread;
use crate::plugins::fixture_domains::{feasible, mark, prepared};
use crate::plugins::fixture_random::Random;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo};
use aisched_model::pod::{Pod, SpreadConstraint, TaintEffect};
use aisched_model::selector::{Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

fn meets(labels: &Labels, r: &Requirement) -> bool {
    let value = labels.get(&r.key);
    match r.operator {
        Operator::In => value.is_some() && r.values.contains(value.unwrap()),
        Operator::NotIn => value.is_none() || !r.values.contains(value.unwrap()),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
        Operator::Gt | Operator::Lt => unreachable!("not a label selector's operator"),
    }
}

fn selected(c: &SpreadConstraint, incoming: &Pod, labels: &Labels) -> bool {
    let own = |key| incoming.spec.labels.get(key);
    let same = c.match_label_keys.iter().all(|key| own(key).is_none() || labels.get(key) == own(key));
    c.selector.as_ref().is_some_and(|s| s.0.iter().all(|r| meets(labels, r))) && same
}

fn counts_nothing(c: &SpreadConstraint, incoming: &Pod) -> bool {
    c.selector.as_ref().is_none_or(|s| s.0.is_empty()) && !c.match_label_keys.iter().any(|k| incoming.spec.labels.contains_key(k))
}

fn counted(c: &SpreadConstraint, incoming: &Pod, node: &NodeInfo) -> usize {
    let counts = |p: &Pod| !p.deleting && p.namespace == incoming.namespace && selected(c, incoming, &p.spec.labels);
    if counts_nothing(c, incoming) { 0 } else { node.pods.iter().filter(|p| counts(&p.pod)).count() }
}

fn included(c: &SpreadConstraint, pod: &Pod, node: &Node) -> bool {
    let selector = pod.spec.node_selector.iter().all(|(k, v)| node.labels.get(k) == Some(v));
    let affinity = pod.spec.node_affinity.required.as_ref().is_none_or(|t| t[0].labels.iter().all(|r| meets(&node.labels, r)));
    let tainted = node.taints.iter().any(|t| t.effect != TaintEffect::PreferNoSchedule) && pod.spec.tolerations.is_empty();
    (!c.honor_affinity || (selector && affinity)) && (!c.honor_taints || !tainted)
}

fn has_all(constraints: &[&SpreadConstraint], node: &Node) -> bool {
    constraints.iter().all(|c| node.labels.contains_key(&c.topology_key))
}

/// `x` or `-` for the first hard constraint that fails on the node, else `+`.
fn naive_verdict(snapshot: &Snapshot, pod: &Pod, node: &Node) -> char {
    let hard: Vec<&SpreadConstraint> = pod.spec.spread.iter().filter(|c| c.hard).collect();
    for c in &hard {
        let Some(value) = node.labels.get(&c.topology_key) else { return 'x' };
        let members: Vec<&NodeInfo> =
            snapshot.nodes.iter().map(|n| &**n).filter(|n| has_all(&hard, &n.node) && included(c, pod, &n.node)).collect();
        let domains: BTreeSet<_> = members.iter().filter_map(|n| n.node.labels.get(&c.topology_key)).collect();
        let pods_in = |domain: &str| -> usize {
            members.iter().filter(|n| n.node.labels.has(&c.topology_key, domain)).map(|n| counted(c, pod, n)).sum()
        };
        let enough = domains.len() >= usize::try_from(c.min_domains.unwrap_or(1)).unwrap();
        let min = if enough { domains.iter().map(|d| pods_in(d)).min().unwrap() } else { 0 };
        let own = usize::from(selected(c, pod, &pod.spec.labels));
        if pods_in(value) + own > min + usize::try_from(c.max_skew).unwrap() {
            return '-';
        }
    }
    '+'
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers")]
fn naive_scores(snapshot: &Snapshot, pod: &Pod, feasible: &[&NodeInfo]) -> Option<Vec<i64>> {
    let soft: Vec<&SpreadConstraint> = pod.spec.spread.iter().filter(|c| !c.hard).collect();
    if soft.is_empty() {
        return None;
    }
    let scored: Vec<&&NodeInfo> = feasible.iter().filter(|n| has_all(&soft, &n.node)).collect();
    let raw = |node: &NodeInfo| {
        let mut sum = 0.0;
        for c in &soft {
            let value = node.node.labels.get(&c.topology_key);
            let host = *c.topology_key == *"kubernetes.io/hostname";
            let values: BTreeSet<_> = scored.iter().filter_map(|n| n.node.labels.get(&c.topology_key)).collect();
            let size = if host { scored.len() } else { values.len() };
            let in_domain =
                |n: &NodeInfo| n.node.labels.get(&c.topology_key) == value && has_all(&soft, &n.node) && included(c, pod, &n.node);
            let pods = match host {
                true => counted(c, pod, node),
                false => snapshot.nodes.iter().filter(|n| in_domain(n)).map(|n| counted(c, pod, n)).sum(),
            };
            sum += pods as f64 * ((size + 2) as f64).ln() + f64::from(c.max_skew - 1);
        }
        sum.round() as i64
    };
    let raws: Vec<Option<i64>> = feasible.iter().map(|n| has_all(&soft, &n.node).then(|| raw(n))).collect();
    let (min, max) = (raws.iter().flatten().min().copied().unwrap_or(0), raws.iter().flatten().max().copied().unwrap_or(0));
    let normal = |raw: Option<i64>| raw.map_or(0, |s| if max == 0 { 100 } else { 100 * (max + min - s) / max });
    Some(raws.into_iter().map(normal).collect())
}

#[test]
fn verdicts_and_scores_are_what_the_definition_says() {
    let plugin = PodTopologySpread::default();
    let (mut marks, mut distinct) = (String::new(), 0);
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let (cluster, pod) = (random.cluster(), random.spread_pod());
        prepared(&plugin, &cluster, &pod, |mut prepared| {
            for info in &cluster.snapshot.nodes {
                let found = mark(prepared.filter.as_ref().and_then(|f| f.check(info)).as_ref());
                assert_eq!(
                    found,
                    naive_verdict(&cluster.snapshot, &pod, &info.node),
                    "seed {seed}, {}, {:#?}",
                    info.node.name,
                    pod.spec.spread
                );
                marks.push(found);
            }
            let feasible = feasible(&cluster, &prepared);
            let found = prepared.score.as_mut().map(|score| {
                score.observe(&feasible);
                let mut scores: Vec<i64> = feasible.iter().map(|n| score.raw(n)).collect();
                score.normalize(&mut scores);
                scores
            });
            assert_eq!(found, naive_scores(&cluster.snapshot, &pod, &feasible), "seed {seed}, {:#?}", pod.spec.spread);
            distinct += usize::from(found.is_some_and(|s| s.iter().any(|s| ![0, 100].contains(s))));
        });
    }
    let shares = ['+', '-', 'x'].map(|mark| marks.matches(mark).count() * 1000 / marks.len());
    assert!(shares.iter().all(|s| *s > 50) && distinct > 200, "the clusters are too dull: {shares:?}, {distinct}");
}
