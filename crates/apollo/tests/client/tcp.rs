//! The client over real TCP connections: success, nobody there, another endpoint while running.
//! Leaves out broken servers (`hostile.rs`).

use crate::fake::{Fake, Reply};
use crate::{Subject, config};
use aisched_model::policy::PolicySource::{Cache, Fallback, Success};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

async fn serve(fake: &Fake) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder().add_service(fake.service());
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn policy_comes_over_tcp_and_its_result_goes_back() {
    let fake = Fake::start(Reply::Policy);
    let mut subject = Subject::new(config(serve(&fake).await));
    assert_eq!(subject.source("a").await, Success);
    assert_eq!(subject.source("a").await, Cache);
    subject.client.forget("a");
    subject.client.flushed().await;
    assert_eq!(fake.reports(), ["r-1 failed"]);
}

#[tokio::test]
async fn refused_connection_is_said_once_with_its_cause() {
    let address = nobody().await;
    let mut subject = Subject::new(config(address));
    let error = subject.resolve("a").await.error.unwrap();
    assert!(error.starts_with("the call failed: ") && error.contains("onnection refused"), "{error}");
    assert_eq!(error.matches("onnection refused").count(), 1, "{error}");
}

#[tokio::test]
async fn endpoint_changes_while_running() {
    let fake = Fake::start(Reply::Policy);
    let mut subject = Subject::new(config(nobody().await));
    for i in 0..6 {
        assert_eq!(subject.source(&format!("pod-{i}")).await, Fallback);
    }
    subject.client.reconfigure(config(serve(&fake).await));
    assert_eq!(subject.source("pod-0").await, Success);
    subject.client.reconfigure(config(nobody().await));
    assert_eq!(subject.source("pod-0").await, Fallback);
}

/// Not paused and on several threads: the client's lock and counts hold under real concurrency.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn burst_over_one_connection_is_answered_in_full() {
    let fake = Fake::start(Reply::Policy);
    let mut subject = Subject::new(config(serve(&fake).await));
    for i in 0..2000 {
        subject.ask(&format!("pod-{i}"));
    }
    for _ in 0..2000 {
        let answer = subject.next().await;
        assert_eq!((answer.source, answer.error), (Success, None));
        subject.client.forget(&answer.uid);
    }
    subject.client.flushed().await;
    assert!(fake.most_at_a_time() <= 64);
    let stats = subject.client.stats();
    assert_eq!((stats.reports.accepted, stats.n_cached, stats.n_in_flight), (2000, 0, 0));
}
