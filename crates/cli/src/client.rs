//! Asks the running scheduler over HTTPS: where it is, whom to trust, with which token.
//! Leaves out what the answers mean.

use crate::tables::note;
use anyhow::{Context, Result, anyhow, bail};
use clap::builder::NonEmptyStringValueParser;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An answer of more than this is not one of the scheduler's.
const LARGEST_ANSWER: usize = 1 << 30;
/// The scheduler gives up on its own long before.
const PATIENCE: Duration = Duration::from_secs(30);
/// After this the user is told what is being waited for.
const SAY_SO: Duration = Duration::from_secs(2);

/// Where the running scheduler is and how to prove who asks.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Reaching the scheduler")]
pub(crate) struct ServerArgs {
    /// Address of the running scheduler, for one in a cluster after
    /// `kubectl -n keti port-forward deploy/ai-storage-scheduler 10259`
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:10259", value_parser = server)]
    server: Uri,
    /// Certificates (PEM) of the authority that signed the scheduler's; without it the system's authorities
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Trust any certificate, such as the one that the scheduler makes for itself when it is given none
    #[arg(long, conflicts_with = "certificate_authority")]
    insecure_skip_tls_verify: bool,
    /// Bearer token of the caller; without it the kubeconfig's
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file", value_parser = NonEmptyStringValueParser::new())]
    token: Option<String>,
    /// File that holds the bearer token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// kubeconfig whose user's token is sent; without it KUBECONFIG, then the in-cluster account, then ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

fn server(text: &str) -> Result<Uri, String> {
    let wrong = || "expected an address such as https://127.0.0.1:10259".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let bare = uri.path_and_query().is_none_or(|p| p.as_str() == "/");
    if uri.scheme_str() == Some("https") && uri.host().is_some_and(|h| !h.is_empty()) && bare { Ok(uri) } else { Err(wrong()) }
}

/// A way to the running scheduler.
pub(crate) struct Client {
    http: HttpClient<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `https://host:port`.
    server: String,
    token: Option<header::HeaderValue>,
}

impl Client {
    /// Reads certificates and token; the scheduler is not asked anything yet.
    pub(crate) async fn new(args: &ServerArgs) -> Result<Self> {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls(args)?).https_only().enable_http1();
        let token = match token(args).await? {
            Some(token) => Some(bearer(&token)?),
            None => None,
        };
        let server = args.server.to_string().trim_end_matches('/').to_owned();
        Ok(Self { http: HttpClient::builder(TokioExecutor::new()).build(https.build()), server, token })
    }

    /// The JSON under a path and query that begin with `/`.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        self.ask(Request::get(format!("{}{path}", self.server)), path, String::new()).await
    }

    /// The JSON that comes in answer to JSON.
    pub(crate) async fn post(&self, path: &str, body: String) -> Result<String> {
        let request = Request::post(format!("{}{path}", self.server)).header(header::CONTENT_TYPE, "application/json");
        self.ask(request, path, body).await
    }

    async fn ask(&self, request: Builder, path: &str, body: String) -> Result<String> {
        let mut request = request.header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(Full::from(body)).with_context(|| format!("{path:?} cannot be asked for"))?;
        let asked = async {
            let response = self.http.request(request).await.map_err(|e| self.unreachable(&e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            let body = body.map_err(|e| anyhow!("the answer of {} broke off: {}", self.server, root_cause(&*e)))?;
            Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        let (status, body) = self.patiently(asked).await?;
        if status == StatusCode::OK { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    /// Waits so long and no longer, and says what for.
    async fn patiently<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(asked);
        if let Ok(answer) = tokio::time::timeout(SAY_SO, &mut asked).await {
            return answer;
        }
        note(format_args!("waiting for {} …", self.server));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer,
            Err(_) => bail!("{} did not answer within {} s", self.server, PATIENCE.as_secs()),
        }
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> anyhow::Error {
        let cause = root_cause(error);
        if cause.contains("certificate") {
            return anyhow!(
                "the certificate of {} is not trusted: {cause}; name the authority that signed it with --certificate-authority FILE, or \
                 trust any with --insecure-skip-tls-verify",
                self.server
            );
        }
        anyhow!(
            "no scheduler answers at {}: {cause}; name its address with --server, or bring a scheduler in a cluster here with \
             `kubectl -n keti port-forward deploy/ai-storage-scheduler 10259`",
            self.server
        )
    }

    /// The scheduler's own words, and what can be done from here.
    fn refused(&self, status: StatusCode, body: &str) -> anyhow::Error {
        #[derive(serde::Deserialize)]
        struct Problem {
            error: String,
        }
        let Ok(Problem { error }) = serde_json::from_str::<Problem>(body) else {
            return anyhow!("{} answers {status}, and is perhaps no ai-storage-scheduler", self.server);
        };
        if self.token.is_none() && (status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN) {
            return anyhow!("{error}; no token was sent, because neither --token nor --token-file nor the kubeconfig has one");
        }
        anyhow!(error)
    }
}

/// The caller's token: named, else from a file, else the kubeconfig's. A kubeconfig that was not asked for need not be there.
async fn token(args: &ServerArgs) -> Result<Option<String>> {
    if let Some(token) = &args.token {
        return Ok(Some(token.clone()));
    }
    if let Some(file) = &args.token_file {
        let token = std::fs::read_to_string(file).with_context(|| format!("--token-file {} cannot be read", file.display()))?;
        return Ok(Some(token));
    }
    match aisched_kube::client::bearer_token(args.kubeconfig.as_deref()).await {
        Ok(token) => Ok(token),
        Err(aisched_kube::client::ClientError::NoCluster(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn bearer(token: &str) -> Result<header::HeaderValue> {
    let token = token.trim();
    if token.is_empty() {
        bail!("the token is empty");
    }
    let mut value =
        header::HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| anyhow!("the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(args: &ServerArgs) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = match &args.certificate_authority {
        _ if args.insecure_skip_tls_verify => config.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone(provider))),
        Some(file) => config.with_root_certificates(authorities(file)?),
        None => config
            .with_native_roots()
            .context("the system's certificate authorities cannot be read; name one with --certificate-authority")?,
    };
    Ok(config.with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let shown = file.display();
    let mut store = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(file).with_context(|| format!("--certificate-authority {shown} cannot be read"))?;
    for certificate in read {
        let certificate = certificate.map_err(|e| anyhow!("--certificate-authority {shown} is no PEM file: {e}"))?;
        store.add(certificate).map_err(|e| anyhow!("--certificate-authority {shown} holds a certificate that cannot be used: {e}"))?;
    }
    if store.is_empty() {
        bail!("--certificate-authority {shown} holds no certificate; expected a PEM file with BEGIN CERTIFICATE lines");
    }
    Ok(store)
}

/// Accepts whatever certificate is shown, as the user wished; that the server holds its key is still verified.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
