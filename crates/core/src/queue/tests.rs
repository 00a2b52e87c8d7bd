//! The queue alone: order, backoffs, and what becomes of pods that change.
//! Leaves out who wakes whom: that is the engine's and the plugins'.

use super::*;
use crate::fixture::{pod, with};

fn queue<const N: usize>(pods: [(&str, i32); N]) -> Queue {
    let mut queue = Queue::new(QueueOptions::default());
    for (name, priority) in pods {
        let pod = with(pod(name), |s| s.priority = priority);
        let uid = pod.uid.clone();
        queue.add(0, Arc::new(pod));
        queue.activate(&uid);
    }
    queue
}

fn pop(queue: &mut Queue) -> Option<String> {
    queue.pop().map(|p| String::from(&*p.name))
}

#[test]
fn pods_are_popped_by_priority_then_arrival() {
    let mut queue = queue([("low", 0), ("first", 10), ("second", 10), ("high", 20)]);
    let order: Vec<String> = core::iter::from_fn(|| pop(&mut queue)).collect();
    assert_eq!(order, ["high", "first", "second", "low"]);
}

#[test]
fn refused_pod_waits_for_an_event_and_then_its_backoff() {
    let mut queue = queue([("p", 0)]);
    for backoff in [1000, 2000, 4000, 8000, 10_000, 10_000] {
        pop(&mut queue).unwrap();
        queue.refused(0, "uid-p", alloc::vec!["NodeName"]);
        assert!(!queue.has_ready());
        assert!(!queue.requeue(backoff - 1, "uid-p", "NodeAdd"));
        assert_eq!(queue.next_due(), Some(backoff));
        assert_eq!(queue.due(backoff), [("uid-p".into(), Due::Retry)]);
        queue.activate("uid-p");
    }
}

#[test]
fn event_after_the_backoff_requeues_at_once() {
    let mut queue = queue([("p", 0)]);
    pop(&mut queue).unwrap();
    queue.refused(0, "uid-p", Vec::new());
    assert!(queue.requeue(1000, "uid-p", "NodeAdd"));
}

#[test]
fn backing_off_pod_is_taken_early_only_when_none_is_ready_and_it_did_not_fail() {
    let mut queue = queue([("refused", 100), ("failed", 100), ("ready", 0)]);
    for uid in ["uid-refused", "uid-failed"] {
        queue.pop().unwrap();
        if uid == "uid-refused" { queue.refused(0, uid, Vec::new()) } else { queue.failed(0, uid) }
    }
    assert!(!queue.requeue(1, "uid-refused", "NodeAdd"));
    let order: Vec<String> = core::iter::from_fn(|| pop(&mut queue)).collect();
    assert_eq!(order, ["ready", "refused"]);
    assert_eq!(queue.due(1000), [("uid-failed".into(), Due::Retry)]);
}

#[test]
fn of_backoffs_that_end_in_the_same_second_the_most_important_pod_is_taken() {
    let mut queue = queue([("low", 0), ("high", 9), ("later", 99)]);
    for (uid, at) in [("uid-low", 10), ("uid-high", 900), ("uid-later", 1010)] {
        queue.set_state(uid, State::InFlight);
        queue.refused(at, uid, Vec::new());
        assert!(!queue.requeue(at, uid, "NodeAdd"));
    }
    let order: Vec<String> = core::iter::from_fn(|| pop(&mut queue)).collect();
    assert_eq!(order, ["high", "low", "later"]);
}

#[test]
fn refused_pod_is_flushed_after_five_minutes() {
    let mut queue = queue([("p", 0)]);
    pop(&mut queue).unwrap();
    queue.refused(7, "uid-p", Vec::new());
    assert!(queue.due(300_006).is_empty());
    assert_eq!(queue.due(300_007), [("uid-p".into(), Due::Retry)]);
}

#[test]
fn pod_asks_for_its_policy_again_after_a_second_even_where_backing_off_is_off() {
    let mut queue = queue([("held", 1), ("refused", 0)]);
    queue.options.max_backoff_ms = 0;
    pop(&mut queue).unwrap();
    queue.hold(7, "uid-held", 0, 60_000);
    pop(&mut queue).unwrap();
    queue.refused(8, "uid-refused", Vec::new());
    queue.retry_by("uid-refused", 0);
    assert!(queue.due(1006).is_empty());
    assert_eq!(queue.due(1007), [("uid-held".into(), Due::Retry)]);
    assert_eq!(queue.due(1008), [("uid-refused".into(), Due::Retry)]);
}

#[test]
fn pods_are_counted_by_the_queue_that_they_come_into_and_by_what_brings_them_there() {
    let mut queue = Queue::new(QueueOptions::default());
    queue.add(0, Arc::new(pod("p")));
    queue.await_policy("uid-p", 5);
    assert_eq!(queue.due(5), [("uid-p".into(), Due::Policy)]);
    queue.activate("uid-p"); // it was there already
    queue.pop();
    queue.resume("uid-p");
    queue.pop();
    queue.refused(10, "uid-p", Vec::new());
    assert!(!queue.requeue(20, "uid-p", "AssignedPodDelete"));
    queue.due(2000);
    queue.activate("uid-p");
    queue.pop();
    queue.refused(3000, "uid-p", Vec::new());
    queue.due(1_000_000);
    queue.activate("uid-p");
    let incoming: Vec<(&str, &str)> = queue.incoming().keys().copied().collect();
    let expected = [
        ("active", "BackoffComplete"),
        ("active", "UnschedulableTimeout"),
        ("active", "UnscheduledPodAdd"),
        ("backoff", "AssignedPodDelete"),
        ("unschedulable", "ScheduleAttemptFailure"),
    ];
    assert_eq!((incoming, queue.incoming().values().sum::<u64>()), (expected.into(), 6));
}

#[test]
fn changed_priority_moves_a_ready_pod() {
    let mut queue = queue([("a", 1), ("b", 2)]);
    queue.replace(Arc::new(with(pod("a"), |s| s.priority = 3)));
    assert_eq!(pop(&mut queue).as_deref(), Some("a"));
}

#[test]
fn removed_pod_leaves_nothing_behind() {
    let mut queue = every_state();
    for uid in queue.pods.keys().cloned().collect::<Vec<_>>() {
        assert!(queue.remove(&uid).is_some());
    }
    assert!(
        queue.active.is_empty() && queue.timers.is_empty() && queue.early.is_empty() && queue.refused.is_empty() && queue.pods.is_empty()
    );
}

/// A pod in each state, named after it.
fn every_state() -> Queue {
    let mut queue = queue([("active", 1), ("backoff", 2), ("failed", 3), ("refused", 4), ("gated", 5), ("asked", 6)]);
    queue.gate("uid-gated", "held".into());
    queue.await_policy("uid-asked", 900);
    for uid in ["uid-refused", "uid-failed", "uid-backoff"] {
        queue.pop().unwrap();
        if uid == "uid-failed" { queue.failed(0, uid) } else { queue.refused(0, uid, Vec::new()) }
    }
    assert!(!queue.requeue(0, "uid-backoff", "NodeAdd"));
    queue
}

/// A queue of one pod with these bounds in seconds.
fn bounded(initial_s: u64, max_s: u64) -> Queue {
    let mut queue = queue([("p", 0)]);
    queue.options = QueueOptions { initial_backoff_ms: initial_s * 1000, max_backoff_ms: max_s * 1000, ..QueueOptions::default() };
    queue
}

#[test]
fn backoff_doubles_between_the_configured_bounds_after_refusals_and_after_errors() {
    for (initial, max, expected) in
        [(1, 10, [1, 2, 4, 8, 10]), (3, 3, [3, 3, 3, 3, 3]), (5, 60, [5, 10, 20, 40, 60]), (9, 0, [0, 0, 0, 0, 0])]
    {
        for error in [false, true] {
            let mut queue = bounded(initial, max);
            for seconds in expected {
                pop(&mut queue).unwrap();
                if error {
                    queue.failed(0, "uid-p");
                } else {
                    queue.refused(0, "uid-p", alloc::vec!["NodeName"]);
                    assert_eq!(queue.requeue(0, "uid-p", "NodeAdd"), seconds == 0, "{initial} to {max} s");
                }
                let until = if error || seconds > 0 { seconds * 1000 } else { QueueOptions::default().max_unschedulable_ms };
                assert_eq!(queue.next_due(), Some(until), "{initial} to {max} s, error: {error}");
                assert_eq!(queue.due(until).len(), 1);
                queue.activate("uid-p");
            }
        }
    }
    let days = 1 << 40;
    assert_eq!(backoff(QueueOptions { initial_backoff_ms: days, max_backoff_ms: 2 * days, ..QueueOptions::default() }, 30), 2 * days);
}

#[test]
fn errors_in_a_row_are_counted_apart_from_refusals_and_end_with_one() {
    let mut queue = queue([("p", 0)]);
    for (error, backoff) in [(false, 1), (true, 1), (true, 2), (false, 2), (true, 1), (false, 4)] {
        pop(&mut queue).unwrap();
        if error {
            queue.failed(0, "uid-p");
        } else {
            queue.refused(0, "uid-p", Vec::new());
            assert!(!queue.requeue(0, "uid-p", "NodeAdd"));
        }
        assert_eq!(queue.next_due(), Some(backoff * 1000));
        queue.due(backoff * 1000);
        queue.activate("uid-p");
    }
}

#[test]
fn no_pod_is_taken_out_of_backoff_when_the_gate_is_off() {
    let mut queue = queue([("p", 0)]);
    queue.options.pop_from_backoff = false;
    pop(&mut queue).unwrap();
    queue.refused(0, "uid-p", Vec::new());
    assert!(!queue.requeue(0, "uid-p", "NodeAdd"));
    assert!(!queue.has_ready() && queue.pop().is_none());
    assert_eq!(queue.due(1000), [("uid-p".into(), Due::Retry)]);
}

#[test]
fn flushed_pod_still_waits_for_the_rest_of_its_backoff() {
    let mut queue = bounded(400, 400);
    pop(&mut queue).unwrap();
    queue.refused(0, "uid-p", Vec::new());
    assert_eq!((queue.due(300_000), queue.depth().backoff), (Vec::new(), 1));
    assert_eq!(queue.due(400_000), [("uid-p".into(), Due::Retry)]);
    assert!(queue.incoming().contains_key(&("backoff", "UnschedulableTimeout")));
}

/// One that fails again and again must not stand in the way of newer pods of the same priority.
#[test]
fn pod_that_was_tried_goes_behind_those_that_were_not() {
    let mut queue = queue([("tried", 5), ("new", 5)]);
    assert_eq!(pop(&mut queue).as_deref(), Some("tried"));
    queue.refused(1, "uid-tried", Vec::new());
    queue.activate("uid-tried");
    let order: Vec<String> = core::iter::from_fn(|| pop(&mut queue)).collect();
    assert_eq!(order, ["new", "tried"]);
}

#[test]
fn changed_pod_stays_where_it_is() {
    let mut queue = every_state();
    let states = |queue: &Queue| -> Vec<State> { queue.iter().map(|waiting| waiting.state.clone()).collect() };
    let before = (states(&queue), queue.timers.clone(), queue.refused.clone(), queue.active.len(), queue.early.len());
    for name in ["active", "backoff", "failed", "refused", "gated", "asked"] {
        queue.replace(Arc::new(with(pod(name), |s| s.n_containers = 7)));
    }
    assert_eq!((states(&queue), queue.timers.clone(), queue.refused.clone(), queue.active.len(), queue.early.len()), before);
    assert!(queue.iter().all(|waiting| waiting.pod.spec.n_containers == 7 && waiting.judged.spec.n_containers == 7));
}
