//! The fuzzer's targets without the fuzzer: every corpus entry, and changes of them drawn from a
//! seed; the node's tests do the same with the lines of its admin socket. `COMITY_FUZZ_ROUNDS` changes each entry more often than usual.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::path::Path;

use targets::TARGETS;

/// Changes tried of every corpus entry.
const ROUNDS: u64 = 400;
const SEED: u64 = 7;

#[test]
fn every_decoder_has_a_corpus_and_every_corpus_a_decoder() {
    let corpora = corpora();
    let named: Vec<&str> = corpora.keys().map(String::as_str).collect();
    let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(named, targets);
    assert!(corpora.values().all(|entries| !entries.is_empty()));
}

#[test]
fn no_corpus_entry_and_no_change_of_one_breaks_a_decoder() {
    let rounds = std::env::var("COMITY_FUZZ_ROUNDS").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    println!("seed {SEED}, {rounds} rounds");
    let mut dice = Dice(SEED);
    for (name, entries) in corpora() {
        let decode = targets::target(&name);
        for (number, entry) in entries.iter().enumerate() {
            decode(entry);
            for _ in 0..rounds {
                let other = &entries[dice.below(entries.len())];
                decode(&changed(entry, other, &mut dice));
            }
            assert!(number < 1_000, "{name}: keep the corpus small");
        }
    }
}

/// A corpus entry is what its name says: at least one of each target's is taken by its decoder.
#[test]
fn every_corpus_holds_something_that_its_decoder_takes() {
    for (name, entries) in corpora() {
        let decode = targets::target(&name);
        assert!(entries.iter().any(|entry| decode(entry)), "{name}");
    }
}

fn corpora() -> BTreeMap<String, Vec<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut corpora = BTreeMap::new();
    for folder in std::fs::read_dir(root).expect("the corpus") {
        let folder = folder.expect("a folder").path();
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|file| file.expect("a file").path())
            .collect();
        files.sort();
        let read = |file| std::fs::read(file).expect("a corpus entry");
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name == "admin-request" {
            continue;
        }
        corpora.insert(name, files.iter().map(read).collect());
    }
    corpora
}

/// A few changes: bytes set, bits turned, parts cut, doubled, or taken from another entry.
fn changed(entry: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
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

struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }
}
