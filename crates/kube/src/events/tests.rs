//! Events from the call to the wire.

use super::series::SeriesState;
use super::*;
use crate::testing::{Answer, Mock, Seen, pod_ref};
use aisched_core::event::Regarding;
use jiff::Timestamp;
use serde_json::json;

const WINDOW: Duration = Duration::from_secs(360);

fn event(note: &str) -> ApiEvent {
    ApiEvent {
        regarding: Regarding::Pod(pod_ref("u")),
        warning: true,
        reason: "FailedScheduling",
        action: "Scheduling",
        note: note.into(),
        reporter: "me".into(),
    }
}

fn options() -> RecorderOptions {
    RecorderOptions { hostname: "host".into(), workers: 1, ..RecorderOptions::default() }
}

#[test]
fn long_notes_are_cut_between_characters() {
    for (note, bytes) in [("a".repeat(1024), 1024), ("a".repeat(1025), 1024), ("é".repeat(600), 1024), ("한".repeat(500), 1024)] {
        let cut = shorten(&note);
        assert_eq!(cut.len(), bytes, "{}", &note[..4]);
        assert_eq!(cut.ends_with(" ..."), note.len() > 1024);
    }
    assert_eq!(shorten(&format!("aa{}", "한".repeat(500))).len(), 1023, "1020 is within a character");
}

#[test]
fn repeats_are_counted_and_told_every_two_minutes() {
    let (mut series, start, time) = (Series::new(WINDOW), Instant::now(), Timestamp::UNIX_EPOCH);
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut take = |note: &str, seconds| series.take(Record::from(event(note)), at(seconds), time).map(|send| (send.name, send.series));
    let first = SeriesState::First(time);
    let (name, told) = take("a", 0).unwrap();
    assert_eq!(told, first);
    assert_eq!(take("b", 1).map(|(_, told)| told), Some(first.clone()), "another note is another event");
    let repeat = |count| Some((name.clone(), SeriesState::Repeat { count, last: time }));
    assert_eq!(take("a", 10), repeat(2), "the first repeat is told at once");
    assert_eq!(take("a", 20), None);
    assert_eq!(take("a", 129), None);
    assert_eq!(take("a", 130), repeat(5));
    assert_eq!(take("a", 491).map(|(_, told)| told), Some(first), "a series that rested too long has ended");
}

#[test]
fn bucket_lets_a_burst_through_and_then_one_per_interval() {
    let start = Instant::now();
    let mut bucket = Bucket::new(10, 5, 1, start);
    let taken_at: Vec<u128> = (0..8).map(|_| (bucket.take(start) - start).as_millis()).collect();
    assert_eq!(taken_at, [0, 0, 0, 0, 0, 100, 200, 300]);
    let later = start + Duration::from_secs(60);
    assert_eq!((0..6).map(|_| (bucket.take(later) - later).as_millis()).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 100]);
}

#[test]
fn events_give_way_to_binds_until_half_of_the_room_is_taken() {
    let gives_way: Vec<bool> = [0, 1999, 2000, 4000].map(|n_waiting| gives_way(n_waiting, 4000)).into();
    assert_eq!(gives_way, [true, true, false, false]);
}

#[tokio::test]
async fn event_is_sent_though_binds_never_end() {
    let mock = Mock::start(|_| Answer::Json(201, json!({}))).await;
    let binds = UnderWay::default();
    let _bind = binds.begin();
    Recorder::start(&mock.client(), &Health::default(), &binds, &options()).record(event("why"));
    mock.seen_at_least(1).await;
}

#[tokio::test]
async fn event_and_its_repeat_are_what_the_api_wants() {
    let mock = Mock::start(|_| Answer::Json(201, json!({}))).await;
    let recorder = Recorder::start(&mock.client(), &Health::default(), &UnderWay::default(), &options());
    recorder.record(event("why"));
    recorder.record(event("why"));
    let seen = mock.seen_at_least(2).await;
    let (post, patch) = (&seen[0], &seen[1]);
    assert_eq!(post.line(), "POST /apis/events.k8s.io/v1/namespaces/ns/events");
    let mut body = post.body.clone();
    let (name, time) = (body["metadata"]["name"].take(), body["eventTime"].take());
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": null, "namespace": "ns"}, "eventTime": null,
        "reportingController": "me", "reportingInstance": "me-host", "action": "Scheduling", "reason": "FailedScheduling",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "p", "uid": "u"}, "note": "why", "type": "Warning",
    });
    assert_eq!(body, expected);
    let name = name.as_str().unwrap();
    assert!(name.starts_with("p."), "{name}");
    assert_eq!(time.as_str().unwrap().len(), "2026-01-02T03:04:05.678901Z".len());
    assert_eq!(patch.line(), format!("PATCH /apis/events.k8s.io/v1/namespaces/ns/events/{name}"));
    assert_eq!(patch.content_type, "application/merge-patch+json");
    assert_eq!(patch.body["series"]["count"], 2);
}

#[tokio::test]
async fn repeat_of_an_expired_event_is_told_anew() {
    let mock = Mock::start(|seen: &Seen| match seen.method.as_str() {
        "PATCH" => Answer::status(404, "NotFound", "no such event"),
        _ => Answer::Json(201, json!({})),
    })
    .await;
    let recorder = Recorder::start(&mock.client(), &Health::default(), &UnderWay::default(), &options());
    recorder.record(event("why"));
    recorder.record(event("why"));
    let methods: Vec<String> = mock.seen_at_least(3).await.into_iter().map(|s| s.method).collect();
    assert_eq!(methods, ["POST", "PATCH", "POST"]);
}

#[tokio::test]
async fn node_events_are_in_the_default_namespace() {
    let mock = Mock::start(|_| Answer::Json(201, json!({}))).await;
    let recorder = Recorder::start(&mock.client(), &Health::default(), &UnderWay::default(), &options());
    recorder.record(ApiEvent { regarding: Regarding::Node("n1".into()), warning: false, ..event("x") });
    let seen = mock.seen_at_least(1).await;
    assert_eq!(seen[0].line(), "POST /apis/events.k8s.io/v1/namespaces/default/events");
    assert_eq!(seen[0].body["regarding"], json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}));
    assert_eq!(seen[0].body["type"], "Normal");
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_counted() {
    let mock = Mock::start(|_| Answer::Hang).await;
    let recorder = Recorder::start(&mock.client(), &Health::default(), &UnderWay::default(), &RecorderOptions { capacity: 3, ..options() });
    recorder.record(event("0"));
    mock.seen_at_least(1).await; // the worker is busy for good
    for i in 1..10 {
        recorder.record(event(&i.to_string()));
    }
    assert_eq!(recorder.dropped(), 6);
}

#[tokio::test]
async fn missing_permission_is_named() {
    let mock = Mock::start(|_| Answer::status(403, "Forbidden", "events is forbidden")).await;
    let health = Health::default();
    let recorder = Recorder::start(&mock.client(), &health, &UnderWay::default(), &options());
    recorder.record(event("a"));
    recorder.record(event("b"));
    mock.seen_at_least(2).await;
    let problems = health.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("grant verb \"create\" on resource \"events\" in API group \"events.k8s.io\""), "{problems:?}");
}
