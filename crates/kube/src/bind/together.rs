//! A barrier before the binds of a gang: none is sent before the volumes and devices of every member are bound, and none at all when
//! those of one could not be. Leaves out the binds.

use aisched_core::event::Together;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Gangs whose members have not all come for their ticket.
#[derive(Clone, Default)]
pub(super) struct Gates(Arc<Mutex<BTreeMap<u64, Open>>>);

struct Open {
    n_left: usize,
    gate: Arc<watch::Sender<Passed>>,
}

/// How many members have arrived, and whether one never will.
#[derive(Clone, Copy, Default)]
struct Passed {
    n: usize,
    broken: bool,
}

impl Gates {
    /// The ticket of one more member.
    pub(super) fn ticket(&self, together: Together) -> Arc<Ticket> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = gates.entry(together.id).or_insert_with(|| Open { n_left: together.n, gate: Arc::new(watch::Sender::default()) });
        let ticket = Ticket { gate: open.gate.clone(), n: together.n, used: AtomicBool::new(false) };
        open.n_left = open.n_left.saturating_sub(1);
        if open.n_left == 0 {
            gates.remove(&together.id);
        }
        Arc::new(ticket)
    }
}

/// One member's way through the barrier. Dropped unused, it keeps the others from passing.
pub(super) struct Ticket {
    gate: Arc<watch::Sender<Passed>>,
    n: usize,
    used: AtomicBool,
}

impl Ticket {
    /// Waits for the other members; whether all of them have come.
    pub(super) async fn pass(&self) -> bool {
        if !self.used.swap(true, Ordering::Relaxed) {
            self.gate.send_modify(|passed| passed.n += 1);
        }
        let mut passed = self.gate.subscribe();
        let all = passed.wait_for(|passed| passed.broken || passed.n >= self.n).await;
        all.is_ok_and(|passed| !passed.broken)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !*self.used.get_mut() {
            self.gate.send_modify(|passed| passed.broken = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_pass_when_all_have_come_and_none_when_one_does_not() {
        let (gates, together) = (Gates::default(), Together { id: 1, n: 3 });
        let [a, b, c] = [(); 3].map(|()| gates.ticket(together));
        assert!(gates.0.lock().unwrap().is_empty());
        assert_eq!(tokio::join!(a.pass(), b.pass(), c.pass()), (true, true, true));
        let [a, b, c] = [(); 3].map(|()| gates.ticket(together));
        let third = async move { drop(c) };
        assert_eq!(tokio::join!(a.pass(), third, b.pass()), (false, (), false));
    }
}
