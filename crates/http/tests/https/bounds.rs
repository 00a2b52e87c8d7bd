//! What callers cannot do: wait for ever, ask too much at once, hold connections.
//! Leaves out sizes that no test can tell from a larger one.

use crate::world::{World, connect, engine, options};
use aisched_http::{CertificateSource, Limits, Query, ServeError, serve};
use axum::body::Body;
use hyper::{Method, Request};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn silent_loop_is_given_up_and_metrics_are_shown_without_it() {
    let (world, _asked) = World::played(Limits { answer: SHORT, ..Limits::default() }).await;
    let expected = "the scheduler's loop is busy and did not answer within 20 ms; try again";
    assert_eq!(world.admin("/api/v1/nodes").await.error(), (503, expected.into()));
    assert_eq!(world.admin("/metrics").await.status, 200);
}

#[tokio::test]
async fn ended_loop_is_told_apart() {
    let (world, asked) = World::played(Limits::default()).await;
    drop(asked);
    assert_eq!(world.admin("/api/v1/nodes").await.error(), (503, "the scheduler is stopping".into()));
}

#[tokio::test]
async fn late_request_is_given_up() {
    let (world, _asked) = World::played(Limits { request: SHORT, ..Limits::default() }).await;
    let answer = world.admin("/api/v1/nodes").await;
    assert_eq!(answer.error(), (503, "the request was not answered within 20 ms; try again".into()));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn request_too_many_is_refused_and_health_is_not() {
    let (world, mut asked) = World::played(Limits { requests: 1, health: SHORT, ..Limits::default() }).await;
    let (first, second) = tokio::join!(world.admin("/api/v1/nodes"), async {
        let Some(Query::Nodes(reply)) = asked.recv().await else { panic!("nodes are asked for") };
        let second = world.admin("/api/v1/nodes").await;
        assert_eq!(world.get("/livez", None).await.status, 200);
        drop(reply);
        second
    });
    assert_eq!(second.error(), (503, "1 requests are being answered already; try again".into()));
    assert_eq!(first.error(), (503, "the scheduler is stopping".into()));
}

#[tokio::test]
async fn large_body_is_refused() {
    let world = World::with(engine()).await;
    let answer = world.send(Method::POST, "/api/v1/status", Some("admin"), Body::from(vec![0; (1 << 20) + 1])).await;
    assert_eq!(answer.error(), (413, "the body has 1048577 bytes; at most 1048576 are taken".into()));
}

#[tokio::test]
async fn head_that_does_not_come_ends_the_connection() {
    let (world, _asked) = World::played(Limits { head: SHORT, ..Limits::default() }).await;
    let mut stream = connect(world.address, &world.certificate(), rustls::ALL_VERSIONS).await;
    stream.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await; // an end without a goodbye is an end too
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
}

#[tokio::test]
async fn connection_ends_when_its_time_is_over() {
    let (world, _asked) = World::played(Limits { connection: SHORT, ..Limits::default() }).await;
    let mut stream = connect(world.address, &world.certificate(), rustls::ALL_VERSIONS).await;
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn taken_port_is_named() {
    let (world, _asked) = World::played(Limits::default()).await;
    let mut second = options(CertificateSource::SelfSigned { dir: None });
    second.address = world.address;
    let error = serve(second, crate::world::idle_backend(), async {}).await.unwrap_err();
    assert!(matches!(error, ServeError::Taken(address) if address == world.address));
    assert!(error.to_string().starts_with(&format!("{} is already taken: ", world.address)));
}

#[tokio::test]
async fn server_stops_though_a_connection_is_kept_open() {
    let (world, _asked) = World::played(Limits { health: SHORT, ..Limits::default() }).await;
    let mut kept = world.connect().await;
    let request = Request::get("/livez").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(kept.send_request(request).await.unwrap().status(), 200);
    let address = world.address;
    world.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
