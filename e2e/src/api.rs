//! Talks to the API server in JSON, as tests think of it: a path, an object.
//! Leaves out typed objects: what a test does not name does not matter to it.

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;
use tokio::runtime::Runtime;

/// The runtime behind everything; tests themselves are plain functions.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let _first = rustls::crypto::ring::default_provider().install_default();
        Runtime::new().expect("a runtime")
    })
}

/// What the API server said instead of doing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; 0 when there was no answer.
    pub code: u16,
    /// The server's words.
    pub message: String,
}

/// A client with somebody's credentials.
#[derive(Clone)]
pub struct Api {
    pub(crate) client: Client,
}

impl Api {
    /// The client of a kubeconfig.
    ///
    /// # Panics
    /// When the file is no kubeconfig.
    #[must_use]
    pub fn new(kubeconfig: &Path) -> Self {
        let client = runtime().block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a usable kubeconfig");
            Client::try_from(config).expect("a client")
        });
        Self { client }
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, kind);
        let request = request.body(body.into_bytes()).expect("a request");
        runtime().block_on(self.client.request(request)).map_err(|error| match error {
            kube::Error::Api(status) => Refusal { code: status.code, message: status.message.clone() },
            other => Refusal { code: 0, message: other.to_string() },
        })
    }

    /// An object, if it is there.
    ///
    /// # Panics
    /// On any other answer.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Value> {
        match self.call(Method::GET, path, None) {
            Ok(object) => Some(object),
            Err(refusal) if refusal.code == 404 => None,
            Err(refusal) => panic!("GET {path}: {refusal:?}"),
        }
    }

    /// An object that is there.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        self.find(path).unwrap_or_else(|| panic!("GET {path}: not found"))
    }

    /// The objects of a list.
    #[must_use]
    pub fn list(&self, path: &str) -> Vec<Value> {
        self.get(path)["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object, or says why not.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn try_create(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        self.call(Method::POST, path, Some(object))
    }

    /// Creates an object.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        self.try_create(path, object).unwrap_or_else(|refusal| panic!("POST {path}: {refusal:?}\n{object}"))
    }

    /// Merges a patch into an object.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn patch(&self, path: &str, patch: &Value) -> Value {
        self.try_patch(path, patch).unwrap_or_else(|refusal| panic!("PATCH {path}: {refusal:?}\n{patch}"))
    }

    /// [`Self::patch`], or why not.
    pub(crate) fn try_patch(&self, path: &str, patch: &Value) -> Result<Value, Refusal> {
        self.call(Method::PATCH, path, Some(patch))
    }

    /// Deletes an object or a list at once; one that is not there is gone already.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn delete(&self, path: &str) {
        self.try_delete(path).unwrap_or_else(|refusal| panic!("DELETE {path}: {refusal:?}"));
    }

    /// [`Self::delete`], or why not.
    pub(crate) fn try_delete(&self, path: &str) -> Result<(), Refusal> {
        let now = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        match self.call(Method::DELETE, path, Some(&now)) {
            Err(refusal) if refusal.code != 404 => Err(refusal),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
