//! Rules files: what is read, and how mistakes are told.
//! Leaves out serving: see `client/policy_server.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aisched_apollo::Rules;
use std::path::Path;

#[test]
fn mistakes_name_the_file_the_rule_the_field_and_what_is_accepted() {
    let cases = [
        (
            "rules: [{}, {answer: {storage_requirements: {storage_class: fastt}}}]",
            "rules[1].answer.storage_requirements.storage_class",
            "unknown storage class \"fastt\"; accepted: standard, fast, ultra-fast, csd, memory",
        ),
        (
            "rules: [{answer: {workload_signature: {io_pattern: rnadom}}}]",
            "rules[0].answer.workload_signature.io_pattern",
            "unknown I/O pattern \"rnadom\"",
        ),
        ("rules: [{answer: {decision: MAYBE}}]", "rules[0].answer.decision", "accepted: allow, prefer, require, delay, reject"),
        ("rules: [{answer: {priority: high}}]", "rules[0].answer.priority", "high"),
        ("rules: [{answer: {priorty: 1}}]", "rules[0].answer.priorty", "priorty"),
        ("rules: [{match: {images: x}}]", "rules[0].match.images", "images"),
        ("rules: [{match: {labels: [a]}}]", "rules[0].match.labels", "map"),
        ("rules: [{delay_ms: -1}]", "rules[0].delay_ms", "-1"),
        ("rules: [{error: BROKEN}]", "rules[0].error", "unknown gRPC code \"BROKEN\"; accepted: CANCELLED, UNKNOWN, INVALID_ARGUMENT"),
        ("rules: [{error: INTERNAL, silence: true}]", "rules[0]", "either an error or silence"),
        ("rules: [{answer: {node_preferences: [{}, {score: 1.5}]}}]", "rules[0].answer.node_preferences[1].score", "1.5"),
    ];
    for (text, at, problem) in cases {
        let error = Rules::parse(text, Path::new("rules.yaml")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("rules.yaml: {at}: ")), "{text}: {error}");
        assert!(error.contains(problem), "{text}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn files_that_are_no_rules_are_refused() {
    for text in ["", "[]", "rule: []", "rules: {", "rules: []\nrules: []", "rules: [", "\t"] {
        let error = Rules::parse(text, Path::new("rules.yaml")).unwrap_err().to_string();
        assert!(error.starts_with("rules.yaml: "), "{text:?}: {error}");
    }
}

#[test]
fn label_values_need_no_quotes() {
    let text = "rules: [{match: {labels: {gpu: true, replicas: 1}, annotations: {share: 0.5}}}]";
    assert_eq!(Rules::parse(text, Path::new("rules.yaml")).unwrap().len(), 1);
}

#[test]
fn example_file_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy-rules.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Rules::parse(&text, &path).unwrap().len(), 10);
}
