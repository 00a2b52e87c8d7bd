//! What people and other programs do to a cluster while the scheduler works.
//! Leaves out what follows from it: controllers and the scheduler see to that.

use super::controllers::HOSTNAME;
use super::{Job, OWN, World};
use crate::checker::against;
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::disruption::DisruptionBudget;
use aisched_model::gang::{GangSource, Membership, Near};
use aisched_model::labels::Labels;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{HostPort, Pod, PodAffinityTerm, PodSpec, PodVolume, PreemptionPolicy, SpreadConstraint, TaintEffect};
use aisched_model::pod::{Toleration, TolerationOperator};
use aisched_model::resources::{Bytes, MilliCpu};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{AccessModes, BindingMode, Claim, StorageClass, Volume};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

const ZONE: &str = "topology.kubernetes.io/zone";
const N_NODES: u64 = 6;
/// More pods than fit, so that there is always somebody who waits.
const MOST_PODS: usize = 40;
const NAMESPACES: [&str; 2] = ["blue", "green"];

impl World<'_> {
    /// What is there before the scheduler.
    pub(super) fn furnish(&mut self) {
        for (name, provisioner) in [("local", "kubernetes.io/no-provisioner"), ("made", "maker")] {
            let binding_mode = BindingMode::WaitForFirstConsumer;
            let class = StorageClass { name: name.into(), provisioner: provisioner.into(), binding_mode, ..StorageClass::default() };
            self.server.set(Event::ClassSet(Arc::new(class)));
        }
        for i in 0..N_NODES {
            self.set_node(i, |_| ());
            self.add_volume(&format!("node-{i}"), i);
        }
        let selector = Some(LabelSelector(vec![is_app("a")]));
        for namespace in NAMESPACES {
            let budget =
                DisruptionBudget { namespace: namespace.into(), name: "a".into(), selector: selector.clone(), ..Default::default() };
            self.server.set(Event::BudgetSet(Arc::new(budget)));
        }
    }

    pub(super) fn happen(&mut self) {
        match self.random.below(40) {
            0..=2 if self.gangs && self.server.pods().count() < MOST_PODS => self.create_gang(),
            0..=13 if self.server.pods().count() < MOST_PODS => self.create_pod(),
            14..=16 => self.delete_pod(),
            17..=18 => self.finish_pod(),
            19..=20 => self.update_pod(),
            21..=23 => self.open_gate(),
            24..=25 => self.change_node(),
            26 => self.remove_node(),
            27..=28 => self.return_node(),
            29..=30 => self.break_watch(),
            31 => self.delete_namespace(),
            32 => self.change_volumes(),
            33 if self.random.one_in(4) => self.restart(),
            34..=36 if self.rivals => self.rival_binds(),
            37 if self.rivals => self.resize(),
            38 if self.rivals => self.rival_nominates(),
            _ => {}
        }
    }

    fn set_node(&mut self, i: u64, change: impl FnOnce(&mut Node)) {
        let name: Str = format!("node-{i}").into();
        let zone = format!("zone-{}", i % 2);
        let mut node = Node { name: name.clone(), labels: Labels::from([(HOSTNAME, &*name), (ZONE, &*zone)]), ..Node::default() };
        node.allocatable_pods = 6;
        node.allocatable.cpu = MilliCpu(4000);
        node.allocatable.memory = Bytes(16 << 30);
        change(&mut node);
        self.server.set(Event::NodeSet(Arc::new(node), Vec::new()));
    }

    fn add_volume(&mut self, name: &str, node: u64) {
        let node: Str = format!("node-{node}").into();
        let host = Requirement { key: HOSTNAME.into(), operator: Operator::In, values: vec![node] };
        self.server.set(Event::VolumeSet(Arc::new(Volume {
            name: name.into(),
            node_affinity: Some(vec![NodeSelectorTerm { labels: vec![host], fields: Vec::new() }]),
            storage_class: "local".into(),
            access_modes: AccessModes { read_write_once: true, ..AccessModes::default() },
            capacity: 10,
            available: true,
            ..Volume::default()
        })));
    }

    fn name(&mut self, prefix: &str) -> Str {
        self.n_names += 1;
        format!("{prefix}-{}", self.n_names).into()
    }

    fn create_pod(&mut self) {
        let (uid, namespace) = (self.name("pod"), self.random.pick(NAMESPACES.into_iter()).unwrap_or_default());
        // Names are used again, as a StatefulSet's are: another pod under the same name, with another UID.
        let name: Str = if self.random.one_in(6) { "again-0".into() } else { uid.clone() };
        if self.server.pods().any(|pod| pod.name == name && *pod.namespace == *namespace) {
            return;
        }
        let spec = Arc::new(self.spec(namespace, &name));
        self.server.set(Event::PodSet(Arc::new(Pod { uid, namespace: namespace.into(), name, spec, ..Pod::default() })));
    }

    /// Pods that are of use only together; some gangs stay incomplete until another gets the name.
    fn create_gang(&mut self) {
        let (gang, namespace) = (format!("gang-{}", self.random.below(8)), self.random.pick(NAMESPACES.into_iter()).unwrap_or_default());
        let size = u32::try_from(self.random.within(2..5)).unwrap_or(2);
        let key = |pod: &Pod| *pod.namespace == *namespace && pod.spec.gang.as_ref().is_some_and(|g| *g.name == *gang);
        let other = self.server.pods().find(|pod| key(pod)).map(|pod| pod.spec.clone());
        let n = if other.is_some() { 1 } else { size - u32::from(self.random.one_in(4)) };
        let spec = other.unwrap_or_else(|| Arc::new(self.gang_spec(&gang, size)));
        for _ in 0..n {
            let uid = self.name("member");
            let pod = Pod { uid: uid.clone(), namespace: namespace.into(), name: uid, spec: spec.clone(), ..Pod::default() };
            self.server.set(Event::PodSet(Arc::new(pod)));
        }
    }

    fn gang_spec(&mut self, gang: &str, size: u32) -> PodSpec {
        let cpu = MilliCpu(i64::try_from(500 * self.random.within(1..6)).unwrap_or(0));
        let priority = i32::try_from(self.random.below(4)).unwrap_or(0);
        let (source, name, part, near) = (GangSource::Kueue, Str::from(gang), Str::default(), Near::default());
        let gang = Some(Arc::new(Membership { source, object: name.clone(), name, part, size: Some(size), near }));
        let mut spec = PodSpec { scheduler_name: OWN.into(), priority, gang, n_containers: 1, ..PodSpec::default() };
        (spec.requests.cpu, spec.nonzero_request.cpu) = (cpu, cpu);
        spec
    }

    /// Most pods ask for room alone; a few for each of the other things that keep a pod from a node.
    fn spec(&mut self, namespace: &str, name: &str) -> PodSpec {
        let (cpu, app) = (500 * self.random.within(1..6), if self.random.one_in(2) { "a" } else { "b" });
        let cpu = MilliCpu(i64::try_from(cpu).unwrap_or(0));
        let priority = i32::try_from(self.random.below(4)).unwrap_or(0);
        let mut spec =
            PodSpec { scheduler_name: OWN.into(), labels: Labels::from([("app", app)]), priority, n_containers: 1, ..PodSpec::default() };
        (spec.requests.cpu, spec.nonzero_request.cpu) = (cpu, cpu);
        if self.rivals && self.random.one_in(6) {
            spec.scheduler_name = "rival".into();
        }
        match self.random.below(20) {
            0 | 1 => spec.scheduling_gates = vec!["later".into()],
            2 => spec.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }],
            3 => spec.node_selector = Labels::from([(ZONE, "zone-1")]),
            4 => {
                spec.tolerations = vec![Toleration { key: "".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None }]
            }
            5 => spec.preemption = PreemptionPolicy::Never,
            6 => spec.pod_anti_affinity.required = vec![self.near(namespace, app)],
            7 => spec.pod_affinity.required = vec![self.near(namespace, "a")],
            8 => spec.spread = vec![apart(app)],
            9..=12 => spec.volumes = vec![self.claim_for(namespace, name)],
            13 => spec.annotations = Labels::from([("ai-storage.keti/io-pattern", "random")]),
            _ => {}
        }
        spec
    }

    /// Pods of an app, on the same host or in the same zone.
    fn near(&self, namespace: &str, app: &str) -> PodAffinityTerm {
        PodAffinityTerm {
            selector: Some(LabelSelector(vec![is_app(app)])),
            namespaces: vec![namespace.into()],
            namespace_selector: None,
            topology_key: if self.moves { ZONE } else { HOSTNAME }.into(),
        }
    }

    /// A volume of a pod, and its claim: it is usually there, or comes later, or is another pod's too.
    fn claim_for(&mut self, namespace: &str, name: &str) -> PodVolume {
        let shared = self.server.claims().find(|claim| *claim.namespace == *namespace).map(|claim| claim.name.clone());
        let name = shared.filter(|_| self.random.one_in(5)).unwrap_or_else(|| format!("data-{name}").into());
        if !self.random.one_in(8) {
            self.set_claim(namespace, &name);
        }
        PodVolume::Claim { claim: name, read_only: false }
    }

    fn set_claim(&mut self, namespace: &str, name: &Str) {
        if self.server.claim(&namespace.into(), name).is_some() {
            return;
        }
        let uid = self.name("claim");
        let class = if self.random.one_in(2) { "local" } else { "made" };
        self.server.set(Event::ClaimSet(Arc::new(Claim {
            uid,
            namespace: namespace.into(),
            name: name.clone(),
            storage_class: Some(class.into()),
            access_modes: AccessModes { read_write_once: true, ..AccessModes::default() },
            requested: 5,
            ..Claim::default()
        })));
    }

    fn any_pod(&mut self, wanted: impl Fn(&Pod) -> bool) -> Option<Arc<Pod>> {
        let pods: Vec<Arc<Pod>> = self.server.pods().filter(|pod| wanted(pod)).cloned().collect();
        self.random.pick(pods.into_iter())
    }

    /// A pod on a node gets its grace; one without goes at once, unless something still has to be done for it.
    fn delete_pod(&mut self) {
        if let Some(pod) = self.any_pod(|pod| !pod.deleting) {
            self.delete(&pod);
        }
    }

    fn delete(&mut self, pod: &Pod) {
        if pod.node.is_none() && !self.random.one_in(4) {
            return self.server.remove_pod(&pod.uid);
        }
        self.server.change_pod(&pod.uid, |pod| pod.deleting = true);
        self.plan_within(30_000, Job::End(pod.uid.clone()));
    }

    fn finish_pod(&mut self) {
        if let Some(pod) = self.any_pod(|pod| pod.node.is_some()) {
            self.server.change_pod(&pod.uid, |pod| pod.ended = true);
        }
    }

    /// A waiting pod's labels and tolerations may change.
    fn update_pod(&mut self) {
        let Some(pod) = self.any_pod(|_| true) else { return };
        let tolerate = self.random.one_in(2);
        self.server.change_pod(&pod.uid, |pod| {
            let spec = Arc::make_mut(&mut pod.spec);
            spec.labels = Labels::from([("app", "b")]);
            if tolerate {
                let operator = TolerationOperator::Exists;
                spec.tolerations = vec![Toleration { key: "dirty".into(), operator, value: "".into(), effect: None }];
            }
        });
    }

    fn open_gate(&mut self) {
        if let Some(pod) = self.any_pod(|pod| !pod.spec.scheduling_gates.is_empty()) {
            self.server.change_pod(&pod.uid, |pod| Arc::make_mut(&mut pod.spec).scheduling_gates.clear());
        }
    }

    fn change_node(&mut self) {
        let Some(node) = self.random.pick(self.server.nodes().cloned().collect::<Vec<_>>().into_iter()) else { return };
        let mut changed = Node::clone(&node);
        match self.random.below(if self.moves { 6 } else { 4 }) {
            4 | 5 => {
                let zone = format!("zone-{}", self.random.below(3));
                changed.labels = Labels::from([(HOSTNAME, &*node.name), (ZONE, &*zone)]);
            }
            0 => changed.unschedulable = !changed.unschedulable,
            1 if changed.taints.is_empty() => {
                changed.taints = vec![Taint { key: "dirty".into(), value: "".into(), effect: TaintEffect::NoSchedule }];
            }
            1 => changed.taints.clear(),
            2 => changed.allocatable.cpu = MilliCpu(6000),
            _ if self.rivals => {
                changed.allocatable.cpu = MilliCpu(3000);
                self.disturbed.insert(node.name.clone());
            }
            _ => changed.allocatable.memory.0 += 1,
        }
        self.server.set(Event::NodeSet(Arc::new(changed), Vec::new()));
    }

    fn remove_node(&mut self) {
        let nodes: Vec<Str> = self.server.nodes().map(|node| node.name.clone()).collect();
        if let Some(name) = self.random.pick(nodes.into_iter()) {
            self.server.remove(&(super::server::Kind::Node, Str::default(), name));
        }
    }

    fn return_node(&mut self) {
        let missing = (0..N_NODES).find(|i| self.server.node(&format!("node-{i}").into()).is_none());
        if let Some(i) = missing {
            // What it held before may be more than it has now.
            self.set_node(i, |node| node.allocatable.cpu = MilliCpu(6000));
        }
    }

    fn break_watch(&mut self) {
        let (n, forget) = (self.client.watches.len() as u64, self.random.one_in(2));
        let i = usize::try_from(self.random.below(n)).unwrap_or(0);
        self.client.watches[i].break_off(forget);
        self.plan_within(20_000, Job::Open(i));
    }

    /// Everything in a namespace goes.
    fn delete_namespace(&mut self) {
        let namespace = self.random.pick(NAMESPACES.into_iter()).unwrap_or_default();
        let pods: Vec<Arc<Pod>> = self.server.pods().filter(|pod| *pod.namespace == *namespace && !pod.deleting).cloned().collect();
        pods.iter().for_each(|pod| self.delete(pod));
        let claims: Vec<Arc<Claim>> = self.server.claims().filter(|claim| *claim.namespace == *namespace).cloned().collect();
        for claim in claims {
            self.server.remove(&(super::server::Kind::Claim, claim.namespace.clone(), claim.name.clone()));
        }
    }

    /// Claims that were missing come; a volume comes or goes.
    fn change_volumes(&mut self) {
        let uses = |pod: &Pod| pod.node.is_none() && pod.claims().next().is_some();
        if let Some((pod, claim)) = self.any_pod(uses).and_then(|pod| Some((pod.clone(), pod.claims().next()?))) {
            self.set_claim(&pod.namespace, &claim);
        }
        let free = self.server.volumes().find(|volume| volume.is_free()).map(|volume| volume.name.clone());
        match free.filter(|_| self.random.one_in(2)) {
            Some(name) => self.server.remove(&(super::server::Kind::Volume, Str::default(), name)),
            None => {
                let (name, node) = (self.name("volume"), self.random.below(N_NODES));
                self.add_volume(&name, node);
            }
        }
    }

    /// Another scheduler binds a pod of its own where there is room, as far as it knows.
    fn rival_binds(&mut self) {
        let Some(pod) = self.any_pod(|pod| pod.node.is_none() && !pod.deleting && *pod.spec.scheduler_name == *"rival") else { return };
        let fits = |node: &&Arc<Node>| {
            let pods: Vec<Arc<Pod>> = self.server.pods().filter(|p| p.node.as_ref() == Some(&node.name)).cloned().collect();
            against(&pod, node, &pods).is_none()
        };
        let nodes: Vec<Str> = self.server.nodes().filter(fits).map(|node| node.name.clone()).collect();
        if let Some(node) = self.random.pick(nodes.into_iter()) {
            self.disturbed.insert(node.clone());
            self.server.change_pod(&pod.uid, |pod| (pod.node, pod.nominated_node) = (Some(node), None));
        }
    }

    fn rival_nominates(&mut self) {
        let Some(pod) = self.any_pod(|pod| pod.node.is_none() && *pod.spec.scheduler_name == *"rival") else { return };
        let node = (!self.random.one_in(3)).then(|| format!("node-{}", self.random.below(N_NODES)).into());
        self.server.change_pod(&pod.uid, |pod| pod.nominated_node = node);
    }

    /// A pod on a node asks for more, or for less.
    fn resize(&mut self) {
        let Some(pod) = self.any_pod(|pod| pod.node.is_some()) else { return };
        self.disturbed.extend(pod.node.clone());
        let cpu = MilliCpu(i64::try_from(500 * self.random.within(1..5)).unwrap_or(0));
        self.server.change_pod(&pod.uid, |pod| {
            let spec = Arc::make_mut(&mut pod.spec);
            (spec.requests.cpu, spec.nonzero_request.cpu) = (cpu, cpu);
        });
    }
}

fn is_app(app: &str) -> Requirement {
    Requirement { key: "app".into(), operator: Operator::In, values: vec![app.into()] }
}

/// Pods of an app, evenly over the zones.
fn apart(app: &str) -> SpreadConstraint {
    SpreadConstraint {
        max_skew: 1,
        topology_key: ZONE.into(),
        hard: true,
        selector: Some(LabelSelector(vec![is_app(app)])),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
        match_label_keys: Vec::new(),
    }
}
