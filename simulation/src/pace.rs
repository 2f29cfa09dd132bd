//! How long things take, and what is decided where two happen at the same time.

use comity_protocol::replica::StreamClass;

use crate::chance::Chance;

/// The speed of disks, processors and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Everything takes a little while, drawn anew each time.
    Varied,
    /// Disks and processors take no time, each link always the same. What one partner is busy
    /// with then delays nothing else: runs that differ in it can be compared frame by frame.
    Even,
}

impl Pace {
    /// Milliseconds for a sync.
    pub fn sync_ms(self, chance: &mut Chance, partner: usize) -> u64 {
        match self {
            Pace::Varied => chance.below(&format!("sync/{partner}"), 12),
            Pace::Even => 0,
        }
    }

    /// Milliseconds for a batch of signatures.
    pub fn verify_ms(self, chance: &mut Chance, partner: usize) -> u64 {
        match self {
            Pace::Varied => 1 + chance.below(&format!("verify/{partner}"), 3),
            Pace::Even => 0,
        }
    }

    /// Milliseconds for a frame.
    pub fn link_ms(self, chance: &mut Chance, from: usize, to: usize) -> u64 {
        match self {
            Pace::Varied => 1 + chance.below(&format!("delay/{from}/{to}"), 40),
            Pace::Even => 5 + 3 * from as u64 + to as u64,
        }
    }

    /// Where something at one end of a link stands among what happens in the same millisecond;
    /// at the even pace this depends on the link alone.
    pub fn rank(self, from: usize, to: usize) -> u64 {
        match self {
            Pace::Varied => 0,
            Pace::Even => 1 + (to as u64) * 256 + from as u64,
        }
    }
}

/// A frame as it went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFrame {
    pub at_ms: u64,
    pub from: usize,
    pub to: usize,
    pub class: StreamClass,
    pub bytes: Vec<u8>,
}
