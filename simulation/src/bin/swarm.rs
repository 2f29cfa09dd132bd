//! `swarm`: many random meshes under every fault, from seeds.
//!
//! ```text
//! swarm --minutes N | --seeds N [--first S] [--jobs J] [--planted] [--brief] [--write DIRECTORY]
//! swarm --seed S | --scenario FILE
//! ```
//!
//! One JSON line at the end says what was done. A failure says how to play it again, and the exit
//! status is 1.

use std::process::ExitCode;
use std::time::Duration;

use comity_simulation::swarm::campaign::{Plan, Summary, play_seeds};
use comity_simulation::swarm::{Outcome, play, run, scenario, schedule_of, shrink};

/// Runs that making one failure small may take.
const SHRINK_RUNS: usize = 300;
/// Failures that are made small and printed; the others are named.
const PRINTED: usize = 3;

const USAGE: &str = "\
usage: swarm --minutes N | --seeds N [--first S] [--jobs J] [--planted] [--brief] [--write DIRECTORY]
       swarm --seed S | --scenario FILE";

#[derive(Default)]
struct Arguments {
    minutes: Option<u64>,
    seeds: Option<u64>,
    first: u64,
    seed: Option<u64>,
    jobs: usize,
    planted: bool,
    brief: bool,
    scenario: Option<String>,
    write: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("swarm: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = arguments.seed {
        return play_one(seed);
    }
    if let Some(path) = &arguments.scenario {
        return play_file(path);
    }
    campaign(&arguments)
}

fn arguments() -> Result<Arguments, String> {
    let mut given = std::env::args().skip(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut arguments = Arguments {
        first: 1,
        jobs: cores,
        ..Arguments::default()
    };
    while let Some(name) = given.next() {
        if name == "--planted" {
            arguments.planted = true;
            continue;
        }
        if name == "--brief" {
            arguments.brief = true;
            continue;
        }
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{name} {value}: not a number"))
        };
        match name.as_str() {
            "--minutes" => arguments.minutes = Some(number()?),
            "--seeds" => arguments.seeds = Some(number()?),
            "--first" => arguments.first = number()?,
            "--seed" => arguments.seed = Some(number()?),
            "--jobs" => arguments.jobs = number()? as usize,
            "--scenario" => arguments.scenario = Some(value),
            "--write" => arguments.write = Some(value),
            _ => return Err(format!("{name}: no such argument")),
        }
    }
    let chosen = [
        arguments.minutes.is_some(),
        arguments.seeds.is_some(),
        arguments.seed.is_some(),
        arguments.scenario.is_some(),
        arguments.planted,
    ];
    if chosen.contains(&true) {
        Ok(arguments)
    } else {
        Err("say how much to play".into())
    }
}

/// Plays one seed twice: the runs must be the same.
fn play_one(seed: u64) -> ExitCode {
    let (first, second) = (run(seed), run(seed));
    println!("{}", first.options.line());
    println!("trace {:016x}{:016x}", first.trace.0, first.trace.1);
    if first.trace != second.trace {
        println!("a second run went otherwise: the simulation is not a function of its seed");
        return ExitCode::FAILURE;
    }
    if first.failure.is_none() {
        let logged = play(&first.options, &schedule_of(&first.options), true);
        println!("{}", logged.log.join("\n"));
        println!("no oracle found anything");
        return ExitCode::SUCCESS;
    }
    explain(&first, None);
    ExitCode::FAILURE
}

fn play_file(path: &str) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("swarm: {path}: {error}");
            return ExitCode::from(2);
        }
    };
    match scenario::read_and_play(&text) {
        Ok(outcome) => {
            println!("{}", outcome.log.join("\n"));
            match outcome.failure {
                Some(failure) => {
                    println!("{}: {}", failure.oracle, failure.what);
                    ExitCode::FAILURE
                }
                None => ExitCode::SUCCESS,
            }
        }
        Err(why) => {
            eprintln!("swarm: {path}: {why}");
            ExitCode::from(2)
        }
    }
}

/// Says what failed, with the least that still fails so.
fn explain(outcome: &Outcome, directory: Option<&str>) {
    let Some(failure) = &outcome.failure else {
        return;
    };
    println!("FAILURE {}", outcome.options.line());
    println!(
        "at {} ms {}: {}",
        failure.at_ms, failure.oracle, failure.what
    );
    let (schedule, last) = shrink::minimise(outcome, SHRINK_RUNS);
    println!(
        "{} of {} actions are enough:",
        schedule.len(),
        outcome.schedule.len()
    );
    for action in &schedule {
        println!("  {}", action.line());
    }
    println!("{}", last.log.join("\n"));
    println!("play it again with: swarm --seed {}", outcome.options.seed);
    if let Some(directory) = directory {
        let path = format!("{directory}/{}.scenario", outcome.options.seed);
        let text = scenario::write(&last, &schedule);
        match std::fs::write(&path, text) {
            Ok(()) => println!("written to {path}: swarm --scenario {path}"),
            Err(error) => println!("{path}: {error}"),
        }
    }
}

fn campaign(arguments: &Arguments) -> ExitCode {
    let asked = arguments.minutes.is_some() || arguments.seeds.is_some();
    let mut summary = Summary::default();
    if asked {
        summary = play_seeds(Plan {
            first: arguments.first,
            seeds: arguments.seeds.unwrap_or(u64::MAX),
            time: arguments.minutes.map(|it| Duration::from_secs(60 * it)),
            jobs: arguments.jobs,
            progress: true,
            stop: false,
        });
    }
    let explained = if arguments.brief { 0 } else { PRINTED };
    for seed in summary.failures.keys().take(explained) {
        explain(&run(*seed), arguments.write.as_deref());
    }
    for (seed, failure) in summary.failures.iter().skip(explained) {
        println!("FAILURE seed {seed} {}: {}", failure.oracle, failure.what);
    }
    let missed = summary.never_reached();
    for what in &missed {
        println!("NEVER REACHED: {what}");
    }
    let planted = match arguments.planted {
        true => planted(arguments.jobs),
        false => Ok((0, 0)),
    };
    let (found, total) = match planted {
        Ok(planted) => planted,
        Err(why) => {
            eprintln!("swarm: {why}");
            return ExitCode::from(2);
        }
    };
    for (what, times) in &summary.reached {
        eprintln!("reached {what}: {times}");
    }
    println!("{}", line(&summary, found, total));
    let failed = !summary.failures.is_empty()
        || summary.replay_mismatches > 0
        || !missed.is_empty()
        || found < total;
    ExitCode::from(u8::from(failed))
}

#[cfg(not(planted))]
fn planted(_jobs: usize) -> Result<(usize, usize), String> {
    Err(
        "--planted needs a build of its own: RUSTFLAGS='--cfg planted' cargo run --release \
         --package comity-simulation --bin swarm --target-dir target/planted -- --planted"
            .into(),
    )
}

#[cfg(planted)]
fn planted(jobs: usize) -> Result<(usize, usize), String> {
    let found = comity_simulation::swarm::planted::find_all(jobs);
    for bug in &found {
        match &bug.found {
            Some((seed, oracle)) => println!("planted {:?}: {oracle}, seed {seed}", bug.bug),
            None => println!("planted {:?}: NOT FOUND in {} runs", bug.bug, bug.played),
        }
    }
    let count = found.iter().filter(|bug| bug.found.is_some()).count();
    Ok((count, found.len()))
}

fn line(summary: &Summary, found: usize, total: usize) -> String {
    let hits = summary.hits.iter();
    let hits: Vec<String> = hits
        .map(|(kind, times)| format!("\"{kind}\":{times}"))
        .collect();
    format!(
        "{{\"seeds\":{},\"faults\":{},\"byzantine_acts\":{},\"simulated_hours\":{:.1},\
         \"steps\":{},\"events\":{},\"planted_found\":{found},\"planted_total\":{total},\
         \"replayed\":{},\"replay_mismatches\":{},\"failures\":{},\"faults_by_kind\":{{{}}}}}",
        summary.seeds,
        summary.faults(),
        summary.byzantine_acts,
        summary.simulated_ms as f64 / 3_600_000.0,
        summary.steps,
        summary.events,
        summary.replayed,
        summary.replay_mismatches,
        summary.failures.len(),
        hits.join(",")
    )
}
