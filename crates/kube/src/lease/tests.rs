//! Elections in virtual time over a Lease in memory, and what goes over the wire.
//! Leaves out processes: the end-to-end tests kill those.

use super::elector::{Attempt, Elector, Fault, Lock, Record};
use super::{Election, LeaseLock, LeaseOptions, Standing};
use crate::events::{Recorder, RecorderOptions};
use crate::problem::Problem;
use crate::testing::{Answer, Mock, Seen};
use crate::under_way::UnderWay;
use crate::watch::Health;
use aisched_core::event::Event;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn options(identity: &str) -> LeaseOptions {
    LeaseOptions {
        namespace: "keti".into(),
        name: "s".into(),
        identity: identity.into(),
        lease_duration: 15 * SECOND,
        renew_deadline: 10 * SECOND,
        retry_period: 2 * SECOND,
        reporter: "s".into(),
    }
}

/// A Lease in memory, shared by those who want it.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    record: Option<Record>,
    version: u64,
    /// Nobody can reach it.
    is_away: bool,
    /// The next write is carried out, but its answer is lost.
    loses_answer: bool,
}

/// One's view of the store.
struct View(Store, u64);

impl Store {
    fn elector(&self, identity: &str) -> Elector<View> {
        Elector::new(View(self.clone(), 0), options(identity), || 0.5)
    }
    fn record(&self) -> Record {
        self.0.lock().unwrap().record.clone().unwrap()
    }
    /// Somebody writes the Lease without asking.
    fn put(&self, record: Record) {
        let mut stored = self.0.lock().unwrap();
        (stored.record, stored.version) = (Some(record), stored.version + 1);
    }
    fn set_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }
    fn write(&self, seen: &mut u64, record: &Record, verb: &'static str) -> Result<(), Fault> {
        let mut stored = self.0.lock().unwrap();
        let away = || Fault { verb, problem: Problem::Unreachable("away".into()) };
        if stored.is_away {
            return Err(away());
        }
        if stored.version != *seen {
            return Err(Fault { verb, problem: Problem::Conflict("it has changed".into()) });
        }
        (stored.record, stored.version) = (Some(record.clone()), stored.version + 1);
        if std::mem::take(&mut stored.loses_answer) {
            return Err(away());
        }
        *seen = stored.version;
        Ok(())
    }
}

impl Lock for View {
    async fn get(&mut self) -> Result<Option<Record>, Fault> {
        let stored = self.0.0.lock().unwrap();
        if stored.is_away {
            return Err(Fault { verb: "get", problem: Problem::Unreachable("away".into()) });
        }
        self.1 = stored.version;
        Ok(stored.record.clone())
    }
    async fn create(&mut self, record: &Record) -> Result<(), Fault> {
        self.0.write(&mut self.1, record, "create")
    }
    async fn update(&mut self, record: &Record) -> Result<(), Fault> {
        self.0.write(&mut self.1, record, "update")
    }
}

fn held(holder: &str, duration_seconds: i32, renewed: &str) -> Record {
    let at = Some(renewed.parse().unwrap());
    Record { holder: holder.into(), duration_seconds, acquired: at, renewed: at, transitions: 4 }
}

/// Tries until the Lease is this one's; how long that took.
async fn acquire(elector: &mut Elector<View>) -> Duration {
    let began = Instant::now();
    loop {
        let is_held = match elector.attempt().await {
            Ok(Attempt::Ours) => return began.elapsed(),
            Ok(Attempt::HeldBy(_)) => true,
            Err(_) => false,
        };
        elector.pause(is_held).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lease_that_nobody_has_is_taken_at_once() {
    let store = Store::default();
    assert_eq!(acquire(&mut store.elector("a")).await, Duration::ZERO);
    let Record { holder, duration_seconds, acquired, renewed, transitions } = store.record();
    assert_eq!((holder.as_str(), duration_seconds, transitions), ("a", 15, 0));
    assert!(acquired.is_some() && acquired == renewed);
}

#[tokio::test(start_paused = true)]
async fn holders_time_is_counted_from_when_it_was_seen_and_never_by_its_clock() {
    for (record, seconds) in [
        (held("other", 15, "1970-01-01T00:00:00Z"), 15),
        (held("other", 15, "2999-01-01T00:00:00Z"), 15),
        (held("other", 60, "2026-01-01T00:00:00Z"), 60),
        (held("other", 0, "2999-01-01T00:00:00Z"), 0),
        (held("", 15, "2999-01-01T00:00:00Z"), 0),
        (Record { renewed: None, acquired: None, ..held("other", 15, "2026-01-01T00:00:00Z") }, 15),
    ] {
        let store = Store::default();
        store.put(record.clone());
        assert_eq!(acquire(&mut store.elector("a")).await, seconds * SECOND, "{record:?}");
        assert_eq!((store.record().holder.as_str(), store.record().transitions), ("a", 5));
    }
}

#[tokio::test(start_paused = true)]
async fn holder_that_renews_keeps_the_lease() {
    let store = Store::default();
    let (mut leader, mut follower) = (store.elector("a"), store.elector("b"));
    acquire(&mut leader).await;
    let first = store.record();
    let followed = tokio::spawn(async move { timeout(3600 * SECOND, acquire(&mut follower)).await.is_err() });
    let kept = timeout(3600 * SECOND, leader.keep(|_| {})).await;
    assert!(kept.is_err(), "{kept:?}");
    assert!(followed.await.unwrap());
    assert_eq!(Record { renewed: first.renewed, ..store.record() }, first, "acquired and transitions stay");
}

#[tokio::test(start_paused = true)]
async fn follower_has_the_lease_15_s_after_the_last_renewal_of_one_that_died() {
    let store = Store::default();
    let (mut leader, mut follower) = (store.elector("a"), store.elector("b"));
    acquire(&mut leader).await;
    let follower = tokio::spawn(async move { acquire(&mut follower).await });
    let died = timeout(61 * SECOND, leader.keep(|_| {})).await;
    assert!(died.is_err());
    let waited = follower.await.unwrap();
    // The last renewal was sent at 60 s; with this luck the follower looks every 3.2 s.
    assert!((75 * SECOND..75 * SECOND + Duration::from_millis(3200)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn leader_without_an_api_server_gives_up_before_anyone_else_may_lead() {
    let store = Store::default();
    let mut leader = store.elector("a");
    acquire(&mut leader).await;
    store.set_away(true);
    let (began, mut until) = (Instant::now(), Instant::now());
    let why = leader.keep(|u| until = u).await;
    assert_eq!(why, "it could not be renewed for 10s: cannot get it: away");
    assert!(began.elapsed() <= 12 * SECOND && Instant::now() < until, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn leader_outlives_a_short_outage_and_a_lost_answer() {
    let store = Store::default();
    let mut leader = store.elector("a");
    acquire(&mut leader).await;
    store.set_away(true);
    let back = async {
        sleep(7 * SECOND).await;
        store.set_away(false);
        store.0.lock().unwrap().loses_answer = true;
    };
    let (kept, ()) = tokio::join!(timeout(600 * SECOND, leader.keep(|_| {})), back);
    assert!(kept.is_err(), "{kept:?}");
    assert_eq!(store.record().transitions, 0);
}

#[tokio::test(start_paused = true)]
async fn leader_whose_lease_is_taken_stops_with_its_next_renewal() {
    let store = Store::default();
    let mut leader = store.elector("a");
    acquire(&mut leader).await;
    store.put(held("thief", 15, "2026-01-01T00:00:00Z"));
    let began = Instant::now();
    assert_eq!(leader.keep(|_| {}).await, "thief has taken it");
    assert_eq!(began.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn lease_given_back_is_free_and_one_of_another_is_left_alone() {
    let store = Store::default();
    let mut leader = store.elector("a");
    acquire(&mut leader).await;
    leader.release().await;
    let Record { holder, duration_seconds, transitions, .. } = store.record();
    assert_eq!((holder.as_str(), duration_seconds, transitions), ("", 1, 0));
    assert_eq!(acquire(&mut store.elector("b")).await, Duration::ZERO);
    assert_eq!(store.record().transitions, 1);
    leader.release().await;
    assert_eq!(store.record().holder, "b");
}

/// Any number of schedulers on a server that comes and goes, some of them dying: at most one may act at any time.
#[tokio::test(start_paused = true)]
async fn two_never_lead_at_once() {
    for seed in 1..9_u64 {
        let store = Store::default();
        let standings: Vec<Arc<Mutex<Standing>>> = (0..3).map(|_| Arc::new(Mutex::new(Standing::Following(None)))).collect();
        for (i, standing) in standings.iter().cloned().enumerate() {
            let store = store.clone();
            tokio::spawn(async move {
                let mut n_lives = seed + i as u64;
                loop {
                    n_lives = n_lives.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let mut elector = store.elector(&format!("{i}-{n_lives}"));
                    let life = Duration::from_millis(n_lives >> 47);
                    let mut tell = |until| *standing.lock().unwrap() = Standing::Leading(until);
                    let lived = timeout(life, async {
                        acquire(&mut elector).await;
                        elector.keep(&mut tell).await
                    });
                    let _died_or_lost = lived.await;
                    *standing.lock().unwrap() = Standing::Following(None);
                }
            });
        }
        let mut n_led = 0;
        for tick in 0..2400_u64 {
            store.set_away((tick / 39).wrapping_mul(seed) % 4 == 3);
            sleep(SECOND / 4).await;
            let n_leaders = standings.iter().filter(|s| s.lock().unwrap().leads()).count();
            assert!(n_leaders <= 1, "{n_leaders} lead with seed {seed} at tick {tick}");
            n_led += n_leaders;
        }
        assert!(n_led > 400, "nobody led with seed {seed}: {n_led}");
    }
}

#[test]
fn standing_says_when_a_process_hangs() {
    let now = Instant::now();
    for (standing, leads, is_well) in [
        (Standing::Following(Some("other".into())), false, true),
        (Standing::Leading(now + SECOND), true, true),
        (Standing::Leading(now.checked_sub(SECOND).unwrap_or(now)), false, true),
        (Standing::Leading(now.checked_sub(21 * SECOND).unwrap_or(now)), false, false),
        (Standing::Lost("taken".into()), false, false),
    ] {
        assert_eq!((standing.leads(), standing.fault().is_none()), (leads, is_well), "{standing:?}");
    }
}

/// A Lease as client-go writes it.
fn lease(holder: &str, version: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "s", "namespace": "keti", "resourceVersion": version, "uid": "u", "labels": {"kept": "yes"}},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 2,
            "acquireTime": "2026-01-02T03:04:05.000006Z", "renewTime": "2026-01-02T03:04:05.123456Z",
        },
    })
}

#[tokio::test]
async fn lease_is_read_and_written_as_client_go_does() {
    let mock = Mock::start(|seen: &Seen| match seen.method.as_str() {
        "GET" => Answer::Json(200, lease("other", "7")),
        _ => Answer::Json(200, seen.body.clone()),
    });
    let mock = mock.await;
    let mut lock = LeaseLock::new(mock.client(), &options("a"));
    let read = lock.get().await.unwrap().unwrap();
    assert_eq!(
        read,
        Record { renewed: "2026-01-02T03:04:05.123456Z".parse().ok(), ..held("other", 15, "2026-01-02T03:04:05.000006Z") }.with(2)
    );
    lock.update(&Record { holder: "a".into(), ..read.clone() }).await.unwrap();
    lock.create(&Record { holder: String::new(), ..read }).await.unwrap();
    let seen = mock.seen();
    assert_eq!(seen[1].line(), "PUT /apis/coordination.k8s.io/v1/namespaces/keti/leases/s");
    assert_eq!(seen[1].body, lease("a", "7"));
    assert_eq!(seen[2].line(), "POST /apis/coordination.k8s.io/v1/namespaces/keti/leases");
    assert_eq!(
        (&seen[2].body["spec"]["holderIdentity"], &seen[2].body["metadata"]),
        (&json!(""), &json!({"name": "s", "namespace": "keti"}))
    );
}

impl Record {
    fn with(self, transitions: i32) -> Self {
        Self { transitions, ..self }
    }
}

#[tokio::test]
async fn election_that_is_won_is_told_and_one_that_cannot_be_held_names_what_is_missing() {
    for (code, problem) in [(201, None), (403, Some("grant verb \"create\" on resource \"leases\" in API group \"coordination.k8s.io\""))] {
        let mock = Mock::start(move |seen: &Seen| match (seen.method.as_str(), code) {
            ("GET", _) => Answer::status(404, "NotFound", "leases s not found"),
            (_, 201) => Answer::Json(201, seen.body.clone()),
            _ => Answer::status(code, "Forbidden", "no"),
        });
        let mock = mock.await;
        let (sender, mut events) = unbounded_channel();
        let health = Health::default();
        let recorder = Recorder::start(
            &mock.client(),
            &health,
            &UnderWay::default(),
            &RecorderOptions { hostname: "h".into(), ..RecorderOptions::default() },
        );
        let election = Election::start(&mock.client(), options("a"), sender, recorder, health.clone());
        match problem {
            None => {
                assert!(matches!(events.recv().await, Some(Event::Leading)));
                assert!(election.standing().borrow().leads());
                let seen = mock.seen_at_least(3).await;
                let event = seen.iter().find(|s| s.path.ends_with("/events")).unwrap();
                assert_eq!((&event.body["reason"], &event.body["note"]), (&json!("LeaderElection"), &json!("a became leader")));
            }
            Some(advice) => {
                mock.seen_at_least(2).await;
                while health.problems().is_empty() {
                    tokio::task::yield_now().await;
                }
                assert!(health.problems()[0].contains(advice), "{:?}", health.problems());
                assert!(!election.standing().borrow().leads());
            }
        }
    }
}
