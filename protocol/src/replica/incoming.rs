//! What peers send: frames, events to verify, verdicts, and what becomes of the events.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use comity_crypto as crypto;

use super::{Notice, Output, Replica, StreamClass, VerifyItem};
use crate::acceptance;
use crate::authority::Status;
use crate::channel::{Accepted, Channel, Outcome};
use crate::event::{Event, Kind, Reference};
use crate::evidence::{Forked, SignedHeader};
use crate::id::{ChannelId, EventId, LaneId, PartnerId};
use crate::keys::opens_epoch;
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::quota::{Charge, Limit};
use crate::rows::{self, ChannelNote, Row};
use crate::sync;
use crate::time::Now;
use crate::wire::Frame;

use super::files::may_withdraw;

impl Replica {
    pub(super) fn received(&mut self, peer: PartnerId, class: StreamClass, bytes: &[u8], now: Now) {
        let frame = match Frame::from_bytes(bytes) {
            Ok(frame) => frame,
            Err(malformed) => {
                return self.notify(Notice::Misbehaved {
                    peer,
                    why: format!("it sent a malformed frame: {malformed}"),
                });
            }
        };
        match self.sync.received(
            peer,
            class,
            frame,
            &self.channels,
            now.instant,
            &mut self.out,
        ) {
            Ok(sync::Received::Nothing) => {}
            Ok(sync::Received::Events(events)) => self.verify(peer, events, now),
            Ok(sync::Received::AskKeys(ask)) => self.on_ask_keys(peer, &ask, now.instant),
            Ok(sync::Received::Keys(keys)) => self.on_keys(peer, &keys),
            Ok(sync::Received::AskPiece(ask)) => self.on_ask_piece(peer, ask),
            Ok(sync::Received::Piece(piece)) => self.on_piece(peer, piece, now.instant),
            Ok(sync::Received::Refused(refused)) => {
                self.asking.refused((refused.channel, refused.lane), &peer);
            }
            Ok(sync::Received::Ephemeral(told)) => {
                self.notify(Notice::Ephemeral { peer, told });
            }
            Ok(sync::Received::TooManySigns) => {
                let why = "it tells more of what its users do than is taken: some was dropped";
                self.over_limit(peer, Limit::Ephemeral, why.into());
            }
            Err(why) => self.notify(Notice::Misbehaved { peer, why }),
        }
    }

    /// Hands the signatures of new events of known writers to the driver.
    fn verify(&mut self, peer: PartnerId, events: Vec<Event>, now: Now) {
        let mut items = Vec::new();
        let mut waiting = Vec::new();
        let mut offers = None;
        for event in events {
            let weight = event.weight();
            match self.verifying_key(&event, peer, &mut offers) {
                Some(key) => {
                    items.push(VerifyItem {
                        key,
                        id: event.id,
                        signature: event.signature,
                    });
                    *self.verifying_bytes.entry(peer).or_default() += weight;
                    self.verifying_bytes_in_all += weight;
                    waiting.push((event, peer));
                }
                None => {
                    self.sync.verified(&peer, weight, now.instant);
                    self.ask_again(&event, peer, now);
                }
            }
        }
        if items.is_empty() {
            return;
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        self.verifying.insert(batch, waiting);
        self.out.push_back(Output::Verify { batch, peer, items });
    }

    /// An event that is parked already was brought again: perhaps its bringer has its past.
    fn ask_again(&mut self, event: &Event, peer: PartnerId, now: Now) {
        let id = event.header.channel;
        let Some(channel) = self
            .channels
            .get_mut(&id)
            .filter(|channel| channel.parking.contains(&event.id))
        else {
            return;
        };
        let missing = channel.missing_for(event);
        self.ask_for(id, event.header.lane, &missing, peer, now);
    }

    /// Asks the bringer of an event for the past that it lacks, as far as that is of its own lane.
    /// Other lanes are wider, and what is asked for there must not depend on this one: they are
    /// compared and pulled on their own.
    fn ask_for(
        &mut self,
        channel: ChannelId,
        lane: LaneId,
        missing: &[Reference],
        peer: PartnerId,
        now: Now,
    ) {
        let own = missing
            .iter()
            .filter(|missing| missing.lane.is_none_or(|other| other == lane));
        for missing in own {
            let log = (channel, lane, missing.writer);
            self.sync.missing(
                peer,
                log,
                missing.seq,
                &self.channels,
                now.instant,
                &mut self.out,
            );
        }
    }

    /// The key for an event that is not held yet; none where it is held, or cannot be judged.
    ///
    /// `offers` is how many more channels the peer may offer, once that was counted: to find the
    /// key of a charter costs more than anything else that a frame can ask for.
    fn verifying_key(
        &mut self,
        event: &Event,
        peer: PartnerId,
        offers: &mut Option<usize>,
    ) -> Option<crypto::PublicKey> {
        let header = &event.header;
        let Some(channel) = self.channels.get(&header.channel) else {
            // A channel of which this node hears for the first time begins with its charter.
            if header.kind() != Kind::Charter {
                return None;
            }
            let left = *offers.get_or_insert_with(|| {
                limits::INVITATIONS_PER_PEER.saturating_sub(self.offered_by(peer))
            });
            *offers = Some(left.saturating_sub(1));
            if left == 0 {
                self.too_many_offers(peer);
                return None;
            }
            return acceptance::founder_key(event);
        };
        let held = channel
            .graph()
            .find(header.lane, header.writer, header.seq, &event.id)
            .is_some();
        if held || channel.parking.contains(&event.id) {
            return None;
        }
        channel.verifying_key(event)
    }

    /// A verified charter opens a channel; false where its bringer has too many on offer already.
    fn has_channel(&mut self, id: ChannelId, peer: PartnerId) -> bool {
        if self.channels.contains_key(&id) {
            return true;
        }
        let unbounded = mutation::is(Mutation::OffersUnbounded);
        if self.offered_by(peer) >= limits::INVITATIONS_PER_PEER && !unbounded {
            self.too_many_offers(peer);
            return false;
        }
        self.channels.insert(id, Channel::held_by(id, self.partner));
        self.note(id, |note| note.offered_by = Some(peer));
        true
    }

    /// How many channels a peer told of that this partner has not accepted.
    fn offered_by(&self, peer: PartnerId) -> usize {
        let pending = self.channels.values().filter(|channel| {
            let offered_by = self.notes.get(&channel.id).and_then(|note| note.offered_by);
            let refused = |status| !matches!(status, Status::Active | Status::Left);
            let open = || self.status_in(channel).is_none_or(refused);
            offered_by == Some(peer) && open()
        });
        pending.count()
    }

    fn too_many_offers(&mut self, peer: PartnerId) {
        let why = "it has too many channels on offer already".into();
        self.over_limit(peer, Limit::ChannelsOffered, why);
    }

    fn note(&mut self, id: ChannelId, change: impl FnOnce(&mut ChannelNote)) {
        let note = self.notes.entry(id).or_default();
        change(note);
        let rows = vec![note.row(&id)];
        self.out.push_back(Output::Append { rows });
    }

    pub(super) fn verified(&mut self, batch: u64, valid: &[bool], now: Now) {
        let Some(events) = self.verifying.remove(&batch) else {
            return;
        };
        let mut honest = true;
        for ((event, peer), valid) in events.into_iter().zip(valid) {
            self.sync.verified(&peer, event.weight(), now.instant);
            self.release_verifying(peer, event.weight());
            let valid = *valid || mutation::is(Mutation::BadSignatureTaken);
            if valid && honest {
                self.notice_own_log(&event, peer);
                self.offer(event, peer, now);
            } else if honest {
                honest = false;
                let header = &event.header;
                let why = format!(
                    "it sent a bad signature for event {} (kind {}, position {} of writer {})",
                    event.id, header.kind, header.seq, header.writer
                );
                self.notify(Notice::Misbehaved { peer, why });
            }
        }
    }

    fn release_verifying(&mut self, peer: PartnerId, bytes: usize) {
        self.verifying_bytes_in_all = self.verifying_bytes_in_all.saturating_sub(bytes);
        if let Entry::Occupied(mut held) = self.verifying_bytes.entry(peer) {
            *held.get_mut() = held.get().saturating_sub(bytes);
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    fn offer(&mut self, event: Event, peer: PartnerId, now: Now) {
        let (channel_id, lane) = (event.header.channel, event.header.lane);
        if !self.has_channel(channel_id, peer) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return;
        };
        let charge = charge(channel, &event).filter(|charge| charge.partner != self.partner);
        if let Some(charge) = &charge
            && !channel.parking.cited_by_another(&event)
            && let Some(limit) = self.quotas.exceeded(charge, now.instant)
        {
            return self.postpone(&event, peer, charge.partner, limit, now);
        }
        let mut outcome = channel.offer(event, Some(peer));
        // What waited for it is charged too, or whoever sends backwards would pay for the first
        // alone.
        let taken = outcome.accepted.iter();
        for charge in taken.filter_map(|taken| charge_taken(channel, taken)) {
            if charge.partner != self.partner {
                self.quotas.take(&charge, now.instant);
            }
        }
        self.ask_for(channel_id, lane, &outcome.missing, peer, now);
        for second in &outcome.forks {
            self.notify(Notice::Fork {
                channel: channel_id,
                id: second.id,
                peer: second.from.unwrap_or(peer),
            });
        }
        if !outcome.forks.is_empty() || !outcome.missing.is_empty() {
            self.bound_parking(channel_id, peer);
        }
        for foreign in &outcome.foreign {
            *self.foreign.entry(foreign.from).or_default() |= foreign.leaked;
        }
        let forks = std::mem::take(&mut outcome.forks);
        self.settle(channel_id, outcome, Vec::new(), now);
        for second in forks {
            self.suspect(channel_id, second.at, second.signed);
        }
    }

    /// What is not for this partner was dropped: nothing of it is kept, not even its id, so the
    /// record names who brought it and no more. Once for each who did, however much it was.
    pub(super) fn note_foreign(&mut self) {
        for (peer, leaked) in std::mem::take(&mut self.foreign) {
            self.notify(match leaked {
                true => Notice::Misbehaved {
                    peer,
                    why: "it sent events of a lane that this partner may not read; nothing of \
                          them was kept"
                        .into(),
                },
                // It may not know yet that this partner is out, or this node not yet that it is in.
                false => Notice::Refused {
                    peer,
                    why: "it sent events for members while this partner is none; nothing of \
                          them was kept"
                        .into(),
                },
            });
        }
    }

    /// An event over a quota is dropped, and its log asked for again after a while.
    fn postpone(
        &mut self,
        event: &Event,
        peer: PartnerId,
        author: PartnerId,
        limit: Limit,
        now: Now,
    ) {
        let header = &event.header;
        let log = (header.channel, header.lane, header.writer);
        self.sync.postpone(log, now.instant);
        let why = format!(
            "an event of partner {author} at position {} is over a quota and has to wait",
            header.seq
        );
        self.over_limit(peer, limit, why);
    }

    /// A peer's share of parked events is over all channels together.
    fn bound_parking(&mut self, channel: ChannelId, peer: PartnerId) {
        let parked: usize = self
            .channels
            .values()
            .map(|channel| channel.parking.bytes_of(&peer))
            .sum();
        if parked > limits::PARKED_BYTES_PER_PEER
            && let Some(channel) = self.channels.get_mut(&channel)
        {
            channel.parking.drop_all_of(&peer);
            let why =
                "its parked events are over its share; those of the channel were dropped".into();
            self.over_limit(peer, Limit::ParkedBytes, why);
        }
    }

    /// Stores, tells and hands on what was accepted; puts what was refused on record.
    pub(super) fn settle(
        &mut self,
        channel_id: ChannelId,
        mut outcome: Outcome,
        extra: Vec<Row>,
        now: Now,
    ) {
        let control = outcome.accepted.iter().any(|accepted| accepted.control);
        if control {
            self.cut(channel_id, &mut outcome, now);
        }
        for (id, peer, why) in outcome.invalid {
            match peer {
                Some(peer) => self.notify(Notice::Misbehaved {
                    peer,
                    why: format!("it sent the invalid event {id}: {why}"),
                }),
                None => self.notify(Notice::Refused {
                    peer: self.partner,
                    why: format!("own event {id}: {why}"),
                }),
            }
        }
        if outcome.accepted.is_empty() {
            return;
        }
        let mut rows = Vec::new();
        for (at, accepted) in outcome.accepted.iter().enumerate() {
            let of_event = self.rows_of(channel_id, accepted);
            if at == 0 || !mutation::is(Mutation::FirstRowsOnly) {
                rows.extend(of_event);
            }
        }
        rows.extend(extra);
        if outcome.accepted.iter().any(may_withdraw) {
            rows.extend(self.drop_withdrawn(channel_id));
        }
        let late = mutation::is(Mutation::SentBeforeStored);
        if !late {
            self.append(std::mem::take(&mut rows));
        }
        let mut own = Vec::new();
        let mut lanes = BTreeSet::new();
        for accepted in outcome.accepted {
            lanes.insert(accepted.event.header.lane);
            if accepted.from.is_none() {
                own.push(accepted.event.id);
            }
            self.hand_on(channel_id, accepted, now);
        }
        self.append(rows);
        for id in own {
            self.release(channel_id, &id, now);
        }
        for lane in lanes {
            self.ack_soon(channel_id, lane, now.instant);
        }
        if control {
            self.introduce_spares(channel_id, now);
            self.say_what_ended(channel_id, now);
        }
    }

    /// The moment a membership ends, what is held of the former member is vouched for, in the same
    /// write: nothing that comes later is.
    fn cut(&mut self, id: ChannelId, outcome: &mut Outcome, now: Now) {
        let vouch = !self.writers.is_catching_up(now.instant);
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let Some(author) = self.writers.author(channel) else {
            // Whoever writes here later held this before it could vouch for anything.
            channel.attend_endings();
            return;
        };
        let written = &mut outcome.accepted;
        if let Err(error) = channel.write_cuts(&author, vouch, now.wall, written) {
            self.notify(Notice::Refused {
                peer: self.partner,
                why: format!("own cut: {error}"),
            });
        }
    }

    /// Offers again what waited for an own event.
    fn release(&mut self, channel: ChannelId, id: &EventId, now: Now) {
        let released = self
            .channels
            .get_mut(&channel)
            .map(|channel| channel.release(id));
        for (event, from) in released.unwrap_or_default() {
            if let Some(peer) = from {
                self.offer(event, peer, now);
            }
        }
    }

    fn rows_of(&mut self, channel: ChannelId, accepted: &Accepted) -> Vec<Row> {
        let event = &accepted.event;
        let mut rows = self.numbers.event_rows(event, accepted.h);
        if event.header.kind() != Kind::Key {
            return rows;
        }
        let read = self.keyring.read(event);
        if opens_epoch(event) && !matches!(read, Ok(Some(_))) {
            self.want_key(channel, event.header.lane, event.id);
        }
        match read {
            Ok(Some(secret)) => rows.push(rows::secret_row(&event.id, &secret)),
            Ok(None) if accepted.from.is_none() && opens_epoch(event) => {
                if let Some(secret) = self.keyring.secret(&event.id) {
                    rows.push(rows::secret_row(&event.id, secret));
                }
            }
            Ok(None) => {}
            Err(error) => {
                self.out.push_back(Output::Notify(Notice::BadKey {
                    channel,
                    id: event.id,
                    why: error.to_string(),
                }));
            }
        }
        rows
    }

    fn hand_on(&mut self, channel_id: ChannelId, accepted: Accepted, now: Now) {
        let Some(channel) = self.channels.get(&channel_id) else {
            return;
        };
        let event = &accepted.event;
        let mut branch = None;
        if let Some(peer) = accepted.from
            && begins_branch(channel, &accepted)
        {
            let forked = Forked {
                lane: event.header.lane,
                writer: event.header.writer,
                seq: event.header.seq,
            };
            branch = Some((forked, SignedHeader::of(event)));
            self.out.push_back(Output::Notify(Notice::Fork {
                channel: channel_id,
                id: event.id,
                peer,
            }));
        }
        self.sync
            .accepted(event, accepted.from, channel, now.instant, &mut self.out);
        let own = accepted.from.is_none();
        self.out.push_back(Output::Notify(Notice::Accepted {
            channel: channel_id,
            id: event.id,
            kind: event.header.kind(),
            own,
        }));
        if let Some((forked, signed)) = branch {
            self.suspect(channel_id, forked, signed);
        }
        self.notice_evidence(channel_id, &accepted);
        self.compare_floor(channel_id, &accepted);
        if accepted.control {
            self.sync.control_changed(channel_id, now.instant);
            self.asking.readers_changed(channel_id);
            self.fetches.readers_changed(channel_id);
            self.out.push_back(Output::Notify(Notice::Membership {
                channel: channel_id,
            }));
        }
    }
}

/// Whether an event was accepted beside another of its writer for the same position.
fn begins_branch(channel: &Channel, accepted: &Accepted) -> bool {
    let header = &accepted.event.header;
    let graph = channel.graph();
    let branches = graph.branches(header.lane, header.writer);
    branches.first() != Some(&accepted.pos.chain)
        && graph.chain(accepted.pos.chain).first == accepted.pos.seq
}

/// What an event would cost its author's quotas; none where its author is not known.
fn charge(channel: &Channel, event: &Event) -> Option<Charge> {
    let header = &event.header;
    let logs = channel.graph().branches(header.lane, header.writer);
    charge_of(channel, event, logs.is_empty())
}

/// What an event costs that was taken.
fn charge_taken(channel: &Channel, taken: &Accepted) -> Option<Charge> {
    let header = &taken.event.header;
    let logs = channel.graph().branches(header.lane, header.writer);
    let first = header.seq == 1 && logs.first() == Some(&taken.pos.chain);
    charge_of(channel, &taken.event, first)
}

fn charge_of(channel: &Channel, event: &Event, first: bool) -> Option<Charge> {
    let header = &event.header;
    let in_control = header.lane == channel.control_lane;
    // Acks of the control lane follow on what others do there.
    let control = in_control && header.kind() != Kind::Ack;
    Some(Charge {
        channel: channel.id,
        partner: channel.writer_partner(&header.writer)?,
        writer: header.writer,
        begins: (first && !in_control).then_some(header.lane),
        control,
        bytes: (event.header_bytes.len() + event.body.len()) as u64,
        budget: channel
            .charter
            .as_ref()
            .map_or(0, |charter| charter.byte_budget),
    })
}
