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
            println!(
                "seed {seed}: {events} events, made {}:",
                history.events.len()
            );
            println!("{}", tell(&history, &violation));
            assert!(history.events.len() < events);
            return;
        }
    }
    panic!("{broken:?} was not found in {seeds:?}");
}

fn weakened(rules: Rules, profile: Profile) -> Profile {
    Profile { rules, ..profile }
}

fn three() -> Profile {
    Profile::plain("three partners, two lie", &[Owner; 3], 2)
}

fn four_purged() -> Profile {
    Profile {
        acts: 0,
        purge: 30,
        events: 50,
        steps: 300,
        ..purged(&[Owner, Contributor, Contributor, Contributor])
    }
}

#[test]
fn two_rounds_are_not_enough() {
    let rules = Rules {
        three_rounds: false,
        ..Rules::default()
    };
    found(weakened(rules, three()), 0..100, Broken::Uniqueness);
}

#[test]
fn certificates_need_the_same_acks_before() {
    let rules = Rules {
        same_acks: false,
        ..Rules::default()
    };
    found(weakened(rules, three()), 250..350, Broken::BackDated);
}

#[test]
fn certificates_need_the_same_base() {
    let rules = Rules {
        same_base: false,
        ..Rules::default()
    };
    found(weakened(rules, three()), 1200..1300, Broken::Uniqueness);
}

#[test]
fn the_victims_own_citing_must_not_count() {
    let rules = Rules {
        victim_counts: true,
        ..Rules::default()
    };
    found(weakened(rules, four_purged()), 400..500, Broken::Uniqueness);
}

#[test]
fn whoever_is_forced_out_must_not_count_against_another() {
    let rules = Rules {
        forced_count: true,
        ..Rules::default()
    };
    found(weakened(rules, four_purged()), 0..100, Broken::Uniqueness);
}

#[test]
fn moving_the_seat_must_not_be_leaving() {
    let rules = Rules {
        moved_seat_stays: false,
        ..Rules::default()
    };
    let moves = Profile {
        moves: true,
        acts: 20,
        ..three()
    };
    found(weakened(rules, moves), 0..100, Broken::Uniqueness);
}

#[test]
fn late_events_are_sorted_above_the_barrier_not_at_it() {
    let rules = Rules {
        late_above: false,
        ..Rules::default()
    };
    found(weakened(rules, three()), 0..100, Broken::BackDated);
}

#[test]
fn flags_are_judged_by_what_the_barrier_holds() {
    let rules = Rules {
        flags_by_barrier: false,
        ..Rules::default()
    };
    let lanes = Profile {
        audiences: &[0b111, 0b011, 0b1111],
        removes: true,
        leaves: true,
        acts: 35,
        ..Profile::plain("four lanes, removals", &[Owner, Owner, Admin, Admin], 1)
    };
    found(weakened(rules, lanes), 150..300, Broken::Flags);
}

#[test]
fn a_majority_is_enough_only_if_nobody_lies() {
    let lying = Profile {
        liars: 2,
        ..crash(&[Owner, Admin, Contributor])
    };
    found(lying, 0..100, Broken::Uniqueness);
}
