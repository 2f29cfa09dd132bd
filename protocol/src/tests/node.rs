//! The real merge under test: a channel that is offered events and checked at every step.

use std::collections::{BTreeMap, BTreeSet};

use super::kit::{Dice, PARTNERS, cited, partner};
use super::oracle::{Digests, Ids, Oracle, Status, Verdict};
use crate::authority;
use crate::body::Role;
use crate::channel::{Channel, Outcome};
use crate::event::Event;
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};
use crate::sync;
use crate::wire::heads_digest;

/// What two nodes that hold the same events must agree on, and with the oracle.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    pub accepted: Ids,
    pub invalid: Ids,
    pub effective: Ids,
    pub members: BTreeMap<PartnerId, Member>,
    /// The messages that are not flagged, in order.
    pub timeline: Vec<EventId>,
    pub flagged: Ids,
    pub erased: Ids,
    /// Messages that bear the mark of a fork.
    pub forked: Ids,
    /// Per message what it is about, where that has effect.
    pub about: BTreeMap<EventId, EventId>,
    /// Messages that came after a barrier below which they would have stood.
    pub late: Ids,
    /// All events of which nothing can change any more.
    pub finals: Ids,
    /// Per lane the numbers and digests of the barriers that stand, the lowest first.
    pub barriers: BTreeMap<LaneId, Vec<(u64, Hash)>>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    pub status: Status,
    pub role: Role,
    pub seat: WriterId,
    pub writers: BTreeSet<WriterId>,
    pub number: u64,
    /// The event that announced its sealing key.
    pub announcement: Option<EventId>,
}

impl Merged {
    pub fn by(oracle: &Oracle) -> Merged {
        let present = oracle.present();
        let members = present.members.iter().map(|(partner, member)| {
            let announcement = member.sealing_key.map(|(event, _)| event);
            let member = Member {
                status: member.status,
                role: member.role,
                seat: member.seat,
                writers: member.writers.clone(),
                number: member.number,
                announcement,
            };
            (*partner, member)
        });
        let about = |id: &EventId| Some((*id, oracle.about(id)?));
        Merged {
            accepted: oracle.with_verdict(Verdict::Accepted),
            invalid: oracle.with_verdict(Verdict::Invalid),
            effective: present.effective.clone(),
            members: members.collect(),
            timeline: oracle.timeline(),
            flagged: oracle.flagged(),
            erased: oracle.erased(),
            forked: oracle.forked(),
            about: oracle.accepted().filter_map(about).collect(),
            late: oracle.late(),
            finals: oracle.finals(),
            barriers: oracle.all_barriers(),
        }
    }

    /// The first difference, in words.
    pub fn agree(&self, other: &Merged) -> Result<(), String> {
        let differ = |what: &str, one: &dyn std::fmt::Debug, two: &dyn std::fmt::Debug| {
            Err(format!("{what} differ:\n  {one:?}\n  {two:?}"))
        };
        let only = |one: &Ids, two: &Ids| one.difference(two).copied().collect::<Ids>();
        let sets = [
            ("accepted", &self.accepted, &other.accepted),
            ("invalid", &self.invalid, &other.invalid),
            ("effective", &self.effective, &other.effective),
            ("flagged", &self.flagged, &other.flagged),
            ("erased", &self.erased, &other.erased),
            ("forked", &self.forked, &other.forked),
            ("late", &self.late, &other.late),
            ("final", &self.finals, &other.finals),
        ];
        if self.barriers != other.barriers {
            return differ("barriers", &self.barriers, &other.barriers);
        }
        for (what, one, two) in sets {
            if one != two {
                return differ(what, &only(one, two), &only(two, one));
            }
        }
        if self.members != other.members {
            return differ("members", &self.members, &other.members);
        }
        if self.about != other.about {
            return differ("targets", &self.about, &other.about);
        }
        if self.timeline != other.timeline {
            return differ("timelines", &self.timeline, &other.timeline);
        }
        Ok(())
    }
}

/// What barriers held when they came to stand.
#[derive(Debug, Default)]
pub struct Frozen {
    barriers: BTreeMap<LaneId, Vec<(u64, Hash)>>,
    /// Per lane, the messages held in their order, and whether each is flagged.
    messages: BTreeMap<LaneId, Vec<(EventId, bool)>>,
    /// The control events held, and whether each has effect.
    acts: BTreeMap<EventId, bool>,
}

/// One node's channel, and what was seen of it.
pub struct Node {
    pub channel: Channel,
    pub accepted: Ids,
    pub invalid: Ids,
    timeline: Vec<EventId>,
    positions: BTreeMap<EventId, Pos>,
    /// What was accepted, in that order.
    stored: Vec<Event>,
    /// What the barriers that stood hold, as it was when they came to stand.
    pub settled: Frozen,
}

impl Node {
    pub fn new(channel: ChannelId) -> Node {
        Node {
            channel: Channel::new(channel),
            accepted: Ids::new(),
            invalid: Ids::new(),
            timeline: Vec::new(),
            positions: BTreeMap::new(),
            stored: Vec::new(),
            settled: Frozen::default(),
        }
    }

    /// Offers all events in this order, from peers that `seed` picks.
    pub fn of(channel: ChannelId, events: &[Event], seed: u64) -> Result<Node, String> {
        let mut dice = Dice(seed);
        let mut node = Node::new(channel);
        for event in events {
            node.offer(event, dice.below(PARTNERS))?;
        }
        Ok(node)
    }

    /// Offers an event and checks what must hold at every step.
    pub fn offer(&mut self, event: &Event, peer: usize) -> Result<Outcome, String> {
        let outcome = self.channel.offer(event.clone(), Some(partner(peer).id));
        self.invalid
            .extend(outcome.invalid.iter().map(|(id, ..)| *id));
        for accepted in &outcome.accepted {
            self.check_past_is_accepted(&accepted.event)?;
            self.check_writer_is_known(&accepted.event)?;
            self.accepted.insert(accepted.event.id);
        }
        self.take(&outcome);
        if let Some(both) = self.accepted.intersection(&self.invalid).next() {
            return Err(format!("{both} was found invalid and is accepted"));
        }
        self.check_nothing_swapped()?;
        Ok(outcome)
    }

    fn check_past_is_accepted(&self, event: &Event) -> Result<(), String> {
        match cited(&event.header).find(|id| !self.accepted.contains(id)) {
            Some(missing) => Err(format!(
                "{} was accepted before {missing}, which it cites",
                event.id
            )),
            None => Ok(()),
        }
    }

    /// Nothing is accepted that the signature could not have been checked of.
    fn check_writer_is_known(&self, event: &Event) -> Result<(), String> {
        let verified = |key| event.verify(&key).is_ok();
        if self.channel.verifying_key(event).is_some_and(verified) {
            return Ok(());
        }
        Err(format!(
            "{} was accepted and its writer is not known",
            event.id
        ))
    }

    /// Checks that what a barrier holds is as it was when that came to stand, and notes what new
    /// ones hold.
    pub fn check_nothing_settled_changed(&mut self) -> Result<(), String> {
        let barriers = self.barriers();
        for (lane, before) in &self.settled.barriers {
            if !barriers
                .get(lane)
                .is_some_and(|now| now.starts_with(before))
            {
                return Err("a barrier that stood does not stand any more".to_string());
            }
        }
        for (lane, before) in &self.settled.messages {
            if !self.messages_of(*lane).starts_with(before) {
                return Err("the messages that a barrier holds are not what they were".to_string());
            }
        }
        for (id, before) in &self.settled.acts {
            if self.has_effect(id) != *before {
                return Err("an act that a barrier holds is not worth what it was".to_string());
            }
        }
        for (lane, barriers) in barriers {
            if self.settled.barriers.get(&lane) == Some(&barriers) {
                continue;
            }
            let finality = self.channel.finality(lane);
            let settled = finality.map(|finality| &finality.settled);
            let holds = |id: &EventId| settled.is_some_and(|one| one.holds(self.positions[id]));
            let mut messages = self.messages_of(lane);
            let count = messages.iter().filter(|(id, _)| holds(id)).count();
            if !messages[..count].iter().all(|(id, _)| holds(id)) {
                return Err("something stands among what a barrier holds that it lacks".to_string());
            }
            messages.truncate(count);
            if lane == self.channel.control_lane {
                let held = self
                    .positions
                    .keys()
                    .filter(|id| self.channel.lane_of(self.positions[*id]) == lane && holds(id));
                let acts = held.map(|id| (*id, self.has_effect(id)));
                self.settled.acts = acts.collect();
            }
            self.settled.messages.insert(lane, messages);
            self.settled.barriers.insert(lane, barriers);
        }
        Ok(())
    }

    fn has_effect(&self, id: &EventId) -> bool {
        self.channel
            .present()
            .effective
            .contains(&self.positions[id])
    }

    /// The messages of a lane in order, and whether each is flagged.
    fn messages_of(&self, lane: LaneId) -> Vec<(EventId, bool)> {
        let messages = self.channel.timeline().iter();
        let messages = messages.filter(|pos| self.channel.lane_of(**pos) == lane);
        let named =
            messages.map(|pos| (self.channel.entry(*pos).id, self.channel.is_flagged(*pos)));
        named.collect()
    }

    /// What changes its place moves up, because a barrier lacks it.
    fn check_nothing_swapped(&mut self) -> Result<(), String> {
        let timeline: Vec<EventId> = self.ids(self.channel.timeline());
        let moved = |id: &EventId| self.channel.is_moved(self.positions[id]);
        let mut later = timeline.iter();
        let held: Ids = timeline.iter().copied().collect();
        let still_held = self.timeline.iter();
        let mut still_held = still_held.filter(|id| held.contains(id) && !moved(id));
        if !still_held.all(|id| later.any(|other| other == id)) {
            return Err("events that were held have changed places".to_string());
        }
        self.timeline = timeline;
        Ok(())
    }

    /// Checks that each event stands after all that is in its past.
    pub fn check_timeline_extends_causality(&self, oracle: &Oracle) -> Result<(), String> {
        let mut before = Ids::new();
        let all: Ids = self.timeline.iter().copied().collect();
        for id in &self.timeline {
            if oracle
                .past(id)
                .iter()
                .any(|earlier| all.contains(earlier) && !before.contains(earlier))
            {
                return Err(format!("{id} stands before something in its past"));
            }
            before.insert(*id);
        }
        Ok(())
    }

    pub fn merged(&self) -> Merged {
        let present = self.channel.present();
        let members = present.members.iter().map(|(partner, member)| {
            let member = Member {
                status: status(member.status),
                role: member.role,
                seat: member.seat,
                writers: member.writers.clone(),
                number: member.number,
                announcement: member.sealing_key.as_ref().map(|(event, _)| *event),
            };
            (*partner, member)
        });
        let effective: Vec<_> = present.effective.iter().copied().collect();
        let messages = self.channel.timeline();
        let which = |wanted: &dyn Fn(Pos) -> bool| -> Vec<EventId> {
            let wanted = messages.iter().copied().filter(|pos| wanted(*pos));
            self.ids(&wanted.collect::<Vec<Pos>>())
        };
        let flagged = |pos: Pos| self.channel.is_flagged(pos);
        let about = messages.iter().filter_map(|pos| {
            let target = self.channel.parent(*pos)?;
            Some((self.channel.entry(*pos).id, self.channel.entry(target).id))
        });
        Merged {
            accepted: self.accepted.clone(),
            invalid: self.invalid.clone(),
            effective: self.ids(&effective).into_iter().collect(),
            members: members.collect(),
            timeline: which(&|pos| !flagged(pos)),
            flagged: which(&flagged).into_iter().collect(),
            erased: which(&|pos| self.channel.is_erased(pos))
                .into_iter()
                .collect(),
            forked: which(&|pos| self.channel.is_forked(pos))
                .into_iter()
                .collect(),
            about: about.collect(),
            late: which(&|pos| self.channel.came_late(pos))
                .into_iter()
                .collect(),
            finals: self.finals(),
            barriers: self.barriers(),
        }
    }

    fn finals(&self) -> Ids {
        let finals = self.positions.iter();
        let finals = finals.filter(|(_, pos)| self.channel.is_final(**pos));
        finals.map(|(id, _)| *id).collect()
    }

    /// Per lane the barriers that stand, the lowest first.
    pub fn barriers(&self) -> BTreeMap<LaneId, Vec<(u64, Hash)>> {
        let lanes = self.channel.lanes().map(|(lane, _)| *lane);
        let barriers = lanes.map(|lane| (lane, self.channel.barriers(lane)));
        barriers
            .filter(|(_, standing)| !standing.is_empty())
            .collect()
    }

    /// Takes all that this node accepted, in that order, as from its store after a restart.
    pub fn restarted(&self) -> Result<Node, String> {
        let mut node = Node::new(self.channel.id);
        for event in &self.stored {
            let outcome = node.channel.restore(event.clone());
            if outcome.accepted.len() != 1 {
                return Err(format!("{} was not restored", event.id));
            }
            node.take(&outcome);
        }
        node.channel.restored();
        node.invalid.clone_from(&self.invalid);
        node.timeline = node.ids(node.channel.timeline());
        Ok(node)
    }

    fn take(&mut self, outcome: &Outcome) {
        for accepted in &outcome.accepted {
            self.accepted.insert(accepted.event.id);
            self.positions.insert(accepted.event.id, accepted.pos);
            self.stored.push(accepted.event.clone());
        }
    }

    /// Per lane, what nodes compare.
    pub fn digests(&self) -> BTreeMap<LaneId, Digests> {
        let lanes: BTreeSet<LaneId> = self.channel.lanes().map(|(lane, _)| *lane).collect();
        let digests = |lane: LaneId| Digests {
            timeline: self.channel.timeline_digest(lane),
            state: self.channel.state_digest(lane),
            heads: heads_digest(&sync::heads(&self.channel, lane)),
        };
        lanes
            .into_iter()
            .map(|lane| (lane, digests(lane)))
            .collect()
    }

    fn ids(&self, positions: &[Pos]) -> Vec<EventId> {
        positions
            .iter()
            .map(|pos| self.channel.entry(*pos).id)
            .collect()
    }
}

fn status(status: authority::Status) -> Status {
    match status {
        authority::Status::Invited => Status::Invited,
        authority::Status::Active => Status::Active,
        authority::Status::Suspended => Status::Suspended,
        authority::Status::Left => Status::Left,
        authority::Status::Removed => Status::Removed,
    }
}
