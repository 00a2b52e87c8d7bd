//! What a simulation starts from: the objects of a cluster, as if an API server held them.
//! Leaves out time: everything is there from the start.

use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::node::Node;
use aisched_model::pod::Pod;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The objects of a virtual cluster and its configuration.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The configuration in force. There is no policy service on a virtual cluster: its endpoint is not used.
    pub config: Config,
    objects: Vec<Event>,
    /// Position in `objects`, by kind, namespace, name.
    positions: BTreeMap<(&'static str, Str, Str), usize>,
    /// Names of pods by UID.
    uids: BTreeMap<Str, (Str, Str)>,
    notes: Vec<String>,
}

impl Scenario {
    /// Adds an object. One of the same kind and name replaces the earlier, as applying it would, and is noted;
    /// a pod whose UID another pod has already (a copied manifest) gets one of its own.
    pub fn add(&mut self, object: Event) {
        let object = match object {
            Event::PodSet(pod) => Event::PodSet(self.with_own_uid(pod)),
            other => other,
        };
        let Some(key) = key(&object) else { return self.objects.push(object) };
        match self.positions.get(&key) {
            Some(at) => {
                self.notes.push(format!("{} is there more than once; the last one counts", shown(&key)));
                self.objects[*at] = object;
            }
            None => {
                self.positions.insert(key, self.objects.len());
                self.objects.push(object);
            }
        }
    }

    /// Keeps the objects that are wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Event) -> bool) {
        self.objects.retain(wanted);
        self.positions.clear();
    }

    /// Its objects in the order in which they are told.
    #[must_use]
    pub fn into_objects(self) -> Vec<Event> {
        self.into_parts().1
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.objects.iter().filter_map(|o| if let Event::NodeSet(node, _) = o { Some(node) } else { None })
    }

    /// The pods, in order.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.objects.iter().filter_map(|o| if let Event::PodSet(pod) = o { Some(pod) } else { None })
    }

    /// Takes a pod out.
    pub fn take_pod(&mut self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let at = self.positions.remove(&("Pod", namespace.into(), name.into()))?;
        for position in self.positions.values_mut().filter(|position| **position > at) {
            *position -= 1;
        }
        match self.objects.remove(at) {
            Event::PodSet(pod) => Some(pod),
            _ => None,
        }
    }

    /// What was noticed, and the objects in the order in which they are told: pods last, those without a node at the very end.
    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<Event>) {
        let mut objects = self.objects;
        objects.sort_by_key(|o| match o {
            Event::PodSet(pod) if pod.node.is_none() => 2,
            Event::PodSet(_) => 1,
            _ => 0,
        });
        (self.notes, objects)
    }

    fn with_own_uid(&mut self, pod: Arc<Pod>) -> Arc<Pod> {
        let name = (pod.namespace.clone(), pod.name.clone());
        let owner = self.uids.entry(pod.uid.clone()).or_insert_with(|| name.clone());
        if *owner == name {
            return pod;
        }
        let own: Str = format!("{}#{}", pod.uid, pod.full_name()).into();
        self.uids.insert(own.clone(), name);
        Arc::new(Pod { uid: own, ..Pod::clone(&pod) })
    }
}

/// What makes an object the same object; of kinds that people do not write by hand the engine itself takes the last.
fn key(object: &Event) -> Option<(&'static str, Str, Str)> {
    let none = Str::default;
    Some(match object {
        Event::NodeSet(node, _) => ("Node", none(), node.name.clone()),
        Event::PodSet(pod) => ("Pod", pod.namespace.clone(), pod.name.clone()),
        Event::ClaimSet(claim) => ("PersistentVolumeClaim", claim.namespace.clone(), claim.name.clone()),
        Event::VolumeSet(volume) => ("PersistentVolume", none(), volume.name.clone()),
        Event::ClassSet(class) => ("StorageClass", none(), class.name.clone()),
        Event::CsiNodeSet(csi_node) => ("CSINode", none(), csi_node.name.clone()),
        Event::NamespaceSet(name, _) => ("Namespace", none(), name.clone()),
        _ => return None,
    })
}

fn shown((kind, namespace, name): &(&'static str, Str, Str)) -> String {
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}
