//! Acknowledging: when this node writes its acks.
//!
//! Validity asks for nothing of this. A lane is acknowledged while something in it is not settled,
//! soon after that came, and then at a pace; what waits for another partner's ack goes on when that
//! comes.

use std::collections::BTreeMap;

use super::{Notice, Replica};
use crate::authority::Scope;
use crate::body::EmptyBody;
use crate::channel::{Channel, Outcome};
use crate::codec::encode;
use crate::event::Kind;
use crate::graph::Pos;
use crate::id::{ChannelId, LaneId, PartnerId, WriterId};
use crate::lane::LaneForm;
use crate::limits;
use crate::time::{Instant, Now};

/// Where acks are due.
#[derive(Debug, Default)]
pub(super) struct Acks {
    due: BTreeMap<(ChannelId, LaneId), Instant>,
    /// The last own ack of each lane since the start.
    last: BTreeMap<(ChannelId, LaneId), Instant>,
    started: bool,
}

impl Replica {
    /// Something was accepted in a lane: an ack may be due.
    pub(super) fn ack_soon(&mut self, id: ChannelId, lane: LaneId, now: Instant) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let key = (id, lane);
        if self.acks.due.contains_key(&key) {
            return;
        }
        let soon = now.plus(limits::ACK_DELAY_MS);
        let last = self.acks.last.get(&key);
        let paced = last.map(|last| last.plus(pace(channel, lane)));
        let at = paced.map_or(soon, |paced| paced.max(soon));
        self.acks.due.insert(key, at);
    }

    /// Writes the acks that are due; gives the time at which the next one is.
    pub(super) fn acknowledge(&mut self, now: Now) -> Option<Instant> {
        if !self.acks.started {
            self.acks.started = true;
            let lanes = self.channels.iter().flat_map(|(id, channel)| {
                let unsettled = channel
                    .lanes()
                    .filter(|(lane, _)| channel.is_unsettled(**lane));
                unsettled.map(|(lane, _)| (*id, *lane))
            });
            let lanes: Vec<(ChannelId, LaneId)> = lanes.collect();
            for (id, lane) in lanes {
                self.ack_soon(id, lane, now.instant);
            }
        }
        for (id, lane) in self.sync.take_confirmed() {
            self.ack_soon(id, lane, now.instant);
            self.say_what_ended(id, now);
        }
        let due = self.acks.due.iter();
        let due = due.filter(|(_, at)| **at <= now.instant);
        let due: Vec<(ChannelId, LaneId)> = due.map(|(key, _)| *key).collect();
        for (id, lane) in due {
            self.acks.due.remove(&(id, lane));
            self.write_ack(id, lane, now);
        }
        self.acks.due.values().min().copied()
    }

    fn write_ack(&mut self, id: ChannelId, lane: LaneId, now: Now) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let others = readers(channel, lane) > 1;
        if !others || !may_ack(channel, lane, &self.partner) || !channel.is_unsettled(lane) {
            return;
        }
        // A store that is older than it knows must not be written on before anybody asked for it.
        if !self.sync.is_confirmed(channel, lane) {
            self.sync.ask_heads(channel, lane, &mut self.out);
            return;
        }
        let Some(author) = self.writers.seat(channel) else {
            return;
        };
        let mut accepted = Vec::new();
        let result = channel.write_ack(&author, lane, now.wall, &mut accepted);
        if matches!(result, Ok(true)) {
            self.acks.last.insert((id, lane), now.instant);
        }
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(id, outcome, Vec::new(), now);
        if let Err(error) = result {
            self.notify(Notice::Refused {
                peer: self.partner,
                why: format!("own ack: {error}"),
            });
        }
    }

    /// Says in the control lane that this partner knows of a removal or suspension: it takes more
    /// than two thirds that do until the partner concerned is no longer waited for.
    pub(super) fn say_what_ended(&mut self, id: ChannelId, now: Now) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.present().active().len() < limits::LEAST_TO_FORCE
            || !may_ack(channel, channel.control_lane, &self.partner)
        {
            return;
        }
        let confirmed = self.sync.is_confirmed(channel, channel.control_lane);
        let Some(author) = self.writers.seat(channel).filter(|_| confirmed) else {
            return;
        };
        if !is_unsaid(channel, &author.writer) {
            return;
        }
        let mut accepted = Vec::new();
        let body = encode(&EmptyBody {});
        let result = channel.write_act(&author, Kind::Merge, body, now.wall, &mut accepted);
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(id, outcome, Vec::new(), now);
        if let Err(error) = result {
            self.notify(Notice::Refused {
                peer: self.partner,
                why: format!("own merge: {error}"),
            });
        }
    }
}

/// Whether a removal or suspension in effect is new to a writer's log of the control lane.
fn is_unsaid(channel: &Channel, writer: &WriterId) -> bool {
    let graph = channel.graph();
    let chains = graph.branches(channel.control_lane, *writer).first();
    let said = chains.and_then(|chain| graph.last_act(*chain, graph.chain(*chain).head()));
    let knows = |act: Pos| {
        said.is_some_and(|said| {
            said == act || graph.frontier_holds(graph.entry(said).frontier, act)
        })
    };
    let endings = channel.present().endings.iter();
    let mut ended = endings.filter(|ending| {
        let kind = graph.entry(ending.pos).kind;
        ending.scope == Scope::Partner && matches!(kind, Kind::Remove | Kind::Suspend)
    });
    ended.any(|ending| !knows(ending.pos))
}

/// Whether this partner is a member and reads the lane as one.
fn may_ack(channel: &Channel, lane: LaneId, own: &PartnerId) -> bool {
    channel.present().member(own).is_some()
        && channel
            .lane(&lane)
            .is_some_and(|held| held.form == LaneForm::Control || held.audience.contains(own))
}

/// How many partners acknowledge in a lane.
fn readers(channel: &Channel, lane: LaneId) -> usize {
    let members = channel.present().active();
    let audience = channel.lane(&lane).map(|held| held.audience.clone());
    match audience {
        Some(audience) if lane != channel.control_lane => audience.len(),
        _ => members.len(),
    }
}

fn pace(channel: &Channel, lane: LaneId) -> u64 {
    let readers = readers(channel, lane) as u64;
    limits::ACK_MS.max(limits::ACK_MS_PER_READER * readers)
}
