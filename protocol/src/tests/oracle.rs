//! A second, naive merge, written from the design's text for tests to compare with.
//!
//! It keeps every event's whole past as a set, judges again whatever waits until nothing
//! changes, and recomputes the control state from the acts themselves. It shares the wire types
//! with the real merge and nothing else.
//!
//! It takes every branch of a fork that is valid in itself. Which of several uncited branches a
//! node takes depends on which came first, the one thing that may; [`Oracle::uncited_branches`]
//! names those, so that tests can leave them out before they compare.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use comity_crypto as crypto;

use crate::body::{
    Charter, EmptyBody, GrantBody, InviteBody, KeyBody, RemoveBody, Role, SealingKeyBody,
};
use crate::codec::Canonical;
use crate::event::{Event, Kind, Reference};
use crate::id::{ChannelId, EventId, LaneId, PartnerId, WriterId};
use crate::identity::Identity;

pub type Ids = BTreeSet<EventId>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Invalid,
    Parked,
    Accepted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Invited,
    Active,
    Suspended,
    Left,
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    pub role: Role,
    pub seat: WriterId,
    /// The event that announced the current sealing key, and the key's id.
    pub sealing_key: Option<(EventId, [u8; 32])>,
}

#[derive(Debug, Default)]
pub struct State {
    pub members: BTreeMap<PartnerId, Standing>,
    pub effective: Ids,
}

impl State {
    pub fn active(&self) -> BTreeSet<PartnerId> {
        let active = |(_, member): &(&PartnerId, &Standing)| member.status == Status::Active;
        self.members
            .iter()
            .filter(active)
            .map(|(partner, _)| *partner)
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    Charter(WriterId, [u8; 32]),
    Invite(PartnerId, Role, WriterId),
    Accept([u8; 32]),
    SealingKey([u8; 32]),
    Grant(PartnerId, Role),
    Remove(PartnerId),
    Suspend(PartnerId),
    Leave,
}

/// What is known of an accepted event.
#[derive(Debug)]
struct Facts {
    /// All that it refers to, and what that refers to.
    past: Ids,
    author: PartnerId,
    audience: BTreeSet<PartnerId>,
    t: u64,
    h: u64,
    act: Option<Act>,
    /// 0 nobody, 1 admin, 2 owner, 3 sovereign: the author's rank in the event's own past.
    rank: u8,
    revokes: bool,
    /// The role that the author's must exceed.
    above: Option<Role>,
    target: Option<EventId>,
}

pub struct Oracle {
    channel: ChannelId,
    events: BTreeMap<EventId, Event>,
    verdicts: BTreeMap<EventId, Verdict>,
    facts: BTreeMap<EventId, Facts>,
    states: RefCell<BTreeMap<Ids, Rc<State>>>,
}

impl Oracle {
    pub fn new(channel: ChannelId) -> Oracle {
        Oracle {
            channel,
            events: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            facts: BTreeMap::new(),
            states: RefCell::default(),
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
        loop {
            let parked = |id: &&EventId| self.verdicts[*id] == Verdict::Parked;
            let waiting: Vec<EventId> = self.events.keys().filter(parked).copied().collect();
            let mut changed = false;
            for id in waiting {
                let (verdict, facts) = self.judge(&self.events[&id]);
                changed |= verdict != Verdict::Parked;
                self.verdicts.insert(id, verdict);
                self.facts.extend(facts.map(|facts| (id, facts)));
            }
            if !changed {
                return;
            }
        }
    }

    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    pub fn verdict(&self, id: &EventId) -> Verdict {
        self.verdicts[id]
    }

    pub fn with_verdict(&self, verdict: Verdict) -> Ids {
        self.verdicts
            .iter()
            .filter(|(_, held)| **held == verdict)
            .map(|(id, _)| *id)
            .collect()
    }

    pub fn event(&self, id: &EventId) -> &Event {
        &self.events[id]
    }

    /// The whole past of an accepted event, without itself.
    pub fn past(&self, id: &EventId) -> &Ids {
        &self.facts[id].past
    }

    pub fn author(&self, id: &EventId) -> PartnerId {
        self.facts[id].author
    }

    /// The partners of an accepted message's lane.
    pub fn audience(&self, id: &EventId) -> &BTreeSet<PartnerId> {
        &self.facts[id].audience
    }

    pub fn is_control(&self, id: &EventId) -> bool {
        self.facts[id].act.is_some()
    }

    /// The channel's control state by all that is accepted.
    pub fn present(&self) -> Rc<State> {
        self.state(&self.facts.keys().copied().collect())
    }

    /// The messages and what was done to them, in order.
    pub fn timeline(&self) -> Vec<EventId> {
        let sealed = |id: &&EventId| self.event(id).header.kind().is_sealed();
        let mut order: Vec<EventId> = self.facts.keys().filter(sealed).copied().collect();
        order.sort_by_key(|id| {
            let (facts, header) = (&self.facts[id], &self.event(id).header);
            (
                facts.t,
                facts.h,
                header.writer,
                header.lane,
                header.seq,
                *id,
            )
        });
        order
    }

    pub fn erased(&self) -> Ids {
        let redacts = |id: &EventId| self.event(id).header.kind() == Kind::Redact;
        let targets = self
            .facts
            .iter()
            .filter(|(id, _)| redacts(id))
            .filter_map(|(_, facts)| facts.target);
        targets.collect()
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

    /// Whether the epoch of a last key event is still that of `audience` by `frontier`.
    pub fn is_current(
        &self,
        key_event: &EventId,
        audience: &BTreeSet<PartnerId>,
        frontier: &Ids,
    ) -> bool {
        let Ok(body) = KeyBody::from_bytes(&self.event(key_event).body) else {
            return false;
        };
        let mut parts: Vec<EventId> = body.parts.unwrap_or_default();
        parts.push(*key_event);
        self.hold_all_changes(&parts, audience, frontier)
    }

    /// Whether each of the key events has in its control frontier every effective removal,
    /// suspension, admission and sealing-key change of `audience` that is in `frontier`.
    fn hold_all_changes(
        &self,
        key_events: &[EventId],
        audience: &BTreeSet<PartnerId>,
        frontier: &Ids,
    ) -> bool {
        let state = self.state(frontier);
        let mut changes = state
            .effective
            .iter()
            .filter(|id| match &self.facts[*id].act {
                Some(Act::Grant(..)) | None => false,
                Some(act) => audience.contains(&target(act).unwrap_or(self.author(id))),
            });
        let holds = |key_event: &EventId, id: &EventId| {
            self.facts
                .get(key_event)
                .is_some_and(|key| key.past.contains(id))
        };
        changes.all(|id| key_events.iter().all(|key_event| holds(key_event, id)))
    }

    fn judge(&self, event: &Event) -> (Verdict, Option<Facts>) {
        let header = &event.header;
        let control_lane = self.lane("control", &BTreeSet::new());
        let (is_control, is_message) = (
            (1..=8).contains(&header.kind),
            (32..=36).contains(&header.kind),
        );
        let in_control = header.lane == control_lane;
        if header.channel != self.channel
            || !(is_control && in_control || is_message && !in_control)
        {
            return (Verdict::Invalid, None);
        }
        let Some((parents, heads)) = self.references(event, control_lane) else {
            return (Verdict::Parked, None);
        };
        match self.place(event, &parents, &heads, control_lane) {
            Some(facts) => (Verdict::Accepted, Some(facts)),
            None => (Verdict::Invalid, None),
        }
    }

    /// prev and deps, then control heads; nothing if one of them is not accepted.
    fn references(
        &self,
        event: &Event,
        control_lane: LaneId,
    ) -> Option<(Vec<EventId>, Vec<EventId>)> {
        let header = &event.header;
        let find = |lane: LaneId, writer: WriterId, seq: u64, id: EventId| {
            self.facts.get(&id)?;
            let found = &self.event(&id).header;
            (found.lane == lane && found.writer == writer && found.seq == seq).then_some(id)
        };
        let dep =
            |dep: &Reference| find(dep.lane.unwrap_or(header.lane), dep.writer, dep.seq, dep.id);
        let head = |head: &Reference| find(control_lane, head.writer, head.seq, head.id);
        let prev = match header.prev {
            Some(prev) => vec![find(header.lane, header.writer, header.seq - 1, prev)?],
            None => Vec::new(),
        };
        let mut parents = prev;
        parents.extend(header.deps.iter().map(dep).collect::<Option<Vec<_>>>()?);
        Some((
            parents,
            header
                .control_heads
                .iter()
                .map(head)
                .collect::<Option<_>>()?,
        ))
    }

    fn place(
        &self,
        event: &Event,
        parents: &[EventId],
        heads: &[EventId],
        control_lane: LaneId,
    ) -> Option<Facts> {
        let header = &event.header;
        let in_control = header.lane == control_lane;
        if in_control && !heads.is_empty() || self.is_redundant(header.prev, parents, heads) {
            return None;
        }
        let control_parent = |id: &EventId| self.event(id).header.lane == control_lane;
        if !parents
            .iter()
            .all(|parent| control_parent(parent) == in_control)
        {
            return None;
        }
        let past = self.closure(parents.iter().chain(heads));
        let frontier: Ids = past
            .iter()
            .filter(|id| self.is_control(id))
            .copied()
            .collect();
        let state = self.state(&frontier);
        let claimed = (header.claimed_ms, 1);
        let (t, h) = parents
            .iter()
            .map(|parent| &self.facts[parent])
            .fold(claimed, |(t, h), parent| {
                (t.max(parent.t), h.max(parent.h + 1))
            });
        let facts = if in_control {
            self.control(event, &state)?
        } else {
            self.message(event, parents, &past, &frontier)?
        };
        Some(Facts {
            past,
            t,
            h,
            ..facts
        })
    }

    fn closure<'a>(&self, of: impl Iterator<Item = &'a EventId>) -> Ids {
        of.flat_map(|id| self.past(id).iter().copied().chain([*id]))
            .collect()
    }

    /// Whether a dep or control head is prev, is listed twice, or is in the past of prev or of
    /// another one.
    fn is_redundant(&self, prev: Option<EventId>, parents: &[EventId], heads: &[EventId]) -> bool {
        let all: Vec<&EventId> = parents.iter().chain(heads).collect();
        let listed = &all[prev.iter().count()..];
        listed.iter().any(|id| {
            let twice = all.iter().filter(|other| *other == id).count() > 1;
            twice || all.iter().any(|other| self.past(other).contains(id))
        })
    }

    fn control(&self, event: &Event, state: &State) -> Option<Facts> {
        let act = self.act(event)?;
        let founder = match &act {
            Act::Charter(..) => Some(Charter::from_bytes(&event.body).ok()?.creator.partner()),
            _ => None,
        };
        let author = founder.or_else(|| self.partner_of(event, state))?;
        let status = state.members.get(&author).map(|member| member.status);
        let may_write = match &act {
            Act::Charter(..) => true,
            Act::Accept(_) => status == Some(Status::Invited),
            _ => status == Some(Status::Active),
        };
        if !may_write {
            return None;
        }
        let (rank, revokes, above) = weigh(state, author, &act);
        Some(Facts {
            act: Some(act),
            rank,
            revokes,
            above,
            ..Facts::by(author)
        })
    }

    fn partner_of(&self, event: &Event, state: &State) -> Option<PartnerId> {
        let seat = |(_, member): &(&PartnerId, &Standing)| member.seat == event.header.writer;
        state.members.iter().find(seat).map(|(partner, _)| *partner)
    }

    fn act(&self, event: &Event) -> Option<Act> {
        let seat = |identity: &Identity| match identity.verify().ok()?.as_slice() {
            [(writer, _)] => Some(*writer),
            _ => None,
        };
        let key = |bytes: &[u8]| {
            crypto::SealingPublicKey::from_bytes(bytes)
                .ok()
                .map(|key| key.id())
        };
        let body = &event.body;
        Some(match event.header.kind() {
            Kind::Charter => {
                let charter = Charter::from_bytes(body).ok()?;
                let founder = seat(&charter.creator)? == event.header.writer;
                let first = event.header.seq == 1 && event.header.deps.is_empty();
                let here = crypto::hash("comity/v1/channel", &[body]) == self.channel.0;
                (founder && first && here).then_some(Act::Charter(
                    event.header.writer,
                    key(&charter.sealing_key)?,
                ))?
            }
            Kind::Accept => Act::Accept(key(&SealingKeyBody::from_bytes(body).ok()?.sealing_key)?),
            Kind::SealingKey => {
                Act::SealingKey(key(&SealingKeyBody::from_bytes(body).ok()?.sealing_key)?)
            }
            Kind::Invite => {
                let invite = InviteBody::from_bytes(body)
                    .ok()
                    .filter(|invite| invite.endorsements.is_empty())?;
                Act::Invite(
                    invite.partner.partner(),
                    invite.role,
                    seat(&invite.partner)?,
                )
            }
            Kind::Grant => {
                let grant = GrantBody::from_bytes(body)
                    .ok()
                    .filter(|grant| grant.endorsements.is_empty())?;
                Act::Grant(grant.partner, grant.role)
            }
            kind @ (Kind::Remove | Kind::Suspend) => {
                let remove = RemoveBody::from_bytes(body)
                    .ok()
                    .filter(|remove| remove.endorsements.is_empty())?;
                if kind == Kind::Remove {
                    Act::Remove(remove.partner)
                } else {
                    Act::Suspend(remove.partner)
                }
            }
            Kind::Leave => EmptyBody::from_bytes(body).ok().map(|_| Act::Leave)?,
            _ => return None,
        })
    }

    fn message(
        &self,
        event: &Event,
        parents: &[EventId],
        past: &Ids,
        frontier: &Ids,
    ) -> Option<Facts> {
        let header = &event.header;
        let state = self.state(frontier);
        let author = self.partner_of(event, &state)?;
        let member = state
            .members
            .get(&author)
            .filter(|member| member.status == Status::Active)?;
        let audience = state.active();
        let in_open_lane = header.lane == self.lane("open", &audience);
        let narrow = |parent: &EventId| !audience.is_subset(self.audience(parent));
        if member.role < Role::Contributor || !in_open_lane || parents.iter().any(narrow) {
            return None;
        }
        let sealed_well = if header.kind() == Kind::Key {
            self.key_event_names(event, &audience, frontier)
        } else {
            let latest = self.latest_epoch(header.prev?);
            latest == header.key_event && self.is_current(&header.key_event?, &audience, frontier)
        };
        let target = self
            .target(event, author, &audience)
            .filter(|target| past.contains(target));
        sealed_well.then(|| Facts {
            audience,
            target,
            ..Facts::by(author)
        })
    }

    /// Whether a key event wraps to current keys of readers, and its last part to each of them
    /// exactly once.
    fn key_event_names(
        &self,
        event: &Event,
        audience: &BTreeSet<PartnerId>,
        frontier: &Ids,
    ) -> bool {
        let Ok(body) = KeyBody::from_bytes(&event.body) else {
            return false;
        };
        let state = self.state(frontier);
        let is_current = |wrap: &crate::body::Wrap| {
            let key = state
                .members
                .get(&wrap.partner)
                .and_then(|member| member.sealing_key);
            audience.contains(&wrap.partner)
                && key.is_some_and(|(_, key)| key == wrap.sealing_key.0)
        };
        if body.audience.is_some() || !body.wraps.iter().all(is_current) {
            return false;
        }
        let Some(parts) = body.parts else { return true };
        if !self.hold_all_changes(&parts, audience, frontier) {
            return false;
        }
        let mut named: Vec<PartnerId> = body.wraps.iter().map(|wrap| wrap.partner).collect();
        let mut before = event.header.prev;
        for part in parts.iter().rev() {
            let held = before
                .filter(|id| id == part)
                .map(|id| &self.event(&id).header);
            let earlier = held.filter(|header| header.kind() == Kind::Key);
            let Some(earlier) = earlier else { return false };
            let Ok(part) = KeyBody::from_bytes(&self.event(part).body) else {
                return false;
            };
            if part.parts.is_some() || part.commitment != body.commitment {
                return false;
            }
            named.extend(part.wraps.iter().map(|wrap| wrap.partner));
            before = earlier.prev;
        }
        named.sort_unstable();
        named.into_iter().eq(audience.iter().copied())
    }

    /// The last complete key event at or before `id` in its log.
    pub fn latest_epoch(&self, id: EventId) -> Option<EventId> {
        let mut at = Some(id);
        while let Some(id) = at {
            let event = self.event(&id);
            let complete = |event: &Event| {
                KeyBody::from_bytes(&event.body).is_ok_and(|body| body.parts.is_some())
            };
            if event.header.kind() == Kind::Key && complete(event) {
                return Some(id);
            }
            at = event.header.prev;
        }
        None
    }

    /// The event that this one is about, where it may bear on it.
    fn target(
        &self,
        event: &Event,
        author: PartnerId,
        audience: &BTreeSet<PartnerId>,
    ) -> Option<EventId> {
        let about = event.header.about.as_ref()?;
        let facts = self.facts.get(&about.id)?;
        let target = &self.event(&about.id).header;
        let lane = about.lane.unwrap_or(event.header.lane);
        let same = target.lane == lane && target.writer == about.writer && target.seq == about.seq;
        let own = facts.author == author && target.author == event.header.author;
        let may = match event.header.kind() {
            Kind::Post | Kind::React => target.kind() == Kind::Post,
            Kind::Edit | Kind::Redact => target.kind() == Kind::Post && own,
            _ => false,
        };
        (same && may && audience.is_subset(&facts.audience)).then_some(about.id)
    }

    pub fn lane(&self, form: &str, audience: &BTreeSet<PartnerId>) -> LaneId {
        let mut parts: Vec<&[u8]> = vec![&self.channel.0, form.as_bytes()];
        parts.extend(audience.iter().map(|partner| partner.0.as_slice()));
        LaneId(crypto::hash("comity/v1/lane", &parts))
    }

    /// The control state by the control events among `held`.
    pub fn state(&self, held: &Ids) -> Rc<State> {
        let held: Ids = held
            .iter()
            .filter(|id| self.is_control(id))
            .copied()
            .collect();
        if let Some(state) = self.states.borrow().get(&held) {
            return state.clone();
        }
        let fold = Fold {
            oracle: self,
            held: &held,
            memo: RefCell::default(),
        };
        let effective: Ids = held
            .iter()
            .filter(|id| fold.is_effective(id))
            .copied()
            .collect();
        let concerned = effective
            .iter()
            .filter_map(|id| self.facts[id].act.as_ref().map(|act| (id, act)));
        let partners: BTreeSet<PartnerId> = concerned
            .map(|(id, act)| target(act).unwrap_or(self.author(id)))
            .collect();
        let members = partners
            .into_iter()
            .filter_map(|partner| Some((partner, fold.standing(partner, &held)?)));
        let state = Rc::new(State {
            members: members.collect(),
            effective,
        });
        self.states.borrow_mut().insert(held, state.clone());
        state
    }
}

impl Facts {
    fn by(author: PartnerId) -> Facts {
        Facts {
            past: Ids::new(),
            author,
            audience: BTreeSet::new(),
            t: 0,
            h: 0,
            act: None,
            rank: 0,
            revokes: false,
            above: None,
            target: None,
        }
    }
}

/// Whom an act bears on, if not its author.
fn target(act: &Act) -> Option<PartnerId> {
    match act {
        Act::Invite(partner, ..)
        | Act::Grant(partner, _)
        | Act::Remove(partner)
        | Act::Suspend(partner) => Some(*partner),
        _ => None,
    }
}

/// An act's rank, whether it revokes, and which role its author's must exceed.
fn weigh(state: &State, author: PartnerId, act: &Act) -> (u8, bool, Option<Role>) {
    let member = state.members.get(&author);
    let role = member
        .filter(|member| member.status == Status::Active)
        .map(|member| member.role);
    let present = |partner: &PartnerId| {
        state
            .members
            .get(partner)
            .filter(|member| member.status <= Status::Active)
    };
    let sovereign = |allowed: bool, revokes: bool| (if allowed { 3 } else { 0 }, revokes, None);
    let by_role = |above: Option<Role>, revokes: bool| {
        let allowed =
            role.filter(|role| *role >= Role::Admin && above.is_some_and(|above| *role > above));
        let rank = allowed.map_or(0, |role| if role == Role::Owner { 2 } else { 1 });
        (rank, revokes, above)
    };
    match act {
        Act::Charter(..) => sovereign(state.members.is_empty(), false),
        Act::Accept(_) => sovereign(
            member.is_some_and(|member| member.status == Status::Invited),
            false,
        ),
        Act::Leave => sovereign(role.is_some(), true),
        Act::SealingKey(_) => sovereign(role.is_some(), false),
        Act::Grant(partner, granted) if *partner == author => {
            sovereign(role.is_some_and(|role| *granted < role), true)
        }
        Act::Grant(partner, granted) => {
            let held = present(partner).map(|member| member.role);
            by_role(
                held.map(|held| held.max(*granted)),
                held.is_some_and(|held| *granted < held),
            )
        }
        // Who is gone has no rank any more.
        Act::Remove(partner) | Act::Suspend(partner) => {
            let known = state.members.contains_key(partner);
            by_role(
                known.then(|| present(partner).map_or(Role::Observer, |member| member.role)),
                true,
            )
        }
        Act::Invite(partner, granted, _) => {
            by_role(present(partner).is_none().then_some(*granted), false)
        }
    }
}

/// Which of the acts held have effect.
struct Fold<'a> {
    oracle: &'a Oracle,
    held: &'a Ids,
    memo: RefCell<BTreeMap<EventId, bool>>,
}

impl<'a> Fold<'a> {
    fn facts(&self, id: &EventId) -> &'a Facts {
        &self.oracle.facts[id]
    }

    fn is_effective(&self, id: &EventId) -> bool {
        if let Some(known) = self.memo.borrow().get(id) {
            return *known;
        }
        let effective = self.facts(id).rank > 0
            && self.author_may(id)
            && !self.held.iter().any(|other| self.hits(other, id));
        self.memo.borrow_mut().insert(*id, effective);
        effective
    }

    /// Whether the author's place, by the effective acts of the event's own past, suffices.
    /// Sovereign acts come first: nothing that could undo their author's place is weighed yet.
    fn author_may(&self, id: &EventId) -> bool {
        let facts = self.facts(id);
        let Some(above) = facts.above else {
            return true;
        };
        self.standing(facts.author, &facts.past)
            .is_some_and(|place| {
                place.status == Status::Active && place.role >= Role::Admin && place.role > above
            })
    }

    /// Whether `other` is an effective concurrent revocation of the author of `id`: one of higher
    /// rank, or of equal rank where `id` revokes nothing.
    fn hits(&self, other: &EventId, id: &EventId) -> bool {
        let (revocation, facts) = (self.facts(other), self.facts(id));
        let of_author = revocation.act.as_ref().and_then(target) == Some(facts.author);
        let concurrent =
            other != id && !facts.past.contains(other) && !revocation.past.contains(id);
        let heavier =
            revocation.rank > facts.rank || revocation.rank == facts.rank && !facts.revokes;
        let of_another = revocation.author != facts.author;
        revocation.revokes
            && of_author
            && of_another
            && concurrent
            && heavier
            && self.is_effective(other)
    }

    /// A partner's place by the effective acts among `within`.
    fn standing(&self, partner: PartnerId, within: &Ids) -> Option<Standing> {
        let bearing: Vec<(EventId, &Act)> = within
            .iter()
            .filter_map(|id| Some((*id, self.facts(id).act.as_ref()?)))
            .filter(|(id, act)| target(act).unwrap_or(self.facts(id).author) == partner)
            .filter(|(id, _)| self.held.contains(id) && self.is_effective(id))
            .collect();
        let last = |wanted: fn(&Act) -> bool| self.last(&bearing, wanted);
        let admissions = last(|act| matches!(act, Act::Charter(..) | Act::Invite(..)));
        let newest = admissions
            .iter()
            .max_by_key(|(id, _)| (self.facts(id).h, *id))?;
        let seat = match newest.1 {
            Act::Charter(seat, _) | Act::Invite(_, _, seat) => *seat,
            _ => return None,
        };
        let joined = bearing.iter().any(|(id, act)| match act {
            Act::Charter(..) => admissions.iter().any(|(admission, _)| admission == id),
            Act::Accept(_) => admissions
                .iter()
                .any(|(admission, _)| self.facts(id).past.contains(admission)),
            _ => false,
        });
        let comings_and_goings =
            last(|act| !matches!(act, Act::Accept(_) | Act::SealingKey(_) | Act::Grant(..)));
        let worst = comings_and_goings.iter().filter_map(|(_, act)| match act {
            Act::Remove(_) => Some(Status::Removed),
            Act::Leave => Some(Status::Left),
            Act::Suspend(_) => Some(Status::Suspended),
            _ => None,
        });
        let status = worst.max().unwrap_or(if joined {
            Status::Active
        } else {
            Status::Invited
        });
        let roles = last(|act| matches!(act, Act::Charter(..) | Act::Invite(..) | Act::Grant(..)));
        let role = roles.iter().filter_map(|(_, act)| match act {
            Act::Charter(..) => Some(Role::Owner),
            Act::Invite(_, role, _) | Act::Grant(_, role) => Some(*role),
            _ => None,
        });
        let keys =
            last(|act| matches!(act, Act::Charter(..) | Act::Accept(_) | Act::SealingKey(_)));
        let key = keys
            .iter()
            .max_by_key(|(id, _)| (self.facts(id).h, *id))
            .and_then(|(id, act)| match act {
                Act::Charter(_, key) | Act::Accept(key) | Act::SealingKey(key) => Some((*id, *key)),
                _ => None,
            });
        Some(Standing {
            status,
            role: role.min()?,
            seat,
            sealing_key: key,
        })
    }

    /// The wanted acts that lie in the past of no other one of them.
    fn last<'b>(
        &self,
        acts: &[(EventId, &'b Act)],
        wanted: fn(&Act) -> bool,
    ) -> Vec<(EventId, &'b Act)> {
        let acts: Vec<_> = acts
            .iter()
            .copied()
            .filter(|(_, act)| wanted(act))
            .collect();
        let followed = |id: &EventId| {
            acts.iter()
                .any(|(other, _)| self.facts(other).past.contains(id))
        };
        acts.iter()
            .copied()
            .filter(|(id, _)| !followed(id))
            .collect()
    }
}
