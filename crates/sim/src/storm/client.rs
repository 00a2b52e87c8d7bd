//! A scheduler process as the cluster sees it: the production engine, its watches, and a notebook of what it was told and has promised.
//! The notebook is kept without the engine's help, so that the engine's books can be held against it (`invariants`).

use super::server::{Kind, Server};
use super::watch::Watch;
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, BindOutcome, Event, Millis};
use aisched_core::profile::Profile;
use aisched_core::queue::QueueOptions;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::gang::GangKey;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::volume::{Claim, Volume};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// What the scheduler was told, and what it has asked for since.
#[derive(Default)]
pub(super) struct Notebook {
    pub(super) nodes: BTreeMap<Str, Arc<Node>>,
    pub(super) pods: BTreeMap<Str, Arc<Pod>>,
    pub(super) claims: BTreeMap<(Str, Str), Arc<Claim>>,
    pub(super) volumes: BTreeMap<Str, Arc<Volume>>,
    /// Pods that it has asked to be bound and does not see bound.
    pub(super) promised: BTreeMap<Str, Promise>,
    /// Victims that it has asked for and that are still there.
    pub(super) victims: BTreeSet<Str>,
    /// Members of gangs that were on a node and have gone without being deleted, by gang.
    pub(super) done: BTreeMap<GangKey, BTreeSet<Str>>,
}

/// A bind that was asked for.
pub(super) struct Promise {
    pub(super) pod: Arc<Pod>,
    pub(super) node: Str,
    pub(super) told: Told,
}

/// What the scheduler knows of its bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Bound,
    /// The pod is bound elsewhere, or gone; the watch will show it.
    Gone,
}

/// A scheduler process.
pub(super) struct Client {
    pub(super) engine: Engine,
    pub(super) watches: Vec<Watch>,
    pub(super) notes: Notebook,
    /// Counts the starts: answers to an earlier process reach nobody.
    pub(super) incarnation: u64,
    pub(super) scheduler_name: Str,
    synced: bool,
}

impl Client {
    pub(super) fn start(scheduler_name: Str, incarnation: u64, seed: u64, config: &Arc<Config>, now: Millis) -> Self {
        // Nobody is saved by the retry that comes after five minutes.
        let queue = QueueOptions { max_unschedulable_ms: 1 << 40, pop_from_backoff: !seed.is_multiple_of(3), ..QueueOptions::default() };
        let options = EngineOptions { seed: seed ^ incarnation, queue, records: 0, ..EngineOptions::default() };
        let mut engine = Engine::new(vec![Profile::ai_storage(scheduler_name.clone())], options);
        engine.handle(now, Event::Configured(config.clone()));
        let watches = Kind::ALL.map(Watch::new).into();
        Self { engine, watches, notes: Notebook::default(), incarnation, scheduler_name, synced: false }
    }

    /// The next event of one watch; after the first lists, that they have all arrived.
    pub(super) fn next(&mut self, watch: usize, server: &Server) -> Option<Event> {
        let event = self.watches.get_mut(watch)?.next(server);
        if event.is_none() && !self.synced && self.watches.iter().all(|watch| watch.listed) {
            self.synced = true;
            return Some(Event::Synced);
        }
        event
    }

    /// Tells the scheduler what happened.
    pub(super) fn told(&mut self, event: Event, now: Millis) {
        self.notes.told(&event);
        self.engine.handle(now, event);
    }
}

impl Notebook {
    fn told(&mut self, event: &Event) {
        match event {
            Event::NodeSet(node, _) => drop(self.nodes.insert(node.name.clone(), node.clone())),
            Event::NodeGone(name) => drop(self.nodes.remove(name)),
            Event::ClaimSet(claim) => drop(self.claims.insert((claim.namespace.clone(), claim.name.clone()), claim.clone())),
            Event::ClaimGone(namespace, name) => drop(self.claims.remove(&(namespace.clone(), name.clone()))),
            Event::VolumeSet(volume) => drop(self.volumes.insert(volume.name.clone(), volume.clone())),
            Event::VolumeGone(name) => drop(self.volumes.remove(name)),
            Event::PodSet(pod) => {
                let told = self.promised.get(&pod.uid).map(|promise| promise.told);
                // A pod that is being deleted and has no node will get none.
                if (pod.node.is_some() && told != Some(Told::Nothing)) || (pod.node.is_none() && pod.deleting) {
                    self.promised.remove(&pod.uid);
                }
                self.pods.insert(pod.uid.clone(), pod.clone());
            }
            Event::PodGone(pod) => {
                if let Some(gone) = self.pods.remove(&pod.uid) {
                    self.member_gone(&gone);
                }
                self.promised.remove(&pod.uid);
                self.victims.remove(&pod.uid);
            }
            Event::BindEnded { pod, node: _, outcome } => self.bind_ended(&pod.uid, outcome),
            Event::PreemptEnded { pod: _, failed } => self.victims.retain(|uid| failed.iter().all(|victim| victim.uid != *uid)),
            _ => {}
        }
    }

    fn member_gone(&mut self, gone: &Pod) {
        let Some(gang) = gang_of(gone) else { return };
        if gone.node.is_some() && !gone.deleting {
            self.done.entry(gang.clone()).or_default().insert(gone.uid.clone());
        }
        if !self.pods.values().any(|pod| gang_of(pod).as_ref() == Some(&gang)) {
            self.done.remove(&gang);
        }
    }

    fn bind_ended(&mut self, uid: &str, outcome: &BindOutcome) {
        let told = match outcome {
            BindOutcome::Bound => Told::Bound,
            BindOutcome::Gone(_) => Told::Gone,
            BindOutcome::Preempted => {
                self.victims.remove(uid);
                return drop(self.promised.remove(uid));
            }
            BindOutcome::Failed(_) | BindOutcome::NoVolumes(_) | BindOutcome::NotProvisioned(..) | BindOutcome::NoDevices(_) => {
                return drop(self.promised.remove(uid));
            }
        };
        let seen = self.pods.get(uid).is_none_or(|pod| pod.node.is_some());
        match self.promised.get_mut(uid) {
            Some(_) if seen => drop(self.promised.remove(uid)),
            Some(promise) => promise.told = told,
            None => {}
        }
    }

    /// Notes what the scheduler asks for.
    pub(super) fn asked(&mut self, action: &Action) {
        match action {
            Action::Bind { pod, node, .. } => {
                if let Some(seen) = self.pods.get(&pod.uid) {
                    let promise = Promise { pod: seen.clone(), node: node.clone(), told: Told::Nothing };
                    self.promised.insert(pod.uid.clone(), promise);
                }
            }
            Action::Preempt { victims, .. } => self.victims.extend(victims.iter().map(|victim| victim.uid.clone())),
            _ => {}
        }
    }

    /// The pods that take up room on a node, as far as the scheduler can know: seen there, or promised and not seen elsewhere.
    pub(super) fn on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        let seen = self.pods.values().filter(move |pod| pod.node.as_deref() == Some(node));
        let holds = move |promise: &&Promise| *promise.node == *node && promise.told != Told::Gone;
        let unseen = |promise: &&Promise| self.pods.get(&promise.pod.uid).is_some_and(|pod| pod.node.is_none());
        seen.chain(self.promised.values().filter(holds).filter(unseen).map(|promise| &promise.pod))
    }
}

/// The gang of a pod.
pub(super) fn gang_of(pod: &Pod) -> Option<GangKey> {
    pod.spec.gang.as_ref().map(|gang| gang.key(&pod.namespace))
}
