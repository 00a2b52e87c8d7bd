//! How fast the engine decides, in process: no API server, no threads, every node considered.
//! Prints one row per profile and kind of pods; README.md says how each number is made.

#![allow(missing_docs, reason = "a program")]

mod cluster;

use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, BindOutcome, Event, PodRef};
use aisched_core::profile::{DEFAULT_PLUGINS, Profile, Weight};
use aisched_model::config::Config;
use aisched_model::pod::Pod;
use clap::Parser;
use cluster::Pods;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;

/// Measures decisions per second on a synthetic cluster.
#[derive(Clone, Parser)]
struct Args {
    /// Nodes
    #[arg(long, default_value_t = 5000)]
    nodes: usize,
    /// Pods bound to each node before the first decision
    #[arg(long, default_value_t = 10)]
    bound: usize,
    /// Claims of other pods that are there beforehand, each with its volume
    #[arg(long, default_value_t = 0)]
    volumes: usize,
    /// Seconds of CPU spent on each row
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Exactly so many decisions in each row, whatever they take: for counting instructions
    #[arg(long, conflicts_with = "seconds")]
    decisions: Option<usize>,
    /// One table of what each default plugin costs by itself, on a fifth of the nodes and on all
    #[arg(long)]
    each: bool,
    /// Only rows whose text contains this
    #[arg(default_value = "")]
    filter: String,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Decisions that the fingerprint covers, and the fewest that a row takes.
const FINGERPRINTED: usize = 50;
/// Pods bound before the clock starts: what is set up once is not counted.
const WARM_UP: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Plugins {
    All,
    Default,
    /// This one and no other.
    One(&'static str),
}

fn main() {
    let args = Args::parse();
    if args.each {
        return each(&args);
    }
    println!("{} nodes, {} pods bound to each beforehand; one thread, all nodes considered; CPU time", args.nodes, args.bound);
    println!("| plugins | pods | decisions/s | p50 µs | p99 µs | events µs/pod | fingerprint |");
    println!("|---|---|---:|---:|---:|---:|---|");
    for plugins in [Plugins::All, Plugins::Default] {
        for pods in Pods::ALL {
            if format!("{plugins:?} {pods:?}").to_lowercase().contains(&args.filter.to_lowercase()) {
                row(&args, plugins, pods);
            }
        }
    }
}

/// What each default plugin costs, over pods that it has something to say about. What is linear in the nodes costs 5 times as much.
fn each(args: &Args) {
    let few = args.nodes / 5;
    println!("| plugin | pods | p50 µs, {few} nodes | {} nodes | × |", args.nodes);
    println!("|---|---|---:|---:|---:|");
    for (name, _) in DEFAULT_PLUGINS {
        for pods in Pods::ALL.into_iter().filter(|pods| concerns(name, *pods)) {
            if !format!("{name} {pods:?}").to_lowercase().contains(&args.filter.to_lowercase()) {
                continue;
            }
            let [few, all] =
                [few, args.nodes].map(|nodes| measure(&Args { nodes, ..args.clone() }, Plugins::One(name), pods).percentile(50));
            println!("| {name} | {pods:?} | {few:.1} | {all:.1} | {:.1} |", all / few);
        }
    }
}

/// Whether a plugin has something to say about such pods.
fn concerns(plugin: &str, pods: Pods) -> bool {
    match pods {
        Pods::Near | Pods::Apart => plugin == "InterPodAffinity",
        Pods::Spread => plugin == "PodTopologySpread",
        Pods::Claims => plugin.contains("Volume"),
        Pods::Repeated | Pods::Different => !plugin.contains("Volume"),
    }
}

fn measure(args: &Args, plugins: Plugins, pods: Pods) -> Run {
    let mut engine = engine(plugins, args);
    let mut run = Run::default();
    for i in 0..WARM_UP {
        run.one(&mut engine, pods, i);
    }
    run = Run::default();
    let room = cluster::room(pods, args.nodes, args.bound);
    for i in WARM_UP..room {
        if run.is_done(args) {
            break;
        }
        run.one(&mut engine, pods, i);
    }
    run.polls.sort_unstable();
    run
}

fn row(args: &Args, plugins: Plugins, pods: Pods) {
    let run = measure(args, plugins, pods);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let n = run.polls.len() as f64;
    println!(
        "| {plugins:?} | {pods:?} | {:.0} | {:.0} | {:.0} | {:.1} | {:016x} |",
        n / run.total().as_secs_f64(),
        run.percentile(50),
        run.percentile(99),
        run.events.as_secs_f64() * 1e6 / n,
        run.fingerprint
    );
}

/// An engine that knows the cluster and has nothing to do.
fn engine(plugins: Plugins, args: &Args) -> Engine {
    let profile = match plugins {
        Plugins::All => Profile::ai_storage(cluster::SCHEDULER),
        Plugins::Default => Profile::of(cluster::SCHEDULER, DEFAULT_PLUGINS.iter().map(|(name, weight)| (*name, Weight::Fixed(*weight)))),
        Plugins::One(name) => Profile::of(cluster::SCHEDULER, [(name, Weight::Fixed(1))]),
    };
    let mut engine = Engine::new(vec![profile], EngineOptions::default());
    let mut config = Config::default();
    config.apollo.endpoint = "".into(); // no one to ask
    engine.handle(0, Event::Configured(Arc::new(config)));
    for i in 0..args.volumes {
        set_claim(&mut engine, "other", i);
    }
    for i in 0..args.nodes {
        engine.handle(0, Event::NodeSet(Arc::new(cluster::node(i)), Vec::new()));
        engine.handle(0, Event::CsiNodeSet(Arc::new(cluster::csi_node(i))));
        for j in 0..args.bound {
            engine.handle(0, Event::PodSet(Arc::new(cluster::bound_pod(i, j))));
        }
    }
    engine.handle(0, Event::Synced);
    engine
}

fn set_claim(engine: &mut Engine, of: &str, i: usize) {
    let (claim, volume) = cluster::claim(of, i);
    engine.handle(0, Event::VolumeSet(Arc::new(volume)));
    engine.handle(0, Event::ClaimSet(Arc::new(claim)));
}

/// What was measured.
#[derive(Default)]
struct Run {
    /// Time of each decision.
    polls: Vec<Duration>,
    /// Time of all events: the pod appears, its bind ends, the watch confirms it.
    events: Duration,
    /// Of the first decisions; equal for equal decisions, whatever the speed.
    fingerprint: u64,
}

impl Run {
    fn total(&self) -> Duration {
        self.polls.iter().sum::<Duration>() + self.events
    }

    /// Microseconds of a decision; of sorted ones.
    fn percentile(&self, p: usize) -> f64 {
        self.polls[(self.polls.len() - 1) * p / 100].as_secs_f64() * 1e6
    }

    fn is_done(&self, args: &Args) -> bool {
        match args.decisions {
            Some(n) => self.polls.len() >= n,
            None => self.polls.len() >= FINGERPRINTED && self.total().as_secs_f64() >= args.seconds,
        }
    }

    /// A pod's whole way through the engine.
    fn one(&mut self, engine: &mut Engine, pods: Pods, i: usize) {
        if matches!(pods, Pods::Claims) {
            set_claim(engine, "own", i);
        }
        let pod = Arc::new(pods.pod(i));
        self.event(engine, Event::PodSet(pod.clone()));
        let began = cpu();
        let actions = engine.poll(0);
        self.polls.push(cpu().saturating_sub(began));
        let bind = actions.into_iter().find_map(|action| match action {
            Action::Bind { pod, node, .. } => Some((pod, node)),
            _ => None,
        });
        let Some((_, node)) = bind else {
            eprintln!("error: no node was found for {}: the cluster is too small for this bench", pod.full_name());
            std::process::exit(1);
        };
        if self.polls.len() <= FINGERPRINTED {
            self.fingerprint = node.bytes().fold(self.fingerprint, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        }
        self.event(engine, Event::BindEnded { pod: PodRef::from(&*pod), node: node.clone(), outcome: BindOutcome::Bound });
        self.event(engine, Event::PodSet(Arc::new(Pod { node: Some(node), ..Pod::clone(&pod) })));
        drop(engine.take_actions());
    }

    fn event(&mut self, engine: &mut Engine, event: Event) {
        let began = cpu();
        engine.handle(0, event);
        self.events += cpu().saturating_sub(began);
    }
}

/// CPU time of this thread: what else the machine does is not counted.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
