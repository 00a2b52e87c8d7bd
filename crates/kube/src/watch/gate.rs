//! Tells the engine, once, that everything which it needs before the first decision has arrived.
//! Leaves out what "everything" is: whoever makes the gate names it.

use aisched_core::event::Event;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;
use tracing::info;

/// Waits for named things; sends [`Event::Synced`] when the last has arrived.
#[derive(Debug)]
pub struct Gate {
    awaited: Mutex<BTreeSet<&'static str>>,
    events: UnboundedSender<Event>,
}

impl Gate {
    /// A gate that opens when all of `awaited` have arrived.
    pub fn new(awaited: impl IntoIterator<Item = &'static str>, events: UnboundedSender<Event>) -> Self {
        Self { awaited: Mutex::new(awaited.into_iter().collect()), events }
    }

    /// One of them has arrived. A second time does nothing.
    pub fn arrived(&self, what: &'static str) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.remove(what) && awaited.is_empty() {
            info!("the first lists have arrived");
            // The receiver is gone only when the scheduler stops.
            let _stopping = self.events.send(Event::Synced);
        }
    }

    /// What has not arrived yet.
    #[must_use]
    pub fn awaited(&self) -> Vec<&'static str> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
