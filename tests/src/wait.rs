//! Waiting for what has to happen.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Far longer than anything takes on a busy machine, and short enough to tell a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: short, so that what is measured by looking is measured well.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks again and again until there is something to see; panics when it takes too long.
#[track_caller]
pub fn eventually<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        let waited = begun.elapsed();
        assert!(waited < patience, "not within {waited:.0?}: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits for a moment that a schedule has set.
pub fn at(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Waits until the clock shows a later time than this, in Unix milliseconds.
pub fn past(time_ms: u64) {
    eventually("the clock goes on", PATIENCE, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        (now.as_millis() > u128::from(time_ms)).then_some(())
    });
}
