//! The certificate as clients see it.
//! Leaves out what is in its files when they are wrong: see `certificate`.

use crate::world::{World, connect, engine, idle_backend, open, options, speak, try_connect};
use aisched_http::{CertificateSource, serve};
use axum::body::Body;
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_with_a_certificate_for_localhost() {
    let world = World::with(engine()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(world.address, &world.certificate(), &[version]).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let request = Request::get("/livez").header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(speak(stream).await.send_request(request).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn http_2_is_spoken_to_clients_that_offer_it() {
    let world = World::with(engine()).await;
    let cert = CertificateDer::from_pem_file(world.certificate()).unwrap();
    let stream = open(world.address, &cert, rustls::ALL_VERSIONS, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/livez").body(Body::empty()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn changed_certificate_files_are_served_to_new_connections() {
    // Two certificates made by servers of their own: each keeps its own in a folder.
    let (old, new) = (World::with(engine()).await, World::with(engine()).await);
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = ["ai-storage-scheduler.crt", "ai-storage-scheduler.key"].map(|name| dir.path().join(name));
    let put = |from: &World| {
        for file in [&cert, &key] {
            fs::copy(from.dir.path().join(file.file_name().unwrap()), file).unwrap();
        }
    };
    put(&old);
    let mut options = options(CertificateSource::Files { cert: cert.clone(), key: key.clone() });
    options.reload_every = Duration::from_millis(5);
    let server = serve(options, idle_backend(), pending()).await.unwrap();
    let first = shown(&connect(server.address(), &old.certificate(), rustls::ALL_VERSIONS).await);
    put(&new);
    let second = shown(&connect(new.address, &new.certificate(), rustls::ALL_VERSIONS).await);
    assert_ne!(first, second);
    timeout(Duration::from_secs(60), served(server.address(), &second)).await.expect("the new certificate is served in the end");
}

/// Waits until a server shows this certificate: a client that trusts no other gets through.
async fn served(address: SocketAddr, expected: &CertificateDer<'static>) {
    while try_connect(address, expected, rustls::ALL_VERSIONS).await.is_err() {}
}
