//! Some power cuts of the many that `power-cuts` makes, and that losing something would be noticed.

mod linked;
mod resealing;

use std::time::Instant;

use comity_tests::power_cuts::{CUTS_OF_A_STORE, Tally, suffer};
use comity_tests::{Dice, Syncing};

/// Stores that are cut off again and again while their nodes write: the harness does it to more.
const STORES: u64 = 10;
/// Stores that do not sync; each is cut off once.
const UNSYNCED_STORES: u64 = 30;

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts_at_any_operation() {
    let mut dice = Dice::of("power cuts");
    let mut tally = Tally::default();
    let begun = Instant::now();
    for _ in 0..STORES {
        suffer(Syncing::Synced, CUTS_OF_A_STORE, &mut dice, &mut tally);
    }
    tally.report("power cuts", begun);
    assert_eq!(tally.missing, Vec::<String>::new());
    assert_eq!(tally.writing, STORES * CUTS_OF_A_STORE);
    let of_file = |kind: &str| tally.moments.keys().any(|moment| moment.ends_with(kind));
    assert!(of_file(".log") && of_file(".sst") && of_file("MANIFEST-"));
}

#[test]
fn without_syncing_power_cuts_lose_what_was_acknowledged() {
    let mut dice = Dice::of("power cuts without syncing");
    let mut tally = Tally::default();
    let begun = Instant::now();
    for _ in 0..UNSYNCED_STORES {
        suffer(Syncing::Unsynced, 1, &mut dice, &mut tally);
    }
    tally.report("power cuts without syncing", begun);
    let blind = "the test above would not see a loss";
    assert!(!tally.missing.is_empty(), "{blind}");
}
