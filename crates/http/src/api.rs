//! Handlers of `/metrics` and `/api`: a question to the loop, and its answer as text or JSON.
//! Leaves out who may call and how long it may take (`routes`).

use crate::problem::Problem;
use crate::query::{Dated, Known, Query};
use crate::records::{RecordView, WaitingView};
use crate::routes::Shared;
use crate::views::{NodeView, StreamView};
use aisched_core::decision::Decision;
use aisched_core::records::Record;
use aisched_core::view::View;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query as Params, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use prometheus_client::encoding::prometheus_text;
use serde::Serialize;
use serde_json::Value;
use std::iter;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Decisions given when the caller does not say how many.
const DEFAULT_LIMIT: usize = 100;
/// Most decisions in one answer.
pub(crate) const MAX_LIMIT: usize = 1000;

/// What is served, for machines; a test holds it against the route table.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

type Answer = Result<Response, Problem>;

/// Gauges are read from the loop; when it does not answer, the rest is shown all the same: then it is needed most.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let metrics = &shared.backend.metrics;
    if let Ok(gauges) = shared.asker.ask(Query::Gauges).await {
        metrics.set_gauges(&gauges);
    }
    if let Some(update) = &shared.backend.before_scrape {
        update(metrics);
    }
    ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], metrics.text())
}

pub(crate) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

pub(crate) async fn decisions(State(shared): State<Arc<Shared>>, params: Result<Params<Vec<(String, String)>>, QueryRejection>) -> Answer {
    shared.leads()?;
    let Wanted { namespace, limit } = Wanted::read(params)?;
    let Dated { now, of } = shared.asker.ask(|reply| Query::Decisions { namespace, limit, reply }).await?;
    Ok(items(of, move |record: Record| RecordView::new(&record, record.decision.clone(), now)))
}

pub(crate) async fn waiting(State(shared): State<Arc<Shared>>, params: Result<Params<Vec<(String, String)>>, QueryRejection>) -> Answer {
    shared.leads()?;
    let Wanted { namespace, limit } = Wanted::read(params)?;
    let view = shared.view().await?;
    Ok(Json(aside(move || WaitingView::new(&view, namespace.as_deref(), limit)).await?).into_response())
}

/// Every decision from now on, as it is taken.
pub(crate) async fn stream(State(shared): State<Arc<Shared>>) -> Answer {
    shared.leads()?;
    let lines = shared.backend.feed.listen(shared.stop.clone());
    let lines = lines.ok_or_else(|| Problem::unavailable("too many listen to the stream of decisions already; try again"))?;
    Ok(Sse::new(lines).keep_alive(KeepAlive::default()).into_response())
}

/// Which decisions.
struct Wanted {
    namespace: Option<String>,
    limit: usize,
}

impl Wanted {
    fn read(params: Result<Params<Vec<(String, String)>>, QueryRejection>) -> Result<Self, Problem> {
        let params = params.map_err(|e| Problem::bad_request(e.body_text()))?;
        let mut wanted = Self { namespace: None, limit: DEFAULT_LIMIT };
        for (key, value) in params.0 {
            match key.as_str() {
                "namespace" => wanted.namespace = Some(value).filter(|ns| !ns.is_empty()),
                "limit" => {
                    let wrong = || Problem::bad_request(format!("limit: {value:?}: expected a whole number from 1 to {MAX_LIMIT}"));
                    wanted.limit = value.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n)).ok_or_else(wrong)?;
                }
                _ => return Err(Problem::bad_request(format!("{key}: not a query parameter; namespace and limit are"))),
            }
        }
        Ok(wanted)
    }
}

pub(crate) async fn decision(State(shared): State<Arc<Shared>>, path: Result<Path<(String, String)>, PathRejection>) -> Answer {
    shared.leads()?;
    let Path((namespace, name)) = path.map_err(|e| Problem::bad_request(e.body_text()))?;
    let (ns, pod) = (namespace.clone(), name.clone());
    let known = shared.asker.ask(|reply| Query::Decision { namespace: ns, name: pod, reply }).await?;
    match known.of {
        Known::Decided(record) => Ok(Json(RecordView::new(&record, record.decision.clone(), known.now)).into_response()),
        Known::Waiting => {
            let (view, pod) = (shared.view().await?, format!("{namespace}/{name}"));
            let explained = aside(move || explained(&view, &namespace, &name)).await?;
            explained.ok_or_else(|| Problem::unavailable(format!("{pod} was placed or deleted just now; ask again")))
        }
        Known::Placed(node) => Err(Problem::not_found(format!(
            "no decision on {namespace}/{name} is known: it is on node {node}, placed by another scheduler, before this one started or too long ago"
        ))),
        Known::Unknown => Err(Problem::not_found(format!(
            "no decision on {namespace}/{name} is known: check namespace and name with `kubectl get pod {name} -n {namespace}`, and that \
             its spec.schedulerName is a profile of this scheduler"
        ))),
    }
}

/// A waiting pod, decided afresh.
fn explained(view: &View, namespace: &str, name: &str) -> Option<Response> {
    let held = view.waiting(namespace, name)?;
    let decision = Box::new(view.explain(held)?);
    let never = || Record::new(Arc::new(Decision::clone(&decision)), view.now);
    let record = held.last.clone().unwrap_or_else(never);
    Some(Json(RecordView::new(&record, decision, view.now)).into_response())
}

pub(crate) async fn nodes(State(shared): State<Arc<Shared>>) -> Answer {
    let nodes = shared.asker.ask(Query::Nodes).await?;
    Ok(items(nodes.nodes, move |(node, ages)| NodeView::new(&node, ages, nodes.io_accounting)))
}

pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Answer {
    let mut status = shared.asker.ask(Query::Status).await?;
    status.leader = shared.backend.leader.as_ref().and_then(|leader| leader());
    status.stream = StreamView { readers: shared.backend.feed.readers(), missed: shared.backend.feed.missed() };
    Ok(Json(status).into_response())
}

/// The configuration in force.
pub(crate) async fn config(State(shared): State<Arc<Shared>>) -> Answer {
    let (view, analyst) = (shared.view().await?, shared.backend.analyst.clone());
    Ok(Json(aside(move || analyst.config(&view)).await?).into_response())
}

/// Everything that placement depends on, as manifests.
pub(crate) async fn snapshot(State(shared): State<Arc<Shared>>) -> Answer {
    shared.leads()?;
    let (view, analyst) = (shared.view().await?, shared.backend.analyst.clone());
    let text = aside(move || analyst.snapshot(&view)).await?;
    Ok(([(CONTENT_TYPE, "application/yaml")], text).into_response())
}

/// What would happen if something were different. The work stops when nobody waits for it any longer.
pub(crate) async fn what_if(State(shared): State<Arc<Shared>>, body: Result<Json<Value>, JsonRejection>) -> Answer {
    shared.leads()?;
    let Json(request) = body.map_err(|e| Problem::bad_request(e.body_text()))?;
    let slot = shared.work.clone().try_acquire_owned();
    let slot = slot.map_err(|_| Problem::unavailable("other what-if questions are being worked on; try again"))?;
    let (view, analyst, waits) = (shared.view().await?, shared.backend.analyst.clone(), CancellationToken::new());
    let (gone, waited_for) = (waits.clone(), waits.drop_guard());
    let answer = aside(move || {
        let _slot = slot;
        analyst.what_if(&view, request, &|| !gone.is_cancelled())
    });
    let answer = answer.await?.map_err(Problem::bad_request)?;
    drop(waited_for);
    Ok(Json(answer).into_response())
}

/// Does work on a thread that may be kept busy.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work)
        .await
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the question could not be worked on: see the log"))
}

/// `{"items":[…]}`, made one item at a time as the client reads: a thousand decisions may be tens of megabytes.
fn items<T, V: Serialize>(items: Vec<T>, view: impl Fn(T) -> V + Send + 'static) -> Response
where
    T: Send + 'static,
{
    let items = items.into_iter().enumerate().map(move |(i, item)| {
        let mut chunk = if i == 0 { Vec::new() } else { b",".to_vec() };
        serde_json::to_writer(&mut chunk, &view(item)).map(|()| chunk)
    });
    let chunks = iter::once(Ok(b"{\"items\":[".to_vec())).chain(items).chain(iter::once(Ok(b"]}".to_vec())));
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(stream::iter(chunks))).into_response()
}
