//! Decodes every recorded answer of the field's engine (`golden/`: text and hex) and compares what it means.
//! Leaves out hand-made answers: see `decode.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aisched_apollo::decode::{NoPolicy, Oddities, decode};
use aisched_apollo::wire::SchedulingPolicy;
use aisched_model::policy::{Findings, Policy, PolicyDecision};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the engine fills in for a pod it knows nothing of.
const NOTHING_KNOWN: &str = "- | pattern=balanced tier=hdd iops=1000 mbps=100 | -";

/// File, then findings | defaults | places, as `summary` writes them.
const ANSWERS: &[(&str, &str)] = &[
    ("01-no-labels", NOTHING_KNOWN),
    ("02-preprocessing-keti-annotations", "stage=preprocessing | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    (
        "03c-same-data-through-annotations",
        "stage=preprocessing pattern=sequential datasets=imagenet mbps=500 gb=50 | tier=hdd iops=1000 | prefers=node-nvme:20,node-ssd:20 data=node-nvme,node-ssd",
    ),
    ("04a-gpu-random-training", "stage=training pattern=random tier=ssd iops=10000 | mbps=100 | -"),
    ("04b-csd", "pattern=read-heavy tier=csd csd | iops=1000 mbps=100 | -"),
    ("04c-io-bursty-unknown-value", NOTHING_KNOWN),
    ("04d-io-pattern-dash-spelling", NOTHING_KNOWN),
    (
        "04e-data-locations-spaces-and-empty",
        "- | pattern=balanced tier=hdd iops=1000 mbps=100 | prefers=node-a:20,node-b:20 data=node-a,node-b",
    ),
    ("04i-data-size-negative", NOTHING_KNOWN),
    ("04j-data-size-not-a-number", NOTHING_KNOWN),
    ("04k-substring-constraint-is-training", "stage=training | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    ("04l-substring-latest-is-evaluation", "stage=evaluation | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    ("04m-last-applied-annotation", "stage=training | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    ("04n-argo-template-and-step", "stage=preprocessing | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    ("04o-kubeflow-kueue", NOTHING_KNOWN),
    ("04p-workload-type-annotation-image", NOTHING_KNOWN),
    ("04q-upper-case-True-gpu", NOTHING_KNOWN),
    ("04r-data-loading-stage-label", NOTHING_KNOWN),
    ("04s-priority-annotation-ignored", NOTHING_KNOWN),
    ("04t-empty-request", NOTHING_KNOWN),
    ("12-repo-test-csd", "stage=preprocessing pattern=random tier=csd csd iops=10000 gb=200 | mbps=100 | -"),
    ("12-repo-test-preprocessing", "stage=preprocessing pattern=read-heavy datasets=imagenet gb=50 | tier=hdd iops=1000 mbps=100 | -"),
    ("12-repo-test-training", "stage=training datasets=training-data gb=100 | pattern=balanced tier=hdd iops=1000 mbps=100 | -"),
    ("12-repo-test-workload", "stage=preprocessing pattern=read-heavy datasets=test-dataset gb=10 | tier=hdd iops=1000 mbps=100 | -"),
];

/// Files whose answer is the engine's way to say that it failed inside.
const FAILURES: &[&str] = &[
    "04f-data-size-nan",
    "04g-data-size-inf",
    "04h-data-size-huge",
    "13-fallback-id",
    "old-20260616-01-no-labels",
    "old-20260616-02-preprocessing-keti-annotations",
];

#[test]
fn every_recorded_answer_means_what_its_text_says() {
    for (file, expected) in ANSWERS {
        let golden = Golden::read(file);
        let decoded = golden.decode().unwrap();
        let policy = &decoded.policy;
        assert_eq!(summary(policy), *expected, "{file}");
        assert_eq!(policy.request_id.as_deref(), golden.value("request_id"), "{file}");
        assert_eq!(Some(&*policy.reason), golden.value("reason"), "{file}");
        assert_eq!(policy.decision, PolicyDecision::Allow, "{file}");
        assert_eq!(policy.plugin_weights, Some([0.2; 5]), "{file}");
        assert_eq!(policy.shown.confidence.map(|c| c.to_string()).as_deref(), golden.value("confidence"), "{file}");
        assert_eq!(policy.shown.pipeline_step.as_deref(), golden.value("pipeline_step").filter(|step| *step != "unknown"), "{file}");
        assert!(policy.shown.allow_preemption, "{file}");
        assert!(policy.constraints.is_empty() && policy.affinity.is_empty(), "{file}");
    }
}

#[test]
fn only_blank_names_of_recorded_answers_are_set_aside() {
    for (file, _) in ANSWERS {
        let blanks = match *file {
            "04e-data-locations-spaces-and-empty" => 4,
            _ => 0,
        };
        let expected = Oddities { names_dropped: blanks, ..Oddities::default() };
        assert_eq!(Golden::read(file).decode().unwrap().oddities, expected, "{file}");
    }
}

#[test]
fn recorded_failures_are_no_policy_but_keep_their_id_and_reason() {
    for file in FAILURES {
        let golden = Golden::read(file);
        let Err(NoPolicy::Empty { request_id, reason }) = golden.decode() else {
            panic!("{file}: taken for a policy");
        };
        assert_eq!(request_id.as_deref(), golden.value("request_id"), "{file}");
        assert_eq!(Some(&*reason), golden.value("reason"), "{file}");
    }
}

#[test]
fn every_recorded_file_has_a_row() {
    let mut rows: Vec<String> =
        ANSWERS.iter().map(|(file, _)| *file).chain(FAILURES.iter().copied()).map(|file| format!("{file}.txt")).collect();
    rows.sort();
    let mut files: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(rows, files);
}

/// One recording.
struct Golden {
    wire: SchedulingPolicy,
    /// Scalar fields of the answer's text, by name; of repeated names the last.
    text: BTreeMap<String, String>,
}

impl Golden {
    fn read(file: &str) -> Self {
        let content = std::fs::read_to_string(folder().join(file).with_extension("txt")).unwrap();
        let answer = content.split_once("== answer apollo.SchedulingPolicy\n").map_or(content.as_str(), |(_, answer)| answer);
        let text: BTreeMap<String, String> = answer
            .lines()
            .take_while(|line| !line.starts_with("==") && !line.starts_with("report of"))
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.trim().to_owned(), unquote(value)))
            .collect();
        // One recording has no hex: its four fields are the message.
        let wire = match content.lines().find(|line| line.starts_with("== wire")) {
            Some(line) => SchedulingPolicy::decode(&*from_hex(line.rsplit(' ').next().unwrap())),
            None => Ok(SchedulingPolicy {
                request_id: text["request_id"].clone(),
                pod_name: text["pod_name"].clone(),
                pod_namespace: text["pod_namespace"].clone(),
                decision: 1,
                reason: text["reason"].clone(),
                ..SchedulingPolicy::default()
            }),
        };
        Self { wire: wire.unwrap(), text }
    }

    fn value(&self, field: &str) -> Option<&str> {
        self.text.get(field).map(String::as_str)
    }

    fn decode(&self) -> Result<aisched_apollo::decode::Decoded, NoPolicy> {
        let namespace = self.value("pod_namespace").unwrap_or("default");
        let name = self.value("pod_name").unwrap_or("any");
        decode(self.wire.clone(), namespace, name)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.unwrap_or(value).replace("\\\"", "\"")
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn summary(policy: &Policy) -> String {
    let mut places = Vec::new();
    let prefers: Vec<String> =
        policy.node_preferences.iter().map(|preference| format!("{}:{}", preference.node, preference.score)).collect();
    for (word, names) in
        [("prefers", prefers.join(",")), ("data", policy.data_locations.join(",")), ("cached", policy.cached_on_nodes.join(","))]
    {
        if !names.is_empty() {
            places.push(format!("{word}={names}"));
        }
    }
    let places = if places.is_empty() { "-".to_owned() } else { places.join(" ") };
    format!("{} | {} | {places}", words(&policy.findings), words(&policy.defaults))
}

fn words(findings: &Findings) -> String {
    let words = [
        findings.stage.map(|s| format!("stage={}", s.as_str())),
        findings.preprocessing_type.as_ref().map(|t| format!("type={}", t.as_str())),
        findings.io_pattern.map(|p| format!("pattern={}", p.as_str())),
        (!findings.datasets.is_empty()).then(|| format!("datasets={}", findings.datasets.join(","))),
        findings.required_tier.map(|t| format!("tier={}", t.as_str())),
        findings.requires_csd.then(|| "csd".to_owned()),
        findings.required_iops.map(|n| format!("iops={n}")),
        findings.required_throughput_mbps.map(|n| format!("mbps={n}")),
        findings.required_capacity_gb.map(|n| format!("gb={n}")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}
