//! Faults put into the merge on purpose, each of which the comparison with the oracle must
//! notice: otherwise it would prove nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::history::{Story, stories};
use super::properties::orders_agree_with_the_oracle;
use crate::mutation::{self, Mutation};

/// Always the same histories.
const HISTORIES: usize = 60;

#[test]
fn the_merge_as_it_is_passes() {
    assert_eq!(histories_failing(None), 0);
}

#[test]
fn a_fold_that_ignores_concurrent_revocations_is_noticed() {
    assert!(histories_failing(Some(Mutation::RevocationNeverHits)) > 0);
}

#[test]
fn a_timeline_by_claimed_time_is_noticed() {
    assert!(histories_failing(Some(Mutation::TimelineByClaimedTime)) > 0);
}

#[test]
fn accepting_before_the_past_is_there_is_noticed() {
    assert!(histories_failing(Some(Mutation::MissingDepsIgnored)) > 0);
}

fn histories_failing(mutation: Option<Mutation>) -> usize {
    let mut runner = TestRunner::deterministic();
    let strategy = stories(40..60);
    let mut next = || strategy.new_tree(&mut runner).expect("a history").current();
    let histories: Vec<Story> = (0..HISTORIES).map(|_| next()).collect();
    histories
        .iter()
        .filter(|story| fails(story, mutation))
        .count()
}

/// A panic under a mutation is as good as a failed comparison.
fn fails(story: &Story, mutation: Option<Mutation>) -> bool {
    let holds = || {
        catch_unwind(AssertUnwindSafe(|| {
            orders_agree_with_the_oracle(story, 1).is_ok()
        }))
    };
    let result = match mutation {
        Some(mutation) => mutation::with(mutation, holds),
        None => holds(),
    };
    !result.unwrap_or(false)
}
