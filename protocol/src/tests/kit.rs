//! Partners with keys from seeds, and a world in which each composes events by hand on what it
//! has seen.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::oracle::{Ids, Oracle, Verdict};
use crate::body::{
    Charter, EmptyBody, GrantBody, InviteBody, KeyBody, RemoveBody, Role, SealingKeyBody, Wrap,
};
use crate::codec::Canonical;
use crate::event::{Event, Header, Kind, Precedence, Reference, UserName};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};
use crate::identity::{Identity, Name, NodeCertificate};
use crate::limits;

/// How many partners there are to play with.
pub const PARTNERS: usize = 6;
/// How many sealing keys each has drawn beforehand.
pub const GENERATIONS: usize = 4;

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

/// An organisation with one node.
pub struct Partner {
    pub id: PartnerId,
    pub writer: WriterId,
    pub identity: Identity,
    pub signing_key: crypto::SigningKey,
    sealing_keys: Vec<crypto::SealingPublicKey>,
}

impl Partner {
    fn new(number: usize) -> Partner {
        let seed = |purpose: &str| {
            crypto::hash("comity/test/seed", &[&[number as u8], purpose.as_bytes()])
        };
        let root = crypto::SigningKey::from_seed(&seed("root"));
        let signing_key = crypto::SigningKey::from_seed(&seed("node"));
        let name = name(["alfa", "bravo", "charlie", "delta", "echo", "foxtrot"][number]);
        let next_root = Hash(seed("next root"));
        let id = Identity::sign(name.clone(), &root, next_root, 1, Vec::new()).partner();
        let node = NodeCertificate::new(
            id,
            &signing_key,
            Hash(seed("tls")),
            name.clone(),
            0..u64::MAX,
        );
        let sealing = |generation| {
            crypto::SealingKey::from_seed(&seed(&format!("sealing {generation}"))).public()
        };
        Partner {
            id,
            writer: node.writer(),
            identity: Identity::sign(name, &root, next_root, 1, vec![node]),
            signing_key,
            sealing_keys: (0..GENERATIONS).map(sealing).collect(),
        }
    }

    pub fn sealing_key(&self, generation: usize) -> ByteBuf {
        ByteBuf::from(self.sealing_keys[generation % GENERATIONS].as_bytes())
    }

    pub fn user(&self) -> UserName {
        user(self.identity.name.as_str())
    }
}

/// The partner of a number below [`PARTNERS`]; always the same.
pub fn partner(number: usize) -> &'static Partner {
    static ALL: OnceLock<Vec<Partner>> = OnceLock::new();
    &ALL.get_or_init(|| (0..PARTNERS).map(Partner::new).collect())[number]
}

pub fn name(text: &str) -> Name {
    Name::try_from(text.to_string()).expect("a legal name")
}

pub fn user(text: &str) -> UserName {
    UserName::try_from(text.to_string()).expect("a legal user name")
}

/// What somebody wants to write.
#[derive(Debug, Clone)]
pub enum Wish {
    Post,
    Reply(EventId),
    Edit(EventId),
    Redact(EventId),
    React(EventId),
    Invite(usize, Role),
    Accept,
    Grant(usize, Role),
    Remove(usize),
    Suspend(usize),
    Leave,
    /// Announces the sealing key of this generation.
    SealingKey(usize),
    /// A new lane epoch, in so many parts.
    Key(usize),
}

impl Wish {
    fn kind(&self) -> Kind {
        match self {
            Wish::Post | Wish::Reply(_) => Kind::Post,
            Wish::Edit(_) => Kind::Edit,
            Wish::Redact(_) => Kind::Redact,
            Wish::React(_) => Kind::React,
            Wish::Invite(..) => Kind::Invite,
            Wish::Accept => Kind::Accept,
            Wish::Grant(..) => Kind::Grant,
            Wish::Remove(_) => Kind::Remove,
            Wish::Suspend(_) => Kind::Suspend,
            Wish::Leave => Kind::Leave,
            Wish::SealingKey(_) => Kind::SealingKey,
            Wish::Key(_) => Kind::Key,
        }
    }

    fn about(&self) -> Option<EventId> {
        match self {
            Wish::Reply(target)
            | Wish::Edit(target)
            | Wish::Redact(target)
            | Wish::React(target) => Some(*target),
            _ => None,
        }
    }

    /// The public body; what stands for a sealed one otherwise, since acceptance never opens it.
    fn body(&self, who: usize, generation: usize) -> Vec<u8> {
        let endorsements = Vec::new();
        match self {
            Wish::Invite(whom, role) => InviteBody {
                partner: partner(*whom).identity.clone(),
                role: *role,
                endorsements,
            }
            .to_bytes(),
            Wish::Accept => SealingKeyBody {
                sealing_key: partner(who).sealing_key(generation),
            }
            .to_bytes(),
            Wish::SealingKey(generation) => SealingKeyBody {
                sealing_key: partner(who).sealing_key(*generation),
            }
            .to_bytes(),
            Wish::Grant(whom, role) => GrantBody {
                partner: partner(*whom).id,
                role: *role,
                endorsements,
            }
            .to_bytes(),
            Wish::Remove(whom) | Wish::Suspend(whom) => RemoveBody {
                partner: partner(*whom).id,
                endorsements,
            }
            .to_bytes(),
            Wish::Leave => EmptyBody {}.to_bytes(),
            _ => b"sealed".to_vec(),
        }
    }
}

/// One channel, all events ever written in it, and what each partner has seen of them.
pub struct World {
    pub channel: ChannelId,
    /// In the order in which they were written.
    pub events: Vec<Event>,
    pub oracle: Oracle,
    /// Accepted events that each partner has seen, with their pasts.
    pub seen: Vec<Ids>,
    /// What the clocks say, Unix milliseconds; each event takes a second.
    pub now_ms: u64,
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
        let mut world = World::founded();
        for whom in 1..members {
            let role = if whom == 1 {
                Role::Admin
            } else {
                Role::Contributor
            };
            world.write(0, Wish::Invite(whom, role));
            world.hear_all(whom);
            world.write(whom, Wish::Accept);
            world.hear_all(0);
        }
        world.everybody_hears_all();
        world
    }

    fn of_charter(charter: &Charter) -> World {
        let body = charter.to_bytes();
        let channel = ChannelId(crypto::hash("comity/v1/channel", &[&body]));
        let mut world = World {
            channel,
            events: Vec::new(),
            oracle: Oracle::new(channel),
            seen: vec![Ids::new(); PARTNERS],
            now_ms: 1_000_000,
            generations: vec![0; PARTNERS],
        };
        let header = world.draft(0, &Ids::new(), world.control_lane(), Kind::Charter);
        world.publish(0, header, body);
        world
    }

    pub fn control_lane(&self) -> LaneId {
        self.oracle.lane("control", &BTreeSet::new())
    }

    /// The open lane of these partners.
    pub fn open_lane(&self, members: &[usize]) -> LaneId {
        self.oracle.lane(
            "open",
            &members.iter().map(|number| partner(*number).id).collect(),
        )
    }

    pub fn event(&self, id: &EventId) -> &Event {
        self.oracle.event(id)
    }

    pub fn is_accepted(&self, id: &EventId) -> bool {
        self.oracle.verdict(id) == Verdict::Accepted
    }

    /// Writes on all that `who` has seen.
    pub fn write(&mut self, who: usize, wish: Wish) -> EventId {
        let mut seen = self.seen[who].clone();
        self.write_on(who, &mut seen, wish)
    }

    /// Writes as if `who` had seen no more than `seen`, which must hold the past of all in it.
    pub fn write_on(&mut self, who: usize, seen: &mut Ids, wish: Wish) -> EventId {
        if let Wish::Key(parts) = wish {
            return self.write_key(who, seen, parts);
        }
        if let Wish::SealingKey(generation) = wish {
            self.generations[who] = generation;
        }
        let (mut header, body) = self.compose(who, seen, &wish);
        if header.kind().is_sealed() && self.current_epoch(&header, seen).is_none() {
            self.write_key(who, seen, 1);
            header = self.compose(who, seen, &wish).0;
        }
        if header.kind().is_sealed() {
            header.key_event = self.current_epoch(&header, seen);
            header.commitment = header.key_event.map(|_| Hash([7; 32]));
        }
        self.now_ms += 1000;
        let id = self.publish(who, header, body);
        if self.is_accepted(&id) {
            seen.insert(id);
        }
        id
    }

    /// The header and body of what `who` would write, without its epoch.
    pub fn compose(&self, who: usize, seen: &Ids, wish: &Wish) -> (Header, Vec<u8>) {
        let kind = wish.kind();
        let lane = if kind.is_control_act() {
            self.control_lane()
        } else {
            self.lane_on(seen)
        };
        let mut header = self.draft(who, seen, lane, kind);
        header.about = wish
            .about()
            .map(|target| self.event(&target).reference_from(lane));
        (header, wish.body(who, self.generations[who]))
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
        let event =
            Event::sign(header, body, &partner(who).signing_key).expect("a well-formed event");
        let id = event.id;
        if self.events.iter().all(|held| held.id != id) {
            self.events.push(event.clone());
            self.oracle.add(event);
        }
        if self.is_accepted(&id) {
            self.hear(who, id);
        }
        id
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
        (0..PARTNERS).for_each(|who| self.hear_all(who));
    }

    fn may_read(&self, who: usize, id: &EventId) -> bool {
        self.oracle.is_control(id) || self.oracle.audience(id).contains(&partner(who).id)
    }

    /// The open lane of the members that the control events in `seen` make.
    fn lane_on(&self, seen: &Ids) -> LaneId {
        self.oracle.lane("open", &self.oracle.state(seen).active())
    }

    /// A header in `who`'s log of `lane`, with the fewest references that bring in all of `seen`
    /// that may be cited there.
    fn draft(&self, who: usize, seen: &Ids, lane: LaneId, kind: Kind) -> Header {
        let writer = partner(who).writer;
        let own = |id: &&EventId| {
            self.event(id).header.lane == lane && self.event(id).header.writer == writer
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
        let deps = self.heads(seen.iter().filter(|id| {
            !known.contains(id)
                && self.event(id).header.writer != writer
                && self.may_cite(lane, seen, id)
        }));
        for dep in &deps {
            known.extend(self.oracle.past(dep));
            known.insert(*dep);
        }
        let unknown_control = seen
            .iter()
            .filter(|id| self.oracle.is_control(id) && !known.contains(id));
        let heads = if kind.is_control_act() {
            Ids::new()
        } else {
            self.heads(unknown_control)
        };
        Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: self.channel,
            lane,
            writer,
            seq: prev.map_or(1, |prev| self.event(&prev).header.seq + 1),
            prev,
            deps: self.references(lane, &deps),
            control_heads: self.references(self.control_lane(), &heads),
            claimed_ms: self.now_ms,
            kind: kind.number(),
            precedence: Precedence::Routine as u8,
            author: kind.names_author().then(|| partner(who).user()),
            about: None,
            label: None,
            key_event: None,
            body_len: 0,
            commitment: None,
            body_hash: Hash([0; 32]),
        }
    }

    /// The control lane cites only itself; an open lane, lanes at least as wide.
    fn may_cite(&self, lane: LaneId, seen: &Ids, id: &EventId) -> bool {
        if lane == self.control_lane() {
            return self.oracle.is_control(id);
        }
        let audience = self.oracle.state(seen).active();
        !self.oracle.is_control(id) && audience.is_subset(self.oracle.audience(id))
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
        let audience = self.oracle.state(seen).active();
        self.oracle
            .is_current(&epoch, &audience, seen)
            .then_some(epoch)
    }

    /// Opens an epoch with one key event, or with two where `parts` says so.
    fn write_key(&mut self, who: usize, seen: &mut Ids, parts: usize) -> EventId {
        let mut wraps = self.wraps(seen);
        let mut earlier = Vec::new();
        if parts > 1 && wraps.len() > 1 {
            let rest = wraps.split_off(1);
            earlier.push(self.write_key_part(who, seen, None, wraps));
            wraps = rest;
        }
        self.write_key_part(who, seen, Some(earlier), wraps)
    }

    /// A wrap for each member; what is in it, acceptance never sees.
    pub fn wraps(&self, seen: &Ids) -> Vec<Wrap> {
        let state = self.oracle.state(seen);
        let wrap = |partner: PartnerId| Wrap {
            partner,
            sealing_key: Hash(
                state.members[&partner]
                    .sealing_key
                    .map_or([0; 32], |(_, key)| key),
            ),
            sealed: ByteBuf::from(vec![1; crypto::WRAP_LEN]),
        };
        state.active().into_iter().map(wrap).collect()
    }

    pub fn write_key_part(
        &mut self,
        who: usize,
        seen: &mut Ids,
        parts: Option<Vec<EventId>>,
        wraps: Vec<Wrap>,
    ) -> EventId {
        let header = self.draft(who, seen, self.lane_on(seen), Kind::Key);
        let body = KeyBody {
            audience: None,
            parts,
            commitment: Hash([5; 32]),
            wraps,
        }
        .to_bytes();
        let id = self.publish(who, header, body);
        if self.is_accepted(&id) {
            seen.insert(id);
        }
        id
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
