//! The example of jobs as a golden file, the shape of the JSON, and what bad files say.
//! Leaves out the model of a job: its tests are in `aisched-sim`.

use crate::simulate::tests::{examples, is_golden_of, run, run_on};
use serde_json::Value;

#[test]
fn example_of_jobs_pays_what_it_says() {
    let file = |name: &str| examples().join(format!("jobs/{name}.yaml")).display().to_string();
    is_golden_of("jobs/jobs", &[&file("cluster"), "--jobs", &file("jobs")]);
}

const NODE: &str = "{kind: Node, metadata: {name: n}, status: {capacity: {cpu: 4, memory: 8Gi, pods: 9}}}";
const POD: &str = "{kind: Pod, metadata: {name: p, annotations: {ai-storage.keti/dataset: d}}, spec: {containers: [{name: c}]}}";

/// What a jobs file gives on one node, with one pod to make jobs of.
fn with_jobs(jobs: &str, words: &[&str]) -> (String, String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.yaml");
    std::fs::write(&path, jobs).unwrap();
    let path = path.display().to_string();
    let (text, notes, done) = run_on(&[NODE, POD], &[words, &["--jobs", &path]].concat());
    (text, notes.replace(&format!("{}/", dir.path().display()), ""), done)
}

const TWO: &str = "
storage: {remoteMBps: 50}
datasets: [{name: d, sizeGB: 10}]
jobs: [{name: a, count: 2, everySeconds: 1000, pod: p, reads: {dataset: d, MBps: 100}}]";

#[test]
fn json_is_an_object_for_each_set_of_plugins_with_every_job() {
    let (text, notes, done) = with_jobs(TWO, &["-o", "json"]);
    assert!(done, "{notes}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|l| l["plugins"].as_str().unwrap()).collect::<Vec<_>>(), ["default", "aiStorage"]);
    for line in &lines {
        assert_eq!((&line["meanSeconds"], &line["unfinished"]), (&Value::from(150.0), &Value::from(0)), "{line}");
        assert_eq!(line["jobs"][1]["name"], "a-1");
        assert_eq!((&line["jobs"][1]["startedSeconds"], &line["jobs"][1]["endedSeconds"]), (&Value::from(1000.0), &Value::from(1100.0)));
        assert_eq!(line["jobs"][0]["nodes"], serde_json::json!(["n"]));
    }
}

#[test]
fn table_says_how_much_faster() {
    let (text, _, _) = with_jobs(TWO, &[]);
    assert!(text.ends_with("\n2 jobs; the mean job is 1.00 times as fast with the AI storage plugins.\n"), "{text}");
}

#[test]
fn every_fault_of_a_jobs_file_is_named() {
    let job = |more: &str| format!("datasets: [{{name: d, sizeGB: 1}}]\njobs: [{{name: a, pod: p{more}}}]");
    for (jobs, expected) in [
        ("jobs: [{name: a}]".into(), "jobs.yaml: jobs[0]: "),
        ("jobs: many".into(), "jobs.yaml: jobs: "),
        ("jobs: []\nstorage: {remoteMbps: 5}".into(), "unknown field `remoteMbps`"),
        ("jobs: []\nstorage: {remoteMBps: 0}".into(), "jobs.yaml: storage.remoteMBps: \"0\": expected a number above 0"),
        ("jobs: []\nstorage: {cacheGB: .nan}".into(), "jobs.yaml: storage.cacheGB: \"NaN\": expected a number from 0 to 1000000000"),
        ("jobs: []\nstorage: {cachePolicy: fifo}".into(), "jobs.yaml: storage.cachePolicy: \"fifo\": expected one of minio, lru"),
        ("jobs: []\ndatasets: [{name: d, sizeGB: -1}]".into(), "jobs.yaml: datasets[0].sizeGB: \"-1\": expected a number above 0"),
        (job(", reads: {dataset: x, MBps: 1}"), "jobs.yaml: jobs[0].reads.dataset: \"x\": expected one of the datasets: d"),
        (job(", reads: {dataset: d, MBps: -.inf}"), "jobs.yaml: jobs[0].reads.MBps: \"-inf\": expected a number above 0"),
        (job(", writes: d"), "jobs.yaml: jobs[0].writes: expected reads beside it"),
        (job(", after: b"), "jobs.yaml: jobs[0].after: \"b\": expected the name of a job further up in the file, whose count is 1"),
        (job(", count: 100001"), "jobs.yaml: jobs[0].count: \"100001\": expected a number from 1 to 100000"),
        (job(", pods: 0"), "jobs.yaml: jobs[0].pods: \"0\": expected a number from 1 to 100000"),
        (job(", computeSeconds: 1e99"), "jobs.yaml: jobs[0].computeSeconds: "),
        (job("}, {name: a, pod: none"), "jobs.yaml: jobs[1].pod: \"none\": expected the name of a Pod in the manifests"),
        (job("}, {name: a, pod: p"), "jobs.yaml: jobs[1].name: \"a\": expected a name that no other job has"),
    ] {
        let (text, notes, done) = with_jobs(&jobs, &[]);
        assert_eq!((&*text, done), ("", false), "{jobs}");
        assert!(notes.contains(expected), "{expected:?} is not in {notes:?} of {jobs}");
    }
    let missing = run(&["--jobs", "/none", "/none-either"]);
    assert!(!missing.2, "{missing:?}");
}
