//! Preemption on seeded random histories: a virtual API server that answers late, in any order, and sometimes fails; victims with grace.
//! Checks after every step that nothing is promised twice, and at the end that nobody waits who could be helped.

use super::{Engine, EngineOptions};
use crate::event::{Action, BindOutcome, Event, Millis, PodRef};
use crate::fixture::{node, requesting, with};
use crate::profile::{Profile, Weight};
use crate::queue::QueueOptions;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::pod::Pod;
use aisched_model::resources::MilliCpu;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

struct World {
    engine: Engine,
    now: Millis,
    random: u64,
    /// The pods as the API server holds them, by UID.
    pods: BTreeMap<Str, Pod>,
    /// What the API server still has to do.
    pending: Vec<Effect>,
    /// Whether calls may fail.
    troubled: bool,
    /// Victims asked for whose deletion has not failed.
    asked: BTreeSet<Str>,
    n_preempted: usize,
}

enum Effect {
    Bind(PodRef, Str),
    Nominate(PodRef, Str),
    Preempt(PodRef, Vec<PodRef>),
    /// A victim's grace is over.
    End(Str),
}

impl World {
    fn new(seed: u64) -> Self {
        let plugins = ["NodeResourcesFit", "DefaultPreemption"].map(|name| (name, Weight::Fixed(1)));
        // Nobody is saved by the retry that comes after five minutes.
        let queue = QueueOptions { max_unschedulable_ms: 1 << 40, ..QueueOptions::default() };
        let options = EngineOptions { seed, queue, ..EngineOptions::default() };
        let engine = Engine::new(vec![Profile::of("ai-storage-scheduler", plugins)], options);
        let (pods, pending) = (BTreeMap::new(), Vec::new());
        let mut world = Self { engine, now: 0, random: seed, pods, pending, troubled: true, asked: BTreeSet::new(), n_preempted: 0 };
        let mut config = Config::default();
        config.apollo.endpoint = "".into();
        world.engine.handle(0, Event::Configured(Arc::new(config)));
        for name in ["a", "b", "c"] {
            world.engine.handle(0, Event::NodeSet(Arc::new(node(name)), Vec::new()));
        }
        world.engine.handle(0, Event::Synced);
        world
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn fails(&mut self) -> bool {
        self.troubled && self.below(8) == 0
    }

    /// Changes a pod on the API server, which tells the engine.
    fn change(&mut self, uid: &str, change: impl FnOnce(&mut Pod)) {
        if let Some(pod) = self.pods.get_mut(uid) {
            change(pod);
            self.engine.handle(self.now, Event::PodSet(Arc::new(pod.clone())));
        }
    }

    fn delete(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.asked.remove(uid);
            self.engine.handle(self.now, Event::PodGone(PodRef::from(&pod)));
        }
    }

    fn arrive(&mut self, n: u64) {
        let (cpu, priority) = (1 + self.below(5), i32::try_from(self.below(4)).unwrap());
        let pod = with(requesting(&format!("p{n}"), &format!("{cpu}"), "1Gi"), |s| s.priority = priority);
        let uid = pod.uid.clone();
        self.pods.insert(uid.clone(), pod);
        self.change(&uid, |_| ());
    }

    /// Lets the engine do what it can, and takes in what it asks for.
    fn poll(&mut self) {
        while self.engine.next_poll(self.now).is_some_and(|at| at <= self.now) {
            for action in self.engine.poll(self.now) {
                match action {
                    Action::Bind { pod, node, .. } => self.pending.push(Effect::Bind(pod, node)),
                    Action::Nominate { pod, node } => {
                        // Only the latest is written, as in production.
                        self.pending.retain(|e| !matches!(e, Effect::Nominate(other, _) if *other == pod));
                        self.pending.push(Effect::Nominate(pod, node));
                    }
                    Action::Preempt { pod, victims, .. } => {
                        for victim in &victims {
                            assert!(self.asked.insert(victim.uid.clone()), "{} was asked to leave already", victim.name);
                            if let (Some(by), Some(of)) = (self.pods.get(&pod.uid), self.pods.get(&victim.uid)) {
                                assert!(by.spec.priority > of.spec.priority, "{} preempts {}", by.name, of.name);
                            }
                        }
                        self.pending.push(Effect::Preempt(pod, victims));
                    }
                    _ => {}
                }
            }
        }
    }

    /// The API server does one of the things that it was asked for.
    fn take_effect(&mut self) {
        let i = usize::try_from(self.below(self.pending.len() as u64)).unwrap();
        match self.pending.swap_remove(i) {
            Effect::Bind(pod, node) => self.bind(pod, node),
            Effect::Nominate(pod, node) => {
                // It may come after the bind; the API server takes it.
                self.change(&pod.uid, |pod| pod.nominated_node = Some(node).filter(|n| !n.is_empty()));
            }
            Effect::Preempt(pod, victims) => self.preempt(pod, victims),
            Effect::End(uid) => self.delete(&uid),
        }
    }

    fn bind(&mut self, pod: PodRef, node: Str) {
        let outcome = match (self.pods.get(&pod.uid).map(|pod| pod.deleting), self.fails()) {
            (None, _) => BindOutcome::Gone("no such pod".into()),
            (Some(deleting), fails) if deleting || fails => BindOutcome::Failed("trouble".into()),
            (Some(_), _) => BindOutcome::Bound,
        };
        let bound = outcome == BindOutcome::Bound;
        let ended = Event::BindEnded { pod: pod.clone(), node: node.clone(), outcome };
        let told_first = self.below(2) == 0;
        if told_first {
            self.engine.handle(self.now, ended.clone());
        }
        if bound {
            self.change(&pod.uid, |pod| pod.node = Some(node));
        }
        if !told_first {
            self.engine.handle(self.now, ended);
        }
    }

    fn preempt(&mut self, pod: PodRef, victims: Vec<PodRef>) {
        let mut failed = Vec::new();
        for victim in victims {
            if self.pods.contains_key(&victim.uid) && self.fails() {
                self.asked.remove(&victim.uid);
                failed.push(victim);
                continue;
            }
            self.n_preempted += 1;
            self.change(&victim.uid, |pod| (pod.deleting, pod.preempted) = (true, true));
            self.pending.push(Effect::End(victim.uid));
        }
        self.engine.handle(self.now, Event::PreemptEnded { pod, failed });
    }

    fn check(&self) {
        let mut used: BTreeMap<&Str, MilliCpu> = BTreeMap::new();
        for pod in self.pods.values() {
            if let Some(node) = &pod.node {
                let used = used.entry(node).or_default();
                used.0 += pod.spec.requests.cpu.0;
                assert!(used.0 <= 8000, "{node} is overcommitted");
            }
        }
        let snapshot = self.engine.snapshot();
        for node in ["a", "b", "c"] {
            for placed in snapshot.nominated.on(node) {
                let pod = self.pods.get(&placed.pod.uid).unwrap_or_else(|| panic!("{} is nominated and gone", placed.pod.name));
                assert!(pod.node.is_none(), "{} is nominated and has a node", pod.name);
            }
        }
    }

    /// Lets everything come to rest: calls succeed, grace ends, backoffs pass.
    fn rest(&mut self) {
        self.troubled = false;
        for _ in 0..200 {
            self.poll();
            while !self.pending.is_empty() {
                self.take_effect();
                self.poll();
                self.check();
            }
            self.now += 15_000;
        }
    }
}

#[test]
fn nothing_is_promised_twice_and_nobody_waits_in_vain() {
    let mut n_preempted = 0;
    for seed in 0..150 {
        let mut world = World::new(seed);
        for n in 0..120 {
            match world.below(10) {
                0..=3 => world.arrive(n),
                4 if !world.pods.is_empty() => {
                    let i = usize::try_from(world.below(world.pods.len() as u64)).unwrap();
                    let uid = world.pods.keys().nth(i).cloned().unwrap();
                    world.delete(&uid);
                }
                5..=8 if !world.pending.is_empty() => world.take_effect(),
                _ => world.now += world.random % 3000,
            }
            world.poll();
            world.check();
        }
        world.rest();
        for pod in world.pods.values().filter(|p| p.node.is_none()) {
            let decision = world.engine.explain(&pod.namespace, &pod.name).unwrap_or_else(|| panic!("seed {seed}: {} is lost", pod.name));
            let message = decision.message.unwrap_or_default();
            let hopeless =
                message.contains("No preemption victims found") || message.contains(" preemption: 0/3 nodes are available: 3 Insuf");
            assert!(decision.node.is_none() && hopeless, "seed {seed}: {} waits in vain: {message}", pod.name);
            assert_eq!(pod.nominated_node, None, "seed {seed}: {} keeps a nomination", pod.name);
        }
        assert_eq!(world.engine.n_binding(), 0, "seed {seed}");
        n_preempted += world.n_preempted;
    }
    assert!(n_preempted > 500, "hardly anyone was preempted: {n_preempted}");
}
