//! Gives pods the devices that they claim (kube-scheduler's DynamicResources): on which nodes they are or can be had, and which ones.
//! Leaves out the choice of devices (`crate::devices`) and writing it down: the plan for the chosen node goes out with the bind.

mod claims;
mod extended;
#[cfg(test)]
mod tests;

use super::args::DynamicResourcesArgs;
use crate::devices::{Failure, allocate};
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Refusal, Remedy, Scale, Score};
use aisched_model::devices::{Allocation, ClaimPlan, ClaimToBind, DeviceClaim, Inventory, RequestKind};
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::selector::any_term_matches;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use claims::{is_ready, of_pod};

/// Steps that a search for devices may take per millisecond of the filter's time limit: time itself would make decisions differ.
const STEPS_PER_MS: u64 = 200;
/// Alternatives that a request can have at most; the first scores this much.
const MOST_ALTERNATIVES: usize = 8;

/// kube-scheduler's plugin of the same name.
#[derive(Default)]
pub(crate) struct DynamicResources {
    /// Arguments.
    pub(crate) args: DynamicResourcesArgs,
}

impl Plugin for DynamicResources {
    fn name(&self) -> &'static str {
        NAME
    }

    fn has_remedies(&self) -> bool {
        true
    }

    fn gate(&self, pod: &Pod, snapshot: &Snapshot) -> Option<String> {
        of_pod(pod, &snapshot.devices).err()
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let (pod, inventory) = (attempt.pod, &attempt.snapshot.devices);
        let mut claims: Vec<Claimed<'a>> = match of_pod(pod, inventory) {
            Err(reason) => return Prepared::refuse(Refusal::unresolvable(reason)),
            Ok(claims) => claims.into_iter().map(Claimed::Own).collect(),
        };
        let extended = extended::is_wanted(pod, inventory);
        if extended {
            // One that is there already is from an earlier attempt that failed.
            claims.push(extended::left_over(pod, inventory).map_or(Claimed::Extended, Claimed::LeftOver));
        }
        if claims.is_empty() {
            return Prepared::default();
        }
        for claim in &claims {
            if let Claimed::Own(claim) = claim
                && let Some(reason) = claims::obstacle(claim, inventory)
            {
                return Prepared::refuse(Refusal::unresolvable(reason));
            }
        }
        let steps = Some(self.args.filter_timeout_ms.saturating_mul(STEPS_PER_MS)).filter(|steps| *steps > 0);
        let devices = Devices { pod, inventory, claims, steps, timeout_ms: self.args.binding_timeout_ms };
        let scores = devices.has_alternatives();
        let prepared = Prepared::filter(devices.clone());
        if scores { prepared.and_score(devices) } else { prepared }
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::Devices | ClusterEvent::DeviceClass(_) => true,
            ClusterEvent::NodeChanged { old, new } => old.labels != new.labels || old.allocatable != new.allocatable,
            ClusterEvent::DeviceClaim { old, new } => claims::helps(pod, *old, *new),
            ClusterEvent::OwnChange { old, new } => old.claims_made != new.claims_made || old.spec.device_claims != new.spec.device_claims,
            _ => false,
        }
    }
}

/// The plugin's name.
const NAME: &str = "DynamicResources";

/// A claim of the pod.
#[derive(Clone)]
enum Claimed<'a> {
    /// One that it names, or that was made for it.
    Own(&'a Arc<DeviceClaim>),
    /// One that is to be made for its extended resources.
    Extended,
    /// One that an earlier attempt made for them; it has to go first.
    LeftOver(&'a Arc<DeviceClaim>),
}

/// The pod's claims, and the devices there are.
#[derive(Clone)]
struct Devices<'a> {
    pod: &'a Pod,
    inventory: &'a Inventory,
    claims: Vec<Claimed<'a>>,
    steps: Option<u64>,
    timeout_ms: u64,
}

/// What the pod gets on a node.
#[derive(Default)]
struct Found {
    /// Claims that have no devices yet, in the pod's order, each with what it gets.
    given: Vec<(Arc<DeviceClaim>, Allocation)>,
    mappings: Vec<aisched_model::devices::RequestMapping>,
}

impl Devices<'_> {
    fn has_alternatives(&self) -> bool {
        let of = |claim: &DeviceClaim| claim.requests.iter().any(|request| matches!(request.kind, RequestKind::FirstAvailable(_)));
        self.claims.iter().any(|claim| matches!(claim, Claimed::Own(claim) if of(claim)))
    }

    /// Whether the claim has devices that cannot be used on the node.
    fn is_unavailable(claim: &DeviceClaim, node: &NodeInfo) -> bool {
        let Some(allocation) = &claim.allocation else { return false };
        let in_reach = allocation.nodes.as_ref().is_none_or(|terms| any_term_matches(terms, &node.node.name, &node.node.labels));
        !in_reach || is_ready(claim).map_or(true, |ready| !ready && claim.overdue)
    }

    /// Looks for devices for the claims that have none.
    fn on(&self, node: &NodeInfo) -> Result<Found, Refusal> {
        let mut found = Found::default();
        let mut wanting: Vec<Arc<DeviceClaim>> = Vec::new();
        for claim in &self.claims {
            match claim {
                Claimed::Own(claim) if claim.allocation.is_none() => wanting.push(Arc::clone(claim)),
                Claimed::Own(_) => {}
                Claimed::LeftOver(_) => return Err(Refusal::unresolvable("cannot schedule extended resource claim")),
                Claimed::Extended => {
                    let Some((claim, mappings)) = extended::claim(self.pod, self.inventory, node) else { continue };
                    found.mappings = mappings;
                    wanting.push(Arc::new(claim));
                }
            }
        }
        if wanting.is_empty() {
            return Ok(found);
        }
        let claims: Vec<&DeviceClaim> = wanting.iter().map(|claim| &**claim).collect();
        let given = allocate(self.inventory, &node.node, &claims, self.steps).map_err(|failure| match failure {
            Failure::NoDevices => Refusal::unresolvable("cannot allocate all claims"),
            Failure::InvalidPools => Refusal::unresolvable("invalid resource pools were encountered"),
            Failure::TimedOut => Refusal::error(NAME, &format!("node {}: timed out trying to allocate devices", node.node.name)),
            Failure::Broken(why) => Refusal::error(NAME, &why),
        })?;
        found.given = wanting.into_iter().zip(given).collect();
        Ok(found)
    }
}

impl Filter for Devices<'_> {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let unavailable = self.claims.iter().any(|claim| matches!(claim, Claimed::Own(claim) if Self::is_unavailable(claim, node)));
        // Errors come first, as in kube-scheduler, which looks for devices before it counts claims.
        match self.on(node) {
            Err(refusal) => Some(refusal),
            Ok(_) if unavailable => Some(Refusal::unresolvable("resourceclaim not available on the node")),
            Ok(_) => None,
        }
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn claims(&self, node: &NodeInfo) -> Option<ClaimPlan> {
        let mut found = self.on(node).ok()?;
        let mut claims = Vec::new();
        for claim in &self.claims {
            let Claimed::Own(claim) = claim else { continue };
            let at = found.given.iter().position(|(given, _)| given.uid == claim.uid);
            let give = at.map(|at| Arc::new(found.given.remove(at).1));
            let waits = claim.allocation.as_ref().is_some_and(|allocation| allocation.has_binding_conditions());
            if give.is_some() || waits || !claim.reserved_for.contains(&self.pod.uid) {
                claims.push(ClaimToBind { claim: Arc::clone(claim), give });
            }
        }
        // What is left is the claim for extended resources.
        claims.extend(found.given.into_iter().map(|(claim, allocation)| ClaimToBind { claim, give: Some(Arc::new(allocation)) }));
        let (mappings, reporter) = (found.mappings, self.pod.spec.scheduler_name.clone());
        (!claims.is_empty()).then_some(ClaimPlan { timeout_ms: self.timeout_ms, claims, mappings, reporter })
    }

    /// A claim that nobody else uses and whose devices are out of reach of some node may be given others.
    #[allow(clippy::filter_next, reason = "an iterator behind a reference has no find_map")]
    fn remedy(&self, refused: &mut dyn Iterator<Item = &NodeInfo>) -> Option<Remedy> {
        if let Some(Claimed::LeftOver(claim)) = self.claims.iter().find(|claim| matches!(claim, Claimed::LeftOver(_))) {
            return Some(Remedy::DeleteClaim(Arc::clone(claim)));
        }
        let is_ours = |claim: &DeviceClaim| claim.reserved_for.iter().all(|uid| *uid == self.pod.uid) && claim.reserved_for.len() <= 1;
        let ours: Vec<_> =
            self.claims.iter().filter_map(|c| if let Claimed::Own(c) = c { Some(*c) } else { None }).filter(|c| is_ours(c)).collect();
        let claim = refused.filter_map(|node| ours.iter().find(|claim| Self::is_unavailable(claim, node))).next()?;
        Some(Remedy::Deallocate(Arc::clone(claim)))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let unavailable = self.claims.iter().find_map(|claim| match claim {
            Claimed::Own(claim) if Self::is_unavailable(claim, node) => Some(claim),
            Claimed::Own(_) | Claimed::Extended | Claimed::LeftOver(_) => None,
        });
        match unavailable {
            Some(claim) => Some(format!("claim {} has devices that this node does not reach, or that are not ready", claim.name)),
            None => {
                let wanting = self.claims.iter().filter_map(|claim| match claim {
                    Claimed::Own(claim) => claim.allocation.is_none().then_some(&*claim.name),
                    Claimed::Extended => Some("for extended resources"),
                    Claimed::LeftOver(_) => None,
                });
                Some(format!("no devices here for claim {}", wanting.collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

impl Score for Devices<'_> {
    /// The earlier in its list the alternative that was found for a request, the better.
    ///
    /// Example: a request that gets the second of its alternatives: 7.
    fn raw(&self, node: &NodeInfo) -> i64 {
        let Ok(found) = self.on(node) else { return 0 };
        let mut score = 0;
        for claim in &self.claims {
            let Claimed::Own(claim) = claim else { continue };
            let given = found.given.iter().find(|(given, _)| given.uid == claim.uid).map(|(_, allocation)| allocation);
            let Some(allocation) = claim.allocation.as_deref().or(given) else { continue };
            for request in &claim.requests {
                let RequestKind::FirstAvailable(alternatives) = &request.kind else { continue };
                for (i, (name, _)) in alternatives.iter().enumerate() {
                    let is_it =
                        |device: &str| device.split_once('/').is_some_and(|(parent, sub)| *parent == *request.name && *sub == **name);
                    if allocation.devices.iter().any(|device| is_it(&device.request)) {
                        score += i64::try_from(MOST_ALTERNATIVES.saturating_sub(i)).unwrap_or(0);
                    }
                }
            }
        }
        score
    }

    fn scale(&self) -> Scale {
        Scale::Highest { reverse: false }
    }
}
