//! What the engine knows at one moment: taken at once, shared, never changed, so that questions are worked on while scheduling goes on.
//! Leaves out who asks and in which shape they are answered.

use crate::ages::date;
use crate::consult::Heard;
use crate::cures::{Cure, find};
use crate::decide::{Choice, decide};
use crate::decision::Decision;
use crate::event::{Event, Millis};
use crate::framework::Attempt;
use crate::profile::Profile;
use crate::queue::Waiting;
use crate::records::Record;
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::snapshot::Snapshot;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The engine's knowledge at one moment. Nodes, pods and other objects are shared with the engine.
#[derive(Clone)]
pub struct View {
    /// When it was taken.
    pub now: Millis,
    /// The cluster, nodes as they are believed to be.
    pub snapshot: Snapshot,
    /// Nodes as they are written, without what other systems say of them.
    pub as_written: BTreeMap<Str, Arc<Node>>,
    /// Pods that wait, in no order that means anything.
    pub waiting: Vec<Held>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The profiles that schedule.
    pub profiles: Arc<[Profile]>,
    /// The latest decisions, as far as they are kept whole; the newest first.
    pub decisions: Vec<Arc<Decision>>,
    /// Decides between equals in the next decision.
    pub salt: u64,
}

/// A pod that waits, and why it may not be tried now, if it may not.
#[derive(Clone, Debug)]
pub struct Held {
    /// The pod and its attempts so far.
    pub waiting: Waiting,
    /// Its gate, or what its policy says.
    pub held: Option<Str>,
    /// The latest decision on it.
    pub last: Option<Record>,
}

impl core::fmt::Debug for View {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("View").field("now", &self.now).finish_non_exhaustive()
    }
}

impl View {
    /// The waiting pod of this name.
    #[must_use]
    pub fn waiting(&self, namespace: &str, name: &str) -> Option<&Held> {
        self.waiting.iter().find(|h| *h.waiting.pod.namespace == *namespace && *h.waiting.pod.name == *name)
    }

    /// Decides once more for a pod that waits, reporting on every node. The node that it would go to is in `nodes`; it has none yet.
    #[must_use]
    pub fn explain(&self, held: &Held) -> Option<Decision> {
        let waiting = &held.waiting;
        let profile = self.profiles.iter().find(|p| p.scheduler_name == waiting.pod.spec.scheduler_name)?;
        let mut decision = decide_alone(profile, &self.snapshot, &self.config, waiting, (self.salt, self.now), usize::MAX);
        if let Some(reason) = &held.held {
            decision.node = None;
            decision.message = Some((**reason).into());
        } else if let Some(node) = decision.node.take() {
            decision.message = Some(format!("waits for its next attempt; as the cluster is now, it would go to {node}"));
        } else {
            decision.cures = cures_alone(profile, &self.snapshot, &self.config, waiting);
        }
        Some(decision)
    }

    /// What would cure a waiting pod's refusal; nothing where it would fit, or is held back whatever the nodes.
    #[must_use]
    pub fn cures(&self, held: &Held) -> Vec<Cure> {
        let scheduler_name = &held.waiting.pod.spec.scheduler_name;
        let profile = self.profiles.iter().find(|p| p.scheduler_name == *scheduler_name).filter(|_| held.held.is_none());
        profile.map_or(Vec::new(), |profile| cures_alone(profile, &self.snapshot, &self.config, &held.waiting))
    }

    /// The objects as the events that would tell an engine of them: pods last, those without a node at the very end.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let of = &self.snapshot;
        let nodes = self.as_written.values().map(|n| Event::NodeSet(n.clone(), Vec::new()));
        let placed = of.nodes.iter().flat_map(|n| n.pods.iter().map(|p| Event::PodSet(p.pod.clone())));
        let mut all: Vec<Event> = Vec::new();
        all.extend(of.namespaces.iter().map(|(name, labels)| Event::NamespaceSet(name.clone(), labels.clone())));
        all.extend(nodes);
        all.extend(of.classes.values().cloned().map(Event::ClassSet));
        all.extend(of.csi_drivers.values().cloned().map(Event::CsiDriverSet));
        all.extend(of.csi_nodes.values().cloned().map(Event::CsiNodeSet));
        all.extend(of.capacities.values().cloned().map(Event::CapacitySet));
        all.extend(of.volumes.values().cloned().map(Event::VolumeSet));
        all.extend(of.claims.values().cloned().map(Event::ClaimSet));
        all.extend(of.attachments.values().cloned().map(Event::AttachmentSet));
        all.extend(of.budgets.values().cloned().map(Event::BudgetSet));
        all.extend(of.owners.iter().map(|(id, selector)| Event::OwnerSet(id.clone(), Some(selector.clone()))));
        all.extend(of.foreign.iter().map(Event::ForeignSet));
        all.extend(placed);
        all.extend(self.in_queue_order().into_iter().map(|h| Event::PodSet(h.waiting.pod.clone())));
        all
    }

    /// Waiting pods as they would be tried: by priority, then in the order of the queue.
    #[must_use]
    pub fn in_queue_order(&self) -> Vec<&Held> {
        let mut all: Vec<&Held> = self.waiting.iter().collect();
        all.sort_by_key(|h| h.waiting.place());
        all
    }
}

/// What would cure one waiting pod's refusal.
pub(crate) fn cures_alone(profile: &Profile, snapshot: &Snapshot, config: &Config, waiting: &Waiting) -> Vec<Cure> {
    let policy = waiting.policy.as_deref();
    let workload = WorkloadProfile::resolve(&waiting.pod, policy.map(|p| (p, waiting.policy_source)), config, snapshot);
    let attempt = Attempt { snapshot, pod: &waiting.judged, workload: &workload, policy, config };
    find(profile, &attempt, waiting.policy_source)
}

/// Decides for one waiting pod on a cluster, with nothing remembered and nobody else heard.
pub(crate) fn decide_alone(
    profile: &Profile,
    snapshot: &Snapshot,
    config: &Config,
    waiting: &Waiting,
    (salt, now): (u64, Millis),
    report_nodes: usize,
) -> Decision {
    let policy = waiting.policy.as_deref();
    let workload = WorkloadProfile::resolve(&waiting.pod, policy.map(|p| (p, waiting.policy_source)), config, snapshot);
    let attempt = Attempt { snapshot, pod: &waiting.judged, workload: &workload, policy, config };
    let heard = Heard::default();
    let choice = Choice { salt, report_nodes, policy_source: waiting.policy_source, heard, in_peace: &waiting.raided, within: None };
    let mut decision = decide(profile, &attempt, choice).decision;
    date(&mut decision, waiting, snapshot, now);
    decision
}
