//! Random numbers by name: the same name gives the same number in every run with the same seed,
//! whatever else was drawn before.

use std::collections::BTreeMap;

/// Draws numbers from a seed.
#[derive(Debug, Clone)]
pub struct Chance {
    seed: u64,
    drawn: BTreeMap<String, u64>,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance {
            seed,
            drawn: BTreeMap::new(),
        }
    }

    /// The next 32 bytes under `name`.
    pub fn bytes(&mut self, name: &str) -> [u8; 32] {
        let number = self.drawn.entry(name.to_string()).or_insert(0);
        *number += 1;
        comity_crypto::hash(
            "comity/v1/simulation",
            &[
                &self.seed.to_be_bytes(),
                name.as_bytes(),
                &number.to_be_bytes(),
            ],
        )
    }

    /// The next number under `name`, from 0 to `below` - 1.
    pub fn below(&mut self, name: &str, below: u64) -> u64 {
        let bytes = self.bytes(name);
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[..8]);
        u64::from_be_bytes(number) % below.max(1)
    }
}
