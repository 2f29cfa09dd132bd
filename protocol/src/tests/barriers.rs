//! Finality under random histories: what the merge makes of acks, compared with the oracle, and
//! that nothing changes any more which a barrier holds.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::history::{arrival, play, settled, settling_stories};
use super::kit::{NODES, PARTNERS, Wish, World, node, partner};
use super::node::{Merged, Node};
use super::oracle::{Ids, Oracle};
use super::properties::{check, for_so_many};
use crate::body::Role;
use crate::event::{Event, Kind};
use crate::finality::STEPS;
use crate::id::{LaneId, PartnerId, WriterId};

/// Histories tried where nothing else is asked for: each is long and has many acks.
const HISTORIES: u32 = 30;

/// The list of a partner's identity of which the shared key is the seat.
const LIST_OF_THE_SHARED_KEY: usize = 7;

#[test]
fn every_order_of_arrival_gives_the_barriers_that_the_oracle_says() {
    let shares = Shares::default();
    let histories = (settling_stories(5..60), any::<u64>(), any::<usize>());
    for_so_many(HISTORIES, &histories, |(story, seed, cut)| {
        let (events, oracle) = settled(&play(&story));
        let expected = Merged::by(&oracle);
        let digests = oracle.digests();
        let is_sound = Soundness::of(&oracle).holds_everywhere(&oracle);
        shares.count(&oracle, &expected, is_sound);
        let (early, late) = events.split_at(cut % events.len());
        let orders = [
            arrival(&events, seed),
            [arrival(early, seed), arrival(late, !seed)].concat(),
        ];
        for order in orders {
            let mut node = Node::new(oracle.channel());
            for event in &order {
                node.offer(event, seed as usize % PARTNERS)?;
                if is_sound {
                    node.check_nothing_settled_changed()?;
                }
            }
            agrees(&node, &expected, &digests)?;
            agrees(&node.restarted()?, &expected, &digests)?;
        }
        Ok(())
    });
    shares.check();
}

#[test]
fn whose_seat_a_shared_key_is_does_not_depend_on_what_came_first() {
    let mut world = World::with_members(4);
    let (one, other) = (node(4, 4), node(5, 4));
    for (who, whom) in [(0, one), (1, other)] {
        let invite = Wish::InviteWith(whom % PARTNERS, Role::Contributor, LIST_OF_THE_SHARED_KEY);
        world.write(who, invite);
        world.hear_from(whom, who);
        world.write(whom, Wish::Accept);
        world.hear_from(who, whom);
        world.write(who, Wish::Merge);
    }
    world.everybody_hears_all();
    let post = world.write(0, Wish::Post);
    let lane = world.oracle.lane_of(&post).clone();
    world.everybody_hears_all();
    for _ in 0..3 {
        (0..4).for_each(|who| assert!(world.acknowledge(who, &lane).is_some()));
        world.everybody_hears_all();
    }
    let (events, oracle) = settled(&world);
    let expected = Merged::by(&oracle);
    assert!(lane.audience.len() == 6 && expected.barriers.contains_key(&lane.id));

    for seed in 0..20 {
        let node = Node::of(world.channel, &arrival(&events, seed), seed).unwrap();

        node.merged().agree(&expected).unwrap();
    }
}

/// What an event with an old past costs does not grow with what came to stand since.
#[test]
fn an_event_with_an_old_past_goes_through_no_barrier_above_it() {
    let mut costs = Vec::new();
    for rounds in [20, 120] {
        let mut world = World::with_members(2);
        let mut old = world.seen[1].clone();
        let control = world.lanes_seen(0).remove(0);
        for _ in 0..rounds {
            world.acknowledge(0, &control).expect("a next round");
        }
        let late = world.write_on(1, &mut old, Wish::Merge);
        let (before, last): (Vec<Event>, Vec<Event>) = world
            .events
            .iter()
            .cloned()
            .partition(|event| event.id != late);
        let mut node = Node::new(world.channel);
        for event in &before {
            node.channel.offer(event.clone(), None);
        }
        STEPS.set(0);
        node.channel.offer(last[0].clone(), None);
        costs.push(STEPS.get());
    }
    println!("certificates looked at: {costs:?}");
    assert!(costs[1] <= costs[0] + 2, "{costs:?}");
}

fn agrees(
    node: &Node,
    expected: &Merged,
    digests: &std::collections::BTreeMap<LaneId, super::oracle::Digests>,
) -> Result<(), String> {
    node.merged().agree(expected)?;
    check(
        node.digests() == *digests,
        "the digests are not those of the oracle",
    )
}

/// How many histories had what.
#[derive(Debug, Default)]
struct Shares {
    histories: Cell<usize>,
    sound: Cell<usize>,
    stood: Cell<usize>,
    stood_in_control: Cell<usize>,
    stood_by_majority: Cell<usize>,
    two_stood: Cell<usize>,
    forced: Cell<usize>,
    late: Cell<usize>,
    /// An act without effect that would have had, or the other way round, if no barrier stood.
    too_late_to_void: Cell<usize>,
    /// A message is flagged, or is not, against what all that is held would say.
    flags_decided: Cell<usize>,
    entered: Cell<usize>,
    finals: Cell<usize>,
}

impl Shares {
    fn count(&self, oracle: &Oracle, merged: &Merged, is_sound: bool) {
        let one = |of: &Cell<usize>, is: bool| of.set(of.get() + usize::from(is));
        one(&self.histories, true);
        one(&self.sound, is_sound);
        one(&self.stood, !merged.barriers.is_empty());
        let control = oracle.control_lane();
        one(
            &self.stood_in_control,
            merged.barriers.contains_key(&control),
        );
        one(
            &self.stood_by_majority,
            oracle.by_majority() && !merged.barriers.is_empty(),
        );
        one(
            &self.two_stood,
            merged.barriers.values().any(|chain| chain.len() > 1),
        );
        one(&self.forced, oracle.acks_by(|ack| ack.forces));
        one(&self.entered, oracle.acks_by(|ack| ack.is_entry));
        one(&self.late, !merged.late.is_empty());
        one(&self.finals, !merged.finals.is_empty());
        let (effective, flagged) = oracle.flat();
        one(&self.too_late_to_void, effective != merged.effective);
        one(&self.flags_decided, flagged != merged.flagged);
    }

    fn check(&self) {
        println!("{self:?}");
        let share = |of: &Cell<usize>, percent: usize, what: &str| {
            let (of, all) = (of.get(), self.histories.get());
            assert!(of * 100 >= all * percent, "{what}: {of} of {all}");
        };
        share(&self.stood, 50, "a barrier stood");
        share(&self.stood_in_control, 20, "one stood in the control lane");
        share(&self.stood_by_majority, 5, "one stood by majority");
        share(&self.two_stood, 20, "two stood in one lane");
        share(&self.sound, 20, "the conditions were kept");
        share(&self.forced, 5, "somebody was forced out");
        share(&self.entered, 20, "somebody entered");
        share(&self.late, 1, "something was late");
        share(&self.too_late_to_void, 3, "an act came too late");
        share(&self.flags_decided, 1, "a barrier decided flags");
        share(&self.finals, 20, "something was final");
    }
}

/// Who kept its word in a history: what finality holds by.
struct Soundness {
    /// Partners none of whose writers forked a log, and which neither left nor lost their seat.
    honest: BTreeSet<PartnerId>,
}

impl Soundness {
    fn of(oracle: &Oracle) -> Soundness {
        let honest = (0..PARTNERS).map(|number| partner(number).id);
        let honest = honest.filter(|whom| !is_doubtful(oracle, *whom));
        Soundness {
            honest: honest.collect(),
        }
    }

    /// Whether in every lane that has acks one honest partner is in every set, and where anybody
    /// was forced out, more than two thirds of each bounding set are honest.
    fn holds_everywhere(&self, oracle: &Oracle) -> bool {
        let lanes = oracle.lanes_with_acks();
        lanes.into_iter().all(|lane| self.holds_in(oracle, lane))
    }

    fn holds_in(&self, oracle: &Oracle, lane: LaneId) -> bool {
        let acks = oracle.acks_in(lane);
        let honest = |whom: &PartnerId| self.honest.contains(whom);
        let in_all = self.honest.iter().any(|whom| {
            let in_set = |ack: &super::oracle::Ack| ack.set.contains(&(*whom, 0));
            acks.iter().all(|ack| in_set(ack))
        });
        let forced: Vec<_> = acks.iter().filter(|ack| ack.forces).collect();
        let bounded = forced.iter().all(|ack| {
            let sets = ack.bounding_sets.iter();
            sets.clone().all(|set| {
                let lying = set.iter().filter(|(whom, _)| !honest(whom)).count();
                lying * 3 < set.len()
            })
        });
        // By majority nobody may lie at all.
        let nobody_lies = || acks.iter().all(|ack| honest(&ack.author.0));
        in_all && bounded && (!oracle.by_majority() || nobody_lies())
    }
}

/// Whether a partner forked a log of any of its writers, left, or lost its seat.
fn is_doubtful(oracle: &Oracle, whom: PartnerId) -> bool {
    let number = (0..PARTNERS).find(|number| partner(*number).id == whom);
    let writers: BTreeSet<WriterId> = number
        .into_iter()
        .flat_map(|number| (0..NODES).map(move |node| partner(number).node(node)))
        .collect();
    let mut positions = BTreeSet::new();
    let accepted: Ids = oracle.accepted().copied().collect();
    accepted.iter().any(|id| {
        let header = &oracle.event(id).header;
        if !writers.contains(&header.writer) {
            return is_transfer_of(oracle, id, whom);
        }
        let twice = !positions.insert((header.lane, header.writer, header.seq));
        let goes = matches!(header.kind(), Kind::Leave | Kind::SeatMove);
        twice || goes || is_transfer_of(oracle, id, whom)
    })
}

fn is_transfer_of(oracle: &Oracle, id: &crate::id::EventId, whom: PartnerId) -> bool {
    oracle.event(id).header.kind() == Kind::SeatTransfer && oracle.is_of(id, whom)
}
