//! Kubernetes quantities (`250m`, `1.5Gi`, `1e3`), read exactly and rounded up as the API machinery rounds them.
//! Leaves out formatting and arithmetic: after parsing, everything is an `i64` in a fixed unit.

use core::fmt;

/// A parsed quantity: `mantissa × multiplier ÷ 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    mantissa: i128,
    decimals: u32,
    multiplier: i128,
    /// Digits beyond what the mantissa holds were dropped; only matters for rounding up.
    inexact: bool,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityError {
    /// No digits where a number was expected.
    NotANumber,
    /// The suffix is none of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, or an exponent such as `e3`.
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number; a quantity is digits with an optional suffix, such as 500m or 2Gi",
            Self::Suffix => "unknown suffix; use one of m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei",
        })
    }
}

impl core::error::Error for QuantityError {}

/// More digits than any 64-bit value needs; the rest can only round up.
const MAX_DIGITS: usize = 24;

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// [`QuantityError`] when the number or the suffix cannot be read.
    ///
    /// Example: `Quantity::parse("1.5Gi").unwrap().value()` is 1610612736.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (mantissa, decimals, inexact) = digits(number).ok_or(QuantityError::NotANumber)?;
        let (multiplier, divisor_decimals) = scale(suffix).ok_or(QuantityError::Suffix)?;
        Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, decimals: decimals + divisor_decimals, multiplier, inexact })
    }

    /// Whole units, rounded up, saturating at the bounds of `i64`.
    #[must_use]
    pub fn value(self) -> i64 {
        self.scaled(1)
    }

    /// Thousandths, rounded up, saturating: the unit of CPU.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        self.scaled(1000)
    }

    /// Billionths, rounded up: the finest that Kubernetes keeps. Saturates where whole units would.
    #[must_use]
    pub fn nanos(self) -> i128 {
        const NANOS: i128 = 1_000_000_000;
        let bound = i128::from(i64::MAX) * NANOS;
        self.rounded(NANOS).map_or(if self.mantissa < 0 { -bound } else { bound }, |n| n.clamp(-bound, bound))
    }

    /// `ceil(quantity × factor)`, saturating.
    fn scaled(self, factor: i128) -> i64 {
        let saturated = if self.mantissa < 0 { i64::MIN } else { i64::MAX };
        self.rounded(factor).and_then(|n| i64::try_from(n).ok()).unwrap_or(saturated)
    }

    /// `ceil(quantity × factor)`, if that can be told.
    fn rounded(self, factor: i128) -> Option<i128> {
        let n = self.mantissa.checked_mul(self.multiplier).and_then(|n| n.checked_mul(factor))?;
        let Some(divisor) = 10_i128.checked_pow(self.decimals) else {
            return Some(i128::from(self.mantissa > 0)); // smaller than any unit
        };
        let (quotient, remainder) = (n.div_euclid(divisor), n.rem_euclid(divisor));
        Some(quotient + i128::from(remainder != 0 || (self.inexact && self.mantissa >= 0)))
    }
}

/// Reads `12`, `12.`, `.5`, `1.25`: (all digits as a number, digits after the point, whether digits were dropped).
fn digits(number: &str) -> Option<(i128, u32, bool)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_DIGITS {
        return Some((i128::MAX, 0, false)); // saturates in every unit
    }
    let kept = fraction.len().min(MAX_DIGITS - whole.len().min(MAX_DIGITS));
    let inexact = fraction[kept..].bytes().any(|b| b != b'0');
    let mantissa = whole.bytes().chain(fraction[..kept].bytes()).fold(0_i128, |m, b| m * 10 + i128::from(b - b'0'));
    Some((mantissa, u32::try_from(kept).ok()?, inexact))
}

/// Multiplier and decimals of a suffix.
fn scale(suffix: &str) -> Option<(i128, u32)> {
    let binary = |power: u32| Some((1_i128 << (10 * power), 0));
    let decimal = |power: u32| Some((10_i128.pow(power), 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, 9)),
        "u" => Some((1, 6)),
        "m" => Some((1, 3)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            match u32::try_from(exponent) {
                Ok(power) => Some((10_i128.checked_pow(power).unwrap_or(i128::MAX), 0)),
                Err(_) => Some((1, exponent.unsigned_abs())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly_and_rounded_up() {
        for (text, value, milli) in [
            ("0", 0, 0),
            ("250m", 1, 250),
            ("1", 1, 1000),
            ("1.5", 2, 1500),
            ("1.0001", 2, 1001),
            (".5", 1, 500),
            ("5.", 5, 5000),
            ("100u", 1, 1),
            ("1n", 1, 1),
            ("2k", 2000, 2_000_000),
            ("1Ki", 1024, 1_024_000),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("1e3", 1000, 1_000_000),
            ("1E3", 1000, 1_000_000),
            ("25e-3", 1, 25),
            ("1E", 1_000_000_000_000_000_000, i64::MAX),
            ("12E", i64::MAX, i64::MAX),
            ("1Ei", 1_152_921_504_606_846_976, i64::MAX),
            ("9007199254740993", 9_007_199_254_740_993, 9_007_199_254_740_993_000),
            ("9223372036854775807", i64::MAX, i64::MAX),
            ("99999999999999999999999999999999999999999", i64::MAX, i64::MAX),
            ("0.00000000000000000000000000000000000001", 1, 1),
            ("1e-400", 1, 1),
            ("1e400", i64::MAX, i64::MAX),
            ("-1", -1, -1000),
            ("-1.5", -1, -1500),
            ("+3", 3, 3000),
        ] {
            let q = Quantity::parse(text).unwrap();
            assert_eq!((q.value(), q.milli_value()), (value, milli), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "abc", "1.2.3", "-", ".", "1X", "1ki", "1mi", "m", "1 Gi", "1e", "1e1.5"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
