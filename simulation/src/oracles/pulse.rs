//! Whoever shares a channel with a linked peer tells it the digests of its lanes again and again,
//! traffic or none (docs/protocol.md, section 16, rule 2): what was lost in whatever way is found.

use std::collections::BTreeMap;

use comity_protocol::limits;

use super::Verdict;

/// Within so long a node says its digests at least once, ms: a round, and as much as the clock of a
/// node that was just mended and a slow disk may add.
pub const WITHIN_MS: u64 = limits::ANTI_ENTROPY_MS + 5_000;

/// The first byte of a frame that tells digests.
const HAVE: u8 = 2;

#[derive(Default)]
pub struct Pulse {
    /// When a node last wished to tell another its digests, in the world's time.
    told: BTreeMap<(usize, usize), u64>,
}

impl Pulse {
    /// A node wishes to send a frame.
    pub fn frame(&mut self, from: usize, to: usize, bytes: &[u8], now_ms: u64) {
        if bytes.first() == Some(&HAVE) {
            self.told.insert((from, to), now_ms);
        }
    }

    /// Two have been linked since `since_ms`, and the first has something to tell.
    pub fn demand(&self, from: usize, to: usize, since_ms: u64) -> Verdict {
        let told = self.told.get(&(from, to)).copied();
        if told.is_some_and(|told| told >= since_ms) {
            return Ok(());
        }
        let what = format!(
            "node {from} has been linked with node {to} since {since_ms} and last told it its \
             digests at {told:?}"
        );
        Err(("pulse", what))
    }
}
