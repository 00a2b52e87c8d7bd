//! Records events (events.k8s.io/v1) without ever making the scheduler wait: what does not fit is dropped and counted.
//! Leaves out what an event looks like on the wire (`wire`) and which ones repeat another (`series`).

mod series;
mod wire;

pub(crate) use wire::{Object, Record};
pub use wire::{hostname, shorten};

use crate::call::call;
use crate::problem::Problem;
use crate::under_way::UnderWay;
use crate::watch::{Health, ResourceName};
use aisched_core::event::ApiEvent;
use kube::Client;
use series::{Send, Series};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

/// How events are recorded.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// Host, the second half of the reporting instance.
    pub hostname: String,
    /// Events that may wait to be sent.
    pub capacity: usize,
    /// Tasks that send; events on one object are always sent by the same one, in order.
    pub workers: usize,
    /// Events per second over all workers, in the long run.
    pub per_second: u32,
    /// Events at once after a quiet time.
    pub burst: u32,
    /// How long an event counts as a repeat of the same one before.
    pub series_window: Duration,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            hostname: hostname(),
            capacity: 16_384,
            workers: 4,
            per_second: 400,
            burst: 2000,
            // kube-scheduler's: a series that rests for six minutes has ended.
            series_window: Duration::from_secs(360),
        }
    }
}

/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often an event is sent again when there is no answer.
const ATTEMPTS: u32 = 4;
/// Longest that one event waits for binds to end.
const GIVE_WAY: Duration = Duration::from_millis(100);

/// Takes events. Cloning shares the queue.
#[derive(Clone, Debug)]
pub struct Recorder {
    queues: Arc<[mpsc::Sender<Record>]>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the workers; they end when the last recorder is gone and the queue is empty. Events give way to `binds`.
    #[must_use]
    pub fn start(client: &Client, health: &Health, binds: &UnderWay, options: &RecorderOptions) -> Self {
        let workers = options.workers.max(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let queue = |_| {
            let (sender, receiver) = mpsc::channel((options.capacity / workers).max(1));
            let worker = Worker {
                client: client.clone(),
                health: health.clone(),
                binds: binds.clone(),
                hostname: options.hostname.clone(),
                series: Series::new(options.series_window),
                bucket: Bucket::new(options.per_second, options.burst, workers, Instant::now()),
                dropped: dropped.clone(),
            };
            tokio::spawn(worker.run(receiver));
            sender
        };
        Self { queues: (0..workers).map(queue).collect(), dropped }
    }

    /// Records an event, or drops it when too many wait already.
    pub fn record(&self, event: ApiEvent) {
        self.put(Record::from(event));
    }

    /// Events dropped so far: too many waited, or the server took none of several attempts.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn put(&self, record: Record) {
        let mut hasher = DefaultHasher::new();
        record.object.hash(&mut hasher);
        let worker = usize::try_from(hasher.finish() % self.queues.len() as u64).unwrap_or(0);
        if self.queues[worker].try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Worker {
    client: Client,
    health: Health,
    binds: UnderWay,
    hostname: String,
    series: Series,
    bucket: Bucket,
    dropped: Arc<AtomicU64>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Record>) {
        while let Some(record) = queue.recv().await {
            if let Some(send) = self.series.take(record, Instant::now(), wire::now()) {
                if gives_way(queue.len(), queue.max_capacity()) {
                    self.binds.none(GIVE_WAY).await;
                }
                sleep_until(self.bucket.take(Instant::now())).await;
                self.send(send).await;
            }
        }
    }

    async fn send(&mut self, send: Send) {
        let mut pause = Duration::from_millis(100);
        for _ in 0..ATTEMPTS {
            let problem = match self.attempt(&send).await {
                Ok(()) => return,
                // The first event of the series has expired: tell it anew.
                Err(Problem::NotFound(_)) if send.is_repeat() => match self.attempt(&self.series.anew(&send)).await {
                    Ok(()) => return,
                    Err(problem) => problem,
                },
                Err(problem) => problem,
            };
            let wait = match problem {
                // The answer to the first attempt was lost, not the event.
                Problem::Conflict(_) => return,
                Problem::Forbidden(answer) if answer.contains("being terminated") => return debug!(answer, "event not recorded"),
                Problem::Forbidden(answer) => {
                    let verb = if send.is_repeat() { "patch" } else { "create" };
                    self.health.forbidden(verb, ResourceName { plural: "events", group: "events.k8s.io" }, &answer, "events are lost");
                    break;
                }
                Problem::Unreachable(_) | Problem::Server(..) | Problem::Unauthorized(_) => pause,
                Problem::Busy(wait, _) => wait,
                Problem::NotFound(answer) => return debug!(answer, "event not recorded"),
                Problem::Refused(_, answer) | Problem::Other(answer) => {
                    warn!(answer, object = %send.record.object, reason = &*send.record.reason, "event refused");
                    break;
                }
            };
            sleep(wait.min(DEADLINE)).await;
            pause *= 4;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    async fn attempt(&self, send: &Send) -> Result<(), Problem> {
        call(&self.client, send.request(&self.hostname), DEADLINE).await
    }
}

/// Whether the next event gives way to binds: late events are better than late binds, and than lost events.
fn gives_way(n_waiting: usize, capacity: usize) -> bool {
    n_waiting < capacity / 2
}

/// A token bucket: `burst` at once, then one per `interval`.
struct Bucket {
    interval: Duration,
    burst: Duration,
    /// When the bucket would be full again, were nothing more taken.
    full_at: Instant,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, workers: usize, now: Instant) -> Self {
        let workers = u32::try_from(workers).unwrap_or(1).max(1);
        let interval = Duration::from_secs(1) * workers / per_second.max(1);
        Self { interval, burst: interval * (burst / workers), full_at: now }
    }

    /// Takes one token; when it is there to be used.
    fn take(&mut self, now: Instant) -> Instant {
        self.full_at = self.full_at.max(now) + self.interval;
        self.full_at.checked_sub(self.burst).map_or(now, |ready| ready.max(now))
    }
}

#[cfg(test)]
mod tests;
