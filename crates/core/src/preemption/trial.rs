//! Tries what the filters would say of a node if pods came to it or left it; the cluster itself stays as it is.
//! Leaves out which pods: nominated ones in every attempt, victims in preemption.

use crate::attached::volumes_of;
use crate::framework::{Attempt, Filter, Follower, Plugin, Prepared, Refusal};
use crate::profile::Points;
use aisched_model::node::{NodeInfo, PlacedPod};
use aisched_model::pod::Pod;
use aisched_model::signals::backends;
use aisched_model::snapshot::Snapshot;
use alloc::boxed::Box;
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
    checks: Vec<Check<'t>>,
    /// The changed cluster, for plugins that have to prepare again; `None` when there are none of these.
    world: Option<Snapshot>,
    /// The changed node, when there is no world.
    node: Arc<NodeInfo>,
    idx: usize,
    /// What was done to the node: a pod came (`true`) or left.
    done: Vec<(bool, PlacedPod)>,
}

/// How a plugin judges a changed node.
enum Check<'t> {
    /// By the node alone.
    Node(&'static str, &'t dyn Filter),
    /// By counts that it keeps in step.
    Follower(&'static str, Box<dyn Follower + 't>),
    /// By preparing again, on the changed cluster.
    Again(Judge<'t>),
}

impl<'t> Check<'t> {
    fn of(judge: &Judge<'t>) -> Self {
        let name = judge.plugin.name();
        match judge.filter.map(|filter| (filter, filter.follower())) {
            Some((filter, _)) if filter.reads_node_only() => Self::Node(name, filter),
            Some((_, Some(follower))) => Self::Follower(name, follower),
            Some((_, None)) | None => Self::Again(*judge),
        }
    }
}

impl<'t, 'a> Trial<'t, 'a> {
    pub(crate) fn new(attempt: &'t Attempt<'a>, judges: &[Judge<'t>]) -> Self {
        let checks: Vec<Check<'t>> = judges.iter().map(Check::of).collect();
        let world = checks.iter().any(|c| matches!(c, Check::Again(_))).then(|| attempt.snapshot.clone());
        Self { attempt, checks, world, node: Arc::default(), idx: 0, done: Vec::new() }
    }

    /// Turns to a node of the cluster, as it is; changes to the one before are undone.
    pub(crate) fn enter(&mut self, idx: usize) {
        for (came, placed) in core::mem::take(&mut self.done).into_iter().rev() {
            self.moved(&placed, !came);
        }
        let nodes = &self.attempt.snapshot.nodes;
        match &mut self.world {
            Some(world) => world.nodes[self.idx] = nodes[self.idx].clone(),
            None => self.node = nodes[idx].clone(),
        }
        self.idx = idx;
    }

    /// The node with what was changed.
    pub(crate) fn node(&self) -> &NodeInfo {
        self.world.as_ref().map_or(&self.node, |world| &world.nodes[self.idx])
    }

    pub(crate) fn add(&mut self, mut placed: PlacedPod) {
        placed.volumes = volumes_of(&placed.pod, self.attempt.snapshot);
        self.node_mut().add(placed.clone());
        self.changed(true, placed);
    }

    pub(crate) fn remove(&mut self, pod: &Arc<Pod>) {
        if let Some(placed) = self.node_mut().remove(&pod.uid) {
            self.changed(false, placed);
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
        let node = self.node();
        self.checks.iter().find_map(|check| {
            let (plugin, refusal) = match check {
                Check::Node(plugin, filter) => (*plugin, filter.check(node)),
                Check::Follower(plugin, filter) => (*plugin, filter.check(node)),
                Check::Again(judge) => (judge.plugin.name(), check_prepared(&judge.points.of(judge.plugin.prepare(&attempt)), node)),
            };
            Some(Against { plugin, refusal: refusal? })
        })
    }

    fn node_mut(&mut self) -> &mut NodeInfo {
        Arc::make_mut(match &mut self.world {
            Some(world) => &mut world.nodes[self.idx],
            None => &mut self.node,
        })
    }

    fn changed(&mut self, came: bool, placed: PlacedPod) {
        self.moved(&placed, came);
        self.done.push((came, placed));
    }

    /// Tells whoever counts.
    fn moved(&mut self, PlacedPod { pod, io, .. }: &PlacedPod, came: bool) {
        let node = &self.attempt.snapshot.nodes[self.idx].node;
        if let Some(world) = &mut self.world {
            count_claims(world, pod, &node.name, came);
            world.count_terms(pod, &node.name, came);
            let backends = backends(pod, world);
            world.promise_io(&backends, *io, came);
        }
        for check in &mut self.checks {
            if let Check::Follower(_, follower) = check {
                follower.pod_moved(pod, node, came);
            }
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
