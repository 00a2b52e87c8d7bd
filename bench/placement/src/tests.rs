//! The mixes made small: what placement is worth there, in virtual time, so that the numbers are the same on every machine.
//! Leaves out the sizes that README.md speaks of.

use crate::measure::{Curve, Pair};
use crate::mixes::{Mix, Setting};
use crate::plot;
use aisched_sim::jobs::Keeps;

/// Eight nodes with a slow store: the data is what holds the jobs up.
const SMALL: Setting =
    Setting { nodes: 8, jobs_per_node: 4, remote_per_node: 125.0, cache_gb: 1000.0, keeps: Keeps::First, peers: false, seed: 1 };

#[test]
fn every_mix_ends_and_gains_where_the_store_is_slow() {
    for (mix, least) in [(Mix::Training, 1.1), (Mix::Search, 1.4), (Mix::Pipelines, 1.1), (Mix::Checkpoints, 1.0), (Mix::Serving, 1.5)] {
        let pair = Pair::of(mix, &SMALL);
        assert!(pair.gain() >= least, "{}", pair.row(mix));
    }
}

#[test]
fn both_see_the_same_cluster_and_jobs_and_the_numbers_do_not_change() {
    let (once, again) = (Pair::of(Mix::Search, &SMALL), Pair::of(Mix::Search, &SMALL));
    assert_eq!((&once.default, &once.ours), (&again.default, &again.ours));
    let arrivals = |report: &aisched_sim::jobs::Report| report.jobs.iter().map(|job| (job.name.clone(), job.arrived)).collect::<Vec<_>>();
    assert_eq!(arrivals(&once.default), arrivals(&once.ours));
    // The work is the same; what differs is how long accelerators are held for it.
    assert!((once.default.busy_s - once.ours.busy_s).abs() < 1.0 && once.default.held_s > once.ours.held_s);
}

#[test]
fn nothing_is_gained_where_there_is_nothing_to_gain() {
    for mix in [Mix::Training, Mix::Search, Mix::Pipelines, Mix::Serving] {
        let without_caches = Pair::of(mix, &Setting { cache_gb: 0.0, ..SMALL });
        assert!((without_caches.gain() - 1.0).abs() < 0.01, "{}", without_caches.row(mix));
    }
    let ample = Pair::of(Mix::Search, &Setting { remote_per_node: 10_000.0, ..SMALL });
    assert!((ample.gain() - 1.0).abs() < 0.01, "{}", ample.row(Mix::Search));
}

#[test]
fn curves_are_drawn() {
    let folder = std::env::temp_dir().join(format!("aisched-placement-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gain.svg");
    plot::draw(&Curve { gains: vec![vec![1.0, f64::NAN, 3.0, 2.0, 1.0, 1.0]; 4] }, Mix::Search, &path).unwrap();
    let svg = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(svg.contains("<polyline") && svg.contains("1000 GB of cache"), "{svg}");
}
