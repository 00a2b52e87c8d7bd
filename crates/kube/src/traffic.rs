//! Stands before the API server: holds requests to a pace, when one is asked for, and tells somebody of each of them.
//! Leaves out counting: whoever is told does that.

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

/// Requests under this path keep a lease, which must not be lost because others are many.
const LEASES: &str = "/apis/coordination.k8s.io/";

/// How fast requests may come: client-go's token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests per second.
    pub qps: f64,
    /// Requests that may come at once after a pause; at least 1.
    pub burst: u32,
}

impl Pace {
    /// What flags and `clientConnection` ask for; no pace where no rate above 0 is named.
    #[must_use]
    pub fn of(qps: Option<f64>, burst: u32) -> Option<Self> {
        qps.filter(|qps| *qps > 0.0 && qps.is_finite()).map(|qps| Self { qps, burst: burst.max(1) })
    }
}

/// A request that has ended.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The server's host and port.
    pub host: Arc<str>,
    /// Its method.
    pub method: http::Method,
    /// The status code, if there was an answer.
    pub code: Option<u16>,
    /// How long it waited for the pace, if there is one.
    pub waited: Option<Duration>,
    /// How long the head of the answer took after that.
    pub took: Duration,
}

/// Whoever is told of each request.
pub type Told = Arc<dyn Fn(&Sent) + Send + Sync>;

/// A layer of a client.
#[derive(Clone)]
pub(crate) struct Traffic {
    host: Arc<str>,
    bucket: Option<Arc<Bucket>>,
    told: Told,
}

impl Traffic {
    /// Each has a bucket of its own, as each of client-go's clients.
    pub(crate) fn new(host: Arc<str>, pace: Option<Pace>, told: Told) -> Self {
        Self { host, bucket: pace.map(|pace| Arc::new(Bucket::new(pace))), told }
    }
}

impl<S> Layer<S> for Traffic {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, traffic: self.clone() }
    }
}

/// A client whose requests are paced and told.
pub(crate) struct Watched<S> {
    inner: S,
    traffic: Traffic,
}

impl<S, B> Service<Request<Body>> for Watched<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Traffic { host, bucket, told } = self.traffic.clone();
        let bucket = bucket.filter(|_| !request.uri().path().starts_with(LEASES));
        let method = request.method().clone();
        let answer = self.inner.call(request); // nothing is sent before it is polled
        Box::pin(async move {
            let waited = match bucket.map(|bucket| bucket.take(Instant::now())) {
                Some(wait) => {
                    sleep(wait).await;
                    Some(wait)
                }
                None => None,
            };
            let start = Instant::now();
            let answer = answer.await;
            let code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            told(&Sent { host, method, code, waited, took: start.elapsed() });
            answer
        })
    }
}

struct Bucket {
    pace: Pace,
    /// Requests that may come at once, and when that was so; below 0, how many wait.
    left: Mutex<(f64, Option<Instant>)>,
}

impl Bucket {
    fn new(pace: Pace) -> Self {
        Self { pace, left: Mutex::new((f64::from(pace.burst), None)) }
    }

    /// Takes a token; how long to wait until it is there.
    fn take(&self, now: Instant) -> Duration {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = left.1.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        let tokens = (left.0 + passed * self.pace.qps).min(f64::from(self.pace.burst)) - 1.0;
        *left = (tokens, Some(now));
        Duration::try_from_secs_f64((-tokens / self.pace.qps).max(0.0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_goes_at_once_and_the_rest_at_the_pace() {
        let bucket = Bucket::new(Pace { qps: 10.0, burst: 2 });
        let start = Instant::now();
        let waits = |at: u64, n: usize| -> Vec<u128> {
            let now = start + Duration::from_millis(at);
            (0..n).map(|_| bucket.take(now).as_millis()).collect()
        };
        assert_eq!(waits(0, 4), [0, 0, 100, 200]);
        assert_eq!(waits(200, 1), [100], "those who wait keep their place");
        assert_eq!(waits(60_000, 3), [0, 0, 100], "no more than the burst is saved up");
    }

    #[test]
    fn pace_is_what_is_asked_for() {
        let pace = |qps, burst| Some(Pace { qps, burst });
        for (qps, burst, expected) in [
            (Some(50.0), 100, pace(50.0, 100)),
            (Some(0.5), 0, pace(0.5, 1)),
            (None, 100, None),
            (Some(-1.0), 100, None),
            (Some(0.0), 100, None),
            (Some(f64::NAN), 100, None),
        ] {
            assert_eq!(Pace::of(qps, burst), expected, "{qps:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_for_their_pace_and_are_told_but_leases_do_not_wait() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let noted = told.clone();
        let traffic = Traffic::new(
            "h".into(),
            Pace::of(Some(1.0), 1),
            Arc::new(move |sent| noted.lock().unwrap().push((sent.method.to_string(), sent.code, sent.waited.map(|w| w.as_secs())))),
        );
        let mut client = traffic.layer(tower::service_fn(|request: Request<Body>| async move {
            if request.uri().path() == "/gone" { Err("gone") } else { Ok(Response::builder().status(201).body(()).unwrap()) }
        }));
        for (method, path) in [("GET", "/a"), ("POST", "/b"), ("PUT", "/apis/coordination.k8s.io/v1/x"), ("GET", "/gone")] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let _answer = client.call(request).await;
        }
        let expected = [("GET", Some(201), Some(0)), ("POST", Some(201), Some(1)), ("PUT", Some(201), None), ("GET", None, Some(1))];
        assert_eq!(*told.lock().unwrap(), expected.map(|(method, code, waited)| (method.to_owned(), code, waited)));
    }
}
