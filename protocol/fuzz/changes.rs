//! Corpus entries and changes of them, drawn from a seed: what the tests and the fuzzer that needs no
//! special compiler feed to the targets.

use std::collections::BTreeMap;
use std::path::Path;

/// The corpus of each target, by its name, with that of the admin socket's lines.
pub fn corpora(root: &Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut corpora = BTreeMap::new();
    for folder in std::fs::read_dir(root).expect("the corpus") {
        let folder = folder.expect("a folder").path();
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|file| file.expect("a file").path())
            .collect();
        files.sort();
        let read = |file| std::fs::read(file).expect("a corpus entry");
        let name = folder.file_name().expect("a name").to_string_lossy();
        corpora.insert(name.into_owned(), files.iter().map(read).collect());
    }
    corpora
}

/// A few changes: bytes set, bits turned, parts cut, doubled, or taken from another entry.
pub fn changed(entry: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = entry.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let upto = (at + dice.below(9)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..upto)),
            2 => drop(bytes.splice(at..upto, other.iter().copied().take(40))),
            3 => bytes.extend_from_within(at..upto),
            4 => bytes.insert(at, [0, 0x7f, 0x80, 0xc0, 0xdc, 0xff][dice.below(6)]),
            _ if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            _ => {}
        }
    }
    bytes
}

/// Random numbers: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this, or zero.
    pub fn below(&mut self, below: usize) -> usize {
        (self.roll() % below.max(1) as u64) as usize
    }
}
