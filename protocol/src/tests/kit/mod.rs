//! A world in which partners, whose nodes [`partners`] has, compose events by hand on what each
//! has seen.

mod partners;
mod wish;

use std::collections::BTreeSet;
use std::rc::Rc;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::oracle::{Ids, Lane, Oracle, Verdict, View};
use crate::body::{Charter, EndorseBody, KeyBody, Role, Wrap};
use crate::codec::Canonical;
use crate::event::{Event, Header, Kind, Label, Precedence, Reference};
use crate::evidence::{EvidenceBody, SignedHeader};
use crate::finality::AckBody;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use crate::limits;

pub use partners::{
    LISTS, NODES, PARTNERS, name, node, of_node, partner, signing_key, user, writer,
};
pub use wish::{To, Wish};

/// A small, fast generator; its whole state is its seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// One channel, all events ever written in it, and what each node has seen of them. A node below
/// [`PARTNERS`] is the first one of that partner.
pub struct World {
    pub channel: ChannelId,
    /// In the order in which they were written.
    pub events: Vec<Event>,
    pub oracle: Oracle,
    /// Accepted events that each node has seen, with their pasts.
    pub seen: Vec<Ids>,
    /// What the clocks say, Unix milliseconds; each event takes a second.
    pub now_ms: u64,
    /// What the next messages are labelled with.
    pub label: Option<Label>,
    /// Whether events of other lanes cite acks of the control lane, which nobody needs to.
    pub cites_acks: bool,
    /// The sealing key that each partner uses.
    generations: Vec<usize>,
}

impl World {
    /// A channel that partner 0 has founded.
    pub fn founded() -> World {
        World::of_charter(&charter(1))
    }

    /// A channel in which all partners below `members` are active, 1 an admin, the others
    /// contributors, and everybody has seen it.
    pub fn with_members(members: usize) -> World {
        World::of_charter(&charter(1)).joined_by(members)
    }

    /// The same, by another charter.
    pub fn chartered(charter: &Charter, members: usize) -> World {
        World::of_charter(charter).joined_by(members)
    }

    fn joined_by(mut self, members: usize) -> World {
        for whom in 1..members {
            let role = if whom == 1 {
                Role::Admin
            } else {
                Role::Contributor
            };
            self.admit(0, whom, role, 0);
        }
        self.everybody_hears_all();
        self
    }

    fn of_charter(charter: &Charter) -> World {
        let body = charter.to_bytes();
        let channel = ChannelId(crypto::hash("comity/v1/channel", &[&body]));
        let mut world = World {
            channel,
            events: Vec::new(),
            oracle: Oracle::new(channel),
            seen: vec![Ids::new(); PARTNERS * NODES],
            now_ms: 1_000_000,
            label: None,
            cites_acks: false,
            generations: vec![0; PARTNERS],
        };
        let header = world.draft(0, &Ids::new(), &world.control(), Kind::Charter);
        world.publish(0, header, body);
        world
    }

    /// Invites a partner by one of its lists; its first node there hears of it and accepts.
    pub fn admit(&mut self, who: usize, whom: usize, role: Role, list: usize) {
        let seat = node(whom, LISTS[list].1[0]);
        self.write(who, Wish::InviteWith(whom, role, list));
        self.hear_from(seat, who);
        self.write(seat, Wish::Accept);
        self.hear_from(who, seat);
    }

    /// Makes a partner owner, by the endorsement of an owner that is alone.
    pub fn make_owner(&mut self, who: usize, whom: usize) -> EventId {
        self.write(who, Wish::Endorse(Box::new(Wish::Grant(whom, Role::Owner))));
        self.write_endorsed(who, Wish::Grant(whom, Role::Owner))
    }

    /// Writes an act with all endorsements of it that `who` has seen.
    pub fn write_endorsed(&mut self, who: usize, act: Wish) -> EventId {
        let listed = self.endorsements(&self.seen[who], &act);
        self.write(who, Wish::Endorsed(Box::new(act), listed))
    }

    /// The endorsements of an act among `seen`, whoever wrote them.
    pub fn endorsements(&self, seen: &Ids, act: &Wish) -> Vec<EventId> {
        let proposal = act.proposal(self.channel);
        let endorses = |id: &&EventId| {
            let event = self.event(id);
            event.header.kind() == Kind::Endorse
                && EndorseBody::from_bytes(&event.body)
                    .is_ok_and(|body| Some(body.proposal) == proposal)
        };
        seen.iter().filter(endorses).copied().collect()
    }

    /// Carries what the root of `whom` says: a list, and which of its nodes is to have the seat. Of what
    /// the former one did it trusts no more than the charter.
    pub fn carry(&mut self, who: usize, whom: usize, list: usize, node: usize) -> EventId {
        let after = self.events[0].id;
        self.write(who, Wish::Transfer(whom, list, node, after))
    }

    pub fn control_lane(&self) -> LaneId {
        self.oracle.control_lane()
    }

    fn control(&self) -> Lane {
        Lane {
            id: self.control_lane(),
            is_open: false,
            audience: BTreeSet::new(),
        }
    }

    /// The open lane of these partners.
    pub fn open_lane(&self, members: &[usize]) -> LaneId {
        let members = members.iter().map(|number| partner(*number).id).collect();
        self.oracle.lane_id("open", &members)
    }

    /// The lane to these partners, by the control events in `seen`.
    pub fn lane_to(&self, to: &To, seen: &Ids) -> Lane {
        let (form, audience) = match to {
            To::Open => ("open", self.oracle.view(seen).active()),
            To::Only(partners) => {
                let audience = partners.iter().map(|number| partner(*number).id);
                ("directed", audience.collect())
            }
        };
        Lane {
            id: self.oracle.lane_id(form, &audience),
            is_open: form == "open",
            audience,
        }
    }

    pub fn event(&self, id: &EventId) -> &Event {
        self.oracle.event(id)
    }

    pub fn is_accepted(&self, id: &EventId) -> bool {
        self.oracle.verdict(id) == Verdict::Accepted
    }

    /// Writes to all members, on all that `who` has seen.
    pub fn write(&mut self, who: usize, wish: Wish) -> EventId {
        self.send(who, &To::Open, wish)
    }

    /// Writes on all that `who` has seen.
    pub fn send(&mut self, who: usize, to: &To, wish: Wish) -> EventId {
        let mut seen = self.seen[who].clone();
        self.send_on(who, &mut seen, to, wish)
    }

    /// Writes to all members as if `who` had seen no more than `seen`, which must hold the past
    /// of all in it.
    pub fn write_on(&mut self, who: usize, seen: &mut Ids, wish: Wish) -> EventId {
        self.send_on(who, seen, &To::Open, wish)
    }

    /// As [`World::write_on`], to whom one likes: cuts the lane and opens an epoch where it must.
    pub fn send_on(&mut self, who: usize, seen: &mut Ids, to: &To, wish: Wish) -> EventId {
        let kind = wish.kind();
        if !kind.is_control_act() && kind != Kind::Cut {
            let lane = self.lane_to(to, seen);
            self.cut_if_needed(who, seen, &lane);
        }
        if let Wish::Key(parts) = wish {
            return self.write_key(who, seen, to, parts);
        }
        if let Wish::SealingKey(generation) = wish {
            self.generations[who % PARTNERS] = generation;
        }
        let (mut header, body) = self.compose(who, seen, to, &wish);
        if kind.is_sealed() && self.current_epoch(&header, seen).is_none() {
            self.write_key(who, seen, to, 1);
            header = self.compose(who, seen, to, &wish).0;
        }
        if kind.is_sealed() {
            header.key_event = self.current_epoch(&header, seen);
            header.commitment = header.key_event.map(|_| Hash([7; 32]));
        }
        self.now_ms += 1000;
        self.publish_on(who, seen, header, body)
    }

    /// Cuts every lane for the endings in `who`'s view that are new to its log there.
    pub fn cut_all(&mut self, who: usize) {
        let own = of_node(who).id;
        let messages = self.seen[who]
            .iter()
            .filter(|id| !self.oracle.is_control(id));
        let lanes: Vec<Lane> = messages.map(|id| self.oracle.lane_of(id).clone()).collect();
        let mut done = BTreeSet::new();
        for lane in lanes {
            if lane.audience.contains(&own) && done.insert(lane.id) {
                let mut seen = self.seen[who].clone();
                self.cut_if_needed(who, &mut seen, &lane);
            }
        }
    }

    fn cut_if_needed(&mut self, who: usize, seen: &mut Ids, lane: &Lane) {
        let header = self.draft(who, seen, lane, Kind::Cut);
        let (author, view) = (of_node(who).id, self.oracle.view(seen));
        let prev = header.prev.as_ref();
        let is_named = prev.is_some() || header.deps.iter().any(|dep| dep.lane.is_none());
        let oracle = &self.oracle;
        if is_named
            && !oracle
                .new_endings(prev, header.writer, author, lane, &view)
                .is_empty()
        {
            let body = Wish::Cut.body(self.channel, who, 0);
            self.publish_on(who, seen, header, body);
        }
    }

    /// The header and body of what `who` would write, without its epoch.
    pub fn compose(&self, who: usize, seen: &Ids, to: &To, wish: &Wish) -> (Header, Vec<u8>) {
        let kind = wish.kind();
        let lane = if kind.is_control_act() {
            self.control()
        } else {
            self.lane_to(to, seen)
        };
        let mut header = self.draft(who, seen, &lane, kind);
        let reference = |target: EventId| self.event(&target).reference_from(lane.id);
        header.about = wish.about().map(reference);
        let generation = self.generations[who % PARTNERS];
        (header, wish.body(self.channel, who, generation))
    }

    fn publish_on(&mut self, who: usize, seen: &mut Ids, header: Header, body: Vec<u8>) -> EventId {
        let id = self.publish(who, header, body);
        if self.is_accepted(&id) {
            seen.insert(id);
        }
        id
    }

    /// Signs a header, whatever it says, and lets the oracle see it. Its author has seen it if it
    /// is valid.
    pub fn publish(&mut self, who: usize, mut header: Header, body: Vec<u8>) -> EventId {
        header.body_len = body.len() as u32;
        header.body_hash = Hash(crypto::body_hash(&body));
        if header.kind().is_sealed() && header.key_event.is_none() {
            header.key_event = Some(EventId([9; 32]));
            header.commitment = Some(Hash([7; 32]));
        }
        let event = Event::sign(header, body, signing_key(who)).expect("a well-formed event");
        let id = event.id;
        if self.events.iter().all(|held| held.id != id) {
            self.events.push(event.clone());
            self.oracle.add(event);
        }
        if self.is_accepted(&id) {
            let past = self.oracle.past(&id).clone();
            self.seen[who].extend(past);
            self.seen[who].insert(id);
        }
        id
    }

    /// Acknowledges a lane by the highest number that is valid, on all that `who` has seen; nothing
    /// where none is.
    pub fn acknowledge(&mut self, who: usize, lane: &Lane) -> Option<EventId> {
        let mut seen = self.seen[who].clone();
        self.acknowledge_on(who, &mut seen, lane, |_| {})
    }

    /// As [`World::acknowledge`], as if `who` had seen no more than `seen`; what is written may be
    /// changed before. Where no ack is valid, an ack of the number 1 is what is changed.
    pub fn acknowledge_on(
        &mut self,
        who: usize,
        seen: &mut Ids,
        lane: &Lane,
        twist: impl FnOnce(&mut AckBody),
    ) -> Option<EventId> {
        if lane.id != self.control_lane() {
            self.cut_if_needed(who, seen, lane);
        }
        let header = self.draft(who, seen, lane, Kind::Ack);
        let next = self.oracle.next_ack(&header);
        let mut body = next.clone().unwrap_or(AckBody {
            number: 1,
            base: Hash([0; 32]),
        });
        twist(&mut body);
        if next.is_none() && body.number == 1 {
            return None;
        }
        self.now_ms += 1000;
        let id = self.publish_on(who, seen, header, body.to_bytes());
        self.is_accepted(&id).then_some(id)
    }

    /// The node that has the seat of a partner, by all that is accepted.
    pub fn seat(&self, whom: usize) -> Option<usize> {
        let present = self.oracle.present();
        let seat = present.members.get(&partner(whom).id)?.seat;
        (0..NODES)
            .map(|number| node(whom, number))
            .find(|node| writer(*node) == seat)
    }

    /// The lanes of which `who` has seen something, the control lane first.
    pub fn lanes_seen(&self, who: usize) -> Vec<Lane> {
        let messages = self.seen[who]
            .iter()
            .filter(|id| !self.oracle.is_control(id));
        let mut lanes = vec![self.control()];
        for id in messages {
            let lane = self.oracle.lane_of(id);
            if !lanes.contains(lane) {
                lanes.push(lane.clone());
            }
        }
        lanes
    }

    /// Shows in the lane of a fork that two events have one position.
    pub fn prove(&mut self, who: usize, one: EventId, other: EventId) -> EventId {
        let signed = |id: &EventId| SignedHeader::of(self.event(id));
        let body = EvidenceBody::new(signed(&one), signed(&other));
        self.show(who, one, body.to_bytes())
    }

    /// Writes this body as evidence in the lane of `one`.
    pub fn show(&mut self, who: usize, one: EventId, body: Vec<u8>) -> EventId {
        let seen = self.seen[who].clone();
        let lane = if self.event(&one).header.lane == self.control_lane() {
            self.control()
        } else {
            self.oracle.lane_of(&one).clone()
        };
        if lane.id != self.control_lane() {
            let mut seen = seen.clone();
            self.cut_if_needed(who, &mut seen, &lane);
        }
        let seen = self.seen[who].clone();
        let header = self.draft(who, &seen, &lane, Kind::Evidence);
        self.now_ms += 1000;
        self.publish(who, header, body)
    }

    /// Lets `who` see an accepted event and its past, if it may read it.
    pub fn hear(&mut self, who: usize, id: EventId) {
        if self.is_accepted(&id) && self.may_read(who, &id) {
            let past = self.oracle.past(&id).clone();
            self.seen[who].extend(past);
            self.seen[who].insert(id);
        }
    }

    pub fn hear_all(&mut self, who: usize) {
        for id in self.oracle.with_verdict(Verdict::Accepted) {
            self.hear(who, id);
        }
    }

    /// Lets `who` see what `whom` has seen.
    pub fn hear_from(&mut self, who: usize, whom: usize) {
        for id in self.seen[whom].clone() {
            self.hear(who, id);
        }
    }

    pub fn everybody_hears_all(&mut self) {
        (0..PARTNERS * NODES).for_each(|who| self.hear_all(who));
    }

    /// By the control events that `who` has seen.
    fn may_read(&self, who: usize, id: &EventId) -> bool {
        self.oracle.is_control(id) || {
            let own = of_node(who).id;
            let lane = self.oracle.lane_of(id);
            let members = self.oracle.view(&self.seen[who]).active();
            lane.audience.contains(&own)
                || members.contains(&own) && self.oracle.readers(lane, &members).contains(&own)
        }
    }

    /// A header in `who`'s log of `lane`, with the fewest references that bring in all of `seen`
    /// that may be cited there.
    pub fn draft(&self, who: usize, seen: &Ids, lane: &Lane, kind: Kind) -> Header {
        let writer = writer(who);
        let own = |id: &&EventId| {
            self.event(id).header.lane == lane.id && self.event(id).header.writer == writer
        };
        let prev = seen
            .iter()
            .filter(own)
            .copied()
            .max_by_key(|id| (self.event(id).header.seq, *id));
        let mut known: Ids = prev
            .iter()
            .flat_map(|prev| self.oracle.past(prev))
            .copied()
            .collect();
        known.extend(prev);
        let view = self.oracle.view(seen);
        let deps = self.heads(
            seen.iter()
                .filter(|id| !known.contains(id) && !own(id) && self.may_cite(lane, &view, id)),
        );
        for dep in &deps {
            known.extend(self.oracle.past(dep));
            known.insert(*dep);
        }
        let unknown_control = seen
            .iter()
            .filter(|id| self.oracle.is_control(id) && !known.contains(id))
            .filter(|id| self.cites_acks || self.event(id).header.kind() != Kind::Ack);
        let heads = if lane.id == self.control_lane() {
            Ids::new()
        } else {
            self.heads(unknown_control)
        };
        Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: self.channel,
            lane: lane.id,
            writer,
            seq: prev.map_or(1, |prev| self.event(&prev).header.seq + 1),
            prev,
            deps: self.references(lane.id, &deps),
            control_heads: self.references(self.control_lane(), &heads),
            claimed_ms: self.now_ms,
            kind: kind.number(),
            precedence: Precedence::Routine as u8,
            author: kind.names_author().then(|| of_node(who).user()),
            about: None,
            label: self.label.clone().filter(|_| kind.is_sealed()),
            key_event: None,
            body_len: 0,
            commitment: None,
            body_hash: Hash([0; 32]),
        }
    }

    /// The control lane cites only itself; another lane, what all its partners may read.
    fn may_cite(&self, lane: &Lane, view: &Rc<View>, id: &EventId) -> bool {
        if lane.id == self.control_lane() || self.oracle.is_control(id) {
            return lane.id == self.control_lane() && self.oracle.is_control(id);
        }
        let cited = self.oracle.lane_of(id);
        cited.id == lane.id || self.oracle.may_cite(lane, cited, &view.active())
    }

    /// Those that lie in the past of no other one.
    fn heads<'a>(&self, of: impl Iterator<Item = &'a EventId>) -> Ids {
        let all: Ids = of.copied().collect();
        let covered: Ids = all
            .iter()
            .flat_map(|id| self.oracle.past(id))
            .copied()
            .collect();
        all.difference(&covered)
            .copied()
            .take(limits::DEPS)
            .collect()
    }

    pub fn references(&self, lane: LaneId, to: &Ids) -> Vec<Reference> {
        let mut references: Vec<Reference> = to
            .iter()
            .map(|id| self.event(id).reference_from(lane))
            .collect();
        Reference::sort(&mut references);
        references
    }

    /// The latest epoch of the log that `header` continues, if it is still current.
    fn current_epoch(&self, header: &Header, seen: &Ids) -> Option<EventId> {
        let epoch = self.oracle.latest_epoch(header.prev?)?;
        let view = self.oracle.view(seen);
        self.oracle.is_current(&epoch, &view).then_some(epoch)
    }

    /// Opens an epoch with one key event, or with two where `parts` says so.
    fn write_key(&mut self, who: usize, seen: &mut Ids, to: &To, parts: usize) -> EventId {
        let mut wraps = self.wraps(seen, to);
        let mut earlier = Vec::new();
        if parts > 1 && wraps.len() > 1 {
            let rest = wraps.split_off(1);
            earlier.push(self.write_key_part(who, seen, to, None, wraps));
            wraps = rest;
        }
        self.write_key_part(who, seen, to, Some(earlier), wraps)
    }

    /// A wrap for each partner; what is in it, acceptance never sees.
    pub fn wraps(&self, seen: &Ids, to: &To) -> Vec<Wrap> {
        let view = self.oracle.view(seen);
        let key = |partner: &PartnerId| view.members.get(partner)?.sealing_key;
        let wrap = |partner: PartnerId| Wrap {
            partner,
            sealing_key: Hash(key(&partner).map_or([0; 32], |(_, key)| key)),
            sealed: ByteBuf::from(vec![1; crypto::WRAP_LEN]),
        };
        let mut wraps: Vec<Wrap> = self
            .lane_to(to, seen)
            .audience
            .into_iter()
            .map(wrap)
            .collect();
        wraps.truncate(limits::WRAPS);
        wraps
    }

    pub fn write_key_part(
        &mut self,
        who: usize,
        seen: &mut Ids,
        to: &To,
        parts: Option<Vec<EventId>>,
        wraps: Vec<Wrap>,
    ) -> EventId {
        let lane = self.lane_to(to, seen);
        let header = self.draft(who, seen, &lane, Kind::Key);
        let body = KeyBody {
            audience: (!lane.is_open).then(|| lane.audience.iter().copied().collect()),
            parts,
            commitment: Hash([5; 32]),
            wraps,
        };
        self.publish_on(who, seen, header, body.to_bytes())
    }
}

/// A charter of partner 0.
pub fn charter(nonce: u8) -> Charter {
    Charter {
        version: limits::VERSION,
        suite: crypto::Suite::Default.id(),
        name: name("relief"),
        nonce: Hash([nonce; 32]),
        creator: partner(0).identity.clone(),
        sealing_key: partner(0).sealing_key(0),
        history: 1,
        finality: 1,
        quorum: 0,
        label_policy: None,
        label_ceiling: None,
        retention_days: None,
        byte_budget: 0,
    }
}

/// All that a header refers to and that must be accepted before it.
pub fn cited(header: &Header) -> impl Iterator<Item = EventId> + '_ {
    let listed = header
        .deps
        .iter()
        .chain(&header.control_heads)
        .map(|reference| reference.id);
    header.prev.into_iter().chain(listed)
}
