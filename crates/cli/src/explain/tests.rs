//! `explain` against a real server in front of a real engine, and its tables on decisions written by hand.
//! Leaves out TLS and tokens: those are the client's tests.

use super::view::DecisionView;
use super::{ExplainArgs, answer, nodes, pod, pods, segment};
use crate::client::testing::Server;
use crate::tables::Style;
use clap::Parser;
use std::collections::BTreeMap;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ExplainArgs,
}

/// What `explain` prints or complains of, asked of a server of its own.
async fn explain(words: &str) -> Result<String, String> {
    let server = Server::start().await;
    let mut line = vec!["explain".to_owned()];
    line.extend(words.split_whitespace().map(str::to_owned));
    line.extend(server.flags());
    line.extend(["--token".into(), "admin".into()]);
    let cli = Cli::try_parse_from(line).map_err(|e| e.to_string())?;
    answer(&cli.args, Style::default()).await.map_err(|e| format!("{e:#}"))
}

/// A decision between `a` and `b`: `(plugin, weight, score on a, score on b, component, its points on a and b)`.
type Row = (&'static str, i64, [i64; 2], Option<(&'static str, [i64; 2])>);

fn decision(rows: &[Row], n_feasible: usize) -> DecisionView {
    let node = |i: usize| {
        let plugins: Vec<serde_json::Value> = rows
            .iter()
            .map(|(name, weight, score, component)| {
                let components: BTreeMap<&str, i64> = component.iter().map(|(name, points)| (*name, points[i])).collect();
                let sources: BTreeMap<&str, String> = component.iter().map(|(name, _)| (*name, format!("source {i}"))).collect();
                serde_json::json!({"name": name, "weight": weight, "score": score[i], "skipped": false,
                    "components": components, "sources": sources})
            })
            .collect();
        let total: i64 = rows.iter().map(|(_, weight, score, _)| weight * score[i]).sum();
        serde_json::json!({"node": if i == 0 { "a" } else { "b" }, "feasible": true, "reasons": [], "total": total, "plugins": plugins})
    };
    let nodes: Vec<serde_json::Value> = (0..n_feasible).map(node).collect();
    let decision = serde_json::json!({"pod": "default/p", "node": "a", "message": null, "nNodes": 2, "nFeasible": n_feasible,
        "policy": {"source": "APOLLO", "requestId": "r-1"}, "nodes": nodes,
        "profile": {"stage": {"value": "training", "source": "inferred", "from": "label spark-role", "ageSeconds": 90}}});
    serde_json::from_value(decision).unwrap()
}

#[test]
fn the_two_largest_leads_decide() {
    let rows: [Row; 4] = [
        ("TaintToleration", 3, [100, 100], None),
        ("DataLocalityAware", 3, [20, 5], Some(("cache", [20, 5]))),
        ("StorageTierAware", 3, [40, 30], Some(("ioPattern", [40, 30]))),
        ("NodeResourcesFit", 1, [90, 50], None),
    ];
    assert_eq!(pods::decided_by(&decision(&rows, 2)), "cache +45, NodeResourcesFit +40 (over b)");
    assert_eq!(pods::decided_by(&decision(&rows, 1)), "ioPattern 120, cache 60 (no other node would do)");
    assert_eq!(pods::decided_by(&decision(&rows[..1], 1)), "TaintToleration 300 (no other node would do)");
}

#[test]
fn level_nodes_are_said_to_be_drawn_by_lot() {
    assert_eq!(pods::decided_by(&decision(&[("NodeResourcesFit", 1, [9, 9], None)], 2)), "drawn by lot: level with b");
}

#[test]
fn component_that_two_plugins_have_is_named_with_its_plugin() {
    let rows: [Row; 2] = [
        ("StorageTierAware", 3, [40, 30], Some(("ioPattern", [40, 30]))),
        ("PipelineStageAware", 3, [30, 25], Some(("ioPattern", [30, 25]))),
    ];
    assert_eq!(pods::decided_by(&decision(&rows, 2)), "StorageTierAware.ioPattern +30, PipelineStageAware.ioPattern +15 (over b)");
}

#[test]
fn scores_that_were_scaled_afterwards_count_as_a_whole() {
    let rows: [Row; 1] = [("KueueAware", 2, [100, 50], Some(("queuePressure", [20, 10])))];
    assert_eq!(pods::decided_by(&decision(&rows, 2)), "KueueAware +100 (over b)");
}

#[test]
fn shared_weights_and_totals_keep_their_fractions() {
    let mut view = decision(&[("DataLocalityAware", 1, [20, 5], Some(("cache", [20, 5])))], 2);
    for node in &mut view.nodes {
        node.plugins[0].weight = super::view::Milli(2250);
    }
    assert_eq!(pods::decided_by(&view), "cache +33.75 (over b)");
}

#[test]
fn policy_is_explained_with_its_reason_and_what_nothing_acts_on() {
    let mut view = decision(&[], 1);
    view.policy = serde_json::from_value(serde_json::json!({"source": "CACHE", "requestId": null, "decision": "PREFER",
        "reason": "data\u{1b}[2J is near", "advice": {"confidence": "0.9", "priority": "5"}}))
    .unwrap();
    let text = pod::explain(&view, Style::default());
    assert!(text.contains("\nPolicy:   CACHE, answer without id, PREFER, data"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("\nAdvice:   confidence 0.9, priority 5 (APOLLO's, not acted on)\n"), "{text}");
}

#[test]
fn placed_pod_is_explained_from_verdict_to_sources() {
    let rows: [Row; 2] =
        [("DataLocalityAware", 3, [20, 5], Some(("cache", [20, 5]))), ("StorageTierAware", 3, [40, 40], Some(("ioPattern", [40, 40])))];
    let mut view = decision(&rows, 2);
    view.n_nodes = 30;
    view.nodes.push(
        serde_json::from_value(serde_json::json!({"node": "c", "feasible": false, "total": null, "plugins": [],
        "reasons": [{"plugin": "NodeResourcesFit", "message": "Insufficient cpu", "detail": "requested 9, free 1"}]}))
        .unwrap(),
    );
    let expected = "\
default/p is on a: total 180, 2 of 30 nodes would do
Ahead of b by 45, most by DataLocalityAware.cache +45
Policy:   APOLLO, answer r-1
Profile:  stage training (inferred from label spark-role, known for 90s)

NODES   REFUSED BY         REASON
    1   NodeResourcesFit   Insufficient cpu
The record keeps 3 nodes; 27 more are not shown.

SCORES              WEIGHT     a     b
DataLocalityAware        3    20     5
StorageTierAware         3    40    40
total                        180   135

COMPONENTS                    a    b   COUNTS   READ FROM
DataLocalityAware.cache      20    5      +45   source 0; there: source 1
StorageTierAware.ioPattern   40   40        0   source 0
";
    assert_eq!(pod::explain(&view, Style::default()), expected);
    assert_eq!(
        pod::explain_node(&view, "b", Style::default()).unwrap(),
        "b would do for default/p: total 135, behind a by 45\n\n\
         PLUGIN              SCORE   WEIGHT   COUNTS   READ FROM\n\
         DataLocalityAware       5        3       15\n\
         \u{20} cache                 5                     source 1\n\
         StorageTierAware       40        3      120\n\
         \u{20} ioPattern            40                     source 1\n"
    );
    assert!(pod::explain_node(&view, "c", Style::default()).unwrap().contains("requested 9, free 1"));
    assert!(pod::explain_node(&view, "d", Style::default()).is_none());
}

#[test]
fn names_and_messages_cannot_steer_the_terminal() {
    let mut view = decision(&[("NodeResourcesFit", 1, [9, 9], None)], 1);
    (view.pod, view.node, view.message) = ("default/\x1b[31mp".into(), None, Some("no\nnode".into()));
    assert!(!pod::explain(&view, Style::default()).contains('\x1b'));
    assert!(pod::explain(&view, Style::default()).starts_with("default/ [31mp waits: no node\n"));
}

#[test]
fn latest_decision_of_each_pod_counts() {
    let named = |name: &str, node: Option<&str>| {
        let mut view = decision(&[], 0);
        (view.pod, view.node) = (format!("team/{name}"), node.map(Into::into));
        view.message = node.is_none().then(|| "0/2 nodes are available.".into());
        view
    };
    let latest = pods::latest(vec![named("b", Some("n")), named("a", None), named("b", None)]);
    let tiers = BTreeMap::from([("n".to_owned(), "nvme,ssd".to_owned())]);
    assert_eq!(
        pods::table(&latest, &tiers, Some("team"), Style::default()),
        "POD   NODE   TIER       TOTAL   DECIDED BY\n\
         a     -      -              -   waits: 0/2 nodes are available.\n\
         b     n      nvme,ssd       -   the only node that would do\n"
    );
}

#[test]
fn nodes_are_shown_with_budgets_facts_and_sources() {
    let unknown = || {
        serde_json::json!({"name": "b", "tiers": [], "layer": null, "zone": null, "rack": null, "iops": null, "throughputMbps": null,
            "capacityGb": null, "remaining": {"iops": null, "throughputMbps": null, "capacityGb": null}, "cachedDatasets": [],
            "temperature": null, "cores": 8, "memoryGb": 32, "cpuRich": false, "memoryRich": false, "readCache": false,
            "writeBuffer": false, "largeIoBuffer": false, "csdCompute": false, "nPods": 0,
            "sources": {"cores": "status.capacity", "memoryGb": "status.allocatable"}})
    };
    let mut known = unknown();
    for (key, value) in [
        ("name", serde_json::json!("a")),
        ("tiers", serde_json::json!(["nvme", "ssd"])),
        ("iops", serde_json::json!(100)),
        ("remaining", serde_json::json!({"iops": 40, "throughputMbps": null, "capacityGb": null})),
        ("cpuRich", serde_json::json!(true)),
    ] {
        known[key] = value;
    }
    known["sources"]["iops"] = "estimate for nvme".into();
    known["sources"]["tiers"] = "NodeFeature a".into();
    known["agesSeconds"] = serde_json::json!({"tiers": 200});
    let views: Vec<nodes::NodeView> = serde_json::from_value(serde_json::json!([known, unknown()])).unwrap();
    let expected = "\
NODE   TIER       PODS   IOPS LEFT   MB/S LEFT   GB LEFT
a      nvme,ssd      0      40/100           ?         ?
b      -             0           ?           ?         ?

NODE   FACT       VALUE       FROM                 KNOWN FOR
a      tiers      nvme, ssd   NodeFeature a        3m
a      iops       100         estimate for nvme    -
a      cores      8           status.capacity      -
a      memoryGb   32          status.allocatable   -
a      cpuRich    yes         -                    -
b      cores      8           status.capacity      -
b      memoryGb   32          status.allocatable   -

Nobody labelled these tiers. To make them explicit, so that they stay whatever other systems say:
  kubectl label node a storage-tier/nvme=true storage-tier/ssd=true
";
    assert_eq!(nodes::table(&views, Style::default()), expected);
}

#[test]
fn names_are_escaped_in_paths() {
    assert_eq!(segment("a/b c?ü"), "a%2Fb%20c%3F%C3%BC");
}

#[tokio::test]
async fn running_scheduler_explains_placed_and_waiting_pods() {
    let placed = explain("pod trainer").await.unwrap();
    assert!(placed.starts_with("default/trainer is on gpu-1: total "), "{placed}");
    assert!(placed.contains("DataLocalityAware.cache"), "{placed}");
    let waiting = explain("pod giant -n default").await.unwrap();
    assert!(waiting.starts_with("default/giant waits: 0/5 nodes are available: "), "{waiting}");
    assert!(waiting.contains("gpu-2   NodeResourcesFit    Insufficient nvidia.com/gpu"), "{waiting}");
    let node = explain("pod trainer --node gpu-2").await.unwrap();
    assert!(node.starts_with("gpu-2 would do for default/trainer: total "), "{node}");
    let unknown = explain("pod trainer --node moon").await.unwrap_err();
    assert!(unknown.starts_with("the decision on default/trainer reports on 5 of 5 nodes, and moon is none of them: gpu-1"), "{unknown}");
}

#[tokio::test]
async fn unknown_pod_is_an_error_in_the_schedulers_words() {
    let error = explain("pod nobody").await.unwrap_err();
    assert!(error.starts_with("no decision on default/nobody is known: check namespace and name"), "{error}");
}

#[tokio::test]
async fn json_and_yaml_are_the_decision_itself() {
    let json: serde_json::Value = serde_json::from_str(&explain("pod trainer --output json").await.unwrap()).unwrap();
    assert_eq!((&json["pod"], &json["node"]), (&"default/trainer".into(), &"gpu-1".into()));
    assert!(explain("pod trainer -o yaml").await.unwrap().contains("\nnode: gpu-1\n"));
    let items: serde_json::Value = serde_json::from_str(&explain("nodes -o json").await.unwrap()).unwrap();
    assert_eq!(items["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn pods_are_listed_with_tier_total_and_what_decided() {
    let table = explain("pods -n default").await.unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("POD "), "{table}");
    assert!(lines.iter().any(|l| l.starts_with("trainer ") && l.contains("nvme") && l.contains("cache +60 (over gpu-2)")), "{table}");
    assert!(lines.iter().any(|l| l.starts_with("giant ") && l.contains("waits: 0/5 nodes are available")), "{table}");
    assert!(explain("pods -A").await.unwrap().contains("\ndefault/trainer "));
    assert!(explain("pods -n empty").await.unwrap().starts_with("No pod of namespace empty was decided lately"));
}

#[tokio::test]
async fn nodes_are_listed_with_what_is_left() {
    let table = explain("nodes").await.unwrap();
    assert!(table.contains("\nssd-1   ssd       1      4000/10000     500/500         ?\n"), "{table}");
    assert!(table.contains("\nssd-1   iops             10000      annotation ai-storage.keti/available-iops "), "{table}");
    assert!(table.contains("\nssd-1   throughputMbps   500        estimate for ssd "), "{table}");
}
