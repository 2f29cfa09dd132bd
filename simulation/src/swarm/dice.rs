//! Random numbers by name: `hash(seed, kind, actor, n)`. What one actor draws for one purpose does
//! not move what any other draws, so that a schedule from which something is taken away still goes
//! on as before elsewhere.

use std::collections::BTreeMap;

/// Draws numbers from a seed.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    /// How many were drawn, by kind and actor.
    drawn: BTreeMap<(u64, u64), u64>,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice {
            seed,
            drawn: BTreeMap::new(),
        }
    }

    /// The next number of a kind for an actor.
    pub fn draw(&mut self, kind: &str, actor: u64) -> u64 {
        let kind = name(kind);
        let number = self.drawn.entry((kind, actor)).or_insert(0);
        *number += 1;
        let mixed = mix(self.seed ^ mix(kind ^ mix(actor ^ mix(*number))));
        mix(mixed.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number from 0 to `below` - 1.
    pub fn below(&mut self, kind: &str, actor: u64, below: u64) -> u64 {
        self.draw(kind, actor) % below.max(1)
    }

    /// The next number from `low` to `high`, both included.
    pub fn between(&mut self, kind: &str, actor: u64, low: u64, high: u64) -> u64 {
        low + self.below(kind, actor, high.saturating_sub(low) + 1)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, kind: &str, actor: u64, percent: u64) -> bool {
        self.below(kind, actor, 100) < percent
    }

    /// The next 32 bytes.
    pub fn bytes(&mut self, kind: &str, actor: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.draw(kind, actor).to_le_bytes());
        }
        bytes
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn name(kind: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in kind.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// A running digest over all that happens in a run: equal for equal runs. It need not withstand
/// anybody, so it is quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(pub u64, pub u64);

impl Trace {
    pub fn new() -> Trace {
        Trace(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }

    pub fn number(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.1 = mix(self.1 ^ number);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut number = [0; 8];
            number[..part.len()].copy_from_slice(part);
            self.number(u64::from_le_bytes(number));
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_actor_draws_moves_nothing_of_anothers() {
        let (mut one, mut other) = (Dice::new(7), Dice::new(7));
        for _ in 0..9 {
            one.draw("delay", 1);
        }
        one.draw("crash", 2);
        assert_eq!(one.draw("delay", 2), other.draw("delay", 2));
        assert_ne!(one.draw("delay", 2), one.draw("crash", 3));
    }
}
