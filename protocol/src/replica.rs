//! One partner's replica of its channels: the machine that a node and a simulator drive.
//!
//! Feed it facts with [`Replica::handle`], then drain [`Replica::poll`] until it is empty, and
//! repeat. Outputs are ordered: an [`Output::Append`] must be on disk, synced, before any later
//! output acts, so that nothing is sent or acknowledged that a crash could take back. The machine
//! reads no clock and draws no randomness; both are arguments.

use std::collections::{BTreeMap, VecDeque};

use comity_crypto as crypto;

use crate::acceptance;
use crate::authority::{Act, Status};
use crate::body::{Charter, InviteBody, MessageBody, ReactBody, RedactBody, Role, SealingKeyBody};
use crate::channel::{Accepted, Channel, Outcome};
use crate::codec::{Canonical, Malformed, encode};
use crate::compose::{Author, ComposeError, Message};
use crate::event::{Event, Kind, Precedence, Reference, UserName};
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, Signature, WriterId};
use crate::identity::{Identity, Name};
use crate::keys::{Entropy, Keyring, opens_epoch};
use crate::limits;
use crate::rows::{self, ChannelNote, LogNumbers, Row, StoredEvent, Table};
use crate::sync::{self, Sync};
use crate::time::{Instant, Now};
use crate::wire::{Frame, LogId};

/// Who this replica is, and the keys it acts with.
pub struct Own {
    pub identity: Identity,
    pub signing: crypto::SigningKey,
    /// The last one is current.
    pub sealing: Vec<crypto::SealingKey>,
}

/// The streams of a link, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamClass {
    Control,
    Flash,
    Immediate,
    Priority,
    Routine,
    Backfill,
}

impl StreamClass {
    /// The stream for events of a precedence.
    pub fn of(precedence: Precedence) -> StreamClass {
        match precedence {
            Precedence::Flash => StreamClass::Flash,
            Precedence::Immediate => StreamClass::Immediate,
            Precedence::Priority => StreamClass::Priority,
            Precedence::Routine => StreamClass::Routine,
        }
    }
}

/// A fact.
#[derive(Debug)]
pub enum Input {
    /// An order of this node's own people; answered by one [`Output::Done`] with its ticket.
    Command {
        ticket: u64,
        command: Box<Command>,
        entropy: Entropy,
    },
    PeerUp {
        peer: PartnerId,
    },
    PeerDown {
        peer: PartnerId,
    },
    /// A frame came on one of a peer's streams.
    Received {
        peer: PartnerId,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    /// A frame for the peer was dropped: its queue is full.
    Congested {
        peer: PartnerId,
    },
    /// The peer's queue has room again.
    Drained {
        peer: PartnerId,
    },
    /// The answer to [`Output::Verify`], one verdict per item.
    Verified {
        batch: u64,
        valid: Vec<bool>,
    },
    /// The time asked for by [`Output::WakeAt`] has come.
    Wake,
}

/// A wish.
#[derive(Debug)]
pub enum Output {
    /// Verify these signatures; answer with [`Input::Verified`].
    Verify {
        batch: u64,
        items: Vec<VerifyItem>,
    },
    /// Write these rows together; they are durable before any later output acts.
    Append {
        rows: Vec<Row>,
    },
    Send {
        peer: PartnerId,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    /// Send stored events and then a range end, on the backfill stream.
    SendRange(SendRange),
    Notify(Notice),
    Done {
        ticket: u64,
        result: Result<Written, CommandError>,
    },
    /// Wake the machine then at the latest; replaces earlier wishes.
    WakeAt(Instant),
}

/// One signature to verify under [`crate::event::TAG_EVENT_SIGNATURE`].
#[derive(Debug, Clone)]
pub struct VerifyItem {
    pub key: crypto::PublicKey,
    pub id: EventId,
    pub signature: Signature,
}

/// Stored events of one log for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRange {
    pub peer: PartnerId,
    pub log: LogId,
    pub from: u64,
    pub to: u64,
}

/// What the driver, its log or its people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event was accepted.
    Accepted {
        channel: ChannelId,
        id: EventId,
        kind: Kind,
        own: bool,
    },
    /// A channel's members changed.
    Membership { channel: ChannelId },
    /// A peer broke the protocol: its link is to be closed and the matter put on record.
    Misbehaved { peer: PartnerId, why: String },
    /// Something of a peer's was refused or set aside; for the log and the metrics.
    Refused { peer: PartnerId, why: String },
    /// Two events of one writer for one position.
    Fork {
        channel: ChannelId,
        id: EventId,
        peer: PartnerId,
    },
    /// A key event whose wrap for this partner is bad.
    BadKey {
        channel: ChannelId,
        id: EventId,
        why: String,
    },
    /// A peer shows more of this node's own log than is here.
    OwnLogAhead {
        channel: ChannelId,
        seq: u64,
        peer: PartnerId,
    },
}

/// An order.
#[derive(Debug, Clone)]
pub enum Command {
    CreateChannel {
        name: Name,
    },
    Share {
        channel: ChannelId,
        partner: Identity,
        role: Role,
    },
    Accept {
        channel: ChannelId,
    },
    Leave {
        channel: ChannelId,
    },
    Post {
        channel: ChannelId,
        draft: Draft,
        text: String,
        reply_to: Option<EventRef>,
        rows: Vec<Row>,
    },
    Edit {
        channel: ChannelId,
        draft: Draft,
        target: EventRef,
        text: String,
    },
    Redact {
        channel: ChannelId,
        draft: Draft,
        target: EventRef,
        reason: String,
    },
    React {
        channel: ChannelId,
        draft: Draft,
        target: EventRef,
        emoji: String,
        withdrawn: bool,
    },
}

/// What every message has.
#[derive(Debug, Clone)]
pub struct Draft {
    pub user: UserName,
    pub claimed_ms: u64,
    pub precedence: Precedence,
}

/// An accepted event, by its place.
pub type EventRef = Pos;

/// What an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub channel: ChannelId,
    pub id: EventId,
    pub audience: Vec<PartnerId>,
}

/// Why an order was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("there is no such channel here")]
    NoSuchChannel,
    #[error("this partner is {0} in the channel, not an active member")]
    NotMember(&'static str),
    #[error("this partner's role does not allow it")]
    NotAllowed,
    #[error("the partner is already {0} in the channel")]
    AlreadyThere(&'static str),
    #[error("the post is not this user's own")]
    NotAuthor,
    #[error("the post's readers are not all readers of what would be written now")]
    OtherReaders,
    #[error("the message has {len} bytes, the limit is {limit}")]
    TooLong { len: usize, limit: usize },
    #[error("peers hold more of this node's log than this node: it was restored from an old copy")]
    RestoredFromOldCopy,
    #[error("not a reaction: 1 to 64 bytes")]
    NotAReaction,
    #[error("the node could not write the event: {0}")]
    Internal(String),
}

impl From<ComposeError> for CommandError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::TooLong { len, limit } => {
                let overhead = limits::BODY_BYTES - limits::MESSAGE_BYTES;
                CommandError::TooLong {
                    len: len.saturating_sub(overhead),
                    limit: limit.saturating_sub(overhead),
                }
            }
            other => CommandError::Internal(other.to_string()),
        }
    }
}

/// One partner's replica.
pub struct Replica {
    own: Own,
    partner: PartnerId,
    writer: WriterId,
    channels: BTreeMap<ChannelId, Channel>,
    keyring: Keyring,
    numbers: LogNumbers,
    sync: Sync,
    verifying: BTreeMap<u64, Vec<(Event, PartnerId)>>,
    verifying_bytes: usize,
    next_batch: u64,
    /// What is stored of channels besides their events.
    notes: BTreeMap<ChannelId, ChannelNote>,
    out: VecDeque<Output>,
}

impl Replica {
    /// A replica that holds nothing yet; see [`Restore`] for one that does.
    pub fn new(own: Own) -> Replica {
        let partner = own.identity.partner();
        let signing = crate::id::KeyBytes(own.signing.public().to_bytes());
        let writer = crate::identity::writer_id(&signing);
        let sealing = own
            .sealing
            .iter()
            .map(|key| crypto::SealingKey::from_seed(&key.seed()))
            .collect();
        Replica {
            own,
            partner,
            writer,
            channels: BTreeMap::new(),
            keyring: Keyring::new(partner, sealing),
            numbers: LogNumbers::default(),
            sync: Sync::new(writer),
            verifying: BTreeMap::new(),
            verifying_bytes: 0,
            next_batch: 0,
            notes: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    pub fn partner(&self) -> PartnerId {
        self.partner
    }

    pub fn writer(&self) -> WriterId {
        self.writer
    }

    pub fn identity(&self) -> &Identity {
        &self.own.identity
    }

    pub fn channels(&self) -> &BTreeMap<ChannelId, Channel> {
        &self.channels
    }

    /// The store's number of a log, for reading events back.
    pub fn log_number(&self, log: &LogId) -> Option<u32> {
        self.numbers.get(log)
    }

    /// The secret that seals under a key event, where this partner holds it.
    pub fn secret(&self, key_event: &EventId) -> Option<&crypto::EpochSecret> {
        self.keyring.secret(key_event)
    }

    /// Events that a connected peer is known to lack.
    pub fn lag(&self, peer: &PartnerId) -> u64 {
        self.sync.lag(peer, &self.channels)
    }

    /// Channels whose own log was found shorter here than at a peer.
    pub fn behind_self(&self) -> impl Iterator<Item = &ChannelId> {
        self.notes
            .iter()
            .filter(|(_, note)| note.restored)
            .map(|(channel, _)| channel)
    }

    /// The state of replication in words, for people who look for a fault.
    pub fn describe_sync(&self) -> String {
        format!(
            "{:?}, {} batches under verification",
            self.sync,
            self.verifying.len()
        )
    }

    /// The weight in bytes of the events under verification: the driver holds back input while
    /// it is large.
    pub fn verifying_bytes(&self) -> usize {
        self.verifying_bytes
    }

    /// Takes a fact.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Command {
                ticket,
                command,
                entropy,
            } => {
                let result = self.command(*command, &entropy, now);
                self.out.push_back(Output::Done { ticket, result });
            }
            Input::PeerUp { peer } => self.sync.up(
                self.partner,
                peer,
                &self.channels,
                now.instant,
                &mut self.out,
            ),
            Input::PeerDown { peer } => self.sync.down(&peer),
            Input::Received { peer, class, bytes } => self.received(peer, class, &bytes, now),
            Input::Congested { peer } => self.sync.congested(&peer),
            Input::Drained { peer } => self.sync.drained(peer, &self.channels, &mut self.out),
            Input::Verified { batch, valid } => self.verified(batch, &valid, now),
            Input::Wake => {}
        }
        if let Some(at) = self.sync.tick(&self.channels, now.instant, &mut self.out) {
            self.out.push_back(Output::WakeAt(at));
        }
    }

    /// The next wish.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn notify(&mut self, notice: Notice) {
        self.out.push_back(Output::Notify(notice));
    }

    // What peers send.

    fn received(&mut self, peer: PartnerId, class: StreamClass, bytes: &[u8], now: Now) {
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
            Err(why) => self.notify(Notice::Misbehaved { peer, why }),
        }
    }

    /// Hands the signatures of new events of known writers to the driver.
    fn verify(&mut self, peer: PartnerId, events: Vec<Event>, now: Now) {
        let mut items = Vec::new();
        let mut waiting = Vec::new();
        for event in events {
            let weight = event.weight();
            match self.verifying_key(&event) {
                Some(key) => {
                    items.push(VerifyItem {
                        key,
                        id: event.id,
                        signature: event.signature,
                    });
                    self.verifying_bytes += weight;
                    waiting.push((event, peer));
                }
                None => {
                    self.sync.verified(&peer, weight);
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
        self.out.push_back(Output::Verify { batch, items });
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

    fn ask_for(
        &mut self,
        channel: ChannelId,
        lane: LaneId,
        missing: &[Reference],
        peer: PartnerId,
        now: Now,
    ) {
        for missing in missing {
            let log = (channel, missing.lane.unwrap_or(lane), missing.writer);
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
    fn verifying_key(&self, event: &Event) -> Option<crypto::PublicKey> {
        let header = &event.header;
        let Some(channel) = self.channels.get(&header.channel) else {
            // A channel of which this node hears for the first time begins with its charter.
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
        let pending = self.channels.values().filter(|channel| {
            let offered_by = self.notes.get(&channel.id).and_then(|note| note.offered_by);
            let open = self
                .status_in(channel)
                .is_none_or(|status| status == Status::Invited);
            open && offered_by == Some(peer)
        });
        if pending.count() >= limits::INVITATIONS_PER_PEER {
            let why = "it has too many channels on offer already".into();
            self.notify(Notice::Refused { peer, why });
            return false;
        }
        self.channels.insert(id, Channel::new(id));
        self.note(id, |note| note.offered_by = Some(peer));
        true
    }

    fn note(&mut self, id: ChannelId, change: impl FnOnce(&mut ChannelNote)) {
        let note = self.notes.entry(id).or_default();
        change(note);
        let rows = vec![note.row(&id)];
        self.out.push_back(Output::Append { rows });
    }

    fn verified(&mut self, batch: u64, valid: &[bool], now: Now) {
        let Some(events) = self.verifying.remove(&batch) else {
            return;
        };
        let mut honest = true;
        for ((event, peer), valid) in events.into_iter().zip(valid) {
            self.sync.verified(&peer, event.weight());
            self.verifying_bytes -= event.weight();
            if *valid && honest {
                self.notice_own_log(&event, peer);
                self.offer(event, peer, now);
            } else if honest {
                honest = false;
                let why = format!("it sent a bad signature for event {}", event.id);
                self.notify(Notice::Misbehaved { peer, why });
            }
        }
    }

    /// An event of this very node, validly signed, that it does not hold: it was restored from an
    /// old copy. It must never write in these logs again, or it signs positions twice.
    fn notice_own_log(&mut self, event: &Event, peer: PartnerId) {
        let header = &event.header;
        let channel = header.channel;
        let held = self.channels.get(&channel).is_some_and(|channel| {
            channel
                .graph()
                .find(header.lane, header.writer, header.seq, &event.id)
                .is_some()
        });
        let known = self.notes.get(&channel).is_some_and(|note| note.restored);
        if header.writer == self.writer && !held && !known {
            self.note(channel, |note| note.restored = true);
            self.notify(Notice::OwnLogAhead {
                channel,
                seq: header.seq,
                peer,
            });
        }
    }

    fn offer(&mut self, event: Event, peer: PartnerId, now: Now) {
        let (channel_id, lane) = (event.header.channel, event.header.lane);
        let id = event.id;
        if !self.has_channel(channel_id, peer) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return;
        };
        let outcome = channel.offer(event, Some(peer));
        self.ask_for(channel_id, lane, &outcome.missing, peer, now);
        if outcome.fork {
            self.notify(Notice::Fork {
                channel: channel_id,
                id,
                peer,
            });
        }
        if outcome.fork || !outcome.missing.is_empty() {
            self.bound_parking(channel_id, peer);
        }
        self.settle(channel_id, outcome, Vec::new(), now);
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
            self.notify(Notice::Refused { peer, why });
        }
    }

    /// Stores, tells and hands on what was accepted; puts what was refused on record.
    fn settle(&mut self, channel_id: ChannelId, outcome: Outcome, extra: Vec<Row>, now: Now) {
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
        for accepted in &outcome.accepted {
            rows.extend(self.rows_of(channel_id, accepted));
        }
        rows.extend(extra);
        self.out.push_back(Output::Append { rows });
        for accepted in outcome.accepted {
            self.hand_on(channel_id, accepted, now);
        }
    }

    fn rows_of(&mut self, channel: ChannelId, accepted: &Accepted) -> Vec<Row> {
        let event = &accepted.event;
        let mut rows = self.numbers.event_rows(event, accepted.h);
        if event.header.kind() != Kind::Key {
            return rows;
        }
        match self.keyring.read(event) {
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
        self.sync
            .accepted(event, accepted.from, channel, now.instant, &mut self.out);
        let own = event.header.writer == self.writer;
        self.out.push_back(Output::Notify(Notice::Accepted {
            channel: channel_id,
            id: event.id,
            kind: event.header.kind(),
            own,
        }));
        if accepted.control {
            self.sync.control_changed(channel_id, now.instant);
            self.out.push_back(Output::Notify(Notice::Membership {
                channel: channel_id,
            }));
        }
    }

    // What this node's own people order.

    fn status_in(&self, channel: &Channel) -> Option<Status> {
        channel
            .present()
            .members
            .get(&self.partner)
            .map(|member| member.status)
    }

    fn command(
        &mut self,
        command: Command,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        match command {
            Command::CreateChannel { name } => self.create(name, entropy, now),
            Command::Share {
                channel,
                partner,
                role,
            } => self.share(channel, partner, role, now),
            Command::Accept { channel } => self.accept(channel, now),
            Command::Leave { channel } => self.write_control(
                channel,
                Kind::Leave,
                &Act::Leave,
                encode(&crate::body::EmptyBody {}),
                now,
            ),
            Command::Post {
                channel,
                draft,
                text,
                reply_to,
                rows,
            } => {
                let body = encode(&MessageBody { message: text });
                self.message(
                    channel,
                    Kind::Post,
                    draft,
                    reply_to,
                    body,
                    entropy,
                    rows,
                    now,
                )
            }
            Command::Edit {
                channel,
                draft,
                target,
                text,
            } => {
                let body = encode(&MessageBody { message: text });
                self.message(
                    channel,
                    Kind::Edit,
                    draft,
                    Some(target),
                    body,
                    entropy,
                    Vec::new(),
                    now,
                )
            }
            Command::Redact {
                channel,
                draft,
                target,
                reason,
            } => {
                let body = encode(&RedactBody { reason });
                self.message(
                    channel,
                    Kind::Redact,
                    draft,
                    Some(target),
                    body,
                    entropy,
                    Vec::new(),
                    now,
                )
            }
            Command::React {
                channel,
                draft,
                target,
                emoji,
                withdrawn,
            } => {
                let body = ReactBody { emoji, withdrawn };
                body.check().map_err(|_| CommandError::NotAReaction)?;
                self.message(
                    channel,
                    Kind::React,
                    draft,
                    Some(target),
                    encode(&body),
                    entropy,
                    Vec::new(),
                    now,
                )
            }
        }
    }

    fn create(&mut self, name: Name, entropy: &Entropy, now: Now) -> Result<Written, CommandError> {
        let sealing_key = self.sealing_key()?;
        let charter = Charter {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            name,
            nonce: Hash(*entropy.draw("charter", &LaneId([0; 32]), 0)),
            creator: self.own.identity.clone(),
            sealing_key,
            history: 1,
            finality: 1,
            quorum: 0,
            label_policy: None,
            label_ceiling: None,
            retention_days: None,
            byte_budget: 0,
        };
        let body = charter.to_bytes();
        let id = acceptance::channel_id(&body);
        self.channels.insert(id, Channel::new(id));
        let written = self.write(id, Kind::Charter, body, now);
        if written.is_err() {
            self.channels.remove(&id);
        }
        written
    }

    fn sealing_key(&self) -> Result<serde_bytes::ByteBuf, CommandError> {
        let key = self
            .keyring
            .sealing_public()
            .ok_or_else(|| CommandError::Internal("it has no sealing key".into()))?;
        Ok(serde_bytes::ByteBuf::from(key.as_bytes().to_vec()))
    }

    fn share(
        &mut self,
        id: ChannelId,
        partner: Identity,
        role: Role,
        now: Now,
    ) -> Result<Written, CommandError> {
        let channel = self.channel(id)?;
        if let Some(there) = channel.present().members.get(&partner.partner())
            && there.status <= Status::Active
        {
            return Err(CommandError::AlreadyThere(there.status.as_str()));
        }
        let seat = partner.certificates.nodes.first().map(|node| node.writer());
        let seat = seat.ok_or_else(|| CommandError::Internal("the partner has no node".into()))?;
        let act = Act::Invite {
            partner: partner.partner(),
            role,
            seat,
        };
        let body = InviteBody {
            partner,
            role,
            endorsements: Vec::new(),
        };
        self.write_control(id, Kind::Invite, &act, body.to_bytes(), now)
    }

    fn accept(&mut self, id: ChannelId, now: Now) -> Result<Written, CommandError> {
        let sealing_key = self.sealing_key()?;
        let channel = self.channel(id)?;
        match self.status_in(channel) {
            Some(Status::Invited) => {}
            Some(status) => return Err(CommandError::AlreadyThere(status.as_str())),
            None => return Err(CommandError::NoSuchChannel),
        }
        self.write(
            id,
            Kind::Accept,
            SealingKeyBody { sealing_key }.to_bytes(),
            now,
        )
    }

    fn channel(&self, id: ChannelId) -> Result<&Channel, CommandError> {
        self.channels.get(&id).ok_or(CommandError::NoSuchChannel)
    }

    fn demand_member(&self, id: ChannelId) -> Result<(), CommandError> {
        let channel = self.channel(id)?;
        match self.status_in(channel) {
            Some(Status::Active) => Ok(()),
            Some(status) => Err(CommandError::NotMember(status.as_str())),
            None => Err(CommandError::NoSuchChannel),
        }
    }

    fn write_control(
        &mut self,
        id: ChannelId,
        kind: Kind,
        act: &Act,
        body: Vec<u8>,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.demand_member(id)?;
        let view = self.channel(id)?.present();
        if !acceptance::would_have_effect(view, &self.partner, act) {
            return Err(CommandError::NotAllowed);
        }
        self.write(id, kind, body, now)
    }

    fn write(
        &mut self,
        id: ChannelId,
        kind: Kind,
        body: Vec<u8>,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.demand_whole(id)?;
        let author = Author {
            partner: self.partner,
            writer: self.writer,
            key: &self.own.signing,
        };
        let channel = self
            .channels
            .get_mut(&id)
            .ok_or(CommandError::NoSuchChannel)?;
        let accepted = channel.write_control(&author, kind, body, now.wall)?;
        let written = Written {
            channel: id,
            id: accepted.event.id,
            audience: channel.present().members.keys().copied().collect(),
        };
        self.settle(
            id,
            Outcome {
                accepted: vec![accepted],
                ..Outcome::default()
            },
            Vec::new(),
            now,
        );
        Ok(written)
    }

    fn demand_whole(&self, id: ChannelId) -> Result<(), CommandError> {
        if self.notes.get(&id).is_some_and(|note| note.restored) {
            Err(CommandError::RestoredFromOldCopy)
        } else {
            Ok(())
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call per command, each argument its own"
    )]
    fn message(
        &mut self,
        id: ChannelId,
        kind: Kind,
        draft: Draft,
        about: Option<EventRef>,
        body: Vec<u8>,
        entropy: &Entropy,
        extra: Vec<Row>,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.demand_member(id)?;
        self.demand_whole(id)?;
        let channel = self.channel(id)?;
        let own_role = channel
            .present()
            .member(&self.partner)
            .map(|member| member.role);
        if own_role < Some(Role::Contributor) {
            return Err(CommandError::NotAllowed);
        }
        let about = about
            .map(|target| self.about(channel, kind, &draft.user, target))
            .transpose()?;
        let message = Message {
            kind,
            user: draft.user,
            claimed_ms: draft.claimed_ms,
            precedence: draft.precedence,
            about,
            body,
        };
        let author = Author {
            partner: self.partner,
            writer: self.writer,
            key: &self.own.signing,
        };
        let channel = self
            .channels
            .get_mut(&id)
            .ok_or(CommandError::NoSuchChannel)?;
        let mut accepted = Vec::new();
        let result = channel.write_message(
            &author,
            &message,
            &mut self.keyring,
            entropy,
            now.wall,
            &mut accepted,
        );
        let audience = channel.present().active().into_iter().collect();
        let last = accepted.last().map(|last| last.event.id);
        // Even when the message itself failed: a key event before it is part of the log now.
        let extra = if result.is_ok() { extra } else { Vec::new() };
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(id, outcome, extra, now);
        result?;
        let written = last.ok_or_else(|| CommandError::Internal("nothing was written".into()))?;
        Ok(Written {
            channel: id,
            id: written,
            audience,
        })
    }

    /// The reference to a target that this user may act on, before anything is written.
    fn about(
        &self,
        channel: &Channel,
        kind: Kind,
        user: &UserName,
        target: EventRef,
    ) -> Result<Reference, CommandError> {
        let author = channel.author(target);
        let own = author.partner == self.partner && author.user.as_ref() == Some(user);
        if matches!(kind, Kind::Edit | Kind::Redact) && !own {
            return Err(CommandError::NotAuthor);
        }
        let lane = channel.lane_of(target);
        let readers = channel
            .lane(&lane)
            .map(|lane| lane.audience.clone())
            .unwrap_or_default();
        let audience = channel.present().active();
        if !audience.is_subset(&readers) {
            return Err(CommandError::OtherReaders);
        }
        let open = crate::lane::lane_id(channel.id, crate::lane::LaneForm::Open, &audience);
        Ok(Reference {
            lane: (lane != open).then_some(lane),
            writer: channel.writer_of(target),
            seq: target.seq,
            id: channel.entry(target).id,
        })
    }
}

/// Puts a replica together again from its stored rows.
pub struct Restore {
    replica: Replica,
    events: Vec<StoredEvent>,
}

impl Restore {
    pub fn new(own: Own) -> Restore {
        Restore {
            replica: Replica::new(own),
            events: Vec::new(),
        }
    }

    /// Takes one row; rows of tables that are not the machine's are passed over.
    pub fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        match table {
            Table::Logs => self.replica.numbers.restore(key, value),
            Table::Secrets => {
                let id = key.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "event id",
                })?;
                let secret = value.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "epoch secret",
                })?;
                self.replica
                    .keyring
                    .restore(EventId(id), crypto::EpochSecret::from_bytes(secret));
                Ok(())
            }
            Table::Events => {
                let mut stored = rows::read_event(value)?;
                if stored.event.header.kind().is_sealed() {
                    // Acceptance never looks inside; the body stays in the store.
                    stored.event.body = Vec::new();
                }
                if stored.event.header.kind() != Kind::Key {
                    stored.event.header_bytes = Vec::new();
                }
                self.events.push(stored);
                Ok(())
            }
            Table::Channels => {
                let id = key.try_into().map_err(|_| Malformed::Undecodable {
                    expected: "channel id",
                })?;
                let note = ChannelNote::from_bytes(value)?;
                self.replica.notes.insert(ChannelId(id), note);
                Ok(())
            }
            Table::Meta | Table::Pacts | Table::Imports | Table::Audit => Ok(()),
        }
    }

    /// Merges the stored events again, control events first, parents before children. An event
    /// that is no longer accepted means a damaged store.
    pub fn finish(mut self) -> Result<Replica, Malformed> {
        self.events
            .sort_by_key(|stored| (!stored.event.header.kind().is_control_act(), stored.h));
        for stored in self.events {
            let id = stored.event.header.channel;
            let channel = self
                .replica
                .channels
                .entry(id)
                .or_insert_with(|| Channel::new(id));
            if stored.event.header.kind() == Kind::Key {
                // Secrets of first parts are in no row until the last part is accepted. What did
                // not open before does not open now, and was on record then.
                let _ = self.replica.keyring.read(&stored.event);
            }
            let outcome = channel.restore(stored.event);
            if outcome.accepted.is_empty() {
                return Err(Malformed::Rule(
                    "a stored event is no longer accepted: the store is damaged",
                ));
            }
        }
        Ok(self.replica)
    }
}
