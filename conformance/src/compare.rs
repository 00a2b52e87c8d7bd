//! Compares two answers: everything that a user can see, and every score.
//! Leaves out what kube-scheduler leaves to luck: which of several best nodes is taken.

use crate::answer::{Answer, Node, Verdict};
use std::collections::BTreeSet;

/// What came of one comparison.
#[derive(Default)]
pub(crate) struct Comparison {
    /// A line each; none when they agree.
    pub(crate) differences: Vec<String>,
    /// Pods that kube-scheduler found a node for.
    pub(crate) placed: usize,
    /// Pods that it refused.
    pub(crate) refused: usize,
    /// Scores compared: one per plugin and node.
    pub(crate) scores: usize,
}

/// Compares two answers.
pub(crate) fn answers(kube: &Answer, ours: &Answer) -> Comparison {
    let refused = kube.pods.iter().filter(|verdict| !verdict.message.is_empty()).count();
    let scores = kube.pods.iter().flat_map(|verdict| verdict.nodes.values()).map(|node| node.scores.len()).sum();
    Comparison { differences: differences(kube, ours), placed: kube.pods.len() - refused, refused, scores }
}

/// Where ours differs from kube-scheduler.
fn differences(kube: &Answer, ours: &Answer) -> Vec<String> {
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
        if !ours.errors.contains(&kube.error) {
            compare("error", &kube.error, &ours.error);
        }
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
        let devices = |verdict: &Verdict| ours.node.as_ref().and_then(|node| verdict.nodes.get(node)).map(|node| node.devices.clone());
        compare("devices", &devices(kube), &devices(ours));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One pod, placed on `a`, which scores 3; `b` is refused.
    fn answer() -> Answer {
        let node = |reasons: &[&str], total: Option<i64>| Node {
            plugin: if reasons.is_empty() { String::new() } else { "NodeName".into() },
            reasons: reasons.iter().map(ToString::to_string).collect(),
            scores: total.map(|total| ("ImageLocality".to_owned(), total)).into_iter().collect(),
            total,
            devices: Vec::new(),
        };
        let nodes = [("a".to_owned(), node(&[], Some(3))), ("b".to_owned(), node(&["no", "not"], None))].into_iter().collect();
        let verdict = Verdict { pod: "default/p".into(), node: Some("a".into()), nodes, ..Verdict::default() };
        Answer { name: "n".into(), order: vec!["default/p".into()], pods: vec![verdict], error: String::new() }
    }

    #[test]
    fn every_difference_is_named() {
        type Change = fn(&mut Answer);
        let cases: [(Change, &[&str]); 10] = [
            (|_| (), &[]),
            (|a| a.pods[0].nodes.get_mut("b").unwrap().reasons.reverse(), &[]),
            (|a| a.order.push("x".into()), &["order: kube-scheduler [\"default/p\"], ours [\"default/p\", \"x\"]"]),
            (|a| a.pods[0].error = "e".into(), &["error: kube-scheduler \"\", ours \"e\""]),
            (|a| a.pods[0].message = "m".into(), &["message: kube-scheduler \"\", ours \"m\""]),
            (|a| a.pods[0].victims.push("v".into()), &["victims: kube-scheduler [], ours [\"v\"]"]),
            (|a| a.pods[0].nominated = "a".into(), &["nominated: kube-scheduler \"\", ours \"a\""]),
            (|a| a.pods[0].node = Some("b".into()), &["node: kube-scheduler [\"a\"], ours Some(\"b\")"]),
            (|a| a.pods[0].nodes.get_mut("b").unwrap().plugin = "x".into(), &["plugin against b: kube-scheduler \"NodeName\", ours \"x\""]),
            (
                |a| *a.pods[0].nodes.get_mut("a").unwrap().scores.get_mut("ImageLocality").unwrap() = 4,
                &["ImageLocality of a: kube-scheduler 3, ours 4"],
            ),
        ];
        for (change, expected) in cases {
            let mut ours = answer();
            change(&mut ours);
            assert_eq!(differences(&answer(), &ours), expected);
        }
    }

    #[test]
    fn error_of_any_node_will_do() {
        for (told, agrees) in [("of b", true), ("of a", true), ("of c", false)] {
            let [mut kube, mut ours] = [answer(), answer()];
            kube.pods[0].error = told.into();
            (ours.pods[0].error, ours.pods[0].errors) = ("of a".into(), vec!["of a".into(), "of b".into()]);
            assert_eq!(differences(&kube, &ours).is_empty(), agrees, "{told}");
        }
    }

    #[test]
    fn any_of_the_best_nodes_will_do() {
        let mut kube = answer();
        let best = kube.pods[0].nodes["a"].clone();
        kube.pods[0].nodes.insert("c".into(), best);
        let mut ours = kube.clone();
        ours.pods[0].node = Some("c".into());
        assert_eq!(differences(&kube, &ours), [""; 0]);
    }
}
