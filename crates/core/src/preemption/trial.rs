//! Tries what the filters would say of a node if pods came to it or left it; the cluster itself stays as it is.
//! Leaves out which pods: nominated ones in every attempt, victims in preemption.

use crate::framework::{Attempt, Filter, Plugin, Prepared, Refusal};
use crate::profile::Points;
use aisched_model::node::{NodeInfo, PlacedPod};
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A plugin that has a say in where the pod may go.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'t> {
    pub(crate) plugin: &'t dyn Plugin,
    pub(crate) points: Points,
    /// What it prepared; `None` when it refused the pod whatever the node, so that it has to look again.
    pub(crate) filter: Option<&'t dyn Filter>,
}

/// Why a node is out.
pub(crate) struct Against {
    pub(crate) plugin: &'static str,
    pub(crate) refusal: Refusal,
}

/// One node at a time, with changes.
pub(crate) struct Trial<'t, 'a> {
    attempt: &'t Attempt<'a>,
    judges: &'t [Judge<'t>],
    /// The changed cluster, for judges that look beyond the node; `None` when there are none of these.
    world: Option<Snapshot>,
    /// The changed node, when there is no world.
    node: Arc<NodeInfo>,
    idx: usize,
    /// What was done to the world: a pod came (`true`) or left.
    done: Vec<(bool, Arc<Pod>)>,
}

impl<'t, 'a> Trial<'t, 'a> {
    pub(crate) fn new(attempt: &'t Attempt<'a>, judges: &'t [Judge<'t>]) -> Self {
        let looks_beyond = judges.iter().any(|j| !j.filter.is_some_and(Filter::reads_node_only));
        let world = looks_beyond.then(|| attempt.snapshot.clone());
        Self { attempt, judges, world, node: Arc::default(), idx: 0, done: Vec::new() }
    }

    /// Turns to a node of the cluster, as it is; changes to the one before are undone.
    pub(crate) fn enter(&mut self, idx: usize) {
        let nodes = &self.attempt.snapshot.nodes;
        if let Some(world) = &mut self.world {
            for (came, pod) in self.done.drain(..).rev() {
                count_claims(world, &pod, &nodes[self.idx].node.name, !came);
            }
            world.nodes[self.idx] = nodes[self.idx].clone();
        } else {
            self.node = nodes[idx].clone();
        }
        self.idx = idx;
    }

    /// The node with what was changed.
    pub(crate) fn node(&self) -> &NodeInfo {
        self.world.as_ref().map_or(&self.node, |world| &world.nodes[self.idx])
    }

    pub(crate) fn add(&mut self, placed: PlacedPod) {
        self.changed(true, &placed.pod);
        self.node_mut().add(placed);
    }

    pub(crate) fn remove(&mut self, pod: &Arc<Pod>) {
        if self.node_mut().remove(&pod.uid).is_some() {
            self.changed(false, pod);
        }
    }

    /// What stands against the node. Pods that are nominated to it and that the pod has to give way to are there in a first round; a
    /// second one without them finds what only held because of them (they may end up elsewhere).
    pub(crate) fn judge(&mut self) -> Option<Against> {
        let rivals: Vec<PlacedPod> = rivals(self.attempt, &self.node().node.name).cloned().collect();
        if !rivals.is_empty() {
            rivals.iter().for_each(|rival| self.add(rival.clone()));
            let against = self.check();
            rivals.iter().for_each(|rival| self.remove(&rival.pod));
            if against.is_some() {
                return against;
            }
        }
        self.check()
    }

    fn check(&self) -> Option<Against> {
        let attempt = Attempt { snapshot: self.world.as_ref().unwrap_or(self.attempt.snapshot), ..*self.attempt };
        self.judges.iter().find_map(|judge| {
            let refusal = match judge.filter.filter(|f| f.reads_node_only()) {
                Some(filter) => filter.check(self.node()),
                None => check_prepared(&judge.points.of(judge.plugin.prepare(&attempt)), self.node()),
            };
            Some(Against { plugin: judge.plugin.name(), refusal: refusal? })
        })
    }

    fn node_mut(&mut self) -> &mut NodeInfo {
        Arc::make_mut(match &mut self.world {
            Some(world) => &mut world.nodes[self.idx],
            None => &mut self.node,
        })
    }

    fn changed(&mut self, came: bool, pod: &Arc<Pod>) {
        if let Some(world) = &mut self.world {
            count_claims(world, pod, &self.attempt.snapshot.nodes[self.idx].node.name, came);
            self.done.push((came, pod.clone()));
        }
    }
}

/// Pods nominated to a node that the attempt's pod has to give way to: those of its own priority too, for they came first.
pub(crate) fn rivals<'a>(attempt: &Attempt<'a>, node: &str) -> impl Iterator<Item = &'a PlacedPod> {
    let (pod, nominated) = (attempt.pod, attempt.snapshot.nominated.on(node));
    nominated.iter().filter(|p| p.pod.spec.priority >= pod.spec.priority && p.pod.uid != pod.uid)
}

fn check_prepared(prepared: &Prepared<'_>, node: &NodeInfo) -> Option<Refusal> {
    if prepared.refusal.is_some() {
        return prepared.refusal.clone();
    }
    if prepared.only_nodes.as_ref().is_some_and(|names| !names.contains(&node.node.name)) {
        return Some(Refusal::unresolvable("node(s) didn't satisfy plugin(s)"));
    }
    prepared.filter.as_ref()?.check(node)
}

fn count_claims(world: &mut Snapshot, pod: &Pod, node: &aisched_model::Str, there: bool) {
    for claim in pod.claims() {
        let users = world.claim_users.entry((pod.namespace.clone(), claim)).or_default();
        if there {
            users.push(node.clone());
        } else if let Some(i) = users.iter().position(|n| n == node) {
            users.swap_remove(i);
        }
    }
}

impl Against {
    pub(crate) fn share(&self) -> Self {
        Self { plugin: self.plugin, refusal: self.refusal.clone() }
    }
}
