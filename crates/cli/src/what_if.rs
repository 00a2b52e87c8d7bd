//! `what-if`: which pods would land elsewhere if nodes, pods or the configuration were different. Touches nothing.
//! Leaves out the working out (`aisched-sim`); asks the running scheduler, or works on a snapshot's file.

mod answer;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use request::{Request, work_out};

use crate::client::{Client, ServerArgs};
use crate::simulate::load;
use crate::tables::{Output, Style, note, print, yaml};
use aisched_core::profile::Profile;
use aisched_sim::what_if::Base;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `what-if`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ai-storage-scheduler what-if --remove-node node-a                  who would have to move, and where to\n  \
    ai-storage-scheduler what-if --set spec.plugins.dataLocalityAware.weight=10\n  \
    ai-storage-scheduler what-if -f train.yaml --capacity              how many more such pods fit, and what runs out first\n  \
    ai-storage-scheduler what-if --snapshot cluster.yaml --cordon node-a --output json\n\n\
  Pods that run are not moved by anybody: those listed as running would be placed elsewhere if they were placed again.")]
pub(crate) struct WhatIfArgs {
    /// Nodes, and what belongs to them, that would be there too; one of an existing name takes its place
    #[arg(long, value_name = "FILE")]
    add_node: Vec<PathBuf>,
    /// A node that would not be there; its pods would wait again
    #[arg(long, value_name = "NODE")]
    remove_node: Vec<String>,
    /// A node that would take no new pods
    #[arg(long, value_name = "NODE")]
    cordon: Vec<String>,
    /// A field of the AIStorageConfig, such as spec.plugins.dataLocalityAware.weight=10
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// Pods that would come
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How many of each pod would come
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    replicas: usize,
    /// Count how many more pods like the first one would fit, and what runs out first
    #[arg(long, requires = "file")]
    capacity: bool,
    /// Pods that run and are decided again, the newest first
    #[arg(long, default_value_t = 200, value_name = "NUMBER")]
    running: usize,
    /// Work on a snapshot's file instead of the running scheduler
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// How it is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// `KEY=VALUE`; the value is JSON, or text where it is none.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as spec.plugins.dataLocalityAware.weight=10")?;
    Ok((key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Asks, or works it out, and prints.
pub(crate) async fn run(args: WhatIfArgs) -> Result<ExitCode> {
    let request = args.request()?;
    let answer = match &args.snapshot {
        Some(file) => offline(file, &request)?,
        None => {
            let body = serde_json::to_string(&request).context("the question cannot be written")?;
            let answer = Client::new(&args.server).await?.post("/api/v1/what-if", body).await?;
            serde_json::from_str(&answer).context("the answer is no JSON")?
        }
    };
    print(&match args.output {
        Output::Table => answer::table(&answer, Style::of_stdout())?,
        Output::Json => format!("{answer}\n"),
        Output::Yaml => yaml(&answer.to_string())?,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn offline(file: &PathBuf, request: &Request) -> Result<Value> {
    let mut said = Vec::new();
    let scenario = load(std::slice::from_ref(file), &mut |line| said.push(line.to_owned()));
    said.iter().for_each(note);
    let scenario = scenario.ok_or_else(|| anyhow!("{} cannot be used", file.display()))?;
    let config = scenario.config.clone();
    let profiles = vec![Profile::ai_storage("ai-storage-scheduler")].into();
    let base = Base { objects: scenario.into_objects(), config, profiles, decisions: Vec::new(), seed: 0 };
    work_out(&base, request, &|| true).map_err(|fault| anyhow!(fault))
}

impl WhatIfArgs {
    fn request(&self) -> Result<Request> {
        let texts = |files: &[PathBuf]| -> Result<String> {
            let texts: Result<Vec<String>> = files.iter().map(|file| crate::files::read(file)).collect();
            Ok(texts?.join("\n---\n"))
        };
        Ok(Request {
            add_nodes: texts(&self.add_node)?,
            remove_nodes: self.remove_node.clone(),
            cordon: self.cordon.clone(),
            set: self.set.iter().cloned().collect::<BTreeMap<_, _>>(),
            pods: texts(&self.file)?,
            replicas: self.replicas,
            capacity: self.capacity,
            running: self.running,
            ..Request::default()
        })
    }
}
