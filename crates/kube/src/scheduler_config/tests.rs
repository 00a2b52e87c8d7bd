//! What configurations mean: defaults, merging, arguments, profiles of the core. Faults are in `tests/faults.rs`.
//! `testdata` holds configurations as kube-scheduler 1.37.2 encodes them and, in `*.plugins`, the plugins that it ran for them.

mod faults;

use super::*;
use crate::documents::{Object, parse_documents};
use aisched_core::plugins::args::{
    BalancedAllocationArgs, DefaultPreemptionArgs, DynamicResourcesArgs, InterPodAffinityArgs, NodeAffinityArgs, NodeResourcesFitArgs,
    PluginArgs, ResourceWeight, ScoringStrategy, ShapePoint, StrategyKind, VolumeBindingArgs,
};
use aisched_core::profile::{DEFAULT_PLUGINS, Points};
use aisched_model::config::Config;
use aisched_model::pod::{NodeAffinity, SpreadConstraint};
use aisched_model::selector::{NodeSelectorTerm, Operator, Requirement};
use aisched_model::snapshot::Snapshot;
use std::fmt::Write;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const DEFAULT_JSON: &str = include_str!("testdata/default.json");
const PROFILES_YAML: &str = include_str!("testdata/profiles.yaml");
const PROFILES_JSON: &str = include_str!("testdata/profiles.json");

fn good(text: &str) -> SchedulerConfig {
    load(text, "f", Features::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn with_body(body: &str) -> SchedulerConfig {
    good(&format!("{HEAD}{body}\n"))
}

/// A single profile of these plugins.
fn of_plugins(plugins: &str) -> ProfileConfig {
    with_body(&format!("profiles: [{{plugins: {plugins}}}]")).profiles.remove(0)
}

/// The names at a point, scores with what they weigh.
fn at(profile: &ProfileConfig, point: Point) -> String {
    let shown = |e: &EnabledPlugin| if e.weight == 0 { e.name.clone() } else { format!("{}={}", e.name, e.weight) };
    profile.plugins.get(&point).map(|plugins| plugins.iter().map(shown).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// All plugins of all profiles, in the form of the recorded lists.
fn shown(config: &SchedulerConfig) -> String {
    let mut text = String::new();
    for profile in &config.profiles {
        writeln!(text, "profile {}", profile.scheduler_name).unwrap();
        for point in profile.plugins.keys() {
            writeln!(text, "  {}: {}", point.key(), at(profile, *point)).unwrap();
        }
    }
    text
}

#[test]
fn plugins_are_those_that_kube_scheduler_runs() {
    for (text, expected) in [
        (HEAD, include_str!("testdata/default.plugins")),
        (DEFAULT_JSON, include_str!("testdata/default.plugins")),
        (PROFILES_YAML, include_str!("testdata/profiles.plugins")),
        (PROFILES_JSON, include_str!("testdata/profiles.plugins")),
    ] {
        assert_eq!(shown(&good(text)), expected);
    }
}

#[test]
fn defaults_are_kube_schedulers() {
    let config = good(HEAD);
    assert_eq!((config.queue.initial_backoff_ms, config.queue.max_backoff_ms, config.queue.max_unschedulable_ms), (1000, 10_000, 300_000));
    assert_eq!((config.parallelism, config.percentage_of_nodes_to_score, config.delay_cache_until_active), (16, None, false));
    assert_eq!(config.client_connection, ClientConnection { kubeconfig: None, qps: None, burst: 100 });
    let leader_election = LeaderElection {
        leader_elect: true,
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
        resource_name: "kube-scheduler".into(),
        resource_namespace: "kube-system".into(),
    };
    assert_eq!(config.leader_election, leader_election);
    assert_eq!(config.profiles[0].args, PluginArgs::default());
    assert_eq!(config.notes, Vec::<String>::new());
    // Null, zero and empty are what was left out.
    let empty =
        "leaderElection: {leaseDuration: 0s, resourceName: ''}\nclientConnection: {qps: 0, burst: 0, kubeconfig: ''}\nprofiles: null";
    let empty = with_body(empty);
    assert_eq!((empty.leader_election, empty.client_connection), (config.leader_election, config.client_connection));
    assert_eq!(empty.profiles, config.profiles);
}

#[test]
fn settings_are_read() {
    let config = with_body(
        "parallelism: 4\npercentageOfNodesToScore: 30\npodInitialBackoffSeconds: 2\npodMaxBackoffSeconds: 60\ndelayCacheUntilActive: true
enableProfiling: false\nclientConnection: {kubeconfig: /etc/k, qps: 5000.5, burst: 5001, contentType: application/json}
leaderElection: {leaderElect: false, leaseDuration: 1m, renewDeadline: 40s, retryPeriod: 500ms, resourceName: n, resourceNamespace: s}
profiles: [{percentageOfNodesToScore: 100}]",
    );
    assert_eq!((config.queue.initial_backoff_ms, config.queue.max_backoff_ms), (2000, 60_000));
    assert_eq!((config.parallelism, config.percentage_of_nodes_to_score, config.delay_cache_until_active), (4, Some(30), true));
    assert_eq!(config.client_connection, ClientConnection { kubeconfig: Some("/etc/k".into()), qps: Some(5000.5), burst: 5001 });
    let election = &config.leader_election;
    assert_eq!((election.leader_elect, election.lease_duration.as_secs(), election.renew_deadline.as_secs()), (false, 60, 40));
    assert_eq!((election.retry_period.as_millis(), &*election.resource_name, &*election.resource_namespace), (500, "n", "s"));
    assert_eq!(config.profiles[0].percentage_of_nodes_to_score, Some(100));
    assert_eq!(config.notes, ["percentageOfNodesToScore 30 changes nothing: every node is always scored"]);
}

#[test]
fn configuration_as_upstreams_tests_write_it_is_read() {
    let config = good(DEFAULT_JSON);
    assert_eq!(config.profiles, good(HEAD).profiles);
    assert!(!config.leader_election.leader_elect);
    let connection = ClientConnection { kubeconfig: Some("/tmp/run-001/kubeconfig".into()), qps: Some(5000.0), burst: 5000 };
    assert_eq!(config.client_connection, connection);
    assert_eq!(good(PROFILES_JSON).profiles, good(PROFILES_YAML).profiles);
}

#[test]
fn arguments_reach_their_plugins() {
    let profiles = good(PROFILES_YAML).profiles;
    let requirement = |key: &str, operator, values: &[&str]| Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|v| (*v).into()).collect(),
    };
    let shape = vec![ShapePoint { utilization: 0, score: 0 }, ShapePoint { utilization: 100, score: 10 }];
    let packing = &profiles[0].args;
    let fit = NodeResourcesFitArgs {
        ignored_resources: vec!["example.com/a".into()],
        ignored_resource_groups: vec!["example.org".into()],
        scoring: ScoringStrategy {
            kind: StrategyKind::RequestedToCapacityRatio(shape),
            resources: vec![ResourceWeight::new("cpu", 3), ResourceWeight::new("nvidia.com/gpu", 1)],
        },
    };
    assert_eq!(packing.node_resources_fit, fit);
    assert!(!packing.pod_topology_spread.system_defaulting);
    let zone = SpreadConstraint {
        max_skew: 2,
        topology_key: "topology.kubernetes.io/zone".into(),
        hard: false,
        selector: None,
        min_domains: None,
        honor_affinity: true,
        honor_taints: true,
        match_label_keys: vec![],
    };
    let host = SpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        hard: true,
        min_domains: Some(3),
        honor_affinity: false,
        honor_taints: false,
        match_label_keys: vec!["pod-template-hash".into()],
        ..zone.clone()
    };
    assert_eq!(packing.pod_topology_spread.default_constraints, [zone, host]);
    let required = NodeSelectorTerm {
        labels: vec![requirement("pool", Operator::In, &["a", "b"]), requirement("cores", Operator::Gt, &["8"])],
        fields: vec![requirement("metadata.name", Operator::NotIn, &["n1"])],
    };
    let preferred = NodeSelectorTerm { labels: vec![requirement("fast", Operator::Exists, &[])], fields: vec![] };
    let pinned = PluginArgs {
        inter_pod_affinity: InterPodAffinityArgs { hard_pod_affinity_weight: 0, ignore_preferred_terms_of_existing_pods: true },
        default_preemption: DefaultPreemptionArgs { min_candidate_nodes_percentage: 0, min_candidate_nodes_absolute: 7 },
        volume_binding: VolumeBindingArgs { bind_timeout_ms: 0, shape: vec![ShapePoint { utilization: 10, score: 3 }] },
        dynamic_resources: DynamicResourcesArgs { filter_timeout_ms: 0, binding_timeout_ms: 90_000 },
        node_affinity: NodeAffinityArgs {
            added_affinity: Some(NodeAffinity { required: Some(vec![required]), preferred: vec![(10, preferred)] }),
        },
        balanced_allocation: BalancedAllocationArgs { resources: vec![ResourceWeight::new("memory", 1)] },
        ..PluginArgs::default()
    };
    assert_eq!(profiles[1].args, pinned);
}

#[test]
fn arguments_left_out_take_their_defaults() {
    for args in [
        "[]",
        "[{name: NodeResourcesFit}]",
        "[{name: NodeResourcesFit, args: null}]",
        "[{name: NodeResourcesFit, args: {scoringStrategy: {type: LeastAllocated}}}]",
        "[{name: NodeResourcesFit, args: {scoringStrategy: {type: LeastAllocated, resources: [{name: cpu, weight: 0}, {name: memory}]}}}]",
        "[{name: NodeResourcesBalancedAllocation, args: {resources: [{name: cpu, weight: 0}, {name: memory}]}}]",
        "[{name: InterPodAffinity, args: {}}, {name: DefaultPreemption, args: {}}, {name: VolumeBinding, args: {shape: []}}]",
        "[{name: DynamicResources, args: {filterTimeout: null}}, {name: PodTopologySpread, args: {defaultingType: ''}}]",
        "[{name: NodeAffinity, args: {kind: NodeAffinityArgs}}, {name: ImageLocality, args: {}}]",
    ] {
        assert_eq!(with_body(&format!("profiles: [{{pluginConfig: {args}}}]")).profiles[0].args, PluginArgs::default(), "{args}");
    }
    let listed = with_body("profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultingType: List}}]}]");
    assert_eq!(listed.profiles[0].args.pod_topology_spread.default_constraints, []);
}

#[test]
fn ai_storage_plugins_take_part_when_they_are_named() {
    let weights = |plugins: &str| -> Vec<(&'static str, i64)> {
        let profile = of_plugins(plugins).to_profile();
        let active = profile.active(&Config::default(), None);
        active.iter().filter(|a| points::is_own(a.plugin.name())).map(|a| (a.plugin.name(), a.weight)).collect()
    };
    let configured = Config::default().plugins.of("DataLocalityAware").map_or(0, |(_, weight)| weight * 1000);
    assert_ne!(configured, 7000);
    for (plugins, expected) in [
        ("{}", vec![]),
        ("{multiPoint: {enabled: [{name: DataLocalityAware}]}}", vec![("DataLocalityAware", configured)]),
        ("{multiPoint: {enabled: [{name: DataLocalityAware, weight: 0}]}}", vec![("DataLocalityAware", configured)]),
        ("{multiPoint: {enabled: [{name: DataLocalityAware, weight: 7}]}}", vec![("DataLocalityAware", 7000)]),
        ("{score: {enabled: [{name: DataLocalityAware, weight: 7}]}}", vec![("DataLocalityAware", 7000)]),
        (
            "{multiPoint: {enabled: [{name: DataLocalityAware, weight: 2}]}, score: {enabled: [{name: DataLocalityAware, weight: 7}]}}",
            vec![("DataLocalityAware", 7000)],
        ),
    ] {
        assert_eq!(weights(plugins), expected, "{plugins}");
    }
    assert!(!of_plugins("{}").to_profile().has_ai_plugins());
    assert!(of_plugins("{filter: {enabled: [{name: StorageTierAware}]}}").to_profile().has_ai_plugins());
}

#[test]
fn plugin_takes_part_at_the_points_that_enable_it_alone() {
    let all = Points { pre_enqueue: false, post_filter: false, ..Points::ALL };
    for (plugin, plugins, expected) in [
        ("TaintToleration", "{}", all),
        ("TaintToleration", "{filter: {disabled: [{name: TaintToleration}]}}", Points { filter: false, ..all }),
        ("TaintToleration", "{preFilter: {disabled: [{name: '*'}]}}", Points { pre_filter: false, ..all }),
        ("TaintToleration", "{score: {disabled: [{name: '*'}]}}", Points { score: false, ..all }),
        (
            "TaintToleration",
            "{multiPoint: {disabled: [{name: TaintToleration}]}, score: {enabled: [{name: TaintToleration}]}}",
            Points { score: true, ..Points::NONE },
        ),
        (
            "DataLocalityAware",
            "{filter: {enabled: [{name: DataLocalityAware}]}}",
            Points { pre_filter: true, filter: true, ..Points::NONE },
        ),
        ("DataLocalityAware", "{score: {enabled: [{name: DataLocalityAware}]}}", Points { score: true, ..Points::NONE }),
    ] {
        let profile = of_plugins(plugins).to_profile();
        let active = profile.active(&Config::default(), None);
        let points = active.iter().find(|a| a.plugin.name() == plugin).map(|a| a.points);
        assert_eq!(points, Some(expected), "{plugin} of {plugins}");
    }
    assert!(holds_back(&of_plugins("{}")));
    assert!(!holds_back(&of_plugins("{preEnqueue: {disabled: [{name: SchedulingGates}]}}")));
}

/// Whether a pod with a scheduling gate is held back.
fn holds_back(profile: &ProfileConfig) -> bool {
    let text = "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {schedulingGates: [{name: g}]}}";
    match &parse_documents(text, "f").unwrap()[..] {
        [Object::Pod(pod, _)] => profile.to_profile().gate(pod, &Snapshot::default()).is_some(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn profile_runs_its_plugins_in_the_order_of_the_filters_and_of_the_gates() {
    let order = |plugins: &str| of_plugins(plugins).in_order().join(" ");
    let default = order("{}");
    let position = |name: &str| default.split(' ').position(|n| n == name).unwrap();
    for (before, after) in [
        ("SchedulingGates", "DynamicResources"),
        ("DynamicResources", "DefaultPreemption"),
        ("NodeName", "NodeUnschedulable"),
        ("InterPodAffinity", "DynamicResources"),
        ("DynamicResources", "NodeDeclaredFeatures"),
    ] {
        assert!(position(before) < position(after), "{before} not before {after} in {default}");
    }
    let own = "{multiPoint: {disabled: [{name: '*'}], enabled: [{name: PrioritySort}, {name: DefaultBinder}]}, \
        filter: {enabled: [{name: NodePorts}, {name: NodeName}]}, preFilter: {enabled: [{name: NodeName}, {name: NodePorts}]}}";
    assert!(order(own).ends_with("NodePorts NodeName"), "{}", order(own));
}

#[test]
fn plugins_that_this_build_lacks_are_named_once() {
    let profile = "{schedulerName: NAME, plugins: {multiPoint: {enabled: [{name: PodGroupPodsCount}, {name: DataLocalityAware}]}}}";
    let config = with_body(&format!("profiles: [{}, {}]", profile.replace("NAME", "a"), profile.replace("NAME", "b")));
    assert_eq!(config.missing_plugins.iter().filter(|name| *name == "PodGroupPodsCount").count(), 1);
    assert!(config.missing_plugins.iter().all(|name| !points::is_built(name)));
    // Every default plugin is either there or named.
    let lacking: Vec<&str> = DEFAULT_PLUGINS.iter().map(|(name, _)| *name).filter(|name| !points::is_built(name)).collect();
    let mut missing = good(HEAD).missing_plugins;
    missing.sort_unstable_by_key(|name| lacking.iter().position(|l| l == name));
    assert_eq!(missing, lacking);
}

#[test]
fn plugins_that_kube_scheduler_once_had_may_still_be_disabled() {
    let profile = of_plugins("{filter: {disabled: [{name: EBSLimits}, {name: NodePorts}]}}");
    assert!(!profile.runs(Point::Filter, "NodePorts") && profile.runs(Point::PreFilter, "NodePorts"));
}

#[test]
fn file_of_either_configuration_is_checked() {
    let ai =
        "{apiVersion: ai-storage.keti/v1, kind: AIStorageConfig, metadata: {name: d}, spec: {plugins: {dataLocalityAware: {weight: 11}}}}";
    let neither = "f (document 1): expected an AIStorageConfig of ai-storage.keti/v1 or a KubeSchedulerConfiguration of \
        kubescheduler.config.k8s.io/v1; the file holds neither";
    for (text, expected) in [
        (HEAD, &[][..]),
        (&ai.replace("11", "10"), &[]),
        (ai, &["f:1: AIStorageConfig d: spec.plugins.dataLocalityAware.weight: \"11\": expected a whole number from 0 to 10"]),
        (&format!("{HEAD}parallelism: 0"), &["f:3: KubeSchedulerConfiguration: parallelism: \"0\": expected a whole number of at least 1"]),
        ("kind: Pod", &[neither]),
        ("", &[neither]),
    ] {
        assert_eq!(check(text, "f").iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
    }
    assert!(check("a: [1\nb: 2", "f")[0].to_string().contains("expected YAML or JSON"));
}

#[test]
fn extenders_are_read_with_defaults_and_those_that_can_be_done_without_come_last() {
    let config = with_body(
        "extenders:\n- {urlPrefix: 'http://a', filterVerb: f, ignorable: true, enableHTTPS: true}\n\
         - {urlPrefix: 'https://b/x', prioritizeVerb: p, weight: 3, httpTimeout: 100ms, enableHTTPS: true, tlsConfig: {caFile: /ca}, \
         managedResources: [{name: e.x/gpu, ignoredByScheduler: true}, {name: e.x/tpu}]}\n\
         profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {ignoredResources: [e.x/other]}}]}]",
    );
    let [b, a] = &config.extenders[..] else { panic!("{:?}", config.extenders) };
    assert_eq!((&*a.url_prefix, &*a.filter_verb, a.http_timeout, a.tls.insecure), ("http://a", "f", Duration::from_secs(5), true));
    assert_eq!((&*b.url_prefix, b.weight, b.http_timeout, b.tls.insecure), ("https://b/x", 3, Duration::from_millis(100), false));
    assert_eq!(b.managed_resources, ["e.x/gpu", "e.x/tpu"]);
    assert_eq!(config.profiles[0].args.node_resources_fit.ignored_resources, ["e.x/gpu".into()], "in place of the profile's own");
}
