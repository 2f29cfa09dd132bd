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

#[test]
fn going_on_without_the_cut_that_is_due_is_noticed() {
    assert!(histories_failing(Some(Mutation::CutNotDemanded)) > 0);
}

#[test]
fn a_cut_that_vouches_for_what_came_later_is_noticed() {
    assert!(histories_failing(Some(Mutation::CutVouchesForLater)) > 0);
}

#[test]
fn a_directed_lane_whose_audience_is_not_checked_is_noticed() {
    assert!(histories_failing(Some(Mutation::AudienceUnchecked)) > 0);
}

#[test]
fn an_event_about_what_its_readers_may_not_read_is_noticed() {
    assert!(histories_failing(Some(Mutation::AboutMayWiden)) > 0);
}

#[test]
fn a_label_that_falls_is_noticed() {
    assert!(histories_failing(Some(Mutation::LabelMayFall)) > 0);
}

#[test]
fn a_dep_that_not_all_readers_may_read_is_noticed() {
    assert!(histories_failing(Some(Mutation::DepMayWiden)) > 0);
}

#[test]
fn a_closed_lane_that_stays_open_is_noticed() {
    assert!(histories_failing(Some(Mutation::ClosedLaneOpen)) > 0);
}

#[test]
fn a_flagged_message_that_is_shown_is_noticed() {
    assert!(histories_failing(Some(Mutation::FlaggedStillShown)) > 0);
}

#[test]
fn a_quorum_that_counts_events_is_noticed() {
    assert!(histories_failing(Some(Mutation::QuorumCountsEvents)) > 0);
}

#[test]
fn a_quorum_in_which_the_target_counts_is_noticed() {
    assert!(histories_failing(Some(Mutation::TargetCountsInQuorum)) > 0);
}

#[test]
fn an_endorsement_that_counts_twice_is_noticed() {
    assert!(histories_failing(Some(Mutation::SpentEndorsementCounts)) > 0);
}

#[test]
fn control_acts_of_any_writer_is_noticed() {
    assert!(histories_failing(Some(Mutation::SeatNotDemanded)) > 0);
}

#[test]
fn a_transfer_that_is_carried_again_is_noticed() {
    assert!(histories_failing(Some(Mutation::TransferNumberUnchecked)) > 0);
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
