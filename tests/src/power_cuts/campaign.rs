//! Many stores, each from a seed of its own, cut off again and again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::home::{Home, Life};
use super::told::{ARCHIVE, PARTNER};
use crate::harness::{Length, cpu_s};
use crate::{Cut, Dice, Syncing, memory, say};

/// How often each store is cut off while its node writes: recovering from one cut is what the next
/// one falls into.
pub const CUTS_OF_A_STORE: u64 = 20;
/// How often it is said how far a campaign has come.
const PROGRESS: Duration = Duration::from_secs(10);
/// How much is shown of what is missing: messages are long.
const SHOWN_CHARS: usize = 200;

/// What a campaign came to.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub stores: u64,
    /// All cuts, and those of them that came while a store was opened.
    pub power_cuts: u64,
    pub while_opening: u64,
    /// Writes that were acknowledged, and writes that were there though nobody had been told.
    pub acknowledged: u64,
    pub found: u64,
    /// Stores that had lost something, or broke a rule.
    pub failures: u64,
    /// User and system time of this process, in seconds.
    pub cpu_s: f64,
}

/// Cuts off so many stores, or as many as there is time for, from this seed on; what failed is
/// printed with how to do it again.
pub fn run(seed: u64, length: Length, syncing: Syncing) -> Report {
    let begun = Instant::now();
    let mut told_at = begun;
    let mut dice = Dice::seeded(seed);
    let mut report = Report::default();
    while !length.is_over(report.stores, begun) {
        // The first store of a seed is the seed's own, so that it can be cut off again by it.
        let of_store = match report.stores {
            0 => seed,
            _ => dice.roll(),
        };
        one(of_store, syncing, &mut report);
        if told_at.elapsed() >= PROGRESS {
            told_at = Instant::now();
            say(&format!(
                "{} power cuts of {} stores, {} failures",
                report.power_cuts, report.stores, report.failures
            ));
        }
    }
    report.cpu_s = cpu_s();
    report
}

fn one(seed: u64, syncing: Syncing, report: &mut Report) {
    let mut tally = Tally::default();
    let suffering = || {
        suffer(
            syncing,
            CUTS_OF_A_STORE,
            &mut Dice::seeded(seed),
            &mut tally,
        )
    };
    let panicked = catch_unwind(AssertUnwindSafe(suffering)).is_err();
    report.stores += 1;
    report.power_cuts += tally.writing + tally.opening;
    report.while_opening += tally.opening;
    report.acknowledged += tally.told;
    report.found += tally.found;
    let what = match tally.missing.first() {
        _ if panicked => "a rule is broken, see above".to_string(),
        Some(first) => {
            let first: String = first.chars().take(SHOWN_CHARS).collect();
            format!("{} missing, first {first}", tally.missing.len())
        }
        None => return,
    };
    report.failures += 1;
    say(&format!(
        "store {seed}: {what}; power-cuts --stores 1 --seed {seed} makes the same cuts again"
    ));
}

/// What cuts were and did.
#[derive(Default)]
pub struct Tally {
    /// Cuts while people wrote, and cuts while the store was opened.
    pub writing: u64,
    pub opening: u64,
    pub lost_bytes: u64,
    pub kept_bytes: u64,
    /// How many cuts came before which operation on which kind of file.
    pub moments: BTreeMap<String, u64>,
    pub told: u64,
    pub found: u64,
    pub missing: Vec<String>,
}

impl Tally {
    fn count(&mut self, cut: &Cut) {
        self.lost_bytes += cut.lost;
        self.kept_bytes += cut.kept;
        let kind = cut.moment.replace(|c: char| c.is_ascii_digit(), "");
        *self.moments.entry(kind).or_default() += 1;
    }

    fn close(&mut self, home: &Home, missing: Vec<String>) {
        let told = home.told.borrow();
        self.told += told.answers;
        self.found += told.found;
        self.missing.extend(missing);
    }

    /// Prints all of it.
    pub fn report(&self, name: &str, begun: Instant) {
        let Tally {
            writing,
            opening,
            told,
            found,
            ..
        } = self;
        say(&format!(
            "{name}: {writing} while people wrote, {opening} while a store was opened, in {:.0?}; \
             {told} writes acknowledged, {} missing, {found} more found; of what was not synced, \
             {} bytes lost, {} kept",
            begun.elapsed(),
            self.missing.len(),
            self.lost_bytes,
            self.kept_bytes,
        ));
        say(&format!("{name}: the power went before {:?}", self.moments));
    }
}

/// Cuts one store off so many times, and looks a last time; ends early when something is missing.
pub fn suffer(syncing: Syncing, cuts: u64, dice: &mut Dice, tally: &mut Tally) {
    let dir = tempfile::tempdir_in(memory()).expect("a temporary directory");
    let mut home = Home::new(&dir.path().join(PARTNER), syncing);
    home.live(async |home| home.quiet_day(ARCHIVE, dice).await);
    let writing = tally.writing + cuts;
    while tally.writing < writing {
        match home.live(async |home| home.until_the_power_goes(dice).await) {
            Life::CutWhileOpening => tally.opening += 1,
            Life::CutWhileWriting => tally.writing += 1,
            Life::Missing(missing) => return tally.close(&home, missing),
        }
        tally.count(&home.supply.restore(&home.store(), dice));
    }
    let missing = home.live(async |home| home.quiet_day("at-last", dice).await);
    tally.close(&home, missing);
}
