//! Policies in the engine: DELAY, REJECT, terms, and when a pod is asked about again.
//! Leaves out what single plugins make of a policy: their own files test that.

use super::tests::{World, answer, cordoned};
use crate::event::{Action, Event};
use crate::fixture::{labelled, node, pod};
use aisched_model::config::{ApolloConfig, Config};
use aisched_model::pod::Pod;
use aisched_model::policy::{
    AffinityKind, AffinityStrength, AffinityTerm, ConstraintOperator, NodeConstraint, NodePreference, Policy, PolicyDecision, PolicySource,
};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};

const DELAYED: &str = "event PolicyDelayed: held back by the APOLLO policy for at most 60 s: not yet";
const REJECTED: &str = "event FailedScheduling: rejected by the APOLLO policy: not here";

fn deciding(decision: PolicyDecision, reason: &str) -> Policy {
    Policy { request_id: Some("id".into()), decision, reason: reason.into(), ..Policy::default() }
}

fn delay() -> Policy {
    deciding(PolicyDecision::Delay, "not yet")
}

fn reject() -> Policy {
    deciding(PolicyDecision::Reject, "not here")
}

fn ssd_only() -> Policy {
    let constraint = NodeConstraint { key: "disk".into(), operator: ConstraintOperator::In, values: vec!["ssd".into()] };
    Policy { constraints: vec![constraint], ..Policy::default() }
}

impl World {
    /// The policy service answers for pod `p`.
    fn answers(&mut self, policy: Policy, source: PolicySource) -> Vec<String> {
        self.see(answer("p", Some(Arc::new(policy)), source))
    }

    fn configure(&mut self, change: impl FnOnce(&mut ApolloConfig)) -> Vec<String> {
        let mut config = Config::clone(self.engine.config());
        change(&mut config.apollo);
        self.see(Event::Configured(Arc::new(config)))
    }

    /// What `explain` says of pod `p`: its node, and its message.
    fn explained(&self) -> (Option<String>, Option<String>) {
        let decision = self.engine.explain("default", "p").unwrap();
        (decision.node.map(|n| n.to_string()), decision.message)
    }
}

/// A pod asked about on one free node.
fn asked() -> World {
    let mut world = World::with_policy_service([node("n")]);
    assert_eq!(world.pod(pod("p")), ["ask p"]);
    world
}

#[test]
fn delayed_pod_is_asked_about_again_and_counts_as_allowed_in_the_end() {
    let mut world = asked();
    assert_eq!(world.answers(delay(), PolicySource::Success), ["policy p APOLLO", DELAYED]);
    assert_eq!(world.engine.depth().backoff, 1);
    assert_eq!(world.see(Event::NodeSet(Arc::new(node("m")), Vec::new())), [""; 0]);
    assert_eq!(world.at(30_000), [""; 0]);
    assert_eq!(world.at(30_001), ["ask p"]);
    assert_eq!(world.answers(delay(), PolicySource::Success), ["policy p APOLLO", DELAYED]);
    assert_eq!(world.at(59_999), [""; 0]);
    assert_eq!(world.at(60_000), ["ask p"], "60 s from the first DELAY, not from the second");
    assert_eq!(world.answers(delay(), PolicySource::Cache)[0], "policy p CACHE");
    assert_eq!(world.engine.n_binding(), 1);
}

#[test]
fn delay_ends_when_the_service_says_so() {
    let mut world = asked();
    world.answers(delay(), PolicySource::Success);
    world.at(30_001);
    assert_eq!(world.answers(Policy::default(), PolicySource::Success), ["policy p APOLLO", "bind p n"]);
}

#[test]
fn delay_is_no_fault_of_the_pod() {
    let mut world = asked();
    world.engine.handle(0, answer("p", Some(Arc::new(delay())), PolicySource::Success));
    let actions = world.engine.poll(0);
    assert!(actions.iter().any(|a| matches!(a, Action::RecordEvent(e) if e.reason == "PolicyDelayed" && !e.warning)), "{actions:?}");
    assert!(!actions.iter().any(|a| matches!(a, Action::SetCondition { .. } | Action::ReportResult(_))), "{actions:?}");
}

#[test]
fn delay_is_not_obeyed_when_none_is_allowed() {
    let mut world = asked();
    world.configure(|apollo| apollo.max_delay_ms = 0);
    assert_eq!(world.answers(delay(), PolicySource::Success), ["policy p APOLLO", "bind p n"]);
}

#[test]
fn expired_delay_from_the_cache_is_asked_about_with_backoff() {
    let mut world = asked();
    world.answers(delay(), PolicySource::Success);
    world.at(30_001);
    assert_eq!(world.answers(delay(), PolicySource::Cache), ["policy p CACHE", DELAYED]);
    assert_eq!(world.at(32_000), [""; 0]);
    assert_eq!(world.at(32_001), ["ask p"]);
}

#[test]
fn rejected_pod_is_refused_and_asked_about_again_when_the_answer_has_expired() {
    let mut world = asked();
    let done = world.answers(reject(), PolicySource::Success);
    assert_eq!(done, ["policy p APOLLO", "condition p Unschedulable true", REJECTED, "report id false 0ms"]);
    assert_eq!(world.engine.depth().unschedulable, 1);
    world.now = 5000;
    assert_eq!(world.see(Event::NodeSet(Arc::new(node("m")), Vec::new())), [""; 0], "no node helps");
    assert_eq!(world.at(30_000), [""; 0]);
    assert_eq!(world.at(30_001), ["ask p"]);
    assert_eq!(world.answers(Policy::default(), PolicySource::Success)[0], "policy p APOLLO");
    assert_eq!(world.engine.n_binding(), 1);
}

#[test]
fn reject_counts_as_allow_when_it_is_not_obeyed() {
    let mut world = asked();
    world.answers(reject(), PolicySource::Success);
    world.now = 2000;
    assert_eq!(world.configure(|apollo| apollo.obey_reject = false), ["ask p"], "a new configuration wakes refused pods");
    assert_eq!(world.answers(reject(), PolicySource::Cache), ["policy p CACHE", "bind p n"]);
}

#[test]
fn answer_without_a_reason_says_so() {
    let mut world = asked();
    let done = world.answers(deciding(PolicyDecision::Reject, " "), PolicySource::Success);
    assert_eq!(done[2], "event FailedScheduling: rejected by the APOLLO policy: it gives no reason");
}

#[test]
fn rejection_that_comes_after_the_wait_binds_a_pod_that_was_not_decided_yet() {
    let mut world = World::running(&["NodeAffinity", "StorageTierAware"], [node("n")]);
    world.pod(pod("p"));
    assert_eq!(world.at(200), ["policy p FALLBACK"]);
    assert_eq!(world.answers(reject(), PolicySource::Success), [""; 0]);
    assert_eq!(world.see(Event::Synced)[1], REJECTED);
}

#[test]
fn slow_service_lets_a_rejected_pod_through_only_when_its_answer_is_too_old() {
    let mut world = asked();
    world.answers(reject(), PolicySource::Success);
    world.at(30_001);
    assert_eq!(world.at(30_201)[..1], ["policy p CACHE"]);
    assert_eq!(world.engine.depth().unschedulable, 1);
    let bound_at = (30_201..400_000).find(|now| world.at(*now).contains(&"bind p n".to_string()));
    assert!(bound_at.is_some_and(|at| (300_000..311_000).contains(&at)), "{bound_at:?}");
}

#[test]
fn switching_apollo_off_frees_the_pods_it_rejected() {
    let mut world = asked();
    world.answers(reject(), PolicySource::Success);
    world.now = 2000;
    assert_eq!(world.configure(|apollo| apollo.endpoint = "".into()), ["bind p n"]);
}

#[test]
fn explanation_of_a_held_pod_names_the_policy() {
    for (policy, message) in
        [(delay(), "held back by the APOLLO policy for at most 60 s: not yet"), (reject(), "rejected by the APOLLO policy: not here")]
    {
        let mut world = asked();
        world.answers(policy, PolicySource::Success);
        assert_eq!(world.explained(), (None, Some(message.into())));
        world.see(Event::NodeSet(Arc::new(cordoned("n")), Vec::new()));
        world.at(30_001);
        world.answers(Policy::default(), PolicySource::Success);
        let now = "0/1 nodes are available: 1 node(s) were unschedulable.";
        assert_eq!(world.explained(), (None, Some(now.into())), "a policy of the past explains nothing");
    }
}

#[test]
fn held_pod_gives_its_nomination_back() {
    for policy in [delay(), reject()] {
        let mut world = World::with_policy_service([node("n")]);
        world.pod(Pod { nominated_node: Some("n".into()), ..pod("p") });
        let done = world.answers(policy, PolicySource::Success);
        assert!(done.contains(&"nominate p ".to_string()), "{done:?}");
        assert!(world.engine.snapshot().nominated.node_of("uid-p").is_none());
    }
}

#[test]
fn constrained_pod_is_bound_when_the_label_arrives_and_keeps_its_own_spec() {
    let mut world = asked();
    let done = world.answers(ssd_only(), PolicySource::Success);
    assert_eq!(done[2], "event FailedScheduling: 0/1 nodes are available: 1 node(s) were not allowed by the APOLLO policy.");
    world.now = 1500;
    let other = labelled("n", [("disk", "hdd")]);
    assert_eq!(world.see(Event::NodeSet(Arc::new(other), Vec::new())), [""; 0], "a label that does not help wakes nobody");
    assert_eq!(world.see(Event::NodeSet(Arc::new(labelled("n", [("disk", "ssd")])), Vec::new())), ["ask p"]);
    assert_eq!(world.answers(ssd_only(), PolicySource::Cache), ["policy p CACHE", "bind p n"]);
    assert_eq!(world.engine.snapshot().node("n").unwrap().pods[0].pod.spec, pod("p").spec);
}

#[test]
fn changed_pod_is_judged_with_the_terms_of_its_policy() {
    let mut world = asked();
    world.answers(ssd_only(), PolicySource::Success);
    world.pod(crate::fixture::hinted("p", [("io-pattern", "random")]));
    assert_eq!(world.explained().1.as_deref(), Some("0/1 nodes are available: 1 node(s) were not allowed by the APOLLO policy."));
}

#[test]
fn refused_pod_is_asked_about_again_where_another_policy_could_help() {
    let preferring =
        |decision| Policy { decision, node_preferences: vec![NodePreference { node: "n".into(), score: 1 }], ..Policy::default() };
    let rule =
        |strength| AffinityTerm { kind: AffinityKind::Pod, topology_key: "zone".into(), labels: vec![("a".into(), "b".into())], strength };
    let ruled = |strength| Policy { affinity: vec![rule(strength)], ..Policy::default() };
    for (policy, asks) in [
        (preferring(PolicyDecision::Require), true),
        (preferring(PolicyDecision::Allow), false),
        (ssd_only(), true),
        (ruled(AffinityStrength::Required), true),
        (ruled(AffinityStrength::Preferred(9)), false),
        (Policy { decision: PolicyDecision::Reject, ..ssd_only() }, true),
    ] {
        let mut world = World::running(&["NodeUnschedulable", "NodeAffinity", "InterPodAffinity", "DataLocalityAware"], [cordoned("n")]);
        world.see(Event::Synced);
        world.pod(pod("p"));
        let shown = format!("{policy:?}");
        world.answers(policy, PolicySource::Success);
        assert_eq!(world.at(30_000), [""; 0], "{shown}");
        assert_eq!(world.at(30_001).first().map(String::as_str), asks.then_some("ask p"), "{shown}");
        if !asks {
            assert_eq!(world.at(300_000), ["ask p"], "{shown}");
        }
    }
}
