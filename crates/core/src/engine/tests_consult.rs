//! Extenders in the engine: who is asked, what a pod does meanwhile, and what an answer does to it on a cluster that has moved on.
//! Leaves out how extenders are asked: `aisched-kube` tests that.

use super::tests::{World, cordoned};
use super::{Engine, EngineOptions};
use crate::consult::{Answer, Extender, Failed, Judged, Said, Scores, Victims};
use crate::event::{BindOutcome, Event, PodRef};
use crate::fixture::{node, pod, requesting, with};
use crate::framework::RefusalCode;
use crate::profile::{Profile, Weight};
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

const NONE: [&str; 0] = [];

fn extender() -> Extender {
    Extender { name: "http://e".into(), filters: true, prioritizes: true, ..Extender::default() }
}

/// These nodes, this extender, no policy service.
fn world<const N: usize>(extender: Extender, nodes: [Node; N]) -> World {
    let plugins = ["NodeUnschedulable", "NodeResourcesFit", "DefaultPreemption"].map(|name| (name, Weight::Fixed(1)));
    let profile = Profile::of("ai-storage-scheduler", plugins);
    let mut world = World { engine: Engine::new(vec![profile], EngineOptions::default()).with_extenders(vec![extender]), now: 0 };
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    for node in nodes {
        world.see(Event::NodeSet(Arc::new(node), Vec::new()));
    }
    world.see(Event::Synced);
    world
}

/// Nodes that pass, with the extender's scores, and nodes that do not, with the reason; `!` before it: pods that leave change nothing.
fn judged<const N: usize, const M: usize>(passed: [(&str, i64); N], failed: [(&str, &str); M]) -> Said {
    let against = |text: &str| match text.strip_prefix('!') {
        Some(text) => Failed { code: RefusalCode::Unresolvable, message: text.into() },
        None => Failed { code: RefusalCode::Unschedulable, message: text.into() },
    };
    let by_node = passed.iter().map(|(node, score)| ((*node).into(), *score)).collect();
    Said::Nodes(Ok(Judged {
        passed: passed.iter().map(|(node, _)| (*node).into()).collect(),
        failed: failed.iter().map(|(node, text)| ((*node).into(), against(text))).collect(),
        scores: vec![Scores { extender: "http://e".into(), weight: 2, by_node }],
    }))
}

impl World {
    /// Answers the n-th question, about pod `p`.
    fn told(&mut self, id: u64, said: Said) -> Vec<String> {
        self.see(Event::Consulted(Answer { id, uid: "uid-p".into(), said }))
    }
}

fn refused(text: &str) -> [String; 2] {
    ["condition p Unschedulable true".to_string(), alloc::format!("event FailedScheduling: 0/2 nodes are available: {text}")]
}

#[test]
fn extender_filters_and_scores_the_nodes_that_pass_our_filters() {
    for (said, expected) in [
        (judged([("a", 0), ("b", 1)], []), "bind p b"),
        (judged([("a", 1), ("b", 0)], []), "bind p a"),
        (judged([("b", 0)], [("a", "no")]), "bind p b"),
        (judged([("a", 0)], []), "bind p a"),
    ] {
        let mut world = world(extender(), [node("a"), node("b"), cordoned("c")]);
        assert_eq!(world.pod(pod("p")), ["consult p on a b"]);
        assert_eq!(world.told(1, said), [expected]);
    }
}

#[test]
fn scores_count_tenfold_with_their_weight_and_are_explained() {
    let mut world = world(extender(), [node("a"), node("b")]);
    world.pod(pod("p"));
    world.told(1, judged([("a", 7), ("b", 3)], []));
    let decision = &world.engine.records().get("default/p").unwrap().decision;
    assert_eq!((decision.score("a", "Extender"), decision.score("b", "Extender")), (Some(140), Some(60)));
    assert_eq!(decision.source("a", "Extender", "extenders"), Some("10 times 7 by http://e, weight 2"));
}

#[test]
fn refusal_speaks_with_the_extenders_words() {
    for (said, text) in [
        (
            judged([], [("a", "no gpu"), ("b", "no gpu")]),
            "2 no gpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
        ),
        (
            judged([], [("a", "!broken"), ("b", "no gpu")]),
            "1 broken, 1 no gpu. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
        ),
        (
            judged([], [("a", "no gpu")]),
            "1 no gpu. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
        ),
    ] {
        let mut world = world(extender(), [node("a"), node("b")]);
        world.pod(pod("p"));
        assert_eq!(world.told(1, said), refused(text));
        assert_eq!(world.engine.depth().unschedulable, 1);
    }
}

#[test]
fn pod_of_no_interest_is_decided_at_once() {
    let managing = Extender { managed: vec!["example.com/gpu".into()], ..extender() };
    let mut world = world(managing, [node("a"), node("b")]);
    assert!(world.pod(pod("q"))[0].starts_with("bind q"));
    let wanting = with(pod("p"), |s| s.requests.set_scalar(&"example.com/gpu".into(), 1));
    let offering = |name: &str| {
        let mut node = node(name);
        node.allocatable.set_scalar(&"example.com/gpu".into(), 1);
        Event::NodeSet(Arc::new(node), Vec::new())
    };
    world.see(offering("a"));
    assert_eq!(world.pod(wanting), ["consult p on a"]);
}

#[test]
fn extender_that_only_scores_is_not_asked_about_a_single_node() {
    let scoring = Extender { filters: false, ..extender() };
    assert_eq!(world(scoring.clone(), [node("a"), cordoned("b")]).pod(pod("p")), ["bind p a"]);
    assert_eq!(world(scoring, [node("a"), node("b")]).pod(pod("p")), ["consult p on a b"]);
}

#[test]
fn others_are_scheduled_while_a_pod_waits_for_its_extenders() {
    let mut world = world(Extender { managed: vec!["x/y".into()], ..extender() }, [node("a")]);
    let mut node = node("a");
    node.allocatable.set_scalar(&"x/y".into(), 1);
    world.see(Event::NodeSet(Arc::new(node), Vec::new()));
    world.pod(with(pod("p"), |s| s.requests.set_scalar(&"x/y".into(), 1)));
    assert_eq!(world.pod(pod("q")), ["bind q a"]);
    assert_eq!(world.at(1_000_000), NONE, "the answer comes, or the pod waits");
    assert_eq!(world.told(1, judged([("a", 0)], [])), ["bind p a"]);
}

#[test]
fn answer_counts_on_the_cluster_of_the_moment() {
    let mut world = world(extender(), [node("a"), node("b")]);
    world.pod(requesting("p", "6", "1Gi"));
    let mut other = requesting("other", "6", "1Gi");
    other.node = Some("a".into());
    world.pod(other.clone());
    other.uid = "uid-third".into();
    other.node = Some("b".into());
    world.see(Event::NodeSet(Arc::new(node("new")), Vec::new()));
    assert_eq!(world.told(1, judged([("a", 9), ("b", 0)], [])), ["bind p b"], "a is full, new was not asked about");

    let mut world = world_of_p_on_two();
    world.see(Event::NodeSet(Arc::new(cordoned("a")), Vec::new()));
    world.see(Event::NodeSet(Arc::new(cordoned("b")), Vec::new()));
    world.see(Event::NodeSet(Arc::new(node("c")), Vec::new()));
    assert_eq!(world.told(1, judged([("a", 0), ("b", 0)], [])), ["consult p on c"]);
    assert_eq!(world.told(1, judged([("a", 0)], [])), NONE, "an answer to an older question");
    assert_eq!(world.told(2, judged([("c", 0)], [])), ["bind p c"]);
    assert_eq!(world.engine.records().get("default/p").unwrap().decision.n_nodes, 3);
}

fn world_of_p_on_two() -> World {
    let mut world = world(extender(), [node("a"), node("b")]);
    world.pod(pod("p"));
    world
}

#[test]
fn pod_that_has_changed_is_asked_about_again_and_one_that_is_gone_is_forgotten() {
    let mut world = world_of_p_on_two();
    world.pod(with(pod("p"), |s| s.priority = 5));
    assert_eq!(world.told(1, judged([("a", 0)], [])), ["consult p on a b"]);
    world.see(Event::PodGone(PodRef::from(&pod("p"))));
    assert_eq!(world.told(2, judged([("a", 0)], [])), NONE);
}

#[test]
fn error_fails_the_attempt_with_backoff() {
    let mut world = world_of_p_on_two();
    let done = world.told(1, Said::Nodes(Err("extender says no".into())));
    assert_eq!(done, ["condition p SchedulerError true", "event FailedScheduling: extender says no"]);
    assert_eq!(world.engine.depth().backoff, 1);
    assert_eq!(world.at(999), NONE);
    assert_eq!(world.at(1000), ["consult p on a b"]);
}

#[test]
fn pod_refused_by_an_extender_is_woken_by_anything_even_if_it_came_during_the_question() {
    let mut world = world_of_p_on_two();
    world.told(1, judged([], [("a", "no"), ("b", "no")]));
    world.now = 1000;
    assert_eq!(world.see(Event::NamespaceSet("ns".into(), aisched_model::labels::Labels::default())), ["consult p on a b"]);
    world.see(Event::NodeSet(Arc::new(cordoned("c")), Vec::new()));
    let again = world.told(2, judged([], [("a", "no"), ("b", "no")]));
    assert_eq!(again.last().unwrap(), "consult p on a b", "nothing else is waiting, so its backoff is not waited for");
    assert!(!world.told(3, judged([], [("a", "no"), ("b", "no")])).contains(again.last().unwrap()));
}

#[test]
fn nominated_node_is_asked_about_first_and_the_others_when_it_will_not_do() {
    for said in [judged([], [("a", "no")]), Said::Nodes(Err("down".into()))] {
        let mut world = world(extender(), [node("a"), node("b")]);
        let nominated = Pod { nominated_node: Some("a".into()), ..pod("p") };
        assert_eq!(world.pod(nominated), ["consult p on a"]);
        assert_eq!(world.told(1, said), ["consult p on a b"]);
        assert_eq!(world.told(2, judged([("b", 0)], [("a", "no")])).last().unwrap(), "bind p b");
    }
}

#[test]
fn extender_binds_and_its_failure_is_in_its_own_words() {
    let mut world = world(Extender { binds: true, filters: false, prioritizes: false, ..extender() }, [node("a")]);
    assert_eq!(world.pod(pod("p")), ["extender binds p a"]);
    let done = world.bind_ends("p", "a", BindOutcome::Failed("no room".into()));
    assert_eq!(done, ["condition p SchedulerError true", "event FailedScheduling: no room"]);
}

/// Two full nodes, and a pod that has to preempt; asked about.
fn preempting() -> World {
    let mut world = world(Extender { preempts: true, filters: false, prioritizes: false, ..extender() }, [node("a"), node("b")]);
    for (name, on) in [("v", "a"), ("w", "b")] {
        world.pod(Pod { node: Some(on.into()), ..with(requesting(name, "8", "1Gi"), |s| s.priority = 1) });
    }
    let asked = world.pod(with(requesting("p", "8", "1Gi"), |s| s.priority = 10));
    assert_eq!(asked, ["consult p on victims a: uid-v, b: uid-w"]);
    world
}

fn victims<const N: usize>(said: [(&str, &str); N]) -> Said {
    let victims = |uid: &str| Victims { uids: vec![uid.into()], n_violations: 0 };
    Said::Victims(Ok(said.iter().map(|(node, uid)| ((*node).into(), victims(uid))).collect()))
}

#[test]
fn extender_has_the_last_word_on_victims() {
    const FULL: &str = "2 Insufficient cpu. preemption: ";
    let found = "found a potential placement for pod on node b, preempting 1 victims";
    for (said, tail, rest) in [
        (victims([("b", "uid-w")]), found, &["nominate p b", "preempt w for p on b"][..]),
        (victims([("b", "uid-w"), ("c", "uid-x")]), found, &["nominate p b", "preempt w for p on b"]),
        (victims([]), "no candidate node for preemption", &[]),
        (
            Said::Victims(Err("expected at least one victim pod on node \"a\"".into())),
            "expected at least one victim pod on node \"a\"",
            &[],
        ),
    ] {
        let mut world = preempting();
        let done = world.told(1, said);
        assert_eq!(done[..2], refused(&alloc::format!("{FULL}{tail}")));
        assert_eq!(done[2..], *rest);
    }
}

#[test]
fn victims_that_have_left_meanwhile_are_not_preempted() {
    let mut world = preempting();
    world.see(Event::PodGone(PodRef::from(&pod("w"))));
    assert_eq!(world.told(1, victims([("b", "uid-w")])), ["bind p b"]);
}
