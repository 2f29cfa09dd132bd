//! Many lives, each from a seed of its own, some of them lived twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use comity_protocol::id::hex;
use serde::Serialize;

use super::life::{self, Life};
use super::partner::Syncing;
use crate::{Dice, say};

/// Crashes of each life.
pub const CRASHES: u64 = 10;
/// Every so many lives one is lived again, to see whether it is the same.
pub const REPLAY_EVERY: u64 = 10;

const TAG_CAMPAIGN: &str = "comity/test/virtual-time-campaign";

/// How long a campaign is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Runs(u64),
    Time(Duration),
}

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

/// Lives so many lives, from this seed on; what failed is printed with how to live it again.
pub fn run(seed: u64, length: Length) -> Report {
    let begun = Instant::now();
    let mut dice = Dice::seeded(seed);
    let mut report = Report::default();
    loop {
        let over = match length {
            Length::Runs(runs) => report.node_runs >= runs,
            Length::Time(time) => begun.elapsed() >= time,
        };
        if over {
            report.cpu_s = cpu_s();
            return report;
        }
        // The first life of a seed is the seed's own, so that it can be lived again by it.
        let of_life = match report.node_runs {
            0 => seed,
            _ => dice.roll(),
        };
        let replayed = report.node_runs % REPLAY_EVERY == 0;
        one(of_life, replayed, &mut report);
    }
}

fn one(seed: u64, replayed: bool, report: &mut Report) {
    let again = format!("--runs 1 --seed {seed} lives it again");
    report.node_runs += 1;
    let Ok(life) = catch_unwind(AssertUnwindSafe(|| live(seed))) else {
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
        if let Some(parted) = parted(&life, &live(seed)) {
            report.replay_mismatches += 1;
            say(&format!(
                "life {seed} went otherwise when lived again: {parted}; {again}"
            ));
        }
    }
}

/// As the system counts it, for all threads.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may have blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS_PER_S
}

/// Linux tells programs of time in these, whatever the kernel's own are.
const TICKS_PER_S: f64 = 100.0;

fn live(seed: u64) -> Life {
    life::live(seed, CRASHES, Syncing::Synced)
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
