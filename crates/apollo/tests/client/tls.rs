//! TLS and mutual TLS with certificates made for the test.
//! Leaves out reading of the files themselves: see `endpoint.rs`.

use crate::fake::{Fake, Reply};
use crate::{Subject, config};
use aisched_apollo::{ClientConfig, TlsFiles};
use aisched_model::policy::PolicySource::{Fallback, Success};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// An authority and the files that a client of its servers has.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: TempDir::new().unwrap() }
    }

    /// A certificate for `name`, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn file(&self, name: &str, content: &str) -> Option<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Some(path)
    }

    fn ca(&self) -> Option<PathBuf> {
        self.file("ca.pem", &self.issuer.pem())
    }
}

/// Serves `fake` at `localhost`; with `is_mutual` only for clients of the same authority.
async fn serve(fake: &Fake, authority: &Authority, is_mutual: bool) -> u16 {
    let (certificate, key) = authority.issue("localhost");
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    if is_mutual {
        tls = tls.client_ca_root(Certificate::from_pem(authority.issuer.pem()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = Server::builder().tls_config(tls).unwrap();
    tokio::spawn(server.add_service(fake.service()).serve_with_incoming(TcpIncoming::from(listener)));
    port
}

fn secure(port: u16, tls: TlsFiles) -> ClientConfig {
    ClientConfig { tls, ..config(format!("https://localhost:{port}")) }
}

#[tokio::test]
async fn server_of_the_given_authority_is_trusted() {
    let (fake, authority) = (Fake::start(Reply::Policy), Authority::new());
    let port = serve(&fake, &authority, false).await;
    let files = TlsFiles { ca: authority.ca(), ..TlsFiles::default() };
    let mut subject = Subject::new(secure(port, files));
    let answer = subject.resolve("a").await;
    assert_eq!((answer.source, answer.error), (Success, None));
}

#[tokio::test]
async fn server_of_another_authority_is_not_trusted() {
    let (fake, authority) = (Fake::start(Reply::Policy), Authority::new());
    let port = serve(&fake, &authority, false).await;
    let stranger = Authority::new();
    let others = TlsFiles { ca: stranger.ca(), ..TlsFiles::default() };
    // The system's roots know no test's authority either.
    for files in [others, TlsFiles::default()] {
        let answer = Subject::new(secure(port, files)).resolve("a").await;
        let error = answer.error.unwrap();
        assert_eq!(answer.source, Fallback);
        assert!(error.starts_with("the call failed: ") && error.contains("certificate"), "{error}");
    }
    assert_eq!(fake.n_asked(), 0);
}

#[tokio::test]
async fn server_of_another_name_is_not_trusted() {
    let (fake, authority) = (Fake::start(Reply::Policy), Authority::new());
    let port = serve(&fake, &authority, false).await;
    let tls = TlsFiles { ca: authority.ca(), ..TlsFiles::default() };
    let elsewhere = ClientConfig { tls, ..config(format!("https://127.0.0.1:{port}")) };
    let answer = Subject::new(elsewhere).resolve("a").await;
    assert_eq!(answer.source, Fallback);
    assert!(answer.error.unwrap().contains("not valid for name"));
}

#[tokio::test]
async fn mutual_tls_needs_the_clients_certificate() {
    let (fake, authority) = (Fake::start(Reply::Policy), Authority::new());
    let port = serve(&fake, &authority, true).await;
    let (cert, key) = authority.issue("scheduler");
    let known = TlsFiles { ca: authority.ca(), cert: authority.file("cert.pem", &cert), key: authority.file("key.pem", &key) };
    let unknown = TlsFiles { ca: authority.ca(), ..TlsFiles::default() };
    assert_eq!(Subject::new(secure(port, unknown)).source("a").await, Fallback);
    assert_eq!(fake.n_asked(), 0);
    assert_eq!(Subject::new(secure(port, known)).source("a").await, Success);
}

#[tokio::test]
async fn renewed_files_are_read_after_the_breaker_opened() {
    let (fake, authority) = (Fake::start(Reply::Policy), Authority::new());
    let port = serve(&fake, &authority, false).await;
    let stranger = Authority::new();
    let ca = authority.file("ca.pem", &stranger.issuer.pem());
    let config = ClientConfig {
        // Also the breaker's longest pause: its probe comes soon.
        connection_timeout: Duration::from_millis(50),
        ..secure(port, TlsFiles { ca, ..TlsFiles::default() })
    };
    let mut subject = Subject::new(config);
    for i in 0..5 {
        assert_eq!(subject.source(&format!("pod-{i}")).await, Fallback);
    }
    authority.ca();
    let probing = async { while subject.source("a").await != Success {} };
    timeout(Duration::from_secs(20), probing).await.unwrap();
}
