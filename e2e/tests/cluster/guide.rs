//! The operation guide's commands, taken from the guide itself and run as they stand there.
//! Leaves out what needs a container to run in (images, `kubectl logs`): the scripts' own tests have stand-ins for that.

use aisched_e2e::{Program, Test};
use serde_json::{Value, json};

/// The shell lines of the guide's section with this number.
pub(crate) fn commands(section: &str) -> String {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.ko.md")).unwrap();
    let (_, rest) = guide.split_once(&format!("### {section} ")).unwrap_or_else(|| panic!("the guide has no section {section}"));
    let rest = rest.split("\n### ").next().unwrap_or_default();
    rest.split("```bash\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

/// The scheduler as the guide deploys it: its own name, its configuration in `keti`.
fn scheduler(test: &Test) -> Program {
    let mut options = test.options();
    options.name = "ai-storage-scheduler".into();
    options.config_namespace = "keti".into();
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    scheduler
}

fn simulated(over: Value) -> Value {
    aisched_e2e::merged(json!({"metadata": {"labels": {"ai-storage.keti/simulated": "true"}}}), over)
}

fn await_pod(test: &Test, pod: &str) -> String {
    test.cluster.shell(&format!("kubectl wait --for=condition=PodScheduled pod/{pod} --timeout=60s"));
    test.cluster.shell(&format!("kubectl get pod {pod} -o jsonpath='{{.spec.nodeName}}'"))
}

#[test]
fn preprocessing_pod_of_section_4_2_is_placed_and_explained_as_section_4_3_shows() {
    let test = Test::alone("guide-preprocess");
    test.add_node("hdd", simulated(json!({"metadata": {"labels": {"storage-tier/hdd": "true"}}})));
    test.add_node("nvme", simulated(json!({"metadata": {"labels": {"storage-tier/nvme": "true"}}})));
    let mut scheduler = scheduler(&test);

    assert_eq!(test.cluster.shell(&commands("4.2")), "pod/test-preprocess-pod created\n");
    // Augmentation: NVMe gives 35 − 25 (sequential), 25 − 20 (stage), 5 − 0 (reads) and 4 − 0 (writes) more than HDD, and 5 + 5 for
    // IOPS and throughput is the same where nothing is asked for; each counts three times.
    assert_eq!(await_pod(&test, "test-preprocess-pod"), test.node_name("nvme"));
    let map = scheduler.score_map("default/test-preprocess-pod");
    assert_eq!(map[&test.node_name("nvme")] - map[&test.node_name("hdd")], 3 * (10 + 5 + 5 + 4) * 1000);

    let section = commands("4.3");
    let lines: Vec<&str> = section.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let [get, describe, logs] = lines[..] else { panic!("section 4.3 has other commands now: {lines:?}") };
    let shown = test.cluster.shell(get);
    assert!(shown.contains("test-preprocess-pod") && shown.contains(&test.node_name("nvme")), "{shown}");
    let node = test.node_name("nvme");
    test.event("default", "test-preprocess-pod", |e| e["reason"] == "Scheduled");
    let events = test.cluster.shell(describe);
    let said = format!("ai-storage-scheduler  Successfully assigned default/test-preprocess-pod to {node}");
    assert!(events.contains("Scheduled") && events.contains(&said), "{events}");
    // What logs.sh would print is in a file here.
    let grep = logs.replace("./scripts/logs.sh -t 100", &format!("tail -n 100 {}", scheduler.log.display()));
    let found = test.cluster.shell(&grep);
    assert!(found.contains("[ScoreMap] pod=default/test-preprocess-pod ") && found.contains(&format!(" node={node} total=")), "{found}");
    test.cluster.shell("kubectl delete pod test-preprocess-pod --now");
}

#[test]
fn gpu_pod_of_section_4_1_waits_for_a_gpu_and_is_bound_when_one_comes() {
    let test = Test::alone("guide-gpu");
    test.add_node("nvme", simulated(json!({"metadata": {"labels": {"storage-tier/nvme": "true"}}})));
    let _scheduler = scheduler(&test);
    test.cluster.shell(&commands("4.1"));
    let event = test.event("default", "test-gpu-pod", |e| e["reason"] == "FailedScheduling");
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), "{note}");
    // Section 7.1 finds it there too.
    assert!(test.cluster.shell("kubectl describe pod test-gpu-pod").contains("Insufficient nvidia.com/gpu"));
    let gpus = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "nvidia.com/gpu": "1"});
    test.add_node("gpu", simulated(json!({"status": {"capacity": gpus, "allocatable": gpus}})));
    assert_eq!(await_pod(&test, "test-gpu-pod"), test.node_name("gpu"));
    test.cluster.shell("kubectl delete pod test-gpu-pod --now");
}

#[test]
fn configuration_is_installed_shown_edited_and_reset_as_sections_2_and_7_3_show() {
    let test = Test::alone("guide-config");
    let _scheduler = scheduler(&test);
    test.cluster.shell(&commands("2.1"));
    assert_eq!(test.config_accepted_in("keti"), ("True".into(), "the running scheduler uses this configuration".into()));

    let shown = test.cluster.shell(&commands("2.2"));
    let header = shown.lines().next().unwrap_or_default();
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(columns, ["NAME", "DATALOCALITY-WEIGHT", "STORAGETIER-WEIGHT", "IOPATTERN-WEIGHT", "ACCEPTED", "AGE"]);
    for part in ["Apollo Score Max", "apolloScoreMax: 30", "Reason:                Applied", "observedGeneration: 1"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }

    let section = commands("2.3");
    let edited = "EDITOR=\"sed -i '/dataLocalityAware:/,/weight:/s/weight: 3/weight: 7/'\" ";
    let weight = || test.cluster.shell("kubectl get aisc default -n keti -o jsonpath='{.spec.plugins.dataLocalityAware.weight}'");
    let edit = section.lines().find(|l| l.starts_with("kubectl edit")).unwrap();
    test.cluster.shell(&format!("{edited}{edit}"));
    assert_eq!(weight(), "7");
    let apply = section.lines().find(|l| l.starts_with("kubectl apply")).unwrap();
    test.cluster.shell(apply);
    assert_eq!(weight(), "3");

    test.cluster.shell(&format!("{edited}{edit}"));
    test.cluster.shell(&commands("7.3"));
    assert_eq!(weight(), "3");
    test.cluster.shell("kubectl delete aisc default -n keti");
}
