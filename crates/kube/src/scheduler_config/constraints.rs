//! Node affinity and spread constraints inside plugins' arguments, checked as the API server checks those of pods.
//! Leaves out those of pods (`convert`): there a fault drops a term, here it refuses the file.

use super::reader::{Place, Reader};
use super::words::{is_label_value, qualified_name_fault};
use aisched_model::Str;
use aisched_model::pod::{NodeAffinity, SpreadConstraint};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

const OPERATORS: [(&str, Operator); 6] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
    ("Gt", Operator::Gt),
    ("Lt", Operator::Lt),
];

/// `addedAffinity`.
pub(super) fn node_affinity(reader: &mut Reader<'_>, at: &Place<'_>) -> NodeAffinity {
    reader.map(at, &[REQUIRED, PREFERRED]);
    let required = at.field(REQUIRED).map(|place| {
        reader.map(&place, &["nodeSelectorTerms"]);
        let terms = reader.list(&place, "nodeSelectorTerms");
        terms.iter().map(|term| node_term(reader, term)).filter(|term| !term.is_empty()).collect()
    });
    let mut preferred = Vec::new();
    for place in reader.list(at, PREFERRED) {
        reader.map(&place, &["weight", "preference"]);
        let weight = reader.int32(&place, "weight", 0..=100).unwrap_or(0);
        let term = place.field("preference").map(|term| node_term(reader, &term)).unwrap_or_default();
        if weight != 0 && !term.is_empty() {
            preferred.push((weight, term));
        }
    }
    NodeAffinity { required, preferred }
}

fn node_term(reader: &mut Reader<'_>, at: &Place<'_>) -> NodeSelectorTerm {
    reader.map(at, &["matchExpressions", "matchFields"]);
    let expressions = reader.list(at, "matchExpressions");
    let fields = reader.list(at, "matchFields");
    NodeSelectorTerm {
        labels: expressions.iter().filter_map(|place| label_requirement(reader, place)).collect(),
        fields: fields.iter().filter_map(|place| field_requirement(reader, place)).collect(),
    }
}

fn label_requirement(reader: &mut Reader<'_>, at: &Place<'_>) -> Option<Requirement> {
    let (key, values) = key_and_values(reader, at);
    let operator = operator(reader, at, &OPERATORS)?;
    if let (Some(expected), Some(place)) = (qualified_name_fault(&key), at.field("key")) {
        reader.fault(&place, expected);
    }
    let place = at.field("values").unwrap_or_else(|| at.clone());
    match (operator, values.as_slice()) {
        (Operator::In | Operator::NotIn, []) => reader.fault(&place, "at least one value for In and NotIn"),
        (Operator::Exists | Operator::DoesNotExist, [_, ..]) => reader.fault(&place, "no values for Exists and DoesNotExist"),
        (Operator::Gt | Operator::Lt, [number]) if number.parse::<i64>().is_ok() => {}
        (Operator::Gt | Operator::Lt, _) => reader.fault(&place, "one whole number for Gt and Lt"),
        (_, values) if values.iter().all(|v| is_label_value(v)) => {}
        (_, _) => reader.fault(&place, "values that labels can have: up to 63 letters, digits, -, _ or ."),
    }
    Some(Requirement { key, operator, values })
}

fn field_requirement(reader: &mut Reader<'_>, at: &Place<'_>) -> Option<Requirement> {
    let (key, values) = key_and_values(reader, at);
    let operator = operator(reader, at, &OPERATORS[..2])?;
    if let Some(place) = at.field("key").filter(|_| *key != *"metadata.name") {
        reader.fault(&place, "metadata.name, the only field of nodes to select by");
    }
    if values.len() != 1 {
        reader.fault(&at.field("values").unwrap_or_else(|| at.clone()), "one value");
    }
    Some(Requirement { key, operator, values })
}

fn key_and_values(reader: &mut Reader<'_>, at: &Place<'_>) -> (Str, Vec<Str>) {
    reader.map(at, &["key", "operator", "values"]);
    let key = reader.text(at, "key").unwrap_or_default().into();
    if at.field("key").is_none() {
        reader.missing(at, "key", "the key of a label");
    }
    (key, reader.texts(at, "values").into_iter().map(|(_, value)| value.into()).collect())
}

fn operator(reader: &mut Reader<'_>, at: &Place<'_>, known: &[(&str, Operator)]) -> Option<Operator> {
    if at.field("operator").is_none() {
        reader.missing(at, "operator", format!("one of {}", known.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")));
    }
    reader.word(at, "operator", known)
}

/// `defaultConstraints`: constraints without a selector, which each pod brings.
pub(super) fn default_spread(reader: &mut Reader<'_>, at: &Place<'_>) -> Vec<SpreadConstraint> {
    let mut constraints: Vec<SpreadConstraint> = Vec::new();
    for place in reader.list(at, "defaultConstraints") {
        let constraint = spread_constraint(reader, &place);
        if constraints.iter().any(|c| (&c.topology_key, c.hard) == (&constraint.topology_key, constraint.hard)) {
            reader.fault_at(place.tree.line, &place.path, &constraint.topology_key, "every topologyKey once for each whenUnsatisfiable");
        }
        constraints.push(constraint);
    }
    constraints
}

fn spread_constraint(reader: &mut Reader<'_>, at: &Place<'_>) -> SpreadConstraint {
    const POLICIES: [(&str, bool); 2] = [("Honor", true), ("Ignore", false)];
    const UNSATISFIABLE: [(&str, bool); 2] = [("DoNotSchedule", true), ("ScheduleAnyway", false)];
    reader.map(
        at,
        &[
            "maxSkew",
            "topologyKey",
            "whenUnsatisfiable",
            "labelSelector",
            "minDomains",
            "nodeAffinityPolicy",
            "nodeTaintsPolicy",
            "matchLabelKeys",
        ],
    );
    for (field, expected) in [
        ("maxSkew", "a whole number of at least 1"),
        ("topologyKey", "the key of a label, such as topology.kubernetes.io/zone"),
        ("whenUnsatisfiable", "one of DoNotSchedule, ScheduleAnyway"),
    ] {
        if at.field(field).is_none() {
            reader.missing(at, field, expected);
        }
    }
    let topology_key = reader.text(at, "topologyKey").unwrap_or_default();
    if let (Some(expected), Some(place)) = (qualified_name_fault(topology_key), at.field("topologyKey")) {
        reader.fault(&place, expected);
    }
    if let Some(place) = at.field("labelSelector") {
        reader.fault(&place, "no selector: each pod's services and owner say which pods count");
    }
    SpreadConstraint {
        max_skew: reader.int32(at, "maxSkew", 1..=i32::MAX).unwrap_or(1),
        topology_key: topology_key.into(),
        hard: reader.word(at, "whenUnsatisfiable", &UNSATISFIABLE).unwrap_or(true),
        selector: None,
        min_domains: reader.int32(at, "minDomains", 1..=i32::MAX),
        honor_affinity: reader.word(at, "nodeAffinityPolicy", &POLICIES).unwrap_or(true),
        honor_taints: reader.word(at, "nodeTaintsPolicy", &POLICIES).unwrap_or(false),
        match_label_keys: reader.texts(at, "matchLabelKeys").into_iter().map(|(_, key)| key.into()).collect(),
    }
}
