//! Cuts the power of whole nodes on real stores and prints one line of JSON.

use std::process::ExitCode;

use clap::Parser;
use comity_tests::harness::Length;
use comity_tests::{Syncing, fresh_seed, power_cuts, say};

/// Power cuts at any operation of the store: what was acknowledged is there afterwards.
#[derive(Parser)]
struct Arguments {
    /// How many stores, each of which is cut off 20 times while its node writes.
    #[arg(long, conflicts_with = "minutes")]
    stores: Option<u64>,
    /// How long to go on, in minutes of the machine's time.
    #[arg(long)]
    minutes: Option<f64>,
    /// Where the cuts come from; drawn from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Stores that do not sync: what they lose must be noticed.
    #[arg(long)]
    unsynced: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let length = Length::of(arguments.stores, arguments.minutes);
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let syncing = match arguments.unsynced {
        false => Syncing::Synced,
        true => Syncing::Unsynced,
    };
    say(&format!("seed {seed}"));
    let report = power_cuts::run(seed, length, syncing);
    println!("{}", serde_json::to_string(&report).expect("numbers only"));
    match report.failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
