//! What pod affinity and anti-affinity refuse, score and wait for, row by row.
//! The same rules against a naive reading of their definition: `tests_random`.

use super::InterPodAffinity;
use crate::fixture::{Cluster, pod, with};
use crate::framework::{ClusterEvent, Plugin};
use crate::plugins::args::InterPodAffinityArgs;
use crate::plugins::fixture_domains::{cluster, labelled_pod, node_of, scores, term, term_in, verdicts};
use aisched_model::labels::Labels;
use aisched_model::node::PlacedPod;
use aisched_model::pod::{Pod, PodAffinityTerm};
use aisched_model::storage_facts::IoDemand;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Which of a pod's four lists of terms.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Near,
    Apart,
    /// Preferred, with this weight.
    Rather(i32),
    RatherApart(i32),
}
use Kind::{Apart, Near, Rather, RatherApart};

/// Adds terms to a pod.
fn wanting(text: &str, terms: impl IntoIterator<Item = (Kind, PodAffinityTerm)>) -> Pod {
    with(labelled_pod("p", text), |s| {
        for (kind, term) in terms {
            match kind {
                Near => s.pod_affinity.required.push(term),
                Apart => s.pod_anti_affinity.required.push(term),
                Rather(weight) => s.pod_affinity.preferred.push((weight, term)),
                RatherApart(weight) => s.pod_anti_affinity.preferred.push((weight, term)),
            }
        }
    })
}

/// Two namespaces beside `default`, told apart by team.
fn teams(cluster: Cluster) -> Cluster {
    let mut cluster = cluster;
    for (name, team) in [("default", "a"), ("other", "b")] {
        cluster.snapshot.namespaces.insert(name.into(), Labels::from([("team", team)]));
    }
    cluster
}

fn check_verdicts<const N: usize>(rows: [(&str, &str, Pod, &str); N]) {
    for (what, nodes, pod, expected) in rows {
        assert_eq!(verdicts(&InterPodAffinity::default(), &teams(cluster(nodes)), &pod), expected, "{what}");
    }
}

/// What is asked; nodes; pods that are there with their node; the incoming pod; the answer.
type Row<'a> = (&'a str, &'a str, Vec<(&'a str, Pod)>, Pod, &'a str);

fn check_existing<const N: usize>(judge: fn(&dyn Plugin, &Cluster, &Pod) -> String, rows: [Row<'_>; N]) {
    for (what, nodes, existing, pod, expected) in rows {
        let place =
            |cluster: Cluster, (i, (on, pod)): (usize, (&str, Pod))| cluster.placed(on, Pod { uid: format!("existing-{i}").into(), ..pod });
        let cluster = existing.into_iter().enumerate().fold(teams(cluster(nodes)), place);
        assert_eq!(judge(&InterPodAffinity::default(), &cluster, &pod), expected, "{what}");
    }
}

#[test]
fn pod_goes_only_where_one_pod_matches_every_affinity_term() {
    let near = |terms: &[(&str, &str)]| wanting("", terms.iter().map(|(key, selected)| (Near, term(key, selected))));
    let zones = "a zone=1 | app=web; b zone=1; c zone=2; d";
    check_verdicts([
        ("domain of a match", zones, near(&[("zone", "app=web")]), "a+ b+ cx dx"),
        ("NotIn", zones, near(&[("zone", "app!=db")]), "a+ b+ cx dx"),
        ("key exists", zones, near(&[("zone", "app")]), "a+ b+ cx dx"),
        ("no match", zones, near(&[("zone", "app=db")]), "ax bx cx dx"),
        ("one of two requirements", zones, near(&[("zone", "app=web,tier=1")]), "ax bx cx dx"),
        ("no selector", zones, near(&[("zone", "none")]), "ax bx cx dx"),
        ("selects everything", zones, near(&[("zone", "")]), "a+ b+ cx dx"),
        ("other namespace", "a zone=1 | other/app=web", near(&[("zone", "app=web")]), "ax"),
        ("match on its way out", "a zone=1 | -app=web; b zone=2", near(&[("zone", "app=web")]), "a+ bx"),
        ("match on a node without the key", "a | app=web; b zone=1", near(&[("zone", "app=web")]), "ax bx"),
        ("all terms on one pod", "a zone=1 | app=web,tier=1; b zone=2", near(&[("zone", "app=web"), ("zone", "tier=1")]), "a+ bx"),
        ("terms on two pods", "a zone=1 | app=web tier=1; b zone=2", near(&[("zone", "app=web"), ("zone", "tier=1")]), "ax bx"),
        (
            "several keys",
            "a zone=1 rack=1 | app=web; b zone=1 rack=2; c zone=2 rack=1; d zone=1",
            near(&[("zone", "app=web"), ("rack", "app=web")]),
            "a+ bx cx dx",
        ),
        (
            "each key by another match",
            "a zone=1 rack=1 | app=web; b zone=2 rack=2 | app=web; c zone=1 rack=2",
            near(&[("zone", "app=web"), ("rack", "app=web")]),
            "a+ b+ c+",
        ),
    ]);
}

#[test]
fn first_pod_of_a_group_goes_where_the_keys_are() {
    let own = |terms: &[(&str, &str)]| wanting("app=web", terms.iter().map(|(key, selected)| (Near, term(key, selected))));
    check_verdicts([
        ("nobody there", "a zone=1; b", own(&[("zone", "app=web")]), "a+ bx"),
        ("others there", "a zone=1 | app=db; b zone=2", own(&[("zone", "app=web")]), "a+ b+"),
        ("group there", "a zone=1 | app=web; b zone=2", own(&[("zone", "app=web")]), "a+ bx"),
        ("not one's own kind", "a zone=1; b", own(&[("zone", "app=db")]), "ax bx"),
        ("only one of the terms", "a zone=1; b", own(&[("zone", "app=web"), ("zone", "tier=1")]), "ax bx"),
        ("both keys needed", "a zone=1; b zone=1 rack=1", own(&[("zone", "app=web"), ("rack", "app")]), "ax b+"),
        // A match where no key is does not count as the group.
        ("group where no key is", "a | app=web; b zone=1", own(&[("zone", "app=web")]), "ax b+"),
        ("group where one key is", "a zone=1 | app=web; b zone=1 rack=1", own(&[("zone", "app=web"), ("rack", "app")]), "ax bx"),
    ]);
    let elsewhere = Pod { namespace: "other".into(), ..own(&[("zone", "app=web")]) };
    assert_eq!(verdicts(&InterPodAffinity::default(), &cluster("a zone=1"), &elsewhere), "ax", "term is about another namespace");
}

#[test]
fn pod_keeps_away_from_what_any_anti_affinity_term_matches() {
    let apart = |terms: &[(&str, &str)]| wanting("", terms.iter().map(|(key, selected)| (Apart, term(key, selected))));
    let zones = "a zone=1 | app=web; b zone=1; c zone=2; d | app=web";
    check_verdicts([
        ("domain of a match", zones, apart(&[("zone", "app=web")]), "a- b- c+ d+"),
        ("no match", zones, apart(&[("zone", "app=db")]), "a+ b+ c+ d+"),
        ("no selector", zones, apart(&[("zone", "none")]), "a+ b+ c+ d+"),
        ("any of two terms", zones, apart(&[("zone", "app=db"), ("zone", "app")]), "a- b- c+ d+"),
        ("match but no key", zones, apart(&[("rack", "app=web")]), "a+ b+ c+ d+"),
        (
            "one of two keys",
            "a zone=1 rack=1 | app=web; b zone=2 rack=1; c zone=2",
            apart(&[("zone", "app=db"), ("rack", "app=web")]),
            "a- b- c+",
        ),
        ("other namespace", "a zone=1 | other/app=web", apart(&[("zone", "app=web")]), "a+"),
        ("match on its way out", "a zone=1 | -app=web", apart(&[("zone", "app=web")]), "a-"),
        ("affinity is asked first", zones, wanting("", [(Near, term("zone", "app=db")), (Apart, term("zone", "app=web"))]), "ax bx cx dx"),
        (
            "near and apart",
            "a host zone=1 | app=web; b host zone=1; c host zone=2",
            wanting("", [(Near, term("zone", "app=web")), (Apart, term("kubernetes.io/hostname", "app=web"))]),
            "a- b+ cx",
        ),
        ("nothing wanted", zones, pod("p"), "skipped"),
        ("only preferred", zones, wanting("", [(Rather(1), term("zone", "app=web")), (RatherApart(1), term("zone", "app"))]), "skipped"),
    ]);
}

#[test]
fn pods_that_are_there_keep_others_away() {
    let guard = |selected| wanting("app=guard", [(Apart, term("zone", selected))]);
    let web = || labelled_pod("p", "app=web");
    let zones = "a zone=1; b zone=1; c zone=2; d";
    check_existing(
        verdicts,
        [
            ("matched", zones, vec![("a", guard("app=web"))], web(), "a~ b~ c+ d+"),
            ("not matched", zones, vec![("a", guard("app=db"))], web(), "skipped"),
            ("guard where no key is", zones, vec![("d", guard("app=web"))], web(), "skipped"),
            ("several", zones, vec![("a", guard("app")), ("c", guard("app=web"))], web(), "a~ b~ c~ d+"),
            (
                "any of its terms",
                zones,
                vec![("a", wanting("", [(Apart, term("zone", "x")), (Apart, term("zone", "app"))]))],
                web(),
                "a~ b~ c+ d+",
            ),
            ("on its way out", zones, vec![("a", Pod { deleting: true, ..guard("app=web") })], web(), "a~ b~ c+ d+"),
            ("other namespace", zones, vec![("a", guard("app=web"))], labelled_pod("p", "other/app=web"), "skipped"),
            ("preferred is no reason", zones, vec![("a", wanting("", [(RatherApart(9), term("zone", "app=web"))]))], web(), "skipped"),
            (
                "own terms are asked first",
                zones,
                vec![("a", guard("app"))],
                wanting("app=web", [(Apart, term("zone", "app=guard"))]),
                "a- b- c+ d+",
            ),
            (
                "affinity all the same",
                zones,
                vec![("a", guard("app"))],
                wanting("app=web", [(Near, term("zone", "app=guard"))]),
                "a~ b~ cx dx",
            ),
        ],
    );
}

#[test]
fn namespaces_are_listed_or_selected_by_label() {
    let nodes = "a zone=1 | other/app=web; b zone=2 | app=web; c zone=3 | unknown/app=web";
    let listed = |names: &[&str]| PodAffinityTerm { namespaces: names.iter().map(|n| (*n).into()).collect(), ..term("zone", "app=web") };
    let both = PodAffinityTerm { namespaces: vec!["default".into()], ..term_in("zone", "app=web", "team=b") };
    check_verdicts([
        ("own", nodes, wanting("", [(Near, term("zone", "app=web"))]), "ax b+ cx"),
        ("listed", nodes, wanting("", [(Near, listed(&["other", "unknown"]))]), "a+ bx c+"),
        ("selected", nodes, wanting("", [(Near, term_in("zone", "app=web", "team=b"))]), "a+ bx cx"),
        (
            "selected by absence: unknown namespaces are no candidates",
            nodes,
            wanting("", [(Near, term_in("zone", "app=web", "!x"))]),
            "a+ b+ cx",
        ),
        ("all", nodes, wanting("", [(Near, term_in("zone", "app=web", ""))]), "a+ b+ c+"),
        ("none selected", nodes, wanting("", [(Near, term_in("zone", "app=web", "team=z"))]), "ax bx cx"),
        ("listed or selected", nodes, wanting("", [(Near, both)]), "a+ b+ cx"),
        ("apart from selected", nodes, wanting("", [(Apart, term_in("zone", "app=web", "team=b"))]), "a- b+ c+"),
        ("apart from all", nodes, wanting("", [(Apart, term_in("zone", "app=web", ""))]), "a- b- c-"),
    ]);
    let guard = |namespaces| vec![("a", wanting("app=guard", [(Apart, term_in("zone", "app=web", namespaces))]))];
    let (zone, other, unknown) = ("a zone=1", labelled_pod("p", "other/app=web"), labelled_pod("p", "unknown/app=web"));
    check_existing(
        verdicts,
        [
            ("guard against the pod's namespace", zone, guard("team=b"), other.clone(), "a~"),
            ("guard against another", zone, guard("team=a"), other.clone(), "skipped"),
            ("guard against all", zone, guard(""), unknown.clone(), "a~"),
            ("an unknown namespace has no labels", zone, guard("!team"), unknown, "a~"),
            ("a known one has its own", zone, guard("!team"), other, "skipped"),
        ],
    );
}

#[test]
fn preferences_of_the_pod_add_up_per_domain() {
    let zones = "a zone=1 | 2*app=web; b zone=1; c zone=2 | app=web; d";
    let rather = |weight, selected| wanting("", [(Rather(weight), term("zone", selected))]);
    let apart = |weight, selected| wanting("", [(RatherApart(weight), term("zone", selected))]);
    let cases: [(&str, &str, Pod, &str); 10] = [
        ("more matches", zones, rather(5, "app=web"), "a:100 b:100 c:50 d:0"),
        ("fewer matches", zones, apart(5, "app=web"), "a:0 b:0 c:50 d:100"),
        ("no match", zones, rather(5, "app=db"), "skipped"),
        ("no preference", zones, labelled_pod("p", "app=web"), "skipped"),
        ("all alike", "a zone=1 | app=web; b zone=2 | app=web", rather(5, "app=web"), "a:0 b:0"),
        (
            "weights cancel",
            zones,
            wanting("", [(Rather(5), term("zone", "app=web")), (RatherApart(5), term("zone", "app"))]),
            "a:0 b:0 c:0 d:0",
        ),
        // -10, 5, 20.
        (
            "stretched over the range",
            "a zone=1 | app=x; b zone=2 | app=y; c zone=3 | app=z",
            wanting(
                "",
                [(RatherApart(10), term("zone", "app=x")), (Rather(5), term("zone", "app=y")), (Rather(20), term("zone", "app=z"))],
            ),
            "a:0 b:50 c:100",
        ),
        // 29 of 100 in floating point is 28.999….
        (
            "cut off",
            "a zone=1 | app=x; b zone=2 | app=y; c zone=3",
            wanting("", [(Rather(29), term("zone", "app=x")), (Rather(100), term("zone", "app=y"))]),
            "a:28 b:100 c:0",
        ),
        (
            "keys add up",
            "a zone=1 rack=1 | app=web; b zone=1 rack=2; c zone=2 rack=1; d zone=2 rack=2",
            wanting("", [(Rather(3), term("zone", "app=web")), (Rather(1), term("rack", "app=web"))]),
            "a:100 b:75 c:25 d:0",
        ),
        ("pods anywhere count", "a zone=1; a2 zone=1 cordoned | app=web; b zone=2", rather(1, "app=web"), "a:100 b:0"),
    ];
    for (what, nodes, pod, expected) in cases {
        assert_eq!(scores(&InterPodAffinity::default(), &teams(cluster(nodes)), &pod), expected, "{what}");
    }
}

#[test]
fn preferences_of_pods_that_are_there_count_too() {
    let web = || labelled_pod("p", "app=web");
    let fan = |kind| vec![("a", wanting("app=fan", [(kind, term("zone", "app=web"))]))];
    let zones = "a zone=1; b zone=2; c zone=2";
    check_existing(
        scores,
        [
            ("preferred", zones, fan(Rather(5)), web(), "a:100 b:0 c:0"),
            ("preferred apart", zones, fan(RatherApart(5)), web(), "a:0 b:100 c:100"),
            ("required counts 1", zones, fan(Near), web(), "a:100 b:0 c:0"),
            ("required apart refuses but does not score", zones, fan(Apart), web(), "skipped"),
            ("not about the pod", zones, fan(Rather(5)), labelled_pod("p", "app=db"), "skipped"),
            ("other namespace", zones, fan(Rather(5)), labelled_pod("p", "other/app=web"), "skipped"),
            (
                "namespace by label",
                zones,
                vec![("b", wanting("", [(Rather(1), term_in("zone", "app", "team=b"))]))],
                labelled_pod("p", "other/app=web"),
                "a:0 b:100 c:100",
            ),
            // 1 for the required term on a, 2 for the preferred one on b.
            (
                "required and preferred",
                "a zone=1; b zone=2; c zone=3",
                vec![("a", wanting("", [(Near, term("zone", "app=web"))])), ("b", wanting("", [(Rather(2), term("zone", "app=web"))]))],
                web(),
                "a:50 b:100 c:0",
            ),
            ("both ways", zones, fan(Rather(1)), wanting("app=web", [(RatherApart(2), term("zone", "app=fan"))]), "a:0 b:100 c:100"),
        ],
    );
}

#[test]
fn arguments_weigh_and_silence_existing_pods() {
    let nodes = cluster("a zone=1; b zone=2; c zone=3")
        .placed("a", wanting("app=fan", [(Near, term("zone", "app=web"))]))
        .placed("b", Pod { uid: "2".into(), ..wanting("app=fan", [(Rather(20), term("zone", "app=web"))]) });
    let indifferent = labelled_pod("p", "app=web");
    let choosy = wanting("app=web", [(Rather(1), term("zone", "app=nobody"))]);
    for (hard_pod_affinity_weight, ignore, pod, expected) in [
        (1, false, &indifferent, "a:5 b:100 c:0"),
        (40, false, &indifferent, "a:100 b:50 c:0"),
        (0, false, &indifferent, "a:0 b:100 c:0"),
        (1, true, &indifferent, "skipped"),
        (1, true, &choosy, "a:5 b:100 c:0"),
    ] {
        let args = InterPodAffinityArgs { hard_pod_affinity_weight, ignore_preferred_terms_of_existing_pods: ignore };
        assert_eq!(scores(&InterPodAffinity { args }, &nodes, pod), expected, "{hard_pod_affinity_weight} {ignore}");
    }
}

#[test]
fn refusals_have_kube_schedulers_words_and_the_numbers() {
    let incoming = wanting("app=web", [(Near, term("zone", "app=db")), (Apart, term("rack", "app=db"))]);
    let nodes = cluster("a zone=1 rack=1 | app=db; b zone=1; c zone=2; d").placed("b", wanting("", [(Apart, term("zone", "app=web"))]));
    let decision = nodes.decide(&["InterPodAffinity"], &incoming);
    for (node, message, detail) in [
        ("a", "node(s) didn't match pod anti-affinity rules", "rack=1: 1 pods match an anti-affinity term"),
        ("b", "node(s) didn't satisfy existing pods anti-affinity rules", "zone=1: 1 anti-affinity terms of pods there match"),
        ("c", "node(s) didn't match pod affinity rules", "zone=2: no pod that matches every affinity term"),
        ("d", "node(s) didn't match pod affinity rules", "no label zone"),
    ] {
        let reason = &decision.nodes.iter().find(|n| *n.node == *node).unwrap().reasons[0];
        assert_eq!((&*reason.message, reason.detail.as_deref()), (message, Some(detail)), "{node}");
    }
    assert_eq!(
        decision.message.as_deref(),
        Some(
            "0/4 nodes are available: 1 node(s) didn't match pod anti-affinity rules, \
             1 node(s) didn't satisfy existing pods anti-affinity rules, 2 node(s) didn't match pod affinity rules."
        )
    );
}

#[test]
fn plugin_without_points_is_reported_as_skipped() {
    let nodes = cluster("a zone=1 | app=web; b zone=2");
    let score = |pod: &Pod| nodes.decide(&["InterPodAffinity"], pod).score("a", "InterPodAffinity");
    assert_eq!(score(&pod("p")), None);
    assert_eq!(score(&wanting("", [(Rather(1), term("zone", "app=web"))])), Some(100));
}

/// Asks whether something that happens to a placed pod helps a waiting one.
fn helped(waiting: &Pod, old: Option<&Pod>, new: Option<&Pod>) -> bool {
    let event = match (old, new) {
        (None, Some(new)) => ClusterEvent::PodPlaced(new),
        (Some(old), Some(new)) => ClusterEvent::PodChanged { old, new },
        (Some(old), None) => ClusterEvent::PodRemoved(old),
        (None, None) => panic!("no event"),
    };
    InterPodAffinity::default().helps(waiting, &event)
}

#[test]
fn affinity_waits_for_a_pod_that_matches_every_term() {
    let near = || wanting("app=p", [(Near, term("zone", "app=web")), (Near, term("rack", "tier=1"))]);
    let of_team = wanting("", [(Near, term_in("zone", "app=web", "team=b"))]);
    let group = wanting("app=web", [(Near, term("zone", "app=web"))]);
    for (what, waiting, old, new, expected) in [
        ("placed, matches", near(), "", "app=web,tier=1", true),
        ("placed, matches one term", near(), "", "app=web", false),
        ("placed in another namespace", near(), "", "other/app=web,tier=1", false),
        ("placed in a namespace that may be selected", of_team.clone(), "", "other/app=web", true),
        ("placed there, not selected", of_team, "", "other/app=db", false),
        ("begins to match", near(), "app=web", "app=web,tier=1", true),
        ("still matches", near(), "app=web,tier=1", "app=web,tier=1,x=1", false),
        ("ends to match", near(), "app=web,tier=1", "app=web", false),
        ("removed", near(), "app=web,tier=1", "", false),
        ("last of the group removed", group.clone(), "app=web", "", true),
        ("last of the group changes sides", group.clone(), "app=web", "app=db", true),
        ("stranger removed", group, "app=db", "", false),
        ("no terms", pod("p"), "", "app=web", false),
    ] {
        let [old, new] = [old, new].map(|text| (!text.is_empty()).then(|| labelled_pod("o", text)));
        assert_eq!(helped(&waiting, old.as_ref(), new.as_ref()), expected, "{what}");
    }
}

#[test]
fn anti_affinity_waits_for_a_pod_to_stop_matching_or_guarding() {
    let apart = || wanting("app=p", [(Apart, term("zone", "app=web")), (Apart, term("rack", "tier=1"))]);
    for (what, old, new, expected) in [
        ("placed", "", "app=web", false),
        ("removed, matched both", "app=web,tier=1", "", true),
        ("removed, matched one", "tier=1", "", true),
        ("removed, matched none", "app=db", "", false),
        ("removed in another namespace", "other/app=web", "", false),
        ("matches none any more", "tier=1", "tier=2", true),
        ("matches one still", "app=web,tier=1", "tier=1", false),
        ("begins to match", "app=db", "app=web", false),
    ] {
        let [old, new] = [old, new].map(|text| (!text.is_empty()).then(|| labelled_pod("o", text)));
        assert_eq!(helped(&apart(), old.as_ref(), new.as_ref()), expected, "{what}");
    }
    // Whether the second term was about the pod is not known: it may have been freed.
    let unsure = wanting("", [(Apart, term("zone", "app=web")), (Apart, term_in("zone", "app=db", "team=b"))]);
    let [web, db] = ["app=web", "app=db"].map(|text| labelled_pod("o", text));
    assert!(helped(&unsure, Some(&web), Some(&db)), "may be freed");
    assert!(!helped(&unsure, Some(&db), Some(&web)), "is shunned for sure");
    assert!(!helped(&unsure, Some(&db), Some(&Pod { deleting: true, ..db.clone() })), "labels as before");
    let guard = |selected| wanting("app=guard", [(Apart, term("zone", "x=1")), (Apart, term("zone", selected))]);
    let waiting = labelled_pod("p", "app=web");
    assert!(helped(&waiting, Some(&guard("app=web")), None), "guard against the pod removed");
    assert!(!helped(&waiting, Some(&guard("app=db")), None), "guard against others removed");
}

#[test]
fn own_labels_help_and_nothing_else_of_the_pod() {
    let (old, new) = (labelled_pod("p", "app=web"), labelled_pod("p", "app=db"));
    let more_urgent = with(old.clone(), |s| s.priority = 7);
    let helps = |new: &Pod| InterPodAffinity::default().helps(new, &ClusterEvent::OwnChange { old: &old, new });
    assert!(helps(&new));
    assert!(!helps(&more_urgent));
}

#[test]
fn node_events_help_by_the_topology_keys_of_affinity_and_by_any_label_that_goes() {
    let near = wanting("", [(Near, term("zone", "app"))]);
    let apart = wanting("", [(Apart, term("zone", "app"))]);
    let plugin = InterPodAffinity::default();
    // Without terms of its own a pod was refused by those of pods that are there, as one with anti-affinity may have been.
    for (old, new, nearer, others) in [
        ("", "n zone=1", true, true),
        ("", "n rack=1", false, true),
        ("", "n", false, true),
        ("n zone=1", "n zone=1 x=1", false, false),
        ("n zone=1", "n zone=2", true, true),
        ("n", "n zone=1", true, false),
        ("n zone=1", "n", true, true),
        ("n rack=1", "n rack=2", true, true),
        ("n zone=1", "n zone=1 tainted", false, false),
    ] {
        let (before, after) = (node_of(old), node_of(new));
        let event = if old.is_empty() { ClusterEvent::NodeAdded(&after) } else { ClusterEvent::NodeChanged { old: &before, new: &after } };
        let helped = [&near, &apart, &pod("p")].map(|pod| plugin.helps(pod, &event));
        assert_eq!(helped, [nearer, others, others], "{old} to {new}");
    }
    let guard = wanting("", [(Apart, term("zone", "app"))]);
    let on_it = |pod: Pod| PlacedPod::new(Arc::new(pod), IoDemand::default());
    for (pods, helped) in [(vec![], false), (vec![on_it(pod("q"))], false), (vec![on_it(pod("q")), on_it(guard)], true)] {
        let node = node_of("n zone=1");
        let event = ClusterEvent::NodeGone(&node, &pods);
        assert_eq!(plugin.helps(&labelled_pod("p", "app=x"), &event), helped, "{} pods", pods.len());
    }
}

#[test]
fn namespace_events_help_where_namespaces_are_selected_by_label() {
    let plugin = InterPodAffinity::default();
    let helps = |term, name: &str| plugin.helps(&wanting("", [(Near, term)]), &ClusterEvent::Namespace(&name.into()));
    assert!(helps(term_in("zone", "app", "team=a"), "other"));
    assert!(!helps(term_in("zone", "app", ""), "other") && !helps(term("zone", "app"), "other"));
    assert!(helps(term("zone", "app"), "default"), "a guard may be against pods of namespaces with other labels");
}
