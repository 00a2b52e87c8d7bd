//! No event that lets a refused pod be placed is slept through, on seeded random clusters and random changes of them.
//! Leaves out events that wake in vain: the tables of `tests` say which must not.

use super::InterPodAffinity;
use super::tests_random::naive_verdict;
use crate::framework::{ClusterEvent, Plugin};
use crate::plugins::fixture_random::Random;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::sync::Arc;

fn fits(snapshot: &Snapshot, pod: &Pod) -> bool {
    snapshot.nodes.iter().any(|node| naive_verdict(snapshot, pod, node) == '+')
}

/// The cluster with one thing changed.
fn changed(snapshot: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut changed = snapshot.clone();
    change(&mut changed);
    changed
}

/// Events that freed a pod, by kind, in the order of the checks below.
#[derive(Default)]
struct Freed([usize; 7]);

impl Freed {
    fn check(&mut self, kind: usize, what: &str, pod: &Pod, [before, after]: [&Snapshot; 2], event: &ClusterEvent<'_>) {
        if !fits(before, pod) && fits(after, pod) {
            self.0[kind] += 1;
            assert!(InterPodAffinity::default().helps(pod, event), "{what}: {event:#?}\ndoes not wake {:#?}", pod.spec);
        }
    }

    /// A node comes, goes or changes its labels, with the pods on it.
    fn node_events(&mut self, what: &str, whole: &Snapshot, pod: &Pod, (at, labels): (usize, Labels)) {
        let old = &whole.nodes[at].node;
        let new = Arc::new(Node { labels, ..Node::clone(old) });
        let without = changed(whole, |s| drop(s.nodes.remove(at)));
        let relabelled = changed(whole, |s| Arc::make_mut(&mut s.nodes[at]).node = new.clone());
        self.check(0, what, pod, [&without, whole], &ClusterEvent::NodeAdded(old));
        self.check(1, what, pod, [whole, &without], &ClusterEvent::NodeGone(old, &whole.nodes[at].pods));
        self.check(2, what, pod, [whole, &relabelled], &ClusterEvent::NodeChanged { old, new: &new });
    }

    /// The last pod of a node comes, goes or changes its labels.
    fn pod_events(&mut self, what: &str, whole: &Snapshot, pod: &Pod, (at, labels): (usize, Labels)) {
        let Some(old) = whole.nodes[at].pods.last().map(|placed| placed.pod.clone()) else { return };
        let mut new = old.clone();
        Arc::make_mut(&mut Arc::make_mut(&mut new).spec).labels = labels;
        let without = changed(whole, |s| drop(Arc::make_mut(&mut s.nodes[at]).pods.pop()));
        let relabelled = changed(whole, |s| Arc::make_mut(&mut s.nodes[at]).pods.last_mut().unwrap().pod = new.clone());
        self.check(3, what, pod, [&without, whole], &ClusterEvent::PodPlaced(&old));
        self.check(4, what, pod, [whole, &without], &ClusterEvent::PodRemoved(&old));
        self.check(5, what, pod, [whole, &relabelled], &ClusterEvent::PodChanged { old: &old, new: &new });
    }

    fn namespace_event(&mut self, what: &str, whole: &Snapshot, pod: &Pod, (name, team): (&str, &str)) {
        let relabelled = changed(whole, |s| drop(s.namespaces.insert(name.into(), Labels::from([("team", team)]))));
        self.check(6, what, pod, [whole, &relabelled], &ClusterEvent::Namespace(&name.into()));
    }
}

#[test]
fn no_event_that_makes_room_is_slept_through() {
    let mut freed = Freed::default();
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let (whole, pod) = (random.cluster().snapshot, random.pod("incoming"));
        let what = alloc::format!("seed {seed}");
        let at = usize::try_from(random.below(whole.nodes.len() as u64)).unwrap();
        let (of_node, of_pod) = (random.node(&whole.nodes[at].node.name).labels, random.labels());
        freed.node_events(&what, &whole, &pod, (at, of_node));
        freed.pod_events(&what, &whole, &pod, (at, of_pod));
        let namespace = random.pick(&["default", "other", "unknown"]);
        freed.namespace_event(&what, &whole, &pod, (namespace, random.pick(&["a", "b", "c"])));
    }
    assert!(freed.0.iter().all(|n| *n > 5), "the changes are too dull: {:?}", freed.0);
}
