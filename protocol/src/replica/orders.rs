//! What this node's own people order: channels, memberships, messages.

use std::collections::BTreeSet;

use comity_crypto as crypto;

use super::Replica;
use super::roles::{Proposal, Transfer};
use crate::acceptance;
use crate::acceptance::about::{Bound, is_authors_alone, rule};
use crate::authority::{Act, Status};
use crate::body::{
    Charter, FileBody, MessageBody, PinBody, ReactBody, ReceiptBody, RedactBody, Role, RosterBody,
    RosterUser, SealingKeyBody,
};
use crate::channel::{Channel, Outcome};
use crate::codec::{Canonical, encode};
use crate::compose::{ComposeError, Message};
use crate::event::{Kind, Label, Precedence, UserName};
use crate::files::Place;
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};
use crate::identity::{Identity, Name};
use crate::keys::Entropy;
use crate::lane::{History, LaneForm};
use crate::limits;
use crate::rows::Row;
use crate::time::Now;

/// An order.
#[derive(Debug, Clone)]
pub enum Command {
    CreateChannel {
        name: Name,
        history: History,
        /// Owners needed for a quorum act; 0 for a majority.
        quorum: u8,
    },
    Share {
        channel: ChannelId,
        partner: Identity,
        role: Role,
    },
    /// Changes a partner's role; like every order on others, with the endorsements of other
    /// owners where the own role does not suffice.
    Grant {
        channel: ChannelId,
        partner: PartnerId,
        role: Role,
    },
    Remove {
        channel: ChannelId,
        partner: PartnerId,
    },
    Suspend {
        channel: ChannelId,
        partner: PartnerId,
    },
    /// Endorses, as an owner, what another proposes.
    Endorse {
        channel: ChannelId,
        proposal: Proposal,
    },
    /// Introduces the writers of a newer list of the own certificates.
    IntroduceWriters {
        channel: ChannelId,
        identity: Box<Identity>,
    },
    RetireWriter {
        channel: ChannelId,
        writer: WriterId,
    },
    /// Gives the own seat to another own writer.
    MoveSeat {
        channel: ChannelId,
        writer: WriterId,
    },
    /// Carries a transfer that a partner's root has signed.
    TransferSeat {
        channel: ChannelId,
        transfer: Box<Transfer>,
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
    Pin {
        channel: ChannelId,
        draft: Draft,
        target: EventRef,
        withdrawn: bool,
    },
    Receipt {
        channel: ChannelId,
        draft: Draft,
        target: EventRef,
        state: ReceiptState,
    },
    /// Tells all members of the partner's own users.
    Roster {
        channel: ChannelId,
        claimed_ms: u64,
        users: Vec<RosterUser>,
    },
    /// Refers to a file whose chunks are all stored, in `place`.
    File {
        channel: ChannelId,
        draft: Draft,
        /// The post that the file belongs to.
        target: Option<EventRef>,
        file: FileBody,
        place: Place,
        rows: Vec<Row>,
    },
    /// Fetches the chunks of a file that are not held, until [`Command::EndFetch`].
    Fetch {
        channel: ChannelId,
        target: EventRef,
        /// What the reference says, opened.
        file: FileBody,
    },
    EndFetch {
        channel: ChannelId,
        target: EventRef,
    },
}

/// What every message has.
#[derive(Debug, Clone)]
pub struct Draft {
    pub user: UserName,
    pub claimed_ms: u64,
    pub precedence: Precedence,
    /// For whom. Absent: for the readers of what the message is about, else for all members.
    pub audience: Option<BTreeSet<PartnerId>>,
    /// Absent: the label of what the message is about.
    pub label: Option<Label>,
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
    #[error("{have} of the {needed} owners that it needs have endorsed proposal {proposal}")]
    QuorumMissing {
        proposal: Hash,
        have: usize,
        needed: usize,
    },
    #[error("a quorum of more than 64 owners")]
    Quorum,
    #[error("partner {0} is not an active member of the channel")]
    NoMember(PartnerId),
    #[error("the audience lacks this partner itself")]
    WithoutSelf,
    #[error("partner {0} may not read the message that this is about")]
    Widens(PartnerId),
    #[error("what changes a message goes to exactly its readers")]
    NotItsReaders,
    #[error("the label would let people read more than that of the message that this is about")]
    WeakerLabel,
    #[error("a message cannot be about an event of that kind")]
    NotAPost,
    #[error("the message has {len} bytes, the limit is {limit}")]
    TooLong { len: usize, limit: usize },
    #[error(
        "none of this node's writers may write here: peers hold more of its log than it does, or it was restored from a backup, and the channel knows no spare"
    )]
    RestoredFromOldCopy,
    #[error(
        "none of this node's writers has the partner's seat: its root must sign a seat transfer"
    )]
    SeatLost,
    #[error("not a reaction: 1 to 64 bytes")]
    NotAReaction,
    #[error(
        "not a roster: 1 to 200 users, sorted by name, with display names of at most 256 bytes"
    )]
    NotARoster,
    #[error("{0}")]
    NotAFile(&'static str),
    #[error("the file was withdrawn")]
    Withdrawn,
    #[error("too many files are fetched at a time")]
    TooManyFetches,
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

impl Replica {
    pub(super) fn status_in(&self, channel: &Channel) -> Option<Status> {
        channel
            .present()
            .members
            .get(&self.partner)
            .map(|member| member.status)
    }

    pub(super) fn command(
        &mut self,
        command: Command,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        match command {
            Command::CreateChannel {
                name,
                history,
                quorum,
            } => self.create(name, history, quorum, entropy, now),
            Command::Accept { channel } => self.accept(channel, now),
            Command::Leave { channel } => self.write_control(
                channel,
                Kind::Leave,
                &Act::Leave,
                encode(&crate::body::EmptyBody {}),
                now,
            ),
            Command::File { .. } => self.send_file(command, entropy, now),
            Command::Fetch {
                channel,
                target,
                file,
            } => self.fetch(channel, target, file),
            Command::EndFetch { channel, target } => self.end_fetch(channel, target),
            message @ (Command::Post { .. }
            | Command::Edit { .. }
            | Command::Redact { .. }
            | Command::React { .. }
            | Command::Pin { .. }
            | Command::Receipt { .. }
            | Command::Roster { .. }) => self.say(message, entropy, now),
            role => self.role_order(role, now),
        }
    }

    /// Writes a message.
    fn say(
        &mut self,
        command: Command,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        let said = match command {
            Command::Post {
                channel,
                draft,
                text,
                reply_to,
                rows,
            } => Said {
                rows,
                ..Said::new(
                    channel,
                    Kind::Post,
                    draft,
                    reply_to,
                    encode(&MessageBody { message: text }),
                )
            },
            Command::Edit {
                channel,
                draft,
                target,
                text,
            } => {
                let body = encode(&MessageBody { message: text });
                Said::new(channel, Kind::Edit, draft, Some(target), body)
            }
            Command::Redact {
                channel,
                draft,
                target,
                reason,
            } => {
                let body = encode(&RedactBody { reason });
                Said::new(channel, Kind::Redact, draft, Some(target), body)
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
                Said::new(channel, Kind::React, draft, Some(target), encode(&body))
            }
            Command::Pin {
                channel,
                draft,
                target,
                withdrawn,
            } => {
                let body = encode(&PinBody { withdrawn });
                Said::new(channel, Kind::Pin, draft, Some(target), body)
            }
            Command::Receipt {
                channel,
                draft,
                target,
                state,
            } => {
                let state = state as u8;
                let body = encode(&ReceiptBody { state });
                Said::new(channel, Kind::Receipt, draft, Some(target), body)
            }
            Command::Roster {
                channel,
                claimed_ms,
                users,
            } => {
                let body = RosterBody { users };
                body.check().map_err(|_| CommandError::NotARoster)?;
                Said::by_partner(channel, Kind::Roster, claimed_ms, encode(&body))
            }
            _ => return Err(CommandError::Internal("no message".into())),
        };
        self.message(said, entropy, now)
    }

    fn create(
        &mut self,
        name: Name,
        history: History,
        quorum: u8,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        if usize::from(quorum) > limits::PARTNERS {
            return Err(CommandError::Quorum);
        }
        let sealing_key = self.sealing_key()?;
        let charter = Charter {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            name,
            nonce: Hash(*entropy.draw("charter", &LaneId([0; 32]), 0)),
            creator: self.own.identity.clone(),
            sealing_key,
            history: history.number(),
            finality: 1,
            quorum,
            label_policy: None,
            label_ceiling: None,
            retention_days: None,
            byte_budget: 0,
        };
        let body = charter.to_bytes();
        let id = acceptance::channel_id(&body);
        self.channels.insert(id, Channel::held_by(id, self.partner));
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

    pub(super) fn channel(&self, id: ChannelId) -> Result<&Channel, CommandError> {
        self.channels.get(&id).ok_or(CommandError::NoSuchChannel)
    }

    pub(super) fn demand_member(&self, id: ChannelId) -> Result<(), CommandError> {
        let channel = self.channel(id)?;
        match self.status_in(channel) {
            Some(Status::Active) => Ok(()),
            Some(status) => Err(CommandError::NotMember(status.as_str())),
            None => Err(CommandError::NoSuchChannel),
        }
    }

    pub(super) fn write_control(
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

    pub(super) fn write(
        &mut self,
        id: ChannelId,
        kind: Kind,
        body: Vec<u8>,
        now: Now,
    ) -> Result<Written, CommandError> {
        let channel = self
            .channels
            .get_mut(&id)
            .ok_or(CommandError::NoSuchChannel)?;
        let seat = self.writers.seat(channel);
        // A transfer is the root's word: any writer may carry it.
        let carrier = match kind {
            Kind::SeatTransfer => seat.or_else(|| self.writers.author(channel)),
            _ => seat,
        };
        let author = carrier.ok_or(CommandError::SeatLost)?;
        let mut accepted = Vec::new();
        let result = channel.write_act(&author, kind, body, now.wall, &mut accepted);
        let audience = channel.present().members.keys().copied().collect();
        let last = accepted.last().map(|last| last.event.id);
        // Even when the act itself failed: what stands before it is part of the log now.
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(id, outcome, Vec::new(), now);
        result?;
        let written = last.ok_or_else(|| CommandError::Internal("nothing was written".into()))?;
        Ok(Written {
            channel: id,
            id: written,
            audience,
        })
    }

    pub(super) fn message(
        &mut self,
        said: Said,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        self.demand_member(said.channel)?;
        let channel = self.channel(said.channel)?;
        let own_role = channel.present().member(&self.partner);
        if own_role.is_none_or(|own| own.role < acceptance::least_role(said.kind)) {
            return Err(CommandError::NotAllowed);
        }
        let audience = self.audience(channel, &said)?;
        let label = said.label(channel)?;
        let message = Message {
            kind: said.kind,
            user: said.user,
            claimed_ms: said.claimed_ms,
            precedence: said.precedence,
            about: said.about,
            label,
            audience: audience.clone(),
            body: said.body,
        };
        let channel = self
            .channels
            .get_mut(&said.channel)
            .ok_or(CommandError::NoSuchChannel)?;
        let author = self
            .writers
            .author(channel)
            .ok_or(CommandError::RestoredFromOldCopy)?;
        let mut accepted = Vec::new();
        let result = channel.write_message(
            &author,
            &message,
            &mut self.keyring,
            entropy,
            now.wall,
            &mut accepted,
        );
        let audience = audience.unwrap_or_else(|| channel.present().active());
        let last = accepted.last().map(|last| last.event.id);
        // Even when the message itself failed: what stands before it is part of the log now.
        let mut extra = Vec::new();
        if result.is_ok() {
            extra = said.rows;
            let stored = last.zip(said.stored);
            extra.extend(stored.map(|(id, (place, chunks))| {
                self.held.insert_whole(id, said.channel, place, chunks)
            }));
        }
        let outcome = Outcome {
            accepted,
            ..Outcome::default()
        };
        self.settle(said.channel, outcome, extra, now);
        result?;
        let written = last.ok_or_else(|| CommandError::Internal("nothing was written".into()))?;
        Ok(Written {
            channel: said.channel,
            id: written,
            audience: audience.into_iter().collect(),
        })
    }

    /// Who is to read a message: as it says, or whoever may read what it is about. None for the
    /// open lane, which is for all members.
    fn audience(
        &self,
        channel: &Channel,
        said: &Said,
    ) -> Result<Option<BTreeSet<PartnerId>>, CommandError> {
        let members = channel.present().active();
        if let Some(wanted) = &said.audience {
            if let Some(stranger) = wanted.iter().find(|partner| !members.contains(*partner)) {
                return Err(CommandError::NoMember(*stranger));
            }
            if !wanted.contains(&self.partner) {
                return Err(CommandError::WithoutSelf);
            }
        }
        let Some(target) = said.about else {
            return Ok(said.audience.clone());
        };
        let (targets, bound) = rule(said.kind).ok_or(CommandError::NotAPost)?;
        if !targets.contains(&channel.entry(target).kind) {
            return Err(CommandError::NotAPost);
        }
        let author = channel.author(target);
        let own = author.partner == self.partner && author.user == said.user;
        if is_authors_alone(said.kind) && !own {
            return Err(CommandError::NotAuthor);
        }
        let lane = channel
            .lane(&channel.lane_of(target))
            .ok_or_else(|| CommandError::Internal("its lane is not known".into()))?;
        let readers = lane.readers(channel.history(), &members);
        if !readers.contains(&self.partner) {
            // Somebody brought it who should not have.
            return Err(CommandError::WithoutSelf);
        }
        let Some(wanted) = &said.audience else {
            let open = lane.form == LaneForm::Open && readers == members;
            return Ok((!open).then_some(readers));
        };
        if bound == Bound::Exactly && *wanted != readers {
            return Err(CommandError::NotItsReaders);
        }
        match wanted.iter().find(|partner| !readers.contains(*partner)) {
            Some(stranger) => Err(CommandError::Widens(*stranger)),
            None => Ok(Some(wanted.clone())),
        }
    }
}

/// How far a message came at a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ReceiptState {
    Delivered = 1,
    Read = 2,
}

/// A message that is to be written.
pub(super) struct Said {
    channel: ChannelId,
    kind: Kind,
    /// Absent where the partner itself speaks.
    user: Option<UserName>,
    claimed_ms: u64,
    precedence: Precedence,
    audience: Option<BTreeSet<PartnerId>>,
    label: Option<Label>,
    about: Option<EventRef>,
    /// The plaintext body, canonical.
    body: Vec<u8>,
    /// Stored together with the message.
    rows: Vec<Row>,
    /// Of a file: where its chunks are kept, and how many they are.
    stored: Option<(Place, u32)>,
}

impl Said {
    pub(super) fn new(
        channel: ChannelId,
        kind: Kind,
        draft: Draft,
        about: Option<EventRef>,
        body: Vec<u8>,
    ) -> Said {
        Said {
            user: Some(draft.user),
            precedence: draft.precedence,
            audience: draft.audience,
            label: draft.label,
            about,
            ..Said::by_partner(channel, kind, draft.claimed_ms, body)
        }
    }

    /// What the partner says itself, to all members.
    fn by_partner(channel: ChannelId, kind: Kind, claimed_ms: u64, body: Vec<u8>) -> Said {
        Said {
            channel,
            kind,
            user: None,
            claimed_ms,
            precedence: Precedence::Routine,
            audience: None,
            label: None,
            about: None,
            body,
            rows: Vec::new(),
            stored: None,
        }
    }

    /// A reference to a file whose chunks are stored.
    pub(super) fn file(self, place: Place, chunks: u32, rows: Vec<Row>) -> Said {
        Said {
            rows,
            stored: Some((place, chunks)),
            ..self
        }
    }

    /// The label it bears: its own, or that of what it is about.
    fn label(&self, channel: &Channel) -> Result<Option<Label>, CommandError> {
        let inherited = self.about.and_then(|about| channel.label(about));
        match (&self.label, inherited) {
            (None, inherited) => Ok(inherited.cloned()),
            (Some(own), Some(inherited)) if !own.dominates(inherited) => {
                Err(CommandError::WeakerLabel)
            }
            (Some(own), _) => Ok(Some(own.clone())),
        }
    }
}
