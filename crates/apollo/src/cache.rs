//! Keeps policies by pod UID: fresh for a while, of use ten times as long when the server fails, bounded in number and size.
//! Has no clock and makes no calls.

use aisched_model::Str;
use aisched_model::policy::Policy;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// More entries than this push the oldest out (`apollo.md`).
pub const MAX_ENTRIES: usize = 10_000;
/// More bytes than this push the oldest out: one hostile answer may hold megabytes of node names, ten thousand may not.
const MAX_BYTES: usize = 64 << 20;
/// A failing server's answers are used until this many times their expiry.
const STALE_FACTOR: u32 = 10;

/// Policies by pod UID.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<Str, Entry>,
    /// UIDs in the order in which their entries were stored.
    by_age: BTreeMap<u64, Str>,
    next: u64,
    n_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    policy: Arc<Policy>,
    stored: Instant,
    order: u64,
    n_bytes: usize,
}

impl Cache {
    /// The pod's policy if it has not expired.
    pub(crate) fn fresh(&self, uid: &str, now: Instant, expiry: Duration) -> Option<Arc<Policy>> {
        let entry = self.entries.get(uid)?;
        (now.duration_since(entry.stored) < expiry).then(|| entry.policy.clone())
    }

    /// The pod's policy if it is good enough for want of a better one.
    pub(crate) fn stale(&self, uid: &str, now: Instant, expiry: Duration) -> Option<Arc<Policy>> {
        self.fresh(uid, now, expiry.saturating_mul(STALE_FACTOR))
    }

    /// Stores a policy in the place of the pod's last one.
    pub(crate) fn insert(&mut self, uid: Str, policy: Arc<Policy>, now: Instant) {
        self.remove(&uid);
        let entry = Entry { n_bytes: weigh(&policy), policy, stored: now, order: self.next };
        self.next += 1;
        self.n_bytes += entry.n_bytes;
        self.by_age.insert(entry.order, uid.clone());
        self.entries.insert(uid, entry);
        while self.entries.len() > MAX_ENTRIES || self.n_bytes > MAX_BYTES {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.remove(&oldest);
        }
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.entries.remove(uid) {
            self.by_age.remove(&entry.order);
            self.n_bytes -= entry.n_bytes;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// About how many bytes a policy holds: its text, and a fixed cost for each piece of it.
fn weigh(policy: &Policy) -> usize {
    const PIECE: usize = 48;
    let text = |text: &Str| text.len() + PIECE;
    let texts = |list: &[Str]| list.iter().map(text).sum::<usize>();
    let preferences = policy.node_preferences.iter().map(|p| text(&p.node));
    let constraints = policy.constraints.iter().map(|c| text(&c.key) + texts(&c.values));
    let affinity = policy.affinity.iter().flat_map(|term| &term.labels);
    size_of::<Policy>()
        + policy.reason.len()
        + texts(&policy.data_locations)
        + texts(&policy.cached_on_nodes)
        + texts(&policy.findings.datasets)
        + preferences.sum::<usize>()
        + constraints.sum::<usize>()
        + affinity.map(|(k, v)| text(k) + text(v)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: Duration = Duration::from_secs(30);

    fn policy(id: &str) -> Arc<Policy> {
        Arc::new(Policy { request_id: Some(id.into()), ..Policy::default() })
    }

    fn id(found: Option<Arc<Policy>>) -> Option<Str> {
        found.and_then(|policy| policy.request_id.clone())
    }

    #[test]
    fn policy_is_fresh_until_its_expiry_and_stale_until_ten_times_that() {
        let stored = Instant::now();
        let mut cache = Cache::default();
        cache.insert("a".into(), policy("r-1"), stored);
        for (seconds, is_fresh, is_stale) in [(0, true, true), (29, true, true), (30, false, true), (299, false, true), (300, false, false)]
        {
            let now = stored + Duration::from_secs(seconds);
            assert_eq!(cache.fresh("a", now, EXPIRY).is_some(), is_fresh, "{seconds}");
            assert_eq!(cache.stale("a", now, EXPIRY).is_some(), is_stale, "{seconds}");
        }
    }

    #[test]
    fn new_policy_takes_the_place_of_the_last() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.insert("a".into(), policy("r-1"), now);
        cache.insert("a".into(), policy("r-2"), now);
        assert_eq!(id(cache.fresh("a", now, EXPIRY)).as_deref(), Some("r-2"));
        assert_eq!((cache.len(), cache.by_age.len()), (1, 1));
    }

    #[test]
    fn removed_policy_is_gone() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.insert("a".into(), policy("r-1"), now);
        cache.remove("a");
        cache.remove("never there");
        assert!(cache.stale("a", now, EXPIRY).is_none());
        assert_eq!((cache.by_age.len(), cache.n_bytes), (0, 0));
    }

    #[test]
    fn oldest_entries_leave_when_there_are_too_many() {
        let now = Instant::now();
        let mut cache = Cache::default();
        for i in 0..=MAX_ENTRIES {
            cache.insert(i.to_string().into(), policy("r"), now);
        }
        assert_eq!(cache.len(), MAX_ENTRIES);
        assert!(cache.fresh("0", now, EXPIRY).is_none());
        assert!(cache.fresh("1", now, EXPIRY).is_some());
    }

    #[test]
    fn oldest_entries_leave_when_they_are_too_large() {
        let now = Instant::now();
        let mut cache = Cache::default();
        let large = Arc::new(Policy { reason: "x".repeat(MAX_BYTES / 4).into(), ..Policy::default() });
        for uid in ["a", "b", "c", "d"] {
            cache.insert(uid.into(), large.clone(), now);
        }
        assert_eq!(cache.len(), 3);
        assert!(cache.fresh("a", now, EXPIRY).is_none());
        assert!(cache.n_bytes <= MAX_BYTES);
    }
}
