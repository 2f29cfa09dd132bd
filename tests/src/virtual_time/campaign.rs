//! Many lives, each from a seed of its own, some of them lived twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use comity_protocol::id::hex;
use serde::Serialize;

use super::life::{Life, live};
use crate::harness::{Length, cpu_s};
use crate::{Dice, Syncing, say};

/// Crashes of each life.
pub const CRASHES: u64 = 10;
/// Every so many lives one is lived again, to see whether it is the same.
pub const REPLAY_EVERY: u64 = 10;
/// How often it is said how far a campaign has come.
const PROGRESS: Duration = Duration::from_secs(10);

const TAG_CAMPAIGN: &str = "comity/test/virtual-time-campaign";

/// What a campaign came to.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub node_runs: u64,
    pub node_crashes: u64,
    /// Those of them whose power went out.
    pub power_cuts: u64,
    pub replays: u64,
    pub replay_mismatches: u64,
    pub failures: u64,
    pub simulated_hours: f64,
    pub datagrams: u64,
    pub posts: u64,
    /// Over the digests of all lives, in hexadecimal: the same for the same seed and length.
    pub digest: String,
    /// User and system time of this process, in seconds.
    pub cpu_s: f64,
}

/// Lives so many lives, or as many as there is time for, from this seed on; what failed is printed
/// with how to live it again.
pub fn run(seed: u64, length: Length, syncing: Syncing) -> Report {
    let begun = Instant::now();
    let mut told_at = begun;
    let mut dice = Dice::seeded(seed);
    let mut report = Report::default();
    while !length.is_over(report.node_runs, begun) {
        // The first life of a seed is the seed's own, so that it can be lived again by it.
        let of_life = match report.node_runs {
            0 => seed,
            _ => dice.roll(),
        };
        let replayed = report.node_runs % REPLAY_EVERY == 0;
        one(of_life, syncing, replayed, &mut report);
        if told_at.elapsed() >= PROGRESS {
            told_at = Instant::now();
            say(&format!(
                "{} lives, {} crashes, {} failures",
                report.node_runs, report.node_crashes, report.failures
            ));
        }
    }
    report.cpu_s = cpu_s();
    report
}

fn one(seed: u64, syncing: Syncing, replayed: bool, report: &mut Report) {
    let again = format!("virtual-time --runs 1 --seed {seed} lives it again");
    report.node_runs += 1;
    let Ok(life) = catch_unwind(AssertUnwindSafe(|| live(seed, CRASHES, syncing))) else {
        report.failures += 1;
        return say(&format!("life {seed}: a panic; {again}"));
    };
    let both = [report.digest.as_bytes(), &life.digest];
    report.digest = hex(&comity_crypto::hash(TAG_CAMPAIGN, &both));
    report.node_crashes += life.crashes;
    report.power_cuts += life.power_cuts;
    report.simulated_hours += life.simulated_ms as f64 / 3_600_000.0;
    report.datagrams += life.datagrams as u64;
    report.posts += life.posts as u64;
    if let Some(failure) = &life.failure {
        report.failures += 1;
        say(&format!("life {seed}: {failure}; {again}"));
    }
    if replayed {
        report.replays += 1;
        if let Some(parted) = parted(&life, &live(seed, CRASHES, syncing)) {
            report.replay_mismatches += 1;
            say(&format!(
                "life {seed} went otherwise when lived again: {parted}; {again}"
            ));
        }
    }
}

/// Where two lives part, if they do.
pub fn parted(one: &Life, other: &Life) -> Option<String> {
    if one.digest == other.digest && one.failure == other.failure {
        return None;
    }
    let pairs = one.trace.iter().zip(&other.trace);
    let first = pairs.enumerate().find(|(_, (one, other))| one != other);
    Some(match first {
        Some((number, pair)) => format!("datagram {number}: {pair:?}"),
        None => format!(
            "after {} and {} datagrams: {:?}, {:?}",
            one.datagrams, other.datagrams, one.failure, other.failure
        ),
    })
}
