//! Devices as drivers publish them (`resource.k8s.io`), the classes they fall into, and the taints that are put on them.
//! Leaves out claims (`claim`), what is in use (`inventory`) and choosing devices: that is the scheduler's.

mod amount;
mod claim;
mod inventory;

pub use amount::Amount;
pub use claim::{
    Allocation, Ask, Attach, ClaimPlan, ClaimRequest, ClaimToBind, ConditionOf, Config, Constraint, DeviceClaim, Mode, PickedDevice,
    PodClaim, PodClaimSource, RequestKind, RequestMapping, Scope, share_id,
};
pub use inventory::{Inventory, PoolId, PoolUse, Slices, Use};

use crate::Str;
use crate::selector::NodeSelectorTerm;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::{self, Debug};

/// What devices of one slice are reached from.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// One node, by name.
    Node(Str),
    /// Every node.
    All,
    /// Nodes of these labels; terms are ORed.
    Nodes(Vec<NodeSelectorTerm>),
    /// Every device says so itself.
    PerDevice,
    /// Something that this version does not know: no node.
    Unknown,
}

/// A ResourceSlice: part of a driver's pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Name.
    pub name: Str,
    /// Driver and pool.
    pub pool: PoolId,
    /// `spec.pool.generation`: of several only the newest counts.
    pub generation: i64,
    /// How many slices the pool has in this generation.
    pub slice_count: i64,
    /// Nodes that reach the devices.
    pub reach: Reach,
    /// Counter sets that devices of the pool share.
    pub counter_sets: Vec<(Str, Counters)>,
    /// Devices.
    pub devices: Vec<Device>,
}

/// Amounts by name.
pub type Counters = BTreeMap<Str, Amount>;

/// A device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// Name within the pool.
    pub name: Str,
    /// Attributes by qualified name; without a domain the driver's is meant.
    pub attributes: BTreeMap<Str, Attribute>,
    /// Capacities by qualified name.
    pub capacity: BTreeMap<Str, Capacity>,
    /// What it takes of counter sets.
    pub consumes: Vec<(Str, Counters)>,
    /// Nodes that reach it, where the slice leaves that to its devices.
    pub reach: Option<Reach>,
    /// Taints.
    pub taints: Vec<DeviceTaint>,
    /// Whether its use is bound to the node that the pod goes to.
    pub binds_to_node: bool,
    /// Conditions that must hold before the pod is bound; `None` is not the same as none.
    pub binding_conditions: Option<Vec<Str>>,
    /// Conditions of which one that holds means that the device cannot be had.
    pub binding_failure_conditions: Vec<Str>,
    /// Whether several claims may have a share of it.
    pub shared: bool,
    /// What expressions see of it.
    pub view: View,
}

/// A device as expressions see it, made once by whoever knows their language.
#[derive(Clone, Default)]
pub struct View(pub Option<Arc<dyn Any + Send + Sync>>);

impl Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "View" } else { "no view" })
    }
}

/// It says the same as the device's other fields.
impl PartialEq for View {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(Str),
    /// A semantic version.
    Version(Str),
    /// Something that this version does not know.
    Unknown,
}

/// A capacity of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// All there is.
    pub value: Amount,
    /// What a share may ask for.
    pub policy: Option<RequestPolicy>,
}

/// What shares of a capacity may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPolicy {
    /// What a share gets that asks for nothing.
    pub default: Option<Amount>,
    /// The only amounts, rising.
    pub values: Option<Vec<Amount>>,
    /// Bounds.
    pub range: Option<Range>,
}

/// Bounds of an amount.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    /// Least.
    pub min: Option<Amount>,
    /// Most.
    pub max: Option<Amount>,
    /// Distance of the amounts between.
    pub step: Option<Amount>,
}

/// A taint of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceTaint {
    /// Key.
    pub key: Str,
    /// Value.
    pub value: Str,
    /// `NoSchedule`, `NoExecute`, `None`, or one that this version does not know and that keeps nobody away.
    pub effect: Str,
}

/// A toleration of a device's taints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceToleration {
    /// Key; empty matches every key.
    pub key: Str,
    /// `Equal` (also when empty) or `Exists`.
    pub operator: Str,
    /// Value to compare with.
    pub value: Str,
    /// Effect; empty matches every effect.
    pub effect: Str,
    /// For how long an eviction is put off, as written.
    pub seconds: Option<i64>,
}

impl DeviceTaint {
    /// Whether a pod that does not tolerate it may not have the device.
    #[must_use]
    pub fn keeps_away(&self) -> bool {
        matches!(&*self.effect, "NoSchedule" | "NoExecute")
    }
}

impl DeviceToleration {
    /// Whether the taint is tolerated.
    #[must_use]
    pub fn tolerates(&self, taint: &DeviceTaint) -> bool {
        (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match &*self.operator {
                "" | "Equal" => self.value == taint.value,
                "Exists" => true,
                _ => false,
            }
    }
}

/// A DeviceTaintRule: puts a taint on every device that it selects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaintRule {
    /// Name.
    pub name: Str,
    /// Driver, if it is about one.
    pub driver: Option<Str>,
    /// Pool, if it is about one.
    pub pool: Option<Str>,
    /// Device, if it is about one.
    pub device: Option<Str>,
    /// Whether it selects anything at all: one without a selector does not.
    pub selects: bool,
    /// The taint.
    pub taint: DeviceTaint,
}

impl TaintRule {
    /// Whether it is about this device.
    #[must_use]
    pub fn is_about(&self, pool: &PoolId, device: &str) -> bool {
        self.selects
            && self.driver.as_ref().is_none_or(|driver| *driver == pool.0)
            && self.pool.as_ref().is_none_or(|name| *name == pool.1)
            && self.device.as_ref().is_none_or(|name| **name == *device)
    }
}

/// A DeviceClass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceClass {
    /// Name.
    pub name: Str,
    /// What its devices have in common.
    pub selectors: Vec<Selector>,
    /// What their drivers are told, as JSON.
    pub config: Vec<Str>,
    /// The resource of containers that stands for one device of the class.
    pub extended_resource: Option<Str>,
    /// When it was made, in seconds since 1970: of two that stand for one resource the younger counts.
    pub created_s: i64,
}

/// What a CEL expression says of devices. Whoever reads objects knows CEL; here it is a pure function that costs little.
pub trait Expression: Debug + Send + Sync {
    /// Whether a device of this driver matches.
    ///
    /// # Errors
    /// What went wrong with the evaluation.
    fn matches(&self, driver: &str, device: &Device) -> Result<bool, String>;
}

/// A selector of devices.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The expression as written; `None` when it is none that this version knows.
    pub text: Option<Str>,
    /// It, ready for use, or why it cannot be used.
    pub expression: Result<Arc<dyn Expression>, Str>,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
