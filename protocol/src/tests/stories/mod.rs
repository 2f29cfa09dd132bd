//! Stories whose outcome is written by hand from docs/protocol.md: the oracle must say so, and
//! the merge with it.

mod cuts;
mod evidence;
mod lanes;
mod quorum;
mod writers;

use super::history::{arrival, settled};
use super::kit::{PARTNERS, World, partner};
use super::node::{Merged, Node};
use super::oracle::{Standing, Status};
use crate::id::EventId;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static fn()> {
    [
        cuts::ALL,
        evidence::ALL,
        lanes::ALL,
        quorum::ALL,
        writers::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Checks that the merge says of a world, in several orders of arrival, what the oracle says.
fn agreed(world: &World) {
    let (events, oracle) = settled(world);
    let expected = Merged::by(&oracle);
    for seed in 1..8 {
        let node = Node::of(world.channel, &arrival(&events, seed), seed).unwrap();
        node.merged().agree(&expected).unwrap();
        assert_eq!(node.digests(), oracle.digests());
    }
}

fn standing(world: &World, whom: usize) -> Option<Standing> {
    let present = world.oracle.present();
    present.members.get(&partner(whom).id).cloned()
}

fn active(world: &World) -> Vec<usize> {
    let is_active = |whom: &usize| {
        standing(world, *whom).is_some_and(|standing| standing.status == Status::Active)
    };
    (0..PARTNERS).filter(is_active).collect()
}

fn has_effect(world: &World, id: EventId) -> bool {
    world.is_accepted(&id) && world.oracle.present().effective.contains(&id)
}
