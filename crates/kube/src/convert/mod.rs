//! Turns Kubernetes objects into the model's values: pure functions, used by the watch and for files alike.
//! Leaves out where objects come from. A field that cannot be used is absent, and named in the faults; nothing fails as a whole.

mod affinity;
mod devices;
mod disruption;
mod migrated;
mod node;
mod owners;
mod pod;
mod requests;
mod storage;

pub(crate) use affinity::{node_term_json, node_terms_json, requirements_json};
pub(crate) use devices::{EXTENDED, allocation_json, requests_json};
pub use devices::{claim_template, device_claim, device_class, slice, taint_rule};
pub use disruption::budget;
pub use node::node;
pub use owners::{Owner, replica_set, replication_controller, service, stateful_set};
pub use pod::{hide, pod};
pub(crate) use requests::of_containers;
pub use storage::{attachment, claim, class, csi_driver, csi_node, namespace, storage_capacity, volume};

use crate::intern::Interner;
use crate::objects::Quantities;
use aisched_model::labels::Labels;
use aisched_model::quantity::{Quantity, QuantityError};
use aisched_model::resources::{Bytes, MilliCpu, Resources};
use aisched_model::storage_facts::Fault;
use std::collections::BTreeMap;

/// A value, with what of the object could not be used.
#[derive(Clone, Debug)]
pub struct Converted<T> {
    /// The value.
    pub value: T,
    /// Fields that the API would refuse: the key is the field's path.
    pub faults: Vec<Fault>,
    /// Labels and annotations that the API takes and the scheduler cannot use.
    pub hints: Vec<Fault>,
}

impl<T> Converted<T> {
    fn new(value: T, faults: Vec<Fault>) -> Self {
        Self { value, faults, hints: Vec::new() }
    }
}

fn labels(pairs: Option<&BTreeMap<String, String>>, interner: &mut Interner) -> Labels {
    pairs.into_iter().flatten().map(|(k, v)| (interner.str(k), interner.str(v))).collect()
}

/// The annotations that are read.
fn annotations(pairs: Option<&BTreeMap<String, String>>, read: impl Fn(&str) -> bool, interner: &mut Interner) -> Labels {
    pairs.into_iter().flatten().filter(|(k, _)| read(k)).map(|(k, v)| (interner.str(k), interner.str(v))).collect()
}

/// Amounts by name as the API's formulas see them: a resource may be there with 0, which differs from not being there.
/// CPU is in thousandths, everything else in whole units.
#[derive(Clone, Debug, Default, PartialEq)]
struct Amounts<'a>(Vec<(&'a str, i64)>);

impl<'a> Amounts<'a> {
    /// Reads a map of quantities; one that cannot be read is absent.
    fn read(quantities: &'a Quantities, path: &str, faults: &mut Vec<Fault>) -> Self {
        let mut amounts = Vec::with_capacity(quantities.len());
        for (name, text) in quantities {
            match read_amount(name, &text.0) {
                Ok(amount) => amounts.push((name.as_str(), amount)),
                Err(error) => faults.push(bad_quantity(&format!("{path}.{name}"), &text.0, error)),
            }
        }
        Self(amounts)
    }

    fn get(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, amount)| *amount)
    }

    fn set(&mut self, name: &'a str, amount: i64) {
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = amount,
            None => self.0.push((name, amount)),
        }
    }

    fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            self.set(name, self.get(name).unwrap_or(0).saturating_add(*amount));
        }
    }

    /// The larger of each; a resource that is only in one of them counts.
    fn max(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            self.set(name, self.get(name).map_or(*amount, |own| own.max(*amount)));
        }
    }

    /// As a value of the model, without `pods` and what is no resource of a node.
    fn to_resources(&self, interner: &mut Interner) -> Resources {
        let mut resources = Resources::default();
        for (name, amount) in &self.0 {
            match *name {
                "cpu" => resources.cpu = MilliCpu(*amount),
                "memory" => resources.memory = Bytes(*amount),
                "ephemeral-storage" => resources.ephemeral_storage = Bytes(*amount),
                scalar if is_scalar(scalar) => resources.set_scalar(&interner.str(scalar), *amount),
                _ => {}
            }
        }
        resources
    }
}

fn read_amount(name: &str, text: &str) -> Result<i64, QuantityError> {
    let quantity = Quantity::parse(text)?;
    Ok(if name == "cpu" { quantity.milli_value() } else { quantity.value() })
}

fn bad_quantity(path: &str, text: &str, error: QuantityError) -> Fault {
    Fault::new(path, text, format!("a quantity such as 500m or 2Gi ({error})"))
}

/// Extended resources, huge pages and attachable volumes: what nodes count in whole units.
fn is_scalar(name: &str) -> bool {
    (name.contains('/') && !name.starts_with("requests.")) || name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")
}

#[cfg(test)]
mod tests;
