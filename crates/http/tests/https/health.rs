//! What kubelets are told: alive, ready, and what is missing.
//! Leaves out time going by: the loop is played.

use crate::world::{World, engine};
use aisched_core::engine::{Engine, EngineOptions};
use aisched_http::{Limits, Query};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn synced_scheduler_is_ready() {
    let world = World::with(engine()).await;
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = world.get(path, None).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok"), "{path}");
    }
}

#[tokio::test]
async fn scheduler_that_does_not_know_the_cluster_is_alive_but_not_ready() {
    let world = World::with(Engine::new(Vec::new(), EngineOptions::default())).await;
    let ready = world.get("/readyz", None).await;
    let expected = "[+]loop ok\n[-]informer-sync failed: the first lists of the API server have not all arrived\n[+]leaderElection ok\n";
    assert_eq!((ready.status.as_u16(), ready.body.as_str()), (503, expected));
    assert_eq!(world.get("/livez", None).await.status, 200);
}

#[tokio::test]
async fn scheduler_that_has_not_begun_is_alive_but_not_ready() {
    let (world, _asked) = World::played(Limits { health: SHORT, ..Limits::default() }).await;
    let ready = world.get("/readyz", None).await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("[-]loop failed: the scheduler's loop does not answer\n"), "{}", ready.body);
    assert_eq!(world.get("/livez", None).await.status, 200);
}

#[tokio::test]
async fn loop_that_stopped_answering_is_dead() {
    let (world, mut asked) = World::played(Limits { health: SHORT, dead_after: Duration::ZERO, ..Limits::default() }).await;
    let (_, answered) = tokio::join!(world.get("/readyz", None), async {
        let Some(Query::Synced(reply)) = asked.recv().await else { panic!("the pulse is felt") };
        reply.send(true)
    });
    assert_eq!(answered, Ok(()));
    let live = world.get("/livez", None).await;
    assert_eq!(live.status, 503);
    assert!(live.body.starts_with("[-]loop failed: the scheduler's loop has not answered for "), "{}", live.body);
}

#[tokio::test]
async fn many_probes_reach_the_loop_once() {
    let (world, mut asked) = World::played(Limits { pulse: Duration::from_secs(3600), ..Limits::default() }).await;
    let probes = async { tokio::join!(world.get("/readyz", None), world.get("/livez", None), world.get("/readyz", None)) };
    let (_, ()) = tokio::join!(probes, async {
        let Some(Query::Synced(reply)) = asked.recv().await else { panic!("the pulse is felt") };
        let _ = reply.send(true);
    });
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn process_whose_lease_ran_out_is_neither_alive_nor_ready() {
    let world = World::with(engine()).await;
    *world.lease.lock().unwrap() = Some("the lease is lost: taken".into());
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = world.get(path, None).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.ends_with("[-]leaderElection failed: the lease is lost: taken\n"), "{path}: {}", answer.body);
    }
}
