//! What data-aware placement is worth: five mixes of jobs in virtual time, with kube-scheduler's default plugins and with ours.
//! The model of a job is `aisched-sim`'s; README.md says how each number is made.

mod measure;
mod mixes;
mod plot;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use clap::Parser;
use measure::{Curve, Pair};
use mixes::{Mix, Setting};
use std::path::PathBuf;

/// Runs mixes of jobs with kube-scheduler's default plugins and with the AI storage plugins, in virtual time, and prints what each is worth.
#[derive(Parser)]
#[command(
    after_help = "The tables go to standard output as Markdown, progress to standard error. The same arguments give the same numbers everywhere."
)]
struct Args {
    /// Sizes of the clusters that the mixes run on
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300])]
    nodes: Vec<usize>,
    /// Jobs for each node
    #[arg(long, default_value_t = 10)]
    jobs_per_node: usize,
    /// MB/s of the remote store for each node; the nodes share the sum
    #[arg(long, default_value_t = 250.0)]
    remote: f64,
    /// GB of cache on each node
    #[arg(long, default_value_t = 1000.0)]
    cache: f64,
    /// Nodes read from each other's caches
    #[arg(long)]
    peers: bool,
    /// Caches keep what was used last, and a scan hits 0.6 of the part of a dataset that is there
    #[arg(long)]
    lru: bool,
    /// Which jobs arrive when, and the order among equal nodes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these mixes
    #[arg(long, value_enum, value_delimiter = ',')]
    mixes: Vec<Mix>,
    /// Nodes of the clusters for the curves over remote bandwidth and cache size; 0 for no curves
    #[arg(long, default_value_t = 40)]
    curve_nodes: usize,
    /// Folder for the plots of the curves (SVG)
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

impl Args {
    fn setting(&self, nodes: usize) -> Setting {
        let keeps = if self.lru { aisched_sim::jobs::Keeps::Latest(0.6) } else { aisched_sim::jobs::Keeps::First };
        Setting {
            nodes,
            jobs_per_node: self.jobs_per_node,
            remote_per_node: self.remote,
            cache_gb: self.cache,
            keeps,
            peers: self.peers,
            seed: self.seed,
        }
    }

    fn mixes(&self) -> &[Mix] {
        if self.mixes.is_empty() { &Mix::ALL } else { &self.mixes }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    for nodes in &args.nodes {
        let setting = args.setting(*nodes);
        println!(
            "\n### {nodes} nodes, {} MB/s of the remote store and {} GB of cache for each\n",
            setting.remote_per_node, setting.cache_gb
        );
        println!("{}", Pair::HEADER);
        for mix in args.mixes() {
            eprintln!("{} on {nodes} nodes", mix.name());
            println!("{}", Pair::of(*mix, &setting).row(*mix));
        }
    }
    if args.curve_nodes > 0 {
        curves(&args)?;
    }
    Ok(())
}

fn curves(args: &Args) -> Result<()> {
    println!("\n### Gain over remote bandwidth and cache size, {} nodes\n", args.curve_nodes);
    for mix in args.mixes() {
        eprintln!("curves of {}", mix.name());
        let curve = Curve::of(*mix, &args.setting(args.curve_nodes));
        println!("{}", curve.table(*mix));
        if let Some(folder) = &args.plots {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            plot::draw(&curve, *mix, &folder.join(format!("{}.svg", mix.name())))?;
        }
    }
    Ok(())
}
