//! Handlers of `/metrics` and `/api`: a question to the loop, and its answer as text or JSON.
//! Leaves out who may call and how long it may take (`routes`).

use crate::problem::Problem;
use crate::query::{Known, Query};
use crate::routes::Shared;
use crate::views::NodeView;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as Params, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use prometheus_client::encoding::prometheus_text;
use serde::Serialize;
use std::iter;
use std::sync::Arc;

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
    let params = params.map_err(|e| Problem::bad_request(e.body_text()))?;
    let Wanted { namespace, limit } = Wanted::read(params.0)?;
    let decisions = shared.asker.ask(|reply| Query::Decisions { namespace, limit, reply }).await?;
    Ok(items(decisions, |decision| decision))
}

/// Which decisions.
struct Wanted {
    namespace: Option<String>,
    limit: usize,
}

impl Wanted {
    fn read(params: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut wanted = Self { namespace: None, limit: DEFAULT_LIMIT };
        for (key, value) in params {
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
    let Path((namespace, name)) = path.map_err(|e| Problem::bad_request(e.body_text()))?;
    let (ns, pod) = (namespace.clone(), name.clone());
    match shared.asker.ask(|reply| Query::Decision { namespace: ns, name: pod, reply }).await? {
        Known::Decided(decision) => Ok(Json(&*decision).into_response()),
        Known::Waiting(decision) => Ok(Json(&*decision).into_response()),
        Known::Placed(node) => Err(Problem::not_found(format!(
            "no decision on {namespace}/{name} is known: it is on node {node}, placed by another scheduler, before this one started or too long ago"
        ))),
        Known::Unknown => Err(Problem::not_found(format!(
            "no decision on {namespace}/{name} is known: check namespace and name with `kubectl get pod {name} -n {namespace}`, and that \
             its spec.schedulerName is a profile of this scheduler"
        ))),
    }
}

pub(crate) async fn nodes(State(shared): State<Arc<Shared>>) -> Answer {
    let nodes = shared.asker.ask(Query::Nodes).await?;
    Ok(items(nodes.nodes, move |node| NodeView::new(&node, nodes.io_accounting)))
}

pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(Json(shared.asker.ask(Query::Status).await?).into_response())
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
