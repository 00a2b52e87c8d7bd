//! `simulate`: places the pods of manifests on a virtual cluster with the production engine, and prints where each went and why.
//! Leaves out reading objects (`aisched-kube`) and the virtual cluster (`aisched-sim`).

mod jobs;

use crate::explain::view::{CureView, DecisionView};
use crate::explain::{pod, pods};
use crate::tables::{Output, Style, note, print, yaml};
use aisched_core::decision::Decision;
use aisched_kube::crd::{AIStorageConfig, to_config};
use aisched_kube::documents::{Object, parse_documents, settle};
use aisched_kube::scheduler_config;
use aisched_model::config::Config;
use aisched_sim::{Options, Rest, Scenario, Simulation};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often a long simulation says how far it is.
const SAY_SO: Duration = Duration::from_secs(2);

/// Arguments of `simulate`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "The files hold what `kubectl get -o yaml` writes, or what you write by hand: Nodes and Pods, and where they matter \
        PersistentVolumeClaims, PersistentVolumes, StorageClasses, CSINodes, CSIDrivers, CSIStorageCapacities, PriorityClasses, \
        Namespaces, Services, ReplicationControllers, ReplicaSets, StatefulSets, and an AIStorageConfig. Claims that wait for no pod \
        are bound first. Pods that have a node take up its room; the others are placed by priority, then in the order of the files. There is no policy service: pods \
        are placed by what they say of themselves. The same files and seed always give the same result.\n\n\
        Examples:\n  \
        ai-storage-scheduler simulate nodes.yaml pods.yaml                 where each pod goes\n  \
        ai-storage-scheduler simulate cluster.yaml --explain               and why, score by score\n  \
        ai-storage-scheduler simulate cluster.yaml --output json | jq .node\n  \
        kubectl get nodes,pods -A -o yaml | ai-storage-scheduler simulate - new-pod.yaml    on the cluster that you have\n  \
        ai-storage-scheduler simulate cluster.yaml --jobs jobs.yaml        what data-aware placement is worth for these jobs\n\n\
        Exit code: 0 when everything was decided, even when pods wait; 1 when a file cannot be used; 2 for wrong usage."
)]
pub(crate) struct SimulateArgs {
    /// YAML or JSON files, several documents each; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How it is printed; json is one decision a line with every node, in the order of the decisions
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Below the table, explain each decision: filters, scores, components and what they were read from
    #[arg(long)]
    explain: bool,
    /// Only pods whose spec.schedulerName is this are placed
    #[arg(long, default_value = "ai-storage-scheduler", value_name = "NAME", conflicts_with = "all_pods")]
    scheduler_name: String,
    /// Place the pods of every scheduler
    #[arg(long)]
    all_pods: bool,
    /// Lets the jobs of this file arrive, read their data and end, in virtual time: what data-aware placement is worth for them. The file
    /// names pods of the manifests as what jobs are made of; examples/simulate/jobs/ explains it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "scheduler_name", "all_pods"])]
    jobs: Option<PathBuf>,
    /// Decides between nodes of equal total; another seed, another choice
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    seed: u64,
}

/// Where the result goes, and what is said beside it.
struct Console<'a> {
    /// The result; `false` when nobody reads any longer.
    out: &'a mut dyn FnMut(&str) -> Result<bool>,
    /// Faults and notes, a line each.
    note: &'a mut dyn FnMut(&str),
    /// Told of every decision, or job that ended, by its number.
    tick: &'a mut dyn FnMut(usize),
}

/// Simulates and prints.
pub(crate) fn run(args: &SimulateArgs) -> Result<ExitCode> {
    let mut said = Instant::now();
    let what = if args.jobs.is_some() { "jobs ended" } else { "decisions" };
    let mut tick = |n: usize| {
        if said.elapsed() >= SAY_SO {
            said = Instant::now();
            note(format_args!("… {n} {what}"));
        }
    };
    simulate(args, Style::of_stdout(), Console { out: &mut print, note: &mut |line| note(line), tick: &mut tick })
}

fn simulate(args: &SimulateArgs, style: Style, console: Console<'_>) -> Result<ExitCode> {
    let Some(scenario) = load(&args.files, console.note) else { return Ok(ExitCode::FAILURE) };
    if let Some(path) = &args.jobs {
        return jobs::compare(args, path, scenario, style, console);
    }
    let mut simulation = Simulation::new(scenario, &args.options());
    let mut latest = Latest::default();
    let mut take = |latest: &mut Latest, decision: &Decision| match args.output {
        Output::Table => {
            latest.set(view(&json(decision)?)?);
            Ok(true)
        }
        Output::Json | Output::Yaml => (console.out)(&line(decision, args.output)?),
    };
    let mut n_decisions = 0;
    while let Some(decision) = simulation.next_decision() {
        n_decisions += 1;
        (console.tick)(n_decisions);
        if !take(&mut latest, &decision)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    for decision in latest.in_order.iter_mut().filter(|d| args.explain && d.node.is_none()) {
        decision.cures = simulation.cures(&decision.pod).iter().map(CureView::from).collect();
    }
    let rest = simulation.rest();
    for decision in &rest.held_back {
        take(&mut latest, decision)?;
    }
    if args.output == Output::Table {
        (console.out)(&people(&latest.in_order, &rest, args.explain, style))?;
    }
    report(&rest, console.note);
    Ok(ExitCode::SUCCESS)
}

impl SimulateArgs {
    fn options(&self) -> Options {
        // A table without explanations needs the chosen node and the runner-up only.
        let report_nodes = if self.output == Output::Table && !self.explain { 2 } else { usize::MAX };
        Options {
            scheduler_name: self.scheduler_name.as_str().into(),
            all_pods: self.all_pods,
            seed: self.seed,
            report_nodes,
            ..Options::default()
        }
    }
}

/// Reads all files; `None` when any of them has a fault, after every fault has been named.
pub(crate) fn load(files: &[PathBuf], note: &mut dyn FnMut(&str)) -> Option<Scenario> {
    let mut loader = Loader::default();
    let mut objects = Vec::new();
    for path in files {
        let shown = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        match crate::files::read(path).map(|text| parse_documents(&text, &shown)) {
            Ok(Ok(of_file)) => {
                let (configs, others): (Vec<_>, Vec<_>) = of_file.into_iter().partition(|object| matches!(object, Object::Config(_)));
                configs.into_iter().for_each(|config| loader.object(config, &shown));
                objects.extend(others);
            }
            Ok(Err(faults)) => loader.faults.extend(faults.iter().map(ToString::to_string)),
            Err(error) => loader.faults.push(format!("{error:#}")),
        }
    }
    // What another file holds may be missing only because it cannot be read.
    match if loader.faults.is_empty() { settle(objects) } else { Ok(Vec::new()) } {
        Ok(settled) => settled.into_iter().for_each(|object| loader.object(object, "")),
        Err(faults) => loader.faults.extend(faults.iter().map(ToString::to_string)),
    }
    for fault in &loader.faults {
        note(fault);
    }
    if loader.ignored.remove(scheduler_config::KIND).is_some() {
        note(&format!(
            "note: a {} is not read here: the one profile of --scheduler-name decides, with its defaults, and extenders are not asked",
            scheduler_config::KIND
        ));
    }
    if !loader.ignored.is_empty() {
        let ignored: Vec<String> = loader.ignored.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        note(&format!("note: not used, because it does not bear on placement here: {}", ignored.join(", ")));
    }
    loader.faults.is_empty().then_some(loader.scenario)
}

#[derive(Default)]
struct Loader {
    scenario: Scenario,
    /// The configuration's file.
    config: Option<String>,
    faults: Vec<String>,
    /// Objects of kinds that are not used, counted by kind.
    ignored: BTreeMap<String, usize>,
}

impl Loader {
    fn object(&mut self, object: Object, file: &str) {
        match object {
            Object::Config(config) => self.config(&config, file),
            Object::Ignored(kind, _) => *self.ignored.entry(kind).or_default() += 1,
            other => other.into_event().into_iter().for_each(|event| self.scenario.add(event)),
        }
    }

    fn config(&mut self, object: &AIStorageConfig, file: &str) {
        if let Some(first) = &self.config {
            self.faults.push(format!("{file}: a second AIStorageConfig, the first being in {first}: expected one at most"));
            return;
        }
        self.config = Some(file.to_owned());
        match to_config(object) {
            Ok(config) => self.scenario.config = Config { generation: 1, ..config },
            Err(faults) => self.faults.extend(faults.iter().map(|fault| format!("{file}: AIStorageConfig: {fault}"))),
        }
    }
}

/// The latest decision on each pod, in the order of the first ones.
#[derive(Default)]
struct Latest {
    in_order: Vec<DecisionView>,
    positions: BTreeMap<String, usize>,
}

impl Latest {
    fn set(&mut self, decision: DecisionView) {
        match self.positions.get(&decision.pod) {
            Some(at) => self.in_order[*at] = decision,
            None => {
                self.positions.insert(decision.pod.clone(), self.in_order.len());
                self.in_order.push(decision);
            }
        }
    }
}

fn json(decision: &Decision) -> Result<String> {
    serde_json::to_string(decision).context("the decision cannot be written as JSON")
}

fn view(json: &str) -> Result<DecisionView> {
    serde_json::from_str(json).context("the decision cannot be read back")
}

fn line(decision: &Decision, output: Output) -> Result<String> {
    let json = json(decision)?;
    Ok(if output == Output::Yaml { format!("---\n{}", yaml(&json)?) } else { format!("{json}\n") })
}

/// The table, the explanations if they are wanted, the sum.
fn people(decisions: &[DecisionView], rest: &Rest, explain: bool, style: Style) -> String {
    let tiers = |node: &aisched_model::node::NodeInfo| {
        let tiers: Vec<&str> = node.node.storage.tiers.iter().map(aisched_model::workload::Tier::as_str).collect();
        (node.node.name.to_string(), tiers.join(","))
    };
    let tiers = rest.snapshot.nodes.iter().map(|node| tiers(node)).collect();
    if decisions.is_empty() {
        return "There is no pod to place.\n".into();
    }
    let mut text = pods::table(decisions, &tiers, None, style);
    text.push('\n');
    for decision in decisions.iter().filter(|_| explain) {
        text.push_str(&pod::explain(decision, style));
        text.push('\n');
    }
    let waiting = decisions.iter().filter(|d| d.node.is_none()).count();
    let placed = decisions.len() - waiting;
    let pods = if decisions.len() == 1 { "pod" } else { "pods" };
    text.push_str(&format!("{placed} of {} {pods} placed", decisions.len()));
    text.push_str(&if waiting > 0 { format!(", {waiting} waiting") } else { String::new() });
    text.push_str(&if rest.now > 0 { format!(", after {} s of virtual time.\n", seconds(rest.now)) } else { ".\n".into() });
    text
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}

/// What was left out or could not be used.
fn report(rest: &Rest, note: &mut dyn FnMut(&str)) {
    for text in &rest.notes {
        note(&format!("note: {text}"));
    }
    for left in &rest.left {
        note(&format!("note: pod {} is not placed: it is {}", left.pod, left.why));
    }
}

#[cfg(test)]
pub(crate) mod tests;
