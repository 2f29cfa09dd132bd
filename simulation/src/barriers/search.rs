//! Random histories: those by the rules break nothing, those by a weakened rule break what the
//! rule is for.
//!
//! `COMITY_BARRIER_HISTORIES` is the number of histories of each sort; without it there are few.

use super::check::Broken;
use super::explore::{Profile, run};
use super::history::Role::{Admin, Contributor, Owner};
use super::minimise::{minimise, tell};
use super::profiles::{crash, purged, sound};
use super::rules::Rules;

/// Histories of each sort in every run of the tests: seconds, all together.
const FEW: u64 = 60;

fn histories() -> u64 {
    let wanted = std::env::var("COMITY_BARRIER_HISTORIES").ok();
    wanted.and_then(|number| number.parse().ok()).unwrap_or(FEW)
}

#[test]
fn the_rules_hold_in_random_histories() {
    for profile in sound() {
        let (mut barriers, mut forced, mut events) = (0, 0, 0);
        for seed in 0..histories() {
            let run = run(&profile, seed);
            barriers += run.barriers;
            forced += run.forced;
            events += run.history.events.len();
            if let Some(violation) = run.violation {
                let (history, violation) = minimise(run.history, violation);
                let told = tell(&history, &violation);
                panic!("{}, seed {seed}:\n{told}", profile.name);
            }
        }
        println!(
            "{}: {} histories, {events} events, {barriers} barriers stood, {forced} left a set",
            profile.name,
            histories()
        );
        assert!(barriers > 0, "{}: nothing ever stood", profile.name);
    }
}

/// Looks for what a weakened rule breaks, from a seed on, and makes it small.
fn found(profile: Profile, seeds: std::ops::Range<u64>, broken: Broken) {
    for seed in seeds.clone() {
        let run = run(&profile, seed);
        if let Some(violation) = run.violation
            && violation.broken == broken
        {
            let events = run.history.events.len();
            let (history, violation) = minimise(run.history, violation);
            println!("seed {seed}: {events} events, made {}:", history.events.len());
            println!("{}", tell(&history, &violation));
            assert!(history.events.len() < events);
            return;
        }
    }
    panic!("{broken:?} was not found in {seeds:?}");
}
