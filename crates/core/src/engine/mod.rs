//! The scheduler as a state machine: events in, actions out, time as an argument.
//! Knows neither threads nor network; whoever drives it (the binary, the simulator) carries the actions out.

mod attempt;
mod consult;
mod crew;
mod devices;
mod gangs;
mod objects;
mod policy;
mod preempt;
mod signals;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_consult;
#[cfg(test)]
mod tests_gangs;
#[cfg(test)]
mod tests_io;
#[cfg(test)]
mod tests_memory;
#[cfg(test)]
mod tests_policy;
#[cfg(test)]
mod tests_preempt;
#[cfg(test)]
mod tests_preempt_random;
#[cfg(test)]
mod tests_queue;
#[cfg(test)]
mod tests_signals;
#[cfg(test)]
mod tests_standby;
#[cfg(test)]
mod tests_volumes;
mod waiting;

use crate::cache::Cache;
use crate::consult::Extender;
use crate::decision::Decision;
use crate::event::{Action, BindOutcome, Event, Millis, PodRef};
use crate::framework::ClusterEvent;
use crate::profile::Profile;
use crate::provisioning::Provisioning;
use crate::queue::{Depth, Due, Queue, QueueOptions, Waiting};
use crate::records::{Records, Took, WHOLE};
use crate::rejections::Rejections;
use crate::templates::Templates;
use crate::view::{Held, View, decide_alone};
use crate::workload_profile::WorkloadProfile;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use aisched_model::signals::Ladder;
use aisched_model::snapshot::Snapshot;
use aisched_model::storage_facts::IoDemand;
use aisched_model::volume::{Claim, VolumePlan};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use consult::Consult;

/// Begins the message of a bind that failed for its volumes.
const PRE_BIND: &str = "running PreBind plugin \"VolumeBinding\": ";

/// What brings a pod back that no event of the cluster does, in kube-scheduler's words.
const FORCED: &str = "ForceActivate";

/// What does not change while the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Seed of the order among equals.
    pub seed: u64,
    /// Backoffs.
    pub queue: QueueOptions,
    /// Nodes that a decision reports on; `usize::MAX` for all.
    pub report_nodes: usize,
    /// Decisions kept for explanations; see [`Records`].
    pub records: usize,
    /// Whether it only follows what happens until [`Event::Leading`]: another process leads.
    pub standby: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { seed: 0, queue: QueueOptions::default(), report_nodes: 20, records: 10_000, standby: false }
    }
}

/// The scheduler.
pub struct Engine {
    options: EngineOptions,
    profiles: Arc<[Profile]>,
    config: Arc<Config>,
    cache: Cache,
    /// What is remembered of earlier decisions.
    templates: Templates,
    queue: Queue,
    records: Records,
    provisioning: Provisioning,
    rejections: Rejections,
    gangs: gangs::Gangs,
    /// Pods that were decided and whose bind has not ended.
    binding: BTreeMap<Str, Binding>,
    extenders: Vec<Extender>,
    /// Pods that extenders are asked about.
    consults: BTreeMap<Str, Consult>,
    /// Questions so far.
    n_questions: u64,
    /// Nodes without what other systems say of them.
    as_written: BTreeMap<Str, Arc<Node>>,
    /// Which labels and trees tell racks.
    ladder: Ladder,
    /// Since when what is believed of a node is known as it is, by node.
    known_since: BTreeMap<Str, signals::Since>,
    /// The latest time that it was told.
    clock: Millis,
    /// Faults of nodes that were reported: (node, key, value).
    reported: BTreeSet<(Str, Str, Str)>,
    /// Decisions so far; salts the order among equals.
    n_decisions: u64,
    synced: bool,
    /// Nothing is decided and nothing said.
    standby: bool,
    actions: Vec<Action>,
}

/// A pod on its way to a node.
struct Binding {
    waiting: Waiting,
    node: Str,
    volumes: Option<Arc<VolumePlan>>,
    by_extender: bool,
}

impl Binding {
    /// Classes of the volumes that were to be made.
    fn provisioned(&self) -> impl Iterator<Item = &Arc<Claim>> {
        self.volumes.iter().flat_map(|plan| &plan.provision)
    }
}

impl Engine {
    /// An engine that knows nothing yet. It decides nothing before [`Event::Synced`].
    #[must_use]
    pub fn new(profiles: impl Into<Arc<[Profile]>>, options: EngineOptions) -> Self {
        Self {
            options,
            profiles: profiles.into(),
            config: Arc::default(),
            cache: Cache::default(),
            templates: Templates::default(),
            queue: Queue::new(options.queue),
            records: Records::new(options.records),
            provisioning: Provisioning::default(),
            rejections: Rejections::default(),
            gangs: gangs::Gangs::default(),
            binding: BTreeMap::new(),
            extenders: Vec::new(),
            consults: BTreeMap::new(),
            n_questions: 0,
            as_written: BTreeMap::new(),
            ladder: Ladder::default(),
            known_since: BTreeMap::new(),
            clock: 0,
            reported: BTreeSet::new(),
            n_decisions: 0,
            synced: false,
            standby: options.standby,
            actions: Vec::new(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Millis, event: Event) {
        self.tell_time(now);
        match event {
            Event::PodSet(pod) => self.pod_set(now, pod),
            Event::PodGone(pod) => {
                self.member_gone(&pod.uid);
                self.pod_gone(now, &pod);
            }
            Event::Synced => self.synced(now),
            Event::Leading => self.lead(now),
            Event::Configured(config) => self.configured(now, config),
            Event::PolicyAnswered(answer) => self.policy_answered(now, answer),
            Event::BindEnded { pod, node: _, outcome } => self.bind_ended(now, &pod, outcome),
            Event::Consulted(answer) => self.consulted(answer),
            Event::PreemptEnded { pod, failed } => self.preempt_ended(now, &pod, &failed),
            object => self.object_changed(now, object),
        }
        if self.standby {
            self.actions.clear(); // whoever leads does it
        }
    }

    /// Pods may have been told before their claims, and nodes before their neighbours: what depends on those is known only now.
    fn synced(&mut self, now: Millis) {
        self.synced = true;
        self.reconsider_racks(now);
        let gated: Vec<Str> = self.queue.all_gated().map(|w| w.pod.uid.clone()).collect();
        gated.iter().for_each(|uid| self.make_ready(now, uid)); // now it can be said what they wait for
        let (profiles, config) = (&self.profiles, &self.config);
        self.cache.recount_io(|snapshot, pod| Some(io_of(profiles, config, snapshot, pod)));
    }

    /// The queue is this process's to work off. What followed so far asked nobody for policies: they are asked for now.
    fn lead(&mut self, now: Millis) {
        self.standby = false;
        let waiting: Vec<Str> = self.queue.iter().map(|w| w.pod.uid.clone()).collect();
        for uid in waiting {
            self.queue.activate(&uid);
            self.make_ready(now, &uid);
        }
    }

    /// Does the next piece of work, at most one decision, and gives what is to be done in the world.
    pub fn poll(&mut self, now: Millis) -> Vec<Action> {
        self.tell_time(now);
        if self.standby {
            return Vec::new();
        }
        for (uid, why) in self.queue.due(now) {
            match why {
                Due::Policy => self.policy_overdue(now, &uid),
                Due::Retry => self.make_ready(now, &uid),
            }
        }
        for class in self.provisioning.let_in(self.cache.objects(), now) {
            if let Some(class) = self.cache.snapshot().classes.get(&class).cloned() {
                self.wake(now, &ClusterEvent::Class(None, &class));
            }
        }
        for node in self.rejections.let_in(self.cache.objects(), now) {
            self.wake(now, &ClusterEvent::Readmits(&node));
        }
        self.tell_gangs(now);
        if self.synced {
            self.schedule_one(now);
        }
        self.take_actions()
    }

    /// When `poll` next has something to do: `Some(now or earlier)` for at once, `None` when only an event can help.
    #[must_use]
    pub fn next_poll(&self, now: Millis) -> Option<Millis> {
        if self.standby {
            return None;
        }
        if !self.actions.is_empty() || (self.synced && self.queue.has_ready()) {
            return Some(now);
        }
        let others = self.provisioning.next_due().into_iter().chain(self.rejections.next_due()).chain(self.gangs.next_due());
        self.queue.next_due().into_iter().chain(others).min()
    }

    /// What is to be done without deciding anything more: for the end.
    pub fn take_actions(&mut self) -> Vec<Action> {
        core::mem::take(&mut self.actions)
    }

    /// Pods on their way to a node.
    #[must_use]
    pub fn n_binding(&self) -> usize {
        self.binding.len()
    }

    /// A pod on its way to a node, with what is remembered of its wait.
    #[must_use]
    pub fn on_its_way(&self, uid: &str) -> Option<&Waiting> {
        self.binding.get(uid).map(|binding| &binding.waiting)
    }

    /// Whether a pod waits for a node, or is on its way to one.
    #[must_use]
    pub fn waits(&self, uid: &str) -> bool {
        self.queue.get(uid).is_some() || self.binding.contains_key(uid)
    }

    /// Whether a pod is on a node.
    #[must_use]
    pub fn is_placed(&self, uid: &str) -> bool {
        self.cache.is_placed(uid)
    }

    /// The cluster as the engine knows it.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.cache.snapshot()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Counts of waiting pods.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.queue.depth()
    }

    /// How many pods have come into a queue so far, by queue and by what brought them there.
    #[must_use]
    pub fn incoming(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        self.queue.incoming()
    }

    /// Waiting pods.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter()
    }

    /// The latest decisions.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Whether every first list has arrived.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    fn tell_time(&mut self, now: Millis) {
        self.clock = now;
        if !self.cache.snapshot().history.is_at(now) {
            Arc::make_mut(&mut self.cache.objects().history).tell_time(now);
        }
    }

    /// Whether it decides: another process may lead.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        !self.standby
    }

    /// Decides once more for a pod that waits, on the cluster as it is now and reporting on every node; changes nothing.
    #[must_use]
    pub fn explain(&self, namespace: &str, name: &str) -> Option<Decision> {
        self.explain_best(namespace, name, usize::MAX)
    }

    /// The same, reporting on the best nodes only.
    #[must_use]
    pub fn explain_best(&self, namespace: &str, name: &str, report_nodes: usize) -> Option<Decision> {
        let waiting = self.queue.iter().find(|w| *w.pod.namespace == *namespace && *w.pod.name == *name)?;
        let profile = self.profile_of(&waiting.pod.spec.scheduler_name)?;
        let mut decision = decide_alone(profile, self.cache.snapshot(), &self.config, waiting, (self.salt(), self.clock), report_nodes);
        if let Some(reason) = self.held(waiting) {
            decision.node = None;
            decision.message = Some((*reason).into());
        }
        Some(decision)
    }

    /// Why a waiting pod may not be tried now, if it may not.
    fn held(&self, waiting: &Waiting) -> Option<Str> {
        let for_gang = self.waits_for_gang(&waiting.pod).filter(|_| waiting.is_held_for_gang());
        for_gang.map(Str::from).or_else(|| self.queue.gated(&waiting.pod.uid).map(Str::from)).or_else(|| waiting.held.clone())
    }

    /// Decides between equals in the next decision.
    fn salt(&self) -> u64 {
        self.options.seed.wrapping_add(self.n_decisions)
    }

    /// Everything that it knows now. Objects are shared, so that this takes a moment however large the cluster is; what is asked of the
    /// view costs scheduling nothing.
    #[must_use]
    pub fn view(&self, now: Millis) -> View {
        let last = |pod: &Pod| self.records.get(&pod.full_name()).filter(|r| r.decision.uid == pod.uid).cloned();
        let held = |w: &Waiting| Held { waiting: w.clone(), held: self.held(w), last: last(&w.pod) };
        View {
            now,
            snapshot: self.cache.snapshot().clone(),
            as_written: self.as_written.clone(),
            waiting: self.queue.iter().map(held).collect(),
            config: self.config.clone(),
            profiles: self.profiles.clone(),
            decisions: self.records.newest_first().take(WHOLE).map(|r| r.decision.clone()).collect(),
            salt: self.salt(),
        }
    }

    /// Notes how long the latest decision on a pod took, by the clock of whoever drives this.
    pub fn timed(&mut self, pod: &str, took: Took) {
        self.records.timed(pod, took);
    }

    fn profile_of(&self, scheduler_name: &str) -> Option<&Profile> {
        profile_of(&self.profiles, scheduler_name)
    }

    /// The I/O that a bound pod was promised.
    fn io_of(&self, pod: &Pod) -> IoDemand {
        io_of(&self.profiles, &self.config, self.cache.snapshot(), pod)
    }

    /// A new configuration may let any refused pod in.
    fn configured(&mut self, now: Millis, config: Arc<Config>) {
        self.templates.clear();
        let before = core::mem::replace(&mut self.config, config);
        if before.signals != self.config.signals {
            self.reconsider_all(now);
        }
        let refused: Vec<Str> = self.queue.unschedulable().map(|w| w.pod.uid.clone()).collect();
        for uid in refused {
            self.requeue(now, &uid, FORCED);
        }
    }

    fn bind_ended(&mut self, now: Millis, pod: &PodRef, outcome: BindOutcome) {
        self.release_claims(now, &pod.uid);
        let Some(binding) = self.binding.remove(&pod.uid) else { return };
        match outcome {
            BindOutcome::Bound => {
                self.cache.keep_volumes(&pod.uid);
                for class in binding.provisioned().filter_map(|claim| claim.storage_class.as_ref()) {
                    self.provisioning.succeeded(self.cache.objects(), &binding.node, class);
                }
                self.bound(now, &binding);
            }
            BindOutcome::Gone(_) => {
                self.give_up(now, &pod.uid);
                self.actions.push(Action::ForgetPolicy(pod.uid.clone()));
            }
            BindOutcome::Failed(error) if binding.by_extender => self.bind_failed(now, binding, "", &error),
            BindOutcome::NoDevices(error) => self.bind_failed(now, binding, "running PreBind plugin \"DynamicResources\": ", &error),
            BindOutcome::Failed(error) => self.bind_failed(now, binding, "running Bind plugin \"DefaultBinder\": ", &error),
            BindOutcome::NoVolumes(error) => self.bind_failed(now, binding, PRE_BIND, &error),
            BindOutcome::NotProvisioned(claim, error) => {
                if let Some(class) = binding.provisioned().find(|c| c.name == claim).and_then(|c| c.storage_class.as_ref()) {
                    self.provisioning.failed(self.cache.objects(), now, &binding.node, class);
                }
                self.bind_failed(now, binding, PRE_BIND, &error);
            }
            BindOutcome::Preempted => {
                self.cache.objects().nominated.pardon(&pod.uid); // it need not go, it was never there
                self.bind_failed(now, binding, PRE_BIND, "preempted by DefaultPreemption");
            }
        }
    }

    /// Takes back what was promised of a pod's volumes and wakes who can use them.
    fn take_back_volumes(&mut self, now: Millis, uid: &str) {
        let (volumes, claims) = self.cache.take_back_volumes(uid);
        for volume in volumes {
            self.wake(now, &ClusterEvent::Volume(None, &volume));
        }
        for claim in claims {
            self.no_longer_pending(now, &claim);
        }
    }

    /// Takes an assumed pod back from its node and wakes who can use the room.
    fn give_up(&mut self, now: Millis, uid: &str) {
        self.take_back_volumes(now, uid);
        if let Some(pod) = self.cache.forget(uid) {
            self.wake(now, &ClusterEvent::PodRemoved(&pod));
        }
    }
}

fn profile_of<'a>(profiles: &'a [Profile], scheduler_name: &str) -> Option<&'a Profile> {
    profiles.iter().find(|p| *p.scheduler_name == *scheduler_name)
}

/// The I/O that a bound pod was promised, as far as the pod itself and its claims say: only pods of this scheduler were promised any.
fn io_of(profiles: &[Profile], config: &Config, snapshot: &Snapshot, pod: &Pod) -> IoDemand {
    match profile_of(profiles, &pod.spec.scheduler_name) {
        Some(profile) if profile.has_ai_plugins() => WorkloadProfile::resolve(pod, None, config, snapshot).io_demand(),
        Some(_) | None => IoDemand::default(),
    }
}
