//! Waits for something to become true, with a deadline and the last reason why it was not.
//! Leaves out time as a measure: a deadline here says that something is broken, not that it is slow.

use std::time::{Duration, Instant};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between looks.
const LOOK: Duration = Duration::from_millis(50);

/// Looks until there is an answer.
///
/// # Panics
/// When there is none in a minute, with what was found last.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, what, look)
}

/// [`eventually`], with more patience than others have.
///
/// # Panics
/// When there is no answer in that time.
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look() {
            Ok(found) => return found,
            Err(found) if Instant::now() > deadline => panic!("not within {patience:?}: {what}; found: {found}"),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}
