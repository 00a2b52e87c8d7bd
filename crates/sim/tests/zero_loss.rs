//! Zero loss: a fixed few of the histories that `examples/zero_loss.rs` lives through by the thousand.
//! Leaves out what must hold: `aisched_sim::storm` judges that after every step.

use aisched_sim::storm::{Tally, storm};

const N_SEEDS: u64 = 40;
/// Seeds that found a fault once.
const FOUND: [u64; 6] = [431, 2058, 2340, 3369, 4394, 9432];

#[test]
fn nothing_is_lost_doubled_or_overcommitted_in_a_cluster_in_trouble() {
    let mut sum = Tally::default();
    for seed in (0..N_SEEDS).chain(FOUND) {
        let tally = storm(seed, None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        sum.n_bound += tally.n_bound;
        sum.n_preempted += tally.n_preempted;
        sum.n_faults += tally.n_faults;
        sum.n_restarts += tally.n_restarts;
    }
    assert!(sum.n_bound > 400 && sum.n_preempted > 10 && sum.n_faults > 300 && sum.n_restarts > 20, "hardly anything happened: {sum:?}");
}

#[test]
fn seed_replays_exactly() {
    let history = |seed| {
        let mut lines = Vec::new();
        let tally = storm(seed, Some(&mut |line: &str| lines.push(line.to_owned())));
        (tally, lines)
    };
    for seed in [3, 17] {
        let (tally, lines) = history(seed);
        assert!(tally.is_ok() && lines.len() > 100);
        assert_eq!((tally, lines), history(seed));
    }
    assert_ne!(storm(3, None).map(|tally| tally.trace), storm(4, None).map(|tally| tally.trace));
}
