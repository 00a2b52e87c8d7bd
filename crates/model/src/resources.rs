//! Amounts of resources: what pods request and nodes offer.
//! Leaves out the formula over containers (`aisched-kube` computes a pod's request when the object changes).

use crate::Str;
use alloc::vec::Vec;
use core::fmt;

/// CPU in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliCpu(pub i64);

/// Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub i64);

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: i64 = 1 << 20;
        if self.0 >= MIB { write!(f, "{}Mi", self.0 / MIB) } else { write!(f, "{}", self.0) }
    }
}

/// CPU requested by a container that names none, when scoring (kube-scheduler's default).
pub const DEFAULT_MILLI_CPU: i64 = 100;
/// Memory requested by a container that names none, when scoring: 200 MiB.
pub const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts per resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Local ephemeral storage.
    pub ephemeral_storage: Bytes,
    /// Everything else (extended resources, huge pages), sorted by name, in whole units.
    pub scalars: Vec<(Str, i64)>,
}

impl Resources {
    /// The amount of a scalar resource, 0 when absent.
    #[must_use]
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.binary_search_by(|(n, _)| (**n).cmp(name)).map_or(0, |i| self.scalars[i].1)
    }

    /// Sets a scalar resource.
    pub fn set_scalar(&mut self, name: &Str, amount: i64) {
        match self.scalars.binary_search_by(|(n, _)| n.cmp(name)) {
            Ok(i) => self.scalars[i].1 = amount,
            Err(i) => self.scalars.insert(i, (name.clone(), amount)),
        }
    }

    /// The amount under a resource's API name: `cpu` in thousandths, everything else in whole units.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu.0,
            "memory" => self.memory.0,
            "ephemeral-storage" => self.ephemeral_storage.0,
            _ => self.scalar(name),
        }
    }

    /// The API names of the core resources and of those that are listed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        ["cpu", "memory", "ephemeral-storage"].into_iter().chain(self.scalars.iter().map(|(name, _)| &**name))
    }

    /// Whether a resource that counts is less than it was in `old`.
    pub fn shrank_from(&self, old: &Self, counts: impl Fn(&str) -> bool) -> bool {
        old.names().any(|name| counts(name) && old.get(name) > self.get(name))
    }

    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Subtracts `other`, saturating.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Takes the larger of each amount.
    pub fn max(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, f: fn(i64, i64) -> i64) {
        self.cpu.0 = f(self.cpu.0, other.cpu.0);
        self.memory.0 = f(self.memory.0, other.memory.0);
        self.ephemeral_storage.0 = f(self.ephemeral_storage.0, other.ephemeral_storage.0);
        for (name, amount) in &other.scalars {
            self.set_scalar(name, f(self.scalar(name), *amount));
        }
    }

    /// Whether nothing is requested.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.cpu.0 == 0 && self.memory.0 == 0 && self.ephemeral_storage.0 == 0 && self.scalars.iter().all(|(_, n)| *n == 0)
    }
}

/// CPU and memory with defaults for containers that request none; what scores are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NonZeroRequest {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_stay_sorted_and_sum() {
        let mut a = Resources::default();
        a.set_scalar(&"b/x".into(), 2);
        a.set_scalar(&"a/x".into(), 1);
        let mut b = Resources { cpu: MilliCpu(5), ..Resources::default() };
        b.set_scalar(&"b/x".into(), 3);
        a.add(&b);
        assert_eq!((a.scalar("a/x"), a.get("b/x"), a.get("cpu"), a.get("none")), (1, 5, 5, 0));
        a.sub(&b);
        assert_eq!((a.scalar("b/x"), a.get("cpu")), (2, 0));
    }
}
