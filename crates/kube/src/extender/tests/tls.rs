//! Extenders over TLS, with certificates made for the test: who is trusted, and who is let in.
//! Leaves out what is asked.

use super::{ExtenderConfig, api, extenders, judged, shown};
use crate::scheduler_config::ExtenderTls;
use axum::serve::Listener;
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `name`, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

struct Tls(TcpListener, TlsAcceptor);

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// An extender for clients of the authority that lets node `a` pass; its certificate is for `extender.example`.
async fn serve(authority: &Authority) -> (String, JoinSet<()>) {
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (certificate, key) = authority.issue("extender.example");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.0.pem())).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = config.with_client_cert_verifier(clients).with_single_cert(vec![der(&certificate)], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(async || "{\"NodeNames\":[\"a\"]}");
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(Tls(listener, TlsAcceptor::from(Arc::new(config))), router).await.unwrap() });
    (address, server)
}

fn base64(pem: &str) -> String {
    serde_json::to_value(ByteString(pem.into())).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn server_and_client_show_certificates_that_the_other_trusts() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (address, _server) = serve(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.issue("scheduler");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Some(path.display().to_string())
    };
    let name = Some("extender.example".to_owned());
    let in_files = ExtenderTls {
        server_name: name.clone(),
        ca_file: file("ca", &authority.0.pem()),
        cert_file: file("cert", &certificate),
        key_file: file("key", &key),
        ..ExtenderTls::default()
    };
    let in_place = ExtenderTls {
        server_name: name.clone(),
        ca_data: Some(base64(&authority.0.pem())),
        cert_data: Some(base64(&certificate)),
        key_data: Some(base64(&key).into()),
        ..ExtenderTls::default()
    };
    let cases = [
        (ExtenderTls { ca_file: file("stranger", &stranger.0.pem()), ca_data: None, ..in_place.clone() }, false),
        (ExtenderTls { server_name: None, ..in_place.clone() }, false),
        (ExtenderTls { cert_file: None, key_file: None, ..in_files.clone() }, false),
        (ExtenderTls { server_name: None, ca_file: None, insecure: true, ..in_files.clone() }, true),
        (in_files, true),
        (in_place, true),
    ];
    let api = api().await;
    for (tls, trusted) in cases {
        let config = ExtenderConfig {
            url_prefix: address.clone(),
            filter_verb: "filter".into(),
            http_timeout: Duration::from_secs(60),
            node_cache_capable: true,
            tls: tls.clone(),
            ..ExtenderConfig::default()
        };
        let found = judged(&extenders(&api, [config]).await, &["a", "b"]).await.map(|judged| shown(&judged));
        assert_eq!(found.as_deref().ok(), trusted.then_some("a"), "{tls:?}: {found:?}");
    }
}
