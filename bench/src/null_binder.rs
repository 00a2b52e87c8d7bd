//! The null binder: binds every pod of its name to the next node in turn, and does nothing else.
//! What it reaches is what the API server allows; a scheduler can only come near.

use crate::api::Api;
use crate::workload::NAMESPACE;
use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use std::path::PathBuf;

/// `schedulerName` of the pods that it binds.
pub(crate) const SCHEDULER_NAME: &str = "null-binder";
/// Binds under way at once.
const IN_FLIGHT: usize = 30;

/// Flags of `null-binder`.
#[derive(clap::Args)]
pub(crate) struct NullBinderArgs {
    /// kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
}

/// Binds until it is stopped.
pub(crate) async fn run(args: NullBinderArgs) -> Result<()> {
    let api = Api::connect(&args.kubeconfig).await?;
    let nodes = api.names("/api/v1/nodes").await?;
    let selector = format!("spec.nodeName=,spec.schedulerName={SCHEDULER_NAME}");
    let mut pods = api.appearing(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &selector).await?;
    let in_turn = futures::stream::iter(nodes.iter().cycle());
    let pods = futures::stream::poll_fn(|context| pods.poll_recv(context));
    pods.zip(in_turn).map(|(pod, node)| bind(&api, pod, node)).buffer_unordered(IN_FLIGHT).try_collect::<()>().await
}

async fn bind(api: &Api, pod: Result<String>, node: &str) -> Result<()> {
    let pod = pod?;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "namespace": NAMESPACE},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    api.create(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/binding"), &binding).await
}
