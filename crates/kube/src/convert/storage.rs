//! Claims, volumes, classes, drivers on nodes and namespaces as values of the model.
//! Leaves out binding: these are facts only.

use super::affinity::Context;
use super::{Amounts, Converted, bad_quantity, labels, migrated};
use crate::intern::Interner;
use crate::objects::{
    AttachmentObject, ClaimObject, CsiDriverObject, CsiNodeObject, NamespaceObject, PersistentVolumeObject, QuantityText,
    StorageCapacityObject, StorageClassObject,
};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Budgets;
use aisched_model::quantity::Quantity;
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::signals::ClassFacts;
use aisched_model::storage_facts::{ANNOTATION_PREFIX, Fault, whole};
use aisched_model::volume::{
    AccessModes, Attachment, BindingMode, Claim, CsiDriver, CsiDriverOnNode, CsiNode, StorageCapacity, StorageClass, Volume,
};
use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The annotation that named a class before `storageClassName` did; where it is, it wins.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Annotation of a class that names what stores its volumes, where several classes share it.
const BACKEND: &str = "ai-storage.keti/storage-backend";

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn name(meta: &ObjectMeta, interner: &mut Interner) -> Str {
    interner.str(meta.name.as_deref().unwrap_or_default())
}

/// A claim.
#[must_use]
pub fn claim(object: &ClaimObject, interner: &mut Interner) -> Converted<Claim> {
    let mut faults = Vec::new();
    let (meta, spec) = (&object.metadata, &object.spec);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let requested = Amounts::read(&spec.resources.requests, "spec.resources.requests", &mut faults).get("storage").unwrap_or(0);
    let owner = meta.owner_references.iter().flatten().find(|o| o.controller == Some(true));
    let class = annotation(meta, BETA_CLASS).or(spec.storage_class_name.as_deref());
    let mut context = Context { interner, faults: &mut faults, namespace };
    let selector = context.selector("spec.selector", spec.selector.as_ref());
    let value = Claim {
        uid: Str::from(meta.uid.as_deref().unwrap_or_default()),
        namespace: interner.str(namespace),
        name: name(meta, interner),
        labels: labels(meta.labels.as_ref(), interner),
        owner_uid: owner.map(|o| interner.str(&o.uid)),
        volume: spec.volume_name.as_deref().filter(|v| !v.is_empty()).map(|v| interner.str(v)),
        bind_completed: annotation(meta, "pv.kubernetes.io/bind-completed").is_some(),
        storage_class: class.map(|c| interner.str(c)),
        access_modes: access_modes(&spec.access_modes, &mut faults),
        requested,
        selected_node: annotation(meta, "volume.kubernetes.io/selected-node").filter(|n| !n.is_empty()).map(|n| interner.str(n)),
        deleting: meta.deletion_timestamp.is_some(),
        lost: object.status.phase.as_deref() == Some("Lost"),
        block: spec.volume_mode.as_deref() == Some("Block"),
        selector,
        attributes_class: spec.volume_attributes_class_name.as_deref().filter(|c| !c.is_empty()).map(|c| interner.str(c)),
    };
    Converted::new(value, faults)
}

fn access_modes(modes: &[String], faults: &mut Vec<Fault>) -> AccessModes {
    let mut known = AccessModes::default();
    for (i, mode) in modes.iter().enumerate() {
        match mode.as_str() {
            "ReadWriteOnce" => known.read_write_once = true,
            "ReadWriteOncePod" => known.read_write_once_pod = true,
            "ReadWriteMany" => known.read_write_many = true,
            "ReadOnlyMany" => known.read_only_many = true,
            other => {
                let expected = "one of ReadWriteOnce, ReadWriteOncePod, ReadWriteMany, ReadOnlyMany";
                faults.push(Fault::new(&format!("spec.accessModes[{i}]"), other, expected));
            }
        }
    }
    known
}

/// A volume.
#[must_use]
pub fn volume(object: &PersistentVolumeObject, interner: &mut Interner) -> Converted<Volume> {
    let mut faults = Vec::new();
    let (meta, spec) = (&object.metadata, &object.spec);
    let capacity = Amounts::read(&spec.capacity, "spec.capacity", &mut faults).get("storage").unwrap_or(0);
    let required = spec.node_affinity.as_ref().and_then(|a| a.required.as_ref());
    let mut context = Context { interner, faults: &mut faults, namespace: "" };
    let node_affinity = required.map(|s| context.node_terms("spec.nodeAffinity.required", s));
    let class = annotation(meta, BETA_CLASS).or(spec.storage_class_name.as_deref()).unwrap_or_default();
    let claim = spec.claim_ref.as_ref().filter(|c| !c.name.is_empty());
    let labels = labels(meta.labels.as_ref(), interner);
    let in_tree = migrated::volume(object, &labels).filter(|_| spec.csi.is_none());
    let csi = spec.csi.as_ref().map(|c| (c.driver.as_str(), c.volume_handle.as_str()));
    let source = csi.or_else(|| in_tree.as_ref().map(|m| (m.driver, m.handle.as_str())));
    let migrated_affinity = in_tree.as_ref().and_then(|m| m.affinity(node_affinity.as_deref(), &labels, interner));
    let value = Volume {
        name: name(meta, interner),
        labels,
        driver: source.map(|(driver, _)| interner.str(driver)),
        handle: source.map(|(_, handle)| interner.str(handle)),
        in_tree: in_tree.map(|m| interner.str(m.plugin)),
        node_affinity,
        migrated_affinity,
        storage_class: interner.str(class),
        access_modes: access_modes(&spec.access_modes, &mut faults),
        capacity,
        claim: claim.map(|c| (interner.str(&c.namespace), interner.str(&c.name), interner.str(&c.uid))),
        available: matches!(object.status.phase.as_deref(), None | Some("" | "Available")),
        deleting: meta.deletion_timestamp.is_some(),
        block: spec.volume_mode.as_deref() == Some("Block"),
        attributes_class: spec.volume_attributes_class_name.as_deref().filter(|c| !c.is_empty()).map(|c| interner.str(c)),
    };
    Converted::new(value, faults)
}

/// A class.
#[must_use]
pub fn class(object: &StorageClassObject, interner: &mut Interner) -> Converted<StorageClass> {
    let (meta, mut faults) = (&object.metadata, Vec::new());
    let wait = object.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
    let name = name(meta, interner);
    let offers = offers(meta, &mut faults);
    let facts = ClassFacts::read(&name, &object.provisioner, &object.parameters);
    let named = annotation(meta, BACKEND).map(str::trim).filter(|backend| !backend.is_empty()).map(Str::from);
    // A class that tells a budget and no backend is one of its own.
    let own = || (offers != Budgets::default()).then(|| format!("StorageClass {name}").into());
    let value = StorageClass {
        provisioner: interner.str(&object.provisioner),
        binding_mode: if wait { BindingMode::WaitForFirstConsumer } else { BindingMode::Immediate },
        allowed_topologies: object.allowed_topologies.iter().map(|t| topology(t, interner)).collect(),
        is_default: annotation(meta, "storageclass.kubernetes.io/is-default-class") == Some("true"),
        facts: ClassFacts { backend: named.or(facts.backend).or_else(own), ..facts },
        offers,
        name,
    };
    Converted::new(value, faults)
}

/// What the backend of a class offers: the same annotations as those of nodes.
fn offers(meta: &ObjectMeta, faults: &mut Vec<Fault>) -> Budgets {
    let mut number = |name: &str| {
        let key = format!("{ANNOTATION_PREFIX}{name}");
        let text = annotation(meta, &key)?;
        let number = whole(text);
        if number.is_none() {
            faults.push(Fault::new(&key, text, "a whole number, 0 or more"));
        }
        number
    };
    Budgets {
        iops: number("available-iops"),
        throughput_mbps: number("available-throughput-mbps"),
        capacity_gb: number("available-capacity-gb"),
    }
}

fn topology(term: &TopologySelectorTerm, interner: &mut Interner) -> NodeSelectorTerm {
    let requirements = term.match_label_expressions.iter().flatten().map(|e| Requirement {
        key: interner.str(&e.key),
        operator: Operator::In,
        values: e.values.iter().map(|v| interner.str(v)).collect(),
    });
    NodeSelectorTerm { labels: requirements.collect(), fields: Vec::new() }
}

/// A node's drivers.
#[must_use]
pub fn csi_node(object: &CsiNodeObject, interner: &mut Interner) -> Converted<CsiNode> {
    let drivers = object.spec.drivers.iter().map(|d| CsiDriverOnNode {
        name: interner.str(&d.name),
        topology_keys: d.topology_keys.iter().map(|k| interner.str(k)).collect(),
        allocatable: d.allocatable.as_ref().and_then(|a| a.count),
    });
    let drivers = drivers.collect();
    let migrated = annotation(&object.metadata, "storage.alpha.kubernetes.io/migrated-plugins").unwrap_or_default();
    let migrated_plugins = migrated.split(',').map(str::trim).filter(|p| !p.is_empty()).map(|p| interner.str(p)).collect();
    Converted::new(CsiNode { name: name(&object.metadata, interner), drivers, migrated_plugins }, Vec::new())
}

/// A driver.
#[must_use]
pub fn csi_driver(object: &CsiDriverObject, interner: &mut Interner) -> Converted<CsiDriver> {
    let spec = &object.spec;
    let value = CsiDriver {
        name: name(&object.metadata, interner),
        storage_capacity: spec.storage_capacity,
        needed_on_node: spec.prevent_pod_scheduling_if_missing,
    };
    Converted::new(value, Vec::new())
}

/// What a driver says of its room.
#[must_use]
pub fn storage_capacity(object: &StorageCapacityObject, interner: &mut Interner) -> Converted<StorageCapacity> {
    let mut faults = Vec::new();
    let meta = &object.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let mut context = Context { interner, faults: &mut faults, namespace };
    let nodes = context.selector("nodeTopology", object.node_topology.as_ref());
    let mut bytes = |path: &str, text: &Option<QuantityText>| {
        let text = &text.as_ref()?.0;
        Quantity::parse(text).map(Quantity::value).map_err(|e| faults.push(bad_quantity(path, text, e))).ok()
    };
    let (capacity, maximum_volume_size) = (bytes("capacity", &object.capacity), bytes("maximumVolumeSize", &object.maximum_volume_size));
    let value = StorageCapacity {
        namespace: interner.str(namespace),
        name: name(meta, interner),
        storage_class: interner.str(&object.storage_class_name),
        nodes,
        capacity,
        maximum_volume_size,
    };
    Converted::new(value, faults)
}

/// A volume's attachment to a node.
#[must_use]
pub fn attachment(object: &AttachmentObject, interner: &mut Interner) -> Converted<Attachment> {
    let spec = &object.spec;
    let value = Attachment {
        name: name(&object.metadata, interner),
        driver: interner.str(&spec.attacher),
        node: interner.str(&spec.node_name),
        volume: spec.source.persistent_volume_name.as_ref().map(|v| interner.str(v)),
    };
    Converted::new(value, Vec::new())
}

/// A namespace's name and labels.
#[must_use]
pub fn namespace(object: &NamespaceObject, interner: &mut Interner) -> Converted<(Str, Labels)> {
    Converted::new((name(&object.metadata, interner), labels(object.metadata.labels.as_ref(), interner)), Vec::new())
}
