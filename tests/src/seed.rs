//! Choices that a seed repeats.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::say;

/// Sets the seed of every test.
const SEED: &str = "COMITY_TEST_SEED";

/// Random numbers: SplitMix64.
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice for a test, with a seed that is printed.
    pub fn of(test: &str) -> Dice {
        let seed = chosen().unwrap_or_else(fresh_seed);
        say(&format!("{test}: seed {seed} ({SEED}={seed} repeats it)"));
        Dice { state: seed }
    }

    /// Dice that always fall the same.
    pub fn seeded(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// Dice of their own for a part of the test.
    pub fn split(&mut self) -> Dice {
        Dice { state: self.roll() }
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// True so many times in a thousand.
    pub fn per_mille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.roll().to_le_bytes());
        words.flatten().take(count).collect()
    }
}

fn chosen() -> Option<u64> {
    let text = std::env::var(SEED).ok()?;
    let seed = text.parse();
    Some(seed.unwrap_or_else(|_| panic!("{SEED}={text} is not a number")))
}

/// A seed that nobody chose, from the clock.
pub fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // Short enough to be typed.
    now.map_or(1, |now| u64::from(now.subsec_nanos()))
}
