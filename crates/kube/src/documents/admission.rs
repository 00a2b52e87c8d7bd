//! What a control plane settles when objects are created: priorities by class, claims of ephemeral volumes, the default storage class.
//! Leaves out single objects' own defaults (`defaults`), and everything that controllers do later.

use super::tree::Tree;
use super::{Object, ParseFault};
use crate::convert;
use crate::intern::Interner;
use crate::objects::{ClaimObject, PodObject};
use aisched_core::event::DeviceNews;
use aisched_model::Str;
use aisched_model::devices::{DeviceClaim, PodClaimSource};
use aisched_model::pod::{Pod, PreemptionPolicy};
use aisched_model::storage_facts::Fault;
use aisched_model::volume::Claim;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A PriorityClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityClass {
    /// Name.
    pub name: Str,
    /// Priority of its pods.
    pub value: i32,
    /// For pods that name no class.
    pub global_default: bool,
    /// Whether its pods preempt others.
    pub preemption: PreemptionPolicy,
}

/// What has to be settled about a pod when all objects are known.
#[derive(Clone, Debug, Default)]
pub struct Unsettled {
    /// Where its priority comes from; `None` when it has one.
    priority: Option<Wanted>,
    /// The claims of its ephemeral volumes.
    claims: Vec<Arc<Claim>>,
}

/// A pod's wish for a priority.
#[derive(Clone, Debug)]
struct Wanted {
    /// The class; empty when it names none.
    class: String,
    /// It says itself whether it preempts.
    says_preemption: bool,
    /// What is wrong when there is no such class.
    unknown: Box<ParseFault>,
}

/// Classes that every cluster has.
const BUILT_IN: [(&str, i32); 2] = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

impl Unsettled {
    /// Reads what is to be settled about a pod; `fault` is the one of its class when that does not exist.
    pub(super) fn of(object: &PodObject, tree: &Tree, unknown: ParseFault, interner: &mut Interner, faults: &mut Vec<Fault>) -> Self {
        let spec = &object.spec;
        let class = tree.get("spec").and_then(|spec| spec.text("priorityClassName")).unwrap_or_default();
        let priority = spec.priority.is_none().then(|| Wanted {
            class: class.into(),
            says_preemption: spec.preemption_policy.is_some(),
            unknown: Box::new(unknown),
        });
        let on_a_node = spec.node_name.as_ref().is_some_and(|node| !node.is_empty());
        let claims = if on_a_node { Vec::new() } else { claims(object, tree, interner, faults) };
        Self { priority, claims }
    }
}

/// The claims that the controller of ephemeral volumes makes for a pod.
fn claims(object: &PodObject, tree: &Tree, interner: &mut Interner, faults: &mut Vec<Fault>) -> Vec<Arc<Claim>> {
    let meta = &object.metadata;
    let (Some(namespace), Some(pod)) = (&meta.namespace, &meta.name) else { return Vec::new() };
    let ephemeral = object.spec.volumes.iter().enumerate().filter(|(_, volume)| volume.ephemeral.is_some());
    let mut claims = Vec::new();
    for (i, volume) in ephemeral {
        let path = format!("spec.volumes[{i}].ephemeral.volumeClaimTemplate");
        let mut claim = tree.at(&path).to_value();
        if !claim.is_object() {
            continue;
        }
        let name = format!("{pod}-{}", volume.name);
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": meta.uid, "controller": true}]);
        for (key, value) in [
            ("namespace", json!(namespace)),
            ("name", json!(name)),
            ("uid", json!(format!("{namespace}/{name}"))),
            ("ownerReferences", owner),
        ] {
            claim["metadata"][key] = value;
        }
        match serde_path_to_error::deserialize::<_, ClaimObject>(claim) {
            Ok(claim) => {
                let converted = convert::claim(&claim, interner);
                faults.extend(converted.faults.iter().map(|f| Fault::new(&format!("{path}.{}", f.key), &f.value, f.expected.clone())));
                claims.push(Arc::new(converted.value));
            }
            Err(error) => {
                let at = format!("{path}.{}", error.path());
                faults.push(Fault::new(&at, &tree.at(&at).shown(), super::expected(error.inner())));
            }
        }
    }
    claims
}

/// Settles everything, now that all objects are known. Classes of priority are used up.
///
/// # Errors
/// A fault for each pod of a class that is not there: the API server would refuse it.
pub fn settle(objects: Vec<Object>) -> Result<Vec<Object>, Vec<ParseFault>> {
    let mut classes: BTreeMap<Str, PriorityClass> = BUILT_IN.iter().map(|(name, value)| ((*name).into(), built_in(name, *value))).collect();
    classes.extend(
        objects.iter().filter_map(|o| if let Object::PriorityClass(class) = o { Some((class.name.clone(), class.clone())) } else { None }),
    );
    let storage_class =
        objects.iter().filter_map(|o| if let Object::Class(c) = o { c.is_default.then_some(&c.name) } else { None }).min().cloned();
    let there: BTreeSet<(Str, Str)> =
        objects.iter().filter_map(|o| if let Object::Claim(c) = o { Some((c.namespace.clone(), c.name.clone())) } else { None }).collect();
    let templates: BTreeMap<(Str, Str), Arc<DeviceClaim>> = objects
        .iter()
        .filter_map(|o| if let Object::ClaimTemplate(t) = o { Some(((t.namespace.clone(), t.name.clone()), t.clone())) } else { None })
        .collect();
    let (mut settled, mut faults) = (Vec::with_capacity(objects.len()), Vec::new());
    for object in objects {
        match object {
            Object::PriorityClass(_) | Object::ClaimTemplate(_) => {}
            Object::Pod(pod, unsettled) => {
                let made = unsettled.claims.into_iter().filter(|c| !there.contains(&(c.namespace.clone(), c.name.clone())));
                settled.extend(made.map(|claim| Object::Claim(of_default_class(claim, storage_class.as_ref()))));
                let (pod, made) = device_claims(pod, &templates);
                settled.extend(made.into_iter().map(|claim| Object::Devices(DeviceNews::Claim(claim))));
                match prioritized(pod, unsettled.priority, &classes) {
                    Ok(pod) => settled.push(Object::Pod(pod, Unsettled::default())),
                    Err(fault) => faults.push(*fault),
                }
            }
            Object::Claim(claim) => settled.push(Object::Claim(of_default_class(claim, storage_class.as_ref()))),
            other => settled.push(other),
        }
    }
    if faults.is_empty() { Ok(settled) } else { Err(faults) }
}

/// Makes the claims to devices that a pod has from templates, as their controller would.
fn device_claims(pod: Arc<Pod>, templates: &BTreeMap<(Str, Str), Arc<DeviceClaim>>) -> (Arc<Pod>, Vec<Arc<DeviceClaim>>) {
    let (mut pod, mut made) = (pod, Vec::new());
    let wanted = pod.spec.clone();
    for own in &wanted.device_claims {
        let PodClaimSource::Template(template) = &own.source else { continue };
        let Some(template) = templates.get(&(pod.namespace.clone(), template.clone())) else { continue };
        if pod.claims_made.iter().any(|(name, _)| *name == own.name) {
            continue;
        }
        let name: Str = format!("{}-{}", pod.name, own.name).into();
        let (uid, owner_uid) = (format!("{}/{name}", pod.namespace).into(), Some(pod.uid.clone()));
        made.push(Arc::new(DeviceClaim { name: name.clone(), uid, owner_uid, ..DeviceClaim::clone(template) }));
        Arc::make_mut(&mut pod).claims_made.push((own.name.clone(), Some(name)));
    }
    (pod, made)
}

fn built_in(name: &str, value: i32) -> PriorityClass {
    PriorityClass { name: name.into(), value, global_default: false, preemption: PreemptionPolicy::LowerPriority }
}

fn of_default_class(claim: Arc<Claim>, class: Option<&Str>) -> Arc<Claim> {
    match class.filter(|_| claim.storage_class.is_none() && claim.volume.is_none()) {
        Some(class) => Arc::new(Claim { storage_class: Some(class.clone()), ..Claim::clone(&claim) }),
        None => claim,
    }
}

/// A pod with the priority of its class, or of the default one: of several, the one of the lowest value.
fn prioritized(pod: Arc<Pod>, wanted: Option<Wanted>, classes: &BTreeMap<Str, PriorityClass>) -> Result<Arc<Pod>, Box<ParseFault>> {
    let Some(wanted) = wanted else { return Ok(pod) };
    let class = match classes.get(&*wanted.class) {
        Some(class) => Some(class),
        None if wanted.class.is_empty() => classes.values().filter(|class| class.global_default).min_by_key(|class| class.value),
        None => return Err(wanted.unknown),
    };
    let Some(class) = class else { return Ok(pod) };
    let mut pod = Pod::clone(&pod);
    let spec = Arc::make_mut(&mut pod.spec);
    spec.priority = class.value;
    if !wanted.says_preemption {
        spec.preemption = class.preemption;
    }
    Ok(Arc::new(pod))
}
