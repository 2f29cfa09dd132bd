//! Faults put into the merge on purpose, each of which the comparison with the oracle must
//! notice: otherwise it would prove nothing. Where random histories have no occasion for a fault,
//! a story does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::history::{self, Story, arrival, play, settled};
use super::node::{Merged, Node};
use super::oracle::Digests;
use super::script;
use super::stories;
use crate::event::Event;
use crate::id::{ChannelId, LaneId};
use crate::mutation::{self, Mutation};

/// Always the same histories.
const HISTORIES: usize = 60;

#[test]
fn the_merge_as_it_is_passes() {
    assert!(!histories().iter().any(fails));
}

#[test]
fn a_fold_that_ignores_concurrent_revocations_is_noticed() {
    assert!(is_noticed(Mutation::RevocationNeverHits));
}

#[test]
fn a_timeline_by_claimed_time_is_noticed() {
    assert!(is_noticed(Mutation::TimelineByClaimedTime));
}

#[test]
fn accepting_before_the_past_is_there_is_noticed() {
    assert!(is_noticed(Mutation::MissingDepsIgnored));
}

#[test]
fn going_on_without_the_cut_that_is_due_is_noticed() {
    assert!(is_noticed(Mutation::CutNotDemanded));
}

#[test]
fn a_cut_that_vouches_for_what_came_later_is_noticed() {
    assert!(is_noticed(Mutation::CutVouchesForLater));
}

#[test]
fn a_directed_lane_whose_audience_is_not_checked_is_noticed() {
    assert!(is_noticed(Mutation::AudienceUnchecked));
}

#[test]
fn an_event_about_what_its_readers_may_not_read_is_noticed() {
    assert!(is_noticed(Mutation::AboutMayWiden));
}

#[test]
fn a_label_that_falls_is_noticed() {
    assert!(is_noticed(Mutation::LabelMayFall));
}

#[test]
fn a_dep_that_not_all_readers_may_read_is_noticed() {
    assert!(is_noticed(Mutation::DepMayWiden));
}

#[test]
fn a_closed_lane_that_stays_open_is_noticed() {
    assert!(is_noticed(Mutation::ClosedLaneOpen));
}

#[test]
fn a_flagged_message_that_is_shown_is_noticed() {
    assert!(is_noticed(Mutation::FlaggedStillShown));
}

#[test]
fn a_stranger_that_needs_no_voucher_is_noticed() {
    let by_histories = || histories().iter().any(fails);
    assert!(mutation::with(Mutation::NoStandingIgnored, by_histories));
}

#[test]
fn a_quorum_that_counts_events_is_noticed() {
    assert!(is_noticed(Mutation::QuorumCountsEvents));
}

#[test]
fn a_quorum_in_which_the_target_counts_is_noticed() {
    assert!(is_noticed(Mutation::TargetCountsInQuorum));
}

#[test]
fn an_endorsement_that_counts_twice_is_noticed() {
    assert!(is_noticed(Mutation::SpentEndorsementCounts));
}

#[test]
fn control_acts_of_any_writer_is_noticed() {
    assert!(is_noticed(Mutation::SeatNotDemanded));
}

#[test]
fn a_transfer_that_is_carried_again_is_noticed() {
    assert!(is_noticed(Mutation::TransferNumberUnchecked));
}

#[test]
fn what_a_forker_did_in_control_and_still_has_effect_is_noticed() {
    assert!(is_noticed(Mutation::ForkedActsStand));
}

#[test]
fn the_latest_fork_instead_of_the_earliest_is_noticed() {
    assert!(is_noticed(Mutation::LatestForkCounts));
}

#[test]
fn evidence_whose_signatures_nobody_checks_is_noticed() {
    assert!(is_noticed(Mutation::EvidenceUnverified));
}

#[test]
fn messages_of_a_forker_without_a_mark_are_noticed() {
    assert!(is_noticed(Mutation::ForkedUnmarked));
}

#[test]
fn the_merge_as_it_is_settles_as_the_oracle_does() {
    assert!(!settling().iter().any(fails));
}

#[test]
fn an_ack_before_those_of_others_is_noticed() {
    assert!(is_noticed(Mutation::AckBeforeOthers));
}

#[test]
fn a_victim_that_counts_against_itself_is_noticed() {
    assert!(is_noticed(Mutation::VictimCountsItself));
}

#[test]
fn forcing_out_by_half_is_noticed() {
    assert!(is_noticed(Mutation::ForcedOutByHalf));
}

#[test]
fn acts_that_come_late_and_void_what_a_barrier_holds_are_noticed() {
    assert!(is_noticed(Mutation::LayersIgnored));
}

#[test]
fn late_messages_among_what_a_barrier_holds_are_noticed() {
    assert!(is_noticed(Mutation::LateSlipsBelow));
}

#[test]
fn a_floor_that_is_no_higher_than_what_stands_is_noticed() {
    assert!(is_noticed(Mutation::FloorWithoutStep));
}

#[test]
fn flags_that_no_barrier_decides_are_noticed() {
    assert!(is_noticed(Mutation::FlagsUndecided));
}

#[test]
fn acks_of_an_earlier_session_are_noticed() {
    assert!(is_noticed(Mutation::SessionIgnored));
}

#[test]
fn an_entry_that_counts_in_its_own_round_is_noticed() {
    assert!(is_noticed(Mutation::EntryCountsAtOnce));
}

#[test]
fn an_ack_of_another_base_is_noticed() {
    assert!(is_noticed(Mutation::BaseUnchecked));
}

#[test]
fn a_leaver_that_is_waited_for_is_noticed() {
    assert!(is_noticed(Mutation::LeaverStays));
}

#[test]
fn a_forker_that_counts_on_is_noticed() {
    assert!(is_noticed(Mutation::ForkerStays));
}

/// What a history is, and what the oracle says of it.
struct Known {
    channel: ChannelId,
    events: Vec<Event>,
    expected: Merged,
    digests: BTreeMap<LaneId, Digests>,
}

fn is_noticed(mutation: Mutation) -> bool {
    let goes_wrong = |story: &&'static fn()| catch_unwind(story).is_err();
    let passes = |text: &str| catch_unwind(|| script::language::play(text).is_empty());
    let goes_wrong_as_script = |text: &&str| !matches!(passes(text), Ok(true));
    mutation::with(mutation, || {
        histories().iter().any(fails)
            || stories::all().any(|story| goes_wrong(&story))
            || script::STORIES.iter().any(goes_wrong_as_script)
            || script::FINALITY.iter().any(goes_wrong_as_script)
            || settling().iter().any(fails)
    })
}

/// Always the same, so that they are made once for all faults.
fn histories() -> &'static [Known] {
    static ALL: OnceLock<Vec<Known>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut runner = TestRunner::deterministic();
        let strategy = history::stories(40..60);
        let mut next = || strategy.new_tree(&mut runner).expect("a history").current();
        (0..HISTORIES).map(|_| known(&next())).collect()
    })
}

/// Likewise, with acks.
fn settling() -> &'static [Known] {
    static ALL: OnceLock<Vec<Known>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut runner = TestRunner::deterministic();
        let strategy = history::settling_stories(30..60);
        let mut next = || strategy.new_tree(&mut runner).expect("a history").current();
        (0..HISTORIES).map(|_| known(&next())).collect()
    })
}

fn known(story: &Story) -> Known {
    let (events, oracle) = settled(&play(story));
    Known {
        channel: oracle.channel(),
        events,
        expected: Merged::by(&oracle),
        digests: oracle.digests(),
    }
}

/// A panic under a mutation is as good as a failed comparison.
fn fails(known: &Known) -> bool {
    let agrees = || -> Result<bool, String> {
        let node = Node::of(known.channel, &arrival(&known.events, 1), 1)?;
        node.merged().agree(&known.expected)?;
        Ok(node.digests() == known.digests)
    };
    !matches!(catch_unwind(AssertUnwindSafe(agrees)), Ok(Ok(true)))
}
