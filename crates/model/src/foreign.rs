//! Objects of other systems that bear on placement: Kueue, Argo, Fluid, KServe, Node Feature Discovery, local storage.
//! Leaves out reading them from the API (`aisched-kube`) and what they mean for a score (the plugins).

use crate::Str;
use crate::gang::{GangKey, GangObject};
use crate::hyper_nodes::{HyperNode, HyperNodes};
use crate::signals::ClassFacts;
use crate::snapshot::NamespacedName;
use crate::storage_facts::TierSet;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Everything known of other systems.
#[derive(Clone, Debug, Default)]
pub struct ForeignObjects {
    /// Kueue's Workloads.
    pub workloads: BTreeMap<NamespacedName, Arc<KueueWorkload>>,
    /// Kueue's ClusterQueues.
    pub queues: BTreeMap<Str, Arc<ClusterQueue>>,
    /// Argo's Workflows.
    pub workflows: BTreeMap<NamespacedName, Arc<Workflow>>,
    /// Topologies of Kueue, KAI and Koordinator: label keys of their levels, the widest first; by kind and name.
    pub topologies: BTreeMap<Str, Vec<Str>>,
    /// Volcano's HyperNodes.
    pub hyper_nodes: HyperNodes,
    /// Fluid's Datasets: how much of each is cached, in per cent.
    pub datasets: BTreeMap<NamespacedName, i64>,
    /// What storage systems and model caches say of nodes.
    pub node_storage: NodeStorages,
    /// Longhorn's Replicas.
    pub replicas: Replicas,
    /// VolumeAttributesClasses.
    pub attributes_classes: BTreeMap<Str, Arc<ClassFacts>>,
    /// What describes gangs: PodGroups, JobSets and the like.
    pub gangs: BTreeMap<GangKey, Arc<GangObject>>,
}

/// One object of another system.
#[derive(Clone, Debug, PartialEq)]
pub enum Foreign {
    /// Kueue's Workload.
    Workload(Arc<KueueWorkload>),
    /// Kueue's ClusterQueue.
    Queue(Arc<ClusterQueue>),
    /// Argo's Workflow.
    Workflow(Arc<Workflow>),
    /// A Topology of Kueue, KAI or Koordinator: kind and name, label keys of its levels, the widest first.
    Topology(Str, Vec<Str>),
    /// Volcano's HyperNode.
    HyperNode(Arc<HyperNode>),
    /// Fluid's Dataset: how much of it is cached, in per cent.
    Dataset(NamespacedName, i64),
    /// What a storage system says of a node.
    NodeStorage(Arc<NodeStorage>),
    /// Longhorn's Replica.
    Replica(Replica),
    /// A VolumeAttributesClass.
    AttributesClass(Str, Arc<ClassFacts>),
    /// A PodGroup, JobSet or the like.
    Gang(Arc<GangObject>),
}

/// Names one object of another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignName {
    /// Kueue's Workload: namespace, name.
    Workload(NamespacedName),
    /// Kueue's ClusterQueue.
    Queue(Str),
    /// Argo's Workflow: namespace, name.
    Workflow(NamespacedName),
    /// A Topology: kind and name.
    Topology(Str),
    /// Volcano's HyperNode.
    HyperNode(Str),
    /// Fluid's Dataset: namespace, name.
    Dataset(NamespacedName),
    /// What a storage system says of a node: the kind of object and its name.
    NodeStorage(&'static str, Str),
    /// Longhorn's Replica.
    Replica(Str),
    /// A VolumeAttributesClass.
    AttributesClass(Str),
    /// A PodGroup, JobSet or the like.
    Gang(GangKey),
}

impl ForeignObjects {
    /// Adds or replaces an object.
    pub fn set(&mut self, object: Foreign) {
        match object {
            Foreign::Workload(w) => drop(self.workloads.insert((w.namespace.clone(), w.name.clone()), w)),
            Foreign::Queue(q) => drop(self.queues.insert(q.name.clone(), q)),
            Foreign::Workflow(w) => drop(self.workflows.insert((w.namespace.clone(), w.name.clone()), w)),
            Foreign::Topology(name, levels) => drop(self.topologies.insert(name, levels)),
            Foreign::HyperNode(hyper_node) => self.hyper_nodes.set(hyper_node),
            Foreign::Dataset(key, percent) => drop(self.datasets.insert(key, percent)),
            Foreign::NodeStorage(storage) => self.node_storage.set(storage),
            Foreign::Replica(replica) => self.replicas.set(replica),
            Foreign::AttributesClass(name, facts) => drop(self.attributes_classes.insert(name, facts)),
            Foreign::Gang(gang) => drop(self.gangs.insert(gang.key.clone(), gang)),
        }
    }

    /// Every object.
    pub fn iter(&self) -> impl Iterator<Item = Foreign> {
        let workloads = self.workloads.values().cloned().map(Foreign::Workload);
        let queues = self.queues.values().cloned().map(Foreign::Queue);
        let workflows = self.workflows.values().cloned().map(Foreign::Workflow);
        let topologies = self.topologies.iter().map(|(name, levels)| Foreign::Topology(name.clone(), levels.clone()));
        let datasets = self.datasets.iter().map(|(key, percent)| Foreign::Dataset(key.clone(), *percent));
        let storages = self.node_storage.by_object.values().cloned().map(Foreign::NodeStorage);
        let replicas = self.replicas.by_name.values().cloned().map(Foreign::Replica);
        let classes = self.attributes_classes.iter().map(|(name, facts)| Foreign::AttributesClass(name.clone(), facts.clone()));
        let hyper_nodes = self.hyper_nodes.iter().cloned().map(Foreign::HyperNode);
        let topologies = topologies.chain(hyper_nodes);
        let gangs = self.gangs.values().cloned().map(Foreign::Gang);
        let of_storage = storages.chain(replicas).chain(classes);
        workloads.chain(queues).chain(workflows).chain(topologies).chain(datasets).chain(of_storage).chain(gangs)
    }

    /// Takes an object away.
    pub fn remove(&mut self, name: &ForeignName) {
        match name {
            ForeignName::Workload(key) => drop(self.workloads.remove(key)),
            ForeignName::Queue(name) => drop(self.queues.remove(name)),
            ForeignName::Workflow(key) => drop(self.workflows.remove(key)),
            ForeignName::Topology(name) => drop(self.topologies.remove(name)),
            ForeignName::HyperNode(name) => self.hyper_nodes.remove(name),
            ForeignName::Dataset(key) => drop(self.datasets.remove(key)),
            ForeignName::NodeStorage(kind, name) => self.node_storage.remove(kind, name),
            ForeignName::Replica(name) => self.replicas.remove(name),
            ForeignName::AttributesClass(name) => drop(self.attributes_classes.remove(name)),
            ForeignName::Gang(key) => drop(self.gangs.remove(key)),
        }
    }
}

impl Foreign {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> ForeignName {
        match self {
            Self::Workload(w) => ForeignName::Workload((w.namespace.clone(), w.name.clone())),
            Self::Queue(q) => ForeignName::Queue(q.name.clone()),
            Self::Workflow(w) => ForeignName::Workflow((w.namespace.clone(), w.name.clone())),
            Self::Topology(name, _) => ForeignName::Topology(name.clone()),
            Self::HyperNode(h) => ForeignName::HyperNode(h.name.clone()),
            Self::Dataset(key, _) => ForeignName::Dataset(key.clone()),
            Self::NodeStorage(s) => ForeignName::NodeStorage(s.kind, s.name.clone()),
            Self::Replica(r) => ForeignName::Replica(r.name.clone()),
            Self::AttributesClass(name, _) => ForeignName::AttributesClass(name.clone()),
            Self::Gang(gang) => ForeignName::Gang(gang.key.clone()),
        }
    }
}

impl core::fmt::Display for ForeignName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Workload((namespace, name)) => write!(f, "Workload {namespace}/{name}"),
            Self::Queue(name) => write!(f, "ClusterQueue {name}"),
            Self::Workflow((namespace, name)) => write!(f, "Workflow {namespace}/{name}"),
            Self::Topology(name) => write!(f, "{name}"),
            Self::HyperNode(name) => write!(f, "HyperNode {name}"),
            Self::Dataset((namespace, name)) => write!(f, "Dataset {namespace}/{name}"),
            Self::NodeStorage(kind, name) => write!(f, "{kind} {name}"),
            Self::Replica(name) => write!(f, "Replica {name}"),
            Self::AttributesClass(name) => write!(f, "VolumeAttributesClass {name}"),
            Self::Gang(key) => write!(f, "{key}"),
        }
    }
}

/// A Kueue Workload: pods that are admitted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KueueWorkload {
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Pods of all its pod sets.
    pub n_pods: i64,
    /// The ClusterQueue that admitted it.
    pub queue: Option<Str>,
}

/// A Kueue ClusterQueue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterQueue {
    /// Name.
    pub name: Str,
    /// Workloads that wait.
    pub pending: i64,
    /// Workloads that are admitted and have not finished.
    pub admitted: i64,
}

/// Who tells of a node's storage, the most trustworthy first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorageSystem {
    /// HwameiStor.
    Hwameistor,
    /// OpenEBS.
    OpenEbs,
    /// Node Feature Discovery.
    NodeFeatureDiscovery,
    /// KServe's local models.
    KServe,
}

/// What one object says of a node's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStorage {
    /// Who says so.
    pub system: StorageSystem,
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: Str,
    /// The node.
    pub node: Str,
    /// Tiers present.
    pub tiers: TierSet,
    /// Bytes that are free, of the pool with the most.
    pub free_bytes: Option<i64>,
    /// Datasets and models that are on the node.
    pub datasets: Vec<Str>,
}

/// A block device of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDevice {
    /// Name, such as `nvme0n1`.
    pub name: String,
    /// Whether it spins, where that is told.
    pub rotational: Option<bool>,
}

/// Objects that tell of nodes' storage, found by node.
#[derive(Clone, Debug, Default)]
pub struct NodeStorages {
    by_object: StoragesByObject,
    by_node: BTreeMap<(Str, StorageSystem), StoragesByObject>,
}

/// By kind and name.
type StoragesByObject = BTreeMap<(&'static str, Str), Arc<NodeStorage>>;

impl NodeStorages {
    /// What a system says of a node.
    pub fn of(&self, node: &Str, system: StorageSystem) -> impl Iterator<Item = &NodeStorage> {
        self.by_node.get(&(node.clone(), system)).into_iter().flat_map(BTreeMap::values).map(|storage| &**storage)
    }

    /// The node that an object tells of.
    #[must_use]
    pub fn node_of(&self, kind: &'static str, name: &Str) -> Option<&Str> {
        self.by_object.get(&(kind, name.clone())).map(|storage| &storage.node)
    }

    fn set(&mut self, storage: Arc<NodeStorage>) {
        self.remove(storage.kind, &storage.name);
        let (key, place) = ((storage.kind, storage.name.clone()), (storage.node.clone(), storage.system));
        self.by_node.entry(place).or_default().insert(key.clone(), storage.clone());
        self.by_object.insert(key, storage);
    }

    fn remove(&mut self, kind: &'static str, name: &Str) {
        let key = (kind, name.clone());
        let Some(old) = self.by_object.remove(&key) else { return };
        let place = (old.node.clone(), old.system);
        if let Some(of_node) = self.by_node.get_mut(&place) {
            of_node.remove(&key);
            if of_node.is_empty() {
                self.by_node.remove(&place);
            }
        }
    }
}

/// A Longhorn Replica: a copy of a volume's data on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Name.
    pub name: Str,
    /// The Longhorn volume, which is the handle of the Kubernetes one.
    pub volume: Str,
    /// The node.
    pub node: Str,
}

/// Replicas, found by volume.
#[derive(Clone, Debug, Default)]
pub struct Replicas {
    by_name: BTreeMap<Str, Replica>,
    by_volume: BTreeMap<Str, BTreeMap<Str, Str>>,
}

impl Replicas {
    /// Whether any node has a replica of a volume.
    #[must_use]
    pub fn are_there(&self, volume: &str) -> bool {
        self.by_volume.contains_key(volume)
    }

    /// Whether a node has a replica of a volume.
    #[must_use]
    pub fn is_on(&self, volume: &str, node: &Str) -> bool {
        self.by_volume.get(volume).is_some_and(|nodes| nodes.values().any(|n| n == node))
    }

    /// Names of a volume's replicas.
    pub fn names(&self, volume: &str) -> impl Iterator<Item = &Str> {
        self.by_volume.get(volume).into_iter().flat_map(BTreeMap::keys)
    }

    fn set(&mut self, replica: Replica) {
        self.remove(&replica.name);
        self.by_volume.entry(replica.volume.clone()).or_default().insert(replica.name.clone(), replica.node.clone());
        self.by_name.insert(replica.name.clone(), replica);
    }

    fn remove(&mut self, name: &Str) {
        let Some(old) = self.by_name.remove(name) else { return };
        if let Some(nodes) = self.by_volume.get_mut(&old.volume) {
            nodes.remove(name);
            if nodes.is_empty() {
                self.by_volume.remove(&old.volume);
            }
        }
    }
}

/// An Argo Workflow: steps that depend on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workflow {
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// The template that it starts with.
    pub entrypoint: Str,
    /// Tasks of its templates, by template.
    pub templates: BTreeMap<Str, Vec<WorkflowTask>>,
    /// Where its pods ran or run: name of the Argo node such as `flow.train`, and the Kubernetes node.
    pub ran: BTreeMap<Str, Str>,
}

/// A task of a template, by what Argo appends to the name of the node that runs the template: `.train` in a DAG, `[1].train` in steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowTask {
    /// What is appended.
    pub suffix: Str,
    /// The template that it runs.
    pub template: Str,
    /// Suffixes of the tasks of the same template that it waits for.
    pub needs: Vec<Str>,
}

impl Workflow {
    /// Names of the Argo nodes that the one named `step` depends on; empty when the workflow does not tell.
    ///
    /// A name is a path of tasks: `flow.prepare.filter` is the task `filter` in the template of the task `prepare`. What is in parentheses
    /// is a retry or an item of a loop. Example: `flow.train(0)` where train needs load gives `flow.load`.
    #[must_use]
    pub fn needs(&self, step: &str) -> Vec<String> {
        self.parent_and_needs(step)
            .map(|(parent, needs)| needs.iter().map(|suffix| format!("{parent}{suffix}")).collect())
            .unwrap_or_default()
    }

    fn parent_and_needs<'a>(&'a self, step: &'a str) -> Option<(&'a str, &'a [Str])> {
        let mut rest = step.strip_prefix(&*self.name)?;
        let (mut template, mut found) = (&self.entrypoint, None);
        while !rest.is_empty() {
            if let Some(item) = rest.strip_prefix('(') {
                rest = item.split_once(')')?.1;
                continue;
            }
            let task = self.templates.get(template)?.iter().find(|task| *task.suffix == *suffix(rest))?;
            found = Some((&step[..step.len() - rest.len()], &*task.needs));
            (template, rest) = (&task.template, &rest[task.suffix.len()..]);
        }
        found
    }

    /// The Kubernetes nodes of a step: of its own pod, of its retries and loop items, of the steps within it.
    pub fn nodes_of<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Str> {
        let within = move |name: &str| name.strip_prefix(step).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '(', '[']));
        let from = self.ran.range(Str::from(step)..).take_while(move |(name, _)| name.starts_with(step));
        from.filter(move |(name, _)| within(name)).map(|(_, node)| node)
    }
}

/// The first task in what is left of a path: `.prepare` of `.prepare.filter`, `[0].a` of `[0].a(1)`.
fn suffix(rest: &str) -> &str {
    let name = rest.find('.').map_or(rest.len(), |dot| dot + 1);
    let end = rest[name..].find(['.', '[', '(']).map_or(rest.len(), |end| name + end);
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn task(suffix: &str, template: &str, needs: &[&str]) -> WorkflowTask {
        WorkflowTask { suffix: suffix.into(), template: template.into(), needs: needs.iter().map(|n| Str::from(*n)).collect() }
    }

    /// flow: load → prepare (clean, then cut) → train, evaluate after both.
    fn flow() -> Workflow {
        let main = vec![
            task(".load", "run", &[]),
            task(".prepare", "inner", &[".load"]),
            task(".train", "run", &[".prepare"]),
            task(".evaluate", "run", &[".prepare", ".train"]),
        ];
        let inner = vec![task("[0].clean", "run", &[]), task("[1].cut", "run", &["[0].clean"])];
        let ran = [("flow.load(0)", "a"), ("flow.prepare[0].clean", "b"), ("flow.prepare[1].cut(1:x.y)", "c"), ("flow.prepared", "z")];
        Workflow {
            name: "flow".into(),
            entrypoint: "main".into(),
            templates: [(Str::from("main"), main), (Str::from("inner"), inner)].into(),
            ran: ran.into_iter().map(|(name, node)| (name.into(), node.into())).collect(),
            ..Workflow::default()
        }
    }

    #[test]
    fn a_step_needs_what_its_own_template_says() {
        for (step, needs) in [
            ("flow.load", vec![]),
            ("flow.train", vec!["flow.prepare"]),
            ("flow.train(2)", vec!["flow.prepare"]),
            ("flow(0).train(1:a.b)", vec!["flow(0).prepare"]),
            ("flow.evaluate", vec!["flow.prepare", "flow.train"]),
            ("flow.prepare[1].cut", vec!["flow.prepare[0].clean"]),
            ("flow.prepare[1].clean", vec![]),
            ("flow.prepare.cut", vec![]),
            ("flow.", vec![]),
            ("flow[", vec![]),
            ("flow(", vec![]),
            ("flow.träin", vec![]),
            ("other.train", vec![]),
            ("flow", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(flow().needs(step), needs.into_iter().map(String::from).collect::<Vec<_>>(), "{step}");
        }
    }

    #[test]
    fn a_step_ran_where_its_pods_did() {
        for (step, nodes) in [("flow.load", "a"), ("flow.prepare", "b c"), ("flow.prepare[1].cut", "c"), ("flow.train", "")] {
            let flow = flow();
            let found: Vec<&str> = flow.nodes_of(step).map(|n| &**n).collect();
            assert_eq!(found.join(" "), nodes, "{step}");
        }
    }
}
