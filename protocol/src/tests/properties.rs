//! What must hold for every history and every order of arrival.
//!
//! The seeds are fixed, so that a failure is the same for everybody; `PROPTEST_CASES` runs more
//! cases and `PROPTEST_RNG_SEED` other ones.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::history::{Story, arrival, play, settled, stories};
use super::kit::{To, Wish, World, partner};
use super::node::{Merged, Node};
use super::oracle::{Ids, Oracle, Verdict};
use crate::body::Role;
use crate::event::{Event, Kind};
use crate::id::EventId;
use crate::limits;

/// Histories tried where nothing else is asked for.
const CASES: u32 = 100;
/// Orders of arrival tried of each.
const ORDERS: u64 = 3;

#[test]
fn every_order_of_arrival_gives_what_the_oracle_says() {
    let histories = (stories(1..60), any::<u64>());
    for_all(&histories, |(story, seed)| {
        orders_agree_with_the_oracle(&story, seed)
    });
}

#[test]
fn verdicts_are_never_opposite_even_where_branches_of_a_fork_are_uncited() {
    let histories = (stories(1..60), any::<u64>());
    for_all(&histories, |(story, seed)| {
        let world = play(&story);
        let one = Node::of(world.channel, &arrival(&world.events, seed), seed)?;
        let two = Node::of(world.channel, &arrival(&world.events, !seed), seed)?;
        check(
            one.accepted.is_disjoint(&two.invalid),
            "accepted here, invalid there",
        )?;
        check(
            one.invalid.is_disjoint(&two.accepted),
            "invalid here, accepted there",
        )?;
        let possible = world.oracle.with_verdict(Verdict::Accepted);
        check(
            one.accepted.is_subset(&possible),
            "accepted, but not by the oracle",
        )?;
        check(
            two.accepted.is_subset(&possible),
            "accepted, but not by the oracle",
        )?;
        one.check_timeline_extends_causality(&world.oracle)?;
        two.check_timeline_extends_causality(&world.oracle)
    });
}

#[test]
fn nodes_that_hear_the_rest_later_agree_with_those_that_heard_all_at_once() {
    let histories = (stories(1..60), any::<u64>(), any::<usize>());
    for_all(&histories, |(story, seed, cut)| {
        let (events, oracle) = settled(&play(&story));
        let (early, late) = events.split_at(cut % events.len());
        let order = [arrival(early, seed), arrival(late, seed)].concat();
        let node = Node::of(oracle.channel(), &order, seed)?;
        node.merged().agree(&Merged::by(&oracle))
    });
}

#[test]
fn no_reader_needs_what_it_may_not_read() {
    for_all(&stories(1..60), |story| {
        let world = play(&story);
        let oracle = &world.oracle;
        let messages = oracle.accepted().filter(|id| !oracle.is_control(id));
        for id in messages {
            let past = oracle.past(id).iter().filter(|id| !oracle.is_control(id));
            let readable = |cited: &EventId| {
                let (lane, cited) = (oracle.lane_of(id), oracle.lane_of(cited));
                if story.history == 2 && cited.is_open {
                    return true;
                }
                let joined_later = story.history == 2 && lane.is_open;
                cited.id == lane.id || !joined_later && lane.audience.is_subset(&cited.audience)
            };
            let mut hidden = past.filter(|cited| !readable(cited));
            check(
                hidden.next().is_none(),
                "an event has something in its past that one of its readers may not read",
            )?;
        }
        Ok(())
    });
}

#[test]
fn nothing_of_a_removed_partner_takes_effect_outside_the_removers_past() {
    let histories = (stories(10..60), any::<u64>());
    for_all(&histories, |(story, seed)| {
        let (events, oracle) = settled(&play(&story));
        let node = Node::of(oracle.channel(), &arrival(&events, seed), seed)?;
        let effective = node.merged().effective;
        let removals = removals_by_the_owner(&oracle, &effective);
        removals.iter().try_for_each(|(removal, gone)| {
            let acts = effective
                .iter()
                .filter(|id| oracle.author(id) == *gone && takes_leave_of_others(&oracle, id));
            // Owners may remove themselves, by a quorum of the others.
            let mut outside = acts.filter(|id| {
                *id != removal
                    && !oracle.past(removal).contains(id)
                    && !oracle.past(id).contains(removal)
            });
            check(
                outside.next().is_none(),
                "an act of a removed partner has effect",
            )
        })
    });
}

#[test]
fn what_a_partner_writes_after_it_was_removed_or_has_left_is_invalid() {
    let endings = prop_oneof![
        Just((0, Wish::Remove(3))),
        Just((1, Wish::Suspend(3))),
        Just((3, Wish::Leave))
    ];
    let attempts = prop_oneof![
        Just(Wish::Post),
        Just(Wish::Invite(4, Role::Observer)),
        Just(Wish::SealingKey(1)),
        Just(Wish::Accept),
        Just(Wish::Leave),
        Just(Wish::Key(1)),
    ];
    for_all(
        &(stories(0..10), endings, attempts),
        |(story, (who, ending), attempt)| {
            let mut world = play(&story);
            world.everybody_hears_all();
            let ending = world.write(who, ending);
            world.everybody_hears_all();
            let present = world.oracle.present();
            let in_force = world.is_accepted(&ending) && present.effective.contains(&ending);
            let gone = !present.active().contains(&partner(3).id);
            if !in_force || !gone || !world.seen[3].contains(&ending) {
                return Ok(());
            }
            let attempt = world.write(3, attempt);
            let node = Node::of(world.channel, &world.events, 1)?;
            check(
                !node.accepted.contains(&attempt),
                "a partner that is gone has written",
            )
        },
    );
}

#[test]
fn branches_that_honest_writers_have_cited_are_accepted_by_everyone() {
    for seed in 0..50 {
        let (world, branches) = fork_taken_up_by_two();

        let node = Node::of(world.channel, &arrival(&world.events, seed), seed).unwrap();

        assert!(
            branches.iter().all(|branch| node.accepted.contains(branch)),
            "order {seed}"
        );
        node.merged().agree(&Merged::by(&world.oracle)).unwrap();
    }
}

#[test]
fn a_branch_is_cited_by_whoever_cites_what_follows_on_it() {
    let mut world = World::with_members(4);
    let first = world.write(2, Wish::Post);
    let mut past = world.oracle.past(&first).clone();
    let second = world.write_on(2, &mut past, Wish::Key(1));
    let following = world.write_on(2, &mut past, Wish::Post);
    world.hear(3, following);
    let citing = world.write(3, Wish::Post);
    assert!(
        world
            .event(&citing)
            .header
            .deps
            .iter()
            .all(|dep| dep.id != second)
    );

    for seed in 0..50 {
        let node = Node::of(world.channel, &arrival(&world.events, seed), seed).unwrap();

        assert!(
            node.accepted.contains(&citing),
            "order {seed}: an honest writer's event is stuck"
        );
    }
}

#[test]
fn a_second_branch_that_nobody_cites_waits() {
    let mut world = World::with_members(3);
    let first = world.write(2, Wish::Post);
    let mut past = world.oracle.past(&first).clone();
    let second = world.write_on(2, &mut past, Wish::Post);
    let mut node = Node::of(world.channel, &world.events[..world.events.len() - 1], 1).unwrap();

    let outcome = node.offer(world.event(&second), 1).unwrap();

    assert!(!outcome.forks.is_empty() && outcome.accepted.is_empty());
    assert!(node.accepted.contains(&first) && !node.accepted.contains(&second));
}

#[test]
fn a_peer_that_parks_too_much_loses_its_own_oldest_and_nobody_elses() {
    let mut world = World::with_members(3);
    let mut node = Node::of(world.channel, &world.events, 1).unwrap();
    let waiting =
        events_without_their_past(&mut world, 1 + limits::PARKED_BYTES_PER_PEER / (50 << 10));
    let (modest, greedy) = waiting.split_at(3);

    modest
        .iter()
        .for_each(|event| assert!(node.offer(event, 1).unwrap().accepted.is_empty()));
    let evicted: usize = greedy
        .iter()
        .map(|event| node.offer(event, 2).unwrap().evicted)
        .sum();

    let parking = &node.channel.parking;
    let (_, bytes) = parking.weight();
    assert!(evicted > 0);
    assert!(
        bytes <= limits::PARKED_BYTES_PER_PEER + modest.iter().map(Event::weight).sum::<usize>()
    );
    assert!(modest.iter().all(|event| parking.contains(&event.id)));
    assert!(
        greedy[..evicted]
            .iter()
            .all(|event| !parking.contains(&event.id))
    );
    assert!(
        greedy[evicted..]
            .iter()
            .all(|event| parking.contains(&event.id))
    );
}

#[test]
fn a_thicket_of_waiting_events_is_taken_in_without_delay() {
    let mut world = World::with_members(4);
    let root = world.write(2, Wish::Post);
    world.everybody_hears_all();
    for _ in 0..40 {
        let both = [world.write(2, Wish::Post), world.write(3, Wish::Post)];
        both.iter()
            .for_each(|id| (2..4).for_each(|who| world.hear(who, *id)));
    }
    let held_back = |event: &&Event| event.id != root;
    let rest: Vec<Event> = world.events.iter().filter(held_back).cloned().collect();
    let mut node = Node::of(world.channel, &rest, 1).unwrap();

    node.offer(world.event(&root), 1).unwrap();

    node.merged().agree(&Merged::by(&world.oracle)).unwrap();
}

/// Offers a settled history in several orders and compares each with the oracle and with the
/// first.
fn orders_agree_with_the_oracle(story: &Story, seed: u64) -> Result<(), String> {
    let (events, oracle) = settled(&play(story));
    let expected = Merged::by(&oracle);
    let digests = oracle.digests();
    for order in 0..ORDERS {
        let seed = seed.wrapping_add(order);
        let node = Node::of(oracle.channel(), &arrival(&events, seed), seed)?;
        node.merged().agree(&expected)?;
        node.check_timeline_extends_causality(&oracle)?;
        check(
            node.digests() == digests,
            "the digests are not those of the oracle",
        )?;
    }
    Ok(())
}

/// Runs a property over what a strategy gives; a failure shows the smallest case and the seed.
pub fn for_all<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Result<(), String>) {
    for_so_many(CASES, strategy, property);
}

/// The same for so many cases, where nothing else is asked for.
pub fn for_so_many<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), String>,
) {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    if config.cases == 256 {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let seed = config.rng_seed;
    let mut runner = TestRunner::new(config);
    let result = runner.run(strategy, |value| {
        property(value).map_err(TestCaseError::fail)
    });
    if let Err(failure) = result {
        panic!("PROPTEST_RNG_SEED={seed}: {failure}");
    }
}

pub fn check(held: bool, what: &str) -> Result<(), String> {
    if held { Ok(()) } else { Err(what.to_string()) }
}

/// Partner 2 forks its log; 0 has seen one branch, 3 the other, and both go on writing.
fn fork_taken_up_by_two() -> (World, Vec<EventId>) {
    let mut world = World::with_members(4);
    let first = world.write(2, Wish::Post);
    let mut past = world.oracle.past(&first).clone();
    let second = world.write_on(2, &mut past, Wish::Key(1));
    for (who, branch) in [(0, first), (3, second)] {
        world.hear(who, branch);
        world.write(who, Wish::Post);
    }
    world.everybody_hears_all();
    world.write(1, Wish::Post);
    (world, vec![first, second])
}

/// Effective removals by the founder, with whom they remove.
fn removals_by_the_owner(oracle: &Oracle, effective: &Ids) -> Vec<(EventId, crate::id::PartnerId)> {
    let founder = partner(0).id;
    let removals = effective.iter().filter(|id| {
        oracle.event(id).header.kind() == Kind::Remove && oracle.author(id) == founder
    });
    removals
        .filter_map(|id| Some((*id, removed(oracle.event(id))?)))
        .collect()
}

fn removed(event: &Event) -> Option<crate::id::PartnerId> {
    use crate::codec::Canonical;
    crate::body::RemoveBody::from_bytes(&event.body)
        .ok()
        .map(|body| body.partner)
}

/// Acts that need a role, on somebody else; the sovereign ones bear on their author alone.
fn takes_leave_of_others(oracle: &Oracle, id: &EventId) -> bool {
    use crate::codec::Canonical;
    let event = oracle.event(id);
    match event.header.kind() {
        Kind::Invite | Kind::Remove | Kind::Suspend => true,
        Kind::Grant => crate::body::GrantBody::from_bytes(&event.body)
            .is_ok_and(|grant| grant.partner != oracle.author(id)),
        _ => false,
    }
}

/// Posts of partner 2 of some 50 KiB each, all following one that nobody has.
fn events_without_their_past(world: &mut World, count: usize) -> Vec<Event> {
    let seen = world.seen[2].clone();
    let (mut header, _) = world.compose(2, &seen, &To::Open, &Wish::Post);
    let write = |seq: usize| {
        header.seq = 2 + seq as u64;
        header.prev = Some(EventId([seq as u8; 32]));
        let id = world.publish(2, header.clone(), vec![seq as u8; 50 << 10]);
        assert_eq!(world.oracle.verdict(&id), Verdict::Parked);
        world.event(&id).clone()
    };
    (0..count).map(write).collect()
}
