//! Histories in which partners acknowledge.

use proptest::collection::vec;
use proptest::prelude::*;

use super::play::pick;
use super::{MEMBERS, RULERS, Story, step, who};
use crate::id::{EventId, Hash};
use crate::tests::kit::{NODES, PARTNERS, To, Wish, World, node, partner, writer};
use crate::tests::oracle::{Ids, Lane, Status};

/// What is wrong with an ack.
#[derive(Debug, Clone, Copy)]
pub enum AckTrick {
    Nothing,
    /// Written on less than its author has seen, so that its log may fork.
    Stale(usize),
    /// A number below or above the one that is valid.
    Number(i8),
    /// The base of some other barrier, or of none.
    Base(usize),
    /// By a node that may not have the seat.
    AnotherNode(usize),
}

/// Partners acknowledge a lane several times, each on what all of them have said.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Which of the lanes that there are.
    pub lane: usize,
    pub rounds: usize,
    /// Partners that say and hear nothing meanwhile.
    pub silent: [bool; PARTNERS],
    /// Whether they have heard all before.
    pub hear: bool,
    /// Whether they say before that they know of who was removed.
    pub tell: bool,
    /// Whether somebody posts meanwhile.
    pub post: bool,
    /// Whom the founder removes before, who hears of nothing.
    pub removes: Option<usize>,
    /// What somebody who heard nothing of all this writes afterwards.
    pub late: Option<Late>,
}

#[derive(Debug, Clone, Copy)]
pub struct Late {
    /// One of the writers that do not acknowledge, or of the partners that are silent.
    pub by: usize,
    pub what: usize,
}

/// Stories in which barriers come to stand.
pub fn settling_stories(length: std::ops::Range<usize>) -> impl Strategy<Value = Story> {
    let quorum = prop_oneof![2 => Just(0), 1 => 1u8..4];
    let finality = prop_oneof![3 => Just(1u8), 1 => Just(2u8)];
    let cites = prop_oneof![3 => Just(false), 1 => Just(true)];
    let kinds = (1u8..3, quorum, finality, cites, 1..=RULERS);
    (kinds, vec(settling_step(), length)).prop_map(
        |((history, quorum, finality, cites_acks, owners), steps)| Story {
            history,
            quorum,
            finality,
            cites_acks,
            owners,
            steps,
        },
    )
}

fn settling_step() -> impl Strategy<Value = super::Step> {
    let at = any::<usize>;
    prop_oneof![
        5 => step(),
        2 => round().prop_map(super::Step::Rounds),
        1 => (who(), at(), ack_trick()).prop_map(|(who, at, trick)| super::Step::Ack(who, at, trick)),
    ]
}

fn ack_trick() -> impl Strategy<Value = AckTrick> {
    prop_oneof![
        4 => Just(AckTrick::Nothing),
        2 => any::<usize>().prop_map(AckTrick::Stale),
        2 => (-3i8..4).prop_map(AckTrick::Number),
        2 => any::<usize>().prop_map(AckTrick::Base),
        1 => any::<usize>().prop_map(AckTrick::AnotherNode),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    let lane = prop_oneof![1 => Just(0), 3 => any::<usize>()];
    let silence = || prop_oneof![9 => Just(false), 1 => Just(true)];
    let silent = [(); PARTNERS].map(|()| silence());
    let mostly = || prop_oneof![4 => Just(true), 1 => Just(false)];
    let removes = prop_oneof![5 => Just(None), 1 => (1..MEMBERS).prop_map(Some)];
    let late = (any::<usize>(), any::<usize>()).prop_map(|(by, what)| Some(Late { by, what }));
    let late = prop_oneof![1 => Just(None), 1 => late];
    let more = (removes, late);
    (
        lane,
        1usize..5,
        silent,
        mostly(),
        mostly(),
        any::<bool>(),
        more,
    )
        .prop_map(
            |(lane, rounds, silent, hear, tell, post, (removes, late))| Round {
                lane,
                rounds,
                silent,
                hear,
                tell,
                post,
                removes,
                late,
            },
        )
}

/// Takes a step in which somebody acknowledges.
pub fn acknowledge(world: &mut World, who: usize, at: usize, trick: AckTrick) {
    let lanes = world.lanes_seen(who);
    let lane = lanes[at % lanes.len()].clone();
    let mut who = who;
    if let AckTrick::AnotherNode(other) = trick {
        who = node(who % PARTNERS, other % 4);
    }
    let mut seen = world.seen[who].clone();
    if let AckTrick::Stale(at) = trick {
        let Some(id) = pick(&seen, at) else { return };
        seen.clone_from(world.oracle.past(&id));
        seen.insert(id);
    }
    let others: Vec<Hash> = world.oracle.every_digest(&lane);
    world.acknowledge_on(who, &mut seen, &lane, |body| match trick {
        AckTrick::Number(by) => body.number = body.number.wrapping_add_signed(i64::from(by)),
        AckTrick::Base(at) => {
            body.base = match others.get(at % (others.len() + 2)) {
                Some(other) => *other,
                None => Hash([(at % 2) as u8; 32]),
            }
        }
        _ => {}
    });
}

/// Takes a step of several rounds.
pub fn rounds(world: &mut World, round: &Round) {
    let (lane, audience) = lane(world, round.lane);
    let before = world.seen.clone();
    if let Some(whom) = round.removes {
        world.write(0, Wish::Remove(whom));
    }
    let present = world.oracle.present();
    let active = |whom: &usize| {
        let member = present.members.get(&partner(*whom).id);
        member.is_some_and(|member| member.status == Status::Active)
    };
    let partners = (0..PARTNERS).filter(|whom| !round.silent[*whom] && active(whom));
    let partners = partners.filter(|whom| audience.as_ref().is_none_or(|all| all.contains(whom)));
    let nodes: Vec<usize> = partners.filter_map(|whom| world.seat(whom)).collect();
    if round.hear {
        nodes.iter().for_each(|node| world.hear_all(*node));
    }
    if round.tell {
        for node in &nodes {
            world.cut_all(*node);
            if knows_of_an_end(world, *node) {
                world.write(*node, Wish::Merge);
            }
        }
    }
    if let (true, Some(node)) = (round.post, nodes.first()) {
        world.write(*node, Wish::Post);
    }
    hear_each_other(world, &nodes);
    for number in 0..round.rounds {
        for node in &nodes {
            world.acknowledge(*node, &lane);
        }
        if let (true, Some(node)) = (round.post && number == 0, nodes.first()) {
            world.write(*node, Wish::Post);
        }
        hear_each_other(world, &nodes);
    }
    if let Some(late) = round.late {
        write_late(world, late, &lane, &nodes, before);
    }
}

/// Somebody who has heard nothing of the rounds writes: mostly a writer without the seat, or a
/// partner that was silent, so that no log forks by it.
fn write_late(world: &mut World, late: Late, lane: &Lane, nodes: &[usize], before: Vec<Ids>) {
    let present = world.oracle.present();
    let is_slow = |who: &usize| {
        let member = present.members.get(&partner(who % PARTNERS).id);
        let writes = member.is_some_and(|member| member.writers.contains(&writer(*who)));
        writes && !nodes.contains(who)
    };
    let slow: Vec<usize> = (0..PARTNERS * NODES).filter(is_slow).collect();
    let Some(who) = slow.get(late.by % slow.len().max(1)).copied() else {
        return;
    };
    let mut seen = before[who].clone();
    let to = match lane.is_open || lane.id == world.control_lane() {
        true => To::Open,
        false => To::Only(
            (0..PARTNERS)
                .filter(|whom| lane.audience.contains(&partner(*whom).id))
                .collect(),
        ),
    };
    let wish = match late.what % 6 {
        0 => Wish::Remove(late.what / 6 % PARTNERS),
        1 => Wish::Suspend(late.what / 6 % PARTNERS),
        2 => Wish::Cut,
        _ => Wish::Post,
    };
    let truth_ms = world.now_ms;
    if (late.what / 6).is_multiple_of(2) {
        world.now_ms = 0;
    }
    world.send_on(who, &mut seen, &to, wish);
    world.now_ms = truth_ms;
}

fn hear_each_other(world: &mut World, nodes: &[usize]) {
    for reader in nodes {
        for writer in nodes {
            world.hear_from(*reader, *writer);
        }
    }
}

/// Whether a removal or suspension is in effect that this node's log of the control lane lacks.
fn knows_of_an_end(world: &World, node: usize) -> bool {
    let seen = &world.seen[node];
    let view = world.oracle.view(seen);
    let endings = world.oracle.endings(&view);
    let own = crate::tests::kit::writer(node);
    let said = |act: &EventId| {
        seen.iter().any(|id| {
            world.event(id).header.writer == own
                && world.oracle.is_control(id)
                && (id == act || world.oracle.past(id).contains(act))
        })
    };
    endings.iter().any(|ending| !said(&ending.act))
}

/// A lane of which something is accepted, and the numbers of those who read it; nothing for all.
fn lane(world: &World, at: usize) -> (Lane, Option<Vec<usize>>) {
    let messages = world.oracle.accepted();
    let messages = messages.filter(|id| !world.oracle.is_control(id));
    let mut lanes: Vec<Lane> = Vec::new();
    for id in messages {
        let lane = world.oracle.lane_of(id);
        if !lanes.contains(lane) {
            lanes.push(lane.clone());
        }
    }
    let control = world.lanes_seen(0).remove(0);
    if at.is_multiple_of(4) || lanes.is_empty() {
        return (control, None);
    }
    let lane = lanes[at / 4 % lanes.len()].clone();
    let readers = (0..PARTNERS).filter(|whom| lane.audience.contains(&partner(*whom).id));
    let readers = readers.collect();
    (lane, Some(readers))
}
