//! An exact quantity, for counters and capacities: they are added, compared, and written back in the form they came in.
//! Leaves out everything that is counted in whole units only (`quantity`).

use crate::quantity::{Quantity, QuantityError};
use alloc::format;
use alloc::string::String;
use core::cmp::Ordering;

/// A quantity in billionths, with the form it is written in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Billionths: the finest that Kubernetes knows.
    pub nanos: i128,
    /// Whether it is written with `Ki`, `Mi`, ….
    pub binary: bool,
}

const NANOS: i128 = 1_000_000_000;

impl Amount {
    /// Reads a quantity; what is finer than a billionth is rounded up.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        Ok(Self { nanos: Quantity::parse(text)?.nanos(), binary: text.trim_end().ends_with('i') })
    }

    /// So many whole units.
    #[must_use]
    pub fn units(n: i64, binary: bool) -> Self {
        Self { nanos: i128::from(n) * NANOS, binary }
    }

    /// So many thousandths.
    #[must_use]
    pub fn milli(n: i64, binary: bool) -> Self {
        Self { nanos: i128::from(n) * (NANOS / 1000), binary }
    }

    /// Whole units, rounded up, saturating.
    #[must_use]
    pub fn value(self) -> i64 {
        rounded_up(self.nanos, NANOS)
    }

    /// Thousandths, when it can be told in them exactly.
    #[must_use]
    pub fn exact_milli(self) -> Option<i64> {
        (self.nanos % (NANOS / 1000) == 0).then(|| i64::try_from(self.nanos / (NANOS / 1000)).ok()).flatten()
    }

    /// The sum, saturating.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos), binary: self.binary }
    }

    /// The difference, saturating.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), binary: self.binary }
    }

    /// As Kubernetes writes it: the largest suffix that leaves a whole number.
    ///
    /// Example: 2048 is `2Ki` when it is written in powers of two, and `2048` otherwise.
    #[must_use]
    pub fn text(self) -> String {
        let whole = self.nanos % NANOS == 0;
        if self.nanos == 0 {
            return "0".into();
        }
        if whole && self.binary && (self.nanos / NANOS).abs() >= 1024 {
            let mut n = self.nanos / NANOS;
            let mut suffix = "";
            for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
                if n % 1024 != 0 {
                    break;
                }
                (n, suffix) = (n / 1024, next);
            }
            return format!("{n}{suffix}");
        }
        let mut n = self.nanos;
        let mut suffix = "n";
        for next in ["u", "m", "", "k", "M", "G", "T", "P", "E"] {
            if n % 1000 != 0 || (self.binary && suffix.is_empty()) {
                break;
            }
            (n, suffix) = (n / 1000, next);
        }
        format!("{n}{suffix}")
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn rounded_up(n: i128, divisor: i128) -> i64 {
    let quotient = n.div_euclid(divisor) + i128::from(n.rem_euclid(divisor) != 0);
    i64::try_from(quotient).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_were_read() {
        for text in ["0", "1", "40Gi", "1500m", "1536Mi", "2k", "100n", "1001", "1023", "1Ei", "-3Mi"] {
            assert_eq!(Amount::parse(text).unwrap().text(), text);
        }
        for (text, written) in [("1.5Gi", "1536Mi"), ("2048Ki", "2Mi"), ("1000", "1k"), ("0.5", "500m"), ("1000Ki", "1000Ki")] {
            assert_eq!(Amount::parse(text).unwrap().text(), written, "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        let [a, b] = ["1Gi", "100n"].map(|text| Amount::parse(text).unwrap());
        assert_eq!(a.plus(b).minus(a), b);
        assert_eq!((a.plus(b).value(), b.value(), b.exact_milli()), ((1 << 30) + 1, 1, None));
        assert_eq!(Amount::parse("1.5").unwrap().exact_milli(), Some(1500));
        assert!(a > b && Amount::units(1 << 30, false) == a);
    }
}
