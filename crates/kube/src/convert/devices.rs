//! Devices, their classes, and claims to them as values of the model; and what was allocated as the API writes it.
//! Leaves out what an expression means (`cel`).

use super::affinity::{Context, node_terms_json};
use super::{Converted, bad_quantity};
use crate::cel;
use crate::intern::Interner;
use crate::objects::{ClaimTemplateObject, DeviceClaimObject, DeviceClassObject, SliceObject, TaintRuleObject};
use aisched_model::Str;
use aisched_model::devices::{
    Allocation, Amount, Ask, Attribute, Capacity, ClaimRequest, ConditionOf, Config, Constraint, Counters, Device, DeviceClaim,
    DeviceClass, DeviceTaint, DeviceToleration, Mode, PickedDevice, PoolId, Range, Reach, RequestKind, RequestPolicy, Scope, Selector,
    Slice, TaintRule,
};
use aisched_model::selector::NodeSelectorTerm;
use aisched_model::storage_facts::Fault;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::api::resource::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What conversion of one object carries along.
struct Reader<'a> {
    interner: &'a mut Interner,
    faults: Vec<Fault>,
}

/// A ResourceSlice.
#[must_use]
pub fn slice(object: &SliceObject, interner: &mut Interner) -> Converted<Slice> {
    let mut reader = Reader { interner, faults: Vec::new() };
    let spec = &object.spec;
    let per_device = spec.per_device_node_selection == Some(true);
    let devices = spec.devices.iter().flatten().enumerate().map(|(i, device)| reader.device(i, &spec.driver, device, per_device)).collect();
    let reach = reader.reach(spec.node_name.as_deref(), spec.all_nodes, spec.node_selector.as_ref());
    let counter_sets = spec.shared_counters.iter().flatten();
    let value = Slice {
        name: reader.str(object.metadata.name.as_deref().unwrap_or_default()),
        pool: reader.pool(&spec.driver, &spec.pool.name),
        generation: spec.pool.generation,
        slice_count: spec.pool.resource_slice_count,
        reach: reach.unwrap_or(if per_device { Reach::PerDevice } else { Reach::Unknown }),
        counter_sets: counter_sets.map(|set| (reader.str(&set.name), reader.counters("spec.sharedCounters", &set.counters))).collect(),
        devices,
    };
    Converted::new(value, reader.faults)
}

/// A DeviceClass.
#[must_use]
pub fn device_class(object: &DeviceClassObject, interner: &mut Interner) -> Converted<DeviceClass> {
    let (meta, spec) = (&object.metadata, &object.spec);
    let value = DeviceClass {
        name: interner.str(meta.name.as_deref().unwrap_or_default()),
        selectors: selectors(spec.selectors.as_ref()),
        config: spec.config.iter().flatten().map(|config| opaque(config.opaque.as_ref())).collect(),
        extended_resource: spec.extended_resource_name.as_deref().map(|name| interner.str(name)),
        created_s: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
    };
    Converted::new(value, Vec::new())
}

/// A DeviceTaintRule.
#[must_use]
pub fn taint_rule(object: &TaintRuleObject, interner: &mut Interner) -> Converted<TaintRule> {
    let selector = object.spec.device_selector.as_ref();
    let mut part = |part: Option<&String>| part.map(|text| interner.str(text));
    let value = TaintRule {
        driver: part(selector.and_then(|s| s.driver.as_ref())),
        pool: part(selector.and_then(|s| s.pool.as_ref())),
        device: part(selector.and_then(|s| s.device.as_ref())),
        selects: selector.is_some(),
        taint: taint(&object.spec.taint),
        name: interner.str(object.metadata.name.as_deref().unwrap_or_default()),
    };
    Converted::new(value, Vec::new())
}

/// The annotation of claims that a scheduler made for extended resources.
pub(crate) const EXTENDED: &str = "resource.kubernetes.io/extended-resource-claim";

/// A ResourceClaim.
#[must_use]
pub fn device_claim(object: &DeviceClaimObject, interner: &mut Interner) -> Converted<DeviceClaim> {
    let mut reader = Reader { interner, faults: Vec::new() };
    let (meta, status) = (&object.metadata, &object.status);
    let devices = object.spec.devices.as_ref();
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let value = DeviceClaim {
        uid: reader.str(meta.uid.as_deref().unwrap_or_default()),
        namespace: reader.str(meta.namespace.as_deref().unwrap_or_default()),
        name: reader.str(meta.name.as_deref().unwrap_or_default()),
        owner_uid: owner.map(|owner| reader.str(&owner.uid)),
        version: meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
        extended: meta.annotations.as_ref().and_then(|a| a.get(EXTENDED)).is_some_and(|value| value == "true"),
        requests: devices.and_then(|d| d.requests.as_ref()).into_iter().flatten().map(|request| reader.request(request)).collect(),
        constraints: devices.and_then(|d| d.constraints.as_ref()).into_iter().flatten().map(|c| reader.constraint(c)).collect(),
        config: devices
            .and_then(|d| d.config.as_ref())
            .into_iter()
            .flatten()
            .map(|c| reader.config(false, c.requests.as_ref(), c.opaque.as_ref()))
            .collect(),
        allocation: status.allocation.as_ref().map(|allocation| reader.allocation(allocation).into()),
        pending: None,
        reserved_for: status.reserved_for.iter().flatten().map(|consumer| reader.str(&consumer.uid)).collect(),
        conditions: status.devices.iter().flatten().flat_map(|device| reader.conditions(device)).collect(),
        overdue: false,
    };
    Converted::new(value, reader.faults)
}

/// A claim as it is made from a template.
#[must_use]
pub fn claim_template(object: &ClaimTemplateObject, interner: &mut Interner) -> Converted<DeviceClaim> {
    let claim = DeviceClaimObject { metadata: object.metadata.clone(), spec: object.spec.spec.clone(), ..DeviceClaimObject::default() };
    device_claim(&claim, interner)
}

impl Reader<'_> {
    fn str(&mut self, text: &str) -> Str {
        self.interner.str(text)
    }

    fn strs(&mut self, texts: Option<&Vec<String>>) -> Vec<Str> {
        texts.into_iter().flatten().map(|text| self.interner.str(text)).collect()
    }

    fn pool(&mut self, driver: &str, pool: &str) -> PoolId {
        (self.str(driver), self.str(pool))
    }

    fn amount(&mut self, path: &str, quantity: &Quantity) -> Amount {
        Amount::parse(&quantity.0).unwrap_or_else(|error| {
            self.faults.push(bad_quantity(path, &quantity.0, error));
            Amount::default()
        })
    }

    fn counters(&mut self, path: &str, counters: &BTreeMap<String, api::Counter>) -> Counters {
        counters.iter().map(|(name, counter)| (self.str(name), self.amount(&format!("{path}.{name}"), &counter.value))).collect()
    }

    fn terms(&mut self, path: &str, selector: &NodeSelector) -> Vec<NodeSelectorTerm> {
        Context { interner: self.interner, faults: &mut self.faults, namespace: "" }.node_terms(path, selector)
    }

    /// Which nodes it is reached from, if it says so.
    fn reach(&mut self, node: Option<&str>, all: Option<bool>, selector: Option<&NodeSelector>) -> Option<Reach> {
        match (node.filter(|name| !name.is_empty()), all, selector) {
            (Some(node), ..) => Some(Reach::Node(self.str(node))),
            (None, Some(true), _) => Some(Reach::All),
            (None, _, Some(selector)) => Some(Reach::Nodes(self.terms("spec.nodeSelector", selector))),
            (None, _, None) => None,
        }
    }

    fn device(&mut self, i: usize, driver: &str, device: &api::Device, per_device: bool) -> Device {
        let path = format!("spec.devices[{i}]");
        let reach = per_device.then(|| self.reach(device.node_name.as_deref(), device.all_nodes, device.node_selector.as_ref())).flatten();
        let mut read = Device {
            name: self.str(&device.name),
            attributes: device.attributes.iter().flatten().map(|(name, value)| (self.str(name), self.attribute(value))).collect(),
            capacity: device.capacity.iter().flatten().map(|(name, value)| (self.str(name), self.capacity(&path, name, value))).collect(),
            consumes: device
                .consumes_counters
                .iter()
                .flatten()
                .map(|use_| (self.str(&use_.counter_set), self.counters(&format!("{path}.consumesCounters"), &use_.counters)))
                .collect(),
            reach,
            taints: device.taints.iter().flatten().map(taint).collect(),
            binds_to_node: device.binds_to_node == Some(true),
            binding_conditions: device.binding_conditions.as_ref().map(|all| self.strs(Some(all))),
            binding_failure_conditions: self.strs(device.binding_failure_conditions.as_ref()),
            shared: device.allow_multiple_allocations == Some(true),
            view: Default::default(),
        };
        read.view = cel::view(driver, &read);
        read
    }

    fn attribute(&mut self, value: &api::DeviceAttribute) -> Attribute {
        match (value.int, value.bool, &value.string, &value.version) {
            (Some(n), ..) => Attribute::Int(n),
            (_, Some(b), ..) => Attribute::Bool(b),
            (_, _, Some(text), _) => Attribute::Text(self.str(text)),
            (_, _, _, Some(version)) => Attribute::Version(self.str(version)),
            (None, None, None, None) => Attribute::Unknown,
        }
    }

    fn capacity(&mut self, path: &str, name: &str, capacity: &api::DeviceCapacity) -> Capacity {
        let path = format!("{path}.capacity.{name}");
        let policy = capacity.request_policy.as_ref().map(|policy| RequestPolicy {
            default: policy.default.as_ref().map(|q| self.amount(&path, q)),
            values: policy.valid_values.as_ref().map(|all| all.iter().map(|q| self.amount(&path, q)).collect()),
            range: policy.valid_range.as_ref().map(|range| Range {
                min: Some(self.amount(&path, &range.min)),
                max: range.max.as_ref().map(|q| self.amount(&path, q)),
                step: range.step.as_ref().map(|q| self.amount(&path, q)),
            }),
        });
        Capacity { value: self.amount(&path, &capacity.value), policy }
    }

    fn request(&mut self, request: &api::DeviceRequest) -> ClaimRequest {
        let kind = match (&request.exactly, &request.first_available) {
            (Some(exactly), _) => RequestKind::Exactly(Ask {
                admin: exactly.admin_access,
                ..self.ask(
                    &exactly.device_class_name,
                    exactly.selectors.as_ref(),
                    (exactly.allocation_mode.as_deref(), exactly.count),
                    exactly.tolerations.as_ref(),
                    exactly.capacity.as_ref(),
                )
            }),
            (None, Some(asks)) if !asks.is_empty() => {
                let of = |ask: &api::DeviceSubRequest| {
                    let mode = (ask.allocation_mode.as_deref(), ask.count);
                    let read =
                        self.ask(&ask.device_class_name, ask.selectors.as_ref(), mode, ask.tolerations.as_ref(), ask.capacity.as_ref());
                    (self.str(&ask.name), read)
                };
                RequestKind::FirstAvailable(asks.iter().map(of).collect())
            }
            (None, _) => RequestKind::Unknown,
        };
        ClaimRequest { name: self.str(&request.name), kind }
    }

    fn ask(
        &mut self,
        class: &str,
        own: Option<&Vec<api::DeviceSelector>>,
        (mode, count): (Option<&str>, Option<i64>),
        tolerations: Option<&Vec<api::DeviceToleration>>,
        capacity: Option<&api::CapacityRequirements>,
    ) -> Ask {
        let mode = match mode {
            None | Some("" | "ExactCount") => Mode::Exact(count.unwrap_or(1)),
            Some("All") => Mode::All,
            Some(other) => Mode::Unknown(self.str(other)),
        };
        let requests = capacity.and_then(|capacity| capacity.requests.as_ref()).into_iter().flatten();
        Ask {
            class: self.str(class),
            selectors: selectors(own),
            mode,
            admin: None,
            tolerations: tolerations.into_iter().flatten().map(toleration).collect(),
            capacity: requests.map(|(name, q)| (self.str(name), self.amount("spec.devices.requests", q))).collect(),
        }
    }

    fn constraint(&mut self, constraint: &api::DeviceConstraint) -> Constraint {
        let (scope, attribute) = match (&constraint.match_attribute, &constraint.distinct_attribute) {
            (Some(attribute), _) => (Scope::Same, attribute.as_str()),
            (None, Some(attribute)) => (Scope::Distinct, attribute.as_str()),
            (None, None) => (Scope::Unknown, ""),
        };
        Constraint { requests: self.strs(constraint.requests.as_ref()), attribute: self.str(attribute), scope }
    }

    fn config(&mut self, from_class: bool, requests: Option<&Vec<String>>, config: Option<&api::OpaqueDeviceConfiguration>) -> Config {
        Config { from_class, requests: self.strs(requests), text: opaque(config) }
    }

    fn allocation(&mut self, allocation: &api::AllocationResult) -> Allocation {
        let devices = allocation.devices.as_ref();
        let results = devices.and_then(|d| d.results.as_ref()).into_iter().flatten();
        let config = devices.and_then(|d| d.config.as_ref()).into_iter().flatten();
        Allocation {
            devices: results.map(|result| self.picked(result)).collect(),
            config: config.map(|c| self.config(c.source == "FromClass", c.requests.as_ref(), c.opaque.as_ref())).collect(),
            nodes: allocation.node_selector.as_ref().map(|selector| self.terms("status.allocation.nodeSelector", selector)),
            at_s: allocation.allocation_timestamp.as_ref().map(|time| time.0.as_second()),
        }
    }

    fn picked(&mut self, result: &api::DeviceRequestAllocationResult) -> PickedDevice {
        let consumed = result.consumed_capacity.iter().flatten();
        PickedDevice {
            request: self.str(&result.request),
            pool: self.pool(&result.driver, &result.pool),
            device: self.str(&result.device),
            admin: result.admin_access,
            tolerations: result.tolerations.iter().flatten().map(toleration).collect(),
            share: result.share_id.as_deref().map(|id| self.str(id)),
            consumed: consumed.map(|(name, q)| (self.str(name), self.amount("status.allocation.devices.results", q))).collect(),
            binding_conditions: self.strs(result.binding_conditions.as_ref()),
            binding_failure_conditions: self.strs(result.binding_failure_conditions.as_ref()),
        }
    }

    fn conditions(&mut self, device: &api::AllocatedDeviceStatus) -> Vec<ConditionOf> {
        let all = device.conditions.iter().flatten();
        all.map(|condition| ConditionOf {
            pool: self.pool(&device.driver, &device.pool),
            device: self.str(&device.device),
            kind: self.str(&condition.type_),
            holds: condition.status == "True",
            reason: self.str(&condition.reason),
            message: self.str(&condition.message),
        })
        .collect()
    }
}

fn selectors(all: Option<&Vec<api::DeviceSelector>>) -> Vec<Selector> {
    all.into_iter().flatten().map(|selector| cel::selector(selector.cel.as_ref().map(|cel| cel.expression.as_str()))).collect()
}

fn taint(taint: &api::DeviceTaint) -> DeviceTaint {
    let value = taint.value.as_deref().unwrap_or_default().into();
    DeviceTaint { key: taint.key.as_str().into(), value, effect: taint.effect.as_str().into() }
}

fn toleration(toleration: &api::DeviceToleration) -> DeviceToleration {
    let text = |text: &Option<String>| Str::from(text.as_deref().unwrap_or_default());
    DeviceToleration {
        key: text(&toleration.key),
        operator: text(&toleration.operator),
        value: text(&toleration.value),
        effect: text(&toleration.effect),
        seconds: toleration.toleration_seconds,
    }
}

/// What a driver is told, as JSON: nobody here reads it.
fn opaque(config: Option<&api::OpaqueDeviceConfiguration>) -> Str {
    let value = config.map_or(json!({}), |opaque| json!({ "opaque": opaque }));
    value.to_string().into()
}

/// An allocation as a claim's `status.allocation`.
pub(crate) fn allocation_json(allocation: &Allocation, now: &str) -> Value {
    let mut devices = json!({"results": allocation.devices.iter().map(picked_json).collect::<Vec<_>>()});
    if !allocation.config.is_empty() {
        devices["config"] = allocation.config.iter().map(config_json).collect();
    }
    let mut value = json!({"devices": devices, "allocationTimestamp": now});
    if let Some(terms) = &allocation.nodes {
        value["nodeSelector"] = node_terms_json(terms);
    }
    value
}

fn picked_json(picked: &PickedDevice) -> Value {
    let mut value = json!({
        "request": &*picked.request, "driver": &*picked.pool.0, "pool": &*picked.pool.1, "device": &*picked.device,
    });
    let mut set = |field: &str, there: bool, to: Value| {
        if there {
            value[field] = to;
        }
    };
    set("adminAccess", picked.admin.is_some(), json!(picked.admin));
    set("shareID", picked.share.is_some(), json!(picked.share.as_deref()));
    set("tolerations", !picked.tolerations.is_empty(), picked.tolerations.iter().map(toleration_json).collect());
    let consumed: BTreeMap<&str, String> = picked.consumed.iter().map(|(name, amount)| (&**name, amount.text())).collect();
    set("consumedCapacity", !consumed.is_empty(), json!(consumed));
    set("bindingConditions", !picked.binding_conditions.is_empty(), strs_json(&picked.binding_conditions));
    set("bindingFailureConditions", !picked.binding_failure_conditions.is_empty(), strs_json(&picked.binding_failure_conditions));
    value
}

fn toleration_json(toleration: &DeviceToleration) -> Value {
    let mut value = json!({});
    for (field, text) in
        [("key", &toleration.key), ("operator", &toleration.operator), ("value", &toleration.value), ("effect", &toleration.effect)]
    {
        if !text.is_empty() {
            value[field] = json!(&**text);
        }
    }
    if let Some(seconds) = toleration.seconds {
        value["tolerationSeconds"] = json!(seconds);
    }
    value
}

fn config_json(config: &Config) -> Value {
    let mut value: Value = serde_json::from_str(&config.text).unwrap_or_else(|_| json!({}));
    value["source"] = json!(if config.from_class { "FromClass" } else { "FromClaim" });
    if !config.requests.is_empty() {
        value["requests"] = strs_json(&config.requests);
    }
    value
}

fn strs_json(texts: &[Str]) -> Value {
    texts.iter().map(|text| Value::from(&**text)).collect()
}

/// Requests as a claim's `spec.devices.requests`: those that a scheduler itself makes, for numbers of devices of a class.
pub(crate) fn requests_json(requests: &[ClaimRequest]) -> Value {
    let of = |request: &ClaimRequest| match &request.kind {
        RequestKind::Exactly(Ask { class, mode: Mode::Exact(count), .. }) => Some(json!({
            "name": &*request.name,
            "exactly": {"deviceClassName": &**class, "allocationMode": "ExactCount", "count": count},
        })),
        RequestKind::Exactly(_) | RequestKind::FirstAvailable(_) | RequestKind::Unknown => None,
    };
    requests.iter().filter_map(of).collect()
}
