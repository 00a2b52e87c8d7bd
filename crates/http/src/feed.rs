//! The stream of decisions: everyone who listens gets each one, and nobody who is slow holds up who decides.
//! Leaves out what a line looks like (`records`).

use crate::records::Line;
use aisched_core::decision::Decision;
use axum::response::sse::Event;
use futures::stream::{Stream, unfold};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

/// Decisions that a reader may be behind before it misses some.
const BEHIND: usize = 1024;
/// Readers at a time.
const READERS: usize = 32;

/// Hands decisions to whoever listens; where nobody does, it costs a comparison.
#[derive(Clone, Debug)]
pub struct Feed {
    sender: broadcast::Sender<Arc<Decision>>,
    seats: Arc<Semaphore>,
    missed: Arc<AtomicU64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: broadcast::channel(BEHIND).0, seats: Arc::new(Semaphore::new(READERS)), missed: Arc::default() }
    }
}

impl Feed {
    /// Tells of a decision; never waits.
    pub fn publish(&self, decision: &Arc<Decision>) {
        if self.sender.receiver_count() > 0 {
            let _nobody = self.sender.send(decision.clone());
        }
    }

    pub(crate) fn readers(&self) -> usize {
        self.sender.receiver_count()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The decisions from now on until `stop`; `None` when too many listen already.
    pub(crate) fn listen(&self, stop: CancellationToken) -> Option<impl Stream<Item = Result<Event, Infallible>> + Send + 'static> {
        let seat = self.seats.clone().try_acquire_owned().ok()?;
        let listener = Listener { decisions: self.sender.subscribe(), missed: self.missed.clone(), stop, _seat: seat };
        Some(unfold(listener, async |mut listener| Some((Ok(listener.next().await?), listener))))
    }
}

struct Listener {
    decisions: broadcast::Receiver<Arc<Decision>>,
    missed: Arc<AtomicU64>,
    stop: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    /// A decision, or how many were missed since the last one.
    async fn next(&mut self) -> Option<Event> {
        match self.stop.run_until_cancelled(self.decisions.recv()).await? {
            Ok(decision) => Event::default().event("decision").json_data(Line::new(&decision)).ok(),
            Err(broadcast::error::RecvError::Lagged(n)) => {
                self.missed.fetch_add(n, Ordering::Relaxed);
                Some(Event::default().event("missed").data(n.to_string()))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
