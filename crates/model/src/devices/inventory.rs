//! All that is known of devices: slices by node and pool, classes, claims, taint rules, and which devices are in use.
//! Leaves out nodes and pods.

use super::{Allocation, Amount, DeviceClaim, DeviceClass, Reach, Slice, TaintRule};
use crate::Str;
use crate::snapshot::NamespacedName;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;

/// Driver and pool.
pub type PoolId = (Str, Str);

/// Slices by name.
pub type Slices = BTreeMap<Str, Arc<Slice>>;

/// What is known of devices.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Slices of one node's devices, by node.
    pub local: BTreeMap<Str, Slices>,
    /// Slices of all other devices.
    pub shared: Slices,
    /// All slices, by pool.
    pub pools: BTreeMap<PoolId, Slices>,
    /// Where a slice is: its pool, by name.
    slices: BTreeMap<Str, Arc<Slice>>,
    /// Classes by name.
    pub classes: BTreeMap<Str, Arc<DeviceClass>>,
    /// Claims.
    pub claims: BTreeMap<NamespacedName, Arc<DeviceClaim>>,
    /// Taint rules by name.
    pub rules: BTreeMap<Str, Arc<TaintRule>>,
    /// Devices in use, by pool.
    pub used: BTreeMap<PoolId, PoolUse>,
    /// Classes that stand for an extended resource, by the resource.
    pub extended: BTreeMap<Str, Arc<DeviceClass>>,
}

/// Devices of a pool that are in use.
pub type PoolUse = BTreeMap<Str, Use>;

/// How a device is in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Use {
    /// Claims that have it for themselves: more than one only if another scheduler erred.
    pub whole: usize,
    /// Claims that have a share of it.
    pub shares: usize,
    /// What the shares take.
    pub consumed: BTreeMap<Str, Amount>,
}

/// What names an extended resource that stands for one device of a class, whatever the class says.
const CLASS_PREFIX: &str = "deviceclass.resource.kubernetes.io/";

impl Inventory {
    /// Adds or replaces a slice; returns what was there.
    pub fn set_slice(&mut self, slice: Arc<Slice>) -> Option<Arc<Slice>> {
        let old = self.remove_slice(&slice.name);
        let name = slice.name.clone();
        match &slice.reach {
            Reach::Node(node) => self.local.entry(node.clone()).or_default().insert(name.clone(), slice.clone()),
            Reach::All | Reach::Nodes(_) | Reach::PerDevice | Reach::Unknown => self.shared.insert(name.clone(), slice.clone()),
        };
        self.pools.entry(slice.pool.clone()).or_default().insert(name.clone(), slice.clone());
        self.slices.insert(name, slice);
        old
    }

    /// Takes a slice away.
    pub fn remove_slice(&mut self, name: &Str) -> Option<Arc<Slice>> {
        let old = self.slices.remove(name)?;
        match &old.reach {
            Reach::Node(node) => remove_from(&mut self.local, node, name),
            Reach::All | Reach::Nodes(_) | Reach::PerDevice | Reach::Unknown => {
                self.shared.remove(name);
            }
        }
        remove_from(&mut self.pools, &old.pool, name);
        Some(old)
    }

    /// Adds or replaces a claim, with what it has; returns what was there.
    pub fn set_claim(&mut self, claim: Arc<DeviceClaim>) -> Option<Arc<DeviceClaim>> {
        let key = (claim.namespace.clone(), claim.name.clone());
        let old = self.remove_claim(&key);
        if let Some(allocation) = claim.given() {
            self.count(allocation, true);
        }
        self.claims.insert(key, claim);
        old
    }

    /// Takes a claim away, with what it has.
    pub fn remove_claim(&mut self, key: &NamespacedName) -> Option<Arc<DeviceClaim>> {
        let old = self.claims.remove(key)?;
        if let Some(allocation) = old.given() {
            self.count(allocation, false);
        }
        Some(old)
    }

    /// Counts the devices of an allocation as in use (`there`) or free again. Those that are used besides others do not count.
    pub fn count(&mut self, allocation: &Allocation, there: bool) {
        let step = |n: usize| if there { n + 1 } else { n.saturating_sub(1) };
        for picked in allocation.devices.iter().filter(|picked| picked.admin != Some(true)) {
            let pool = self.used.entry(picked.pool.clone()).or_default();
            let used = pool.entry(picked.device.clone()).or_default();
            if picked.share.is_none() {
                used.whole = step(used.whole);
            } else {
                used.shares = step(used.shares);
                for (name, amount) in &picked.consumed {
                    let sum = used.consumed.entry(name.clone()).or_default();
                    *sum = if there { sum.plus(*amount) } else { sum.minus(*amount) };
                }
            }
            if used.whole == 0 && used.shares == 0 {
                pool.remove(&picked.device);
                if pool.is_empty() {
                    self.used.remove(&picked.pool);
                }
            }
        }
    }

    /// Adds or replaces a class; returns what was there.
    pub fn set_class(&mut self, class: Arc<DeviceClass>) -> Option<Arc<DeviceClass>> {
        let old = self.classes.insert(class.name.clone(), class);
        self.name_resources();
        old
    }

    /// Takes a class away.
    pub fn remove_class(&mut self, name: &Str) -> Option<Arc<DeviceClass>> {
        let old = self.classes.remove(name)?;
        self.name_resources();
        Some(old)
    }

    /// Of two classes that stand for one resource the younger counts, then the first by name. Classes are few.
    fn name_resources(&mut self) {
        self.extended.clear();
        for class in self.classes.values() {
            self.extended.insert(format!("{CLASS_PREFIX}{}", class.name).into(), class.clone());
            let Some(resource) = &class.extended_resource else { continue };
            let rival = self.extended.get(resource);
            if rival.is_none_or(|rival| rival.created_s < class.created_s) {
                self.extended.insert(resource.clone(), class.clone());
            }
        }
    }
}

fn remove_from<K: Ord>(map: &mut BTreeMap<K, Slices>, key: &K, name: &Str) {
    if let Some(slices) = map.get_mut(key) {
        slices.remove(name);
        if slices.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PickedDevice;
    use super::*;
    use alloc::vec;

    fn claim(name: &str, share: Option<&str>, device: &str) -> Arc<DeviceClaim> {
        let consumed = BTreeMap::from([("mem".into(), Amount::units(4, false))]);
        let picked = PickedDevice {
            pool: ("d".into(), "p".into()),
            device: device.into(),
            share: share.map(Into::into),
            consumed: if share.is_some() { consumed } else { BTreeMap::new() },
            ..PickedDevice::default()
        };
        let allocation = Some(Arc::new(Allocation { devices: vec![picked], ..Allocation::default() }));
        Arc::new(DeviceClaim { name: name.into(), allocation, ..DeviceClaim::default() })
    }

    #[test]
    fn devices_are_in_use_while_a_claim_has_them() {
        let mut inventory = Inventory::default();
        let pool = ("d".into(), "p".into());
        inventory.set_claim(claim("a", None, "whole"));
        inventory.set_claim(claim("b", Some("1"), "shared"));
        inventory.set_claim(claim("c", Some("2"), "shared"));
        let used = &inventory.used[&pool];
        assert_eq!((used["whole"].whole, used["shared"].shares, used["shared"].consumed["mem"].value()), (1, 2, 8));
        inventory.remove_claim(&("".into(), "b".into()));
        assert_eq!(inventory.used[&pool]["shared"].consumed["mem"].value(), 4);
        inventory.set_claim(Arc::new(DeviceClaim { allocation: None, ..DeviceClaim::clone(&claim("a", None, "whole")) }));
        inventory.remove_claim(&("".into(), "c".into()));
        assert!(inventory.used.is_empty(), "{:?}", inventory.used);
    }

    #[test]
    fn younger_class_stands_for_a_resource() {
        let class = |name: &str, created_s| DeviceClass {
            name: name.into(),
            extended_resource: Some("x/gpu".into()),
            created_s,
            ..DeviceClass::default()
        };
        let mut inventory = Inventory::default();
        for (class, of_x) in [(class("b", 1), "b"), (class("a", 1), "a"), (class("c", 2), "c"), (class("d", 2), "c")] {
            inventory.set_class(Arc::new(class));
            assert_eq!(&*inventory.extended["x/gpu"].name, of_x);
        }
        inventory.remove_class(&"c".into());
        assert_eq!(&*inventory.extended["x/gpu"].name, "d");
        assert_eq!(&*inventory.extended["deviceclass.resource.kubernetes.io/a"].name, "a");
    }
}
