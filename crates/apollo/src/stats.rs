//! What the client counted, as one value, for metrics and explanations.
//! Leaves out names and formats of metrics.

use crate::breaker::BreakerState;
use crate::decode::Oddities;
use std::time::Duration;

/// Upper bounds of the latency histogram's buckets, in milliseconds; a last bucket holds what took longer.
pub const LATENCY_BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 10_000];

/// A client's counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls by result.
    pub calls: CallCounts,
    /// How long answered and failed calls took.
    pub latency: Latency,
    /// Resolutions by source.
    pub sources: SourceCounts,
    /// Reports by result.
    pub reports: ReportCounts,
    /// What was set aside in answers.
    pub oddities: Oddities,
    /// What the circuit breaker does.
    pub breaker: BreakerState,
    /// Policies in the cache.
    pub n_cached: usize,
    /// Calls under way.
    pub n_in_flight: usize,
    /// Pods that wait for a call to end before theirs begins.
    pub n_waiting: usize,
    /// Reports that wait for a report to end before theirs begins.
    pub n_reports_waiting: usize,
}

/// Calls by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Answered with a policy.
    pub policies: u64,
    /// Answered with nothing in it.
    pub empty: u64,
    /// Answered for another pod.
    pub other_pod: u64,
    /// Not answered by the deadline.
    pub deadline: u64,
    /// Refused by the server, or broken.
    pub failed: u64,
    /// Not made: the breaker was open.
    pub not_made_breaker: u64,
    /// Not made: too many pods waited.
    pub not_made_overflow: u64,
}

/// Resolutions by source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Fresh answers.
    pub success: u64,
    /// Answers from the cache, fresh or stale.
    pub cache: u64,
    /// No answer.
    pub fallback: u64,
}

/// Reports by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportCounts {
    /// Taken by the server.
    pub accepted: u64,
    /// Answered with `success: false`.
    pub rejected: u64,
    /// Not answered.
    pub failed: u64,
    /// Dropped: the queue was full.
    pub dropped: u64,
    /// Not sent: the answer had been reported already.
    pub repeated: u64,
}

/// A latency histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Calls per bucket of [`LATENCY_BUCKETS_MS`], not cumulative; the last counts what took longer.
    pub buckets: [u64; LATENCY_BUCKETS_MS.len() + 1],
    /// Calls in all.
    pub count: u64,
    /// Their time in all.
    pub sum: Duration,
}

impl Latency {
    pub(crate) fn record(&mut self, took: Duration) {
        let bucket = LATENCY_BUCKETS_MS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(LATENCY_BUCKETS_MS.len());
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_their_buckets() {
        let mut latency = Latency::default();
        for (ms, bucket) in [(0, 0), (1, 0), (2, 1), (3, 2), (10_000, 11), (10_001, 12)] {
            let before = latency.buckets[bucket];
            latency.record(Duration::from_millis(ms));
            assert_eq!(latency.buckets[bucket], before + 1, "{ms}");
        }
        assert_eq!((latency.count, latency.sum.as_millis()), (6, 20_007));
    }
}
