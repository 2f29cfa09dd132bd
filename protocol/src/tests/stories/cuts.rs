//! What stands of a former member's messages.

use super::{agreed, has_effect};
use crate::body::Role;
use crate::event::Kind;
use crate::id::EventId;
use crate::tests::kit::{To, Wish, World, node, partner};
use crate::tests::oracle::Verdict;

/// For faults put into the merge on purpose.
pub(super) const ALL: &[fn()] = &[
    nothing_stands_that_nobody_vouches_for,
    a_cut_vouches_for_what_was_held_when_the_removal_was_heard_of,
    whoever_goes_on_without_the_cut_is_refused,
    a_cut_by_one_that_knew_of_the_new_admission_already_vouches_for_nothing,
    cuts_without_an_ending_or_with_a_body_are_refused,
    a_redaction_that_does_not_stand_erases_nothing,
    two_former_members_do_not_vouch_for_each_other,
    a_displaced_seat_is_cut_off_alone_and_its_partner_vouches_for_it,
    of_a_log_the_author_of_its_first_event_counts_on_every_branch,
];

/// 3 posts twice in a lane; 1 hears the first post. Then 0 removes 3, which has not heard of it
/// and posts a third time.
fn a_removal(to: &To) -> (World, [EventId; 3], EventId) {
    let mut world = World::with_members(4);
    let opening = world.send(0, to, Wish::Post);
    (0..4).for_each(|who| world.hear(who, opening));
    let first = world.send(3, to, Wish::Post);
    let second = world.send(3, to, Wish::Post);
    world.hear(1, first);
    let removal = world.write(0, Wish::Remove(3));
    let third = world.send(3, to, Wish::Post);
    (world, [first, second, third], removal)
}

#[test]
fn nothing_stands_that_nobody_vouches_for() {
    for to in [To::Open, To::only(&[0, 1, 3])] {
        let (world, posts, removal) = a_removal(&to);

        assert!(has_effect(&world, removal));
        assert!(posts.iter().all(|id| world.is_accepted(id)));
        assert_eq!(world.oracle.flagged(), posts.into());
        agreed(&world);
    }
}

#[test]
fn a_cut_vouches_for_what_was_held_when_the_removal_was_heard_of() {
    for to in [To::Open, To::only(&[0, 1, 3])] {
        let (mut world, [first, second, third], removal) = a_removal(&to);
        world.hear(1, removal);
        world.cut_all(1);

        assert_eq!(world.events.last().unwrap().header.kind(), Kind::Cut);
        assert_eq!(world.oracle.flagged(), [second, third].into());
        agreed(&world);
        world.hear(1, third);
        let (seen, lane) = (world.seen[1].clone(), world.oracle.lane_of(&first).clone());
        let header = world.draft(1, &seen, &lane, Kind::Cut);
        let cut = world.publish(1, header, vec![0x90]);
        assert!(world.is_accepted(&cut), "a row of cuts");
        assert_eq!(world.oracle.flagged(), [].into(), "still the same row");
        assert!(world.oracle.verdict(&first) == Verdict::Accepted);
        agreed(&world);
    }
}

#[test]
fn whoever_goes_on_without_the_cut_is_refused() {
    let (mut world, _, removal) = a_removal(&To::only(&[0, 1, 3]));
    world.send(1, &To::only(&[0, 1, 3]), Wish::Post);
    world.hear(1, removal);
    world.admit(0, 3, Role::Contributor, 0);
    world.hear_all(1);
    let seen = world.seen[1].clone();
    let to = To::only(&[0, 1, 3]);
    let key = world.write_key_part(
        1,
        &mut seen.clone(),
        &to,
        Some(vec![]),
        world.wraps(&seen, &to),
    );
    assert_eq!(world.oracle.verdict(&key), Verdict::Invalid);

    let post = world.send(1, &to, Wish::Post);

    assert!(world.is_accepted(&post));
    agreed(&world);
}

#[test]
fn a_cut_by_one_that_knew_of_the_new_admission_already_vouches_for_nothing() {
    let (mut world, [first, second, third], _) = a_removal(&To::only(&[0, 1, 3]));
    world.hear_from(0, 3);
    world.admit(0, 3, Role::Contributor, 0);
    world.hear_all(1);
    world.cut_all(1);

    assert_eq!(world.oracle.flagged(), [first, second, third].into());
    agreed(&world);
}

#[test]
fn cuts_without_an_ending_or_with_a_body_are_refused() {
    let mut world = World::with_members(3);
    world.write(1, Wish::Post);
    let idle = world.write(1, Wish::Cut);
    world.write(0, Wish::Remove(2));
    world.everybody_hears_all();
    let seen = world.seen[1].clone();
    let lane = world
        .oracle
        .lane_of(
            &world
                .events
                .iter()
                .rev()
                .find_map(|event| (event.header.kind() == Kind::Post).then_some(event.id))
                .unwrap(),
        )
        .clone();
    let header = world.draft(1, &seen, &lane, Kind::Cut);
    let with_body = world.publish(1, header.clone(), vec![0x90, 0xc0]);
    let right = world.publish(1, header, vec![0x90]);

    assert_eq!(world.oracle.verdict(&idle), Verdict::Invalid);
    assert_eq!(world.oracle.verdict(&with_body), Verdict::Invalid);
    assert!(world.is_accepted(&right));
    agreed(&world);
}

#[test]
fn a_redaction_that_does_not_stand_erases_nothing() {
    let mut world = World::with_members(4);
    let post = world.write(3, Wish::Post);
    world.everybody_hears_all();
    let removal = world.write(0, Wish::Remove(3));
    let redaction = world.write(3, Wish::Redact(post));
    world.hear(1, removal);
    world.cut_all(1);

    assert_eq!(world.oracle.about(&redaction), Some(post));
    assert_eq!(world.oracle.flagged(), [redaction].into());
    assert_eq!(world.oracle.erased(), [].into());
    agreed(&world);
}

#[test]
fn two_former_members_do_not_vouch_for_each_other() {
    let mut world = World::with_members(4);
    world.write(0, Wish::Post);
    world.everybody_hears_all();
    let of_2 = world.write(2, Wish::Post);
    world.hear(3, of_2);
    let of_3 = world.write(3, Wish::Post);
    world.hear(2, of_3);
    let again = world.write(2, Wish::Post);
    world.write(0, Wish::Remove(2));
    world.write(0, Wish::Remove(3));

    assert_eq!(world.oracle.flagged(), [of_2, of_3, again].into());
    agreed(&world);
}

#[test]
fn a_displaced_seat_is_cut_off_alone_and_its_partner_vouches_for_it() {
    let mut world = World::with_members(3);
    world.write(1, Wish::Introduce(1));
    world.everybody_hears_all();
    let second = node(1, 1);
    let known = world.write(1, Wish::Post);
    world.hear(second, known);
    let unknown = world.write(1, Wish::Post);
    let transfer = world.carry(2, 1, 4, 1);
    world.hear(second, transfer);
    world.cut_all(second);
    let by_second = world.write(second, Wish::Post);

    assert!(has_effect(&world, transfer));
    assert!(world.is_accepted(&by_second));
    assert_eq!(world.oracle.flagged(), [unknown].into());
    agreed(&world);
}

#[test]
fn of_a_log_the_author_of_its_first_event_counts_on_every_branch() {
    let mut world = World::with_members(4);
    let (lower, higher) = match partner(1).id < partner(2).id {
        true => (1, 2),
        false => (2, 1),
    };
    // A node that two partners list writes for the lower one, once it knows of both.
    let shared = node(1, 4);
    world.write(higher, Wish::Introduce(7));
    world.hear_from(shared, higher);
    let first = world.write(shared, Wish::Post);
    let introduced = world.write(lower, Wish::Introduce(7));
    let mut past = world.seen[shared].clone();
    world.hear(shared, introduced);
    let one = world.write(shared, Wish::Post);
    past.extend(world.oracle.past(&introduced).clone());
    past.insert(introduced);
    let other = world.write_on(shared, &mut past, Wish::Post);
    // Cited where nobody vouches for them: in another lane.
    for (who, branch) in [(0, one), (3, other)] {
        let directed = To::only(&[0, 3]);
        world.hear(who, branch);
        world.send(who, &directed, Wish::Post);
    }
    let removal = world.write(0, Wish::Remove(higher));

    assert!(has_effect(&world, removal));
    assert_eq!(world.oracle.author(&first), partner(higher).id);
    assert_eq!(world.oracle.author(&other), partner(lower).id);
    assert_eq!(world.oracle.flagged(), [first, one, other].into());
    agreed(&world);
}
