//! The HTTPS edge of `run`: health for everyone, metrics and the API for callers whom the API server authorises.
//! Leaves out routes and answers: those are `aisched-http`'s.

use crate::flags::RunArgs;
use aisched_apollo::{BreakerState, LATENCY_BUCKETS_MS, PolicyClient, Stats};
use aisched_http::{
    Access, Allowed, Analyst, AuthError, Authorizer, Backend, CertificateSource, Feed, Leader, LeaseFault, Metrics, Options, Query, Server,
};
use aisched_kube::authorize::{ReviewOptions, Reviewer, Verdict};
use aisched_kube::client::Clients;
use aisched_kube::events::Recorder;
use aisched_kube::lease::Standing;
use aisched_kube::status::StatusWriter;
use aisched_kube::watch::Health;
use anyhow::Result;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::sync::{oneshot, watch};
use tracing_appender::non_blocking::ErrorCounter;

/// What others count and a scrape shows.
pub(super) struct Counted {
    pub(super) policies: PolicyClient,
    pub(super) recorder: Recorder,
    pub(super) dropped_lines: ErrorCounter,
    pub(super) status: StatusWriter,
    pub(super) health: Health,
    /// The lease, and how this process stands.
    pub(super) lease: Option<(String, watch::Receiver<Standing>)>,
}

/// What questions go to.
pub(super) struct Asked {
    pub(super) queries: Sender<Query>,
    pub(super) feed: Feed,
    pub(super) analyst: Arc<dyn Analyst>,
}

/// The server, and the way to stop it.
pub(super) struct Https {
    server: Server,
    stop: oneshot::Sender<()>,
}

impl Https {
    /// Serves until it is stopped; port 0 serves nothing.
    pub(super) async fn serve(
        args: &RunArgs,
        asked: Asked,
        metrics: Arc<Metrics>,
        clients: &Clients,
        counted: Counted,
    ) -> Result<Option<Self>> {
        if args.secure_port == 0 {
            return Ok(None);
        }
        let certificate = match (&args.tls_cert_file, &args.tls_private_key_file) {
            (Some(cert), Some(key)) => CertificateSource::Files { cert: cert.clone(), key: key.clone() },
            _ => CertificateSource::SelfSigned { dir: args.cert_dir.clone() },
        };
        let standing = counted.lease.as_ref().map(|(_, standing)| standing.clone());
        let options = Options::new(SocketAddr::new(args.bind_address, args.secure_port), certificate);
        let backend = Backend {
            queries: asked.queries,
            metrics,
            authorizer: Arc::new(Reviews(Reviewer::new(clients.calls.clone(), ReviewOptions::default()))),
            before_scrape: Some(Arc::new(move |metrics: &Metrics| counted.show(metrics))),
            leader: standing.clone().map(leader),
            feed: asked.feed,
            analyst: asked.analyst,
            lease_fault: standing.map(|standing| -> LeaseFault { Arc::new(move || standing.borrow().fault()) }),
        };
        let (stop, stopped) = oneshot::channel();
        let server = aisched_http::serve(options, backend, async { drop(stopped.await) }).await?;
        tracing::info!(address = %server.address(), "serving HTTPS");
        Ok(Some(Self { server, stop }))
    }

    /// Takes no new requests; those under way end.
    pub(super) async fn drain(self) {
        let _gone = self.stop.send(());
        self.server.stopped().await;
    }
}

/// Who leads, as the Lease names it, while this process follows.
fn leader(standing: watch::Receiver<Standing>) -> Leader {
    Arc::new(move || match &*standing.borrow() {
        Standing::Following(holder) => Some(holder.as_ref().map_or("nobody yet", |holder| holder).to_owned()),
        Standing::Leading(_) | Standing::Lost(_) => None,
    })
}

impl Counted {
    fn show(&self, metrics: &Metrics) {
        let Stats { calls, latency, reports, oddities, breaker, n_cached, .. } = self.policies.stats();
        for (result, n) in [
            ("policy", calls.policies),
            ("empty", calls.empty),
            ("other_pod", calls.other_pod),
            ("deadline", calls.deadline),
            ("failed", calls.failed),
            ("breaker_open", calls.not_made_breaker),
            ("overflow", calls.not_made_overflow),
        ] {
            metrics.set_apollo_requests(result, n);
        }
        metrics.set_apollo_latency(&LATENCY_BUCKETS_MS, &latency.buckets, latency.sum);
        metrics.set_apollo_breaker(
            [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen].map(BreakerState::as_str),
            breaker.as_str(),
        );
        metrics.set_apollo_cached(n_cached);
        for (result, n) in [
            ("accepted", reports.accepted),
            ("rejected", reports.rejected),
            ("failed", reports.failed),
            ("dropped", reports.dropped),
            ("repeated", reports.repeated),
        ] {
            metrics.set_apollo_reports(result, n);
        }
        for (kind, n) in [
            ("unknown_decisions", oddities.unknown_decisions),
            ("names_dropped", oddities.names_dropped),
            ("constraints_ignored", oddities.constraints_ignored),
            ("affinity_rules_ignored", oddities.affinity_rules_ignored),
            ("parts_undecodable", oddities.parts_undecodable),
        ] {
            metrics.set_apollo_oddities(kind, n);
        }
        if let Some((lease, standing)) = &self.lease {
            metrics.set_leads(lease, standing.borrow().leads());
        }
        metrics.set_api_problems(self.health.problems().len());
        metrics.set_conditions_dropped(self.status.dropped());
        metrics.set_events_dropped(self.recorder.dropped());
        metrics.set_log_lines_dropped(u64::try_from(self.dropped_lines.dropped_lines()).unwrap_or(u64::MAX));
    }
}

/// The policy client's state, as the API shows it.
pub(super) fn apollo_view(stats: &Stats) -> serde_json::Value {
    json!({
        "breaker": stats.breaker.as_str(),
        "cached": stats.n_cached,
        "inFlight": stats.n_in_flight,
        "waiting": stats.n_waiting,
        "calls": {"policies": stats.calls.policies, "empty": stats.calls.empty, "deadline": stats.calls.deadline, "failed": stats.calls.failed},
        "sources": {"success": stats.sources.success, "cache": stats.sources.cache, "fallback": stats.sources.fallback},
        "reports": {"accepted": stats.reports.accepted, "rejected": stats.reports.rejected, "failed": stats.reports.failed},
    })
}

/// Puts callers before the API server.
struct Reviews(Reviewer);

impl Authorizer for Reviews {
    fn allowed<'a>(&'a self, token: Option<&'a str>, verb: &'a str, path: &'a str) -> Allowed<'a> {
        Box::pin(async move {
            match self.0.allowed(token, verb, path).await {
                Ok(Verdict::Allowed) => Ok(Access::Allowed),
                Ok(Verdict::Unauthenticated) => Ok(Access::Unauthenticated),
                Ok(Verdict::Forbidden) => Ok(Access::Forbidden),
                Err(error) => Err(AuthError(Box::new(error))),
            }
        })
    }
}
