//! The HTTPS server: listens, shakes hands, serves each connection within bounds, and stops in good order.
//! Leaves out what it serves (`routes`).

use crate::certificate::{Certificate, CertificateError, CertificateSource};
use crate::problem::chain;
use crate::routes::{Backend, Shared, router};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Larger heads are refused; a token of many groups has a few KiB.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// A pause when the machine has no file handle left, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--bind-address` and `--secure-port`; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate.
    pub certificate: CertificateSource,
    /// How often changed certificate files are looked for.
    pub reload_every: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Options {
    /// The usual bounds, and a look at the certificate every ten seconds.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: CertificateSource) -> Self {
        Self { address, certificate, reload_every: Duration::from_secs(10), limits: Limits::default() }
    }
}

/// Bounds of what callers can take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Requests at a time, health aside; more are refused.
    pub requests: usize,
    /// Largest body.
    pub body_bytes: u64,
    /// Longest TLS handshake.
    pub handshake: Duration,
    /// Longest wait for a request's head, an idle connection's next one included.
    pub head: Duration,
    /// Longest time until an answer begins.
    pub request: Duration,
    /// Longest time for a question that has to be worked on.
    pub work: Duration,
    /// Longest wait for the event loop.
    pub answer: Duration,
    /// Longest wait for the event loop when health is asked for: kubelets wait a second.
    pub health: Duration,
    /// How long the loop's answer about its health counts, so that a flood of probes does not reach it.
    pub pulse: Duration,
    /// A connection is asked to end after so long.
    pub connection: Duration,
    /// Time that requests under way have to end in at the end.
    pub drain: Duration,
    /// A loop silent for so long counts as dead (`/livez`).
    pub dead_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            requests: 64,
            body_bytes: 1 << 20,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(60),
            request: Duration::from_secs(10),
            work: Duration::from_secs(30),
            answer: Duration::from_secs(2),
            health: Duration::from_millis(500),
            pulse: Duration::from_secs(1),
            connection: Duration::from_secs(300),
            drain: Duration::from_secs(1),
            dead_after: Duration::from_secs(60),
        }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody listens there already.
    #[error("{0} is already taken: stop the process that listens there, or choose another port with --secure-port (0 turns HTTPS off)")]
    Taken(SocketAddr),
    /// It is not possible to listen there.
    #[error("cannot listen on {address}: --bind-address and --secure-port say where")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// No certificate.
    #[error("no certificate to serve with")]
    Certificate(#[source] CertificateError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped, which it does when `shutdown` is done.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!("the HTTPS server ended: {error}");
        }
    }
}

/// Serves until `shutdown` is done, then lets requests under way end.
///
/// # Errors
/// [`ServeError`] when the address is taken or the certificate cannot be used; nothing runs then.
pub async fn serve(options: Options, backend: Backend, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<Server, ServeError> {
    let provider = Arc::new(ring::default_provider());
    let certificate = certificate(&options, provider.clone()).await.map_err(ServeError::Certificate)?;
    let tls = TlsAcceptor::from(Arc::new(tls(provider, certificate.clone()).map_err(ServeError::Tls)?));
    let listener = TcpListener::bind(options.address).await.map_err(|e| unbound(options.address, e))?;
    let address = listener.local_addr().map_err(|e| unbound(options.address, e))?;
    let stop = CancellationToken::new();
    let door = Door {
        tls,
        router: router(Arc::new(Shared::new(backend, options.limits, stop.clone()))),
        limits: options.limits,
        stop: stop.clone(),
    };
    let task = tokio::spawn(async move {
        let reloading = tokio::spawn(reload(certificate, options.reload_every, stop.clone()));
        let accepting = tokio::spawn(door.accept(listener));
        shutdown.await;
        stop.cancel();
        for task in [reloading, accepting] {
            let _ = task.await; // a panic in it has been reported
        }
    });
    Ok(Server { address, task })
}

/// On a thread that may block: keys are made and files read.
async fn certificate(options: &Options, provider: Arc<CryptoProvider>) -> Result<Arc<Certificate>, CertificateError> {
    let (source, address) = (options.certificate.clone(), options.address.ip());
    let obtained = spawn_blocking(move || Certificate::obtain(source, address, provider)).await;
    obtained.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())).map(Arc::new)
}

fn tls(provider: Arc<CryptoProvider>, certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let versions = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn unbound(address: SocketAddr, source: io::Error) -> ServeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken(address),
        _ => ServeError::Listen { address, source },
    }
}

/// Looks for a changed certificate; says once what is wrong with it.
async fn reload(certificate: Arc<Certificate>, every: Duration, stop: CancellationToken) {
    let mut fault: Option<String> = None;
    while stop.run_until_cancelled(sleep(every)).await.is_some() {
        let certificate = certificate.clone();
        let Ok(result) = spawn_blocking(move || certificate.refresh()).await else { return };
        let now = match result {
            Ok(true) => {
                tracing::info!("a new certificate is served");
                None
            }
            Ok(false) => None,
            Err(error) => Some(chain(&error)),
        };
        if let Some(text) = now.as_ref().filter(|text| fault.as_ref() != Some(text)) {
            tracing::warn!("the certificate served stays as it is: {text}");
        }
        fault = now;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    tls: TlsAcceptor,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        let (connections, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(self.limits.connections)));
        let next = async || {
            let permit = slots.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((tcp, _)) => Some((permit, tcp)),
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        };
        while let Some(accepted) = self.stop.run_until_cancelled(next()).await {
            if let Some((permit, tcp)) = accepted {
                let door = self.clone();
                connections.spawn(async move {
                    door.connection(tcp).await;
                    drop(permit);
                });
            }
        }
        connections.close();
        // Each connection ends within the drain time by itself; a hanging one is left to the runtime.
        let _ = timeout(self.limits.drain * 2, connections.wait()).await;
    }

    async fn connection(self, tcp: TcpStream) {
        let _ = tcp.set_nodelay(true);
        let shaken = self.stop.run_until_cancelled(timeout(self.limits.handshake, self.tls.accept(tcp))).await;
        let Some(Ok(Ok(stream))) = shaken else { return };
        // The protocol was agreed on, so nobody can hold a connection by not beginning either.
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let builder = self.protocol(is_h2);
        let service = TowerToHyperService::new(self.router.clone());
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let patience = tokio::select! {
            _ = connection.as_mut() => return, // what ends a connection is the client's business
            () = self.stop.cancelled() => self.limits.drain,
            () = sleep(self.limits.connection) => self.limits.request,
        };
        connection.as_mut().graceful_shutdown();
        let _ = timeout(patience, connection).await;
    }

    fn protocol(&self, is_h2: bool) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.head).max_buf_size(MAX_HEAD_BYTES);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEAD_BYTES as u32);
        if is_h2 { builder.http2_only() } else { builder.http1_only() }
    }
}
