//! Who may call: the caller's bearer token, verb and path are put before an [`Authorizer`].
//! Leaves out how it knows: the binary brings one that asks the API server.

use crate::problem::{Problem, chain};
use crate::routes::Shared;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The call may go on.
    Allowed,
    /// The token is nobody's: 401.
    Unauthenticated,
    /// Whoever it is may not do this: 403.
    Forbidden,
}

/// The question could not be answered: 503.
#[derive(Debug, thiserror::Error)]
#[error("the API server could not be asked whether this call is allowed")]
pub struct AuthError(#[source] pub Box<dyn Error + Send + Sync>);

/// An answer on its way.
pub type Allowed<'a> = Pin<Box<dyn Future<Output = Result<Access, AuthError>> + Send + 'a>>;

/// Says who may call.
pub trait Authorizer: Send + Sync {
    /// Whether the owner of `token` (nobody in particular without one) may do `verb` (a method in lower case) on the URL path
    /// `path`. Dropping the future gives up.
    ///
    /// # Errors
    /// [`AuthError`] when it cannot be known now.
    fn allowed<'a>(&'a self, token: Option<&'a str>, verb: &'a str, path: &'a str) -> Allowed<'a>;
}

/// Lets a request through when its caller may make it.
pub(crate) async fn authorised(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Result<Response, Problem> {
    let verb = request.method().as_str().to_ascii_lowercase();
    let path = request.uri().path().to_owned();
    let token = bearer(request.headers()).map(str::to_owned);
    let access = shared.backend.authorizer.allowed(token.as_deref(), &verb, &path).await;
    match access.map_err(|e| unknown(&e))? {
        Access::Allowed => Ok(next.run(request).await),
        Access::Unauthenticated => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "the bearer token is not valid: it may have expired; send `Authorization: Bearer TOKEN` with a token of this cluster, \
             which `kubectl create token SERVICEACCOUNT` makes",
        )),
        Access::Forbidden => {
            let who = if token.is_some() { "the owner of the token" } else { "a caller without a token" };
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("{who} may not {verb} {path}: grant the verb {verb:?} on the nonResourceURL {path:?} in a ClusterRole"),
            ))
        }
    }
}

/// The token of the Authorization header; other schemes count as no token, as kube-apiserver does.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut words = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split(' ');
    let scheme = words.next()?;
    words.next().filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

fn unknown(error: &AuthError) -> Problem {
    let text = chain(error);
    tracing::warn!("{text}");
    Problem::unavailable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_read_from_the_bearer_scheme_only() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("  Bearer abc  ", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer", None),
            ("Bearer  abc", None),
            ("Basic abc", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            assert_eq!(bearer(&headers), token, "{header:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
