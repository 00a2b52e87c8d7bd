//! Which events repeat another, and which of the repeats are worth a call.
//! Knows no network, and time only as an argument.

use super::wire::Record;
use jiff::Timestamp;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// Series kept at most; more are forgotten, and their next repeat is a new event.
const CAPACITY: usize = 8192;
/// Least time between two updates of one series after the first.
const UPDATE_EVERY: Duration = Duration::from_secs(120);

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Send {
    pub(super) record: Record,
    /// Name of the event.
    pub(super) name: String,
    pub(super) series: SeriesState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeriesState {
    /// A new event, of this time.
    First(Timestamp),
    /// The event of that name was repeated.
    Repeat { count: i32, last: Timestamp },
}

impl Send {
    pub(super) fn is_repeat(&self) -> bool {
        matches!(self.series, SeriesState::Repeat { .. })
    }
}

/// The events of late, by a keyed hash of their content: nearly all are never repeated, and whole ones would take megabytes.
/// That two of them share one is as likely as one in 10¹¹; it would be told as a repeat.
pub(super) struct Series {
    window: Duration,
    key: RandomState,
    known: HashMap<u64, Known>,
}

struct Known {
    /// When the first was told: its name.
    first: Timestamp,
    count: i32,
    seen: Instant,
    updated: Option<Instant>,
}

impl Series {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, key: RandomState::new(), known: HashMap::new() }
    }

    /// Takes an event; what has to be sent for it, if anything.
    ///
    /// The first repeat is told at once, so that nobody wonders; later ones are counted and told every two minutes.
    pub(super) fn take(&mut self, record: Record, now: Instant, time: Timestamp) -> Option<Send> {
        let key = self.key.hash_one(&record);
        if let Some(known) = self.known.get_mut(&key).filter(|known| now - known.seen <= self.window) {
            known.count = known.count.saturating_add(1);
            known.seen = now;
            if known.updated.is_some_and(|updated| now - updated < UPDATE_EVERY) {
                return None;
            }
            known.updated = Some(now);
            let series = SeriesState::Repeat { count: known.count, last: time };
            return Some(Send { name: record.name_at(known.first), record, series });
        }
        if self.known.len() >= CAPACITY {
            self.known.retain(|_, known| now - known.seen <= self.window);
            if self.known.len() >= CAPACITY {
                self.known.clear();
            }
        }
        self.known.insert(key, Known { first: time, count: 1, seen: now, updated: None });
        Some(Send { name: record.name_at(time), record, series: SeriesState::First(time) })
    }

    /// The same as a new event, when the one that was repeated is no longer there; repeats count from there.
    pub(super) fn anew(&self, send: &Send) -> Send {
        let time = match send.series {
            SeriesState::First(time) | SeriesState::Repeat { last: time, .. } => time,
        };
        Send { record: send.record.clone(), name: send.name.clone(), series: SeriesState::First(time) }
    }
}
