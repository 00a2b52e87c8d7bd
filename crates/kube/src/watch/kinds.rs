//! The watched kinds: for each, its slim type, what the engine is told of it, and whether scheduling can do without.
//! Leaves out how they are watched.

use super::health::ResourceName;
use crate::convert::{self, Converted};
use crate::intern::Interner;
use crate::objects::{
    AttachmentObject, BudgetObject, ClaimObject, CsiDriverObject, CsiNodeObject, NamespaceObject, NodeObject, PersistentVolumeObject,
    PodObject, ReplicaSetObject, ReplicationControllerObject, ServiceObject, StatefulSetObject, StorageCapacityObject, StorageClassObject,
};
use aisched_core::event::{Event, PodRef};
use aisched_model::Str;
use aisched_model::owners::OwnerKind;
use aisched_model::storage_facts::Fault;
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

    /// What the engine is told of an object, and what of it could not be used.
    fn set(object: &Self::Object, interner: &mut Interner) -> (Event, Vec<Fault>);
    /// What the engine is told when it is gone.
    fn gone(id: Id) -> Event;
}

macro_rules! kinds {
    ($($kind:ident: $object:ty, $plural:literal in $group:literal, $(required: $required:literal,)? $(fields: $fields:literal,)?
        set: $convert:path => $set:expr, gone: $gone:expr;)*) => {$(
        pub(super) struct $kind;

        impl Kind for $kind {
            type Object = $object;
            const NAME: ResourceName = ResourceName { plural: $plural, group: $group };
            const REQUIRED: bool = false $(|| $required)?;
            $(const FIELDS: &'static str = $fields;)?

            fn set(object: &Self::Object, interner: &mut Interner) -> (Event, Vec<Fault>) {
                let converted = $convert(object, interner);
                let faults = converted.faults.clone();
                ($set(converted), faults)
            }

            fn gone(id: Id) -> Event {
                $gone(id)
            }
        }
    )*};
}

kinds! {
    Nodes: NodeObject, "nodes" in "", required: true,
        set: convert::node => |c: Converted<_>| Event::NodeSet(Arc::new(c.value), [c.faults, c.hints].concat()), gone: |id: Id| Event::NodeGone(id.name);
    // A pod that has ended uses nothing: it is not listed, and a pod that ends is told as gone.
    Pods: PodObject, "pods" in "", required: true, fields: "status.phase!=Succeeded,status.phase!=Failed",
        set: convert::pod => |c: Converted<_>| Event::PodSet(Arc::new(c.value)),
        gone: |id: Id| Event::PodGone(PodRef { uid: id.uid, namespace: id.namespace, name: id.name });
    Claims: ClaimObject, "persistentvolumeclaims" in "",
        set: convert::claim => |c: Converted<_>| Event::ClaimSet(Arc::new(c.value)), gone: |id: Id| Event::ClaimGone(id.namespace, id.name);
    Volumes: PersistentVolumeObject, "persistentvolumes" in "",
        set: convert::volume => |c: Converted<_>| Event::VolumeSet(Arc::new(c.value)), gone: |id: Id| Event::VolumeGone(id.name);
    Classes: StorageClassObject, "storageclasses" in "storage.k8s.io",
        set: convert::class => |c: Converted<_>| Event::ClassSet(Arc::new(c.value)), gone: |id: Id| Event::ClassGone(id.name);
    CsiNodes: CsiNodeObject, "csinodes" in "storage.k8s.io",
        set: convert::csi_node => |c: Converted<_>| Event::CsiNodeSet(Arc::new(c.value)), gone: |id: Id| Event::CsiNodeGone(id.name);
    CsiDrivers: CsiDriverObject, "csidrivers" in "storage.k8s.io",
        set: convert::csi_driver => |c: Converted<_>| Event::CsiDriverSet(Arc::new(c.value)), gone: |id: Id| Event::CsiDriverGone(id.name);
    StorageCapacities: StorageCapacityObject, "csistoragecapacities" in "storage.k8s.io",
        set: convert::storage_capacity => |c: Converted<_>| Event::CapacitySet(Arc::new(c.value)),
        gone: |id: Id| Event::CapacityGone(id.namespace, id.name);
    Attachments: AttachmentObject, "volumeattachments" in "storage.k8s.io",
        set: convert::attachment => |c: Converted<_>| Event::AttachmentSet(Arc::new(c.value)), gone: |id: Id| Event::AttachmentGone(id.name);
    Budgets: BudgetObject, "poddisruptionbudgets" in "policy",
        set: convert::budget => |c: Converted<_>| Event::BudgetSet(Arc::new(c.value)), gone: |id: Id| Event::BudgetGone(id.namespace, id.name);
    Namespaces: NamespaceObject, "namespaces" in "",
        set: convert::namespace => |c: Converted<(Str, _)>| Event::NamespaceSet(c.value.0, c.value.1), gone: |id: Id| Event::NamespaceGone(id.name);
    Services: ServiceObject, "services" in "",
        set: convert::service => owner, gone: |id| owner_gone(OwnerKind::Service, id);
    ReplicationControllers: ReplicationControllerObject, "replicationcontrollers" in "",
        set: convert::replication_controller => owner, gone: |id| owner_gone(OwnerKind::ReplicationController, id);
    ReplicaSets: ReplicaSetObject, "replicasets" in "apps",
        set: convert::replica_set => owner, gone: |id| owner_gone(OwnerKind::ReplicaSet, id);
    StatefulSets: StatefulSetObject, "statefulsets" in "apps",
        set: convert::stateful_set => owner, gone: |id| owner_gone(OwnerKind::StatefulSet, id);
}

fn owner(owner: Converted<convert::Owner>) -> Event {
    Event::OwnerSet(owner.value.0, owner.value.1)
}

fn owner_gone(kind: OwnerKind, id: Id) -> Event {
    Event::OwnerSet((kind, id.namespace, id.name), None)
}

/// The plurals of all kinds, for the gate.
pub(super) const NAMES: [&str; 15] = [
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
];
