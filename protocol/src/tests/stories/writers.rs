//! Several writers of a partner, its seat, and what its root says.

use super::{agreed, has_effect, standing};
use crate::body::Role;
use crate::tests::kit::{Wish, World, node, partner, writer};
use crate::tests::oracle::Verdict;

/// For faults put into the merge on purpose.
pub(super) const ALL: &[fn()] = &[
    an_introduced_writer_posts_and_merges_and_has_no_seat,
    a_list_with_a_lower_number_or_too_many_writers_has_no_effect,
    the_seat_moves_and_the_former_seat_may_be_retired,
    a_seat_transfer_displaces_the_thief_at_once_and_its_root_outranks_all,
    a_seat_transfer_that_is_carried_again_has_no_effect,
    of_two_transfers_at_the_same_time_the_higher_number_has_the_seat,
    a_partner_comes_back_with_the_writers_of_its_new_invitation,
    a_node_that_two_partners_list_writes_for_the_lower_one,
];

#[test]
fn an_introduced_writer_posts_and_merges_and_has_no_seat() {
    let mut world = World::with_members(3);
    let second = node(1, 1);
    world.hear_from(second, 1);
    let too_early = world.write(second, Wish::Post);
    let introduced = world.write(1, Wish::Introduce(1));
    world.hear_from(second, 1);
    let post = world.write(second, Wish::Post);
    let merge = world.write(second, Wish::Merge);
    let grant = world.write(second, Wish::Grant(2, Role::Observer));

    assert_eq!(world.oracle.verdict(&too_early), Verdict::Invalid);
    assert!(has_effect(&world, introduced) && has_effect(&world, merge));
    assert!(world.is_accepted(&post));
    assert_eq!(world.oracle.author(&post), partner(1).id);
    assert_eq!(world.oracle.verdict(&grant), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn a_list_with_a_lower_number_or_too_many_writers_has_no_effect() {
    let mut world = World::with_members(2);
    let four = world.write(1, Wish::Introduce(4));
    let lower = world.write(1, Wish::Introduce(1));
    world.write(0, Wish::Introduce(2));
    let fifth = world.write(0, Wish::Introduce(7));
    let crowded = world.write(0, Wish::Introduce(4));

    assert!(has_effect(&world, four) && !has_effect(&world, lower));
    assert!(has_effect(&world, fifth));
    assert!(world.is_accepted(&crowded) && !has_effect(&world, crowded));
    assert_eq!(standing(&world, 1).unwrap().number, 4);
    assert_eq!(standing(&world, 0).unwrap().writers.len(), 4);
    agreed(&world);
}

#[test]
fn the_seat_moves_and_the_former_seat_may_be_retired() {
    let mut world = World::with_members(2);
    let second = node(1, 1);
    world.write(1, Wish::Introduce(1));
    let of_seat = world.write(1, Wish::Retire(0));
    world.write(1, Wish::SeatMove(1));
    world.hear_from(second, 1);
    let by_former = world.write(1, Wish::Leave);
    let retired = world.write(second, Wish::Retire(0));
    world.hear_all(1);
    let post = world.write(1, Wish::Post);

    assert!(world.is_accepted(&of_seat) && !has_effect(&world, of_seat));
    assert_eq!(world.oracle.verdict(&by_former), Verdict::Invalid);
    assert!(has_effect(&world, retired));
    assert_eq!(standing(&world, 1).unwrap().seat, writer(second));
    assert_eq!(world.oracle.verdict(&post), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn a_seat_transfer_displaces_the_thief_at_once_and_its_root_outranks_all() {
    let mut world = World::with_members(3);
    let transfer = world.carry(2, 1, 2, 1);
    let by_thief = world.write(1, Wish::Invite(4, Role::Observer));
    let leave = world.write(1, Wish::Leave);

    assert!(has_effect(&world, transfer));
    assert!(world.is_accepted(&by_thief) && !has_effect(&world, by_thief));
    assert!(!has_effect(&world, leave));
    let now = standing(&world, 1).unwrap();
    assert_eq!(now.seat, writer(node(1, 1)));
    assert_eq!(now.writers, [writer(node(1, 1)), writer(node(1, 2))].into());
    agreed(&world);
}

#[test]
fn a_seat_transfer_that_is_carried_again_has_no_effect() {
    let mut world = World::with_members(3);
    let first = world.carry(2, 1, 1, 1);
    world.everybody_hears_all();
    let second = node(1, 1);
    let back = world.write(second, Wish::SeatMove(0));
    world.everybody_hears_all();
    let again = world.carry(0, 1, 1, 1);

    assert!(has_effect(&world, first));
    // The first node was displaced: it is no writer any more that the seat could move to.
    assert!(world.is_accepted(&back) && !has_effect(&world, back));
    assert!(world.is_accepted(&again) && !has_effect(&world, again));
    agreed(&world);
}

#[test]
fn of_two_transfers_at_the_same_time_the_higher_number_has_the_seat() {
    let mut world = World::with_members(3);
    let lower = world.carry(0, 1, 2, 2);
    let higher = world.carry(2, 1, 4, 1);

    assert!(has_effect(&world, lower) && has_effect(&world, higher));
    assert_eq!(standing(&world, 1).unwrap().seat, writer(node(1, 1)));
    agreed(&world);
}

#[test]
fn a_partner_comes_back_with_the_writers_of_its_new_invitation() {
    let mut world = World::with_members(3);
    world.write(2, Wish::Introduce(1));
    world.everybody_hears_all();
    world.write(0, Wish::Remove(2));
    world.everybody_hears_all();
    world.admit(0, 2, Role::Contributor, 3);
    world.everybody_hears_all();
    let old = world.write(2, Wish::Post);
    let new = world.write(node(2, 2), Wish::Post);

    let now = standing(&world, 2).unwrap();
    assert_eq!((now.seat, now.number), (writer(node(2, 2)), 3));
    assert_eq!(now.writers, [writer(node(2, 2))].into());
    assert_eq!(world.oracle.verdict(&old), Verdict::Invalid);
    assert!(world.is_accepted(&new));
    agreed(&world);
}

#[test]
fn a_node_that_two_partners_list_writes_for_the_lower_one() {
    let mut world = World::with_members(3);
    world.write(1, Wish::Introduce(7));
    world.write(2, Wish::Introduce(7));
    world.everybody_hears_all();
    let post = world.write(node(1, 4), Wish::Post);

    let lower = partner(1).id.min(partner(2).id);
    assert!(world.is_accepted(&post));
    assert_eq!(world.oracle.author(&post), lower);
    agreed(&world);
}
