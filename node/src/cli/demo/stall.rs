//! Tells slow from stuck.

use std::time::{Duration, Instant};

use super::super::failure;
use crate::api::ApiError;

/// How long nothing may happen before it counts as stuck, however long the whole takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches a number that changes as long as there is progress.
pub struct Stall {
    what: &'static str,
    value: Option<u64>,
    since: Instant,
}

impl Stall {
    /// Begins to watch; `what` is what is stuck if it is.
    pub fn begin(what: &'static str) -> Self {
        Self {
            what,
            value: None,
            since: Instant::now(),
        }
    }

    /// Notes the number; fails when it has not changed for too long.
    pub fn observe(&mut self, value: u64) -> Result<(), ApiError> {
        self.observe_at(value, Instant::now())
    }

    fn observe_at(&mut self, value: u64, now: Instant) -> Result<(), ApiError> {
        if self.value != Some(value) {
            self.value = Some(value);
            self.since = now;
        }
        if now.duration_since(self.since) < PATIENCE {
            return Ok(());
        }
        Err(failure::node(
            "stalled",
            format!(
                "{}, and nothing has changed for {} s",
                self.what,
                PATIENCE.as_secs()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standstill_is_a_stall() {
        let mut stall = Stall::begin("nothing moves");
        let mut now = Instant::now();
        for value in 0..10 {
            now += PATIENCE - Duration::from_secs(1);
            assert!(stall.observe_at(value, now).is_ok());
        }
        assert!(stall.observe_at(9, now + PATIENCE).is_err());
    }
}
