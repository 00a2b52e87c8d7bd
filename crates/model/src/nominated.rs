//! Pods that were promised a node on which room is being made for them, and the pods that have to leave for that.
//! Leaves out who promises: the API's `status.nominatedNodeName`, or a preemption of this scheduler.

use crate::Str;
use crate::node::PlacedPod;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Waiting pods by the node that they are nominated to, and pods whose deletion has been asked for.
#[derive(Clone, Debug, Default)]
pub struct Nominated {
    by_node: BTreeMap<Str, Vec<PlacedPod>>,
    node_of: BTreeMap<Str, Str>,
    /// UIDs of pods that this scheduler is having deleted: as good as terminating.
    condemned: BTreeSet<Str>,
}

impl Nominated {
    /// Nominates a pod to a node; it loses its nomination to another.
    pub fn set(&mut self, pod: PlacedPod, node: Str) {
        self.remove(&pod.pod.uid);
        self.node_of.insert(pod.pod.uid.clone(), node.clone());
        self.by_node.entry(node).or_default().push(pod);
    }

    /// Takes a pod's nomination back; returns the pod and the node that it was for.
    pub fn remove(&mut self, uid: &str) -> Option<(PlacedPod, Str)> {
        let node = self.node_of.remove(uid)?;
        let pods = self.by_node.get_mut(&node)?;
        let placed = pods.remove(pods.iter().position(|p| *p.pod.uid == *uid)?);
        if pods.is_empty() {
            self.by_node.remove(&node);
        }
        Some((placed, node))
    }

    /// The node that a pod is nominated to.
    #[must_use]
    pub fn node_of(&self, uid: &str) -> Option<&Str> {
        self.node_of.get(uid)
    }

    /// Pods nominated to a node, in the order of their nomination.
    #[must_use]
    pub fn on(&self, node: &str) -> &[PlacedPod] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that pods are nominated to.
    pub fn nodes(&self) -> impl Iterator<Item = &Str> {
        self.by_node.keys()
    }

    /// Whether no pod is nominated to any node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node_of.is_empty()
    }

    /// Notes that a pod's deletion has been asked for; whether that is new.
    pub fn condemn(&mut self, uid: Str) -> bool {
        self.condemned.insert(uid)
    }

    /// The pod is gone, or will not be deleted after all.
    pub fn pardon(&mut self, uid: &str) {
        self.condemned.remove(uid);
    }

    /// Pods whose deletion has been asked for, by UID.
    pub fn condemned(&self) -> impl Iterator<Item = &Str> {
        self.condemned.iter()
    }

    /// Whether a pod's deletion has been asked for.
    #[must_use]
    pub fn is_condemned(&self, uid: &str) -> bool {
        self.condemned.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;
    use crate::storage_facts::IoDemand;
    use alloc::sync::Arc;

    fn placed(uid: &str) -> PlacedPod {
        PlacedPod::new(Arc::new(Pod { uid: uid.into(), ..Pod::default() }), IoDemand::default())
    }

    #[test]
    fn pod_is_nominated_to_one_node_at_a_time() {
        let mut nominated = Nominated::default();
        nominated.set(placed("p"), "a".into());
        nominated.set(placed("q"), "a".into());
        nominated.set(placed("p"), "b".into());
        assert_eq!(nominated.on("a").iter().map(|p| &*p.pod.uid).collect::<Vec<_>>(), ["q"]);
        assert_eq!((nominated.on("b").len(), nominated.node_of("p").map(|n| &**n)), (1, Some("b")));
        assert_eq!(nominated.remove("p").map(|(_, node)| node).as_deref(), Some("b"));
        assert_eq!(nominated.remove("q").map(|(_, node)| node).as_deref(), Some("a"));
        assert!(nominated.remove("q").is_none() && nominated.is_empty() && nominated.by_node.is_empty());
    }

    #[test]
    fn condemned_pod_is_condemned_once_until_pardoned() {
        let mut nominated = Nominated::default();
        assert!(nominated.condemn("v".into()) && !nominated.condemn("v".into()) && nominated.is_condemned("v"));
        nominated.pardon("v");
        assert!(!nominated.is_condemned("v"));
    }
}
