//! Where APOLLO is and how to reach it: reads endpoints, loads TLS files, opens channels.
//! Leaves out calls, deadlines and what to do when a connection fails.

use aisched_model::endpoint::{self, Endpoint};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tonic::codegen::BoxFuture;
use tonic::codegen::http::Uri;
use tonic::transport::{self, Certificate, Channel, ClientTlsConfig, Identity};

/// How often a quiet connection is asked for a sign of life, so that a vanished server is noticed between bursts of pods.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// An endpoint, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The empty endpoint: APOLLO is switched off.
    Off,
    /// `host:port`: HTTP/2 without encryption.
    Plaintext(Uri),
    /// `https://host:port`.
    Tls(Uri),
}

/// Files for TLS, by the environment variables that name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `APOLLO_CA_FILE`: certificate authorities trusted in the place of the system's.
    pub ca: Option<PathBuf>,
    /// `APOLLO_CERT_FILE`: the client's certificate.
    pub cert: Option<PathBuf>,
    /// `APOLLO_KEY_FILE`: the client's key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Takes the three files from environment variables; an empty one counts as unset.
    ///
    /// Example: `TlsFiles::from_env(|name| std::env::var_os(name))`.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let file = |name| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self { ca: file("APOLLO_CA_FILE"), cert: file("APOLLO_CERT_FILE"), key: file("APOLLO_KEY_FILE") }
    }
}

/// Why no channel to an endpoint can be made.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The endpoint cannot be read.
    #[error("APOLLO endpoint {value:?} {problem}; write {}", endpoint::EXPECTED)]
    Invalid {
        /// The endpoint as written.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A TLS file cannot be read.
    #[error("cannot read {} named by {variable}", path.display())]
    File {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A TLS file holds something else.
    #[error("{} named by {variable} holds no {expected} in PEM form", path.display())]
    NotPem {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Half of mutual TLS.
    #[error("{set} is set without {unset}; mutual TLS needs both")]
    HalfIdentity {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is not.
        unset: &'static str,
    },
    /// The TLS library refuses the files.
    #[error("cannot set up TLS for {endpoint}")]
    Tls {
        /// The endpoint.
        endpoint: Uri,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Target {
    /// Reads `host:port`, `http://host:port`, `https://host:port`, or nothing.
    ///
    /// # Errors
    /// [`EndpointError::Invalid`] names the value, what is wrong, and what would be right.
    pub fn parse(value: &str) -> Result<Self, EndpointError> {
        let invalid = |problem| EndpointError::Invalid { value: value.to_owned(), problem };
        let Some(Endpoint { is_tls, authority }) = endpoint::read(value).map_err(invalid)? else { return Ok(Self::Off) };
        let scheme = if is_tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{authority}").parse().map_err(|_| invalid("is not a host and a port"))?;
        Ok(if is_tls { Self::Tls(uri) } else { Self::Plaintext(uri) })
    }
}

/// How a channel is made; the client calls it at first use and again after the breaker opened, so that renewed certificates are read.
pub type Dial = Arc<dyn Fn(Target, TlsFiles, Duration) -> BoxFuture<Channel, EndpointError> + Send + Sync + 'static>;

/// Dials over TCP, and TLS where the target says so.
pub(crate) fn tcp() -> Dial {
    Arc::new(|target, files, connect_timeout| Box::pin(async move { open(target, &files, connect_timeout).await }))
}

/// A channel that connects when it is first used.
async fn open(target: Target, files: &TlsFiles, connect_timeout: Duration) -> Result<Channel, EndpointError> {
    match target {
        Target::Off => Err(EndpointError::Invalid { value: String::new(), problem: "is empty" }),
        Target::Plaintext(uri) => Ok(tuned(uri, connect_timeout).connect_lazy()),
        Target::Tls(uri) => {
            let tls = tls(files).await?;
            let endpoint = tuned(uri.clone(), connect_timeout).tls_config(tls);
            let endpoint = endpoint.map_err(|source| EndpointError::Tls { endpoint: uri, source })?;
            Ok(endpoint.connect_lazy())
        }
    }
}

fn tuned(uri: Uri, connect_timeout: Duration) -> transport::Endpoint {
    transport::Endpoint::from(uri)
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(connect_timeout)
}

async fn tls(files: &TlsFiles) -> Result<ClientTlsConfig, EndpointError> {
    let config = match &files.ca {
        Some(path) => {
            let pem = pem("APOLLO_CA_FILE", path, "CERTIFICATE").await?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let half = |set, unset| Err(EndpointError::HalfIdentity { set, unset });
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let cert = pem("APOLLO_CERT_FILE", cert, "CERTIFICATE").await?;
            let key = pem("APOLLO_KEY_FILE", key, "PRIVATE KEY").await?;
            Ok(config.identity(Identity::from_pem(cert, key)))
        }
        (Some(_), None) => half("APOLLO_CERT_FILE", "APOLLO_KEY_FILE"),
        (None, Some(_)) => half("APOLLO_KEY_FILE", "APOLLO_CERT_FILE"),
        (None, None) => Ok(config),
    }
}

async fn pem(variable: &'static str, path: &Path, expected: &'static str) -> Result<Vec<u8>, EndpointError> {
    let content = tokio::fs::read(path).await;
    let content = content.map_err(|source| EndpointError::File { variable, path: path.to_owned(), source })?;
    // "PRIVATE KEY" also ends the older headers ("RSA PRIVATE KEY", "EC PRIVATE KEY").
    let header = format!("{expected}-----");
    let is_pem =
        String::from_utf8_lossy(&content).lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&header));
    if !is_pem {
        return Err(EndpointError::NotPem { variable, path: path.to_owned(), expected });
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        let cases = [
            ("", "off"),
            ("  ", "off"),
            ("apollo-policy-server.keti.svc.cluster.local:50051", "http://apollo-policy-server.keti.svc.cluster.local:50051/"),
            (" 10.0.0.1:50054\n", "http://10.0.0.1:50054/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://apollo:50051/", "http://apollo:50051/"),
            ("https://apollo:443", "https://apollo:443/"),
        ];
        for (value, expected) in cases {
            let target = match Target::parse(value).unwrap() {
                Target::Off => "off".to_owned(),
                Target::Plaintext(uri) | Target::Tls(uri) => uri.to_string(),
            };
            assert_eq!(target, expected, "{value:?}");
        }
    }

    #[test]
    fn unreadable_endpoints_say_what_is_wrong_and_what_would_be_right() {
        let cases = [
            ("apollo", "has no port from 1 to 65535"),
            ("https://apollo", "has no port from 1 to 65535"),
            ("apollo:0", "has no port from 1 to 65535"),
            ("apollo:fifty", "has no port from 1 to 65535"),
            ("apollo:99999", "has no port from 1 to 65535"),
            (":50051", "names no host"),
            ("dns:///apollo:50051", "has an unknown scheme"),
            ("apollo:50051/policies", "has more than a host and a port"),
            ("me:secret@apollo:50051", "has more than a host and a port"),
            ("two words:50051", "is not a host and a port"),
        ];
        for (value, problem) in cases {
            let error = Target::parse(value).unwrap_err().to_string();
            let expected = format!(
                "APOLLO endpoint {value:?} {problem}; write host:port for plaintext, https://host:port for TLS, or nothing to switch APOLLO off"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn tls_files_come_from_the_environment() {
        let files = TlsFiles::from_env(|name| match name {
            "APOLLO_CA_FILE" => Some("/ca.pem".into()),
            "APOLLO_CERT_FILE" => Some("".into()),
            _ => None,
        });
        let expected = TlsFiles { ca: Some("/ca.pem".into()), ..TlsFiles::default() };
        assert_eq!(files, expected);
    }

    #[tokio::test]
    async fn unusable_tls_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let junk = folder.path().join("junk.pem");
        std::fs::write(&junk, "not a certificate").unwrap();
        let missing = folder.path().join("missing.pem");
        let files = |ca: Option<&PathBuf>, cert: Option<&PathBuf>, key: Option<&PathBuf>| TlsFiles {
            ca: ca.cloned(),
            cert: cert.cloned(),
            key: key.cloned(),
        };
        let cases = [
            (files(Some(&missing), None, None), format!("cannot read {} named by APOLLO_CA_FILE", missing.display())),
            (files(Some(&junk), None, None), format!("{} named by APOLLO_CA_FILE holds no CERTIFICATE in PEM form", junk.display())),
            (files(None, Some(&junk), None), "APOLLO_CERT_FILE is set without APOLLO_KEY_FILE; mutual TLS needs both".to_owned()),
            (files(None, None, Some(&junk)), "APOLLO_KEY_FILE is set without APOLLO_CERT_FILE; mutual TLS needs both".to_owned()),
        ];
        for (files, expected) in cases {
            let target = Target::parse("https://apollo:443").unwrap();
            let error = open(target, &files, Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
