//! What must hold after every step, judged from the notebook of what the scheduler was told and has asked for, and from the server.
//! Leaves out scores: which of the possible nodes is taken is not a matter of life and death.

use super::client::{Client, Notebook, Told, gang_of};
use super::server::Server;
use crate::checker::against;
use aisched_core::event::{Action, Millis};
use aisched_model::Str;
use aisched_model::pod::{Pod, PodSpec, PreemptionPolicy};
use aisched_model::volume::VolumePlan;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

type Verdict = Result<(), String>;

/// Judges what the scheduler asks for, before it is noted.
pub(super) fn asked(client: &Client, action: &Action) -> Verdict {
    let notes = &client.notes;
    match action {
        Action::Bind { pod, node, volumes, .. } => {
            let name = format!("{} to {node}", pod.name);
            let seen = notes.pods.get(&pod.uid).ok_or_else(|| format!("binds {name}, which is gone"))?;
            bind(notes, seen, node).map_err(|why| format!("binds {name}: {why}"))?;
            volumes.as_ref().map_or(Ok(()), |plan| promised_once(notes, plan))
        }
        Action::Preempt { pod, node, victims, .. } => {
            let by = notes.pods.get(&pod.uid).ok_or_else(|| format!("preempts for {}, which is gone", pod.name))?;
            victims.iter().try_for_each(|victim| {
                let name = format!("{} asks {} to leave {node}", pod.name, victim.name);
                let with = |p: &Arc<Pod>| gang_of(p).is_some() && notes.on(node).any(|other| gang_of(other) == gang_of(p));
                let elsewhere = || notes.pods.get(&victim.uid).filter(|p| with(p));
                let there = notes.on(node).find(|p| p.uid == victim.uid).or_else(elsewhere);
                let there = there.ok_or_else(|| format!("{name}, where it is not"))?;
                if there.spec.priority >= by.spec.priority {
                    return Err(format!("{name}, which is as important"));
                }
                if notes.victims.contains(&victim.uid) { Err(format!("{name} a second time")) } else { Ok(()) }
            })
        }
        _ => Ok(()),
    }
}

/// With a bind of one member of a gang, or before it, so many others are bound that the gang has what it needs.
pub(super) fn gangs_are_whole(client: &Client, actions: &[Action]) -> Verdict {
    let notes = &client.notes;
    for action in actions {
        let Action::Bind { pod, .. } = action else { continue };
        let Some(pod) = notes.pods.get(&pod.uid) else { continue };
        let Some((gang, size)) = gang_of(pod).zip(pod.spec.gang.as_ref().and_then(|gang| gang.size)) else { continue };
        let on_node = |p: &&Arc<Pod>| p.node.is_some() && !p.deleting;
        let promised = |p: &&Arc<Pod>| p.node.is_none() && notes.promised.get(&p.uid).is_some_and(|promise| promise.told != Told::Gone);
        let members = notes.pods.values().filter(|p| gang_of(p).as_ref() == Some(&gang)).filter(|p| on_node(p) || promised(p));
        let n = members.count() + notes.done.get(&gang).map_or(0, BTreeSet::len);
        if n < usize::try_from(size).unwrap_or(usize::MAX) {
            return Err(format!("binds {} with {n} of the {size} pods of {gang}", pod.name));
        }
    }
    Ok(())
}

fn bind(notes: &Notebook, pod: &Arc<Pod>, node: &Str) -> Verdict {
    if let Some(there) = &pod.node {
        return Err(format!("it is on {there}"));
    }
    if let Some(promise) = notes.promised.get(&pod.uid).filter(|promise| promise.told != Told::Gone) {
        return Err(format!("its bind to {} is {:?}", promise.node, promise.told));
    }
    if !pod.spec.scheduling_gates.is_empty() {
        return Err("it is gated".into());
    }
    let object = notes.nodes.get(node).ok_or("there is no such node")?;
    let others: Vec<Arc<Pod>> = notes.on(node).cloned().collect();
    against(pod, object, &others).map_or(Ok(()), Err)
}

/// No volume is given to a claim while it is another's.
fn promised_once(notes: &Notebook, plan: &VolumePlan) -> Verdict {
    plan.bind.iter().try_for_each(|(claim, volume)| match notes.volumes.get(&volume.name) {
        None => Err(format!("gives away volume {}, which is gone", volume.name)),
        Some(seen) if seen.claim.is_some() && !seen.is_for(claim) => Err(format!("gives volume {} to a second claim", volume.name)),
        Some(_) => Ok(()),
    })
}

/// Holds the engine's books against the notebook.
pub(super) fn books(client: &Client) -> Verdict {
    let (engine, notes) = (&client.engine, &client.notes);
    let waiting: BTreeSet<&Str> = engine.waiting().map(|waiting| &waiting.pod.uid).collect();
    let own = |pod: &&Arc<Pod>| pod.node.is_none() && pod.spec.scheduler_name == client.scheduler_name;
    for pod in notes.pods.values().filter(own) {
        let promised = notes.promised.get(&pod.uid);
        match (waiting.contains(&pod.uid), promised.map(|p| p.told)) {
            (false, None) if !pod.deleting => return Err(format!("{} is lost", pod.name)),
            (true, Some(told @ (Told::Nothing | Told::Bound))) => return Err(format!("{} waits although its bind is {told:?}", pod.name)),
            _ => {}
        }
    }
    if let Some(uid) = waiting.iter().find(|uid| notes.pods.get(**uid).is_none_or(|pod| pod.node.is_some())) {
        return Err(format!("{uid} waits and is gone or bound"));
    }
    let n_promised = notes.promised.values().filter(|promise| promise.told == Told::Nothing).count();
    if engine.n_binding() != n_promised {
        return Err(format!("{} binds under way, not {n_promised}", engine.n_binding()));
    }
    places(client)?;
    nominations(client)
}

/// Every pod is accounted for where it is or is to be, and nowhere else.
fn places(client: &Client) -> Verdict {
    for node in &client.engine.snapshot().nodes {
        let counted: BTreeSet<&Str> = node.pods.iter().map(|placed| &placed.pod.uid).collect();
        let noted: BTreeSet<&Str> = client.notes.on(&node.node.name).map(|pod| &pod.uid).collect();
        if counted != noted || counted.len() != node.pods.len() {
            return Err(format!("node {} counts {counted:?}, not {noted:?}", node.node.name));
        }
    }
    Ok(())
}

fn nominations(client: &Client) -> Verdict {
    let nominated = &client.engine.snapshot().nominated;
    for (node, pod) in nominated.nodes().flat_map(|node| nominated.on(node).iter().map(move |placed| (node, &placed.pod))) {
        match client.notes.pods.get(&pod.uid) {
            None => return Err(format!("{} is nominated to {node} and gone", pod.name)),
            Some(seen) if seen.node.is_some() => return Err(format!("{} is nominated to {node} and bound", pod.name)),
            Some(_) => {}
        }
    }
    match nominated.condemned().find(|uid| !client.notes.pods.contains_key(*uid)) {
        Some(uid) => Err(format!("{uid} is to leave and is gone")),
        None => Ok(()),
    }
}

/// Every waiting pod has a wake-up, and none that could be placed waits for an event that has passed. For a scheduler that is idle.
pub(super) fn wake_ups(client: &Client, now: Millis) -> Verdict {
    let (engine, depth) = (&client.engine, client.engine.depth());
    if engine.is_synced() && depth.active + depth.backoff + depth.unschedulable > 0 && engine.next_poll(now).is_none() {
        return Err("pods wait and no wake-up is planned".into());
    }
    // A pod that follows another is woken when the watch shows that one in its place.
    let follows = |pod: &Pod| !pod.spec.pod_affinity.required.is_empty() || !pod.spec.spread.is_empty();
    let settled = client.notes.promised.is_empty();
    let refused = engine.waiting().filter(|waiting| waiting.waits_for_event() && (settled || !follows(&waiting.pod)));
    for waiting in refused {
        let pod = &waiting.pod;
        if let Some(node) = engine.explain(&pod.namespace, &pod.name).and_then(|decision| decision.node) {
            return Err(format!("{} was refused by {:?}, could go to {node} and waits for an event", pod.name, waiting.refused_by));
        }
    }
    Ok(())
}

/// No node holds more than it has. For nodes where nobody else decides.
pub(super) fn overcommitted(server: &Server, node: &Str) -> Verdict {
    let Some(object) = server.node(node) else { return Ok(()) };
    let pods: Vec<Arc<Pod>> = server.pods().filter(|pod| pod.node.as_ref() == Some(node)).cloned().collect();
    let used: i64 = pods.iter().map(|pod| pod.spec.requests.cpu.0).sum();
    let full = i64::try_from(pods.len()).is_ok_and(|n| n > object.allocatable_pods);
    if used > object.allocatable.cpu.0 || full { Err(format!("node {node} holds {} pods and {used} of cpu", pods.len())) } else { Ok(()) }
}

/// What must hold when nothing has happened for long: nobody waits who could be helped, and nothing is left over.
pub(super) fn at_rest(client: &Client, server: &Server) -> Verdict {
    let (engine, notes) = (&client.engine, &client.notes);
    if engine.n_binding() > 0 || !notes.promised.is_empty() {
        return Err(format!("{} binds never end", engine.n_binding()));
    }
    let snapshot = engine.snapshot();
    if snapshot.volumes != notes.volumes || snapshot.claims != notes.claims {
        return Err("volumes or claims are promised to nobody".into());
    }
    for pod in server.pods().filter(|pod| pod.node.is_none() && !pod.deleting && pod.spec.scheduler_name == client.scheduler_name) {
        let Some(decision) = engine.explain(&pod.namespace, &pod.name) else { return Err(format!("{} is lost", pod.name)) };
        if decision.node.is_some() {
            return Err(format!("{} waits in vain", pod.name));
        }
        if gang_of(pod).is_some() {
            hopeless_gang(client, pod, server)?;
        } else if pod.spec.scheduling_gates.is_empty() {
            hopeless(pod, server).map_err(|why| format!("{} waits in vain: {why}; it was told {:?}", pod.name, decision.message))?;
        }
    }
    Ok(())
}

/// Whether a pod whose needs the checker can judge fits nowhere, and would not even if less important pods left.
fn hopeless(pod: &Arc<Pod>, server: &Server) -> Verdict {
    let spec = &pod.spec;
    if spec.has_pod_affinity() || !spec.spread.is_empty() || !spec.volumes.is_empty() || server.pods().any(|p| p.spec.has_pod_affinity()) {
        return Ok(());
    }
    let mut on: BTreeMap<&Str, Vec<Arc<Pod>>> = BTreeMap::new();
    for other in server.pods().filter(|other| other.uid != pod.uid) {
        if let Some(node) = other.node.as_ref().or(other.nominated_node.as_ref().filter(|_| other.spec.priority >= spec.priority)) {
            on.entry(node).or_default().push(other.clone());
        }
    }
    for node in server.nodes() {
        let mut pods = on.remove(&node.name).unwrap_or_default();
        if against(pod, node, &pods).is_none() {
            return Err(format!("{} has room", node.name));
        }
        pods.retain(|other| other.spec.priority >= spec.priority);
        if spec.preemption != PreemptionPolicy::Never && against(pod, node, &pods).is_none() {
            return Err(format!("on {} it could preempt", node.name));
        }
    }
    Ok(())
}

/// Whether a gang, whose pods ask for the same and for nothing but room, is incomplete or has too little room.
fn hopeless_gang(client: &Client, pod: &Arc<Pod>, server: &Server) -> Verdict {
    let size = pod.spec.gang.as_ref().and_then(|gang| gang.size).map_or(0, |size| usize::try_from(size).unwrap_or_default());
    let of_gang = |other: &&Arc<Pod>| gang_of(other) == gang_of(pod) && !other.deleting;
    let n_waiting = server.pods().filter(of_gang).filter(|p| p.node.is_none() && p.spec.scheduling_gates.is_empty()).count();
    let n_done = gang_of(pod).and_then(|gang| client.notes.done.get(&gang)).map_or(0, BTreeSet::len);
    let n_served = server.pods().filter(of_gang).filter(|p| p.node.is_some()).count() + n_done;
    if n_waiting + n_served < size || server.pods().any(|p| p.spec.has_pod_affinity() || p.nominated_node.is_some()) {
        return Ok(());
    }
    let (mut n_slots, plain) = (0, PodSpec { tolerations: Vec::new(), ..PodSpec::clone(&pod.spec) });
    let pod = &Arc::new(Pod { spec: Arc::new(plain), ..Pod::clone(pod) }); // not every member may tolerate the same
    for node in server.nodes() {
        let mut pods: Vec<Arc<Pod>> = server.pods().filter(|p| p.node.as_ref() == Some(&node.name)).cloned().collect();
        while against(pod, node, &pods).is_none() {
            n_slots += 1;
            pods.push(pod.clone());
        }
    }
    let needed = size.saturating_sub(n_served).max(1);
    if n_slots < needed {
        Ok(())
    } else {
        Err(format!("{} waits in vain: its gang needs {needed} nodes' room, and there is {n_slots}", pod.name))
    }
}
