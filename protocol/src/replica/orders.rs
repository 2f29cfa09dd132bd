//! What this node's own people order: channels, memberships, messages.

use comity_crypto as crypto;

use super::Replica;
use crate::acceptance;
use crate::authority::{Act, Status};
use crate::body::{Charter, InviteBody, MessageBody, ReactBody, RedactBody, Role, SealingKeyBody};
use crate::channel::{Channel, Outcome};
use crate::codec::{Canonical, encode};
use crate::compose::{Author, ComposeError, Message};
use crate::event::{Kind, Precedence, Reference, UserName};
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use crate::identity::{Identity, Name};
use crate::keys::Entropy;
use crate::limits;
use crate::rows::Row;
use crate::time::Now;

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
        if partner.certificates.nodes.is_empty() {
            return Err(CommandError::Internal("the partner has no node".into()));
        }
        let body = InviteBody {
            partner,
            role,
            endorsements: Vec::new(),
        };
        let act = Act::invite(&id, &body);
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
