//! The page: files built from `web/`, served as they are to everybody; the data comes from the API, to whoever may ask for it.
//! Leaves out what the page does.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;

/// Nothing from elsewhere, no script in the markup, and text becomes markup through the templates of lit-html alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html";

/// A file of the page.
pub(crate) struct File {
    pub(crate) path: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

/// All of them.
pub(crate) const FILES: [File; 3] = [
    File { path: "/", kind: "text/html; charset=utf-8", content: include_bytes!("../../../web/dist/index.html") },
    File { path: "/app.js", kind: "text/javascript; charset=utf-8", content: include_bytes!("../../../web/dist/app.js") },
    File { path: "/app.css", kind: "text/css; charset=utf-8", content: include_bytes!("../../../web/dist/app.css") },
];

impl File {
    /// As it is sent. Browsers keep none of it: after an upgrade, page and API have to be of the same version.
    pub(crate) fn response(&self) -> impl IntoResponse + use<> {
        let headers: [(HeaderName, &str); 6] = [
            (CONTENT_TYPE, self.kind),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (CACHE_CONTROL, "no-store"),
        ];
        (headers, self.content)
    }
}
