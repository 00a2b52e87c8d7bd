//! Services and controllers as the model's owners, and the controller that a pod names.
//! Leaves out which owners a pod has: `aisched_model::owners` says that.

use super::Converted;
use super::affinity::Context;
use crate::intern::Interner;
use crate::objects::{ReplicaSetObject, ReplicationControllerObject, ServiceObject, StatefulSetObject};
use aisched_model::Str;
use aisched_model::owners::{OwnerId, OwnerKind};
use aisched_model::selector::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An owner and the pods that it selects, if it selects any.
pub type Owner = (OwnerId, Option<Arc<LabelSelector>>);

/// A service.
#[must_use]
pub fn service(object: &ServiceObject, interner: &mut Interner) -> Converted<Owner> {
    owner(OwnerKind::Service, &object.metadata, by_labels(object.spec.selector.as_ref()).as_ref(), interner)
}

/// A ReplicationController.
#[must_use]
pub fn replication_controller(object: &ReplicationControllerObject, interner: &mut Interner) -> Converted<Owner> {
    owner(OwnerKind::ReplicationController, &object.metadata, by_labels(object.spec.selector.as_ref()).as_ref(), interner)
}

/// A ReplicaSet.
#[must_use]
pub fn replica_set(object: &ReplicaSetObject, interner: &mut Interner) -> Converted<Owner> {
    owner(OwnerKind::ReplicaSet, &object.metadata, object.spec.selector.as_ref(), interner)
}

/// A StatefulSet.
#[must_use]
pub fn stateful_set(object: &StatefulSetObject, interner: &mut Interner) -> Converted<Owner> {
    owner(OwnerKind::StatefulSet, &object.metadata, object.spec.selector.as_ref(), interner)
}

fn by_labels(labels: Option<&BTreeMap<String, String>>) -> Option<meta::LabelSelector> {
    labels.map(|labels| meta::LabelSelector { match_labels: Some(labels.clone()), match_expressions: None })
}

fn owner(kind: OwnerKind, meta: &meta::ObjectMeta, selector: Option<&meta::LabelSelector>, interner: &mut Interner) -> Converted<Owner> {
    let mut faults = Vec::new();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let mut context = Context { interner, faults: &mut faults, namespace };
    let selector = context.selector("spec.selector", selector).filter(|s| !s.0.is_empty());
    let id = (kind, interner.str(namespace), interner.str(meta.name.as_deref().unwrap_or_default()));
    Converted::new((id, selector.map(Arc::new)), faults)
}

/// The controller among a pod's owners, if it is of a kind whose selector is known.
pub(super) fn controller(owners: Option<&Vec<meta::OwnerReference>>, interner: &mut Interner) -> Option<(OwnerKind, Str)> {
    let owner = owners?.iter().find(|owner| owner.controller == Some(true))?;
    let kind = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("v1", "ReplicationController") => OwnerKind::ReplicationController,
        ("apps/v1", "ReplicaSet") => OwnerKind::ReplicaSet,
        ("apps/v1", "StatefulSet") => OwnerKind::StatefulSet,
        _ => return None,
    };
    Some((kind, interner.str(&owner.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(convert: fn(&T, &mut Interner) -> Converted<Owner>, spec: Value) -> (OwnerId, usize) {
        let object = json!({"metadata": {"name": "o", "namespace": "ns"}, "spec": spec});
        let owner = convert(&serde_json::from_value(object).unwrap(), &mut Interner::default());
        assert_eq!(owner.faults, []);
        (owner.value.0, owner.value.1.map_or(0, |selector| selector.0.len()))
    }

    #[test]
    fn owner_selects_by_labels_or_by_a_selector() {
        let (labels, selector) = (json!({"selector": {"a": "1", "b": "2"}}), json!({"selector": {"matchLabels": {"a": "1"}}}));
        let id = |kind| (kind, Str::from("ns"), Str::from("o"));
        assert_eq!(read(service, labels.clone()), (id(OwnerKind::Service), 2));
        assert_eq!(read(replication_controller, labels), (id(OwnerKind::ReplicationController), 2));
        assert_eq!(read(replica_set, selector.clone()), (id(OwnerKind::ReplicaSet), 1));
        assert_eq!(read(stateful_set, selector), (id(OwnerKind::StatefulSet), 1));
        for empty in [json!(null), json!({}), json!({"selector": null}), json!({"selector": {}})] {
            assert_eq!(read(service, empty.clone()).1, 0, "{empty}");
            assert_eq!(read(replica_set, empty.clone()).1, 0, "{empty}");
        }
    }

    #[test]
    fn controller_of_a_known_kind_is_remembered() {
        let owner = |version: &str, kind: &str, controls| json!({"apiVersion": version, "kind": kind, "name": "o", "uid": "u", "controller": controls});
        for (owners, expected) in [
            (vec![owner("apps/v1", "ReplicaSet", true)], Some(OwnerKind::ReplicaSet)),
            (vec![owner("apps/v1", "StatefulSet", true)], Some(OwnerKind::StatefulSet)),
            (vec![owner("v1", "ReplicationController", true)], Some(OwnerKind::ReplicationController)),
            (vec![owner("apps/v1", "ReplicaSet", false), owner("apps/v1", "StatefulSet", true)], Some(OwnerKind::StatefulSet)),
            (vec![owner("apps/v1", "ReplicaSet", false)], None),
            (vec![owner("batch/v1", "Job", true)], None),
            (vec![owner("example.com/v1", "ReplicaSet", true)], None),
            (vec![], None),
        ] {
            let references: Vec<meta::OwnerReference> = serde_json::from_value(json!(owners)).unwrap();
            let found = controller(Some(&references), &mut Interner::default());
            assert_eq!(found, expected.map(|kind| (kind, "o".into())), "{owners:?}");
        }
    }
}
