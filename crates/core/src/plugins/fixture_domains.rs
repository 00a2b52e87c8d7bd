//! Words for tests of plugins that compare domains: clusters, selectors and verdicts in a line each.
//! Test code only; says nothing of what a plugin should answer.

use crate::fixture::{Cluster, node, pod, with};
use crate::framework::{Attempt, Plugin, Prepared, Refusal, RefusalCode};
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, NodeInfo, Taint};
use aisched_model::pod::{Pod, PodAffinityTerm, SpreadConstraint, TaintEffect};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Nodes apart by `;`, each `name label=value… | pods`. A node's `host` stands for its hostname label, `cordoned` and `tainted`
/// for what they say. Pods are `n*namespace/label=value,label=value`, without `n*` one, without namespace in `default`; one that
/// begins with `-` is being deleted.
pub(super) fn cluster(nodes: &str) -> Cluster {
    let mut cluster = Cluster::default();
    for (i, text) in nodes.split(';').enumerate() {
        let (head, pods) = text.split_once('|').unwrap_or((text, ""));
        let node = node_of(head);
        let name = node.name.clone();
        cluster = cluster.node(node);
        for (j, pod) in pods.split_whitespace().flat_map(|p| repeated(&format!("p{i}"), p)).enumerate() {
            cluster = cluster.placed(&name, Pod { uid: format!("{i}-{j}").into(), ..pod });
        }
    }
    cluster
}

/// One node: `name label=value…`.
pub(super) fn node_of(text: &str) -> Node {
    let (name, words) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let mut node = node(name);
    let words: Vec<&str> = words.split_whitespace().collect();
    node.labels = words
        .iter()
        .filter_map(|word| match *word {
            "host" => Some(("kubernetes.io/hostname", name)),
            word => word.split_once('='),
        })
        .collect();
    node.unschedulable = words.contains(&"cordoned");
    if words.contains(&"tainted") {
        node.taints = vec![Taint { key: "full".into(), value: "".into(), effect: TaintEffect::NoSchedule }];
    }
    node
}

fn repeated(name: &str, text: &str) -> Vec<Pod> {
    let (n, text) = text.split_once('*').map_or((1, text), |(n, rest)| (n.parse().unwrap(), rest));
    (0..n).map(|_| labelled_pod(name, text)).collect()
}

/// A pod: `namespace/label=value,label=value`.
pub(super) fn labelled_pod(name: &str, text: &str) -> Pod {
    let deleting = text.starts_with('-');
    let (namespace, labels) = text.trim_start_matches('-').split_once('/').unwrap_or(("default", text.trim_start_matches('-')));
    let labels: Labels = labels.split(',').filter_map(|l| l.split_once('=')).collect();
    Pod { namespace: namespace.into(), deleting, ..with(pod(name), |s| s.labels = labels) }
}

/// `label=value`, `label!=value`, `label` or `!label`, apart by `,`; the empty text selects everything, `none` is no selector.
pub(super) fn selector(text: &str) -> Option<LabelSelector> {
    let requirement = |key: &str, operator, value: &[&str]| {
        Some(Requirement { key: key.into(), operator, values: value.iter().map(|v| Str::from(*v)).collect() })
    };
    let requirements = text.split(',').filter_map(|word| match (word.split_once("!="), word.split_once('='), word.strip_prefix('!')) {
        _ if word.is_empty() => None,
        (Some((key, value)), ..) => requirement(key, Operator::NotIn, &[value]),
        (_, Some((key, value)), _) => requirement(key, Operator::In, &[value]),
        (.., Some(key)) => requirement(key, Operator::DoesNotExist, &[]),
        _ => requirement(word, Operator::Exists, &[]),
    });
    (text != "none").then(|| LabelSelector(requirements.collect()))
}

/// A hard constraint with the API's defaults.
pub(super) fn hard(key: &str, max_skew: i32, selected: &str) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: key.into(),
        hard: true,
        selector: selector(selected),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
        match_label_keys: Vec::new(),
    }
}

/// A soft constraint with the API's defaults.
pub(super) fn soft(key: &str, max_skew: i32, selected: &str) -> SpreadConstraint {
    SpreadConstraint { hard: false, ..hard(key, max_skew, selected) }
}

/// A term about pods of `default`.
pub(super) fn term(key: &str, selected: &str) -> PodAffinityTerm {
    PodAffinityTerm { selector: selector(selected), namespaces: vec!["default".into()], namespace_selector: None, topology_key: key.into() }
}

/// A term about pods of namespaces by label.
pub(super) fn term_in(key: &str, selected: &str, namespaces: &str) -> PodAffinityTerm {
    PodAffinityTerm { namespaces: Vec::new(), namespace_selector: selector(namespaces), ..term(key, selected) }
}

/// Calls `look` with what the plugin has prepared for the pod.
pub(super) fn prepared<T>(plugin: &dyn Plugin, cluster: &Cluster, pod: &Pod, look: impl FnOnce(Prepared<'_>) -> T) -> T {
    let workload = WorkloadProfile::resolve(pod, None, &cluster.config, &cluster.snapshot);
    let attempt = Attempt { snapshot: &cluster.snapshot, pod, workload: &workload, policy: None, config: &cluster.config };
    look(plugin.prepare(&attempt))
}

/// Every node with what the plugin makes of it: `+` feasible, `-`, `~` or `x` refused (see `mark`); `skipped` without a filter.
pub(super) fn verdicts(plugin: &dyn Plugin, cluster: &Cluster, pod: &Pod) -> String {
    prepared(plugin, cluster, pod, |prepared| {
        let Some(filter) = prepared.filter else { return "skipped".into() };
        let verdict = |info: &NodeInfo| format!("{}{}", info.node.name, mark(filter.check(info).as_ref()));
        cluster.snapshot.nodes.iter().map(|info| verdict(info)).collect::<Vec<_>>().join(" ")
    })
}

/// One sign for each pair of code and literal reason that the plugins may answer with.
pub(super) fn mark(refusal: Option<&Refusal>) -> char {
    let Some(Refusal { code, reasons }) = refusal else { return '+' };
    match (code, reasons.join("; ").as_str()) {
        (RefusalCode::Unresolvable, "node(s) didn't match pod topology spread constraints (missing required label)") => 'x',
        (RefusalCode::Unschedulable, "node(s) didn't match pod topology spread constraints") => '-',
        (RefusalCode::Unresolvable, "node(s) didn't match pod affinity rules") => 'x',
        (RefusalCode::Unschedulable, "node(s) didn't match pod anti-affinity rules") => '-',
        (RefusalCode::Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules") => '~',
        other => panic!("unexpected refusal {other:?}"),
    }
}

/// The nodes that are neither cordoned nor refused by the plugin.
pub(super) fn feasible<'a>(cluster: &'a Cluster, prepared: &Prepared<'_>) -> Vec<&'a NodeInfo> {
    let passes = |info: &&NodeInfo| !info.node.unschedulable && prepared.filter.as_ref().is_none_or(|f| f.check(info).is_none());
    cluster.snapshot.nodes.iter().map(|info| &**info).filter(passes).collect()
}

/// Normalised scores of the feasible nodes, `name:score`; `skipped` when the plugin has nothing to say.
pub(super) fn scores(plugin: &dyn Plugin, cluster: &Cluster, pod: &Pod) -> String {
    prepared(plugin, cluster, pod, |mut prepared| {
        let feasible = feasible(cluster, &prepared);
        let Some(score) = prepared.score.as_mut() else { return "skipped".into() };
        score.observe(&feasible);
        if score.skips() {
            return "skipped".into();
        }
        let mut scores: Vec<i64> = feasible.iter().map(|info| score.raw(info)).collect();
        score.normalize(&mut scores);
        feasible.iter().zip(scores).map(|(info, s)| format!("{}:{s}", info.node.name)).collect::<Vec<_>>().join(" ")
    })
}
