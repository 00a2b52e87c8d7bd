//! Objects from YAML or JSON documents: what `kubectl get -o yaml` writes and what people write by hand.
//! Leaves out reading files. Objects get the defaults that an API server would have given them.

mod admission;
mod defaults;
pub(crate) mod tree;
pub mod write;

pub use admission::{PriorityClass, Unsettled, settle};

use crate::convert::{self, Converted};
use crate::crd::AIStorageConfig;
use crate::foreign::ForeignKind;
use crate::intern::Interner;
use crate::objects::{
    AttachmentObject, BudgetObject, ClaimObject, ClaimTemplateObject, CsiDriverObject, CsiNodeObject, DeviceClaimObject, DeviceClassObject,
    NamespaceObject, NodeObject, PersistentVolumeObject, PodObject, ReplicaSetObject, ReplicationControllerObject, ServiceObject,
    SliceObject, StatefulSetObject, StorageCapacityObject, StorageClassObject, TaintRuleObject,
};
use crate::scheduler_config;
use aisched_core::event::{DeviceNews, Event};
use aisched_model::Str;
use aisched_model::devices::DeviceClaim;
use aisched_model::disruption::DisruptionBudget;
use aisched_model::foreign::Foreign;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PreemptionPolicy};
use aisched_model::storage_facts::Fault;
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume};
use k8s_openapi::api::scheduling::v1::PriorityClass as PriorityClassObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use tree::{Node as TreeNode, Tree};

/// An object of a document.
#[derive(Clone, Debug)]
pub enum Object {
    /// A node, with the labels and annotations on it that cannot be used.
    Node(Arc<Node>, Vec<Fault>),
    /// A pod, with what [`settle`] has to settle about it.
    Pod(Arc<Pod>, Unsettled),
    /// A claim.
    Claim(Arc<Claim>),
    /// A volume.
    Volume(Arc<Volume>),
    /// A class.
    Class(Arc<StorageClass>),
    /// A node's drivers.
    CsiNode(Arc<CsiNode>),
    /// How a driver wants to be treated.
    CsiDriver(Arc<CsiDriver>),
    /// What a driver says of its room.
    Capacity(Arc<StorageCapacity>),
    /// A volume attached to a node.
    Attachment(Arc<Attachment>),
    /// Devices, a class of devices, or a claim to them.
    Devices(DeviceNews),
    /// What claims to devices are made from for pods that name it; [`settle`] makes them.
    ClaimTemplate(Arc<DeviceClaim>),
    /// A disruption budget.
    Budget(Arc<DisruptionBudget>),
    /// A namespace: name, labels.
    Namespace(Str, Labels),
    /// A service or a controller, with the pods that it selects.
    Owner(convert::Owner),
    /// An object of another system.
    Foreign(Foreign),
    /// A class of priority; [`settle`] gives its priority to the pods that name it.
    PriorityClass(PriorityClass),
    /// The scheduler's configuration, as it is written; see [`crate::crd::to_config`].
    Config(Box<AIStorageConfig>),
    /// An object of a kind that does not bear on placement: kind, name.
    Ignored(String, String),
}

impl Object {
    /// The engine's event that tells of the object; none for a configuration, a class of priority, and what is ignored.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        Some(match self {
            Self::Node(node, hints) => Event::NodeSet(node, hints),
            Self::Pod(pod, _) => Event::PodSet(pod),
            Self::Claim(claim) => Event::ClaimSet(claim),
            Self::Volume(volume) => Event::VolumeSet(volume),
            Self::Class(class) => Event::ClassSet(class),
            Self::CsiNode(csi_node) => Event::CsiNodeSet(csi_node),
            Self::CsiDriver(driver) => Event::CsiDriverSet(driver),
            Self::Capacity(capacity) => Event::CapacitySet(capacity),
            Self::Attachment(attachment) => Event::AttachmentSet(attachment),
            Self::Devices(news) => Event::Devices(news),
            Self::Budget(budget) => Event::BudgetSet(budget),
            Self::Namespace(name, labels) => Event::NamespaceSet(name, labels),
            Self::Owner((id, selector)) => Event::OwnerSet(id, selector),
            Self::Foreign(object) => Event::ForeignSet(object),
            Self::PriorityClass(_) | Self::ClaimTemplate(_) | Self::Config(_) | Self::Ignored(..) => return None,
        })
    }
}

/// Something in a document that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFault {
    /// File, as it was named.
    pub file: String,
    /// Line, from 1; 0 when it is not known.
    pub line: u64,
    /// Document of the file, from 1.
    pub document: usize,
    /// Kind and name of the object, empty when the text is no YAML.
    pub object: String,
    /// Path of the field, empty for the object as a whole.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for ParseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        } else {
            write!(f, " (document {})", self.document)?;
        }
        f.write_str(": ")?;
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        if !self.value.is_empty() {
            write!(f, "{:?}: ", self.value)?;
        }
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ParseFault {}

/// Reads every object of `text`, lists taken apart; `file` is for messages.
///
/// # Errors
/// Every fault that the API server would refuse, each with its line.
pub fn parse_documents(text: &str, file: &str) -> Result<Vec<Object>, Vec<ParseFault>> {
    let mut reader = Reader { file, document: 0, interner: Interner::default(), objects: Vec::new(), faults: Vec::new() };
    match tree::read(text) {
        Ok(documents) => {
            for (i, document) in documents.iter().enumerate() {
                reader.document = i + 1;
                reader.object(document, None);
            }
        }
        Err(error) => reader.faults.push(ParseFault {
            file: file.into(),
            line: error.line,
            document: 0,
            object: String::new(),
            field: String::new(),
            value: String::new(),
            expected: format!("YAML or JSON ({})", error.message),
        }),
    }
    if reader.faults.is_empty() { Ok(reader.objects) } else { Err(reader.faults) }
}

struct Reader<'a> {
    file: &'a str,
    document: usize,
    interner: Interner,
    objects: Vec<Object>,
    faults: Vec<ParseFault>,
}

impl Reader<'_> {
    /// One object, or a list of them; the items of a `PodList` need not say that they are pods.
    fn object(&mut self, tree: &Tree, kind_of_list: Option<&str>) {
        let kind = match tree.text("kind").or(kind_of_list) {
            Some(kind) => kind,
            None => return self.fault(tree, "", "kind", "", "the kind of the object, such as Pod or Node"),
        };
        if let Some(item_kind) = kind.strip_suffix("List") {
            return self.list(tree, kind, item_kind);
        }
        let name = tree.get("metadata").and_then(|m| m.text("name")).unwrap_or_default();
        // A scheduler's configuration is no object of a cluster, and has none.
        if name.is_empty() && kind != scheduler_config::KIND {
            return self.fault(tree, kind, "metadata.name", "", "a name");
        }
        match (kind, group(tree, kind)) {
            ("Pod", "") => self.pod(tree, name),
            ("PriorityClass", "scheduling.k8s.io") => self.priority_class(tree, name),
            ("Node", "") => {
                self.read::<NodeObject, _>(tree, kind, name, defaults::node, convert::node, |c| Object::Node(Arc::new(c.value), c.hints));
            }
            ("PersistentVolumeClaim", "") => {
                self.read::<ClaimObject, _>(tree, kind, name, defaults::claim, convert::claim, |c| Object::Claim(Arc::new(c.value)));
            }
            ("PersistentVolume", "") => {
                self.read::<PersistentVolumeObject, _>(tree, kind, name, |_| (), convert::volume, |c| Object::Volume(Arc::new(c.value)));
            }
            ("StorageClass", "storage.k8s.io") => {
                self.read::<StorageClassObject, _>(tree, kind, name, |_| (), convert::class, |c| Object::Class(Arc::new(c.value)));
            }
            ("CSINode", "storage.k8s.io") => {
                self.read::<CsiNodeObject, _>(tree, kind, name, |_| (), convert::csi_node, |c| Object::CsiNode(Arc::new(c.value)));
            }
            ("CSIDriver", "storage.k8s.io") => {
                self.read::<CsiDriverObject, _>(tree, kind, name, |_| (), convert::csi_driver, |c| Object::CsiDriver(Arc::new(c.value)));
            }
            ("CSIStorageCapacity", "storage.k8s.io") => {
                let namespaced = |o: &mut StorageCapacityObject| defaults::namespaced(&mut o.metadata);
                self.read(tree, kind, name, namespaced, convert::storage_capacity, |c| Object::Capacity(Arc::new(c.value)));
            }
            ("VolumeAttachment", "storage.k8s.io") => {
                self.read::<AttachmentObject, _>(tree, kind, name, |_| (), convert::attachment, |c| Object::Attachment(Arc::new(c.value)));
            }
            ("ResourceClaim", "resource.k8s.io") => {
                let namespaced = |o: &mut DeviceClaimObject| defaults::namespaced(&mut o.metadata);
                self.read(tree, kind, name, namespaced, convert::device_claim, |c| Object::Devices(DeviceNews::Claim(Arc::new(c.value))));
            }
            ("ResourceClaimTemplate", "resource.k8s.io") => {
                let namespaced = |o: &mut ClaimTemplateObject| defaults::namespaced(&mut o.metadata);
                self.read(tree, kind, name, namespaced, convert::claim_template, |c| Object::ClaimTemplate(Arc::new(c.value)));
            }
            ("ResourceSlice", "resource.k8s.io") => {
                let slice = |c: Converted<_>| Object::Devices(DeviceNews::Slice(Arc::new(c.value)));
                self.read::<SliceObject, _>(tree, kind, name, |_| (), convert::slice, slice);
            }
            ("DeviceClass", "resource.k8s.io") => {
                let class = |c: Converted<_>| Object::Devices(DeviceNews::Class(Arc::new(c.value)));
                self.read::<DeviceClassObject, _>(tree, kind, name, |_| (), convert::device_class, class);
            }
            ("DeviceTaintRule", "resource.k8s.io") => {
                let rule = |c: Converted<_>| Object::Devices(DeviceNews::Rule(Arc::new(c.value)));
                self.read::<TaintRuleObject, _>(tree, kind, name, |_| (), convert::taint_rule, rule);
            }
            ("PodDisruptionBudget", "policy") => {
                let namespaced = |o: &mut BudgetObject| defaults::namespaced(&mut o.metadata);
                self.read(tree, kind, name, namespaced, convert::budget, |c| Object::Budget(Arc::new(c.value)));
            }
            ("Namespace", "") => {
                self.read::<NamespaceObject, _>(tree, kind, name, |_| (), convert::namespace, |c| Object::Namespace(c.value.0, c.value.1));
            }
            ("Service", "") => {
                self.read::<ServiceObject, _>(tree, kind, name, |o| defaults::namespaced(&mut o.metadata), convert::service, owner);
            }
            ("ReplicationController", "") => {
                let (namespaced, convert) =
                    (|o: &mut ReplicationControllerObject| defaults::namespaced(&mut o.metadata), convert::replication_controller);
                self.read(tree, kind, name, namespaced, convert, owner);
            }
            ("ReplicaSet", "apps") => {
                self.read::<ReplicaSetObject, _>(tree, kind, name, |o| defaults::namespaced(&mut o.metadata), convert::replica_set, owner);
            }
            ("StatefulSet", "apps") => {
                self.read::<StatefulSetObject, _>(
                    tree,
                    kind,
                    name,
                    |o| defaults::namespaced(&mut o.metadata),
                    convert::stateful_set,
                    owner,
                );
            }
            ("AIStorageConfig", "ai-storage.keti") => self.config(tree, name),
            (_, group) => match ForeignKind::find(kind, group) {
                Some(foreign) => self.foreign(tree, foreign, name),
                None => self.objects.push(Object::Ignored(kind.into(), name.into())),
            },
        }
    }

    fn list(&mut self, tree: &Tree, kind: &str, item_kind: &str) {
        match tree.get("items").map(|items| &items.node) {
            Some(TreeNode::List(items)) => {
                for item in items {
                    self.object(item, (!item_kind.is_empty()).then_some(item_kind));
                }
            }
            None | Some(TreeNode::Scalar(Value::Null)) => {}
            Some(TreeNode::Scalar(_) | TreeNode::Map(_)) => self.fault(tree, kind, "items", "", "a list of objects"),
        }
    }

    fn read<T: DeserializeOwned, V>(
        &mut self,
        tree: &Tree,
        kind: &str,
        name: &str,
        defaults: fn(&mut T),
        convert: fn(&T, &mut Interner) -> Converted<V>,
        wrap: fn(Converted<V>) -> Object,
    ) {
        let shown = format!("{kind} {}", full_name(tree, name));
        let Some(mut object) = self.parse::<T>(tree, &shown) else { return };
        defaults(&mut object);
        let converted = convert(&object, &mut self.interner);
        self.faults(tree, &shown, &converted.faults);
        self.objects.push(wrap(converted));
    }

    fn foreign(&mut self, tree: &Tree, kind: &ForeignKind, name: &str) {
        let namespace = tree.get("metadata").and_then(|m| m.text("namespace")).unwrap_or("default");
        let object = tree.to_value();
        let labels = serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
        match kind.read(namespace, name, &labels, object) {
            Ok(object) => self.objects.push(Object::Foreign(object)),
            Err(fault) => {
                let shown = format!("{} {}", kind.kind, full_name(tree, name));
                self.fault(tree, &shown, &fault.field, &tree.at(&fault.field).shown(), &wanted(&fault.error));
            }
        }
    }

    fn pod(&mut self, tree: &Tree, name: &str) {
        let shown = format!("Pod {}", full_name(tree, name));
        let Some(mut object) = self.parse::<PodObject>(tree, &shown) else { return };
        defaults::pod(&mut object);
        let Converted { value, mut faults, .. } = convert::pod(&object, &mut self.interner);
        let field = "spec.priorityClassName";
        let unknown = self.fault_at(tree, &shown, field, &tree.at(field).shown(), "the name of a PriorityClass that is there");
        let unsettled = Unsettled::of(&object, tree, unknown, &mut self.interner, &mut faults);
        self.faults(tree, &shown, &faults);
        self.objects.push(Object::Pod(Arc::new(value), unsettled));
    }

    fn priority_class(&mut self, tree: &Tree, name: &str) {
        let Some(object) = self.parse::<PriorityClassObject>(tree, &format!("PriorityClass {name}")) else { return };
        let never = object.preemption_policy.as_deref() == Some("Never");
        self.objects.push(Object::PriorityClass(PriorityClass {
            name: name.into(),
            value: object.value.unwrap_or_default(),
            global_default: object.global_default == Some(true),
            preemption: if never { PreemptionPolicy::Never } else { PreemptionPolicy::LowerPriority },
        }));
    }

    fn parse<T: DeserializeOwned>(&mut self, tree: &Tree, shown: &str) -> Option<T> {
        match serde_path_to_error::deserialize(tree.to_value()) {
            Ok(object) => Some(object),
            Err(error) => {
                let path = error.path().to_string();
                self.fault(tree, shown, &path, &tree.at(&path).shown(), &expected(error.inner()));
                None
            }
        }
    }

    fn faults(&mut self, tree: &Tree, shown: &str, faults: &[Fault]) {
        for fault in faults {
            self.fault(tree, shown, &fault.key, &fault.value, &fault.expected);
        }
    }

    fn config(&mut self, tree: &Tree, name: &str) {
        let shown = format!("AIStorageConfig {}", full_name(tree, name));
        let mut value = tree.to_value();
        let spec = value["spec"].take();
        let faults = crate::crd::faults_of_spec(&spec, true);
        value["spec"] = if spec.is_null() { Value::Object(serde_json::Map::new()) } else { spec };
        for fault in &faults {
            self.fault(tree, &shown, &fault.path, fault.value.trim_matches('"'), &fault.expected);
        }
        if !faults.is_empty() {
            return;
        }
        match serde_json::from_value::<AIStorageConfig>(value) {
            Ok(config) => self.objects.push(Object::Config(Box::new(config))),
            Err(error) => self.fault(tree, &shown, "", "", &expected(&error)),
        }
    }

    fn fault(&mut self, tree: &Tree, object: &str, field: &str, value: &str, expected: &str) {
        self.faults.push(self.fault_at(tree, object, field, value, expected));
    }

    fn fault_at(&self, tree: &Tree, object: &str, field: &str, value: &str, expected: &str) -> ParseFault {
        ParseFault {
            file: self.file.into(),
            line: tree.at(field).line,
            document: self.document,
            object: object.into(),
            field: if field == "." { String::new() } else { field.into() },
            value: value.into(),
            expected: expected.into(),
        }
    }
}

fn owner(owner: Converted<convert::Owner>) -> Object {
    Object::Owner(owner.value)
}

/// The API group of `apiVersion`; objects of a typed list leave it out.
fn group<'a>(tree: &'a Tree, kind: &str) -> &'a str {
    match (tree.text("apiVersion").map(|v| v.rsplit_once('/')), kind) {
        (Some(Some((group, _))), _) => group,
        (Some(None), _) => "",
        (None, "StorageClass" | "CSINode" | "CSIDriver" | "CSIStorageCapacity" | "VolumeAttachment") => "storage.k8s.io",
        (None, "ResourceClaim" | "ResourceClaimTemplate" | "ResourceSlice" | "DeviceClass" | "DeviceTaintRule") => "resource.k8s.io",
        (None, "ReplicaSet" | "StatefulSet") => "apps",
        (None, "PodDisruptionBudget") => "policy",
        (None, "PriorityClass") => "scheduling.k8s.io",
        (None, "AIStorageConfig") => "ai-storage.keti",
        (None, _) => "",
    }
}

fn full_name(tree: &Tree, name: &str) -> String {
    match tree.get("metadata").and_then(|m| m.text("namespace")) {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{name}"),
        _ => name.into(),
    }
}

/// What serde wanted, without the part that repeats the value.
fn expected(error: &serde_json::Error) -> String {
    wanted(&error.to_string())
}

fn wanted(error: &str) -> String {
    error.rsplit_once("expected ").map_or(error, |(_, wanted)| wanted).to_owned()
}

#[cfg(test)]
mod tests;
