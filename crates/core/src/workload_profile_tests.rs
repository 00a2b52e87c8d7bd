//! Every row of `scoring.md` §1: vocabulary, keys and their order, precedence of sources, traits, faults.
//! Leaves out what the plugins make of a profile.

use super::*;
use crate::fixture::{hinted, pod, with};
use aisched_model::pod::PodVolume;
use aisched_model::selector::{NodeSelectorTerm, Requirement};
use aisched_model::signals::ClassFacts;
use aisched_model::volume::{Claim, StorageClass};
use alloc::sync::Arc;
use alloc::vec;

fn of(pod: &Pod) -> WorkloadProfile {
    WorkloadProfile::resolve(pod, None, &Config::default(), &Snapshot::default())
}

fn under(pod: &Pod, policy: &Policy) -> WorkloadProfile {
    WorkloadProfile::resolve(pod, Some((policy, PolicySource::Success)), &Config::default(), &Snapshot::default())
}

fn labelled(pairs: &[(&str, &str)]) -> Pod {
    with(pod("p"), |s| s.labels = pairs.iter().copied().collect())
}

fn found(findings: Findings) -> Policy {
    Policy { findings, ..Policy::default() }
}

/// The spelling itself, in capitals, and between blanks.
fn variants(spelling: &str) -> [String; 3] {
    [spelling.into(), spelling.to_ascii_uppercase(), format!(" {spelling} ")]
}

#[test]
fn every_spelling_of_a_stage_is_read() {
    for (stage, spellings) in [
        (Stage::DataLoading, &["data-loading"][..]),
        (Stage::Preprocessing, &["preprocessing", "preprocess", "my-preprocess-step", "preprocessing-v2"]),
        (Stage::Training, &["training", "train"]),
        (Stage::Evaluation, &["evaluation", "eval", "validation"]),
        (Stage::Inference, &["inference", "serving"]),
        (Stage::Postprocessing, &["postprocessing"]),
        (Stage::Checkpointing, &["checkpointing"]),
        (Stage::Idle, &["idle"]),
    ] {
        for value in spellings.iter().flat_map(|s| variants(s)) {
            let profile = of(&hinted("p", [("workload-stage", &value)]));
            assert_eq!((profile.stage, profile.faults), (Some((stage, Source::Pod)), vec![]), "{value}");
        }
    }
}

#[test]
fn every_spelling_of_a_preprocessing_type_is_read() {
    for (name, spellings) in [
        ("augmentation", &["augmentation", "augment", "aug"][..]),
        ("transformation", &["transformation", "transform", "convert"]),
        ("filtering", &["filtering", "filter", "clean"]),
        ("aggregation", &["aggregation", "aggregate", "agg"]),
        ("sharding", &["sharding", "shard", "partition"]),
        ("normalization", &["normalization", "normalize", "norm"]),
        ("featureExtraction", &["featureExtraction", "feature-extraction", "feature_extraction", "feature", "extract"]),
    ] {
        for value in spellings.iter().flat_map(|s| variants(s)) {
            for pod in [hinted("p", [("preprocessing-type", &value)]), labelled(&[("preprocessing-type", &value)])] {
                let profile = of(&pod);
                assert_eq!(
                    profile.preprocessing_type.map(|(t, s)| (String::from(t.as_str()), s)),
                    Some((name.into(), Source::Pod)),
                    "{value}"
                );
                assert_eq!(profile.faults, [], "{value}");
            }
        }
    }
}

#[test]
fn every_spelling_of_a_pattern_is_read() {
    for (pattern, spellings) in [
        (IoPattern::Sequential, &["sequential"][..]),
        (IoPattern::Random, &["random"]),
        (IoPattern::Bursty, &["bursty"]),
        (IoPattern::ReadHeavy, &["read-heavy", "readheavy"]),
        (IoPattern::WriteHeavy, &["write-heavy", "writeheavy"]),
        (IoPattern::Balanced, &["balanced"]),
    ] {
        for value in spellings.iter().flat_map(|s| variants(s)) {
            let profile = of(&hinted("p", [("io-pattern", &value)]));
            assert_eq!((profile.io_pattern, profile.faults), (Some((pattern, Source::Pod)), vec![]), "{value}");
        }
    }
}

#[test]
fn every_spelling_of_a_tier_is_read() {
    for (tier, spellings) in [
        (Tier::Nvme, ["nvme", "ultra-fast"]),
        (Tier::Ssd, ["ssd", "fast"]),
        (Tier::Hdd, ["hdd", "standard"]),
        (Tier::Csd, ["csd", "computational"]),
        (Tier::Memory, ["memory", "ram"]),
    ] {
        for value in spellings.iter().flat_map(|s| variants(s)) {
            for pod in [hinted("p", [("required-storage-tier", &value)]), labelled(&[("storage-tier", &value)])] {
                let profile = of(&pod);
                assert_eq!((profile.required_tier, profile.faults), (Some((tier, Source::Pod)), vec![]), "{value}");
            }
        }
    }
}

#[test]
fn keys_of_a_stage_are_read_in_their_order() {
    let annotations = [("workload-stage", "training"), ("pipeline-stage", "evaluation")];
    let labels = [("pipeline-step", "inference"), ("stage", "idle")];
    let expected = [Stage::Training, Stage::Evaluation, Stage::Inference, Stage::Idle];
    for (first, stage) in expected.into_iter().enumerate() {
        let mut pod = labelled(&labels[first.saturating_sub(2)..]);
        pod = with(pod, |s| s.annotations = annotations.iter().skip(first).map(|(k, v)| (format!("ai-storage.keti/{k}"), *v)).collect());
        assert_eq!(of(&pod).stage, Some((stage, Source::Pod)), "from key {first} on");
    }
}

#[test]
fn keys_match_exactly_and_labels_only_where_listed() {
    for (key, value) in [("Pipeline-Step", "training"), ("io-pattern", "random"), ("workload-stage", "training"), ("required-iops", "5")] {
        assert_eq!(of(&labelled(&[(key, value)])), of(&pod("p")), "label {key}");
    }
    let bare = with(pod("p"), |s| s.annotations = Labels::from([("workload-stage", "training"), ("ai-storage.keti/stage", "training")]));
    assert_eq!(of(&bare), of(&pod("p")), "annotations without the prefix, or known as labels only");
}

#[test]
fn annotation_hides_label() {
    let pod = with(hinted("p", [("required-storage-tier", "nvme"), ("preprocessing-type", "aug")]), |s| {
        s.labels = Labels::from([("storage-tier", "hdd"), ("preprocessing-type", "filter")]);
    });
    let profile = of(&pod);
    assert_eq!(profile.required_tier, Some((Tier::Nvme, Source::Pod)));
    assert_eq!(profile.preprocessing_type.unwrap().0.as_str(), "augmentation");
}

#[test]
fn lists_names_and_numbers_are_read() {
    let profile = of(&hinted(
        "p",
        [
            ("dataset", " imagenet, coco,,imagenet"),
            ("required-iops", "5000"),
            ("required-throughput-mbps", " 800 "),
            ("required-capacity-gb", "50"),
            ("preferred-zone", " zone-a "),
            ("preferred-rack", "rack-1"),
            ("strict-storage-tier", "TRUE"),
            ("require-csd", "true"),
        ],
    ));
    let pod = Source::Pod;
    assert_eq!(profile.datasets, Some((vec!["imagenet".into(), "coco".into()], pod)));
    assert_eq!(profile.required_iops, Some((5000, pod)));
    assert_eq!(profile.required_throughput_mbps, Some((800, pod)));
    assert_eq!(profile.required_capacity_gb, Some((50, pod)));
    assert_eq!(profile.preferred_zone, Some(("zone-a".into(), pod)));
    assert_eq!(profile.preferred_rack, Some(("rack-1".into(), pod)));
    assert_eq!((profile.strict_tier, profile.require_csd, profile.csd_by_policy), (Some(pod), Some(pod), None));
    assert_eq!(profile.faults, []);
    assert_eq!(profile.traits, None, "no stage and no type: no preprocessing workload");
}

#[test]
fn blank_zero_and_false_are_absent() {
    let blank =
        hinted("p", ["workload-stage", "io-pattern", "dataset", "required-iops", "preferred-zone", "require-csd"].map(|k| (k, " ")));
    assert_eq!(of(&blank), of(&pod("p")));
    let nothing = [("required-iops", "0"), ("strict-storage-tier", "false"), ("dataset", " , "), ("require-csd", "False")];
    assert_eq!(of(&hinted("p", nothing)), of(&pod("p")));
}

#[test]
fn zone_comes_from_preferred_node_affinity_when_no_annotation_names_one() {
    let term = |key: &str, operator, values: &[&str]| {
        let values = values.iter().map(|v| Str::from(*v)).collect();
        (1, NodeSelectorTerm { labels: vec![Requirement { key: key.into(), operator, values }], fields: vec![] })
    };
    let zone = "topology.kubernetes.io/zone";
    let affine = |base: Pod| {
        with(base, |s| {
            s.node_affinity.preferred = vec![
                term("disktype", Operator::In, &["ssd"]),
                term(zone, Operator::NotIn, &["z0"]),
                term(zone, Operator::In, &["z1", "z2"]),
                term(zone, Operator::In, &["z3"]),
            ];
        })
    };
    assert_eq!(of(&affine(pod("p"))).preferred_zone, Some(("z1".into(), Source::Pod)));
    assert_eq!(of(&affine(hinted("p", [("preferred-zone", "z9")]))).preferred_zone, Some(("z9".into(), Source::Pod)));
    let required = with(pod("p"), |s| s.node_affinity.required = Some(vec![term(zone, Operator::In, &["z1"]).1]));
    assert_eq!(of(&required).preferred_zone, None);
}

fn everything_found() -> Findings {
    Findings {
        stage: Some(Stage::Training),
        preprocessing_type: PreprocessingType::built_in("aug"),
        io_pattern: Some(IoPattern::Random),
        datasets: vec!["apollo".into()],
        required_tier: Some(Tier::Ssd),
        requires_csd: true,
        required_iops: Some(1),
        required_throughput_mbps: Some(2),
        required_capacity_gb: Some(3),
    }
}

fn everything_said() -> Pod {
    hinted(
        "p",
        [
            ("workload-stage", "idle"),
            ("preprocessing-type", "filter"),
            ("io-pattern", "bursty"),
            ("dataset", "pod"),
            ("required-storage-tier", "csd"),
            ("required-iops", "10"),
            ("required-throughput-mbps", "20"),
            ("required-capacity-gb", "30"),
        ],
    )
}

/// Sources of the eight fields that both a policy and a pod can fill, and one of their values.
fn sources(p: &WorkloadProfile) -> ([Option<Source>; 8], Option<i64>) {
    let sources = [
        p.stage.map(|f| f.1),
        p.preprocessing_type.as_ref().map(|f| f.1),
        p.io_pattern.map(|f| f.1),
        p.datasets.as_ref().map(|f| f.1),
        p.required_tier.map(|f| f.1),
        p.required_iops.map(|f| f.1),
        p.required_throughput_mbps.map(|f| f.1),
        p.required_capacity_gb.map(|f| f.1),
    ];
    (sources, p.required_iops.map(|f| f.0))
}

#[test]
fn finding_wins_over_pod_and_pod_over_default() {
    let found = found(everything_found());
    let default = Policy { defaults: everything_found(), ..Policy::default() };
    let (silent, said) = (pod("p"), everything_said());
    for (policy, policy_source, pod, source, iops) in [
        (Some(&found), PolicySource::Success, &said, Some(Source::Apollo), Some(1)),
        (Some(&found), PolicySource::Cache, &said, Some(Source::Cache), Some(1)),
        (Some(&default), PolicySource::Success, &said, Some(Source::Pod), Some(10)),
        (Some(&default), PolicySource::Success, &silent, Some(Source::Default), Some(1)),
        (Some(&default), PolicySource::Cache, &silent, Some(Source::Default), Some(1)),
        (Some(&Policy::default()), PolicySource::Success, &said, Some(Source::Pod), Some(10)),
        (None, PolicySource::Fallback, &said, Some(Source::Pod), Some(10)),
        (None, PolicySource::Fallback, &silent, None, None),
    ] {
        let profile = WorkloadProfile::resolve(pod, policy.map(|p| (p, policy_source)), &Config::default(), &Snapshot::default());
        assert_eq!(sources(&profile), ([source; 8], iops), "{policy_source:?} {source:?}");
    }
}

#[test]
fn finding_and_default_meet_field_by_field() {
    let policy = Policy {
        findings: Findings { stage: Some(Stage::Training), ..Findings::default() },
        defaults: Findings { io_pattern: Some(IoPattern::Balanced), required_iops: Some(1000), ..Findings::default() },
        ..Policy::default()
    };
    let profile = under(&hinted("p", [("io-pattern", "random"), ("workload-stage", "idle")]), &policy);
    assert_eq!(profile.stage, Some((Stage::Training, Source::Apollo)));
    assert_eq!(profile.io_pattern, Some((IoPattern::Random, Source::Pod)));
    assert_eq!(profile.required_iops, Some((1000, Source::Default)));
}

#[test]
fn only_demands_that_somebody_made_are_charged() {
    let default = Policy { defaults: everything_found(), ..Policy::default() };
    assert_eq!(under(&pod("p"), &default).io_demand(), IoDemand::default());
    assert_eq!(under(&everything_said(), &default).io_demand(), IoDemand { iops: 10, throughput_mbps: 20, capacity_gb: 30 });
    assert_eq!(under(&pod("p"), &found(everything_found())).io_demand(), IoDemand { iops: 1, throughput_mbps: 2, capacity_gb: 3 });
}

#[test]
fn useless_numbers_of_a_policy_are_absent() {
    for n in [0, -1, i64::MIN] {
        let policy = found(Findings { required_iops: Some(n), ..Findings::default() });
        assert_eq!(under(&pod("p"), &policy).required_iops, None, "{n}");
    }
}

#[test]
fn require_makes_tier_and_csd_bind() {
    let (apollo, pod_says) = (Some(Source::Apollo), Some(Source::Pod));
    for (decision, requires_csd, hint, strict_tier, require_csd) in [
        (PolicyDecision::Require, true, "false", apollo, apollo),
        (PolicyDecision::Require, false, "false", apollo, None),
        (PolicyDecision::Require, false, "true", apollo, pod_says),
        (PolicyDecision::Require, true, "true", apollo, apollo),
        (PolicyDecision::Allow, true, "false", None, None),
        (PolicyDecision::Prefer, true, "false", None, None),
        (PolicyDecision::Prefer, true, "true", pod_says, pod_says),
    ] {
        let policy = Policy { decision, ..found(Findings { requires_csd, ..Findings::default() }) };
        let profile = under(&hinted("p", [("strict-storage-tier", hint), ("require-csd", hint)]), &policy);
        assert_eq!((profile.strict_tier, profile.require_csd), (strict_tier, require_csd), "{decision:?} {requires_csd} {hint}");
        assert_eq!(profile.csd_by_policy, apollo.filter(|_| requires_csd));
    }
}

/// read, write, cpu, memory, expansion in hundredths, sequential, CSD.
type Row = (bool, bool, bool, bool, i64, bool, bool);

fn row(t: Traits) -> Row {
    (t.read_intensive, t.write_intensive, t.cpu_intensive, t.memory_intensive, t.expansion_hundredths, t.sequential, t.csd)
}

const Y: bool = true;
const N: bool = false;

#[test]
fn traits_follow_the_table() {
    let loading = |pattern| hinted("p", [("workload-stage", "data-loading"), ("io-pattern", pattern)]);
    let typed = |name| hinted("p", [("preprocessing-type", name), ("io-pattern", "balanced")]);
    let rows: [(&str, Pod, Row); 14] = [
        ("augmentation", typed("augmentation"), (Y, Y, Y, Y, 500, Y, N)),
        ("transformation", typed("transformation"), (Y, Y, Y, N, 100, Y, Y)),
        ("filtering", typed("filtering"), (Y, N, N, N, 30, Y, Y)),
        ("aggregation", typed("aggregation"), (Y, N, Y, Y, 1, Y, Y)),
        ("sharding", typed("sharding"), (Y, Y, N, N, 100, Y, N)),
        ("normalization", typed("normalization"), (Y, Y, Y, N, 100, Y, Y)),
        ("featureExtraction", typed("featureExtraction"), (Y, N, Y, Y, 10, Y, Y)),
        ("read-heavy", loading("read-heavy"), (Y, N, N, N, 50, Y, N)),
        ("write-heavy", loading("write-heavy"), (N, Y, N, N, 200, Y, N)),
        ("sequential", loading("sequential"), (Y, Y, N, N, 100, Y, N)),
        ("random", loading("random"), (Y, Y, N, Y, 100, N, N)),
        ("balanced", loading("balanced"), (Y, Y, Y, Y, 100, Y, N)),
        ("bursty", loading("bursty"), (Y, Y, N, Y, 100, N, N)),
        ("nothing known", loading(""), (Y, N, N, N, 100, Y, N)),
    ];
    for (name, pod, expected) in rows {
        assert_eq!(of(&pod).traits.map(row), Some(expected), "{name}");
    }
}

#[test]
fn preprocessing_workload_is_known_by_stage_or_type() {
    for (hint, expected) in [
        (("workload-stage", "data-loading"), true),
        (("workload-stage", "preprocessing"), true),
        (("preprocessing-type", "shard"), true),
        (("workload-stage", "training"), false),
        (("workload-stage", "evaluation"), false),
        (("workload-stage", "inference"), false),
        (("workload-stage", "postprocessing"), false),
        (("workload-stage", "checkpointing"), false),
        (("workload-stage", "idle"), false),
        (("io-pattern", "sequential"), false),
    ] {
        assert_eq!(of(&hinted("p", [hint])).is_preprocessing(), expected, "{hint:?}");
    }
    let both = hinted("p", [("workload-stage", "training"), ("preprocessing-type", "aug")]);
    assert!(of(&both).is_preprocessing(), "a known type suffices, whatever the stage");
}

#[test]
fn type_of_the_configuration_is_usable_by_name() {
    let mut config = Config::default();
    let tokenizing = Traits { cpu_intensive: true, ..Traits::inferred(None) };
    let cleaning = Traits { expansion_hundredths: 7, ..tokenizing };
    config.preprocessing_types.insert("tokenizing".into(), tokenizing);
    config.preprocessing_types.insert("clean".into(), cleaning);
    config.preprocessing_types.insert("CLEAN".into(), tokenizing);
    config.preprocessing_types.insert("sharding".into(), Traits { csd: true, ..tokenizing });
    for (value, name, traits) in [
        ("Tokenizing", "tokenizing", Some(tokenizing)),
        ("clean", "clean", Some(cleaning)), // written exactly so; the guide's spelling of filtering stands back
        ("CLEAN", "CLEAN", Some(tokenizing)),
        ("filter", "filtering", config.preprocessing_types.get("filtering").copied()),
        ("shard", "sharding", Some(Traits { csd: true, ..tokenizing })),
    ] {
        let profile = WorkloadProfile::resolve(&hinted("p", [("preprocessing-type", value)]), None, &config, &Snapshot::default());
        assert_eq!((profile.preprocessing_type.unwrap().0.as_str(), profile.traits), (name, traits), "{value}");
    }
}

#[test]
fn unusable_values_are_absent_and_named_with_what_is_accepted() {
    let odd = with(
        hinted(
            "p",
            [
                ("workload-stage", "trainning"),
                ("pipeline-stage", "training"),
                ("io-pattern", "spiky"),
                ("required-storage-tier", "tape"),
                ("strict-storage-tier", "yes"),
                ("require-csd", "1"),
                ("required-iops", "lots"),
                ("required-throughput-mbps", "-1"),
                ("required-capacity-gb", "1.5"),
            ],
        ),
        |s| s.labels = Labels::from([("stage", "prod"), ("preprocessing-type", "magic")]),
    );
    let profile = of(&odd);
    let mut named: Vec<(&str, &str)> = profile.faults.iter().map(|f| (f.key.trim_start_matches("ai-storage.keti/"), &*f.value)).collect();
    let mut expected = [
        ("workload-stage", "trainning"),
        ("stage", "prod"), // hidden by pipeline-stage, and reported all the same
        ("preprocessing-type", "magic"),
        ("io-pattern", "spiky"),
        ("required-storage-tier", "tape"),
        ("required-iops", "lots"),
        ("required-throughput-mbps", "-1"),
        ("required-capacity-gb", "1.5"),
        ("strict-storage-tier", "yes"),
        ("require-csd", "1"),
    ];
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(profile.stage, Some((Stage::Training, Source::Pod)), "the next key counts");
    let tier = profile.faults.iter().find(|f| f.key.ends_with("tier") && *f.value == *"tape").unwrap();
    assert_eq!(&*tier.expected, "one of nvme, ssd, hdd, csd, memory");
    assert_eq!(WorkloadProfile { stage: None, faults: vec![], ..profile }, of(&pod("p")));
}

#[test]
fn view_names_known_fields_with_their_sources() {
    let policy =
        Policy { decision: PolicyDecision::Require, ..found(Findings { io_pattern: Some(IoPattern::Random), ..Findings::default() }) };
    let view = under(&hinted("p", [("workload-stage", "train"), ("dataset", "a,b")]), &policy).view();
    let shown: Vec<_> = view.0.iter().map(|(name, field)| (*name, field.value.as_str(), field.source)).collect();
    assert_eq!(
        shown,
        [("stage", "training", "pod"), ("ioPattern", "random", "apollo"), ("datasets", "a,b", "pod"), ("strictTier", "true", "apollo")]
    );
}

/// A claim of class `gp3` with 3000 IOPS and 125 MB/s.
fn provisioned() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let facts = ClassFacts { iops: Some(3000), throughput_mbps: Some(125), ..ClassFacts::default() };
    let class = StorageClass { name: "gp3".into(), facts, ..StorageClass::default() };
    snapshot.classes.insert("gp3".into(), Arc::new(class));
    let claim = Claim { namespace: "default".into(), name: "data".into(), storage_class: Some("gp3".into()), ..Claim::default() };
    snapshot.set_claim(Arc::new(claim));
    snapshot
}

#[test]
fn demands_that_nobody_states_come_from_claims_then_from_training() {
    let trainer = |claims: &[&str], hints: &[(&str, &str)]| {
        with(pod("p"), |s| {
            s.volumes = claims.iter().map(|c| PodVolume::Claim { claim: (*c).into(), read_only: false }).collect();
            s.annotations = hints.iter().map(|(k, v)| (format!("ai-storage.keti/{k}"), *v)).collect();
            s.requests.set_scalar(&"nvidia.com/gpu".into(), 2);
        })
    };
    const TRAINS: (&str, &str) = ("workload-stage", "training");
    const CLASS: &str = "inferred: StorageClass gp3";
    const MLPERF: &str = "inferred: MLPerf Storage: 2 x 105 MB/s, ResNet50 on A100";
    for (claims, hints, iops, throughput) in [
        (&["data"][..], &[TRAINS][..], (3000, CLASS), (125, CLASS)),
        (&["data"], &[TRAINS, ("required-iops", "7"), ("required-throughput-mbps", "8")], (7, "pod: "), (8, "pod: ")),
        (&[], &[TRAINS], (0, ""), (210, MLPERF)),
        (&[], &[("workload-stage", "inference")], (0, ""), (0, "")),
        // That a GPU is asked for is a guess, no more.
        (&[], &[], (0, ""), (0, "")),
    ] {
        let profile = WorkloadProfile::resolve(&trainer(claims, hints), None, &Config::default(), &provisioned());
        let view = profile.view().0;
        let shown = |field: &str| {
            let found = view.iter().find(|(name, _)| *name == field);
            found.map_or(String::new(), |(_, f)| format!("{}: {}", f.source, f.from.as_deref().unwrap_or_default()))
        };
        assert_eq!((profile.io_demand().iops, &*shown("requiredIops")), iops, "{claims:?} {hints:?}");
        assert_eq!((profile.io_demand().throughput_mbps, &*shown("requiredThroughputMbps")), throughput, "{claims:?} {hints:?}");
    }
    let mut config = Config::default();
    (config.signals.storage_classes, config.signals.training_demand) = (false, false);
    let off = WorkloadProfile::resolve(&trainer(&["data"], &[TRAINS]), None, &config, &provisioned());
    assert_eq!(off.io_demand(), IoDemand::default());
}

#[test]
fn a_finding_of_the_policy_comes_before_what_a_class_says_and_that_before_its_default() {
    let pod = crate::fixture::claiming("p", ["data"]);
    let resolve = |policy: &Policy| {
        let profile = WorkloadProfile::resolve(&pod, Some((policy, PolicySource::Success)), &Config::default(), &provisioned());
        profile.required_iops
    };
    let iops = |n| Findings { required_iops: Some(n), ..Findings::default() };
    assert_eq!(resolve(&Policy { findings: iops(5), ..Policy::default() }), Some((5, Source::Apollo)));
    assert_eq!(resolve(&Policy { defaults: iops(1000), ..Policy::default() }), Some((3000, Source::Inferred)));
}
