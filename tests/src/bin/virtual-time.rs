//! Lives whole nodes' lives in virtual time and prints one line of JSON.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use comity_tests::virtual_time::campaign::{self, Length};

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let length = match (arguments.runs, arguments.minutes) {
        (Some(runs), _) => Length::Runs(runs),
        (None, Some(minutes)) => Length::Time(Duration::from_secs_f64(minutes * 60.0)),
        (None, None) => Length::Runs(1),
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let fresh = since.map_or(1, |since| u64::from(since.subsec_nanos()));
    let seed = arguments.seed.unwrap_or(fresh);
    eprintln!("seed {seed}");
    let report = campaign::run(seed, length);
    println!("{}", serde_json::to_string(&report).expect("numbers only"));
    match report.failures + report.replay_mismatches {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
