//! `explain`: why pods are where they are, or why they wait, and what nodes offer; asked of the running scheduler.
//! Leaves out the asking (`client`) and the deciding: everything shown was found by the scheduler itself.

mod nodes;
pub(crate) mod pod;
pub(crate) mod pods;
pub(crate) mod view;

use crate::client::{Client, ServerArgs};
use crate::tables::{Output, Style, print, yaml};
use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::process::ExitCode;
use view::DecisionView;

/// Decisions asked for at a time; the scheduler gives no more.
const MOST_DECISIONS: usize = 1000;

/// Arguments of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ai-storage-scheduler explain pod train-0 -n team-a              why it is on its node, or why it waits\n  \
    ai-storage-scheduler explain pod train-0 --node node-b          what spoke for and against node-b\n  \
    ai-storage-scheduler explain pods -A                            every pod decided lately, in a table\n  \
    ai-storage-scheduler explain nodes --output json                every node's storage facts, for a program\n\n\
  A scheduler in a cluster is reached through a forwarded port, with a token that may read its API:\n  \
    kubectl -n keti port-forward deploy/ai-storage-scheduler 10259 &\n  \
    ai-storage-scheduler explain pods -A --insecure-skip-tls-verify \\\n      \
        --token \"$(kubectl -n keti create token ai-storage-scheduler)\"")]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Why one pod is where it is, or why it waits
    ///
    /// Shows what the pod was taken to be, how many nodes each filter refused, and what the scores of the best nodes are made
    /// of, with what each component was read from. A pod that waits is decided afresh on the cluster as it is now.
    #[command(after_help = "Examples:\n  \
        ai-storage-scheduler explain pod train-0 -n team-a\n  \
        ai-storage-scheduler explain pod train-0 -n team-a --node node-b       one node in full\n  \
        ai-storage-scheduler explain pod train-0 -n team-a --output json | jq .nodes[0]")]
    Pod(PodArgs),
    /// Where each pod went: node, tier, total score, and the two score components that decided it
    ///
    /// The two that decided are those in which the chosen node leads the runner-up by most, each counted with its plugin's
    /// weight; where no other node would do, the two largest. A plugin that has no components counts as a whole. Pods that wait
    /// are shown with the whole reason.
    #[command(after_help = "Examples:\n  \
        ai-storage-scheduler explain pods              namespace default\n  \
        ai-storage-scheduler explain pods -n team-a\n  \
        ai-storage-scheduler explain pods -A           all namespaces")]
    Pods(PodsArgs),
    /// What each node's storage offers, where that is known from, and what is left of its I/O budgets
    #[command(after_help = "Examples:\n  \
        ai-storage-scheduler explain nodes\n  \
        ai-storage-scheduler explain nodes --output yaml")]
    Nodes(NodesArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct PodArgs {
    /// Name of the pod
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Namespace of the pod
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
    /// Show this node in full
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// How it is printed; json is the decision in one line
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct PodsArgs {
    /// Namespace of the pods
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
    /// Pods of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How it is printed; json is {"items": [decision, …]}, newest first
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct NodesArgs {
    /// How it is printed; json is {"items": [node, …]}
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// A list as the API sends it.
#[derive(serde::Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// Asks and prints.
pub(crate) async fn run(args: ExplainArgs) -> Result<ExitCode> {
    print(&answer(&args, Style::of_stdout()).await?)?;
    Ok(ExitCode::SUCCESS)
}

async fn answer(args: &ExplainArgs, style: Style) -> Result<String> {
    match &args.what {
        What::Pod(args) => explain_pod(args, style).await,
        What::Pods(args) => explain_pods(args, style).await,
        What::Nodes(args) => explain_nodes(args, style).await,
    }
}

async fn explain_pod(args: &PodArgs, style: Style) -> Result<String> {
    let client = Client::new(&args.server).await?;
    let json = client.get(&format!("/api/v1/decisions/{}/{}", segment(&args.namespace), segment(&args.name))).await?;
    if let Some(text) = for_machines(&json, args.output)? {
        return Ok(text);
    }
    let decision: DecisionView = read(&json)?;
    match &args.node {
        None => Ok(pod::explain(&decision, style)),
        Some(node) => pod::explain_node(&decision, node, style).ok_or_else(|| {
            let known = decision.nodes.iter().map(|n| n.node.as_str()).collect::<Vec<_>>().join(", ");
            anyhow!(
                "the decision on {} reports on {} of {} nodes, and {node} is none of them: {known}",
                decision.pod,
                decision.nodes.len(),
                decision.n_nodes
            )
        }),
    }
}

async fn explain_pods(args: &PodsArgs, style: Style) -> Result<String> {
    let client = Client::new(&args.server).await?;
    let namespace = if args.all_namespaces { String::new() } else { format!("&namespace={}", segment(&args.namespace)) };
    let json = client.get(&format!("/api/v1/decisions?limit={MOST_DECISIONS}{namespace}")).await?;
    if let Some(text) = for_machines(&json, args.output)? {
        return Ok(text);
    }
    let decisions = pods::latest(read::<Items<DecisionView>>(&json)?.items);
    if decisions.is_empty() {
        let place = if args.all_namespaces { "any namespace".into() } else { format!("namespace {}", args.namespace) };
        return Ok(format!("No pod of {place} was decided lately; pods that other schedulers place are not known here.\n"));
    }
    let nodes: Items<nodes::NodeView> = read(&client.get("/api/v1/nodes").await?)?;
    let tiers: BTreeMap<String, String> = nodes.items.into_iter().map(|n| (n.name, n.tiers.join(","))).collect();
    Ok(pods::table(&decisions, &tiers, (!args.all_namespaces).then_some(args.namespace.as_str()), style))
}

async fn explain_nodes(args: &NodesArgs, style: Style) -> Result<String> {
    let client = Client::new(&args.server).await?;
    let json = client.get("/api/v1/nodes").await?;
    match for_machines(&json, args.output)? {
        Some(text) => Ok(text),
        None => Ok(nodes::table(&read::<Items<nodes::NodeView>>(&json)?.items, style)),
    }
}

/// The answer as it came, or as YAML; `None` for people.
fn for_machines(json: &str, output: Output) -> Result<Option<String>> {
    Ok(match output {
        Output::Table => None,
        Output::Json => Some(format!("{}\n", json.trim_end())),
        Output::Yaml => Some(yaml(json)?),
    })
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json)
        .context("the answer of the scheduler is not of a shape that this version knows; are both of the same version?")
}

/// Text as one segment of a path, or one value of a query.
fn segment(text: &str) -> String {
    let escaped = |b: u8| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests;
