//! Decides when a link has been silent for too long.

use quinn::FrameStats;
use tokio::time::Instant;

use super::config::{SUSPECT_AFTER, TICK};

/// Watches the number of frames heard on one connection.
///
/// QUIC probes an idle connection every second and the peer's stack must answer, so a link that
/// works is never silent for long, whatever the applications do. Time during which this node
/// itself did not look (a stopped process, a suspended machine) is not held against the peer.
pub(super) struct Silence {
    heard: u64,
    since: Instant,
    looked: Instant,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: 0,
            since: now,
            looked: now,
        }
    }

    /// Takes note of what has been heard by now.
    pub(super) fn look(&mut self, heard: u64, now: Instant) {
        let gap = now.saturating_duration_since(self.looked);
        if gap > 4 * TICK {
            self.since += gap;
        }
        if heard != self.heard {
            self.since = now;
        }
        self.heard = heard;
        self.looked = now;
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.looked.saturating_duration_since(self.since) >= SUSPECT_AFTER
    }
}

/// Counts the frames that any working connection receives. Only authenticated packets count,
/// so nobody on the path can keep a dead link alive by repeating old ones.
pub(super) fn frames_heard(frames: &FrameStats) -> u64 {
    frames.acks + frames.ping + frames.stream + frames.max_data + frames.max_stream_data
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn silence_becomes_suspect_and_a_word_ends_it() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        let last = listen_to_nothing(&mut silence, start, SUSPECT_AFTER);
        assert!(silence.is_suspect());
        silence.look(1, last);
        assert!(!silence.is_suspect());
    }

    #[test]
    fn our_own_absence_is_not_the_peers_silence() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        let last = listen_to_nothing(&mut silence, start, TICK);
        silence.look(0, last + Duration::from_secs(60));
        assert!(!silence.is_suspect());
    }

    fn listen_to_nothing(silence: &mut Silence, from: Instant, during: Duration) -> Instant {
        let mut now = from;
        while now < from + during {
            now += TICK;
            silence.look(0, now);
        }
        now
    }
}
