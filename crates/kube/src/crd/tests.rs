//! The configuration object: defaults, partial objects, faults.
//! Leaves out the API server's part, which runs against a real one.

use super::*;
use aisched_model::config::Traits;
use serde_json::{Value, json};

fn config(spec: Value) -> Config {
    to_config(&AIStorageConfig::new("default", serde_json::from_value(spec).unwrap())).unwrap()
}

fn faults(spec: &Value) -> Vec<String> {
    faults_of_spec(spec, true).iter().map(ToString::to_string).collect()
}

#[test]
fn empty_object_is_the_built_in_default() {
    assert_eq!(config(json!({})), Config::default());
    assert_eq!(config(serde_json::to_value(AIStorageConfigSpec::default()).unwrap()), Config::default());
}

#[test]
fn generated_default_object_means_the_defaults() {
    let objects = crate::documents::parse_documents(&default_config_yaml(), "default-config.yaml").unwrap();
    let [crate::documents::Object::Config(object)] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(to_config(object), Ok(Config::default()));
}

#[test]
fn partial_object_keeps_the_defaults_of_what_it_leaves_out() {
    let read = config(json!({
        "plugins": {"dataLocalityAware": {"weight": 0, "scoring": {"apolloScoreMax": 10}}, "kueueAware": {"enabled": false}},
        "apollo": {"endpoint": " ", "cacheExpirySeconds": 5},
        "storageTiers": {"hdd": {"randomScore": 1}},
        "ioAccounting": false,
    }));
    let mut expected = Config::default();
    expected.plugins.data_locality_aware.weight = 0;
    expected.plugins.data_locality_aware.scoring.apollo = 10;
    expected.plugins.kueue_aware.enabled = false;
    expected.apollo.endpoint = "".into();
    expected.apollo.cache_expiry_ms = 5000;
    expected.storage_tiers.hdd.random = 1;
    expected.io_accounting = false;
    assert_eq!(read, expected);
}

#[test]
fn partial_types_keep_their_own_defaults_and_new_ones_start_plain() {
    let read = config(
        json!({"preprocessingTypes": {"augmentation": {"dataExpansion": 2.5}, "own": {"readIntensive": true, "requiresCSD": true}}}),
    );
    let defaults = Config::default();
    let augmentation = Traits { expansion_hundredths: 250, ..defaults.preprocessing_types["augmentation"] };
    assert_eq!(read.preprocessing_types["augmentation"], augmentation);
    assert_eq!(read.preprocessing_types["filtering"], defaults.preprocessing_types["filtering"]);
    let own = read.preprocessing_types["own"];
    assert_eq!((own.read_intensive, own.csd, own.cpu_intensive, own.sequential, own.expansion_hundredths), (true, true, false, false, 100));
}

#[test]
fn every_fault_is_named_with_path_value_and_bounds() {
    let spec = json!({
        "plugins": {
            "dataLocalityAware": {"weight": 11, "enabled": "yes"},
            "ioPatternBased": {"scoring": {"csdScoreMax": 1.5, "expansionScoreMax": -1}},
            "unheard": {},
        },
        "preprocessingTypes": {"x": {"dataExpansion": -0.1, "colour": true}, "y": 5},
        "apollo": {"cacheExpirySeconds": 0, "endpoint": 5},
        "ioAccounting": null,
    });
    let expected = [
        "spec.apollo.cacheExpirySeconds: 0: expected a whole number from 1 to 3600",
        "spec.apollo.endpoint: 5: expected a text",
        "spec.plugins.dataLocalityAware.enabled: \"yes\": expected true or false",
        "spec.plugins.dataLocalityAware.weight: 11: expected a whole number from 0 to 10",
        "spec.plugins.ioPatternBased.scoring.csdScoreMax: 1.5: expected a whole number from 0 to 100",
        "spec.plugins.ioPatternBased.scoring.expansionScoreMax: -1: expected a whole number from 0 to 100",
        "spec.plugins.unheard: unknown field: expected one of the fields",
        "spec.preprocessingTypes.x.colour: unknown field: expected one of the fields",
        "spec.preprocessingTypes.x.dataExpansion: -0.1: expected a number of at least 0",
        "spec.preprocessingTypes.y: 5: expected a map",
    ];
    let mut found = faults(&spec);
    found.sort();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} is not {expected}");
    }
    assert_eq!(faults_of_spec(&spec, false).len(), expected.len() - 2, "a stored object may have fields of another version");
}

#[test]
fn maxima_of_a_plugin_sum_to_at_most_a_hundred() {
    let spec = |max: i64| json!({"plugins": {"storageTierAware": {"scoring": {"ioPatternScoreMax": max}}}});
    assert_eq!(faults(&spec(40)), Vec::<String>::new());
    assert_eq!(faults(&spec(41)), ["spec.plugins.storageTierAware.scoring: 101: expected maxima that sum to at most 100"]);
}

#[test]
fn endpoint_that_nobody_could_dial_is_a_fault() {
    let spec = |endpoint: &str| json!({"apollo": {"endpoint": endpoint}});
    for good in ["", "apollo:50051", "https://apollo:443", "http://[::1]:50051/"] {
        assert_eq!(faults(&spec(good)), Vec::<String>::new(), "{good:?}");
    }
    let expected = "expected host:port for plaintext, https://host:port for TLS, or nothing to switch APOLLO off";
    assert_eq!(faults(&spec("ftp://x")), [format!("spec.apollo.endpoint: \"ftp://x\" has an unknown scheme: {expected}")]);
    assert_eq!(faults(&spec("apollo")), [format!("spec.apollo.endpoint: \"apollo\" has no port from 1 to 65535: {expected}")]);
    let shown = check(
        "apiVersion: ai-storage.keti/v1\nkind: AIStorageConfig\nmetadata: {name: default}\nspec:\n  apollo:\n    endpoint: ftp://x\n",
        "c.yaml",
    );
    assert_eq!(shown.len(), 1);
    assert!(shown[0].to_string().starts_with("c.yaml:6: AIStorageConfig default: spec.apollo.endpoint: "), "{}", shown[0]);
}

#[test]
fn faults_in_a_file_have_lines() {
    let text = "apiVersion: ai-storage.keti/v1\nkind: AIStorageConfig\nmetadata:\n  name: default\n  namespace: keti\nspec:\n  plugins:\n    dataLocalityAware:\n      weight: 11\n    storageTierAware:\n      scoring:\n        ioPatternScoreMax: ninety\n";
    let faults = check(text, "c.yaml");
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "c.yaml:9: AIStorageConfig keti/default: spec.plugins.dataLocalityAware.weight: \"11\": expected a whole number from 0 to 10",
            "c.yaml:12: AIStorageConfig keti/default: spec.plugins.storageTierAware.scoring.ioPatternScoreMax: \"ninety\": expected a whole number from 0 to 100",
        ]
    );
    assert_eq!(check("kind: Pod\nmetadata: {name: x}\n", "c.yaml").len(), 1, "a file without a configuration");
    assert_eq!(check(&default_config_yaml(), "c.yaml"), []);
}
