//! Counts refused handshakes, and logs them no more often than is useful.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::config::REFUSAL_LOG_INTERVAL;

#[derive(Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    count: u64,
    logged_count: u64,
    logged_at: Option<Instant>,
}

impl Refusals {
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Counts a refusal; logs it with the number of those that went unlogged before it.
    pub(super) fn note(&self, remote: SocketAddr, reason: &str) {
        let Some(unlogged) = self.admit(Instant::now()) else {
            return;
        };
        tracing::warn!(%remote, reason, unlogged, "handshake refused");
    }

    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        let recently = |at: Instant| now.saturating_duration_since(at) < REFUSAL_LOG_INTERVAL;
        if state.logged_at.is_some_and(recently) {
            return None;
        }
        let unlogged = state.count - state.logged_count - 1;
        state.logged_count = state.count;
        state.logged_at = Some(now);
        Some(unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_but_logged_once_an_interval() {
        let refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(refusals.admit(start), Some(0));
        assert_eq!(refusals.admit(start), None);
        assert_eq!(refusals.admit(start), None);
        assert_eq!(refusals.admit(start + REFUSAL_LOG_INTERVAL), Some(2));
        assert_eq!(refusals.count(), 4);
    }
}
