//! Who waits for which claims, node and pod: wakes them when the watches show a change, so that waiting costs no calls.
//! Leaves out what a change means: whoever is woken reads the claims anew.

use super::Failure;
use aisched_core::event::{Event, PodRef};
use aisched_model::Str;
use aisched_model::volume::VolumePlan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// What can change for a waiter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Claim(Str, Str),
    Node(Str),
    Pod(Str),
}

/// What has happened to a waiter's pod and node.
#[derive(Clone, Copy, Default)]
struct News {
    pod_gone: bool,
    node_gone: bool,
    preempted: bool,
}

type Board = Arc<Mutex<BTreeMap<(Topic, u64), Arc<watch::Sender<News>>>>>;

/// All who wait. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Waiters {
    board: Board,
    next: Arc<Mutex<u64>>,
}

/// One who waits; dropping it ends that.
pub(super) struct Waiter {
    board: Board,
    keys: Vec<(Topic, u64)>,
    news: watch::Receiver<News>,
}

impl Waiters {
    pub(super) fn enter(&self, pod: &PodRef, node: &Str, plan: &VolumePlan) -> Waiter {
        let id = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        let claims = plan.bind.iter().map(|(claim, _)| claim).chain(&plan.provision);
        let claims = claims.map(|claim| Topic::Claim(claim.namespace.clone(), claim.name.clone()));
        let topics = claims.chain([Topic::Node(node.clone()), Topic::Pod(pod.uid.clone())]);
        let keys: Vec<_> = topics.map(|topic| (topic, id)).collect();
        let (sender, news) = watch::channel(News::default());
        let sender = Arc::new(sender);
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.extend(keys.iter().map(|key| (key.clone(), sender.clone())));
        drop(board);
        Waiter { board: self.board.clone(), keys, news }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Has a pod's binding given up, if it has not got beyond its volumes: then it will not be bound.
    pub(super) fn call_off(&self, uid: &Str) -> bool {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        for (_, sender) in board.range((Topic::Pod(uid.clone()), 0)..=(Topic::Pod(uid.clone()), u64::MAX)) {
            sender.send_modify(|known| known.preempted = true);
            found = true;
        }
        found
    }

    pub(super) fn saw(&self, event: &Event) {
        let (topic, news) = match event {
            Event::ClaimSet(claim) => (Topic::Claim(claim.namespace.clone(), claim.name.clone()), News::default()),
            Event::ClaimGone(namespace, name) => (Topic::Claim(namespace.clone(), name.clone()), News::default()),
            Event::NodeGone(name) => (Topic::Node(name.clone()), News { node_gone: true, ..News::default() }),
            Event::PodGone(pod) => (Topic::Pod(pod.uid.clone()), News { pod_gone: true, ..News::default() }),
            _ => return,
        };
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, sender) in board.range((topic.clone(), 0)..=(topic, u64::MAX)) {
            sender.send_modify(|known| {
                known.pod_gone |= news.pod_gone;
                known.node_gone |= news.node_gone;
            });
        }
    }
}

impl Waiter {
    /// Whether there is any point in going on.
    pub(super) fn look(&mut self, node: &str) -> Result<(), Failure> {
        let news = *self.news.borrow_and_update();
        if news.pod_gone {
            return Err(Failure::PodGone);
        }
        if news.preempted {
            return Err(Failure::Preempted);
        }
        if news.node_gone {
            return Err(Failure::Failed(format!("binding volumes: failed to get node {node:?}: node {node:?} not found")));
        }
        Ok(())
    }

    /// Leaves the board: from here on nobody can call the binding off. Whoever did so before is heeded.
    pub(super) fn done(mut self) -> Result<(), Failure> {
        self.leave();
        if self.news.borrow().preempted { Err(Failure::Preempted) } else { Ok(()) }
    }

    fn leave(&mut self) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        for key in self.keys.drain(..) {
            board.remove(&key);
        }
    }

    /// Waits for a change since the last look.
    pub(super) async fn change(&mut self) {
        // The sender lives on the board as long as this does.
        let _closed = self.news.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
    }
}
