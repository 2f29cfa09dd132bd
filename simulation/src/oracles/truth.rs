//! What really happened: which events were written by whom, which lanes there are and for whom,
//! taken from the events themselves and from nobody's judgement of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use comity_protocol::body::{Charter, KeyBody};
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Kind};
use comity_protocol::id::{ChannelId, EventId, LaneId, PartnerId, Signature, WriterId};
use comity_protocol::lane::{LaneForm, control_lane, lane_id};
use comity_protocol::rows::{Row, Table, read_event};

use super::Verdict;
use crate::swarm::node::{Node, Papers};

/// A lane, as its id says.
#[derive(Debug, Clone)]
pub struct LaneTruth {
    pub form: LaneForm,
    pub audience: BTreeSet<PartnerId>,
}

/// An event that somebody accepted.
#[derive(Debug, Clone)]
pub struct EventTruth {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    pub seq: u64,
    pub key_event: Option<EventId>,
    /// All that it cites.
    pub cites: Vec<EventId>,
    /// Of a key event: whom it wraps the secret to.
    pub wrapped_to: BTreeSet<PartnerId>,
}

/// What no honest node may do with an event that a hostile partner made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {
    Accepted,
    Effective,
    Shown,
}

#[derive(Default)]
pub struct Truth {
    partner_of: HashMap<WriterId, usize>,
    byzantine: Vec<bool>,
    lanes: BTreeMap<(ChannelId, LaneId), LaneTruth>,
    /// Channels whose joiners may read what was there before.
    open_history: HashSet<ChannelId>,
    events: HashMap<EventId, EventTruth>,
    /// Where each writer's positions stand, to see forks by.
    positions: HashMap<(ChannelId, LaneId, WriterId, u64), EventId>,
    forked: HashSet<ChannelId>,
    ids: Vec<PartnerId>,
    /// Key events, as they were learned.
    key_events: Vec<EventId>,
    signed: HashSet<(EventId, [u8; 64])>,
    /// Events that the author's own machine wrote.
    written: HashSet<EventId>,
    pub never: BTreeMap<EventId, (Never, &'static str)>,
}

impl Truth {
    pub fn new(papers: &[Papers], nodes: &[Node]) -> Truth {
        let numbered = papers.iter().enumerate();
        let of = |(at, it)| -> Vec<_> {
            let it: &Papers = it;
            it.writers.iter().map(|writer| (*writer, at)).collect()
        };
        let mut byzantine = vec![false; papers.len()];
        for node in nodes {
            byzantine[node.partner] |= node.byzantine;
        }
        Truth {
            partner_of: numbered.flat_map(of).collect(),
            byzantine,
            ids: papers.iter().map(|papers| papers.id).collect(),
            ..Truth::default()
        }
    }

    pub fn events(&self) -> usize {
        self.events.len()
    }

    pub fn event(&self, id: &EventId) -> Option<&EventTruth> {
        self.events.get(id)
    }

    pub fn lane(&self, channel: ChannelId, lane: LaneId) -> Option<&LaneTruth> {
        self.lanes.get(&(channel, lane))
    }

    /// Whether two events for one position were accepted in a channel.
    pub fn is_forked(&self, channel: &ChannelId) -> bool {
        self.forked.contains(channel)
    }

    /// The lanes that a partner is no reader of.
    pub fn foreign_lanes(&self, partner: &PartnerId) -> Vec<(ChannelId, LaneId)> {
        let lanes = self.lanes.keys();
        lanes
            .filter(|(channel, lane)| !self.reads(*channel, *lane, partner))
            .copied()
            .collect()
    }

    /// The key events of a lane.
    pub fn key_events(&self, channel: ChannelId, lane: LaneId) -> Vec<EventId> {
        let known = self.key_events.iter().copied();
        known
            .filter(|id| {
                let event = self.events.get(id);
                event.is_some_and(|event| (event.channel, event.lane) == (channel, lane))
            })
            .collect()
    }

    /// Whether a signature was made with the key of the event's writer.
    pub fn is_signed(&self, id: &EventId, signature: &Signature) -> bool {
        self.signed.contains(&(*id, signature.0))
    }

    /// The partner whose writer an event is of.
    pub fn author(&self, id: &EventId) -> Option<PartnerId> {
        let partner = self.partner_of.get(&self.event(id)?.writer)?;
        self.ids.get(*partner).copied()
    }

    /// A signature that was made with the key of the event's writer.
    pub fn sign(&mut self, event: &Event) {
        self.signed.insert((event.id, event.signature.0));
    }

    /// Whether a log's writer may have written two events for one position.
    pub fn is_forker(&self, writer: &WriterId) -> bool {
        let partner = self.partner_of.get(writer);
        partner.is_none_or(|partner| self.byzantine[*partner])
    }

    /// Whether a lane's events may be told to a partner that is a member.
    pub fn reads(&self, channel: ChannelId, lane: LaneId, partner: &PartnerId) -> bool {
        if lane == control_lane(channel) {
            return true;
        }
        self.lanes.get(&(channel, lane)).is_some_and(|truth| {
            let to_all = truth.form == LaneForm::Open && self.open_history.contains(&channel);
            to_all || truth.audience.contains(partner)
        })
    }

    /// Takes an event that a node stores; nothing where the row is of something else.
    pub fn take(
        &mut self,
        node_partner: usize,
        row: &Row,
        _now_ms: u64,
    ) -> Result<Option<EventId>, (&'static str, String)> {
        let (Some(id), Some(value)) = (event_of(row), &row.value) else {
            return Ok(None);
        };
        if self.events.contains_key(&id) && self.written.contains(&id) {
            return Ok(Some(id));
        }
        let stored = read_event(value);
        let event = stored
            .map_err(|why| {
                (
                    "storage",
                    format!("an event that does not read back: {why}"),
                )
            })?
            .event;
        if self.partner_of.get(&event.header.writer) == Some(&node_partner) {
            self.written.insert(id);
            self.sign(&event);
        }
        if !self.events.contains_key(&id) {
            self.learn(&event)?;
        }
        Ok(Some(id))
    }

    fn learn(&mut self, event: &Event) -> Verdict {
        let header = &event.header;
        let kind = header.kind();
        let mut wrapped_to = BTreeSet::new();
        if kind == Kind::Charter
            && Charter::from_bytes(&event.body).is_ok_and(|charter| charter.history == 2)
        {
            self.open_history.insert(header.channel);
        }
        if let (Kind::Key, Ok(body)) = (kind, KeyBody::from_bytes(&event.body)) {
            wrapped_to = body.wraps.iter().map(|wrap| wrap.partner).collect();
            self.learn_lane(event, &body, &wrapped_to)?;
        }
        let listed = header.deps.iter().chain(&header.control_heads);
        let cites = listed.map(|reference| reference.id).chain(header.prev);
        self.demand_no_narrower(event)?;
        let position = (header.channel, header.lane, header.writer, header.seq);
        if *self.positions.entry(position).or_insert(event.id) != event.id {
            self.forked.insert(header.channel);
        }
        if kind == Kind::Key {
            self.key_events.push(event.id);
        }
        self.events.insert(
            event.id,
            EventTruth {
                channel: header.channel,
                lane: header.lane,
                writer: header.writer,
                seq: header.seq,
                key_event: header.key_event,
                cites: cites.collect(),
                wrapped_to,
            },
        );
        Ok(())
    }

    /// A lane's id is the hash of its audience, so a key event cannot say another.
    fn learn_lane(
        &mut self,
        event: &Event,
        body: &KeyBody,
        wrapped_to: &BTreeSet<PartnerId>,
    ) -> Verdict {
        let header = &event.header;
        let (form, audience) = match &body.audience {
            Some(named) => (LaneForm::Directed, named.iter().copied().collect()),
            None => (LaneForm::Open, wrapped_to.clone()),
        };
        if lane_id(header.channel, form, &audience) != header.lane {
            let what = format!(
                "key event {} says another audience than its lane's",
                event.id
            );
            return Err(("lane audience", what));
        }
        if *wrapped_to != audience {
            let what = format!("key event {} wraps to others than its readers", event.id);
            return Err(("lane audience", what));
        }
        let truth = LaneTruth { form, audience };
        self.lanes
            .entry((header.channel, header.lane))
            .or_insert(truth);
        Ok(())
    }

    /// An event names no id of a lane that not all its readers may read.
    fn demand_no_narrower(&self, event: &Event) -> Verdict {
        let header = &event.header;
        let Some(own) = self.lanes.get(&(header.channel, header.lane)) else {
            return Ok(());
        };
        let about = header.about.iter();
        for reference in header.deps.iter().chain(about) {
            let Some(lane) = reference.lane else { continue };
            let Some(other) = self.lanes.get(&(header.channel, lane)) else {
                continue;
            };
            let to_all =
                other.form == LaneForm::Open && self.open_history.contains(&header.channel);
            let refers = header.about.as_ref() == Some(reference);
            if !to_all && !refers && !own.audience.is_subset(&other.audience) {
                let what = format!("event {} cites a lane narrower than its own", event.id);
                return Err(("releasability", what));
            }
        }
        Ok(())
    }

    /// An honest partner's event was written by its own machine.
    pub fn demand_not_forged(&self, node: usize, id: &EventId) -> Verdict {
        if let Some((Never::Accepted, what)) = self.never.get(id) {
            let what = format!("partner {node} accepted {id}, {what}");
            return Err(("acceptance", what));
        }
        let writer = self.events.get(id).map(|event| event.writer);
        let partner = writer.and_then(|writer| self.partner_of.get(&writer));
        match partner {
            Some(partner) if !self.byzantine[*partner] && !self.written.contains(id) => {
                let what = format!("{id} stands for partner {partner}, who never wrote it");
                Err(("forgery", what))
            }
            _ => Ok(()),
        }
    }
}

/// The event that a row stores, by its key.
fn event_of(row: &Row) -> Option<EventId> {
    if row.table != Table::Events || row.value.is_none() {
        return None;
    }
    let id = row.key.get(12..44)?;
    Some(EventId(id.try_into().ok()?))
}
