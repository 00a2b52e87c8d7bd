//! A node object as the model's node.
//! Leaves out what the storage facts mean: `aisched_model::storage_facts` reads them.

use super::affinity::Context;
use super::{Amounts, Converted, annotations, labels};
use crate::intern::Interner;
use crate::objects::{NodeObject, Quantities};
use aisched_model::node::Node;
use aisched_model::signals::{CONDITION_SUFFIX, TOPOLVM_ANNOTATIONS};
use aisched_model::storage_facts::{self, ANNOTATION_PREFIX, Fault, NodeSize};

/// The model's node; `hints` names labels and annotations that cannot be used.
#[must_use]
pub fn node(object: &NodeObject, interner: &mut Interner) -> Converted<Node> {
    let mut faults = Vec::new();
    let (meta, status) = (&object.metadata, &object.status);
    let labels = labels(meta.labels.as_ref(), interner);
    let read = |key: &str| [ANNOTATION_PREFIX].iter().chain(TOPOLVM_ANNOTATIONS).any(|prefix| key.starts_with(prefix));
    let annotations = annotations(meta.annotations.as_ref(), read, interner);
    let allocatable = allocatable(status.allocatable.as_ref(), &mut faults);
    let capacity = Amounts::read(&status.capacity, "status.capacity", &mut faults);
    let size = NodeSize { cores: capacity.get("cpu").unwrap_or(0) / 1000, memory_gib: allocatable.get("memory").unwrap_or(0) >> 30 };
    let (storage, hints) = storage_facts::read(&labels, &annotations, size);
    let mut context = Context { interner, faults: &mut faults, namespace: "" };
    let taints = object.spec.taints.iter().enumerate().filter_map(|(i, t)| context.taint(i, t)).collect();
    let contended = status.conditions.iter().find(|c| c.kind.ends_with(CONDITION_SUFFIX) && c.status == "True");
    let images = status.images.iter().flat_map(|i| i.names.iter().map(|n| (n, i.size_bytes)));
    let value = Node {
        name: interner.str(meta.name.as_deref().unwrap_or_default()),
        labels,
        annotations,
        taints,
        unschedulable: object.spec.unschedulable,
        allocatable_pods: allocatable.get("pods").unwrap_or(0),
        allocatable: allocatable.to_resources(interner),
        declared_features: status.declared_features.iter().map(|f| interner.str(f)).collect(),
        contention: contended.map(|c| interner.str(&c.kind)),
        images: images.map(|(name, size)| (interner.str(name), size)).collect(),
        storage,
    };
    Converted { value, faults, hints }
}

/// What the node offers. A node that does not say offers nothing, and is told so.
fn allocatable<'a>(quantities: Option<&'a Quantities>, faults: &mut Vec<Fault>) -> Amounts<'a> {
    let amounts = quantities.map(|q| Amounts::read(q, "status.allocatable", faults)).unwrap_or_default();
    if amounts.0.is_empty() && faults.is_empty() {
        let expected = "amounts of cpu, memory and pods, which the kubelet reports; until then no pod fits on the node";
        faults.push(Fault::new("status.allocatable", "none", expected));
    }
    amounts
}
