//! Lives whole nodes' lives in virtual time and prints one line of JSON.

use std::process::ExitCode;

use clap::Parser;
use comity_tests::harness::Length;
use comity_tests::virtual_time::campaign;
use comity_tests::{Syncing, fresh_seed, say};

/// Whole nodes in virtual time: crashes, cuts and replays.
#[derive(Parser)]
struct Arguments {
    /// How many lives.
    #[arg(long, conflicts_with = "minutes")]
    runs: Option<u64>,
    /// How long to go on, in minutes of the machine's time.
    #[arg(long)]
    minutes: Option<f64>,
    /// Where the lives come from; drawn from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Stores that do not sync: a life must notice what they lose.
    #[arg(long)]
    unsynced: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let length = Length::of(arguments.runs, arguments.minutes);
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let syncing = match arguments.unsynced {
        false => Syncing::Synced,
        true => Syncing::Unsynced,
    };
    say(&format!("seed {seed}"));
    let report = campaign::run(seed, length, syncing);
    println!("{}", serde_json::to_string(&report).expect("numbers only"));
    match report.failures + report.replay_mismatches {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
