//! ResourceClaims: what is asked for, what was given, and to whom.
//! Leaves out the choice of devices.

use super::{Amount, DeviceToleration, Inventory, PoolId, Selector};
use crate::Str;
use crate::selector::NodeSelectorTerm;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A ResourceClaim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceClaim {
    /// UID; of a claim that is not made yet, one that stands for it.
    pub uid: Str,
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// UID of the controlling owner.
    pub owner_uid: Option<Str>,
    /// Version of the object: a lower one of the same UID is older. 0 is not known.
    pub version: u64,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// Whether a scheduler made it for extended resources of its owner.
    pub extended: bool,
    /// What is asked for.
    pub requests: Vec<ClaimRequest>,
    /// What the devices must have in common, or must not.
    pub constraints: Vec<Constraint>,
    /// What drivers are told.
    pub config: Vec<Config>,
    /// What was given.
    pub allocation: Option<Arc<Allocation>>,
    /// What will be given, by a bind that is under way.
    pub pending: Option<Arc<Allocation>>,
    /// UIDs of those it is reserved for.
    pub reserved_for: Vec<Str>,
    /// Conditions of the devices given.
    pub conditions: Vec<ConditionOf>,
    /// Whether waiting for those took too long, as the clock of whoever read the object says.
    pub overdue: bool,
}

impl DeviceClaim {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What was given or will be.
    #[must_use]
    pub fn given(&self) -> Option<&Arc<Allocation>> {
        self.allocation.as_ref().or(self.pending.as_ref())
    }

    /// Whether status fields differ.
    #[must_use]
    pub fn same_status(&self, other: &Self) -> bool {
        self.allocation == other.allocation && self.reserved_for == other.reserved_for && self.conditions == other.conditions
    }
}

/// One request of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRequest {
    /// Name.
    pub name: Str,
    /// What.
    pub kind: RequestKind,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestKind {
    /// These devices.
    Exactly(Ask),
    /// The first of these, by name, that can be had.
    FirstAvailable(Vec<(Str, Ask)>),
    /// Something that this version does not know.
    Unknown,
}

/// Devices asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// Class.
    pub class: Str,
    /// Further selectors.
    pub selectors: Vec<Selector>,
    /// How many.
    pub mode: Mode,
    /// Whether they are wanted besides those who use them.
    pub admin: Option<bool>,
    /// Taints that are no obstacle.
    pub tolerations: Vec<DeviceToleration>,
    /// How much of shared devices.
    pub capacity: BTreeMap<Str, Amount>,
}

/// How many devices.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// So many.
    Exact(i64),
    /// All that match; at least one.
    All,
    /// Something that this version does not know.
    Unknown(Str),
}

impl Default for Mode {
    fn default() -> Self {
        Self::Exact(1)
    }
}

/// What devices of several requests must have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Requests that it is about; none means all.
    pub requests: Vec<Str>,
    /// Qualified name of the attribute.
    pub attribute: Str,
    /// What it demands.
    pub scope: Scope,
}

/// What a constraint demands of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All are the same.
    Same,
    /// No two are the same.
    Distinct,
    /// Something that this version does not know.
    Unknown,
}

/// What drivers are told of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether it comes from a class rather than from the claim.
    pub from_class: bool,
    /// Requests that it is about; none means all.
    pub requests: Vec<Str>,
    /// As JSON.
    pub text: Str,
}

/// Devices that were given to a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// Devices, request by request.
    pub devices: Vec<PickedDevice>,
    /// What their drivers are told.
    pub config: Vec<Config>,
    /// Nodes from which all of them can be used; `None` means all.
    pub nodes: Option<Vec<NodeSelectorTerm>>,
    /// When, in seconds since 1970.
    pub at_s: Option<i64>,
}

impl Allocation {
    /// Whether pods that use it have to wait for a condition of a device.
    #[must_use]
    pub fn has_binding_conditions(&self) -> bool {
        self.devices.iter().any(|device| !device.binding_conditions.is_empty())
    }
}

/// A device that was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PickedDevice {
    /// Request, or request and alternative with `/` between.
    pub request: Str,
    /// Driver and pool.
    pub pool: PoolId,
    /// Name.
    pub device: Str,
    /// Whether it is used besides others.
    pub admin: Option<bool>,
    /// Tolerations of the request.
    pub tolerations: Vec<DeviceToleration>,
    /// Names the share of a shared device.
    pub share: Option<Str>,
    /// What the share takes.
    pub consumed: BTreeMap<Str, Amount>,
    /// Conditions that must hold before the pod is bound.
    pub binding_conditions: Vec<Str>,
    /// Conditions of which none may hold.
    pub binding_failure_conditions: Vec<Str>,
}

/// A condition of a device that was given to a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionOf {
    /// Driver and pool.
    pub pool: PoolId,
    /// Name.
    pub device: Str,
    /// Type.
    pub kind: Str,
    /// Whether its status is True.
    pub holds: bool,
    /// Why.
    pub reason: Str,
    /// In words.
    pub message: Str,
}

/// What a pod says of a claim that it uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodClaim {
    /// Name within the pod.
    pub name: Str,
    /// Where the claim comes from.
    pub source: PodClaimSource,
}

/// Where a pod's claim comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodClaimSource {
    /// It is this one.
    Named(Str),
    /// A controller makes it from this template; the pod's status says which it is.
    Template(Str),
    /// Something that this version does not know.
    Unknown,
}

/// What has to be done about a pod's claims before it is bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimPlan {
    /// How long devices may take to get ready.
    pub timeout_ms: u64,
    /// Claims that are not reserved for the pod yet, or whose devices are to be waited for.
    pub claims: Vec<ClaimToBind>,
    /// Which container gets which devices of the claim that is made for extended resources.
    pub mappings: Vec<RequestMapping>,
    /// Profile that speaks.
    pub reporter: Str,
}

/// One claim that a bind is about.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimToBind {
    /// The claim; one of an empty name has to be made first.
    pub claim: Arc<DeviceClaim>,
    /// What it is given, unless it has it.
    pub give: Option<Arc<Allocation>>,
}

/// Which container has which request of a claim for an extended resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMapping {
    /// Container.
    pub container: Str,
    /// Resource.
    pub resource: Str,
    /// Request.
    pub request: Str,
}

/// Extended resources of one container, for pods that ask for any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attach {
    /// Place among init containers and containers together.
    pub index: usize,
    /// Name.
    pub container: Str,
    /// Whether it ends before the others start.
    pub short_lived: bool,
    /// What it asks for: resource, amount, place of the resource among all that it asks for, by name.
    pub asks: Vec<(Str, i64, usize)>,
}

/// A name for one share of a device, as a UUID: no two shares of one device have the same. `n` counts devices within the claim.
#[must_use]
pub fn share_id(claim_uid: &str, pool: &PoolId, device: &str, n: usize) -> Str {
    let mut halves = [0xcbf2_9ce4_8422_2325_u64, 0x9ae1_6a3b_2f90_404f];
    let n = n.to_le_bytes();
    for part in [claim_uid.as_bytes(), pool.0.as_bytes(), pool.1.as_bytes(), device.as_bytes(), &n] {
        for byte in part.iter().chain(&[0xff]) {
            for half in &mut halves {
                *half = (*half ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
            }
        }
    }
    let [a, b] = halves;
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
    .into()
}

impl Inventory {
    /// The claim of this name.
    #[must_use]
    pub fn claim(&self, namespace: &Str, name: &Str) -> Option<&Arc<DeviceClaim>> {
        self.claims.get(&(namespace.clone(), name.clone()))
    }
}
