//! A node's clocks: one that only goes on, at its own speed, and one that people set.

/// Unix milliseconds at the start of every run.
pub const START_MS: u64 = 1_700_000_000_000;

/// The clocks of one node, as functions of the world's time in milliseconds.
#[derive(Debug, Clone)]
pub struct Clock {
    /// From when on the present speed holds, and what the clock showed then.
    since_ms: u64,
    shown_ms: u64,
    /// How much faster than the world it goes, in millionths.
    ppm: i64,
    /// How far the wall clock is from the world's.
    offset_ms: i64,
    /// The wall clock stands still.
    stuck_at: Option<u64>,
}

impl Clock {
    pub fn new() -> Clock {
        Clock {
            since_ms: 0,
            shown_ms: 0,
            ppm: 0,
            offset_ms: 0,
            stuck_at: None,
        }
    }

    /// A process starts: its monotonic clock begins anew.
    pub fn restart(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
        self.shown_ms = 0;
    }

    pub fn instant(&self, now_ms: u64) -> u64 {
        let gone = now_ms - self.since_ms;
        let more = (gone as i64).saturating_mul(self.ppm) / 1_000_000;
        self.shown_ms + gone.saturating_add_signed(more)
    }

    /// When in the world's time the monotonic clock will show `instant`.
    pub fn world_ms(&self, instant: u64, now_ms: u64) -> u64 {
        let left = instant.saturating_sub(self.instant(now_ms));
        let speed = 1_000_000u64.saturating_add_signed(self.ppm).max(1);
        let left = left.min(u64::MAX / 4_000_000);
        now_ms + (left * 1_000_000).div_ceil(speed)
    }

    pub fn wall(&self, now_ms: u64) -> u64 {
        let wall = self.stuck_at.unwrap_or(START_MS + now_ms);
        wall.saturating_add_signed(self.offset_ms)
    }

    pub fn drift(&mut self, ppm: i64, now_ms: u64) {
        self.shown_ms = self.instant(now_ms);
        self.since_ms = now_ms;
        self.ppm = ppm;
    }

    pub fn jump(&mut self, ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(ms);
    }

    pub fn stick(&mut self, now_ms: u64) {
        self.stuck_at = Some(START_MS + now_ms);
    }

    /// Somebody sets the clocks right; the monotonic one does not go back.
    pub fn mend(&mut self, now_ms: u64) {
        self.drift(0, now_ms);
        self.offset_ms = 0;
        self.stuck_at = None;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_asked_for_is_reached_however_fast_the_clock_goes() {
        for ppm in [-200_000, -1, 0, 1, 300_000] {
            let mut clock = Clock::new();
            clock.drift(ppm, 1_000);
            let at = clock.world_ms(9_999, 5_000);
            assert!(clock.instant(at) >= 9_999, "{ppm}");
            assert!(at <= 20_000, "{ppm}");
        }
    }
}
