//! Golden stories of revocation and finality. Each file of `revocation/` and `finality/` is a script: who writes what on what
//! it has heard, and then what must become of it, written down by hand from docs/protocol.md
//! with the section beside it. A script is played on the real merge in many orders of arrival, and
//! after each the node starts again from what it stored.
//!
//! A line says one thing; `#` begins a comment.
//!
//! ```text
//! quorum 2 | history all                    of the charter; before the channel
//! channel alpha owner bravo admin …         founded by alpha; all have heard of each other
//! lane wide open alpha bravo | lane pair to alpha bravo
//! bravo hears m1 r1 | bravo hears all | all hear | all hear r1
//!
//! label: bravo posts in wide | replies to m1 in wide | edits | redacts | pins m1 in wide |
//!        reacts to m1 in wide | has read m1 in wide | cuts wide | keys wide [for alpha bravo]
//! label: alpha invites echo as admin | accepts | grants echo admin | removes echo |
//!        suspends echo | leaves | rekeys | merges | introduces alpha/2 | retires alpha/2 |
//!        moves the seat to alpha/2 | carries the transfer of the seat to bravo/2 |
//!        proves m1 m2 (in their lane) | endorses removing echo | suspending echo | granting echo owner | inviting echo as owner
//! … at 5          claims the time 5 s        … under k1     seals under this key event
//! … endorsed n1   lists endorsements         … citing m1    whatever lane it is in
//! … after g1      up to where the root trusts the former seat; the charter where nothing is said
//! … instead m1    signed for the position of m1, as if it and all after it had never been
//! … => invalid    is refused for good        … => missing   its past never comes
//! ```
//!
//! finality majority                         of the charter; before the channel
//! round 2 in wide of alpha bravo [on ONE]   each acknowledges what it has heard; then they hear
//!                                           each other's acks, and these are wide.2.alpha …
//! label: alpha acknowledges wide 3 [on ONE] one ack
//! barrier ONE is 1 in wide of alpha bravo [with charlie] [on ZERO]
//!                                           a barrier: of which acks of a round it is made, who is
//!                                           in its set besides, and its base; `bravo+1` for a
//!                                           second session. It says what a digest is of, no more
//!
//! An event is written on all that its author has heard and goes into its author's log; unless a
//! script says otherwise it must be accepted. Hearing an event is hearing its past. A message
//! draws the key event that it needs by itself. `bravo/2` is bravo's second node.
//!
//! ```text
//! expect | expect at delta                  all there is, or what delta has heard so far
//!   shown m1 | flagged m1 | erased m1 | timeline m1 m2 (all that is shown, in order)
//!   forked m1 m2 (all that bears the mark)
//!   effective r1 | void r1
//!   member echo admin [seat echo/2] [number 2] [writers echo echo/2]
//!   member echo removed | suspended | left | invited admin | stranger
//!   readers wide alpha bravo                who may be sent the lane now
//!   about e1 m1 | about e1 nothing          what it has effect on
//!   standing wide ONE TWO | standing wide nothing (all barriers that stand, the lowest first)
//!   late m1 m2 (all that is late) | final m1 | open m1 (not final)
//!   wraps k1 alpha bravo | no key to echo after r1
//! ```
//!
//! The last `expect` names every labelled message and act.

mod cast;
pub mod language;
mod outcome;
mod world;

use crate::mutation::{self, Mutation};

macro_rules! stories {
    ($all:ident in $folder:literal: $($name:ident)*) => {
        pub const $all: &[&str] = &[
            $(include_str!(concat!("../", $folder, "/", stringify!($name), ".txt"))),*
        ];

        $(#[test]
        fn $name() {
            let text = include_str!(concat!("../", $folder, "/", stringify!($name), ".txt"));
            let failures = language::play(text);
            assert!(failures.is_empty(), "{}", failures.join("\n"));
        })*
    };
}

stories! {
    STORIES in "revocation":
    a_chain_of_removals
    a_fork_in_a_directed_lane
    a_fork_in_control
    a_fork_in_the_open_lane
    a_forker_that_is_removed
    a_forker_that_proves_itself
    a_further_removal
    a_removal_by_the_demoted
    a_removal_that_is_voided
    a_seat_of_a_forker
    a_seat_that_is_transferred
    a_seat_that_moves
    a_stranger_and_a_later_cut
    a_stranger_that_is_invited
    a_writer_of_the_removed
    a_withdrawn_invitation
    accomplices
    acts_of_the_removed
    an_accomplice_that_is_removed
    an_endorsement_of_a_forker
    an_invitation_at_the_time_of_a_removal
    an_invitation_by_the_removed
    an_invitation_that_is_voided
    back_dated
    derived_events
    derived_events_in_directed_lanes
    endorsements_of_a_displaced_seat
    history_for_all
    keys_of_the_removed
    leaving
    mutual_removal_by_admins
    mutual_removal_by_quorum
    mutual_removal_by_two_owners
    posts_in_directed_lanes
    posts_in_the_open_lane
    quorum_counts_partners
    readmission
    removed_witnesses
    several_forks_of_one_writer
    spent_endorsements
    struck_endorsements
    suspension
    two_quorums_that_share_an_endorser
    two_transfers
}

stories! {
    FINALITY in "finality":
    a_barrier
    a_silent_partner
    forced_out_of_four
    a_late_removal
    a_late_cut
    a_joiner_enters
    a_seat_moved_between_rounds
    by_majority
    a_removal_of_oneself
    three_of_five
    an_endorsement_struck_below
    a_transfer_after_an_ack
}

// The stories would prove nothing if a wrong merge told them as well.

#[test]
fn a_fold_that_ignores_concurrent_revocations_is_noticed() {
    assert!(are_noticed_by(5, Mutation::RevocationNeverHits));
}

#[test]
fn flags_that_are_not_asked_again_are_noticed() {
    assert!(are_noticed_by(1, Mutation::FlagsFollowEndingsAlone));
}

#[test]
fn forked_acts_that_stand_are_noticed() {
    assert!(are_noticed_by(5, Mutation::ForkedActsStand));
}

#[test]
fn the_latest_fork_instead_of_the_earliest_is_noticed() {
    assert!(are_noticed_by(1, Mutation::LatestForkCounts));
}

#[test]
fn messages_of_a_forker_without_a_mark_are_noticed() {
    assert!(are_noticed_by(2, Mutation::ForkedUnmarked));
}

/// Whether at least so many stories go wrong under a fault.
fn are_noticed_by(stories: usize, fault: Mutation) -> bool {
    let notices = |text: &&&str| mutation::with(fault, || !language::play(text).is_empty());
    STORIES.iter().filter(notices).take(stories).count() == stories
}
