//! Extenders over real HTTP: what they are sent, what becomes of their answers, and in which words they fail.
//! Leaves out TLS: `tests/tls.rs`.

mod tls;

use super::*;
use crate::testing::{Answer, Mock, Seen, client};
use aisched_core::consult::{Proposal, Victims};
use aisched_model::pod::Pod;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

/// An API server with a pod for every name, whose UID is `uid-NAME`, and the nodes a, b and c.
async fn api() -> Mock {
    let named = |name: &str| json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "managedFields": [{}]}, "spec": {"x": name}});
    Mock::start(move |seen| match seen.path.rsplit_once('/') {
        Some(("/api/v1", "nodes")) if seen.is_watch() => Answer::watch(Vec::new()),
        Some(("/api/v1", "nodes")) => Answer::list("1", json!([named("a"), named("b")])),
        Some((_, "gone")) => Answer::status(404, "NotFound", "gone"),
        Some((_, name)) => Answer::Json(200, named(name)),
        None => Answer::Hang,
    })
    .await
}

fn pod() -> Pod {
    Pod { uid: "uid-p".into(), namespace: "ns".into(), name: "p".into(), ..Pod::default() }
}

fn config(server: &Mock) -> ExtenderConfig {
    ExtenderConfig {
        url_prefix: format!("http://{}/ext/", server.address),
        filter_verb: "filter".into(),
        prioritize_verb: "prioritize".into(),
        weight: 2,
        http_timeout: Duration::from_secs(60),
        node_cache_capable: true,
        ..ExtenderConfig::default()
    }
}

async fn extenders<const N: usize>(api: &Mock, configs: [ExtenderConfig; N]) -> Extenders {
    let clients = Clients { watch: api.client(), calls: api.client(), binds: api.client(), server: String::new() };
    Extenders::new(configs.into(), &clients).await.unwrap()
}

async fn said(extenders: &Extenders, about: About) -> Said {
    let (sender, mut events) = unbounded_channel();
    extenders.spawn(Question { id: 7, pod: Arc::new(pod()), about }, sender);
    match events.recv().await {
        Some(Event::Consulted(answer)) if answer.id == 7 && *answer.uid == *"uid-p" => answer.said,
        other => panic!("{other:?}"),
    }
}

async fn judged(extenders: &Extenders, nodes: &[&str]) -> Result<Judged, String> {
    match said(extenders, About::Nodes(nodes.iter().map(|n| Str::from(*n)).collect())).await {
        Said::Nodes(judged) => judged,
        Said::Victims(_) => panic!("not asked"),
    }
}

/// What of a judgement the tests look at: nodes that passed, reasons against others, scores.
fn shown(judged: &Judged) -> String {
    let passed: Vec<&str> = judged.passed.iter().map(|n| &**n).collect();
    let failed = judged.failed.iter().map(|(n, f)| format!("; {n} {:?} {}", f.code, f.message));
    let scores = judged.scores.iter().flat_map(|s| s.by_node.iter().map(|(n, score)| format!("; {n}={score}*{}", s.weight)));
    passed.join(" ") + &failed.chain(scores).collect::<String>()
}

/// The answer to a verb.
type Answering = fn(&str) -> Answer;

/// A server that answers so.
async fn answering(answer: Answering) -> Mock {
    Mock::start(move |seen: &Seen| answer(seen.path.trim_start_matches("/ext/"))).await
}

#[tokio::test]
async fn filters_are_asked_in_turn_and_scorers_about_what_is_left() {
    let api = api().await;
    let first = answering(|verb| match verb {
        "filter" => Answer::Json(200, json!({"nodenames": ["b", "a"], "failedNodes": {"c": "no", "d": "no"}, "FailedAndUnresolvableNodes": {"d": "never", "x": "?"}, "error": ""})),
        _ => Answer::Json(200, json!([{"Host": "a", "Score": 3}, {"host": "b", "score": 1}, {"Host": "a", "Score": 4}, {"Host": "x", "Score": 9}])),
    })
    .await;
    let second = answering(|_| Answer::Json(200, json!({"NodeNames": ["a", "b"]}))).await;
    let extenders = extenders(&api, [config(&first), ExtenderConfig { prioritize_verb: String::new(), ..config(&second) }]).await;
    let judged = judged(&extenders, &["a", "b", "c", "d"]).await.unwrap();
    assert_eq!(shown(&judged), "a b; c Unschedulable no; d Unresolvable never; a=7*2; b=1*2");
    let asked = first.seen();
    assert_eq!(asked.iter().map(Seen::line).collect::<Vec<_>>(), ["POST /ext/filter", "POST /ext/prioritize"]);
    assert_eq!(asked[0].content_type, "application/json");
    let p = json!({"metadata": {"name": "p", "uid": "uid-p"}, "spec": {"x": "p"}});
    assert_eq!(asked[0].body, json!({"Pod": p, "Nodes": null, "NodeNames": ["a", "b", "c", "d"]}));
    assert_eq!(second.seen()[0].body["NodeNames"], json!(["a", "b"]));
}

#[tokio::test]
async fn extender_that_keeps_no_nodes_is_sent_whole_ones() {
    let api = api().await;
    let server = answering(|verb| match verb {
        "filter" => {
            Answer::Json(200, json!({"nodes": {"items": [{"metadata": {"name": "c", "labels": {}}, "spec": null}]}, "NodeNames": ["a"]}))
        }
        _ => Answer::Json(500, Value::Null),
    })
    .await;
    let extenders = extenders(&api, [ExtenderConfig { node_cache_capable: false, ..config(&server) }]).await;
    assert_eq!(shown(&judged(&extenders, &["a", "c", "gone"]).await.unwrap()), "c");
    let node = |name: &str| json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {"x": name}});
    let sent = &server.seen()[0].body;
    assert_eq!(sent["Nodes"], json!({"metadata": {}, "items": [node("a"), node("c")]}), "c was not in the list, and is read");
    assert_eq!(sent["NodeNames"], Value::Null);
}

#[tokio::test]
async fn failure_is_told_in_kube_schedulers_words_and_passed_over_where_it_is_ignorable() {
    let api = api().await;
    let cases: [(Answering, &str); 6] = [
        (|_| Answer::Json(500, Value::Null), "failed filter with extender at URL http://ADDRESS/ext/filter, code 500"),
        (|_| Answer::Json(200, json!({"Error": "no driver"})), "no driver"),
        (
            |_| Answer::Json(200, json!({"NodeNames": ["x"]})),
            "extender \"http://ADDRESS/ext/\" claims a filtered node \"x\" which is not found in the input node list",
        ),
        (
            |_| Answer::Json(200, json!({"NodeNames": [1]})),
            "failed filter with extender at URL http://ADDRESS/ext/filter: its answer cannot be used: invalid type: integer `1`, expected a string at line 1 column 15",
        ),
        (
            |_| Answer::Json(200, json!({"Error": "x".repeat(5 << 20)})),
            "the answer of the extender at URL http://ADDRESS/ext/filter is longer than 4194502 bytes",
        ),
        (
            |_| Answer::Json(200, json!("NaN")),
            "failed filter with extender at URL http://ADDRESS/ext/filter: its answer cannot be used: invalid type: string \"NaN\", expected an object at line 1 column 5",
        ),
    ];
    for (answer, expected) in cases {
        let server = answering(answer).await;
        let strict = extenders(&api, [config(&server)]).await;
        assert_eq!(judged(&strict, &["a", "b"]).await.unwrap_err().replace(&server.address, "ADDRESS"), expected);
        let lenient = extenders(&api, [ExtenderConfig { ignorable: true, ..config(&server) }]).await;
        assert_eq!(shown(&judged(&lenient, &["a", "b"]).await.unwrap()).split(';').next(), Some("a b"), "{expected}");
    }
}

#[tokio::test]
async fn extender_that_cannot_be_reached_or_is_late_fails() {
    let api = api().await;
    let server = answering(|_| Answer::Hang).await;
    let late = ExtenderConfig { http_timeout: Duration::from_millis(50), ..config(&server) };
    let url = format!("http://{}/ext/filter", server.address);
    let error = judged(&extenders(&api, [late]).await, &["a"]).await.unwrap_err();
    assert_eq!(error, format!("Post \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"));
    let absent = config(&server);
    drop(server);
    let error = judged(&extenders(&api, [absent]).await, &["a"]).await.unwrap_err();
    assert!(error.starts_with(&format!("Post \"{url}\": ")) && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn scores_that_cannot_be_used_count_for_nothing() {
    let api = api().await;
    for answer in [json!([{"Host": "a", "Score": 3.5}]), json!([{"Host": "a", "Score": 1e300}]), json!({"Host": "a"}), json!("NaN")] {
        let shown_answer = answer.to_string();
        let server = Mock::start(move |_| Answer::Json(200, answer.clone())).await;
        let scoring = ExtenderConfig { filter_verb: String::new(), ..config(&server) };
        assert_eq!(shown(&judged(&extenders(&api, [scoring]).await, &["a", "b"]).await.unwrap()), "a b", "{shown_answer}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn pod_that_is_gone_fails_and_nobody_is_asked() {
    let api = Mock::start(|_| Answer::Json(200, json!({"metadata": {"uid": "another"}}))).await;
    let server = answering(|_| Answer::Hang).await;
    assert_eq!(judged(&extenders(&api, [config(&server)]).await, &["a"]).await, Err("pod ns/p no longer exists".into()));
    assert_eq!(server.seen().len(), 0);
}

fn proposals() -> Vec<Proposal> {
    let pod = |name: &str| PodRef { uid: format!("uid-{name}").into(), namespace: "ns".into(), name: name.into() };
    let on = |node: &str, pods: [&str; 2]| Proposal {
        node: node.into(),
        pods: pods.map(pod).into(),
        victims: Victims { uids: vec![format!("uid-{}", pods[0]).into()], n_violations: 1 },
    };
    vec![on("a", ["v", "other"]), on("b", ["w", "gone"])]
}

async fn victims(api: &Mock, config: ExtenderConfig) -> Result<String, String> {
    let Said::Victims(said) = said(&extenders(api, [config]).await, About::Victims(proposals())).await else { panic!("not asked") };
    let node = |(node, v): (&Str, &Victims)| format!("{node}: {} {}", v.uids.join(" "), v.n_violations);
    said.map(|by_node| by_node.iter().map(node).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn preempting_extender_strikes_candidates_and_changes_victims() {
    let api = api().await;
    let said = |answer: Value| json!({"NodeNameToMetaVictims": answer});
    let of = |uid: &str| json!({"Pods": [{"UID": uid}], "NumPDBViolations": 2});
    for (answer, strict, lenient) in [
        (json!({"a": of("uid-other")}), Ok("a: uid-other 2"), Ok("a: uid-other 2")),
        (json!({"a": of("uid-v"), "z": of("uid-z")}), Ok("a: uid-v 2"), Ok("a: uid-v 2")),
        (json!({}), Ok(""), Ok("")),
        (json!({"a": {"Pods": []}, "b": of("uid-w")}), Err("expected at least one victim pod on node \"a\""), Ok("b: uid-w 2")),
        (
            json!({"a": of("uid-w")}),
            Err("extender: URL claims to preempt pod (UID: &{uid-w}) on node: a, but the pod is not found on that node"),
            Ok("a: uid-v 1, b: uid-w 1"),
        ),
    ] {
        let text = said(answer).to_string();
        let server = Mock::start(move |_| Answer::Json(200, serde_json::from_str(&text).unwrap())).await;
        for (ignorable, expected) in [(false, strict), (true, lenient)] {
            let config = ExtenderConfig { preempt_verb: "preempt".into(), ignorable, ..config(&server) };
            let url = config.url_prefix.clone();
            let found = victims(&api, config).await.map_err(|e| e.replace(&url, "URL"));
            assert_eq!(found.as_deref().map_err(|e| &**e), expected);
        }
        let sent = &server.seen()[0].body;
        let named = |uid: &str| json!({"Pods": [{"UID": uid}], "NumPDBViolations": 1});
        assert_eq!(sent["NodeNameToMetaVictims"], json!({"a": named("uid-v"), "b": named("uid-w")}));
        assert_eq!((&sent["NodeNameToVictims"], &sent["Pod"]["metadata"]["name"]), (&Value::Null, &json!("p")));
    }
}

#[tokio::test]
async fn preempting_extender_that_keeps_no_pods_is_sent_whole_ones() {
    let api = api().await;
    let server = Mock::start(|_| Answer::Json(200, json!({"nodeNameToMetaVictims": {"b": {"pods": [{"uid": "uid-w"}]}}}))).await;
    let config = ExtenderConfig { preempt_verb: "preempt".into(), node_cache_capable: false, ..config(&server) };
    assert_eq!(victims(&api, config).await, Ok("b: uid-w 0".into()));
    let sent = &server.seen()[0].body;
    assert_eq!(sent["NodeNameToMetaVictims"], Value::Null);
    let whole = |name: &str| json!({"Pods": [{"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {"x": name}}], "NumPDBViolations": 1});
    assert_eq!(sent["NodeNameToVictims"], json!({"a": whole("v"), "b": whole("w")}));
}

#[tokio::test]
async fn bind_is_delegated_and_its_failure_looked_into() {
    use crate::bind::{BindOptions, Binder};
    use aisched_core::event::BindOutcome;
    let bound = |node: &'static str| {
        Mock::start(move |_| Answer::Json(200, json!({"metadata": {"uid": "uid-p"}, "spec": {"nodeName": node, "containers": []}})))
    };
    for (answer, ignorable, node, expected) in [
        (json!({}), false, "", BindOutcome::Bound),
        (json!({"Error": "no room"}), false, "", BindOutcome::Failed("no room".into())),
        (json!({"Error": "late"}), false, "a", BindOutcome::Bound),
        (json!({"Error": "no room"}), true, "", BindOutcome::Bound),
    ] {
        let (api, server) = (bound(node).await, Mock::start(move |_| Answer::Json(200, answer.clone())).await);
        let extender = ExtenderConfig { bind_verb: "bind".into(), ignorable, ..config(&server) };
        let binder = Binder::new(client(&api.address), BindOptions::default()).through(extenders(&api, [extender]).await);
        assert_eq!(binder.bind(&PodRef::from(&pod()), "a").await, expected);
        let asked = &server.seen()[0];
        assert_eq!(
            (asked.line(), &asked.body),
            ("POST /ext/bind".into(), &json!({"PodName": "p", "PodNamespace": "ns", "PodUID": "uid-p", "Node": "a"}))
        );
        assert_eq!(api.seen().iter().any(|s| s.method == "POST"), ignorable);
    }
}
