//! The page is served to everybody, with nothing in it that is not the program's own.
//! Leaves out what it does in a browser: `web/` tests that.

use crate::world::{World, engine};

const FILES: [(&str, &str); 3] =
    [("/", "text/html; charset=utf-8"), ("/app.js", "text/javascript; charset=utf-8"), ("/app.css", "text/css; charset=utf-8")];

#[tokio::test]
async fn page_is_given_without_a_token_and_its_data_is_not() {
    let world = World::with(engine()).await;
    for (path, kind) in FILES {
        let file = world.get(path, None).await;
        assert_eq!((file.status.as_u16(), file.headers["content-type"].to_str().unwrap()), (200, kind), "{path}");
    }
    assert_eq!(*world.doorman.asked.lock().unwrap(), [""; 0]);
    assert_eq!(world.get("/api/v1/nodes", None).await.status, 403);
}

#[tokio::test]
async fn page_may_load_and_reach_nothing_but_the_scheduler() {
    let world = World::with(engine()).await;
    for (path, _) in FILES {
        let headers = world.get(path, None).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap().to_owned();
        let rules: Vec<&str> = policy.split("; ").collect();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(rules.contains(&rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn page_names_no_file_that_is_not_served() {
    let world = World::with(engine()).await;
    let markup = world.get("/", None).await.body;
    let named: Vec<&str> =
        ["src=\"", "href=\""].iter().flat_map(|a| markup.split(a).skip(1)).filter_map(|rest| rest.split('"').next()).collect();
    let others: Vec<&&str> = named.iter().filter(|name| !name.starts_with("data:") && !["app.js", "app.css"].contains(name)).collect();
    assert!(others.is_empty() && named.len() == 3, "{named:?}");
}
