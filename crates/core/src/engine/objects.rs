//! What the watches say: nodes, pods, claims, volumes. Updates the cache and wakes the pods that a change can help.
//! Leaves out deciding (`attempt`) and the queue's own states (`waiting`).

use super::Engine;
use crate::event::{Action, ApiEvent, Event, Millis, PodRef, Regarding};
use crate::framework::ClusterEvent;
use crate::profile::Profile;
use aisched_model::Str;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::storage_facts::Fault;
use aisched_model::volume::{Claim, CsiDriver, CsiNode};
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    /// Objects that are not pods.
    pub(super) fn object_changed(&mut self, now: Millis, event: Event) {
        match event {
            Event::NodeSet(node, faults) => self.node_set(now, node, &faults),
            Event::NodeGone(name) => self.node_gone(now, &name),
            Event::ClaimSet(claim) => {
                let old = self.cache.set_claim(claim.clone());
                self.wake(now, &ClusterEvent::Claim(old.as_deref(), &claim));
                self.forsake(now, (&claim.namespace, &claim.name), Some(&claim.uid));
            }
            Event::ClaimGone(namespace, name) => {
                self.forsake(now, (&namespace, &name), None);
                Arc::make_mut(&mut self.cache.objects().history).forget_claim(&namespace, &name);
                if let Some(claim) = self.cache.remove_claim(namespace, name).filter(|claim| claim.is_pending()) {
                    self.no_longer_pending(now, &claim);
                }
            }
            Event::VolumeSet(volume) => {
                let old = self.cache.set_volume(volume.clone());
                self.wake(now, &ClusterEvent::Volume(old.as_deref(), &volume));
            }
            Event::VolumeGone(name) => self.cache.remove_volume(&name),
            Event::ClassSet(class) => {
                self.heard(now, format!("StorageClass {}", class.name));
                let old = self.cache.set_class(class.clone());
                if self.synced && old.as_ref().is_none_or(|old| old.facts != class.facts) {
                    self.cache.recount_io(|_, _| None);
                }
                self.wake(now, &ClusterEvent::Class(old.as_deref(), &class));
            }
            Event::ClassGone(name) => {
                self.forgotten(&format!("StorageClass {name}"));
                self.cache.remove_class(&name);
            }
            Event::CsiNodeSet(csi_node) => {
                let old = self.cache.set_csi_node(csi_node.clone());
                self.wake(now, &ClusterEvent::CsiNode(old.as_deref(), &csi_node));
            }
            Event::CsiNodeGone(name) => {
                if let Some(old) = self.cache.remove_csi_node(&name) {
                    self.wake(now, &ClusterEvent::CsiNode(Some(&old), &CsiNode { name, ..CsiNode::default() }));
                }
            }
            Event::CsiDriverSet(driver) => {
                let old = self.cache.objects().csi_drivers.insert(driver.name.clone(), driver.clone());
                self.wake(now, &ClusterEvent::CsiDriver(old.as_deref(), &driver));
            }
            Event::CsiDriverGone(name) => {
                if let Some(old) = self.cache.objects().csi_drivers.remove(&name) {
                    self.wake(now, &ClusterEvent::CsiDriver(Some(&old), &CsiDriver { name, ..CsiDriver::default() }));
                }
            }
            Event::CapacitySet(capacity) => {
                let old = self.cache.objects().set_capacity(capacity.clone());
                self.wake(now, &ClusterEvent::Capacity(old.as_deref(), &capacity));
            }
            Event::CapacityGone(namespace, name) => {
                self.cache.objects().remove_capacity(&(namespace, name));
            }
            Event::AttachmentSet(attachment) => {
                self.heard(now, format!("VolumeAttachment {}", attachment.name));
                self.cache.set_attachment(attachment);
            }
            Event::AttachmentGone(name) => {
                self.forgotten(&format!("VolumeAttachment {name}"));
                if let Some(attachment) = self.cache.remove_attachment(&name) {
                    self.wake(now, &ClusterEvent::Detached(&attachment));
                }
            }
            Event::BudgetSet(budget) => {
                self.cache.objects().budgets.insert((budget.namespace.clone(), budget.name.clone()), budget);
            }
            Event::BudgetGone(namespace, name) => {
                self.cache.objects().budgets.remove(&(namespace, name));
            }
            // Wakes nobody, as in kube-scheduler: which pods are counted is looked up again at the next attempt.
            Event::OwnerSet(id, selector) => self.cache.objects().owners.set(id, selector),
            Event::NamespaceSet(name, labels) => {
                self.cache.objects().namespaces.insert(name.clone(), labels);
                self.wake(now, &ClusterEvent::Namespace(&name));
            }
            Event::NamespaceGone(name) => {
                self.cache.objects().namespaces.remove(&name);
            }
            Event::Devices(news) => self.devices_changed(now, news),
            Event::ForeignSet(object) => self.foreign_set(now, object),
            Event::ForeignGone(name) => self.foreign_gone(now, &name),
            Event::PodSet(_)
            | Event::PodGone(_)
            | Event::Synced
            | Event::Leading
            | Event::Configured(_)
            | Event::PolicyAnswered(_)
            | Event::BindEnded { .. }
            | Event::Consulted(_)
            | Event::PreemptEnded { .. } => {}
        }
    }

    fn node_set(&mut self, now: Millis, node: Arc<Node>, faults: &[Fault]) {
        self.report_faults(&node.name, faults);
        self.node_written(now, node);
    }

    fn node_gone(&mut self, now: Millis, name: &Str) {
        self.reported.retain(|(node, _, _)| node != name);
        self.rejections.forget_node(self.cache.objects(), name);
        if let Some(info) = self.cache.remove_node(name) {
            self.wake(now, &ClusterEvent::NodeGone(&info.node, &info.pods));
        }
        Arc::make_mut(&mut self.cache.objects().history).forget_node(name);
        self.node_unwritten(now, name);
    }

    /// Says once per node and value that an annotation could not be used.
    fn report_faults(&mut self, node: &Str, faults: &[Fault]) {
        for fault in faults {
            if self.reported.insert((node.clone(), fault.key.clone(), fault.value.clone())) {
                let event = self.event(Regarding::Node(node.clone()), None, "InvalidStorageFact", "Parsing", fault.to_string());
                self.actions.push(event);
            }
        }
    }

    /// A warning event on a pod; its own profile speaks.
    pub(super) fn warning(&self, pod: &Pod, reason: &'static str, note: alloc::string::String) -> Action {
        self.event(Regarding::Pod(PodRef::from(pod)), Some(&pod.spec.scheduler_name), reason, "Scheduling", note)
    }

    /// A warning event; the reporter is the pod's profile, or the first.
    pub(super) fn event(
        &self,
        regarding: Regarding,
        scheduler_name: Option<&Str>,
        reason: &'static str,
        action: &'static str,
        note: alloc::string::String,
    ) -> Action {
        let reporter = scheduler_name.or_else(|| self.profiles.first().map(|p| &p.scheduler_name)).cloned().unwrap_or_default();
        Action::RecordEvent(ApiEvent { regarding, warning: true, reason, action, note, reporter })
    }

    pub(super) fn pod_set(&mut self, now: Millis, pod: Arc<Pod>) {
        if pod.ended {
            self.note_rejection(now, &pod);
            return self.pod_gone(now, &PodRef::from(&*pod));
        }
        match &pod.node {
            Some(node) => self.placed_pod_set(now, &pod, &node.clone()),
            None => self.waiting_pod_set(now, pod),
        }
    }

    /// What a pod of this scheduler read may be found on its node for a while.
    fn remember_run(&mut self, pod: &Pod, node: &Str) {
        if self.profile_of(&pod.spec.scheduler_name).is_some_and(Profile::has_ai_plugins) {
            Arc::make_mut(&mut self.cache.objects().history).note(pod, node);
        }
    }

    /// A pod that was on a node in this process's time has been turned away by the kubelet: others like it have to go elsewhere.
    fn note_rejection(&mut self, now: Millis, pod: &Pod) {
        if let Some((reason, node)) = pod.rejected.as_ref().zip(pod.node.as_ref()).filter(|_| self.cache.is_placed(&pod.uid)) {
            self.rejections.rejected(self.cache.objects(), now, node, &pod.spec, reason);
        }
    }

    fn placed_pod_set(&mut self, now: Millis, pod: &Arc<Pod>, node: &Str) {
        if self.queue.remove(&pod.uid).is_some() {
            self.actions.push(Action::ForgetPolicy(pod.uid.clone()));
        }
        self.consults.remove(&pod.uid);
        self.nomination_served(now, &pod.uid, node);
        let io = self.io_of(pod);
        let other = |assumed: &&Arc<Pod>| assumed.spec.requests != pod.spec.requests || assumed.spec.labels != pod.spec.labels;
        let changed = self.cache.assumed(&pod.uid).filter(other).cloned();
        let old = self.cache.set_pod(pod.clone(), node, io);
        let starts = pod.start_s.is_some() && old.as_ref().is_none_or(|old| old.start_s.is_none());
        if starts {
            self.remember_run(pod, node);
        }
        if starts && self.rejections.accepted(self.cache.objects(), node, &pod.spec) {
            self.wake(now, &ClusterEvent::Readmits(node));
        }
        if let Some(gang) = pod.spec.gang.as_ref().filter(|_| old.is_none()) {
            self.gang_changed(now, &gang.key(&pod.namespace));
        }
        match old {
            None => {
                self.wake(now, &ClusterEvent::PodPlaced(pod));
                if let Some(old) = changed {
                    self.wake(now, &ClusterEvent::PodChanged { old: &old, new: pod }); // before its bind was seen
                }
            }
            Some(old) if old.spec != pod.spec || old.deleting != pod.deleting => {
                self.wake(now, &ClusterEvent::PodChanged { old: &old, new: pod })
            }
            Some(_) => {}
        }
    }

    pub(super) fn pod_gone(&mut self, now: Millis, pod: &PodRef) {
        let waited = self.queue.remove(&pod.uid);
        if waited.is_some() {
            self.records.forget_refused(&format!("{}/{}", pod.namespace, pod.name));
            self.actions.push(Action::ForgetPolicy(pod.uid.clone()));
        }
        self.consults.remove(&pod.uid);
        if self.binding.remove(&pod.uid).is_some() {
            self.take_back_volumes(now, &pod.uid);
        }
        self.cache.objects().nominated.pardon(&pod.uid);
        self.forget_nomination(now, &pod.uid);
        let removed = self.cache.remove_pod(&pod.uid);
        if let Some(removed) = &removed {
            if let Some(node) = removed.node.as_ref().filter(|_| removed.start_s.is_some()) {
                self.remember_run(removed, node);
            }
            self.wake(now, &ClusterEvent::PodRemoved(removed));
        }
        self.forget_gangs(removed.as_deref().or(waited.as_ref().map(|w| &*w.pod)));
    }

    /// Volumes that were promised to claims that are there no more are free for others.
    fn forsake(&mut self, now: Millis, name: (&Str, &Str), uid: Option<&Str>) {
        for volume in self.cache.forsake(name, uid) {
            self.wake(now, &ClusterEvent::Volume(None, &volume));
        }
    }

    /// No volume is made for the claim any more: the room for it is there for others.
    pub(super) fn no_longer_pending(&mut self, now: Millis, claim: &Claim) {
        let pending = Claim { selected_node: Some(Str::default()), ..claim.clone() };
        let idle = Claim { selected_node: None, ..claim.clone() };
        self.wake(now, &ClusterEvent::Claim(Some(&pending), &idle));
    }

    /// Requeues every refused pod that one of the plugins that refused it says the event can help.
    pub(super) fn wake(&mut self, now: Millis, event: &ClusterEvent<'_>) {
        self.stir();
        let helped: Vec<Str> = self.queue.unschedulable().filter(|w| self.helps(w, event)).map(|w| w.pod.uid.clone()).collect();
        for uid in helped {
            self.requeue(now, &uid, event.label());
        }
    }
}
