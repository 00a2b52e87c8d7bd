//! The one table of what is served, who may call it, and the bounds that every request keeps.
//! Leaves out what the handlers do.

use crate::access::{Authorizer, authorised};
use crate::api;
use crate::feed::Feed;
use crate::health::Pulse;
use crate::metrics::Metrics;
use crate::page;
use crate::problem::Problem;
use crate::query::{Asker, Query};
use crate::server::Limits;
use aisched_core::view::View;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Brings metrics up to date.
pub type ScrapeHook = Arc<dyn Fn(&Metrics) + Send + Sync>;

/// What is wrong with the lease of a process that leads, or led; `None` while all is well.
pub type LeaseFault = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What the server speaks for.
#[derive(Clone)]
pub struct Backend {
    /// To the event loop, which hands each query to [`crate::answer`].
    pub queries: mpsc::Sender<Query>,
    /// What the event loop counts.
    pub metrics: Arc<Metrics>,
    /// Who may call.
    pub authorizer: Arc<dyn Authorizer>,
    /// Called before each scrape, to bring counters up to date that others keep; must not block.
    pub before_scrape: Option<ScrapeHook>,
    /// Asked for each probe of health, where leaders are elected.
    pub lease_fault: Option<LeaseFault>,
    /// Who leads, when it is another process.
    pub leader: Option<Leader>,
    /// The decisions as they are taken.
    pub feed: Feed,
    /// Works on what takes longer than looking up.
    pub analyst: Arc<dyn Analyst>,
}

/// Who leads, when it is another process.
pub type Leader = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Works on a view, on a thread that may be kept busy.
pub trait Analyst: Send + Sync {
    /// Everything that placement depends on, as manifests in YAML.
    fn snapshot(&self, view: &View) -> String;

    /// What would happen if something were different; gives up when `wanted` says that nobody waits for it any longer.
    ///
    /// # Errors
    /// What is wrong with the question, for people.
    fn what_if(&self, view: &View, request: Value, wanted: &dyn Fn() -> bool) -> Result<Value, String>;

    /// The configuration in force, as it would be written, and what is known of where it comes from.
    fn config(&self, view: &View) -> Value;
}

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) backend: Backend,
    pub(crate) asker: Asker,
    pub(crate) pulse: Pulse,
    limits: Limits,
    /// One permit per request that is not about health.
    slots: Semaphore,
    /// One permit per question that keeps a thread busy for long.
    pub(crate) work: Arc<Semaphore>,
    /// The view that was taken last, and when: questions that come together share one.
    latest: Mutex<Option<(Instant, Arc<View>)>>,
    /// Answers that have no end of their own end with this.
    pub(crate) stop: CancellationToken,
}

/// Questions at a time that keep a thread busy for long.
const WORKERS: usize = 2;
/// A view serves questions for so long.
const FRESH: Duration = Duration::from_millis(200);

impl Shared {
    pub(crate) fn new(backend: Backend, limits: Limits, stop: CancellationToken) -> Self {
        let asker = Asker::new(backend.queries.clone(), limits.answer);
        let pulse =
            Pulse::new(Asker::new(backend.queries.clone(), limits.health), limits.pulse, limits.dead_after, backend.lease_fault.clone());
        let (slots, work) = (Semaphore::new(limits.requests), Arc::new(Semaphore::new(WORKERS)));
        Self { backend, asker, pulse, limits, slots, work, latest: Mutex::default(), stop }
    }

    /// Everything that the engine knows, as of a moment ago.
    pub(crate) async fn view(&self) -> Result<Arc<View>, Problem> {
        let mut latest = self.latest.lock().await;
        if let Some((_, view)) = latest.as_ref().filter(|(taken, _)| taken.elapsed() < FRESH) {
            return Ok(view.clone());
        }
        *latest = None; // what it shares with the engine need not be copied while the next is taken
        let view = self.asker.ask(Query::View).await?;
        *latest = Some((Instant::now(), view.clone()));
        Ok(view)
    }

    /// Refuses where another process leads: what this one would say of its queue and its decisions would be wrong.
    pub(crate) fn leads(&self) -> Result<(), Problem> {
        match self.backend.leader.as_ref().and_then(|leader| leader()) {
            Some(leader) => Err(Problem::elsewhere(leader)),
            None => Ok(()),
        }
    }
}

/// One thing that is served.
pub(crate) struct Route {
    /// Path, with `{name}` for what varies.
    pub(crate) path: &'static str,
    /// Whether anyone may call it.
    pub(crate) open: bool,
    /// How it is called.
    pub(crate) method: Method,
    handler: MethodRouter<Arc<Shared>>,
}

/// Everything that is served.
pub(crate) fn routes() -> Vec<Route> {
    let open = |path, handler| Route { path, open: true, method: Method::GET, handler };
    let guarded = |path, handler| Route { path, open: false, method: Method::GET, handler };
    let posted = |path, handler| Route { path, open: false, method: Method::POST, handler };
    let live = || get(|State(shared): State<Arc<Shared>>| async move { shared.pulse.live().await });
    let page = page::FILES.iter().map(|file| open(file.path, get(|| async { file.response() })));
    let mut routes = vec![
        open("/healthz", live()),
        open("/livez", live()),
        open("/readyz", get(|State(shared): State<Arc<Shared>>| async move { shared.pulse.ready().await })),
        guarded("/metrics", get(api::metrics)),
        guarded("/api/openapi.json", get(api::openapi)),
        guarded("/api/v1/decisions", get(api::decisions)),
        guarded("/api/v1/decisions/stream", get(api::stream)),
        guarded("/api/v1/decisions/{namespace}/{name}", get(api::decision)),
        guarded("/api/v1/waiting", get(api::waiting)),
        guarded("/api/v1/nodes", get(api::nodes)),
        guarded("/api/v1/status", get(api::status)),
        guarded("/api/v1/config", get(api::config)),
        guarded("/api/v1/snapshot", get(api::snapshot)),
        posted("/api/v1/what-if", post(api::what_if)),
    ];
    routes.extend(page);
    routes
}

/// The service that answers requests.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (mut open, mut guarded) = (Router::new(), Router::new());
    for route in routes() {
        let router = if route.open { &mut open } else { &mut guarded };
        *router = std::mem::take(router).route(route.path, route.handler);
    }
    let guarded = guarded.route_layer(from_fn_with_state(shared.clone(), authorised)).route_layer(from_fn_with_state(shared.clone(), slot));
    open.merge(guarded)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shared.clone(), bounded))
        .layer(DefaultBodyLimit::max(usize::try_from(shared.limits.body_bytes).unwrap_or(usize::MAX)))
        .with_state(shared)
}

/// Refuses a request that would be one too many; health is never refused.
async fn slot(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Result<Response, Problem> {
    let Ok(_permit) = shared.slots.try_acquire() else {
        return Err(Problem::unavailable(format!("{} requests are being answered already; try again", shared.limits.requests)));
    };
    Ok(next.run(request).await)
}

/// Refuses a request with a large body, and gives up on one that takes too long.
async fn bounded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Result<Response, Problem> {
    let Limits { body_bytes, .. } = shared.limits;
    let deadline = if request.method() == Method::POST { shared.limits.work } else { shared.limits.request };
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    if length > body_bytes {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has {length} bytes; at most {body_bytes} are taken")));
    }
    let late = |_| Problem::unavailable(format!("the request was not answered within {} ms; try again", deadline.as_millis()));
    timeout(deadline, next.run(request)).await.map_err(late)
}

async fn unknown_path(uri: Uri) -> Problem {
    let known: Vec<_> = routes().iter().map(|r| r.path).collect();
    Problem::not_found(format!("nothing is served on {}; these are: {}", uri.path(), known.join(", ")))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let right = routes().into_iter().find(|r| r.path == uri.path()).map_or(Method::GET, |r| r.method);
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} does nothing on {}; {right} does", uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{NodeView, QueueView, Status, StreamView};
    use aisched_model::node::NodeInfo;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(api::OPENAPI).unwrap()
    }

    fn keys(object: &Value) -> BTreeSet<&str> {
        object.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn every_served_path_is_in_the_document_and_no_other() {
        let (document, routes) = (document(), routes());
        assert_eq!(keys(&document["paths"]), routes.iter().map(|r| r.path).collect());
        for route in routes {
            let get = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            assert!(get.is_object(), "{} {}", route.method, route.path);
            let secured = get.get("security").is_none();
            assert_eq!(secured, !route.open, "security of {}", route.path);
            let params = get["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "path");
            let named: Vec<_> = params.map(|p| format!("{{{}}}", p["name"].as_str().unwrap())).collect();
            let varying: Vec<_> = route.path.split('/').filter(|s| s.starts_with('{')).collect();
            assert_eq!(named, varying, "parameters of {}", route.path);
        }
    }

    #[test]
    fn document_bears_this_version_and_limit() {
        let document = document();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["paths"]["/api/v1/decisions"]["get"]["parameters"][1]["schema"]["maximum"], api::MAX_LIMIT);
    }

    #[test]
    fn shapes_in_the_document_are_those_of_the_values() {
        let queue = QueueView::default();
        let status = Status {
            version: "",
            synced: true,
            config_generation: 0,
            queue,
            n_waiting: 0,
            n_nodes: 0,
            n_pods: 0,
            leading: true,
            leader: None,
            stream: StreamView::default(),
            apollo: Value::Null,
        };
        let node = serde_json::to_value(NodeView::new(&NodeInfo::default(), std::collections::BTreeMap::new(), true)).unwrap();
        let status = serde_json::to_value(status).unwrap();
        let schemas = &document()["components"]["schemas"];
        for (value, schema) in [
            (&node, &schemas["Node"]),
            (&node["remaining"], &schemas["Remaining"]),
            (&status, &schemas["Status"]),
            (&status["queue"], &schemas["Status"]["properties"]["queue"]),
        ] {
            assert_eq!(keys(value), keys(&schema["properties"]));
            let required: BTreeSet<_> = schema["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
            assert_eq!(required, keys(value));
        }
    }
}
