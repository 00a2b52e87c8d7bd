//! Extended resources that stand for devices of a class: on nodes that do not offer them otherwise, a claim is made for the pod.
//! Leaves out resources that a node does offer: those are NodeResourcesFit's.

use aisched_model::Str;
use aisched_model::devices::{Ask, Attach, ClaimRequest, DeviceClaim, Inventory, Mode, RequestKind, RequestMapping};
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Whether the pod asks for any resource that a class stands for.
pub(super) fn is_wanted(pod: &Pod, inventory: &Inventory) -> bool {
    !inventory.extended.is_empty() && pod.spec.requests.scalars.iter().any(|(name, n)| *n > 0 && inventory.extended.contains_key(name))
}

/// The claim that an earlier attempt made for the pod's resources.
pub(super) fn left_over<'a>(pod: &Pod, inventory: &'a Inventory) -> Option<&'a Arc<DeviceClaim>> {
    let of_namespace = inventory.claims.range((pod.namespace.clone(), Str::default())..).take_while(|((ns, _), _)| *ns == pod.namespace);
    of_namespace
        .map(|(_, claim)| claim)
        .find(|claim| claim.extended && claim.owner_uid.as_ref() == Some(&pod.uid) && !claim.uid.starts_with('<'))
}

/// The claim for what the node does not offer by itself, and which container gets what of it; `None` when the node offers all.
pub(super) fn claim(pod: &Pod, inventory: &Inventory, node: &NodeInfo) -> Option<(DeviceClaim, Vec<RequestMapping>)> {
    let (mut requests, mut mappings) = (Vec::new(), Vec::new());
    for (resource, n) in &pod.spec.requests.scalars {
        let Some(class) = inventory.extended.get(resource).filter(|_| *n > 0 && node.node.allocatable.scalar(resource) == 0) else {
            continue;
        };
        requests_for(&pod.spec.attach, resource, &class.name, &mut requests, &mut mappings);
    }
    if requests.is_empty() {
        return None;
    }
    requests.sort_by(|a: &ClaimRequest, b| a.name.cmp(&b.name));
    let uid = format!("<extended-resources>{}", pod.uid).into();
    let (namespace, owner_uid) = (pod.namespace.clone(), Some(pod.uid.clone()));
    Some((DeviceClaim { uid, namespace, owner_uid, extended: true, requests, ..DeviceClaim::default() }, mappings))
}

/// Requests for one resource. Containers that last have devices of their own; those that end before use the devices of the ones that
/// come after them, and share what they want beyond that.
fn requests_for(containers: &[Attach], resource: &Str, class: &Str, requests: &mut Vec<ClaimRequest>, mappings: &mut Vec<RequestMapping>) {
    let asked =
        |container: &Attach| container.asks.iter().find(|(name, n, _)| name == resource && *n > 0).map(|(_, n, place)| (*n, *place));
    let named = |i: usize, place: usize| Str::from(format!("container-{i}-request-{place}"));
    let mapping = |container: &Attach, request: &Str| RequestMapping {
        container: container.container.clone(),
        resource: resource.clone(),
        request: request.clone(),
    };
    let mut lasting: Vec<Option<(Str, i64)>> = Vec::new();
    for container in containers {
        let own = asked(container).filter(|_| !container.short_lived).map(|(n, place)| (named(container.index, place), n));
        mappings.extend(own.iter().map(|(request, _)| mapping(container, request)));
        lasting.push(own);
    }
    let mut largest: Option<(Str, i64)> = None;
    let mut short_names: BTreeSet<Str> = BTreeSet::new();
    let mut short_mappings = Vec::new();
    for (i, container) in containers.iter().enumerate().filter(|(_, container)| container.short_lived) {
        let Some((n, place)) = asked(container) else { continue };
        let mut reused = 0;
        for (request, count) in lasting[i..].iter().flatten() {
            if reused >= n {
                break;
            }
            reused += count;
            short_mappings.push(mapping(container, request));
        }
        if reused < n {
            let own = named(container.index, place);
            short_mappings.push(mapping(container, &own));
            short_names.insert(own.clone());
            if largest.as_ref().is_none_or(|(_, most)| *most < n - reused) {
                largest = Some((own, n - reused));
            }
        }
    }
    if let Some((name, _)) = &largest {
        for mapping in &mut short_mappings {
            if short_names.contains(&mapping.request) {
                mapping.request = name.clone();
            }
        }
    }
    for (name, n) in largest.into_iter().chain(lasting.into_iter().flatten()) {
        let ask = Ask { class: class.clone(), mode: Mode::Exact(n), ..Ask::default() };
        requests.push(ClaimRequest { name, kind: RequestKind::Exactly(ask) });
    }
    mappings.append(&mut short_mappings);
}
