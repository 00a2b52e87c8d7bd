//! Decodes hand-made answers: the older dialect, every enum, terms, and what a hostile server could send.
//! Leaves out recorded answers (`golden.rs`) and transport (`client.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aisched_apollo::decode::{Decoded, NoPolicy, Oddities, decode};
use aisched_apollo::wire::{
    AffinityRule, ComputedResourceRequirements, NodePreference, PluginWeights, SchedulingConstraint, SchedulingPolicy, StorageRequirements,
    Timestamp, WorkloadSignatureInfo,
};
use aisched_model::policy::{AffinityKind, AffinityStrength, AffinityTerm, ConstraintOperator, NodeConstraint, Policy, PolicyDecision};
use prost::Message;

/// Decodes an answer to a question about `default/train-0`.
fn read(answer: SchedulingPolicy) -> Decoded {
    decode(answer, "default", "train-0").unwrap()
}

fn policy(answer: SchedulingPolicy) -> Policy {
    read(answer).policy
}

/// An answer that is a policy for its storage requirements alone.
fn answer() -> SchedulingPolicy {
    SchedulingPolicy { storage_requirements: Some(StorageRequirements::default()), ..SchedulingPolicy::default() }
}

fn with_signature(signature: WorkloadSignatureInfo) -> SchedulingPolicy {
    SchedulingPolicy { workload_signature: signature.encode_to_vec(), ..answer() }
}

fn weights(first: f32) -> Vec<u8> {
    PluginWeights { data_locality_aware: first, storage_tier_aware: 0.5, ..PluginWeights::default() }.encode_to_vec()
}

fn timestamp(seconds: i64, nanos: i32) -> Vec<u8> {
    Timestamp { seconds, nanos }.encode_to_vec()
}

#[test]
fn weights_are_found_in_either_dialect() {
    let garbage = vec![0xff; 7];
    // (field 13, field 15, first weight, undecodable parts)
    let cases = [
        (weights(0.9), vec![], Some(0.9), 0),
        (timestamp(1_750_000_000, 5), weights(0.8), Some(0.8), 0),
        (timestamp(0, 5), weights(0.8), Some(0.8), 0),
        (timestamp(1_750_000_000, 5), vec![], None, 0),
        (vec![], weights(0.7), Some(0.7), 0),
        (garbage.clone(), weights(0.6), Some(0.6), 1),
        (garbage.clone(), garbage.clone(), None, 2),
        (weights(0.9), weights(0.1), Some(0.9), 0),
        (vec![], vec![], None, 0),
    ];
    for (field_13, field_15, first, undecodable) in cases {
        let decoded = read(SchedulingPolicy {
            plugin_weights_or_created_at: field_13.clone(),
            plugin_weights_of_older_servers: field_15.clone(),
            ..answer()
        });
        let got = decoded.policy.plugin_weights.map(|w| w[0]);
        assert_eq!(got, first, "13: {field_13:?} 15: {field_15:?}");
        assert_eq!(decoded.oddities.parts_undecodable, undecodable, "13: {field_13:?}");
    }
}

#[test]
fn invalid_weights_are_kept_for_the_sharing_to_refuse() {
    for weight in [f32::NAN, f32::INFINITY, -1.0, 7.0] {
        let sent = SchedulingPolicy { plugin_weights_or_created_at: weights(weight), ..SchedulingPolicy::default() };
        let kept = policy(sent).plugin_weights.unwrap();
        assert_eq!(kept[0].to_bits(), weight.to_bits());
        assert_eq!(kept[1], 0.5);
    }
}

#[test]
fn signature_that_does_not_decode_loses_only_itself() {
    let decoded = read(SchedulingPolicy {
        workload_signature: vec![0x52, 2, 0xff, 0xfe], // field 10, a string that is not UTF-8
        plugin_weights_or_created_at: weights(0.4),
        ..SchedulingPolicy::default()
    });
    assert_eq!(decoded.policy.plugin_weights.map(|w| w[0]), Some(0.4));
    assert_eq!(decoded.policy.findings.stage, None);
    assert_eq!(decoded.oddities.parts_undecodable, 1);
}

#[test]
fn unknown_fields_are_ignored() {
    let mut bytes = SchedulingPolicy { request_id: "r-1".into(), ..answer() }.encode_to_vec();
    bytes.extend([0xfa, 0x07, 1, b'x']); // field 127
    let sent = SchedulingPolicy::decode(bytes.as_slice()).unwrap();
    assert_eq!(policy(sent).request_id.as_deref(), Some("r-1"));
}

#[test]
fn decisions_are_read_and_unknown_ones_allow() {
    let cases = [
        (0, PolicyDecision::Allow, 0),
        (1, PolicyDecision::Allow, 0),
        (2, PolicyDecision::Prefer, 0),
        (3, PolicyDecision::Require, 0),
        (4, PolicyDecision::Delay, 0),
        (5, PolicyDecision::Reject, 0),
        (6, PolicyDecision::Allow, 1),
        (-1, PolicyDecision::Allow, 1),
    ];
    for (number, decision, unknown) in cases {
        let decoded = read(SchedulingPolicy { decision: number, ..answer() });
        assert_eq!(decoded.policy.decision, decision, "{number}");
        assert_eq!(decoded.oddities.unknown_decisions, unknown, "{number}");
    }
}

#[test]
fn every_stage_number_has_its_word() {
    let words =
        ["-", "data-loading", "preprocessing", "training", "evaluation", "inference", "postprocessing", "checkpointing", "idle", "-"];
    for (number, word) in (0..).zip(words) {
        let stage =
            policy(with_signature(WorkloadSignatureInfo { current_stage: number, ..WorkloadSignatureInfo::default() })).findings.stage;
        assert_eq!(stage.map_or("-", |s| s.as_str()), word, "{number}");
    }
}

#[test]
fn every_preprocessing_number_has_its_word() {
    let words = ["-", "augmentation", "transformation", "filtering", "aggregation", "sharding", "normalization", "featureExtraction", "-"];
    for (number, word) in (0..).zip(words) {
        let kind = policy(with_signature(WorkloadSignatureInfo { preprocessing_type: number, ..WorkloadSignatureInfo::default() }))
            .findings
            .preprocessing_type;
        assert_eq!(kind.as_ref().map_or("-", |k| k.as_str()), word, "{number}");
    }
}

#[test]
fn patterns_are_findings_except_balanced() {
    // (signature's, storage's, finding, default)
    let cases = [
        (1, 0, "read-heavy", "-"),
        (2, 0, "write-heavy", "-"),
        (4, 0, "sequential", "-"),
        (5, 0, "random", "-"),
        (6, 0, "bursty", "-"),
        (0, 5, "random", "-"),
        (5, 4, "random", "-"),
        (3, 5, "random", "balanced"),
        (5, 3, "random", "balanced"),
        (3, 3, "-", "balanced"),
        (0, 3, "-", "balanced"),
        (0, 0, "-", "-"),
        (7, 99, "-", "-"),
    ];
    for (signature, storage, finding, default) in cases {
        let policy = policy(SchedulingPolicy {
            storage_requirements: Some(StorageRequirements { expected_io_pattern: storage, ..StorageRequirements::default() }),
            ..with_signature(WorkloadSignatureInfo { io_pattern: signature, ..WorkloadSignatureInfo::default() })
        });
        let found = policy.findings.io_pattern.map_or("-", |p| p.as_str());
        let filled_in = policy.defaults.io_pattern.map_or("-", |p| p.as_str());
        assert_eq!((found, filled_in), (finding, default), "{signature} {storage}");
    }
}

#[test]
fn storage_numbers_are_findings_except_the_engines_own() {
    // (class, bytes, IOPS, MB/s), findings, defaults
    let cases = [
        ((0, 0, 0, 0), "- - - -", "- - - -"),
        ((1, 1 << 30, 1000, 100), "- 1 - -", "hdd - 1000 100"),
        ((2, (1 << 30) + 1, 1001, 99), "ssd 2 1001 99", "- - - -"),
        ((3, 1, 1, 1), "nvme 1 1 1", "- - - -"),
        ((4, -5, -1, -1), "csd - - -", "- - - -"),
        ((5, i64::MAX, i64::MAX, i64::MIN), "memory 8589934592 9223372036854775807 -", "- - - -"),
        ((6, 0, 0, 0), "- - - -", "- - - -"),
    ];
    let words = |f: &aisched_model::policy::Findings| {
        let number = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
        format!(
            "{} {} {} {}",
            f.required_tier.map_or("-", |t| t.as_str()),
            number(f.required_capacity_gb),
            number(f.required_iops),
            number(f.required_throughput_mbps)
        )
    };
    for ((storage_class, size_bytes, min_iops, min_throughput_mbps), findings, defaults) in cases {
        let policy = policy(SchedulingPolicy {
            storage_requirements: Some(StorageRequirements {
                storage_class,
                size_bytes,
                min_iops,
                min_throughput_mbps,
                ..StorageRequirements::default()
            }),
            ..SchedulingPolicy::default()
        });
        assert_eq!(words(&policy.findings), findings);
        assert_eq!(words(&policy.defaults), defaults);
    }
}

#[test]
fn stage_word_counts_only_without_a_number() {
    for (number, word, stage) in [(0, " Training ", "training"), (0, "unknown", "-"), (0, "step-2", "-"), (2, "training", "preprocessing")]
    {
        let policy = policy(with_signature(WorkloadSignatureInfo {
            current_stage: number,
            pipeline_step: word.into(),
            ..WorkloadSignatureInfo::default()
        }));
        assert_eq!(policy.findings.stage.map_or("-", |s| s.as_str()), stage, "{number} {word}");
    }
}

#[test]
fn names_are_trimmed_and_bounded() {
    let long = "x".repeat(254);
    let huge = "y".repeat(1 << 20);
    let sent = ["node-a ", "", " node-b", "\t", &long, &huge, "bad\nname", "node-a"].map(String::from);
    let decoded = read(SchedulingPolicy {
        node_preferences: sent.iter().map(|name| NodePreference { node_name: name.clone(), score: -3, reason: huge.clone() }).collect(),
        reason: format!(" two\nlines {huge}"),
        request_id: huge.clone(),
        ..with_signature(WorkloadSignatureInfo {
            data_locations: sent.to_vec(),
            cached_on_nodes: sent.to_vec(),
            dataset_name: "imagenet, ,coco,imagenet".into(),
            framework: huge.clone(),
            ..WorkloadSignatureInfo::default()
        })
    });
    let policy = decoded.policy;
    let preferred: Vec<(&str, i32)> = policy.node_preferences.iter().map(|p| (&*p.node, p.score)).collect();
    assert_eq!(preferred, [("node-a", -3), ("node-b", -3), ("node-a", -3)]);
    assert_eq!(policy.data_locations, ["node-a".into(), "node-b".into()]);
    assert_eq!(policy.cached_on_nodes, ["node-a".into(), "node-b".into()]);
    assert_eq!(policy.findings.datasets, ["imagenet".into(), "coco".into()]);
    assert_eq!((policy.request_id, policy.shown.framework), (None, None));
    assert!(policy.reason.starts_with("two lines yyy"), "{}", policy.reason);
    assert_eq!(policy.reason.len(), 1024);
    assert_eq!(decoded.oddities.names_dropped, 5 + 5 + 5 + 1 + 1);
}

#[test]
fn sentence_is_cut_between_characters() {
    let policy = policy(SchedulingPolicy { reason: format!("a{}", "한".repeat(1000)), ..answer() });
    assert_eq!(policy.reason.len(), 1 + 3 * 341);
}

#[test]
fn lists_are_bounded() {
    let decoded = read(SchedulingPolicy {
        node_preferences: (0..10_007).map(|i| NodePreference { node_name: format!("node-{i}"), ..NodePreference::default() }).collect(),
        constraints: vec![constraint("node_selector", "zone", "Exists", &[]); 103],
        ..answer()
    });
    assert_eq!(decoded.policy.node_preferences.len(), 10_000);
    assert_eq!(decoded.policy.constraints.len(), 100);
    assert_eq!(decoded.oddities.names_dropped, 7);
    assert_eq!(decoded.oddities.constraints_ignored, 3);
}

#[test]
fn constraints_share_the_room_for_values() {
    let of = |n| constraint("node_selector", "zone", "NotIn", &vec!["a"; n]);
    let decoded = read(SchedulingPolicy { constraints: vec![of(9_999), of(2), of(1), of(1)], ..answer() });
    let kept: Vec<usize> = decoded.policy.constraints.iter().map(|c| c.values.len()).collect();
    assert_eq!((kept, decoded.oddities.constraints_ignored), (vec![9_999, 1], 2));
}

fn constraint(kind: &str, key: &str, operator: &str, values: &[&str]) -> SchedulingConstraint {
    SchedulingConstraint {
        constraint_type: kind.into(),
        key: key.into(),
        operator: operator.into(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    }
}

#[test]
fn constraints_are_node_filters_or_ignored() {
    use ConstraintOperator as Op;
    type Read = Option<(Op, &'static [&'static str])>;
    let cases: &[(SchedulingConstraint, Read)] = &[
        (constraint("node_selector", "k", "In", &["a", " b "]), Some((Op::In, &["a", "b"]))),
        (constraint("node_affinity", "k", "notin", &[""]), Some((Op::NotIn, &[""]))),
        (constraint("node_affinity", "k", "Exists", &[]), Some((Op::Exists, &[]))),
        (constraint("node_affinity", "k", "DoesNotExist", &[]), Some((Op::DoesNotExist, &[]))),
        (constraint("node_affinity", "k", "Gt", &["5"]), Some((Op::Gt, &["5"]))),
        (constraint("node_affinity", "k", "Lt", &["-5"]), Some((Op::Lt, &["-5"]))),
        (constraint("node_affinity", "k", "In", &[]), None),
        (constraint("node_affinity", "k", "Exists", &["a"]), None),
        (constraint("node_affinity", "k", "Gt", &["five"]), None),
        (constraint("node_affinity", "k", "Lt", &["1", "2"]), None),
        (constraint("node_affinity", "k", "Near", &["a"]), None),
        (constraint("node_affinity", "", "In", &["a"]), None),
        (constraint("rack_affinity", "k", "In", &["a"]), None),
    ];
    for (sent, expected) in cases {
        let decoded = read(SchedulingPolicy { constraints: vec![sent.clone()], ..answer() });
        let expected: Vec<NodeConstraint> = expected
            .iter()
            .map(|(operator, values)| NodeConstraint {
                key: "k".into(),
                operator: *operator,
                values: values.iter().map(|v| (*v).into()).collect(),
            })
            .collect();
        let ignored = 1 - expected.len() as u64;
        assert_eq!(decoded.policy.constraints, expected, "{sent:?}");
        assert_eq!(decoded.oddities.constraints_ignored, ignored, "{sent:?}");
    }
}

fn rule(kind: &str, topology: &str, labels: &[&str], is_required: bool, weight: i32) -> AffinityRule {
    AffinityRule {
        rule_type: kind.into(),
        topology_key: topology.into(),
        target_labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        is_required,
        weight,
    }
}

#[test]
fn affinity_rules_are_terms_or_ignored() {
    use AffinityStrength::{Preferred, Required};
    let cases = [
        (rule("node_affinity", "", &["k=v"], true, 0), Some((AffinityKind::Node, Required))),
        (rule("pod_affinity", "zone", &["k=v"], false, 1), Some((AffinityKind::Pod, Preferred(1)))),
        (rule("pod_anti_affinity", "zone", &[" k = v "], false, 100), Some((AffinityKind::PodAnti, Preferred(100)))),
        (rule("pod_affinity", "zone", &["k=v"], false, 0), None),
        (rule("pod_affinity", "zone", &["k=v"], false, 101), None),
        (rule("pod_affinity", "", &["k=v"], true, 0), None),
        (rule("pod_affinity", "zone", &[], true, 0), None),
        (rule("pod_affinity", "zone", &["k"], true, 0), None),
        (rule("pod_affinity", "zone", &["=v"], true, 0), None),
        (rule("gpu_affinity", "zone", &["k=v"], true, 0), None),
    ];
    for (sent, expected) in cases {
        let decoded = read(SchedulingPolicy { affinity_rules: vec![sent.clone()], ..answer() });
        let expected: Vec<AffinityTerm> = expected
            .into_iter()
            .map(|(kind, strength)| AffinityTerm {
                kind,
                topology_key: sent.topology_key.as_str().into(),
                labels: vec![("k".into(), "v".into())],
                strength,
            })
            .collect();
        let ignored = 1 - expected.len() as u64;
        assert_eq!(decoded.policy.affinity, expected, "{sent:?}");
        assert_eq!(decoded.oddities.affinity_rules_ignored, ignored, "{sent:?}");
    }
}

#[test]
fn rules_about_pods_are_few() {
    let rules = [rule("pod_affinity", "zone", &["k=v"], true, 0), rule("node_affinity", "", &["k=v"], true, 0)];
    let decoded = read(SchedulingPolicy { affinity_rules: rules.iter().cycle().take(40).cloned().collect(), ..answer() });
    let about_pods = decoded.policy.affinity.iter().filter(|term| term.kind == AffinityKind::Pod).count();
    assert_eq!((about_pods, decoded.policy.affinity.len(), decoded.oddities.affinity_rules_ignored), (10, 30, 10));
}

#[test]
fn answer_for_another_pod_is_refused() {
    for (namespace, name, is_ours) in [
        ("default", "train-0", true),
        ("", "", true),
        ("", "train-0", true),
        ("default", "train-1", false),
        ("kube-system", "train-0", false),
    ] {
        let sent = SchedulingPolicy { pod_namespace: namespace.into(), pod_name: name.into(), ..answer() };
        let result = decode(sent, "default", "train-0");
        match result {
            Ok(_) => assert!(is_ours, "{namespace}/{name}"),
            Err(error) => {
                assert!(!is_ours, "{namespace}/{name}");
                let expected = format!("the answer is for pod {namespace}/{name}, asked for default/train-0");
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

#[test]
fn answer_that_says_nothing_is_no_policy() {
    let saying = |change: fn(&mut SchedulingPolicy)| {
        let mut sent = SchedulingPolicy {
            decision: 1,
            reason: "because".into(),
            allow_preemption: true,
            priority: 7,
            resource_requirements: Some(ComputedResourceRequirements { cpu_cores: 4.0, ..ComputedResourceRequirements::default() }),
            ..SchedulingPolicy::default()
        };
        change(&mut sent);
        decode(sent, "default", "train-0")
    };
    let empty = NoPolicy::Empty { request_id: None, reason: "because".into() };
    assert_eq!(saying(|_| ()), Err(empty.clone()));
    assert_eq!(saying(|sent| sent.decision = 2), Err(empty.clone()));
    assert_eq!(saying(|sent| sent.node_preferences = vec![NodePreference::default()]), Err(empty));
    assert!(saying(|sent| sent.decision = 5).is_ok());
    assert!(saying(|sent| sent.constraints = vec![constraint("node_selector", "k", "Exists", &[])]).is_ok());
    assert!(saying(|sent| sent.affinity_rules = vec![rule("node_affinity", "", &["k=v"], true, 0)]).is_ok());
    assert!(saying(|sent| sent.storage_requirements = Some(StorageRequirements::default())).is_ok());
}

#[test]
fn fields_for_explanations_are_kept_and_zeroes_are_absent() {
    let shown = policy(SchedulingPolicy {
        priority: -5,
        resource_requirements: Some(ComputedResourceRequirements {
            cpu_cores: f64::NAN,
            memory_bytes: 1 << 30,
            storage_bytes: -1,
            gpu_count: 2,
            expected_iops: 500,
            expected_throughput_mbps: 0,
        }),
        ..with_signature(WorkloadSignatureInfo {
            workload_type: 1,
            confidence: 0.25,
            framework: "pytorch".into(),
            framework_version: "2.9".into(),
            estimated_batch_size: -1,
            ..WorkloadSignatureInfo::default()
        })
    })
    .shown;
    assert_eq!(shown.priority, Some(-5));
    assert_eq!((shown.cpu_cores, shown.memory_bytes), (None, Some(1 << 30)));
    assert_eq!((shown.storage_bytes, shown.gpu_count), (None, Some(2)));
    assert_eq!((shown.expected_iops, shown.expected_throughput_mbps), (Some(500), None));
    assert_eq!(shown.workload_type.as_deref(), Some("image"));
    assert_eq!(shown.framework.as_deref(), Some("pytorch 2.9"));
    assert_eq!((shown.confidence, shown.batch_size), (Some(0.25), None));
}

#[test]
fn oddities_add_up() {
    let one = Oddities { unknown_decisions: 1, names_dropped: 2, constraints_ignored: 3, affinity_rules_ignored: 4, parts_undecodable: 5 };
    let mut sum = one;
    sum.add(one);
    let two = Oddities { unknown_decisions: 2, names_dropped: 4, constraints_ignored: 6, affinity_rules_ignored: 8, parts_undecodable: 10 };
    assert_eq!(sum, two);
}
