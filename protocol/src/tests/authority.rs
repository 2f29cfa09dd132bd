//! Who may do what in a channel, in stories of a few acts: quorums, removals that race, seats and
//! writers. Each story's end is the same in every order of arrival.

use super::kit::partner;
use super::story::{Story, identity, writer};
use crate::authority::{Act, Ending, Scope, Status};
use crate::body::Role::{Admin, Contributor, Observer, Owner};
use crate::body::{CertificatesBody, EmptyBody, RemoveBody};
use crate::codec::Canonical;
use crate::compose::ComposeError;
use crate::event::Kind;

const A: (usize, usize) = (0, 0);
const B: (usize, usize) = (1, 0);
const C: (usize, usize) = (2, 0);
const D: (usize, usize) = (3, 0);
const E: (usize, usize) = (4, 0);

// Quorums.

#[test]
fn an_owner_alone_cannot_remove_an_equal_and_a_majority_can() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner]);
    let alone = story.remove(A, 3);
    assert!(!story.told().is_effective(alone));

    // Of the three that are not concerned two must agree.
    story.endorse_all(&[A, B], story.proposal_remove(3));
    let quorum = story.quorum(A, &story.removal(3));
    assert_eq!((quorum.needed, quorum.owners), (2, 3));
    let together = story.remove(A, 3);

    let told = story.told();
    assert!(told.is_effective(together));
    assert_eq!(told.status(3), Some(Status::Removed));
}

#[test]
fn a_partner_counts_once_however_often_it_endorses() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner]);
    let proposal = story.proposal_remove(3);
    let mut listed = story.endorse_all(&[A, A], proposal);
    story.introduce(A, 2, &[0, 1]);
    story.seat_move(A, 1);
    story.tell((0, 1));
    listed.extend(story.endorse_all(&[(0, 1)], proposal));
    assert_eq!(
        story.quorum((0, 1), &story.removal(3)).endorsements.len(),
        1
    );

    let removal = story.remove_listing((0, 1), 3, &listed);

    let told = story.told();
    assert!(listed.iter().all(|one| told.is_effective(*one)));
    assert!(!told.is_effective(removal));
    assert_eq!(told.status(3), Some(Status::Active));
}

#[test]
fn an_endorsement_serves_one_act() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner]);
    let listed = story.endorse_all(&[A, B], story.proposal_remove(3));
    story.remove_listing(A, 3, &listed);
    let again = story.proposal_invite(3, Owner);
    story.endorse_all(&[A, B], again);
    story.invite(A, 3, Owner);
    story.tell_all();
    story.accept(D);
    story.tell_all();
    assert!(story.quorum(A, &story.removal(3)).endorsements.is_empty());

    let replayed = story.remove_listing(A, 3, &listed);

    let told = story.told();
    assert!(!told.is_effective(replayed));
    assert_eq!(
        (told.status(3), told.role(3)),
        (Some(Status::Active), Some(Owner))
    );
}

#[test]
fn nobody_uses_up_an_endorsement_by_an_act_without_a_quorum() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner, Contributor]);
    let listed = story.endorse_all(&[A, B], story.proposal_remove(3));
    story.remove_listing(E, 3, &listed);
    story.remove_listing(A, 3, &listed[..1]);
    story.tell_all();

    let removal = story.remove_listing(A, 3, &listed);

    assert!(story.told().is_effective(removal));
}

#[test]
fn an_endorsement_counts_for_what_it_names_alone() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner]);
    let mut listed = story.endorse_all(&[A], story.proposal_remove(3));
    listed.extend(story.endorse_all(&[B], story.proposal_grant(3, Admin)));
    listed.extend(story.endorse_all(&[C], story.proposal_remove(2)));

    let removal = story.remove_listing(A, 3, &listed);

    assert!(!story.told().is_effective(removal));
}

#[test]
fn the_target_of_a_revocation_counts_in_neither_number() {
    let mut story = Story::with(0, &[Owner, Owner, Owner]);
    let listed = story.endorse_all(&[A, C], story.proposal_remove(2));
    let quorum = story.quorum(A, &story.removal(2));
    assert_eq!((quorum.needed, quorum.owners), (2, 2));
    assert_eq!(quorum.endorsements, [(partner(0).id, listed[0])]);
    let with_its_own = story.remove_listing(A, 2, &listed);
    assert!(!story.told().is_effective(with_its_own));

    story.tell_all();
    story.endorse_all(&[B], story.proposal_remove(2));
    let without = story.remove(A, 2);

    assert!(story.told().is_effective(without));
}

#[test]
fn only_whoever_is_an_owner_endorses() {
    let mut story = Story::with(2, &[Owner, Owner, Admin, Contributor]);
    let proposal = story.proposal_grant(3, Owner);
    let early = story.endorse_all(&[C], proposal)[0];
    story.endorse_all(&[A], proposal);
    let short = story.grant(A, 3, Owner);
    // What it endorsed before it was an owner stays without effect.
    let promotion = story.proposal_grant(2, Owner);
    story.tell_all();
    story.endorse_all(&[A, B], promotion);
    story.grant(A, 2, Owner);
    story.tell_all();
    let act = Act::grant(
        &story.id,
        &crate::body::GrantBody {
            partner: partner(3).id,
            role: Owner,
            endorsements: Vec::new(),
        },
    );
    assert_eq!(story.quorum(A, &act).endorsements.len(), 1);

    let told = story.told();
    assert!(!told.is_effective(early) && !told.is_effective(short));
    assert_eq!(
        (told.role(2), told.role(3)),
        (Some(Owner), Some(Contributor))
    );
}

#[test]
fn a_charters_quorum_beyond_the_owners_asks_for_all_of_them() {
    let mut story = Story::with(5, &[Owner, Owner, Contributor]);
    let proposal = story.proposal_grant(2, Owner);
    story.endorse_all(&[A], proposal);
    let short = story.grant(A, 2, Owner);
    story.tell_all();
    story.endorse_all(&[B], proposal);
    let grant = story.grant(A, 2, Owner);

    let told = story.told();
    assert!(!told.is_effective(short) && told.is_effective(grant));
    assert_eq!(told.role(2), Some(Owner));
}

#[test]
fn a_quorum_makes_an_owner_and_an_owner_alone_cannot() {
    let mut story = Story::with(0, &[Owner, Owner, Contributor]);
    let alone = story.grant(A, 2, Owner);
    story.tell_all();
    story.endorse_all(&[A, B], story.proposal_grant(2, Owner));
    let together = story.grant(B, 2, Owner);

    let told = story.told();
    assert!(!told.is_effective(alone) && told.is_effective(together));
    assert_eq!(told.role(2), Some(Owner));
}

#[test]
fn equals_that_remove_each_other_are_both_removed() {
    let mut story = Story::with(1, &[Owner, Owner, Contributor]);
    story.endorse(A, story.proposal_remove(1));
    let one = story.remove(A, 1);
    story.endorse(B, story.proposal_remove(0));
    let other = story.remove(B, 0);

    let told = story.told();
    assert!(told.is_effective(one) && told.is_effective(other));
    assert_eq!(
        [told.status(0), told.status(1), told.status(2)],
        [
            Some(Status::Removed),
            Some(Status::Removed),
            Some(Status::Active)
        ]
    );
}

#[test]
fn a_quorum_outranks_a_single_owner() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Admin]);
    story.endorse_all(&[A, B], story.proposal_remove(2));
    let removal = story.remove(A, 2);
    let invitation = story.invite(C, 4, Contributor);
    let revocation = story.remove(C, 3);

    let told = story.told();
    assert!(told.is_effective(removal));
    assert!(!told.is_effective(invitation) && !told.is_effective(revocation));
    assert_eq!(
        (told.status(3), told.status(4)),
        (Some(Status::Active), None)
    );
}

#[test]
fn two_quorums_that_each_remove_an_endorser_of_the_other_both_stand() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Owner, Owner]);
    let against_b = story.endorse_all(&[A, C, D], story.proposal_remove(1));
    let against_a = story.endorse_all(&[B, C, E], story.proposal_remove(0));
    let one = story.remove_listing(C, 1, &against_b);
    let other = story.remove_listing(E, 0, &against_a);

    let told = story.told();
    assert!(told.is_effective(one) && told.is_effective(other));
    assert_eq!(
        (told.status(0), told.status(1)),
        (Some(Status::Removed), Some(Status::Removed))
    );
}

#[test]
fn a_quorum_that_lost_an_endorser_at_the_same_time_makes_no_owner() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Contributor]);
    story.endorse_all(&[A, B], story.proposal_remove(2));
    let removal = story.remove(A, 2);
    let proposal = story.proposal_grant(3, Owner);
    let last = story.endorse(C, proposal);
    story.hear(B, last);
    story.endorse(B, proposal);
    let grant = story.grant(B, 3, Owner);

    let told = story.told();
    assert!(told.is_effective(removal) && !told.is_effective(grant));
    assert_eq!(told.role(3), Some(Contributor));
}

#[test]
fn an_endorsement_that_the_remover_knew_of_stands_until_it_is_used() {
    let mut story = Story::with(0, &[Owner, Owner, Owner, Contributor]);
    let proposal = story.proposal_grant(3, Owner);
    story.endorse_all(&[B, C], proposal);
    let grant = story.grant(B, 3, Owner);
    story.endorse_all(&[A, B], story.proposal_remove(2));
    story.remove(A, 2);

    let told = story.told();
    assert!(told.is_effective(grant));
    assert_eq!(told.role(3), Some(Owner));
}

// Removals that race.

#[test]
fn what_a_removed_partner_does_at_the_same_time_is_void() {
    let mut story = Story::with(0, &[Owner, Admin, Contributor]);
    let removal = story.remove(A, 1);
    let void = [
        story.grant(B, 2, Observer),
        story.introduce(B, 2, &[0, 1]),
        story.sealing_key(B, 1),
        story.invite(B, 3, Contributor),
        story.seat_move(B, 0),
        story.merge(B),
    ];
    let leave = story.leave(B);

    let told = story.told();
    assert!(told.is_effective(removal) && told.is_effective(leave));
    assert!(void.iter().all(|act| !told.is_effective(*act)));
    assert_eq!(told.status(1), Some(Status::Removed));
    assert_eq!((told.role(2), told.status(3)), (Some(Contributor), None));
}

#[test]
fn an_accept_loses_to_a_removal_that_it_did_not_know_of() {
    let mut story = Story::with(0, &[Owner]);
    let invitation = story.invite(A, 1, Contributor);
    story.hear(B, invitation);
    let accept = story.accept(B);
    let removal = story.remove(A, 1);

    let told = story.told();
    assert!(told.is_effective(removal) && !told.is_effective(accept));
    assert_eq!(told.status(1), Some(Status::Removed));
}

#[test]
fn a_demotion_voids_no_act_on_ones_own_matters() {
    let mut story = Story::with(0, &[Owner, Admin, Contributor]);
    let invitation = story.invite(A, 3, Admin);
    story.hear(D, invitation);
    let accept = story.accept(D);
    story.grant(A, 1, Observer);
    story.grant(A, 3, Observer);
    let key = story.sealing_key(B, 1);
    let introduction = story.introduce(B, 2, &[0, 1]);
    let grant = story.grant(B, 2, Observer);

    let told = story.told();
    assert!(
        [accept, key, introduction]
            .iter()
            .all(|act| told.is_effective(*act))
    );
    assert!(!told.is_effective(grant));
    assert_eq!(
        (told.role(1), told.role(2)),
        (Some(Observer), Some(Contributor))
    );
    assert_eq!(
        (told.role(3), told.status(3)),
        (Some(Observer), Some(Status::Active))
    );
}

#[test]
fn an_admin_whom_an_admin_invited_removes_and_is_removed() {
    let mut story = Story::with(0, &[Owner, Admin, Contributor]);
    story.invite(B, 3, Contributor);
    story.tell_all();
    story.accept(D);
    story.tell_all();
    story.grant(A, 3, Admin);
    story.tell_all();
    let by_it = story.remove(D, 2);
    story.tell_all();
    let of_it = story.remove(A, 3);

    let told = story.told();
    assert!(told.is_effective(by_it) && told.is_effective(of_it));
    assert_eq!(
        (told.status(2), told.status(3)),
        (Some(Status::Removed), Some(Status::Removed))
    );
}

#[test]
fn a_removal_that_is_void_itself_voids_nothing() {
    let mut story = Story::with(0, &[Owner, Admin, Contributor]);
    let removal = story.remove(A, 1);
    let void = story.remove(B, 2);
    let key = story.sealing_key(C, 1);

    let told = story.told();
    assert!(told.is_effective(removal) && !told.is_effective(void));
    assert!(told.is_effective(key));
    assert_eq!(told.status(2), Some(Status::Active));
}

#[test]
fn a_leave_and_a_removal_are_told_apart_and_both_are_endings() {
    let mut story = Story::with(0, &[Owner, Contributor, Contributor]);
    let removal = story.remove(A, 1);
    let leave = story.leave(C);

    let told = story.told();
    let mut endings = [(removal, 1), (leave, 2)].map(|(act, whom)| Ending {
        pos: told.pos(act),
        partner: partner(whom).id,
        scope: Scope::Partner,
    });
    endings.sort_unstable();
    assert_eq!(told.channel.present().endings, endings);
    assert_eq!(
        (told.status(1), told.status(2)),
        (Some(Status::Removed), Some(Status::Left))
    );
}

// Writers and seats.

#[test]
fn further_writers_merge_and_only_the_seat_acts() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(A, 2, &[0, 1]);
    story.tell((0, 1));
    let merge = story.merge((0, 1));
    let other = story.try_write((0, 1), Kind::Leave, EmptyBody {}.to_bytes());
    assert!(matches!(other, Err(ComposeError::Refused(_))));

    let told = story.told();
    assert!(told.is_effective(merge));
    assert_eq!((told.nodes(0), told.seat(0)), (vec![0, 1], 0));
    assert_eq!(
        told.channel.present().partner_of(&writer((0, 1))),
        Some(partner(0).id)
    );
    assert_eq!(told.channel.present().seat_of(&writer((0, 1))), None);
    assert_eq!(told.member(0).map(|member| member.number), Some(2));
}

#[test]
fn a_seat_moves_and_the_old_one_acts_no_more() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(A, 2, &[0, 1]);
    let elsewhere = story.seat_move(A, 3);
    story.seat_move(A, 1);
    let stale = story.try_write(A, Kind::Leave, EmptyBody {}.to_bytes());
    assert!(matches!(stale, Err(ComposeError::Refused(_))));
    story.tell((0, 1));
    let removal = story.remove((0, 1), 1);

    let told = story.told();
    assert!(told.is_effective(removal) && !told.is_effective(elsewhere));
    assert_eq!((told.nodes(0), told.seat(0)), (vec![0, 1], 1));
}

#[test]
fn a_retired_writer_writes_no_more_and_does_not_come_back() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(A, 2, &[0, 1]);
    let own_seat = story.retire(A, 0);
    let retirement = story.retire(A, 1);
    let again = story.introduce(A, 3, &[0, 1, 2]);
    story.tell((0, 1));
    let stale = story.try_write((0, 1), Kind::Merge, EmptyBody {}.to_bytes());
    assert!(matches!(stale, Err(ComposeError::Refused(_))));

    let told = story.told();
    assert!(!told.is_effective(own_seat));
    assert!(told.is_effective(retirement) && told.is_effective(again));
    assert_eq!(told.nodes(0), [0, 2]);
}

#[test]
fn a_fifth_writer_is_refused_until_one_retires() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(A, 2, &[0, 1, 2, 3]);
    let fifth = story.introduce(A, 3, &[4]);
    story.retire(A, 3);
    let instead = story.introduce(A, 4, &[4]);

    let told = story.told();
    assert!(!told.is_effective(fifth) && told.is_effective(instead));
    assert_eq!(told.nodes(0), [0, 1, 2, 4]);
}

#[test]
fn a_list_of_a_number_that_is_not_above_the_last_has_no_effect() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(A, 3, &[0, 1]);
    let same = story.introduce(A, 3, &[0, 2]);
    let lower = story.introduce(A, 2, &[0, 2]);
    let of_another = CertificatesBody {
        identity: identity(1, 9, &[1]),
    };
    let of_another = story.write(A, Kind::WriterIntroduce, of_another.to_bytes());

    let told = story.told();
    assert!(
        ![same, lower, of_another]
            .iter()
            .any(|act| told.is_effective(*act))
    );
    assert_eq!((told.nodes(0), told.nodes(1)), (vec![0, 1], vec![0]));
}

#[test]
fn a_root_takes_the_seat_from_a_thief() {
    let mut story = Story::with(0, &[Owner, Owner, Contributor]);
    let transfer = story.transfer(C, 1, 2, &[1]);
    story.endorse(B, story.proposal_remove(0));
    let stolen = [
        story.remove(B, 2),
        story.sealing_key(B, 1),
        story.grant(B, 1, Observer),
        story.leave(B),
    ];
    story.tell((1, 1));
    let act = story.merge((1, 1));
    story.tell_all();
    let stale = story.try_write(B, Kind::Leave, EmptyBody {}.to_bytes());
    assert!(matches!(stale, Err(ComposeError::Refused(_))));

    let told = story.told();
    assert!(told.is_effective(transfer) && told.is_effective(act));
    assert!(stolen.iter().all(|act| !told.is_effective(*act)));
    assert_eq!(
        (told.status(1), told.role(1)),
        (Some(Status::Active), Some(Owner))
    );
    assert_eq!((told.nodes(1), told.seat(1)), (vec![1], 1));
    assert_eq!(
        told.channel.present().endings,
        [Ending {
            pos: told.pos(transfer),
            partner: partner(1).id,
            scope: Scope::Writer(writer(B)),
        }]
    );
}

#[test]
fn an_endorsement_of_a_stolen_seat_does_not_count() {
    let mut story = Story::with(2, &[Owner, Owner, Contributor, Contributor]);
    let proposal = story.proposal_grant(2, Owner);
    let stolen = story.endorse(B, proposal);
    let transfer = story.transfer(D, 1, 2, &[1]);
    story.hear(A, stolen);
    story.endorse(A, proposal);
    let grant = story.grant(A, 2, Owner);

    let told = story.told();
    assert!(told.is_effective(transfer) && !told.is_effective(grant));
    assert_eq!(told.role(2), Some(Contributor));
}

#[test]
fn whoever_carries_a_transfer_cannot_undo_what_the_root_trusts() {
    let mut story = Story::with(0, &[Owner, Admin, Contributor, Contributor]);
    let trusted = story.invite(B, 4, Contributor);
    story.hear(E, trusted);
    story.accept(E);
    let stolen = story.remove(B, 2);
    let transfer = story.signed_transfer(1, 2, &[1], trusted).to_bytes();
    let lagging = story.try_write(D, Kind::SeatTransfer, transfer.clone());
    assert!(matches!(lagging, Err(ComposeError::Refused(_))));

    story.hear(D, trusted);
    let carried = story.write(D, Kind::SeatTransfer, transfer);

    let told = story.told();
    assert!(told.is_effective(carried) && told.is_effective(trusted));
    assert!(!told.is_effective(stolen));
    assert_eq!(
        (told.status(2), told.status(4)),
        (Some(Status::Active), Some(Status::Active))
    );
}

#[test]
fn a_transfer_that_is_carried_again_has_no_effect() {
    let mut story = Story::with(0, &[Owner, Contributor, Contributor]);
    let first = story.transfer(C, 1, 2, &[1]);
    story.tell_all();
    let known = story.transfer(A, 1, 2, &[1]);
    let lower = story.transfer(A, 1, 1, &[0]);
    story.tell((1, 1));
    story.introduce((1, 1), 3, &[2]);
    story.seat_move((1, 1), 2);
    story.tell((1, 2));
    story.retire((1, 2), 1);
    story.tell_all();
    let late = story.transfer(C, 1, 2, &[1]);

    let told = story.told();
    assert!(told.is_effective(first));
    assert!(
        ![known, lower, late]
            .iter()
            .any(|act| told.is_effective(*act))
    );
    assert_eq!((told.nodes(1), told.seat(1)), (vec![2], 2));
}

#[test]
fn a_transfer_that_a_laggard_carries_again_does_not_take_the_seat_back() {
    let mut story = Story::with(0, &[Owner, Contributor, Contributor, Contributor]);
    let first = story.transfer(C, 1, 2, &[1, 2]);
    story.hear((1, 1), first);
    let moved = story.seat_move((1, 1), 2);
    story.hear((1, 2), moved);
    story.retire((1, 2), 1);
    // However high it stands.
    for _ in 0..4 {
        story.merge(D);
    }
    let again = story.transfer(D, 1, 2, &[1, 2]);

    let told = story.told();
    assert!(told.is_effective(again) && told.is_effective(moved));
    assert_eq!((told.nodes(1), told.seat(1)), (vec![2], 2));
}

#[test]
fn of_two_transfers_at_once_the_list_of_the_greater_number_decides() {
    let mut story = Story::with(0, &[Owner, Contributor, Contributor]);
    story.transfer(A, 1, 3, &[2]);
    story.merge(C);
    story.transfer(C, 1, 2, &[1]);

    let told = story.told();
    assert_eq!((told.nodes(1), told.seat(1)), (vec![1, 2], 2));
    assert_eq!(told.member(1).map(|member| member.number), Some(3));
}

#[test]
fn a_transfer_must_be_signed_for_this_channel_and_name_a_node_of_its_list() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    let right = story.signed_transfer(1, 2, &[1, 2], story.start);
    let mut other_seat = right.clone();
    other_seat.seat = writer((1, 3));
    let mut other_list = right.clone();
    other_list.certificates.number = 3;
    let mut other_channel = right.clone();
    other_channel.root_signature = right.certificates.sign_seat_transfer(
        &super::story::root(1),
        crate::id::ChannelId([1; 32]),
        right.seat,
        right.after,
    );
    let mut other_start = right.clone();
    other_start.after = story.events[0].id;
    let stranger = story.signed_transfer(4, 2, &[1], story.start);
    for wrong in [other_seat, other_list, other_channel, other_start, stranger] {
        let refused = story.try_write(A, Kind::SeatTransfer, wrong.to_bytes());
        assert!(
            matches!(refused, Err(ComposeError::Refused(_))),
            "{wrong:?}"
        );
    }

    let carried = story.write(A, Kind::SeatTransfer, right.to_bytes());

    assert!(story.told().is_effective(carried));
}

#[test]
fn a_transfer_leaves_a_partner_no_more_than_four_writers() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(B, 2, &[0, 1, 2, 3]);
    story.tell_all();
    let too_many = story.transfer(A, 1, 3, &[4, 5]);
    let fits = story.transfer(A, 1, 4, &[4, 1]);

    let told = story.told();
    assert!(!told.is_effective(too_many) && told.is_effective(fits));
    assert_eq!((told.nodes(1), told.seat(1)), (vec![1, 2, 3, 4], 4));
}

#[test]
fn a_partner_that_comes_back_has_the_writers_of_its_new_list() {
    let mut story = Story::with(0, &[Owner, Contributor]);
    story.introduce(B, 5, &[0, 1, 2]);
    story.tell_all();
    let removal = story.remove(A, 1);
    let invitation = story.invite_as(A, identity(1, 3, &[3, 0]), Observer);
    story.tell((1, 3));
    story.accept((1, 3));

    let told = story.told();
    assert!(told.is_effective(removal) && told.is_effective(invitation));
    assert_eq!(
        (told.status(1), told.role(1)),
        (Some(Status::Active), Some(Observer))
    );
    assert_eq!((told.nodes(1), told.seat(1)), (vec![0, 3], 3));
    assert_eq!(told.member(1).map(|member| member.number), Some(3));
}

#[test]
fn endorsements_that_are_unsorted_or_too_many_are_refused() {
    let story = Story::with(0, &[Owner, Contributor]);
    let id = |byte: u8| crate::id::EventId([byte; 32]);
    let body = |endorsements| RemoveBody {
        partner: partner(1).id,
        endorsements,
    };
    for wrong in [
        vec![id(2), id(1)],
        vec![id(1), id(1)],
        (0..65).map(id).collect(),
    ] {
        assert!(RemoveBody::from_bytes(&body(wrong).to_bytes()).is_err());
    }
    assert!(RemoveBody::from_bytes(&body((0..64).map(id).collect()).to_bytes()).is_ok());
    assert_eq!(story.told().status(1), Some(Status::Active));
}
