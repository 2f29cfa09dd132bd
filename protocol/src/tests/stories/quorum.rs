//! Acts among equals, and which of several concurrent acts have effect.

use super::{active, agreed, has_effect, standing};
use crate::body::Role;
use crate::event::Kind;
use crate::id::EventId;
use crate::tests::kit::{To, Wish, World, charter};
use crate::tests::oracle::{Status, Verdict};

/// For faults put into the merge on purpose.
pub(super) const ALL: &[fn()] = &[
    an_owner_alone_removes_no_other_owner_and_two_of_three_do,
    neither_the_target_nor_a_second_event_of_one_owner_counts,
    an_endorsement_counts_for_one_act,
    an_endorsement_of_another_proposal_counts_for_nothing,
    endorsements_that_are_not_in_order_make_the_act_invalid,
    an_endorsement_is_struck_where_its_owner_was_removed_at_the_same_time,
    of_two_owners_that_remove_each_other_both_go,
    what_a_void_removal_would_have_struck_stands,
    acts_of_an_admin_lowered_at_the_same_time_are_void_but_its_key_is_not,
    an_owner_lowers_itself_and_nobody_hinders_it,
    an_accept_loses_to_a_removal_that_did_not_know_of_it,
    reserved_kinds_and_control_acts_of_members_without_the_seat_are_invalid,
    a_chain_of_removals_is_settled_from_whoever_nobody_removes,
];

/// Owners 0, 1 and 2, and a contributor.
fn three_owners(quorum: u8) -> World {
    let mut charter = charter(1);
    charter.quorum = quorum;
    let mut world = World::chartered(&charter, 4);
    world.make_owner(0, 1);
    world.everybody_hears_all();
    let grant = Wish::Grant(2, Role::Owner);
    for owner in [0, 1] {
        world.write(owner, Wish::Endorse(Box::new(grant.clone())));
    }
    world.everybody_hears_all();
    world.write_endorsed(0, grant);
    world.everybody_hears_all();
    world
}

fn endorsed_by(world: &mut World, owners: &[usize], act: &Wish) {
    for owner in owners {
        world.write(*owner, Wish::Endorse(Box::new(act.clone())));
    }
    world.everybody_hears_all();
}

#[test]
fn an_owner_alone_removes_no_other_owner_and_two_of_three_do() {
    for (endorsers, removed) in [(vec![], false), (vec![0], false), (vec![0, 1], true)] {
        let mut world = three_owners(0);
        let act = Wish::Remove(2);
        endorsed_by(&mut world, &endorsers, &act);
        let removal = world.write_endorsed(0, act);

        assert!(world.is_accepted(&removal));
        assert_eq!(has_effect(&world, removal), removed, "{endorsers:?}");
        agreed(&world);
    }
}

#[test]
fn neither_the_target_nor_a_second_event_of_one_owner_counts() {
    for endorsers in [vec![0, 2], vec![0, 0]] {
        let mut world = three_owners(2);
        let act = Wish::Remove(2);
        endorsed_by(&mut world, &endorsers, &act);
        let removal = world.write_endorsed(0, act);

        assert!(!has_effect(&world, removal), "{endorsers:?}");
        agreed(&world);
    }
}

#[test]
fn an_endorsement_counts_for_one_act() {
    let mut world = three_owners(0);
    let act = Wish::Remove(2);
    endorsed_by(&mut world, &[0, 1], &act);
    let first = world.write_endorsed(0, act.clone());
    world.everybody_hears_all();
    world.admit(0, 2, Role::Admin, 0);
    endorsed_by(&mut world, &[0, 1], &Wish::Grant(2, Role::Owner));
    world.write_endorsed(0, Wish::Grant(2, Role::Owner));
    world.everybody_hears_all();
    let second = world.write_endorsed(1, act);

    assert!(has_effect(&world, first));
    assert!(world.is_accepted(&second) && !has_effect(&world, second));
    assert_eq!(standing(&world, 2).unwrap().role, Role::Owner);
    agreed(&world);
}

#[test]
fn an_endorsement_of_another_proposal_counts_for_nothing() {
    let mut world = three_owners(0);
    endorsed_by(&mut world, &[0, 1], &Wish::Suspend(2));
    let listed = world.endorsements(&world.seen[0], &Wish::Suspend(2));
    let removal = world.write(0, Wish::Endorsed(Box::new(Wish::Remove(2)), listed));

    assert!(world.is_accepted(&removal) && !has_effect(&world, removal));
    agreed(&world);
}

#[test]
fn endorsements_that_are_not_in_order_make_the_act_invalid() {
    let mut world = three_owners(0);
    let act = Wish::Remove(2);
    endorsed_by(&mut world, &[0, 1], &act);
    let mut listed = world.endorsements(&world.seen[0], &act);
    listed.reverse();
    let removal = world.write(0, Wish::Endorsed(Box::new(act), listed));

    assert_eq!(world.oracle.verdict(&removal), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn an_endorsement_is_struck_where_its_owner_was_removed_at_the_same_time() {
    for (late, stays) in [
        (Wish::Grant(3, Role::Owner), false),
        (Wish::Remove(2), true),
    ] {
        let mut world = three_owners(0);
        let removal_of_1 = Wish::Remove(1);
        endorsed_by(&mut world, &[0, 2], &removal_of_1);
        let endorsement = world.write(1, Wish::Endorse(Box::new(late.clone())));
        let removal = world.write_endorsed(2, removal_of_1);
        world.hear(0, endorsement);
        world.write(0, Wish::Endorse(Box::new(late.clone())));
        let late = world.write_endorsed(0, late);

        // A revocation by quorum gives way to a higher rank alone, so of two both have effect.
        assert!(has_effect(&world, removal));
        assert_eq!(has_effect(&world, late), stays);
        agreed(&world);
    }
}

#[test]
fn of_two_owners_that_remove_each_other_both_go() {
    let mut world = three_owners(1);
    let (remove_1, remove_0) = (Wish::Remove(1), Wish::Remove(0));
    world.write(0, Wish::Endorse(Box::new(remove_1.clone())));
    world.write(1, Wish::Endorse(Box::new(remove_0.clone())));
    let one = world.write_endorsed(0, remove_1);
    let other = world.write_endorsed(1, remove_0);

    // Neither outranks the other: a revocation is hit by a higher rank alone.
    assert!(has_effect(&world, one) && has_effect(&world, other));
    assert_eq!(active(&world), [2, 3]);
    agreed(&world);
}

#[test]
fn what_a_void_removal_would_have_struck_stands() {
    let mut world = World::with_members(5);
    world.write(0, Wish::Grant(2, Role::Admin));
    world.everybody_hears_all();
    // 0 removes 1, which at the same time removes 3, which at the same time posts its new key.
    let by_owner = world.write(0, Wish::Remove(1));
    let by_removed = world.write(1, Wish::Remove(3));
    let by_3 = world.write(3, Wish::SealingKey(1));

    assert!(has_effect(&world, by_owner));
    assert!(!has_effect(&world, by_removed));
    assert!(has_effect(&world, by_3));
    assert_eq!(active(&world), [0, 2, 3, 4]);
    agreed(&world);
}

#[test]
fn acts_of_an_admin_lowered_at_the_same_time_are_void_but_its_key_is_not() {
    let mut world = World::with_members(4);
    world.write(0, Wish::Grant(1, Role::Contributor));
    let invite = world.write(1, Wish::Invite(4, Role::Observer));
    let key = world.write(1, Wish::SealingKey(2));

    assert!(!has_effect(&world, invite));
    assert!(has_effect(&world, key));
    agreed(&world);
}

#[test]
fn an_owner_lowers_itself_and_nobody_hinders_it() {
    let mut world = World::with_members(3);
    let resigned = world.write(0, Wish::Grant(0, Role::Contributor));
    world.everybody_hears_all();
    let after = world.write(0, Wish::Remove(2));
    let raised = world.write(0, Wish::Grant(0, Role::Owner));

    assert!(has_effect(&world, resigned));
    assert!(!has_effect(&world, after) && !has_effect(&world, raised));
    assert_eq!(standing(&world, 0).unwrap().role, Role::Contributor);
    agreed(&world);
}

#[test]
fn an_accept_loses_to_a_removal_that_did_not_know_of_it() {
    let mut world = World::with_members(2);
    world.write(0, Wish::Invite(2, Role::Contributor));
    world.everybody_hears_all();
    let accept = world.write(2, Wish::Accept);
    world.write(0, Wish::Remove(2));

    assert!(world.is_accepted(&accept) && !has_effect(&world, accept));
    assert_eq!(standing(&world, 2).unwrap().status, Status::Removed);
    agreed(&world);
}

#[test]
fn reserved_kinds_and_control_acts_of_members_without_the_seat_are_invalid() {
    let mut world = World::with_members(3);
    let seen = world.seen[1].clone();
    for number in [14, 15] {
        let (mut header, body) = world.compose(1, &seen, &To::Open, &Wish::Merge);
        header.kind = number;
        let id = world.publish(1, header, body);
        assert_eq!(world.oracle.verdict(&id), Verdict::Invalid);
    }
    let kinds: Vec<Kind> = world
        .events
        .iter()
        .map(|event| event.header.kind())
        .collect();
    assert!(kinds.contains(&Kind::Retention));
    agreed(&world);
}

#[test]
fn a_chain_of_removals_is_settled_from_whoever_nobody_removes() {
    let mut world = World::with_members(4);
    world.write(0, Wish::Grant(2, Role::Admin));
    world.everybody_hears_all();
    // Owner 0 lowers 1; 1 removes 3; 2, which 0 removes as well, invites 4 meanwhile.
    let acts: Vec<EventId> = [
        (0, Wish::Grant(1, Role::Observer)),
        (1, Wish::Remove(3)),
        (2, Wish::Invite(4, Role::Observer)),
        (0, Wish::Remove(2)),
    ]
    .into_iter()
    .map(|(who, wish)| world.write(who, wish))
    .collect();

    let effects: Vec<bool> = acts.iter().map(|act| has_effect(&world, *act)).collect();
    assert_eq!(effects, [true, false, false, true]);
    assert_eq!(active(&world), [0, 1, 3]);
    agreed(&world);
}
