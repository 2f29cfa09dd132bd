//! Nodes that can reach each other over those who may read a lane have it alike in the end; and
//! those that hold the same events have the same state, reached or not.

use std::collections::BTreeSet;

use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId};
use comity_protocol::sync::heads;
use comity_protocol::wire::Head;

/// What one node has of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    pub node: usize,
    pub heads: Vec<Head>,
    pub timeline: Hash,
    pub state: Hash,
}

impl LaneState {
    pub fn of(node: usize, channel: &Channel, lane: LaneId) -> LaneState {
        LaneState {
            node,
            heads: heads(channel, lane),
            timeline: channel.timeline_digest(lane),
            state: channel.state_digest(lane),
        }
    }

    fn same(&self, other: &LaneState) -> bool {
        self.timeline == other.timeline && self.state == other.state && self.heads == other.heads
    }
}

/// Two that differ, among nodes that reach each other.
pub fn difference(
    channel: ChannelId,
    lane: LaneId,
    states: &[LaneState],
    reach: impl Fn(usize, usize) -> bool,
) -> Option<String> {
    let mut left: BTreeSet<usize> = (0..states.len()).collect();
    while let Some(first) = left.pop_first() {
        let mut group = vec![first];
        let mut at = 0;
        while at < group.len() {
            let (one, two): (BTreeSet<usize>, BTreeSet<usize>) = left
                .iter()
                .partition(|other| reach(states[group[at]].node, states[**other].node));
            group.extend(one);
            left = two;
            at += 1;
        }
        let differs = group.iter().find(|at| !states[**at].same(&states[first]));
        if let Some(other) = differs {
            let (one, other) = (&states[first], &states[*other]);
            return Some(format!(
                "nodes {} and {} differ in lane {lane:?} of {channel:?}: {one:?} and {other:?}",
                one.node, other.node
            ));
        }
    }
    None
}

/// The events of a channel that a node has accepted.
pub fn events_of(channel: &Channel) -> BTreeSet<EventId> {
    let chains = channel.graph().chains().iter();
    let mut ids = BTreeSet::new();
    for (number, chain) in chains.enumerate() {
        for seq in chain.first..=chain.head() {
            let pos = comity_protocol::graph::Pos {
                chain: number as u32,
                seq,
            };
            if let Some(entry) = channel.graph().get(pos) {
                ids.insert(entry.id);
            }
        }
    }
    ids
}
