//! How much of a shared device's capacities a request takes, and whether so much is left.
//! Leaves out counters, which devices share among each other rather than claims.

use aisched_model::Str;
use aisched_model::devices::{Amount, Capacity, Counters, Device, Range, RequestPolicy};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

/// What the request takes of the device's capacities, rounded up as the device's policy says.
///
/// # Errors
/// A capacity whose arithmetic is out of bounds.
pub(super) fn consumed(device: &Device, requested: &Counters) -> Result<BTreeMap<Str, Amount>, String> {
    let of = |(name, capacity): (&Str, &Capacity)| {
        let amount = amount(requested.get(name).copied(), capacity).map_err(|why| format!("capacity {name:?}: {why}"))?;
        if amount < Amount::default() {
            return Err(format!("capacity {name:?}: capacity value is negative"));
        }
        Ok((name.clone(), amount))
    };
    device.capacity.iter().map(of).collect()
}

/// Whether the device has what is requested, beside what others have taken (`taken`) and what is being taken for the same pod (`taking`).
///
/// # Errors
/// As [`consumed`].
pub(super) fn fits(device: &Device, requested: &Counters, taken: Option<&Counters>, taking: Option<&Counters>) -> Result<bool, String> {
    if requested.keys().any(|name| !device.capacity.contains_key(name)) {
        return Ok(false);
    }
    let consumed = consumed(device, requested)?;
    let of = |from: Option<&Counters>, name: &Str| from.and_then(|from| from.get(name)).copied().unwrap_or_default();
    Ok(device.capacity.iter().all(|(name, capacity)| {
        let own = consumed.get(name).copied().unwrap_or_default();
        let sum = own.plus(of(taken, name)).plus(of(taking, name));
        !capacity.policy.as_ref().is_some_and(|policy| violates(own, policy)) && sum <= capacity.value
    }))
}

/// What a request of this amount takes.
///
/// Example: of a capacity in steps of 4Gi from 2Gi, a request of 5Gi takes 6Gi.
fn amount(requested: Option<Amount>, capacity: &Capacity) -> Result<Amount, String> {
    let policy = capacity.policy.as_ref();
    let Some(requested) = requested else {
        return Ok(policy.and_then(|policy| policy.default).unwrap_or(capacity.value));
    };
    let Some(policy) = policy else { return Ok(requested) };
    match (&policy.range, &policy.values) {
        (Some(range @ Range { min: Some(min), .. }), _) => round_up(requested, range, *min),
        (_, Some(values)) => Ok(values.iter().find(|value| requested <= **value).copied().unwrap_or(requested)),
        (_, None) => Ok(requested),
    }
}

fn round_up(requested: Amount, range: &Range, min: Amount) -> Result<Amount, String> {
    if requested < min {
        return Ok(min);
    }
    let Some(step) = range.step else { return Ok(requested) };
    let rounded = |requested: i64, min: i64, step: i64| {
        let n = (requested - min).checked_add(step - 1)? / step;
        step.checked_mul(n)?.checked_add(min)
    };
    const BEYOND: &str = "capacity request cannot be represented in the device's range arithmetic";
    if in_milli(range) {
        let exact =
            requested.exact_milli().ok_or_else(|| format!("{BEYOND}: request {} is not a representable milli value", requested.text()))?;
        let (min, step) = (milli(min), milli(step));
        let n = rounded(exact, min, step);
        let n =
            n.ok_or_else(|| format!("{BEYOND}: rounding request {} up to the next step passes the milli-value range", requested.text()))?;
        return Ok(Amount::milli(n, range.step.is_some_and(|step| step.binary)));
    }
    let n = rounded(requested.value(), min.value(), step.value().max(1));
    let n = n.ok_or_else(|| format!("{BEYOND}: rounding request {} up to the next step passes MaxInt64", requested.text()))?;
    Ok(Amount::units(n, step.binary))
}

fn violates(amount: Amount, policy: &RequestPolicy) -> bool {
    if policy.default == Some(amount) {
        return false;
    }
    match (&policy.range, &policy.values) {
        (Some(range), _) => violates_range(amount, range),
        (None, Some(values)) => !values.is_empty() && !values.contains(&amount),
        (None, None) => false,
    }
}

fn violates_range(amount: Amount, range: &Range) -> bool {
    if range.max.is_some_and(|max| amount > max) {
        return true;
    }
    let Some(step) = range.step else { return false };
    let min = range.min.unwrap_or_default();
    if in_milli(range) {
        return amount.exact_milli().is_none_or(|exact| (exact - milli(min)) % milli(step) != 0);
    }
    (amount.value() - min.value()) % step.value().max(1) != 0
}

/// Whether the range can be told in thousandths throughout.
fn in_milli(range: &Range) -> bool {
    let exact = |amount: &Option<Amount>| amount.is_none_or(|amount| amount.exact_milli().is_some());
    exact(&range.min) && exact(&range.max) && exact(&range.step) && range.step.is_none_or(|step| milli(step) >= 1)
}

fn milli(amount: Amount) -> i64 {
    amount.exact_milli().unwrap_or(i64::MAX)
}
