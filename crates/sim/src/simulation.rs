//! Drives the engine on a virtual cluster: hands it events, polls it, carries its actions out at once, and lets time jump.
//! Decides nothing itself; the same loop runs in production with a real clock and a real API server.

use crate::{Scenario, devices, storage};
use aisched_core::cures::Cure;
use aisched_core::decision::Decision;
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, ApiEvent, BindOutcome, Event, Millis, PodRef, PolicyAnswer, Regarding};
use aisched_core::profile::{DEFAULT_PLUGINS, Profile, Weight};
use aisched_model::Str;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, RefusedCondition};
use aisched_model::policy::PolicySource;
use aisched_model::snapshot::Snapshot;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pods of this scheduler are scheduled.
    pub scheduler_name: Str,
    /// Pods of any other scheduler are scheduled too, as if they were this one's.
    pub all_pods: bool,
    /// Seed of the order among equals.
    pub seed: u64,
    /// Nodes that each decision reports on; `usize::MAX` for all.
    pub report_nodes: usize,
    /// What places the pods.
    pub plugins: Plugins,
}

/// The plugins of the profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plugins {
    /// kube-scheduler's default plugins and the AI storage plugins.
    #[default]
    AiStorage,
    /// kube-scheduler's default plugins alone.
    Default,
}

impl Plugins {
    fn profile(self, scheduler_name: Str) -> Profile {
        match self {
            Self::AiStorage => Profile::ai_storage(scheduler_name),
            Self::Default => Profile::of(scheduler_name, DEFAULT_PLUGINS.iter().map(|(name, weight)| (*name, Weight::Fixed(*weight)))),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scheduler_name: "ai-storage-scheduler".into(),
            all_pods: false,
            seed: 0,
            report_nodes: usize::MAX,
            plugins: Plugins::default(),
        }
    }
}

/// A virtual cluster at work.
pub struct Simulation {
    engine: Engine,
    now: Millis,
    /// The pods as the virtual API server holds them, by UID.
    pods: BTreeMap<Str, Arc<Pod>>,
    /// Their UIDs in the order of the scenario.
    order: Vec<Str>,
    decisions: VecDeque<Arc<Decision>>,
    decided: BTreeSet<Str>,
    notes: Vec<String>,
    scheduler_names: BTreeSet<Str>,
}

/// A pod that was never decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// `namespace/name`.
    pub pod: Str,
    /// Why, in words that follow "is".
    pub why: String,
}

/// What is to be said when nothing more happens.
#[derive(Debug)]
pub struct Rest {
    /// Pods that may not be scheduled yet, with the reason as message: as `explain` shows them.
    pub held_back: Vec<Decision>,
    /// Pods without a node that were not decided.
    pub left: Vec<Left>,
    /// Values that could not be used, and what else was noticed.
    pub notes: Vec<String>,
    /// The cluster at the end.
    pub snapshot: Snapshot,
    /// Virtual time that passed.
    pub now: Millis,
}

impl Simulation {
    /// Tells a new engine of everything that is there.
    #[must_use]
    pub fn new(scenario: Scenario, options: &Options) -> Self {
        let mut scheduler_names = BTreeSet::from([options.scheduler_name.clone()]);
        if options.all_pods {
            scheduler_names.extend(scenario.pods().map(|pod| pod.spec.scheduler_name.clone()));
        }
        let profiles: Vec<Profile> = scheduler_names.iter().map(|name| options.plugins.profile(name.clone())).collect();
        Self::with(scenario, profiles.into(), options)
    }

    /// The same with profiles of the caller's: the pods that name one of them are scheduled.
    #[must_use]
    pub fn with(mut scenario: Scenario, profiles: Arc<[Profile]>, options: &Options) -> Self {
        scenario.config.apollo.endpoint = Str::default();
        let config = Arc::new(core::mem::take(&mut scenario.config));
        let scheduler_names = profiles.iter().map(|p| p.scheduler_name.clone()).collect();
        let engine = EngineOptions { seed: options.seed, report_nodes: options.report_nodes, records: 0, ..EngineOptions::default() };
        let order = scenario.pods().map(|pod| pod.uid.clone()).collect();
        let pods = scenario.pods().map(|pod| (pod.uid.clone(), pod.clone())).collect();
        let (notes, objects) = scenario.into_parts();
        let mut simulation = Self {
            engine: Engine::new(profiles, engine),
            now: 0,
            pods,
            order,
            decisions: VecDeque::new(),
            decided: BTreeSet::new(),
            notes,
            scheduler_names,
        };
        simulation.happens(Event::Configured(config));
        objects.into_iter().for_each(|object| simulation.happens(object));
        simulation.bind_claims();
        simulation.happens(Event::Synced);
        simulation
    }

    /// Binds the claims that wait for no pod, as the volume controller has done before anything is scheduled.
    fn bind_claims(&mut self) {
        let claims: Vec<_> = self.engine.snapshot().claims.values().cloned().collect();
        for claim in claims {
            for event in storage::bind_at_once(self.engine.snapshot(), &claim) {
                self.happens(event);
            }
        }
    }

    /// Lets the cluster go on until the next decision; `None` when nothing more can happen.
    pub fn next_decision(&mut self) -> Option<Arc<Decision>> {
        self.decision_until(Millis::MAX)
    }

    /// The same, but time goes no further than `limit`.
    pub(crate) fn decision_until(&mut self, limit: Millis) -> Option<Arc<Decision>> {
        while self.decisions.is_empty() {
            match self.engine.next_poll(self.now) {
                Some(at) if at <= self.now => {
                    for action in self.engine.poll(self.now) {
                        self.carry_out(action);
                    }
                }
                Some(at) if at <= limit && self.anyone_stirs() => self.now = at,
                Some(_) | None => return None,
            }
        }
        self.decisions.pop_front()
    }

    /// The cluster.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.engine.snapshot()
    }

    /// The virtual time.
    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// Lets time pass in which nothing is decided.
    pub(crate) fn wait_until(&mut self, at: Millis) {
        self.now = self.now.max(at);
    }

    /// Somebody applies a node.
    pub(crate) fn apply_node(&mut self, node: Arc<Node>) {
        self.happens(Event::NodeSet(node, Vec::new()));
    }

    /// Whether a pod is there.
    pub(crate) fn has_pod(&self, uid: &Str) -> bool {
        self.pods.contains_key(uid)
    }

    /// Somebody creates a pod.
    pub(crate) fn create_pod(&mut self, pod: Arc<Pod>) {
        self.order.push(pod.uid.clone());
        self.pods.insert(pod.uid.clone(), pod.clone());
        self.happens(Event::PodSet(pod));
    }

    /// A pod has done its work, and is deleted.
    pub(crate) fn delete_pod(&mut self, uid: &Str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.happens(Event::PodGone(PodRef::from(&*pod)));
        }
    }

    /// What would cure the refusal of a pod that waits, by `namespace/name`; nothing where nothing is known to.
    #[must_use]
    pub fn cures(&self, pod: &str) -> Vec<Cure> {
        let view = self.engine.view(self.now);
        let held = pod.split_once('/').and_then(|(namespace, name)| view.waiting(namespace, name));
        held.map_or(Vec::new(), |held| view.cures(held))
    }

    /// The pods as the virtual API server holds them.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// Whether a wake-up can bring anything but the retry of pods that nothing has happened to since they were refused.
    fn anyone_stirs(&self) -> bool {
        let depth = self.engine.depth();
        depth.active + depth.backoff > 0
    }

    /// What is left when `next_decision` gives nothing more.
    #[must_use]
    pub fn rest(self) -> Rest {
        let waiting: BTreeSet<&Str> = self.engine.waiting().map(|w| &w.pod.uid).collect();
        let undecided = |pod: &&Arc<Pod>| pod.node.is_none() && !pod.ended && !self.decided.contains(&pod.uid);
        let mut held_back = Vec::new();
        let mut left = Vec::new();
        for pod in self.order.iter().filter_map(|uid| self.pods.get(uid)).filter(undecided) {
            match self.engine.explain(&pod.namespace, &pod.name).filter(|_| waiting.contains(&pod.uid)) {
                Some(decision) => held_back.push(decision),
                None => left.push(Left { pod: pod.full_name().into(), why: self.why_left(pod) }),
            }
        }
        let mut notes = self.notes.clone();
        notes.extend(self.lost_pods());
        Rest { held_back, left, notes, snapshot: self.engine.snapshot().clone(), now: self.now }
    }

    fn why_left(&self, pod: &Pod) -> String {
        if self.scheduler_names.contains(&pod.spec.scheduler_name) {
            return "being deleted".into();
        }
        format!("left to scheduler {:?}", &*pod.spec.scheduler_name)
    }

    /// Notes on pods whose node is not there: they take up no room anywhere.
    fn lost_pods(&self) -> Vec<String> {
        let mut lost: BTreeMap<&Str, usize> = BTreeMap::new();
        for node in self.pods.values().filter(|p| !p.ended).filter_map(|p| p.node.as_ref()) {
            if self.engine.snapshot().node(node).is_none() {
                *lost.entry(node).or_default() += 1;
            }
        }
        lost.into_iter().map(|(node, n)| format!("node {node} is not there, and {n} pod(s) on it take up no room")).collect()
    }

    pub(crate) fn happens(&mut self, event: Event) {
        self.engine.handle(self.now, event);
    }

    /// Does what the API server and its clients would do, at once and without failing.
    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Bind { pod, node, volumes, claims, .. } => {
                let given = claims.map(|plan| devices::carry_out(&pod, &plan));
                given.into_iter().flatten().for_each(|event| self.happens(event));
                let events = volumes.map(|plan| storage::carry_out(self.engine.snapshot(), &node, &plan));
                events.into_iter().flatten().for_each(|event| self.happens(event));
                self.bind(pod, &node);
            }
            Action::SetCondition { pod, reason, message, .. } => {
                let refused = Arc::new(RefusedCondition { reason: reason.into(), message });
                self.change(&pod.uid, |pod| pod.refused = Some(refused));
            }
            Action::FetchPolicy(pod) => {
                let answer = PolicyAnswer { uid: pod.uid.clone(), source: PolicySource::Fallback, policy: None };
                self.happens(Event::PolicyAnswered(answer));
            }
            Action::RecordEvent(event) => self.notes.extend(note(&event)),
            Action::Decided(decision) => {
                self.decided.insert(decision.uid.clone());
                self.decisions.push_back(decision);
            }
            Action::Nominate { pod, node } => {
                self.change(&pod.uid, |pod| pod.nominated_node = Some(node).filter(|node| !node.is_empty()));
            }
            Action::Remedy(remedy) => self.happens(devices::remedied(&remedy)),
            Action::Preempt { pod, node, victims, reporter: _ } => self.preempt(pod, &node, victims),
            Action::ForgetPolicy(_) | Action::ReportResult(_) | Action::PolicyResolved { .. } | Action::Consult(_) => {}
        }
    }

    fn bind(&mut self, pod: PodRef, node: &Str) {
        self.change(&pod.uid, |pod| {
            (pod.node, pod.nominated_node, pod.refused) = (Some(node.clone()), None, None);
        });
        self.happens(Event::BindEnded { pod, node: node.clone(), outcome: BindOutcome::Bound });
    }

    /// Deletes the victims without grace.
    fn preempt(&mut self, pod: PodRef, node: &Str, victims: Vec<PodRef>) {
        for victim in victims {
            if self.pods.remove(&victim.uid).is_some() {
                let (of, by) = ((&victim.namespace, &victim.name), (&pod.namespace, &pod.name));
                self.notes.push(format!("pod {}/{} was preempted on node {node} by {}/{}", of.0, of.1, by.0, by.1));
                self.happens(Event::PodGone(victim));
            }
        }
        self.happens(Event::PreemptEnded { pod, failed: Vec::new() });
    }

    /// Changes a pod on the virtual API server, which tells its watchers.
    fn change(&mut self, uid: &Str, change: impl FnOnce(&mut Pod)) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        change(Arc::make_mut(pod));
        let pod = pod.clone();
        self.happens(Event::PodSet(pod));
    }
}

/// Warnings about values that could not be used; that a pod was refused is in its decision.
fn note(event: &ApiEvent) -> Option<String> {
    if !event.warning || event.reason == "FailedScheduling" {
        return None;
    }
    Some(match &event.regarding {
        Regarding::Pod(pod) => format!("pod {}/{}: {}", pod.namespace, pod.name, event.note),
        Regarding::Node(node) => format!("node {node}: {}", event.note),
        Regarding::Config(namespace, name) => format!("AIStorageConfig {namespace}/{name}: {}", event.note),
    })
}
