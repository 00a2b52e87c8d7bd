//! What the scheduler's account may do: all that is needed with the deployment's, and what is missing is named.
//! Leaves out who may ask the scheduler (its HTTPS port).

use aisched_e2e::{Permission, Program, Test};
use serde_json::json;

const fn of(group: &'static str, resource: &'static str, verb: &'static str) -> Permission {
    Permission { group, resource, verb }
}

/// Permissions of the deployment's account, and whether pods are placed without them. To list pods and the like is not missed
/// alone: an API server that streams lists asks for `watch`.
const MISSING: &[(&[Permission], bool)] = &[
    (&[of("", "nodes", "list"), of("", "nodes", "watch")], false),
    (&[of("", "pods", "list"), of("", "pods", "watch")], false),
    (&[of("", "pods/binding", "create")], false),
    (&[of("", "nodes", "watch")], true),
    (&[of("", "pods/status", "patch")], true),
    (&[of("", "namespaces", "watch")], true),
    (&[of("", "persistentvolumeclaims", "list"), of("", "persistentvolumeclaims", "watch")], true),
    (&[of("storage.k8s.io", "storageclasses", "list"), of("storage.k8s.io", "storageclasses", "watch")], true),
    (&[of("apps", "replicasets", "list"), of("apps", "replicasets", "watch")], true),
    (&[of("policy", "poddisruptionbudgets", "list"), of("policy", "poddisruptionbudgets", "watch")], true),
    (&[of("events.k8s.io", "events", "create")], true),
    (&[of("ai-storage.keti", "aistorageconfigs", "list")], true),
];

fn advice(missing: &Permission) -> String {
    let Permission { group, resource, verb } = missing;
    format!("grant verb \"{verb}\" on resource \"{resource}\" in API group \"{group}\" to the scheduler's account")
}

#[test]
fn missing_permission_is_named_and_stops_only_what_needs_it() {
    let test = Test::new("permissions");
    test.add_node("a", json!({}));
    let mut schedulers: Vec<Program> = Vec::new();
    for (i, (missing, _)) in MISSING.iter().enumerate() {
        let mut options = test.options();
        options.name = format!("without-{i}");
        options.kubeconfig = test.account_without(&options.name, missing);
        schedulers.push(test.scheduler_with(&options, &options.name));
        test.add_pod(&format!("refused-{i}"), json!({"spec": {"schedulerName": options.name, "nodeSelector": {"disk": "none"}}}));
        test.add_pod(&format!("placed-{i}"), json!({"spec": {"schedulerName": options.name}}));
    }
    for (i, (missing, places)) in MISSING.iter().enumerate() {
        for permission in *missing {
            schedulers[i].wait_for_line(&advice(permission));
        }
        let pod = format!("placed-{i}");
        if *places {
            assert_eq!(test.placed(&pod), "a", "without {missing:?}");
        } else {
            assert!(test.api().get(&test.pod_path(&pod))["spec"]["nodeName"].is_null(), "{pod} was placed without {missing:?}");
        }
        let logged = schedulers[i].logged();
        let is_missing = |line: &str| missing.iter().any(|permission| line.contains(&advice(permission)));
        let others: Vec<&str> = logged.lines().filter(|l| l.contains("grant verb") && !is_missing(l)).collect();
        assert_eq!(others, Vec::<&str>::new(), "named though it is granted, without {missing:?}");
    }
}

#[test]
fn missing_permission_to_say_that_a_configuration_is_accepted_is_named() {
    let test = Test::new("permission-status");
    test.configure(&json!({}));
    let missing = of("ai-storage.keti", "aistorageconfigs/status", "patch");
    let mut options = test.options();
    options.kubeconfig = test.account_without("without", &[missing]);
    test.scheduler_with(&options, "scheduler").wait_for_line(&advice(&missing));
}

#[test]
fn account_of_the_deployment_suffices() {
    let test = Test::new("least-privilege");
    test.add_node("a", json!({}));
    let mut options = test.options();
    options.kubeconfig = test.deployed_account();
    options.config_namespace = "keti".into();
    options.flags = vec!["--leader-elect".into(), "--leader-elect-resource-name=ai-storage-scheduler".into()];
    test.cluster.shell("kubectl apply -f config/crd/default-config.yaml");
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    assert_eq!(test.config_accepted_in("keti").0, "True");
    test.add_pod("placed", json!({}));
    assert_eq!(test.placed("placed"), "a");
    assert!(test.pod_event("placed", "Scheduled").starts_with("Successfully assigned"));
    test.add_pod("refused", Test::cpu("9"));
    assert_eq!(test.pod_event("refused", "FailedScheduling"), test.refused("refused").1);
    // A node's faults are told in the namespace that has no test's name.
    test.add_node("faulty", json!({"metadata": {"annotations": {"ai-storage.keti/available-iops": "lots"}}}));
    test.event("default", &test.node_name("faulty"), |e| e["reason"] == "InvalidStorageFact" && e["reportingController"] == test.name);
    test.cluster.shell("kubectl delete aisc default -n keti");
    let logged = scheduler.logged();
    assert!(logged.contains("lease acquired"));
    test.event("keti", "ai-storage-scheduler", |e| e["reason"] == "LeaderElection");
    let troubles: Vec<&str> = logged.lines().filter(|l| l.contains("forbidden") || l.contains(" ERROR ")).collect();
    assert_eq!(troubles, Vec::<&str>::new());
}
