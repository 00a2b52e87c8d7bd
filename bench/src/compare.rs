//! `compare`: one control plane, one workload, every scheduler in turn, round by round.
//! Leaves out what happens within one run (`measure`) and how numbers become a table (`table`).

use crate::api::Api;
use crate::measure::{Bench, Sample};
use crate::process::{Program, quiet};
use crate::results;
use crate::schedulers::{Contender, Programs};
use crate::table::{Entry, Report, render};
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// What the control plane may take to become ready.
const CONTROL_PLANE_READY: Duration = Duration::from_secs(120);
/// No kubelets, so nobody may declare nodes dead; claims come bound, and volumes are attached to nothing.
const CONTROLLERS: &str = "*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller,\
    -persistentvolume-binder-controller,-persistentvolume-attach-detach-controller";

/// Flags of `compare`.
#[derive(clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct CompareArgs {
    /// Nodes
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// Pods
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pods: u32,
    /// Runs of each scheduler that are counted; one more, before them, is not
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What is scheduled; several are measured one after another, each on a control plane of its own
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Workload::Basic])]
    workload: Vec<Workload>,
    /// Every workload
    #[arg(long, conflicts_with = "workload")]
    all: bool,
    /// Small pods that have nodes before any scheduler starts: for memory and cold start
    #[arg(long, value_name = "PODS", default_value_t = 0)]
    bound: u32,
    /// Who schedules
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::KubeScheduler, Contender::Ours, Contender::OursPlain, Contender::NullBinder])]
    schedulers: Vec<Contender>,
    /// A table for people, or one JSON object
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write tables and plots into this Markdown file, and go on after a workload that fails [run.sh sets this]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Heading of what is written [run.sh sets this]
    #[arg(long, value_name = "TEXT", default_value = "Measured")]
    title: String,
    /// Seconds that all pods may take to be bound in one run
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Program of the control plane [run.sh sets this]
    #[arg(long, value_name = "FILE")]
    controlplane: PathBuf,
    /// Program of our scheduler [run.sh sets this]
    #[arg(long, value_name = "FILE")]
    scheduler: PathBuf,
    /// CustomResourceDefinition of our scheduler [run.sh sets this]
    #[arg(long, value_name = "FILE")]
    crd: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Runs until the table is printed, or SIGINT or SIGTERM; whatever it started is stopped either way.
pub(crate) async fn run(args: CompareArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let workloads = if args.all { Workload::value_variants() } else { &args.workload };
    let (began, mut outcomes) = (Instant::now(), Vec::new());
    for (i, workload) in workloads.iter().enumerate() {
        let minutes = began.elapsed().as_secs() / 60;
        eprintln!("workload {} of {}: {workload:?}, after {minutes} min", i + 1, workloads.len());
        let folder = tempfile::Builder::new().prefix("aisched-bench.").tempdir().context("cannot make a temporary folder")?;
        let result = tokio::select! {
            result = compare(&args, *workload, folder.path()) => result,
            _ = terminate.recv() => bail!("stopped by SIGTERM"),
            _ = interrupt.recv() => bail!("stopped by Ctrl-C"),
        };
        let outcome = match result {
            Ok(report) => {
                match args.output {
                    Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
                    Output::Table => println!("{}", render(&report)),
                }
                Ok(report)
            }
            Err(error) => {
                eprintln!("the logs are kept in {}", folder.keep().display());
                if args.report.is_none() {
                    return Err(error);
                }
                eprintln!("error: {workload:?}: {error:#}");
                Err(format!("{error:#}"))
            }
        };
        outcomes.push((*workload, outcome));
        if let Some(file) = &args.report {
            results::write(file, &args.title, &outcomes)?;
        }
    }
    match outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count() {
        0 => Ok(()),
        n => bail!("{n} of {} workloads failed", outcomes.len()),
    }
}

/// As many pods as were asked for, or as the nodes take of this workload.
fn n_pods(args: &CompareArgs, workload: Workload, n_nodes: usize) -> Result<usize> {
    let (wanted, room) = (usize::try_from(args.pods)?, workload.room(n_nodes));
    if wanted > room {
        eprintln!("--pods {wanted}: {n_nodes} nodes take {room} pods of this workload");
    }
    Ok(wanted.min(room))
}

async fn compare(args: &CompareArgs, workload: Workload, folder: &Path) -> Result<Report> {
    let n_nodes = usize::try_from(args.nodes)?;
    let (n_pods, n_bound) = (n_pods(args, workload, n_nodes)?, usize::try_from(args.bound)?);
    eprintln!("starting etcd, kube-apiserver, kube-controller-manager");
    let cluster = folder.join("cluster");
    let controlplane = start_control_plane(&args.controlplane, &cluster, folder).await?;
    let kubeconfig = cluster.join("kubeconfig");
    let bench = Bench {
        api: Api::connect(&kubeconfig).await?,
        programs: Programs { controlplane: args.controlplane.clone(), scheduler: args.scheduler.clone() },
        kubeconfig,
        logs: folder.to_owned(),
        workload,
        n_nodes,
        n_pods,
        n_bound,
        timeout: Duration::from_secs(args.timeout),
    };
    eprintln!("creating {n_nodes} nodes and {n_bound} bound pods");
    bench.prepare().await?;
    bench.install_config(&args.crd).await?;
    let samples = rounds(args, &bench, controlplane.pid()).await?;
    controlplane.stop().await?;
    let reference = args.schedulers.iter().position(|s| *s == Contender::KubeScheduler).map(|i| &*samples[i]);
    Ok(Report {
        workload,
        nodes: n_nodes,
        bound: n_bound,
        pods: n_pods,
        rounds: usize::try_from(args.rounds)?,
        cores: std::thread::available_parallelism()?.get(),
        schedulers: args.schedulers.iter().zip(&samples).map(|(s, runs)| Entry::new(*s, runs, reference)).collect(),
    })
}

/// All rounds; per scheduler its samples. Every round begins with another scheduler, so that none always meets the youngest API server.
async fn rounds(args: &CompareArgs, bench: &Bench, controlplane: u32) -> Result<Vec<Vec<Sample>>> {
    let n = args.schedulers.len();
    let mut samples = vec![Vec::new(); n];
    eprintln!("warming the API server up");
    bench.measure(args.schedulers[0], "warm-up").await?;
    for round in 0..usize::try_from(args.rounds)? {
        for i in (0..n).map(|i| (i + round) % n) {
            quiet(controlplane).await?; // etcd, which lives in it, has done with the run before
            let sample = bench.measure(args.schedulers[i], &format!("round-{}", round + 1)).await?;
            eprintln!(
                "round {} of {}: {}: {:.0} pods/s, {:.2} ms of CPU per pod, peak RSS {:.0} MiB; first bind after {:.1} s",
                round + 1,
                args.rounds,
                args.schedulers[i].title(),
                sample.pods_per_second,
                sample.cpu_ms_per_pod,
                sample.peak_rss_mib,
                sample.first_bind_seconds
            );
            samples[i].push(sample);
        }
    }
    Ok(samples)
}

async fn start_control_plane(program: &Path, cluster: &Path, folder: &Path) -> Result<Program> {
    let args = ["up".into(), cluster.display().to_string(), format!("-controllers={CONTROLLERS}")];
    let mut controlplane = Program::start("the control plane", program, &args, folder.join("controlplane.log"))?;
    wait_ready(&mut controlplane, cluster)
        .await
        .with_context(|| format!("no control plane; its log is {}", controlplane.log().display()))?;
    Ok(controlplane)
}

async fn wait_ready(controlplane: &mut Program, cluster: &Path) -> Result<()> {
    let deadline = Instant::now() + CONTROL_PLANE_READY;
    while !cluster.join("ready").exists() {
        controlplane.check_alive()?;
        if Instant::now() >= deadline {
            bail!(
                "the control plane was not ready within {} s; its log is {}",
                CONTROL_PLANE_READY.as_secs(),
                controlplane.log().display()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
