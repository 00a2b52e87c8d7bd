//! The small languages that values are written in: Go's durations, qualified names; and what a misspelt word was meant to be.
//! Leaves out where they stand.

/// `; did you mean X?` when one of the words is near, else nothing.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    near(word, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// The known word that is nearest: another case, a beginning, or a few letters apart.
fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let low = word.to_lowercase();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        if low.len() >= 4 && known.starts_with(&low) { 1 } else { strsim::damerau_levenshtein(&low, &known) }
    };
    let (distance, best) = known.into_iter().map(|k| (distance(k), k)).min_by_key(|(d, _)| *d)?;
    (distance <= (word.len() / 4).max(1)).then_some(best)
}

/// Nanoseconds of a duration as Go's `time.ParseDuration` reads it: `1h30m`, `-1.5s`, `0`.
pub(super) fn go_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at(digits);
        let (unit, factor) = UNITS.iter().filter(|(unit, _)| tail.starts_with(unit)).max_by_key(|(unit, _)| unit.len())?;
        nanos = nanos.checked_add(scaled(amount, *factor)?)?;
        rest = &tail[unit.len()..];
    }
    Some(sign * nanos)
}

/// `amount` (digits with at most one point) times a factor.
fn scaled(amount: &str, factor: i64) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(factor)? };
    let mut part = 0_i64;
    let mut unit = factor;
    for digit in fraction.chars() {
        unit /= 10;
        part += i64::from(digit.to_digit(10)?) * unit;
    }
    whole.checked_add(part)
}

/// What is wrong with a qualified name (`[prefix/]name`, as resources and label keys are named); `None` when nothing is.
pub(super) fn qualified_name_fault(name: &str) -> Option<&'static str> {
    let (prefix, name) = match name.split_once('/') {
        Some((_, name)) if name.contains('/') => return Some("a name with at most one /"),
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, name),
    };
    if let Some(prefix) = prefix
        && !is_subdomain(prefix)
    {
        return Some("a DNS name before the /, such as example.com, of at most 253 characters");
    }
    (!is_name(name)).then_some("a name of 1 to 63 letters, digits, -, _ or ., which begins and ends with a letter or digit")
}

/// Whether a text can be a label's value.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && end(text.chars().next())
        && end(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(text: &str) -> bool {
    let label = |l: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(l.chars().next()) && end(l.chars().last()) && l.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("15s", Some(15_000_000_000)),
            ("10m0s", Some(600_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("1.5s250us", Some(1_500_250_000)),
            (".5s", Some(500_000_000)),
            ("-2s", Some(-2_000_000_000)),
            ("+1ns", Some(1)),
            ("3µs", Some(3000)),
            ("", None),
            ("-", None),
            ("15", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("5 s", None),
            ("9999999999h", None),
        ] {
            assert_eq!(go_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn near_words_are_guessed_and_far_ones_not() {
        let known = ["NodeResourcesFit", "NodeResourcesBalancedAllocation", "DataLocalityAware", "NodeName"];
        for (word, expected) in [
            ("NodeResourceFit", Some("NodeResourcesFit")),
            ("noderesourcesfit", Some("NodeResourcesFit")),
            ("DataLocality", Some("DataLocalityAware")),
            ("NodeNaem", Some("NodeName")),
            ("Coscheduling", None),
            ("x", None),
        ] {
            assert_eq!(near(word, known), expected, "{word}");
        }
    }

    #[test]
    fn qualified_names_are_kubernetes() {
        let long = "a".repeat(64);
        for (name, good) in [
            ("cpu", true),
            ("example.com/foo_bar.baz-1", true),
            ("A/B", false),
            ("a/B", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("-a", false),
            ("a b", false),
            (long.as_str(), false),
        ] {
            assert_eq!(qualified_name_fault(name).is_none(), good, "{name:?}");
        }
    }
}
