//! What the watch keeps of a bound pod, and that a new list does not take it twice: counted bytes, so the machine does not matter.
//! Leaves out what the engine keeps.
#![allow(clippy::unwrap_used, reason = "a test")]

use aisched_core::event::Event;
use aisched_kube::watch::{AWAITED, Gate, Health, WatchOptions, watch};
use aisched_model::pod::Pod;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use cap::Cap;
use futures::{StreamExt, stream};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::alloc::System;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const PODS: usize = 20_000;
/// Pods of one Deployment.
const REPLICAS: usize = 500;
/// Pod, name and UID: everything else is shared among replicas.
const MOST_BYTES_PER_POD: usize = 600;

fn pod(i: usize) -> Value {
    let application = i / REPLICAS;
    let labels = json!({"app": format!("app-{application}"), "pod-template-hash": format!("{application:010x}")});
    let mount = json!({"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true});
    let container = json!({
        "name": "main", "image": format!("registry.example/app-{application}:1.2.3"), "volumeMounts": [mount],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("app-{application}-{application:010x}-{i:05}"), "namespace": "team", "labels": labels,
            "uid": format!("11111111-2222-3333-4444-{i:012}"), "resourceVersion": (i + 1).to_string(),
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {}}}}}],
        },
        "spec": {"nodeName": format!("node-{}", i % 100), "schedulerName": "default-scheduler", "priority": 0, "containers": [container]},
        "status": {"phase": "Running", "startTime": "2026-01-02T03:04:05Z", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// An API server that has nodes (none) and pods. The first watch of pods ends in "too old"; the second reports one deletion after its list.
async fn serve(State(lists): State<Arc<AtomicUsize>>, request: Request) -> Response<Body> {
    let line = |kind: &str, object: Value| Ok::<_, Infallible>(format!("{}\n", json!({"type": kind, "object": object})));
    let listed = json!({"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "9999999"});
    let end = line("BOOKMARK", json!({"apiVersion": "v1", "kind": "Pod", "metadata": listed}));
    let body = match request.uri().path() {
        "/api/v1/nodes" => Body::from_stream(stream::iter([end]).chain(stream::pending())),
        "/api/v1/pods" => {
            let last = match lists.fetch_add(1, Ordering::SeqCst) {
                0 => line("ERROR", json!({"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410})),
                _ => line("DELETED", pod(0)),
            };
            let pods = stream::iter((0..PODS).map(move |i| line("ADDED", pod(i))));
            Body::from_stream(pods.chain(stream::iter([end, last])).chain(stream::pending()))
        }
        _ => return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap(),
    };
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

#[tokio::test]
async fn bound_pod_costs_little_and_a_new_list_does_not_double_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(serve).with_state(Arc::default());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let client = Client::try_from(Config::new(address.parse().unwrap())).unwrap();
    let (sender, mut events) = unbounded_channel();
    let gate = Arc::new(Gate::new(AWAITED, sender.clone()));

    let mut pods: Vec<Arc<Pod>> = Vec::with_capacity(PODS);
    let before = ALLOCATOR.allocated();
    let watches = watch(client, sender, Health::default(), gate, WatchOptions::default());
    loop {
        match events.recv().await.unwrap() {
            Event::PodSet(pod) => pods.push(pod),
            Event::Synced => break,
            _ => {}
        }
    }
    let kept = ALLOCATOR.allocated() - before;
    assert!(kept <= PODS * MOST_BYTES_PER_POD, "{} bytes per pod", kept / PODS);
    assert_eq!(pods.len(), PODS);

    while !matches!(events.recv().await.unwrap(), Event::PodGone(_)) {}
    let most = ALLOCATOR.max_allocated() - before;
    assert!(most <= kept + kept / 4, "{kept} bytes were kept of the first list; the second made it {most}");
    drop(watches);
    server.abort();
}
