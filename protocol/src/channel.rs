//! The merge of one channel: which events are accepted, what they make of the channel, and in
//! which order its messages stand.
//!
//! Acceptance looks at an event's bytes and its own causal past alone. So two nodes that hold the
//! same events hold the same channel, whatever the order in which the events came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_crypto as crypto;

use crate::acceptance::{self, Placement, Refusal};
use crate::authority::{self, Act, ControlEvent, Controls, Cut, Ending, Quorum, View};
use crate::body::Charter;
use crate::event::{Event, Kind, Label, Reference, UserName};
use crate::evidence::{self, Forked, Proof, SignedHeader};
use crate::finality::{self, CertIx, Finality, LaneFacts};
use crate::flags;
use crate::graph::{ChainIx, EMPTY_FRONTIER, Entry, FrontierIx, Graph, Pos};
use crate::id::{ChannelId, EventId, Hash, KeyBytes, LaneId, PartnerId, WriterId};
use crate::identity::Identity;
use crate::lane::{self, History, Lane, LaneForm};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::parking::Parking;

/// Domain tag of a lane's timeline digest.
pub const TAG_TIMELINE: &str = "comity/v1/timeline";
/// Domain tag of a lane's state digest.
pub const TAG_STATE: &str = "comity/v1/state";

/// Who authored an event: a partner and, where it names one, its user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Author {
    pub partner: PartnerId,
    pub user: Option<UserName>,
}

/// An event that was accepted, as its storer and its readers need it.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub event: Event,
    pub pos: Pos,
    pub h: u64,
    /// The peer that brought it; absent for own events and for the store's.
    pub from: Option<PartnerId>,
    /// Whether the channel's control state may have changed.
    pub control: bool,
}

/// What became of an event that was offered.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Accepted now, in causal order: the event and those that had waited for it.
    pub accepted: Vec<Accepted>,
    /// What the offered event, if it was parked, waits for.
    pub missing: Vec<Reference>,
    /// Events refused for good, the offered one or one that had waited, and why.
    pub invalid: Vec<(EventId, Option<PartnerId>, &'static str)>,
    /// Older parked events of the same peer that gave way.
    pub evicted: usize,
    /// Second events for one position, not cited by anybody yet: the offered one or some that had
    /// waited for it.
    pub forks: Vec<SecondEvent>,
    /// Acceptable events that are not for this node's partner: nothing of them is kept.
    pub foreign: Vec<Foreign>,
}

/// An event of a lane that the holder may not read; it says nothing more of it, so that nothing
/// more is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Who brought it.
    pub from: PartnerId,
    /// The lane's audience alone says that the holder is no reader, whatever its standing: whoever
    /// brought the event leaked it.
    pub leaked: bool,
}

/// An event for a position that has one already.
#[derive(Debug)]
pub struct SecondEvent {
    pub at: Forked,
    pub id: EventId,
    pub signed: SignedHeader,
    /// Who brought it.
    pub from: Option<PartnerId>,
}

/// An epoch that a writer opened in a lane.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub seq: u64,
    pub key_event: EventId,
    pub commitment: Hash,
    /// For whom it was wrapped, under which admissions and keys.
    pub keying: Keying,
}

pub(crate) type Keying = Vec<(PartnerId, BTreeSet<EventId>, Option<EventId>)>;

/// A partner's acts on its own coming and going, whether or not they have effect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comings {
    pub leaves: Vec<Pos>,
    pub accepts: Vec<Pos>,
}

/// A key event that is not the last of its epoch.
#[derive(Debug, Clone)]
pub(crate) struct KeyPart {
    pub commitment: Hash,
    pub partners: Vec<PartnerId>,
    pub keying: Keying,
}

/// One channel as this node holds it.
#[derive(Debug)]
pub struct Channel {
    pub id: ChannelId,
    pub control_lane: LaneId,
    pub charter: Option<Charter>,
    /// On whose behalf the channel is held; absent where everything is looked at.
    holder: Option<PartnerId>,
    pub(crate) graph: Graph,
    pub(crate) controls: Controls,
    views: BTreeMap<FrontierIx, Arc<View>>,
    /// By the acts of a frontier and the last barrier that stands in it.
    folded: BTreeMap<(FrontierIx, Option<CertIx>), Arc<View>>,
    /// The frontier of all accepted control events.
    present: FrontierIx,
    present_view: Arc<View>,
    /// The same without the acks that no act has in its past.
    present_acts: FrontierIx,
    pub(crate) lanes: BTreeMap<LaneId, Arc<Lane>>,
    identities: BTreeMap<PartnerId, Identity>,
    writers: BTreeMap<WriterId, (PartnerId, crypto::PublicKey)>,
    /// The control events that introduced each writer, whether or not they have effect.
    introductions: BTreeMap<WriterId, Vec<Pos>>,
    /// The control events that name each writer as a seat, likewise, and as whose: a key may be
    /// that of several partners.
    seats_named: BTreeMap<WriterId, Vec<(PartnerId, Pos)>>,
    comings: BTreeMap<PartnerId, Comings>,
    finality: BTreeMap<LaneId, Finality>,
    /// The T and H of events that a barrier which lacks them has put higher.
    pub(crate) placed: BTreeMap<Pos, (u64, u64)>,
    /// Those that came late themselves.
    pub(crate) late: BTreeSet<Pos>,
    pub(crate) epochs: BTreeMap<ChainIx, Vec<Epoch>>,
    /// By the last part of its key event: an epoch's lane and commitment.
    epochs_by_id: BTreeMap<EventId, (LaneId, Hash)>,
    pub(crate) key_parts: BTreeMap<Pos, KeyPart>,
    authors: Vec<Author>,
    author_numbers: BTreeMap<Author, u32>,
    timeline: Vec<Pos>,
    about: BTreeMap<Pos, Vec<Pos>>,
    parents: BTreeMap<Pos, Pos>,
    /// Those labels that there are.
    labels: BTreeMap<Pos, Label>,
    /// Messages that a redaction in effect is about.
    redacted: BTreeSet<Pos>,
    /// Messages of former members that nobody vouches for.
    flagged: BTreeSet<Pos>,
    /// Per lane, the ranges that `flagged` was made of.
    fallen: BTreeMap<LaneId, flags::Fallen>,
    /// By lane and writer, what evidence there proves.
    proofs: BTreeMap<(LaneId, WriterId), Proof>,
    /// Per lane, what writers that were proved to have forked a log wrote from then on.
    forked: BTreeMap<LaneId, flags::Fallen>,
    pub(crate) parking: Parking,
    posts: u64,
    /// File references, by id.
    files: BTreeMap<EventId, Pos>,
    events: u64,
    /// The endings of which this node's logs were told as soon as it learned of them.
    attended: Vec<Ending>,
    /// What was accepted once is accepted again: a fork's branches are not asked for citations.
    pub(crate) restoring: bool,
}

impl Channel {
    /// A channel of which nothing is held yet.
    pub fn new(id: ChannelId) -> Channel {
        Channel {
            id,
            control_lane: lane::control_lane(id),
            charter: None,
            holder: None,
            graph: Graph::default(),
            controls: Controls::default(),
            views: BTreeMap::new(),
            folded: BTreeMap::new(),
            present: EMPTY_FRONTIER,
            present_view: Arc::default(),
            present_acts: EMPTY_FRONTIER,
            lanes: BTreeMap::new(),
            identities: BTreeMap::new(),
            writers: BTreeMap::new(),
            introductions: BTreeMap::new(),
            seats_named: BTreeMap::new(),
            comings: BTreeMap::new(),
            finality: BTreeMap::new(),
            placed: BTreeMap::new(),
            late: BTreeSet::new(),
            epochs: BTreeMap::new(),
            epochs_by_id: BTreeMap::new(),
            key_parts: BTreeMap::new(),
            authors: Vec::new(),
            author_numbers: BTreeMap::new(),
            timeline: Vec::new(),
            about: BTreeMap::new(),
            parents: BTreeMap::new(),
            labels: BTreeMap::new(),
            redacted: BTreeSet::new(),
            flagged: BTreeSet::new(),
            fallen: BTreeMap::new(),
            proofs: BTreeMap::new(),
            forked: BTreeMap::new(),
            parking: Parking::default(),
            posts: 0,
            files: BTreeMap::new(),
            events: 0,
            attended: Vec::new(),
            restoring: false,
        }
    }

    /// A channel that keeps, of what peers bring, only what a partner may read.
    pub fn held_by(id: ChannelId, holder: PartnerId) -> Channel {
        Channel {
            holder: Some(holder),
            ..Channel::new(id)
        }
    }

    /// The key under which an event's signature is to be verified: that of a writer whom an
    /// accepted event introduced or, for a charter, the one it carries itself.
    pub fn verifying_key(&self, event: &Event) -> Option<crypto::PublicKey> {
        if let Some((_, key)) = self.writers.get(&event.header.writer) {
            return Some(*key);
        }
        acceptance::founder_key(event).filter(|_| event.header.channel == self.id)
    }

    /// Takes an event whose signature was verified. `from` is charged for it.
    pub fn offer(&mut self, event: Event, from: Option<PartnerId>) -> Outcome {
        let mut outcome = Outcome::default();
        let offered = event.id;
        let mut work = vec![(event, from)];
        while let Some((event, from)) = work.pop() {
            match acceptance::place(self, &event) {
                Ok(placement) => {
                    let id = event.id;
                    if let Some(foreign) = self.foreign(&event, &placement, from) {
                        self.set_aside(&event, foreign, &mut outcome);
                        continue;
                    }
                    outcome.accepted.push(self.accept(event, from, placement));
                    // What waits for an own event is released once that is stored.
                    if from.is_some() || self.restoring {
                        self.take_waiting(&id, &mut work);
                    }
                }
                Err(Refusal::Duplicate) => {}
                Err(Refusal::Missing(missing)) => {
                    self.park(event, from, missing, offered, &mut outcome, &mut work)
                }
                Err(Refusal::Fork) => {
                    let header = &event.header;
                    outcome.forks.push(SecondEvent {
                        at: Forked {
                            lane: header.lane,
                            writer: header.writer,
                            seq: header.seq,
                        },
                        id: event.id,
                        signed: SignedHeader::of(&event),
                        from,
                    });
                    if from.is_some() {
                        self.park(event, from, Vec::new(), offered, &mut outcome, &mut work);
                    }
                }
                Err(Refusal::Invalid(why)) => outcome.invalid.push((event.id, from, why)),
            }
        }
        outcome
    }

    /// Whether an acceptable event that a peer brought is not for the holder. That is no verdict on
    /// the event, and a matter of the present: it is not remembered, and when the holder has become
    /// a reader the event is taken like any other.
    fn foreign(
        &self,
        event: &Event,
        placement: &Placement,
        from: Option<PartnerId>,
    ) -> Option<Foreign> {
        let (from, holder) = from.zip(self.holder)?;
        let lane = &event.header.lane;
        if *lane == self.control_lane || mutation::is(Mutation::ForeignKept) {
            return None;
        }
        let known = || self.lanes.get(lane).map(Arc::as_ref);
        let lane = placement.lane.as_ref().or_else(known)?;
        if lane.audience.contains(&holder) {
            return None;
        }
        let to_all = lane.form == LaneForm::Open && self.history() == History::All;
        if to_all && self.present_view.member(&holder).is_some() {
            return None;
        }
        Some(Foreign {
            from,
            leaked: !to_all,
        })
    }

    /// Keeps nothing of an event that is not for the holder, nor of what waits for it in its lane.
    fn set_aside(&mut self, event: &Event, foreign: Foreign, outcome: &mut Outcome) {
        outcome.foreign.push(foreign);
        let lane = event.header.lane;
        let mut work = vec![event.id];
        while let Some(id) = work.pop() {
            for waiter in self.parking.waiting_for(&id) {
                if self.parking.lane_of(&waiter) != Some(lane) {
                    continue;
                }
                if let Some(parked) = self.parking.remove(&waiter) {
                    let from = parked.from;
                    outcome.foreign.push(Foreign { from, ..foreign });
                    work.push(waiter);
                }
            }
        }
    }

    /// Takes an event that was accepted before and stored.
    /// [`Channel::restored`] follows the last one.
    pub fn restore(&mut self, event: Event) -> Outcome {
        self.restoring = true;
        let outcome = self.offer(event, None);
        self.restoring = false;
        outcome
    }

    /// Ends restoring.
    pub fn restored(&mut self) {
        self.settle_restored();
        self.attend_endings();
        self.flag_all();
        self.mark_all();
    }

    /// Finds anew, in every lane, what was written by whoever forked a log.
    fn mark_all(&mut self) {
        if self.restoring {
            return;
        }
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for lane in lanes {
            let marked = evidence::marked(self, lane);
            self.forked.insert(lane, marked);
        }
    }

    fn prove(&mut self, forked: Forked, evidence: Pos) {
        let proof = self
            .proofs
            .entry((forked.lane, forked.writer))
            .or_insert(Proof {
                seq: forked.seq,
                evidence: Vec::new(),
            });
        proof.seq = proof.seq.min(forked.seq);
        proof.evidence.push(evidence);
        self.mark_all();
    }

    /// Finds anew, in every lane, which messages of former members nobody vouches for.
    fn flag_all(&mut self) {
        if self.restoring {
            return;
        }
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.flag(lane);
        }
    }

    /// An event of a lane can only change what stands there if it is struck itself, or vouches.
    fn flag_after(&mut self, pos: Pos) {
        if !self.restoring && flags::bears_on_flags(self, pos) {
            self.flag(self.lane_of(pos));
        }
    }

    fn flag(&mut self, lane: LaneId) {
        let fallen = flags::fallen(self, lane);
        let before = self.fallen.insert(lane, fallen.clone()).unwrap_or_default();
        let mut changed = before.differences(&fallen);
        changed.retain(|pos| self.graph.entry(*pos).kind.is_sealed());
        for pos in changed {
            if !self.flagged.remove(&pos) {
                self.flagged.insert(pos);
            }
            if self.graph.entry(pos).kind == Kind::Redact {
                self.redact_again(pos);
            }
        }
    }

    /// A redaction was flagged, or stands after all.
    fn redact_again(&mut self, redaction: Pos) {
        let Some(&target) = self.parents.get(&redaction) else {
            return;
        };
        let stands =
            |pos: &Pos| self.graph.entry(*pos).kind == Kind::Redact && !self.flagged.contains(pos);
        if self
            .about
            .get(&target)
            .is_some_and(|all| all.iter().any(stands))
        {
            self.redacted.insert(target);
        } else {
            self.redacted.remove(&target);
        }
    }

    /// The endings that were learned of since this was asked last.
    pub(crate) fn attend_endings(&mut self) -> Vec<Ending> {
        let mut news = self.present_view.endings.clone();
        let known = std::mem::replace(&mut self.attended, news.clone());
        news.retain(|ending| !known.contains(ending));
        news
    }

    /// Takes out what waited for an own event.
    pub(crate) fn release(&mut self, id: &EventId) -> Vec<(Event, Option<PartnerId>)> {
        let mut released = Vec::new();
        self.take_waiting(id, &mut released);
        released
    }

    /// What an event waits for, if it cannot be accepted yet.
    pub(crate) fn missing_for(&mut self, event: &Event) -> Vec<Reference> {
        match acceptance::place(self, event) {
            Err(Refusal::Missing(missing)) => missing,
            _ => Vec::new(),
        }
    }

    fn take_waiting(&mut self, id: &EventId, work: &mut Vec<(Event, Option<PartnerId>)>) {
        let all = if mutation::is(Mutation::OneWaiterReleased) {
            1
        } else {
            usize::MAX
        };
        for waiter in self.parking.waiting_for(id).into_iter().take(all) {
            if let Some(parked) = self.parking.remove(&waiter) {
                work.push((parked.event, Some(parked.from)));
            }
        }
    }

    fn park(
        &mut self,
        event: Event,
        from: Option<PartnerId>,
        missing: Vec<Reference>,
        offered: EventId,
        outcome: &mut Outcome,
        work: &mut Vec<(Event, Option<PartnerId>)>,
    ) {
        // The store and the own node never offer an event before its past.
        let Some(from) = from else {
            outcome
                .invalid
                .push((event.id, None, "its past is not held"));
            return;
        };
        let id = event.id;
        outcome.evicted += self.parking.park(event, from, &missing);
        // A branch of a fork that waits uncited is cited now.
        for branch in self.parking.branches_cited_by(&id) {
            if let Some(parked) = self.parking.remove(&branch) {
                work.push((parked.event, Some(parked.from)));
            }
        }
        if id == offered {
            outcome.missing = missing;
        }
    }

    fn accept(&mut self, event: Event, from: Option<PartnerId>, placement: Placement) -> Accepted {
        let header = &event.header;
        let author = self.author_number(Author {
            partner: placement.author,
            user: header.author.clone(),
        });
        let entry = Entry {
            id: event.id,
            t: placement.t,
            h: placement.h,
            frontier: placement.frontier,
            kind: header.kind(),
            author,
            by_seat: placement.by_seat,
        };
        let pos = self.graph.insert(
            header.lane,
            header.writer,
            header.seq,
            placement.prev,
            &placement.deps,
            entry,
        );
        self.events += 1;
        if let Some(lane) = placement.lane {
            let lane = || Arc::new(lane);
            self.lanes.entry(header.lane).or_insert_with(lane);
        }
        if let Some(label) = &header.label {
            self.labels.insert(pos, label.clone());
        }
        let mut control = placement.act.is_some();
        if let Some(introduction) = placement.introduces {
            self.introduce(pos, *introduction);
        }
        if let Some(act) = placement.act {
            self.accept_control(&event, pos, act, &placement.view, placement.author);
        }
        if header.lane != self.control_lane && !self.restoring {
            let parents = placement.prev.iter().chain(&placement.deps).copied();
            let in_lane = |parent: &Pos| self.lane_of(*parent) == header.lane;
            let parents: Vec<Pos> = parents.filter(in_lane).collect();
            self.place_late(header.lane, pos, &parents);
        }
        if let Some(epoch) = placement.epoch {
            let known = (header.lane, epoch.commitment);
            self.epochs_by_id.insert(epoch.key_event, known);
            self.epochs.entry(pos.chain).or_default().push(epoch);
        }
        if let Some(part) = placement.key_part {
            self.key_parts.insert(pos, part);
        }
        if header.kind().is_sealed() {
            self.accept_message(pos, header.kind(), placement.about);
        }
        if header.lane != self.control_lane {
            self.flag_after(pos);
        }
        match placement.forked {
            Some(forked) => self.prove(forked, pos),
            None if !self.proofs.is_empty() && !self.restoring => {
                let marked = evidence::marked(self, header.lane);
                self.forked.insert(header.lane, marked);
            }
            None => {}
        }
        if header.lane == self.control_lane && !control {
            let with = self.graph.frontier_with(pos);
            self.present = self.graph.union(&[self.present, with]);
        }
        if let Some(floor) = &placement.floor {
            self.take_floor(header.lane, placement.author, floor);
        }
        if let Some(ack) = placement.ack {
            control |= self.accept_ack(header.lane, pos, ack);
        }
        Accepted {
            event,
            pos,
            h: placement.h,
            from,
            control,
        }
    }

    /// Files an ack, and draws the consequences where it lets a barrier stand; true if the view
    /// changed by it.
    fn accept_ack(&mut self, lane: LaneId, pos: Pos, ack: finality::Ack) -> bool {
        let in_control = lane == self.control_lane;
        let of = LaneFacts {
            in_control,
            quorum: self.quorum_of_acks(),
        };
        let finality = self.finality.entry(lane).or_default();
        finality.file(&mut self.graph, pos, ack, of);
        if self.restoring || !self.settle_lane(lane) {
            return false;
        }
        if in_control {
            return self.look_again();
        }
        self.flag(lane);
        false
    }

    /// Folds the present view anew, whose layers changed; true if something else follows.
    pub(crate) fn look_again(&mut self) -> bool {
        let cut = self.cut_of(self.present);
        let view = Arc::new(self.controls.refold(&self.graph, &cut));
        self.present_acts = cut.acts;
        self.remember(self.present, &cut, view.clone());
        let before = std::mem::replace(&mut self.present_view, view);
        let same = before.effective == self.present_view.effective;
        if !same {
            self.flag_all();
        }
        !same
    }

    fn introduce(&mut self, pos: Pos, introduction: acceptance::Introduction) {
        let partner = introduction.partner;
        for (writer, key) in introduction.writers {
            self.writers.entry(writer).or_insert((partner, key));
            self.introductions.entry(writer).or_default().push(pos);
        }
        if let Some(identity) = introduction.identity {
            let held = self.identities.get(&partner);
            let number = identity.certificates.number;
            if held.is_none_or(|held| held.certificates.number < number) {
                self.identities.insert(partner, identity);
            }
        }
    }

    fn accept_control(
        &mut self,
        event: &Event,
        pos: Pos,
        act: Act,
        view: &View,
        author: PartnerId,
    ) {
        if let (Act::Charter { .. }, Ok(charter)) = (&act, acceptance::charter_of(event)) {
            self.charter.get_or_insert(charter);
        }
        if let Some((seat, partner)) = act.names_seat(author) {
            let named = self.seats_named.entry(seat).or_default();
            named.push((partner, pos));
        }
        let comings = self.comings.entry(author);
        match &act {
            Act::Leave => comings.or_default().leaves.push(pos),
            Act::Accept { .. } => comings.or_default().accepts.push(pos),
            _ => {}
        }
        let entry = *self.graph.entry(pos);
        let past = (entry.frontier, view);
        let quorum = self.charter_quorum();
        let judged = self
            .controls
            .judge(&self.graph, past, quorum, &author, &act);
        let event = ControlEvent {
            pos,
            id: event.id,
            h: entry.h,
            author,
            writer: event.header.writer,
            frontier: entry.frontier,
            act,
            judged,
        };
        let with = self.graph.frontier_with(pos);
        let known = self.graph.acts_of(event.frontier);
        self.present = self.graph.union(&[self.present, with]);
        let after = self.cut_of(self.present);
        let before = (self.present_acts, &*self.present_view);
        let view = self
            .controls
            .advance(&self.graph, before, event, known, &after);
        self.present_acts = after.acts;
        let view = Arc::new(view);
        self.remember(self.present, &after, view.clone());
        let before = std::mem::replace(&mut self.present_view, view);
        if bears_on_older_events(&before, &self.present_view, pos) {
            self.flag_all();
        }
    }

    fn accept_message(&mut self, pos: Pos, kind: Kind, about: Option<Pos>) {
        if kind == Kind::Post {
            self.posts += 1;
        }
        if kind == Kind::File {
            self.files.insert(self.graph.entry(pos).id, pos);
        }
        let at = self.timeline_place(pos);
        self.timeline.insert(at, pos);
        if let Some(target) = about {
            self.about.entry(target).or_default().push(pos);
            self.parents.insert(pos, target);
            if kind == Kind::Redact {
                self.redacted.insert(target);
            }
        }
    }

    /// Nearly every event belongs at or near the end.
    fn timeline_place(&self, pos: Pos) -> usize {
        let key = self.timeline_key(pos);
        let mut at = self.timeline.len();
        if mutation::is(Mutation::LateMessageAtTheEnd) {
            return at;
        }
        let mut step = 1;
        while at > 0 && self.timeline_key(self.timeline[at - 1]) > key {
            let low = at.saturating_sub(step);
            if self.timeline_key(self.timeline[low]) < key {
                return low
                    + self.timeline[low..at]
                        .partition_point(|other| self.timeline_key(*other) < key);
            }
            at = low;
            step *= 2;
        }
        at
    }

    /// The key of an event in its channel's timeline: static, unless a barrier that lacks the
    /// event has put it higher.
    pub fn timeline_key(&self, pos: Pos) -> (u64, u64, WriterId, LaneId, u64, EventId) {
        let chain = self.graph.chain(pos.chain);
        let entry = self.graph.entry(pos);
        let (t, h) = self.key_of(pos);
        (t, h, chain.writer, chain.lane, pos.seq, entry.id)
    }

    /// Puts messages where their keys belong now.
    pub(crate) fn sort_again(&mut self, moved: BTreeSet<Pos>) {
        if moved.is_empty() {
            return;
        }
        self.timeline.retain(|pos| !moved.contains(pos));
        let messages = moved.into_iter();
        let mut messages: Vec<Pos> = messages
            .filter(|pos| self.graph.entry(*pos).kind.is_sealed())
            .collect();
        if messages.len() < 64 {
            for pos in messages {
                let at = self.timeline_place(pos);
                self.timeline.insert(at, pos);
            }
            return;
        }
        self.timeline.append(&mut messages);
        let mut timeline = std::mem::take(&mut self.timeline);
        timeline.sort_by_cached_key(|pos| self.timeline_key(*pos));
        self.timeline = timeline;
    }

    fn author_number(&mut self, author: Author) -> u32 {
        if let Some(number) = self.author_numbers.get(&author) {
            return *number;
        }
        let number = self.authors.len() as u32;
        self.authors.push(author.clone());
        self.author_numbers.insert(author, number);
        number
    }

    /// The channel in the light of a frontier.
    pub(crate) fn view(&mut self, frontier: FrontierIx) -> Arc<View> {
        if let Some(view) = self.views.get(&frontier) {
            return view.clone();
        }
        let cut = self.cut_of(frontier);
        let known = self.folded.get(&(cut.acts, cut.top));
        let view = known.cloned().unwrap_or_else(|| {
            let view = authority::fold(&self.graph, &self.controls, &cut.layers, cut.acts);
            Arc::new(view)
        });
        self.remember(frontier, &cut, view.clone());
        view
    }

    /// The acts of a frontier, and how the barriers that stand in it cut them into layers.
    fn cut_of(&mut self, frontier: FrontierIx) -> Cut {
        let (top, layers) = self.layers(frontier);
        Cut {
            acts: self.graph.acts_of(frontier),
            top,
            layers,
        }
    }

    fn remember(&mut self, frontier: FrontierIx, cut: &Cut, view: Arc<View>) {
        if self.views.len() >= limits::VIEWS_CACHED {
            self.views.clear();
            self.folded.clear();
        }
        self.views.insert(frontier, view.clone());
        self.folded.insert((cut.acts, cut.top), view);
    }

    /// The channel in the light of all that is accepted.
    pub fn present(&self) -> &Arc<View> {
        &self.present_view
    }

    pub(crate) fn present_frontier(&self) -> FrontierIx {
        self.present
    }

    /// Whether the acts alone give the present view. Where a barrier keeps in effect what a late act
    /// would void, the acks that let it stand must be cited, too.
    pub(crate) fn acts_suffice(&mut self) -> bool {
        let view = self.view(self.present_acts);
        view.effective == self.present_view.effective
    }

    /// The acts of the present frontier: what an event cites that has seen everything.
    pub(crate) fn present_acts(&self) -> FrontierIx {
        self.present_acts
    }

    pub(crate) fn finality(&self, lane: LaneId) -> Option<&Finality> {
        self.finality.get(&lane)
    }

    pub(crate) fn finality_mut(&mut self, lane: LaneId) -> Option<&mut Finality> {
        self.finality.get_mut(&lane)
    }

    /// How many of a set it takes for a barrier, as the charter says.
    pub(crate) fn quorum_of_acks(&self) -> finality::Quorum {
        match self.charter.as_ref().map(|charter| charter.finality) {
            Some(2) => finality::Quorum::Majority,
            _ => finality::Quorum::All,
        }
    }

    /// The control events that name a writer as a seat, and as whose.
    pub(crate) fn seat_named(&self, writer: &WriterId) -> &[(PartnerId, Pos)] {
        self.seats_named.get(writer).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn comings(&self, partner: &PartnerId) -> Option<&Comings> {
        self.comings.get(partner)
    }

    /// What evidence in a lane proves, by writer.
    pub(crate) fn proofs_of(&self, lane: LaneId) -> impl Iterator<Item = (&WriterId, &Proof)> {
        let first = (lane, WriterId([0; 32]));
        let proofs = self.proofs.range(first..=(lane, WriterId([0xff; 32])));
        proofs.map(|((_, writer), proof)| (writer, proof))
    }

    pub(crate) fn author_of(&self, entry: &Entry) -> &Author {
        &self.authors[entry.author as usize]
    }

    /// How far a proposal has come that `author` would now carry out by `act`; nothing for acts
    /// that no quorum decides.
    pub fn quorum_for(&self, author: &PartnerId, act: &Act) -> Option<Quorum> {
        let present = (self.present, &*self.present_view);
        self.controls
            .quorum(&self.graph, present, self.charter_quorum(), author, act)
    }

    fn charter_quorum(&self) -> u8 {
        self.charter.as_ref().map_or(0, |charter| charter.quorum)
    }

    /// A partner's identity, with the latest list of its writers that came with one.
    pub fn identity(&self, partner: &PartnerId) -> Option<&Identity> {
        self.identities.get(partner)
    }

    /// The signing key of a known writer, for anyone who wants to check a signature again.
    pub fn writer_key(&self, writer: &WriterId) -> Option<KeyBytes> {
        self.writers
            .get(writer)
            .map(|(_, key)| KeyBytes(key.to_bytes()))
    }

    /// The key of a writer that an event of this control frontier introduced.
    pub(crate) fn introduced_key(
        &self,
        writer: &WriterId,
        frontier: FrontierIx,
    ) -> Option<crypto::PublicKey> {
        let introductions = self.introductions.get(writer)?;
        let mut introductions = introductions.iter();
        introductions
            .any(|pos| self.graph.frontier_holds(frontier, *pos))
            .then(|| self.writers.get(writer).map(|(_, key)| *key))?
    }

    pub(crate) fn proofs(&self) -> impl Iterator<Item = (&(LaneId, WriterId), &Proof)> {
        self.proofs.iter()
    }

    /// Whether a writer is proved to have forked a log of any lane.
    pub fn is_proved(&self, writer: &WriterId) -> bool {
        self.proofs.keys().any(|(_, proved)| proved == writer)
    }

    /// The control event with the greatest height: what has most of the others in its past.
    pub fn last_control_event(&self) -> Option<EventId> {
        self.controls.events().last().map(|event| event.id)
    }

    /// The earliest position at which a writer is proved to have forked its log of a lane.
    pub fn proved(&self, lane: LaneId, writer: WriterId) -> Option<u64> {
        self.proofs.get(&(lane, writer)).map(|proof| proof.seq)
    }

    /// The partner that a known writer writes for.
    pub fn writer_partner(&self, writer: &WriterId) -> Option<PartnerId> {
        self.writers.get(writer).map(|(partner, _)| *partner)
    }

    /// Who authored an accepted event.
    pub fn author(&self, pos: Pos) -> &Author {
        &self.authors[self.graph.entry(pos).author as usize]
    }

    pub fn entry(&self, pos: Pos) -> &Entry {
        self.graph.entry(pos)
    }

    pub fn lane_of(&self, pos: Pos) -> LaneId {
        self.graph.chain(pos.chain).lane
    }

    pub fn writer_of(&self, pos: Pos) -> WriterId {
        self.graph.chain(pos.chain).writer
    }

    /// What a partner that joins may read of what was there before.
    pub fn history(&self) -> History {
        let rule = self.charter.as_ref();
        rule.and_then(|charter| History::from_number(charter.history))
            .unwrap_or_default()
    }

    /// The label that an accepted event bears.
    pub fn label(&self, pos: Pos) -> Option<&Label> {
        self.labels.get(&pos)
    }

    /// The lane and the commitment of the epoch that a key event opened.
    pub fn epoch(&self, key_event: &EventId) -> Option<(LaneId, Hash)> {
        self.epochs_by_id.get(key_event).copied()
    }

    /// All epochs, by their key events, and their lanes.
    pub fn epochs(&self) -> impl Iterator<Item = (EventId, LaneId)> {
        let epochs = self.epochs_by_id.iter();
        epochs.map(|(key_event, (lane, _))| (*key_event, *lane))
    }

    /// A lane of which something is held.
    pub fn lane(&self, lane: &LaneId) -> Option<&Arc<Lane>> {
        self.lanes.get(lane)
    }

    pub fn lanes(&self) -> impl Iterator<Item = (&LaneId, &Arc<Lane>)> {
        self.lanes.iter()
    }

    /// The lanes that all present members read, by id: what nodes compare.
    pub fn common_lanes(&self) -> impl Iterator<Item = LaneId> {
        let active = self.present_view.active();
        let common = self.lanes.iter().filter(move |(id, lane)| {
            **id == self.control_lane || lane.is_read_by(&active, self.history(), &active)
        });
        common.map(|(id, _)| *id)
    }

    /// The channel's messages and what was done to them, in timeline order.
    pub fn timeline(&self) -> &[Pos] {
        &self.timeline
    }

    /// The accepted events about a target that have effect on it, in timeline order.
    pub fn about(&self, target: Pos) -> Vec<Pos> {
        let mut derived = self.about.get(&target).cloned().unwrap_or_default();
        derived.retain(|pos| !self.is_flagged(*pos));
        derived.sort_by_key(|pos| self.timeline_key(*pos));
        derived
    }

    /// The event that an accepted event is about, where it has effect on it.
    pub fn parent(&self, pos: Pos) -> Option<Pos> {
        self.parents.get(&pos).copied()
    }

    /// Whether a message was withdrawn.
    pub fn is_erased(&self, pos: Pos) -> bool {
        self.redacted.contains(&pos) && !self.is_flagged(pos)
    }

    /// Whether a message is kept and not shown: its author wrote it without knowing that its
    /// membership had ended, and no remaining member vouches that it was there before.
    pub fn is_flagged(&self, pos: Pos) -> bool {
        self.flagged.contains(&pos)
    }

    /// Whether a message bears a mark: its writer was proved to have forked a log, in this lane or
    /// in a wider one, and nobody shows that the message is older.
    pub fn is_forked(&self, pos: Pos) -> bool {
        let marked = self.forked.get(&self.lane_of(pos));
        marked.is_some_and(|marked| marked.holds(pos))
    }

    /// Whether a redaction that stands in `lane` is about a message. Digests count these alone: a
    /// reader of the message's lane need not read a narrower one in which it was withdrawn while
    /// that reader was no member.
    fn is_redacted_within(&self, lane: LaneId, target: Pos) -> bool {
        let redacts = |pos: &Pos| {
            self.graph.entry(*pos).kind == Kind::Redact
                && self.lane_of(*pos) == lane
                && !self.is_flagged(*pos)
        };
        self.redacted.contains(&target)
            && self
                .about
                .get(&target)
                .is_some_and(|about| about.iter().any(redacts))
    }

    /// How many events wait for their past, and what they weigh in bytes.
    pub fn parked(&self) -> (usize, usize) {
        self.parking.weight()
    }

    /// Accepted posts, withdrawn ones included.
    pub fn posts(&self) -> u64 {
        self.posts
    }

    /// An accepted file reference.
    pub fn file(&self, id: &EventId) -> Option<Pos> {
        self.files.get(id).copied()
    }

    /// Accepted file references, by id.
    pub fn files(&self) -> impl Iterator<Item = (EventId, Pos)> {
        self.files.iter().map(|(id, pos)| (*id, *pos))
    }

    /// Accepted events of every kind.
    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Finds an accepted event by its id, among the messages (slow: it searches).
    pub fn find_message(&self, prefix: &str) -> Vec<Pos> {
        self.timeline
            .iter()
            .copied()
            .filter(|pos| self.graph.entry(*pos).id.to_hex().starts_with(prefix))
            .collect()
    }

    /// Hash over the ids of a lane's shown messages, in timeline order.
    pub fn timeline_digest(&self, lane: LaneId) -> Hash {
        let ids: Vec<u8> = self
            .timeline
            .iter()
            .filter(|pos| self.lane_of(**pos) == lane && !self.is_flagged(**pos))
            .filter(|pos| !self.is_redacted_within(lane, **pos))
            .flat_map(|pos| self.graph.entry(*pos).id.0)
            .collect();
        Hash(crypto::hash(TAG_TIMELINE, &[&ids]))
    }

    /// Hash over a lane's state: the control fold for the control lane, the flags of its events
    /// for the others.
    pub fn state_digest(&self, lane: LaneId) -> Hash {
        let state = if lane == self.control_lane {
            self.control_state(&self.present_view)
        } else {
            self.lane_flags(lane)
        };
        Hash(crypto::hash(TAG_STATE, &[&state]))
    }

    /// The state of the control lane by a view.
    pub(crate) fn state_of(&self, view: &View) -> Hash {
        Hash(crypto::hash(TAG_STATE, &[&self.control_state(view)]))
    }

    fn control_state(&self, view: &View) -> Vec<u8> {
        let members: Vec<_> = view
            .members
            .iter()
            .map(|(partner, member)| {
                let key = member.sealing_key.as_ref().map(|(event, _)| *event);
                (
                    *partner,
                    member.status as u8,
                    member.role,
                    member.seat,
                    &member.writers,
                    member.number,
                    &member.admissions,
                    key,
                )
            })
            .collect();
        let mut effective: Vec<EventId> = view
            .effective
            .iter()
            .map(|pos| self.graph.entry(*pos).id)
            .collect();
        effective.sort_unstable();
        crate::codec::encode(&(members, effective))
    }

    fn lane_flags(&self, lane: LaneId) -> Vec<u8> {
        let id = |pos: &Pos| self.graph.entry(*pos).id;
        let redacted = self.redacted.iter();
        let redacted = redacted.filter(|pos| self.is_redacted_within(lane, **pos));
        let flagged = self.flagged.iter();
        let flagged = flagged.filter(|pos| self.lane_of(**pos) == lane);
        let redacted: BTreeSet<EventId> = redacted.map(id).collect();
        let mut flagged: BTreeSet<EventId> = flagged.map(id).collect();
        if mutation::is(Mutation::DigestIgnoresFlags) {
            flagged.clear();
        }
        let marked = self.forked.get(&lane);
        let marked = marked.map(flags::Fallen::positions).unwrap_or_default();
        let messages = marked.iter();
        let messages = messages.filter(|pos| self.graph.entry(**pos).kind.is_sealed());
        let forked: BTreeSet<EventId> = messages.map(id).collect();
        crate::codec::encode(&(redacted, flagged, forked))
    }
}

/// Whether a control act changed more than that it has effect itself: what stands follows from the
/// endings, from who has a standing, and from the invitations in effect that events held may have
/// in their past.
fn bears_on_older_events(before: &View, after: &View, act: Pos) -> bool {
    if before.endings != after.endings {
        return true;
    }
    if mutation::is(Mutation::FlagsFollowEndingsAlone) {
        return false;
    }
    if !before.members.keys().eq(after.members.keys()) {
        return true;
    }
    let others = after.effective.iter().filter(|pos| **pos != act);
    others.ne(&before.effective)
}
