//! Who would move, who would find room, and what runs out first.
//! Leaves out the engine's own choices.

use super::{Base, Change, Kind, WhatIf, what_if};
use crate::tests::{node, nvme, pod};
use aisched_core::event::Event;
use aisched_core::profile::Profile;
use aisched_model::config::Config;
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Two nodes of 8 cores, the second with NVMe; a pod of 6 cores that likes random I/O runs on the second, one of 7 waits.
fn base() -> Base {
    let random = |spec: &mut aisched_model::pod::PodSpec| spec.annotations = Labels::from([("ai-storage.keti/io-pattern", "random")]);
    let running = pod("runs", 6000, |pod, spec| {
        pod.node = Some("b".into());
        random(spec);
    });
    let hosts = [Event::NodeSet(Arc::new(node("a")), Vec::new()), Event::NodeSet(Arc::new(nvme("b", "5000")), Vec::new())];
    let objects = hosts.into_iter().chain([running, pod("waits", 7000, |_, _| ()), pod("waits-too", 7000, |_, _| ())]).collect();
    Base {
        objects,
        config: Config::default(),
        profiles: vec![Profile::ai_storage("ai-storage-scheduler")].into(),
        decisions: vec![],
        seed: 0,
    }
}

fn one(event: Event) -> Arc<Pod> {
    let Event::PodSet(pod) = event else { panic!("no pod") };
    pod
}

fn moves(answer: &WhatIf) -> Vec<String> {
    let at = |node: &Option<aisched_model::Str>| node.as_deref().unwrap_or("-").to_string();
    answer.moves.iter().map(|m| format!("{:?} {} {}>{}", m.kind, m.pod, at(&m.before), at(&m.after))).collect()
}

fn ask(change: &Change) -> WhatIf {
    what_if(&base(), change, &|| true).unwrap()
}

#[test]
fn nothing_different_moves_nobody() {
    let answer = ask(&Change { running: 10, ..Change::default() });
    assert_eq!((moves(&answer), answer.n_running), (Vec::new(), 1));
    assert_eq!((answer.before, answer.after), (answer.after, answer.before));
    assert_eq!((answer.before.placed, answer.before.waiting), (1, 1));
}

#[test]
fn another_node_takes_the_pod_that_waits() {
    let more = Change { objects: vec![Event::NodeSet(Arc::new(node("c")), Vec::new())], ..Change::default() };
    let answer = ask(&more);
    assert_eq!((answer.after.placed, answer.after.waiting), (2, 0));
    assert!(moves(&answer).iter().any(|m| m.ends_with("->c") || m.ends_with("->a")), "{answer:?}");
}

#[test]
fn pods_of_a_node_that_goes_wait_again() {
    let answer = ask(&Change { remove_nodes: vec!["b".into()], ..Change::default() });
    let evicted: Vec<_> = answer.moves.iter().filter(|m| m.kind == Kind::Evicted).collect();
    assert_eq!((evicted.len(), evicted[0].before.as_deref()), (1, Some("b")));
    assert_eq!((answer.after.placed, answer.after.waiting), (1, 2));
}

#[test]
fn running_pod_that_would_be_placed_elsewhere_is_named_with_the_reason() {
    let answer = ask(&Change { cordon: vec!["b".into()], running: 10, ..Change::default() });
    assert_eq!(moves(&answer).last().unwrap(), "Running default/runs b>a");
    assert!(answer.moves.last().unwrap().why.contains("b refuses: NodeUnschedulable"), "{answer:?}");
    let mut config = Config::default();
    config.plugins.storage_tier_aware.weight = 0;
    config.plugins.data_locality_aware.weight = 0;
    config.plugins.io_pattern_based.weight = 0;
    let answer = ask(&Change { config: Some(config), running: 10, ..Change::default() });
    assert!(answer.n_running == 1 && answer.moves.iter().all(|m| m.why.contains("leads") || m.kind != Kind::Running), "{answer:?}");
}

#[test]
fn decisions_on_pods_that_are_gone_are_weighed_anew_and_others_are_not() {
    let mut base = base();
    base.objects.retain(|o| !matches!(o, Event::PodSet(_)));
    base.objects.push(pod("busy", 4000, |pod, _| pod.node = Some("b".into())));
    base.objects.push(pod("random", 100, |_, spec| spec.annotations = Labels::from([("ai-storage.keti/io-pattern", "random")])));
    let decisions: Vec<_> =
        super::placements(base.scenario(&Change::default(), &base.config), &base, &|| true).unwrap().into_values().collect();
    base.decisions = decisions.iter().filter(|d| &*d.pod == "default/random").cloned().collect();
    let mut config = Config::default();
    config.plugins.storage_tier_aware.weight = 0;
    config.plugins.data_locality_aware.weight = 0;
    config.plugins.io_pattern_based.weight = 0;
    let change = Change { config: Some(config), decisions: 10, ..Change::default() };
    assert_eq!(what_if(&base, &change, &|| true).unwrap().n_decided, 0, "it is there still");
    base.objects.retain(|o| !matches!(o, Event::PodSet(_)));
    let answer = what_if(&base, &change, &|| true).unwrap();
    assert_eq!((answer.n_decided, moves(&answer)), (1, vec!["Decided default/random b>a".to_string()]));
    assert!(answer.moves[0].why.contains("a leads b by"), "{answer:?}");
    assert_eq!(what_if(&base, &Change { decisions: 10, ..Change::default() }, &|| true).unwrap().moves.len(), 0, "nothing is different");
}

#[test]
fn capacity_is_counted_until_something_runs_out() {
    let like = one(pod("like", 2000, |_, _| ()));
    let answer = ask(&Change { pods: vec![like], capacity: true, ..Change::default() });
    let capacity = answer.capacity.unwrap();
    assert_eq!((capacity.fits, capacity.stopped), (5, false), "four on a, one beside the pod on b");
    assert_eq!(capacity.by_node, [("a".into(), 4), ("b".into(), 1)].into());
    assert_eq!(capacity.runs_out, [("NodeResourcesFit", "Insufficient cpu".into(), 2)]);
}

#[test]
fn nobody_waiting_ends_the_work() {
    assert!(what_if(&base(), &Change::default(), &|| false).is_err());
}
