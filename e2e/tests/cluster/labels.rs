//! Every label and annotation of the guide's section 5 changes a placement, by as much as the scoring contract says.
//! Two nodes that differ in it alone, and a pod to which it matters; the other rows of the tables are the core's tests.

use crate::guide::commands;
use aisched_e2e::{Test, merged};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One command of the guide.
struct Row {
    /// What it sets, as in `kubectl label nodes <node-name> …`.
    sets: &'static str,
    /// What both nodes have before.
    both: fn() -> Value,
    /// What the node has to which the command is not applied.
    other: fn() -> Value,
    /// What makes it matter to the pod.
    hints: &'static [(&'static str, &'static str)],
    /// How many points of the three plugins (of weight 3 each) the node is better by.
    gain: i64,
}

fn nothing() -> Value {
    json!({})
}

fn cached() -> Value {
    json!({"metadata": {"annotations": {"ai-storage.keti/cached-datasets": "imagenet"}}})
}

fn layer_storage() -> Value {
    json!({"metadata": {"labels": {"layer": "storage"}}})
}

const FILTERING: &[(&str, &str)] = &[("preprocessing-type", "filtering")];

const ROWS: &[Row] = &[
    // I/O pattern: 40 of NVMe, 30 of SSD, 25 of HDD for sequential, against 20 of a node without a known tier.
    Row { sets: "storage-tier/nvme=true", both: nothing, other: nothing, hints: &[("io-pattern", "random")], gain: 20 },
    Row { sets: "storage-tier/ssd=true", both: nothing, other: nothing, hints: &[("io-pattern", "random")], gain: 10 },
    Row { sets: "storage-tier/hdd=true", both: nothing, other: nothing, hints: &[("io-pattern", "sequential")], gain: 5 },
    // Random reads on a spinning disk: 10 against 20.
    Row { sets: "storage-tier/hdd=true", both: nothing, other: nothing, hints: &[("io-pattern", "random")], gain: -10 },
    // Stage 30 against 15; filtering can be offloaded: 20 against 5.
    Row {
        sets: "storage-tier/csd=true",
        both: nothing,
        other: nothing,
        hints: &[("workload-stage", "preprocessing"), ("preprocessing-type", "filtering")],
        gain: 15 + 15,
    },
    // Work that could be offloaded: 12 beside the storage, 5 elsewhere.
    Row { sets: "layer=compute", both: nothing, other: layer_storage, hints: FILTERING, gain: -7 },
    Row { sets: "layer=storage", both: nothing, other: nothing, hints: FILTERING, gain: 7 },
    Row { sets: "layer=orchestration", both: nothing, other: layer_storage, hints: FILTERING, gain: -7 },
    // Twice what is asked for: 10; not known: 2.
    Row { sets: "ai-storage.keti/available-iops=100000", both: nothing, other: nothing, hints: &[("required-iops", "50000")], gain: 8 },
    Row {
        sets: "ai-storage.keti/available-throughput-mbps=2000",
        both: nothing,
        other: nothing,
        hints: &[("required-throughput-mbps", "1000")],
        gain: 8,
    },
    // Twice what is asked for: 10; not known: 5.
    Row {
        sets: "ai-storage.keti/available-capacity-gb=500",
        both: nothing,
        other: nothing,
        hints: &[("required-capacity-gb", "250")],
        gain: 5,
    },
    // Cached: 15; not: 0.
    Row {
        sets: "ai-storage.keti/cached-datasets=imagenet,coco",
        both: nothing,
        other: nothing,
        hints: &[("dataset", "imagenet")],
        gain: 15,
    },
    // Cached and hot: 15 + 5.
    Row { sets: "ai-storage.keti/data-temperature=hot", both: cached, other: nothing, hints: &[("dataset", "imagenet")], gain: 5 },
];

/// The guide's commands of section 5, by what they set.
fn guides_commands() -> Vec<(String, String)> {
    let all = ["5.1", "5.2", "5.3"].map(commands).join("\n");
    let lines = all.lines().filter(|l| l.starts_with("kubectl "));
    lines.map(|l| (l.rsplit(' ').next().unwrap_or_default().to_owned(), l.to_owned())).collect()
}

#[test]
fn every_label_and_annotation_of_section_5_changes_a_placement() {
    let test = Test::new("labels");
    let commands = guides_commands();
    let tested: BTreeSet<&str> = ROWS.iter().map(|r| r.sets).collect();
    assert_eq!(commands.iter().map(|(sets, _)| sets.as_str()).collect::<BTreeSet<_>>(), tested, "the guide's section 5 and the rows");

    let mut script = String::from("set -e\n");
    for (i, row) in ROWS.iter().enumerate() {
        let pair = json!({"metadata": {"labels": {"pair": format!("row-{i}")}}});
        test.add_node(&format!("{i}-with"), merged(pair.clone(), (row.both)()));
        test.add_node(&format!("{i}-without"), merged(merged(pair, (row.both)()), (row.other)()));
        let (_, command) = commands.iter().find(|(sets, _)| sets == row.sets).unwrap();
        script += &command.replace("<node-name>", &test.node_name(&format!("{i}-with")));
        script.push('\n');
    }
    test.cluster.shell(&script);

    let mut scheduler = test.scheduler();
    for (i, row) in ROWS.iter().enumerate() {
        let annotations: Value = row.hints.iter().map(|(k, v)| (format!("ai-storage.keti/{k}"), Value::from(*v))).collect();
        let over = json!({"metadata": {"annotations": annotations}, "spec": {"nodeSelector": {"pair": format!("row-{i}")}}});
        test.add_pod(&format!("pod-{i}"), over);
    }
    for (i, row) in ROWS.iter().enumerate() {
        let (with, without) = (format!("{i}-with"), format!("{i}-without"));
        let pod = format!("pod-{i}");
        assert_eq!(test.placed(&pod), if row.gain > 0 { with.as_str() } else { &without }, "{} for {:?}", row.sets, row.hints);
        let map = scheduler.score_map(&format!("labels/{pod}"));
        let gain = map[&test.node_name(&with)] - map[&test.node_name(&without)];
        assert_eq!(gain, 3 * row.gain * 1000, "{} for {:?}: {map:?}", row.sets, row.hints);
    }
}
