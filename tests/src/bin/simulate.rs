//! All that plays with faults, for so many minutes: replicas under simulated time, whole nodes in
//! virtual time, power cuts on real stores, and planted bugs that must be found. Prints one line of
//! JSON.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use comity_tests::harness::{Campaign, Programs};
use comity_tests::{fresh_seed, say};

/// Sets where all seeds come from.
const SEED: &str = "COMITY_SEED";

/// Plays with faults on all cores; fails if anything is found, or anything is not shown.
#[derive(Parser)]
struct Arguments {
    /// How long to go on.
    #[arg(long, default_value_t = 12.0)]
    minutes: f64,
    /// Where all seeds come from; COMITY_SEED, or drawn from the clock, unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// A directory for what failed: scenarios, and what failed parts said.
    #[arg(long)]
    write: Option<PathBuf>,
    /// The directory of virtual-time and power-cuts; this program's own unless given.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// The swarm (`make swarm-build`); swarm/release/swarm in the target directory that this program
    /// is in, unless given.
    #[arg(long)]
    swarm: Option<PathBuf>,
    /// The swarm with planted bugs; the same unless given.
    #[arg(long)]
    planted: Option<PathBuf>,
    /// Seconds that a part may take over its time, if others than usual.
    #[arg(long)]
    grace: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match campaign(arguments) {
        Ok(campaign) => run(&campaign),
        Err(why) => {
            eprintln!("simulate: {why}");
            ExitCode::from(2)
        }
    }
}

fn campaign(arguments: Arguments) -> Result<Campaign, String> {
    let own = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let beside = |depth| own.ancestors().nth(depth).map(PathBuf::from);
    let programs = arguments.programs.or_else(|| beside(1));
    let built = beside(2).map(|target| target.join("swarm/release/swarm"));
    let swarm = arguments.swarm.or(built).ok_or("no swarm")?;
    let programs = Programs {
        dir: programs.ok_or("no directory of programs")?,
        planted: arguments.planted.unwrap_or_else(|| swarm.clone()),
        swarm,
    };
    let minutes = Duration::try_from_secs_f64(arguments.minutes * 60.0);
    if let Some(dir) = &arguments.write {
        let unusable = |error| format!("{}: {error}", dir.display());
        std::fs::create_dir_all(dir).map_err(unusable)?;
    }
    Ok(Campaign {
        programs,
        time: minutes.map_err(|error| format!("--minutes: {error}"))?,
        seed: match arguments.seed {
            Some(seed) => seed,
            None => chosen_seed()?.unwrap_or_else(fresh_seed),
        },
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        write: arguments.write,
        grace: arguments.grace.map(Duration::from_secs),
    })
}

fn chosen_seed() -> Result<Option<u64>, String> {
    let Ok(text) = std::env::var(SEED) else {
        return Ok(None);
    };
    let seed = text.parse();
    seed.map(Some)
        .map_err(|_| format!("{SEED}={text} is not a number"))
}

fn run(campaign: &Campaign) -> ExitCode {
    let (seed, cores) = (campaign.seed, campaign.cores);
    say(&format!(
        "seed {seed} ({SEED}={seed} repeats it), {cores} cores"
    ));
    let total = campaign.run();
    println!("{}", total.line());
    match total.failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
