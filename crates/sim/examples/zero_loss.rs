//! Lives through many histories of a cluster in trouble (`aisched_sim::storm`); a seed that breaks a rule is printed and replays exactly.
//! `cargo run --release -p aisched-sim --example zero_loss -- --seeds 10000`, or `--seed N` for one with its history.
//! Leaves out what is wrong: the message of the first broken rule says that.

use aisched_sim::storm::{Reader, storm};
use std::process::ExitCode;

const USAGE: &str = "usage: zero_loss --seeds N | --seed N";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut print = |line: &str| println!("{line}");
    let is_alone = words.first() == Some(&"--seed");
    let seeds = match words.as_slice() {
        ["--seeds", n] => n.parse().map(|n: u64| 0..n),
        ["--seed", n] => n.parse().map(|n: u64| n..n.saturating_add(1)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Ok(seeds) = seeds else {
        eprintln!("{USAGE}: N is a whole number");
        return ExitCode::from(2);
    };
    let (mut n, mut n_failed, mut n_bound, mut n_preempted, mut n_faults, mut n_restarts) = (0, 0, 0, 0, 0, 0);
    for seed in seeds {
        n += 1;
        let reader: Reader<'_> = if is_alone { Some(&mut print) } else { None };
        match storm(seed, reader) {
            Ok(tally) => {
                n_bound += tally.n_bound;
                n_preempted += tally.n_preempted;
                n_faults += tally.n_faults;
                n_restarts += tally.n_restarts;
            }
            Err(why) => {
                n_failed += 1;
                println!("seed {seed}: {why}");
            }
        }
    }
    println!("{n} seeds, {n_failed} failed: {n_bound} pods bound, {n_preempted} preempted, {n_faults} faults, {n_restarts} restarts");
    if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
