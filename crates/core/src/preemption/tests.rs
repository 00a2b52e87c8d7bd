//! Preemption through the door of decisions: who has to leave which node, and what is said of it.
//! Leaves out carrying it out: that is the engine's tests'.

use super::{Candidate, DefaultPreemptionArgs, Nominate, n_candidates};
use crate::fixture::{Cluster, claiming, labelled, node, pod, requesting, with};
use crate::profile::{Profile, Weight};
use aisched_model::disruption::DisruptionBudget;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{HostPort, Pod, PodAffinityTerm, PreemptionPolicy, SpreadConstraint};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use aisched_model::volume::{Claim, Volume};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const PLUGINS: [&str; 7] =
    ["NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"];

pub(super) fn profile() -> Profile {
    with_plugins(&["DynamicResources", "DefaultPreemption"])
}

fn with_plugins(more: &[&'static str]) -> Profile {
    Profile::of("ai-storage-scheduler", PLUGINS.iter().chain(more).map(|name| (*name, Weight::Fixed(1))))
}

/// A pod of this priority that requests this much of a node's 8 CPUs.
pub(super) fn wants(name: &str, cpu: &str, priority: i32) -> Pod {
    with(requesting(name, cpu, "1Gi"), |s| s.priority = priority)
}

fn since(mut pod: Pod, start_s: i64) -> Pod {
    pod.start_s = Some(start_s);
    pod
}

pub(super) fn of_app(app: &str, pod: Pod) -> Pod {
    with(pod, |s| s.labels = Labels::from([("app", app)]))
}

fn app(value: &str) -> LabelSelector {
    LabelSelector(vec![Requirement { key: "app".into(), operator: Operator::In, values: vec![value.into()] }])
}

fn budget(name: &str, app_value: &str, allowed: i32) -> DisruptionBudget {
    DisruptionBudget { namespace: "default".into(), name: name.into(), selector: Some(app(app_value)), allowed, disrupted: Vec::new() }
}

fn cordoned(name: &str) -> Node {
    Node { unschedulable: true, ..node(name) }
}

/// `node: victims`, or what stands in for it.
fn preempted(cluster: &Cluster, pod: &Pod) -> String {
    let outcome = cluster.outcome(&profile(), pod);
    match (outcome.decision.node, outcome.nominate) {
        (None, Nominate::Ask(_)) => "ask".into(),
        (Some(node), _) => format!("fits {node}"),
        (None, Nominate::Keep) => "keep".into(),
        (None, Nominate::Clear) => "clear".into(),
        (None, Nominate::On(Candidate { node, victims, .. })) => {
            let names: Vec<&str> = victims.iter().map(|v| &*v.name).collect();
            format!("{node}: {}", names.join(" "))
        }
    }
}

fn message(cluster: &Cluster, pod: &Pod) -> String {
    cluster.decide_profile(&profile(), pod).message.unwrap_or_default()
}

#[test]
fn tails_are_kube_schedulers() {
    let full = |name: &str, priority| wants(name, "8", priority);
    let taken = || Cluster::of([node("n1"), node("n2"), cordoned("n3")]).placed("n1", full("a", 10)).placed("n2", full("b", 10));
    let conflicting = with(full("p", 10), |s| {
        let by_name = |name: &str| Requirement { key: "metadata.name".into(), operator: Operator::In, values: vec![name.into()] };
        s.node_affinity.required = Some(vec![NodeSelectorTerm { labels: Vec::new(), fields: vec![by_name("n1"), by_name("n2")] }]);
    });
    let never = with(full("p", 20), |s| s.preemption = PreemptionPolicy::Never);
    let refused = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.";
    for (cluster, pod, expected) in [
        (
            taken(),
            full("p", 10),
            format!(
                "{refused} preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims \
                 found for incoming pod."
            ),
        ),
        (
            Cluster::of([cordoned("n1"), cordoned("n2"), cordoned("n3")]),
            full("p", 10),
            "0/3 nodes are available: 3 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful \
             for scheduling."
                .into(),
        ),
        (
            taken().placed("n1", pod("small")),
            wants("p", "9", 20),
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 \
             Preemption is not helpful for scheduling."
                .into(),
        ),
        (taken(), never, format!("{refused} preemption: not eligible due to preemptionPolicy=Never.")),
        (taken(), conflicting, "0/3 nodes are available: pod affinity terms conflict. not found".into()),
        (Cluster::default(), full("p", 10), "no nodes available to schedule pods".into()),
    ] {
        assert_eq!(message(&cluster, &pod), expected);
    }
    let cluster = taken().placed("n2", with(pod("c"), |s| s.priority = 30));
    let fits_on_n1 = Cluster { snapshot: cluster.placed("n2", wants("d", "0", 30)).snapshot, ..Cluster::default() };
    let found = message(&fits_on_n1, &full("p", 20));
    assert!(found.starts_with(&format!("{refused} preemption: found a potential placement for pod on node n")), "{found}");
    assert!(found.ends_with(", preempting 1 victims"), "{found}");
}

#[test]
fn preemption_is_not_tried_after_a_refusal_for_good_unless_there_is_no_remedy_that_it_cut_off() {
    let cluster = Cluster::of([node("n")]);
    let nowhere = with(wants("p", "1", 10), |s| {
        let by_name = |name: &str| Requirement { key: "metadata.name".into(), operator: Operator::In, values: vec![name.into()] };
        s.node_affinity.required = Some(vec![NodeSelectorTerm { labels: Vec::new(), fields: vec![by_name("a"), by_name("b")] }]);
    });
    let not_helpful = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    for (plugins, tail) in [(&["DynamicResources", "DefaultPreemption"][..], "not found"), (&["DefaultPreemption"], not_helpful)] {
        let outcome = cluster.outcome(&with_plugins(plugins), &nowhere);
        assert_eq!(outcome.decision.message, Some(format!("0/1 nodes are available: pod affinity terms conflict. {tail}")));
    }
}

#[test]
fn reason_that_stays_without_the_victims_is_given() {
    let cluster = Cluster::of([node("n")]).placed("n", wants("low", "2", 0)).placed("n", wants("high", "6", 50));
    assert_eq!(
        message(&cluster, &wants("p", "4", 10)),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Insufficient cpu."
    );
}

#[test]
fn profile_without_the_plugin_says_and_does_nothing() {
    let cluster = Cluster::of([node("n")]).placed("n", wants("low", "8", 0));
    let outcome = cluster.outcome(&Profile::of("s", PLUGINS.map(|name| (name, Weight::Fixed(1)))), &wants("p", "8", 10));
    assert_eq!(outcome.decision.message.as_deref(), Some("0/1 nodes are available: 1 Insufficient cpu."));
    assert_eq!(outcome.nominate, Nominate::Clear);
}

#[test]
fn as_few_and_as_unimportant_pods_as_possible_leave() {
    for (pods, wanted, expected) in [
        // Only strictly lower priority leaves.
        (vec![wants("same", "8", 10)], "1", "clear"),
        (vec![wants("low", "8", 9)], "1", "n: low"),
        // The lowest priority leaves first; one that need not leave stays.
        (vec![wants("low", "4", 1), wants("mid", "4", 5)], "4", "n: low"),
        (vec![wants("low", "2", 1), wants("mid", "6", 5)], "4", "n: mid"),
        (vec![wants("low", "2", 1), wants("mid", "6", 5)], "8", "n: mid low"),
        // Among equals the one that runs longest stays; one that has not started leaves first.
        (vec![since(wants("old", "4", 1), 100), since(wants("new", "4", 1), 200)], "4", "n: new"),
        (vec![since(wants("old", "4", 1), 100), wants("starting", "4", 1)], "4", "n: starting"),
        // Who takes no CPU stays.
        (vec![wants("idle", "0", 1), wants("busy", "8", 5)], "8", "n: busy"),
        (vec![wants("low", "4", 1), wants("high", "4", 20)], "8", "clear"),
    ] {
        let names: Vec<String> = pods.iter().map(|p| p.name.to_string()).collect();
        let cluster = pods.into_iter().fold(Cluster::of([node("n")]), |cluster, pod| cluster.placed("n", pod));
        assert_eq!(preempted(&cluster, &wants("p", wanted, 10)), expected, "{names:?}");
    }
}

#[test]
fn budgets_are_respected_where_that_is_possible() {
    let db = |name: &str, priority| of_app("db", wants(name, "4", priority));
    let web = |name: &str, priority| of_app("web", wants(name, "4", priority));
    let on_n = |pods: Vec<Pod>| pods.into_iter().fold(Cluster::of([node("n")]), |cluster, pod| cluster.placed("n", pod));
    for (cluster, wanted, expected) in [
        // The protected pod comes back first, though it is less important.
        (on_n(vec![db("db", 1), web("web", 5)]).budget(budget("b", "db", 0)), "4", "n: web"),
        (on_n(vec![db("db", 1), web("web", 5)]).budget(budget("b", "db", 1)), "4", "n: db"),
        // It leaves if nothing else helps.
        (on_n(vec![db("db", 1), web("web", 5)]).budget(budget("b", "db", 0)), "8", "n: web db"),
        // A budget of one covers the more important of two.
        (on_n(vec![db("a", 1), db("b", 2)]).budget(budget("b", "db", 1)), "4", "n: b"),
        // What is disrupted already costs nothing.
        (
            on_n(vec![db("db", 1), web("web", 5)]).budget(DisruptionBudget { disrupted: vec!["db".into()], ..budget("b", "db", 0) }),
            "4",
            "n: db",
        ),
    ] {
        assert_eq!(preempted(&cluster, &wants("p", wanted, 10)), expected);
    }
}

#[test]
fn node_is_chosen_in_kube_schedulers_order() {
    let two = || Cluster::of([node("a"), node("b")]);
    let all = |cluster: Cluster, on: &str, pods: &[Pod]| pods.iter().fold(cluster, |cluster, pod| cluster.placed(on, pod.clone()));
    let db = |name: &str, priority| of_app("db", wants(name, "8", priority));
    for (rule, a, b, expected) in [
        ("fewest budgets violated", vec![db("a1", 1)], vec![wants("b1", "8", 9)], "b: b1"),
        ("lowest top priority", vec![wants("a1", "8", 5)], vec![wants("b1", "4", 3), wants("b2", "4", 3)], "b: b1 b2"),
        (
            "lowest sum of priorities",
            vec![wants("a1", "4", 5), wants("a2", "4", 4)],
            vec![wants("b1", "4", 5), wants("b2", "4", 3)],
            "b: b1 b2",
        ),
        ("many of negative priority are not better", vec![wants("a1", "4", -5), wants("a2", "4", -5)], vec![wants("b1", "8", -5)], "b: b1"),
        ("latest start", vec![since(wants("a1", "8", 5), 100)], vec![since(wants("b1", "8", 5), 200)], "b: b1"),
        (
            "of the top victims only",
            vec![since(wants("a1", "4", 5), 200), since(wants("a2", "4", 3), 1)],
            vec![since(wants("b1", "4", 5), 100), since(wants("b2", "4", 3), 300)],
            "a: a1 a2",
        ),
    ] {
        let cluster = all(all(two(), "a", &a), "b", &b).budget(budget("pdb", "db", 0));
        assert_eq!(preempted(&cluster, &wants("p", "8", 10)), expected, "{rule}");
    }
}

#[test]
fn terminating_victim_on_the_nominated_node_is_waited_for() {
    let victim = |change: fn(&mut Pod)| {
        let mut victim = wants("v", "8", 1);
        change(&mut victim);
        victim
    };
    let p = || wants("p", "8", 10);
    let waits = "preemption: not eligible due to a terminating pod on the nominated node.";
    for (victim, condemned, expected) in [
        (victim(|v| (v.deleting, v.preempted) = (true, true)), false, Some(waits)),
        (victim(|_| ()), true, Some(waits)),
        (victim(|v| v.deleting = true), false, None),
        (victim(|v| v.preempted = true), false, None),
        (victim(|v| (v.deleting, v.preempted, v.spec) = (true, true, wants("v", "8", 10).spec)), false, None),
    ] {
        let mut cluster = Cluster::of([node("n"), node("other")]).nominated("n", p()).placed("n", victim);
        cluster = cluster.placed("other", wants("o", "8", 90));
        if condemned {
            cluster.snapshot.nominated.condemn("uid-v".into());
        }
        let message = message(&cluster, &p());
        assert_eq!(message.strip_prefix("0/2 nodes are available: 2 Insufficient cpu. ").filter(|t| *t == waits), expected, "{message}");
        assert_eq!(preempted(&cluster, &p()) == "keep", expected.is_some());
    }
}

#[test]
fn nominated_node_that_can_never_do_is_given_up() {
    let mut victim = wants("v", "8", 1);
    (victim.deleting, victim.preempted) = (true, true);
    let cluster = Cluster::of([cordoned("n"), node("other")]).nominated("n", wants("p", "8", 10));
    let cluster = cluster.placed("n", victim).placed("other", wants("o", "8", 2));
    assert_eq!(preempted(&cluster, &wants("p", "8", 10)), "other: o");
}

#[test]
fn nominated_node_is_taken_before_any_better_one() {
    let cluster = Cluster::of([node("a"), node("b")]).placed("b", wants("busy", "6", 0));
    assert_eq!(preempted(&cluster, &wants("p", "1", 10)), "fits a");
    let cluster = cluster.nominated("b", wants("p", "1", 10));
    let outcome = cluster.outcome(&profile(), &wants("p", "1", 10));
    assert_eq!((outcome.decision.node.as_deref(), outcome.decision.n_feasible), (Some("b"), 1));
    assert_eq!(preempted(&cluster, &wants("p", "3", 10)), "fits a", "when it will not do, the others are looked at");
}

#[test]
fn room_made_for_a_pod_is_kept_for_it() {
    for (nominated_priority, expected) in [(10, "clear"), (11, "clear"), (9, "fits n")] {
        let cluster = Cluster::of([node("n")]).nominated("n", wants("nominated", "6", nominated_priority));
        assert_eq!(preempted(&cluster, &wants("p", "4", 10)), expected, "{nominated_priority}");
    }
}

#[test]
fn affinity_to_a_pod_that_is_only_nominated_does_not_count() {
    let near = |name: &str| PodAffinityTerm {
        selector: Some(app(name)),
        topology_key: "host".into(),
        namespaces: vec!["default".into()],
        ..PodAffinityTerm::default()
    };
    let friend = of_app("friend", wants("friend", "1", 20));
    let p = with(wants("p", "1", 10), |s| s.pod_affinity.required = vec![near("friend")]);
    let there = || Cluster::of([labelled("n", [("host", "n")])]);
    assert_eq!(preempted(&there().placed("n", friend.clone()), &p), "fits n");
    assert_ne!(preempted(&there().nominated("n", friend), &p), "fits n");
}

#[test]
fn filters_that_count_pods_see_the_victims_leave() {
    let zone = |name: &str, zone: &str| labelled(name, [("zone", zone)]);
    let apart = |pod: Pod| {
        let term = PodAffinityTerm {
            selector: Some(app("x")),
            topology_key: "zone".into(),
            namespaces: vec!["default".into()],
            ..PodAffinityTerm::default()
        };
        with(pod, |s| s.pod_anti_affinity.required = vec![term])
    };
    let x = |name: &str, priority| of_app("x", wants(name, "1", priority));
    let spread = with(x("p", 10), |s| {
        s.spread = vec![SpreadConstraint {
            max_skew: 1,
            topology_key: "zone".into(),
            hard: true,
            selector: Some(app("x")),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
            match_label_keys: Vec::new(),
        }];
    });
    let port = |pod: Pod| with(pod, |s| s.host_ports = vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }]);
    for (cluster, pod, expected) in [
        // Its own anti-affinity, and another's; a pod elsewhere in the zone is out of reach.
        (Cluster::of([zone("a", "z")]).placed("a", x("v", 1)).placed("a", x("w", 2)), apart(wants("p", "1", 10)), "a: w v"),
        (Cluster::of([zone("a", "z")]).placed("a", apart(wants("v", "1", 1))), x("p", 10), "a: v"),
        (Cluster::of([zone("a", "z"), zone("b", "z")]).placed("a", x("v", 1)).placed("b", x("w", 1)), apart(wants("p", "1", 10)), "clear"),
        (Cluster::of([zone("a", "y"), Node { unschedulable: true, ..zone("b", "z") }]).placed("a", x("v", 1)), spread, "a: v"),
        (Cluster::of([node("a")]).placed("a", port(wants("v", "1", 1))).placed("a", wants("w", "1", 0)), port(wants("p", "1", 10)), "a: v"),
    ] {
        assert_eq!(preempted(&cluster, &pod), expected);
    }
}

#[test]
fn between_equals_the_data_stays() {
    let on_host = |host: &str| {
        let by_host = Requirement { key: "kubernetes.io/hostname".into(), operator: Operator::In, values: vec![host.into()] };
        Some(vec![NodeSelectorTerm { labels: vec![by_host], fields: Vec::new() }])
    };
    let hosts = || Cluster::of(["a", "b"].map(|n| labelled(n, [("kubernetes.io/hostname", n)])));
    let bound = |cluster: Cluster, on: &str, claim: &str, affinity: Option<Vec<NodeSelectorTerm>>| {
        let owner = with(claiming(&format!("user-{on}"), [claim]), |s| s.requests = wants("r", "8", 1).spec.requests.clone());
        let volume = Volume { name: format!("pv-{claim}").into(), node_affinity: affinity, ..Volume::default() };
        let claim = Claim { name: claim.into(), volume: Some(volume.name.clone()), bind_completed: true, ..Claim::default() };
        cluster.volume(volume).claim(claim).placed(on, owner)
    };
    for (local, remote) in [("a", "b"), ("b", "a")] {
        let cluster = bound(hosts(), local, "local", on_host(local));
        let cluster = bound(cluster, remote, "remote", None);
        assert_eq!(preempted(&cluster, &wants("p", "8", 10)), format!("{remote}: user-{remote}"));
    }
}

#[test]
fn only_reader_of_a_cached_dataset_goes_last() {
    let caching = |name: &str| {
        let mut node = node(name);
        node.storage.cached_datasets = vec!["imagenet".into()];
        node
    };
    let reader = |name: &str, cpu: &str, priority| {
        with(wants(name, cpu, priority), |s| s.annotations = Labels::from([("ai-storage.keti/dataset", "imagenet")]))
    };
    for (sole, shared) in [("a", "b"), ("b", "a")] {
        let cluster = Cluster::of([caching("a"), caching("b")]);
        let cluster = cluster.placed(sole, reader("sole", "8", 1)).placed(shared, reader("one-of-two", "8", 1));
        let cluster = cluster.placed(shared, reader("stays", "0", 50));
        assert_eq!(preempted(&cluster, &wants("p", "8", 10)), format!("{shared}: one-of-two"));
    }
    // On one node too, between pods that are otherwise equal; the name would say otherwise.
    let cluster = Cluster::of([caching("n")]).placed("n", reader("z-reader", "4", 1)).placed("n", wants("a-plain", "4", 1));
    assert_eq!(preempted(&cluster, &wants("p", "4", 10)), "n: a-plain");
}

#[test]
fn enough_candidates_are_a_tenth_of_the_nodes_but_at_least_a_hundred() {
    let counts = [1, 50, 100, 500, 1000, 2000, 5000].map(|n| n_candidates(DefaultPreemptionArgs::default(), n));
    assert_eq!(counts, [1, 50, 100, 100, 100, 200, 500]);
}

#[test]
fn search_goes_on_until_a_candidate_spares_the_budgets() {
    let db = |name: &str| of_app("db", wants(name, "8", 1));
    let args = DefaultPreemptionArgs { min_candidate_nodes_percentage: 1, min_candidate_nodes_absolute: 1 };
    let plugins = [("NodeResourcesFit", Weight::Fixed(1))].map(|(name, w)| (crate::plugins::create(name).unwrap(), w));
    let preemption: alloc::boxed::Box<dyn crate::framework::Plugin> = alloc::boxed::Box::new(super::DefaultPreemption { args });
    let profile = Profile::with("s", plugins.into_iter().chain([(preemption, Weight::Fixed(0))]));
    let cluster = Cluster::of([node("a"), node("b"), node("c"), node("d")]).budget(budget("pdb", "db", 0));
    let cluster = cluster.placed("a", db("a1")).placed("b", db("b1")).placed("c", wants("c1", "8", 9)).placed("d", wants("d1", "8", 1));
    match cluster.outcome(&profile, &wants("p", "8", 10)).nominate {
        Nominate::On(candidate) => assert_eq!((&*candidate.node, candidate.n_violations), ("c", 0), "the first that spares the budget"),
        other => panic!("{other:?}"),
    }
}
