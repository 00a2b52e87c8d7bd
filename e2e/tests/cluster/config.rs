//! AIStorageConfig on a live API server: what it refuses, what it fills in, what it shows, and how the scheduler follows it.
//! Leaves out what each field does to a score: that is the core's.

use aisched_e2e::{Program, Test, eventually, merged};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A specification that the definition refuses, and what the refusal has to name.
const NONSENSE: &[(&str, &[&str])] = &[
    (r#"{"plugins": {"dataLocalityAware": {"weight": 11}}}"#, &["spec.plugins.dataLocalityAware.weight", "less than or equal to 10"]),
    (r#"{"plugins": {"storageTierAware": {"weight": -1}}}"#, &["spec.plugins.storageTierAware.weight", "greater than or equal to 0"]),
    (r#"{"plugins": {"ioPatternBased": {"weight": "much"}}}"#, &["spec.plugins.ioPatternBased.weight", "integer"]),
    (r#"{"plugins": {"ioPatternBased": {"enabled": 1}}}"#, &["spec.plugins.ioPatternBased.enabled", "boolean"]),
    (r#"{"plugins": {"dataLocalityAware": {"scoring": {"cacheScoreMax": 90}}}}"#, &["spec.plugins.dataLocalityAware", "100"]),
    (
        r#"{"plugins": {"csiStorageAware": {"scoring": {"capacityScoreMax": 101}}}}"#,
        &["spec.plugins.csiStorageAware.scoring.capacityScoreMax"],
    ),
    (r#"{"preprocessingTypes": {"filtering": {"dataExpansion": -0.5}}}"#, &["spec.preprocessingTypes.filtering.dataExpansion"]),
    (r#"{"storageTiers": {"nvme": {"randomScore": 1000}}}"#, &["spec.storageTiers.nvme.randomScore"]),
    (r#"{"apollo": {"cacheExpirySeconds": 0}}"#, &["spec.apollo.cacheExpirySeconds"]),
    (r#"{"apollo": {"connectionTimeoutSeconds": 301}}"#, &["spec.apollo.connectionTimeoutSeconds"]),
    (r#"{"plugins": {"dataLocalityawer": {"weight": 1}}}"#, &["spec.plugins.dataLocalityawer", "unknown field"]),
];

#[test]
fn nonsense_is_refused_by_kubectl_apply_with_the_field_named() {
    let test = Test::new("config-nonsense");
    for (spec, named) in NONSENSE {
        let object = format!(
            r#"{{"apiVersion": "ai-storage.keti/v1", "kind": "AIStorageConfig", "metadata": {{"name": "default"}}, "spec": {spec}}}"#
        );
        let output = test.cluster.try_shell(&format!("kubectl apply -n {} -f -", test.name), &object);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{spec} was taken");
        for name in *named {
            assert!(said.contains(name), "{spec}: {name} is not in: {said}");
        }
    }
    assert_eq!(test.api().find(&test.config_path()), None);
}

#[test]
fn empty_and_partial_specifications_are_filled_with_the_defaults() {
    let test = Test::new("config-defaults");
    test.cluster.shell(&format!("sed 's/namespace: keti/namespace: {}/' config/crd/default-config.yaml | kubectl apply -f -", test.name));
    let defaults = test.api().get(&test.config_path())["spec"].clone();
    assert_eq!(defaults["plugins"]["dataLocalityAware"]["weight"], 3);
    test.api().delete(&test.config_path());
    // What the schema cannot fill in: a table whose keys are free.
    let mut filled = defaults.clone();
    filled.as_object_mut().unwrap().remove("preprocessingTypes");
    for (spec, changed) in [
        (json!({}), json!({})),
        (json!({"plugins": {"dataLocalityAware": {"weight": 0}}}), json!({"plugins": {"dataLocalityAware": {"weight": 0}}})),
        (json!({"apollo": {"endpoint": ""}, "plugins": {}}), json!({"apollo": {"endpoint": ""}})),
    ] {
        test.configure(&spec);
        let mut stored = test.api().get(&test.config_path())["spec"].clone();
        stored.as_object_mut().unwrap().remove("preprocessingTypes");
        assert_eq!(stored, merged(filled.clone(), changed), "{spec}");
        test.api().delete(&test.config_path());
    }
}

#[test]
fn kubectl_shows_weights_and_acceptance_under_all_names() {
    let test = Test::new("config-columns");
    let _scheduler = test.scheduler();
    test.configure(&json!({"plugins": {"storageTierAware": {"weight": 5}, "ioPatternBased": {"weight": 0}}}));
    assert_eq!(test.config_accepted().0, "True");
    for name in ["aistorageconfigs", "aistorageconfig", "aisc", "aisconfig"] {
        let shown = test.cluster.shell(&format!("kubectl get {name} -n {}", test.name));
        let lines: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "DATALOCALITY-WEIGHT", "STORAGETIER-WEIGHT", "IOPATTERN-WEIGHT", "ACCEPTED", "AGE"]);
        assert_eq!(lines[1][..5], ["default", "3", "5", "0", "True"]);
    }
}

/// One node that has the data cached and one of the better tier: which of the two is better is a matter of weights alone.
fn torn(test: &Test) {
    test.add_node("cached", json!({"metadata": {"annotations": {"ai-storage.keti/cached-datasets": "imagenet"}}}));
    test.add_node("nvme", json!({"metadata": {"labels": {"storage-tier/nvme": "true"}}}));
}

fn place(test: &Test, pod: &str) -> String {
    test.add_pod(pod, Test::hints([("dataset", "imagenet"), ("io-pattern", "random")]));
    test.placed(pod)
}

fn weights(locality: i64, tier: i64) -> Value {
    json!({"plugins": {"dataLocalityAware": {"weight": locality}, "storageTierAware": {"weight": tier}}})
}

#[test]
fn edit_changes_the_next_placement_and_deletion_brings_the_defaults_back() {
    let test = Test::new("config-live");
    torn(&test);
    let _scheduler = test.scheduler();
    // By default: 20 × 3 for the tier against 15 × 3 for the cache.
    assert_eq!(place(&test, "by-default"), "nvme");
    test.configure(&weights(10, 1));
    assert_eq!(test.config_accepted(), ("True".into(), "the running scheduler uses this configuration".into()));
    assert_eq!(place(&test, "for-locality"), "cached");
    test.configure(&weights(0, 10));
    assert_eq!(test.config_accepted().0, "True");
    assert_eq!(place(&test, "for-the-tier"), "nvme");
    test.configure(&weights(10, 0));
    assert_eq!(test.config_accepted().0, "True");
    assert_eq!(place(&test, "for-locality-again"), "cached");
}

/// The contract names a second. The best of five edits is looked at, so that a busy machine is not mistaken for a slow scheduler.
#[test]
fn edit_is_in_force_within_a_second() {
    let test = Test::new("config-second");
    let _scheduler = test.scheduler();
    let took = (1..=5).map(|weight| {
        let edited = Instant::now();
        if weight == 1 {
            let object =
                json!({"apiVersion": "ai-storage.keti/v1", "kind": "AIStorageConfig", "metadata": {"name": "default"}, "spec": {}});
            test.api().create(test.config_path().trim_end_matches("/default"), &object);
        } else {
            test.api().patch(&test.config_path(), &json!({"spec": weights(weight, weight)}));
        }
        assert_eq!(test.config_accepted().0, "True");
        edited.elapsed()
    });
    let best = took.min().unwrap();
    assert!(best < Duration::from_secs(1), "{best:?}");
}

#[test]
fn deleted_configuration_leaves_the_defaults_in_force() {
    let test = Test::new("config-deleted");
    torn(&test);
    let mut scheduler = test.scheduler();
    test.configure(&weights(10, 0));
    assert_eq!(test.config_accepted().0, "True");
    assert_eq!(place(&test, "before"), "cached");
    test.api().delete(&test.config_path());
    scheduler.wait_for_line("the object was deleted");
    assert_eq!(place(&test, "after"), "nvme");
}

#[test]
fn change_of_configuration_gives_a_refused_pod_another_try() {
    let test = Test::new("config-wakes");
    test.add_node("a", json!({}));
    let _scheduler = test.scheduler();
    test.add_pod("p", Test::hints([("required-storage-tier", "nvme"), ("strict-storage-tier", "true")]));
    let (_, message) = test.refused("p");
    assert!(message.contains("1 node(s) had no nvme storage tier"), "{message}");
    // A plugin of weight 0 does not filter either.
    test.configure(&weights(3, 0));
    assert_eq!(test.placed("p"), "a");
}

/// An older definition, or somebody's own, may let nonsense through. It is everybody's, so no other test may run.
#[test]
fn nonsense_that_the_definition_lets_through_is_told_and_the_last_good_configuration_stays() {
    let test = Test::alone("config-invalid");
    torn(&test);
    let anything = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    test.cluster.shell(&format!("kubectl patch crd aistorageconfigs.ai-storage.keti --type json -p '{anything}'"));
    let _scheduler = test.scheduler();
    test.configure(&weights(10, 0));
    assert_eq!(test.config_accepted().0, "True");
    let nonsense = json!({"plugins": {"dataLocalityAware": {"weight": 99}, "storageTierAware": {"weight": "much"}}});
    eventually("the API server takes nonsense", || {
        test.configure(&weights(10, 0));
        let output = test
            .cluster
            .try_shell(&format!("kubectl patch aisc default -n {} --type merge -p '{}'", test.name, json!({"spec": nonsense})), "");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
    let (accepted, why) = test.config_accepted();
    assert_eq!(accepted, "False");
    for field in ["spec.plugins.dataLocalityAware.weight", "spec.plugins.storageTierAware.weight"] {
        assert!(why.contains(field), "{field} is not in: {why}");
    }
    let event = test.event(&test.name, "default", |e| e["reason"] == "InvalidConfig");
    assert!(event["note"].as_str().unwrap().contains("99"), "{event}");
    assert_eq!(place(&test, "p"), "cached");
}

/// The definition is everybody's, so no other test may run.
#[test]
fn definition_may_be_absent_come_go_and_come_again() {
    let test = Test::alone("config-definition");
    let delete = || test.cluster.shell("kubectl delete crd aistorageconfigs.ai-storage.keti");
    torn(&test);
    delete();
    let mut scheduler = test.scheduler();
    assert_eq!(place(&test, "absent"), "nvme");
    test.cluster.install_definition();
    // The log says why the configuration changed: twice each time, to the object's and back to the defaults.
    let follows = |pod: &str, scheduler: &mut Program, n: usize| {
        test.configure(&weights(10, 0));
        assert_eq!(test.config_accepted().0, "True");
        assert_eq!(place(&test, pod), "cached");
        delete();
        scheduler.wait_for_lines(" why=", 2 * n);
    };
    follows("installed", &mut scheduler, 1);
    assert_eq!(place(&test, "gone"), "nvme");
    test.cluster.install_definition();
    follows("installed-again", &mut scheduler, 2);
}
