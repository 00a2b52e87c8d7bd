//! One extender over HTTP: a question, within a time and of a bounded size, in kube-scheduler's words where it fails.
//! Leaves out what is asked.

use super::wire::{BindingArgs, BindingResult, bounded, read};
use crate::problem::root_cause;
use crate::scheduler_config::ExtenderConfig;
use aisched_core::consult::Extender;
use aisched_core::event::PodRef;
use aisched_model::Str;
use aisched_model::pod::Pod;
use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use std::error::Error as StdError;
use tokio::time::timeout;

/// An answer may be this much longer than twice the question: a filter that takes whole nodes gives whole nodes back.
const ANSWER_SLACK: usize = 4 << 20;

/// A configured extender.
pub(super) struct Endpoint {
    pub(super) config: ExtenderConfig,
    /// As the engine knows it.
    pub(super) extender: Extender,
    client: Client,
}

impl Endpoint {
    /// Reads certificates and keys; whether anyone answers is not asked.
    pub(super) async fn new(config: ExtenderConfig) -> Result<Self, String> {
        let mut client =
            Config::from_custom_kubeconfig(kubeconfig(&config), &KubeConfigOptions::default()).await.map_err(|e| root_cause(&e))?;
        client.default_retry = false; // an extender may count what it is asked
        client.proxy_url = None;
        let client = Client::try_from(client).map_err(|e| root_cause(&e))?;
        let extender = Extender {
            name: config.url_prefix.as_str().into(),
            filters: !config.filter_verb.is_empty(),
            prioritizes: !config.prioritize_verb.is_empty(),
            preempts: !config.preempt_verb.is_empty(),
            binds: !config.bind_verb.is_empty(),
            managed: config.managed_resources.iter().map(|name| Str::from(name.as_str())).collect(),
        };
        Ok(Self { config, extender, client })
    }

    pub(super) fn concerns(&self, pod: &Pod) -> bool {
        self.extender.is_interested(pod)
    }

    /// Asks, and reads the answer.
    pub(super) async fn post<T: DeserializeOwned + Default>(&self, verb: &str, body: Vec<u8>) -> Result<T, String> {
        let url = format!("{}/{verb}", self.config.url_prefix.trim_end_matches('/'));
        let limit = body.len().saturating_mul(2).saturating_add(ANSWER_SLACK);
        let request = Request::post(format!("/{verb}")).header("content-type", "application/json").body(body.into());
        let request = request.map_err(|e| format!("Post \"{url}\": {e}"))?;
        let exchange = async {
            let answer = self.client.send(request).await.map_err(|e| format!("Post \"{url}\": {}", root_cause(&e)))?;
            let code = answer.status().as_u16();
            if code != 200 {
                return Err(format!("failed {verb} with extender at URL {url}, code {code}"));
            }
            let body = Limited::new(answer.into_body(), limit).collect().await.map_err(|e| unread(&*e, &url, limit))?;
            read(&body.to_bytes()).map_err(|e| format!("failed {verb} with extender at URL {url}: its answer cannot be used: {e}"))
        };
        let late = || format!("Post \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
        timeout(self.config.http_timeout, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    /// Has a pod bound.
    pub(super) async fn bind(&self, pod: &PodRef, node: &str) -> Result<(), String> {
        let args = BindingArgs { pod_name: &pod.name, pod_namespace: &pod.namespace, pod_uid: &pod.uid, node };
        let body = serde_json::to_vec(&args).map_err(|e| e.to_string())?;
        let result: BindingResult = self.post(&self.config.bind_verb, body).await?;
        if result.error.is_empty() { Ok(()) } else { Err(bounded(&result.error)) }
    }
}

fn unread(error: &(dyn StdError + Send + Sync + 'static), url: &str, limit: usize) -> String {
    if error.is::<LengthLimitError>() {
        return format!("the answer of the extender at URL {url} is longer than {limit} bytes");
    }
    format!("Post \"{url}\": {}", root_cause(error))
}

/// The extender as a cluster of its own: the same certificates, keys and names under the names that a kubeconfig has for them.
fn kubeconfig(config: &ExtenderConfig) -> Kubeconfig {
    const NAME: &str = "extender";
    let tls = config.tls.clone();
    let cluster = Cluster {
        server: Some(config.url_prefix.clone()),
        insecure_skip_tls_verify: Some(tls.insecure),
        certificate_authority: tls.ca_file,
        certificate_authority_data: tls.ca_data,
        tls_server_name: tls.server_name,
        ..Cluster::default()
    };
    let user = AuthInfo {
        client_certificate: tls.cert_file,
        client_certificate_data: tls.cert_data,
        client_key: tls.key_file,
        client_key_data: tls.key_data,
        ..AuthInfo::default()
    };
    let context = Context { cluster: NAME.into(), user: Some(NAME.into()), ..Context::default() };
    Kubeconfig {
        clusters: vec![NamedCluster { name: NAME.into(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: NAME.into(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: NAME.into(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(NAME.into()),
        ..Kubeconfig::default()
    }
}
