//! The swarm itself: some seeds in which nothing is found, a canary that is, and that every run can
//! be played again. docs/simulation.md explains the longer runs.

use comity_simulation::swarm::campaign::{Plan, Summary, play_seeds};
use comity_simulation::swarm::{Action, Options, Verb, play, run, scenario, schedule_of, shrink};

/// Seeds of one test run: some twenty seconds of one core.
const SEEDS: u64 = 60;

#[test]
fn no_oracle_finds_anything_in_some_dozens_of_meshes() {
    let summary = some_seeds(first_seed(), SEEDS);

    assert!(
        summary.failures.is_empty(),
        "play them again with `swarm --seed N`: {:#?}",
        summary.failures
    );
    assert_eq!(summary.replay_mismatches, 0);
    for must in [
        "crash",
        "cut",
        "joins",
        "orders done",
        "misbehaviour noticed",
    ] {
        assert!(summary.reached.contains_key(must), "never reached: {must}");
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let other = run(8).trace;
    for seed in [1, 2, 5, 7] {
        println!("seed {seed}");
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.trace, second.trace);
        assert_eq!(first.reached, second.reached);
        assert_ne!(first.trace, other);
    }
}

#[test]
fn a_disk_that_forgets_is_found_and_the_schedule_made_small() {
    let seed = calm_seed();
    println!("seed {seed}");
    let options = Options::draw(seed);
    let mut schedule = schedule_of(&options);
    assert_eq!(play(&options, &schedule, false).failure, None);
    let canary = Action {
        at_ms: options.span_ms,
        verb: Verb::Canary,
        node: schedule[0].node,
        a: 0,
        b: 0,
    };
    schedule.push(canary);

    let outcome = play(&options, &schedule, false);
    assert!(outcome.failure.is_some(), "nothing looks at the disks");
    let (left, last) = shrink::minimise(&outcome, 40);

    assert!(left.contains(&canary), "{left:?}");
    assert!(left.len() * 2 < schedule.len(), "{} actions", left.len());
    let found = outcome.failure.expect("looked at above");
    let again = last.failure.clone().expect("what is left still fails");
    assert_eq!(again.oracle, found.oracle);
    let text = scenario::write(&last, &left);
    let from_file = scenario::read_and_play(&text).expect("what was written reads back");
    assert_eq!(from_file.failure, Some(again));
    assert_eq!(from_file.trace, last.trace);
}

/// A wiped node that takes up an invitation anew writes beside its own old answer. What it then
/// puts on record as a fork is its own event, and not the other partner's that released it.
#[test]
fn a_fork_is_put_on_record_under_its_own_name() {
    let scenario = "seed 5\n\
        300 found 3 0 2\n\
        520 invite 18446744073709551615 0 514\n\
        520 invite 18446744073709551615 2 257\n\
        700 invite 18446744073709551615 0 517\n\
        12914 wipe 2 16396364 8317653\n";
    let outcome = scenario::read_and_play(scenario).expect("a scenario");
    assert_eq!(outcome.failure, None, "{}", outcome.log.join("\n"));
}

/// A removed partner begins a lane of which nobody had heard. When another is removed, a cut is due
/// there; it must not vouch for what came after the first removal.
#[test]
fn a_cut_in_a_lane_learned_of_after_a_removal_vouches_for_nothing() {
    let schedule = "200 found 1 1 0\n\
        520 invite 18446744073709551615 0 258\n\
        580 invite 18446744073709551615 0 3\n\
        700 invite 18446744073709551615 0 261\n\
        8382 remove 18446744073709551615 0 5\n\
        18994 backdate 5 0 11639492\n\
        19809 remove 2 0 200905629275919\n";
    // Which mesh it is, the seed says: in some of them it comes to that.
    let mut written = 0;
    for seed in 1..=150 {
        let scenario = format!("seed {seed}\n{schedule}");
        let outcome = scenario::read_and_play(&scenario).expect("a scenario");
        assert_eq!(outcome.failure, None, "{}", outcome.log.join("\n"));
        let reached = outcome.reached.get("messages of the removed");
        written += reached.copied().unwrap_or_default();
    }
    println!("{written} messages of the removed");
    assert!(written > 0);
}

/// A partner that does not know of its removal invites another, which accepts. The others hold all
/// of that and find that it has no effect; they tell the guest nothing, and are not to.
#[test]
fn whom_only_a_removed_partner_invited_stays_apart() {
    let scenario = "seed 1330\n\
        300 found 5 1 0\n\
        610 invite 18446744073709551615 0 3\n\
        670 invite 18446744073709551615 0 260\n\
        9000 remove 5 0 4\n\
        12000 invite 4 0 769\n";
    let outcome = scenario::read_and_play(scenario).expect("a scenario");
    assert_eq!(outcome.failure, None, "{}", outcome.log.join("\n"));
    assert!(outcome.reached["joins"] >= 3, "{:?}", outcome.reached);
}

/// A hostile reader shows a lane of three to the fourth: nothing of it is stored there, and the
/// sender is charged.
#[test]
fn what_is_leaked_is_not_kept() {
    let scenario = "seed 274\n\
        200 found 1 1 0\n\
        520 invite 18446744073709551615 0 258\n\
        580 invite 18446744073709551615 0 3\n\
        640 invite 18446744073709551615 0 4\n\
        700 invite 18446744073709551615 0 261\n\
        9000 direct 2 0 31\n\
        9100 direct 5 0 1\n\
        9200 direct 3 0 7\n\
        15000 leak 5 0 63\n";
    let outcome = scenario::read_and_play(scenario).expect("a scenario");
    assert_eq!(outcome.failure, None, "{}", outcome.log.join("\n"));
    assert!(
        outcome.reached["events leaked"] > 0,
        "{:?}",
        outcome.reached
    );
    let charged = outcome
        .log
        .iter()
        .filter(|line| line.contains("may not read"));
    assert!(charged.count() > 0, "{}", outcome.log.join("\n"));
}

#[cfg(planted)]
#[test]
fn some_planted_bugs_are_found() {
    use comity_protocol::mutation::Mutation;
    use comity_simulation::swarm::planted::find;
    let some = [
        Mutation::AudienceIgnored,
        Mutation::SentBeforeStored,
        Mutation::RangeEndOffByOne,
        Mutation::LateMessageAtTheEnd,
    ];
    for bug in some {
        let result = find(bug, 100);
        assert!(result.found.is_some(), "{result:?}");
    }
}

fn some_seeds(first: u64, seeds: u64) -> Summary {
    println!("seeds {first} to {}", first + seeds - 1);
    play_seeds(Plan {
        first,
        seeds,
        time: None,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        progress: false,
        stop: false,
    })
}

/// COMITY_SEED chooses others than the usual ones.
fn first_seed() -> u64 {
    let chosen = std::env::var("COMITY_SEED").ok();
    chosen.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// The first seed without any fault.
fn calm_seed() -> u64 {
    let mut seeds = 1..;
    seeds
        .find(|seed| Options::draw(*seed).faults.is_empty())
        .expect("one in five is calm")
}
