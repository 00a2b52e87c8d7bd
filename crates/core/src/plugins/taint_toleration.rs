//! Refuses nodes with hard taints that the pod does not tolerate, and avoids soft ones.
//! Leaves out cordoned nodes (`node_unschedulable`) and evicting pods that run already.

use crate::cures::Change;
use crate::features::Features;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal, Scale, Score, Trait};
use aisched_model::node::{NodeInfo, Taint};
use aisched_model::pod::{Pod, TaintEffect, Toleration};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub(crate) struct TaintToleration {
    /// Whether tolerations may compare numbers.
    pub(super) features: Features,
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let tolerations = attempt.pod.spec.tolerations.as_slice();
        let soft = tolerations.iter().filter(|t| t.effect.is_none_or(|e| e == TaintEffect::PreferNoSchedule)).collect();
        let compare = self.features.taint_toleration_comparison_operators;
        Prepared::filter(Hard { tolerations, compare }).and_score(Soft { tolerations: soft, compare })
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        let compare = self.features.taint_toleration_comparison_operators;
        let tolerated = |taints| first_untolerated(taints, &pod.spec.tolerations, compare).is_none();
        match event {
            ClusterEvent::NodeAdded(node) => tolerated(&node.taints),
            ClusterEvent::NodeChanged { old, new } => !tolerated(&old.taints) && tolerated(&new.taints),
            // Tolerations of a pod can only be added, never changed.
            ClusterEvent::OwnChange { old, new } => old.spec.tolerations.len() != new.spec.tolerations.len(),
            _ => false,
        }
    }
}

struct Hard<'a> {
    tolerations: &'a [Toleration],
    compare: bool,
}

impl Filter for Hard<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn goes_by(&self) -> Option<Trait<'_>> {
        Some(Trait::Taints)
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        first_untolerated(&node.node.taints, self.tolerations, self.compare)?;
        Some(Refusal::unresolvable("node(s) had untolerated taint(s)"))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let taint = first_untolerated(&node.node.taints, self.tolerations, self.compare)?;
        let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
        Some(format!("taint {}{value}:{:?} is not tolerated", taint.key, taint.effect))
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        untolerated(&node.node.taints, self.tolerations, self.compare).map(Change::taint).collect()
    }
}

/// The first taint that keeps the pod away.
fn first_untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], compare: bool) -> Option<&'a Taint> {
    untolerated(taints, tolerations, compare).next()
}

/// The taints that keep the pod away.
fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], compare: bool) -> impl Iterator<Item = &'a Taint> {
    let is_hard = |taint: &&Taint| matches!(taint.effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
    taints.iter().filter(is_hard).filter(move |taint| !tolerations.iter().any(|t| t.tolerates(taint, compare)))
}

struct Soft<'a> {
    tolerations: Vec<&'a Toleration>,
    compare: bool,
}

impl Score for Soft<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    /// Counts soft taints that are not tolerated: the fewer, the better.
    fn raw(&self, node: &NodeInfo) -> i64 {
        let soft = node.node.taints.iter().filter(|taint| taint.effect == TaintEffect::PreferNoSchedule);
        soft.map(|taint| i64::from(!self.tolerations.iter().any(|t| t.tolerates(taint, self.compare)))).sum()
    }

    fn scale(&self) -> Scale {
        Scale::Highest { reverse: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, with};
    use TaintEffect::{NoExecute, NoSchedule, PreferNoSchedule};
    use aisched_model::node::Node;
    use aisched_model::pod::TolerationOperator::{self, Equal, Exists, Gt, Lt};
    use alloc::boxed::Box;

    type TaintRow = (&'static str, &'static str, TaintEffect);
    type TolerationRow = (&'static str, TolerationOperator, &'static str, Option<TaintEffect>);

    fn tainted(name: &str, taints: &[TaintRow]) -> Node {
        let taint = |&(key, value, effect): &TaintRow| Taint { key: key.into(), value: value.into(), effect };
        Node { taints: taints.iter().map(taint).collect(), ..node(name) }
    }

    fn tolerant(tolerations: &[TolerationRow]) -> Pod {
        let toleration =
            |&(key, operator, value, effect): &TolerationRow| Toleration { key: key.into(), operator, value: value.into(), effect };
        with(pod("p"), |s| s.tolerations = tolerations.iter().map(toleration).collect())
    }

    #[test]
    fn hard_taints_refuse_unless_tolerated() {
        let dedicated = ("dedicated", "user1", NoSchedule);
        for (taints, tolerations, fits) in [
            (&[][..], &[][..], true),
            (&[dedicated], &[], false),
            (&[("dedicated", "user1", NoExecute)], &[], false),
            (&[("dedicated", "user1", PreferNoSchedule)], &[], true),
            (&[dedicated], &[("dedicated", Equal, "user1", Some(NoSchedule))], true),
            (&[dedicated], &[("dedicated", Equal, "user2", Some(NoSchedule))], false),
            (&[dedicated], &[("dedicated", Equal, "user1", Some(NoExecute))], false),
            (&[dedicated], &[("dedicated", Equal, "user1", None)], true),
            (&[dedicated], &[("dedicated", Exists, "", Some(NoSchedule))], true),
            (&[dedicated], &[("", Exists, "", None)], true),
            (&[dedicated], &[("other", Exists, "", None)], false),
            (&[dedicated, ("foo", "bar", NoSchedule)], &[("dedicated", Exists, "", None)], false),
            (&[dedicated, ("foo", "bar", NoSchedule)], &[("dedicated", Exists, "", None), ("foo", Equal, "bar", None)], true),
            (&[("level", "5", NoSchedule)], &[("level", Gt, "1", None), ("level", Lt, "9", None)], false),
        ] {
            let against = Cluster::of([tainted("n", taints)]).decide(&["TaintToleration"], &tolerant(tolerations)).against("n");
            assert_eq!(against, if fits { "" } else { "node(s) had untolerated taint(s)" }, "{taints:?} {tolerations:?}");
        }
    }

    #[test]
    fn numbers_are_compared_only_behind_their_gate() {
        for (taint, operator, own, fits) in [
            ("5", Gt, "4", true),
            ("5", Gt, "5", false),
            ("5", Lt, "6", true),
            ("5", Lt, "5", false),
            ("-5", Lt, "0", true),
            ("+5", Gt, "4", false),
            ("007", Gt, "4", false),
            ("-0", Lt, "1", false),
            ("5", Gt, "+4", false),
            ("5", Gt, "04", false),
            ("5", Lt, "lots", false),
            ("", Lt, "1", false),
            ("5", Lt, "99999999999999999999", false),
        ] {
            let pod = tolerant(&[("level", operator, own, None)]);
            for effect in [NoSchedule, PreferNoSchedule] {
                let cluster = Cluster::of([tainted("a", &[("level", taint, effect)]), node("b")]);
                let decide = |on| {
                    let features = Features { taint_toleration_comparison_operators: on, ..Features::default() };
                    let decision = cluster.decide_plugin(Box::new(TaintToleration { features }), &pod);
                    decision.against("a").is_empty() && decision.score("a", "TaintToleration") == Some(100)
                };
                assert_eq!((decide(true), decide(false)), (fits, false), "{taint} {operator:?} {own} {effect:?}");
            }
        }
    }

    #[test]
    fn explanation_names_the_taint() {
        let cluster =
            Cluster::of([tainted("a", &[("soft", "", PreferNoSchedule), ("gpu", "", NoExecute)]), tainted("b", &[("k", "v", NoSchedule)])]);
        let decision = cluster.decide(&["TaintToleration"], &pod("p"));
        let detail = |i: usize| decision.nodes[i].reasons[0].detail.clone().unwrap();
        assert_eq!(detail(0), "taint gpu:NoExecute is not tolerated");
        assert_eq!(detail(1), "taint k=v:NoSchedule is not tolerated");
        assert_eq!(decision.message.as_deref(), Some("0/2 nodes are available: 2 node(s) had untolerated taint(s)."));
    }

    #[test]
    fn soft_taints_lower_the_score() {
        let soft = |key| (key, "", PreferNoSchedule);
        for (a, b, tolerations, expected) in [
            (&[][..], &[][..], &[][..], [100, 100]),
            (&[soft("x")], &[], &[], [0, 100]),
            (&[soft("x"), soft("y")], &[soft("x")], &[], [0, 50]),
            (&[soft("x")], &[], &[("x", Exists, "", Some(PreferNoSchedule))], [100, 100]),
            (&[soft("x")], &[], &[("x", Exists, "", None)], [100, 100]),
            (&[soft("x")], &[], &[("x", Exists, "", Some(NoSchedule))], [0, 100]),
            (&[soft("x"), soft("y"), soft("z")], &[soft("x"), soft("y")], &[("x", Exists, "", None)], [0, 50]),
        ] {
            let decision = Cluster::of([tainted("a", a), tainted("b", b)]).decide(&["TaintToleration"], &tolerant(tolerations));
            let scores = ["a", "b"].map(|n| decision.score(n, "TaintToleration").unwrap());
            assert_eq!(scores, expected, "{a:?} {b:?} {tolerations:?}");
        }
    }

    #[test]
    fn node_helps_when_it_becomes_tolerable() {
        let (hard, free) = (tainted("n", &[("k", "v", NoSchedule)]), tainted("n", &[("k", "v", PreferNoSchedule)]));
        for (event, expected) in [
            (ClusterEvent::NodeAdded(&free), true),
            (ClusterEvent::NodeAdded(&hard), false),
            (ClusterEvent::NodeChanged { old: &hard, new: &free }, true),
            (ClusterEvent::NodeChanged { old: &free, new: &free }, false),
            (ClusterEvent::NodeChanged { old: &free, new: &hard }, false),
            (ClusterEvent::NodeGone(&hard, &[]), false),
            (ClusterEvent::OwnChange { old: &pod("p"), new: &tolerant(&[("k", Exists, "", None)]) }, true),
            (ClusterEvent::OwnChange { old: &pod("p"), new: &pod("p") }, false),
        ] {
            assert_eq!(TaintToleration::default().helps(&pod("p"), &event), expected, "{event:?}");
        }
    }
}
