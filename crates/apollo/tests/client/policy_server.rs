//! The policy server over TCP: rules, dialects, injected faults, reports, reloading; asked by the scheduler's own client.
//! Leaves out mistakes in rules files: see `rules.rs`.

use crate::{Subject, config, pod};
use aisched_apollo::wire::SchedulingResult;
use aisched_apollo::wire::scheduling_policy_service_client::SchedulingPolicyServiceClient;
use aisched_apollo::{ClientConfig, Dialect, Outcome, PolicyRequest, PolicyServer, ResultReport, ServerError, ServerEvent};
use aisched_model::policy::PolicySource::{Fallback, Success};
use aisched_model::workload::Stage;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

const RULES: &str = "
rules:
- match: {namespace: elsewhere}
  answer: {request_id: never}
- name: training
  match: {labels: {stage: train}, annotations: {hint: '*'}}
  answer:
    request_id: q-1
    decision: REQUIRE
    reason: because
    plugin_weights: {data_locality_aware: 0.5, kueue_aware: .nan}
    workload_signature: {current_stage: training, cached_on_nodes: [node-a]}
    storage_requirements: {storage_class: nvme}
- match: {labels: {stage: error}}
  error: 'unavailable: the model is loading'
- match: {labels: {stage: silence}}
  silence: true
- match: {labels: {stage: lie}}
  answer: {pod_name: other, decision: REJECT}
- match: {image: 'nvcr.io/nvidia/*', labels: {stage: image}}
  answer: {storage_requirements: {min_iops: 7}}
- match: {image: trainer:1}
  answer: {storage_requirements: {min_iops: 8}}
- match: {labels: {stage: plain}}
  answer: {storage_requirements: {min_iops: 9}}
";

/// A policy server that serves, and what it tells.
struct Serving {
    folder: TempDir,
    address: SocketAddr,
    events: UnboundedReceiver<ServerEvent>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServerError>>,
}

impl Serving {
    async fn start(rules: &str, dialect: Dialect) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("rules.yaml");
        std::fs::write(&path, rules).unwrap();
        let (sender, events) = unbounded_channel();
        let server = PolicyServer::bind(LOOPBACK.into(), path, dialect).await.unwrap();
        let server = server.on_event(move |event| sender.send(event).unwrap());
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(server.serve(async { stopped.await.unwrap_or(()) }));
        Self { folder, address, events, stop, ended }
    }

    fn write(&self, rules: &str) {
        std::fs::write(self.folder.path().join("rules.yaml"), rules).unwrap();
    }
}

/// A pod with the label `stage` and the annotation `hint`.
fn staged(stage: &str) -> PolicyRequest {
    PolicyRequest { labels: vec![("stage".into(), stage.into())], annotations: vec![("hint".into(), "any".into())], ..pod(stage) }
}

#[tokio::test]
async fn image_of_any_container_matches() {
    let serving = Serving::start(RULES, Dialect::Engine).await;
    let mut subject = Subject::new(config(serving.address));
    for (images, iops) in [
        (&["sidecar", "nvcr.io/nvidia/pytorch:24"][..], Some(7)),
        (&["nvcr.io/other"], None),
        (&["trainer:1"], Some(8)),
        (&["trainer:12"], None),
        (&[], None),
    ] {
        let asked = PolicyRequest { images: images.iter().map(|i| (*i).into()).collect(), ..staged("image") };
        subject.client.request(PolicyRequest { uid: format!("{images:?}").into(), ..asked });
        let answer = subject.next().await;
        assert_eq!(answer.policy.and_then(|policy| policy.findings.required_iops), iops, "{images:?}");
    }
}

#[tokio::test]
async fn first_rule_that_matches_answers_in_either_dialect() {
    for (dialect, stage) in [(Dialect::Engine, Some(Stage::Training)), (Dialect::Server, None)] {
        let mut serving = Serving::start(RULES, dialect).await;
        let mut subject = Subject::new(config(serving.address));
        subject.client.request(staged("train"));
        let answer = subject.next().await;
        assert_eq!((answer.source, answer.request_id.as_deref()), (Success, Some("q-1")));
        let policy = answer.policy.unwrap();
        assert_eq!(policy.findings.stage, stage, "{dialect:?}");
        let weights = policy.plugin_weights.unwrap();
        assert_eq!((weights[0], weights[1]), (0.5, 0.0), "{dialect:?}");
        assert!(weights[3].is_nan(), "{dialect:?}");
        let ServerEvent::Asked { namespace, name, rule } = serving.events.recv().await.unwrap() else { panic!() };
        assert_eq!((&*namespace, &*name, rule.as_deref()), ("default", "train", Some("training")));
        assert_eq!(subject.client.stats().oddities.parts_undecodable, 0, "{dialect:?}");
    }
}

#[tokio::test]
async fn rules_can_fail_lie_or_match_nothing() {
    let serving = Serving::start(RULES, Dialect::Engine).await;
    let mut subject = Subject::new(config(serving.address));
    for (stage, error) in [
        ("error", "the server answered Unavailable: the model is loading"),
        ("lie", "the answer is for pod default/other, asked for default/lie"),
        ("nothing", "the answer holds no policy (reason: \"no rule matches\")"),
    ] {
        subject.client.request(staged(stage));
        let answer = subject.next().await;
        assert_eq!((answer.source, answer.error.as_deref()), (Fallback, Some(error)), "{stage}");
    }
}

#[tokio::test]
async fn silent_rule_never_answers_and_does_not_keep_the_server_from_stopping() {
    let mut serving = Serving::start(RULES, Dialect::Engine).await;
    let mut subject = Subject::new(config(serving.address));
    subject.client.request(staged("silence"));
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Asked { .. })));
    serving.stop.send(()).unwrap();
    serving.ended.await.unwrap().unwrap();
    let answer = subject.next().await;
    assert_eq!(answer.source, Fallback);
}

#[tokio::test]
async fn delayed_answer_comes_after_its_delay() {
    let rules = "rules: [{delay_ms: 60000, answer: {storage_requirements: {min_iops: 9}}}]";
    let serving = Serving::start(rules, Dialect::Engine).await;
    let hasty = ClientConfig { request_timeout: Duration::from_millis(200), ..config(serving.address) };
    assert_eq!(Subject::new(hasty).source("a").await, Fallback);
    serving.write("rules: [{delay_ms: 1, answer: {storage_requirements: {min_iops: 9}}}]");
    let mut serving = serving;
    while !matches!(serving.events.recv().await, Some(ServerEvent::Reloaded { n_rules: 1 })) {}
    assert_eq!(Subject::new(config(serving.address)).source("a").await, Success);
}

#[tokio::test]
async fn reports_are_told_and_known_once() {
    let mut serving = Serving::start(RULES, Dialect::Server).await;
    let mut subject = Subject::new(config(serving.address));
    subject.client.request(staged("plain"));
    let id = subject.next().await.request_id.unwrap();
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Asked { .. })));
    let expected = ResultReport {
        request_id: id.clone(),
        namespace: "default".into(),
        name: "plain".into(),
        outcome: Outcome::Bound("node-a".into()),
        duration: Duration::from_millis(7),
    };
    subject.client.report(expected.clone());
    let Some(ServerEvent::Reported { report, is_known }) = serving.events.recv().await else { panic!() };
    assert_eq!((report, is_known), (expected, true));

    let url = format!("http://{}", serving.address);
    let mut again = SchedulingPolicyServiceClient::connect(url).await.unwrap();
    let result = SchedulingResult { request_id: id.to_string(), ..SchedulingResult::default() };
    let response = again.report_scheduling_result(result).await.unwrap().into_inner();
    assert_eq!((response.success, &*response.message), (false, "Request ID not found in cache"));
    let Some(ServerEvent::Reported { report, is_known }) = serving.events.recv().await else { panic!() };
    assert_eq!((report.outcome, is_known), (Outcome::Failed("".into()), false));
}

#[tokio::test]
async fn changed_rules_are_used_and_mistaken_ones_are_not() {
    let mut serving = Serving::start("rules: []", Dialect::Engine).await;
    let mut subject = Subject::new(config(serving.address));
    assert_eq!(subject.source("a").await, Fallback);
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Asked { rule: None, .. })));
    serving.write("rules: [{answer: {storage_requirements: {min_iops: 9}}}]");
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Reloaded { n_rules: 1 })));
    assert_eq!(subject.source("b").await, Success);
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Asked { .. })));
    serving.write("rules: [{answer: {decision: MAYBE}}]");
    let Some(ServerEvent::NotReloaded(error)) = serving.events.recv().await else { panic!() };
    assert!(error.to_string().contains("rules[0].answer.decision"), "{error}");
    assert_eq!(subject.source("c").await, Success);
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Asked { .. })));
    serving.write("rules: []");
    assert!(matches!(serving.events.recv().await, Some(ServerEvent::Reloaded { n_rules: 0 })));
}

#[tokio::test]
async fn unusable_rules_or_address_end_the_start() {
    let missing = PathBuf::from("/nonexistent/rules.yaml");
    let error = PolicyServer::bind(LOOPBACK.into(), missing, Dialect::Engine).await.err().unwrap();
    assert_eq!(error.to_string(), "cannot read the rules file /nonexistent/rules.yaml");

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, "rules: []").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let error = PolicyServer::bind(listen, path, Dialect::Engine).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {listen}"));
}
