//! Counts the binds under way, so that what can wait gives way to them: all go to one API server.
//! Leaves out what is sent.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The binds under way. Cloning shares the count.
#[derive(Clone, Debug)]
pub struct UnderWay(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
pub(crate) struct Token(UnderWay);

impl Default for UnderWay {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl UnderWay {
    /// One more.
    pub(crate) fn begin(&self) -> Token {
        self.0.send_if_modified(|n| {
            *n += 1;
            false
        });
        Token(self.clone())
    }

    /// Waits until there is none, but no longer than `longest`.
    pub(crate) async fn none(&self, longest: Duration) {
        let mut count = self.0.subscribe();
        // That it was too long is no error.
        let _late = timeout(longest, count.wait_for(|n| *n == 0)).await;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // Only the last wakes those who wait.
        self.0.0.send_if_modified(|n| {
            *n -= 1;
            *n == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_when_the_last_has_ended_or_it_took_too_long() {
        const LONG: Duration = Duration::from_secs(3600);
        let under_way = UnderWay::default();
        under_way.none(LONG).await;
        let (one, two) = (under_way.begin(), under_way.begin());
        under_way.none(Duration::ZERO).await;
        let waiting = tokio::spawn({
            let under_way = under_way.clone();
            async move { under_way.none(LONG).await }
        });
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        waiting.await.unwrap();
    }
}
