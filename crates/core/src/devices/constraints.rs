//! What a claim demands of its devices' attributes, followed while devices are taken and given back.
//! Leaves out selectors: those look at one device at a time.

use aisched_model::devices::{Attribute, Constraint, Device, Scope};
use alloc::vec::Vec;

/// A constraint and the devices taken so far.
pub(super) struct Followed<'a> {
    constraint: &'a Constraint,
    values: Vec<&'a Attribute>,
}

impl<'a> Followed<'a> {
    pub(super) fn new(constraint: &'a Constraint) -> Self {
        Self { constraint, values: Vec::new() }
    }

    /// Takes a device, if it agrees with those that were taken before.
    pub(super) fn add(&mut self, request: &str, sub_request: Option<&str>, driver: &str, device: &'a Device) -> bool {
        if !self.is_about(request, sub_request) {
            return true;
        }
        let Some(value) = attribute(device, driver, &self.constraint.attribute) else { return false };
        let agrees = match self.constraint.scope {
            Scope::Same => self.values.first().is_none_or(|first| *value != Attribute::Unknown && *first == value),
            Scope::Distinct => !self.values.iter().any(|other| *value == Attribute::Unknown || *other == value),
            Scope::Unknown => false,
        };
        if agrees {
            self.values.push(value);
        }
        agrees
    }

    /// Gives back the device that was taken last.
    pub(super) fn remove(&mut self, request: &str, sub_request: Option<&str>) {
        if self.is_about(request, sub_request) {
            self.values.pop();
        }
    }

    fn is_about(&self, request: &str, sub_request: Option<&str>) -> bool {
        let names = &self.constraint.requests;
        let is_sub = |name: &str| name.split_once('/').is_some_and(|(parent, sub)| parent == request && Some(sub) == sub_request);
        names.is_empty() || names.iter().any(|name| **name == *request || is_sub(name))
    }
}

/// An attribute by its full name; of the driver's own domain it may be given without.
fn attribute<'a>(device: &'a Device, driver: &str, name: &str) -> Option<&'a Attribute> {
    let short = || name.split_once('/').filter(|(domain, _)| *domain == driver).map(|(_, id)| id);
    device.attributes.get(name).or_else(|| device.attributes.get(short()?))
}
