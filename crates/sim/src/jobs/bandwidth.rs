//! How fast pods get their data: the closed form of one pod's reading, and fair shares of what several use.
//! Knows neither time nor caches; hit fractions come in, speeds go out.

use alloc::vec::Vec;

/// Where a pod's bytes come from; the three add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hits {
    pub(super) local: f64,
    pub(super) peer: f64,
    pub(super) remote: f64,
}

/// What a pod asks of the bandwidths while it works at full speed, in MB/s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// Reading.
    pub(super) read: f64,
    /// Of `read`, from where.
    pub(super) hits: Hits,
    /// Writing to the remote store.
    pub(super) write: f64,
    /// Checkpoints to the local storage, on average.
    pub(super) save: f64,
}

/// The most that a pod may draw from each source, in MB/s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) local: f64,
    pub(super) network: f64,
    pub(super) remote: f64,
}

impl Need {
    pub(super) fn local(&self) -> f64 {
        self.read * self.hits.local + self.save
    }

    pub(super) fn network(&self) -> f64 {
        self.read * (self.hits.peer + self.hits.remote) + self.write
    }

    /// What it would draw from the remote store if that alone had no limit.
    pub(super) fn remote(&self, limits: Limits) -> f64 {
        let unlimited = Limits { remote: f64::INFINITY, ..limits };
        self.speed(unlimited) * (self.read * self.hits.remote + self.write)
    }

    /// The share of full speed that is reached, 0 to 1. Reading is hidden behind the work as long as it is faster; saving is not.
    pub(super) fn speed(&self, limits: Limits) -> f64 {
        let remote = limits.remote.min(limits.network);
        let hits = self.hits;
        let reading = self.read * (over(hits.local, limits.local) + over(hits.peer, limits.network) + over(hits.remote, remote));
        let io = reading + over(self.write, remote);
        1.0 / (io.max(1.0) + over(self.save, limits.local))
    }
}

/// Nothing takes no time, over whatever line.
fn over(amount: f64, mbps: f64) -> f64 {
    if amount > 0.0 { amount / mbps } else { 0.0 }
}

/// The most that each may draw so that all together draw no more than there is: nobody gets less than it wants while another gets
/// more than that (max-min fairness). When there is enough for all, each may draw everything for a moment.
pub(super) fn fair_share(there_is: f64, mut wants: Vec<f64>) -> f64 {
    if wants.iter().sum::<f64>() <= there_is {
        return there_is;
    }
    wants.sort_unstable_by(f64::total_cmp);
    let mut left = there_is;
    let mut sharers = wants.len();
    for want in wants {
        let share = left / count(sharers);
        if want >= share {
            return share;
        }
        left -= want;
        sharers -= 1;
    }
    there_is
}

/// A count to reckon with.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn nobody_gets_less_than_it_wants_while_another_gets_more() {
        for (there_is, wants, expected) in [
            (100.0, vec![], 100.0),
            (100.0, vec![60.0], 100.0),
            (100.0, vec![200.0], 100.0),
            (100.0, vec![60.0, 60.0], 50.0),
            (100.0, vec![90.0, 10.0, 90.0], 45.0),
            (100.0, vec![10.0, 20.0, 200.0], 70.0),
        ] {
            let found = fair_share(there_is, wants.clone());
            assert!((found - expected).abs() < 1e-9, "{wants:?}: {found}");
        }
    }

    /// The rows of `signals.md` §7.2 by hand.
    #[test]
    fn speed_is_what_the_closed_form_gives() {
        let limits = Limits { local: 5000.0, network: 1250.0, remote: 100.0 };
        let hits = |local, peer| Hits { local, peer, remote: 1.0 - local - peer };
        for (read, hits, write, save, expected) in [
            (50.0, hits(0.0, 0.0), 0.0, 0.0, 1.0),         // the work is slower than the data
            (200.0, hits(0.0, 0.0), 0.0, 0.0, 0.5),        // b / need
            (400.0, hits(0.5, 0.0), 0.0, 0.0, 1.0 / 2.04), // b / (1 - c/d) / need, but for the local half
            (400.0, hits(1.0, 0.0), 0.0, 0.0, 1.0),
            (2500.0, hits(0.0, 1.0), 0.0, 0.0, 0.5),
            (50.0, hits(1.0, 0.0), 200.0, 0.0, 1.0 / 2.01), // the output goes over the wire
            (50.0, hits(1.0, 0.0), 0.0, 5000.0, 0.5),       // a second of saving for each of work
        ] {
            let need = Need { read, hits, write, save };
            assert!((need.speed(limits) - expected).abs() < 1e-9, "{need:?}: {}", need.speed(limits));
        }
    }
}
