//! Checks a specification against the schema that is made from the types: offline, and for objects that an older CRD let pass.
//! Leaves out what only an API server can know. Every fault is found, not only the first.

use super::yaml::spec_schema;
use aisched_model::endpoint;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::LazyLock;

/// A field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Path of the field, from `spec` on.
    pub path: String,
    /// What stands there.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: expected {}", self.path, self.value, self.expected)
    }
}

static SCHEMA: LazyLock<Value> = LazyLock::new(spec_schema);

/// The most that the maxima of one plugin may add up to: the top of a plugin's score.
pub(super) const MAX_SUM: i64 = 100;

/// Every fault of a specification. `strict` counts unknown fields as faults, as `kubectl apply` does;
/// in a stored object they are another version's and are passed over.
#[must_use]
pub fn faults_of_spec(spec: &Value, strict: bool) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    check(spec, &SCHEMA, "spec", strict, &mut faults);
    if faults.is_empty() {
        sums(spec, &mut faults);
        endpoint(spec, &mut faults);
    }
    faults
}

fn check(value: &Value, schema: &Value, path: &str, strict: bool, faults: &mut Vec<ConfigFault>) {
    let mut fault = |expected: String| faults.push(ConfigFault { path: path.into(), value: value.to_string(), expected });
    match (schema["type"].as_str(), value) {
        // The API takes null for "not there".
        (_, Value::Null) => {}
        (Some("object"), Value::Object(fields)) => object(fields, schema, path, strict, faults),
        (Some("object"), _) => fault("a map".into()),
        (Some("boolean"), Value::Bool(_)) | (Some("string"), Value::String(_)) => {}
        (Some("boolean"), _) => fault("true or false".into()),
        (Some("string"), _) => fault("a text".into()),
        (Some("integer"), Value::Number(n)) => {
            let whole = n.as_i64().filter(|n| schema["minimum"].as_f64().is_none_or(|min| as_float(*n) >= min));
            if whole.is_none_or(|n| schema["maximum"].as_f64().is_some_and(|max| as_float(n) > max)) {
                fault(format!("a whole number{}", bounds(schema)));
            }
        }
        (Some("integer"), _) => fault(format!("a whole number{}", bounds(schema))),
        (Some("number"), Value::Number(n)) if n.as_f64().is_some_and(|n| n >= schema["minimum"].as_f64().unwrap_or(f64::MIN)) => {}
        (Some("number"), _) => fault(format!("a number{}", bounds(schema))),
        (_, _) => {}
    }
}

#[allow(clippy::cast_precision_loss, reason = "compared with bounds of a few digits")]
fn as_float(n: i64) -> f64 {
    n as f64
}

fn bounds(schema: &Value) -> String {
    let number = |v: &Value| v.as_f64().map(|n| n.to_string());
    match (number(&schema["minimum"]), number(&schema["maximum"])) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of at least {min}"),
        (None, Some(max)) => format!(" of at most {max}"),
        (None, None) => String::new(),
    }
}

fn object(fields: &Map<String, Value>, schema: &Value, path: &str, strict: bool, faults: &mut Vec<ConfigFault>) {
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema)) => check(value, schema, &path, strict, faults),
            (None, None) if strict => {
                let known = schema["properties"].as_object().map(|p| p.keys().cloned().collect::<Vec<_>>().join(", "));
                let expected = format!("one of the fields {}", known.unwrap_or_default());
                faults.push(ConfigFault { path, value: "unknown field".into(), expected });
            }
            (None, None) => {}
        }
    }
}

/// The endpoint can be dialled as it is written.
fn endpoint(spec: &Value, faults: &mut Vec<ConfigFault>) {
    let value = &spec["apollo"]["endpoint"];
    if let Some(Err(problem)) = value.as_str().map(endpoint::read) {
        let (path, value) = ("spec.apollo.endpoint".into(), format!("{value} {problem}"));
        faults.push(ConfigFault { path, value, expected: endpoint::EXPECTED.into() });
    }
}

/// The rule over several fields: a plugin's maxima sum to at most 100. What is left out counts with its default.
fn sums(spec: &Value, faults: &mut Vec<ConfigFault>) {
    for (plugin, schema) in SCHEMA["properties"]["plugins"]["properties"].as_object().into_iter().flatten() {
        let given = &spec["plugins"][plugin]["scoring"];
        let maxima = schema["properties"]["scoring"]["properties"].as_object().into_iter().flatten();
        let sum: i64 = maxima.map(|(name, max)| given[name].as_i64().or(max["default"].as_i64()).unwrap_or(0)).sum();
        if sum > MAX_SUM {
            faults.push(ConfigFault {
                path: format!("spec.plugins.{plugin}.scoring"),
                value: sum.to_string(),
                expected: format!("maxima that sum to at most {MAX_SUM}"),
            });
        }
    }
}
