//! What the event loop measures with its own clock: attempts to their end, waits, and how long events take. The core has no clock.
//! Leaves out the names of metrics: those are `aisched-http`'s.

use aisched_core::decision::Decision;
use aisched_core::engine::Engine;
use aisched_core::event::{BindOutcome, DeviceNews, Event, Millis, PodRef};
use aisched_http::{AttemptResult, Metrics};
use aisched_model::Str;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Attempts under way, by the pod's UID: the profile, and when the pod was taken off the queue.
pub(super) struct Measures {
    metrics: Arc<Metrics>,
    under_way: HashMap<Str, (Str, Instant)>,
}

impl Measures {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, under_way: HashMap::new() }
    }

    /// A decision was taken in so long; an attempt that found a node ends with its bind. `preempts` says whether victims were looked for
    /// where it found none.
    pub(super) fn decided(&mut self, decision: &Decision, took: Duration, preempts: bool) {
        self.metrics.algorithm(took);
        if decision.node.is_some() {
            let began = Instant::now().checked_sub(took).unwrap_or_else(Instant::now);
            self.under_way.insert(decision.uid.clone(), (decision.scheduler_name.clone(), began));
            return;
        }
        self.metrics.attempt(&decision.scheduler_name, AttemptResult::Unschedulable, took);
        if preempts {
            self.metrics.preemption_attempt();
        }
    }

    /// A bind has ended, of which the engine has not been told yet; gives how long the attempt took.
    pub(super) fn bind_ended(&mut self, engine: &Engine, now: Millis, pod: &PodRef, outcome: &BindOutcome) -> Option<Duration> {
        let (profile, began) = self.under_way.remove(&pod.uid)?;
        match outcome {
            BindOutcome::Bound => {
                self.metrics.attempt(&profile, AttemptResult::Scheduled, began.elapsed());
                if let Some(waiting) = engine.on_its_way(&pod.uid) {
                    self.metrics.pod_scheduled(waiting.attempts, Duration::from_millis(now.saturating_sub(waiting.since)));
                }
            }
            BindOutcome::Failed(_)
            | BindOutcome::NoVolumes(_)
            | BindOutcome::NotProvisioned(..)
            | BindOutcome::NoDevices(_)
            | BindOutcome::Preempted => {
                self.metrics.attempt(&profile, AttemptResult::Error, began.elapsed());
            }
            BindOutcome::Gone(_) => {} // it was no attempt of ours that ended it
        }
        Some(began.elapsed())
    }

    pub(super) fn handled(&self, event: &'static str, took: Duration) {
        self.metrics.event_handled(event, took);
    }
}

/// kube-scheduler's name of an event. What is set counts as updated, unless the engine did not know it: then it was added.
pub(super) fn label(event: &Event, engine: &Engine) -> &'static str {
    match event {
        Event::NodeSet(node, _) if engine.snapshot().node(&node.name).is_none() => "NodeAdd",
        Event::NodeSet(..) => "NodeUpdate",
        Event::NodeGone(_) => "NodeDelete",
        Event::PodSet(pod) => match (pod.node.is_some(), engine.waits(&pod.uid), engine.is_placed(&pod.uid)) {
            (true, _, true) => "AssignedPodUpdate",
            (true, _, false) => "AssignedPodAdd",
            (false, true, _) => "UnscheduledPodUpdate",
            (false, false, _) => "UnscheduledPodAdd",
        },
        Event::PodGone(pod) if engine.is_placed(&pod.uid) => "AssignedPodDelete",
        Event::PodGone(_) => "UnscheduledPodDelete",
        Event::ClaimSet(_) => "PersistentVolumeClaimUpdate",
        Event::ClaimGone(..) => "PersistentVolumeClaimDelete",
        Event::VolumeSet(_) => "PersistentVolumeUpdate",
        Event::VolumeGone(_) => "PersistentVolumeDelete",
        Event::ClassSet(_) => "StorageClassUpdate",
        Event::ClassGone(_) => "StorageClassDelete",
        Event::CsiNodeSet(_) => "CSINodeUpdate",
        Event::CsiNodeGone(_) => "CSINodeDelete",
        Event::CsiDriverSet(_) => "CSIDriverUpdate",
        Event::CsiDriverGone(_) => "CSIDriverDelete",
        Event::CapacitySet(_) => "CSIStorageCapacityUpdate",
        Event::CapacityGone(..) => "CSIStorageCapacityDelete",
        Event::AttachmentSet(_) => "VolumeAttachmentUpdate",
        Event::AttachmentGone(_) => "VolumeAttachmentDelete",
        Event::Devices(DeviceNews::Claim(_)) => "ResourceClaimUpdate",
        Event::Devices(DeviceNews::ClaimGone(..)) => "ResourceClaimDelete",
        Event::Devices(DeviceNews::Slice(_) | DeviceNews::Rule(_)) => "ResourceSliceUpdate",
        Event::Devices(DeviceNews::SliceGone(_) | DeviceNews::RuleGone(_)) => "ResourceSliceDelete",
        Event::Devices(DeviceNews::Class(_)) => "DeviceClassUpdate",
        Event::Devices(DeviceNews::ClassGone(_)) => "DeviceClassDelete",
        Event::NamespaceSet(..) => "NamespaceUpdate",
        Event::NamespaceGone(_) => "NamespaceDelete",
        Event::BudgetSet(_) => "PodDisruptionBudgetUpdate",
        Event::BudgetGone(..) => "PodDisruptionBudgetDelete",
        Event::OwnerSet(..) | Event::ForeignSet(_) | Event::ForeignGone(_) => "OtherUpdate",
        Event::Configured(_) => "ConfigurationUpdate",
        Event::PolicyAnswered(_) => "PolicyAnswered",
        Event::BindEnded { .. } => "BindEnded",
        Event::PreemptEnded { .. } => "PreemptEnded",
        Event::Consulted(_) => "Consulted",
        Event::Synced | Event::Leading => "Begin",
    }
}
