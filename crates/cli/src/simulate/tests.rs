//! The examples as golden files, the shape of the JSON, and what bad input says.
//! Set AISCHED_BLESS=1 to write the golden files anew, and read the difference before committing it.

use super::{Console, Loader, SimulateArgs, load, simulate};
use crate::tables::Style;
use aisched_sim::checker::Checker;
use aisched_sim::{Options, Simulation};
use clap::Parser;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

/// What a command line gives: standard output, what is noted beside it, whether it succeeded.
pub(crate) fn run(words: &[&str]) -> (String, String, bool) {
    let cli = Cli::try_parse_from(["simulate"].iter().chain(words)).unwrap_or_else(|e| panic!("{e}"));
    let (mut text, mut notes) = (String::new(), String::new());
    let mut out = |part: &str| {
        text.push_str(part);
        Ok(true)
    };
    let mut note = |line: &str| notes.push_str(&format!("{line}\n"));
    let code = simulate(&cli.args, Style::default(), Console { out: &mut out, note: &mut note, tick: &mut |_| () }).unwrap();
    (text, notes, code == ExitCode::SUCCESS)
}

/// Runs on files made of these texts, whose names begin with `0.yaml`.
pub(super) fn run_on(texts: &[&str], words: &[&str]) -> (String, String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let paths = texts.iter().enumerate().map(|(i, text)| {
        let path = dir.path().join(format!("{i}.yaml"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    let paths: Vec<String> = paths.collect();
    let (text, notes, done) = run(&words.iter().copied().chain(paths.iter().map(String::as_str)).collect::<Vec<_>>());
    (text, notes.replace(&format!("{}/", dir.path().display()), ""), done)
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulate")
}

/// Compares with the golden file beside the example.
fn is_golden(name: &str) {
    let file = examples().join(format!("{name}.yaml"));
    is_golden_of(name, &[&file.display().to_string(), "--explain"]);
}

/// Compares what a command line gives with the golden file of this name.
pub(super) fn is_golden_of(name: &str, words: &[&str]) {
    let (text, notes, done) = run(words);
    assert!(done, "{notes}");
    let golden = examples().join(format!("{name}.expected.txt"));
    let found = format!("{text}{notes}");
    if std::env::var_os("AISCHED_BLESS").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    for (i, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{}:{} differs; see the top of this file", golden.display(), i + 1);
    }
    assert_eq!(found.len(), expected.len(), "{} is longer or shorter", golden.display());
}

#[test]
fn preprocessing_pod_of_the_guide_goes_where_the_example_says() {
    is_golden("preprocessing-on-four-tiers");
}

#[test]
fn gpu_pods_go_where_the_example_says() {
    is_golden("gpus-and-affinity");
    is_golden("gangs");
}

#[test]
fn every_decision_of_the_examples_passes_the_checker() {
    let mut n_decisions = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let scenario = load(std::slice::from_ref(&path), &mut |_| ()).unwrap();
            let mut checker = Checker::new(&scenario);
            let mut simulation = Simulation::new(scenario, &Options::default());
            while let Some(decision) = simulation.next_decision() {
                assert_eq!(checker.check(&decision), Ok(()), "{}", path.display());
                checker.see(simulation.pods());
                n_decisions += 1;
            }
        }
    }
    assert!(n_decisions >= 6, "{n_decisions}");
}

/// The decisions of the example with GPUs, one object a line.
fn json_lines() -> Vec<Value> {
    let file = examples().join("gpus-and-affinity.yaml").display().to_string();
    run(&[&file, "--output", "json"]).0.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no {key} in {value}");
    }
}

#[test]
fn json_has_the_published_fields_for_every_node() {
    let decisions = json_lines();
    let names: Vec<&str> = decisions.iter().map(|d| d["pod"].as_str().unwrap()).collect();
    let expected = ["metrics", "trainer", "reader-1", "reader-2", "giant", "metrics"].map(|name| format!("default/{name}"));
    assert_eq!(names, expected);
    for decision in &decisions {
        has_keys(decision, &["pod", "node", "message", "policy", "profile", "nodes"]);
        has_keys(&decision["policy"], &["source", "requestId"]);
        assert_eq!(decision["node"].is_null(), decision["message"].is_string(), "{decision}");
        assert_eq!(decision["nodes"].as_array().unwrap().len(), 5);
        for node in decision["nodes"].as_array().unwrap() {
            has_keys(node, &["node", "feasible", "reasons", "total", "plugins"]);
            assert_eq!(node["feasible"] == Value::Bool(true), node["total"].is_number(), "{node}");
            node["reasons"].as_array().unwrap().iter().for_each(|reason| has_keys(reason, &["plugin", "message"]));
            node["plugins"].as_array().unwrap().iter().for_each(|p| has_keys(p, &["name", "weight", "score", "skipped", "components"]));
        }
    }
    assert_eq!(decisions[1]["profile"]["stage"], serde_json::json!({"value": "training", "source": "pod"}));
    assert_eq!(decisions[1]["profile"]["ioPattern"], serde_json::json!({"value": "random", "source": "pod"}));
    let message = decisions[4]["message"].as_str().unwrap();
    assert!(
        message.starts_with("0/5 nodes are available: 1 node(s) were unschedulable, 4 Insufficient nvidia.com/gpu. preemption: "),
        "{message}"
    );
}

#[test]
fn components_bear_their_published_names_and_totals_are_their_sum() {
    let decisions = json_lines();
    let best = &decisions[1]["nodes"][0];
    let plugins = best["plugins"].as_array().unwrap();
    for (name, components) in [
        ("DataLocalityAware", vec!["apollo", "pvcLocality", "cache", "topology"]),
        ("StorageTierAware", vec!["ioPattern", "pipelineStage", "performance", "capacity"]),
    ] {
        let plugin = plugins.iter().find(|p| p["name"] == name).unwrap();
        let found = plugin["components"].as_object().unwrap();
        assert_eq!(found.len(), components.len(), "{plugin}");
        components.iter().for_each(|component| assert!(found[*component].is_i64(), "{component} in {plugin}"));
        assert_eq!(found.values().map(|v| v.as_i64().unwrap()).sum::<i64>(), plugin["score"].as_i64().unwrap());
    }
    let sum: f64 = plugins.iter().map(|p| p["weight"].as_f64().unwrap() * p["score"].as_f64().unwrap()).sum();
    assert!((sum - best["total"].as_f64().unwrap()).abs() < 0.001, "{sum} is not {}", best["total"]);
}

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {capacity: {cpu: 1, memory: 1Gi, pods: 9}}}";

fn pod(name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{schedulerName: ai-storage-scheduler, {more} containers: [{{name: c}}]}}}}"
    )
}

#[test]
fn yaml_output_is_a_document_a_decision() {
    let (text, _, done) = run_on(&[NODE, &pod("p", ""), &pod("q", "")], &["-o", "yaml"]);
    assert!(done);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(documents.iter().map(|d| d["pod"].as_str().unwrap()).collect::<Vec<_>>(), ["default/p", "default/q"]);
}

#[test]
fn every_fault_of_every_file_is_named() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus:\n  capacity: {cpu: lots, pods: 1}\n";
    let config = "apiVersion: ai-storage.keti/v1\nkind: AIStorageConfig\nmetadata: {name: default}\nspec:\n  ioAccounting: perhaps\n";
    let (text, notes, done) = run_on(&[node, config, "a: ["], &["/none"]);
    assert_eq!((text.as_str(), done), ("", false));
    for expected in [
        "cannot read /none: No such file",
        "0.yaml:5: Node n: ",
        "\"lots\": expected",
        "1.yaml:5: ",
        "ioAccounting",
        "2.yaml:1: expected YAML",
    ] {
        assert!(notes.contains(expected), "{expected:?} is not in:\n{notes}");
    }
}

#[test]
fn configuration_among_the_files_is_in_force_and_there_is_one_at_most() {
    let config = |weight: u8| {
        format!(
            "apiVersion: ai-storage.keti/v1\nkind: AIStorageConfig\nmetadata: {{name: default}}\nspec: {{plugins: {{storageTierAware: {{weight: {weight}}}}}}}\n"
        )
    };
    let training = "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {stage: training}}, spec: {schedulerName: ai-storage-scheduler, containers: [{name: c}]}}";
    let (text, _, _) = run_on(&[NODE, training, &config(7)], &["-o", "json"]);
    let decision: Value = serde_json::from_str(&text).unwrap();
    let plugins = decision["nodes"][0]["plugins"].as_array().unwrap();
    assert_eq!(plugins.iter().find(|p| p["name"] == "StorageTierAware").unwrap()["weight"], 7);
    let (_, notes, done) = run_on(&[&config(1), &config(2)], &[]);
    assert_eq!((notes.as_str(), done), ("1.yaml: a second AIStorageConfig, the first being in 0.yaml: expected one at most\n", false));
}

#[test]
fn waiting_gated_and_foreign_pods_are_all_told_of() {
    let (text, notes, done) = run_on(
        &[
            NODE,
            &pod("fits", ""),
            &pod("picky", "nodeSelector: {a: b},"),
            &pod("held", "schedulingGates: [{name: later}],"),
            "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: c}]}}",
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}",
        ],
        &[],
    );
    assert!(done, "pods that wait are no failure");
    assert!(text.contains("default/fits    n      -"), "{text}");
    assert!(text.contains("default/picky   -      -          -   waits: 0/1 nodes are available: 1 node(s) didn't match"), "{text}");
    assert!(text.contains("default/held    -      -          -   waits: ") && text.contains("later"), "{text}");
    assert!(text.ends_with("\n1 of 3 pods placed, 2 waiting.\n"), "{text}");
    assert!(notes.contains("note: pod default/web is not placed: it is left to scheduler \"default-scheduler\"\n"), "{notes}");
    assert!(notes.contains("1 Deployment"), "{notes}");
    assert!(run_on(&[NODE, &pod("p", "")], &["--scheduler-name", "other"]).1.contains("left to scheduler \"ai-storage-scheduler\""));
    assert!(
        run_on(&[NODE, "{kind: Pod, metadata: {name: web}, spec: {containers: [{name: c}]}}"], &["--all-pods"])
            .0
            .contains("1 of 1 pod placed")
    );
}

#[test]
fn files_without_pods_or_nodes_are_answered_plainly() {
    assert_eq!(run_on(&[NODE], &[]), ("There is no pod to place.\n".into(), String::new(), true));
    assert!(run_on(&[&pod("p", "")], &[]).0.contains("waits: no nodes available to schedule pods"));
}

#[test]
fn writing_stops_when_nobody_reads() {
    let file = examples().join("gpus-and-affinity.yaml").display().to_string();
    let cli = Cli::try_parse_from(["simulate", &file, "-o", "json"]).unwrap();
    let mut n_lines = 0;
    let mut out = |_: &str| {
        n_lines += 1;
        Ok(false)
    };
    simulate(&cli.args, Style::default(), Console { out: &mut out, note: &mut |_| (), tick: &mut |_| () }).unwrap();
    assert_eq!(n_lines, 1);
}

#[test]
fn ignored_kinds_are_counted() {
    let mut loader = Loader::default();
    for name in ["a", "b"] {
        loader.object(aisched_kube::documents::Object::Ignored("Secret".into(), name.into()), "f");
    }
    assert_eq!(loader.ignored.into_iter().collect::<Vec<_>>(), [("Secret".to_owned(), 2)]);
}

#[test]
fn extenders_are_said_once_not_to_be_asked() {
    let head = "{kind: KubeSchedulerConfiguration, apiVersion: kubescheduler.config.k8s.io/v1, extenders: [{urlPrefix: 'http://x', filterVerb: f}]}";
    let (_, notes, done) = run_on(&[head, "{kind: Secret, apiVersion: v1, metadata: {name: s}}"], &["-o", "json"]);
    let lines: Vec<&str> = notes.lines().filter(|line| line.starts_with("note: ")).collect();
    let [first, second] = lines[..] else { panic!("{notes}") };
    assert!(done && first.contains("KubeSchedulerConfiguration is not read here") && first.ends_with("extenders are not asked"), "{first}");
    assert!(second.ends_with(": 1 Secret"), "{second}");
}

/// Where each pod goes, in the order of the decisions.
fn placed(texts: &[&str]) -> Vec<String> {
    let (text, notes, done) = run_on(texts, &["-o", "json"]);
    assert!(done, "{notes}");
    let decisions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    decisions.map(|d| format!("{} {}", d["pod"].as_str().unwrap(), d["node"].as_str().or(d["message"].as_str()).unwrap())).collect()
}

const NO_ROOM: &str = "node(s) did not have enough free storage. \
    preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";

#[test]
fn pods_with_claims_go_where_a_cluster_would_send_them() {
    let nodes = ["a", "b"].map(|n| {
        let status = "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 9}}";
        format!("{{kind: Node, metadata: {{name: {n}, labels: {{zone: {n}, kubernetes.io/hostname: {n}}}}}, {status}}}\n---\n")
    });
    let storage = "
{kind: StorageClass, metadata: {name: wait}, provisioner: csi.x, volumeBindingMode: WaitForFirstConsumer}
---
{kind: StorageClass, metadata: {name: now}, provisioner: kubernetes.io/no-provisioner}
---
{kind: CSIDriver, apiVersion: storage.k8s.io/v1, metadata: {name: csi.x}, spec: {storageCapacity: true}}
---
{kind: CSIStorageCapacity, metadata: {name: r}, storageClassName: wait, nodeTopology: {matchLabels: {zone: a}}, capacity: 10Gi}
---
{kind: PersistentVolume, metadata: {name: pv}, spec: {capacity: {storage: 9Gi}, accessModes: [ReadWriteOnce], storageClassName: now,
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [b]}]}]}}}}
";
    let claim = |name: &str, class: &str| {
        let spec = format!("{{accessModes: [ReadWriteOnce], storageClassName: {class}, resources: {{requests: {{storage: 6Gi}}}}}}");
        format!("{{kind: PersistentVolumeClaim, metadata: {{name: {name}}}, spec: {spec}}}\n---\n")
    };
    let claims = claim("now", "now") + &claim("too-late", "now") + &claim("w1", "wait") + &claim("w2", "wait");
    let with = |name: &str, volume: &str| pod(name, &format!("volumes: [{{name: v, {volume}}}], ")) + "\n---\n";
    let mounting = |claim: &str| with(claim, &format!("persistentVolumeClaim: {{claimName: {claim}}}"));
    let template = "ephemeral: {volumeClaimTemplate: {spec: {storageClassName: wait, resources: {requests: {storage: 3Gi}}}}}";
    let pods = mounting("now") + &mounting("too-late") + &mounting("w1") + &mounting("w2") + &with("e", template);
    let expected = [
        "default/now b".to_string(),
        "default/too-late 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found".to_string(),
        "default/w1 a".to_string(),
        format!("default/w2 0/2 nodes are available: 2 {NO_ROOM}"),
        "default/e a".to_string(),
    ];
    // What waits is tried again as volumes are made, and says the same.
    assert_eq!(placed(&[&nodes.concat(), storage, &claims, &pods])[..5], expected);
}

#[test]
fn pods_are_placed_by_the_priority_of_their_class() {
    let classes = "{kind: PriorityClass, apiVersion: scheduling.k8s.io/v1, metadata: {name: high}, value: 9}";
    let (first, second) = (pod("low", ""), pod("high", "priorityClassName: high, "));
    assert_eq!(placed(&[NODE, &first, &second, classes]), ["default/high n", "default/low n"]);
    let (_, notes, done) = run_on(&[NODE, &second], &[]);
    assert_eq!((notes.contains("spec.priorityClassName: \"high\": expected the name of a PriorityClass"), done), (true, false), "{notes}");
}
