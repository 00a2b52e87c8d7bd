//! Compares two answers: everything that a user can see, and every score.
//! Leaves out what kube-scheduler leaves to luck: which of several best nodes is taken.

use crate::answer::{Answer, Node, Verdict};
use std::collections::BTreeSet;

/// Where ours differs from kube-scheduler, a line each; none when they agree.
pub(crate) fn differences(kube: &Answer, ours: &Answer) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, kube: &dyn std::fmt::Debug, ours: &dyn std::fmt::Debug| {
        let (kube, ours) = (format!("{kube:?}"), format!("{ours:?}"));
        if kube != ours {
            differences.push(format!("{what}: kube-scheduler {kube}, ours {ours}"));
        }
    };
    compare("error", &kube.error, &ours.error);
    compare("order", &kube.order, &ours.order);
    for (kube, ours) in kube.pods.iter().zip(&ours.pods) {
        compare("message", &kube.message, &ours.message);
        compare("error", &kube.error, &ours.error);
        compare("nominated", &kube.nominated, &ours.nominated);
        compare("victims", &kube.victims, &ours.victims);
        let names: BTreeSet<&String> = kube.nodes.keys().chain(ours.nodes.keys()).collect();
        for name in names {
            match (kube.nodes.get(name), ours.nodes.get(name)) {
                (Some(kube), Some(ours)) => nodes(&mut compare, name, kube, ours),
                // A cycle that finds a node says nothing of those that were left out before it began.
                (None, Some(ours)) if kube.message.is_empty() && !ours.reasons.is_empty() => {}
                (kube, ours) => compare(&format!("node {name}"), &kube, &ours),
            }
        }
        if let Some(difference) = chosen(kube, ours) {
            compare("node", &difference, &ours.node);
        }
    }
    differences
}

fn nodes(compare: &mut dyn FnMut(&str, &dyn std::fmt::Debug, &dyn std::fmt::Debug), name: &str, kube: &Node, ours: &Node) {
    // Nodes that were left out before any was looked at are no plugin's in particular.
    if !kube.plugin.is_empty() || ours.reasons.is_empty() {
        compare(&format!("plugin against {name}"), &kube.plugin, &ours.plugin);
    }
    let sorted = |reasons: &[String]| reasons.iter().cloned().collect::<BTreeSet<String>>();
    compare(&format!("reasons against {name}"), &sorted(&kube.reasons), &sorted(&ours.reasons));
    compare(&format!("total of {name}"), &kube.total, &ours.total);
    let plugins: BTreeSet<&String> = kube.scores.keys().chain(ours.scores.keys()).collect();
    for plugin in plugins {
        // A plugin that was skipped is worth nothing.
        let score = |node: &Node| node.scores.get(plugin).copied().unwrap_or(0);
        compare(&format!("{plugin} of {name}"), &score(kube), &score(ours));
    }
}

/// The nodes that kube-scheduler could have taken, when ours took another.
fn chosen(kube: &Verdict, ours: &Verdict) -> Option<Vec<String>> {
    let best = kube.best();
    let agrees = match &ours.node {
        Some(node) => best.contains(&node.as_str()),
        None => best.is_empty(),
    };
    (!agrees).then(|| best.into_iter().map(ToOwned::to_owned).collect())
}
