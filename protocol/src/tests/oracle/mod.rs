//! A second, naive merge, written from docs/protocol.md for tests to compare with.
//!
//! It keeps every event's whole past as a set, judges again whatever waits until nothing
//! changes, and recomputes views, epochs and what stands from the events themselves. It shares
//! the wire types with the real merge and nothing else. Signatures are not its matter.
//!
//! It takes every branch of a fork that is valid in itself. Which of several uncited branches a
//! node takes depends on which came first, the one thing that may; [`Oracle::uncited_branches`]
//! names those, so that tests can leave them out before they compare.

mod acts;
mod authority;
mod digests;
mod evidence;
mod finality;
mod fold;
mod lanes;
mod shown;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use comity_crypto as crypto;

use crate::body::Charter;
use crate::event::{Event, Header, Kind, Reference};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};

pub use acts::Act;
pub use authority::Judgement;
pub use digests::Digests;
pub use finality::Ack;
pub use fold::{Standing, Status, View};
pub use lanes::Lane;

pub type Ids = BTreeSet<EventId>;
/// Acts, and the digests of the barriers that make layers of them.
type Folded = (Ids, Vec<Hash>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Invalid,
    Parked,
    Accepted,
}

/// What is known of an accepted event.
#[derive(Debug)]
struct Facts {
    author: PartnerId,
    past: Ids,
    /// The control events of the past.
    frontier: Ids,
    t: u64,
    h: u64,
    what: What,
    /// What follows from its past, if it is an ack.
    ack: Option<finality::Ack>,
}

#[derive(Debug)]
enum What {
    Act(Judgement),
    /// An event of an open or directed lane, and what it is about, if it may be.
    Message {
        lane: Lane,
        about: Option<EventId>,
    },
}

/// Where an event stands: what it cites, and what follows from that.
struct Place {
    prev: Option<EventId>,
    deps: Vec<EventId>,
    control_heads: Vec<EventId>,
    past: Ids,
    frontier: Ids,
    view: Rc<View>,
}

impl Place {
    /// prev and deps.
    fn parents(&self) -> impl Iterator<Item = &EventId> {
        self.prev.iter().chain(&self.deps)
    }
}

pub struct Oracle {
    channel: ChannelId,
    charter: Option<Charter>,
    events: BTreeMap<EventId, Event>,
    verdicts: BTreeMap<EventId, Verdict>,
    facts: BTreeMap<EventId, Facts>,
    views: RefCell<BTreeMap<Ids, Rc<View>>>,
    /// By the acts alone, and the barriers that make layers of them.
    folded: RefCell<BTreeMap<Folded, Rc<View>>>,
    /// By a lane and the acks held of it.
    barriers: RefCell<BTreeMap<(LaneId, Ids), finality::Barriers>>,
    /// No barrier stands, to see what it is good for.
    flat: Cell<bool>,
}

impl Oracle {
    pub fn new(channel: ChannelId) -> Oracle {
        Oracle {
            channel,
            charter: None,
            events: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            facts: BTreeMap::new(),
            views: RefCell::default(),
            folded: RefCell::default(),
            barriers: RefCell::default(),
            flat: Cell::new(false),
        }
    }

    pub fn of<'a>(channel: ChannelId, events: impl IntoIterator<Item = &'a Event>) -> Oracle {
        let mut oracle = Oracle::new(channel);
        for event in events {
            oracle.add(event.clone());
        }
        oracle
    }

    /// Adds an event and judges all that waits, until nothing changes.
    pub fn add(&mut self, event: Event) {
        self.verdicts.entry(event.id).or_insert(Verdict::Parked);
        self.events.insert(event.id, event);
        while self.judge_what_waits() {}
    }

    fn judge_what_waits(&mut self) -> bool {
        let mut changed = false;
        for id in self.with_verdict(Verdict::Parked) {
            let (verdict, facts) = self.judge(&self.events[&id]);
            changed |= verdict != Verdict::Parked;
            if let Some(facts) = facts {
                if self.event(&id).header.kind() == Kind::Charter {
                    self.charter = acts::charter(&self.event(&id).body);
                }
                self.facts.insert(id, facts);
            }
            self.verdicts.insert(id, verdict);
        }
        changed
    }

    /// Section 10, as far as it does not depend on what came first (rules 1 and 19).
    fn judge(&self, event: &Event) -> (Verdict, Option<Facts>) {
        let header = &event.header;
        let reserved = matches!(header.kind, 14 | 15);
        let is_act = header.kind < 32;
        let in_control = header.lane == self.control_lane();
        let misplaced = !matches!(header.kind, 42..=44) && is_act != in_control;
        if header.channel != self.channel || reserved || misplaced {
            return (Verdict::Invalid, None);
        }
        let Some(place) = self.place(header) else {
            return (Verdict::Parked, None);
        };
        match self.accept(event, &place) {
            Some((author, what, ack)) => (
                Verdict::Accepted,
                Some(self.facts_of(header, place, author, (what, ack))),
            ),
            None => (Verdict::Invalid, None),
        }
    }

    /// Rules 5 to 18: the author and what the event is, or nothing where it is invalid.
    fn accept(
        &self,
        event: &Event,
        place: &Place,
    ) -> Option<(PartnerId, What, Option<finality::Ack>)> {
        let header = &event.header;
        let in_control = header.lane == self.control_lane();
        let strays = if in_control {
            !header.control_heads.is_empty() || header.deps.iter().any(|dep| dep.lane.is_some())
        } else {
            place.deps.iter().any(|dep| self.is_control(dep))
        };
        // No history here has a floor whose body holds.
        let floor = header.kind() == Kind::Floor;
        if strays || floor || self.lists_what_is_past(place) {
            return None;
        }
        if in_control {
            let (author, judgement) = self.accept_act(event, place)?;
            let ack = self.ack_if_one(event, author, None, place)?;
            Some((author, What::Act(judgement), ack))
        } else {
            let (author, lane, about) = self.accept_message(event, place)?;
            let ack = self.ack_if_one(event, author, Some(&lane), place)?;
            Some((author, What::Message { lane, about }, ack))
        }
    }

    /// What an ack says, nothing within for another event; nothing for an ack that is invalid.
    fn ack_if_one(
        &self,
        event: &Event,
        author: PartnerId,
        lane: Option<&Lane>,
        place: &Place,
    ) -> Option<Option<finality::Ack>> {
        if event.header.kind() != Kind::Ack {
            return Some(None);
        }
        let audience = lane.map(|lane| &lane.audience);
        self.judge_ack(event, author, audience, place).map(Some)
    }

    /// Rule 4: everything cited, if it is accepted exactly where the header says.
    fn place(&self, header: &Header) -> Option<Place> {
        let find = |lane: LaneId, writer: WriterId, seq: u64, id: EventId| {
            self.facts.get(&id)?;
            let found = &self.event(&id).header;
            (found.lane == lane && found.writer == writer && found.seq == seq).then_some(id)
        };
        let prev = match header.prev {
            Some(prev) => Some(find(header.lane, header.writer, header.seq - 1, prev)?),
            None => None,
        };
        let dep =
            |dep: &Reference| find(dep.lane.unwrap_or(header.lane), dep.writer, dep.seq, dep.id);
        let head = |head: &Reference| find(self.control_lane(), head.writer, head.seq, head.id);
        let deps = header.deps.iter().map(dep).collect::<Option<Vec<_>>>()?;
        let heads = header.control_heads.iter().map(head);
        let control_heads = heads.collect::<Option<Vec<_>>>()?;
        let cited = prev.iter().chain(&deps).chain(&control_heads);
        let past: Ids = cited
            .flat_map(|id| self.past(id).iter().chain([id]))
            .copied()
            .collect();
        let frontier = self.control_events(&past);
        let view = self.view(&frontier);
        Some(Place {
            prev,
            deps,
            control_heads,
            past,
            frontier,
            view,
        })
    }

    /// Rule 6.
    fn lists_what_is_past(&self, place: &Place) -> bool {
        let redundant_dep = |dep: &EventId| {
            place.prev == Some(*dep)
                || place
                    .parents()
                    .any(|other| other != dep && self.past(other).contains(dep))
        };
        let redundant_head = |head: &EventId| {
            place
                .parents()
                .any(|parent| self.frontier(parent).contains(head))
                || place
                    .control_heads
                    .iter()
                    .any(|other| self.past(other).contains(head))
        };
        place.deps.iter().any(redundant_dep) || place.control_heads.iter().any(redundant_head)
    }

    fn facts_of(
        &self,
        header: &Header,
        place: Place,
        author: PartnerId,
        (what, ack): (What, Option<finality::Ack>),
    ) -> Facts {
        let parents = place.parents().map(|parent| &self.facts[parent]);
        let (t, h) = parents.fold((header.claimed_ms, 1), |(t, h), parent| {
            (t.max(parent.t), h.max(parent.h.saturating_add(1)))
        });
        Facts {
            author,
            past: place.past,
            frontier: place.frontier,
            t,
            h,
            what,
            ack,
        }
    }

    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    pub fn verdict(&self, id: &EventId) -> Verdict {
        self.verdicts[id]
    }

    pub fn with_verdict(&self, verdict: Verdict) -> Ids {
        let held = self.verdicts.iter().filter(|(_, held)| **held == verdict);
        held.map(|(id, _)| *id).collect()
    }

    pub fn accepted(&self) -> impl Iterator<Item = &EventId> {
        self.facts.keys()
    }

    pub fn event(&self, id: &EventId) -> &Event {
        &self.events[id]
    }

    /// The whole past of an accepted event, without itself.
    pub fn past(&self, id: &EventId) -> &Ids {
        &self.facts[id].past
    }

    /// The control events in the past of an accepted event.
    pub fn frontier(&self, id: &EventId) -> &Ids {
        &self.facts[id].frontier
    }

    pub fn author(&self, id: &EventId) -> PartnerId {
        self.facts[id].author
    }

    pub fn is_control(&self, id: &EventId) -> bool {
        matches!(self.facts[id].what, What::Act(_))
    }

    pub fn control_events(&self, among: &Ids) -> Ids {
        let control = |id: &&EventId| self.is_control(id);
        among.iter().filter(control).copied().collect()
    }

    fn judgement(&self, id: &EventId) -> &Judgement {
        match &self.facts[id].what {
            What::Act(judgement) => judgement,
            What::Message { .. } => panic!("{id} is no control event"),
        }
    }

    /// The open or directed lane of an accepted event.
    pub fn lane_of(&self, id: &EventId) -> &Lane {
        match &self.facts[id].what {
            What::Message { lane, .. } => lane,
            What::Act(_) => panic!("{id} is a control event"),
        }
    }

    /// The event that an accepted message is about, where it has effect on it.
    pub fn about(&self, id: &EventId) -> Option<EventId> {
        match &self.facts[id].what {
            What::Message { about, .. } => *about,
            What::Act(_) => None,
        }
    }

    pub fn control_lane(&self) -> LaneId {
        self.lane_id("control", &BTreeSet::new())
    }

    pub fn lane_id(&self, form: &str, audience: &BTreeSet<PartnerId>) -> LaneId {
        let mut parts: Vec<&[u8]> = vec![&self.channel.0, form.as_bytes()];
        parts.extend(audience.iter().map(|partner| partner.0.as_slice()));
        LaneId(crypto::hash("comity/v1/lane", &parts))
    }

    /// Those that lie in the past of no other one.
    fn last(&self, ids: &Ids) -> Ids {
        let followed = |id: &EventId| ids.iter().any(|other| self.past(other).contains(id));
        ids.iter().filter(|id| !followed(id)).copied().collect()
    }

    fn height_and_id(&self, id: &EventId) -> (u64, EventId) {
        (self.facts[id].h, *id)
    }

    /// Of several accepted events at one position, those that no event of another writer has in
    /// its past; one is left out where all are such.
    pub fn uncited_branches(&self) -> Ids {
        let mut positions: BTreeMap<(LaneId, WriterId, u64), Vec<EventId>> = BTreeMap::new();
        for id in self.facts.keys() {
            let header = &self.event(id).header;
            positions
                .entry((header.lane, header.writer, header.seq))
                .or_default()
                .push(*id);
        }
        let mut uncited = Ids::new();
        for branches in positions.values().filter(|branches| branches.len() > 1) {
            let free: Vec<EventId> = branches
                .iter()
                .filter(|id| !self.cited_by_another(id))
                .copied()
                .collect();
            let spared = usize::from(free.len() == branches.len());
            uncited.extend(free.into_iter().skip(spared));
        }
        uncited
    }

    pub fn cited_by_another(&self, id: &EventId) -> bool {
        let writer = self.event(id).header.writer;
        self.facts.iter().any(|(other, facts)| {
            self.event(other).header.writer != writer && facts.past.contains(id)
        })
    }
}
