//! Who gets in, and what the others are told.
//! Leaves out how tokens and paths are reviewed: that is the authoriser's.

use crate::world::{World, engine};
use axum::body::Body;
use hyper::Method;

#[tokio::test]
async fn callers_are_let_in_as_the_authoriser_says() {
    let world = World::with(engine()).await;
    for (token, status, says) in [
        (Some("admin"), 200, ""),
        (Some("guest"), 403, "the owner of the token may not get /api/v1/status: grant the verb \"get\" on the nonResourceURL"),
        (None, 403, "a caller without a token may not get /api/v1/status"),
        (Some("expired"), 401, "the bearer token is not valid"),
        (Some("down"), 503, "the API server could not be asked whether this call is allowed: connection refused"),
    ] {
        let answer = world.get("/api/v1/status", token).await;
        assert_eq!(answer.status, status, "{token:?}: {}", answer.body);
        if status != 200 {
            assert!(answer.error().1.starts_with(says), "{token:?}: {}", answer.body);
        }
        assert_eq!(answer.headers.get("www-authenticate").is_some(), status == 401);
    }
}

#[tokio::test]
async fn everything_but_health_is_asked_for_by_verb_and_path() {
    let world = World::with(engine()).await;
    let open = ["/healthz", "/livez", "/readyz"];
    let guarded = [
        "/metrics",
        "/api/openapi.json",
        "/api/v1/decisions?limit=1",
        "/api/v1/decisions/default/placed",
        "/api/v1/nodes",
        "/api/v1/status",
    ];
    for path in open {
        assert_eq!(world.get(path, None).await.status, 200, "{path}");
    }
    assert_eq!(*world.doorman.asked.lock().unwrap(), [""; 0]);
    for path in guarded {
        assert_eq!(world.get(path, None).await.status, 403, "{path}");
        assert_eq!(world.admin(path).await.status, 200, "{path}");
    }
    let asked = guarded.map(|path| path.split('?').next().unwrap()).map(|path| [format!("- get {path}"), format!("admin get {path}")]);
    assert_eq!(*world.doorman.asked.lock().unwrap(), asked.concat());
}

#[tokio::test]
async fn heads_are_given_and_other_methods_refused() {
    let world = World::with(engine()).await;
    let head = world.send(Method::HEAD, "/metrics", Some("admin"), Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(*world.doorman.asked.lock().unwrap(), ["admin head /metrics"]);
    let post = world.send(Method::POST, "/metrics", Some("admin"), Body::empty()).await;
    assert_eq!(post.error(), (405, "POST does nothing on /metrics; GET does".into()));
}

#[tokio::test]
async fn unknown_path_is_answered_with_the_known_ones() {
    let world = World::with(engine()).await;
    let (status, error) = world.get("/debug/pprof", None).await.error();
    assert_eq!(status, 404);
    assert!(error.starts_with("nothing is served on /debug/pprof; these are: /healthz, "), "{error}");
}
