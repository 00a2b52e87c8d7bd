//! What is refused, word for word: `testdata/faults.txt` holds a configuration without its first two lines, then its faults (`=> `).
//! Leaves out what configurations mean.

use super::*;

fn faults(text: &str) -> Vec<String> {
    load(text, "f", Features::default()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn faults_name_line_path_value_and_what_would_be_right() {
    let cases = include_str!("../testdata/faults.txt").split("\n\n");
    let mut n_cases = 0;
    for case in cases {
        let (body, expected): (Vec<&str>, Vec<&str>) = case.lines().partition(|line| !line.starts_with("=> "));
        let found: Vec<String> = faults(&format!("{HEAD}{}\n", body.join("\n")))
            .iter()
            .map(|fault| fault.replacen("f:", "=> ", 1).replacen("KubeSchedulerConfiguration: ", "", 1))
            .collect();
        assert_eq!(found, expected, "{}", body.join("\n"));
        n_cases += usize::from(!expected.is_empty());
    }
    assert!(n_cases > 90, "{n_cases} cases read");
}

#[test]
fn text_that_is_no_configuration_is_refused() {
    for (text, expected) in [
        (
            "",
            "f (document 1): KubeSchedulerConfiguration: expected a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1; the file is empty",
        ),
        ("a: [1\nb: 2", "f:2: expected YAML or JSON ("),
        ("- a", "f:1: KubeSchedulerConfiguration: \"a list\": expected a map"),
        ("parallelism: 1\nparallelism: 2", "f:2: expected YAML or JSON (duplicate"),
        (&format!("{HEAD}---\n{HEAD}"), "f:4: KubeSchedulerConfiguration: expected one document"),
        ("kind: KubeSchedulerConfiguration", "f:1: KubeSchedulerConfiguration: apiVersion: expected kubescheduler.config.k8s.io/v1"),
        (
            &HEAD.replace("/v1", "/v1beta3"),
            "f:1: KubeSchedulerConfiguration: apiVersion: \"kubescheduler.config.k8s.io/v1beta3\": expected kubescheduler.config.k8s.io/v1",
        ),
        (
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: Policy",
            "f:2: KubeSchedulerConfiguration: kind: \"Policy\": expected KubeSchedulerConfiguration",
        ),
    ] {
        assert!(faults(text).first().is_some_and(|fault| fault.starts_with(expected)), "{text:?}: {:?}", faults(text));
    }
}

#[test]
fn shape_of_volume_scores_is_refused_where_they_are_off() {
    let features = Features { storage_capacity_scoring: false, ..Features::default() };
    for (args, expected) in [
        ("{bindTimeoutSeconds: 5}", None),
        ("{shape: null}", None),
        ("{shape: [{utilization: 0, score: 1}]}", Some("\"a list\"")),
        ("{shape: []}", Some("\"a list\"")),
    ] {
        let text = format!("{HEAD}profiles: [{{pluginConfig: [{{name: VolumeBinding, args: {args}}}]}}]");
        let found = load(&text, "f", features).err().map(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|value| {
            vec![format!(
                "f:3: KubeSchedulerConfiguration: profiles[0].pluginConfig[0].args.shape: {value}: expected no such field: \
                 unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
            )]
        });
        assert_eq!(found, expected, "{args}");
    }
}

#[test]
fn keys_of_extenders_are_not_shown() {
    let body = "extenders: [{urlPrefix: 'https://x', tlsConfig: {keyData: {secret: s}, certData: 5}}]";
    let shown = faults(&format!("{HEAD}{body}"));
    assert!(shown.iter().any(|f| f.contains("keyData")) && shown.iter().all(|f| !f.contains("secret") && !f.contains('5')), "{shown:?}");
}
