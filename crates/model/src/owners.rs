//! What pods belong to: services and controllers, as far as their selectors say which pods are of one kind.
//! Leaves out everything else about them; a pod names its controller itself.

use crate::Str;
use crate::pod::Pod;
use crate::selector::LabelSelector;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// Kinds of owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the API's")]
pub enum OwnerKind {
    Service,
    ReplicationController,
    ReplicaSet,
    StatefulSet,
}

/// Names one owner: kind, namespace, name.
pub type OwnerId = (OwnerKind, Str, Str);

/// Owners with the pods that they select. One that selects none is not here.
#[derive(Clone, Debug, Default)]
pub struct Owners(BTreeMap<OwnerId, Arc<LabelSelector>>);

impl Owners {
    /// Adds, replaces or (without a selector) takes away an owner.
    pub fn set(&mut self, id: OwnerId, selector: Option<Arc<LabelSelector>>) {
        match selector {
            Some(selector) => self.0.insert(id, selector),
            None => self.0.remove(&id),
        };
    }

    /// Every owner with what it selects.
    pub fn iter(&self) -> impl Iterator<Item = (&OwnerId, &Arc<LabelSelector>)> {
        self.0.iter()
    }

    /// The pods that are of one kind with this one: what all of its services and its controller select. Empty when it has none.
    ///
    /// Example: service `app=web` and ReplicaSet `app=web,hash=1` make `app=web,app=web,hash=1`. As in kube-scheduler, the word of a
    /// ReplicationController replaces that of services on the same label.
    #[must_use]
    pub fn selector_of(&self, pod: &Pod) -> LabelSelector {
        let mut all = LabelSelector::default();
        let first = (OwnerKind::Service, pod.namespace.clone(), Str::default());
        let services =
            self.0.range(first..).take_while(|((kind, namespace, _), _)| (*kind, namespace) == (OwnerKind::Service, &pod.namespace));
        for (_, selector) in services.filter(|(_, selector)| selector.matches(&pod.spec.labels)) {
            all.0.extend_from_slice(&selector.0);
        }
        let controller = pod.spec.controller.as_ref().map(|(kind, name)| (*kind, pod.namespace.clone(), name.clone()));
        if let Some((id, selector)) = controller.and_then(|id| self.0.get_key_value(&id)) {
            if id.0 == OwnerKind::ReplicationController {
                all.0.retain(|old| selector.0.iter().all(|new| new.key != old.key));
            }
            all.0.extend_from_slice(&selector.0);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodSpec;
    use crate::selector::{Operator, Requirement};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    fn owners(list: &[(OwnerKind, &str, &str, &str)]) -> Owners {
        let mut owners = Owners::default();
        for (kind, namespace, name, selector) in list {
            let requirement =
                |(key, value): (&str, &str)| Requirement { key: key.into(), operator: Operator::In, values: vec![value.into()] };
            let selector = LabelSelector(selector.split(',').filter_map(|word| word.split_once('=')).map(requirement).collect());
            owners.set((*kind, (*namespace).into(), (*name).into()), Some(Arc::new(selector)));
        }
        owners
    }

    fn shown(selector: &LabelSelector) -> String {
        let words: Vec<String> = selector.0.iter().map(|r| format!("{}={}", r.key, r.values[0])).collect();
        words.join(",")
    }

    #[test]
    fn selector_is_of_all_services_and_the_controller() {
        use OwnerKind::{ReplicaSet, ReplicationController, Service, StatefulSet};
        let owners = owners(&[
            (Service, "ns", "a", "app=web"),
            (Service, "ns", "b", "tier=front"),
            (Service, "ns", "c", "app=db"),
            (Service, "nt", "a", "app=web,x=1"),
            (ReplicaSet, "ns", "r", "app=web,hash=1"),
            (StatefulSet, "ns", "r", "set=1"),
            (ReplicationController, "ns", "r", "app=other"),
        ]);
        for (namespace, labels, controller, expected) in [
            ("ns", &[("app", "web")][..], None, "app=web"),
            ("ns", &[("app", "web"), ("tier", "front")], None, "app=web,tier=front"),
            ("ns", &[("app", "none")], None, ""),
            ("none", &[("app", "web")], None, ""),
            ("ns", &[("app", "none")], Some((ReplicaSet, "r")), "app=web,hash=1"),
            ("ns", &[("app", "web")], Some((StatefulSet, "r")), "app=web,set=1"),
            ("ns", &[("app", "web")], Some((StatefulSet, "gone")), "app=web"),
            ("ns", &[("app", "web"), ("tier", "front")], Some((ReplicationController, "r")), "tier=front,app=other"),
            ("nt", &[("app", "web"), ("x", "1")], Some((ReplicaSet, "r")), "app=web,x=1"),
        ] {
            let spec = PodSpec {
                labels: labels.iter().copied().collect(),
                controller: controller.map(|(kind, name)| (kind, name.into())),
                ..PodSpec::default()
            };
            let pod = Pod { namespace: namespace.into(), spec: Arc::new(spec), ..Pod::default() };
            assert_eq!(shown(&owners.selector_of(&pod)), expected, "{namespace} {labels:?} {controller:?}");
        }
    }

    #[test]
    fn owner_that_selects_none_any_more_is_gone() {
        let mut owners = owners(&[(OwnerKind::Service, "ns", "a", "app=web")]);
        owners.set((OwnerKind::Service, "ns".into(), "a".into()), None);
        assert!(owners.0.is_empty());
    }
}
