//! A circuit breaker: after a row of failures no calls are made for a while, then one probe decides.
//! Has no clock: every method that needs the time takes it.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open the breaker.
pub const FAILURES_TO_OPEN: u32 = 5;
/// The first pause before a probe; each failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What the breaker does with calls, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    #[default]
    Closed,
    /// No calls are made until the pause is over.
    Open,
    /// One call is under way to find out.
    HalfOpen,
}

impl BreakerState {
    /// The word used in metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The breaker of one server.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// A call that the breaker let through; tells its probe from calls that began before it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Ordinary,
    Probe,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, pause: FIRST_PAUSE }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing => BreakerState::HalfOpen,
        }
    }

    /// Whether a call may begin now. Changes nothing.
    pub(crate) fn would_admit(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::Probing => false,
        }
    }

    /// Lets a call begin, or not. The first one after the pause is the probe.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Pass> {
        match self.state {
            State::Closed { .. } => Some(Pass::Ordinary),
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Some(Pass::Probe)
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// A call was answered: the server is well, whichever call it was.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// A call failed. True when that opened the breaker, or kept it open.
    ///
    /// Example, `longest` 10 s: pauses of 1, 2, 4, 8, 10, 10, … seconds.
    pub(crate) fn failed(&mut self, pass: Pass, now: Instant, longest: Duration) -> bool {
        match (&mut self.state, pass) {
            (State::Closed { failures }, _) => {
                *failures += 1;
                if *failures < FAILURES_TO_OPEN {
                    return false;
                }
                self.pause = FIRST_PAUSE.min(longest);
            }
            (State::Probing, Pass::Probe) => self.pause = (self.pause * 2).min(longest),
            // Calls from before it opened say nothing new.
            (State::Open { .. } | State::Probing, _) => return false,
        }
        self.state = State::Open { until: now + self.pause };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    fn opened(at: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for i in 1..=FAILURES_TO_OPEN {
            assert_eq!(breaker.admit(at), Some(Pass::Ordinary));
            let opens = breaker.failed(Pass::Ordinary, at, LONGEST);
            assert_eq!(opens, i == FAILURES_TO_OPEN);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let now = Instant::now();
        let breaker = opened(now);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.would_admit(now + Duration::from_millis(999)));
        assert!(breaker.would_admit(now + Duration::from_secs(1)));
    }

    #[test]
    fn success_between_failures_starts_the_row_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            for _ in 1..FAILURES_TO_OPEN {
                assert!(!breaker.failed(Pass::Ordinary, now, LONGEST));
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn only_one_probe_is_let_through() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + Duration::from_secs(1);
        assert_eq!(breaker.admit(later), Some(Pass::Probe));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(later), None);
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Some(Pass::Ordinary));
    }

    #[test]
    fn failed_probes_double_the_pause_up_to_the_longest() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [1, 2, 4, 8, 10, 10] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.admit(now + pause - Duration::from_millis(1)), None, "{seconds}");
            now += pause;
            assert_eq!(breaker.admit(now), Some(Pass::Probe), "{seconds}");
            assert!(breaker.failed(Pass::Probe, now, LONGEST));
        }
    }

    #[test]
    fn failures_of_calls_from_before_it_opened_do_not_count() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + Duration::from_secs(1);
        assert!(!breaker.failed(Pass::Ordinary, later, LONGEST));
        assert_eq!(breaker.admit(later), Some(Pass::Probe));
        assert!(!breaker.failed(Pass::Ordinary, later, LONGEST));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn shortest_longest_pause_bounds_the_first_one() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.failed(Pass::Ordinary, now, Duration::from_millis(10));
        }
        assert!(breaker.would_admit(now + Duration::from_millis(10)));
    }
}
