//! The preempt verb: extenders strike candidates, or name other victims.
//! Leaves out which candidate is taken.

use super::endpoint::Endpoint;
use super::wire::{MetaPod, MetaVictims, NodeVictims, PreemptionResult, VictimObjects, bounded, victim_args};
use super::{Inner, skipped};
use aisched_core::consult::{Proposal, Victims};
use aisched_core::event::PodRef;
use aisched_model::Str;
use aisched_model::pod::Pod;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::warn;

/// Victims by node.
type ByNode = BTreeMap<Str, Victims>;

impl Inner {
    /// Asks each extender in turn about what the one before has left.
    pub(super) async fn victims(&self, pod: &Pod, proposals: &[Proposal]) -> Result<ByNode, String> {
        let object = self.object(pod).await?;
        let mut left: ByNode = proposals.iter().map(|p| (p.node.clone(), p.victims.clone())).collect();
        for endpoint in self.concerned(pod).filter(|e| e.extender.preempts) {
            match self.preempt(endpoint, &object, &left, proposals).await {
                Ok(said) => left = said,
                Err(error) if endpoint.config.ignorable => skipped(endpoint, &PodRef::from(pod), "preempt", &error),
                Err(error) => return Err(error),
            }
            if left.is_empty() {
                break;
            }
        }
        Ok(left)
    }

    async fn preempt(&self, endpoint: &Endpoint, pod: &str, left: &ByNode, proposals: &[Proposal]) -> Result<ByNode, String> {
        let victims = if endpoint.config.node_cache_capable {
            let named = |(node, v): (&Str, &Victims)| {
                let pods: Vec<Value> = v.uids.iter().map(|uid| json!({"UID": &**uid})).collect();
                (node.to_string(), json!({"Pods": pods, "NumPDBViolations": v.n_violations}))
            };
            NodeVictims::Identifiers(left.iter().map(named).collect())
        } else {
            NodeVictims::Objects(self.victim_objects(left, proposals).await?)
        };
        let result: PreemptionResult = endpoint.post(&endpoint.config.preempt_verb, victim_args(pod, &victims)).await?;
        checked(endpoint, result, proposals)
    }

    async fn victim_objects(&self, left: &ByNode, proposals: &[Proposal]) -> Result<BTreeMap<String, VictimObjects>, String> {
        let mut objects = BTreeMap::new();
        for proposal in proposals {
            let Some(victims) = left.get(&proposal.node) else { continue };
            let mut pods = Vec::new();
            for pod in proposal.pods.iter().filter(|pod| victims.uids.contains(&pod.uid)) {
                pods.extend(self.objects.pod(pod).await?);
            }
            objects.insert(proposal.node.to_string(), VictimObjects { pods, n_violations: victims.n_violations });
        }
        Ok(objects)
    }
}

/// Holds an answer to what there is: candidates' nodes, pods on them, at least one for each.
fn checked(endpoint: &Endpoint, result: PreemptionResult, proposals: &[Proposal]) -> Result<ByNode, String> {
    let url = &endpoint.config.url_prefix;
    let mut checked = ByNode::new();
    for (name, victims) in result.victims {
        let Some(proposal) = proposals.iter().find(|p| *p.node == *name) else {
            warn!(extender = url, node = bounded(&name), "left out: the extender names victims on a node that is no candidate");
            continue;
        };
        let MetaVictims { pods, num_pdb_violations } = victims.unwrap_or_default();
        let on_node = |meta: MetaPod| {
            let found = proposal.pods.iter().find(|pod| *pod.uid == *meta.uid).map(|pod| pod.uid.clone());
            let uid = bounded(&meta.uid);
            found.ok_or_else(|| {
                format!("extender: {url} claims to preempt pod (UID: &{{{uid}}}) on node: {name}, but the pod is not found on that node")
            })
        };
        let uids = pods.into_iter().map(on_node).collect::<Result<Vec<_>, _>>()?;
        if !uids.is_empty() {
            checked.insert(proposal.node.clone(), Victims { uids, n_violations: usize::try_from(num_pdb_violations).unwrap_or(0) });
        } else if endpoint.config.ignorable {
            warn!(extender = url, node = name, "left out: the extender names no victim on it");
        } else {
            return Err(format!("expected at least one victim pod on node {name:?}"));
        }
    }
    Ok(checked)
}
