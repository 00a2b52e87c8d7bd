//! The rules of an election on a Lease, which are client-go's: who may take it, when, and until when whoever has it leads.
//! Leaves out how the Lease is read and written: that is a [`Lock`]'s.

use super::LeaseOptions;
use crate::problem::Problem;
use jiff::Timestamp;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Pauses between attempts to get the Lease are up to this much of a retry period longer, so that followers do not come in step.
const JITTER: f64 = 1.2;
/// How long a Lease that is given back is still held: no time at all for whoever sees that it has no holder.
const RELEASED_SECONDS: i32 = 1;
/// Attempts to give the Lease back: a renewal under way may come between.
const RELEASES: usize = 3;

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty when nobody holds it.
    pub(super) holder: String,
    pub(super) duration_seconds: i32,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) verb: &'static str,
    pub(super) problem: Problem,
}

/// The Lease, read and written so that no write of another is ever overwritten unread.
pub(super) trait Lock {
    /// What the Lease says; `None` when there is none.
    async fn get(&mut self) -> Result<Option<Record>, Fault>;
    /// Makes the Lease; fails when there is one.
    async fn create(&mut self, record: &Record) -> Result<(), Fault>;
    /// Changes the Lease; fails when it is no longer as this lock saw it last.
    async fn update(&mut self, record: &Record) -> Result<(), Fault>;
}

/// How an attempt to get or keep the Lease ended.
pub(super) enum Attempt {
    /// It is ours.
    Ours,
    /// This one holds it, and was heard of not too long ago.
    HeldBy(String),
}

/// One who stands for election.
pub(super) struct Elector<L> {
    lock: L,
    options: LeaseOptions,
    /// From 0 to 1.
    luck: fn() -> f64,
    observed: Record,
    /// When `observed` was first seen, by this machine's own clock: those of others are never trusted.
    observed_at: Instant,
    /// Nobody else can hold the Lease before then; counted from before the last renewal was sent.
    ours_until: Instant,
}

impl<L: Lock> Elector<L> {
    pub(super) fn new(lock: L, options: LeaseOptions, luck: fn() -> f64) -> Self {
        let now = Instant::now();
        Self { lock, options, luck, observed: Record::default(), observed_at: now, ours_until: now }
    }

    /// Tries to get the Lease, or to keep it.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, Fault> {
        if self.is_ours() && self.is_valid() {
            // Nobody has changed it, most likely: one call instead of two.
            match self.write(self.observed.clone()).await {
                Ok(()) => return Ok(Attempt::Ours),
                Err(fault) => tracing::debug!(answer = fault.problem.message(), "lease not renewed at once; reading it"),
            }
        }
        let Some(found) = self.lock.get().await? else {
            let record = self.fresh(0);
            let sent = Instant::now();
            self.lock.create(&record).await?;
            self.wrote(record, sent);
            return Ok(Attempt::Ours);
        };
        self.observe(found);
        if !self.observed.holder.is_empty() && !self.is_ours() && self.is_valid() {
            return Ok(Attempt::HeldBy(self.observed.holder.clone()));
        }
        let record = if self.is_ours() { self.observed.clone() } else { self.fresh(self.observed.transitions.saturating_add(1)) };
        self.write(record).await?;
        Ok(Attempt::Ours)
    }

    /// Waits for the next attempt to get the Lease: a period with luck in it, or until the holder's time is up when that is sooner.
    pub(super) async fn pause(&self, is_held: bool) {
        let period = self.options.retry_period;
        let at = Instant::now() + period + period.mul_f64(JITTER * (self.luck)());
        let expiry = is_held.then(|| self.observed_at + duration(&self.observed));
        sleep_until(expiry.map_or(at, |expiry| expiry.min(at))).await;
    }

    /// Keeps the Lease, telling each time until when; ends when it is lost, with the reason.
    pub(super) async fn keep(&mut self, mut renewed: impl FnMut(Instant)) -> String {
        loop {
            renewed(self.ours_until);
            sleep(self.options.retry_period).await;
            let give_up = (Instant::now() + self.options.renew_deadline).min(self.ours_until);
            loop {
                let next = Instant::now() + self.options.retry_period;
                let why = match timeout_at(give_up, self.attempt()).await {
                    Ok(Ok(Attempt::Ours)) => break,
                    // client-go would go on trying until the deadline, and its process to act; nothing is won by that.
                    Ok(Ok(Attempt::HeldBy(holder))) => return format!("{holder} has taken it"),
                    Ok(Err(fault)) => format!("cannot {} it: {}", fault.verb, fault.problem.message()),
                    Err(_) => "no answer from the API server".into(),
                };
                tracing::warn!(lease = %self.options, "lease not renewed: {why}");
                if next >= give_up {
                    return format!("it could not be renewed for {:?}: {why}", self.options.renew_deadline);
                }
                sleep_until(next).await;
            }
        }
    }

    /// Gives the Lease back if it is ours, so that another may have it at once.
    pub(super) async fn release(&mut self) {
        for _ in 0..RELEASES {
            match self.lock.get().await {
                Ok(Some(found)) => self.observe(found),
                Ok(None) => return,
                Err(fault) => return tracing::warn!(lease = %self.options, answer = fault.problem.message(), "lease not given back"),
            }
            if !self.is_ours() {
                return;
            }
            let record = Record { holder: String::new(), duration_seconds: RELEASED_SECONDS, ..self.fresh(self.observed.transitions) };
            match self.lock.update(&record).await {
                Ok(()) => return tracing::info!(lease = %self.options, "lease given back"),
                Err(Fault { problem: Problem::Conflict(_), .. }) => {}
                Err(fault) => return tracing::warn!(lease = %self.options, answer = fault.problem.message(), "lease not given back"),
            }
        }
    }

    fn is_ours(&self) -> bool {
        self.observed.holder == self.options.identity
    }

    fn is_valid(&self) -> bool {
        Instant::now() < self.observed_at + duration(&self.observed)
    }

    /// A change of the record, and nothing else, is a sign of life.
    fn observe(&mut self, found: Record) {
        if found != self.observed {
            self.observed = found;
            self.observed_at = Instant::now();
        }
    }

    /// A record of ours that begins now.
    fn fresh(&self, transitions: i32) -> Record {
        let holder = self.options.identity.clone();
        let now = Some(now());
        Record { holder, duration_seconds: self.options.lease_seconds(), acquired: now, renewed: now, transitions }
    }

    async fn write(&mut self, record: Record) -> Result<(), Fault> {
        let record = Record { duration_seconds: self.options.lease_seconds(), renewed: Some(now()), ..record };
        let sent = Instant::now();
        self.lock.update(&record).await?;
        self.wrote(record, sent);
        Ok(())
    }

    fn wrote(&mut self, record: Record, sent: Instant) {
        self.ours_until = sent + duration(&record);
        self.observe(record);
    }
}

fn duration(record: &Record) -> Duration {
    Duration::from_secs(u64::try_from(record.duration_seconds).unwrap_or(0))
}

/// As exact as the API keeps it, so that what is read is what was written.
fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default()
}

/// From 0 to 1: the standard library's own random state.
pub(super) fn luck() -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "luck needs no 64 bits")]
    let [n, max] = [RandomState::new().hash_one(0_u8), u64::MAX].map(|n| n as f64);
    n / max
}
