//! The watched kinds: for each, its slim type, what the engine is told of it, and whether scheduling can do without.
//! Leaves out how they are watched.

use super::health::ResourceName;
use crate::convert::{self, Converted};
use crate::intern::Interner;
use crate::objects::{
    AttachmentObject, BudgetObject, ClaimObject, CsiDriverObject, CsiNodeObject, DeviceClaimObject, DeviceClassObject, NamespaceObject,
    NodeObject, PersistentVolumeObject, PodObject, ReplicaSetObject, ReplicationControllerObject, ServiceObject, SliceObject,
    StatefulSetObject, StorageCapacityObject, StorageClassObject, TaintRuleObject,
};
use aisched_core::event::{DeviceNews, Event, PodRef};
use aisched_core::features::Features;
use aisched_model::Str;
use aisched_model::devices::{DeviceClaim, DeviceClass, Slice, TaintRule};
use aisched_model::disruption::DisruptionBudget;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::owners::OwnerKind;
use aisched_model::pod::Pod;
use aisched_model::storage_facts::Fault;
use aisched_model::volume::{Attachment, Claim, CsiDriver, CsiNode, StorageCapacity, StorageClass, Volume};
use kube::Resource;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) namespace: Str,
    pub(super) name: Str,
    pub(super) uid: Str,
}

/// A kind that is watched in the whole cluster.
pub(super) trait Kind: Send + 'static {
    type Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static;
    const NAME: ResourceName;
    /// Without it nothing can be scheduled.
    const REQUIRED: bool;
    /// Field selector.
    const FIELDS: &'static str = "";

    /// Everything that the engine is told of an object: the same again is no news.
    type News: Clone + PartialEq + Send;

    /// Takes away the fields of features that are off.
    fn hide(_object: &mut Self::Object, _features: Features) {}
    /// What the engine is to be told of an object, and what of it could not be used.
    fn read(object: &Self::Object, interner: &mut Interner) -> (Self::News, Vec<Fault>);
    /// How it is told.
    fn set(news: Self::News) -> Event;
    /// What the engine is told when it is gone.
    fn gone(id: Id) -> Event;
}

macro_rules! kinds {
    ($($kind:ident: $object:ty => $news:ty, $plural:literal in $group:literal, $(required: $required:literal,)? $(fields: $fields:literal,)?
        $(hide: $hide:path,)? read: $convert:path => $read:expr, set: $set:expr, gone: $gone:expr;)*) => {$(
        pub(super) struct $kind;

        impl Kind for $kind {
            type Object = $object;
            type News = $news;
            const NAME: ResourceName = ResourceName { plural: $plural, group: $group };
            const REQUIRED: bool = false $(|| $required)?;
            $(const FIELDS: &'static str = $fields;)?

            $(fn hide(object: &mut Self::Object, features: Features) {
                $hide(object, features);
            })?

            fn read(object: &Self::Object, interner: &mut Interner) -> (Self::News, Vec<Fault>) {
                $read($convert(object, interner))
            }

            fn set(news: Self::News) -> Event {
                $set(news)
            }

            fn gone(id: Id) -> Event {
                $gone(id)
            }
        }
    )*};
}

kinds! {
    Nodes: NodeObject => (Arc<Node>, Vec<Fault>), "nodes" in "", required: true,
        read: convert::node => with_faults, set: |(node, faults)| Event::NodeSet(node, faults), gone: |id: Id| Event::NodeGone(id.name);
    // A pod that has ended uses nothing: one that ends well is not listed, and is told as gone. Of one that fails, the reason counts.
    Pods: PodObject => Arc<Pod>, "pods" in "", required: true, fields: "status.phase!=Succeeded",
        hide: convert::hide, read: convert::pod => shared, set: Event::PodSet,
        gone: |id: Id| Event::PodGone(PodRef { uid: id.uid, namespace: id.namespace, name: id.name });
    Claims: ClaimObject => Arc<Claim>, "persistentvolumeclaims" in "",
        read: convert::claim => shared, set: Event::ClaimSet, gone: |id: Id| Event::ClaimGone(id.namespace, id.name);
    Volumes: PersistentVolumeObject => Arc<Volume>, "persistentvolumes" in "",
        read: convert::volume => shared, set: Event::VolumeSet, gone: |id: Id| Event::VolumeGone(id.name);
    Classes: StorageClassObject => Arc<StorageClass>, "storageclasses" in "storage.k8s.io",
        read: convert::class => shared, set: Event::ClassSet, gone: |id: Id| Event::ClassGone(id.name);
    CsiNodes: CsiNodeObject => Arc<CsiNode>, "csinodes" in "storage.k8s.io",
        read: convert::csi_node => shared, set: Event::CsiNodeSet, gone: |id: Id| Event::CsiNodeGone(id.name);
    CsiDrivers: CsiDriverObject => Arc<CsiDriver>, "csidrivers" in "storage.k8s.io",
        read: convert::csi_driver => shared, set: Event::CsiDriverSet, gone: |id: Id| Event::CsiDriverGone(id.name);
    StorageCapacities: StorageCapacityObject => Arc<StorageCapacity>, "csistoragecapacities" in "storage.k8s.io",
        read: convert::storage_capacity => shared, set: Event::CapacitySet,
        gone: |id: Id| Event::CapacityGone(id.namespace, id.name);
    Attachments: AttachmentObject => Arc<Attachment>, "volumeattachments" in "storage.k8s.io",
        read: convert::attachment => shared, set: Event::AttachmentSet, gone: |id: Id| Event::AttachmentGone(id.name);
    Budgets: BudgetObject => Arc<DisruptionBudget>, "poddisruptionbudgets" in "policy",
        read: convert::budget => shared, set: Event::BudgetSet, gone: |id: Id| Event::BudgetGone(id.namespace, id.name);
    DeviceClaims: DeviceClaimObject => Arc<DeviceClaim>, "resourceclaims" in "resource.k8s.io",
        read: convert::device_claim => shared, set: |claim| Event::Devices(DeviceNews::Claim(claim)),
        gone: |id: Id| Event::Devices(DeviceNews::ClaimGone(id.namespace, id.name));
    Slices: SliceObject => Arc<Slice>, "resourceslices" in "resource.k8s.io",
        read: convert::slice => shared, set: |slice| Event::Devices(DeviceNews::Slice(slice)),
        gone: |id: Id| Event::Devices(DeviceNews::SliceGone(id.name));
    DeviceClasses: DeviceClassObject => Arc<DeviceClass>, "deviceclasses" in "resource.k8s.io",
        read: convert::device_class => shared, set: |class| Event::Devices(DeviceNews::Class(class)),
        gone: |id: Id| Event::Devices(DeviceNews::ClassGone(id.name));
    TaintRules: TaintRuleObject => Arc<TaintRule>, "devicetaintrules" in "resource.k8s.io",
        read: convert::taint_rule => shared, set: |rule| Event::Devices(DeviceNews::Rule(rule)),
        gone: |id: Id| Event::Devices(DeviceNews::RuleGone(id.name));
    Namespaces: NamespaceObject => (Str, Labels), "namespaces" in "",
        read: convert::namespace => plain, set: |(name, labels)| Event::NamespaceSet(name, labels), gone: |id: Id| Event::NamespaceGone(id.name);
    Services: ServiceObject => convert::Owner, "services" in "",
        read: convert::service => plain, set: |(id, selector)| Event::OwnerSet(id, selector), gone: |id| owner_gone(OwnerKind::Service, id);
    ReplicationControllers: ReplicationControllerObject => convert::Owner, "replicationcontrollers" in "",
        read: convert::replication_controller => plain, set: |(id, selector)| Event::OwnerSet(id, selector), gone: |id| owner_gone(OwnerKind::ReplicationController, id);
    ReplicaSets: ReplicaSetObject => convert::Owner, "replicasets" in "apps",
        read: convert::replica_set => plain, set: |(id, selector)| Event::OwnerSet(id, selector), gone: |id| owner_gone(OwnerKind::ReplicaSet, id);
    StatefulSets: StatefulSetObject => convert::Owner, "statefulsets" in "apps",
        read: convert::stateful_set => plain, set: |(id, selector)| Event::OwnerSet(id, selector), gone: |id| owner_gone(OwnerKind::StatefulSet, id);
}

fn plain<T>(converted: Converted<T>) -> (T, Vec<Fault>) {
    (converted.value, converted.faults)
}

fn shared<T>(converted: Converted<T>) -> (Arc<T>, Vec<Fault>) {
    (Arc::new(converted.value), converted.faults)
}

/// A node goes to the engine with its faults, which it tells as events.
fn with_faults(converted: Converted<Node>) -> ((Arc<Node>, Vec<Fault>), Vec<Fault>) {
    let all = [&*converted.faults, &*converted.hints].concat();
    ((Arc::new(converted.value), all), converted.faults)
}

fn owner_gone(kind: OwnerKind, id: Id) -> Event {
    Event::OwnerSet((kind, id.namespace, id.name), None)
}

/// The plurals of all kinds, for the gate.
pub(super) const NAMES: [&str; 20] = [
    Nodes::NAME.plural,
    Pods::NAME.plural,
    Claims::NAME.plural,
    Volumes::NAME.plural,
    Classes::NAME.plural,
    CsiNodes::NAME.plural,
    CsiDrivers::NAME.plural,
    StorageCapacities::NAME.plural,
    Attachments::NAME.plural,
    Budgets::NAME.plural,
    Namespaces::NAME.plural,
    Services::NAME.plural,
    ReplicationControllers::NAME.plural,
    ReplicaSets::NAME.plural,
    StatefulSets::NAME.plural,
    DeviceClaims::NAME.plural,
    Slices::NAME.plural,
    DeviceClasses::NAME.plural,
    TaintRules::NAME.plural,
    crate::foreign::watch::AWAITED,
];
