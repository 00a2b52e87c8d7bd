//! Cache, breaker, queues and feedback of the client under virtual time: every wait is exact and takes none.
//! Leaves out what depends on real sockets.

use crate::fake::{Fake, Reply, config, policy, subject};
use crate::{Subject, pod};
use aisched_apollo::{BreakerState, ClientConfig, Outcome, PolicyRequest, ResultReport};
use aisched_model::policy::PolicySource::{self, Cache, Fallback, Success};
use std::time::Duration;
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn start(reply: Reply) -> (Fake, Subject) {
    let fake = Fake::start(reply);
    let subject = subject(config(), [("apollo", &fake)]);
    (fake, subject)
}

fn bound(id: &str) -> ResultReport {
    ResultReport {
        request_id: id.into(),
        namespace: "default".into(),
        name: "a".into(),
        outcome: Outcome::Bound("node-a".into()),
        duration: SECOND,
    }
}

/// Lets everything happen that happens without waiting; the clock moves only when nothing else is to be done.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn answer_is_fresh_then_cached_then_asked_for_again() {
    let (fake, mut subject) = start(Reply::Policy);
    let first = subject.resolve("a").await;
    assert_eq!((first.source, first.request_id.as_deref(), first.error), (Success, Some("r-1"), None));
    assert_eq!(first.policy.unwrap().findings.required_iops, Some(5000));
    advance(29 * SECOND).await;
    let second = subject.resolve("a").await;
    assert_eq!((second.source, second.request_id.as_deref(), second.error), (Cache, Some("r-1"), None));
    advance(SECOND).await;
    let third = subject.resolve("a").await;
    assert_eq!((third.source, third.request_id.as_deref()), (Success, Some("r-2")));
    assert_eq!(fake.n_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn expired_answer_serves_ten_times_its_age_while_calls_fail() {
    let (fake, mut subject) = start(Reply::Policy);
    subject.resolve("a").await;
    fake.reply(Reply::Fail);
    for (after, source) in [(31, Cache), (268, Cache), (2, Fallback)] {
        advance(after * SECOND).await;
        let answer = subject.resolve("a").await;
        assert_eq!(answer.source, source, "{after}");
        assert_eq!(answer.error.as_deref(), Some("the server answered Internal: boom"));
    }
}

#[tokio::test(start_paused = true)]
async fn stale_answer_serves_while_the_breaker_is_open() {
    let (fake, mut subject) = start(Reply::Policy);
    subject.resolve("a").await;
    advance(31 * SECOND).await;
    open_breaker(&fake, &mut subject).await;
    let n_asked = fake.n_asked();
    assert_eq!(subject.source("a").await, Cache);
    assert_eq!(fake.n_asked(), n_asked);
}

#[tokio::test(start_paused = true)]
async fn call_is_given_up_at_its_deadline() {
    let (_fake, mut subject) = start(Reply::Never);
    let began = Instant::now();
    let answer = subject.resolve("a").await;
    assert_eq!(answer.source, Fallback);
    assert_eq!(answer.error.as_deref(), Some("no answer within 2000 ms"));
    assert_eq!(began.elapsed().as_millis(), 2000);
    assert_eq!(subject.client.stats().calls.deadline, 1);
}

/// Makes five pods fail.
async fn open_breaker(fake: &Fake, subject: &mut Subject) {
    fake.reply(Reply::Fail);
    for i in 0..5 {
        assert_eq!(subject.client.stats().breaker, BreakerState::Closed);
        assert_eq!(subject.source(&format!("failing-{i}")).await, Fallback);
    }
    assert_eq!(subject.client.stats().breaker, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn open_breaker_makes_pods_fall_back_without_a_call_or_a_wait() {
    let (fake, mut subject) = start(Reply::Fail);
    open_breaker(&fake, &mut subject).await;
    let began = Instant::now();
    for i in 0..100 {
        let answer = subject.resolve(&format!("pod-{i}")).await;
        let expected = "APOLLO is not asked for a while: 5 calls in a row failed, or a probe after them did";
        assert_eq!((answer.source, answer.error.as_deref()), (Fallback, Some(expected)));
    }
    assert_eq!((fake.n_asked(), began.elapsed()), (5, Duration::ZERO));
    assert_eq!(subject.client.stats().calls.not_made_breaker, 100);
}

#[tokio::test(start_paused = true)]
async fn one_probe_after_doubling_pauses_decides_whether_to_ask_again() {
    let (fake, mut subject) = start(Reply::Fail);
    open_breaker(&fake, &mut subject).await;
    let mut n_asked = fake.n_asked();
    for pause in [1, 2, 4, 8, 10, 10] {
        advance(pause * SECOND - Duration::from_millis(1)).await;
        assert_eq!(subject.source("early").await, Fallback);
        assert_eq!(fake.n_asked(), n_asked, "before {pause} s");
        advance(Duration::from_millis(1)).await;
        assert_eq!(subject.source("probe").await, Fallback);
        n_asked += 1;
        assert_eq!(fake.n_asked(), n_asked, "after {pause} s");
    }
    fake.reply(Reply::Later(SECOND));
    advance(10 * SECOND).await;
    subject.ask("probe");
    subject.ask("beside the probe");
    let first = subject.next().await;
    assert_eq!((&*first.uid, first.source), ("beside the probe", Fallback));
    assert_eq!(subject.client.stats().breaker, BreakerState::HalfOpen);
    let second = subject.next().await;
    assert_eq!((&*second.uid, second.source), ("probe", Success));
    assert_eq!(subject.client.stats().breaker, BreakerState::Closed);
    assert_eq!(subject.source("beside the probe").await, Success);
}

#[tokio::test(start_paused = true)]
async fn pod_has_one_call_at_a_time_whose_answer_its_requests_share() {
    let (fake, mut subject) = start(Reply::Later(SECOND));
    for _ in 0..3 {
        subject.ask("a");
    }
    assert_eq!(subject.next().await.source, Success);
    settle().await;
    assert!(subject.answers.try_recv().is_err());
    assert_eq!(fake.n_asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_wait_their_turn() {
    let (fake, mut subject) = start(Reply::Later(SECOND));
    let began = Instant::now();
    for i in 0..200 {
        subject.ask(&format!("pod-{i}"));
    }
    let stats = subject.client.stats();
    assert_eq!((stats.n_in_flight, stats.n_waiting), (64, 136));
    for _ in 0..200 {
        assert_eq!(subject.next().await.source, Success);
    }
    assert_eq!((fake.most_at_a_time(), fake.n_asked()), (64, 200));
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn slow_pod_delays_no_other() {
    let (fake, mut subject) = start(Reply::Never);
    subject.ask("slow");
    settle().await;
    fake.reply(Reply::Policy);
    let began = Instant::now();
    assert_eq!(subject.source("quick").await, Success);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let slow = subject.next().await;
    assert_eq!((&*slow.uid, slow.source), ("slow", Fallback));
}

#[tokio::test(start_paused = true)]
async fn black_hole_costs_waiting_pods_one_deadline() {
    let (fake, mut subject) = start(Reply::Never);
    let began = Instant::now();
    for i in 0..2000 {
        subject.ask(&format!("pod-{i}"));
    }
    // The first four failures each made room for one more call before the fifth opened the breaker.
    for (n_pods, ms) in [(1996, 2000), (4, 4000)] {
        for _ in 0..n_pods {
            assert_eq!(subject.next().await.source, Fallback);
        }
        assert_eq!(began.elapsed().as_millis(), ms);
    }
    assert_eq!(fake.n_asked(), 68);
    assert_eq!(subject.client.stats().breaker, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn success_between_failures_keeps_the_breaker_closed() {
    let (fake, mut subject) = start(Reply::Fail);
    for i in 0..12 {
        fake.reply(if i % 5 == 4 { Reply::Policy } else { Reply::Fail });
        subject.resolve(&format!("pod-{i}")).await;
    }
    assert_eq!(subject.client.stats().breaker, BreakerState::Closed);
    assert_eq!(fake.n_asked(), 12);
}

#[tokio::test(start_paused = true)]
async fn empty_answer_falls_back_but_keeps_its_id_and_the_breaker_closed() {
    let (fake, mut subject) = start(Reply::Empty);
    for i in 1..=6 {
        let answer = subject.resolve(&format!("pod-{i}")).await;
        assert_eq!(answer.source, Fallback);
        assert_eq!(answer.request_id.as_deref(), Some(&*format!("r-{i}")));
        let expected = "the answer holds no policy (reason: \"Fallback policy due to error: boom\")";
        assert_eq!(answer.error.as_deref(), Some(expected));
    }
    assert_eq!((fake.n_asked(), subject.client.stats().calls.empty), (6, 6));
    assert_eq!(subject.client.stats().n_cached, 0);
}

#[tokio::test(start_paused = true)]
async fn answer_for_another_pod_is_a_failure() {
    let mut lie = policy("r-1");
    lie.pod_name = "b".into();
    let (_fake, mut subject) = start(Reply::Exactly(lie.into()));
    let answer = subject.resolve("a").await;
    assert_eq!((answer.source, answer.request_id), (Fallback, None));
    let expected = "the answer is for pod /b, asked for default/a";
    assert_eq!(answer.error.as_deref(), Some(expected));
    assert_eq!(subject.client.stats().calls.other_pod, 1);
}

#[tokio::test(start_paused = true)]
async fn forgotten_pod_is_asked_for_anew() {
    let (fake, mut subject) = start(Reply::Policy);
    subject.resolve("a").await;
    subject.client.forget("a");
    assert_eq!(subject.client.stats().n_cached, 0);
    assert_eq!(subject.source("a").await, Success);
    assert_eq!(fake.n_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn pod_forgotten_while_it_waits_is_not_asked_for() {
    let fake = Fake::start(Reply::Later(SECOND));
    let config = ClientConfig { max_in_flight: 1, ..config() };
    let mut subject = subject(config, [("apollo", &fake)]);
    for uid in ["a", "b", "c"] {
        subject.ask(uid);
    }
    subject.client.forget("b");
    assert_eq!(&*subject.next().await.uid, "a");
    assert_eq!(&*subject.next().await.uid, "c");
    assert_eq!(fake.n_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn answer_for_a_forgotten_pod_is_reported_and_told_nobody() {
    let (fake, mut subject) = start(Reply::Later(SECOND));
    subject.ask("a");
    settle().await;
    subject.client.forget("a");
    sleep(2 * SECOND).await;
    assert!(subject.answers.try_recv().is_err());
    assert_eq!(subject.client.stats().n_cached, 0);
    assert_eq!(fake.reports(), ["r-1 failed"]);
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_reported_once() {
    let (fake, mut subject) = start(Reply::Policy);
    subject.resolve("a").await;
    subject.client.report(bound("r-1"));
    assert_eq!(subject.source("a").await, Cache);
    subject.client.report(bound("r-1"));
    subject.resolve("b").await;
    subject.client.forget("a");
    subject.client.forget("b");
    subject.client.flushed().await;
    assert_eq!(fake.reports(), ["r-1 ok", "r-2 failed"]);
    let reports = subject.client.stats().reports;
    assert_eq!((reports.accepted, reports.repeated), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn rejected_report_is_counted_and_not_repeated() {
    let (fake, mut subject) = start(Reply::Policy);
    fake.refuse_reports();
    subject.resolve("a").await;
    subject.client.report(bound("r-1"));
    subject.client.flushed().await;
    assert_eq!(fake.reports().len(), 1);
    assert_eq!(subject.client.stats().reports.rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn all_reports_of_a_burst_are_sent() {
    let (fake, subject) = start(Reply::Policy);
    for i in 0..500 {
        subject.client.report(bound(&i.to_string()));
    }
    assert_eq!(subject.client.stats().n_reports_waiting, 500 - 64);
    subject.client.flushed().await;
    assert_eq!(fake.reports().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn another_server_is_asked_anew_for_everything() {
    let (old, new) = (Fake::with_ids("old", Reply::Policy), Fake::with_ids("new", Reply::Policy));
    let mut subject = subject(config(), [("apollo", &old), ("other", &new)]);
    subject.resolve("cached").await;
    old.reply(Reply::Later(SECOND));
    subject.ask("under way");
    subject.ask("gone");
    settle().await;
    subject.client.forget("gone");
    subject.client.reconfigure(ClientConfig { endpoint: "other:1".into(), ..config() });
    let under_way = subject.next().await;
    assert_eq!((&*under_way.uid, under_way.request_id.as_deref()), ("under way", Some("new-1")));
    assert_eq!(subject.source("cached").await, Success);
    assert_eq!((old.n_asked(), new.n_asked()), (3, 2));
    // The old server hears of its answers too: of those that nobody waits for at once, of the cached one when its pod is gone.
    sleep(2 * SECOND).await;
    subject.client.forget("cached");
    subject.client.flushed().await;
    assert_eq!(old.reports(), ["old-2 failed", "old-3 failed", "old-1 failed"]);
    assert_eq!(new.reports(), ["new-2 failed"]);
}

#[tokio::test(start_paused = true)]
async fn another_server_starts_with_a_closed_breaker() {
    let (old, new) = (Fake::start(Reply::Fail), Fake::start(Reply::Policy));
    let mut subject = subject(config(), [("apollo", &old), ("other", &new)]);
    open_breaker(&old, &mut subject).await;
    subject.client.reconfigure(ClientConfig { endpoint: "other:1".into(), ..config() });
    assert_eq!(subject.source("a").await, Success);
}

#[tokio::test(start_paused = true)]
async fn new_limits_keep_the_cache_and_act_at_once() {
    let (fake, mut subject) = start(Reply::Policy);
    subject.resolve("a").await;
    let expiry = Duration::from_secs(5);
    subject.client.reconfigure(ClientConfig { cache_expiry: expiry, request_timeout: SECOND, ..config() });
    assert_eq!(subject.source("a").await, Cache);
    advance(expiry).await;
    fake.reply(Reply::Never);
    let answer = subject.resolve("a").await;
    assert_eq!((answer.source, answer.error.as_deref()), (Cache, Some("no answer within 1000 ms")));
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_endpoint_pods_fall_back_and_say_why() {
    let fake = Fake::start(Reply::Policy);
    for (endpoint, error) in [
        ("", "APOLLO is switched off: its endpoint is empty"),
        (
            "apollo",
            "APOLLO endpoint \"apollo\" has no port from 1 to 65535; write host:port for plaintext, https://host:port for TLS, or nothing to switch APOLLO off",
        ),
    ] {
        let config = ClientConfig { endpoint: endpoint.into(), ..config() };
        let mut subject = subject(config, [("apollo", &fake)]);
        for i in 0..10 {
            let answer = subject.resolve(&format!("pod-{i}")).await;
            assert_eq!((answer.source, answer.error.as_deref()), (Fallback, Some(error)));
        }
        subject.client.reconfigure(self::config());
        assert_eq!(subject.source("pod-0").await, Success);
    }
}

#[tokio::test(start_paused = true)]
async fn question_carries_the_pod_but_not_its_manifest() {
    let (fake, mut subject) = start(Reply::Policy);
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    subject.client.request(PolicyRequest {
        labels: pairs(&[("pipeline-step", "training")]),
        annotations: pairs(&[
            ("ai-storage.keti/io-pattern", "random"),
            ("kubectl.kubernetes.io/last-applied-configuration", "{\"constraints\":[]}"),
        ]),
        ..pod("a")
    });
    subject.next().await;
    let asked = fake.last_asked();
    assert_eq!((asked.pod_namespace, asked.pod_name, asked.pod_uid), ("default".into(), "a".into(), "a".into()));
    assert_eq!(asked.pod_labels, [("pipeline-step".into(), "training".into())].into());
    assert_eq!(asked.pod_annotations, [("ai-storage.keti/io-pattern".into(), "random".into())].into());
}

#[tokio::test(start_paused = true)]
async fn resolutions_are_counted_by_source() {
    let (fake, mut subject) = start(Reply::Policy);
    let mut sources: Vec<PolicySource> = Vec::new();
    for uid in ["a", "a", "b"] {
        sources.push(subject.source(uid).await);
    }
    fake.reply(Reply::Fail);
    sources.push(subject.source("c").await);
    assert_eq!(sources, [Success, Cache, Success, Fallback]);
    let stats = subject.client.stats();
    assert_eq!((stats.sources.success, stats.sources.cache, stats.sources.fallback), (2, 1, 1));
    assert_eq!((stats.calls.policies, stats.calls.failed, stats.latency.count), (2, 1, 3));
    assert_eq!((stats.n_cached, stats.n_in_flight), (2, 0));
}
