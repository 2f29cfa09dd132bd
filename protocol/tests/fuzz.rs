//! The fuzzer's targets without the fuzzer: every corpus entry, and changes of them drawn from a
//! seed; the node's tests do the same with the lines of its admin socket. `make fuzz` does it for
//! longer. `COMITY_FUZZ_ROUNDS` changes each entry more often than usual.

#[path = "../fuzz/changes.rs"]
mod changes;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::path::Path;

use changes::{Dice, changed};
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

/// Those of this crate's targets.
fn corpora() -> BTreeMap<String, Vec<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut corpora = changes::corpora(&root);
    corpora.remove("admin-request");
    corpora
}
