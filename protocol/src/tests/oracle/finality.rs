//! Acknowledgements, barriers and what follows from them (section 21).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use comity_crypto as crypto;

use super::fold::{Status, View};
use super::{Act, Ids, Lane, Oracle, Place};
use crate::codec::{Canonical, encode};
use crate::event::{Event, Header, Kind};
use crate::finality::AckBody;
use crate::id::{EventId, Hash, LaneId, PartnerId, WriterId};

/// A partner and its session.
pub type Member = (PartnerId, u64);
pub type Set = BTreeSet<Member>;

/// What follows from the own past of a valid ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub number: u64,
    pub author: Member,
    pub is_entry: bool,
    pub set: Set,
    /// Of the members of the set, the acks of the number before.
    pub before: BTreeMap<Member, EventId>,
    pub base: Option<Hash>,
    /// By majority alone.
    pub bounding: BTreeSet<Set>,
    /// Always.
    pub bounding_sets: Vec<Set>,
    /// Whether somebody was forced out of the set.
    pub forces: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    pub number: u64,
    pub acks: Ids,
    pub set: Set,
    pub base: Option<Hash>,
    /// The acks and their pasts.
    pub holds: Ids,
}

impl Barrier {
    pub fn digest(&self) -> Hash {
        let base = self.base.unwrap_or(Hash([0; 32]));
        let encoded = encode(&(self.number, &self.acks, &self.set, base));
        Hash(crypto::hash("comity/v1/barrier", &[&encoded]))
    }
}

pub type Barriers = BTreeMap<Hash, Barrier>;

/// A lane and a set of events that has the past of each of its members, with its view.
struct Sight<'a> {
    lane: LaneId,
    /// Nothing for the control lane.
    audience: Option<&'a BTreeSet<PartnerId>>,
    held: &'a Ids,
    view: Rc<View>,
}

impl Oracle {
    /// Whether an ack is valid, and what follows from its past.
    pub(super) fn judge_ack(
        &self,
        event: &Event,
        author: PartnerId,
        audience: Option<&BTreeSet<PartnerId>>,
        place: &Place,
    ) -> Option<Ack> {
        let body = AckBody::from_bytes(&event.body).ok()?;
        let sight = Sight {
            lane: event.header.lane,
            audience,
            held: &place.past,
            view: place.view.clone(),
        };
        let by_its_seat = sight.view.members.get(&author)?.seat == event.header.writer;
        by_its_seat.then(|| self.judge_body(&body, author, &sight))?
    }

    /// The ack of the highest number that an event of this header may be, up to one more than
    /// the highest in its past.
    pub fn next_ack(&self, header: &Header) -> Option<AckBody> {
        let place = self.place(header)?;
        let in_lane = |parent: &&EventId| self.event(parent).header.lane == header.lane;
        let named = place.parents().find(in_lane)?;
        let audience = match header.lane == self.control_lane() {
            true => None,
            false => Some(&self.lane_of(named).audience),
        };
        let sight = Sight {
            lane: header.lane,
            audience,
            held: &place.past,
            view: place.view.clone(),
        };
        let author = sight.view.partner_with_writer(&header.writer)?;
        let acks = self.acks(sight.lane, sight.held);
        let highest = acks.iter().map(|id| self.ack(id).number).max().unwrap_or(0);
        let numbers = (1..=highest + 1).rev();
        let bodies = numbers.map(|number| AckBody {
            number,
            base: name_of(self.base(&sight, number).as_ref()),
        });
        bodies
            .into_iter()
            .find(|body| self.judge_body(body, author, &sight).is_some())
    }

    fn judge_body(&self, body: &AckBody, author: PartnerId, sight: &Sight) -> Option<Ack> {
        let (number, me) = (body.number, (author, self.session(&sight.view, author)));
        if number == 0 {
            return None;
        }
        let own = |id: &EventId| self.ack(id).author == me;
        let mut earlier = self.acks(sight.lane, sight.held);
        earlier.retain(own);
        if earlier.iter().any(|id| self.ack(id).number >= number) {
            return None;
        }
        let base = self.base(sight, number);
        let set = self.set(sight, number, base.as_ref());
        let bounding = self.bounding(sight, base.as_ref());
        let is_entry = !set.contains(&me);
        let active = sight.view.role(&author).is_some();
        let named = body.base == name_of(base.as_ref());
        let follows = number == 1 || self.follows(sight, number, &set, &bounding);
        if !follows || is_entry && !active || !named {
            return None;
        }
        let before = set.iter().filter_map(|member| {
            let ack = self.ack_of(sight.lane, sight.held, number.checked_sub(1)?, member)?;
            Some((*member, ack))
        });
        Some(Ack {
            number,
            author: me,
            is_entry,
            before: before.collect(),
            base: base.as_ref().map(Barrier::digest),
            forces: set != self.unforced(sight, number, base.as_ref()),
            bounding_sets: bounding.clone(),
            bounding: match self.by_majority() {
                true => bounding.into_iter().collect(),
                false => BTreeSet::new(),
            },
            set,
        })
    }

    /// Whether enough have written the acks of the number before.
    fn follows(&self, sight: &Sight, number: u64, set: &Set, bounding: &[Set]) -> bool {
        let before = |member: &Member| {
            self.ack_of(sight.lane, sight.held, number - 1, member)
                .is_some()
        };
        self.enough(set, bounding, before)
    }

    /// Whether all of a set do something, or, by majority, more than half of each set.
    fn enough<'a>(
        &self,
        set: &Set,
        bounding: impl IntoIterator<Item = &'a Set>,
        does: impl Fn(&Member) -> bool,
    ) -> bool {
        if !self.by_majority() {
            return set.iter().all(does);
        }
        let does = |member: &&Member| set.contains(member) && does(member);
        let half = |of: &Set| of.iter().filter(does).count() * 2 > of.len();
        half(set) && bounding.into_iter().all(half)
    }

    pub fn by_majority(&self) -> bool {
        self.charter
            .as_ref()
            .is_some_and(|charter| charter.finality == 2)
    }

    pub fn session(&self, view: &View, partner: PartnerId) -> u64 {
        if !view.members.contains_key(&partner) {
            return 0;
        }
        let count = |wanted: &dyn Fn(&EventId) -> bool| {
            view.effective.iter().filter(|id| wanted(id)).count() as u64
        };
        let own = |id: &EventId| self.author(id) == partner;
        let accepts = count(&|id| matches!(self.act(id), Act::Accept(_)) && own(id));
        let charter = count(&|id| matches!(self.act(id), Act::Charter(..)) && own(id));
        let transfers = count(
            &|id| matches!(self.act(id), Act::SeatTransfer(list, _) if list.partner == partner),
        );
        (accepts + charter).saturating_sub(1) + transfers
    }

    /// The acks of a lane among these events.
    fn acks(&self, lane: LaneId, among: &Ids) -> Ids {
        let is_ack = |id: &&EventId| {
            let header = &self.event(id).header;
            header.lane == lane && header.kind() == Kind::Ack
        };
        among.iter().filter(is_ack).copied().collect()
    }

    pub fn ack(&self, id: &EventId) -> &Ack {
        self.facts[id].ack.as_ref().expect("an ack")
    }

    /// The member's ack of this number; of several the first by id.
    fn ack_of(&self, lane: LaneId, among: &Ids, number: u64, member: &Member) -> Option<EventId> {
        let acks = self.acks(lane, among);
        acks.into_iter().find(|id| {
            let ack = self.ack(id);
            ack.number == number && ack.author == *member
        })
    }

    fn base(&self, sight: &Sight, number: u64) -> Option<Barrier> {
        let certified = self.certified(sight.lane, sight.held);
        let mut below: Vec<(&Hash, &Barrier)> = certified
            .iter()
            .filter(|(_, barrier)| barrier.number + 2 <= number)
            .collect();
        below.sort_by_key(|(digest, barrier)| (std::cmp::Reverse(barrier.number), **digest));
        below.first().map(|(_, barrier)| (*barrier).clone())
    }

    fn initial(&self, sight: &Sight) -> Set {
        let partners: BTreeSet<PartnerId> = match sight.audience {
            Some(audience) => audience.clone(),
            None => self
                .charter
                .iter()
                .map(|charter| charter.creator.partner())
                .collect(),
        };
        let with_session = |partner| (partner, self.session(&sight.view, partner));
        partners.into_iter().map(with_session).collect()
    }

    fn set(&self, sight: &Sight, number: u64, base: Option<&Barrier>) -> Set {
        let mut set = self.unforced(sight, number, base);
        if !self.by_majority() {
            self.force_out(sight, base, &mut set);
        }
        set
    }

    /// The set before anybody is forced out of it.
    fn unforced(&self, sight: &Sight, number: u64, base: Option<&Barrier>) -> Set {
        let mut set = match base {
            Some(base) => base.set.clone(),
            None => self.initial(sight),
        };
        let above = base.map_or(0, |base| base.number);
        for id in self.acks(sight.lane, sight.held) {
            let ack = self.ack(&id);
            if ack.is_entry && ack.number > above && ack.number < number {
                set.insert(ack.author);
            }
        }
        set.retain(|(partner, session)| {
            *session == self.session(&sight.view, *partner)
                && !self.has_left(sight, *partner)
                && !self.is_seen_to_fork(sight, *partner)
        });
        if self.by_majority() {
            set.retain(|(partner, _)| !is_gone(&sight.view, *partner));
        }
        set
    }

    /// Whether an event of the lane or of the control lane is among them.
    fn seen<'a>(&'a self, sight: &'a Sight) -> impl Iterator<Item = &'a EventId> {
        let seen = |id: &&EventId| {
            let lane = self.event(id).header.lane;
            lane == sight.lane || lane == self.control_lane()
        };
        sight.held.iter().filter(seen)
    }

    fn has_left(&self, sight: &Sight, partner: PartnerId) -> bool {
        let own = |kind: Kind| {
            let of_kind = move |id: &&EventId| self.event(id).header.kind() == kind;
            let seen = self.seen(sight).filter(of_kind);
            seen.filter(move |id| self.author(id) == partner)
        };
        own(Kind::Leave)
            .any(|leave| !own(Kind::Accept).any(|accept| self.past(accept).contains(leave)))
    }

    fn is_seen_to_fork(&self, sight: &Sight, partner: PartnerId) -> bool {
        let mut numbers = BTreeSet::new();
        for id in self.acks(sight.lane, sight.held) {
            let ack = self.ack(&id);
            if ack.author.0 == partner && !numbers.insert((ack.number, ack.author.1)) {
                return true;
            }
        }
        let seats = self.named_as_seats(sight, partner);
        let mut positions = BTreeSet::new();
        for id in self.seen(sight) {
            let header = &self.event(id).header;
            let twice = !positions.insert((header.lane, header.writer, header.seq));
            if twice && seats.contains(&header.writer) {
                return true;
            }
            if let Some((writer, _)) = self.proof_in(id)
                && seats.contains(&writer)
            {
                return true;
            }
        }
        false
    }

    /// The writers that some control event names as the partner's seat.
    fn named_as_seats(&self, sight: &Sight, partner: PartnerId) -> BTreeSet<WriterId> {
        let named = |id: &EventId| match self.act(id) {
            Act::Charter(list, _) | Act::Invite(list, ..) => {
                (list.partner == partner).then(|| list.writers[0])
            }
            Act::SeatMove(writer) => (self.author(id) == partner).then_some(*writer),
            Act::SeatTransfer(list, seat) => (list.partner == partner).then_some(*seat),
            _ => None,
        };
        let control = self.control_events(sight.held);
        control.iter().filter_map(named).collect()
    }

    /// The sets that forcing out and majorities are bounded by.
    fn bounding(&self, sight: &Sight, base: Option<&Barrier>) -> Vec<Set> {
        let standing = self.standing_barriers(sight.lane, sight.held);
        let last = standing.last();
        let mut sets = vec![match last {
            Some(last) => last.set.clone(),
            None => self.initial(sight),
        }];
        let above = last.map_or(0, |last| last.number);
        let certified = self.certified(sight.lane, sight.held);
        let mut next = base.cloned();
        while let Some(barrier) = next.filter(|barrier| barrier.number > above) {
            next = barrier.base.and_then(|base| certified.get(&base).cloned());
            sets.push(barrier.set);
        }
        sets
    }

    fn force_out(&self, sight: &Sight, base: Option<&Barrier>, set: &mut Set) {
        let bounding = self.bounding(sight, base);
        let mut acts: Vec<(EventId, PartnerId)> = Vec::new();
        for id in &sight.view.effective {
            if let Act::Remove(target, _) | Act::Suspend(target, _) = self.act(id) {
                acts.push((*id, *target));
            }
        }
        acts.sort_by_key(|(id, _)| self.height_and_id(id));
        for (act, target) in acts {
            let member = (target, self.session(&sight.view, target));
            if !is_gone(&sight.view, target) || !set.contains(&member) {
                continue;
            }
            let counts = |one: &&Member| {
                set.contains(one) && one.0 != target && self.knows(sight, one.0, &act)
            };
            let by = |bound: &Set| bound.iter().filter(counts).count() * 3 > bound.len() * 2;
            if bounding.iter().all(by) {
                set.remove(&member);
            }
        }
    }

    fn knows(&self, sight: &Sight, partner: PartnerId, act: &EventId) -> bool {
        self.seen(sight).any(|id| {
            self.author(id) == partner
                && self.event(id).header.kind() != Kind::Ack
                && (id == act || self.past(id).contains(act))
                && self.is_by_its_seat(id)
        })
    }

    fn is_by_its_seat(&self, id: &EventId) -> bool {
        let view = self.view(self.frontier(id));
        let author = view.members.get(&self.author(id));
        author.is_some_and(|author| author.seat == self.event(id).header.writer)
    }

    /// The barriers of a lane that are certified in a set of events.
    pub fn certified(&self, lane: LaneId, held: &Ids) -> Barriers {
        let acks = self.acks(lane, held);
        let known = self.barriers.borrow().get(&(lane, acks.clone())).cloned();
        if let Some(barriers) = known {
            return barriers;
        }
        type Alike<'a> = (
            u64,
            &'a Set,
            &'a BTreeMap<Member, EventId>,
            &'a Option<Hash>,
            &'a BTreeSet<Set>,
        );
        let mut alike: BTreeMap<Alike, Set> = BTreeMap::new();
        for id in &acks {
            let ack = self.ack(id);
            if ack.number >= 2 && !ack.is_entry {
                let key = (ack.number, &ack.set, &ack.before, &ack.base, &ack.bounding);
                alike.entry(key).or_default().insert(ack.author);
            }
        }
        let mut barriers = Barriers::new();
        for ((number, set, before, base, bounding), authors) in alike {
            if !set.is_empty() && self.enough(set, bounding, |member| authors.contains(member)) {
                let acks: Ids = before.values().copied().collect();
                let pasts = acks.iter().flat_map(|ack| self.past(ack).iter()).copied();
                let barrier = Barrier {
                    number: number - 1,
                    holds: pasts.chain(acks.iter().copied()).collect(),
                    acks: acks.clone(),
                    set: set.clone(),
                    base: *base,
                };
                barriers.insert(barrier.digest(), barrier);
            }
        }
        let key = (lane, acks);
        self.barriers.borrow_mut().insert(key, barriers.clone());
        barriers
    }

    /// The barriers of a lane that stand in a set of events, from the first on.
    pub fn standing_barriers(&self, lane: LaneId, held: &Ids) -> Vec<Barrier> {
        if self.flat.get() {
            return Vec::new();
        }
        let certified = self.certified(lane, held);
        let acks = self.acks(lane, held);
        let stands = |digest: &Hash, barrier: &Barrier| {
            let mut alike: BTreeMap<(&Set, &BTreeSet<Set>), Set> = BTreeMap::new();
            for ack in acks.iter().map(|id| self.ack(id)) {
                let says = ack.number == barrier.number + 2 && ack.base == Some(*digest);
                if says && !ack.is_entry {
                    let authors = alike.entry((&ack.set, &ack.bounding)).or_default();
                    authors.insert(ack.author);
                }
            }
            alike.iter().any(|((set, bounding), authors)| {
                self.enough(set, *bounding, |member| authors.contains(member))
            })
        };
        let standing = certified
            .iter()
            .filter(|(digest, barrier)| stands(digest, barrier));
        let last =
            standing.min_by_key(|(digest, barrier)| (std::cmp::Reverse(barrier.number), **digest));
        let mut chain = Vec::new();
        let mut next = last.map(|(_, barrier)| barrier);
        while let Some(barrier) = next {
            chain.push(barrier.clone());
            next = barrier.base.as_ref().map(|base| &certified[base]);
        }
        chain.reverse();
        chain
    }

    /// The barriers that stand in a lane by all that is accepted.
    pub fn barriers(&self, lane: LaneId) -> Vec<Barrier> {
        self.standing_barriers(lane, &self.all())
    }

    pub fn acks_by(&self, wanted: impl Fn(&Ack) -> bool) -> bool {
        let mut acks = self.facts.values().filter_map(|facts| facts.ack.as_ref());
        acks.any(wanted)
    }

    pub fn acks_in(&self, lane: LaneId) -> Vec<&Ack> {
        let acks = self.acks(lane, &self.all()).into_iter();
        acks.map(|id| self.facts[&id].ack.as_ref().expect("an ack"))
            .collect()
    }

    pub fn lanes_with_acks(&self) -> BTreeSet<LaneId> {
        let acks = self.facts.iter().filter(|(_, facts)| facts.ack.is_some());
        acks.map(|(id, _)| self.event(id).header.lane).collect()
    }

    /// Whether an act targets a partner.
    pub fn is_of(&self, id: &EventId, whom: PartnerId) -> bool {
        self.judgement(id).target == Some(whom)
    }

    /// The digests of all barriers of a lane that are certified by all that is accepted.
    pub fn every_digest(&self, lane: &Lane) -> Vec<Hash> {
        self.certified(lane.id, &self.all()).into_keys().collect()
    }

    /// What would have effect, and what would be flagged, if no barrier stood.
    pub fn flat(&self) -> (Ids, Ids) {
        let known = self.views.take();
        self.flat.set(true);
        let flat = (self.present().effective.clone(), self.flagged());
        self.flat.set(false);
        self.views.replace(known);
        flat
    }

    /// Per lane in which any stand, their numbers and digests.
    pub fn all_barriers(&self) -> BTreeMap<LaneId, Vec<(u64, Hash)>> {
        let lanes = self.accepted().map(|id| self.event(id).header.lane);
        let lanes: BTreeSet<LaneId> = lanes.collect();
        let named = |lane: LaneId| {
            let barriers = self.barriers(lane);
            let named = barriers.iter().map(|one| (one.number, one.digest()));
            (lane, named.collect::<Vec<_>>())
        };
        let barriers = lanes.into_iter().map(named);
        barriers
            .filter(|(_, standing)| !standing.is_empty())
            .collect()
    }

    pub(super) fn all(&self) -> Ids {
        self.facts.keys().copied().collect()
    }

    /// How far the layers of a lane below the last one reach: each barrier's own events, none of
    /// them in two.
    pub(super) fn layers(&self, lane: LaneId, held: &Ids) -> Vec<(Ids, Barrier)> {
        let mut below = Ids::new();
        let mut layers = Vec::new();
        for barrier in self.standing_barriers(lane, held) {
            let layer: Ids = barrier.holds.difference(&below).copied().collect();
            below.extend(barrier.holds.iter().copied());
            layers.push((layer, barrier));
        }
        layers
    }

    pub fn finals(&self) -> Ids {
        let control = self.barriers(self.control_lane());
        let is_act = |id: &&EventId| self.event(id).header.kind() != Kind::Ack;
        let is_final = |id: &&EventId| {
            let lane = self.event(id).header.lane;
            let held = self
                .barriers(lane)
                .iter()
                .any(|barrier| barrier.holds.contains(*id));
            let frontier: Ids = self.frontier(id).iter().filter(is_act).copied().collect();
            held && (frontier.is_empty()
                || control
                    .iter()
                    .any(|barrier| frontier.is_subset(&barrier.holds)))
        };
        self.facts.keys().filter(is_final).copied().collect()
    }

    /// What each event of a lane gets of T and H, and which of them are late.
    pub(super) fn got(&self, lane: LaneId) -> (BTreeMap<EventId, (u64, u64)>, Ids) {
        let mut rest: Ids = self.all();
        rest.retain(|id| self.event(id).header.lane == lane);
        let mut layers: Vec<(Ids, Option<Barrier>)> = Vec::new();
        for (layer, barrier) in self.layers(lane, &self.all()) {
            let own: Ids = layer.intersection(&rest).copied().collect();
            rest.retain(|id| !own.contains(id));
            layers.push((own, Some(barrier)));
        }
        layers.push((rest, None));
        let (mut got, mut late) = (BTreeMap::new(), Ids::new());
        let mut floor: Option<(u64, u64)> = None;
        for (layer, barrier) in layers {
            let mut order: Vec<EventId> = layer.into_iter().collect();
            order.sort_by_key(|id| self.height_and_id(id));
            for id in order {
                let facts = &self.facts[&id];
                if floor.is_some_and(|floor| (facts.t, facts.h) < floor) {
                    late.insert(id);
                }
                let mut own = self.above_parents(&id, &got);
                if let Some(floor) = floor.filter(|floor| own < *floor) {
                    own = (own.0.max(floor.0), own.1.max(floor.1));
                }
                got.insert(id, own);
            }
            if let Some(barrier) = barrier {
                let held = got.iter().filter(|(id, _)| {
                    barrier.holds.contains(id) && self.event(id).header.kind().is_sealed()
                });
                floor = held.fold(None, |floor: Option<(u64, u64)>, (_, own)| {
                    let (t, h) = floor.unwrap_or_default();
                    Some((t.max(own.0), h.max(own.1.saturating_add(1))))
                });
            }
        }
        (got, late)
    }

    /// By its parents: those in its lane as they got it, the others as they are.
    fn above_parents(&self, id: &EventId, got: &BTreeMap<EventId, (u64, u64)>) -> (u64, u64) {
        let header = &self.event(id).header;
        let deps = header.deps.iter().map(|dep| dep.id);
        let parents = header.prev.into_iter().chain(deps);
        parents.fold((header.claimed_ms, 1), |(t, h), parent| {
            let as_it_is = || (self.facts[&parent].t, self.facts[&parent].h);
            let (pt, ph) = got.get(&parent).copied().unwrap_or_else(as_it_is);
            (t.max(pt), h.max(ph.saturating_add(1)))
        })
    }

    /// The messages that slipped below what stands and bear the mark of it.
    pub fn late(&self) -> Ids {
        let messages = self.messages();
        let lanes: BTreeSet<LaneId> = messages
            .iter()
            .map(|id| self.event(id).header.lane)
            .collect();
        let late = lanes.into_iter().flat_map(|lane| self.got(lane).1);
        late.filter(|id| messages.contains(id)).collect()
    }
}

/// By what acks name their base.
fn name_of(base: Option<&Barrier>) -> Hash {
    base.map_or(Hash([0; 32]), Barrier::digest)
}

fn is_gone(view: &View, partner: PartnerId) -> bool {
    let member = view.members.get(&partner);
    member.is_some_and(|member| member.status >= Status::Suspended)
}
