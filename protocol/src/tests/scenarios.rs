//! Stories of a few events each.

use super::history::arrival;
use super::kit::{PARTNERS, To, Wish, World, partner};
use super::node::{Merged, Node};
use super::oracle::{Status, Verdict};
use crate::body::Role;
use crate::event::Event;
use crate::id::{EventId, Hash, LaneId, PartnerId};

#[test]
fn an_invited_partner_accepts_and_posts() {
    let mut world = World::founded();
    world.write(0, Wish::Invite(1, Role::Contributor));
    world.hear_all(1);
    world.write(1, Wish::Accept);
    let post = world.write(1, Wish::Post);
    let mut node = Node::new(world.channel);

    for event in &world.events {
        let key = node
            .channel
            .verifying_key(event)
            .expect("a writer that is known by now");
        event.verify(&key).unwrap();
        node.offer(event, 1).unwrap();
    }

    assert_eq!(node.merged().timeline, [post]);
    assert_eq!(
        standing(&node, 1),
        Some((Status::Active, Role::Contributor))
    );
}

#[test]
fn a_partner_that_was_only_invited_may_not_post() {
    let mut world = World::founded();
    world.write(0, Wish::Invite(1, Role::Admin));
    world.hear_all(1);
    let seen = world.seen[1].clone();
    let (mut header, body) = world.compose(1, &seen, &To::Open, &Wish::Post);
    header.lane = world.open_lane(&[0]);

    let post = world.publish(1, header, body);

    let node = held_by_everyone(&world);
    assert!(node.invalid.contains(&post));
    assert_eq!(standing(&node, 1), Some((Status::Invited, Role::Admin)));
}

#[test]
fn a_grant_by_an_admin_that_is_removed_at_the_same_time_has_no_effect() {
    let mut world = World::with_members(3);
    let removal = world.write(0, Wish::Remove(1));
    let grant = world.write(1, Wish::Grant(2, Role::Observer));

    let node = held_by_everyone(&world);

    assert!(node.accepted.contains(&grant) && node.accepted.contains(&removal));
    assert!(!node.merged().effective.contains(&grant));
    assert_eq!(standing(&node, 1), Some((Status::Removed, Role::Observer)));
    assert_eq!(
        standing(&node, 2),
        Some((Status::Active, Role::Contributor))
    );
}

#[test]
fn a_grant_that_the_remover_knew_of_stays() {
    let mut world = World::with_members(3);
    let grant = world.write(1, Wish::Grant(2, Role::Observer));
    world.hear(0, grant);
    world.write(0, Wish::Remove(1));

    let node = held_by_everyone(&world);

    assert_eq!(standing(&node, 2), Some((Status::Active, Role::Observer)));
}

#[test]
fn whoever_was_invited_by_a_removed_admin_is_no_member() {
    let mut world = World::with_members(3);
    world.write(0, Wish::Remove(1));
    let invitation = world.write(1, Wish::Invite(4, Role::Contributor));
    world.hear(4, invitation);
    world.write(4, Wish::Accept);

    let node = held_by_everyone(&world);

    assert_eq!(standing(&node, 4), None);
}

#[test]
fn a_removed_partner_comes_back_only_by_a_later_invitation_and_its_own_accept() {
    let mut world = World::with_members(3);
    world.write(0, Wish::Remove(2));
    world.write(0, Wish::Invite(2, Role::Observer));
    assert_eq!(
        standing(&held_by_everyone(&world), 2),
        Some((Status::Invited, Role::Observer))
    );

    world.hear_all(2);
    world.write(2, Wish::Accept);

    assert_eq!(
        standing(&held_by_everyone(&world), 2),
        Some((Status::Active, Role::Observer))
    );
}

#[test]
fn a_late_event_slips_in_and_nothing_else_moves() {
    let mut world = World::with_members(3);
    let early = world.write(1, Wish::Post);
    let late = world.write(2, Wish::Post);
    let latest = world.write(1, Wish::Post);
    let without_late =
        |event: &&Event| event.header.writer != partner(2).writer || event.id != late;
    let held: Vec<Event> = world.events.iter().filter(without_late).cloned().collect();
    let mut node = Node::of(world.channel, &held, 1).unwrap();
    assert_eq!(node.merged().timeline, [early, latest]);

    node.offer(world.event(&late), 1).unwrap();

    assert_eq!(node.merged().timeline, [early, late, latest]);
}

#[test]
fn a_lying_clock_reorders_only_what_was_concurrent() {
    let mut world = World::with_members(3);
    let question = world.write(1, Wish::Post);
    world.hear(2, question);
    let truth_ms = world.now_ms;
    world.now_ms = 0;
    let answer = world.write(2, Wish::Reply(question));
    world.now_ms = truth_ms;
    let concurrent = world.write(1, Wish::Post);

    let node = held_by_everyone(&world);

    assert_eq!(node.merged().timeline, [question, answer, concurrent]);
}

#[test]
fn a_clock_that_lies_far_ahead_drags_its_descendants_along() {
    let mut world = World::with_members(3);
    let truth_ms = world.now_ms;
    world.now_ms = u64::MAX - 10_000;
    let boast = world.write(1, Wish::Post);
    world.now_ms = truth_ms;
    let honest = world.write(0, Wish::Post);
    world.hear(2, boast);
    let reply = world.write(2, Wish::Reply(boast));

    let node = held_by_everyone(&world);

    assert_eq!(node.merged().timeline, [honest, boast, reply]);
}

#[test]
fn a_membership_change_moves_the_open_lane_and_back() {
    let mut world = World::with_members(3);
    let before = world.write(1, Wish::Post);
    world.write(0, Wish::Remove(2));
    world.everybody_hears_all();
    let without = world.write(1, Wish::Post);
    world.write(0, Wish::Invite(2, Role::Contributor));
    world.hear_all(2);
    world.write(2, Wish::Accept);
    world.everybody_hears_all();
    let after = world.write(1, Wish::Post);

    let node = held_by_everyone(&world);

    let lane = |id: &EventId| -> LaneId { world.event(id).header.lane };
    assert_eq!(lane(&without), world.open_lane(&[0, 1]));
    assert_eq!(
        [lane(&before), lane(&after)],
        [world.open_lane(&[0, 1, 2]); 2]
    );
    assert!(world.event(&after).header.seq > world.event(&before).header.seq);
    assert!(
        [before, without, after]
            .iter()
            .all(|id| node.accepted.contains(id))
    );
}

#[test]
fn a_post_in_the_lane_that_a_removal_has_closed_is_refused() {
    let mut world = World::with_members(3);
    world.write(1, Wish::Post);
    world.write(0, Wish::Remove(2));
    world.everybody_hears_all();
    let seen = world.seen[1].clone();
    let (mut header, body) = world.compose(1, &seen, &To::Open, &Wish::Post);
    header.lane = world.open_lane(&[0, 1, 2]);
    header.deps.clear();

    let post = world.publish(1, header, body);

    assert!(held_by_everyone(&world).invalid.contains(&post));
}

#[test]
fn an_epoch_that_a_new_sealing_key_left_behind_is_refused() {
    let mut world = World::with_members(3);
    let first = world.write(1, Wish::Post);
    let change = world.write(2, Wish::SealingKey(1));
    world.hear(1, change);

    let old_epoch = world.event(&first).header.key_event;
    let stale = post_under(&mut world, 1, old_epoch);
    let fresh = world.write(1, Wish::Post);

    let node = held_by_everyone(&world);
    assert!(node.invalid.contains(&stale));
    assert!(node.accepted.contains(&fresh));
    assert_ne!(world.event(&fresh).header.key_event, old_epoch);
}

#[test]
fn an_epoch_is_left_behind_by_every_announcement_even_one_that_loses_to_another() {
    for generation in 0..4 {
        let mut world = World::with_members(3);
        let first = world.write(2, Wish::SealingKey(1));
        world.hear(1, first);
        let post = world.write(1, Wish::Post);
        let mut past = world.oracle.past(&first).clone();
        let second = world.write_on(2, &mut past, Wish::SealingKey(generation));
        world.hear(0, first);
        world.write(0, Wish::Post);
        world.hear(1, second);

        let old_epoch = world.event(&post).header.key_event;
        let stale = post_under(&mut world, 1, old_epoch);

        assert!(
            held_by_everyone(&world).invalid.contains(&stale),
            "generation {generation}"
        );
    }
}

#[test]
fn a_key_event_in_parts_between_which_a_sealing_key_changed_is_refused() {
    let mut world = World::with_members(3);
    let mut seen = world.seen[0].clone();
    let mut wraps = world.wraps(&seen, &To::Open);
    let rest = wraps.split_off(1);
    let changed = (0..PARTNERS)
        .find(|whom| partner(*whom).id == wraps[0].partner)
        .unwrap();
    let part = world.write_key_part(0, &mut seen, &To::Open, None, wraps);
    let change = world.write(changed, Wish::SealingKey(1));
    world.hear(0, change);
    let mut seen = world.seen[0].clone();

    let last = world.write_key_part(0, &mut seen, &To::Open, Some(vec![part]), rest);

    assert!(held_by_everyone(&world).invalid.contains(&last));
}

#[test]
fn only_its_author_withdraws_a_post() {
    let mut world = World::with_members(3);
    let posts = [world.write(1, Wish::Post), world.write(1, Wish::Post)];
    world.everybody_hears_all();
    let others = world.write(2, Wish::Redact(posts[0]));
    let own = world.write(1, Wish::Redact(posts[1]));

    let node = held_by_everyone(&world);

    assert!(node.accepted.contains(&others) && node.accepted.contains(&own));
    assert_eq!(node.merged().erased, [posts[1]].into());
}

#[test]
fn an_event_that_lists_what_it_knows_already_is_refused() {
    let mut world = World::with_members(3);
    let first = world.write(1, Wish::Post);
    world.hear(2, first);
    world.write(2, Wish::Post);
    let seen = world.seen[2].clone();
    let (mut header, body) = world.compose(2, &seen, &To::Open, &Wish::Key(1));
    header.deps = world.references(header.lane, &[first].into());

    let redundant = world.publish(2, header, body);

    assert!(held_by_everyone(&world).invalid.contains(&redundant));
}

#[test]
fn an_event_of_another_channel_is_refused_at_once() {
    let mut world = World::with_members(2);
    let seen = world.seen[1].clone();
    let (mut header, body) = world.compose(1, &seen, &To::Open, &Wish::SealingKey(1));
    header.channel.0[0] ^= 1;
    let stray = world.publish(1, header, body);
    let mut node = Node::new(world.channel);

    let outcome = node.offer(world.event(&stray), 1).unwrap();

    assert_eq!(outcome.invalid.len(), 1);
    assert!(outcome.missing.is_empty());
}

/// A node that has held all events, in several orders of arrival, and agrees with the oracle.
fn held_by_everyone(world: &World) -> Node {
    let expected = Merged::by(&world.oracle);
    for seed in 1..10 {
        let node = Node::of(world.channel, &arrival(&world.events, seed), seed).unwrap();
        node.merged().agree(&expected).unwrap();
    }
    Node::of(world.channel, &world.events, 0).unwrap()
}

fn standing(node: &Node, whom: usize) -> Option<(Status, Role)> {
    let id: PartnerId = partner(whom).id;
    node.merged()
        .members
        .get(&id)
        .map(|member| (member.status, member.role))
}

/// A post on all that `who` has seen, sealed under an epoch of its own choice.
fn post_under(world: &mut World, who: usize, key_event: Option<EventId>) -> EventId {
    let seen = world.seen[who].clone();
    let (mut header, body) = world.compose(who, &seen, &To::Open, &Wish::Post);
    header.key_event = key_event;
    header.commitment = key_event.map(|_| Hash([7; 32]));
    let id = world.publish(who, header, body);
    assert_ne!(world.oracle.verdict(&id), Verdict::Parked);
    id
}
